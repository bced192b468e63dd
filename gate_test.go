//go:build linux

package eventbench_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"eventbench/helpers/gate"
	"eventbench/helpers/need"
)

// The flags of TestGate. Those that go tool eventbench gate also has start with
// "gate.".
var (
	gateOld     = flag.String("old", "", "TestGate: the `results` to compare with: a file, a directory or a list")
	gateNew     = flag.String("new", "", "TestGate: the `results` to judge")
	gateOptions gate.Options
)

func init() { gateOptions.Flags(flag.CommandLine, "gate.") }

// TestGate gives the verdict of go tool eventbench gate as tests, so that every
// viewer of test results shows which benchmark became worse and why:
//
//	go test -run TestGate -old results/old -new results/new
//
// Every benchmark is a subtest with one below it for each unit. A regression
// fails. An undecided comparison is skipped with its reason, and so is the test
// as a whole unless that is allowed. Bad input fails the test, and so do
// results of which nothing can be decided.
func TestGate(t *testing.T) {
	if *gateOld == "" && *gateNew == "" {
		need.Unasked(t, "go test -run TestGate -old RESULTS -new RESULTS")
	}
	if *gateOld == "" || *gateNew == "" {
		t.Fatalf("want both -old and -new, have -old=%q -new=%q", *gateOld, *gateNew)
	}
	report, err := gate.Compare(*gateOld, *gateNew, gateOptions)
	if err != nil {
		t.Fatalf("bad input:\n%v", err)
	}
	t.Log(report.Summary())
	for _, note := range report.Notes {
		t.Log("note: " + note)
	}
	for _, group := range report.ByBenchmark() {
		t.Run(group[0].Name, func(t *testing.T) {
			for _, c := range group {
				t.Run(c.Unit, func(t *testing.T) { showVerdict(t, c) })
			}
		})
	}
	if steps := report.Reproduce(); steps != "" {
		t.Logf("to reproduce the worst finding:\n%s", steps)
	}
	switch {
	case gateOptions.AllowCannotTell:
	case !slices.ContainsFunc(report.Comparisons, func(c *gate.Comparison) bool { return c.Gates && c.Verdict != gate.CannotTell }):
		t.Errorf("nothing can be told of any benchmark: %s", report.Summary())
	case report.Outcome == gate.Undecided:
		t.Skip(report.Summary())
	}
}

func showVerdict(t *testing.T, c *gate.Comparison) {
	switch {
	case !c.Gates:
		t.Logf("%s (informs): %s", c.Verdict, c.Reason)
	case c.Verdict == gate.Regression:
		t.Errorf("%s: %s", c.Verdict, c.Reason)
	case c.Verdict == gate.CannotTell && !c.Safe:
		t.Skipf("%s: %s", c.Verdict, c.Reason)
	default:
		t.Logf("%s: %s", c.Verdict, c.Reason)
	}
}

// TestVerdictsAsTests runs TestGate as go test does, on the results of real
// runs.
func TestVerdictsAsTests(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const runs = "helpers/gate/testdata/"
	if _, err := os.Stat(runs); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the recorded runs stayed where the source is: %v", err) // a guest has this package's testdata only
	}
	check := func(pass bool, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), self, append([]string{"-test.run=^TestGate$", "-test.v"}, args...)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if (err == nil) != pass || !regexp.MustCompile("(?m)"+want).Match(out) {
			t.Errorf("%q: error %v, want a pass: %v, and output that matches %s:\n%s", args, err, pass, want, out)
		}
	}
	check(false, `^ +--- FAIL: TestGate/EventfdSelf-2/ns/op`, "-old="+runs+"files/old", "-new="+runs+"files/slow")
	check(false, `regression: \+70\.92% \[\+50\.00%, \+104\.93%\], beyond the threshold of \d+%`, "-old="+runs+"files/old", "-new="+runs+"files/slow")
	check(false, `cannot tell: .*of \d+% or beyond; 8\+8 samples(?s:.*)\n +--- SKIP: TestGate/Null-2/ns/op`, "-old="+runs+"files/old", "-new="+runs+"files/slow")
	check(false, `to reproduce the worst finding:\n +go tool eventbench gate -explain EventfdSelf-2 `, "-old="+runs+"files/old", "-new="+runs+"files/slow")
	check(true, `^ +--- PASS: TestGate/EventfdSelf-2/ns/op.*`, "-old="+runs+"files/slow", "-new="+runs+"files/old")
	few := []string{"-old=" + runs + "files/old/r1.txt," + runs + "files/old/r2.txt", "-new=" + runs + "files/old/r3.txt," + runs + "files/old/r4.txt"}
	check(false, `nothing can be told of any benchmark: cannot tell`, few...)
	check(true, `^--- PASS: TestGate `, append(few, "-gate.allow-cannot-tell")...)
	check(true, `^--- SKIP: TestGate `, "-old="+runs+"files/old", "-new="+runs+"files/slow", "-gate.filter=.name:Null")
	check(true, `regression \(informs\): -21\.64%`, "-old="+runs+"host/old.txt", "-new="+runs+"host/slow.txt", "-gate.filter=.name:PipeSelf", "-gate.thresholds="+mustRuleFile(t, "MB/s 5% inform\n* 90% gate\n"))
	check(false, `bad input:\n +new: stat nowhere: no such file`, "-old="+runs+"files/old", "-new=nowhere")
	check(false, `want both -old and -new`, "-new=nowhere")
	check(true, `^--- SKIP: TestGate `)
}

// Baselines are compared with what this program measures: run make baselines
// after a change of the harness.
func TestBaselinesOfThisHarness(t *testing.T) {
	now, err := harness(sources)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/baselines/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/baselines: %d files, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)^harness: (.*)$").FindAllSubmatch(text, -1) {
			if string(m[1]) != now {
				t.Errorf("%s: measured with harness %s, and this one is %s: make baselines", file, m[1], now)
				break
			}
		}
	}
}

func mustRuleFile(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
