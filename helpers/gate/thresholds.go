package gate

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
	"golang.org/x/perf/benchunit"

	"eventbench/helpers/bounded"
)

// DefaultThresholds holds the built-in rules. They apply after those of the
// user's file, and show how such a file is written.
//
//go:embed thresholds.txt
var DefaultThresholds string

// builtIn is the file name shown for the built-in rules.
const builtIn = "built-in"

// A rule says how large a change in some results must be to matter, and whether
// it then fails the gate.
type rule struct {
	pos       string // file:line
	text      string // as written, blanks collapsed
	unit      *regexp.Regexp
	threshold float64 // 0.05 is 5 %
	gate      bool
	alone     bool              // gate where the benchmark has no cost that tells more
	filter    *benchproc.Filter // nil: all results
	used      bool
}

// readThresholds returns the rules of the file at path, if any, followed by the
// built-in ones.
func readThresholds(path string) ([]*rule, error) {
	var rules []*rule
	var problems results.Problems
	if path != "" {
		text, err := bounded.ReadFile(path, bounded.Text)
		if err != nil {
			return nil, &InputError{Problems: []string{err.Error()}}
		}
		rules = parseThresholds(path, string(text), &problems)
		if len(rules) == 0 && problems.Len() == 0 {
			problems.Add("%s: no rule in this file", path)
		}
	}
	rules = append(rules, parseThresholds(builtIn, DefaultThresholds, &problems)...)
	return rules, problems.Err()
}

func parseThresholds(name, text string, problems *results.Problems) []*rule {
	var rules []*rule
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			problems.Add("%s:%d: %v", name, i+1, err)
			continue
		}
		r.pos = fmt.Sprintf("%s:%d", name, i+1)
		rules = append(rules, r)
	}
	return rules
}

func parseRule(line string) (*rule, error) {
	var fields [3]string
	expr := line
	for i := range fields {
		end := strings.IndexFunc(expr, unicode.IsSpace)
		if end < 0 {
			end = len(expr)
		}
		fields[i], expr = expr[:end], strings.TrimSpace(expr[end:])
	}
	if fields[2] == "" {
		return nil, fmt.Errorf("want UNIT THRESHOLD ACTION [FILTER], have %q", line)
	}
	r := &rule{text: strings.TrimSpace(strings.Join(fields[:], " ") + " " + expr)}
	// A unit with another spelling in results, such as sec/op for ns/op,
	// matches in both.
	pattern := regexp.QuoteMeta(fields[0])
	if _, tidied := benchunit.Tidy(1, fields[0]); tidied != fields[0] {
		pattern += "|" + regexp.QuoteMeta(tidied)
	}
	r.unit = regexp.MustCompile("^(?:" + strings.ReplaceAll(pattern, `\*`, ".*") + ")$")
	percent, ok := strings.CutSuffix(fields[1], "%")
	v, err := strconv.ParseFloat(percent, 64)
	if !ok || err != nil || !(v >= 0 && v < 1e6) {
		return nil, fmt.Errorf("threshold %q: want a percentage such as 0.5%%", fields[1])
	}
	r.threshold = v / 100
	switch fields[2] {
	case "gate":
		r.gate = true
	case "alone":
		r.alone = true
	case "inform":
	default:
		return nil, fmt.Errorf("action %q: want gate, alone or inform", fields[2])
	}
	if expr != "" {
		if r.filter, err = benchproc.NewFilter(expr); err != nil {
			return nil, fmt.Errorf("filter %q: %v", expr, err)
		}
	}
	return r, nil
}

// matches reports whether the rule applies to the unit of a result.
func (r *rule) matches(res *benchfmt.Result, v benchfmt.Value) bool {
	if !r.unit.MatchString(v.Unit) && (v.OrigUnit == "" || !r.unit.MatchString(v.OrigUnit)) {
		return false
	}
	if r.filter == nil {
		return true
	}
	res.Values = append(res.Values[:0], v)
	m, err := r.filter.Match(res)
	return err == nil && m.Any()
}

// gates reports whether a regression in a unit fails the gate under this rule.
// Both benchmarks report the unit, or one does.
func (r *rule) gates(unit benchfmt.Value, benches ...*bench) bool {
	return r.gate || r.alone && !slices.ContainsFunc(benches, func(b *bench) bool { return b.costs(unit.Unit) })
}

// costs are the units of an operation's cost, as benchfmt reads them: first
// those that tell most.
var costs = []string{"floor-sec/op", countUnit, meanUnit, "sec/op"}

// costs reports whether the benchmark reports a cost of an operation that tells
// more than the unit.
func (b *bench) costs(unit string) bool {
	more := costs
	if i := slices.Index(costs, unit); i >= 0 {
		more = costs[:i]
	}
	return slices.ContainsFunc(b.series, func(s *series) bool { return slices.Contains(more, s.unit.Unit) })
}
