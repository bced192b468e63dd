//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Which signals are there to be read.

// signalfdUnblocked (SFD-22): a signal need not be blocked to be read: one that
// comes while its thread sleeps in a read is read, and no handler runs; at any
// other time the handler gets it, though poll(2) may have told of it.
func signalfdUnblocked(t testing.TB) {
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SARestart})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	open := func(call func(*sleeper) (int, error)) *sleeper {
		return startSleep(t, "thread that does not block the signal", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, unix.SIGUSR1)); err != nil {
				return 0, err
			}
			return call(s)
		})
	}
	for what, send := range map[string]func(tid int) error{
		"tgkill": func(tid int) error { return rawsig.Tgkill(os.Getpid(), tid, unix.SIGUSR1) },
		"kill":   func(int) error { return rawsig.Kill(os.Getpid(), unix.SIGUSR1) },
	} {
		setMask(t, rawsig.Blockable)
		var got []record
		r := open(func(*sleeper) (n int, err error) {
			got, err = readRecords(fd, 1)
			return len(got), err
		})
		r.AwaitBlocked(unix.SYS_READ)
		wantErrno(t, what, send(r.Tid), nil)
		r.Join()
		if r.err != nil || r.n != 1 || got[0].Signo != uint32(unix.SIGUSR1) {
			t.Errorf("a read by a thread that does not block the signal, after %s: %+v, %v; want SIGUSR1", what, got, r.err)
		}
		wantRuns(t)
	}
	var after int
	p := open(func(*sleeper) (int, error) {
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, nil, nil)
		after = rawsig.Ran(unix.SIGUSR1)
		return n, err
	})
	p.AwaitBlocked(unix.SYS_PPOLL)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), p.Tid, unix.SIGUSR1), nil)
	p.wantPolled()
	if after != 1 {
		t.Errorf("the handler had run %d times when ppoll returned, want once", after)
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1))
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR1), nil)
	wantRuns(t, unix.SIGUSR1, unix.SIGUSR1)
	wantNoRecord(t, "after the handler", fd)
}

// signalfdPerThread (SFD-23): a thread reads its own signals and its process's,
// and never those of another thread, signalfd(2).
func signalfdPerThread(t testing.TB) {
	blockAll(t)
	one, two := startWorker(t), startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), one.Tid, unix.SIGUSR1), nil)
	wantNoRecord(t, "with a signal to another thread", fd)
	two.do(func() { wantNoRecord(t, "with a signal to another thread", fd) })
	one.do(func() {
		wantSigs(t, "by the thread it was sent to", fd, unix.SIGUSR1)
		wantNoRecord(t, "after the read", fd)
	})
	// One to each, of one number, and one to the process: each gets its own
	// first.
	for _, tid := range []int{unix.Gettid(), one.Tid, two.Tid} {
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), tid, unix.SIGUSR2), nil)
	}
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	two.do(func() {
		got, err := readRecords(fd, 1)
		if len(got) != 1 || err != nil || got[0].Signo != uint32(unix.SIGUSR2) {
			t.Errorf("a thread with a signal of its own read %+v, %v; want that", got, err)
		}
		wantSigs(t, "then the process's", fd, unix.SIGUSR1)
	})
	wantSigs(t, "by the first thread", fd, unix.SIGUSR2)
	one.do(func() { wantSigs(t, "by the other thread", fd, unix.SIGUSR2) })
	wantNoRecord(t, "at the end", fd)
}

// signalfdDefaultIgnored (SFD-30): a signal that is ignored by default is
// dropped when it is sent, unless the thread that it is sent to blocks it; for
// the process that is the thread whose id kill was given. Sleeping in a read
// does not count.
func signalfdDefaultIgnored(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGWINCH, unix.SIGCHLD, unix.SIGCONT} {
		act(t, sig, rawsig.Action{})
		fd := newSignalfd(t, sys.Sigs(sig), 0)
		open := startSleep(t, "thread that does not block the signal", func(*sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
				return 0, err
			}
			got, err := readRecords(fd, 1)
			return len(got), err
		})
		open.AwaitBlocked(unix.SYS_READ)
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), open.Tid, sig), nil)
		stillAsleep(t, open)
		open.rouse()
		open.Join()
		setMask(t, rawsig.Blockable&^sys.Sigs(sig))
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		setMask(t, rawsig.Blockable)
		wantNoRecord(t, fmt.Sprintf("signal %d, sent while it was not blocked", sig), fd)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantSigs(t, fmt.Sprintf("signal %d, sent while it was blocked", sig), fd, sig)
	}
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGWINCH), unix.SFD_NONBLOCK)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGWINCH))
	w.do(func() {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGWINCH), nil)
		wantNoRecord(t, "a signal that the first thread does not block", fd)
	})
	setMask(t, rawsig.Blockable)
	w.do(func() {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGWINCH), nil)
		wantSigs(t, "a signal that all threads block", fd, unix.SIGWINCH)
	})
	wantPending(t, 0)
}

// signalfdIgnored (SFD-31): setting SIG_IGN discards what is pending before it
// could be read; what is sent afterwards, blocked, is there to be read.
func signalfdIgnored(t testing.TB) {
	blockAll(t)
	needQueue(t, 4)
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), w.Tid, sig), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
		wantNoRecord(t, "after SIG_IGN", fd)
		wantReady(t, epfd)
		w.do(func() { wantNoRecord(t, "after SIG_IGN", fd) })
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantSigs(t, "ignored and blocked", fd, sig, sig)
		wantReady(t, epfd)
	}
}

// signalfdTakenElsewhere (SFD-50): what a handler or sigtimedwait has taken, or
// a handler's thread is about to, is no longer there to be read, and no longer
// reported.
func signalfdTakenElsewhere(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for what, take := range map[string]func(){
		"sigtimedwait": func() { mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)) },
		"the handler": func() {
			setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1))
			wantRuns(t, unix.SIGUSR1)
			setMask(t, rawsig.Blockable)
		},
		"another signalfd": func() { wantSigs(t, "another signalfd", newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0), unix.SIGUSR1) },
	} {
		rawsig.Forget()
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		take()
		wantNoRecord(t, "after "+what+" took it", fd)
		wantReady(t, epfd)
	}
	// A thread that does not block the signal gets it at once.
	w := startWorker(t)
	rawsig.Forget()
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1)) })
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	await(t, "the handler has run", func() bool { return rawsig.Ran(unix.SIGUSR1) == 1 })
	wantNoRecord(t, "with another thread that does not block it", fd)
}

// signalfdStopSignals (SFD-57): stop signals that are blocked are there to be
// read and stop nobody; a SIGCONT sent later takes them away unread, and a stop
// signal an unread SIGCONT.
func signalfdStopSignals(t testing.TB) {
	blockAll(t)
	stops := []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	for _, sig := range append(stops, unix.SIGCONT) {
		act(t, sig, rawsig.Action{}) // the default
	}
	fd := newSignalfd(t, sys.Sigs(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for _, sig := range stops {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
	}
	wantSigs(t, "stop signals", fd, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	for _, sig := range stops {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
	}
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGCONT), nil)
	wantSigs(t, "SIGCONT after stop signals", fd, unix.SIGCONT)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGCONT), nil)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGTTIN), nil)
	wantSigs(t, "SIGTTIN after SIGCONT", fd, unix.SIGTTIN)
	wantReady(t, epfd)
}

// signalfdOrSigtimedwait (SFD-62): of a thread in a read and one in
// sigtimedwait one gets a signal to the process, whichever it is.
func signalfdOrSigtimedwait(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	for range 20 {
		r := startRecords(t, fd, 1)
		w := startSleep(t, "thread in rt_sigtimedwait", func(s *sleeper) (int, error) {
			for {
				info, err := rawsig.Wait(sys.Sigs(unix.SIGUSR1), -1)
				if err == unix.EINTR && !s.roused.Load() {
					continue // woken for a signal that the read took
				}
				return int(info.Signo), err
			}
		})
		w.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		woken, asleep := wantWoken(t, 1, r.sleeper, w)
		if s := woken[0]; s == r.sleeper {
			r.wantSigs("the thread in a read", unix.SIGUSR1)
		} else if s.err != nil || s.n != int(unix.SIGUSR1) {
			t.Errorf("rt_sigtimedwait = %d, %v; want SIGUSR1", s.n, s.err)
		}
		wantPending(t, 0)
		asleep[0].rouse()
		asleep[0].Join()
	}
}

// signalfdClosedUnread (SFD-68): signals are pending in the process, not in the
// signalfd: with it closed they stay, for another signalfd or for the handler.
func signalfdClosedUnread(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGUSR2, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	epfd := fdtest.Epoll(t, fd)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR2), nil)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	closeNow()
	wantReady(t, epfd)
	wantPending(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
	wantSigs(t, "from a new one", newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK), unix.SIGUSR1)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR2))
	wantRuns(t, unix.SIGUSR2)
}

// signalfdEndOfThread (SFD-69): what was sent to a thread ends with it, unread.
func signalfdEndOfThread(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	// More than the few that the Go runtime may have sent this thread,
	// which blocks them.
	const queuedByThread, few = 7, 3
	becomeLonely() // or others of the user, who queue and take signals as they like, are counted as well
	needQueue(t, queuedByThread+1)
	before, counted := trySigQ()
	th := child.Go(t, "ending thread", func() error {
		becomeLonely()
		setMask(t, rawsig.Blockable)
		if err := rawsig.Raise(unix.SIGUSR1); err != nil {
			return err
		}
		for v := range uint64(queuedByThread) {
			if err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), 40, rawsig.Value(v)); err != nil {
				return err
			}
		}
		wantPolledOnly(t, fd, unix.POLLIN)
		return nil
	})
	th.Join()
	wantNoRecord(t, "after its thread has ended", fd)
	wantPending(t, 0)
	// What was queued is not only out of sight: it does not count as queued
	// any more.
	if !counted {
		behaviour.Partly(t, "limit", "no SigQ in /proc, to see how many signals are queued")
	} else {
		await(t, "what the thread had queued is not counted any more", func() bool {
			now, _ := trySigQ()
			return now <= before+few
		})
	}
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "one of the thread that reads", fd, unix.SIGUSR1)
}

// trySigQ returns how many signals are queued for the calling thread's user, if
// /proc tells.
func trySigQ() (n int, ok bool) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var limit int
		if found, _ := fmt.Sscanf(line, "SigQ:\t%d/%d", &n, &limit); found == 2 {
			return n, true
		}
	}
	return 0, false
}

var signalfdPendingRows = map[string]func(*testing.T){
	"SFD-22": behaviour.Alone(signalfdUnblocked, quiet...),
	"SFD-23": behaviour.Alone(signalfdPerThread, quiet...),
	"SFD-30": behaviour.Alone(signalfdDefaultIgnored, quiet...),
	"SFD-31": behaviour.Alone(signalfdIgnored, quiet...),
	"SFD-50": behaviour.Alone(signalfdTakenElsewhere, quiet...),
	"SFD-57": behaviour.Alone(signalfdStopSignals, quiet...),
	"SFD-62": behaviour.Alone(signalfdOrSigtimedwait, quiet...),
	"SFD-68": behaviour.Alone(signalfdClosedUnread, quiet...),
	"SFD-69": signalfdEndOfThread,
}
