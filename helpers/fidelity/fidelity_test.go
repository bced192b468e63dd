//go:build linux

package fidelity

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// Scripts run the real command as a process of its own, on the suite's own
// test binary, and on one (testdata/tiny) that misbehaves.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, tooltest.Commands(&cli.Verb{Manual: tooltest.Manual("fidelity"), New: New}))
}

// What the tests of this package share, built once.
var built struct{ root, suite, tiny, reference string }

type suite struct{ m *testing.M }

func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "fidelity-test")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if built.root, err = filepath.Abs("../.."); err != nil {
		log.Fatal(err)
	}
	built.suite = filepath.Join(dir, "suite.test")
	built.tiny = filepath.Join(dir, "tiny.test")
	for path, pkg := range map[string]string{built.suite: built.root, built.tiny: "./testdata/tiny"} {
		if out, err := exec.Command("go", "test", "-c", "-o", path, pkg).CombinedOutput(); err != nil {
			log.Fatalf("go test -c %s: %v\n%s", pkg, err, out)
		}
	}
	if need.HasCC.Here() {
		built.reference = filepath.Join(dir, "reference")
		cmd := exec.Command("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers",
			"-pthread", "-o", built.reference, filepath.Join(built.root, "testdata/reference/reference.c"))
		if out, err := cmd.CombinedOutput(); err != nil {
			log.Fatalf("cc: %v\n%s", err, out)
		}
	}
	return s.m.Run()
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", built.root)
			env.Setenv("SUITE", built.suite)
			env.Setenv("TINY_TEST", built.tiny)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			// The go command needs its cache and the user's
			// settings.
			for _, key := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY"} {
				if v := os.Getenv(key); v != "" {
					env.Setenv(key, v)
				}
			}
			return nil
		},
		Condition: need.Condition(t),
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// status N command... wants exit status N, or one of
			// N|M.
			"status": tooltest.Status,
		},
	})
}

// The table has what the C program has.
func TestRows(t *testing.T) {
	out, err := exec.Command(mustReference(t), "-list").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Fields(string(out)), names(rows)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("reference -list:\ngot\t%q\nwant\t%q", got, want)
	}
}

func TestSummary(t *testing.T) {
	check := func(t *testing.T, goes, cs []float64, exact bool, atMost float64, want string) {
		t.Helper()
		s := summarize([2][]float64{goes, cs}, exact)
		got := fmt.Sprintf("%s %s %.3f %s %s", digits(s.sides[0]), digits(s.sides[1]), s.ratio, s.interval(), s.verdict(atMost))
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	c := []float64{100, 200, 100, 400, 100, 100, 100, 100}
	// Pairs are compared, not medians: a slow spell that hits both sides is
	// no ratio.
	check(t, []float64{104, 208, 104, 416, 104, 104, 104, 104}, c, false, 1.05, "104 100 1.040 exact ok")
	check(t, []float64{110, 220, 110, 440, 110, 110, 110, 110}, c, false, 1.05, "110 100 1.100 exact over")
	check(t, []float64{102, 216, 101, 432, 104, 105, 109, 100}, c, false, 1.05, "104.5 100 1.045 1.000 to 1.080 unclear")
	// The bound itself is within it, however it is rounded.
	check(t, []float64{105.04}, []float64{100}, true, 1.05, "105.0 100 1.050 exact ok")
	check(t, []float64{1500, 1600}, []float64{1500, 1500}, true, 1.05, "1550 1500 1.033 1.000 to 1.067 unclear")
	// Values that vary have no interval before there are enough of them.
	check(t, []float64{1, 1}, []float64{1, 1}, false, 1.05, "1 1 1.000 needs 6 pairs unclear")
	check(t, []float64{2, 2}, []float64{1, 1}, false, 1.05, "2 1 2.000 needs 6 pairs unclear")
}

func TestIterations(t *testing.T) {
	check := func(t *testing.T, sec float64, want int) {
		t.Helper()
		if got := iterations(40*time.Millisecond, sec); got != want {
			t.Errorf("iterations(40ms, %v) = %d, want %d", sec, got, want)
		}
	}
	check(t, 159.3e-9, 250000)
	check(t, 18.2e-6, 2200)
	check(t, 1, 100)
	check(t, math.Inf(1), 100)
	check(t, 1e-12, mostIterations)
	check(t, 0, mostIterations)
}

// A signal ends a measurement in good time, and leaves neither a process nor a
// file nor a result.
func TestInterrupted(t *testing.T) {
	mustReference(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out.txt")
	cmd := exec.Command("eventbench", "fidelity", "-test", built.suite, "-o", out, "-bench", "EventfdRoundTrip/peer=process", "-pairs", "6", "-time", "1h")
	var stderr strings.Builder
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(io.TeeReader(told, &stderr))
	for !strings.HasPrefix(lines.Text(), "eventbench fidelity: pair 1/6") {
		if !lines.Scan() {
			t.Fatalf("ended before its first pair: %v\n%s", cmd.Wait(), &stderr)
		}
	}
	leader := waitFor(t, "a measured process", func() int { return first(children(cmd.Process.Pid)) })
	peer := waitFor(t, "its peer", func() int { return first(children(leader)) })
	if err := unix.Kill(cmd.Process.Pid, unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	err = cmd.Wait()
	want := interrupt.Error{Signal: unix.SIGINT}
	if cmd.ProcessState.ExitCode() != want.Status() || !strings.Contains(stderr.String(), "fidelity: stopped by interrupt: no results were kept") {
		t.Errorf("got %v, want exit status %d and a word about it; stderr:\n%s", err, want.Status(), &stderr)
	}
	for _, pid := range []int{leader, peer} {
		waitFor(t, fmt.Sprintf("the end of process %d", pid), func() int {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || strings.Contains(string(stat), ") Z ") {
				return 1
			}
			return 0
		})
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The reference says what went wrong, ends, and takes its peer with it.
func TestReferenceFails(t *testing.T) {
	const long = "1000000000"
	process := "EventfdRoundTrip/peer=process/cpus=same"
	check := func(t *testing.T, wantStatus int, want string, do func(pid, peer int), args ...string) {
		t.Helper()
		cmd := exec.Command(mustReference(t), args...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		peer := 0
		if do != nil {
			peer = waitFor(t, "the peer", func() int { return first(children(cmd.Process.Pid)) })
			// Before it has waited for its parent once, it may not
			// have asked to die with it.
			waitFor(t, "the peer's first wait", func() int {
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", peer))
				if err == nil && regexp.MustCompile(`(?m)^voluntary_ctxt_switches:\s+[1-9]`).Match(status) {
					return 1
				}
				return 0
			})
			do(cmd.Process.Pid, peer)
		}
		err := cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		got := status.ExitStatus()
		if status.Signaled() {
			got = 128 + int(status.Signal())
		}
		if got != wantStatus || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: got %v, %q; want status %d, %q", args, err, &stderr, wantStatus, want)
		}
		if peer != 0 {
			waitFor(t, "the peer's end", func() int {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", peer))
				if err != nil || strings.Contains(string(stat), ") Z ") {
					return 1
				}
				return 0
			})
		}
	}
	kill := func(sig unix.Signal) func(pid, peer int) {
		return func(_, peer int) { unix.Kill(peer, sig) }
	}
	check(t, 1, process+": the peer process was killed by signal 9\n", kill(unix.SIGKILL), process, long)
	check(t, 1, process+": 1000000000 rounds were not done within 1 s\n", kill(unix.SIGSTOP), "-t", "1", process, long)
	check(t, 128+15, "", func(pid, _ int) { unix.Kill(pid, unix.SIGTERM) }, process, long)
	thread := "FutexRoundTrip/peer=thread/cpus=same"
	check(t, 1, thread+": 1000000000 rounds were not done within 1 s\n", nil, "-t", "1", thread, long)
	check(t, 2, "no loop is named Nonesuch: see reference -list\n", nil, "Nonesuch", "1")
	check(t, 2, "EventfdSelf 0: want a number from 1 to 1000000000\n", nil, "EventfdSelf", "0")
	check(t, 2, "usage: reference [-t SECONDS] NAME N", nil, "EventfdSelf")
	t.Setenv("EVENTBENCH_CLOCK", "cycles")
	check(t, 2, "EVENTBENCH_CLOCK=cycles: want instrs, wall, or nothing\n", nil, "EventfdSelf", "1")
}

// mustReference returns the C program's path.
func mustReference(t *testing.T) string {
	t.Helper()
	need.Need(t, need.HasCC)
	return built.reference
}

// children returns the processes that a process's threads have started.
func children(pid int) []int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended since
		}
		for _, word := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

func first(pids []int) int {
	if len(pids) == 0 {
		return 0
	}
	return pids[0]
}

// waitFor returns what f does once it is not 0.
func waitFor(t *testing.T, what string, f func() int) int {
	t.Helper()
	for end := time.Now().Add(tooltest.Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if v := f(); v != 0 {
			return v
		}
	}
	t.Fatalf("waited %v for %s", tooltest.Patience, what)
	return 0
}
