package shard

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mustParse returns the shard that -shard names.
func mustParse(t *testing.T, text string) (s Shard) {
	t.Helper()
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	s.Flag(fs)
	if err := fs.Parse([]string{"-shard", text}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each unit belongs to one shard, whose results are in a directory of its own.
// More units move none.
func TestShards(t *testing.T) {
	for n := 1; n <= 7; n++ {
		dirs := map[string]bool{}
		owners := make([]int, 20)
		for i := 1; i <= n; i++ {
			s := mustParse(t, fmt.Sprintf("%d/%d", i, n))
			dirs[s.Results("results")] = true
			for unit := range owners {
				if s.Has(unit) {
					owners[unit]++
				}
			}
		}
		if len(dirs) != n || dirs["results"] || slices.Max(owners) != 1 || slices.Min(owners) != 1 {
			t.Errorf("%d shards: units have %v owners, results are in %v", n, owners, dirs)
		}
	}
	var all Shard
	if !all.Has(5) || all.Given() || all.Results("results") != "results" {
		t.Errorf("without -shard: has unit 5: %v, given: %v, results in %s", all.Has(5), all.Given(), all.Results("results"))
	}
}

func TestFlag(t *testing.T) {
	for _, text := range []string{"", "2", "0/2", "3/2", "-1/2", "1/0", "a/b", "1/2/3", "1/ 2"} {
		var s Shard
		if err := s.set(text); err == nil || !strings.Contains(err.Error(), "want i/n") {
			t.Errorf("-shard %q: %v, error %v", text, s, err)
		}
	}
}

// A plan is found in its directory and from the one above. One of the same
// command replaces it, and one that is no plan is refused by name.
func TestPlan(t *testing.T) {
	dir := t.TempDir()
	write := func(text string, units ...string) {
		t.Helper()
		s := mustParse(t, text)
		root := s.Results(dir)
		if err := os.MkdirAll(root, 0o777); err != nil {
			t.Fatal(err)
		}
		p := s.New("kernels", "all-100x")
		p.Units = units
		for i, unit := range units {
			if s.Has(i) {
				if err := p.Add(root, unit, filepath.Join(root, "kernels", unit)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.Write(root); err != nil {
			t.Fatal(err)
		}
	}
	find := func(dir string) []*Plan {
		t.Helper()
		plans, err := Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		return plans
	}
	write("1/3", "a")
	write("1/3", "a", "b", "c", "d")
	write("2/3", "a", "b", "c", "d")
	plans := find(dir)
	if len(plans) != 2 || !slices.Equal(plans[0].Files["d"], []string{"kernels/d"}) || len(plans[0].Files) != 2 {
		t.Fatalf("found %+v", plans)
	}
	if one := find(filepath.Join(dir, "shard-2-of-3")); len(one) != 1 || one[0].Shard != "2/3" {
		t.Errorf("found %+v, want shard 2/3", one)
	}
	if shards, units := Lacks(plans); !slices.Equal(shards, []string{"3/3"}) || !slices.Equal(units, []string{"c"}) {
		t.Errorf("lacks shards %q and units %q, want 3/3 and c", shards, units)
	}
	refused := func(dir, want string) {
		t.Helper()
		if plans, err := Find(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, error %v, want %q", plans, err, want)
		}
	}
	refused(t.TempDir(), "no shard's results in it")
	refused(filepath.Join(dir, "none"), "no such file")
	bad := filepath.Join(dir, "shard-1-of-3", "kernels-00.plan.json")
	for text, want := range map[string]string{
		"{":                                   bad + ": not the plan of a shard",
		`{"Verb": "kernels", "Shard": "4/3"}`: bad + `: not the plan of a shard: verb "kernels", shard "4/3"`,
		`{"Verb": "kernels", "Shard": "1/3", "Files": {"a": ["../../../../etc/passwd"]}}`: bad + `: a: "../../../../etc/passwd" is no file below`,
	} {
		if err := os.WriteFile(bad, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		refused(dir, want)
	}
}
