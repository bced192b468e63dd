package gate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/ci"
)

// Each verdict, and each way to fail, is one status in all formats.
func TestRun(t *testing.T) {
	check := func(what string, o Options, old, new []string, status ci.Status, want ...string) {
		t.Helper()
		run := mustJudge(t, o, old, new).Run()
		var got []string
		for _, f := range run.Suites[0].Findings {
			got = append(got, fmt.Sprintf("%s %d %s worth=%t", strings.TrimSpace(f.Name+" "+f.Unit), f.Status, f.Verdict, f.Worth))
			if f.Reason == "" || f.New != nil && (f.Change == "" || f.Ratio == nil || !strings.HasPrefix(f.Reproduce, "go tool eventbench gate -explain ")) {
				t.Errorf("%s: incomplete: %+v", what, f)
			}
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w || run.Status != status {
			t.Errorf("%s: status %d, got\n%s\nwant %d\n%s", what, run.Status, g, status, w)
		}
	}
	const header = "clock: instrs\nUnit instrs/op better=lower assume=exact\n"
	counts := func(values ...int) (side []string) {
		for _, v := range values {
			side = append(side, fmt.Sprintf("%sBenchmarkX 1 %d instrs/op\nPASS\n", header, v))
		}
		return side
	}
	five := func(v int) []string { return counts(v, v, v, v, v) }
	check("exact, beyond", Options{}, five(1596), five(1674), ci.Failed, "X instrs/op 1 regression worth=true")
	check("exact, within", Options{}, five(5661), five(5670), ci.Passed, "X instrs/op 0 within threshold worth=true")
	check("exact, within, strict", Options{Strict: true}, five(5661), five(5670), ci.Failed, "X instrs/op 1 regression worth=true")
	check("exact, less", Options{}, five(1674), five(1596), ci.Passed, "X instrs/op 0 improvement worth=true")
	check("identical", Options{}, five(192), five(192), ci.Passed, "X instrs/op 0 no change worth=false")
	check("too few", Options{}, counts(437, 460), counts(437, 484), ci.Unknown, "X instrs/op 2 cannot tell worth=true")
	check("too few, allowed", Options{AllowCannotTell: true}, counts(437, 460), counts(437, 484), ci.Passed, "X instrs/op 3 cannot tell worth=true")

	wide := Options{Thresholds: mustThresholds(t, "ns/op 15% gate\n")}
	const x, y = "X-2 ns/op 0 no change worth=false", "Y-2 ns/op 0 no change worth=false"
	check("fails in new", wide, with(8, measured), with(8, failed), ci.Failed, "Y 1 fails worth=true", x)
	check("fails in both", wide, with(8, failed), with(8, failed), ci.Unknown, "Y 2 fails in both worth=true", x)
	check("failed in old", wide, with(8, sometimes), with(8, measured), ci.Passed, "Y-2 0 failed in old worth=true", x, y)
	check("only informs", Options{Thresholds: mustThresholds(t, "ns/op 1% inform\nB/op 5% gate\n")}, vary(8, "", "BenchmarkX 1 $ ns/op 5 B/op"), vary(8, "", "BenchmarkX 1 9$ ns/op 5 B/op"), ci.Passed,
		"X ns/op 3 regression (informs) worth=true", "X B/op 0 no change worth=false")
}

// Where the functions that changed are known, every format that has reasons has
// them.
func TestRunWhere(t *testing.T) {
	r, err := Compare("testdata/files/old", "testdata/files/slow", Options{Filter: ".name:EventfdSelf"})
	if err != nil {
		t.Fatal(err)
	}
	r.findings()[0].Where = &Where{Old: 1636, New: 1656, Functions: []Function{{"vfs_write", 87, 105}}, Profiles: [2]string{"old.pb.gz", "new.pb.gz"}}
	for _, format := range []string{"github", "junit", "ktap", "kcidb"} {
		var b strings.Builder
		if err := r.Run().Write(&b, format); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"where: 1636 to 1656 instructions in one operation, +20: most in vfs_write +18", "-diff_base old.pb.gz new.pb.gz"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s has no %q:\n%s", format, want, b.String())
			}
		}
	}
}

// Where there is no report, each problem is in every format that has words.
func TestWhyNot(t *testing.T) {
	_, err := Compare("testdata/none", "testdata/nor", Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, format := range ci.Names(Formats, true) {
		var b strings.Builder
		n := WhyNot(Unreadable, 2, err)
		write := n.Run().Write
		if slices.ContainsFunc(Formats, func(f ci.Format) bool { return f.Name == format }) {
			write = n.Write
		}
		if err := write(&b, format); err != nil {
			t.Error(err)
		}
		words := !slices.Contains([]string{"lava", "bencher", "github-action-benchmark"}, format)
		for _, side := range []string{"testdata/none", "testdata/nor"} {
			if strings.Contains(b.String(), side) != words {
				t.Errorf("%s: want %s in it: %t, got\n%s", format, side, words, b.String())
			}
		}
	}
	if n := WhyNot(Unreadable, 2, errors.New("x")); len(n.Problems) != 1 || n.Problems[0] != "x" {
		t.Errorf("got %+v", n)
	}
}
