//go:build linux

package sys

import "golang.org/x/sys/unix"

// Getppid is the cheapest system call that does something: getppid(2). What it
// costs is what any call costs before it does anything.
func Getppid() Call {
	return Call{Name: "getppid()", Nr: unix.SYS_GETPPID, AnyCount: true, Want: noResult}
}

// NoSuchCall is a call number that no kernel has: entry and exit alone.
func NoSuchCall() Call {
	return Call{Name: "call without a number", Nr: 4000, Want: -int(unix.ENOSYS)}
}

// Close is close(2) of the descriptor that *fd holds when the call is made.
func Close(fd *int32) Call {
	return Call{Name: "close()", Nr: unix.SYS_CLOSE, Load: fd}
}

// Read is read(2) of size bytes from fd into buf; what names the descriptor
// in messages.
func Read[T any](what string, fd int, buf *T, size int) Call {
	return Call{Name: "read(" + what + ")", Nr: unix.SYS_READ,
		Args: [6]uintptr{uintptr(fd), ptr(buf), uintptr(size)}, Want: size}
}

// Empty is c where there is nothing to take, of a non-blocking descriptor or with
// a timeout of 0: it wants EAGAIN.
func Empty(c Call) Call {
	c.Want = -int(unix.EAGAIN)
	return c
}

// Write is write(2) of size bytes from buf to fd.
func Write[T any](what string, fd int, buf *T, size int) Call {
	return Call{Name: "write(" + what + ")", Nr: unix.SYS_WRITE,
		Args: [6]uintptr{uintptr(fd), ptr(buf), uintptr(size)}, Want: size}
}
