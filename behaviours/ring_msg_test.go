//go:build linux

package behaviours

import (
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Messages between rings, futexes and epoll sets.

// ringMsg (RNG-33): MSG_RING (since 5.18) puts a completion with the data and the
// result of the sender's choice into another ring; the sender's own says 0.
func ringMsg(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingMsg}, func(t testing.TB, r *notifier) {
		other := newNotifier(t, 4, 0, 0)
		for n := range uint64(10) {
			q := sys.MsgRequest(other.Ring, 100+n, uint32(200+n))
			q.Flags, q.Data = 0, 7
			r.ask(q)
			r.want("the sender", answer{data: 7})
			other.want("the receiver", answer{data: 100 + n, res: int32(200 + n)})
		}
		// To itself, both.
		q := sys.MsgRequest(r.Ring, 100, 200)
		q.Flags, q.Data = 0, 7
		r.ask(q)
		r.want("a message to itself", answer{data: 100, res: 200}, answer{data: 7})
	})
}

// ringMsgQuiet (RNG-34): with IOSQE_CQE_SKIP_SUCCESS the sender has no completion,
// unless the message could not be sent.
func ringMsgQuiet(t *testing.T) {
	eachSetup(t, sys.RingSkipSuccess, []uint8{sys.RingMsg}, func(t testing.TB, r *notifier) {
		other := newNotifier(t, 4, 0, 0)
		r.ask(sys.MsgRequest(other.Ring, 1, 2))
		other.want("the receiver", answer{data: 1, res: 2})
		r.wantNone("the sender")
		q := sys.MsgRequest(other.Ring, 1, 2)
		q.Fd, q.Data = int32(newEventfd(t, 0, 0)), 7
		r.ask(q)
		r.want("a message to an eventfd", failing(7, unix.EBADFD))
		q.Fd = -1
		r.ask(q)
		r.want("a message to nobody", failing(7, unix.EBADF))
	})
}

// ringMsgWakes (RNG-35): a message wakes the thread that waits in the other ring,
// however that was set up.
func ringMsgWakes(t *testing.T) {
	for _, flags := range []uint32{0, deferred} {
		if flags != 0 && !behaviour.Since(6, 1) {
			behaviour.Partly(t, "absent", "no IORING_SETUP_DEFER_TASKRUN before 6.1")
			break
		}
		sender := newNotifier(t, 4, 0, sys.RingSkipSuccess, sys.RingMsg)
		receiver := newNotifier(t, 4, flags, 0)
		self := unix.Gettid()
		const n = 50
		other := child.Go(t, "sender", func() error {
			for i := range uint64(n) {
				if i%10 == 0 {
					child.AwaitBlocked(t, unix.Getpid(), self, unix.SYS_IO_URING_ENTER)
				}
				if err := sender.Do(sys.MsgRequest(receiver.Ring, i+1, 5)); err != nil {
					return err
				}
			}
			return nil
		})
		var got []sys.Completion
		for len(got) < n {
			got = append(got, receiver.take(1)...)
		}
		other.Join()
		for i, c := range got {
			if c.Data != uint64(i+1) || c.Res != 5 {
				t.Errorf("message %d is %d with %d, want %d with 5", i+1, c.Data, c.Res, i+1)
			}
		}
	}
}

// ringMsgDisabled (RNG-36): a message to a ring that is not enabled is EBADFD.
func ringMsgDisabled(t *testing.T) {
	r := newNotifier(t, 4, 0, 0, sys.RingMsg)
	q := sys.MsgRequest(newNotifier(t, 4, sys.RingDisabled, 0).Ring, 1, 2)
	q.Flags, q.Data = 0, 7
	r.ask(q)
	r.want("a message to a disabled ring", failing(7, unix.EBADFD))
}

// ringSyncMsg (RNG-37): since 6.13 a thread without a ring sends the same message
// by io_uring_register(2).
func ringSyncMsg(t *testing.T) {
	newNotifier(t, 4, 0, 0)
	if !sys.HasSyncMsg() {
		if behaviour.Since(6, 13) {
			t.Fatal("no IORING_REGISTER_SEND_MSG_RING, which 6.13 has")
		}
		behaviour.Absent(t, "IORING_REGISTER_SEND_MSG_RING came with 6.13")
	}
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		for n := range uint64(10) {
			other := child.Go(t, "sender", func() error {
				const sendMsg = 31
				q := sys.MsgRequest(r.Ring, 100+n, 5)
				q.Flags = 0
				_, err := rawCall(unix.SYS_IO_URING_REGISTER, ^uintptr(0), sendMsg, uintptr(unsafe.Pointer(&q)), 1)
				return err
			})
			r.want("a message from a thread without a ring", answer{data: 100 + n, res: 5})
			other.Join()
		}
	})
}

// ringFutexWait (RNG-38): FUTEX_WAIT (since 6.7) completes with EAGAIN if the word
// has another value, and with 0 when FUTEX_WAKE of a ring or of futex(2) wakes
// it; such a wake-up counts it.
func ringFutexWait(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingFutexWait}, func(t testing.TB, r *notifier) {
		a := fdtest.Arena(t)
		word := a.Word32(5)
		r.ask(sys.FutexWaitRequest(word, 4, false, 1))
		r.want("another value", failing(1, unix.EAGAIN))
		for range 10 {
			r.ask(sys.FutexWaitRequest(word, 5, false, 1))
			r.wantNone("the same value")
			r.ask(sys.FutexWakeRequest(word, false, false, 2))
			r.want("a wake-up by the ring", answer{data: 1}, answer{data: 2, res: 1})
			r.ask(sys.FutexWaitRequest(word, 5, false, 1))
			n, err := rawCall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), sys.FutexOpWake, 9)
			if n != 1 || err != nil {
				t.Errorf("futex(WAKE) = %d, %v; want 1", n, err)
			}
			r.want("a wake-up by futex(2)", answer{data: 1})
		}
		r.ask(sys.FutexWakeRequest(word, false, false, 2))
		r.want("nobody waits", answer{data: 2})
	})
}

// ringFutexOrder (RNG-39): those who wait for a futex in a ring are woken in the
// order in which they came.
func ringFutexOrder(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingFutexWait}, func(t testing.TB, r *notifier) {
		word := fdtest.Arena(t).Word32(5)
		for n := range uint64(5) {
			r.ask(sys.FutexWaitRequest(word, 5, false, n+1))
		}
		for n := range uint64(5) {
			r.ask(sys.FutexWakeRequest(word, false, false, 100))
			r.want("one wake-up", answer{data: 100, res: 1}, answer{data: n + 1})
		}
	})
}

// ringFutexCancel (RNG-40): ASYNC_CANCEL ends a FUTEX_WAIT with ECANCELED and says
// that it ended 1; a wake-up then finds nobody.
func ringFutexCancel(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingFutexWait}, func(t testing.TB, r *notifier) {
		word := fdtest.Arena(t).Word32(5)
		r.ask(sys.FutexWaitRequest(word, 5, false, 1), sys.Request{Op: ringCancel, Fd: -1, Addr: 1, Data: 9})
		r.want("cancelling", failing(1, unix.ECANCELED), answer{data: 9, res: 1})
		r.ask(sys.FutexWakeRequest(word, false, false, 2))
		r.want("a wake-up then", answer{data: 2})
	})
}

// ringEpollWait (RNG-41): EPOLL_WAIT (since 6.15) completes with the number of
// events, and stores them, as epoll_wait(2) does; it waits for the first.
func ringEpollWait(t *testing.T) {
	eachSetup(t, 0, []uint8{sys.RingEpollWait}, func(t testing.TB, r *notifier) {
		events := sys.EpollEvents(fdtest.Arena(t), 4)
		one, two := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
		epfd := fdtest.Epoll(t, one, two)
		r.ask(sys.EpollWaitRequest(epfd, events, 1))
		r.wantNone("nothing is ready")
		mustAddCount(t, one, 1)
		r.want("one is ready", answer{data: 1, res: 1})
		if events[0].Events != unix.EPOLLIN || events[0].Fd != int32(one) {
			t.Errorf("event %+v, want EPOLLIN of descriptor %d", events[0], one)
		}
		mustAddCount(t, two, 1)
		time.Sleep(soon)
		r.ask(sys.EpollWaitRequest(epfd, events, 1))
		r.want("both are ready", answer{data: 1, res: 2})
		mustTake(t, one, 1)
		mustTake(t, two, 1)
	})
}

var ringMsgRows = map[string]func(*testing.T){
	"RNG-33": ringMsg,
	"RNG-34": ringMsgQuiet,
	"RNG-35": ringMsgWakes,
	"RNG-36": ringMsgDisabled,
	"RNG-37": ringSyncMsg,
	"RNG-38": ringFutexWait,
	"RNG-39": ringFutexOrder,
	"RNG-40": ringFutexCancel,
	"RNG-41": ringEpollWait,
}
