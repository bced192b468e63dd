package gate

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
)

// exactSamples is how many samples of a side must agree before a metric that
// declares itself exact is treated as exact. A count with two states, chosen at
// random by the seed, would agree on each side and differ between sides with a
// probability of at most 2/4^5, 1 in 512. Known cases: futex hash buckets, the
// address order of files in an epoll.
const exactSamples = 5

// confidence is the level of every interval. It belongs to a single comparison;
// a regression must also be significant in its family.
const confidence = 0.95

// pairReserve is how many times smaller than needed the smallest p of the
// signed-rank test must be before rounds are compared as pairs. That smallest
// p, 2/2^n, shrinks more slowly with the number of rounds than the U test's. At
// the limit, only unanimous rounds would be significant.
const pairReserve = 10

// maxNeed is the largest number of samples that it makes sense to ask for.
const maxNeed = 1000

// power is the probability that the number of samples asked for will tell, if
// the change and the spread are as they now seem.
const power = 0.8

// collapse is the ratio at which a benchmark is no longer believed to do the
// same work.
const collapse = 0.1

// A Verdict is the gate's judgement of one benchmark in one unit.
type Verdict string

const (
	Regression  Verdict = "regression"
	Improvement Verdict = "improvement"
	NoChange    Verdict = "no change" // beyond the threshold
	CannotTell  Verdict = "cannot tell"
	Changed     Verdict = "changed" // beyond the threshold, in a unit without a direction
)

// A Comparison is one benchmark in one unit: old, new, and the verdict. Values
// are in Unit, ratios are new/old.
type Comparison struct {
	Pkg    string // import path, where the results say
	Name   string // without the prefix Benchmark
	Unit   string // as the benchmark writes it
	Better string // lower, higher or ""
	Old    Summary
	New    Summary
	Method string // exact, by value, or the name of the test

	Ratio  float64 // the estimate
	Lo, Hi float64 // its interval; 0 and +Inf where there are too few samples for one
	Level  float64 // the confidence of that interval

	P        float64 // of no change at all; 0 when exact
	Adjusted float64 // P for the whole family
	Family   int     // comparisons tested together

	Threshold float64 // 0.05 is 5 %
	Rule      string  // that gave the threshold
	RulePos   string  // its file and line
	Gates     bool    // a regression fails the gate

	Verdict Verdict
	// Collapsed means that the new cost is certainly a tenth of the old or
	// less: the benchmark has probably stopped doing its work.
	Collapsed bool
	Safe      bool   // cannot tell, but a regression beyond the threshold is excluded
	Need      int    // samples a side that would tell; 0 if that is not the question, or beyond all measure
	AtLeast   bool   // Need is a lower bound: nothing shows the spread yet
	Reason    string // one sentence
	// Where lists the functions that make up most of the change, if whoever
	// made the report looked for them.
	Where *Where

	old, new   *series
	oldSamples []*Sample
	newSamples []*Sample
	oldValues  []float64 // by sample, in Unit
	newValues  []float64
	paired     bool
	exact      bool // declared
	counted    bool // in a guest's instructions, and so judged by value
	rare       bool // what the mean has beyond the count is judged, all counts being base
	base       float64
	chance     chance  // what the family says of one that is
	allMoved   bool    // Ratio is that of a shift of all ways
	moved      float64 // that shift, in exact units
	doubt      doubt   // why it cannot be told, of one that is
	lowest     bool    // of the lines of a sample
	test       rankTest
	interval   interval
	shift      bool       // the interval is of differences, not of ratios
	parts      int        // of the family, tested each by itself
	adjustment adjustment // where the part was tested one by one
	joint      *joint     // where the part was tested as a whole
	standout   float64    // the distance of the interval from no change, in thresholds
	asMuch     int        // relabelings in which any comparison stands out as much
}

// A Summary is one side of a comparison: the median of the samples with its
// exact 95 % interval, infinite below six samples.
type Summary struct {
	Median, Lo, Hi float64
	Min, Max       float64
	N              int
}

// blocks reports whether the comparison has too few samples for the gate to
// pass.
func (c *Comparison) blocks() bool { return c.Gates && c.Verdict == CannotTell && !c.Safe }

// fails reports whether the comparison fails the gate.
func (c *Comparison) fails() bool { return c.Gates && c.Verdict == Regression }

// harm orders comparisons by how bad they are.
func (c *Comparison) harm() float64 {
	if c.Better == "higher" {
		return 1 / c.Ratio
	}
	return c.Ratio
}

// decideAll tests every comparison and gives the verdicts.
func (g *gate) decideAll(r *Report) {
	var gated, informing []*Comparison
	for _, c := range r.Comparisons {
		c.Old, c.New = summarize(c.oldValues), summarize(c.newValues)
		switch {
		case c.comparedExactly():
			c.Method = "exact"
			c.Ratio = ratio(c.New.Median-c.Old.Median, c.Old.Median)
			c.Lo, c.Hi, c.Level = c.Ratio, c.Ratio, 1
		case c.Gates:
			gated = append(gated, c)
		default:
			informing = append(informing, c)
		}
	}
	// Comparisons that can fail the gate are one family, those that only
	// inform another, so that a dozen percentiles do not cost the gate
	// power.
	for _, family := range [][]*Comparison{gated, informing} {
		parts := partition(family, g.Alpha)
		for _, part := range parts {
			part.test(g.Alpha/float64(len(parts)), len(parts))
		}
	}
	for _, c := range r.Comparisons {
		c.decide(g.Alpha, g.DistrustCollapse)
	}
	slices.SortStableFunc(r.Comparisons, func(a, b *Comparison) int {
		return cmp.Or(cmp.Compare(a.severity(), b.severity()), cmp.Compare(b.harm(), a.harm()))
	})
}

// A part of a family is tested together: by value, as a whole, or one by one if
// joint is nil.
type part struct {
	joint *joint
	of    []*Comparison
}

// partition divides a family by the samples that its comparisons have. Usually
// there is one part. A benchmark that may be missing from a sample must not
// keep the others from being tested as a whole. Comparisons that cannot be
// tested that way form one part.
func partition(family []*Comparison, alpha float64) []*part {
	var sets [][]*Comparison
	for _, c := range family {
		i := slices.IndexFunc(sets, func(set []*Comparison) bool {
			return slices.Equal(c.oldSamples, set[0].oldSamples) && slices.Equal(c.newSamples, set[0].newSamples)
		})
		if i < 0 {
			i = len(sets)
			sets = append(sets, nil)
		}
		sets[i] = append(sets[i], c)
	}
	var parts []*part
	rest := &part{}
	for _, set := range sets {
		if set[0].counted {
			parts = append(parts, &part{nil, set})
		} else if j := newJoint(set, alpha/float64(len(sets))); j != nil {
			parts = append(parts, &part{j, set})
		} else {
			rest.of = append(rest.of, set...)
		}
	}
	if rest.of != nil {
		parts = append(parts, rest)
	}
	return parts
}

// test tests one of several parts of a family. Each part may take its share of
// alpha, so an adjusted p is multiplied by the number of parts.
func (p *part) test(alpha float64, parts int) {
	tests := make([]*rankTest, len(p.of))
	for i, c := range p.of {
		c.Family, c.parts = len(p.of), parts
		if c.counted {
			c.compareWays()
			continue
		}
		c.measure(p.joint, len(p.of), alpha)
		c.P = c.test.p
		tests[i] = &c.test
	}
	if p.of[0].counted {
		together(p.of)
	} else if p.joint != nil {
		p.joint.adjust(p.of)
	} else {
		for i, a := range adjust(tests) {
			p.of[i].Adjusted, p.of[i].adjustment = a.p, a
		}
	}
	for _, c := range p.of {
		for _, p := range []*float64{&c.Adjusted, &c.chance.ways, &c.chance.rank} {
			*p = math.Min(1, *p*float64(parts))
		}
	}
}

// comparedExactly reports whether two numbers are compared: a metric declared
// exact with one value a side. Counted ones are compared by their ways.
func (c *Comparison) comparedExactly() bool {
	return c.exact && !c.counted && c.agree()
}

// agree reports whether all samples of each side have one value.
func (c *Comparison) agree() bool { return c.Old.Min == c.Old.Max && c.New.Min == c.New.Max }

// reduced says how the lines of a sample were reduced to one value.
func (c *Comparison) reduced() string {
	if c.lowest {
		return "lowest"
	}
	return "median"
}

func summarize(values []float64) Summary {
	// NewSample sorts what it is given.
	s := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(s, confidence)
	return Summary{Median: sum.Center, Lo: sum.Lo, Hi: sum.Hi, Min: s.Values[0], Max: s.Values[len(values)-1], N: len(values)}
}

// positive reports whether the values have ratios.
func (c *Comparison) positive() bool { return c.Old.Min > 0 && c.New.Min > 0 }

// measure runs the test and finds the interval, for a family of m that is
// tested as a whole or, if j is nil, one by one.
func (c *Comparison) measure(j *joint, m int, alpha float64) {
	n := len(c.oldValues)
	paired := c.paired && c.positive() && n < 1000 && math.Ldexp(2*pairReserve*float64(m), -n) <= alpha
	if j != nil {
		paired = j.paired
	}
	switch {
	case paired:
		logs := make([]float64, n)
		for i := range logs {
			logs[i] = math.Log(c.newValues[i]) - math.Log(c.oldValues[i])
		}
		c.test = signedRank(logs)
		c.interval = pairedInterval(c.oldValues, c.newValues, 1-confidence)
	case c.positive():
		c.paired = false
		c.test = mannWhitney(c.oldValues, c.newValues)
		c.interval = ratioInterval(c.oldValues, c.newValues, 1-confidence)
	default:
		c.paired, c.shift = false, true
		c.test = mannWhitney(c.oldValues, c.newValues)
		c.interval = shiftInterval(c.oldValues, c.newValues, 1-confidence)
	}
	c.Method = c.test.name
	iv := c.interval
	if c.shift {
		iv.est, iv.lo, iv.hi = ratio(iv.est, c.Old.Median), ratio(iv.lo, c.Old.Median), ratio(iv.hi, c.Old.Median)
	}
	c.Ratio, c.Lo, c.Hi, c.Level = iv.est, iv.lo, iv.hi, iv.level
}

// ratio returns a shift from base as a ratio. A base of zero or below has no
// ratio, and so no relative threshold: any shift then counts as infinite.
func ratio(shift, base float64) float64 {
	switch {
	case base > 0 && shift > -base:
		return (base + shift) / base
	case shift > 0:
		return math.Inf(1)
	case shift < 0:
		return 0
	}
	return 1
}

// A judgement is what a comparison's figures say, whichever way they were
// compared.
type judgement struct {
	enough      bool // samples for any verdict
	significant bool
	worse       bool // beyond the threshold
	better      bool
	notWorse    bool // a regression is excluded
	notBetter   bool
}

// decide reaches the verdict from the measurements.
func (c *Comparison) decide(alpha float64, distrust bool) {
	judge := c.byRank
	if c.counted {
		judge = c.byValue
	}
	j := judge(alpha)
	switch {
	case j.significant && j.worse && c.Better != "":
		c.Verdict = Regression
	case j.significant && j.better && c.Better != "":
		c.Verdict = Improvement
	case j.significant && (j.worse || j.better):
		c.Verdict = Changed
	case j.enough && j.notWorse && j.notBetter:
		c.Verdict = NoChange
	default:
		c.Verdict = CannotTell
		c.Safe = j.enough && j.notWorse
		if c.counted {
			c.needByValue(alpha)
		} else {
			c.need(c.cost(), alpha)
		}
	}
	if c.Collapsed = c.Verdict == Improvement && c.cost().est <= collapse && c.costs(); c.Collapsed && distrust {
		c.Verdict = CannotTell
	}
	c.Reason = c.reason(j.worse || j.better)
}

// cost returns the interval of the ratio new/old if lower is better, of old/new
// if higher is.
func (c *Comparison) cost() interval {
	if c.Better == "higher" {
		return interval{est: 1 / c.Ratio, lo: 1 / c.Hi, hi: 1 / c.Lo}
	}
	return interval{est: c.Ratio, lo: c.Lo, hi: c.Hi}
}

// byRank judges numbers, and distributions by their interval.
func (c *Comparison) byRank(alpha float64) judgement {
	enough := c.Method != "exact" || min(c.Old.N, c.New.N) >= exactSamples
	cost := c.cost()
	// A change that only just reaches the threshold in binary does not
	// exceed it.
	limit := (1 + c.Threshold) * (1 + 1e-12)
	return judgement{
		enough: enough, significant: enough && (c.Method == "exact" || c.Adjusted <= alpha),
		worse: cost.lo > limit, better: cost.hi < 1/limit, notWorse: cost.hi <= limit, notBetter: cost.lo >= 1/limit,
	}
}

// costs reports whether the unit is a cost of the operation itself, or a rate.
// Allocations are not, because a good change can reduce them to nothing.
func (c *Comparison) costs() bool {
	unit := c.old.unit.Unit
	return strings.Contains(unit, "sec") || strings.Contains(unit, "instrs") || strings.HasSuffix(unit, "/s")
}

// need estimates how many samples a side would tell.
//
// The interval narrows with the square root of the number of samples. need
// returns the number at which its near end clears the threshold 8 times in 10,
// if the change is what it seems now and the spread is what the interval shows
// (or, without an interval, what the samples show).
func (c *Comparison) need(cost interval, alpha float64) {
	n := 2 / (1/float64(c.Old.N) + 1/float64(c.New.N))
	least := leastSamples(1, 1-confidence)
	if c.Method == "exact" {
		c.Need = exactSamples
		return
	}
	change, limit := math.Log(cost.est), math.Log1p(c.Threshold)
	beyond := change > limit
	if c.Safe {
		// The open question is whether it improved.
		limit = -limit
		beyond = change < limit
	}
	if beyond {
		// It must also be significant in its family. Tested as a whole,
		// no number of samples made it so.
		least = leastSamples(1, alpha)
		if c.joint == nil && min(c.Old.N, c.New.N) >= least {
			least = leastSamples(c.Family, alpha)
		}
	}
	z := normalQuantile((1 + confidence) / 2)
	se := (math.Log(cost.hi) - math.Log(cost.lo)) / 2 / normalQuantile((1+math.Min(c.Level, 1-1e-9))/2)
	if c.interval.rank == 0 {
		se = deviation(c.oldValues, c.newValues) * math.Sqrt(2/n)
	}
	have := max(c.Old.N, c.New.N)
	want := n * square(se*(z+normalQuantile(power))/(change-limit))
	switch {
	case math.IsNaN(want) || se == 0:
		// The spread is unknown: zeros, or one sample a side.
		c.Need, c.AtLeast = max(least, have+1), true
	case want > maxNeed:
		c.Need = 0
	default:
		c.Need = max(least, int(math.Ceil(want)), have+1)
	}
}

func square(x float64) float64 { return x * x }

// deviation returns the standard deviation of the logarithms within the sides,
// or NaN if a side's values do not show it.
func deviation(sides ...[]float64) float64 {
	sum, freedom := 0.0, 0
	for _, values := range sides {
		mean := 0.0
		for _, v := range values {
			mean += math.Log(v) / float64(len(values))
		}
		for _, v := range values {
			sum += square(math.Log(v) - mean)
		}
		freedom += len(values) - 1
	}
	return math.Sqrt(sum / float64(freedom))
}

// severity orders verdicts, worst first.
func (c *Comparison) severity() int {
	switch {
	case c.fails():
		return 0
	case c.blocks():
		return 1
	case c.Verdict == Regression:
		return 2
	case c.Verdict == Changed:
		return 3
	case c.Verdict == Improvement:
		return 4
	case c.Verdict == CannotTell && c.Gates:
		return 5
	case c.Verdict == CannotTell:
		return 6
	case c.Method == "exact" && c.Ratio != 1:
		return 7
	}
	return 8
}
