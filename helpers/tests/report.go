//go:build linux

package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/need"
)

// An event is a line of go test -json: go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// A test is one of a package.
type test struct{ pkg, name string }

// parent returns the test that started a subtest.
func (t test) parent() (test, bool) {
	i := strings.LastIndexByte(t.name, '/')
	return test{t.pkg, t.name[:max(i, 0)]}, i > 0
}

// A report turns events into what go test prints without -json, and counts what
// was skipped.
type report struct {
	w, errs io.Writer
	part    []byte // a line that has not ended
	err     error  // of writing

	// A test's output, until it passes; a failed test's, until its package
	// ends.
	said map[test][]string
	// The tests of a package that have not passed, in the order they
	// started.
	open map[string][]test
	// A package's output outside its tests.
	own map[string][]string

	tests   int                         // at the top
	lacks   map[need.Lack]map[test]bool // which could not be tried for want of it
	rows    map[string]int              // rows skipped, by reason
	others  map[string]int              // other tests, by reason
	summary []string                    // what is said of behaviours
}

func newReport(w, errs io.Writer) *report {
	return &report{w: w, errs: errs, said: map[test][]string{}, open: map[string][]test{}, own: map[string][]string{},
		lacks: map[need.Lack]map[test]bool{}, rows: map[string]int{}, others: map[string]int{}}
}

// Write takes go test's output.
func (r *report) Write(p []byte) (int, error) {
	r.part = append(r.part, p...)
	for r.err == nil {
		end := bytes.IndexByte(r.part, '\n') + 1
		if end == 0 {
			return len(p), nil
		}
		r.err = r.line(r.part[:end])
		r.part = r.part[end:]
	}
	return 0, r.err
}

func (r *report) line(line []byte) error {
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil {
		// The go command's own words.
		_, err := r.w.Write(line)
		return err
	}
	return r.event(e)
}

func (r *report) event(e event) error {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		_, err := io.WriteString(r.errs, e.Output)
		return err
	case "run":
		if !strings.Contains(e.Test, "/") {
			r.tests++
		}
		r.open[e.Package] = append(r.open[e.Package], t)
	case "output":
		if e.Test != "" {
			r.said[t] = append(r.said[t], e.Output)
			r.note(t, e.Output)
			return nil
		}
		if about, ok := strings.CutPrefix(e.Output, "behaviours: "); ok {
			r.summary = append(r.summary, strings.TrimSpace(about))
		}
		r.own[e.Package] = append(r.own[e.Package], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			return r.ended(e)
		}
		if e.Action == "skip" {
			r.skipped(t)
		}
		parent, isSub := t.parent()
		if e.Action == "fail" && !isSub {
			return nil // told at the end of its package
		}
		if e.Action == "fail" {
			for _, line := range verdictFirst(r.said[t]) {
				r.said[parent] = append(r.said[parent], "    "+line)
			}
		}
		delete(r.said, t)
		r.open[e.Package] = slices.DeleteFunc(r.open[e.Package], func(o test) bool { return o == t })
	}
	return nil
}

// ended prints what go test prints at the end of a package: everything about
// the failures of one that failed, otherwise a line.
func (r *report) ended(e event) error {
	defer delete(r.own, e.Package)
	defer delete(r.open, e.Package)
	own := r.own[e.Package]
	if e.Action == "fail" {
		for _, t := range r.open[e.Package] {
			for _, line := range verdictFirst(r.said[t]) {
				if err := r.print(line); err != nil {
					return err
				}
			}
			delete(r.said, t)
		}
	} else {
		own = slices.DeleteFunc(own, func(line string) bool { return !lastLine.MatchString(line) })
	}
	return r.print(strings.Join(own, ""))
}

func (r *report) print(text string) error {
	_, err := io.WriteString(r.w, text)
	return err
}

// lastLine is what go test says of a package that passed.
var lastLine = regexp.MustCompile(`^(ok  |\?   )\t`)

// verdictFirst has the lines of a test in the order of a run without -v: its
// verdict, then what it said.
func verdictFirst(lines []string) []string {
	var first, rest []string
	for _, line := range lines {
		if _, _, ok := behaviour.Started(line); ok {
			continue // go test -json has -v on
		}
		// A subtest's verdict is indented.
		if _, _, ok := behaviour.Ended(line); ok && line[0] == '-' {
			first = append(first, line)
		} else {
			rest = append(rest, line)
		}
	}
	return append(first, rest...)
}

// note counts what a test reports as not tested.
func (r *report) note(t test, line string) {
	if lack, ok := need.Parse(line); ok {
		if r.lacks[lack] == nil {
			r.lacks[lack] = map[test]bool{}
		}
		r.lacks[lack][t] = true
	}
}

func saysLack(line string) bool {
	_, ok := need.Parse(line)
	return ok
}

// skipped counts a test that was skipped for a reason that is not counted yet.
func (r *report) skipped(t test) {
	// The test that runs a skipped script says why.
	if parent, ok := t.parent(); ok && slices.ContainsFunc(r.said[parent], saysLack) {
		return
	}
	reason := "no reason"
	for _, line := range r.said[t] {
		if saysLack(line) || need.IsUnasked(line) {
			return
		}
		// The reason is the last that was logged.
		if text, ok := behaviour.Logged(line); ok {
			reason = text
		}
	}
	if behaviour.RowOf(t.name) != "" {
		if strings.Contains(reason, "(go tool eventbench guest") {
			reason = "they change the machine (make behaviours has guests for that)"
		}
		r.rows[reason]++
	} else {
		r.others[reason]++
	}
}

// end prints what was not tested.
func (r *report) end() {
	var lines []string
	byWhat := func(a, b need.Lack) int { return strings.Compare(a.What+a.Lack, b.What+b.Lack) }
	for _, lack := range slices.SortedFunc(maps.Keys(r.lacks), byWhat) {
		lines = append(lines, fmt.Sprintf("%s: %s, %s (%s)", lack.What, counted(len(r.lacks[lack]), "test"), lack.Lack, lack.Get))
	}
	lines = append(lines, ofReasons("rows", "row", r.rows)...)
	lines = append(lines, ofReasons("others", "test", r.others)...)
	tried := counted(r.tests, "test")
	if len(r.summary) > 0 {
		tried += ", " + strings.Join(r.summary, ", ")
	}
	switch len(lines) {
	case 0:
		fmt.Fprintf(r.w, "nothing was left out: %s\n", tried)
	case 1, 2: // on any machine: what is tried elsewhere, or when asked for
		fmt.Fprintf(r.w, "not tried here: %s\n", strings.Join(lines, "; "))
	default:
		fmt.Fprintf(r.w, "not tried here, of %s:\n", tried)
		for _, line := range lines {
			fmt.Fprintf(r.w, "  %s\n", line)
		}
	}
}

// ofReasons returns a line for each reason, the most frequent first, or for
// many of them a line for what they have in common.
func ofReasons(what, one string, reasons map[string]int) []string {
	const most = 4
	keys := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		if n := reasons[b] - reasons[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	var lines []string
	rest := 0
	for i, reason := range keys {
		if i < most-1 || len(keys) == most {
			lines = append(lines, fmt.Sprintf("%s: %s, %s", what, counted(reasons[reason], one), reason))
		} else {
			rest += reasons[reason]
		}
	}
	if rest > 0 {
		lines = append(lines, fmt.Sprintf("%s: %s, for other reasons (go test -v says which)", what, counted(rest, one)))
	}
	return lines
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
