//go:build linux

package rounds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/process"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
)

// errIncomplete means that every possible round was made and some figures are
// missing.
var errIncomplete = errors.New("some figures are missing")

// measure runs the rounds of opts that are missing. It returns the directory of
// each arm's set, also with errIncomplete.
func measure(ctx context.Context, opts options, p *follower) (dirs []string, err error) {
	defer p.Clear()
	defer p.keepTime()()
	if opts.binary != "" {
		// With a slash, so that exec does not search PATH.
		if opts.binary, err = filepath.Abs(opts.binary); err != nil {
			return nil, err
		}
		if _, err := os.Stat(opts.binary); err != nil {
			return nil, fmt.Errorf("the test binary: %w: build one with go test -c", err)
		}
	}
	host, err := hostDir()
	if err != nil {
		return nil, err
	}
	opts.results = opts.shard.Results(opts.results)
	host = filepath.Join(opts.results, host)
	if err := files.MakeDir(host); err != nil {
		return nil, err
	}
	unlock, err := results.Lock(host)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !results.Alone() {
		p.Say("another run, with other results, is measuring on this machine: the two disturb each other; for reliable figures, wait until it has ended")
	}

	var sets []*set
	for _, a := range opts.arms {
		s, err := findSet(ctx, opts, a, host, p)
		if err != nil {
			return nil, err
		}
		sets = append(sets, s)
		dirs = append(dirs, s.Dir)
	}
	if err := results.Link(opts.results, dirs[0]); err != nil {
		return nil, err
	}
	if opts.shard.Given() {
		if err := writePlan(opts, sets); err != nil {
			return nil, err
		}
	}
	if err := makeRounds(ctx, opts, sets, p); err != nil {
		return nil, err
	}
	return dirs, conclude(opts, sets, p)
}

// findSet finds the set that the arm's rounds belong to and creates its
// directory.
func findSet(ctx context.Context, opts options, a arm, host string, p *follower) (*set, error) {
	// The binary's name comes first, so that all its arms share a
	// directory.
	argv := []string{opts.binary}
	if opts.binary == "" {
		argv = a.command
	}
	build, err := results.HashCommand(argv)
	if err == nil {
		a.build, err = results.HashCommand(a.argv(opts.binary))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.said("the command"), err)
	}
	now, err := look(ctx, opts, a, opts.settings(a), host, p)
	if err != nil {
		return nil, err
	}
	if now.machine, err = machine(); err != nil {
		return nil, err
	}
	s, err := openSet(a, filepath.Join(host, build[:10], opts.settingsDir(a)), now, p)
	if err != nil {
		return nil, err
	}
	return s, files.MakeDir(s.Dir)
}

// numbers returns the rounds that the user asked for.
func (o options) numbers() (numbers []int) {
	for i := range o.rounds {
		if o.shard.Has(i) {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// writePlan leaves the plan of all rounds. A round is one unit with all its
// arms: what is compared in pairs is measured on one machine.
func writePlan(opts options, sets []*set) error {
	var settings []string
	for _, s := range sets {
		settings = append(settings, opts.settingsDir(s.arm))
	}
	plan := opts.shard.New("bench", strings.Join(settings, " "))
	plan.Samples = true
	for n := 1; n <= opts.rounds; n++ {
		plan.Units = append(plan.Units, roundUnit(n))
	}
	for _, s := range sets {
		plan.Inputs[s.arm.said("the command")] = s.arm.build
		for _, n := range opts.numbers() {
			if err := plan.Add(opts.results, roundUnit(n), s.File(n)); err != nil {
				return err
			}
		}
	}
	return plan.Write(opts.results)
}

func roundUnit(n int) string { return fmt.Sprintf("round %d", n) }

// makeRounds makes the missing rounds. A round that cannot be made is reported
// and left out. After two such rounds in a row the arm is given up.
func makeRounds(ctx context.Context, opts options, sets []*set, p *follower) error {
	var dirs []*samples.Set
	for _, s := range sets {
		dirs = append(dirs, &s.Set)
		p.Say("%d of %s to go, of %s each, into %s",
			len(opts.numbers())-len(s.made(opts)), samples.Counted(len(opts.numbers()), "round"), samples.Counted(len(s.survey.names), "benchmark"), s.Dir)
	}
	todo, err := samples.Missing(dirs, 1, opts.rounds, uint64(opts.seed))
	if err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(t samples.Turn) bool { return !opts.shard.Has(t.Number - 1) })
	lost := make(map[*set]int)
	for i, t := range todo {
		s, n := sets[t.Set], t.Number
		if lost[s] == 2 {
			continue
		}
		p.begin(s.arm.said(fmt.Sprintf("round %d/%d", n, opts.rounds)), len(s.survey.names)*opts.count, len(todo)-i-1)
		err := s.measureRound(ctx, n, opts, p)
		if broken := (*samples.Error)(nil); errors.As(err, &broken) {
			p.Say("%s: %v", s.arm.said(fmt.Sprintf("round %d", n)), err)
			if lost[s]++; lost[s] == 2 {
				p.Say("%s", s.arm.said("two rounds in a row were lost: giving up"))
			}
			continue
		} else if err != nil {
			return fmt.Errorf("%s: %w\n\t%d of %d rounds are in %s; the same command continues from there",
				s.arm.said(fmt.Sprintf("round %d", n)), err, len(s.made(opts)), len(opts.numbers()), s.Dir)
		}
		lost[s] = 0
		p.end()
	}
	return nil
}

// conclude reports what has no figure. It returns errIncomplete, or another
// error if an arm has no round at all.
func conclude(opts options, sets []*set, p *follower) (err error) {
	for _, s := range sets {
		files, want := s.made(opts), len(opts.numbers())
		if len(files) == 0 && want > 0 {
			return fmt.Errorf("%s; the same command tries them again", s.arm.said("there are no rounds"))
		}
		failed := make(map[string]bool)
		for _, f := range files {
			for _, failure := range f.Failures {
				failed[failure.Name] = failed[failure.Name] || !failure.Skipped
			}
		}
		n := 0
		for _, f := range failed {
			if f {
				n++
			}
		}
		if n > 0 {
			p.Say("%s, go tool eventbench summary %s shows why", s.arm.said(samples.Counted(n, "benchmark")+" failed in some rounds"), s.Dir)
		}
		if missing := want - len(files); missing > 0 {
			p.Say("%s; the same command tries them again", s.arm.said(fmt.Sprintf("%d of %d rounds were lost", missing, want)))
		}
		if n > 0 || len(files) < want {
			err = errIncomplete
		}
	}
	return err
}

// benchArgs returns the flags with which the test binary runs benchmarks.
// -test.v shows which benchmark is running and why one is skipped.
func (o options) benchArgs() []string {
	args := []string{"-test.run=^$", "-test.v", "-test.bench=" + o.bench}
	if o.long {
		args = append(args, "-long")
	}
	return args
}

// runner returns a function that runs the test binary's benchmarks.
func (a arm) runner(opts options, p *follower, args ...string) func(context.Context, string, io.Writer, io.Writer) error {
	return func(ctx context.Context, skip string, stdout, stderr io.Writer) error {
		argv := a.argv(opts.binary, slices.Concat(opts.benchArgs(), args)...)
		if skip != "" {
			argv = append(argv, "-test.skip="+skip)
		}
		return a.run(ctx, argv, opts, io.MultiWriter(p, stdout), stderr)
	}
}

// run runs argv until it ends, ctx ends, or it has printed nothing for longer
// than -limit.
func (a arm) run(ctx context.Context, argv []string, opts options, stdout, stderr io.Writer) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := process.Limits{Silence: opts.limit, Runner: len(a.command) > 0}.Run(ctx, cmd)
	if errors.As(err, new(*process.LateError)) {
		err = fmt.Errorf("%w (-limit sets another time)", err)
	}
	return err
}

// look runs every benchmark once, for a survey, and reports those that skip. If
// the process breaks off, its output is kept in dir.
func look(ctx context.Context, opts options, a arm, settings, dir string, p *follower) (survey, error) {
	what := fmt.Sprintf("-bench=%s: %s", opts.bench, a.said("running each benchmark once"))
	p.begin(a.said("listing the benchmarks"), 0, 0)
	sample := samples.Sample{Run: a.runner(opts, p, "-test.benchtime=1x"), Skip: opts.skip, Count: 1, Going: goingOn(p, what)}
	made, err := sample.Make(ctx)
	if ctx.Err() != nil {
		return survey{}, err
	}
	if made != nil {
		for _, f := range made.Failures {
			if f.Skipped {
				_, why, _ := strings.Cut(f.Message, ": ") // strip file and line
				p.Say("%s: %s", a.said("skipped Benchmark"+f.Name), why)
			} else {
				p.Say("%s: Benchmark%s failed: %s", what, f.Name, f.Message)
			}
		}
	}
	if err != nil || made.Died {
		path := filepath.Join(dir, "each-once.failed")
		if kept := keep(path, made, err); kept != nil {
			return survey{}, kept
		}
		if err != nil {
			return survey{}, fmt.Errorf("%s: %w\n\tits output: %s", what, err, path)
		}
	}
	f, err := results.Parse(bytes.NewReader(made.Text), "a run of each benchmark once")
	switch {
	case err == nil:
		return surveyOf(f, settings), nil
	case !errors.Is(err, results.ErrNone):
		return survey{}, err
	case len(made.Failures) > 0:
		return survey{}, fmt.Errorf("-bench=%s: every benchmark that matches was skipped", opts.bench)
	}
	known, err := list(ctx, opts, a)
	if err != nil {
		return survey{}, err
	}
	return survey{}, cli.Usage("-bench=%s%s: no benchmark matches (names begin with Benchmark%s); there are:\n\t%s",
		opts.bench, opts.narrowing(), map[bool]string{true: ", and what -skip leaves out"}[opts.skip != ""], strings.Join(known, "\n\t"))
}

// goingOn reports that a measurement continues without a benchmark.
func goingOn(p *follower, what string) func(name, why string) {
	return func(name, why string) { p.Say("%s: continuing without Benchmark%s: %s", what, name, why) }
}

// keep writes the output of processes that broke off.
func keep(path string, made *samples.Made, err error) error {
	broken := new(samples.Error)
	switch {
	case errors.As(err, &broken):
		return files.Write(path, broken.Log)
	case made != nil && made.Died:
		return files.Write(path, made.Log)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// list returns the names of the benchmarks that opts.bench could mean: all
// top-level ones, or, if it names one of those, its sub-benchmarks.
func list(ctx context.Context, opts options, a arm) ([]string, error) {
	if top, _, below := strings.Cut(opts.bench, "/"); below {
		o := opts
		o.bench = top
		sample := samples.Sample{Run: a.runner(o, follow(progress.New(io.Discard, "")), "-test.benchtime=1x"), Skip: opts.skip, Count: 1}
		if made, err := sample.Make(ctx); err == nil {
			if f, err := results.Parse(bytes.NewReader(made.Text), "a run of each benchmark once"); err == nil {
				return samples.Names(f), nil // otherwise the top-level names may help
			}
		}
	}
	var stdout, stderr process.Buffer
	if err := a.run(ctx, a.argv(opts.binary, "-test.list=^Benchmark"), opts, &stdout, &stderr); err != nil {
		return nil, fmt.Errorf("listing the benchmarks: %w\n%s", err, stderr.Bytes())
	}
	return strings.Fields(stdout.String()), nil
}

// measureRound runs round n and puts its file into the set. A [*samples.Error]
// concerns only this round.
func (s *set) measureRound(ctx context.Context, n int, opts options, p *follower) error {
	argv := s.arm.argv(opts.binary)
	if now, err := results.HashCommand(argv); err != nil {
		return err
	} else if now != s.arm.build {
		return fmt.Errorf("%s was replaced by another build during this run", strings.Join(argv, " "))
	}
	path := s.File(n)
	base := strings.TrimSuffix(path, results.Ext)
	failed, histograms := base+".failed", base+".histograms"
	// Histograms are written here and moved once the round is good.
	trial, err := filepath.Abs(base + ".histograms.tmp")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(trial); err != nil {
		return err
	}
	args := []string{"-test.benchtime=" + opts.benchtime, fmt.Sprintf("-test.count=%d", opts.count), fmt.Sprintf("-test.shuffle=%d", opts.seed+int64(n))}
	if opts.keep {
		args = append(args, "-histograms="+trial)
		defer os.RemoveAll(trial)
	}
	what := s.arm.said(fmt.Sprintf("round %d", n))
	sample := samples.Sample{Run: s.arm.runner(opts, p, args...), Skip: opts.skip, Count: opts.count,
		Known: s.known(), Hopeless: samples.Hopeless(s.files), Going: goingOn(p, what)}
	began := time.Now()
	made, err := sample.Make(ctx)
	if ctx.Err() != nil {
		return err
	}
	var data []byte
	var file *results.File
	if err == nil {
		data = slices.Concat([]byte(s.header(n, opts, args, began)), made.Text)
		file, err = s.check(data, path)
	}
	if kept := keep(failed, made, err); kept != nil {
		return kept
	}
	if err != nil {
		return fmt.Errorf("%w\n\tits output: %s", err, failed)
	}
	if err := os.RemoveAll(histograms); err != nil { // of a round whose file was removed
		return err
	}
	if opts.keep {
		kept, err := os.ReadDir(trial)
		if err != nil {
			return err
		}
		if len(kept) == 0 {
			p.Say("-histograms: no benchmark here keeps latencies: RoundTrip, OneWay, Lateness and paced loops do")
		} else if err := os.Rename(trial, histograms); err != nil {
			return err
		}
	}
	if err := files.Write(path, data); err != nil {
		return err
	}
	s.files = append(s.files, file)
	for _, f := range made.Failures {
		if !f.Skipped {
			p.Say("%s: Benchmark%s failed: %s", what, f.Name, f.Message)
		}
	}
	if len(made.Stderr) > 0 {
		p.Say("%s", strings.TrimSuffix(string(made.Stderr), "\n"))
	}
	return nil
}

// header returns the beginning of a round's file.
func (s *set) header(n int, opts options, args []string, began time.Time) string {
	argv := s.arm.argv(opts.binary)
	run := slices.Concat(opts.benchArgs(), args)
	if opts.skip != "" {
		run = append(run, "-test.skip="+opts.skip)
	}
	header := fmt.Sprintf("# Round %d of go tool eventbench bench: one process, its benchmarks shuffled.\n", n) +
		fmt.Sprintf("# command: %s %q\n", filepath.Base(argv[len(argv)-1]), run) +
		samples.Alone(append(argv, "-test.run=^$", "-test.v", "-test.benchtime="+opts.benchtime)) +
		settingsPrefix + s.survey.settings + "\n" +
		fmt.Sprintf("# began: %s, took %.1fs\n", began.Format(time.RFC3339), time.Since(began).Seconds())
	header += fmt.Sprintf("%s: %s\n", results.Machine, s.survey.machine)
	if s.arm.name != "" {
		header += fmt.Sprintf("%s: %d\n", roundKey, n)
	}
	return header
}

// check checks that a round's file belongs to the set.
func (s *set) check(data []byte, path string) (*results.File, error) {
	f, err := results.Parse(bytes.NewReader(data), path)
	if err != nil {
		return nil, &samples.Error{Why: err.Error(), Log: data}
	}
	if d := s.survey.otherwise(surveyOf(f, s.survey.settings)); d != "" {
		return nil, &samples.Error{Why: "this round does not belong to the set: there " + d, Log: data}
	}
	return f, nil
}
