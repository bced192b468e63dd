//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The mask, and replacing it.

// signalfdNewMask (SFD-05): a call with a signalfd's descriptor replaces its
// mask and returns the descriptor, signalfd(2).
func signalfdNewMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	if got, err := signalfd4(fd, sys.Sigs(unix.SIGUSR2), 0); got != fd || err != nil {
		t.Errorf("signalfd4(%d) with a new mask = %d, %v; want the same descriptor", fd, got, err)
	}
	wantNoRecord(t, "with a pending signal of the old mask", fd)
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "with pending signals of both masks", fd, unix.SIGUSR2)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
	wantSigs(t, "with the signal that was left", fd, unix.SIGUSR1)
	wantNoRecord(t, "at the end", fd)
	wantNone(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
}

// signalfdNewMaskWakes (SFD-07): who sleeps in a read, in poll(2) or in
// epoll_wait(2) with a pending signal that was not in the mask is woken when it
// comes into the mask, and by nothing less.
func signalfdNewMaskWakes(t *testing.T) {
	fd := newSignalfd(t, 0, 0)
	epfd := fdtest.Epoll(t, fd)
	for what, start := range map[string]func() *sleeper{
		"read":       func() *sleeper { return startRecords(t, fd, 1).sleeper },
		"ppoll":      func() *sleeper { return startPoll(t, fd) },
		"epoll_wait": func() *sleeper { return startWait(t, epfd, 1, -1) },
	} {
		mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1))
		s := start()
		wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), s.Tid, unix.SIGUSR2), nil)
		stillAsleep(t, s)
		mustSetMask(t, fd, sys.Sigs(unix.SIGPWR))
		stillAsleep(t, s)
		mustSetMask(t, fd, sys.Sigs(unix.SIGPWR, unix.SIGUSR2))
		s.Join()
		if s.err != nil || s.n != 1 {
			t.Errorf("%s after the mask has changed = %d, %v; want 1", what, s.n, s.err)
		}
	}
	blockAll(t)
	wantPolledOnly(t, fd, 0) // a thread's signal went with it
}

// signalfdKillAndStop (SFD-08): SIGKILL and SIGSTOP are left out of the mask
// without an error, signalfd(2); they kill and stop whoever reads for them.
func signalfdKillAndStop(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGKILL, unix.SIGSTOP, unix.SIGUSR1), 0)
	p := child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	stopReader(t, p)
	p.Signal(unix.SIGCONT)
	p.Signal(unix.SIGUSR1)
	p.Expect(fmt.Sprintf("%d code %d from %d", unix.SIGUSR1, rawsig.SIUser, os.Getpid()))
	p.Wait()

	mustSetMask(t, fd, sys.Sigs(unix.SIGKILL, unix.SIGSTOP))
	p = child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGKILL {
		t.Errorf("the reader ended with %#x, want killed by SIGKILL", s)
	}
}

// signalfdSharedMask (SFD-44): duplicates and children have the same mask, and
// O_NONBLOCK: a change by one is one for all; closing one leaves the others.
func signalfdSharedMask(t *testing.T) {
	blockAll(t)
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	dup, _ := mustDup(t, fd)
	epfd := fdtest.Epoll(t, fd)
	mustRaise(t, unix.SIGUSR2)
	mustSetMask(t, dup, sys.Sigs(unix.SIGUSR2))
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantPolledOnly(t, fd, unix.POLLIN)
	wantSigs(t, "by the duplicate", dup, unix.SIGUSR2)
	wantNoRecord(t, "by the original", fd)
	a := fdtest.Arena(t)
	mask := sys.Place(a, sys.Sigs(unix.SIGPWR))
	startFork(t, a, sys.Call{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4, Args: [6]uintptr{uintptr(dup), ptrTo(mask), 8}, Want: dup}).wait()
	mustRaise(t, unix.SIGUSR2)
	mustRaise(t, unix.SIGPWR)
	closeNow()
	wantSigs(t, "by the duplicate, after a child has replaced the mask", dup, unix.SIGPWR)
	wantReady(t, epfd)
}

// signalfdMaskFromAfar (SFD-45): replacing the mask wakes those who sleep in
// the process that does it. In another process who sleeps there sleeps on,
// though a poll there finds the signal; the next signal to it, of any number,
// wakes him.
func signalfdMaskFromAfar(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	r := startRecords(t, fd, 1)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), r.Tid, unix.SIGUSR2), nil)
	mustRaise(t, unix.SIGUSR2)
	stillAsleep(t, r.sleeper)
	a := fdtest.Arena(t)
	mask := sys.Place(a, sys.Sigs(unix.SIGUSR2))
	done, end := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	c := startBare(t, a, sys.Call{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4, Args: [6]uintptr{uintptr(fd), ptrTo(mask), 8}, Want: fd},
		sys.EventfdWrite(done, a.Word(1)), sys.EventfdRead(end, a.Word(0))) // SIGCHLD would be some signal
	mustTake(t, done, 1)
	stillAsleep(t, r.sleeper)
	wantSigs(t, "by a thread that looks", fd, unix.SIGUSR2)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGPWR), nil)
	r.wantSigs("after some signal", unix.SIGUSR2)
	mustAddCount(t, end, 1)
	c.want(t)
}

// signalfdEmptyMask (SFD-52): with an empty mask nothing is ever there,
// whatever is pending.
func signalfdEmptyMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, 0, 0)
	mustRaise(t, unix.SIGUSR1)
	wantPolledOnly(t, fd, 0)
	r := startRecords(t, fd, 1)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	stillAsleep(t, r.sleeper)
	r.rouse()
	r.wantErr(unix.EINTR)
	wantPending(t, sys.Sigs(unix.SIGUSR1))
}

var signalfdMaskRows = map[string]func(*testing.T){
	"SFD-05": signalfdNewMask,
	"SFD-07": signalfdNewMaskWakes,
	"SFD-08": signalfdKillAndStop,
	"SFD-44": signalfdSharedMask,
	"SFD-45": behaviour.Alone(signalfdMaskFromAfar, quiet...),
	"SFD-52": signalfdEmptyMask,
}
