//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Making a signalfd: its arguments, flags and limits.

// signalfdIsReadWrite (SFD-01): it is open for reading and writing, and the two
// flags set the two flags, signalfd(2).
func signalfdIsReadWrite(t *testing.T) {
	blockAll(t)
	for _, c := range []struct{ flags, status, descriptor int }{
		{0, unix.O_RDWR, 0},
		{unix.SFD_NONBLOCK, unix.O_RDWR | unix.O_NONBLOCK, 0},
		{unix.SFD_CLOEXEC, unix.O_RDWR, unix.FD_CLOEXEC},
		{unix.SFD_NONBLOCK | unix.SFD_CLOEXEC, unix.O_RDWR | unix.O_NONBLOCK, unix.FD_CLOEXEC},
	} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), c.flags)
		wantFlags(t, fd, c.status, c.descriptor)
		dup, err := unix.Dup(fd)
		closable(t, dup, err)
		wantFlags(t, dup, c.status, 0)
		mustRaise(t, unix.SIGUSR1)
		wantSigs(t, "a new signalfd", fd, unix.SIGUSR1)
		wantNoRecord(t, "after the read", fd)
	}
}

// signalfdUnknownFlags (SFD-02): any other flag is EINVAL, signalfd(2), alone
// and beside known ones, and whatever the descriptor is.
func signalfdUnknownFlags(t *testing.T) {
	blockAll(t)
	const known = unix.SFD_NONBLOCK | unix.SFD_CLOEXEC
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	others := []int{-1, fd, noDescriptor, fdtest.Eventfd(t, 0)}
	for bit := range 32 {
		flag := 1 << bit
		if flag&known != 0 {
			continue
		}
		for _, of := range others {
			for _, flags := range []int{flag, flag | known} {
				if got, err := signalfd4(of, sys.Sigs(unix.SIGUSR2), flags); err != unix.EINVAL {
					t.Errorf("signalfd4(%d, mask, 8, %#x) = %d, %v; want EINVAL", of, flags, got, err)
					if of == -1 {
						unix.Close(got)
					}
				}
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdBadMask (SFD-03): a mask of another size than the kernel's is EINVAL,
// one that cannot be read EFAULT since 5.9 and in stable releases before it,
// EINVAL until then; an existing mask stays.
func signalfdBadMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mask := sys.Sigs(unix.SIGUSR2)
	for _, of := range []int{-1, fd} {
		for _, size := range []uintptr{0, 1, 4, 7, 9, 12, 16, 128, 1 << 32, 1<<32 | 8, ^uintptr(0)} {
			got, err := rawCall(unix.SYS_SIGNALFD4, uintptr(of), uintptr(unsafe.Pointer(&mask)), size, 0)
			if err != unix.EINVAL {
				t.Errorf("signalfd4(%d) with a mask of %#x bytes = %d, %v; want EINVAL", of, size, got, err)
			}
		}
		for what, at := range badPointers(t, 8) {
			got, err := rawCall(unix.SYS_SIGNALFD4, uintptr(of), at, 8, 0)
			if err != unix.EFAULT && (behaviour.Since(5, 9) || err != unix.EINVAL) {
				t.Errorf("signalfd4(%d) with %s = %d, %v; want EFAULT", of, what, got, err)
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdBadDescriptor (SFD-04): -1 alone asks for a new one; what is not open
// is EBADF, what is no signalfd EINVAL, signalfd(2), and is left alone.
func signalfdBadDescriptor(t *testing.T) {
	mask := sys.Sigs(unix.SIGUSR1)
	for _, fd := range append(badDescriptors(t)[1:], -2, -100) {
		got, err := signalfd4(fd, mask, 0)
		wantErrno(t, fmt.Sprintf("signalfd4(%d) = %d", fd, got), err, unix.EBADF)
	}
	path := mustOpen(t, "/", unix.O_PATH)
	_, err := signalfd4(path, mask, 0)
	wantErrno(t, "signalfd4 of a path", err, unix.EBADF)
	r, w, _, _ := mustClosablePipe(t)
	event := newEventfd(t, 5, 0)
	for what, fd := range map[string]int{"an eventfd": event, "a pipe": r, "a pipe's other end": w, "a timerfd": fdtest.Timerfd(t),
		"an epoll instance": fdtest.Epoll(t), "a socket": fdtest.Socketpair(t)[0], "a memory file": mustMemfd(t)} {
		for _, flags := range []int{0, unix.SFD_NONBLOCK | unix.SFD_CLOEXEC} {
			_, err := signalfd4(fd, mask, flags)
			wantErrno(t, "signalfd4 of "+what, err, unix.EINVAL)
		}
	}
	wantFlags(t, event, unix.O_RDWR, 0)
	wantCount(t, event, 5)
}

// signalfdErrorOrder (SFD-40): of several errors that of the mask's size comes
// first, then its memory, the flags, the descriptor that is not open, and the
// one that is no signalfd.
func signalfdErrorOrder(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mask := sys.Sigs(unix.SIGUSR2)
	good, bad := uintptr(unsafe.Pointer(&mask)), badPointers(t, 8)["a pointer to inaccessible memory"]
	closed, other := uintptr(noDescriptor), uintptr(newEventfd(t, 0, 0))
	for _, of := range []uintptr{minusOne, uintptr(fd), closed, other} {
		for _, flags := range []uintptr{0, 1, unix.SFD_NONBLOCK, unix.SFD_NONBLOCK | 4} {
			for _, at := range []uintptr{good, bad} {
				for _, size := range []uintptr{8, 4, 16} {
					var want error
					switch {
					case size != 8:
						want = unix.EINVAL
					case at == bad && behaviour.Since(5, 9):
						want = unix.EFAULT
					case at == bad:
						continue // EINVAL or EFAULT, signalfdBadMask
					case flags&^unix.SFD_NONBLOCK != 0:
						want = unix.EINVAL
					case of == closed:
						want = unix.EBADF
					case of == other:
						want = unix.EINVAL
					default:
						continue // no error
					}
					got, err := rawCall(unix.SYS_SIGNALFD4, of, at, size, flags)
					if err != want {
						t.Errorf("signalfd4(%d, readable %t, %d, %#x) = %d, %v; want %v", int(of), at == good, size, flags, got, err, want)
					}
				}
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
	runtime.KeepAlive(&mask)
}

// signalfdLegacy (SFD-41): signalfd() is signalfd4() without flags, whatever is
// in the argument that it has not got, signalfd(2). Architectures younger than
// signalfd4, as arm64, do not have it.
func signalfdLegacy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		behaviour.Absent(t, "%s has no signalfd() without flags", runtime.GOARCH)
	}
	blockAll(t)
	const sysSignalfd = 282 // asm/unistd_64.h
	legacy := func(fd int, mask sys.Sigset, size, flags uintptr) (int, error) {
		return rawCall(sysSignalfd, uintptr(fd), uintptr(unsafe.Pointer(&mask)), size, flags)
	}
	for _, flags := range []uintptr{0, unix.SFD_NONBLOCK | unix.SFD_CLOEXEC, 1, ^uintptr(0)} {
		fd, err := legacy(-1, sys.Sigs(unix.SIGUSR1), 8, flags)
		closable(t, fd, err)
		wantFlags(t, fd, unix.O_RDWR, 0)
		if got, err := legacy(fd, sys.Sigs(unix.SIGUSR2), 8, flags); got != fd || err != nil {
			t.Errorf("signalfd(%d) = %d, %v; want the same descriptor", fd, got, err)
		}
		mustRaise(t, unix.SIGUSR2)
		wantSigs(t, "the new mask's signal", fd, unix.SIGUSR2)
	}
	for _, size := range []uintptr{0, 4, 16} {
		_, err := legacy(-1, 0, size, 0)
		wantErrno(t, fmt.Sprintf("signalfd with a mask of %d bytes", size), err, unix.EINVAL)
	}
	_, err := legacy(noDescriptor, 0, 8, 0)
	wantErrno(t, "signalfd of a closed descriptor", err, unix.EBADF)
	_, err = legacy(newEventfd(t, 0, 0), 0, 8, 0)
	wantErrno(t, "signalfd of an eventfd", err, unix.EINVAL)
}

// signalfdFlagsOfExisting (SFD-42): where the mask of an existing signalfd is
// replaced, the flags are checked and otherwise have no effect: they neither
// set nor clear anything.
func signalfdFlagsOfExisting(t *testing.T) {
	const all = unix.SFD_NONBLOCK | unix.SFD_CLOEXEC
	for _, of := range []struct{ made, status, descriptor int }{
		{0, unix.O_RDWR, 0}, {all, unix.O_RDWR | unix.O_NONBLOCK, unix.FD_CLOEXEC},
	} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), of.made)
		for _, flags := range []int{0, unix.SFD_NONBLOCK, unix.SFD_CLOEXEC, all} {
			if got, err := signalfd4(fd, sys.Sigs(unix.SIGUSR2), flags); got != fd || err != nil {
				t.Errorf("signalfd4(%d, mask, 8, %#x) = %d, %v; want the same descriptor", fd, flags, got, err)
			}
			wantFlags(t, fd, of.status, of.descriptor)
		}
	}
}

// signalfdAtDescriptorLimit (SFD-43): EMFILE at RLIMIT_NOFILE, after all other
// errors, and nothing is left of it; the mask of an existing one can still be
// replaced.
func signalfdAtDescriptorLimit(t testing.TB) {
	blockAll(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	other := newEventfd(t, 0, 0)
	last := newSignalfd(t, 0, 0)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(last) + 1, Max: old.Max}); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	for range 1000 {
		if got, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), 0); err != unix.EMFILE {
			t.Fatalf("signalfd4 with all %d descriptors in use = %d, %v; want EMFILE", last+1, got, err)
		}
	}
	_, err := signalfd4(-1, 0, 1)
	wantErrno(t, "an unknown flag, with all descriptors in use", err, unix.EINVAL)
	_, err = rawCall(unix.SYS_SIGNALFD4, minusOne, badPointer, 8, 0)
	wantErrno(t, "a bad mask, with all descriptors in use", err, unix.EFAULT)
	_, err = signalfd4(other, 0, 0)
	wantErrno(t, "an eventfd, with all descriptors in use", err, unix.EINVAL)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR2))
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "the new mask's signal", fd, unix.SIGUSR2)
	unix.Close(last)
	if got, err := signalfd4(-1, 0, 0); got != last || err != nil {
		t.Errorf("signalfd4 after a close = %d, %v; want %d", got, err, last)
	}
}

// signalfdUpperHalves (SFD-60): descriptor and flags are 32 bits: what is above
// them in the registers is not looked at. The mask's size is not, see
// signalfdBadMask.
func signalfdUpperHalves(t *testing.T) {
	blockAll(t)
	const above = 0xdead_beef << 32
	mask := sys.Sigs(unix.SIGUSR1)
	call := func(fd, flags uint64) (int, error) {
		return rawCall(unix.SYS_SIGNALFD4, uintptr(fd), uintptr(unsafe.Pointer(&mask)), 8, uintptr(flags))
	}
	fd, err := call(above|math.MaxUint32, above|unix.SFD_NONBLOCK)
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	mask = sys.Sigs(unix.SIGUSR2)
	if got, err := call(above|uint64(fd), above); got != fd || err != nil {
		t.Errorf("signalfd4 with bits above the descriptor's = %d, %v; want %d", got, err, fd)
	}
	wantMaskOf(t, "after that", fd, unix.SIGUSR2, unix.SIGUSR1)
}

// signalfdAtFileLimit (SFD-74): ENFILE at fs.file-max, signalfd(2), for who has
// not CAP_SYS_ADMIN.
func signalfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return signalfd4(-1, 0, unix.SFD_CLOEXEC) })
}

// wantMaskOf checks that of two signals one is in a signalfd's mask and the
// other is not. The thread must block both.
func wantMaskOf(tb testing.TB, what string, fd int, in, out unix.Signal) {
	tb.Helper()
	mustRaise(tb, out)
	wantNoRecord(tb, what, fd)
	mustRaise(tb, in)
	wantSigs(tb, what, fd, in)
	mustTakeSignal(tb, sys.Sigs(out))
}

var signalfdCreateRows = map[string]func(*testing.T){
	"SFD-01": signalfdIsReadWrite,
	"SFD-02": signalfdUnknownFlags,
	"SFD-03": signalfdBadMask,
	"SFD-04": signalfdBadDescriptor,
	"SFD-40": signalfdErrorOrder,
	"SFD-41": signalfdLegacy,
	"SFD-42": signalfdFlagsOfExisting,
	"SFD-43": behaviour.Alone(signalfdAtDescriptorLimit, quiet...),
	"SFD-60": signalfdUpperHalves,
	"SFD-74": signalfdAtFileLimit,
}
