package report

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

// A cell holds the samples of one row and column of a table.
type cell struct {
	row     string // "" if the rows are the benchmarks' names
	column  string
	results []*benchfmt.Result
}

// table prints benchstat's table of cells. The results of all cells go to
// benchstat's standard input with the configuration keys row and column, which
// args can refer to.
func table(ctx context.Context, stdout io.Writer, units benchfmt.UnitMetadataMap, cells []cell, args ...string) error {
	var data bytes.Buffer
	w := benchfmt.NewWriter(&data)
	for _, u := range units {
		if err := w.Write(u); err != nil {
			return err
		}
	}
	for _, c := range cells {
		for _, r := range c.results {
			r = r.Clone()
			for _, line := range [][2]string{{"row", c.row}, {"column", c.column}} {
				if line[1] != "" {
					r.Config = append(r.Config, benchfmt.Config{Key: line[0], Value: []byte(line[1]), File: true})
				}
			}
			if err := w.Write(r); err != nil {
				return err
			}
		}
	}
	return results.Benchstat(ctx, stdout, &data, append(args, "-col", "column", "-")...)
}

// unitsOf returns the metadata of all units in the files. It is an error if
// files disagree.
func unitsOf(inputs []*input) (benchfmt.UnitMetadataMap, error) {
	all := make(benchfmt.UnitMetadataMap)
	from := make(map[benchfmt.UnitMetadataKey]string)
	for _, in := range inputs {
		for _, f := range in.files {
			for key, u := range f.Units {
				if have := all[key]; have != nil && have.Value != u.Value {
					return nil, fmt.Errorf("unit %s is %s=%s in %s and %s=%s in %s",
						u.OrigUnit, key.Key, have.Value, from[key], key.Key, u.Value, f.Path)
				}
				all[key], from[key] = u, f.Path
			}
		}
	}
	return all, nil
}
