//go:build linux

// Package behaviours has what Linux promises of eventfd, epoll, signals,
// signalfd, timerfd and the loops over them, a test for each row of
// testdata/behaviours. Files have a topic each, and a row its id above its
// test. By that it runs, too:
//
//	go test ./behaviours -run EPL-nnn
package behaviours

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"eventbench"
	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/leak"
)

func init() {
	inventory, err := fs.Sub(eventbench.Behaviours, "testdata/behaviours")
	if err != nil {
		panic(err)
	}
	behaviour.Inventory = inventory
}

func TestMain(m *testing.M) {
	child.Main()
	flag.Parse()
	for _, name := range []string{"test.run", "test.skip"} {
		f := flag.Lookup(name)
		pattern, err := behaviour.Pattern(f.Value.String())
		if err == nil {
			err = f.Value.Set(pattern)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "behaviours: -%s %v\n", name[len("test."):], err)
			os.Exit(2)
		}
	}
	code := leak.Check(m.Run)
	if !behaviour.Report(os.Stderr, flag.Lookup("test.run").Value.String()) {
		code = max(code, 1)
	}
	os.Exit(code)
}
