//go:build linux

package behaviours

import (
	"fmt"
	"maps"
	"math"
	"os"
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

// Sending, queueing and choosing signals. Handlers and waits are in
// signal_handler_test.go, processes, exec and pidfds in
// signal_process_test.go, timers in signal_timer_test.go.

func TestSignal(t *testing.T) {
	rows := maps.Clone(signalRows)
	maps.Copy(rows, signalHandlerRows)
	maps.Copy(rows, signalProcessRows)
	maps.Copy(rows, signalTimerRows)
	maps.Copy(rows, signalPidfdRows)
	maps.Copy(rows, signalFaultRows)
	maps.Copy(rows, signalTerminalRows)
	behaviour.Run(t, "signal", rows)
}

var signalRows = map[string]func(*testing.T){
	"SIG-01": nullSignalProbes,
	"SIG-02": zombieTakesSignals,
	"SIG-03": behaviour.Alone(killReachesOwnGroup, quiet...),
	"SIG-04": behaviour.Alone(killReachesGroup, quiet...),
	"SIG-05": behaviour.AloneIn(unix.CLONE_NEWPID, killReachesAll, quiet...),
	"SIG-06": killOfIntMin,
	"SIG-07": signalNumbers,
	"SIG-08": behaviour.Alone(orderOfKillErrors, quiet...),
	"SIG-09": behaviour.Alone(killPermission, quiet...),
	"SIG-10": behaviour.Alone(contWithinSession, quiet...),
	"SIG-11": behaviour.Alone(killByThreadID, quiet...),
	"SIG-12": behaviour.Alone(killOfOneself, quiet...),
	"SIG-13": tgkillOfNobody,
	"SIG-14": tgkillWantsThreadOfGroup,
	"SIG-15": tgkillOfEndedThread,
	"SIG-16": behaviour.Alone(tgkillSender, quiet...),
	"SIG-17": behaviour.Alone(killSender, quiet...),
	"SIG-18": threadSignalIsThreads,
	"SIG-19": behaviour.Alone(mainThreadFirst, quiet...),
	"SIG-20": behaviour.Alone(queueMayNotForge, quiet...),
	"SIG-21": behaviour.Alone(queueOfSignalZero, quiet...),
	"SIG-22": behaviour.Alone(queueBadTarget, quiet...),
	"SIG-23": behaviour.Alone(queueKeepsFields, quiet...),
	"SIG-24": behaviour.Alone(tgqueueToThread, quiet...),
	"SIG-25": behaviour.Alone(queueValue, quiet...),
	"SIG-26": behaviour.Alone(realTimeQueues, quiet...),
	"SIG-27": behaviour.Alone(standardMerges, quiet...),
	"SIG-29": behaviour.Alone(lowestRealTimeFirst, quiet...),
	"SIG-30": behaviour.Alone(standardBeforeRealTime, quiet...),
	"SIG-32": synchronousFirst,
	"SIG-35": behaviour.Alone(handlersInOrder, quiet...),
	"SIG-36": behaviour.Alone(queueLimit, quiet...),
	"SIG-39": behaviour.Alone(queueLimitIsPerUser, quiet...),
	"SIG-40": behaviour.Alone(timersCountAsQueued, quiet...),
}

// nullSignalProbes: signal 0 only looks whether the process is there.
func nullSignalProbes(t *testing.T) {
	p := child.Start(t, listener, child.Options{})
	wantErr(t, rawsig.Kill(p.Pid, 0), nil, "kill(child, 0)")
	wantErr(t, rawsig.Tgkill(p.Pid, p.Pid, 0), nil, "tgkill(child, child, 0)")
	wantErr(t, rawsig.Tkill(p.Pid, 0), nil, "tkill(child, 0)")
	p.Wait() // it ends as it should: none of these was a signal
	for _, sig := range []unix.Signal{0, unix.SIGTERM} {
		wantErr(t, rawsig.Kill(p.Pid, sig), unix.ESRCH, "kill(reaped child, %d)", sig)
		wantErr(t, rawsig.Tgkill(p.Pid, p.Pid, sig), unix.ESRCH, "tgkill(reaped child, reaped child, %d)", sig)
		wantErr(t, rawsig.Tkill(p.Pid, sig), unix.ESRCH, "tkill(reaped child, %d)", sig)
	}
}

// zombieTakesSignals: an ended process is there until it is reaped, and what it
// is sent changes nothing about how it ended.
func zombieTakesSignals(t *testing.T) {
	pid := zombie(t)
	for _, sig := range []unix.Signal{0, unix.SIGUSR1, unix.SIGKILL, 40} {
		wantErr(t, rawsig.Kill(pid, sig), nil, "kill(zombie, %d)", sig)
		wantErr(t, rawsig.Tgkill(pid, pid, sig), nil, "tgkill(zombie, zombie, %d)", sig)
		wantErr(t, rawsig.Queue(pid, sig, rawsig.Value(1)), nil, "rt_sigqueueinfo(zombie, %d)", sig)
	}
	if status := reap(t, pid); !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("the zombie's status is %#x after it was sent signals, want exit status 0", status)
	}
	wantErr(t, rawsig.Kill(pid, 0), unix.ESRCH, "kill(reaped, 0)")
}

// killReachesOwnGroup: kill(0) reaches all of the caller's process group, the
// caller among them, and nobody else.
func killReachesOwnGroup(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	var member [2]*receiver
	for i := range member {
		member[i] = startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	}
	other := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	wantErr(t, unix.Setpgid(other.TID, other.TID), nil, "setpgid(other, other)")

	wantErr(t, rawsig.Kill(0, unix.SIGUSR1), nil, "kill(0, SIGUSR1)")
	for _, m := range member {
		m.want(t, unix.SIGUSR1)
		if m.info.Pid != int32(os.Getpid()) {
			t.Errorf("a member was told of sender %d, want %d", m.info.Pid, os.Getpid())
		}
	}
	wantPending(t, sys.Sigs(unix.SIGUSR1))
	mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	wantErr(t, rawsig.Kill(other.TID, unix.SIGUSR2), nil, "kill(other, SIGUSR2)")
	other.want(t, unix.SIGUSR2) // SIGUSR1 would have come first
}

// killReachesGroup: kill(-pgid) reaches all of another process group, and the
// group is there as long as a member is, be it a zombie.
func killReachesGroup(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	leader := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	wantErr(t, unix.Setpgid(leader.TID, leader.TID), nil, "setpgid(leader, leader)")
	member := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	wantErr(t, unix.Setpgid(member.TID, leader.TID), nil, "setpgid(member, leader)")
	other := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)

	wantErr(t, rawsig.Kill(-leader.TID, unix.SIGUSR1), nil, "kill(-pgid, SIGUSR1)")
	leader.awaitEnd(t)
	member.awaitEnd(t)
	wantPending(t, 0)
	wantErr(t, rawsig.Kill(-leader.TID, unix.SIGUSR1), nil, "kill(-pgid of zombies, SIGUSR1)")
	leader.want(t, unix.SIGUSR1)
	member.want(t, unix.SIGUSR1)
	wantErr(t, rawsig.Kill(-leader.TID, 0), unix.ESRCH, "kill(-pgid of nobody, 0)")
	wantErr(t, rawsig.Kill(-leader.TID, unix.SIGUSR1), unix.ESRCH, "kill(-pgid of nobody, SIGUSR1)")
	// A process that does not lead its group has no group by its id.
	wantErr(t, rawsig.Kill(-other.TID, unix.SIGUSR1), unix.ESRCH, "kill(-pid of a member, SIGUSR1)")
	wantErr(t, rawsig.Kill(other.TID, unix.SIGUSR2), nil, "kill(other, SIGUSR2)")
	other.want(t, unix.SIGUSR2)
}

// killReachesAll: kill(-1) reaches all but the caller and the first process; it
// runs as the first process of a pid namespace, so that "all" are its own children.
func killReachesAll(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	wantErr(t, rawsig.Kill(-1, unix.SIGUSR1), unix.ESRCH, "kill(-1) by a lonely first process")
	one := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	two := startReceiver(t, a, unix.SIGUSR1, unix.SIGUSR2)
	pending := sys.Place(a, sys.Sigset(0))
	result := sys.Place(a, int32(-1))
	caller := startBare(t, a,
		sys.Call{Name: "kill(-1, SIGUSR1)", Nr: unix.SYS_KILL, Args: [6]uintptr{minusOne, uintptr(unix.SIGUSR1)}, Save: result},
		sys.Call{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(pending), 8}})
	caller.want(t)
	if *result != 0 {
		t.Errorf("kill(-1, SIGUSR1) returned %d", *result)
	}
	if *pending != 0 {
		t.Errorf("the caller itself has %#x pending", *pending)
	}
	one.want(t, unix.SIGUSR1)
	two.want(t, unix.SIGUSR1)
	wantPending(t, 0)
}

// killOfIntMin: the negation of INT_MIN is no process group.
func killOfIntMin(t *testing.T) {
	wantErr(t, rawsig.Kill(math.MinInt32, 0), unix.ESRCH, "kill(INT_MIN, 0)")
	wantErr(t, rawsig.Kill(math.MinInt32, unix.SIGTERM), unix.ESRCH, "kill(INT_MIN, SIGTERM)")
}

// signalNumbers: 0 to 64 are signals, to all ways of sending.
func signalNumbers(t *testing.T) {
	pid := zombie(t)
	pidfd := mustPidfd(t, pid)
	for _, way := range []struct {
		name string
		send func(sig unix.Signal) error
	}{
		{"kill", func(sig unix.Signal) error { return rawsig.Kill(pid, sig) }},
		{"tkill", func(sig unix.Signal) error { return rawsig.Tkill(pid, sig) }},
		{"tgkill", func(sig unix.Signal) error { return rawsig.Tgkill(pid, pid, sig) }},
		{"rt_sigqueueinfo", func(sig unix.Signal) error { return rawsig.Queue(pid, sig, rawsig.Value(0)) }},
		{"rt_tgsigqueueinfo", func(sig unix.Signal) error { return rawsig.Tgqueue(pid, pid, sig, rawsig.Value(0)) }},
		{"pidfd_send_signal", func(sig unix.Signal) error { return rawsig.PidfdSend(pidfd, sig, nil, 0) }},
	} {
		for sig := unix.Signal(0); sig <= 64; sig++ {
			wantErr(t, way.send(sig), nil, "%s of signal %d", way.name, sig)
		}
		for _, sig := range []unix.Signal{65, 128, 200, -1, -9, math.MaxInt32, math.MinInt32} {
			wantErr(t, way.send(sig), unix.EINVAL, "%s of signal %d", way.name, sig)
		}
	}
}

// orderOfKillErrors: no such process, then no such signal, then no permission.
func orderOfKillErrors(t testing.TB) {
	gone := zombie(t)
	reap(t, gone)
	wantErr(t, rawsig.Kill(gone, 200), unix.ESRCH, "kill(gone, 200)")
	wantErr(t, rawsig.Kill(-gone, 200), unix.ESRCH, "kill(-gone, 200)")
	wantErr(t, rawsig.Tkill(gone, 200), unix.ESRCH, "tkill(gone, 200)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), gone, 200), unix.ESRCH, "tgkill(self, gone, 200)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), 0, 200), unix.EINVAL, "tgkill(self, 0, 200)")
	wantErr(t, rawsig.Queue(gone, 200, rawsig.Value(0)), unix.ESRCH, "rt_sigqueueinfo(gone, 200)")

	pid := becomeStranger(t)
	wantErr(t, rawsig.Kill(pid, 0), unix.EPERM, "kill(another user's, 0)")
	wantErr(t, rawsig.Kill(pid, unix.SIGCHLD), unix.EPERM, "kill(another user's, SIGCHLD)")
	wantErr(t, rawsig.Tgkill(pid, pid, 0), unix.EPERM, "tgkill(another user's, 0)")
	wantErr(t, rawsig.Queue(pid, 0, rawsig.Value(0)), unix.EPERM, "rt_sigqueueinfo(another user's, 0)")
	wantErr(t, rawsig.Kill(pid, 200), unix.EINVAL, "kill(another user's, 200)")
	wantErr(t, rawsig.Tgkill(pid, pid, 200), unix.EINVAL, "tgkill(another user's, 200)")
	wantErr(t, rawsig.Queue(pid, 200, rawsig.Value(0)), unix.EINVAL, "rt_sigqueueinfo(another user's, 200)")
}

// killPermission: the sender's real or effective user id must be the target's
// real or saved one. The target's effective id does not count.
func killPermission(t testing.TB) {
	const r, e, s, other = 54001, 54002, 54003, 54004 // of the target, and nobody's
	becomeAnybody(t)
	target := startAs(t, fdtest.Arena(t), r, e, s).TID
	for _, c := range []struct {
		real, effective int
		want            error
	}{
		{r, other, nil}, {s, other, nil}, {other, r, nil}, {other, s, nil}, {r, r, nil}, {s, s, nil},
		{e, e, unix.EPERM}, {e, other, unix.EPERM}, {other, e, unix.EPERM}, {other, other, unix.EPERM},
	} {
		as(t, c.real, c.effective, func() {
			what := fmt.Sprintf("by real %d and effective %d to real %d, effective %d and saved %d", c.real, c.effective, r, e, s)
			wantErr(t, rawsig.Kill(target, 0), c.want, "kill(0) %s", what)
			wantErr(t, rawsig.Kill(target, unix.SIGUSR1), c.want, "kill %s", what)
			wantErr(t, rawsig.Tgkill(target, target, unix.SIGUSR1), c.want, "tgkill %s", what)
			wantErr(t, rawsig.Queue(target, unix.SIGUSR1, rawsig.Value(0)), c.want, "rt_sigqueueinfo %s", what)
		})
	}
	wantErr(t, rawsig.Kill(target, 0), nil, "kill(0) by root")
}

// contWithinSession: SIGCONT, and no other signal, goes to any process of the
// sender's session, whoever owns it.
func contWithinSession(t testing.TB) {
	becomeAnybody(t)
	a := fdtest.Arena(t)
	here := startAs(t, a, 54001, 54001, 54001).TID
	elsewhere := startAs(t, a, 54001, 54001, 54001,
		sys.Call{Name: "setsid()", Nr: unix.SYS_SETSID, AnyCount: true, Want: -1}).TID
	as(t, 54002, 54002, func() {
		wantErr(t, rawsig.Kill(here, unix.SIGCONT), nil, "kill(SIGCONT) within the session")
		wantErr(t, rawsig.Tgkill(here, here, unix.SIGCONT), nil, "tgkill(SIGCONT) within the session")
		for sig := unix.Signal(0); sig <= 64; sig++ {
			if sig != unix.SIGCONT {
				wantErr(t, rawsig.Kill(here, sig), unix.EPERM, "kill(%d) within the session", sig)
			}
		}
		wantErr(t, rawsig.Kill(elsewhere, unix.SIGCONT), unix.EPERM, "kill(SIGCONT) to another session")
	})
}

// killByThreadID: kill by the id of a thread that does not lead is a signal to its process.
func killByThreadID(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	wantErr(t, rawsig.Kill(w.Tid, unix.SIGUSR1), nil, "kill(thread, SIGUSR1)")
	if info := mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)); info.Code != rawsig.SIUser {
		t.Errorf("si_code %d, want SI_USER", info.Code)
	}
	wantErr(t, rawsig.Tkill(w.Tid, unix.SIGUSR1), nil, "tkill(thread, SIGUSR1)")
	wantPending(t, 0)
	w.do(func() { mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)) })
}

// killOfOneself: a signal that a process sends itself, and that no other thread takes,
// is handled before kill returns.
func killOfOneself(t testing.TB) {
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1))
	for i := range 100 {
		wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
		if got := rawsig.Ran(unix.SIGUSR1); got != i+1 {
			t.Fatalf("kill returned the %d. time after %d runs of the handler", i+1, got)
		}
	}
}

// tgkillOfNobody: a thread or group id below 1 is EINVAL, whatever the signal: that is checked first of all, tkill(2).
func tgkillOfNobody(t *testing.T) {
	self, tid := os.Getpid(), unix.Gettid()
	for _, sig := range []unix.Signal{0, unix.SIGUSR1, 200} {
		for _, id := range []int{0, -1, math.MinInt32} {
			wantErr(t, rawsig.Tkill(id, sig), unix.EINVAL, "tkill(%d, %d)", id, sig)
			wantErr(t, rawsig.Tgkill(id, tid, sig), unix.EINVAL, "tgkill(%d, self, %d)", id, sig)
			wantErr(t, rawsig.Tgkill(self, id, sig), unix.EINVAL, "tgkill(self, %d, %d)", id, sig)
		}
	}
}

// tgkillWantsThreadOfGroup: a thread of another process is not a thread of this one.
func tgkillWantsThreadOfGroup(t *testing.T) {
	p := child.Start(t, listener, child.Options{})
	wantErr(t, rawsig.Tgkill(os.Getpid(), p.Pid, unix.SIGTERM), unix.ESRCH, "tgkill(self, child, SIGTERM)")
	wantErr(t, rawsig.Tgkill(p.Pid, unix.Gettid(), unix.SIGTERM), unix.ESRCH, "tgkill(child, self, SIGTERM)")
	wantErr(t, rawsig.Tgkill(unix.Gettid(), unix.Gettid(), 0), unix.ESRCH, "tgkill(thread id as group, self, 0)")
	p.Wait()
}

// tgkillOfEndedThread: a thread that ended is gone at once; nobody reaps it.
func tgkillOfEndedThread(t *testing.T) {
	th := child.Go(t, "ending thread", func() error { return nil })
	th.Join()
	eventually(t, "the ended thread is gone", func() bool { return rawsig.Tgkill(os.Getpid(), th.Tid, 0) != nil })
	wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 0), unix.ESRCH, "tgkill(self, ended, 0)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, unix.SIGTERM), unix.ESRCH, "tgkill(self, ended, SIGTERM)")
	wantErr(t, rawsig.Tkill(th.Tid, unix.SIGTERM), unix.ESRCH, "tkill(ended, SIGTERM)")
}

// tgkillSender: tgkill says SI_TKILL and who sent it: process and real user.
func tgkillSender(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	uid, mixed := mixUserIDs(t)
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"tgkill", func() error { return rawsig.Tgkill(os.Getpid(), os.Getpid(), unix.SIGUSR1) }},
		{"tkill", func() error { return rawsig.Tkill(os.Getpid(), unix.SIGUSR1) }},
	} {
		var err error
		if mixed {
			err = c.send() // of this thread only
		} else {
			w.do(func() { err = c.send() }) // whose id is not the process's
		}
		wantErr(t, err, nil, "%s(self, SIGUSR1)", c.name)
		wantInfo(t, c.name, mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
			Signo: int32(unix.SIGUSR1), Code: rawsig.SITkill, Pid: int32(os.Getpid()), UID: int32(uid)})
	}
}

// killSender: kill says SI_USER and which process sent it, whichever of its threads did.
func killSender(t testing.TB) {
	blockAll(t)
	uid, _ := mixUserIDs(t)
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantInfo(t, "kill by oneself", mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
		Signo: int32(unix.SIGUSR1), Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(uid)})
	startWorker(t).do(func() {
		wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "another thread's kill(self, SIGUSR1)")
	})
	info := mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	if info.Code != rawsig.SIUser || info.Pid != int32(os.Getpid()) {
		t.Errorf("kill by another thread: code %d of %d, want SI_USER of process %d", info.Code, info.Pid, os.Getpid())
	}
	sender := startBare(t, fdtest.Arena(t), sys.Kill(os.Getpid(), 40))
	sender.want(t)
	wantInfo(t, "kill by a child", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
		Signo: 40, Code: rawsig.SIUser, Pid: int32(sender.TID), UID: int32(uid)})
}

// threadSignalIsThreads: nobody but the thread it was sent to can take a signal, or sees it pending.
func threadSignalIsThreads(t *testing.T) {
	blockAll(t)
	one, two := startWorker(t), startWorker(t)
	wantErr(t, rawsig.Tgkill(os.Getpid(), one.Tid, 40), nil, "tgkill(self, one, 40)")
	wantPending(t, 0)
	wantNone(t, rawsig.Blockable&^stray)
	two.do(func() {
		wantPending(t, 0)
		wantNone(t, rawsig.Blockable&^stray)
	})
	one.do(func() {
		wantPending(t, sys.Sigs(40))
		mustTakeSignal(t, sys.Sigs(40))
		wantPending(t, 0)
	})
}

// mainThreadFirst: a signal to the process goes to its first thread if that
// does not block it, whoever sends it, else to one that does not.
func mainThreadFirst(t testing.TB) {
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	blockAll(t)
	w := startWorker(t)
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(40)) })
	send := func(want int) {
		t.Helper()
		rawsig.Forget()
		w.do(func() { wantErr(t, rawsig.Kill(os.Getpid(), 40), nil, "kill(self, 40)") })
		eventually(t, "the handler ran", func() bool { return rawsig.Ran(40) == 1 })
		if got := rawsig.Runs()[0].TID; got != int64(want) {
			t.Errorf("thread %d ran the handler, want %d (first thread %d)", got, want, os.Getpid())
		}
	}
	for range 10 {
		setMask(t, rawsig.Blockable&^sys.Sigs(40))
		send(os.Getpid())
		setMask(t, rawsig.Blockable)
		send(w.Tid)
	}
	wantPending(t, 0)
}

// queueMayNotForge: what looks as if the kernel, kill or tgkill had sent it
// goes to the sender itself only. That is checked before the target is looked for.
func queueMayNotForge(t testing.TB) {
	blockAll(t)
	other := startReceiver(t, fdtest.Arena(t), unix.SIGUSR1, unix.SIGUSR2)
	gone := zombie(t)
	reap(t, gone)
	for _, code := range []int32{rawsig.SIUser, 1, rawsig.SIKernel, math.MaxInt32, rawsig.SITkill} {
		info := &sys.Siginfo{Code: code, Pid: 1, Value: 5}
		wantErr(t, rawsig.Queue(other.TID, unix.SIGUSR1, info), unix.EPERM, "rt_sigqueueinfo(child, code %d)", code)
		wantErr(t, rawsig.Tgqueue(other.TID, other.TID, unix.SIGUSR1, info), unix.EPERM, "rt_tgsigqueueinfo(child, code %d)", code)
		wantErr(t, rawsig.Queue(gone, unix.SIGUSR1, info), unix.EPERM, "rt_sigqueueinfo(gone, code %d)", code)
		wantErr(t, rawsig.Queue(other.TID, 200, info), unix.EPERM, "rt_sigqueueinfo(child, signal 200, code %d)", code)

		wantErr(t, rawsig.Queue(os.Getpid(), 40, info), nil, "rt_sigqueueinfo(self, code %d)", code)
		if got := mustTakeSignal(t, sys.Sigs(40)); got.Code != code {
			t.Errorf("queued with code %d, taken with %d", code, got.Code)
		}
		wantErr(t, rawsig.Tgqueue(os.Getpid(), os.Getpid(), 40, info), nil, "rt_tgsigqueueinfo(self, code %d)", code)
		mustTakeSignal(t, sys.Sigs(40))
	}
	for _, code := range []int32{rawsig.SIQueue, rawsig.SITimer, -3, -60, math.MinInt32} {
		wantErr(t, rawsig.Queue(other.TID, 0, &sys.Siginfo{Code: code}), nil, "rt_sigqueueinfo(child, code %d)", code)
	}
	wantErr(t, rawsig.Queue(other.TID, unix.SIGUSR2, rawsig.Value(0)), nil, "rt_sigqueueinfo(child, SIGUSR2)")
	other.want(t, unix.SIGUSR2) // no SIGUSR1 before
}

// queueOfSignalZero: signal 0 is checks only, here too.
func queueOfSignalZero(t testing.TB) {
	blockAll(t)
	gone := zombie(t)
	reap(t, gone)
	self := os.Getpid()
	wantErr(t, rawsig.Queue(self, 0, rawsig.Value(1)), nil, "rt_sigqueueinfo(self, 0)")
	wantErr(t, rawsig.Tgqueue(self, self, 0, rawsig.Value(1)), nil, "rt_tgsigqueueinfo(self, 0)")
	wantErr(t, rawsig.Queue(gone, 0, rawsig.Value(1)), unix.ESRCH, "rt_sigqueueinfo(gone, 0)")
	wantErr(t, rawsig.Tgqueue(self, gone, 0, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(self, gone, 0)")
	wantPending(t, 0)
}

// queueBadTarget: the siginfo is read before anything else; groups are no targets.
func queueBadTarget(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	for _, sig := range []unix.Signal{0, unix.SIGUSR1, 200} {
		for _, pid := range []int{self, 0, -1} {
			for _, pointer := range []uintptr{0, badPointer} {
				wantErr(t, rawsig.Do(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), pointer), unix.EFAULT,
					"rt_sigqueueinfo(%d, %d, %d)", pid, sig, pointer)
				wantErr(t, rawsig.Do(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(pid), uintptr(self), uintptr(sig), pointer), unix.EFAULT,
					"rt_tgsigqueueinfo(%d, self, %d, %d)", pid, sig, pointer)
			}
		}
	}
	for _, pid := range []int{0, -1, -unix.Getpgrp(), math.MinInt32} {
		wantErr(t, rawsig.Queue(pid, unix.SIGUSR1, rawsig.Value(1)), unix.ESRCH, "rt_sigqueueinfo(%d, SIGUSR1)", pid)
	}
	wantPending(t, 0)
}

// queueKeepsFields: of a siginfo only the signal number is the kernel's; sender
// and user are what the sender wrote.
func queueKeepsFields(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	info := sys.Siginfo{Signo: 9, Errno: 77, Code: -42, Pid: 0x11223344, UID: 0x55667788, Value: 0x99aabbccddeeff00}
	want := info
	want.Signo = 41
	wantErr(t, rawsig.Queue(self, 41, &info), nil, "rt_sigqueueinfo(self, 41)")
	wantInfo(t, "rt_sigqueueinfo", mustTakeSignal(t, sys.Sigs(41)), want)
	wantErr(t, rawsig.Tgqueue(self, self, 41, &info), nil, "rt_tgsigqueueinfo(self, self, 41)")
	wantInfo(t, "rt_tgsigqueueinfo", mustTakeSignal(t, sys.Sigs(41)), want)
	if info.Signo != 9 {
		t.Errorf("the sender's siginfo has signal %d now, had 9", info.Signo)
	}
}

// tgqueueToThread: rt_tgsigqueueinfo brings the value to one thread.
func tgqueueToThread(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	w := startWorker(t)
	for _, id := range []int{0, -1} {
		wantErr(t, rawsig.Tgqueue(id, w.Tid, 40, rawsig.Value(1)), unix.EINVAL, "rt_tgsigqueueinfo(%d, worker)", id)
		wantErr(t, rawsig.Tgqueue(self, id, 40, rawsig.Value(1)), unix.EINVAL, "rt_tgsigqueueinfo(self, %d)", id)
	}
	other := zombie(t)
	wantErr(t, rawsig.Tgqueue(self, other, 40, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(self, a child)")
	wantErr(t, rawsig.Tgqueue(other, w.Tid, 40, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(a child, worker)")
	wantErr(t, rawsig.Tgqueue(self, w.Tid, 40, rawsig.Value(17)), nil, "rt_tgsigqueueinfo(self, worker)")
	wantPending(t, 0)
	w.do(func() {
		if info := mustTakeSignal(t, sys.Sigs(40)); info.Code != rawsig.SIQueue || info.Value != 17 {
			t.Errorf("code %d, value %d; want SI_QUEUE, 17", info.Code, info.Value)
		}
	})
}

// queueValue: sigqueue's value arrives, all 64 bits of it, for standard and
// real-time signals, between processes too.
func queueValue(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 35, 40, 64} {
		for _, value := range []uint64{0, 1, math.MaxInt32, math.MaxUint32, math.MaxUint64, 0x7fffaabbccddeeff} {
			wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(value)), nil, "rt_sigqueueinfo(self, %d)", sig)
			info := mustTakeSignal(t, sys.Sigs(sig))
			if info.Code != rawsig.SIQueue || info.Value != value || info.Pid != int32(os.Getpid()) || info.UID != int32(os.Getuid()) {
				t.Errorf("signal %d: %+v; want SI_QUEUE, value %#x, process %d, user %d", sig, info, value, os.Getpid(), os.Getuid())
			}
		}
	}
	a := fdtest.Arena(t)
	sender := startBare(t, a, sys.Sigqueue(os.Getpid(), 40, sys.Place(a, sys.Siginfo{Code: rawsig.SIQueue, Pid: 1, Value: 99})))
	sender.want(t)
	if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != 99 || info.Code != rawsig.SIQueue {
		t.Errorf("from a child: %+v; want SI_QUEUE, value 99", info)
	}
}

// realTimeQueues: n sends of a real-time signal are n deliveries, in order.
func realTimeQueues(t testing.TB) {
	blockAll(t)
	const n = 20
	behaviour.NeedPending(t, n)
	for _, c := range []struct {
		name string
		send func(v uint64) error
	}{
		{"to the process", func(v uint64) error { return rawsig.Queue(os.Getpid(), 40, rawsig.Value(v)) }},
		{"to the thread", func(v uint64) error { return rawsig.Tgqueue(os.Getpid(), os.Getpid(), 40, rawsig.Value(v)) }},
	} {
		for v := range uint64(n) {
			wantErr(t, c.send(v), nil, "queueing %s", c.name)
		}
		for v := range uint64(n) {
			wantPending(t, sys.Sigs(40))
			if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != v {
				t.Errorf("%s: value %d came in place %d", c.name, info.Value, v)
			}
		}
		wantPending(t, 0)
		wantNone(t, sys.Sigs(40))
	}
}

// standardMerges: a standard signal is pending once; what is sent meanwhile
// succeeds and is dropped, and the first siginfo stays.
func standardMerges(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	for v := range uint64(3) {
		wantErr(t, rawsig.Queue(self, unix.SIGUSR1, rawsig.Value(v+1)), nil, "rt_sigqueueinfo(self, SIGUSR1)")
	}
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	if info := mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)); info.Code != rawsig.SIQueue || info.Value != 1 {
		t.Errorf("code %d, value %d; want those of the first, SI_QUEUE and 1", info.Code, info.Value)
	}
	wantNone(t, sys.Sigs(unix.SIGUSR1))
	// The process and the thread keep one each.
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(unix.SIGUSR1), nil, "tgkill(self, SIGUSR1)")
	mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	wantNone(t, sys.Sigs(unix.SIGUSR1))
}

// lowestRealTimeFirst: among real-time signals the lowest number comes first,
// and those of one number in the order they were sent.
func lowestRealTimeFirst(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{45, 41, 64, 41, 35, 45} {
		wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(uint64(sig))), nil, "rt_sigqueueinfo(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, 35, 41, 41, 45, 45, 64)
}

// standardBeforeRealTime: standard signals have lower numbers, and Linux takes the lowest first.
func standardBeforeRealTime(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{40, 35, unix.SIGIO, unix.SIGUSR1} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, unix.SIGUSR1, unix.SIGIO, 35, 40)
}

// synchronousFirst: the signals by which a CPU reports faults come before all others,
// even when someone merely sent them (SYNCHRONOUS_MASK in kernel/signal.c).
func synchronousFirst(t *testing.T) {
	blockAll(t)
	behaviour.NeedPending(t, 64)
	want := []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS}
	synchronous := sys.Sigs(want...)
	// Not SIGCONT and the stop signals, which remove each other.
	not := synchronous | sys.Sigs(unix.SIGKILL, unix.SIGSTOP, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU) | stray
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if not&sys.Sigs(sig) == 0 {
			want = append(want, sig)
		}
	}
	for i := len(want) - 1; i >= 0; i-- {
		wantErr(t, rawsig.Raise(want[i]), nil, "tgkill(self, %d)", want[i])
	}
	wantOrder(t, rawsig.Blockable&^stray, want...)
}

// handlersInOrder: with all signals blocked during handlers they run one after
// the other, in the order in which the signals are taken.
func handlersInOrder(t testing.TB) {
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, 40, 41} {
		handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: rawsig.All})
	}
	blockAll(t)
	for _, sig := range []unix.Signal{41, 40, 41, unix.SIGUSR2, unix.SIGUSR1} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	rawsig.Forget()
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, 40, 41))
	wantRuns(t, unix.SIGUSR1, unix.SIGUSR2, 40, 41, 41)
	var sp uintptr
	for _, r := range rawsig.Runs() {
		if r.Blocked != rawsig.Blockable {
			t.Errorf("during the handler of %d the mask was %#x, want all", r.Sig, r.Blocked)
		}
		if sp != 0 && r.SP != sp {
			t.Errorf("the handler of %d ran at %#x, the one before at %#x: they were nested", r.Sig, r.SP, sp)
		}
		sp = r.SP
	}
}

// queueLimit: at RLIMIT_SIGPENDING senders of real-time signals are told so,
// nothing that was accepted is lost, and what is taken makes room.
func queueLimit(t testing.TB) {
	const room = 5
	accepted := limitQueue(t, room)
	self := os.Getpid()
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"rt_sigqueueinfo", func() error { return rawsig.Queue(self, 41, rawsig.Value(9)) }},
		{"rt_tgsigqueueinfo", func() error { return rawsig.Tgqueue(self, self, 41, rawsig.Value(9)) }},
		{"tgkill", func() error { return rawsig.Tgkill(self, self, 41) }},
		{"tkill", func() error { return rawsig.Tkill(self, 41) }},
	} {
		wantErr(t, c.send(), unix.EAGAIN, "%s of a real-time signal at the limit", c.name)
	}
	for v := range accepted {
		if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != v {
			t.Errorf("value %d came in place %d", info.Value, v)
		}
		if v == 0 {
			wantErr(t, rawsig.Queue(self, 41, rawsig.Value(9)), nil, "rt_sigqueueinfo when one was taken")
			wantErr(t, rawsig.Queue(self, 41, rawsig.Value(9)), unix.EAGAIN, "rt_sigqueueinfo at the limit again")
		}
	}
	mustTakeSignal(t, sys.Sigs(41))
	wantPending(t, 0)
}

// queueLimitIsPerUser: what is queued counts for the receiver's real user, over
// all its processes: SigQ of proc_pid_status(5).
func queueLimitIsPerUser(t testing.TB) {
	becomeAnybody(t)
	blockAll(t)
	a := fdtest.Arena(t)
	const user, other, n = 54010, 54011, 7
	one := startAs(t, a, user, user, user)
	two := startAs(t, a, user, other, other)
	three := startAs(t, a, other, user, user)
	want := func(what string, ofUser, ofOther int) {
		t.Helper()
		for _, c := range []struct {
			name      string
			pid, want int
		}{{"receiver", one.TID, ofUser}, {"another process of its real user", two.TID, ofUser}, {"another user's, with its effective id", three.TID, ofOther}} {
			if got := queued(t, c.pid); got != c.want {
				t.Errorf("%s: %d queued for %s, want %d", what, got, c.name, c.want)
			}
		}
	}
	want("at first", 0, 0)
	for v := range uint64(n) {
		wantErr(t, rawsig.Queue(one.TID, 40, rawsig.Value(v)), nil, "rt_sigqueueinfo(receiver, 40)")
	}
	want("after the sends", n, 0)
	wantErr(t, rawsig.Queue(three.TID, 40, rawsig.Value(0)), nil, "rt_sigqueueinfo(another user's, 40)")
	want("after one more to another user", n, 1)
	wantErr(t, rawsig.Kill(one.TID, unix.SIGKILL), nil, "kill(receiver, SIGKILL)")
	one.awaitEnd(t)
	reap(t, one.TID)
	if got := queued(t, two.TID); got != 0 {
		t.Errorf("%d queued for the user of a receiver that was killed and reaped, want 0", got)
	}
}

// timersCountAsQueued: a timer holds room for its signal from its creation on.
func timersCountAsQueued(t testing.TB) {
	room := limitQueue(t, 5)
	var timers []rawsig.Timer
	event := &rawsig.Event{Notify: rawsig.NotifySignal, Signo: 41}
	create := func(want error, when string) {
		t.Helper()
		timer, err := rawsig.NewTimer(unix.CLOCK_MONOTONIC, event)
		wantErr(t, err, want, "timer_create %s", when)
		if err == nil {
			timers = append(timers, timer)
		}
	}
	create(unix.EAGAIN, "with all room taken by signals")
	for range room {
		mustTakeSignal(t, sys.Sigs(40))
	}
	for range room {
		create(nil, "with room")
	}
	create(unix.EAGAIN, "with all room taken by timers")
	wantErr(t, rawsig.Queue(os.Getpid(), 40, rawsig.Value(1)), unix.EAGAIN, "rt_sigqueueinfo with all room taken by timers")
	wantErr(t, timers[0].Delete(), nil, "timer_delete")
	wantErr(t, rawsig.Queue(os.Getpid(), 40, rawsig.Value(1)), nil, "rt_sigqueueinfo after a timer was deleted")
	create(unix.EAGAIN, "with that room taken by a signal")
	mustTakeSignal(t, sys.Sigs(40))
}

// quiet are the signals that a process of a row's own starts with blocked in all
// its threads: those that the Go runtime does not insist on, so that what is
// sent to the process waits for the row.
var quiet = func() []unix.Signal {
	sigs := []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGVTALRM, unix.SIGIO, unix.SIGPIPE,
		unix.SIGWINCH, unix.SIGPWR, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	for sig := unix.Signal(35); sig <= 64; sig++ {
		sigs = append(sigs, sig)
	}
	return sigs
}()

// listener ends when its standard input does, and repeats what it hears until then.
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

// stray are signals that may be pending at any time: the Go runtime's own, and those of
// children that ended.
const stray = rawsig.Go | 1<<(unix.SIGCHLD-1)

const minusOne = ^uintptr(0)

// badPointer points where nothing is mapped for programs.
const badPointer = 16

// ptrTo is the address of something in an arena or a package variable, as an argument.
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

// eventually waits for what another thread or process is about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Since(start) > child.Patience/2 {
			t.Fatalf("after %v it is not so that %s", time.Since(start).Round(time.Millisecond), what)
		}
	}
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

// A bare process has no Go runtime: it makes a list of system calls, once, and exits.
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

// A receiver is a bare process that takes one signal of a set.
type receiver struct {
	*bare
	info   *sys.Siginfo
	result *int32
}

func startReceiver(t testing.TB, a *sys.Arena, sigs ...unix.Signal) *receiver {
	t.Helper()
	r := &receiver{info: sys.Place(a, sys.Siginfo{}), result: sys.Place(a, int32(-1))}
	r.bare = startBare(t, a, sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true, Want: -1,
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

// zombie forks a child that ends at once, with status 0, and waits for that end.
func zombie(t testing.TB) int {
	t.Helper()
	b := startBare(t, fdtest.Arena(t))
	b.awaitEnd(t)
	return b.TID
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

func reap(t testing.TB, pid int) unix.WaitStatus {
	t.Helper()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		t.Fatalf("wait4(%d): %v", pid, err)
	}
	return status
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

// setresuid is of the calling thread: the C library's function is of all threads.
func setresuid(real, effective, saved int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(real), uintptr(effective), uintptr(saved))
	if errno != 0 {
		return errno
	}
	return nil
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

// as runs f with these user ids; becomeAnybody comes first.
func as(t testing.TB, real, effective int, f func()) {
	t.Helper()
	if err := setresuid(real, effective, 0); err != nil {
		t.Fatalf("setresuid(%d, %d, 0): %v", real, effective, err)
	}
	f()
	if err := setresuid(0, 0, 0); err != nil {
		t.Fatalf("back to root: setresuid: %v", err)
	}
}

// becomeStranger gives up root, if the row has it, and returns a process that
// it may not send signals to.
func becomeStranger(t testing.TB) (pid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := rawsig.Kill(1, 0); err != unix.EPERM {
			behaviour.Unprivileged(t, "the first process is no other user's, and taking another user id takes root")
		}
		return 1
	}
	becomeAnybody(t)
	if err := setresuid(54001, 54001, 54001); err != nil {
		t.Fatalf("setresuid: %v", err)
	}
	return os.Getppid()
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

// limitQueue blocks all signals and queues to this process as many of number 40, with the
// values 0, 1, ..., as RLIMIT_SIGPENDING lets it: room, if nobody else has anything
// queued for this user.
func limitQueue(t testing.TB, room int) (accepted uint64) {
	t.Helper()
	blockAll(t)
	lonely := becomeLonely()
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
	if lonely && accepted != uint64(room) {
		t.Errorf("%d signals were queued with room for %d", accepted, room)
	}
	return accepted
}
