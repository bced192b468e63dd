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
	// Start, if set, arms the timer: its first expiry is at the time first of
	// CLOCK_MONOTONIC, the others follow a period apart. Without it each wait is for
	// a period from its own beginning.
	Start func(first unix.Timespec) error
	// Taken, if set, is called after each wait and returns how many expiries it took: 1, and more when the
	// next ones came before the wait returned.
	Taken func() uint64
}

// The load on the CPU that a timer's thread runs on.
const (
	idle = "idle" // nothing else of this benchmark
	busy = "busy" // another process, at the same priority, that never sleeps
)

// Lateness benchmarks how late a timer wakes this thread: from the time at which it was
// due until the wait has returned, for each period and with and without a load. setup makes the timer.
//
// With a Start the due times are on a grid, so that lateness does not add up, and a wake-up that finds
// further expiries due is as late as the oldest of those it took. The younger ones were missed: missed/op
// is their share of all periods. The benchmark fails unless those taken are all whose time has come.
// cyclictest(8) counts in the same way.
//
// ns/op is the mean lateness, not the period.
func Lateness(b *testing.B, periods []time.Duration, setup func(p *peer.Party, period time.Duration) Timer) {
	b.Helper()
	for _, period := range Shuffled(b, periods...) {
		b.Run("period="+periodName(period), func(b *testing.B) {
			for _, load := range Shuffled(b, idle, busy) {
				b.Run("load="+load, func(b *testing.B) {
					SkipCounted(b)
					if !trial(b) {
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
	g := grid{first: last.ns + int64(period), period: int64(period), relative: t.Start == nil}
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
	reportMean(b, began, &g.h, 1)
	if !g.relative {
		b.ReportMetric(float64(g.missed)/float64(g.taken), "missed/op")
	}
}

// A grid is when a timer is due, and the account of what came of it.
type grid struct {
	first, period int64 // ns, on CLOCK_MONOTONIC
	relative      bool  // each wait is due a period after its own beginning

	all           uint64 // expiries taken since first
	taken, missed uint64 // of those counted: all, and those that were not the oldest of their wake-up
	h             latency.Histogram
}

// early is by how much a wake-up may seem to come before its time: the clocks are read
// one after the other.
const early = 5 * time.Microsecond

// add counts the wakes, which lie between two readings of the clocks. It is an
// error for a wake-up to come before its time, and for expiries to stay away: the newest that a wait took
// is then older than a period after each of the wakes.
func (g *grid) add(wakes []wake, from, to reading) error {
	var newest int64 // the least time since the newest expiry taken
	for i, w := range wakes {
		due := g.first + int64(g.all)*g.period
		if g.relative {
			due = from.between(to, w.begin) + g.period
		}
		end := from.between(to, w.end)
		late := end - due
		if late < -int64(early) {
			return fmt.Errorf("wait %d of %d returned %v before its time", i+1, len(wakes), time.Duration(-late))
		}
		g.h.Record(uint64(max(0, late)))
		g.all += w.taken
		g.taken += w.taken
		g.missed += w.taken - 1
		last := g.first + int64(g.all-1)*g.period
		if ahead := last - from.between(to, w.counted); !g.relative && ahead > int64(early) {
			return fmt.Errorf("%d expiries were taken when the last of them was not due for another %v", g.all, time.Duration(ahead))
		}
		if since := end - last; i == 0 || since < newest {
			newest = since
		}
	}
	if enough := 8; !g.relative && len(wakes) >= enough && newest >= g.period {
		elapsed := (from.between(to, wakes[len(wakes)-1].end)-g.first)/g.period + 1
		return fmt.Errorf("%d periods of %v elapsed, but %d expiries came, %d of them missed", elapsed, time.Duration(g.period), g.all, g.missed)
	}
	return nil
}
