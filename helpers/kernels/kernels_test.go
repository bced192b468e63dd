//go:build linux

package kernels

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/results"
	"eventbench/helpers/tooltest"
)

var verb = cli.Verb{Manual: tooltest.Manual("kernels"), Resumes: true, New: New}

// Wrong usage exits with status 2 and a message that names the flag or
// argument.
func TestUsage(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); code != 2 {
			t.Errorf("kernels %q: exit status %d, want 2", args, code)
		}
		if !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("kernels %q printed %q, on stdout %q; want %q", args, &stderr, &stdout, want)
		}
	}
	check("at least one kernel")
	check("at least one kernel", "x.test")
	check("-boots=0", "-boots=0", "x.test", "6.12")
	check("-benchtime=1s", "-benchtime=1s", "x.test", "6.12")
	check(`-bench "Self/(": error parsing regexp: missing closing )`, "-bench=Self/(", "x.test", "6.12")
	check("-benchtime=x", "-benchtime=x", "x.test", "6.12")
	check("would both be called", "x.test", "a/bzImage", "b/bzImage")
	check("-sideways", "-sideways", "x.test", "6.12")
}

// A missing binary and an unusable results directory are named.
func TestNothingToRun(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("kernels %q: exit status %d, %q; want 1 and %q", args, code, &stderr, want)
		}
	}
	dir := t.TempDir()
	check("none.test", "-results", dir, filepath.Join(dir, "none.test"), "6.12")
	binary := filepath.Join(dir, "file")
	tooltest.MustWrite(t, binary, "")
	check(binary, "-results", binary, binary, "6.12")
}

const head = `kernel: 6.1
clock: instrs
accelerator: tcg
qemu: 10.0.2
cpu-model: max
seed: 1
Unit instrs/op better=lower assume=exact
`

// A count is exact only if all boots of each kernel agree. The largest change
// comes first.
func TestSummary(t *testing.T) {
	var kernels []*boots.Kernel
	for _, kernel := range []struct {
		name         string
		self, wobbly []int
	}{
		{"6.1", []int{1600, 1600, 1600, 1600, 1600, 1600}, []int{9000, 9000, 9000, 9100, 9000, 9000}},
		{"6.12", []int{1680, 1680, 1680, 1680, 1680, 1680}, []int{9001, 9001, 9001, 9001, 9001, 9001}},
	} {
		dir := filepath.Join(t.TempDir(), kernel.name)
		for i := range kernel.self {
			tooltest.MustWrite(t, filepath.Join(dir, fmt.Sprintf("seed-%02d%s", i+1, results.Ext)),
				head+fmt.Sprintf("BenchmarkSelf 100 %d instrs/op %d mean-instrs/op\n", kernel.self[i], kernel.self[i]+i)+
					fmt.Sprintf("BenchmarkWobbly 100 %d instrs/op %d mean-instrs/op\nPASS\n", kernel.wobbly[i], kernel.wobbly[i]+i))
		}
		kernels = append(kernels, &boots.Kernel{Label: kernel.name, Dir: dir})
	}
	var out bytes.Buffer
	if err := summarize(t.Context(), kernels, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"typical-instrs/op",
		"same mode in all boots for 1 of 2 benchmarks",
		"same mode in all boots for 2 of 2 benchmarks",
		"What changed most from 6.1 to 6.12\n     +5.0 %      1600 →     1680 instrs/op       Self\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// Boots recorded by an earlier version (commit 7079fe3) can be read.
func TestSummaryOfOlderBoots(t *testing.T) {
	var out bytes.Buffer
	older := &boots.Kernel{Label: "6.12", Dir: filepath.Join("..", "results", "testdata", "older", "boots")}
	if err := summarize(t.Context(), []*boots.Kernel{older}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "\nEventfdSelf "; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
}

// A benchmark that failed in some boots affects no other. The tables show what
// there is, followed by the failures. Boots that differ in a key that must
// agree are refused.
func TestSummaryOfFailures(t *testing.T) {
	boot := func(dir string, seed int, text string) {
		tooltest.MustWrite(t, filepath.Join(dir, fmt.Sprintf("seed-%02d%s", seed, results.Ext)), text)
	}
	whole := "BenchmarkSelf 100 1600 instrs/op 1601 mean-instrs/op\n"
	dir := t.TempDir()
	for seed := 1; seed <= 6; seed++ {
		boot(dir, seed, head+whole+"BenchmarkOther 100 5 instrs/op 6 mean-instrs/op\nPASS\n")
	}
	boot(dir, 3, head+whole+"--- FAIL: BenchmarkOther\n    5 sent, 4 received\nFAIL\n")
	kernels := []*boots.Kernel{{Label: "6.1", Dir: dir}}
	var out bytes.Buffer
	err := summarize(t.Context(), kernels, &out)
	if want := "1 benchmark failed and so have missing figures: see above"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	for _, want := range []string{
		"6 boots: same mode in all boots for 2 of 2 benchmarks",
		"\n6.1: failed: 1 benchmark\n\nBenchmarkOther failed in 1 of 6 samples, first in seed-03.txt:\n    5 sent, 4 received\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}

	boot(dir, 4, strings.Replace(head, "10.0.2", "10.1.0", 1)+whole+"PASS\n")
	err = summarize(t.Context(), kernels, &out)
	if err == nil || !strings.HasPrefix(err.Error(), "not comparable: qemu is 10.0.2 in ") || !strings.Contains(err.Error(), "remove the files of one kind") {
		t.Errorf("error %v, want one that says that the boots are of two QEMUs", err)
	}
}

// benchstat gets each heading as one word, whatever is set in it.
func TestLabels(t *testing.T) {
	got := labels([]*column{{label: "6.12"}, {label: "6.12 nohz=off lsm="}})
	if want := `"6.12" "6.12 nohz=off lsm="`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
