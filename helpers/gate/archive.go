package gate

import (
	"fmt"
	"io"
	"slices"

	"eventbench/helpers/results"
)

// An Archive holds recorded results of several arms. Verdicts are drawn from it
// as if its samples had just been measured, which shows how often the gate
// itself is wrong.
type Archive struct {
	gate *gate
}

// An Arm is the results of one arm's samples.
type Arm struct {
	Name string
	side *side
}

// A Draw is one sample from an archive.
type Draw struct {
	Arm    *Arm
	Sample int // below Arm.Samples()
}

// NewArchive returns an empty archive whose verdicts use the options. An error
// is an *InputError.
func NewArchive(o Options) (*Archive, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	return &Archive{gate: g}, nil
}

// Read adds the results in r as an arm. Its samples are told apart as in any
// results file. A benchmark may be skipped, in all samples, where the kernel
// lacks what it measures. If the results are faulty, the error is an *InputError
// that says how.
func (a *Archive) Read(name string, r io.Reader) (*Arm, error) {
	s := newSide(name, name)
	a.gate.read(s, r, name)
	if len(s.samples) == 0 {
		a.gate.Add("%s: no samples", name)
	}
	for _, f := range s.failures {
		if !f.Skipped || s.measured(f) {
			a.gate.Add("%v: recorded results must be complete", f.String())
		}
	}
	if err := a.gate.Err(); err != nil {
		return nil, err
	}
	return &Arm{Name: name, side: s}, nil
}

// measured reports whether any sample has figures for what failed.
func (s *side) measured(f *failure) bool {
	for _, b := range s.benches {
		if f.pkg == b.pkg && f.Of(b.name) {
			return true
		}
	}
	return false
}

// Samples returns how many samples the arm has.
func (a *Arm) Samples() int { return len(a.side.samples) }

// Round returns the round in which a sample was measured, if it names one.
func (a *Arm) Round(sample int) (n int, ok bool) {
	r := a.side.samples[sample].Round
	if r == nil {
		return 0, false
	}
	return r.Number, true
}

// Judge gives the verdict on the samples drawn for the two sides, which must
// not share a sample. alpha replaces the options' alpha. With rounds, the n-th
// draws of both sides form a round. plant, unless nil, changes the values in
// the lines of new's samples: it is given a benchmark's value in a unit as
// benchunit tidies it (sec/op for ns/op). An error is an *InputError.
func (a *Archive) Judge(old, new []Draw, alpha float64, rounds bool, plant func(benchmark, unit string, value float64) float64) (*Report, error) {
	a.gate.Problems, a.gate.Alpha = results.Problems{}, alpha
	o, n := a.gate.draw("old", old, rounds, nil), a.gate.draw("new", new, rounds, plant)
	return a.gate.judge(o, n)
}

// draw makes a side from samples.
func (g *gate) draw(label string, draws []Draw, rounds bool, plant func(benchmark, unit string, value float64) float64) *side {
	s := newSide(label, label)
	s.config = draws[0].Arm.side.config
	for i, d := range draws {
		from := d.Arm.side
		sample := *from.samples[d.Sample]
		sample.Name = fmt.Sprintf("%s: %s", label, sample.Name)
		sample.Round = nil
		if rounds {
			sample.Round = &Round{Number: i}
		}
		s.samples = append(s.samples, &sample)
		for key, b := range from.benches {
			to := s.benches[key]
			if to == nil {
				to = &bench{pkg: b.pkg, name: b.name, suffix: b.suffix, rep: b.rep}
				s.benches[key] = to
			}
			for _, sr := range b.series {
				if d.Sample >= len(sr.lines) || len(sr.lines[d.Sample]) == 0 {
					continue
				}
				lines := sr.lines[d.Sample]
				if plant != nil {
					lines = slices.Clone(lines)
					for i := range lines {
						lines[i] = plant(b.name, sr.unit.Unit, lines[i])
					}
				}
				ts := to.find(sr.unit.Unit)
				if ts == nil {
					ts = &series{unit: sr.unit}
					to.series = append(to.series, ts)
				}
				ts.lines = grow(ts.lines, i)
				ts.lines[i] = lines
			}
		}
	}
	return s
}

// Values returns the values of both sides' samples in Unit, in the order of
// rounds if there are any.
func (c *Comparison) Values() (old, new []float64) {
	return slices.Clone(c.oldValues), slices.Clone(c.newValues)
}
