package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/results"
)

// An input is a column of a table: the samples of one thing.
type input struct {
	arg   string // what the user called it
	paths []string
	files []*results.File // one for each sample
	read  []*results.File // one for each file
}

// load reads the file or directory arg. If there are several samples, each
// benchmark's results in a sample are reduced to their median. The results of a
// single sample are all there is, so they stay as they are, and the user is
// told what their spread does not show.
func load(arg string, say func(string, ...any)) (*input, error) {
	paths, err := results.Find(arg)
	if err != nil {
		return nil, err
	}
	in := &input{arg: arg, paths: paths}
	var disturbed results.Disturbances
	for _, path := range paths {
		f, err := results.Read(path)
		if err != nil {
			return nil, err
		}
		in.read = append(in.read, f)
		disturbed.Add(f.Comments, f.Results[0].GetConfig("cpus"))
		in.files = append(in.files, split(f)...)
	}
	if len(in.files) > 1 {
		for _, f := range in.files {
			f.Results = f.Medians()
		}
	} else if n := in.files[0].Repeated(); n > 1 {
		say("%s: a benchmark has %d results in one file: if one process made them, "+
			"intervals are too narrow, because they do not show how processes differ\n", in.files[0].Path, n)
	}
	if how := disturbed.String(); how != "" {
		say("%s: %s: its figures are too high or spread too widely\n", arg, how)
	}
	return in, nil
}

// split returns the samples of a file. A file of recorded boots has several,
// told apart by configuration lines such as "sample: 1".
func split(f *results.File) (all []*results.File) {
	of := make(map[string]*results.File)
	for _, r := range f.Results {
		id := r.GetConfig("sample")
		if of[id] == nil {
			of[id] = &results.File{Path: f.Path, Comments: f.Comments, Units: f.Units}
			if id != "" {
				of[id].Path += ", sample " + id
			}
			all = append(all, of[id])
		}
		of[id].Results = append(of[id].Results, r)
	}
	return all
}

// compare prints benchstat's table with a column for each input.
func compare(ctx context.Context, inputs []*input, across []string, stdout io.Writer, say func(string, ...any)) error {
	if err := distinct(inputs); err != nil {
		return err
	}
	ignore, differences, err := reconcile(inputs, across)
	if err != nil {
		return err
	}
	units, err := unitsOf(inputs)
	if err != nil {
		return err
	}
	if err := common(inputs, ignore, say); err != nil {
		return err
	}
	for i, key := range ignore {
		ignore[i] = strconv.Quote(key)
	}
	var cells []cell
	for i, label := range labels(inputs) {
		for _, f := range inputs[i].files {
			cells = append(cells, cell{"", label, f.Results})
		}
	}
	var out bytes.Buffer
	for _, d := range differences {
		fmt.Fprintln(&out, d)
	}
	// Sort rows by name: the benchmarks are in random order in the files.
	err = table(ctx, &out, units, cells,
		"-table", ".config", "-row", ".fullname@alpha", "-ignore", strings.Join(append(ignore, ".file"), ","))
	if err != nil {
		return err
	}
	_, err = out.WriteTo(stdout)
	return err
}

// distinct refuses a file that occurs twice, or as a copy. A sample counted
// twice narrows the interval, and a sample compared with itself always agrees.
func distinct(inputs []*input) error {
	type place struct{ path, arg string }
	seen := make(map[string]place)
	for _, in := range inputs {
		for _, path := range in.paths {
			sum, err := results.Hash(path)
			if err != nil {
				return err
			}
			if first, again := seen[sum]; again {
				return fmt.Errorf("%s in %s and %s in %s are the same file or copies of it", first.path, first.arg, path, in.arg)
			}
			seen[sum] = place{path, in.arg}
		}
	}
	return nil
}

// reconcile compares the configuration of all files. It returns the keys that
// benchstat must ignore so that the inputs end up in one table, and for each of
// them a line with its value in each input. It is an error if a key that must
// agree differs and is not in across.
func reconcile(inputs []*input, across []string) (ignore, differences []string, err error) {
	var all []*results.File
	for _, in := range inputs {
		all = append(all, in.files...)
	}
	err = results.Agree(all, across)
	if ie := (*results.Incomparable)(nil); errors.As(err, &ie) && !slices.Contains(ie.Keys, results.Clock) {
		keys := strings.Join(ie.Keys, ",")
		err = fmt.Errorf("%w\n\tto compare across that difference: -across %s, or with make ACROSS=%s", err, keys, keys)
	}
	if err != nil {
		return nil, nil, err
	}
	keys := make(map[string]bool)
	for _, in := range inputs {
		for _, f := range in.files {
			for key := range f.Config() {
				keys[key] = true
			}
		}
	}
	must := results.KeysOf(results.MustAgree)
	maps.DeleteFunc(keys, func(key string, _ bool) bool {
		return results.RoleOf(key) == results.Ignored || slices.Contains(must, key)
	})
	for _, key := range slices.Concat(must, slices.Sorted(maps.Keys(keys))) {
		first := inputs[0].files[0].Values(key)
		alike := true
		perInput := make([]map[string]bool, len(inputs))
		for i, in := range inputs {
			perInput[i] = make(map[string]bool)
			for _, f := range in.files {
				v := f.Values(key)
				perInput[i][strings.Join(v, ", ")] = true
				if slices.Equal(v, first) {
					continue
				}
				alike = false
				if both := max(len(v), len(first)); both > 1 {
					return nil, nil, fmt.Errorf("several runs in one file: %s is %s in %s and %s in %s: split it into one file for each run",
						key, results.Shown(first), inputs[0].files[0].Path, results.Shown(v), f.Path)
				}
			}
		}
		if alike {
			continue
		}
		ignore = append(ignore, key)
		if results.RoleOf(key) == results.Orders {
			continue // every sample has its own
		}
		if key == "gomaxprocs" {
			ignore = append(ignore, "/gomaxprocs") // the -N at the end of names
		}
		var sides []string
		for i, vs := range perInput {
			side := results.Shown(slices.Sorted(maps.Keys(vs)))
			if len(vs) > 1 && key == results.Machine {
				return nil, nil, fmt.Errorf("%s mixes samples of several machines, %s: name the directory of each", inputs[i].arg, side)
			}
			sides = append(sides, side)
		}
		differences = append(differences, "differs: "+key+": "+strings.Join(sides, " | "))
	}
	return ignore, differences, nil
}

// common reports benchmarks that only some inputs have. It is an error if none
// is in all of them.
func common(inputs []*input, ignore []string, say func(string, ...any)) error {
	in := make(map[string]int)
	has := make([]map[string]bool, len(inputs))
	for i, input := range inputs {
		has[i] = make(map[string]bool)
		for _, f := range input.files {
			for _, r := range f.Results {
				name := string(r.Name.Full())
				if slices.Contains(ignore, "/gomaxprocs") {
					name = strings.TrimSuffix(name, "-"+results.Procs(r.Name))
				}
				if !has[i][name] {
					has[i][name] = true
					in[name]++
				}
			}
		}
	}
	shared := 0
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if in[name] == len(inputs) {
			shared++
			continue
		}
		var where []string
		for i := range inputs {
			if has[i][name] {
				where = append(where, inputs[i].arg)
			}
		}
		say("%s is only in %s", name, strings.Join(where, " and "))
	}
	if shared == 0 {
		return errors.New("no benchmark is in all inputs")
	}
	return nil
}

// labels returns the columns' headings: the kernels if they differ, else the
// last elements of the arguments, else old and new, else the arguments.
func labels(inputs []*input) []string {
	var kernels, names, args []string
	for _, in := range inputs {
		seen := make(map[string]bool)
		for _, f := range in.files {
			seen[strings.Join(f.Values("kernel-release"), " ")] = true
		}
		kernels = append(kernels, strings.Join(slices.Sorted(maps.Keys(seen)), " "))
		names = append(names, filepath.Base(in.arg))
		args = append(args, in.arg)
	}
	for _, candidate := range [][]string{kernels, names, {"old", "new"}} {
		different := slices.Compact(slices.Sorted(slices.Values(candidate)))
		if len(candidate) == len(inputs) && len(different) == len(inputs) && different[0] != "" {
			return candidate
		}
	}
	return args
}
