//go:build linux

package columns

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/behaviour"
)

// What became of each row is one status in all formats of package ci, and the
// files say so also where there is no table.
func TestFormats(t *testing.T) {
	binary := mustBuildTiny(t)
	file := filepath.Join(t.TempDir(), "rows.csv")
	args := []string{"-inventories", "testdata/tiny/inventories", "-results", t.TempDir(), "-format", "csv=" + file}
	check := func(want ...string) {
		t.Helper()
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range lines[1:] {
			got = append(got, fmt.Sprint(line[0], " ", line[1], " ", line[3], ": ", line[4]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	wantRun(t, t.Context(), 1, "DEVIATES", "", append(args, binary, "host")...)
	check("host TNY-1 pass: pass", "host TNY-2 fail: DEVIATES", "host TNY-3 skip: absent", "host TNY-4 skip: skip privilege", "host TNY-5 fail: BROKE", "host TNY-6 pass: pass", "host TNY-7 pass: pass in part")
	wantRun(t, t.Context(), 1, "", "no such file", append(args, "none.test", "host")...)
	check("eventbench  no verdict: no verdict")

	// What is expected in gVisor, and what is recorded and holds.
	c := &column{name: "gvisor", arg: "gvisor", ends: map[string]outcome{
		"A-1": {status: deviates, said: []string{"no", "nor"}}, "A-2": {status: passes}, "A-3": {status: passes}}}
	inv := inventory{{name: "a", rows: []behaviour.Row{{ID: "A-1", Statement: "a"}, {ID: "A-2", Statement: "b"}, {ID: "A-3", Statement: "c"}, {ID: "A-4", Statement: "d"}}}}
	rows := []string{"A-1", "A-2", "A-3", "A-4"}
	judge([]*column{c}, rows, deviations{"A-1": "x", "A-2": "y"}, t.Logf)
	run := (&table{inv: inv, rows: rows, columns: []*column{c}, binary: "b.static"}).Run()
	var got []string
	for _, f := range run.Suites[0].Findings {
		got = append(got, fmt.Sprint(f.Name, " ", f.Status, " ", f.Verdict, "; ", f.Reason, "; ", f.More))
	}
	want := []string{"A-1 4 known; a: no; [nor]", "A-2 1 pass; b; [it holds, but gvisor.deviations records: y]", "A-3 0 pass; c; []", "A-4 2 no result; d; []"}
	if !slices.Equal(got, want) || run.Outcome != "wrong outcomes" {
		t.Errorf("%s: got\n%s\nwant\n%s", run.Outcome, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := run.Suites[0].Findings[0].Reproduce, "go tool eventbench behaviours -rows '^A-1$' b.static gvisor\n"; got != want {
		t.Errorf("reproduce with %q, want %q", got, want)
	}
}
