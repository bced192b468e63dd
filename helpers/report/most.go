package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchunit"
)

// A rise is a benchmark that costs more in the second input.
type rise struct {
	name, unit string
	from, to   float64
}

// most prints the n benchmarks whose cost grew most from the first input to the
// second, by the ratio of the medians of the first unit that each reports: time
// or instructions. Benchmarks whose samples overlap are left out, because a
// difference within the spread is no finding.
func most(inputs []*input, labels []string, n int, stdout io.Writer) {
	from, to := valuesOf(inputs[0]), valuesOf(inputs[1])
	var rises []rise
	for key, a := range from {
		b := to[key]
		if len(b) == 0 || slices.Max(a) >= slices.Min(b) {
			continue
		}
		rises = append(rises, rise{key.name, key.unit, middle(a), middle(b)})
	}
	slices.SortFunc(rises, func(a, b rise) int {
		return cmp.Or(cmp.Compare(b.to/b.from, a.to/a.from), cmp.Compare(a.name, b.name))
	})
	both := 0
	for key := range from {
		if to[key] != nil {
			both++
		}
	}
	fmt.Fprintf(stdout, "\nWhat grew most from %s to %s (%d of %d benchmarks cost more)\n", labels[0], labels[1], len(rises), both)
	for _, r := range rises[:min(n, len(rises))] {
		class := benchunit.ClassOf(r.unit)
		fmt.Fprintf(stdout, "  %7.1f times   %9s → %9s %-7s  %s\n", r.to/r.from, benchunit.Scale(r.from, class), benchunit.Scale(r.to, class), r.unit, r.name)
	}
}

type figure struct{ name, unit string }

// valuesOf returns each benchmark's values of the first unit that it reports,
// one for each result.
func valuesOf(in *input) map[figure][]float64 {
	values := make(map[figure][]float64)
	for _, f := range in.files {
		for _, r := range f.Results {
			if len(r.Values) > 0 {
				name := strings.TrimSuffix(r.Name.String(), "-"+results.Procs(r.Name))
				key := figure{name, r.Values[0].Unit}
				values[key] = append(values[key], r.Values[0].Value)
			}
		}
	}
	maps.DeleteFunc(values, func(_ figure, v []float64) bool { return slices.Min(v) <= 0 })
	return values
}

// middle returns the median.
func middle(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
