package results

import (
	"fmt"
	"strings"

	"eventbench/helpers/printable"
)

// An InputError reports results that cannot be used: all that was found wrong
// with them.
type InputError struct {
	Problems []string

	none bool // nothing but that there is no result
}

func (e *InputError) Error() string { return strings.Join(e.Problems, "\n") }

// Is makes errors.Is tell [ErrNone] apart.
func (e *InputError) Is(target error) bool { return target == ErrNone && e.none }

// Problems collects what is wrong, up to a number that a reader will still
// read.
type Problems struct {
	List    []string
	dropped int
	none    bool // the only one is that there is no result
}

// Add adds a problem. What control characters the arguments have is escaped.
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

// addNone adds the problem that there is no result.
func (p *Problems) addNone(format string, args ...any) {
	p.none = len(p.List) == 0
	p.Add(format, args...)
}

// Len returns how many problems were added.
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

// printableLines is printable.Text for messages of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		indented := strings.TrimLeft(line, "\t")
		lines[i] = line[:len(line)-len(indented)] + printable.Text(indented)
	}
	return strings.Join(lines, "\n")
}
