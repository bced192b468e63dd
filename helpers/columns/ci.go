//go:build linux

package columns

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/ci"
	"eventbench/helpers/printable"
)

// Run returns the table as the formats of package ci are written from it: a
// suite for each column.
func (t *table) Run() *ci.Run {
	run := &ci.Run{Outcome: "pass"}
	var counts []string
	for _, c := range t.columns {
		counts = append(counts, fmt.Sprintf("%s: %s", c.name, c.counts(t.rows)))
		s := &ci.Suite{Name: c.name, Tested: filepath.Base(c.file)}
		for _, m := range t.inv {
			for _, r := range m.rows {
				if slices.Contains(t.rows, r.ID) {
					s.Findings = append(s.Findings, t.finding(c, r, c.end(r.ID)))
				}
			}
		}
		run.Suites = append(run.Suites, s)
	}
	run.Summary = strings.Join(counts, "; ")
	for _, s := range run.Suites {
		switch status := s.Status(); {
		case status == ci.Failed:
			run.Status, run.Outcome = ci.Failed, "wrong outcomes"
		case status == ci.Unknown && run.Status != ci.Failed:
			run.Status, run.Outcome = ci.Unknown, "rows without a result"
		}
	}
	return run
}

// finding returns what became of a row in a column.
func (t *table) finding(c *column, r behaviour.Row, o outcome) *ci.Finding {
	f := &ci.Finding{Name: r.ID, Gates: true, Verdict: strings.TrimSpace(string(o.status)), Reason: r.Statement}
	switch o.status {
	case passes:
	case partly:
		f.Worth = true
	case deviates, broke:
		f.Status, f.Worth = ci.Failed, true
	case none:
		f.Status, f.Verdict, f.Worth = ci.Unknown, "no result", true
	default:
		f.Status = ci.Skipped
	}
	if o.stale != "" {
		f.Status, f.Worth = ci.Failed, true
		f.More = append(f.More, fmt.Sprintf("it holds, but %s records: %s", deviationsFile, o.stale))
	}
	if why := printable.Line(o.reason()); why != "" {
		f.Reason += ": " + why
		f.More = append(f.More, o.said[1:]...)
	}
	f.Reproduce = fmt.Sprintf("go tool eventbench behaviours -rows '^%s$' %s %s\n", r.ID, printable.ShellWord(t.binary), printable.ShellWord(c.arg))
	return f
}

// noRows is the document where there is no table.
type noRows struct{ run *ci.Run }

func (n noRows) Run() *ci.Run { return n.run }

func (n noRows) Write(w io.Writer, format string) error {
	head := ""
	if format == "markdown" {
		head = "### Behaviour: "
	}
	_, err := fmt.Fprintf(w, "%s%s\n", head, n.run.Summary)
	return err
}
