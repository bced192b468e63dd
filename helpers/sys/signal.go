//go:build linux

package sys

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Sigset is the kernel's sigset_t: bit n-1 stands for signal n.
type Sigset uint64

const sigsetSize = unsafe.Sizeof(Sigset(0))

// Sigs returns the set of the given signals.
func Sigs(sigs ...unix.Signal) Sigset {
	var s Sigset
	for _, sig := range sigs {
		s |= 1 << (sig - 1)
	}
	return s
}

// Siginfo is the part of the kernel's siginfo_t that kill(2) and
// rt_sigqueueinfo(2) fill in: 128 bytes, see sigaction(2).
type Siginfo struct {
	Signo, Errno, Code int32
	_                  int32
	Pid, UID           int32
	Value              uint64
	_                  [96]byte
}

// Overrun returns, of a POSIX timer's signal, how many more expiries it stands
// for: si_overrun, which lies where other signals have the sender's user id.
func (i *Siginfo) Overrun() int32 { return i.UID }

// SIQueue is the si_code of a queued signal (SI_QUEUE, asm-generic/siginfo.h).
const SIQueue = -1

// Kill sends sig to process pid: kill(2).
func Kill(pid int, sig unix.Signal) Call {
	return Call{Name: "kill()", Nr: unix.SYS_KILL, Args: [6]uintptr{uintptr(pid), uintptr(sig)}}
}

// Tgkill sends sig to thread tid of process tgid: tgkill(2).
func Tgkill(tgid, tid int, sig unix.Signal) Call {
	return Call{Name: "tgkill()", Nr: unix.SYS_TGKILL, Args: [6]uintptr{uintptr(tgid), uintptr(tid), uintptr(sig)}}
}

// Sigqueue queues sig with info to process pid: rt_sigqueueinfo(2). EAGAIN is
// the answer of a queue that is full (RLIMIT_SIGPENDING).
func Sigqueue(pid int, sig unix.Signal, info *Siginfo) Call {
	return Call{Name: "rt_sigqueueinfo()", Nr: unix.SYS_RT_SIGQUEUEINFO,
		Args: [6]uintptr{uintptr(pid), uintptr(sig), ptr(info)}}
}

// Tgsigqueue queues sig with info to one thread: rt_tgsigqueueinfo(2).
func Tgsigqueue(tgid, tid int, sig unix.Signal, info *Siginfo) Call {
	return Call{Name: "rt_tgsigqueueinfo()", Nr: unix.SYS_RT_TGSIGQUEUEINFO,
		Args: [6]uintptr{uintptr(tgid), uintptr(tid), uintptr(sig), ptr(info)}}
}

// Sigwait takes one pending signal of set and wants it to be sig:
// rt_sigtimedwait(2) without a timeout, which is sigwaitinfo(2).
func Sigwait(set *Sigset, info *Siginfo, sig unix.Signal) Call {
	return Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT,
		Args: [6]uintptr{ptr(set), ptr(info), 0, sigsetSize}, Want: int(sig)}
}

// Sigpoll is Sigwait with a timeout, at timeout.
func Sigpoll(set *Sigset, info *Siginfo, timeout *unix.Timespec, sig unix.Signal) Call {
	c := Sigwait(set, info, sig)
	c.Args[2] = ptr(timeout)
	return c
}

// Sigsuspend lets mask take the place of the thread's own until a handler has
// run: sigsuspend(2). Unlike pause(2) it cannot miss a signal that came before.
func Sigsuspend(mask *Sigset) Call {
	return Call{Name: "rt_sigsuspend()", Nr: unix.SYS_RT_SIGSUSPEND,
		Args: [6]uintptr{ptr(mask), sigsetSize}, Want: -int(unix.EINTR)}
}

// SigsuspendUntilRun empties *runs, the count of a handler, and suspends
// until that handler has run, whatever other handlers run meanwhile. The
// signal must be blocked outside mask.
func SigsuspendUntilRun(mask *Sigset, runs *uint64) Call {
	c := Sigsuspend(mask)
	c.Set = (*uint32)(unsafe.Pointer(runs)) // its low half: both architectures are little-endian
	c.While = c.Set
	return c
}

// Insist makes c again for as long as it comes back with EAGAIN.
func Insist(a *Arena, c Call) Call {
	again := a.Word32(1)
	c.Set, c.SetTo = again, 1
	c.While, c.WhileIs = again, 1
	c.Save = (*int32)(unsafe.Pointer(again)) // success is 0
	return c
}

// Mask replaces the calling thread's signal mask and returns the old one.
// The caller must have locked the thread.
func Mask(mask Sigset) (Sigset, error) {
	var old Sigset
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&mask)), uintptr(unsafe.Pointer(&old)), sigsetSize, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("rt_sigprocmask: %w", errno)
	}
	return old, nil
}

// handlerRuns points at one counter a signal, in memory shared with forked
// children; the handler in loop_*.s adds to it.
var handlerRuns *[65]uint64

var handlerArena = sync.OnceValue(func() error {
	a, err := NewArena(4096)
	if err != nil {
		return err
	}
	handlerRuns = alloc[[65]uint64](a, 1)
	return nil
})

// sigaction is the kernel's struct, not the C library's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     Sigset
}

const saOnstack = 0x08000000 // SA_ONSTACK, asm-generic/signal-defs.h

// Handle installs the counting handler for sig in this process and its future
// children, and returns the address of the count and a function that puts the
// former disposition back. The handler is a few instructions of assembly: no Go
// code runs. It uses the alternate stack where the thread has one (SA_ONSTACK),
// for a signal's frame may not fit a goroutine's, does not restart the call
// that it interrupted (no SA_RESTART), and runs with all signals blocked, so
// that the lower-numbered of two signals is counted first.
func Handle(sig unix.Signal) (runs *uint64, restore func() error, err error) {
	if err := handlerArena(); err != nil {
		return nil, nil, err
	}
	act := sigaction{handler: handlerPC(), flags: saOnstack, mask: ^Sigset(0)}
	act.restore()
	old, err := action(sig, &act)
	if err != nil {
		return nil, nil, err
	}
	runs = &handlerRuns[sig]
	atomic.StoreUint64(runs, 0)
	return runs, func() error {
		_, err := action(sig, &old)
		return err
	}, nil
}

func action(sig unix.Signal, act *sigaction) (old sigaction, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(&old)), sigsetSize, 0, 0)
	if errno != 0 {
		return old, fmt.Errorf("rt_sigaction(%d): %w", sig, errno)
	}
	return old, nil
}

func handlerPC() uintptr
