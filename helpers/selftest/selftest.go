//go:build linux

// Package selftest measures how often the gate is wrong: how often it reports a
// regression when nothing changed, and how small a regression it finds.
package selftest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
)

// settings are the values of the flags.
type settings struct {
	only          string
	verdicts      int
	trials        int
	boots, rounds int
	seed          uint64
	data          string
	record        recording
}

func groupNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// recorded is the directory of the recorded results, relative to the module's
// root. Its README.md describes them.
const recorded = "helpers/selftest/testdata"

// New defines the flags of the verb selftest.
func New(f *flag.FlagSet) cli.Action {
	var s settings
	f.StringVar(&s.only, "only", "", "judge or record only these `groups`, separated by commas: "+strings.Join(groupNames(), ", "))
	f.IntVar(&s.verdicts, "verdicts", 200, "judge equal systems `n` times")
	f.IntVar(&s.trials, "trials", 100, "plant each regression `n` times")
	f.IntVar(&s.boots, "boots", gate.MostBoots, "look at up to `n` boots a side, if that many are recorded")
	f.IntVar(&s.rounds, "rounds", gate.MostRounds, "look at up to `n` rounds a side, if that many are recorded")
	f.Uint64Var(&s.seed, "seed", 1, "derive all random draws from seed `n`")
	f.StringVar(&s.data, "data", recorded, "judge the results in this `directory`")
	f.StringVar(&s.record.dir, "record", "", "measure again, keep the results in this `directory`, and judge them")
	f.IntVar(&s.record.boots, "record-boots", gate.MostBoots, "with -record: boot each kernel `n` times, or twice as often if it is compared with itself")
	f.IntVar(&s.record.rounds, "record-rounds", 130, "with -record: run `n` rounds")
	f.IntVar(&s.record.jobs, "jobs", 2, "with -record: run `n` guests at a time")
	f.StringVar(&s.record.results, "results", "results/selftest", "with -record: keep samples in this `directory` while measuring")
	return func(ctx context.Context, c *cli.Call) error {
		if err := s.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		return s.run(ctx, c.Stdout, c.Stderr, c.Say)
	}
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
		return fmt.Errorf("want no operands, have %q", operands)
	case s.data != recorded && s.record.dir != "":
		return errors.New("-data and -record: give only one of them")
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
	if s.record.dir != "" {
		s.record.stderr, s.record.say = stderr, say
		for _, g := range chosen {
			if err := s.record.record(ctx, g); err != nil {
				return err
			}
		}
		s.data = s.record.dir
	}
	if _, err := os.Stat(s.data); err != nil {
		return fmt.Errorf("-data: %w: run it in the root of eventbench's source tree", err)
	}
	dir := os.DirFS(s.data)
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
	_, err := fmt.Fprintf(stdout, "Drawn with seed %d. The gate has its defaults, alpha %v.\n", s.seed, gate.DefaultAlpha)
	return err
}
