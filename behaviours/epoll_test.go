//go:build linux

package behaviours

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/machine"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestEpoll(t *testing.T) {
	behaviour.Run(t, "epoll", map[string]func(*testing.T){
		"EPL-001": epollCreateSize,
		"EPL-002": epollCreateFlags,
		"EPL-003": epollCloexec,
		"EPL-004": epollAtDescriptorLimit,
		"EPL-005": epollIsNoStream,
		"EPL-006": epollSeek,
		"EPL-007": epollName,
		"EPL-008": epollCtlBadDescriptors,
		"EPL-009": epollAddUnpollable,
		"EPL-010": epollChangeUnpollable,
		"EPL-011": epollPath,
		"EPL-012": epollOfItself,
		"EPL-013": epollCtlOnOther,
		"EPL-014": epollUnknownOp,
		"EPL-015": epollNullEvent,
		"EPL-017": epollAddTwice,
		"EPL-018": epollChangeUnregistered,
		"EPL-019": epollMaxUserWatches,
		"EPL-020": epollDuplicates,
		"EPL-021": epollClosedOriginal,
		"EPL-023": epollStaleNumber,
		"EPL-024": epollLastClose,
		"EPL-026": epollChildHoldsTarget,
		"EPL-027": epollTargetInFlight,
		"EPL-028": epollPassed,
		"EPL-029": epollAcrossExec,
		"EPL-030": epollAddReady,
		"EPL-031": epollModAsksAgain,
		"EPL-032": epollModReplaces,
		"EPL-033": epollErrAndHupAlways,
		"EPL-034": epollAllMasks,
		"EPL-035": epollUnknownBits,
		"EPL-036": epollOnlyRequestedBits,
		"EPL-037": epollWakeupNeedsCapability,
		"EPL-038": epollCycleOfTwo,
		"EPL-039": epollLongCycles,
		"EPL-040": epollDepth,
		"EPL-041": epollDepthFromAbove,
		"EPL-043": epollNested,
		"EPL-044": epollPolled,
		"EPL-045": epollNestedTriggers,
		"EPL-046": epollExclusiveBits,
		"EPL-047": epollExclusiveMod,
		"EPL-048": epollExclusiveNested,
		"EPL-049": epollExclusiveWakesOne,
		"EPL-050": epollExclusiveMixed,
		"EPL-052": epollAllInstances,
		"EPL-053": epollInputBits,
		"EPL-054": epollWaitErrors,
		"EPL-055": epollMostEvents,
		"EPL-056": epollWaitOrder,
		"EPL-057": epollUnusedBuffer,
		"EPL-059": epollHalfBuffer,
		"EPL-060": epollTimeoutZero,
		"EPL-061": epollNegativeTimeouts,
		"EPL-062": epollNeverEarly,
		"EPL-063": epollTimerSlack,
		"EPL-064": epollHugeTimeouts,
		"EPL-065": epollEmptySet,
		"EPL-066": epollAtMost,
		"EPL-067": epollRoundRobin,
		"EPL-068": epollFirstInFirstOut,
		"EPL-069": epollMerged,
		"EPL-070": epollDataBits,
		"EPL-071": epollLevelAndEdge,
		"EPL-072": epollPartialRead,
		"EPL-073": epollEdgeBeforeDrained,
		"EPL-074": epollPipeRoom,
		"EPL-075": epollOneshot,
		"EPL-077": epollOneshotOneThread,
		"EPL-078": epollOneshotTwice,
		"EPL-079": epollOneshotEdge,
		"EPL-080": epollEdgeWakesOne,
		"EPL-081": epollLevelWakesAll,
		"EPL-083": epollEachItsOwn,
		"EPL-084": epollTimeoutRace,
		"EPL-085": epollInterrupted,
		"EPL-086": epollNotRestarted,
		"EPL-088": epollIgnoredSignals,
		"EPL-090": epollQuestionAndSignal,
		"EPL-091": epollPwaitMask,
		"EPL-092": epollPwaitArguments,
		"EPL-093": epollPwait2Timeouts,
		"EPL-094": epollPwait2Arguments,
		"EPL-095": epollPwait2KeepsTimeout,
		"EPL-096": epollPeerShutdown,
		"EPL-097": epollPipeEnds,
		"EPL-098": epollUnconnected,
		"EPL-099": epollMounts,
		"EPL-100": epollClosedWhileWaiting,
		"EPL-101": epollNothingLeftToWaitFor,
		"EPL-102": epollBusyPoll,
		"EPL-103": epollUnknownIoctl,
		"EPL-104": epollFdinfo,
		"EPL-105": epollKcmp,
		"EPL-106": epollUring,
		"EPL-107": epollStorm,
		"EPL-108": epollPathLimits,
		"EPL-109": epollStopped,
		"EPL-110": epollLastComeFirstWoken,
		"EPL-111": epollExclusivePassedOver,
		"EPL-112": epollEventBeforeSignal,
		"EPL-113": epollOneshotDisabled,
		"EPL-114": epollCtlOrder,
		"EPL-115": epollInnerClosed,
		"EPL-116": epollOuterClosed,
		"EPL-117": epollDelReady,
		"EPL-118": epollNestedChanges,
		"EPL-119": epollMisaligned,
		"EPL-120": epollProcessesShare,
		"EPL-121": epollNonblocking,
		"EPL-122": epollNoFile,
		"EPL-123": epollInode,
		"EPL-124": epollAdderGone,
		"EPL-125": epollSpuriousWakeups,
		"EPL-126": epollModIsAtomic,
		"EPL-127": epollDuplicateInstance,
		"EPL-128": epollWaitIsPwait,
		"EPL-129": epollChargesCreator,
		"EPL-130": epollPwait2Mask,
		"EPL-131": epollUrgent,
		"EPL-132": epollConnecting,
		"EPL-133": epollListener,
		"EPL-134": epollAtFileLimit,
	})
}

// epollCreateSize: the size is ignored but must be positive, epoll_create(2).
// arm64 has no such system call; x/sys then makes the check itself.
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

// epollCreateFlags: EPOLL_CLOEXEC is the only flag, epoll_create1(2).
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

// epollCloexec: EPOLL_CLOEXEC sets the descriptor's FD_CLOEXEC, and nothing else does.
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

// epollAtDescriptorLimit: EMFILE at RLIMIT_NOFILE, epoll_create(2), and what was
// half made is given back.
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

// epollIsNoStream: an epoll instance has no read or write operation, and is
// open for both.
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

// epollSeek: from 6.0 on a file without an llseek operation cannot be told from
// one that ignores it (noop_llseek): 0, where it was ESPIPE.
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

// epollName: /proc/self/fd shows an instance as anon_inode:[eventpoll], proc_pid_fd(5).
func epollName(t *testing.T) {
	got, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fdtest.Epoll(t)))
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(t, "no /proc: %v", err)
	}
	if got != "anon_inode:[eventpoll]" || err != nil {
		t.Errorf("readlink of /proc/self/fd/N = %q, %v; want anon_inode:[eventpoll]", got, err)
	}
}

// epollCtlBadDescriptors: EBADF for an epfd or a target that is not open, epoll_ctl(2).
func epollCtlBadDescriptors(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for _, bad := range badDescriptors(t) {
		for _, op := range epollOps {
			wantCtl(t, bad, op, source, unix.EBADF)
			wantCtl(t, epfd, op, bad, unix.EBADF)
			wantCtl(t, bad, op, bad, unix.EBADF)
		}
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollAddUnpollable: EPERM for a target without a poll operation, epoll_ctl(2).
func epollAddUnpollable(t *testing.T) {
	epfd := fdtest.Epoll(t)
	for what, fd := range unpollable(t) {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, 0); err != unix.EPERM {
			t.Errorf("epoll_ctl(ADD) of %s: %v, want EPERM", what, err)
		}
	}
	wantReady(t, epfd)
}

// epollChangeUnpollable: the target's kind is checked before whether it is
// registered, so that DEL and MOD are refused with EPERM too.
func epollChangeUnpollable(t *testing.T) {
	epfd := fdtest.Epoll(t)
	for what, fd := range unpollable(t) {
		for _, op := range []int{unix.EPOLL_CTL_DEL, unix.EPOLL_CTL_MOD, 77} {
			if err := epollCtl(epfd, op, fd, unix.EPOLLIN, 0); err != unix.EPERM {
				t.Errorf("epoll_ctl(%s) of %s: %v, want EPERM", opName(op), what, err)
			}
		}
	}
}

// epollPath: a descriptor opened with O_PATH names a place, not an open file:
// EBADF, open(2), even where the file behind it could be polled.
func epollPath(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	path := mustOpen(t, "/", unix.O_PATH)
	for _, op := range epollOps {
		wantCtl(t, epfd, op, path, unix.EBADF)
		wantCtl(t, path, op, source, unix.EBADF)
	}
}

// epollOfItself: an instance cannot watch itself, whatever the operation and
// whichever descriptor it goes by.
func epollOfItself(t *testing.T) {
	epfd := fdtest.Epoll(t)
	dup, _ := mustDup(t, epfd)
	for _, op := range epollOps {
		wantCtl(t, epfd, op, epfd, unix.EINVAL)
		wantCtl(t, epfd, op, dup, unix.EINVAL)
		wantCtl(t, dup, op, epfd, unix.EINVAL)
	}
	wantReady(t, epfd)
}

// epollCtlOnOther: EINVAL where epfd is open but not an epoll instance, epoll_ctl(2).
func epollCtlOnOther(t *testing.T) {
	r, w := fdtest.Pipe(t)
	pair := fdtest.Socketpair(t)
	source := fdtest.Eventfd(t, 0)
	file := mustOpen(t, filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT)
	for _, fd := range []int{r, w, pair[0], fdtest.Eventfd(t, 0), file} {
		for _, op := range epollOps {
			wantCtl(t, fd, op, source, unix.EINVAL)
		}
	}
}

// epollUnknownOp: an operation other than ADD, MOD and DEL is refused with EINVAL
// whether the target is registered or not; it is taken to have an event, so that a
// null pointer is noticed first.
func epollUnknownOp(t *testing.T) {
	epfd, source, other := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Post(t, other)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for _, op := range []int{0, 4, -1, math.MaxInt32, math.MinInt32} {
		for _, fd := range []int{source, other} {
			wantCtl(t, epfd, op, fd, unix.EINVAL)
			if err := epollCtlAt(epfd, op, fd, 0); err != unix.EFAULT {
				t.Errorf("epoll_ctl(%d) with a null event: %v, want EFAULT", op, err)
			}
		}
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollNullEvent: ADD and MOD need an event, DEL takes none since 2.6.9, epoll_ctl(2) BUGS.
func epollNullEvent(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	bad := badPointers(t, unsafe.Sizeof(unix.EpollEvent{}))
	for what, p := range bad {
		if err := epollCtlAt(epfd, unix.EPOLL_CTL_ADD, source, p); err != unix.EFAULT {
			t.Errorf("epoll_ctl(ADD) with %s: %v, want EFAULT", what, err)
		}
	}
	wantReady(t, epfd)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for what, p := range bad {
		if err := epollCtlAt(epfd, unix.EPOLL_CTL_MOD, source, p); err != unix.EFAULT {
			t.Errorf("epoll_ctl(MOD) with %s: %v, want EFAULT", what, err)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
	}
	for what, p := range bad {
		if err := epollCtlAt(epfd, unix.EPOLL_CTL_DEL, source, p); err != nil {
			t.Errorf("epoll_ctl(DEL) with %s: %v", what, err)
		}
		wantReady(t, epfd)
		fdtest.Add(t, epfd, source, unix.EPOLLIN)
	}
}

// epollAddTwice: EEXIST, and the first registration stays as it is.
func epollAddTwice(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for _, bits := range []uint32{unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLIN | unix.EPOLLEXCLUSIVE, 0} {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, bits, 77); err != unix.EEXIST {
			t.Errorf("second epoll_ctl(ADD) with events %#x: %v, want EEXIST", bits, err)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
	}
}

// epollChangeUnregistered: MOD and DEL of what is not (or no longer) registered: ENOENT.
func epollChangeUnregistered(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	check := func() {
		t.Helper()
		wantCtl(t, epfd, unix.EPOLL_CTL_MOD, source, unix.ENOENT)
		wantCtl(t, epfd, unix.EPOLL_CTL_DEL, source, unix.ENOENT)
		wantReady(t, epfd)
	}
	check()
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	// The same file under another number is another registration.
	dup, _ := mustDup(t, source)
	wantCtl(t, epfd, unix.EPOLL_CTL_MOD, dup, unix.ENOENT)
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, dup, unix.ENOENT)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustDel(t, epfd, source)
	check()
}

// epollMaxUserWatches: /proc/sys/fs/epoll/max_user_watches bounds what one user
// has registered in all instances together, epoll(7): ENOSPC beyond; DEL and the close
// of an instance or of a target give back what they held.
func epollMaxUserWatches(t *testing.T) { atWatchLimit(t, "room") }

// epollChargesCreator: it is the real user who created the instance that pays for what is registered in
// it, whoever registers.
func epollChargesCreator(t *testing.T) { atWatchLimit(t, "creator") }

func atWatchLimit(t *testing.T, what string) {
	t.Helper()
	const sysctl = "/proc/sys/fs/epoll/max_user_watches"
	lock := mustLockWatches(t)
	text, err := os.ReadFile(sysctl)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/self"); err != nil {
			behaviour.Limited(t, "no /proc: %v", err)
		}
		behaviour.Absent(t, "%s: no such file: no CONFIG_SYSCTL", sysctl)
	}
	if err != nil {
		t.Fatal(err)
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", sysctl, err)
	}
	if unix.Geteuid() != 0 {
		behaviour.Unprivileged(t, "to lower %s from %d and to be a user without watches", sysctl, limit)
	}
	var nofile unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &nofile); err != nil {
		t.Fatal(err)
	}
	if nofile.Cur < 1000 {
		behaviour.Limited(t, "%d descriptors: raise RLIMIT_NOFILE to 1000", nofile.Cur)
	}
	// The child puts it back, unless it is killed; the lock is held until the row ends.
	t.Cleanup(func() {
		if now, err := os.ReadFile(sysctl); err == nil && strings.TrimSpace(string(now)) == strconv.Itoa(lowWatchLimit) {
			if err := os.WriteFile(sysctl, text, 0); err != nil {
				t.Errorf("%s is left at %d: %v", sysctl, lowWatchLimit, err)
			}
		}
	})
	p := child.Start(t, epollMaxUserWatchesRole, child.Options{Args: []string{sysctl, string(text), what}, Files: []int{lock}})
	if got := p.Line(); got != "done" {
		behaviour.Unprivileged(t, "%s", got)
	}
	p.Wait()
	if now, err := os.ReadFile(sysctl); err != nil || string(now) != string(text) {
		t.Errorf("%s is %q now, %v; was %q", sysctl, now, err, text)
	}
}

// mustLockWatches takes turns with other runs that change max_user_watches, which is everyone's. It is the name of a
// socket that two cannot have, until the last that has it open ends, be it by a crash.
func mustLockWatches(tb testing.TB) int {
	tb.Helper()
	lock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	closable(tb, lock, err)
	for end := time.Now().Add(child.Patience); ; time.Sleep(time.Millisecond) {
		err := unix.Bind(lock, &unix.SockaddrUnix{Name: "@eventbench-max_user_watches"})
		if err == nil {
			return lock
		}
		if err != unix.EADDRINUSE {
			tb.Fatalf("bind: %v", err)
		}
		if time.Now().After(end) {
			behaviour.Limited(tb, "another run has held fs.epoll.max_user_watches for %v", child.Patience)
		}
	}
}

// lowWatchLimit is far more than anybody on a machine that runs tests has, and little enough to be used up in some
// milliseconds. During these the limit is everyone's.
const lowWatchLimit = 20000

var epollMaxUserWatchesRole = child.Register("epoll-max-user-watches", func(p *child.Proc) (err error) {
	const limit = lowWatchLimit
	sysctl, was := p.Args[0], p.Args[1]
	f, err := os.OpenFile(sysctl, os.O_WRONLY, 0)
	if err != nil {
		p.Say("%v", err)
		return nil
	}
	defer f.Close()
	// The charge is the real user's: one who owns nothing yet. The effective user,
	// and with it the right to write, stays what it is.
	if err := becomeNewUser(); err != nil {
		p.Say("setresuid: %v", err)
		return nil
	}
	room, err := strconv.Atoi(strings.TrimSpace(was))
	if err != nil {
		return err
	}
	if room > limit {
		room = limit
		// Not to be killed with the parent before the limit is back.
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte(strconv.Itoa(limit)), 0); err != nil {
			p.Say("%v", err)
			return nil
		}
		defer func() {
			_, e := f.WriteAt([]byte(was), 0)
			err = errors.Join(err, e)
		}()
	}
	if err := epollAtWatchLimit(room, p.Args[2] == "creator"); err != nil {
		return err
	}
	p.Say("done")
	return nil
})

// becomeNewUser makes a user the real one of the calling thread who has not been there before.
func becomeNewUser() error {
	newUsers++
	uid := uintptr(1_900_000_000 + 10*unix.Getpid() + newUsers)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, ^uintptr(0), ^uintptr(0)); errno != 0 {
		return errno
	}
	return nil
}

var newUsers int

// epollAtWatchLimit registers until it may not, and then looks at what makes room, or at who is charged.
func epollAtWatchLimit(limit int, creator bool) error {
	sources := make([]int, 200)
	for i := range sources {
		fd, err := unix.Eventfd(0, 0)
		if err != nil {
			return fmt.Errorf("eventfd2: %w", err)
		}
		sources[i] = fd
	}
	// fill makes instances and registrations until one is refused, which must be before there are many more than may be.
	fill := func() (sets []int, made int, err error) {
		for {
			if made > limit+len(sources) {
				return sets, made, fmt.Errorf("%d registrations could be made, want %d at most", made, limit)
			}
			epfd, err := unix.EpollCreate1(0)
			if err != nil {
				return sets, made, fmt.Errorf("epoll_create1 after %d registrations: %w", made, err)
			}
			sets = append(sets, epfd)
			for _, fd := range sources {
				err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, 0)
				if err == unix.ENOSPC {
					// Nothing is left of the refused one.
					if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0); err != unix.ENOENT {
						return sets, made, fmt.Errorf("epoll_ctl(DEL) of what ADD refused: %v, want ENOENT", err)
					}
					return sets, made, nil
				}
				if err != nil {
					return sets, made, fmt.Errorf("epoll_ctl(ADD) number %d: %v, want success or ENOSPC", made+1, err)
				}
				made++
			}
		}
	}
	sets, made, err := fill()
	if err != nil {
		return err
	}
	if made != limit {
		return fmt.Errorf("%d registrations could be made, want %d", made, limit)
	}
	if creator {
		mine := sets[len(sets)-1]
		if err := becomeNewUser(); err != nil {
			return fmt.Errorf("setresuid: %w", err)
		}
		theirs, err := unix.EpollCreate1(0)
		if err != nil {
			return fmt.Errorf("epoll_create1: %w", err)
		}
		last := sources[len(sources)-1]
		if err := epollCtl(theirs, unix.EPOLL_CTL_ADD, last, unix.EPOLLIN, 0); err != nil {
			return fmt.Errorf("another user's epoll_ctl(ADD) in an instance of his own: %w", err)
		}
		if err := epollCtl(mine, unix.EPOLL_CTL_ADD, last, unix.EPOLLIN, 0); err != unix.ENOSPC {
			return fmt.Errorf("another user's epoll_ctl(ADD) in an instance whose creator is at the limit: %v, want ENOSPC", err)
		}
		// What he removes is given back to the creator.
		if err := epollCtl(sets[0], unix.EPOLL_CTL_DEL, last, 0, 0); err != nil {
			return fmt.Errorf("another user's epoll_ctl(DEL): %w", err)
		}
		if err := epollCtl(mine, unix.EPOLL_CTL_ADD, last, unix.EPOLLIN, 0); err != nil {
			return fmt.Errorf("another user's epoll_ctl(ADD) where a DEL made room: %w", err)
		}
		return nil
	}
	room := 0
	for _, step := range []struct {
		what string
		do   func() error
		room int
	}{
		{"nothing", func() error { return nil }, 0},
		{"a MOD", func() error { return epollCtl(sets[0], unix.EPOLL_CTL_MOD, sources[1], 0, 0) }, 0},
		{"a DEL", func() error { return epollCtl(sets[0], unix.EPOLL_CTL_DEL, sources[1], 0, 0) }, 1},
		{"the close of an instance with 200 targets", func() error { return unix.Close(sets[1]) }, 200},
		{"the close of a target that all instances but one still have", func() error {
			fd := sources[0]
			sources = sources[1:]
			return unix.Close(fd)
		}, (made+199)/200 - 1},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s at the limit: %w", step.what, err)
		}
		room += step.room
		more, got, err := fill()
		for _, epfd := range more {
			unix.Close(epfd)
		}
		if err != nil {
			return err
		}
		if got != room {
			return fmt.Errorf("after %s there is room for %d registrations, want %d", step.what, got, room)
		}
	}
	return nil
}

// epollDuplicates: the key is descriptor number and open file description, epoll(7)
// Q&A: a duplicate is another registration with a mask of its own, and both report.
func epollDuplicates(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	dup, _ := mustDup(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	fdtest.Add(t, epfd, dup, unix.EPOLLIN|unix.EPOLLOUT)
	wantReady(t, epfd, ready(dup, unix.EPOLLOUT))
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN|unix.EPOLLOUT))
	mustDel(t, epfd, source)
	wantReady(t, epfd, ready(dup, unix.EPOLLIN|unix.EPOLLOUT))
	mustMod(t, epfd, dup, unix.EPOLLIN)
	mustTake(t, dup, 1)
	wantReady(t, epfd)
}

// epollClosedOriginal: closing a descriptor removes nothing while the open file
// description lives on, epoll(7) Q&A; the registration then reports for a number that
// is not open, and cannot be reached by it.
func epollClosedOriginal(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	original, closeOriginal := mustDup(t, source)
	fdtest.Add(t, epfd, original, unix.EPOLLIN)
	closeOriginal()
	wantReady(t, epfd)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(original, unix.EPOLLIN))
	wantReady(t, epfd, ready(original, unix.EPOLLIN))
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, original, unix.EBADF)
	wantCtl(t, epfd, unix.EPOLL_CTL_MOD, original, unix.EBADF)
	// Nor by the number of the duplicate that keeps it alive.
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, source, unix.ENOENT)
	mustTake(t, source, 1)
	wantReady(t, epfd)
}

// epollStaleNumber: a registration whose number was closed is reached again once
// a duplicate of the same open file is put there; another file under that number is
// another key, which does not disturb it.
func epollStaleNumber(t *testing.T) {
	epfd, source, other := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	number, _ := mustDup(t, source)
	fdtest.Add(t, epfd, number, unix.EPOLLIN)
	mustPut(t, other, number)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(number, unix.EPOLLIN))
	wantCtl(t, epfd, unix.EPOLL_CTL_MOD, number, unix.ENOENT)
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, number, unix.ENOENT)
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, number, unix.EPOLLIN, 77); err != nil {
		t.Errorf("epoll_ctl(ADD) of another file under a number in use: %v", err)
	}
	fdtest.Post(t, other)
	wantReadyAnyOrder(t, epfd, ready(number, unix.EPOLLIN), readiness{unix.EPOLLIN, 77})
	mustPut(t, source, number)
	wantCtl(t, epfd, unix.EPOLL_CTL_ADD, number, unix.EEXIST)
	mustDel(t, epfd, number)
	wantReady(t, epfd, readiness{unix.EPOLLIN, 77})
}

// epollLastClose: with the last descriptor of the open file description its
// registrations go, without an event, epoll(7) Q&A; the number is free for another file.
func epollLastClose(t *testing.T) {
	epfd, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	next := fdtest.Eventfd(t, 0)
	source, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	closeSource := closable(t, source, err)
	dup, closeDup := mustDup(t, source)
	for _, fd := range []int{source, dup} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN)
		fdtest.Add(t, edge, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	closeSource()
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	closeDup()
	wantReady(t, epfd)
	wantReady(t, edge)
	for _, number := range []int{source, dup} {
		mustPut(t, next, number)
		closable(t, number, nil)
		wantCtl(t, epfd, unix.EPOLL_CTL_DEL, number, unix.ENOENT)
		wantCtl(t, edge, unix.EPOLL_CTL_MOD, number, unix.ENOENT)
		fdtest.Add(t, epfd, number, unix.EPOLLIN)
	}
	wantReady(t, epfd)
	fdtest.Post(t, next)
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	wantReady(t, edge)
}

// epollChildHoldsTarget: a child's copy of a descriptor keeps the parent's registration
// alive after the parent has closed its own; it goes with the child, epoll(7) Q&A.
func epollChildHoldsTarget(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, closeReader, _ := mustClosablePipe(t)
	p := child.Start(t, epollHolder, child.Options{Files: []int{r}})
	p.Expect("holding")
	fdtest.Add(t, epfd, r, unix.EPOLLIN)
	closeReader()
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	p.Say("take")
	p.Expect("x")
	wantReady(t, epfd)
	mustWrite(t, w, "y")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	p.Signal(unix.SIGKILL)
	p.Status()
	wantReady(t, epfd)
}

var epollHolder = child.Register("epoll-holder", func(p *child.Proc) error {
	p.Say("holding")
	for {
		if _, err := p.Hear(); err != nil {
			return nil
		}
		var buf [1]byte
		if _, err := unix.Read(child.FirstFile, buf[:]); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		p.Say("%s", buf[:])
	}
})

// epollTargetInFlight: a message that carries a descriptor (SCM_RIGHTS, unix(7)) refers
// to the open file as well: its registration lives while the message is not received.
func epollTargetInFlight(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, closeReader, _ := mustClosablePipe(t)
	fdtest.Add(t, epfd, r, unix.EPOLLIN)
	sockets := fdtest.Socketpair(t)
	mustSendFile(t, sockets[0], r)
	closeReader()
	wantReady(t, epfd)
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	received, err := receiveFile(sockets[1])
	closeReceived := closable(t, received, err)
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	closeReceived()
	wantReady(t, epfd)
}

// epollPassed: an epoll instance passed by SCM_RIGHTS reports to its receiver what
// the sender registered, with the sender's data, though the receiver has none of the targets.
func epollPassed(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, unix.EPOLLIN, 0x1234_5678_9abc_def0); err != nil {
		t.Fatal(err)
	}
	sockets := fdtest.Socketpair(t)
	p := child.Start(t, epollReceiver, child.Options{Files: []int{sockets[1]}, Args: []string{strconv.Itoa(source)}})
	mustSendFile(t, sockets[0], epfd)
	p.Expect("received")
	fdtest.Post(t, source)
	p.Expect("[IN of 0x123456789abcdef0]")
	wantReady(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0})
	// The receiver adds a target of its own: the set is one and the same.
	p.Say("add")
	p.Expect("added")
	wantReadyAnyOrder(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0}, readiness{unix.EPOLLOUT, 99})
	p.Wait()
	wantReady(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0})
}

var epollReceiver = child.Register("epoll-receiver", func(p *child.Proc) error {
	source, err := strconv.Atoi(p.Args[0])
	if err != nil {
		return err
	}
	epfd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	for _, op := range []int{unix.EPOLL_CTL_DEL, unix.EPOLL_CTL_MOD} {
		// The number means nothing here, or another file.
		if err := epollCtl(epfd, op, source, unix.EPOLLIN, 0); err == nil {
			return fmt.Errorf("epoll_ctl(%s) by the sender's number succeeded", opName(op))
		}
	}
	p.Say("received")
	var events [4]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	p.Say("%v", readinessOf(events[:n]))
	if _, err := p.Hear(); err != nil {
		return err
	}
	own, err := unix.Eventfd(0, 0)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, own, unix.EPOLLOUT, 99); err != nil {
		return err
	}
	p.Say("added")
	p.Hear()
	return nil
})

// epollAcrossExec: an instance without close-on-exec goes through execve(2) with its
// registrations; those of targets that execve closes go as at any close.
func epollAcrossExec(t *testing.T) {
	child.Start(t, epollBeforeExec, child.Options{}).Wait()
}

var (
	epollBeforeExec = child.Register("epoll-before-exec", func(p *child.Proc) error {
		epfd, err := unix.EpollCreate1(0)
		if err != nil {
			return err
		}
		args := []string{strconv.Itoa(epfd)}
		for i, flags := range []int{0, unix.EFD_CLOEXEC, 0} {
			fd, err := unix.Eventfd(1, flags)
			if err != nil {
				return err
			}
			if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT, uint64(i)); err != nil {
				return err
			}
			args = append(args, strconv.Itoa(fd))
		}
		return p.Exec(epollAfterExec, args...)
	})
	epollAfterExec = child.Register("epoll-after-exec", func(p *child.Proc) error {
		var fds []int
		for _, a := range p.Args {
			fd, err := strconv.Atoi(a)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
		}
		epfd, kept, gone, other := fds[0], fds[1], fds[2], fds[3]
		if _, err := unix.FcntlInt(uintptr(gone), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec descriptor: %v, want EBADF", err)
		}
		const both = unix.EPOLLIN | unix.EPOLLOUT
		if err := checkReady(epfd, readiness{both, 0}, readiness{both, 2}); err != nil {
			return err
		}
		var buf [8]byte
		if _, err := unix.Read(kept, buf[:]); err != nil {
			return err
		}
		if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, other, 0, 0); err != nil {
			return err
		}
		return checkReady(epfd, readiness{unix.EPOLLOUT, 0})
	})
)

// epollAddReady: ADD of what is ready already is an event like any other: there at
// once, also for a thread that waits, for level and edge.
func epollAddReady(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT, unix.EPOLLEXCLUSIVE} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Post(t, source)
		fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))

		waited, other := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		w := startWait(t, waited, 4, -1)
		fdtest.Add(t, waited, other, unix.EPOLLIN|mode) // not ready: nobody wakes
		stillAsleep(t, w)
		fdtest.Add(t, waited, source, unix.EPOLLIN|mode)
		w.want(ready(source, unix.EPOLLIN))
	}
}

// epollModAsksAgain: MOD looks at the target anew, epoll(7) Q&A ("Modify will reread
// available I/O"): a ready edge-triggered target is reported once more with each MOD, also
// one that changes nothing, and also to a thread that waits.
func epollModAsksAgain(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	for range 3 {
		wantReady(t, epfd)
		mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
	}
	w := startWait(t, epfd, 4, -1)
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	w.want(ready(source, unix.EPOLLIN))
	mustTake(t, source, 1)
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd)
}

// epollModReplaces: MOD replaces mask and data, both whole, epoll_ctl(2).
func epollModReplaces(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	mod := func(bits uint32, data uint64) {
		t.Helper()
		if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, source, bits, data); err != nil {
			t.Fatalf("epoll_ctl(MOD): %v", err)
		}
	}
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	mod(unix.EPOLLOUT, 77)
	wantReady(t, epfd, readiness{unix.EPOLLOUT, 77})
	mod(unix.EPOLLOUT, math.MaxUint64) // the data alone
	wantReady(t, epfd, readiness{unix.EPOLLOUT, math.MaxUint64})
	mod(unix.EPOLLIN|unix.EPOLLET, 0) // the trigger as well
	wantReady(t, epfd, readiness{unix.EPOLLIN, 0})
	wantReady(t, epfd)
	mod(unix.EPOLLIN, 1)
	wantReady(t, epfd, readiness{unix.EPOLLIN, 1})
	// A change while the event is collected and not yet reported counts, too.
	mod(unix.EPOLLPRI, 2)
	wantReady(t, epfd)
	mod(unix.EPOLLIN|unix.EPOLLOUT, 3)
	wantReady(t, epfd, readiness{unix.EPOLLIN | unix.EPOLLOUT, 3})
}

// epollErrAndHupAlways: ADD and MOD put EPOLLERR and EPOLLHUP into every mask, epoll_ctl(2),
// the empty one included; proc_pid_fdinfo(5) shows it.
func epollErrAndHupAlways(t *testing.T) {
	epfd := fdtest.Epoll(t)
	_, errs, closeReader, _ := mustClosablePipe(t)
	hups, _, _, closeWriter := mustClosablePipe(t)
	fdtest.Add(t, epfd, errs, 0)
	fdtest.Add(t, epfd, hups, unix.EPOLLIN)
	mustMod(t, epfd, hups, 0)
	wantReady(t, epfd)
	closeReader()
	wantReady(t, epfd, ready(errs, unix.EPOLLERR))
	closeWriter()
	wantReadyAnyOrder(t, epfd, ready(errs, unix.EPOLLERR), ready(hups, unix.EPOLLHUP))
	for _, e := range mustFdinfo(t, epfd) {
		if e.events != unix.EPOLLERR|unix.EPOLLHUP {
			t.Errorf("fdinfo has events %#x for an empty mask, want EPOLLERR|EPOLLHUP", e.events)
		}
	}
}

// epollAllMasks: every combination of these bits is a mask that ADD and MOD take, and what
// is reported of a target that can be read and written follows from it.
func epollAllMasks(t *testing.T) {
	bits := []uint32{unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLPRI, unix.EPOLLERR, unix.EPOLLHUP,
		unix.EPOLLET, unix.EPOLLONESHOT, unix.EPOLLRDHUP}
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	added, changed := fdtest.Epoll(t), fdtest.Epoll(t, source)
	for subset := range 1 << len(bits) {
		var mask uint32
		for i, b := range bits {
			if subset>>i&1 == 1 {
				mask |= b
			}
		}
		fdtest.Add(t, added, source, mask)
		mustMod(t, changed, source, mask)
		for _, epfd := range []int{added, changed} {
			var first, second []readiness
			if both := mask & (unix.EPOLLIN | unix.EPOLLOUT); both != 0 {
				first = append(first, ready(source, both))
				if mask&(unix.EPOLLET|unix.EPOLLONESHOT) == 0 {
					second = first
				}
			}
			wantReady(t, epfd, first...)
			wantReady(t, epfd, second...)
		}
		mustDel(t, added, source)
		if t.Failed() {
			t.Fatalf("with mask %#x", mask)
		}
	}
}

// epollUnknownBits: bits of a mask that mean nothing are accepted, alone and all at once,
// and never reported: there was no check when epoll was made, epoll_ctl(2) BUGS.
func epollUnknownBits(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	var all uint32
	for bit := range 28 {
		b := uint32(1) << bit
		const known = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLERR | unix.EPOLLHUP | unix.EPOLLRDNORM |
			unix.EPOLLRDBAND | unix.EPOLLWRNORM | unix.EPOLLWRBAND | unix.EPOLLMSG | unix.EPOLLRDHUP
		if b&known != 0 {
			continue
		}
		all |= b
		fdtest.Add(t, epfd, source, b)
		wantReady(t, epfd)
		mustMod(t, epfd, source, unix.EPOLLIN|b)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		mustDel(t, epfd, source)
	}
	fdtest.Add(t, epfd, source, unix.EPOLLOUT|all)
	wantReady(t, epfd, ready(source, unix.EPOLLOUT))
}

// epollOnlyRequestedBits: of what a target reports only what was asked for is passed on,
// and what was asked for and is not there is not.
func epollOnlyRequestedBits(t *testing.T) {
	const in, out = unix.EPOLLIN, unix.EPOLLOUT
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, 0)
	for mask, want := range map[uint32]uint32{
		in:                   in,
		out:                  out,
		in | unix.EPOLLRDHUP: in,
		// An eventfd reports plain IN and OUT only, a socket their NORM twins as well.
		in | unix.EPOLLRDNORM | out | unix.EPOLLWRNORM: in | out,
		unix.EPOLLRDNORM | unix.EPOLLWRNORM:            0,
		unix.EPOLLPRI | unix.EPOLLERR | unix.EPOLLHUP:  0,
	} {
		mustMod(t, epfd, source, mask)
		if want == 0 {
			wantReady(t, epfd)
		} else {
			wantReady(t, epfd, ready(source, want))
		}
	}
	mustDel(t, epfd, source)
	s := fdtest.Socketpair(t)
	mustWrite(t, s[1], "x")
	fdtest.Add(t, epfd, s[0], 0)
	for _, mask := range []uint32{in, out, unix.EPOLLRDNORM, unix.EPOLLWRNORM, unix.EPOLLWRBAND,
		in | unix.EPOLLRDNORM, in | unix.EPOLLRDNORM | out | unix.EPOLLWRNORM | unix.EPOLLWRBAND} {
		mustMod(t, epfd, s[0], mask)
		wantReady(t, epfd, ready(s[0], mask))
	}
}

// epollWakeupNeedsCapability: EPOLLWAKEUP is dropped without a word where the caller lacks
// CAP_BLOCK_SUSPEND, epoll_ctl(2) BUGS, and where the kernel cannot suspend (no
// CONFIG_PM_SLEEP, which /sys/power/wakeup_count comes with).
func epollWakeupNeedsCapability(t *testing.T) {
	const capBlockSuspend = 36
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	// kept has the calling thread ask for the bit and looks whether it is there.
	kept := func() (bool, error) {
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return false, err
		}
		defer unix.Close(epfd)
		var bits [2]uint32
		for i, op := range []int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD} {
			if err := epollCtl(epfd, op, source, unix.EPOLLIN|unix.EPOLLWAKEUP, 1); err != nil {
				return false, fmt.Errorf("epoll_ctl(%s) with EPOLLWAKEUP: %w", opName(op), err)
			}
			entries, err := fdinfo(epfd)
			if err != nil {
				return false, fmt.Errorf("fdinfo: %w", err)
			}
			if len(entries) != 1 {
				return false, fmt.Errorf("fdinfo: %v, want one entry", entries)
			}
			bits[i] = entries[0].events & unix.EPOLLWAKEUP
		}
		if bits[0] != bits[1] {
			return false, fmt.Errorf("EPOLLWAKEUP after ADD is %#x, after MOD %#x", bits[0], bits[1])
		}
		return bits[0] != 0, checkReady(epfd, readiness{unix.EPOLLIN, 1})
	}
	caps, err := capabilities()
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat("/sys/power/wakeup_count")
	want := caps.effective()>>capBlockSuspend&1 == 1 && err == nil && inFirstUserNamespace()
	if got, err := kept(); errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(t, "no /proc: %v", err)
	} else if err != nil {
		t.Fatal(err)
	} else if got != want {
		t.Errorf("EPOLLWAKEUP kept: %t, want %t", got, want)
	}
	child.Go(t, "thread without CAP_BLOCK_SUSPEND", func() error {
		if err := caps.drop(capBlockSuspend); err != nil {
			return err
		}
		got, err := kept()
		if got {
			err = errors.New("EPOLLWAKEUP was kept")
		}
		return err
	}).Join()
}

// epollCycleOfTwo: two instances cannot watch each other, epoll_ctl(2) ELOOP, whichever
// of the duplicates is used; what was there before goes on working.
func epollCycleOfTwo(t *testing.T) {
	a, b, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	dup, _ := mustDup(t, a)
	fdtest.Add(t, b, source, unix.EPOLLIN)
	fdtest.Add(t, a, b, unix.EPOLLIN)
	wantCtl(t, b, unix.EPOLL_CTL_ADD, a, unix.ELOOP)
	wantCtl(t, b, unix.EPOLL_CTL_ADD, dup, unix.ELOOP)
	wantCtl(t, b, unix.EPOLL_CTL_DEL, a, unix.ENOENT)
	fdtest.Post(t, source)
	wantReady(t, a, ready(b, unix.EPOLLIN))
	wantReady(t, b, ready(source, unix.EPOLLIN))
	// Without the first link the other direction is free.
	mustDel(t, a, b)
	fdtest.Add(t, b, a, unix.EPOLLIN)
	wantCtl(t, a, unix.EPOLL_CTL_ADD, b, unix.ELOOP)
}

// epollLongCycles: nor can longer rings be closed, wherever the last link is.
func epollLongCycles(t *testing.T) {
	for _, length := range []int{3, 4, 5} {
		for last := range length {
			ring := make([]int, length)
			for i := range ring {
				ring[i] = fdtest.Epoll(t)
			}
			for i := range ring {
				if i != last {
					fdtest.Add(t, ring[i], ring[(i+1)%length], unix.EPOLLIN)
				}
			}
			wantCtl(t, ring[last], unix.EPOLL_CTL_ADD, ring[(last+1)%length], unix.ELOOP)
		}
	}
	// Two ways to one target are no ring.
	top, left, right, bottom := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
	for _, side := range []int{left, right} {
		fdtest.Add(t, side, bottom, unix.EPOLLIN)
		fdtest.Add(t, top, side, unix.EPOLLIN)
	}
	source := fdtest.Eventfd(t, 0)
	fdtest.Add(t, bottom, source, unix.EPOLLIN)
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, top, ready(left, unix.EPOLLIN), ready(right, unix.EPOLLIN))
}

// epollDepth: five instances may stand on top of each other over a source; epoll_ctl(2) has ELOOP where a
// sixth is put on top. Kernels that do not look upwards notice only when they count the ways from the
// source: EINVAL. The event goes up through all five.
func epollDepth(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	chain := []int{fdtest.Epoll(t, source)}
	for range 4 {
		chain = append(chain, fdtest.Epoll(t, chain[len(chain)-1]))
	}
	sixth := fdtest.Epoll(t)
	want := unix.EINVAL
	if looks, known := epollLooksUpwards(); looks || !known && len(epollChainFromAbove(t, 6)) == 5 {
		want = unix.ELOOP
	}
	wantCtl(t, sixth, unix.EPOLL_CTL_ADD, chain[4], want)
	fdtest.Add(t, sixth, chain[3], unix.EPOLLIN) // beside the fifth there is room
	w := startWait(t, chain[4], 1, -1)
	fdtest.Post(t, source)
	w.want(ready(chain[3], unix.EPOLLIN))
	wantReady(t, sixth, ready(chain[3], unix.EPOLLIN))
	for i := 4; i > 0; i-- {
		wantReady(t, chain[i], ready(chain[i-1], unix.EPOLLIN))
	}
	wantReady(t, chain[0], ready(source, unix.EPOLLIN))
}

// epollDepthFromAbove: the limit also holds for instances that are put below, where no source is yet, on
// kernels that look upwards as well. On others such a chain can have any length, and no source from the
// sixth on.
func epollDepthFromAbove(t *testing.T) {
	const longest = 12
	chain := epollChainFromAbove(t, longest)
	looks, known := epollLooksUpwards()
	switch n := len(chain); {
	case looks && n != 5, known && !looks && n != longest, n != 5 && n != longest:
		t.Errorf("%d instances could be put below each other; want 5 on a kernel that looks upwards, any number on others; this one does: %t (known: %t)",
			n, looks, known)
	}
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for i, epfd := range chain {
		if i < 5 {
			fdtest.Add(t, epfd, source, unix.EPOLLIN)
		} else {
			wantCtl(t, epfd, unix.EPOLL_CTL_ADD, source, unix.EINVAL)
		}
	}
}

// epollChainFromAbove puts up to n instances below each other, until one is refused.
func epollChainFromAbove(t *testing.T, n int) (chain []int) {
	t.Helper()
	chain = append(chain, fdtest.Epoll(t))
	for len(chain) < n {
		next := fdtest.Epoll(t)
		err := epollCtl(chain[len(chain)-1], unix.EPOLL_CTL_ADD, next, unix.EPOLLIN, 0)
		if err == unix.ELOOP {
			break
		}
		if err != nil {
			t.Fatalf("epoll_ctl(ADD) below %d instances: %v, want success or ELOOP", len(chain), err)
		}
		chain = append(chain, next)
	}
	return chain
}

// epollLooksUpwards reports whether this kernel has f2e467a48287, "eventpoll: Fix semi-unbounded
// recursion" (CVE-2025-38614), where that can be known from its release: it is in 6.17, and in these
// stable ones of before; 5.10 never got it. Distributions that hide which stable release theirs has
// may have it or not.
func epollLooksUpwards() (looks, known bool) {
	if behaviour.Since(6, 17) {
		return true, true
	}
	if !behaviour.Since(5, 15) {
		return false, true
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, false
	}
	text := unix.ByteSliceToString(u.Release[:])
	// Debian has it in the version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-09-01)".
	if _, rest, ok := strings.Cut(unix.ByteSliceToString(u.Version[:]), " Debian "); ok {
		text = rest
	}
	var major, minor, patch int
	if n, _ := fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch); n != 3 || patch == 0 {
		return false, false
	}
	first, fixed := map[[2]int]int{{5, 15}: 190, {6, 1}: 149, {6, 6}: 103, {6, 12}: 43, {6, 15}: 11, {6, 16}: 1}[[2]int{major, minor}]
	return fixed && patch >= first, true
}

// epollNested: an instance is ready when it has something to report, epoll(7) Q&A: the outer
// one reports it with the data it was added with, then it can be asked itself.
func epollNested(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		outer, inner, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Add(t, inner, source, unix.EPOLLIN)
		if err := epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLOUT|mode, 77); err != nil {
			t.Fatal(err)
		}
		wantReady(t, outer)
		w := startWait(t, outer, 4, -1)
		fdtest.Post(t, source)
		w.want(readiness{unix.EPOLLIN, 77})
		wantReady(t, inner, ready(source, unix.EPOLLIN))
		mustTake(t, source, 1)
		wantReady(t, inner)
		wantReady(t, outer)
	}
}

// epollPolled: an instance that has something to report is readable for poll(2), select(2) and
// ppoll alike, epoll(7) Q&A. They take nothing away; what the instance itself gives out, it no longer
// has if the target is edge-triggered.
func epollPolled(t *testing.T) {
	for _, edge := range []bool{false, true} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		mode := uint32(0)
		if edge {
			mode = unix.EPOLLET
		}
		fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
		wantPolled(t, epfd, 0)
		fdtest.Post(t, source)
		for range 3 {
			wantPolled(t, epfd, unix.POLLIN)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		if edge {
			wantPolled(t, epfd, 0)
			fdtest.Post(t, source)
			wantPolled(t, epfd, unix.POLLIN)
			mustTake(t, source, 2)
		} else {
			wantPolled(t, epfd, unix.POLLIN)
			mustTake(t, source, 1)
		}
		// An entry of the ready list whose target is not ready does not count.
		wantPolled(t, epfd, 0)
		wantReady(t, epfd)
		s := startPoll(t, epfd)
		stillAsleep(t, s)
		fdtest.Post(t, source)
		s.wantPolled()
	}
}

// epollNestedTriggers: what the outer of two instances reports, for both triggers of both: an
// edge-triggered outer one once per edge, a level-triggered one for as long as the inner one has
// something to report. poll(2) of the outer one asks and takes nothing.
func epollNestedTriggers(t *testing.T) {
	for _, c := range []struct{ inner, outer uint32 }{
		{0, 0}, {0, unix.EPOLLET}, {unix.EPOLLET, 0}, {unix.EPOLLET, unix.EPOLLET},
	} {
		t.Run(fmt.Sprintf("inner=%s/outer=%s", trigger(c.inner), trigger(c.outer)), func(t *testing.T) {
			make := func() (outer, inner, source int, fromInner, fromSource readiness) {
				outer, inner, source = fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
				fdtest.Add(t, inner, source, unix.EPOLLIN|c.inner)
				fdtest.Add(t, outer, inner, unix.EPOLLIN|c.outer)
				return outer, inner, source, ready(inner, unix.EPOLLIN), ready(source, unix.EPOLLIN)
			}
			// again is what the outer one has to say when nothing new has come.
			again := func(outer int, r readiness) {
				t.Helper()
				if c.outer == 0 {
					wantReady(t, outer, r)
				} else {
					wantReady(t, outer)
				}
			}

			outer, inner, source, fromInner, fromSource := make()
			fdtest.Post(t, source)
			wantPolled(t, outer, unix.POLLIN)
			wantPolled(t, outer, unix.POLLIN)
			wantReady(t, outer, fromInner)
			again(outer, fromInner)
			again(outer, fromInner)
			if c.outer == 0 {
				wantPolled(t, outer, unix.POLLIN)
			} else {
				wantPolled(t, outer, 0)
			}
			fdtest.Post(t, source) // a new edge, though the inner one has not been asked
			wantReady(t, outer, fromInner)
			wantReady(t, inner, fromSource)
			if c.inner == 0 {
				again(outer, fromInner)
				wantReady(t, inner, fromSource)
			} else {
				wantReady(t, outer)
				wantReady(t, inner)
			}
			mustTake(t, source, 2)
			wantReady(t, outer)
			wantReady(t, inner)

			// The inner one is asked first: an edge-triggered one then has nothing left.
			fdtest.Post(t, source)
			wantReady(t, inner, fromSource)
			if c.inner == 0 {
				wantReady(t, outer, fromInner)
			} else {
				wantReady(t, outer)
			}

			// Threads: of two in the outer one an edge wakes one, a level both.
			outer, inner, source, fromInner, fromSource = make()
			a, b := startWait(t, outer, 4, -1), startWait(t, outer, 4, -1)
			fdtest.Post(t, source)
			if c.outer == 0 {
				a.want(fromInner)
				b.want(fromInner)
			} else {
				first, rest := wantWoken(t, 1, a, b)
				first[0].want(fromInner)
				fdtest.Post(t, source)
				rest[0].want(fromInner)
			}
			wantReady(t, inner, fromSource)

			// One polls the outer one.
			outer, _, source, fromInner, _ = make()
			polling := startPoll(t, outer)
			fdtest.Post(t, source)
			polling.wantPolled()
			wantReady(t, outer, fromInner)

			// One waits in the inner one.
			outer, inner, source, fromInner, fromSource = make()
			in := startWait(t, inner, 4, -1)
			fdtest.Post(t, source)
			in.want(fromSource)
			if c.inner == 0 {
				wantPolled(t, outer, unix.POLLIN)
				wantReady(t, outer, fromInner)
			} else {
				wantPolled(t, outer, 0)
			}
		})
	}
}

func trigger(mode uint32) string {
	if mode&unix.EPOLLET != 0 {
		return "edge"
	}
	return "level"
}

// epollExclusiveBits: EPOLLEXCLUSIVE goes with IN, OUT, ERR, HUP, WAKEUP and ET, and with
// nothing else, epoll_ctl(2) EINVAL; a refused ADD leaves nothing.
func epollExclusiveBits(t *testing.T) {
	const good = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLERR | unix.EPOLLHUP | unix.EPOLLWAKEUP | unix.EPOLLET
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for bit := range 32 {
		b := uint32(1) << bit
		if b == unix.EPOLLEXCLUSIVE {
			continue
		}
		for _, mask := range []uint32{b, b | unix.EPOLLIN} {
			err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, mask|unix.EPOLLEXCLUSIVE, uint64(source))
			if b&good == 0 {
				if err != unix.EINVAL {
					t.Errorf("epoll_ctl(ADD) with EPOLLEXCLUSIVE|%#x: %v, want EINVAL", mask, err)
				}
				wantReady(t, epfd)
				continue
			}
			if err != nil {
				t.Errorf("epoll_ctl(ADD) with EPOLLEXCLUSIVE|%#x: %v", mask, err)
			}
			if want := mask & (unix.EPOLLIN | unix.EPOLLOUT); want != 0 {
				wantReady(t, epfd, ready(source, want))
			}
			mustDel(t, epfd, source)
		}
	}
	fdtest.Add(t, epfd, source, unix.EPOLLEXCLUSIVE) // alone it is a mask like 0
	wantReady(t, epfd)
}

// epollExclusiveMod: EPOLLEXCLUSIVE is for ADD: MOD with it, and MOD of what was added with
// it, are refused, epoll_ctl(2) EINVAL, and change nothing. DEL and a new ADD remain.
func epollExclusiveMod(t *testing.T) {
	epfd, plain, exclusive := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Post(t, plain)
	fdtest.Post(t, exclusive)
	fdtest.Add(t, epfd, plain, unix.EPOLLIN)
	fdtest.Add(t, epfd, exclusive, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	check := func(fd int, bits uint32) {
		t.Helper()
		if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, bits, 77); err != unix.EINVAL {
			t.Errorf("epoll_ctl(MOD) with events %#x: %v, want EINVAL", bits, err)
		}
		wantReady(t, epfd, ready(plain, unix.EPOLLIN), ready(exclusive, unix.EPOLLIN))
	}
	check(plain, unix.EPOLLOUT|unix.EPOLLEXCLUSIVE)
	check(exclusive, unix.EPOLLOUT|unix.EPOLLEXCLUSIVE)
	check(exclusive, unix.EPOLLOUT)
	check(exclusive, 0)
	mustDel(t, epfd, exclusive)
	fdtest.Add(t, epfd, exclusive, unix.EPOLLOUT)
	mustMod(t, epfd, exclusive, unix.EPOLLIN)
	wantReady(t, epfd, ready(plain, unix.EPOLLIN), ready(exclusive, unix.EPOLLIN))
	// In an event for DEL, which is not read, the bit does not matter.
	if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, plain, unix.EPOLLEXCLUSIVE|unix.EPOLLPRI, 0); err != nil {
		t.Errorf("epoll_ctl(DEL) with EPOLLEXCLUSIVE in its event: %v", err)
	}
}

// epollExclusiveNested: an instance cannot be watched exclusively, epoll_ctl(2) EINVAL.
func epollExclusiveNested(t *testing.T) {
	outer, inner := fdtest.Epoll(t), fdtest.Epoll(t)
	if err := epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 0); err != unix.EINVAL {
		t.Errorf("epoll_ctl(ADD) of an epoll instance with EPOLLEXCLUSIVE: %v, want EINVAL", err)
	}
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
}

// epollExclusiveWakesOne: of several idle instances that watch a target exclusively one wakes,
// where epoll_ctl(2) promises "one or more".
func epollExclusiveWakesOne(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET} {
		source := fdtest.Eventfd(t, 0)
		_, waiting := mustWaiters(t, 4, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE|mode)
		fdtest.Post(t, source)
		woken, asleep := wantWoken(t, 1, waiting...)
		woken[0].want(ready(source, unix.EPOLLIN))
		// Each event wakes another while the first ones are busy with theirs.
		for len(asleep) > 0 {
			fdtest.Post(t, source)
			woken, asleep = wantWoken(t, 1, asleep...)
			woken[0].want(ready(source, unix.EPOLLIN))
		}
	}
}

// epollExclusiveMixed: all instances that watch without EPOLLEXCLUSIVE get the event, and
// at least one of those with it, epoll_ctl(2); the kernel makes it one.
func epollExclusiveMixed(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	_, first := mustWaiters(t, 2, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	_, plain := mustWaiters(t, 2, source, unix.EPOLLIN)
	_, last := mustWaiters(t, 2, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	for _, s := range plain {
		s.want(ready(source, unix.EPOLLIN))
	}
	woken, _ := wantWoken(t, 1, append(first, last...)...)
	woken[0].want(ready(source, unix.EPOLLIN))
}

// epollAllInstances: an event is reported to all instances that watch the target, epoll(7)
// Q&A, waiting or not.
func epollAllInstances(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		source := fdtest.Eventfd(t, 0)
		_, waiting := mustWaiters(t, 4, source, unix.EPOLLIN|mode)
		idle := fdtest.Epoll(t)
		fdtest.Add(t, idle, source, unix.EPOLLIN|mode)
		fdtest.Post(t, source)
		for _, s := range waiting {
			s.want(ready(source, unix.EPOLLIN))
		}
		wantReady(t, idle, ready(source, unix.EPOLLIN))
	}
}

// epollInputBits: the bits that say how to watch are never reported, epoll_ctl(2): "input flags".
func epollInputBits(t *testing.T) {
	for _, how := range []uint32{unix.EPOLLEXCLUSIVE, unix.EPOLLEXCLUSIVE | unix.EPOLLET | unix.EPOLLWAKEUP,
		unix.EPOLLET, unix.EPOLLONESHOT, unix.EPOLLWAKEUP, unix.EPOLLET | unix.EPOLLONESHOT | unix.EPOLLWAKEUP} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, source, unix.EPOLLIN|how)
		wantReady(t, epfd)
		fdtest.Post(t, source)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
	}
}

// epollWaitErrors: EBADF for a descriptor that is not open, EINVAL for one that is no epoll
// instance or for room for no event, epoll_wait(2).
func epollWaitErrors(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	events := make([]unix.EpollEvent, 4)
	check := func(fd, max int, want error) {
		t.Helper()
		n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), max, 0, 0, 0)
		if err != want {
			t.Errorf("epoll_pwait(%d, ..., %d) = %d, %v; want %v", fd, max, n, err, want)
		}
	}
	for _, bad := range badDescriptors(t) {
		check(bad, 4, unix.EBADF)
	}
	r, _ := fdtest.Pipe(t)
	for _, fd := range []int{source, r, mustOpen(t, "/", unix.O_RDONLY)} {
		check(fd, 4, unix.EINVAL)
	}
	check(mustOpen(t, "/", unix.O_PATH), 4, unix.EBADF)
	for _, max := range []int{0, -1, math.MinInt32} {
		check(epfd, max, unix.EINVAL)
	}
	if slices.ContainsFunc(events, func(e unix.EpollEvent) bool { return e != unix.EpollEvent{} }) {
		t.Errorf("a wait that failed wrote %v", readinessOf(events))
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollMostEvents: room for as many events as fit into INT_MAX bytes may be given, not for
// one more. The size of an event is 12 bytes on x86-64 (packed) and 16 elsewhere.
func epollMostEvents(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var event unix.EpollEvent
	most := math.MaxInt32 / int(unsafe.Sizeof(event))
	if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&event)), most, 0, 0, 0); n != 1 || err != nil {
		t.Errorf("epoll_pwait with room for %d events = %d, %v; want 1", most, n, err)
	}
	for _, max := range []int{most + 1, math.MaxInt32} {
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&event)), max, 0, 0, 0); err != unix.EINVAL {
			t.Errorf("epoll_pwait with room for %d events = %d, %v; want EINVAL", max, n, err)
		}
	}
}

// epollWaitOrder: which of two errors is reported: the number of events was checked before
// the descriptor up to 6.14, and after it since.
func epollWaitOrder(t *testing.T) {
	want := unix.EINVAL
	if behaviour.Since(6, 15) {
		want = unix.EBADF
	}
	var event unix.EpollEvent
	for _, max := range []int{0, -1, math.MaxInt32} {
		if n, err := epollPwaitAt(-1, uintptr(unsafe.Pointer(&event)), max, 0, 0, 0); err != want {
			t.Errorf("epoll_pwait(-1, ..., %d) = %d, %v; want %v", max, n, err, want)
		}
	}
	// The buffer comes before the kind of the descriptor on all, and after the number.
	kernel := -uintptr(os.Getpagesize())
	notEpoll := fdtest.Eventfd(t, 0)
	if _, err := epollPwaitAt(notEpoll, kernel, 1, 0, 0, 0); err != unix.EFAULT {
		t.Errorf("epoll_pwait of an eventfd into the kernel: %v, want EFAULT", err)
	}
	if _, err := epollPwaitAt(notEpoll, kernel, 0, 0, 0, 0); err != unix.EINVAL {
		t.Errorf("epoll_pwait of no event into the kernel: %v, want EINVAL", err)
	}
}

// epollUnusedBuffer: a buffer that cannot be written is not noticed while there is nothing
// to write, unless it is not the program's at all.
func epollUnusedBuffer(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for what, p := range badPointers(t, unsafe.Sizeof(unix.EpollEvent{})) {
		var want error
		if what == kernelPointer {
			want = unix.EFAULT
		}
		if n, err := epollPwaitAt(epfd, p, 1, 0, 0, 0); n != 0 || err != want {
			t.Errorf("epoll_pwait with nothing ready into %s = %d, %v; want 0, %v", what, n, err, want)
		}
	}
}

// epollHalfBuffer: a fault after some events were stored is no error: they are
// returned, epoll_wait(2) being what read(2) is, and the others are not lost.
func epollHalfBuffer(t *testing.T) {
	const size = unsafe.Sizeof(unix.EpollEvent{})
	mem := mustMap(t, 2)
	page := uintptr(os.Getpagesize())
	if err := unix.Mprotect(mem[page:], unix.PROT_READ); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	for fit := range 4 {
		epfd := fdtest.Epoll(t)
		var want []readiness
		for i := range 4 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Post(t, fd)
			mode := uint32(unix.EPOLLET)
			if i%2 == 1 {
				mode = unix.EPOLLONESHOT
			}
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			want = append(want, ready(fd, unix.EPOLLIN))
		}
		start := page - uintptr(fit)*size
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&mem[start])), 4, 0, 0, 0)
		if fit == 0 {
			if err != unix.EFAULT {
				t.Errorf("epoll_pwait into a read-only page = %d, %v; want EFAULT", n, err)
			}
		} else if n != fit || err != nil {
			t.Errorf("epoll_pwait with room for %d of 4 events = %d, %v; want %d", fit, n, err, fit)
		} else {
			got := readinessOf(unsafe.Slice((*unix.EpollEvent)(unsafe.Pointer(&mem[start])), fit))
			if !slices.Equal(got, want[:fit]) {
				t.Errorf("epoll_pwait with room for %d of 4 events reports %v, want %v", fit, got, want[:fit])
			}
		}
		wantReady(t, epfd, want[fit:]...)
		wantReady(t, epfd)
	}
}

// epollTimeoutZero: a timeout of 0 makes the call a question, epoll_wait(2).
func epollTimeoutZero(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	wantReady(t, epfd)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	start := time.Now()
	for range 100 {
		wantReady(t, epfd)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("100 waits with timeout 0 took %v", took)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollNegativeTimeouts: epoll_wait(2) says that -1 is for ever; so are all others below 0.
func epollNegativeTimeouts(t *testing.T) {
	var sleepers []*sleeper
	source := fdtest.Eventfd(t, 0)
	for _, timeout := range []int{-1, -2, -1000, math.MinInt32} {
		sleepers = append(sleepers, startWait(t, fdtest.Epoll(t, source), 4, timeout))
	}
	stillAsleep(t, sleepers...)
	fdtest.Post(t, source)
	for _, s := range sleepers {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollNeverEarly: a wait ends by its timeout no earlier than that, by CLOCK_MONOTONIC, epoll_wait(2).
func epollNeverEarly(t *testing.T) {
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	for range 3 {
		for _, ms := range []int{1, 2, 3, 5, 8} {
			s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
				return epollPwait(epfd, s.events[:], ms)
			})
			s.want()
			if want := time.Duration(ms) * time.Millisecond; s.took < want {
				t.Errorf("epoll_pwait with a timeout of %v took %v", want, s.took)
			}
		}
	}
}

// epollTimerSlack: a timeout is widened by the thread's timer slack, prctl(2) PR_SET_TIMERSLACK: the
// kernel may end the wait that much later, with other timers. A timerfd is not widened.
func epollTimerSlack(t *testing.T) {
	const timeout = time.Millisecond
	epfd, timer := fdtest.Epoll(t), fdtest.Timerfd(t)
	wait := func() error {
		var event [1]unix.EpollEvent
		_, err := epollPwait(epfd, event[:], int(timeout/time.Millisecond))
		return err
	}
	read := func() error {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timeout))}
		if err := unix.TimerfdSettime(timer, 0, &spec, nil); err != nil {
			return err
		}
		_, err := unix.Read(timer, make([]byte, 8))
		return err
	}
	wantLater(t, "epoll_pwait", timeout, wait, "a timerfd", read)
}

// wantLater checks that of two ways to wait neither is early, and that timer slack makes the first, and
// not the second, later than it is without.
func wantLater(t *testing.T, wideName string, timeout time.Duration, wide func() error, narrowName string, narrow func() error) {
	t.Helper()
	const slack = 20 * time.Millisecond
	// late returns by how much 9 waits missed their time, in the middle.
	late := func(name string, slack time.Duration, wait func() error) time.Duration {
		t.Helper()
		var lates []time.Duration
		child.Go(t, "waiting thread", func() error {
			if _, err := sys.Mask(^sys.Sigset(0)); err != nil {
				return err
			}
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
				return fmt.Errorf("prctl PR_SET_TIMERSLACK: %w", err)
			}
			for len(lates) < 9 {
				start := time.Now()
				err := wait()
				if err == unix.EINTR {
					continue // all signals are blocked: the machine was stopped, and continued
				}
				if err != nil {
					return err
				}
				lates = append(lates, time.Since(start)-timeout)
			}
			return nil
		}).Join()
		if t.Failed() {
			t.FailNow()
		}
		slices.Sort(lates)
		if lates[0] < 0 {
			t.Errorf("%s is early by %v with a slack of %v", name, -lates[0], slack)
		}
		return lates[len(lates)/2]
	}
	// On a busy machine other interrupts may end a wide wait early and the
	// scheduler a narrow one late: what counts is that it can be told.
	const more = 200 * time.Microsecond
	for try := 1; ; try++ {
		without, with, other := late(wideName, 1, wide), late(wideName, slack, wide), late(narrowName, slack, narrow)
		if with > without+more && with > other+more {
			return
		}
		if try == 10 {
			t.Errorf("%s is late by %v without slack and by %v with %v, %s by %v; want the second the longest by %v",
				wideName, without, with, slack, narrowName, other, more)
			return
		}
	}
}

// epollHugeTimeouts: a timeout beyond what the kernel's clock can hold is a long one, and one
// that is over when the wait begins ends it: it did neither on some kernels (endless loop of
// 6.14's release candidates, d9ec73301099).
func epollHugeTimeouts(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	waits := []*sleeper{startWait(t, fdtest.Epoll(t, source), 4, math.MaxInt32)}
	if hasPwait2() {
		for _, timeout := range []unix.Timespec{
			{Sec: math.MaxInt64, Nsec: 999_999_999}, {Sec: math.MaxInt64 / 2}, {Sec: 9_223_372_036, Nsec: 854_775_807}, {Sec: 1 << 32},
		} {
			epfd := fdtest.Epoll(t, source)
			s := startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
				return epollPwait2(epfd, s.events[:], &timeout)
			})
			s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
			waits = append(waits, s)
		}
		epfd := fdtest.Epoll(t)
		for _, ns := range []int64{1, 10, 100, 1000} {
			s := startSleep(t, fmt.Sprintf("thread in epoll_pwait2 for %d ns", ns), func(s *sleeper) (n int, err error) {
				for range 20 {
					n, err = epollPwait2(epfd, s.events[:], &unix.Timespec{Nsec: ns})
					if n != 0 || err != nil {
						break
					}
				}
				return n, err
			})
			s.want()
		}
	}
	stillAsleep(t, waits...)
	fdtest.Post(t, source)
	for _, s := range waits {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollEmptySet: an instance that watches nothing can be waited for; what is added meanwhile ends the
// wait once it is ready, epoll_wait(2) NOTES.
func epollEmptySet(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	s := startSleep(t, "thread in epoll_pwait for 5 ms", func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:], 5)
	})
	s.want()
	if s.took < 5*time.Millisecond {
		t.Errorf("epoll_pwait of an empty set for 5ms took %v", s.took)
	}
	s = startWait(t, epfd, 4, -1)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollAtMost: no more events than there is room for, epoll_wait(2), and nothing written behind
// them; the others come with the next calls, each once where they are edge-triggered.
func epollAtMost(t *testing.T) {
	for _, mode := range []uint32{unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		var fds []int
		for range 7 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			fdtest.Post(t, fd)
			fds = append(fds, fd)
		}
		var got []int
		for _, room := range []int{1, 3, 2, 4, 4} {
			var events [8]unix.EpollEvent
			for i := range events {
				events[i] = unix.EpollEvent{Events: 77, Fd: -77}
			}
			n, err := epollPwait(epfd, events[:room], 0)
			if want := min(room, len(fds)-len(got)); n != want || err != nil {
				t.Fatalf("epoll_pwait with room for %d events after %d of %d = %d, %v; want %d", room, len(got), len(fds), n, err, want)
			}
			for _, e := range events[:n] {
				got = append(got, int(e.Fd))
			}
			for i, e := range events[n:] {
				if e.Events != 77 || e.Fd != -77 {
					t.Errorf("event %d was overwritten by a wait that returned %d", n+i, n)
				}
			}
		}
		if !slices.Equal(got, fds) {
			t.Errorf("targets reported one by one: %v, want %v", got, fds)
		}
	}
}

// epollRoundRobin: successive waits with little room go round what is ready, epoll_wait(2) NOTES.
func epollRoundRobin(t *testing.T) {
	epfd := fdtest.Epoll(t)
	for i := range 5 {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][]readiness{
		{{unix.EPOLLIN, 0}, {unix.EPOLLIN, 1}}, {{unix.EPOLLIN, 2}, {unix.EPOLLIN, 3}}, {{unix.EPOLLIN, 4}, {unix.EPOLLIN, 0}},
		{{unix.EPOLLIN, 1}, {unix.EPOLLIN, 2}}, {{unix.EPOLLIN, 3}, {unix.EPOLLIN, 4}}, {{unix.EPOLLIN, 0}, {unix.EPOLLIN, 1}},
	} {
		var events [2]unix.EpollEvent
		n, err := epollPwait(epfd, events[:], 0)
		if got := readinessOf(events[:n]); err != nil || !slices.Equal(got, want) {
			t.Errorf("epoll_pwait with room for 2 reports %v, %v; want %v", got, err, want)
		}
	}
}

// epollFirstInFirstOut: targets are reported in the order in which they became ready, not that in
// which they were added; a second event does not move one, becoming ready anew does.
func epollFirstInFirstOut(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		var fds []int
		for range 4 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			fds = append(fds, fd)
		}
		for _, i := range []int{2, 0, 3, 2, 1, 0} {
			fdtest.Post(t, fds[i])
		}
		in := func(i int) readiness { return ready(fds[i], unix.EPOLLIN) }
		wantReady(t, epfd, in(2), in(0), in(3), in(1))
	}
	// What is no longer ready has not kept its place.
	epfd, a, b := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, a, unix.EPOLLIN)
	fdtest.Add(t, epfd, b, unix.EPOLLIN)
	fdtest.Post(t, a)
	mustTake(t, a, 1)
	wantReady(t, epfd)
	fdtest.Post(t, b)
	fdtest.Post(t, a)
	wantReady(t, epfd, ready(b, unix.EPOLLIN), ready(a, unix.EPOLLIN))
}

// epollMerged: events between two waits are combined, epoll(7) Q&A: one entry, with all that is
// true when it is fetched.
func epollMerged(t *testing.T) {
	for _, mode := range []uint32{unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		pair := fdtest.Socketpair(t)
		fdtest.Add(t, epfd, pair[0], unix.EPOLLIN|unix.EPOLLRDHUP|mode)
		mustWrite(t, pair[1], "x")
		mustWrite(t, pair[1], "y")
		if err := unix.Shutdown(pair[1], unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		wantReady(t, epfd, ready(pair[0], unix.EPOLLIN|unix.EPOLLRDHUP))
		wantReady(t, epfd)
	}
	// What has passed by then is not in it.
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
	for range 3 {
		fdtest.Post(t, source)
	}
	mustTake(t, source, 3)
	wantReady(t, epfd, ready(source, unix.EPOLLOUT))
	wantReady(t, epfd)
}

// epollDataBits: the 64 bits of data come back as they were given, epoll_wait(2).
func epollDataBits(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	values := []uint64{0, math.MaxUint64, 0x0123_4567_89ab_cdef, math.MaxUint32, math.MaxUint32 << 32}
	for bit := range 64 {
		values = append(values, 1<<bit)
	}
	for _, v := range values {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, unix.EPOLLIN, v); err != nil {
			t.Fatal(err)
		}
		wantReady(t, epfd, readiness{unix.EPOLLIN, v})
		if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, source, unix.EPOLLOUT, ^v); err != nil {
			t.Fatal(err)
		}
		wantReady(t, epfd, readiness{unix.EPOLLOUT, ^v})
		mustDel(t, epfd, source)
	}
}

// epollLevelAndEdge: a level is reported for as long as it lasts, an edge once, epoll(7).
func epollLevelAndEdge(t *testing.T) {
	r, w := fdtest.Pipe(t)
	level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, level, r, unix.EPOLLIN)
	fdtest.Add(t, edge, r, unix.EPOLLIN|unix.EPOLLET)
	for range 3 {
		wantReady(t, level)
		wantReady(t, edge)
		mustWrite(t, w, "x")
		wantReady(t, edge, ready(r, unix.EPOLLIN))
		for range 3 {
			wantReady(t, level, ready(r, unix.EPOLLIN))
			wantReady(t, edge)
		}
		mustRead(t, r, "x")
	}
}

// epollPartialRead: taking a part of what is there is no edge, epoll(7): the pipe of its example, a
// socket, and an eventfd that counts.
func epollPartialRead(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w := fdtest.Pipe(t)
	pair := fdtest.Socketpair(t)
	counter := fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	for _, fd := range []int{r, pair[0], counter} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	mustWrite(t, w, strings.Repeat("x", 2048))
	mustWrite(t, pair[1], "xyz")
	fdtest.Post(t, counter)
	fdtest.Post(t, counter)
	wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN), ready(counter, unix.EPOLLIN))
	mustRead(t, r, strings.Repeat("x", 1024))
	mustRead(t, pair[0], "x")
	mustTake(t, counter, 1)
	wantReady(t, epfd)
	s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) { return epollPwait(epfd, s.events[:], 5) })
	s.want()
}

// epollEdgeBeforeDrained: what arrives while there still is something to read is an edge, epoll(7):
// "multiple events can be generated upon receipt of multiple chunks of data".
func epollEdgeBeforeDrained(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w := fdtest.Pipe(t)
	pair := fdtest.Socketpair(t)
	counter := fdtest.Eventfd(t, 0)
	for _, fd := range []int{r, pair[0], counter} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	for range 3 {
		mustWrite(t, w, "xy")
		mustWrite(t, pair[1], "xy")
		fdtest.Post(t, counter)
		wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN), ready(counter, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	mustRead(t, r, "x")
	mustRead(t, pair[0], "x")
	mustWrite(t, w, "z")
	mustWrite(t, pair[1], "z")
	wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN))
}

// epollPipeRoom: the edge of a full pipe that can be written again comes when a whole page of it is
// read, pipe(7): its room is counted in pages, and writers are not woken for less.
func epollPipeRoom(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, _, _ := mustClosablePipe(t)
	fdtest.Add(t, epfd, w, unix.EPOLLOUT|unix.EPOLLET)
	wantReady(t, epfd, ready(w, unix.EPOLLOUT))
	page := make([]byte, os.Getpagesize())
	mustFill(t, w)
	wantReady(t, epfd)
	for _, part := range []int{1, len(page)/2 - 1, len(page)/2 - 1} {
		if n, err := unix.Read(r, page[:part]); n != part || err != nil {
			t.Fatalf("read of %d = %d, %v", part, n, err)
		}
		wantReady(t, epfd)
	}
	if _, err := unix.Read(r, page[:1]); err != nil {
		t.Fatal(err)
	}
	wantReady(t, epfd, ready(w, unix.EPOLLOUT))
	if n, err := unix.Write(w, page); n != len(page) || err != nil {
		t.Errorf("write of a page into the room for one = %d, %v", n, err)
	}
}

// epollOneshot: EPOLLONESHOT reports one event; then nothing, not even an error or a hang-up, until a
// MOD arms it again, epoll_ctl(2). The target stays registered.
func epollOneshot(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	for range 3 {
		wantReady(t, epfd)
		fdtest.Post(t, source)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		wantReady(t, epfd)
		fdtest.Post(t, source)
		wantReady(t, epfd)
		wantCtl(t, epfd, unix.EPOLL_CTL_ADD, source, unix.EEXIST)
		mustTake(t, source, 2)
		mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT) // is still ready
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN) // for good
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustDel(t, epfd, source)

	r, w, _, closeWriter := mustClosablePipe(t)
	fdtest.Add(t, epfd, r, unix.EPOLLIN|unix.EPOLLONESHOT)
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	closeWriter()
	wantReady(t, epfd)
	mustMod(t, epfd, r, unix.EPOLLONESHOT)
	wantReady(t, epfd, ready(r, unix.EPOLLHUP))
	wantReady(t, epfd)
}

// epollOneshotOneThread: however many threads wait and events come, a one-shot target wakes one.
func epollOneshotOneThread(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	var waiting []*sleeper
	for range 4 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	for range 5 {
		fdtest.Post(t, source)
	}
	woken, asleep := wantWoken(t, 1, waiting...)
	woken[0].want(ready(source, unix.EPOLLIN))
	mustMod(t, epfd, source, unix.EPOLLIN|unix.EPOLLONESHOT)
	woken, asleep = wantWoken(t, 1, asleep...)
	woken[0].want(ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	stillAsleep(t, asleep...)
}

// epollOneshotTwice: one-shot registrations of a target in two instances are independent: each reports
// once and is armed by itself, and under load no event is lost between an arming and the next wait.
func epollOneshotTwice(t *testing.T) {
	const shot = unix.EPOLLIN | unix.EPOLLONESHOT
	source := fdtest.Eventfd(t, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	a, b := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, a, source, shot)
	fdtest.Add(t, b, source, shot)
	fdtest.Post(t, source)
	wantReady(t, a, ready(source, unix.EPOLLIN))
	wantReady(t, a)
	wantReady(t, b, ready(source, unix.EPOLLIN))
	mustMod(t, b, source, shot)
	wantReady(t, a)
	wantReady(t, b, ready(source, unix.EPOLLIN))
	mustTake(t, source, 1)
	mustMod(t, a, source, shot)
	mustMod(t, b, source, shot)

	const events = 2000
	var taken atomic.Int64
	all := make(chan struct{})
	consume := func(epfd int) func(s *sleeper) (int, error) {
		return func(s *sleeper) (int, error) {
			var buf [8]byte
			for {
				if n, err := epollPwait(epfd, s.events[:], -1); err != nil {
					return n, err // EINTR in the end
				}
				if _, err := unix.Read(source, buf[:]); err == nil {
					if taken.Add(1) == events {
						close(all)
					}
				} else if err != unix.EAGAIN {
					return 0, err
				}
				if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, source, shot, 0); err != nil {
					return 0, err
				}
			}
		}
	}
	first, second := startSleep(t, "first consumer", consume(a)), startSleep(t, "second consumer", consume(b))
	for range events {
		fdtest.Post(t, source)
	}
	select {
	case <-all:
	case <-time.After(child.Patience):
		t.Errorf("%d of %d events were taken within %v", taken.Load(), events, child.Patience)
	}
	for _, s := range []*sleeper{first, second} {
		s.rouse()
		s.wantErr(unix.EINTR)
	}
	if got := taken.Load(); got != events {
		t.Errorf("%d events were taken, want %d", got, events)
	}
}

// epollOneshotEdge: a disabled one-shot target is not reported for a new edge either; armed again
// as edge-triggered it is reported once for what is there.
func epollOneshotEdge(t *testing.T) {
	const shot = unix.EPOLLIN | unix.EPOLLET | unix.EPOLLONESHOT
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, shot)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	wantReady(t, epfd)
	mustTake(t, source, 2)
	fdtest.Post(t, source)
	wantReady(t, epfd)
	mustMod(t, epfd, source, shot)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	fdtest.Post(t, source)
	wantReady(t, epfd)
}

// epollEdgeWakesOne: of several threads in one instance an edge wakes one, epoll(7).
func epollEdgeWakesOne(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	var asleep []*sleeper
	for range 4 {
		asleep = append(asleep, startWait(t, epfd, 4, -1))
	}
	for len(asleep) > 0 {
		fdtest.Post(t, source)
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		woken[0].want(ready(source, unix.EPOLLIN))
	}
	wantReady(t, epfd)
}

// epollLevelWakesAll: a level that nobody takes away wakes one thread after the other.
func epollLevelWakesAll(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var waiting []*sleeper
	for range 6 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	fdtest.Post(t, source)
	for _, s := range waiting {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollEachItsOwn: as many edges at once as threads wait wake them all, each with another one
// where there is room for one. Kernels before 5.8 could leave a thread asleep.
func epollEachItsOwn(t *testing.T) {
	const n = 10
	epfd := fdtest.Epoll(t)
	var fds []int
	for range n {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
		fds = append(fds, fd)
	}
	for range 5 {
		var waiting []*sleeper
		for range n {
			waiting = append(waiting, startWait(t, epfd, 1, -1))
		}
		for _, fd := range fds {
			fdtest.Post(t, fd)
		}
		var got []int
		for i, s := range waiting {
			s.Join()
			if s.n != 1 || s.err != nil {
				t.Fatalf("thread %d of %d got %d events, %v; want 1", i+1, n, s.n, s.err)
			}
			got = append(got, int(s.events[0].Fd))
		}
		slices.Sort(got)
		if !slices.Equal(got, fds) {
			t.Fatalf("%d threads got targets %v, want %v", n, got, fds)
		}
		wantReady(t, epfd)
	}
}

// epollTimeoutRace: an edge that comes just when one thread's timeout ends goes to that thread or to
// another one that waits, never to none. Kernels before 5.8 and some release candidates of 5.10 lost it.
func epollTimeoutRace(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	for try := range 40 {
		patient := startWait(t, epfd, 1, -1)
		hasty := startSleep(t, "thread in epoll_pwait for 1 ms", func(s *sleeper) (int, error) {
			return epollPwait(epfd, s.events[:1], 1)
		})
		// From a little before the end to a little after it.
		time.Sleep(900*time.Microsecond + time.Duration(try)*8*time.Microsecond)
		fdtest.Post(t, source)
		hasty.Join()
		if hasty.n == 1 {
			hasty.want(ready(source, unix.EPOLLIN))
			fdtest.Post(t, source)
		} else {
			hasty.want()
		}
		patient.want(ready(source, unix.EPOLLIN))
		wantReady(t, epfd)
	}
}

// epollInterrupted: a signal that is caught ends the wait with EINTR, epoll_wait(2); the instance
// is as before.
func epollInterrupted(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	for _, timeout := range []int{-1, 60_000} {
		s := startWait(t, epfd, 4, timeout)
		s.rouse()
		s.wantErr(unix.EINTR)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollNotRestarted: it is EINTR whether or not the handler was installed with SA_RESTART,
// signal(7), which a read(2) obeys.
func epollNotRestarted(t *testing.T) {
	// The Go runtime's handlers are such; this one ignores the signal.
	const sig = unix.SIGUSR1
	action, err := rawsig.SetAction(sig, nil)
	if err != nil || action.Handler <= rawsig.Ignore || action.Flags&rawsig.SARestart == 0 {
		t.Fatalf("rt_sigaction(%v): %+v, %v; want a handler with SA_RESTART", sig, action, err)
	}
	unblocked := func(call func(s *sleeper) (int, error)) func(s *sleeper) (int, error) {
		return func(s *sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
				return 0, err
			}
			return call(s)
		}
	}
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	wait := startSleep(t, "thread in epoll_pwait", unblocked(func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:], -1)
	}))
	read := startSleep(t, "thread in read", unblocked(func(s *sleeper) (int, error) {
		return unix.Read(source, make([]byte, 8))
	}))
	wait.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	read.AwaitBlocked(unix.SYS_READ)
	for _, s := range []*sleeper{wait, read} {
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
	}
	wait.wantErr(unix.EINTR)
	stillAsleep(t, read)
	fdtest.Post(t, source)
	read.Join()
	if read.n != 8 || read.err != nil {
		t.Errorf("the restarted read = %d, %v; want 8", read.n, read.err)
	}
}

// epollIgnoredSignals: a signal that is ignored, as such or by default, does not end the wait: it
// is discarded when it is sent, signal(7).
func epollIgnoredSignals(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	p := child.Start(t, epollIgnoring, child.Options{Files: []int{source}})
	p.Expect("waiting")
	for _, sig := range []unix.Signal{unix.SIGUSR2, unix.SIGTERM, unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT} {
		p.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		if err := unix.Tgkill(p.Pid, p.Pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	fdtest.Post(t, source)
	p.Expect("[IN of 0x7]")
	p.Wait()
}

var epollIgnoring = child.Register("epoll-ignoring", func(p *child.Proc) error {
	if err := child.Ignore(unix.SIGUSR2, unix.SIGTERM); err != nil {
		return err
	}
	if err := child.Default(unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT); err != nil {
		return err
	}
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, child.FirstFile, unix.EPOLLIN, 7); err != nil {
		return err
	}
	p.Say("waiting")
	var events [4]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	p.Say("%v", readinessOf(events[:n]))
	return nil
})

// epollQuestionAndSignal: a wait with timeout 0 does not sleep, so that no signal ends it: with nothing
// ready it returns 0 though the mask lets a pending signal through, which stays pending.
func epollQuestionAndSignal(t *testing.T) {
	const sig = unix.SIGUSR1
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	runs := fdtest.Handle(t, sig)
	mustBlock(t, ^sys.Sigset(0))
	mustRaise(t, sig)
	var events [4]unix.EpollEvent
	mask := ^sys.Sigs(sig)
	n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, uintptr(unsafe.Pointer(&mask)), 8)
	if n != 0 || err != nil {
		t.Errorf("epoll_pwait = %d, %v; want 0", n, err)
	}
	if got := atomic.LoadUint64(runs); got != 0 || !isPending(t, sig) {
		t.Errorf("the handler ran %d times, the signal is pending: %t; want 0, true", got, isPending(t, sig))
	}
}

// epollPwaitMask: the mask of epoll_pwait(2) replaces the thread's for the wait, and only for that:
// a signal that it blocks comes after the wait, one that it lets through ends it.
func epollPwaitMask(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	open, shut := ^sys.Sigs(rouse, sig), ^sys.Sigs(rouse)
	var after sys.Sigset
	wait := func(outside, inside sys.Sigset) *sleeper {
		t.Helper()
		atomic.StoreUint64(runs, 0)
		s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(outside); err != nil {
				return 0, err
			}
			n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&s.events[0])), 4, -1, uintptr(unsafe.Pointer(&inside)), 8)
			var errMask error
			after, errMask = sys.Mask(outside)
			return n, errors.Join(err, errMask)
		})
		s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(outside sys.Sigset) {
		t.Helper()
		if got := atomic.LoadUint64(runs); got != 1 {
			t.Errorf("the handler ran %d times, want once", got)
		}
		if want := outside &^ sys.Sigs(unix.SIGKILL, unix.SIGSTOP); after != want { // which cannot be blocked
			t.Errorf("the mask is %#x after the wait, want %#x", after, want)
		}
	}

	s := wait(open, shut)
	stillAsleep(t, s)
	if got := atomic.LoadUint64(runs); got != 0 {
		t.Errorf("the handler ran %d times while the signal was blocked", got)
	}
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	check(open)
	mustTake(t, source, 1)

	s = wait(shut, open)
	s.Join()
	if !errors.Is(s.err, unix.EINTR) {
		t.Errorf("epoll_pwait = %d, %v; want EINTR", s.n, s.err)
	}
	check(shut)
}

// epollPwaitArguments: the size of the mask must be that of the kernel's, 8 bytes; neither it nor
// the mask is looked at where the mask is null. Both come before the descriptor.
func epollPwaitArguments(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var events [4]unix.EpollEvent
	var mask [32]sys.Sigset
	old, err := sys.Mask(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Mask(old); err != nil {
		t.Fatal(err)
	}
	mask[0] = old
	for _, size := range []uintptr{0, 1, 4, 7, 9, 16, 128, ^uintptr(0)} {
		for _, fd := range []int{epfd, source, -1} {
			n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), 4, 0, uintptr(unsafe.Pointer(&mask)), size)
			if err != unix.EINVAL {
				t.Errorf("epoll_pwait of %d with a mask of %d bytes = %d, %v; want EINVAL", fd, size, n, err)
			}
		}
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, 0, size)
		if n != 1 || err != nil {
			t.Errorf("epoll_pwait with no mask, of %d bytes = %d, %v; want 1", size, n, err)
		}
	}
	for what, p := range badPointers(t, 8) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), 4, 0, p, 8)
			if err != unix.EFAULT {
				t.Errorf("epoll_pwait of %d with %s as mask = %d, %v; want EFAULT", fd, what, n, err)
			}
		}
		// The size first.
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 0, p, 16); err != unix.EINVAL {
			t.Errorf("epoll_pwait with %s as mask of 16 bytes = %d, %v; want EINVAL", what, n, err)
		}
	}
	if now, err := sys.Mask(old); now != old || err != nil {
		t.Errorf("the mask is %#x after calls that failed, was %#x; %v", now, old, err)
	}
}

// epollPwait2Timeouts: epoll_pwait2(2) has a timeout in nanoseconds, null for none. It came with 5.11.
func epollPwait2Timeouts(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	if !hasPwait2() {
		if _, err := epollPwait2(epfd, make([]unix.EpollEvent, 1), &unix.Timespec{}); err != unix.ENOSYS {
			t.Errorf("epoll_pwait2 before 5.11: %v, want ENOSYS", err)
		}
		return
	}
	s := startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
		return epollPwait2(epfd, s.events[:], nil)
	})
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if n, err := epollPwait2(epfd, s.events[:], &unix.Timespec{}); n != 1 || err != nil {
		t.Errorf("epoll_pwait2 with timeout 0 and an event = %d, %v; want 1", n, err)
	}
	mustTake(t, source, 1)
	if n, err := epollPwait2(epfd, s.events[:], &unix.Timespec{}); n != 0 || err != nil {
		t.Errorf("epoll_pwait2 with timeout 0 and no event = %d, %v; want 0", n, err)
	}
	// Nanoseconds are not rounded to anything like a millisecond, and never down.
	const timeout = 100 * time.Microsecond
	shortest := time.Duration(math.MaxInt64)
	child.Go(t, "thread in epoll_pwait2", func() error {
		if _, err := sys.Mask(^sys.Sigset(0)); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("prctl PR_SET_TIMERSLACK: %w", err)
		}
		for tries := 0; tries < 20 || tries < 2000 && shortest > time.Millisecond; tries++ {
			start := time.Now()
			if n, err := epollPwait2(epfd, make([]unix.EpollEvent, 1), &unix.Timespec{Nsec: int64(timeout)}); n != 0 || err != nil {
				return fmt.Errorf("epoll_pwait2 = %d, %w; want 0", n, err)
			}
			shortest = min(shortest, time.Since(start))
		}
		return nil
	}).Join()
	if shortest < timeout || shortest > time.Millisecond {
		t.Errorf("the shortest of many waits of %v took %v", timeout, shortest)
	}
}

// epollPwait2Arguments: a time that is none is refused, before all that other arguments have wrong.
func epollPwait2Arguments(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	events := make([]unix.EpollEvent, 4)
	call := func(fd int, timeout, mask, size uintptr) error {
		_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), 4, timeout, mask, size)
		if errno != 0 {
			return errno
		}
		return nil
	}
	kernel := -uintptr(os.Getpagesize())
	for _, bad := range []unix.Timespec{
		{Sec: -1}, {Sec: math.MinInt64}, {Nsec: -1}, {Nsec: 1_000_000_000}, {Nsec: math.MaxInt64}, {Sec: 1, Nsec: math.MinInt64}, {Sec: -1, Nsec: 1_000_000_000},
	} {
		mem := mustMap(t, 1) // not to move while its address is a number
		*(*unix.Timespec)(unsafe.Pointer(&mem[0])) = bad
		at := uintptr(unsafe.Pointer(&mem[0]))
		for _, fd := range []int{epfd, source, -1} {
			if err := call(fd, at, 0, 0); err != unix.EINVAL {
				t.Errorf("epoll_pwait2 of %d for %+v: %v, want EINVAL", fd, bad, err)
			}
		}
		if err := call(epfd, at, kernel, 8); err != unix.EINVAL {
			t.Errorf("epoll_pwait2 for %+v with a bad mask: %v, want EINVAL", bad, err)
		}
	}
	for what, p := range badPointers(t, unsafe.Sizeof(unix.Timespec{})) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			if err := call(fd, p, 0, 0); err != unix.EFAULT {
				t.Errorf("epoll_pwait2 of %d with %s as timeout: %v, want EFAULT", fd, what, err)
			}
		}
		if err := call(epfd, p, p, 77); err != unix.EFAULT {
			t.Errorf("epoll_pwait2 with %s as timeout and a bad mask: %v, want EFAULT", what, err)
		}
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollPwait2Mask: the mask of epoll_pwait2(2) is in force for the wait, as that of epoll_pwait(2): what it lets through ends the
// wait with EINTR, after the handler and with the thread's own mask again, were it pending before or sent meanwhile. Errors of
// its size and memory come before the descriptor's, and without a mask there is no size.
func epollPwait2Mask(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	open, shut := rawsig.Blockable&^sys.Sigs(rouse, sig), rawsig.Blockable&^sys.Sigs(rouse)
	mem := mustMap(t, 1) // not to move while its addresses are numbers
	masks := unsafe.Slice((*sys.Sigset)(unsafe.Pointer(&mem[0])), 2)
	masks[0], masks[1] = open, shut
	at := map[sys.Sigset]uintptr{open: uintptr(unsafe.Pointer(&masks[0])), shut: uintptr(unsafe.Pointer(&masks[1]))}
	events := uintptr(unsafe.Pointer(&mem[1024]))
	zero := uintptr(unsafe.Pointer(&mem[2048])) // a timeout
	pwait2 := func(fd int, timeout, mask, size uintptr) (int, error) {
		return rawCall(unix.SYS_EPOLL_PWAIT2, uintptr(fd), events, 4, timeout, mask, size)
	}

	// One that is pending ends the wait at once; a question without time to wait leaves it pending, as of epoll_pwait (EPL-090).
	mustBlock(t, shut)
	for timeout, ends := range map[uintptr]bool{0: true, zero: false} {
		atomic.StoreUint64(runs, 0)
		mustRaise(t, sig)
		var want error
		times := uint64(0)
		if ends {
			want, times = unix.EINTR, 1
		}
		promptly(t, "epoll_pwait2 with a signal pending that its mask lets through", func() {
			if n, err := pwait2(epfd, timeout, at[open], 8); err != want || err == nil && n != 0 {
				t.Errorf("epoll_pwait2 with a signal let through, with time to wait: %t = %d, %v; want %v", ends, n, err, want)
			}
		})
		if got := atomic.LoadUint64(runs); got != times || isPending(t, sig) == ends {
			t.Errorf("with time to wait: %t the handler ran %d times, and the signal is pending: %t; want %d, %t", ends, got, isPending(t, sig), times, !ends)
		}
		if mask, err := rawsig.Mask(unix.SIG_BLOCK, nil); mask != shut || err != nil {
			t.Errorf("the mask is %#x after the wait, %v; want %#x", mask, err, shut)
		}
		rawsig.Take(sys.Sigs(sig))
	}

	// One that comes meanwhile ends it as well, and one that the mask blocks waits for its end.
	wait := func(outside, inside sys.Sigset) (s *sleeper, after *sys.Sigset) {
		t.Helper()
		atomic.StoreUint64(runs, 0)
		after = new(sys.Sigset)
		s = startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(outside); err != nil {
				return 0, err
			}
			n, err := pwait2(epfd, 0, at[inside], 8)
			if old, errMask := sys.Mask(shut); errMask == nil {
				*after = old
			}
			return n, err
		})
		s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
		if err := unix.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
		return s, after
	}
	s, after := wait(shut, open)
	s.wantErr(unix.EINTR)
	if got := atomic.LoadUint64(runs); got != 1 || *after != shut {
		t.Errorf("the handler ran %d times, and the mask is %#x after the wait; want 1, %#x", got, *after, shut)
	}
	s, after = wait(open, shut)
	stillAsleep(t, s)
	if got := atomic.LoadUint64(runs); got != 0 {
		t.Errorf("the handler ran %d times while the signal was blocked", got)
	}
	fdtest.Post(t, source)
	s.Join()
	if got := atomic.LoadUint64(runs); s.n != 1 || s.err != nil || got != 1 || *after != open {
		t.Errorf("epoll_pwait2 = %d, %v; the handler ran %d times, and the mask is %#x after it; want 1, once, %#x", s.n, s.err, got, *after, open)
	}

	// The errors, with an event to be had.
	for _, size := range []uintptr{0, 4, 16} {
		for _, fd := range []int{epfd, source, -1} {
			if n, err := pwait2(fd, zero, at[shut], size); err != unix.EINVAL {
				t.Errorf("epoll_pwait2 of %d with a mask of %d bytes = %d, %v; want EINVAL", fd, size, n, err)
			}
		}
		if n, err := pwait2(epfd, zero, 0, size); n != 1 || err != nil {
			t.Errorf("epoll_pwait2 with no mask, of %d bytes = %d, %v; want 1", size, n, err)
		}
	}
	for what, p := range badPointers(t, 8) {
		if p == 0 {
			continue
		}
		for _, fd := range []int{epfd, source, -1} {
			if n, err := pwait2(fd, zero, p, 8); err != unix.EFAULT {
				t.Errorf("epoll_pwait2 of %d with %s as mask = %d, %v; want EFAULT", fd, what, n, err)
			}
		}
	}
	if _, err := pwait2(-1, zero, at[shut], 8); err != unix.EBADF {
		t.Errorf("epoll_pwait2 of no descriptor with a mask: %v, want EBADF", err)
	}
	if mask, err := rawsig.Mask(unix.SIG_BLOCK, nil); mask != shut || err != nil {
		t.Errorf("the mask is %#x after calls that failed, %v; want %#x", mask, err, shut)
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollPwait2KeepsTimeout: the timeout is not written to, whichever way the wait ends, unlike
// ppoll(2)'s.
func epollPwait2KeepsTimeout(t *testing.T) {
	if !hasPwait2() {
		behaviour.Absent(t, "epoll_pwait2 came with 5.11")
	}
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	wait := func(timeout unix.Timespec) (*sleeper, *unix.Timespec) {
		left := timeout
		return startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
			return epollPwait2(epfd, s.events[:], &left)
		}), &left
	}
	long, short := unix.Timespec{Sec: 60, Nsec: 5}, unix.Timespec{Nsec: 2_000_000}
	s, left := wait(short)
	s.want()
	if *left != short {
		t.Errorf("after the time was over the timeout is %+v, was %+v", *left, short)
	}
	s, left = wait(long)
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	s.rouse()
	s.wantErr(unix.EINTR)
	if *left != long {
		t.Errorf("after a signal the timeout is %+v, was %+v", *left, long)
	}
	s, left = wait(long)
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if *left != long {
		t.Errorf("after an event the timeout is %+v, was %+v", *left, long)
	}
}

// epollPeerShutdown: EPOLLRDHUP tells that the peer shut down its writing half, epoll_ctl(2),
// together with the EPOLLIN of an end of file; EPOLLHUP comes when both halves are down. It is reported
// where it was asked for only.
func epollPeerShutdown(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLRDHUP
	check := func(kind string, a, b int) {
		t.Helper()
		plain, epfd, edge := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, plain, a, unix.EPOLLIN)
		fdtest.Add(t, epfd, a, asked)
		fdtest.Add(t, edge, a, asked|unix.EPOLLET)
		both := fdtest.Epoll(t)
		fdtest.Add(t, both, b, asked|unix.EPOLLOUT)
		wantReady(t, both, ready(b, unix.EPOLLOUT))
		if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
			t.Fatalf("shutdown: %v", err)
		}
		wantSoon(t, epfd, ready(a, asked))
		wantReady(t, epfd, ready(a, asked))
		wantReady(t, plain, ready(a, unix.EPOLLIN))
		wantReady(t, edge, ready(a, asked))
		wantReady(t, edge)
		mustRead(t, a, "")
		// The other direction still works.
		mustWrite(t, a, "x")
		wantSoon(t, both, ready(b, asked&^unix.EPOLLRDHUP|unix.EPOLLOUT))
		mustRead(t, b, "x")
		if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
			t.Fatalf("shutdown: %v", err)
		}
		wantSoon(t, epfd, ready(a, asked|unix.EPOLLHUP))
		wantSoon(t, plain, ready(a, unix.EPOLLIN|unix.EPOLLHUP))
		wantReady(t, both, ready(b, asked|unix.EPOLLOUT|unix.EPOLLHUP))
		if t.Failed() {
			t.Fatalf("with %s sockets", kind)
		}
	}
	sockets := fdtest.Socketpair(t)
	check("unix", sockets[0], sockets[1])

	// A close shuts down both halves at once.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(t, pair[0], err)
	closeOther := closable(t, pair[1], err)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, pair[0], asked)
	closeOther()
	wantReady(t, epfd, ready(pair[0], asked|unix.EPOLLHUP))

	a, b := mustTCP(t)
	check("TCP", a, b)
}

// epollPipeEnds: with its writers closed a pipe's reader reports HUP, and IN while there is data; with its readers closed the
// writer reports ERR, and OUT while there is room, poll(2): a level each time, an edge once.
func epollPipeEnds(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, c := range []struct {
		what        string
		fill        int // bytes, or -1: all there is room for
		closeReader bool
		want        uint32
	}{
		{"reader of an empty pipe", 0, false, unix.EPOLLHUP},
		{"reader of a pipe with data", 1, false, unix.EPOLLIN | unix.EPOLLHUP},
		{"writer of an empty pipe", 0, true, unix.EPOLLOUT | unix.EPOLLERR},
		{"writer of a pipe with room", 1, true, unix.EPOLLOUT | unix.EPOLLERR},
		{"writer of a full pipe", -1, true, unix.EPOLLERR},
	} {
		r, w, closeReader, closeWriter := mustClosablePipe(t)
		if c.fill > 0 {
			mustWrite(t, w, strings.Repeat("x", c.fill))
		} else if c.fill < 0 {
			mustFill(t, w)
		}
		level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
		end, closeOther := r, closeWriter
		if c.closeReader {
			end, closeOther = w, closeReader
		}
		fdtest.Add(t, level, end, asked)
		fdtest.Add(t, edge, end, asked|unix.EPOLLET)
		checkReady(edge) // what is ready before
		closeOther()
		for range 2 {
			wantReady(t, level, ready(end, c.want))
		}
		wantReady(t, edge, ready(end, c.want))
		wantReady(t, edge)
		if t.Failed() {
			t.Fatalf("%s after the other end was closed", c.what)
		}
	}
}

// epollUnconnected: a stream socket that was never connected is hung up and can be written to (to
// learn that it is not connected); one that listens is neither.
func epollUnconnected(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, family := range []int{unix.AF_UNIX, unix.AF_INET} {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == unix.EAFNOSUPPORT {
			behaviour.Absent(t, "socket(%d): %v", family, err)
		}
		closable(t, fd, err)
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, fd, asked)
		wantReady(t, epfd, ready(fd, unix.EPOLLOUT|unix.EPOLLHUP))
		if family == unix.AF_INET {
			// An autobind: no address is in anybody's way.
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatalf("listen: %v", err)
			}
			wantReady(t, epfd)
		}
	}
}

// epollMounts: /proc/self/mounts reports EPOLLERR and EPOLLPRI once for each change of the mounts
// that this thread sees, proc_pid_mounts(5).
func epollMounts(t *testing.T) {
	dir := t.TempDir()
	p := child.Start(t, epollMountsRole, child.Options{Attr: behaviour.Namespaces(t, unix.CLONE_NEWNS), Args: []string{dir}})
	if class, why, refused := strings.Cut(p.Line(), ": "); refused {
		behaviour.Skip(t, class, "%s", why)
	}
	p.Wait()
}

var epollMountsRole = child.Register("epoll-mounts", func(p *child.Proc) error {
	dir := p.Args[0]
	for _, first := range []struct {
		what string
		err  error
	}{
		{"make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")},
		{"mount a tmpfs", unix.Mount("none", dir, "tmpfs", 0, "")},
	} {
		switch first.err {
		case nil:
			continue
		case unix.EPERM, unix.EACCES:
			p.Say("privilege: %s: %v", first.what, first.err)
		case unix.ENODEV:
			p.Say("absent: %s: %v", first.what, first.err)
		default:
			return fmt.Errorf("%s: %w", first.what, first.err)
		}
		return nil
	}
	mounts, err := unix.Open("/proc/self/mounts", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, mounts, unix.EPOLLPRI, 7); err != nil {
		return err
	}
	if err := checkReady(epfd); err != nil {
		return fmt.Errorf("before a change: %w", err)
	}
	changed := readiness{unix.EPOLLPRI | unix.EPOLLERR, 7}
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"umount", func() error { return unix.Unmount(dir, 0) }},
		{"mount", func() error { return unix.Mount("none", dir, "tmpfs", 0, "") }},
	} {
		if err := change.do(); err != nil {
			return fmt.Errorf("%s: %w", change.what, err)
		}
		if err := errors.Join(checkReady(epfd, changed), checkReady(epfd)); err != nil {
			return fmt.Errorf("after a %s: %w", change.what, err)
		}
	}
	p.Say("done")
	return nil
})

// epollClosedWhileWaiting: closing the instance's descriptor wakes nobody who waits for it: the
// call refers to the open file and returns the next event; the number is gone at once.
func epollClosedWhileWaiting(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closeEpfd := closable(t, epfd, err)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	s := startWait(t, epfd, 4, -1)
	closeEpfd()
	if _, err := unix.FcntlInt(uintptr(epfd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("F_GETFD of the closed descriptor: %v, want EBADF", err)
	}
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollNothingLeftToWaitFor: taking away what a thread waits for does not wake it: the wait goes
// on until its time is over.
func epollNothingLeftToWaitFor(t *testing.T) {
	const timeout = 30
	for what, take := range map[string]func(epfd, source int, closeSource func()){
		"DEL":          func(epfd, source int, _ func()) { mustDel(t, epfd, source) },
		"close":        func(_, _ int, closeSource func()) { closeSource() },
		"an empty MOD": func(epfd, source int, _ func()) { mustMod(t, epfd, source, 0) },
	} {
		epfd := fdtest.Epoll(t)
		source, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		closeSource := closable(t, source, err)
		fdtest.Add(t, epfd, source, unix.EPOLLIN)
		s := startWait(t, epfd, 4, timeout)
		take(epfd, source, closeSource)
		s.want()
		if s.took < timeout*time.Millisecond {
			t.Errorf("%s of the only target ended a wait of %d ms after %v", what, timeout, s.took)
		}
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

//go:uintptrescapes
func ioctlAt(fd int, request uint, arg uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg); errno != 0 {
		return errno
	}
	return nil
}

// epollBusyPoll: ioctl_eventpoll(2): what busy polling an instance does can be asked and set from 6.9
// on; all 0 at first, and what is out of range is refused and changes nothing.
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

	// More packets than a driver takes at once (NAPI_POLL_WEIGHT) is an administrator's choice.
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
	// Asking for it changes nothing for targets that are no network devices.
	source := fdtest.Eventfd(t, 0)
	set(epollParams{usecs: 10, budget: 8, prefer: 1}, nil)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	s := startWait(t, epfd, 4, -1)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollUnknownIoctl: an instance had no requests of its own before 6.9 (ENOTTY, ioctl(2)); since then
// those that it does not know are EINVAL. Its own mean nothing to others.
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

// epollFdinfo: proc_pid_fdinfo(5) has a line for each registration: number, mask and data as they
// were given, and position, inode and device of the file since 4.13.
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

// epollKcmp: kcmp(2) KCMP_EPOLL_TFD compares an open file with the one that an instance has under a
// number, also under a number that is another file's by now.
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
	// Another file under the number, registered too: toff counts those with one number.
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

// epollUring: io_uring's IORING_OP_EPOLL_CTL (5.6) and IORING_OP_EPOLL_WAIT (6.15) do what the
// system calls do, errors included.
func epollUring(t *testing.T) {
	const opEpollCtl, opEpollWait = 29, 59
	ring := mustUring(t)
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	event := epollPointer(t, unix.EpollEvent{Events: unix.EPOLLIN, Fd: 77})
	ctl := func(epfd, op, fd int) int32 {
		return ring.do(t, uringEntry{opcode: opEpollCtl, fd: int32(epfd), off: uint64(fd), addr: uint64(uintptr(event)), len: uint32(op)})
	}
	check := func(what string, got, want int32) {
		t.Helper()
		if got != want {
			t.Errorf("%s by io_uring = %d, want %d", what, got, want)
		}
	}
	fdtest.Post(t, source)
	check("epoll_ctl(ADD)", ctl(epfd, unix.EPOLL_CTL_ADD, source), 0)
	check("epoll_ctl(ADD) again", ctl(epfd, unix.EPOLL_CTL_ADD, source), -int32(unix.EEXIST))
	wantReady(t, epfd, readiness{unix.EPOLLIN, 77})
	check("epoll_ctl(MOD)", ctl(epfd, unix.EPOLL_CTL_MOD, source), 0)
	check("epoll_ctl of itself", ctl(epfd, unix.EPOLL_CTL_ADD, epfd), -int32(unix.EINVAL))
	check("epoll_ctl(ADD) of no descriptor", ctl(epfd, unix.EPOLL_CTL_ADD, -1), -int32(unix.EBADF))

	wait := uringEntry{opcode: opEpollWait, fd: int32(epfd), addr: uint64(uintptr(event)), len: 1}
	if !behaviour.Since(6, 15) {
		check("epoll_wait before 6.15", ring.do(t, wait), -int32(unix.EINVAL))
	} else {
		*(*unix.EpollEvent)(event) = unix.EpollEvent{}
		check("epoll_wait", ring.do(t, wait), 1)
		if got := readinessOf(unsafe.Slice((*unix.EpollEvent)(event), 1)); got[0] != (readiness{unix.EPOLLIN, 77}) {
			t.Errorf("epoll_wait by io_uring reports %v", got[0])
		}
		// With nothing ready it is complete when something is.
		mustTake(t, source, 1)
		ring.submit(t, wait)
		time.Sleep(grace)
		if n := ring.completed(); n != 0 {
			t.Errorf("epoll_wait by io_uring is complete with nothing ready")
		}
		fdtest.Post(t, source)
		check("epoll_wait that slept", ring.wait(t), 1)
		none := wait
		none.len = 0
		check("epoll_wait for no event", ring.do(t, none), -int32(unix.EINVAL))
		none = wait
		none.fd = int32(source)
		check("epoll_wait of an eventfd", ring.do(t, none), -int32(unix.EINVAL))
	}
	check("epoll_ctl(DEL)", ctl(epfd, unix.EPOLL_CTL_DEL, source), 0)
	check("epoll_ctl(DEL) again", ctl(epfd, unix.EPOLL_CTL_DEL, source), -int32(unix.ENOENT))
	wantReady(t, epfd)
}

// epollStorm: registrations that come and go, and instances that are closed, while others wait and
// post, neither stop nor lose an event of a target that stays.
func epollStorm(t *testing.T) {
	const rounds = 2000
	epfd := fdtest.Epoll(t)
	ping, pong := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, ping, unix.EPOLLIN|unix.EPOLLET)
	noise := make([]int, 8)
	for i := range noise {
		noise[i] = fdtest.Eventfd(t, unix.EFD_NONBLOCK)
	}
	var over atomic.Bool
	churn := func(seed int) func(*sleeper) (int, error) {
		return func(*sleeper) (int, error) {
			for i := seed; !over.Load(); i++ {
				fd := noise[i%len(noise)]
				var err error
				switch i % 5 {
				case 0:
					err = epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, uint64(fd))
				case 1:
					err = epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN, uint64(fd))
				case 2:
					_, err = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
				case 3:
					_, err = unix.Read(fd, make([]byte, 8))
				case 4:
					err = epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0)
				}
				if err != nil && err != unix.EEXIST && err != unix.ENOENT && err != unix.EAGAIN {
					return i, err
				}
				// And an instance that goes away with what it watches.
				other, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
				if err != nil {
					return i, err
				}
				err = errors.Join(epollCtl(other, unix.EPOLL_CTL_ADD, ping, unix.EPOLLIN, 0),
					epollCtl(other, unix.EPOLL_CTL_ADD, epfd, unix.EPOLLIN, 0), unix.Close(other))
				if err != nil {
					return i, err
				}
			}
			return 0, nil
		}
	}
	sleepers := []*sleeper{startSleep(t, "first thread that changes", churn(0)), startSleep(t, "second thread that changes", churn(3))}
	answer := startSleep(t, "thread that answers", func(s *sleeper) (int, error) {
		for seen := 0; seen < rounds; {
			n, err := epollPwait(epfd, s.events[:], -1)
			if err != nil {
				return seen, err
			}
			for _, e := range s.events[:n] {
				switch {
				case int(e.Fd) != ping:
					unix.Read(int(e.Fd), make([]byte, 8))
				default:
					seen++
					if _, err := unix.Read(ping, make([]byte, 8)); err != nil {
						return seen, err
					}
					if _, err := unix.Write(pong, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
						return seen, err
					}
				}
			}
		}
		return rounds, nil
	})
	answered := fdtest.Epoll(t, pong)
	asking := startSleep(t, "thread that asks", func(s *sleeper) (int, error) {
		defer over.Store(true)
		for i := range rounds {
			if _, err := unix.Write(ping, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
				return i, err
			}
			if n, err := epollPwait(answered, s.events[:], int(child.Patience/time.Millisecond)); n != 1 || err != nil {
				return i, fmt.Errorf("no answer: %d events, %w", n, err)
			}
			if _, err := unix.Read(pong, make([]byte, 8)); err != nil {
				return i, err
			}
		}
		return rounds, nil
	})
	for i, s := range append(sleepers, answer, asking) {
		s.Join()
		if s.err != nil {
			t.Errorf("thread %d ended after %d with %v", i, s.n, s.err)
		}
	}
	// All is as after quieter times.
	for _, fd := range noise {
		if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0); err != nil && err != unix.ENOENT {
			t.Errorf("epoll_ctl(DEL): %v", err)
		}
	}
	wantReady(t, epfd)
	fdtest.Post(t, ping)
	wantReady(t, epfd, ready(ping, unix.EPOLLIN))
}

// epollPathLimits: the ways from one source up through instances are limited by their length (1000 were
// meant, any number is taken of the shortest), lest an event wake a storm: EINVAL, and the refused
// registration leaves nothing.
func epollPathLimits(t *testing.T) {
	for _, c := range []struct{ length, most int }{{5, 10}, {4, 50}, {3, 100}, {2, 500}, {1, 1100}} {
		source := fdtest.Eventfd(t, 0)
		top := source
		for range c.length - 1 {
			top = fdtest.Epoll(t, top)
		}
		var last int
		for n := 0; ; n++ {
			epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err == unix.EMFILE {
				behaviour.Limited(t, "%d instances: %v: raise RLIMIT_NOFILE", n, err)
			}
			closable(t, epfd, err)
			err = epollCtl(epfd, unix.EPOLL_CTL_ADD, top, unix.EPOLLIN, uint64(top))
			if n < c.most {
				if err != nil {
					t.Fatalf("way %d of length %d: %v", n+1, c.length, err)
				}
				last = epfd
				continue
			}
			if c.length == 1 {
				break
			}
			if err != unix.EINVAL {
				t.Errorf("way %d of length %d: %v, want EINVAL", n+1, c.length, err)
			}
			wantCtl(t, epfd, unix.EPOLL_CTL_DEL, top, unix.ENOENT)
			// Where one goes there is room for one.
			mustDel(t, last, top)
			fdtest.Add(t, epfd, top, unix.EPOLLIN)
			wantCtl(t, last, unix.EPOLL_CTL_ADD, top, unix.EINVAL)
			last = epfd
			break
		}
		fdtest.Post(t, source)
		wantReady(t, last, ready(top, unix.EPOLLIN))
	}
}

// epollStopped: a process that is stopped and continued finds its wait ended with EINTR, though no
// handler ran, signal(7); ppoll(2) and read(2) go on.
func epollStopped(t *testing.T) {
	for _, c := range []struct {
		call string
		nr   uintptr
		want string
	}{{"epoll_pwait", unix.SYS_EPOLL_PWAIT, "0 interrupted system call"}, {"ppoll", unix.SYS_PPOLL, "1 <nil>"}, {"read", unix.SYS_READ, "8 <nil>"}} {
		source := fdtest.Eventfd(t, 0)
		p := child.Start(t, epollStoppedRole, child.Options{Files: []int{source}, Args: []string{c.call}})
		p.Expect("waiting")
		p.AwaitBlocked(c.nr)
		p.Signal(unix.SIGSTOP)
		p.AwaitState("T")
		p.Signal(unix.SIGCONT)
		if c.call != "epoll_pwait" {
			p.AwaitBlocked(c.nr)
			fdtest.Post(t, source)
		}
		p.Expect(c.want)
		p.Wait()
	}
}

var epollStoppedRole = child.Register("epoll-stopped", func(p *child.Proc) error {
	if _, err := sys.Mask(^sys.Sigset(0)); err != nil { // no handler's EINTR
		return err
	}
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, child.FirstFile, unix.EPOLLIN, 7); err != nil {
		return err
	}
	p.Say("waiting")
	var n int
	switch p.Args[0] {
	case "epoll_pwait":
		n, err = epollPwait(epfd, make([]unix.EpollEvent, 1), -1)
	case "ppoll":
		n, err = unix.Ppoll([]unix.PollFd{{Fd: child.FirstFile, Events: unix.POLLIN}}, nil, nil)
	case "read":
		n, err = unix.Read(child.FirstFile, make([]byte, 8))
	}
	p.Say("%d %v", n, err)
	return nil
})

// epollLastComeFirstWoken: of the threads that wait in an instance the one that came last is woken
// first; so work stays with those that have it, and the others sleep on.
func epollLastComeFirstWoken(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLET)
	var waiting []*sleeper
	for range 3 {
		waiting = append(waiting, startWait(t, epfd, 4, -1))
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		fdtest.Post(t, source)
		waiting[i].want(ready(source, unix.EPOLLIN))
		if i > 0 {
			stillAsleep(t, waiting[:i]...)
		}
	}
}

// epollExclusivePassedOver: exclusive instances are woken in the order in which they registered, up
// to the first one in which somebody waits. Those behind it are not told: asked, they have nothing
// to report, though the target is ready and level-triggered. A MOD, which would help, is not allowed.
func epollExclusivePassedOver(t *testing.T) {
	const bits = unix.EPOLLIN | unix.EPOLLEXCLUSIVE
	source := fdtest.Eventfd(t, 0)
	idle, behind := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, idle, source, bits)
	_, first := mustWaiters(t, 1, source, bits)
	fdtest.Add(t, behind, source, bits)
	_, last := mustWaiters(t, 1, source, bits)
	fdtest.Post(t, source)
	first[0].want(ready(source, unix.EPOLLIN))
	stillAsleep(t, last...)
	wantReady(t, idle, ready(source, unix.EPOLLIN))
	wantReady(t, behind)
	// The next event finds nobody waiting before it.
	fdtest.Post(t, source)
	last[0].want(ready(source, unix.EPOLLIN))
	wantReady(t, behind, ready(source, unix.EPOLLIN))
}

// epollEventBeforeSignal: what is ready when epoll_pwait(2) begins is returned though a signal is
// pending that its mask lets through; the signal stays pending and its handler does not run.
func epollEventBeforeSignal(t *testing.T) {
	const sig = unix.SIGUSR1
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	fdtest.Post(t, source)
	runs := fdtest.Handle(t, sig)
	mustBlock(t, ^sys.Sigset(0))
	mustRaise(t, sig)
	mask := ^sys.Sigs(sig)
	for _, timeout := range []int{0, 1, 10_000, -1} {
		var events [4]unix.EpollEvent
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, timeout, uintptr(unsafe.Pointer(&mask)), 8)
		if n != 1 || err != nil {
			t.Errorf("epoll_pwait with an event, a signal and a timeout of %d = %d, %v; want 1", timeout, n, err)
		}
		if got := atomic.LoadUint64(runs); got != 0 || !isPending(t, sig) {
			t.Fatalf("the handler ran %d times, the signal is pending: %t; want 0, true", got, isPending(t, sig))
		}
	}
	mustTake(t, source, 1)
	if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(new([4]unix.EpollEvent))), 4, -1, uintptr(unsafe.Pointer(&mask)), 8); err != unix.EINTR {
		t.Errorf("epoll_pwait with a signal and no event = %d, %v; want EINTR", n, err)
	}
	if got := atomic.LoadUint64(runs); got != 1 || isPending(t, sig) {
		t.Errorf("the handler ran %d times, the signal is pending: %t; want 1, false", got, isPending(t, sig))
	}
}

// epollOneshotDisabled: a one-shot registration that has reported is there with an empty mask, as
// fdinfo shows: how it watches is kept, what for is not, not even EPOLLERR and EPOLLHUP.
func epollOneshotDisabled(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for _, how := range []uint32{unix.EPOLLONESHOT, unix.EPOLLONESHOT | unix.EPOLLET} {
		fdtest.Add(t, epfd, source, unix.EPOLLIN|how)
		check := func(when string, want uint32) {
			t.Helper()
			if e := mustFdinfo(t, epfd); len(e) != 1 || e[0].events != want || e[0].data != uint64(source) {
				t.Errorf("fdinfo has %+v %s, want events %#x", e, when, want)
			}
		}
		check("before the event", unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP|how)
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		check("after it", how)
		mustMod(t, epfd, source, unix.EPOLLOUT)
		check("armed again", unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP)
		mustDel(t, epfd, source)
	}
}

// epollCtlOrder: of several things that are wrong with an epoll_ctl(2) the first in this order is
// reported: the event's address, epfd, fd, what cannot be polled, the kind of epfd, EPOLLEXCLUSIVE, a loop,
// what is registered.
func epollCtlOrder(t *testing.T) {
	const bad = -1
	const exclusive = unix.EPOLLIN | unix.EPOLLEXCLUSIVE
	epfd, inner, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	unpollable := mustOpen(t, "/", unix.O_RDONLY)
	fdtest.Add(t, inner, epfd, unix.EPOLLIN)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	fdtest.Add(t, epfd, fdtest.Epoll(t), unix.EPOLLIN)
	exclusively := fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, exclusively, exclusive)
	at := func(fd, op, target int, bits uint32) error { return epollCtl(fd, op, target, bits, 0) }
	null := func(fd, op, target int, _ uint32) error { return epollCtlAt(fd, op, target, 0) }
	for _, c := range []struct {
		what   string
		call   func(fd, op, target int, bits uint32) error
		fd, op int
		target int
		bits   uint32
		want   error
	}{
		{"null event, bad epfd", null, bad, unix.EPOLL_CTL_ADD, bad, 0, unix.EFAULT},
		{"null event, unknown operation, bad epfd", null, bad, 77, bad, 0, unix.EFAULT},
		{"null event for DEL, bad epfd", null, bad, unix.EPOLL_CTL_DEL, bad, 0, unix.EBADF},
		{"epfd that is none, bad target", at, source, unix.EPOLL_CTL_ADD, bad, 0, unix.EBADF},
		{"epfd that is none, unpollable target", at, source, unix.EPOLL_CTL_ADD, unpollable, 0, unix.EPERM},
		{"unpollable epfd and target", at, unpollable, unix.EPOLL_CTL_ADD, unpollable, 0, unix.EPERM},
		{"epfd that is none and its own target", at, source, unix.EPOLL_CTL_ADD, source, 0, unix.EINVAL},
		{"unknown operation, unpollable target", at, epfd, 77, unpollable, 0, unix.EPERM},
		{"EPOLLEXCLUSIVE that may not be, what is registered", at, epfd, unix.EPOLL_CTL_ADD, source, exclusive | unix.EPOLLPRI, unix.EINVAL},
		{"EPOLLEXCLUSIVE, what is registered", at, epfd, unix.EPOLL_CTL_ADD, source, exclusive, unix.EEXIST},
		{"EPOLLEXCLUSIVE of an instance, a loop", at, epfd, unix.EPOLL_CTL_ADD, inner, exclusive, unix.EINVAL},
		{"MOD with EPOLLEXCLUSIVE of what is not registered", at, epfd, unix.EPOLL_CTL_MOD, inner, exclusive, unix.EINVAL},
		{"MOD of an exclusive one", at, epfd, unix.EPOLL_CTL_MOD, exclusively, unix.EPOLLIN, unix.EINVAL},
		{"MOD of what is not registered, a loop", at, epfd, unix.EPOLL_CTL_MOD, inner, unix.EPOLLIN, unix.ENOENT},
		{"unknown operation with EPOLLEXCLUSIVE", at, epfd, 77, inner, exclusive | unix.EPOLLPRI, unix.EINVAL},
	} {
		if err := c.call(c.fd, c.op, c.target, c.bits); err != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

// epollInnerClosed: an instance that is closed goes from those that watch it, like any target: nothing
// is reported, nobody wakes, and its number is free.
func epollInnerClosed(t *testing.T) {
	outer, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	next := fdtest.Epoll(t, source)
	for _, mode := range []uint32{0, unix.EPOLLET} {
		inner, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		closeInner := closable(t, inner, err)
		fdtest.Add(t, inner, source, unix.EPOLLIN)
		fdtest.Add(t, outer, inner, unix.EPOLLIN|mode)
		polling, waiting := startPoll(t, outer), startWait(t, outer, 4, -1)
		closeInner()
		stillAsleep(t, polling, waiting)
		fdtest.Post(t, source)
		stillAsleep(t, polling, waiting)
		mustPut(t, next, inner)
		closable(t, inner, nil)
		wantCtl(t, outer, unix.EPOLL_CTL_DEL, inner, unix.ENOENT)
		fdtest.Add(t, outer, inner, unix.EPOLLIN)
		waiting.want(ready(inner, unix.EPOLLIN))
		polling.wantPolled()
		mustDel(t, outer, inner)
		mustTake(t, source, 1)
	}
}

// epollOuterClosed: closing an instance takes its registrations along, and nothing else: what it
// watched can be watched by others as before.
func epollOuterClosed(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	inner := fdtest.Epoll(t, source)
	outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closeOuter := closable(t, outer, err)
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
	fdtest.Add(t, outer, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, outer, ready(inner, unix.EPOLLIN), ready(source, unix.EPOLLIN))
	closeOuter()
	wantReady(t, inner, ready(source, unix.EPOLLIN))
	// No loop any more, and no place taken up.
	other := fdtest.Epoll(t)
	fdtest.Add(t, inner, other, unix.EPOLLIN)
	wantCtl(t, other, unix.EPOLL_CTL_ADD, inner, unix.ELOOP)
	mustDel(t, inner, other)
	mustTake(t, source, 1)
	_, waiting := mustWaiters(t, 1, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	waiting[0].want(ready(source, unix.EPOLLIN))
}

// epollDelReady: DEL takes an event back that was collected and not yet reported; a new ADD is a new
// registration, at the end of those that are ready.
func epollDelReady(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd, a, b := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, a, unix.EPOLLIN|mode)
		fdtest.Add(t, epfd, b, unix.EPOLLIN|mode)
		fdtest.Post(t, a)
		fdtest.Post(t, b)
		mustDel(t, epfd, a)
		if mode == 0 {
			wantReady(t, epfd, ready(b, unix.EPOLLIN))
		}
		fdtest.Add(t, epfd, a, unix.EPOLLIN|mode)
		wantReady(t, epfd, ready(b, unix.EPOLLIN), ready(a, unix.EPOLLIN))
		mustDel(t, epfd, a)
		mustDel(t, epfd, b)
		wantReady(t, epfd)
		wantPolled(t, epfd, 0)
	}
}

// epollNestedChanges: what ADD, MOD and DEL change in an inner instance is an event, or the end of
// one, for the outer one and those who wait in it.
func epollNestedChanges(t *testing.T) {
	outer, inner, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
	fdtest.Post(t, source)
	w := startWait(t, outer, 4, -1)
	fdtest.Add(t, inner, source, unix.EPOLLOUT|unix.EPOLLONESHOT)
	w.want(ready(inner, unix.EPOLLIN))
	wantReady(t, inner, ready(source, unix.EPOLLOUT))
	wantReady(t, outer)
	w = startWait(t, outer, 4, -1)
	mustMod(t, inner, source, unix.EPOLLPRI)
	stillAsleep(t, w)
	mustMod(t, inner, source, unix.EPOLLIN)
	w.want(ready(inner, unix.EPOLLIN))
	mustMod(t, inner, source, unix.EPOLLPRI)
	wantReady(t, outer)
	mustMod(t, inner, source, unix.EPOLLIN)
	wantReady(t, outer, ready(inner, unix.EPOLLIN))
	mustDel(t, inner, source)
	wantReady(t, outer)
	wantPolled(t, outer, 0)
}

// epollMisaligned: the events may be stored at any address.
func epollMisaligned(t *testing.T) {
	const size = unsafe.Sizeof(unix.EpollEvent{})
	epfd, other := fdtest.Epoll(t), fdtest.Epoll(t)
	var want []readiness
	for i := range 3 {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		data := uint64(0x1111_1111_1111_1111) * uint64(i+1)
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, data); err != nil {
			t.Fatal(err)
		}
		want = append(want, readiness{unix.EPOLLIN, data})
	}
	for shift := range uintptr(8) {
		var buf [8 + 3*size]byte
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&buf[shift])), 3, 0, 0, 0); n != 3 || err != nil {
			t.Errorf("epoll_pwait to an address shifted by %d = %d, %v; want 3", shift, n, err)
		}
		var events [3]unix.EpollEvent
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&events)), 3*size), buf[shift:])
		if got := readinessOf(events[:]); !slices.Equal(got, want) {
			t.Errorf("epoll_pwait to an address shifted by %d reports %v, want %v", shift, got, want)
		}
		// And read from any.
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		for op, e := range map[int]unix.EpollEvent{
			unix.EPOLL_CTL_ADD: {Events: unix.EPOLLIN, Fd: 0x11223344, Pad: 0x55667788},
			unix.EPOLL_CTL_MOD: {Events: unix.EPOLLOUT | unix.EPOLLET, Fd: -2, Pad: 0x12345678},
		} {
			if op == unix.EPOLL_CTL_MOD {
				fdtest.Add(t, other, fd, 0)
			}
			copy(buf[shift:], unsafe.Slice((*byte)(unsafe.Pointer(&e)), size))
			if err := epollCtlAt(other, op, fd, uintptr(unsafe.Pointer(&buf[shift]))); err != nil {
				t.Errorf("epoll_ctl(%s) with an event shifted by %d: %v", opName(op), shift, err)
			}
			wantReady(t, other, readiness{e.Events &^ unix.EPOLLET, uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
			mustDel(t, other, fd)
		}
	}
}

// epollProcessesShare: processes that have inherited an instance wait in it like threads: an edge
// wakes one of them, epoll(7), a level all.
func epollProcessesShare(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	for _, mode := range []uint32{unix.EPOLLET, 0} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
		var children []*forked
		for range 3 {
			a := fdtest.Arena(t)
			p := mustForkIn(t, a, sys.EpollWait(epfd, sys.EpollEvents(a, 4), -1, 1))
			p.awaitBlocked(t, unix.SYS_EPOLL_PWAIT)
			children = append(children, p)
		}
		if mode == 0 {
			fdtest.Post(t, source)
			for _, p := range children {
				p.want(t)
			}
			continue
		}
		for left := len(children); left > 0; left-- {
			fdtest.Post(t, source)
			gone := func(p *forked) bool { return p.Gone() && p.loop.Ended() }
			await(t, "an edge wakes a process", func() bool { return slices.ContainsFunc(children, gone) })
			time.Sleep(grace)
			children = slices.DeleteFunc(children, gone)
			if len(children) != left-1 {
				t.Fatalf("%d of %d processes wait after an edge, want %d", len(children), left, left-1)
			}
		}
	}
}

// epollNonblocking: O_NONBLOCK can be set on an instance, and means nothing to those who wait in it.
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

// epollNoFile: an instance cannot be read at an offset, mapped, truncated, synchronised, spliced or
// told to signal, each with the error of its own manual page.
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

// epollInode: all instances and event descriptors have one anonymous inode: mode 0600 without a type,
// no size; and its name in /proc cannot be opened.
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
	// The inode is root's: others are refused before they learn that it has no open operation.
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

// epollAdderGone: a signalfd wakes an instance through the process that registered it. When that has
// ended, the registration stays and is never ready by itself; a MOD asks for the signals of whoever
// makes it. (The kernel once used what the process had left there after it was freed.)
func epollAdderGone(t *testing.T) {
	const sig = unix.SIGUSR1
	mustBlock(t, ^sys.Sigset(0))
	epfd, signals := fdtest.Epoll(t), fdtest.Signalfd(t, sig)
	a := fdtest.Arena(t)
	event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(signals)})
	mustForkIn(t, a, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, signals, event)).want(t)
	wantReady(t, epfd)
	mustRaise(t, sig)
	wantReady(t, epfd)
	wantCtl(t, epfd, unix.EPOLL_CTL_ADD, signals, unix.EEXIST)
	mustMod(t, epfd, signals, unix.EPOLLIN)
	wantReady(t, epfd, ready(signals, unix.EPOLLIN))
	if _, err := rawsig.Take(sys.Sigs(sig)); err != nil {
		t.Fatal(err)
	}
	wantReady(t, epfd)
	mustRaise(t, sig)
	wantReady(t, epfd)
	mustDel(t, epfd, signals)
	fdtest.Add(t, epfd, signals, unix.EPOLLIN) // now through this process
	wantReady(t, epfd, ready(signals, unix.EPOLLIN))
}

// epollSpuriousWakeups: what wakes a thread and turns out to be no event neither ends its wait nor
// starts its time anew: here inner instances that are closed, and signals that a registered signalfd does not ask for,
// for any signal wakes whoever waits for a signalfd of the process.
func epollSpuriousWakeups(t *testing.T) {
	const timeout = 40 * time.Millisecond
	mustBlock(t, ^sys.Sigset(0))
	epfd := fdtest.Epoll(t, fdtest.Signalfd(t, unix.SIGUSR1))
	s := startWait(t, epfd, 4, int(timeout/time.Millisecond))
	woken := 0
	for waiting := true; waiting; woken++ {
		inner, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		closeInner := closable(t, inner, err)
		fdtest.Add(t, epfd, inner, unix.EPOLLIN)
		closeInner()
		mustRaise(t, unix.SIGUSR2)
		mustTakeSignal(t, sys.Sigs(unix.SIGUSR2))
		select {
		case <-s.Done():
			waiting = false
		case <-time.After(time.Millisecond):
		}
		if woken > 25*int(timeout/time.Millisecond) {
			t.Fatalf("a wait of %v goes on after %d wake-ups for nothing, one a millisecond", timeout, woken)
		}
	}
	s.want()
	if s.took < timeout {
		t.Errorf("a wait of %v took %v", timeout, s.took)
	}
}

// epollModIsAtomic: mask and data that are reported belong together, whatever MODs are going on.
func epollModIsAtomic(t *testing.T) {
	const rounds = 5000
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	pairs := []readiness{{unix.EPOLLIN, 0x1111_1111_1111_1111}, {unix.EPOLLOUT, 0x2222_2222_2222_2222}, {unix.EPOLLIN | unix.EPOLLOUT, 0x3333_3333_3333_3333}}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, pairs[0].bits, pairs[0].data); err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	changing := startSleep(t, "thread that changes", func(*sleeper) (n int, err error) {
		for ; !over.Load(); n++ {
			p := pairs[n%len(pairs)]
			if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, source, p.bits, p.data); err != nil {
				return n, err
			}
		}
		return n, nil
	})
	seen := map[readiness]int{}
	for range rounds {
		var events [2]unix.EpollEvent
		n, err := epollPwait(epfd, events[:], 0)
		got := readinessOf(events[:n])
		if err != nil || n != 1 || !slices.Contains(pairs, got[0]) {
			t.Errorf("epoll_pwait reports %v, %v; want one of %v", got, err, pairs)
			break
		}
		seen[got[0]]++
	}
	over.Store(true)
	changing.Join()
	if changing.err != nil {
		t.Error(changing.err)
	}
}

// epollDuplicateInstance: duplicates of an instance's descriptor are one instance; as targets they are
// two.
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

// epollWaitIsPwait: epoll_wait(2), where it exists, is epoll_pwait without a mask: the thread's own
// stays in force. (x/sys uses the one that the architecture has.)
func epollWaitIsPwait(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	var ran uint64
	s := startSleep(t, "thread in epoll_wait", func(s *sleeper) (int, error) {
		n, err := unix.EpollWait(epfd, s.events[:], -1)
		ran = atomic.LoadUint64(runs)
		rawsig.Take(sys.Sigs(sig)) // before the thread's mask ends
		return n, err
	})
	time.Sleep(grace)
	if err := rawsig.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if ran != 0 {
		t.Errorf("the handler of a blocked signal ran %d times", ran)
	}
	var events [2]unix.EpollEvent
	for _, c := range []struct {
		fd, room int
		want     error
	}{{epfd, 0, unix.EINVAL}, {source, 2, unix.EINVAL}, {-1, 2, unix.EBADF}} {
		if n, err := unix.EpollWait(c.fd, events[:c.room], 0); err != c.want {
			t.Errorf("epoll_wait of %d with room for %d = %d, %v; want %v", c.fd, c.room, n, err, c.want)
		}
	}
}

// epollUrgent: an urgent byte of TCP is EPOLLPRI until it is read, beside what there is of other data, tcp(7); in line with the others
// (SO_OOBINLINE) it is EPOLLIN as well.
func epollUrgent(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLPRI
	for _, inline := range []int{0, 1} {
		a, b := mustTCP(t)
		if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_OOBINLINE, inline); err != nil {
			t.Fatal(err)
		}
		level, edge, plain := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, level, a, asked)
		fdtest.Add(t, edge, a, asked|unix.EPOLLET)
		fdtest.Add(t, plain, a, 0)
		wantReady(t, level)
		if err := unix.Sendto(b, []byte("!"), unix.MSG_OOB, nil); err != nil {
			t.Fatalf("send with MSG_OOB: %v", err)
		}
		want := uint32(unix.EPOLLPRI)
		if inline != 0 {
			want |= unix.EPOLLIN
		}
		wantSoon(t, level, ready(a, want))
		wantReady(t, level, ready(a, want))
		wantSoon(t, edge, ready(a, want))
		wantReady(t, plain)
		if inline != 0 {
			mustRead(t, a, "!")
			wantReady(t, level)
			continue
		}
		// Other data is in no way of it.
		mustWrite(t, b, "x")
		wantSoon(t, level, ready(a, want|unix.EPOLLIN))
		buf := make([]byte, 4)
		if n, _, err := unix.Recvfrom(a, buf, unix.MSG_OOB); n != 1 || buf[0] != '!' || err != nil {
			t.Errorf("recv with MSG_OOB = %d, %v with %q; want 1 with !", n, err, buf[:max(n, 0)])
		}
		wantReady(t, level, ready(a, unix.EPOLLIN))
		mustRead(t, a, "x")
		wantReady(t, level)
	}
}

// epollConnecting: a socket that connects without waiting becomes EPOLLOUT when it is connected, and when it is refused all that is
// asked for with EPOLLERR and EPOLLHUP, connect(2); SO_ERROR says why, once.
func epollConnecting(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, refused := range []bool{false, true} {
		listener, addr, listen := mustTCPAddress(t)
		if !refused {
			listen()
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		closable(t, fd, err)
		level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, level, fd, asked)
		fdtest.Add(t, edge, fd, asked|unix.EPOLLET)
		wantReady(t, edge, ready(fd, unix.EPOLLOUT|unix.EPOLLHUP)) // not connected: EPL-098
		if err := unix.Connect(fd, addr); err == unix.ENETUNREACH {
			behaviour.Limited(t, "connect to 127.0.0.1: %v: the loopback interface is down", err)
		} else if err != unix.EINPROGRESS {
			t.Fatalf("connect without waiting: %v, want EINPROGRESS", err)
		}
		want, why := uint32(unix.EPOLLOUT), unix.Errno(0)
		if refused {
			want, why = asked|unix.EPOLLERR|unix.EPOLLHUP, unix.ECONNREFUSED
		}
		wantSoon(t, level, ready(fd, want))
		wantReady(t, level, ready(fd, want))
		wantSoon(t, edge, ready(fd, want))
		wantReady(t, edge)
		for _, want := range []unix.Errno{why, 0} {
			if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); unix.Errno(got) != want || err != nil {
				t.Errorf("SO_ERROR = %v, %v; want %v", unix.Errno(got), err, want)
			}
		}
		wantReady(t, level, ready(fd, want&^unix.EPOLLERR))
		if !refused {
			peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			closable(t, peer, err)
			mustWrite(t, peer, "x")
			wantSoon(t, level, ready(fd, unix.EPOLLIN|unix.EPOLLOUT))
			mustRead(t, fd, "x")
		}
		if t.Failed() {
			t.Fatalf("refused: %t", refused)
		}
	}
}

// epollListener: a listening socket is EPOLLIN while there are connections to be accepted, accept(2), and each that comes is an edge.
func epollListener(t *testing.T) {
	listener, addr, listen := mustTCPAddress(t)
	listen()
	level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, level, listener, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
	fdtest.Add(t, edge, listener, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, level)
	s := startWait(t, level, 4, -1)
	stillAsleep(t, s)
	const connections = 2
	for i := range connections {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		closable(t, fd, err)
		if err := unix.Connect(fd, addr); err == unix.ENETUNREACH {
			s.rouse()
			s.Join()
			behaviour.Limited(t, "connect to 127.0.0.1: %v: the loopback interface is down", err)
		} else if err != nil {
			t.Fatalf("connect: %v", err)
		}
		if i == 0 {
			s.want(ready(listener, unix.EPOLLIN))
		}
		wantSoon(t, edge, ready(listener, unix.EPOLLIN))
		wantReady(t, edge)
	}
	for range connections {
		wantReady(t, level, ready(listener, unix.EPOLLIN))
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		closable(t, fd, err)
	}
	wantReady(t, level)
	wantReady(t, edge)
}

// epollAtFileLimit: ENFILE at fs.file-max, epoll_create(2), for who has not CAP_SYS_ADMIN.
func epollAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
}

// What the rows above and below are written in.

// readiness is an event as epoll_wait(2) reports it.
type readiness struct {
	bits uint32
	data uint64
}

// ready is what is reported of a target whose data is its descriptor, as mustAdd has it.
func ready(fd int, bits uint32) readiness { return readiness{bits, uint64(fd)} }

func (r readiness) String() string {
	var names []string
	rest := r.bits
	for _, b := range []struct {
		bit  uint32
		name string
	}{
		{unix.EPOLLIN, "IN"}, {unix.EPOLLPRI, "PRI"}, {unix.EPOLLOUT, "OUT"}, {unix.EPOLLERR, "ERR"},
		{unix.EPOLLHUP, "HUP"}, {unix.EPOLLRDHUP, "RDHUP"},
	} {
		if rest&b.bit != 0 {
			names = append(names, b.name)
			rest &^= b.bit
		}
	}
	if rest != 0 || r.bits == 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return fmt.Sprintf("%s of %#x", strings.Join(names, "|"), r.data)
}

func readinessOf(events []unix.EpollEvent) []readiness {
	var rs []readiness
	for _, e := range events {
		rs = append(rs, readiness{e.Events, uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
	}
	return rs
}

// checkReady asks once, without waiting, what is ready: exactly this, in this order.
func checkReady(epfd int, want ...readiness) error {
	var events [64]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], 0)
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	if got := readinessOf(events[:n]); !slices.Equal(got, want) {
		return fmt.Errorf("epoll_pwait reports %v, want %v", got, want)
	}
	return nil
}

func wantReady(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	if err := checkReady(epfd, want...); err != nil {
		tb.Error(err)
	}
}

// wantSoon waits until this is ready: for what the network stack brings about in its own time.
func wantSoon(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	var err error
	for deadline := time.Now().Add(child.Patience / 4); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		if err = checkReady(epfd, want...); err == nil {
			return
		}
	}
	tb.Error(err)
}

func wantReadyAnyOrder(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	var events [64]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], 0)
	got := readinessOf(events[:n])
	order := func(a, b readiness) int { return cmp.Or(cmp.Compare(a.data, b.data), cmp.Compare(a.bits, b.bits)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if err != nil || !slices.Equal(got, want) {
		tb.Errorf("epoll_pwait reports %v, %v; want %v in any order", got, err, want)
	}
}

// epollCtl is epoll_ctl(2) with an errno or nil.
func epollCtl(epfd, op, fd int, bits uint32, data uint64) error {
	return epollCtlAt(epfd, op, fd, uintptr(unsafe.Pointer(
		&unix.EpollEvent{Events: bits, Fd: int32(data), Pad: int32(data >> 32)})))
}

// epollCtlAt is epoll_ctl(2) with its event anywhere.
//
//go:uintptrescapes
func epollCtlAt(epfd, op, fd int, event uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), event, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// epollPwait is epoll_wait(2) by the call that all architectures have.
func epollPwait(epfd int, events []unix.EpollEvent, timeout int) (int, error) {
	return epollPwaitAt(epfd, uintptr(unsafe.Pointer(unsafe.SliceData(events))), len(events), timeout, 0, 0)
}

// epollPwaitAt is epoll_pwait(2) with its buffer and its mask anywhere.
//
//go:uintptrescapes
func epollPwaitAt(epfd int, events uintptr, max, timeout int, mask, masksize uintptr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), events, uintptr(max), uintptr(timeout), mask, masksize)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollPwait2 is epoll_pwait2(2) without a mask; a nil timeout is for ever.
func epollPwait2(epfd int, events []unix.EpollEvent, timeout *unix.Timespec) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// hasPwait2 reports whether this kernel must have epoll_pwait2(2).
func hasPwait2() bool { return behaviour.Since(5, 11) || machine.GVisor() }

var epollOps = []int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL}

func opName(op int) string {
	switch op {
	case unix.EPOLL_CTL_ADD:
		return "ADD"
	case unix.EPOLL_CTL_MOD:
		return "MOD"
	case unix.EPOLL_CTL_DEL:
		return "DEL"
	}
	return strconv.Itoa(op)
}

// wantCtl makes a change that must end in this error.
func wantCtl(tb testing.TB, epfd, op, fd int, want error) {
	tb.Helper()
	if err := epollCtl(epfd, op, fd, unix.EPOLLIN, uint64(uint32(fd))); err != want {
		tb.Errorf("epoll_ctl(%d, %s, %d): %v, want %v", epfd, opName(op), fd, err, want)
	}
}

func mustMod(tb testing.TB, epfd, fd int, bits uint32) {
	tb.Helper()
	if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, bits, uint64(fd)); err != nil {
		tb.Fatalf("epoll_ctl(MOD) with events %#x: %v", bits, err)
	}
}

func mustDel(tb testing.TB, epfd, fd int) {
	tb.Helper()
	if err := epollCtlAt(epfd, unix.EPOLL_CTL_DEL, fd, 0); err != nil {
		tb.Fatalf("epoll_ctl(DEL): %v", err)
	}
}

// A sleeper is a thread in a system call that is to sleep. It blocks all signals
// but one of its own, so that nothing of the Go runtime's ends the call.
type sleeper struct {
	*child.Thread
	tb     testing.TB
	n      int // the call's result
	err    error
	took   time.Duration
	events [64]unix.EpollEvent // for the calls that fill it in
	roused atomic.Bool         // told to end: what calls in a loop goes on after other EINTRs
}

// rouse is the signal by which a sleeper is got out of its call: one that nobody uses, and a standard
// one, which needs no room in a queue.
const rouse = unix.SIGSTKFLT

// startSleep makes the call on a thread of its own; s.want and s.wantErr wait for its end.
// At the end of the test the thread is got out of it.
func startSleep(tb testing.TB, what string, call func(s *sleeper) (int, error)) *sleeper {
	tb.Helper()
	fdtest.Handle(tb, rouse)
	s := &sleeper{tb: tb}
	s.Thread = child.Go(tb, what, func() error {
		old, err := sys.Mask(^sys.Sigs(rouse))
		if err != nil {
			return err
		}
		start := time.Now()
		s.n, s.err = call(s)
		s.took = time.Since(start)
		_, err = sys.Mask(old)
		return err
	})
	tb.Cleanup(s.rouse)
	return s
}

// startWait has a thread sleep in epoll_wait(2).
func startWait(tb testing.TB, epfd, max, timeout int) *sleeper {
	tb.Helper()
	s := startSleep(tb, "thread in epoll_pwait", func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:max], timeout)
	})
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	return s
}

// startPoll has a thread sleep in poll(2) for reading.
func startPoll(tb testing.TB, fd int) *sleeper {
	tb.Helper()
	s := startSleep(tb, "thread in ppoll", func(*sleeper) (int, error) {
		return unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, nil, nil)
	})
	s.AwaitBlocked(unix.SYS_PPOLL)
	return s
}

// rouse ends the call with EINTR, if it has not ended.
func (s *sleeper) rouse() {
	s.roused.Store(true)
	for deadline := time.Now().Add(child.Patience); ; time.Sleep(100 * time.Microsecond) {
		select {
		case <-s.Done():
			return
		default:
		}
		if time.Now().After(deadline) {
			return // Join will say so
		}
		unix.Tgkill(unix.Getpid(), s.Tid, rouse)
	}
}

// want waits for the call's end, which must be with these events.
func (s *sleeper) want(want ...readiness) {
	s.tb.Helper()
	s.Join()
	if got := readinessOf(s.events[:s.n]); s.err != nil || !slices.Equal(got, want) {
		s.tb.Errorf("the waiting thread got %v, %v; want %v", got, s.err, want)
	}
}

// wantErr waits for the call's end, which must be with this error.
func (s *sleeper) wantErr(want error) {
	s.tb.Helper()
	s.Join()
	if s.err != want {
		s.tb.Errorf("the waiting thread got %d events, %v; want %v", s.n, s.err, want)
	}
}

// wantPolled waits for the end of a poll(2), which must be that there is something to read.
func (s *sleeper) wantPolled() {
	s.tb.Helper()
	s.Join()
	if s.n != 1 || s.err != nil {
		s.tb.Errorf("ppoll in the waiting thread = %d, %v; want 1", s.n, s.err)
	}
}

// grace is how long a thread that must not wake is given to do so.
const grace = 15 * time.Millisecond

// stillAsleep checks that none of the calls ends.
func stillAsleep(tb testing.TB, sleepers ...*sleeper) {
	tb.Helper()
	time.Sleep(grace)
	for i, s := range sleepers {
		select {
		case <-s.Done():
			tb.Errorf("waiting thread %d of %d returned with %v, %v; want it asleep",
				i+1, len(sleepers), readinessOf(s.events[:s.n]), s.err)
		default:
		}
	}
}

// wantWoken waits for the calls of n of the threads to end, and for no more, and returns which
// did and which did not.
func wantWoken(tb testing.TB, n int, sleepers ...*sleeper) (woken, asleep []*sleeper) {
	tb.Helper()
	cases := make(chan struct{}, len(sleepers))
	for _, s := range sleepers {
		go func() { <-s.Done(); cases <- struct{}{} }()
	}
	for i := range n {
		select {
		case <-cases:
		case <-time.After(child.Patience):
			tb.Fatalf("%d of %d threads woke within %v, want %d", i, len(sleepers), child.Patience, n)
		}
	}
	time.Sleep(grace)
	for _, s := range sleepers {
		select {
		case <-s.Done():
			woken = append(woken, s)
		default:
			asleep = append(asleep, s)
		}
	}
	if len(woken) != n {
		tb.Fatalf("%d of %d threads woke, want %d", len(woken), len(sleepers), n)
	}
	return woken, asleep
}

// mustWaiters returns n instances that watch fd, each with a thread that waits.
func mustWaiters(tb testing.TB, n, fd int, bits uint32) (sets []int, waiting []*sleeper) {
	tb.Helper()
	for range n {
		epfd := fdtest.Epoll(tb)
		fdtest.Add(tb, epfd, fd, bits)
		sets = append(sets, epfd)
		waiting = append(waiting, startWait(tb, epfd, 4, -1))
	}
	return sets, waiting
}

// wantPolled asks poll(2), ppoll(2) and select(2) about a descriptor, for reading.
func wantPolled(tb testing.TB, fd int, want int16) {
	tb.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI}}
	n, err := unix.Poll(p, 0)
	if err != nil || p[0].Revents != want || n == 0 != (want == 0) {
		tb.Errorf("poll = %d, %v with revents %#x; want %#x", n, err, p[0].Revents, want)
	}
	var r, w, e unix.FdSet
	for _, set := range []*unix.FdSet{&r, &w, &e} {
		set.Set(fd)
	}
	n, err = unix.Select(fd+1, &r, &w, &e, &unix.Timeval{})
	if err != nil || r.IsSet(fd) != (want&unix.POLLIN != 0) || w.IsSet(fd) != (want&unix.POLLOUT != 0) || e.IsSet(fd) != (want&unix.POLLPRI != 0) {
		tb.Errorf("select = %d, %v: readable %t, writable %t, exceptional %t; want poll's %#x",
			n, err, r.IsSet(fd), w.IsSet(fd), e.IsSet(fd), want)
	}
}

// mustBlock sets the mask of the row's thread until the row ends.
func mustBlock(tb testing.TB, mask sys.Sigset) {
	tb.Helper()
	old, err := sys.Mask(mask)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := sys.Mask(old); err != nil {
			tb.Error(err)
		}
	})
}

// mustRaise sends the row's thread a signal, which it blocks; what is left of it at the end is
// taken.
func mustRaise(tb testing.TB, sig unix.Signal) {
	tb.Helper()
	if err := rawsig.Raise(sig); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { rawsig.Take(sys.Sigs(sig)) })
}

// isPending reports whether a signal is pending for the calling thread.
func isPending(tb testing.TB, sig unix.Signal) bool {
	tb.Helper()
	set, err := rawsig.Pending()
	if err != nil {
		tb.Fatal(err)
	}
	return set&sys.Sigs(sig) != 0
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

// unpollable are files without a poll operation.
func unpollable(tb testing.TB) map[string]int {
	tb.Helper()
	dir := tb.TempDir()
	mem, err := unix.MemfdCreate("unpollable", unix.MFD_CLOEXEC)
	closable(tb, mem, err)
	return map[string]int{
		"a regular file": mustOpen(tb, filepath.Join(dir, "file"), unix.O_RDWR|unix.O_CREAT),
		"a directory":    mustOpen(tb, dir, unix.O_RDONLY),
		"/dev/zero":      mustOpen(tb, "/dev/zero", unix.O_RDWR),
		"/dev/null":      mustOpen(tb, "/dev/null", unix.O_RDWR),
		"a memory file":  mem,
	}
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
	// halfPointer names an address from which on only half the bytes can be read.
	halfPointer = "a pointer to half accessible memory"
	// kernelPointer names an address that no program has.
	kernelPointer = "a pointer into the kernel"
)

// epollPointer puts an event where it does not move.
func epollPointer(tb testing.TB, e unix.EpollEvent) unsafe.Pointer {
	tb.Helper()
	p := unsafe.Pointer(&mustMap(tb, 1)[0])
	*(*unix.EpollEvent)(p) = e
	return p
}

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

// An fdinfoEntry is a line that proc_pid_fdinfo(5) has for a registration.
type fdinfoEntry struct {
	tfd    int
	events uint32
	data   uint64
	line   string
}

func fdinfo(epfd int) ([]fdinfoEntry, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", epfd))
	if err != nil {
		return nil, err
	}
	var entries []fdinfoEntry
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "tfd:") {
			continue
		}
		e := fdinfoEntry{line: line}
		if _, err := fmt.Sscanf(line, "tfd: %d events: %x data: %x", &e.tfd, &e.events, &e.data); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func mustFdinfo(tb testing.TB, epfd int) []fdinfoEntry {
	tb.Helper()
	entries, err := fdinfo(epfd)
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(tb, "no /proc: %v", err)
	}
	if err != nil || len(entries) == 0 {
		tb.Fatalf("fdinfo: %d entries, %v", len(entries), err)
	}
	return entries
}

// A capset is a thread's capabilities, capget(2).
type capset [2]unix.CapUserData

func capabilities() (c capset, err error) {
	err = unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &c[0])
	return c, err
}

func (c capset) effective() uint64 { return uint64(c[0].Effective) | uint64(c[1].Effective)<<32 }

// drop takes a capability from the calling thread's effective set.
func (c capset) drop(capability int) error {
	c[capability/32].Effective &^= 1 << (capability % 32)
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &c[0])
}

// inFirstUserNamespace reports whether capabilities count everywhere, user_namespaces(7).
func inFirstUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
}

// closable takes a descriptor that was just made and returns what closes it: the test
// when it is time, or its end.
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

// mustTCPAddress returns a TCP socket with an address at which nobody listens until listen is called.
func mustTCPAddress(tb testing.TB) (listener int, addr unix.Sockaddr, listen func()) {
	tb.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT {
		behaviour.Absent(tb, "TCP: %v", err)
	}
	closable(tb, listener, err)
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(listener, loopback); err == unix.EADDRNOTAVAIL {
		behaviour.Limited(tb, "bind to 127.0.0.1: %v: there is no loopback interface", err)
	} else if err != nil {
		tb.Fatalf("bind: %v", err)
	}
	addr, err = unix.Getsockname(listener)
	if err != nil {
		tb.Fatal(err)
	}
	return listener, addr, func() {
		tb.Helper()
		if err := unix.Listen(listener, 4); err != nil {
			tb.Fatalf("listen: %v", err)
		}
	}
}

// mustTCP returns two connected TCP sockets.
func mustTCP(tb testing.TB) (a, b int) {
	tb.Helper()
	listener, addr, listen := mustTCPAddress(tb)
	listen()
	a, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(tb, a, err)
	if err := unix.Connect(a, addr); err == unix.ENETUNREACH {
		behaviour.Limited(tb, "connect to 127.0.0.1: %v: the loopback interface is down", err)
	} else if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	b, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	closable(tb, b, err)
	return a, b
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
