package results

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A Failure is a benchmark that gave no result in a sample, and why: it failed,
// it ended the process that it ran in, it skipped itself, or it was not tried.
// In a file it stands as testing prints it,
//
//	--- FAIL: BenchmarkEventfdRoundTrip/peer=process
//	    eventfd_test.go:71: 1000 sent, 999 received
//
// and benchstat ignores it.
type Failure struct {
	Name    string // without the prefix Benchmark and the number of processors
	Skipped bool   // it did not fail but was left out
	Message string // its lines without the blanks before them; may be empty
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

// recordLine is the first line of a record. A benchmark that fails after its first
// iteration has its name on the same line before it.
var recordLine = regexp.MustCompile(`^(?:Benchmark\S*[ \t]+)?--- (FAIL|SKIP): Benchmark(\S*)$`)

// failureOf returns the failure whose record the line begins.
func failureOf(line string) (f *Failure, ok bool) {
	p := recordLine.FindStringSubmatch(line)
	if p == nil {
		return nil, false
	}
	return &Failure{Name: p[2], Skipped: p[1] == "SKIP"}, true
}

// processors is what testing puts after a name where GOMAXPROCS is not 1.
var processors = regexp.MustCompile(`-[0-9]+$`)

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
// record. The failure of one with sub-benchmarks that says nothing is that of a
// sub-benchmark, which has a record.
func (f *File) named() {
	ending := f.Processors()
	var all []*Failure
	for _, m := range f.Failures {
		m.Name = strings.TrimSuffix(m.Name, ending)
		below := func(o *Failure) bool { return o.failed() && strings.HasPrefix(o.Name, m.Name+"/") }
		same := func(o *Failure) bool { return o.Name == m.Name }
		if slices.ContainsFunc(all, same) || m.Message == "" && slices.ContainsFunc(all, below) {
			continue
		}
		all = append(all, m)
	}
	f.Failures = all
	// With -count some of its measurements may have succeeded.
	f.Results = slices.DeleteFunc(f.Results, func(r *benchfmt.Result) bool {
		name := string(bytes.TrimSuffix(r.Name.Full(), []byte(ending)))
		return slices.ContainsFunc(all, func(m *Failure) bool { return m.failed() && m.Name == name })
	})
}
