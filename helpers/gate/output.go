package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"eventbench/helpers/ci"
)

// Formats are a report's own formats. Package ci has more.
var Formats = []ci.Format{ci.Own("text", true), ci.Own("markdown", false), ci.Own("json", false)}

// Write writes the report in one of the Formats.
func (r *Report) Write(w io.Writer, format string) error {
	switch format {
	case "json":
		return r.WriteJSON(w)
	case "markdown":
		return r.WriteMarkdown(w)
	}
	return r.WriteText(w)
}

// Run returns the report as other formats are written from it.
func (r *Report) Run() *ci.Run {
	s := &ci.Suite{Name: "gate", Tested: r.New, Settings: make(map[string]string)}
	for _, setting := range r.settings {
		s.Settings[setting.key] = setting.new
		if setting.key == "kernel-image" {
			s.Tested = setting.new
		}
	}
	for _, f := range r.Failures {
		s.Findings = append(s.Findings, r.failed(f))
	}
	lines := make(map[*Comparison]bool)
	for _, c := range r.findings() {
		lines[c] = true
	}
	for _, c := range r.Comparisons {
		f := r.compared(c)
		f.Worth = lines[c]
		s.Findings = append(s.Findings, f)
	}
	run := &ci.Run{Outcome: string(r.Outcome), Summary: r.Summary(), Suites: []*ci.Suite{s}}
	switch r.Outcome {
	case Fail:
		run.Status = ci.Failed
	case Undecided:
		run.Status = ci.Unknown
	}
	return run
}

// failed returns a benchmark that fails as a finding.
func (r *Report) failed(f *Failing) *ci.Finding {
	finding := &ci.Finding{Name: r.name(f.Pkg, f.Name), Gates: true, Verdict: f.label(), Reason: f.text(), Worth: true}
	switch {
	case f.worse():
		finding.Status = ci.Failed
	case f.both():
		finding.Status = r.unknown()
	}
	if f.New > 0 {
		finding.Reproduce = r.again(f.Pkg, f.Name)
	}
	return finding
}

// compared returns a comparison as a finding.
func (r *Report) compared(c *Comparison) *ci.Finding {
	f := &ci.Finding{
		Name: r.name(c.Pkg, c.Name), Unit: clean(c.Unit), Better: c.Better, Old: c.Old.figure(), New: c.New.figure(),
		Ratio: &ci.Figure{Value: c.Ratio, Low: c.Lo, High: c.Hi}, Change: c.Change(), Threshold: c.Threshold, Gates: c.Gates,
		Verdict: c.label(), Reason: clean(c.Reason), Reproduce: r.steps(c),
	}
	switch {
	case c.fails():
		f.Status = ci.Failed
	case c.blocks():
		f.Status = r.unknown()
	case !c.Gates || c.Verdict == CannotTell:
		f.Status = ci.Informs
	}
	if c.Where != nil {
		f.More = c.Where.lines()
	}
	return f
}

// unknown is the status of what cannot be told: it only informs if the gate
// passes all the same.
func (r *Report) unknown() ci.Status {
	if r.Outcome == Pass {
		return ci.Informs
	}
	return ci.Unknown
}

func (s Summary) figure() *ci.Figure {
	return &ci.Figure{Value: rounded(s.Median), Low: rounded(s.Lo), High: rounded(s.Hi), N: s.N}
}

// NoVerdict is the document where there is no report. A comment on a pull
// request must not be missing just then.
type NoVerdict struct {
	Outcome  Outcome
	Exit     int // what the command exits with
	Problems []string
}

// Unfinished is what a report's file holds until there is one.
var Unfinished = &NoVerdict{"no verdict", Unreadable.ExitCode(), []string{"the run has not finished"}}

// WhyNot returns the document for an error.
func WhyNot(outcome Outcome, exit int, err error) *NoVerdict {
	if ie := (*InputError)(nil); errors.As(err, &ie) {
		return &NoVerdict{outcome, exit, ie.Problems}
	}
	return &NoVerdict{outcome, exit, []string{err.Error()}}
}

// Write writes why there is no report in one of the [Formats].
func (n *NoVerdict) Write(w io.Writer, format string) error {
	var err error
	switch problems := strings.Join(n.Problems, "\n"); format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Outcome  Outcome  `json:"outcome"`
			Exit     int      `json:"exit"`
			Problems []string `json:"problems"`
		}{n.Outcome, n.Exit, n.Problems})
	case "markdown":
		_, err = fmt.Fprintf(w, "### Benchmarks: %s\n\nNo verdict can be drawn:\n\n```\n%s\n```\n", n.Outcome, problems)
	default:
		_, err = fmt.Fprintf(w, "%s: %s\n", n.Outcome, problems)
	}
	return err
}

// Run returns it as other formats are written from it.
func (n *NoVerdict) Run() *ci.Run { return ci.NoVerdict(string(n.Outcome), n.Problems...) }
