//go:build linux

package arms

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/tooltest"

	"github.com/rogpeppe/go-internal/testscript"
)

// The tests run the real command on the test binary of package rounds' tests,
// whose cost an environment variable sets.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, tooltest.Commands(
		&cli.Verb{Manual: tooltest.Manual("gate-kernels"), Resumes: true, Failure: 2, New: NewKernels},
		&cli.Verb{Manual: tooltest.Manual("gate-arms"), Resumes: true, Failure: 2, New: NewHost},
		&cli.Verb{Manual: tooltest.Manual("baselines"), Resumes: true, Failure: 2, New: NewBaselines}))
}

// tiny is the path of the test binary. module is the path of the module, where
// go tool finds the tools that arms runs.
var tiny, module string

type suite struct{ m *testing.M }

func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "arms")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tiny = filepath.Join(dir, "tiny.test")
	if out, err := exec.Command("go", "test", "-c", "-o", tiny, "../rounds/testdata/tiny").CombinedOutput(); err != nil {
		log.Fatalf("go test -c tiny: %v\n%s", err, out)
	}
	if module, err = filepath.Abs("../.."); err != nil {
		log.Fatal(err)
	}
	return s.m.Run()
}

func TestScript(t *testing.T) {
	env := tooltest.GoEnv(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("MODULE", module)
			e.Setenv("OLD", filepath.Join(e.WorkDir, "old.test"))
			e.Setenv("NEW", filepath.Join(e.WorkDir, "new.test"))
			// Make two different builds: bytes after the end of an
			// ELF file change nothing.
			text, err := os.ReadFile(tiny)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(filepath.Join(e.WorkDir, "old.test"), text, 0o777),
				os.WriteFile(filepath.Join(e.WorkDir, "new.test"), append(text, '\n'), 0o777))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits N command... runs the command and wants exit
			// status N.
			"exits": tooltest.Status,
		},
	})
}

// A run that is interrupted says so, exits as a process killed by the signal
// does, keeps its finished rounds, and continues from there.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "new.test")
	text, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, append(text, '\n'), 0o777); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.md")
	run := func(stopAfter string) (status int, stderr string) {
		cmd := exec.CommandContext(t.Context(), "eventbench", "gate-arms", "-results", dir, "-bench", "PipeSelf", "-benchtime", "2000x",
			"-thresholds", mustRules(t, dir), "-format", "markdown="+report, tiny, other)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		var out strings.Builder
		cmd.Stderr = &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that the signal reaches all, as Ctrl-C in a terminal does
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); stopAfter != "" && len(mustGlob(t, dir, stopAfter)) == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				t.Fatalf("no %s within a minute", stopAfter)
			}
		}
		if stopAfter != "" {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		}
		cmd.Wait()
		return cmd.ProcessState.ExitCode(), out.String()
	}
	status, stderr := run("*/*/*/round-02.txt")
	if want := "eventbench gate-arms: stopped by interrupt; the same command continues from there"; status != 130 || !strings.Contains(stderr, want) {
		t.Errorf("stopped: exit status %d, want 130, and stderr\n%s\nwant %q in it", status, stderr, want)
	}
	if text, err := os.ReadFile(report); err != nil || !strings.Contains(string(text), "### Benchmarks: no verdict\n") {
		t.Errorf("stopped: the report is %q, error %v, want that there is no verdict", text, err)
	}
	first := mustGlob(t, dir, "*/*/*/round-01.txt")
	before, err := os.ReadFile(first[0])
	if err != nil {
		t.Fatal(err)
	}
	if status, stderr = run(""); status != 0 || strings.Contains(stderr, "eventbench bench: 11 of 11 rounds to go") {
		t.Errorf("again: exit status %d, want 0 with some rounds there already, and stderr\n%s", status, stderr)
	}
	if after, err := os.ReadFile(first[0]); err != nil || string(after) != string(before) {
		t.Errorf("%s was measured again (%v)", first[0], err)
	}
}

// mustRules writes thresholds under which only what the binary fixes can fail,
// so that a test does not depend on how long something takes.
func mustRules(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(dir, "rules")
	tooltest.MustWrite(tb, path, "p50-latency-ns 5% gate\n* 5% inform\n")
	return path
}

func mustGlob(tb testing.TB, dir, pattern string) []string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		tb.Fatal(err)
	}
	return found
}
