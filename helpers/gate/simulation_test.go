package gate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"
)

// The tests in this file simulate whole verdicts. They show what the
// statistics do when their assumptions hold; what the gate does on real systems
// is another question, which only runs of real systems answer.

// A world says how a simulated system measures.
type world struct {
	benchmarks int
	samples    int     // a side
	lines      int     // of each benchmark in a sample
	process    float64 // spread between processes
	line       float64 // spread between the lines of a process
	drift      float64 // step of the random walk between rounds
	rounds     bool    // the results say which round they are of
	outliers   float64 // share of samples that read 7 % more
	unit       string
	value      float64             // of each benchmark on the old side; 0 is 1000
	change     func(i int) float64 // ratio new/old of benchmark i
}

// judge measures both sides once and returns the verdict.
func (w world) judge(t testing.TB, o Options, r *rand.Rand) *Report {
	t.Helper()
	g, err := o.gate()
	if err != nil {
		t.Fatal(err)
	}
	g.read(newSide("", ""), strings.NewReader("Unit mean-instrs/op better=lower\nUnit instrs/op better=lower assume=exact\nBenchmarkX 1 1 x\n"), "units")
	old, new := w.side("old"), w.side("new")
	drift := 0.0
	for round := range w.samples {
		drift = 0.8*drift + w.drift*r.NormFloat64()
		w.measure(r, old, round, drift, false)
		w.measure(r, new, round, drift, true)
	}
	report, err := g.judge(old, new)
	if err != nil {
		t.Fatalf("bad input: %v", err)
	}
	return report
}

func (w world) side(label string) *side {
	s := newSide(label, label)
	for i := range w.samples {
		sample := &Sample{Name: fmt.Sprint(label, i), pkgs: map[string]bool{"": true}, most: w.lines}
		if w.rounds {
			sample.Round = &Round{Number: i}
		}
		s.samples = append(s.samples, sample)
	}
	unit := benchfmt.Value{Unit: w.unit}
	if _, tidy := benchunit.Tidy(1, w.unit); tidy != w.unit {
		unit = benchfmt.Value{Unit: tidy, OrigUnit: w.unit}
	}
	for i := range w.benchmarks {
		name := fmt.Sprint("B", i)
		b := &bench{name: name, rep: &benchfmt.Result{Name: benchfmt.Name(name)}, series: []*series{{unit: unit, lines: make([][]float64, w.samples)}}}
		s.benches[b.key()] = b
	}
	return s
}

// measure runs all benchmarks in one process.
func (w world) measure(r *rand.Rand, s *side, sample int, drift float64, changed bool) {
	outlier := 0.0
	if r.Float64() < w.outliers {
		outlier = 0.07
	}
	for i, b := range s.sorted() {
		value := cmp.Or(w.value, 1000)
		if changed && w.change != nil {
			value *= w.change(i)
		}
		value *= math.Exp(w.process*r.NormFloat64() + drift + outlier)
		factor, _ := benchunit.Tidy(1, w.unit)
		for range w.lines {
			b.series[0].lines[sample] = append(b.series[0].lines[sample], factor*value*math.Exp(w.line*r.NormFloat64()))
		}
	}
}

// mustJudge returns the report on the sides, each sample a file.
func mustJudge(t testing.TB, o Options, old, new []string) *Report {
	t.Helper()
	report, err := judgeTexts(o, old, new)
	if err != nil {
		t.Fatalf("bad input: %v", err)
	}
	return report
}

func judgeTexts(o Options, old, new []string) (*Report, error) {
	g, err := o.gate()
	if err != nil {
		return nil, err
	}
	oldSide, newSide := newSide("old", "old"), newSide("new", "new")
	for i, text := range old {
		g.read(oldSide, strings.NewReader(text), fmt.Sprintf("old/%d.txt", i))
	}
	for i, text := range new {
		g.read(newSide, strings.NewReader(text), fmt.Sprintf("new/%d.txt", i))
	}
	return g.judge(oldSide, newSide)
}

// simulate returns the share of trials in which hit holds.
func simulate(t *testing.T, trials int, o Options, w world, hit func(*Report) bool) float64 {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(trials)))
	hits := 0
	for range trials {
		if hit(w.judge(t, o, r)) {
			hits++
		}
	}
	return float64(hits) / float64(trials)
}

func anyOf(v Verdict) func(*Report) bool {
	return func(r *Report) bool { return r.count(func(c *Comparison) bool { return c.Verdict == v }) > 0 }
}

// TestFalseAlarms simulates two equal systems.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	noThreshold := mustThresholds(t, "* 0% gate\n")
	check := func(name string, o Options, w world, trials int, most float64) {
		t.Helper()
		trials /= fewer
		got := simulate(t, trials, o, w, anyOf(Regression))
		sd := math.Sqrt(most * (1 - most) / float64(trials))
		if got > most+3*sd {
			t.Errorf("%s: regressions in %.3f of all runs, want at most %.3f", name, got, most)
		} else {
			t.Logf("%s: regressions in %.3f of all runs", name, got)
		}
	}
	// Without a threshold only the correction for the family stands between
	// noise and an alarm: one family in 40 in either direction.
	w := world{benchmarks: 20, samples: 7, lines: 2, process: 0.02, line: 0.01, unit: "ns/op"}
	check("no threshold", Options{Thresholds: noThreshold}, w, 200, 0.025)
	w.rounds, w.drift, w.samples, w.benchmarks = true, 0.05, 14, 12
	check("no threshold, rounds, drift", Options{Thresholds: noThreshold}, w, 150, 0.025)
	// As it is used.
	check("defaults, wall", Options{}, world{benchmarks: 20, samples: 10, lines: 1, process: 0.05, unit: "ns/op"}, 60, 0.001)
	check("defaults, counted", Options{}, world{benchmarks: 20, samples: 8, lines: 3, process: 0.001, line: 0.0005, outliers: 0.01, unit: "mean-instrs/op"}, 60, 0.001)
}

// TestOneProcess simulates equal systems measured in one process a side, with
// as many lines as go test -count 10 gives: taken for samples they alarm in
// half of all cases, and the gate must not be led to that.
func TestOneProcess(t *testing.T) {
	w := world{benchmarks: 1, samples: 1, lines: 10, process: 0.01, line: 0.01, unit: "ns/op"}
	r := rand.New(rand.NewPCG(1, 1))
	const trials = 400
	naive := 0
	for range trials {
		report := w.judge(t, Options{}, r)
		c := report.Comparisons[0]
		if c.Verdict != CannotTell || c.Need < 4 {
			t.Fatalf("one process a side: got %q with a need of %d, want cannot tell and a need of at least 4", c.Verdict, c.Need)
		}
		if len(report.Notes) == 0 || !strings.Contains(report.Notes[0], "lines of one process") {
			t.Fatalf("one process a side: got notes %q, want one on lines and samples", report.Notes)
		}
		if mannWhitney(c.old.lines[0], c.new.lines[0]).p < 0.05 {
			naive++
		}
	}
	if got := float64(naive) / trials; got < 0.4 {
		t.Errorf("lines taken for samples alarm in %.2f of all runs, want the half that this test is about", got)
	} else {
		t.Logf("lines taken for samples: p < .05 in %.2f of all runs of equal systems", got)
	}
}

// TestPower simulates regressions that must be found.
func TestPower(t *testing.T) {
	t.Parallel()
	planted := func(ratio float64) func(int) float64 {
		return func(i int) float64 {
			if i == 0 {
				return ratio
			}
			return 1
		}
	}
	check := func(name string, w world, want float64) {
		t.Helper()
		got := simulate(t, 60/fewer, Options{}, w, func(r *Report) bool {
			for _, c := range r.Comparisons {
				if c.Name == "B0" {
					return c.Verdict == Regression && r.Outcome == Fail
				}
			}
			return false
		})
		if got < want {
			t.Errorf("%s: found in %.2f of all runs, want %.2f", name, got, want)
		} else {
			t.Logf("%s: found in %.2f of all runs", name, got)
		}
	}
	check("+10 % at a spread of 2 %, 8 samples",
		world{benchmarks: 10, samples: 8, lines: 1, process: 0.02, unit: "ns/op", change: planted(1.1)}, 0.9)
	check("+10 % at a spread of 2 %, 10 samples",
		world{benchmarks: 10, samples: 10, lines: 1, process: 0.02, unit: "ns/op", change: planted(1.1)}, 0.95)
	check("+10 % at a spread of 5 %, 30 samples",
		world{benchmarks: 10, samples: 30, lines: 1, process: 0.05, unit: "ns/op", change: planted(1.1)}, 0.8)
	check("+10 % at a spread of 2 % and a drift of 10 %, 16 rounds",
		world{benchmarks: 10, samples: 16, lines: 1, process: 0.02, drift: 0.1, rounds: true, unit: "ns/op", change: planted(1.1)}, 0.95)
	check("+0.5 % in a counted mean at a spread of 0.1 %, 8 samples, 1 in 100 of them off",
		world{benchmarks: 10, samples: 8, lines: 3, process: 0.001, outliers: 0.01, unit: "mean-instrs/op", change: planted(1.005)}, 0.85)
	check("+0.5 % in a counted mean at a spread of 0.1 %, 10 samples, 1 in 100 of them off",
		world{benchmarks: 10, samples: 10, lines: 3, process: 0.001, outliers: 0.01, unit: "mean-instrs/op", change: planted(1.005)}, 0.95)
	check("+1 in an exact count of 192, 6 samples",
		world{benchmarks: 10, samples: 6, lines: 3, unit: "instrs/op", value: 192, change: planted(193.0 / 192)}, 1)
}

// TestNeed checks the number of samples that a verdict asks for: with as many,
// the gate can tell most of the time.
func TestNeed(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 2))
	check := func(process, ratio float64, want Verdict) {
		t.Helper()
		w := world{benchmarks: 1, samples: 6, lines: 1, process: process, unit: "ns/op", change: func(int) float64 { return ratio }}
		asked, told, sum := 0, 0, 0
		for range 80 {
			c := w.judge(t, Options{}, r).Comparisons[0]
			if c.Verdict != CannotTell || c.Safe || c.Need == 0 {
				continue
			}
			asked++
			sum += c.Need
			more := w
			more.samples = c.Need
			c = more.judge(t, Options{}, r).Comparisons[0]
			if c.Verdict == want || want == NoChange && c.Safe {
				told++
			}
		}
		if asked < 15 {
			t.Fatalf("spread %v, ratio %v: cannot tell in %d of 80 runs, want more to judge by", process, ratio, asked)
		}
		got := float64(told) / float64(asked)
		if got < 0.6 {
			t.Errorf("spread %v, ratio %v: with the %d samples asked for on average it tells in %.2f, want 0.6", process, ratio, sum/asked, got)
		} else {
			t.Logf("spread %v, ratio %v: with the %d samples asked for on average it tells in %.2f", process, ratio, sum/asked, got)
		}
	}
	check(0.05, 1, NoChange)
	check(0.05, 1.13, Regression)
	check(0.03, 1.1, Regression)
}

// mustThresholds writes a file of rules and returns its path.
func mustThresholds(t testing.TB, rules string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thresholds.txt")
	if err := os.WriteFile(path, []byte(rules), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
