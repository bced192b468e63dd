//go:build linux

package behaviours

import (
	"math"
	"runtime"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Completions of AIO and io_uring.

// eventfdAIO (EFD-60): a request of io_submit(2) with IOCB_FLAG_RESFD adds 1
// when it is through; a descriptor that is none is EBADF, one of another file
// EINVAL, and then there is no request.
func eventfdAIO(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	file := aioFile(t)
	var buf [1]byte
	defer runtime.KeepAlive(&buf)
	read := iocb{opcode: iocbPread, fd: uint32(file), buf: uint64(uintptr(unsafe.Pointer(&buf))), nbytes: 1}
	with := func(b iocb, resfd int) *iocb {
		b.flags, b.resfd = iocbFlagResfd, uint32(resfd)
		return &b
	}
	for n := range 3 {
		for range n + 1 {
			a.mustSubmit(with(read, fd))
		}
		a.wantEvents(n+1, 1)
		wantCount(t, fd, uint64(n+1))
	}
	semaphore := newEventfd(t, 0, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	a.mustSubmit(with(read, semaphore))
	a.mustSubmit(with(read, semaphore))
	a.wantEvents(2, 1)
	mustTake(t, semaphore, 1)
	mustTake(t, semaphore, 1)

	for _, bad := range badDescriptors(t) {
		wantErrno(t, "io_submit with no descriptor as resfd", a.submit(with(read, bad)), unix.EBADF)
	}
	wantErrno(t, "io_submit with a file as resfd", a.submit(with(read, file)), unix.EINVAL)
	wantErrno(t, "io_submit with a timerfd as resfd", a.submit(with(read, fdtest.Timerfd(t))), unix.EINVAL)
	// Without the flag the descriptor is not looked at.
	plain := read
	plain.resfd = math.MaxUint32
	a.mustSubmit(&plain)
	a.wantEvents(1, 1)
	wantCount(t, fd, 0)
	a.wantEvents(0, 0)
}

// eventfdAIOPoll (EFD-61): IOCB_CMD_POLL of io_submit(2), since 4.18, waits for
// an eventfd as poll(2) does, once.
func eventfdAIOPoll(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN}
	a.mustSubmit(poll)
	a.wantEvents(0, 0)
	mustAddCount(t, fd, 1)
	a.wantEvents(1, unix.POLLIN)
	mustAddCount(t, fd, 1) // nobody waits now
	a.wantEvents(0, 0)
	a.mustSubmit(poll) // ready already
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, fd, 2)
	both := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN | unix.POLLOUT}
	a.mustSubmit(both)
	a.wantEvents(1, unix.POLLOUT)
}

// eventfdIoUring (EFD-62): io_uring_register(2) takes one eventfd: another is
// EBUSY, something else EINVAL or EBADF, and taking away what is not there
// ENXIO. Each completion then adds 1.
func eventfdIoUring(t *testing.T) {
	ring := newRing(t)
	fd := newEventfd(t, 0, 0)
	register := func(efd int32) error {
		return ring.register(ioringRegisterEventfd, uintptr(unsafe.Pointer(&efd)), 1)
	}
	unregister := func() error { return ring.register(ioringUnregisterEventfd, 0, 0) }
	wantErrno(t, "unregistering with none", unregister(), unix.ENXIO)
	wantErrno(t, "registering a bad descriptor", register(-1), unix.EBADF)
	wantErrno(t, "registering a timerfd", register(int32(fdtest.Timerfd(t))), unix.EINVAL)
	wantErrno(t, "registering two", ring.register(ioringRegisterEventfd, 0, 2), unix.EINVAL)
	wantErrno(t, "registering at a null pointer", ring.register(ioringRegisterEventfd, 0, 1), unix.EFAULT)
	wantErrno(t, "registering an eventfd", register(int32(fd)), nil)
	wantErrno(t, "registering another", register(int32(newEventfd(t, 0, 0))), unix.EBUSY)
	wantErrno(t, "registering it again", register(int32(fd)), unix.EBUSY)
	ring.mustNop()
	wantCount(t, fd, 1)
	ring.mustNop()
	ring.mustNop()
	wantCount(t, fd, 2)
	wantErrno(t, "unregistering", unregister(), nil)
	ring.mustNop()
	wantCount(t, fd, 0)
	wantErrno(t, "unregistering twice", unregister(), unix.ENXIO)
	wantErrno(t, "registering anew", register(int32(fd)), nil)
	ring.mustNop()
	wantCount(t, fd, 1)
}

// eventfdAIOPollOfItself (EFD-85): a poll request may tell of its completion on
// another eventfd and on the very one that it polls: the kernel neither
// deadlocks nor counts without end (fs/eventfd.c, eventfd_signal_allowed).
func eventfdAIOPollOfItself(t *testing.T) {
	a := newAIO(t)
	fd, other := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	poll := func(resfd int) {
		t.Helper()
		a.mustSubmit(&iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)})
	}
	poll(other)
	mustAddCount(t, fd, 1)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, fd, 1)
	wantCount(t, other, 1)
	// Until write(2) itself was guarded (9f0deaa12d83, 6.1 and some stable
	// releases) the next one took the lock that it held, for ever and with
	// the processor: not something to do to a machine.
	if !behaviour.Since(6, 1) {
		behaviour.Partly(t, "absent", "no guard against a request that polls and tells one eventfd, before 6.1")
		return
	}
	poll(fd)
	poll(other)
	poll(fd)
	mustAddCount(t, fd, 1)
	a.wantEvents(3, unix.POLLIN)
	wantCount(t, fd, 3)
	wantCount(t, other, 1)
}

// newRing makes a ring; it skips the row where there is none to be had.
func newRing(tb testing.TB) *ring {
	tb.Helper()
	// struct io_uring_params of linux/io_uring.h; of cq the array is flags.
	type offsets struct{ head, tail, mask, entries, flags, dropped, array, _, _, _ uint32 }
	var p struct {
		sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
		_                                                    [3]uint32
		sq, cq                                               offsets
	}
	fd, class, why := setupUring(tb, unsafe.Pointer(&p))
	if class != "" {
		behaviour.Skip(tb, class, "%s", why)
	}
	if p.features&ioringFeatSingleMmap == 0 {
		tb.Fatalf("io_uring_setup: features %#x, want IORING_FEAT_SINGLE_MMAP, since 5.4", p.features)
	}
	size := max(int(p.sq.array+4*p.sqEntries), int(p.cq.flags)+16*int(p.cqEntries))
	m := func(offset int64, size int) []byte {
		mem, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			tb.Fatalf("mmap of the ring: %v", err)
		}
		tb.Cleanup(func() { unix.Munmap(mem) })
		return mem
	}
	r := &ring{tb: tb, fd: fd, sq: m(0, size), sqes: m(ioringOffSqes, 64*int(p.sqEntries))}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.sq[offset])) }
	r.tail, r.mask, r.array = at(p.sq.tail), at(p.sq.mask), at(p.sq.array)
	r.head, r.cqtail, r.cqFlags = at(p.cq.head), at(p.cq.tail), at(p.cq.array)
	return r
}

var eventfdAioRows = map[string]func(*testing.T){
	"EFD-60": eventfdAIO,
	"EFD-61": eventfdAIOPoll,
	"EFD-62": eventfdIoUring,
	"EFD-85": eventfdAIOPollOfItself,
}
