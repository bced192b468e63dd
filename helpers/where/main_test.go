//go:build linux

package where

import (
	"os"
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
