//go:build linux

package behaviours

import (
	"testing"

	"eventbench/helpers/behaviour"
)

const (
	minSigStackSize = 5120 // MINSIGSTKSZ
	minSigFrame     = 4384 // the smallest frame, with its reserved space
)

// plain are the calls that this architecture leaves out.
var plain plainWaits

// minsigstkszSince is the first kernel with AT_MINSIGSTKSZ on this
// architecture.
var minsigstkszSince = [2]int{4, 18}

// kernelFaultFirst (SIG-33) has nothing to try on this architecture.
func kernelFaultFirst(t testing.TB) {
	behaviour.Absent(t, "no context is known on this architecture that fails to be restored after its mask was set")
}
