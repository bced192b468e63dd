// Package results reads, finds and writes files in the Go benchmark format,
// and refuses those that are not fit to be compared.
//
// benchfmt, on which it is built, skips what it does not understand, and
// benchstat exits 0 whatever happens. That is right for looking at numbers and
// wrong for believing them: here a file is read whole or is an error that
// names the file and, where there is one, the line.
package results

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A File is the content of one file in the benchmark format. In this project
// that is one sample: one process on a host, or one boot of a guest.
type File struct {
	Path     string
	Comments []string // lines that begin with '#', as they stand
	Results  []*benchfmt.Result
	Units    benchfmt.UnitMetadataMap
	Failures []*Failure // benchmarks that have no result here, in the order in which that was said
}

// Read reads the file at path; see [Parse] for what it refuses.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil {
		return nil, err
	} else if fi.IsDir() {
		return nil, fmt.Errorf("%s: is a directory, not a results file", path)
	}
	return Parse(f, path)
}

// Lowest reports whether of several lines that one process prints for a
// benchmark the lowest value in the unit counts, as its Unit line says with lines=lowest. Of
// any other unit it is their median.
func Lowest(units benchfmt.UnitMetadataMap, unit string) bool {
	m := units.Get(unit, "lines")
	return m != nil && m.Value == "lowest"
}

// ErrNone is the error for what is well-formed but has no benchmark in it.
var ErrNone = errors.New("no benchmark results in it")

// Parse reads r to its end; path is for messages. It is an error if r is
// empty, holds no benchmark result, has a line that is no benchmark format or
// a value that is no number, or stops in the middle. A benchmark that failed
// costs itself only: it is in Failures.
//
// A last line without its newline is always a file cut short. A file that
// eventbench itself wrote (it has a clock: line) must also say PASS or FAIL after
// its last result, as testing does when all benchmarks have run: without that, a
// file cut between two lines would look like one with fewer benchmarks.
func Parse(r io.Reader, path string) (*File, error) {
	file := &File{Path: path}
	lines := lineScanner{file: file, records: make(map[int]bool)}
	reader := benchfmt.NewReader(io.TeeReader(r, &lines), path)
	var syntax error
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.Result:
			for _, v := range rec.Values {
				if syntax == nil && (math.IsNaN(v.Value) || math.IsInf(v.Value, 0)) {
					_, line := rec.Pos()
					syntax = fmt.Errorf("%s:%d: %s: the value of %s is %v: the benchmark divided by zero?", path, line, rec.Name, cmp.Or(v.OrigUnit, v.Unit), v.Value)
				}
			}
			file.Results = append(file.Results, rec.Clone())
		case *benchfmt.SyntaxError:
			if _, line := rec.Pos(); syntax == nil && !lines.records[line] {
				syntax = rec
			}
		}
	}
	file.Units = reader.Units()
	file.named()

	err := reader.Err()
	switch {
	case err != nil: // names path and line
	case lines.size == 0:
		err = fmt.Errorf("%s: the file is empty", path)
	case lines.failure != "":
		err = fmt.Errorf("%s:%d: not a complete run: %s", path, lines.failureLine, lines.failure)
	case len(lines.line) > 0 && (syntax != nil || len(file.Results) > 0):
		err = fmt.Errorf("%s:%d: truncated: the last line is not complete", path, lines.n+1)
	case syntax != nil:
		err = syntax
	case len(file.Results) == 0:
		err = fmt.Errorf("%s: %w (want the output of go test -bench)", path, ErrNone)
	case !lines.passed && file.Results[0].GetConfig("clock") != "":
		err = fmt.Errorf("%s: truncated: neither PASS nor FAIL after the last result (line %d)", path, lines.n)
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// lineScanner sees what benchfmt.Reader passes over: comments, verdicts, and
// whether the last line came to its end.
type lineScanner struct {
	file        *File
	size        int
	n           int          // complete lines so far
	line        []byte       // the line that is not complete yet, its first maxLine bytes
	passed      bool         // PASS, or FAIL that something explains, was seen after the last result
	records     map[int]bool // lines that begin the record of a failure
	logging     bool         // lines belong to the last of these
	failure     string       // the first line that tells of a failure
	failureLine int
}

// maxLine bounds what is kept of one line. benchfmt gives up at 64 KiB.
const maxLine = 64 << 10

func (s *lineScanner) Write(p []byte) (int, error) {
	s.size += len(p)
	rest := p
	for {
		line, after, complete := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(s.line); len(line) > room {
			line = line[:room]
		}
		s.line = append(s.line, line...)
		if !complete {
			return len(p), nil
		}
		s.n++
		s.see(strings.TrimRight(string(s.line), "\r"))
		s.line = s.line[:0]
		rest = after
	}
}

func (s *lineScanner) see(line string) {
	if f, ok := failureOf(line); ok {
		s.file.Failures = append(s.file.Failures, f)
		s.records[s.n], s.logging = true, true
		return
	}
	if text, ok := strings.CutPrefix(line, logIndent); ok && s.logging {
		last := s.file.Failures[len(s.file.Failures)-1]
		last.Message = strings.TrimPrefix(last.Message+"\n"+text, "\n")
		return
	}
	s.logging = false
	switch {
	case strings.HasPrefix(line, "#"):
		s.file.Comments = append(s.file.Comments, line)
	case line == "PASS", line == "FAIL" && slices.ContainsFunc(s.file.Failures, (*Failure).failed):
		s.passed = true
	case strings.HasPrefix(line, "FAIL\t") && s.passed: // go test's word for the package
	case strings.HasPrefix(line, "Benchmark"):
		s.passed = false
	case s.failure == "" && Failed(line):
		s.failure, s.failureLine = strings.TrimSpace(line), s.n
	}
}

// Failed reports whether line is testing's or the runtime's word that a run
// failed. When a benchmark fails after its first iteration, testing has
// already written its name on the same line.
func Failed(line string) bool {
	return line == "FAIL" || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "panic: ") ||
		strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIGQUIT: ") ||
		strings.HasPrefix(line, "--- FAIL: ") ||
		strings.HasPrefix(line, "Benchmark") && strings.Contains(line, "--- FAIL: ")
}

// Names returns the full name of every result in order, as often as it
// occurs.
func (f *File) Names() []string {
	names := make([]string, len(f.Results))
	for i, r := range f.Results {
		names[i] = string(r.Name.Full())
	}
	return names
}

// Repeated returns how many results the benchmark with most of them has. More
// than one is what go test -count leaves.
func (f *File) Repeated() int {
	times, most := make(map[string]int), 0
	for _, name := range f.Names() {
		times[name]++
		most = max(most, times[name])
	}
	return most
}

// Medians returns the results of f with those of one name and configuration
// made one: the median of each unit. Results of one process share that
// process's luck, so that several of them are no more of a sample than one.
func (f *File) Medians() []*benchfmt.Result {
	var order []string
	groups := make(map[string][]*benchfmt.Result)
	for _, r := range f.Results {
		key := string(r.Name.Full())
		for _, c := range r.Config {
			key += "\n" + c.Key + ": " + string(c.Value)
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], r)
	}
	var medians []*benchfmt.Result
	for _, key := range order {
		m := groups[key][0].Clone()
		m.Values = nil
		var units []string
		values := make(map[string][]benchfmt.Value)
		for _, r := range groups[key] {
			for _, v := range r.Values {
				if values[v.Unit] == nil {
					units = append(units, v.Unit)
				}
				values[v.Unit] = append(values[v.Unit], v)
			}
		}
		for _, unit := range units {
			m.Values = append(m.Values, median(values[unit]))
		}
		medians = append(medians, m)
	}
	return medians
}

// median returns the middle of values of one unit, which it sorts, or the mean
// of the two in the middle.
func median(values []benchfmt.Value) benchfmt.Value {
	slices.SortFunc(values, func(a, b benchfmt.Value) int { return cmp.Compare(a.Value, b.Value) })
	m, other := values[len(values)/2], values[(len(values)-1)/2]
	m.Value = (m.Value + other.Value) / 2
	m.OrigValue = (m.OrigValue + other.OrigValue) / 2
	return m
}

// Config returns the configuration of f: for each key the values it has among
// the results, sorted. A result without the key counts as one where it is "".
func (f *File) Config() map[string][]string {
	config := make(map[string][]string)
	for _, r := range f.Results {
		for _, c := range r.Config {
			config[c.Key] = nil
		}
	}
	for key := range config {
		values := make(map[string]bool)
		for _, r := range f.Results {
			values[r.GetConfig(key)] = true
		}
		config[key] = slices.Sorted(maps.Keys(values))
	}
	return config
}

// Ext is the extension of results files. Other files in a directory of
// results, such as what a failed round left, are not read.
const Ext = ".txt"

// Find returns the results files that path stands for: the file itself, or
// the results files in the directory, sorted by name. For a directory that has
// none of its own but exactly one directory below it that has, those are
// meant; of several it does not choose.
func Find(path string) ([]string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return []string{path}, nil
	}
	// The trailing slash makes WalkDir follow path itself when it is a symlink.
	dirs := make(map[string][]string)
	err = filepath.WalkDir(strings.TrimRight(path, "/")+"/", func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != Ext || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		fi, err := os.Stat(p) // of what a symlink leads to
		if err == nil && fi.Mode().IsRegular() {
			dir := filepath.Dir(p)
			dirs[dir] = append(dirs[dir], filepath.Clean(p))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if own := dirs[filepath.Clean(path)]; own != nil {
		return own, nil
	}
	switch len(dirs) {
	case 0:
		return nil, fmt.Errorf("%s: no results files (*%s) in it", path, Ext)
	case 1:
		return slices.Concat(slices.Collect(maps.Values(dirs))...), nil
	}
	return nil, fmt.Errorf("%s: holds several sets of results, name one of them:\n\t%s",
		path, strings.Join(slices.Sorted(maps.Keys(dirs)), "\n\t"))
}
