//go:build linux

package columns

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/merge"
	"eventbench/helpers/process"
	"eventbench/helpers/shard"
	"eventbench/helpers/tooltest"
)

// Wrong usage exits with status 2 and a message that names the flag or
// argument.
func TestUsage(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		wantRun(t, t.Context(), 2, "", want, args...)
	}
	check("at least one column")
	check("at least one column", "x.test")
	check("want one of text markdown counts github", "-format=bencher", "x.test", "host")
	check("-kcidb-build: each of 6.1, 6.12 is another build", "-kcidb-build=a:b", "x.test", "6.1", "6.12")
	check("-jobs=0", "-jobs=0", "x.test", "host")
	check("-timeout=0s", "-timeout=0", "x.test", "host")
	check("-rows", "-rows=(", "x.test", "host")
	check("would both be called bzImage", "x.test", "a/bzImage", "b/bzImage")
	check("would both be called host", "x.test", "host", "host")
	check(`column "host nohz=off": nothing can be set for host`, "x.test", "host nohz=off")
	check("-shard: a shard shows nothing", "-shard=1/2", "-o=x", "x.test", "host")
	check("-shard: a shard shows nothing", "-shard=1/2", "-format=ktap=x", "x.test", "host")
	check("-o: ./x is the file of a -format too", "-o=./x", "-format=ktap=x", "x.test", "host")
	check("-format ktap: columns_test.go is what is to be judged", "-format=ktap=columns_test.go", "columns_test.go", "host")
	check("want gvisor", "-deviations", "x.test", "host")
	check("-sideways", "-sideways", "x.test", "host")
}

// A missing or wrong input is named, with advice.
func TestRefused(t *testing.T) {
	binary := mustBuildTiny(t)
	dir := t.TempDir()
	check := func(want string, args ...string) {
		t.Helper()
		wantRun(t, t.Context(), 1, "", want, args...)
	}
	inventories := "testdata/tiny/inventories"
	check("no inventories in "+dir, "-inventories", dir, binary, "host")
	check("none.test: no such file", "-inventories", inventories, "none.test", "host")
	wantRun(t, t.Context(), 2, "", `-rows: no row matches "XXX"`, "-inventories", inventories, "-rows=XXX", binary, "host")
	check("no such file", "-inventories", inventories, "-results", dir, binary, "host/bzImage")
	tooltest.MustWrite(t, filepath.Join(dir, "other.txt"), "OTH-1 a row\n")
	check("has no TestOther, for the rows of other.txt", "-inventories", dir, binary, "host")
	tooltest.MustWrite(t, filepath.Join(dir, "more.txt"), "OTH-1 a row\n")
	check("OTH-1 is also a row of", "-inventories", dir, binary, "host")
	tooltest.MustWrite(t, filepath.Join(dir, "more.txt"), "OTH 1\n")
	check("more.txt:1: ", "-inventories", dir, binary, "host")

	dir = filepath.Join(t.TempDir(), "inventories")
	if err := os.CopyFS(dir, os.DirFS(inventories)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"TNY-1 a\nTNY-9 b\n":   `gvisor.deviations:2: "TNY-9" is not a row`,
		"# TNY\nTNY-1\n":       "gvisor.deviations:2: TNY-1 does not say",
		"TNY-1 sometimes: \n":  "gvisor.deviations:1: TNY-1 does not say",
		"TNY-1 a\n\nTNY-1 b\n": "gvisor.deviations:3: TNY-1 has a second line",
	} {
		tooltest.MustWrite(t, filepath.Join(dir, "gvisor.deviations"), text)
		check(want, "-inventories", dir, binary, "host")
	}
}

// In a real run each row's outcome is shown. A row that ends the process
// affects no other and does not pass. Rows that have results are not run again.
func TestRun(t *testing.T) {
	binary := mustBuildTiny(t)
	results := t.TempDir()
	args := []string{"-inventories", "testdata/tiny/inventories", "-results", results, binary, "host"}
	stdout, stderr := wantRun(t, t.Context(), 1, "", "", args...)
	for _, want := range []string{
		"2 of 7 rows differ between columns or do not hold",
		"TNY-2  DEVIATES  two is three", "TNY-5  BROKE ", "tiny       7     2 pass, 1 pass in part, 1 DEVIATES, 1 BROKE, 1 absent, 1 skipped",
		"TNY-4  host   skip privilege  privilege: nobody", "TNY-7  host   pass in part    in part, limit: one of two",
	} {
		if !strings.Contains(squeeze(stdout), squeeze(want)) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
	for _, want := range []string{"host: TNY-2 DEVIATES: two is 2,", "host: TNY-5 BROKE: the run ended in it: exit status 3"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(results, "behaviours/*/*/*.txt")); len(files) != 0 {
		t.Errorf("a run that broke off left %q as results", files)
	}

	t.Setenv("TINY", "well")
	if _, stderr := wantRun(t, t.Context(), 0, "4 pass, 1 pass in part", "", args...); !strings.Contains(stderr, "running 7 rows") {
		t.Errorf("the broken column was not run again:\n%s", stderr)
	}
	// The results exist now, so another environment makes no difference.
	t.Setenv("TINY", "")
	out := filepath.Join(t.TempDir(), "table.md")
	stdout, stderr = wantRun(t, t.Context(), 0, "", "results are in", append([]string{"-format=markdown", "-o", out}, args...)...)
	text, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(text), "| tiny | 7 | 4 pass, 1 pass in part, 1 absent, 1 skipped |") || stdout != "" {
		t.Errorf("-o wrote %q, %v, and to standard output %q; %s", text, err, stdout, stderr)
	}
	if stdout, _ := wantRun(t, t.Context(), 0, "", "", append([]string{"-format=counts"}, args...)...); stdout != "host: 4 pass, 1 pass in part, 1 absent, 1 skipped\n" {
		t.Errorf("-format=counts printed %q", stdout)
	}
}

// Of two columns each shard runs one. Merged, they are the command's.
func TestShards(t *testing.T) {
	binary := mustBuildTiny(t)
	t.Setenv("TINY", "well")
	dir := t.TempDir()
	column := func(shard string, status int, want string) {
		t.Helper()
		wantRun(t, t.Context(), status, "", want, "-shard", shard, "-inventories", "testdata/tiny/inventories", "-results", dir, binary, "host", "none/bzImage")
	}
	column("1/2", 0, "running 7 rows")
	column("2/2", 1, "none/bzImage: ") // which only that shard looks for
	plans, err := shard.Find(dir)
	if err != nil || len(plans) != 1 || !slices.Equal(plans[0].Units, []string{"host", "bzImage"}) || len(plans[0].Files["host"]) != 1 {
		t.Fatalf("plans %+v, %v", plans, err)
	}
	var stderr bytes.Buffer
	verb := &cli.Verb{Manual: tooltest.Manual("merge"), New: merge.New}
	if status := tooltest.Verb(t.Context(), verb, []string{"-allow-holes", "-o", dir, dir}, io.Discard, &stderr); status != 0 {
		t.Fatalf("merge: exit status %d\n%s", status, &stderr)
	}
	wantRun(t, t.Context(), 0, "4 pass, 1 pass in part", "results are in "+dir+"/behaviours/", "-inventories", "testdata/tiny/inventories", "-results", dir, binary, "host")

	// A column that broke off is no result.
	t.Setenv("TINY", "")
	wantRun(t, t.Context(), 1, "", "host: a row ended the run, so there are no results to merge", "-shard", "1/1", "-inventories", "testdata/tiny/inventories", "-results", dir, binary, "host")
}

// A signal ends the run with the signal's status, and leaves no partial column.
func TestStopped(t *testing.T) {
	binary := mustBuildTiny(t)
	ctx, stop := context.WithCancelCause(t.Context())
	results := t.TempDir()
	stop(interrupt.Error{Signal: syscall.SIGINT})
	wantRun(t, ctx, 130, "", "the same command continues from there", "-inventories", "testdata/tiny/inventories", "-results", results, binary, "host")
	if files, _ := filepath.Glob(filepath.Join(results, "behaviours/*/*/*.txt")); len(files) != 0 {
		t.Errorf("a stopped run left %q", files)
	}
}

// A recorded deviation that still occurs is known. New and vanished ones are
// reported, unless they come and go.
func TestJudge(t *testing.T) {
	c := func(name string) *column {
		return &column{name: name, ends: map[string]outcome{
			"A-1": {status: passes}, "A-2": {status: deviates, said: []string{"no"}}, "A-3": {status: deviates, said: []string{"nor"}}, "A-4": {status: passes}, "A-5": {status: absent},
		}}
	}
	ids := []string{"A-1", "A-2", "A-3", "A-4", "A-5"}
	check := func(c *column, recorded deviations, wantBad bool, want ...string) {
		t.Helper()
		var said []string
		bad := judge([]*column{c}, ids, recorded, func(format string, args ...any) {
			said = append(said, args[1].(string))
		})
		if bad != wantBad || !slices.Equal(said, want) {
			t.Errorf("judge %s with %v: %t, of %q; want %t, %q", c.name, recorded, bad, said, wantBad, want)
		}
	}
	check(c("gvisor"), deviations{"A-2": "x", "A-3": "x"}, false)
	check(c("gvisor"), deviations{"A-2": "x"}, true, "A-3")
	check(c("gvisor"), deviations{"A-2": "x", "A-3": "x", "A-4": "x"}, true, "A-4")
	check(c("gvisor"), deviations{"A-2": "x", "A-3": "x", "A-5": "x"}, false)
	check(c("gvisor"), deviations{"A-2": "sometimes: x", "A-3": "x", "A-4": "sometimes: x"}, false)
	check(c("6.12"), deviations{"A-2": "x", "A-3": "x"}, true, "A-2", "A-3")
}

// The deviations are printed as a file, together with the recorded ones of rows
// that did not run or that come and go.
func TestPrintDeviations(t *testing.T) {
	inv := inventory{{name: "a", rows: []behaviour.Row{{ID: "A-1"}, {ID: "A-2"}, {ID: "A-3"}, {ID: "A-4"}, {ID: "A-5"}}}}
	c := &column{name: "gvisor", ends: map[string]outcome{
		"A-1": {status: passes}, "A-2": {status: deviates, said: []string{"no"}}, "A-3": {status: known, said: []string{"nor"}}, "A-4": {status: passes},
	}}
	recorded := deviations{"A-1": "gone", "A-3": "sometimes: x", "A-4": "sometimes: y", "A-5": "z"}
	var b strings.Builder
	if err := printDeviations(&b, []*column{c}, inv, []string{"A-1", "A-2", "A-3", "A-4"}, recorded); err != nil {
		t.Fatal(err)
	}
	if want := "\n\nA-2 no\nA-3 sometimes: nor\nA-4 sometimes: y\nA-5 z\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("printed %q, want it to end with %q", b.String(), want)
	}
}

// squeeze collapses white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// wantRun runs the command and checks its exit status and output.
func wantRun(t *testing.T, ctx context.Context, status int, out, diag string, args ...string) (stdout, stderr string) {
	t.Helper()
	var o, d bytes.Buffer
	if code := tooltest.Verb(ctx, &cli.Verb{Manual: tooltest.Manual("behaviours"), Resumes: true, New: New}, args, &o, &d); code != status || !strings.Contains(o.String(), out) || !strings.Contains(d.String(), diag) {
		t.Errorf("behaviours %q: exit status %d, %q and %q; want %d, %q and %q", args, code, &o, &d, status, out, diag)
	}
	return o.String(), d.String()
}

// mustBuildTiny builds a test binary with a row for each outcome.
func mustBuildTiny(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tiny.test")
	cmd := exec.Command("go", "test", "-c", "-o", binary, "./testdata/tiny")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := process.Run(t.Context(), cmd); err != nil {
		t.Fatalf("building testdata/tiny: %v\n%s", err, &out)
	}
	return binary
}

// A row that suspends the machine runs only in a guest of its own, on a clock
// that goes on during the sleep. The host is never allowed to.
func TestParts(t *testing.T) {
	inv, err := readInventories("../../testdata/behaviours")
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{"TFD-34", "TFD-35", "TFD-36"}
	own, wall := []string{"guest", "-clock", "instrs"}, []string{"guest", "-clock", "wall"}
	check := func(c *column, want ...part) {
		t.Helper()
		if got := c.parts(inv, rows); !reflect.DeepEqual(got, want) {
			t.Errorf("%s runs %+v, want %+v", c.name, got, want)
		}
	}
	check(&column{name: "host"}, part{rows: rows})
	check(&column{name: "6.12", argv: own, wall: wall},
		part{argv: own, rows: []string{"TFD-34", "TFD-36"}},
		part{argv: wall, env: []string{"EVENTBENCH_SUSPEND=1"}, rows: []string{"TFD-35"}})
}
