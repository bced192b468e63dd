package guest

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/tooltest"
)

func TestCheckProgram(t *testing.T) {
	static := mustBuild(t)
	patch := func(at int, value byte) []byte {
		image := slices.Clone(static)
		image[at] = value
		return image
	}
	check := func(what string, image []byte, want string) {
		t.Helper()
		_, err := checkProgram(image)
		if got := fmt.Sprint(err); (want == "") != (err == nil) || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", what, got, want)
		}
	}
	// The offsets are those of e_machine and e_type, see elf(5).
	check("static", static, "")
	for of, arch := range map[elf.Machine]*Arch{elf.EM_X86_64: AMD64, elf.EM_AARCH64: ARM64} {
		if got, err := checkProgram(patch(18, byte(of))); got != arch || err != nil {
			t.Errorf("%v: %v, %v, want %v", of, got, err, arch)
		}
	}
	check("other architecture", patch(18, byte(elf.EM_RISCV)), "guests are x86-64 or arm64: build it with GOARCH=amd64 or arm64")
	check("32 bits of it", patch(18, byte(elf.EM_386)), "GOARCH=amd64")
	check("object", patch(16, byte(elf.ET_REL)), "ET_REL")
	check("script", []byte("#!/bin/sh\necho this is long enough to have had room for an ELF header\n"), "no shell")
	check("empty", nil, "not an ELF")
	check("cut", static[:32], "not an ELF")
	if image, err := os.ReadFile("/bin/true"); err == nil {
		check("dynamic", image, "CGO_ENABLED=0")
	}
}

func TestOutputs(t *testing.T) {
	check := func(args string, wantDirs, wantCollect string) {
		t.Helper()
		p := &Program{args: strings.Fields(args), dir: "/home/me/pkg"}
		p.findOutputs()
		var collect []string
		for _, o := range p.collect {
			collect = append(collect, o.guest+"->"+o.host)
		}
		if got := strings.Join(p.makeDir, " "); got != wantDirs {
			t.Errorf("%s: directories %q, want %q", args, got, wantDirs)
		}
		if got := strings.Join(collect, " "); got != wantCollect {
			t.Errorf("%s: collects %q, want %q", args, got, wantCollect)
		}
	}
	check("", "", "")
	check("-test.v -test.bench=. -test.timeout=10m0s", "", "")
	check("-test.cpuprofile=c.prof -test.run X", "", "/src/c.prof->/home/me/pkg/c.prof")
	check("--test.memprofile m.prof", "", "/src/m.prof->/home/me/pkg/m.prof")
	check("-test.cpuprofile=", "", "")
	// What go test -cpuprofile c.prof passes from another directory.
	check("-test.cpuprofile=c.prof -test.outputdir=/home/me", "/home/me", "/home/me/c.prof->/home/me/c.prof")
	check("-test.coverprofile=/tmp/b/cover.out -test.gocoverdir=/tmp/b/gocoverdir",
		"/tmp/b/gocoverdir", "/tmp/b/cover.out->/tmp/b/cover.out")
	check("-- -test.trace=t", "", "")
	check("test.trace=t", "", "")
}

func TestEnv(t *testing.T) {
	m := &Machine{
		QEMU: &QEMU{Arch: AMD64, Version: "10.0.2"}, Kernel: &Kernel{Name: "bzImage sha256:0123"},
		Accel: TCG, Clock: InstrClock, CPUs: 2, Memory: 512, Seed: 7, Append: "nokaslr",
	}
	got, err := m.Env([]string{
		"PATH=/usr/bin", "HOME=/home/me", "LANG=C", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOROOT=/usr/local/go",
		"GOPROXY=https://proxy.example", "GOFLAGS=-p=2", "EVENTBENCH_X=/a/b", "EVENTBENCH_GUEST=yes", "EVENTBENCH_CLOCK=wall",
		"EVENTBENCH_CONFIG=host: me\nseed: 99\n\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"EVENTBENCH_CLOCK=instrs",
		"EVENTBENCH_CONFIG=host: me\naccelerator: tcg\nqemu: 10.0.2\ncpu-model: max\nmemory: 512M\nseed: 7\nkernel-image: bzImage sha256:0123\n" +
			"cmdline: panic=-1 edd=off no_timer_check cpu_init_udelay=0 cryptomgr.notests tsc=reliable console=ttyS0 quiet 8250.nr_uarts=4 nokaslr",
		"EVENTBENCH_GUEST=1", "EVENTBENCH_X=/a/b", "GODEBUG=asyncpreemptoff=1", "GOFLAGS=-p=2", "GOMAXPROCS=1",
		"HOME=/", "PATH=/bin", "PWD=/src",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	m.Accel, m.Clock = KVM, WallClock
	got, err = m.Env([]string{"EVENTBENCH_CLOCK=instrs"})
	if err != nil || slices.ContainsFunc(got, func(kv string) bool { return strings.HasPrefix(kv, "EVENTBENCH_CLOCK") }) {
		t.Errorf("on the wall clock: %q, %v", got, err)
	}
	m.Model = "EPYC-Rome,sse4a=off"
	if got, err = m.Env(nil); err != nil || !strings.Contains(strings.Join(got, "\n"), "\ncpu-model: EPYC-Rome,sse4a=off\n") {
		t.Errorf("with a CPU of its own: %q, %v", got, err)
	}
	m.Append = strings.Repeat("x", maxCmdline)
	if _, err := m.Env(nil); err == nil || !strings.Contains(err.Error(), "-append") {
		t.Errorf("too long a command line: %v", err)
	}
}

// mustBuild builds a program that a guest could run.
func mustBuild(tb testing.TB) []byte {
	tb.Helper()
	dir := tb.TempDir()
	tooltest.MustWrite(tb, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n")
	cmd := exec.Command("go", "build", "-o", "prog", "main.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, msg)
	}
	image, err := os.ReadFile(filepath.Join(dir, "prog"))
	if err != nil {
		tb.Fatal(err)
	}
	return image
}
