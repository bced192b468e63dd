package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gate": main})
}

// TestScript runs the command as users do, on results of real runs ($RUNS) and
// on files in the scripts.
func TestScript(t *testing.T) {
	runs, err := filepath.Abs("../../gate/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("RUNS", runs)
			return os.Symlink(runs, filepath.Join(env.WorkDir, "runs"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exits runs gate with the arguments after the first and checks that it exits
// with the first.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits status gate-argument...")
	}
	err := ts.Exec("gate", args[1:]...)
	status := "0"
	if err != nil {
		status = exitStatus(err)
	}
	if status != args[0] {
		ts.Fatalf("gate %q exits with %s, want %s", args[1:], status, args[0])
	}
}

func exitStatus(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}
