// Gate compares two sets of benchmark results and exits with a verdict.
//
// Usage:
//
//	go tool gate [flags] OLD NEW
//
// OLD and NEW hold results in the Go benchmark format: each a file, a
// directory of *.txt files (or one below which there is one such), a pattern
// such as 'old-*.txt', or several of these with commas between. Every file is
// one sample: what one process measured, or one boot of a guest. Run the
// benchmarks in several processes rather than with -count, old and new in turn,
// which goes first left to chance:
//
//	for i in $(seq 8); do
//		for arm in $(shuf -e old new); do
//			./$arm.test -test.run '^$' -test.bench . > $arm-r$i.txt
//		done
//	done
//	go tool gate 'old-*.txt' 'new-*.txt'
//
// Files of one directory with rounds in their names, as here, or results with
// lines "round: 3", are compared round by round once there are rounds enough;
// that takes out what drifts on the machine. "go doc eventbench/helpers/gate"
// says how a verdict comes about, and -explain how one did.
//
// # Exit status
//
//	0  pass: no regression beyond a threshold
//	1  a regression
//	2  bad input: no verdict can be drawn; standard error says why
//	3  cannot tell: too few samples (0 with -allow-cannot-tell)
//
// # Thresholds
//
// A rule file has lines UNIT THRESHOLD ACTION [FILTER]; -print-thresholds
// prints the built-in one, which explains itself. The first rule that fits
// decides, those of the -thresholds file before the built-in ones:
//
//	ns/op  10%  gate    /cpus:same
//	ns/op  20%  inform
//
// # What the gate refuses
//
// A benchmark or unit that is in OLD and not in NEW, or not in every sample, unless a rule says of the
// unit that it informs; results that differ in where or how they were measured (-h lists the keys); samples of one
// side that differ in their kernel, its image or the Go version; runs that broke off; files that are not text, or given
// twice; values that are no numbers, costs of nothing or less; times that do not vary; and comparisons of
// which none can fail. -allow, -allow-missing and -allow-equal say what is
// meant to be so.
//
// # Benchmarks that fail
//
// A benchmark that fails in NEW and not in OLD is a regression, whether or not OLD has it. One that fails in both is
// one of which the gate cannot tell. The verdicts on all others are given. To leave it out: -filter.
//
// What costs a tenth of before or less is an improvement that is hard to believe, and the gate says so; with
// -distrust-collapse it cannot tell.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"eventbench/helpers/gate"
	"eventbench/helpers/help"
	"eventbench/helpers/printable"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: go tool gate [flags] OLD NEW

Compares benchmark results: files, directories of *.txt, patterns, or lists of these with commas between.
Exits 0: pass, 1: a regression, 2: bad input, 3: cannot tell.

`

func run(args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	fs := flag.NewFlagSet("gate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var o gate.Options
	o.Flags(fs, "")
	format := fs.String("format", "text", "write the report as `text`, markdown or json")
	explain := fs.String("explain", "", "instead of the report, show every step of the verdicts on the benchmark called `name`")
	printThresholds := fs.Bool("print-thresholds", false, "print the built-in rules and exit")

	bad := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "gate: "+format+"\n", args...)
		return gate.Unreadable.ExitCode()
	}
	var operands []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return help.Print(stdout, usage, fs)
		} else if err != nil {
			return bad("%v (go tool gate -h for help)", err)
		}
		if fs.NArg() == 0 {
			break
		}
		operands, args = append(operands, fs.Arg(0)), fs.Args()[1:]
	}
	if *printThresholds {
		if _, err := io.WriteString(stdout, gate.DefaultThresholds); err != nil {
			return bad("%v", err)
		}
		return 0
	}
	if len(operands) != 2 {
		return bad("want two operands, OLD and NEW, have %d (go tool gate -h for help)", len(operands))
	}
	if err := gate.CheckFormat(*format); err != nil {
		return bad("%v", err)
	}

	report, err := gate.Compare(operands[0], operands[1], o)
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintf(stderr, "gate: %s\n", line)
		}
		exit := gate.Unreadable.ExitCode()
		if err := gate.WriteProblems(stdout, *format, gate.Unreadable, exit, err); err != nil {
			return bad("%v", err)
		}
		return exit
	}
	if *explain != "" {
		err = report.Explain(stdout, *explain)
	} else {
		err = report.Write(stdout, *format)
	}
	if err != nil {
		return bad("%v", err)
	}
	return report.Outcome.ExitCode()
}
