//go:build linux

package interrupt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests run this binary as a tool of the Makefile's: below real makes,
// shells and terminals, for it is what those do that is at stake. Only go is a
// script, which builds nothing and names this binary for each tool.

const (
	toolVariable = "INTERRUPT_TEST_TOOL" // the file in which the tool says how it is
	markVariable = "INTERRUPT_TEST_MARK" // by which all processes of a test are found
)

func TestMain(m *testing.M) {
	if name := os.Getenv(toolVariable); name != "" {
		os.Exit(tool(name))
	}
	// nohup ignores SIGHUP, and children would inherit that.
	if signal.Ignored(unix.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	}
	os.Exit(m.Run())
}

func tool(name string) int {
	ctx := Context()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return 1
	}
	fmt.Fprintf(f, "ready %d\n", os.Getpid())
	<-ctx.Done()
	err = context.Cause(ctx)
	fmt.Fprintf(f, "%v\n", err)
	if stopped := (Error{}); errors.As(err, &stopped) {
		return stopped.Status()
	}
	return 1
}

// A run is processes with a tool among them.
type run struct {
	t    *testing.T
	mark string
	says string // the file that the tool writes
	cmd  *exec.Cmd
}

// start runs a command in a session of its own and waits for the tool.
func start(t *testing.T, argv ...string) *run {
	t.Helper()
	return startOn(t, nil, argv...)
}

// startOn is start on a terminal.
func startOn(t *testing.T, terminal *os.File, argv ...string) *run {
	t.Helper()
	for _, need := range []string{"make", "nohup", "setsid"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n[ \"$1 $2\" != 'tool -n' ] || echo '"+self+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, mark: dir, says: filepath.Join(dir, "says")}
	r.cmd = exec.Command(argv[0], argv[1:]...)
	r.cmd.Dir = filepath.Join("..", "..")
	r.cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "TOOL="+self,
		toolVariable+"="+r.says, markVariable+"="+r.mark, "MAKEFLAGS=", "MAKELEVEL=", "NEW=b", "OLD=a")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: terminal != nil}
	if terminal != nil {
		r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = terminal, terminal, terminal
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- r.cmd.Wait() }()
	t.Cleanup(func() {
		for _, pid := range r.processes() {
			unix.Kill(pid, unix.SIGKILL)
		}
		<-waited
	})
	r.await("a tool that is ready", func() bool { return r.tool() != 0 })
	return r
}

// patience is how long a test waits for what takes a moment on a machine that
// has nothing else to do.
const patience = 2 * time.Minute

func (r *run) await(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	said, _ := os.ReadFile(r.says)
	var there strings.Builder
	for _, pid := range r.processes() {
		argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		fmt.Fprintf(&there, "\n%q, waits in %q: %s", argv, wchan, stat)
	}
	r.t.Fatalf("no %s after %v; the tool said %q; there are%s", what, patience, said, there.String())
}

// tool returns the process that the tool is, once it is ready.
func (r *run) tool() int {
	said, _ := os.ReadFile(r.says)
	line, _, whole := strings.Cut(string(said), "\n")
	pid, _ := strconv.Atoi(strings.TrimPrefix(line, "ready "))
	if !whole {
		return 0
	}
	return pid
}

// processes returns all processes of the run that have not ended.
func (r *run) processes() []int {
	var all []int
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		environ, err := os.ReadFile(name) // empty for a zombie
		if err == nil && bytes.Contains(environ, []byte(markVariable+"="+r.mark+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			all = append(all, pid)
		}
	}
	return all
}

// mustEnd wants all of the run to end, and the tool to say why.
func (r *run) mustEnd(why string) {
	r.t.Helper()
	r.await("end of all processes", func() bool { return len(r.processes()) == 0 })
	if said, _ := os.ReadFile(r.says); !strings.Contains(string(said), why) {
		r.t.Errorf("the tool said %q, want %q", said, why)
	}
}

// mustGoOn wants the tool to be there still after it has looked around some
// times.
func (r *run) mustGoOn() {
	r.t.Helper()
	time.Sleep(1500 * time.Millisecond)
	if said, _ := os.ReadFile(r.says); strings.Count(string(said), "\n") != 1 {
		r.t.Errorf("the tool said %q, want it to go on", said)
	}
}

var signals = []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGKILL}

// Every target that runs for longer than a moment ends with its make, whatever
// ends that.
func TestMakeStopped(t *testing.T) {
	for _, target := range []string{
		"bench", "bench-full", "kernels", "gvisor", "gate-kernels", "gate-arms", "baselines", "behaviours", "mutants", "gate-selftest", "fidelity",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			for _, sig := range signals {
				t.Run(unix.SignalName(sig), func(t *testing.T) {
					r := start(t, "make", target)
					unix.Kill(r.cmd.Process.Pid, sig)
					r.mustEnd("stopped")
				})
			}
		})
	}
}

// A shell between make and the tool ends the tool too. There is one only where
// it has more to do: one that waits for a command keeps a SIGINT to itself.
func TestShellStopped(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			r := start(t, "make", "gvisor")
			unix.Kill(parentOf(t, r.tool()), sig)
			r.mustEnd("stopped")
		})
	}
	r := start(t, "make", "bench")
	if ppid := parentOf(t, r.tool()); ppid != r.cmd.Process.Pid {
		t.Errorf("make bench: the tool's parent is %d, want make, %d", ppid, r.cmd.Process.Pid)
	}
}

// A terminal that closes tells the one that leads its session, which is make
// where a terminal was opened for it.
func TestTerminalCloses(t *testing.T) {
	terminal, close := openTerminal(t)
	r := startOn(t, terminal, "make", "bench")
	close()
	r.mustEnd("stopped: make")
}

// What is started with nohup belongs to make all the same.
func TestMakeStoppedUnderNohup(t *testing.T) {
	r := start(t, "sh", "-c", "nohup make bench >/dev/null 2>&1 & echo $! >\"$"+markVariable+"/make\"; wait")
	text, err := os.ReadFile(filepath.Join(r.mark, "make"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	unix.Kill(pid, unix.SIGKILL)
	r.mustEnd("stopped: make")
}

// A tool without make ends with who started it, and says how not to.
func TestParentEnds(t *testing.T) {
	r := start(t, "sh", "-c", `"$TOOL"; exit`)
	unix.Kill(r.cmd.Process.Pid, unix.SIGKILL)
	r.mustEnd("stopped: sh (process")
}

// What outlives its parents by intent goes on.
func TestOutlives(t *testing.T) {
	for name, script := range map[string]string{
		"nohup":        `nohup "$TOOL" >/dev/null 2>&1 & sleep 1`,
		"setsid":       `setsid "$TOOL" & sleep 1`,
		"make":         `make bench & sleep 1`,
		"orphan first": `(sleep 0.3; exec "$TOOL") & exit`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t, "sh", "-c", script).mustGoOn()
		})
	}
	t.Run("terminal, nohup", func(t *testing.T) {
		t.Parallel()
		terminal, close := openTerminal(t)
		r := startOn(t, terminal, "sh", "-c", `nohup make bench >/dev/null 2>&1 & wait`)
		close()
		r.mustGoOn()
	})
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	ppid, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// openTerminal returns a new terminal, for children, and how to close it.
func openTerminal(t *testing.T) (terminal *os.File, close func()) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, func() {
		terminal.Close()
		ptmx.Close()
	}
}
