//go:build linux

package main

import (
	"testing"

	"eventbench/helpers/tooltest"
)

// The tests run the real command, built as go tool builds it: it starts itself
// again inside the sandbox's namespaces.
var bin tooltest.Bin

func TestMain(m *testing.M) { bin.Main(m, "CGO_ENABLED=0") }

// TestErrors needs no runsc: each script's cache is empty.
func TestErrors(t *testing.T) { bin.Scripts(t) }
