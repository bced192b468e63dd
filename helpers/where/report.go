//go:build linux

package where

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"eventbench/helpers/files"
	"eventbench/helpers/printable"
)

// A Report says where one benchmark's instructions are on one kernel, or which
// functions make the difference between two.
type Report struct {
	Benchmark string
	Old       Side
	New       *Side `json:",omitempty"`
	// Rows add up to each kernel's instrs/op.
	Rows    []Row
	Classes []Class
	// Alike are operations that do the same on both kernels, told apart by
	// the calls of By. Shift is the change of the mean. They are set if
	// operations vary.
	By    string  `json:",omitempty"`
	Alike []Alike `json:",omitempty"`
	Shift *Shift  `json:",omitempty"`
	// AlikeRows are the rows of the most frequent alike operations, if
	// those of Rows are not alike.
	AlikeRows []Row `json:",omitempty"`

	old, new *Profile
}

// A Side is one kernel's part of a report.
type Side struct {
	Kernel, Image, Release string
	Count                  int      // instrs/op
	Mean                   float64  // mean-instrs/op
	Exact, Measured        int      // operations
	Wrong                  []string `json:",omitempty"` // with those that are not exact
	Ways                   []Way
	Profile                string `json:",omitempty"` // the file
}

// A Class is the number of instructions of one kind in an operation.
type Class struct {
	Name     string
	Old, New int
}

func side(p *Profile) Side {
	return Side{
		Kernel: p.Kernel, Image: p.Image, Release: p.Release, Count: p.Count, Mean: p.Mean,
		Exact: p.Exact, Measured: p.Measured, Wrong: p.Wrong, Ways: p.ways(),
	}
}

// Compare reports on one profile, or on two of the same benchmark. With raw, no
// function is counted with its caller.
func Compare(old, new *Profile, raw bool) *Report {
	r := &Report{Benchmark: old.Benchmark, Old: side(old), old: old, new: new}
	if new == nil {
		r.Rows = rows(old, old.one, nil, nil, raw)
	} else {
		s := side(new)
		r.New = &s
		r.Rows = rows(old, old.one, new, new.one, raw)
		r.Alike, r.By, r.Shift = alike(old, new)
		if len(r.Alike) > 0 && !slices.ContainsFunc(r.Alike, func(a Alike) bool {
			return a.old.stamped == old.Count && a.new.stamped == new.Count
		}) {
			r.AlikeRows = rows(old, r.Alike[0].old, new, r.Alike[0].new, raw)
		}
	}
	for c, name := range old.classNames {
		k := Class{Name: name, Old: old.one.classes[c]}
		if new != nil {
			k.New = new.one.classes[c]
		}
		if k.Old != 0 || k.New != 0 {
			r.Classes = append(r.Classes, k)
		}
	}
	return r
}

// Save writes the profiles of the report's operations to
// DIR/BENCHMARK/KERNEL.pb.gz, and also as folded stacks if asked to.
func (r *Report) Save(dir string, folded bool) error {
	save := func(s *Side, p *Profile) error {
		base := filepath.Join(dir, files.Name(r.Benchmark), files.Name(s.Kernel))
		if err := os.MkdirAll(filepath.Dir(base), 0o777); err != nil {
			return err
		}
		data, err := p.Pprof()
		if err != nil {
			return err
		}
		if err := files.Write(base+".pb.gz", data); err != nil {
			return err
		}
		s.Profile = base + ".pb.gz"
		if !folded {
			return nil
		}
		var b strings.Builder
		p.WriteFolded(&b)
		return files.Write(base+".folded", []byte(b.String()))
	}
	err := save(&r.Old, r.old)
	if err == nil && r.New != nil {
		err = save(r.New, r.new)
	}
	return err
}

// Most returns at most n rows that make up most of the difference.
func (r *Report) Most(n int) []Row {
	var most []Row
	for _, row := range r.Rows {
		if row.Diff() != 0 && len(most) < n {
			most = append(most, row)
		}
	}
	return most
}

// WriteJSON writes reports as JSON.
func WriteJSON(w io.Writer, reports []*Report) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "\t")
	return out.Encode(reports)
}

// A table writes rows, as text or as Markdown.
type table struct {
	w        *tabwriter.Writer
	markdown bool
	head     int // columns of the row before
}

func newTable(w io.Writer, markdown bool) *table {
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight), markdown: markdown}
	return t
}

// row writes a row, whose last column is text.
func (t *table) row(cells ...string) {
	if t.markdown {
		fmt.Fprintf(t.w, "| %s |\n", strings.Join(cells, " | "))
		if t.head == 0 {
			fmt.Fprintf(t.w, "|%s---|\n", strings.Repeat("---:|", len(cells)-1))
		}
	} else {
		last := len(cells) - 1
		fmt.Fprintf(t.w, "\t%s\t  %s\n", strings.Join(cells[:last], "\t"), cells[last])
	}
	t.head = len(cells)
}

func (t *table) end() { t.w.Flush() }

// Write writes the report as text or as Markdown. With all, functions without a
// difference also have rows.
func (r *Report) Write(w io.Writer, markdown, all bool) error {
	var b strings.Builder
	heading, para := "%s\n", "%s\n"
	if markdown {
		heading, para = "### %s\n\n", "\n%s\n"
	}
	o, n := &r.Old, r.New
	if n == nil {
		fmt.Fprintf(&b, heading, fmt.Sprintf("%s on %s: %d instrs/op", r.Benchmark, o.Kernel, o.Count))
	} else {
		fmt.Fprintf(&b, heading, fmt.Sprintf("%s, %s to %s: %d to %d instrs/op, %+d", r.Benchmark, o.Kernel, n.Kernel, o.Count, n.Count, n.Count-o.Count))
	}
	r.writeRows(&b, r.Rows, "the sum, which is instrs/op", markdown, all)
	r.writeClasses(&b, markdown)
	for _, s := range []*Side{o, n} {
		if s == nil {
			continue
		}
		fmt.Fprintf(&b, para, s.ways())
		if s.Exact < s.Measured {
			text := fmt.Sprintf("On %s %d of %d operations are shown: %s", s.Kernel, s.Exact, s.Measured, s.Wrong[0])
			if more := len(s.Wrong) - 1; more > 0 {
				text += fmt.Sprintf(", and %d more", more)
			}
			fmt.Fprintf(&b, para, text+".")
		}
	}
	if r.Shift != nil {
		r.writeAlike(&b, para)
	}
	if r.AlikeRows != nil {
		a := r.Alike[0]
		fmt.Fprintf(&b, para, fmt.Sprintf("Like with like: %s", r.describe(a)))
		if markdown {
			b.WriteByte('\n')
		}
		r.writeRows(&b, r.AlikeRows, "the sum", markdown, all)
	}
	if o.Profile != "" && (n == nil || n.Profile != "") {
		command := "go tool pprof -http=: "
		if n != nil {
			command += "-diff_base "
		}
		command += printable.ShellWord(o.Profile)
		if n != nil {
			command += " " + printable.ShellWord(n.Profile)
		}
		if markdown {
			fmt.Fprintf(&b, "\n    %s\n\n", command)
		} else {
			fmt.Fprintf(&b, "%s\n\n", command)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRows writes a table that ends with the sums of its rows.
func (r *Report) writeRows(w io.Writer, rows []Row, sum string, markdown, all bool) {
	t := newTable(w, markdown)
	defer t.end()
	old, new := 0, 0
	for _, row := range rows {
		old, new = old+row.Old, new+row.New
	}
	if r.New == nil {
		t.row("instrs", "calls", "function")
		for _, row := range rows {
			t.row(fmt.Sprint(row.Old), fmt.Sprint(row.OldCalls), code(row.Label(), markdown))
		}
		t.row(fmt.Sprint(old), "", sum)
		return
	}
	t.row(r.Old.Kernel, r.New.Kernel, "diff", "calls", "function")
	same, among := 0, 0
	var less Row
	fewer := 0
	for i, row := range rows {
		if row.Diff() == 0 && !all {
			same += row.Old
			among++
			continue
		}
		if i >= shownRows && !all {
			less.Old, less.New = less.Old+row.Old, less.New+row.New
			fewer++
			continue
		}
		calls := fmt.Sprint(row.OldCalls)
		if row.NewCalls != row.OldCalls {
			calls = fmt.Sprintf("%d to %d", row.OldCalls, row.NewCalls)
		}
		label := code(row.Label(), markdown)
		for i, part := range row.With {
			label += fmt.Sprintf("%s %s %d to %d", map[bool]string{true: " with", false: ","}[i == 0], code(part.Function, markdown), part.Old, part.New)
		}
		t.row(fmt.Sprint(row.Old), fmt.Sprint(row.New), diff(row.Diff()), calls, label)
	}
	if fewer > 0 {
		t.row(fmt.Sprint(less.Old), fmt.Sprint(less.New), diff(less.Diff()), "", fmt.Sprintf("%d functions with smaller differences (-all shows them)", fewer))
	}
	if among > 0 {
		t.row(fmt.Sprint(same), fmt.Sprint(same), diff(0), "", fmt.Sprintf("%d functions without a difference", among))
	}
	t.row(fmt.Sprint(old), fmt.Sprint(new), diff(new-old), "", sum)
}

func diff(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

func code(s string, markdown bool) string {
	if markdown {
		return "`" + s + "`"
	}
	return s
}

func (r *Report) writeClasses(w io.Writer, markdown bool) {
	fmt.Fprintln(w)
	t := newTable(w, markdown)
	defer t.end()
	if r.New == nil {
		t.row("of these", "kind")
		for _, c := range r.Classes {
			t.row(fmt.Sprint(c.Old), c.Name)
		}
		return
	}
	t.row(r.Old.Kernel, r.New.Kernel, "diff", "of these")
	for _, c := range r.Classes {
		t.row(fmt.Sprint(c.Old), fmt.Sprint(c.New), diff(c.New-c.Old), c.Name)
	}
}

// shownRows is how many functions with a difference get rows of their own.
const shownRows = 30

// shownWays is how many ways are shown. After the most frequent one, a way
// needs a share of at least leastShare of the operations, or to move their mean
// by at least leastMove of the most frequent count: a rare way may be a long one.
const (
	shownWays  = 6
	leastShare = 0.05
	leastMove  = 0.005
)

// shows reports whether one of the rarer ways is shown.
func (s *Side) shows(w *Way) bool {
	usual := float64(s.Ways[0].Count)
	return w.Share >= leastShare || w.Share*math.Abs(float64(w.Count)-usual) >= leastMove*usual
}

// ways describes the ways that operations take.
func (s *Side) ways() string {
	if len(s.Ways) == 1 {
		return fmt.Sprintf("On %s all %d operations take %d instructions.", s.Kernel, s.Exact, s.Ways[0].Count)
	}
	var parts []string
	rest, among := 0.0, 0
	for i, w := range s.Ways {
		if i > 0 && (len(parts) >= shownWays || !s.shows(&w)) {
			rest += w.Share
			among++
			continue
		}
		text := fmt.Sprintf("%d (%.0f %%", w.Count, 100*w.Share)
		for k, m := range w.Marks {
			if k == 0 {
				text += ": "
			} else {
				text += ", "
			}
			text += m.String()
		}
		parts = append(parts, text+")")
	}
	text := fmt.Sprintf("On %s operations take %d ways: %s", s.Kernel, len(s.Ways), strings.Join(parts, "; "))
	if among > 0 {
		text += fmt.Sprintf("; %d more (%.0f %%)", among, 100*rest)
	}
	return text + "."
}

func (m Mark) String() string {
	text := fmt.Sprintf("%s %+d", m.Function, m.Diff)
	if m.Calls != m.Was {
		text += fmt.Sprintf(", called %d times, not %d", m.Calls, m.Was)
	}
	return text
}

// describe says which operations are alike, and what became of them.
func (r *Report) describe(a Alike) string {
	return fmt.Sprintf("with %d calls of %s: %.0f to %.0f, %+.0f; %.0f %% of the operations on %s, %.0f %% on %s",
		a.Calls, r.By, a.OldMean, a.NewMean, a.NewMean-a.OldMean, 100*a.OldShare, r.Old.Kernel, 100*a.NewShare, r.New.Kernel)
}

func (r *Report) writeAlike(w io.Writer, para string) {
	s := r.Shift
	fmt.Fprintf(w, para, fmt.Sprintf("The mean of these operations went from %.0f to %.0f, %+.0f: %+.0f because operations that do the same became longer, %+.0f because others are more frequent.",
		s.Old, s.New, s.New-s.Old, s.Longer, s.Oftener))
	for i, a := range r.Alike {
		if i < shownWays {
			fmt.Fprintf(w, para, "  "+r.describe(a))
		}
	}
}
