//go:build linux

package boots

import (
	"strings"
	"testing"
)

const head = `kernel: 6.1
clock: instrs
accelerator: tcg
qemu: 10.0.2
cpu-model: max
seed: 1
kernel-image: bzImage sha256:0123
Unit instrs/op better=lower assume=exact
`

// A boot's lines are reduced to one for each benchmark, with the median that
// occurred; configuration and the verdict stay. A boot of another kernel than
// was found at first is none.
func TestReduce(t *testing.T) {
	out := head + `BenchmarkSelf 	 100	 1636 instrs/op	 1700 mean-instrs/op
BenchmarkOther/peer=process 	 100	 50 mean-instrs/op
BenchmarkSelf 	 100	 1640 instrs/op	 1800 mean-instrs/op
BenchmarkOther/peer=process 	 100	 40 mean-instrs/op
BenchmarkSelf 	 100	 1636 instrs/op	 1650 mean-instrs/op
BenchmarkOther/peer=process 	 100	 70 mean-instrs/op
PASS
`
	want := head + `BenchmarkSelf 100 1636 instrs/op 1700 mean-instrs/op
BenchmarkOther/peer=process 100 50 mean-instrs/op
PASS
`
	boot := Boot{Kernel: &Kernel{Arg: "bzImage", image: "bzImage sha256:0123"}}
	got, err := boot.reduce([]byte(out), "boot.log")
	if err != nil || string(got) != want {
		t.Errorf("reduced to %v\n%s\nwant\n%s", err, got, want)
	}
	if _, err := boot.reduce([]byte(strings.TrimSuffix(out, "PASS\n")), "boot.log"); err == nil {
		t.Error("a boot that was cut short is no error")
	}
	boot.image = "bzImage sha256:4567"
	if _, err := boot.reduce([]byte(out), "boot.log"); err == nil || !strings.Contains(err.Error(), "bzImage was replaced") {
		t.Errorf("of another kernel than the one that was found: error %v, want that it was replaced", err)
	}
}
