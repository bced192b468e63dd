package results

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Limits far above what any benchmark run writes. They bound the memory that a
// file can take.
const (
	maxLine       = 64 << 10 // bytes, benchfmt's own limit
	maxConfigRun  = 10_000   // configuration lines in a row without a result
	maxConfigKeys = 1000
	maxName       = 1000 // bytes of a benchmark's name
	maxUnitLines  = 10_000
	maxFailures   = 10_000
	maxMessage    = 4 << 10 // bytes of a failure's message
	maxComments   = 1000    // comments that are kept

	// MaxUnits is the number of units of a benchmark that can be read.
	MaxUnits = 100
	// MaxValues is the number of measurements that can be read for a
	// comparison.
	MaxValues = 4 << 20
)

var (
	benchmarkPrefix = []byte("Benchmark")
	goosPrefix      = []byte("goos:")
	byteOrderMark   = []byte("\ufeff")
	failMark        = []byte("--- FAIL: ")
	skipMark        = []byte("--- SKIP: ")
)

// A lineReader passes a results file to a benchfmt.Reader line by line. It
// checks for what benchfmt silently skips: failed benchmarks, runs that broke
// off, truncated and binary files, and the boundary between the output of two
// processes.
//
// One call of Read returns one line. benchfmt reads no further than the line
// that it needs, so after its Scan the fields describe the lines up to that
// one. A line that says that a benchmark failed is passed on as a result, so
// that it gets its configuration.
type lineReader struct {
	raw  *bufio.Reader
	path string
	rest []byte // the rest of the current line to pass on
	text []byte // the current line
	json *jsonText

	line      int    // of the file
	head      []byte // the beginning of the file
	events    int    // results and failures so far
	results   int
	failures  []*Failure
	failure   *Failure // in the current line
	comments  []string
	processes int  // headers that followed events
	config    bool // a configuration line was seen since this was cleared
	configRun int
	trailers  int // PASS or FAIL lines that followed events
	err       error

	run            // of the current line
	unended  int   // the line before which a process ended without PASS or FAIL
	suspect  *name // see drop
	owner    *Failure
	owned    bool // indented lines belong to owner, which may be nil
	message  []string
	status   *name // the last line that says how a process ended
	noResult bool  // the last line that began with Benchmark was neither a result nor a name
}

// A run is what was seen of a process's output.
type run struct {
	started bool  // an event was seen
	ended   bool  // PASS or FAIL followed the last event
	failed  bool  // and a failure was named
	at      *name // a benchmark that nothing but the name was seen of
	said    *name // the last benchmark that go test -v announced before its results
	verbose bool  // there were results of announced benchmarks
	plain   bool  // there were results of other benchmarks
}

// A name is a line that has only a benchmark's name.
type name struct {
	text string
	line int
	open bool // the line was to be continued
}

// within reports whether benchmark is the named one or a sub-benchmark of it.
func (n *name) within(benchmark string) bool {
	return benchmark == n.text || Stem(benchmark) == Stem(n.text) || strings.HasPrefix(benchmark, n.text+"/")
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		if err := l.next(); err != nil {
			l.err = err
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// broken is the error for a file that lacks something after a line.
type broken struct {
	line int
	msg  string
}

func (b *broken) Error() string { return b.msg }

func (l *lineReader) broken(line int, format string, args ...any) error {
	return &broken{line, fmt.Sprintf(format, args...)}
}

// next reads a line into l.rest.
func (l *lineReader) next() error {
	line, err := l.nextText()
	if err != nil {
		if err == io.EOF {
			if eof := l.end(); eof != nil {
				return eof
			}
		}
		return err
	}
	l.text, l.rest, l.failure = line, line, nil
	return l.see(line)
}

// nextText returns the next line of the benchmark format.
func (l *lineReader) nextText() ([]byte, error) {
	if l.json != nil {
		return l.json.next(l)
	}
	line, err := l.nextRaw()
	if err != nil {
		return nil, err
	}
	if l.results == 0 && isTestJSON(line) {
		l.json = new(jsonText)
		if err := l.json.add(line); err != nil {
			return nil, err
		}
		return l.json.next(l)
	}
	return line, nil
}

// nextRaw returns the next line of the file.
func (l *lineReader) nextRaw() ([]byte, error) {
	line, err := l.raw.ReadSlice('\n')
	if len(line) == 0 {
		return nil, err
	}
	l.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line longer than %d bytes: this is not a file of benchmark results", maxLine)
	case err == io.EOF && l.events == 0 && l.json == nil && foreign(append(l.head, line...)) != "":
		return nil, errors.New("these are not benchmark results: " + foreign(append(l.head, line...)))
	case err == io.EOF:
		return nil, errors.New("the last line has no end: the file is truncated (if it is not, end it with a newline)")
	case err != nil:
		return nil, err
	}
	if l.line == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return nil, errors.New("a zero byte: this is binary or UTF-16, not a file of benchmark results")
	}
	if room := maxHead - len(l.head); room > 0 {
		l.head = append(l.head, line[:min(room, len(line))]...)
	}
	return line, nil
}

// see checks a line for what benchfmt does not report.
func (l *lineReader) see(line []byte) error {
	text := bytes.TrimRight(line, "\r\n")
	if bytes.HasPrefix(text, []byte("    ")) {
		l.log(string(text[4:]))
		return l.nameless(text)
	}
	l.owner, l.owned = nil, false
	defer func() {
		if !l.owned {
			l.message = nil
		}
	}()
	switch {
	case bytes.HasPrefix(text, benchmarkPrefix):
		return l.benchmark(text)
	case bytes.HasPrefix(text, failMark), bytes.HasPrefix(text, skipMark):
		return l.verdict(text)
	case bytes.HasPrefix(text, []byte("--- ")):
		l.owned = true
	case bytes.HasPrefix(text, goosPrefix):
		if l.events > 0 {
			l.processes++
		}
		l.config = true
		return l.newProcess()
	case bytes.HasPrefix(text, []byte("FAIL\t")) && l.ended && len(l.failures) > 0:
		// go test's last line about a program that has named its
		// failures.
	case died(string(text)):
		return l.died(string(text))
	case bytes.HasPrefix(text, []byte("exit status ")), bytes.HasPrefix(text, []byte("signal: ")):
		l.status = &name{string(text), l.line, false}
	case len(text) > 0 && text[0] == '#':
		if len(l.comments) < maxComments {
			l.comments = append(l.comments, string(text))
		}
	case len(text) > 0 && text[0] >= 'a':
		l.config = true
		l.configRun++
		if l.configRun > maxConfigRun {
			return fmt.Errorf("%d configuration lines without a result: this is not a file of benchmark results", maxConfigRun)
		}
	case string(text) == "PASS", string(text) == "FAIL":
		return l.trailer(string(text))
	}
	return l.nameless(text)
}

// died reports whether a line says that a process died, according to the
// runtime or go test.
func died(text string) bool {
	for _, prefix := range []string{"FAIL\t", "panic: ", "fatal error: ", "SIGQUIT: "} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func (l *lineReader) died(text string) error {
	if l.status != nil && l.status.line == l.line-1 {
		text = l.status.text // go test prints it above FAIL
	}
	if l.at != nil {
		return l.broken(l.line, "this run failed: %q, in Benchmark%s", text, l.at.text)
	}
	return l.broken(l.line, "this run failed: %q", text)
}

// event records that a result or a failure was seen.
func (l *lineReader) event() {
	l.events++
	l.configRun = 0
	l.started, l.ended = true, false
}

// benchmark checks a line that begins with Benchmark.
func (l *lineReader) benchmark(text []byte) error {
	l.noResult = false
	fields := bytes.Fields(text)
	n := string(fields[0][len(benchmarkPrefix):])
	if i := bytes.Index(text, failMark); i >= 0 {
		// It failed after its first iteration, when its name was
		// already on the line.
		return l.verdict(text[i:])
	}
	if len(fields) == 1 {
		if n == "" || len(n) > maxName {
			return nil // not a benchmark's name that could be missing
		}
		if err := l.drop(n); err != nil {
			return err
		}
		l.at = &name{n, l.line, len(text) > len(fields[0])}
		if l.at.open {
			l.rest = []byte("\n") // only a name, which benchfmt takes for a malformed line
		}
		return nil
	}
	if !bytes.ContainsAny(fields[1][:1], "+-0123456789") {
		rest := string(bytes.TrimSpace(text[len(fields[0]):]))
		if strings.HasPrefix(rest, "goos: ") || strings.HasPrefix(rest, "exit status ") || strings.HasPrefix(rest, "signal: ") {
			return l.broken(l.line, "Benchmark%s has no result: the run was cut off there, and the rest of the line is not its result: %q", n, rest)
		}
		if died(rest) {
			l.at = &name{n, l.line, true}
			return l.died(rest)
		}
		l.noResult = true
		return nil // benchfmt reports what is wrong with it
	}
	l.results++
	l.event()
	switch {
	case l.at != nil && Stem(l.at.text) == Stem(n):
		l.said, l.at = l.at, nil
		l.verbose = l.verbose || !l.said.open
	case l.said != nil && Stem(l.said.text) == Stem(n):
		// Another result of -count.
	default:
		l.plain = true
		return l.drop(n)
	}
	return nil
}

// drop is called when a line that had only a benchmark's name is followed by
// another benchmark or the end. In the output of go test -v such a line may
// also be a benchmark none of whose sub-benchmarks were selected. So the
// benchmark is only suspected until the process's end shows whether others were
// announced.
func (l *lineReader) drop(next string) error {
	at := l.at
	if at == nil || next != "" && at.within(next) {
		return nil
	}
	l.at = nil
	if at.open {
		return l.cut(at)
	}
	if l.suspect == nil {
		l.suspect = at
	}
	return nil
}

func (l *lineReader) cut(at *name) error {
	return l.broken(at.line, "Benchmark%s has neither a result nor a reason for its failure: the run was cut off there; measure this sample again", at.text)
}

// verdict checks a line that says that something failed or was skipped. The
// indented lines after it, or with -v before it, are its log.
func (l *lineReader) verdict(text []byte) error {
	skipped := bytes.HasPrefix(text, skipMark)
	rest := strings.TrimSpace(string(text[len(failMark):]))
	l.owned = true
	n, ok := strings.CutPrefix(rest, "Benchmark")
	if !ok {
		if skipped {
			return nil // a test
		}
		return l.broken(l.line, "this run failed: %q", string(text))
	}
	n, _, _ = strings.Cut(n, " ")
	if len(n) > maxName {
		return fmt.Errorf("a benchmark's name of %d bytes: this is not a benchmark result", len(n))
	}
	if len(l.failures) == maxFailures {
		return fmt.Errorf("more than %d failures", maxFailures)
	}
	if err := l.drop(n); err != nil {
		return err
	}
	l.verbose = l.verbose || l.at != nil && !l.at.open
	l.at = nil
	f := &Failure{Name: n, Skipped: skipped, Path: l.path, Line: l.line, Message: strings.Join(l.message, "\n")}
	l.message = nil
	l.failures = append(l.failures, f)
	l.event()
	l.failed = l.failed || !skipped
	l.owner, l.failure = f, f
	// Nobody looks at what follows its name.
	l.rest = fmt.Appendf(nil, "Benchmark%s 1 1 failure\n", n)
	return nil
}

// log keeps a line that a benchmark logged.
func (l *lineReader) log(text string) {
	switch {
	case l.owner != nil && len(l.owner.Message)+len(text) < maxMessage:
		l.owner.Message = strings.TrimPrefix(l.owner.Message+"\n"+text, "\n")
	case !l.owned && len(l.message) < 50 && len(text) < maxMessage/50:
		l.message = append(l.message, text)
	}
}

// resultOnly matches the rest of a result whose line was interrupted after its
// name.
var resultOnly = regexp.MustCompile(`^ *[0-9]+\t +[-+0-9.eE]+ [^ \t]+(\t|$)`)

// nameless finds results without a name.
func (l *lineReader) nameless(text []byte) error {
	if len(text) == 0 || text[0] != ' ' && (text[0] < '0' || text[0] > '9') || !resultOnly.Match(text) {
		return nil
	}
	if l.noResult {
		l.noResult = false // the line with the name has been reported
		return nil
	}
	if at := l.at; at != nil {
		return l.broken(l.line, "a result without its benchmark's name, possibly Benchmark%[2]s on line %[1]d: something was printed between them", at.line, at.text)
	}
	return l.broken(l.line, "a result without its benchmark's name")
}

// trailer checks testing's last line, PASS or FAIL.
func (l *lineReader) trailer(text string) error {
	if err := l.drop(""); err != nil {
		return err
	}
	if l.suspect != nil && l.started && (l.plain || !l.verbose) {
		return l.cut(l.suspect)
	}
	if text == "FAIL" && !l.failed && (!l.ended || len(l.failures) == 0) {
		return l.broken(l.line, "this run failed: %q, and nothing says which benchmark did", text)
	}
	l.suspect = nil
	if l.started && !l.ended {
		l.trailers++
	}
	l.ended = true
	return l.checkEnds()
}

// newProcess is called where a process's output begins.
func (l *lineReader) newProcess() error {
	if err := l.end(); err != nil {
		return err
	}
	if l.started && !l.ended && l.unended == 0 {
		l.unended = l.line
	}
	l.run, l.suspect = run{}, nil
	return l.checkEnds()
}

// checkEnds finds a process whose output has no PASS although others in the
// file have one. If none has one, the results may be excerpts of a longer text.
func (l *lineReader) checkEnds() error {
	if l.unended == 0 || l.trailers == 0 {
		return nil
	}
	return l.broken(l.unended, "the output of a process ends before this line and has no PASS, which others in the file have: it was cut off; measure this sample again")
}

// end is called where a process's output ends.
func (l *lineReader) end() error {
	switch {
	case l.at != nil:
		return l.cut(l.at)
	case l.suspect != nil && (l.plain || !l.verbose):
		return l.cut(l.suspect)
	}
	return nil
}
