//go:build linux

package aio

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of an Sqe, linux/io_uring.h.
const (
	OpPollAdd = 6
	OpRead    = 22 // since Linux 5.6
	OpWrite   = 23 // since Linux 5.6
)

const (
	registerEventfd   = 4
	unregisterEventfd = 5

	featSingleMmap = 1 << 0 // since Linux 5.4
	offSqRing      = 0
	offSqes        = 0x10000000
)

// An Sqe is one request, struct io_uring_sqe.
type Sqe struct {
	Op      uint8
	Flags   uint8
	_       uint16
	Fd      int32
	Offset  uint64
	Addr    uint64
	Len     uint32
	OpFlags uint32 // for OpPollAdd the events
	Data    uint64 // comes back in Cqe.Data
	_       [24]byte
}

// A Cqe is one completion, struct io_uring_cqe.
type Cqe struct {
	Data  uint64
	Res   int32 // what the operation returned; below zero, an errno
	Flags uint32
}

// struct io_uring_params and the two it holds.
type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sq, cq                                                                 offsets
}

type offsets struct {
	head, tail, mask, entries uint32
	a, b, c, _                uint32 // sq: flags, dropped, array; cq: overflow, cqes, flags
	_                         uint64
}

// A Ring is an io_uring. A request is worked on in the name of the thread that
// submitted it and cancelled when that thread ends: submit from a locked one.
type Ring struct {
	fd       int
	rings    []byte
	sqeBytes []byte
	sqTail   *uint32
	sqMask   uint32
	sqArray  []uint32
	sqes     []Sqe
	cqHead   *uint32
	cqTail   *uint32
	cqMask   uint32
	cqes     []Cqe
}

// NewRing makes a ring for n requests at a time, io_uring_setup(2). It fails
// with ENOSYS on a kernel without CONFIG_IO_URING, EPERM where
// /proc/sys/kernel/io_uring_disabled or a seccomp filter forbids it.
func NewRing(n int) (*Ring, error) {
	var p params
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if e != 0 {
		return nil, fmt.Errorf("io_uring_setup(%d): %w", n, e)
	}
	r := &Ring{fd: int(fd)}
	if err := r.mmap(&p); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Ring) mmap(p *params) (err error) {
	if p.features&featSingleMmap == 0 {
		return errors.New("io_uring_setup: no IORING_FEAT_SINGLE_MMAP, which every kernel since 5.4 has")
	}
	size := max(int(p.sq.c)+int(p.sqEntries)*4, int(p.cq.b)+int(p.cqEntries)*int(unsafe.Sizeof(Cqe{})))
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.rings, err = unix.Mmap(r.fd, offSqRing, size, prot, flags); err != nil {
		return fmt.Errorf("mmap of the rings: %w", err)
	}
	if r.sqeBytes, err = unix.Mmap(r.fd, offSqes, int(p.sqEntries)*int(unsafe.Sizeof(Sqe{})), prot, flags); err != nil {
		return fmt.Errorf("mmap of the requests: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[off])) }
	r.sqTail, r.sqMask = word(p.sq.tail), *word(p.sq.mask)
	r.sqArray = unsafe.Slice(word(p.sq.c), p.sqEntries)
	r.sqes = unsafe.Slice((*Sqe)(unsafe.Pointer(&r.sqeBytes[0])), p.sqEntries)
	r.cqHead, r.cqTail, r.cqMask = word(p.cq.head), word(p.cq.tail), *word(p.cq.mask)
	r.cqes = unsafe.Slice((*Cqe)(unsafe.Pointer(&r.rings[p.cq.b])), p.cqEntries)
	return nil
}

// Submit hands in one request, io_uring_enter(2).
func (r *Ring) Submit(s Sqe) error {
	tail := atomic.LoadUint32(r.sqTail)
	i := tail & r.sqMask
	r.sqes[i], r.sqArray[i] = s, i
	atomic.StoreUint32(r.sqTail, tail+1)
	for {
		n, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return fmt.Errorf("io_uring_enter: %w", e)
		}
		if n != 1 {
			return fmt.Errorf("io_uring_enter: took %d of 1 request", n)
		}
		return nil
	}
}

// Completions takes all there are, without a system call.
func (r *Ring) Completions() (all []Cqe) {
	head := atomic.LoadUint32(r.cqHead)
	for ; head != atomic.LoadUint32(r.cqTail); head++ {
		all = append(all, r.cqes[head&r.cqMask])
	}
	atomic.StoreUint32(r.cqHead, head)
	return all
}

// RegisterEventfd makes completions signal an eventfd, IORING_REGISTER_EVENTFD
// in io_uring_register(2). EBUSY when there is one already.
func (r *Ring) RegisterEventfd(efd int) error {
	fd := int32(efd)
	return r.register("IORING_REGISTER_EVENTFD", registerEventfd, unsafe.Pointer(&fd), 1)
}

// UnregisterEventfd ends that. ENXIO when there is none.
func (r *Ring) UnregisterEventfd() error {
	return r.register("IORING_UNREGISTER_EVENTFD", unregisterEventfd, nil, 0)
}

func (r *Ring) register(name string, op uintptr, arg unsafe.Pointer, n uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), op, uintptr(arg), n, 0, 0)
	if e != 0 {
		return fmt.Errorf("io_uring_register(%s): %w", name, e)
	}
	return nil
}

// Close ends the ring; the kernel cancels what is under way some time later.
func (r *Ring) Close() error {
	var errs []error
	for _, m := range [][]byte{r.rings, r.sqeBytes} {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
	}
	return errors.Join(append(errs, unix.Close(r.fd))...)
}
