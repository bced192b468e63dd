package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"eventbench/helpers/ci"
	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
)

func gateVerb() *cli.Verb {
	return &cli.Verb{
		Manual:  manual("gate"),
		Failure: gate.Unreadable.ExitCode(),
		Values:  map[string][]string{"format": formats},
		New: func(fs *flag.FlagSet) cli.Action {
			var o gate.Options
			o.Flags(fs, "")
			var out ci.Outputs
			out.Flags(fs, true, gate.Formats...)
			explain := fs.String("explain", "", "instead of the report, show every step of the verdicts on the benchmark called `name`")
			printThresholds := fs.Bool("print-thresholds", false, "print the built-in rules and exit")
			return func(_ context.Context, c *cli.Call) error {
				if *printThresholds {
					_, err := io.WriteString(c.Stdout, gate.DefaultThresholds)
					return err
				}
				if len(c.Operands) != 2 {
					return cli.Usage("want two operands, OLD and NEW, have %d", len(c.Operands))
				}
				if err := out.Begin(gate.Unfinished, "", c.Operands...); err != nil {
					return cli.Usage("%w", err)
				}
				report, err := gate.Compare(c.Operands[0], c.Operands[1], o)
				if err != nil {
					return errors.Join(err, out.Write(c.Stdout, gate.WhyNot(gate.Unreadable, gate.Unreadable.ExitCode(), err)))
				}
				if *explain != "" {
					err = errors.Join(report.Explain(c.Stdout, *explain), out.Files(report))
				} else {
					err = out.Write(c.Stdout, report)
				}
				if err != nil {
					return err
				}
				return cli.Exit(report.Outcome.ExitCode())
			}
		},
	}
}

// formats are those of a verdict on benchmarks.
var formats = ci.Names(gate.Formats, true)
