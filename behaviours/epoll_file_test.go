//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// An instance as a file: epoll_create(2), and what can be asked of its
// descriptor.

// epollCreateSize (EPL-001): the size is ignored but must be positive,
// epoll_create(2). arm64 has no such system call; x/sys then makes the check
// itself.
func epollCreateSize(t *testing.T) {
	// unix.EpollCreate refuses by itself what the kernel is to refuse.
	create := unix.EpollCreate
	if runtime.GOARCH == "amd64" {
		const sysEpollCreate = 213 // asm/unistd_64.h; arm64 has no such call
		create = func(size int) (int, error) { return rawCall(sysEpollCreate, uintptr(size)) }
	}
	for _, size := range []int{0, -1, math.MinInt32} {
		if fd, err := create(size); err != unix.EINVAL {
			t.Errorf("epoll_create(%d) = %d, %v; want EINVAL", size, fd, err)
			unix.Close(fd)
		}
	}
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for _, size := range []int{1, 2, math.MaxInt32} {
		epfd, err := create(size)
		if err != nil {
			t.Errorf("epoll_create(%d): %v", size, err)
			continue
		}
		defer unix.Close(epfd)
		// It is no bound on what can be watched either.
		dup, _ := mustDup(t, source)
		fdtest.Add(t, epfd, source, unix.EPOLLIN)
		fdtest.Add(t, epfd, dup, unix.EPOLLIN)
		wantReady(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	}
}

// epollCreateFlags (EPL-002): EPOLL_CLOEXEC is the only flag, epoll_create1(2).
func epollCreateFlags(t *testing.T) {
	for bit := range 32 {
		flag := 1 << bit
		if flag == unix.EPOLL_CLOEXEC {
			continue
		}
		for _, flags := range []int{flag, flag | unix.EPOLL_CLOEXEC} {
			fd, _, errno := unix.Syscall(unix.SYS_EPOLL_CREATE1, uintptr(flags), 0, 0)
			if errno != unix.EINVAL {
				t.Errorf("epoll_create1(%#x) = %d, %v; want EINVAL", flags, int(fd), errno)
				unix.Close(int(fd))
			}
		}
	}
}

// epollCloexec (EPL-003): EPOLL_CLOEXEC sets the descriptor's FD_CLOEXEC, and
// nothing else does.
func epollCloexec(t *testing.T) {
	check := func(what string, fd int, err error, want int) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer unix.Close(fd)
		if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); got != want || err != nil {
			t.Errorf("F_GETFD after %s = %d, %v; want %d", what, got, err, want)
		}
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	check("epoll_create1(EPOLL_CLOEXEC)", fd, err, unix.FD_CLOEXEC)
	fd, err = unix.EpollCreate1(0)
	check("epoll_create1(0)", fd, err, 0)
	fd, err = unix.EpollCreate(1)
	check("epoll_create(1)", fd, err, 0)
}

// epollAtDescriptorLimit (EPL-004): EMFILE at RLIMIT_NOFILE, epoll_create(2),
// and what was half made is given back.
var epollAtDescriptorLimit = behaviour.Alone(func(t testing.TB) {
	last := fdtest.Epoll(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(last) + 1, Max: old.Max}); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	for range 100 {
		if fd, err := unix.EpollCreate1(0); err != unix.EMFILE {
			t.Fatalf("epoll_create1 with all %d descriptors in use = %d, %v; want EMFILE", last+1, fd, err)
		}
	}
	unix.Close(last)
	if fd, err := unix.EpollCreate1(0); fd != last || err != nil {
		t.Errorf("epoll_create1 after a close = %d, %v; want %d", fd, err, last)
	}
})

// epollIsNoStream (EPL-005): an epoll instance has no read or write operation,
// and is open for both.
func epollIsNoStream(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for _, size := range []int{0, 8, 4096} {
		if n, err := unix.Read(epfd, make([]byte, size)); err != unix.EINVAL {
			t.Errorf("read of %d bytes = %d, %v; want EINVAL", size, n, err)
		}
		if n, err := unix.Write(epfd, make([]byte, size)); err != unix.EINVAL {
			t.Errorf("write of %d bytes = %d, %v; want EINVAL", size, n, err)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(epfd), unix.F_GETFL, 0); flags&^unix.O_LARGEFILE != unix.O_RDWR || err != nil {
		t.Errorf("F_GETFL = %#x, %v; want O_RDWR", flags, err)
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollSeek (EPL-006): from 6.0 on a file without an llseek operation cannot be
// told from one that ignores it (noop_llseek): 0, where it was ESPIPE.
func epollSeek(t *testing.T) {
	epfd := fdtest.Epoll(t)
	var want error
	if !behaviour.Since(6, 0) {
		want = unix.ESPIPE
	}
	for _, whence := range []int{io.SeekStart, io.SeekCurrent, io.SeekEnd} {
		if off, err := unix.Seek(epfd, 0, whence); err != want || err == nil && off != 0 {
			t.Errorf("lseek(0, %d) = %d, %v; want 0, %v", whence, off, err, want)
		}
	}
	if off, err := unix.Seek(epfd, 10, io.SeekStart); err != want || err == nil && off != 0 {
		t.Errorf("lseek(10, SEEK_SET) = %d, %v; want 0, %v", off, err, want)
	}
}

// epollName (EPL-007): /proc/self/fd shows an instance as
// anon_inode:[eventpoll], proc_pid_fd(5).
func epollName(t *testing.T) {
	got, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fdtest.Epoll(t)))
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(t, "no /proc: %v", err)
	}
	if got != "anon_inode:[eventpoll]" || err != nil {
		t.Errorf("readlink of /proc/self/fd/N = %q, %v; want anon_inode:[eventpoll]", got, err)
	}
}

// The requests of ioctl_eventpoll(2), and their structure.
const (
	epiocSetParams = 0x40088a01
	epiocGetParams = 0x80088a02
)

type epollParams struct {
	usecs  uint32 // busy_poll_usecs
	budget uint16 // busy_poll_budget
	prefer uint8  // prefer_busy_poll
	pad    uint8
}

// epollBusyPoll (EPL-102): ioctl_eventpoll(2): what busy polling an instance
// does can be asked and set from 6.9 on; all 0 at first, and what is out of
// range is refused and changes nothing.
func epollBusyPoll(t *testing.T) {
	epfd := fdtest.Epoll(t)
	if !behaviour.Since(6, 9) {
		for _, request := range []uint{epiocGetParams, epiocSetParams} {
			if err := ioctlAt(epfd, request, uintptr(unsafe.Pointer(&epollParams{}))); err != unix.ENOTTY {
				t.Errorf("ioctl %#x before 6.9: %v, want ENOTTY", request, err)
			}
		}
		return
	}
	want := epollParams{}
	wantParams := func() {
		t.Helper()
		got := epollParams{77, 77, 77, 77}
		err := ioctlAt(epfd, epiocGetParams, uintptr(unsafe.Pointer(&got)))
		if err == unix.EOPNOTSUPP {
			behaviour.Absent(t, "ioctl EPIOCGPARAMS: %v: the kernel was built without CONFIG_NET_RX_BUSY_POLL", err)
		}
		if got != want || err != nil {
			t.Errorf("EPIOCGPARAMS gives %+v, %v; want %+v", got, err, want)
		}
	}
	wantParams()
	set := func(p epollParams, wantErr error) {
		t.Helper()
		if err := ioctlAt(epfd, epiocSetParams, uintptr(unsafe.Pointer(&p))); err != wantErr {
			t.Errorf("EPIOCSPARAMS of %+v: %v, want %v", p, err, wantErr)
		}
		if wantErr == nil {
			want = p
		}
		wantParams()
	}
	set(epollParams{usecs: 1000, budget: 64, prefer: 1}, nil)
	set(epollParams{usecs: math.MaxInt32, budget: 1}, nil)
	set(epollParams{pad: 1}, unix.EINVAL)
	set(epollParams{usecs: math.MaxInt32 + 1}, unix.EINVAL)
	set(epollParams{usecs: math.MaxUint32}, unix.EINVAL)
	set(epollParams{prefer: 2}, unix.EINVAL)
	set(epollParams{prefer: 255, budget: 65}, unix.EINVAL)
	for what, p := range badPointers(t, 8) {
		for _, request := range []uint{epiocGetParams, epiocSetParams} {
			if err := ioctlAt(epfd, request, p); err != unix.EFAULT {
				t.Errorf("ioctl %#x with %s: %v, want EFAULT", request, what, err)
			}
		}
	}
	wantParams()

	// More packets than a driver takes at once (NAPI_POLL_WEIGHT) is an
	// administrator's choice.
	const capNetAdmin = 12
	caps, err := capabilities()
	if err != nil {
		t.Fatal(err)
	}
	if caps.effective()>>capNetAdmin&1 == 1 && inFirstUserNamespace() {
		set(epollParams{budget: 65}, nil)
		set(epollParams{budget: math.MaxUint16}, nil)
	}
	// The row's thread ends with it, and with what it has dropped.
	if err := caps.drop(capNetAdmin); err != nil {
		t.Fatal(err)
	}
	set(epollParams{budget: 65}, unix.EPERM)
	set(epollParams{budget: 65, pad: 1}, unix.EINVAL)
	set(epollParams{}, nil)
	// Asking for it changes nothing for targets that are no network
	// devices.
	source := fdtest.Eventfd(t, 0)
	set(epollParams{usecs: 10, budget: 8, prefer: 1}, nil)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	s := startWait(t, epfd, 4, -1)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollUnknownIoctl (EPL-103): an instance had no requests of its own before
// 6.9 (ENOTTY, ioctl(2)); since then those that it does not know are EINVAL.
// Its own mean nothing to others.
func epollUnknownIoctl(t *testing.T) {
	want := unix.ENOTTY
	if behaviour.Since(6, 9) {
		want = unix.EINVAL
	}
	var arg epollParams
	for _, request := range []uint{0x40088a00, 0x40088a03, 0x80088a01, 0x12345678, unix.TCGETS, unix.TIOCINQ} {
		if err := ioctlAt(fdtest.Epoll(t), request, uintptr(unsafe.Pointer(&arg))); err != want {
			t.Errorf("ioctl %#x: %v, want %v", request, err, want)
		}
	}
	r, _ := fdtest.Pipe(t)
	for _, fd := range []int{fdtest.Eventfd(t, 0), fdtest.Timerfd(t), r, fdtest.Socketpair(t)[0]} {
		for _, request := range []uint{epiocGetParams, epiocSetParams} {
			if err := ioctlAt(fd, request, uintptr(unsafe.Pointer(&arg))); err != unix.ENOTTY {
				t.Errorf("ioctl %#x of another kind of descriptor: %v, want ENOTTY", request, err)
			}
		}
	}
}

// epollFdinfo (EPL-104): proc_pid_fdinfo(5) has a line for each registration:
// number, mask and data as they were given, and position, inode and device of
// the file since 4.13.
func epollFdinfo(t *testing.T) {
	epfd := fdtest.Epoll(t)
	if _, err := os.Stat("/proc/self/mounts"); errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(t, "no /proc: %v", err)
	}
	file := mustOpen(t, "/proc/self/mounts", unix.O_RDONLY) // has a position and can be polled
	if _, err := unix.Read(file, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	source := fdtest.Eventfd(t, 0)
	dup, _ := mustDup(t, source)
	want := map[string]bool{}
	for _, c := range []struct {
		fd   int
		bits uint32
		data uint64
		pos  int
	}{
		{source, unix.EPOLLIN, 0, 0},
		{dup, unix.EPOLLOUT | unix.EPOLLET | unix.EPOLLONESHOT, math.MaxUint64, 0},
		{file, unix.EPOLLIN | unix.EPOLLEXCLUSIVE, 0xabc, 10},
	} {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, c.fd, c.bits, c.data); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(c.fd, &st); err != nil {
			t.Fatal(err)
		}
		device := unix.Major(st.Dev)<<20 | unix.Minor(st.Dev)
		want[fmt.Sprintf("tfd: %8d events: %8x data: %16x  pos:%d ino:%x sdev:%x\n",
			c.fd, c.bits|unix.EPOLLERR|unix.EPOLLHUP, c.data, c.pos, st.Ino, device)] = true
	}
	got := map[string]bool{}
	for _, e := range mustFdinfo(t, epfd) {
		got[e.line] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("fdinfo has %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	mustDel(t, epfd, dup)
	mustDel(t, epfd, file)
	mustMod(t, epfd, source, unix.EPOLLRDHUP)
	entries := mustFdinfo(t, epfd)
	if len(entries) != 1 || entries[0].events != unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP || entries[0].data != uint64(source) {
		t.Errorf("after DEL and MOD fdinfo has %+v", entries)
	}
}

// epollKcmp (EPL-105): kcmp(2) KCMP_EPOLL_TFD compares an open file with the
// one that an instance has under a number, also under a number that is another
// file's by now.
func epollKcmp(t *testing.T) {
	epfd, source, other := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	number, _ := mustDup(t, source)
	fdtest.Add(t, epfd, number, unix.EPOLLIN)
	type slot struct{ efd, tfd, toff uint32 }
	kcmp := func(fd int, s slot) (int, error) {
		const epollTfd = 7 // KCMP_EPOLL_TFD
		pid := uintptr(unix.Getpid())
		n, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, epollTfd, uintptr(fd), uintptr(unsafe.Pointer(&s)), 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.ENOSYS:
			behaviour.Absent(t, "kcmp: %v: the kernel was built without CONFIG_KCMP", errno)
		case unix.EPERM, unix.EACCES:
			behaviour.Refused(t, "kcmp of this process with itself: %v", errno)
		}
		return 0, errno
	}
	same := func(fd int, s slot, want bool) {
		t.Helper()
		if n, err := kcmp(fd, s); err != nil || (n == 0) != want {
			t.Errorf("kcmp of %d with %+v = %d, %v; want the same: %t", fd, s, n, err, want)
		}
	}
	s := slot{efd: uint32(epfd), tfd: uint32(number)}
	same(source, s, true)
	same(number, s, true)
	same(other, s, false)
	// Another file under the number, registered too: toff counts those with
	// one number.
	mustPut(t, other, number)
	same(source, s, true)
	same(number, s, false)
	fdtest.Add(t, epfd, number, unix.EPOLLIN)
	second := s
	second.toff = 1
	of := func(fd int) bool {
		first, err1 := kcmp(fd, s)
		next, err2 := kcmp(fd, second)
		return err1 == nil && err2 == nil && (first == 0) != (next == 0)
	}
	if !of(source) || !of(other) {
		t.Error("two files registered under one number are not told apart")
	}
	for _, c := range []struct {
		what string
		s    slot
		want error
	}{
		{"a third file under the number", slot{s.efd, s.tfd, 2}, unix.ENOENT},
		{"a number that is not registered", slot{s.efd, uint32(source), 0}, unix.ENOENT},
		{"no epoll instance", slot{uint32(source), s.tfd, 0}, unix.EINVAL},
		{"no descriptor", slot{math.MaxInt32, s.tfd, 0}, unix.EBADF},
	} {
		if n, err := kcmp(source, c.s); err != c.want {
			t.Errorf("kcmp with %s = %d, %v; want %v", c.what, n, err, c.want)
		}
	}
}

// epollNonblocking (EPL-121): O_NONBLOCK can be set on an instance, and means
// nothing to those who wait in it.
func epollNonblocking(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	if err := unix.SetNonblock(epfd, true); err != nil {
		t.Fatalf("F_SETFL O_NONBLOCK: %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(epfd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 || err != nil {
		t.Errorf("F_GETFL = %#x, %v; want O_NONBLOCK in it", flags, err)
	}
	wantReady(t, epfd)
	s := startWait(t, epfd, 4, -1)
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollNoFile (EPL-122): an instance cannot be read at an offset, mapped,
// truncated, synchronised, spliced or told to signal, each with the error of
// its own manual page.
func epollNoFile(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	r, w := fdtest.Pipe(t)
	mustWrite(t, w, "x")
	file := mustOpen(t, filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT)
	mustWrite(t, file, "x")
	buf := make([]byte, 8)
	number := func(_ int, err error) error { return err }
	number64 := func(_ int64, err error) error { return err }
	for _, c := range []struct {
		call string
		err  error
		want error
	}{
		{"pread", number(unix.Pread(epfd, buf, 0)), unix.ESPIPE},
		{"pwrite", number(unix.Pwrite(epfd, buf, 0)), unix.ESPIPE},
		{"readv", number(unix.Readv(epfd, [][]byte{buf})), unix.EINVAL},
		{"writev", number(unix.Writev(epfd, [][]byte{buf})), unix.EINVAL},
		{"ftruncate", unix.Ftruncate(epfd, 0), unix.EINVAL},
		{"fsync", unix.Fsync(epfd), unix.EINVAL},
		{"fdatasync", unix.Fdatasync(epfd), unix.EINVAL},
		{"fallocate", unix.Fallocate(epfd, 0, 0, 1), unix.ENODEV},
		{"splice to it", number64(unix.Splice(r, nil, epfd, nil, 1, unix.SPLICE_F_NONBLOCK)), unix.EINVAL},
		{"splice from it", number64(unix.Splice(epfd, nil, w, nil, 1, unix.SPLICE_F_NONBLOCK)), unix.EINVAL},
		{"tee", number64(unix.Tee(epfd, w, 1, unix.SPLICE_F_NONBLOCK)), unix.EINVAL},
		{"sendfile to it", number(unix.Sendfile(epfd, file, new(int64), 1)), unix.EINVAL},
		{"F_SETFL O_DIRECT", number(unix.FcntlInt(uintptr(epfd), unix.F_SETFL, unix.O_DIRECT)), unix.EINVAL},
		{"F_GETPIPE_SZ", number(unix.FcntlInt(uintptr(epfd), unix.F_GETPIPE_SZ, 0)), unix.EBADF},
		{"F_ADD_SEALS", number(unix.FcntlInt(uintptr(epfd), unix.F_ADD_SEALS, 0)), unix.EINVAL},
	} {
		if c.err != c.want {
			t.Errorf("%s: %v, want %v", c.call, c.err, c.want)
		}
	}
	if _, err := unix.Mmap(epfd, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE); err != unix.ENODEV {
		t.Errorf("mmap: %v, want ENODEV", err)
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollInode (EPL-123): all instances and event descriptors have one anonymous
// inode: mode 0600 without a type, no size; and its name in /proc cannot be
// opened.
func epollInode(t *testing.T) {
	epfd := fdtest.Epoll(t)
	var st, other unix.Stat_t
	if err := errors.Join(unix.Fstat(epfd, &st), unix.Fstat(fdtest.Eventfd(t, 0), &other)); err != nil {
		t.Fatal(err)
	}
	if st.Mode != 0o600 || st.Size != 0 || st.Nlink != 1 || st.Ino != other.Ino || st.Dev != other.Dev {
		t.Errorf("fstat gives mode %#o, size %d, %d links, inode %d on %#x; want 0600, 0, 1, and an eventfd's inode %d on %#x",
			st.Mode, st.Size, st.Nlink, st.Ino, st.Dev, other.Ino, other.Dev)
	}
	// The inode is root's: others are refused before they learn that it has
	// no open operation.
	want := unix.ENXIO
	if !isSharedInodesOwner(t, unix.CAP_DAC_OVERRIDE) {
		want = unix.EACCES
	}
	for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR} {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", epfd), flags|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			behaviour.Limited(t, "no /proc: %v", err)
		}
		if err != want {
			t.Errorf("open of /proc/self/fd/N = %d, %v; want %v", fd, err, want)
			unix.Close(fd)
		}
	}
}

// epollDuplicateInstance (EPL-127): duplicates of an instance's descriptor are
// one instance; as targets they are two.
func epollDuplicateInstance(t *testing.T) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closeEpfd := closable(t, epfd, err)
	dup, _ := mustDup(t, epfd)
	outer, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	wantCtl(t, dup, unix.EPOLL_CTL_ADD, source, unix.EEXIST)
	fdtest.Add(t, outer, epfd, unix.EPOLLIN)
	fdtest.Add(t, outer, dup, unix.EPOLLIN)
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, outer, ready(epfd, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	wantReady(t, dup, ready(source, unix.EPOLLIN))
	wantReady(t, epfd)
	wantReady(t, outer)
	closeEpfd()
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, outer, ready(epfd, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	wantReady(t, dup, ready(source, unix.EPOLLIN))
}

// epollAtFileLimit (EPL-134): ENFILE at fs.file-max, epoll_create(2), for who
// has not CAP_SYS_ADMIN.
func epollAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
}

var epollFileRows = map[string]func(*testing.T){
	"EPL-001": epollCreateSize,
	"EPL-002": epollCreateFlags,
	"EPL-003": epollCloexec,
	"EPL-004": epollAtDescriptorLimit,
	"EPL-005": epollIsNoStream,
	"EPL-006": epollSeek,
	"EPL-007": epollName,
	"EPL-102": epollBusyPoll,
	"EPL-103": epollUnknownIoctl,
	"EPL-104": epollFdinfo,
	"EPL-105": epollKcmp,
	"EPL-121": epollNonblocking,
	"EPL-122": epollNoFile,
	"EPL-123": epollInode,
	"EPL-127": epollDuplicateInstance,
	"EPL-134": epollAtFileLimit,
}
