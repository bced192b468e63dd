//go:build linux

// Fidelity measures what the Go harness adds: it runs the benchmarks' loops in Go and,
// from testdata/reference, in C, and prints the ratio of the two.
//
// Usage:
//
//	go tool fidelity [flags]
//
// The C program is compiled and the test binary built at the start. Then each
// row is measured in pairs, a fresh process for either side, one right after
// the other, in an order drawn from the seed, so that what slows the machine
// down for a while slows both. Either side pins its measured threads to the
// same CPU. The number of iterations is the same for both sides and all pairs.
//
// A row's ratio is the median of the pairs' ratios, with the 95 % interval
// that order statistics give, and is held against the most that a harness
// without needless cost would reach:
//
//	ok       the whole interval is no more than that
//	over     the whole interval is more
//	unclear  the interval holds both: a quieter machine or more -pairs would tell
//
// The exit status is 1 if a row is over or could not be measured, 2 for wrong
// usage. All figures are also written to a file in the Go benchmark format, to be
// read with
//
//	go tool benchstat -col 'impl@(c go)' FILE
//
// # Which C
//
// The C side makes its calls as C programs do, through the C library's
// syscall(2), and the ratios to reach are for that. With -inline it makes them
// without, by the instruction itself: the fastest C there can be. Entering the kernel
// alone then takes a third less on processors whose predictions of returns the
// kernel clears, as Go's executor has no return instruction either.
//
// # Elsewhere
//
// With -exec the two programs are run by another, as with go test -exec: in a
// guest, under gVisor. It is given the program and its arguments, and {pair}
// in the command stands for the pair's number. Since starting it is slow, one
// process then measures all rows, with the same number of iterations for
// each (-n):
//
//	go tool fidelity -kernel 6.12
//
// or, with flags of one's own,
//
//	go tool fidelity -exec 'go tool eventbench guest -kernel 6.12 -seed {pair}'
//
// Where instructions are counted the ratio is that of instructions per
// operation, and Go-C is how many of them Go adds. make fidelity KERNEL=6.12 does this. Most operations take one number of instructions nearly always. For
// these a pair or two are enough, and the range seen takes the place of the
// interval. Round trips are not so regular: they differ between boots by
// some hundred instructions, so that they need pairs of different seeds as on
// the host.
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
	"strings"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/printable"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the flags say.
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

// defaultN is the number of iterations where one number serves all rows.
const defaultN = 1000

// minPairs is the least from which order statistics give a 95 % interval.
const minPairs = 6

func newFlags(o *options) *flag.FlagSet {
	*o = options{bench: regexp.MustCompile("."), pairs: 10, time: 40 * time.Millisecond, seed: 1, cc: "cc", limit: 10 * time.Minute}
	if cc := os.Getenv("CC"); cc != "" {
		o.cc = cc
	}
	fs := flag.NewFlagSet("fidelity", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("bench", "compare the rows that match `regexp` (default all)", func(s string) (err error) {
		o.bench, err = regexp.Compile(s)
		return err
	})
	fs.IntVar(&o.pairs, "pairs", o.pairs, "measure each row `n` times on either side")
	fs.DurationVar(&o.time, "time", o.time, "choose the iterations of a row so that they take this `time`")
	fs.IntVar(&o.n, "n", 0, fmt.Sprintf("make `n` iterations for every row instead (with -exec the default: %d)", defaultN))
	fs.Uint64Var(&o.seed, "seed", o.seed, "draw the order from seed `n`")
	fs.Func("exec", "run both programs by `command`, such as 'go tool eventbench guest -kernel 6.12 -seed {pair}'", func(s string) error {
		if o.exec = strings.Fields(s); len(o.exec) == 0 {
			return errors.New("the command is empty")
		}
		return nil
	})
	fs.Func("kernel", "run both programs in guests of this `kernel` that count instructions, a seed a pair: a series such as 6.12, or a file", func(s string) error {
		if s == "" {
			return errors.New("the kernel is empty")
		}
		o.exec = []string{"go", "tool", "eventbench", "guest", "-kernel=" + s, "-accel", "tcg", "-clock", "instrs", "-seed", "{pair}"}
		return nil
	})
	fs.StringVar(&o.cc, "cc", o.cc, "compile with this C `compiler`; $CC is the default where set")
	fs.BoolVar(&o.inline, "inline", false, "have C make its calls without the C library")
	fs.StringVar(&o.test, "test", "", "measure this test `binary` instead of building one")
	fs.StringVar(&o.out, "o", "", "write all figures to `file` (default results/fidelity/KERNEL-CLOCK-C.txt)")
	fs.DurationVar(&o.limit, "limit", o.limit, "give up on a process that has not ended after this `time`")
	return fs
}

func parse(args []string) (*options, error) {
	o := new(options)
	fs := newFlags(o)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("want flags only, have %q", fs.Args())
	case o.pairs < 1:
		return nil, fmt.Errorf("-pairs %d: want at least 1", o.pairs)
	case o.exec == nil && o.pairs < minPairs:
		return nil, fmt.Errorf("-pairs %d: want at least %d, fewer give no 95 %% interval", o.pairs, minPairs)
	case o.n < 0:
		return nil, fmt.Errorf("-n %d: want at least 1", o.n)
	case o.time <= 0:
		return nil, fmt.Errorf("-time %v: want more than 0", o.time)
	case o.limit <= 0:
		return nil, fmt.Errorf("-limit %v: want more than 0", o.limit)
	}
	if o.exec != nil && o.n == 0 {
		o.n = defaultN
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help.Print(stdout, "Usage: go tool fidelity [flags]\n\nCompares the benchmarks' loops with the same loops in C.\n\n", newFlags(new(options)))
	case err != nil:
		fmt.Fprintf(stderr, "fidelity: %v (go tool fidelity -h tells more)\n", err)
		return 2
	}
	p := newProgress(stderr)
	err = compare(ctx, o, stdout, p)
	p.clear()
	var stopped interrupt.Error
	switch {
	case errors.As(context.Cause(ctx), &stopped):
		fmt.Fprintf(stderr, "fidelity: %v: no results were kept\n", stopped)
		return stopped.Status()
	case err != nil:
		fmt.Fprintf(stderr, "fidelity: %v\n", err)
		return 1
	}
	return 0
}

// compare does all the work and prints the table.
func compare(ctx context.Context, o *options, stdout io.Writer, p *progress) error {
	var chosen []mechanisms.Row
	for _, r := range rows {
		if o.bench.MatchString(r.Name) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-bench %v matches no row; the rows are\n\t%s", o.bench, strings.Join(names(rows), "\n\t"))
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

	p.show("building")
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
	p.clear()
	over := m.table(stdout)
	out, err := m.write(place)
	if err != nil {
		return err
	}
	p.say("all figures: go tool benchstat -col 'impl@(c go)' %s", out)
	if len(over) > 0 {
		return fmt.Errorf("over what they may reach at most: %s", strings.Join(over, ", "))
	}
	return nil
}
