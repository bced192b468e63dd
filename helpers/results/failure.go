package results

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/printable"

	"golang.org/x/perf/benchfmt"
)

// A Failure is a benchmark that has no result in a sample, with the reason: it
// failed, ended its process, skipped itself, or was not tried. A file records
// it as testing prints it,
//
//	--- FAIL: BenchmarkEventfdRoundTrip/peer=process
//	    eventfd_test.go:71: 1000 sent, 999 received
//
// which benchstat ignores.
type Failure struct {
	Name    string // without the prefix Benchmark and the number of processors
	Skipped bool   // skipped, not failed
	Message string // lines without their indentation; may be empty
	Path    string // of the file
	Line    int    // of the file, where the record begins
}

// String describes the failure in one line: place, benchmark, and the first
// line of the reason.
func (f *Failure) String() string {
	what := "failed"
	if f.Skipped {
		what = "was skipped"
	}
	return printable.Text(fmt.Sprintf("%s:%d: Benchmark%s %s: ", f.Path, f.Line, f.Name, what)) + f.Reason()
}

// Reason returns the first line of the message.
func (f *Failure) Reason() string {
	reason, _, _ := strings.Cut(f.Message, "\n")
	return printable.Text(cmp.Or(reason, "it gave no reason"))
}

// Of reports whether the failure is the reason why a benchmark has no result:
// whether it is the failed benchmark or a sub-benchmark of it.
func (f *Failure) Of(name string) bool {
	return f.Name == name || f.Name == Stem(name) || strings.HasPrefix(name, f.Name+"/")
}

func (f *Failure) failed() bool { return !f.Skipped }

// Record returns the failure as a file has it, with a newline at the end.
func (f *Failure) Record() string {
	verdict := "FAIL"
	if f.Skipped {
		verdict = "SKIP"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "--- %s: Benchmark%s\n", verdict, f.Name)
	for line := range strings.Lines(f.Message) {
		fmt.Fprintf(&s, "%s%s\n", logIndent, strings.TrimSuffix(line, "\n"))
	}
	return s.String()
}

// logIndent begins a record's lines after the first.
const logIndent = "    "

// processors matches what testing appends to names if GOMAXPROCS is not 1.
var processors = regexp.MustCompile(`-[0-9]+$`)

// Stem returns a benchmark's name without the number of processors.
func Stem(name string) string { return processors.ReplaceAllString(name, "") }

// NameOf returns a function that returns the benchmark of each failure. testing
// omits the number of processors in the name of a benchmark that fails early.
func NameOf(failures []*Failure) func(*Failure) string {
	names := make(map[string]bool)
	for _, f := range failures {
		names[f.Name] = true
	}
	return func(f *Failure) string {
		if stem := Stem(f.Name); names[stem] {
			return stem
		}
		return f.Name
	}
}

// causes leaves out failures that only repeat others: a benchmark whose
// sub-benchmark failed also fails, without a message.
func causes(failures []*Failure) []*Failure {
	below := make(map[string]bool) // benchmarks with a failed sub-benchmark
	for _, f := range failures {
		for i, c := range f.Name {
			if c == '/' && f.failed() {
				below[f.Name[:i]] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(failures), func(f *Failure) bool {
		return f.failed() && f.Message == "" && below[f.Name]
	})
}

// Pattern returns the pattern for -bench and -skip that matches only one
// benchmark and its sub-benchmarks.
func Pattern(name string) string {
	parts := strings.Split("Benchmark"+name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// Processors returns the suffix for the number of processors that f was
// measured with, such as -2: testing appends it to the names in results but not
// in all failures. It is "" if the results do not agree on one.
func (f *File) Processors() string {
	ending := ""
	for i, r := range f.Results {
		e := string(processors.Find(r.Name.Full()))
		if i > 0 && e != ending {
			return ""
		}
		ending = e
	}
	return ending
}

// named removes the number of processors from the failures' names and keeps one
// record for each.
func (f *File) named() {
	ending := f.Processors()
	failed := make(map[string]bool)
	var all []*Failure
	for _, m := range causes(f.Failures) {
		m.Name = strings.TrimSuffix(m.Name, ending)
		if _, again := failed[m.Name]; !again {
			failed[m.Name] = m.failed()
			all = append(all, m)
		}
	}
	f.Failures = all
	// With -count, some of its measurements may have succeeded.
	f.Results = slices.DeleteFunc(f.Results, func(r *benchfmt.Result) bool {
		return failed[strings.TrimSuffix(r.Name.String(), ending)]
	})
}
