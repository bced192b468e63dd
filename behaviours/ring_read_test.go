//go:build linux

package behaviours

import (
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Reads by a ring, and the wait for completions.

// ringRead (RNG-27): READ of an eventfd waits while it is 0, then takes what a
// read(2) would: all of it, or 1 of a semaphore.
func ringRead(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingRead}, func(t testing.TB, r *notifier) {
		value := fdtest.Arena(t).Word(0)
		fd := newEventfd(t, 0, 0)
		r.ask(sys.ReadRequest(fd, value, 1))
		r.wantNone("an eventfd at 0")
		mustAddCount(t, fd, 7)
		r.want("a write of 7", answer{data: 1, res: 8})
		if *value != 7 || readable(t, fd) {
			t.Errorf("read %d, more left: %t; want 7 and no more", *value, readable(t, fd))
		}
		semaphore := newEventfd(t, 2, unix.EFD_SEMAPHORE)
		for range 2 {
			r.ask(sys.ReadRequest(semaphore, value, 1))
			r.want("a semaphore", answer{data: 1, res: 8})
			if *value != 1 {
				t.Errorf("read %d of a semaphore, want 1", *value)
			}
		}
	})
}

// ringReadEach (RNG-28): of several READs that wait for a semaphore each takes
// one, whichever, and no more than were written.
func ringReadEach(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingRead}, func(t testing.TB, r *notifier) {
		a := fdtest.Arena(t)
		fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
		const n = 6
		for i := range uint64(n) {
			r.ask(sys.ReadRequest(fd, a.Word(0), i+1))
		}
		for written := 1; written <= 3; written++ {
			mustAddCount(t, fd, uint64(written))
			if got := len(r.take(written)); got != written {
				t.Errorf("a write of %d completed %d reads", written, got)
			}
			r.wantNone("after that")
		}
	})
}

// ringReadNonblocking (RNG-29): READ waits for an eventfd with O_NONBLOCK as for
// another.
func ringReadNonblocking(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingRead}, func(t testing.TB, r *notifier) {
		value := fdtest.Arena(t).Word(0)
		fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
		r.ask(sys.ReadRequest(fd, value, 1))
		r.wantNone("a non-blocking eventfd at 0")
		mustAddCount(t, fd, 3)
		r.want("a write", answer{data: 1, res: 8})
		if *value != 3 {
			t.Errorf("read %d, want 3", *value)
		}
	})
}

// ringReadCancelled (RNG-30): ASYNC_CANCEL ends a READ that waits, with ECANCELED;
// it has taken nothing, and what is written then stays.
func ringReadCancelled(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingRead, ringCancel}, func(t testing.TB, r *notifier) {
		value := fdtest.Arena(t).Word(0)
		fd := newEventfd(t, 0, 0)
		cancel := sys.Request{Op: ringCancel, Fd: -1, Addr: 1, Data: 9}
		for n := range 10 {
			r.ask(sys.ReadRequest(fd, value, 1), cancel)
			r.want("cancelling a read", failing(1, unix.ECANCELED), answer{data: 9})
			mustAddCount(t, fd, uint64(n+1))
			r.wantNone("a write after that")
			mustTake(t, fd, uint64(n+1))
		}
		r.ask(cancel)
		r.want("cancelling what is not there", failing(9, unix.ENOENT))
	})
}

// ringReadDelays (RNG-31): READ of a timerfd waits for its expiry and brings their
// number.
func ringReadDelays(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingRead}, func(t testing.TB, r *notifier) {
		value := fdtest.Arena(t).Word(0)
		fd := fdtest.Timerfd(t)
		for range 5 {
			r.ask(sys.ReadRequest(fd, value, 1))
			spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(soon))}
			if err := unix.TimerfdSettime(fd, 0, &spec, nil); err != nil {
				t.Fatal(err)
			}
			r.want("an expiry", answer{data: 1, res: 8})
			if *value != 1 {
				t.Errorf("%d expiries, want 1", *value)
			}
		}
	})
}

// ringWaitInterrupted (RNG-32): a signal with a handler ends the wait for
// completions with EINTR, whatever SA_RESTART says; the request waits on.
func ringWaitInterrupted(t *testing.T) {
	for _, flags := range []uint64{0, rawsig.SARestart} {
		r := newNotifier(t, 4, 0, 0)
		fd := newEventfd(t, 0, 0)
		restore, err := rawsig.Handle(unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack | flags})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { restore() })
		r.ask(sys.PollRequest(fd, false, 1))
		self := unix.Gettid()
		other := child.Go(t, "other", func() error {
			child.AwaitBlocked(t, unix.Getpid(), self, unix.SYS_IO_URING_ENTER)
			return unix.Tgkill(unix.Getpid(), self, unix.SIGUSR1)
		})
		wantErrno(t, "a wait with a handled signal", r.enter(1), unix.EINTR)
		other.Join()
		mustAddCount(t, fd, 1)
		r.want("a write", answer{data: 1, res: unix.POLLIN})
	}
}

// ringSubmitInterrupted (RNG-42): a call that submits and waits, interrupted in its
// wait, returns how many requests it has submitted, not EINTR, though there is no
// completion.
func ringSubmitInterrupted(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	fd := newEventfd(t, 0, 0)
	restore, err := rawsig.Handle(unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { restore() })
	r.Prepare(sys.PollRequest(fd, false, 1))
	queue := sys.NewLoop(fdtest.Arena(t), r.Queue(1))
	for range 10 {
		queue.Reset(1)
		if !queue.Run() {
			t.Fatal(queue.Err())
		}
		self := unix.Gettid()
		other := child.Go(t, "other", func() error {
			child.AwaitBlocked(t, unix.Getpid(), self, unix.SYS_IO_URING_ENTER)
			return unix.Tgkill(unix.Getpid(), self, unix.SIGUSR1)
		})
		n, err := rawCall(unix.SYS_IO_URING_ENTER, uintptr(r.FD), 1, 1, 1, 0, 0)
		other.Join()
		if n != 1 || err != nil {
			t.Errorf("io_uring_enter that submits 1 and is interrupted = %d, %v; want 1", n, err)
		}
		r.wantNone("after that")
		mustAddCount(t, fd, 1)
		r.want("a write", answer{data: 1, res: unix.POLLIN})
		mustTake(t, fd, 1)
	}
}

// ringSignalfd (RNG-43): POLL_ADD of a signalfd completes when a signal for the
// thread that submitted it is pending.
func ringSignalfd(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		const sig = unix.SIGUSR1
		mustBlock(t, sys.Sigs(sig))
		fd := fdtest.Signalfd(t, sig)
		for range 10 {
			r.ask(sys.PollRequest(fd, false, 1))
			r.wantNone("no signal")
			if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
				t.Fatal(err)
			}
			r.want("a signal", answer{data: 1, res: unix.POLLIN})
			mustTakeSignal(t, sys.Sigs(sig))
		}
	})
}

var ringReadRows = map[string]func(*testing.T){
	"RNG-27": ringRead,
	"RNG-28": ringReadEach,
	"RNG-29": ringReadNonblocking,
	"RNG-30": ringReadCancelled,
	"RNG-31": ringReadDelays,
	"RNG-32": ringWaitInterrupted,
	"RNG-42": ringSubmitInterrupted,
	"RNG-43": ringSignalfd,
}
