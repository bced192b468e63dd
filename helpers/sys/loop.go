//go:build linux

// Package sys holds the system calls under test, as thin as they can be: a
// file a mechanism (eventfd.go, signal.go, …), each a set of functions that
// describe one system call as a [Call], and one executor that runs a table of
// such calls in a [Loop].
//
// The executor is a page of assembly (loop_amd64.s, loop_arm64.s). It exists
// because the alternatives cost more than what is measured or are unsafe:
// syscall.Syscall adds 30 to 35 ns of Go scheduler to every call, and a
// blocking syscall.RawSyscall on another goroutine stops the garbage collector,
// and with it package testing. The executor needs no Go runtime at all, so that
// the same table runs on the calling thread, on a bare thread and in a forked
// child. It compares every result with what was expected, so a wrong or short
// answer ends the loop instead of being timed.
package sys

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Call is one system call of a [Loop] and what must come back from it. All
// pointers must point into memory the garbage collector does not manage (an
// [Arena]): the executor's threads and children are unknown to it.
type Call struct {
	// Name is the call as an error message shows it: "read(eventfd)".
	Name string
	// Nr is the system call's number, Args its arguments.
	Nr   uintptr
	Args [6]uintptr

	// Want is the result that counts as success: a byte count, a signal
	// number, zero, or a negative errno. With AnyCount, every result that
	// is not an errno is a success.
	Want     int
	AnyCount bool
	// Refused, unless zero, is an errno that is counted (Loop.Refused) and
	// passed over: EAGAIN of a full signal queue.
	Refused unix.Errno

	// Load, if set, is read anew each time and takes the place of Args[0];
	// Save, if set, receives the result. Together they close what was made.
	Load *int32
	Save *int32

	// Set, if set, receives SetTo (with full ordering) before the call is
	// made.
	Set   *uint32
	SetTo uint32
	// own says that the executor does this itself instead of making a call.
	own own
	// While, if set, makes the call a wait: it is made only while *While
	// equals WhileIs, and again until that no longer holds. Zero, EAGAIN
	// and only these are then expected results. This is how futex(2) is to
	// be used.
	While   *uint32
	WhileIs uint32
}

// noResult is the Want of a call that has AnyCount and always takes the same
// path through the executor, whatever comes back: no call returns it. An errno
// will not do: -1 is EPERM, which would then be a success.
const noResult = math.MinInt

// own is what the executor does by itself, between system calls.
type own uintptr

const (
	ownStamp   own = 2 // Ticks into the ring of SetTo+1 words at Set, at Done
	ownAdvance own = 4 // SetTo nanoseconds onto the timespec at Set
	ownEach    own = 8 // the handlers of the events, from Args[0] on, whose number is at Set
	ownNext    own = 16
	ownNote    own = 32 // Ticks and the word at Args[0] into the log of SetTo+1 notes at Set
	ownSpin    own = 64 // while the word at Set is Args[0], for SetTo Ticks at most
	// With the bit of ownSpin, so that the others' ways are not longer for
	// them:
	ownQueue own = 64 | 128 // SetTo onto the word at Set
	ownTake  own = 64 | 256 // a completion of the io_uring whose head is at Set; on by Args[5] calls if there is none
)

// Bits of the result of ownTake, which no result of a completion has.
const (
	tookOther = 1 << 62 // the rest is the data of the completion, which is not that of Args[3]
	tookFlags = 1 << 61 // the rest is what it has of IORING_CQE_F_MORE, not that of Args[4]
)

// Stamp reads [Ticks] into ring, whose length must be a power of two, at the
// number of the iteration: an instant within an iteration, as StampFrom keeps
// those between them.
func Stamp(ring []uint64) Call {
	if n := len(ring); n == 0 || n&(n-1) != 0 {
		panic(fmt.Sprintf("a ring of %d stamps: want a power of two", n))
	}
	return Call{Name: "reading the time-stamp counter", own: ownStamp,
		Set: (*uint32)(unsafe.Pointer(&ring[0])), SetTo: uint32(len(ring) - 1)}
}

// Advance adds d, less than a second, to *at: the next deadline of a schedule.
func Advance(at *unix.Timespec, d time.Duration) Call {
	if d < 0 || d >= time.Second {
		panic(fmt.Sprintf("a step of %v: want less than a second", d))
	}
	return Call{Name: "advancing a deadline", own: ownAdvance, Set: (*uint32)(unsafe.Pointer(at)), SetTo: uint32(d)}
}

// SpinWhile waits while *word is v by looking at it again and again, once at
// least and for so many [Ticks] at most, and then goes on in any case: what a
// party does before it goes to sleep in earnest. The bound is a time, not a
// number of looks: with the pause between them one takes 2 ns on some
// processors and 50 on others.
func SpinWhile(word *uint32, v, ticks uint32) Call {
	return Call{Name: "spinning", own: ownSpin, Set: word, SetTo: ticks, Args: [6]uintptr{uintptr(v)}}
}

// Dispatch returns the calls by which a loop handles what an epoll_wait(2) has
// told it: for each of the *n events that are now in events, in their order,
// the handler that the event's data names. names are the data to register
// descriptors with, one for each handler.
func Dispatch(events []unix.EpollEvent, n *int32, handlers ...[]Call) (calls []Call, names []uint64) {
	// A handler is named by how far it is from the call that picks it. That
	// call keeps where it is among the events in its own arguments.
	each := Call{Name: "handling events", own: ownEach, Set: (*uint32)(unsafe.Pointer(n)),
		Args: [6]uintptr{ptr(&events[0])}}
	calls = []Call{each}
	for _, h := range handlers {
		names = append(names, uint64(len(calls)))
		calls = append(calls, h...)
		calls = append(calls, Call{Name: "ending a handler", own: ownNext, Set: each.Set, Args: [6]uintptr{uintptr(len(calls))}})
	}
	calls[0].Args[3] = uintptr(len(calls))
	return calls, names
}

// A Log is what the executor notes of what was taken: when, and how much.
type Log struct {
	words []uint64 // how many notes there were, the sum of their values, then Ticks and value of each
	read  uint64
}

// NewLog returns a log with room for n notes, a power of two, that have not
// been read.
func NewLog(a *Arena, n int) *Log {
	if n&(n-1) != 0 {
		panic(fmt.Sprintf("a log of %d notes: want a power of two", n))
	}
	return &Log{words: a.Words(2 + 2*n)}
}

// Count points at the number of notes made, Total at the sum of their values.
// Both hold for all notes, also for those that were lost before they were read.
func (l *Log) Count() *uint64 { return &l.words[0] }
func (l *Log) Total() *uint64 { return &l.words[1] }

// Read calls f with each note since the last Read. It returns false if some
// were lost, because there were more than the log has room for.
func (l *Log) Read(f func(ticks, value uint64)) bool {
	size := uint64(len(l.words)-2) / 2
	last := atomic.LoadUint64(l.Count())
	lost := last-l.read > size
	for ; l.read < last && !lost; l.read++ {
		note := l.words[2+2*(l.read%size):]
		f(note[0], note[1])
	}
	l.read = last
	return !lost
}

// Note reads [Ticks] and empties *value into the log, unless *value is 0: the
// call that should have put something there found nothing. If it found as much
// as full, it may have left something: then the loop goes back that many calls,
// 1 for the one before this. full of 0 never is.
func Note(l *Log, value *uint64, full uint64, back int) Call {
	return Call{Name: "noting what was taken", own: ownNote,
		Set: (*uint32)(unsafe.Pointer(&l.words[0])), SetTo: uint32(len(l.words)/2 - 2),
		Args: [6]uintptr{ptr(value), uintptr(full), uintptr(back)}}
}

// A Loop is a table of calls, how often to run it, and the account of what
// came of it.
type Loop struct {
	*account
	table []Call // what the account's entries were made from, for messages
}

// account is a Loop as the executor reads and writes it. Its memory belongs
// to an [Arena], shared with the thread or the child that runs the loop; the
// assembly knows the offsets.
type account struct {
	calls  *entry
	ncalls uintptr
	// N is how many iterations to run; Done counts those completed.
	N, Done uintptr
	// At is the index of the call that runs next, or that came back with
	// Result, which was not what it wanted.
	At     uintptr
	Result int
	// After each iteration *Sum is added to Total: with the buffer that was
	// read into, the account of values received.
	Sum   *uint64
	Total uint64
	// Refused counts the results that matched a call's Refused errno.
	Refused uint64
	// Until, if set, ends the loop after an iteration that finds *Until >=
	// Limit. It may point at Total.
	Until *uint64
	Limit uint64
	// stamps, unless 0, is where the reading before iteration 0 would go;
	// see StampFrom.
	stamps uintptr
	// next runs when this loop has ended as wanted, on threads and in
	// children.
	next *account
	// state is loopRunning from [Loop.Reset] on and set by the executor
	// to loopEnded or loopFailed on threads and in children.
	state uint32
	_     uint32
	// alarm is a handler's count. When it is no longer seen, the loop comes
	// back with EINTR from the wait or after the iteration it is in, as
	// a call does whose success is EINTR.
	alarm *uint64
	seen  uint64
}

// entry is a Call as the executor reads it. The assembly knows the offsets.
type entry struct {
	nr      uintptr    // 0
	args    [6]uintptr // 8
	want    int        // 56
	flags   uintptr    // 64: 1 any count; own's values
	refused int        // 72: negative errno, or 0
	load    *int32     // 80
	save    *int32     // 88
	set     *uint32    // 96
	setTo   uintptr    // 104
	while   *uint32    // 112
	whileIs uintptr    // 120
} // 128

// states of a Loop that runs on a thread or in a child
const (
	loopRunning = iota
	loopEnded
	loopFailed
)

// NewLoop lays the calls out in a.
func NewLoop(a *Arena, calls ...Call) *Loop {
	l := &Loop{account: alloc[account](a, 1)}
	l.SetCalls(a, calls...)
	return l
}

// SetCalls gives l another table. l must not be running.
func (l *Loop) SetCalls(a *Arena, calls ...Call) {
	entries := sliceOf[entry](a, len(calls))
	for i, c := range calls {
		e := entry{
			nr: c.Nr, args: c.Args, want: c.Want, refused: -int(c.Refused),
			load: c.Load, save: c.Save,
			set: c.Set, setTo: uintptr(c.SetTo), while: c.While, whileIs: uintptr(c.WhileIs),
		}
		e.flags = uintptr(c.own)
		if c.AnyCount {
			if c.Want < 0 && c.Want > -4096 {
				panic(fmt.Sprintf("%s with any result and %v as a success", c.Name, unix.Errno(-c.Want)))
			}
			e.flags |= 1
		}
		entries[i] = e
	}
	l.calls = unsafe.SliceData(entries)
	l.ncalls = uintptr(len(calls))
	l.table = calls
}

// Reset prepares l for n iterations and empties its account.
func (l *Loop) Reset(n int) {
	l.N, l.Done, l.At, l.Result = uintptr(n), 0, 0, 0
	l.Total, l.Refused = 0, 0
	atomic.StoreUint32(&l.state, loopRunning)
}

// InterruptBy has a run of the handler whose count is runs end the loop with
// EINTR, also where EINTR is the result that a call wants ([Sigsuspend]). EINTR
// without one has a call made again: some return it when the process was
// stopped and goes on, though no handler ran ("Interruption of system calls and
// library functions by stop signals" in signal(7): epoll_wait(2) is one).
func (l *Loop) InterruptBy(runs *uint64) { l.alarm, l.seen = runs, *runs }

// Run runs l on the calling thread until it has done N iterations or Until
// holds (true), or a call came back with something else than it wanted
// (false: At and Result say which and what). A loop that was interrupted
// goes on where it was when Run is called again. Run does not yield to the Go
// scheduler: run long loops in pieces.
func (l *Loop) Run() bool {
	if l.alarm != nil {
		l.seen = atomic.LoadUint64(l.alarm)
	}
	return run(l.account) == 0
}

// Ended reports whether a loop on a thread or in a child has ended as wanted.
func (l *Loop) Ended() bool { return atomic.LoadUint32(&l.state) == loopEnded }

// Failed reports whether a loop on a thread or in a child has ended on a result
// it did not want.
func (l *Loop) Failed() bool { return atomic.LoadUint32(&l.state) == loopFailed }

// StampFrom has the executor read [Ticks] before the next iteration, into
// buf[0], and after it and each one that follows, into buf[1] and so on, so
// that neighbours' differences tile the time: no wait falls between two
// samples. buf belongs to an Arena; nil ends it.
func (l *Loop) StampFrom(buf []uint64) {
	l.stamps = 0
	if buf != nil {
		l.stamps = ptr(&buf[0]) - 8*l.Done
	}
}

// Then runs next after l, on the same thread or in the same child.
func (l *Loop) Then(next *Loop) { l.next = next.account }

// Err says which call came back with what, and how far the loop had come.
func (l *Loop) Err() error {
	c := l.table[min(int(l.At), len(l.table)-1)]
	return &CallError{Call: c, Result: l.Result, Done: int(l.Done), N: int(l.N)}
}

// Where says in which call the loop is or was, as messages show it.
func (l *Loop) Where() string {
	return fmt.Sprintf("%s, %d of %d done", l.table[min(int(l.At), len(l.table)-1)].Name, l.Done, l.N)
}

// A CallError is a system call's result that was not the one wanted.
type CallError struct {
	Call    Call
	Result  int // as the kernel returned it: negative for an errno
	Done, N int // iterations before it, and planned
}

// Errno returns the result as an error number, or 0 if it was none.
func (e *CallError) Errno() unix.Errno {
	if e.Result < 0 && e.Result >= -4095 {
		return unix.Errno(-e.Result)
	}
	return 0
}

func (e *CallError) Error() string {
	switch c := e.Call; {
	case c.own == ownTake && e.Result > 0 && e.Result&tookOther != 0:
		return fmt.Sprintf("%s: got that of request %d, want %d, after %d of %d", c.Name, e.Result&^tookOther, c.Args[3], e.Done, e.N)
	case c.own == ownTake && e.Result > 0 && e.Result&tookFlags != 0:
		return fmt.Sprintf("%s: IORING_CQE_F_MORE is %d, want %d, after %d of %d", c.Name, e.Result&^tookFlags, c.Args[4], e.Done, e.N)
	}
	if no := e.Errno(); no != 0 {
		return fmt.Sprintf("%s: %v (%s) after %d of %d", e.Call.Name, no, unix.ErrnoName(no), e.Done, e.N)
	}
	return fmt.Sprintf("%s: returned %d, want %d, after %d of %d", e.Call.Name, e.Result, e.Call.Want, e.Done, e.N)
}

// Unwrap lets errors.Is compare with an errno.
func (e *CallError) Unwrap() error {
	if no := e.Errno(); no != 0 {
		return no
	}
	return nil
}

// Ticks reads the processor's time-stamp counter: RDTSC on amd64, CNTVCT_EL0
// on arm64. In a guest with counted instructions it is the number of
// instructions executed.
func Ticks() uint64 { return ticks() }

//go:noescape
func run(l *account) uintptr

func ticks() uint64
