//go:build linux

package behaviours

import (
	"cmp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Who is woken, of several that wait.

// epollAllInstances (EPL-052): an event is reported to all instances that watch
// the target, epoll(7) Q&A, waiting or not.
func epollAllInstances(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		source := fdtest.Eventfd(t, 0)
		_, waiting := mustWaiters(t, 4, source, unix.EPOLLIN|mode)
		idle := fdtest.Epoll(t)
		fdtest.Add(t, idle, source, unix.EPOLLIN|mode)
		fdtest.Post(t, source)
		for _, s := range waiting {
			s.want(ready(source, unix.EPOLLIN))
		}
		wantReady(t, idle, ready(source, unix.EPOLLIN))
	}
}

// epollEdgeWakesOne (EPL-080): of several threads in one instance an edge wakes
// one, epoll(7).
func epollEdgeWakesOne(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	var asleep []*sleeper
	for range 4 {
		asleep = append(asleep, startWait(t, epfd, 4, -1))
	}
	for len(asleep) > 0 {
		fdtest.Post(t, source)
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		woken[0].want(ready(source, unix.EPOLLIN))
	}
	wantReady(t, epfd)
}

// epollLevelWakesAll (EPL-081): a level that nobody takes away wakes one thread
// after the other.
func epollLevelWakesAll(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var waiting []*sleeper
	for range 6 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	fdtest.Post(t, source)
	for _, s := range waiting {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollEachItsOwn (EPL-083): as many edges at once as threads wait wake them
// all, each with another one where there is room for one. Kernels before 5.8
// could leave a thread asleep.
func epollEachItsOwn(t *testing.T) {
	const n = 10
	epfd := fdtest.Epoll(t)
	var fds []int
	for range n {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
		fds = append(fds, fd)
	}
	for range 5 {
		var waiting []*sleeper
		for range n {
			waiting = append(waiting, startWait(t, epfd, 1, -1))
		}
		for _, fd := range fds {
			fdtest.Post(t, fd)
		}
		var got []int
		for i, s := range waiting {
			s.Join()
			if s.n != 1 || s.err != nil {
				t.Fatalf("thread %d of %d got %d events, %v; want 1", i+1, n, s.n, s.err)
			}
			got = append(got, int(s.events[0].Fd))
		}
		slices.Sort(got)
		if !slices.Equal(got, fds) {
			t.Fatalf("%d threads got targets %v, want %v", n, got, fds)
		}
		wantReady(t, epfd)
	}
}

// epollTimeoutRace (EPL-084): an edge that comes just when one thread's timeout
// ends goes to that thread or to another one that waits, never to none. Kernels
// before 5.8 and some release candidates of 5.10 lost it.
func epollTimeoutRace(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	for try := range 40 {
		patient := startWait(t, epfd, 1, -1)
		hasty := startSleep(t, "thread in epoll_pwait for 1 ms", func(s *sleeper) (int, error) {
			return epollPwait(epfd, s.events[:1], 1)
		})
		// From a little before the end to a little after it.
		time.Sleep(900*time.Microsecond + time.Duration(try)*8*time.Microsecond)
		fdtest.Post(t, source)
		hasty.Join()
		if hasty.n == 1 {
			hasty.want(ready(source, unix.EPOLLIN))
			fdtest.Post(t, source)
		} else {
			hasty.want()
		}
		patient.want(ready(source, unix.EPOLLIN))
		wantReady(t, epfd)
	}
}

// epollClosedWhileWaiting (EPL-100): closing the instance's descriptor wakes
// nobody who waits for it: the call refers to the open file and returns the
// next event; the number is gone at once.
func epollClosedWhileWaiting(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closeEpfd := closable(t, epfd, err)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	s := startWait(t, epfd, 4, -1)
	closeEpfd()
	if _, err := unix.FcntlInt(uintptr(epfd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("F_GETFD of the closed descriptor: %v, want EBADF", err)
	}
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollNothingLeftToWaitFor (EPL-101): taking away what a thread waits for does
// not wake it: the wait goes on until its time is over.
func epollNothingLeftToWaitFor(t *testing.T) {
	const timeout = 30
	for what, take := range map[string]func(epfd, source int, closeSource func()){
		"DEL":          func(epfd, source int, _ func()) { mustDel(t, epfd, source) },
		"close":        func(_, _ int, closeSource func()) { closeSource() },
		"an empty MOD": func(epfd, source int, _ func()) { mustMod(t, epfd, source, 0) },
	} {
		epfd := fdtest.Epoll(t)
		source, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		closeSource := closable(t, source, err)
		fdtest.Add(t, epfd, source, unix.EPOLLIN)
		s := startWait(t, epfd, 4, timeout)
		take(epfd, source, closeSource)
		s.want()
		if s.took < timeout*time.Millisecond {
			t.Errorf("%s of the only target ended a wait of %d ms after %v", what, timeout, s.took)
		}
	}
}

// epollLastComeFirstWoken (EPL-110): of the threads that wait in an instance
// the one that came last is woken first; so work stays with those that have it,
// and the others sleep on.
func epollLastComeFirstWoken(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	var waiting []*sleeper
	for range 3 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		fdtest.Post(t, source)
		waiting[i].want(ready(source, unix.EPOLLIN))
		if i > 0 {
			stillAsleep(t, waiting[:i]...)
		}
	}
}

// epollProcessesShare (EPL-120): processes that have inherited an instance wait
// in it like threads: an edge wakes one of them, epoll(7), a level all.
func epollProcessesShare(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	for _, mode := range []uint32{unix.EPOLLET, 0} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
		var children []*forked
		for range 3 {
			a := fdtest.Arena(t)
			p := mustForkIn(t, a, sys.EpollWait(epfd, sys.EpollEvents(a, 4), -1, 1))
			p.awaitBlocked(t, unix.SYS_EPOLL_PWAIT)
			children = append(children, p)
		}
		if mode == 0 {
			fdtest.Post(t, source)
			for _, p := range children {
				p.want(t)
			}
			continue
		}
		for left := len(children); left > 0; left-- {
			fdtest.Post(t, source)
			gone := func(p *forked) bool { return p.Gone() && p.loop.Ended() }
			await(t, "an edge wakes a process", func() bool { return slices.ContainsFunc(children, gone) })
			time.Sleep(grace)
			children = slices.DeleteFunc(children, gone)
			if len(children) != left-1 {
				t.Fatalf("%d of %d processes wait after an edge, want %d", len(children), left, left-1)
			}
		}
	}
}

// epollSpuriousWakeups (EPL-125): what wakes a thread and turns out to be no
// event neither ends its wait nor starts its time anew: here inner instances
// that are closed, and signals that a registered signalfd does not ask for, for
// any signal wakes whoever waits for a signalfd of the process.
func epollSpuriousWakeups(t *testing.T) {
	const timeout = 40 * time.Millisecond
	mustBlock(t, ^sys.Sigset(0))
	epfd := fdtest.Epoll(t, fdtest.Signalfd(t, unix.SIGUSR1))
	s := startWait(t, epfd, 4, int(timeout/time.Millisecond))
	woken := 0
	for waiting := true; waiting; woken++ {
		inner, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		closeInner := closable(t, inner, err)
		fdtest.Add(t, epfd, inner, unix.EPOLLIN)
		closeInner()
		mustRaise(t, unix.SIGUSR2)
		mustTakeSignal(t, sys.Sigs(unix.SIGUSR2))
		select {
		case <-s.Done():
			waiting = false
		case <-time.After(time.Millisecond):
		}
		if woken > 25*int(timeout/time.Millisecond) {
			t.Fatalf("a wait of %v goes on after %d wake-ups for nothing, one a millisecond", timeout, woken)
		}
	}
	s.want()
	if s.took < timeout {
		t.Errorf("a wait of %v took %v", timeout, s.took)
	}
}

// epollChangeInTheEntry (EPL-135): what makes a target ready just as a thread
// goes to sleep for it wakes the thread, be it MOD, which looks at the target
// anew, DEL with ADD, or an event. Two threads race: each round of one is over
// when the other has counted it.
func epollChangeInTheEntry(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(epfd, fd int) error
	}{
		{"MOD", func(epfd, fd int) error {
			return epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLET, uint64(fd))
		}},
		{"DEL and ADD", func(epfd, fd int) error {
			return cmp.Or(epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0), epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, uint64(fd)))
		}},
		{"write", func(epfd, fd int) error {
			_, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			return err
		}},
	} {
		const rounds, least, long = 20_000, 500, 700 * time.Millisecond
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Post(t, source)
		var counted atomic.Int64
		fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
		s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
			for {
				n, err := epollPwait(epfd, s.events[:], -1)
				if err == unix.EINTR {
					return int(counted.Load()), nil // roused
				}
				if n != 1 || err != nil {
					return n, err
				}
				// With one processor it is between its waits
				// that the other thread gets its turn.
				if counted.Add(1)%2 == 0 {
					rawCall(unix.SYS_SCHED_YIELD)
				}
			}
		})
		await := func(n int64) bool {
			for tries, start := 0, time.Now(); counted.Load() < n; tries++ {
				if tries > 100 {
					rawCall(unix.SYS_SCHED_YIELD)
				}
				if tries%1000 == 999 && time.Since(start) > child.Patience/4 {
					return false
				}
			}
			return true
		}
		ok := await(1) // it was ready when it was added
		n := int64(1)
		for start := time.Now(); ok && n < rounds && (n < least || time.Since(start) < long); {
			if err := c.change(epfd, source); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			n++
			ok = await(n)
		}
		if !ok {
			t.Errorf("%s %d of a ready target ended no wait of the thread that was about to sleep", c.what, n)
		}
		s.rouse()
		s.Join()
		if ok && (int64(s.n) != n || s.err != nil) {
			t.Errorf("%s: %d waits ended, %v; want %d", c.what, s.n, s.err, n)
		}
	}
}

var epollWaitersRows = map[string]func(*testing.T){
	"EPL-135": epollChangeInTheEntry,
	"EPL-052": epollAllInstances,
	"EPL-080": epollEdgeWakesOne,
	"EPL-081": epollLevelWakesAll,
	"EPL-083": epollEachItsOwn,
	"EPL-084": epollTimeoutRace,
	"EPL-100": epollClosedWhileWaiting,
	"EPL-101": epollNothingLeftToWaitFor,
	"EPL-110": epollLastComeFirstWoken,
	"EPL-120": epollProcessesShare,
	"EPL-125": epollSpuriousWakeups,
}
