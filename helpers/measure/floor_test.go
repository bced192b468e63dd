//go:build linux

package measure

import (
	"testing"

	"eventbench/helpers/peer"
	"eventbench/helpers/sys"
)

// A floor is the lowest mean of the stretches that last long enough. Too short a
// one doubles the next.
func TestFloor(t *testing.T) {
	f := newFloor(100)
	for _, s := range []struct {
		took, best float64
		n          int
	}{
		{40, 0, 32},     // 16 operations, too short
		{320, 10, 32},   // 10 each
		{3200, 10, 32},  // disturbed
		{96, 10, 64},    // 3 each, and too short
		{256, 4, 64},    // 4 each
		{1e9, 4, 64},    // a neighbour
		{4 * 64, 4, 64}, // as before
	} {
		if f.add(s.took); f.best != s.best || f.n != s.n {
			t.Errorf("after a stretch of %v: floor %v, next stretch of %d operations; want %v and %d", s.took, f.best, f.n, s.best, s.n)
		}
	}
}

// Stamps are cut into stretches; what is left over is none.
func TestFloorOfStamps(t *testing.T) {
	f := newFloor(100)
	var stamps []uint64
	at := uint64(1000)
	for i := range 3*16 + 5 {
		stamps = append(stamps, at)
		if at += 10; i < 16 { // the first stretch is slower
			at += 7
		}
	}
	if f.record(stamps); f.best != 10 || f.n != 16 {
		t.Errorf("floor %v, stretches of %d; want 10 and 16", f.best, f.n)
	}
	f = newFloor(1e6)
	if f.record(stamps); f.best != 0 || f.n != 64 {
		t.Errorf("stretches that are too short: floor %v, next stretch of %d operations; want none, and 64", f.best, f.n)
	}
}

// On a wall clock a loop that is long enough for a stretch has a floor, which is
// at most the mean; a shorter one has none.
func TestLoopsHaveFloors(t *testing.T) {
	bench := func(times string) testing.BenchmarkResult {
		iterations(t, times)
		return testing.Benchmark(func(b *testing.B) {
			Self(b, func(p *peer.Party) Side { return Side{Calls: []sys.Call{sys.Getppid()}} })
		})
	}
	r := bench("50000x")
	if floor := r.Extra["floor-ns/op"]; floor <= 0 || floor*float64(r.N) > 1.1*float64(r.T) {
		t.Errorf("50000 operations: floor %v ns, mean %v ns; want a floor, and not above the mean", floor, float64(r.T)/float64(r.N))
	}
	if r := bench("20x"); r.N != 20 || len(r.Extra) != 0 {
		t.Errorf("20 operations: %v, want no floor", r)
	}
}
