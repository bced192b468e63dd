//go:build linux

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// SignalfdInfoSize is what one signal takes of a signalfd(2) read.
const SignalfdInfoSize = int(unsafe.Sizeof(unix.SignalfdSiginfo{}))

// SignalfdCreate is signalfd4(2) with a new descriptor; it goes to *fd.
func SignalfdCreate(mask *Sigset, flags int, fd *int32) Call {
	return Call{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4,
		Args: [6]uintptr{^uintptr(0), ptr(mask), sigsetSize, uintptr(flags)}, AnyCount: true, Want: noResult, Save: fd}
}

// SignalfdRead takes one signal.
func SignalfdRead(fd int, info *unix.SignalfdSiginfo) Call {
	return Read("signalfd", fd, info, SignalfdInfoSize)
}
