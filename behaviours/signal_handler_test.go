//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Running a handler: what it may rely on and may change.

// maskDuringHandler (SIG-47): the signal itself and sa_mask are blocked in
// addition to what was, and only until the handler returns.
func maskDuringHandler(t testing.TB) {
	outer := rawsig.Blockable &^ sys.Sigs(40, 41, 42)
	setMask(t, outer)
	for _, c := range []struct {
		flags uint64
		mask  sys.Sigset
		want  sys.Sigset
	}{
		{0, 0, outer | sys.Sigs(40)},
		{0, sys.Sigs(41), outer | sys.Sigs(40, 41)},
		{rawsig.SANodefer, 0, outer},
		{rawsig.SANodefer, sys.Sigs(41), outer | sys.Sigs(41)},
		{rawsig.SANodefer, sys.Sigs(40), outer | sys.Sigs(40)}, // named in sa_mask it is blocked all the same
	} {
		handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack | c.flags, Mask: c.mask})
		wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
		wantRuns(t, 40)
		what := fmt.Sprintf("flags %#x, sa_mask %#x", c.flags, c.mask)
		if r := rawsig.Runs()[0]; r.Blocked != c.want || r.Restore != outer {
			t.Errorf("%s: during the handler %#x is blocked and %#x to be restored, want %#x and %#x", what, r.Blocked, r.Restore, c.want, outer)
		}
		wantMask(t, what+": after the handler", outer)
	}
}

// handlerChangesMask (SIG-76): the mask after a handler is what its context
// says then.
func handlerChangesMask(t testing.TB) {
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	for _, mask := range []sys.Sigset{0, sys.Sigs(40, 41), rawsig.All} {
		setMask(t, rawsig.Blockable&^sys.Sigs(40))
		handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Pokes: []rawsig.Poke{{Offset: rawsig.UcontextMask, Value: uint64(mask)}}})
		wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
		wantRuns(t, 40)
		wantMask(t, fmt.Sprintf("after a handler that changed it to %#x", mask), mask&rawsig.Blockable)
	}
	// What it unblocks comes as soon as it returns.
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	handle(t, 41, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Pokes: []rawsig.Poke{{Offset: rawsig.UcontextMask}}})
	wantErr(t, rawsig.Raise(41), nil, "tgkill(self, 41)")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40, 41)
}

// vectorsSurvive (SIG-77): a handler may use vector registers; they are put
// back, also when handlers are nested, and a fork copies them.
func vectorsSurvive(t testing.TB) {
	self := func(sig unix.Signal) rawsig.Call {
		return rawsig.Call{Nr: unix.SYS_TGKILL, Args: [6]uintptr{uintptr(os.Getpid()), uintptr(unix.Gettid()), uintptr(sig)}}
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(40, 41))
	handle(t, 41, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{self(41)}})
	for range 100 {
		rawsig.Forget()
		if n := rawsig.VectorsSurvive(self(41)); n != 0 {
			t.Fatalf("a handler changed %d vector registers of what it interrupted", n)
		}
		if n := rawsig.VectorsSurvive(self(40)); n != 0 {
			t.Fatalf("nested handlers changed %d vector registers of what they interrupted", n)
		}
		wantRuns(t, 41, 40, 41)
	}
	changed, pid := rawsig.VectorsSurviveFork(rawsig.Call{Nr: unix.SYS_CLONE, Args: [6]uintptr{uintptr(unix.SIGCHLD)}})
	if pid < 0 {
		t.Fatalf("fork: %v", unix.Errno(-pid))
	}
	if status := reap(t, pid); changed != 0 || status != 0 {
		t.Errorf("a fork changed %d vector registers of the parent; the child's status is %#x, want 0", changed, status)
	}
}

// handlersNest (SIG-90): when signals are delivered whose handlers do not block
// each other, the one taken last runs first: each interrupts the one before at
// its first instruction.
func handlersNest(t testing.TB) {
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40, 41} {
		handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack})
	}
	blockAll(t)
	outer := rawsig.Blockable &^ sys.Sigs(unix.SIGUSR1, 40, 41)
	for _, sig := range []unix.Signal{41, 40, unix.SIGUSR1} {
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self, %d)", sig)
	}
	setMask(t, outer)
	wantRuns(t, 41, 40, unix.SIGUSR1)
	runs := rawsig.Runs()
	if runs[0].SP >= runs[1].SP || runs[1].SP >= runs[2].SP {
		t.Errorf("handlers ran at %#x, %#x and %#x, want each above the one before", runs[0].SP, runs[1].SP, runs[2].SP)
	}
	if want := outer | sys.Sigs(unix.SIGUSR1, 40); runs[0].Restore != want {
		t.Errorf("the innermost handler will restore the mask %#x, want %#x", runs[0].Restore, want)
	}
}

// nodeferNests (SIG-91): with SA_NODEFER a signal interrupts its own handler,
// else it waits for its return.
func nodeferNests(t testing.TB) {
	for _, c := range []struct {
		flags uint64
		want  []uint64
	}{{0, []uint64{1, 2}}, {rawsig.SANodefer, []uint64{2, 1}}} {
		handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack | c.flags})
		blockAll(t)
		for v := range uint64(2) {
			wantErr(t, rawsig.Tgqueue(os.Getpid(), unix.Gettid(), 40, rawsig.Value(v+1)), nil, "rt_tgsigqueueinfo(self, 40)")
		}
		setMask(t, rawsig.Blockable&^sys.Sigs(40))
		var got []uint64
		for _, r := range rawsig.Runs() {
			got = append(got, r.Info.Value)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("flags %#x: handlers ran with the values %v, want %v", c.flags, got, c.want)
		}
	}
}

var signalHandlerRows = map[string]func(*testing.T){
	"SIG-47": behaviour.Alone(maskDuringHandler, quiet...),
	"SIG-76": behaviour.Alone(handlerChangesMask, quiet...),
	"SIG-77": behaviour.Alone(vectorsSurvive, quiet...),
	"SIG-90": behaviour.Alone(handlersNest, quiet...),
	"SIG-91": behaviour.Alone(nodeferNests, quiet...),
}
