package gate

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
	"golang.org/x/perf/benchunit"
)

// comparableKeys are the configuration keys across which results must not be
// compared, or pooled, unless the user says so.
var comparableKeys = []string{
	"clock", "accelerator", "qemu", "cpu-model", "gomaxprocs", "sandbox",
	"goos", "goarch", "cpu", "cpus", "cpu-quota", "memory", "cross", "smt", "governor", "virt",
	// How it was measured: which harness, and with go tool kernels and arms the
	// number of operations in a loop and of lines in a boot.
	"harness", "benchtime", "count",
}

// sideKeys may differ between old and new, being what is compared, but within
// a side a second value means that files were mixed up.
var sideKeys = []string{"kernel", "kernel-release", "preemption", "mitigations", "goversion", "cmdline", "kernel-image"}

// An InputError reports input from which no verdict can be drawn: all that was
// found wrong with it.
type InputError struct {
	Problems []string
}

func (e *InputError) Error() string { return strings.Join(e.Problems, "\n") }

// problems collects what is wrong, up to a number that a reader will still
// read.
type problems struct {
	list    []string
	dropped int
}

func (p *problems) add(format string, args ...any) {
	const most = 20
	if len(p.list) == most {
		p.dropped++
		return
	}
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = clean(a)
		case error:
			args[i] = cleanLines(a.Error())
		}
	}
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	if p.dropped > 0 {
		p.list = append(p.list, fmt.Sprintf("and %d more like these", p.dropped))
		p.dropped = 0
	}
	return &InputError{Problems: p.list}
}

// A Sample is what one process, or one boot of a guest, measured.
type Sample struct {
	Name  string // the file; where a file holds several samples, which of them
	Round *Round // of interleaved runs in which it was measured, or nil

	pkgs  map[string]bool
	seed  string
	clock string
	most  int // lines of the benchmark with most lines
}

// A Round is one turn of old and new measured side by side.
type Round struct {
	Dir    string // the directory in which files number the rounds, "" if the results themselves do
	Number int
}

// A side is one of the two things compared: all its samples, and what they say
// of each benchmark.
type side struct {
	label   string // old or new
	arg     string
	files   []file
	samples []*Sample
	benches map[string]*bench
	config  map[string]*configKey
	values  int
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

// A series is what one side's samples say of a benchmark in one unit.
type series struct {
	unit  benchfmt.Value // Unit tidied, OrigUnit as written; no value
	lines [][]float64    // by sample: its lines, in the order they were written
}

// A configKey holds the values that a configuration key took on a side, each
// with the first place that said so.
type configKey struct {
	values []string
	where  []string
}

// maxConfigValues is how many values of a key are kept: one would be usual,
// two are a difference.
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
	problems
	buffer    *bufio.Reader
	reader    benchfmt.Reader // one for all files: it checks that they agree on the units
	filter    *benchproc.Filter
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
			l.add("%s: an empty file name in %q", s.label, arg)
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
			l.add("%s: %v", s.label, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

func (l *loader) loadFile(s *side, path string) {
	f, err := os.Open(path)
	if err != nil {
		l.add("%s: %v", s.label, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		l.add("%s: %v", s.label, err)
		return
	}
	sum := sha256.New()
	l.read(s, io.TeeReader(f, sum), path)
	s.files = append(s.files, file{path, info, [sha256.Size]byte(sum.Sum(nil))})
}

// read adds the results in r to the side.
func (l *loader) read(s *side, r io.Reader, path string) {
	before := len(l.list) + l.dropped
	if l.buffer == nil {
		l.buffer = bufio.NewReaderSize(nil, maxLine)
	}
	l.buffer.Reset(r)
	lines := &lineReader{r: l.buffer}
	l.reader.Reset(lines, path, ".file", path)
	fr := fileReading{loader: l, side: s, path: path, lines: lines, samples: make(map[string]int), occurrence: make(map[string]int)}
	for l.reader.Scan() {
		switch rec := l.reader.Result().(type) {
		case *benchfmt.SyntaxError:
			if lines.failLine == lines.line {
				continue // "BenchmarkX --- FAIL: BenchmarkX": the run says it better
			}
			l.add("%v", rec)
		case *benchfmt.UnitMetadata:
			l.checkUnit(rec)
		case *benchfmt.Result:
			if err := fr.result(rec); err != nil {
				l.add("%s:%d: %v", path, lines.line, err)
				return
			}
		}
	}
	if lines.err != nil && lines.err != io.EOF {
		l.add("%s:%d: %v", path, lines.line, pathless(lines.err))
		return
	}
	if err := l.reader.Err(); err != nil {
		l.add("%v", err)
		return
	}
	if lines.failLine > 0 {
		l.add("%s:%d: this run failed: %q", path, lines.failLine, lines.failure)
	}
	switch {
	case len(l.list)+l.dropped > before:
	case lines.results > 0 && !lines.passed && fr.clock:
		// eventbench's own results always end so.
		l.add("%s: truncated: no PASS after the last result", path)
	case lines.results > 0:
	case lines.line == 0:
		l.add("%s: the file is empty", path)
	case lines.json:
		l.add("%s: no benchmark results: this looks like the output of go test -json; run go test without -json", path)
	default:
		l.add("%s: no benchmark results in its %d lines", path, lines.line)
	}
}

// pathless drops the path from an error that names one: the caller does.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (l *loader) checkUnit(u *benchfmt.UnitMetadata) {
	file, line := u.Pos()
	switch {
	case u.Key == "better" && u.Value != "lower" && u.Value != "higher":
		l.add("%s:%d: Unit %s better=%s: want lower or higher", file, line, u.OrigUnit, u.Value)
	case u.Key == "assume" && u.Value != "exact" && u.Value != "nothing":
		l.add("%s:%d: Unit %s assume=%s: want exact or nothing", file, line, u.OrigUnit, u.Value)
	case u.Key == "lines" && u.Value != "lowest" && u.Value != "median":
		l.add("%s:%d: Unit %s lines=%s: want lowest or median", file, line, u.OrigUnit, u.Value)
	}
}

// A fileReading is the state of reading one file.
type fileReading struct {
	*loader
	side  *side
	path  string
	lines *lineReader

	samples    map[string]int // index in side.samples by process and sample key
	occurrence map[string]int // by package: how many processes of it began
	processes  int            // as of the last result
	passes     int            // likewise
	key        []byte
	sample     int // of the last result
	started    bool
	clock      bool // a result says which clock it is by
}

// result adds one benchmark line. An error ends the reading of the file.
func (f *fileReading) result(res *benchfmt.Result) error {
	s := f.side
	match, err := f.filter.Match(res)
	if err != nil || !match.Any() {
		return err
	}
	if !f.started || f.lines.config {
		if err := f.configure(res); err != nil {
			return err
		}
		f.started, f.lines.config = true, false
	}
	b, err := f.bench(res)
	if err != nil {
		return err
	}
	f.passes = f.lines.passes
	sample := s.samples[f.sample]
	sample.pkgs[b.pkg] = true
	b.lines = grow(b.lines, f.sample)
	b.lines[f.sample]++
	sample.most = max(sample.most, b.lines[f.sample])
	for i, v := range res.Values {
		if !match.Test(i) {
			continue
		}
		// The unit of a zero value is left as written.
		if _, unit := benchunit.Tidy(1, v.Unit); unit != v.Unit {
			v.OrigUnit, v.Unit = v.Unit, unit
		}
		if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			f.add("%s:%d: %s: the value of %s is %v: the benchmark divided by zero?", f.path, f.lines.line, res.Name, cmp.Or(v.OrigUnit, v.Unit), v.Value)
			continue
		}
		if why := impossible(v); why != "" {
			f.add("%s:%d: %s: %v %s: %s", f.path, f.lines.line, res.Name, v.Value, cmp.Or(v.OrigUnit, v.Unit), why)
			continue
		}
		sr := b.unit(v)
		if sr == nil {
			return fmt.Errorf("more than %d units of one benchmark", maxUnits)
		}
		sr.lines = grow(sr.lines, f.sample)
		if len(sr.lines[f.sample]) >= b.lines[f.sample] {
			f.add("%s:%d: %s: two values of %s on one line", f.path, f.lines.line, res.Name, cmp.Or(v.OrigUnit, v.Unit))
			continue
		}
		sr.lines[f.sample] = append(sr.lines[f.sample], v.Value)
		if s.values++; s.values > maxValues {
			return fmt.Errorf("more than %d measurements in %s: these are no results of benchmark runs", maxValues, s.label)
		}
	}
	return nil
}

// impossible says why a value cannot have been measured; it is empty if it can.
func impossible(v benchfmt.Value) string {
	switch {
	case slices.Contains([]string{"sec/op", "instrs/op", "mean-instrs/op"}, v.Unit) && v.Value <= 0:
		return "no operation costs nothing, or less: did the clock stand still?"
	case (strings.Contains(v.Unit, "-latency-") || v.Unit == "B/op" || v.Unit == "allocs/op") && v.Value < 0:
		return "nothing takes less than nothing: what subtracted that?"
	}
	return ""
}

func grow[T any](s []T, i int) []T {
	if i < len(s) {
		return s
	}
	return append(s, make([]T, i+1-len(s))...)
}

// bench returns the benchmark a result belongs to.
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
		if len(name) > maxName {
			return nil, fmt.Errorf("a benchmark's name of %d bytes: this is no benchmark result", len(name))
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

// unit returns the series of the value's unit, or nil if there are too many.
func (b *bench) unit(v benchfmt.Value) *series {
	for _, s := range b.series {
		if s.unit.Unit == v.Unit {
			return s
		}
	}
	if len(b.series) == maxUnits {
		return nil
	}
	s := &series{unit: benchfmt.Value{Unit: v.Unit, OrigUnit: v.OrigUnit}}
	b.series = append(b.series, s)
	return s
}

// configure looks at the configuration of a result when it may have changed:
// which sample the result belongs to, and what it was measured on.
func (f *fileReading) configure(res *benchfmt.Result) error {
	s := f.side
	if len(res.Config) > maxConfigKeys {
		return fmt.Errorf("more than %d configuration keys", maxConfigKeys)
	}
	pkg := res.GetConfig("pkg")
	if f.occurrence[pkg] == 0 || f.lines.processes > f.processes {
		f.occurrence[pkg]++
	}
	f.processes = f.lines.processes

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
		if f.clock && f.lines.passes == f.passes {
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
	where := func() string { return fmt.Sprintf("%s:%d", f.path, f.lines.line) }
	for _, key := range comparableKeys {
		value := res.GetConfig(key)
		if key == "clock" {
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

// roundOf returns the round that a line "round: 3" gives, or else the file's
// name, or that of its directory. Files of two directories, each with its
// round-03.txt, are of one round in name only: two runs one after the other
// look like that.
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
		if len(s.samples) == 0 && len(l.list) == 0 {
			l.add("%s: no benchmark in %s matches the filter", s.label, s.arg)
		}
		l.checkFiles(s)
		for _, key := range sideKeys {
			if c := s.config[key]; c != nil && len(c.values) > 1 {
				l.add("%s mixes results of different %s: %q in %s, %q in %s", s.label, key, c.values[0], c.where[0], c.values[1], c.where[1])
			}
		}
		seeds := make(map[string]string)
		for _, sample := range s.samples {
			if sample.clock != "instrs" || sample.seed == "" {
				continue
			}
			if first, ok := seeds[sample.seed]; ok {
				l.add("%s: %s and %s have one seed, %s: with counted instructions the second boot only repeats the first; boot with another seed", s.label, first, sample.Name, sample.seed)
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
			hint := fmt.Sprintf("; if that is meant: -allow %s", key)
			if key == "clock" {
				hint = ": seconds and instructions cannot be compared"
			}
			l.add("results differ in %s: %s in %s, %s in %s%s", key, orNone(values[0]), where[0], orNone(values[i]), where[i], hint)
			break
		}
	}
	for _, o := range old.files {
		for _, n := range new.files {
			switch {
			case os.SameFile(o.info, n.info):
				l.add("%s and %s, old and new, are one file", o.path, n.path)
			case o.sum == n.sum && !slices.Contains(new.configKey("clock").values, "instrs"):
				l.add("%s and %s, old and new, hold the same bytes: wall-clock results never repeat to the digit", o.path, n.path)
			}
		}
	}
}

// checkFiles finds files given twice.
func (l *loader) checkFiles(s *side) {
	for i, a := range s.files {
		for _, b := range s.files[:i] {
			if os.SameFile(a.info, b.info) {
				l.add("%s: %s and %s are one file", s.label, b.path, a.path)
			} else if a.sum == b.sum {
				l.add("%s: %s and %s hold the same bytes: a copy is no further sample", s.label, b.path, a.path)
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

// cleanLines is clean for messages of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		indented := strings.TrimLeft(line, "\t")
		lines[i] = line[:len(line)-len(indented)] + clean(indented)
	}
	return strings.Join(lines, "\n")
}

// clean makes text from a file safe to print.
var clean = printable.Text
