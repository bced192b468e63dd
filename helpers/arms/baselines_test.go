//go:build linux

package arms

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"eventbench/helpers/gate"
	"eventbench/helpers/tooltest"
)

// baselines is where make baselines writes.
const baselines = "../../testdata/baselines"

var seeds = regexp.MustCompile(`\nseed: ([0-9]+)\n`)

// The gate accepts the recorded baselines. Boots of one kernel agree with each
// other, boots of the oldest and the newest do not, and samples with other
// settings are refused.
func TestBaselines(t *testing.T) {
	for _, kernel := range tooltest.Kernels(t, "../../Makefile") {
		text := tooltest.MustRead(t, filepath.Join(baselines, kernel+".txt"))
		samples := strings.Split(text, "sample: ")
		if got, want := len(samples)-1, gate.MostBoots; got != want {
			t.Errorf("%s: %d samples, want %d, as many as the new side may come to have", kernel, got, want)
			continue
		}
		units := samples[1][strings.Index(samples[1], "Unit "):]
		units = units[:strings.LastIndex(units, "Unit ")]
		half := func(parts []string) string {
			return mustWrite(t, units+"sample: "+strings.Join(parts, "sample: "))
		}
		r, err := gate.Compare(half(samples[1:gate.MostBoots/2+1]), half(samples[gate.MostBoots/2+1:]), gate.Options{})
		if err != nil {
			t.Errorf("%s: one half of its boots against the other: %v", kernel, err)
		} else if r.Outcome == gate.Fail {
			t.Errorf("%s: one half of its boots against the other: %s", kernel, r.Summary())
		}
		// The same system must pass at the last look, or the baseline
		// is of no use.
		again := seeds.ReplaceAllString(strings.Join(samples, "sample: "), "\nseed: 1000$1\n")
		if r, err = gate.Compare(filepath.Join(baselines, kernel+".txt"), mustWrite(t, again), gate.Options{}); err != nil {
			t.Errorf("%s: its boots against themselves: %v", kernel, err)
		} else if r.Outcome != gate.Pass {
			t.Errorf("%s: its boots against themselves: %s", kernel, r.Summary())
		}
	}

	oldest, newest := filepath.Join(baselines, "5.10.txt"), filepath.Join(baselines, "7.3.txt")
	r, err := gate.Compare(oldest, newest, gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != gate.Fail {
		t.Errorf("5.10 against 7.3: %s, want regressions", r.Summary())
	}

	refused := func(from, to, want string) {
		t.Helper()
		text := tooltest.MustRead(t, newest)
		changed := strings.ReplaceAll(text, from, to)
		if changed == text {
			t.Fatalf("%s has no %q", newest, from)
		}
		_, err := gate.Compare(oldest, mustWrite(t, changed), gate.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: error %v, want %q", to, err, want)
		}
	}
	refused("\nqemu: ", "\nqemu: 9.", "results differ in qemu")
	refused("\ncpu-model: ", "\ncpu-model: other-", "results differ in cpu-model")
	refused("\nharness: ", "\nharness: f", "results differ in harness")
	refused("\nbenchtime: ", "\nbenchtime: 2", "results differ in benchtime")
	if _, err := gate.Compare(newest, newest, gate.Options{}); err == nil || !strings.Contains(err.Error(), "are the same file") {
		t.Errorf("a baseline against itself: error %v, want that they are the same file", err)
	}
}
