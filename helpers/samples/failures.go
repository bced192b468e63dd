//go:build linux

package samples

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"
)

// alonePrefix begins the comment in a sample's file that has the command to run
// one of its benchmarks alone, without -test.bench.
const alonePrefix = "# alone: "

// PrintFailures lists the benchmarks that failed in the files: each with the
// samples in which it failed, its first message, and the command that runs it
// alone. It returns their number.
func PrintFailures(w io.Writer, files []*results.File) int {
	type failure struct {
		*results.Failure
		files []*results.File
	}
	var all []*failure
	for _, file := range files {
		for _, f := range file.Failures {
			if f.Skipped {
				continue
			}
			i := slices.IndexFunc(all, func(o *failure) bool { return o.Name == f.Name })
			if i < 0 {
				i = len(all)
				all = append(all, &failure{Failure: f})
			}
			all[i].files = append(all[i].files, file)
		}
	}
	slices.SortFunc(all, func(a, b *failure) int { return cmp.Compare(a.Name, b.Name) })
	if len(all) > 0 {
		fmt.Fprintf(w, "failed: %s\n", Counted(len(all), "benchmark"))
	}
	for _, f := range all {
		first := f.files[0]
		fmt.Fprintf(w, "\nBenchmark%s failed in %d of %s", f.Name, len(f.files), Counted(len(files), "sample"))
		if len(files) > 1 {
			fmt.Fprintf(w, ", first in %s", filepath.Base(first.Path))
		}
		fmt.Fprintln(w, ":")
		for line := range strings.Lines(cmp.Or(f.Message, "it gave no reason")) {
			fmt.Fprintf(w, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
		for _, command := range Commands(first) {
			fmt.Fprintf(w, "  alone: %s %s\n", command, Only(f.Name))
		}
	}
	return len(all)
}

// Counted returns n and what, with a plural s if n is not 1.
func Counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Alone returns the comment for a sample's file that has the command to run its
// benchmarks alone, without -test.bench.
func Alone(argv []string) string {
	var words []string
	for _, word := range argv {
		words = append(words, printable.ShellWord(word))
	}
	return alonePrefix + strings.Join(words, " ") + "\n"
}

// Commands returns the commands that [Alone] recorded in a file: one for each
// sample. They lack what [Only] returns.
func Commands(f *results.File) (commands []string) {
	for _, c := range f.Comments {
		if command, ok := strings.CutPrefix(c, alonePrefix); ok {
			commands = append(commands, command)
		}
	}
	return commands
}

// Only returns the flag that restricts a test binary to one benchmark.
func Only(benchmark string) string {
	return "-test.bench=" + printable.ShellWord(results.Pattern(benchmark))
}
