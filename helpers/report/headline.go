package report

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"eventbench/helpers/mechanisms"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
)

// What the headline compares, beyond what helpers/mechanisms says. A benchmark
// is called Mechanism + Operation, followed by key=value parts.
var (
	// operations can be done with more than one mechanism. They are in the
	// table's order.
	operations = mechanisms.Headline()

	// base is the mechanism that all others are compared with. If several
	// of its variants were measured, the first of baseVariants stands for
	// it.
	base         = mechanisms.All[0].Name
	baseVariants = []string{"", "semaphore"}

	// topology lists the keys in which two benchmarks must agree to be
	// compared. Other keys, such as how a signal is received, make
	// variants.
	topology = []string{"peer", "cpus", "wait", "senders"}

	// headlineUnits are shown in a table each.
	headlineUnits = []string{"floor-ns/op", "ns/op", "instrs/op", "delivered/op"}
)

// usual is the default filter, in benchstat's syntax; all topologies would make
// a hundred rows. It selects processes on one CPU: threads rarely signal each
// other, and wall time across CPUs is mostly noise. It leaves out timers, which
// serve another end, and rings that are set up in another way.
var usual = "-/peer:thread -/cpus:(cross OR free) -/setup:defer -.name:/^(" + strings.Join(mechanisms.Asides(), "|") + ")/"

// errNoPair means that there is nothing to compare base with.
var errNoPair = fmt.Errorf("no mechanism was measured beside %s with the same operation and topology (to include all: -filter '*', or make headline FILTER='*')", base)

// A subject is a benchmark's name, taken apart.
type subject struct {
	mechanism string // SignalRealtime
	variant   string // sigtimedwait
	operation string // RoundTrip
	place     string // process same
}

// parseName takes a benchmark's name apart. ok is false if the headline does
// not show the benchmark's operation.
func parseName(name benchfmt.Name) (s subject, ok bool) {
	baseName, parts := name.Parts()
	for _, op := range operations {
		if m, found := strings.CutSuffix(string(baseName), op); found && m != "" {
			s.mechanism, s.operation = m, op
		}
	}
	var variant, place []string
	for _, part := range parts {
		if part[0] == '-' {
			continue // GOMAXPROCS
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(string(part), "/"), "=")
		if slices.Contains(topology, key) {
			place = append(place, value)
		} else {
			variant = append(variant, cmp.Or(value, key))
		}
	}
	s.variant, s.place = strings.Join(variant, " "), strings.Join(place, " ")
	return s, s.operation != ""
}

// A row compares a mechanism with base.
type row struct {
	subject
	base, other []*benchfmt.Result
}

func (r row) label() string {
	return strings.TrimSpace(r.operation+" "+r.place) + ": " + strings.TrimSpace(r.mechanism+" "+r.variant)
}

// headline prints benchstat's table of base against the other mechanisms.
//
// benchstat compares columns, and more than three do not fit on a screen. So
// there are two columns, base and the other, and a row for each pair, which
// repeats base's results.
func headline(ctx context.Context, in *input, filter *benchproc.Filter, stdout io.Writer) error {
	if _, _, err := reconcile([]*input{in}, nil); err != nil {
		return err
	}
	rows, err := pair(in.files, filter)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errNoPair
	}
	units, err := unitsOf([]*input{in})
	if err != nil {
		return err
	}
	var cells []cell
	for _, r := range rows {
		cells = append(cells,
			cell{r.label(), strings.ToLower(base), r.base},
			cell{r.label(), "the other", r.other})
	}
	return table(ctx, stdout, units, cells,
		"-table", "kernel-release,cpu,clock", "-row", "row", "-ignore", strings.Join(append(results.KeysOf(results.Orders), ".file"), ","),
		"-filter", ".unit:("+strings.Join(headlineUnits, " OR ")+")")
}

// pair returns the rows that the filter selects, in the table's order.
func pair(files []*results.File, filter *benchproc.Filter) ([]row, error) {
	all := make(map[subject][]*benchfmt.Result)
	for _, f := range files {
		for _, r := range f.Results {
			match, err := filter.Match(r)
			if err != nil {
				return nil, err
			}
			if s, ok := parseName(r.Name); ok && match.Any() {
				all[s] = append(all[s], r)
			}
		}
	}
	var rows []row
	for s, other := range all {
		b := s
		b.mechanism = base
		for _, b.variant = range baseVariants {
			if all[b] != nil {
				break
			}
		}
		if all[b] != nil && s != b {
			rows = append(rows, byFloor(row{s, all[b], other}))
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(
			cmp.Compare(slices.Index(operations, a.operation), slices.Index(operations, b.operation)),
			cmp.Compare(a.place, b.place),
			cmp.Compare(mechanisms.Order(a.mechanism), mechanisms.Order(b.mechanism)),
			cmp.Compare(a.mechanism, b.mechanism),
			cmp.Compare(a.variant, b.variant),
		)
	})
	return rows, nil
}

// byFloor leaves a row its floors if both sides have one, and otherwise its
// means: a floor repeats ten times better.
func byFloor(r row) row {
	has := func(results []*benchfmt.Result) bool {
		return slices.ContainsFunc(results, func(res *benchfmt.Result) bool { _, ok := res.Value(floor); return ok })
	}
	drop := floor
	if has(r.base) && has(r.other) {
		drop = mean
	}
	r.base, r.other = without(r.base, drop), without(r.other, drop)
	return r
}

// The units of a floor and of a mean, as benchfmt reads them.
const floor, mean = "floor-sec/op", "sec/op"

// without returns the results without a unit.
func without(results []*benchfmt.Result, unit string) []*benchfmt.Result {
	var some []*benchfmt.Result
	for _, r := range results {
		r = r.Clone()
		r.Values = slices.DeleteFunc(r.Values, func(v benchfmt.Value) bool { return v.Unit == unit })
		some = append(some, r)
	}
	return some
}
