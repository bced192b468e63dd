//go:build linux

// Package merge puts the results of shards together, as if one machine had made
// all of them.
package merge

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
	"eventbench/helpers/shard"
)

// New defines the flags of the verb merge.
func New(fs *flag.FlagSet) cli.Action {
	out := fs.String("o", "results", "put the results into `dir`, which may have others")
	holes := fs.Bool("allow-holes", false, "merge what there is, although some has not been made")
	return func(ctx context.Context, c *cli.Call) error {
		switch {
		case len(c.Operands) == 0:
			return cli.Usage("want the directories of shards, such as results/shard-*, or the one above")
		case *out == "":
			return cli.Usage("-o: the directory's name is empty")
		}
		// A shard's directory has what its own command made, and nothing else.
		if plans, err := shard.Find(*out); err == nil && slices.ContainsFunc(plans, func(p *shard.Plan) bool { return filepath.Clean(p.Dir) == filepath.Clean(*out) }) {
			return cli.Usage("-o: %s is the directory of a shard: name the one above, or another", *out)
		}
		m := &merge{out: *out, holes: *holes, owners: make(map[string]string), say: c.Say}
		for _, dir := range c.Operands {
			plans, err := shard.Find(dir)
			if err != nil {
				return err
			}
			m.add(plans)
		}
		if err := m.check(); err != nil {
			return err
		}
		if err := files.MakeDir(*out); err != nil {
			return err
		}
		return m.write(ctx)
	}
}

// A merge collects what is to be written before it writes anything.
type merge struct {
	out    string
	holes  bool
	groups [][]*shard.Plan   // of a command each
	copies []*copied         // in the order of groups and units
	owners map[string]string // of a set's directory in out: its machine
	say    func(string, ...any)
}

// A copied file is one of the merged results.
type copied struct {
	from, to string
	unit     string
	data     []byte
	file     *results.File // if the data are benchmark results
}

// add adds plans to those of their command, each once.
func (m *merge) add(plans []*shard.Plan) {
	for _, p := range plans {
		i := slices.IndexFunc(m.groups, func(g []*shard.Plan) bool { return g[0].Verb == p.Verb && g[0].Settings == p.Settings })
		if i < 0 {
			i = len(m.groups)
			m.groups = append(m.groups, nil)
		}
		same := func(o *shard.Plan) bool { return filepath.Clean(o.Dir) == filepath.Clean(p.Dir) }
		if !slices.ContainsFunc(m.groups[i], same) {
			m.groups[i] = append(m.groups[i], p)
		}
	}
}

// check finds everything that speaks against merging.
func (m *merge) check() error {
	var problems results.Problems
	for _, plans := range m.groups {
		before := problems.Len()
		m.checkPlans(plans, &problems)
		if problems.Len() > before {
			continue // its files would only say the same again
		}
		copies := m.read(plans, &problems)
		checkSamples(copies, &problems)
		m.copies = append(m.copies, copies...)
	}
	for _, c := range m.copies {
		if data, err := os.ReadFile(c.to); err == nil && !bytes.Equal(data, c.data) {
			problems.Add("%s, %s: %s has other results of it: name another directory with -o", c.from, c.unit, c.to)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems.Add("%v", err)
		}
	}
	return problems.Err()
}

// checkPlans finds shards of other builds and of other commands, and what
// nobody has planned.
func (m *merge) checkPlans(plans []*shard.Plan, problems *results.Problems) {
	before := problems.Len()
	type seen struct{ sum, dir string }
	inputs := make(map[string]seen)
	first := plans[0]
	for _, p := range plans {
		for _, name := range slices.Sorted(maps.Keys(p.Inputs)) {
			sum := p.Inputs[name]
			if before, ok := inputs[name]; !ok { // the first that uses it
				inputs[name] = seen{sum, p.Dir}
			} else if before.sum != sum {
				problems.Add("%s: another %s than in %s, %s and not %s: give all machines the same one, and run the shard again",
					p.Dir, name, before.dir, short(sum), short(before.sum))
			}
		}
		if !slices.Equal(p.Units, first.Units) {
			problems.Add("%s, shard %s of %s: it is part of %s, and %s of %s: run the shards with the same operands and flags%s",
				p.Dir, p.Shard, p.Verb, samples.Counted(len(p.Units), "unit"), first.Dir, samples.Counted(len(first.Units), "unit"), onlyOne(p.Units, first.Units))
		}
	}
	if problems.Len() > before {
		return
	}
	shards, units := shard.Lacks(plans)
	if len(units) == 0 {
		return
	}
	what := fmt.Sprintf("%s: %s missing: nobody made %s", m.command(plans), isOrAre(shards, "shard"), list(units))
	if m.holes {
		m.say("%s", what)
	} else {
		problems.Add("%s: run it on a machine, or merge without it (-allow-holes)", what)
	}
}

// command names the command that made plans: its verb, and its settings if the
// verb was run with others too.
func (m *merge) command(plans []*shard.Plan) string {
	p := plans[0]
	for _, g := range m.groups {
		if g[0].Verb == p.Verb && g[0].Settings != p.Settings {
			return p.Verb + ", " + p.Settings
		}
	}
	return p.Verb
}

// short shortens a checksum for a message.
func short(sum string) string { return sum[:min(len(sum), 12)] }

// onlyOne says which unit one of two lists has and the other has not.
func onlyOne(a, b []string) string {
	for _, lists := range [][2][]string{{a, b}, {b, a}} {
		for _, unit := range lists[0] {
			if !slices.Contains(lists[1], unit) {
				return fmt.Sprintf(" (only one has %s)", unit)
			}
		}
	}
	return ""
}

func isOrAre(names []string, what string) string {
	if len(names) == 1 {
		return what + " " + names[0] + " is"
	}
	return what + "s " + list(names) + " are"
}

// list joins the first of many names.
func list(names []string) string { return results.List(names, 5) }

// read reads the files of a command's units. Units that several shards made
// must be equal.
func (m *merge) read(plans []*shard.Plan, problems *results.Problems) []*copied {
	var all []*copied
	units := slices.Clone(plans[0].Units)
	for _, p := range plans {
		for _, unit := range slices.Sorted(maps.Keys(p.Files)) {
			if !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	for _, unit := range units {
		made := make(map[string]*copied)
		missing := make(map[string]string) // by file: why
		for _, p := range plans {
			for _, name := range p.Files[unit] {
				c := &copied{from: filepath.Join(p.Dir, name), unit: unit}
				var err error
				if c.data, err = bounded.ReadFile(c.from, bounded.Text); err != nil {
					missing[name] = fmt.Sprintf("shard %s of %s has no %s: %v", p.Shard, p.Verb, unit, err)
					continue
				}
				if c.to, err = m.place(p, name, c); err != nil {
					problems.Add("%v", err)
					continue
				}
				if before := made[c.to]; before == nil {
					made[c.to] = c
					all = append(all, c)
				} else if !bytes.Equal(before.data, c.data) {
					problems.Add("%s was made twice, and %s and %s differ: keep the one of a machine like the others, and remove the other", unit, before.from, c.from)
				}
				missing[name] = ""
			}
		}
		for _, name := range slices.Sorted(maps.Keys(missing)) {
			switch why := missing[name]; {
			case why == "":
			case m.holes:
				m.say("%s", why)
			default:
				problems.Add("%s\n\tthe same command makes it; -allow-holes merges without", why)
			}
		}
	}
	return all
}

// place returns where a file goes. Samples of two machines are never one set,
// even if the machines have one name: the second machine's set is DIR.2, as
// that of a machine whose configuration has changed.
func (m *merge) place(p *shard.Plan, name string, c *copied) (string, error) {
	if !p.Samples {
		return filepath.Join(m.out, name), nil
	}
	var err error
	if c.file, err = results.Parse(bytes.NewReader(c.data), c.from); err != nil {
		return "", fmt.Errorf("%w\n\tremove the file, and the shard's command makes it again", err)
	}
	machine := machineOf(c.file)
	dir := filepath.Join(m.out, filepath.Dir(name))
	for n := 1; ; n++ {
		try := dir
		if n > 1 {
			try = fmt.Sprintf("%s.%d", dir, n)
		}
		owner, ok := m.owners[try]
		if !ok {
			if owner, ok = ownerOf(try); !ok {
				owner = machine
			}
			m.owners[try] = owner
		}
		if owner == machine {
			return filepath.Join(try, filepath.Base(name)), nil
		}
	}
}

// ownerOf returns the machine whose samples are in a directory. ok is false if
// there are none.
func ownerOf(dir string) (machine string, ok bool) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+results.Ext))
	if err != nil || len(paths) == 0 {
		return "", false
	}
	f, err := results.Read(paths[0])
	if err != nil {
		return "", false
	}
	return machineOf(f), true
}

// machineOf returns the machine that a host's samples are of, and nothing for
// guests that count instructions, whose figures are no machine's.
func machineOf(f *results.File) string { return strings.Join(f.Values(results.Machine), ", ") }

// checkSamples checks that samples agree in the keys that must: those of guests
// wherever they ran, those of machines in each set.
func checkSamples(copies []*copied, problems *results.Problems) {
	const guests = "" // all of them
	sets := make(map[string][]*results.File)
	for _, c := range copies {
		if c.file == nil {
			continue
		}
		set := filepath.Dir(c.to)
		sets[set] = append(sets[set], c.file)
		if machineOf(c.file) == "" {
			sets[guests] = append(sets[guests], c.file)
		}
	}
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		var allowed []string
		if set == guests {
			allowed = []string{"cpu-model"} // which a kernel's settings may name
		}
		if err := results.Agree(sets[set], allowed); err != nil {
			problems.Add("%v\n\tmake the samples of one kind again, on a machine like the others", err)
		}
	}
}

// write writes the merged files.
func (m *merge) write(ctx context.Context) error {
	counts := make(map[string]int)
	for _, c := range m.copies {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := os.MkdirAll(filepath.Dir(c.to), 0o777); err != nil {
			return err
		}
		if err := m.companions(c); err != nil {
			return err
		}
		if err := files.Write(c.to, c.data); err != nil {
			return err
		}
		counts[filepath.Dir(c.to)]++
	}
	for _, dir := range slices.Sorted(maps.Keys(counts)) {
		m.say("%s in %s", samples.Counted(counts[dir], "file"), dir)
	}
	for _, plans := range m.groups {
		m.say("%s: %s together; the same command without -shard, and -results %s, continues from there", m.command(plans), samples.Counted(len(plans), "shard"), m.out)
	}
	return nil
}

// companions copies what lies beside a file and has its name with another
// extension, such as the log of a boot or the latencies of a round.
func (m *merge) companions(c *copied) error {
	base := strings.TrimSuffix(filepath.Base(c.from), filepath.Ext(c.from))
	entries, err := os.ReadDir(filepath.Dir(c.from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(filepath.Dir(c.from), e.Name()), filepath.Join(filepath.Dir(c.to), e.Name())
		switch {
		case !strings.HasPrefix(e.Name(), base+".") || from == c.from:
		case e.IsDir():
			if err := os.RemoveAll(to); err != nil {
				return err
			}
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				return err
			}
		case e.Type().IsRegular():
			data, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := files.Write(to, data); err != nil {
				return err
			}
		}
	}
	return nil
}
