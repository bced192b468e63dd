//go:build linux

package where

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	pprof "github.com/google/pprof/profile"
)

// Pprof returns the profile of one operation that took instrs/op instructions,
// in the compressed format of go tool pprof.
func (p *Profile) Pprof() ([]byte, error) {
	out := &pprof.Profile{
		SampleType:        []*pprof.ValueType{{Type: "instructions", Unit: "count"}},
		DefaultSampleType: "instructions",
		PeriodType:        &pprof.ValueType{Type: "instructions", Unit: "count"},
		Period:            1,
		Comments: []string{
			fmt.Sprintf("%s: one operation of %d instructions, every one of them counted", p.Benchmark, p.Count),
			fmt.Sprintf("kernel %s (%s), seed %d", p.Release, p.Image, p.Seed),
		},
	}
	kernel := &pprof.Mapping{ID: 1, Start: 1 << 63, Limit: 1<<64 - 1, File: "[kernel] " + p.Release, HasFunctions: true}
	program := &pprof.Mapping{ID: 2, Start: 0, Limit: 1 << 47, File: "eventbench", HasFunctions: true}
	out.Mapping = []*pprof.Mapping{kernel, program}
	locations := make(map[string]*pprof.Location)
	location := func(f function) *pprof.Location {
		name := (&Row{Function: f.Name, User: f.User}).Label()
		l := locations[name]
		if l == nil {
			fn := &pprof.Function{ID: uint64(len(out.Function) + 1), Name: name, SystemName: f.Name}
			out.Function = append(out.Function, fn)
			l = &pprof.Location{ID: fn.ID, Mapping: kernel, Line: []pprof.Line{{Function: fn}}}
			if f.User {
				l.Mapping = program
			}
			out.Location = append(out.Location, l)
			locations[name] = l
		}
		return l
	}
	p.eachStack(func(stack []function, n int) {
		s := &pprof.Sample{Value: []int64{int64(n)}}
		for _, f := range slices.Backward(stack) {
			s.Location = append(s.Location, location(f))
		}
		out.Sample = append(out.Sample, s)
	})
	if err := out.CheckValid(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err := out.Write(&b)
	return b.Bytes(), err
}

// WriteFolded writes the same for flamegraph.pl and similar tools: for each
// stack a line with its functions, separated by semicolons, and a number.
func (p *Profile) WriteFolded(w *strings.Builder) {
	p.eachStack(func(stack []function, n int) {
		names := make([]string, len(stack))
		for i, f := range stack {
			names[i] = (&Row{Function: f.Name, User: f.User}).Label()
		}
		fmt.Fprintf(w, "%s %d\n", strings.Join(names, ";"), n)
	})
}

// eachStack calls f with each stack of the operation, outermost function first,
// and the number of instructions executed in it.
func (p *Profile) eachStack(f func(stack []function, n int)) {
	var stack []function
	var walk func(at int)
	walk = func(at int) {
		if at != 0 {
			stack = append(stack, p.tree.funcs[p.tree.nodes[at].fn])
			if n := p.one.self[at]; n > 0 {
				f(stack, n)
			}
		}
		for _, c := range p.tree.nodes[at].children {
			walk(c)
		}
		if at != 0 {
			stack = stack[:len(stack)-1]
		}
	}
	walk(0)
	if p.one.idle > 0 {
		f([]function{{Name: idleName}}, p.one.idle)
	}
}
