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

// A Failure is a benchmark that gave no result in a sample, and why: it failed,
// it ended the process that it ran in, it skipped itself, or it was not tried.
// A file has it as testing prints it,
//
//	--- FAIL: BenchmarkEventfdRoundTrip/peer=process
//	    eventfd_test.go:71: 1000 sent, 999 received
//
// and benchstat ignores it.
type Failure struct {
	Name    string // without the prefix Benchmark and the number of processors
	Skipped bool   // it did not fail but was left out
	Message string // its lines without the blanks before them; may be empty
	Path    string // the file that says so
	Line    int    // its first line there
}

// String returns what happened in one line: where, which benchmark, and the
// first line of the reason.
func (f *Failure) String() string {
	what := "failed"
	if f.Skipped {
		what = "was skipped"
	}
	return printable.Text(fmt.Sprintf("%s:%d: Benchmark%s %s: ", f.Path, f.Line, f.Name, what)) + f.Reason()
}

// Reason is the first line of the message.
func (f *Failure) Reason() string {
	reason, _, _ := strings.Cut(f.Message, "\n")
	return printable.Text(cmp.Or(reason, "it did not say why"))
}

// Of reports whether a benchmark has no result because of the failure: it is
// the one that failed, or one below it.
func (f *Failure) Of(name string) bool {
	return f.Name == name || f.Name == Stem(name) || strings.HasPrefix(name, f.Name+"/")
}

func (f *Failure) failed() bool { return !f.Skipped }

// Record is what stands in a file, with a newline at its end.
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

// logIndent begins the lines of a record after its first.
const logIndent = "    "

// processors is what testing puts after a name where GOMAXPROCS is not 1.
var processors = regexp.MustCompile(`-[0-9]+$`)

// Stem returns a benchmark's name without it.
func Stem(name string) string { return processors.ReplaceAllString(name, "") }

// NameOf returns a function that returns the benchmark of each of the failures.
// One that failed early is named without the number of processors that it has
// where it failed late.
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

// causes leaves out the failures that only repeat others: a benchmark whose
// sub-benchmark failed also fails, without a message of its own.
func causes(failures []*Failure) []*Failure {
	below := make(map[string]bool) // that have a failed benchmark below them
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

// Processors returns the ending that says how many processors the results of
// f were measured with, such as -2: testing gives it to results and not to all
// failures. It is empty where the names of the results do not agree on one.
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

// named gives each failure its name without the number of processors, and one
// record.
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
	// With -count some of its measurements may have succeeded.
	f.Results = slices.DeleteFunc(f.Results, func(r *benchfmt.Result) bool {
		return failed[strings.TrimSuffix(r.Name.String(), ending)]
	})
}
