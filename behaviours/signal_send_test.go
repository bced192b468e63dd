//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Sending: kill(2), tkill(2), tgkill(2), and who receives.

// nullSignalProbes (SIG-01): signal 0 only looks whether the process is there.
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

// zombieTakesSignals (SIG-02): an ended process is there until it is reaped,
// and what it is sent changes nothing about how it ended.
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

// killReachesOwnGroup (SIG-03): kill(0) reaches all of the caller's process
// group, the caller among them, and nobody else.
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

// killReachesGroup (SIG-04): kill(-pgid) reaches all of another process group,
// and the group is there as long as a member is, be it a zombie.
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

// killReachesAll (SIG-05): kill(-1) reaches all but the caller and the first
// process; it runs as the first process of a pid namespace, so that "all" are
// its own children.
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

// killOfIntMin (SIG-06): the negation of INT_MIN is no process group.
func killOfIntMin(t *testing.T) {
	wantErr(t, rawsig.Kill(math.MinInt32, 0), unix.ESRCH, "kill(INT_MIN, 0)")
	wantErr(t, rawsig.Kill(math.MinInt32, unix.SIGTERM), unix.ESRCH, "kill(INT_MIN, SIGTERM)")
}

// signalNumbers (SIG-07): 0 to 64 are signals, to all ways of sending.
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

// orderOfKillErrors (SIG-08): no such process, then no such signal, then no
// permission.
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

// killPermission (SIG-09): the sender's real or effective user id must be the
// target's real or saved one. The target's effective id does not count.
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

// contWithinSession (SIG-10): SIGCONT, and no other signal, goes to any process
// of the sender's session, whoever owns it.
func contWithinSession(t testing.TB) {
	becomeAnybody(t)
	a := fdtest.Arena(t)
	here := startAs(t, a, 54001, 54001, 54001).TID
	elsewhere := startAs(t, a, 54001, 54001, 54001,
		sys.Call{Name: "setsid()", Nr: unix.SYS_SETSID, AnyCount: true}).TID
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

// killByThreadID (SIG-11): kill by the id of a thread that does not lead is a
// signal to its process.
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

// killOfOneself (SIG-12): a signal that a process sends itself, and that no
// other thread takes, is handled before kill returns.
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

// tgkillOfNobody (SIG-13): a thread or group id below 1 is EINVAL, whatever the
// signal: that is checked first of all, tkill(2).
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

// tgkillWantsThreadOfGroup (SIG-14): a thread of another process is not a
// thread of this one.
func tgkillWantsThreadOfGroup(t *testing.T) {
	p := child.Start(t, listener, child.Options{})
	wantErr(t, rawsig.Tgkill(os.Getpid(), p.Pid, unix.SIGTERM), unix.ESRCH, "tgkill(self, child, SIGTERM)")
	wantErr(t, rawsig.Tgkill(p.Pid, unix.Gettid(), unix.SIGTERM), unix.ESRCH, "tgkill(child, self, SIGTERM)")
	wantErr(t, rawsig.Tgkill(unix.Gettid(), unix.Gettid(), 0), unix.ESRCH, "tgkill(thread id as group, self, 0)")
	p.Wait()
}

// tgkillOfEndedThread (SIG-15): a thread that ended is gone at once; nobody
// reaps it.
func tgkillOfEndedThread(t *testing.T) {
	th := child.Go(t, "ending thread", func() error { return nil })
	th.Join()
	eventually(t, "the ended thread is gone", func() bool { return rawsig.Tgkill(os.Getpid(), th.Tid, 0) != nil })
	wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 0), unix.ESRCH, "tgkill(self, ended, 0)")
	wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, unix.SIGTERM), unix.ESRCH, "tgkill(self, ended, SIGTERM)")
	wantErr(t, rawsig.Tkill(th.Tid, unix.SIGTERM), unix.ESRCH, "tkill(ended, SIGTERM)")
}

// tgkillSender (SIG-16): tgkill says SI_TKILL and who sent it: process and real
// user.
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

// killSender (SIG-17): kill says SI_USER and which process sent it, whichever
// of its threads did.
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

// threadSignalIsThreads (SIG-18): nobody but the thread it was sent to can take
// a signal, or sees it pending.
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

// mainThreadFirst (SIG-19): a signal to the process goes to its first thread if
// that does not block it, whoever sends it, else to one that does not.
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

// killPrefersThread (SIG-107): kill with a thread's id signals the process, and
// that thread is asked first.
func killPrefersThread(t testing.TB) {
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	blockAll(t)
	w := startWorker(t)
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(40)) })
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	for range 10 {
		for _, tid := range []int{w.Tid, os.Getpid()} {
			rawsig.Forget()
			wantErr(t, rawsig.Kill(tid, 40), nil, "kill(%d, 40)", tid)
			eventually(t, "the handler ran", func() bool { return rawsig.Ran(40) == 1 })
			if got := rawsig.Runs()[0].TID; got != int64(tid) {
				t.Errorf("kill(%d): thread %d ran the handler", tid, got)
			}
		}
	}
}

var signalSendRows = map[string]func(*testing.T){
	"SIG-01":  nullSignalProbes,
	"SIG-02":  zombieTakesSignals,
	"SIG-03":  behaviour.Alone(killReachesOwnGroup, quiet...),
	"SIG-04":  behaviour.Alone(killReachesGroup, quiet...),
	"SIG-05":  behaviour.AloneIn(unix.CLONE_NEWPID, killReachesAll, quiet...),
	"SIG-06":  killOfIntMin,
	"SIG-07":  signalNumbers,
	"SIG-08":  behaviour.Alone(orderOfKillErrors, quiet...),
	"SIG-09":  behaviour.Alone(killPermission, quiet...),
	"SIG-10":  behaviour.Alone(contWithinSession, quiet...),
	"SIG-11":  behaviour.Alone(killByThreadID, quiet...),
	"SIG-12":  behaviour.Alone(killOfOneself, quiet...),
	"SIG-13":  tgkillOfNobody,
	"SIG-14":  tgkillWantsThreadOfGroup,
	"SIG-15":  tgkillOfEndedThread,
	"SIG-16":  behaviour.Alone(tgkillSender, quiet...),
	"SIG-17":  behaviour.Alone(killSender, quiet...),
	"SIG-18":  threadSignalIsThreads,
	"SIG-19":  behaviour.Alone(mainThreadFirst, quiet...),
	"SIG-107": behaviour.Alone(killPrefersThread, quiet...),
}
