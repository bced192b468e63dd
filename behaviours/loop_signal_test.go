//go:build linux

package behaviours

import (
	"encoding/binary"
	"fmt"
	"slices"
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

// Signals in a loop.

// mustWriteFromHandler has the handler of sig write 1 to an eventfd, as
// programs do that turn signals into events (the "self-pipe trick"): write(2)
// is async-signal-safe, signal-safety(7).
func mustWriteFromHandler(tb testing.TB, sig unix.Signal, fd int) {
	tb.Helper()
	restore, err := rawsig.Handle(sig, rawsig.Handler{
		Flags: rawsig.SAOnstack | rawsig.SARestart,
		Calls: []rawsig.Call{{Nr: unix.SYS_WRITE, Args: [6]uintptr{uintptr(fd), uintptr(unsafe.Pointer(&one)), 8}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := restore(); err != nil {
			tb.Error(err)
		}
	})
	rawsig.Forget()
}

// loopHandlerWrites (INT-01): a handler that writes to an eventfd wakes the
// loop that watches it, wherever the handler runs, and the eventfd counts its
// runs.
func loopHandlerWrites(t *testing.T) {
	const sig, n = unix.Signal(40), 100 // a real-time signal: none is merged
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	mustWriteFromHandler(t, sig, source)
	for _, where := range []string{"the loop's thread", "another thread"} {
		rawsig.Forget()
		var interrupted int
		loop := startSleep(t, "thread with a loop", func(s *sleeper) (sum int, err error) {
			if where == "the loop's thread" {
				if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
					return 0, err
				}
			}
			for sum < n {
				switch got, err := epollPwait(epfd, s.events[:], int(child.Patience/time.Millisecond)/2); {
				case err == unix.EINTR && !s.roused.Load():
					interrupted++
				case err != nil || got != 1:
					return sum, fmt.Errorf("epoll_pwait after %d = %d, %w; want 1", sum, got, err)
				default:
					var buf [8]byte
					if _, err := unix.Read(source, buf[:]); err != nil {
						return sum, err
					}
					sum += int(binary.NativeEndian.Uint64(buf[:]))
				}
			}
			return sum, nil
		})
		loop.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		target := loop.Tid
		var other *sleeper
		if where == "another thread" {
			other = startSleep(t, "thread with the handler", func(s *sleeper) (int, error) {
				mask := ^sys.Sigs(rouse, sig)
				for rawsig.Ran(sig) < n && !s.roused.Load() {
					if _, _, errno := unix.Syscall(unix.SYS_RT_SIGSUSPEND, uintptr(unsafe.Pointer(&mask)), 8, 0); errno != unix.EINTR {
						return 0, errno
					}
				}
				return 0, nil
			})
			target = other.Tid
		}
		for i := range n {
			err := rawsig.Tgqueue(unix.Getpid(), target, sig, rawsig.Value(uint64(i)))
			// With a low RLIMIT_SIGPENDING the handler must catch
			// up.
			for end := time.Now().Add(2 * time.Second); err == unix.EAGAIN && time.Now().Before(end); time.Sleep(time.Millisecond) {
				err = rawsig.Tgqueue(unix.Getpid(), target, sig, rawsig.Value(uint64(i)))
			}
			if err == unix.EAGAIN {
				behaviour.Limited(t, "rt_tgsigqueueinfo: %v: raise RLIMIT_SIGPENDING", err)
			} else if err != nil {
				t.Fatalf("rt_tgsigqueueinfo: %v", err)
			}
		}
		loop.Join()
		if loop.err != nil || loop.n != n {
			t.Errorf("with the handler on %s the eventfd gave %d of %d: %v", where, loop.n, n, loop.err)
		}
		if other != nil {
			other.Join()
			if interrupted != 0 {
				t.Errorf("the loop was interrupted %d times by signals to another thread", interrupted)
			}
		}
		if got := rawsig.Ran(sig); got != n {
			t.Errorf("the handler ran %d times, want %d", got, n)
		}
	}
}

// loopSignalStorm (INT-03): a loop that takes signals from a signalfd while
// others send it thousands of one number gets at least one of them and all
// else, and does not stop.
func loopSignalStorm(t *testing.T) {
	const sig, last, n = unix.SIGUSR1, unix.SIGUSR2, 5000
	signals := fdtest.Signalfd(t, sig, last)
	if err := unix.SetNonblock(signals, true); err != nil {
		t.Fatal(err)
	}
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, signals, unix.EPOLLIN|unix.EPOLLET)
	loop := startSleep(t, "thread with a loop", func(s *sleeper) (taken int, err error) {
		var info unix.SignalfdSiginfo
		buf := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))
		for over := false; ; {
			switch got, err := unix.Read(signals, buf); {
			case err == unix.EAGAIN && over:
				return taken, nil
			case err == unix.EAGAIN:
				if got, err := epollPwait(epfd, s.events[:], int(child.Patience/time.Millisecond)/2); got != 1 {
					return taken, fmt.Errorf("epoll_pwait after %d signals = %d, %w; want 1", taken, got, err)
				}
			case err != nil || got != len(buf):
				return taken, fmt.Errorf("read of the signalfd = %d, %w", got, err)
			case info.Signo == uint32(last):
				over = true
			case info.Signo == uint32(sig):
				taken++
			default:
				return taken, fmt.Errorf("read signal %d", info.Signo)
			}
		}
	})
	var senders []*child.Thread
	for range 2 {
		senders = append(senders, child.Go(t, "sender", func() error {
			for range n {
				if err := rawsig.Tgkill(unix.Getpid(), loop.Tid, sig); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, s := range senders {
		s.Join()
	}
	if err := rawsig.Tgkill(unix.Getpid(), loop.Tid, last); err != nil {
		t.Fatal(err)
	}
	loop.Join()
	if loop.err != nil || loop.n < 1 || loop.n > 2*n {
		t.Errorf("%d signals were taken of %d, %v; want 1 or more", loop.n, 2*n, loop.err)
	}
}

// loopMergedChildren (INT-04): SIGCHLD is a standard signal and merged: a loop
// that has one from a signalfd must wait for all children that have ended,
// waitpid(2) with WNOHANG; nothing more will come for them.
var loopMergedChildren = behaviour.Alone(func(t testing.TB) { takeChildSignals(t, childrenMerge) })

func childrenMerge(t testing.TB) error {
	signals := fdtest.Signalfd(t, unix.SIGCHLD)
	if err := unix.SetNonblock(signals, true); err != nil {
		return err
	}
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, signals, unix.EPOLLIN)
	if err := checkReady(epfd); err != nil {
		return fmt.Errorf("before any child ended: %w", err)
	}
	for { // left by a try before
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
			break
		}
	}
	rawsig.Take(sys.Sigs(unix.SIGCHLD))
	ended := map[int]bool{}
	for range 3 {
		p := mustFork(t)
		if err := unix.Waitid(unix.P_PID, p.TID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			return fmt.Errorf("waitid: %w", err)
		}
		ended[p.TID] = true
	}
	if err := checkReady(epfd, ready(signals, unix.EPOLLIN)); err != nil {
		return fmt.Errorf("after three children ended: %w", err)
	}
	var info unix.SignalfdSiginfo
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	if n, err := unix.Read(signals, buf); n != len(buf) || err != nil || info.Signo != uint32(unix.SIGCHLD) || !ended[int(info.Pid)] {
		return fmt.Errorf("read = %d, %v with signal %d of process %d; want SIGCHLD of one of %v", n, err, info.Signo, info.Pid, ended)
	}
	if n, err := unix.Read(signals, buf); err != unix.EAGAIN {
		return fmt.Errorf("second read = %d, %v; want EAGAIN", n, err)
	}
	if err := checkReady(epfd); err != nil {
		return fmt.Errorf("with three children to be waited for: %w", err)
	}
	for len(ended) > 0 {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if err != nil || !ended[pid] {
			return fmt.Errorf("wait4 = %d, %v; want one of %v", pid, err, ended)
		}
		delete(ended, pid)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		return fmt.Errorf("wait4 = %d, %v; want ECHILD", pid, err)
	}
	return checkReady(epfd)
}

// loopQueuedSignals (INT-05): real-time signals are queued up to
// RLIMIT_SIGPENDING, and a loop gets each of them, in order, with its value;
// what is over the limit is refused, not lost.
var loopQueuedSignals = behaviour.Alone(func(t testing.TB) {
	const sig = unix.Signal(40)
	mustBlock(t, ^sys.Sigset(0))
	var rlimit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_SIGPENDING, &rlimit); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	limit := int(min(64, rlimit.Max))
	if err := unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: uint64(limit), Max: rlimit.Max}); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	signals := fdtest.Signalfd(t, sig)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, signals, unix.EPOLLIN|unix.EPOLLET)
	for range 3 {
		sent := 0
		for ; sent <= limit; sent++ {
			err := rawsig.Queue(unix.Getpid(), sig, rawsig.Value(uint64(sent)))
			if err == unix.EAGAIN {
				break
			}
			if err != nil {
				t.Fatalf("rt_sigqueueinfo: %v", err)
			}
		}
		// The limit is on all that is queued for the user.
		if sent == 0 {
			behaviour.Limited(t, "none of the %d signals that RLIMIT_SIGPENDING allows this user could be queued", limit)
		}
		if sent > limit {
			t.Errorf("%d signals could be queued at a limit of %d", sent, limit)
		}
		wantReady(t, epfd, ready(signals, unix.EPOLLIN))
		wantReady(t, epfd)
		infos := make([]unix.SignalfdSiginfo, limit+1)
		size := int(unsafe.Sizeof(infos[0]))
		n, err := unix.Read(signals, unsafe.Slice((*byte)(unsafe.Pointer(&infos[0])), len(infos)*size))
		if n != sent*size || err != nil {
			t.Errorf("read = %d bytes, %v; want %d signals of %d bytes", n, err, sent, size)
		}
		for i := range min(n/size, sent) {
			if infos[i].Signo != uint32(sig) || infos[i].Ptr != uint64(i) {
				t.Fatalf("signal %d of %d is number %d with value %d", i, sent, infos[i].Signo, infos[i].Ptr)
			}
		}
	}
}, 40)

// loopLostSignal (INT-06): a signal that comes between its unblocking and the
// wait does not end the wait; with epoll_pwait(2), which does both in one, it
// does.
func loopLostSignal(t *testing.T) {
	const sig = unix.SIGUSR1
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	runs := fdtest.Handle(t, sig)
	shut, open := ^sys.Sigset(0), ^sys.Sigs(sig)
	var events [4]unix.EpollEvent

	mustBlock(t, shut)
	mustRaise(t, sig)
	mustBlock(t, open) // the handler runs here
	n, err := epollPwait(epfd, events[:], 10)
	if got := atomic.LoadUint64(runs); n != 0 || err != nil || got != 1 {
		t.Errorf("epoll_pwait without a mask = %d, %v after %d runs of the handler; want 0 after 1", n, err, got)
	}

	mustBlock(t, shut)
	mustRaise(t, sig)
	n, err = epollPwaitAt(epfd, uintptr(unsafe.Pointer(&events[0])), 4, 10_000, uintptr(unsafe.Pointer(&open)), 8)
	if got := atomic.LoadUint64(runs); err != unix.EINTR || got != 2 {
		t.Errorf("epoll_pwait with a mask = %d, %v after %d runs of the handler; want EINTR after 2", n, err, got)
	}
	if isPending(t, sig) {
		t.Error("the signal is still pending")
	}
}

// loopAioInterrupted (INT-12): io_getevents(2) is interrupted by a signal, and
// io_pgetevents exchanges the mask as epoll_pwait(2) does.
func loopAioInterrupted(t *testing.T) {
	const sig = unix.SIGUSR1
	aio := &kernelAIO{newAIO(t).ctx}
	runs := fdtest.Handle(t, sig)
	var event [4]uint64
	var ran uint64 // by the end of the call, before the thread's mask is what it was before the row
	wait := func(nr, arg uintptr) *sleeper {
		s := startSleep(t, "thread in io_getevents", func(*sleeper) (int, error) {
			n, _, errno := unix.Syscall6(nr, aio.context, 1, 1, uintptr(unsafe.Pointer(&event)),
				uintptr(unsafe.Pointer(&unix.Timespec{Sec: 60})), arg)
			ran = atomic.LoadUint64(runs)
			rawsig.Take(sys.Sigs(sig))
			return int(n), errno
		})
		s.AwaitBlocked(nr)
		return s
	}
	send := func(s *sleeper) {
		t.Helper()
		if err := rawsig.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
			t.Fatal(err)
		}
	}
	s := wait(unix.SYS_IO_GETEVENTS, 0)
	s.rouse()
	s.wantErr(unix.EINTR)

	type aioSigset struct {
		mask *sys.Sigset
		size uintptr
	}
	open, shut := ^sys.Sigs(rouse, sig), ^sys.Sigs(rouse)
	// Its thread blocks the signal; the mask of the first call does, too.
	s = wait(unix.SYS_IO_PGETEVENTS, uintptr(unsafe.Pointer(&aioSigset{&shut, 8})))
	send(s)
	stillAsleep(t, s)
	s.rouse()
	s.wantErr(unix.EINTR)
	if ran != 0 {
		t.Errorf("the handler of a blocked signal ran %d times", ran)
	}
	s = wait(unix.SYS_IO_PGETEVENTS, uintptr(unsafe.Pointer(&aioSigset{&open, 8})))
	send(s)
	s.wantErr(unix.EINTR)
	if ran != 1 {
		t.Errorf("the handler ran %d times, want once", ran)
	}
}

// loopTimerToThread (INT-13): a timer that signals one thread (SIGEV_THREAD_ID,
// timer_create(2)) interrupts the loop of that thread and no other.
func loopTimerToThread(t *testing.T) {
	const sig = unix.Signal(40)
	runs := fdtest.Handle(t, sig)
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	wait := func() *sleeper {
		s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
				return 0, err
			}
			return epollPwait(epfd, s.events[:], -1)
		})
		s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		return s
	}
	first, second, third := wait(), wait(), wait()
	const sigevThreadID = 4
	event := struct {
		value         uint64
		signo, notify int32
		tid           int32
		_             [44]byte
	}{signo: int32(sig), notify: sigevThreadID, tid: int32(second.Tid)}
	var id int32
	if _, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC,
		uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id))); errno == unix.EAGAIN {
		behaviour.Limited(t, "timer_create: %v: raise RLIMIT_SIGPENDING", errno)
	} else if errno != 0 {
		t.Fatalf("timer_create: %v", errno)
	}
	t.Cleanup(func() { unix.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(id), 0, 0) })
	spec := unix.ItimerSpec{Value: unix.Timespec{Nsec: 1_000_000}}
	if _, _, errno := unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		t.Fatalf("timer_settime: %v", errno)
	}
	second.wantErr(unix.EINTR)
	stillAsleep(t, first, third)
	if got := atomic.LoadUint64(runs); got != 1 {
		t.Errorf("the handler ran %d times, want once", got)
	}
}

// loopHandlerInPwait (INT-20): where the mask of epoll_pwait(2) lets a signal
// through, its handler runs within the call, with that mask, and the call
// returns EINTR afterwards with the thread's own mask; an event that the
// handler causes is for the next call.
func loopHandlerInPwait(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	mustWriteFromHandler(t, sig, source)
	open, shut := rawsig.Blockable&^sys.Sigs(rouse, sig), rawsig.Blockable&^sys.Sigs(rouse)
	var ranBefore int
	var after sys.Sigset
	s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&s.events[0])), 4, -1, uintptr(unsafe.Pointer(&open)), 8)
		ranBefore = rawsig.Ran(sig)
		var errMask error
		after, errMask = rawsig.Mask(unix.SIG_BLOCK, nil)
		if errMask != nil {
			return n, errMask
		}
		return n, err
	})
	s.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	if err := rawsig.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
		t.Fatal(err)
	}
	s.wantErr(unix.EINTR)
	if ranBefore != 1 || after != shut {
		t.Errorf("after the call the handler had run %d times and the mask was %#x; want 1, %#x", ranBefore, after, shut)
	}
	runs := rawsig.Runs()
	if len(runs) != 1 {
		t.Fatalf("the handler ran %d times, want once", len(runs))
	}
	if run := runs[0]; run.TID != int64(s.Tid) || run.Blocked != open|sys.Sigs(sig) || run.Restore != shut {
		t.Errorf("the handler ran on thread %d with mask %#x, to return to %#x; want %d, %#x, %#x",
			run.TID, run.Blocked, run.Restore, s.Tid, open|sys.Sigs(sig), shut)
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
	mustTake(t, source, 1)
}

// loopWrongProcess (INT-21): a signalfd in a set that two processes share is
// asked about the signals of whoever waits. A process that has none pending
// takes the other one's event out of the ready list: that one is told again
// with its next signal, of whatever number, or after a MOD, level-triggered or
// not.
func loopWrongProcess(t *testing.T) {
	// Processes that get no other signals: the Go runtime sends itself
	// some, and each counts.
	mustBlock(t, ^sys.Sigset(0))
	signals, epfd := fdtest.Signalfd(t, unix.SIGUSR1), fdtest.Epoll(t)
	turn, done := fdtest.Eventfd(t, unix.EFD_SEMAPHORE), fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	a := fdtest.Arena(t)
	word, one := a.Word(0), a.Word(1)
	event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN, Fd: 7})
	next := []sys.Call{sys.EventfdWrite(done, one), sys.EventfdRead(turn, word)}
	reports := func(n int) sys.Call { return sys.EpollWait(epfd, sys.EpollEvents(a, 4), 0, n) }
	owner := mustForkIn(t, a, slices.Concat(
		[]sys.Call{sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, signals, event), reports(0)}, next,
		[]sys.Call{reports(1), reports(1)}, next,
		[]sys.Call{reports(0), sys.EpollCtl(epfd, unix.EPOLL_CTL_MOD, signals, event), reports(1)}, next,
		[]sys.Call{reports(0)}, next,
		[]sys.Call{reports(1)})...)
	// A signal that the owner blocks, and what others do meanwhile.
	send := func(sig unix.Signal) {
		t.Helper()
		if err := rawsig.Kill(owner.TID, sig); err != nil {
			t.Fatal(err)
		}
	}
	poll := sys.Call{Name: "ppoll()", Nr: unix.SYS_PPOLL, Args: [6]uintptr{
		uintptr(unsafe.Pointer(sys.Place(a, unix.PollFd{Fd: int32(epfd), Events: unix.POLLIN}))), 1,
		uintptr(unsafe.Pointer(sys.Place(a, unix.Timespec{})))}}
	for _, meanwhile := range []func(){
		func() { send(unix.SIGUSR1) },
		func() { mustFork(t, reports(0)).want(t) },
		func() {
			mustFork(t, poll).want(t)
			send(unix.SIGUSR1) // is pending already: no news
		},
		func() { send(unix.SIGUSR2) },
	} {
		mustAwait(t, done)
		mustTake(t, done, 1)
		meanwhile()
		fdtest.Post(t, turn)
	}
	owner.want(t)
}

var loopSignalRows = map[string]func(*testing.T){
	"INT-01": loopHandlerWrites,
	"INT-03": loopSignalStorm,
	"INT-04": loopMergedChildren,
	"INT-05": loopQueuedSignals,
	"INT-06": loopLostSignal,
	"INT-12": loopAioInterrupted,
	"INT-13": loopTimerToThread,
	"INT-20": loopHandlerInPwait,
	"INT-21": loopWrongProcess,
}
