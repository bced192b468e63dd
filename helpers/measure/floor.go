//go:build linux

package measure

import (
	"testing"
	"time"

	"eventbench/helpers/peer"
)

// A floor is the lowest mean of a stretch of a loop: what an operation takes
// while nothing else runs. Whatever disturbs a loop on a wall clock, such as
// another process on its CPU or a neighbour of the virtual machine, adds to some
// stretches and takes nothing from any. Where the means of processes vary by
// 30 %, their floors vary by less than 1 %. A floor does not see what happens
// less often than once in a stretch.
type floor struct {
	least float64 // what a stretch must last
	n     int     // operations in the next stretch
	best  float64 // mean; 0 before the first that lasted long enough
}

// stretch is long enough for reading the clock and returning to Go to be a
// thousandth of it, and short enough for some to fall between two disturbances.
const stretch = 100 * time.Microsecond

func newFloor(least float64) *floor { return &floor{least: least, n: 16} }

// add adds a stretch of the n operations that were due. One that is too short
// doubles the next.
func (f *floor) add(took float64) {
	if took < f.least {
		f.n *= 2
		return
	}
	if mean := took / float64(f.n); f.best == 0 || mean < f.best {
		f.best = mean
	}
}

// record adds the stretches between stamps.
func (f *floor) record(stamps []uint64) {
	for i := 0; i+f.n < len(stamps); {
		from := i
		i += f.n
		f.add(float64(stamps[i] - stamps[from]))
	}
}

// report reports the floor, a unit of which is scale ns, if there is one.
func (f *floor) report(b *testing.B, scale float64) {
	b.Helper()
	reportTime(b, f.best*scale, "floor-ns/op")
}

// stretched runs the benchmark's b.N operations as one timed loop, a stretch at
// a time.
func stretched(b *testing.B, run runner) {
	b.Helper()
	f := newFloor(float64(stretch))
	_, _, err := clocked(b, func() error {
		for left := b.N; left > 0; {
			n := min(f.n, left)
			start := time.Now()
			if err := run(n, nil); err != nil {
				return err
			}
			if n == f.n {
				f.add(float64(time.Since(start)))
			}
			left -= n
		}
		return nil
	})
	peer.SkipOrFatal(b, err)
	f.report(b, 1)
}
