//go:build linux

package where

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"eventbench/helpers/where/symbols"
)

// A Profile says which functions the instructions of a benchmark's operations
// are in, on one kernel.
type Profile struct {
	Benchmark string
	Kernel    string // for a column
	Image     string // as results name it
	Release   string
	Seed      uint64
	// Count is the benchmark's instrs/op and Mean its mean-instrs/op, from
	// a boot without a log.
	Count int
	Mean  float64
	// Measured is the number of operations. Exact is how many of them have
	// a log that is as long as the counter says, and as long as an
	// operation of the boot without a log.
	Measured, Exact int
	// Wrong says what is wrong with the others.
	Wrong []string

	tree   *tree
	ops    []*operation // the exact ones
	one    *operation   // one of Count instructions, the most frequent of them
	kernel *symbols.Table
	// classNames are the classes' names on the kernel's architecture.
	classNames *[nclasses]string
}

// An InexactError says why there is no reliable profile.
type InexactError struct{ reason string }

func (e *InexactError) Error() string { return e.reason }

// newProfile accepts the log of one boot as far as the other boot, without a
// log, confirms it.
func newProfile(unlogged *loop, t *tree, ops []operation) (*Profile, error) {
	p := &Profile{tree: t, Measured: len(ops), Benchmark: unlogged.benchmark, Count: unlogged.count, Mean: unlogged.mean}
	had := make(map[int]int)
	for _, c := range unlogged.counts() {
		had[c]++
	}
	if had[p.Count] == 0 {
		return nil, &InexactError{fmt.Sprintf("the benchmark says %d instrs/op, which no operation took between its stamps", p.Count)}
	}
	for i := range ops {
		switch o := &ops[i]; {
		case !o.exact():
			p.Wrong = append(p.Wrong, fmt.Sprintf("operation %d took %d instructions by the counter and %d by the log", i+1, o.stamped, o.logged+o.idle))
		case had[o.stamped] == 0:
			p.Wrong = append(p.Wrong, fmt.Sprintf("operation %d took %d instructions, as none did in the boot without a log", i+1, o.stamped))
		default:
			p.ops = append(p.ops, o)
		}
	}
	p.Exact = len(p.ops)
	if p.one = modal(p.ops, p.Count); p.one == nil {
		took := slices.Sorted(maps.Keys(had))
		return nil, &InexactError{fmt.Sprintf("the boot without a log has %d instrs/op (of %d to %d), and no operation in the one with a log took that many:\n\t%s",
			p.Count, took[0], took[len(took)-1], strings.Join(p.Wrong[:min(len(p.Wrong), 5)], "\n\t"))}
	}
	return p, nil
}

// modal returns the mode of the operations with that many instructions: one
// whose numbers in each function are the most frequent.
func modal(ops []*operation, count int) *operation {
	var kinds []*operation
	var times []int
	for _, o := range ops {
		if o.stamped != count {
			continue
		}
		k := slices.IndexFunc(kinds, func(k *operation) bool { return maps.Equal(k.self, o.self) })
		if k < 0 {
			kinds, times = append(kinds, o), append(times, 1)
		} else {
			times[k]++
		}
	}
	if kinds == nil {
		return nil
	}
	return kinds[slices.Index(times, slices.Max(times))]
}

// idleName is the row of the clock's jumps.
const idleName = "[idle: the clock jumps to the next timer]"

// A Row is one function's part of an operation on each kernel.
type Row struct {
	Function string
	User     bool `json:",omitempty"` // of the program
	Old, New int  // instructions of its own
	OldCalls int
	NewCalls int
	// With are the functions that only one kernel has and whose
	// instructions are counted here, because the other kernel inlines them.
	With []Part `json:",omitempty"`
}

// A Part is what a function adds to the row of another.
type Part struct {
	Function string
	Old, New int
}

// Diff is how many more instructions the new kernel has.
func (r *Row) Diff() int { return r.New - r.Old }

// Label is the function's name in tables.
func (r *Row) Label() string {
	name := r.Function
	if r.User {
		name = "user: " + strings.TrimPrefix(name, "eventbench/helpers/")
	}
	return name
}

// rows returns the functions of an operation on two kernels, the largest
// differences first. other may be nil. Unless raw is set, a function that only
// one kernel has is counted with the nearest caller that both have.
func rows(a *Profile, of *operation, b *Profile, other *operation, raw bool) []Row {
	all := make(map[function]*Row)
	row := func(f function) *Row {
		r := all[f]
		if r == nil {
			r = &Row{Function: f.Name, User: f.User}
			all[f] = r
		}
		return r
	}
	add := func(p *Profile, o *operation, without *Profile, isNew bool, side func(*Row) (n, calls *int)) {
		for at, n := range o.self {
			f := p.tree.funcs[p.tree.nodes[at].fn]
			to := f
			if without != nil && !raw {
				to = p.foldInto(at, without)
			}
			r := row(to)
			k, _ := side(r)
			*k += n
			if to != f && n != 0 {
				r.add(f.Name, n, isNew)
			}
		}
		for fn, n := range o.calls {
			if r, ok := all[p.tree.funcs[fn]]; ok {
				_, calls := side(r)
				*calls += n
			}
		}
		if o.idle > 0 {
			k, _ := side(row(function{Name: idleName}))
			*k += o.idle
		}
	}
	add(a, of, b, false, func(r *Row) (*int, *int) { return &r.Old, &r.OldCalls })
	if b != nil {
		add(b, other, a, true, func(r *Row) (*int, *int) { return &r.New, &r.NewCalls })
	}
	var sorted []Row
	for _, r := range all {
		if r.Old == 0 && r.New == 0 {
			continue
		}
		slices.SortFunc(r.With, func(x, y Part) int {
			return cmp.Or(cmp.Compare(max(y.Old, y.New), max(x.Old, x.New)), cmp.Compare(x.Function, y.Function))
		})
		sorted = append(sorted, *r)
	}
	slices.SortFunc(sorted, func(x, y Row) int {
		byDiff := 0
		if b != nil {
			byDiff = cmp.Compare(abs(y.Diff()), abs(x.Diff()))
		}
		return cmp.Or(byDiff, cmp.Compare(max(y.Old, y.New), max(x.Old, x.New)), cmp.Compare(x.Function, y.Function))
	})
	return sorted
}

// add adds a function's instructions to a row that includes other functions.
func (r *Row) add(name string, n int, isNew bool) {
	i := slices.IndexFunc(r.With, func(p Part) bool { return p.Function == name })
	if i < 0 {
		r.With = append(r.With, Part{Function: name})
		i = len(r.With) - 1
	}
	if isNew {
		r.With[i].New += n
	} else {
		r.With[i].Old += n
	}
}

// foldInto returns the function that a node's instructions are counted for: its
// own if the other kernel has it, or else the nearest caller's that the other
// kernel has.
func (p *Profile) foldInto(at int, other *Profile) function {
	own := p.tree.funcs[p.tree.nodes[at].fn]
	for n := at; n != 0; n = p.tree.nodes[n].parent {
		f := p.tree.funcs[p.tree.nodes[n].fn]
		if f.User || strings.HasPrefix(f.Name, "[") || other.kernel.Has(f.Name) {
			return f
		}
	}
	return own
}

func abs(n int) int { return max(n, -n) }
