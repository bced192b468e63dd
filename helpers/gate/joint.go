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
// How far a comparison stands out is the distance of its interval's near end
// from no change, as a multiple of its threshold, in logarithms. So what counts
// is not a side's median but what nearly all its samples agree on, and a metric
// that varies much does not set the measure for one that does not.

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
// samples. It returns nil if no relabeling could be significant or there are
// too many.
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

// affordable reports whether the relabelings that matter, the few with an
// interval away from no change, can be tried on m comparisons.
func (j *joint) affordable(m int, ratios float64) bool {
	return (1-confidence)*j.total*ratios*float64(m) <= maxJointWork
}

// patterns lists the ways to give n2 of the n1+n2 positions, sorted by value,
// to the new side such that the new sample is larger in all but at most allowed
// pairs of an old and a new sample. Only these have an interval above 1. It
// works down from the highest position; olds and news have been given out.
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
	// Only distances that reach a comparison's own count in the end.
	least := math.Inf(1)
	for _, c := range family {
		c.joint, c.standout = j, c.distance(c.interval.lo, c.interval.hi)
		if c.standout > 0 {
			least = math.Min(least, c.standout)
		}
	}
	most := make(map[relabeling]float64)
	if !math.IsInf(least, 1) {
		for _, c := range family {
			if j.paired {
				j.swap(c, least, most)
			} else {
				j.relabel(c, least, most)
			}
		}
	}
	all := make([]float64, 0, len(most))
	for _, distance := range most {
		all = append(all, distance)
	}
	slices.Sort(all)
	for _, c := range family {
		c.Adjusted = 1
		if c.standout > 0 {
			// Distances that were added up in another order differ
			// in their last digits.
			below, _ := slices.BinarySearch(all, c.standout*(1-1e-9))
			c.asMuch = len(all) - below
			c.Adjusted = math.Min(1, math.Max(c.P, float64(c.asMuch)/j.total))
		}
	}
}

// distance returns how far an interval, of new/old or of new minus old, is from
// no change, in thresholds. It is 0 or less if the interval includes no change.
// Differences are measured against the largest of all values, which does not
// depend on which of them are called old.
func (c *Comparison) distance(lo, hi float64) float64 {
	far := math.Max(math.Log(lo), -math.Log(hi))
	if c.shift {
		far = math.Log1p(math.Max(0, math.Max(lo, -hi)) / c.largest())
	}
	return far / c.threshold()
}

// leastThreshold stands in for a threshold of zero as the measure of how far a
// comparison stands out.
const leastThreshold = 0.001

// threshold is what a distance of 1 is, as a logarithm.
func (c *Comparison) threshold() float64 {
	return math.Log1p(math.Max(c.Threshold, leastThreshold))
}

// largest is the largest of all values, by size.
func (c *Comparison) largest() float64 {
	return math.Max(math.Max(c.Old.Max, c.New.Max), -math.Min(c.Old.Min, c.New.Min))
}

// near returns the end of an interval, above no change, that is at a distance:
// or a hair less, for distances that were worked out in another order.
func (c *Comparison) near(distance float64) float64 {
	const hair = 1e-12
	far := distance * c.threshold()
	if c.shift {
		return c.largest() * (math.Expm1(far) - hair)
	}
	return math.Exp(far) * (1 - hair)
}

// relabel records in most, for every relabeling that makes the comparison stand
// out, how far it does, if that is at least least and more than already
// recorded.
func (j *joint) relabel(c *Comparison, least float64, most map[relabeling]float64) {
	values := slices.Concat(c.oldValues, c.newValues)
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	if values[order[0]] == values[order[len(order)-1]] {
		return
	}
	slices.Sort(values)
	bound := c.near(least)
	old, new := make([]float64, 0, j.n1), make([]float64, 0, j.n2)
	for _, up := range []bool{true, false} {
		low, high := &old, &new
		if !up {
			low, high = high, low
		}
		for _, pattern := range j.extreme {
			old, new = old[:0], new[:0]
			var l relabeling
			for position, sample := range order {
				bit := position
				if !up {
					bit = len(order) - 1 - position
				}
				if pattern>>bit&1 == 1 {
					l |= 1 << sample
					new = append(new, values[position])
				} else {
					old = append(old, values[position])
				}
			}
			// Most do not get as far, which is quicker to see than
			// how far they get.
			if !c.reaches(*low, *high, j.rank, bound) {
				continue
			}
			if noted, ok := most[l]; ok && !c.reaches(*low, *high, j.rank, c.near(noted)) {
				continue
			}
			lo, hi := c.bounds(old, new, j.rank)
			most[l] = math.Max(most[l], c.distance(lo, hi))
		}
	}
}

// reaches reports whether the value of the given rank, of all high/low or high
// minus low, is at least bound. Both are sorted.
func (c *Comparison) reaches(low, high []float64, rank int, bound float64) bool {
	less, below := 0, 0
	for _, l := range low {
		least := l * bound
		if c.shift {
			least = l + bound
		}
		for below < len(high) && high[below] < least {
			below++
		}
		if less += below; less >= rank {
			return false
		}
	}
	return true
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
func (j *joint) swap(c *Comparison, least float64, most map[relabeling]float64) {
	diffs, order := make([]float64, j.n1), make([]int, j.n1)
	for i := range diffs {
		diffs[i], order[i] = math.Log(c.newValues[i]/c.oldValues[i]), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(diffs[a]), math.Abs(diffs[b])) })
	if diffs[order[j.n1-1]] == 0 {
		return
	}
	all := relabeling(1)<<j.n1 - 1
	bound := math.Log(c.near(least))
	signed, means := make([]float64, j.n1), make([]float64, 0, j.n1*(j.n1+1)/2)
	for _, pattern := range j.extreme {
		var l relabeling
		// Sorted: the largest of those below zero come first.
		from, to := 0, j.n1-1
		for r := j.n1 - 1; r >= 0; r-- {
			round := order[r]
			d := math.Abs(diffs[round])
			smaller := pattern>>r&1 == 1
			if smaller != (diffs[round] < 0) {
				l |= 1 << round
			}
			if smaller {
				signed[from] = -d
				from++
			} else {
				signed[to] = d
				to--
			}
		}
		if !meansReach(signed, j.rank, bound) {
			continue
		}
		if noted, ok := most[l]; ok && !meansReach(signed, j.rank, math.Log(c.near(noted))) {
			continue
		}
		means = means[:0]
		for a, d := range signed {
			for _, e := range signed[a:] {
				means = append(means, (d+e)/2)
			}
		}
		slices.Sort(means)
		distance := c.distance(math.Exp(means[j.rank-1]), math.Inf(1))
		most[l] = math.Max(most[l], distance)
		most[^l&all] = math.Max(most[^l&all], distance) // all swapped: as far the other way
	}
}

// meansReach reports whether the value of the given rank, of the means of all
// two of them and of each with itself, is at least bound. They are sorted.
func meansReach(sorted []float64, rank int, bound float64) bool {
	less, below := 0, len(sorted)
	for a, d := range sorted {
		for below > a && (d+sorted[below-1])/2 >= bound {
			below--
		}
		if below <= a {
			break
		}
		if less += below - a; less >= rank {
			return false
		}
	}
	return true
}
