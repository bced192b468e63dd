package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRead gives the gate any text for results. It must refuse it in words, or
// give a verdict that all formats can show.
func FuzzRead(f *testing.F) {
	f.Add([]byte(good()[0]), []byte(good()[1]), "*")
	f.Add([]byte("Unit q better=lower assume=exact\nBenchmarkX 1 5 q\n"), []byte("BenchmarkX 1 6 q\n"), ".unit:q")
	f.Add([]byte("Unit \x1b[2J better=lower assume=exact\nBenchmarkX 1 5 \x1b[2J\n"), []byte("BenchmarkX 1 6 \x1b[2J\n"), "*\f")
	f.Add([]byte("Unit \x1b[2J better=lower\nBenchmarkX\x9b 1 0 \x1b[2J\n"), []byte("BenchmarkX\x9b 1 6 \x1b[2J\n"), "*")
	f.Add([]byte("clock: instrs\nseed: 1\nBenchmarkX-2 1 0 ns/op -3 x\n"), []byte("goos: linux\nBenchmarkX-2 1 1e300 ns/op 1e-300 x\n"), "-a:b")
	f.Add([]byte("0"), []byte("0"), "0")
	f.Add([]byte("BenchmarkX-2 1 5 ns/op\n--- FAIL: BenchmarkY\n    \x1b[2J\nFAIL\n"), []byte("BenchmarkX-2 \t--- FAIL: BenchmarkX-2\nFAIL\n"), ".unit:ns/op")
	f.Add([]byte("BenchmarkX\nBenchmarkX-2 \t 1\t 5 ns/op\nBenchmarkY\n--- SKIP: BenchmarkY\nPASS\n"), []byte(`{"Action":"output","Output":"BenchmarkX 1 1 ns/op\n"}`+"\n"), "*")
	paths, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(paths) == 0 {
		f.Fatalf("fixtures: got %v and error %v, want some", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text, "*")
	}
	f.Fuzz(func(t *testing.T, old, new []byte, filter string) {
		r, err := judgeTexts(Options{Filter: filter}, []string{string(old)}, []string{string(new), string(new)})
		if err != nil {
			var ie *InputError
			if !errors.As(err, &ie) || len(ie.Problems) == 0 || slices.Contains(ie.Problems, "") {
				t.Errorf("got error %#v, want an InputError that says something", err)
			}
			for line := range strings.Lines(err.Error()) {
				checkPrintable(t, strings.TrimLeft(line, "\t"))
			}
			return
		}
		checkReport(t, r)
	})
}

// checkReport checks what holds for every report.
func checkReport(t *testing.T, r *Report) {
	t.Helper()
	if len(r.Comparisons) == 0 {
		if len(r.Failures) == 0 || r.Outcome == Pass {
			t.Fatalf("%s, and neither a comparison nor a failure", r.Outcome)
		}
		checkFormats(t, r)
		return
	}
	for _, c := range r.Comparisons {
		if !(c.Lo <= c.Ratio && c.Ratio <= c.Hi) {
			t.Errorf("%s: ratio %v outside its interval [%v, %v]", c.Name, c.Ratio, c.Lo, c.Hi)
		}
		if !(c.P >= 0 && c.P <= c.Adjusted && c.Adjusted <= 1) && c.Method != "exact" {
			t.Errorf("%s: p %v adjusted to %v", c.Name, c.P, c.Adjusted)
		}
		within := c.Better == "lower" && c.Lo <= 1+c.Threshold || c.Better == "higher" && c.Hi >= 1/(1+c.Threshold)
		if c.Verdict == Regression && (within && !c.counted || c.Better == "" || c.Adjusted > r.Alpha) {
			t.Errorf("%s: regression with an interval [%v, %v] and p %v", c.Name, c.Lo, c.Hi, c.Adjusted)
		}
		if c.Reason == "" || math.IsNaN(c.Ratio) || (c.Verdict != CannotTell && c.Need != 0) {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	for _, write := range []func(io.Writer) error{
		r.WriteText, r.WriteMarkdown, func(w io.Writer) error { return r.Explain(w, clean(r.Comparisons[0].Name)) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Error(err)
		}
		checkPrintable(t, b.String())
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("JSON %s: error %v", b.Bytes(), err)
	}
}

// checkPrintable checks that nothing from a file reaches a terminal that a
// terminal would obey.
func checkPrintable(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x9b }) {
		t.Errorf("not fit to print: %q", s)
	}
}

// FuzzVerdict gives the gate any values, few or many, tied or not.
func FuzzVerdict(f *testing.F) {
	f.Add([]byte{6, 6, 100, 101, 102, 103, 104, 105, 200, 201, 202, 203, 204, 205})
	f.Add([]byte{8, 8, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11})
	f.Add([]byte{4, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 7, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4 {
			return
		}
		nOld, nNew := 1+int(data[0])%20, 1+int(data[1])%20
		data = data[2:]
		at := func(i int) float64 { return float64(data[i%len(data)]) + float64(i/len(data)) }
		// allocs/op may be equal everywhere, which ns/op must not.
		side := func(from, n int, scale float64) []string {
			var files []string
			for i := range n {
				v := at(from+i) * scale
				files = append(files, fmt.Sprintf("Unit x better=lower assume=exact\nUnit y better=higher\nBenchmarkX 1 %v allocs/op %v x %v y %v z\n", v, v, v+1, -v))
			}
			return files
		}
		old, new := side(0, nOld, 1), side(nOld, nNew, 1)
		r := mustJudge(t, Options{}, old, new)
		checkReport(t, r)
		verdicts := func(r *Report) map[string]*Comparison {
			m := make(map[string]*Comparison)
			for _, c := range r.Comparisons {
				m[c.Unit] = c
			}
			return m
		}
		same := func(what string, other *Report) {
			t.Helper()
			for unit, c := range verdicts(r) {
				o := verdicts(other)[unit]
				// y is v+1 and does not scale.
				if o.Verdict != c.Verdict && (what != "scaled" || unit != "y") {
					t.Errorf("%s: %s: got %s (%s), want %s (%s)", what, unit, o.Verdict, o.Reason, c.Verdict, c.Reason)
				}
			}
		}
		slices.Reverse(old)
		slices.Reverse(new)
		same("in reverse", mustJudge(t, Options{}, old, new))
		same("scaled", mustJudge(t, Options{}, side(0, nOld, 4), side(nOld, nNew, 4)))

		// What is worse one way is better the other way.
		mirror := map[Verdict]Verdict{Regression: Improvement, Improvement: Regression}
		swapped := mustJudge(t, Options{}, new, old)
		c, s := verdicts(r)["y"], verdicts(swapped)["y"]
		want := c.Verdict
		if m, ok := mirror[want]; ok {
			want = m
		}
		if s.Verdict != want {
			t.Errorf("swapped: got %s (%s), want %s for %s (%s)", s.Verdict, s.Reason, want, c.Verdict, c.Reason)
		}
	})
}
