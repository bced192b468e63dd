//go:build linux

package where

import (
	"os"
	"os/exec"
	"testing"

	"eventbench/helpers/guest"
)

// The test binary is its own guests' init, and the program that shows symbols.
func TestMain(m *testing.M) {
	if guest.IsInit() {
		guest.RunInit()
	}
	if IsGuestProgram() {
		RunGuestProgram()
	}
	os.Exit(m.Run())
}

// triedStatic runs the test in a test binary that is static, and reports that it
// did, if this one is not: the race detector needs libraries, and guests, whose
// init this program is, have none.
func triedStatic(t *testing.T) bool {
	t.Helper()
	if !raced {
		return false
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run=^"+t.Name()+"$", "-v", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
	t.Logf("%s", out)
	return true
}
