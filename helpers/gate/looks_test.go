package gate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// All looks there can ever be take no more than alpha, and a larger limit
// changes nothing about those before.
func TestLooks(t *testing.T) {
	sizes := func(first, limit int, want ...int) {
		t.Helper()
		looks, err := Looks(first, limit, 0.02)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, l := range looks {
			got = append(got, l.N)
		}
		if !slices.Equal(got, want) {
			t.Errorf("looks from %d to %d: at %v, want %v", first, limit, got, want)
		}
	}
	sizes(5, 5, 5)
	sizes(5, 7, 5)
	sizes(5, 18, 5, 8, 12, 18)
	sizes(FirstRounds, 89, 11, 17, 26, 39, 59, 89)
	if _, err := Looks(5, 4, 0.02); err == nil {
		t.Error("a limit below the first look: no error")
	}

	const alpha = 0.02
	short, _ := Looks(5, 18, alpha)
	long, _ := Looks(5, 100_000, alpha)
	if !slices.Equal(short, long[:len(short)]) {
		t.Errorf("with a larger limit: %v, want to begin as with the smaller: %v", long, short)
	}
	sum := 0.0
	for _, l := range long {
		sum += l.Alpha
	}
	if sum > alpha || sum < 0.99*alpha {
		t.Errorf("%d looks spend %v together, want all but the last bit of %v", len(long), sum, alpha)
	}
	if got, want := long[0].Alpha, 0.012; math.Abs(got-want) > 1e-12 {
		t.Errorf("the first look has alpha %v, want %v", got, want)
	}
}

// Each first look can find something: at its alpha even the most extreme order
// of its samples, one of two among all ways to divide them, is rare enough.
func TestFirstLookCanTell(t *testing.T) {
	ways := func(n int) float64 { // to choose n of 2n
		w := 1.0
		for i := 1; i <= n; i++ {
			w *= float64(n+i) / float64(i)
		}
		return w
	}
	for _, first := range []int{FirstBoots, FirstRounds} {
		looks, err := Looks(first, first, DefaultAlpha)
		if err != nil {
			t.Fatal(err)
		}
		if p := 2 / ways(first); p > looks[0].Alpha {
			t.Errorf("%d samples a side: the smallest p is %.4f, more than the look's alpha %.4f", first, p, looks[0].Alpha)
		}
	}
}

// Looking again and again at samples that differ by chance only raises no more
// false alarms than one look may: with a rank test at each look's alpha, the
// share of series that alarm at any of them stays below alpha, where looks that
// each took all of it would go far beyond.
func TestLooksTogether(t *testing.T) {
	const alpha, series = 0.05, 4000
	looks, err := Looks(5, 27, alpha)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	spent, each := 0, 0
	for range series {
		var a, b []float64
		alarmSpent, alarmEach := false, false
		for _, l := range looks {
			for len(a) < l.N {
				a, b = append(a, r.NormFloat64()), append(b, r.NormFloat64())
			}
			p := zTest(a, b)
			alarmSpent = alarmSpent || p <= l.Alpha
			alarmEach = alarmEach || p <= alpha
		}
		if alarmSpent {
			spent++
		}
		if alarmEach {
			each++
		}
	}
	// Three standard deviations of a share of 5 % among 4000.
	if most := int((alpha + 3*math.Sqrt(alpha*(1-alpha)/series)) * series); spent > most {
		t.Errorf("%d of %d series alarm, want at most %d", spent, series, most)
	}
	if each < 2*spent {
		t.Errorf("with all of alpha at each of %d looks %d of %d series alarm, with shares of it %d: this simulation does not show why they are needed", len(looks), each, series, spent)
	}
}

// zTest is the two-sided p of equal means of normal samples of variance 1.
func zTest(a, b []float64) float64 {
	mean := func(v []float64) (m float64) {
		for _, x := range v {
			m += x / float64(len(v))
		}
		return m
	}
	z := math.Abs(mean(a)-mean(b)) / math.Sqrt(2/float64(len(a)))
	return math.Erfc(z / math.Sqrt2)
}
