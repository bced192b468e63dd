//go:build linux

package boots

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/need"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
)

// In a real guest, benchmarks that fail or end their process lose only their
// own results: another boot with the same seed measures the others. A benchmark
// that failed in two boots is not tried in the third.
func TestFailures(t *testing.T) {
	need.Asked(t, need.HasQEMU, "a minute of boots")
	kernel := need.Kernel(t)
	dir := t.TempDir()
	tiny := filepath.Join(dir, "tiny.static")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", tiny, "../rounds/testdata/tiny")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("EVENTBENCH_TINY", "clock=instrs fail=EventfdSelf kill=PipeSelf")
	var said strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
	set, unlock, err := Open(t.Context(), Settings{Binary: tiny, Bench: "Pipe|EventfdSelf", Benchtime: "20x", Count: 2,
		Timeout: 10 * time.Minute, Jobs: 1, Results: dir}, []string{kernel}, say)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	todo, err := set.Missing(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Make(t.Context(), todo, true, say); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	boots, err := set.Kernels[0].samples().Read()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"PipeCreate", "PipeRoundTrip/peer=process/cpus=cross", "PipeRoundTrip/peer=process/cpus=same", "PipeRoundTrip/peer=thread/cpus=cross", "PipeRoundTrip/peer=thread/cpus=same"}
	for i, f := range boots {
		if got := samples.Names(f); !slices.Equal(got, want) {
			t.Errorf("%s has results of %q, want %q", f.Path, got, want)
		}
		said := make(map[string]*results.Failure)
		for _, failure := range f.Failures {
			said[failure.Name] = failure
		}
		for name, why := range map[string]string{
			"EventfdSelf": "100000 sent, 99999 received",
			"PipeSelf":    "about to be killed",
		} {
			if i == 2 {
				why = "not tried, for it failed in seed-01.txt and seed-02.txt"
			}
			if failure := said[name]; failure == nil || failure.Skipped != (i == 2) || !strings.Contains(failure.Message, why) {
				t.Errorf("%s says of %s %+v, want %q", f.Path, name, failure, why)
			}
		}
		if len(said) != 2 {
			t.Errorf("%s has %d failures, want 2", f.Path, len(said))
		}
	}
	for _, want := range []string{"seed 1: continuing without BenchmarkPipeSelf: ", "seed 2: BenchmarkEventfdSelf failed: ", "first result after"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("what was said lacks %q:\n%s", want, &said)
		}
	}
	if t.Failed() {
		text, _ := os.ReadFile(boots[0].Path)
		t.Logf("%s\n%s", text, &said)
	}
}
