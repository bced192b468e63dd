//go:build linux

package eventbench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/leak"
	"eventbench/helpers/machine"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
)

func TestMain(m *testing.M) {
	child.Main()
	flag.Parse()
	if err := describe(); err != nil {
		fmt.Fprintln(os.Stderr, "eventbench:", err)
		os.Exit(2)
	}
	code := leak.Check(m.Run)
	behaviour.Report(os.Stderr, flag.Lookup("test.run").Value.String())
	os.Exit(code)
}

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

// must ends the test or benchmark for a system call's error, if there is one: as
// skipped, with the call and the errno, where it is not available or meets a limit.
func must(tb testing.TB, call string, err error) {
	tb.Helper()
	peer.SkipOrFatal(tb, os.NewSyscallError(call, err))
}
