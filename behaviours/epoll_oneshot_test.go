//go:build linux

package behaviours

import (
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Registrations that report once: EPOLLONESHOT.

// epollOneshot (EPL-075): EPOLLONESHOT reports one event; then nothing, not
// even an error or a hang-up, until a MOD arms it again, epoll_ctl(2). The
// target stays registered.
func epollOneshot(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	for range 3 {
		wantReady(t, epfd)
		fdtest.Post(t, source)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		wantReady(t, epfd)
		fdtest.Post(t, source)
		wantReady(t, epfd)
		wantCtl(t, epfd, unix.EPOLL_CTL_ADD, source, unix.EEXIST)
		mustTake(t, source, 2)
		mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT) // is still ready
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN) // for good
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustDel(t, epfd, source)

	r, w, _, closeWriter := mustClosablePipe(t)
	fdtest.Add(t, epfd, r, unix.EPOLLIN|unix.EPOLLONESHOT)
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	closeWriter()
	wantReady(t, epfd)
	mustMod(t, epfd, r, unix.EPOLLONESHOT)
	wantReady(t, epfd, ready(r, unix.EPOLLHUP))
	wantReady(t, epfd)
}

// epollOneshotOneThread (EPL-077): however many threads wait and events come, a
// one-shot target wakes one.
func epollOneshotOneThread(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	var waiting []*sleeper
	for range 4 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	for range 5 {
		fdtest.Post(t, source)
	}
	woken, asleep := wantWoken(t, 1, waiting...)
	woken[0].want(ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	woken, asleep = wantWoken(t, 1, asleep...)
	woken[0].want(ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	stillAsleep(t, asleep...)
}

// epollOneshotTwice (EPL-078): one-shot registrations of a target in two
// instances are independent: each reports once and is armed by itself, and
// under load no event is lost between an arming and the next wait.
func epollOneshotTwice(t *testing.T) {
	const shot = unix.EPOLLIN | unix.EPOLLONESHOT
	source := fdtest.Eventfd(t, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	a, b := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, a, source, shot)
	fdtest.Add(t, b, source, shot)
	fdtest.Post(t, source)
	wantReady(t, a, ready(source, unix.EPOLLIN))
	wantReady(t, a)
	wantReady(t, b, ready(source, unix.EPOLLIN))
	mustMod(t, b, source, shot)
	wantReady(t, a)
	wantReady(t, b, ready(source, unix.EPOLLIN))
	mustTake(t, source, 1)
	mustMod(t, a, source, shot)
	mustMod(t, b, source, shot)

	const events = 2000
	var taken atomic.Int64
	all := make(chan struct{})
	consume := func(epfd int) func(s *sleeper) (int, error) {
		return func(s *sleeper) (int, error) {
			var buf [8]byte
			for {
				if n, err := epollPwait(epfd, s.events[:], -1); err != nil {
					return n, err // EINTR in the end
				}
				if _, err := unix.Read(source, buf[:]); err == nil {
					if taken.Add(1) == events {
						close(all)
					}
				} else if err != unix.EAGAIN {
					return 0, err
				}
				if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, source, shot, 0); err != nil {
					return 0, err
				}
			}
		}
	}
	first, second := startSleep(t, "first consumer", consume(a)), startSleep(t, "second consumer", consume(b))
	for range events {
		fdtest.Post(t, source)
	}
	select {
	case <-all:
	case <-time.After(child.Patience):
		t.Errorf("%d of %d events were taken within %v", taken.Load(), events, child.Patience)
	}
	for _, s := range []*sleeper{first, second} {
		s.rouse()
		s.wantErr(unix.EINTR)
	}
	if got := taken.Load(); got != events {
		t.Errorf("%d events were taken, want %d", got, events)
	}
}

// epollOneshotEdge (EPL-079): a disabled one-shot target is not reported for a
// new edge either; armed again as edge-triggered it is reported once for what
// is there.
func epollOneshotEdge(t *testing.T) {
	const shot = unix.EPOLLIN | unix.EPOLLET | unix.EPOLLONESHOT
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, shot)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	wantReady(t, epfd)
	mustTake(t, source, 2)
	fdtest.Post(t, source)
	wantReady(t, epfd)
	mustMod(t, epfd, source, shot)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	wantReady(t, epfd)
}

// epollOneshotDisabled (EPL-113): a one-shot registration that has reported is
// there with an empty mask, as fdinfo shows: how it watches is kept, what for
// is not, not even EPOLLERR and EPOLLHUP.
func epollOneshotDisabled(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for _, how := range []uint32{unix.EPOLLONESHOT, unix.EPOLLONESHOT | unix.EPOLLET} {
		fdtest.Add(t, epfd, source, unix.EPOLLIN|how)
		check := func(when string, want uint32) {
			t.Helper()
			if e := mustFdinfo(t, epfd); len(e) != 1 || e[0].events != want || e[0].data != uint64(source) {
				t.Errorf("fdinfo has %+v %s, want events %#x", e, when, want)
			}
		}
		check("before the event", unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP|how)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		check("after it", how)
		mustMod(t, epfd, source, unix.EPOLLOUT)
		check("armed again", unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP)
		mustDel(t, epfd, source)
	}
}

var epollOneshotRows = map[string]func(*testing.T){
	"EPL-075": epollOneshot,
	"EPL-077": epollOneshotOneThread,
	"EPL-078": epollOneshotTwice,
	"EPL-079": epollOneshotEdge,
	"EPL-113": epollOneshotDisabled,
}
