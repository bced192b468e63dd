package gate

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"eventbench/helpers/results"
)

// Explain writes every step of the verdicts on the benchmark called name, in
// all its units: the samples, how they were reduced, the test, the correction
// and the decision. It returns an error if no comparison has that name.
func (r *Report) Explain(w io.Writer, name string) error {
	name = strings.TrimPrefix(name, "Benchmark")
	var b strings.Builder
	for _, f := range r.Failures {
		if clean(f.Name) == name || results.Stem(clean(f.Name)) == name {
			fmt.Fprintf(&b, "%s: %s: %s\n", clean(f.Name), f.label(), f.text())
		}
	}
	for _, c := range r.Comparisons {
		if clean(c.Name) != name && results.Stem(clean(c.Name)) != name {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		r.explain(&b, c)
	}
	if b.Len() == 0 {
		var near []string
		for _, c := range r.Comparisons {
			if n := clean(c.Name); strings.Contains(strings.ToLower(n), strings.ToLower(name)) && !slices.Contains(near, n) {
				near = append(near, n)
			}
		}
		if len(near) == 0 {
			for _, c := range r.Comparisons {
				if n := clean(c.Name); !slices.Contains(near, n) {
					near = append(near, n)
				}
			}
		}
		return fmt.Errorf("no comparison of a benchmark called %q; there are %s", name, abbreviate(near))
	}
	return writeLines(w, b.String())
}

func (r *Report) explain(b *strings.Builder, c *Comparison) {
	say := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	say("%s %s: %s", clean(c.Name), clean(c.Unit), c.label())
	say("  %s", c.Reason)
	say("")
	say("Samples: the %s of the lines that each process or boot has", c.reduced())
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, side := range []struct {
		label   string
		samples []*Sample
		values  []float64
		series  *series
		all     []*Sample
	}{{"old", c.oldSamples, c.oldValues, c.old, r.OldSamples}, {"new", c.newSamples, c.newValues, c.new, r.NewSamples}} {
		for i, s := range side.samples {
			lines := ""
			if l := side.series.lines[slices.Index(side.all, s)]; len(l) > 1 {
				lines = fmt.Sprintf("of %d lines", len(l))
			}
			round := ""
			if s.Round != nil {
				round = fmt.Sprintf("round %d", s.Round.Number)
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\n", side.label, c.value(side.values[i]), lines, round, clean(s.Name))
		}
	}
	tw.Flush()
	for _, s := range []struct {
		label string
		Summary
	}{{"old", c.Old}, {"new", c.New}} {
		bounds := "six samples give the median an interval"
		if !math.IsInf(s.Lo, 0) {
			bounds = fmt.Sprintf("95%% interval [%s, %s]", c.value(s.Lo), c.value(s.Hi))
		}
		say("  median of %s: %s, %s", s.label, c.value(s.Median), bounds)
	}

	say("")
	say("Rule: %s (%s)", clean(c.Rule), clean(c.RulePos))
	switch {
	case c.Better == "":
		say("  nothing says whether lower or higher is better, so it only informs")
	case c.Gates:
		say("  %s is better; a regression beyond %s fails", c.Better, percent(c.Threshold))
	default:
		say("  %s is better; it only informs", c.Better)
	}
	if c.rare {
		say("  the counts of both sides are the same, so this is what the mean has beyond them, with all counts at %s", c.value(c.base))
	}

	say("")
	if c.counted {
		r.explainWays(say, c)
		return
	}
	if c.Method == "exact" {
		say("Comparison: declared exact (assume=exact), and all samples of a side agree: compared as numbers")
		say("  %s against %s: %s", c.value(c.New.Median), c.value(c.Old.Median), c.Change())
		say("  at least %d samples a side must agree: have %d and %d", exactSamples, c.Old.N, c.New.N)
	} else {
		r.explainTest(say, c)
	}

	say("")
	limit := 1 + c.Threshold
	switch c.Better {
	case "higher":
		say("Decision: worse is a ratio below %s, better one above %s", number(1/limit), number(limit))
	case "lower":
		say("Decision: worse is a ratio above %s, better one below %s", number(limit), number(1/limit))
	default:
		say("Decision: changed is a ratio below %s or above %s", number(1/limit), number(limit))
	}
	say("  the ratio new/old is %s, its interval [%s, %s]", number(c.Ratio), number(c.Lo), number(c.Hi))
	say("  %s", c.label())
	if c.Need > 0 && !c.AtLeast && c.Method != "exact" {
		say("  %d samples a side would tell, 8 times in 10: if the change is what it seems and the spread what the samples show", c.Need)
	}
}

func (r *Report) explainTest(say func(string, ...any), c *Comparison) {
	if c.exact {
		say("Declared exact, but %s: compared as distributions", c.spreadOfExact())
	}
	exactly := "exactly"
	if c.test.attainable == nil {
		exactly = "in the normal approximation"
	}
	if c.test.name == "Wilcoxon signed-rank" {
		say("Comparison: %s over %d rounds, each old against the new of its round; %s", c.test.name, c.Old.N, exactly)
		say("  sum of the ranks of rounds where new is larger: %s of %s", number(c.test.stat), number(c.test.max))
	} else {
		say("Comparison: %s over %d+%d samples; %s", c.test.name, c.Old.N, c.New.N, exactly)
		say("  pairs of an old and a new sample where new is larger (ties half): %s of %s", number(c.test.stat), number(c.test.max))
	}
	if least := c.test.leastP(); least > 0 {
		say("  p = %s; the smallest possible with these samples is %s", probability(c.P), probability(least))
	} else {
		say("  p = %s", probability(c.P))
	}
	what := "ratios of a new to an old sample"
	switch {
	case c.shift:
		what = "differences between a new and an old sample (some values are not positive, so not ratios)"
	case c.test.name == "Wilcoxon signed-rank":
		what = "means of two rounds' ratios"
	}
	iv := c.interval
	if iv.rank == 0 {
		say("  estimate %s: the median of the %d %s; too few samples for an interval of %s", c.Change(), iv.count, what, percent(confidence))
	} else {
		say("  estimate %s: the median of the %d %s,", c.Change(), iv.count, what)
		say("  between the %d. smallest and the %d. largest of them: confidence %s", iv.rank, iv.rank, percent(math.Round(iv.level*1e4)/1e4))
	}
	r.explainFamily(say, c)
}

// explainWays shows how a comparison by value came to its verdict.
func (r *Report) explainWays(say func(string, ...any), c *Comparison) {
	say("Comparison: by value; values within %s of each other are one way of the operation", percent(c.Threshold))
	for _, w := range c.Ways() {
		say("  %s: in %d of %d old and %d of %d new samples", c.valueOf(w), w.Old, c.Old.N, w.New, c.New.N)
	}
	if c.Method == "exact" {
		say("  every way has moved by %s %s", exactNumber(c.moved), clean(c.Unit))
	} else {
		say("  on average %s", c.Change())
	}
	c.explainFloor(say)

	of := ""
	if c.parts > 1 {
		of = fmt.Sprintf("; they are one of %d parts, which have other samples, and p is %[1]d times as large", c.parts)
	}
	say("")
	say("Family: %d comparisons%s", c.Family, of)
	if c.chance.asUnlikely == c.chance.relabelings {
		say("  all samples are of one way, whichever of them are called new: p = 1")
	} else {
		say("  tested as a whole (Westfall-Young min-P): of %d ways to say which samples are old and which new, all comparisons alike,", c.chance.relabelings)
		say("  there are %d in which the ways of any comparison are as unlikely: adjusted p = %s (by its ways %s, by rank %s)",
			c.chance.asUnlikely, probability(c.Adjusted), probability(c.chance.ways), probability(c.chance.rank))
	}
	r.explainSignificance(say, c)

	say("")
	if c.doubt != "" && c.Verdict == CannotTell {
		say("Decision: %s", clean(string(c.doubt)))
	} else {
		say("Decision: %s", c.Reason)
	}
	say("  %s", c.label())
}

// explainFloor says how sure the lowest value of each side is. A side that has
// it in a share of its samples would miss it in all of as many as the other has
// with the probability that is shown.
func (c *Comparison) explainFloor(say func(string, ...any)) {
	at := func(values []float64, v float64) (n int) {
		for _, x := range values {
			if x == v {
				n++
			}
		}
		return n
	}
	old, new := at(c.oldValues, c.Old.Min), at(c.newValues, c.New.Min)
	missed := func(n, of, by int) string {
		return probability(math.Pow(1-float64(n)/float64(of), float64(by)))
	}
	switch {
	case c.Old.Min == c.New.Min:
		say("  the lowest is %s on both sides, in %d of %d old and %d of %d new samples", c.value(c.Old.Min), old, c.Old.N, new, c.New.N)
	case c.Old.Min < c.New.Min:
		say("  the lowest is %s, in %d of %d old samples, and %s; if new had it as often, its %d samples would all miss it with probability %s",
			c.value(c.Old.Min), old, c.Old.N, c.value(c.New.Min), c.New.N, missed(old, c.Old.N, c.New.N))
	default:
		say("  the lowest is %s, in %d of %d new samples, and %s; if old had it as often, its %d samples would all miss it with probability %s",
			c.value(c.New.Min), new, c.New.N, c.value(c.Old.Min), c.Old.N, missed(new, c.New.N, c.Old.N))
	}
}

// explainFamily shows how the family of comparisons was corrected for.
func (r *Report) explainFamily(say func(string, ...any), c *Comparison) {
	kind := "can fail the gate"
	if !c.Gates {
		kind = "only inform"
	}
	say("")
	of := ""
	if c.parts > 1 {
		of = fmt.Sprintf("; they are one of %d parts, which have other samples", c.parts)
	}
	say("Family: %d comparisons of distributions that %s%s", c.Family, kind, of)
	switch {
	case c.joint == nil:
		a := c.adjustment
		say("  tested one by one (Holm): of the %d with no smaller p one has one as small by chance with probability %s",
			a.standing, probability(math.Min(1, a.charge)))
		say("  adjusted p = %s: no less than that of a smaller p", probability(c.adjustment.p))
	case !(c.standout > 0):
		say("  tested as a whole (Westfall-Young max-T); the interval has no change in it, so that this one does not stand out: p = 1")
	default:
		say("  tested as a whole (Westfall-Young max-T): of the %s ways to say which samples%s are old and which new, all comparisons alike,",
			number(c.joint.total), map[bool]string{true: " of a round"}[c.joint.paired])
		say("  there are %d in which any comparison's interval ends as far from no change as this one's: %s thresholds", c.asMuch, number(c.standout))
		say("  adjusted p = %d / %s, and no less than p: %s", c.asMuch, number(c.joint.total), probability(math.Max(c.P, float64(c.asMuch)/c.joint.total)))
	}
	if c.parts > 1 {
		say("  and %d times that for the parts: %s", c.parts, probability(c.Adjusted))
	}
	r.explainSignificance(say, c)
}

func (r *Report) explainSignificance(say func(string, ...any), c *Comparison) {
	if c.Adjusted <= r.Alpha {
		say("  significant: at most %s", number(r.Alpha))
	} else {
		say("  not significant: more than %s", number(r.Alpha))
	}
}
