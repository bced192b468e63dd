//go:build linux

package boots

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/guest"
	"eventbench/helpers/mechanisms"
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

// A boot's lines are reduced to one for each benchmark, with a median that
// occurred. Configuration and verdict stay. A boot of a kernel other than the
// one found at the start is refused.
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

// A pattern is matched with the names of benchmarks before anything is booted,
// level by level, as package testing does.
func TestAnyMatches(t *testing.T) {
	names := []string{"BenchmarkNullGetppid", "BenchmarkEventfdSelf"}
	check := func(pattern string, want bool) {
		t.Helper()
		got, err := anyMatches(pattern, names)
		if err != nil || got != want {
			t.Errorf("%s: %v, error %v, want %v", pattern, got, err, want)
		}
	}
	check(".", true)
	check("Null", true)
	check("^Null", false)
	check("Pipe|^BenchmarkNull", true)
	check("Eventfd/sig=rt", true)
	check("Pipe/Eventfd", false)
	check("Benchmark(Pipe|Null)", true)
	check("[|/]|Eventfd", true)
	check(`a\|Null`, false)
	check(mechanisms.Usual, true)
	check(mechanisms.Gate, true)
	for _, pattern := range []string{"((", "Null/(", "Null|["} {
		if _, err := anyMatches(pattern, names); err == nil {
			t.Errorf("%s: no error", pattern)
		}
	}
}

// A file that would fail in every boot is refused before the first, with
// advice.
func TestCheckProgram(t *testing.T) {
	dir := t.TempDir()
	check := func(path, bench, want string) {
		t.Helper()
		if _, err := (&Settings{Binary: path, Bench: bench}).checkProgram(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, -bench %s: error %v, want %q", path, bench, err, want)
		}
	}
	text := filepath.Join(dir, "README.md")
	if err := os.WriteFile(text, []byte("# text\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	check(text, ".", "README.md: not an ELF executable")
	check(filepath.Join(dir, "none"), ".", "no such file")
	// A program for another machine tells as well what it has.
	for _, arch := range guest.Archs {
		static := filepath.Join(dir, "boots.test")
		cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", static, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch.Name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		check(static, ".", "no benchmark matches")
		check(static, "((", "-bench=((: error parsing regexp")
	}
}
