//go:build linux

package eventbench_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/leak"
	"eventbench/helpers/machine"
	"eventbench/helpers/measure"
)

func TestMain(m *testing.M) {
	child.Main()
	flag.Parse()
	if run := flag.Lookup("test.run").Value.String(); row.MatchString(run) {
		fmt.Fprintf(os.Stderr, "eventbench: what kernels promise is tested in ./behaviours: go test ./behaviours -run '%s'\n", run)
		os.Exit(2)
	}
	if err := describe(); err != nil {
		fmt.Fprintln(os.Stderr, "eventbench:", err)
		os.Exit(2)
	}
	os.Exit(leak.Check(m.Run))
}

// row is in patterns that ask for a row of testdata/behaviours, or for all rows of
// a mechanism.
var row = regexp.MustCompile(`\b[A-Z]{3}-[0-9]|\bTest(Epoll|Eventfd|Loop|Signal|Signalfd|Timerfd)\)?\$|\bTest(Epoll|Signalfd|Timerfd)\b`)

// describe prints what the results are measured on and the units they are
// in, as the benchmark format has it, if benchmarks are to run.
func describe() error {
	listing := flag.Lookup("test.list").Value.String() != ""
	if flag.Lookup("test.bench").Value.String() == "" || listing {
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
