// Report prints tables of benchmark results. Every table but that of growth is benchstat's.
//
// Usage:
//
//	go tool report summary RESULTS
//	go tool report headline [-filter expr] RESULTS
//	go tool report compare [-across keys] [-most n] OLD NEW...
//	go tool report growth RESULTS...
//
// RESULTS, OLD and NEW are files in the Go benchmark format or directories of
// such files (*.txt), as go tool rounds makes them; a directory with a single
// set somewhere below it stands for that set. Files of one directory are
// samples of the same thing, a file a sample: what a benchmark was measured
// several times in one of them (-count) counts as its median.
//
// A benchmark that failed in a sample has no figure of it, so that n is less.
// What failed is listed after the tables, with its message and the command
// that runs it alone, and the exit status is 1.
//
// Summary shows each benchmark's median and its 95 % interval, all units, and
// then the headline if there is one.
//
// Headline shows eventfd against every other mechanism that was measured doing
// the same operation in the same topology: a row for each, eventfd's figure,
// the other's, and the difference. Of the topologies it shows those between
// processes on one CPU; -filter, in benchstat's syntax, asks for others:
// '/peer:thread /cpus:cross', or '*' for all.
//
// Compare shows what has changed between OLD and NEW, such as two kernels or
// two runs. Above the table it says in what else the two differ. With -most, it lists
// below it the n benchmarks that cost most more in NEW, of those whose samples
// do not overlap.
//
// Growth shows how figures grow with the numbers in the names of benchmarks
// (registered=1000), of those called …Growth and …Wake: a row for each figure and number
// that took three values or more, a column for each of RESULTS. "312 ns" does
// not grow; "300 ns + 25 ns · n" grows by 25 ns with each, n being what is under "by"; "· log₂ n"
// with each doubling; "300 ns … 5.1 µs", from the smallest n to the largest, or "300 ns to 5.1 µs", in between, by none of these
// laws: a law is shown only if every figure is within a quarter of it, a tenth for instructions and
// bytes. Below it stands from how many descriptors on poll and select cost more than epoll_wait.
//
// # What is refused
//
// A file that cannot be read, is empty, not benchmark format, or breaks off.
// And figures that must not stand side by side: those that differ in where or
// how they were measured, by the table of keys in package results. Except for
// clock, whose units have nothing in common, -across (a comma-separated list)
// allows a difference that is the very thing to be looked at, such as sandbox.
//
// The exit status is 0 if the table was printed, 1 if not, 2 for wrong usage.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/perf/benchproc"
)

const usage = `Usage:
	go tool report summary RESULTS                    each benchmark, then the headline
	go tool report headline [-filter expr] RESULTS    eventfd against the others
	go tool report compare [-across keys] [-most n] OLD NEW...
	                                                  what changed; the n that cost most more
	go tool report growth RESULTS...                  what grows, and how

Each argument is a file in the Go benchmark format or a directory of them (*.txt).
-across lets the figures differ in keys in which they must agree otherwise, such as sandbox or cpu.
-filter shows other topologies than peer=process on one CPU, such as '/peer:thread', or '*'.
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage wraps the errors of wrong usage.
var errUsage = errors.New("go tool report -h tells the usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	err := report(ctx, args, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "report: %v\n", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func report(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var across []string
	longest := 0
	filter, err := benchproc.NewFilter(usual)
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	verb := ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "compare":
		fs.Func("across", "", func(list string) (err error) {
			across, err = parseAcross(list)
			return err
		})
		fs.IntVar(&longest, "most", 0, "")
	case "headline":
		fs.Func("filter", "", func(expr string) (err error) {
			filter, err = benchproc.NewFilter(cmp.Or(expr, usual))
			return err
		})
	case "summary", "growth":
	case "-h", "-help", "--help", "help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("want summary, headline, compare or growth, have %q (%w)", verb, errUsage)
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%s: %w (%w)", verb, err, errUsage)
	}
	switch n := fs.NArg(); {
	case verb == "compare" && n < 2:
		return fmt.Errorf("compare: want OLD and NEW, have %q: make compare OLD=results/a NEW=results/b (%w)", fs.Args(), errUsage)
	case longest < 0 || longest > 0 && n != 2:
		return fmt.Errorf("compare: -most %d: want a number of benchmarks, and two results to compare (%w)", longest, errUsage)
	case verb == "growth" && n < 1:
		return fmt.Errorf("growth: want files or directories of results (%w)", errUsage)
	case verb != "compare" && verb != "growth" && n != 1:
		return fmt.Errorf("%s: want one file or directory, have %q (%w)", verb, fs.Args(), errUsage)
	}

	var inputs []*input
	for _, arg := range fs.Args() {
		in, err := load(arg, stderr)
		if err != nil {
			return err
		}
		inputs = append(inputs, in)
	}
	switch verb {
	case "headline":
		if err := headline(ctx, inputs[0], filter, stdout); err != nil {
			return err
		}
		return failures(inputs, stdout)
	case "growth":
		if err := growth(inputs, stdout); err != nil {
			return err
		}
		return failures(inputs, stdout)
	}
	if err := compare(ctx, inputs, across, stdout, stderr); err != nil {
		return err
	}
	if longest > 0 {
		most(inputs, labels(inputs), longest, stdout)
	}
	if verb == "summary" {
		fmt.Fprintln(stdout)
		err = headline(ctx, inputs[0], filter, stdout)
		if errors.Is(err, errNoPair) {
			fmt.Fprintf(stderr, "report: no headline: %v\n", err)
		} else if err != nil {
			return err
		}
	}
	return failures(inputs, stdout)
}

// failures prints what has no figure because it failed, after all figures that there
// are, and is an error if there is any.
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
		return fmt.Errorf("%s failed, and so lack figures: see above", samples.Counted(failed, "benchmark"))
	}
	return nil
}

// parseAcross parses a comma-separated list of keys that must agree otherwise.
func parseAcross(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	keys := strings.Split(list, ",")
	for _, key := range keys {
		if known := results.Allowable(); !slices.Contains(known, key) {
			return nil, fmt.Errorf("want keys of %s", strings.Join(known, ", "))
		}
	}
	return keys, nil
}
