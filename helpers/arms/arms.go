//go:build linux

// Package arms measures two kernels, or two programs on this kernel, in turn
// until the gate can tell whether the new one is worse.
package arms

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/ci"
	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
	"eventbench/helpers/results"
)

// Arms are the two things compared.
type arms interface {
	// measure makes the samples that are missing to n a side, numbered from
	// the first, and returns the files of all n.
	measure(ctx context.Context, n int) (old, new side, err error)
	close()
}

// A side is the samples of one arm that are judged at a look.
type side struct {
	name  string // what go tool eventbench gate takes for the same samples
	files []string
	asked []string // keys that differ from OLD because the user asked for it
}

// sideIn returns the side of files in a directory, whose name stands for them
// unless it has others too.
func sideIn(dir string, files []string) side {
	s := side{name: dir, files: files}
	if all, err := results.Find(dir); err != nil || !slices.Equal(all, files) {
		s.name = strings.Join(files, ",")
	}
	return s
}

// options are common to both kinds of arms.
type options struct {
	gate   gate.Options
	max    int
	seed   int
	bisect bool
	canary bool
	out    ci.Outputs
}

func (o *options) flags(fs *flag.FlagSet) {
	o.gate.Flags(fs, "")
	fs.IntVar(&o.max, "max", o.max, "measure at most `n` samples a side")
	fs.IntVar(&o.seed, "seed", 1, "derive all orders from seeds that start at `n`")
	fs.BoolVar(&o.bisect, "bisect", false, "exit as git bisect run expects: 125 if the gate cannot tell, 128 for bad input")
	fs.BoolVar(&o.canary, "canary", false, "first check that this gate finds a cost planted in OLD, and nothing between OLD and itself")
	o.out.Flags(fs, true, gate.Formats...)
}

func (o *options) check() error {
	if o.seed < 1 {
		return fmt.Errorf("-seed %d: want at least 1", o.seed)
	}
	return nil
}

// NewKernels defines the flags of the verb gate-kernels.
func NewKernels(fs *flag.FlagSet) cli.Action {
	var o options
	k := &kernels{}
	k.flags(fs, &o)
	return func(ctx context.Context, c *cli.Call) error {
		if k.Shard.Given() {
			return unbootable(k.makeShard(ctx, c.Operands, o, c.Say))
		}
		return o.run(ctx, c, k.Results, gate.FirstBoots, func() (testable, error) { return k, k.open(ctx, c.Operands, o, c.Say) })
	}
}

// NewHost defines the flags of the verb gate-arms.
func NewHost(fs *flag.FlagSet) cli.Action {
	var o options
	h := &host{}
	h.flags(fs, &o)
	return func(ctx context.Context, c *cli.Call) error {
		h.stderr = c.Stderr
		return o.run(ctx, c, h.results, gate.FirstRounds, func() (testable, error) { return h, h.open(ctx, c.Operands, o) })
	}
}

// NewBaselines defines the flags of the verb baselines.
func NewBaselines(fs *flag.FlagSet) cli.Action {
	r := &recording{}
	r.flags(fs)
	return func(ctx context.Context, c *cli.Call) error {
		return unbootable(r.record(ctx, c.Operands, c.Say))
	}
}

// unbootable gives an error its own exit status if it is a kernel's.
func unbootable(err error) error {
	if kernel := (*boots.KernelError)(nil); errors.As(err, &kernel) {
		return cli.WithStatus(err, skipCommit)
	}
	return err
}

// run measures, looks and reports. kept is where samples are kept, and first
// their number a side at the first look.
func (o *options) run(ctx context.Context, c *cli.Call, kept string, first int, open func() (testable, error)) error {
	if err := o.check(); err != nil {
		return cli.Usage("%w", err)
	}
	if err := o.out.Begin(gate.Unfinished, kept, c.Operands...); err != nil {
		return cli.Usage("%w", err)
	}
	report, err := judge(ctx, *o, c.Say, first, open)
	status, outcome := o.status(report, err)
	if ctx.Err() != nil && status > stopBisect {
		return err
	}
	var doc ci.Document = report
	if report == nil {
		doc = gate.WhyNot(outcome, status, err)
	}
	if werr := o.out.Write(c.Stdout, doc); werr != nil {
		return cli.WithStatus(errors.Join(err, werr), gate.Unreadable.ExitCode())
	}
	if tool := (toolError{}); errors.As(err, &tool) {
		err = tool.error // the tool has already reported it on stderr
	}
	switch {
	case err == nil:
		return cli.Exit(status)
	case cli.IsUsage(err) && status == cli.WrongUsage:
		return err
	}
	return cli.WithStatus(err, status)
}

// judge measures the arms until the gate can tell, after the canary if it was
// asked for.
func judge(ctx context.Context, o options, say func(string, ...any), first int, open func() (testable, error)) (*gate.Report, error) {
	a, err := open()
	if err != nil {
		return nil, err
	}
	defer a.close()
	believed := ""
	if o.canary {
		if believed, err = believe(ctx, o, say, first, a); err != nil {
			return nil, err
		}
	}
	report, err := look(ctx, o, say, first, a)
	if err != nil {
		return nil, err
	}
	if believed != "" {
		report.Notes = append(report.Notes, believed)
	}
	if e, ok := a.(explainer); ok {
		note, err := e.explain(ctx, report)
		if err != nil {
			return nil, err
		}
		if note != "" {
			report.Notes = append(report.Notes, note)
		}
	}
	return report, nil
}

// look measures and looks until the gate can tell.
func look(ctx context.Context, o options, say func(string, ...any), first int, a arms) (*gate.Report, error) {
	alpha := cmp.Or(o.gate.Alpha, gate.DefaultAlpha)
	looks, err := gate.Looks(first, o.max, alpha)
	if err != nil {
		return nil, cli.Usage("-max %d: %w", o.max, err)
	}
	for i, l := range looks {
		old, new, err := a.measure(ctx, l.N)
		if err != nil {
			return nil, err
		}
		g := o.gate
		last := i == len(looks)-1
		g.Alpha = l.Alpha
		g.Allow = slices.Concat(g.Allow, new.asked)
		g.AllowCannotTell = g.AllowCannotTell && last
		report, err := gate.CompareFiles(old.name, old.files, new.name, new.files, g)
		if err != nil {
			return nil, err
		}
		if report.Outcome != gate.Undecided || last || !report.Open() {
			report.Notes = append(report.Notes, note(looks, i, alpha))
			if report.Outcome == gate.Undecided && !report.Open() && o.gate.AllowCannotTell {
				report.Outcome = gate.Pass // as at the last look
			}
			return report, nil
		}
		say("look %d, at %d samples a side: %s; continuing to %d", i+1, l.N, report.Summary(), looks[i+1].N)
	}
	panic("unreachable: the last look returns")
}

// note says how many looks there were and how much alpha each may spend.
func note(looks []gate.Look, i int, alpha float64) string {
	var ns []string
	for _, l := range looks[:i+1] {
		ns = append(ns, fmt.Sprint(l.N))
	}
	return fmt.Sprintf("look %d of at most %d, at %s samples a side. Alpha spending corrects for repeated looks: a false alarm has probability %.2g over all looks, "+
		"%.2g at this one", i+1, len(looks), strings.Join(ns, ", "), alpha, looks[i].Alpha)
}

const (
	skipCommit = 125 // for git bisect run
	stopBisect = 128
)

// unbelievable is the outcome if the canary's verdicts are wrong.
const unbelievable gate.Outcome = "this gate cannot be believed here"

// cannotBoot is the outcome if an arm could not be measured.
const cannotBoot gate.Outcome = "cannot boot"

// status returns the exit status and the outcome's name.
func (o *options) status(r *gate.Report, err error) (int, gate.Outcome) {
	outcome := gate.Unreadable
	if r != nil {
		outcome = r.Outcome
	}
	status := outcome.ExitCode()
	var stopped cli.Stopped
	var kernel *boots.KernelError
	var old oldError
	switch {
	case errors.As(err, &stopped):
		return stopped.Status(), outcome
	case errors.As(err, new(*canaryError)):
		outcome = unbelievable
		if o.bisect {
			status = stopBisect
		}
	case errors.As(err, &kernel):
		outcome, status = cannotBoot, skipCommit
		if o.bisect && errors.As(err, &old) {
			status = stopBisect
		}
	case o.bisect && outcome == gate.Unreadable:
		status = stopBisect
	case o.bisect && outcome == gate.Undecided:
		status = skipCommit
	}
	return status, outcome
}
