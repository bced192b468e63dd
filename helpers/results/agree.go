package results

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// Values returns the values of a key in f, sorted. There is one if f is one
// sample. Files of plain go test have GOMAXPROCS only in the names of
// benchmarks, and use wall time.
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

// Procs returns the GOMAXPROCS that testing appended to a benchmark's name, or
// "" if it is 1.
func Procs(name benchfmt.Name) string {
	if _, parts := name.Parts(); len(parts) > 0 {
		if n, ok := bytes.CutPrefix(parts[len(parts)-1], []byte("-")); ok {
			return string(n)
		}
	}
	return "1"
}

// Shown formats the values of a key: the first of them, and how many there are.
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

// Incomparable is the error for files that differ in keys that must agree.
type Incomparable struct {
	Keys    []string // in the table's order
	reasons []string
}

func (e *Incomparable) Error() string {
	return "not comparable: " + strings.Join(e.reasons, "\n\t")
}

// Agree returns an *Incomparable if the files differ in keys that must agree
// and are not allowed to differ (see [Allow]).
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
