package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"eventbench/helpers/tooltest"

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
	tooltest.Status(ts, neg, slices.Insert(args, 1, "gate"))
}
