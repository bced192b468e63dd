//go:build linux

// Package mutants checks the tests of behaviours by mutation testing. It builds
// kernels with one mutation each, and checks that the row's test fails on it.
package mutants

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/guest"
	"eventbench/helpers/kbuild"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
	"eventbench/helpers/shard"
)

// resultsFile is the name of the table, in the directory of the mutants.
const resultsFile = "results.txt"

// options are the settings that the user asked for.
type options struct {
	dir     string
	run     string
	results string
	table   string
	jobs    int
	timeout time.Duration
	keep    bool
	program string
	shard   shard.Shard // of the mutants
}

// New defines the flags of the verb mutants.
func New(fs *flag.FlagSet) cli.Action {
	var o options
	fs.StringVar(&o.dir, "mutants", filepath.Join("testdata", "mutants"), "read the mutants in `dir`")
	fs.StringVar(&o.run, "run", "", "test only mutants whose name or row matches `regexp`")
	fs.StringVar(&o.results, "results", "results", "keep results in `dir`")
	fs.StringVar(&o.table, "o", "", "also write the table to `file`")
	fs.IntVar(&o.jobs, "jobs", 1, "run `n` guests at a time, while the next kernel is built")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Minute, "stop a guest after this `time`")
	fs.BoolVar(&o.keep, "keep", false, "keep mutants killed by an earlier test binary as killed")
	o.shard.Flag(fs)
	return func(ctx context.Context, c *cli.Call) error {
		only, err := regexp.Compile(o.run)
		switch {
		case len(c.Operands) != 1:
			return cli.Usage("want one argument, a static test binary (make behaviours.static)")
		case o.jobs < 1:
			return cli.Usage("-jobs=%d: want at least 1", o.jobs)
		case o.timeout <= 0:
			return cli.Usage("-timeout=%v: want more than 0", o.timeout)
		case err != nil:
			return cli.Usage("-run: %w", err)
		case o.shard.Given() && o.table != "":
			return cli.Usage("-o: a shard has no table: the same command without -shard writes it, once merge has put the shards together")
		}
		if o.table != "" {
			if err := files.Writable(o.table); err != nil {
				return cli.Usage("-o: %w", err)
			}
		}
		o.program = c.Operands[0]
		p := c.Progress()
		failed, err := find(ctx, o, only, c.Stdout, p)
		p.Clear()
		if err == nil && failed {
			return cli.Exit(1)
		}
		return err
	}
}

// find tests the mutants and prints the table. failed is true if a mutant was
// not killed.
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
		return false, cli.Usage("-run %s: matches none of %d mutants", o.run, len(all))
	}
	if r.binary, err = results.Hash(o.program); err != nil {
		return false, err
	}
	// Report a bad program before building anything.
	program, err := guest.LoadProgram(o.program, nil, ".")
	if err != nil {
		return false, err
	}
	if program.Arch() != guest.AMD64 {
		return false, fmt.Errorf("%s: a program for %s, but mutants are kernels for %s", o.program, program.Arch(), guest.AMD64)
	}
	if r.qemu, err = guest.FindQEMU(ctx, guest.AMD64, ""); err != nil {
		return false, err
	}
	cache, err := guest.UserCache()
	if err != nil {
		return false, err
	}
	if r.init, err = guest.FindInit(ctx, cache, guest.AMD64, p.Say); err != nil {
		return false, err
	}
	if r.tree, err = kbuild.Open(ctx, kbuild.Source{Series: kbuild.DefaultSeries}, p); err != nil {
		return false, err
	}
	if o.shard.Given() {
		return false, r.makeShard(ctx)
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

// tabulate formats the outcomes: counts for each source file, then a line for
// each mutant.
func (r *run) tabulate() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Mutants of linux %s, Debian's source, on one emulated processor, tested on %s.\n\n", r.tree.Version, time.Now().Format("2 January 2006"))
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
	fmt.Fprintln(w, "FILE\tTESTS\tROWS\tSKIPPED\tBROKEN UNMUTATED\tMUTANTS\tKILLED\tBREAK ONE ROW ONLY")
	for _, f := range files {
		b, c := r.bases[f], counts[f]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%d\t%d\t%d\n", f, strings.TrimPrefix(b.Name, "base/"), b.Held+len(b.Skipped)+len(b.Broken), len(b.Skipped), orDash(b.Broken), c.made, c.killed, c.alone)
	}
	fmt.Fprintf(w, "all\t\t\t\t\t%d\t%d\t%d\n", total.made, total.killed, total.alone)
	w.Flush()
	fmt.Fprintln(&out)
	w = tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "MUTANT\tROW\tOUTCOME\tALSO BROKEN\tMUTATION")
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

// orDash joins rows, or returns a dash if there are none.
func orDash(rows []string) string {
	if len(rows) == 0 {
		return "-"
	}
	return strings.Join(rows, " ")
}
