// Package gate compares two sets of benchmark results and decides whether
// anything became slower, by how much, and how certain that is.
//
// # Samples
//
// A sample is one results file: the results of one process, or of one boot of a
// guest. The lines of one process share its memory layout, its cores and its
// heap, so ten of them are not ten independent measurements. The gate therefore
// first reduces a sample's lines for a benchmark and unit to one value. That is
// the median, or the lowest if the unit says so (Unit X lines=lowest). Counted
// instructions use the lowest, because a disturbance can only add to them. A
// file with the output of several processes (go test … >> file) holds as many
// samples. So does a file with configuration lines "sample: ID", one sample for
// each ID.
//
// # The verdict
//
// Counted instructions (clock: instrs) are judged by value. A boot repeats to the
// last digit, so what a count varies between is ways of the operation: a hash
// bucket, an alignment, a task that was still queued. Values within the
// threshold of each other are one way. How often each way is taken differs by
// chance. A kernel has changed if ways are new or gone, or are taken more often
// than chance explains:
//
//   - If all ways moved by one number of instructions, that is the change,
//     exactly. Otherwise it is the difference of the averages.
//   - It is a regression if the change is beyond the threshold, and the samples
//     that have no counterpart on the other side are too many for chance. All
//     comparisons are one family, which is tested as a whole, by relabeling
//     (Westfall and Young's min-P). Every other way to call five of ten boots
//     old is tried on all comparisons at once, or 20000 of these ways.
//   - It passes if fewer than half of new's samples take a way that old did not
//     show, no shift of all ways explains the samples as well, and the shares of
//     the ways are not suspicious (p at most .05 in the family).
//
// What that may miss is in docs/statistics.md.
//
// Elsewhere, if a metric declares itself exact (Unit X assume=exact), and all
// samples of each side agree, at least five of them, the two numbers are
// compared. One more is reported as exactly that, and fails if it is beyond the
// threshold. Any other metric is a distribution, of which no shape is assumed.
// The ratio new/old gets the exact 95 % interval that belongs to a rank test.
// All comparisons of distributions that can fail the gate form one family, and
// the test corrects for its size:
//
//   - With few samples, such as five boots a side, the family is tested as a
//     whole, by relabeling (Westfall and Young's max-T). Every other way to call
//     five of the ten boots old is tried on all comparisons at once. A
//     comparison's p is the share of these ways in which any comparison stands
//     out as much. How far a comparison stands out is the distance from no
//     change to the near end of its interval, in thresholds. This way five
//     boots are enough however many benchmarks ran in them. Four are enough
//     with alpha 0.05; three never are.
//   - If old and new were measured side by side in at least ten rounds, labels
//     are swapped within rounds, and the interval is of ratios within rounds.
//     Drift between rounds cancels out.
//   - With so many samples that relabeling would take too long, each comparison
//     has its own rank test, and Holm's procedure corrects the p-values for
//     their number.
//
// The verdicts are:
//
//   - Regression: significant in its family, and larger than the threshold; of a
//     distribution, with its whole interval beyond it.
//   - Improvement: the same in the good direction.
//   - No change: the ways are the same, or the whole interval is within the
//     threshold on both sides.
//   - Cannot tell: anything else, with the number of samples that would tell.
//
// The unit's metadata gives the good direction (Unit X better=lower). A unit
// without a direction only informs.
//
// # Benchmarks that fail
//
// A failed benchmark has no figure to compare, so the failure itself is judged.
// If it fails in new but not in old, it is a regression, even if old does not
// have the benchmark. If it fails in both, the gate cannot tell, because nothing
// shows whether new is worse. If it failed in old only, the report mentions it.
// A benchmark that fails in some samples is also compared by the samples in
// which it does not. Failures do not affect the verdicts on other benchmarks.
//
// # Failing closed
//
// Anything that would make a verdict unsound is bad input, never a pass: a
// missing benchmark or unit, results measured with different clocks or on
// different machines, interrupted runs, files given twice, values that are not
// numbers. Intended differences are allowed by name.
package gate

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
	"golang.org/x/perf/benchunit"
)

// Options say how results are judged. The zero value is the default.
type Options struct {
	Thresholds      string         // a file of rules that come before DefaultThresholds
	Filter          string         // which results are compared, in benchproc's language; "" is all
	SampleKey       string         // configuration key that tells the samples of one file apart; "" is "sample"
	Alpha           float64        // probability of a false alarm in the whole family; 0 is 0.02
	Allow           []string       // configuration keys in which old and new may differ
	AllowMissing    *regexp.Regexp // "Name unit" of what may be missing from new or from some samples
	AllowEqual      *regexp.Regexp // "Name unit" of times that may be equal in all samples
	AllowCannotTell bool           // the gate passes what it cannot tell
	Strict          bool           // the threshold of what declares itself exact is 0
	// DistrustCollapse makes the verdict "cannot tell" for a cost that fell
	// to a tenth or less. It would otherwise be an improvement.
	DistrustCollapse bool
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
	Failures    []*Failing    // worst first
	Comparisons []*Comparison // worst first
	Notes       []string      // what a reader of the verdicts should know

	args     string    // the options, for a reproduction
	filter   string    // one of them
	packages bool      // the benchmarks are of several packages
	settings []setting // where old and new were measured, for a reproduction
}

// A setting is a configuration key with a single value in all samples of each
// side.
type setting struct{ key, old, new string }

// Compare judges the results in new against those in old. Each is a file or
// directory as [results.Find] takes it, a pattern for path/filepath.Match, or a
// comma-separated list of these. If there is no verdict, the error is an
// *InputError that says why.
func Compare(old, new string, o Options) (*Report, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	oldSide, newSide := g.load("old", old), g.load("new", new)
	return g.judge(oldSide, newSide)
}

// CompareFiles is Compare for files that are already known. The names are for
// the report. They should be arguments for which Compare finds the same files.
func CompareFiles(oldName string, old []string, newName string, new []string, o Options) (*Report, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	oldSide, newSide := newSide("old", oldName), newSide("new", newName)
	for _, path := range old {
		g.loadFile(oldSide, path)
	}
	for _, path := range new {
		g.loadFile(newSide, path)
	}
	return g.judge(oldSide, newSide)
}

// A gate is Options prepared for use.
type gate struct {
	Options
	*loader
	rules []*rule
}

func (o Options) gate() (*gate, error) {
	o.SampleKey = cmp.Or(o.SampleKey, "sample")
	o.Filter = cmp.Or(o.Filter, "*")
	o.Alpha = cmp.Or(o.Alpha, DefaultAlpha)
	var ps results.Problems
	if err := checkAlpha(o.Alpha); err != nil {
		ps.Add("alpha %v: %v", o.Alpha, err)
	}
	filter, err := benchproc.NewFilter(o.Filter)
	if err != nil {
		ps.Add("filter %q: %v", o.Filter, err)
	}
	allow := make(map[string]bool)
	for _, key := range o.Allow {
		if err := checkAllowed(key); err != nil {
			ps.Add("%v", err)
		}
	}
	for _, key := range results.Allow(o.Allow) {
		allow[key] = true
	}
	rules, err := readThresholds(o.Thresholds)
	var ie *InputError
	if errors.As(err, &ie) {
		for _, p := range ie.Problems {
			ps.Add("%s", p)
		}
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return &gate{Options: o, rules: rules, loader: &loader{Reader: results.Reader{Filter: filter}, sampleKey: o.SampleKey, allow: allow}}, nil
}

// DefaultAlpha is the default probability of a false alarm in the whole family,
// in either direction. The probability of a false regression is half of it.
const DefaultAlpha = 0.02

func checkAlpha(alpha float64) error {
	if !(alpha > 0 && alpha < 0.5) {
		return fmt.Errorf("want a probability such as %v", DefaultAlpha)
	}
	return nil
}

// checkAllowed returns why a key may not be allowed to differ.
func checkAllowed(key string) error {
	switch {
	case key == results.Clock:
		return errors.New("results of different clocks cannot be allowed: seconds and instructions cannot be compared")
	case !slices.Contains(comparableKeys, key):
		return fmt.Errorf("%q is not a key that must agree (those that must: %s)", key, strings.Join(comparableKeys, ", "))
	}
	return nil
}

// judge compares two sides that have been read.
func (g *gate) judge(old, new *side) (*Report, error) {
	g.check(old, new)
	if err := g.Err(); err != nil {
		return nil, err
	}
	r := &Report{Old: old.arg, New: new.arg, OldSamples: old.samples, NewSamples: new.samples, Alpha: g.Alpha, args: g.args(), filter: g.Filter}
	r.Failures = g.failing(old, new)
	g.match(r, old, new)
	if err := g.Err(); err != nil {
		return nil, err
	}
	pkgs := make(map[string]bool)
	for _, c := range r.Comparisons {
		pkgs[c.Pkg] = true
	}
	for _, f := range r.Failures {
		pkgs[f.Pkg] = true
	}
	r.packages = len(pkgs) > 1
	g.decideAll(r)
	r.Outcome = Pass
	judge := func(worse, open bool) {
		if worse {
			r.Outcome = Fail
		} else if open && !g.AllowCannotTell && r.Outcome == Pass {
			r.Outcome = Undecided
		}
	}
	for _, f := range r.Failures {
		judge(f.worse(), f.both())
	}
	for _, c := range r.Comparisons {
		judge(c.fails(), c.blocks())
	}
	g.note(r, old, new)
	return r, nil
}

// match pairs old and new for each benchmark and unit, and finds what is
// missing.
func (g *gate) match(r *Report, old, new *side) {
	// Counted instructions do not drift from round to round.
	var pairs map[*Sample]*Sample
	counted := slices.Contains(new.configKey("clock").values, "instrs")
	if !counted {
		pairs = rounds(old, new)
	}
	for _, ob := range old.sorted() {
		nb := new.benches[ob.key()]
		if nb == nil {
			if !g.mayMiss(ob.name, "") && new.failed(ob, nil) == nil {
				g.Add("Benchmark%s is in %s and not in %s%s%s; if that is intended: -allow-missing %s",
					ob.name, old.arg, new.arg, new.otherProcs(ob), new.skipped(ob), missingPattern(ob.name, ""))
			}
			continue
		}
		first := len(r.Comparisons)
		for _, os := range ob.series {
			ns := nb.find(os.unit.Unit)
			unit := written(os)
			if ns == nil {
				if !g.informs(ob, os.unit) && !g.mayMiss(ob.name, unit) {
					g.Add("Benchmark%s reports %s in %s and not in %s; if that is intended: -allow-missing %s",
						ob.name, unit, old.arg, new.arg, missingPattern(ob.name, unit))
				}
				continue
			}
			c := &Comparison{Pkg: ob.pkg, Name: ob.name, Unit: written(ns), old: os, new: ns}
			units := g.Units()
			c.lowest = results.Lowest(units, os.unit.Unit)
			c.oldSamples, c.oldValues = g.values(old, ob, os, c)
			c.newSamples, c.newValues = g.values(new, nb, ns, c)
			c.pair(pairs)
			c.counted = counted
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
		g.rareCosts(r.Comparisons[first:], ob, nb)
	}
	if g.Len() > 0 {
		return
	}
	switch {
	case slices.ContainsFunc(r.Failures, func(f *Failing) bool { return f.New > 0 }):
		// That alone is no pass.
	case len(r.Comparisons) == 0:
		g.Add("%s and %s have no benchmark in common", old.arg, new.arg)
	case !slices.ContainsFunc(r.Comparisons, func(c *Comparison) bool { return c.Gates }):
		g.Add("nothing here can fail the gate: of %d comparisons none has both a direction (Unit X better=lower) and a rule that says gate", len(r.Comparisons))
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

// otherProcs returns a hint if the side has the benchmark under another -cpu.
func (s *side) otherProcs(b *bench) string {
	for _, o := range s.sorted() {
		if o.pkg == b.pkg && o.name != b.name && results.Stem(o.name) == results.Stem(b.name) {
			return fmt.Sprintf(", which has Benchmark%s (was GOMAXPROCS another? -allow gomaxprocs compares them)", o.name)
		}
	}
	return ""
}

func missingPattern(name, unit string) string {
	pattern := "^" + regexp.QuoteMeta(name)
	if unit != "" {
		pattern += " " + regexp.QuoteMeta(unit)
	}
	return printable.ShellWord(pattern + "$")
}

// mayMiss reports whether the user allows a benchmark, or one unit of it, to
// be missing.
func (g *gate) mayMiss(name, unit string) bool {
	return g.AllowMissing != nil &&
		(g.AllowMissing.MatchString(name) || unit != "" && g.AllowMissing.MatchString(name+" "+unit))
}

// values returns the samples that measured a series, and the median, or the
// lowest, of each one's lines in the comparison's unit, the series' own but for
// a prefix.
func (g *gate) values(s *side, b *bench, sr *series, c *Comparison) (samples []*Sample, values []float64) {
	factor, _ := benchunit.Tidy(1, c.Unit)
	var missing *Sample
	for i, sample := range s.samples {
		if i >= len(sr.lines) || len(sr.lines[i]) == 0 {
			if s.expects(sample, b.pkg) && s.failed(b, sample) == nil {
				missing = cmp.Or(missing, sample)
			}
			continue
		}
		samples = append(samples, sample)
		values = append(values, Reduce(sr.lines[i], c.lowest)/factor)
	}
	// What only informs may depend on how much was measured, as a far
	// percentile does.
	if missing != nil && !g.informs(b, sr.unit) && !g.mayMiss(b.name, c.Unit) {
		g.Add("Benchmark%s has %s in %d samples of %s and not in %s%s: did that run fail? If it may be missing: -allow-missing %s",
			b.name, c.Unit, len(samples), s.label, missing.Name, s.skipped(b), missingPattern(b.name, c.Unit))
	}
	return samples, values
}

// expects reports whether a sample should have benchmarks of the package: it
// has some, or some of a package that it is measured together with in another
// sample. A file for each package is a sample of that one.
func (s *side) expects(sample *Sample, pkg string) bool {
	return sample.pkgs[pkg] || slices.ContainsFunc(s.samples, func(other *Sample) bool {
		if !other.pkgs[pkg] {
			return false
		}
		for p := range sample.pkgs {
			if other.pkgs[p] {
				return true
			}
		}
		return false
	})
}

// Reduce returns what a sample's lines say: the median, or the lowest where
// nothing can disturb a line but upwards ([results.Lowest]).
func Reduce(lines []float64, lowest bool) float64 {
	if lowest {
		return slices.Min(lines)
	}
	return median(lines)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return arithmetic(sorted[(len(sorted)-1)/2], sorted[len(sorted)/2])
}

// informs reports whether a rule says of a benchmark's unit that it only
// informs.
func (g *gate) informs(b *bench, unit benchfmt.Value) bool {
	for _, r := range g.rules {
		if r.matches(b.rep, unit) {
			return !r.gates(unit, b)
		}
	}
	return false
}

// rule finds the threshold: the first rule that fits what either side says.
func (g *gate) rule(c *Comparison, ob, nb *bench) {
	r := g.first(ob, nb, c.old.unit, c.new.unit)
	c.Threshold, c.Rule, c.RulePos = r.threshold, r.text, r.pos
	c.Gates = r.gates(c.old.unit, ob, nb) && c.Better != ""
	if g.Strict && c.exact {
		c.Threshold = 0
	}
}

// first returns the first rule that fits the unit of either side. The last of
// the built-in rules fits all.
func (g *gate) first(ob, nb *bench, old, new benchfmt.Value) *rule {
	i := slices.IndexFunc(g.rules, func(r *rule) bool { return r.matches(ob.rep, old) || r.matches(nb.rep, new) })
	g.rules[i].used = true
	return g.rules[i]
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
		if len(v) >= exactSamples && slices.Min(v) == slices.Max(v) {
			g.Add("Benchmark%s: all %d samples of %s give %s %s; measured times vary, so this is not a measurement. If it is: -allow-equal %s",
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
