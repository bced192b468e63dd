// Package latency keeps the latencies of single operations and says what
// their percentiles are.
package latency

import (
	"math"
	"math/bits"
)

// A Histogram counts values from 0 up in buckets of which each is at most 1/128
// of its value wide: a percentile is right to 0.8 %. Its memory is fixed, and
// recording a value is a shift and an increment.
//
// The layout is HdrHistogram's: 128 linear buckets, then 64 more for each
// doubling.
type Histogram struct {
	counts   [buckets]uint64
	n, sum   uint64
	min, max uint64
}

const (
	subBits = 7 // 128 linear buckets, 64 in each doubling after them
	sub     = 1 << subBits
	half    = sub / 2
	buckets = sub + half*(64-subBits)
)

// Record counts v once.
func (h *Histogram) Record(v uint64) {
	if h.n == 0 || v < h.min {
		h.min = v
	}
	h.max = max(h.max, v)
	h.n++
	h.sum += v
	h.counts[index(v)]++
}

func index(v uint64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits
	return sub + (shift-1)*half + int(v>>shift) - half
}

// bounds returns the lowest and the highest value that bucket i counts.
func bounds(i int) (lowest, highest uint64) {
	if i < sub {
		return uint64(i), uint64(i)
	}
	shift := (i-sub)/half + 1
	lowest = uint64((i-sub)%half+half) << shift
	return lowest, lowest + 1<<shift - 1
}

// middle returns the value that stands for those in bucket i: never outside
// what was recorded.
func (h *Histogram) middle(i int) uint64 {
	lowest, highest := bounds(i)
	return min(max(lowest+(highest-lowest)/2, h.min), h.max)
}

// Count returns how many values were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Max returns the largest value recorded, exactly; 0 if there was none.
func (h *Histogram) Max() uint64 { return h.max }

// Mean returns the mean of the values, exactly; 0 if there was none.
func (h *Histogram) Mean() float64 {
	if h.n == 0 {
		return 0
	}
	return float64(h.sum) / float64(h.n)
}

// Percentile returns the value that p percent of the values do not exceed: the
// middle of its bucket, never outside what was recorded; 0 if there was none.
func (h *Histogram) Percentile(p float64) uint64 {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(p * float64(h.n) / 100))
	rank = min(max(rank, 1), h.n)
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen >= rank {
			return h.middle(i)
		}
	}
	return h.max
}

// Reset empties h.
func (h *Histogram) Reset() { *h = Histogram{} }
