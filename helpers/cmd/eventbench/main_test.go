//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"eventbench/helpers/tooltest"

	"github.com/rogpeppe/go-internal/testscript"
)

// The tests run the real tool, built as go tool builds it: it is its own
// guest's init, which a test binary cannot be.
var bin tooltest.Bin

func TestMain(m *testing.M) { bin.Main(m) }

// TestScript runs the tool as users do. No script needs QEMU, a kernel, or runsc.
// Results of real runs are in runs.
func TestScript(t *testing.T) {
	runs, err := filepath.Abs("../../gate/testdata")
	if err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	bin.Scripts(t, func(env *testscript.Env) error {
		env.Setenv("MODULE", module)
		return os.Symlink(runs, filepath.Join(env.WorkDir, "runs"))
	})
}
