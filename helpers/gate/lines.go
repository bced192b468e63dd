package gate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"eventbench/helpers/results"
)

// Limits within which anything a benchmark run writes lies by far. They bound
// the memory a file of any size can take.
const (
	maxLine       = 64 << 10 // bytes, benchfmt's own limit
	maxConfigRun  = 10_000   // configuration lines with no result between
	maxConfigKeys = 1000
	maxName       = 1000 // bytes of a benchmark's name
	maxBenchmarks = 50_000
	maxUnits      = 100     // of one benchmark
	maxSamples    = 1000    // a side
	maxValues     = 4 << 20 // measurements a side
)

var (
	benchmarkPrefix = []byte("Benchmark")
	goosPrefix      = []byte("goos:")
	byteOrderMark   = []byte("\ufeff")
)

// A lineReader hands a results file to a benchfmt.Reader line by line, and
// watches for what that reader skips in silence: failed runs, truncated and
// binary files, and where one process ends and the next begins.
//
// One call of Read returns one line. benchfmt reads no further than the line
// it needs, so after its Scan the fields describe the lines up to the one
// scanned.
type lineReader struct {
	r    *bufio.Reader
	rest []byte // of the current line

	line      int
	results   int  // benchmark lines so far
	processes int  // headers so far that followed results
	config    bool // a line that may set configuration has come since it was last cleared
	configRun int
	passed    bool   // PASS has come after the last result
	passes    int    // how often PASS has come
	failure   string // the first line that says the run failed
	failLine  int
	json      bool // it looks like the output of go test -json
	err       error
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

// next reads a line into l.rest.
func (l *lineReader) next() error {
	line, err := l.r.ReadSlice('\n')
	if len(line) == 0 {
		return err
	}
	l.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return fmt.Errorf("a line longer than %d bytes: this is no file of benchmark results", maxLine)
	case err == io.EOF:
		return errors.New("the last line has no end: the file is truncated (if it is not, end it with a newline)")
	case err != nil:
		return err
	}
	if l.line == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return errors.New("a zero byte: this is binary or UTF-16, no file of benchmark results")
	}
	switch {
	case bytes.HasPrefix(line, benchmarkPrefix):
		l.results++
		l.configRun = 0
		l.passed = false
	case bytes.HasPrefix(line, goosPrefix):
		if l.results > 0 {
			l.processes++
		}
		l.config = true
	case len(line) > 0 && line[0] == '{' && bytes.Contains(line, []byte(`"Action":`)):
		l.json = true
	case len(line) > 0 && line[0] >= 'a':
		l.config = true
		l.configRun++
		if l.configRun > maxConfigRun {
			return fmt.Errorf("%d configuration lines without a result: this is no file of benchmark results", maxConfigRun)
		}
	}
	switch text := string(bytes.TrimRight(line, "\r\n")); {
	case text == "PASS":
		l.passed = true
		l.passes++
	case l.failLine == 0 && results.Failed(text):
		l.failure, l.failLine = text, l.line
	}
	l.rest = line
	return nil
}
