//go:build linux

// Package tests runs go test, and reports at the end what this machine lacks to
// run all tests.
package tests

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/need"
	"eventbench/helpers/process"
)

// New returns the verb test, whose flags are those of go test.
func New(*flag.FlagSet) cli.Action { return run }

func run(ctx context.Context, c *cli.Call) error {
	args := c.Operands
	if unknown := need.Unknown(os.Environ()); len(unknown) > 0 {
		return cli.Usage("nothing asks for %s: there are %s", strings.Join(unknown, " and "), strings.Join(need.Variables(), ", "))
	}
	if !slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }) {
		args = append(slices.Clone(args), "./...")
	}
	// Tests that are interrupted have no time to remove what they made.
	tmp, remove, err := temporary()
	if err != nil {
		return fmt.Errorf("%w: set TMPDIR to a directory with room", err)
	}
	defer remove()
	key, err := key(ctx)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	// GODEBUG is part of the cache's key for every test, whether the test
	// looks at it or not (-exec and flags that go test does not know keep
	// results from being cached): a result is for these surroundings only.
	// Go ignores the setting.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",eventbench="+key, ","))
	report := newReport(c.Stdout, c.Stderr)
	cmd.Stdout, cmd.Stderr = report, c.Stderr
	// go test cleans up after SIGINT, but no other signal.
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { stop(interrupt.Error{Signal: syscall.SIGINT}) })()
	err = process.Limits{Runner: true}.Run(running, cmd)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case report.err != nil:
		return report.err
	}
	code := process.ExitCode(err)
	if code != 0 {
		fmt.Fprintln(c.Stdout, "FAIL") // go test's last word, which go test -json leaves out
	}
	report.end()
	if code < 0 {
		return fmt.Errorf("go test: %w", err)
	}
	return cli.Exit(code)
}
