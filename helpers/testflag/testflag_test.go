package testflag

import (
	"reflect"
	"testing"
)

// A flag is known with one dash or two and with its value in either place; the
// last of a name counts, and after -- there are no flags.
func TestFind(t *testing.T) {
	check := func(want Outputs, args ...string) {
		t.Helper()
		if got := Find(args); !reflect.DeepEqual(got, want) {
			t.Errorf("Find(%q) = %+v, want %+v", args, got, want)
		}
	}
	check(Outputs{})
	check(Outputs{}, "-test.run=x", "-test.cpuprofile=", "cpuprofile=a", "--", "-test.trace=t")
	check(Outputs{Files: []string{"c", "t"}}, "-test.trace=a", "--test.trace", "t", "-test.cpuprofile=c")
	check(Outputs{Files: []string{"m"}, Dirs: []string{"out", "raw"}, Dir: "out"}, "-test.outputdir=out", "-test.memprofile=m", "-test.gocoverdir=raw")
}

func TestIn(t *testing.T) {
	for name, want := range map[string]string{"": "/d", "a/../b": "/d/b", "/x//y": "/x/y"} {
		if got := In("/d", name); got != want {
			t.Errorf("In(/d, %q) = %q, want %q", name, got, want)
		}
	}
}
