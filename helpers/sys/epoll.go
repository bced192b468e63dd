//go:build linux

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// EpollCreate is epoll_create1(2); the descriptor goes to *fd.
func EpollCreate(flags int, fd *int32) Call {
	return Call{Name: "epoll_create1()", Nr: unix.SYS_EPOLL_CREATE1, Args: [6]uintptr{uintptr(flags)},
		AnyCount: true, Want: noResult, Save: fd}
}

// EpollCtl is epoll_ctl(2); op is unix.EPOLL_CTL_ADD, _MOD or _DEL.
func EpollCtl(epfd, op, fd int, event *unix.EpollEvent) Call {
	name := map[int]string{unix.EPOLL_CTL_ADD: "ADD", unix.EPOLL_CTL_MOD: "MOD", unix.EPOLL_CTL_DEL: "DEL"}[op]
	return Call{Name: "epoll_ctl(" + name + ")", Nr: unix.SYS_EPOLL_CTL,
		Args: [6]uintptr{uintptr(epfd), uintptr(op), uintptr(fd), ptr(event)}}
}

// EpollWait waits for ready descriptors and wants exactly n of them:
// epoll_pwait(2) without a mask, since arm64 has no epoll_wait. The timeout is
// in milliseconds, -1 for ever.
func EpollWait(epfd int, events []unix.EpollEvent, timeout, n int) Call {
	return Call{Name: "epoll_pwait()", Nr: unix.SYS_EPOLL_PWAIT,
		Args: [6]uintptr{uintptr(epfd), ptr(&events[0]), uintptr(len(events)), uintptr(timeout)}, Want: n}
}

// EpollWaitSome is EpollWait for any number of ready descriptors, which goes to
// *n.
func EpollWaitSome(epfd int, events []unix.EpollEvent, timeout int, n *int32) Call {
	c := EpollWait(epfd, events, timeout, noResult)
	c.AnyCount, c.Save = true, n
	return c
}

// EpollSpin asks again and again, with a timeout of 0, until there is an event.
func EpollSpin(a *Arena, epfd int, events []unix.EpollEvent) Call {
	none := a.Word32(0)
	c := EpollWaitSome(epfd, events, 0, (*int32)(unsafe.Pointer(none)))
	c.Set, c.While = none, none
	return c
}

// EpollWait2 is EpollWait with a time-out in nanoseconds: epoll_pwait2(2),
// since Linux 5.11.
func EpollWait2(epfd int, events []unix.EpollEvent, timeout *unix.Timespec, n int) Call {
	return Call{Name: "epoll_pwait2()", Nr: unix.SYS_EPOLL_PWAIT2,
		Args: [6]uintptr{uintptr(epfd), ptr(&events[0]), uintptr(len(events)), ptr(timeout)}, Want: n}
}

// EpollEvents returns room for n events.
func EpollEvents(a *Arena, n int) []unix.EpollEvent {
	return sliceOf[unix.EpollEvent](a, n)
}
