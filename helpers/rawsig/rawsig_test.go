//go:build linux

package rawsig

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"eventbench/helpers/leak"
	"eventbench/helpers/sys"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

// The assembly has these numbers, too.
func TestLayout(t *testing.T) {
	var r Run
	var s script
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"Run.seq", unsafe.Offsetof(r.seq), 0},
		{"Run.Sig", unsafe.Offsetof(r.Sig), 8},
		{"Run.TID", unsafe.Offsetof(r.TID), 16},
		{"Run.SP", unsafe.Offsetof(r.SP), 24},
		{"Run.Blocked", unsafe.Offsetof(r.Blocked), 32},
		{"Run.Restore", unsafe.Offsetof(r.Restore), 40},
		{"Run.Stack", unsafe.Offsetof(r.Stack), 48},
		{"Run.Info", unsafe.Offsetof(r.Info), 72},
		{"Run.Results", unsafe.Offsetof(r.Results), 200},
		{"Run", unsafe.Sizeof(r), 232},
		{"script.ncalls", unsafe.Offsetof(s.ncalls), 0},
		{"script.npokes", unsafe.Offsetof(s.npokes), 8},
		{"script.calls", unsafe.Offsetof(s.calls), 16},
		{"script.pokes", unsafe.Offsetof(s.pokes), 240},
		{"script", unsafe.Sizeof(s), 272},
		{"Call", unsafe.Sizeof(Call{}), 56},
		{"Poke", unsafe.Sizeof(Poke{}), 16},
		{"runs", uintptr(len(runs)), 1024},
		{"Left", unsafe.Sizeof(Left{}), 40 + 65*32},
		{"Stack", unsafe.Sizeof(Stack{}), 24},
		{"Info", unsafe.Sizeof(sys.Siginfo{}), 128},
	} {
		if c.got != c.want {
			t.Errorf("%s is at or has %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestHandler(t *testing.T) {
	locked(t)
	const sig, other = 45, 46
	handle(t, sig, Handler{
		Flags: SAOnstack,
		Mask:  sys.Sigs(other),
		Calls: []Call{{Nr: unix.SYS_GETPID}, {Nr: unix.SYS_CLOSE, Args: [6]uintptr{^uintptr(0)}}},
		Pokes: []Poke{{UcontextMask, uint64(sys.Sigs(other))}},
	})
	Forget()
	if err := Tgqueue(unix.Getpid(), unix.Gettid(), sig, Value(0x1122334455667788)); err != nil {
		t.Fatal(err)
	}
	runs := Runs()
	if len(runs) != 1 || Ran(sig) != 1 || Ran(other) != 0 {
		t.Fatalf("%d runs: %+v", len(runs), runs)
	}
	r := runs[0]
	stack, err := Altstack(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sig != sig || r.TID != int64(unix.Gettid()) || r.Info.Signo != sig || r.Info.Code != SIQueue ||
		r.Info.Value != 0x1122334455667788 || r.Blocked&^Go != sys.Sigs(sig, other) || r.Restore&^Go != 0 ||
		r.Results[0] != int64(unix.Getpid()) || r.Results[1] != -int64(unix.EBADF) ||
		r.SP < stack.SP || r.SP >= stack.SP+stack.Size || r.Stack.SP != stack.SP || r.Stack.Size != stack.Size {
		t.Errorf("alternate stack %+v, run %+v", stack, r)
	}
	mask, err := Mask(unix.SIG_BLOCK, nil)
	if err != nil || mask != sys.Sigs(other) {
		t.Errorf("after it the mask is %#x, %v; want what the handler poked, %#x", mask, err, sys.Sigs(other))
	}
	for range maxRuns + 10 {
		if err := Raise(sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := Ran(sig); got != maxRuns {
		t.Errorf("%d runs recorded of %d, want %d", got, maxRuns+11, maxRuns)
	}
	Forget()
	if n := len(Runs()); n != 0 {
		t.Errorf("%d runs after Forget", n)
	}
}

func TestVectorsSurvive(t *testing.T) {
	locked(t)
	const sig = 45
	handle(t, sig, Handler{Flags: SAOnstack})
	Forget()
	raise := Call{Nr: unix.SYS_TGKILL, Args: [6]uintptr{uintptr(unix.Getpid()), uintptr(unix.Gettid()), sig}}
	if n := VectorsSurvive(raise); n != 0 || Ran(sig) != 1 {
		t.Errorf("%d registers changed over %d runs of the handler", n, Ran(sig))
	}
	changed, pid := VectorsSurviveFork(Call{Nr: unix.SYS_CLONE, Args: [6]uintptr{uintptr(unix.SIGCHLD)}})
	if changed != 0 || pid <= 0 {
		t.Fatalf("%d registers changed over a fork, which returned %d", changed, pid)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
		t.Errorf("child: %v, status %#x, which says that registers changed", err, status)
	}
}

func TestProbe(t *testing.T) {
	file, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	name := t.TempDir() + "/probe"
	if err := os.WriteFile(name, file, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name).Output()
	if err != nil {
		t.Fatal(err)
	}
	left, err := ParseLeft(out)
	if err != nil {
		t.Fatal(err)
	}
	if left.Mask != 0 || left.Pending != 0 || left.Stack.Flags != SSDisable {
		t.Errorf("mask %#x, pending %#x, alternate stack %+v; want none", left.Mask, left.Pending, left.Stack)
	}
	// Signals that are ignored at the start stay ignored: make(1) leaves 32
	// and 33 so.
	ignored := mustIgnored(t)
	for sig := 1; sig <= 64; sig++ {
		var want Action
		if ignored&(1<<(sig-1)) != 0 {
			want.Handler = 1 // SIG_IGN
		}
		if a := left.Actions[sig]; a != want {
			t.Errorf("signal %d has action %+v, want %+v", sig, a, want)
		}
	}
	if _, err := ParseLeft(out[1:]); err == nil {
		t.Error("ParseLeft took a short text")
	}
}

// locked locks the test to its thread and unblocks all signals there.
func locked(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	old, err := Mask(unix.SIG_SETMASK, new(sys.Sigset))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		Mask(unix.SIG_SETMASK, &old)
		runtime.UnlockOSThread()
	})
}

func handle(t *testing.T, sig unix.Signal, h Handler) {
	t.Helper()
	restore, err := Handle(sig, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := restore(); err != nil {
			t.Error(err)
		}
	})
}

// mustIgnored returns the set of signals that this process ignores,
// proc_pid_status(5).
func mustIgnored(t *testing.T) (set uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "SigIgn:\t%x", &set); n == 1 {
			return set
		}
	}
	t.Fatal("no SigIgn in /proc/self/status")
	return 0
}
