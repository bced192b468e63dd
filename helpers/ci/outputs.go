package ci

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/files"
)

// Outputs are the formats that a command was asked for, each for a file or for
// standard output. The first of the command's own is written if none is.
type Outputs struct {
	own   []Format
	all   []Format
	asked []output
	build string // -kcidb-build
}

type output struct {
	Format
	file string // "" is standard output
}

// Own returns a command's own format. lines is as in [Format].
func Own(name string, lines bool) Format { return Format{Name: name, Lines: lines} }

// Flags defines -format and -kcidb-build. measures says whether the command's
// documents have figures.
func (o *Outputs) Flags(fs *flag.FlagSet, measures bool, own ...Format) {
	o.own = own
	o.all = slices.Concat(own, formats(measures))
	fs.Func("format", fmt.Sprintf("write the report as `FORMAT`, or as FORMAT=FILE into a file; several times for several: %s (default %s)",
		o.names(), own[0].Name), o.add)
	fs.Func("kcidb-build", "`ORIGIN:ID` of the build that was tested, as KCIDB knows it (default eventbench: and a hash)", func(id string) error {
		if !originID.MatchString(id) {
			return errors.New("want ORIGIN:ID, such as maestro:68b0f2c1")
		}
		o.build = id
		return nil
	})
}

// Given reports whether -format was.
func (o *Outputs) Given() bool { return len(o.asked) > 0 }

// Into reports whether a format was asked for into a file.
func (o *Outputs) Into(file string) bool {
	return slices.ContainsFunc(o.asked, func(out output) bool { return out.file != "" && filepath.Clean(out.file) == filepath.Clean(file) })
}

// NamesBuild reports whether -kcidb-build was given.
func (o *Outputs) NamesBuild() bool { return o.build != "" }

// originID is what KCIDB accepts.
var originID = regexp.MustCompile(`^[a-z0-9_]+:[^\x00]+$`)

func (o *Outputs) names() string { return strings.Join(namesOf(o.all), " ") }

func (o *Outputs) add(arg string) error {
	name, file, into := strings.Cut(arg, "=")
	i := slices.IndexFunc(o.all, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return fmt.Errorf("want one of %s, or one and =FILE", o.names())
	}
	out := output{o.all[i], file}
	if into && file == "" {
		return fmt.Errorf("the file's name is empty: want %s=FILE", name)
	}
	for _, other := range o.asked {
		switch {
		case file != other.file && filepath.Clean(file) != filepath.Clean(other.file) || (file == "") != (other.file == ""):
		case file != "":
			return fmt.Errorf("%s would be written to %s, and then %s", other.Name, other.file, name)
		case name == other.Name:
			return fmt.Errorf("%s is asked for twice", name)
		case !out.Lines || !other.Lines:
			return fmt.Errorf("%s and %s cannot both go to standard output: want a file for one, %s=FILE", other.Name, name, name)
		}
	}
	o.asked = append(o.asked, out)
	return nil
}

// asks returns what to write, with something for standard output.
func (o *Outputs) asks() []output {
	asked := o.asked
	if !slices.ContainsFunc(asked, func(out output) bool { return out.file == "" }) {
		asked = append([]output{{o.own[0], ""}}, asked...)
	}
	return asked
}

// Begin finds out now, and not after hours of measuring, whether the files can
// be written. It leaves in them that there is no verdict, so that an earlier
// run's is not taken for that of a run that was stopped.
//
// A file takes the place of what is there. That may be an older report, but
// none of the operands, no file in a directory of results, and none below kept,
// where the command keeps samples, unless that is empty.
func (o *Outputs) Begin(unfinished Document, kept string, operands ...string) error {
	for _, out := range o.asked {
		if out.file == "" {
			continue
		}
		if err := files.Writable(out.file); err != nil {
			return fmt.Errorf("-format %s: %w", out.Name, err)
		}
		if kept != "" && below(kept, filepath.Dir(out.file)) {
			return fmt.Errorf("-format %s: %s is below %s, among the samples that are kept there: name a file elsewhere", out.Name, out.file, kept)
		}
		before, _ := os.Stat(out.file)
		dir, _ := os.Stat(filepath.Dir(out.file))
		for _, operand := range operands {
			for name := range strings.SplitSeq(operand, ",") {
				switch input, err := os.Stat(name); {
				case err != nil:
				case os.SameFile(input, before):
					return fmt.Errorf("-format %s: %s is what is to be judged: the report would replace it", out.Name, out.file)
				case input.IsDir() && os.SameFile(input, dir):
					return fmt.Errorf("-format %s: %s is in %s, among what is to be judged: name a file elsewhere", out.Name, out.file, name)
				}
			}
		}
		if err := o.write(out, unfinished); err != nil {
			return fmt.Errorf("-format %s: %w", out.Name, err)
		}
	}
	return nil
}

// below reports whether dir is somewhere below root, and not root itself.
func below(root, dir string) bool {
	for _, path := range []*string{&root, &dir} {
		if abs, err := filepath.Abs(*path); err == nil {
			*path = abs
		}
		if real, err := filepath.EvalSymlinks(*path); err == nil {
			*path = real
		}
	}
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// Write writes the document in all formats that were asked for. Why there is no
// verdict is not written to standard output as text: standard error has it.
func (o *Outputs) Write(stdout io.Writer, d Document) error {
	var errs []error
	for _, out := range o.asks() {
		if out.file != "" {
			errs = append(errs, o.write(out, d))
		} else if out.write != nil || !out.Lines || d.Run().Problems == nil {
			errs = append(errs, o.render(stdout, out.Format, d))
		}
	}
	return errors.Join(errs...)
}

// Files writes only the files, where something else goes to standard output.
func (o *Outputs) Files(d Document) error {
	var errs []error
	for _, out := range o.asked {
		if out.file != "" {
			errs = append(errs, o.write(out, d))
		}
	}
	return errors.Join(errs...)
}

func (o *Outputs) write(out output, d Document) error {
	var b bytes.Buffer
	if err := o.render(&b, out.Format, d); err != nil {
		return err
	}
	return files.Write(out.file, b.Bytes())
}

func (o *Outputs) render(w io.Writer, f Format, d Document) error {
	if f.write == nil {
		return d.Write(w, f.Name)
	}
	r := d.Run()
	r.build = o.build
	return f.write(w, r)
}
