//go:build linux

// Package fdtest makes the descriptors and handlers of tests and benchmarks:
// eventfds, timers, pipes, epoll sets. They are closed or removed at the end of
// the test. If a call is not available or hits a limit, the test is skipped
// with the name of the call.
package fdtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"

	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Must ends the test or benchmark if err is not nil. It skips, naming the call
// and the errno, if the call is not available or hits a limit, and fails
// otherwise.
func Must(tb testing.TB, call string, err error) {
	tb.Helper()
	peer.SkipOrFatal(tb, os.NewSyscallError(call, err))
}

// Eventfd makes an eventfd with counter 0.
func Eventfd(tb testing.TB, flags int) int {
	tb.Helper()
	fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
	return closed(tb, "eventfd2", fd, err)
}

// Post adds 1 to an eventfd, which must have room for it.
func Post(tb testing.TB, fd int) {
	tb.Helper()
	if n, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1)); n != 8 || err != nil {
		tb.Fatalf("write of 1 to an eventfd = %d, %v; want 8", n, err)
	}
}

// Timerfd makes a monotonic timer that is not armed.
func Timerfd(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	return closed(tb, "timerfd_create", fd, err)
}

// Signalfd makes a signalfd for sigs, which the reader must have blocked.
func Signalfd(tb testing.TB, sigs ...unix.Signal) int {
	tb.Helper()
	var set unix.Sigset_t
	set.Val[0] = uint64(sys.Sigs(sigs...))
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
	return closed(tb, "signalfd4", fd, err)
}

// Epoll makes an epoll instance that waits for each of fds to become readable.
func Epoll(tb testing.TB, fds ...int) int {
	tb.Helper()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closed(tb, "epoll_create1", epfd, err)
	for _, fd := range fds {
		Add(tb, epfd, fd, unix.EPOLLIN)
	}
	return epfd
}

// Add registers fd for the events in bits, with its number as data.
func Add(tb testing.TB, epfd, fd int, bits uint32) {
	tb.Helper()
	err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: bits, Fd: int32(fd)})
	if err == unix.ENOSPC {
		Must(tb, "epoll_ctl(ADD)", err) // only a limit can fail it, not this fd or these events
	}
	if err != nil {
		tb.Fatalf("epoll_ctl(ADD) with events %#x: %v", bits, err)
	}
}

// Pipe makes a pipe.
func Pipe(tb testing.TB) (r, w int) {
	tb.Helper()
	var fds [2]int
	err := unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return closed(tb, "pipe2", fds[0], err), closed(tb, "pipe2", fds[1], err)
}

// Socketpair makes two connected stream sockets.
func Socketpair(tb testing.TB) [2]int {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return [2]int{closed(tb, "socketpair", fds[0], err), closed(tb, "socketpair", fds[1], err)}
}

// Ring makes an io_uring for n requests at a time.
func Ring(tb testing.TB, n int, flags uint32) *sys.Ring {
	tb.Helper()
	r, err := sys.NewRing(n, flags)
	switch {
	case errors.Is(err, unix.EPERM):
		setting, _ := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
		tb.Skipf("%v: refused by a filter, or by kernel.io_uring_disabled, which is %q", err, bytes.TrimSpace(setting))
	case errors.Is(err, unix.ENOMEM):
		tb.Skipf("limit reached: %v: raise RLIMIT_MEMLOCK (ulimit -l)", err)
	case errors.Is(err, unix.EINVAL) && flags&sys.RingDeferTaskrun != 0:
		tb.Skipf("%v: IORING_SETUP_DEFER_TASKRUN is there since Linux 6.1", err)
	case errors.Is(err, unix.ENOSYS):
		tb.Skipf("%v: a kernel without CONFIG_IO_URING, or a sandbox", err)
	}
	peer.SkipOrFatal(tb, err)
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// NeedRing skips the test or benchmark where there is no io_uring with such
// flags, features and operations.
func NeedRing(tb testing.TB, flags, features uint32, operations ...uint8) {
	tb.Helper()
	r := Ring(tb, 1, flags)
	if r.Features&features != features {
		tb.Skipf("io_uring has features %#x here, and %#x are needed: a newer Linux has them", r.Features, features)
	}
	for _, op := range operations {
		ok, err := r.Supports(op)
		if err != nil {
			tb.Skip(err)
		}
		if !ok {
			tb.Skipf("io_uring has no operation %d here, as IORING_REGISTER_PROBE says: a newer Linux has it", op)
		}
	}
}

// NeedCall skips the test or benchmark where the kernel has no call with this
// number, for which no arguments, all 0, must be an error.
func NeedCall(tb testing.TB, name string, nr uintptr) {
	tb.Helper()
	if _, _, errno := unix.Syscall6(nr, 0, 0, 0, 0, 0, 0); errno == unix.ENOSYS || errno == unix.EPERM {
		Must(tb, name, errno)
	}
}

// NonBlocking makes calls on fd that would block come back with EAGAIN, and
// returns fd.
func NonBlocking(tb testing.TB, fd int) int {
	tb.Helper()
	Must(tb, "fcntl(F_SETFL)", unix.SetNonblock(fd, true))
	return fd
}

// closed returns a new descriptor, which is closed when tb is over.
func closed(tb testing.TB, call string, fd int, err error) int {
	tb.Helper()
	Must(tb, call, err)
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Arena maps memory that forked children share.
func Arena(tb testing.TB) *sys.Arena {
	tb.Helper()
	a, err := sys.NewArena(2 << 20)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { a.Close() })
	return a
}

// Handle installs the counting handler for sig and returns its count.
func Handle(tb testing.TB, sig unix.Signal) (runs *uint64) {
	tb.Helper()
	runs, restore, err := sys.Handle(sig)
	peer.SkipOrFatal(tb, err)
	tb.Cleanup(func() {
		if err := restore(); err != nil {
			tb.Error(err)
		}
	})
	return runs
}

// SignalName is SIGUSR1 for 10, and RT40 for a real-time signal.
func SignalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("RT%d", int(sig))
}
