//go:build linux

package measure

import (
	"testing"

	"eventbench/helpers/peer"

	"golang.org/x/sys/unix"
)

// Work is what a technique is tried on.
type Work struct {
	Here  Side
	There Side // no calls: this thread is alone
	// From and To, if set, hold stamps of each iteration ([sys.Stamp]): its
	// latency is what lies between them, not the whole iteration. A ring
	// has room for StampRing.
	From, To []uint64
	// Sleeps says that Here, all of it, waits for a length of time. The
	// deadline's timer interrupts it five times a second, and it begins
	// anew: latencies of such iterations are left out.
	Sleeps bool

	Busy     bool // beside a process that wants this thread's CPU for itself
	RealTime bool // with both parties SCHED_FIFO, sched(7)
	NoSlack  bool // without timer slack, PR_SET_TIMERSLACK of prctl(2)
}

// StampRing is the room for stamps within iterations: more than those of a
// piece of a loop.
const StampRing = 1024

// Technique benchmarks the same work without a technique and with it, so that
// benchstat -col /technique shows what it gains. setup is told which. Its price
// is in cpu-ns/op: the CPU time of the whole process, both parties included,
// for each operation.
func Technique(b *testing.B, place func(on bool) Placed, setup func(p *peer.Pair, on bool) Work) {
	b.Helper()
	for _, technique := range Shuffled(b, "off", "on") {
		b.Run("technique="+technique, func(b *testing.B) {
			on := technique == "on"
			at := placement(b, peer.Thread, place(on))
			if trial(b, readable) {
				return
			}
			p := peer.NewPair(b, at)
			work(b, p, at, setup(p, on))
		})
	}
}

func work(b *testing.B, p *peer.Pair, at peer.Placement, w Work) {
	b.Helper()
	// First the competitor: it is to have the priority that this thread has
	// now.
	working := func() error { return nil }
	if w.Busy {
		working = p.Load(at.Here)
	}
	alone := w.There.Calls == nil
	if w.RealTime {
		realTime(b, p.TID)
		if !alone {
			realTime(b, p.PeerTID)
		}
	}
	if w.NoSlack {
		b.Cleanup(withoutSlack())
	}
	bind(p.Here, p.Arena, w.Here)
	p.Here.Reset(0)
	run := func(n int, record func([]uint64)) error { return p.Party.Run(p.Here, n, record, nil) }
	if !alone {
		bind(p.There, p.Arena, w.There)
		p.There.Reset(warmup + b.N)
		run = p.Run
	}
	settle()
	if !alone {
		p.Open()
	}
	peer.SkipOrFatal(b, run(warmup, nil))
	before := processTime()
	timed(b, w.recorded(p.Party, run), true)
	if used := processTime() - before; !Counted() {
		reportTime(b, float64(used)/float64(b.N), "cpu-ns/op")
	}
	if err := working(); err != nil {
		b.Error(err)
	}
	if !alone {
		peer.SkipOrFatal(b, p.Join())
		if err := account("the peer", p.There, w.There, warmup+b.N); err != nil {
			b.Error(err)
		}
	}
	if err := account("this side", p.Here, w.Here, warmup+b.N); err != nil {
		b.Error(err)
	}
}

// recorded has run record what is to be: what lies between From and To, only
// iterations that were not interrupted where they sleep, or all.
func (w *Work) recorded(p *peer.Party, run runner) runner {
	switch {
	case w.From != nil:
		at := warmup
		return func(n int, record func([]uint64)) error {
			return run(n, func(stamps []uint64) {
				for range stamps[1:] {
					record([]uint64{w.From[at%StampRing], w.To[at%StampRing]})
					at++
				}
			})
		}
	case w.Sleeps:
		return func(n int, record func([]uint64)) error { return run(n, p.Uninterrupted(record)) }
	}
	return run
}

// processTime is the CPU time of all threads of this process so far, in ns.
func processTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // the benchmark asks readable first
	}
	return t.Nano()
}

// realTime makes a thread SCHED_FIFO, at that policy's lowest priority, until
// the benchmark ends. It skips the benchmark where that is not allowed.
func realTime(b *testing.B, tid int) {
	b.Helper()
	old, err := unix.SchedGetAttr(tid, 0)
	if err == nil {
		err = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}
	if err == unix.EPERM {
		b.Skipf("sched_setattr: %v: SCHED_FIFO takes CAP_SYS_NICE or RLIMIT_RTPRIO (ulimit -r)", err)
	}
	if err != nil {
		b.Fatalf("sched_setattr of thread %d: %v", tid, err)
	}
	b.Cleanup(func() {
		if err := unix.SchedSetAttr(tid, old, 0); err != nil && err != unix.ESRCH { // the peer has ended
			b.Errorf("sched_setattr of thread %d, back to what it was: %v", tid, err)
		}
	})
}
