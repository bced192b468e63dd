package gate

import (
	"math/rand/v2"
	"slices"
)

// This file tests a family of comparisons that are judged by value.
//
// If nothing has changed, then which of the boots are called new was a matter of
// chance. So the family is tested as a whole (Westfall and Young,
// "Resampling-Based Multiple Testing", 1993, the min-P procedure). Each
// comparison has two statistics, and each statistic a p: the share of all ways
// to call as many boots new, all comparisons alike, in which it is as large. The
// adjusted p is the share of those ways in which any p of the family is as
// small. If nothing has changed, a false alarm of level alpha comes in at most
// that share of all verdicts, however many comparisons there are, however many
// ways they have, and however these hang together.
//
// The statistics are:
//
//   - ways: the number of samples that have no counterpart of the same way on
//     the other side (unmatched). Among equal numbers, a change counts for more
//     if it is in one direction. This finds that a way has moved, is new, is
//     gone, or is much more frequent.
//   - rank: in how many pairs new is above old rather than below (apart). This
//     finds that values which are no ways but a smear have moved.
//
// In both, a difference within the threshold is none. So however many
// comparisons vary by less than that, they cost the others nothing.

// maxRelabelings is how many relabelings are tried where there are more. The
// smallest p is then 1/20000; the last of four looks has an alpha of 0.0008.
const maxRelabelings = 20_000

// A subset says which samples, counted over the old side's and then the new
// side's, are called new: a bit for each.
type subset []uint64

func newSubset(of int) subset { return make(subset, (of+63)/64) }

func (s subset) add(i int) { s[i/64] |= 1 << (i % 64) }

// lastOf is the subset of the last n2 of n1+n2 samples.
func lastOf(n1, n2 int) subset {
	s := newSubset(n1 + n2)
	for i := n1; i < n1+n2; i++ {
		s.add(i)
	}
	return s
}

// relabelings returns all ways to call n2 of n1+n2 samples new, or
// maxRelabelings of them drawn at random. The first is the samples' own.
func relabelings(n1, n2 int) []subset {
	all := []subset{lastOf(n1, n2)}
	if total := choose(n1+n2, n2); total <= maxRelabelings && n1+n2 < 64 {
		// From each number to the next larger one with as many bits.
		for l := uint64(1)<<n2 - 1; len(all) < int(total); {
			if l != all[0][0] {
				all = append(all, subset{l})
			}
			lowest := l & -l
			carried := l + lowest
			l = carried | (l^carried)/lowest>>2
		}
		return all
	}
	r := rand.New(rand.NewPCG(uint64(n1), uint64(n2)))
	samples := make([]int, n1+n2)
	for i := range samples {
		samples[i] = i
	}
	for len(all) < maxRelabelings {
		l := newSubset(n1 + n2)
		for i := range n2 {
			j := i + r.IntN(n1+n2-i)
			samples[i], samples[j] = samples[j], samples[i]
			l.add(samples[i])
		}
		all = append(all, l)
	}
	return all
}

// A chance is what a test of the family says of one comparison's statistics.
type chance struct {
	ways, rank  float64 // adjusted p
	asUnlikely  int     // relabelings in which any p of the family is as small as the smaller one
	relabelings int
}

// together tests comparisons that have the same samples.
func together(family []*Comparison) {
	n1, n2 := len(family[0].oldValues), len(family[0].newValues)
	labels := relabelings(n1, n2)
	total := len(labels)
	// For each relabeling, its smallest p as a number of relabelings.
	least := make([]int, total)
	for i := range least {
		least[i] = total
	}
	// tally returns in how many relabelings the statistic is as large as in
	// the first. It notes the same of each.
	sorted := make([]int, total)
	tally := func(stats []int) int {
		copy(sorted, stats)
		slices.Sort(sorted)
		asLarge := func(stat int) int {
			below, _ := slices.BinarySearch(sorted, stat)
			return total - below
		}
		for i, s := range stats {
			least[i] = min(least[i], asLarge(s))
		}
		return asLarge(stats[0])
	}
	type found struct{ ways, rank int }
	numbers := make([]found, len(family))
	ways, rank := make([]int, total), make([]int, total)
	for i, c := range family {
		numbers[i] = found{total, total}
		y := newLayout(c.oldValues, c.newValues, 1+c.Threshold)
		if len(y.groups) == 1 {
			continue
		}
		for k, l := range labels {
			y.call(l)
			ways[k] = y.unmatched()*(n1*n2+1) + abs(y.direction())
			rank[k] = abs(y.apart())
		}
		numbers[i] = found{tally(ways), tally(rank)}
	}
	slices.Sort(least)
	// asUnlikely returns in how many relabelings any p is as small.
	asUnlikely := func(n int) int {
		k, _ := slices.BinarySearch(least, n+1)
		return k
	}
	for i, c := range family {
		n := numbers[i]
		smaller := min(n.ways, n.rank)
		share := func(k int) float64 { return float64(k) / float64(total) }
		c.P, c.chance = share(smaller), chance{
			ways: share(asUnlikely(n.ways)), rank: share(asUnlikely(n.rank)),
			asUnlikely: asUnlikely(smaller), relabelings: total,
		}
		c.Adjusted = share(c.chance.asUnlikely)
	}
}

func abs(n int) int { return max(n, -n) }
