//go:build linux

package arms

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/gate"
)

// Recorded results stand for what a canary measures.
type recordedArms struct{ old, new string }

func (r recordedArms) close() {}

func (r recordedArms) measure(context.Context, int) (old, new side, err error) {
	return side{name: r.old, files: []string{r.old}}, side{name: r.new, files: []string{r.new}}, nil
}

type recordedCanary struct {
	recordedArms
	bird *canary
}

func (r recordedCanary) canary(context.Context) (*canary, error) { return r.bird, nil }

// A gate is believed that finds what was planted and nothing in the same again.
func TestBelieve(t *testing.T) {
	pair := func(new string) recordedArms {
		dir := filepath.Join("..", "gate", "testdata", "host")
		return recordedArms{filepath.Join(dir, "old.txt"), filepath.Join(dir, new)}
	}
	check := func(planted, again, want string) {
		t.Helper()
		c := recordedCanary{bird: &canary{of: "OLD", planted: pair(planted), again: pair(again)}}
		note, err := believe(t.Context(), options{max: gate.MostRounds}, t.Logf, gate.FirstRounds, c)
		got := note
		if err != nil {
			got = err.Error()
			if o := (&options{}); !errors.As(err, new(*canaryError)) {
				t.Errorf("%s, %s: %v is not the canary's", planted, again, err)
			} else if status, outcome := o.status(nil, err); status != 2 || outcome != unbelievable {
				t.Errorf("%s, %s: exit status %d, %s", planted, again, status, outcome)
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("planted %s, again %s: got %q, want %q", planted, again, got, want)
		}
	}
	const plant = "OLD with a seccomp filter of 200 comparisons before each system call"
	check("slow.txt", "same.txt", "canary: "+plant+": regression: of ")
	check("same.txt", "same.txt", plant+" is no regression: cannot tell: of ")
	check("slow.txt", "slow.txt", "OLD against itself is a regression: regression: of ")
	check("none.txt", "same.txt", plant+": ")
	check("slow.txt", "none.txt", "OLD against itself: ")
}
