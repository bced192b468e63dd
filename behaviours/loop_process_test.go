//go:build linux

package behaviours

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Loops over processes.

// loopForked (INT-14): a forked child has the parent's epoll set and its
// timerfds, fork(2): what one takes the other does not get, what one registers
// the other is told of. Signals are each process's own.
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
	// The parent takes one, the child finds none; and removes what the
	// other child has registered.
	expire()
	mustAwait(t, timer)
	wantReadyAnyOrder(t, epfd, readiness{unix.EPOLLOUT, 77}, ready(timer, unix.EPOLLIN))
	mustTake(t, timer, 1)
	noTick := sys.TimerfdRead(timer, count)
	noTick.Want = -int(unix.EAGAIN)
	mustForkIn(t, a, noTick, sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, other, add)).want(t)
	wantReady(t, epfd)

	// The parent's pending signal is nothing to the child, though it has
	// the signalfd.
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

// loopExecutedHelper (INT-15): a program that is executed has no descriptor
// that is close-on-exec, and what it has keeps the registrations of its parent
// alive, execve(2), epoll(7).
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

// loopHelper says whether it has any of the descriptors whose numbers it is
// given.
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

// loopAcrossProcesses (INT-16): two processes that wake each other by eventfds
// in epoll sets lose no wake-up, level- or edge-triggered. (Benchmarks that
// check every answer do it a million times.)
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

// loopKilledHolder (INT-17): the death of a process that has an eventfd is no
// event of the eventfd, which knows no hang-up; a pipe that only it could write
// to hangs up.
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

// loopKilledWaiter (INT-18): a process that is killed while it waits takes no
// event with it that comes then: another one that waits in the same set gets
// it, though the one that was killed is the one whom the kernel would have
// woken.
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

// loopStopped (INT-22): while a process is stopped timers go on and events
// come; continued, its loop finds the wait interrupted, and with the next one
// all that came, signal(7), timerfd_create(2).
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

var loopProcessRows = map[string]func(*testing.T){
	"INT-14": loopForked,
	"INT-15": loopExecutedHelper,
	"INT-16": loopAcrossProcesses,
	"INT-17": loopKilledHolder,
	"INT-18": loopKilledWaiter,
	"INT-22": loopStopped,
}
