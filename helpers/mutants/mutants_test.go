//go:build linux

package mutants

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/cli"
	"eventbench/helpers/tooltest"
)

const testdata = "../../testdata"

// The mutants can be read, are numerous enough, and name existing rows and
// their tests. No two are the same.
func TestMutants(t *testing.T) {
	mutants, err := readMutants(filepath.Join(testdata, "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 60 {
		t.Errorf("%d mutants, want 60 at least", len(mutants))
	}
	mechanism := make(map[string]string) // by row
	files, err := filepath.Glob(filepath.Join(testdata, "behaviours", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := behaviour.Parse(file, f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			mechanism[row.ID] = strings.TrimSuffix(filepath.Base(file), ".txt")
		}
	}
	edits := make(map[string]string)
	sources := make(map[string]bool)
	for _, m := range mutants {
		name := mechanism[m.Row]
		if name == "" {
			t.Errorf("%s: there is no row %s", m.at, m.Row)
		} else if !slices.Contains(m.tests, strings.ToUpper(name[:1])+name[1:]) {
			t.Errorf("%s: %s is of %s, which is not among the tests %v", m.at, m.Row, name, m.tests)
		}
		edit := m.Edit.File + m.Edit.Old + "=>" + m.Edit.New
		if other := edits[edit]; other != "" {
			t.Errorf("%s is the same as %s", m.Name, other)
		}
		edits[edit] = m.Name
		sources[m.Edit.File] = true
	}
	for _, want := range []string{"fs/eventfd.c", "fs/eventpoll.c", "fs/signalfd.c", "fs/timerfd.c", "kernel/signal.c"} {
		if !sources[want] {
			t.Errorf("no mutant of %s", want)
		}
	}
}

// A block is an edit with context lines. Errors name file and line.
func TestParse(t *testing.T) {
	const head = "file fs/x.c\ntests Eventfd Loop\n\n"
	got, err := parseMutants("dir/x.txt", strings.NewReader(head+"a-b EFD-01 a mutation\n \tif (x)\n-\t\ty();\n+\t\tz();\n\nc EFD-02 another\n-q\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := got[0]
	if len(got) != 2 || m.Name != "x/a-b" || m.Row != "EFD-01" || m.What != "a mutation" || m.Edit.File != "fs/x.c" || m.at != "dir/x.txt:4" ||
		m.Edit.Old != "\tif (x)\n\t\ty();\n" || m.Edit.New != "\tif (x)\n\t\tz();\n" || got[1].Edit.New != "" {
		t.Errorf("got %+v", got)
	}
	check := func(text, want string) {
		t.Helper()
		_, err := parseMutants("x.txt", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	check("", "x.txt: no mutants")
	check("a EFD-01 w\n-x\n", "x.txt:1: a mutant before the lines")
	check("tests eventfd\n", `x.txt:1: "eventfd" is not a test`)
	check(head+"a\n", `x.txt:4: "a": want a name, the row`)
	check(head+"a EFD-01 w\nx\n", `x.txt:5: "x" in x/a: want a line that begins with`)
	check(head+"a EFD-01 w\n x\n", "x.txt:4: x/a changes nothing")
	check(head+"a EFD-01 w\n+x\n", "x.txt:4: x/a does not say where")
	check(head+"a EFD-01 w\n-x\n\na EFD-02 w\n-y\n", "x.txt:7: a second a")
}

// Each row is broken by one mutant only.
func TestOneMutantOfARow(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt"} {
		tooltest.MustWrite(t, filepath.Join(dir, name), "file x.c\ntests Eventfd\n\nm EFD-01 w\n-x\n")
	}
	if _, err := readMutants(dir); err == nil || !strings.Contains(err.Error(), "b.txt:4: EFD-01 is already broken by a/m") {
		t.Errorf("error %v", err)
	}
	if _, err := readMutants(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no mutants in") {
		t.Errorf("error %v", err)
	}
}

// Rows that failed are known even if their test did not finish. The row that
// ran last is to blame for that.
func TestJudge(t *testing.T) {
	const whole = "=== RUN   TestEventfd\n=== RUN   TestEventfd/EFD-01\n=== RUN   TestEventfd/EFD-02\n    eventfd_test.go:7: counter 3, want 5\n" +
		"    behaviour.go:87: EFD-02: statement\n=== RUN   TestEventfd/EFD-03\n    absent: no AIO\n"
	const ends = "--- FAIL: TestEventfd (0.10s)\n    --- PASS: TestEventfd/EFD-01 (0.00s)\n    --- FAIL: TestEventfd/EFD-02 (0.00s)\n    --- SKIP: TestEventfd/EFD-03 (0.00s)\n"
	late := errors.New("it was stopped")
	check := func(out string, end error, row, want, wantHow string) {
		t.Helper()
		r := parseRows(out)
		r.end = end
		if got, how := judge(row, r); got != want || how != wantHow {
			t.Errorf("%s: %s (%s), want %s (%s)", row, got, how, want, wantHow)
		}
	}
	check(whole+ends, nil, "EFD-01", survived, "")
	check(whole+ends, nil, "EFD-02", killed, "")
	check(whole+ends, nil, "EFD-03", undecided, "")
	check(whole, late, "EFD-01", undecided, "")
	check(whole, late, "EFD-02", killed, "")
	check(whole, late, "EFD-03", killed, "it hangs, and it was stopped")
	if r := parseRows(whole + ends); !slices.Equal(r.passed, []string{"EFD-01"}) || !slices.Equal(r.skipped, []string{"EFD-03"}) || !slices.Equal(r.broken, []string{"EFD-02"}) {
		t.Errorf("%+v", r)
	}
}

// Wrong usage and a missing program are reported before anything is built.
func TestUsage(t *testing.T) {
	check := func(code int, want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := tooltest.Verb(t.Context(), &cli.Verb{Manual: tooltest.Manual("mutants"), New: New}, args, &stdout, &stderr); got != code || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("mutants %q: status %d, %q; want %d, %q", args, got, &stderr, code, want)
		}
	}
	dir := filepath.Join(testdata, "mutants")
	check(2, "want one argument")
	check(2, "-jobs=0", "-jobs=0", "x")
	check(2, "-timeout=0s", "-timeout=0", "x")
	check(2, "-run: ", "-run=(", "x")
	check(2, "-sideways", "-sideways", "x")
	check(1, "none.static", "-mutants", dir, filepath.Join(t.TempDir(), "none.static"))
	check(2, "-run zzz: matches none of", "-mutants", dir, "-run=zzz", "x")
	check(1, "no mutants in", "-mutants", t.TempDir(), "x")
}
