//go:build linux

// Package tests runs go test, and reports at the end what this machine lacks to
// run all tests.
package tests

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/cli"
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
	events, into := io.Pipe()
	cmd.Stdout, cmd.Stderr = into, c.Stderr
	p, err := process.Start(cmd)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { end(cmd, p) })
	defer stop()
	go func() {
		<-p.Done
		into.Close()
	}()
	report := newReport(c.Stdout, c.Stderr)
	if err = report.read(events); err != nil {
		events.CloseWithError(err)
		p.Kill()
	}
	<-p.Done
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if p.Err != nil {
		fmt.Fprintln(c.Stdout, "FAIL") // go test's last word, which go test -json leaves out
	}
	report.end()
	exit := new(exec.ExitError)
	switch {
	case p.Err == nil:
		return nil
	case errors.As(p.Err, &exit) && exit.Exited():
		return cli.Exit(exit.ExitCode())
	}
	return fmt.Errorf("go test: %w", p.Err)
}

// end makes go test end as after Ctrl-C, and waits a little for it to clean up.
func end(cmd *exec.Cmd, p *process.Process) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-p.Done:
	case <-time.After(5 * time.Second):
		p.Kill()
	}
}
