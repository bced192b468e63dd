package gate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"
)

// count returns how many comparisons f holds for.
func (r *Report) count(f func(*Comparison) bool) int {
	n := 0
	for _, c := range r.Comparisons {
		if f(c) {
			n++
		}
	}
	return n
}

// Summary describes the findings in one line.
func (r *Report) Summary() string {
	gates := func(v Verdict) int {
		return r.count(func(c *Comparison) bool { return c.Gates && c.Verdict == v })
	}
	var parts []string
	for _, v := range []Verdict{Regression, CannotTell, Improvement, NoChange} {
		if n := gates(v); n > 0 {
			what := fmt.Sprintf("%d %s", n, v)
			if n > 1 && (v == Regression || v == Improvement) {
				what += "s"
			}
			if safe := r.count(func(c *Comparison) bool { return c.Gates && c.Safe }); v == CannotTell && safe > 0 {
				what += fmt.Sprintf(" (in %d of them a regression is excluded)", safe)
			}
			parts = append(parts, what)
		}
	}
	gated := r.count(func(c *Comparison) bool { return c.Gates })
	s := fmt.Sprintf("%s: %s", r.Outcome, r.failing())
	if len(r.Comparisons) == 0 {
		return s + "nothing to compare"
	}
	s += fmt.Sprintf("of %d gated comparisons %s", gated, cmp.Or(strings.Join(parts, ", "), "none"))
	if informing := len(r.Comparisons) - gated; informing > 0 {
		s += fmt.Sprintf("; %d inform only", informing)
	}
	if n := r.count(func(c *Comparison) bool { return c.Collapsed }); n > 0 {
		s += fmt.Sprintf("; %d at a tenth of before or less: have they stopped doing their work?", n)
	}
	return s
}

// Open reports whether more samples could decide what these cannot.
func (r *Report) Open() bool {
	return slices.ContainsFunc(r.Comparisons, func(c *Comparison) bool { return c.blocks() && !c.Collapsed })
}

// failing says how many benchmarks fail. It comes before everything else.
func (r *Report) failing() string {
	var s string
	for _, kind := range []struct {
		where string
		is    func(*Failing) bool
	}{{"in new", (*Failing).worse}, {"in both", (*Failing).both}} {
		n := 0
		for _, f := range r.Failures {
			if kind.is(f) {
				n++
			}
		}
		switch {
		case n == 1:
			s += "1 benchmark fails " + kind.where + "; "
		case n > 1:
			s += fmt.Sprintf("%d benchmarks fail %s; ", n, kind.where)
		}
	}
	return s
}

// finding reports whether a comparison deserves a line of its own.
func (c *Comparison) finding() bool {
	return c.Verdict != NoChange && !(c.Verdict == CannotTell && !c.Gates) || c.Method == "exact" && c.Ratio != 1
}

// label is the verdict as a finding shows it, including whether it fails the
// gate. An exact metric that differs has changed, even if not enough to matter.
func (c *Comparison) label() string {
	switch {
	case c.Verdict == NoChange && c.Method == "exact" && c.Ratio != 1:
		return "within threshold"
	case c.Gates || c.Verdict == NoChange:
		return string(c.Verdict)
	}
	return string(c.Verdict) + " (informs)"
}

// WriteText writes the report for a terminal: the findings, worst first, a line
// each; then the table of all comparisons, and what to do next.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Summary())
	b.WriteString(r.versus("%s: %s → %s\n"))
	for i, f := range r.Failures {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", f.label(), r.name(f.Pkg, f.Name), f.text())
	}
	if findings := r.findings(); len(findings) > 0 {
		b.WriteByte('\n')
		for _, c := range findings {
			fmt.Fprintf(&b, "%s: %s %s: %s\n", c.label(), r.name(c.Pkg, c.Name), clean(c.Unit), c.Reason)
			if c.Where != nil {
				fmt.Fprintf(&b, "    %s\n", strings.Join(c.Where.lines(), "\n    "))
			}
		}
	}
	if len(r.Comparisons) > 0 {
		b.WriteByte('\n')
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, strings.Join(columns, "\t"))
		for _, c := range r.Comparisons {
			fmt.Fprintln(tw, strings.Join(r.row(c), "\t"))
		}
		tw.Flush()
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", n)
	}
	if advice := r.Advice(); advice != "" {
		fmt.Fprintf(&b, "\n%s\n", advice)
	}
	if steps := r.Reproduce(); steps != "" {
		fmt.Fprintf(&b, "\n%s:\n%s", r.closer(), indent(steps))
	}
	return writeLines(w, b.String())
}

// writeLines writes text without the blanks that pad a table's last column.
func writeLines(w io.Writer, text string) error {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ") + "\n"
}

// findings returns the comparisons that get a line. If a benchmark's gated
// units already have one, units that only inform are left to the table.
func (r *Report) findings() []*Comparison {
	type said struct {
		pkg, name string
		verdict   Verdict
	}
	gated := make(map[said]bool)
	for _, c := range r.Comparisons {
		if c.Gates {
			gated[said{c.Pkg, c.Name, c.Verdict}] = true
		}
	}
	var fs []*Comparison
	for _, c := range r.Comparisons {
		if c.finding() && (c.Gates || !gated[said{c.Pkg, c.Name, c.Verdict}]) {
			fs = append(fs, c)
		}
	}
	return fs
}

// versus lists the differences between where old and new were measured.
func (r *Report) versus(format string) string {
	var b strings.Builder
	for _, s := range r.settings {
		if s.old != s.new {
			fmt.Fprintf(&b, format, clean(s.key), orNone(s.old), orNone(s.new))
		}
	}
	return b.String()
}

var columns = []string{"verdict", "benchmark", "unit", "old", "new", "change", "p", "n", "threshold"}

// row returns a comparison's cells.
func (r *Report) row(c *Comparison) []string {
	p := "exact"
	if c.Method != "exact" {
		p = probability(c.Adjusted)
	}
	n := fmt.Sprintf("%d+%d", c.Old.N, c.New.N)
	if c.Method == "Wilcoxon signed-rank" {
		n = fmt.Sprintf("%d rounds", c.Old.N)
	}
	change := c.Change()
	if c.sameWays() {
		change = "same ways"
	}
	return []string{c.label(), r.name(c.Pkg, c.Name), clean(c.Unit), c.value(c.Old.Median), c.value(c.New.Median), change, p, n, percent(c.Threshold)}
}

// name returns the benchmark's name, with its package if there are several.
func (r *Report) name(pkg, benchmark string) string {
	if r.packages {
		return clean(pkg + "." + benchmark)
	}
	return clean(benchmark)
}

// Reproduce returns what to do about the worst finding, as shell lines: show
// how the verdict was reached, and measure that benchmark again. It is empty if
// nothing failed and nothing was left open. What to do about the latter is in
// Advice.
func (r *Report) Reproduce() string {
	if len(r.Failures) > 0 && r.Failures[0].New > 0 {
		f := r.Failures[0]
		return r.again(f.Pkg, f.Name)
	}
	if len(r.Comparisons) == 0 {
		return ""
	}
	c := r.Comparisons[0]
	if !c.fails() && !c.blocks() {
		return ""
	}
	return r.steps(c)
}

// steps returns the commands that show how a verdict was reached and, if it is
// a regression, measure the benchmark again.
func (r *Report) steps(c *Comparison) string {
	steps := fmt.Sprintf("go tool eventbench gate -explain %s%s %s %s\n", printable.ShellWord(c.Name), r.args, printable.ShellWord(r.Old), printable.ShellWord(r.New))
	if c.fails() {
		steps += r.again(c.Pkg, c.Name)
	}
	return steps
}

// Advice returns what to do if the gate cannot tell, or "". It is one answer:
// measure so many samples, or leave out the benchmarks that would need too many.
func (r *Report) Advice() string {
	if r.Outcome != Undecided {
		return ""
	}
	var names, hopeless []string
	need, counted, paired := 0, false, false
	for _, c := range r.Comparisons {
		if !c.blocks() {
			continue
		}
		counted, paired = c.counted, c.paired
		list := &names
		if c.Need == 0 || c.Need > mostWanted(c) {
			list = &hopeless
		} else {
			need = max(need, c.Need)
		}
		if !slices.Contains(*list, c.Name) {
			*list = append(*list, c.Name)
		}
	}
	switch {
	case hopeless != nil:
		return fmt.Sprintf("Leave out %s, which would take more samples than it is worth: -filter %s", clean(abbreviate(hopeless)), printable.ShellWord(without(r.filter, hopeless)))
	case names == nil:
		return ""
	}
	for _, schedule := range []struct {
		its         bool
		first       int
		what, where string
	}{{counted, FirstBoots, "boots", "gate-kernels"}, {paired, FirstRounds, "rounds", "gate-arms"}} {
		if !schedule.its {
			continue
		}
		looks, err := Looks(schedule.first, maxNeed, r.Alpha)
		if at := slices.IndexFunc(looks, func(l Look) bool { return l.N >= need }); err == nil && at >= 0 {
			return fmt.Sprintf("%d %s a side would tell of %s (%s: -max %[1]d)", looks[at].N, schedule.what, clean(abbreviate(names)), schedule.where)
		}
	}
	return fmt.Sprintf("%d samples a side would tell of %s", need, clean(abbreviate(names)))
}

// mostWanted is the largest number of samples a side that it makes sense to ask
// for: at least that of the default's next look.
func mostWanted(c *Comparison) int {
	if c.counted {
		return 3 * MostBoots / 2
	}
	return 3 * MostRounds / 2
}

// without returns the filter with these benchmarks left out.
func without(filter string, names []string) string {
	var quoted []string
	for _, name := range names {
		quoted = append(quoted, strconv.Quote(name))
	}
	left := fmt.Sprintf("-.fullname:(%s)", strings.Join(quoted, " OR "))
	if filter == "*" {
		return left
	}
	return fmt.Sprintf("(%s) %s", filter, left)
}

// again returns the command that measures a benchmark again.
func (r *Report) again(pkg, name string) string {
	if slices.ContainsFunc(r.NewSamples, func(s *Sample) bool { return s.clock == "instrs" }) {
		return fmt.Sprintf("go tool eventbench gate-kernels -bench %s eventbench.static OLD NEW  # the two kernels: a series, such as 6.12, or an image\n", printable.ShellWord(results.Pattern(results.Stem(printable.Text(name)))))
	}
	return fmt.Sprintf("go test -run '^$' -bench %s%s %s  # on old and on new\n", printable.ShellWord(results.Pattern(results.Stem(printable.Text(name)))), procsFlag(name), printable.ShellWord(cmp.Or(pkg, ".")))
}

// closer says what Reproduce is for.
func (r *Report) closer() string {
	if len(r.Failures) > 0 && r.Failures[0].New > 0 {
		return "To see the first of them fail"
	}
	if r.Comparisons[0].fails() {
		return "To reproduce the worst finding"
	}
	return "To look closer at what could not be told"
}

func procsFlag(name string) string {
	if stem := results.Stem(name); stem != name {
		return " -cpu " + name[len(stem)+1:]
	}
	return ""
}

// maxMarkdown bounds a report in Markdown: GitHub refuses comments beyond
// 65,536 characters.
const maxMarkdown = 60_000

// WriteMarkdown writes the report for a pull request.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var head, tail strings.Builder
	fmt.Fprintf(&head, "### Benchmarks: %s\n\n%s\n\n", r.Outcome, r.Summary())
	if v := r.versus("- %s: `%s` → `%s`\n"); v != "" {
		head.WriteString(v + "\n")
	}
	if advice := r.Advice(); advice != "" {
		fmt.Fprintf(&tail, "\n%s\n", markdown(advice))
	}
	if steps := r.Reproduce(); steps != "" {
		fmt.Fprintf(&tail, "\n%s:\n\n```sh\n%s```\n", r.closer(), steps)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&tail, "\n> %s\n", markdown(n))
	}
	room := maxMarkdown - utf8.RuneCountInString(head.String()) - utf8.RuneCountInString(tail.String())
	var list, table strings.Builder
	left := 0
	for _, f := range r.Failures {
		bold := ""
		if f.New > 0 {
			bold = "**"
		}
		line := fmt.Sprintf("- %s%s%s: %s: %s\n", bold, f.label(), bold, code(r.name(f.Pkg, f.Name)), markdown(f.text()))
		if room -= utf8.RuneCountInString(line); room < 0 {
			left++
			continue
		}
		list.WriteString(line)
	}
	for _, c := range r.findings() {
		bold := ""
		if c.fails() || c.blocks() {
			bold = "**"
		}
		line := fmt.Sprintf("- %s%s%s: %s %s: %s\n", bold, c.label(), bold, code(r.name(c.Pkg, c.Name)), code(c.Unit), markdown(c.Reason))
		if c.Where != nil {
			lines := c.Where.lines()
			for _, l := range lines[:len(lines)-1] {
				line += fmt.Sprintf("  - %s\n", markdown(l))
			}
			line += fmt.Sprintf("  - %s\n", code(lines[len(lines)-1]))
		}
		if room -= utf8.RuneCountInString(line); room < 0 {
			left++
			continue
		}
		list.WriteString(line)
	}
	if left > 0 {
		fmt.Fprintf(&list, "- and %d findings more than a comment holds\n", left)
	}
	left = 0
	for _, c := range r.Comparisons {
		cells := r.row(c)
		cells[1], cells[2] = code(cells[1]), code(cells[2])
		line := "| " + strings.Join(cells, " | ") + " |\n"
		if room -= utf8.RuneCountInString(line); room < 0 {
			left++
			continue
		}
		table.WriteString(line)
	}
	if list.Len() > 0 {
		list.WriteByte('\n')
	}
	fmt.Fprintf(&head, "%s<details><summary>All %d comparisons</summary>\n\n| %s |\n|%s\n%s\n", list.String(), len(r.Comparisons),
		strings.Join(columns, " | "), strings.Repeat("---|", len(columns)), table.String())
	if left > 0 {
		fmt.Fprintf(&head, "and %d more than a comment holds\n\n", left)
	}
	head.WriteString("</details>\n")
	_, err := io.WriteString(w, head.String()+tail.String())
	return err
}

// code formats text from a file as code in a table of Markdown.
func code(s string) string {
	s = strings.ReplaceAll(clean(s), "|", `\|`)
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// markdown keeps text from a file from being read as markup.
func markdown(s string) string {
	return markup.ReplaceAllString(s, `\$0`)
}

var markup = regexp.MustCompile("[\\\\`*_<>|#@\\[\\]]")

// MarshalJSON makes the report a document for other programs. Ratios and
// bounds that are infinite are null.
func (r *Report) MarshalJSON() ([]byte, error) {
	type summary struct {
		Median  *float64  `json:"median"`
		Low     *float64  `json:"low"`
		High    *float64  `json:"high"`
		Samples []float64 `json:"samples"`
	}
	type comparison struct {
		Verdict   Verdict  `json:"verdict"`
		Gates     bool     `json:"gates"`
		Excluded  bool     `json:"regression_excluded"`
		Collapsed bool     `json:"collapsed,omitempty"`
		Package   string   `json:"package,omitempty"`
		Benchmark string   `json:"benchmark"`
		Unit      string   `json:"unit"`
		Better    string   `json:"better,omitempty"`
		Old       summary  `json:"old"`
		New       summary  `json:"new"`
		Ratio     *float64 `json:"ratio"`
		Low       *float64 `json:"ratio_low"`
		High      *float64 `json:"ratio_high"`
		Level     float64  `json:"confidence"`
		Method    string   `json:"method"`
		P         float64  `json:"p"`
		Adjusted  float64  `json:"p_adjusted"`
		Family    int      `json:"family"`
		Threshold float64  `json:"threshold"`
		Rule      string   `json:"rule"`
		RulePos   string   `json:"rule_position"`
		Need      int      `json:"samples_needed,omitempty"`
		AtLeast   bool     `json:"samples_needed_at_least,omitempty"`
		Reason    string   `json:"reason"`
		Ways      []Way    `json:"ways,omitempty"`
		Where     *Where   `json:"where,omitempty"`
	}
	finite := func(v float64) *float64 {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil
		}
		return &v
	}
	side := func(s Summary, values []float64) summary {
		return summary{finite(s.Median), finite(s.Lo), finite(s.Hi), values}
	}
	type failure struct {
		Package   string `json:"package,omitempty"`
		Benchmark string `json:"benchmark"`
		Old       int    `json:"old"`
		New       int    `json:"new"`
		Reason    string `json:"reason"`
		Where     string `json:"where"`
	}
	type config struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	names := func(samples []*Sample) []string {
		list := []string{}
		for _, s := range samples {
			list = append(list, s.Name)
		}
		return list
	}
	doc := struct {
		Outcome     Outcome           `json:"outcome"`
		Exit        int               `json:"exit"`
		Summary     string            `json:"summary"`
		Alpha       float64           `json:"alpha"`
		Old         []string          `json:"old"`
		New         []string          `json:"new"`
		Config      map[string]config `json:"config"`
		Failures    []failure         `json:"failures,omitempty"`
		Comparisons []comparison      `json:"comparisons"`
		Notes       []string          `json:"notes"`
		Advice      string            `json:"advice,omitempty"`
		Reproduce   string            `json:"reproduce,omitempty"`
	}{
		Outcome: r.Outcome, Exit: r.Outcome.ExitCode(), Summary: r.Summary(), Alpha: r.Alpha,
		Old: names(r.OldSamples), New: names(r.NewSamples), Config: make(map[string]config),
		Comparisons: []comparison{}, Notes: append([]string{}, r.Notes...), Advice: r.Advice(), Reproduce: r.Reproduce(),
	}
	for _, s := range r.settings {
		doc.Config[s.key] = config{s.old, s.new}
	}
	for _, f := range r.Failures {
		doc.Failures = append(doc.Failures, failure{f.Pkg, f.Name, f.Old, f.New, f.Reason, f.Where})
	}
	for _, c := range r.Comparisons {
		doc.Comparisons = append(doc.Comparisons, comparison{
			Verdict: c.Verdict, Gates: c.Gates, Excluded: c.Safe, Collapsed: c.Collapsed, Package: c.Pkg, Benchmark: c.Name, Unit: c.Unit, Better: c.Better,
			Old: side(c.Old, c.oldValues), New: side(c.New, c.newValues),
			Ratio: finite(c.Ratio), Low: finite(c.Lo), High: finite(c.Hi), Level: c.Level,
			Method: c.Method, P: c.P, Adjusted: c.Adjusted, Family: c.Family,
			Threshold: c.Threshold, Rule: c.Rule, RulePos: c.RulePos, Need: c.Need, AtLeast: c.AtLeast, Reason: c.Reason, Ways: c.Ways(), Where: c.Where,
		})
	}
	return json.Marshal(doc)
}

// WriteJSON writes the report as a JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// ByBenchmark returns the comparisons grouped by benchmark, the one with the
// worst verdict first.
func (r *Report) ByBenchmark() [][]*Comparison {
	var groups [][]*Comparison
	index := make(map[[2]string]int)
	for _, c := range r.Comparisons {
		key := [2]string{c.Pkg, c.Name}
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}
