//go:build linux

package selftest

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/gate"
)

// TestErrorRates runs a small self-test on the recorded samples, so that a
// change that makes the gate worse fails here. On equal systems the gate never
// alarms, and it finds what it must find.
func TestErrorRates(t *testing.T) {
	t.Parallel()
	check := func(name string, n, verdicts, alarms int, what string, size float64, found int) {
		t.Helper()
		e := mustExamine(t, name, n)
		p, err := e.open()
		if err != nil {
			t.Fatal(err)
		}
		if missing := e.plan(p); missing != "" {
			t.Fatal(missing)
		}
		y, err := e.many(t.Context(), verdicts, e.pair)
		if err != nil {
			t.Fatal(err)
		}
		if y.alarms[byGate] > alarms {
			t.Errorf("%s: the gate alarms in %d of %d verdicts on equal systems, want at most %d", name, y.alarms[byGate], verdicts, alarms)
		}
		if others := max(y.alarms[byBenchstat], y.alarms[byTenth]); others < verdicts/8 {
			t.Errorf("%s: neither benchstat nor the 10 %% rule alarms in more than %d of %d verdicts: are these still the runs that vary?", name, others, verdicts)
		}
		if what == "" {
			return
		}
		r, err := e.report(p)
		if err != nil {
			t.Fatal(err)
		}
		plants := e.plants(r)
		i := slices.IndexFunc(plants, func(p plant) bool { return p.what == what })
		if i < 0 {
			t.Fatalf("nothing to plant is called %q", what)
		}
		const trials = 20
		y, err = e.many(t.Context(), trials, func(p *pool, r *rand.Rand) trial { return plants[i].trial(e.pair(p, r), r, size) })
		if err != nil {
			t.Fatal(err)
		}
		got := y.found[byGate]
		if plants[i].fact {
			got = y.facts
		}
		if got < found {
			t.Errorf("%s: %s %v: found in %d of %d, want %d", name, what, size, got, trials, found)
		}
	}
	check("debian", 5, 20, 0, "a mean larger, of one thread, by", 1, 19)
	check("debian", 5, 10, 0, "a count larger where it is exact (reported), by", 1, 20)
	check("host", 59, 20, 0, "a benchmark of one thread slower, by", 6, 19)
}

// TestRepeats checks that equal seeds draw equal samples, whatever else runs.
func TestRepeats(t *testing.T) {
	t.Parallel()
	tallyOf := func() tally {
		e := mustExamine(t, "host", gate.FirstRounds)
		p, err := e.open()
		if err != nil {
			t.Fatal(err)
		}
		if missing := e.plan(p); missing != "" {
			t.Fatal(missing)
		}
		y, err := e.many(t.Context(), 10, e.pair)
		if err != nil {
			t.Fatal(err)
		}
		return y
	}
	if a, b := tallyOf(), tallyOf(); a != b {
		t.Errorf("two runs: got %+v and %+v, want one and the same", a, b)
	}
}

func mustExamine(t testing.TB, name string, most int) *examination {
	t.Helper()
	dir := os.DirFS("testdata")
	i := slices.Index(groupNames(), name)
	return &examination{group: groups[i], dir: dir, most: most, seed: 1, say: t.Logf}
}

// TestClopperPearson checks intervals against published values.
func TestClopperPearson(t *testing.T) {
	check := func(k, n int, wantLo, wantHi float64) {
		t.Helper()
		lo, hi := clopperPearson(k, n)
		if math.Abs(lo-wantLo) > 5e-5 || math.Abs(hi-wantHi) > 5e-5 {
			t.Errorf("%d of %d: got [%.4f, %.4f], want [%.4f, %.4f]", k, n, lo, hi, wantLo, wantHi)
		}
	}
	check(0, 200, 0, 0.0183)
	check(200, 200, 0.9817, 1)
	check(4, 20, 0.0573, 0.4366)
	check(1, 10, 0.0025, 0.4450)
}

// TestSmallest checks the search for the smallest size that is found.
func TestSmallest(t *testing.T) {
	sizes := []float64{1, 2, 5, 10, 20}
	for want, least := range map[float64]float64{1: 0, 5: 3, 20: 20, 0: 21} {
		got, err := smallest(sizes, func(size float64) (bool, error) { return size >= least, nil })
		if err != nil || got != want {
			t.Errorf("found from %v on: got %v, %v, want %v", least, got, err, want)
		}
	}
}

// TestCompact checks that recorded samples say the same as the results that
// they were made from, except for units that only inform.
func TestCompact(t *testing.T) {
	dir := t.TempDir()
	const head = "# comment\nkernel: 6.12\nclock: instrs\nseed: 1\nUnit instrs/op better=lower assume=exact lines=lowest\nUnit p50-latency-instrs better=lower\ngoos: linux\npkg: x\n"
	files := []string{
		mustWrite(t, dir, "seed-01.txt", head+"BenchmarkA/peer=process 150 10 instrs/op 20 p50-latency-instrs 0.5 modal-share\nBenchmarkB 150 7 instrs/op\nPASS\n"),
		mustWrite(t, dir, "seed-02.txt", strings.Replace(head, "seed: 1", "seed: 2", 1)+"BenchmarkA/peer=process 150 11 instrs/op 21 p50-latency-instrs 0.5 modal-share\nBenchmarkB 150 7 instrs/op\nPASS\n"),
	}
	var got strings.Builder
	if err := compact(&got, files); err != nil {
		t.Fatal(err)
	}
	const want = `kernel: 6.12
clock: instrs
Unit instrs/op better=lower assume=exact lines=lowest
goos: linux
pkg: x
sample: 1
seed: 1
BenchmarkA/peer=process 150 10 instrs/op 0.5 modal-share
BenchmarkB 150 7 instrs/op
PASS
sample: 2
seed: 2
BenchmarkA/peer=process 150 11 instrs/op 0.5 modal-share
BenchmarkB 150 7 instrs/op
PASS
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	archive, err := gate.NewArchive(gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if arm, err := archive.Read("arm", strings.NewReader(got.String())); err != nil || arm.Samples() != 2 {
		t.Errorf("the gate reads it as %+v, error %v; want 2 samples", arm, err)
	}
}

func mustWrite(t testing.TB, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
