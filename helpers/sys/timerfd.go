//go:build linux

package sys

import "golang.org/x/sys/unix"

// TimerfdCreate is timerfd_create(2); the descriptor goes to *fd.
func TimerfdCreate(clock, flags int, fd *int32) Call {
	return Call{Name: "timerfd_create()", Nr: unix.SYS_TIMERFD_CREATE,
		Args: [6]uintptr{uintptr(clock), uintptr(flags)}, AnyCount: true, Want: noResult, Save: fd}
}

// TimerfdSettime arms the timer anew: timerfd_settime(2).
func TimerfdSettime(fd, flags int, spec *unix.ItimerSpec) Call {
	return Call{Name: "timerfd_settime()", Nr: unix.SYS_TIMERFD_SETTIME,
		Args: [6]uintptr{uintptr(fd), uintptr(flags), ptr(spec)}}
}

// TimerfdRead waits for an expiry and takes their number into *count.
func TimerfdRead(fd int, count *uint64) Call { return Read("timerfd", fd, count, 8) }
