//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
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

// What is left of a call that a signal interrupts: the time, the bytes that
// were already moved, the wait itself.

// signalEndsWaitAtOnce (SIG-123): a signal that is caught ends a wait as soon
// as an event would, and not at the next tick or time slice: from tgkill(2) to
// the handler it takes microseconds.
//
// Time on a busy machine is other programs' too. So the middle one of twelve
// counts, what it may take grows with what a futex(2) takes to wake the same
// thread at the same time, and it is tried again. A kernel that looks for
// signals at ticks only is late in half of all tries, busy or not.
func signalEndsWaitAtOnce(t *testing.T) {
	const sig, n, enough = unix.Signal(40), 12, 5 * time.Millisecond
	blockAll(t)
	a := fdtest.Arena(t)
	at := sys.Place(a, unix.Timespec{})
	handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{
		{Nr: unix.SYS_CLOCK_GETTIME, Args: [6]uintptr{unix.CLOCK_MONOTONIC, ptrTo(at)}},
	}})
	bySignal := func(w timedWait) time.Duration {
		t.Helper()
		var took []time.Duration
		var stop atomic.Bool
		var errno unix.Errno
		th := child.Go(t, "thread in "+w.name, func() error {
			setMask(t, rawsig.Blockable&^sys.Sigs(sig))
			for !stop.Load() {
				_, _, errno = unix.Syscall6(w.nr, w.args[0], w.args[1], w.args[2], w.args[3], w.args[4], w.args[5])
			}
			return nil
		})
		for range n {
			th.AwaitBlocked(w.nr)
			stop.Store(len(took) == n-1)
			rawsig.Forget()
			sent := clockTime(t, unix.CLOCK_MONOTONIC)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, sig), nil, "tgkill(thread in %s)", w.name)
			eventually(t, fmt.Sprintf("a handler ran in %s", w.name), func() bool { return rawsig.Ran(sig) == 1 })
			took = append(took, time.Duration(at.Nano())-sent)
		}
		th.Join()
		if errno != unix.EINTR {
			t.Errorf("%s: %v after a handler, want EINTR", w.name, errno)
		}
		slices.Sort(took)
		return took[n/2]
	}
	byFutex := func() time.Duration {
		t.Helper()
		var took []time.Duration
		word, woken := a.Word32(0), make(chan time.Duration)
		th := child.Go(t, "thread in futex", func() error {
			setMask(t, rawsig.Blockable)
			for range n {
				for atomic.LoadUint32(word) == 0 {
					rawCall(unix.SYS_FUTEX, ptrTo(word), sys.FutexOpWait, 0, 0, 0, 0)
				}
				now, err := clockNow(unix.CLOCK_MONOTONIC)
				if err != nil {
					return err
				}
				atomic.StoreUint32(word, 0)
				woken <- now
			}
			return nil
		})
		for range n {
			th.AwaitBlocked(unix.SYS_FUTEX)
			sent := clockTime(t, unix.CLOCK_MONOTONIC)
			atomic.StoreUint32(word, 1)
			rawCall(unix.SYS_FUTEX, ptrTo(word), sys.FutexOpWake, 1)
			took = append(took, <-woken-sent)
		}
		th.Join()
		slices.Sort(took)
		return took[n/2]
	}
	const tries = 8
	for _, w := range timedWaits(t, a, time.Hour) {
		var seen []string
		for range tries {
			took, other := bySignal(w), byFutex()
			if t.Failed() {
				t.FailNow()
			}
			if took < enough || took < 3*other {
				seen = nil
				break
			}
			seen = append(seen, fmt.Sprintf("%v (a futex %v)", took, other))
		}
		if seen != nil {
			t.Errorf("from tgkill to the handler of a thread in %s, middle of %d: %s; want under %v", w.name, n, strings.Join(seen, ", "), enough)
		}
	}
}

// restartIsInternal (SIG-125): restart_syscall(2) is for the kernel: called by
// a program it is EINTR at once, also after a handler has ended a call that
// could have been restarted by it.
func restartIsInternal(t testing.TB) {
	const sig = unix.Signal(40)
	blockAll(t)
	handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SARestart})
	again := func(after string) {
		t.Helper()
		start := time.Now()
		_, err := rawCall(unix.SYS_RESTART_SYSCALL)
		wantErr(t, err, unix.EINTR, "restart_syscall %s", after)
		if took := time.Since(start); took > child.Patience/2 {
			t.Errorf("restart_syscall %s took %v", after, took)
		}
	}
	again("after nothing")
	for _, w := range timedWaits(t, fdtest.Arena(t), child.Patience) {
		rawsig.Forget()
		th := child.Go(t, "thread in "+w.name, func() error {
			setMask(t, rawsig.Blockable&^sys.Sigs(sig))
			_, err := rawCall(w.nr, w.args[:]...)
			wantErr(t, err, unix.EINTR, "%s after a handler", w.name)
			again("after a handler in " + w.name)
			return nil
		})
		th.AwaitBlocked(w.nr)
		wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, sig), nil, "tgkill(thread in %s)", w.name)
		th.Join()
	}
}

// partialTransfers (SIG-126): a transfer that a handler interrupts after some
// bytes returns their number, with or without SA_RESTART, and the rest has not
// been moved: write(2) and writev(2) to a pipe, send(2) to a stream socket,
// recv(2) with MSG_WAITALL; one that moved nothing yet goes on or is EINTR
// (SIG-70).
func partialTransfers(t testing.TB) {
	const sig = unix.Signal(40)
	blockAll(t)
	a := fdtest.Arena(t)
	big := a.Bytes(1 << 20)
	pipe := func() (r, w, size int) {
		r, w = fdtest.Pipe(t)
		if err := unix.SetNonblock(w, false); err != nil {
			t.Fatal(err)
		}
		size, err := unix.FcntlInt(uintptr(w), unix.F_SETPIPE_SZ, os.Getpagesize())
		if err != nil {
			t.Fatalf("F_SETPIPE_SZ: %v", err)
		}
		return r, w, size
	}
	left := func(fd int) (n int) {
		buf := make([]byte, 1<<20)
		for {
			got, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err == unix.ENOTSOCK {
				unix.SetNonblock(fd, true)
				got, err = unix.Read(fd, buf)
			}
			if err != nil || got <= 0 {
				return n
			}
			n += got
		}
	}
	type transfer struct {
		name string
		nr   uintptr
		args []uintptr
		all  int        // bytes asked for
		want int        // bytes moved by the time that it sleeps; -1: as many as arrived
		came func() int // how many have arrived at the other end
	}
	for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
		r1, w1, size1 := pipe()
		r2, w2, size2 := pipe()
		pieces := sys.Place(a, [2]unix.Iovec{{Base: &big[0]}, {Base: &big[0]}})
		pieces[0].SetLen(size2 / 2)
		pieces[1].SetLen(4 * size2)
		stream, all := fdtest.Socketpair(t), fdtest.Socketpair(t)
		mustWrite(t, all[1], "12345")
		tcp, tcpPeer := mustTCP(t)
		for _, c := range []transfer{
			{"write to a pipe", unix.SYS_WRITE, []uintptr{uintptr(w1), ptrTo(&big[0]), uintptr(5 * size1)}, 5 * size1, size1, func() int { return left(r1) }},
			{"writev to a pipe", unix.SYS_WRITEV, []uintptr{uintptr(w2), ptrTo(&pieces[0]), 2}, size2/2 + 4*size2, -1, func() int { return left(r2) }},
			{"sendto on a unix socket", unix.SYS_SENDTO, []uintptr{uintptr(stream[0]), ptrTo(&big[0]), uintptr(len(big)), 0, 0, 0}, len(big), -1, func() int { return left(stream[1]) }},
			{"recvfrom with MSG_WAITALL on a unix socket", unix.SYS_RECVFROM, []uintptr{uintptr(all[0]), ptrTo(&big[0]), 16, unix.MSG_WAITALL, 0, 0}, 16, 5, nil},
			{"recvfrom with MSG_WAITALL on a TCP socket", unix.SYS_RECVFROM, []uintptr{uintptr(tcp), ptrTo(&big[0]), 16, unix.MSG_WAITALL, 0, 0}, 16, 3, nil},
		} {
			handle(t, sig, rawsig.Handler{Flags: flags})
			if c.args[0] == uintptr(tcp) {
				mustWrite(t, tcpPeer, "123")
				mustAwait(t, tcp)
			}
			var n uintptr
			var errno unix.Errno
			called := make(chan struct{})
			th := child.Go(t, c.name, func() error {
				setMask(t, rawsig.Blockable&^sys.Sigs(sig))
				args := append(slices.Clone(c.args), make([]uintptr, 6-len(c.args))...)
				close(called)
				n, _, errno = unix.Syscall6(c.nr, args[0], args[1], args[2], args[3], args[4], args[5])
				return nil
			})
			<-called
			th.AwaitBlocked(c.nr)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, sig), nil, "tgkill(thread in %s)", c.name)
			select {
			case <-th.Done():
			case <-time.After(child.Patience / 4):
				t.Errorf("%s, flags %#x: goes on after a handler, want the number of bytes it has moved", c.name, flags)
				for th.Tid > 0 && t.Failed() { // let it end, to go on
					unix.Close(int(c.args[0]))
					handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack})
					rawsig.Tgkill(os.Getpid(), th.Tid, sig)
					break
				}
			}
			th.Join()
			want := c.want
			if c.came != nil {
				came := c.came()
				if want < 0 {
					want = came
				} else if came != want {
					t.Errorf("%s, flags %#x: %d bytes have come, want %d", c.name, flags, came, want)
				}
			}
			if errno != 0 || int(n) != want || want == 0 || want >= c.all {
				t.Errorf("%s, flags %#x: a handler ended it with %d, %v; want %d, of %d", c.name, flags, int(n), errName(errno), want, c.all)
			}
		}
	}
	runtime.KeepAlive(big)
}

// waitsGoOnOverStop (SIG-127): what a stop does not end with EINTR (SIG-104)
// goes on with what is left of its time. Restarted by restart_syscall(2) -
// poll(2), nanosleep(2), clock_nanosleep(2), futex(2) - it knows when it is to
// end, and the time runs on meanwhile. select(2), pselect6(2) and ppoll(2) have
// stored what is left before they stop, and are made again with that.
func waitsGoOnOverStop(t *testing.T) {
	blockAll(t)
	const tries = 5
	length := 200 * time.Millisecond
	if machine.GVisor() {
		length = time.Second // there it takes a while to find a process asleep
	}
	var late []string
	for range tries {
		// Counted anew, a wait would go on for nearly all of its
		// length. Not much shorter is the time that a busy machine may
		// take to wake it.
		late = nil
		for name, on := range goOnOverStop(t, length) {
			if on > length*2/3 {
				late = append(late, fmt.Sprintf("%s for %v", name, on.Round(time.Millisecond)))
			}
		}
		if late == nil || t.Failed() {
			return
		}
	}
	slices.Sort(late)
	t.Errorf("%d times waits of %v went on when they were continued after their ends, the last time %s", tries, length, strings.Join(late, ", "))
}

// goOnOverStop returns for how long waits whose time runs on go on when they are
// stopped and then continued after their ends.
func goOnOverStop(t *testing.T, length time.Duration) map[string]time.Duration {
	t.Helper()
	a := fdtest.Arena(t)
	type stopped struct {
		*bare
		timedWait
		before, after *unix.Timespec

		stopped, continued time.Duration // the latest when it was, the earliest
	}
	var all []stopped
	for _, w := range timedWaits(t, a, length) {
		if w.endsOverStop {
			continue
		}
		s := stopped{timedWait: w, before: sys.Place(a, unix.Timespec{}), after: sys.Place(a, unix.Timespec{})}
		s.bare = startBare(t, a, readClock(s.before), w.call(w.over), readClock(s.after))
		if !asleep(t, s.bare, w.nr) {
			s.want(t) // it was over before it was seen asleep
			continue
		}
		wantErr(t, rawsig.Kill(s.TID, unix.SIGSTOP), nil, "kill(child in %s, SIGSTOP)", w.name)
		wantWaited(t, s.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
		s.stopped = clockTime(t, unix.CLOCK_MONOTONIC)
		all = append(all, s)
	}
	time.Sleep(length + 20*time.Millisecond)
	on := map[string]time.Duration{}
	for i, s := range all {
		all[i].continued = clockTime(t, unix.CLOCK_MONOTONIC)
		wantErr(t, rawsig.Kill(s.TID, unix.SIGCONT), nil, "kill(child in %s, SIGCONT)", s.name)
	}
	for _, s := range all {
		s.want(t)
		start, end, continued := time.Duration(s.before.Nano()), time.Duration(s.after.Nano()), s.continued
		if s.loop.Ended() && s.until == 0 && end-start < length {
			t.Errorf("%s took %v over a stop, want at least %v", s.name, end-start, length)
		}
		if !s.timeStops {
			on[s.name] = end - continued
		} else if least := length - (s.stopped - start) - time.Microsecond; s.loop.Ended() && end-continued < least {
			t.Errorf("%s went on for %v after a stop at which %v was left", s.name, end-continued, least)
		}
	}
	return on
}

// waitsEndAfterStop (SIG-128): a wait that goes on after a stop, and after
// another, still has its event: poll(2), select(2) and their relatives, and
// futex(2).
func waitsEndAfterStop(t *testing.T) {
	blockAll(t)
	a := fdtest.Arena(t)
	for _, w := range timedWaits(t, a, time.Hour) {
		if w.endsOverStop || w.event == nil {
			continue
		}
		b := startBare(t, a, w.call(w.told))
		for n := range 3 {
			if !asleep(t, b, w.nr) {
				t.Errorf("%s ended over stop %d: %v", w.name, n, b.loop.Err())
				break
			}
			if n < 2 {
				stopAndGo(t, b)
			}
		}
		if b.Gone() {
			continue
		}
		w.event()
		b.want(t)
	}
}

// timeLeft (SIG-129): a wait that a handler ends says exactly how much of its
// time is left, if it says so at all: nanosleep(2) and clock_nanosleep(2) to
// their second time, select(2), pselect6(2) and ppoll(2) to their only one,
// those also when an event ends them; when the time is over that is 0.
func timeLeft(t testing.TB) {
	const sig, timeout, nap = unix.Signal(40), 1000 * time.Second, 3 * time.Millisecond
	blockAll(t)
	handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack})
	a := fdtest.Arena(t)
	for _, how := range []string{"a handler", "an event"} {
		for _, w := range timedWaits(t, a, timeout) {
			if w.left == nil || how == "an event" && w.event == nil {
				continue
			}
			var n int
			var err error
			var start, end time.Duration
			th := child.Go(t, "thread in "+w.name, func() error {
				setMask(t, rawsig.Blockable&^sys.Sigs(sig))
				start, _ = clockNow(unix.CLOCK_MONOTONIC)
				n, err = rawCall(w.nr, w.args[:]...)
				end, _ = clockNow(unix.CLOCK_MONOTONIC)
				return nil
			})
			th.AwaitBlocked(w.nr)
			asleep := clockTime(t, unix.CLOCK_MONOTONIC)
			time.Sleep(nap)
			if how == "an event" {
				w.event()
			} else {
				wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, sig), nil, "tgkill(thread in %s)", w.name)
			}
			th.Join()
			if how == "an event" && (n != w.told || err != nil) || how != "an event" && err != unix.EINTR {
				t.Errorf("%s that %s ended = %d, %v", w.name, how, n, errName(err))
			}
			// Microseconds are what select(2) has.
			least, most := timeout-(end-start)-time.Microsecond, timeout-nap
			if left := w.left(); left < least || left > most || asleep < start {
				t.Errorf("%s that %s ended has %v left, want %v to %v", w.name, how, left, least, most)
			}
		}
	}
	for _, w := range timedWaits(t, a, nap) {
		if w.left == nil || strings.Contains(w.name, "nanosleep") { // which says nothing then
			continue
		}
		if n, err := rawCall(w.nr, w.args[:]...); n != 0 || err != nil || w.left() != 0 {
			t.Errorf("%s of %v = %d, %v and has %v left; want 0, 0", w.name, nap, n, err, w.left())
		}
	}
}

// ignoredEndNoWait (SIG-130): a signal that is blocked, ignored, or by default
// ignored ends no wait.
func ignoredEndNoWait(t *testing.T) {
	blockAll(t)
	a := fdtest.Arena(t)
	const blocked = unix.Signal(40)
	open := []unix.Signal{unix.SIGUSR2, unix.SIGTERM, unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT}
	var calls []sys.Call
	for i, sig := range open {
		action := rawsig.Action{}
		if i < 2 {
			action.Handler = rawsig.Ignore
		}
		calls = append(calls, sys.Call{Name: "rt_sigaction()", Nr: unix.SYS_RT_SIGACTION, Args: [6]uintptr{uintptr(sig), ptrTo(sys.Place(a, action)), 0, 8}})
	}
	calls = append(calls, sys.Call{Name: "rt_sigprocmask()", Nr: unix.SYS_RT_SIGPROCMASK,
		Args: [6]uintptr{unix.SIG_SETMASK, ptrTo(sys.Place(a, rawsig.Blockable&^sys.Sigs(open...))), 0, 8}})
	for _, w := range timedWaits(t, a, time.Hour) {
		b := startBare(t, a, append(slices.Clone(calls), w.call(w.told))...)
		if !asleep(t, b, w.nr) {
			t.Errorf("%s: %v", w.name, b.loop.Err())
			continue
		}
		for _, sig := range append(open, blocked) {
			wantErr(t, rawsig.Tgkill(b.TID, b.TID, sig), nil, "tgkill(child in %s, %d)", w.name, sig)
			if !asleep(t, b, w.nr) {
				t.Errorf("signal %d, which nothing is done for, ended %s: %v", sig, w.name, b.loop.Err())
				break
			}
		}
		if w.event == nil || b.Gone() {
			continue
		}
		w.event()
		b.want(t)
	}
}

// failedExecEndsNoWait (SIG-131): execve(2) that fails, and fork(2), leave the
// process's other threads in their waits.
func failedExecEndsNoWait(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	var sleepers []*sleeper
	waits := timedWaits(t, a, time.Hour)
	for _, w := range waits {
		s := startSleep(t, "thread in "+w.name, func(*sleeper) (int, error) { return rawCall(w.nr, w.args[:]...) })
		s.AwaitBlocked(w.nr)
		sleepers = append(sleepers, s)
	}
	text := mustMemfd(t)
	mustWrite(t, text, "this is no program\n")
	name := func(s string) uintptr {
		b := a.Bytes(len(s) + 1)
		copy(b, s)
		return ptrTo(&b[0])
	}
	empty := a.Words(2)
	argv := a.Words(2)
	argv[0] = uint64(name("nobody"))
	for range 20 {
		for _, c := range []struct {
			dir   uintptr
			path  string
			flags uintptr
			want  error
		}{
			{minusOne, "/nothing/there", 0, unix.ENOENT},
			{minusOne, "/", 0, unix.EACCES},
			{uintptr(text), "", unix.AT_EMPTY_PATH, unix.ENOEXEC},
		} {
			_, err := rawCall(unix.SYS_EXECVEAT, c.dir, name(c.path), ptrTo(&argv[0]), ptrTo(&empty[0]), c.flags)
			wantErr(t, err, c.want, "execveat(%q)", c.path)
		}
	}
	startBare(t, a).want(t)
	time.Sleep(grace)
	for i, s := range sleepers {
		select {
		case <-s.Done():
			t.Errorf("%s returned %d, %v while another thread's execve failed; want it asleep", waits[i].name, s.n, errName(s.err))
			continue
		default:
		}
		if event := waits[i].event; event != nil {
			event()
			if s.Join(); s.n != waits[i].told || s.err != nil {
				t.Errorf("%s = %d, %v; want %d", waits[i].name, s.n, errName(s.err), waits[i].told)
			}
		}
	}
}

// waitPrefersChild (SIG-132): a wait(2) that sleeps when the child ends finds
// it, though the SIGCHLD of that end runs a handler without SA_RESTART: the
// child is there before the signal.
func waitPrefersChild(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGCHLD, rawsig.Handler{Flags: rawsig.SAOnstack})
	for i := range 20 {
		rawsig.Forget()
		a, err := sys.NewArena(256 << 10)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		nap, info := sys.Place(a, unix.Timespec{Nsec: 1_000_000}), sys.Place(a, sys.Siginfo{})
		b := startBare(t, a, sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, nap))
		setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGCHLD))
		name, want := "wait4", b.TID
		var got int
		if i%2 == 0 {
			got, err = rawCall(unix.SYS_WAIT4, uintptr(b.TID), 0, 0, 0)
		} else {
			name = "waitid"
			_, err = rawCall(unix.SYS_WAITID, unix.P_PID, uintptr(b.TID), ptrTo(info), unix.WEXITED, 0)
			got = int(info.Pid)
		}
		setMask(t, rawsig.Blockable)
		if got != want || err != nil {
			t.Errorf("%s of a child that ends = %d, %v; want %d", name, got, errName(err), want)
		}
		if ran := rawsig.Ran(unix.SIGCHLD); ran != 1 {
			t.Errorf("the handler of SIGCHLD ran %d times over %s, want once", ran, name)
		}
		if t.Failed() {
			return
		}
	}
}

var signalResumeRows = map[string]func(*testing.T){
	"SIG-123": signalEndsWaitAtOnce,
	"SIG-125": behaviour.Alone(restartIsInternal, quiet...),
	"SIG-126": behaviour.Alone(partialTransfers, quiet...),
	"SIG-127": waitsGoOnOverStop,
	"SIG-128": waitsEndAfterStop,
	"SIG-129": behaviour.Alone(timeLeft, quiet...),
	"SIG-130": ignoredEndNoWait,
	"SIG-131": behaviour.Alone(failedExecEndsNoWait, quiet...),
	"SIG-132": behaviour.Alone(waitPrefersChild, quiet...),
}
