//go:build linux

package merge

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/cli"
	"eventbench/helpers/shard"
	"eventbench/helpers/tooltest"
)

var verb = cli.Verb{Manual: tooltest.Manual("merge"), New: New}

// run runs the verb and wants an exit status and a text on standard error.
func run(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); got != status || !strings.Contains(stderr.String(), want) {
		t.Errorf("merge %q: exit status %d, want %d; printed\n%s\nwant %q", args, got, status, &stderr, want)
	}
}

func TestUsage(t *testing.T) {
	run(t, 2, "want the directories of shards")
	run(t, 2, "-o: the directory's name is empty", "-o", "", "x")
	one := boots(t)
	one.of = 1
	run(t, 2, "is the directory of a shard: name the one above", "-o", one.shard(1), one.dir)
	run(t, 1, "no such file", "x")
	run(t, 1, "is a file: name the directory", "merge_test.go")
}

// A fleet makes shards as the verbs do.
type fleet struct {
	t       *testing.T
	dir     string
	of      int
	verb    string
	set     string // the settings
	units   int
	samples bool
	binary  string
	path    func(unit int) string
	text    func(unit int) string
}

// boots is a fleet that boots one kernel in three shards.
func boots(t *testing.T) *fleet {
	return &fleet{t: t, dir: t.TempDir(), of: 3, verb: "kernels", set: "settings", units: 6, samples: true, binary: "aaaa",
		path: func(unit int) string { return fmt.Sprintf("kernels/b/s/6.12-0123/seed-%02d.txt", unit+1) },
		text: func(unit int) string { return sample("instrs", fmt.Sprintf("seed: %d\n", unit+1)) },
	}
}

func sample(clock, config string) string {
	return "clock: " + clock + "\nqemu: 10.0.2\n" + config + "BenchmarkA 100 5 ns/op\nPASS\n"
}

// shard makes shard i and returns its directory.
func (f *fleet) shard(i int) string {
	f.t.Helper()
	var s shard.Shard
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	s.Flag(fs)
	if err := fs.Parse([]string{"-shard", fmt.Sprintf("%d/%d", i, f.of)}); err != nil {
		f.t.Fatal(err)
	}
	root := s.Results(f.dir)
	p := s.New(f.verb, f.set)
	p.Samples = f.samples
	p.Inputs["test binary"] = f.binary
	for unit := range f.units {
		name := fmt.Sprintf("unit %d", unit+1)
		p.Units = append(p.Units, name)
		if s.Has(unit) {
			file := filepath.Join(root, f.path(unit))
			tooltest.MustWrite(f.t, file, f.text(unit))
			tooltest.MustWrite(f.t, strings.TrimSuffix(file, ".txt")+".log", "log\n")
			if err := p.Add(root, name, file); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if err := p.Write(root); err != nil {
		f.t.Fatal(err)
	}
	return root
}

// What is merged is what one machine makes, byte for byte, with logs, and
// merging again changes nothing.
func TestMerge(t *testing.T) {
	f := boots(t)
	for i := range f.of {
		f.shard(i + 1)
	}
	out := filepath.Join(t.TempDir(), "out")
	for range 2 {
		run(t, 0, "6 files in "+out+"/kernels/b/s/6.12-0123", "-o", out, f.dir)
	}
	for unit := range f.units {
		path := filepath.Join(out, f.path(unit))
		if got, err := os.ReadFile(path); err != nil || string(got) != f.text(unit) {
			t.Errorf("%s has %q, %v, want %q", path, got, err, f.text(unit))
		}
		if _, err := os.Stat(strings.TrimSuffix(path, ".txt") + ".log"); err != nil {
			t.Error(err)
		}
	}
	// Into the directory that the shards are in, which is the default.
	run(t, 0, "6 files in ", "-o", f.dir, f.dir)
}

// What is refused is named, and nothing is written.
func TestRefused(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	refused := func(want string, dirs ...string) {
		t.Helper()
		run(t, 1, want, append([]string{"-o", out}, dirs...)...)
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was written", want)
		}
	}
	f := boots(t)
	one, two, three := f.shard(1), f.shard(2), f.shard(3)
	refused("kernels: shard 2/3 is missing: nobody made unit 2, unit 5", one, three)
	refused("kernels: shards 2/3, 3/3 are missing", one, one)

	seed := boots(t)
	seed.set = "settings-seed3"
	run(t, 1, "kernels, settings-seed3: shards 1/3, 3/3 are missing", "-o", out, one, two, three, seed.shard(2))

	if err := os.Remove(filepath.Join(two, f.path(4))); err != nil {
		t.Fatal(err)
	}
	refused("shard 2/3 of kernels has no unit 5: ", one, two, three)

	f.shard(2)
	tooltest.MustWrite(t, filepath.Join(two, f.path(4)), "clock: instrs\nBenchmarkA 100 5 ns/op\n")
	refused("seed-05.txt:2: truncated", one, two, three)

	f.text = func(unit int) string { return sample("wall", fmt.Sprintf("seed: %d\n", unit+1)) }
	f.shard(2)
	refused("not comparable: clock is instrs in "+one, one, two, three)

	other := boots(t)
	other.binary = "bbbb"
	refused("another test binary than in "+one+", bbbb and not aaaa", one, other.shard(2), three)

	other = boots(t)
	other.units = 5
	refused("it is part of 5 units, and "+one+" of 6 units", one, other.shard(2), three)
	refused("(only one has unit 6)", one, other.shard(2), three)

	other = boots(t)
	other.text = func(unit int) string { return sample("instrs", fmt.Sprintf("seed: %d\n# other\n", unit+1)) }
	refused("unit 3 was made twice, and ", one, two, three, other.shard(3))

	f = boots(t)
	for i := range f.of {
		f.shard(i + 1)
	}
	tooltest.MustWrite(t, filepath.Join(f.dir, f.path(0)), sample("instrs", "seed: 1\n# other\n"))
	run(t, 1, "has other results of it: name another directory with -o", "-o", f.dir, f.dir)
}

// With -allow-holes, what is missing is named and the rest is merged.
func TestHoles(t *testing.T) {
	f := boots(t)
	one, three := f.shard(1), f.shard(3)
	if err := os.Remove(filepath.Join(three, f.path(2))); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	run(t, 0, "shard 2/3 is missing: nobody made unit 2, unit 5", "-allow-holes", "-o", out, one, three)
	run(t, 0, "shard 3/3 of kernels has no unit 3", "-allow-holes", "-o", out, one, three)
	run(t, 0, "3 files in ", "-allow-holes", "-o", out, one, three)
}

// Rounds of two machines are two sets, even if both machines have one name and
// one kernel. Their configurations need not agree.
func TestMachines(t *testing.T) {
	f := boots(t)
	f.verb, f.of, f.units = "bench", 2, 4
	f.path = func(unit int) string { return fmt.Sprintf("localhost-6.1/b/all/round-%02d.txt", unit+1) }
	machine := "a"
	f.text = func(unit int) string { return sample("wall", "machine: "+machine+"\ncpu: "+machine+"\n") }
	one := f.shard(1)
	machine = "b"
	two := f.shard(2)
	out := t.TempDir()
	for range 2 {
		run(t, 0, "2 files in "+out+"/localhost-6.1/b/all.2", "-o", out, one, two)
		run(t, 0, "2 files in "+out+"/localhost-6.1/b/all\n", "-o", out, two, one) // finds each where it was
	}
	for i, dir := range []string{"all", "all.2", "all", "all.2"} {
		text, err := os.ReadFile(filepath.Join(out, "localhost-6.1/b", dir, fmt.Sprintf("round-%02d.txt", i+1)))
		if want := "machine: " + string("ab"[i%2]) + "\n"; err != nil || !strings.Contains(string(text), want) {
			t.Errorf("round %d: %s, %v, want %q in %s", i+1, text, err, want, dir)
		}
	}
}

// Outcomes that are no samples are merged as they are; what each shard made
// besides its units must be equal.
func TestOutcomes(t *testing.T) {
	f := boots(t)
	f.verb, f.samples = "mutants", false
	f.path = func(unit int) string { return fmt.Sprintf("mutants/m-%d.txt", unit) }
	f.text = func(unit int) string { return fmt.Sprintf(`{"Name": "m%d"}`, unit) }
	for i := range f.of {
		f.shard(i + 1)
	}
	run(t, 0, "6 files in ", "-o", t.TempDir(), f.dir)
}
