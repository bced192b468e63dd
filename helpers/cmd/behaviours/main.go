//go:build linux

// Behaviours runs the rows of testdata/behaviours on kernels in guests, under gVisor
// and here, and sets the results side by side.
//
// Usage:
//
//	go tool behaviours [flags] behaviours.static COLUMN...
//
// A COLUMN is gvisor, host, or what go tool eventbench guest takes for -kernel: a series such as 6.12,
// the path of a bzImage or vmlinuz, or a Debian package file. The rows are those of the
// inventories; behaviours.static is a static test binary that has a test for each.
// A row that is in no test, or a test that has none of the rows, is an error.
//
// Guests count instructions (go tool eventbench guest -clock instrs), so that what a row waits for is a
// time of the guest's, however busy the machine is. A row whose needs are NAME=VALUE, because it suspends the
// machine, gets a guest of its own with that in its environment and a clock that goes on. Columns run side by side,
// -jobs at a time.
//
// # Where results go
//
//	results/behaviours/BUILD/ROWS/COLUMN.txt
//
// BUILD is the start of the test binary's SHA-256, and the column's name has what its kernel is known by. The file
// is what the test binary printed, written whole once all rows have a result: a column that is there is not run
// again. What ends before, because the guest or the test binary broke, is in COLUMN.log;
// the rows that were not reached are then run once more in a new guest, without the one that broke it.
//
// # What is printed
//
// A table, first of the rows that are not the same in all columns, and then how many of each mechanism's
// rows ended how:
//
//	pass            the row holds
//	pass in part    it does, as far as it can be checked there
//	DEVIATES        it does not
//	known           it does not, as testdata/behaviours/gvisor.deviations has it
//	absent          its subject is not in this kernel
//	skip CLASS      it cannot be checked there: privilege, limit, seccomp, other
//	BROKE           it ended the test binary, the sandbox or the guest
//	-               no result
//
// -format markdown prints the same for a page, -format counts only how many rows ended how.
//
// # Deviations of gVisor
//
// testdata/behaviours/gvisor.deviations has a line for each row that gVisor is known to break, with the first thing
// that the row complained of, after "sometimes: " where it is broken in some runs only. -deviations prints what that file would be after this run, to be looked at and committed.
//
// # Exit status
//
// 0 if all rows held or were skipped, and gVisor deviates as recorded. 1 if a row failed, has no result, deviates and is not recorded, or is
// recorded, not as sometimes, and holds: each is named on standard error. 2 for wrong usage; 128 and its number for a signal: the
// same command goes on from there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the user asks for.
type options struct {
	binary      string
	columns     []string
	rows        string
	inventories string
	format      string
	output      string
	deviations  bool
	results     string
	jobs        int
	timeout     time.Duration
}

// errRows says that rows did not come out as they must; which has been told.
var errRows = errors.New("not all rows came out as they must")

const usage = "Usage: go tool behaviours [flags] behaviours.static COLUMN...\n\n" +
	"Runs the rows of testdata/behaviours on kernels, under gVisor (gvisor) and here (host).\n\n"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "behaviours: "+format+"\n", args...) }
	o, err := parseArgs(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help.Print(stdout, usage, newFlags(new(options)))
	case err != nil:
		say("%v (go tool behaviours -h tells more)", err)
		return 2
	}
	err = do(ctx, o, stdout, say)
	var stopped interrupt.Error
	switch {
	case errors.As(err, &stopped):
		say("%v; the same command goes on from there", err)
		return stopped.Status()
	case err != nil:
		say("%v", err)
		return 1
	}
	return 0
}

func do(ctx context.Context, o options, stdout io.Writer, say func(string, ...any)) error {
	if o.output != "" {
		if err := files.Writable(o.output); err != nil {
			return fmt.Errorf("-o: %w", err)
		}
	}
	inv, err := readInventories(o.inventories)
	if err != nil {
		return err
	}
	wanted, err := inv.match(o.rows)
	if err != nil {
		return err
	}
	if err := checkTests(ctx, o.binary, inv); err != nil {
		return err
	}
	known, err := readDeviations(filepath.Join(o.inventories, deviationsFile), inv)
	if err != nil {
		return err
	}
	columns, err := runColumns(ctx, o, inv, wanted, say)
	if err != nil {
		return err
	}
	bad := judge(columns, wanted, known, say)
	var text strings.Builder
	switch {
	case o.deviations:
		if err := printDeviations(&text, columns, inv, wanted, known); err != nil {
			return err
		}
	case o.format == "counts":
		for _, c := range columns {
			fmt.Fprintf(&text, "%s: %s\n", c.name, c.counts(wanted))
		}
	default:
		(&table{inv: inv, rows: wanted, columns: columns, markdown: o.format == "markdown"}).print(&text)
	}
	if o.output != "" {
		err = files.Write(o.output, []byte(text.String()))
	} else {
		_, err = io.WriteString(stdout, text.String())
	}
	if err == nil && bad && !o.deviations {
		err = errRows
	}
	return err
}

func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("behaviours", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.rows, "rows", "", "run the rows whose id matches `regexp`, such as '^TFD|EFD-19'; all by default")
	fs.StringVar(&o.inventories, "inventories", "testdata/behaviours", "the `directory` of the inventories")
	fs.StringVar(&o.format, "format", "text", "print the table as `text` or markdown, or only the counts of how rows ended")
	fs.StringVar(&o.output, "o", "", "write what would be printed to `file`")
	fs.BoolVar(&o.deviations, "deviations", false, "print the lines for gvisor.deviations in place of the table")
	fs.StringVar(&o.results, "results", "results", "keep results under `dir`")
	fs.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "run `n` columns at a time")
	fs.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up on a column after this `time`")
	return fs
}

func parseArgs(args []string) (options, error) {
	var o options
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.format != "text" && o.format != "markdown" && o.format != "counts":
		return o, fmt.Errorf("-format=%s: want text, markdown or counts", o.format)
	case o.jobs < 1:
		return o, fmt.Errorf("-jobs=%d: want at least 1", o.jobs)
	case o.timeout <= 0:
		return o, fmt.Errorf("-timeout=%v: want more than 0", o.timeout)
	case fs.NArg() < 2:
		return o, errors.New("want a static test binary (CGO_ENABLED=0 go test -c -o behaviours.static ./behaviours) and at least one column: gvisor, host, or a kernel such as 6.12")
	}
	if _, err := regexp.Compile(o.rows); err != nil {
		return o, fmt.Errorf("-rows: %v", err)
	}
	o.binary, o.columns = fs.Arg(0), fs.Args()[1:]
	seen := map[string]string{}
	for _, c := range o.columns {
		name := columnName(c)
		if other, ok := seen[name]; ok {
			return o, fmt.Errorf("columns %s and %s would both be called %s", other, c, name)
		}
		seen[name] = c
	}
	if o.deviations && seen["gvisor"] == "" {
		return o, errors.New("-deviations: want gvisor among the columns")
	}
	return o, nil
}
