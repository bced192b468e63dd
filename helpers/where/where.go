//go:build linux

// Package where shows which functions the instructions of one operation are in,
// and which functions make the difference between two kernels. It is exact: the
// rows add up to the benchmark's instrs/op.
//
// A debugger stops a guest that counts instructions just before a benchmark's
// loop and just after it. In between, QEMU logs every instruction that it
// executes. An operation is what lies between two of the benchmark's stamps,
// and its part of the log must be as long as the stamps say. Symbols tell which
// function an instruction is in; calls and returns tell which functions called
// it. A second guest with the same seed, without a log, must have operations
// with the same counts, so that no figure is an artefact of logging.
package where

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/process"
	"eventbench/helpers/where/symbols"
)

// Settings say what is measured and how.
type Settings struct {
	N       int    // operations in a loop
	Seed    uint64 // of the guests
	Jobs    int    // guests at a time
	Timeout time.Duration
	QEMU    string // its program; the usual one if empty
	// Symbols are System.map or vmlinux files, for kernels that do not show
	// their symbols: one for each kernel, or none.
	Symbols []string

	arch *arch
	init []byte // of the guests
	qemu *guest.QEMU
	cpus int
}

// Defaults of Settings.
const (
	DefaultN       = 50
	DefaultTimeout = 5 * time.Minute
)

// MaxN is how many operations run without a pause: as many as a chunk in
// helpers/peer.
const MaxN = 512

// memory is the guests' memory in MiB, as go tool eventbench guest sets it.
const guestMemory = 512

// Check returns an error that names an invalid setting.
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
	}
	return nil
}

// A Kernel is a kernel that benchmarks are run on.
type Kernel struct {
	Label  string // for a column
	column guest.Column
	image  *guest.Kernel
	maps   []string // files that may have its symbols

	once    sync.Once
	symbols *symbols.Table
	err     error
}

// Open finds QEMU and the kernels for a program. args are as for -kernel of go
// tool eventbench guest: series, images, packages.
func (s *Settings) Open(ctx context.Context, p *Program, args []string, say func(string, ...any)) ([]*Kernel, error) {
	var err error
	s.arch = p.arch
	if s.qemu, err = guest.FindQEMU(ctx, s.arch.guest, s.QEMU); err != nil {
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
		column, err := guest.ParseColumn(arg)
		if err != nil {
			return nil, cli.Usage("%w", err)
		}
		image, err := guest.FindKernel(ctx, cache, s.arch.guest, column.Kernel, "", false, say)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		k := &Kernel{Label: column.Label(), column: column, image: image, maps: s.arch.mapsOf(column.Kernel)}
		for _, other := range kernels {
			if other.column.Sum(other.image) == column.Sum(image) {
				return nil, fmt.Errorf("%s and %s are the same kernel: there is nothing to compare", args[0], arg)
			}
			if other.Label == k.Label {
				k.Label = fmt.Sprintf("%s-%.3x", k.Label, image.Sum())
			}
		}
		kernels = append(kernels, k)
	}
	s.init, err = guest.FindInit(ctx, cache, s.arch.guest, say)
	return kernels, err
}

// machine returns the guest for a kernel.
func (s *Settings) machine(k *guest.Kernel) guest.Machine {
	return guest.Machine{
		QEMU: s.qemu, Kernel: k, Accel: guest.TCG, Clock: guest.InstrClock,
		CPUs: s.cpus, Memory: guestMemory, Seed: s.Seed, Init: s.init,
	}
}

// A result is a profile or the reason why there is none.
type result struct {
	profile *Profile
	err     error
}

// doubtful reports whether a benchmark must be measured alone, because it took
// different ways in two boots that it shared with others.
func (r result) doubtful() bool {
	if r.err != nil {
		return !errors.Is(r.err, errNoLoop)
	}
	return 2*r.profile.Exact < r.profile.Measured
}

// reason says why a result is doubtful.
func (r result) reason() string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("%d of %d operations exact: %s", r.profile.Exact, r.profile.Measured, r.profile.Wrong[0])
}

const (
	together = 8 // benchmarks that share a pair of boots
	tries    = 3 // pairs of boots of one benchmark alone, each of another seed
)

// Profiles measures benchmarks on kernels, with as many guests at a time as the
// settings allow. For one benchmark after the other it calls got with the
// profiles, one for each kernel, or with the reason why there are none. It
// returns early if got or ctx ends it.
//
// Several benchmarks share a boot. Both boots of a pair stop at the same
// places, because a stop may move the clock on, and then a different interrupt
// sends the rest another way. A round trip may still go another way: while one
// processor is at a stop, QEMU's main loop takes a moment to stop the other. If
// the boot without a log confirms none of a benchmark's operations, or less
// than half, the benchmark is measured alone, with another seed if that does
// not help.
func (s *Settings) Profiles(ctx context.Context, p *Program, kernels []*Kernel, benchmarks []string, say func(string, ...any),
	got func(benchmark string, profiles []*Profile, err error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	m := &measuring{Settings: s, program: p, say: say, slots: make(chan struct{}, s.Jobs)}
	results := make(map[string][]chan result)
	for _, b := range benchmarks {
		for range kernels {
			results[b] = append(results[b], make(chan result, 1))
		}
	}
	wg.Go(func() {
		for group := range slices.Chunk(benchmarks, together) {
			for i, k := range kernels {
				collect := m.start(ctx, k, i, m.Seed, group)
				wg.Go(func() {
					shared := collect()
					var again []string
					for _, b := range group {
						if r := shared[b]; len(group) > 1 && r.doubtful() {
							again = append(again, b)
						} else {
							results[b][i] <- r
						}
					}
					for _, b := range again {
						results[b][i] <- m.alone(ctx, k, i, b, shared[b])
					}
				})
			}
		}
	})
	for _, b := range benchmarks {
		var profiles []*Profile
		var errs []error
		for i, k := range kernels {
			r := <-results[b][i]
			if r.err != nil {
				errs = append(errs, fmt.Errorf("%s on %s: %w", b, k.Label, r.err))
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

// A measuring is what the boots of one run share.
type measuring struct {
	*Settings
	program *Program
	say     func(string, ...any)
	slots   chan struct{}
}

// alone measures a doubtful benchmark again, by itself, and returns the best
// result.
func (m *measuring) alone(ctx context.Context, k *Kernel, i int, benchmark string, best result) result {
	for seed := m.Seed; best.doubtful() && seed < m.Seed+tries && ctx.Err() == nil; seed++ {
		m.say("%s on %s: measuring it again alone, with seed %d: %s", benchmark, k.Label, seed, best.reason())
		r := m.start(ctx, k, i, seed, []string{benchmark})()[benchmark]
		if best.err != nil || r.err == nil && r.profile.Exact > best.profile.Exact {
			best = r
		}
	}
	return best
}

// start waits for slots for two boots of some benchmarks. It returns a function
// that waits for them and makes the profiles.
func (m *measuring) start(ctx context.Context, k *Kernel, i int, seed uint64, benchmarks []string) func() map[string]result {
	none := func(err error) map[string]result {
		all := make(map[string]result)
		for _, b := range benchmarks {
			all[b] = result{err: err}
		}
		return all
	}
	k.once.Do(func() {
		file := ""
		if i < len(m.Symbols) {
			file = m.Symbols[i]
		}
		k.symbols, k.err = m.kernelSymbols(ctx, k, file, m.say)
	})
	if k.err != nil {
		return func() map[string]result { return none(k.err) }
	}
	type outcome struct {
		loops map[string]*loop
		took  time.Duration
		err   error
	}
	begin := func(how mode) chan outcome {
		done := make(chan outcome, 1)
		select {
		case m.slots <- struct{}{}:
		case <-ctx.Done():
			done <- outcome{err: context.Cause(ctx)}
			return done
		}
		go func() {
			began := time.Now()
			loops, err := m.boot(ctx, k, seed, benchmarks, how)
			<-m.slots
			done <- outcome{loops, time.Since(began), err}
		}()
		return done
	}
	log, ref := begin(logged), begin(unlogged)
	return func() map[string]result {
		l, u := <-log, <-ref
		if u.err != nil { // as it is without a log
			return none(u.err)
		}
		if l.err != nil {
			return none(l.err)
		}
		all := make(map[string]result)
		exact, measured, size := 0, 0, 0
		for _, b := range benchmarks {
			p, err := m.profile(k, seed, b, u.loops[b], l.loops[b])
			all[b] = result{p, err}
			if err == nil {
				exact, measured, size = exact+p.Exact, measured+p.Measured, size+l.loops[b].bytes
			}
		}
		m.say("%s on %s: %d of %d operations exact; boots of %.1f and %.1f s, %d MB logged",
			strings.Join(benchmarks, ", "), k.Label, exact, measured, u.took.Seconds(), l.took.Seconds(), size/1e6)
		return all
	}
}

// profile makes a profile of a benchmark's loops in the two boots.
func (m *measuring) profile(k *Kernel, seed uint64, benchmark string, unlogged, logged *loop) (*Profile, error) {
	if unlogged == nil || logged == nil {
		return nil, errNoLoop
	}
	tree, ops, err := attribute(m.program.arch, logged.trace, logged.code, k.symbols, m.program.table, logged.stamps, m.program.isStamp)
	if err != nil {
		return nil, err
	}
	p, err := newProfile(unlogged, tree, ops)
	if err != nil {
		return nil, err
	}
	p.Kernel, p.Image, p.Release, p.Seed = k.Label, k.image.Name, k.image.Release, seed
	p.kernel, p.classNames = k.symbols, &m.program.arch.classNames
	return p, nil
}

// boot runs benchmarks once.
func (m *measuring) boot(ctx context.Context, k *Kernel, seed uint64, benchmarks []string, how mode) (map[string]*loop, error) {
	ctx, cancel := m.limit(ctx)
	defer cancel()
	machine, g, err := m.prepare(m.program, k, seed, arguments(benchmarks, m.N, seed))
	if err != nil {
		return nil, err
	}
	return boot(ctx, machine, g, m.program, how)
}

// limit limits the time of a boot.
func (s *Settings) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("stopped at -timeout %v", s.Timeout))
}

// prepare returns a guest and what it runs: the program, with one processor for
// the Go runtime, as in the boots of other tools.
func (s *Settings) prepare(p *Program, k *Kernel, seed uint64, args []string) (guest.Machine, *guest.Program, error) {
	m := s.machine(k.image)
	if err := k.column.Set(&m); err != nil {
		return m, nil, err
	}
	m.Seed = seed
	g, err := guest.LoadProgram(p.Path, args, ".")
	if err == nil {
		g.Env, err = m.Env(append(os.Environ(), oneProcessor))
	}
	return m, g, err
}

const oneProcessor = "GOMAXPROCS=1"

// arguments returns the test binary's arguments for some benchmarks.
func arguments(benchmarks []string, n int, seed uint64) []string {
	return []string{
		"-test.run=^$", "-test.bench=" + Pattern(benchmarks...), "-test.benchtime=" + strconv.Itoa(n) + "x",
		"-test.count=1", "-test.shuffle=" + strconv.FormatUint(seed, 10),
	}
}

// Pattern returns the pattern for -bench that matches these benchmarks and no
// others.
func Pattern(benchmarks ...string) string {
	var all []string
	for _, b := range benchmarks {
		var parts []string
		for part := range strings.SplitSeq("Benchmark"+b, "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}

// Benchmarks lists the benchmarks that a pattern matches. It runs each once,
// because the names of sub-benchmarks are known only when they run: on this
// machine if it can run the program, else in a guest of one of the kernels.
func (s *Settings) Benchmarks(ctx context.Context, p *Program, kernels []*Kernel, pattern string) ([]string, error) {
	args := []string{"-test.run=^$", "-test.bench=" + pattern, "-test.benchtime=1x"}
	out, stderr, err := s.run(ctx, p, kernels, args)
	var names []string
	for line := range strings.Lines(out) {
		name, ok := strings.CutPrefix(line, "Benchmark")
		if f := strings.Fields(name); ok && len(f) > 2 && !slices.Contains(names, f[0]) {
			names = append(names, f[0])
		}
	}
	if err != nil && len(names) == 0 {
		return nil, fmt.Errorf("list the benchmarks of %s that match %q: %w\n%s%s", p.Path, pattern, err, tail(out), tail(stderr))
	}
	if len(names) == 0 {
		return nil, cli.Usage("-bench %q: no benchmark of %s matches (%s -test.list=^Benchmark lists them; here their names begin with Benchmark)", pattern, p.Path, p.Path)
	}
	return names, nil
}

// run runs the program on this machine or in a guest.
func (s *Settings) run(ctx context.Context, p *Program, kernels []*Kernel, args []string) (stdout, stderr string, err error) {
	if p.arch.guest.Native() {
		cmd := exec.Command(p.Path, args...)
		cmd.Env = append(os.Environ(), oneProcessor)
		return process.Limits{}.Output(ctx, cmd)
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	m, g, err := s.prepare(p, kernels[0], s.Seed, args)
	if err != nil {
		return "", "", err
	}
	var out, errOut strings.Builder
	status, err := m.Run(ctx, g, &out, &errOut)
	if err == nil && status != 0 {
		err = fmt.Errorf("the program ended with status %d", status)
	}
	return out.String(), errOut.String(), err
}
