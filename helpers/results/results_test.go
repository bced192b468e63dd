package results_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

const whole = `# a comment
goos: linux
clock: wall
Unit p50-latency-ns better=lower
-test.shuffle 4
BenchmarkEventfdSelf-2   	 100	 422.0 ns/op
BenchmarkPipeRoundTrip/peer=thread-2   	 100	 5000 ns/op	 4800 p50-latency-ns
PASS
`

func TestParse(t *testing.T) {
	f := mustParse(t, whole)
	if got, want := f.Names(), []string{"EventfdSelf-2", "PipeRoundTrip/peer=thread-2"}; !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	if got, want := f.Comments, []string{"# a comment"}; !slices.Equal(got, want) {
		t.Errorf("Comments = %q, want %q", got, want)
	}
	if u := f.Units.Get("p50-latency-ns", "better"); u == nil || u.Value != "lower" {
		t.Errorf("unit metadata of p50-latency-ns = %v, want better=lower", u)
	}
	config := f.Config()
	for key, want := range map[string][]string{"goos": {"linux"}, "clock": {"wall"}, "kernel": nil} {
		if got := config[key]; !slices.Equal(got, want) {
			t.Errorf("Config()[%q] = %q, want %q", key, got, want)
		}
	}
	if _, err := results.Parse(strings.NewReader(strings.ReplaceAll(whole, "\n", "\r\n")), "crlf.txt"); err != nil {
		t.Errorf("the same with CRLF: %v", err)
	}
}

func TestConfigVaries(t *testing.T) {
	f := mustParse(t, "BenchmarkA 1 2 ns/op\nkernel: 6.1\nBenchmarkA 1 2 ns/op\n")
	if got, want := f.Config()["kernel"], []string{"", "6.1"}; !slices.Equal(got, want) {
		t.Errorf(`Config()["kernel"] = %q, want %q`, got, want)
	}
}

func TestMedians(t *testing.T) {
	f := mustParse(t, "BenchmarkA 1 5 ns/op 7 allocs/op\nBenchmarkB 1 1 ns/op\nBenchmarkA 1 1 ns/op\nBenchmarkA 1 3 ns/op 9 allocs/op\n"+
		"kernel: 6.1\nBenchmarkA 1 100 ns/op\n")
	if got, want := f.Repeated(), 4; got != want {
		t.Errorf("Repeated() = %d, want %d", got, want)
	}
	var out strings.Builder
	w := benchfmt.NewWriter(&out)
	for _, r := range f.Medians() {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	want := "BenchmarkA 1 3 ns/op 8 allocs/op\nBenchmarkB 1 1 ns/op\n\nkernel: 6.1\n\nBenchmarkA 1 100 ns/op\n"
	if got := strings.TrimLeft(out.String(), "\n"); got != want {
		t.Errorf("Medians() = %q, want %q", got, want)
	}
	if got, want := f.Results[0].Values[0].OrigValue, 5.0; got != want {
		t.Errorf("the first result has become %v ns/op, want %v as before", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	check := func(t *testing.T, in, want string) {
		t.Helper()
		f, err := results.Parse(strings.NewReader(in), "old.txt")
		if err == nil {
			t.Fatalf("got %d results and no error, want error %q", len(f.Results), want)
		}
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error = %q, want %q", err, want)
		}
	}
	lines := strings.SplitAfter(whole, "\n")
	t.Run("empty", func(t *testing.T) { check(t, "", "old.txt: the file is empty") })
	t.Run("blank", func(t *testing.T) { check(t, "\n", "old.txt: no benchmark results in its 1 lines") })
	t.Run("text", func(t *testing.T) { check(t, "Dear reader,\nhello\n", "old.txt: no benchmark results in its 2 lines") })
	t.Run("binary", func(t *testing.T) { check(t, "\x7fELF\x00\x01\n", "old.txt:1: a zero byte") })
	t.Run("no unit", func(t *testing.T) { check(t, "BenchmarkA 1 2\n", "old.txt:1: missing units") })
	t.Run("no number", func(t *testing.T) {
		check(t, "BenchmarkA 1 2 ns/op\nBenchmarkB x 2 ns/op\n", "old.txt:2: parsing iteration count")
	})
	t.Run("failed for no reason", func(t *testing.T) {
		check(t, "BenchmarkA 1 2 ns/op\nFAIL\n", `old.txt:2: this run failed: "FAIL", and nothing says which benchmark did`)
		check(t, "BenchmarkA 1 2 ns/op\n--- SKIP: BenchmarkB\nFAIL\n", `old.txt:3: this run failed: "FAIL"`)
	})
	t.Run("all failed", func(t *testing.T) {
		check(t, "--- FAIL: BenchmarkB\n    b_test.go:1: 5 sent, 4 received\nFAIL\n", "old.txt: no benchmark results: all failed or were skipped")
	})
	t.Run("a failed test", func(t *testing.T) {
		check(t, "BenchmarkA 1 2 ns/op\n--- FAIL: TestB (0.00s)\nFAIL\n", `old.txt:2: this run failed: "--- FAIL: TestB (0.00s)"`)
	})
	t.Run("panicked", func(t *testing.T) {
		check(t, "BenchmarkA 1 2 ns/op\nBenchmarkB-2 \tpanic: no\n", `old.txt:2: this run failed: "panic: no", in BenchmarkB-2`)
		check(t, "BenchmarkA 1 2 ns/op\npanic: no\n", `old.txt:2: this run failed: "panic: no"`)
	})
	t.Run("long line", func(t *testing.T) {
		check(t, "BenchmarkA 1 2 ns/op\nBenchmark"+strings.Repeat("B", 1<<17)+" 1 2 ns/op\n", "old.txt:2: a line longer than 65536 bytes")
	})
	t.Run("units in conflict", func(t *testing.T) {
		check(t, "Unit x better=lower\nUnit x better=higher\nBenchmarkA 1 2 x\n", "old.txt:2: metadata better of unit x already set")
	})
	t.Run("cut between lines", func(t *testing.T) {
		check(t, strings.Join(lines[:len(lines)-2], ""), "old.txt:7: truncated: neither PASS nor FAIL after the last result")
		check(t, whole+"BenchmarkZ 1 2 ns/op\n", "old.txt:9: truncated: neither PASS nor FAIL")
	})
	t.Run("not eventbench's", func(t *testing.T) {
		mustParse(t, "BenchmarkA 1 2 ns/op\n") // other programs write no clock and need no PASS
	})
}

// A benchmark without a result affects no other. It is reported once, with its
// reason and its name without the number of processors.
func TestParseFailures(t *testing.T) {
	f := mustParse(t, strings.TrimSuffix(whole, "PASS\n")+`--- FAIL: BenchmarkB/peer=thread
    b_test.go:1: 5 sent, 4 received
        among them the first
--- FAIL: BenchmarkB
BenchmarkC-2 	--- FAIL: BenchmarkC-2
    c_test.go:7: closed
BenchmarkC-2 	 1	 2 ns/op
--- SKIP: BenchmarkD
    d_test.go:1: eventfd2: function not implemented
--- FAIL: BenchmarkE
FAIL
exit status 1
FAIL	eventbench	0.5s
`)
	want := []*results.Failure{
		{Name: "B/peer=thread", Message: "b_test.go:1: 5 sent, 4 received\n    among them the first", Path: "in.txt", Line: 8},
		{Name: "C", Message: "c_test.go:7: closed", Path: "in.txt", Line: 12},
		{Name: "D", Skipped: true, Message: "d_test.go:1: eventfd2: function not implemented", Path: "in.txt", Line: 15},
		{Name: "E", Path: "in.txt", Line: 17},
	}
	if !reflect.DeepEqual(f.Failures, want) {
		t.Errorf("failures: %+v, want %+v", f.Failures, want)
	}
	if got, want := f.Names(), mustParse(t, whole).Names(); !slices.Equal(got, want) {
		t.Errorf("results of %q, want %q", got, want)
	}
	if got, want := f.Failures[0].Record(), "--- FAIL: BenchmarkB/peer=thread\n    b_test.go:1: 5 sent, 4 received\n        among them the first\n"; got != want {
		t.Errorf("the record is %q, want %q", got, want)
	}
}

// Truncation is noticed wherever a file is cut, except at its very end.
func TestParseTruncated(t *testing.T) {
	for n := range len(whole) {
		if _, err := results.Parse(strings.NewReader(whole[:n]), "old.txt"); err == nil {
			t.Errorf("cut after %d of %d bytes: no error; the end is %q", n, len(whole), whole[max(n-20, 0):n])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("BenchmarkA 1 2 ns/op\n")
	f.Add("BenchmarkA-2 \t--- FAIL: x\nFAIL\n")
	f.Add("BenchmarkA\nBenchmarkA-2 \t 1\t 5 ns/op\n    log\n--- FAIL: BenchmarkB/x\n    log\n--- FAIL: BenchmarkB\nFAIL\n")
	f.Add(`{"Action":"output","Output":"BenchmarkA 1 1 "}` + "\n" + `{"Action":"output","Output":"ns/op\n"}` + "\n")
	f.Fuzz(func(t *testing.T, in string) {
		file, err := results.Parse(strings.NewReader(in), "in.txt")
		if err == nil && len(file.Results) == 0 {
			t.Error("no error and no results")
		}
		if err != nil && !strings.HasPrefix(err.Error(), "in.txt:") {
			t.Errorf("error %q does not begin with the file's name", err)
		}
	})
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := results.Read(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Read of a directory: error %v, want one that names it", err)
	}
	if _, err := results.Read(filepath.Join(dir, "none.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of no file: error %v, want %v", err, os.ErrNotExist)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a/x/round-02.txt", "a/x/round-01.txt", "a/x/round-03.failed", "a/x/.round-03.txt.tmp", "b/1.txt", "b/y/2.txt", "none/x.log"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a/x", filepath.Join(root, "latest")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	check := func(path string, want ...string) {
		t.Helper()
		if got, err := results.Find(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("Find(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
	check("a/x", "a/x/round-01.txt", "a/x/round-02.txt")
	check("a/x/", "a/x/round-01.txt", "a/x/round-02.txt")
	check("a", "a/x/round-01.txt", "a/x/round-02.txt")
	check("latest", "latest/round-01.txt", "latest/round-02.txt")
	check("b", "b/1.txt")
	check("b/1.txt", "b/1.txt")

	refuse := func(path, want string) {
		t.Helper()
		if got, err := results.Find(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%q) = %q, %v, want error with %q", path, got, err, want)
		}
	}
	refuse(".", "holds several sets of results, name one of them:\n\ta/x\n\tb\n\tb/y")
	refuse("none", "none: no results files (*.txt) in it")

	if got, err := results.FindAll("."); err != nil || strings.Join(got, " ") != "a/x/round-01.txt a/x/round-02.txt b/1.txt b/y/2.txt" {
		t.Errorf("FindAll(.) = %q, %v", got, err)
	}
	refuse("nowhere", "nowhere: no such file")
}

func TestBenchstat(t *testing.T) {
	var out strings.Builder
	if err := results.Benchstat(t.Context(), &out, strings.NewReader(whole), "-"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "EventfdSelf-2") {
		t.Errorf("benchstat printed %q, want a row for EventfdSelf-2", out.String())
	}
	check := func(stdin, want string, args ...string) {
		t.Helper()
		out.Reset()
		err := results.Benchstat(t.Context(), &out, strings.NewReader(stdin), args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("benchstat %q: error %v, want %q", args, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("benchstat %q: error, and yet a table: %q", args, out.String())
		}
	}
	check("", "open none.txt: no such file", "none.txt")
	check("BenchmarkA 1 2\n", "missing units", "-")
	check(whole, "parsing -filter", "-filter", "(", "-")
	check(whole, "no benchmark matches", "-filter", "goos:plan9", "-")
	check(whole, "flag provided but not defined", "-nonesuch", "-")
}

func mustParse(tb testing.TB, in string) *results.File {
	tb.Helper()
	f, err := results.Parse(strings.NewReader(in), "in.txt")
	if err != nil {
		tb.Fatal(err)
	}
	return f
}
