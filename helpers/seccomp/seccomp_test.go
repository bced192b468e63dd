//go:build linux

package seccomp

import (
	"slices"
	"testing"
)

// Results name the filter, beside whatever else the caller says of them; of a
// filter before another they name both.
func TestEnviron(t *testing.T) {
	check := func(env []string, n int, want ...string) {
		t.Helper()
		if got := described(env, n); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", env, got, want)
		}
	}
	check([]string{"A=b"}, 200, "A=b", "EVENTBENCH_CONFIG=seccomp: 200")
	check([]string{"EVENTBENCH_CONFIG=lab: attic\nseed: 1\n", "A=b"}, 200, "A=b", "EVENTBENCH_CONFIG=seccomp: 200\nlab: attic\nseed: 1")
	check([]string{"EVENTBENCH_CONFIG=lab: attic\nseccomp: 100"}, 200, "EVENTBENCH_CONFIG=seccomp: 300\nlab: attic")
}
