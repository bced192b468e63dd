package gate

import (
	"fmt"
	"io"
	"slices"

	"eventbench/helpers/results"
)

// An Archive holds recorded results of several arms, to draw verdicts from as
// if the samples of each had just been measured: so a gate's error rates are
// found out, with the gate itself.
type Archive struct {
	gate *gate
}

// An Arm is what one arm's samples measured.
type Arm struct {
	Name string
	side *side
}

// A Draw is one sample out of an archive.
type Draw struct {
	Arm    *Arm
	Sample int // below Arm.Samples()
}

// NewArchive returns an empty archive whose verdicts follow the options. An
// error is an *InputError.
func NewArchive(o Options) (*Archive, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	return &Archive{gate: g}, nil
}

// Read adds the results in r as an arm: its samples are told apart as those of
// any results file are. An error is an *InputError that says what is wrong with
// them.
func (a *Archive) Read(name string, r io.Reader) (*Arm, error) {
	s := newSide(name, name)
	a.gate.read(s, r, name)
	if len(s.samples) == 0 {
		a.gate.Add("%s: no samples", name)
	}
	for _, f := range s.failures {
		a.gate.Add("%v: what is recorded must be whole", f.String())
	}
	if err := a.gate.Err(); err != nil {
		return nil, err
	}
	return &Arm{Name: name, side: s}, nil
}

// Samples returns how many samples the arm has.
func (a *Arm) Samples() int { return len(a.side.samples) }

// Round returns the round in which a sample was measured, if it says so.
func (a *Arm) Round(sample int) (n int, ok bool) {
	r := a.side.samples[sample].Round
	if r == nil {
		return 0, false
	}
	return r.Number, true
}

// Judge gives the verdict on the samples drawn for the two sides, which must
// not share one, with alpha in the place of the options'. With rounds, the n-th
// draws of both sides are taken for one round's. plant, unless nil, changes
// what the lines of the new side's samples say: a benchmark's value in a unit,
// that of benchunit's that it tidies to (sec/op for ns/op). An error is an
// *InputError.
func (a *Archive) Judge(old, new []Draw, alpha float64, rounds bool, plant func(benchmark, unit string, value float64) float64) (*Report, error) {
	a.gate.Problems, a.gate.Alpha = results.Problems{}, alpha
	o, n := a.gate.draw("old", old, rounds, nil), a.gate.draw("new", new, rounds, plant)
	return a.gate.judge(o, n)
}

// draw makes a side of samples.
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

// Values returns what the samples of both sides measured, in Unit, in the order
// of the rounds if there are any.
func (c *Comparison) Values() (old, new []float64) {
	return slices.Clone(c.oldValues), slices.Clone(c.newValues)
}
