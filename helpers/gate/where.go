package gate

import (
	"fmt"
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

// show returns the command that shows both profiles.
func (w *Where) show() string {
	return "go tool pprof -http=: -diff_base " + printable.ShellWord(w.Profiles[0]) + " " + printable.ShellWord(w.Profiles[1])
}
