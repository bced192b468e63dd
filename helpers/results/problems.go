package results

import (
	"fmt"
	"strings"

	"eventbench/helpers/printable"
)

// An InputError says why results cannot be used, with everything that is wrong.
type InputError struct {
	Problems []string

	none bool // the only problem is that there are no results
}

func (e *InputError) Error() string { return strings.Join(e.Problems, "\n") }

// Is lets errors.Is find [ErrNone].
func (e *InputError) Is(target error) bool { return target == ErrNone && e.none }

// Problems collects problems, up to a number that people still read.
type Problems struct {
	List    []string
	dropped int
	none    bool // the only problem is that there are no results
}

// Add adds a problem. Control characters in the arguments are escaped.
func (p *Problems) Add(format string, args ...any) {
	const most = 20
	if len(p.List) == most {
		p.dropped++
		return
	}
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = printable.Text(a)
		case error:
			args[i] = printableLines(a.Error())
		}
	}
	p.List = append(p.List, fmt.Sprintf(format, args...))
}

// addNone adds the problem that there are no results.
func (p *Problems) addNone(format string, args ...any) {
	p.none = len(p.List) == 0
	p.Add(format, args...)
}

// Len returns the number of problems.
func (p *Problems) Len() int { return len(p.List) + p.dropped }

// Err returns the problems as an *InputError, or nil if there are none.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	if p.dropped > 0 {
		p.List = append(p.List, fmt.Sprintf("and %d more like these", p.dropped))
		p.dropped = 0
	}
	return &InputError{Problems: p.List, none: p.none && len(p.List) == 1}
}

// printableLines is printable.Text for messages with several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		indented := strings.TrimLeft(line, "\t")
		lines[i] = line[:len(line)-len(indented)] + printable.Text(indented)
	}
	return strings.Join(lines, "\n")
}

// List lists names, but no more than most of them.
func List(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
