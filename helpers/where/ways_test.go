//go:build linux

package where

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/where/symbols"
)

// profileOf makes a profile of operations given as their count, the calls of
// dequeue and those of noise.
func profileOf(kernel string, ops ...[3]int) *Profile {
	p := &Profile{Benchmark: "RoundTrip", Kernel: kernel, tree: newTree(), classNames: &archs[0].classNames}
	schedule := p.tree.child(0, p.tree.function(function{"schedule", false}))
	dequeue, noise := p.tree.function(function{"dequeue", false}), p.tree.function(function{"noise", false})
	inDequeue := p.tree.child(schedule, dequeue)
	for _, o := range ops {
		one := &operation{stamped: o[0], logged: o[0], self: map[int]int{schedule: o[0] - 10*o[1]}, calls: map[int]int{}}
		if o[1] > 0 {
			one.self[inDequeue] = 10 * o[1]
			one.calls[dequeue] = o[1]
		}
		if o[2] > 0 {
			one.calls[noise] = o[2]
		}
		p.ops = append(p.ops, one)
	}
	p.Count, p.Exact, p.Measured = ops[0][0], len(ops), len(ops)
	p.one = p.ops[0]
	return p
}

// The mean became longer by 40: 10 because the same ways are longer, 30 because the
// longer one of them is taken more often.
func TestAlike(t *testing.T) {
	old := profileOf("a", [3]int{100, 0, 0}, [3]int{100, 0, 1}, [3]int{100, 0, 0}, [3]int{160, 1, 0})
	new := profileOf("b", [3]int{170, 1, 1}, [3]int{170, 1, 0}, [3]int{170, 1, 0}, [3]int{110, 0, 0})
	all, by, shift := alike(old, new)
	if by != "dequeue" || len(all) != 2 || shift == nil {
		t.Fatalf("told apart by %q: %+v, %+v", by, all, shift)
	}
	if math.Abs(shift.Longer-10) > 1e-9 || math.Abs(shift.Oftener-30) > 1e-9 || shift.New-shift.Old != 40 {
		t.Errorf("%+v, want 10 longer and 30 oftener", shift)
	}
	a := all[0]
	if a.Calls != 0 || a.OldMean != 100 || a.NewMean != 110 || a.OldShare != 0.75 || a.NewShare != 0.25 {
		t.Errorf("without dequeue: %+v", a)
	}

	ways := old.ways()
	if len(ways) != 2 || ways[0].Count != 100 || ways[0].Share != 0.75 || ways[1].Count != 160 || len(ways[1].Marks) != 2 ||
		ways[1].Marks[1] != (Mark{"dequeue", 10, 1, 0}) {
		t.Errorf("ways %+v", ways)
	}

	// The rows are of the benchmark's own counts; what is alike has rows of its own.
	var b strings.Builder
	old.kernel, new.kernel = symbolsOfAll(t), symbolsOfAll(t)
	if err := Compare(old, new, false).Write(&b, false, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"RoundTrip, a to b: 100 to 170 instrs/op, +70\n",
		"+40: +10 because operations that do the same became longer, +30 because others are more frequent.\n",
		"Like with like: with 0 calls of dequeue: 100 to 110, +10; 75 % of the operations on a, 25 % on b\n",
		"On a operations take 2 ways: 100 (75 %); 160 (25 %: schedule +50, dequeue +10, called 1 times, not 0).\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

// A rare way is shown if it is long, not if it is much like the usual one.
func TestRareWay(t *testing.T) {
	ops := make([][3]int, 64)
	for i := range ops {
		ops[i] = [3]int{1000, 1, 0}
	}
	ops[20], ops[30] = [3]int{1500, 51, 0}, [3]int{1008, 1, 1}
	s := side(profileOf("a", ops...))
	if got, want := s.ways(), "On a operations take 3 ways: 1000 (97 %); 1500 (2 %: dequeue +500, called 51 times, not 1); 1 more (2 %)."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What varies on one kernel only tells nothing apart.
func TestNotAlike(t *testing.T) {
	old := profileOf("a", [3]int{100, 0, 0}, [3]int{160, 1, 0})
	new := profileOf("b", [3]int{110, 0, 0}, [3]int{110, 0, 1})
	if all, by, shift := alike(old, new); all != nil || by != "" || shift != nil {
		t.Errorf("told apart by %q: %+v, %+v", by, all, shift)
	}
}

func symbolsOfAll(t *testing.T) *symbols.Table {
	t.Helper()
	table, err := symbols.ReadKallsyms(strings.NewReader("ffffffff81000000 T schedule\nffffffff81001000 T dequeue\nffffffff81002000 T noise\n"))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// What could not be saved is not named, and nothing of it is left.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	old, new := profileOf("a", [3]int{100, 0, 0}), profileOf("b", [3]int{110, 0, 0})
	old.kernel, new.kernel = symbolsOfAll(t), symbolsOfAll(t)
	r := Compare(old, new, false)
	if err := os.MkdirAll(filepath.Join(dir, "RoundTrip", "b.pb.gz"), 0o777); err != nil { // in the way
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Save(dir, true); err == nil || r.New.Profile != "" {
		t.Errorf("the second profile is %q, error %v", r.New.Profile, err)
	}
	if err := r.Write(&b, false, false); err != nil || strings.Contains(b.String(), "pprof") || !strings.Contains(b.String(), "+10") {
		t.Errorf("error %v, and the report:\n%s", err, &b)
	}
	names, err := filepath.Glob(filepath.Join(dir, "RoundTrip", "*"))
	for i, name := range names {
		names[i] = filepath.Base(name)
	}
	if got, want := strings.Join(names, " "), "a.folded a.pb.gz b.pb.gz"; err != nil || got != want {
		t.Errorf("files %q, %v; want %q", got, err, want)
	}
}
