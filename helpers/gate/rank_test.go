package gate

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/perf/benchmath"
)

// TestMannWhitney compares p with the count over all divisions of the values,
// for sizes small enough to do that.
func TestMannWhitney(t *testing.T) {
	check := func(old, new []float64, want float64) {
		t.Helper()
		got := mannWhitney(old, new)
		if math.Abs(got.p-want) > 1e-12 {
			t.Errorf("old %v, new %v: got p %v, want %v", old, new, got.p, want)
		}
		checkAttainable(t, got)
	}
	check([]float64{1}, []float64{2}, 1)
	check([]float64{1, 2, 3}, []float64{4, 5, 6}, 2.0/20)
	check([]float64{1, 1, 1}, []float64{1, 1}, 1)
	check([]float64{2, 3, 3, 3}, []float64{0, 2}, 2.0/15)
	check([]float64{1163, 1163, 1163, 1163}, []float64{1167, 1167, 1167, 1167}, 2.0/70)

	r := rand.New(rand.NewPCG(1, 1))
	for range 400 {
		old, new := make([]float64, 1+r.IntN(6)), make([]float64, 1+r.IntN(6))
		levels := 1 + r.IntN(12)
		for _, side := range [][]float64{old, new} {
			for i := range side {
				side[i] = float64(r.IntN(levels))
			}
		}
		check(old, new, countDivisions(old, new))
	}
}

// countDivisions returns the two-sided p of the U test by its definition.
func countDivisions(old, new []float64) float64 {
	all := slices.Concat(new, old)
	u := func(news uint) float64 {
		sum := 0.0
		for i, a := range all {
			for j, b := range all {
				if news>>i&1 == 1 && news>>j&1 == 0 {
					if a > b {
						sum++
					} else if a == b {
						sum += 0.5
					}
				}
			}
		}
		return math.Abs(sum - float64(len(old)*len(new))/2)
	}
	extreme, total := 0.0, 0.0
	seen := u(1<<len(new) - 1)
	for division := range uint(1) << len(all) {
		if bits.OnesCount(division) == len(new) {
			total++
			if u(division) >= seen {
				extreme++
			}
		}
	}
	return extreme / total
}

// checkAttainable checks that the p seen is one of those that could be, and
// that each is as probable as it says.
func checkAttainable(t *testing.T, test rankTest) {
	t.Helper()
	if !slices.IsSorted(test.attainable) || test.attainable[len(test.attainable)-1] != 1 {
		t.Errorf("attainable p %v: want them ascending to 1", test.attainable)
	}
	if got := test.size(test.p); math.Abs(got-test.p) > 1e-12 {
		t.Errorf("p %v: probability of a p as small %v, want the same", test.p, got)
	}
	if got := test.size(test.leastP() * 0.999); got != 0 {
		t.Errorf("probability %v of a p below the smallest possible, want 0", got)
	}
}

// TestAgainstBenchmath holds the U test to golang.org/x/perf's wherever that
// is right: without ties, or with samples of equal size.
func TestAgainstBenchmath(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	thresholds := benchmath.DefaultThresholds
	for range 500 {
		n1, n2 := 2+r.IntN(10), 2+r.IntN(10)
		ties := r.IntN(2) == 0
		if ties {
			n2 = n1
		}
		old, new := make([]float64, n1), make([]float64, n2)
		for _, side := range [][]float64{old, new} {
			for i := range side {
				side[i] = r.Float64()
				if ties {
					side[i] = math.Round(8 * side[i])
				}
			}
		}
		got := mannWhitney(old, new).p
		want := benchmath.AssumeNothing.Compare(
			benchmath.NewSample(slices.Clone(old), &thresholds), benchmath.NewSample(slices.Clone(new), &thresholds)).P
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("old %v, new %v: got p %v, benchmath has %v", old, new, got, want)
		}
	}
}

// TestSignedRank compares p with the count over all ways to swap old and new.
func TestSignedRank(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		diffs := make([]float64, 1+r.IntN(9))
		levels := 1 + r.IntN(8)
		for i := range diffs {
			diffs[i] = float64(r.IntN(2*levels+1) - levels)
		}
		got := signedRank(diffs)
		if want := countSwaps(diffs); math.Abs(got.p-want) > 1e-12 {
			t.Errorf("%v: got p %v, want %v", diffs, got.p, want)
		}
		checkAttainable(t, got)
	}
}

func countSwaps(diffs []float64) float64 {
	rank := func(i int) float64 {
		below, equal := 0, 0
		for _, d := range diffs {
			if math.Abs(d) < math.Abs(diffs[i]) {
				below++
			} else if math.Abs(d) == math.Abs(diffs[i]) {
				equal++
			}
		}
		return float64(below) + float64(equal+1)/2
	}
	w := func(swaps uint) float64 {
		positive, total := 0.0, 0.0
		for i, d := range diffs {
			if d != 0 {
				total += rank(i)
				if (d > 0) != (swaps>>i&1 == 1) {
					positive += rank(i)
				}
			}
		}
		return math.Abs(positive - total/2)
	}
	extreme := 0.0
	for swaps := range uint(1) << len(diffs) {
		if w(swaps) >= w(0) {
			extreme++
		}
	}
	return extreme / math.Ldexp(1, len(diffs))
}

// TestNormalApproximation checks that the approximation, where it takes over,
// gives what the exact distribution would.
func TestNormalApproximation(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	check := func(n int, ties bool) {
		t.Helper()
		old, new := make([]float64, n), make([]float64, n)
		for i := range n {
			old[i], new[i] = r.NormFloat64(), r.NormFloat64()+0.3
			if ties {
				old[i], new[i] = math.Round(3*old[i]), math.Round(3*new[i])
			}
		}
		exact := mannWhitney(old, new)
		if exact.attainable == nil {
			t.Fatalf("n=%d: want a size that is computed exactly", n)
		}
		// The same values more often than the exact computation takes.
		for len(old) < 200 {
			old, new = append(old, old...), append(new, new...)
		}
		if approximate := mannWhitney(old, new); approximate.attainable != nil || approximate.p > exact.p {
			t.Errorf("n=%d: got p %v from %d samples and %v from %d with the same values", n, approximate.p, len(old), exact.p, n)
		}
		_, variance := uMoments(n, n)
		if !ties {
			if p := normalP(math.Abs(exact.stat-exact.max/2), variance); math.Abs(p-exact.p) > 0.003 {
				t.Errorf("n=%d: got p %v from the approximation, want %v", n, p, exact.p)
			}
			rank, _ := uRank(n, n, 0.05)
			mean, variance := uMoments(n, n)
			if approximate, _ := normalRank(mean, math.Sqrt(variance), 0.05); approximate < rank-1 || approximate > rank {
				t.Errorf("n=%d: got rank %d from the approximation, want %d or 1 less", n, approximate, rank)
			}
		}
	}
	check(40, false)
	check(47, false)
	check(35, true)
}

// TestLeastSamples checks how many samples a family of comparisons needs:
// benchmath's table of smallest p, divided by the size of the family.
func TestLeastSamples(t *testing.T) {
	check := func(m, want int) {
		t.Helper()
		if got := leastSamples(m, 0.05); got != want {
			t.Errorf("family of %d: got %d samples, want %d", m, got, want)
		}
	}
	check(1, 4)
	check(6, 5)
	check(7, 6)
	check(23, 6)
	check(24, 7)
	check(321, 8)
	check(322, 9)
}

// TestIntervalInvertsTest checks that the interval holds just those ratios
// which the test does not reject.
func TestIntervalInvertsTest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		old, new := noisy(r, 4+r.IntN(8), 100, 0.05), noisy(r, 4+r.IntN(8), 103, 0.05)
		iv := ratioInterval(old, new, 0.05)
		for _, c := range []struct {
			ratio float64
			want  bool
		}{{iv.lo * 0.9999, true}, {iv.lo * 1.0001, false}, {iv.hi * 0.9999, false}, {iv.hi * 1.0001, true}} {
			scaled := make([]float64, len(old))
			for i := range old {
				scaled[i] = old[i] * c.ratio
			}
			if got := mannWhitney(scaled, new).p <= 0.05; got != c.want {
				t.Errorf("old %v, new %v, interval [%v, %v]: ratio %v rejected: %v, want %v", old, new, iv.lo, iv.hi, c.ratio, got, c.want)
			}
		}
		if len(old) != len(new) {
			continue
		}
		iv = pairedInterval(old, new, 0.1)
		if iv.rank == 0 {
			continue
		}
		for _, c := range []struct {
			ratio float64
			want  bool
		}{{iv.lo * 0.9999, true}, {iv.lo * 1.0001, false}, {iv.hi * 0.9999, false}, {iv.hi * 1.0001, true}} {
			logs := make([]float64, len(old))
			for i := range old {
				logs[i] = math.Log(new[i] / old[i] / c.ratio)
			}
			if got := signedRank(logs).p <= 0.1; got != c.want {
				t.Errorf("pairs %v, %v, interval [%v, %v]: ratio %v rejected: %v, want %v", old, new, iv.lo, iv.hi, c.ratio, got, c.want)
			}
		}
	}
}

// TestCoverage simulates how often the intervals hold the true ratio.
func TestCoverage(t *testing.T) {
	t.Parallel()
	const trials, ratio = 2000 / fewer, 1.07
	slack := 3 * math.Sqrt(0.05*0.95/trials)
	noises := map[string]func(r *rand.Rand) float64{
		"lognormal":   func(r *rand.Rand) float64 { return math.Exp(0.03 * r.NormFloat64()) },
		"exponential": func(r *rand.Rand) float64 { return 1 + 0.05*r.ExpFloat64() },
		"outliers": func(r *rand.Rand) float64 {
			if r.IntN(20) == 0 {
				return 1.3
			}
			return math.Exp(0.01 * r.NormFloat64())
		},
		"few values": func(r *rand.Rand) float64 { return 1 + 0.02*float64(r.IntN(3)) },
	}
	for name, noise := range noises {
		for _, n := range [][2]int{{4, 4}, {6, 6}, {8, 5}, {10, 10}, {20, 20}} {
			r := rand.New(rand.NewPCG(6, uint64(n[0])))
			held, pairs := 0, 0
			for range trials {
				old, new := make([]float64, n[0]), make([]float64, n[1])
				for i := range old {
					old[i] = 1000 * noise(r)
				}
				for i := range new {
					new[i] = 1000 * noise(r) * ratio
				}
				within := func(iv interval) int {
					// Ties at the bound differ in the last
					// digit.
					if iv.lo <= ratio*(1+1e-9) && iv.hi >= ratio*(1-1e-9) {
						return 1
					}
					return 0
				}
				held += within(ratioInterval(old, new, 0.05))
				if n[0] == n[1] {
					pairs += within(pairedInterval(old, new, 0.05))
				}
			}
			if got := float64(held) / trials; got < 0.95-slack {
				t.Errorf("%s, %d+%d samples: the interval holds the ratio in %.3f of all trials, want 0.95", name, n[0], n[1], got)
			}
			if got := float64(pairs) / trials; n[0] == n[1] && got < 0.95-slack {
				t.Errorf("%s, %d rounds: the interval holds the ratio in %.3f of all trials, want 0.95", name, n[0], got)
			}
		}
	}
}

// noisy returns n values about center whose logarithms have standard
// deviation sd.
func noisy(r *rand.Rand, n int, center, sd float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = center * math.Exp(sd*r.NormFloat64())
	}
	return values
}
