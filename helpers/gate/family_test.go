package gate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAdjustIsHolm checks that tests with equal sizes and no ties get what
// Holm's procedure gives.
func TestAdjustIsHolm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		tests := make([]*rankTest, 1+r.IntN(30))
		var ps []float64
		for i := range tests {
			test := mannWhitney(noisy(r, 6, 100, 0.02), noisy(r, 6, 100*(1+0.1*float64(r.IntN(2))), 0.02))
			tests[i] = &test
			ps = append(ps, test.p)
		}
		got := adjust(tests)
		for i, want := range holm(ps) {
			if math.Abs(got[i].p-want) > 1e-9 {
				t.Errorf("p %v: test %d: got adjusted p %v, want %v", ps, i, got[i].p, want)
			}
		}
	}
}

func holm(ps []float64) []float64 {
	adjusted := make([]float64, len(ps))
	for i, p := range ps {
		// The largest of p(k) times those still standing, over p(k) <=
		// p.
		for _, q := range ps {
			if q > p {
				continue
			}
			standing := 0
			for _, s := range ps {
				if s >= q {
					standing++
				}
			}
			adjusted[i] = math.Max(adjusted[i], math.Min(1, q*float64(standing)))
		}
	}
	return adjusted
}

// TestAdjustDiscrete checks that tests which cannot cause a false alarm do not
// count.
func TestAdjustDiscrete(t *testing.T) {
	eight := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	higher := []float64{11, 12, 13, 14, 15, 16, 17, 18}
	constant := make([]float64, 8)
	found := mannWhitney(eight, higher)
	tests := []*rankTest{&found}
	for range 1000 {
		same := mannWhitney(constant, constant)
		tests = append(tests, &same)
	}
	if got := adjust(tests)[0].p; got != found.p {
		t.Errorf("beside 1000 metrics that never vary: got adjusted p %v, want %v", got, found.p)
	}
	// One that differs in one sample cannot reach such a p either.
	once := mannWhitney(constant, []float64{0, 0, 0, 0, 0, 0, 0, 1})
	if got := adjust([]*rankTest{&found, &once})[0].p; got != found.p {
		t.Errorf("beside a metric that varied once: got adjusted p %v, want %v", got, found.p)
	}
}

// TestFamilyError simulates families in which nothing changed, of tests with
// and without ties and of different sizes, and counts those with any
// significant test.
func TestFamilyError(t *testing.T) {
	t.Parallel()
	const trials, m = 600 / fewer, 12
	r := rand.New(rand.NewPCG(2, 2))
	check := func(name string, levels func(i int) int, n func(i int) (int, int)) {
		t.Helper()
		alarms := 0
		for range trials {
			tests := make([]*rankTest, m)
			for i := range tests {
				n1, n2 := n(i)
				old, new := noisy(r, n1, 1, 0.1), noisy(r, n2, 1, 0.1)
				if l := levels(i); l > 0 {
					for _, side := range [][]float64{old, new} {
						for j := range side {
							side[j] = math.Round(side[j] * float64(l))
						}
					}
				}
				test := mannWhitney(old, new)
				tests[i] = &test
			}
			if slices.ContainsFunc(adjust(tests), func(a adjustment) bool { return a.p <= 0.05 }) {
				alarms++
			}
		}
		if got := float64(alarms) / trials; got > 0.05+3*math.Sqrt(0.05*0.95/trials) {
			t.Errorf("%s: a significant test in %.3f of all families, want at most 0.05", name, got)
		} else {
			t.Logf("%s: a significant test in %.3f of all families", name, got)
		}
	}
	none := func(int) int { return 0 }
	check("no ties", none, func(int) (int, int) { return 7, 7 })
	check("ties", func(i int) int { return 2 + 3*i }, func(int) (int, int) { return 7, 7 })
	check("sizes differ", none, func(i int) (int, int) { return 4 + i, 6 + i%4 })
	check("all of it", func(i int) int { return 8 * (i % 3) }, func(i int) (int, int) { return 4 + i, 6 + i%4 })
}
