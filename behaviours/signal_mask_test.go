//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The mask and what is pending: rt_sigprocmask(2), rt_sigpending(2).

// sigsetSizes (SIG-42): sets are of 8 bytes; only rt_sigpending gives part of
// one.
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

// killAndStopInMasks (SIG-46): SIGKILL and SIGSTOP are taken out of masks
// without an error.
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

// sigprocmaskArguments (SIG-48): SIG_BLOCK adds a set to the mask, SIG_UNBLOCK
// takes it out, SIG_SETMASK replaces the mask; another how is EINVAL, unless
// there is no set, bad memory EFAULT, and neither changes anything.
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

// unblockingDelivers (SIG-49): what is pending is handled before the call that
// unblocks it returns.
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

// pendingIsUnion (SIG-57): rt_sigpending has what waits for the thread and what
// waits for the process, if it is blocked.
func pendingIsUnion(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	wantPending(t, 0)
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), w.Tid, 41), nil, "tgkill(worker, 41)")
	wantPending(t, sys.Sigs(unix.SIGUSR1, 40))
	w.do(func() { wantPending(t, sys.Sigs(unix.SIGUSR1, 41)) })
	// Not blocked by the caller, a signal that waits for the process is not
	// pending for it.
	w.do(func() {
		act(t, unix.SIGUSR1, rawsig.Action{Handler: rawsig.Ignore})
		wantPending(t, sys.Sigs(41))
		drain(rawsig.Blockable)
	})
	wantPending(t, sys.Sigs(40))
}

var signalMaskRows = map[string]func(*testing.T){
	"SIG-42": behaviour.Alone(sigsetSizes, quiet...),
	"SIG-46": behaviour.Alone(killAndStopInMasks, quiet...),
	"SIG-48": behaviour.Alone(sigprocmaskArguments, quiet...),
	"SIG-49": behaviour.Alone(unblockingDelivers, quiet...),
	"SIG-57": behaviour.Alone(pendingIsUnion, quiet...),
}
