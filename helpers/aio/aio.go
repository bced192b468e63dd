//go:build linux

// Package aio asks the kernel for I/O that it completes later and announces
// on an eventfd: Linux AIO, io_submit(2), by bare system calls. The C library
// for it is not needed. io_uring(7) is in package sys.
//
// The kernel reads and writes buffers after the call has returned. They must
// stay where they are: memory from unix.Mmap, or pinned with runtime.Pinner.
package aio

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of an Iocb, linux/aio_abi.h.
const (
	CmdPread  = 0
	CmdPwrite = 1
	CmdPoll   = 5 // since Linux 4.18
)

// FlagResfd makes the completion add 1 to the eventfd in Iocb.Resfd.
const FlagResfd = 1

// An Iocb is one request, struct iocb in linux/aio_abi.h as little-endian
// machines lay it out.
type Iocb struct {
	Data     uint64 // comes back in Event.Data
	_        uint32 // the kernel writes a key here
	RwFlags  uint32
	Cmd      uint16
	Priority int16
	Fd       int32
	Buf      uint64 // the address of the buffer; for CmdPoll the events
	Nbytes   uint64
	Offset   int64
	_        uint64
	Flags    uint32
	Resfd    int32
}

// An Event is one completion, struct io_event.
type Event struct {
	Data uint64
	Obj  uint64 // the address of the Iocb
	Res  int64  // what read, write or poll returned; below zero, an errno
	Res2 int64
}

// A Context is a queue of requests and completions.
type Context uintptr

// Setup makes a context for n requests at a time, io_setup(2). It fails with
// ENOSYS on a kernel without CONFIG_AIO, EAGAIN at /proc/sys/fs/aio-max-nr.
func Setup(n int) (Context, error) {
	var c Context
	_, _, e := unix.Syscall(unix.SYS_IO_SETUP, uintptr(n), uintptr(unsafe.Pointer(&c)), 0)
	if e != 0 {
		return 0, fmt.Errorf("io_setup(%d): %w", n, e)
	}
	return c, nil
}

// Submit hands in one request, io_submit(2). The Iocb may be reused at once.
func (c Context) Submit(cb *Iocb) error {
	list := [1]*Iocb{cb}
	n, _, e := unix.Syscall(unix.SYS_IO_SUBMIT, uintptr(c), 1, uintptr(unsafe.Pointer(&list)))
	if e != 0 {
		return fmt.Errorf("io_submit: %w", e)
	}
	if n != 1 {
		return fmt.Errorf("io_submit: took %d of 1 request", n)
	}
	return nil
}

// Events takes up to len(buf) completions, waiting up to timeout for the
// first, io_getevents(2).
func (c Context) Events(buf []Event, timeout time.Duration) ([]Event, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	for {
		n, _, e := unix.Syscall6(unix.SYS_IO_GETEVENTS, uintptr(c), 1, uintptr(len(buf)),
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(unsafe.Pointer(&ts)), 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return nil, fmt.Errorf("io_getevents: %w", e)
		}
		return buf[:n], nil
	}
}

// Destroy cancels what can be cancelled, waits for the rest and frees the
// context, io_destroy(2).
func (c Context) Destroy() error {
	if _, _, e := unix.Syscall(unix.SYS_IO_DESTROY, uintptr(c), 0, 0); e != 0 {
		return fmt.Errorf("io_destroy: %w", e)
	}
	return nil
}

// Address is a buffer's address as requests want it.
func Address(buf []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) }
