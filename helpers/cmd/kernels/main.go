//go:build linux

// Kernels measures many kernels: it boots each in a guest with counted
// instructions, several times, runs the benchmarks of a static test binary
// there, and sets the kernels side by side.
//
// Usage:
//
//	go tool kernels [flags] eventbench.static KERNEL...
//
// A KERNEL is what go tool eventbench guest takes for -kernel: a series such as 6.12, the path of
// a bzImage or vmlinuz, or a Debian package file.
//
// A boot is the sample: seed n gives it its memory layout, its order of
// benchmarks and every other accident, and a boot with the same seed repeats to
// the last digit. Boots run side by side, one on each CPU: what they count
// does not depend on what else the machine does.
//
// # Where results go
//
//	results/kernels/BUILD/SETTINGS/KERNEL-SHA256/seed-01.txt
//
// BUILD is the start of the test binary's SHA-256, and a kernel is known by its
// content too: one that was rebuilt at the same path is another. A boot's file has one line for each benchmark: the median of -count
// measurements in it. It is written whole or not at all; a boot that is there is
// never made again. What the boot printed is beside it, seed-01.log.
//
// # What is printed
//
// To standard output: benchstat's tables with a column a kernel; then what changed most
// from each kernel to the next. instrs/op, the commonest count of single
// operations, is exact: it is shown under that name only where all boots of
// all kernels agree within their kernel; else it is typical-instrs/op, with its spread.
//
// # Failure
//
// A benchmark that fails, panics or ends its guest costs itself: the others are
// measured in a further boot with the same seed, and the file has of it what
// testing prints: "--- FAIL: " and its message. What failed in the first two boots of a kernel is not
// tried in its others. A boot that fails as a whole is reported with the end of its console,
// and the others go on. Then the tables show what there is, what failed stands after them, and the exit
// status is 1; wrong usage exits with 2, a signal with 128 + its number. The same
// command goes on from there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/printable"
	"eventbench/helpers/results"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the user asks for.
type options struct {
	boots.Settings
	boots   int
	kernels []string
}

const usage = "Usage: go tool kernels [flags] eventbench.static KERNEL...\n\nRuns benchmarks on many kernels in guests with counted instructions.\n\n"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help.Print(stdout, usage, newFlags(new(options)))
	case err != nil:
		fmt.Fprintf(stderr, "kernels: %v (go tool kernels -h tells more)\n", err)
		return 2
	}
	kernels, err := measure(ctx, opts, stderr)
	if ctx.Err() == nil {
		// What there is is shown, whatever a kernel that does not boot lacks.
		measured := slices.DeleteFunc(kernels, func(k *boots.Kernel) bool { _, err := results.Find(k.Dir); return err != nil })
		if len(measured) > 0 {
			err = errors.Join(summarize(ctx, measured, stdout), err)
		}
	}
	var stopped interrupt.Error
	switch {
	case errors.As(err, &stopped):
		fmt.Fprintf(stderr, "kernels: %v; the same command goes on from there\n", err)
		return stopped.Status()
	case err != nil:
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "kernels: %s\n", strings.TrimSuffix(line, "\n"))
		}
		return 1
	}
	return 0
}

// measure makes the boots that are not there yet.
func measure(ctx context.Context, o options, stderr io.Writer) ([]*boots.Kernel, error) {
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "kernels: "+format+"\n", args...) }
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
		say("all %d boots are in %s", o.boots*len(o.kernels), set.Dir)
	} else {
		say("%d of %d boots to go, %d at a time, into %s", len(todo), o.boots*len(o.kernels), o.Jobs, set.Dir)
	}
	return set.Kernels, set.Make(ctx, todo, true, say)
}

func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("kernels", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Bench, o.Benchtime, o.Count = mechanisms.Usual, boots.UsualBenchtime, 1
	o.Flags(fs)
	fs.IntVar(&o.boots, "boots", 6, "boot each kernel `n` times, with seeds 1 to n")
	return fs
}

func parse(args []string) (options, error) {
	var o options
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, err
	}
	if o.boots < 1 {
		return o, fmt.Errorf("-boots=%d: want at least 1", o.boots)
	}
	if fs.NArg() < 2 {
		return o, errors.New("want a static test binary (CGO_ENABLED=0 go test -c -o eventbench.static .) and at least one kernel, such as 6.12")
	}
	o.Binary, o.kernels = fs.Arg(0), fs.Args()[1:]
	for i, k := range o.kernels {
		for _, other := range o.kernels[:i] {
			if boots.Label(k) == boots.Label(other) {
				return o, fmt.Errorf("kernels %s and %s would both be called %s", other, k, boots.Label(k))
			}
		}
	}
	return o, nil
}
