//go:build linux

package where

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cli"
	"eventbench/helpers/need"
)

// staticBinary builds the benchmarks as make eventbench.static does.
func staticBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "eventbench.static")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-buildvcs=false", "-o", path, ".")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return path
}

// The benchmarks' binary has the functions and the code that a debugger and the
// log's reader look for.
func TestProgram(t *testing.T) {
	static := staticBinary(t)
	p, err := LoadProgram(static)
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(static)
	if err != nil {
		t.Fatal(err)
	}
	image[18] = byte(elf.EM_AARCH64) // e_machine, see elf(5)
	foreign := filepath.Join(t.TempDir(), "arm.static")
	if err := os.WriteFile(foreign, image, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadProgram(foreign); err == nil || !strings.Contains(err.Error(), "a program for arm64, whose instructions where does not read") {
		t.Errorf("of a program for arm64: %v", err)
	}
	// One reading before the first iteration, and one after each.
	if p.begins.addr == 0 || p.ends.addr == 0 || len(p.stamps) != 2 {
		t.Errorf("the loop is between %#x and %#x, and stamps are at %d places; want 2", p.begins.addr, p.ends.addr, len(p.stamps))
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	names, err := p.Benchmarks(t.Context(), "EventfdSelf|NullGetppid|EpollWait")
	if got, want := strings.Join(names, " "), "NullGetppid EpollWait/ready=0 EpollWait/ready=1 EventfdSelf"; err != nil || got != want {
		t.Errorf("benchmarks %q, %v; want %q", got, err, want)
	}
	for pattern, want := range map[string]string{"NoSuchBenchmark": "no benchmark of", "EventfdSelf|(": "missing closing )"} {
		if _, err := p.Benchmarks(t.Context(), pattern); err == nil || !strings.Contains(err.Error(), want) || !cli.IsUsage(err) {
			t.Errorf("-bench %s: error %v, want wrong usage: %s", pattern, err, want)
		}
	}
}

// open opens a kernel that this machine has, to measure n operations of a loop in
// so many guests at a time. It returns no settings if the test was tried in a
// static binary.
func open(t *testing.T, n, jobs int) (s *Settings, p *Program, kernels []*Kernel) {
	t.Helper()
	need.Asked(t, need.HasQEMU, "a minute of boots")
	kernel := need.Kernel(t)
	if triedStatic(t) {
		return nil, nil, nil
	}
	p, err := LoadProgram(staticBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	s = &Settings{N: n, Seed: 1, Jobs: jobs, Timeout: DefaultTimeout}
	kernels, err = s.Open(t.Context(), []string{kernel}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return s, p, kernels
}

// On a real kernel every operation is logged as long as it was counted, and the
// rows are the benchmark's own figure.
func TestKernel(t *testing.T) {
	s, p, kernels := open(t, 20, 2)
	if s == nil {
		return
	}
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
	s, p, kernels := open(t, 5, 1)
	if s == nil {
		return
	}
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
