//go:build linux

package behaviours

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// Stopping, fork, exec, ends of processes and pidfds: further rows of TestSignal.

var signalProcessRows = map[string]func(*testing.T){
	"SIG-54":  stopAndContinue,
	"SIG-55":  contAfterStop,
	"SIG-56":  signalsWhileStopped,
	"SIG-58":  behaviour.Alone(forkInherits, quiet...),
	"SIG-59":  execKeeps,
	"SIG-71":  sleepOverStop,
	"SIG-82":  behaviour.Alone(pidfdSend, quiet...),
	"SIG-83":  behaviour.Alone(pidfdScopes, quiet...),
	"SIG-84":  behaviour.Alone(pidfdSelf, quiet...),
	"SIG-85":  pidfdPoll,
	"SIG-86":  behaviour.Alone(defaultActions, quiet...),
	"SIG-87":  behaviour.Alone(brokenPipe, quiet...),
	"SIG-88":  behaviour.Alone(asyncIO, quiet...),
	"SIG-89":  initIgnoresDefaults,
	"SIG-97":  behaviour.Alone(nocldstop, quiet...),
	"SIG-98":  behaviour.Alone(nobodyWaits, quiet...),
	"SIG-99":  behaviour.Alone(stopAndContDiscard, quiet...),
	"SIG-100": behaviour.Alone(orphanedGroup, quiet...),
	"SIG-101": leaderEndsFirst,
	"SIG-102": behaviour.Alone(queueLimitOfOthers, quiet...),
	"SIG-103": behaviour.Alone(queueLimitPerNamespace, quiet...),
	"SIG-104": behaviour.Alone(stopInterruptsWaits, quiet...),
	"SIG-105": behaviour.Alone(parentDeathSignal, quiet...),
	"SIG-106": behaviour.Alone(queueByThread, quiet...),
	"SIG-107": behaviour.Alone(killPrefersThread, quiet...),
	"SIG-108": behaviour.Alone(pidfdOfProc, quiet...),
	"SIG-109": behaviour.Alone(orderOfPidfdErrors, quiet...),
	"SIG-110": behaviour.Alone(exitSignalOfClone, quiet...),
}

// stopAndContinue: SIGSTOP stops all threads, SIGCONT starts them again, and the
// parent is told by waitid and by SIGCHLD.
func stopAndContinue(t *testing.T) {
	p := child.Start(t, listener, child.Options{})
	p.Expect("ready")
	for range 2 {
		p.Signal(unix.SIGSTOP)
		wantWaited(t, p.Pid, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", p.Pid))
		if err != nil || len(tasks) < 2 {
			t.Errorf("%d threads (%v), want more than one, to see all stop", len(tasks), err)
		}
		for _, task := range tasks {
			var tid int
			fmt.Sscan(filepath.Base(task), &tid)
			child.AwaitState(t, p.Pid, tid, "T")
		}
		p.Say("anybody?")
		p.Signal(unix.SIGCONT)
		wantWaited(t, p.Pid, unix.WCONTINUED, rawsig.CldContinued, unix.SIGCONT)
		p.Expect("anybody?")
	}
	p.Wait()
	stopTellsParent(t)
}

var stopTellsParent = behaviour.Alone(func(t testing.TB) {
	handle(t, unix.SIGCHLD, rawsig.Handler{Flags: rawsig.SAOnstack})
	v := startVictim(t)
	told := func(what string, code int32, status unix.Signal) {
		t.Helper()
		eventually(t, "SIGCHLD tells that the child "+what, func() bool { return rawsig.Ran(unix.SIGCHLD) > 0 })
		i := rawsig.Runs()[0].Info
		if i.Code != code || i.Pid != int32(v.TID) || i.UID != int32(os.Getuid()) || int32(i.Value) != int32(status) {
			t.Errorf("%s: SIGCHLD with code %d, process %d, user %d, status %d; want %d, %d, %d, %d",
				what, i.Code, i.Pid, i.UID, int32(i.Value), code, v.TID, os.Getuid(), status)
		}
		rawsig.Forget()
	}
	wantErr(t, rawsig.Kill(v.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	told("stopped", rawsig.CldStopped, unix.SIGSTOP)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGCONT), nil, "kill(child, SIGCONT)")
	told("continued", rawsig.CldContinued, unix.SIGCONT)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGKILL), nil, "kill(child, SIGKILL)")
	told("was killed", rawsig.CldKilled, unix.SIGKILL)
}, quiet...)

// contAfterStop: after SIGSTOP and at once SIGCONT a process runs.
func contAfterStop(t *testing.T) {
	p := child.Start(t, listener, child.Options{})
	p.Expect("ready")
	for i := range 100 {
		p.Signal(unix.SIGSTOP)
		p.Signal(unix.SIGCONT)
		p.Say("%d", i)
		p.Expect(fmt.Sprint(i))
	}
	p.Wait()
}

// signalsWhileStopped: to a stopped process signals wait for SIGCONT, but SIGKILL.
func signalsWhileStopped(t *testing.T) {
	v := startVictim(t, unix.SIGTERM)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	wantWaited(t, v.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGTERM), nil, "kill(stopped child, SIGTERM)")
	time.Sleep(2 * time.Millisecond)
	child.AwaitState(t, v.TID, v.TID, "T")
	wantErr(t, rawsig.Kill(v.TID, unix.SIGCONT), nil, "kill(stopped child, SIGCONT)")
	v.awaitEnd(t)
	if s := reap(t, v.TID); !s.Signaled() || s.Signal() != unix.SIGTERM {
		t.Errorf("status %#x after SIGTERM and SIGCONT, want killed by SIGTERM", s)
	}

	v = startVictim(t)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	wantWaited(t, v.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGKILL), nil, "kill(stopped child, SIGKILL)")
	v.awaitEnd(t)
	if s := reap(t, v.TID); !s.Signaled() || s.Signal() != unix.SIGKILL {
		t.Errorf("status %#x after SIGKILL, want killed by it", s)
	}
}

// forkInherits: a child has its parent's mask and actions, and nothing pending.
func forkInherits(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: sys.Sigs(50)})
	act(t, 41, rawsig.Action{Handler: rawsig.Ignore, Flags: rawsig.SARestart})
	act(t, 42, rawsig.Action{})
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")

	type found struct {
		pending, mask sys.Sigset
		actions       [3]rawsig.Action
	}
	f := sys.Place(a, found{pending: 77})
	calls := []sys.Call{
		{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(&f.pending), 8}},
		{Name: "rt_sigprocmask()", Nr: unix.SYS_RT_SIGPROCMASK, Args: [6]uintptr{0, 0, ptrTo(&f.mask), 8}},
	}
	for i := range f.actions {
		calls = append(calls, sys.Call{Name: "rt_sigaction()", Nr: unix.SYS_RT_SIGACTION, Args: [6]uintptr{uintptr(40 + i), 0, ptrTo(&f.actions[i]), 8}})
	}
	startBare(t, a, calls...).want(t)
	if f.pending != 0 {
		t.Errorf("the child has %#x pending, want nothing", f.pending)
	}
	if f.mask != rawsig.Blockable {
		t.Errorf("the child has the mask %#x, want its parent's %#x", f.mask, rawsig.Blockable)
	}
	for i, got := range f.actions {
		if want := action(t, unix.Signal(40+i)); got != want {
			t.Errorf("signal %d has in the child the action %+v, want its parent's %+v", 40+i, got, want)
		}
	}
	wantPending(t, sys.Sigs(unix.SIGUSR1, 40))
}

// execKeeps: execve keeps mask, pending and ignored signals; what was caught
// has its default action, without flags and masks, and there is no alternate stack.
func execKeeps(t *testing.T) {
	p := child.Start(t, executing, child.Options{Block: quiet})
	// Some actions are the test's surroundings': what ignored, say SIGHUP, before.
	ignored := map[unix.Signal]bool{}
	var before uint64
	if _, err := fmt.Sscan(p.Line(), &before); err != nil {
		t.Fatal(err)
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		ignored[sig] = sys.Sigset(before)&sys.Sigs(sig) != 0
	}
	text, err := io.ReadAll(p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	left, err := rawsig.ParseLeft(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := rawsig.Blockable &^ sys.Sigs(50); left.Mask != want {
		t.Errorf("the mask is %#x, want %#x", left.Mask, want)
	}
	if got, want := left.Pending&^stray, sys.Sigs(unix.SIGUSR1, 40); got != want {
		t.Errorf("pending are %#x, want %#x", got, want)
	}
	if left.Stack.Flags != rawsig.SSDisable || left.Stack.SP != 0 || left.Stack.Size != 0 {
		t.Errorf("the alternate stack is %+v, want none", left.Stack)
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		want := rawsig.Action{}
		if ignored[sig] {
			want.Handler = rawsig.Ignore
		}
		if got := left.Actions[sig]; got != want {
			t.Errorf("signal %d has the action %+v, want %+v", sig, got, want)
		}
	}
}

var executing = child.Register("executing", func(p *child.Proc) error {
	file, err := rawsig.Probe()
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, file); err != nil {
		return err
	}
	mask := rawsig.Blockable &^ sys.Sigs(50)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if _, err := rawsig.SetAction(41, &rawsig.Action{Handler: rawsig.Ignore, Flags: rawsig.SARestart | rawsig.SANodefer, Mask: sys.Sigs(50)}); err != nil {
		return err
	}
	if _, err := rawsig.Handle(40, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: sys.Sigs(50)}); err != nil {
		return err
	}
	var ignored sys.Sigset
	for sig := unix.Signal(1); sig <= 64; sig++ {
		old, err := rawsig.SetAction(sig, nil)
		if err != nil {
			return err
		}
		if old.Handler == rawsig.Ignore {
			ignored |= sys.Sigs(sig)
		}
	}
	p.Say("%d", uint64(ignored))
	if err := rawsig.Raise(40); err != nil {
		return err
	}
	if err := rawsig.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
		return err
	}
	return unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"probe"}, nil)
})

// sleepOverStop: nanosleep goes on after a stop, until the time it would have ended anyway.
func sleepOverStop(t *testing.T) {
	blockAll(t)
	const tries = 5
	sleep := 150 * time.Millisecond
	if machine.GVisor() {
		sleep = time.Second // there it takes a while to find a process asleep
	}
	for range tries {
		// Counted anew, the sleep would go on for nearly all of its length. Not much shorter is the time that a busy machine may
		// take to wake it.
		if sleepsOn(t, sleep) <= sleep*2/3 {
			return
		}
	}
	t.Errorf("%d sleeps of %v went on for more than two thirds of that when they were continued after their ends", tries, sleep)
}

// sleepsOn returns for how long a sleep goes on that is stopped and continued after its end.
func sleepsOn(t *testing.T, sleep time.Duration) time.Duration {
	t.Helper()
	a := fdtest.Arena(t)
	length := sys.Place(a, unix.NsecToTimespec(int64(sleep)))
	var before, after = sys.Place(a, unix.Timespec{}), sys.Place(a, unix.Timespec{})
	clock := func(at *unix.Timespec) sys.Call {
		return sys.Call{Name: "clock_gettime()", Nr: unix.SYS_CLOCK_GETTIME, Args: [6]uintptr{unix.CLOCK_MONOTONIC, ptrTo(at)}}
	}
	b := startBare(t, a, clock(before), sys.Call{Name: "nanosleep()", Nr: unix.SYS_NANOSLEEP, Args: [6]uintptr{ptrTo(length), 0}}, clock(after))
	child.AwaitBlocked(t, b.TID, b.TID, unix.SYS_NANOSLEEP)
	wantErr(t, rawsig.Kill(b.TID, unix.SIGSTOP), nil, "kill(sleeper, SIGSTOP)")
	wantWaited(t, b.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	start := time.Unix(before.Unix())
	time.Sleep(sleep + 20*time.Millisecond)
	continued := monotonic(t)
	wantErr(t, rawsig.Kill(b.TID, unix.SIGCONT), nil, "kill(sleeper, SIGCONT)")
	b.want(t)
	end := time.Unix(after.Unix())
	if d := end.Sub(start); d < sleep {
		t.Errorf("it slept %v, want at least %v", d, sleep)
	}
	return end.Sub(continued)
}

// pidfdSend: pidfd_send_signal is kill or rt_sigqueueinfo to a process that cannot be mistaken.
func pidfdSend(t testing.TB) {
	blockAll(t)
	self := mustPidfd(t, os.Getpid())
	wantErr(t, rawsig.PidfdSend(self, 40, nil, 0), nil, "pidfd_send_signal(self, 40)")
	wantInfo(t, "without a siginfo", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
		Signo: 40, Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	info := rawsig.Value(99)
	for _, signo := range []int32{41, 0, -1} {
		info.Signo = signo
		wantErr(t, rawsig.PidfdSend(self, 40, info, 0), unix.EINVAL, "pidfd_send_signal(self, 40, siginfo of %d)", signo)
	}
	info.Signo = 40
	wantErr(t, rawsig.PidfdSend(self, 40, info, 0), nil, "pidfd_send_signal(self, 40, siginfo)")
	wantInfo(t, "with a siginfo", mustTakeSignal(t, sys.Sigs(40)), *info)
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(self), 40, badPointer, 0), unix.EFAULT, "pidfd_send_signal(self, 40, bad pointer)")
	wantErr(t, rawsig.PidfdSend(self, 0, nil, 0), nil, "pidfd_send_signal(self, 0)")

	other := startReceiver(t, fdtest.Arena(t), unix.SIGUSR1, unix.SIGUSR2)
	pidfd := mustPidfd(t, other.TID)
	for _, code := range []int32{rawsig.SIUser, rawsig.SIKernel, rawsig.SITkill} {
		forged := sys.Siginfo{Signo: int32(unix.SIGUSR1), Code: code}
		wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR1, &forged, 0), unix.EPERM, "pidfd_send_signal(child, siginfo with code %d)", code)
		wantErr(t, rawsig.PidfdSend(self, unix.SIGUSR1, &forged, 0), nil, "pidfd_send_signal(self, siginfo with code %d)", code)
		mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	}
	for _, flags := range []uint{8, 16, 1 << 31} {
		wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR1, nil, flags), unix.EINVAL, "pidfd_send_signal(child, flags %#x)", flags)
	}
	wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR2, nil, 0), nil, "pidfd_send_signal(child, SIGUSR2)")
	other.awaitEnd(t)
	wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR2, nil, 0), nil, "pidfd_send_signal(zombie, SIGUSR2)")
	other.want(t, unix.SIGUSR2) // and reaps it
	wantErr(t, rawsig.PidfdSend(pidfd, 0, nil, 0), unix.ESRCH, "pidfd_send_signal(reaped, 0)")
	wantErr(t, rawsig.PidfdSend(mustMemfd(t), 0, nil, 0), unix.EBADF, "pidfd_send_signal(memfd)")
	wantErr(t, rawsig.PidfdSend(-1, 0, nil, 0), unix.EBADF, "pidfd_send_signal(-1)")
	wantPending(t, 0)
}

// pidfdScopes: from 6.9 on a flag says whether thread, process or group is meant; before, flags are refused.
func pidfdScopes(t testing.TB) {
	const thread, process, group = 1, 2, 4
	blockAll(t)
	self := mustPidfd(t, os.Getpid())
	w := startWorker(t)
	if !behaviour.Since(6, 9) {
		for _, flags := range []uint{thread, process, group} {
			wantErr(t, rawsig.PidfdSend(self, 40, nil, flags), unix.EINVAL, "pidfd_send_signal(self, flags %#x)", flags)
		}
		wantPending(t, 0)
		return
	}
	for flags := range uint(8) {
		if flags&(flags-1) != 0 { // more than one
			wantErr(t, rawsig.PidfdSend(self, 40, nil, flags), unix.EINVAL, "pidfd_send_signal(self, flags %#x)", flags)
		}
	}
	wantPending(t, 0)
	wantErr(t, rawsig.PidfdSend(self, 40, nil, thread), nil, "pidfd_send_signal(self, thread)")
	w.do(func() { wantNone(t, sys.Sigs(40)) })
	wantInfo(t, "to the thread", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
		Signo: 40, Code: rawsig.SITkill, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	wantErr(t, rawsig.PidfdSend(self, 40, nil, process), nil, "pidfd_send_signal(self, process)")
	w.do(func() {
		wantInfo(t, "to the process", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
			Signo: 40, Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	})

	// A pidfd of a thread means that thread, unless the flag says otherwise.
	threadFD, err := unix.PidfdOpen(w.Tid, unix.O_EXCL) // PIDFD_THREAD
	if err != nil {
		t.Fatalf("pidfd_open(worker, PIDFD_THREAD): %v", err)
	}
	defer unix.Close(threadFD)
	wantErr(t, rawsig.PidfdSend(threadFD, 40, nil, 0), nil, "pidfd_send_signal(worker)")
	wantPending(t, 0)
	w.do(func() { mustTakeSignal(t, sys.Sigs(40)) })
	wantErr(t, rawsig.PidfdSend(threadFD, 40, nil, process), nil, "pidfd_send_signal(worker, process)")
	mustTakeSignal(t, sys.Sigs(40))

	a := fdtest.Arena(t)
	leader, member := startReceiver(t, a, unix.SIGUSR1), startReceiver(t, a, unix.SIGUSR1)
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, leader.TID), 0, nil, group), unix.ESRCH, "pidfd_send_signal(child that leads no group, group)")
	wantErr(t, unix.Setpgid(leader.TID, leader.TID), nil, "setpgid(leader, leader)")
	wantErr(t, unix.Setpgid(member.TID, leader.TID), nil, "setpgid(member, leader)")
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, leader.TID), unix.SIGUSR1, nil, group), nil, "pidfd_send_signal(leader, group)")
	leader.want(t, unix.SIGUSR1)
	member.want(t, unix.SIGUSR1)
	wantPending(t, 0)
}

// pidfdSelf: from 6.15 on there are numbers for the caller's own thread and
// process; that of the process changed in 6.17.
func pidfdSelf(t testing.TB) {
	const thread = -10000
	process := -10001
	if !behaviour.Since(6, 17) {
		process = -20000
	}
	blockAll(t)
	w := startWorker(t)
	for _, fd := range []int{-1, -9999, -10000, -10001, -10002, -20000, -20001} {
		if behaviour.Since(6, 15) && (fd == thread || fd == process) {
			continue
		}
		wantErr(t, rawsig.PidfdSend(fd, 40, nil, 0), unix.EBADF, "pidfd_send_signal(%d)", fd)
	}
	if !behaviour.Since(6, 15) {
		return
	}
	w.do(func() { wantErr(t, rawsig.PidfdSend(thread, 40, nil, 0), nil, "pidfd_send_signal(%d)", thread) })
	wantPending(t, 0)
	w.do(func() { mustTakeSignal(t, sys.Sigs(40)) })
	w.do(func() { wantErr(t, rawsig.PidfdSend(process, 40, nil, 0), nil, "pidfd_send_signal(%d)", process) })
	mustTakeSignal(t, sys.Sigs(40))
	wantPending(t, 0)
}

// pidfdPoll: a pidfd is readable when the process has ended, and from 6.10 on hung up when it is reaped.
func pidfdPoll(t *testing.T) {
	blockAll(t)
	b := startReceiver(t, fdtest.Arena(t), 40)
	pidfd := mustPidfd(t, b.TID)
	poll := func(when string, timeout int, want int16) {
		t.Helper()
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI}}
		n, err := unix.Poll(fds, timeout)
		if err != nil || fds[0].Revents != want || n != min(1, int(want)) {
			t.Errorf("%s: poll returned %d, %v with events %#x, want %#x", when, n, err, fds[0].Revents, want)
		}
	}
	poll("running", 0, 0)
	wantErr(t, rawsig.Kill(b.TID, 40), nil, "kill(child, 40)")
	poll("ended", int(child.Patience.Milliseconds()/2), unix.POLLIN)
	b.want(t, 40)
	want := int16(unix.POLLIN)
	if behaviour.Since(6, 10) {
		want |= unix.POLLHUP
	}
	poll("reaped", 0, want)
}

// defaultActions: a process that did nothing about it is not touched by four signals, stopped by four and killed by all others, of
// which ten dump core, signal(7).
func defaultActions(t testing.TB) {
	core := sys.Sigs(unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGSYS)
	ignored := sys.Sigs(unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT)
	stop := sys.Sigs(unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	dumps := wantDumps(t)
	if !dumps {
		behaviour.Partly(t, "limit", "no cores are dumped: kernel.core_pattern, or RLIMIT_CORE")
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		v := startVictim(t, sig)
		wantErr(t, rawsig.Kill(v.TID, sig), nil, "kill(child, %d)", sig)
		bit := sys.Sigs(sig)
		switch {
		case ignored&bit != 0:
			time.Sleep(200 * time.Microsecond)
			child.AwaitBlocked(t, v.TID, v.TID, unix.SYS_FUTEX)
		case stop&bit != 0:
			wantWaited(t, v.TID, unix.WSTOPPED, rawsig.CldStopped, sig)
			wantErr(t, rawsig.Kill(v.TID, unix.SIGCONT), nil, "kill(child, SIGCONT)")
			child.AwaitBlocked(t, v.TID, v.TID, unix.SYS_FUTEX)
		default:
			v.awaitEnd(t)
			s := reap(t, v.TID)
			if !s.Signaled() || s.Signal() != sig {
				t.Errorf("signal %d: status %#x, want killed by it", sig, s)
			}
			if want := core&bit != 0 && dumps; s.CoreDump() != want {
				t.Errorf("signal %d: core dumped %t, want %t", sig, s.CoreDump(), want)
			}
		}
	}
}

// wantDumps prepares the process so that its children's cores go into a
// directory of the row's own, cut short, or nowhere: it returns which.
func wantDumps(t testing.TB) bool {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if text := strings.TrimSpace(string(pattern)); err != nil || text == "" || text[0] == '|' || strings.Contains(text, "/") {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		return false
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(16<<10, limit.Max)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "eventbench-core-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := unix.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Chdir("/") })
	return limit.Cur == 16<<10
}

// brokenPipe: a write that fails with EPIPE sends the writing thread SIGPIPE, before the call returns.
func brokenPipe(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGPIPE, rawsig.Handler{Flags: rawsig.SAOnstack})
	w := startWorker(t)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[1])
	unix.Close(p[0])
	s := fdtest.Socketpair(t)
	unix.Shutdown(s[0], unix.SHUT_WR)
	one := sys.Place(fdtest.Arena(t), byte(1))
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"write to a pipe", func() error { return rawsig.Do(unix.SYS_WRITE, uintptr(p[1]), ptrTo(one), 1) }},
		{"write to a socket", func() error { return rawsig.Do(unix.SYS_WRITE, uintptr(s[0]), ptrTo(one), 1) }},
		{"send", func() error { return rawsig.Do(unix.SYS_SENDTO, uintptr(s[0]), ptrTo(one), 1, 0, 0, 0) }},
	} {
		w.do(func() {
			wantErr(t, c.call(), unix.EPIPE, "%s, SIGPIPE blocked", c.name)
			wantPending(t, sys.Sigs(unix.SIGPIPE))
		})
		wantPending(t, 0) // it is the writing thread's
		w.do(func() {
			wantInfo(t, c.name, mustTakeSignal(t, sys.Sigs(unix.SIGPIPE)), sys.Siginfo{
				Signo: int32(unix.SIGPIPE), Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
			rawsig.Forget()
			setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGPIPE))
			wantErr(t, c.call(), unix.EPIPE, "%s, SIGPIPE caught", c.name)
			wantRuns(t, unix.SIGPIPE)
			setMask(t, rawsig.Blockable)
		})
	}
	wantErr(t, rawsig.Do(unix.SYS_SENDTO, uintptr(s[0]), ptrTo(one), 1, unix.MSG_NOSIGNAL, 0, 0), unix.EPIPE, "send with MSG_NOSIGNAL")
	wantPending(t, 0)
}

// asyncIO: O_ASYNC sends the chosen signal to the chosen thread and says which descriptor is
// ready; where that cannot be queued, SIGIO comes in its place.
func asyncIO(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	s := fdtest.Socketpair(t)
	fcntl := func(cmd, arg int) {
		t.Helper()
		if _, err := unix.FcntlInt(uintptr(s[0]), cmd, arg); err != nil {
			t.Fatalf("fcntl(%d): %v", cmd, err)
		}
	}
	post := func() {
		t.Helper()
		if _, err := unix.Write(s[1], []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	type owner struct{ kind, pid int32 }
	own := sys.Place(fdtest.Arena(t), owner{0, int32(w.Tid)}) // F_OWNER_TID
	const setOwnEx = 15
	wantErr(t, rawsig.Do(unix.SYS_FCNTL, uintptr(s[0]), setOwnEx, ptrTo(own)), nil, "fcntl(F_SETOWN_EX, a thread)")
	fcntl(unix.F_SETFL, unix.O_ASYNC)

	post()
	wantPending(t, 0)
	w.do(func() {
		if i := mustTakeSignal(t, sys.Sigs(unix.SIGIO)); i.Code != rawsig.SIKernel {
			t.Errorf("SIGIO, not asked for by F_SETSIG, came with code %#x, want SI_KERNEL", i.Code)
		}
		wantNone(t, rawsig.Blockable&^stray)
	})
	const setSig = 10
	fcntl(setSig, 40)
	check := func() {
		i := mustTakeSignal(t, sys.Sigs(40))
		band := uint64(uint32(i.Pid)) | uint64(uint32(i.UID))<<32
		if fd := int32(i.Value); fd != int32(s[0]) || i.Code != rawsig.PollIn || band != unix.POLLIN|0x40 { // POLLRDNORM
			t.Errorf("si_fd %d, code %d, si_band %#x; want %d, POLL_IN, POLLIN|POLLRDNORM", fd, i.Code, band, s[0])
		}
	}
	post()
	post()
	wantPending(t, 0)
	w.do(func() {
		check()
		check()
		wantNone(t, rawsig.Blockable&^stray)
	})

	// The receiver is the worker, so that it is its user who has no room.
	w.do(func() { becomeLonely() })
	accepted := limitQueue(t, 3) // of 40, to the process
	post()
	w.do(func() { mustTakeSignal(t, sys.Sigs(unix.SIGIO)) })
	for range accepted {
		mustTakeSignal(t, sys.Sigs(40))
	}
	wantPending(t, 0)
	w.do(func() { wantNone(t, rawsig.Blockable&^stray) })
	fcntl(unix.F_SETFL, 0)
	post()
	w.do(func() { wantNone(t, rawsig.Blockable&^stray) })
}

// initIgnoresDefaults: the first process of a pid namespace is not harmed by
// signals that it does not catch; from within, not even by SIGKILL and SIGSTOP.
func initIgnoresDefaults(t *testing.T) {
	p := child.Start(t, namespaceInit, child.Options{Block: quiet, Attr: behaviour.Namespaces(t, unix.CLONE_NEWPID)})
	p.Expect("survived")
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1, 40, unix.SIGTSTP} {
		p.Signal(sig)
	}
	p.Say("still there?")
	p.Expect("still there?")
	p.Signal(unix.SIGSTOP)
	wantWaited(t, p.Pid, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	p.Signal(unix.SIGCONT)
	p.Say("and now?")
	p.Expect("and now?")
	p.Signal(unix.SIGKILL)
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGKILL {
		t.Errorf("status %#x, want killed by SIGKILL from outside", s)
	}
}

var namespaceInit = child.Register("namespace-init", func(p *child.Proc) error {
	if pid := os.Getpid(); pid != 1 {
		return fmt.Errorf("process %d, want the first", pid)
	}
	if err := child.Default(unix.SIGTERM, unix.SIGUSR1, 40, unix.SIGTSTP); err != nil {
		return err
	}
	if _, err := rawsig.Handle(41, rawsig.Handler{Flags: rawsig.SAOnstack}); err != nil {
		return err
	}
	mask := rawsig.Blockable &^ sys.Sigs(unix.SIGTERM, unix.SIGUSR1, 40, 41, unix.SIGTSTP)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1, 40, 41, unix.SIGTSTP, unix.SIGSTOP, unix.SIGKILL} {
		if err := rawsig.Kill(1, sig); err != nil {
			return fmt.Errorf("kill(1, %d): %w", sig, err)
		}
	}
	if n := rawsig.Ran(41); n != 1 {
		return fmt.Errorf("the handler of what it catches ran %d times, want once", n)
	}
	p.Say("survived")
	for {
		line, err := p.Hear()
		if err != nil {
			return nil
		}
		p.Say("%s", line)
	}
})

// nocldstop: with SA_NOCLDSTOP SIGCHLD comes when a child ends, not when it stops or continues.
func nocldstop(t testing.TB) {
	handle(t, unix.SIGCHLD, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SANocldstop})
	v := startVictim(t)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	wantWaited(t, v.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGCONT), nil, "kill(child, SIGCONT)")
	wantWaited(t, v.TID, unix.WCONTINUED, rawsig.CldContinued, unix.SIGCONT)
	wantErr(t, rawsig.Kill(v.TID, unix.SIGKILL), nil, "kill(child, SIGKILL)")
	eventually(t, "SIGCHLD came", func() bool { return rawsig.Ran(unix.SIGCHLD) > 0 })
	if runs := rawsig.Runs(); len(runs) != 1 || runs[0].Info.Code != rawsig.CldKilled {
		t.Errorf("SIGCHLD came %d times, first with code %d, want once with CLD_KILLED", len(runs), runs[0].Info.Code)
	}
}

// nobodyWaits: a parent that ignores SIGCHLD, or has said SA_NOCLDWAIT, gets no zombies, and
// wait fails with ECHILD when all have ended. A handler still runs.
func nobodyWaits(t testing.TB) {
	for _, c := range []struct {
		name   string
		action func()
		runs   int
	}{
		{"SIG_IGN", func() { act(t, unix.SIGCHLD, rawsig.Action{Handler: rawsig.Ignore}) }, 0},
		{"SIG_DFL with SA_NOCLDWAIT", func() { act(t, unix.SIGCHLD, rawsig.Action{Flags: rawsig.SANocldwait}) }, 0},
		{"a handler with SA_NOCLDWAIT", func() {
			handle(t, unix.SIGCHLD, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SANocldwait})
		}, 1},
	} {
		rawsig.Forget()
		c.action()
		b := startReceiver(t, fdtest.Arena(t), 40)
		wantErr(t, rawsig.Kill(b.TID, 40), nil, "kill(child, 40)")
		_, err := unix.Wait4(b.TID, nil, unix.WALL, nil)
		wantErr(t, err, unix.ECHILD, "%s: wait4", c.name)
		wantErr(t, rawsig.Kill(b.TID, 0), unix.ESRCH, "%s: kill(ended child, 0)", c.name)
		if *b.result != 40 {
			t.Errorf("%s: the child took signal %d, want 40", c.name, *b.result)
		}
		if c.runs > 0 {
			eventually(t, "SIGCHLD came", func() bool { return rawsig.Ran(unix.SIGCHLD) > 0 })
		}
		if got := rawsig.Ran(unix.SIGCHLD); got != c.runs {
			t.Errorf("%s: %d handlers ran, want %d", c.name, got, c.runs)
		}
		act(t, unix.SIGCHLD, rawsig.Action{})
	}
}

// stopAndContDiscard: SIGCONT removes pending stop signals and a stop signal removes pending SIGCONTs,
// also if they are blocked, ignored or caught, and of threads and process alike.
func stopAndContDiscard(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	stops := []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	for _, sig := range append(stops, unix.SIGCONT) {
		handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack})
	}
	send := func(sigs ...unix.Signal) {
		t.Helper()
		for _, sig := range sigs {
			wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
			wantErr(t, rawsig.Tgkill(os.Getpid(), w.Tid, sig), nil, "tgkill(worker, %d)", sig)
		}
	}
	want := func(sigs ...unix.Signal) {
		t.Helper()
		wantPending(t, sys.Sigs(sigs...))
		w.do(func() { wantPending(t, sys.Sigs(sigs...)) })
	}
	send(stops...)
	want(stops...)
	wantErr(t, rawsig.Raise(unix.SIGCONT), nil, "tgkill(self, SIGCONT)")
	wantPending(t, sys.Sigs(unix.SIGCONT))
	w.do(func() { wantPending(t, 0) })
	send(unix.SIGCONT)
	want(unix.SIGCONT)
	for _, sig := range stops {
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self, %d)", sig)
		wantPending(t, sys.Sigs(sig))
		w.do(func() { wantPending(t, 0) })
		send(unix.SIGCONT)
		want(unix.SIGCONT)
	}
	// Ignored and not blocked, SIGCONT itself is nothing, and does so all the same.
	act(t, unix.SIGCONT, rawsig.Action{Handler: rawsig.Ignore})
	drain(rawsig.Blockable)
	w.do(func() { drain(rawsig.Blockable) })
	send(unix.SIGTSTP)
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGCONT)) })
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGCONT))
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGCONT), nil, "kill(self, SIGCONT)")
	want()
}

// orphanedGroup: in a process group that nobody outside controls SIGTSTP, SIGTTIN and
// SIGTTOU stop no one; SIGSTOP does.
func orphanedGroup(t testing.TB) {
	own := sys.Call{Name: "setsid()", Nr: unix.SYS_SETSID, AnyCount: true, Want: -1}
	v := startVictimAfter(t, []sys.Call{own}, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		wantErr(t, rawsig.Kill(v.TID, sig), nil, "kill(child, %d)", sig)
		time.Sleep(time.Millisecond)
		child.AwaitBlocked(t, v.TID, v.TID, unix.SYS_FUTEX)
		if got := procStatus(t, v.TID, "ShdPnd"); strings.Trim(got, "0") != "" {
			t.Errorf("signal %d: the child has %s pending", sig, got)
		}
	}
	wantErr(t, rawsig.Kill(v.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	wantWaited(t, v.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
}

// leaderEndsFirst: a process whose first thread has ended takes signals with the others.
func leaderEndsFirst(t *testing.T) {
	p := child.Start(t, leaderless, child.Options{Block: quiet})
	p.Expect("the first thread ends")
	p.AwaitState("Z")
	wantErr(t, rawsig.Kill(p.Pid, 0), nil, "kill(process, 0)")
	wantErr(t, rawsig.Tgkill(p.Pid, p.Pid, unix.SIGUSR1), nil, "tgkill(process, ended first thread, SIGUSR1)")
	wantErr(t, rawsig.Kill(p.Pid, unix.SIGUSR2), nil, "kill(process, SIGUSR2)")
	p.Expect("signal 12") // SIGUSR1 went to the first thread
	p.Wait()
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

// queueLimitOfOthers: at RLIMIT_SIGPENDING signals that need not be queued are
// sent all the same. kill's real-time signals are pending once, with no more
// than their number; standard signals keep their siginfo if kill sent them and lose it if not.
func queueLimitOfOthers(t testing.TB) {
	limitQueue(t, 3)
	self := os.Getpid()
	for range 2 {
		wantErr(t, rawsig.Kill(self, 41), nil, "kill of a real-time signal at the limit")
	}
	wantInfo(t, "a real-time signal by kill at the limit", mustTakeSignal(t, sys.Sigs(41)), sys.Siginfo{Signo: 41, Code: rawsig.SIUser})
	wantNone(t, sys.Sigs(41))
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill of a standard signal at the limit")
	wantInfo(t, "a standard signal by kill at the limit", mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
		Signo: int32(unix.SIGUSR1), Code: rawsig.SIUser, Pid: int32(self), UID: int32(os.Getuid())})
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"tgkill", func() error { return rawsig.Raise(unix.SIGUSR1) }},
		{"rt_sigqueueinfo", func() error { return rawsig.Queue(self, unix.SIGUSR1, rawsig.Value(5)) }},
	} {
		wantErr(t, c.send(), nil, "%s of a standard signal at the limit", c.name)
		wantInfo(t, "a standard signal by "+c.name+" at the limit", mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
			Signo: int32(unix.SIGUSR1), Code: rawsig.SIUser})
	}
}

// queueLimitPerNamespace: a user is another one in another user namespace, as
// far as queued signals are counted, from 5.14 on.
func queueLimitPerNamespace(t testing.TB) {
	becomeAnybody(t)
	behaviour.Namespaces(t, unix.CLONE_NEWUSER)
	blockAll(t)
	a := fdtest.Arena(t)
	const user, n = 54030, 6
	receiver := startAs(t, a, user, user, user)
	inside := startAs(t, a, user, user, user, sys.Call{Name: "unshare(CLONE_NEWUSER)", Nr: unix.SYS_UNSHARE, Args: [6]uintptr{unix.CLONE_NEWUSER}})
	for v := range uint64(n) {
		wantErr(t, rawsig.Queue(receiver.TID, 40, rawsig.Value(v)), nil, "rt_sigqueueinfo(receiver, 40)")
	}
	want := n
	if behaviour.Since(5, 14) {
		want = 0
	}
	if got := queued(t, inside.TID); got != want {
		t.Errorf("%d queued for the user in a namespace of its own, want %d of the %d outside", got, want, n)
	}
	// What is queued inside counts outside too: a namespace is no way around the limit.
	wantErr(t, rawsig.Queue(inside.TID, 40, rawsig.Value(0)), nil, "rt_sigqueueinfo(process in a user namespace, 40)")
	if got := queued(t, receiver.TID); got != n+1 {
		t.Errorf("%d queued for the user after one more to its process in a namespace, want %d", got, n+1)
	}
}

// stopInterruptsWaits: some waits fail with EINTR after a stop, though no
// handler ran; others go on, signal(7).
func stopInterruptsWaits(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	set := sys.Place(a, sys.Sigs(40))
	buf := a.Bytes(16)
	for _, c := range []struct {
		call sys.Call
		ends bool
	}{
		{sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, Args: [6]uintptr{ptrTo(set), 0, 0, 8}}, true},
		{sys.Call{Name: "epoll_pwait()", Nr: unix.SYS_EPOLL_PWAIT, Args: [6]uintptr{uintptr(epfd), ptrTo(&buf[0]), 1, minusOne, 0, 8}}, true},
		{sys.Call{Name: "read() of a pipe", Nr: unix.SYS_READ, Args: [6]uintptr{uintptr(p[0]), ptrTo(&buf[0]), 1}}, false},
		{sys.Call{Name: "ppoll()", Nr: unix.SYS_PPOLL, Args: [6]uintptr{0, 0, 0, 0, 8}}, false},
		{sys.Call{Name: "rt_sigsuspend()", Nr: unix.SYS_RT_SIGSUSPEND, Args: [6]uintptr{ptrTo(set), 8}}, false},
	} {
		if c.ends {
			c.call.Want = -int(unix.EINTR)
		}
		b := startBare(t, a, c.call)
		child.AwaitBlocked(t, b.TID, b.TID, c.call.Nr)
		wantErr(t, rawsig.Kill(b.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
		wantWaited(t, b.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
		wantErr(t, rawsig.Kill(b.TID, unix.SIGCONT), nil, "kill(child, SIGCONT)")
		if c.ends {
			b.want(t)
			continue
		}
		for range 2 {
			child.AwaitBlocked(t, b.TID, b.TID, c.call.Nr)
			time.Sleep(time.Millisecond)
		}
		if b.Gone() {
			t.Errorf("%s ended over a stop: %v", c.call.Name, b.loop.Err())
		}
	}
}

// parentDeathSignal: PR_SET_PDEATHSIG is about the thread that forked, not its process.
func parentDeathSignal(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	info, result, ready := sys.Place(a, sys.Siginfo{}), sys.Place(a, int32(-1)), a.Word32(0)
	var b *bare
	th := child.Go(t, "parent thread", func() error {
		mask := rawsig.Blockable
		if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
			return err
		}
		b = startBare(t, a,
			sys.Call{Name: "prctl(PDEATHSIG)", Nr: unix.SYS_PRCTL, Args: [6]uintptr{unix.PR_SET_PDEATHSIG, 40}},
			sys.FutexSet(ready, 1),
			sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true, Want: -1,
				Args: [6]uintptr{ptrTo(sys.Place(a, sys.Sigs(40))), ptrTo(info), 0, 8}, Save: result})
		eventually(t, "the child has asked for a signal", func() bool { return atomic.LoadUint32(ready) == 1 })
		return nil
	})
	th.Join()
	b.want(t)
	if *result != 40 || info.Code != rawsig.SIUser {
		t.Errorf("the child took signal %d with code %d, want 40 with SI_USER", *result, info.Code)
	}
}

// queueByThread: only the first thread may send its process what looks like the
// kernel's, for rt_sigqueueinfo compares thread ids; rt_tgsigqueueinfo does not.
func queueByThread(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	self := os.Getpid()
	info := &sys.Siginfo{Code: rawsig.SIUser}
	w.do(func() {
		wantErr(t, rawsig.Queue(self, 40, info), unix.EPERM, "rt_sigqueueinfo(own process, SI_USER) by another thread")
		wantErr(t, rawsig.Queue(w.Tid, 40, info), nil, "rt_sigqueueinfo(own thread, SI_USER) by another thread")
	})
	mustTakeSignal(t, sys.Sigs(40)) // as kill, it goes to the process
	w.do(func() {
		wantErr(t, rawsig.Tgqueue(self, self, 40, info), unix.EPERM, "rt_tgsigqueueinfo(first thread, SI_USER) by another thread")
		wantErr(t, rawsig.Tgqueue(self, w.Tid, 40, info), nil, "rt_tgsigqueueinfo(own thread, SI_USER)")
		mustTakeSignal(t, sys.Sigs(40))
	})
	wantPending(t, 0)
}

// killPrefersThread: kill with a thread's id signals the process, and that thread is asked first.
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

// pidfdOfProc: the directory of a process in /proc serves as its pidfd.
func pidfdOfProc(t testing.TB) {
	blockAll(t)
	open := func(path string, flags int) int {
		t.Helper()
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	self := fmt.Sprintf("/proc/%d", os.Getpid())
	wantErr(t, rawsig.PidfdSend(open(self, unix.O_RDONLY|unix.O_DIRECTORY), 40, nil, 0), nil, "pidfd_send_signal(/proc/PID)")
	mustTakeSignal(t, sys.Sigs(40))
	wantErr(t, rawsig.PidfdSend(open(self, unix.O_PATH), 40, nil, 0), unix.EBADF, "pidfd_send_signal(/proc/PID opened with O_PATH)")
	for _, path := range []string{self + "/task/" + fmt.Sprint(os.Getpid()), self + "/fd", self + "/status", "/proc"} {
		wantErr(t, rawsig.PidfdSend(open(path, unix.O_RDONLY), 40, nil, 0), unix.EBADF, "pidfd_send_signal(%s)", path)
	}
	wantPending(t, 0)
}

// orderOfPidfdErrors: of several errors flags come first, then the descriptor,
// the siginfo, its number, its code, the process, and the signal.
func orderOfPidfdErrors(t testing.TB) {
	blockAll(t)
	gone := zombie(t)
	ended := mustPidfd(t, gone)
	reap(t, gone)
	wrong := sys.Siginfo{Signo: 41, Code: rawsig.SIUser}
	forged := sys.Siginfo{Signo: 40, Code: rawsig.SIUser}
	good := sys.Siginfo{Signo: 40, Code: rawsig.SIQueue}
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, minusOne, 200, badPointer, 8), unix.EINVAL, "flags, descriptor, siginfo and signal wrong")
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, minusOne, 200, badPointer, 0), unix.EBADF, "descriptor, siginfo and signal wrong")
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(ended), 200, badPointer, 0), unix.EFAULT, "siginfo, process and signal wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &wrong, 0), unix.EINVAL, "siginfo's number and code and process wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &forged, 0), unix.EPERM, "siginfo's code and process wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &good, 0), unix.ESRCH, "process gone")
	wantErr(t, rawsig.PidfdSend(ended, 200, nil, 0), unix.ESRCH, "process gone and signal wrong")
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, os.Getpid()), 200, nil, 0), unix.EINVAL, "signal wrong")
	wantPending(t, 0)
}

// exitSignalOfClone: clone chooses the signal that a child's end sends; a child with
// another one than SIGCHLD is found by wait with __WCLONE or __WALL only.
func exitSignalOfClone(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGCHLD, rawsig.Handler{Flags: rawsig.SAOnstack})
	// The child is one of a bare call: it fills no registers, it ends.
	_, pid := rawsig.VectorsSurviveFork(rawsig.Call{Nr: unix.SYS_CLONE, Args: [6]uintptr{40}})
	if pid < 0 {
		t.Fatalf("clone with exit signal 40: %v", unix.Errno(-pid))
	}
	info, err := rawsig.Wait(sys.Sigs(40), child.Patience/2)
	wantErr(t, err, nil, "waiting for the exit signal 40")
	if info.Code != rawsig.CldExited || info.Pid != int32(pid) || int32(info.Value) != 0 {
		t.Errorf("exit signal with code %d, process %d, status %d; want CLD_EXITED, %d, 0", info.Code, info.Pid, int32(info.Value), pid)
	}
	_, err = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	wantErr(t, err, unix.ECHILD, "wait4 without __WALL")
	got, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WCLONE, nil)
	if got != pid || err != nil {
		t.Errorf("wait4 with __WCLONE: %d, %v, want %d", got, err, pid)
	}
	if n := rawsig.Ran(unix.SIGCHLD); n != 0 {
		t.Errorf("SIGCHLD came %d times", n)
	}
}

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

// monotonic is the time that children read, as one to compare with theirs.
func monotonic(t testing.TB) time.Time {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return time.Unix(now.Unix())
}
