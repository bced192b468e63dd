//go:build linux

package sys

import "golang.org/x/sys/unix"

// SocketpairCreate is socketpair(2) of two connected unix(7) stream sockets;
// their descriptors go to *fds.
func SocketpairCreate(fds *[2]int32) Call {
	return Call{Name: "socketpair()", Nr: unix.SYS_SOCKETPAIR,
		Args: [6]uintptr{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0, ptr(fds)}}
}

// SocketWrite sends *value, 8 bytes like an eventfd's.
func SocketWrite(fd int, value *uint64) Call { return Write("socket", fd, value, 8) }

// SocketRead receives one value.
func SocketRead(fd int, value *uint64) Call { return Read("socket", fd, value, 8) }
