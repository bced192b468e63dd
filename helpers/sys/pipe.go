//go:build linux

package sys

import "golang.org/x/sys/unix"

// PipeCreate is pipe2(2); the two descriptors go to *fds.
func PipeCreate(flags int, fds *[2]int32) Call {
	return Call{Name: "pipe2()", Nr: unix.SYS_PIPE2, Args: [6]uintptr{ptr(fds), uintptr(flags)}}
}

// PipeWrite sends *value, 8 bytes like an eventfd's, through a pipe(7).
func PipeWrite(fd int, value *uint64) Call { return Write("pipe", fd, value, 8) }

// PipeRead receives one value. Writes of 8 bytes are atomic (PIPE_BUF), and
// so are reads of 8 where all writes are.
func PipeRead(fd int, value *uint64) Call { return Read("pipe", fd, value, 8) }
