//go:build linux

package eventbench

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"

	"golang.org/x/sys/unix"
)

// A uring is an io_uring(7) with room for a few requests, which completes in the caller's context.
type uring struct {
	fd      int
	rings   []byte // both queues, IORING_FEAT_SINGLE_MMAP
	entries []byte
	sq, cq  uringOffsets
	cqes    uint32
	sqArray uint32
}

// uringOffsets is the start of io_sqring_offsets and io_cqring_offsets.
type uringOffsets struct{ head, tail, mask, number uint32 }

// A uringEntry is a request: the start of io_uring_sqe.
type uringEntry struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, opFlags  uint32
	userData      uint64
	_             [24]byte
}

// mustUring makes a ring; the row is skipped where there is none.
func mustUring(tb testing.TB) *uring {
	tb.Helper()
	var params struct {
		sqEntries, cqEntries, flags, sqCPU, sqIdle, features, wqFd uint32
		_                                                          [3]uint32
		sq                                                         struct {
			uringOffsets
			flags, dropped, array, _ uint32
			_                        uint64
		}
		cq struct {
			uringOffsets
			overflow, cqes, flags, _ uint32
			_                        uint64
		}
	}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	switch errno {
	case 0:
	case unix.ENOSYS:
		behaviour.Absent(tb, "io_uring_setup: %v: the kernel was built without CONFIG_IO_URING", errno)
	case unix.EPERM:
		behaviour.Refused(tb, "io_uring_setup: %v: a seccomp filter, or kernel.io_uring_disabled", errno)
	case unix.ENOMEM:
		behaviour.Limited(tb, "io_uring_setup: %v: raise RLIMIT_MEMLOCK", errno)
	default:
		tb.Fatalf("io_uring_setup: %v", errno)
	}
	r := &uring{fd: int(fd), sq: params.sq.uringOffsets, cq: params.cq.uringOffsets, cqes: params.cq.cqes, sqArray: params.sq.array}
	closable(tb, r.fd, nil)
	size := max(int(params.sq.array+4*params.sqEntries), int(params.cq.cqes+16*params.cqEntries))
	var err error
	if r.rings, err = unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		tb.Fatalf("mmap of the rings: %v", err)
	}
	tb.Cleanup(func() { unix.Munmap(r.rings) })
	const offSqes = 0x10000000
	if r.entries, err = unix.Mmap(r.fd, offSqes, int(64*params.sqEntries), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		tb.Fatalf("mmap of the requests: %v", err)
	}
	tb.Cleanup(func() { unix.Munmap(r.entries) })
	return r
}

func (r *uring) word(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[offset])) }

// submit hands over a request.
func (r *uring) submit(tb testing.TB, e uringEntry) {
	tb.Helper()
	tail := atomic.LoadUint32(r.word(r.sq.tail))
	i := tail & *r.word(r.sq.mask)
	*(*uringEntry)(unsafe.Pointer(&r.entries[64*i])) = e
	*r.word(r.sqArray + 4*i) = i
	atomic.StoreUint32(r.word(r.sq.tail), tail+1)
	if n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0); n != 1 || errno != 0 {
		tb.Fatalf("io_uring_enter submits %d, %v; want 1", n, errno)
	}
}

// completed returns how many results there are to take.
func (r *uring) completed() int {
	return int(atomic.LoadUint32(r.word(r.cq.tail)) - atomic.LoadUint32(r.word(r.cq.head)))
}

// wait takes the next result, which must come within child.Patience.
func (r *uring) wait(tb testing.TB) int32 {
	tb.Helper()
	poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for r.completed() == 0 {
		n, err := unix.Poll(poll, int(child.Patience.Milliseconds()))
		if err != nil && err != unix.EINTR || n == 0 && err == nil {
			tb.Fatalf("no result from io_uring within %v: poll = %d, %v", child.Patience, n, err)
		}
	}
	head := atomic.LoadUint32(r.word(r.cq.head))
	cqe := r.rings[r.cqes+16*(head&*r.word(r.cq.mask)):]
	res := int32(binary.NativeEndian.Uint32(cqe[8:]))
	atomic.StoreUint32(r.word(r.cq.head), head+1)
	return res
}

// do makes a request and waits for its result.
func (r *uring) do(tb testing.TB, e uringEntry) int32 {
	tb.Helper()
	r.submit(tb, e)
	return r.wait(tb)
}
