//go:build linux

// Package where says in which functions the instructions of one operation are,
// and which functions make the difference between two kernels. It is exact: its
// rows add up to the benchmark's own instrs/op.
//
// A guest with counted instructions is stopped by a debugger just before a
// benchmark's loop and just after it. Between the two QEMU logs every
// instruction that it executes. What is between two of the benchmark's stamps is
// an operation, and the log has as many instructions of it as the stamps say.
// Symbols tell which functions they are in, calls and returns which functions
// called those. A second guest of the same seed, without the log, has to have
// taken operations of the same counts: no figure is the log's own doing.
package where

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/guest"
	"eventbench/helpers/process"
	"eventbench/helpers/where/symbols"
)

// Settings say what is measured, and how.
type Settings struct {
	N       int    // operations in a loop
	Seed    uint64 // of the guests
	Jobs    int    // guests at a time
	Timeout time.Duration
	QEMU    string // its program; the usual one if empty
	// Symbols are System.map or vmlinux files, for kernels that do not tell
	// their symbols themselves: one for each kernel, or none.
	Symbols []string

	qemu *guest.QEMU
	cpus int
}

// Defaults of Settings.
const (
	DefaultN       = 50
	DefaultTimeout = 5 * time.Minute
)

// MaxN is how many operations run without a pause: those of a piece of
// helpers/peer.
const MaxN = 512

// memory is the guests', in MiB, as go tool guest gives it.
const guestMemory = 512

// Check says which setting has a value that it cannot have.
func (s *Settings) Check(kernels int) error {
	switch {
	case s.N < 2 || s.N > MaxN:
		return fmt.Errorf("-n %d: want 2 to %d operations", s.N, MaxN)
	case s.Jobs < 1:
		return fmt.Errorf("-jobs %d: want at least 1", s.Jobs)
	case s.Timeout <= 0:
		return fmt.Errorf("-timeout %v: want more than 0", s.Timeout)
	case len(s.Symbols) > kernels:
		return fmt.Errorf("-symbols is given %d times, for %d kernels", len(s.Symbols), kernels)
	case runtime.GOARCH != "amd64":
		return fmt.Errorf("guests are x86-64, and this tool, which is their init, is built for %s", runtime.GOARCH)
	}
	return nil
}

// A Kernel is one that benchmarks are run on.
type Kernel struct {
	Label string // for a column
	image *guest.Kernel

	once    sync.Once
	symbols *symbols.Table
	err     error
}

// Open finds QEMU and the kernels. args are as go tool guest's -kernel takes
// them: series, images, packages.
func (s *Settings) Open(ctx context.Context, args []string, say func(string, ...any)) ([]*Kernel, error) {
	var err error
	if s.qemu, err = guest.FindQEMU(ctx, s.QEMU); err != nil {
		return nil, err
	}
	m := guest.Machine{QEMU: s.qemu, Clock: guest.InstrClock}
	if err := m.ChooseCPUs(say); err != nil {
		return nil, err
	}
	s.cpus = m.CPUs
	cache, err := guest.UserCache()
	if err != nil {
		return nil, err
	}
	var kernels []*Kernel
	for _, arg := range args {
		image, err := guest.FindKernel(ctx, cache, arg, "", false, say)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		k := &Kernel{Label: boots.Label(arg), image: image}
		for _, other := range kernels {
			if other.image.Sum() == image.Sum() {
				return nil, fmt.Errorf("%s and %s are the same kernel: nothing makes a difference", args[0], arg)
			}
			if other.Label == k.Label {
				k.Label = fmt.Sprintf("%s-%.3x", k.Label, image.Sum())
			}
		}
		kernels = append(kernels, k)
	}
	return kernels, nil
}

// machine is the guest for a kernel.
func (s *Settings) machine(k *guest.Kernel) guest.Machine {
	return guest.Machine{
		QEMU: s.qemu, Kernel: k, Accel: guest.TCG, Clock: guest.InstrClock,
		CPUs: s.cpus, Memory: guestMemory, Seed: s.Seed,
	}
}

// Profiles measures benchmarks on kernels, as many guests at a time as the
// settings say. It calls got with the profiles of one benchmark after the
// other, a kernel each, or with the reason why there are none. It returns
// early where got or ctx does not want any more.
func (s *Settings) Profiles(ctx context.Context, p *Program, kernels []*Kernel, benchmarks []string, say func(string, ...any),
	got func(benchmark string, profiles []*Profile, err error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	type result struct {
		profile *Profile
		err     error
	}
	slots := make(chan struct{}, s.Jobs)
	results := make([][]chan result, len(benchmarks))
	for i := range benchmarks {
		results[i] = make([]chan result, len(kernels))
		for k := range kernels {
			results[i][k] = make(chan result, 1)
		}
	}
	wg.Go(func() {
		for i, b := range benchmarks {
			for k, kernel := range kernels {
				// Each of the two boots waits for a slot, in order: what is
				// asked for first is there first.
				p := s.prepare(ctx, slots, p, kernel, k, b, say)
				wg.Go(func() {
					profile, err := p()
					results[i][k] <- result{profile, err}
				})
			}
		}
	})
	for i, b := range benchmarks {
		var profiles []*Profile
		var errs []error
		for k := range kernels {
			r := <-results[i][k]
			if r.err != nil {
				errs = append(errs, fmt.Errorf("%s on %s: %w", b, kernels[k].Label, r.err))
			}
			profiles = append(profiles, r.profile)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := got(b, profiles, errors.Join(errs...)); err != nil {
			return err
		}
	}
	return nil
}

// prepare waits for slots for the boots of one profile, and returns what makes
// it.
func (s *Settings) prepare(ctx context.Context, slots chan struct{}, p *Program, k *Kernel, i int, benchmark string, say func(string, ...any)) func() (*Profile, error) {
	k.once.Do(func() {
		file := ""
		if i < len(s.Symbols) {
			file = s.Symbols[i]
		}
		k.symbols, k.err = s.kernelSymbols(ctx, k.image, file, say)
	})
	if k.err != nil {
		return func() (*Profile, error) { return nil, k.err }
	}
	type outcome struct {
		*bootResult
		err error
	}
	start := func(how mode) chan outcome {
		done := make(chan outcome, 1)
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			done <- outcome{&bootResult{}, context.Cause(ctx)}
			return done
		}
		go func() {
			r, err := s.boot(ctx, p, k, benchmark, how)
			<-slots
			done <- outcome{r, err}
		}()
		return done
	}
	log, ref := start(logged), start(unlogged)
	return func() (*Profile, error) {
		l, u := <-log, <-ref
		if u.err != nil { // as it is without a log
			return nil, u.err
		}
		if l.err != nil {
			return nil, l.err
		}
		tree, ops, err := attribute(l.trace, l.code, k.symbols, p.table, l.stamps, p.isStamp)
		if err != nil {
			return nil, err
		}
		profile, err := newProfile(u.bootResult, l.bootResult, tree, ops)
		if err != nil {
			return nil, err
		}
		profile.Benchmark, profile.Kernel, profile.Image, profile.Release = benchmark, k.Label, k.image.Name, k.image.Release
		profile.Seed = s.Seed
		profile.kernel, profile.program = k.symbols, p.table
		say("%s on %s: %d of %d operations exact; boots of %.1f and %.1f s, %d MB logged", benchmark, k.Label, profile.Exact, profile.Measured,
			u.took.Seconds(), l.took.Seconds(), l.bytes/1e6)
		return profile, nil
	}
}

// boot runs a benchmark once.
func (s *Settings) boot(ctx context.Context, p *Program, k *Kernel, benchmark string, how mode) (*bootResult, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("stopped at -timeout %v", s.Timeout))
	defer cancel()
	m := s.machine(k.image)
	g, err := guest.LoadProgram(p.Path, arguments(benchmark, s.N, s.Seed), ".")
	if err != nil {
		return nil, err
	}
	// One processor for the Go runtime, as boots of other tools have it.
	if g.Env, err = m.Env(append(os.Environ(), "GOMAXPROCS=1")); err != nil {
		return nil, err
	}
	return boot(ctx, m, g, p, how)
}

// arguments are those of the test binary for one benchmark.
func arguments(benchmark string, n int, seed uint64) []string {
	return []string{
		"-test.run=^$", "-test.bench=" + exactly(benchmark), "-test.benchtime=" + strconv.Itoa(n) + "x",
		"-test.count=1", "-test.shuffle=" + strconv.FormatUint(seed, 10),
	}
}

// exactly is the pattern that matches one benchmark and no other.
func exactly(benchmark string) string {
	var parts []string
	for part := range strings.SplitSeq("Benchmark"+benchmark, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(parts, "/")
}

// Benchmarks lists the benchmarks that a pattern matches, by running each once
// on this machine: only a benchmark that runs tells the names of its parts.
func (p *Program) Benchmarks(ctx context.Context, pattern string) ([]string, error) {
	cmd := exec.Command(p.Path, "-test.run=^$", "-test.bench="+pattern, "-test.benchtime=1x")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var out, stderr process.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := process.Run(ctx, cmd)
	var names []string
	for line := range strings.Lines(out.String()) {
		name, ok := strings.CutPrefix(line, "Benchmark")
		if f := strings.Fields(name); ok && len(f) > 2 && !slices.Contains(names, f[0]) {
			names = append(names, f[0])
		}
	}
	if err != nil && len(names) == 0 {
		return nil, fmt.Errorf("list the benchmarks of %s that match %q: %w\n%s%s", p.Path, pattern, err, tail(out.Bytes()), tail(stderr.Bytes()))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("-bench %q: no benchmark of %s matches (%s -test.list=^Benchmark lists them; here their names begin with Benchmark)", pattern, p.Path, p.Path)
	}
	return names, nil
}
