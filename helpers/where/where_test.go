//go:build linux

package where

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cache"
	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/need"
	"eventbench/helpers/where/kallsyms"
)

// staticBinary builds the benchmarks as make eventbench.static does.
func staticBinary(t *testing.T, arch *guest.Arch) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "eventbench.static")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-buildvcs=false", "-ldflags=-T=0x10001000", "-o", path, ".")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch.Name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return path
}

// The benchmarks' binary has the functions and the code that a debugger and the
// log's reader look for, on each architecture.
func TestProgram(t *testing.T) {
	for _, arch := range guest.Archs {
		static := staticBinary(t, arch)
		p, err := LoadProgram(static)
		if err != nil {
			t.Errorf("%s: %v", arch, err)
			continue
		}
		// One reading before the first iteration, and one after each.
		if p.arch.guest != arch || p.begins.addr == 0 || p.ends.addr == 0 || len(p.stamps) != 2 {
			t.Errorf("%s: the loop is between %#x and %#x, and stamps are at %d places; want 2", p.arch.guest, p.begins.addr, p.ends.addr, len(p.stamps))
		}
		if !arch.Native() {
			continue
		}
		s := &Settings{}
		names, err := s.Benchmarks(t.Context(), p, nil, "EventfdSelf|NullGetppid|EpollWait")
		if got, want := strings.Join(names, " "), "NullGetppid EpollWait/ready=0 EpollWait/ready=1 EventfdSelf"; err != nil || got != want {
			t.Errorf("benchmarks %q, %v; want %q", got, err, want)
		}
		_, err = s.Benchmarks(t.Context(), p, nil, "NoSuchBenchmark")
		if err == nil || !strings.Contains(err.Error(), "no benchmark of") || !cli.IsUsage(err) {
			t.Errorf("error %v, want wrong usage: no benchmark", err)
		}
	}
}

// The debugger finds a function of the guests' init, which has no symbols.
func TestMarkerOf(t *testing.T) {
	c := cache.At(t.TempDir())
	for _, arch := range guest.Archs {
		init, err := guest.FindInit(t.Context(), c, arch, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := markerOf(init, kallsyms.Read); err != nil || m.addr == 0 || len(m.code) == 0 {
			t.Errorf("%s: %+v, %v", arch, m, err)
		}
		if _, err := markerOf(init, "eventbench/helpers/where.noSuchFunction"); err == nil || !strings.Contains(err.Error(), "no function") {
			t.Errorf("%s: error %v", arch, err)
		}
	}
}

// Every architecture that guests can have is known here.
func TestArchs(t *testing.T) {
	for _, arch := range guest.Archs {
		if a := archOf(arch); len(a.stamp) == 0 || a.layout == nil || a.classNames[loads] == "" {
			t.Errorf("%s: %+v", arch, a)
		}
	}
}

// open opens a kernel that this machine has, to measure n operations of a loop in
// so many guests at a time.
func open(t *testing.T, arch *guest.Arch, n, jobs int) (s *Settings, p *Program, kernels []*Kernel) {
	t.Helper()
	var kernel string
	switch arch {
	case guest.AMD64:
		need.Asked(t, need.HasQEMU, "a minute of boots")
		kernel = need.Kernel(t)
	case guest.ARM64:
		need.Asked(t, need.HasQEMUArm, "a minute of boots")
		kernel = need.KernelArm(t)
	}
	p, err := LoadProgram(staticBinary(t, arch))
	if err != nil {
		t.Fatal(err)
	}
	s = &Settings{N: n, Seed: 1, Jobs: jobs, Timeout: DefaultTimeout}
	kernels, err = s.Open(t.Context(), p, []string{kernel}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return s, p, kernels
}

// On a real kernel every operation is logged as long as it was counted, and the
// rows are the benchmark's own figure.
func TestKernel(t *testing.T)    { testKernel(t, guest.AMD64) }
func TestKernelArm(t *testing.T) { testKernel(t, guest.ARM64) }

func testKernel(t *testing.T, arch *guest.Arch) {
	s, p, kernels := open(t, arch, 20, 2)
	benchmarks := []string{"NullGetppid", "EventfdRoundTrip/peer=process/cpus=same"}
	shown := 0
	err := s.Profiles(t.Context(), p, kernels, benchmarks, t.Logf, func(benchmark string, profiles []*Profile, err error) error {
		if err != nil {
			return err
		}
		shown++
		r := Compare(profiles[0], nil, false)
		sum := 0
		for _, row := range r.Rows {
			sum += row.Old
			if strings.Contains(row.Function, "unknown") {
				t.Errorf("%s: %d instructions are in no known function", benchmark, row.Old)
			}
		}
		if sum != r.Old.Count || r.Old.Exact < r.Old.Measured*9/10 {
			t.Errorf("%s: rows add up to %d of %d; %d of %d operations are exact", benchmark, sum, r.Old.Count, r.Old.Exact, r.Old.Measured)
		}
		// A call's instructions are all below the program's loop.
		profiles[0].eachStack(func(stack []function, n int) {
			if benchmark == "NullGetppid" && !stack[0].User {
				t.Errorf("%d instructions are in %v", n, stack)
			}
		})
		// A system call enters the kernel and leaves it, which was seen.
		for _, c := range r.Classes {
			if strings.HasPrefix(c.Name, "entries and exits") && benchmark == "NullGetppid" && c.Old != 2 {
				t.Errorf("%d %s, want 2", c.Old, c.Name)
			}
		}
		if _, err := profiles[0].Pprof(); err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil || shown != len(benchmarks) {
		t.Errorf("%d of %d benchmarks are shown: %v", shown, len(benchmarks), err)
	}
	_ = s.Profiles(t.Context(), p, kernels, []string{"EventfdThroughput/mode=semaphore/peer=thread/cpus=same"}, t.Logf, func(benchmark string, _ []*Profile, err error) error {
		if err == nil || !strings.Contains(err.Error(), "no loop of single operations was measured") || !errors.As(err, new(*InexactError)) {
			t.Errorf("%s: error %v, want that it has no operations", benchmark, err)
		}
		return nil
	})
}

// A boot with several benchmarks has a loop of each, with a log and without
// one, and both say the same of what nothing disturbs.
func TestLoops(t *testing.T) {
	s, p, kernels := open(t, guest.AMD64, 5, 1)
	m := &measuring{Settings: s, program: p, say: t.Logf}
	benchmarks := []string{"NullGetppid", "EventfdSelf", "PipeSelf"}
	var counts [2][]int
	for i, how := range []mode{unlogged, logged} {
		loops, err := m.boot(t.Context(), kernels[0], m.Seed, benchmarks, how)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range benchmarks {
			l := loops[b]
			if l == nil || len(l.counts()) != s.N || !slices.Contains(l.counts(), l.count) || (l.trace != nil) != (how == logged) {
				t.Fatalf("the loop of %s, in mode %d, of %d: %+v", b, how, len(loops), l)
			}
			counts[i] = append(counts[i], l.count)
		}
	}
	if !slices.Equal(counts[0], counts[1]) {
		t.Errorf("instrs/op of %q: %d without a log, %d with one", benchmarks, counts[0], counts[1])
	}
}

// What two shared boots do not agree on is measured once more. What has no
// operations never will have any.
func TestDoubtful(t *testing.T) {
	check := func(r result, want bool, reason string) {
		t.Helper()
		if got := r.doubtful(); got != want {
			t.Errorf("%+v: doubtful %v, want %v", r, got, want)
		} else if want && !strings.Contains(r.reason(), reason) {
			t.Errorf("%+v: reason %q, want %q in it", r, r.reason(), reason)
		}
	}
	check(result{err: errNoLoop}, false, "")
	check(result{err: fmt.Errorf("a guest: %w", &InexactError{"no count"})}, true, "a guest: no count")
	check(result{profile: &Profile{Exact: 25, Measured: 50}}, false, "")
	check(result{profile: &Profile{Exact: 24, Measured: 50, Wrong: []string{"operation 1"}}}, true, "24 of 50 operations exact: operation 1")
}
