//go:build linux

package samples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/process"
	"eventbench/helpers/results"
)

// script returns a Run that prints the given outputs, one for each call, and
// records the patterns that it is told to skip.
func script(skips *[]string, calls ...call) func(context.Context, string, io.Writer, io.Writer) error {
	return func(_ context.Context, skip string, stdout, stderr io.Writer) error {
		if len(*skips) == len(calls) {
			return errors.New("called once too often")
		}
		c := calls[len(*skips)]
		*skips = append(*skips, skip)
		io.WriteString(stdout, c.stdout)
		io.WriteString(stderr, c.stderr)
		return c.err
	}
}

type call struct {
	stdout, stderr string
	err            error
}

var errDied = errors.New("died")

const head = "goos: linux\nclock: wall\nUnit x better=lower\n-test.shuffle 4\n"

// Outputs of processes that end early are joined into one, in which the
// benchmarks that ended them fail.
func TestMake(t *testing.T) {
	check := func(name string, s Sample, wantText string, wantSkips []string, calls ...call) {
		t.Helper()
		var skips []string
		s.Run = script(&skips, calls...)
		s.Count = max(s.Count, 1)
		made, err := s.Make(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got := string(made.Text); got != wantText {
			t.Errorf("%s: made\n%s\nwant\n%s", name, got, wantText)
		}
		if !slices.Equal(skips, wantSkips) {
			t.Errorf("%s: skipped %q, want %q", name, skips, wantSkips)
		}
		if made.Died != (len(calls) > 1) {
			t.Errorf("%s: died: %v", name, made.Died)
		}
	}
	check("all well", Sample{Skip: "X"},
		head+"BenchmarkA-2\t1\t5 ns/op\n    a_test.go:1: by the way\nPASS\n", []string{"X"},
		call{head + "BenchmarkA\nBenchmarkA-2\t1\t5 ns/op\n    a_test.go:1: by the way\nPASS\n", "", nil})
	check("killed in a part", Sample{Skip: "X/y|Z"},
		head+"BenchmarkA-2\t1\t5 ns/op\nBenchmarkB/x=1-2\t1\t6 ns/op\nBenchmarkB/x=3-2\t1\t7 ns/op\n--- FAIL: BenchmarkB/x=2\n    died\nFAIL\n",
		[]string{"Z|X/y", "Z|^BenchmarkA$|X/y|^BenchmarkB$/^x=1$|^BenchmarkB$/^x=2$"},
		call{head + "BenchmarkA\nBenchmarkA-2\t1\t5 ns/op\nBenchmarkB\nBenchmarkB/x=1\nBenchmarkB/x=1-2\t1\t6 ns/op\nBenchmarkB/x=2\n", "", errDied},
		call{head + "BenchmarkB\nBenchmarkB/x=3\nBenchmarkB/x=3-2\t1\t7 ns/op\nPASS\n", "", nil})
	check("some results of several", Sample{Count: 2},
		head+"BenchmarkB\t1\t6 ns/op\nBenchmarkB\t1\t6 ns/op\n--- FAIL: BenchmarkA\n    died\nFAIL\n",
		[]string{"", "^BenchmarkA$"},
		call{head + "BenchmarkA\nBenchmarkA\t1\t5 ns/op\nBenchmarkA\t", "", errDied},
		call{head + "BenchmarkB\nBenchmarkB\t1\t6 ns/op\nBenchmarkB\t1\t6 ns/op\nPASS\n", "", nil})
	check("a failure and its parent's", Sample{},
		head+"BenchmarkB\t1\t6 ns/op\n--- FAIL: BenchmarkA/x\n    a_test.go:7: no\nFAIL\n", []string{""},
		call{head + "BenchmarkA\nBenchmarkA/x\n    a_test.go:7: no\n--- FAIL: BenchmarkA/x\n--- FAIL: BenchmarkA\nBenchmarkB\nBenchmarkB\t1\t6 ns/op\nFAIL\n", "", exitStatus(t, 1)})
	check("a name that ends like a number of processors", Sample{},
		head+"BenchmarkA/n-2-2\t1\t6 ns/op\n--- FAIL: BenchmarkA/n-3\n    a_test.go:7: no\nFAIL\n", []string{""},
		call{head + "BenchmarkA\nBenchmarkA/n-2\nBenchmarkA/n-2-2\t1\t6 ns/op\nBenchmarkA/n-3\n    a_test.go:7: no\n--- FAIL: BenchmarkA/n-3-2\n--- FAIL: BenchmarkA\nFAIL\n", "", exitStatus(t, 1)})
	check("between benchmarks", Sample{},
		head+"BenchmarkB\t1\t6 ns/op\n--- FAIL: BenchmarkA\n    right after it: panic: late\nFAIL\n", []string{"", "^BenchmarkA$"},
		call{head + "BenchmarkA\nBenchmarkA\t1\t5 ns/op\n", "panic: late\n\ngoroutine 1", errDied},
		call{head + "BenchmarkB\nBenchmarkB\t1\t6 ns/op\nPASS\n", "", nil})
	check("hopeless, and silent", Sample{Hopeless: map[string]string{"C": "why"}, Known: []string{"A", "B", "C"}},
		head+"BenchmarkB\t1\t6 ns/op\n--- SKIP: BenchmarkC\n    why\n--- FAIL: BenchmarkA\n    gave no result and no reason, although it has run before\nFAIL\n", []string{"^BenchmarkC$"},
		call{head + "BenchmarkB\nBenchmarkB\t1\t6 ns/op\nPASS\n", "", nil})
	check("stuck", Sample{},
		head+"BenchmarkB\t1\t6 ns/op\n--- FAIL: BenchmarkA\n    a_test.go:7: waiting\n    printed nothing for 1ns and was stopped\nFAIL\n", []string{"", "^BenchmarkA$"},
		call{head + "BenchmarkA\n    a_test.go:7: waiting\n", "SIGQUIT: quit", &process.LateError{Limit: 1, Silent: true}},
		call{head + "BenchmarkB\nBenchmarkB\t1\t6 ns/op\nPASS\n", "", nil})
}

// A failure that is no benchmark's fault costs the sample.
func TestMakeError(t *testing.T) {
	check := func(want string, calls ...call) {
		t.Helper()
		var skips []string
		s := Sample{Run: script(&skips, calls...), Count: 1}
		made, err := s.Make(t.Context())
		if broken := (*Error)(nil); !errors.As(err, &broken) || !strings.Contains(err.Error(), want) || len(broken.Log) == 0 {
			t.Errorf("made %v, error %v, want %q", made, err, want)
		}
	}
	const a = "BenchmarkA\nBenchmarkA\t1\t5 ns/op\n"
	check("ended before its first benchmark: died\nno memory", call{"", "no memory\n", errDied})
	check("after its last benchmark: died", call{head + a + "PASS\n", "", errDied})
	check("says FAIL, but not for which benchmark", call{head + a + "FAIL\n", "", exitStatus(t, 1)})
	check("no benchmark has a result", call{head + "BenchmarkA\n--- FAIL: BenchmarkA\nFAIL\n", "", exitStatus(t, 1)})
	check("out of time: slow", call{head + a, "", fmt.Errorf("%w: slow", ErrSlow)})
	var dead []call
	for i := range most {
		dead = append(dead, call{fmt.Sprintf("BenchmarkA\nBenchmarkA/x=%d\n", i), "", errDied})
	}
	check("25 processes in a row ended without a result, the last in BenchmarkA/x=24: died", dead...)

	ctx, stop := context.WithCancelCause(t.Context())
	stop(errDied)
	var skips []string
	if _, err := (&Sample{Run: script(&skips, call{}), Count: 1}).Make(ctx); err != errDied {
		t.Errorf("stopped: error %v, want its cause", err)
	}
}

// One alternative of a -test.skip pattern must not hide another: testing takes
// the first that matches so far.
func TestSkipping(t *testing.T) {
	check := func(pattern string, names []string, want string) {
		t.Helper()
		if got := skipping(pattern, names); got != want {
			t.Errorf("%q and %q: %s, want %s", pattern, names, got, want)
		}
	}
	check("", nil, "")
	check("A|B", nil, "A|B")
	check("A/(b|c)/d|B", []string{"A/x=1", "A"}, `B|^BenchmarkA$|^BenchmarkA$/^x=1$|A/(b|c)/d`)
	check("", []string{"A/x=[1|2]/y=a.b"}, `^BenchmarkA$/^x=\[1\|2\]$/^y=a\.b$`)
}

func TestHopeless(t *testing.T) {
	set := &Set{Dir: t.TempDir(), Kind: "round"}
	check := func(want string) {
		t.Helper()
		files, err := set.Read()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for name := range Hopeless(files) {
			got = append(got, name)
		}
		if slices.Sort(got); strings.Join(got, " ") != want {
			t.Errorf("of %d samples hopeless are %q, want %q", len(files), got, want)
		}
	}
	write := func(n int, failed ...string) {
		t.Helper()
		text := "BenchmarkA-2 1 5 ns/op\nBenchmarkB/x=1-2 1 5 ns/op\n"
		for _, name := range failed {
			text += (&results.Failure{Name: name, Message: "no"}).Record()
		}
		if err := os.WriteFile(set.File(n), []byte(text+"FAIL\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	check("")
	write(2, "B", "C", "D")
	check("")
	write(4, "B", "C")
	check("C") // a sub-benchmark of B has a result
	write(3, "D")
	check("D") // the first two differ now
	if got, err := set.Numbers(); err != nil || !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("numbers %v, %v", got, err)
	}
	if got, err := Missing([]*Set{set, {Dir: filepath.Join(set.Dir, "none"), Kind: "round"}}, 2, 3, 1); err != nil || !slices.Equal(got, []Turn{{1, 2}, {1, 3}}) {
		t.Errorf("missing %v, %v", got, err)
	}
	if err := os.WriteFile(set.File(5), []byte("BenchmarkA\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Read(); err == nil || !strings.Contains(err.Error(), "round-05.txt") || !strings.Contains(err.Error(), "remove the file, and the same command measures its round again") {
		t.Errorf("a file that broke off: error %v", err)
	}
}

func TestPrintFailures(t *testing.T) {
	failure := &results.Failure{Name: "A/x=1", Message: "one\ntwo"}
	files := []*results.File{
		{Path: "d/round-01.txt", Comments: []string{strings.TrimSuffix(Alone([]string{"env", "A=b c", "./x.test"}), "\n")}, Failures: []*results.Failure{failure}},
		{Path: "d/round-02.txt", Failures: []*results.Failure{{Name: "A/x=1", Message: "three"}, {Name: "B", Skipped: true}}},
		{Path: "d/round-03.txt"},
	}
	var out bytes.Buffer
	n := PrintFailures(&out, files)
	want := `failed: 1 benchmark

BenchmarkA/x=1 failed in 2 of 3 samples, first in round-01.txt:
    one
    two
  alone: env 'A=b c' ./x.test -test.bench='^BenchmarkA$/^x=1$'
`
	if n != 1 || out.String() != want {
		t.Errorf("%d, printed\n%s\nwant\n%s", n, &out, want)
	}
}

// exitStatus returns the error of a process that exited with the status.
func exitStatus(t *testing.T, status int) error {
	t.Helper()
	cmd := exec.Command("sh", "-c", fmt.Sprintf("exit %d", status))
	return cmd.Run()
}

// A pattern with a part that is no regexp is refused, wherever the part is.
func TestCheckPattern(t *testing.T) {
	for _, pattern := range []string{"(", "EventfdSelf|(", "Self/(", "[a"} {
		if err := CheckPattern(pattern); err == nil || !strings.Contains(err.Error(), "missing closing") {
			t.Errorf("%q: got error %v, want one about what is missing", pattern, err)
		}
	}
	if err := CheckPattern("Eventfd(Self|RoundTrip)/peer=process"); err != nil {
		t.Error(err)
	}
}
