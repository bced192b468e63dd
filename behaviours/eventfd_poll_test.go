//go:build linux

package behaviours

import (
	"math"
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// What poll, select and epoll say of an eventfd.

// eventfdReadableIff (EFD-26): POLLIN if and only if the counter is greater
// than 0, eventfd(2).
func eventfdReadableIff(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		for _, count := range []uint64{0, 1, 2, 1 << 32, 1 << 63, math.MaxUint64 - 2} {
			fd := newEventfd(t, 0, mode)
			mustAddCount(t, fd, count)
			want := uint32(unix.POLLOUT)
			if count > 0 {
				want |= unix.POLLIN
			}
			wantPolledOnly(t, fd, want)
		}
	}
}

// eventfdWritableIff (EFD-27): POLLOUT if and only if 1 can be added, that is
// below 2^64-2, eventfd(2).
func eventfdWritableIff(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		fd := newEventfd(t, 0, mode|unix.EFD_NONBLOCK)
		wantPolledOnly(t, fd, unix.POLLOUT)
		mustAddCount(t, fd, math.MaxUint64-2)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		mustAddCount(t, fd, 1)
		wantPolledOnly(t, fd, unix.POLLIN)
		mustAddCount(t, fd, 0)
		wantPolledOnly(t, fd, unix.POLLIN)
		if _, err := takeCount(fd); err != nil {
			t.Fatal(err)
		}
		if mode == 0 {
			wantPolledOnly(t, fd, unix.POLLOUT)
		} else {
			wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		}
	}
}

// eventfdNeverHangsUp (EFD-31): there is no other end: an eventfd is never hung
// up, exceptional or, below 2^64-1, in error, whoever closes what.
func eventfdNeverHangsUp(t *testing.T) {
	for _, flags := range []int{0, unix.EFD_SEMAPHORE, unix.EFD_NONBLOCK} {
		fd := newEventfd(t, 0, flags)
		_, closeDup := mustDup(t, fd)
		closeDup()
		p := child.Start(t, eventfdHolder, child.Options{Files: []int{fd}})
		p.Expect("holding")
		wantPolledOnly(t, fd, unix.POLLOUT)
		p.Signal(unix.SIGKILL)
		p.Status()
		wantPolledOnly(t, fd, unix.POLLOUT)
		mustAddCount(t, fd, math.MaxUint64-1)
		wantPolledOnly(t, fd, unix.POLLIN)
	}
}

// eventfdEveryWriteIsAnEdge (EFD-57): every write wakes, also while the counter
// is above 0: for EPOLLET each is an event, epoll(7).
func eventfdEveryWriteIsAnEdge(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd)
	for range 3 {
		mustAddCount(t, fd, 1)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	// Several writes before anybody looks are one event.
	mustAddCount(t, fd, 1)
	mustAddCount(t, fd, 1)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantReady(t, epfd)
	wantCount(t, fd, 5)
	wantReady(t, epfd)
	// A write that fails is none.
	wantErrno(t, "write of 2^64-1", addCount(fd, math.MaxUint64), unix.EINVAL)
	wantReady(t, epfd)
}

// eventfdEdgesBothWays (EFD-59): edge-triggered for both, a write is reported
// as readable and writable at once, a read as writable, since an event carries
// all that holds when it is collected.
func eventfdEdgesBothWays(t *testing.T) {
	const in, out = unix.EPOLLIN, unix.EPOLLOUT
	fd := newEventfd(t, 0, 0)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, in|out|unix.EPOLLET)
	step := func(what string, do func(), want ...readiness) {
		t.Helper()
		do()
		if err := checkReady(epfd, want...); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
		wantReady(t, epfd)
	}
	step("ADD", func() {}, ready(fd, out))
	step("a write", func() { mustAddCount(t, fd, 1) }, ready(fd, in|out))
	step("a read", func() { mustTake(t, fd, 1) }, ready(fd, out))
	step("a write and a read", func() { mustAddCount(t, fd, 1); mustTake(t, fd, 1) }, ready(fd, out))
	step("filling it", func() { mustAddCount(t, fd, math.MaxUint64-1) }, ready(fd, in))
	step("emptying it", func() { mustTake(t, fd, math.MaxUint64-1) }, ready(fd, out))
}

var eventfdPollRows = map[string]func(*testing.T){
	"EFD-26": eventfdReadableIff,
	"EFD-27": eventfdWritableIff,
	"EFD-31": eventfdNeverHangsUp,
	"EFD-57": eventfdEveryWriteIsAnEdge,
	"EFD-59": eventfdEdgesBothWays,
}
