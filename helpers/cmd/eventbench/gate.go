package main

import (
	"context"
	"flag"
	"fmt"
	"io"

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
			format := fs.String("format", "text", "write the report as `text`, markdown or json")
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
				if err := gate.CheckFormat(*format); err != nil {
					return cli.Usage("%w", err)
				}
				report, err := gate.Compare(c.Operands[0], c.Operands[1], o)
				if err != nil {
					if werr := gate.WriteProblems(c.Stdout, *format, gate.Unreadable, gate.Unreadable.ExitCode(), err); werr != nil {
						return fmt.Errorf("%w\n%w", err, werr)
					}
					return err
				}
				if *explain != "" {
					err = report.Explain(c.Stdout, *explain)
				} else {
					err = report.Write(c.Stdout, *format)
				}
				if err != nil {
					return err
				}
				return cli.Exit(report.Outcome.ExitCode())
			}
		},
	}
}

// formats are those of a report.
var formats = []string{"text", "markdown", "json"}
