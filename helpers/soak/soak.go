//go:build linux

// Package soak runs every benchmark repeatedly, to find rare failures.
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/machine"
	"eventbench/helpers/process"
	"eventbench/helpers/samples"
)

// options are what the user asks for.
type options struct {
	time      time.Duration
	bench     string
	benchtime string
	busy      int
	seed      int64
	limit     time.Duration
	binary    string
}

// New defines the flags of the verb soak.
func New(fs *flag.FlagSet) cli.Action {
	var o options
	fs.DurationVar(&o.time, "time", 30*time.Minute, "start rounds during this `time`, but at least one")
	fs.StringVar(&o.bench, "bench", ".", "run only benchmarks that match `regexp`")
	fs.StringVar(&o.benchtime, "benchtime", "20ms", "measure each for this `time`, or number of operations (100x)")
	fs.IntVar(&o.busy, "busy", runtime.NumCPU()+1, "run `n` busy processes in every other round")
	fs.Int64Var(&o.seed, "seed", time.Now().Unix()%1_000_000, "shuffle round i with seed `n`+i-1")
	fs.DurationVar(&o.limit, "limit", 2*time.Minute, "end a process that prints nothing for this `time`")
	return func(ctx context.Context, c *cli.Call) error {
		switch {
		case len(c.Operands) != 1:
			return cli.Usage("want one argument, a test binary (make eventbench.test)")
		case o.time <= 0:
			return cli.Usage("-time=%v: want more than 0", o.time)
		case o.limit <= 0:
			return cli.Usage("-limit=%v: want more than 0", o.limit)
		case o.busy < 0:
			return cli.Usage("-busy=%d: want 0 or more", o.busy)
		}
		if err := samples.CheckPattern(o.bench); err != nil {
			return cli.Usage("-bench %q: %w", o.bench, err)
		}
		s := &soak{options: o, out: c.Stdout, say: c.Say}
		var err error
		if s.binary, err = filepath.Abs(c.Operands[0]); err == nil {
			err = s.run(ctx)
		}
		if s.total != (tally{}) {
			s.total.print(c.Stdout, s.rounds)
		}
		if err == nil && s.total.failed > 0 {
			return cli.Exit(1)
		}
		return err
	}
}

// A soak is a run with its outcome.
type soak struct {
	options
	out     io.Writer
	say     func(format string, args ...any)
	taskset string // "" if it is not installed
	cpu     int    // for rounds on one CPU
	rounds  int
	total   tally
}

// run runs rounds until the time is up.
func (s *soak) run(ctx context.Context) error {
	cpus, err := machine.Allowed()
	if err != nil {
		return err
	}
	s.cpu = cpus[0]
	if s.taskset, err = exec.LookPath("taskset"); err != nil {
		s.say("no rounds on one CPU: taskset is missing (apt install util-linux)")
	}
	for start := time.Now(); ; {
		s.rounds++
		if err := s.round(ctx, s.rounds-1); err != nil {
			return err
		}
		if time.Since(start) >= s.time {
			return nil
		}
	}
}

// round runs all benchmarks once, in surroundings that depend on the round's
// number.
func (s *soak) round(ctx context.Context, number int) error {
	seed := s.seed + int64(number)
	argv := []string{s.binary, "-test.run=^$", "-test.v", "-test.timeout=0", "-long", "-test.bench=" + s.bench,
		"-test.benchtime=" + s.benchtime, "-test.shuffle=" + strconv.FormatInt(seed, 10)}
	var where []string
	if number%4 >= 2 && s.taskset != "" {
		where = append(where, "on one CPU")
		argv = append([]string{s.taskset, "-c", strconv.Itoa(s.cpu)}, argv...)
	}
	if number%2 == 1 && s.busy > 0 {
		where = append(where, fmt.Sprintf("beside %d busy processes", s.busy))
		for range s.busy {
			p, err := process.Start(exec.Command("sh", "-c", "while :; do :; done"))
			if err != nil {
				return err
			}
			defer p.Kill()
		}
	}
	if where == nil {
		where = append(where, "alone")
	}

	s.say("round %d %s, seed %d", number+1, strings.Join(where, ", "), seed)
	var r reader
	var stderr process.Tail
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &r, &stderr
	start := time.Now()
	err := process.Limits{Silence: s.limit}.Run(ctx, cmd)
	if ctx.Err() != nil {
		s.total.add(r.tally)
		return context.Cause(ctx)
	}
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) && !isLate(err) {
		return err
	}
	if err == nil && r.runs+r.skipped == 0 {
		return cli.Usage("-bench %s: no benchmark of %s matches", s.bench, s.binary)
	}
	failures := r.failures()
	if err != nil && len(failures) == 0 {
		said := err.Error()
		if !isLate(err) { // a late process prints where its goroutines were
			said += "\n" + strings.Join(stderr.Lines(30), "\n")
		}
		failures = append(failures, failure{r.current, said})
	}
	r.failed = len(failures)
	r.runs += r.failed
	for _, f := range failures {
		fmt.Fprintf(s.out, "%s failed %s:\n", f.name, strings.Join(where, ", "))
		for line := range strings.Lines(f.message) {
			fmt.Fprintf(s.out, "    %s\n", strings.TrimSpace(line))
		}
		fmt.Fprintf(s.out, "  the same order: %s\n", quoted(argv))
	}
	s.total.add(r.tally)
	s.say("round %d: %d runs, %d failed, %d skipped in %v",
		number+1, r.runs, r.failed, r.skipped, time.Since(start).Round(time.Second))
	return nil
}

func isLate(err error) bool {
	late := (*process.LateError)(nil)
	return errors.As(err, &late)
}

// quoted quotes argv for a shell. Only patterns in it have special characters.
func quoted(argv []string) string {
	var words []string
	for _, arg := range argv {
		if name, pattern, ok := strings.Cut(arg, "="); ok && strings.ContainsAny(pattern, "^$|()[]*?. '") {
			arg = name + "='" + strings.ReplaceAll(pattern, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
