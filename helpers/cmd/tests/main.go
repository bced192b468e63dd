//go:build linux

// Tests runs go test, and says at the end what this machine lacks to try all
// tests.
//
// Usage:
//
//	go tool tests [flags of go test] [packages]
//
// It prints what go test prints, and exits with its status. Without packages it
// tests all of this module. Results come from this run, not from go test's
// cache, which knows nothing of another kernel or of a program that was
// installed since.
//
// After go test's own lines come those for what was skipped:
//
//	not tried here:
//	  guests: 10 tests, no QEMU 10 (apt install qemu-system-x86)
//	  sandboxes: 5 tests, runsc is not built (go tool gvisor -build)
//	  rows: 3 of 490, privilege: new namespaces: operation not permitted
//
// The reasons of each are in the output of go test -v.
//
// EVENTBENCH_REQUIRE_GUEST=1 and its like, see go doc eventbench/helpers/need,
// make it a failure to lack something. CI sets them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/interrupt"
	"eventbench/helpers/need"
	"eventbench/helpers/process"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "tests: "+format+"\n", args...) }
	if unknown := need.Unknown(os.Environ()); len(unknown) > 0 {
		say("nothing asks for %s: there are %s", strings.Join(unknown, " and "), strings.Join(need.Variables(), ", "))
		return 2
	}
	if !slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }) {
		args = append(slices.Clone(args), "./...")
	}
	// Tests that are interrupted have no time to remove what they made.
	tmp, err := os.MkdirTemp("", "eventbench-tests-")
	if err == nil {
		defer os.RemoveAll(tmp)
		err = os.Chmod(tmp, 0o755) // some become another user
	}
	if err != nil {
		say("%v: set TMPDIR to a directory with room", err)
		return 2
	}
	cmd := exec.Command("go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	events, into := io.Pipe()
	cmd.Stdout, cmd.Stderr = into, stderr
	p, err := process.Start(cmd)
	if err != nil {
		say("%v", err)
		return 2
	}
	stop := context.AfterFunc(ctx, func() { end(cmd, p) })
	defer stop()
	go func() {
		<-p.Done
		into.Close()
	}()
	report := newReport(stdout, stderr)
	if err = report.read(events); err != nil {
		events.CloseWithError(err)
		p.Kill()
	}
	<-p.Done
	if ctx.Err() != nil {
		say("%v", context.Cause(ctx))
		return interrupt.Status(context.Cause(ctx), 1)
	}
	if err != nil {
		say("%v", err)
		return 1
	}
	if p.Err != nil {
		fmt.Fprintln(stdout, "FAIL") // go test's last word, which go test -json leaves out
	}
	report.end()
	exit := new(exec.ExitError)
	switch {
	case p.Err == nil:
		return 0
	case errors.As(p.Err, &exit) && exit.Exited():
		return exit.ExitCode()
	}
	say("go test: %v", p.Err)
	return 1
}

// end has go test end as after Ctrl-C, and waits a little for it to tidy up.
func end(cmd *exec.Cmd, p *process.Process) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-p.Done:
	case <-time.After(5 * time.Second):
		p.Kill()
	}
}
