//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/need"
	"eventbench/helpers/process"
	"eventbench/helpers/tooltest"

	"golang.org/x/sys/unix"
)

// The tests in this file boot kernels.

func TestBoot(t *testing.T) {
	kernel := needGuests(t)
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "testdata", "sub", "file"), "from testdata\n")
	args := []string{
		"guest", "-kernel", kernel, "-clock", "instrs", "-seed", "11",
		bin.Path("prog"), "out=hello", "err=oops", "facts", "env", "cat=testdata/sub/file", "time", "many=500", "exit=3",
	}
	env := []string{"GOGC=50", "GODEBUG=madvdontneed=1", "EVENTBENCH_CONFIG=lab: attic", "SECRET=1"}

	// The same twice, at the same time.
	type outcome struct{ stdout, stderr string }
	other := make(chan outcome)
	go func() {
		stdout, stderr := bin.Run(t, "eventbench", dir, env, 3, args...)
		other <- outcome{stdout, stderr}
	}()
	stdout, stderr := bin.Run(t, "eventbench", dir, env, 3, args...)
	if again := <-other; again.stdout != stdout || again.stderr != stderr {
		t.Errorf("one seed, two results:\n%s\n%s\nand\n%s\n%s", stdout, stderr, again.stdout, again.stderr)
	}

	// go tool's own words may come first, about a processor or KVM.
	if !strings.HasSuffix(stderr, "oops\n") || strings.Contains(stdout, "oops") {
		t.Errorf("standard error: %q", stderr)
	}
	for _, want := range []string{
		"hello\n", "dir /src\n", "args0 /bin/prog\n", "host guest\n", "from testdata\n", "SigBlk:\t0000000000000000\n",
		"there /proc/self/stat true\n", "there /sys/kernel true\n", "there /dev/null true\n", "there /dev/pts/ptmx true\n",
		"there /dev/shm true\n", "there /tmp true\n", "there /sys/fs/cgroup/cgroup.procs true\n", "there /dev/fd/0 true\n",
		"lo 0x9\n", // IFF_UP and IFF_LOOPBACK
		"GOGC=50\n", "GODEBUG=madvdontneed=1\n", "EVENTBENCH_CLOCK=instrs\n", "EVENTBENCH_CONFIG=lab: attic\naccelerator: tcg\n", "\nseed: 11\n",
		"line 1 of 500\n", "line 500 of 500\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in standard output", want)
		}
	}
	if strings.Contains(stdout, "SECRET") || strings.Contains(stdout, "GOROOT") || strings.Contains(stdout, "\r") {
		t.Error("standard output has what it must not have")
	}
	if t.Failed() {
		t.Logf("standard output:\n%s", stdout)
	}
}

func TestOtherSeed(t *testing.T) {
	kernel := needGuests(t)
	run := func(seed string) (stdout string) {
		stdout, _ = bin.Run(t, "eventbench", t.TempDir(), nil, 128+9, "guest", "-seed", seed, "-kernel", kernel,
			"-clock", "instrs", "-cpus", "1", bin.Path("prog"), "time", "orphan", "kill=9")
		return stdout
	}
	one, two := run("1"), run("2")
	if one == two || one == "" {
		t.Errorf("two seeds, one result: %q", one)
	}
}

func TestKernelPanic(t *testing.T) {
	kernel := needGuests(t)
	stdout, stderr := bin.Run(t, "eventbench", t.TempDir(), nil, process.NoStatus, "guest", "-kernel", kernel, bin.Path("prog"), "out=before", "panic", "out=after")
	if stdout != "before\n" {
		t.Errorf("standard output %q", stdout)
	}
	for _, want := range []string{"the guest ended while the program ran: it restarted after a kernel panic: sysrq triggered crash", "the console's last lines:\n\t| "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in standard error:\n%s", want, stderr)
		}
	}
}

func TestNoInit(t *testing.T) {
	kernel := needGuests(t)
	stdout, stderr := bin.Run(t, "eventbench", t.TempDir(), nil, process.NoStatus, "guest", "-kernel", kernel, "-append", "rdinit=/nonexistent", bin.Path("prog"), "out=hello")
	if stdout != "" || !strings.Contains(stderr, "the guest ended before it started the program: it restarted after a kernel panic: ") {
		t.Errorf("standard output %q, standard error:\n%s", stdout, stderr)
	}
}

func TestTimeout(t *testing.T) {
	kernel := needGuest(t)
	start := time.Now()
	_, stderr := bin.Run(t, "eventbench", t.TempDir(), nil, process.NoStatus, "guest", "-kernel", kernel, "-timeout", "1s", "-append", "loglevel=8 earlyprintk=ttyS0", bin.Path("prog"), "hang")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if !strings.Contains(stderr, "stopped at -timeout 1s") {
		t.Errorf("standard error:\n%s", stderr)
	}
}

func TestTooLittleMemory(t *testing.T) {
	kernel := needGuests(t)
	dir := t.TempDir()
	big := filepath.Join(dir, "testdata", "big")
	tooltest.MustWrite(t, big, "")
	if err := os.Truncate(big, 100<<20); err != nil {
		t.Fatal(err)
	}
	_, stderr := bin.Run(t, "eventbench", dir, nil, process.NoStatus, "guest", "-kernel", kernel, "-memory", "128M", bin.Path("prog"))
	if !strings.Contains(stderr, "-memory 128M: the program and its testdata need") {
		t.Errorf("standard error:\n%s", stderr)
	}
}

// However the tool ends, nothing of it stays.
func TestStopped(t *testing.T) {
	kernel := needGuests(t)
	args := []string{"guest", "-kernel", kernel, bin.Path("prog"), "out=ready", "hang"}

	t.Run("interrupt", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := bin.Command(t, "eventbench", t.TempDir(), nil, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		tooltest.MustStart(t, cmd)
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Errorf("standard output %q, %v", line, err)
		}
		qemu := mustChild(t, cmd.Process.Pid)
		cmd.Process.Signal(syscall.SIGINT)
		err = cmd.Wait()
		if got := tooltest.ExitStatus(t, err); got != 128+int(syscall.SIGINT) {
			t.Errorf("exit status %d", got)
		}
		if want := "while the program ran: stopped by interrupt"; !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in standard error:\n%s", want, &stderr)
		}
		mustEnd(t, qemu)
		tooltest.MustBeEmpty(t, tmp)
	})
	// Nobody reads what it prints, and the pipe is full.
	t.Run("unread", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		size, err := unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, 4096)
		if err == nil {
			_, err = w.Write(make([]byte, size))
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd, tmp := bin.Command(t, "eventbench", t.TempDir(), nil, "guest", "-timeout", "20s", "-kernel", kernel, bin.Path("prog"), "out=ready", "hang")
		cmd.Stdout = w
		tooltest.MustStart(t, cmd)
		w.Close()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if got := tooltest.ExitStatus(t, err); got != process.NoStatus {
				t.Errorf("exit status %d, want %d", got, process.NoStatus)
			}
		case <-time.After(2 * time.Minute):
			t.Error("still there after two minutes")
			cmd.Process.Kill()
		}
		tooltest.MustBeEmpty(t, tmp)
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := bin.Command(t, "eventbench", t.TempDir(), nil, args...)
		tooltest.MustStart(t, cmd)
		qemu := mustChild(t, cmd.Process.Pid)
		cmd.Process.Kill()
		cmd.Wait()
		mustEnd(t, qemu)
		tooltest.MustBeEmpty(t, tmp)
	})
	t.Run("parent killed", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := bin.Command(t, "eventbench", t.TempDir(), nil, args...)
		cmd.Args = append([]string{"sh", "-c", `"$0" "$@"; exit`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		tooltest.MustStart(t, cmd)
		tool := mustChild(t, cmd.Process.Pid)
		qemu := mustChild(t, tool)
		cmd.Process.Kill()
		cmd.Wait()
		mustEnd(t, tool)
		mustEnd(t, qemu)
		tooltest.MustBeEmpty(t, tmp)
	})
}

// The way most will use the tool.
func TestGoTestExec(t *testing.T) {
	kernel := needGuest(t)
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "go.mod"), "module example\n\ngo 1.26\n")
	tooltest.MustWrite(t, filepath.Join(dir, "testdata", "data"), "data")
	tooltest.MustWrite(t, filepath.Join(dir, "x_test.go"), `package example

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestData(t *testing.T) {
	data, err := os.ReadFile("testdata/data")
	if string(data) != "data" || err != nil {
		t.Errorf("testdata: %q, %v", data, err)
	}
	if runtime.GOMAXPROCS(0) != 1 {
		t.Error("GOMAXPROCS did not arrive")
	}
	t.Log(os.Getenv("EVENTBENCH_CONFIG"))
	status, err := os.ReadFile("/proc/self/status")
	if !strings.Contains(string(status), "Seccomp:\t2\n") || err != nil {
		t.Errorf("-seccomp: status %q, %v", status, err)
	}
}

func BenchmarkGetppid(b *testing.B) {
	for b.Loop() {
		os.Getppid()
	}
}
`)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-bench", ".", "-benchtime", "100x", "-cpuprofile", "cpu.prof",
		"-exec", bin.Path("eventbench")+" guest -kernel "+kernel+" -clock instrs -seccomp 3", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("go test: %v", err)
	}
	for _, want := range []string{"--- PASS: TestData", "kernel-image: linux-", "seccomp: 3\n", "cpu: QEMU TCG CPU", "\nBenchmarkGetppid", " 100\t", "\nok  \texample"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in the output", want)
		}
	}
	profile, err := os.ReadFile(filepath.Join(dir, "cpu.prof"))
	if !bytes.HasPrefix(profile, []byte("\x1f\x8b")) {
		t.Errorf("cpu.prof: %d bytes, %v", len(profile), err)
	}
	if t.Failed() {
		t.Logf("output:\n%s", out)
	}
}

// The same for arm64, whose programs this machine does not run: the kernel, QEMU
// and the init are those of the test binary's architecture. The counter counts
// instructions on the usual CPU and on a named one, and one seed repeats.
func TestGoTestExecArm(t *testing.T) {
	if testing.Short() {
		t.Skip("boots kernels")
	}
	kernel := need.KernelArm(t)
	t.Parallel()
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "go.mod"), "module example\n\ngo 1.26\n")
	tooltest.MustWrite(t, filepath.Join(dir, "ticks_arm64.s"), `#include "textflag.h"

// func ticks() uint64: the counter's ticks from before 8 instructions until after
TEXT ·ticks(SB), NOSPLIT, $0-8
	ISB  $15
	MRS  CNTVCT_EL0, R0
	NOOP
	NOOP
	NOOP
	NOOP
	NOOP
	NOOP
	NOOP
	MRS  CNTVCT_EL0, R1
	SUB  R0, R1
	MOVD R1, ret+0(FP)
	RET
`)
	tooltest.MustWrite(t, filepath.Join(dir, "x_test.go"), `package example

import (
	"os"
	"runtime"
	"testing"
)

func ticks() uint64

func TestTicks(t *testing.T) {
	exact := 0
	for range 1000 {
		if ticks() == 8 {
			exact++
		}
	}
	if exact < 990 {
		t.Errorf("8 instructions are 8 ticks %d times of 1000", exact)
	}
	t.Log(runtime.GOARCH, runtime.NumCPU(), "CPUs", os.Getenv("EVENTBENCH_CONFIG"))
}

func BenchmarkGetppid(b *testing.B) {
	for b.Loop() {
		os.Getppid()
	}
}
`)
	tooltest.MustWrite(t, filepath.Join(dir, "x.go"), "package example\n")
	run := func(flags string) string {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-bench", ".", "-benchtime", "100x",
			"-exec", bin.Path("eventbench")+" guest -kernel "+kernel+" -clock instrs "+flags, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOARCH=arm64", "GOMAXPROCS=1", "CGO_ENABLED=0", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("go test -exec, guest %s: %v\n%s", flags, err, out)
		}
		return string(out)
	}
	// Only the time that go test measures is the host's.
	result := func(out string) string {
		_, out, _ = strings.Cut(out, "=== RUN")
		out, _, _ = strings.Cut(out, "\nok ")
		return out
	}
	usual := run("")
	for _, want := range []string{"arm64 2 CPUs", "\ngoarch: arm64\n", "\nBenchmarkGetppid", "cpu-model: max\n", "kernel-image: linux-", "console=ttyAMA0 "} {
		if !strings.Contains(usual, want) {
			t.Errorf("no %q in\n%s", want, usual)
		}
	}
	if again := run(""); result(again) != result(usual) || result(again) == "" {
		t.Errorf("one seed, two results:\n%s\nand\n%s", usual, again)
	}
	if named := run("-cpu-model neoverse-n1"); !strings.Contains(named, "cpu-model: neoverse-n1\n") {
		t.Errorf("no cpu-model: neoverse-n1 in\n%s", named)
	}
}

// needGuests is needGuest for what is left out unless it is asked for: a boot
// takes seconds. What most will do is tried wherever it can be.
func needGuests(t *testing.T) string {
	t.Helper()
	need.Asked(t, need.HasQEMU, "a minute of boots")
	return needGuest(t)
}

// needGuest returns the kernel to boot.
func needGuest(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	kernel := need.Kernel(t)
	t.Parallel()
	return kernel
}

// mustChild waits until the process has a child and returns that.
func mustChild(t *testing.T, pid int) int {
	t.Helper()
	for deadline := time.Now().Add(tooltest.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tasks {
			data, _ := os.ReadFile(name)
			for _, field := range strings.Fields(string(data)) {
				child, err := strconv.Atoi(field)
				// Neither a child that has not got to its exec yet, nor QEMU that
				// was only asked for its version.
				cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
				if err == nil && bytes.Contains(cmdline, []byte("-kernel")) && !bytes.Equal(cmdline, mustCmdline(t, pid)) {
					return child
				}
			}
		}
	}
	t.Fatalf("process %d has started nothing", pid)
	return 0
}

func mustCmdline(t *testing.T, pid int) []byte {
	t.Helper()
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return cmdline
}

// mustEnd waits for the end of a process that is not this one's child.
func mustEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(tooltest.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}
