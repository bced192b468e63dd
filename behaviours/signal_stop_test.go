//go:build linux

package behaviours

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/machine"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Stopping and continuing.

// stopAndContinue (SIG-54): SIGSTOP stops all threads, SIGCONT starts them
// again, and the parent is told by waitid and by SIGCHLD.
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

// contAfterStop (SIG-55): after SIGSTOP and at once SIGCONT a process runs.
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

// signalsWhileStopped (SIG-56): to a stopped process signals wait for SIGCONT,
// but SIGKILL.
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

// sleepOverStop (SIG-71): nanosleep goes on after a stop, until the time it
// would have ended anyway.
func sleepOverStop(t *testing.T) {
	blockAll(t)
	const tries = 5
	sleep := 150 * time.Millisecond
	if machine.GVisor() {
		sleep = time.Second // there it takes a while to find a process asleep
	}
	for range tries {
		// Counted anew, the sleep would go on for nearly all of its
		// length. Not much shorter is the time that a busy machine may
		// take to wake it.
		if sleepsOn(t, sleep) <= sleep*2/3 {
			return
		}
	}
	t.Errorf("%d sleeps of %v went on for more than two thirds of that when they were continued after their ends", tries, sleep)
}

// sleepsOn returns for how long a sleep goes on that is stopped and continued
// after its end.
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

// stopAndContDiscard (SIG-99): SIGCONT removes pending stop signals and a stop
// signal removes pending SIGCONTs, also if they are blocked, ignored or caught,
// and of threads and process alike.
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
	// Ignored and not blocked, SIGCONT itself is nothing, and does so all
	// the same.
	act(t, unix.SIGCONT, rawsig.Action{Handler: rawsig.Ignore})
	drain(rawsig.Blockable)
	w.do(func() { drain(rawsig.Blockable) })
	send(unix.SIGTSTP)
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGCONT)) })
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGCONT))
	wantErr(t, rawsig.Kill(os.Getpid(), unix.SIGCONT), nil, "kill(self, SIGCONT)")
	want()
}

// orphanedGroup (SIG-100): in a process group that nobody outside controls
// SIGTSTP, SIGTTIN and SIGTTOU stop no one; SIGSTOP does.
func orphanedGroup(t testing.TB) {
	own := sys.Call{Name: "setsid()", Nr: unix.SYS_SETSID, AnyCount: true}
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

// stopInterruptsWaits (SIG-104): some waits fail with EINTR after a stop,
// though no handler ran; others go on, signal(7).
func stopInterruptsWaits(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	r, _ := fdtest.Pipe(t)
	if err := unix.SetNonblock(r, false); err != nil {
		t.Fatal(err)
	}
	set := sys.Place(a, rawsig.Blockable)
	waits := append(timedWaits(t, a, time.Hour),
		timedWait{name: "read of a pipe", nr: unix.SYS_READ, args: [6]uintptr{uintptr(r), ptrTo(a.Word(0)), 8}},
		timedWait{name: "rt_sigsuspend", nr: unix.SYS_RT_SIGSUSPEND, args: [6]uintptr{ptrTo(set), 8}},
		timedWait{name: "futex without a timeout", nr: unix.SYS_FUTEX, args: [6]uintptr{ptrTo(a.Word32(0)), sys.FutexOpWait}})
	for _, w := range waits {
		b := startBare(t, a, w.call(-int(unix.EINTR)))
		if !asleep(t, b, w.nr) {
			t.Errorf("%s does not sleep: %v", w.name, b.loop.Err())
			continue
		}
		stopAndGo(t, b)
		ends := !asleep(t, b, w.nr)
		time.Sleep(time.Millisecond)
		switch {
		case w.endsOverStop && !ends:
			t.Errorf("%s goes on after a stop, want EINTR", w.name)
		case !w.endsOverStop && b.Gone():
			t.Errorf("%s ended over a stop with %v, want it to go on", w.name, b.loop.Result)
		case w.endsOverStop:
			b.want(t)
		}
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

// groupBecomesOrphaned (SIG-120): when the end of a process leaves a process
// group without a parent elsewhere in its session, and a member of the group is
// stopped, all its members get SIGHUP and SIGCONT, setpgid(2), credentials(7);
// if none is stopped they get nothing.
func groupBecomesOrphaned(t *testing.T) {
	for how, want := range map[string]sys.Sigset{"stopped": sys.Sigs(unix.SIGHUP, unix.SIGCONT), "running": 0} {
		var tell, turn [2]int
		for _, pipe := range []*[2]int{&tell, &turn} {
			err := unix.Pipe2(pipe[:], unix.O_CLOEXEC)
			closable(t, pipe[0], err)
			closable(t, pipe[1], err)
		}
		p := child.Start(t, parentOfGroup, child.Options{Args: []string{how}, Files: []int{tell[1], turn[0]}, Block: quiet, Attr: &syscall.SysProcAttr{Setsid: true}})
		var pids [2]int
		if _, err := fmt.Sscan(p.Line(), &pids[0], &pids[1]); err != nil {
			t.Fatal(err)
		}
		over := false
		for _, pid := range pids {
			t.Cleanup(func() {
				if !over {
					unix.Kill(pid, unix.SIGKILL)
				}
			})
		}
		if how == "stopped" {
			child.AwaitState(t, pids[0], pids[0], "T")
		}
		p.Say("end")
		p.Wait()
		if how == "running" {
			time.Sleep(grace)
		}
		for range pids {
			mustWrite(t, turn[1], "12345678")
		}
		for range pids {
			mustAwait(t, tell[0])
			var buf [8]byte
			if n, err := unix.Read(tell[0], buf[:]); n != 8 || err != nil {
				t.Fatalf("read of what is pending = %d, %v; want 8", n, err)
			}
			if got := sys.Sigset(binary.NativeEndian.Uint64(buf[:])) &^ sys.Sigs(unix.SIGCHLD); got != want {
				t.Errorf("in a group that became orphaned, the first of it %s, a member has %#x pending, want %#x", how, got, want)
			}
		}
		over = true
	}
}

// parentOfGroup is the only parent of a group in its session. The second of the
// group stops the first, or both run on; each then waits for its turn and tells
// what is pending.
var parentOfGroup = child.Register("parent-of-group", func(p *child.Proc) error {
	const tell, turn = child.FirstFile, child.FirstFile + 1
	all := rawsig.Blockable
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &all); err != nil {
		return err
	}
	a, err := sys.NewArena(256 << 10)
	if err != nil {
		return err
	}
	var pids [2]int
	ready := a.Word32(0)
	for i := range pids {
		pending, word := sys.Place(a, sys.Sigset(0)), a.Word(0)
		calls := []sys.Call{{Name: "setpgid()", Nr: unix.SYS_SETPGID, Args: [6]uintptr{0, uintptr(pids[0])}}}
		// What the parent has is not to be held open by them.
		for fd := range uintptr(3) {
			calls = append(calls, sys.Call{Name: "close()", Nr: unix.SYS_CLOSE, Args: [6]uintptr{fd}})
		}
		calls = append(calls, sys.FutexSet(ready, uint32(i+1)))
		if i == 1 && p.Args[0] == "stopped" {
			// It stops the first, and nobody else: the rest of the
			// group runs.
			calls = append(calls, sys.Kill(pids[0], unix.SIGSTOP))
		}
		calls = append(calls, sys.Read("pipe", turn, word, 8),
			sys.Call{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(pending), 8}},
			sys.Write("pipe", tell, pending, 8))
		l := sys.NewLoop(a, calls...)
		l.Reset(1)
		task, err := sys.NewChild(a, l)
		if err != nil {
			return err
		}
		pids[i] = task.TID
		for end := time.Now().Add(child.Patience / 2); *ready != uint32(i+1); time.Sleep(100 * time.Microsecond) {
			if l.Failed() || time.Now().After(end) {
				return fmt.Errorf("member %d of the group: %w", i, l.Err())
			}
		}
	}
	p.Say("%d %d", pids[0], pids[1])
	_, err = p.Hear()
	return err
})

var signalStopRows = map[string]func(*testing.T){
	"SIG-54":  stopAndContinue,
	"SIG-55":  contAfterStop,
	"SIG-56":  signalsWhileStopped,
	"SIG-71":  sleepOverStop,
	"SIG-99":  behaviour.Alone(stopAndContDiscard, quiet...),
	"SIG-100": behaviour.Alone(orphanedGroup, quiet...),
	"SIG-104": behaviour.Alone(stopInterruptsWaits, quiet...),
	"SIG-120": groupBecomesOrphaned,
}
