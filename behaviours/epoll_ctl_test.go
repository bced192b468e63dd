//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Registering, changing and removing: epoll_ctl(2).

// epollCtlBadDescriptors (EPL-008): EBADF for an epfd or a target that is not
// open, epoll_ctl(2).
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

// epollAddUnpollable (EPL-009): EPERM for a target without a poll operation,
// epoll_ctl(2).
func epollAddUnpollable(t *testing.T) {
	epfd := fdtest.Epoll(t)
	for what, fd := range unpollable(t) {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, 0); err != unix.EPERM {
			t.Errorf("epoll_ctl(ADD) of %s: %v, want EPERM", what, err)
		}
	}
	wantReady(t, epfd)
}

// epollChangeUnpollable (EPL-010): the target's kind is checked before whether
// it is registered, so that DEL and MOD are refused with EPERM too.
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

// epollPath (EPL-011): a descriptor opened with O_PATH names a place, not an
// open file: EBADF, open(2), even where the file behind it could be polled.
func epollPath(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	path := mustOpen(t, "/", unix.O_PATH)
	for _, op := range epollOps {
		wantCtl(t, epfd, op, path, unix.EBADF)
		wantCtl(t, path, op, source, unix.EBADF)
	}
}

// epollOfItself (EPL-012): an instance cannot watch itself, whatever the
// operation and whichever descriptor it goes by.
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

// epollCtlOnOther (EPL-013): EINVAL where epfd is open but not an epoll
// instance, epoll_ctl(2).
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

// epollUnknownOp (EPL-014): an operation other than ADD, MOD and DEL is refused
// with EINVAL whether the target is registered or not; it is taken to have an
// event, so that a null pointer is noticed first.
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

// epollNullEvent (EPL-015): ADD and MOD need an event, DEL takes none since
// 2.6.9, epoll_ctl(2) BUGS.
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

// epollAddTwice (EPL-017): EEXIST, and the first registration stays as it is.
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

// epollChangeUnregistered (EPL-018): MOD and DEL of what is not (or no longer)
// registered: ENOENT.
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

// epollMaxUserWatches (EPL-019): /proc/sys/fs/epoll/max_user_watches bounds
// what one user has registered in all instances together, epoll(7): ENOSPC
// beyond; DEL and the close of an instance or of a target give back what they
// held.
func epollMaxUserWatches(t *testing.T) { atWatchLimit(t, "room") }

// epollChargesCreator (EPL-129): it is the real user who created the instance
// that pays for what is registered in it, whoever registers.
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
	// The child puts it back, unless it is killed; the lock is held until
	// the row ends.
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

// mustLockWatches takes turns with other runs that change max_user_watches,
// which is everyone's. It is the name of a socket that two cannot have, until
// the last that has it open ends, be it by a crash.
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

// lowWatchLimit is far more than anybody on a machine that runs tests has, and
// little enough to be used up in some milliseconds. During these the limit is
// everyone's.
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
	// The charge is the real user's: one who owns nothing yet. The
	// effective user, and with it the right to write, stays what it is.
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

// becomeNewUser makes a user the real one of the calling thread who has not
// been there before.
func becomeNewUser() error {
	newUsers++
	uid := uintptr(1_900_000_000 + 10*unix.Getpid() + newUsers)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, ^uintptr(0), ^uintptr(0)); errno != 0 {
		return errno
	}
	return nil
}

var newUsers int

// epollAtWatchLimit registers until it may not, and then looks at what makes
// room, or at who is charged.
func epollAtWatchLimit(limit int, creator bool) error {
	sources := make([]int, 200)
	for i := range sources {
		fd, err := unix.Eventfd(0, 0)
		if err != nil {
			return fmt.Errorf("eventfd2: %w", err)
		}
		sources[i] = fd
	}
	// fill makes instances and registrations until one is refused, which
	// must be before there are many more than may be.
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

// epollAddReady (EPL-030): ADD of what is ready already is an event like any
// other: there at once, also for a thread that waits, for level and edge.
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

// epollModAsksAgain (EPL-031): MOD looks at the target anew, epoll(7) Q&A
// ("Modify will reread available I/O"): a ready edge-triggered target is
// reported once more with each MOD, also one that changes nothing, and also to
// a thread that waits.
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

// epollModReplaces (EPL-032): MOD replaces mask and data, both whole,
// epoll_ctl(2).
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
	// A change while the event is collected and not yet reported counts,
	// too.
	mod(unix.EPOLLPRI, 2)
	wantReady(t, epfd)
	mod(unix.EPOLLIN|unix.EPOLLOUT, 3)
	wantReady(t, epfd, readiness{unix.EPOLLIN | unix.EPOLLOUT, 3})
}

// epollErrAndHupAlways (EPL-033): ADD and MOD put EPOLLERR and EPOLLHUP into
// every mask, epoll_ctl(2), the empty one included; proc_pid_fdinfo(5) shows
// it.
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

// epollAllMasks (EPL-034): every combination of these bits is a mask that ADD
// and MOD take, and what is reported of a target that can be read and written
// follows from it.
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

// epollUnknownBits (EPL-035): bits of a mask that mean nothing are accepted,
// alone and all at once, and never reported: there was no check when epoll was
// made, epoll_ctl(2) BUGS.
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

// epollOnlyRequestedBits (EPL-036): of what a target reports only what was
// asked for is passed on, and what was asked for and is not there is not.
func epollOnlyRequestedBits(t *testing.T) {
	const in, out = unix.EPOLLIN, unix.EPOLLOUT
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, 0)
	for mask, want := range map[uint32]uint32{
		in:                   in,
		out:                  out,
		in | unix.EPOLLRDHUP: in,
		// An eventfd reports plain IN and OUT only, a socket their NORM
		// twins as well.
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

// epollWakeupNeedsCapability (EPL-037): EPOLLWAKEUP is dropped without a word
// where the caller lacks CAP_BLOCK_SUSPEND, epoll_ctl(2) BUGS, and where the
// kernel cannot suspend (no CONFIG_PM_SLEEP, which /sys/power/wakeup_count
// comes with).
func epollWakeupNeedsCapability(t *testing.T) {
	const capBlockSuspend = 36
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	// kept has the calling thread ask for the bit and looks whether it is
	// there.
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

// epollInputBits (EPL-053): the bits that say how to watch are never reported,
// epoll_ctl(2): "input flags".
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

// epollDataBits (EPL-070): the 64 bits of data come back as they were given,
// epoll_wait(2).
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

// epollUring (EPL-106): io_uring's IORING_OP_EPOLL_CTL (5.6) and
// IORING_OP_EPOLL_WAIT (6.15) do what the system calls do, errors included.
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

// epollCtlOrder (EPL-114): of several things that are wrong with an
// epoll_ctl(2) the first in this order is reported: the event's address, epfd,
// fd, what cannot be polled, the kind of epfd, EPOLLEXCLUSIVE, a loop, what is
// registered.
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

// epollDelReady (EPL-117): DEL takes an event back that was collected and not
// yet reported; a new ADD is a new registration, at the end of those that are
// ready.
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

// epollModIsAtomic (EPL-126): mask and data that are reported belong together,
// whatever MODs are going on.
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

var epollOps = []int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL}

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

// epollPointer puts an event where it does not move.
func epollPointer(tb testing.TB, e unix.EpollEvent) unsafe.Pointer {
	tb.Helper()
	p := unsafe.Pointer(&mustMap(tb, 1)[0])
	*(*unix.EpollEvent)(p) = e
	return p
}

// mustUring makes a ring; the row is skipped where there is none.
func mustUring(tb testing.TB) *uring {
	tb.Helper()
	r, class, why := newUring(tb)
	if r == nil {
		behaviour.Skip(tb, class, "%s", why)
	}
	return r
}

var epollCtlRows = map[string]func(*testing.T){
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
	"EPL-030": epollAddReady,
	"EPL-031": epollModAsksAgain,
	"EPL-032": epollModReplaces,
	"EPL-033": epollErrAndHupAlways,
	"EPL-034": epollAllMasks,
	"EPL-035": epollUnknownBits,
	"EPL-036": epollOnlyRequestedBits,
	"EPL-037": epollWakeupNeedsCapability,
	"EPL-053": epollInputBits,
	"EPL-070": epollDataBits,
	"EPL-106": epollUring,
	"EPL-114": epollCtlOrder,
	"EPL-117": epollDelReady,
	"EPL-126": epollModIsAtomic,
	"EPL-129": epollChargesCreator,
}
