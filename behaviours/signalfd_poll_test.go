//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// What poll, epoll and AIO say of a signalfd.

// signalfdReadableIff (SFD-21): POLLIN if and only if a signal of the mask is
// pending for the thread that asks or for its process, signalfd(2); nothing
// else is ever reported.
func signalfdReadableIff(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	send := map[string]func(sig unix.Signal) error{
		"the thread":  rawsig.Raise,
		"the process": func(sig unix.Signal) error { return rawsig.Kill(os.Getpid(), sig) },
	}
	for what, send := range send {
		wantPolledOnly(t, fd, 0)
		wantErrno(t, "a signal to "+what, send(unix.SIGPWR), nil) // not of the mask
		wantPolledOnly(t, fd, 0)
		wantErrno(t, "a signal to "+what, send(unix.SIGUSR1), nil)
		wantPolledOnly(t, fd, unix.POLLIN)
		wantErrno(t, "a signal to "+what, send(unix.SIGUSR2), nil)
		wantPolledOnly(t, fd, unix.POLLIN)
		for range 2 {
			wantPolledOnly(t, fd, unix.POLLIN)
			if got, err := readRecords(fd, 1); len(got) != 1 || err != nil {
				t.Errorf("read after a signal to %s: %d records, %v; want 1", what, len(got), err)
			}
		}
		wantPolledOnly(t, fd, 0)
		mustTakeSignal(t, sys.Sigs(unix.SIGPWR))
	}
	wantNoRecord(t, "at the end", fd)
}

// signalfdPolledPerThread (SFD-24): poll(2) and epoll_wait(2) answer for the
// signals of the thread that asks, signalfd(2): those of another thread neither
// end its wait nor are reported. Asked by the wrong thread an epoll instance
// loses the event, until the next signal or a MOD.
func signalfdPolledPerThread(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	asleep := []*sleeper{startPoll(t, fd), startWait(t, fdtest.Epoll(t, fd), 1, -1)}
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), w.Tid, unix.SIGUSR1), nil)
	stillAsleep(t, asleep...)
	wantPolledOnly(t, fd, 0)
	w.do(func() {
		wantPolledOnly(t, fd, unix.POLLIN)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	})
	wantReady(t, epfd)
	w.do(func() {
		wantPolledOnly(t, fd, unix.POLLIN)
		wantReady(t, epfd) // the wait before found nothing, for its own thread
		mustMod(t, epfd, fd, unix.EPOLLIN)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	})
	wantReady(t, epfd)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGPWR), nil)
	w.do(func() {
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantSigs(t, "by the thread it was sent to", fd, unix.SIGUSR1)
		wantReady(t, epfd)
	})
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantWoken(t, len(asleep), asleep...) // the process's is everybody's
	wantSigs(t, "a signal to the process", fd, unix.SIGUSR1)
}

// signalfdWakes (SFD-39): a signal to a thread that sleeps in a read, in
// poll(2) or in epoll_wait(2) ends that, and nobody else's.
func signalfdWakes(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	epfd := fdtest.Epoll(t, fd)
	one, two := startRecords(t, fd, 1), startRecords(t, fd, 1)
	poll, wait := startPoll(t, fd), startWait(t, epfd, 1, -1)
	other := []*sleeper{startPoll(t, fd), startWait(t, fdtest.Epoll(t, fd), 1, -1)}
	send := func(s *sleeper) {
		t.Helper()
		wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), s.Tid, unix.SIGUSR1), nil)
	}
	send(two.sleeper)
	two.wantSigs("the thread it was sent to", unix.SIGUSR1)
	stillAsleep(t, append(other, one.sleeper, poll, wait)...)
	send(poll)
	poll.wantPolled()
	send(wait)
	wait.want(ready(fd, unix.EPOLLIN))
	stillAsleep(t, append(other, one.sleeper)...)
	send(one.sleeper)
	one.wantSigs("the thread it was sent to", unix.SIGUSR1)
	stillAsleep(t, other...)
}

// signalfdEdges (SFD-49): every signal that becomes pending in the process
// wakes who watches a signalfd, whatever its number and thread: with EPOLLET
// one that is pending is then reported anew. One that merges, or is dropped,
// does not.
func signalfdEdges(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	w := startWorker(t)
	act(t, unix.SIGWINCH, rawsig.Action{})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	level, edge := fdtest.Epoll(t, fd), fdtest.Epoll(t)
	fdtest.Add(t, edge, fd, unix.EPOLLIN|unix.EPOLLET)
	there := ready(fd, unix.EPOLLIN)
	check := func(what string, err error, isEdge bool) {
		t.Helper()
		wantErrno(t, what, err, nil)
		var want []readiness
		if isEdge {
			want = []readiness{there}
		}
		if err := checkReady(edge, want...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		wantReady(t, edge)
		wantReady(t, level, there)
	}
	wantReady(t, edge)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR2), nil)
	wantReady(t, edge) // woken, but for nothing
	self := os.Getpid()
	check("a signal of the mask", rawsig.Raise(unix.SIGUSR1), true)
	check("the same, which merges", rawsig.Raise(unix.SIGUSR1), false)
	check("another of the mask", rawsig.Raise(40), true)
	check("one more of that, which queues", rawsig.Raise(40), true)
	check("one that is not of the mask", rawsig.Raise(unix.SIGPWR), true)
	check("one to another thread", rawsig.Tgkill(self, w.Tid, unix.SIGPWR), true)
	check("one to the process", rawsig.Kill(self, unix.SIGPWR), true)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGWINCH))
	check("one that is dropped", rawsig.Raise(unix.SIGWINCH), false)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1, 40))
	check("the same mask", nil, true)
	got, err := readRecords(fd, 1)
	sameSigs(t, "one of three", got, err, unix.SIGUSR1)
	check("a read that leaves some", nil, false)
	wantSigs(t, "the rest", fd, 40, 40)
	wantReady(t, edge)
	wantReady(t, level)
}

// signalfdTwo (SFD-51): a signal in the masks of two is there to be read from
// both, and is read once.
func signalfdTwo(t *testing.T) {
	blockAll(t)
	one := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	two := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGPWR), unix.SFD_NONBLOCK)
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR} {
		mustRaise(t, sig)
	}
	wantPolledOnly(t, one, unix.POLLIN)
	wantPolledOnly(t, two, unix.POLLIN)
	wantSigs(t, "from one", one, unix.SIGUSR1, unix.SIGUSR2)
	wantSigs(t, "from the other", two, unix.SIGPWR)
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "from the other, first", two, unix.SIGUSR1)
	wantNoRecord(t, "then from the one", one)
}

// signalfdWakesAll (SFD-70): a signal to the process wakes all who wait in
// poll(2) and epoll_wait(2), and one of them can read it.
func signalfdWakesAll(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	waiting = append(waiting, startPoll(t, fd), startPoll(t, fd))
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantWoken(t, len(waiting), waiting...)
	wantSigs(t, "the first read", fd, unix.SIGUSR1)
	wantNoRecord(t, "another read", fd)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

// signalfdAIOPoll (SFD-72): an AIO poll request of a signalfd is complete at
// once if a signal is pending for who makes it. One that comes later does not
// complete it: the kernel then asks in the name of a thread of its own, which
// has no signals.
func signalfdAIOPoll(t *testing.T) {
	blockAll(t)
	a := newAIO(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	resfd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)}
	mustRaise(t, unix.SIGUSR1)
	a.mustSubmit(poll)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	wantSigs(t, "after a request that found it", fd, unix.SIGUSR1)
	a.mustSubmit(poll)
	mustRaise(t, unix.SIGUSR1)
	time.Sleep(grace)
	wantPolledOnly(t, resfd, unix.POLLOUT)
	a.wantEvents(0, 0)
	// The signal is there for a read, and the request for who destroys it.
	wantSigs(t, "after a request that waits for it", fd, unix.SIGUSR1)
}

// signalfdEachSignal (SFD-75): every signal but the two that cannot be blocked
// can be polled and read, the first and the last as well: sent to the thread
// while nobody reads, and to a process that sleeps in a read.
func signalfdEachSignal(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	fd := newSignalfd(t, rawsig.All, 0)
	epfd := fdtest.Epoll(t, fd)
	drain(rawsig.Blockable)
	var sigs []unix.Signal
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP {
			sigs = append(sigs, sig)
		}
	}
	for _, sig := range sigs {
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self, %d)", sig)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		if !readable(t, fd) {
			t.Fatalf("signal %d is pending and there is nothing to read", sig)
		}
		got, err := readRecords(fd, 1)
		sameSigs(t, fmt.Sprintf("signal %d", sig), got, err, sig)
		wantPending(t, 0)
	}
	// The reader is another process, which has no threads of Go's, and a
	// signalfd of its own.
	a := fdtest.Arena(t)
	records, own := make([]*record, len(sigs)), sys.Place(a, int32(-1))
	calls := []sys.Call{{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4, Args: [6]uintptr{minusOne, ptrTo(sys.Place(a, rawsig.All)), 8, 0}, AnyCount: true, Save: own}}
	for i := range sigs {
		records[i] = sys.Place(a, record{})
		read := sys.SignalfdRead(-1, records[i])
		read.Load = own
		calls = append(calls, read)
	}
	c := mustForkIn(t, a, calls...)
	for i, sig := range sigs {
		c.awaitBlocked(t, unix.SYS_READ)
		wantErr(t, rawsig.Kill(c.TID, sig), nil, "kill(child, %d)", sig)
		eventually(t, fmt.Sprintf("the child has read signal %d", sig), func() bool {
			return atomic.LoadUint32(&records[i].Signo) != 0 || c.Gone()
		})
		if c.Gone() && i < len(sigs)-1 {
			t.Fatalf("signal %d: %v: %v", sig, c, c.loop.Err())
		}
		sameSigs(t, fmt.Sprintf("signal %d by kill", sig), []record{*records[i]}, nil, sig)
	}
	c.want(t)
}

var signalfdPollRows = map[string]func(*testing.T){
	"SFD-75": behaviour.Alone(signalfdEachSignal, quiet...),
	"SFD-21": behaviour.Alone(signalfdReadableIff, quiet...),
	"SFD-24": behaviour.Alone(signalfdPolledPerThread, quiet...),
	"SFD-39": signalfdWakes,
	"SFD-49": behaviour.Alone(signalfdEdges, quiet...),
	"SFD-51": signalfdTwo,
	"SFD-70": behaviour.Alone(signalfdWakesAll, quiet...),
	"SFD-72": signalfdAIOPoll,
}
