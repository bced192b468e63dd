//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

var eventfdHolder = child.Register("eventfd-holder", func(p *child.Proc) error {
	p.Say("holding")
	_, err := p.Hear()
	return err
})

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

// inFirstUserNamespace reports whether capabilities count everywhere,
// user_namespaces(7).
func inFirstUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
}

// A worker is a thread that blocks all signals and does what it is told.
type worker struct {
	*child.Thread
	work chan func()
}

func startWorker(t testing.TB) *worker {
	t.Helper()
	w := &worker{work: make(chan func())}
	w.Thread = child.Go(t, "worker", func() error {
		mask := rawsig.Blockable
		if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
			return err
		}
		for f := range w.work {
			f()
		}
		return nil
	})
	t.Cleanup(func() { close(w.work) }) // before the thread is joined
	w.do(func() {})                     // by now it has its mask
	return w
}

// do runs f on the worker's thread and waits for its end.
func (w *worker) do(f func()) {
	done := make(chan struct{})
	w.work <- func() { defer close(done); f() }
	<-done
}

// A bare process has no Go runtime: it makes a list of system calls, once, and
// exits.
type bare struct {
	*sys.Task
	loop *sys.Loop
}

// startBare forks it. It inherits the mask, which must block what Go handles.
func startBare(t testing.TB, a *sys.Arena, calls ...sys.Call) *bare {
	t.Helper()
	all := rawsig.Blockable
	old, err := rawsig.Mask(unix.SIG_BLOCK, &all)
	if err != nil {
		t.Fatal(err)
	}
	defer rawsig.Mask(unix.SIG_SETMASK, &old)
	l := sys.NewLoop(a, append([]sys.Call{sys.DieWithParent()}, calls...)...)
	l.Reset(1)
	task, err := sys.NewChild(a, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := task.Stop(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	return &bare{task, l}
}

// awaitEnd waits until it is a zombie.
func (b *bare) awaitEnd(t testing.TB) {
	t.Helper()
	awaitZombie(t, b.TID)
}

// want waits for its end, which must be that all calls returned what they should.
func (b *bare) want(t testing.TB) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v has ended (it is at %s)", b, b.loop.Where()), b.Gone)
	if !b.loop.Ended() {
		t.Errorf("%v: %v", b, b.loop.Err())
	}
}

func awaitZombie(t testing.TB, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool {
		var info sys.Siginfo
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(pid), uintptr(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, 0, 0)
		if errno != 0 {
			t.Fatalf("waitid(%d): %v", pid, errno)
		}
		return info.Signo != 0
	})
}

func mustPidfd(t testing.TB, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("pidfd_open(%d): %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// setresuid is of the calling thread: the C library's function is of all
// threads.
func setresuid(real, effective, saved int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(real), uintptr(effective), uintptr(saved))
	if errno != 0 {
		return errno
	}
	return nil
}

// mixUserIDs makes the thread's real and effective user ids differ, if it may.
func mixUserIDs(t testing.TB) (real int, mixed bool) {
	t.Helper()
	if os.Geteuid() != 0 || setresuid(54001, 54002, 0) != nil {
		return os.Getuid(), false
	}
	t.Cleanup(func() { setresuid(0, 0, 0) })
	return 54001, true
}

// procStatus returns a field of /proc/PID/status, proc_pid_status(5).
func procStatus(t testing.TB, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == field {
			return strings.TrimSpace(value)
		}
	}
	behaviour.Absent(t, "/proc/PID/status has no %s", field)
	return ""
}

// becomeLonely makes the calling thread, if it is root's, one of a user who has
// no other thread and nothing queued.
func becomeLonely() bool {
	const nobodyElse = 54020
	return os.Geteuid() == 0 && setresuid(nobodyElse, nobodyElse, nobodyElse) == nil
}

// guestVar is the environment variable that says that the machine is there for
// the test alone: go tool eventbench guest sets it.
const guestVar = "EVENTBENCH_GUEST"

// A forked is a child made by fork(2) alone: a copy of this process in which
// nothing runs but a table of system calls.
type forked struct {
	*sys.Task
	loop *sys.Loop
}

// mustForkIn has the child's table in an arena that the parent shares.
func mustForkIn(tb testing.TB, a *sys.Arena, calls ...sys.Call) *forked {
	tb.Helper()
	return mustForkLoop(tb, a, 1, calls...)
}

func mustForkLoop(tb testing.TB, a *sys.Arena, n int, calls ...sys.Call) *forked {
	tb.Helper()
	start := sys.NewLoop(a, sys.DieWithParent(), sys.ParentIs(unix.Getpid()))
	start.Reset(1)
	last := start
	if len(calls) > 0 {
		last = sys.NewLoop(a, calls...)
		last.Reset(n)
		start.Then(last)
	}
	task, err := sys.NewChild(a, start)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := task.Stop(0); err != nil {
			tb.Error(err)
		}
	})
	return &forked{task, last}
}

// want waits for the child's end, which must be that all calls came back as they should.
func (f *forked) want(tb testing.TB) {
	tb.Helper()
	for end := time.Now().Add(child.Patience); !f.Gone(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			tb.Fatalf("%v: still in %s after %v", f, f.loop.Where(), child.Patience)
		}
	}
	if !f.loop.Ended() {
		tb.Errorf("%v: %v", f, f.loop.Err())
	}
}

// awaitBlocked waits until the child sleeps in a system call.
func (f *forked) awaitBlocked(tb testing.TB, nr int) {
	tb.Helper()
	prefix := strconv.Itoa(nr) + " "
	for end := time.Now().Add(child.Patience); ; time.Sleep(100 * time.Microsecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", f.TID))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			time.Sleep(grace) // the best that can be done
			return
		}
		if err == nil && strings.HasPrefix(string(text), prefix) {
			return
		}
		if f.Gone() || time.Now().After(end) {
			tb.Fatalf("%v in system call %q, %v; want it asleep in %d", f, text, err, nr)
		}
	}
}

// mustAwait waits until a descriptor can be read.
func mustAwait(tb testing.TB, fd int) {
	tb.Helper()
	for end := time.Now().Add(child.Patience / 2); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n == 1 {
			return
		}
		if err != nil && err != unix.EINTR || time.Now().After(end) {
			tb.Fatalf("poll = %d, %v; want something to read", n, err)
		}
	}
}

// isSharedInodesOwner reports whether the thread owns the inode that these
// files share, or has the capability that makes up for not owning it.
func isSharedInodesOwner(tb testing.TB, capability int) bool {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(newEventfd(tb, 0, unix.EFD_CLOEXEC), &st); err != nil {
		tb.Fatal(err)
	}
	// A user namespace may have the first one's root, or show him as
	// nobody.
	const nobody = 65534
	return st.Uid == uint32(os.Geteuid()) && st.Uid != nobody || hasCapability(tb, capability)
}

// hasCapability reports whether the thread has a capability that counts for
// what is root's, capabilities(7).
func hasCapability(tb testing.TB, capability int) bool {
	tb.Helper()
	caps, err := capabilities()
	if err != nil {
		tb.Fatal(err)
	}
	return caps.effective()>>capability&1 != 0 && inFirstUserNamespace()
}

// fetchFromChild gives a child a descriptor and gets it back by pidfd_getfd(2).
func fetchFromChild(tb testing.TB, fd int) int {
	tb.Helper()
	p := child.Start(tb, eventfdHolder, child.Options{Files: []int{fd}})
	p.Expect("holding")
	pidfd, err := unix.PidfdOpen(p.Pid, 0)
	closable(tb, pidfd, err)
	got, err := unix.PidfdGetfd(pidfd, child.FirstFile, 0)
	if err == unix.EPERM {
		behaviour.Unprivileged(tb, "pidfd_getfd of a child: %v", err)
	}
	closable(tb, got, err)
	return got
}

// asNobody runs f on a thread that has no privileges, of one that has.
func asNobody(tb testing.TB, f func() error) {
	tb.Helper()
	child.Go(tb, "thread of an ordinary user", func() error {
		// The call itself: Go's is for all threads.
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			return fmt.Errorf("setresuid: %w", errno)
		}
		return f()
	}).Join()
}

// A forkedTask is a child made by fork(2) alone: unlike one that has executed a
// program it has its parent's epoll instances as they are, and unlike Go it
// knows what it does.
type forkedTask struct {
	tb   testing.TB
	task *sys.Task
	loop *sys.Loop
}

// startFork forks a child that makes the calls, with all signals blocked, and
// ends. It is killed at the end of the test.
func startFork(tb testing.TB, a *sys.Arena, calls ...sys.Call) *forkedTask {
	tb.Helper()
	loop := sys.NewLoop(a, slices.Concat([]sys.Call{sys.DieWithParent()}, calls)...)
	loop.Reset(1)
	old, err := sys.Mask(rawsig.All)
	if err != nil {
		tb.Fatal(err)
	}
	task, err := sys.NewChild(a, loop)
	if _, err := sys.Mask(old); err != nil {
		tb.Fatal(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := task.Stop(0); err != nil {
			tb.Error(err)
		}
	})
	return &forkedTask{tb, task, loop}
}

// wait waits for the child to have made its calls, with the results they want.
func (f *forkedTask) wait() {
	f.tb.Helper()
	for deadline := time.Now().Add(child.Patience); !f.task.Gone(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			f.tb.Fatalf("the forked child still runs after %v, in %s", child.Patience, f.loop.Where())
		}
	}
	if !f.loop.Ended() {
		f.tb.Fatalf("%v: %v", f.task, f.loop.Err())
	}
}
