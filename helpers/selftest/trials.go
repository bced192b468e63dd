//go:build linux

package selftest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"eventbench/helpers/gate"

	"golang.org/x/perf/benchmath"
)

// A judge is a way to decide whether new is worse than old.
type judge int

const (
	byGate      judge = iota
	byBenchstat       // any p < .05
	byTenth           // any median is 10 % worse
	judges
)

var judgeNames = [judges]string{"gate", "benchstat p < .05", "10 % rule"}

// A trial draws samples for two sides and may plant a regression in the second.
// The gate looks at the first few samples, then at more until it can tell, as
// in gate-kernels and gate-arms.
type trial struct {
	old, new []gate.Draw
	looks    []gate.Look
	rounds   bool
	plant    func(benchmark, unit string, value float64) float64
	// planted reports whether a comparison is rightly called worse. If it
	// is nil, none is.
	planted func(c *gate.Comparison) bool
}

// A finding is what the judges say in one trial.
type finding struct {
	found   [judges]bool // something that was planted
	alarms  [judges]bool // something that was not
	fact    bool         // the gate reports a planted exact count without failing for it
	outcome gate.Outcome
	look    int // at which the gate could tell, or the last one
}

// judge returns all judges' verdicts on one trial: the gate's at the first look
// at which it can tell, and the others' on the same samples.
func (t *trial) judge(a *gate.Archive) (finding, error) {
	var f finding
	var r *gate.Report
	for i, l := range t.looks {
		var err error
		r, err = a.Judge(t.old[:l.N], t.new[:l.N], l.Alpha, t.rounds, t.plant)
		if err != nil {
			return finding{}, err
		}
		f = finding{outcome: r.Outcome, look: i}
		if r.Outcome != gate.Undecided {
			break
		}
	}
	for _, c := range r.Comparisons {
		if !c.Gates {
			continue
		}
		planted := t.planted != nil && t.planted(c)
		f.fact = f.fact || planted && c.Method == "exact" && worseBy(c, 0)
		for j, worse := range [judges]bool{c.Verdict == gate.Regression, benchstat(c), tenth(c)} {
			switch {
			case !worse:
			case planted:
				f.found[j] = true
			default:
				f.alarms[j] = true
			}
		}
	}
	return f, nil
}

// benchstat reports whether benchstat would call the comparison significantly
// worse: p < .05, not corrected for the number of comparisons.
func benchstat(c *gate.Comparison) bool {
	old, new := c.Values()
	for _, s := range [][]float64{old, new} {
		if slices.Min(s) != slices.Max(s) {
			th := benchmath.DefaultThresholds
			cmp := benchmath.AssumeNothing.Compare(benchmath.NewSample(old, &th), benchmath.NewSample(new, &th))
			return cmp.P < th.CompareAlpha && worseBy(c, 0)
		}
	}
	return worseBy(c, 0) // with two numbers it shows any difference
}

// tenth reports whether the median rose by more than 10 %.
func tenth(c *gate.Comparison) bool { return worseBy(c, 0.1) }

func worseBy(c *gate.Comparison, threshold float64) bool {
	if c.Better == "higher" {
		return c.New.Median*(1+threshold) < c.Old.Median
	}
	return c.New.Median > c.Old.Median*(1+threshold)
}

// A tally counts findings.
type tally struct {
	trials int
	found  [judges]int
	alarms [judges]int
	facts  int
	passed int // verdicts of the gate
	failed int
	looks  [mostLooks]int // verdicts at each look
}

// mostLooks is larger than any number of looks: after this many, starting at 5
// samples, the next would be at 293.
const mostLooks = 10

func (t *tally) add(f finding) {
	t.trials++
	t.looks[f.look]++
	for j := range judges {
		if f.found[j] {
			t.found[j]++
		}
		if f.alarms[j] {
			t.alarms[j]++
		}
	}
	if f.fact {
		t.facts++
	}
	switch f.outcome {
	case gate.Pass:
		t.passed++
	case gate.Fail:
		t.failed++
	}
}

// run judges n trials made by next. A trial's randomness depends only on the
// seed and its number. Archives are not safe for concurrent use, so open makes
// one for each worker, and its trials draw from that one.
func run(ctx context.Context, n int, seed uint64, open func() (*pool, error), next func(p *pool, r *rand.Rand) trial) (tally, error) {
	findings := make([]finding, n)
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			p, err := open()
			if err != nil {
				errs[w] = err
				return
			}
			for i := w; i < n && ctx.Err() == nil; i += len(errs) {
				t := next(p, rand.New(rand.NewPCG(seed, uint64(i))))
				if findings[i], errs[w] = t.judge(p.archive); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	var t tally
	if err := errors.Join(errs...); err != nil {
		return t, err
	}
	if ctx.Err() != nil {
		return t, context.Cause(ctx)
	}
	for _, f := range findings {
		t.add(f)
	}
	return t, nil
}

// smallest returns the first of the increasing sizes that is found, or 0.
func smallest(sizes []float64, found func(size float64) (bool, error)) (float64, error) {
	lo, hi := 0, len(sizes)
	for lo < hi {
		mid := (lo + hi) / 2
		ok, err := found(sizes[mid])
		if err != nil {
			return 0, err
		}
		if ok {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == len(sizes) {
		return 0, nil
	}
	return sizes[lo], nil
}

// draws returns the numbers of n+m different samples of the arm in random
// order, as two lists.
func draws(r *rand.Rand, arm *gate.Arm, n, m int) (a, b []gate.Draw) {
	order := r.Perm(arm.Samples())
	for i, s := range order[:n+m] {
		if i < n {
			a = append(a, gate.Draw{Arm: arm, Sample: s})
		} else {
			b = append(b, gate.Draw{Arm: arm, Sample: s})
		}
	}
	return a, b
}

// clopperPearson returns the exact 95 % interval of a probability after k hits
// in n trials.
func clopperPearson(k, n int) (lo, hi float64) {
	// atLeast returns the probability of k or more hits.
	atLeast := func(k int, p float64) float64 {
		sum := 0.0
		for i := k; i <= n; i++ {
			sum += math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		}
		return sum
	}
	solve := func(rises func(p float64) bool) float64 {
		lo, hi := 0.0, 1.0
		for range 60 {
			if mid := (lo + hi) / 2; rises(mid) {
				hi = mid
			} else {
				lo = mid
			}
		}
		return (lo + hi) / 2
	}
	hi = 1
	if k > 0 {
		lo = solve(func(p float64) bool { return atLeast(k, p) > 0.025 })
	}
	if k < n {
		hi = solve(func(p float64) bool { return atLeast(k+1, p) > 0.975 })
	}
	return lo, hi
}

func logChoose(n, k int) float64 {
	f := func(n int) float64 { v, _ := math.Lgamma(float64(n) + 1); return v }
	return f(n) - f(k) - f(n-k)
}

// share formats k of n with its interval.
func share(k, n int) string {
	lo, hi := clopperPearson(k, n)
	return fmt.Sprintf("%d of %d (%.1f to %.1f %%)", k, n, 100*lo, 100*hi)
}
