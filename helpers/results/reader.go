package results

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
	"golang.org/x/perf/benchunit"
)

// A Reader reads files in the Go benchmark format, one after the other, and
// reports what is wrong with them. Its memory is bounded, however large a file
// is. Everything in this project that reads results uses it.
//
// The output of go test -json is read as the text in its Output fields.
type Reader struct {
	Problems // of all files
	Filter   *benchproc.Filter

	bench   benchfmt.Reader // one for all files, to check that they agree on the units
	buffer  *bufio.Reader
	lines   *lineReader
	path    string
	before  int // in earlier files
	result  *benchfmt.Result
	clock   bool // a result names its clock, as this project's own do
	stopped bool
}

// Reset makes the reader read src. path is for messages.
func (r *Reader) Reset(src io.Reader, path string) {
	if r.buffer == nil {
		r.buffer = bufio.NewReaderSize(nil, maxLine)
	}
	r.buffer.Reset(src)
	r.lines = &lineReader{raw: r.buffer, path: path}
	if r.Filter != nil {
		r.bench.Reset(r.lines, path, ".file", path)
	} else {
		r.bench.Reset(r.lines, path)
	}
	r.path, r.before, r.clock, r.stopped = path, r.Len(), false, false
}

// Scan advances to the next failure or result that the filter selects. It
// returns false at the end of the file or where the file breaks off. r.Problems
// has what was wrong with it.
func (r *Reader) Scan() bool {
	for !r.stopped && r.bench.Scan() {
		switch rec := r.bench.Result().(type) {
		case *benchfmt.SyntaxError:
			r.Add("%s:%d: %s", r.path, r.lines.line, rec.Msg)
		case *benchfmt.UnitMetadata:
			if len(r.Units()) > maxUnitLines {
				r.Stop(fmt.Errorf("more than %d statements on units: this is not a file of benchmark results", maxUnitLines))
				return false
			}
			r.checkUnit(rec)
		case *benchfmt.Result:
			ok, err := r.check(rec)
			if err != nil {
				r.Stop(err)
				return false
			}
			if ok {
				r.result = rec
				return true
			}
		}
	}
	if !r.stopped {
		r.stopped = true
		r.end()
	}
	return false
}

// Result returns what Scan found, until the next Scan. For a failure it has the
// name and the configuration, but no valid value.
func (r *Reader) Result() *benchfmt.Result { return r.result }

// Failure returns the failure that Scan found, or nil if it found a result. Its
// message is complete once the file has been read.
func (r *Reader) Failure() *Failure { return r.lines.failure }

// Failures returns the file's failures so far, except those that only repeat
// others.
func (r *Reader) Failures() []*Failure { return causes(r.lines.failures) }

// Comments returns the lines that begin with '#', unchanged.
func (r *Reader) Comments() []string { return r.lines.comments }

// Units returns the metadata of units in all files.
func (r *Reader) Units() benchfmt.UnitMetadataMap { return r.bench.Units() }

// Line returns the number of the line that Scan reached.
func (r *Reader) Line() int { return r.lines.line }

// Reconfigured reports whether the configuration may have changed since the
// last call.
func (r *Reader) Reconfigured() bool {
	changed := r.lines.config
	r.lines.config = false
	return changed
}

// Processes returns how many times so far the output of one process was
// followed by another's.
func (r *Reader) Processes() int { return r.lines.processes }

// Trailers returns how many processes have ended so far, with PASS or FAIL.
func (r *Reader) Trailers() int { return r.lines.trailers }

// Stop stops reading the file and reports the reason as a problem.
func (r *Reader) Stop(err error) {
	r.Add("%s:%d: %v", r.path, r.lines.line, err)
	r.stopped = true
}

// check checks a result and reports whether it can be used.
func (r *Reader) check(res *benchfmt.Result) (bool, error) {
	r.clock = r.clock || res.GetConfig("clock") != ""
	switch {
	case len(res.Name) == 0:
		return false, errors.New("a benchmark without a name")
	case len(res.Name) > maxName:
		return false, fmt.Errorf("a benchmark's name of %d bytes: this is not a benchmark result", len(res.Name))
	case len(res.Config) > maxConfigKeys:
		return false, fmt.Errorf("more than %d configuration keys", maxConfigKeys)
	case r.lines.failure != nil:
		res.Values = res.Values[:0]
		return true, nil
	case len(res.Values) > MaxUnits:
		return false, fmt.Errorf("more than %d units of one benchmark", MaxUnits)
	}
	text := strings.Fields(string(r.lines.text)) // values as written in the file
	if len(text) < 2+2*len(res.Values) {
		return false, errors.New("this line is not what it seems") // cannot happen: benchfmt splits it the same way
	}
	written := make(map[string]string, len(res.Values))
	for i, v := range res.Values {
		written[unitOf(v)] = text[2+2*i]
	}
	if len(written) < len(res.Values) {
		for i, v := range res.Values {
			if slices.ContainsFunc(res.Values[:i], func(o benchfmt.Value) bool { return unitOf(o) == unitOf(v) }) {
				r.Add("%s:%d: %s: two values of %s on one line", r.path, r.lines.line, string(res.Name), unitOf(v))
			}
		}
	}
	if r.Filter != nil {
		match, err := r.Filter.Match(res)
		if err != nil || !match.Apply(res) {
			return false, err
		}
	}
	res.Values = slices.DeleteFunc(res.Values, func(v benchfmt.Value) bool {
		if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			r.Add("%s:%d: %s: the value of %s is %s: the benchmark divided by zero?", r.path, r.lines.line, string(res.Name), unitOf(v), written[unitOf(v)])
			return true
		}
		why := impossible(v)
		if why != "" {
			r.Add("%s:%d: %s: %s %s: %s", r.path, r.lines.line, string(res.Name), written[unitOf(v)], unitOf(v), why)
		}
		return why != ""
	})
	for i, v := range res.Values {
		// The unit of a zero value stays as written.
		if _, unit := benchunit.Tidy(1, v.Unit); unit != v.Unit {
			res.Values[i].OrigUnit, res.Values[i].Unit = v.Unit, unit
		}
	}
	return true, nil
}

// unitOf returns the unit as the benchmark wrote it.
func unitOf(v benchfmt.Value) string { return cmp.Or(v.OrigUnit, v.Unit) }

// impossible says why a value cannot have been measured, or returns "" if it
// can.
func impossible(v benchfmt.Value) string {
	_, unit := benchunit.Tidy(1, v.Unit)
	switch {
	case slices.Contains([]string{"sec/op", "instrs/op", "mean-instrs/op"}, unit) && v.Value <= 0:
		return "no operation costs nothing, or less: did the clock stand still?"
	case (strings.Contains(unit, "-latency-") || unit == "B/op" || unit == "allocs/op") && v.Value < 0:
		return "nothing takes less than nothing: what subtracted that?"
	}
	return ""
}

func (r *Reader) checkUnit(u *benchfmt.UnitMetadata) {
	for _, known := range []struct{ key, a, b string }{
		{"better", "lower", "higher"}, {"assume", "exact", "nothing"}, {"lines", "lowest", "median"},
	} {
		if u.Key == known.key && u.Value != known.a && u.Value != known.b {
			r.Add("%s:%d: Unit %s %s=%s: want %s or %s", r.path, r.lines.line, u.OrigUnit, u.Key, u.Value, known.a, known.b)
		}
	}
}

// end reports what is wrong with the file as a whole.
func (r *Reader) end() {
	l := r.lines
	if l.err != nil && l.err != io.EOF {
		line := l.line
		if b := (*broken)(nil); errors.As(l.err, &b) {
			line = b.line
		}
		r.Add("%s:%d: %v", r.path, line, pathless(l.err))
		return
	}
	if err := r.bench.Err(); err != nil {
		r.Add("%v", err)
		return
	}
	switch {
	case r.Len() > r.before:
	case l.events > 0 && l.started && !l.ended && (r.clock || l.trailers > 0):
		// This project's own results always end that way, and so does
		// the output of go test.
		r.Add("%s:%d: truncated: neither PASS nor FAIL after the last result", r.path, l.line)
	case l.events > 0:
	case l.line == 0:
		r.Add("%s: the file is empty", r.path)
	case foreign(l.head) != "":
		r.addNone("%s: no benchmark results: %s", r.path, foreign(l.head))
	default:
		r.addNone("%s: no benchmark results in its %d lines (want the output of go test -bench)", r.path, l.line)
	}
}

// pathless removes the path from an error, because the caller adds it.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
