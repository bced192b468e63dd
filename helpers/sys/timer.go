//go:build linux

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewTimer makes a POSIX timer that sends sig to thread tid of this process:
// timer_create(2) with SIGEV_THREAD_ID. It is not armed.
func NewTimer(clock int, sig unix.Signal, tid int) (id int, err error) {
	const sigevThreadID = 4 // SIGEV_THREAD_ID, asm-generic/siginfo.h
	event := struct {
		value         uint64
		signo, notify int32
		tid           int32
		_             [44]byte
	}{signo: int32(sig), notify: sigevThreadID, tid: int32(tid)}
	var timer int32
	_, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, uintptr(clock),
		uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&timer)))
	if errno != 0 {
		return 0, errno
	}
	return int(timer), nil
}

// SetTimer arms the timer, or with a value of 0 disarms it: timer_settime(2).
func SetTimer(id, flags int, spec unix.ItimerSpec) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(id), uintptr(flags), uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// DeleteTimer is timer_delete(2).
func DeleteTimer(id int) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(id), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// TimerSettime is SetTimer as a call.
func TimerSettime(id, flags int, spec *unix.ItimerSpec) Call {
	return Call{Name: "timer_settime()", Nr: unix.SYS_TIMER_SETTIME,
		Args: [6]uintptr{uintptr(id), uintptr(flags), ptr(spec)}}
}

// Nanosleep is clock_nanosleep(2): until *at with unix.TIMER_ABSTIME, for so
// long without.
func Nanosleep(clock, flags int, at *unix.Timespec) Call {
	return Call{Name: "clock_nanosleep()", Nr: unix.SYS_CLOCK_NANOSLEEP,
		Args: [6]uintptr{uintptr(clock), uintptr(flags), ptr(at)}}
}
