//go:build linux

package soak

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"eventbench/helpers/results"
	"eventbench/helpers/samples"
)

// A tally counts the outcomes of benchmarks.
type tally struct {
	runs, failed, skipped int
	longest               time.Duration
	longestName           string
}

func (t *tally) add(o tally) {
	t.runs += o.runs
	t.failed += o.failed
	t.skipped += o.skipped
	if o.longest > t.longest {
		t.longest, t.longestName = o.longest, o.longestName
	}
}

func (t *tally) print(w io.Writer, rounds int) {
	fmt.Fprintf(w, "benchmark runs: %d in %d rounds\nfailed:         %d\nskipped:        %d\n", t.runs, rounds, t.failed, t.skipped)
	if t.longestName != "" {
		fmt.Fprintf(w, "longest:        %v, %s\n", t.longest.Round(time.Millisecond), t.longestName)
	}
}

// A reader parses the output of a test binary with -test.v while it runs. A
// line with only a name begins a benchmark. A later line has its result, or its
// messages and then its failure or skip. A benchmark begins before its
// sub-benchmarks and fails after them.
type reader struct {
	tally
	current string    // the last that began
	began   time.Time // when current began
	said    strings.Builder
	part    []byte // an unfinished line
	reports []failure
}

// A failure is a benchmark with its messages.
type failure struct{ name, message string }

var (
	result = regexp.MustCompile(`^(Benchmark\S+)\s+\d+\s`)
	ending = regexp.MustCompile(`^--- (FAIL|SKIP|BENCH): (Benchmark\S+)`)
)

// maxLine bounds unrecognized lines.
const maxLine = 1 << 20

func (r *reader) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ok := bytes.Cut(p, []byte("\n"))
		if len(r.part)+len(line) > maxLine {
			return 0, fmt.Errorf("a line longer than %d bytes", maxLine)
		}
		r.part = append(r.part, line...)
		if !ok {
			return n, nil
		}
		r.line(string(r.part))
		r.part, p = r.part[:0], rest
	}
}

func (r *reader) line(line string) {
	end := ending.FindStringSubmatch(line)
	_, started := samples.Started(line)
	switch {
	case started:
		r.current, r.began = line, time.Now()
		r.said.Reset()
	case result.MatchString(line):
		r.runs++
		if took := time.Since(r.began); took > r.longest {
			r.longest, r.longestName = took, r.current
		}
		r.said.Reset()
	case end == nil:
		if r.said.Len() < maxLine {
			r.said.WriteString(line + "\n")
		}
	case end[1] == "SKIP":
		r.skipped++
		r.said.Reset()
	case end[1] == "FAIL":
		r.reports = append(r.reports, failure{results.Stem(end[2]), r.said.String()})
		r.said.Reset()
	}
}

// failures returns the failed benchmarks that have no failed sub-benchmark.
func (r *reader) failures() (leaves []failure) {
	for i, f := range r.reports {
		if i > 0 && strings.HasPrefix(r.reports[i-1].name, f.name+"/") {
			continue
		}
		leaves = append(leaves, f)
	}
	return leaves
}
