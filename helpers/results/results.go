// Package results reads, finds and writes files in the Go benchmark format. It
// knows which of their configuration keys must agree and refuses to compare
// files that differ in one.
//
// benchfmt, which it is built on, skips what it does not understand, and
// benchstat always exits with status 0. That is fine for looking at figures,
// but not for relying on them. Here a file is either read completely or is an
// error that names the file and, if possible, the line.
//
// A benchmark that failed loses only its own results: a file that records the
// failure is complete, and reading it returns the results and the failures.
package results

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/perf/benchfmt"
)

// A File is the content of a file in the benchmark format. In this project that
// is one sample: one process on a host, or one boot of a guest.
type File struct {
	Path     string
	Comments []string // lines that begin with '#', unchanged
	Results  []*benchfmt.Result
	Failures []*Failure // benchmarks that failed or were skipped, except those that only repeat others
	Units    benchfmt.UnitMetadataMap
}

// Read reads the file at path. [Parse] says what it refuses.
func Read(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // do not wait for the writer of a pipe
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

// Lowest reports whether, of several lines for a benchmark in one process, the
// lowest value of the unit counts: its Unit line says lines=lowest. For other
// units the median counts.
func Lowest(units benchfmt.UnitMetadataMap, unit string) bool {
	m := units.Get(unit, "lines")
	return m != nil && m.Value == "lowest"
}

// ErrNone is the error for a well-formed file without benchmarks.
var ErrNone = errors.New("no benchmark results")

// Parse reads r to its end. path is for messages. The error is an *InputError
// with every reason why r is not a complete sample: it is empty, not in the
// benchmark format, truncated, or has a value that cannot have been measured.
//
// A benchmark that failed is in Failures and does not affect others. A last
// line without a newline always means a truncated file. A file that eventbench
// wrote, which has a clock: line, must also have PASS or FAIL after its last
// result, as testing prints once all benchmarks have run. Otherwise a file
// truncated between two lines would look like one with fewer benchmarks.
func Parse(r io.Reader, path string) (*File, error) {
	var reader Reader
	reader.Reset(r, path)
	file := &File{Path: path}
	values := 0
	for reader.Scan() {
		if reader.Failure() != nil {
			continue
		}
		res := reader.Result().Clone()
		file.Results = append(file.Results, res)
		if values += len(res.Values); values > MaxValues {
			reader.Stop(fmt.Errorf("more than %d measurements: these are not results of benchmark runs", MaxValues))
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	file.Comments, file.Failures, file.Units = reader.Comments(), reader.lines.failures, reader.Units()
	file.named()
	if len(file.Results) == 0 {
		reader.addNone("%s: no benchmark results: all failed or were skipped", path)
		return nil, reader.Err()
	}
	return file, nil
}

// Names returns the full name of every result, in order and with repetitions.
func (f *File) Names() []string {
	names := make([]string, len(f.Results))
	for i, r := range f.Results {
		names[i] = string(r.Name.Full())
	}
	return names
}

// Repeated returns the largest number of results of one benchmark. It is more
// than 1 after go test -count.
func (f *File) Repeated() int {
	times, most := make(map[string]int), 0
	for _, name := range f.Names() {
		times[name]++
		most = max(most, times[name])
	}
	return most
}

// Medians returns the results of f, with those that have the same name and
// configuration combined into the median of each unit. Results of one process
// share its memory layout and placement, so several are still one sample.
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

// median returns the middle of values of one unit, or the mean of the two in
// the middle. It sorts values.
func median(values []benchfmt.Value) benchfmt.Value {
	slices.SortFunc(values, func(a, b benchfmt.Value) int { return cmp.Compare(a.Value, b.Value) })
	m, other := values[len(values)/2], values[(len(values)-1)/2]
	m.Value = (m.Value + other.Value) / 2
	m.OrigValue = (m.OrigValue + other.OrigValue) / 2
	return m
}

// Config returns the configuration of f: the sorted values of each key among
// the results. A result without the key counts as "".
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

// Ext is the extension of results files. Other files in a directory of results,
// such as the remains of a failed round, are not read.
const Ext = ".txt"

// Find returns the results files that path stands for: the file itself, or the
// results files in the directory, sorted by name. A directory that has none
// stands for the only directory below it that has some. If there are several of
// those, it is an error.
func Find(path string) ([]string, error) {
	dirs, err := find(path)
	if err != nil {
		return nil, err
	}
	if own := dirs[filepath.Clean(path)]; own != nil {
		return own, nil
	}
	if len(dirs) > 1 {
		return nil, fmt.Errorf("%s: holds several sets of results, name one of them:\n\t%s",
			path, strings.Join(slices.Sorted(maps.Keys(dirs)), "\n\t"))
	}
	return slices.Concat(slices.Collect(maps.Values(dirs))...), nil
}

// FindAll returns the file itself, or all results files in the directory and
// below, sorted by directory and name.
func FindAll(path string) ([]string, error) {
	dirs, err := find(path)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		all = append(all, dirs[dir]...)
	}
	return all, nil
}

// find returns the results files at path and below, by directory. A file is its
// own directory.
func find(path string) (dirs map[string][]string, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return map[string][]string{filepath.Clean(path): {path}}, nil
	}
	dirs = make(map[string][]string)
	// The trailing slash makes WalkDir follow a symlink.
	err = filepath.WalkDir(strings.TrimRight(path, "/")+"/", func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != Ext || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		fi, err := os.Stat(p) // follows symlinks
		if err == nil && fi.Mode().IsRegular() {
			dir := filepath.Dir(p)
			dirs[dir] = append(dirs[dir], filepath.Clean(p))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s: no results files (*%s) in it", path, Ext)
	}
	return dirs, nil
}
