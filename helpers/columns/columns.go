//go:build linux

// Package columns runs the rows of testdata/behaviours in several places, each
// a column: kernels in guests, gVisor, and this host. It prints the outcomes
// side by side.
package columns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"eventbench/helpers/ci"
	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/shard"
)

// options are what the user asks for.
type options struct {
	binary      string
	columns     []string
	rows        string
	inventories string
	out         ci.Outputs
	output      string
	deviations  bool
	results     string
	jobs        int
	timeout     time.Duration
	shard       shard.Shard // of the columns
}

// errRows means that some rows had the wrong outcome. They have been reported.
var errRows = errors.New("some rows had the wrong outcome")

// Formats are the verb's own formats. Package ci has more.
var Formats = []ci.Format{ci.Own("text", true), ci.Own("markdown", false), ci.Own("counts", true)}

// New defines the flags of the verb behaviours.
func New(fs *flag.FlagSet) cli.Action {
	var o options
	fs.StringVar(&o.rows, "rows", "", "run the rows whose id matches `regexp`, such as '^TFD|EFD-19' (default all)")
	fs.StringVar(&o.inventories, "inventories", "testdata/behaviours", "read the inventories in `directory`")
	o.out.Flags(fs, false, Formats...)
	fs.StringVar(&o.output, "o", "", "write to `file` what would go to standard output")
	fs.BoolVar(&o.deviations, "deviations", false, "print the contents for gvisor.deviations instead of the table")
	fs.StringVar(&o.results, "results", "results", "keep results in `dir`")
	fs.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "run `n` columns at a time")
	fs.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up on a column after this `time`")
	o.shard.Flag(fs)
	return func(ctx context.Context, c *cli.Call) error {
		if err := o.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		return do(ctx, &o, c.Stdout, c.Say)
	}
}

func do(ctx context.Context, o *options, stdout io.Writer, say func(string, ...any)) error {
	if o.output != "" {
		if err := files.Writable(o.output); err != nil {
			return cli.Usage("-o: %w", err)
		}
	}
	if err := o.out.Begin(noRows{ci.NoVerdict("no verdict", "the run has not finished")}, o.results, o.binary, o.inventories); err != nil {
		return cli.Usage("%w", err)
	}
	err := o.table(ctx, stdout, say)
	if err != nil && err != errRows && ctx.Err() == nil {
		err = errors.Join(err, o.out.Files(noRows{ci.NoVerdict("no verdict", err.Error())}))
	}
	return err
}

// table runs the rows and writes what was asked for.
func (o *options) table(ctx context.Context, stdout io.Writer, say func(string, ...any)) error {
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
	columns, err := runColumns(ctx, *o, inv, wanted, say)
	if err != nil || o.shard.Given() {
		return err
	}
	bad := judge(columns, wanted, known, say)
	t := &table{inv: inv, rows: wanted, columns: columns, binary: o.binary}
	var text strings.Builder
	if o.deviations {
		if err := printDeviations(&text, columns, inv, wanted, known); err != nil {
			return err
		}
		err = o.out.Files(t)
	} else {
		err = o.out.Write(&text, t)
	}
	if o.output != "" {
		err = errors.Join(err, files.Write(o.output, []byte(text.String())))
	} else if _, werr := io.WriteString(stdout, text.String()); werr != nil {
		err = errors.Join(err, werr)
	}
	if err == nil && bad && !o.deviations {
		err = errRows
	}
	return err
}

// check checks the flags and stores the operands.
func (o *options) check(operands []string) error {
	switch {
	case o.jobs < 1:
		return fmt.Errorf("-jobs=%d: want at least 1", o.jobs)
	case o.timeout <= 0:
		return fmt.Errorf("-timeout=%v: want more than 0", o.timeout)
	case o.shard.Given() && (o.output != "" || o.deviations || o.out.Given()):
		return errors.New("-shard: a shard shows nothing: -o, -format and -deviations are for the same command without, once merge has put the shards together")
	case o.output != "" && o.out.Into(o.output):
		return fmt.Errorf("-o: %s is the file of a -format too", o.output)
	case len(operands) < 2:
		return errors.New("want a static test binary (CGO_ENABLED=0 go test -c -o behaviours.static ./behaviours) and at least one column: gvisor, host, or a kernel such as 6.12")
	}
	if _, err := regexp.Compile(o.rows); err != nil {
		return fmt.Errorf("-rows: %v", err)
	}
	o.binary, o.columns = operands[0], operands[1:]
	seen := map[string]string{}
	for _, c := range o.columns {
		name, err := columnName(c)
		if err != nil {
			return err
		}
		if other, ok := seen[name]; ok {
			return fmt.Errorf("columns %q and %q would both be called %s", other, c, name)
		}
		seen[name] = c
	}
	if o.out.NamesBuild() && len(o.columns) > 1 {
		return fmt.Errorf("-kcidb-build: each of %s is another build: run one column at a time", strings.Join(o.columns, ", "))
	}
	if o.deviations && seen["gvisor"] == "" {
		return errors.New("-deviations: want gvisor among the columns")
	}
	return nil
}
