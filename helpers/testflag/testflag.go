// Package testflag knows what a test binary will write, by its flags: see go
// help testflag.
package testflag

import (
	"path/filepath"
	"slices"
	"strings"
)

// Outputs are what a test binary writes for its caller. Names are as its flags
// have them, in order.
type Outputs struct {
	Files []string // relative to Dir
	Dirs  []string // directories that must be there, relative to the working directory
	Dir   string   // -outputdir, relative to the working directory; empty for that itself
}

// Flags whose value names a file that is written, or a directory that must be
// there.
var (
	files = []string{"blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "testlogfile", "trace"}
	dirs  = []string{"fuzzcachedir", "gocoverdir", "outputdir"}
)

// Find returns what a test binary with these arguments writes: by
// -test.name=value or -test.name value, the last of a name counting.
func Find(args []string) Outputs {
	flags := make(map[string]string)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "test.")
		if !ok || arg[0] != '-' {
			continue
		}
		name, value, ok := strings.Cut(name, "=")
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		flags[name] = value
	}
	values := func(names []string) []string {
		var values []string
		for _, name := range names {
			if flags[name] != "" {
				values = append(values, flags[name])
			}
		}
		slices.Sort(values)
		return values
	}
	return Outputs{Files: values(files), Dirs: values(dirs), Dir: flags["outputdir"]}
}

// In returns the name as it is for one whose working directory is dir.
func In(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}
