//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// How long a registration lives: as long as the open file, epoll(7).

// epollDuplicates (EPL-020): the key is descriptor number and open file
// description, epoll(7) Q&A: a duplicate is another registration with a mask of
// its own, and both report.
func epollDuplicates(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	dup, _ := mustDup(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	fdtest.Add(t, epfd, dup, unix.EPOLLIN|unix.EPOLLOUT)
	wantReady(t, epfd, ready(dup, unix.EPOLLOUT))
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN|unix.EPOLLOUT))
	mustDel(t, epfd, source)
	wantReady(t, epfd, ready(dup, unix.EPOLLIN|unix.EPOLLOUT))
	mustMod(t, epfd, dup, unix.EPOLLIN)
	mustTake(t, dup, 1)
	wantReady(t, epfd)
}

// epollClosedOriginal (EPL-021): closing a descriptor removes nothing while the
// open file description lives on, epoll(7) Q&A; the registration then reports
// for a number that is not open, and cannot be reached by it.
func epollClosedOriginal(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	original, closeOriginal := mustDup(t, source)
	fdtest.Add(t, epfd, original, unix.EPOLLIN)
	closeOriginal()
	wantReady(t, epfd)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(original, unix.EPOLLIN))
	wantReady(t, epfd, ready(original, unix.EPOLLIN))
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, original, unix.EBADF)
	wantCtl(t, epfd, unix.EPOLL_CTL_MOD, original, unix.EBADF)
	// Nor by the number of the duplicate that keeps it alive.
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, source, unix.ENOENT)
	mustTake(t, source, 1)
	wantReady(t, epfd)
}

// epollStaleNumber (EPL-023): a registration whose number was closed is reached
// again once a duplicate of the same open file is put there; another file under
// that number is another key, which does not disturb it.
func epollStaleNumber(t *testing.T) {
	epfd, source, other := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	number, _ := mustDup(t, source)
	fdtest.Add(t, epfd, number, unix.EPOLLIN)
	mustPut(t, other, number)
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(number, unix.EPOLLIN))
	wantCtl(t, epfd, unix.EPOLL_CTL_MOD, number, unix.ENOENT)
	wantCtl(t, epfd, unix.EPOLL_CTL_DEL, number, unix.ENOENT)
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, number, unix.EPOLLIN, 77); err != nil {
		t.Errorf("epoll_ctl(ADD) of another file under a number in use: %v", err)
	}
	fdtest.Post(t, other)
	wantReadyAnyOrder(t, epfd, ready(number, unix.EPOLLIN), readiness{unix.EPOLLIN, 77})
	mustPut(t, source, number)
	wantCtl(t, epfd, unix.EPOLL_CTL_ADD, number, unix.EEXIST)
	mustDel(t, epfd, number)
	wantReady(t, epfd, readiness{unix.EPOLLIN, 77})
}

// epollLastClose (EPL-024): with the last descriptor of the open file
// description its registrations go, without an event, epoll(7) Q&A; the number
// is free for another file.
func epollLastClose(t *testing.T) {
	epfd, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	next := fdtest.Eventfd(t, 0)
	source, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	closeSource := closable(t, source, err)
	dup, closeDup := mustDup(t, source)
	for _, fd := range []int{source, dup} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN)
		fdtest.Add(t, edge, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	closeSource()
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	closeDup()
	wantReady(t, epfd)
	wantReady(t, edge)
	for _, number := range []int{source, dup} {
		mustPut(t, next, number)
		closable(t, number, nil)
		wantCtl(t, epfd, unix.EPOLL_CTL_DEL, number, unix.ENOENT)
		wantCtl(t, edge, unix.EPOLL_CTL_MOD, number, unix.ENOENT)
		fdtest.Add(t, epfd, number, unix.EPOLLIN)
	}
	wantReady(t, epfd)
	fdtest.Post(t, next)
	wantReadyAnyOrder(t, epfd, ready(source, unix.EPOLLIN), ready(dup, unix.EPOLLIN))
	wantReady(t, edge)
}

// epollChildHoldsTarget (EPL-026): a child's copy of a descriptor keeps the
// parent's registration alive after the parent has closed its own; it goes with
// the child, epoll(7) Q&A.
func epollChildHoldsTarget(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, closeReader, _ := mustClosablePipe(t)
	p := child.Start(t, epollHolder, child.Options{Files: []int{r}})
	p.Expect("holding")
	fdtest.Add(t, epfd, r, unix.EPOLLIN)
	closeReader()
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	p.Say("take")
	p.Expect("x")
	wantReady(t, epfd)
	mustWrite(t, w, "y")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	p.Signal(unix.SIGKILL)
	p.Status()
	wantReady(t, epfd)
}

// epollTargetInFlight (EPL-027): a message that carries a descriptor
// (SCM_RIGHTS, unix(7)) refers to the open file as well: its registration lives
// while the message is not received.
func epollTargetInFlight(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, closeReader, _ := mustClosablePipe(t)
	fdtest.Add(t, epfd, r, unix.EPOLLIN)
	sockets := fdtest.Socketpair(t)
	mustSendFile(t, sockets[0], r)
	closeReader()
	wantReady(t, epfd)
	mustWrite(t, w, "x")
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	received, err := receiveFile(sockets[1])
	closeReceived := closable(t, received, err)
	wantReady(t, epfd, ready(r, unix.EPOLLIN))
	closeReceived()
	wantReady(t, epfd)
}

// epollPassed (EPL-028): an epoll instance passed by SCM_RIGHTS reports to its
// receiver what the sender registered, with the sender's data, though the
// receiver has none of the targets.
func epollPassed(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, unix.EPOLLIN, 0x1234_5678_9abc_def0); err != nil {
		t.Fatal(err)
	}
	sockets := fdtest.Socketpair(t)
	p := child.Start(t, epollReceiver, child.Options{Files: []int{sockets[1]}, Args: []string{strconv.Itoa(source)}})
	mustSendFile(t, sockets[0], epfd)
	p.Expect("received")
	fdtest.Post(t, source)
	p.Expect("[IN of 0x123456789abcdef0]")
	wantReady(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0})
	// The receiver adds a target of its own: the set is one and the same.
	p.Say("add")
	p.Expect("added")
	wantReadyAnyOrder(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0}, readiness{unix.EPOLLOUT, 99})
	p.Wait()
	wantReady(t, epfd, readiness{unix.EPOLLIN, 0x1234_5678_9abc_def0})
}

var epollReceiver = child.Register("epoll-receiver", func(p *child.Proc) error {
	source, err := strconv.Atoi(p.Args[0])
	if err != nil {
		return err
	}
	epfd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	for _, op := range []int{unix.EPOLL_CTL_DEL, unix.EPOLL_CTL_MOD} {
		// The number means nothing here, or another file.
		if err := epollCtl(epfd, op, source, unix.EPOLLIN, 0); err == nil {
			return fmt.Errorf("epoll_ctl(%s) by the sender's number succeeded", opName(op))
		}
	}
	p.Say("received")
	var events [4]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	p.Say("%v", readinessOf(events[:n]))
	if _, err := p.Hear(); err != nil {
		return err
	}
	own, err := unix.Eventfd(0, 0)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, own, unix.EPOLLOUT, 99); err != nil {
		return err
	}
	p.Say("added")
	p.Hear()
	return nil
})

// epollAcrossExec (EPL-029): an instance without close-on-exec goes through
// execve(2) with its registrations; those of targets that execve closes go as
// at any close.
func epollAcrossExec(t *testing.T) {
	child.Start(t, epollBeforeExec, child.Options{}).Wait()
}

var (
	epollBeforeExec = child.Register("epoll-before-exec", func(p *child.Proc) error {
		epfd, err := unix.EpollCreate1(0)
		if err != nil {
			return err
		}
		args := []string{strconv.Itoa(epfd)}
		for i, flags := range []int{0, unix.EFD_CLOEXEC, 0} {
			fd, err := unix.Eventfd(1, flags)
			if err != nil {
				return err
			}
			if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT, uint64(i)); err != nil {
				return err
			}
			args = append(args, strconv.Itoa(fd))
		}
		return p.Exec(epollAfterExec, args...)
	})
	epollAfterExec = child.Register("epoll-after-exec", func(p *child.Proc) error {
		var fds []int
		for _, a := range p.Args {
			fd, err := strconv.Atoi(a)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
		}
		epfd, kept, gone, other := fds[0], fds[1], fds[2], fds[3]
		if _, err := unix.FcntlInt(uintptr(gone), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec descriptor: %v, want EBADF", err)
		}
		const both = unix.EPOLLIN | unix.EPOLLOUT
		if err := checkReady(epfd, readiness{both, 0}, readiness{both, 2}); err != nil {
			return err
		}
		var buf [8]byte
		if _, err := unix.Read(kept, buf[:]); err != nil {
			return err
		}
		if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, other, 0, 0); err != nil {
			return err
		}
		return checkReady(epfd, readiness{unix.EPOLLOUT, 0})
	})
)

// epollStorm (EPL-107): registrations that come and go, and instances that are
// closed, while others wait and post, neither stop nor lose an event of a
// target that stays.
func epollStorm(t *testing.T) {
	const rounds = 2000
	epfd := fdtest.Epoll(t)
	ping, pong := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, ping, unix.EPOLLIN|unix.EPOLLET)
	noise := make([]int, 8)
	for i := range noise {
		noise[i] = fdtest.Eventfd(t, unix.EFD_NONBLOCK)
	}
	var over atomic.Bool
	churn := func(seed int) func(*sleeper) (int, error) {
		return func(*sleeper) (int, error) {
			for i := seed; !over.Load(); i++ {
				fd := noise[i%len(noise)]
				var err error
				switch i % 5 {
				case 0:
					err = epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, uint64(fd))
				case 1:
					err = epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN, uint64(fd))
				case 2:
					_, err = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
				case 3:
					_, err = unix.Read(fd, make([]byte, 8))
				case 4:
					err = epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0)
				}
				if err != nil && err != unix.EEXIST && err != unix.ENOENT && err != unix.EAGAIN {
					return i, err
				}
				// And an instance that goes away with what it
				// watches.
				other, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
				if err != nil {
					return i, err
				}
				err = errors.Join(epollCtl(other, unix.EPOLL_CTL_ADD, ping, unix.EPOLLIN, 0),
					epollCtl(other, unix.EPOLL_CTL_ADD, epfd, unix.EPOLLIN, 0), unix.Close(other))
				if err != nil {
					return i, err
				}
			}
			return 0, nil
		}
	}
	sleepers := []*sleeper{startSleep(t, "first thread that changes", churn(0)), startSleep(t, "second thread that changes", churn(3))}
	answer := startSleep(t, "thread that answers", func(s *sleeper) (int, error) {
		for seen := 0; seen < rounds; {
			n, err := epollPwait(epfd, s.events[:], -1)
			if err != nil {
				return seen, err
			}
			for _, e := range s.events[:n] {
				switch {
				case int(e.Fd) != ping:
					unix.Read(int(e.Fd), make([]byte, 8))
				default:
					seen++
					if _, err := unix.Read(ping, make([]byte, 8)); err != nil {
						return seen, err
					}
					if _, err := unix.Write(pong, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
						return seen, err
					}
				}
			}
		}
		return rounds, nil
	})
	answered := fdtest.Epoll(t, pong)
	asking := startSleep(t, "thread that asks", func(s *sleeper) (int, error) {
		defer over.Store(true)
		for i := range rounds {
			if _, err := unix.Write(ping, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
				return i, err
			}
			if n, err := epollPwait(answered, s.events[:], int(child.Patience/time.Millisecond)); n != 1 || err != nil {
				return i, fmt.Errorf("no answer: %d events, %w", n, err)
			}
			if _, err := unix.Read(pong, make([]byte, 8)); err != nil {
				return i, err
			}
		}
		return rounds, nil
	})
	for i, s := range append(sleepers, answer, asking) {
		s.Join()
		if s.err != nil {
			t.Errorf("thread %d ended after %d with %v", i, s.n, s.err)
		}
	}
	// All is as after quieter times.
	for _, fd := range noise {
		if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, fd, 0, 0); err != nil && err != unix.ENOENT {
			t.Errorf("epoll_ctl(DEL): %v", err)
		}
	}
	wantReady(t, epfd)
	fdtest.Post(t, ping)
	wantReady(t, epfd, ready(ping, unix.EPOLLIN))
}

// epollAdderGone (EPL-124): a signalfd wakes an instance through the process
// that registered it. When that has ended, the registration stays and is never
// ready by itself; a MOD asks for the signals of whoever makes it. (The kernel
// once used what the process had left there after it was freed.)
func epollAdderGone(t *testing.T) {
	const sig = unix.SIGUSR1
	mustBlock(t, ^sys.Sigset(0))
	epfd, signals := fdtest.Epoll(t), fdtest.Signalfd(t, sig)
	a := fdtest.Arena(t)
	event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(signals)})
	mustForkIn(t, a, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, signals, event)).want(t)
	wantReady(t, epfd)
	mustRaise(t, sig)
	wantReady(t, epfd)
	wantCtl(t, epfd, unix.EPOLL_CTL_ADD, signals, unix.EEXIST)
	mustMod(t, epfd, signals, unix.EPOLLIN)
	wantReady(t, epfd, ready(signals, unix.EPOLLIN))
	if _, err := rawsig.Take(sys.Sigs(sig)); err != nil {
		t.Fatal(err)
	}
	wantReady(t, epfd)
	mustRaise(t, sig)
	wantReady(t, epfd)
	mustDel(t, epfd, signals)
	fdtest.Add(t, epfd, signals, unix.EPOLLIN) // now through this process
	wantReady(t, epfd, ready(signals, unix.EPOLLIN))
}

var epollLifetimeRows = map[string]func(*testing.T){
	"EPL-020": epollDuplicates,
	"EPL-021": epollClosedOriginal,
	"EPL-023": epollStaleNumber,
	"EPL-024": epollLastClose,
	"EPL-026": epollChildHoldsTarget,
	"EPL-027": epollTargetInFlight,
	"EPL-028": epollPassed,
	"EPL-029": epollAcrossExec,
	"EPL-107": epollStorm,
	"EPL-124": epollAdderGone,
}
