//go:build linux

package kernels

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/perf/benchfmt"
)

// Units of counted instructions: the mode if it is the same in all boots, the
// mode if it is not, and the mean.
const (
	exactUnit   = "instrs/op"
	typicalUnit = "typical-instrs/op"
	meanUnit    = "mean-instrs/op"
)

// A column is one kernel's boots.
type column struct {
	label  string
	boots  []*results.File
	counts map[string][]float64 // modes of each benchmark, in the order of boots
	means  map[string][]float64
}

// summarize prints the kernels side by side.
func summarize(ctx context.Context, kernels []*boots.Kernel, stdout io.Writer) error {
	var columns []*column
	for _, k := range kernels {
		files, err := results.Find(k.Dir)
		if err != nil {
			return err
		}
		c := &column{label: k.Label, counts: make(map[string][]float64), means: make(map[string][]float64)}
		for _, file := range files {
			f, err := results.Read(file)
			if err != nil {
				return fmt.Errorf("%w\n\tremove the file, and the same command boots again", err)
			}
			c.boots = append(c.boots, f)
			for _, r := range f.Results {
				if v, ok := r.Value(exactUnit); ok {
					c.counts[r.Name.String()] = append(c.counts[r.Name.String()], v)
				}
				if v, ok := r.Value(meanUnit); ok {
					c.means[r.Name.String()] = append(c.means[r.Name.String()], v)
				}
			}
		}
		columns = append(columns, c)
	}
	var all []*results.File
	for _, c := range columns {
		all = append(all, c.boots...)
	}
	if err := results.Agree(all, boots.Models(kernels)); err != nil {
		return fmt.Errorf("%w\n\tremove the files of one kind, and the same command boots again", err)
	}
	exact := exactIn(columns)
	if err := tables(ctx, columns, exact, stdout); err != nil {
		return err
	}
	spread(columns, stdout)
	for i := 1; i < len(columns); i++ {
		changes(columns[i-1], columns[i], stdout)
	}
	return failures(columns, stdout)
}

// failures prints the benchmarks that failed, below the figures of the others.
// It returns an error if there are any.
func failures(columns []*column, stdout io.Writer) error {
	failed := 0
	for _, c := range columns {
		var out bytes.Buffer
		n := samples.PrintFailures(&out, c.boots)
		if n > 0 {
			fmt.Fprintf(stdout, "\n%s: %s", c.label, &out)
		}
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%s failed and so have missing figures: see above", samples.Counted(failed, "benchmark"))
	}
	return nil
}

// exactIn returns the benchmarks whose mode is the same in all boots of each
// kernel.
func exactIn(columns []*column) map[string]bool {
	exact := make(map[string]bool)
	for _, c := range columns {
		for name, counts := range c.counts {
			same := slices.Min(counts) == slices.Max(counts)
			if before, seen := exact[name]; seen {
				same = same && before
			}
			exact[name] = same
		}
	}
	return exact
}

// tableKeys is the configuration shown above a table.
var tableKeys = []string{"accelerator", "qemu", "cpu-model", "clock"}

// tables prints benchstat's tables, without latencies, with a column for each
// kernel.
func tables(ctx context.Context, columns []*column, exact map[string]bool, stdout io.Writer) error {
	var data bytes.Buffer
	w := benchfmt.NewWriter(&data)
	for _, line := range []string{
		"Unit " + exactUnit + " better=lower assume=exact\n",
		"Unit " + typicalUnit + " better=lower\n",
		"Unit " + meanUnit + " better=lower\n",
		"Unit delivered/op better=higher\n",
	} {
		data.WriteString(line)
	}
	add := func(c *column, unit string) error {
		for _, f := range c.boots {
			for _, r := range f.Results {
				r = r.Clone()
				r.Values = slices.DeleteFunc(r.Values, func(v benchfmt.Value) bool {
					if v.Unit == exactUnit && !exact[r.Name.String()] {
						v.Unit = typicalUnit
					}
					return v.Unit != unit
				})
				if len(r.Values) == 0 {
					continue
				}
				r.Values[0].Unit = unit
				// benchstat would note every other key in which
				// boots differ, such as the seed and addresses.
				r.Config = slices.DeleteFunc(r.Config, func(c benchfmt.Config) bool { return !slices.Contains(tableKeys, c.Key) })
				r.Config = append(r.Config, benchfmt.Config{Key: "kernel", Value: []byte(c.label), File: true})
				if err := w.Write(r); err != nil {
					return err
				}
			}
		}
		return nil
	}
	// benchstat prints tables in the order in which it first sees their
	// units.
	for _, unit := range []string{exactUnit, typicalUnit, meanUnit, "delivered/op"} {
		for _, c := range columns {
			if err := add(c, unit); err != nil {
				return err
			}
		}
	}
	return results.Benchstat(ctx, stdout, &data, "-table", strings.Join(tableKeys, ","), "-row", ".fullname",
		"-col", "kernel@("+labels(columns)+")", "-")
}

// labels are the columns' headings in the syntax of benchproc, in which those of
// columns with settings must be quoted.
func labels(columns []*column) string {
	var s []string
	for _, c := range columns {
		s = append(s, strconv.Quote(c.label))
	}
	return strings.Join(s, " ")
}

// spread prints how much the boots of each kernel differ.
func spread(columns []*column, stdout io.Writer) {
	fmt.Fprintf(stdout, "\nSpread across boots\n")
	width := 12
	for _, c := range columns {
		width = max(width, len(c.label))
	}
	for _, c := range columns {
		same := 0
		for _, counts := range c.counts {
			if slices.Min(counts) == slices.Max(counts) {
				same++
			}
		}
		var one, two []float64
		for name, means := range c.means {
			s := (slices.Max(means) - slices.Min(means)) / median(means) * 100
			if strings.Contains(name, "/cpus=cross") {
				two = append(two, s)
			} else {
				one = append(one, s)
			}
		}
		fmt.Fprintf(stdout, "  %-*s %d boots: same mode in all boots for %d of %d benchmarks", width, c.label, len(c.boots), same, len(c.counts))
		if one != nil {
			fmt.Fprintf(stdout, "; range of means: %.2f %% on one CPU", median(one))
		}
		if two != nil {
			fmt.Fprintf(stdout, ", %.2f %% across two", median(two))
		}
		fmt.Fprintln(stdout)
	}
}

// changes lists the largest changes from a to b: of the median mode, or of the
// median mean for benchmarks without a mode.
func changes(a, b *column, stdout io.Writer) {
	type change struct {
		name     string
		from, to float64
		unit     string
	}
	var list []change
	add := func(from, to map[string][]float64, unit string) {
		for name := range from {
			if to[name] != nil && !slices.ContainsFunc(list, func(c change) bool { return c.name == name }) {
				list = append(list, change{name, median(from[name]), median(to[name]), unit})
			}
		}
	}
	add(a.counts, b.counts, exactUnit)
	add(a.means, b.means, meanUnit)
	ratio := func(c change) float64 { return math.Abs(math.Log(c.to / c.from)) }
	slices.SortFunc(list, func(x, y change) int {
		return cmp.Or(cmp.Compare(ratio(y), ratio(x)), strings.Compare(x.name, y.name))
	})
	fmt.Fprintf(stdout, "\nWhat changed most from %s to %s\n", a.label, b.label)
	for _, c := range list[:min(8, len(list))] {
		fmt.Fprintf(stdout, "  %+7.1f %%  %8.0f → %8.0f %-15s %s\n", (c.to/c.from-1)*100, c.from, c.to, c.unit, c.name)
	}
}

// median returns the median of values, or NaN if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
