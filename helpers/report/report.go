// Package report prints tables of benchmark results. benchstat makes all of
// them except growth's.
package report

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/perf/benchproc"
)

// NewSummary returns the verb summary.
func NewSummary(*flag.FlagSet) cli.Action {
	return func(ctx context.Context, c *cli.Call) error {
		inputs, err := loadOne(c)
		if err != nil {
			return err
		}
		if err := compare(ctx, inputs, nil, c.Stdout, c.Say); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(c.Stdout); err != nil {
			return err
		}
		filter, err := benchproc.NewFilter(usual)
		if err != nil {
			return err
		}
		err = headline(ctx, inputs[0], filter, c.Stdout)
		if errors.Is(err, errNoPair) {
			c.Say("no headline: %v", err)
		} else if err != nil {
			return err
		}
		return failures(inputs, c.Stdout)
	}
}

// NewHeadline defines the flags of the verb headline.
func NewHeadline(fs *flag.FlagSet) cli.Action {
	expr := fs.String("filter", "", "show the benchmarks that `expr` matches, in benchstat's syntax, such as '/peer:thread' or '*' (default peer=process on one CPU)")
	return func(ctx context.Context, c *cli.Call) error {
		filter, err := benchproc.NewFilter(cmp.Or(*expr, usual))
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n") // the rest points into the expression
			return cli.Usage("-filter: %s", why)
		}
		inputs, err := loadOne(c)
		if err != nil {
			return err
		}
		if err := headline(ctx, inputs[0], filter, c.Stdout); err != nil {
			return err
		}
		return failures(inputs, c.Stdout)
	}
}

// NewCompare defines the flags of the verb compare.
func NewCompare(fs *flag.FlagSet) cli.Action {
	var across []string
	fs.Func("across", "compare results although these comma-separated `keys` differ, such as sandbox or cpu", func(list string) (err error) {
		across, err = parseAcross(list)
		return err
	})
	longest := fs.Int("most", 0, "list the `n` benchmarks whose cost grew most")
	return func(ctx context.Context, c *cli.Call) error {
		switch n := len(c.Operands); {
		case n < 2:
			return cli.Usage("want OLD and NEW, have %q: make compare OLD=results/a NEW=results/b", c.Operands)
		case *longest < 0 || *longest > 0 && n != 2:
			return cli.Usage("-most %d: want at least 0, and exactly two results to compare", *longest)
		}
		inputs, err := loadAll(c)
		if err != nil {
			return err
		}
		if err := compare(ctx, inputs, across, c.Stdout, c.Say); err != nil {
			return err
		}
		if *longest > 0 {
			most(inputs, labels(inputs), *longest, c.Stdout)
		}
		return failures(inputs, c.Stdout)
	}
}

// NewGrowth returns the verb growth.
func NewGrowth(*flag.FlagSet) cli.Action {
	return func(_ context.Context, c *cli.Call) error {
		if len(c.Operands) == 0 {
			return cli.Usage("want files or directories of results")
		}
		inputs, err := loadAll(c)
		if err != nil {
			return err
		}
		if err := growth(inputs, c.Stdout); err != nil {
			return err
		}
		return failures(inputs, c.Stdout)
	}
}

func loadOne(c *cli.Call) ([]*input, error) {
	if len(c.Operands) != 1 {
		return nil, cli.Usage("want one file or directory, have %q", c.Operands)
	}
	return loadAll(c)
}

func loadAll(c *cli.Call) ([]*input, error) {
	var inputs []*input
	for _, arg := range c.Operands {
		in, err := load(arg, c.Say)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// failures prints the benchmarks that failed, below the figures of the others.
// It returns an error if there are any.
func failures(inputs []*input, stdout io.Writer) error {
	failed := 0
	for _, in := range inputs {
		var out bytes.Buffer
		n := samples.PrintFailures(&out, in.read)
		if n > 0 {
			fmt.Fprintf(stdout, "\n%s: %s", in.arg, &out)
		}
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%s failed and so have missing figures: see above", samples.Counted(failed, "benchmark"))
	}
	return nil
}

// parseAcross parses a comma-separated list of keys that otherwise must agree.
func parseAcross(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	keys := strings.Split(list, ",")
	for _, key := range keys {
		if known := results.Allowable(); !slices.Contains(known, key) {
			return nil, fmt.Errorf("want keys out of %s", strings.Join(known, ", "))
		}
	}
	return keys, nil
}
