//go:build linux

package measure

import (
	"fmt"
	"testing"
	"time"

	"eventbench/helpers/latency"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Timer is a way to be woken again and again.
type Timer struct {
	Wait []sys.Call // waits for one wake-up
	// Start, if set, arms the timer: its first expiry is at the time first
	// of CLOCK_MONOTONIC, the others follow a period apart. Without it each
	// wait is for a period from its own beginning.
	Start func(first unix.Timespec) error
	// Taken, if set, is called after each wait and returns how many
	// expiries it took: 1, and more when the next ones came before the wait
	// returned.
	Taken func() uint64
}

// The load on the CPU that a timer's thread runs on.
const (
	idle = "idle" // nothing else of this benchmark
	busy = "busy" // another process, at the same priority, that never sleeps
)

// Lateness benchmarks how late a timer wakes this thread: from the time at
// which it was due until the wait has returned, for each period and with and
// without a load. setup makes the timer.
//
// With a Start the due times are on a grid, so that lateness does not add up,
// and a wake-up that finds further expiries due is as late as the oldest of
// those it took. The younger ones were missed: missed/op is their share of all
// periods. The benchmark fails unless those taken are just those whose time has
// come. cyclictest(8) counts in the same way.
//
// ns/op is the mean lateness, not the period.
func Lateness(b *testing.B, periods []time.Duration, setup func(p *peer.Party, period time.Duration) Timer) {
	b.Helper()
	for _, period := range Shuffled(b, periods...) {
		b.Run("period="+periodName(period), func(b *testing.B) {
			for _, load := range Shuffled(b, idle, busy) {
				b.Run("load="+load, func(b *testing.B) {
					SkipCounted(b, ClockJumps)
					if !trial(b, readable) {
						lateness(b, period, load, setup)
					}
				})
			}
		})
	}
}

// periodName returns a period as sub-benchmarks name it: 50us, 1ms.
func periodName(d time.Duration) string {
	if d%time.Millisecond == 0 {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%dus", d.Microseconds())
}

// A wake is one return of a wait.
type wake struct {
	begin, end uint64 // sys.Ticks before and after it
	taken      uint64 // expiries it took
	counted    uint64 // sys.Ticks when their number was known
}

func lateness(b *testing.B, period time.Duration, load string, setup func(p *peer.Party, period time.Duration) Timer) {
	b.Helper()
	cpu := here().CPUs().Same
	p := peer.NewParty(b, cpu)
	working := func() error { return nil }
	if load == busy {
		working = p.Load(cpu)
	}
	t := setup(p, period)
	l := sys.NewLoop(p.Arena, t.Wait...)
	l.Reset(0)

	const batch = 512 // wakes between two readings of the clocks
	wakes := make([]wake, 0, batch)
	wait := func() error {
		w := wake{taken: 1}
		interrupts := p.Interrupts()
		if err := p.Run(l, 1, func(stamps []uint64) { w.begin, w.end = stamps[0], stamps[1] }, nil); err != nil {
			return err
		}
		if t.Taken != nil {
			w.taken = t.Taken()
		}
		w.counted = sys.Ticks()
		if t.Start == nil && p.Interrupts() != interrupts {
			return nil // the wait may have begun anew: five times a second at most
		}
		wakes = append(wakes, w)
		return nil
	}
	last := readClocks()
	g := grid{first: last.ns + int64(period), period: int64(period), relative: t.Start == nil, slack: int64(early)}
	if here().GVisor() {
		// Its timers have a clock of their own, and count when a
		// goroutine of the sandbox gets to run: Linux' count when they
		// are read.
		g.slack = int64(time.Second)
	}
	if !g.relative {
		if err := t.Start(unix.NsecToTimespec(g.first)); err != nil {
			b.Fatal(err)
		}
	}
	run := func(n int) error {
		for n > 0 {
			wakes = wakes[:0]
			for len(wakes) < min(n, batch) {
				if err := wait(); err != nil {
					return err
				}
			}
			n -= len(wakes)
			now := readClocks()
			if err := g.add(wakes, last, now); err != nil {
				return err
			}
			last = now
		}
		return nil
	}
	peer.SkipOrFatal(b, run(2)) // the first waits touch cold memory
	g.h.Reset()
	g.missed, g.taken = 0, 0
	began := time.Now()
	b.ResetTimer()
	err := run(b.N)
	b.StopTimer()
	peer.SkipOrFatal(b, err)
	if err := working(); err != nil {
		b.Error(err)
	}
	h, missed := g.h, float64(g.missed)/float64(g.taken)
	// With the thread away for a while it is certain what one more wait has
	// to take.
	rest := unix.NsecToTimespec(int64(period) * 5 / 2)
	unix.Nanosleep(&rest, nil) // an interrupt may cut it short
	if err := run(1); err != nil {
		b.Error(err)
	}
	reportMean(b, began, &h, 1)
	if !g.relative {
		b.ReportMetric(missed, "missed/op")
	}
}

// A grid is when a timer is due, and the account of what came of it.
type grid struct {
	first, period int64 // ns, on CLOCK_MONOTONIC
	relative      bool  // each wait is due a period after its own beginning
	slack         int64 // ns by which an expiry may seem to be counted too early or too late

	all           uint64 // expiries taken since first
	taken, missed uint64 // of those counted: all, and those that were not the oldest of their wake-up
	h             latency.Histogram
}

// early is by how much a wake-up may seem to come before its time: the clocks
// are read one after the other.
const early = 5 * time.Microsecond

// add counts the wakes, which lie between two readings of the clocks. It is an
// error for a wake-up to come before its time, and for the expiries taken to be
// other than those whose time has come: all for which it had when the wait
// began, and none for which it had not when that was over.
func (g *grid) add(wakes []wake, from, to reading) error {
	for i, w := range wakes {
		begin, end := from.between(to, w.begin), from.between(to, w.end)
		due := g.first + int64(g.all)*g.period
		if g.relative {
			due = begin + g.period
		}
		late := end - due
		if late < -g.slack {
			return fmt.Errorf("wait %d of %d returned %v before its time", i+1, len(wakes), time.Duration(-late))
		}
		g.h.Record(uint64(max(0, late)))
		g.all += w.taken
		g.taken += w.taken
		g.missed += w.taken - 1
		least, most := g.elapsed(begin-g.slack), g.elapsed(from.between(to, w.counted)+g.slack)
		if all := int64(g.all); !g.relative && (all < least || all > most) {
			return fmt.Errorf("%d to %d periods of %v elapsed, but %d expiries came, %d of them missed", least, most, time.Duration(g.period), all, g.missed)
		}
	}
	return nil
}

// elapsed returns how many expiries are due at the time t.
func (g *grid) elapsed(t int64) int64 {
	if t < g.first {
		return 0
	}
	return (t-g.first)/g.period + 1
}
