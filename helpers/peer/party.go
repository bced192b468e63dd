//go:build linux

// Package peer holds the parties of a measurement: the thread that measures (a
// [Party]) and the other side (a [Pair] has one, a [Crew] many: bare threads or
// forked children that run their own tables of system calls and nothing else).
//
// Nothing here waits without a deadline. A kernel timer interrupts the
// measuring thread at intervals, whatever the Go scheduler does; when two of
// them a deadline apart find the same system call in progress, the run fails
// and says which side waited for what. A timer in the kernel, not a goroutine:
// the measuring thread holds its P while it waits, which may be the only one.
package peer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The two signals that measured threads leave unblocked. Their handlers only
// count: what matters is the EINTR. Neither the Go runtime nor a C library uses
// them. Neither can be lost where the queue of signals is full
// (RLIMIT_SIGPENDING): a timer has a place in it from timer_create(2) on, and a
// standard signal needs none.
const (
	interrupt = unix.Signal(64) // from the timer to the measuring thread
	stop      = unix.SIGPWR     // from the measuring thread to a peer thread
)

// Deadline is how long one system call may wait for the other side before
// the run fails, as [sys.Wait] counts. Tests of stuck peers shorten it.
var Deadline = 10 * time.Second

// pace is how often the timer interrupts: how soon a dead peer is noticed.
const pace = 200 * time.Millisecond

// chunk is how many iterations run before the thread returns to Go, so that a
// garbage collection elsewhere need not wait for more.
const chunk = 512

// errLimit marks an error that is a limit's doing and names the limit.
var errLimit = errors.New("limit reached")

// AnyCPU leaves a party where the scheduler puts it.
const AnyCPU = -1

// A Party is the calling thread made ready to measure: locked to its
// goroutine, pinned, deaf to every signal but the deadline's.
type Party struct {
	TB    testing.TB // the test or benchmark that measures, and cleans up
	Arena *sys.Arena
	TID   int

	stamps     []uint64
	cut        []uintptr // the iterations of the piece that stamps are of in which an interrupt was noticed
	interrupts *uint64   // runs of interrupt's handler
	// progress, unless nil, is how far others have come: while it changes,
	// a wait for them is not given up.
	progress func() uintptr
	hired    []*sys.Task // the peers
}

// NewParty makes the calling goroutine's thread a party on the given CPU
// (AnyCPU: unpinned) until the test or benchmark ends.
func NewParty(tb testing.TB, cpu int) *Party {
	tb.Helper()
	runtime.LockOSThread()
	p := &Party{TB: tb, TID: unix.Gettid()}
	var undo []func() error
	tb.Cleanup(func() {
		for i := len(undo) - 1; i >= 0; i-- {
			if err := undo[i](); err != nil {
				tb.Errorf("after the measurement: %v", err)
			}
		}
		runtime.UnlockOSThread()
	})
	do := func(u func() error, err error) {
		tb.Helper()
		SkipOrFatal(tb, err)
		undo = append(undo, u)
	}

	arena, err := sys.NewArena(arenaSize)
	SkipOrFatal(tb, err)
	p.Arena = arena
	p.stamps = arena.Words(chunk + 1)
	do(arena.Close, nil)
	do(pin(p.TID, cpu))
	do(mask(AllBut()))
	interrupts, restore, err := sys.Handle(interrupt)
	do(restore, err)
	p.interrupts = interrupts
	do(startTimer(p.TID))
	return p
}

// arenaSize is room for two stacks, the tables and the stamps of a chunk.
const arenaSize = 512 << 10

// pin binds one thread of this process, or a child, to a CPU.
func pin(tid, cpu int) (undo func() error, err error) {
	if cpu == AnyCPU {
		return func() error { return nil }, nil
	}
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &old); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return nil, fmt.Errorf("sched_setaffinity to CPU %d: %w", cpu, err)
	}
	return func() error { return unix.SchedSetaffinity(tid, &old) }, nil
}

func mask(set sys.Sigset) (undo func() error, err error) {
	old, err := sys.Mask(set)
	return func() error {
		_, err := sys.Mask(old)
		return err
	}, err
}

// Interrupts returns how often the deadline's timer has interrupted this
// thread. A wait for a length of time begins again when it is.
func (p *Party) Interrupts() uint64 { return atomic.LoadUint64(p.interrupts) }

// AllBut returns a mask for a measured thread: it blocks every signal but
// sigs and those by which the thread can be interrupted.
func AllBut(sigs ...unix.Signal) sys.Sigset {
	return ^sys.Sigs(append(sigs, interrupt, stop)...)
}

// Unblock lets sigs through to this thread for the rest of the measurement.
func (p *Party) Unblock(sigs ...unix.Signal) {
	p.TB.Helper()
	if _, err := sys.Mask(AllBut(sigs...)); err != nil {
		p.TB.Fatal(err)
	}
}

// deletable tells whether timers can be deleted.
var deletable = sync.OnceValue(func() error {
	const none = -1 // which timer_create(2) never returns
	if err := sys.DeleteTimer(none); err != unix.EINVAL {
		return fmt.Errorf("timer_delete: %w", err)
	}
	return nil
})

// startTimer has the kernel send interrupt to this thread every pace.
func startTimer(tid int) (stop func() error, err error) {
	if err := deletable(); err != nil {
		return nil, err
	}
	id, err := sys.NewTimer(unix.CLOCK_MONOTONIC, interrupt, tid)
	if errors.Is(err, unix.EAGAIN) {
		return nil, fmt.Errorf("timer_create: %w: %w: raise RLIMIT_SIGPENDING (ulimit -i)", err, errLimit)
	}
	if err != nil {
		return nil, fmt.Errorf("timer_create: %w", err)
	}
	every := unix.NsecToTimespec(int64(pace))
	if err := sys.SetTimer(id, 0, unix.ItimerSpec{Interval: every, Value: every}); err != nil {
		return nil, fmt.Errorf("timer_settime: %w", err)
	}
	return func() error {
		if err := sys.DeleteTimer(id); err != nil {
			return fmt.Errorf("timer_delete: %w", err)
		}
		return nil
	}, nil
}

// Run runs l on this thread for n iterations, in addition to those it has done,
// or until l's Until holds. record, unless nil, is called with the stamps of
// each piece: one before its first iteration and one after each. check, unless
// nil, is called when a wait is interrupted; its error ends the run.
func (p *Party) Run(l *sys.Loop, n int, record func(stamps []uint64), check func() error) error {
	l.InterruptBy(p.interrupts)
	total := l.Done + uintptr(n)
	for l.Done < total {
		first := l.Done
		l.N = min(first+chunk, total)
		p.cut = p.cut[:0]
		if record != nil {
			l.StampFrom(p.stamps)
		}
		if err := p.piece(l, check); err != nil {
			return err
		}
		if record != nil {
			for i := range p.cut {
				p.cut[i] -= first
			}
			record(p.stamps[:l.Done-first+1])
		}
		if l.Until != nil && *l.Until >= l.Limit {
			break
		}
	}
	l.StampFrom(nil)
	return nil
}

// Uninterrupted returns a function for Run to call with stamps that hands them
// on to record but for the iterations that the deadline's timer interrupted, so
// that record may be called more than once: a wait for a length of time begins
// anew then.
func (p *Party) Uninterrupted(record func(stamps []uint64)) func(stamps []uint64) {
	return func(stamps []uint64) {
		from := uintptr(0)
		for _, i := range p.cut { // between stamps i and i+1
			record(stamps[from : i+1])
			from = i + 1
		}
		record(stamps[from:])
	}
}

// Wait begins a wait for the peers, of [Deadline].
func (p *Party) Wait() *sys.Wait { return sys.NewWait(Deadline, p.hired...) }

// piece runs l up to its N through any number of interrupted waits.
func (p *Party) piece(l *sys.Loop, check func() error) error {
	var wait *sys.Wait
	var done, others uintptr
	for !l.Run() {
		err := l.Err()
		if !errors.Is(err, unix.EINTR) {
			return err
		}
		if n := len(p.cut); n == 0 || p.cut[n-1] != l.Done {
			p.cut = append(p.cut, l.Done)
		}
		if check != nil {
			if err := check(); err != nil {
				return fmt.Errorf("%w; this side waited in %s", err, l.Where())
			}
		}
		if wait == nil {
			wait = p.Wait()
		}
		if p.progress != nil {
			if n := p.progress(); n != others {
				others = n
				wait.Again()
			}
		}
		// One iteration more since the last interrupt may be the
		// interrupt's own doing.
		if l.Done > done+1 {
			wait.Again()
		}
		done = l.Done
		if wait.Over() {
			return fmt.Errorf("nothing came for %v: this side waited in %s", wait, l.Where())
		}
	}
	return nil
}

// SkipOrFatal ends the test or benchmark for err, if there is one: as skipped
// where the call does not exist, is refused by a security policy or meets a
// limit, naming the call and the errno; as failed otherwise.
//
// A benchmark that has run once fails in any case: package testing prints a
// result for one that skips in a later trial, and that result is NaN.
func SkipOrFatal(tb testing.TB, err error) {
	tb.Helper()
	if err == nil {
		return
	}
	skip := tb.Skipf
	if b, ok := tb.(*testing.B); ok && b.N > 1 {
		skip = tb.Fatalf
	}
	var call *sys.CallError
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, os.ErrPermission):
		skip("not available here: %v", err)
	case errors.Is(err, unix.EMFILE):
		skip("limit reached: %v: raise RLIMIT_NOFILE (ulimit -n)", err)
	case errors.Is(err, unix.ENFILE):
		skip("limit reached: %v: raise /proc/sys/fs/file-max", err)
	case errors.Is(err, unix.ENOSPC): // of epoll_ctl(2), the only call here that knows it
		skip("limit reached: %v: raise /proc/sys/fs/epoll/max_user_watches", err)
	case errors.Is(err, unix.ENOMEM):
		skip("limit reached: %v: memory, as RLIMIT_AS (ulimit -v), a control group or a guest's -memory grant it", err)
	case errors.Is(err, errLimit):
		skip("%v", err)
	case errors.As(err, &call) && errors.Is(err, unix.EAGAIN) && call.Call.Nr == unix.SYS_RT_TGSIGQUEUEINFO:
		skip("limit reached: %v: raise RLIMIT_SIGPENDING (ulimit -i)", err)
	default:
		tb.Fatal(err)
	}
}
