package latency

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Every value falls into the bucket whose bounds contain it, and the buckets
// follow one another without gap or overlap.
func TestBucketsTile(t *testing.T) {
	var next uint64
	for i := range buckets {
		lowest, highest := bounds(i)
		if lowest != next {
			t.Fatalf("bucket %d begins at %d, want %d", i, lowest, next)
		}
		if got := index(lowest); got != i {
			t.Errorf("index(%d) = %d, want %d", lowest, got, i)
		}
		if got := index(highest); got != i {
			t.Errorf("index(%d) = %d, want %d", highest, got, i)
		}
		next = highest + 1
	}
	if next != 0 {
		t.Errorf("the last bucket ends at %d, want the largest uint64", next-1)
	}
}

// A percentile is within 1/128 of the one that sorting gives.
func TestPercentile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	values := make([]uint64, 10_000)
	for i := range values {
		values[i] = uint64(r.ExpFloat64() * 5000)
		h.Record(values[i])
	}
	slices.Sort(values)
	check := func(p float64, want uint64) {
		t.Helper()
		got := h.Percentile(p)
		if diff := float64(got) - float64(want); diff > float64(want)/128 || -diff > float64(want)/128 {
			t.Errorf("Percentile(%v) = %d, want %d to 1/128", p, got, want)
		}
	}
	check(0, values[0])
	check(50, values[4999])
	check(99, values[9899])
	check(99.9, values[9989])
	check(100, values[9999])
	if h.Max() != values[9999] {
		t.Errorf("Max = %d, want %d", h.Max(), values[9999])
	}
	if h.Count() != 10_000 {
		t.Errorf("Count = %d, want 10000", h.Count())
	}
}

func TestEmptyAndOne(t *testing.T) {
	var h Histogram
	if got := h.Percentile(50); got != 0 {
		t.Errorf("Percentile of nothing = %d, want 0", got)
	}
	h.Record(1 << 40)
	for _, p := range []float64{0, 50, 100} {
		if got := h.Percentile(p); got != 1<<40 {
			t.Errorf("Percentile(%v) of one value = %d, want it exactly", p, got)
		}
	}
	h.Reset()
	if h.Count() != 0 || h.Max() != 0 {
		t.Errorf("after Reset: count %d, max %d, want 0, 0", h.Count(), h.Max())
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Record(uint64(i) & 0xffff)
	}
}
