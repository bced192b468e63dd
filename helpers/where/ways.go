//go:build linux

package where

import (
	"cmp"
	"maps"
	"slices"
)

// A Way is a path that operations take: those of one count.
type Way struct {
	Count int
	Ops   int     // that took it
	Share float64 // of all that are shown
	// Marks are the functions that set the way off from the commonest one: those
	// with the largest differences in instructions.
	Marks []Mark `json:",omitempty"`

	one *operation
}

// A Mark is what a function does on a way that it does not on another.
type Mark struct {
	Function string
	Diff     int // instructions more than on the commonest way
	Calls    int // of the function, in one operation
	Was      int // on the commonest way
}

// ways returns the ways that operations took, the commonest first.
func (p *Profile) ways() []Way {
	ops := make(map[int]int)
	for _, o := range p.ops {
		ops[o.stamped]++
	}
	var all []Way
	for count, n := range ops {
		all = append(all, Way{Count: count, Ops: n, Share: float64(n) / float64(len(p.ops)), one: commonest(p.ops, count)})
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

// A kind is the operations of both kernels that do the same as far as it varies
// on either.
type kind struct {
	calls    map[function]int
	old, new []*operation
}

// kinds matches the operations of two kernels: those are alike that make the
// same number of calls to each of the functions of which the number varies, on
// both kernels. It returns none where there is no such function.
func kinds(a, b *Profile) (ks []*kind, by []function) {
	va, vb := a.varying(), b.varying()
	for f := range va {
		if vb[f] {
			by = append(by, f)
		}
	}
	if by == nil {
		return nil, nil
	}
	slices.SortFunc(by, func(x, y function) int { return cmp.Compare(x.Name, y.Name) })
	sort := func(p *Profile, put func(*kind, *operation)) {
		for _, o := range p.ops {
			calls := make(map[function]int)
			for _, f := range by {
				if i, ok := p.tree.index[f]; ok && o.calls[i] > 0 {
					calls[f] = o.calls[i]
				}
			}
			i := slices.IndexFunc(ks, func(k *kind) bool { return maps.Equal(k.calls, calls) })
			if i < 0 {
				ks = append(ks, &kind{calls: calls})
				i = len(ks) - 1
			}
			put(ks[i], o)
		}
	}
	sort(a, func(k *kind, o *operation) { k.old = append(k.old, o) })
	sort(b, func(k *kind, o *operation) { k.new = append(k.new, o) })
	return ks, by
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

// An Alike is what became of operations that do the same on both kernels.
type Alike struct {
	// Calls are those by which operations are told apart: of functions whose
	// number of calls varies on both kernels.
	Calls              map[string]int
	OldShare, NewShare float64 // of each kernel's operations
	OldMean, NewMean   float64 // instructions
	old, new           *operation
}

// A Shift is by how much the mean operation became longer, and why.
type Shift struct {
	Old, New float64
	// Longer is because what is alike became longer, Oftener because another mix
	// of ways is taken.
	Longer, Oftener float64
}

// alike compares like with like.
func alike(a, b *Profile) (all []Alike, by []string, shift *Shift) {
	ks, fs := kinds(a, b)
	if ks == nil {
		return nil, nil, nil
	}
	for _, f := range fs {
		by = append(by, f.Name)
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
		calls := make(map[string]int)
		for _, f := range fs {
			calls[f.Name] = k.calls[f]
		}
		all = append(all, Alike{
			Calls: calls, OldShare: oldShare, NewShare: newShare, OldMean: oldMean, NewMean: newMean,
			old: usual(k.old), new: usual(k.new),
		})
	}
	slices.SortFunc(all, func(x, y Alike) int {
		return cmp.Compare(min(y.OldShare, y.NewShare), min(x.OldShare, x.NewShare))
	})
	return all, by, shift
}

// usual returns an operation of the commonest count.
func usual(ops []*operation) *operation {
	times := make(map[int]int)
	for _, o := range ops {
		times[o.stamped]++
	}
	count := slices.MaxFunc(slices.Sorted(maps.Keys(times)), func(x, y int) int { return cmp.Compare(times[x], times[y]) })
	return commonest(ops, count)
}
