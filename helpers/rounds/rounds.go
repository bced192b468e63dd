//go:build linux

// Package rounds runs a compiled test binary's benchmarks repeatedly, each time
// in a fresh process and in a different order.
package rounds

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
	"eventbench/helpers/shard"
)

// options are the user's choices. The binary's contents and the fields up to
// seed determine the set that a round belongs to.
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
	shard   shard.Shard // of the rounds
	arms    []arm
	report  []string
}

// An arm is a command to measure.
type arm struct {
	name    string   // "" if there is only one
	command []string // comes before the binary's path, if there is a binary
	build   string   // identifies the contents of all words together
}

// argv returns the arm's command followed by args.
func (a arm) argv(binary string, args ...string) []string {
	if binary != "" {
		args = slices.Concat([]string{binary}, args)
	}
	return slices.Concat(a.command, args)
}

// said appends the arm's name, if it has one, to text.
func (a arm) said(text string) string {
	if a.name == "" {
		return text
	}
	return text + ", " + a.name
}

// New defines the flags of the verb bench.
func New(fs *flag.FlagSet) cli.Action {
	opts := options{bench: ".", benchtime: "200ms", count: 1, seed: 1, rounds: 10, results: "results"}
	fs.StringVar(&opts.bench, "bench", opts.bench, "run the benchmarks that match `regexp`, as in go test")
	fs.StringVar(&opts.skip, "skip", "", "skip the benchmarks that match `regexp`, as go test -skip does")
	fs.BoolVar(&opts.long, "long", false, "also run the long benchmarks, which are left out unless -bench names them")
	fs.Func("benchtime", "measure each for this `time`, or number of iterations (1000x) (default 200ms)", func(s string) error {
		opts.benchtime = s
		return checkBenchtime(s)
	})
	fs.Func("count", "measure each `n` times in a round, which is still one sample (default 1)", atLeastOne(&opts.count))
	fs.Func("rounds", "stop when the set has `n` rounds (default 10)", atLeastOne(&opts.rounds))
	fs.Func("seed", "shuffle the benchmarks of round i with seed `n`+i (default 1)", func(s string) (err error) {
		if opts.seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			return errors.New("want a whole number")
		}
		return nil
	})
	fs.DurationVar(&opts.limit, "limit", 0, "give up on a benchmark that prints nothing for this `time`\n(default 20 times -benchtime, at least 2m)")
	fs.BoolVar(&opts.keep, "histograms", false, "keep the latencies beside each new round, in HdrHistogram's log format")
	fs.StringVar(&opts.results, "results", opts.results, "keep results in `directory`")
	opts.shard.Flag(fs)
	fs.Func("report", "at the end, run this verb on the sets: `words` such as summary", func(s string) error {
		if opts.report = strings.Fields(s); len(opts.report) == 0 {
			return errors.New("want a verb, such as summary, and its flags")
		}
		return nil
	})
	fs.Func("arm", "add an arm: `NAME=COMMAND` puts the command before the binary, NAME= runs it alone;\nwithout a binary, each command ends in one", func(s string) error {
		name, command, ok := strings.Cut(s, "=")
		if !ok || name == "" || name != files.Name(name) {
			return errors.New("want NAME=COMMAND, with a name of letters, digits, '.', '_' and '-'")
		}
		if slices.ContainsFunc(opts.arms, func(a arm) bool { return a.name == name }) {
			return fmt.Errorf("arm %s exists already", name)
		}
		opts.arms = append(opts.arms, arm{name: name, command: strings.Fields(command)})
		return nil
	})
	return func(ctx context.Context, c *cli.Call) error {
		if err := opts.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		dirs, err := measure(ctx, opts, follow(c.Progress()))
		if err != nil && err != errIncomplete {
			return err
		}
		failed := err != nil
		if opts.report == nil {
			for _, dir := range dirs {
				if _, err := fmt.Fprintln(c.Stdout, dir); err != nil {
					return err
				}
			}
		} else if err := showReport(ctx, opts.report, dirs, c.Stdout, c.Stderr); err != nil {
			if process.ExitCode(err) > 0 {
				return cli.Exit(1) // it has reported the reason
			}
			return err
		}
		if failed {
			return cli.Exit(1)
		}
		return nil
	}
}

// showReport runs a verb that reports on the sets.
func showReport(ctx context.Context, words, dirs []string, stdout, stderr io.Writer) error {
	path, err := results.Tool(ctx, "eventbench")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, slices.Concat(words, []string{"--"}, dirs)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return process.Limits{}.Run(ctx, cmd)
}

// check checks the flags and stores the operands.
func (opts *options) check(operands []string) error {
	withoutBinary := len(opts.arms) > 0 && !slices.ContainsFunc(opts.arms, func(a arm) bool { return len(a.command) == 0 })
	if len(operands) > 1 || len(operands) == 0 && !withoutBinary {
		return fmt.Errorf("want one test binary (build it with go test -c), have %q", operands)
	}
	if len(operands) == 1 {
		opts.binary = operands[0]
	}
	if opts.bench == "" {
		return errors.New("-bench: the pattern is empty; . matches all benchmarks")
	}
	for _, p := range []struct{ flag, pattern string }{{"bench", opts.bench}, {"skip", opts.skip}} {
		if err := samples.CheckPattern(p.pattern); err != nil {
			return fmt.Errorf("-%s %q: %w", p.flag, p.pattern, err)
		}
	}
	if opts.results == "" {
		return errors.New("-results: the directory's name is empty")
	}
	if opts.arms == nil {
		opts.arms = []arm{{}}
	}
	if opts.limit < 0 {
		return fmt.Errorf("-limit %v: want more than 0", opts.limit)
	}
	if opts.limit == 0 {
		d, _ := time.ParseDuration(opts.benchtime) // 0 for a number of iterations
		opts.limit = max(2*time.Minute, 20*d)
	}
	return nil
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

// checkBenchtime accepts what -test.benchtime accepts. Otherwise package
// testing would refuse it only in the child, with a page of usage.
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
