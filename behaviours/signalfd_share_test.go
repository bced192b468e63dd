//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A signalfd in another process.

// signalfdForked (SFD-26): a child that has inherited it reads and polls its
// own signals; the parent's are the parent's.
func signalfdForked(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	turn := newEventfd(t, 0, 0)
	mustRaise(t, unix.SIGUSR1)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	a := fdtest.Arena(t)
	info := sys.Place(a, record{})
	c := mustForkIn(t, a, pollCall(a, fd, 0, 0), sys.EventfdWrite(turn, a.Word(1)),
		pollCall(a, fd, -1, 1), sys.SignalfdRead(fd, info), pollCall(a, fd, 0, 0))
	mustTake(t, turn, 1)
	c.awaitBlocked(t, unix.SYS_PPOLL)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	c.want(t)
	sameSigs(t, "the child's read", []record{*info}, nil, unix.SIGUSR1)
	wantSigs(t, "the parent's read", fd, unix.SIGUSR1, unix.SIGUSR1)
	wantPolledOnly(t, fd, 0)
}

// signalfdForkedEpoll (SFD-27): an epoll instance hears of the signals of the
// process that registered the signalfd, not of those of a child that has
// inherited both, until the child registers it itself.
func signalfdForkedEpoll(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	ready, turn := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	a := fdtest.Arena(t)
	event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	wait := func(n int) sys.Call { return sys.EpollWait(epfd, sys.EpollEvents(a, 4), 0, n) }
	info := sys.Place(a, record{})
	c := mustForkIn(t, a, sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(turn, a.Word(0)),
		pollCall(a, fd, 0, 1), wait(0),
		sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, event), sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, event), wait(1),
		sys.SignalfdRead(fd, info), wait(0),
		sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(turn, a.Word(0)), wait(1), sys.SignalfdRead(fd, info))
	mustTake(t, ready, 1)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	mustAddCount(t, turn, 1)
	mustTake(t, ready, 1)
	// It is the child's now, and no longer this process's.
	mustRaise(t, unix.SIGUSR1)
	wantReady(t, epfd)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	mustAddCount(t, turn, 1)
	c.want(t)
	wantSigs(t, "the parent's read", fd, unix.SIGUSR1)
}

// signalfdPassed (SFD-28): who receives it in a message, unix(7), reads his own
// signals from it.
func signalfdPassed(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	sockets := fdtest.Socketpair(t)
	mustRaise(t, unix.SIGUSR1)
	p := child.Start(t, signalfdReceiver, child.Options{Files: []int{sockets[1]}, Block: quiet})
	mustSendFile(t, sockets[0], fd)
	p.Expect("[] " + unix.EAGAIN.Error())
	p.Signal(unix.SIGUSR1)
	p.Say("read")
	p.Expect(fmt.Sprintf("[%d from %d] <nil>", unix.SIGUSR1, os.Getpid()))
	p.Wait()
	wantSigs(t, "the sender's read", fd, unix.SIGUSR1)
}

var signalfdReceiver = child.Register("signalfd-receiver", func(p *child.Proc) error {
	fd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	say := func() {
		got, err := readRecords(fd, 2)
		var text []string
		for _, r := range got {
			text = append(text, fmt.Sprintf("%d from %d", r.Signo, r.Pid))
		}
		p.Say("%v %v", text, err)
	}
	say()
	if _, err := p.Hear(); err != nil {
		return err
	}
	say()
	return nil
})

// signalfdAcrossExec (SFD-29): it survives execve(2) with its mask, and what
// was pending can be read after it; with SFD_CLOEXEC it is closed.
func signalfdAcrossExec(t *testing.T) {
	child.Start(t, signalfdBeforeExec, child.Options{Block: quiet}).Wait()
}

var (
	signalfdBeforeExec = child.Register("signalfd-before-exec", func(p *child.Proc) error {
		kept, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
		if err != nil {
			return err
		}
		closed, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_CLOEXEC)
		if err != nil {
			return err
		}
		if err := rawsig.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
			return err
		}
		if err := rawsig.Raise(unix.SIGUSR2); err != nil {
			return err
		}
		return p.Exec(signalfdAfterExec, strconv.Itoa(kept), strconv.Itoa(closed))
	})
	signalfdAfterExec = child.Register("signalfd-after-exec", func(p *child.Proc) error {
		kept, err1 := strconv.Atoi(p.Args[0])
		closed, err2 := strconv.Atoi(p.Args[1])
		if err1 != nil || err2 != nil {
			return fmt.Errorf("descriptors %q", p.Args)
		}
		if _, err := unix.FcntlInt(uintptr(closed), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec signalfd: %v, want EBADF", err)
		}
		got, err := readRecords(kept, 3)
		if err != nil || len(got) != 2 || got[0].Signo != uint32(unix.SIGUSR2) || got[1].Signo != uint32(unix.SIGUSR1) || got[1].Pid != uint32(os.Getpid()) {
			return fmt.Errorf("read after execve: %+v, %v; want SIGUSR2 to the thread and SIGUSR1 to the process", got, err)
		}
		if got, err := readRecords(kept, 1); err != unix.EAGAIN {
			return fmt.Errorf("second read after execve: %+v, %v; want EAGAIN", got, err)
		}
		return nil
	})
)

// signalfdFetched (SFD-73): a signalfd that pidfd_getfd(2) got from another
// process has that one's mask, and reads the signals of the process that reads.
func signalfdFetched(t *testing.T) {
	blockAll(t)
	p := child.Start(t, signalfdMaker, child.Options{Block: quiet})
	var number int
	if _, err := fmt.Sscan(p.Line(), &number); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(p.Pid, 0)
	closable(t, pidfd, err)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err == unix.EPERM {
		behaviour.Unprivileged(t, "pidfd_getfd of a child: %v", err)
	}
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	wantNoRecord(t, "with a signal pending in the process that made it", fd)
	mustRaise(t, unix.SIGUSR1) // not of the mask
	wantNoRecord(t, "with a signal pending that it does not ask for", fd)
	mustRaise(t, unix.SIGUSR2)
	wantRecords(t, "the fetcher's own", fd, byTgkill(unix.SIGUSR2))
	p.Say("read")
	p.Expect(fmt.Sprintf("%d from %d", unix.SIGUSR2, p.Pid))
	p.Wait()
}

var signalfdMaker = child.Register("signalfd-maker", func(p *child.Proc) error {
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR2), unix.SFD_NONBLOCK)
	if err != nil {
		return err
	}
	if err := rawsig.Kill(os.Getpid(), unix.SIGUSR2); err != nil {
		return err
	}
	p.Say("%d", fd)
	if _, err := p.Hear(); err != nil {
		return err
	}
	got, err := readRecords(fd, 1)
	if err != nil {
		return err
	}
	p.Say("%d from %d", got[0].Signo, got[0].Pid)
	return nil
})

// pollCall is ppoll(2) for reading one descriptor, for a forked child; a
// negative timeout is none.
func pollCall(a *sys.Arena, fd int, timeout time.Duration, want int) sys.Call {
	var limit uintptr
	if timeout >= 0 {
		limit = ptrTo(sys.Place(a, unix.NsecToTimespec(int64(timeout))))
	}
	return sys.Call{Name: "ppoll()", Nr: unix.SYS_PPOLL, Want: want,
		Args: [6]uintptr{ptrTo(sys.Place(a, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})), 1, limit}}
}

// signalfdSharedRegistration (SFD-76): a child that uses an inherited signalfd
// for its own signals in every way, and its end, take nothing from the parent's
// registration of it, edge-triggered or not.
func signalfdSharedRegistration(t testing.TB) {
	blockAll(t)
	needQueue(t, 4)
	for _, mode := range []uint32{0, unix.EPOLLET} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
		turn := newEventfd(t, 0, 0)
		a := fdtest.Arena(t)
		own := sys.Place(a, int32(-1))
		info, events := sys.Place(a, record{}), sys.EpollEvents(a, 4)
		event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN | mode, Fd: int32(fd)})
		ctl := func(op uintptr) sys.Call {
			return sys.Call{Name: "epoll_ctl()", Nr: unix.SYS_EPOLL_CTL, Load: own, Args: [6]uintptr{0, op, uintptr(fd), ptrTo(event)}}
		}
		c := mustForkIn(t, a, sys.EventfdRead(turn, a.Word(0)),
			sys.EpollCreate(unix.EPOLL_CLOEXEC, own), ctl(unix.EPOLL_CTL_ADD),
			pollCall(a, fd, -1, 1),
			sys.Call{Name: "epoll_pwait()", Nr: unix.SYS_EPOLL_PWAIT, Load: own, Args: [6]uintptr{0, ptrTo(&events[0]), 4, 0, 0, 8}, Want: 1},
			sys.SignalfdRead(fd, info), pollCall(a, fd, 0, 0), ctl(unix.EPOLL_CTL_DEL))
		raise := func(when string) {
			t.Helper()
			wantReady(t, epfd)
			wantErr(t, rawsig.Raise(unix.SIGUSR1), nil, "tgkill(self)")
			if err := checkReady(epfd, ready(fd, unix.EPOLLIN)); err != nil {
				t.Errorf("mode %#x, %s: %v", mode, when, err)
			}
			wantSigs(t, when, fd, unix.SIGUSR1)
		}
		raise("with a child that has done nothing")
		wantErr(t, rawsig.Kill(c.TID, unix.SIGUSR1), nil, "kill(child)")
		mustAddCount(t, turn, 1)
		c.want(t)
		raise("after the child's end")
		// And a wait that sleeps.
		tid := unix.Gettid()
		timer := time.AfterFunc(grace, func() { rawsig.Tgkill(os.Getpid(), tid, unix.SIGUSR1) })
		var got [4]unix.EpollEvent
		n, err := epollPwait(epfd, got[:], int(child.Patience/2/time.Millisecond))
		if n != 1 || err != nil {
			t.Errorf("mode %#x: epoll_pwait that sleeps, after the child's end = %d, %v; want 1", mode, n, err)
		}
		timer.Stop()
		wantSigs(t, "after a wait", fd, unix.SIGUSR1)
	}
}

var signalfdShareRows = map[string]func(*testing.T){
	"SFD-76": behaviour.Alone(signalfdSharedRegistration, quiet...),
	"SFD-26": behaviour.Alone(signalfdForked, quiet...),
	"SFD-27": behaviour.Alone(signalfdForkedEpoll, quiet...),
	"SFD-28": signalfdPassed,
	"SFD-29": signalfdAcrossExec,
	"SFD-73": signalfdFetched,
}
