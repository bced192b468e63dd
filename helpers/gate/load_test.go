package gate

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"eventbench/helpers/results"
)

// vary returns n results files of a header and a line, in which $ stands for a
// figure of its own.
func vary(n int, header, line string) []string {
	var files []string
	for i := range n {
		files = append(files, strings.ReplaceAll(header+line+"\n", "$", fmt.Sprint(100+i)))
	}
	return files
}

// good is a side that nothing is wrong with.
func good() []string { return vary(8, "", "BenchmarkX 1 $ ns/op") }

func TestBadInput(t *testing.T) {
	// check judges old, and new after it, and wants one problem.
	check := func(name string, o Options, old, new []string, want string) {
		t.Helper()
		report, err := judgeTexts(o, old, new)
		var ie *InputError
		switch {
		case !errors.As(err, &ie):
			t.Errorf("%s: got report %+v and error %v, want bad input: %s", name, report, err, want)
		case !regexp.MustCompile(want).MatchString(ie.Problems[0]):
			t.Errorf("%s: got problem\n\t%s\nwant one that matches\n\t%s", name, ie.Problems[0], want)
		case len(ie.Problems) > 1:
			t.Errorf("%s: got %d problems, want one: %q", name, len(ie.Problems), ie.Problems)
		}
	}
	// inNew puts text in the place of the third file of the new side.
	inNew := func(text string) []string {
		files := good()
		files[2] = text
		return files
	}
	none := Options{}

	// The text of a file.
	check("empty", none, good(), inNew(""), `^new/2.txt: the file is empty$`)
	check("no results", none, good(), inNew("goos: linux\nPASS\n"), `^new/2.txt: no benchmark results in its 2 lines \(want the output of go test -bench\)$`)
	check("go test -json", none, good(), inNew(`{"Time":"2026-01-01T00:00:00Z","Action":"start"}`+"\n"), `^new/2.txt: .*go test -json`)
	check("no count", none, good(), inNew("BenchmarkX 1 102 ns/op\nBenchmarkX ns/op\n"), `^new/2.txt:2: parsing iteration count`)
	check("no unit", none, good(), inNew("BenchmarkX 1 102\n"), `^new/2.txt:1: missing units`)
	check("no name", none, good(), inNew("BenchmarkX 1 102 ns/op\nBenchmark 1 1 ns/op\n"), `^new/2.txt:2: a benchmark without a name`)
	check("out of range", none, good(), inNew("BenchmarkX 1 1e999 ns/op\n"), `^new/2.txt:1: parsing measurement: value out of range`)
	check("NaN", none, good(), inNew("BenchmarkX 1 102 ns/op NaN loss/op\n"), `^new/2.txt:1: X: the value of loss/op is NaN`)
	check("infinite", none, good(), inNew("\nBenchmarkX 1 102 ns/op +Inf loss/op\n"), `^new/2.txt:2: X: the value of loss/op is \+Inf`)
	check("no cost", none, good(), inNew("BenchmarkX 1 0 ns/op\n"), `^new/2.txt:1: X: 0 ns/op: no operation costs nothing`)
	check("a counter that stands", none, good(), inNew("BenchmarkX 1 102 ns/op 0 instrs/op\n"), `^new/2.txt:1: X: 0 instrs/op: no operation costs nothing`)
	check("less than nothing", none, good(), inNew("BenchmarkX 1 102 ns/op -5 p99-latency-ns\n"), `^new/2.txt:1: X: -5 p99-latency-ns: nothing takes less than nothing`)
	check("twice a unit", none, good(), inNew("BenchmarkX 1 102 ns/op 103 ns/op\n"), `^new/2.txt:1: X: two values of ns/op on one line`)
	check("truncated", none, good(), inNew("BenchmarkX 1 102 ns/op\nBenchmarkX 1 1"), `^new/2.txt:2: .*truncated`)
	check("cut between lines", none, good(), inNew("clock: wall\nBenchmarkX 1 102 ns/op\nPASS\nBenchmarkX 1 102 ns/op\n"), `^new/2.txt:4: truncated: neither PASS nor FAIL after the last result$`)
	check("cut within a file", none, good(), append(good(), "clock: wall\nsample: a\nBenchmarkX 1 102 ns/op\nsample: b\nBenchmarkX 1 102 ns/op\nPASS\n"), `^new/8.txt:5: truncated: no PASS between the results of new/8.txt, sample a and of new/8.txt, sample b$`)
	check("binary", none, good(), inNew("BenchmarkX 1 102 ns/op\n\x7fELF\x00\x01\n"), `^new/2.txt:2: a zero byte`)
	check("UTF-16", none, good(), inNew("\xff\xfeB\x00e\x00\n\x00"), `^new/2.txt:1: a zero byte`)
	check("long line", none, good(), inNew("BenchmarkX 1 102 ns/op\n"+strings.Repeat("x", 1<<17)+"\n"), `^new/2.txt:2: a line longer than 65536 bytes`)
	check("long name", none, good(), inNew("BenchmarkX 1 102 ns/op\nBenchmark"+strings.Repeat("x", 2000)+" 1 1 ns/op\n"), `^new/2.txt:2: a benchmark's name of 2000 bytes`)
	check("many units", none, good(), inNew("BenchmarkX 1"+strings.Join(numbered(101, " 1 u%d"), "")+"\n"), `^new/2.txt:1: more than 100 units`)
	check("many keys", none, good(), inNew(strings.Join(numbered(1001, "k%d: v\n"), "")+"BenchmarkX 1 102 ns/op\n"), `^new/2.txt:1002: more than 1000 configuration keys`)
	check("no end of keys", none, good(), inNew(strings.Join(numbered(10_001, "k%d: v\n"), "")+"BenchmarkX 1 102 ns/op\n"), `^new/2.txt:10001: 10000 configuration lines without a result`)
	check("many samples", none, good(), append(good(), strings.Join(numbered(993, "sample: %d\nBenchmarkX 1 102 ns/op\n"), "")), `^new/8.txt:1986: more than 1000 samples in new`)
	check("failed test", none, good(), inNew("BenchmarkX 1 102 ns/op\n--- FAIL: TestY (0.00s)\nFAIL\n"), `^new/2.txt:2: this run failed: "--- FAIL: TestY \(0.00s\)"`)
	check("failed run", none, good(), inNew("BenchmarkX 1 102 ns/op\r\nFAIL\r\n"), `^new/2.txt:2: this run failed: "FAIL"`)
	check("panic", none, good(), inNew("BenchmarkX 1 102 ns/op\npanic: lost 3 of 100000\n"), `^new/2.txt:2: this run failed: "panic: lost 3`)
	check("control characters", none, good(), inNew("BenchmarkX 1 102 ns/op\nBenchmarkX\x1b[2J x\n"), `^new/2.txt:2: parsing iteration count`)

	// Units.
	check("units in conflict", none, vary(8, "Unit q better=lower\n", "BenchmarkX 1 $ q"), inNew("Unit q better=higher\nBenchmarkX 1 102 ns/op\n"), `^new/2.txt:1: metadata better of unit q already set to lower`)
	check("unknown direction", none, good(), inNew("Unit q better=smaller\nBenchmarkX 1 102 ns/op\n"), `^new/2.txt:1: Unit q better=smaller: want lower or higher`)
	check("unknown assumption", none, good(), inNew("Unit q assume=normal\nBenchmarkX 1 102 ns/op\n"), `^new/2.txt:1: Unit q assume=normal: want exact or nothing`)

	// What is missing.
	two := vary(8, "BenchmarkY 1 3 q\n", "BenchmarkX 1 $ ns/op")
	check("benchmark gone", none, two, good(), `^BenchmarkY is in old and not in new; if that is intended: -allow-missing '\^Y\$'$`)
	check("unit gone", none, vary(8, "", "BenchmarkX 1 $ ns/op 3 a/b"), good(), `^BenchmarkX reports a/b in old and not in new; .*'\^X a/b\$'`)
	check("other -cpu", none, vary(8, "", "BenchmarkX/a=b-2 1 $ ns/op"), vary(8, "", "BenchmarkX/a=b-4 1 $ ns/op"), `^BenchmarkX/a=b-2 is in old and not in new, which has BenchmarkX/a=b-4 \(was GOMAXPROCS`)
	check("several -cpu", Options{Allow: []string{"gomaxprocs"}}, good(), inNew("BenchmarkX 1 9 ns/op\nBenchmarkX-2 1 9 ns/op\n"), `^new/2.txt:2: several values of -cpu \(-1, -2\) for BenchmarkX`)
	check("partly gone", none, two, append(two[:7:7], "BenchmarkX 1 102 ns/op\n"), `^BenchmarkY has q in 7 samples of new and not in new/7.txt: did that run fail\?`)
	both := vary(8, "", "pkg: a\nBenchmarkX 1 $ ns/op\npkg: b\nBenchmarkY 1 $ ns/op")
	check("package partly gone", none, both, append(both[:7:7], "pkg: a\nBenchmarkX 1 102 ns/op\n"), `^BenchmarkY has ns/op in 7 samples of new and not in new/7.txt: did that run fail\?`)
	check("nothing matches", Options{Filter: ".name:Z"}, good(), good(), `^old: no benchmark in old matches the filter`)
	check("nothing in new matches", Options{Filter: ".name:Y"}, two, good(), `^new: no benchmark in new matches the filter`)
	check("nothing gated", none, vary(8, "", "BenchmarkX 1 $ furlongs"), vary(8, "", "BenchmarkX 1 $ furlongs"), `^nothing here can fail the gate`)
	check("nothing gated by rule", Options{Thresholds: mustThresholds(t, "* 1% inform")}, good(), good(), `^nothing here can fail the gate`)
	check("a clock that stands", none, good(), vary(8, "", "BenchmarkX 1 100 ns/op"), `^BenchmarkX: all 8 samples of new give 100 ns/op; measured times vary`)

	// Where it was measured.
	on := func(key, value string) []string { return vary(8, key+": "+value+"\n", "BenchmarkX 1 $ ns/op\nPASS") }
	for _, key := range results.Allowable() {
		check(key, none, on(key, "a"), on(key, "b"), `^results differ in `+key+`: "a" in old/0.txt:2, "b" in new/0.txt:2; if that is intended: -allow `+key)
		check("no "+key, none, good(), on(key, "b"), `^results differ in `+key+`: none in old/0.txt:1, "b" in new/0.txt:2`)
		check("mixed "+key, none, on(key, "a"), append(on(key, "a")[:7], on(key, "b")[7]), `^results differ in `+key+`: "a" in old/0.txt:2, "b" in new/7.txt:2`)
	}
	check("clock", none, on("clock", "wall"), on("clock", "instrs"), `^results differ in clock: .*: seconds and instructions cannot be compared`)
	check("key within a file", none, on("clock", "wall"), append(on("clock", "wall"), "clock: wall\nBenchmarkX 1 1 ns/op\nclock: instrs\nBenchmarkX 1 1 ns/op\nPASS\n"), `^results differ in clock: .*new/8.txt:4`)
	for _, key := range results.KeysOf(results.MayDiffer) {
		check("mixed "+key, none, on(key, "a"), append(on(key, "a")[:7], on(key, "b")[7]), `^new mixes results of different `+key+`: "a" in new/0.txt:2, "b" in new/7.txt:2`)
	}
	seeded := vary(8, "clock: instrs\nseed: $\nUnit instrs/op better=lower\n", "BenchmarkX 1 $ instrs/op\nPASS")
	check("one seed twice", none, seeded, append(seeded[:7:7], strings.Replace(seeded[7], "107", "100", 1)), `^new: new/0.txt and new/7.txt have the same seed, 100`)

	// Options.
	check("filter", Options{Filter: "a b"}, good(), good(), `^filter "a b": `)
	check("alpha", Options{Alpha: 5}, good(), good(), `^alpha 5: want a probability`)
	check("allow clock", Options{Allow: []string{"clock"}}, good(), good(), `cannot be allowed`)
	check("allow anything", Options{Allow: []string{"kernel"}}, good(), good(), `^"kernel" is not a key that must agree`)
	check("no thresholds", Options{Thresholds: "no/such/file"}, good(), good(), `^open no/such/file: no such file`)
	check("empty thresholds", Options{Thresholds: mustThresholds(t, "# none\n\n")}, good(), good(), `thresholds.txt: no rule in this file`)
}

func numbered(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

// TestManyProblems checks that a flood of problems is cut off.
func TestManyProblems(t *testing.T) {
	_, err := judgeTexts(Options{}, good(), []string{strings.Repeat("BenchmarkX\x1b no\n", 1000)})
	var ie *InputError
	if !errors.As(err, &ie) || len(ie.Problems) != 21 || ie.Problems[20] != "and 980 more like these" {
		t.Errorf("got error %v, want the first 20 problems and the number of others", err)
	}
}

// TestGoodInput checks that what may differ does no harm.
func TestGoodInput(t *testing.T) {
	check := func(name string, o Options, old, new []string, want Outcome, samples int) *Report {
		t.Helper()
		r, err := judgeTexts(o, old, new)
		if err != nil {
			t.Errorf("%s: got error %v, want %s", name, err, want)
			return nil
		}
		if r.Outcome != want || len(r.NewSamples) != samples {
			t.Errorf("%s: got %s with %d samples, want %s with %d:\n%s", name, r.Outcome, len(r.NewSamples), want, samples, r.Comparisons[0].Reason)
		}
		return r
	}
	// An interval within the 15 % that this rule allows.
	rule := mustThresholds(t, "* 15% gate\n")
	o := Options{Thresholds: rule}
	check("equal", o, good(), good(), Pass, 8)
	check("CRLF", o, good(), vary(8, "goarch: \r\n\r\n", "BenchmarkX 1 $ ns/op\r"), Pass, 8)
	check("byte order mark", o, vary(8, "goos: linux\n", "BenchmarkX 1 $ ns/op"), vary(8, "\ufeffgoos: linux\n", "BenchmarkX 1 $ ns/op"), Pass, 8)
	check("go test -v", o, good(), vary(8, "=== RUN   BenchmarkX\nBenchmarkX\n", "BenchmarkX 1 $ ns/op\n--- BENCH: BenchmarkX\n    x_test.go:1: hello\nPASS\nok  \tx\t1.2s"), Pass, 8)
	check("no clock is wall", o, good(), vary(8, "clock: wall\n", "BenchmarkX 1 $ ns/op\nPASS"), Pass, 8)
	check("other order", o, vary(8, "BenchmarkY 1 1 q\n", "BenchmarkX 1 $ ns/op"), vary(8, "", "BenchmarkX 1 $ ns/op\nBenchmarkY 1 1 q"), Pass, 8)
	check("ns and sec", o, vary(8, "", "BenchmarkX 1 0.000000$ sec/op"), good(), Pass, 8)
	check("odd names", o, vary(8, "", "Benchmarkµ/|`<b>=%41/ÿ\xff\x1b-2 1 $ ns/op"), vary(8, "", "Benchmarkµ/|`<b>=%41/ÿ\xff\x1b-2 1 $ ns/op"), Pass, 8)
	check("allowed key", Options{Thresholds: rule, Allow: []string{"virt"}}, good(), vary(8, "virt: kvm\n", "BenchmarkX 1 $ ns/op"), Pass, 8)
	check("allowed GOMAXPROCS", Options{Thresholds: rule, Allow: []string{"gomaxprocs"}}, vary(8, "", "BenchmarkX-2 1 $ ns/op"), good(), Pass, 8)
	missing := Options{Thresholds: rule, AllowMissing: regexp.MustCompile("^Y")}
	check("allowed to be missing", missing, vary(8, "BenchmarkY 1 1 q\n", "BenchmarkX 1 $ ns/op"), good(), Pass, 8)
	check("unit allowed to be missing", Options{Thresholds: rule, AllowMissing: regexp.MustCompile("^X q$")}, vary(8, "", "BenchmarkX 1 $ ns/op 1 q"), good(), Pass, 8)
	far := vary(8, "Unit p99-latency-ns better=lower\n", "BenchmarkX 1 $ ns/op 5 p99-latency-ns")
	informs := Options{Thresholds: mustThresholds(t, "*-latency-* 1% inform\n* 15% gate\n")}
	check("a percentile that some have", informs, append(far[:4:4], good()[4:]...), append(far[:7:7], good()[7]), Pass, 8)
	check("a percentile gone", informs, far, good(), Pass, 8)
	check("a file for each package", o, append(vary(8, "pkg: a\n", "BenchmarkX 1 $ ns/op"), vary(8, "pkg: b\n", "BenchmarkY 1 $ ns/op")...),
		append(vary(8, "pkg: b\n", "BenchmarkY 1 $ ns/op"), vary(8, "pkg: a\n", "BenchmarkX 1 $ ns/op")...), Pass, 16)
	check("allowed to be equal", Options{Thresholds: rule, AllowEqual: regexp.MustCompile("^X ns/op$")}, good(), vary(8, "", "BenchmarkX 1 103 ns/op"), Pass, 8)

	// Samples.
	check("processes in one file", o, vary(8, "goos: linux\npkg: a\n", "BenchmarkX 1 $ ns/op"), []string{strings.Join(vary(8, "goos: linux\npkg: a\n", "BenchmarkX 1 $ ns/op\nPASS"), "")}, Pass, 8)
	check("processes of two packages", Options{Thresholds: rule, Filter: "pkg:a"}, vary(8, "goos: linux\npkg: a\n", "BenchmarkX 1 $ ns/op"), []string{strings.Join(vary(8, "goos: linux\npkg: a\n", "BenchmarkX 1 $ ns/op\ngoos: linux\npkg: b\nBenchmarkX 1 $ ns/op"), "")}, Pass, 8)
	check("samples in one file", o, good(), []string{strings.Join(vary(8, "sample: $\n", "BenchmarkX 1 $ ns/op"), "")}, Pass, 8)
	check("boots in one file", Options{Thresholds: rule, SampleKey: "boot"}, good(), []string{strings.Join(vary(8, "boot: $\n", "BenchmarkX 1 $ ns/op"), "")}, Pass, 8)
	check("lines of one process", o, good(), []string{strings.Join(good(), "")}, Undecided, 1)
	check("lines of one sample", o, good(), []string{strings.Join(vary(8, "sample: 1\n", "BenchmarkX 1 $ ns/op"), "")}, Undecided, 1)

	// Packages whose benchmarks have one name.
	names := check("packages", o, []string{strings.Join(vary(2, "goos: linux\npkg: p$\n", "BenchmarkX 1 $ B/op"), "")}, []string{strings.Join(vary(2, "goos: linux\npkg: p$\n", "BenchmarkX 1 $ B/op"), "")}, Undecided, 1)
	if a, b := names.name(names.Comparisons[0].Pkg, "X"), names.name(names.Comparisons[1].Pkg, "X"); a != "p100.X" || b != "p101.X" {
		t.Errorf("packages: got names %s and %s, want p100.X and p101.X", a, b)
	}

	// A zero has no unit prefix to tidy, and must not become a unit of its
	// own.
	r := check("zero times", o, vary(8, "", "BenchmarkX 1 $ ns/op 0 wait-ns"), vary(8, "", "BenchmarkX 1 $ ns/op 3 wait-ns"), Pass, 8)
	if len(r.Comparisons) != 2 || r.Comparisons[0].Unit != "wait-ns" || r.Comparisons[0].Verdict != Changed {
		t.Errorf("zero times: got %+v, want wait-ns to be compared and changed", r.Comparisons[0])
	}
}

// TestFiles checks what concerns files as such.
func TestFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range good() {
		write(fmt.Sprintf("old/%d.txt", i), text)
		write(fmt.Sprintf("new/deep/er/%d.txt", i), "\n"+text)
		write(fmt.Sprintf("copies/%d.txt", i), text)
	}
	write("new/.9.txt", "half a fi")
	write("new/notes.md", "not results")
	write("sets/a/r1.txt", good()[0])
	write("sets/b/r1.txt", good()[0])
	write("twice/a.txt", good()[0])
	write("twice/b.txt", good()[0])
	write("none/readme", "")
	write("new,comma.txt", good()[0])
	if err := os.Symlink("new", "link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("old/0.txt", "alias.txt"); err != nil {
		t.Fatal(err)
	}
	check := func(old, new, want string) {
		t.Helper()
		r, err := Compare(old, new, Options{})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%d+%d", len(r.OldSamples), len(r.NewSamples))
		}
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("old %s, new %s: got\n\t%s\nwant\n\t%s", old, new, got, want)
		}
	}
	check("old", "new", `^8\+8$`)
	check("old", "link", `^8\+8$`)
	check("old/0.txt,old/1.txt", "new/deep/er/2.txt", `^2\+1$`)
	check("old/[0-2].txt,old/3.txt", "new/*/er/*.txt", `^4\+8$`)
	check("old", "new/x*.txt", `^new: stat new/x\*.txt: no such file`)
	check("old/1.txt", "new,comma.txt", `^1\+1$`)
	check("old", "nowhere", `^new: stat nowhere: no such file or directory$`)
	check("old", "new/deep,", `^new: an empty file name in "new/deep,"$`)
	check("old", "none", `^new: none: no results files \(\*\.txt\) in it$`)
	check("old", "sets", `^new: sets: holds several sets of results, name one of them:`)
	check("old", "none/readme", `^none/readme: the file is empty$`)
	check("twice", "new", `^old: twice/a.txt and twice/b.txt hold the same bytes: a copy is not another sample$`)
	check("old,alias.txt", "new", `^old: old/0.txt and alias.txt are the same file$`)
	check("old", "old/3.txt", `^old/3.txt and old/3.txt, old and new, are the same file$`)
	check("old", "copies/3.txt", `^old/3.txt and copies/3.txt, old and new, hold the same bytes`)
}

// TestRounds checks where a round is found.
func TestRounds(t *testing.T) {
	check := func(config, path string, want *Round) {
		t.Helper()
		got := roundOf(config, path)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("round %q, path %q: got round %+v, want %+v", config, path, got, want)
		}
	}
	check("", "old-r03.txt", &Round{".", 3})
	check("", "results/round-12.txt", &Round{"results", 12})
	check("", "a/round12/old.txt", &Round{"a/round12", 12})
	check("", "r2-old.txt", &Round{".", 2})
	check("", "old_r7_seed9.txt", &Round{".", 7})
	check("5", "old-r03.txt", &Round{"", 5})
	check("five", "old.txt", nil)
	check("-1", "x.txt", nil)
	check("", "old-6.12.txt", nil)
	check("", "bar3.txt", nil)
	check("", "old.txt", nil)
}

// TestPairs checks which samples are taken for pairs.
func TestPairs(t *testing.T) {
	check := func(old, new []string, want bool) {
		t.Helper()
		side := func(label string, paths []string) *side {
			s := newSide(label, label)
			for _, p := range paths {
				s.samples = append(s.samples, &Sample{Name: p, Round: roundOf("", p)})
			}
			return s
		}
		pairs := rounds(side("old", old), side("new", new))
		if got := pairs != nil; got != want {
			t.Errorf("old %v, new %v: got pairs %v, want %v", old, new, got, want)
		}
		for o, n := range pairs {
			if *o.Round != *n.Round {
				t.Errorf("old %s is paired with %s", o.Name, n.Name)
			}
		}
	}
	check([]string{"old-r1.txt", "old-r2.txt"}, []string{"new-r2.txt", "new-r1.txt"}, true)
	check([]string{"round1/old.txt", "round2/old.txt"}, []string{"round1/new.txt", "round2/new.txt"}, true)
	check([]string{"old/round-1.txt", "old/round-2.txt"}, []string{"new/round-1.txt", "new/round-2.txt"}, false)
	check([]string{"old-r1.txt", "old-r2.txt"}, []string{"new-r1.txt"}, false)
	check([]string{"old-r1.txt", "old-r2.txt"}, []string{"new-r1.txt", "new-r3.txt"}, false)
	check([]string{"old-r1.txt", "old-r2.txt"}, []string{"new-r1.txt", "new.txt"}, false)
	check([]string{"old-r1.txt", "b-r1.txt"}, []string{"new-r1.txt", "new-r2.txt"}, false)
}

// TestHuge reads more than fits: a file's size must not show in memory.
func TestHuge(t *testing.T) {
	const size = 8 << 20
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	g, err := Options{}.gate()
	if err != nil {
		t.Fatal(err)
	}
	s := newSide("old", "old")
	before := heap()
	g.read(s, io.LimitReader(&repeater{text: "a log line that means nothing\n    x_test.go:12: nor this: one\n"}, size), "log.txt")
	g.Problems = results.Problems{} // no results in it
	g.read(s, io.LimitReader(&repeater{text: "BenchmarkX-2    \t 1 \t 0.5 ns/op\n"}, size), "results.txt")
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	// The measurements themselves, in a slice that doubles.
	most := uint64(s.values)*8*2 + 1<<20
	if got := heap() - before; got > most && got < math.MaxInt64 {
		t.Errorf("%d bytes of heap for %d measurements from %d bytes, want at most %d", got, s.values, 2*size, most)
	}
	if s.values != size/32 {
		t.Errorf("got %d measurements, want %d", s.values, size/32)
	}
	s.values = results.MaxValues - 3
	g.read(s, strings.NewReader("BenchmarkY 1 1 ns/op 2 a 3 b 4 c 5 d\n"), "toomany.txt")
	if len(g.List) != 1 || g.List[0] != "toomany.txt:1: more than 4194304 measurements in old: these are not results of benchmark runs" {
		t.Errorf("got problems %q, want one on the number of measurements", g.List)
	}
}

// A repeater is a file without end.
type repeater struct {
	text string
	at   int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return n, nil
}
