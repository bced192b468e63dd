// Package tooltest has what the tests of the commands share.
//
// Commands that have to be what go tool makes of them, because they start
// themselves again where a test binary cannot stand in for them, are built:
//
//	var bin tooltest.Bin
//
//	func TestMain(m *testing.M) { bin.Main(m) }
//
//	func TestErrors(t *testing.T) { bin.Scripts(t) }
//
//	func TestRun(t *testing.T) {
//		stdout, stderr := bin.Run(t, "eventbench", t.TempDir(), nil, 0, "guest", "-kernel", "6.12", bin.Path("prog"), "out=hello")
//		...
//	}
package tooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/need"
)

// Patience is how long a test waits for what takes a moment on a machine that
// has nothing else to do: on a busy one the tests of many packages run at once.
const Patience = 2 * time.Minute

// Bin is the directory of the programs that Main has built: eventbench and
// prog, which does what its arguments say.
type Bin string

// Main builds the programs, with env added to the environment of the go
// command, and runs the tests. It does not return.
func (b *Bin) Main(m *testing.M, env ...string) {
	os.Exit(b.run(m, env))
}

func (b *Bin) run(m *testing.M, env []string) int {
	dir, err := os.MkdirTemp("", "tool-test")
	if err == nil {
		defer os.RemoveAll(dir)
		// Ordinary users run what is in it too.
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*b = Bin(dir)
	for _, pkg := range []string{"eventbench/helpers/cmd/eventbench", "eventbench/helpers/tooltest/prog"} {
		cmd := exec.Command("go", "build", "-o", dir+"/", pkg)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	return m.Run()
}

// Path returns the path of a program.
func (b Bin) Path(name string) string { return filepath.Join(string(b), name) }

// Kernels returns the KERNELS that a Makefile sets.
func Kernels(t *testing.T, makefile string) []string {
	t.Helper()
	text, err := os.ReadFile(makefile)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^KERNELS +\?= (.*)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s does not set KERNELS", makefile)
	}
	return strings.Fields(string(m[1]))
}

// GoEnv returns what the go command needs in another HOME, to find what it has
// built and fetched: without, it builds the standard library anew.
func GoEnv(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	var env []string
	for i, value := range strings.SplitN(string(out), "\n", len(names)) {
		env = append(env, names[i]+"="+strings.TrimSpace(value))
	}
	return env
}

// Scripts runs the scripts in testdata/script, which find the programs in
// their PATH and in $BIN, an empty cache, and what setup adds.
func (b Bin) Scripts(t *testing.T, setup ...func(*testscript.Env) error) {
	goEnv := GoEnv(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", string(b)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("BIN", string(b))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Vars = append(env.Vars, goEnv...)
			for _, f := range setup {
				if err := f(env); err != nil {
					return err
				}
			}
			return nil
		},
		Condition: need.Condition(t),
		Cmds:      map[string]func(ts *testscript.TestScript, neg bool, args []string){"status": Status},
	})
}

// Command returns the command of a program in dir, with env added to its
// environment, and the directory that it has for temporary files.
func (b Bin) Command(t *testing.T, name, dir string, env []string, args ...string) (cmd *exec.Cmd, tmp string) {
	tmp = t.TempDir()
	cmd = exec.Command(b.Path(name), args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "TMPDIR="+tmp), env...)
	cmd.WaitDelay = time.Second
	return cmd, tmp
}

// Run runs such a command to its end, and wants the exit status and no
// temporary file left.
func (b Bin) Run(t *testing.T, name, dir string, env []string, wantStatus int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd, tmp := b.Command(t, name, dir, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if status := ExitStatus(t, cmd.Run()); status != wantStatus {
		t.Errorf("exit status %d, want %d; standard error:\n%s", status, wantStatus, &errs)
	}
	MustBeEmpty(t, tmp)
	return out.String(), errs.String()
}

// Status is a command for scripts, "status N COMMAND [ARGUMENT ...]": it runs
// the command and wants the exit status N, or one of N|M.
func Status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND [ARGUMENT ...]")
	}
	got, err := 0, ts.Exec(args[1], args[2:]...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if !slices.Contains(strings.Split(args[0], "|"), fmt.Sprint(got)) {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// ExitStatus returns the exit status that a command's Run or Wait tells of; -1
// for a process that a signal ended.
func ExitStatus(t *testing.T, err error) int {
	t.Helper()
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Error(err)
	return -1
}

// MustStart starts a command that is killed at the test's end, if it still
// runs.
func MustStart(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
}

// MustBeEmpty wants nothing in a directory for temporary files.
func MustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Errorf("left for temporary files: %v", entries)
	}
}

// MustWrite writes a file, and makes the directory that it is in.
func MustWrite(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// MustRead returns what is in a file.
func MustRead(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Commands returns what [testscript.Main] takes for scripts to run verbs as the
// tool would, in a process of its own that is the test binary.
func Commands(verbs ...*cli.Verb) map[string]func() {
	return map[string]func(){"eventbench": func() {
		t := tool(verbs)
		t.Context = interrupt.Context
		os.Exit(t.Run(os.Args[1:], os.Stdout, os.Stderr))
	}}
}

// Verb runs a verb in this process as the tool would, but that it ends with
// ctx.
func Verb(ctx context.Context, v *cli.Verb, args []string, stdout, stderr io.Writer) int {
	return Run(ctx, []*cli.Verb{v}, append([]string{v.Name}, args...), stdout, stderr)
}

// Run runs a tool with these verbs in this process.
func Run(ctx context.Context, verbs []*cli.Verb, args []string, stdout, stderr io.Writer) int {
	t := tool(verbs)
	t.Context = func(...os.Signal) context.Context { return ctx }
	return t.Run(args, stdout, stderr)
}

func tool(verbs []*cli.Verb) *cli.Tool {
	return &cli.Tool{
		Name: "eventbench", Command: "go tool eventbench", Verbs: verbs,
		Manual: cli.ParseManual("# eventbench: test verbs\n\n    eventbench VERB\n"),
	}
}

// Manual is that of a verb which a test runs.
func Manual(name string) *cli.Manual {
	return cli.ParseManual("# " + name + ": be tested\n\n    go tool eventbench " + name + "\n")
}
