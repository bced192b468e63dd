//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/samples"
	"eventbench/helpers/where"
)

// whereFlags are the flags of where.
type whereFlags struct {
	where.Settings
	bench       string
	dir, format string
	raw, all    bool
	folded      bool
}

func whereVerb() *cli.Verb {
	return &cli.Verb{
		Manual: manual("where"),
		Values: map[string][]string{"": series, "format": formats},
		New: func(fs *flag.FlagSet) cli.Action {
			var o whereFlags
			fs.StringVar(&o.bench, "bench", mechanisms.Gate, "show the benchmarks that match `regexp`, as in go test")
			fs.IntVar(&o.N, "n", where.DefaultN, "measure `n` operations of each")
			fs.Uint64Var(&o.Seed, "seed", 1, "`number` that decides all of the guests' randomness")
			fs.StringVar(&o.dir, "o", filepath.Join("results", "where"), "write profiles under `dir`")
			fs.BoolVar(&o.raw, "raw", false, "give functions that only one kernel has rows of their own")
			fs.BoolVar(&o.all, "all", false, "show functions without a difference too")
			fs.BoolVar(&o.folded, "folded", false, "write folded stacks beside the profiles")
			fs.StringVar(&o.format, "format", "text", "write tables as `text`, markdown or json")
			fs.IntVar(&o.Jobs, "jobs", runtime.NumCPU(), "run `n` guests at a time")
			fs.DurationVar(&o.Timeout, "timeout", where.DefaultTimeout, "give up on a guest after this `time`")
			fs.StringVar(&o.QEMU, "qemu", "", "QEMU's `program` (default qemu-system-x86_64 or qemu-system-aarch64)")
			fs.Func("symbols", "read a kernel's symbols from `file`, its System.map or vmlinux; give it twice for two kernels", func(file string) error {
				o.Symbols = append(o.Symbols, file)
				return nil
			})
			return func(ctx context.Context, c *cli.Call) error {
				err := o.check(c.Operands)
				if err == nil {
					err = o.show(ctx, c)
				}
				if errors.As(err, new(*where.InexactError)) {
					return cli.WithStatus(err, 2)
				}
				return err
			}
		},
	}
}

func (o *whereFlags) check(operands []string) error {
	switch {
	case len(operands) < 2 || len(operands) > 3:
		return cli.Usage("want a static test binary (make eventbench.static) and one kernel or two, such as 6.12, have %q", operands)
	case !slices.Contains(formats, o.format):
		return cli.Usage("-format %q: want %s", o.format, strings.Join(formats, ", "))
	case o.bench == "":
		return cli.Usage("-bench: the pattern is empty; . matches all benchmarks")
	case o.dir == "":
		return cli.Usage("-o: the directory's name is empty")
	}
	if err := o.Check(len(operands) - 1); err != nil {
		return cli.Usage("%w", err)
	}
	if err := samples.CheckPattern(o.bench); err != nil {
		return cli.Usage("-bench %q: %w", o.bench, err)
	}
	return nil
}

// show measures, and shows each benchmark as soon as it is there.
func (o *whereFlags) show(ctx context.Context, c *cli.Call) error {
	program, err := where.LoadProgram(c.Operands[0])
	if err != nil {
		return cli.Usage("%w", err)
	}
	if err := files.MakeDir(o.dir); err != nil {
		return cli.Usage("-o: %w", err)
	}
	kernels, err := o.Open(ctx, program, c.Operands[1:], c.Say)
	if err != nil {
		return err
	}
	benchmarks, err := o.Benchmarks(ctx, program, kernels, o.bench)
	if err != nil {
		return err
	}
	var failed []error
	var reports []*where.Report
	err = o.Profiles(ctx, program, kernels, benchmarks, c.Say, func(benchmark string, profiles []*where.Profile, err error) error {
		if err != nil {
			failed = append(failed, err)
			if len(benchmarks) > 1 {
				c.Say("%v", err) // and the others go on
			}
			return nil
		}
		var second *where.Profile
		if len(profiles) > 1 {
			second = profiles[1]
		}
		r := where.Compare(profiles[0], second, o.raw)
		unsaved := r.Save(o.dir, o.folded) // a full disk takes no table away
		if o.format == "json" {
			reports = append(reports, r)
			return unsaved
		}
		return errors.Join(unsaved, r.Write(c.Stdout, o.format == "markdown", o.all))
	})
	if o.format == "json" && ctx.Err() == nil {
		err = errors.Join(err, where.WriteJSON(c.Stdout, reports))
	}
	switch n := len(failed); {
	case err != nil || n == 0:
		return err
	case len(benchmarks) == 1:
		return failed[0]
	default:
		return fmt.Errorf("%d of %d benchmarks are not shown; the first: %w", n, len(benchmarks), failed[0])
	}
}
