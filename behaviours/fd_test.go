//go:build linux

package behaviours

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"

	"golang.org/x/sys/unix"
)

// untouched is what takeCount returns when nothing was stored.
const untouched = 0x5a5a_5a5a_5a5a_5a5a

// readable asks poll(2) for POLLIN.
func readable(tb testing.TB, fd int) bool {
	tb.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := answered(func() (int, error) { return unix.Ppoll(p, &unix.Timespec{}, nil) }); err != nil {
		tb.Fatalf("ppoll: %v", err)
	}
	return p[0].Revents&unix.POLLIN != 0
}

//go:uintptrescapes
func ioctlAt(fd int, request uint, arg uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg); errno != 0 {
		return errno
	}
	return nil
}

// badDescriptors are numbers that no descriptor has.
func badDescriptors(tb testing.TB) []int {
	tb.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	unix.Close(fd)
	return []int{-1, math.MinInt32, math.MaxInt32, fd}
}

// badPointers are addresses at which size bytes cannot be read.
func badPointers(tb testing.TB, size uintptr) map[string]uintptr {
	tb.Helper()
	page := uintptr(os.Getpagesize())
	mem := mustMap(tb, 2)
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		tb.Fatalf("mprotect: %v", err)
	}
	second := uintptr(unsafe.Pointer(&mem[page]))
	return map[string]uintptr{
		"a null pointer":                   0,
		"a pointer to inaccessible memory": second,
		halfPointer:                        second - size/2,
		kernelPointer:                      -page,
	}
}

const (
	// halfPointer names an address from which on only half the bytes can be
	// read.
	halfPointer = "a pointer to half accessible memory"
	// kernelPointer names an address that no program has.
	kernelPointer = "a pointer into the kernel"
)

// mustMap maps pages of memory.
func mustMap(tb testing.TB, pages int) []byte {
	tb.Helper()
	mem, err := unix.Mmap(-1, 0, pages*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		tb.Fatalf("mmap: %v", err)
	}
	tb.Cleanup(func() { unix.Munmap(mem) })
	return mem
}

// closable takes a descriptor that was just made and returns what closes it:
// the test when it is time, or its end.
func closable(tb testing.TB, fd int, err error) (closeNow func()) {
	tb.Helper()
	if errors.Is(err, unix.EMFILE) {
		behaviour.Limited(tb, "making a descriptor: %v: raise RLIMIT_NOFILE", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	closeNow = sync.OnceFunc(func() { unix.Close(fd) })
	tb.Cleanup(closeNow)
	return closeNow
}

func mustDup(tb testing.TB, fd int) (dup int, closeNow func()) {
	tb.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return dup, closable(tb, dup, err)
}

// mustPut makes number a duplicate of fd, in place of what it was.
func mustPut(tb testing.TB, fd, number int) {
	tb.Helper()
	if err := unix.Dup3(fd, number, unix.O_CLOEXEC); err != nil {
		tb.Fatalf("dup3(%d, %d): %v", fd, number, err)
	}
}

func mustClosablePipe(tb testing.TB) (r, w int, closeReader, closeWriter func()) {
	tb.Helper()
	var fds [2]int
	err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
	return fds[0], fds[1], closable(tb, fds[0], err), closable(tb, fds[1], err)
}

// mustFill writes pages to a non-blocking pipe until it takes no more.
func mustFill(tb testing.TB, w int) {
	tb.Helper()
	page := make([]byte, os.Getpagesize())
	for {
		if _, err := unix.Write(w, page); err == unix.EAGAIN {
			return
		} else if err != nil {
			tb.Fatalf("write: %v", err)
		}
	}
}

func mustOpen(tb testing.TB, name string, flags int) int {
	tb.Helper()
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		tb.Fatalf("open of %s: %v", name, err)
	}
	closable(tb, fd, err)
	return fd
}

func mustWrite(tb testing.TB, fd int, text string) {
	tb.Helper()
	if n, err := unix.Write(fd, []byte(text)); n != len(text) || err != nil {
		tb.Fatalf("write of %d bytes = %d, %v", len(text), n, err)
	}
}

func mustRead(tb testing.TB, fd int, want string) {
	tb.Helper()
	buf := make([]byte, len(want))
	if n, err := unix.Read(fd, buf); err != nil || string(buf[:n]) != want {
		tb.Fatalf("read of %d bytes = %d, %v", len(want), n, err)
	}
}

// mustTake reads an eventfd whose counter must be this.
func mustTake(tb testing.TB, fd int, want uint64) {
	tb.Helper()
	var buf [8]byte
	if n, err := unix.Read(fd, buf[:]); err != nil || binary.NativeEndian.Uint64(buf[:]) != want {
		tb.Fatalf("read of eventfd = %d, %v with %d; want %d", n, err, binary.NativeEndian.Uint64(buf[:]), want)
	}
}

// mustSendFile sends a descriptor over a unix(7) socket: SCM_RIGHTS.
func mustSendFile(tb testing.TB, socket, fd int) {
	tb.Helper()
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		tb.Fatalf("sendmsg with SCM_RIGHTS: %v", err)
	}
}

func receiveFile(socket int) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("recvmsg: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("recvmsg: %d control messages, %v; want 1", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

const minusOne = ^uintptr(0)

// badPointer points where nothing is mapped for programs.
const badPointer = 16

// ptrTo is the address of something in an arena or a package variable, as an
// argument.
func ptrTo[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func wantErr(t testing.TB, got, want error, format string, args ...any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", fmt.Sprintf(format, args...), errName(got), errName(want))
	}
}

func errName(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		if name := unix.ErrnoName(errno); name != "" {
			return name
		}
	}
	if err == nil {
		return "success"
	}
	return err.Error()
}

func mustMemfd(t testing.TB) int {
	t.Helper()
	fd, err := unix.MemfdCreate("row", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// What rows of eventfd, signalfd and timerfd are written in. All three are
// files without a name on one inode that all such files share
// (fs/anon_inodes.c), and refuse the same things.

// rawCall makes a system call that may wait; its error is an errno or nil.
//
//go:uintptrescapes
func rawCall(nr uintptr, args ...uintptr) (int, error) {
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// Requests of ioctl(2) that golang.org/x/sys/unix lacks (asm-generic/ioctls.h).
const (
	fionbio  = 0x5421
	fioasync = 0x5452
)

// wantErrno compares the error of what was done.
func wantErrno(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if err != want {
		tb.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantFlags checks F_GETFL and F_GETFD of a new descriptor, exactly.
func wantFlags(tb testing.TB, fd, status, descriptor int) {
	tb.Helper()
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); got != status || err != nil {
		tb.Errorf("F_GETFL = %#o, %v; want %#o", got, err, status)
	}
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); got != descriptor || err != nil {
		tb.Errorf("F_GETFD = %#o, %v; want %#o", got, err, descriptor)
	}
}

// answered asks, without waiting, until there is an answer: a signal of the Go
// runtime's that is on its way ends even a poll with a timeout of 0 (EINTR,
// fs/select.c do_poll).
func answered(ask func() (int, error)) (n int, err error) {
	for n, err = ask(); err == unix.EINTR; n, err = ask() {
	}
	return n, err
}

// wantPolledOnly asks poll(2), epoll(7) and select(2) for everything there is;
// exactly want must be reported. POLLERR makes select say readable and writable.
func wantPolledOnly(tb testing.TB, fd int, want uint32) {
	tb.Helper()
	const all = 0x7fff &^ unix.POLLNVAL
	p := []unix.PollFd{{Fd: int32(fd), Events: all}}
	if n, err := answered(func() (int, error) { return unix.Ppoll(p, &unix.Timespec{}, nil) }); err != nil || uint32(p[0].Revents) != want || n == 0 != (want == 0) {
		tb.Errorf("ppoll = %d, %v with revents %#x; want %#x", n, err, p[0].Revents, want)
	}
	// Nobody needs to ask for errors.
	p[0].Events = 0
	if _, err := answered(func() (int, error) { return unix.Ppoll(p, &unix.Timespec{}, nil) }); err != nil || uint32(p[0].Revents) != want&(unix.POLLERR|unix.POLLHUP) {
		tb.Errorf("ppoll for nothing: %v with revents %#x; want %#x", err, p[0].Revents, want&(unix.POLLERR|unix.POLLHUP))
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		tb.Fatalf("epoll_create1: %v", err)
	}
	defer unix.Close(epfd)
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, all|unix.EPOLLRDHUP, 0); err != nil {
		tb.Fatalf("epoll_ctl(ADD): %v", err)
	}
	if want != 0 {
		err = checkReady(epfd, readiness{want, 0})
	} else {
		err = checkReady(epfd)
	}
	if err != nil {
		tb.Error(err)
	}
	if fd >= unix.FD_SETSIZE {
		return // beyond what select can ask for
	}
	var r, w, e unix.FdSet
	for _, set := range []*unix.FdSet{&r, &w, &e} {
		set.Set(fd)
	}
	const readable, writable = unix.POLLIN | unix.POLLHUP | unix.POLLERR, unix.POLLOUT | unix.POLLERR
	n, err := answered(func() (int, error) { return unix.Select(fd+1, &r, &w, &e, &unix.Timeval{}) })
	if err != nil || r.IsSet(fd) != (want&readable != 0) || w.IsSet(fd) != (want&writable != 0) || e.IsSet(fd) != (want&unix.POLLPRI != 0) {
		tb.Errorf("select = %d, %v: readable %t, writable %t, exceptional %t; want poll's %#x",
			n, err, r.IsSet(fd), w.IsSet(fd), e.IsSet(fd), want)
	}
}

// wantName checks what /proc calls a file on the anonymous inode, and that it
// cannot be opened anew: there is no open operation to go with it (fs/inode.c
// no_open), but a path to it. Who is not let in by the inode's owner and mode,
// root and 0600, does not come so far.
func wantName(tb testing.TB, fd int, want string) {
	tb.Helper()
	link := fmt.Sprintf("/proc/self/fd/%d", fd)
	got, err := os.Readlink(link)
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(tb, "no /proc: %v", err)
	}
	if got != want || err != nil {
		tb.Errorf("readlink of %s: %q, %v; want %q", link, got, err, want)
	}
	var refusal error = unix.ENXIO
	if !isSharedInodesOwner(tb, unix.CAP_DAC_OVERRIDE) {
		refusal = unix.EACCES
	}
	for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR | unix.O_NONBLOCK} {
		if again, err := unix.Open(link, flags|unix.O_CLOEXEC, 0); err != refusal {
			tb.Errorf("open of %s with flags %#x = %d, %v; want %v", link, flags, again, err, refusal)
			unix.Close(again)
		}
	}
	path, err := unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Errorf("open of %s with O_PATH: %v", link, err)
		return
	}
	defer unix.Close(path)
	_, err = unix.Read(path, make([]byte, 128))
	wantErrno(tb, "read by path", err, unix.EBADF)
}

// wantNoOffset checks that a file has no position: reads and writes at one are
// ESPIPE, pread(2).
func wantNoOffset(tb testing.TB, fd int) {
	tb.Helper()
	buf := make([]byte, 128)
	one := []unix.Iovec{{Base: &buf[0], Len: 128}}
	for what, err := range map[string]error{
		"pread":   secondOf(rawCall(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), 128, 0)),
		"pwrite":  secondOf(rawCall(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), 8, 0)),
		"preadv":  secondOf(rawCall(unix.SYS_PREADV, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), 1, 8, 0)),
		"pwritev": secondOf(rawCall(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), 1, 8, 0)),
		"preadv2": secondOf(rawCall(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), 1, 8, 0, 0)),
	} {
		wantErrno(tb, what, err, unix.ESPIPE)
	}
	_, err := rawCall(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), 128, ^uintptr(0))
	wantErrno(tb, "pread at -1", err, unix.EINVAL)
}

// wantSeek checks lseek(2): a file without an llseek operation cannot be told
// since 6.0 from one that ignores it, and gives 0; before, it gave ESPIPE.
func wantSeek(tb testing.TB, fd int) {
	tb.Helper()
	var want error
	if !behaviour.Since(6, 0) {
		want = unix.ESPIPE
	}
	for whence := range 3 { // SEEK_SET, SEEK_CUR, SEEK_END
		for _, off := range []int64{0, 10} {
			if got, err := unix.Seek(fd, off, whence); err != want || err == nil && got != 0 {
				tb.Errorf("lseek(%d, %d) = %d, %v; want 0, %v", off, whence, got, err, want)
			}
		}
	}
	_, err := unix.Seek(fd, 0, 99)
	wantErrno(tb, "lseek with whence 99", err, unix.EINVAL)
}

func secondOf(_ int, err error) error { return err }

// wantRefusals checks what such a file is not: it has no pages, no length, no
// blocks, no backing store, no entries and no peer, and holds no bytes to be
// counted.
func wantRefusals(tb testing.TB, fd int) {
	tb.Helper()
	mmap := func(flags int) error {
		mem, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ, flags)
		if err == nil {
			unix.Munmap(mem)
		}
		return err
	}
	fcntl := func(cmd, arg int) error {
		_, err := unix.FcntlInt(uintptr(fd), cmd, arg)
		return err
	}
	var n int32
	var name [256]byte
	wantErrno(tb, "mmap, shared", mmap(unix.MAP_SHARED), unix.ENODEV)
	wantErrno(tb, "mmap, private", mmap(unix.MAP_PRIVATE), unix.ENODEV)
	wantErrno(tb, "ftruncate", unix.Ftruncate(fd, 0), unix.EINVAL)
	wantErrno(tb, "fsync", unix.Fsync(fd), unix.EINVAL)
	wantErrno(tb, "fdatasync", unix.Fdatasync(fd), unix.EINVAL)
	wantErrno(tb, "fallocate", unix.Fallocate(fd, 0, 0, 1), unix.ENODEV)
	wantErrno(tb, "FIONREAD", secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCINQ, uintptr(unsafe.Pointer(&n)))), unix.ENOTTY)
	wantErrno(tb, "TCGETS", secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), unix.TCGETS, uintptr(unsafe.Pointer(&name[0])))), unix.ENOTTY)
	wantErrno(tb, "F_SETFL O_DIRECT", fcntl(unix.F_SETFL, unix.O_RDWR|unix.O_DIRECT), unix.EINVAL)
	wantErrno(tb, "F_SETPIPE_SZ", fcntl(unix.F_SETPIPE_SZ, 4096), unix.EBADF)
	wantErrno(tb, "F_GET_SEALS", fcntl(unix.F_GET_SEALS, 0), unix.EINVAL)
	var lease error = unix.EINVAL
	if !isSharedInodesOwner(tb, unix.CAP_LEASE) {
		lease = unix.EACCES
	}
	wantErrno(tb, "F_SETLEASE", fcntl(unix.F_SETLEASE, unix.F_RDLCK), lease)
	wantErrno(tb, "fchdir", unix.Fchdir(fd), unix.ENOTDIR)
	wantErrno(tb, "getdents64", secondOf(rawCall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&name[0])), 256)), unix.ENOTDIR)
	wantErrno(tb, "recvfrom", secondOf(rawCall(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&name[0])), 8)), unix.ENOTSOCK)
	wantErrno(tb, "shutdown", unix.Shutdown(fd, unix.SHUT_RD), unix.ENOTSOCK)
	wantErrno(tb, "epoll_ctl on it", epollCtl(fd, unix.EPOLL_CTL_ADD, fd, 0, 0), unix.EINVAL)
	wantErrno(tb, "inotify_add_watch", secondOf(unix.InotifyAddWatch(fd, "/", unix.IN_OPEN)), unix.EINVAL)
}

// wantNoSplice checks that nothing passes through a pipe or another file
// directly: EINVAL since 5.10, when the kernel's way around a missing splice
// operation went.
func wantNoSplice(tb testing.TB, fd int) {
	tb.Helper()
	r, w, _, _ := mustClosablePipe(tb)
	mustWrite(tb, w, "12345678")
	mem, err := unix.MemfdCreate("spliced", unix.MFD_CLOEXEC)
	closable(tb, mem, err)
	mustWrite(tb, mem, "12345678")
	var start int64
	for what, err := range map[string]error{
		"splice from it":       secondOf(rawCall(unix.SYS_SPLICE, uintptr(fd), 0, uintptr(w), 0, 8, unix.SPLICE_F_NONBLOCK)),
		"splice to it":         secondOf(rawCall(unix.SYS_SPLICE, uintptr(r), 0, uintptr(fd), 0, 8, unix.SPLICE_F_NONBLOCK)),
		"tee from it":          secondOf(rawCall(unix.SYS_TEE, uintptr(fd), uintptr(w), 8, unix.SPLICE_F_NONBLOCK)),
		"tee to it":            secondOf(rawCall(unix.SYS_TEE, uintptr(r), uintptr(fd), 8, unix.SPLICE_F_NONBLOCK)),
		"sendfile from it":     secondOf(rawCall(unix.SYS_SENDFILE, uintptr(w), uintptr(fd), 0, 8)),
		"sendfile to it":       secondOf(rawCall(unix.SYS_SENDFILE, uintptr(fd), uintptr(mem), uintptr(unsafe.Pointer(&start)), 8)),
		"copy_file_range from": secondOf(rawCall(unix.SYS_COPY_FILE_RANGE, uintptr(fd), 0, uintptr(mem), 0, 8, 0)),
		"copy_file_range to":   secondOf(rawCall(unix.SYS_COPY_FILE_RANGE, uintptr(mem), uintptr(unsafe.Pointer(&start)), uintptr(fd), 0, 8, 0)),
	} {
		wantErrno(tb, what, err, unix.EINVAL)
	}
	mustRead(tb, r, "12345678")
}

// wantNoSignals checks that a file does not send SIGIO: asking for it by
// F_SETFL is ignored, by FIOASYNC refused (fs/fcntl.c setfl, fs/ioctl.c
// ioctl_fioasync).
func wantNoSignals(tb testing.TB, fd int) {
	tb.Helper()
	was, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, was|unix.O_ASYNC); err != nil {
		tb.Errorf("F_SETFL O_ASYNC: %v", err)
	}
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); got != was || err != nil {
		tb.Errorf("F_GETFL after F_SETFL O_ASYNC = %#o, %v; want %#o", got, err, was)
	}
	on := int32(1)
	_, err = rawCall(unix.SYS_IOCTL, uintptr(fd), fioasync, uintptr(unsafe.Pointer(&on)))
	wantErrno(tb, "FIOASYNC", err, unix.ENOTTY)
}

// wantSharedInode checks fstat(2) and fstatfs(2): a file of no type and length
// that only its owner may use, on the same inode as all other files of the
// kind.
func wantSharedInode(tb testing.TB, fd int) {
	tb.Helper()
	eventfd, eerr := unix.Eventfd(0, unix.EFD_CLOEXEC)
	timerfd, terr := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	signalfd, serr := unix.Signalfd(-1, &unix.Sigset_t{}, unix.SFD_CLOEXEC)
	epoll, perr := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closable(tb, eventfd, eerr)
	closable(tb, timerfd, terr)
	closable(tb, signalfd, serr)
	closable(tb, epoll, perr)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		tb.Fatalf("fstat: %v", err)
	}
	if st.Mode != 0o600 || st.Size != 0 || st.Nlink != 1 {
		tb.Errorf("fstat: mode %#o, size %d, %d links; want 0600, 0, 1", st.Mode, st.Size, st.Nlink)
	}
	for what, other := range map[string]int{"eventfd": eventfd, "timerfd": timerfd, "signalfd": signalfd, "epoll": epoll} {
		var o unix.Stat_t
		if err := unix.Fstat(other, &o); err != nil {
			tb.Fatalf("fstat: %v", err)
		}
		if o.Ino != st.Ino || o.Dev != st.Dev {
			tb.Errorf("fstat: inode %d of device %#x, and of a new %s %d of %#x; want one and the same",
				st.Ino, st.Dev, what, o.Ino, o.Dev)
		}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.ANON_INODE_FS_MAGIC {
		tb.Errorf("fstatfs: type %#x, %v; want ANON_INODE_FS_MAGIC (%#x)", fs.Type, err, unix.ANON_INODE_FS_MAGIC)
	}
}

// wantOwnershipKept checks that mode and owner of the inode that so many share
// cannot be changed. Since 6.16, and in stable releases before it, that is so
// for everyone (EOPNOTSUPP); until then the inode had an owner, root, as any
// other.
func wantOwnershipKept(tb testing.TB, fd int) {
	tb.Helper()
	check := func(who string, older error) (errs error) {
		// To what they are, in case it works.
		for what, err := range map[string]error{"fchmod": unix.Fchmod(fd, 0o600), "fchown": unix.Fchown(fd, 0, 0)} {
			if err == unix.EINVAL && what == "fchown" && !inFirstUserNamespace() {
				behaviour.Partly(tb, "limit", "fchown to root: this user namespace has no such user")
				continue
			}
			if err != unix.EOPNOTSUPP && (behaviour.Since(6, 16) || err != older) {
				errs = errors.Join(errs, fmt.Errorf("%s by %s: %v, want EOPNOTSUPP or, before 6.16, %v", what, who, err, older))
			}
		}
		return errs
	}
	if !hasCapability(tb, unix.CAP_FOWNER) {
		if err := check("an ordinary user", unix.EPERM); err != nil {
			tb.Error(err)
		}
		return
	}
	if err := check("root", nil); err != nil {
		tb.Error(err)
	}
	asNobody(tb, func() error { return check("an ordinary user", unix.EPERM) })
}

// wantENFILE checks that a call that makes a descriptor fails at fs.file-max,
// time and again, but for who has CAP_SYS_ADMIN, and works again with room. The
// limit is everyone's: it is lowered where the machine is there for the test
// alone.
func wantENFILE(tb testing.TB, create func() (int, error)) {
	tb.Helper()
	if os.Getenv(guestVar) == "" {
		behaviour.Unprivileged(tb, "fs.file-max is not this test's to lower: run it in a guest (go tool eventbench guest)")
	}
	const sysctl = "/proc/sys/fs/file-max"
	was, err := os.ReadFile(sysctl)
	if err != nil {
		behaviour.Limited(tb, "%v", err)
	}
	// It is written through a descriptor that is there: once it is low no
	// other can be opened.
	limit := mustOpen(tb, sysctl, unix.O_WRONLY)
	set := func(to string) {
		tb.Helper()
		if _, err := unix.Pwrite(limit, []byte(to), 0); err != nil {
			tb.Fatalf("write of %s to %s: %v", to, sysctl, err)
		}
	}
	tb.Cleanup(func() { set(string(was)) })
	asNobody(tb, func() error {
		fd, err := create()
		if err != nil {
			return fmt.Errorf("with room for files: %w", err)
		}
		return unix.Close(fd)
	})
	set("1")
	asNobody(tb, func() (err error) {
		// The kernel counts files roughly before it counts them: as
		// long as each CPU has opened a few only, there may seem to be
		// none.
		var fds []int
		defer func() {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}()
		for len(fds) < 64*runtime.NumCPU() {
			fd, err := create()
			if err == unix.ENFILE {
				break
			}
			if err != nil {
				return fmt.Errorf("towards fs.file-max: %w", err)
			}
			fds = append(fds, fd)
		}
		for range 20 {
			if fd, err := create(); err != unix.ENFILE {
				unix.Close(fd)
				return fmt.Errorf("with all files in use = %d, %v; want ENFILE", fd, err)
			}
		}
		return nil
	})
	fd, err := create()
	set(string(was))
	if err != nil {
		tb.Errorf("by who has CAP_SYS_ADMIN, with all files in use: %v", err)
	}
	unix.Close(fd)
	asNobody(tb, func() error {
		fd, err := create()
		if err != nil {
			return fmt.Errorf("with room for files again: %w", err)
		}
		return unix.Close(fd)
	})
}

// fdinfoLines returns what proc_pid_fdinfo(5) has of a descriptor, by key. The
// value is all that follows the colon, spaces included.
func fdinfoLines(tb testing.TB, fd int) map[string]string {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(tb, "no /proc: %v", err)
	}
	if errors.Is(err, unix.EMFILE) {
		behaviour.Limited(tb, "fdinfo: %v: raise RLIMIT_NOFILE", err)
	}
	if err != nil {
		tb.Fatalf("fdinfo: %v", err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		lines[key] = value
	}
	return lines
}
