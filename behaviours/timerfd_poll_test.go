//go:build linux

package behaviours

import (
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// What poll, epoll and AIO say of a timerfd.

// timerfdPeriodicIsOneEdge (TFD-23): edge-triggered, a periodic timer is
// reported once until it is read: what sets it going again is a read or a look,
// not its expiry (fs/timerfd.c timerfd_tmrproc). What is read then has all
// periods in it.
func timerfdPeriodicIsOneEdge(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	for range 3 {
		mustAwait(t, epfd)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		for range 3 {
			time.Sleep(2 * soon)
			wantReady(t, epfd)
			wantPolledOnly(t, fd, unix.POLLIN)
		}
		if got := g.take(fd); got < g.periods(6*soon) {
			t.Errorf("read %d after %d periods", got, g.periods(6*soon))
		}
	}
}

// timerfdReadableOnly (TFD-25): POLLIN when it has expired, and never anything
// else, whoever closes what.
func timerfdReadableOnly(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	wantPolledOnly(t, fd, 0)
	mustSettime(t, fd, 0, far, soon)
	wantPolledOnly(t, fd, 0)
	_, closeDup := mustDup(t, fd)
	closeDup()
	p := child.Start(t, eventfdHolder, child.Options{Files: []int{fd}})
	p.Expect("holding")
	p.Signal(unix.SIGKILL)
	p.Status()
	wantPolledOnly(t, fd, 0)
	expire(t, fd)
	wantPolledOnly(t, fd, unix.POLLIN)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, 0)
	// Who asks for nothing hears nothing.
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, 0)
	expire(t, fd)
	wantReady(t, epfd)
	mustMod(t, epfd, fd, unix.EPOLLIN)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
}

// timerfdSettimeAndEdges (TFD-51): setting a timer is no event for EPOLLET, and
// takes one away that nobody was told of; the next expiry is an event, though
// the last was never read.
func timerfdSettimeAndEdges(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	expire(t, fd)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantReady(t, epfd)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	expire(t, fd)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	for range 3 {
		expire(t, fd)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	wantTicks(t, fd, 1)
	// A read is no event either.
	wantReady(t, epfd)
}

// timerfdAIOPoll (TFD-69): IOCB_CMD_POLL of io_submit(2) waits for an expiry as
// poll(2) does, once.
func timerfdAIOPoll(t *testing.T) {
	a := newAIO(t)
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	resfd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)}
	a.mustSubmit(poll)
	a.wantEvents(0, 0)
	mustSettime(t, fd, 0, soon, 0)
	mustAwait(t, resfd)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	expire(t, fd) // nobody waits now
	a.wantEvents(0, 0)
	a.mustSubmit(poll) // ready already
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	wantTicks(t, fd, 1)
}

// timerfdWakesAll (TFD-71): an expiry wakes all who poll the timer or wait for
// it on their own epoll instance; one read takes it, and nobody is told any
// more.
func timerfdWakesAll(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	polls := []*sleeper{startPoll(t, fd), startPoll(t, fd)}
	mustSettime(t, fd, 0, soon, 0)
	for _, p := range polls {
		p.wantPolled()
	}
	for _, w := range waiting {
		w.want(ready(fd, unix.EPOLLIN))
	}
	for _, epfd := range sets {
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	}
	wantTicks(t, fd, 1)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

var timerfdPollRows = map[string]func(*testing.T){
	"TFD-23": timerfdPeriodicIsOneEdge,
	"TFD-25": timerfdReadableOnly,
	"TFD-51": timerfdSettimeAndEdges,
	"TFD-69": timerfdAIOPoll,
	"TFD-71": timerfdWakesAll,
}
