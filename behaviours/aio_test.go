//go:build linux

package behaviours

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"

	"golang.org/x/sys/unix"
)

// An aioContext is a context of io_setup(2).
type aioContext struct {
	tb  testing.TB
	ctx uintptr
}

// iocb is struct iocb of linux/aio_abi.h, for little-endian machines.
type iocb struct {
	_      [16]byte // data, key, flags of preadv2
	opcode uint16
	_      int16
	fd     uint32
	buf    uint64
	nbytes uint64
	_      [16]byte // offset, reserved
	flags  uint32
	resfd  uint32
}

const (
	iocbPread     = 0
	iocbPoll      = 5
	iocbFlagResfd = 1
)

// newAIO makes a context; it skips the row where the kernel was built without.
func newAIO(tb testing.TB) *aioContext {
	tb.Helper()
	ctx, class, why := setupAIO(tb)
	if class != "" {
		behaviour.Skip(tb, class, "%s", why)
	}
	return &aioContext{tb: tb, ctx: ctx}
}

// setupAIO makes a context that the row's end destroys, or says why there is
// none to be had, and of what class that is.
func setupAIO(tb testing.TB) (ctx uintptr, class, why string) {
	tb.Helper()
	_, err := rawCall(unix.SYS_IO_SETUP, 16, uintptr(unsafe.Pointer(&ctx)))
	switch err {
	case nil:
	case unix.ENOSYS:
		return 0, "absent", fmt.Sprintf("no AIO: io_setup: %v", err)
	case unix.EPERM:
		return 0, "seccomp", fmt.Sprintf("io_setup: %v", err)
	case unix.EAGAIN:
		return 0, "limit", fmt.Sprintf("io_setup: %v; raise fs.aio-max-nr", err)
	default:
		tb.Fatalf("io_setup: %v", err)
	}
	tb.Cleanup(func() { rawCall(unix.SYS_IO_DESTROY, ctx) })
	return ctx, "", ""
}

// aioFile is a file with something to read.
func aioFile(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.MemfdCreate("aio", unix.MFD_CLOEXEC)
	closable(tb, fd, err)
	mustWrite(tb, fd, "x")
	return fd
}

func (a *aioContext) submit(b *iocb) error {
	n, err := rawCall(unix.SYS_IO_SUBMIT, a.ctx, 1, uintptr(unsafe.Pointer(&b)))
	if err == nil && n != 1 {
		err = fmt.Errorf("io_submit returned %d, want 1", n)
	}
	return err
}

func (a *aioContext) mustSubmit(b *iocb) {
	a.tb.Helper()
	if err := a.submit(b); err != nil {
		a.tb.Fatalf("io_submit: %v", err)
	}
}

// wantEvents takes n completions, each with this result; there must be no more.
func (a *aioContext) wantEvents(n int, res int64) {
	a.tb.Helper()
	var events [16]struct {
		data, obj uint64
		res, res2 int64
	}
	limit := unix.NsecToTimespec(child.Patience.Nanoseconds())
	got, err := rawCall(unix.SYS_IO_GETEVENTS, a.ctx, uintptr(n), uintptr(len(events)),
		uintptr(unsafe.Pointer(&events)), uintptr(unsafe.Pointer(&limit)))
	if got != n || err != nil {
		a.tb.Fatalf("io_getevents = %d, %v; want %d", got, err, n)
	}
	for _, e := range events[:got] {
		if e.res != res || e.res2 != 0 {
			a.tb.Errorf("a request ended with %d, %d; want %d, 0", e.res, e.res2, res)
		}
	}
}

// complete has one request end that tells fd of it.
func (a *aioContext) complete(fd int) {
	a.tb.Helper()
	buf := new([1]byte)
	defer runtime.KeepAlive(buf)
	a.mustSubmit(&iocb{opcode: iocbPread, fd: uint32(aioFile(a.tb)), buf: uint64(uintptr(unsafe.Pointer(buf))), nbytes: 1,
		flags: iocbFlagResfd, resfd: uint32(fd)})
	a.wantEvents(1, 1)
}

// A ring is an io_uring(7) with room for little.
type ring struct {
	tb           testing.TB
	fd           int
	sq           []byte // the submission ring
	tail, mask   *uint32
	array        *uint32
	head, cqtail *uint32 // of the completion ring
	cqFlags      *uint32
	sqes         []byte
}

const (
	ioringRegisterEventfd   = 4
	ioringUnregisterEventfd = 5
	ioringEnterGetevents    = 1
	ioringFeatSingleMmap    = 1
	ioringOffSqes           = 0x10000000
)

// setupUring makes the descriptor of a ring, which the row's end closes, or
// says why there is none to be had, and of what class that is.
func setupUring(tb testing.TB, params unsafe.Pointer) (fd int, class, why string) {
	tb.Helper()
	fd, err := rawCall(unix.SYS_IO_URING_SETUP, 4, uintptr(params))
	switch err {
	case nil:
	case unix.ENOSYS:
		return -1, "absent", fmt.Sprintf("no io_uring: io_uring_setup: %v", err)
	case unix.EPERM:
		return -1, "seccomp", fmt.Sprintf("io_uring_setup: %v (kernel.io_uring_disabled, or seccomp)", err)
	case unix.ENOMEM:
		return -1, "limit", fmt.Sprintf("io_uring_setup: %v; raise RLIMIT_MEMLOCK", err)
	default:
		closable(tb, fd, err)
	}
	closable(tb, fd, nil)
	return fd, "", ""
}

//go:uintptrescapes
func (r *ring) register(op, arg, n uintptr) error {
	return secondOf(rawCall(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), op, arg, n))
}

// mustNop has one request end that does nothing: an IORING_OP_NOP is all zeros.
func (r *ring) mustNop() {
	r.tb.Helper()
	clear(r.sqes)
	tail := atomic.LoadUint32(r.tail)
	unsafe.Slice(r.array, *r.mask+1)[tail&*r.mask] = 0
	atomic.StoreUint32(r.tail, tail+1)
	n, err := rawCall(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, ioringEnterGetevents, 0, 0)
	done := atomic.LoadUint32(r.cqtail) - atomic.LoadUint32(r.head)
	if n != 1 || err != nil || done != 1 {
		r.tb.Fatalf("io_uring_enter = %d, %v with %d completions; want 1 with 1", n, err, done)
	}
	atomic.AddUint32(r.head, done)
}

// A uring is an io_uring(7) with room for a few requests, which completes in
// the caller's context.
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

// newUring makes a ring, or says why there is none, and of what class that is.
func newUring(tb testing.TB) (r *uring, class, why string) {
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
	fd, class, why := setupUring(tb, unsafe.Pointer(&params))
	if class != "" {
		return nil, class, why
	}
	r = &uring{fd: fd, sq: params.sq.uringOffsets, cq: params.cq.uringOffsets, cqes: params.cq.cqes, sqArray: params.sq.array}
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
	return r, "", ""
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
