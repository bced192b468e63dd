//go:build linux

package behaviours

import (
	"fmt"
	"slices"
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

// wantLater checks that of two ways to wait neither is early, and that timer
// slack makes the first, and not the second, later than it is without.
func wantLater(t *testing.T, wideName string, timeout time.Duration, wide func() error, narrowName string, narrow func() error) {
	t.Helper()
	const slack = 20 * time.Millisecond
	// late returns by how much 9 waits missed their time, in the middle.
	late := func(name string, slack time.Duration, wait func() error) time.Duration {
		t.Helper()
		var lates []time.Duration
		child.Go(t, "waiting thread", func() error {
			if _, err := sys.Mask(^sys.Sigset(0)); err != nil {
				return err
			}
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
				return fmt.Errorf("prctl PR_SET_TIMERSLACK: %w", err)
			}
			for len(lates) < 9 {
				start := time.Now()
				err := wait()
				if err == unix.EINTR {
					continue // all signals are blocked: the machine was stopped, and continued
				}
				if err != nil {
					return err
				}
				lates = append(lates, time.Since(start)-timeout)
			}
			return nil
		}).Join()
		if t.Failed() {
			t.FailNow()
		}
		slices.Sort(lates)
		if lates[0] < 0 {
			t.Errorf("%s is early by %v with a slack of %v", name, -lates[0], slack)
		}
		return lates[len(lates)/2]
	}
	// On a busy machine other interrupts may end a wide wait early and the
	// scheduler a narrow one late: what counts is that it can be told.
	const more = 200 * time.Microsecond
	for try := 1; ; try++ {
		without, with, other := late(wideName, 1, wide), late(wideName, slack, wide), late(narrowName, slack, narrow)
		if with > without+more && with > other+more {
			return
		}
		if try == 10 {
			t.Errorf("%s is late by %v without slack and by %v with %v, %s by %v; want the second the longest by %v",
				wideName, without, with, slack, narrowName, other, more)
			return
		}
	}
}

// A sleeper is a thread in a system call that is to sleep. It blocks all
// signals but one of its own, so that nothing of the Go runtime's ends the
// call.
type sleeper struct {
	*child.Thread
	tb     testing.TB
	n      int // the call's result
	err    error
	took   time.Duration
	events [64]unix.EpollEvent // for the calls that fill it in
	roused atomic.Bool         // told to end: what calls in a loop goes on after other EINTRs
}

// rouse is the signal by which a sleeper is got out of its call: one that
// nobody uses, and a standard one, which needs no room in a queue.
const rouse = unix.SIGSTKFLT

// startSleep makes the call on a thread of its own; s.want and s.wantErr wait
// for its end. At the end of the test the thread is got out of it.
func startSleep(tb testing.TB, what string, call func(s *sleeper) (int, error)) *sleeper {
	tb.Helper()
	fdtest.Handle(tb, rouse)
	s := &sleeper{tb: tb}
	s.Thread = child.Go(tb, what, func() error {
		old, err := sys.Mask(^sys.Sigs(rouse))
		if err != nil {
			return err
		}
		start := time.Now()
		s.n, s.err = call(s)
		s.took = time.Since(start)
		_, err = sys.Mask(old)
		return err
	})
	tb.Cleanup(s.rouse)
	return s
}

// startWait has a thread sleep in epoll_wait(2).
func startWait(tb testing.TB, epfd, max, timeout int) *sleeper {
	tb.Helper()
	s := startSleep(tb, "thread in epoll_pwait", func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:max], timeout)
	})
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	return s
}

// startPoll has a thread sleep in poll(2) for reading.
func startPoll(tb testing.TB, fd int) *sleeper {
	tb.Helper()
	s := startSleep(tb, "thread in ppoll", func(*sleeper) (int, error) {
		return unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, nil, nil)
	})
	s.AwaitBlocked(unix.SYS_PPOLL)
	return s
}

// rouse ends the call with EINTR, if it has not ended.
func (s *sleeper) rouse() {
	s.roused.Store(true)
	for deadline := time.Now().Add(child.Patience); ; time.Sleep(100 * time.Microsecond) {
		select {
		case <-s.Done():
			return
		default:
		}
		if time.Now().After(deadline) {
			return // Join will say so
		}
		unix.Tgkill(unix.Getpid(), s.Tid, rouse)
	}
}

// want waits for the call's end, which must be with these events.
func (s *sleeper) want(want ...readiness) {
	s.tb.Helper()
	s.Join()
	if got := readinessOf(s.events[:s.n]); s.err != nil || !slices.Equal(got, want) {
		s.tb.Errorf("the waiting thread got %v, %v; want %v", got, s.err, want)
	}
}

// wantErr waits for the call's end, which must be with this error.
func (s *sleeper) wantErr(want error) {
	s.tb.Helper()
	s.Join()
	if s.err != want {
		s.tb.Errorf("the waiting thread got %d events, %v; want %v", s.n, s.err, want)
	}
}

// wantPolled waits for the end of a poll(2), which must be that there is
// something to read.
func (s *sleeper) wantPolled() {
	s.tb.Helper()
	s.Join()
	if s.n != 1 || s.err != nil {
		s.tb.Errorf("ppoll in the waiting thread = %d, %v; want 1", s.n, s.err)
	}
}

// grace is how long a thread that must not wake is given to do so.
const grace = 15 * time.Millisecond

// stillAsleep checks that none of the calls ends.
func stillAsleep(tb testing.TB, sleepers ...*sleeper) {
	tb.Helper()
	time.Sleep(grace)
	for i, s := range sleepers {
		select {
		case <-s.Done():
			tb.Errorf("waiting thread %d of %d returned with %v, %v; want it asleep",
				i+1, len(sleepers), readinessOf(s.events[:s.n]), s.err)
		default:
		}
	}
}

// wantWoken waits for the calls of n of the threads to end, and for no more,
// and returns which did and which did not.
func wantWoken(tb testing.TB, n int, sleepers ...*sleeper) (woken, asleep []*sleeper) {
	tb.Helper()
	cases := make(chan struct{}, len(sleepers))
	for _, s := range sleepers {
		go func() { <-s.Done(); cases <- struct{}{} }()
	}
	for i := range n {
		select {
		case <-cases:
		case <-time.After(child.Patience):
			tb.Fatalf("%d of %d threads woke within %v, want %d", i, len(sleepers), child.Patience, n)
		}
	}
	time.Sleep(grace)
	for _, s := range sleepers {
		select {
		case <-s.Done():
			woken = append(woken, s)
		default:
			asleep = append(asleep, s)
		}
	}
	if len(woken) != n {
		tb.Fatalf("%d of %d threads woke, want %d", len(woken), len(sleepers), n)
	}
	return woken, asleep
}

// mustWaiters returns n instances that watch fd, each with a thread that waits.
func mustWaiters(tb testing.TB, n, fd int, bits uint32) (sets []int, waiting []*sleeper) {
	tb.Helper()
	for range n {
		epfd := fdtest.Epoll(tb)
		fdtest.Add(tb, epfd, fd, bits)
		sets = append(sets, epfd)
		waiting = append(waiting, startWait(tb, epfd, 4, -1))
	}
	return sets, waiting
}

// eventually waits for what another thread or process is about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Since(start) > child.Patience/2 {
			t.Fatalf("after %v it is not so that %s", time.Since(start).Round(time.Millisecond), what)
		}
	}
}

// restarting is the signal that catchRestarting has a handler for: one that
// nobody uses, and a standard one, which needs no room in a queue.
const restarting = unix.SIGPWR

// catchRestarting installs a handler after which system calls are restarted
// (SA_RESTART). startSleep's other signal, rouse, ends them.
func catchRestarting(tb testing.TB) {
	tb.Helper()
	restore, err := rawsig.Handle(restarting, rawsig.Handler{Flags: rawsig.SARestart | rawsig.SAOnstack})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { restore() })
	rawsig.Forget()
}

// startRestartable has a thread sleep in the call nr, open to rouse and
// restarting.
func startRestartable(tb testing.TB, nr uintptr, call func() (int, error)) *sleeper {
	tb.Helper()
	s := startSleep(tb, "thread with a handler", func(*sleeper) (int, error) {
		if _, err := sys.Mask(^sys.Sigs(rouse, restarting)); err != nil {
			return 0, err
		}
		return call()
	})
	s.AwaitBlocked(nr)
	return s
}

// restartRead has the handler run n times on a sleeping thread, which then is
// asleep again.
func restartRead(tb testing.TB, s *sleeper, n int) {
	tb.Helper()
	for range n {
		ran := rawsig.Ran(restarting)
		err := unix.Tgkill(unix.Getpid(), s.Tid, restarting)
		if err == unix.ESRCH {
			s.Join()
			tb.Fatalf("the thread's call ended with %d, %v; want it to go on after a handler with SA_RESTART", s.n, s.err)
		}
		if err == unix.EAGAIN {
			behaviour.Limited(tb, "tgkill: %v: raise RLIMIT_SIGPENDING", err)
		}
		if err != nil {
			tb.Fatal(err)
		}
		await(tb, "the handler has run", func() bool { return rawsig.Ran(restarting) > ran })
	}
	stillAsleep(tb, s)
}

// await waits for something to come true.
func await(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(child.Patience); !is(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", child.Patience, what)
		}
	}
}
