// Package gate gives the verdict over two sets of benchmark results: has
// anything become worse, by how much, and how sure is that?
//
// # Samples
//
// A sample is what one process measured, or one boot of a guest: one results
// file. What the lines of one process have in common, its memory layout, its
// place on the cores, its heap, would make ten lines look like ten
// measurements when they are ten readings of one. So the lines that a sample
// has of a benchmark and unit are reduced to their median first, and ten lines
// of one process count for one sample. A file that holds several processes'
// output (go test … >> file) holds as many samples; so does one with
// configuration lines "sample: ID", one for each ID.
//
// # The verdict
//
// A metric that declares itself exact (Unit X assume=exact), and whose samples
// on each side all agree, is compared as what it is, a number. Any other is a
// distribution: a rank test decides whether it changed at all, exactly, with no
// assumption about its shape, and the ratio new/old has the interval that
// belongs to that test. The p-values of all comparisons that can fail the gate
// are corrected for their number. Then
//
//   - a regression is significant in its family, larger than the threshold, and
//     has its whole interval beyond the threshold;
//   - an improvement is that in the good direction;
//   - no change is an interval wholly within the threshold on both sides;
//   - anything else is cannot tell, with the number of samples that would tell.
//
// The direction is what the unit's metadata says (Unit X better=lower); a unit
// without one informs only.
//
// # Failing closed
//
// Whatever makes a verdict unsound is bad input and never a pass: a benchmark
// or a unit gone, results measured with different clocks or on different
// machines, failed runs, files given twice, values that are not numbers. What
// is meant to differ is allowed by name.
package gate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"
	"golang.org/x/perf/benchunit"
)

// Options say how results are judged. The zero value is the default.
type Options struct {
	Thresholds      string         // a file of rules that come before DefaultThresholds
	Filter          string         // which results are compared, in benchproc's language; "" is all
	SampleKey       string         // configuration key that tells the samples of one file apart; "" is "sample"
	Alpha           float64        // probability of a false alarm in the whole family; 0 is 0.05
	Allow           []string       // configuration keys in which old and new may differ
	AllowMissing    *regexp.Regexp // "Name unit" of what may be missing from new or from some samples
	AllowEqual      *regexp.Regexp // "Name unit" of times that may be equal in all samples
	AllowCannotTell bool           // the gate passes what it cannot tell
}

// exactSamples is how many samples a side must agree before a metric that
// declares itself exact is taken at its word. A count with two states that
// seeds choose between at random would agree on each side and differ between
// them with probability 2/4^6, 1 in 2048, at worst. Known cases: futex hash
// buckets, the address order of files in an epoll.
const exactSamples = 6

// pairReserve is how many times smaller than needed the smallest p of the
// signed-rank test must be before rounds are compared as pairs. That test's
// smallest p, 2/2^n, shrinks more slowly with the number of rounds than the U
// test's, and on the verge only unanimous rounds would do.
const pairReserve = 10

// maxNeed is the number of samples beyond which it makes no sense to ask for
// more.
const maxNeed = 1000

// power is the probability with which the number of samples a verdict asks
// for will tell, were the change and the spread just what they seem.
const power = 0.8

// A Verdict is what the gate says of one benchmark in one unit.
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
	Method string // exact, or the name of the test

	Ratio  float64 // the estimate
	Lo, Hi float64 // its interval; 0 and +Inf where there are too few samples for one
	Level  float64 // the confidence of that interval

	P        float64 // of no change at all; 0 when exact
	Adjusted float64 // P for the whole family
	Family   int     // comparisons judged together

	Threshold float64 // 0.05 is 5 %
	Rule      string  // that gave the threshold
	RulePos   string  // its file and line
	Gates     bool    // a regression fails the gate

	Verdict Verdict
	Safe    bool   // cannot tell, but a regression beyond the threshold is excluded
	Need    int    // samples a side that would tell; 0 if that is not the question, or beyond all measure
	AtLeast bool   // Need is a lower bound: nothing shows the spread yet
	Reason  string // one sentence

	old, new   *series
	oldSamples []*Sample
	newSamples []*Sample
	oldValues  []float64 // by sample, in Unit
	newValues  []float64
	paired     bool
	exact      bool // declared
	test       rankTest
	interval   interval
	shift      bool // the interval is of differences, not of ratios
	adjustment adjustment
}

// A Summary is one side of a comparison: the median of the samples with its
// exact 95 % interval, infinite below six samples.
type Summary struct {
	Median, Lo, Hi float64
	Min, Max       float64
	N              int
}

// blocks reports whether the comparison keeps the gate from passing for want
// of samples.
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

// An Outcome is the verdict on the whole.
type Outcome string

const (
	Pass       Outcome = "pass"
	Fail       Outcome = "regression"
	Undecided  Outcome = "cannot tell"
	Unreadable Outcome = "bad input"
)

// ExitCode returns what a command exits with: 0 pass, 1 regression, 2 bad
// input, 3 cannot tell.
func (o Outcome) ExitCode() int {
	switch o {
	case Pass:
		return 0
	case Fail:
		return 1
	case Undecided:
		return 3
	}
	return 2
}

// A Report is all that the gate found.
type Report struct {
	Outcome     Outcome
	Old, New    string // as given
	OldSamples  []*Sample
	NewSamples  []*Sample
	Alpha       float64
	Comparisons []*Comparison // worst first
	Notes       []string      // what a reader of the verdicts should know

	args     string    // the options, for a reproduction
	packages bool      // the benchmarks are of several packages
	settings []setting // where old and new were measured, for a reproduction
}

// A setting is a configuration key whose value is one and the same in all the
// samples of each side.
type setting struct{ key, old, new string }

// Compare judges the results in new against those in old: each a file or
// directory as [results.Find] takes it, a pattern of path/filepath.Match, or a
// list of these with commas between. An error is an *InputError and says why there is no verdict.
func Compare(old, new string, o Options) (*Report, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	oldSide, newSide := g.load("old", old), g.load("new", new)
	return g.judge(oldSide, newSide)
}

// A gate is Options made ready.
type gate struct {
	Options
	*loader
	rules []*rule
}

func (o Options) gate() (*gate, error) {
	o.SampleKey = cmp.Or(o.SampleKey, "sample")
	o.Filter = cmp.Or(o.Filter, "*")
	o.Alpha = cmp.Or(o.Alpha, 0.05)
	var ps problems
	if err := checkAlpha(o.Alpha); err != nil {
		ps.add("alpha %v: %v", o.Alpha, err)
	}
	filter, err := benchproc.NewFilter(o.Filter)
	if err != nil {
		ps.add("filter %q: %v", o.Filter, err)
	}
	allow := make(map[string]bool)
	for _, key := range o.Allow {
		if err := checkAllowed(key); err != nil {
			ps.add("%v", err)
		}
		allow[key] = true
	}
	rules, err := readThresholds(o.Thresholds)
	var ie *InputError
	if errors.As(err, &ie) {
		for _, p := range ie.Problems {
			ps.add("%s", p)
		}
	}
	if err := ps.err(); err != nil {
		return nil, err
	}
	return &gate{Options: o, rules: rules, loader: &loader{filter: filter, sampleKey: o.SampleKey, allow: allow}}, nil
}

func checkAlpha(alpha float64) error {
	if !(alpha > 0 && alpha < 0.5) {
		return errors.New("want a probability such as 0.05")
	}
	return nil
}

// checkAllowed says what is wrong with allowing a key to differ.
func checkAllowed(key string) error {
	switch {
	case key == "clock":
		return errors.New("results of different clocks cannot be allowed: seconds and instructions cannot be compared")
	case !slices.Contains(comparableKeys, key):
		return fmt.Errorf("no such key is checked: %q (those that are: %s)", key, strings.Join(comparableKeys, ", "))
	}
	return nil
}

// judge compares two sides that have been read.
func (g *gate) judge(old, new *side) (*Report, error) {
	g.check(old, new)
	if err := g.err(); err != nil {
		return nil, err
	}
	r := &Report{Old: old.arg, New: new.arg, OldSamples: old.samples, NewSamples: new.samples, Alpha: g.Alpha, args: g.args()}
	g.match(r, old, new)
	if err := g.err(); err != nil {
		return nil, err
	}
	r.packages = slices.ContainsFunc(r.Comparisons, func(c *Comparison) bool { return c.Pkg != r.Comparisons[0].Pkg })
	g.decideAll(r)
	r.Outcome = Pass
	for _, c := range r.Comparisons {
		if c.fails() {
			r.Outcome = Fail
		} else if c.blocks() && !g.AllowCannotTell && r.Outcome == Pass {
			r.Outcome = Undecided
		}
	}
	g.note(r, old, new)
	return r, nil
}

// match pairs what old and new say of each benchmark and unit, and finds what
// is missing.
func (g *gate) match(r *Report, old, new *side) {
	rounds := rounds(old, new)
	for _, ob := range old.sorted() {
		nb := new.benches[ob.key()]
		if nb == nil {
			if !g.mayMiss(ob.name, "") {
				g.add("Benchmark%s is in %s and not in %s%s; if that is meant: -allow-missing %s",
					ob.name, old.arg, new.arg, new.otherProcs(ob), missingPattern(ob.name, ""))
			}
			continue
		}
		for _, os := range ob.series {
			ns := nb.find(os.unit.Unit)
			unit := written(os)
			if ns == nil {
				if !g.mayMiss(ob.name, unit) {
					g.add("Benchmark%s reports %s in %s and not in %s; if that is meant: -allow-missing %s",
						ob.name, unit, old.arg, new.arg, missingPattern(ob.name, unit))
				}
				continue
			}
			c := &Comparison{Pkg: ob.pkg, Name: ob.name, Unit: written(ns), old: os, new: ns}
			c.oldSamples, c.oldValues = g.values(old, ob, os, c.Unit)
			c.newSamples, c.newValues = g.values(new, nb, ns, c.Unit)
			c.pair(rounds)
			units := g.reader.Units()
			switch units.GetBetter(os.unit.Unit) {
			case -1:
				c.Better = "lower"
			case +1:
				c.Better = "higher"
			}
			if m := units.Get(os.unit.Unit, "assume"); m != nil {
				c.exact = m.Value == "exact"
			}
			g.rule(c, ob, nb)
			g.checkEqual(c)
			r.Comparisons = append(r.Comparisons, c)
		}
	}
	if len(g.list) > 0 {
		return
	}
	switch {
	case len(r.Comparisons) == 0:
		g.add("%s and %s have no benchmark in common", old.arg, new.arg)
	case !slices.ContainsFunc(r.Comparisons, func(c *Comparison) bool { return c.Gates }):
		g.add("nothing here can fail the gate: of %d comparisons none has both a direction (Unit X better=lower) and a rule that says gate", len(r.Comparisons))
	}
}

func (b *bench) key() string { return b.pkg + "\x00" + b.name }

func (b *bench) find(unit string) *series {
	for _, s := range b.series {
		if s.unit.Unit == unit {
			return s
		}
	}
	return nil
}

// written returns the unit as the benchmark wrote it.
func written(s *series) string { return cmp.Or(s.unit.OrigUnit, s.unit.Unit) }

// sorted returns the side's benchmarks by package and name.
func (s *side) sorted() []*bench {
	all := make([]*bench, 0, len(s.benches))
	for _, b := range s.benches {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *bench) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.name, b.name)) })
	return all
}

// otherProcs returns a hint where the side has the benchmark under another
// -cpu.
func (s *side) otherProcs(b *bench) string {
	stem := func(name string) string { return procs.ReplaceAllString(name, "") }
	for _, o := range s.sorted() {
		if o.pkg == b.pkg && o.name != b.name && stem(o.name) == stem(b.name) {
			return fmt.Sprintf(", which has Benchmark%s (was GOMAXPROCS another? -allow gomaxprocs compares them)", o.name)
		}
	}
	return ""
}

var procs = regexp.MustCompile(`-[0-9]+$`)

func missingPattern(name, unit string) string {
	pattern := "^" + regexp.QuoteMeta(name)
	if unit != "" {
		pattern += " " + regexp.QuoteMeta(unit)
	}
	return shellQuote(pattern + "$")
}

// mayMiss reports whether the user allows a benchmark, or one unit of it, to
// be missing.
func (g *gate) mayMiss(name, unit string) bool {
	return g.AllowMissing != nil &&
		(g.AllowMissing.MatchString(name) || unit != "" && g.AllowMissing.MatchString(name+" "+unit))
}

// values returns the samples that measured a series, and the median of each
// one's lines in the given unit, the series' own but for a prefix.
func (g *gate) values(s *side, b *bench, sr *series, unit string) (samples []*Sample, values []float64) {
	factor, _ := benchunit.Tidy(1, unit)
	var missing *Sample
	for i, sample := range s.samples {
		if i >= len(sr.lines) || len(sr.lines[i]) == 0 {
			if sample.pkgs[b.pkg] {
				missing = cmp.Or(missing, sample)
			}
			continue
		}
		samples = append(samples, sample)
		values = append(values, median(sr.lines[i])/factor)
	}
	if missing != nil && !g.mayMiss(b.name, unit) {
		g.add("Benchmark%s has %s in %d samples of %s and not in %s: did that run fail? If it may be missing: -allow-missing %s",
			b.name, unit, len(samples), s.label, missing.Name, missingPattern(b.name, unit))
	}
	return samples, values
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return arithmetic(sorted[(len(sorted)-1)/2], sorted[len(sorted)/2])
}

// rule finds the threshold: the first rule that fits what either side says.
func (g *gate) rule(c *Comparison, ob, nb *bench) {
	for _, r := range g.rules {
		if r.matches(ob.rep, c.old.unit) || r.matches(nb.rep, c.new.unit) {
			r.used = true
			c.Threshold, c.Rule, c.RulePos = r.threshold, r.text, r.pos
			c.Gates = r.gate && c.Better != ""
			return
		}
	}
}

// checkEqual refuses a wall-clock mean that is the same in every sample of a
// side: a clock that stands still, or results that were written by hand.
func (g *gate) checkEqual(c *Comparison) {
	if c.old.unit.Unit != "sec/op" || c.exact || g.AllowEqual != nil && g.AllowEqual.MatchString(c.Name+" "+c.Unit) {
		return
	}
	for _, side := range []struct {
		label  string
		values []float64
	}{{"old", c.oldValues}, {"new", c.newValues}} {
		v := side.values
		if len(v) >= 3 && slices.Min(v) == slices.Max(v) {
			g.add("Benchmark%s: all %d samples of %s give %s %s; measured times vary, so this is no measurement. If it is: -allow-equal %s",
				c.Name, len(v), side.label, number(v[0]), c.Unit, missingPattern(c.Name, ""))
		}
	}
}

// rounds returns the pairs of samples measured in one round, or nil unless
// every sample belongs to a round and every round has one sample of each side.
func rounds(old, new *side) map[*Sample]*Sample {
	if len(old.samples) != len(new.samples) {
		return nil
	}
	byRound := make(map[Round]*Sample)
	for _, s := range new.samples {
		if s.Round == nil || byRound[*s.Round] != nil {
			return nil
		}
		byRound[*s.Round] = s
	}
	pairs := make(map[*Sample]*Sample)
	for _, s := range old.samples {
		if s.Round == nil || byRound[*s.Round] == nil {
			return nil
		}
		pairs[s] = byRound[*s.Round]
		delete(byRound, *s.Round)
	}
	return pairs
}

// pair puts the new samples in the order of the old ones of their rounds, if
// all have one.
func (c *Comparison) pair(rounds map[*Sample]*Sample) {
	if rounds == nil || len(c.oldValues) != len(c.newValues) {
		return
	}
	samples, values := make([]*Sample, 0, len(c.newValues)), make([]float64, 0, len(c.newValues))
	for _, s := range c.oldSamples {
		i := slices.Index(c.newSamples, rounds[s])
		if i < 0 {
			return
		}
		samples, values = append(samples, c.newSamples[i]), append(values, c.newValues[i])
	}
	c.newSamples, c.newValues, c.paired = samples, values, true
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
	// What can fail the gate is one family. What only informs is another, so
	// that a dozen percentiles do not cost the gate its power.
	for _, family := range [][]*Comparison{gated, informing} {
		tests := make([]*rankTest, len(family))
		for i, c := range family {
			c.measure(len(family), g.Alpha)
			tests[i] = &c.test
		}
		for i, a := range adjust(tests) {
			family[i].P, family[i].Adjusted, family[i].Family = tests[i].p, a.p, len(family)
			family[i].adjustment = a
		}
	}
	for _, c := range r.Comparisons {
		c.decide(g.Alpha)
	}
	slices.SortStableFunc(r.Comparisons, func(a, b *Comparison) int {
		return cmp.Or(cmp.Compare(a.severity(), b.severity()), cmp.Compare(b.harm(), a.harm()))
	})
}

// comparedExactly reports whether the comparison is of two numbers: declared
// exact, and one value a side.
func (c *Comparison) comparedExactly() bool {
	return c.exact && c.Old.Min == c.Old.Max && c.New.Min == c.New.Max
}

func summarize(values []float64) Summary {
	// NewSample sorts what it is given.
	s := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(s, 0.95)
	return Summary{Median: sum.Center, Lo: sum.Lo, Hi: sum.Hi, Min: s.Values[0], Max: s.Values[len(values)-1], N: len(values)}
}

// measure runs the test and finds the interval, for a family of m.
func (c *Comparison) measure(m int, alpha float64) {
	positive := c.Old.Min > 0 && c.New.Min > 0
	n := len(c.oldValues)
	switch {
	case c.paired && positive && n < 1000 && math.Ldexp(2*pairReserve*float64(m), -n) <= alpha:
		logs := make([]float64, n)
		for i := range logs {
			logs[i] = math.Log(c.newValues[i]) - math.Log(c.oldValues[i])
		}
		c.test = signedRank(logs)
		c.interval = pairedInterval(c.oldValues, c.newValues, alpha)
	case positive:
		c.paired = false
		c.test = mannWhitney(c.oldValues, c.newValues)
		c.interval = ratioInterval(c.oldValues, c.newValues, alpha)
	default:
		c.paired, c.shift = false, true
		c.test = mannWhitney(c.oldValues, c.newValues)
		c.interval = shiftInterval(c.oldValues, c.newValues, alpha)
	}
	c.Method = c.test.name
	iv := c.interval
	if c.shift {
		iv.est, iv.lo, iv.hi = ratio(iv.est, c.Old.Median), ratio(iv.lo, c.Old.Median), ratio(iv.hi, c.Old.Median)
	}
	c.Ratio, c.Lo, c.Hi, c.Level = iv.est, iv.lo, iv.hi, iv.level
}

// ratio returns what a shift makes of base, as a ratio. A base of zero (or
// below) has no ratio, and no relative threshold: there any shift counts as
// infinite.
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

// decide gives the verdict from what was measured.
func (c *Comparison) decide(alpha float64) {
	enough := true
	if c.Method == "exact" {
		enough = min(c.Old.N, c.New.N) >= exactSamples
	}
	significant := enough && (c.Method == "exact" || c.Adjusted <= alpha)
	cost := interval{est: c.Ratio, lo: c.Lo, hi: c.Hi}
	if c.Better == "higher" {
		cost = interval{est: 1 / c.Ratio, lo: 1 / c.Hi, hi: 1 / c.Lo}
	}
	// A threshold that the change only just reaches in binary is not exceeded.
	limit := (1 + c.Threshold) * (1 + 1e-12)
	worse, better := cost.lo > limit, cost.hi < 1/limit
	within := cost.lo >= 1/limit && cost.hi <= limit
	switch {
	case significant && worse && c.Better != "":
		c.Verdict = Regression
	case significant && better && c.Better != "":
		c.Verdict = Improvement
	case significant && (worse || better):
		c.Verdict = Changed
	case enough && within:
		c.Verdict = NoChange
	default:
		c.Verdict = CannotTell
		c.Safe = enough && cost.hi <= limit
		c.need(cost, alpha)
	}
	c.Reason = c.reason(worse, better)
}

// need estimates how many samples a side would tell.
//
// The interval's width falls with the square root of the number of samples.
// Asked is the number at which its near end clears the threshold 8 times in
// 10, if the change is what it seems now and the spread is what the interval
// shows (where there is no interval yet, what the samples show).
func (c *Comparison) need(cost interval, alpha float64) {
	n := 2 / (1/float64(c.Old.N) + 1/float64(c.New.N))
	least := leastSamples(1, alpha)
	if c.Method == "exact" {
		c.Need = exactSamples
		return
	}
	change, limit := math.Log(cost.est), math.Log1p(c.Threshold)
	beyond := change > limit
	if c.Safe {
		// What is open is whether it has improved.
		limit = -limit
		beyond = change < limit
	}
	if beyond {
		// It must be significant in its family besides.
		least = leastSamples(c.Family, alpha)
		if c.paired {
			least = 1
			for math.Ldexp(2*float64(c.Family), -least) > alpha {
				least++
			}
		}
	}
	z := normalQuantile(1 - alpha/2)
	se := (math.Log(cost.hi) - math.Log(cost.lo)) / 2 / normalQuantile((1+math.Min(c.Level, 1-1e-9))/2)
	if c.interval.rank == 0 {
		se = deviation(c.oldValues, c.newValues) * math.Sqrt(2/n)
	}
	have := max(c.Old.N, c.New.N)
	want := n * square(se*(z+normalQuantile(power))/(change-limit))
	switch {
	case math.IsNaN(want) || se == 0:
		// No spread to go by: zeros, or one sample a side.
		c.Need, c.AtLeast = max(least, have+1), true
	case want > maxNeed:
		c.Need = 0
	default:
		c.Need = max(least, int(math.Ceil(want)), have+1)
	}
}

func square(x float64) float64 { return x * x }

// deviation returns the standard deviation of the logarithms within the
// sides, NaN when a side's values do not show it.
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

// note collects what a reader of the verdicts should know about the input.
func (g *gate) note(r *Report, old, new *side) {
	note := func(format string, args ...any) { r.Notes = append(r.Notes, clean(fmt.Sprintf(format, args...))) }

	for _, key := range slices.Sorted(maps.Keys(old.config)) {
		o, n := old.config[key], new.config[key]
		if n == nil || len(o.values) != 1 || len(n.values) != 1 || o.values[0]+n.values[0] == "" || slices.Contains(perSampleKeys, key) {
			continue
		}
		r.settings = append(r.settings, setting{key, o.values[0], n.values[0]})
	}
	var repeated []string
	for _, s := range []*side{old, new} {
		if len(s.samples) == 1 && s.samples[0].most > 1 {
			repeated = append(repeated, fmt.Sprintf("%s holds up to %d lines of a benchmark", s.samples[0].Name, s.samples[0].most))
		}
	}
	if len(repeated) > 0 {
		note("%s. The lines of one process (go test -count) are one sample: they share what differs between processes, memory layout, core and heap, "+
			"and counted as so many measurements would be believed too easily. Run several processes, a file each (or >> one file), old and new in turn.",
			strings.Join(repeated, ", and "))
	}
	for _, s := range []*side{old, new} {
		for _, key := range slices.Sorted(maps.Keys(s.config)) {
			c := s.config[key]
			if len(c.values) > 1 && !slices.Contains(perSampleKeys, key) && key != g.SampleKey && !slices.Contains(comparableKeys, key) {
				note("the samples of %s differ in %s: %q in %s, %q in %s", s.label, key, c.values[0], c.where[0], c.values[1], c.where[1])
			}
		}
	}
	var added []string
	for _, b := range new.sorted() {
		ob := old.benches[b.key()]
		if ob == nil {
			added = append(added, b.name)
			continue
		}
		for _, s := range b.series {
			if ob.find(s.unit.Unit) == nil {
				added = append(added, b.name+" "+written(s))
			}
		}
	}
	if len(added) > 0 {
		note("new, and not in %s to be compared with: %s", old.arg, abbreviate(added))
	}
	var directionless, missing []string
	wall := false
	for _, c := range r.Comparisons {
		if c.Better == "" && !slices.Contains(directionless, c.Unit) {
			directionless = append(directionless, c.Unit)
		}
		if c.Old.N < len(old.samples) || c.New.N < len(new.samples) {
			missing = append(missing, c.Name+" "+c.Unit)
		}
		wall = wall || c.Gates && strings.Contains(c.old.unit.Unit, "sec") && !c.paired
	}
	if len(directionless) > 0 {
		note("without a direction (no line \"Unit X better=lower\" in the results), so that they fail nothing: %s", abbreviate(directionless))
	}
	if len(missing) > 0 && g.AllowMissing != nil {
		note("not in every sample, as allowed: %s", abbreviate(missing))
	}
	for _, rule := range g.rules {
		if !rule.used && !strings.HasPrefix(rule.pos, builtIn) {
			note("%s: this rule fits no result here, or an earlier one takes them: %s", rule.pos, rule.text)
		}
	}
	if wall && rounds(old, new) == nil && len(old.samples) > 1 {
		note("nothing says that old and new were measured in turn (no rounds: files old-r01.txt and new-r01.txt in one directory, or lines \"round: 1\"). " +
			"If one was measured after the other, what else changed on the machine meanwhile counts as a difference.")
	}
}

// perSampleKeys are expected to differ from sample to sample.
var perSampleKeys = []string{"seed", "round", "pkg", "sample"}

// abbreviate lists names, but not hundreds of them.
func abbreviate(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
