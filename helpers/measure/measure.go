//go:build linux

// Package measure makes benchmarks of tables of system calls. A benchmark
// says what its parties do; this package places them, runs them, times them,
// and fails the benchmark when the account does not balance:
//
//   - [Self]: one thread posts and consumes.
//   - [RoundTrip]: ping and pong between this thread and a peer.
//   - [Throughput]: a one-way stream from a peer to this thread.
//   - [Crowd]: streams from many peers to many.
//   - [EventLoop]: loops over several sources of events at once.
//   - [Technique]: the same work without a technique and with it.
//   - [OneWay]: one event on its way to a thread that sleeps, or posted on a schedule.
//   - [Lateness]: how late a timer wakes this thread.
//   - [Wake]: one event for many waiters.
//
// On a wall clock the figure is testing's own ns/op, but of the last three,
// whose ns/op is the mean latency. Of what one thread does and of round trips,
// floor-ns/op is the lowest mean of a stretch of 0.1 to 0.2 ms: what an operation
// takes while nothing else runs. Latencies of single operations have
// percentiles, each only where there are enough of them that one at least lies
// beyond it: p50 of 2, p99 of 100, p99.9 of 1000 and more. Of fewer it would be
// the largest, which max is in any case. So a line of few operations lacks
// units that another of the same benchmark has. Where instructions are counted
// (EVENTBENCH_CLOCK=instrs) no figure is in ns: each operation is read by
// itself, instrs/op is the mode of the counts, modal-share the share of operations
// that had just that count, and mean-instrs/op the mean over all. The loop
// begins just after a timer tick: one that is shorter than a tick has none in
// it. What else disturbs a count, such as a kernel's thread, only ever adds to
// it: of several lines of one boot the lowest counts (lines=lowest in its Unit
// line).
package measure

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/latency"
	"eventbench/helpers/machine"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Side is what one party does, again and again, and how its account is kept.
type Side struct {
	Calls []sys.Call
	// Sum, if set, is a word that holds 1 after each iteration for the one
	// event received in it, or Each (0 is 1) for as many. The words are
	// added up and must come to that for all iterations.
	Sum  *uint64
	Each uint64
	// Count, if set, counts events by itself, as a handler does. It must
	// rise by the number of iterations.
	Count *uint64
	// Check, if set, is called after all n iterations and says whether the
	// kernel holds what it then should.
	Check func(n int) error
	// First, if set, is what a side of a RoundTrip does once before its
	// iterations, and Last what this side does once after all: with them
	// both can do the same in an iteration, post and then wait.
	First, Last []sys.Call
}

// warmup is how many iterations, or events of a stream, go before the timed
// ones: the first touches of pages, a child's above all, are nobody's
// operation.
const warmup = 32

// Self benchmarks what one thread does alone. setup makes the descriptors and
// says what an operation is.
func Self(b *testing.B, setup func(p *peer.Party) Side) {
	b.Helper()
	solo(b, setup, func(run runner) { timed(b, run, false) })
}

// Overhead is Self with the harness's own work laid open: with record, each
// operation's latency is recorded as in a RoundTrip, but not reported.
func Overhead(b *testing.B, record bool, setup func(p *peer.Party) Side) {
	b.Helper()
	var h latency.Histogram
	solo(b, setup, func(run runner) {
		once(b, func(n int, _ func([]uint64)) error {
			if !record {
				return run(n, nil)
			}
			return run(n, func(stamps []uint64) { recordAll(&h, stamps) })
		})
	})
}

// A runner does n operations and has their stamps recorded if told where.
type runner func(n int, record func(stamps []uint64)) error

func solo(b *testing.B, setup func(p *peer.Party) Side, bench func(run runner)) {
	b.Helper()
	if trial(b) {
		return
	}
	p := peer.NewParty(b, here().CPUs().Same)
	side := setup(p)
	l := sys.NewLoop(p.Arena, side.Calls...)
	l.Sum = side.Sum
	l.Reset(0)
	settle()
	run := func(n int, record func([]uint64)) error { return p.Run(l, n, record, nil) }
	peer.SkipOrFatal(b, run(warmup, nil))
	bench(run)
	if err := account("this side", l, side, warmup+b.N); err != nil {
		b.Fatal(err)
	}
}

func recordAll(h *latency.Histogram, stamps []uint64) {
	for i := 1; i < len(stamps); i++ {
		h.Record(stamps[i] - stamps[i-1])
	}
}

// RoundTrip benchmarks a message to a peer and its answer, once for each kind
// of peer and each placement: on the same CPU, across two, and, if free is
// asked for, where the scheduler puts them. setup makes the descriptors, calls
// p.Start, and returns what the two sides do; each iteration of either receives
// one event and posts one.
func RoundTrip(b *testing.B, setup func(p *peer.Pair) (here, there Side), free ...Placed) {
	b.Helper()
	eachPlacement(b, slices.Concat(placed, free), func(b *testing.B, place peer.Placement) {
		if trial(b, readable) {
			return
		}
		p := peer.NewPair(b, place)
		here, there := setup(p)
		bind(p.Here, p.Arena, here)
		bind(p.There, p.Arena, there)
		if there.First != nil {
			p.First(there.First...)
		}
		p.Here.Reset(0)
		p.There.Reset(warmup + b.N)
		settle()
		p.Open()
		peer.SkipOrFatal(b, p.Once(here.First...))
		peer.SkipOrFatal(b, p.Run(warmup, nil))
		timed(b, p.Run, true)
		peer.SkipOrFatal(b, p.Once(here.Last...))
		peer.SkipOrFatal(b, p.Join())
		for _, err := range []error{
			account("this side", p.Here, here, warmup+b.N),
			account("the peer", p.There, there, warmup+b.N),
		} {
			if err != nil {
				b.Error(err)
			}
		}
	})
}

// A Stream is a one-way flow of events from a peer to this thread.
//
// Its end cannot be lost, whatever buffer is full and however late this side
// is. Where events neither merge nor are refused this side counts them, and
// the kernel keeps each until it is taken. Where they do, the end is not one
// more event in their queue: the peer's account is in shared memory and
// complete before Last is run, and Last only wakes this side, by something
// that needs no room in that queue.
type Stream struct {
	// Send posts one event; the peer runs it once for each.
	Send []sys.Call
	// Last, if set, is run once after the last event: it wakes a receiver
	// that cannot know how many events will come. The kernel must not be
	// able to refuse or drop it.
	Last []sys.Call
	// Receive takes one or more events, or waits. Its Sum counts the events
	// taken.
	Receive Side
	// Until and Limit, if set, end the receiver instead of a count: see
	// sys.Loop.
	Until *uint64
	Limit uint64
	// Rest, if set, takes what is left when Until holds, of as many events
	// as the kernel has accepted in all. Nothing is posted any more, so it
	// does not wait.
	Rest func(accepted uint64) error
	// Take, if set, receives in place of Receive until the stream ends.
	// While nothing comes it calls check, whose error says why nothing
	// will.
	Take func(check func() error) error
	// Told, if set, says how often this side was told of an event since
	// Told was last called, where that is not once for each iteration of
	// Receive.
	Told func() uint64
	// Merges says that events posted before the receiver comes are taken as
	// one: Receive.Sum counts them, and the stream ends when the sum is
	// complete.
	Merges bool
	// Lossy says that an event is lost if one like it is pending.
	Lossy bool
	// Late says of a lossy stream that this side may be told of an event
	// after the stream has ended, even as if it belonged to the next one.
	Late bool
}

// Throughput benchmarks a one-way stream: an operation is one event posted, and
// the time ends when this side has taken the last. A stream of 32 events goes
// before, so that it begins with a peer that sleeps, not with one that has yet
// to touch its memory. setup is as for RoundTrip.
//
// Where events merge, are lost or are refused, delivered/op is how often the
// receiver was told of an event, and sent/op how many the kernel accepted, for
// each that the sender posted.
func Throughput(b *testing.B, setup func(p *peer.Pair) *Stream) {
	b.Helper()
	eachPlacement(b, placed, func(b *testing.B, place peer.Placement) { throughput(b, place, setup) })
}

func throughput(b *testing.B, place peer.Placement, setup func(p *peer.Pair) *Stream) {
	b.Helper()
	if trial(b) {
		return
	}
	p := peer.NewPair(b, place)
	s := setup(p)
	bind(p.Here, p.Arena, s.Receive)
	rehearsal := p.Rehearse(warmup, s.Send, s.Last)
	p.There.SetCalls(p.Arena, s.Send...)
	p.There.Reset(b.N)
	if s.Last != nil {
		p.Last(s.Last...)
	}

	settle()
	peer.SkipOrFatal(b, s.prepare(p, rehearsal, warmup)())
	peer.SkipOrFatal(b, p.Await(rehearsal))
	peer.SkipOrFatal(b, refusedAll(s.Send, rehearsal, warmup))
	told, err := s.account(p, rehearsal, warmup, 0)
	if err != nil {
		b.Errorf("before the measurement: %v", err)
	}
	var late uint64
	if s.Late {
		late = warmup - rehearsal.Refused - told
	}
	run := s.prepare(p, p.There, b.N)
	once(b, func(int, func([]uint64)) error { return run() })
	peer.SkipOrFatal(b, p.Join())
	peer.SkipOrFatal(b, refusedAll(s.Send, p.There, uint64(b.N)))
	told, err = s.account(p, p.There, uint64(b.N), late)
	if err != nil {
		b.Error(err)
	}
	if check := s.Receive.Check; check != nil {
		if err := check(b.N); err != nil {
			b.Error(err)
		}
	}
	if refused := p.There.Refused; s.Merges || s.Lossy || refused > 0 {
		b.ReportMetric(float64(told)/float64(b.N), "delivered/op")
		b.ReportMetric(float64(uint64(b.N)-refused)/float64(b.N), "sent/op")
	}
}

// prepare empties this side's account for n events, and returns what lets the
// peer post them by l and takes them.
func (s *Stream) prepare(p *peer.Pair, l *sys.Loop, n int) (run func() error) {
	p.Here.Reset(0)
	receipts := n
	switch {
	case s.Until != nil:
		*s.Until = 0
		p.Here.Until, p.Here.Limit = s.Until, s.Limit
		receipts = 1 << 62
	case s.Merges:
		p.Here.Until, p.Here.Limit = &p.Here.Total, uint64(n)
	}
	return func() error {
		p.Open()
		if s.Take != nil {
			return s.Take(p.Check)
		}
		if err := p.Run(receipts, nil); err != nil || s.Rest == nil {
			return err
		}
		return s.Rest(uint64(n) - l.Refused)
	}
}

// account returns how often this side was told of the n events that the peer
// posted by l, all of which must be accounted for. As many as late may be told
// of late, from the stream before.
func (s *Stream) account(p *peer.Pair, l *sys.Loop, n, late uint64) (told uint64, err error) {
	posted, refused := uint64(l.Done), l.Refused
	told = uint64(p.Here.Done)
	if s.Told != nil {
		told = s.Told()
	}
	taken := told
	if s.Receive.Sum != nil {
		taken = p.Here.Total
	}
	switch {
	case posted != n:
		err = fmt.Errorf("the peer posted %d events of %d", posted, n)
	case s.Lossy && (taken == 0 || taken > n-refused+late):
		err = fmt.Errorf("%d posted, %d refused, but %d taken", n, refused, taken)
	case !s.Lossy && taken+refused != n:
		err = fmt.Errorf("%d posted, %d refused, %d taken: %d unaccounted for", n, refused, taken, int64(n-refused-taken))
	}
	return told, err
}

// refusable returns the first of calls that the kernel may refuse, or nil.
func refusable(calls []sys.Call) *sys.Call {
	for i, c := range calls {
		if c.Refused != 0 {
			return &calls[i]
		}
	}
	return nil
}

// refusedAll is the error of a sender that the kernel accepted none of n events
// from: there is nothing to tell of them.
func refusedAll(calls []sys.Call, l *sys.Loop, n uint64) error {
	if c := refusable(calls); c != nil && l.Refused == n {
		return &sys.CallError{Call: *c, Result: -int(c.Refused), N: int(n)}
	}
	return nil
}

// Loop benchmarks n runs of what is no table of system calls: Go's own way of
// doing a thing.
func Loop(b *testing.B, run func(n int) error) {
	b.Helper()
	if trial(b) {
		return
	}
	once(b, func(n int, _ func([]uint64)) error { return run(n) })
}

// Bulk is Loop for what is done size operations at a time: run does that so
// many times, as many as b.N operations take, and the figure is that of one of
// all that were done.
func Bulk(b *testing.B, size int, run func(times int) error) {
	b.Helper()
	if trial(b) {
		return
	}
	times := (b.N + size - 1) / size
	took, ticks, err := clocked(b, func() error { return run(times) })
	peer.SkipOrFatal(b, err)
	reportEach(b, took, ticks, uint64(times*size))
}

// clocked times what run does by both clocks.
func clocked(b *testing.B, run func() error) (took time.Duration, ticks uint64, err error) {
	// Between the readings is the run alone: testing stops the world to set
	// its timer.
	b.ResetTimer()
	start := time.Now()
	ticks = sys.Ticks()
	err = run()
	ticks, took = sys.Ticks()-ticks, time.Since(start)
	b.StopTimer()
	return took, ticks, err
}

// reportEach reports what one of n operations took that were clocked together,
// where n is not b.N.
func reportEach(b *testing.B, took time.Duration, ticks, n uint64) {
	b.Helper()
	if Counted() {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(ticks)/float64(n), "mean-instrs/op")
	} else {
		b.ReportMetric(float64(took)/float64(n), "ns/op")
	}
}

func bind(l *sys.Loop, a *sys.Arena, s Side) {
	l.SetCalls(a, s.Calls...)
	l.Sum = s.Sum
}

// account compares what a side did and received with what it should have.
func account(who string, l *sys.Loop, s Side, n int) error {
	if int(l.Done) != n {
		return fmt.Errorf("%s made %d rounds of %d", who, l.Done, n)
	}
	if s.Count != nil && *s.Count != uint64(n) {
		return fmt.Errorf("%s counted %d events of %d", who, *s.Count, n)
	}
	if want := uint64(n) * max(1, s.Each); s.Sum != nil && l.Total != want {
		return fmt.Errorf("%s received %d events of %d", who, l.Total, want)
	}
	if s.Check != nil {
		if err := s.Check(n); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return nil
}

// timed runs the benchmark's b.N operations and reports what they cost; with
// percentiles, their latencies too. run does as many operations as it is told,
// recording stamps if it is given where.
func timed(b *testing.B, run runner, percentiles bool) {
	b.Helper()
	if Counted() {
		var c counter
		began := time.Now()
		b.ResetTimer()
		loopBegins()
		if err := quiet(); err != nil {
			b.Fatal(err)
		}
		err := run(b.N, func(stamps []uint64) {
			loopEnds(stamps)
			c.record(stamps)
		})
		b.StopTimer()
		peer.SkipOrFatal(b, err)
		c.report(b)
		if percentiles {
			reportLatencies(b, began, &c.h, 1, "instrs")
		}
		return
	}
	if !percentiles {
		stretched(b, run)
		return
	}
	var h latency.Histogram
	f := newFloor(float64(Ticks(stretch)))
	began, start := time.Now(), readClocks()
	b.ResetTimer()
	err := run(b.N, func(stamps []uint64) {
		recordAll(&h, stamps)
		f.record(stamps)
	})
	b.StopTimer()
	perTick := start.perTick(readClocks())
	peer.SkipOrFatal(b, err)
	f.report(b, perTick)
	reportLatencies(b, began, &h, perTick, "ns")
}

// A debugger of the guest stops at these two calls, which do nothing:
// helpers/where logs what is executed between them. Neither falls between two
// stamps. A stop lets the counted clock jump to its next timer, so that the
// first comes before the sleep that ends at a tick. The second has the stamps
// as its argument.
//
//go:noinline
func loopBegins() {}

//go:noinline
func loopEnds(stamps []uint64) {}

// reportLatencies reports percentiles of h, recorded since began, a unit of
// which is scale of the given one, and keeps h itself where -histograms asks
// for it.
func reportLatencies(b *testing.B, began time.Time, h *latency.Histogram, scale float64, unit string) {
	b.Helper()
	reportPercentiles(b, latencies, h, scale, "%s-latency-"+unit)
	keep(b, began, h, scale, unit)
}

// reportPercentiles reports those percentiles of h for which it has counted
// enough, in units that format makes of their names.
func reportPercentiles(b *testing.B, of []percentile, h *latency.Histogram, scale float64, format string) {
	b.Helper()
	for _, p := range of {
		if h.Count() >= p.least {
			reportTime(b, float64(p.of(h))*scale, fmt.Sprintf(format, p.name))
		}
	}
}

// reportTime reports a time, unless it is less than the clocks can tell: of 0
// package benchfmt keeps the unit as it is written, where it reads all others'
// ns as seconds, and benchstat would have it in a table of its own.
func reportTime(b *testing.B, value float64, unit string) {
	b.Helper()
	if value != 0 {
		b.ReportMetric(value, unit)
	}
}

// trial reports whether this is testing's first run of a benchmark, of one
// operation, to be followed by the one whose figures are shown. On a wall clock
// that warms things up; where instructions are counted it is left out, for a
// guest is slow.
//
// It skips the benchmark where something that it needs is refused, as a sandbox
// may do with any call.
func trial(b *testing.B, needs ...func() error) bool {
	b.Helper()
	forgetFailed(b)
	for _, need := range needs {
		peer.SkipOrFatal(b, need())
	}
	return Counted() && b.N == 1 && flag.Lookup("test.benchtime").Value.String() != "1x"
}

// once runs the benchmark's b.N operations as one timed loop.
func once(b *testing.B, run runner) {
	b.Helper()
	_, ticks, err := clocked(b, func() error { return run(b.N, nil) })
	peer.SkipOrFatal(b, err)
	if Counted() {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(ticks)/float64(b.N), "mean-instrs/op")
	}
}

// A counter counts how often each number of instructions occurred.
type counter struct {
	counts map[uint64]int
	h      latency.Histogram
}

func (c *counter) record(stamps []uint64) {
	for i := 1; i < len(stamps); i++ {
		c.add(stamps[i] - stamps[i-1])
	}
}

func (c *counter) add(d uint64) {
	if c.counts == nil {
		c.counts = make(map[uint64]int)
	}
	c.counts[d]++
	c.h.Record(d)
}

// mode returns the most frequent count and how often it occurred; of several that
// are about as common, at least half as frequent as the first, the smallest.
// Where two ways through the scheduler are as frequent as each other, chance
// would decide otherwise which is reported.
func (c *counter) mode() (count uint64, times int) {
	most := 0
	for _, k := range c.counts {
		most = max(most, k)
	}
	for d, k := range c.counts {
		if 2*k >= most && (times == 0 || d < count) {
			count, times = d, k
		}
	}
	return count, times
}

func (c *counter) report(b *testing.B) {
	count, times := c.mode()
	b.ReportMetric(0, "ns/op") // testing leaves a zero out
	b.ReportMetric(float64(count), "instrs/op")
	b.ReportMetric(c.h.Mean(), "mean-instrs/op")
	b.ReportMetric(float64(times)/float64(c.h.Count()), "modal-share")
}

// A percentile p is one of at least 1/(1-p) values: of fewer it would be the
// largest.
type percentile struct {
	name  string
	least uint64
	of    func(*latency.Histogram) uint64
	post  bool // reported of an event loop's senders as well
}

var latencies = []percentile{
	{"p50", 2, func(h *latency.Histogram) uint64 { return h.Percentile(50) }, true},
	{"p99", 100, func(h *latency.Histogram) uint64 { return h.Percentile(99) }, true},
	{"p99.9", 1000, func(h *latency.Histogram) uint64 { return h.Percentile(99.9) }, false},
	{"max", 1, func(h *latency.Histogram) uint64 { return h.Max() }, false},
}

// postLatencies are those of an event loop's senders: a part of the latency
// that all of latencies are reported of.
var postLatencies = slices.DeleteFunc(slices.Clone(latencies), func(p percentile) bool { return !p.post })

// Units are the Unit lines of every unit that this package and its users
// report.
func Units() []string {
	lines := []string{
		"Unit instrs/op better=lower assume=exact lines=lowest",
		"Unit mean-instrs/op better=lower lines=lowest",
		"Unit modal-share better=higher",
		"Unit floor-ns/op better=lower lines=lowest",
		"Unit delivered/op better=higher",
		"Unit sent/op better=higher",
		"Unit asleep/op better=higher",
		"Unit missed/op better=lower",
		"Unit wakeups/event better=lower",
		"Unit spurious/event better=lower",
		"Unit switches/op better=lower",
		"Unit bytes/watch better=lower",
		"Unit cpu-ns/op better=lower",
		"Unit bytes/eventfd better=lower",
	}
	for _, p := range latencies {
		lines = append(lines,
			"Unit "+p.name+"-latency-ns better=lower",
			"Unit "+p.name+"-latency-instrs better=lower")
		for _, source := range Sources {
			lines = append(lines, "Unit "+source+"-"+p.name+"-latency-ns better=lower")
		}
	}
	for _, p := range postLatencies {
		for _, source := range Sources {
			lines = append(lines, "Unit "+source+"-"+p.name+"-post-latency-ns better=lower")
		}
	}
	return lines
}

// settle lets what the Go runtime began in the background come to its end
// before instructions are counted: sweeping after a garbage collection, and the
// page faults that it takes after a fork, fall into some operation or other. A
// guest skips the time it is idle, so this costs nothing.
func settle() {
	if Counted() {
		time.Sleep(50 * time.Millisecond)
	}
}

// quiet returns just after a tick, when the next interruption is as far away as
// it can be: a loop of fewer instructions than a tick has nanoseconds (4
// million where CONFIG_HZ is 250) is then counted without any. It sleeps behind
// the Go runtime's back: were all its processors idle, its monitor would sleep
// as well and look at everything again every 20 µs when it is woken.
func quiet() error {
	var now, res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return os.NewSyscallError("clock_getres", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &now); err != nil { // of the last tick
		return os.NewSyscallError("clock_gettime", err)
	}
	// The monitor's pauses double from 20 µs to 10 ms in 25 ms.
	const calm = 50 * time.Millisecond
	ticks := (calm.Nanoseconds() + res.Nano() - 1) / res.Nano()
	until := unix.NsecToTimespec(now.Nano() + ticks*res.Nano() + int64(50*time.Microsecond))
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME,
			uintptr(unsafe.Pointer(&until)), 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR: // the timer of a Party
		default:
			return os.NewSyscallError("clock_nanosleep", errno)
		}
	}
}

// Counted reports whether instructions are counted here instead of time.
func Counted() bool { return counted() }

var counted = sync.OnceValue(func() bool {
	clock, err := machine.System{Getenv: os.Getenv}.Clock()
	return err == nil && clock == "instrs"
})

// here is the machine as it was before anything was pinned.
var here = sync.OnceValue(func() machine.System {
	s, err := machine.Here()
	if err != nil {
		panic(err) // uname and sched_getaffinity of oneself do not fail
	}
	return s
})

// CPUs returns how many CPUs this process may use.
func CPUs() int { return len(here().Allowed) }

// Placed says where the two parties of a benchmark run, as its name does:
// cpus=same.
type Placed string

// The placements. Free leaves both parties to the scheduler: on few CPUs its
// choice makes a figure of two modes, which is worth showing once, not
// everywhere.
const (
	Same  Placed = "same"  // both on one CPU
	Cross Placed = "cross" // on two
	Free  Placed = "free"
)

var placed = []Placed{Same, Cross}

// eachPlacement runs f as a sub-benchmark for each kind of peer and each
// placement.
func eachPlacement(b *testing.B, places []Placed, f func(b *testing.B, place peer.Placement)) {
	b.Helper()
	for _, kind := range Shuffled(b, peer.Thread, peer.Process) {
		b.Run("peer="+string(kind), func(b *testing.B) {
			for _, where := range Shuffled(b, slices.Clone(places)...) {
				b.Run("cpus="+string(where), func(b *testing.B) { f(b, placement(b, kind, where)) })
			}
		})
	}
}

// placement is where a party of that kind and this thread run. Across CPUs is
// skipped where only one is allowed.
func placement(b *testing.B, kind peer.Kind, where Placed) peer.Placement {
	b.Helper()
	cpus := here().CPUs()
	place := peer.Placement{Kind: kind, Here: cpus.Same, There: cpus.Same}
	switch where {
	case Cross:
		if cpus.Relation == "" {
			b.Skip("one CPU is allowed: cpus=cross needs two")
		}
		place.Here, place.There = cpus.Cross[0], cpus.Cross[1]
	case Free:
		place.Here, place.There = peer.AnyCPU, peer.AnyCPU
	}
	return place
}

// Shuffled returns the cases of the benchmark b in the order in which they
// are to run: as given, or with -test.shuffle, which permutes whole
// benchmarks only, in an order drawn from its seed and the benchmark's name.
func Shuffled[T any](b *testing.B, cases ...T) []T {
	seed, err := strconv.ParseInt(flag.Lookup("test.shuffle").Value.String(), 10, 64)
	if err != nil { // "off", or "on": testing keeps the seed to itself
		return cases
	}
	h := fnv.New64a()
	h.Write([]byte(strings.TrimSuffix(b.Name(), "/")))
	r := rand.New(rand.NewPCG(uint64(seed), h.Sum64()))
	cases = slices.Clone(cases) // which may be a caller's, for other benchmarks too
	r.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	return cases
}
