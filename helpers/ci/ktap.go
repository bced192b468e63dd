package ci

import (
	"fmt"
	"io"
	"strings"
)

// ktap writes the kernel's test format:
// https://docs.kernel.org/dev-tools/ktap.html. A suite is a test with the
// findings as its subtests.
func ktap(w io.Writer, r *Run) error {
	var b strings.Builder
	b.WriteString("KTAP version 1\n")
	if r.Problems != nil {
		b.WriteString("1..1\n")
		diagnose(&b, "", strings.Join(r.Problems, "\n"))
		fmt.Fprintf(&b, "not ok 1 %s\n", tool)
	} else {
		fmt.Fprintf(&b, "1..%d\n", len(r.Suites))
	}
	for i, s := range r.Suites {
		fmt.Fprintf(&b, "  KTAP version 1\n  # Subtest: %s\n  1..%d\n", ktapName(s.Name), len(s.Findings))
		result := "ok"
		for j, f := range s.Findings {
			switch f.Status {
			case Failed, Unknown:
				result = "not ok"
				diagnose(&b, "  ", f.says())
				fmt.Fprintf(&b, "  not ok %d %s\n", j+1, ktapName(f.title()))
			case Informs, Skipped:
				fmt.Fprintf(&b, "  ok %d %s # SKIP %s\n", j+1, ktapName(f.title()), oneLine(f.Verdict+": "+f.Reason))
			default:
				if f.Worth {
					diagnose(&b, "  ", f.says())
				}
				fmt.Fprintf(&b, "  ok %d %s\n", j+1, ktapName(f.title()))
			}
		}
		fmt.Fprintf(&b, "%s %d %s\n", result, i+1, ktapName(s.Name))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func diagnose(b *strings.Builder, indent, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(b, "%s# %s\n", indent, strings.TrimSuffix(line, "\n"))
	}
}

// ktapName keeps the # that begins a directive out of a name.
func ktapName(name string) string { return strings.ReplaceAll(oneLine(name), "#", "_") }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
