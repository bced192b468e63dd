//go:build linux

// Mutants shows that the tests of behaviours bite: it plants slips in the
// kernel, one at a time, and looks whether the test fails that is to find it.
//
// Usage:
//
//	go tool mutants [flags] behaviours.static
//
// A mutant is a kernel with one slip, as it could be made in a line of
// fs/eventfd.c, fs/eventpoll.c, kernel/signal.c, fs/signalfd.c or fs/timerfd.c:
// a wrong comparison, error or flag, a check or a wake-up that is missing.
// testdata/mutants has them, each with the row of testdata/behaviours that it
// breaks. Each is built from Debian's source, see go doc eventbench/helpers/kbuild,
// and booted in a guest with one processor and counted instructions, where
// nothing is a matter of luck: with one seed all is repeated to the instruction.
//
// The kernel without a slip comes first. A row that breaks on it says nothing of
// a slip: it is named and left out, and the exit status is not 0. A mutant is
// killed if the test of its row fails. If that row never ends and is ended by
// its deadline or the guest's, this is said; if another row ends the whole run,
// the mutant's row is tried alone. Each kernel runs the tests that its file
// names, and what else broke is listed.
//
// # Where results go
//
// results/mutants has a file for each mutant, written whole: the same command
// goes on where it was stopped. Other kernels and other tests start anew, but
// -keep believes that mutants killed by other tests still are, which saves an
// hour after a test was made stricter. The table goes to -o when all is known.
//
// # Exit status
//
// 0 if all mutants are killed and nothing broke without a slip; 1 if some survive or do not build, or something
// is missing; 2 for wrong usage; 128 and the signal's number for a signal.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/guest"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/kbuild"
	"eventbench/helpers/printable"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
)

func main() {
	if guest.IsInit() {
		guest.RunInit()
	}
	os.Exit(command(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// resultsFile is the table's name, among the mutants.
const resultsFile = "results.txt"

const usage = `usage: go tool mutants [flags] behaviours.static

Mutants plants slips in the kernel and looks whether the tests of behaviours
find them. The manual is go doc eventbench/helpers/cmd/mutants. The flags are:

`

// options are what the user asks for.
type options struct {
	dir     string
	run     string
	results string
	table   string
	jobs    int
	timeout time.Duration
	keep    bool
	program string
}

func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("mutants", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.dir, "mutants", filepath.Join("testdata", "mutants"), "read the mutants in `dir`")
	fs.StringVar(&o.run, "run", "", "only those whose name or row matches `regexp`")
	fs.StringVar(&o.results, "results", "results", "keep results under `dir`")
	fs.StringVar(&o.table, "o", "", "write the table to `file`, too")
	fs.IntVar(&o.jobs, "jobs", 1, "run `n` guests at a time, beside the build of the next kernel")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Minute, "stop a guest after this `time`")
	fs.BoolVar(&o.keep, "keep", false, "believe that what other tests killed would still be killed")
	return fs
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	p := progress.New(stderr, "go tool mutants")
	var o options
	fs := newFlags(&o)
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, usage, fs)
	}
	var only *regexp.Regexp
	switch {
	case err != nil:
	case fs.NArg() != 1:
		err = errors.New("want one argument, a static test binary (make behaviours.static)")
	case o.jobs < 1:
		err = fmt.Errorf("-jobs=%d: want at least 1", o.jobs)
	case o.timeout <= 0:
		err = fmt.Errorf("-timeout=%v: want more than 0", o.timeout)
	default:
		if only, err = regexp.Compile(o.run); err != nil {
			err = fmt.Errorf("-run: %w", err)
		} else if o.table != "" {
			if err = files.Writable(o.table); err != nil {
				err = fmt.Errorf("-o: %w", err)
			}
		}
	}
	if err != nil {
		p.Say("%v (go tool mutants -h lists the flags)", err)
		return 2
	}
	o.program = fs.Arg(0)
	failed, err := find(ctx, o, only, stdout, p)
	p.Clear()
	switch stopped := (interrupt.Error{}); {
	case errors.As(err, &stopped):
		p.Say("%v; the same command goes on from there", err)
		return stopped.Status()
	case err != nil:
		p.Say("%v", err)
		return 1
	case failed:
		return 1
	}
	return 0
}

// find finds out about the mutants and prints the table. It reports whether
// any is not killed.
func find(ctx context.Context, o options, only *regexp.Regexp, stdout io.Writer, p *progress.Progress) (failed bool, err error) {
	r := &run{options: o, p: p}
	all, err := readMutants(o.dir)
	if err != nil {
		return false, err
	}
	for _, m := range all {
		if only.MatchString(m.Name) || only.MatchString(m.Row) {
			r.mutants = append(r.mutants, m)
		}
	}
	if r.mutants == nil {
		return false, fmt.Errorf("-run %s matches none of %d mutants", o.run, len(all))
	}
	if r.binary, err = results.Hash(o.program); err != nil {
		return false, err
	}
	// What is wrong with the program should not wait for a build.
	if _, err = guest.LoadProgram(o.program, nil, "."); err != nil {
		return false, err
	}
	if r.qemu, err = guest.FindQEMU(ctx, ""); err != nil {
		return false, err
	}
	if r.tree, err = kbuild.Open(ctx, kbuild.Source{Series: kbuild.DefaultSeries}, p); err != nil {
		return false, err
	}
	if err = r.all(ctx); err != nil {
		return false, err
	}
	text := r.tabulate()
	if _, err = stdout.Write(text); err != nil {
		return false, err
	}
	if o.table != "" {
		if err = files.Write(o.table, text); err != nil {
			return false, err
		}
	}
	for _, o := range r.done {
		failed = failed || o.Outcome != killed
	}
	for _, base := range r.bases {
		failed = failed || len(base.Broken) > 0
	}
	return failed, nil
}

// tabulate lays out what came of the mutants: counts by source file, then a
// line for each mutant.
func (r *run) tabulate() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Mutants of linux %s, Debian's source, on one emulated processor.\n\n", r.tree.Version)
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	type count struct{ made, killed, alone int }
	counts := make(map[string]*count)
	total := &count{}
	var files []string
	for i, m := range r.mutants {
		c := counts[m.Edit.File]
		if c == nil {
			c = &count{}
			counts[m.Edit.File] = c
			files = append(files, m.Edit.File)
		}
		for _, c := range []*count{c, total} {
			c.made++
			if r.done[i].Outcome == killed {
				c.killed++
				if r.done[i].also(m.Row) == "" {
					c.alone++
				}
			}
		}
	}
	fmt.Fprintln(w, "FILE\tTESTS\tROWS\tSKIPPED\tBROKEN WITHOUT A SLIP\tMUTANTS\tKILLED\tBREAK ONE ROW ONLY")
	for _, f := range files {
		b, c := r.bases[f], counts[f]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%d\t%d\t%d\n", f, strings.TrimPrefix(b.Name, "base/"), b.Held+len(b.Skipped)+len(b.Broken), len(b.Skipped), orDash(b.Broken), c.made, c.killed, c.alone)
	}
	fmt.Fprintf(w, "all\t\t\t\t\t%d\t%d\t%d\n", total.made, total.killed, total.alone)
	w.Flush()
	fmt.Fprintln(&out)
	w = tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "MUTANT\tROW\tOUTCOME\tALSO BROKEN\tSLIP")
	for i, m := range r.mutants {
		o := r.done[i]
		also := o.also(m.Row)
		how := ""
		if o.How != "" {
			how = " (" + o.How + ")"
		}
		also = strings.TrimPrefix(strings.TrimPrefix(also, how), ", and ")
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\n", m.Name, m.Row, o.Outcome, how, orDash(strings.Fields(also)), m.What)
	}
	w.Flush()
	return out.Bytes()
}

// orDash lists rows; none is a dash.
func orDash(rows []string) string {
	if len(rows) == 0 {
		return "-"
	}
	return strings.Join(rows, " ")
}
