//go:build linux

package behaviours

import (
	"math"
	"testing"

	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Counters that are taken from one by one: EFD_SEMAPHORE.

// eventfdSemaphoreTakesOne (EFD-15): with EFD_SEMAPHORE a read returns 1 and
// takes 1, eventfd(2).
func eventfdSemaphoreTakesOne(t *testing.T) {
	fd := newEventfd(t, 2, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	mustAddCount(t, fd, 3)
	for range 5 {
		mustTake(t, fd, 1)
	}
	_, err := takeCount(fd)
	wantErrno(t, "read number 6 of 5", err, unix.EAGAIN)
	// Large counters are no different.
	mustAddCount(t, fd, math.MaxUint64-1)
	mustTake(t, fd, 1)
	mustAddCount(t, fd, 1)
	wantErrno(t, "adding 1 to the largest counter", addCount(fd, 1), unix.EAGAIN)
}

// eventfdSemaphoreStaysReadable (EFD-16): with EFD_SEMAPHORE it is readable
// until the counter is 0.
func eventfdSemaphoreStaysReadable(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	epfd := fdtest.Epoll(t, fd)
	mustAddCount(t, fd, 3)
	for range 3 {
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		mustTake(t, fd, 1)
	}
	wantPolledOnly(t, fd, unix.POLLOUT)
	wantReady(t, epfd)
}

// eventfdSemaphoreReleasesAsMany (EFD-69): adding n to a semaphore lets n
// sleeping readers go, and no more.
func eventfdSemaphoreReleasesAsMany(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	var asleep []*sleeper
	for range 6 {
		asleep = append(asleep, startRead(t, fd).sleeper)
	}
	for _, n := range []int{1, 3, 2} {
		mustAddCount(t, fd, uint64(n))
		_, asleep = wantWoken(t, n, asleep...)
		wantPolledOnly(t, fd, unix.POLLOUT)
	}
}

// eventfdTakenIsNoEdge (EFD-73): a read of a semaphore that leaves something is
// no new edge for EPOLLIN.
func eventfdTakenIsNoEdge(t *testing.T) {
	fd := newEventfd(t, 3, unix.EFD_SEMAPHORE)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	for range 2 {
		mustTake(t, fd, 1)
		wantReady(t, epfd)
	}
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
	mustTake(t, fd, 1)
}

// eventfdSemaphoreMakesRoomForOne (EFD-77): a read of a full semaphore makes
// room for 1: of the writers that wait to add 1 one goes, and one that wants to
// add 2 does not.
func eventfdSemaphoreMakesRoomForOne(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	mustAddCount(t, fd, math.MaxUint64-1)
	two, one, another := startWrite(t, fd, 2), startWrite(t, fd, 1), startWrite(t, fd, 1)
	mustTake(t, fd, 1)
	_, asleep := wantWoken(t, 1, one, another)
	stillAsleep(t, two)
	mustTake(t, fd, 1)
	wantWoken(t, 1, asleep...)
	stillAsleep(t, two)
	mustTake(t, fd, 1)
	mustTake(t, fd, 1)
	two.Join()
	wantWritten(t, two)
}

var eventfdSemaphoreRows = map[string]func(*testing.T){
	"EFD-15": eventfdSemaphoreTakesOne,
	"EFD-16": eventfdSemaphoreStaysReadable,
	"EFD-69": eventfdSemaphoreReleasesAsMany,
	"EFD-73": eventfdTakenIsNoEdge,
	"EFD-77": eventfdSemaphoreMakesRoomForOne,
}
