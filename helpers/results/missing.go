package results

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A Missing is a benchmark that has no result in a sample, and why: it failed,
// it ended the process that it ran in, it skipped itself, or it was not tried.
// The record is the one that testing prints,
//
//	--- FAIL: BenchmarkEventfdRoundTrip/peer=process
//	    eventfd_test.go:71: 1000 sent, 999 received
//
// and benchstat ignores it.
type Missing struct {
	Name    string   // with Benchmark, and without the number of processors
	Skipped bool     // SKIP rather than FAIL
	Message []string // what it logged, or what was found out about its end
}

func (m Missing) failed() bool { return !m.Skipped }

// String is the record, with a newline at its end.
func (m Missing) String() string {
	verdict := "FAIL"
	if m.Skipped {
		verdict = "SKIP"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "--- %s: %s\n", verdict, m.Name)
	for _, line := range m.Message {
		fmt.Fprintf(&s, "%s%s\n", logIndent, line)
	}
	return s.String()
}

// logIndent begins the lines of a record after its first.
const logIndent = "    "

// recordLine is the first line of a record. A benchmark that fails after its first
// iteration has its name on the same line before it.
var recordLine = regexp.MustCompile(`^(?:Benchmark\S*[ \t]+)?--- (FAIL|SKIP): (Benchmark\S*)$`)

// missingOf returns the record that the line begins.
func missingOf(line string) (m Missing, ok bool) {
	p := recordLine.FindStringSubmatch(line)
	if p == nil {
		return m, false
	}
	return Missing{Name: p[2], Skipped: p[1] == "SKIP"}, true
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

// named gives each missing benchmark its name without the number of
// processors, and one record. The failure of one with sub-benchmarks that says
// nothing is that of a sub-benchmark, which has a record.
func (f *File) named() {
	ending := f.Processors()
	var all []Missing
	for _, m := range f.Missing {
		m.Name = strings.TrimSuffix(m.Name, ending)
		below := func(o Missing) bool { return o.failed() && strings.HasPrefix(o.Name, m.Name+"/") }
		same := func(o Missing) bool { return o.Name == m.Name }
		if slices.ContainsFunc(all, same) || len(m.Message) == 0 && slices.ContainsFunc(all, below) {
			continue
		}
		all = append(all, m)
	}
	f.Missing = all
	// With -count some of its measurements may have succeeded.
	f.Results = slices.DeleteFunc(f.Results, func(r *benchfmt.Result) bool {
		name := "Benchmark" + string(bytes.TrimSuffix(r.Name.Full(), []byte(ending)))
		return slices.ContainsFunc(all, func(m Missing) bool { return m.failed() && m.Name == name })
	})
}
