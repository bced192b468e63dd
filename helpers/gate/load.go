package gate

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

// comparableKeys are the configuration keys that must agree between results
// that are compared or pooled, unless the user allows otherwise.
var comparableKeys = results.KeysOf(results.MustAgree)

// An InputError lists everything that is wrong with input for which there is no
// verdict.
type InputError = results.InputError

// Limits far beyond any real benchmark run. See also those of package results.
const (
	maxBenchmarks = 50_000
	maxSamples    = 1000 // a side
)

// A Sample is the results of one process or one boot of a guest.
type Sample struct {
	Name  string // the file; where a file holds several samples, which of them
	Round *Round // of interleaved runs in which it was measured, or nil

	pkgs  map[string]bool
	seed  string
	clock string
	most  int // lines of the benchmark with most lines
}

// A Round is one turn in which old and new are measured side by side.
type Round struct {
	Dir    string // the directory in which files number the rounds, "" if the results themselves do
	Number int
}

// A side is one of the two sets compared: all its samples and their results for
// each benchmark.
type side struct {
	label    string // old or new
	arg      string
	files    []file
	samples  []*Sample
	failures []*failure
	benches  map[string]*bench
	config   map[string]*configKey
	values   int

	disturbed results.Disturbances
}

type file struct {
	path string
	info fs.FileInfo
	sum  [sha256.Size]byte
}

// A bench is one benchmark of one side.
type bench struct {
	pkg, name string
	suffix    string           // of -cpu, where it is no part of the name
	rep       *benchfmt.Result // its first line's name and configuration
	series    []*series
	lines     []int // lines by sample
}

// A series is the values of one side's samples for a benchmark in one unit.
type series struct {
	unit  benchfmt.Value // Unit tidied, OrigUnit as written; no value
	lines [][]float64    // by sample: its lines, in the order they were written
}

// A configKey holds the values of a configuration key on a side, each with the
// first place that has it.
type configKey struct {
	values []string
	where  []string
}

// maxConfigValues is how many values of a key are kept. One is usual; two are a
// difference.
const maxConfigValues = 10

func (c *configKey) add(value []byte, where func() string) {
	for _, v := range c.values {
		if v == string(value) {
			return
		}
	}
	if len(c.values) < maxConfigValues {
		c.values = append(c.values, string(value))
		c.where = append(c.where, where())
	}
}

// A loader reads the results of both sides.
type loader struct {
	results.Reader
	sampleKey string
	allow     map[string]bool
}

// load reads a side from a file, a directory or a list of either.
func (l *loader) load(label, arg string) *side {
	s := newSide(label, arg)
	for _, path := range l.expand(s, arg) {
		l.loadFile(s, path)
	}
	return s
}

func newSide(label, arg string) *side {
	return &side{label: label, arg: arg, benches: make(map[string]*bench), config: make(map[string]*configKey)}
}

// expand returns the files that arg stands for.
func (l *loader) expand(s *side, arg string) []string {
	names := []string{arg}
	if _, err := os.Stat(arg); err != nil {
		names = strings.Split(arg, ",")
	}
	var paths []string
	for _, name := range names {
		if name == "" {
			l.Add("%s: an empty file name in %q", s.label, arg)
			continue
		}
		if _, err := os.Stat(name); err != nil {
			if matches, _ := filepath.Glob(name); len(matches) > 0 {
				paths = append(paths, matches...)
				continue
			}
		}
		found, err := results.Find(name)
		if err != nil {
			l.Add("%s: %v", s.label, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

func (l *loader) loadFile(s *side, path string) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // or a pipe without a writer would be waited for
	if err != nil {
		l.Add("%s: %v", s.label, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		l.Add("%s: %v", s.label, err)
		return
	}
	sum := sha256.New()
	l.read(s, io.TeeReader(f, sum), path)
	s.files = append(s.files, file{path, info, [sha256.Size]byte(sum.Sum(nil))})
}

// read adds the results in r to the side.
func (l *loader) read(s *side, r io.Reader, path string) {
	l.Reset(r, path)
	fr := fileReading{loader: l, side: s, path: path, samples: make(map[string]int), occurrence: make(map[string]int)}
	cpus := ""
	for l.Scan() {
		cpus = l.Result().GetConfig("cpus")
		if err := fr.result(l.Result(), l.Failure()); err != nil {
			l.Stop(err)
		}
	}
	s.disturbed.Add(l.Comments(), cpus)
	s.failures = slices.DeleteFunc(s.failures, func(f *failure) bool {
		return f.Path == path && !slices.Contains(l.Failures(), f.Failure)
	})
}

// A fileReading is the state while one file is read.
type fileReading struct {
	*loader
	side *side
	path string

	samples    map[string]int // index in side.samples by process and sample key
	occurrence map[string]int // by package: how many processes of it began
	processes  int            // as of the last result
	trailers   int            // likewise
	key        []byte
	sample     int // of the last result
	started    bool
	clock      bool // a result says which clock it is by
}

// A failure is a benchmark's failure in a sample.
type failure struct {
	*results.Failure
	pkg    string
	sample *Sample
	res    *benchfmt.Result // its configuration
}

// result adds one benchmark line or failure. An error stops reading the file.
func (f *fileReading) result(res *benchfmt.Result, failed *results.Failure) error {
	s := f.side
	if f.Reconfigured() || !f.started {
		if err := f.configure(res); err != nil {
			return err
		}
		f.started = true
	}
	f.trailers = f.Trailers()
	sample := s.samples[f.sample]
	if failed != nil {
		pkg := res.GetConfig("pkg")
		sample.pkgs[pkg] = true
		s.failures = append(s.failures, &failure{failed, pkg, sample, res.Clone()})
		return nil
	}
	b, err := f.bench(res)
	if err != nil {
		return err
	}
	sample.pkgs[b.pkg] = true
	b.lines = grow(b.lines, f.sample)
	b.lines[f.sample]++
	sample.most = max(sample.most, b.lines[f.sample])
	for _, v := range res.Values {
		sr := b.unit(v)
		if sr == nil {
			return fmt.Errorf("more than %d units of one benchmark", results.MaxUnits)
		}
		sr.lines = grow(sr.lines, f.sample)
		sr.lines[f.sample] = append(sr.lines[f.sample], v.Value)
		if s.values++; s.values > results.MaxValues {
			return fmt.Errorf("more than %d measurements in %s: these are not results of benchmark runs", results.MaxValues, s.label)
		}
	}
	return nil
}

func grow[T any](s []T, i int) []T {
	if i < len(s) {
		return s
	}
	return append(s, make([]T, i+1-len(s))...)
}

// bench returns the benchmark that a result belongs to.
func (f *fileReading) bench(res *benchfmt.Result) (*bench, error) {
	name := []byte(res.Name)
	suffix := ""
	if f.allow["gomaxprocs"] {
		if _, parts := res.Name.Parts(); len(parts) > 0 {
			if last := parts[len(parts)-1]; last[0] == '-' {
				suffix = string(last)
				name = name[:len(name)-len(last)]
			}
		}
	}
	pkg := res.GetConfig("pkg")
	f.key = append(append(append(f.key[:0], pkg...), 0), name...)
	b := f.side.benches[string(f.key)]
	if b == nil {
		if len(name) == 0 {
			return nil, errors.New("a benchmark without a name")
		}
		if len(f.side.benches) == maxBenchmarks {
			return nil, fmt.Errorf("more than %d benchmarks in %s", maxBenchmarks, f.side.label)
		}
		b = &bench{pkg: pkg, name: string(name), suffix: suffix, rep: res.Clone()}
		f.side.benches[string(f.key)] = b
	}
	if b.suffix != suffix {
		return nil, fmt.Errorf("several values of -cpu (%s, %s) for Benchmark%s, which -allow gomaxprocs would mix", cmp.Or(b.suffix, "-1"), cmp.Or(suffix, "-1"), name)
	}
	return b, nil
}

// unit returns the series for the value's unit, or nil if there are too many.
func (b *bench) unit(v benchfmt.Value) *series {
	for _, s := range b.series {
		if s.unit.Unit == v.Unit {
			return s
		}
	}
	if len(b.series) == results.MaxUnits {
		return nil
	}
	s := &series{unit: benchfmt.Value{Unit: v.Unit, OrigUnit: v.OrigUnit}}
	b.series = append(b.series, s)
	return s
}

// configure checks the configuration of a result when it may have changed:
// which sample the result belongs to, and where it was measured.
func (f *fileReading) configure(res *benchfmt.Result) error {
	s := f.side
	pkg := res.GetConfig("pkg")
	if f.occurrence[pkg] == 0 || f.Processes() > f.processes {
		f.occurrence[pkg]++
	}
	f.processes = f.Processes()

	id := ""
	if v := res.GetConfig(f.sampleKey); v != "" {
		id = fmt.Sprintf(", %s %s", f.sampleKey, v)
	} else if n := f.occurrence[pkg]; n > 1 {
		id = fmt.Sprintf(", process %d", n)
	}
	i, ok := f.samples[id]
	if !ok {
		if len(s.samples) == maxSamples {
			return fmt.Errorf("more than %d samples in %s", maxSamples, s.label)
		}
		if f.clock && f.Trailers() == f.trailers {
			// eventbench's own results, see read.
			return fmt.Errorf("truncated: no PASS between the results of %s and of %s%s", s.samples[f.sample].Name, f.path, id)
		}
		i = len(s.samples)
		s.samples = append(s.samples, &Sample{
			Name: f.path + id, Round: roundOf(res.GetConfig("round"), f.path), pkgs: make(map[string]bool),
			seed: res.GetConfig("seed"), clock: res.GetConfig("clock"),
		})
		f.samples[id] = i
	}
	f.sample = i

	f.clock = f.clock || res.GetConfig("clock") != ""
	where := func() string { return fmt.Sprintf("%s:%d", f.path, f.Line()) }
	for _, key := range comparableKeys {
		value := res.GetConfig(key)
		if key == results.Clock {
			value = cmp.Or(value, "wall") // what Go's own benchmarks go by
		}
		s.configKey(key).add([]byte(value), where)
	}
	for _, c := range res.Config {
		if !c.File || slices.Contains(comparableKeys, c.Key) {
			continue
		}
		s.configKey(c.Key).add(c.Value, where)
	}
	return nil
}

func (s *side) configKey(key string) *configKey {
	c := s.config[key]
	if c == nil {
		c = new(configKey)
		s.config[key] = c
	}
	return c
}

// roundName finds the round in names such as old-r03.txt and round7/new.txt.
var roundName = regexp.MustCompile(`(?:^|[^[:alnum:]])r(?:ound)?[-_]?([0-9]{1,6})(?:[^[:alnum:]]|$)`)

// roundOf returns the round from a line "round: 3", or else from the name of
// the file or its directory. Two directories that each have a round-03.txt do
// not share a round: two separate runs look like that.
func roundOf(config, path string) *Round {
	if n, err := strconv.Atoi(config); err == nil && n >= 0 {
		return &Round{Number: n}
	}
	dir, base := filepath.Dir(path), filepath.Base(path)
	for _, name := range []string{base, filepath.Base(dir)} {
		if m := roundName.FindStringSubmatch(name); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil
			}
			return &Round{Dir: dir, Number: n}
		}
	}
	return nil
}

// check finds what makes the two sides incomparable. Missing benchmarks are
// judged later.
func (l *loader) check(old, new *side) {
	for _, s := range []*side{old, new} {
		if len(s.samples) == 0 && l.Len() == 0 {
			l.Add("%s: no benchmark in %s matches the filter", s.label, s.arg)
		}
		l.checkFiles(s)
		for _, key := range results.KeysOf(results.MayDiffer) {
			if c := s.config[key]; c != nil && len(c.values) > 1 {
				l.Add("%s mixes results of different %s: %q in %s, %q in %s", s.label, key, c.values[0], c.where[0], c.values[1], c.where[1])
			}
		}
		seeds := make(map[string]string)
		for _, sample := range s.samples {
			if sample.clock != "instrs" || sample.seed == "" {
				continue
			}
			if first, ok := seeds[sample.seed]; ok {
				l.Add("%s: %s and %s have the same seed, %s: with counted instructions the second boot only repeats the first; boot with another seed", s.label, first, sample.Name, sample.seed)
			}
			seeds[sample.seed] = sample.Name
		}
	}
	for _, key := range comparableKeys {
		if l.allow[key] {
			continue
		}
		var values, where []string
		for _, s := range []*side{old, new} {
			if c := s.config[key]; c != nil {
				values = append(values, c.values...)
				where = append(where, c.where...)
			}
		}
		for i := range values {
			if values[i] == values[0] {
				continue
			}
			hint := fmt.Sprintf("; if that is intended: -allow %s", key)
			if key == results.Clock {
				hint = ": seconds and instructions cannot be compared"
			}
			l.Add("results differ in %s: %s in %s, %s in %s%s", key, orNone(values[0]), where[0], orNone(values[i]), where[i], hint)
			break
		}
	}
	for _, o := range old.files {
		for _, n := range new.files {
			switch {
			case os.SameFile(o.info, n.info):
				l.Add("%s and %s, old and new, are the same file", o.path, n.path)
			case o.sum == n.sum && !slices.Contains(new.configKey("clock").values, "instrs"):
				l.Add("%s and %s, old and new, hold the same bytes: wall-clock results never repeat to the digit", o.path, n.path)
			}
		}
	}
}

// checkFiles finds files given twice.
func (l *loader) checkFiles(s *side) {
	for i, a := range s.files {
		for _, b := range s.files[:i] {
			if os.SameFile(a.info, b.info) {
				l.Add("%s: %s and %s are the same file", s.label, b.path, a.path)
			} else if a.sum == b.sum {
				l.Add("%s: %s and %s hold the same bytes: a copy is not another sample", s.label, b.path, a.path)
			}
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return strconv.Quote(s)
}

// clean makes text from a file safe to print.
var clean = printable.Text
