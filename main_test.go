//go:build linux

package eventbench_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/leak"
	"eventbench/helpers/machine"
	"eventbench/helpers/measure"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/samples"
)

func TestMain(m *testing.M) {
	child.Main()
	flag.Parse()
	if run := flag.Lookup("test.run").Value.String(); row.MatchString(run) {
		fmt.Fprintf(os.Stderr, "eventbench: what kernels promise is tested in ./behaviours: go test ./behaviours -run '%s'\n", run)
		os.Exit(2)
	}
	preset(os.Stderr)
	if err := describe(); err != nil {
		fmt.Fprintln(os.Stderr, "eventbench:", err)
		os.Exit(2)
	}
	if !benches() || measure.Counted() {
		os.Exit(leak.Check(m.Run))
	}
	watch := machine.NewWatch()
	code := leak.Check(m.Run)
	fmt.Println(watch.Stop())
	os.Exit(code)
}

// row matches patterns that ask for a row of testdata/behaviours, or for all
// rows of a mechanism.
var row = regexp.MustCompile(`\b[A-Z]{3}-[0-9]|\bTest(Epoll|Eventfd|Loop|Signal|Signalfd|Timerfd)\)?\$|\bTest(Epoll|Signalfd|Timerfd)\b`)

var all = flag.Bool("long", false, "also run the long benchmarks, which are left out unless -bench names them")

// preset sets 100 ms for each benchmark, unless -benchtime says otherwise, and
// leaves out slow benchmarks unless -bench names them. So a run of all
// benchmarks with -count 10 takes ten minutes and not hours.
func preset(stderr io.Writer) {
	bench := flag.Lookup("test.bench").Value.String()
	if !benches() {
		return
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.benchtime" })
	if !given {
		flag.Set("test.benchtime", "100ms")
	}
	if *all {
		return
	}
	left := mechanisms.LeftOut(bench, matched(bench, mechanisms.Benchmarks()))
	if len(left) == 0 {
		return
	}
	fmt.Fprintf(stderr, "eventbench: left out %s, such as %s: name them in -bench, or run all with -long\n",
		samples.Counted(len(left), "long benchmark"), strings.TrimPrefix(left[0], "Benchmark"))
	// Whole benchmarks first: testing takes the first alternative that
	// matches so far.
	skip := "^(" + strings.Join(left, "|") + ")$"
	if given := flag.Lookup("test.skip").Value.String(); given != "" {
		skip += "|" + given
	}
	flag.Set("test.skip", skip)
}

// benches reports whether benchmarks are to run.
func benches() bool {
	return flag.Lookup("test.bench").Value.String() != "" && flag.Lookup("test.list").Value.String() == ""
}

// matched returns those of the names that testing runs for the pattern, at the
// top level.
func matched(pattern string, names []string) (some []string) {
	for _, name := range names {
		if slices.ContainsFunc(samples.Alternatives(pattern), func(alternative string) bool {
			ok, err := regexp.MatchString(samples.Levels(alternative)[0], name)
			return ok && err == nil // testing fails for an invalid pattern
		}) {
			some = append(some, name)
		}
	}
	return some
}

// describe prints the machine and the units of the results in the benchmark
// format, if benchmarks are to run.
func describe() error {
	if !benches() {
		return nil
	}
	if err := measure.OpenHistograms(); err != nil {
		return err
	}
	system, err := machine.Here()
	if err != nil {
		return err
	}
	config, err := system.Config()
	if err != nil {
		return err
	}
	id, err := harness(sources)
	if err != nil {
		return err
	}
	for _, line := range config {
		fmt.Println(line)
	}
	fmt.Println("harness: " + id)
	for _, unit := range measure.Units() {
		fmt.Println(unit)
	}
	return nil
}
