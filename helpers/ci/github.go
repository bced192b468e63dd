package ci

import (
	"fmt"
	"io"
	"strings"
)

// mostAnnotations is how many errors, and how many warnings, GitHub shows of a
// step. It drops further ones without a word.
const mostAnnotations = 10

// github writes workflow commands, which GitHub shows as annotations:
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func github(w io.Writer, r *Run) error {
	var b strings.Builder
	if r.Problems != nil {
		command(&b, "error", tool+": "+r.Outcome, strings.Join(r.Problems, "\n"))
	}
	for _, kind := range []struct {
		command string
		has     func(*Finding) bool
	}{
		{"error", func(f *Finding) bool { return f.Status == Failed }},
		{"warning", func(f *Finding) bool { return f.Status == Unknown }},
		{"notice", func(f *Finding) bool { return f.Status != Failed && f.Status != Unknown && f.Worth }},
	} {
		type line struct{ title, text string }
		var lines []line
		r.all(func(s *Suite, f *Finding) {
			if kind.has(f) {
				lines = append(lines, line{f.Verdict + ": " + f.Name, f.says()})
			}
		})
		if n := len(lines); n > mostAnnotations {
			left := n - mostAnnotations + 1
			lines = append(lines[:mostAnnotations-1], line{fmt.Sprintf("%d more", left), fmt.Sprintf("%d more like these: see the report", left)})
		}
		for _, l := range lines {
			command(&b, kind.command, l.title, l.text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func command(b *strings.Builder, name, title, text string) {
	fmt.Fprintf(b, "::%s title=%s::%s\n", name, property.Replace(title), data.Replace(text))
}

// What GitHub's runner decodes.
var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
