//go:build linux

// Package rawsig gives tests of the kernel its own view of signals: raw system
// calls without the corrections of a C library or Go, a handler that records
// its state and makes system calls ([Handler]), and a program that reports the
// signal state that execve(2) left ([Probe]).
//
// Errors are unix.Errno, unwrapped, to compare with ==.
package rawsig

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"eventbench/helpers/sys"
)

const setSize = unsafe.Sizeof(sys.Sigset(0))

// Codes of siginfo_t that golang.org/x/sys/unix lacks (asm-generic/siginfo.h).
const (
	SIUser     = 0
	SIKernel   = 0x80
	SIQueue    = -1
	SITimer    = -2
	SITkill    = -6
	SegvMaperr = 1
	SegvAccerr = 2
	PollIn     = 1

	CldExited    = 1
	CldKilled    = 2
	CldDumped    = 3
	CldStopped   = 5
	CldContinued = 6
)

// Flags of sigaction(2) (asm-generic/signal-defs.h).
const (
	SANocldstop     = 0x1
	SANocldwait     = 0x2
	SASiginfo       = 0x4
	SAUnsupported   = 0x400
	SAExposeTagbits = 0x800
	SAOnstack       = 0x08000000
	SARestart       = 0x10000000
	SANodefer       = 0x40000000
	SAResethand     = 0x80000000
)

// Handlers of sigaction(2) that are not functions.
const (
	Default = 0
	Ignore  = 1
)

// All is every signal; the kernel takes SIGKILL and SIGSTOP out of masks.
const All = ^sys.Sigset(0)

// Blockable is All without SIGKILL and SIGSTOP: what a mask can hold.
const Blockable = All &^ (1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))

// Go is the signal that the runtime sends its own threads at any time (SIGURG,
// to preempt goroutines). It may be pending wherever it is blocked.
const Go = sys.Sigset(1 << (unix.SIGURG - 1))

func result(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// Do makes a system call that does not wait, with arbitrary arguments: bad
// pointers, sizes and numbers that the typed functions would not accept.
func Do(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return result(errno)
}

// Kill is kill(2).
func Kill(pid int, sig unix.Signal) error {
	return Do(unix.SYS_KILL, uintptr(pid), uintptr(sig))
}

// Tkill is tkill(2).
func Tkill(tid int, sig unix.Signal) error {
	return Do(unix.SYS_TKILL, uintptr(tid), uintptr(sig))
}

// Tgkill is tgkill(2).
func Tgkill(tgid, tid int, sig unix.Signal) error {
	return Do(unix.SYS_TGKILL, uintptr(tgid), uintptr(tid), uintptr(sig))
}

// Raise sends the calling thread a signal, tgkill(2).
func Raise(sig unix.Signal) error { return Tgkill(unix.Getpid(), unix.Gettid(), sig) }

// Queue is rt_sigqueueinfo(2).
func Queue(pid int, sig unix.Signal, info *sys.Siginfo) error {
	return Do(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), uintptr(unsafe.Pointer(info)))
}

// Tgqueue is rt_tgsigqueueinfo(2).
func Tgqueue(tgid, tid int, sig unix.Signal, info *sys.Siginfo) error {
	return Do(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(tgid), uintptr(tid), uintptr(sig), uintptr(unsafe.Pointer(info)))
}

// Value is what sigqueue(3) passes: an SI_QUEUE siginfo of this process with
// value.
func Value(value uint64) *sys.Siginfo {
	return &sys.Siginfo{Code: SIQueue, Pid: int32(unix.Getpid()), UID: int32(unix.Getuid()), Value: value}
}

// PidfdSend is pidfd_send_signal(2).
func PidfdSend(pidfd int, sig unix.Signal, info *sys.Siginfo, flags uint) error {
	return Do(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(pidfd), uintptr(sig), uintptr(unsafe.Pointer(info)), uintptr(flags))
}

// Wait is rt_sigtimedwait(2); a negative timeout waits for ever. It restarts if
// the Go runtime interrupted it, which cannot happen in a thread that blocks
// all signals.
func Wait(set sys.Sigset, timeout time.Duration) (sys.Siginfo, error) {
	var info sys.Siginfo
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(timeout.Nanoseconds())
		limit = &ts
	}
	sig, _, errno := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)),
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(limit)), setSize, 0, 0)
	if errno != 0 {
		return info, errno
	}
	if int32(sig) != info.Signo {
		return info, fmt.Errorf("rt_sigtimedwait returned %d with a siginfo of signal %d", sig, info.Signo)
	}
	return info, nil
}

// Take takes a pending signal of set and fails with EAGAIN if there is none.
func Take(set sys.Sigset) (sys.Siginfo, error) { return Wait(set, 0) }

// Pending is rt_sigpending(2) without what the Go runtime sends itself.
func Pending() (sys.Sigset, error) {
	var set sys.Sigset
	err := Do(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&set)), setSize)
	return set &^ Go, err
}

// Mask is rt_sigprocmask(2) with how one of unix.SIG_BLOCK, SIG_UNBLOCK and
// SIG_SETMASK; set may be nil. It returns the mask before.
func Mask(how int, set *sys.Sigset) (old sys.Sigset, err error) {
	err = Do(unix.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&old)), setSize)
	return old, err
}

// Suspend is rt_sigsuspend(2), which always fails.
func Suspend(mask sys.Sigset) error {
	_, _, errno := unix.Syscall(unix.SYS_RT_SIGSUSPEND, uintptr(unsafe.Pointer(&mask)), setSize, 0)
	return result(errno)
}

// An Action is the kernel's struct sigaction, which is not the C library's.
type Action struct {
	Handler  uintptr
	Flags    uint64
	Restorer uintptr
	Mask     sys.Sigset
}

// SetAction is rt_sigaction(2); act may be nil. It returns the action before.
func SetAction(sig unix.Signal, act *Action) (old Action, err error) {
	err = Do(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(&old)), setSize)
	return old, err
}

// A Stack is the kernel's stack_t.
type Stack struct {
	SP    uintptr
	Flags int32
	_     int32
	Size  uintptr
}

// Flags of sigaltstack(2) (linux/signal.h).
const (
	SSOnstack    = 1
	SSDisable    = 2
	SSAutodisarm = -1 << 31
)

// Altstack is sigaltstack(2); s may be nil. It returns the stack before.
func Altstack(s *Stack) (old Stack, err error) {
	err = Do(unix.SYS_SIGALTSTACK, uintptr(unsafe.Pointer(s)), uintptr(unsafe.Pointer(&old)))
	return old, err
}

// An Event is struct sigevent: how a timer tells that it expired.
type Event struct {
	Value  uint64
	Signo  int32
	Notify int32
	TID    int32
	_      [44]byte
}

// Ways of notification of sigevent(3type).
const (
	NotifySignal   = 0
	NotifyNone     = 1
	NotifyThreadID = 4
)

// A Timer is a POSIX timer's id.
type Timer int32

// NewTimer is timer_create(2); a nil event is SIGALRM with the timer's id.
func NewTimer(clock int, event *Event) (Timer, error) {
	var id Timer
	err := Do(unix.SYS_TIMER_CREATE, uintptr(clock), uintptr(unsafe.Pointer(event)), uintptr(unsafe.Pointer(&id)))
	return id, err
}

// Set is timer_settime(2) relative to now; 0 disarms. It returns what was left.
func (t Timer) Set(value, interval time.Duration) (old unix.ItimerSpec, err error) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(value)), Interval: unix.NsecToTimespec(int64(interval))}
	err = Do(unix.SYS_TIMER_SETTIME, uintptr(t), 0, uintptr(unsafe.Pointer(&spec)), uintptr(unsafe.Pointer(&old)))
	return old, err
}

// Get is timer_gettime(2).
func (t Timer) Get() (spec unix.ItimerSpec, err error) {
	err = Do(unix.SYS_TIMER_GETTIME, uintptr(t), uintptr(unsafe.Pointer(&spec)))
	return spec, err
}

// Overrun is timer_getoverrun(2).
func (t Timer) Overrun() (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_TIMER_GETOVERRUN, uintptr(t), 0, 0)
	return int(n), result(errno)
}

// Delete is timer_delete(2).
func (t Timer) Delete() error { return Do(unix.SYS_TIMER_DELETE, uintptr(t)) }
