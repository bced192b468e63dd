//go:build linux

package measure

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/latency"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Way is how one event goes from a peer to this thread.
type Way struct {
	Post    []sys.Call
	Receive Side // waits for one event and takes it
	// Refusable says that the kernel refuses an event for which it has no
	// room, with EAGAIN. On a schedule the sender then posts it again until
	// it is accepted, as a write to a full pipe waits: no event is lost,
	// only late.
	Refusable bool
}

// The turn of a OneWay: whose it is to act.
const (
	TurnReceiver = 0 // the receiver is about to wait, or waits
	TurnSender   = 1 // an event was posted and is not received yet
)

// gap is how long the sender lets the receiver fall asleep, besides the
// sender's own timer slack.
const gap = 50 * time.Microsecond

// pace is the period of a schedule: shorter ones come near to what a sleeping
// sender can keep.
const pace = 100 * time.Microsecond

// OneWay benchmarks an event's way from a peer to this thread: from just before
// the post until the receiver has the event in hand. setup is as for RoundTrip;
// turn is for ways that are nothing but a word in memory.
//
// With pace=asleep the receiver says that it is about to wait, the peer sleeps
// for as long as the receiver needs to fall asleep, takes a stamp and posts.
// asleep/op says how often it was asleep, where the kernel counts it: it then
// gave up its CPU of its own accord once for each event.
//
// With pace=100us, only if queues, the peer posts on a schedule, whatever the
// receiver does, and the latency is counted from the time at which the event
// was due. A stall of either side thus delays all events due in it and is seen
// in all of their latencies: counted from the post, one would show it and the
// others would be left out (coordinated omission). So the lateness of the
// peer's own timer is part of it.
//
// queues says that events posted before the receiver comes wait in line and are
// taken one by one.
//
// ns/op is the mean latency, not the time from one event to the next.
func OneWay(b *testing.B, setup func(p *peer.Pair, turn *uint32) Way, queues bool) {
	b.Helper()
	b.Run("pace=asleep", func(b *testing.B) {
		eachPlacement(b, placed, func(b *testing.B, place peer.Placement) {
			skipUnsynchronised(b, place.Here, place.There)
			if !trial(b, readable, switchesKnown) {
				oneWayAsleep(b, place, setup)
			}
		})
	})
	if !queues {
		return
	}
	b.Run("pace="+periodName(pace), func(b *testing.B) {
		eachPlacement(b, placed, func(b *testing.B, place peer.Placement) {
			SkipCounted(b, ClockJumps)
			skipUnsynchronised(b, place.Here, place.There)
			if !trial(b, readable, switchesKnown) {
				oneWayPaced(b, place, setup)
			}
		})
	})
}

func oneWayAsleep(b *testing.B, place peer.Placement, setup func(p *peer.Pair, turn *uint32) Way) {
	b.Helper()
	p := peer.NewPair(b, place)
	turn := p.Arena.Word32(TurnSender)
	w := setup(p, turn)
	sent := p.Arena.Words(1024) // more than a piece of this side's loop
	w.Post[0].Set, w.Post[0].SetTo = turn, TurnSender
	p.Here.SetCalls(p.Arena, append([]sys.Call{sys.FutexSet(turn, TurnReceiver)}, w.Receive.Calls...)...)
	p.Here.Sum = w.Receive.Sum
	p.There.SetCalls(p.Arena, append([]sys.Call{
		sys.FutexWaitWhile(turn, TurnSender),
		sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(p.Arena, unix.NsecToTimespec(int64(gap)))),
		sys.Stamp(sent),
	}, w.Post...)...)

	at := warmup
	var c counter
	add := c.h.Record
	if Counted() {
		add = c.add
	}
	run := func(n int) error {
		return p.Run(n, func(stamps []uint64) {
			for _, got := range stamps[1:] {
				add(got - sent[at%len(sent)])
				at++
			}
		})
	}
	began := time.Now()
	slept, scale := travel(b, p, w, run, nil)
	if countsSwitches() {
		b.ReportMetric(min(1, float64(slept)/float64(b.N)), "asleep/op")
	}
	if Counted() {
		c.report(b)
		reportLatencies(b, began, &c.h, 1, "instrs")
	} else {
		reportMean(b, began, &c.h, scale)
	}
}

func oneWayPaced(b *testing.B, place peer.Placement, setup func(p *peer.Pair, turn *uint32) Way) {
	b.Helper()
	p := peer.NewPair(b, place)
	restore := withoutSlack()
	w := setup(p, p.Arena.Word32(TurnReceiver))
	restore()
	if w.Refusable {
		w.Post[0] = sys.Insist(p.Arena, w.Post[0])
	}
	due := sys.Place(p.Arena, unix.Timespec{})
	p.Here.SetCalls(p.Arena, w.Receive.Calls...)
	p.Here.Sum = w.Receive.Sum
	calls := append([]sys.Call{sys.Nanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, due)}, w.Post...)
	p.There.SetCalls(p.Arena, append(calls, sys.Advance(due, pace))...)

	var h latency.Histogram
	var first int64
	var last reading
	at := warmup
	run := func(n int) error {
		return p.Run(n, func(stamps []uint64) {
			now := readClocks()
			for _, got := range stamps[1:] {
				// The clocks are read apart by less than any
				// latency; never below 0.
				h.Record(uint64(max(0, last.between(now, got)-first-int64(at)*int64(pace))))
				at++
			}
			last = now
		})
	}
	began := time.Now()
	travel(b, p, w, run, func() {
		last = readClocks()
		first = last.ns + int64(time.Millisecond)
		*due = unix.NsecToTimespec(first)
	})
	reportMean(b, began, &h, 1)
}

// withoutSlack takes the timer slack from this thread, which delays what sleeps
// by up to 50 µs (PR_SET_TIMERSLACK in prctl(2)), until the returned function
// is called; the goroutine stays on the thread as long. Peers started meanwhile
// have none either. gVisor has none to begin with, and may refuse.
func withoutSlack() (restore func()) {
	runtime.LockOSThread()
	old, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return runtime.UnlockOSThread
	}
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(old), 0, 0, 0)
		runtime.UnlockOSThread()
	}
}

// travel runs both sides for b.N events after warming up, and compares the
// accounts. It returns how often this side slept, and a tick's length in ns.
// start, if set, runs just before the peer begins.
func travel(b *testing.B, p *peer.Pair, w Way, run func(n int) error, start func()) (slept int64, perTick float64) {
	b.Helper()
	p.Here.Reset(0)
	p.There.Reset(warmup + b.N)
	settle()
	if start != nil {
		start()
	}
	p.Open()
	peer.SkipOrFatal(b, p.Run(warmup, nil))
	before, clocks := voluntary(), readClocks()
	b.ResetTimer()
	err := run(b.N)
	b.StopTimer()
	perTick = clocks.perTick(readClocks())
	slept = voluntary() - before
	peer.SkipOrFatal(b, err)
	peer.SkipOrFatal(b, p.Join())
	for _, err := range []error{
		account("this side", p.Here, w.Receive, warmup+b.N),
		account("the peer", p.There, Side{}, warmup+b.N),
	} {
		if err != nil {
			b.Error(err)
		}
	}
	return slept, perTick
}

// reportMean reports h, recorded since began, a unit of which is scale ns, with
// its mean as ns/op.
func reportMean(b *testing.B, began time.Time, h *latency.Histogram, scale float64) {
	b.Helper()
	b.ReportMetric(h.Mean()*scale, "ns/op")
	reportLatencies(b, began, h, scale, "ns")
}

// switchesKnown tells whether voluntary can.
var switchesKnown = sync.OnceValue(func() error {
	return os.NewSyscallError("getrusage", unix.Getrusage(unix.RUSAGE_THREAD, new(unix.Rusage)))
})

// voluntary returns how often this thread gave up its CPU of its own accord:
// getrusage(2).
func voluntary() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		panic(err) // the benchmark asks switchesKnown first
	}
	return u.Nvcsw
}

// countsSwitches finds out whether the kernel counts what voluntary returns:
// gVisor does not.
var countsSwitches = sync.OnceValue(func() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const sleeps = 4
	before := voluntary()
	for range sleeps {
		rest := unix.NsecToTimespec(int64(gap))
		unix.Nanosleep(&rest, nil)
	}
	return voluntary()-before >= sleeps
})

// Why counted instructions may say nothing, for [SkipCounted].
const (
	ClockJumps = "a clock that counts instructions jumps while every CPU sleeps: what is late by it says nothing"
	TurnsTaken = "where instructions are counted, CPUs take turns: spinning only uses one up, and waits for the next"
)

// SkipCounted skips a benchmark where instructions are counted.
func SkipCounted(b *testing.B, why string) {
	b.Helper()
	if Counted() {
		b.Skip(why)
	}
}

// skipUnsynchronised skips a benchmark that compares stamps of these CPUs where
// their time-stamp counters are not known to agree: each with the first.
func skipUnsynchronised(b *testing.B, cpus ...int) {
	b.Helper()
	if Counted() { // all read one counter
		return
	}
	for _, cpu := range cpus {
		if cpu == cpus[0] {
			continue
		}
		if err := synchronised(cpus[0], cpu); err != nil {
			b.Skip(err)
		}
	}
}

// tolerance is by how much counters of two CPUs may seem to differ: what a word
// takes from one to the other is a part of it.
const tolerance = time.Microsecond

// known holds what synchronised found of two CPUs.
var known = make(map[[2]int]error)

// synchronised finds out by trying, once, whether the time-stamp counters of
// two CPUs agree: stamps go to and fro between them through memory, and none
// arrives before it was taken. The least that a stamp seems to take in either
// direction bounds the difference of the counters. The kernel does the same
// before it trusts the counter (arch/x86/kernel/tsc_sync.c), but does not tell
// everywhere, a guest least of all.
func synchronised(one, other int) error {
	pair := [2]int{min(one, other), max(one, other)}
	err, ok := known[pair]
	if !ok {
		if err = compare(pair[0], pair[1]); err != nil {
			err = fmt.Errorf("stamps of CPUs %d and %d need one time: %w", one, other, err)
		}
		known[pair] = err
	}
	return err
}

// compare says why the time-stamp counters of two CPUs are not known to agree.
func compare(one, other int) (err error) {
	if err := readable(); err != nil {
		return err
	}
	// On a busy machine the two run at once only now and then.
	for start, n := readClocks(), 0; n < 8; n++ {
		var there, back int64
		if there, back, err = exchange(one, other); err == nil {
			err = agree(there, back, start.perTick(readClocks()))
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// agree judges the least numbers of ticks that stamps seemed to take to and
// fro: by so many the one counter may be behind the other, or before it. A
// negative number means that it is.
func agree(there, back int64, perTick float64) error {
	bound := time.Duration(float64(max(there, -there, back, -back)) * perTick)
	switch {
	case bound <= tolerance:
		return nil
	case min(there, back) < 0:
		return fmt.Errorf("their time-stamp counters differ by %d ticks or more", -min(there, back))
	}
	return fmt.Errorf("their time-stamp counters could not be shown to agree within %v, only within %v", tolerance, bound)
}

// exchange hands stamps from CPU a to CPU b and back, and returns the least
// number of ticks that one seemed to take in each direction.
func exchange(a, b int) (there, back int64, err error) {
	const rounds = 5000
	deadline := time.Now().Add(500 * time.Millisecond)
	there, back = math.MaxInt64, math.MaxInt64
	// The word holds the other side's stamp, and 0 while that has none to
	// give.
	var ping, pong atomic.Uint64
	await := func(w *atomic.Uint64) (uint64, bool) {
		for n := 1; ; n++ {
			if sent := w.Load(); sent != 0 {
				w.Store(0)
				return sent, true
			}
			if n%1024 == 0 { // the other may need this processor
				if time.Now().After(deadline) {
					return 0, false
				}
				runtime.Gosched()
			}
		}
	}
	ready := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// This thread ends with its goroutine: nobody else gets its
		// affinity.
		runtime.LockOSThread()
		err := pinSelf(b)
		ready <- err
		for n := 0; err == nil && n < rounds; n++ {
			sent, ok := await(&ping)
			if !ok {
				return
			}
			there = min(there, int64(sys.Ticks()-sent))
			pong.Store(sys.Ticks())
		}
	}()
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := <-ready
		if err == nil {
			err = pinSelf(a)
		}
		for n := 0; err == nil && n < rounds; n++ {
			ping.Store(sys.Ticks())
			sent, ok := await(&pong)
			if !ok {
				if n < 100 {
					err = fmt.Errorf("their time-stamp counters could not be compared: %d exchanges in half a second", n)
				}
				break
			}
			back = min(back, int64(sys.Ticks()-sent))
		}
		<-done
		result <- err
	}()
	err = <-result
	return there, back, err
}

func pinSelf(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("sched_setaffinity to CPU %d: %w", cpu, err)
	}
	return nil
}
