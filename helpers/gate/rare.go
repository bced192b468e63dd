package gate

import (
	"math"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// This file judges rare costs: instructions that fall on one operation in many.
//
// The count of single operations, their mode, does not show them. The mean
// does, but only in small: 500 instructions in every 64th operation are 8 in
// each. The threshold of a mean is larger than that for most benchmarks, as the
// compiler may lay out a path differently, which changes each operation. Where
// the counts of both sides are the same, no path was laid out differently. And
// what the mean has beyond the count repeats over boots on most kernels, to a
// few instructions in ten thousand. There it has a threshold of its own, that
// of the unit rare-instrs/op.

const (
	countUnit = "instrs/op"
	meanUnit  = "mean-instrs/op"
	rareUnit  = "rare-instrs/op" // of rules only
)

// steadiness is how far apart the samples of a side may lie in what their mean
// has beyond the count, as a share of the count: 1 of 2000, which is how far a
// mean is rounded.
const steadiness = 0.0005

// leastRare is the smallest rare cost that fails, in instructions of each
// operation. A loop's first operation is one of a hundred; what it does
// differently is no operation's cost.
const leastRare = 3

// rareCosts gives the mean of one benchmark the threshold of rare costs, if its
// samples are steady and the counts are the same.
func (g *gate) rareCosts(of []*Comparison, ob, nb *bench) {
	find := func(unit string) *Comparison {
		if i := slices.IndexFunc(of, func(c *Comparison) bool { return c.Unit == unit }); i >= 0 && of[i].counted && of[i].Gates {
			return of[i]
		}
		return nil
	}
	count, mean := find(countUnit), find(meanUnit)
	if count == nil || mean == nil || !slices.Equal(count.oldSamples, mean.oldSamples) || !slices.Equal(count.newSamples, mean.newSamples) {
		return
	}
	if oldCounts, newCounts := count.sorted(); misfit(oldCounts, newCounts, 0, 1) > 0 {
		return
	}
	base := slices.Min(count.oldValues)
	old, ok1 := atCount(mean.oldValues, count.oldValues, base)
	new, ok2 := atCount(mean.newValues, count.newValues, base)
	if !ok1 || !ok2 {
		return
	}
	unit := benchfmt.Value{Unit: rareUnit}
	r := g.first(ob, nb, unit, unit)
	if threshold := math.Max(r.threshold, leastRare/base); r.gates(unit, ob, nb) && threshold < mean.Threshold {
		mean.oldValues, mean.newValues = old, new
		mean.Threshold, mean.Rule, mean.RulePos = threshold, r.text, r.pos
		mean.rare, mean.base = true, base
	}
}

// atCount returns the means that the samples would have if all had the same
// count, and whether these are steady.
func atCount(means, counts []float64, base float64) (at []float64, steady bool) {
	at = slices.Clone(means)
	for i, c := range counts {
		if c != base { // or the difference would only be rounded
			at[i] += base - c
		}
	}
	return at, slices.Max(at)-slices.Min(at) <= math.Max(1, steadiness*base)
}
