//go:build linux

package behaviours

import (
	"fmt"
	"testing"

	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A signalfd as a file: inode, fdinfo, what is refused.

// signalfdNoWriteNoOffset (SFD-34): writing is EINVAL, whatever is written;
// there is no position: ESPIPE, but for lseek(2), which is 0 since 6.0. Nothing
// is taken by it.
func signalfdNoWriteNoOffset(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	for _, size := range []int{0, 1, 8, 127, 128, 256} {
		_, err := unix.Write(fd, make([]byte, size))
		wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
	}
	_, err := rawCall(unix.SYS_WRITE, uintptr(fd), badPointer, 128)
	wantErrno(t, "write from bad memory", err, unix.EINVAL)
	_, err = unix.Writev(fd, [][]byte{make([]byte, 128)})
	wantErrno(t, "writev", err, unix.EINVAL)
	wantNoOffset(t, fd)
	wantSeek(t, fd)
	wantSigs(t, "after all that", fd, unix.SIGUSR1)
}

// signalfdInfo (SFD-36): fdinfo has the mask as 16 hexadecimal digits, as the
// kernel took it: without SIGKILL and SIGSTOP, proc_pid_fdinfo(5).
func signalfdInfo(t *testing.T) {
	fd := newSignalfd(t, 0, unix.SFD_NONBLOCK)
	dup, _ := mustDup(t, fd)
	for _, mask := range []sys.Sigset{0, 1, sys.Sigs(unix.SIGUSR1), sys.Sigs(64), sys.Sigs(1, 31, 32, 33, 64),
		sys.Sigs(unix.SIGKILL, unix.SIGSTOP), sys.Sigs(unix.SIGKILL, unix.SIGUSR2), rawsig.All} {
		mustSetMask(t, fd, mask)
		for _, of := range []int{fd, dup, newSignalfd(t, mask, 0)} {
			if got, want := fdinfoLines(t, of)["sigmask"], fmt.Sprintf("\t%016x", uint64(mask&rawsig.Blockable)); got != want {
				t.Errorf("fdinfo has sigmask:%q for the mask %#x, want %q", got, uint64(mask), want)
			}
		}
	}
	if got, want := fdinfoLines(t, fd)["flags"], "\t04002"; got != want {
		t.Errorf("fdinfo has flags:%q, want %q", got, want)
	}
}

// signalfdName (SFD-37): /proc calls it anon_inode:[signalfd], and it cannot be
// opened by that link: ENXIO.
func signalfdName(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	wantName(t, fd, "anon_inode:[signalfd]")
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdInode (SFD-63): fstat(2) and fstatfs(2) show the inode that all files
// without a name share.
func signalfdInode(t *testing.T) { wantSharedInode(t, newSignalfd(t, 0, 0)) }

// signalfdOwnership (SFD-64): mode and owner of that inode cannot be changed.
func signalfdOwnership(t *testing.T) { wantOwnershipKept(t, newSignalfd(t, 0, 0)) }

// signalfdNoSplice (SFD-65): no records move through it by splice(2) and its
// like, and none are lost by trying.
func signalfdNoSplice(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	wantNoSplice(t, fd)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdRefusals (SFD-66): it is not a file that could be mapped, cut, synced
// or listed.
func signalfdRefusals(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdNoSignals (SFD-67): it sends no SIGIO: O_ASYNC is not accepted, by
// silence or by refusal.
func signalfdNoSignals(t *testing.T) { wantNoSignals(t, newSignalfd(t, 0, 0)) }

var signalfdFileRows = map[string]func(*testing.T){
	"SFD-34": signalfdNoWriteNoOffset,
	"SFD-36": signalfdInfo,
	"SFD-37": signalfdName,
	"SFD-63": signalfdInode,
	"SFD-64": signalfdOwnership,
	"SFD-65": signalfdNoSplice,
	"SFD-66": signalfdRefusals,
	"SFD-67": signalfdNoSignals,
}
