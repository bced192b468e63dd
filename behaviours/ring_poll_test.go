//go:build linux

package behaviours

import (
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Polls and timeouts by a ring.

// ringPollReady (RNG-14): POLL_ADD of what is ready already completes at once,
// with those of the events asked for that hold.
func ringPollReady(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		fd := newEventfd(t, 1, 0)
		for asked, want := range map[uint32]int32{
			unix.POLLIN: unix.POLLIN, unix.POLLOUT: unix.POLLOUT, unix.POLLIN | unix.POLLOUT: unix.POLLIN | unix.POLLOUT,
			unix.POLLIN | unix.POLLPRI: unix.POLLIN,
		} {
			q := sys.PollRequest(fd, false, 1)
			q.OpFlags = asked
			r.ask(q)
			r.want("a poll of an eventfd at 1", answer{data: 1, res: want})
		}
		mustTake(t, fd, 1)
	})
}

// ringPollHangup (RNG-15): POLLHUP and POLLERR are told of although nobody asked
// for them.
func ringPollHangup(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		reader, _, _, closeWriter := mustClosablePipe(t)
		r.ask(sys.PollRequest(reader, false, 1))
		closeWriter()
		r.want("a pipe without writers", answer{data: 1, res: unix.POLLHUP})
		_, writer, closeReader, _ := mustClosablePipe(t)
		mustFill(t, writer)
		q := sys.PollRequest(writer, false, 2)
		q.OpFlags = unix.POLLOUT
		r.ask(q)
		closeReader()
		r.want("a full pipe without readers", answer{data: 2, res: unix.POLLERR})
	})
}

// ringPollOnce (RNG-16): POLL_ADD of what is not ready completes when it becomes
// so, once: what comes later is not told of.
func ringPollOnce(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		fd := newEventfd(t, 0, 0)
		r.ask(sys.PollRequest(fd, false, 1))
		r.wantNone("an eventfd at 0")
		mustAddCount(t, fd, 1)
		r.want("a write", answer{data: 1, res: unix.POLLIN})
		mustTake(t, fd, 1)
		mustAddCount(t, fd, 1)
		r.wantNone("a second write")
		mustTake(t, fd, 1)
	})
}

// ringPollMultishot (RNG-17): with IORING_POLL_ADD_MULTI (since 5.13) a poll
// completes again for each write that finds what was there read, each time with
// IORING_CQE_F_MORE.
func ringPollMultishot(t *testing.T) {
	eachSetup(t, sys.RingMultishotPoll, nil, func(t testing.TB, r *notifier) {
		fd := newEventfd(t, 0, 0)
		r.ask(sys.PollRequest(fd, true, 1))
		for range 50 {
			mustAddCount(t, fd, 1)
			r.want("a write", answer{data: 1, res: unix.POLLIN, more: true})
			mustTake(t, fd, 1)
		}
		r.wantNone("after the last read")
	})
}

// ringMultishotIsEdge (RNG-18): such a poll tells of what comes, not of what is
// there: nothing more as long as nobody writes, though nobody has read, and once
// more when somebody writes again.
func ringMultishotIsEdge(t *testing.T) {
	eachSetup(t, sys.RingMultishotPoll, nil, func(t testing.TB, r *notifier) {
		fd := newEventfd(t, 0, 0)
		r.ask(sys.PollRequest(fd, true, 1))
		for n := range uint64(10) {
			mustAddCount(t, fd, 1)
			r.want("a write", answer{data: 1, res: unix.POLLIN, more: true})
			r.wantNone("with all of it left")
			if n == 9 {
				mustTake(t, fd, n+1)
			}
		}
	})
}

// ringPollRemove (RNG-19): POLL_REMOVE ends a poll, once or multishot, with
// ECANCELED and no more; of a poll that is not there it is ENOENT.
func ringPollRemove(t *testing.T) {
	eachSetup(t, sys.RingMultishotPoll, nil, func(t testing.TB, r *notifier) {
		fd := newEventfd(t, 0, 0)
		remove := func(data uint64) sys.Request { return sys.Request{Op: pollRemove, Fd: -1, Addr: data, Data: 9} }
		r.ask(remove(1))
		r.want("removing what is not there", failing(9, unix.ENOENT))
		for _, multishot := range []bool{false, true} {
			r.ask(sys.PollRequest(fd, multishot, 1), sys.PollRequest(fd, multishot, 2), remove(1))
			r.want("removing one of two", answer{data: 9}, failing(1, unix.ECANCELED))
			mustAddCount(t, fd, 1)
			r.want("a write", answer{data: 2, res: unix.POLLIN, more: multishot})
			mustTake(t, fd, 1)
			r.ask(remove(1))
			r.want("removing it again", failing(9, unix.ENOENT))
			if multishot {
				r.ask(remove(2))
				r.want("removing the other", answer{data: 9}, failing(2, unix.ECANCELED))
			}
		}
		mustAddCount(t, fd, 1)
		r.wantNone("with none left")
	})
}

// ringPollKeepsFile (RNG-20): a poll that waits keeps its file: closing the last
// descriptor ends neither the poll nor the file.
func ringPollKeepsFile(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		reader, writer, closeReader, _ := mustClosablePipe(t)
		r.ask(sys.PollRequest(reader, false, 1))
		closeReader()
		mustWrite(t, writer, "x") // not EPIPE
		r.want("a write to what was closed", answer{data: 1, res: unix.POLLIN})
		// With the request, the file goes.
		awaitEPIPE(t, writer)
	})
}

// ringCloseEndsPolls (RNG-21): closing a ring ends its requests and lets go of
// their files, soon.
func ringCloseEndsPolls(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	reader, writer, closeReader, _ := mustClosablePipe(t)
	r.ask(sys.PollRequest(reader, false, 1))
	closeReader()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Ring.FD = -1
	awaitEPIPE(t, writer)
}

// awaitEPIPE waits until a pipe has no reader.
func awaitEPIPE(tb testing.TB, writer int) {
	tb.Helper()
	for end := time.Now().Add(child.Patience); ; time.Sleep(time.Millisecond) {
		p := []unix.PollFd{{Fd: int32(writer)}}
		if _, err := unix.Ppoll(p, new(unix.Timespec), nil); err != nil {
			tb.Fatal(err)
		}
		if p[0].Revents&unix.POLLERR != 0 {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("the pipe still has a reader after %v", child.Patience)
		}
	}
}

// ringThreadEnds (RNG-22): a poll whose thread has ended ends with ECANCELED, when
// what it waits for comes if not before; those of other threads go on.
func ringThreadEnds(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	fd := newEventfd(t, 0, 0)
	r.ask(sys.PollRequest(fd, false, 1))
	other := child.Go(t, "other", func() error { return r.Do(sys.PollRequest(fd, false, 2)) })
	other.Join()
	for end := time.Now().Add(child.Patience); unix.Tgkill(unix.Getpid(), other.Tid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("thread %d has not ended", other.Tid)
		}
	}
	mustAddCount(t, fd, 1)
	r.want("a write", answer{data: 1, res: unix.POLLIN}, failing(2, unix.ECANCELED))
}

// ringPollExclusive (RNG-23): of two rings that poll one eventfd with
// EPOLLEXCLUSIVE one is told of a write; without it both are.
func ringPollExclusive(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	rings := []*notifier{newNotifier(t, 4, 0, 0), newNotifier(t, 4, 0, 0)}
	ask := func(flag uint32) (told int) {
		for _, r := range rings {
			q := sys.PollRequest(fd, false, 1)
			q.OpFlags |= flag
			r.ask(q)
		}
		mustAddCount(t, fd, 1)
		time.Sleep(soon)
		for _, r := range rings {
			if err := r.enter(0); err != nil {
				t.Fatal(err)
			}
			told += len(r.Completions())
		}
		mustTake(t, fd, 1)
		return told
	}
	if told := ask(0); told != 2 {
		t.Errorf("%d of 2 rings were told, want both", told)
	}
	if told := ask(unix.EPOLLEXCLUSIVE); told != 1 {
		t.Errorf("with EPOLLEXCLUSIVE %d of 2 rings were told, want 1", told)
	}
}

// ringTimeout (RNG-24): TIMEOUT completes with ETIME, never early, and at once
// for a time that has passed.
func ringTimeout(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		a := fdtest.Arena(t)
		r.ask(sys.TimeoutRequest(sys.Place(a, unix.Timespec{Nsec: 1}), 1))
		r.want("a time that has passed", failing(1, unix.ETIME))
		at := sys.Place(a, unix.Timespec{})
		for range 10 {
			var now unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
				t.Fatal(err)
			}
			*at = unix.NsecToTimespec(now.Nano() + int64(soon))
			r.ask(sys.TimeoutRequest(at, 2))
			r.want("a time that comes", failing(2, unix.ETIME))
			if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
				t.Fatal(err)
			}
			if early := at.Nano() - now.Nano(); early > 0 {
				t.Errorf("%v early", time.Duration(early))
			}
		}
	})
}

// ringTimeoutCount (RNG-25): a TIMEOUT for a number of completions ends with 0
// when there are so many others; one that is removed ends with ECANCELED, and
// one that is not there is ENOENT.
func ringTimeoutCount(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		a := fdtest.Arena(t)
		long := sys.Place(a, unix.NsecToTimespec(int64(far)))
		after := sys.Request{Op: sys.RingTimeout, Fd: -1, Addr: uint64(ptrTo(long)), Len: 1, Offset: 2, Data: 1}
		r.ask(after, sys.NopRequest(2), sys.NopRequest(3))
		r.want("a timeout for two completions", answer{data: 2}, answer{data: 3}, answer{data: 1})
		never := after
		never.Offset = 0
		stop := sys.Request{Op: timeoutStop, Fd: -1, Addr: 1, Data: 9}
		r.ask(never, stop)
		r.want("removing a timeout", failing(1, unix.ECANCELED), answer{data: 9})
		r.ask(stop)
		r.want("removing it again", failing(9, unix.ENOENT))
	})
}

// ringDeferred (RNG-26): with IORING_SETUP_DEFER_TASKRUN a completion that comes
// later is there when the thread asks for completions, and not before.
func ringDeferred(t *testing.T) {
	r := newNotifier(t, 4, deferred, 0)
	fd := newEventfd(t, 0, 0)
	for range 10 {
		r.ask(sys.PollRequest(fd, false, 1))
		mustAddCount(t, fd, 1)
		time.Sleep(soon)
		if got := r.Completions(); got != nil {
			t.Errorf("%d completions before the thread has asked", len(got))
		}
		r.want("asking", answer{data: 1, res: unix.POLLIN})
		mustTake(t, fd, 1)
	}
	if !behaviour.Since(6, 1) {
		t.Error("this flag came with 6.1")
	}
}

var ringPollRows = map[string]func(*testing.T){
	"RNG-14": ringPollReady,
	"RNG-15": ringPollHangup,
	"RNG-16": ringPollOnce,
	"RNG-17": ringPollMultishot,
	"RNG-18": ringMultishotIsEdge,
	"RNG-19": ringPollRemove,
	"RNG-20": ringPollKeepsFile,
	"RNG-21": ringCloseEndsPolls,
	"RNG-22": ringThreadEnds,
	"RNG-23": ringPollExclusive,
	"RNG-24": ringTimeout,
	"RNG-25": ringTimeoutCount,
	"RNG-26": ringDeferred,
}
