package gate

import (
	"cmp"
	"math"
	"slices"
)

// An adjustment is the correction of one test's p for the size of its family.
type adjustment struct {
	p        float64
	standing int     // tests with no smaller p, itself included
	charge   float64 // the probability that one of those has a p as small by chance
}

// adjust returns, for every test of a family, the p that accounts for all of
// them: when nothing has changed, the probability that any adjusted p is at
// most alpha is itself at most alpha, however the tests depend on each other.
//
// It is Holm's step-down procedure, sharpened for discrete tests (Westfall and
// Wolfinger, "Multiple Tests with Discrete Distributions", The American
// Statistician 51, 1997). Holm charges a p for each hypothesis still standing
// as much as that p: p times their number. A hypothesis whose own test cannot
// reach so small a p, because of its ties or its few samples, cannot cause a
// false alarm there, and is charged only what it can reach. Where all tests
// have equal sample sizes and no ties this is Holm's figure; 60 allocation
// counts that never vary cost the 20 timings beside them nothing.
func adjust(tests []*rankTest) []adjustment {
	// Tests without ties share one list of attainable p by sample size:
	// count those still standing by their list instead of one by one.
	type group struct {
		test     *rankTest
		standing int
	}
	var groups []*group
	byList := make(map[*float64]*group)
	member := make([]*group, len(tests))
	order := make([]int, len(tests))
	for i, t := range tests {
		var list *float64
		if t.attainable != nil {
			list = &t.attainable[0]
		}
		if byList[list] == nil {
			byList[list] = &group{test: t}
			groups = append(groups, byList[list])
		}
		member[i], order[i] = byList[list], i
		member[i].standing++
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tests[a].p, tests[b].p) })
	adjusted := make([]adjustment, len(tests))
	last := 0.0
	for done, i := range order {
		sum := 0.0
		for _, g := range groups {
			if g.standing > 0 {
				sum += float64(g.standing) * g.test.size(tests[i].p)
			}
		}
		last = math.Max(last, math.Min(1, sum))
		adjusted[i] = adjustment{p: last, standing: len(tests) - done, charge: sum}
		member[i].standing--
	}
	return adjusted
}
