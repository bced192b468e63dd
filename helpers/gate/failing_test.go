package gate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/ci"
)

// with returns n results files of X, and lines about Y.
func with(n int, y func(i int) string) []string {
	var files []string
	for i, text := range vary(n, "", "BenchmarkX-2 1 $ ns/op") {
		trailer := "PASS\n"
		if strings.Contains(y(i), "FAIL") {
			trailer = "FAIL\nexit status 1\nFAIL\tp\t0.1s\n"
		}
		files = append(files, text+y(i)+trailer)
	}
	return files
}

func measured(i int) string { return fmt.Sprintf("BenchmarkY-2 1 %d ns/op\n", 200+i) }
func failed(int) string {
	return "--- FAIL: BenchmarkY\n    y_test.go:7: 5 sent, 4 received\n    and more\n"
}
func absent(int) string { return "" }

// hopeless failed twice, and was not tried any more.
func hopeless(i int) string {
	if i < 2 {
		return failed(i)
	}
	return "--- SKIP: BenchmarkY\n    failed in two samples\n"
}

// sometimes fails in one sample, late.
func sometimes(i int) string {
	if i == 3 {
		return "BenchmarkY-2 \t--- FAIL: BenchmarkY-2\n    y_test.go:9: late\n"
	}
	return measured(i)
}

// TestFailing checks what becomes of benchmarks that fail, and that all others
// are judged.
func TestFailing(t *testing.T) {
	rule := mustThresholds(t, "ns/op 15% gate\n") // which X is within
	check := func(name string, o Options, old, new func(int) string, want Outcome, summary, line string) *Report {
		t.Helper()
		o.Thresholds = rule
		r, err := judgeTexts(o, with(8, old), with(8, new))
		if err != nil {
			t.Errorf("%s: got error %v, want %s", name, err, want)
			return nil
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if r.Outcome != want || r.Outcome.ExitCode() == 0 != (want == Pass) || !strings.HasPrefix(r.Summary(), summary) {
			t.Errorf("%s: got %s, %q, want %s, %q", name, r.Outcome, r.Summary(), want, summary)
		}
		first, _, _ := strings.Cut(text.String()[len(r.Summary()):], "\n\nverdict")
		if line != "" && !strings.HasPrefix(first, "\n\n"+line) {
			t.Errorf("%s: got\n%s\nwant first\n%s", name, text.String(), line)
		}
		if !strings.Contains(text.String(), "no change  X-2 ") {
			t.Errorf("%s: no verdict on X:\n%s", name, text.String())
		}
		checkReport(t, r)
		return r
	}
	none := Options{}
	r := check("in new", none, measured, failed, Fail, "regression: 1 benchmark fails in new; of 1 gated comparisons 1 no change",
		"fails: Y: in 8 of 8 samples of new, in none of old: y_test.go:7: 5 sent, 4 received (new/0.txt:2)")
	if want := "go test -run '^$' -bench '^BenchmarkY$' .  # on old and on new\n"; r.Reproduce() != want {
		t.Errorf("reproduce with %q, want %q", r.Reproduce(), want)
	}
	for format, want := range map[string]string{
		"markdown": "- **fails**: `Y`: in 8 of 8 samples of new, in none of old: y\\_test.go:7: 5 sent, 4 received (new/0.txt:2)\n",
		"json":     `"benchmark": "Y",` + "\n" + `      "old": 0,` + "\n" + `      "new": 8,` + "\n" + `      "reason": "y_test.go:7: 5 sent, 4 received",`,
	} {
		var b bytes.Buffer
		if err := r.Write(&b, format); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: error %v, and no\n%s\nin\n%s", format, err, want, &b)
		}
	}
	var b strings.Builder
	if err := r.Explain(&b, "BenchmarkY"); err != nil || !strings.HasPrefix(b.String(), "Y: fails: in 8 of 8") {
		t.Errorf("explain: error %v\n%s", err, b.String())
	}
	check("in new, which old does not have", none, absent, failed, Fail, "regression: 1 benchmark fails in new; ", "fails: Y: in 8 of 8")
	check("in new, given up", none, measured, hopeless, Fail, "regression: 1 benchmark fails in new; ", "fails: Y: in 2 of 8 samples of new, in none of old: y_test.go:7")
	r = check("in new, sometimes", none, measured, sometimes, Fail, "regression: 1 benchmark fails in new; of 2 gated comparisons 2 no change", "fails: Y-2: in 1 of 8 samples of new, in none of old: y_test.go:9: late (new/3.txt:2)")
	if c := r.Comparisons[1]; c.Old.N != 8 || c.New.N+r.Comparisons[0].New.N != 15 {
		t.Errorf("Y is compared by %d+%d samples", c.Old.N, c.New.N)
	}
	check("in new, and no doubt is allowed", Options{AllowCannotTell: true, AllowMissing: regexp.MustCompile("Y")}, measured, failed, Fail, "regression", "fails: Y")
	check("in both", none, failed, failed, Undecided, "cannot tell: 1 benchmark fails in both; of 1 gated", "fails in both: Y: in 8 of 8 samples of new, in 8 of 8 samples of old: y_test.go:7")
	check("in both, given up", none, hopeless, hopeless, Undecided, "cannot tell: 1 benchmark fails in both; ", "fails in both: Y: in 2 of 8 samples of new, in 2 of 8")
	check("in both, sometimes", none, sometimes, failed, Undecided, "cannot tell: 1 benchmark fails in both; ", "")
	check("in both, allowed", Options{AllowCannotTell: true}, failed, failed, Pass, "pass: 1 benchmark fails in both; ", "fails in both")
	check("in old", none, failed, measured, Pass, "pass: of 1 gated comparisons", "failed in old: Y: in none of new, in 8 of 8 samples of old: y_test.go:7")
	check("in old, sometimes", none, sometimes, measured, Pass, "pass: of 2 gated comparisons", "failed in old: Y-2: in none of new, in 1 of 8")
	check("in old, and gone", none, failed, absent, Pass, "pass", "failed in old: Y")
	check("left out by the filter", Options{Filter: "-.name:Y"}, measured, failed, Pass, "pass: of 1 gated", "")
	check("a filter of units", Options{Filter: ".unit:ns/op"}, measured, failed, Fail, "regression: 1 benchmark fails in new", "fails")

	// Below and above.
	parent := func(i int) string { return "BenchmarkY/a=1-2 1 20" + fmt.Sprint(i) + " ns/op\n" }
	check("a benchmark with others below it", none, parent, failed, Fail, "regression: 1 benchmark fails in new; ", "fails: Y: in 8 of 8")
	check("one below another", none, parent, func(int) string {
		return "--- FAIL: BenchmarkY/a=1\n    no\n--- FAIL: BenchmarkY\n"
	}, Fail, "regression: 1 benchmark fails in new; ", "fails: Y/a=1: in 8 of 8 samples of new, in none of old: no (new/0.txt:2)")

	// A regression elsewhere is shown besides.
	slow := vary(8, "", "BenchmarkX-2 1 5$ ns/op")
	for i := range slow {
		slow[i] += failed(i) + "FAIL\n"
	}
	r, err := judgeTexts(none, with(8, failed), slow)
	if err != nil || r.Outcome != Fail || !strings.HasPrefix(r.Summary(), "regression: 1 benchmark fails in both; of 1 gated comparisons 1 regression") {
		t.Errorf("a regression besides: got %+v and error %v", r, err)
	}

	// Nothing but failures is an outcome too.
	only := []string{"--- FAIL: BenchmarkX\nFAIL\n"}
	r, err = judgeTexts(none, good(), only)
	if err != nil || r.Outcome != Fail || r.Summary() != "regression: 1 benchmark fails in new; nothing to compare" {
		t.Errorf("nothing but failures: got %+v and error %v", r, err)
	} else {
		checkFormats(t, r)
	}
	r, err = judgeTexts(none, only, []string{"BenchmarkX-2 1 5 ns/op\nPASS\n"})
	if want := "old and new have no benchmark in common"; err == nil || err.Error() != want {
		t.Errorf("failures in old alone: got %+v and error %v, want %s", r, err, want)
	}

	// One that was skipped for another reason is missing, and the reason is
	// told.
	_, err = judgeTexts(none, with(8, measured), with(8, func(int) string { return "--- SKIP: BenchmarkY\n    y_test.go:1: ENOSYS\n" }))
	if want := "BenchmarkY-2 is in old and not in new, where it was skipped: y_test.go:1: ENOSYS; if that is intended: -allow-missing '^Y-2$'"; err == nil || err.Error() != want {
		t.Errorf("skipped in new: got error %v, want %s", err, want)
	}
}

// checkFormats writes a report in all its formats.
func checkFormats(t *testing.T, r *Report) {
	t.Helper()
	for _, format := range ci.Names(Formats, true) {
		write := r.Write
		if !slices.ContainsFunc(Formats, func(f ci.Format) bool { return f.Name == format }) {
			write = r.Run().Write
		}
		var b bytes.Buffer
		if err := write(&b, format); err != nil || b.Len() == 0 && format != "github" {
			t.Errorf("%s: error %v, %d bytes", format, err, b.Len())
		}
		if format != "json" {
			checkPrintable(t, b.String())
		}
	}
}

// TestCutFirst checks that of a file that was cut off the place is named, once,
// and nothing that follows from it.
func TestCutFirst(t *testing.T) {
	var full, cut strings.Builder
	full.WriteString("goos: linux\n")
	cut.WriteString("goos: linux\n")
	for i := range 300 {
		fmt.Fprintf(&full, "BenchmarkB%d-2 1 %d ns/op\n", i, 100+i)
		if i < 100 {
			fmt.Fprintf(&cut, "BenchmarkB%d-2 1 %d ns/op\n", i, 101+i)
		}
	}
	full.WriteString("PASS\n")
	cut.WriteString("BenchmarkB100-2  \tpanic: lost 3 of 5\n\ngoroutine 7 [running]:\nexit status 2\nFAIL\tp\t1.2s\n")
	_, err := judgeTexts(Options{}, []string{full.String()}, []string{cut.String() + full.String()})
	var ie *InputError
	if want := `new/0.txt:102: this run failed: "panic: lost 3 of 5", in BenchmarkB100-2`; !errors.As(err, &ie) || len(ie.Problems) != 1 || ie.Problems[0] != want {
		t.Errorf("got error %v, want %s and nothing else", err, want)
	}
}

// TestTestJSON compares the same results as text and as JSON.
func TestTestJSON(t *testing.T) {
	dir := filepath.Join("..", "results", "testdata", "gotest")
	old, err := os.ReadFile(filepath.Join(dir, "failing.txt"))
	if err != nil {
		t.Fatal(err)
	}
	new, err := os.ReadFile(filepath.Join(dir, "failing.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := judgeTexts(Options{}, []string{string(old)}, []string{string(new)})
	if err != nil || len(r.Comparisons) != 4 || len(r.Failures) != 3 || r.Outcome != Undecided {
		t.Errorf("got %+v and error %v, want four comparisons and three that fail in both", r, err)
	}
}

// TestRates checks that a rate gates where nothing else says what an operation
// costs, and a mean where no floor does.
func TestRates(t *testing.T) {
	var o Options
	check := func(name, header, old, new string, want Outcome, gated int) {
		t.Helper()
		r, err := judgeTexts(o, vary(8, header, old), vary(8, header, new))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if n := r.count(func(c *Comparison) bool { return c.Gates }); r.Outcome != want || n != gated {
			t.Errorf("%s: got %s with %d gated comparisons, want %s with %d:\n%s", name, r.Outcome, n, want, gated, r.Summary())
		}
	}
	const other = "BenchmarkOther 1 9$ ns/op\n"
	check("alone", other, "BenchmarkX 1 10$ MB/s", "BenchmarkX 1 8$ MB/s", Fail, 2)
	check("beside a time", "", "BenchmarkX 1 5$ ns/op 10$ MB/s", "BenchmarkX 1 5$ ns/op 8$ MB/s", Pass, 1)
	check("beside a time in old", other, "BenchmarkX 1 5$ ns/op 10$ MB/s", "BenchmarkX 1 5$ ns/op 8$ MB/s", Pass, 2)
	check("beside allocations", "", "BenchmarkX 1 10$ MB/s 3 allocs/op", "BenchmarkX 1 8$ MB/s 3 allocs/op", Fail, 2)
	check("with a direction", "Unit events/s better=higher\n", "BenchmarkX 1 10$ events/s", "BenchmarkX 1 8$ events/s", Fail, 1)
	check("better", "", "BenchmarkX 1 8$ MB/s", "BenchmarkX 1 9$ MB/s", Pass, 1)

	o.Thresholds = mustThresholds(t, shippedThresholds)
	const floors = "Unit floor-ns/op better=lower\n"
	check("a mean beside a floor", floors, "BenchmarkX 1 8$ ns/op 7$ floor-ns/op", "BenchmarkX 1 9$ ns/op 7$ floor-ns/op", Pass, 1)
	check("a floor", floors, "BenchmarkX 1 8$ ns/op 7$ floor-ns/op", "BenchmarkX 1 8$ ns/op 8$ floor-ns/op", Fail, 1)
	check("a mean alone", "", "BenchmarkX 1 8$ ns/op", "BenchmarkX 1 9$ ns/op", Fail, 1)
}

// TestCollapse checks what is said of what costs a tenth of before.
func TestCollapse(t *testing.T) {
	check := func(name string, o Options, old, new string, want Outcome, collapsed int) *Report {
		t.Helper()
		r, err := judgeTexts(o, vary(8, "", old), vary(8, "", new))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		n := r.count(func(c *Comparison) bool { return c.Collapsed })
		if r.Outcome != want || n != collapsed || strings.Contains(r.Summary(), "stopped doing") != (n > 0) {
			t.Errorf("%s: got %s with %d collapsed, want %s with %d:\n%s", name, r.Outcome, n, want, collapsed, r.Summary())
		}
		checkReport(t, r)
		return r
	}
	none, distrust := Options{}, Options{DistrustCollapse: true}
	r := check("a time", none, "BenchmarkX 1 10$ ns/op", "BenchmarkX 1 3$ ns/op", Pass, 0)
	if r.Comparisons[0].Verdict != Improvement {
		t.Errorf("got %s, want an improvement", r.Comparisons[0].Verdict)
	}
	r = check("a time at 3 %", none, "BenchmarkX 1 40$ ns/op", "BenchmarkX 1 $ ns/op", Pass, 1)
	if want := "has it stopped doing its work?"; !strings.Contains(r.Comparisons[0].Reason, want) {
		t.Errorf("got reason %q, want %q", r.Comparisons[0].Reason, want)
	}
	r = check("distrusted", distrust, "BenchmarkX 1 40$ ns/op", "BenchmarkX 1 $ ns/op", Undecided, 1)
	if c := r.Comparisons[0]; c.Verdict != CannotTell || c.Need != 0 || !strings.Contains(c.Reason, "no number of samples would tell") || !strings.Contains(r.Reproduce(), " -distrust-collapse=true ") {
		t.Errorf("got %s, %q, reproduce with %q", c.Verdict, c.Reason, r.Reproduce())
	}
	check("distrusted and passed", Options{DistrustCollapse: true, AllowCannotTell: true}, "BenchmarkX 1 40$ ns/op", "BenchmarkX 1 $ ns/op", Pass, 1)
	check("a rate", none, "BenchmarkX 1 $ MB/s", "BenchmarkX 1 40$ MB/s", Pass, 1)
	check("allocations", distrust, "BenchmarkX 1 40$ B/op", "BenchmarkX 1 $ B/op", Pass, 0)
	check("a loss", none, "BenchmarkX 1 $ ns/op", "BenchmarkX 1 40$ ns/op", Fail, 0)
}
