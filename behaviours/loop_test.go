//go:build linux

package behaviours

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
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
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestLoop(t *testing.T) {
	behaviour.Run(t, "loop", map[string]func(*testing.T){
		"INT-01": loopHandlerWrites,
		"INT-02": loopAllKinds,
		"INT-03": loopSignalStorm,
		"INT-04": loopMergedChildren,
		"INT-05": loopQueuedSignals,
		"INT-06": loopLostSignal,
		"INT-07": loopTimerAndEvent,
		"INT-08": loopTimerfdAsTimeout,
		"INT-09": loopPpollPselect,
		"INT-10": loopSameAnswers,
		"INT-11": loopCompletions,
		"INT-12": loopAioInterrupted,
		"INT-13": loopTimerToThread,
		"INT-14": loopForked,
		"INT-15": loopExecutedHelper,
		"INT-16": loopAcrossProcesses,
		"INT-17": loopKilledHolder,
		"INT-18": loopKilledWaiter,
		"INT-20": loopHandlerInPwait,
		"INT-21": loopWrongProcess,
		"INT-22": loopStopped,
	})
}

// one is what a handler writes to an eventfd.
var one uint64 = 1

// mustWriteFromHandler has the handler of sig write 1 to an eventfd, as programs do that
// turn signals into events (the "self-pipe trick"): write(2) is async-signal-safe, signal-safety(7).
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

// loopHandlerWrites: a handler that writes to an eventfd wakes the loop that watches it, wherever
// the handler runs, and the eventfd counts its runs.
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
			// With a low RLIMIT_SIGPENDING the handler must catch up.
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

// loopAllKinds: all kinds of descriptors that stay ready are served in turn, each once in a cycle,
// however little room there is; none starves.
func loopAllKinds(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	const sig = unix.SIGUSR1
	event, timer, signals := fdtest.Eventfd(t, 0), fdtest.Timerfd(t), fdtest.Signalfd(t, sig)
	sockets := fdtest.Socketpair(t)
	r, w := fdtest.Pipe(t)
	over := mustFork(t)
	pidfd, err := unix.PidfdOpen(over.TID, 0)
	switch err {
	case unix.ENOSYS:
		behaviour.Absent(t, "pidfd_open came with 5.3: %v", err)
	case unix.EPERM:
		behaviour.Refused(t, "pidfd_open: %v", err)
	}
	closable(t, pidfd, err)

	fdtest.Post(t, event)
	mustWrite(t, w, "x")
	mustWrite(t, sockets[1], "x")
	mustRaise(t, sig)
	if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	kinds := []int{event, timer, signals, pidfd, sockets[0], r}
	epfd := fdtest.Epoll(t)
	for _, fd := range kinds {
		mustAwait(t, fd)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN)
	}
	for _, room := range []int{1, 2, 4} {
		var got, want []int
		for len(want) < 4*len(kinds) {
			var events [8]unix.EpollEvent
			n, err := epollPwait(epfd, events[:room], 0)
			if n != room || err != nil {
				t.Fatalf("epoll_pwait with room for %d of %d = %d, %v", room, len(kinds), n, err)
			}
			for _, e := range events[:n] {
				got = append(got, int(e.Fd))
				want = append(want, kinds[len(want)%len(kinds)])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with room for %d: %v, want %v", room, got, want)
		}
	}
}

// loopSignalStorm: a loop that takes signals from a signalfd while others send it thousands of one
// number gets at least one of them and all else, and does not stop.
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

// loopMergedChildren: SIGCHLD is a standard signal and merged: a loop that has one from a signalfd must
// wait for all children that have ended, waitpid(2) with WNOHANG; nothing more will come for them.
var loopMergedChildren = behaviour.Alone(func(t testing.TB) { takeChildSignals(t, childrenMerge) })

// takeChildSignals has try take SIGCHLD with all of the process's threads blocking it, and tries again when that was
// not so: the Go runtime unblocks it in each thread that it starts, which then takes it.
func takeChildSignals(t testing.TB, try func(testing.TB) error) {
	t.Helper()
	debug.SetGCPercent(-1) // and no new threads for it
	mustBlock(t, ^sys.Sigset(0))
	for n := 1; ; n++ {
		blockInAllThreads(t, unix.SIGCHLD)
		err := try(t)
		if err == nil {
			return
		}
		if n == 10 || allThreadsBlock(t, unix.SIGCHLD) {
			t.Fatal(err)
		}
	}
}

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

// blockInAllThreads has all threads of the process block a signal that the Go runtime
// unblocks in each of its own: a handler that runs on each changes what it returns to.
func blockInAllThreads(t testing.TB, sig unix.Signal) {
	t.Helper()
	const change = unix.SIGUSR2
	restore, err := rawsig.Handle(change, rawsig.Handler{
		Flags: rawsig.SAOnstack | rawsig.SARestart,
		Pokes: []rawsig.Poke{{Offset: rawsig.UcontextMask, Value: uint64(sys.Sigs(sig))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	for end := time.Now().Add(child.Patience / 2); !allThreadsBlock(t, sig); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("some threads do not block %v", sig)
		}
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if tid, err := strconv.Atoi(task.Name()); err == nil && tid != unix.Gettid() {
				rawsig.Tgkill(unix.Getpid(), tid, change)
			}
		}
	}
}

func allThreadsBlock(t testing.TB, sig unix.Signal) bool {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads in /proc/self/task, %v", err)
	}
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		} else if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nSigBlk:")
		field, _, _ := strings.Cut(rest, "\n")
		mask, err := strconv.ParseUint(strings.TrimSpace(field), 16, 64)
		if err != nil {
			t.Fatalf("%s: SigBlk: %v", name, err)
		}
		if sys.Sigset(mask)&sys.Sigs(sig) == 0 {
			return false
		}
	}
	return true
}

// loopQueuedSignals: real-time signals are queued up to RLIMIT_SIGPENDING, and a loop gets each of
// them, in order, with its value; what is over the limit is refused, not lost.
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

// loopLostSignal: a signal that comes between its unblocking and the wait does not end the wait; with
// epoll_pwait(2), which does both in one, it does.
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

// loopTimerAndEvent: a timer and an event that are there before the wait are reported in one, in
// the order in which they came.
func loopTimerAndEvent(t *testing.T) {
	for _, timerFirst := range []bool{false, true} {
		event, timer := fdtest.Eventfd(t, 0), fdtest.Timerfd(t)
		epfd := fdtest.Epoll(t, event, timer)
		expire := func() {
			if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
				t.Fatal(err)
			}
			mustAwait(t, timer)
		}
		if timerFirst {
			expire()
			fdtest.Post(t, event)
			wantReady(t, epfd, ready(timer, unix.EPOLLIN), ready(event, unix.EPOLLIN))
		} else {
			fdtest.Post(t, event)
			expire()
			wantReady(t, epfd, ready(event, unix.EPOLLIN), ready(timer, unix.EPOLLIN))
		}
	}
}

// loopTimerfdAsTimeout: a timerfd in the set is another timeout of the loop: not early either, and
// not widened by the thread's timer slack, as the wait's own is.
func loopTimerfdAsTimeout(t *testing.T) {
	const timeout = 2 * time.Millisecond
	timer := fdtest.Timerfd(t)
	epfd := fdtest.Epoll(t, timer)
	empty := fdtest.Epoll(t)
	byTimerfd := func() error {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timeout))}
		if err := unix.TimerfdSettime(timer, 0, &spec, nil); err != nil {
			return err
		}
		var events [4]unix.EpollEvent
		n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
		if n == 0 && err == nil {
			return errors.New("the timerfd did not end epoll_pwait")
		}
		return err
	}
	byTimeout := func() error {
		var events [4]unix.EpollEvent
		_, err := epollPwait(empty, events[:], int(timeout/time.Millisecond))
		return err
	}
	wantLater(t, "a wait's timeout", timeout, byTimeout, "a timerfd", byTimerfd)
}

// loopPpollPselect: ppoll(2) and pselect(2) exchange the mask for the wait in one step, as epoll_pwait(2)
// does; they write back how much of their time is left, which their C library wrappers hide.
func loopPpollPselect(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	runs := fdtest.Handle(t, sig)
	shut, open := rawsig.Blockable, rawsig.Blockable&^sys.Sigs(sig)
	mustBlock(t, shut)
	type wait func(timeout *unix.Timespec, mask *sys.Sigset) (int, error)
	for name, wait := range map[string]wait{
		"ppoll": func(timeout *unix.Timespec, mask *sys.Sigset) (int, error) {
			p := unix.PollFd{Fd: int32(source), Events: unix.POLLIN}
			n, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1,
				uintptr(unsafe.Pointer(timeout)), uintptr(unsafe.Pointer(mask)), 8, 0)
			return int(n), errno
		},
		"pselect6": func(timeout *unix.Timespec, mask *sys.Sigset) (int, error) {
			var r unix.FdSet
			r.Set(source)
			arg := struct {
				mask *sys.Sigset
				size uintptr
			}{mask, 8}
			n, _, errno := unix.Syscall6(unix.SYS_PSELECT6, uintptr(source+1), uintptr(unsafe.Pointer(&r)), 0, 0,
				uintptr(unsafe.Pointer(timeout)), uintptr(unsafe.Pointer(&arg)))
			return int(n), errno
		},
	} {
		atomic.StoreUint64(runs, 0)
		check := func(what string, n int, err error, wantN int, wantErr unix.Errno) {
			t.Helper()
			if wantErr != 0 && err != wantErr || wantErr == 0 && (err != unix.Errno(0) || n != wantN) {
				t.Errorf("%s %s = %d, %v; want %d, %v", name, what, n, err, wantN, wantErr)
			}
			if now, err := rawsig.Mask(unix.SIG_BLOCK, nil); now != shut || err != nil {
				t.Errorf("after %s %s the mask is %#x, want %#x; %v", name, what, now, shut, err)
			}
		}
		minute := unix.Timespec{Sec: 60}
		// left must be less than there was, and not much.
		left := func(what string, ts unix.Timespec) {
			t.Helper()
			if ts.Sec != 59 || ts.Nsec < 0 || ts.Nsec > 999_999_999 {
				t.Errorf("%s %s leaves %+v of 60 seconds", name, what, ts)
			}
		}
		mustRaise(t, sig)
		ts := minute
		n, err := wait(&ts, &open)
		check("that lets a pending signal through", n, err, 0, unix.EINTR)
		if got := atomic.LoadUint64(runs); got != 1 {
			t.Errorf("the handler ran %d times in %s, want once", got, name)
		}
		left("that was interrupted", ts)

		mustRaise(t, sig)
		ts = unix.Timespec{Nsec: 2_000_000}
		n, err = wait(&ts, &shut)
		check("that does not let it through", n, err, 0, 0)
		if ts != (unix.Timespec{}) {
			t.Errorf("%s leaves %+v of time that is over", name, ts)
		}

		fdtest.Post(t, source)
		ts = minute
		n, err = wait(&ts, &shut)
		check("with an event", n, err, 1, 0)
		left("with an event", ts)
		// An event comes before a signal: that stays pending.
		n, err = wait(&ts, &open)
		check("with an event and a signal", n, err, 1, 0)
		if got := atomic.LoadUint64(runs); got != 1 || !isPending(t, sig) {
			t.Errorf("after %s with an event and a signal the handler ran %d times, the signal is pending: %t", name, got, isPending(t, sig))
		}
		if _, err := rawsig.Take(sys.Sigs(sig)); err != nil {
			t.Errorf("taking the signal: %v", err)
		}
		mustTake(t, source, 1)
	}
}

// loopSameAnswers: poll(2), select(2) and epoll give the same answer about the same descriptor.
func loopSameAnswers(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	const sig = unix.SIGUSR1
	posted, full, empty := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Post(t, posted)
	if _, err := unix.Write(full, binary.NativeEndian.AppendUint64(nil, 1<<64-2)); err != nil {
		t.Fatal(err)
	}
	armed, expired := fdtest.Timerfd(t), fdtest.Timerfd(t)
	if err := unix.TimerfdSettime(armed, 0, &unix.ItimerSpec{Value: unix.Timespec{Sec: 3600}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.TimerfdSettime(expired, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	mustAwait(t, expired)
	pending, quiet := fdtest.Signalfd(t, sig), fdtest.Signalfd(t, unix.SIGUSR2)
	mustRaise(t, sig)
	r, w := fdtest.Pipe(t)
	fullReader, fullWriter, _, _ := mustClosablePipe(t)
	mustFill(t, fullWriter)
	hungReader, _, _, closeWriter := mustClosablePipe(t)
	closeWriter()
	_, brokenWriter, closeReader, _ := mustClosablePipe(t)
	closeReader()
	sockets, half := fdtest.Socketpair(t), fdtest.Socketpair(t)
	if err := unix.Shutdown(half[1], unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	ended, alive := mustFork(t), mustFork(t, sys.Read("eventfd", fdtest.Eventfd(t, 0), &forkWord, 8))
	const in, out, hup, err, rdhup = unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLHUP, unix.EPOLLERR, unix.EPOLLRDHUP
	cases := []struct {
		what string
		fd   int
		want uint32
	}{
		{"an eventfd with a count", posted, in | out},
		{"an eventfd at its limit", full, in},
		{"an eventfd at 0", empty, out},
		{"an armed timerfd", armed, 0},
		{"an expired timerfd", expired, in},
		{"a signalfd with a signal", pending, in},
		{"a signalfd without", quiet, 0},
		{"an epoll instance with an event", fdtest.Epoll(t, posted), in},
		{"an epoll instance without", fdtest.Epoll(t, empty), 0},
		{"an epoll instance of one with an event", fdtest.Epoll(t, fdtest.Epoll(t, posted)), in},
		{"the reader of an empty pipe", r, 0},
		{"its writer", w, out},
		{"the reader of a full pipe", fullReader, in},
		{"its writer", fullWriter, 0},
		{"the reader of a pipe without a writer", hungReader, hup},
		{"the writer of a pipe without a reader", brokenWriter, out | err},
		{"a socket", sockets[0], out},
		{"a socket whose peer has shut down", half[0], in | out | rdhup},
	}
	for _, p := range []struct {
		what string
		pid  int
		want uint32
	}{{"a pidfd of a process that has ended", ended.TID, in}, {"a pidfd of a process", alive.TID, 0}} {
		if fd, err := unix.PidfdOpen(p.pid, 0); err == nil {
			closable(t, fd, nil)
			if p.want != 0 {
				mustAwait(t, fd)
			}
			cases = append(cases, struct {
				what string
				fd   int
				want uint32
			}{p.what, fd, p.want})
		} else if err != unix.ENOSYS && err != unix.EPERM {
			t.Errorf("pidfd_open: %v", err)
		}
	}
	for _, c := range cases {
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, c.fd, in|out|rdhup|unix.EPOLLPRI)
		var want []readiness
		if c.want != 0 {
			want = append(want, ready(c.fd, c.want))
		}
		wantReady(t, epfd, want...)
		// poll(2)'s bits have the same values.
		p := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI | unix.POLLRDHUP}}
		if n, err := unix.Poll(p, 0); err != nil || p[0].Revents != int16(c.want) || (n == 1) != (c.want != 0) {
			t.Errorf("poll = %d, %v with revents %#x, want %#x", n, err, p[0].Revents, c.want)
		}
		var r, w, e unix.FdSet
		for _, set := range []*unix.FdSet{&r, &w, &e} {
			set.Set(c.fd)
		}
		// select(2) NOTES say which of them make a descriptor readable, writable, exceptional.
		readable, writable := c.want&(in|hup|unix.EPOLLERR) != 0, c.want&(out|unix.EPOLLERR) != 0
		if _, err := unix.Select(c.fd+1, &r, &w, &e, &unix.Timeval{}); err != nil ||
			r.IsSet(c.fd) != readable || w.IsSet(c.fd) != writable || e.IsSet(c.fd) {
			t.Errorf("select: %v, readable %t, writable %t, exceptional %t; want %t, %t, false", err,
				r.IsSet(c.fd), w.IsSet(c.fd), e.IsSet(c.fd), readable, writable)
		}
		if t.Failed() {
			t.Fatalf("with %s", c.what)
		}
	}
}

// forkWord is where children read to: a copy of their own.
var forkWord uint64

// loopCompletions: the eventfd that asynchronous input tells of its completion wakes a loop: of
// io_submit(2) (IOCB_FLAG_RESFD) and of io_uring(7) (IORING_REGISTER_EVENTFD).
func loopCompletions(t *testing.T) {
	file := mustOpen(t, filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT)
	mustWrite(t, file, "content")
	buf := mustMap(t, 1)
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	ctx, noAIO, whyNoAIO := setupAIO(t)
	if noAIO == "" {
		aio := &kernelAIO{ctx}
		s := startWait(t, epfd, 4, -1)
		for range 2 {
			if err := aio.read(file, buf, source); err != nil {
				t.Fatalf("io_submit: %v", err)
			}
		}
		s.want(ready(source, unix.EPOLLIN))
		for range 2 {
			if res, err := aio.wait(); res != 7 || err != nil {
				t.Errorf("the read is complete with %d, %v; want 7", res, err)
			}
		}
		if string(buf[:7]) != "content" {
			t.Errorf("read %q", buf[:7])
		}
		mustTake(t, source, 2)
		wantReady(t, epfd)
	}

	ring, noRing, whyNoRing := newUring(t)
	if ring != nil {
		const registerEventfd = 4
		fd := int32(source)
		if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring.fd), registerEventfd, uintptr(unsafe.Pointer(&fd)), 1, 0, 0); errno != 0 {
			t.Fatalf("io_uring_register of an eventfd: %v", errno)
		}
		const opNop, opPollAdd = 0, 6
		if res := ring.do(t, uringEntry{opcode: opNop}); res != 0 {
			t.Errorf("a request to do nothing = %d", res)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		mustTake(t, source, 1)
		// One that is complete later, from where the event happens.
		r, w := fdtest.Pipe(t)
		ring.submit(t, uringEntry{opcode: opPollAdd, fd: int32(r), opFlags: unix.POLLIN})
		s := startWait(t, epfd, 4, -1)
		mustWrite(t, w, "x")
		if res := ring.wait(t); res&unix.POLLIN == 0 {
			t.Errorf("a request to poll = %d, want POLLIN", res)
		}
		s.want(ready(source, unix.EPOLLIN))
	}
	switch {
	case noAIO != "" && noRing != "":
		behaviour.Skip(t, noAIO, "%s; %s", whyNoAIO, whyNoRing)
	case noAIO != "":
		behaviour.Partly(t, noAIO, "%s", whyNoAIO)
	case noRing != "":
		behaviour.Partly(t, noRing, "%s", whyNoRing)
	}
}

// loopAioInterrupted: io_getevents(2) is interrupted by a signal, and io_pgetevents exchanges the mask
// as epoll_pwait(2) does.
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

// loopTimerToThread: a timer that signals one thread (SIGEV_THREAD_ID, timer_create(2)) interrupts the loop
// of that thread and no other.
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

// loopForked: a forked child has the parent's epoll set and its timerfds, fork(2): what one takes the
// other does not get, what one registers the other is told of. Signals are each process's own.
func loopForked(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	const sig = unix.SIGUSR1
	timer, other := fdtest.Timerfd(t), fdtest.Eventfd(t, 0)
	if err := unix.SetNonblock(timer, true); err != nil {
		t.Fatal(err)
	}
	epfd := fdtest.Epoll(t, timer)
	expire := func() {
		t.Helper()
		if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	a := fdtest.Arena(t)
	count := a.Word(0)
	add := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLOUT, Fd: 77})
	p := mustForkIn(t, a,
		sys.EpollWait(epfd, sys.EpollEvents(a, 4), -1, 1), sys.TimerfdRead(timer, count),
		sys.EpollWait(epfd, sys.EpollEvents(a, 4), 0, 0),
		sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, other, add))
	expire()
	p.want(t)
	if *count != 1 {
		t.Errorf("the child read %d expirations, want 1", *count)
	}
	if _, err := unix.Read(timer, make([]byte, 8)); err != unix.EAGAIN {
		t.Errorf("reading the timer that the child has read: %v, want EAGAIN", err)
	}
	wantReady(t, epfd, readiness{unix.EPOLLOUT, 77})
	// The parent takes one, the child finds none; and removes what the other child has registered.
	expire()
	mustAwait(t, timer)
	wantReadyAnyOrder(t, epfd, readiness{unix.EPOLLOUT, 77}, ready(timer, unix.EPOLLIN))
	mustTake(t, timer, 1)
	noTick := sys.TimerfdRead(timer, count)
	noTick.Want = -int(unix.EAGAIN)
	mustForkIn(t, a, noTick, sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, other, add)).want(t)
	wantReady(t, epfd)

	// The parent's pending signal is nothing to the child, though it has the signalfd.
	signals := fdtest.Signalfd(t, sig)
	if err := unix.SetNonblock(signals, true); err != nil {
		t.Fatal(err)
	}
	mustRaise(t, sig)
	noSignal := sys.SignalfdRead(signals, sys.Place(a, unix.SignalfdSiginfo{}))
	noSignal.Want = -int(unix.EAGAIN)
	mustForkIn(t, a, noSignal).want(t)
	info := make([]byte, sys.SignalfdInfoSize)
	if n, err := unix.Read(signals, info); n != len(info) || err != nil {
		t.Errorf("the parent's read of its signal = %d, %v", n, err)
	}
}

// loopExecutedHelper: a program that is executed has no descriptor that is close-on-exec, and what it
// has keeps the registrations of its parent alive, execve(2), epoll(7).
func loopExecutedHelper(t *testing.T) {
	epfd := fdtest.Epoll(t)
	kept, keptWriter, closeKept, _ := mustClosablePipe(t)
	gone, goneWriter, closeGone, _ := mustClosablePipe(t)
	fdtest.Add(t, epfd, kept, unix.EPOLLIN)
	fdtest.Add(t, epfd, gone, unix.EPOLLIN)
	// Under numbers that the helper does not come to use by itself.
	var args []string
	for _, fd := range []int{epfd, gone, fdtest.Eventfd(t, 0), fdtest.Timerfd(t), fdtest.Signalfd(t, unix.SIGUSR1)} {
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
		if err == unix.EINVAL || err == unix.EMFILE {
			behaviour.Limited(t, "descriptors above 100: %v: raise RLIMIT_NOFILE", err)
		}
		closeHigh := closable(t, high, err)
		args = append(args, strconv.Itoa(high))
		if fd == gone {
			defer closeHigh()
			closeGoneOnly := closeGone
			closeGone = func() { closeHigh(); closeGoneOnly() }
		}
	}
	p := child.Start(t, loopHelper, child.Options{Files: []int{kept}, Args: args})
	p.Expect("none")
	mustWrite(t, keptWriter, "x")
	mustWrite(t, goneWriter, "x")
	wantReadyAnyOrder(t, epfd, ready(kept, unix.EPOLLIN), ready(gone, unix.EPOLLIN))
	closeKept()
	closeGone()
	wantReady(t, epfd, ready(kept, unix.EPOLLIN))
	p.Wait()
	wantReady(t, epfd)
}

// loopHelper says whether it has any of the descriptors whose numbers it is given.
var loopHelper = child.Register("loop-helper", func(p *child.Proc) error {
	for _, arg := range p.Args {
		fd, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of close-on-exec descriptor %d: %v, want EBADF", fd, err)
		}
	}
	p.Say("none")
	p.Hear()
	return nil
})

// loopAcrossProcesses: two processes that wake each other by eventfds in epoll sets lose no wake-up,
// level- or edge-triggered. (Benchmarks that check every answer do it a million times.)
func loopAcrossProcesses(t *testing.T) {
	const rounds = 5000
	mustBlock(t, ^sys.Sigs(rouse))
	for _, mode := range []uint32{0, unix.EPOLLET} {
		ping, pong := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
		here, there := fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, here, pong, unix.EPOLLIN|mode)
		fdtest.Add(t, there, ping, unix.EPOLLIN|mode)
		a := fdtest.Arena(t)
		got, one := a.Word(0), a.Word(1)
		calls := []sys.Call{sys.EpollWait(there, sys.EpollEvents(a, 4), -1, 1), sys.EventfdRead(ping, got), sys.EventfdWrite(pong, one)}
		p := mustForkLoop(t, a, rounds, calls...)
		s := startSleep(t, "thread that asks", func(s *sleeper) (int, error) {
			for i := range rounds {
				if _, err := unix.Write(ping, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
					return i, err
				}
				if n, err := epollPwait(here, s.events[:], int(child.Patience/time.Millisecond)/2); n != 1 || err != nil {
					return i, fmt.Errorf("no answer in round %d: %d events, %w; %v", i, n, err, p.loop.Where())
				}
				var buf [8]byte
				if _, err := unix.Read(pong, buf[:]); err != nil || buf[0] != 1 {
					return i, fmt.Errorf("answer %v in round %d, %w", buf, i, err)
				}
			}
			return rounds, nil
		})
		s.Join()
		if s.err != nil {
			t.Fatal(s.err)
		}
		p.want(t)
		wantReady(t, here)
		wantReady(t, there)
	}
}

// loopKilledHolder: the death of a process that has an eventfd is no event of the eventfd, which
// knows no hang-up; a pipe that only it could write to hangs up.
func loopKilledHolder(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	r, w, _, closeWriter := mustClosablePipe(t)
	p := child.Start(t, epollHolder, child.Options{Files: []int{source, w}})
	p.Expect("holding")
	closeWriter()
	both, alone := fdtest.Epoll(t), fdtest.Epoll(t)
	const asked = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI
	fdtest.Add(t, both, r, asked)
	fdtest.Add(t, both, source, asked)
	fdtest.Add(t, alone, source, asked)
	hungUp, quiet := startWait(t, both, 4, -1), startWait(t, alone, 4, -1)
	p.Signal(unix.SIGKILL)
	p.Status()
	hungUp.want(ready(r, unix.EPOLLHUP))
	stillAsleep(t, quiet)
	fdtest.Post(t, source)
	quiet.want(ready(source, unix.EPOLLIN))
}

// loopKilledWaiter: a process that is killed while it waits takes no event with it that comes then:
// another one that waits in the same set gets it, though the one that was killed is the one whom the
// kernel would have woken.
func loopKilledWaiter(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLEXCLUSIVE, unix.EPOLLEXCLUSIVE | unix.EPOLLET} {
		for range 3 {
			source, epfd := fdtest.Eventfd(t, 0), fdtest.Epoll(t)
			fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
			survivor := startWait(t, epfd, 4, -1)
			a := fdtest.Arena(t)
			victim := mustForkIn(t, a, sys.EpollWait(epfd, sys.EpollEvents(a, 4), -1, 1))
			victim.awaitBlocked(t, unix.SYS_EPOLL_PWAIT)
			if err := unix.Kill(victim.TID, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			fdtest.Post(t, source) // while it dies
			survivor.want(ready(source, unix.EPOLLIN))
		}
	}
}

// loopHandlerInPwait: where the mask of epoll_pwait(2) lets a signal through, its handler runs within
// the call, with that mask, and the call returns EINTR afterwards with the thread's own mask; an event
// that the handler causes is for the next call.
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

// loopWrongProcess: a signalfd in a set that two processes share is asked about the signals of whoever waits.
// A process that has none pending takes the other one's event out of the ready list: that one is told
// again with its next signal, of whatever number, or after a MOD, level-triggered or not.
func loopWrongProcess(t *testing.T) {
	// Processes that get no other signals: the Go runtime sends itself some, and each counts.
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

// loopStopped: while a process is stopped timers go on and events come; continued, its loop finds the
// wait interrupted, and with the next one all that came, signal(7), timerfd_create(2).
func loopStopped(t *testing.T) {
	source, timer := fdtest.Eventfd(t, 0), fdtest.Timerfd(t)
	p := child.Start(t, loopStoppedRole, child.Options{Files: []int{source, timer}})
	p.Expect("waiting")
	p.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	interval := max(time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	every := unix.NsecToTimespec(int64(interval))
	start := time.Now()
	if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		fdtest.Post(t, source)
		time.Sleep(5 * interval)
	}
	atLeast := int(time.Since(start)/interval) - 1
	p.Signal(unix.SIGCONT)
	p.Expect("0 interrupted system call")
	line := p.Line()
	var posted, ticks int
	if _, err := fmt.Sscanf(line, "2 <nil> %d %d", &posted, &ticks); err != nil || posted != 3 || ticks < atLeast {
		t.Errorf("the loop found %q, %v; want 2 events, 3 posts and at least %d expirations", line, err, atLeast)
	}
	p.Wait()
}

var loopStoppedRole = child.Register("loop-stopped", func(p *child.Proc) error {
	if _, err := sys.Mask(^sys.Sigset(0)); err != nil { // no handler's EINTR
		return err
	}
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	const source, timer = child.FirstFile, child.FirstFile + 1
	for _, fd := range []int{source, timer} {
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, uint64(fd)); err != nil {
			return err
		}
	}
	p.Say("waiting")
	var events [4]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], -1)
	p.Say("%d %v", n, err)
	n, err = epollPwait(epfd, events[:], -1)
	var posted, ticks [8]byte
	_, err1 := unix.Read(source, posted[:])
	_, err2 := unix.Read(timer, ticks[:])
	p.Say("%d %v %d %d", n, err, binary.NativeEndian.Uint64(posted[:]), binary.NativeEndian.Uint64(ticks[:]))
	return errors.Join(err1, err2)
})

// A forked is a child made by fork(2) alone: a copy of this process in which nothing runs but a table
// of system calls.
type forked struct {
	*sys.Task
	loop *sys.Loop
}

// mustFork makes a child that makes these calls and exits. The caller must have blocked all signals.
func mustFork(tb testing.TB, calls ...sys.Call) *forked {
	tb.Helper()
	return mustForkIn(tb, fdtest.Arena(tb), calls...)
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

// A kernelAIO is a context of io_setup(2).
type kernelAIO struct{ context uintptr }

// read submits a read of a file's start into buf, which must not move, with an eventfd to be told.
func (a *kernelAIO) read(fd int, buf []byte, resfd int) error {
	iocb := struct { // linux/aio_abi.h
		data             uint64
		key, rwFlags     uint32
		opcode, priority uint16
		fd               uint32
		buf, bytes       uint64
		offset, _        uint64
		flags, resfd     uint32
	}{fd: uint32(fd), buf: uint64(uintptr(unsafe.Pointer(&buf[0]))), bytes: uint64(len(buf)), flags: 1, resfd: uint32(resfd)}
	p := &iocb
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, a.context, 1, uintptr(unsafe.Pointer(&p)))
	if errno != 0 {
		return errno
	}
	if n != 1 {
		return fmt.Errorf("io_submit took %d requests of 1", n)
	}
	return nil
}

// wait takes a result.
func (a *kernelAIO) wait() (int64, error) {
	var event struct {
		data, obj  uint64
		res, extra int64
	}
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, a.context, 1, 1, uintptr(unsafe.Pointer(&event)),
		uintptr(unsafe.Pointer(&unix.Timespec{Sec: 10})), 0)
	if n != 1 || errno != 0 {
		return 0, fmt.Errorf("io_getevents = %d, %w", n, errno)
	}
	return event.res, nil
}

// A uring is an io_uring(7) with room for a few requests, which completes in the caller's context.
type uring struct {
	fd      int
	rings   []byte // both queues, IORING_FEAT_SINGLE_MMAP
	entries []byte
	sq, cq  uringOffsets
	cqes    uint32
	sqArray uint32
}

// uringOffsets is the start of io_sqring_offsets and io_cqring_offsets.
type uringOffsets struct{ head, tail, mask, number uint32 }

// A uringEntry is a request: the start of io_uring_sqe.
type uringEntry struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, opFlags  uint32
	userData      uint64
	_             [24]byte
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

// newUring makes a ring, or says why there is none, and of what class that is.
func newUring(tb testing.TB) (r *uring, class, why string) {
	tb.Helper()
	var params struct {
		sqEntries, cqEntries, flags, sqCPU, sqIdle, features, wqFd uint32
		_                                                          [3]uint32
		sq                                                         struct {
			uringOffsets
			flags, dropped, array, _ uint32
			_                        uint64
		}
		cq struct {
			uringOffsets
			overflow, cqes, flags, _ uint32
			_                        uint64
		}
	}
	fd, class, why := setupUring(tb, unsafe.Pointer(&params))
	if class != "" {
		return nil, class, why
	}
	r = &uring{fd: fd, sq: params.sq.uringOffsets, cq: params.cq.uringOffsets, cqes: params.cq.cqes, sqArray: params.sq.array}
	size := max(int(params.sq.array+4*params.sqEntries), int(params.cq.cqes+16*params.cqEntries))
	var err error
	if r.rings, err = unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		tb.Fatalf("mmap of the rings: %v", err)
	}
	tb.Cleanup(func() { unix.Munmap(r.rings) })
	const offSqes = 0x10000000
	if r.entries, err = unix.Mmap(r.fd, offSqes, int(64*params.sqEntries), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		tb.Fatalf("mmap of the requests: %v", err)
	}
	tb.Cleanup(func() { unix.Munmap(r.entries) })
	return r, "", ""
}

func (r *uring) word(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[offset])) }

// submit hands over a request.
func (r *uring) submit(tb testing.TB, e uringEntry) {
	tb.Helper()
	tail := atomic.LoadUint32(r.word(r.sq.tail))
	i := tail & *r.word(r.sq.mask)
	*(*uringEntry)(unsafe.Pointer(&r.entries[64*i])) = e
	*r.word(r.sqArray + 4*i) = i
	atomic.StoreUint32(r.word(r.sq.tail), tail+1)
	if n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0); n != 1 || errno != 0 {
		tb.Fatalf("io_uring_enter submits %d, %v; want 1", n, errno)
	}
}

// completed returns how many results there are to take.
func (r *uring) completed() int {
	return int(atomic.LoadUint32(r.word(r.cq.tail)) - atomic.LoadUint32(r.word(r.cq.head)))
}

// wait takes the next result, which must come within child.Patience.
func (r *uring) wait(tb testing.TB) int32 {
	tb.Helper()
	poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for r.completed() == 0 {
		n, err := unix.Poll(poll, int(child.Patience.Milliseconds()))
		if err != nil && err != unix.EINTR || n == 0 && err == nil {
			tb.Fatalf("no result from io_uring within %v: poll = %d, %v", child.Patience, n, err)
		}
	}
	head := atomic.LoadUint32(r.word(r.cq.head))
	cqe := r.rings[r.cqes+16*(head&*r.word(r.cq.mask)):]
	res := int32(binary.NativeEndian.Uint32(cqe[8:]))
	atomic.StoreUint32(r.word(r.cq.head), head+1)
	return res
}

// do makes a request and waits for its result.
func (r *uring) do(tb testing.TB, e uringEntry) int32 {
	tb.Helper()
	r.submit(tb, e)
	return r.wait(tb)
}
