package gate

import (
	"cmp"
	"fmt"
	"slices"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

// A Failing is a benchmark that failed. It has no figure to compare; the
// failure is the finding.
type Failing struct {
	Pkg, Name  string
	Old, New   int    // in how many samples of each side it failed
	Reason     string // the first line of what it said, on the new side if it failed there
	Where      string // file and line of that
	OldSamples int    // in all
	NewSamples int
}

// worse reports whether the benchmark fails in new but not in old. That is a
// regression however few samples there are, even if old does not have the
// benchmark.
func (f *Failing) worse() bool { return f.New > 0 && f.Old == 0 }

// both reports whether it fails on both sides, so that nothing shows whether
// new is worse.
func (f *Failing) both() bool { return f.New > 0 && f.Old > 0 }

// label begins a line about it.
func (f *Failing) label() string {
	switch {
	case f.worse():
		return "fails"
	case f.both():
		return "fails in both"
	}
	return "failed in old"
}

// text says in how many samples it fails and why.
func (f *Failing) text() string {
	in := func(n, of int, side string) string {
		if n == 0 {
			return "in none of " + side
		}
		return fmt.Sprintf("in %d of %d samples of %s", n, of, side)
	}
	return fmt.Sprintf("%s, %s: %s (%s)", in(f.New, f.NewSamples, "new"), in(f.Old, f.OldSamples, "old"), f.Reason, clean(f.Where))
}

// rank orders failing benchmarks, worst first.
func (f *Failing) rank() int {
	switch {
	case f.worse():
		return 0
	case f.both():
		return 1
	}
	return 2
}

// failing returns the benchmarks that failed, worst first.
func (g *gate) failing(old, new *side) []*Failing {
	type key struct{ pkg, name string }
	type of struct {
		key
		side *side
	}
	index := make(map[key]*Failing)
	samples := make(map[of]map[*Sample]bool)
	units := slices.Concat(old.units(), new.units())
	var all []*results.Failure
	for _, s := range []*side{new, old} {
		for _, f := range s.failures {
			all = append(all, f.Failure)
		}
	}
	name := results.NameOf(all)
	var list []*Failing
	// New first: its reason is the one to show.
	for _, s := range []*side{new, old} {
		for _, f := range s.failures {
			if f.Skipped || !g.wanted(f, units) {
				continue
			}
			k := key{f.pkg, name(f.Failure)}
			if index[k] == nil {
				index[k] = &Failing{Pkg: k.pkg, Name: k.name, Reason: f.Reason(), Where: fmt.Sprintf("%s:%d", f.Path, f.Line),
					OldSamples: len(old.samples), NewSamples: len(new.samples)}
				list = append(list, index[k])
			}
			in := samples[of{k, s}]
			if in == nil {
				in = make(map[*Sample]bool)
				samples[of{k, s}] = in
			}
			in[f.sample] = true
		}
	}
	for k, f := range index {
		f.Old, f.New = len(samples[of{k, old}]), len(samples[of{k, new}])
	}
	slices.SortFunc(list, func(a, b *Failing) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Pkg, b.Pkg), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// wanted reports whether the filter selects a failure. A failure has no units,
// so the units of all benchmarks are tried.
func (g *gate) wanted(f *failure, units []benchfmt.Value) bool {
	if len(units) == 0 {
		return true
	}
	f.res.Values = units
	match, err := g.Reader.Filter.Match(f.res)
	return err == nil && match.Any()
}

// units returns the units of the side's benchmarks.
func (s *side) units() []benchfmt.Value {
	var units []benchfmt.Value
	for _, b := range s.benches {
		for _, sr := range b.series {
			if !slices.Contains(units, sr.unit) {
				units = append(units, sr.unit)
			}
		}
	}
	return units
}

// failed returns a failure that explains why the side has no figures for a
// benchmark in a sample, or in any sample if that is nil. It returns nil if
// there is none.
func (s *side) failed(b *bench, in *Sample) *failure {
	var skipped *failure
	failed := false
	for _, f := range s.failures {
		if f.pkg != b.pkg || !f.Of(b.name) {
			continue
		}
		failed = failed || !f.Skipped
		if in != nil && f.sample != in {
			continue
		}
		if !f.Skipped {
			return f
		}
		skipped = f
	}
	// A benchmark that failed in two samples is skipped in the others.
	if failed {
		return skipped
	}
	return nil
}

// skipped returns why a side has no figures for a benchmark that it skipped, as
// part of a sentence.
func (s *side) skipped(b *bench) string {
	for _, f := range s.failures {
		if f.Skipped && f.pkg == b.pkg && f.Of(b.name) {
			return ", where it was skipped: " + f.Reason()
		}
	}
	return ""
}
