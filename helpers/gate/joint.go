package gate

import (
	"cmp"
	"math"
	"slices"
)

// This file holds the test of a whole family at once, for few samples.
//
// A rank test of four old and four new samples has 35 outcomes apart from
// which side is which. Corrected for a hundred comparisons, none of them could
// be significant, however clear. But those hundred are not a hundred
// experiments: they are eight boots or processes, and if nothing has changed
// then which four of these were called old was a matter of chance. So the
// family is tested as a whole (Westfall and Young, "Resampling-Based Multiple
// Testing", 1993, the max-T procedure): every other way to call four of them
// old is tried on all comparisons together, and each time what counts is the
// comparison that then stands out most. A comparison's p is the share of ways
// in which any comparison of the family stands out as much as it does. However
// many comparisons there are and however they hang together, a false alarm of
// level alpha comes in at most that share of all verdicts on equal systems: it
// is the same samples, drawn once.
//
// How far a comparison stands out is how many times its threshold the near end
// of its interval is away from no change, in logarithms. So it is not the
// median of a side that counts but what all its samples but the fewest agree
// on, and a metric that varies much is not the measure of one that does not.

// A relabeling says which samples are called new: bit i is set for sample i,
// counted over the old side's and then the new side's; of pairs, for those
// rounds whose samples are swapped.
type relabeling uint64

// maxJointWork bounds what the test of a family may cost, in ratios of two
// samples that are looked at: a quarter of a second.
const maxJointWork = 5e6

// A joint is the test of one family.
type joint struct {
	paired  bool
	n1, n2  int
	rank    int          // of the interval's bounds among all ratios, or means of two rounds' ratios
	total   float64      // relabelings there are
	extreme []relabeling // of positions sorted by value, or of differences sorted by size: see patterns, pairPatterns
}

// newJoint prepares the test of a family whose comparisons all have the same
// samples. It returns nil where no relabeling could be significant, and where
// there are too many of them.
func newJoint(family []*Comparison, alpha float64) *joint {
	first := family[0]
	j := &joint{paired: true, n1: len(first.oldValues), n2: len(first.newValues)}
	for _, c := range family {
		j.paired = j.paired && c.paired && c.positive()
	}
	if j.paired && j.n1 < 64 && math.Ldexp(2*pairReserve, -j.n1) <= alpha {
		j.total = math.Ldexp(1, j.n1)
		j.rank, _ = wRank(j.n1, 1-confidence)
		if !j.affordable(len(family), float64(j.n1)*float64(j.n1+1)/2) {
			return nil
		}
		j.pairPatterns(0, 0, j.rank-1)
		return j
	}
	j.paired = false
	if j.n1+j.n2 >= 64 {
		return nil
	}
	j.total = choose(j.n1+j.n2, j.n2)
	least := 1.0
	if j.n1 == j.n2 {
		least = 2 // to call all old ones new is as extreme
	}
	if least/j.total > alpha || !j.affordable(len(family), float64(j.n1)*float64(j.n2)) {
		return nil
	}
	if j.rank, _ = uRank(j.n1, j.n2, 1-confidence); j.rank == 0 {
		return nil
	}
	j.patterns(j.n1+j.n2-1, 0, 0, 0, j.rank-1)
	return j
}

// affordable reports whether the relabelings that matter, those few with an
// interval away from no change, can be tried on m comparisons.
func (j *joint) affordable(m int, ratios float64) bool {
	return (1-confidence)*j.total*ratios*float64(m) <= maxJointWork
}

// patterns lists the ways to hand n2 of the n1+n2 positions, sorted by value,
// to the new side such that in all but at most allowed pairs of an old and a new
// sample the new one is larger. Only these have an interval above 1. It goes
// from the highest position down, and olds and news have been handed out.
func (j *joint) patterns(position, olds, news int, have relabeling, allowed int) {
	if position < 0 {
		j.extreme = append(j.extreme, have)
		return
	}
	if news < j.n2 && olds <= allowed {
		j.patterns(position-1, olds, news+1, have|1<<position, allowed-olds)
	}
	if olds < j.n1 {
		j.patterns(position-1, olds+1, news, have, allowed)
	}
}

// pairPatterns lists the sets of rounds, their differences sorted by size,
// that new may be smaller in for the interval to be above 1: the sum of their
// ranks is at most allowed.
func (j *joint) pairPatterns(from int, have relabeling, allowed int) {
	j.extreme = append(j.extreme, have)
	for r := from; r < j.n1 && r+1 <= allowed; r++ {
		j.pairPatterns(r+1, have|1<<r, allowed-r-1)
	}
}

// adjust sets the adjusted p of every comparison of the family.
func (j *joint) adjust(family []*Comparison) {
	most := make(map[relabeling]float64)
	for _, c := range family {
		c.joint, c.standout = j, c.distance(c.interval.lo, c.interval.hi)
		try := j.relabel
		if j.paired {
			try = j.swap
		}
		try(c, func(l relabeling, distance float64) { most[l] = math.Max(most[l], distance) })
	}
	all := make([]float64, 0, len(most))
	for _, distance := range most {
		all = append(all, distance)
	}
	slices.Sort(all)
	for _, c := range family {
		c.Adjusted = 1
		if c.standout > 0 {
			// Distances that were added up in another order differ in their last digits.
			below, _ := slices.BinarySearch(all, c.standout*(1-1e-9))
			c.asMuch = len(all) - below
			c.Adjusted = math.Min(1, math.Max(c.P, float64(c.asMuch)/j.total))
		}
	}
}

// distance returns how far an interval, of new/old or of new minus old, is from no
// change, in thresholds; it is 0 or less if no change is in it. Differences are
// measured by the largest of all values: whichever of them are called old.
func (c *Comparison) distance(lo, hi float64) float64 {
	far := math.Max(math.Log(lo), -math.Log(hi))
	if c.shift {
		largest := math.Max(math.Max(c.Old.Max, c.New.Max), -math.Min(c.Old.Min, c.New.Min))
		far = math.Log1p(math.Max(0, math.Max(lo, -hi)) / largest)
	}
	return far / math.Log1p(math.Max(c.Threshold, leastThreshold))
}

// leastThreshold stands in for a threshold of zero as the measure of how far a
// comparison stands out.
const leastThreshold = 0.001

// relabel calls f with every relabeling that makes the comparison stand out,
// and how far.
func (j *joint) relabel(c *Comparison, f func(l relabeling, distance float64)) {
	values := slices.Concat(c.oldValues, c.newValues)
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	if values[order[0]] == values[order[len(order)-1]] {
		return
	}
	old, new := make([]float64, 0, j.n1), make([]float64, 0, j.n2)
	for _, up := range []bool{true, false} {
		for _, pattern := range j.extreme {
			old, new = old[:0], new[:0]
			var l relabeling
			for position, sample := range order {
				if pattern>>position&1 == 1 {
					l |= 1 << sample
					new = append(new, values[sample])
				} else {
					old = append(old, values[sample])
				}
			}
			lo, hi := c.bounds(old, new, j.rank)
			if distance := c.distance(lo, hi); distance > 0 {
				f(l, distance)
			}
		}
		if up {
			slices.Reverse(order)
		}
	}
}

// bounds returns the interval of new/old, or of new minus old, bounded by the
// values of the given rank.
func (c *Comparison) bounds(old, new []float64, rank int) (lo, hi float64) {
	all := make([]float64, 0, len(old)*len(new))
	for _, n := range new {
		for _, o := range old {
			if c.shift {
				all = append(all, n-o)
			} else {
				all = append(all, n/o)
			}
		}
	}
	slices.Sort(all)
	return all[rank-1], all[len(all)-rank]
}

// swap is relabel for rounds.
func (j *joint) swap(c *Comparison, f func(l relabeling, distance float64)) {
	diffs, order := make([]float64, j.n1), make([]int, j.n1)
	for i := range diffs {
		diffs[i], order[i] = math.Log(c.newValues[i]/c.oldValues[i]), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(diffs[a]), math.Abs(diffs[b])) })
	if diffs[order[j.n1-1]] == 0 {
		return
	}
	signed, means := make([]float64, j.n1), make([]float64, 0, j.n1*(j.n1+1)/2)
	for _, pattern := range j.extreme {
		var l relabeling
		for r, round := range order {
			d := math.Abs(diffs[round])
			smaller := pattern>>r&1 == 1
			if smaller {
				d = -d
			}
			if smaller != (diffs[round] < 0) {
				l |= 1 << round
			}
			signed[r] = d
		}
		means = means[:0]
		for a, d := range signed {
			for _, e := range signed[a:] {
				means = append(means, (d+e)/2)
			}
		}
		slices.Sort(means)
		if near := means[j.rank-1]; near > 0 {
			distance := c.distance(math.Exp(near), math.Inf(1))
			f(l, distance)
			f(^l&(1<<j.n1-1), distance) // all swapped: as far the other way
		}
	}
}
