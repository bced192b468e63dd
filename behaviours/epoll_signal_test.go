//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
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

// Signals and waits: epoll_pwait(2), epoll_pwait2(2).

// epollInterrupted (EPL-085): a signal that is caught ends the wait with EINTR,
// epoll_wait(2); the instance is as before.
func epollInterrupted(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	for _, timeout := range []int{-1, 60_000} {
		s := startWait(t, epfd, 4, timeout)
		s.rouse()
		s.wantErr(unix.EINTR)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollNotRestarted (EPL-086): it is EINTR whether or not the handler was
// installed with SA_RESTART, signal(7), which a read(2) obeys.
func epollNotRestarted(t *testing.T) {
	// The Go runtime's handlers are such; this one ignores the signal.
	const sig = unix.SIGUSR1
	action, err := rawsig.SetAction(sig, nil)
	if err != nil || action.Handler <= rawsig.Ignore || action.Flags&rawsig.SARestart == 0 {
		t.Fatalf("rt_sigaction(%v): %+v, %v; want a handler with SA_RESTART", sig, action, err)
	}
	unblocked := func(call func(s *sleeper) (int, error)) func(s *sleeper) (int, error) {
		return func(s *sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
				return 0, err
			}
			return call(s)
		}
	}
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	wait := startSleep(t, "thread in epoll_pwait", unblocked(func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:], -1)
	}))
	read := startSleep(t, "thread in read", unblocked(func(s *sleeper) (int, error) {
		return unix.Read(source, make([]byte, 8))
	}))
	wait.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	read.AwaitBlocked(unix.SYS_READ)
	for _, s := range []*sleeper{wait, read} {
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
	}
	wait.wantErr(unix.EINTR)
	stillAsleep(t, read)
	fdtest.Post(t, source)
	read.Join()
	if read.n != 8 || read.err != nil {
		t.Errorf("the restarted read = %d, %v; want 8", read.n, read.err)
	}
}

// epollIgnoredSignals (EPL-088): a signal that is ignored, as such or by
// default, does not end the wait: it is discarded when it is sent, signal(7).
func epollIgnoredSignals(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	p := child.Start(t, epollIgnoring, child.Options{Files: []int{source}})
	p.Expect("waiting")
	for _, sig := range []unix.Signal{unix.SIGUSR2, unix.SIGTERM, unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT} {
		p.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		if err := unix.Tgkill(p.Pid, p.Pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	fdtest.Post(t, source)
	p.Expect("[IN of 0x7]")
	p.Wait()
}

var epollIgnoring = child.Register("epoll-ignoring", func(p *child.Proc) error {
	if err := child.Ignore(unix.SIGUSR2, unix.SIGTERM); err != nil {
		return err
	}
	if err := child.Default(unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT); err != nil {
		return err
	}
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, child.FirstFile, unix.EPOLLIN, 7); err != nil {
		return err
	}
	p.Say("waiting")
	var events [4]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	p.Say("%v", readinessOf(events[:n]))
	return nil
})

// epollQuestionAndSignal (EPL-090): a wait with timeout 0 does not sleep, so
// that no signal ends it: with nothing ready it returns 0 though the mask lets
// a pending signal through, which stays pending.
func epollQuestionAndSignal(t *testing.T) {
	const sig = unix.SIGUSR1
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	runs := fdtest.Handle(t, sig)
	mustBlock(t, ^sys.Sigset(0))
	mustRaise(t, sig)
	var events [4]unix.EpollEvent
	mask := ^sys.Sigs(sig)
	n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, uintptr(unsafe.Pointer(&mask)), 8)
	if n != 0 || err != nil {
		t.Errorf("epoll_pwait = %d, %v; want 0", n, err)
	}
	if got := atomic.LoadUint64(runs); got != 0 || !isPending(t, sig) {
		t.Errorf("the handler ran %d times, the signal is pending: %t; want 0, true", got, isPending(t, sig))
	}
}

// epollPwaitMask (EPL-091): the mask of epoll_pwait(2) replaces the thread's
// for the wait, and only for that: a signal that it blocks comes after the
// wait, one that it lets through ends it. However it ends, by a signal, an event
// or its time, the thread has its own mask again.
func epollPwaitMask(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	open, shut := ^sys.Sigs(rouse, sig), ^sys.Sigs(rouse)
	var after sys.Sigset
	wait := func(outside, inside sys.Sigset, timeout int) *sleeper {
		t.Helper()
		atomic.StoreUint64(runs, 0)
		s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(outside); err != nil {
				return 0, err
			}
			n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&s.events[0])), 4, timeout, uintptr(unsafe.Pointer(&inside)), 8)
			var errMask error
			after, errMask = sys.Mask(outside)
			return n, errors.Join(err, errMask)
		})
		if timeout >= 0 {
			return s
		}
		s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(outside sys.Sigset, times uint64) {
		t.Helper()
		if got := atomic.LoadUint64(runs); got != times {
			t.Errorf("the handler ran %d times, want %d", got, times)
		}
		if want := outside &^ sys.Sigs(unix.SIGKILL, unix.SIGSTOP); after != want { // which cannot be blocked
			t.Errorf("the mask is %#x after the wait, want %#x", after, want)
		}
	}

	s := wait(open, shut, -1)
	stillAsleep(t, s)
	if got := atomic.LoadUint64(runs); got != 0 {
		t.Errorf("the handler ran %d times while the signal was blocked", got)
	}
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	check(open, 1)
	mustTake(t, source, 1)

	s = wait(shut, open, -1)
	s.Join()
	if !errors.Is(s.err, unix.EINTR) {
		t.Errorf("epoll_pwait = %d, %v; want EINTR", s.n, s.err)
	}
	check(shut, 1)

	// However the wait ends: with nothing, at once or when its time is over,
	// too.
	for _, timeout := range []int{0, 2} {
		s = wait(shut, open, timeout)
		s.want()
		check(shut, 0)
		s = wait(open, shut, timeout)
		s.want()
		check(open, 0)
	}
}

// epollPwaitArguments (EPL-092): the size of the mask must be that of the
// kernel's, 8 bytes; neither it nor the mask is looked at where the mask is
// null. Both come before the descriptor.
func epollPwaitArguments(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var events [4]unix.EpollEvent
	var mask [32]sys.Sigset
	old, err := sys.Mask(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Mask(old); err != nil {
		t.Fatal(err)
	}
	mask[0] = old
	for _, size := range []uintptr{0, 1, 4, 7, 9, 16, 128, ^uintptr(0)} {
		for _, fd := range []int{epfd, source, -1} {
			n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), 4, 0, uintptr(unsafe.Pointer(&mask)), size)
			if err != unix.EINVAL {
				t.Errorf("epoll_pwait of %d with a mask of %d bytes = %d, %v; want EINVAL", fd, size, n, err)
			}
		}
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, 0, size)
		if n != 1 || err != nil {
			t.Errorf("epoll_pwait with no mask, of %d bytes = %d, %v; want 1", size, n, err)
		}
	}
	for what, p := range badPointers(t, 8) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), 4, 0, p, 8)
			if err != unix.EFAULT {
				t.Errorf("epoll_pwait of %d with %s as mask = %d, %v; want EFAULT", fd, what, n, err)
			}
		}
		// The size first.
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, p, 16); err != unix.EINVAL {
			t.Errorf("epoll_pwait with %s as mask of 16 bytes = %d, %v; want EINVAL", what, n, err)
		}
	}
	if now, err := sys.Mask(old); now != old || err != nil {
		t.Errorf("the mask is %#x after calls that failed, was %#x; %v", now, old, err)
	}
}

// epollPwait2Timeouts (EPL-093): epoll_pwait2(2) has a timeout in nanoseconds,
// null for none. It came with 5.11.
func epollPwait2Timeouts(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	if !hasPwait2() {
		if _, err := epollPwait2(epfd, make([]unix.EpollEvent, 1), &unix.Timespec{}); err != unix.ENOSYS {
			t.Errorf("epoll_pwait2 before 5.11: %v, want ENOSYS", err)
		}
		return
	}
	s := startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
		return epollPwait2(epfd, s.events[:], nil)
	})
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if n, err := epollPwait2(epfd, s.events[:], &unix.Timespec{}); n != 1 || err != nil {
		t.Errorf("epoll_pwait2 with timeout 0 and an event = %d, %v; want 1", n, err)
	}
	mustTake(t, source, 1)
	if n, err := epollPwait2(epfd, s.events[:], &unix.Timespec{}); n != 0 || err != nil {
		t.Errorf("epoll_pwait2 with timeout 0 and no event = %d, %v; want 0", n, err)
	}
	// Nanoseconds are not rounded to anything like a millisecond, and never
	// down.
	const timeout = 100 * time.Microsecond
	shortest := time.Duration(math.MaxInt64)
	child.Go(t, "thread in epoll_pwait2", func() error {
		if _, err := sys.Mask(^sys.Sigset(0)); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("prctl PR_SET_TIMERSLACK: %w", err)
		}
		for tries := 0; tries < 20 || tries < 2000 && shortest > time.Millisecond; tries++ {
			start := time.Now()
			if n, err := epollPwait2(epfd, make([]unix.EpollEvent, 1), &unix.Timespec{Nsec: int64(timeout)}); n != 0 || err != nil {
				return fmt.Errorf("epoll_pwait2 = %d, %w; want 0", n, err)
			}
			shortest = min(shortest, time.Since(start))
		}
		return nil
	}).Join()
	if shortest < timeout || shortest > time.Millisecond {
		t.Errorf("the shortest of many waits of %v took %v", timeout, shortest)
	}
}

// epollPwait2Arguments (EPL-094): a time that is none is refused, before all
// that other arguments have wrong.
func epollPwait2Arguments(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	events := make([]unix.EpollEvent, 4)
	call := func(fd int, timeout, mask, size uintptr) error {
		_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), 4, timeout, mask, size)
		if errno != 0 {
			return errno
		}
		return nil
	}
	kernel := -uintptr(os.Getpagesize())
	for _, bad := range []unix.Timespec{
		{Sec: -1}, {Sec: math.MinInt64}, {Nsec: -1}, {Nsec: 1_000_000_000}, {Nsec: math.MaxInt64}, {Sec: 1, Nsec: math.MinInt64}, {Sec: -1, Nsec: 1_000_000_000},
	} {
		mem := mustMap(t, 1) // not to move while its address is a number
		*(*unix.Timespec)(unsafe.Pointer(&mem[0])) = bad
		at := uintptr(unsafe.Pointer(&mem[0]))
		for _, fd := range []int{epfd, source, -1} {
			if err := call(fd, at, 0, 0); err != unix.EINVAL {
				t.Errorf("epoll_pwait2 of %d for %+v: %v, want EINVAL", fd, bad, err)
			}
		}
		if err := call(epfd, at, kernel, 8); err != unix.EINVAL {
			t.Errorf("epoll_pwait2 for %+v with a bad mask: %v, want EINVAL", bad, err)
		}
	}
	for what, p := range badPointers(t, unsafe.Sizeof(unix.Timespec{})) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			if err := call(fd, p, 0, 0); err != unix.EFAULT {
				t.Errorf("epoll_pwait2 of %d with %s as timeout: %v, want EFAULT", fd, what, err)
			}
		}
		if err := call(epfd, p, p, 77); err != unix.EFAULT {
			t.Errorf("epoll_pwait2 with %s as timeout and a bad mask: %v, want EFAULT", what, err)
		}
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollPwait2Mask (EPL-130): the mask of epoll_pwait2(2) is in force for the
// wait, as that of epoll_pwait(2): what it lets through ends the wait with
// EINTR, after the handler and with the thread's own mask again, were it
// pending before or sent meanwhile. Errors of its size and memory come before
// the descriptor's, and without a mask there is no size.
func epollPwait2Mask(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	open, shut := rawsig.Blockable&^sys.Sigs(rouse, sig), rawsig.Blockable&^sys.Sigs(rouse)
	mem := mustMap(t, 1) // not to move while its addresses are numbers
	masks := unsafe.Slice((*sys.Sigset)(unsafe.Pointer(&mem[0])), 2)
	masks[0], masks[1] = open, shut
	at := map[sys.Sigset]uintptr{open: uintptr(unsafe.Pointer(&masks[0])), shut: uintptr(unsafe.Pointer(&masks[1]))}
	events := uintptr(unsafe.Pointer(&mem[1024]))
	zero := uintptr(unsafe.Pointer(&mem[2048])) // a timeout
	pwait2 := func(fd int, timeout, mask, size uintptr) (int, error) {
		return rawCall(unix.SYS_EPOLL_PWAIT2, uintptr(fd), events, 4, timeout, mask, size)
	}

	// One that is pending ends the wait at once; a question without time to
	// wait leaves it pending, as of epoll_pwait (EPL-090).
	mustBlock(t, shut)
	for timeout, ends := range map[uintptr]bool{0: true, zero: false} {
		atomic.StoreUint64(runs, 0)
		mustRaise(t, sig)
		var want error
		times := uint64(0)
		if ends {
			want, times = unix.EINTR, 1
		}
		promptly(t, "epoll_pwait2 with a signal pending that its mask lets through", func() {
			if n, err := pwait2(epfd, timeout, at[open], 8); err != want || err == nil && n != 0 {
				t.Errorf("epoll_pwait2 with a signal let through, with time to wait: %t = %d, %v; want %v", ends, n, err, want)
			}
		})
		if got := atomic.LoadUint64(runs); got != times || isPending(t, sig) == ends {
			t.Errorf("with time to wait: %t the handler ran %d times, and the signal is pending: %t; want %d, %t", ends, got, isPending(t, sig), times, !ends)
		}
		if mask, err := rawsig.Mask(unix.SIG_BLOCK, nil); mask != shut || err != nil {
			t.Errorf("the mask is %#x after the wait, %v; want %#x", mask, err, shut)
		}
		rawsig.Take(sys.Sigs(sig))
	}

	// One that comes meanwhile ends it as well, and one that the mask
	// blocks waits for its end.
	wait := func(outside, inside sys.Sigset) (s *sleeper, after *sys.Sigset) {
		t.Helper()
		atomic.StoreUint64(runs, 0)
		after = new(sys.Sigset)
		s = startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(outside); err != nil {
				return 0, err
			}
			n, err := pwait2(epfd, 0, at[inside], 8)
			if old, errMask := sys.Mask(shut); errMask == nil {
				*after = old
			}
			return n, err
		})
		s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
		return s, after
	}
	s, after := wait(shut, open)
	s.wantErr(unix.EINTR)
	if got := atomic.LoadUint64(runs); got != 1 || *after != shut {
		t.Errorf("the handler ran %d times, and the mask is %#x after the wait; want 1, %#x", got, *after, shut)
	}
	s, after = wait(open, shut)
	stillAsleep(t, s)
	if got := atomic.LoadUint64(runs); got != 0 {
		t.Errorf("the handler ran %d times while the signal was blocked", got)
	}
	fdtest.Post(t, source)
	s.Join()
	if got := atomic.LoadUint64(runs); s.n != 1 || s.err != nil || got != 1 || *after != open {
		t.Errorf("epoll_pwait2 = %d, %v; the handler ran %d times, and the mask is %#x after it; want 1, once, %#x", s.n, s.err, got, *after, open)
	}

	// The errors, with an event to be had.
	for _, size := range []uintptr{0, 4, 16} {
		for _, fd := range []int{epfd, source, -1} {
			if n, err := pwait2(fd, zero, at[shut], size); err != unix.EINVAL {
				t.Errorf("epoll_pwait2 of %d with a mask of %d bytes = %d, %v; want EINVAL", fd, size, n, err)
			}
		}
		if n, err := pwait2(epfd, zero, 0, size); n != 1 || err != nil {
			t.Errorf("epoll_pwait2 with no mask, of %d bytes = %d, %v; want 1", size, n, err)
		}
	}
	for what, p := range badPointers(t, 8) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			if n, err := pwait2(fd, zero, p, 8); err != unix.EFAULT {
				t.Errorf("epoll_pwait2 of %d with %s as mask = %d, %v; want EFAULT", fd, what, n, err)
			}
		}
	}
	if _, err := pwait2(-1, zero, at[shut], 8); err != unix.EBADF {
		t.Errorf("epoll_pwait2 of no descriptor with a mask: %v, want EBADF", err)
	}
	if mask, err := rawsig.Mask(unix.SIG_BLOCK, nil); mask != shut || err != nil {
		t.Errorf("the mask is %#x after calls that failed, %v; want %#x", mask, err, shut)
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollPwait2KeepsTimeout (EPL-095): the timeout is not written to, whichever
// way the wait ends, unlike ppoll(2)'s.
func epollPwait2KeepsTimeout(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	wait := func(timeout unix.Timespec) (*sleeper, *unix.Timespec) {
		left := timeout
		return startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
			return epollPwait2(epfd, s.events[:], &left)
		}), &left
	}
	long, short := unix.Timespec{Sec: 60, Nsec: 5}, unix.Timespec{Nsec: 2_000_000}
	s, left := wait(short)
	s.want()
	if *left != short {
		t.Errorf("after the time was over the timeout is %+v, was %+v", *left, short)
	}
	s, left = wait(long)
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	s.rouse()
	s.wantErr(unix.EINTR)
	if *left != long {
		t.Errorf("after a signal the timeout is %+v, was %+v", *left, long)
	}
	s, left = wait(long)
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if *left != long {
		t.Errorf("after an event the timeout is %+v, was %+v", *left, long)
	}
}

// epollStopped (EPL-109): a process that is stopped and continued finds its
// wait ended with EINTR, though no handler ran, signal(7); ppoll(2), poll(2)
// and read(2) go on.
func epollStopped(t *testing.T) {
	blockAll(t) // no handler's EINTR
	a := fdtest.Arena(t)
	source := fdtest.Eventfd(t, 0)
	waits := append(timedWaits(t, a, time.Hour), timedWait{name: "read", nr: unix.SYS_READ,
		args: [6]uintptr{uintptr(source), ptrTo(a.Word(0)), 8}, told: 8, event: func() { fdtest.Post(t, source) }})
	for _, w := range waits {
		isEpoll := strings.HasPrefix(w.name, "epoll")
		if !isEpoll && !strings.HasSuffix(w.name, "poll") && w.name != "read" {
			continue // SIG-104
		}
		want := w.told
		if isEpoll {
			want = -int(unix.EINTR)
		}
		b := startBare(t, a, w.call(want))
		if !asleep(t, b, w.nr) {
			t.Errorf("%s does not sleep: %v", w.name, b.loop.Err())
			continue
		}
		stopAndGo(t, b)
		goesOn := asleep(t, b, w.nr)
		if isEpoll && goesOn {
			t.Errorf("%s goes on after a stop, want EINTR", w.name)
			continue
		}
		if !isEpoll {
			w.event()
		}
		b.want(t)
	}
}

// epollEventBeforeSignal (EPL-112): what is ready when epoll_pwait(2) begins is
// returned though a signal is pending that its mask lets through; the signal
// stays pending and its handler does not run.
func epollEventBeforeSignal(t *testing.T) {
	const sig = unix.SIGUSR1
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	fdtest.Post(t, source)
	runs := fdtest.Handle(t, sig)
	mustBlock(t, ^sys.Sigset(0))
	mustRaise(t, sig)
	mask := ^sys.Sigs(sig)
	for _, timeout := range []int{0, 1, 10_000, -1} {
		var events [4]unix.EpollEvent
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, timeout, uintptr(unsafe.Pointer(&mask)), 8)
		if n != 1 || err != nil {
			t.Errorf("epoll_pwait with an event, a signal and a timeout of %d = %d, %v; want 1", timeout, n, err)
		}
		if got := atomic.LoadUint64(runs); got != 0 || !isPending(t, sig) {
			t.Fatalf("the handler ran %d times, the signal is pending: %t; want 0, true", got, isPending(t, sig))
		}
	}
	mustTake(t, source, 1)
	if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(new([4]unix.EpollEvent))), 4, -1, uintptr(unsafe.Pointer(&mask)), 8); err != unix.EINTR {
		t.Errorf("epoll_pwait with a signal and no event = %d, %v; want EINTR", n, err)
	}
	if got := atomic.LoadUint64(runs); got != 1 || isPending(t, sig) {
		t.Errorf("the handler ran %d times, the signal is pending: %t; want 1, false", got, isPending(t, sig))
	}
}

var epollSignalRows = map[string]func(*testing.T){
	"EPL-085": epollInterrupted,
	"EPL-086": epollNotRestarted,
	"EPL-088": epollIgnoredSignals,
	"EPL-090": epollQuestionAndSignal,
	"EPL-091": epollPwaitMask,
	"EPL-092": epollPwaitArguments,
	"EPL-093": epollPwait2Timeouts,
	"EPL-094": epollPwait2Arguments,
	"EPL-095": epollPwait2KeepsTimeout,
	"EPL-109": epollStopped,
	"EPL-112": epollEventBeforeSignal,
	"EPL-130": epollPwait2Mask,
}
