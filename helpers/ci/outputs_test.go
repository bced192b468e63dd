package ci

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A page is a document whose own formats are text and page.
type page struct{ run *Run }

func (p page) Run() *Run { return p.run }
func (p page) Write(w io.Writer, format string) error {
	_, err := io.WriteString(w, "own "+format+" of "+p.run.Outcome+"\n")
	return err
}

func parse(args ...string) (*Outputs, error) {
	var o Outputs
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Flags(fs, false, Own("text", true), Own("page", false))
	return &o, fs.Parse(args)
}

// Formats that contradict each other, or are none, are refused by name.
func TestOutputsRefused(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		if _, err := parse(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", args, err, want)
		}
	}
	check("want one of text page github junit ktap kcidb lava csv, or one and =FILE", "-format=xml")
	check("want one of", "-format=bencher") // no figures here
	check("the file's name is empty: want junit=FILE", "-format=junit=")
	check("text and junit cannot both go to standard output: want a file for one, junit=FILE", "-format=text", "-format=junit")
	check("text is asked for twice", "-format=text", "-format=text")
	check("junit would be written to a.xml, and then kcidb", "-format=junit=a.xml", "-format=kcidb=./a.xml")
	check("want ORIGIN:ID, such as maestro:68b0f2c1", "-kcidb-build=68b0f2c1")
}

// Each format goes where it was asked for, and the first of the command's own
// to standard output if nothing else does.
func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	check := func(r *Run, want string, args ...string) {
		t.Helper()
		o, err := parse(args...)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := o.Write(&b, page{r}); err != nil || b.String() != want {
			t.Errorf("%q: error %v, got\n%s\nwant\n%s", args, err, b.String(), want)
		}
	}
	const text, own = "own text of regression\n", "own page of regression\n"
	check(sample(), text)
	check(sample(), text, "-format=page="+file("page"))
	check(sample(), own, "-format=page", "-format=csv="+file("csv"))
	check(sample(), text+write(t, sample(), "github"), "-format=text", "-format=github")
	check(sample(), write(t, sample(), "junit"), "-format=junit")
	for name, want := range map[string]string{"page": own, "csv": write(t, sample(), "csv")} {
		if got, err := os.ReadFile(file(name)); err != nil || string(got) != want {
			t.Errorf("%s: error %v, got\n%s\nwant\n%s", name, err, got, want)
		}
	}

	// Why there is no verdict is on standard error, not there as text.
	check(noVerdict(), "")
	check(noVerdict(), "own page of bad input\n", "-format=page")
	check(noVerdict(), "", "-format=text="+file("text"))
	if got, err := os.ReadFile(file("text")); err != nil || string(got) != "own text of bad input\n" {
		t.Errorf("text: error %v, got %q", err, got)
	}
}

// A file that cannot be written is found before anything is measured. Until
// there is a verdict, the files say that there is none.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"old.txt", "junit.xml"} {
		if err := os.WriteFile(file(name), []byte("before"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	results, kept := filepath.Join(dir, "results"), filepath.Join(dir, "kept")
	for _, dir := range []string{results, filepath.Join(kept, "kernels")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(kept, "kernels"), file("link")); err != nil {
		t.Fatal(err)
	}
	begin := func(arg string) error {
		o, err := parse(arg)
		if err != nil {
			t.Fatal(err)
		}
		return o.Begin(page{NoVerdict("no verdict", "the run has not finished")}, kept, "none,"+file("old.txt"), results)
	}
	check := func(arg, want string) {
		t.Helper()
		if err := begin(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", arg, err, want)
		}
	}
	check("-format=junit="+file("none/x.xml"), "-format junit: open "+file("none/x.xml")+": no such file or directory")
	check("-format=junit="+dir, "is a directory: name a file in it")
	check("-format=junit=/dev/null", "/dev/null is a device or a pipe: name a file")
	check("-format=text="+file("old.txt"), "is what is to be judged: the report would replace it")
	check("-format=text="+filepath.Join(results, "x.txt"), "among what is to be judged: name a file elsewhere")
	check("-format=text="+filepath.Join(kept, "kernels", "x.txt"), "x.txt is below "+kept+", among the samples that are kept there: name a file elsewhere")
	check("-format=text="+filepath.Join(file("link"), "x.txt"), "among the samples that are kept there")
	if err := begin("-format=text=" + filepath.Join(kept, "x.txt")); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file("old.txt")); err != nil || string(got) != "before" {
		t.Errorf("old.txt: %q, %v", got, err)
	}
	if err := begin("-format=junit=" + file("junit.xml")); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file("junit.xml")); err != nil || !strings.Contains(string(got), "the run has not finished") {
		t.Errorf("junit.xml: %v\n%s", err, got)
	}
}
