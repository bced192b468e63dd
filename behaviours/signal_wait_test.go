//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Waiting for signals: pause(2), rt_sigsuspend(2), rt_sigtimedwait(2).

// pauseEndsWithHandler (SIG-61): pause returns when a handler has returned, and
// for nothing else.
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

// sigsuspendSwapsMask (SIG-62): the mask is in force while it waits, also for a
// signal that came before, and during the handler; then the old one is back.
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

// sigtimedwaitTimeout (SIG-63): checked before the signals are; EAGAIN when it
// is over, and not before.
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

// sigtimedwaitInterrupted (SIG-64): it waits for ever without a timeout; a
// handler of another signal ends it, SA_RESTART or not, and an ignored or
// blocked one does not.
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

// sigtimedwaitTakes (SIG-65): what it returns is no longer pending, and no
// handler runs.
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

// sigtimedwaitCannotTakeKill (SIG-66): SIGKILL and SIGSTOP do what they do,
// waited for or not.
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

// sigtimedwaitBeatsHandler (SIG-67): while a thread waits for a signal that it
// does not block, the signal is the wait's, not its handler's.
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

// sigtimedwaitReleasesOne (SIG-68): of several threads that wait for a signal
// to the process one gets it. Others may be interrupted: the one that was woken
// blocks the signal again before it takes it, and the kernel then looks for
// another thread (retarget_shared_pending).
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

// sigtimedwaitBadPointers (SIG-69): EFAULT; where only the siginfo cannot be
// written the signal is taken all the same.
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

// waitForNothing (SIG-94): a wait for the empty set ends by its timeout, or by
// another signal's handler.
func waitForNothing(t testing.TB) {
	blockAll(t)
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantNone(t, 0)
	_, err := rawsig.Wait(0, time.Millisecond)
	wantErr(t, err, unix.EAGAIN, "rt_sigtimedwait of the empty set")
	wantPending(t, sys.Sigs(40))
}

var signalWaitRows = map[string]func(*testing.T){
	"SIG-61": behaviour.Alone(pauseEndsWithHandler, quiet...),
	"SIG-62": behaviour.Alone(sigsuspendSwapsMask, quiet...),
	"SIG-63": behaviour.Alone(sigtimedwaitTimeout, quiet...),
	"SIG-64": behaviour.Alone(sigtimedwaitInterrupted, quiet...),
	"SIG-65": behaviour.Alone(sigtimedwaitTakes, quiet...),
	"SIG-66": sigtimedwaitCannotTakeKill,
	"SIG-67": behaviour.Alone(sigtimedwaitBeatsHandler, quiet...),
	"SIG-68": behaviour.Alone(sigtimedwaitReleasesOne, quiet...),
	"SIG-69": behaviour.Alone(sigtimedwaitBadPointers, quiet...),
	"SIG-94": behaviour.Alone(waitForNothing, quiet...),
}
