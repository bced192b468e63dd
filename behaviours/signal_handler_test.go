//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Actions, masks, handlers and waits: further rows of TestSignal.

var signalHandlerRows = map[string]func(*testing.T){
	"SIG-33": behaviour.Alone(kernelFaultFirst, quiet...),
	"SIG-41": behaviour.Alone(sigactionNumbers, quiet...),
	"SIG-42": behaviour.Alone(sigsetSizes, quiet...),
	"SIG-43": behaviour.Alone(sigactionBadPointers, quiet...),
	"SIG-44": behaviour.Alone(sigactionFlags, quiet...),
	"SIG-45": behaviour.Alone(unknownFlags, quiet...),
	"SIG-46": behaviour.Alone(killAndStopInMasks, quiet...),
	"SIG-47": behaviour.Alone(maskDuringHandler, quiet...),
	"SIG-48": behaviour.Alone(sigprocmaskArguments, quiet...),
	"SIG-49": behaviour.Alone(unblockingDelivers, quiet...),
	"SIG-50": behaviour.Alone(ignoringDiscards, quiet...),
	"SIG-51": behaviour.Alone(ignoredBlockedPends, quiet...),
	"SIG-52": behaviour.Alone(ignoredIsDropped, quiet...),
	"SIG-57": behaviour.Alone(pendingIsUnion, quiet...),
	"SIG-60": faultCannotBeBlocked,
	"SIG-61": behaviour.Alone(pauseEndsWithHandler, quiet...),
	"SIG-62": behaviour.Alone(sigsuspendSwapsMask, quiet...),
	"SIG-63": behaviour.Alone(sigtimedwaitTimeout, quiet...),
	"SIG-64": behaviour.Alone(sigtimedwaitInterrupted, quiet...),
	"SIG-65": behaviour.Alone(sigtimedwaitTakes, quiet...),
	"SIG-66": sigtimedwaitCannotTakeKill,
	"SIG-67": behaviour.Alone(sigtimedwaitBeatsHandler, quiet...),
	"SIG-68": behaviour.Alone(sigtimedwaitReleasesOne, quiet...),
	"SIG-69": behaviour.Alone(sigtimedwaitBadPointers, quiet...),
	"SIG-70": behaviour.Alone(restart, quiet...),
	"SIG-73": behaviour.Alone(alternateStack, quiet...),
	"SIG-74": behaviour.Alone(autodisarm, quiet...),
	"SIG-75": behaviour.Alone(minimalStack, quiet...),
	"SIG-76": behaviour.Alone(handlerChangesMask, quiet...),
	"SIG-77": behaviour.Alone(vectorsSurvive, quiet...),
	"SIG-90": behaviour.Alone(handlersNest, quiet...),
	"SIG-91": behaviour.Alone(nodeferNests, quiet...),
	"SIG-92": behaviour.Alone(badOldPointers, quiet...),
	"SIG-93": behaviour.Alone(threadQueueFirst, quiet...),
	"SIG-94": behaviour.Alone(waitForNothing, quiet...),
	"SIG-95": behaviour.Alone(alternateStackOfChildren, quiet...),
	"SIG-96": frameThatDoesNotFit,
}

// sigactionNumbers: actions of 1 to 64 can be read, all but those of SIGKILL and
// SIGSTOP can be set.
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
		// What is set is what can be read: the flags and masks of actions without a function, too.
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

// sigsetSizes: sets are of 8 bytes; only rt_sigpending gives part of one.
func sigsetSizes(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	set, old := sys.Place(a, sys.Sigset(0)), sys.Place(a, rawsig.Action{})
	for _, size := range []uintptr{0, 1, 4, 7, 9, 16, 128, minusOne} {
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 40, 0, ptrTo(old), size), unix.EINVAL, "rt_sigaction with size %d", size)
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGACTION, 200, badPointer, badPointer, size), unix.EINVAL, "a wrong rt_sigaction with size %d", size)
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, ptrTo(set), 0, size), unix.EINVAL, "rt_sigprocmask with size %d", size)
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGPROCMASK, 77, badPointer, badPointer, size), unix.EINVAL, "a wrong rt_sigprocmask with size %d", size)
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGSUSPEND, ptrTo(set), size), unix.EINVAL, "rt_sigsuspend with size %d", size)
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGTIMEDWAIT, ptrTo(set), 0, 0, size), unix.EINVAL, "rt_sigtimedwait with size %d", size)
	}
	wantMask(t, "after those", rawsig.Blockable)

	wantErr(t, rawsig.Raise(unix.SIGUSR1), nil, "tgkill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	all := sys.Sigs(unix.SIGUSR1, 40)
	for _, size := range []uintptr{0, 1, 4, 7, 8} {
		*set = math.MaxUint64
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGPENDING, ptrTo(set), size), nil, "rt_sigpending with size %d", size)
		low := sys.Sigset(1)<<(8*size) - 1 // all ones for 8
		if got, want := *set&^(stray&low), all&low|^low; got != want {
			t.Errorf("rt_sigpending with size %d: %#x, want %#x", size, got, want)
		}
	}
	for _, size := range []uintptr{9, 16, 128, minusOne} {
		wantErr(t, rawsig.Do(unix.SYS_RT_SIGPENDING, ptrTo(set), size), unix.EINVAL, "rt_sigpending with size %d", size)
	}
}

// sigactionBadPointers: EFAULT, and an action that cannot be read is not set.
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

// sigactionFlags: flags are given back as they were set; SA_RESETHAND makes the
// action the default before the handler's first instruction, and keeps the rest of it.
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

// unknownFlags: what the kernel does not know of sa_flags it clears, so that a
// program can ask what it knows; before 5.11 it kept all bits, but those that x86-64 has taken for itself.
func unknownFlags(t testing.TB) {
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore, Flags: math.MaxUint64})
	got, want := action(t, 40).Flags, uint64(math.MaxUint64)
	switch {
	case behaviour.Since(5, 11):
		want = rawsig.SANocldstop | rawsig.SANocldwait | rawsig.SASiginfo | rawsig.SAOnstack | rawsig.SARestart |
			rawsig.SANodefer | rawsig.SAResethand | rawsig.SAExposeTagbits | 0x04000000 // SA_RESTORER
	case runtime.GOARCH == "amd64" && got != want:
		// A mask of 32 bits takes its part where 32-bit programs can run (sigaction_compat_abi).
		want = 0xfcffffff
	}
	if got != want {
		t.Errorf("all flags were set, %#x is left, want %#x", got, want)
	}
}

// killAndStopInMasks: SIGKILL and SIGSTOP are taken out of masks without an error.
func killAndStopInMasks(t testing.TB) {
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore, Mask: rawsig.All})
	if got := action(t, 40).Mask; got != rawsig.Blockable {
		t.Errorf("sa_mask of all signals became %#x, want %#x", got, rawsig.Blockable)
	}
	for _, how := range []int{unix.SIG_SETMASK, unix.SIG_BLOCK} {
		all := rawsig.All
		_, err := rawsig.Mask(how, &all)
		wantErr(t, err, nil, "rt_sigprocmask(%d, all)", how)
		wantMask(t, "all blocked", rawsig.Blockable)
		none := sys.Sigset(0)
		rawsig.Mask(unix.SIG_SETMASK, &none)
	}
	only := sys.Sigs(unix.SIGKILL, unix.SIGSTOP)
	_, err := rawsig.Mask(unix.SIG_BLOCK, &only)
	wantErr(t, err, nil, "rt_sigprocmask(SIG_BLOCK, SIGKILL and SIGSTOP)")
	wantMask(t, "SIGKILL and SIGSTOP blocked", 0)
}

// maskDuringHandler: the signal itself and sa_mask are blocked in addition to
// what was, and only until the handler returns.
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

// sigprocmaskArguments: SIG_BLOCK adds a set to the mask, SIG_UNBLOCK takes it out, SIG_SETMASK replaces the mask; another how
// is EINVAL, unless there is no set, bad memory EFAULT, and neither changes anything.
func sigprocmaskArguments(t testing.TB) {
	start := rawsig.Blockable &^ sys.Sigs(40, 41, 42)
	for _, c := range []struct {
		how       int
		set, want sys.Sigset
	}{
		{unix.SIG_BLOCK, sys.Sigs(40), start | sys.Sigs(40)},
		{unix.SIG_BLOCK, 0, start},
		{unix.SIG_UNBLOCK, sys.Sigs(50, 41), start &^ sys.Sigs(50)},
		{unix.SIG_UNBLOCK, 0, start},
		{unix.SIG_SETMASK, sys.Sigs(50), sys.Sigs(50)},
		{unix.SIG_SETMASK, 0, 0},
	} {
		setMask(t, start)
		old, err := rawsig.Mask(c.how, &c.set)
		wantErr(t, err, nil, "rt_sigprocmask(%d, %#x)", c.how, c.set)
		if old != start {
			t.Errorf("rt_sigprocmask(%d, %#x) gave the old mask %#x, want %#x", c.how, c.set, old, start)
		}
		wantMask(t, fmt.Sprintf("rt_sigprocmask(%d, %#x)", c.how, c.set), c.want)
	}
	setMask(t, start)
	a := fdtest.Arena(t)
	set, old := sys.Place(a, sys.Sigs(50)), sys.Place(a, sys.Sigset(0))
	procmask := func(how int, set, old uintptr) error {
		return rawsig.Do(unix.SYS_RT_SIGPROCMASK, uintptr(how), set, old, 8)
	}
	for _, how := range []int{-1, 3, 77} {
		wantErr(t, procmask(how, ptrTo(set), ptrTo(old)), unix.EINVAL, "rt_sigprocmask(%d, set)", how)
		if *old != 0 {
			t.Errorf("rt_sigprocmask(%d) failed and wrote the old mask", how)
		}
		wantErr(t, procmask(how, badPointer, 0), unix.EFAULT, "rt_sigprocmask(%d, bad pointer)", how)
		wantErr(t, procmask(how, 0, 0), nil, "rt_sigprocmask(%d, NULL)", how)
		wantErr(t, procmask(how, 0, ptrTo(old)), nil, "rt_sigprocmask(%d, NULL, old)", how)
		if *old != start {
			t.Errorf("rt_sigprocmask(%d, NULL) gave the mask %#x, want %#x", how, *old, start)
		}
		*old = 0
	}
	wantErr(t, procmask(unix.SIG_BLOCK, badPointer, ptrTo(old)), unix.EFAULT, "rt_sigprocmask(SIG_BLOCK, bad pointer)")
	wantErr(t, procmask(unix.SIG_BLOCK, 0, badPointer), unix.EFAULT, "rt_sigprocmask(SIG_BLOCK, NULL, bad pointer)")
	wantMask(t, "after the errors", start)
	wantErr(t, procmask(unix.SIG_SETMASK, ptrTo(set), ptrTo(set)), nil, "rt_sigprocmask with one place for both sets")
	wantMask(t, "one place for both sets", sys.Sigs(50))
	if *set != start {
		t.Errorf("one place for both sets: it holds %#x after the call, want the old mask %#x", *set, start)
	}
}

// unblockingDelivers: what is pending is handled before the call that unblocks it returns.
func unblockingDelivers(t testing.TB) {
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	for i := range 50 {
		blockAll(t)
		rawsig.Forget()
		wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
		wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
		if n := len(rawsig.Runs()); n != 0 {
			t.Fatalf("%d handlers ran while the signals were blocked", n)
		}
		setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1, 40))
		if got := len(rawsig.Runs()); got != 2 {
			t.Fatalf("the %d. call returned after %d runs of handlers, want 2", i+1, got)
		}
	}
}

// ignoringDiscards: what is pending anywhere in the process is gone once it is ignored.
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

// ignoredBlockedPends: a blocked signal may be waited for, so it is kept although it is ignored.
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

// ignoredIsDropped: an ignored signal that is not blocked is nothing, from the start.
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

// pendingIsUnion: rt_sigpending has what waits for the thread and what waits
// for the process, if it is blocked.
func pendingIsUnion(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	wantPending(t, 0)
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), w.Tid, 41), nil, "tgkill(worker, 41)")
	wantPending(t, sys.Sigs(unix.SIGUSR1, 40))
	w.do(func() { wantPending(t, sys.Sigs(unix.SIGUSR1, 41)) })
	// Not blocked by the caller, a signal that waits for the process is not pending for it.
	w.do(func() {
		act(t, unix.SIGUSR1, rawsig.Action{Handler: rawsig.Ignore})
		wantPending(t, sys.Sigs(41))
		drain(rawsig.Blockable)
	})
	wantPending(t, sys.Sigs(40))
}

// faultCannotBeBlocked: a signal that the kernel raises for a fault kills the
// process if it is blocked or ignored; the same signal sent does not.
func faultCannotBeBlocked(t *testing.T) {
	for _, how := range []string{"block", "ignore", "ignore and block"} {
		p := child.Start(t, faulting, child.Options{Args: []string{how}})
		p.Expect("survived SIGSEGV sent to itself")
		if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGSEGV {
			t.Errorf("%s: status %#x, want killed by SIGSEGV", how, s)
		}
	}
}

var faulting = child.Register("faulting", func(p *child.Proc) error {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	how := p.Args[0]
	mask := sys.Sigset(0)
	if how != "block" {
		if err := child.Ignore(unix.SIGSEGV); err != nil {
			return err
		}
	}
	if how != "ignore" {
		mask = sys.Sigs(unix.SIGSEGV)
	}
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := rawsig.Raise(unix.SIGSEGV); err != nil {
		return err
	}
	if how == "block" {
		rawsig.Take(mask) // else it would be delivered in the fault's place
	}
	p.Say("survived SIGSEGV sent to itself")
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return fmt.Errorf("read %d from a page without access", page[0])
})

// pauseEndsWithHandler: pause returns when a handler has returned, and for nothing else.
func pauseEndsWithHandler(t testing.TB) {
	act(t, 40, rawsig.Action{Handler: rawsig.Ignore})
	for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
		handle(t, 41, rawsig.Handler{Flags: flags})
		var err error
		var ran int
		th := child.Go(t, "pausing thread", func() error {
			setMask(t, rawsig.Blockable&^sys.Sigs(40, 41))
			err = unix.Pause()
			ran = rawsig.Ran(41)
			return nil
		})
		th.AwaitBlocked(rawsig.PauseNr)
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 40), nil, "tgkill(pausing thread, ignored signal)")
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 50), nil, "tgkill(pausing thread, blocked signal)")
		stillBlocked(t, th, rawsig.PauseNr)
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 41), nil, "tgkill(pausing thread, caught signal)")
		th.Join()
		wantErr(t, err, unix.EINTR, "pause, flags %#x", flags)
		if ran != 1 {
			t.Errorf("pause returned after %d runs of the handler, want 1", ran)
		}
	}
}

// sigsuspendSwapsMask: the mask is in force while it waits, also for a signal
// that came before, and during the handler; then the old one is back.
func sigsuspendSwapsMask(t testing.TB) {
	during := rawsig.Blockable &^ sys.Sigs(40, 41)
	for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
		act(t, 40, rawsig.Action{Handler: rawsig.Ignore})
		handle(t, 41, rawsig.Handler{Flags: flags})
		check := func(when string, err error) {
			t.Helper()
			wantErr(t, err, unix.EINTR, "rt_sigsuspend, signal %s", when)
			runs := rawsig.Runs()
			if len(runs) != 1 {
				t.Fatalf("rt_sigsuspend, signal %s: returned after %d runs of the handler, want 1", when, len(runs))
			}
			if r := runs[0]; r.Blocked != during|sys.Sigs(41) || r.Restore != rawsig.Blockable {
				t.Errorf("rt_sigsuspend, signal %s: during the handler %#x is blocked and %#x to be restored, want %#x and %#x",
					when, r.Blocked, r.Restore, during|sys.Sigs(41), rawsig.Blockable)
			}
			rawsig.Forget()
		}
		blockAll(t)
		wantErr(t, rawsig.Raise(41), nil, "tgkill(self, 41)")
		err := rawsig.Suspend(during | sys.Sigs(unix.SIGKILL, unix.SIGSTOP))
		check("before it", err)
		wantMask(t, "after rt_sigsuspend", rawsig.Blockable)

		th := child.Go(t, "suspended thread", func() error {
			setMask(t, rawsig.Blockable)
			err = rawsig.Suspend(during)
			wantMask(t, "after rt_sigsuspend", rawsig.Blockable)
			return nil
		})
		th.AwaitBlocked(unix.SYS_RT_SIGSUSPEND)
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 40), nil, "tgkill(suspended thread, ignored signal)")
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 50), nil, "tgkill(suspended thread, blocked signal)")
		stillBlocked(t, th, unix.SYS_RT_SIGSUSPEND)
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 41), nil, "tgkill(suspended thread, 41)")
		th.Join()
		check("during it", err)
	}
	wantErr(t, rawsig.Do(unix.SYS_RT_SIGSUSPEND, badPointer, 8), unix.EFAULT, "rt_sigsuspend(bad pointer)")
}

// sigtimedwaitTimeout: checked before the signals are; EAGAIN when it is over, and not before.
func sigtimedwaitTimeout(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	set := sys.Place(a, sys.Sigs(40))
	wait := func(sec, nsec int64) error {
		limit := sys.Place(a, unix.Timespec{Sec: sec, Nsec: nsec})
		_, _, errno := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, ptrTo(set), 0, ptrTo(limit), 8, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
	bad := []unix.Timespec{{Nsec: 1e9}, {Nsec: -1}, {Sec: -1}, {Sec: math.MinInt64}, {Nsec: math.MaxInt64}, {Sec: -1, Nsec: 1e9}}
	for _, ts := range bad {
		wantErr(t, wait(ts.Sec, ts.Nsec), unix.EINVAL, "timeout %+v", ts)
	}
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	for _, ts := range bad {
		wantErr(t, wait(ts.Sec, ts.Nsec), unix.EINVAL, "timeout %+v with a signal pending", ts)
	}
	wantPending(t, sys.Sigs(40))
	wantErr(t, wait(math.MaxInt64, 999999999), nil, "the longest timeout with a signal pending")
	wantErr(t, wait(0, 0), unix.EAGAIN, "timeout 0")
	for _, d := range []time.Duration{1, 20 * time.Millisecond} {
		start := time.Now()
		wantErr(t, wait(0, int64(d)), unix.EAGAIN, "timeout %v", d)
		if took := time.Since(start); took < d {
			t.Errorf("a timeout of %v was over after %v", d, took)
		}
	}
}

// sigtimedwaitInterrupted: it waits for ever without a timeout; a handler of another signal
// ends it, SA_RESTART or not, and an ignored or blocked one does not.
func sigtimedwaitInterrupted(t testing.TB) {
	act(t, 42, rawsig.Action{Handler: rawsig.Ignore})
	for _, timeout := range []time.Duration{-1, time.Hour} {
		for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
			handle(t, 41, rawsig.Handler{Flags: flags})
			var err error
			th := child.Go(t, "waiting thread", func() error {
				setMask(t, rawsig.Blockable&^sys.Sigs(41, 42))
				_, err = rawsig.Wait(sys.Sigs(40), timeout)
				wantMask(t, "after the wait", rawsig.Blockable&^sys.Sigs(41, 42))
				return nil
			})
			th.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 42), nil, "tgkill(waiting thread, ignored signal)")
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 50), nil, "tgkill(waiting thread, blocked signal)")
			stillBlocked(t, th, unix.SYS_RT_SIGTIMEDWAIT)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 41), nil, "tgkill(waiting thread, caught signal)")
			th.Join()
			wantErr(t, err, unix.EINTR, "rt_sigtimedwait with timeout %v, flags %#x", timeout, flags)
			wantRuns(t, 41)
		}
	}
}

// sigtimedwaitTakes: what it returns is no longer pending, and no handler runs.
func sigtimedwaitTakes(t testing.TB) {
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	blockAll(t)
	for _, sig := range []unix.Signal{40, unix.SIGUSR1, 41} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	wantNone(t, sys.Sigs(42, unix.SIGUSR2))
	wantOrder(t, sys.Sigs(40, unix.SIGUSR1), unix.SIGUSR1, 40)
	wantPending(t, sys.Sigs(41))
	setMask(t, rawsig.Blockable&^sys.Sigs(40, unix.SIGUSR1))
	wantRuns(t)

	// While it waits, too.
	var info sys.Siginfo
	th := child.Go(t, "waiting thread", func() (err error) {
		setMask(t, rawsig.Blockable)
		info, err = rawsig.Wait(sys.Sigs(40), -1)
		return err
	})
	th.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
	wantErr(t, rawsig.Tgqueue(os.Getpid(), th.Tid, 40, rawsig.Value(6)), nil, "rt_tgsigqueueinfo(waiting thread, 40)")
	th.Join()
	if info.Signo != 40 || info.Value != 6 {
		t.Errorf("it waited for 40 with value 6 and got %d with %d", info.Signo, info.Value)
	}
	wantRuns(t)
}

// sigtimedwaitCannotTakeKill: SIGKILL and SIGSTOP do what they do, waited for or not.
func sigtimedwaitCannotTakeKill(t *testing.T) {
	p := child.Start(t, waitingForKill, child.Options{Block: quiet})
	p.Expect("waiting")
	p.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	p.Signal(unix.SIGCONT)
	p.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGKILL {
		t.Errorf("status %#x, want killed by SIGKILL", s)
	}
}

var waitingForKill = child.Register("waiting-for-kill", func(p *child.Proc) error {
	mask := rawsig.Blockable
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	p.Say("waiting")
	for {
		// Stopping and continuing may interrupt it.
		info, err := rawsig.Wait(sys.Sigs(unix.SIGKILL, unix.SIGSTOP), -1)
		if err != unix.EINTR {
			return fmt.Errorf("it waited for SIGKILL and SIGSTOP and got %d, %v", info.Signo, err)
		}
	}
})

// sigtimedwaitBeatsHandler: while a thread waits for a signal that it does not
// block, the signal is the wait's, not its handler's.
func sigtimedwaitBeatsHandler(t testing.TB) {
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	mask := rawsig.Blockable &^ sys.Sigs(40)
	var info sys.Siginfo
	th := child.Go(t, "waiting thread", func() (err error) {
		setMask(t, mask)
		info, err = rawsig.Wait(sys.Sigs(40, 41), -1) // 41 was blocked and is so again
		wantMask(t, "after the wait", mask)
		wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
		return err
	})
	th.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
	wantErr(t, rawsig.Tgqueue(os.Getpid(), th.Tid, 40, rawsig.Value(6)), nil, "rt_tgsigqueueinfo(waiting thread, 40)")
	th.Join()
	if info.Signo != 40 || info.Value != 6 {
		t.Errorf("it waited for 40 with value 6 and got %d with %d", info.Signo, info.Value)
	}
	wantRuns(t, 40) // the one after the wait
}

// sigtimedwaitReleasesOne: of several threads that wait for a signal to the
// process one gets it. Others may be interrupted: the one that was woken blocks the signal again before
// it takes it, and the kernel then looks for another thread (retarget_shared_pending).
func sigtimedwaitReleasesOne(t testing.TB) {
	blockAll(t)
	const n = 4
	type taken struct {
		by    *child.Thread
		value uint64
	}
	var interrupted atomic.Int32
	got := make(chan taken, n)
	waiting := map[*child.Thread]bool{}
	for range n {
		var th *child.Thread
		known := make(chan struct{})
		th = child.Go(t, "waiting thread", func() error {
			setMask(t, rawsig.Blockable)
			<-known
			for {
				info, err := rawsig.Wait(sys.Sigs(unix.SIGUSR1), -1)
				if err == unix.EINTR {
					interrupted.Add(1)
					continue
				}
				got <- taken{th, info.Value}
				return err
			}
		})
		close(known)
		waiting[th] = true
	}
	for len(waiting) > 0 {
		for th := range waiting {
			th.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
		}
		value := uint64(len(waiting))
		wantErr(t, rawsig.Queue(os.Getpid(), unix.SIGUSR1, rawsig.Value(value)), nil, "rt_sigqueueinfo(self, SIGUSR1)")
		select {
		case g := <-got:
			if g.value != value {
				t.Errorf("value %d, want %d", g.value, value)
			}
			delete(waiting, g.by)
		case <-time.After(child.Patience / 2):
			t.Fatalf("none of %d waiting threads got the signal", len(waiting))
		}
		for th := range waiting {
			stillBlocked(t, th, unix.SYS_RT_SIGTIMEDWAIT)
		}
	}
	if n := interrupted.Load(); n > 0 {
		t.Logf("%d waits were interrupted by a signal that another thread took", n)
	}
}

// sigtimedwaitBadPointers: EFAULT; where only the siginfo cannot be written the signal is taken all the same.
func sigtimedwaitBadPointers(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	set, zero := sys.Place(a, sys.Sigs(40)), sys.Place(a, unix.Timespec{})
	wait := func(set, info, limit uintptr) error {
		_, _, errno := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, set, info, limit, 8, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	for _, p := range []uintptr{0, badPointer} {
		wantErr(t, wait(p, 0, ptrTo(zero)), unix.EFAULT, "set at %d", p)
	}
	wantErr(t, wait(ptrTo(set), 0, badPointer), unix.EFAULT, "timeout at a bad address")
	wantPending(t, sys.Sigs(40))
	wantErr(t, wait(ptrTo(set), badPointer, ptrTo(zero)), unix.EFAULT, "siginfo at a bad address")
	wantPending(t, 0)
	wantErr(t, wait(ptrTo(set), badPointer, ptrTo(zero)), unix.EAGAIN, "siginfo at a bad address and nothing pending")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantErr(t, wait(ptrTo(set), 0, ptrTo(zero)), nil, "no siginfo wanted")
	wantPending(t, 0)
}

// restart: which calls a handler with SA_RESTART lets go on, signal(7). Without it all fail with EINTR.
func restart(t testing.TB) {
	var mu [2]int // two descriptions of one file, to lock it twice
	mu[0] = mustMemfd(t)
	var err error
	if mu[1], err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", mu[0]), unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	a := fdtest.Arena(t)
	futex := a.Word32(0)
	hour := sys.Place(a, unix.Timespec{Sec: 3600})
	buf := a.Bytes(16)
	none := func() {}
	pipeIn := func() (r, w int) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
		return p[0], p[1]
	}
	// Each returns the call that blocks and how to let it succeed.
	for _, c := range []struct {
		name     string
		nr       uintptr
		restarts bool
		prepare  func() (args []uintptr, release func())
	}{
		{"read of a pipe", unix.SYS_READ, true, func() ([]uintptr, func()) {
			r, w := pipeIn()
			return []uintptr{uintptr(r), ptrTo(&buf[0]), 1}, func() { unix.Write(w, []byte{1}) }
		}},
		{"write to a full pipe", unix.SYS_WRITE, true, func() ([]uintptr, func()) {
			r, w := pipeIn()
			size, err := unix.FcntlInt(uintptr(w), unix.F_SETPIPE_SZ, 4096)
			if err != nil {
				t.Fatal(err)
			}
			fill := make([]byte, size)
			unix.Write(w, fill)
			return []uintptr{uintptr(w), ptrTo(&buf[0]), 1}, func() { unix.Read(r, fill) }
		}},
		{"recvfrom", unix.SYS_RECVFROM, true, func() ([]uintptr, func()) {
			s := fdtest.Socketpair(t)
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, func() { unix.Write(s[1], []byte{1}) }
		}},
		{"recvfrom with SO_RCVTIMEO", unix.SYS_RECVFROM, false, func() ([]uintptr, func()) {
			s := fdtest.Socketpair(t)
			if err := unix.SetsockoptTimeval(s[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, none
		}},
		{"wait4", unix.SYS_WAIT4, true, func() ([]uintptr, func()) {
			b := startReceiver(t, a, 45)
			return []uintptr{uintptr(b.TID), 0, 0, 0}, func() { rawsig.Kill(b.TID, 45) }
		}},
		{"waitid", unix.SYS_WAITID, true, func() ([]uintptr, func()) {
			b := startReceiver(t, a, 45)
			return []uintptr{unix.P_PID, uintptr(b.TID), 0, unix.WEXITED, 0}, func() { rawsig.Kill(b.TID, 45) }
		}},
		{"flock", unix.SYS_FLOCK, true, func() ([]uintptr, func()) {
			unix.Flock(mu[1], unix.LOCK_UN)
			if err := unix.Flock(mu[0], unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(mu[1]), unix.LOCK_EX}, func() { unix.Flock(mu[0], unix.LOCK_UN) }
		}},
		{"futex without a timeout", unix.SYS_FUTEX, true, func() ([]uintptr, func()) {
			return []uintptr{ptrTo(futex), sys.FutexOpWait, 0, 0, 0, 0}, func() {
				rawsig.Do(unix.SYS_FUTEX, ptrTo(futex), sys.FutexOpWake, 1)
			}
		}},
		{"futex with a timeout", unix.SYS_FUTEX, false, func() ([]uintptr, func()) {
			return []uintptr{ptrTo(futex), sys.FutexOpWait, 0, ptrTo(hour), 0, 0}, none
		}},
		{"ppoll", unix.SYS_PPOLL, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 0, 0, 8}, none }},
		{"pselect6", unix.SYS_PSELECT6, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 0, 0, 0, 0}, none }},
		{"epoll_pwait", unix.SYS_EPOLL_PWAIT, false, func() ([]uintptr, func()) {
			epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(epfd) })
			return []uintptr{uintptr(epfd), ptrTo(&buf[0]), 1, minusOne, 0, 8}, none
		}},
		{"nanosleep", unix.SYS_NANOSLEEP, false, func() ([]uintptr, func()) { return []uintptr{ptrTo(hour), 0}, none }},
		{"clock_nanosleep", unix.SYS_CLOCK_NANOSLEEP, false, func() ([]uintptr, func()) {
			return []uintptr{unix.CLOCK_MONOTONIC, 0, ptrTo(hour), 0}, none
		}},
		{"clock_nanosleep until a time", unix.SYS_CLOCK_NANOSLEEP, false, func() ([]uintptr, func()) {
			var now unix.Timespec
			unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
			now.Sec += 3600
			return []uintptr{unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, ptrTo(sys.Place(a, now)), 0}, none
		}},
		{"accept4", unix.SYS_ACCEPT4, true, func() ([]uintptr, func()) {
			s, addr := mustListener(t, a)
			return []uintptr{uintptr(s), 0, 0, 0}, func() { connectTo(t, addr) }
		}},
		{"accept4 with SO_RCVTIMEO", unix.SYS_ACCEPT4, false, func() ([]uintptr, func()) {
			s, _ := mustListener(t, a)
			if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s), 0, 0, 0}, none
		}},
		{"connect", unix.SYS_CONNECT, true, func() ([]uintptr, func()) {
			s, addr := mustListener(t, a)
			connectTo(t, addr) // all there is room for
			c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			closable(t, c, err)
			return []uintptr{uintptr(c), ptrTo(&addr[0]), uintptr(len(addr))}, func() { unix.Accept4(s, unix.SOCK_CLOEXEC) }
		}},
		{"sendto", unix.SYS_SENDTO, true, func() ([]uintptr, func()) {
			s := mustFullSocket(t)
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, func() { emptySocket(s[1]) }
		}},
		{"sendto with SO_SNDTIMEO", unix.SYS_SENDTO, false, func() ([]uintptr, func()) {
			s := mustFullSocket(t)
			if err := unix.SetsockoptTimeval(s[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, none
		}},
		{"fcntl with F_SETLKW", unix.SYS_FCNTL, true, func() ([]uintptr, func()) {
			whole, ready := sys.Place(a, unix.Flock_t{Type: unix.F_WRLCK}), a.Word32(0)
			b := startBare(t, a, sys.Call{Name: "fcntl(F_SETLK)", Nr: unix.SYS_FCNTL, Args: [6]uintptr{uintptr(mu[0]), unix.F_SETLK, ptrTo(whole)}},
				sys.FutexSet(ready, 1),
				sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true, Args: [6]uintptr{ptrTo(sys.Place(a, sys.Sigs(45))), 0, 0, 8}})
			eventually(t, "another process has the lock", func() bool { return atomic.LoadUint32(ready) == 1 })
			end := func() {
				rawsig.Kill(b.TID, 45)
				b.awaitEnd(t)
			}
			t.Cleanup(func() { rawsig.Kill(b.TID, 45) })
			return []uintptr{uintptr(mu[0]), unix.F_SETLKW, ptrTo(whole)}, end
		}},
		{"openat of a FIFO", unix.SYS_OPENAT, true, func() ([]uintptr, func()) {
			dir, err := os.MkdirTemp("", "eventbench-fifo-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
				t.Fatal(err)
			}
			path := a.Bytes(len(dir) + len("/fifo") + 1)
			copy(path, dir+"/fifo")
			return []uintptr{minusOne, ptrTo(&path[0]), unix.O_WRONLY | unix.O_CLOEXEC, 0}, func() {
				mustOpen(t, dir+"/fifo", unix.O_RDONLY|unix.O_NONBLOCK)
			}
		}},
		{"msgrcv", unix.SYS_MSGRCV, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_MSGGET, unix.SYS_MSGCTL, 1, 0, 0o600)
			return []uintptr{uintptr(id), ptrTo(&buf[0]), 1, 0, 0}, none
		}},
		{"semop", unix.SYS_SEMOP, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_SEMGET, unix.SYS_SEMCTL, 2, 0, 1, 0o600)
			return []uintptr{uintptr(id), ptrTo(sys.Place(a, takeOne)), 1}, none
		}},
		{"semtimedop", unix.SYS_SEMTIMEDOP, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_SEMGET, unix.SYS_SEMCTL, 2, 0, 1, 0o600)
			return []uintptr{uintptr(id), ptrTo(sys.Place(a, takeOne)), 1, ptrTo(hour)}, none
		}},
	} {
		if (c.nr == unix.SYS_MSGRCV || c.nr == unix.SYS_SEMOP || c.nr == unix.SYS_SEMTIMEDOP) && rawsig.Do(unix.SYS_SEMGET) == unix.ENOSYS {
			behaviour.Partly(t, "absent", "%s: no CONFIG_SYSVIPC", c.name)
			continue
		}
		for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
			args, release := c.prepare()
			args = append(args, make([]uintptr, 6-len(args))...)
			handle(t, 40, rawsig.Handler{Flags: flags})
			var errno unix.Errno
			called := make(chan struct{}) // before it, the Go runtime may make the same calls
			th := child.Go(t, c.name, func() error {
				setMask(t, rawsig.Blockable&^sys.Sigs(40))
				close(called)
				_, _, errno = unix.Syscall6(c.nr, args[0], args[1], args[2], args[3], args[4], args[5])
				return nil
			})
			<-called
			th.AwaitBlocked(c.nr)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 40), nil, "tgkill(thread in %s)", c.name)
			eventually(t, "the handler ran", func() bool { return rawsig.Ran(40) == 1 })
			want := unix.EINTR
			if c.restarts && flags&rawsig.SARestart != 0 {
				want = 0
				stillBlocked(t, th, c.nr)
				release()
			}
			th.Join()
			if errno != want {
				t.Errorf("%s, flags %#x: %v after the handler, want %v (0 is success)", c.name, flags, errno, want)
			}
			if want != 0 {
				release() // what was made for it
			}
		}
	}
}

// alternateStack: handlers with SA_ONSTACK run on the alternate stack, nested ones further down, and cannot change it: EPERM;
// sigaltstack(2) refuses flags it does not know, EINVAL, and stacks too small, ENOMEM.
func alternateStack(t testing.TB) {
	// A handler without SA_ONSTACK needs room below the goroutine: grow its
	// stack, and keep the collector from shrinking it.
	debug.SetGCPercent(-1)
	growStack()
	setMask(t, rawsig.Blockable&^sys.Sigs(40, 41)) // Go's handlers are at home on their own stack only
	a := fdtest.Arena(t)
	const size = 64 << 10
	base := ptrTo(&a.Bytes(size)[0])
	mine := rawsig.Stack{SP: base, Size: size}
	first, err := rawsig.Altstack(nil)
	wantErr(t, err, nil, "sigaltstack(NULL)")
	old, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack")
	if old != first {
		t.Errorf("the old stack is %+v, it was %+v", old, first)
	}
	defer rawsig.Altstack(&first)
	same := func(what string, want rawsig.Stack) {
		t.Helper()
		if got, err := rawsig.Altstack(nil); err != nil || got != want {
			t.Errorf("%s: the stack is %+v (%v), want %+v", what, got, err, want)
		}
	}
	same("just set", mine)

	for _, flags := range []int32{4, 3, rawsig.SSAutodisarm | 4, -1 &^ rawsig.SSAutodisarm} {
		_, err := rawsig.Altstack(&rawsig.Stack{SP: base, Flags: flags, Size: size})
		wantErr(t, err, unix.EINVAL, "sigaltstack with flags %#x", uint32(flags))
	}
	for _, n := range []uintptr{0, 1, minSigStackSize - 1} {
		_, err := rawsig.Altstack(&rawsig.Stack{SP: base, Size: n})
		wantErr(t, err, unix.ENOMEM, "sigaltstack with %d bytes", n)
	}
	wantErr(t, rawsig.Do(unix.SYS_SIGALTSTACK, badPointer, 0), unix.EFAULT, "sigaltstack(bad pointer)")
	same("after the errors", mine)
	onstack := mine
	onstack.Flags = rawsig.SSOnstack // accepted, means nothing
	_, err = rawsig.Altstack(&onstack)
	wantErr(t, err, nil, "sigaltstack with SS_ONSTACK")

	within, other := sys.Place(a, rawsig.Stack{}), sys.Place(a, mine)
	handle(t, 41, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(within)}},
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{ptrTo(other), 0}},
		{Nr: unix.SYS_TGKILL, Args: [6]uintptr{uintptr(os.Getpid()), uintptr(unix.Gettid()), 41}},
	}})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40, 41)
	r, nested := rawsig.Runs()[0], rawsig.Runs()[1]
	if r.SP < base || r.SP >= base+size {
		t.Errorf("the handler ran at %#x, outside the alternate stack from %#x of %d bytes", r.SP, base, size)
	}
	if nested.SP < base || nested.SP >= r.SP {
		t.Errorf("the nested handler ran at %#x, want further down than %#x on the same stack", nested.SP, r.SP)
	}
	if r.Stack.SP != base || r.Stack.Size != size {
		t.Errorf("uc_stack is %+v, want the alternate stack", r.Stack)
	}
	if within.SP != base || within.Flags != rawsig.SSOnstack {
		t.Errorf("in the handler the stack is %+v, want SS_ONSTACK", *within)
	}
	if r.Results[1] != -int64(unix.EPERM) {
		t.Errorf("changing the stack from the handler on it: %d, want EPERM", r.Results[1])
	}
	same("after the handler", onstackAfter(mine))

	// Not asked for, or disabled, the handler stays where the program was.
	handle(t, 40, rawsig.Handler{})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp >= base && sp < base+size {
		t.Error("a handler without SA_ONSTACK ran on the alternate stack")
	}
	disabled := rawsig.Stack{SP: 1, Flags: rawsig.SSDisable, Size: 1} // its place and size do not matter
	_, err = rawsig.Altstack(&disabled)
	wantErr(t, err, nil, "sigaltstack with SS_DISABLE")
	same("disabled", rawsig.Stack{Flags: rawsig.SSDisable})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp >= base && sp < base+size {
		t.Error("a handler ran on the disabled alternate stack")
	}
}

// onstackAfter is how a stack set with SS_ONSTACK reads back outside handlers.
func onstackAfter(s rawsig.Stack) rawsig.Stack {
	s.Flags = 0
	return s
}

// autodisarm: SS_AUTODISARM makes the thread have no alternate stack during the
// handler, so that it may set another one, and have it again after it.
func autodisarm(t testing.TB) {
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	a := fdtest.Arena(t)
	const size = 64 << 10
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Flags: rawsig.SSAutodisarm, Size: size}
	first, err := rawsig.Altstack(&mine)
	if err == unix.EINVAL && !behaviour.Since(4, 7) {
		behaviour.Absent(t, "SS_AUTODISARM came with Linux 4.7")
	}
	wantErr(t, err, nil, "sigaltstack with SS_AUTODISARM")
	defer rawsig.Altstack(&first)
	within := sys.Place(a, rawsig.Stack{})
	other := sys.Place(a, rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Size: size})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(within)}},
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{ptrTo(other), 0}},
	}})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	r := rawsig.Runs()[0]
	if r.SP < mine.SP || r.SP >= mine.SP+size {
		t.Errorf("the handler ran at %#x, outside the alternate stack from %#x", r.SP, mine.SP)
	}
	if r.Stack != mine {
		t.Errorf("uc_stack is %+v, want %+v", r.Stack, mine)
	}
	if want := (rawsig.Stack{Flags: rawsig.SSDisable}); *within != want {
		t.Errorf("in the handler the stack is %+v, want %+v", *within, want)
	}
	if r.Results[1] != 0 {
		t.Errorf("setting another stack in the handler: %d, want success", r.Results[1])
	}
	if got, err := rawsig.Altstack(nil); err != nil || got != mine {
		t.Errorf("after the handler the stack is %+v (%v), want %+v", got, err, mine)
	}
}

// minimalStack: AT_MINSIGSTKSZ tells how large a frame can be on this CPU, and frames keep to it.
func minimalStack(t testing.TB) {
	const atMinsigstksz = 51
	text, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		behaviour.Limited(t, "%v", err)
	}
	var least uint64
	for ; len(text) >= 16; text = text[16:] {
		if *(*uint64)(unsafe.Pointer(&text[0])) == atMinsigstksz {
			least = *(*uint64)(unsafe.Pointer(&text[8]))
		}
	}
	if least == 0 {
		if behaviour.Since(minsigstkszSince[0], minsigstkszSince[1]) {
			t.Fatal("the auxiliary vector has no AT_MINSIGSTKSZ")
		}
		return
	}
	if least < minSigFrame {
		t.Errorf("AT_MINSIGSTKSZ is %d, less than the smallest frame of %d", least, minSigFrame)
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	a := fdtest.Arena(t)
	size := uintptr(max(least, minSigStackSize))
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(int(size))[0]), Size: size}
	first, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack of %d bytes", size)
	defer rawsig.Altstack(&first)
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp < mine.SP || sp >= mine.SP+size {
		t.Errorf("the handler ran at %#x, outside the stack of %d bytes from %#x", sp, size, mine.SP)
	}
}

// handlerChangesMask: the mask after a handler is what its context says then.
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

// vectorsSurvive: a handler may use vector registers; they are put back, also when
// handlers are nested, and a fork copies them.
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

// handlersNest: when signals are delivered whose handlers do not block each
// other, the one taken last runs first: each interrupts the one before at its first instruction.
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

// nodeferNests: with SA_NODEFER a signal interrupts its own handler, else it waits for its return.
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

// badOldPointers: where the old state cannot be written, the call fails and the new one is set.
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

// threadQueueFirst: what waits for the thread comes before all that waits for the process, whatever the numbers.
func threadQueueFirst(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	for _, sig := range []unix.Signal{64, unix.SIGUSR2} {
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, unix.SIGUSR2, 64, unix.SIGUSR1, 40)
}

// waitForNothing: a wait for the empty set ends by its timeout, or by another signal's handler.
func waitForNothing(t testing.TB) {
	blockAll(t)
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantNone(t, 0)
	_, err := rawsig.Wait(0, time.Millisecond)
	wantErr(t, err, unix.EAGAIN, "rt_sigtimedwait of the empty set")
	wantPending(t, sys.Sigs(40))
}

// alternateStackOfChildren: a forked child has its parent's alternate stack, a new thread has none.
func alternateStackOfChildren(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	const size = 64 << 10
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Size: size}
	first, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack")
	defer rawsig.Altstack(&first)
	query := func() (*rawsig.Stack, sys.Call) {
		s := sys.Place(a, rawsig.Stack{SP: 77})
		return s, sys.Call{Name: "sigaltstack()", Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(s)}}
	}
	forked, call := query()
	startBare(t, a, call).want(t)
	if *forked != mine {
		t.Errorf("a forked child has the alternate stack %+v, want its parent's %+v", *forked, mine)
	}
	threads, call := query()
	l := sys.NewLoop(a, call)
	l.Reset(1)
	th, err := sys.NewThread(a, l)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the thread has ended", th.Gone)
	if want := (rawsig.Stack{Flags: rawsig.SSDisable}); *threads != want {
		t.Errorf("a new thread has the alternate stack %+v, want %+v", *threads, want)
	}
}

// frameThatDoesNotFit: a handler whose frame cannot be written is SIGSEGV in its place; if that
// has no place to run either, the process is killed.
func frameThatDoesNotFit(t *testing.T) {
	segvForFrame(t)
	p := child.Start(t, noRoomForFrame, child.Options{Block: quiet})
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGSEGV {
		t.Errorf("status %#x, want killed by SIGSEGV: %s", s, p.Stderr())
	}
}

var segvForFrame = behaviour.Alone(func(t testing.TB) {
	// SIGSEGV's handler runs below the goroutine: see alternateStack.
	debug.SetGCPercent(-1)
	growStack()
	const size = 64 << 10
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	first, err := rawsig.Altstack(&rawsig.Stack{SP: ptrTo(&page[0]), Size: size})
	wantErr(t, err, nil, "sigaltstack")
	defer rawsig.Altstack(&first)
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, unix.SIGSEGV, rawsig.Handler{})
	setMask(t, rawsig.Blockable&^sys.Sigs(40, unix.SIGSEGV))
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	setMask(t, rawsig.Blockable)
	wantRuns(t, unix.SIGSEGV)
	if runs := rawsig.Runs(); len(runs) > 0 {
		wantInfo(t, "for the frame that does not fit", runs[0].Info, sys.Siginfo{Signo: int32(unix.SIGSEGV), Code: rawsig.SIKernel})
	}
	wantPending(t, 0) // 40 is lost
}, quiet...)

var noRoomForFrame = child.Register("no-room-for-frame", func(p *child.Proc) error {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	const size = 64 << 10
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if _, err := rawsig.Altstack(&rawsig.Stack{SP: ptrTo(&page[0]), Size: size}); err != nil {
		return err
	}
	for _, sig := range []unix.Signal{40, unix.SIGSEGV} {
		if _, err := rawsig.Handle(sig, rawsig.Handler{Flags: rawsig.SAOnstack}); err != nil {
			return err
		}
	}
	mask := rawsig.Blockable &^ sys.Sigs(40)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := rawsig.Raise(40); err != nil {
		return err
	}
	return fmt.Errorf("survived a signal without room for its frame; %d handlers ran", len(rawsig.Runs()))
})

// takeOne is a struct sembuf that waits for a semaphore to be above 0.
var takeOne = struct {
	number uint16
	op     int16
	flags  int16
}{op: -1}

// mustSysV makes a message queue or a set of semaphores, sysvipc(7), that the row's end removes: control has args arguments before
// the command.
func mustSysV(t testing.TB, get, control, args uintptr, of ...uintptr) int {
	t.Helper()
	id, err := rawCall(get, of...)
	if err == unix.ENOSPC {
		behaviour.Limited(t, "System V IPC: %v", err)
	}
	if err != nil {
		t.Fatalf("system call %d: %v", get, err)
	}
	const remove = 0 // IPC_RMID
	t.Cleanup(func() { rawCall(control, []uintptr{uintptr(id), 0, remove}[:args]...) })
	return id
}

// mustListener returns a unix(7) socket that has room for one connection to be accepted, and its address.
func mustListener(t testing.TB, a *sys.Arena) (s int, addr []byte) {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(t, s, err)
	addr = a.Bytes(unix.SizeofSockaddrUnix)
	*(*uint16)(unsafe.Pointer(&addr[0])) = unix.AF_UNIX
	// Without a name it gets one.
	if err := rawsig.Do(unix.SYS_BIND, uintptr(s), ptrTo(&addr[0]), 2); err != nil {
		t.Fatalf("bind: %v", err)
	}
	size := a.Word32(unix.SizeofSockaddrUnix)
	if err := rawsig.Do(unix.SYS_GETSOCKNAME, uintptr(s), ptrTo(&addr[0]), ptrTo(size)); err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	if err := unix.Listen(s, 0); err != nil {
		t.Fatalf("listen: %v", err)
	}
	return s, addr[:*size]
}

func connectTo(t testing.TB, addr []byte) {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	closable(t, s, err)
	if err := rawsig.Do(unix.SYS_CONNECT, uintptr(s), ptrTo(&addr[0]), uintptr(len(addr))); err != nil {
		t.Errorf("connect: %v", err)
	}
}

// mustFullSocket returns two connected sockets of which the first can send no more.
func mustFullSocket(t testing.TB) [2]int {
	t.Helper()
	s := fdtest.Socketpair(t)
	for {
		if err := unix.Sendto(s[0], make([]byte, 4096), unix.MSG_DONTWAIT, nil); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatalf("sendto: %v", err)
		}
	}
	for unix.Sendto(s[0], []byte{0}, unix.MSG_DONTWAIT, nil) == nil {
	}
	return s
}

func emptySocket(s int) {
	buf := make([]byte, 64<<10)
	for {
		if n, _, err := unix.Recvfrom(s, buf, unix.MSG_DONTWAIT); n <= 0 || err != nil {
			return
		}
	}
}

func wantMask(t testing.TB, what string, want sys.Sigset) {
	t.Helper()
	if got, err := rawsig.Mask(unix.SIG_BLOCK, nil); err != nil || got != want {
		t.Errorf("%s: the mask is %#x (%v), want %#x", what, got, err, want)
	}
}

// action reads a signal's action.
func action(t testing.TB, sig unix.Signal) rawsig.Action {
	t.Helper()
	a, err := rawsig.SetAction(sig, nil)
	if err != nil {
		t.Fatalf("rt_sigaction(%d): %v", sig, err)
	}
	return a
}

// drain takes all pending signals of set.
func drain(set sys.Sigset) {
	for {
		if _, err := rawsig.Take(set); err != nil {
			return
		}
	}
}

// stillBlocked checks that a thread has not returned from a system call, now
// and a little later.
func stillBlocked(t testing.TB, th *child.Thread, nr uintptr) {
	t.Helper()
	for range 2 {
		th.AwaitBlocked(nr)
		select {
		case <-th.Done():
			t.Fatalf("system call %d returned", nr)
		case <-time.After(time.Millisecond):
		}
	}
}

func mustMemfd(t testing.TB) int {
	t.Helper()
	fd, err := unix.MemfdCreate("row", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// growStack makes the goroutine's stack larger than any signal's frame.
//
//go:noinline
func growStack() {
	var room [256 << 10]byte
	sink = room[len(os.Args)]
}

var sink byte
