//go:build linux

package sys

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The assembly knows where the fields of account and entry are.
func TestLayout(t *testing.T) {
	offsets := map[string]uintptr{
		"LOOP_calls":    unsafe.Offsetof(account{}.calls),
		"LOOP_ncalls":   unsafe.Offsetof(account{}.ncalls),
		"LOOP_N":        unsafe.Offsetof(account{}.N),
		"LOOP_Done":     unsafe.Offsetof(account{}.Done),
		"LOOP_At":       unsafe.Offsetof(account{}.At),
		"LOOP_Result":   unsafe.Offsetof(account{}.Result),
		"LOOP_Sum":      unsafe.Offsetof(account{}.Sum),
		"LOOP_Total":    unsafe.Offsetof(account{}.Total),
		"LOOP_Refused":  unsafe.Offsetof(account{}.Refused),
		"LOOP_Until":    unsafe.Offsetof(account{}.Until),
		"LOOP_Limit":    unsafe.Offsetof(account{}.Limit),
		"LOOP_stamps":   unsafe.Offsetof(account{}.stamps),
		"LOOP_next":     unsafe.Offsetof(account{}.next),
		"LOOP_state":    unsafe.Offsetof(account{}.state),
		"LOOP_alarm":    unsafe.Offsetof(account{}.alarm),
		"LOOP_seen":     unsafe.Offsetof(account{}.seen),
		"ENTRY_args":    unsafe.Offsetof(entry{}.args),
		"ENTRY_want":    unsafe.Offsetof(entry{}.want),
		"ENTRY_flags":   unsafe.Offsetof(entry{}.flags),
		"ENTRY_refused": unsafe.Offsetof(entry{}.refused),
		"ENTRY_load":    unsafe.Offsetof(entry{}.load),
		"ENTRY_save":    unsafe.Offsetof(entry{}.save),
		"ENTRY_set":     unsafe.Offsetof(entry{}.set),
		"ENTRY_setTo":   unsafe.Offsetof(entry{}.setTo),
		"ENTRY_while":   unsafe.Offsetof(entry{}.while),
		"ENTRY_whileIs": unsafe.Offsetof(entry{}.whileIs),
		"ENTRY_size":    unsafe.Sizeof(entry{}),
	}
	define := regexp.MustCompile(`(?m)^#define (\w+)\s+(\d+)$`)
	for _, file := range []string{"loop_amd64.s", "loop_arm64.s"} {
		source, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skipf("the source stayed at home: %v", err) // in a guest
		}
		if err != nil {
			t.Fatal(err)
		}
		defined := define.FindAllSubmatch(source, -1)
		if len(defined) != len(offsets) {
			t.Errorf("%s defines %d offsets, want %d", file, len(defined), len(offsets))
		}
		for _, d := range defined {
			got, err := strconv.Atoi(string(d[2]))
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := offsets[string(d[1])]; !ok || got != int(want) {
				t.Errorf("%s: %s is %d, want %d", file, d[1], got, want)
			}
		}
	}
}

// An eventfd's write and read, run a thousand times: the values read add up.
func TestLoopAccounts(t *testing.T) {
	a := mustArena(t)
	fd := mustEventfd(t)
	one, got := a.Word(1), a.Word(0)
	l := NewLoop(a, EventfdWrite(fd, one), EventfdRead(fd, got))
	l.Sum = got
	l.Reset(1000)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	if l.Done != 1000 || l.Total != 1000 {
		t.Errorf("done %d, total %d, want 1000 of each", l.Done, l.Total)
	}
}

// A result that was not wanted ends the loop at the call that had it, and the
// loop can go on from there.
func TestLoopStopsAtOddResult(t *testing.T) {
	a := mustArena(t)
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	one, got := a.Word(1), a.Word(0)
	l := NewLoop(a, Getppid(), EventfdRead(fd, got))
	l.Sum = got
	l.Reset(2)
	if l.Run() {
		t.Fatal("the loop read an empty eventfd")
	}
	if err := l.Err(); !errors.Is(err, unix.EAGAIN) || l.At != 1 || l.Done != 0 {
		t.Errorf("ended with %v at call %d after %d, want EAGAIN at 1 after 0", err, l.At, l.Done)
	}
	if _, err := unix.Write(fd, unsafe.Slice((*byte)(unsafe.Pointer(one)), 8)); err != nil {
		t.Fatal(err)
	}
	if l.Run() {
		t.Fatal("the loop read the eventfd twice")
	}
	if l.Done != 1 || l.Total != 1 {
		t.Errorf("after one write: done %d, total %d, want 1 and 1", l.Done, l.Total)
	}
}

// Each way of saying what a call's result is to be.
func TestCallResults(t *testing.T) {
	a := mustArena(t)
	check := func(name string, c Call, want bool) {
		t.Helper()
		l := NewLoop(a, c)
		l.Reset(3)
		if got := l.Run(); got != want {
			t.Errorf("%s: ended as wanted: %v, want %v (%v)", name, got, want, l.Err())
		}
	}
	bad := Call{Name: "close(-1)", Nr: unix.SYS_CLOSE, Args: [6]uintptr{^uintptr(0)}}
	check("an errno", bad, false)
	bad.AnyCount = true
	check("an errno where any count will do", bad, false)
	bad.Refused = unix.EBADF
	check("a refusal", bad, true)
	bad.Refused = unix.EAGAIN
	check("another refusal", bad, false)
	bad.AnyCount, bad.Want = false, -int(unix.EBADF)
	check("the errno that is wanted", bad, true)
	check("any count", Getppid(), true)
	check("no such call", NoSuchCall(), true)

	l := NewLoop(a, Call{Name: "close(-1)", Nr: unix.SYS_CLOSE, Args: [6]uintptr{^uintptr(0)}, Refused: unix.EBADF})
	l.Reset(7)
	if l.Run(); l.Refused != 7 {
		t.Errorf("%d refusals counted, want 7", l.Refused)
	}
}

// Save and Load carry a descriptor from the call that makes it to the one that
// closes it.
func TestSaveAndLoad(t *testing.T) {
	a := mustArena(t)
	fd := Place(a, int32(-1))
	l := NewLoop(a, EventfdCreate(unix.EFD_CLOEXEC, fd), Close(fd))
	l.Reset(100)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	if _, err := unix.FcntlInt(uintptr(*fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor %d after its close: %v, want EBADF", *fd, err)
	}
}

// Readings of the counter are one more than iterations, and never go back,
// wherever in a loop they begin.
func TestStamps(t *testing.T) {
	a := mustArena(t)
	buf := a.Words(11)
	l := NewLoop(a, Getppid())
	l.Reset(5)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	l.N = 15
	l.StampFrom(buf)
	before := Ticks()
	if !l.Run() {
		t.Fatal(l.Err())
	}
	last := before
	for i, s := range buf {
		if s < last {
			t.Errorf("reading %d is %d, before %d", i, s, last)
		}
		last = s
	}
	if after := Ticks(); after < last {
		t.Errorf("the last reading is %d, after %d", last, after)
	}
}

// A stamp in the middle of iterations goes round its ring, and lies between
// those at the ends.
func TestStampWithin(t *testing.T) {
	a := mustArena(t)
	ends, ring := a.Words(11), a.Words(8)
	l := NewLoop(a, Getppid(), Stamp(ring), Getppid())
	l.Reset(10)
	l.StampFrom(ends)
	if !l.Run() {
		t.Fatal(l.Err())
	}
	for i := 2; i < 10; i++ { // the first two were overwritten
		if got := ring[i%8]; got <= ends[i] || got >= ends[i+1] {
			t.Errorf("stamp %d is %d, want it between %d and %d", i, got, ends[i], ends[i+1])
		}
	}
}

// A deadline that advances has less than a second of nanoseconds, always.
func TestAdvance(t *testing.T) {
	a := mustArena(t)
	at := Place(a, unix.Timespec{Sec: 5, Nsec: 999_999_000})
	l := NewLoop(a, Advance(at, 700))
	check := func(n int, want unix.Timespec) {
		t.Helper()
		l.Reset(n)
		if !l.Run() {
			t.Fatal(l.Err())
		}
		if *at != want {
			t.Errorf("after %d more steps: %v, want %v", n, *at, want)
		}
	}
	check(1, unix.Timespec{Sec: 5, Nsec: 999_999_700})
	check(1, unix.Timespec{Sec: 6, Nsec: 400})
	l.SetCalls(a, Advance(at, 999_999_999))
	check(3, unix.Timespec{Sec: 9, Nsec: 397})
	l.SetCalls(a, Advance(at, 999_999_603))
	check(1, unix.Timespec{Sec: 10})
}

// A spin ends when the word changes, and after so long in any case.
func TestSpinWhile(t *testing.T) {
	a := mustArena(t)
	word := a.Word32(7)
	for _, ticks := range []uint32{0, 1, 100_000} {
		l := NewLoop(a, SpinWhile(word, 7, ticks), Getppid())
		l.Reset(1)
		start := Ticks()
		if !l.Run() || l.Done != 1 {
			t.Errorf("a word that stays, for %d ticks: %v", ticks, l.Err())
		}
		if took := Ticks() - start; took < uint64(ticks) {
			t.Errorf("a word that stays: the spin ended after %d ticks of %d", took, ticks)
		}
	}
	l := NewLoop(a, SpinWhile(word, 7, math.MaxUint32), Store(a, word, 9))
	l.Reset(1)
	task := mustStart(t, a, l, NewThread)
	time.Sleep(time.Millisecond)
	if l.Ended() {
		t.Error("the spin ended while the word was what it was to be")
	}
	atomic.StoreUint32(word, 8)
	mustEnd(t, task)
	if got := atomic.LoadUint32(word); !l.Ended() || got != 9 {
		t.Errorf("the word is %d, want 9: %v", got, l.Err())
	}
}

// An event loop as a table: each event of a wait is handled by the handler that
// it names, in the events' order, and noted with its time; what a handler may
// have left is looked for again.
func TestDispatch(t *testing.T) {
	a := mustArena(t)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	event, quiet := mustEventfd(t), mustEventfd(t)
	unix.SetNonblock(quiet, true)

	const bufSize = 16
	var value, size, nothing *uint64 = a.Word(0), a.Word(0), a.Word(0)
	events, notes := NewLog(a, 4), NewLog(a, 4)
	piped := Read("pipe", ends[0], &a.Bytes(bufSize)[0], bufSize)
	piped.AnyCount, piped.Refused, piped.Save = true, unix.EAGAIN, (*int32)(unsafe.Pointer(size))
	failing := EventfdRead(quiet, nothing)
	failing.Refused = unix.EAGAIN
	n, list := (*int32)(unsafe.Pointer(a.Word32(0))), EpollEvents(a, 8)
	calls, names := Dispatch(list, n,
		[]Call{EventfdRead(event, value), Note(events, value, 0, 0)},
		[]Call{piped, Note(notes, size, bufSize, 1), failing, Note(events, nothing, 0, 0)})
	l := NewLoop(a, append([]Call{EpollWaitSome(epfd, list, 0, n)}, append(calls, Getppid())...)...)
	for i, fd := range []int{event, ends[0]} {
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(names[i]), Pad: int32(names[i] >> 32)}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			t.Fatal(err)
		}
	}

	check := func(what string, refused uint64, wantEvents, wantNotes []uint64) {
		t.Helper()
		l.Reset(1)
		before := Ticks()
		if !l.Run() {
			t.Fatalf("%s: %v", what, l.Err())
		}
		for log, want := range map[*Log][]uint64{events: wantEvents, notes: wantNotes} {
			var got []uint64
			if !log.Read(func(ticks, value uint64) {
				if ticks < before || ticks > Ticks() {
					t.Errorf("%s: noted at %d, want it after %d and before now", what, ticks, before)
				}
				got = append(got, value)
			}) {
				t.Errorf("%s: notes were lost", what)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: noted %d, want %d", what, got, want)
			}
		}
		if l.Refused != refused {
			t.Errorf("%s: %d refused, want %d", what, l.Refused, refused)
		}
	}
	write := func(fd, n int) {
		t.Helper()
		if _, err := unix.Write(fd, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	check("nothing", 0, nil, nil)
	if err := eventfdAdd(event, 7); err != nil {
		t.Fatal(err)
	}
	check("one event", 0, []uint64{7}, nil)
	write(ends[1], bufSize-1)
	check("less than a buffer", 1, nil, []uint64{bufSize - 1})
	write(ends[1], 2*bufSize)
	check("two buffers", 2, nil, []uint64{bufSize, bufSize})
	write(ends[1], 2*bufSize+1)
	if err := eventfdAdd(event, 8); err != nil {
		t.Fatal(err)
	}
	check("both", 1, []uint64{8}, []uint64{bufSize, bufSize, 1})

	l.SetCalls(a, Note(events, value, 0, 0))
	for range 5 {
		*value = 1
		l.Reset(1)
		l.Run()
	}
	if events.Read(func(uint64, uint64) {}) {
		t.Error("5 notes in a log of 4 are said to be all there")
	}
	if *events.Count() != 7 || *events.Total() != 7+8+5 {
		t.Errorf("%d notes of %d altogether, want 7 of 20", *events.Count(), *events.Total())
	}
}

func eventfdAdd(fd int, n uint64) error {
	_, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, n))
	return err
}

// Until ends a loop after the iteration that fulfils it.
func TestUntil(t *testing.T) {
	a := mustArena(t)
	l := NewLoop(a, Getppid())
	l.Sum = a.Word(3)
	l.Reset(1000)
	l.Until, l.Limit = &l.Total, 10
	if !l.Run() {
		t.Fatal(l.Err())
	}
	if l.Done != 4 || l.Total != 12 {
		t.Errorf("done %d, total %d, want 4 and 12", l.Done, l.Total)
	}
}

// A bare thread and a child run their loop and the next, and leave their
// accounts.
func TestTasks(t *testing.T) {
	check := func(name string, start func(*Arena, *Loop) (*Task, error)) {
		t.Run(name, func(t *testing.T) {
			a := mustArena(t)
			fd := mustEventfd(t)
			one := a.Word(1)
			l := NewLoop(a, EventfdWrite(fd, one))
			l.Reset(30)
			next := NewLoop(a, EventfdWrite(fd, one))
			next.Reset(12)
			l.Then(next)
			task := mustStart(t, a, l, start)
			mustEnd(t, task)
			if !l.Ended() || !next.Ended() || l.Done != 30 || next.Done != 12 {
				t.Errorf("loops ended: %v, %v after %d and %d, want both after 30 and 12", l.Ended(), next.Ended(), l.Done, next.Done)
			}
			var sum [8]byte
			if _, err := unix.Read(fd, sum[:]); err != nil || sum[0] != 42 {
				t.Errorf("the eventfd holds %d (%v), want 42", sum[0], err)
			}
		})
	}
	check("thread", NewThread)
	check("child", NewChild)
	check("sharer", NewSharer)
}

// A task whose call fails says so in its account and runs no further loop.
func TestTaskFails(t *testing.T) {
	a := mustArena(t)
	l := NewLoop(a, Close(Place(a, int32(-1))))
	l.Reset(1)
	next := NewLoop(a, Getppid())
	next.Reset(1)
	l.Then(next)
	task := mustStart(t, a, l, NewChild)
	mustEnd(t, task)
	if !l.Failed() || !errors.Is(l.Err(), unix.EBADF) || next.Ended() {
		t.Errorf("failed %v with %v, next ended %v, want EBADF and nothing after it", l.Failed(), l.Err(), next.Ended())
	}
}

// The handler counts each run of its signal, in this process and in children.
func TestHandlerCounts(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const sig = unix.Signal(45)
	runs, restore, err := Handle(sig)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	for range 3 {
		if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	if *runs != 3 {
		t.Errorf("the handler ran %d times, want 3", *runs)
	}
	a := mustArena(t)
	gettid := Call{Name: "gettid()", Nr: unix.SYS_GETTID, AnyCount: true, Save: Place(a, int32(0))}
	kill := Call{Name: "tkill()", Nr: unix.SYS_TKILL, Load: gettid.Save, Args: [6]uintptr{0, uintptr(sig)}}
	l := NewLoop(a, gettid, kill)
	l.Reset(4)
	old, err := Mask(^Sigs(sig))
	if err != nil {
		t.Fatal(err)
	}
	task, err := NewChild(a, l)
	Mask(old)
	if err != nil {
		t.Fatal(err)
	}
	mustEnd(t, task)
	if *runs != 7 {
		t.Errorf("after the child's four signals the handler ran %d times, want 7 (%v)", *runs, l.Err())
	}
}

// Interrupted, a loop comes back with EINTR even if EINTR is what its call
// wants.
func TestInterruptBy(t *testing.T) {
	a := mustArena(t)
	l := NewLoop(a, Sigsuspend(Place(a, ^Sigs(45))))
	l.Reset(1 << 30)
	count, restore, err := Handle(45)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	l.InterruptBy(count)
	task := mustStart(t, a, l, NewThread)
	for start := time.Now(); !task.Gone(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("not interrupted: %s", l.Where())
		}
		unix.Tgkill(unix.Getpid(), task.TID, 45)
	}
	if !l.Failed() || !errors.Is(l.Err(), unix.EINTR) {
		t.Errorf("ended with %v, want EINTR", l.Err())
	}
}

// A process that is stopped and goes on makes the call again that returns EINTR
// for it.
func TestStopsAreNoInterrupts(t *testing.T) {
	a := mustArena(t)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(epfd) })
	fd := mustEventfd(t)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		t.Fatal(err)
	}
	l := NewLoop(a, EpollWait(epfd, EpollEvents(a, 1), -1, 1))
	l.Reset(1)
	l.InterruptBy(a.Word(0))
	task := mustStart(t, a, l, NewChild)
	defer task.Stop(45)
	for range 20 {
		for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGCONT} {
			if err := unix.Kill(task.TID, sig); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	if _, err := unix.Write(fd, []byte{1, 7: 0}); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !task.Gone(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("it waits on: %s", l.Where())
		}
	}
	if !l.Ended() {
		t.Errorf("ended with %v", l.Err())
	}
}

// An event that comes together with the interruption is not lost: the wait is
// over, and the interruption is for after the iteration. Here they are one
// signal, so that they always come together.
func TestInterruptWithEvent(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const sig = unix.Signal(45)
	runs, restore, err := Handle(sig)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	old, err := Mask(^Sigset(0))
	if err != nil {
		t.Fatal(err)
	}
	defer Mask(old)
	a := mustArena(t)
	l := NewLoop(a, SigsuspendUntilRun(Place(a, ^Sigs(sig)), runs))
	l.Reset(2)
	l.InterruptBy(runs)
	if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
		t.Fatal(err)
	}
	if l.Run() || !errors.Is(l.Err(), unix.EINTR) || l.Done != 1 {
		t.Errorf("got %v, want EINTR after 1 of 2", l.Err())
	}
}

func mustArena(t *testing.T) *Arena {
	t.Helper()
	a, err := NewArena(256 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func mustEventfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// mustStart starts a task that inherits a full signal mask.
func mustStart(t *testing.T, a *Arena, l *Loop, start func(*Arena, *Loop) (*Task, error)) *Task {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := Mask(^Sigset(0))
	if err != nil {
		t.Fatal(err)
	}
	defer Mask(old)
	task, err := start(a, l)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func mustEnd(t *testing.T, task *Task) {
	t.Helper()
	for start := time.Now(); !task.Gone(); time.Sleep(100 * time.Microsecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("%v did not end", task)
		}
	}
}
