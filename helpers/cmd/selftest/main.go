//go:build linux

// Selftest finds out how often the gate is wrong: how often it sees a
// regression where nothing changed, and how small a one it finds.
//
// Usage:
//
//	go tool selftest [flags]
//
// It draws samples from results of real runs, which were recorded once and are
// built in, and has the gate judge them, many times over, as go tool arms does: it looks at few
// samples first, and at more until it can tell. Two sides of equal systems must not
// differ; into one of them a slowdown of known size is planted, and it must be found. The same samples are
// judged by benchstat's p < .05 and by the rule that 10 % is too much,
// to compare with. Then come changes that were really made and measured:
// kernels with instructions added to one path, mitigations, a seccomp filter.
//
// An interval beside a share is the exact 95 % interval of a binomial proportion. The
// draws overlap where there are few recorded samples, so that it is somewhat
// too narrow: the systems recorded are those of one machine and a few kernels.
//
// # Recording
//
// -record DIR measures everything anew, with go tool eventbench guest, kbuild, rounds and
// seccomp, keeps one file for each arm in DIR, and judges these; -data DIR
// judges what is there. The recordings built in were made by
//
//	go tool selftest -record helpers/cmd/selftest/testdata
//
// which is to be run at the root of this module. It takes hours; an interrupted one goes on where it was.
//
// # Exit status
//
// 0 when the verdicts were drawn, whatever they are; 1 for data that cannot be judged or measured; 2 for
// wrong usage; 128 and the signal's number if one stopped it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"eventbench/helpers/gate"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"
)

func main() {
	os.Exit(mainStatus(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the flags.
type settings struct {
	only          string
	verdicts      int
	trials        int
	boots, rounds int
	seed          uint64
	data          string
	record        recording
}

func newFlags(s *settings) *flag.FlagSet {
	f := flag.NewFlagSet("selftest", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&s.only, "only", "", "judge, or record, these `groups` only, with commas between: "+strings.Join(groupNames(), ", "))
	f.IntVar(&s.verdicts, "verdicts", 200, "judge equal systems `n` times")
	f.IntVar(&s.trials, "trials", 100, "plant each regression `n` times")
	f.IntVar(&s.boots, "boots", gate.MostBoots, "look at up to `n` boots a side, as far as there are as many")
	f.IntVar(&s.rounds, "rounds", gate.MostRounds, "look at up to `n` rounds, likewise")
	f.Uint64Var(&s.seed, "seed", 1, "`number` that all drawing comes from")
	f.StringVar(&s.data, "data", "", "judge the results in this `directory`, not those built in")
	f.StringVar(&s.record.dir, "record", "", "measure anew, keep the results in this `directory`, and judge them")
	f.IntVar(&s.record.boots, "record-boots", gate.MostBoots, "with -record: boot each kernel `n` times, those that are compared with themselves twice as often")
	f.IntVar(&s.record.rounds, "record-rounds", 130, "with -record: run `n` rounds")
	f.IntVar(&s.record.jobs, "jobs", 2, "with -record: run `n` guests at a time")
	f.StringVar(&s.record.results, "results", "results/selftest", "with -record: keep what is being measured in this `directory`")
	return f
}

func groupNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

func mainStatus(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "selftest: "+format+"\n", args...) }
	var s settings
	f := newFlags(&s)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, "Usage: go tool selftest [flags]\n\nFinds the error rates of the gate.\n\n", f)
	}
	if err == nil {
		err = s.check(f.Args())
	}
	if err != nil {
		say("%v (go tool selftest -h tells more)", err)
		return 2
	}
	if err := s.run(ctx, stdout, stderr, say); err != nil {
		say("%v", err)
		return interrupt.Status(err, 1)
	}
	return 0
}

func (s *settings) check(operands []string) error {
	type number struct {
		name  string
		value int
		least int
	}
	numbers := []number{
		{"verdicts", s.verdicts, 1}, {"trials", s.trials, 20}, {"boots", s.boots, gate.FirstBoots}, {"rounds", s.rounds, gate.FirstRounds}, {"jobs", s.record.jobs, 1},
	}
	if s.record.dir != "" {
		numbers = append(numbers, number{"record-boots", s.record.boots, gate.FirstBoots}, number{"record-rounds", s.record.rounds, gate.FirstRounds})
	}
	for _, n := range numbers {
		if n.value < n.least {
			return fmt.Errorf("-%s=%d: want at least %d", n.name, n.value, n.least)
		}
	}
	for _, name := range strings.FieldsFunc(s.only, func(r rune) bool { return r == ',' }) {
		if !slices.Contains(groupNames(), name) {
			return fmt.Errorf("-only=%s: no group %s; there are %s", s.only, name, strings.Join(groupNames(), ", "))
		}
	}
	switch {
	case len(operands) > 0:
		return fmt.Errorf("what is %q for? There are only flags", operands[0])
	case s.data != "" && s.record.dir != "":
		return errors.New("-data and -record: which of them is to be judged?")
	}
	return nil
}

func (s *settings) run(ctx context.Context, stdout, stderr io.Writer, say func(string, ...any)) error {
	var chosen []*group
	for _, g := range groups {
		if s.only == "" || slices.Contains(strings.Split(s.only, ","), g.name) {
			chosen = append(chosen, g)
		}
	}
	dir, err := fs.Sub(recorded, "testdata")
	if err != nil {
		return err
	}
	if s.record.dir != "" {
		s.record.stderr, s.record.say = stderr, say
		for _, g := range chosen {
			if err := s.record.record(ctx, g); err != nil {
				return err
			}
		}
		s.data = s.record.dir
	}
	if s.data != "" {
		dir = os.DirFS(s.data)
	}
	judged := 0
	for _, g := range chosen {
		e := examination{group: g, dir: dir, most: s.boots, verdicts: s.verdicts, trials: s.trials, seed: s.seed, w: stdout, say: say}
		if g.host {
			e.most = s.rounds
		}
		done, err := e.run(ctx)
		if err != nil {
			return err
		}
		if done {
			judged++
		}
	}
	if judged == 0 {
		return errors.New("nothing to judge")
	}
	_, err = fmt.Fprintf(stdout, "Drawn with seed %d; the gate at its defaults, alpha %v.\n", s.seed, gate.DefaultAlpha)
	return err
}
