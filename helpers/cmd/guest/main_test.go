package main

import (
	"testing"

	"eventbench/helpers/tooltest"
)

// The tests run the real command, built as go tool builds it: it is its own
// guest's init, which a test binary cannot be.
var bin tooltest.Bin

func TestMain(m *testing.M) { bin.Main(m) }

// TestErrors needs neither QEMU nor a kernel.
func TestErrors(t *testing.T) { bin.Scripts(t) }
