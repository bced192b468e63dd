//go:build linux

// Package samples makes samples of benchmarks and keeps them on disk.
//
// A sample is what one process measured on a host or in a sandbox, or one boot
// of a guest. It is a file in the benchmark format. Samples that belong
// together are numbered files of one directory, a [Set]. Existing samples are
// never measured again: the same command, repeated, makes the missing ones.
//
// A benchmark that fails, hangs, panics or kills its process loses only its own
// results. The [Sample] continues without it, in another process if necessary,
// and its file says what failed and why.
package samples

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/results"
)

// A Set is a directory of samples that belong together.
type Set struct {
	Dir  string
	Kind string // what the numbers count, and the prefix of the files' names: round, seed
}

// File returns the path of a sample.
func (s *Set) File(n int) string { return filepath.Join(s.Dir, s.name(n)) }

func (s *Set) name(n int) string { return fmt.Sprintf("%s-%02d%s", s.Kind, n, results.Ext) }

// Numbers returns the numbers of the existing samples, in order. There are none
// if the directory does not exist.
func (s *Set) Numbers() ([]int, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(s.Kind) + `-(\d{2,})` + regexp.QuoteMeta(results.Ext) + `$`)
	var numbers []int
	for _, e := range entries {
		if m := pattern.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil || s.name(n) != e.Name() {
				return nil, fmt.Errorf("%s: not the name of a %s: remove the file", filepath.Join(s.Dir, e.Name()), s.Kind)
			}
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Read reads the existing samples, in order.
func (s *Set) Read() ([]*results.File, error) {
	numbers, err := s.Numbers()
	if err != nil {
		return nil, err
	}
	var files []*results.File
	for _, n := range numbers {
		f, err := results.Read(s.File(n))
		if err != nil {
			return nil, fmt.Errorf("%w\n\tremove the file, and the same command measures its %s again", err, s.Kind)
		}
		files = append(files, f)
	}
	return files, nil
}

// A Turn is a sample to make.
type Turn struct {
	Set    int // index in the sets given to Missing
	Number int
}

// Missing returns the missing samples numbered first to last. They are in order
// of number, so that stopping early leaves equally many of each set. The number
// and seed determine the order of sets.
func Missing(sets []*Set, first, last int, seed uint64) ([]Turn, error) {
	there := make([][]int, len(sets))
	for i, s := range sets {
		var err error
		if there[i], err = s.Numbers(); err != nil {
			return nil, err
		}
	}
	var todo []Turn
	for n := first; n <= last; n++ {
		for _, i := range rand.New(rand.NewPCG(seed, uint64(n))).Perm(len(sets)) {
			if !slices.Contains(there[i], n) {
				todo = append(todo, Turn{i, n})
			}
		}
	}
	return todo, nil
}

// Names returns the benchmarks that have a result in the file, sorted, without
// the number of processors at the end.
func Names(f *results.File) []string {
	ending := f.Processors()
	names := make(map[string]bool)
	for _, name := range f.Names() {
		names[strings.TrimSuffix(name, ending)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// notTried begins the message of a benchmark that was left out.
const notTried = "not tried, for it failed in "

// Known returns the benchmarks that occur in the samples, with a result or a
// failure.
func Known(files []*results.File) []string {
	var known []string
	for _, f := range files {
		known = append(known, Names(f)...)
		for _, failure := range f.Failures {
			if !failure.Skipped || strings.HasPrefix(failure.Message, notTried) {
				known = append(known, failure.Name)
			}
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// Hopeless returns the benchmarks that another sample should not try, with the
// reason: they failed in the first two samples and have no result in any.
func Hopeless(files []*results.File) map[string]string {
	hopeless := make(map[string]string)
	if len(files) < 2 {
		return hopeless
	}
	for _, f := range files[0].Failures {
		again := func(o *results.Failure) bool { return !o.Skipped && o.Name == f.Name }
		if !f.Skipped && slices.ContainsFunc(files[1].Failures, again) {
			hopeless[f.Name] = fmt.Sprintf(notTried+"%s and %s: remove those to have it tried", filepath.Base(files[0].Path), filepath.Base(files[1].Path))
		}
	}
	for _, file := range files {
		for _, name := range Names(file) {
			for above := range hopeless {
				if Within(name, above) {
					delete(hopeless, above)
				}
			}
		}
	}
	return hopeless
}

// Within reports whether name is the benchmark other or a sub-benchmark of it.
func Within(name, other string) bool { return name == other || strings.HasPrefix(name, other+"/") }
