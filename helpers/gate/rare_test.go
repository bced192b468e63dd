package gate

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// TestRareCosts gives the gate means that lie above counts which did not
// change: 500 instructions in every 64th operation are 8 in each, and fail where
// the mean repeats.
func TestRareCosts(t *testing.T) {
	const meta = "clock: instrs\nUnit instrs/op better=lower assume=exact lines=lowest\nUnit mean-instrs/op better=lower lines=lowest\nUnit modal-share better=higher\n"
	side := func(counts, means []float64) (files []string) {
		for i, c := range counts {
			files = append(files, fmt.Sprintf("%sBenchmarkX 100 %v instrs/op %v mean-instrs/op 0.99 modal-share\nPASS\n", meta, c, means[i]))
		}
		return files
	}
	shipped := mustThresholds(t, shippedThresholds)
	same := func(v float64) []float64 { return slices.Repeat([]float64{v}, 8) }
	twoWays := []float64{4329, 4339, 4329, 4329, 4339, 4339, 4329, 4329}
	plus := func(values []float64, n ...float64) []float64 {
		sum := slices.Clone(values)
		for i := range sum {
			sum[i] += n[i%len(n)]
		}
		return sum
	}
	check := func(what string, o Options, oldCounts, oldMeans, newCounts, newMeans []float64, want Verdict, reason string) {
		t.Helper()
		if o.Thresholds == "" {
			o.Thresholds = shipped
		}
		r := mustJudge(t, o, side(oldCounts, oldMeans), side(newCounts, newMeans))
		c := r.Comparisons[slices.IndexFunc(r.Comparisons, func(c *Comparison) bool { return c.Unit == meanUnit })]
		if c.Verdict != want || !regexp.MustCompile(reason).MatchString(c.Reason) {
			t.Errorf("%s: got %s: %s\nwant %s: %s", what, c.Verdict, c.Reason, want, reason)
		}
	}
	base := same(4348)
	check("equal", Options{}, base, base, base, base, NoChange, `^\+0.00%, within the threshold of 0.1%`)
	check("a rare cost", Options{}, base, base, base, plus(base, 8), Regression,
		`^\+0.18%, beyond the threshold of 0.1%; \+8 mean-instrs/op on average, and the count is as before: one operation in many costs more or less; all ways are new`)
	check("a rare cost less", Options{}, base, plus(base, 8), base, base, Improvement, `^-0.18%`)
	check("a small one", Options{}, base, base, base, plus(base, 4), NoChange, `within the threshold of 0.1%`)
	check("of a short path, below 3 instructions", Options{}, same(300), same(300), same(300), same(302.9), Regression, `threshold of 0.3%`)
	check("in each way", Options{}, twoWays, twoWays, plus(twoWays, 0), plus(twoWays, 8), Regression, `^\+0.18%`)
	// The compiler laid out the path differently: the count says so.
	check("the count moved, too", Options{}, base, base, plus(base, 8), plus(base, 8), NoChange, `within the threshold of 0.3%`)
	// Slabs come in batches: no count of one operation in 64 can be told.
	check("no steady mean", Options{}, base, plus(base, 0, 9), base, plus(base, 8, 17), NoChange, `0.3%|the same ways`)
	// Whoever wants another threshold writes a line.
	check("a rule", Options{Thresholds: mustThresholds(t, "rare-instrs/op 0.2% gate\n")}, base, base, base, plus(base, 8), NoChange, `within the threshold of 0.2%`)
}
