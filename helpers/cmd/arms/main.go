//go:build linux

// Arms measures two kernels, or two programs on this one, in turn, until the
// gate can tell whether the new one is worse.
//
// Usage:
//
//	go tool arms kernels [flags] eventbench.static OLD NEW
//	go tool arms host [flags] [eventbench.test] OLD NEW
//	go tool arms record [flags] eventbench.static KERNEL...
//
// # Kernels
//
// OLD and NEW are kernels as go tool eventbench guest takes them: a series such as 6.12,
// the path of a bzImage or vmlinuz, a Debian package file. Each is booted in
// guests with counted instructions, several times, two boots at a time on two
// CPUs. A boot is a sample; the nth of either kernel has seed n, which decides
// which goes first too. OLD may also be recorded results, a file or a
// directory: a baseline (see Baselines).
//
// # Host
//
// OLD and NEW are commands that end in a test binary each:
//
//	go tool arms host ./go1.25.test ./go1.26.test
//
// or, where a test binary is given before them, what is put in front of it, as
// go test -exec does; an empty one runs it by itself:
//
//	go tool arms host eventbench.test '' 'taskset -c 0'
//	go tool arms host eventbench.static 'go tool eventbench gvisor -runsc ./a' 'go tool eventbench gvisor -runsc ./b'
//
// A command is split at blanks. In each round a process of each is measured, in
// an order drawn from the seed and the round, one at a time: what drifts on the
// machine drifts for both. go tool rounds does the measuring.
//
// # Looks
//
// Once there are enough samples the gate looks at them (go doc
// eventbench/helpers/gate). If it can tell, that is it, pass or regression. If
// it cannot, half as many samples again are measured, and so on up to -max a
// side: 5, 8, 12, 18 boots, or 11, 17, 26, 39, 59, 89 rounds.
//
// Whoever looks again and again until something shows will be shown something.
// So the probability of a false alarm that is allowed for the whole (-alpha) is
// spent over the looks: the first takes 60 % of it, and each later one 60 % of
// what is left. When nothing has changed, all looks together alarm no more
// often than -alpha, because the sum of their shares is no more. The schedule
// does not depend on -max, so that a run that ended with "cannot tell" may be
// continued with a larger one. A -max between two looks means the lower. A
// count that is exact takes no share: to be taken at its word at a later look
// it must have agreed in all samples of the earlier one. Each look is at the
// samples with the lowest numbers only, so that a run that is resumed gives the
// verdict that it would have given.
//
// The interval that a pass rests on has the gate's confidence at each look by
// itself: -alpha bounds false alarms, not regressions missed.
//
// # Where results go
//
// Boots are kept as those of go tool kernels are, rounds as those of go tool
// rounds: each sample a file, written whole or not at all, so that the same
// command goes on where it was stopped or failed. What is measured is known by
// its content, test binary, kernels, and the files that a command names: a
// bzImage built anew at the same path is another arm, and one that was booted
// before is not booted again. Two arms of equal content are refused.
//
// # Exit status
//
//	0    pass: no regression beyond a threshold
//	1    a regression
//	2    bad input: no verdict can be drawn; standard error says why
//	3    cannot tell, after all samples (0 with -allow-cannot-tell)
//	125  an arm could not boot, or the guest ended before the benchmarks did
//	128+ stopped by a signal: 130 is Ctrl-C
//
// These are the program's own. The go command exits 0 when a tool that it runs is killed, and make
// exits 2 for all of them: where the status decides, run "$(go tool -n arms)" in the place of go tool arms.
//
// # Bisecting
//
// git bisect run takes 0 for good, 1 to 124 for bad, 125 for a commit to skip,
// and 128 and more to stop. So -bisect makes two of these others: cannot tell
// is 125, and bad input, or an OLD that does not boot, is 128. In a kernel's
// tree, with the test binary built (make eventbench.static) and the good
// kernel's bzImage put aside, this finds the commit that made a path longer:
//
//	git bisect run sh -c 'make -sj$(nproc) bzImage || exit 125; image=$PWD/arch/x86/boot/bzImage
//	    cd ~/eventbench && exec "$(go tool -n arms)" kernels -bisect eventbench.static ~/good.bzImage $image'
//
// OLD is booted at the first commit only. -bench narrows what is measured, and
// with it what may fail: -bench EventfdSelf. Not make gate-kernels, for make
// exits with 2 whatever its recipe does.
//
// # Where
//
// A regression or an improvement comes with the functions that make most of it:
// the worst four benchmarks are run once more on both kernels, with every
// instruction logged (go tool eventbench help where). Profiles are kept beside
// the results, and the report has the command that shows them. -where=false
// leaves that out; the verdict does not depend on it.
//
// # Baselines
//
// testdata/baselines holds results of the kernels of make kernels: OLD may be
// testdata/baselines/6.12.txt, and only NEW is booted. What was recorded with
// another QEMU, CPU model, harness, -benchtime or -count is refused, with what
// differs: counts depend on all of these. Then record your own, with make
// baselines (go tool arms record), or simply name the kernel as OLD: its boots
// are kept too.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/files"
	"eventbench/helpers/gate"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: go tool arms kernels [flags] eventbench.static OLD NEW
       go tool arms host [flags] [eventbench.test] OLD NEW
       go tool arms record [flags] eventbench.static KERNEL...

Measures two kernels in guests, or two commands on the host, in turn, until the gate can tell.
Record boots kernels and keeps their results as baselines to compare with.
Exits 0: pass, 1: a regression, 2: bad input, 3: cannot tell, 125: an arm could not boot.
The manual is go doc eventbench/helpers/cmd/arms. %s`

// Arms are the two things compared.
type arms interface {
	// measure sees to it that there are n samples a side, numbered from the
	// first, and returns their files.
	measure(ctx context.Context, n int) (old, new side, err error)
	close()
}

// A side is the samples of one arm that a look is at.
type side struct {
	name  string // with which go tool eventbench gate finds the same
	files []string
}

// options are what both kinds of arms have.
type options struct {
	gate     gate.Options
	max      int
	seed     int
	bisect   bool
	format   string
	markdown string
}

func (o *options) flags(fs *flag.FlagSet) {
	o.gate.Flags(fs, "")
	fs.IntVar(&o.max, "max", o.max, "measure at most `n` samples a side")
	fs.IntVar(&o.seed, "seed", 1, "draw every order from seeds that begin with `n`")
	fs.BoolVar(&o.bisect, "bisect", false, "exit as git bisect run wants it: 125 where the gate cannot tell, 128 for bad input")
	fs.StringVar(&o.format, "format", "text", "write the report as `text`, markdown or json")
	fs.StringVar(&o.markdown, "markdown", "", "write the report to `file` as markdown as well")
}

func (o *options) check() error {
	if o.seed < 1 {
		return fmt.Errorf("-seed %d: want at least 1", o.seed)
	}
	return gate.CheckFormat(o.format)
}

// A usageError is a command line that cannot be meant.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "arms: "+format+"\n", args...) }
	kind := ""
	if len(args) > 0 {
		kind, args = args[0], args[1:]
	}
	var o options
	var fs *flag.FlagSet
	var open func(operands []string) (arms, int, error) // with the size of the first look
	switch kind {
	case "kernels":
		k := &kernels{}
		fs = k.newFlags(&o)
		open = func(operands []string) (arms, int, error) { return k, gate.FirstBoots, k.open(ctx, operands, o, say) }
	case "host":
		h := &host{stderr: stderr}
		fs = h.newFlags(&o)
		open = func(operands []string) (arms, int, error) { return h, gate.FirstRounds, h.open(ctx, operands, o) }
	case "record":
		r := &recording{}
		fs = r.newFlags()
		open = func(operands []string) (arms, int, error) { return nil, 0, r.record(ctx, operands, say) }
	case "-h", "-help", "--help":
		fmt.Fprintf(stdout, usage, "go tool arms kernels -h lists the flags, and so on.\n")
		return 0
	default:
		say("want kernels, host or record first, have %q (go tool arms -h for help)", kind)
		return gate.Unreadable.ExitCode()
	}
	operands, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, fmt.Sprintf(usage, fmt.Sprintf("The flags of go tool arms %s are:\n\n", kind)), fs)
	}
	if err == nil && kind != "record" {
		err = o.check()
	}
	if err != nil {
		say("%v (go tool arms %s -h for help)", err, kind)
		return gate.Unreadable.ExitCode()
	}
	if o.markdown != "" {
		// Before hours of measuring; and so that a run that is stopped leaves no verdict of an earlier one.
		if err := files.Write(o.markdown, []byte("### Benchmarks: no verdict\n\nThe run that was to give one has not come to its end.\n")); err != nil {
			say("-markdown: %v", err)
			return gate.Unreadable.ExitCode()
		}
	}
	var report *gate.Report
	if kind == "record" {
		if _, _, err = open(operands); err == nil {
			return 0
		}
	} else {
		report, err = judge(ctx, o, say, func() (arms, int, error) { return open(operands) })
	}
	status, outcome := o.status(report, err)
	if err != nil {
		shown := err
		if tool := (toolError{}); errors.As(err, &tool) {
			shown = tool.error
		}
		for line := range strings.Lines(shown.Error()) {
			say("%s", strings.TrimSuffix(line, "\n"))
		}
		if status > 128 {
			say("the same command goes on from there")
			return status
		}
	}
	if err := write(o, report, outcome, status, err, stdout); err != nil {
		say("%v", err)
		return gate.Unreadable.ExitCode()
	}
	return status
}

// parse returns the operands, between and after which there may be flags.
func parse(fs *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return operands, nil
		}
		operands, args = append(operands, fs.Arg(0)), fs.Args()[1:]
	}
}

// judge measures and looks, until the gate can tell.
func judge(ctx context.Context, o options, say func(string, ...any), open func() (arms, int, error)) (*gate.Report, error) {
	a, first, err := open()
	if err != nil {
		return nil, err
	}
	defer a.close()
	alpha := cmp.Or(o.gate.Alpha, gate.DefaultAlpha)
	looks, err := gate.Looks(first, o.max, alpha)
	if err != nil {
		return nil, usageError{fmt.Errorf("-max %d: %w", o.max, err)}
	}
	for i, l := range looks {
		old, new, err := a.measure(ctx, l.N)
		if err != nil {
			return nil, err
		}
		g := o.gate
		last := i == len(looks)-1
		g.Alpha = l.Alpha
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
			if report.Outcome == gate.Undecided && report.Open() {
				report.Notes = append(report.Notes, goOn(report, first, alpha))
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
		say("look %d, at %d a side: %s; going on to %d", i+1, l.N, report.Summary(), looks[i+1].N)
	}
	panic("unreachable: the last look returns")
}

// note says how often was looked, and what that costs.
func note(looks []gate.Look, i int, alpha float64) string {
	var ns []string
	for _, l := range looks[:i+1] {
		ns = append(ns, fmt.Sprint(l.N))
	}
	return fmt.Sprintf("look %d of at most %d, at %s samples a side. Repeated looks are corrected for: a false alarm may come of all of them with probability %.2g, "+
		"of which this one has %.2g", i+1, len(looks), strings.Join(ns, ", "), alpha, looks[i].Alpha)
}

// goOn says which -max leads to a verdict, by the samples that comparisons ask for, or else to the next look.
func goOn(r *gate.Report, first int, alpha float64) string {
	have, need := len(r.NewSamples), 0
	for _, c := range r.Comparisons {
		if c.Gates && !c.Safe {
			need = max(need, c.Need)
		}
	}
	const most = 1000 // samples a side that the gate reads
	looks, err := gate.Looks(first, most, alpha)
	if err != nil {
		return err.Error()
	}
	for _, l := range looks {
		if l.N > have && l.N >= need {
			return fmt.Sprintf("the same command with -max %d goes on from here; with make, MAX=%[1]d", l.N)
		}
	}
	return "more samples would not help: narrow what is measured with -bench, or raise a threshold"
}

const (
	skipCommit = 125 // for git bisect run
	stopBisect = 128
)

// cannotBoot is the outcome where an arm could not be measured.
const cannotBoot gate.Outcome = "cannot boot"

// status returns the exit status, and what to call the outcome.
func (o *options) status(r *gate.Report, err error) (int, gate.Outcome) {
	outcome := gate.Unreadable
	if r != nil {
		outcome = r.Outcome
	}
	status := outcome.ExitCode()
	var stopped interrupt.Error
	var kernel *boots.KernelError
	var old oldError
	switch {
	case errors.As(err, &stopped):
		return stopped.Status(), outcome
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

// write writes the report, or why there is none, to stdout and to the file that
// was asked for.
func write(o options, r *gate.Report, outcome gate.Outcome, status int, problem error, stdout io.Writer) error {
	to := func(w io.Writer, format string) error {
		if r == nil {
			return gate.WriteProblems(w, format, outcome, status, problem)
		}
		return r.Write(w, format)
	}
	err := to(stdout, o.format)
	if o.markdown != "" {
		var b bytes.Buffer
		if err := to(&b, "markdown"); err != nil {
			return err
		}
		err = errors.Join(err, files.Write(o.markdown, b.Bytes()))
	}
	return err
}
