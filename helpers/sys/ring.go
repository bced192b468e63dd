//go:build linux

package sys

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of a [Request], linux/io_uring.h, and the Linux they are there
// since.
const (
	RingNop       = 0
	RingPollAdd   = 6
	RingTimeout   = 11 // 5.4
	RingRead      = 22 // 5.6
	RingWrite     = 23 // 5.6
	RingMsg       = 40 // 5.18
	RingFutexWait = 51 // 6.7
	RingFutexWake = 52 // 6.7
	RingEpollWait = 59 // 6.15
)

// What an io_uring can be set up with.
const (
	RingDisabled     = 1 << 6  // until it is enabled: see [Ring.Enable]; 5.10
	RingSingleIssuer = 1 << 12 // 6.0
	RingDeferTaskrun = 1 << 13 // 6.1
)

// What an io_uring can do beside its operations: see [Ring.Features].
const (
	ringSingleMmap = 1 << 0
	// RingMultishotPoll came together with IORING_FEAT_RSRC_TAGS, in Linux
	// 5.13, and has no feature of its own.
	RingMultishotPoll = 1 << 10
	RingSkipSuccess   = 1 << 11 // requests that complete only when they fail; 5.17
)

// Flags of requests, completions and calls.
const (
	requestSkip       = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS
	pollMultishot     = 1 << 0 // IORING_POLL_ADD_MULTI
	timeoutAbsolute   = 1 << 0 // IORING_TIMEOUT_ABS
	completionMore    = 1 << 1 // IORING_CQE_F_MORE
	enterGetEvents    = 1 << 0 // IORING_ENTER_GETEVENTS
	sqOverflow        = 1 << 1 // IORING_SQ_CQ_OVERFLOW
	registerEventfd   = 4
	unregisterEventfd = 5
	registerProbe     = 8
	registerEnable    = 12
	registerSyncMsg   = 31
	offSqRing         = 0
	offSqes           = 0x10000000
)

// A Request is what an io_uring is asked for, struct io_uring_sqe.
type Request struct {
	Op      uint8
	Flags   uint8
	_       uint16
	Fd      int32
	Offset  uint64
	Addr    uint64
	Len     uint32
	OpFlags uint32 // of a poll, the events
	Data    uint64 // comes back in Completion.Data
	_       [8]byte
	Addr3   uint64
	_       [8]byte
}

// A Completion is the answer to a request, struct io_uring_cqe.
type Completion struct {
	Data  uint64
	Res   int32 // what the operation returned; below zero, an errno
	Flags uint32
}

// NopRequest does nothing.
func NopRequest(data uint64) Request { return Request{Op: RingNop, Data: data} }

// ReadRequest reads an eventfd into *value, when it can be read.
func ReadRequest(fd int, value *uint64, data uint64) Request {
	return Request{Op: RingRead, Fd: int32(fd), Addr: uint64(ptr(value)), Len: 8, Data: data}
}

// PollRequest completes when fd is readable: once, or each time that something
// comes (multishot).
func PollRequest(fd int, multishot bool, data uint64) Request {
	r := Request{Op: RingPollAdd, Fd: int32(fd), OpFlags: unix.POLLIN, Data: data}
	if multishot {
		r.Len = pollMultishot
	}
	return r
}

// TimeoutRequest completes with ETIME when CLOCK_MONOTONIC is at *at.
func TimeoutRequest(at *unix.Timespec, data uint64) Request {
	return Request{Op: RingTimeout, Fd: -1, Addr: uint64(ptr(at)), Len: 1, OpFlags: timeoutAbsolute, Data: data}
}

// MsgRequest puts a completion with such data and result into another ring. It
// has one of its own only if it fails.
func MsgRequest(ring *Ring, data uint64, res uint32) Request {
	return Request{Op: RingMsg, Flags: requestSkip, Fd: int32(ring.FD), Offset: data, Len: res}
}

// SyncMsg sends a message to a ring from a thread that has none:
// IORING_REGISTER_SEND_MSG_RING, since Linux 6.13.
func SyncMsg(a *Arena, ring *Ring, data uint64, res uint32) Call {
	r := MsgRequest(ring, data, res)
	r.Flags = 0
	return Call{Name: "io_uring_register(SEND_MSG_RING)", Nr: unix.SYS_IO_URING_REGISTER,
		Args: [6]uintptr{^uintptr(0), registerSyncMsg, ptr(Place(a, r)), 1}}
}

// HasSyncMsg reports whether the kernel knows what [SyncMsg] does: it would
// then read a request where there is none.
func HasSyncMsg() bool {
	const nowhere = ^uintptr(0)
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, ^uintptr(0), registerSyncMsg, nowhere, 1, 0, 0)
	return errno == unix.EFAULT
}

// EpollWaitRequest completes with the number of events when an epoll instance
// has any, epoll_wait(2).
func EpollWaitRequest(epfd int, events []unix.EpollEvent, data uint64) Request {
	return Request{Op: RingEpollWait, Fd: int32(epfd), Addr: uint64(ptr(&events[0])), Len: uint32(len(events)), Data: data}
}

// FutexWaitRequest completes when *word, a futex of this process or a shared
// one, is woken, or at once with EAGAIN if it is not v.
func FutexWaitRequest(word *uint32, v uint32, private bool, data uint64) Request {
	return Request{Op: RingFutexWait, Fd: int32(futex2Flags(private)), Offset: uint64(v), Addr: uint64(ptr(word)), Addr3: futex2Any, Data: data}
}

// FutexWakeRequest wakes one waiter. With quiet it completes only if it fails.
func FutexWakeRequest(word *uint32, private, quiet bool, data uint64) Request {
	r := Request{Op: RingFutexWake, Fd: int32(futex2Flags(private)), Offset: 1, Addr: uint64(ptr(word)), Addr3: futex2Any, Data: data}
	if quiet {
		r.Flags = requestSkip
	}
	return r
}

// ringParams is struct io_uring_params, with the two it holds.
type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sq, cq                                                                 ringOffsets
}

type ringOffsets struct {
	head, tail, mask, entries uint32
	a, b, c, _                uint32 // sq: flags, dropped, array; cq: overflow, cqes, flags
	_                         uint64
}

// A Ring is an io_uring(7), by bare system calls: a C library for it is not
// needed. Its memory is shared with children that are forked later.
//
// A request is worked on in the name of the thread that submitted it and
// cancelled when that thread ends: submit from a locked one. The kernel reads
// and writes buffers after the call has returned. They must stay where they
// are: in an [Arena], or mapped.
type Ring struct {
	FD       int
	Features uint32

	rings, sqeBytes            []byte
	sqTail, sqFlags, sqDropped *uint32
	cqHead, cqTail, cqOverflow *uint32
	sqMask, cqMask             uint32
	requests                   []Request
	completions                []Completion
}

// NewRing makes a ring for n requests at a time, io_uring_setup(2).
func NewRing(n int, flags uint32) (*Ring, error) {
	p := ringParams{flags: flags}
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if e != 0 {
		return nil, fmt.Errorf("io_uring_setup(%d): %w", n, e)
	}
	r := &Ring{FD: int(fd), Features: p.features}
	if err := r.mmap(&p); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Ring) mmap(p *ringParams) (err error) {
	if p.features&ringSingleMmap == 0 {
		return errors.New("io_uring_setup: no IORING_FEAT_SINGLE_MMAP, which every kernel since 5.4 has")
	}
	size := max(int(p.sq.c)+int(p.sqEntries)*4, int(p.cq.b)+int(p.cqEntries)*int(unsafe.Sizeof(Completion{})))
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.rings, err = unix.Mmap(r.FD, offSqRing, size, prot, flags); err != nil {
		return fmt.Errorf("mmap of the rings: %w", err)
	}
	if r.sqeBytes, err = unix.Mmap(r.FD, offSqes, int(p.sqEntries)*int(unsafe.Sizeof(Request{})), prot, flags); err != nil {
		return fmt.Errorf("mmap of the requests: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[off])) }
	r.sqTail, r.sqFlags, r.sqDropped = word(p.sq.tail), word(p.sq.a), word(p.sq.b)
	r.cqHead, r.cqTail, r.cqOverflow = word(p.cq.head), word(p.cq.tail), word(p.cq.a)
	r.sqMask, r.cqMask = *word(p.sq.mask), *word(p.cq.mask)
	r.requests = unsafe.Slice((*Request)(unsafe.Pointer(&r.sqeBytes[0])), p.sqEntries)
	r.completions = unsafe.Slice((*Completion)(unsafe.Pointer(&r.rings[p.cq.b])), p.cqEntries)
	for i, array := 0, unsafe.Slice(word(p.sq.c), p.sqEntries); i < len(array); i++ {
		array[i] = uint32(i) // each request has its own place, for good
	}
	return nil
}

// Prepare fills the ring with requests, in turn, for [Ring.Queue] to submit one
// after the other: what a program that asks for the same again need not write
// again. Their number is a power of two and fits the ring.
func (r *Ring) Prepare(requests ...Request) {
	n := len(requests)
	if n == 0 || n&(n-1) != 0 || n > len(r.requests) {
		panic(fmt.Sprintf("%d requests for a ring of %d: want a power of two", n, len(r.requests)))
	}
	tail := int(atomic.LoadUint32(r.sqTail))
	for i := range r.requests {
		r.requests[(tail+i)&int(r.sqMask)] = requests[i%n]
	}
}

// Queue makes the kernel see n more of the requests that were prepared, when it
// is next entered: a store of the tail.
func (r *Ring) Queue(n int) Call {
	return Call{Name: "queueing requests", own: ownQueue, Set: r.sqTail, SetTo: uint32(n)}
}

// Enter submits n of the requests that were queued, io_uring_enter(2), and
// returns when there are so many completions to take.
func (r *Ring) Enter(n, completions int) Call {
	return Call{Name: "io_uring_enter()", Nr: unix.SYS_IO_URING_ENTER, Want: n,
		Args: [6]uintptr{uintptr(r.FD), uintptr(n), uintptr(completions), enterGetEvents}}
}

// Submit submits n of the requests that were queued.
func (r *Ring) Submit(n int) Call {
	c := r.Enter(n, 0)
	c.Args[3] = 0
	return c
}

// An Answer is a completion that is awaited.
type Answer struct {
	What    string // was asked for, as messages show it: "READ(eventfd)"
	Data    uint64
	Res     int        // what it must bring
	Refused unix.Errno // or this, which is counted: see [Call]
	More    bool       // it is not the last of its request
}

// Await takes a completion. It enters the kernel only to wait for one that is
// not there yet, as often as it takes. Completions come in the order in which
// they are awaited; another one, or another result, ends the loop.
//
// The loads and stores are those of liburing: acquire of the tail, release of
// the head.
func (r *Ring) Await(a Answer) []Call {
	wait := r.Enter(0, 1)
	wait.Name = "io_uring_enter(), for a completion of " + a.What
	return []Call{r.take(a, 2, 1), wait, r.take(a, 0, -1)}
}

// AwaitBy takes a completion of which sleep tells, calls that wait for it
// elsewhere. It enters the kernel for one that is not there then, without
// waiting, and goes back to sleep if there is none after that.
func (r *Ring) AwaitBy(sleep []Call, a Answer) []Call {
	return append(slices.Clone(sleep), r.take(a, 2, 1), r.Enter(0, 0), r.take(a, 0, -2-len(sleep)))
}

// take takes a completion and leaves out so many calls, or goes on by some if
// there is none.
func (r *Ring) take(a Answer, skip uint32, none int) Call {
	c := Call{Name: "completion of " + a.What, own: ownTake, Set: r.cqHead, SetTo: skip, Want: a.Res, Refused: a.Refused,
		Args: [6]uintptr{ptr(r.cqTail), ptr(&r.completions[0]), uintptr(r.cqMask), uintptr(a.Data), 0, uintptr(none)}}
	if a.More {
		c.Args[4] = completionMore
	}
	return c
}

// SubmitAndWait submits the n requests that come next, and awaits a completion
// in the same call.
func (r *Ring) SubmitAndWait(n int, a Answer) []Call {
	return append([]Call{r.Queue(n), r.Enter(n, 1)}, r.Await(a)...)
}

// Enable enables a ring that was made with [RingDisabled], for the thread that
// makes this call if it is for one alone: IORING_REGISTER_ENABLE_RINGS.
func (r *Ring) Enable() Call {
	return Call{Name: "io_uring_register(ENABLE_RINGS)", Nr: unix.SYS_IO_URING_REGISTER, Args: [6]uintptr{uintptr(r.FD), registerEnable}}
}

// RingCreate is io_uring_setup(2) for n requests; the descriptor goes to *fd.
func RingCreate(a *Arena, n int, flags uint32, fd *int32) Call {
	return Call{Name: "io_uring_setup()", Nr: unix.SYS_IO_URING_SETUP,
		Args: [6]uintptr{uintptr(n), ptr(Place(a, ringParams{flags: flags}))}, AnyCount: true, Want: noResult, Save: fd}
}

// Check says whether every completion was taken, and none lost.
func (r *Ring) Check() error {
	if n := atomic.LoadUint32(r.cqTail) - atomic.LoadUint32(r.cqHead); n != 0 {
		c := r.completions[atomic.LoadUint32(r.cqHead)&r.cqMask]
		return fmt.Errorf("%d completions were not awaited: the first is of %d, with result %d", n, c.Data, c.Res)
	}
	if n, flags := atomic.LoadUint32(r.cqOverflow), atomic.LoadUint32(r.sqFlags); n != 0 || flags&sqOverflow != 0 {
		return fmt.Errorf("completions overflowed: %d lost, flags %#x", n, flags)
	}
	if n := atomic.LoadUint32(r.sqDropped); n != 0 {
		return fmt.Errorf("the kernel dropped %d requests", n)
	}
	return nil
}

// Do hands in one request.
func (r *Ring) Do(request Request) error {
	tail := atomic.LoadUint32(r.sqTail)
	r.requests[tail&r.sqMask] = request
	atomic.StoreUint32(r.sqTail, tail+1)
	for {
		n, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.FD), 1, 0, 0, 0, 0)
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
func (r *Ring) Completions() (all []Completion) {
	head := atomic.LoadUint32(r.cqHead)
	for ; head != atomic.LoadUint32(r.cqTail); head++ {
		all = append(all, r.completions[head&r.cqMask])
	}
	atomic.StoreUint32(r.cqHead, head)
	return all
}

// RegisterEventfd makes completions signal an eventfd, IORING_REGISTER_EVENTFD
// in io_uring_register(2). EBUSY when there is one already.
func (r *Ring) RegisterEventfd(efd int) error {
	fd := int32(efd)
	return r.register("EVENTFD", registerEventfd, unsafe.Pointer(&fd), 1)
}

// UnregisterEventfd ends that. ENXIO when there is none.
func (r *Ring) UnregisterEventfd() error {
	return r.register("UNREGISTER_EVENTFD", unregisterEventfd, nil, 0)
}

// Supports reports whether the kernel knows an operation:
// IORING_REGISTER_PROBE, since Linux 5.6.
func (r *Ring) Supports(op uint8) (bool, error) {
	const supported, most = 1 << 0, 256
	var probe struct {
		_   [16]byte
		ops [most]struct {
			op, _ uint8
			flags uint16
			_     uint32
		}
	}
	err := r.register("PROBE", registerProbe, unsafe.Pointer(&probe), most)
	return probe.ops[op].flags&supported != 0, err
}

func (r *Ring) register(name string, op uintptr, arg unsafe.Pointer, n uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.FD), op, uintptr(arg), n, 0, 0)
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
	return errors.Join(append(errs, unix.Close(r.FD))...)
}
