package gate

import (
	"fmt"
	"math"
	"strings"

	"eventbench/helpers/printable"
)

// A Where says which functions make up most of a change: those that hold the
// instructions that one operation gained or lost.
type Where struct {
	Old       int        `json:"old"` // instructions of one operation
	New       int        `json:"new"`
	Functions []Function `json:"functions"`
	Profiles  [2]string  `json:"profiles"` // files for go tool pprof: old and new
	// The ways that operations take within a boot, most frequent first, if
	// there are several.
	OldWays []NamedWay `json:"old_ways,omitempty"`
	NewWays []NamedWay `json:"new_ways,omitempty"`
	Shift   *Shift     `json:"shift,omitempty"` // of the mean, if there are several
}

// A Shift says why the mean operation has become longer or shorter.
type Shift struct {
	Longer  float64 `json:"longer"`  // instructions, because ways have become longer
	Oftener float64 `json:"oftener"` // because longer ways are taken more often
}

// A NamedWay is a way with the functions that set it apart from the most
// frequent one.
type NamedWay struct {
	Count int     `json:"count"`
	Share float64 `json:"share"` // of the operations
	Marks []Mark  `json:"marks,omitempty"`
}

// A Mark is a function that takes more instructions on one way than on the most
// frequent one, or fewer.
type Mark struct {
	Function string `json:"function"`
	More     int    `json:"more"`
}

// A Function is one function's part in it.
type Function struct {
	Name string `json:"name"`
	Old  int    `json:"old"`
	New  int    `json:"new"`
}

// most lists the functions that make up most of the difference.
func (w *Where) most() string {
	var parts []string
	for _, f := range w.Functions {
		parts = append(parts, fmt.Sprintf("%s %+d", f.Name, f.New-f.Old))
	}
	if parts == nil {
		return fmt.Sprintf("%d and %d instructions in one operation, in the same functions", w.Old, w.New)
	}
	return fmt.Sprintf("%d to %d instructions in one operation, %+d: most in %s", w.Old, w.New, w.New-w.Old, strings.Join(parts, ", "))
}

// lines says all of it: the functions, the ways, and how to see more.
func (w *Where) lines() []string {
	lines := []string{"where: " + clean(w.most())}
	if ways := w.ways(); ways != "" {
		lines = append(lines, "ways: "+clean(ways))
	}
	return append(lines, w.show())
}

// ways lists the ways of both sides.
func (w *Where) ways() string {
	var sides []string
	for _, side := range []struct {
		label string
		ways  []NamedWay
	}{{"old", w.OldWays}, {"new", w.NewWays}} {
		var ways []string
		for _, way := range side.ways {
			var marks []string
			for _, m := range way.Marks {
				marks = append(marks, fmt.Sprintf("%s %+d", m.Function, m.More))
			}
			text := fmt.Sprintf("%d in %s of operations", way.Count, percent(math.Round(way.Share*1000)/1000))
			if marks != nil {
				text += " (" + strings.Join(marks, ", ") + ")"
			}
			ways = append(ways, text)
		}
		if ways != nil {
			sides = append(sides, side.label+" "+strings.Join(ways, ", "))
		}
	}
	if w.Shift != nil && sides != nil {
		sides = append(sides, fmt.Sprintf("the mean moved by %+.1f as ways became longer and by %+.1f as others are taken more often", w.Shift.Longer, w.Shift.Oftener))
	}
	return strings.Join(sides, "; ")
}

// show returns the command that shows both profiles.
func (w *Where) show() string {
	return "go tool pprof -http=: -diff_base " + printable.ShellWord(w.Profiles[0]) + " " + printable.ShellWord(w.Profiles[1])
}
