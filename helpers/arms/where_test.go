//go:build linux

package arms

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/gate"
	"eventbench/helpers/where"
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

// Of ways, those that a timer's tick makes are left out, and a single one says
// nothing.
func TestExplanation(t *testing.T) {
	mark := where.Mark{Function: "requeue_delayed_entity", Diff: 508, Calls: 1}
	w := &where.Report{
		Old:   where.Side{Count: 1596, Profile: "old.pb.gz", Ways: []where.Way{{Count: 1596, Share: 0.9}, {Count: 2104, Share: 0.09, Marks: []where.Mark{mark}}, {Count: 9000, Share: 0.01}}},
		New:   &where.Side{Count: 1674, Profile: "new.pb.gz", Ways: []where.Way{{Count: 1674, Share: 0.99}, {Count: 9100, Share: 0.01}}},
		Rows:  []where.Row{{Function: "vfs_write", Old: 87, New: 165}, {Function: "same", Old: 5, New: 5}},
		Shift: &where.Shift{Longer: 78, Oftener: -45},
	}
	want := &gate.Where{Old: 1596, New: 1674, Functions: []gate.Function{{Name: "vfs_write", Old: 87, New: 165}}, Profiles: [2]string{"old.pb.gz", "new.pb.gz"},
		OldWays: []gate.NamedWay{{Count: 1596, Share: 0.9}, {Count: 2104, Share: 0.09, Marks: []gate.Mark{{Function: "requeue_delayed_entity", More: 508}}}},
		Shift:   &gate.Shift{Longer: 78, Oftener: -45}}
	if got := explanation(w); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
