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

// The choice that the headline makes, beyond what helpers/mechanisms says. A
// benchmark is called Mechanism + Operation, with key=value parts below.
var (
	// operations are those that one mechanism can be compared with another in,
	// in the order of the table.
	operations = mechanisms.Headline()

	// base is what everything is compared with. Where it was measured in
	// variants, the first of baseVariants stands for it; none is preferred.
	base         = mechanisms.All[0].Name
	baseVariants = []string{"", "semaphore"}

	// topology are the keys in which two benchmarks must agree to be compared.
	// What other keys say (how a signal is received, a mode) makes variants.
	topology = []string{"peer", "cpus", "wait", "senders"}

	// headlineUnits are shown, each in a table.
	headlineUnits = []string{"ns/op", "instrs/op", "delivered/op"}
)

// usual, in benchstat's syntax of filters, is what the headline shows unless
// asked for something else; all topologies would make a hundred rows. A signal is
// what processes send each other, and across CPUs wall time is mostly noise. A
// timer is no other means to the same end.
var usual = "-/peer:thread -/cpus:(cross OR free) -.name:/^(" + strings.Join(mechanisms.Asides(), "|") + ")/"

// errNoPair means that there is nothing to set against each other.
var errNoPair = fmt.Errorf("no mechanism was measured beside %s in the same operation and topology (-filter '*', or make headline FILTER='*', looks at all)", base)

// A subject is what a benchmark's name says, taken apart.
type subject struct {
	mechanism string // SignalRealtime
	variant   string // sigtimedwait
	operation string // RoundTrip
	place     string // process same
}

// parseName takes a benchmark's name apart; ok is false if it is about none of
// the operations.
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

// A row sets a mechanism against base.
type row struct {
	subject
	base, other []*benchfmt.Result
}

func (r row) label() string {
	return strings.TrimSpace(r.operation+" "+r.place) + ": " + strings.TrimSpace(r.mechanism+" "+r.variant)
}

// headline prints benchstat's table of base against the rest.
//
// benchstat compares columns, and more than three of them do not fit a screen.
// So there are two, base and the other, and a row for each pair, in which base's
// results are repeated.
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
		"-table", "kernel-release,cpu,clock", "-row", "row", "-ignore", ".file",
		"-filter", ".unit:("+strings.Join(headlineUnits, " OR ")+")")
}

// pair finds the rows among what the filter lets pass, in the order of the
// table.
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
			rows = append(rows, row{s, all[b], other})
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
