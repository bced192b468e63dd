package results

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// Values returns what f says of a key, sorted: one value, if f is one sample.
// GOMAXPROCS is also in the names of benchmarks, where a file of plain go test
// has it only, and that goes by wall time.
func (f *File) Values(key string) []string {
	v := f.Config()[key]
	switch {
	case v == nil && key == "gomaxprocs":
		seen := make(map[string]bool)
		for _, r := range f.Results {
			seen[Procs(r.Name)] = true
		}
		return slices.Sorted(maps.Keys(seen))
	case v == nil && key == Clock:
		return []string{"wall"}
	}
	return v
}

// Procs returns the GOMAXPROCS that testing put at the end of a benchmark's
// name; it leaves out a 1.
func Procs(name benchfmt.Name) string {
	if _, parts := name.Parts(); len(parts) > 0 {
		if n, ok := bytes.CutPrefix(parts[len(parts)-1], []byte("-")); ok {
			return string(n)
		}
	}
	return "1"
}

// Shown is how values of a key are shown: the first of them.
func Shown(values []string) string {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "(not said)"
	}
	const most = 3
	if n := len(values); n > most {
		return fmt.Sprintf("%s … (%d values)", strings.Join(values[:most], ", "), n)
	}
	return strings.Join(values, ", ")
}

// An Incomparable is the error for files that differ in keys in which they must
// agree.
type Incomparable struct {
	Keys    []string // in the order of the table
	reasons []string
}

func (e *Incomparable) Error() string {
	return "not comparable: " + strings.Join(e.reasons, "\n\t")
}

// Agree returns an *Incomparable if the files differ in keys in which they must
// agree, but for those that may differ by [Allow].
func Agree(files []*File, allowed []string) error {
	var e Incomparable
	allowed = Allow(allowed)
	for _, key := range KeysOf(MustAgree) {
		if slices.Contains(allowed, key) || slices.Contains(Allow(e.Keys), key) {
			continue
		}
		first := files[0].Values(key)
		for _, f := range files {
			if v := f.Values(key); !slices.Equal(v, first) {
				e.Keys = append(e.Keys, key)
				e.reasons = append(e.reasons, fmt.Sprintf("%s is %s in %s and %s in %s", key, Shown(first), files[0].Path, Shown(v), f.Path))
				break
			}
		}
	}
	if e.Keys != nil {
		return &e
	}
	return nil
}
