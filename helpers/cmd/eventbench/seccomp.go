//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"os/exec"

	"eventbench/helpers/cli"
	"eventbench/helpers/process"
	"eventbench/helpers/seccomp"
)

// The statuses by which programs that run another say that they could not, see
// env(1); process.NoStatus is the first of them.
const (
	notRun   = 126
	notFound = 127
)

func seccompVerb() *cli.Verb {
	return &cli.Verb{
		Manual:  manual("seccomp"),
		Program: true,
		Failure: process.NoStatus,
		New: func(flags *flag.FlagSet) cli.Action {
			length := flags.Int("length", 100, "make `n` comparisons before a call is allowed")
			return func(_ context.Context, c *cli.Call) error {
				switch {
				case *length < 0 || *length > seccomp.MaxLength:
					return cli.Usage("-length %d: want 0 to %d, the most that a filter holds", *length, seccomp.MaxLength)
				case len(c.Operands) == 0:
					return cli.Usage("want a program to run")
				}
				err := seccomp.Exec(c.Operands, *length)
				switch {
				case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
					return cli.WithStatus(err, notFound)
				case errors.As(err, new(*exec.Error)), errors.As(err, new(*fs.PathError)):
					return cli.WithStatus(err, notRun)
				}
				return err
			}
		},
	}
}
