//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/gvisor"
	"eventbench/helpers/process"
)

// gvisorFlags are the flags of gvisor.
type gvisorFlags struct {
	build    bool
	runsc    string
	platform string
	timeout  time.Duration // 0: none; below: as the program's own arguments say
}

// asProgram stands for the time-out that the program's arguments ask for.
const asProgram = -1

var platforms = []string{"systrap", "kvm", "ptrace"}

func gvisorVerb() *cli.Verb {
	return &cli.Verb{
		Manual:  manual("gvisor"),
		Program: true,
		Failure: process.NoStatus,
		Signals: []os.Signal{syscall.SIGQUIT}, // of go test at its -timeout
		Values:  map[string][]string{"platform": platforms},
		New: func(flags *flag.FlagSet) cli.Action {
			s := gvisorFlags{timeout: asProgram}
			flags.BoolVar(&s.build, "build", false, "only build runsc and print its path")
			flags.StringVar(&s.runsc, "runsc", "", "use this `program` instead of the runsc of "+gvisor.Release())
			flags.StringVar(&s.platform, "platform", "systrap", "`platform` by which runsc intercepts system calls: systrap, kvm or ptrace")
			flags.Func("timeout", "`time` after which the program is stopped; 0 for never (default 10m, or a minute more than -test.timeout of a test binary)", func(v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < 0 {
					return errors.New("want a time such as 90s, or 0 for none")
				}
				s.timeout = d
				return nil
			})
			return func(ctx context.Context, c *cli.Call) error {
				status, err := s.do(ctx, c)
				if err != nil {
					return err
				}
				return cli.Exit(status)
			}
		},
	}
}

func (s *gvisorFlags) do(ctx context.Context, c *cli.Call) (int, error) {
	switch {
	case s.build && len(c.Operands) > 0:
		return 0, cli.Usage("-build: takes no operands, have %q", c.Operands)
	case s.build && s.runsc != "":
		return 0, cli.Usage("-build and -runsc: give only one of them")
	case !s.build && len(c.Operands) == 0:
		return 0, cli.Usage("want a program to run")
	case !slices.Contains(platforms, s.platform):
		return 0, cli.Usage("-platform %q: want systrap, kvm or ptrace", s.platform)
	}
	cache, err := gvisor.UserCache()
	if err != nil {
		return 0, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	box := &gvisor.Sandbox{Cache: cache, Platform: s.platform, Args: c.Operands, Env: os.Environ(), Dir: dir, Stdout: c.Stdout, Stderr: c.Stderr}
	// What is wrong with the program should not wait for a build.
	if !s.build {
		if box.Args[0], err = lookUp(c.Operands[0]); err != nil {
			return 0, err
		}
	}
	if s.runsc != "" {
		box.Runsc, err = gvisor.Inspect(ctx, s.runsc)
	} else {
		p := c.Progress()
		box.Runsc, err = cache.Build(ctx, p)
		p.Clear()
	}
	if err != nil {
		return 0, err
	}
	if s.build {
		_, err := fmt.Fprintln(c.Stdout, box.Runsc.Path)
		return 0, err
	}
	if box.Limit = s.timeout; s.timeout == asProgram {
		box.Limit = programTimeout(c.Operands[1:])
	}
	status, err := box.Run(ctx)
	if late := (*process.LateError)(nil); errors.As(err, &late) {
		err = fmt.Errorf("%s: stopped at -timeout %v", box.Args[0], late.Limit)
	}
	return status, err
}

// lookUp returns the absolute path of a program: a path, with or without a
// slash as for go tool eventbench guest, else a name in PATH.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if !strings.Contains(name, "/") {
		if here, err := exec.LookPath("./" + name); err == nil {
			path = here
		}
	}
	if path == "" {
		return "", err
	}
	return filepath.Abs(path)
}

// programTimeout is the time limit that a program's arguments suggest: a little more than
// that of a test binary, which knows best what to say at its end.
func programTimeout(args []string) time.Duration {
	for _, arg := range slices.Backward(args) {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-test.timeout="); ok {
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				return d + time.Minute
			}
			return 0
		}
	}
	return 10 * time.Minute
}
