package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Formats are the formats of a report.
var Formats = []string{"text", "markdown", "json"}

// CheckFormat checks the name of a format.
func CheckFormat(format string) error {
	if !slices.Contains(Formats, format) {
		return fmt.Errorf("-format %s: want text, markdown or json", format)
	}
	return nil
}

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

// WriteProblems writes, in a document format, why there is no report and what
// the command exits with: a comment on a pull request must not be missing just
// then. For text it writes nothing, because the reason goes to standard error.
func WriteProblems(w io.Writer, format string, outcome Outcome, exit int, err error) error {
	problems := []string{err.Error()}
	if ie := (*InputError)(nil); errors.As(err, &ie) {
		problems = ie.Problems
	}
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Outcome  Outcome  `json:"outcome"`
			Exit     int      `json:"exit"`
			Problems []string `json:"problems"`
		}{outcome, exit, problems})
	case "markdown":
		_, err := fmt.Fprintf(w, "### Benchmarks: %s\n\nNo verdict can be drawn:\n\n```\n%s\n```\n", outcome, strings.Join(problems, "\n"))
		return err
	}
	return nil
}
