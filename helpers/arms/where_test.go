//go:build linux

package arms

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/gate"
)

// A failure to name functions is a note and changes no verdict.
func TestExplainFails(t *testing.T) {
	dir := t.TempDir()
	k := &kernels{where: true, seed: 1, say: t.Logf, set: &boots.Set{Dir: dir, Kernels: []*boots.Kernel{
		{Arg: filepath.Join(dir, "a"), Dir: filepath.Join(dir, "a.boots")}, {Arg: filepath.Join(dir, "b"), Dir: filepath.Join(dir, "b.boots")}}}}
	k.Binary, k.Jobs, k.Timeout = filepath.Join(dir, "none.static"), 1, time.Minute
	regression := &gate.Comparison{Name: "EventfdSelf", Unit: "instrs/op", Verdict: gate.Regression}
	report := &gate.Report{Comparisons: []*gate.Comparison{regression}}
	check := func(want string) {
		t.Helper()
		note, err := k.explain(t.Context(), report)
		if err != nil || !strings.Contains(note, "are not known for all benchmarks: ") || !strings.Contains(note, want) || strings.Contains(note, "\n") || regression.Where != nil {
			t.Errorf("note %q, error %v, functions %v; want a one-line note with %q", note, err, regression.Where, want)
		}
	}
	check("none.static")
	t.Run("no go", func(t *testing.T) {
		t.Setenv("PATH", dir)
		check("go tool -n eventbench")
	})
	regression.Verdict = gate.NoChange
	if note, err := k.explain(t.Context(), report); note != "" || err != nil {
		t.Errorf("nothing changed: note %q, error %v", note, err)
	}

	// Ctrl-C is not a failure to name functions: it ends the gate.
	regression.Verdict = gate.Improvement
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	cancel(stop)
	if note, err := k.explain(ctx, report); note != "" || err != stop {
		t.Errorf("stopped: note %q, error %v", note, err)
	}
}
