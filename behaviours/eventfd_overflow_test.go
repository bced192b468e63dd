//go:build linux

package behaviours

import (
	"math"
	"testing"

	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// The counter's overflow, to which only the kernel can take it.

// eventfdOverflowRefusesZero (EFD-25): when the kernel itself has taken the
// counter to 2^64-1, not even 0 can be added (2^64-1 minus the counter must be
// greater than the value, fs/eventfd.c eventfd_write).
func eventfdOverflowRefusesZero(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	wantErrno(t, "adding 0 to an overflown counter", addCount(fd, 0), unix.EAGAIN)
	wantErrno(t, "adding 1 to an overflown counter", addCount(fd, 1), unix.EAGAIN)
	wantErrno(t, "adding 2^64-1 to an overflown counter", addCount(fd, math.MaxUint64), unix.EINVAL)
	// Where one waits, 0 waits for the read as well.
	fd = overflown(t, 0)
	w := startWrite(t, fd, 0)
	stillAsleep(t, w)
	mustTake(t, fd, math.MaxUint64)
	w.Join()
	wantWritten(t, w)
	wantCount(t, fd, 0)
}

// eventfdOverflowPolled (EFD-28): a counter of 2^64-1 is readable and in error,
// and not writable, eventfd(2); who watches for nothing hears of the error,
// too.
func eventfdOverflowPolled(t *testing.T) {
	fd := overflown(t, 0)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLERR)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, 0)
	wantReady(t, epfd, ready(fd, unix.EPOLLERR))
	mustTake(t, fd, math.MaxUint64)
	wantPolledOnly(t, fd, unix.POLLOUT)
	wantReady(t, epfd)
}

// eventfdOverflowSelected (EFD-29): select(2) reports a counter of 2^64-1 as
// readable and writable, eventfd(2), for an error is either.
func eventfdOverflowSelected(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	var r, w, e unix.FdSet
	for _, set := range []*unix.FdSet{&r, &w, &e} {
		set.Set(fd)
	}
	n, err := answered(func() (int, error) { return unix.Select(fd+1, &r, &w, &e, &unix.Timeval{}) })
	if n != 2 || err != nil || !r.IsSet(fd) || !w.IsSet(fd) || e.IsSet(fd) {
		t.Errorf("select = %d, %v: readable %t, writable %t, exceptional %t; want 2, true, true, false",
			n, err, r.IsSet(fd), w.IsSet(fd), e.IsSet(fd))
	}
	wantErrno(t, "the write that select promised", addCount(fd, 1), unix.EAGAIN)
}

// eventfdOverflowRead (EFD-30): a read after an overflow returns 2^64-1,
// eventfd(2), and the counter starts again.
func eventfdOverflowRead(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	mustTake(t, fd, math.MaxUint64)
	_, err := takeCount(fd)
	wantErrno(t, "a second read", err, unix.EAGAIN)
	mustAddCount(t, fd, 3)
	wantCount(t, fd, 3)
}

// eventfdOverflowSemaphore (EFD-83): a semaphore that the kernel took to 2^64-1
// is no longer in error after one read, and full after another.
func eventfdOverflowSemaphore(t *testing.T) {
	fd := overflown(t, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLERR)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, unix.POLLIN)
	wantErrno(t, "adding 1 to a full semaphore", addCount(fd, 1), unix.EAGAIN)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
}

// eventfdOverflowStays (EFD-84): the kernel does not count beyond 2^64-1, nor
// around it: further completions leave it there, and are an edge all the same.
func eventfdOverflowStays(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	mustAddCount(t, fd, math.MaxUint64-2)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	for _, want := range []uint32{unix.POLLIN, unix.POLLIN | unix.POLLERR, unix.POLLIN | unix.POLLERR} {
		a.complete(fd)
		wantPolledOnly(t, fd, want)
		wantReady(t, epfd, ready(fd, want))
		wantReady(t, epfd)
	}
	wantCount(t, fd, math.MaxUint64)
	a.complete(fd)
	wantCount(t, fd, 1)
}

// overflown returns an eventfd with a counter of 2^64-1, to which only the
// kernel can take it: it counts the completion of a request on a counter of
// 2^64-2.
func overflown(tb testing.TB, flags int) int {
	tb.Helper()
	a := newAIO(tb)
	fd := newEventfd(tb, 0, flags)
	mustAddCount(tb, fd, math.MaxUint64-1)
	a.complete(fd)
	return fd
}

var eventfdOverflowRows = map[string]func(*testing.T){
	"EFD-25": eventfdOverflowRefusesZero,
	"EFD-28": eventfdOverflowPolled,
	"EFD-29": eventfdOverflowSelected,
	"EFD-30": eventfdOverflowRead,
	"EFD-83": eventfdOverflowSemaphore,
	"EFD-84": eventfdOverflowStays,
}
