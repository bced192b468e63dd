//go:build linux

package page

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/gate"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/printable"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchunit"
)

// A Page is what the page shows: the document in it.
type Page struct {
	Settings []*Setting `json:"settings"`
}

// A Setting is a place and a way to measure. Results of two settings are not
// comparable, and the page never shows them in one chart.
type Setting struct {
	Name    string    `json:"name"`   // what sets it apart from the page's others; "" if it is the only one
	Config  []Line    `json:"config"` // in which all its results agree
	Kernels []*Kernel `json:"kernels"`
	Rows    []*Row    `json:"rows"`
	Pairs   []*Pair   `json:"pairs"` // each kernel with each later one
}

// A Line is a configuration key and its value.
type Line struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// A Kernel is a set of samples: in most cases the boots of one kernel.
type Kernel struct {
	Label    string    `json:"label"`
	Config   []Line    `json:"config"` // that other kernels of the setting need not share
	Samples  []*Sample `json:"samples"`
	Failures []string  `json:"failures,omitempty"`
	Notes    []string  `json:"notes,omitempty"`

	must  string // the values of the keys that must agree
	dir   string
	paths []string // the files, once each
	files []*results.File
}

// A Sample is a boot of a guest, or a process.
type Sample struct {
	Name    string `json:"name"`              // seed 3
	Command string `json:"command,omitempty"` // that makes it again, but for the benchmark
}

// A Row is a benchmark in a unit.
type Row struct {
	Name      string    `json:"name"` // without the prefix Benchmark
	Unit      string    `json:"unit"` // as the benchmark writes it
	Better    string    `json:"better,omitempty"`
	Gates     bool      `json:"gates,omitempty"` // the gate can fail for it
	Mechanism string    `json:"mechanism"`
	Operation string    `json:"operation"`
	Parts     []Line    `json:"parts,omitempty"` // of the name: peer=process
	Only      string    `json:"only"`            // the flag for this benchmark alone
	Figures   []*Figure `json:"figures"`         // by kernel; nil where there is none

	pkg   string
	sized bool
}

// A Figure is what a kernel's samples say of a row.
type Figure struct {
	Median float64 `json:"median"`
	// Lo and Hi are the exact 95 % interval of the median. Below six samples
	// there is none.
	Lo     *float64   `json:"lo,omitempty"`
	Hi     *float64   `json:"hi,omitempty"`
	N      int        `json:"n"`
	Values []*float64 `json:"values"` // by sample; nil where it has none
	// Ways are the values of a count and in how many samples each was the
	// count, if the unit says that samples should agree and they do not.
	Ways []Way `json:"ways,omitempty"`
}

// A Way is a value of a count.
type Way struct {
	Value float64 `json:"value"`
	N     int     `json:"n"`
}

// load reads the files and directories.
func load(args []string) (*Page, error) {
	var kernels []*Kernel
	index := make(map[string]*Kernel)
	seen := make(map[string]string)
	for _, arg := range args {
		paths, err := results.FindAll(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			// The gate reads it again.
			if of, err := os.Stat(path); err == nil && !of.Mode().IsRegular() && !of.IsDir() {
				return nil, fmt.Errorf("%s: is a device or a pipe, which cannot be read twice: name a file", path)
			}
			sum, err := results.Hash(path)
			if err != nil {
				return nil, err
			}
			if first, again := seen[sum]; again {
				return nil, fmt.Errorf("%s and %s are the same file or copies of it: give each once", first, path)
			}
			seen[sum] = path
			f, err := results.Read(path)
			if err != nil {
				return nil, err
			}
			for _, part := range split(f) {
				// Samples of one directory that agree are of one
				// kernel. A file with several samples is complete.
				where := filepath.Dir(path)
				must, differ := values(part, results.MustAgree), values(part, results.MayDiffer)
				key := where + "\n" + must + differ
				k := index[key]
				if k == nil {
					k = &Kernel{must: must, dir: where}
					index[key] = k
					kernels = append(kernels, k)
				}
				k.add(path, part)
			}
		}
	}
	p := new(Page)
	for _, k := range kernels {
		k.describe()
		i := slices.IndexFunc(p.Settings, func(s *Setting) bool { return s.Kernels[0].must == k.must })
		if i < 0 {
			i = len(p.Settings)
			p.Settings = append(p.Settings, new(Setting))
		}
		p.Settings[i].Kernels = append(p.Settings[i].Kernels, k)
	}
	for _, s := range p.Settings {
		if err := s.complete(); err != nil {
			return nil, err
		}
	}
	p.name()
	return p, nil
}

// A part is one sample of a file.
type part struct {
	*results.File
	command string
}

// split returns the samples of a file. A file of recorded boots has several,
// told apart by configuration lines such as "sample: 1".
func split(f *results.File) (all []part) {
	of := make(map[string]*results.File)
	for _, r := range f.Results {
		id := r.GetConfig("sample")
		if of[id] == nil {
			of[id] = &results.File{Path: f.Path, Units: f.Units}
			all = append(all, part{File: of[id]})
		}
		of[id].Results = append(of[id].Results, r)
	}
	all[0].Failures, all[0].Comments = f.Failures, f.Comments
	if commands := samples.Commands(f); len(commands) == len(all) {
		for i := range all {
			all[i].command = commands[i]
		}
	}
	return all
}

// values returns the values of the keys of a role, a line each.
func values(f part, role results.Role) string {
	var b strings.Builder
	for _, key := range results.KeysOf(role) {
		fmt.Fprintf(&b, "%s: %s\n", key, results.Shown(f.Values(key)))
	}
	return b.String()
}

func (k *Kernel) add(path string, f part) {
	if !slices.Contains(k.paths, path) {
		k.paths = append(k.paths, path)
	}
	k.files = append(k.files, f.File)
	name := filepath.Base(path)
	for _, key := range []string{"seed", "round", "sample"} {
		if v := f.Values(key); len(v) == 1 && v[0] != "" {
			name = key + " " + v[0]
			break
		}
	}
	k.Samples = append(k.Samples, &Sample{printable.Text(name), printable.Text(f.command)})
}

// describe sets what is said of the kernel as a whole.
func (k *Kernel) describe() {
	first := k.files[0]
	value := func(key string) string {
		if v := first.Values(key); len(v) == 1 {
			return printable.Text(v[0])
		}
		return ""
	}
	k.Label = cmp.Or(value("kernel"), value("kernel-release"), printable.Text(strings.TrimSuffix(filepath.Base(first.Path), results.Ext)))
	if settings := value("settings"); settings != "" {
		k.Label += " " + settings
	}
	for _, key := range results.KeysOf(results.MayDiffer) {
		if v := value(key); v != "" {
			k.Config = append(k.Config, Line{key, v})
		}
	}
	for _, path := range k.paths {
		k.Notes = append(k.Notes, printable.Text(filepath.ToSlash(path)))
	}
	if n := len(k.Notes); n > 3 {
		k.Notes = []string{fmt.Sprintf("%s (%d files)", printable.Text(k.dir), n)}
	}
	var disturbed results.Disturbances
	repeated := 0
	for _, f := range k.files {
		disturbed.Add(f.Comments, value("cpus"))
		repeated = max(repeated, f.Repeated())
		for _, failure := range f.Failures {
			if s := failure.String(); !slices.Contains(k.Failures, s) {
				k.Failures = append(k.Failures, s)
			}
		}
	}
	if how := disturbed.String(); how != "" {
		k.Notes = append(k.Notes, how+": its figures are too high or spread too widely")
	}
	if len(k.files) == 1 && repeated > 1 {
		k.Notes = append(k.Notes, fmt.Sprintf("one sample: its %d lines of a benchmark do not show how processes differ", repeated))
	}
}

// version matches the start of a kernel's release.
var version = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?(?:-rc(\d+))?`)

// compareVersions orders kernels by their version. Those without one are equal.
func compareVersions(a, b *Kernel) int {
	parse := func(k *Kernel) (n [4]int, ok bool) {
		text := k.Label
		for _, line := range k.Config {
			if line.Key == "kernel-release" {
				text = line.Value
			}
		}
		m := version.FindStringSubmatch(text)
		if m == nil {
			return n, false
		}
		n[3] = 1 << 30 // after any release candidate
		for i, digits := range m[1:] {
			if v, err := strconv.Atoi(digits); err == nil {
				n[i] = v
			}
		}
		return n, true
	}
	x, ok := parse(a)
	y, both := parse(b)
	if !ok || !both {
		return 0
	}
	return slices.Compare(x[:], y[:])
}

// complete puts the setting's kernels in order and makes its rows.
func (s *Setting) complete() error {
	slices.SortStableFunc(s.Kernels, compareVersions)
	// Kernels that would have the same label are told apart by where they are.
	count := make(map[string]int)
	for _, k := range s.Kernels {
		count[k.Label]++
	}
	for i, k := range s.Kernels {
		if count[k.Label] > 1 {
			k.Label += " " + printable.Text(filepath.Base(k.dir))
		}
		for n, label := 2, k.Label; slices.ContainsFunc(s.Kernels[:i], func(o *Kernel) bool { return o.Label == k.Label }); n++ {
			k.Label = fmt.Sprintf("%s (%d)", label, n)
		}
	}
	for _, key := range results.KeysOf(results.MustAgree) {
		if v := s.Kernels[0].files[0].Values(key); len(v) > 0 && v[0] != "" {
			s.Config = append(s.Config, Line{key, printable.Text(results.Shown(v))})
		}
	}
	index := make(map[string]*Row)
	units := make(benchfmt.UnitMetadataMap)
	for i, k := range s.Kernels {
		for _, f := range k.files {
			for key, u := range f.Units {
				if have := units[key]; have != nil && have.Value != u.Value {
					return fmt.Errorf("unit %s is %s=%s in one file and %s=%s in %s", u.OrigUnit, key.Key, have.Value, key.Key, u.Value, f.Path)
				}
				units[key] = u
			}
		}
		for _, m := range k.measured() {
			id := m.pkg + "\n" + m.name + "\n" + m.tidy
			r := index[id]
			if r == nil {
				r = newRow(m, units)
				r.Figures = make([]*Figure, len(s.Kernels))
				index[id] = r
				s.Rows = append(s.Rows, r)
			}
			r.Figures[i] = m.figure(len(k.files), units)
		}
	}
	slices.SortStableFunc(s.Rows, func(a, b *Row) int {
		return cmp.Or(
			cmp.Compare(mechanisms.Order(a.Mechanism), mechanisms.Order(b.Mechanism)), cmp.Compare(a.pkg, b.pkg),
			cmp.Compare(a.Name, b.Name), cmp.Compare(rank(a.Unit), rank(b.Unit)), cmp.Compare(a.Unit, b.Unit))
	})
	return nil
}

// rank orders the units of a benchmark: what an operation costs comes first.
func rank(unit string) int {
	costs := []string{"instrs/op", "mean-instrs/op", "floor-ns/op", "ns/op"}
	if i := slices.Index(costs, unit); i >= 0 {
		return i
	}
	return len(costs)
}

// measured is what a kernel's samples say of a benchmark in a unit.
type measured struct {
	pkg, name, unit, tidy string
	base                  string
	parts                 []Line
	lines                 map[int][]float64 // by sample
}

func (k *Kernel) measured() (all []*measured) {
	index := make(map[string]*measured)
	for i, f := range k.files {
		for _, r := range f.Results {
			name := string(r.Name.Full())
			for _, v := range r.Values {
				id := r.GetConfig("pkg") + "\n" + name + "\n" + v.Unit
				m := index[id]
				if m == nil {
					m = &measured{pkg: r.GetConfig("pkg"), name: name, unit: cmp.Or(v.OrigUnit, v.Unit), tidy: v.Unit, lines: make(map[int][]float64)}
					base, parts := r.Name.Parts()
					m.base = string(base)
					for _, p := range parts {
						if key, value, ok := strings.Cut(string(p), "="); ok {
							m.parts = append(m.parts, Line{printable.Text(strings.TrimPrefix(key, "/")), printable.Text(value)})
						}
					}
					index[id] = m
					all = append(all, m)
				}
				m.lines[i] = append(m.lines[i], v.Value)
			}
		}
	}
	return all
}

func newRow(m *measured, units benchfmt.UnitMetadataMap) *Row {
	r := &Row{
		Name: printable.Text(m.name), Unit: printable.Text(m.unit), Parts: m.parts, Only: samples.Only(results.Stem(m.name)),
		pkg: m.pkg, sized: mechanisms.IsSized(m.base),
	}
	r.Mechanism, r.Operation = mechanisms.Split(m.base)
	r.Mechanism, r.Operation = printable.Text(r.Mechanism), printable.Text(r.Operation)
	switch units.GetBetter(m.tidy) {
	case -1:
		r.Better = "lower"
	case +1:
		r.Better = "higher"
	}
	return r
}

// figure reduces the lines of each sample to one value, as the gate does, and
// summarizes the samples.
func (m *measured) figure(samples int, units benchfmt.UnitMetadataMap) *Figure {
	factor, _ := benchunit.Tidy(1, m.unit)
	f := &Figure{N: len(m.lines), Values: make([]*float64, samples)}
	var values []float64
	for i := range samples {
		if len(m.lines[i]) == 0 {
			continue
		}
		v := gate.Reduce(m.lines[i], results.Lowest(units, m.tidy)) / factor
		f.Values[i] = &v
		values = append(values, v)
	}
	if a := units.Get(m.tidy, "assume"); a != nil && a.Value == "exact" {
		f.Ways = ways(values)
	}
	sum := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), confidence)
	f.Median, f.Lo, f.Hi = sum.Center, finite(sum.Lo), finite(sum.Hi)
	return f
}

// confidence is the level of the intervals, the gate's.
const confidence = 0.95

// ways returns the values and how often each occurs, the most frequent first, or
// nil if there is only one.
func ways(values []float64) (all []Way) {
	for _, v := range values {
		if i := slices.IndexFunc(all, func(w Way) bool { return w.Value == v }); i >= 0 {
			all[i].N++
		} else {
			all = append(all, Way{v, 1})
		}
	}
	if len(all) == 1 {
		return nil
	}
	slices.SortFunc(all, func(a, b Way) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value)) })
	return all
}

// name names the settings by the keys in which they differ.
func (p *Page) name() {
	if len(p.Settings) < 2 {
		return
	}
	apart := p.Apart()
	for _, s := range p.Settings {
		var words []string
		for _, key := range apart {
			words = append(words, key+" "+cmp.Or(s.value(key), "none"))
		}
		s.Name = strings.Join(words, ", ")
	}
}

// Apart returns the keys in which the settings differ.
func (p *Page) Apart() (keys []string) {
	for _, key := range results.KeysOf(results.MustAgree) {
		if slices.ContainsFunc(p.Settings, func(s *Setting) bool { return s.value(key) != p.Settings[0].value(key) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *Setting) value(key string) string {
	for _, line := range s.Config {
		if line.Key == key {
			return line.Value
		}
	}
	return ""
}
