//go:build linux

package need

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cache"
)

// A test's message is parsed back, with the position that package testing puts
// before it.
func TestParse(t *testing.T) {
	for _, thing := range things {
		line := "    boot_test.go:12: " + thing.reason(errors.New("exec: \"x\": not found (in $PATH): nowhere")) + "\n"
		if got, ok := Parse(line); !ok || got != (Lack{thing.what, thing.lack, thing.get}) {
			t.Errorf("%q is read as %q, %v", line, got, ok)
		}
	}
	if got, ok := Parse("    a_test.go:1: privilege: new namespaces (operation not permitted)\n"); ok {
		t.Errorf("read as %q", got)
	}
}

// A recorder is a test that records what is done to it.
type recorder struct {
	testing.TB
	log, skip, fatal string
}

func (r *recorder) Helper()      {}
func (r *recorder) Log(a ...any) { r.log = a[0].(string) }
func (r *recorder) Skip(a ...any) {
	r.skip = a[0].(string)
	panic(r)
}
func (r *recorder) Skipf(format string, a ...any) { r.Skip(fmt.Sprintf(format, a...)) }
func (r *recorder) Fatalf(format string, a ...any) {
	r.fatal = format
	panic(r)
}

// A missing thing skips a test or is noted, and fails the test if it is
// required.
func TestMissing(t *testing.T) {
	gone := &Thing{"gone", "nothing", "no nothing", "apt install nothing", "NOTHING", func() error { return errors.New("looked") }}
	there := &Thing{"there", "all", "no all", "x", "NOTHING", func() error { return nil }}
	try := func(f func(testing.TB)) (r *recorder) {
		r = &recorder{}
		defer func() {
			if p := recover(); p != nil && p != any(r) {
				panic(p)
			}
		}()
		f(r)
		return r
	}
	const reason = "not tried here: nothing: no nothing (apt install nothing): looked"
	if r := try(func(tb testing.TB) { Need(tb, gone) }); r.skip != reason {
		t.Errorf("Need: %+v", r)
	}
	if r := try(func(tb testing.TB) { Has(tb, gone) }); r.log != reason || r.skip != "" {
		t.Errorf("Has: %+v", r)
	}
	if r := try(func(tb testing.TB) { Asked(tb, there, "a minute") }); r.skip != "not tried here: all: a minute (EVENTBENCH_REQUIRE_NOTHING=1)" {
		t.Errorf("Asked: %+v", r)
	}
	t.Setenv("EVENTBENCH_REQUIRE_NOTHING", "1")
	for _, f := range []func(testing.TB){
		func(tb testing.TB) { Need(tb, gone) }, func(tb testing.TB) { Has(tb, gone) }, func(tb testing.TB) { Asked(tb, gone, "a minute") },
	} {
		if r := try(f); r.fatal == "" || r.skip != "" {
			t.Errorf("required: %+v", r)
		}
	}
	if r := try(func(tb testing.TB) { Asked(tb, there, "a minute") }); *r != (recorder{}) {
		t.Errorf("Asked and there: %+v", r)
	}
}

func TestUnknown(t *testing.T) {
	got := Unknown([]string{"EVENTBENCH_REQUIRE_GUEST=1", "EVENTBENCH_REQUIRE_QEMU=1", "EVENTBENCH_CLOCK=wall"})
	if !slices.Equal(got, []string{"EVENTBENCH_REQUIRE_QEMU"}) {
		t.Errorf("%q", got)
	}
}

// A cached kernel is known by its series, whatever package it came in: results
// then name the exact kernel.
func TestCachedSeries(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := cache.User("guest")
	if err != nil {
		t.Fatal(err)
	}
	if got := cachedSeries("amd64"); len(got) != 0 {
		t.Errorf("of an empty cache: %q", got)
	}
	for _, name := range []string{
		"linux-image-6.12.118+deb13-cloud-amd64_6.12.118-1", "linux-binary-7.3.4+deb14-cloud-amd64_7.3.4-1",
		"linux-image-5.10.0-36-cloud-amd64_5.10.244-1", "linux-image-6.1.0-41-cloud-amd64_6.1.158-1", "other",
		"linux-image-6.18.15+deb13-cloud-arm64_6.18.15-1~bpo13+1",
	} {
		image := dir.Path("kernels", name, "vmlinuz")
		if err := os.MkdirAll(filepath.Dir(image), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(image, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for arch, want := range map[string]string{"amd64": "7.3 5.10 6.1 6.12", "arm64": "6.18", "riscv64": ""} {
		if got := strings.Join(cachedSeries(arch), " "); got != want {
			t.Errorf("for %s: %q, want %q", arch, got, want)
		}
	}
}
