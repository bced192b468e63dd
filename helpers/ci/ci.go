// Package ci writes verdicts in the languages that continuous integration
// reads: annotations of GitHub's, JUnit's XML, KTAP, KCIDB's and others.
//
// A [Document], such as the gate's report, describes itself once, as a [Run].
// Every format is written from that. [Outputs] is the flag by which a command
// takes formats.
//
// # What a status is in each format
//
//	           Passed  Failed   Unknown    Informs  Skipped    no verdict
//	github     -       ::error  ::warning  -        -          ::error
//	junit      passed  failure  error      skipped  skipped    error
//	ktap       ok      not ok   not ok     ok SKIP  ok SKIP    not ok
//	kcidb      PASS    FAIL     ERROR      DONE     SKIP       MISS
//	lava       pass    fail     unknown    skip     skip       unknown
//
// A finding that passes and is worth a line nevertheless is a ::notice. What is
// Unknown is not passed by any of them: a gate that cannot tell does not pass.
//
// The formats bencher and github-action-benchmark hold figures alone, and csv
// has all.
package ci

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A Document is what a command reports.
type Document interface {
	// Write writes the document in one of its own formats.
	Write(w io.Writer, format string) error
	// Run returns what all other formats are written from.
	Run() *Run
}

// A Run is what was tried, and how it ended.
type Run struct {
	Status   Status
	Outcome  string // in a word or two: pass, regression
	Summary  string // one line
	Suites   []*Suite
	Problems []string // why there is no verdict
	build    string   // of what was tested, for KCIDB: ORIGIN:ID
}

// A Suite is what was tried in one place, or of one package.
type Suite struct {
	Name     string
	Tested   string            // what was tested, such as a kernel's image
	Settings map[string]string // where
	Findings []*Finding
}

// A Finding is what was found of one benchmark in one unit, or of one row of
// behaviour. Only a benchmark that was measured has figures.
type Finding struct {
	Name      string
	Unit      string
	Better    string // lower, higher or ""
	Old, New  *Figure
	Ratio     *Figure // new/old
	Change    string  // such as +78 instrs/op (+4.77%)
	Threshold float64 // 0.05 is 5 %
	Gates     bool    // it could fail the run
	Status    Status
	Verdict   string // in the run's own words
	Reason    string // one sentence
	Worth     bool   // a line of its own, even if it passes
	More      []string
	Reproduce string // shell lines
}

// A Figure is a value with its interval, which is infinite if it is not known.
type Figure struct {
	Value, Low, High float64
	N                int // samples
}

// bounded reports whether the figure has an interval.
func (f *Figure) bounded() bool { return finite(f.Low) && finite(f.High) }

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// A Status says how a run or a finding ended.
type Status int

const (
	Passed  Status = iota
	Failed         // what was tested is worse, or wrong
	Unknown        // and the run does not pass without knowing
	Informs        // measured, and judged by nobody
	Skipped        // not tried
)

// Status is how a suite ended: failed if any finding did, and else unknown if
// any is.
func (s *Suite) Status() Status {
	status := Passed
	for _, f := range s.Findings {
		switch {
		case f.Status == Failed:
			return Failed
		case f.Status == Unknown:
			status = Unknown
		}
	}
	return status
}

// title names a finding: its unit tells apart those of one benchmark.
func (f *Finding) title() string { return strings.TrimSpace(f.Name + " " + f.Unit) }

// says is all that a reader should know of a finding, in lines.
func (f *Finding) says() string {
	lines := append([]string{f.Verdict + ": " + f.title() + ": " + f.Reason}, f.More...)
	if steps := strings.TrimSpace(f.Reproduce); steps != "" && (f.Status == Failed || f.Status == Unknown) {
		how := "To reproduce:"
		if f.Status == Unknown {
			how = "To look closer:"
		}
		lines = append(lines, how, steps)
	}
	return strings.Join(lines, "\n")
}

// all calls do for every finding.
func (r *Run) all(do func(*Suite, *Finding)) {
	for _, s := range r.Suites {
		for _, f := range s.Findings {
			do(s, f)
		}
	}
}

// tool is the name under which results are reported.
const tool = "eventbench"

// path returns names as a path in the alphabet that KCIDB's test paths and
// LAVA's test cases have: letters, digits, _ and -, with dots between.
func path(names ...string) string {
	var parts []string
	for _, name := range names {
		for part := range strings.SplitSeq(name, "/") {
			if part = foreign.ReplaceAllString(part, "-"); part != "" {
				parts = append(parts, part)
			}
		}
	}
	return strings.Join(parts, ".")
}

var foreign = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// path returns a finding's path. The slash of a unit separates nothing.
func (f *Finding) path() string { return path(f.Name, strings.ReplaceAll(f.Unit, "/", "-")) }

// A Format is one that a command can write.
type Format struct {
	Name  string
	Lines bool // other lines may stand before and after it, as in a log
	write func(io.Writer, *Run) error
}

// Of benchmarks and of rows alike; and of figures.
var (
	verdicts = []Format{{"github", true, github}, {"junit", false, junit}, {"ktap", true, ktap}, {"kcidb", false, kcidb}, {"lava", true, lava}, {"csv", false, table}}
	figures  = []Format{{"bencher", false, bencher}, {"github-action-benchmark", false, actionBenchmark}}
)

// Names returns the names of a command's own formats and of those of this
// package. Those that hold figures alone are only for what measures.
func Names(own []Format, measures bool) []string {
	return namesOf(slices.Concat(own, formats(measures)))
}

func namesOf(formats []Format) []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

func formats(measures bool) []Format {
	if measures {
		return slices.Concat(verdicts, figures)
	}
	return verdicts
}

// NoVerdict returns a run that has no verdict.
func NoVerdict(outcome string, problems ...string) *Run {
	return &Run{Status: Unknown, Outcome: outcome, Summary: fmt.Sprintf("%s: %s", outcome, strings.Join(problems, "; ")), Problems: problems}
}

// Write writes the run in a format of this package.
func (r *Run) Write(w io.Writer, format string) error {
	for _, f := range formats(true) {
		if f.Name == format {
			return f.write(w, r)
		}
	}
	return fmt.Errorf("no format is called %q", format)
}
