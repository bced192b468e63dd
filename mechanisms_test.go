//go:build linux

package eventbench_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/mechanisms"
)

// make bench would measure a benchmark that helpers/mechanisms does not list,
// but the gate would silently never judge it.
func TestBenchmarksAreListed(t *testing.T) {
	out, err := fdtest.Self(t, nil, "-test.list=^Benchmark").Output()
	if err != nil {
		t.Fatal(err)
	}
	there, listed := strings.Fields(string(out)), mechanisms.Benchmarks()
	for _, name := range there {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not in the list of helpers/mechanisms: what sets is it in?", name)
		}
	}
	for i, name := range listed {
		if !slices.Contains(there, name) {
			t.Errorf("helpers/mechanisms lists %s, and there is none", name)
		}
		if slices.Contains(listed[:i], name) {
			t.Errorf("helpers/mechanisms lists %s twice", name)
		}
	}
}

// The README explains every operation of the headline and every family.
func TestOperationsAreExplained(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the source stayed where this was built: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(mechanisms.Headline(), mechanisms.Families()) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("README.md says nothing of `%s`", name)
		}
	}
}
