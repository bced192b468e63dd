//go:build linux

package behaviours

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Processes: fork, exec, default actions, children, SIGIO.

// forkInherits (SIG-58): a child has its parent's mask and actions, and nothing
// pending.
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

// execKeeps (SIG-59): execve keeps mask, pending and ignored signals; what was
// caught has its default action, without flags and masks, and there is no
// alternate stack.
func execKeeps(t *testing.T) {
	p := child.Start(t, executing, child.Options{Block: quiet})
	// Some actions are the test's surroundings': what ignored, say SIGHUP,
	// before.
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

// defaultActions (SIG-86): a process that did nothing about it is not touched
// by four signals, stopped by four and killed by all others, of which ten dump
// core, signal(7).
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

// brokenPipe (SIG-87): a write that fails with EPIPE sends the writing thread
// SIGPIPE, before the call returns.
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

// asyncIO (SIG-88): O_ASYNC sends the chosen signal to the chosen thread and
// says which descriptor is ready; where that cannot be queued, SIGIO comes in
// its place.
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

// initIgnoresDefaults (SIG-89): the first process of a pid namespace is not
// harmed by signals that it does not catch; from within, not even by SIGKILL
// and SIGSTOP.
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

// nocldstop (SIG-97): with SA_NOCLDSTOP SIGCHLD comes when a child ends, not
// when it stops or continues.
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

// nobodyWaits (SIG-98): a parent that ignores SIGCHLD, or has said
// SA_NOCLDWAIT, gets no zombies, and wait fails with ECHILD when all have
// ended. A handler still runs.
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

// leaderEndsFirst (SIG-101): a process whose first thread has ended takes
// signals with the others.
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

// parentDeathSignal (SIG-105): PR_SET_PDEATHSIG is about the thread that
// forked, not its process.
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
			sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true,
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

// exitSignalOfClone (SIG-110): clone chooses the signal that a child's end
// sends; a child with another one than SIGCHLD is found by wait with __WCLONE
// or __WALL only.
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

var signalProcessRows = map[string]func(*testing.T){
	"SIG-58":  behaviour.Alone(forkInherits, quiet...),
	"SIG-59":  execKeeps,
	"SIG-86":  behaviour.Alone(defaultActions, quiet...),
	"SIG-87":  behaviour.Alone(brokenPipe, quiet...),
	"SIG-88":  behaviour.Alone(asyncIO, quiet...),
	"SIG-89":  initIgnoresDefaults,
	"SIG-97":  behaviour.Alone(nocldstop, quiet...),
	"SIG-98":  behaviour.Alone(nobodyWaits, quiet...),
	"SIG-101": leaderEndsFirst,
	"SIG-105": behaviour.Alone(parentDeathSignal, quiet...),
	"SIG-110": behaviour.Alone(exitSignalOfClone, quiet...),
}
