package latency

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A reader of HdrHistogram's log format finds the intervals with their tags
// and times, every count, and the values to the width of a bucket.
func TestLog(t *testing.T) {
	const scale = 0.37 // ns a tick
	r := rand.New(rand.NewPCG(3, 4))
	start := time.UnixMilli(1_700_000_000_123)
	var intervals []Interval
	for i, n := range []int{1, 10_000} {
		var h Histogram
		for range n {
			h.Record(uint64(r.ExpFloat64() * 20_000))
		}
		intervals = append(intervals, Interval{
			Tag: "Eventfd/peer=thread-2", Start: start.Add(time.Duration(i) * time.Second),
			End: start.Add(time.Duration(i)*time.Second + 250*time.Millisecond), Histogram: &h, Scale: scale,
		})
	}
	log, err := Log([]string{"unit: ns"}, intervals)
	if err != nil {
		t.Fatal(err)
	}
	if want := "# unit: ns\n#[Histogram log format version 1.3]\n#[StartTime: 1700000000 "; !strings.HasPrefix(string(log), want) {
		t.Errorf("the log begins with %q, want %q", log[:min(len(log), 100)], want)
	}

	reader := hdrhistogram.NewHistogramLogReader(bytes.NewReader(log))
	for i, want := range intervals {
		got, err := reader.NextIntervalHistogram()
		if err != nil || got == nil {
			t.Fatalf("interval %d: %v, %v", i, got, err)
		}
		if got.Tag() != want.Tag {
			t.Errorf("interval %d has tag %q, want %q", i, got.Tag(), want.Tag)
		}
		if length := got.EndTimeMs() - got.StartTimeMs(); length != 250 {
			t.Errorf("interval %d is %d ms long, want 250", i, length)
		}
		h := want.Histogram
		if got.TotalCount() != int64(h.Count()) {
			t.Errorf("interval %d holds %d values, want %d", i, got.TotalCount(), h.Count())
		}
		near := func(what string, got int64, want uint64, tolerance float64) {
			t.Helper()
			if w := float64(want) * scale; math.Abs(float64(got)-w) > w*tolerance+1 {
				t.Errorf("interval %d: %s is %d, want %.0f", i, what, got, w)
			}
		}
		near("max", got.Max(), h.Max(), 0.001)
		for _, p := range []float64{0.1, 50, 99, 99.9} {
			near("a percentile", got.ValueAtPercentile(p), h.Percentile(p), 0.001)
		}
		// Bucket by bucket: as many values at or below its upper end.
		var seen uint64
		for b, n := range h.counts {
			if seen += n; n == 0 {
				continue
			}
			near("a rank", got.ValueAtPercentile(100*float64(seen)/float64(h.n)), h.middle(b), 1./64)
		}
	}
	if got, err := reader.NextIntervalHistogram(); got != nil {
		t.Errorf("one more interval: %v, %v", got, err)
	}
}

// An empty histogram and values of 0 are no errors.
func TestLogOfNothing(t *testing.T) {
	var empty, zero Histogram
	zero.Record(0)
	at := time.UnixMilli(5000)
	log, err := Log(nil, []Interval{
		{Tag: "empty", Start: at, End: at, Histogram: &empty, Scale: 1},
		{Tag: "zero", Start: at, End: at, Histogram: &zero, Scale: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := hdrhistogram.NewHistogramLogReader(bytes.NewReader(log))
	for _, want := range []int64{0, 1} {
		got, err := reader.NextIntervalHistogram()
		if err != nil || got == nil {
			t.Fatalf("got %v, %v; want %d values of 0", got, err, want)
		}
		if got.TotalCount() != want || got.Max() != 0 {
			t.Errorf("got %d values, the largest %d; want %d of 0", got.TotalCount(), got.Max(), want)
		}
	}
}
