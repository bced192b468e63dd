//go:build linux

package selftest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/gate"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/results"
)

// A group is a set of arms that were measured in the same place and can be
// compared.
type group struct {
	name  string // of its directory
	title string
	host  bool // samples are processes, in rounds of one for each arm; otherwise boots
	set   set
	arms  []arm
	// equal names the arms in which nothing that is measured differs from
	// the first.
	equal   []string
	changed []changed
}

// A set says what a sample measures.
type set struct {
	bench, benchtime string
	count            int
}

// gateSet is what the gate measures in a boot by default.
var gateSet = set{mechanisms.Gate, boots.GateBenchtime, boots.GateCount}

// An arm is a measured system, with what it takes to measure it again.
type arm struct {
	name    string
	kernel  string   // for the guest verb
	build   []string // arguments for the kbuild verb, which makes the kernel instead
	guest   string   // flags for the guest verb
	command string   // comes before the test binary, on the host
}

// changed is an arm that is worse than another.
type changed struct {
	old, new string
	what     string
	affects  *regexp.Regexp // the benchmarks that become slower
}

var (
	everything = regexp.MustCompile(``)
	eventfds   = regexp.MustCompile(`^Eventfd|^Epoll(Self|RoundTrip)`) // operations that write to an eventfd
)

// inWrite returns an edit that adds a statement to every write to an eventfd.
func inWrite(statement string) []string {
	const line = "\tif (ucnt == ULLONG_MAX)"
	return []string{"-edit", "fs/eventfd.c:" + line + "=>\t" + statement + "\n" + line}
}

func nops(n int) []string { return inWrite(`asm volatile("` + strings.Repeat("nop;", n) + `");`) }

// groups is all groups. Comparisons whose arms are missing or have too few
// samples are left out.
var groups = []*group{
	{
		name: "debian", title: "Guests, Debian's 6.12 kernel, two CPUs, what gate-kernels measures", set: gateSet,
		arms: []arm{
			{name: "plain", kernel: "6.12"},
			{name: "nomitigations", kernel: "6.12", guest: "-append mitigations=off"},
		},
		changed: []changed{{"nomitigations", "plain", "mitigations, against mitigations=off", everything}},
	},
	{
		name: "usual", title: "Guests, Debian's 6.12 kernel, two CPUs, the benchmarks of kernels", set: set{mechanisms.Usual, boots.UsualBenchtime, boots.GateCount},
		arms: []arm{{name: "plain", kernel: "6.12"}},
	},
	{
		name: "small", title: "Guests, a small 6.12 kernel, one CPU, what gate-kernels measures", set: gateSet,
		arms: []arm{
			{name: "plain", build: []string{}},
			{name: "rebuilt", build: []string{"-stamp", "Thu Feb  2 00:00:00 UTC 2023", "-edit",
				"fs/readdir.c:int iterate_dir(=>asm(\".pushsection .text; .skip 1000, 0x90; .popsection\");\nint iterate_dir("}},
			{name: "add1", build: nops(1)},
			{name: "add4", build: nops(4)},
			{name: "add16", build: nops(16)},
			{name: "rare", build: inWrite(`{ static unsigned int calls; if (!(++calls & 63)) { unsigned int i; for (i = 0; i < 250; i++) asm volatile(""); } }`)},
		},
		equal: []string{"rebuilt"},
		changed: []changed{
			{"plain", "add1", "1 instruction more in a write to an eventfd", eventfds},
			{"plain", "add4", "4 instructions more in a write to an eventfd", eventfds},
			{"plain", "add16", "16 instructions more in a write to an eventfd", eventfds},
			{"plain", "rare", "about 500 instructions in every 64th write to an eventfd", eventfds},
		},
	},
	{
		name: "host", title: "Host, processes in rounds, wall time", host: true, set: set{mechanisms.Gate, boots.HostBenchtime, 1},
		arms: []arm{
			{name: "plain"},
			{name: "again"},
			{name: "filter", command: "go tool eventbench seccomp -length 200"},
		},
		equal:   []string{"again"},
		changed: []changed{{"plain", "filter", "a seccomp filter of 200 comparisons", everything}},
	},
}

// A pool is a group's arms, once read.
type pool struct {
	archive *gate.Archive
	arms    map[string]*gate.Arm
}

// open reads a group's arms from dir.
func (g *group) open(dir fs.FS, o gate.Options) (*pool, error) {
	archive, err := gate.NewArchive(o)
	if err != nil {
		return nil, err
	}
	p := &pool{archive: archive, arms: make(map[string]*gate.Arm)}
	for _, arm := range g.arms {
		file := g.file(arm.name)
		f, err := dir.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		p.arms[arm.name], err = archive.Read(file, f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// file returns the path of the arm's samples in the data directory.
func (g *group) file(arm string) string { return path.Join(g.name, arm+results.Ext) }

// base returns the name of the arm that the others are compared with.
func (g *group) base() string { return g.arms[0].name }

// compact joins the result files of samples into one text for the arm.
// Configuration that samples share appears once. Units are kept if they can
// fail the gate or show how far other figures can be trusted.
func compact(w *strings.Builder, files []string) error {
	var before []string
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var config, lines []string
		sample := []string{fmt.Sprintf("sample: %d", i+1)}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\r\n")
			key, _, isConfig := strings.Cut(line, ": ")
			switch {
			case strings.HasPrefix(line, "Benchmark"):
				lines = append(lines, shorten(line))
			case strings.HasPrefix(line, "Unit ") && !dropped.MatchString(line):
				config = append(config, line)
			case isConfig && (key == "round" || key == "seed"):
				sample = append(sample, line)
			case isConfig && configKey.MatchString(key):
				config = append(config, line)
			}
		}
		// Repeat a key only where its value changes.
		for _, line := range config {
			if !slices.Contains(before, line) {
				fmt.Fprintln(w, line)
			}
		}
		before = config
		fmt.Fprintf(w, "%s\n%s\nPASS\n", strings.Join(sample, "\n"), strings.Join(lines, "\n"))
	}
	return nil
}

var (
	configKey = regexp.MustCompile(`^[a-z][^ \t]*$`)
	// dropped matches units that only inform.
	dropped = regexp.MustCompile(`-latency-|^Unit (delivered|sent)/op|MB/s`)
)

// shorten removes the dropped units from a benchmark's line.
func shorten(line string) string {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return line
	}
	short := fields[:2:2]
	for i := 2; i+1 < len(fields); i += 2 {
		if unit := fields[i+1]; !strings.Contains(unit, "-latency-") && unit != "delivered/op" && unit != "sent/op" && unit != "MB/s" {
			short = append(short, fields[i], unit)
		}
	}
	return strings.Join(short, " ")
}
