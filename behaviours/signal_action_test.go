//go:build linux

package behaviours

import (
	"math"
	"os"
	"runtime"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Actions: rt_sigaction(2), ignoring and the default.

// sigactionNumbers (SIG-41): actions of 1 to 64 can be read, all but those of
// SIGKILL and SIGSTOP can be set.
func sigactionNumbers(t testing.TB) {
	for _, sig := range []unix.Signal{0, -1, 65, 128, math.MaxInt32, math.MinInt32} {
		_, err := rawsig.SetAction(sig, nil)
		wantErr(t, err, unix.EINVAL, "reading the action of %d", sig)
		_, err = rawsig.SetAction(sig, &rawsig.Action{Handler: rawsig.Ignore})
		wantErr(t, err, unix.EINVAL, "setting the action of %d", sig)
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		old, err := rawsig.SetAction(sig, nil)
		wantErr(t, err, nil, "reading the action of %d", sig)
		want := error(nil)
		if sig == unix.SIGKILL || sig == unix.SIGSTOP {
			want = unix.EINVAL
			if old != (rawsig.Action{}) {
				t.Errorf("the action of %d is %+v, want the default", sig, old)
			}
		}
		// What is set is what can be read: the flags and masks of
		// actions without a function, too.
		before := old
		for _, a := range []rawsig.Action{
			{Handler: rawsig.Ignore, Flags: rawsig.SARestart, Mask: sys.Sigs(50)},
			{Handler: rawsig.Default, Flags: rawsig.SANodefer | rawsig.SAOnstack, Mask: rawsig.Blockable},
			{Handler: rawsig.Ignore},
			{Handler: rawsig.Default},
		} {
			got, err := rawsig.SetAction(sig, &a)
			wantErr(t, err, want, "setting the action of %d to %+v", sig, a)
			if err == nil && got != before {
				t.Errorf("setting the action of %d gave the old one as %+v, want %+v", sig, got, before)
			}
			if err == nil {
				before = a
			}
			if got := action(t, sig); got != before {
				t.Errorf("the action of %d is %+v after it was set to %+v; want %+v", sig, got, a, before)
			}
		}
		if want == nil {
			rawsig.SetAction(sig, &old)
			if got := action(t, sig); got != old {
				t.Errorf("the action of %d, put back, is %+v, was %+v", sig, got, old)
			}
		}
	}
}

// sigactionBadPointers (SIG-43): EFAULT, and an action that cannot be read is
// not set.
func sigactionBadPointers(t testing.TB) {
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore, Flags: rawsig.SARestart})
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 40, badPointer, 0, 8), unix.EFAULT, "rt_sigaction(40, bad pointer)")
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 40, 0, badPointer, 8), unix.EFAULT, "rt_sigaction(40, NULL, bad pointer)")
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 40, 0, 0, 8), nil, "rt_sigaction(40, NULL, NULL)")
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 200, badPointer, 0, 8), unix.EFAULT, "rt_sigaction(200, bad pointer)")
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 200, 0, badPointer, 8), unix.EINVAL, "rt_sigaction(200, NULL, bad pointer)")
	if got := action(t, 40); got.Handler != rawsig.Ignore || got.Flags != rawsig.SARestart {
		t.Errorf("after the errors the action is %+v", got)
	}
}

// sigactionFlags (SIG-44): flags are given back as they were set; SA_RESETHAND
// makes the action the default before the handler's first instruction, and
// keeps the rest of it.
func sigactionFlags(t testing.TB) {
	flags := []uint64{rawsig.SANocldstop, rawsig.SANocldwait, rawsig.SASiginfo, rawsig.SAOnstack, rawsig.SARestart, rawsig.SANodefer, rawsig.SAResethand}
	for subset := range 1 << len(flags) {
		var set uint64
		for i, f := range flags {
			if subset>>i&1 != 0 {
				set |= f
			}
		}
		want := rawsig.Action{Handler: rawsig.Ignore, Flags: set, Mask: sys.Sigs(41, 64)}
		act(t, 40, want)
		if got := action(t, 40); got != want {
			t.Fatalf("set %+v, got back %+v", want, got)
		}
	}

	a := fdtest.Arena(t)
	within := sys.Place(a, rawsig.Action{Handler: 77})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SAResethand, Mask: sys.Sigs(41),
		Calls: []rawsig.Call{{Nr: unix.SYS_RT_SIGACTION, Args: [6]uintptr{40, 0, ptrTo(within), 8}}}})
	want := action(t, 40)
	if want.Handler == rawsig.Default || want.Flags&rawsig.SAResethand == 0 {
		t.Fatalf("before the signal the action is %+v", want)
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	want.Handler = rawsig.Default
	if *within != want || action(t, 40) != want {
		t.Errorf("in the handler the action is %+v, after it %+v; want %+v", *within, action(t, 40), want)
	}
	if got := rawsig.Runs()[0].Blocked; got&sys.Sigs(40) == 0 {
		t.Errorf("in the handler the mask is %#x, which has not the signal itself", got)
	}
}

// unknownFlags (SIG-45): what the kernel does not know of sa_flags it clears,
// so that a program can ask what it knows; before 5.11 it kept all bits, but
// those that x86-64 has taken for itself.
func unknownFlags(t testing.TB) {
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore, Flags: math.MaxUint64})
	got, want := action(t, 40).Flags, uint64(math.MaxUint64)
	switch {
	case behaviour.Since(5, 11):
		want = rawsig.SANocldstop | rawsig.SANocldwait | rawsig.SASiginfo | rawsig.SAOnstack | rawsig.SARestart |
			rawsig.SANodefer | rawsig.SAResethand | rawsig.SAExposeTagbits | 0x04000000 // SA_RESTORER
	case runtime.GOARCH == "amd64" && got != want:
		// A mask of 32 bits takes its part where 32-bit programs can
		// run (sigaction_compat_abi).
		want = 0xfcffffff
	}
	if got != want {
		t.Errorf("all flags were set, %#x is left, want %#x", got, want)
	}
}

// ignoringDiscards (SIG-50): what is pending anywhere in the process is gone
// once it is ignored.
func ignoringDiscards(t testing.TB) {
	blockAll(t)
	behaviour.NeedPending(t, 16)
	w := startWorker(t)
	for _, c := range []struct {
		sig     unix.Signal
		action  uintptr
		discard bool
	}{
		{unix.SIGUSR1, rawsig.Ignore, true},
		{40, rawsig.Ignore, true},
		{unix.SIGWINCH, rawsig.Ignore, true},
		{unix.SIGWINCH, rawsig.Default, true}, // its default is to be ignored
		{unix.SIGCONT, rawsig.Default, true},
		{unix.SIGUSR1, rawsig.Default, false},
		{40, rawsig.Default, false},
	} {
		handle(t, c.sig, rawsig.Handler{Flags: rawsig.SAOnstack})
		for range 3 {
			wantErr(t, rawsig.Kill(os.Getpid(), c.sig), nil, "kill(self, %d)", c.sig)
			wantErr(t, rawsig.Raise(c.sig), nil, "tgkill(self, %d)", c.sig)
			wantErr(t, rawsig.Tgkill(os.Getpid(), w.Tid, c.sig), nil, "tgkill(worker, %d)", c.sig)
		}
		wantErr(t, rawsig.Raise(50), nil, "tgkill(self, 50)") // stays
		act(t, c.sig, rawsig.Action{Handler: c.action})
		want := sys.Sigs(50)
		if !c.discard {
			want |= sys.Sigs(c.sig)
		}
		check := func(who string, want sys.Sigset) {
			if got, err := rawsig.Pending(); err != nil || got&^stray != want {
				t.Errorf("signal %d set to %d: %s has %#x pending (%v), want %#x", c.sig, c.action, who, got&^stray, err, want)
			}
		}
		check("this thread", want)
		w.do(func() { check("another thread", want&^sys.Sigs(50)) })
		drain(rawsig.Blockable)
		w.do(func() { drain(rawsig.Blockable) })
	}
	// It is gone, not just hidden.
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	wantRuns(t)
}

// ignoredBlockedPends (SIG-51): a blocked signal may be waited for, so it is
// kept although it is ignored.
func ignoredBlockedPends(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
		wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(7)), nil, "rt_sigqueueinfo(self, %d)", sig)
		wantPending(t, sys.Sigs(sig))
		if info := mustTakeSignal(t, sys.Sigs(sig)); info.Value != 7 {
			t.Errorf("signal %d was taken with value %d, want 7", sig, info.Value)
		}
		// Not taken, it goes when it is unblocked.
		wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(8)), nil, "rt_sigqueueinfo(self, %d)", sig)
		setMask(t, rawsig.Blockable&^sys.Sigs(sig))
		setMask(t, rawsig.Blockable)
		wantPending(t, 0)
	}
}

// ignoredIsDropped (SIG-52): an ignored signal that is not blocked is nothing,
// from the start.
func ignoredIsDropped(t testing.TB) {
	for _, c := range []struct {
		sig    unix.Signal
		action uintptr
	}{{unix.SIGUSR1, rawsig.Ignore}, {40, rawsig.Ignore}, {unix.SIGWINCH, rawsig.Default}, {unix.SIGCONT, rawsig.Default}} {
		act(t, c.sig, rawsig.Action{Handler: c.action})
		setMask(t, rawsig.Blockable&^sys.Sigs(c.sig))
		wantErr(t, rawsig.Kill(os.Getpid(), c.sig), nil, "kill(self, %d)", c.sig)
		wantErr(t, rawsig.Raise(c.sig), nil, "tgkill(self, %d)", c.sig)
		setMask(t, rawsig.Blockable)
		wantPending(t, 0)
	}
}

// badOldPointers (SIG-92): where the old state cannot be written, the call
// fails and the new one is set.
func badOldPointers(t testing.TB) {
	setMask(t, rawsig.Blockable)
	a := fdtest.Arena(t)
	want := rawsig.Action{Handler: rawsig.Ignore, Flags: rawsig.SARestart}
	act(t, 40, rawsig.Action{})
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 40, ptrTo(sys.Place(a, want)), badPointer, 8), unix.EFAULT, "rt_sigaction(40, act, bad pointer)")
	if got := action(t, 40); got != want {
		t.Errorf("rt_sigaction: the action is %+v, want %+v", got, want)
	}
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, ptrTo(sys.Place(a, sys.Sigs(40))), badPointer, 8), unix.EFAULT, "rt_sigprocmask(SIG_UNBLOCK, set, bad pointer)")
	wantMask(t, "rt_sigprocmask", rawsig.Blockable&^sys.Sigs(40))
	const size = 64 << 10
	stack := rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Size: size}
	first, err := rawsig.Altstack(nil)
	wantErr(t, err, nil, "sigaltstack(NULL)")
	defer rawsig.Altstack(&first)
	wantErr(t, rawsig.Do(unix.SYS_SIGALTSTACK, ptrTo(sys.Place(a, stack)), badPointer), unix.EFAULT, "sigaltstack(stack, bad pointer)")
	if got, err := rawsig.Altstack(nil); err != nil || got != stack {
		t.Errorf("sigaltstack: the stack is %+v (%v), want %+v", got, err, stack)
	}
}

var signalActionRows = map[string]func(*testing.T){
	"SIG-41": behaviour.Alone(sigactionNumbers, quiet...),
	"SIG-43": behaviour.Alone(sigactionBadPointers, quiet...),
	"SIG-44": behaviour.Alone(sigactionFlags, quiet...),
	"SIG-45": behaviour.Alone(unknownFlags, quiet...),
	"SIG-50": behaviour.Alone(ignoringDiscards, quiet...),
	"SIG-51": behaviour.Alone(ignoredBlockedPends, quiet...),
	"SIG-52": behaviour.Alone(ignoredIsDropped, quiet...),
	"SIG-92": behaviour.Alone(badOldPointers, quiet...),
}
