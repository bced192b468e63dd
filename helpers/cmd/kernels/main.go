//go:build linux

// Kernels measures many kernels: it boots each in a guest with counted
// instructions, several times, runs the benchmarks of a static test binary
// there, and sets the kernels side by side.
//
// Usage:
//
//	go tool kernels [flags] eventbench.static KERNEL...
//
// A KERNEL is what go tool guest takes for -kernel: a series such as 6.12, the path of
// a bzImage or vmlinuz, or a Debian package file.
//
// A boot is the sample: seed n gives it its memory layout, its order of
// benchmarks and every other accident, and a boot with the same seed repeats to
// the last digit. Boots run side by side, one on each CPU: what they count
// does not depend on what else the machine does.
//
// # Where results go
//
//	results/kernels/BUILD/SETTINGS/KERNEL/seed-01.txt
//
// A boot's file has one line for each benchmark: the median of -count
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
// A boot that fails is reported with the end of its console, the others go on, and the exit
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
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"eventbench/helpers/interrupt"
	"eventbench/helpers/results"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the user asks for.
type options struct {
	bench     string
	benchtime string
	count     int
	boots     int
	jobs      int
	results   string
	guest     string
	timeout   time.Duration
	binary    string
	kernels   []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "kernels: %v (go tool kernels -h tells more)\n", err)
		return 2
	}
	dirs, err := measure(ctx, opts, stderr)
	if err == nil {
		err = summarize(ctx, dirs, stdout)
	}
	var stopped interrupt.Error
	switch {
	case errors.As(err, &stopped):
		fmt.Fprintf(stderr, "kernels: %v; the same command goes on from there\n", err)
		return stopped.Status()
	case err != nil:
		fmt.Fprintf(stderr, "kernels: %v\n", err)
		return 1
	}
	return 0
}

// usual are the operations whose instructions say most about a kernel, a third of
// all benchmarks: what one thread does alone, and round trips between processes. A
// stream's figure depends on who runs when, and threads' round trips
// differ from processes' by the switch of address space alone. The names end
// there: EpollWaitGrowth is another benchmark than EpollWait, and a long one.
const usual = "^BenchmarkNull|Create$|Self$|Ctl$|Wait$|Arm$|(Eventfd|Epoll|Pipe|Socketpair|Futex)RoundTrip$/peer=process|SignalRoundTrip$///peer=process"

func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("kernels", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.bench, "bench", usual, "run the benchmarks that match `regexp`, as go test's -bench does")
	fs.StringVar(&o.benchtime, "benchtime", "100x", "operations in a loop: `N`x")
	fs.IntVar(&o.count, "count", 3, "measure each benchmark `n` times in a boot and keep the median")
	fs.IntVar(&o.boots, "boots", 6, "boot each kernel `n` times, with seeds 1 to n")
	fs.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "run `n` guests at a time")
	fs.StringVar(&o.results, "results", "results", "keep results under `dir`")
	fs.StringVar(&o.guest, "guest", "", "flags for go tool guest, separated by `blanks`")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up on a boot after this `time`")
	return fs
}

func parse(args []string) (options, error) {
	var o options
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"count", o.count}, {"boots", o.boots}, {"jobs", o.jobs}} {
		if n.value < 1 {
			return o, fmt.Errorf("-%s=%d: want at least 1", n.name, n.value)
		}
	}
	var times int
	if n, err := fmt.Sscanf(o.benchtime, "%dx", &times); n != 1 || err != nil || times < 1 || fmt.Sprintf("%dx", times) != o.benchtime {
		return o, fmt.Errorf("-benchtime=%s: want a number of operations such as 100x: a time would be another number of them on each kernel", o.benchtime)
	}
	if fs.NArg() < 2 {
		return o, errors.New("want a static test binary (CGO_ENABLED=0 go test -c -o eventbench.static .) and at least one kernel, such as 6.12")
	}
	o.binary, o.kernels = fs.Arg(0), fs.Args()[1:]
	for i, k := range o.kernels {
		for _, other := range o.kernels[:i] {
			if label(k) == label(other) {
				return o, fmt.Errorf("kernels %s and %s would both be called %s", other, k, label(k))
			}
		}
	}
	return o, nil
}

// label is what a kernel's directory and column are called.
func label(kernel string) string {
	return results.FileName(strings.TrimSuffix(filepath.Base(kernel), ".deb"))
}

func usage() string {
	var s strings.Builder
	s.WriteString("Usage: go tool kernels [flags] eventbench.static KERNEL...\n\nRuns benchmarks on many kernels in guests with counted instructions.\n\n")
	fs := newFlags(new(options))
	fs.SetOutput(&s)
	fs.PrintDefaults()
	return s.String()
}
