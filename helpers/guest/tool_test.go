package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cache"
	"eventbench/helpers/tooltest"
)

// The init of an architecture is built once, whatever the working directory and
// the architecture that is asked of go, and again when what is cached is not it.
func TestFindInit(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GOARCH", ARM64.Name)
	c := cache.At(filepath.Join(t.TempDir(), "cache"))
	built := 0
	find := func(arch *Arch) ([]byte, error) {
		return FindInit(t.Context(), c, arch, func(format string, args ...any) {
			if strings.HasPrefix(format, "building") {
				built++
			}
		})
	}
	for i, arch := range Archs {
		for call := range 2 {
			image, err := find(arch)
			if err != nil {
				t.Fatal(err)
			}
			if of, err := checkProgram(image); of != arch || err != nil || built != i+1 {
				t.Errorf("call %d: a static program for %v, %v; %d built; want one for %s, built once", call, of, err, built, arch)
			}
		}
	}
	cached, err := filepath.Glob(c.Path(initDir, ARM64.Name+"-*"))
	if err != nil || len(cached) != 1 {
		t.Fatalf("in the cache: %q, %v", cached, err)
	}
	tooltest.MustWrite(t, cached[0], "cut")
	built = 0
	if image, err := find(ARM64); err != nil || len(image) < 1<<20 || built != 1 {
		t.Errorf("after damage: %d bytes, %v, built %d times", len(image), err, built)
	}

	if err := os.Remove(cached[0]); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := find(ARM64); err == nil || !strings.Contains(err.Error(), "the init of arm64 guests") || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("without the go command: %v", err)
	}
}

// A binary for another machine is not asked what it has, but tells the same.
func TestTests(t *testing.T) {
	dir := t.TempDir()
	build := func(arch *Arch, flags ...string) string {
		t.Helper()
		file := filepath.Join(dir, arch.Name+strings.Join(flags, ""))
		cmd := exec.Command("go", slices.Concat([]string{"test", "-c", "-o", file}, flags, []string{"../columns/testdata/tiny"})...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch.Name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go test -c: %v\n%s", err, out)
		}
		return file
	}
	check := func(file, kind string, want ...string) {
		t.Helper()
		got, err := Tests(t.Context(), file, kind)
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%s has %q, %v, want %q", file, got, err, want)
		}
	}
	for _, arch := range Archs {
		file := build(arch)
		check(file, "Test", "TestTiny")
		check(file, "Benchmark")
		if arch.Native() {
			continue
		}
		stripped := build(arch, "-ldflags=-s")
		if _, err := Tests(t.Context(), stripped, "Test"); err == nil || !strings.Contains(err.Error(), "without -ldflags=-s") {
			t.Errorf("without a symbol table: %v", err)
		}
	}
}
