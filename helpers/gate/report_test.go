package gate

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestReports compares the reports on results of real runs with what they
// should look like. The runs are of a small benchmark with null calls added to
// each operation on the side called slow: one in testdata/host, in 16 rounds,
// three elsewhere.
func TestReports(t *testing.T) {
	check := func(golden, old, new string, o Options, write func(*Report, io.Writer) error) {
		t.Helper()
		r, err := Compare("testdata/"+old, "testdata/"+new, o)
		if err != nil {
			t.Errorf("%s: %v", golden, err)
			return
		}
		checkReport(t, r)
		var b bytes.Buffer
		if err := write(r, &b); err != nil {
			t.Errorf("%s: %v", golden, err)
		}
		compareGolden(t, "testdata/"+golden, b.Bytes())
	}
	explain := func(name string) func(*Report, io.Writer) error {
		return func(r *Report, w io.Writer) error { return r.Explain(w, name) }
	}
	check("host-slow.golden", "host/old.txt", "host/slow.txt", Options{}, (*Report).WriteText)
	check("host-slow.md.golden", "host/old.txt", "host/slow.txt", Options{}, (*Report).WriteMarkdown)
	check("host-same.golden", "host/old.txt", "host/same.txt", Options{AllowCannotTell: true}, (*Report).WriteText)
	check("host-explain.golden", "host/old.txt", "host/slow.txt", Options{Filter: ".name:EventfdSelf"}, explain("BenchmarkEventfdSelf"))
	check("files-slow.json.golden", "files/old", "files/slow", Options{Filter: ".name:EventfdSelf"}, (*Report).WriteJSON)
	check("files-fast.golden", "files/slow", "files/old", Options{Alpha: 0.01}, (*Report).WriteText)
	check("files-explain.golden", "files/old", "files/slow", Options{}, explain("EventfdSelf-2"))
	check("count10.golden", "count10/old.txt", "count10/slow.txt", Options{}, (*Report).WriteText)
}

// compareGolden compares got with the file; where they differ it writes
// file.got and shows the difference.
func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if err := os.WriteFile(file+".got", got, 0o666); err != nil {
		t.Fatal(err)
	}
	diff, _ := exec.Command("diff", "-u", file, file+".got").CombinedOutput()
	t.Errorf("%s differs (cp %s.got %s if that is right):\n%s", file, file, file, diff)
}

// TestExplainUnknown checks what is said of a name that nothing has.
func TestExplainUnknown(t *testing.T) {
	r, err := Compare("testdata/files/old", "testdata/files/slow", Options{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, want string) {
		t.Helper()
		if err := r.Explain(io.Discard, name); err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %s", name, err, want)
		}
	}
	check("eventfd", `no comparison of a benchmark called "eventfd"; there are EventfdSelf-2`)
	check("Signal", `no comparison of a benchmark called "Signal"; there are EventfdSelf-2, Null-2`)
}

// TestMarkdownLimit checks that a report on any number of benchmarks fits a
// comment.
func TestMarkdownLimit(t *testing.T) {
	var old, new strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&old, "BenchmarkNumber%d 1 5 B/op\n", i)
		fmt.Fprintf(&new, "BenchmarkNumber%d 1 6 B/op\n", i)
	}
	r := mustJudge(t, Options{}, []string{old.String()}, []string{new.String()})
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(b.String()); n > 65_000 || n < 50_000 {
		t.Errorf("got %d characters, want nearly 60000", n)
	}
	for _, want := range []string{"findings more than a comment holds", "and 1500 more than a comment holds", "To look closer"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in a report that was cut", want)
		}
	}
}

// TestMarkdownEscapes checks that names from a file are no markup.
func TestMarkdownEscapes(t *testing.T) {
	name := "BenchmarkX/|`<script>*@all"
	r := mustJudge(t, Options{}, []string{name + " 1 5 B/op\n"}, []string{name + " 1 6 B/op\n"})
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if want := "`` X/\\|`<script>*@all ``"; !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s\nwant %s in it", b.String(), want)
	}
}

func TestNumbers(t *testing.T) {
	check := func(v float64, want, exact string) {
		t.Helper()
		if got := number(v); got != want {
			t.Errorf("number %v: got %s, want %s", v, got, want)
		}
		if got := exactNumber(v); got != exact {
			t.Errorf("exact number %v: got %s, want %s", v, got, exact)
		}
	}
	check(0, "0", "0")
	check(1163, "1163", "1163")
	check(-12.5, "-12.5", "-12.5")
	check(422.1234567, "422.12", "422.1234567")
	check(422.1e-9/1e-9, "422.1", "422.1")
	check(123456.7, "123457", "123456.7")
	check(0.00123456, "0.0012346", "0.00123456")
	check(1e-9, "1e-09", "0.000000001")
	check(1e12+1, "1000000000001", "1000000000001")
	check(1.5e300, "1.5e+300", "15"+strings.Repeat("0", 299))
}
