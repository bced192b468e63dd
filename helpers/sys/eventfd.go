//go:build linux

package sys

import "golang.org/x/sys/unix"

// EventfdCreate is eventfd2(2) with counter 0; the descriptor goes to *fd.
func EventfdCreate(flags int, fd *int32) Call {
	return Call{Name: "eventfd2()", Nr: unix.SYS_EVENTFD2, Args: [6]uintptr{0, uintptr(flags)},
		AnyCount: true, Want: noResult, Save: fd}
}

// EventfdWrite adds *value to the counter: write(2) of 8 bytes, see eventfd(2).
func EventfdWrite(fd int, value *uint64) Call { return Write("eventfd", fd, value, 8) }

// EventfdRead takes the counter, or 1 of it in semaphore mode, into *value.
func EventfdRead(fd int, value *uint64) Call { return Read("eventfd", fd, value, 8) }
