//go:build linux

package sys

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Requests are submitted again and again in the order in which they were
// prepared, past the end of the ring, and each completion is checked.
func TestRingLoop(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a, r := mustArena(t), mustRing(t, 2, 0)
	fd, one, got := mustEventfd(t), a.Word(1), a.Word(0)
	r.Prepare(NopRequest(7), ReadRequest(fd, got, 9))
	var calls []Call
	calls = append(calls, r.SubmitAndWait(1, Answer{What: "NOP", Data: 7})...)
	calls = append(calls, EventfdWrite(fd, one))
	calls = append(calls, r.SubmitAndWait(1, Answer{What: "READ", Data: 9, Res: 8})...)
	l := NewLoop(a, calls...)
	l.Sum = got
	l.Reset(1000)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	if l.Done != 1000 || l.Total != 1000 {
		t.Errorf("done %d, total %d, want 1000 of each", l.Done, l.Total)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
}

// A completion that was not awaited, and a result that was not wanted, end the
// loop, and it says what came instead.
func TestRingAccounts(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a := mustArena(t)
	check := func(request Request, answer Answer, want string) {
		t.Helper()
		r := mustRing(t, 2, 0)
		r.Prepare(request)
		answer.What = "X"
		l := NewLoop(a, r.SubmitAndWait(1, answer)...)
		l.Reset(3)
		err := error(nil)
		if !l.Run() {
			err = l.Err()
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("request %+v, answer %+v: %v", request, answer, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("request %+v, answer %+v: got %v, want %s", request, answer, err, want)
		}
	}
	nop := NopRequest(5)
	check(nop, Answer{Data: 5}, "")
	check(nop, Answer{Data: 6}, "completion of X: got that of request 5, want 6, after 0 of 3")
	check(nop, Answer{Data: 5, Res: 8}, "completion of X: returned 0, want 8")
	check(nop, Answer{Data: 5, More: true}, "IORING_CQE_F_MORE is 0, want 2")
	bad := ReadRequest(-1, a.Word(0), 5)
	check(bad, Answer{Data: 5, Res: 8}, "bad file descriptor (EBADF)")
	check(bad, Answer{Data: 6, Res: 8}, "bad file descriptor (EBADF)")
	check(bad, Answer{Data: 5, Res: 8, Refused: unix.EBADF}, "")
	check(bad, Answer{Data: 5, Res: 8, Refused: unix.EAGAIN}, "EBADF")

	// What is left is found.
	r := mustRing(t, 2, 0)
	r.Prepare(nop)
	l := NewLoop(a, r.Queue(1), r.Submit(1))
	l.Reset(2)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	if err := r.Check(); err == nil || !strings.Contains(err.Error(), "2 completions were not awaited: the first is of 5") {
		t.Errorf("with two completions left: %v", err)
	}
	if got := r.Completions(); len(got) != 2 || got[0].Data != 5 || r.Check() != nil {
		t.Errorf("took %+v (%v), want two of 5", got, r.Check())
	}
	// So is an overflow: the ring has room for twice as many completions as
	// requests.
	l.Reset(5)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	r.Completions()
	if err := r.Check(); err == nil {
		t.Error("an overflow is not found")
	}
}

// Each kind of request completes with what it is for, with the ring's own work
// deferred or not.
func TestRingRequests(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, flags := range []uint32{0, RingSingleIssuer | RingDeferTaskrun} {
		a := mustArena(t)
		fd, one, got := mustEventfd(t), a.Word(1), a.Word(0)
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(epfd)
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			t.Fatal(err)
		}
		check := func(name string, request func(r *Ring) Request, res int, features uint32) {
			t.Run(name, func(t *testing.T) {
				r := mustRing(t, 2, flags)
				q := request(r)
				if ok, err := r.Supports(q.Op); !ok || r.Features&features != features {
					t.Skipf("not supported (%v)", err)
				}
				r.Prepare(q)
				calls := append([]Call{EventfdWrite(fd, one)}, r.SubmitAndWait(1, Answer{What: name, Data: 9, Res: res})...)
				if q.Op != RingRead {
					calls = append(calls, EventfdRead(fd, got))
				}
				l := NewLoop(a, calls...)
				l.Sum = got
				l.Reset(20)
				if !l.Run() {
					t.Fatal(l.Err())
				}
				if l.Total != 20 {
					t.Errorf("read %d, want 20", l.Total)
				}
				if err := r.Check(); err != nil {
					t.Error(err)
				}
			})
		}
		word := a.Word32(1)
		check("READ", func(*Ring) Request { return ReadRequest(fd, got, 9) }, 8, 0)
		check("POLL_ADD", func(*Ring) Request { return PollRequest(fd, false, 9) }, unix.POLLIN, 0)
		check("TIMEOUT", func(*Ring) Request { return TimeoutRequest(Place(a, unix.Timespec{Nsec: 1}), 9) }, -int(unix.ETIME), 0)
		check("MSG_RING", func(r *Ring) Request { return MsgRequest(r, 9, 77) }, 77, RingSkipSuccess)
		check("FUTEX_WAKE", func(*Ring) Request { return FutexWakeRequest(word, true, false, 9) }, 0, 0)
		check("FUTEX_WAIT", func(*Ring) Request { return FutexWaitRequest(word, 0, false, 9) }, -int(unix.EAGAIN), 0)
		check("EPOLL_WAIT", func(*Ring) Request { return EpollWaitRequest(epfd, EpollEvents(a, 4), 9) }, 1, 0)

		// A multishot goes on, and one that sleeps elsewhere is told.
		r := mustRing(t, 2, flags)
		if r.Features&RingMultishotPoll == 0 {
			continue
		}
		if err := r.Do(PollRequest(fd, true, 9)); err != nil {
			t.Fatal(err)
		}
		answer := Answer{What: "POLL_ADD", Data: 9, Res: unix.POLLIN, More: true}
		told := mustEventfd(t)
		if err := r.RegisterEventfd(told); err != nil {
			t.Fatal(err)
		}
		calls := append([]Call{EventfdWrite(fd, one)}, r.AwaitBy([]Call{EventfdRead(told, a.Word(0))}, answer)...)
		calls = append(calls, EventfdRead(fd, got), EventfdWrite(fd, one))
		calls = append(calls, r.Await(answer)...)
		l := NewLoop(a, append(calls, EventfdRead(fd, got))...)
		l.Reset(20)
		if !l.Run() {
			t.Fatal(l.Err())
		}
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		if HasSyncMsg() {
			r := mustRing(t, 2, flags)
			l := NewLoop(a, append([]Call{SyncMsg(a, r, 9, 77)}, r.Await(Answer{What: "message", Data: 9, Res: 77})...)...)
			l.Reset(20)
			if !l.Run() {
				t.Fatal(l.Err())
			}
		}
	}
}

// A wait in a ring is interrupted, also one that began in the call that
// submitted: that returns how much it has submitted.
func TestRingInterrupted(t *testing.T) {
	a, r := mustArena(t), mustRing(t, 2, 0)
	fd, got := mustEventfd(t), a.Word(0)
	r.Prepare(ReadRequest(fd, got, 9))
	l := NewLoop(a, r.SubmitAndWait(1, Answer{What: "READ", Data: 9, Res: 8})...)
	l.Reset(1)
	runs, restore, err := Handle(45)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	l.InterruptBy(runs)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := Mask(^Sigs(45))
	if err != nil {
		t.Fatal(err)
	}
	task, err := NewThread(a, l)
	Mask(old)
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !task.Gone(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("not interrupted: %s", l.Where())
		}
		unix.Tgkill(unix.Getpid(), task.TID, 45)
	}
	if !l.Failed() || !errors.Is(l.Err(), unix.EINTR) || l.Done != 0 {
		t.Errorf("ended with %v after %d, want EINTR after 0", l.Err(), l.Done)
	}
}

// A thread and a forked child use a ring that was made for them.
func TestRingTasks(t *testing.T) {
	for name, start := range map[string]func(*Arena, *Loop) (*Task, error){"thread": NewThread, "child": NewChild} {
		t.Run(name, func(t *testing.T) {
			a, r := mustArena(t), mustRing(t, 2, RingDisabled|RingSingleIssuer|RingDeferTaskrun)
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			got := a.Word(0)
			r.Prepare(ReadRequest(fd, got, 9))
			begin := NewLoop(a, r.Enable())
			begin.Reset(1)
			l := NewLoop(a, r.SubmitAndWait(1, Answer{What: "READ", Data: 9, Res: 8})...)
			l.Sum = got
			l.Reset(100)
			begin.Then(l)
			task := mustStart(t, a, begin, start)
			if err := eventfdAdd(fd, 100); err != nil {
				t.Fatal(err)
			}
			mustEnd(t, task)
			if !l.Ended() || l.Total != 100 {
				t.Errorf("ended %v with %d read (%v, %v), want 100", l.Ended(), l.Total, begin.Err(), l.Err())
			}
			if err := r.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The kernel tells which operations it knows.
func TestRingSupports(t *testing.T) {
	r := mustRing(t, 1, 0)
	for op, want := range map[uint8]bool{RingNop: true, RingPollAdd: true, 250: false} {
		if got, err := r.Supports(op); got != want || err != nil {
			t.Errorf("operation %d: %v, %v, want %v", op, got, err, want)
		}
	}
}

// mustRing makes a ring, or skips where there is none.
func mustRing(t *testing.T, n int, flags uint32) *Ring {
	t.Helper()
	r, err := NewRing(n, flags)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) ||
		errors.Is(err, unix.EINVAL) && flags != 0 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
