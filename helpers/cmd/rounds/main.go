//go:build linux

// Rounds measures: it runs a compiled test binary's benchmarks again and again,
// each time in a fresh process and in another order.
//
// Usage:
//
//	go tool rounds [flags] eventbench.test
//	go tool rounds -arm host= -arm 'gvisor=go tool eventbench gvisor' [flags] eventbench.static
//	go tool rounds -arm go1.25=./a.test -arm go1.26=./b.test [flags]
//
// A process fixes what luck there is in memory layout and core placement for
// all its benchmarks at once, so the process is the sample and lines of one
// process are not. A round is one process; ten of them (the default) are the
// least from which benchstat can tell a small change from that luck. Round n
// orders the benchmarks by -test.shuffle=SEED+n, so that no benchmark always
// runs in the wake of the same other one.
//
// # Where results go
//
//	results/HOST-KERNEL/BUILD/SETTINGS/round-01.txt
//
// BUILD is the test binary's content: the start of its SHA-256. SETTINGS are
// the pattern, the time for each benchmark, count and seed unless they are 1,
// and what is skipped: all-200ms, EventfdSelf-1s-count3, all-150ms-long.
// Rounds in one directory are alike in all of it and form one set. A set whose machine configuration or list of
// benchmarks differs from what there is now (another GOMAXPROCS, a governor, a
// limit that makes benchmarks skip) is left alone, and the new rounds go to
// SETTINGS.2. A round's file is written whole or not at all, so a run that was
// stopped goes on where it was when it is called again, and a round that is
// there is never redone. The link results/latest leads to the last set run.
//
// At the end the set's directory is printed to standard output; all else goes to standard error.
//
// # Arms
//
// An arm is one of several ways to measure that are to be compared:
// NAME=COMMAND puts the command's words before the binary's path, as go test
// -exec does; with no command the binary runs by itself. Where no binary is
// given, each command is itself a test binary, or ends in one. Each arm has a
// set of its own, SETTINGS-NAME. A round is then a process of each arm, in an
// order drawn anew for each round, so that a machine that becomes slower
// meanwhile is slower for all of them; a line "round: 3" says which processes
// belong together. The sets' directories are printed in the order of the arms.
//
// With -histograms a new round's latencies are beside it, in round-01.histograms, a file for
// each benchmark that has any, in HdrHistogram's log format.
//
// # Before the first round
//
// Every benchmark is run once, for one iteration, to learn which there are and
// which skip and why.
//
// # Failure
//
// A benchmark that fails, panics, ends its process or prints nothing for longer than -limit
// costs itself. If its process has ended, those that it had not come to run in a further one, in
// the same order. The round's file has their results, and for the one that failed
// what testing prints, which benchstat ignores:
//
//	--- FAIL: BenchmarkPipeRoundTrip/peer=process
//	    pipe_test.go:71: 1000 sent, 999 received
//	FAIL
//
// A benchmark that failed in the first two rounds is not tried in the others,
// where SKIP stands in place of FAIL. All that a process printed which ended
// early is in round-NN.failed; one that was stuck has got SIGQUIT, so that it shows
// where each goroutine stood.
//
// A round in which something else went wrong, such as a test binary that finds a
// leak at its end, does not count, and what it printed is in round-NN.failed; after two
// such rounds in a row no more are tried.
//
// Whatever failed, rounds goes on to its end and prints the sets' directories;
// go tool report summary (here: -report summary) shows the figures, and what
// failed and how to run it alone. The exit status is 1 then. Wrong usage exits with 2.
//
// On SIGINT, SIGTERM and SIGHUP the running round is dropped and its process
// group ended, and the exit status is 128 + the signal's number. Should rounds
// itself be killed, the kernel kills its child (PR_SET_PDEATHSIG).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the user asks for. Together with the binary's content those
// up to seed decide which set a round belongs to.
type options struct {
	bench     string
	skip      string
	long      bool
	benchtime string
	count     int
	seed      int64

	rounds  int
	limit   time.Duration
	keep    bool
	results string
	binary  string
	arms    []arm
	report  []string
}

// An arm is a way to measure.
type arm struct {
	name    string   // "" for the only one
	command []string // what comes before the binary's path, if there is a binary
	build   string   // what all the words together are, by content
}

// argv returns the words of the arm's command, with those of args after it.
func (a arm) argv(binary string, args ...string) []string {
	if binary != "" {
		args = slices.Concat([]string{binary}, args)
	}
	return slices.Concat(a.command, args)
}

// said puts the arm's name, if it has one, after text.
func (a arm) said(text string) string {
	if a.name == "" {
		return text
	}
	return text + ", " + a.name
}

const usage = "Usage: go tool rounds [flags] eventbench.test\n\nRuns the benchmarks of a compiled test binary in rounds, each a fresh process.\n\n"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help.Print(stdout, usage, newFlags(new(options)))
	case err != nil:
		fmt.Fprintf(stderr, "rounds: %v (go tool rounds -h tells more)\n", err)
		return 2
	}
	dirs, err := measure(ctx, opts, newProgress(stderr))
	if err != nil && err != errIncomplete {
		fmt.Fprintf(stderr, "rounds: %v\n", err)
		return interrupt.Status(err, 1)
	}
	status := 0
	if err != nil {
		status = 1
	}
	if opts.report == nil {
		for _, dir := range dirs {
			fmt.Fprintln(stdout, dir)
		}
		return status
	}
	if err := showReport(ctx, opts.report, dirs, stdout, stderr); err != nil {
		if exit := new(exec.ExitError); !errors.As(err, &exit) {
			fmt.Fprintf(stderr, "rounds: %v\n", err) // or else it has said so itself
		}
		return interrupt.Status(err, 1)
	}
	return status
}

// showReport runs go tool report on the sets.
func showReport(ctx context.Context, words, dirs []string, stdout, stderr io.Writer) error {
	path, err := results.Tool(ctx, "report")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, slices.Concat(words, []string{"--"}, dirs)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return process.Limits{}.Run(ctx, cmd)
}

func newFlags(opts *options) *flag.FlagSet {
	*opts = options{bench: ".", benchtime: "200ms", count: 1, seed: 1, rounds: 10, results: "results"}
	fs := flag.NewFlagSet("rounds", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.StringVar(&opts.bench, "bench", opts.bench, "run the benchmarks that match `regexp`, as in go test")
	fs.StringVar(&opts.skip, "skip", "", "leave out the benchmarks that match `regexp`, as go test -skip does")
	fs.BoolVar(&opts.long, "long", false, "run the benchmarks that take long, too, which eventbench leaves out unless -bench names them")
	fs.Func("benchtime", "measure each for a `time`, or a number of iterations (1000x) (default 200ms)", func(s string) error {
		opts.benchtime = s
		return checkBenchtime(s)
	})
	fs.Func("count", "measure each `n` times in a round; still one sample (default 1)", atLeastOne(&opts.count))
	fs.Func("rounds", "have `n` rounds in the set when done (default 10)", atLeastOne(&opts.rounds))
	fs.Func("seed", "order the benchmarks of round i by seed `n`+i (default 1)", func(s string) (err error) {
		if opts.seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			return errors.New("want a whole number")
		}
		return nil
	})
	fs.DurationVar(&opts.limit, "limit", 0, "give up on a benchmark that prints nothing for this `time`\n(default 20 times -benchtime, at least 2m)")
	fs.BoolVar(&opts.keep, "histograms", false, "keep the latencies beside each new round, in HdrHistogram's log format")
	fs.StringVar(&opts.results, "results", opts.results, "keep the results under `directory`")
	fs.Func("report", "at the end show what go tool report makes of the sets by these `words`, such as summary", func(s string) error {
		if opts.report = strings.Fields(s); len(opts.report) == 0 {
			return errors.New("want a word of go tool report, such as summary")
		}
		return nil
	})
	fs.Func("arm", "run the binary by `NAME=COMMAND`, one of several ways to compare; NAME= runs it by itself,\nand where there is no binary a command ends in one", func(s string) error {
		name, command, ok := strings.Cut(s, "=")
		if !ok || name == "" || name != files.Name(name) {
			return errors.New("want NAME=COMMAND, with a name of letters, digits, '.', '_' and '-'")
		}
		if slices.ContainsFunc(opts.arms, func(a arm) bool { return a.name == name }) {
			return fmt.Errorf("there is an arm %s already", name)
		}
		opts.arms = append(opts.arms, arm{name: name, command: strings.Fields(command)})
		return nil
	})
	return fs
}

func parse(args []string) (options, error) {
	var opts options
	fs := newFlags(&opts)
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	withoutBinary := len(opts.arms) > 0 && !slices.ContainsFunc(opts.arms, func(a arm) bool { return len(a.command) == 0 })
	if fs.NArg() > 1 || fs.NArg() == 0 && !withoutBinary {
		return opts, fmt.Errorf("want one test binary (go test -c makes one), have %q", fs.Args())
	}
	opts.binary = fs.Arg(0)
	if opts.bench == "" {
		return opts, errors.New("-bench: the pattern is empty; . matches all benchmarks")
	}
	if opts.results == "" {
		return opts, errors.New("-results: the directory's name is empty")
	}
	if opts.arms == nil {
		opts.arms = []arm{{}}
	}
	if opts.limit < 0 {
		return opts, fmt.Errorf("-limit %v: want more than 0", opts.limit)
	}
	if opts.limit == 0 {
		d, _ := time.ParseDuration(opts.benchtime) // 0 for a number of iterations
		opts.limit = max(2*time.Minute, 20*d)
	}
	return opts, nil
}

func atLeastOne(p *int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errors.New("want a whole number, at least 1")
		}
		*p = n
		return nil
	}
}

// checkBenchtime accepts what -test.benchtime does. testing would refuse the
// rest only in the child, with a page of usage.
func checkBenchtime(s string) error {
	if n, ok := strings.CutSuffix(s, "x"); ok {
		if n, err := strconv.Atoi(n); err == nil && n > 0 {
			return nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return nil
	}
	return errors.New("want a duration such as 200ms or a number of iterations such as 1000x")
}
