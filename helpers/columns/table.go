//go:build linux

package columns

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A table shows the rows' outcomes in each column.
type table struct {
	inv      inventory
	rows     []string
	columns  []*column
	binary   string
	markdown bool
}

// Write writes the table in one of the Formats.
func (t *table) Write(w io.Writer, format string) error {
	var b strings.Builder
	switch format {
	case "counts":
		for _, c := range t.columns {
			fmt.Fprintf(&b, "%s: %s\n", c.name, c.counts(t.rows))
		}
	default:
		t.markdown = format == "markdown"
		t.print(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) print(w io.Writer) {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	var differ [][]string
	for _, m := range t.inv {
		for _, r := range m.rows {
			if !slices.Contains(t.rows, r.ID) || !t.differs(r.ID) {
				continue
			}
			line := []string{r.ID}
			for _, c := range t.columns {
				line = append(line, string(c.end(r.ID).status))
			}
			differ = append(differ, append(line, r.Statement))
		}
	}
	verb, do := "differ", "do"
	if len(differ) == 1 {
		verb, do = "differs", "does"
	}
	t.heading(w, fmt.Sprintf("%d of %d rows %s between columns or %s not hold", len(differ), len(t.rows), verb, do))
	if len(differ) > 0 {
		t.grid(w, append(append([]string{"row"}, names...), "what must hold"), differ)
	}
	t.heading(w, "All rows")
	var sums [][]string
	for _, m := range t.inv {
		var ids []string
		for _, r := range m.rows {
			if slices.Contains(t.rows, r.ID) {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) > 0 {
			sums = append(sums, t.sum(m.name, ids))
		}
	}
	if len(sums) > 1 {
		sums = append(sums, t.sum("together", t.rows))
	}
	t.grid(w, append([]string{"mechanism", "rows"}, names...), sums)
	var why [][]string
	for _, c := range t.columns {
		for _, id := range t.rows {
			if o := c.end(id); o.status != passes && o.status != none {
				why = append(why, []string{id, c.name, string(o.status), cut(o.reason(), 160)})
			}
		}
	}
	if why == nil {
		return
	}
	t.heading(w, "Why not")
	slices.SortStableFunc(why, func(a, b []string) int { return slices.Index(t.rows, a[0]) - slices.Index(t.rows, b[0]) })
	t.grid(w, []string{"row", "where", "how", "why"}, why)
}

// differs reports whether the table shows the row: its outcomes differ, or it
// holds nowhere.
func (t *table) differs(id string) bool {
	first := t.columns[0].end(id).status
	for _, c := range t.columns {
		if s := c.end(id).status; s != first || s == deviates || s == known || s == broke || s == none {
			return true
		}
	}
	return false
}

func (t *table) sum(name string, ids []string) []string {
	line := []string{name, fmt.Sprint(len(ids))}
	for _, c := range t.columns {
		line = append(line, c.counts(ids))
	}
	return line
}

func (t *table) heading(w io.Writer, text string) {
	if t.markdown {
		fmt.Fprintf(w, "\n### %s\n\n", text)
	} else {
		fmt.Fprintf(w, "\n%s\n", text)
	}
}

func (t *table) grid(w io.Writer, head []string, lines [][]string) {
	if t.markdown {
		rule := make([]string, len(head))
		for i := range rule {
			rule[i] = "---"
		}
		for _, line := range append([][]string{head, rule}, lines...) {
			cells := make([]string, len(line))
			for i, cell := range line {
				cells[i] = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(cell)
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		}
		return
	}
	all := append([][]string{head}, lines...)
	width := make([]int, len(head))
	for _, line := range all {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range all {
		var s strings.Builder
		for i, cell := range line {
			fmt.Fprintf(&s, "  %-*s", width[i], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(s.String(), " "))
	}
}

func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
