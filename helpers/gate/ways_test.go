package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLayout compares the statistics of a layout with what trying every pair
// gives, for all sizes of sides and any number of ways.
func TestLayout(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 / fewer {
		n1, n2 := 1+r.IntN(6), 1+r.IntN(6)
		spread, limit := 1+r.IntN(40), 1+0.01*float64(r.IntN(4))
		side := func(n int) []float64 {
			values := make([]float64, n)
			for i := range values {
				values[i] = 100 + float64(r.IntN(spread))
			}
			return values
		}
		old, new := side(n1), side(n2)
		y := newLayout(old, new, limit)
		left, apart := 0, 0
		for _, o := range old {
			for _, n := range new {
				switch {
				case same(o, n, limit):
				case n > o:
					apart++
				default:
					apart--
				}
			}
		}
		left = n1*n2 - mostPairs(repeated(old, n2), repeated(new, n1), limit)
		up := 0
		a, b := slices.Sorted(slices.Values(repeated(old, n2))), slices.Sorted(slices.Values(repeated(new, n1)))
		for i := range a {
			switch {
			case same(a[i], b[i], limit):
			case b[i] > a[i]:
				up++
			default:
				up--
			}
		}
		if y.unmatched() != left || y.direction() != up || y.apart() != apart {
			t.Fatalf("old %v, new %v, limit %v: got %d unmatched, direction %d, apart %d; want %d, %d, %d",
				old, new, limit, y.unmatched(), y.direction(), y.apart(), left, up, apart)
		}
	}
}

func repeated(values []float64, times int) (all []float64) {
	for _, v := range values {
		all = append(all, slices.Repeat([]float64{v}, times)...)
	}
	return all
}

// mostPairs is the size of the largest matching, by augmenting paths.
func mostPairs(old, new []float64, limit float64) int {
	partner := make([]int, len(new))
	for i := range partner {
		partner[i] = -1
	}
	var seen []bool
	var try func(o int) bool
	try = func(o int) bool {
		for n := range new {
			if seen[n] || !same(old[o], new[n], limit) {
				continue
			}
			seen[n] = true
			if partner[n] < 0 || try(partner[n]) {
				partner[n] = o
				return true
			}
		}
		return false
	}
	pairs := 0
	for o := range old {
		seen = make([]bool, len(new))
		if try(o) {
			pairs++
		}
	}
	return pairs
}

// TestRelabelings checks that there are as many as there are ways to choose, or
// the most that are tried, that all call as many samples new, and that the
// samples' own labels come first.
func TestRelabelings(t *testing.T) {
	for _, c := range []struct{ n1, n2, want int }{{5, 5, 252}, {8, 8, 12870}, {1, 3, 4}, {9, 9, maxRelabelings}, {18, 5, maxRelabelings}, {50, 40, maxRelabelings}} {
		all := relabelings(c.n1, c.n2)
		distinct := make(map[string]bool)
		for i, l := range all {
			n := 0
			for s := range c.n1 + c.n2 {
				if l[s/64]>>(s%64)&1 == 1 {
					n++
					if i == 0 && s < c.n1 {
						t.Errorf("%d+%d: the first calls sample %d new", c.n1, c.n2, s)
					}
				}
			}
			if n != c.n2 {
				t.Fatalf("%d+%d: a relabeling calls %d new", c.n1, c.n2, n)
			}
			distinct[fmt.Sprint(l)] = true
		}
		if len(all) != c.want || c.want < maxRelabelings && len(distinct) != c.want {
			t.Errorf("%d+%d: got %d relabelings, %d of them distinct, want %d", c.n1, c.n2, len(all), len(distinct), c.want)
		}
	}
}

// TestTogetherError simulates families of counts with several ways, in random
// shares, some of which hang together, and of smears. If nothing changed, a
// comparison is significant in at most the share of families that alpha says;
// one whose ways all moved is, in nearly all.
func TestTogetherError(t *testing.T) {
	t.Parallel()
	const trials, m, alpha = 48 / fewer, 20, 0.02
	for _, n := range [][2]int{{5, 5}, {8, 8}, {18, 5}} {
		r := rand.New(rand.NewPCG(3, uint64(n[0])))
		alarms, found := 0, 0
		for range trials {
			family := make([]*Comparison, m)
			shared := make([]float64, n[0]+n[1])
			for i := range shared {
				shared[i] = r.Float64()
			}
			for i := range family {
				share := r.Float64()
				value := func(sample int) float64 {
					switch {
					case i%3 == 0: // one way
						return 1000
					case i%3 == 1 && shared[sample] < share || i%3 == 2 && r.Float64() < share:
						return 1100
					case i == 2:
						return 1000 * (1 + 0.1*r.Float64())
					}
					return 1000
				}
				family[i] = &Comparison{Threshold: 0.003, counted: true}
				for s := range n[0] + n[1] {
					if v := value(s); s < n[0] {
						family[i].oldValues = append(family[i].oldValues, v)
					} else {
						family[i].newValues = append(family[i].newValues, v)
					}
				}
			}
			together(family)
			if slices.ContainsFunc(family, func(c *Comparison) bool { return c.Adjusted <= alpha }) {
				alarms++
			}
			moved := family[4] // two ways
			for i := range moved.newValues {
				moved.newValues[i] += 16
			}
			if together(family); moved.chance.ways <= alpha {
				found++
			}
		}
		got := fmt.Sprintf("%d+%d: significant in %.3f of equal families, found in %.3f", n[0], n[1], float64(alarms)/trials, float64(found)/trials)
		want := 0.95
		if n[0]+n[1] < 12 {
			want = 0 // that depends on how many others are divided as evenly
		}
		if float64(alarms)/trials > alpha+3*math.Sqrt(alpha*(1-alpha)/trials) || float64(found)/trials < want {
			t.Errorf("%s; want at most %v, and %v", got, alpha, want)
		} else {
			t.Log(got)
		}
	}
}

// TestByValue gives the gate counts for which the right verdict can be seen.
func TestByValue(t *testing.T) {
	const meta = "clock: instrs\nUnit instrs/op better=lower assume=exact lines=lowest\nUnit mean-instrs/op better=lower lines=lowest\nUnit delivered/op better=higher\n"
	texts := func(unit string, values []float64) []string {
		var files []string
		for _, v := range values {
			files = append(files, fmt.Sprintf("%sBenchmarkX 1 %v %s\nBenchmarkGated 1 1 instrs/op\nPASS\n", meta, v, unit))
		}
		return files
	}
	rules := mustThresholds(t, "* 1% gate\n")
	judge := func(o Options, unit string, old, new []float64) (*Report, *Comparison) {
		t.Helper()
		o.Thresholds = rules
		r := mustJudge(t, o, texts(unit, old), texts(unit, new))
		checkReport(t, r)
		return r, r.Comparisons[slices.IndexFunc(r.Comparisons, func(c *Comparison) bool { return c.Name == "X" })]
	}
	unit, options := "instrs/op", Options{}
	check := func(what string, old, new []float64, want Verdict, reason string) *Comparison {
		t.Helper()
		_, c := judge(options, unit, old, new)
		if c.Verdict != want || !regexp.MustCompile(reason).MatchString(c.Reason) {
			t.Errorf("%s: old %v, new %v: got %s: %s\nwant %s: %s", what, old, new, c.Verdict, c.Reason, want, reason)
		}
		return c
	}
	// Values and how many samples have each.
	of := func(pairs ...float64) (values []float64) {
		for i := 0; i < len(pairs); i += 2 {
			values = append(values, slices.Repeat(pairs[i:i+1], int(pairs[i+1]))...)
		}
		return values
	}

	// One way.
	check("equal", of(1000, 5), of(1000, 5), NoChange, `^identical in all 5\+5 samples$`)
	check("one more", of(1000, 5), of(1001, 5), NoChange, `^\+1 instrs/op \(\+0.10%\); exact, in 5\+5 samples, and within the threshold of 1%$`)
	check("more", of(1000, 5), of(1016, 5), Regression, `^\+16 instrs/op \(\+1.60%\), beyond the threshold of 1%; exact; p 0.0079, .* 5\+5 samples$`)
	check("less", of(1016, 5), of(1000, 5), Improvement, `^-16 instrs/op`)
	check("few", of(1000, 4), of(1016, 5), CannotTell, `^\+16 instrs/op \(\+1.60%\) in 4\+5 samples, too few to know the ways of a count; 5 samples a side would tell$`)

	// Several ways, in whatever shares.
	check("same", of(1000, 6, 1100, 2), of(1000, 3, 1100, 5), NoChange, `^the same ways: 1000 in 6 of 8 old samples and 3 of 8 new, 1100 in 2 and 5$`)
	check("a rare one is new", of(1000, 8), of(1000, 6, 1100, 2), NoChange, `^the same ways but for rare ones: 1000 in 8 of 8 old samples and 6 of 8 new, 1100 in 0 and 2$`)
	check("constant on one side", of(1000, 8), of(1000, 5, 1100, 3), NoChange, `the same ways`)
	check("a side with fewer boots lacks ways", of(1000, 10, 1100, 4, 1250, 2, 1300, 2), of(1000, 4, 1100, 1), NoChange, `the same ways`)
	check("all moved", of(1000, 6, 1100, 2), of(1016, 3, 1116, 5), Regression, `^\+16 instrs/op \(\+1.60%\), beyond the threshold of 1%; exact, way by way: 1000 in 6 of 8 old samples and 0 of 8 new, 1016 in 0 and 3, 1100 in 2 and 0, 1116 in 0 and 5; p 0.00016, .* 8\+8 samples$`)
	check("all moved a little", of(1000, 6, 1100, 2), of(1004, 3, 1104, 5), NoChange, `^\+4 instrs/op \(\+0.40%\); exact, way by way, and within the threshold of 1%: `)
	check("all are new", of(1000, 10, 1100, 8), of(1020, 9, 1130, 9), Regression, `beyond the threshold of 1%; all ways are new: 1000 in 10 of 18 old samples and 0 of 18 new, 1020 in 0 and 9, 1100 in 8 and 0, 1130 in 0 and 9; p `)
	check("the slow one always", of(1000, 7, 1100, 1), of(1100, 8), Regression, `^\+8.64%, beyond the threshold of 1%; some ways are taken more often, others less: 1000 in 7 of 8 old samples and 0 of 8 new, 1100 in 1 and 8; p`)
	check("the fast one always", of(1100, 8), of(1000, 7, 1100, 1), Improvement, `^-7.95%, .* some ways are new`)
	check("perhaps more often", of(1000, 5, 1100, 3), of(1100, 8), CannotTell, `; 1[2-9] samples a side would tell$`)
	// A shift by the distance of two ways leaves most of the one side's with
	// a counterpart.
	check("moved to the next", of(1000, 4, 1100, 4), of(1100, 4, 1200, 4), CannotTell, `^it is unlikely that chance alone shares the ways out like this: p 0.021 among 2 comparisons: its ways are`)
	check("moved to the next, more samples", of(1000, 10, 1100, 8), of(1100, 10, 1200, 8), Regression, `^\+9.57%`)
	check("moved to the next, few samples", of(1000, 3, 1100, 2), of(1100, 3, 1200, 2), CannotTell, `^the ways may be the same, in other shares, or all have moved by \+100 instrs/op: its ways are`)
	check("all moved, the average fell", of(1000, 2, 1100, 6), of(1016, 6, 1116, 2), Regression, `^\+16 instrs/op`)
	check("half are new", of(1000, 8), of(1000, 4, 1100, 4), CannotTell, `^4 of new's 8 samples take ways that old did not show: its ways are 1000 in 8 of 8 old samples and 4 of 8 new, 1100 in 0 and 4; 12 samples a side would tell$`)
	check("half are new, below", of(1000, 8), of(1000, 4, 900, 4), CannotTell, `^4 of new's 8 samples`)

	// A smear is judged by where it is.
	smear := func(from float64) (values []float64) {
		for i := range 18 {
			values = append(values, from+6*float64(i))
		}
		return values
	}
	unit = "mean-instrs/op"
	check("a smear", smear(1000), smear(1001), NoChange, ``)
	check("a smear moved", smear(1000), smear(1080), Regression, ``)
	check("a smear perhaps moved", smear(1000), smear(1020), CannotTell, `^values without a gap spread wider than the threshold, and new's are \+1.\d\d%: `)
	unit = "delivered/op"
	check("a rate", of(1000, 8), of(900, 8), Regression, `^-10.00%`)
	check("a better rate", of(900, 8), of(1000, 8), Improvement, `^\+11.11%`)

	// Strict: one instruction fails, where the count is exact.
	unit, options = "instrs/op", Options{Strict: true}
	check("one more, strict", of(1000, 5), of(1001, 5), Regression, `^\+1 instrs/op \(\+0.10%\), beyond the threshold of 0%; exact`)
	check("one more in each way", of(1000, 6, 1100, 2), of(1001, 4, 1101, 4), Regression, `^\+1 instrs/op`)
	check("same, strict", of(1000, 6, 1003, 2), of(1000, 3, 1003, 5), NoChange, `the same ways`)
	unit = "mean-instrs/op"
	check("a mean, strict", of(1000, 8), of(1001, 8), NoChange, `within the threshold of 1%`)
}

// TestAdvice checks that what cannot be told gets one answer: so many samples,
// or to be left out, by a filter that does so.
func TestAdvice(t *testing.T) {
	side := func(values string) (files []string) {
		for _, v := range strings.Fields(values) {
			files = append(files, fmt.Sprintf("clock: instrs\nseed: %d%s\nUnit instrs/op better=lower assume=exact\nBenchmarkX/a=b-2 1 %s instrs/op\nBenchmarkY 1 7 instrs/op\nPASS\n", len(files), values[:1], v))
		}
		return files
	}
	check := func(old, new, filter, want string) {
		t.Helper()
		r := mustJudge(t, Options{Filter: filter}, side(old), side(new))
		if got := r.Advice(); got != want {
			t.Errorf("old %s, new %s: got advice\n%s\nwant\n%s", old, new, got, want)
		}
	}
	check("1 1 1 1 1", "2 2 2 2", "", `5 boots a side would tell of X/a=b-2, Y (gate-kernels: -max 5)`)
	check("100 100 100 100 100 100 100 100", "100 100 100 100 200 200 200 200", "", `12 boots a side would tell of X/a=b-2 (gate-kernels: -max 12)`)
	spread := "100 110 120 130 140"
	other := "215 225 235 245 205"
	check(spread, other, "", ``)
	check("10 10 10 10 10", "10 10 10 10 10", "", ``)
	all := "1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131072"
	odd := "3 6 12 24 48 96 192 384 768 1536 3072 6144 12288 24576 49152 98304 196608 393216"
	check(all, odd, "", `Leave out X/a=b-2, which would take more samples than it is worth: -filter '-.fullname:("X/a=b-2")'`)
	check(all, odd, ".unit:instrs/op", `Leave out X/a=b-2, which would take more samples than it is worth: -filter '(.unit:instrs/op) -.fullname:("X/a=b-2")'`)
	if r := mustJudge(t, Options{Filter: `(.unit:instrs/op) -.fullname:("X/a=b-2")`}, side(all), side(odd)); r.Outcome != Pass || len(r.Comparisons) != 1 {
		t.Errorf("with that filter: got %s of %d comparisons, want a pass of one", r.Outcome, len(r.Comparisons))
	}
}
