package environ

import (
	"slices"
	"testing"
)

// What the caller says of a place stands, but for what the place says itself.
func TestDescribe(t *testing.T) {
	callers, others := Take([]string{"A=b", "EVENTBENCH_CONFIG=lab: attic\n\n seed: 99 ", "EVENTBENCH_CONFIGURED=1"})
	if want := []string{"A=b", "EVENTBENCH_CONFIGURED=1"}; !slices.Equal(others, want) {
		t.Errorf("other variables %q, want %q", others, want)
	}
	if want := []string{"lab: attic", "seed: 99"}; !slices.Equal(callers, want) {
		t.Errorf("the caller's lines %q, want %q", callers, want)
	}
	if got, want := Describe(callers, []string{"seed: 7", "qemu: 10"}), "EVENTBENCH_CONFIG=lab: attic\nseed: 7\nqemu: 10"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
