package gate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// reason says in one sentence why the verdict is what it is.
func (c *Comparison) reason(beyond bool) string {
	if c.counted {
		return c.reasonByValue()
	}
	limit := percent(c.Threshold)
	n := fmt.Sprintf("%d+%d", c.Old.N, c.New.N)
	var b strings.Builder
	if c.exact && c.Method != "exact" {
		fmt.Fprintf(&b, "declared exact, but %s; judged as a distribution: ", c.spreadOfExact())
	}
	switch c.Verdict {
	case Regression, Improvement, Changed:
		fmt.Fprintf(&b, "%s, beyond the threshold of %s", c.Change(), limit)
		if c.Method == "exact" {
			fmt.Fprintf(&b, "; exact, in %s samples", n)
		} else {
			fmt.Fprintf(&b, "; %s, %s samples", c.significance(), n)
		}
		b.WriteString(c.collapsed())
	case NoChange:
		switch {
		case c.Method == "exact" && c.Ratio == 1:
			fmt.Fprintf(&b, "identical in all %s samples", n)
		case c.Method == "exact":
			fmt.Fprintf(&b, "%s; exact, in %s samples, and within the threshold of %s", c.Change(), n, limit)
		default:
			fmt.Fprintf(&b, "%s, within the threshold of %s; %s samples", c.Change(), limit, n)
		}
	case CannotTell:
		if c.Collapsed {
			return c.distrusted()
		}
		switch {
		case c.Method == "exact":
			fmt.Fprintf(&b, "%s in %s samples that agree, too few to take an exact metric at its word", c.Change(), n)
		case c.interval.rank == 0:
			fmt.Fprintf(&b, "%s: %s samples are too few for an interval", c.Change(), n)
		case beyond:
			fmt.Fprintf(&b, "%s, beyond the threshold of %s, but not significant: %s, %s samples", c.Change(), limit, c.significance(), n)
		case c.Safe:
			fmt.Fprintf(&b, "%s: no regression beyond %s, but an improvement or no change; %s samples", c.Change(), limit, n)
		default:
			fmt.Fprintf(&b, "%s may be within the threshold of %s or beyond; %s samples", c.Change(), limit, n)
		}
		b.WriteString(c.needed())
	}
	return b.String()
}

// collapsed ends the reason of an improvement that is not believed.
func (c *Comparison) collapsed() string {
	if !c.Collapsed {
		return ""
	}
	return "; a tenth of before or less: has it stopped doing its work?"
}

// distrusted is the reason where such an improvement is no verdict.
func (c *Comparison) distrusted() string {
	return fmt.Sprintf("%s, %d+%d samples: a tenth of before or less; it has more likely stopped doing its work than become so much faster, and no number of samples would tell", c.Change(), c.Old.N, c.New.N)
}

// needed says how many samples would tell.
func (c *Comparison) needed() string {
	unit := "samples a side"
	if c.paired {
		unit = "rounds"
	}
	switch {
	case c.AtLeast:
		return fmt.Sprintf("; at least %d %s are needed", c.Need, unit)
	case c.Need > 0:
		return fmt.Sprintf("; %d %s would tell", c.Need, unit)
	case c.counted:
		return fmt.Sprintf("; more than %d %s would be needed", mostDrawn, unit)
	}
	return fmt.Sprintf("; more than %d %s would be needed, so wide is the spread and so near the change to the threshold", maxNeed, unit)
}

// reasonByValue is reason for a comparison by value.
func (c *Comparison) reasonByValue() string {
	limit := percent(c.Threshold)
	n := fmt.Sprintf("%d+%d samples", c.Old.N, c.New.N)
	switch c.Verdict {
	case Regression, Improvement, Changed:
		how := c.how()
		if c.rare {
			how = fmt.Sprintf("%s %s on average, and the count is as before: one operation in many costs more or less; %s",
				sign(number(c.New.Median-c.Old.Median)), clean(c.Unit), how)
		}
		return fmt.Sprintf("%s, beyond the threshold of %s; %s; %s, %s", c.Change(), limit, how, c.significance(), n) + c.collapsed()
	case NoChange:
		switch {
		case c.Method == "exact" && c.Ratio == 1:
			return fmt.Sprintf("identical in all %s", n)
		case c.Method == "exact" && c.agree():
			return fmt.Sprintf("%s; exact, in %s, and within the threshold of %s", c.Change(), n, limit)
		case c.Method == "exact":
			return fmt.Sprintf("%s; exact, way by way, and within the threshold of %s: %s", c.Change(), limit, c.ways())
		case c.sameWays():
			if slices.ContainsFunc(c.Ways(), func(w Way) bool { return w.Old == 0 || w.New == 0 }) {
				return fmt.Sprintf("the same ways but for rare ones: %s", c.ways())
			}
			return fmt.Sprintf("the same ways: %s", c.ways())
		}
		return fmt.Sprintf("%s, within the threshold of %s; %s", c.Change(), limit, n)
	}
	switch {
	case c.Collapsed:
		return c.distrusted()
	case min(c.Old.N, c.New.N) < exactSamples:
		return fmt.Sprintf("%s in %s, too few to know the ways of a count", c.Change(), n) + c.needed()
	case c.agree():
		return fmt.Sprintf("%s; %s", c.Change(), c.doubt) + c.needed()
	}
	return fmt.Sprintf("%s: its ways are %s", c.doubt, c.ways()) + c.needed()
}

// sameWays reports whether the sides have the same ways, and not only one.
func (c *Comparison) sameWays() bool {
	return c.counted && c.Verdict == NoChange && c.Method != "exact" && len(c.Ways()) > 1
}

// how says what became of the ways.
func (c *Comparison) how() string {
	if c.Method == "exact" {
		if c.agree() {
			return "exact"
		}
		return "exact, way by way: " + c.ways()
	}
	what := "some ways are taken more often, others less"
	old, new := c.sorted()
	switch share := alone(new, old, 0, 1+c.Threshold); {
	case share == 1:
		what = "all ways are new"
	case share > 0:
		what = "some ways are new"
	}
	return what + ": " + c.ways()
}

// spreadOfExact says which side of an exact metric varies.
func (c *Comparison) spreadOfExact() string {
	side, s := "old", c.Old
	if s.Min == s.Max {
		side, s = "new", c.New
	}
	return fmt.Sprintf("%s ranges from %s to %s", side, exactNumber(s.Min), exactNumber(s.Max))
}

func (c *Comparison) significance() string {
	if c.Family == 1 {
		return fmt.Sprintf("p %s", probability(c.P))
	}
	return fmt.Sprintf("p %s, %s among %d comparisons", probability(c.P), probability(c.Adjusted), c.Family)
}

// Change returns the change and, where there is one, its interval, such as
// "+14.20% [+12.10%, +16.03%]".
func (c *Comparison) Change() string {
	switch {
	case c.counted && c.moved != 0:
		return fmt.Sprintf("%s %s (%s)", sign(exactNumber(c.moved)), clean(c.Unit), change(c.Ratio))
	case c.counted:
		return change(c.Ratio)
	case c.Method == "exact" && c.Ratio != 1:
		return fmt.Sprintf("%s %s (%s)", sign(exactNumber(c.New.Median-c.Old.Median)), clean(c.Unit), change(c.Ratio))
	case c.shift && !(c.Old.Median > 0):
		// No ratio: the difference itself.
		iv := c.interval
		if iv.rank == 0 {
			return fmt.Sprintf("%s %s", sign(number(iv.est)), clean(c.Unit))
		}
		return fmt.Sprintf("%s [%s, %s] %s", sign(number(iv.est)), sign(number(iv.lo)), sign(number(iv.hi)), clean(c.Unit))
	case c.Method == "exact" || c.interval.rank == 0:
		return change(c.Ratio)
	}
	return fmt.Sprintf("%s [%s, %s]", change(c.Ratio), change(c.Lo), change(c.Hi))
}

// change formats a ratio as a change in per cent.
func change(ratio float64) string {
	switch {
	case math.IsInf(ratio, 1):
		return "+∞%"
	case ratio >= 100:
		return "×" + number(ratio)
	}
	return fmt.Sprintf("%+.2f%%", (ratio-1)*100)
}

// percent formats a threshold.
func percent(x float64) string { return strconv.FormatFloat(x*100, 'g', 6, 64) + "%" }

// number formats a value: whole numbers in full, others to five significant
// digits, neither with an exponent unless it would be absurd without.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case abs >= 1e15 || abs < 1e-6:
		return strconv.FormatFloat(v, 'g', 5, 64)
	case v == math.Round(v) || abs >= 1e5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := max(0, 4-int(math.Floor(math.Log10(abs))))
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// exactNumber formats a value that is known to the last digit.
func exactNumber(v float64) string { return strconv.FormatFloat(rounded(v), 'f', -1, 64) }

// rounded rounds to fifteen digits, which leaves out what a conversion between
// ns and s does to the last ones.
func rounded(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 15, 64), 64)
	return r
}

// value formats a value of the comparison.
func (c *Comparison) value(v float64) string {
	if c.exact {
		return exactNumber(v)
	}
	return number(v)
}

// sign puts a plus before a number that has no minus.
func sign(number string) string {
	if strings.HasPrefix(number, "-") || number == "0" {
		return number
	}
	return "+" + number
}

// probability formats a p-value.
func probability(p float64) string {
	switch {
	case p == 0:
		return "0"
	case p < 1e-4:
		return fmt.Sprintf("%.0e", p)
	}
	return strconv.FormatFloat(p, 'g', 2, 64)
}
