//go:build linux

package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"

	"eventbench/helpers/files"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
)

// A measurement is all pairs of all rows.
type measurement struct {
	*options
	sides    [2]side // Go, C
	progress *progress.Progress

	rows   []measured
	unit   string // in which the sides are compared
	config []benchfmt.Config
	done   []*benchfmt.Result // in the order in which they were measured
}

// measured is a row with its figures.
type measured struct {
	mechanisms.Row
	n      int          // iterations
	values [2][]float64 // of the sides; index i is pair i
	floors [2][]float64 // the same where time is measured, of the pairs that have them
	// irregular means that instructions were counted and most operations
	// did not take the most frequent number of them.
	irregular bool
}

// units are the units for comparing sides. The first that there is counts.
var units = []string{"instrs/op", "ns/op"}

// prepare runs all rows once to find out which there are, which unit they use,
// and how many iterations take how long. Where starting a process is slow, this
// is also the first pair.
func (m *measurement) prepare(ctx context.Context, chosen []mechanisms.Row) error {
	m.progress.Step("trying every row")
	counts := [2]int{1, 4000} // of the Go side only what there is matters; 4000 take at most 50 ms
	if m.n > 0 {
		counts = [2]int{1, 1}
	}
	if m.exec != nil {
		counts = [2]int{m.n, m.n}
	}
	tried, err := m.sides[0].run(ctx, m.options, names(chosen), counts[0], 1)
	if err != nil {
		return err
	}
	// C would fail where Go says that there is nothing to measure.
	var there []mechanisms.Row
	for i, r := range chosen {
		if tried[i] == nil {
			m.progress.Say("%s: skipped: the Go benchmark says that it cannot run here", r.Name)
			continue
		}
		there = append(there, r)
	}
	if len(there) == 0 {
		return errors.New("no row can be measured here")
	}
	got := [2][]*benchfmt.Result{slices.DeleteFunc(tried, func(r *benchfmt.Result) bool { return r == nil })}
	if got[1], err = m.sides[1].run(ctx, m.options, names(there), counts[1], 1); err != nil {
		return err
	}
	for i, r := range there {
		goRes, cRes := got[0][i], got[1][i]
		unit := unitOf(goRes)
		if unit == "" || unit != unitOf(cRes) {
			return fmt.Errorf("%s: the Go side reports %q, the C side %q: both need the same EVENTBENCH_CLOCK", r.Name, unit, unitOf(cRes))
		}
		m.unit, m.config = unit, goRes.Config
		n := m.n
		if n == 0 {
			sec, _ := cRes.Value("sec/op")
			n = iterations(m.time, sec)
		}
		m.rows = append(m.rows, measured{Row: r, n: n})
	}
	if m.exec == nil {
		return nil
	}
	all := m.groups()[0]
	for which := range got {
		if err := m.record(all, which, got[which]); err != nil {
			return err
		}
	}
	return nil
}

// groups returns the rows, by index, that one process measures: each alone, or
// all of them where starting a process is slow.
func (m *measurement) groups() [][]int {
	groups := make([][]int, 0, len(m.rows))
	for i := range m.rows {
		if m.exec != nil && i > 0 {
			groups[0] = append(groups[0], i)
			continue
		}
		groups = append(groups, []int{i})
	}
	return groups
}

// What a measurement makes at least, and testdata/reference at most.
const (
	leastIterations = 100
	mostIterations  = 1e9
)

// iterations returns how many iterations fit the given time if each takes sec,
// to two digits.
func iterations(total time.Duration, sec float64) int {
	n := min(max(total.Seconds()/sec, leastIterations), mostIterations)
	digit := math.Pow(10, math.Floor(math.Log10(n))-1)
	return int(math.Round(n/digit) * digit)
}

// unitOf returns the unit in which the result is compared.
func unitOf(r *benchfmt.Result) string {
	for _, unit := range units {
		if _, ok := figure(r, unit); ok {
			return unit
		}
	}
	return ""
}

// figure returns the result's value in a unit as printed, before benchfmt
// converted nanoseconds to seconds.
func figure(r *benchfmt.Result, unit string) (float64, bool) {
	for _, v := range r.Values {
		if v.OrigUnit == unit {
			return v.OrigValue, true
		}
		if v.Unit == unit {
			return v.Value, true
		}
	}
	return 0, false
}

// measure runs the remaining pairs.
func (m *measurement) measure(ctx context.Context) error {
	random := rand.New(rand.NewPCG(m.seed, 0))
	groups := m.groups()
	first := len(m.rows[0].values[0])
	total, done, begun := (m.pairs-first)*len(groups), 0, time.Now()
	for pair := first; pair < m.pairs; pair++ {
		random.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		for i, group := range groups {
			at := fmt.Sprintf("pair %d/%d", pair+1, m.pairs)
			if done > 0 {
				left := time.Since(begun) * time.Duration(total-done) / time.Duration(done)
				at += fmt.Sprintf(", about %v left", left.Round(time.Second))
			}
			if i == 0 {
				m.progress.Step("%s", at)
			}
			m.progress.Working("%s: %s", at, m.rows[group[0]].Name)
			if err := m.pair(ctx, group, pair+1, random.IntN(2)); err != nil {
				return err
			}
			done++
		}
	}
	return nil
}

// pair measures the rows of a group for one pair, starting with the side that
// goes first.
func (m *measurement) pair(ctx context.Context, group []int, number, first int) error {
	var names []string
	for _, i := range group {
		names = append(names, m.rows[i].Name)
	}
	for _, which := range []int{first, 1 - first} {
		got, err := m.sides[which].run(ctx, m.options, names, m.rows[group[0]].n, number)
		if err != nil {
			return err
		}
		if err := m.record(group, which, got); err != nil {
			return err
		}
	}
	return nil
}

// record adds one side's results for the rows of a group.
func (m *measurement) record(group []int, which int, got []*benchfmt.Result) error {
	for k, i := range group {
		value, ok := 0.0, false
		if got[k] != nil {
			value, ok = figure(got[k], m.unit)
		}
		if !ok {
			return fmt.Errorf("%s side of %s: no %s, which there was before", m.sides[which].impl, m.rows[i].Name, m.unit)
		}
		m.rows[i].values[which] = append(m.rows[i].values[which], value)
		if floor, ok := figure(got[k], "floor-ns/op"); ok {
			m.rows[i].floors[which] = append(m.rows[i].floors[which], floor)
		}
		if share, ok := figure(got[k], "modal-share"); ok && share < 0.5 {
			m.rows[i].irregular = true
		}
		m.keep(got[k], m.sides[which].impl)
	}
	return nil
}

// keep keeps a result for the file. Units that only one side reports are left
// out: benchstat would print tables with a single column.
func (m *measurement) keep(r *benchfmt.Result, impl string) {
	r.Values = slices.DeleteFunc(r.Values, func(v benchfmt.Value) bool {
		return !slices.Contains([]string{"ns/op", "sec/op", "floor-sec/op", "instrs/op", "mean-instrs/op", "modal-share"}, v.Unit)
	})
	r.Config = slices.Clone(m.config)
	for _, c := range [][2]string{{"c-calls", m.c()}, {"impl", impl}} {
		r.SetConfig(c[0], c[1])
		i, _ := r.ConfigIndex(c[0])
		r.Config[i].File = true
	}
	m.done = append(m.done, r)
}

// c says how the C side makes its calls.
func (o *options) c() string {
	if o.inline {
		return "inline"
	}
	return "libc"
}

// write writes all results to the file that the options name, or to a file in
// dir named after what was measured, and returns its path.
func (m *measurement) write(dir string) (path string, err error) {
	path = m.out
	if path == "" {
		config := benchfmt.Result{Config: m.config}
		name := config.GetConfig("kernel-release") + "-" + config.GetConfig("clock") + "-" + m.c()
		path = filepath.Join(dir, files.Name(name)+results.Ext)
	}
	var text bytes.Buffer
	w := benchfmt.NewWriter(&text)
	for _, r := range m.done {
		if err := w.Write(r); err != nil {
			return "", err
		}
	}
	text.WriteString("PASS\n")
	return path, files.Write(path, text.Bytes())
}

// table prints the rows and returns the names of those that are over.
func (m *measurement) table(w io.Writer) (over []string) {
	counted := m.unit == "instrs/op"
	width := 0
	for _, r := range m.rows {
		width = max(width, len(r.Name))
	}
	more := func(s string) string { return "" }
	if counted { // what Go adds is a number, not only a ratio
		more = func(s string) string { return fmt.Sprintf("%6s  ", s) }
	}
	unit := m.unit
	if !slices.ContainsFunc(m.rows, func(r measured) bool { return !r.hasFloors() }) {
		unit = "floor-ns/op"
	}
	fmt.Fprintf(w, "%-*s  %14s  %14s  %s%6s  %-14s  %s\n", width, "", "Go "+unit, "C "+unit, more("Go-C"), "Go/C", "95 % interval", "at most")
	for _, r := range m.rows {
		s := summarize(r.compared(), counted && !r.irregular)
		limit := most(r.Row, m.unit)
		verdict := s.verdict(limit)
		if verdict == "over" {
			over = append(over, r.Name)
		}
		fmt.Fprintf(w, "%-*s  %14s  %14s  %s%6.3f  %-14s  %7.2f  %s\n",
			width, r.Name, digits(s.sides[0]), digits(s.sides[1]), more(fmt.Sprintf("%+.0f", s.sides[0]-s.sides[1])), s.ratio, s.interval(), limit, verdict)
	}
	return over
}

// compared returns what of the sides is compared: the floors of loops if all
// have one, for they repeat ten times better than times do.
func (r *measured) compared() [2][]float64 {
	if r.hasFloors() {
		return r.floors
	}
	return r.values
}

func (r *measured) hasFloors() bool {
	n := len(r.values[0])
	return len(r.floors[0]) == n && len(r.floors[1]) == n
}

// A summary is the result of a row's pairs.
type summary struct {
	sides         [2]float64 // medians
	ratio, lo, hi float64
}

// summarize compares Go's values with C's. Exact values have a range instead of
// an interval.
func summarize(values [2][]float64, exact bool) summary {
	var s summary
	ratios := make([]float64, len(values[0]))
	for i := range ratios {
		ratios[i] = values[0][i] / values[1][i]
	}
	for i, v := range values {
		s.sides[i] = median(v).Center
	}
	m := median(ratios)
	s.ratio, s.lo, s.hi = m.Center, m.Lo, m.Hi
	if exact {
		s.lo, s.hi = slices.Min(ratios), slices.Max(ratios)
	}
	return s
}

// median returns the median with its 95 % interval, which is infinite if there
// are too few values.
func median(values []float64) benchmath.Summary {
	// NewSample sorts what it is given.
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}

func (s summary) interval() string {
	switch {
	case s.lo == s.hi:
		return "exact"
	case math.IsInf(s.lo, 0) || math.IsInf(s.hi, 0):
		return fmt.Sprintf("needs %d pairs", minPairs)
	}
	return fmt.Sprintf("%.3f to %.3f", s.lo, s.hi)
}

// verdict compares the ratio's interval, as printed, with the highest
// acceptable ratio.
func (s summary) verdict(atMost float64) string {
	const half = 0.0005
	switch {
	case s.lo > atMost+half:
		return "over"
	case s.hi > atMost+half:
		return "unclear"
	}
	return "ok"
}

// digits formats a figure with as many digits as matter.
func digits(v float64) string {
	if v >= 1000 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
