//go:build linux

// Package fidelity measures how much the Go harness adds. It runs the
// benchmarks' loops in Go, and in C from testdata/reference, and compares the
// two.
package fidelity

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/progress"
)

// options are the flags' values.
type options struct {
	bench  *regexp.Regexp
	pairs  int
	time   time.Duration
	n      int
	seed   uint64
	exec   []string
	cc     string
	inline bool
	test   string
	out    string
	limit  time.Duration
}

// defaultN is the number of iterations if all rows share one.
const defaultN = 1000

// minPairs is the fewest pairs for which order statistics give a 95 % interval.
const minPairs = 6

// New defines the flags of the verb fidelity.
func New(fs *flag.FlagSet) cli.Action {
	o := &options{bench: regexp.MustCompile("."), pairs: 10, time: 40 * time.Millisecond, seed: 1, cc: "cc", limit: 10 * time.Minute}
	if cc := os.Getenv("CC"); cc != "" {
		o.cc = cc
	}
	fs.Func("bench", "compare the rows that match `regexp` (default all)", func(s string) (err error) {
		o.bench, err = regexp.Compile(s)
		return err
	})
	fs.IntVar(&o.pairs, "pairs", o.pairs, "measure each row `n` times on either side")
	fs.DurationVar(&o.time, "time", o.time, "choose each row's iterations to take this `time`")
	fs.IntVar(&o.n, "n", 0, fmt.Sprintf("make `n` iterations for every row instead (with -exec the default: %d)", defaultN))
	fs.Uint64Var(&o.seed, "seed", o.seed, "draw the order from seed `n`")
	fs.Func("exec", "run both programs by `command`, such as 'go tool eventbench guest -kernel 6.12 -seed {pair}'", func(s string) error {
		if o.exec = strings.Fields(s); len(o.exec) == 0 {
			return errors.New("the command is empty")
		}
		return nil
	})
	fs.Func("kernel", "run both programs in guests that count instructions, with this `kernel` (a series such as 6.12, or a file) and a new seed for each pair", func(s string) error {
		if s == "" {
			return errors.New("the kernel is empty")
		}
		o.exec = []string{"go", "tool", "eventbench", "guest", "-kernel=" + s, "-accel", "tcg", "-clock", "instrs", "-seed", "{pair}"}
		return nil
	})
	fs.StringVar(&o.cc, "cc", o.cc, "compile with this C `compiler` (default $CC if set)")
	fs.BoolVar(&o.inline, "inline", false, "make C's calls without the C library")
	fs.StringVar(&o.test, "test", "", "measure this test `binary` instead of building one")
	fs.StringVar(&o.out, "o", "", "write all figures to `file` (default results/fidelity/KERNEL-CLOCK-C.txt)")
	fs.DurationVar(&o.limit, "limit", o.limit, "give up on a process after this `time`")
	return func(ctx context.Context, c *cli.Call) error {
		if err := o.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		p := c.Progress()
		err := compare(ctx, o, c.Stdout, p)
		p.Clear()
		if ctx.Err() != nil {
			return fmt.Errorf("%w: no results were kept", context.Cause(ctx))
		}
		return err
	}
}

func (o *options) check(operands []string) error {
	switch {
	case len(operands) > 0:
		return fmt.Errorf("want flags only, have %q", operands)
	case o.pairs < 1:
		return fmt.Errorf("-pairs %d: want at least 1", o.pairs)
	case o.exec == nil && o.pairs < minPairs:
		return fmt.Errorf("-pairs %d: want at least %d, fewer give no 95 %% interval", o.pairs, minPairs)
	case o.n < 0:
		return fmt.Errorf("-n %d: want at least 1", o.n)
	case o.time <= 0:
		return fmt.Errorf("-time %v: want more than 0", o.time)
	case o.limit <= 0:
		return fmt.Errorf("-limit %v: want more than 0", o.limit)
	}
	if o.exec != nil && o.n == 0 {
		o.n = defaultN
	}
	return nil
}

// compare does all the work and prints the table.
func compare(ctx context.Context, o *options, stdout io.Writer, p *progress.Progress) error {
	var chosen []mechanisms.Row
	for _, r := range rows {
		if o.bench.MatchString(r.Name) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return cli.Usage("-bench %v: matches no row; there are %s", o.bench, strings.Join(names(rows), ", "))
	}
	place := filepath.Join("results", "fidelity")
	if o.out != "" {
		place = filepath.Dir(o.out)
	}
	if err := files.MakeDir(place); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fidelity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	p.Step("building")
	sides, err := build(ctx, o, dir)
	if err != nil {
		return err
	}
	m := &measurement{options: o, sides: sides, progress: p}
	if err := m.prepare(ctx, chosen); err != nil {
		return err
	}
	if err := m.measure(ctx); err != nil {
		return err
	}
	p.Clear()
	over := m.table(stdout)
	out, err := m.write(place)
	if err != nil {
		return err
	}
	p.Say("all figures: go tool benchstat -col 'impl@(c go)' %s", out)
	if len(over) > 0 {
		return fmt.Errorf("above the highest acceptable ratio: %s", strings.Join(over, ", "))
	}
	return nil
}
