//go:build linux

package rounds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/merge"
	"eventbench/helpers/need"
	"eventbench/helpers/progress"
	"eventbench/helpers/tooltest"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// The tests run the real command in a process of its own on a real test binary
// (testdata/tiny), which misbehaves as its environment variable TINY says.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, tooltest.Commands(&cli.Verb{Manual: tooltest.Manual("bench"), New: New}, &cli.Verb{Manual: tooltest.Manual("merge"), New: merge.New}))
}

// quick, as GORACE, keeps a process under -race from sleeping for a second at
// exit.
const quick = "atexit_sleep_ms=0"

// tiny is the path of the test binary.
var tiny string

type suite struct{ m *testing.M }

func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "tiny")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tiny = filepath.Join(dir, "tiny.test")
	if out, err := exec.Command("go", "test", "-c", "-o", tiny, "./testdata/tiny").CombinedOutput(); err != nil {
		log.Fatalf("go test -c ./testdata/tiny: %v\n%s", err, out)
	}
	return s.m.Run()
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", quick)
			module, err := filepath.Abs("../..")
			if err != nil {
				return err
			}
			env.Setenv("MODULE", module) // where go tool finds report
			env.Vars = append(env.Vars, tooltest.GoEnv(t)...)
			return os.Symlink(tiny, filepath.Join(env.WorkDir, "tiny.test"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// status N command... runs the command and wants exit
			// status N.
			"status": tooltest.Status,
		},
	})
}

// A signal ends the run and decides its exit status. No process survives,
// finished rounds stay, and the unfinished one leaves no trace.
func TestSignal(t *testing.T) {
	// nohup ignores SIGHUP, and a child would inherit that.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			r := startHung(t, nil)
			// Both the terminal and the go command may send it.
			r.signal(sig)
			r.signal(sig)
			if got, want := r.wait(), 128+int(sig); got != want {
				t.Errorf("exit status %d, want %d", got, want)
			}
			r.wantGone()
			r.wantFiles("round-01.txt")
			want := "stopped by " + sig.String() + "\n\t1 of 3 rounds are in results/"
			if got := r.stderr.String(); !strings.Contains(got, want) {
				t.Errorf("stderr = %q, want %q in it", got, want)
			}
			if got := r.stdout.String(); got != "" {
				t.Errorf("stdout = %q, want nothing", got)
			}
		})
	}
}

// A signal that was ignored from the start, as nohup does, stays ignored.
func TestSignalIgnored(t *testing.T) {
	r := startHung(t, []string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh"})
	r.signal(unix.SIGHUP)
	if got := stateOf(t, r.cmd.Process.Pid); got == 'Z' {
		t.Error("SIGHUP ended it, though it was ignored")
	}
	r.signal(unix.SIGINT)
	if got, want := r.wait(), 130; got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
	r.wantGone()
}

// A benchmark that ignores SIGINT is killed.
func TestSignalStubborn(t *testing.T) {
	r := startHung(t, nil, "stubborn=1")
	r.signal(unix.SIGINT)
	if got, want := r.wait(), 130; got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
	r.wantGone()
}

// No process survives when the run itself is killed.
func TestKilled(t *testing.T) {
	r := startHung(t, nil)
	r.signal(unix.SIGKILL)
	r.wait()
	r.wantGone()
	r.wantFiles("round-01.txt")
}

// Ctrl-C in a terminal, and what is drawn there.
func TestTerminal(t *testing.T) {
	terminal, tty := mustOpenPTY(t, 60)
	var screen syncBuffer
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		io.Copy(&screen, terminal) // until nobody has the tty open: EIO
	}()
	r := prepare(t, nil, "hang=peer=thread/cpus=cross") // not the first benchmark
	r.cmd.Stdin, r.cmd.Stderr = tty, tty
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	r.startHung()
	tty.Close()
	// The line is drawn a few times a second, and so not at once.
	for end := time.Now().Add(tooltest.Patience); !strings.Contains(screen.String(), "left: Pi") && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := terminal.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if got, want := r.wait(), 130; got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
	r.wantGone()

	select {
	case <-drawn:
	case <-time.After(tooltest.Patience):
		t.Fatalf("somebody still has the terminal after %v", tooltest.Patience)
	}
	got := screen.String()
	for _, want := range []string{
		`\rlisting the benchmarks, 0:\d\d elapsed\x1b\[K`,
		`\rround 2/3, benchmark 1/6, 0:\d\d elapsed\x1b\[K`,
		`\rround 2/3, benchmark \d/6, 0:\d\d elapsed, about \d:\d\d left: Pi`,
		`\r\x1b\[Keventbench bench: round 2: stopped by interrupt`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the terminal got %q, want match of %q", got, want)
		}
	}
	for _, line := range regexp.MustCompile(`\r([^\r\n]*)\x1b\[K`).FindAllStringSubmatch(got, -1) {
		if len(line[1]) > 59 {
			t.Errorf("%q is %d wide, the terminal 60", line[1], len(line[1]))
		}
	}
}

// Two runs at once would disturb each other.
func TestLock(t *testing.T) {
	r := startHung(t, nil)
	second := prepare(t, nil)
	second.cmd.Dir = r.dir
	second.start()
	if got, want := second.wait(), 1; got != want {
		t.Errorf("exit status of the second run %d, want %d", got, want)
	}
	if got, want := second.stderr.String(), "another run is measuring into it"; !strings.Contains(got, want) {
		t.Errorf("stderr of the second run = %q, want %q in it", got, want)
	}
	r.signal(unix.SIGTERM)
	r.wait()
	r.wantGone()
}

// If the disk refuses a write, the error names the file and nothing is left
// behind.
func TestDisk(t *testing.T) {
	// A mount namespace with its own file system, which ends with the
	// shell.
	in := func(t *testing.T, options, faults string) *call {
		need.Need(t, need.HasNamespaces)
		p := prepare(t, []string{"unshare", "-rm", "sh", "-c",
			`mkdir results && mount -t tmpfs -o ` + options + ` none results && "$@"; s=$?; find results -name "*round-*" -printf "left: %p\\n" >&2; exit $s`, "sh"}, faults)
		p.start()
		if got, want := p.wait(), 1; got != want {
			t.Errorf("exit status %d, want %d", got, want)
		}
		if got := p.stderr.String(); strings.Contains(got, "left: ") {
			t.Errorf("files were left:\n%s", got)
		}
		return p
	}
	check := func(t *testing.T, p *call, want ...string) {
		t.Helper()
		for _, want := range want {
			if got := p.stderr.String(); !strings.Contains(got, want) {
				t.Errorf("stderr = %q, want %q in it", got, want)
			}
		}
	}
	t.Run("read-only", func(t *testing.T) {
		check(t, in(t, "ro", ""), "no place for results: mkdir results/", "read-only file system")
	})
	t.Run("full", func(t *testing.T) {
		check(t, in(t, "size=8k", ""), "no place for results: write results/", "no space left on device")
	})
	t.Run("filling", func(t *testing.T) {
		check(t, in(t, "size=1m", "fill=results/filler"), "eventbench bench: round 1: write results/", "no space left on device")
	})
}

func TestEstimate(t *testing.T) {
	p := follow(progress.New(io.Discard, ""))
	p.begin("round 3/5", 4, 2)
	at := func(d time.Duration) time.Time { return p.start.Add(d) }
	check := func(when time.Duration, want string) {
		t.Helper()
		p.begun = p.start
		if got := p.text(at(when)); got != want {
			t.Errorf("after %v: %q, want %q", when, got, want)
		}
	}
	check(time.Second, "round 3/5, benchmark 1/4, 0:01 elapsed")
	fmt.Fprint(p, "goos: linux\nBenchmarkEventfdSe")
	fmt.Fprint(p, "lf\n")
	check(time.Second, "round 3/5, benchmark 1/4, 0:01 elapsed: EventfdSelf")
	fmt.Fprint(p, "BenchmarkEventfdSelf-2 \t 100\t 422 ns/op\nBenchmarkPipeSelf\n")
	// One of four took 10 s: 30 s more for this round, and two rounds of 40
	// s.
	check(10*time.Second, "round 3/5, benchmark 2/4, 0:10 elapsed, about 1:50 left: PipeSelf")
	// Rounds that took 20 s count for more.
	p.finished = []time.Duration{15 * time.Second, 25 * time.Second}
	check(10*time.Second, "round 3/5, benchmark 2/4, 0:10 elapsed, about 0:50 left: PipeSelf")
	check(70*time.Second, "round 3/5, benchmark 2/4, 1:10 elapsed, about 0:40 left: PipeSelf")
}

func TestSettingsDir(t *testing.T) {
	check := func(o options, want string) {
		t.Helper()
		if got := o.settingsDir(arm{}); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("settingsDir of %+v = %q, want match of %q", o, got, want)
		}
	}
	check(options{bench: ".", benchtime: "200ms", count: 1, seed: 1}, `all-200ms`)
	check(options{bench: "all", benchtime: "200ms", count: 1, seed: 1}, `all-[0-9a-f]{6}-200ms`)
	check(options{bench: "Eventfd", benchtime: "10x", count: 3, seed: -4}, `Eventfd-10x-count3-seed-4`)
	check(options{bench: "Pipe", skip: "Growth", benchtime: "10x", count: 1, seed: 2}, `Pipe-10x-seed2-skipGrowth`)
	check(options{bench: ".", long: true, benchtime: "10x", count: 1, seed: 1}, `all-10x-long`)
	check(options{bench: ".", skip: "A|B", benchtime: "10x", count: 1, seed: 1}, `all-10x-skipA_B-[0-9a-f]{6}`)
	check(options{bench: "^A$/peer=a b", benchtime: "1s", count: 1, seed: 1}, `A_peer_a_b-[0-9a-f]{6}-1s`)
	check(options{bench: "../..", benchtime: "1s", count: 1, seed: 1}, `-[0-9a-f]{6}-1s`)
	check(options{bench: strings.Repeat("x", 300), benchtime: "1s", count: 1, seed: 1}, `x{60}-[0-9a-f]{6}-1s`)
}

// A call is a run of bench under test.
type call struct {
	t              *testing.T
	cmd            *exec.Cmd
	dir, pids      string
	stdout, stderr syncBuffer
}

// prepare makes a run of 3 rounds of benchmark Pipe in its own directory, with
// faults. The words of wrap come before the command.
func prepare(t *testing.T, wrap []string, faults ...string) *call {
	t.Helper()
	p := &call{t: t, dir: t.TempDir()}
	p.pids = filepath.Join(p.dir, "pids")
	args := slices.Concat(wrap, []string{"eventbench", "bench", "-rounds", "3", "-benchtime", "20x", "-bench", "Pipe", tiny})
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, &p.stdout, &p.stderr
	p.cmd.Env = append(os.Environ(), "GORACE="+quick, "TINY="+strings.Join(append(faults, "pids="+p.pids), " "))
	return p
}

// startHung starts a run that has finished one round and hangs in the second.
func startHung(t *testing.T, wrap []string, faults ...string) *call {
	t.Helper()
	p := prepare(t, wrap, append(faults, "hang=PipeSelf")...)
	p.startHung()
	return p
}

func (p *call) startHung() {
	p.t.Helper()
	first := prepare(p.t, nil)
	first.cmd.Dir = p.dir
	first.cmd.Args[3] = "1" // -rounds
	first.start()
	if status := first.wait(); status != 0 {
		p.t.Fatalf("the first round: exit status %d\n%s", status, first.stderr.String())
	}
	p.start()
	eventually(p.t, "the hung benchmark's process ids", func() bool {
		data, _ := os.ReadFile(p.pids)
		return bytes.Count(data, []byte("\n")) == 2
	})
}

func (p *call) start() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.cmd.Process.Kill() })
}

func (p *call) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// wait returns the exit status.
func (p *call) wait() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), tooltest.Patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.cmd.Process.Signal(unix.SIGQUIT) })
	defer stop()
	err := p.cmd.Wait()
	if ctx.Err() != nil {
		p.t.Fatalf("did not end within %v\n%s", tooltest.Patience, p.stderr.String())
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// wantGone wants the hung benchmark and its peer to be gone.
func (p *call) wantGone() {
	p.t.Helper()
	data, err := os.ReadFile(p.pids)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, field := range strings.Fields(string(data)) {
		var pid int
		fmt.Sscan(field, &pid)
		eventually(p.t, "the end of process "+field, func() bool { return stateOf(p.t, pid) == 'Z' })
	}
}

// wantFiles wants exactly these files in the only set.
func (p *call) wantFiles(want ...string) {
	p.t.Helper()
	var got []string
	entries, err := os.ReadDir(filepath.Join(p.dir, "results", "latest"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("the set holds %q, want %q", got, want)
	}
}

// stateOf returns the state of a process from /proc/PID/stat, or Z if there is
// none: in a container orphans may never be reaped.
func stateOf(t *testing.T, pid int) byte {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 'Z'
	}
	if err != nil {
		t.Fatal(err)
	}
	return stat[bytes.LastIndexByte(stat, ')')+2]
}

// eventually waits until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(tooltest.Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", tooltest.Patience, what)
		}
	}
}

// A syncBuffer can be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// mustOpenPTY returns the two ends of a pseudo-terminal with this many columns.
func mustOpenPTY(t *testing.T, columns uint16) (terminal, tty *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	fd := int(terminal.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return terminal, tty
}
