//go:build linux

package selftest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"eventbench/helpers/gate"
)

// An examination measures a group's error rates.
type examination struct {
	*group
	dir      fs.FS
	options  gate.Options
	most     int // samples a side at the last look
	looks    []gate.Look
	verdicts int
	trials   int
	seed     uint64
	w        io.Writer
	say      func(format string, args ...any)
}

// n returns the number of samples a side at the last look.
func (e *examination) n() int { return e.looks[len(e.looks)-1].N }

func (e *examination) open() (*pool, error) { return e.group.open(e.dir, e.options) }

// pair draws samples of the same system for both sides. Boots are drawn at
// random. Of processes it draws n consecutive rounds, and chance decides which
// of a round's two is called new.
func (e *examination) pair(p *pool, r *rand.Rand) trial {
	base := p.arms[e.base()]
	if !e.host {
		old, new := draws(r, base, e.n(), e.n())
		return trial{old: old, new: new, looks: e.looks}
	}
	t := e.rounds(p, r, e.base(), e.equal[0])
	for i := range t.old {
		if r.IntN(2) == 1 {
			t.old[i], t.new[i] = t.new[i], t.old[i]
		}
	}
	return t
}

// between draws from two arms.
func (e *examination) between(p *pool, r *rand.Rand, old, new string) trial {
	if e.host {
		return e.rounds(p, r, old, new)
	}
	a, _ := draws(r, p.arms[old], e.n(), 0)
	b, _ := draws(r, p.arms[new], e.n(), 0)
	return trial{old: a, new: b, looks: e.looks}
}

// rounds draws consecutive rounds.
func (e *examination) rounds(p *pool, r *rand.Rand, old, new string) trial {
	a, b := byRound(p.arms[old]), byRound(p.arms[new])
	var common []int
	for round := range a {
		if _, ok := b[round]; ok {
			common = append(common, round)
		}
	}
	slices.Sort(common)
	t := trial{rounds: true, looks: e.looks}
	from := r.IntN(len(common) - e.n() + 1)
	for _, round := range common[from : from+e.n()] {
		t.old = append(t.old, gate.Draw{Arm: p.arms[old], Sample: a[round]})
		t.new = append(t.new, gate.Draw{Arm: p.arms[new], Sample: b[round]})
	}
	return t
}

func byRound(a *gate.Arm) map[int]int {
	m := make(map[int]int)
	for i := range a.Samples() {
		if round, ok := a.Round(i); ok {
			m[round] = i
		}
	}
	return m
}

// plan sets the looks: as many as were asked for and have samples. If there are
// none, it says what is missing.
func (e *examination) plan(p *pool) (missing string) {
	first, most := gate.FirstBoots, e.most
	if e.host {
		first = gate.FirstRounds
	}
	needed := []string{e.base()}
	if e.host {
		needed = append(needed, e.equal[0])
	}
	for _, name := range needed {
		if p.arms[name] == nil {
			return fmt.Sprintf("%s is missing", e.file(name))
		}
	}
	for name, arm := range p.arms {
		sides := 1
		if name == e.base() && !e.host {
			sides = 2 // it is compared with itself
		}
		if arm.Samples() < sides*first {
			return fmt.Sprintf("%s has %d samples: the first look, at %d a side, needs %d", e.file(name), arm.Samples(), first, sides*first)
		}
		most = min(most, arm.Samples()/sides)
	}
	var err error
	if e.looks, err = gate.Looks(first, most, gate.DefaultAlpha); err != nil {
		return err.Error()
	}
	return ""
}

// looksAt lists the numbers of samples at which the gate looks.
func looksAt(looks []gate.Look) string {
	var sizes []int
	for _, l := range looks {
		sizes = append(sizes, l.N)
	}
	return counts(sizes)
}

func counts(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

// run makes the examination and writes its table. It returns false if samples
// are missing.
func (e *examination) run(ctx context.Context) (bool, error) {
	p, err := e.open()
	if err != nil {
		return false, err
	}
	if missing := e.plan(p); missing != "" {
		e.say("%s: left out: %s", e.title, missing)
		return false, nil
	}
	r, err := e.report(p)
	if err != nil {
		return false, err
	}
	samples := "boots"
	if e.host {
		samples = "rounds"
	}
	gated := 0
	for _, c := range r.Comparisons {
		if c.Gates {
			gated++
		}
	}
	t := &table{title: fmt.Sprintf("%s: %s %s a side, %d gated comparisons", e.title, looksAt(e.looks), samples, gated)}
	for _, f := range []func(context.Context, *pool, *gate.Report, *table) error{e.alarms, e.smallest, e.real} {
		if err := f(ctx, p, r, t); err != nil {
			return false, err
		}
	}
	return true, t.write(e.w)
}

// many judges n trials made by next.
func (e *examination) many(ctx context.Context, n int, next func(p *pool, r *rand.Rand) trial) (tally, error) {
	return run(ctx, n, e.seed, e.open, next)
}

// alarms judges equal systems.
func (e *examination) alarms(ctx context.Context, p *pool, _ *gate.Report, t *table) error {
	equal := func(what string, next func(p *pool, r *rand.Rand) trial) error {
		e.say("%s: %s", e.name, what)
		y, err := e.many(ctx, e.verdicts, next)
		if err != nil {
			return err
		}
		var cells [judges]string
		for j := range judges {
			cells[j] = share(y.alarms[j], y.trials)
		}
		t.row("false alarms, "+what, cells)
		t.row(fmt.Sprintf("  of the gate's %d verdicts %d pass, %d cannot tell; by look: %s",
			y.trials, y.passed, y.trials-y.passed-y.failed, counts(y.looks[:len(e.looks)])), [judges]string{})
		return nil
	}
	if err := equal("equal systems", e.pair); err != nil || e.host {
		return err
	}
	for _, name := range e.equal {
		if p.arms[name] == nil {
			continue
		}
		if err := equal("plain against "+name, func(p *pool, r *rand.Rand) trial { return e.between(p, r, e.base(), name) }); err != nil {
			return err
		}
	}
	return nil
}

// smallest finds the smallest planted regression that each judge finds.
func (e *examination) smallest(ctx context.Context, p *pool, r *gate.Report, t *table) error {
	for _, pl := range e.plants(r) {
		if len(pl.names) == 0 {
			continue
		}
		e.say("%s: %s", e.name, pl.what)
		tallies := make(map[float64]tally)
		var cells [judges]string
		for j := range judges {
			size, err := smallest(pl.sizes, func(size float64) (bool, error) {
				y, ok := tallies[size]
				if !ok {
					var err error
					y, err = e.many(ctx, e.trials, func(p *pool, r *rand.Rand) trial { return pl.trial(e.pair(p, r), r, size) })
					if err != nil {
						return false, err
					}
					tallies[size] = y
				}
				found := y.found[j]
				if pl.fact && j == byGate {
					found = y.facts
				}
				return float64(found) >= 0.95*float64(y.trials), nil
			})
			if err != nil {
				return err
			}
			cells[j] = "none"
			if size > 0 {
				cells[j] = fmt.Sprintf(pl.format, size)
			}
		}
		t.row("found 95 times in 100, "+pl.what, cells)
	}
	return nil
}

// real judges changes that were made and measured.
func (e *examination) real(ctx context.Context, p *pool, _ *gate.Report, t *table) error {
	for _, c := range e.changed {
		old, new := p.arms[c.old], p.arms[c.new]
		if old == nil || new == nil {
			continue
		}
		e.say("%s: %s", e.name, c.what)
		y, err := e.many(ctx, e.trials, func(p *pool, r *rand.Rand) trial {
			t := e.between(p, r, c.old, c.new)
			t.planted = func(cmp *gate.Comparison) bool { return c.affects.MatchString(cmp.Name) }
			return t
		})
		if err != nil {
			return err
		}
		var cells [judges]string
		for j := range judges {
			cells[j] = fmt.Sprintf("%d of %d", y.found[j], y.trials)
			if y.alarms[j] > 0 {
				cells[j] += fmt.Sprintf(" (%d beside others)", y.alarms[j])
			}
		}
		if y.facts > 0 {
			cells[byGate] += fmt.Sprintf(", reported %d", y.facts)
		}
		t.row("found, "+c.what, cells)
	}
	return nil
}

// A table has a column for each judge.
type table struct {
	title string
	rows  [][]string
}

func (t *table) row(what string, cells [judges]string) {
	t.rows = append(t.rows, append([]string{what}, cells[:]...))
}

func (t *table) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, t.title)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, cells := range slices.Concat([][]string{append([]string{""}, judgeNames[:]...)}, t.rows) {
		fmt.Fprintf(tw, "  %s\n", strings.Join(cells, "\t"))
	}
	tw.Flush()
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// report returns the gate's report on all samples of an arm, in which plants
// are chosen.
func (e *examination) report(p *pool) (*gate.Report, error) {
	all := *e
	if !e.host {
		// A count that is exact in a few boots may not be so in others.
		all.looks = []gate.Look{{N: p.arms[e.base()].Samples() / 2}}
	}
	t := all.pair(p, rand.New(rand.NewPCG(e.seed, 0)))
	return p.archive.Judge(t.old, t.new, gate.DefaultAlpha, t.rounds, nil)
}

// A plant is a slowdown of some size in one benchmark.
type plant struct {
	what   string
	format string
	sizes  []float64
	units  []string // in any of which it may be found
	names  []string // of benchmarks to choose from
	change func(r *rand.Rand, size float64) func(unit string, value float64) float64
	fact   bool // the gate must report it as a fact but need not fail
}

func (pl *plant) trial(t trial, r *rand.Rand, size float64) trial {
	name := pl.names[r.IntN(len(pl.names))]
	change := pl.change(r, size)
	t.plant = func(benchmark, unit string, value float64) float64 {
		if benchmark != name {
			return value
		}
		return change(unit, value)
	}
	t.planted = func(c *gate.Comparison) bool { return c.Name == name && slices.Contains(pl.units, c.Unit) }
	return t
}

// plants returns what can be planted in the report's benchmarks.
func (e *examination) plants(r *gate.Report) []plant {
	gated := func(unit string, want func(c *gate.Comparison) bool) []string {
		var names []string
		for _, c := range r.Comparisons {
			if c.Gates && c.Unit == unit && want(c) {
				names = append(names, c.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	all := func(*gate.Comparison) bool { return true }
	exact := func(c *gate.Comparison) bool { return c.Method == "exact" }
	// Comparisons with tight thresholds: one thread, and nothing made or
	// freed.
	close := func(c *gate.Comparison) bool { return c.Threshold <= 0.003 }
	ratio := func(units ...string) func(r *rand.Rand, size float64) func(string, float64) float64 {
		return func(_ *rand.Rand, percent float64) func(string, float64) float64 {
			return func(u string, v float64) float64 {
				if slices.Contains(units, u) {
					v *= 1 + percent/100
				}
				return v
			}
		}
	}
	more := func(_ *rand.Rand, size float64) func(string, float64) float64 {
		return func(u string, v float64) float64 {
			if u == "instrs/op" {
				v += size
			}
			return v
		}
	}
	percents := []float64{0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 12.5, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300}
	if e.host {
		const floor = "floor-ns/op"
		slower := ratio("sec/op", "floor-sec/op")
		alone := func(c *gate.Comparison) bool { return !strings.Contains(c.Name, "/peer=") }
		return []plant{
			{"a benchmark of one thread slower, by", "%g %%", percents, []string{floor}, gated(floor, alone), slower, false},
			{"one benchmark slower, any, by", "%g %%", percents, []string{floor}, gated(floor, all), slower, false},
		}
	}
	const mean = "mean-instrs/op"
	n, _ := strconv.Atoi(strings.TrimSuffix(e.set.benchtime, "x"))
	rare := func(r *rand.Rand, size float64) func(string, float64) float64 {
		return func(u string, v float64) float64 {
			if u != mean {
				return v
			}
			// Of a loop's 100 operations one or two cost more; of
			// several loops the one with the fewest counts.
			hits := n
			for range e.set.count {
				hits = min(hits, (n+r.IntN(64))/64)
			}
			return v + size*float64(hits)/float64(n)
		}
	}
	costs := []float64{26, 50, 100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000}
	return []plant{
		{"a count larger where it is exact (reported), by", "%g instrs", []float64{1, 2, 3, 5, 10, 20, 50, 100}, []string{"instrs/op"}, gated("instrs/op", exact), more, true},
		{"a count larger, any (fails), by", "%g %%", percents, []string{"instrs/op"}, gated("instrs/op", all), ratio("instrs/op"), false},
		{"a mean larger, of one thread, by", "%g %%", percents, []string{mean}, gated(mean, close), ratio(mean), false},
		{"a mean larger, any, by", "%g %%", percents, []string{mean}, gated(mean, all), ratio(mean), false},
		{"every 64th call more expensive, of one thread, by", "%g instrs", costs, []string{mean}, gated(mean, close), rare, false},
	}
}
