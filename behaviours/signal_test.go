//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestSignal(t *testing.T) {
	behaviour.Run(t, "signal",
		signalSendRows,
		signalQueueRows,
		signalOrderRows,
		signalActionRows,
		signalMaskRows,
		signalHandlerRows,
		signalStackRows,
		signalWaitRows,
		signalRestartRows,
		signalResumeRows,
		signalStopRows,
		signalFaultRows,
		signalProcessRows,
		signalPidfdRows,
		signalTimerRows,
		signalTerminalRows,
		signalOwnerRows)
}

// quiet are the signals that a process of a row's own starts with blocked in
// all its threads: those that the Go runtime does not insist on, so that what
// is sent to the process waits for the row.
var quiet = func() []unix.Signal {
	sigs := []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGVTALRM, unix.SIGIO, unix.SIGPIPE,
		unix.SIGWINCH, unix.SIGPWR, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	for sig := unix.Signal(35); sig <= 64; sig++ {
		sigs = append(sigs, sig)
	}
	return sigs
}()

// listener ends when its standard input does, and repeats what it hears until
// then.
var listener = child.Register("listener", func(p *child.Proc) error {
	p.Say("ready")
	for {
		line, err := p.Hear()
		if err != nil {
			return nil
		}
		p.Say("%s", line)
	}
})

// stray are signals that may be pending at any time: the Go runtime's own, and
// those of children that ended.
const stray = rawsig.Go | 1<<(unix.SIGCHLD-1)

// wantInfo compares all of a siginfo that a sender can fill in.
func wantInfo(t testing.TB, what string, got, want sys.Siginfo) {
	t.Helper()
	text := func(i sys.Siginfo) string {
		return fmt.Sprintf("signal %d, errno %d, code %d, process %d, user %d, value %#x", i.Signo, i.Errno, i.Code, i.Pid, i.UID, i.Value)
	}
	if got != want {
		t.Errorf("%s: siginfo of %s; want %s", what, text(got), text(want))
	}
}

func wantPending(t testing.TB, want sys.Sigset) {
	t.Helper()
	got, err := rawsig.Pending()
	if err != nil {
		t.Fatalf("rt_sigpending: %v", err)
	}
	if got &^= stray; got != want {
		t.Errorf("pending signals %#x, want %#x", got, want)
	}
}

// mustTakeSignal takes a pending signal of set, which must be there.
func mustTakeSignal(t testing.TB, set sys.Sigset) sys.Siginfo {
	t.Helper()
	info, err := rawsig.Take(set)
	if err != nil {
		t.Fatalf("no signal of %#x is pending: %v", set, err)
	}
	return info
}

func wantNone(t testing.TB, set sys.Sigset) {
	t.Helper()
	if info, err := rawsig.Take(set); err != unix.EAGAIN {
		t.Errorf("signal %d is there (%v), want none of %#x", info.Signo, err, set)
	}
}

// wantOrder takes all pending signals of set.
func wantOrder(t testing.TB, set sys.Sigset, want ...unix.Signal) {
	t.Helper()
	var got []unix.Signal
	for {
		info, err := rawsig.Take(set)
		if err != nil {
			break
		}
		got = append(got, unix.Signal(info.Signo))
	}
	if fmt.Sprint(numbers(got)) != fmt.Sprint(numbers(want)) {
		t.Errorf("taken in the order %v, want %v", numbers(got), numbers(want))
	}
}

// wantRuns compares the order in which handlers began.
func wantRuns(t testing.TB, want ...unix.Signal) {
	t.Helper()
	if got := rawsig.Order(); fmt.Sprint(numbers(got)) != fmt.Sprint(numbers(want)) {
		t.Errorf("handlers ran in the order %v, want %v", numbers(got), numbers(want))
	}
}

func numbers(sigs []unix.Signal) []int {
	n := make([]int, len(sigs))
	for i, s := range sigs {
		n[i] = int(s)
	}
	return n
}

// setMask replaces the thread's mask until the row ends.
func setMask(t testing.TB, mask sys.Sigset) {
	t.Helper()
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		t.Fatalf("rt_sigprocmask: %v", err)
	}
}

// blockAll blocks all signals in the row's thread and takes at its end what
// nobody took. The thread ends with the row, its mask too.
func blockAll(t testing.TB) {
	t.Helper()
	setMask(t, rawsig.Blockable)
	t.Cleanup(func() {
		for {
			if _, err := rawsig.Take(rawsig.Blockable); err != nil {
				return
			}
		}
	})
}

func handle(t testing.TB, sig unix.Signal, h rawsig.Handler) {
	t.Helper()
	restore, err := rawsig.Handle(sig, h)
	if err != nil {
		t.Fatal(err)
	}
	rawsig.Forget()
	t.Cleanup(func() {
		if err := restore(); err != nil {
			t.Error(err)
		}
	})
}

// act sets a signal's action by its bare system call.
func act(t testing.TB, sig unix.Signal, action rawsig.Action) {
	t.Helper()
	old, err := rawsig.SetAction(sig, &action)
	if err != nil {
		t.Fatalf("rt_sigaction(%d): %v", sig, err)
	}
	t.Cleanup(func() { rawsig.SetAction(sig, &old) })
}

// A receiver is a bare process that takes one signal of a set.
type receiver struct {
	*bare
	info   *sys.Siginfo
	result *int32
}

func startReceiver(t testing.TB, a *sys.Arena, sigs ...unix.Signal) *receiver {
	t.Helper()
	r := &receiver{info: sys.Place(a, sys.Siginfo{}), result: sys.Place(a, int32(-1))}
	r.bare = startBare(t, a, sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true,
		Args: [6]uintptr{ptrTo(sys.Place(a, sys.Sigs(sigs...))), ptrTo(r.info), 0, 8}, Save: r.result})
	return r
}

// want waits for the signal it took.
func (r *receiver) want(t testing.TB, sig unix.Signal) {
	t.Helper()
	r.bare.want(t)
	if *r.result != int32(sig) {
		t.Errorf("%v took signal %d, want %d", r, *r.result, sig)
	}
}

// zombie forks a child that ends at once, with status 0, and waits for that
// end.
func zombie(t testing.TB) int {
	t.Helper()
	b := startBare(t, fdtest.Arena(t))
	b.awaitEnd(t)
	return b.TID
}

func reap(t testing.TB, pid int) unix.WaitStatus {
	t.Helper()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		t.Fatalf("wait4(%d): %v", pid, err)
	}
	return status
}

// becomeAnybody makes sure that the thread may take any user id.
func becomeAnybody(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		behaviour.Unprivileged(t, "taking other user ids takes root")
	}
	if err := setresuid(-1, 54001, -1); err != nil {
		behaviour.Unprivileged(t, "taking another user id: %v", err)
	}
	if err := setresuid(-1, 0, -1); err != nil {
		t.Fatalf("back to root: setresuid: %v", err)
	}
}

// startAs forks a process with these user ids, which makes calls and then
// sleeps with all signals blocked. becomeAnybody comes first.
func startAs(t testing.TB, a *sys.Arena, real, effective, saved int, calls ...sys.Call) *bare {
	t.Helper()
	ready := a.Word32(0)
	calls = append([]sys.Call{{Name: "setresuid()", Nr: unix.SYS_SETRESUID,
		Args: [6]uintptr{uintptr(real), uintptr(effective), uintptr(saved)}}}, calls...)
	calls = append(calls,
		sys.DieWithParent(), // again: the kernel forgets it with the ids
		sys.FutexSet(ready, 1),
		sys.FutexWaitWhile(a.Word32(0), 0))
	b := startBare(t, a, calls...)
	eventually(t, "a process has its user ids and sleeps", func() bool {
		if b.loop.Failed() {
			t.Fatalf("%v: %v", b, b.loop.Err())
		}
		return atomic.LoadUint32(ready) == 1
	})
	return b
}

// queued returns how many signals are queued for a process's user: SigQ.
func queued(t testing.TB, pid int) int {
	t.Helper()
	text := procStatus(t, pid, "SigQ")
	var n, limit int
	if _, err := fmt.Sscanf(text, "%d/%d", &n, &limit); err != nil {
		t.Fatalf("SigQ of process %d is %q: %v", pid, text, err)
	}
	return n
}

// limitQueue blocks all signals and queues to this process as many of number
// 40, with the values 0, 1, ..., as RLIMIT_SIGPENDING lets it. Other
// processes of the user would take that room, and make room, at any moment.
func limitQueue(t testing.TB, room int) (accepted uint64) {
	t.Helper()
	blockAll(t)
	if !becomeLonely() {
		behaviour.Unprivileged(t, "signals queued by the user's other processes count too: a user of its own takes root")
	}
	limit := uint64(queued(t, os.Getpid()) + room)
	if err := unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		behaviour.Limited(t, "lowering RLIMIT_SIGPENDING to %d: %v", limit, err)
	}
	for {
		err := rawsig.Queue(os.Getpid(), 40, rawsig.Value(accepted))
		if err == unix.EAGAIN {
			break
		}
		wantErr(t, err, nil, "rt_sigqueueinfo(self, 40)")
		if accepted++; accepted > 1000 {
			t.Fatalf("1000 signals were queued with a limit of %d", limit)
		}
	}
	if accepted != uint64(room) {
		t.Errorf("%d signals were queued with room for %d", accepted, room)
	}
	return accepted
}

func wantMask(t testing.TB, what string, want sys.Sigset) {
	t.Helper()
	if got, err := rawsig.Mask(unix.SIG_BLOCK, nil); err != nil || got != want {
		t.Errorf("%s: the mask is %#x (%v), want %#x", what, got, err, want)
	}
}

// action reads a signal's action.
func action(t testing.TB, sig unix.Signal) rawsig.Action {
	t.Helper()
	a, err := rawsig.SetAction(sig, nil)
	if err != nil {
		t.Fatalf("rt_sigaction(%d): %v", sig, err)
	}
	return a
}

// drain takes all pending signals of set.
func drain(set sys.Sigset) {
	for {
		if _, err := rawsig.Take(set); err != nil {
			return
		}
	}
}

// stillBlocked checks that a thread has not returned from a system call, now
// and a little later.
func stillBlocked(t testing.TB, th *child.Thread, nr uintptr) {
	t.Helper()
	for range 2 {
		th.AwaitBlocked(nr)
		select {
		case <-th.Done():
			t.Fatalf("system call %d returned", nr)
		case <-time.After(time.Millisecond):
		}
	}
}

var leaderless = child.Register("leaderless", func(p *child.Proc) error {
	// The first thread takes a P of the Go scheduler's along when it ends.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	ready := make(chan int)
	go func() {
		runtime.LockOSThread()
		ready <- unix.Gettid()
		info, err := rawsig.Wait(sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), child.Patience)
		p.Say("signal %d", info.Signo)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}()
	tid := <-ready
	for start := time.Now(); time.Since(start) < child.Patience; time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid)); err != nil || strings.Contains(string(text), ") S ") {
			break
		}
	}
	p.Say("the first thread ends")
	unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	return nil
})

// startVictim forks a process that sleeps, with the default action for these
// signals and all others blocked.
func startVictim(t testing.TB, sigs ...unix.Signal) *bare {
	t.Helper()
	return startVictimAfter(t, nil, sigs...)
}

func startVictimAfter(t testing.TB, calls []sys.Call, sigs ...unix.Signal) *bare {
	t.Helper()
	a := fdtest.Arena(t)
	for _, sig := range sigs {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP {
			calls = append(calls, sys.Call{Name: "rt_sigaction()", Nr: unix.SYS_RT_SIGACTION, Args: [6]uintptr{uintptr(sig), ptrTo(sys.Place(a, rawsig.Action{})), 0, 8}})
		}
	}
	mask := sys.Place(a, rawsig.Blockable&^sys.Sigs(sigs...))
	ready := a.Word32(0)
	calls = append(calls,
		sys.Call{Name: "rt_sigprocmask()", Nr: unix.SYS_RT_SIGPROCMASK, Args: [6]uintptr{unix.SIG_SETMASK, ptrTo(mask), 0, 8}},
		sys.FutexSet(ready, 1),
		sys.FutexWaitWhile(a.Word32(0), 0))
	b := startBare(t, a, calls...)
	eventually(t, "the child is ready", func() bool {
		if b.loop.Failed() {
			t.Fatalf("%v: %v", b, b.loop.Err())
		}
		return atomic.LoadUint32(ready) == 1
	})
	return b
}

// wantWaited waits for a change of a child's state, waitid(2).
func wantWaited(t testing.TB, pid, options int, code int32, status unix.Signal) {
	t.Helper()
	var info sys.Siginfo
	eventually(t, fmt.Sprintf("waitid with options %#x finds child %d", options, pid), func() bool {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(pid), uintptr(unsafe.Pointer(&info)), uintptr(options|unix.WNOHANG), 0, 0)
		if errno != 0 {
			t.Fatalf("waitid(%d): %v", pid, errno)
		}
		return info.Signo != 0
	})
	if info.Signo != int32(unix.SIGCHLD) || info.Code != code || info.Pid != int32(pid) || int32(info.Value) != int32(status) {
		t.Errorf("waitid: signal %d, code %d, process %d, status %d; want SIGCHLD, %d, %d, %d",
			info.Signo, info.Code, info.Pid, int32(info.Value), code, pid, status)
	}
}

// mustPosixTimer makes a POSIX timer and deletes it at the end of the test.
func mustPosixTimer(tb testing.TB, clock int, event *rawsig.Event) rawsig.Timer {
	tb.Helper()
	timer, err := rawsig.NewTimer(clock, event)
	if err == unix.EAGAIN {
		behaviour.Limited(tb, "timer_create: %v: raise RLIMIT_SIGPENDING (ulimit -i)", err)
	}
	if err != nil {
		tb.Fatalf("timer_create: %v", err)
	}
	tb.Cleanup(func() { timer.Delete() })
	return timer
}

// mustSetTimer arms a POSIX timer; a value of 0 stops it.
func mustSetTimer(tb testing.TB, timer rawsig.Timer, value, interval time.Duration) {
	tb.Helper()
	if _, err := timer.Set(value, interval); err != nil {
		tb.Fatalf("timer_settime: %v", err)
	}
}
