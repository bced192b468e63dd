//go:build linux

package where

import (
	"cmp"
	"maps"
	"slices"
)

// A Way is a path that operations take: all operations with one count.
type Way struct {
	Count int
	Ops   int     // that took it
	Share float64 // of all that are shown
	// Marks are the functions that set the way apart from the most frequent
	// one: those with the largest differences in instructions.
	Marks []Mark `json:",omitempty"`

	one *operation
}

// A Mark is how a function differs between this way and the most frequent one.
type Mark struct {
	Function string
	Diff     int // instructions more than on the most frequent way
	Calls    int // of the function, in one operation
	Was      int // on the most frequent way
}

// ways returns the ways that operations took, most frequent first.
func (p *Profile) ways() []Way {
	ops := make(map[int]int)
	for _, o := range p.ops {
		ops[o.stamped]++
	}
	var all []Way
	for count, n := range ops {
		all = append(all, Way{Count: count, Ops: n, Share: float64(n) / float64(len(p.ops)), one: modal(p.ops, count)})
	}
	slices.SortFunc(all, func(a, b Way) int {
		return cmp.Or(cmp.Compare(b.Ops, a.Ops), cmp.Compare(a.Count, b.Count))
	})
	for i := range all[min(1, len(all)):] {
		w := &all[i+1]
		for _, r := range rows(p, all[0].one, p, w.one, true) {
			if r.Diff() != 0 && len(w.Marks) < 3 {
				w.Marks = append(w.Marks, Mark{r.Label(), r.Diff(), r.NewCalls, r.OldCalls})
			}
		}
	}
	return all
}

// varying returns the functions that are called more often on some ways of a
// kernel than on others.
func (p *Profile) varying() map[function]bool {
	vary := make(map[function]bool)
	var first map[int]int
	for _, o := range p.ops {
		if first == nil {
			first = o.calls
			continue
		}
		for _, m := range []map[int]int{first, o.calls} {
			for fn := range m {
				if first[fn] != o.calls[fn] {
					vary[p.tree.funcs[fn]] = true
				}
			}
		}
	}
	return vary
}

// A kind is the operations of both kernels that make the same number of calls
// of one function.
type kind struct {
	calls    int
	old, new []*operation
}

// explains is the least share of the variation of counts, averaged over both
// kernels, that a function must explain for operations to be told apart by its
// calls.
const explains = 0.5

// kinds matches the operations of two kernels by the number of calls of a
// function: the one that best explains how counts vary on both. It returns none
// if no function explains enough.
func kinds(a, b *Profile) (ks []*kind, by function) {
	best := 0.0
	vb := b.varying()
	for f := range a.varying() {
		if !vb[f] {
			continue
		}
		e := (explained(a.ops, a.callsOf(f)) + explained(b.ops, b.callsOf(f))) / 2
		if e > best || e == best && f.Name < by.Name {
			best, by = e, f
		}
	}
	if best < explains {
		return nil, by
	}
	sort := func(p *Profile, put func(*kind, *operation)) {
		calls := p.callsOf(by)
		for _, o := range p.ops {
			i := slices.IndexFunc(ks, func(k *kind) bool { return k.calls == calls(o) })
			if i < 0 {
				ks = append(ks, &kind{calls: calls(o)})
				i = len(ks) - 1
			}
			put(ks[i], o)
		}
	}
	sort(a, func(k *kind, o *operation) { k.old = append(k.old, o) })
	sort(b, func(k *kind, o *operation) { k.new = append(k.new, o) })
	return ks, by
}

// callsOf returns how often an operation calls a function.
func (p *Profile) callsOf(f function) func(*operation) int {
	i, ok := p.tree.index[f]
	return func(o *operation) int {
		if !ok {
			return 0
		}
		return o.calls[i]
	}
}

// explained returns the share of the variance of operations' counts that lies
// between groups rather than within them.
func explained(ops []*operation, group func(*operation) int) float64 {
	groups := make(map[int][]*operation)
	for _, o := range ops {
		groups[group(o)] = append(groups[group(o)], o)
	}
	squares := func(ops []*operation) (sum float64) {
		m := mean(ops)
		for _, o := range ops {
			d := float64(o.stamped) - m
			sum += d * d
		}
		return sum
	}
	all, within := squares(ops), 0.0
	for _, g := range groups {
		within += squares(g)
	}
	if all == 0 {
		return 0
	}
	return 1 - within/all
}

func mean(ops []*operation) float64 {
	if len(ops) == 0 {
		return 0
	}
	n := 0
	for _, o := range ops {
		n += o.stamped
	}
	return float64(n) / float64(len(ops))
}

// An Alike compares operations that do the same on both kernels.
type Alike struct {
	Calls              int     // of the function by which operations are told apart
	OldShare, NewShare float64 // of each kernel's operations
	OldMean, NewMean   float64 // instructions
	old, new           *operation
}

// A Shift is how much longer the mean operation became, and why.
type Shift struct {
	Old, New float64
	// Longer is the part due to operations of the same kind becoming
	// longer, Oftener the part due to a different mix of ways.
	Longer, Oftener float64
}

// alike compares operations of the same kind, told apart by the calls of a
// function.
func alike(a, b *Profile) (all []Alike, by string, shift *Shift) {
	ks, f := kinds(a, b)
	if ks == nil {
		return nil, "", nil
	}
	shift = &Shift{Old: mean(a.ops), New: mean(b.ops)}
	for _, k := range ks {
		oldShare, newShare := float64(len(k.old))/float64(len(a.ops)), float64(len(k.new))/float64(len(b.ops))
		oldMean, newMean := mean(k.old), mean(k.new)
		if len(k.old) == 0 || len(k.new) == 0 {
			shift.Oftener += newShare*newMean - oldShare*oldMean
			continue
		}
		shift.Longer += (oldShare + newShare) / 2 * (newMean - oldMean)
		shift.Oftener += (newShare - oldShare) * (oldMean + newMean) / 2
		all = append(all, Alike{
			Calls: k.calls, OldShare: oldShare, NewShare: newShare, OldMean: oldMean, NewMean: newMean,
			old: usual(k.old), new: usual(k.new),
		})
	}
	if all == nil {
		return nil, "", nil
	}
	slices.SortFunc(all, func(x, y Alike) int {
		return cmp.Or(cmp.Compare(min(y.OldShare, y.NewShare), min(x.OldShare, x.NewShare)), cmp.Compare(x.Calls, y.Calls))
	})
	return all, f.Name, shift
}

// usual returns an operation of the most frequent count.
func usual(ops []*operation) *operation {
	times := make(map[int]int)
	for _, o := range ops {
		times[o.stamped]++
	}
	count := slices.MaxFunc(slices.Sorted(maps.Keys(times)), func(x, y int) int { return cmp.Compare(times[x], times[y]) })
	return modal(ops, count)
}
