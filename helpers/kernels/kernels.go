//go:build linux

// Package kernels compares many kernels. It boots each several times in a guest
// with counted instructions, runs the benchmarks of a static test binary there,
// and prints the kernels side by side.
package kernels

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/results"
)

// options are what the user asks for.
type options struct {
	boots.Settings
	boots   int
	kernels []string
}

// New defines the flags of the verb kernels.
func New(fs *flag.FlagSet) cli.Action {
	var o options
	o.Bench, o.Benchtime, o.Count = mechanisms.Usual, boots.UsualBenchtime, 1
	o.Flags(fs)
	fs.IntVar(&o.boots, "boots", 6, "boot each kernel `n` times, with seeds 1 to n")
	return func(ctx context.Context, c *cli.Call) error {
		if err := o.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		if o.Shard.Given() {
			return boots.MakeShard(ctx, "kernels", o.Settings, o.kernels, 1, o.boots, c.Say)
		}
		kernels, err := measure(ctx, o, c.Say)
		if ctx.Err() == nil {
			// Show what was measured, even if a kernel does not
			// boot.
			measured := slices.DeleteFunc(kernels, func(k *boots.Kernel) bool { _, err := results.Find(k.Dir); return err != nil })
			if len(measured) > 0 {
				err = errors.Join(summarize(ctx, measured, c.Stdout), err)
			}
		}
		return err
	}
}

// measure makes the boots that are still missing.
func measure(ctx context.Context, o options, say func(string, ...any)) ([]*boots.Kernel, error) {
	set, done, err := boots.Open(ctx, o.Settings, o.kernels, say)
	if err != nil {
		return nil, err
	}
	defer done()
	todo, err := set.Missing(1, o.boots)
	if err != nil {
		return nil, err
	}
	if len(todo) == 0 {
		say("all %d boots are in %s already", o.boots*len(o.kernels), set.Dir)
	} else {
		say("%d of %d boots to go, %d at a time, into %s", len(todo), o.boots*len(o.kernels), o.Jobs, set.Dir)
	}
	return set.Kernels, set.Make(ctx, todo, true, say)
}

// check checks the flags and stores the operands.
func (o *options) check(operands []string) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.boots < 1 {
		return fmt.Errorf("-boots=%d: want at least 1", o.boots)
	}
	if len(operands) < 2 {
		return errors.New("want a static test binary (CGO_ENABLED=0 go test -c -o eventbench.static .) and at least one kernel, such as 6.12")
	}
	o.Binary, o.kernels = operands[0], operands[1:]
	seen := make(map[string]string)
	for _, k := range o.kernels {
		c, err := guest.ParseColumn(k)
		if err != nil {
			return err
		}
		if other, ok := seen[c.Label()]; ok {
			return fmt.Errorf("kernels %q and %q would both be called %s", other, k, c.Label())
		}
		seen[c.Label()] = k
	}
	return nil
}
