//go:build linux

package fidelity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/process"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

// A side is one of the two implementations.
type side struct {
	impl string // "go" or "c": the value of the configuration key impl
	path string // of the program
	// args has the program run the named loops, n times each.
	args func(names []string, n int) []string
}

// build builds both programs in dir.
func build(ctx context.Context, o *options, dir string) (sides [2]side, err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return sides, err
	}
	sides[0] = side{"go", filepath.Join(dir, "eventbench.test"), goArgs}
	sides[1] = side{"c", filepath.Join(dir, "reference"), cArgs}
	if o.test != "" {
		// os/exec looks for a bare name in PATH only.
		if sides[0].path, err = filepath.Abs(o.test); err != nil {
			return sides, err
		}
		if _, err := os.Stat(sides[0].path); err != nil {
			return sides, fmt.Errorf("-test: %w (go test -c -o eventbench.test makes one)", err)
		}
	} else {
		cmd := exec.Command("go", "test", "-c", "-o", sides[0].path, ".")
		cmd.Dir = root
		// A guest has no C library to load.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if _, stderr, err := (process.Limits{}).Output(ctx, cmd); err != nil {
			return sides, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, indent(start(stderr)))
		}
	}

	cc := strings.Fields(o.cc)
	if len(cc) == 0 {
		return sides, errors.New("-cc: the compiler's name is empty")
	}
	if _, err := exec.LookPath(cc[0]); err != nil {
		return sides, fmt.Errorf("no C compiler: %w: install one (Debian: apt install gcc libc6-dev; Fedora: dnf install gcc glibc-devel glibc-static), or name it with -cc or CC", err)
	}
	args := append(slices.Clone(cc[1:]), "-std=c11", "-O2", "-pthread", "-o", sides[1].path)
	if o.exec != nil {
		args = append(args, "-static")
	}
	if o.inline {
		args = append(args, "-DINLINE")
	}
	cmd := exec.Command(cc[0], append(args, filepath.Join(root, "testdata", "reference", "reference.c"))...)
	if _, stderr, err := (process.Limits{}).Output(ctx, cmd); err != nil {
		return sides, fmt.Errorf("%s: %w\n%s\n(headers or static libraries missing? Debian: apt install libc6-dev)", strings.Join(cmd.Args, " "), err, indent(start(stderr)))
	}
	return sides, nil
}

// moduleRoot returns the directory of this module. The tool must run in it.
func moduleRoot(ctx context.Context) (string, error) {
	root, err := results.Module(ctx)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "testdata", "reference", "reference.c")); err != nil {
		return "", errors.New("not in eventbench's source tree: run it there")
	}
	return root, nil
}

func goArgs(names []string, n int) []string {
	var patterns []string
	for _, name := range names {
		patterns = append(patterns, results.Pattern(name))
	}
	return []string{"-test.run=^$", "-test.v", "-test.bench=" + strings.Join(patterns, "|"), "-test.benchtime=" + strconv.Itoa(n) + "x"}
}

func cArgs(names []string, n int) []string {
	var args []string
	for _, name := range names {
		args = append(args, name, strconv.Itoa(n))
	}
	return args
}

// run runs the named loops for a pair and returns the results, one for each
// name, in order. A loop that the side skipped is nil.
func (s side) run(ctx context.Context, o *options, names []string, n, pair int) ([]*benchfmt.Result, error) {
	var argv []string
	for _, word := range o.exec {
		argv = append(argv, strings.ReplaceAll(word, "{pair}", strconv.Itoa(pair)))
	}
	argv = append(append(argv, s.path), s.args(names, n)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	stdout, stderr, err := process.Limits{Time: o.limit, Runner: o.exec != nil}.Output(ctx, cmd)
	what := s.impl + " side"
	if len(names) == 1 {
		what += " of " + names[0]
	}
	failed := func(err error) error {
		return fmt.Errorf("%s: %w\n\t%s\n%s", what, err, shorten(strings.Join(cmd.Args, " ")), indent(matter(stdout+stderr)))
	}
	if late := (*process.LateError)(nil); errors.As(err, &late) {
		err = fmt.Errorf("%w (-limit)", err)
		stderr = "" // its goroutines' stacks
	}
	if err != nil {
		return nil, failed(err)
	}
	results, err := parseResults(stdout, names)
	if err != nil {
		return nil, failed(err)
	}
	return results, nil
}

// parseResults returns the result for each name, or nil if it was skipped.
// Names, and those of the results, are without GOMAXPROCS.
func parseResults(stdout string, names []string) ([]*benchfmt.Result, error) {
	found := make(map[string]*benchfmt.Result)
	r := benchfmt.NewReader(strings.NewReader(stdout), "output")
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			name := results.Stem(rec.Name.String())
			res := rec.Clone()
			res.Name = benchfmt.Name(name)
			found[name] = res
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	results := make([]*benchfmt.Result, len(names))
	for i, name := range names {
		results[i] = found[name]
		if results[i] == nil && !strings.Contains(stdout, "--- SKIP: Benchmark"+name) {
			return nil, fmt.Errorf("no result for Benchmark%s: there is no such benchmark", name)
		}
	}
	return results, nil
}

// keep is how many lines of a failed program's output are shown.
const keep = 12

// start returns the lines with which a compiler begins its complaint.
func start(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[:min(keep, len(lines))]
}

// matter returns the important lines of a failed run: the last ones, or those
// around the first failure that testing reports.
func matter(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	failure := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "--- FAIL: ") || strings.HasPrefix(l, "panic: ") })
	if failure < 0 {
		return lines[max(len(lines)-keep, 0):]
	}
	return lines[max(failure-keep/2, 0):min(failure+keep/2, len(lines))]
}

func indent(lines []string) string {
	var s []string
	for _, l := range lines {
		s = append(s, "\t"+shorten(l))
	}
	return strings.Join(s, "\n")
}

// shorten cuts a line, such as a command that names all rows, to a readable
// length.
func shorten(line string) string {
	const most = 240
	if len(line) > most {
		line = line[:most-4] + " ..."
	}
	return line
}
