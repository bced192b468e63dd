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
			fd, got := mustEventfd(t), a.Word(0)
			r.Prepare(ReadRequest(fd, got, 9))
			begin := NewLoop(a, r.Enable())
			begin.Reset(1)
			l := NewLoop(a, r.SubmitAndWait(1, Answer{What: "READ", Data: 9, Res: 8})...)
			l.Sum = got
			l.Reset(100)
			begin.Then(l)
			task := mustStart(t, a, begin, start)
			for i := range 100 {
				for n := uint64(i); n > 0; n = l.Total - min(l.Total, uint64(i)) {
					if l.Total >= uint64(i) || task.Gone() {
						break
					}
					time.Sleep(50 * time.Microsecond)
				}
				if err := eventfdAdd(fd, 1); err != nil {
					t.Fatal(err)
				}
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
