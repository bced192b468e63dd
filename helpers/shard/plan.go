package shard

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/files"
)

// A Plan says what a command makes on all machines together, and where one of
// its shards keeps its part. It is a file in the shard's directory, written
// before anything is measured.
type Plan struct {
	Verb     string
	Settings string // plans with other settings make other samples
	Shard    string // such as 2/4

	// Inputs has the SHA-256, or the version, of what must be the same on all
	// machines that use it, such as the test binary.
	Inputs map[string]string

	Units []string // of all shards, in order
	// Files has the files of each of this shard's units, relative to the
	// plan's directory, and of what it made besides, such as an unmutated
	// kernel's rows. They may not exist yet.
	Files map[string][]string

	// Samples is set if the files hold benchmark results.
	Samples bool

	Dir string `json:"-"` // where it was found
}

// New returns the plan of a verb's shard.
func (s Shard) New(verb, settings string) *Plan {
	return &Plan{Verb: verb, Settings: settings, Shard: s.String(), Inputs: map[string]string{}, Units: []string{}, Files: map[string][]string{}}
}

// Add adds a file of one of the shard's units. root is the shard's directory.
func (p *Plan) Add(root, unit, file string) error {
	rel, err := filepath.Rel(root, file)
	if err == nil {
		p.Files[unit] = append(p.Files[unit], rel)
	}
	return err
}

const ext = ".plan.json"

// Write writes the plan into the shard's directory, in place of the plan of the
// same command with more or fewer units.
func (p *Plan) Write(root string) error {
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(p.Settings))
	return files.Write(filepath.Join(root, fmt.Sprintf("%s-%x%s", p.Verb, sum[:5], ext)), append(data, '\n'))
}

// Find returns the plans in a directory and in the directories of shards right
// below it.
func Find(dir string) ([]*Plan, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: is a file: name the directory of a shard, or the one above", dir)
	}
	var paths []string
	for _, pattern := range []string{"*" + ext, filepath.Join("shard-*-of-*", "*"+ext)} {
		names, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return nil, err
		}
		paths = append(paths, names...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no shard's results in it: want what a command with -shard has left, such as results/shard-1-of-4", dir)
	}
	var plans []*Plan
	for _, path := range paths {
		path = filepath.Join(dir, path)
		p, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func read(path string) (*Plan, error) {
	data, err := bounded.ReadFile(path, bounded.Text)
	if err != nil {
		return nil, err
	}
	p := &Plan{Dir: filepath.Dir(path)}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("not the plan of a shard: %w: run the shard's command again", err)
	}
	var s Shard
	if err := s.set(p.Shard); err != nil || p.Verb == "" {
		return nil, fmt.Errorf("not the plan of a shard: verb %q, shard %q: run the shard's command again", p.Verb, p.Shard)
	}
	for unit, names := range p.Files {
		for _, name := range names {
			// What a merge writes stays below its own directory.
			if !filepath.IsLocal(name) || strings.ContainsAny(name, "\n\x00") {
				return nil, fmt.Errorf("%s: %q is no file below the shard's directory", unit, name)
			}
		}
	}
	return p, nil
}

// Lacks returns the shards that have none of the plans although units are
// theirs, such as "3/4", and the units that no plan has a file of.
func Lacks(plans []*Plan) (shards, units []string) {
	have := make(map[string]bool)
	for _, p := range plans {
		have[p.Shard] = true
	}
	for i, unit := range plans[0].Units {
		if slices.ContainsFunc(plans, func(p *Plan) bool { return p.Files[unit] != nil }) {
			continue
		}
		units = append(units, unit)
		for _, p := range plans {
			var s Shard
			if s.set(p.Shard) == nil { // as read checked
				if whose := (Shard{i%s.of + 1, s.of}).String(); !have[whose] && !slices.Contains(shards, whose) {
					shards = append(shards, whose)
				}
			}
		}
	}
	return shards, units
}
