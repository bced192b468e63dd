//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/results"
)

// measure runs what rounds of opts are missing and returns the directory of
// the set they belong to, for each arm.
func measure(ctx context.Context, opts options, p *progress) (dirs []string, err error) {
	defer p.clear()
	if opts.binary != "" {
		// With a slash, so that exec does not look it up in PATH.
		if opts.binary, err = filepath.Abs(opts.binary); err != nil {
			return nil, err
		}
		if _, err := os.Stat(opts.binary); err != nil {
			return nil, err
		}
	}
	host, err := hostDir()
	if err != nil {
		return nil, err
	}
	host = filepath.Join(opts.results, host)
	if err := files.MakeDir(host); err != nil {
		return nil, err
	}
	unlock, err := results.Lock(host)
	if err != nil {
		return nil, err
	}
	defer unlock()

	var sets []*set
	for _, a := range opts.arms {
		// Of the binary, so that all its arms are in one directory.
		argv := []string{opts.binary}
		if opts.binary == "" {
			argv = a.command
		}
		build, err := results.HashCommand(argv)
		if err == nil {
			a.build, err = results.HashCommand(a.argv(opts.binary))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.said("what is to be run"), err)
		}
		now, err := look(ctx, opts, a, opts.settings(a), host, p)
		if err != nil {
			return nil, err
		}
		s, err := openSet(a, filepath.Join(host, build[:10], opts.settingsDir(a)), now, p)
		if err != nil {
			return nil, err
		}
		if err := files.MakeDir(s.dir); err != nil {
			return nil, err
		}
		sets = append(sets, s)
		dirs = append(dirs, s.dir)
	}
	if err := results.Link(opts.results, dirs[0]); err != nil {
		return nil, err
	}

	todo := missing(sets, opts)
	for _, s := range sets {
		p.say("rounds: %d of %d to go, of %d benchmarks each, into %s",
			opts.rounds-s.within(opts.rounds), opts.rounds, len(s.survey.names), s.dir)
	}
	for i, t := range todo {
		label := t.set.arm.said(fmt.Sprintf("round %d/%d", t.round, opts.rounds))
		after := len(todo) - i - 1
		p.begin(label, len(t.set.survey.names)*opts.count, after)
		if err := t.set.measureRound(ctx, t.round, opts, p); err != nil {
			return nil, fmt.Errorf("%s: %w\n\t%d of %d rounds are in %s; the same command goes on from there",
				t.set.arm.said(fmt.Sprintf("round %d", t.round)), err, t.set.within(opts.rounds), opts.rounds, t.set.dir)
		}
		t.set.finished = append(t.set.finished, t.round)
		p.end()
		if p.terminal == nil {
			p.say("%s: %s elapsed, about %s left", label, clock(time.Since(p.begun)), clock(p.mean()*time.Duration(after)))
		}
	}
	return dirs, nil
}

// A turn is one round of one arm.
type turn struct {
	set   *set
	round int
}

// missing returns the turns that are to be taken: round by round, and within a round in
// an order drawn from the seed and the round.
func missing(sets []*set, opts options) []turn {
	var todo []turn
	for n := 1; n <= opts.rounds; n++ {
		order := rand.New(rand.NewPCG(uint64(opts.seed), uint64(n))).Perm(len(sets))
		for _, i := range order {
			if !slices.Contains(sets[i].finished, n) {
				todo = append(todo, turn{sets[i], n})
			}
		}
	}
	return todo
}

// within returns how many of the rounds 1 to n are there.
func (s *set) within(n int) int {
	have := 0
	for _, round := range s.finished {
		if round <= n {
			have++
		}
	}
	return have
}

// benchArgs are the flags of one run of the test binary's benchmarks. -test.v is
// there to know which benchmark it is at, and why one skips.
func (o options) benchArgs(bench, benchtime string, more ...string) []string {
	args := []string{"-test.run=^$", "-test.v", "-test.bench=" + bench, "-test.benchtime=" + benchtime}
	if o.skip != "" {
		args = append(args, "-test.skip="+o.skip)
	}
	if o.long {
		args = append(args, "-long")
	}
	return append(args, more...)
}

// quiet returns the output of -test.v as it would be without: less the lines
// that say that a benchmark has started.
func quiet(out []byte) []byte {
	var q []byte
	for line := range bytes.Lines(out) {
		if _, ok := started(bytes.TrimSuffix(line, []byte("\n"))); !ok {
			q = append(q, line...)
		}
	}
	return q
}

// look runs every benchmark once, for a survey, and says which of them skip.
// The output of one that is stuck is kept in dir.
func look(ctx context.Context, opts options, a arm, settings, dir string, p *progress) (survey, error) {
	p.begin(a.said("looking what there is"), 0, 0)
	out, err := runChild(ctx, a.argv(opts.binary, opts.benchArgs(opts.bench, "1x")...), opts.limit, p)
	if errors.As(err, new(interrupt.Error)) {
		return survey{}, err
	}
	failed := filepath.Join(dir, "each-once.failed")
	if err != nil {
		return survey{}, fmt.Errorf("-bench=%s: %s: %w", opts.bench, a.said("running each benchmark once"), explain(err, out, failed, ""))
	}
	if err := os.Remove(failed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return survey{}, err
	}
	skipped := skips(out.stdout.String())
	for _, name := range slices.Sorted(maps.Keys(skipped)) {
		p.say("rounds: %s: %s", a.said("skipped "+name), skipped[name])
	}
	f, err := results.Parse(&out.stdout, "a run of each benchmark once")
	if err == nil && len(f.Results) == 0 {
		err = results.ErrNone // all were skipped
	}
	switch {
	case err == nil:
		return surveyOf(f, settings), nil
	case !errors.Is(err, results.ErrNone):
		return survey{}, err
	case len(skipped) > 0:
		return survey{}, fmt.Errorf("-bench=%s: every benchmark that matches was skipped", opts.bench)
	}
	known, err := list(ctx, opts, a, p)
	if err != nil {
		return survey{}, err
	}
	return survey{}, fmt.Errorf("-bench=%s%s: no benchmark matches (mind that their names begin with Benchmark%s); there are:\n\t%s",
		opts.bench, opts.narrowing(), map[bool]string{true: ", and what -skip leaves out"}[opts.skip != ""], strings.Join(known, "\n\t"))
}

// list returns the names of the benchmarks that opts.bench could mean: all at
// the top level, or if it names one of those, what is below.
func list(ctx context.Context, opts options, a arm, p *progress) ([]string, error) {
	if top, _, below := strings.Cut(opts.bench, "/"); below {
		out, err := runChild(ctx, a.argv(opts.binary, opts.benchArgs(top, "1x")...), opts.limit, p)
		if err != nil {
			return nil, fmt.Errorf("-bench=%s: running each benchmark of %s once: %w\n%s", opts.bench, top, err, out.excerpt())
		}
		if f, err := results.Parse(&out.stdout, "a run of each benchmark once"); err == nil {
			return f.Names(), nil // if not: what is at the top level may help
		}
	}
	out, err := runChild(ctx, a.argv(opts.binary, "-test.list=^Benchmark"), opts.limit, p)
	if err != nil {
		return nil, fmt.Errorf("listing the benchmarks: %w\n%s", err, out.excerpt())
	}
	return strings.Fields(out.stdout.String()), nil
}

// skips returns the benchmarks that were skipped in the output of -test.v, and
// why: what they logged last.
func skips(out string) map[string]string {
	skipped := make(map[string]string)
	reason := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "--- SKIP: "); ok {
			skipped[name] = reason
		} else if _, text, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "    ") {
			reason = text // without the file and line that testing puts first
		} else {
			reason = ""
		}
	}
	return skipped
}

// measureRound runs round n and, if it is flawless, puts its file into the set.
func (s *set) measureRound(ctx context.Context, n int, opts options, p *progress) error {
	command := s.arm.argv(opts.binary)
	if now, err := results.HashCommand(command); err != nil {
		return err
	} else if now != s.arm.build {
		return fmt.Errorf("%s was replaced by another build since this run began", strings.Join(command, " "))
	}
	args := opts.benchArgs(opts.bench, opts.benchtime,
		fmt.Sprintf("-test.count=%d", opts.count), fmt.Sprintf("-test.shuffle=%d", opts.seed+int64(n)))
	path := filepath.Join(s.dir, roundFile(n))
	base := strings.TrimSuffix(path, results.Ext)
	failed, histograms := base+".failed", base+".histograms"
	// They are written here and moved when the round has turned out well.
	trial, err := filepath.Abs(base + ".histograms.tmp")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(trial); err != nil {
		return err
	}
	if opts.keep {
		args = append(args, "-histograms="+trial)
		defer os.RemoveAll(trial)
	}
	began := time.Now()
	out, err := runChild(ctx, s.arm.argv(opts.binary, args...), opts.limit, p)
	if errors.As(err, new(interrupt.Error)) {
		return err
	}
	header := fmt.Sprintf("# Round %d of go tool rounds: one process, its benchmarks in an order of its own.\n", n) +
		fmt.Sprintf("# command: %s %q\n", filepath.Base(command[len(command)-1]), args) +
		settingsPrefix + s.survey.settings + "\n" +
		fmt.Sprintf("# began: %s, took %.1fs\n", began.Format(time.RFC3339), time.Since(began).Seconds())
	if s.arm.name != "" {
		header += fmt.Sprintf("%s: %d\n", roundKey, n)
	}
	data := slices.Concat([]byte(header), quiet(out.stdout.Bytes()))
	if err == nil {
		err = s.check(data, path, opts.count)
	}
	if err != nil {
		return explain(err, out, failed, header)
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
			p.say("rounds: -histograms: no benchmark here keeps latencies: RoundTrip, OneWay, Lateness and paced loops do")
		} else if err := os.Rename(trial, histograms); err != nil {
			return err
		}
	}
	if err := files.Write(path, data); err != nil {
		return err
	}
	if out.stderr.Len() > 0 {
		p.say("%s", strings.TrimSuffix(out.stderr.String(), "\n"))
	}
	if err := os.Remove(failed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// explain keeps all that a child printed in the file path, and adds to err, for
// which it does not count, where that is and the part of it that matters.
func explain(err error, out *output, path, header string) error {
	if !errors.As(err, new(stuck)) { // of which the end, of a long list of stacks, tells nothing
		err = fmt.Errorf("%w\n%s", err, out.excerpt())
	}
	err = fmt.Errorf("%w\n\tall it printed: %s", err, path)
	all := slices.Concat([]byte(header), out.stdout.Bytes(), []byte("\n# standard error:\n"), out.stderr.Bytes())
	return errors.Join(err, files.Write(path, all))
}

// check is the judgement on a round's file.
func (s *set) check(data []byte, path string, count int) error {
	f, err := results.Parse(bytes.NewReader(data), path)
	if err != nil {
		return err
	}
	if d := surveyOf(f, s.survey.settings).difference(s.survey); d != "" {
		return fmt.Errorf("this round is not like the set: here %s", d)
	}
	times := make(map[string]int)
	for _, name := range f.Names() {
		times[name]++
	}
	for _, name := range s.survey.names {
		if times[name] != count {
			return fmt.Errorf("%d results for %s, want %d", times[name], name, count)
		}
	}
	return nil
}
