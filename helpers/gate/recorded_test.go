package gate

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/results"
)

// splits is how often the tests in this file divide each kernel's recorded
// boots. The tables in docs/statistics.md are what they log with -v:
//
//	go test -cpu 1 -v -run TestRecorded ./helpers/gate -splits 300
var splits = flag.Int("splits", max(1, 9/fewer), "divide each kernel's recorded boots `n` times")

// TestRecordedNulls judges a kernel against itself: its recorded boots, divided
// at random. By the second look nearly all pass, whatever ways the kernel has,
// and none is a regression.
func TestRecordedNulls(t *testing.T) {
	t.Parallel()
	looks := mustLooks(t)
	eachKernel(t, Options{}, func(t *testing.T, a *Archive, arm *Arm) {
		r := rand.New(rand.NewPCG(1, 1))
		passed := make([]int, len(looks)) // by that look
		alarms, open := 0, make(map[string]int)
		for range *splits {
			old, new := split(r, arm, looks[len(looks)-1].N)
			report, at := look(t, a, looks, old, new, nil)
			switch report.Outcome {
			case Pass:
				for i := at; i < len(looks); i++ {
					passed[i]++
				}
			case Fail:
				alarms++
			}
			for _, c := range report.Comparisons {
				if c.fails() || c.blocks() {
					open[c.Name]++
				}
			}
		}
		t.Logf("of %d splits %s pass by %d and %d boots a side; %d alarms; what kept the others: %v", *splits, counted(passed), looks[0].N, looks[1].N, alarms, open)
		// A false alarm has a probability of at most 1 in 100, half of
		// alpha.
		if most := max(1, *splits/50); alarms > most || *splits-passed[1] > max(1, *splits/20) {
			t.Errorf("%d of %d splits are regressions, and %d pass by the second look; want at most %d, and 95 of 100", alarms, *splits, passed[1], most)
		}
	})
}

// TestRecordedShifts adds instructions to one benchmark of the new side: to
// each operation, or to every 64th, which only the mean shows. What is beyond
// the threshold is found by the second look, except that what equals the
// distance of two ways may take more looks, and seldom passes. What is within
// the threshold is shown.
func TestRecordedShifts(t *testing.T) {
	t.Parallel()
	looks := mustLooks(t)
	const rare = 500
	eachKernel(t, Options{}, func(t *testing.T, a *Archive, arm *Arm) {
		benches := arm.side.sorted()
		for _, what := range []string{"1", "4", "16", "64", "256", "distance", "rare"} {
			r := rand.New(rand.NewPCG(2, 2))
			found := make([]int, len(looks)) // at that look
			trials, beyond, shown, passed := 0, 0, 0, 0
			var missed []string
			for range *splits {
				b := benches[r.IntN(len(benches))]
				add, unit := 0.0, "instrs/op"
				switch what {
				case "rare":
					add, unit = rare/64.0, "mean-instrs/op"
				case "distance":
					if add = distance(b); add == 0 {
						continue
					}
				default:
					fmt.Sscan(what, &add)
				}
				old, new := split(r, arm, looks[len(looks)-1].N)
				report, at := look(t, a, looks, old, new, func(name, u string, v float64) float64 {
					if name == b.name && strings.HasSuffix(u, unit) {
						v += add
					}
					return v
				})
				c := report.Comparisons[slices.IndexFunc(report.Comparisons, func(c *Comparison) bool { return c.Name == b.name && c.Unit == unit })]
				trials++
				if c.moved == add {
					shown++
				}
				if add/c.Old.Max <= c.Threshold {
					continue
				}
				switch beyond++; {
				case c.fails():
					found[at]++
				case report.Outcome == Pass:
					passed++
					fallthrough
				default:
					missed = append(missed, b.name)
				}
			}
			t.Logf("+%s in %d trials: to the instruction in %d; beyond the threshold in %d, of which found at %d and %d boots: %s; passed: %d; missed: %v",
				what, trials, shown, beyond, looks[0].N, looks[1].N, counted(found), passed, missed)
			// One may come within the threshold of another way.
			mostMissed, mostPassed := max(1, beyond/20), max(1, beyond/20)
			if what == "distance" {
				mostMissed, mostPassed = beyond, max(1, beyond/5)
			}
			if len(missed) > mostMissed || passed > mostPassed {
				t.Errorf("+%s: %d of %d are missed and %d pass", what, len(missed), beyond, passed)
			}
		}
	})
}

// TestRecordedStrict holds what -strict promises: one instruction more fails in
// any benchmark, and equal kernels nearly always pass by the second look.
func TestRecordedStrict(t *testing.T) {
	t.Parallel()
	looks := mustLooks(t)
	eachKernel(t, Options{Strict: true}, func(t *testing.T, a *Archive, arm *Arm) {
		r := rand.New(rand.NewPCG(3, 3))
		benches := arm.side.sorted()
		passed, alarms, found := 0, 0, 0
		for range *splits {
			old, new := split(r, arm, looks[len(looks)-1].N)
			switch report, _ := look(t, a, looks, old, new, nil); report.Outcome {
			case Pass:
				passed++
			case Fail:
				alarms++
			}
			b := benches[r.IntN(len(benches))]
			report, _ := look(t, a, looks, old, new, func(name, unit string, v float64) float64 {
				if name == b.name && unit == "instrs/op" {
					v++
				}
				return v
			})
			if slices.ContainsFunc(report.Comparisons, func(c *Comparison) bool { return c.Name == b.name && c.fails() }) {
				found++
			}
		}
		t.Logf("of %d splits %d pass by the second look, %d alarms; one instruction more is found in %d", *splits, passed, alarms, found)
		if alarms > max(1, *splits/50) || passed < *splits*8/10 || found < *splits*9/10 {
			t.Errorf("of %d splits %d pass, %d alarms, and one instruction is found in %d", *splits, passed, alarms, found)
		}
	})
}

// mustLooks returns the first two looks of gate-kernels.
func mustLooks(t testing.TB) []Look {
	t.Helper()
	looks, err := Looks(FirstBoots, 8, DefaultAlpha)
	if err != nil || len(looks) != 2 {
		t.Fatalf("looks up to 8 boots: got %v, error %v; want two", looks, err)
	}
	return looks
}

// eachKernel runs a test for each kernel in testdata/baselines, by the
// thresholds that users have.
func eachKernel(t *testing.T, o Options, test func(t *testing.T, a *Archive, arm *Arm)) {
	t.Helper()
	paths, err := filepath.Glob("../../testdata/baselines/*" + results.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded boots: %v", err)
	}
	if fewer > 1 {
		paths = paths[:1] // see race_test.go
	}
	o.Thresholds = mustThresholds(t, shippedThresholds)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), results.Ext), func(t *testing.T) {
			a, err := NewArchive(o)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			arm, err := a.Read(path, f)
			if err != nil {
				t.Fatal(err)
			}
			test(t, a, arm)
		})
	}
}

// split divides boots at random.
func split(r *rand.Rand, arm *Arm, n int) (old, new []Draw) {
	for i, s := range r.Perm(arm.Samples())[:2*n] {
		if d := (Draw{arm, s}); i < n {
			old = append(old, d)
		} else {
			new = append(new, d)
		}
	}
	return old, new
}

// look looks until the gate can tell, and returns the last report and its look.
func look(t testing.TB, a *Archive, looks []Look, old, new []Draw, plant func(benchmark, unit string, value float64) float64) (r *Report, at int) {
	t.Helper()
	for i, l := range looks {
		var err error
		if r, err = a.Judge(old[:l.N], new[:l.N], l.Alpha, false, plant); err != nil {
			t.Fatal(err)
		}
		if at = i; r.Outcome != Undecided {
			break
		}
	}
	return r, at
}

// distance returns how far the two ways of a benchmark's count are apart that
// most boots take, or 0 if it has only one beyond 1 %.
func distance(b *bench) float64 {
	var values []float64
	for _, lines := range b.find("instrs/op").lines {
		values = append(values, slices.Min(lines))
	}
	slices.Sort(values)
	ways := waysOf(values, nil, 1.01)
	if len(ways) < 2 {
		return 0
	}
	slices.SortFunc(ways, func(a, b Way) int { return b.Old - a.Old })
	if ways[0].Low > ways[1].Low {
		ways[0], ways[1] = ways[1], ways[0]
	}
	return ways[1].Low - ways[0].Low
}

func counted(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}
