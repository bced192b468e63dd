//go:build linux

// Package boots measures kernels. It boots them several times each in guests
// with counted instructions, and keeps a file of results for each boot.
//
// A boot is the sample. Its seed decides its memory layout, the order of its
// benchmarks and every other accident. A boot with the same seed repeats to the
// last digit, so a boot whose file exists is never made again.
package boots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/guest"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
	"eventbench/helpers/shard"

	"golang.org/x/perf/benchfmt"
)

// How much the usual and the gated benchmarks measure by default. The gate's
// self-test and the baselines use the same values.
const (
	UsualBenchtime = "150x" // operations in a loop of a boot
	GateBenchtime  = "100x"
	GateCount      = 3      // loops; the lowest figure counts
	HostBenchtime  = "20ms" // for a loop in a process on this kernel
)

// Settings say what each boot runs. Boots with different settings are different
// samples.
type Settings struct {
	Binary    string // a static test binary
	Bench     string // as -test.bench
	Benchtime string // operations in a loop, such as 100x
	Count     int    // loops of each benchmark in a boot; the median counts
	Guest     string // more flags for go tool eventbench guest
	Timeout   time.Duration
	Jobs      int // guests that run at a time
	Results   string
	Shard     shard.Shard // of the boots: see [MakeShard]
}

// Flags defines all settings except Binary as flags of fs. Their present values
// are the defaults.
func (s *Settings) Flags(fs *flag.FlagSet) {
	fs.StringVar(&s.Bench, "bench", s.Bench, "run the benchmarks that match `regexp`, as in go test")
	fs.StringVar(&s.Benchtime, "benchtime", s.Benchtime, "run `N`x operations in a loop")
	fs.IntVar(&s.Count, "count", s.Count, "measure each benchmark `n` times in a boot and keep the median")
	fs.IntVar(&s.Jobs, "jobs", runtime.NumCPU(), "run `n` guests at a time")
	fs.StringVar(&s.Guest, "guest", "", "pass these `flags`, separated by blanks, to go tool eventbench guest")
	fs.DurationVar(&s.Timeout, "timeout", 5*time.Minute, "give up on a boot after this `time`")
	fs.StringVar(&s.Results, "results", "results", "keep results in `dir`")
	s.Shard.Flag(fs)
}

// Check returns an error that names a flag whose value is invalid.
func (s *Settings) Check() error {
	switch {
	case s.Count < 1:
		return fmt.Errorf("-count=%d: want at least 1", s.Count)
	case s.Jobs < 1:
		return fmt.Errorf("-jobs=%d: want at least 1", s.Jobs)
	case s.Timeout <= 0:
		return fmt.Errorf("-timeout=%v: want more than 0", s.Timeout)
	case s.Bench == "":
		return errors.New("-bench: the pattern is empty; . matches all benchmarks")
	case s.Results == "":
		return errors.New("-results: the directory's name is empty")
	}
	if err := samples.CheckPattern(s.Bench); err != nil {
		return fmt.Errorf("-bench %q: %w", s.Bench, err)
	}
	var times int
	if n, err := fmt.Sscanf(s.Benchtime, "%dx", &times); n != 1 || err != nil || times < 1 || fmt.Sprintf("%dx", times) != s.Benchtime {
		return fmt.Errorf("-benchtime=%s: want a number of operations, such as 100x; a time would mean a different number on each kernel", s.Benchtime)
	}
	return nil
}

// A Kernel is a kernel to measure.
type Kernel struct {
	Arg   string // as the user named it: see guest.Column
	Label string // the column's heading
	Model string // of the CPU, if it was asked for
	Dir   string // where its boots' files are
	image string // as the results name it
	sum   [sha256.Size]byte
}

// Models returns what must be allowed to differ between kernels because somebody
// asked for that.
func Models(kernels []*Kernel) []string {
	for _, k := range kernels {
		if k.Model != kernels[0].Model {
			return []string{"cpu-model"}
		}
	}
	return nil
}

// Same reports whether two kernels have the same image and settings.
func (k *Kernel) Same(other *Kernel) bool { return k.sum == other.sum }

// A Set holds the boots of some kernels with one binary and one group of
// settings.
type Set struct {
	Settings
	Dir     string
	Arch    *guest.Arch // of the guests: the binary's
	Kernels []*Kernel

	build string // the binary's SHA-256
	guest string // the path of go tool eventbench
}

// Open finds the kernels and creates the directories for their boots:
//
//	results/kernels/BUILD/SETTINGS/KERNEL-SHA256/seed-01.txt
//
// The binary and the kernels are identified by their contents, so a kernel
// rebuilt at the same path is a different one. No other process can measure
// into the set until close is called.
func Open(ctx context.Context, s Settings, kernels []string, say func(format string, args ...any)) (set *Set, close func(), err error) {
	arch, err := s.checkProgram(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !strings.Contains(s.Guest, "-qemu") {
		if _, err := guest.FindQEMU(ctx, arch, ""); err != nil {
			return nil, nil, err
		}
	}
	build, err := results.Hash(s.Binary)
	if err != nil {
		return nil, nil, err
	}
	set = &Set{Settings: s, Arch: arch, Dir: filepath.Join(s.Results, "kernels", build[:10], s.name()), build: build}
	if err := files.MakeDir(set.Dir); err != nil {
		return nil, nil, err
	}
	cache, err := guest.UserCache()
	if err != nil {
		return nil, nil, err
	}
	for _, arg := range kernels {
		column, err := guest.ParseColumn(arg)
		if err != nil {
			return nil, nil, cli.Usage("%w", err)
		}
		image, err := guest.FindKernel(ctx, cache, arch, column.Kernel, "", false, say)
		if _, missing := os.Stat(column.Kernel); err != nil && missing == nil {
			return nil, nil, &KernelError{arg, err}
		} else if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", arg, err)
		}
		k := &Kernel{Arg: column.Arg, Label: column.Label(), Model: column.Model, image: image.Name, sum: column.Sum(image)}
		k.Dir = filepath.Join(set.Dir, fmt.Sprintf("%s-%x", files.Name(k.Label), k.sum[:5]))
		set.Kernels = append(set.Kernels, k)
	}
	close, err = results.Lock(set.Dir)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range set.Kernels {
		if err := os.MkdirAll(k.Dir, 0o777); err != nil {
			close()
			return nil, nil, err
		}
	}
	return set, close, nil
}

// name returns the name of the settings' directory.
func (s *Settings) name() string {
	pattern := results.PatternName(s.Bench)
	// The hash changes when a version changes the pattern.
	switch sum := sha256.Sum256([]byte(s.Bench)); s.Bench {
	case mechanisms.Usual:
		pattern = fmt.Sprintf("usual-%x", sum[:3])
	case mechanisms.Gate:
		pattern = fmt.Sprintf("gate-%x", sum[:3])
	}
	name := fmt.Sprintf("%s-%s-count%d", pattern, s.Benchtime, s.Count)
	if s.Guest != "" {
		name += "-" + files.Name(s.Guest)
	}
	return name
}

// A KernelError is the reason why a kernel that exists cannot be measured: it
// is not a kernel, or the guest did not run the program to its end.
type KernelError struct {
	Kernel string // as the user named it
	Err    error
}

func (e *KernelError) Error() string { return e.Kernel + ": " + e.Err.Error() }
func (e *KernelError) Unwrap() error { return e.Err }

// A Boot is one sample: a kernel and a seed.
type Boot struct {
	*Kernel
	Seed int
}

// File returns the path of the boot's results.
func (b Boot) File() string { return b.samples().File(b.Seed) }

func (k *Kernel) samples() *samples.Set { return &samples.Set{Dir: k.Dir, Kind: "seed"} }

// Missing returns the boots with seeds from first to last that have no file
// yet. They are in order of seed, so that stopping early leaves equally many
// boots of each kernel. The seed also determines the order of kernels.
func (s *Set) Missing(first, last int) ([]Boot, error) {
	var sets []*samples.Set
	for _, k := range s.Kernels {
		sets = append(sets, k.samples())
	}
	turns, err := samples.Missing(sets, first, last, 0)
	var todo []Boot
	for _, t := range turns {
		todo = append(todo, Boot{s.Kernels[t.Set], t.Number})
	}
	return todo, err
}

var errNotRun = errors.New("the program did not finish there")

// Make makes the boots, as many at a time as the settings say, and calls say
// after each. Unless keepOn is set, the first failure ends them all.
func (s *Set) Make(ctx context.Context, todo []Boot, keepOn bool, say func(format string, args ...any)) error {
	if len(todo) == 0 {
		return nil
	}
	var err error
	if s.guest == "" {
		if s.guest, err = results.Tool(ctx, "eventbench"); err != nil {
			return err
		}
	}
	enough, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu     sync.Mutex // protects say and everything below
		wg     sync.WaitGroup
		failed []error
		done   int
		start  = time.Now()
		queue  = make(chan Boot)
	)
	for range min(s.Jobs, len(todo)) {
		wg.Go(func() {
			for b := range queue {
				began := time.Now()
				one := &booting{Set: s, Boot: b, say: func(format string, args ...any) {
					mu.Lock()
					defer mu.Unlock()
					say("%s, seed %d: "+format, append([]any{b.Arg, b.Seed}, args...)...)
				}}
				err := one.make(enough)
				mu.Lock()
				done++
				switch {
				case enough.Err() != nil:
				case err != nil:
					err = fmt.Errorf("seed %d: %w", b.Seed, err)
					if errors.Is(err, errNotRun) {
						err = &KernelError{b.Arg, err}
					} else {
						err = fmt.Errorf("%s, %w", b.Arg, err)
					}
					failed = append(failed, err)
					say("%d/%d: %s, seed %d: failed after %s", done, len(todo), b.Arg, b.Seed, seconds(time.Since(began)))
					if !keepOn {
						stop()
					}
				default:
					left := ""
					if more := len(todo) - done; more > 0 {
						// This many run at a time.
						left = fmt.Sprintf("; about %s left", seconds(time.Since(start)/time.Duration(max(done, s.Jobs))*time.Duration(more)))
					}
					say("%d/%d: %s, seed %d: %s, first result after %s, %d MiB%s",
						done, len(todo), b.Arg, b.Seed, seconds(time.Since(began)), seconds(one.first), one.rss>>20, left)
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, b := range todo {
		select {
		case queue <- b:
		case <-enough.Done():
			break feed
		}
	}
	close(queue)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(failed...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// A booting is a boot in progress. It takes several guests if benchmarks end
// theirs.
type booting struct {
	*Set
	Boot
	say   func(format string, args ...any)
	first time.Duration // until the guest printed its first result
	rss   int64         // the peak, in bytes
}

// make makes the boot's file. A benchmark that ends its guest loses only its
// own results: the others are measured in another boot with the same seed.
func (b *booting) make(ctx context.Context) error {
	before, err := b.samples().Read()
	if err != nil {
		return err
	}
	sample := samples.Sample{Run: b.run, Count: b.Count, Known: samples.Known(before), Hopeless: samples.Hopeless(before),
		Going: func(name, why string) { b.say("continuing without Benchmark%s: %s", name, why) }}
	made, err := sample.Make(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	log := strings.TrimSuffix(b.File(), results.Ext) + ".log"
	if broken := (*samples.Error)(nil); errors.As(err, &broken) {
		if process.ExitCode(err) == process.NoStatus {
			err = fmt.Errorf("%w: %w", errNotRun, err)
		}
		return errors.Join(fmt.Errorf("%w\n\tits output: %s", err, log), files.Write(log, broken.Log))
	}
	if err := files.Write(log, made.Log); err != nil {
		return err
	}
	if now, err := results.Hash(b.Binary); err != nil {
		return err
	} else if now != b.build {
		return fmt.Errorf("%s was replaced by another build during this run", b.Binary)
	}
	text, err := b.reduce(made.Text, log)
	if err != nil {
		return err
	}
	alone := append(b.argv(), "-test.run=^$", "-test.v", "-test.benchtime="+b.Benchtime)
	head := samples.Alone(append([]string{"go", "tool", "eventbench"}, alone...)) + fmt.Sprintf("benchtime: %s\ncount: %d\n", b.Benchtime, b.Count)
	if err := files.Write(b.File(), append([]byte(head), text...)); err != nil {
		return err
	}
	for _, f := range made.Failures {
		if !f.Skipped {
			b.say("Benchmark%s failed: %s", f.Name, f.Message)
		}
	}
	return nil
}

// argv returns the arguments of go tool eventbench, up to and including the
// test binary.
func (b *booting) argv() []string {
	args := []string{"guest", "-kernel", b.Arg, "-seed", strconv.Itoa(b.Seed), "-accel", "tcg", "-clock", "instrs", "-timeout", b.Timeout.String()}
	return append(append(args, strings.Fields(b.Guest)...), b.Binary)
}

// run boots the guest once. -test.v shows which benchmark is running.
func (b *booting) run(ctx context.Context, skip string, stdout, stderr io.Writer) error {
	args := append(b.argv(), "-test.run=^$", "-test.v", "-test.bench="+b.Bench, "-test.benchtime="+b.Benchtime,
		"-test.count="+strconv.Itoa(b.Count), "-test.shuffle="+strconv.Itoa(b.Seed))
	if skip != "" {
		args = append(args, "-test.skip="+skip)
	}
	began := time.Now()
	watch := &firstResult{w: stdout, last: began, seen: func() { b.first = time.Since(began) }}
	if b.first > 0 {
		watch.seen = nil // an earlier boot had it
	}
	cmd := exec.Command(b.guest, args...)
	// One P for the Go runtime: its background work costs host time, mostly
	// when its threads spin on the other CPU.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = watch, stderr
	// The guest verb has its own time limit, at which it reports where the
	// guest was.
	err := process.Limits{Time: b.Timeout + time.Minute, Runner: true}.Run(ctx, cmd)
	if cmd.ProcessState != nil {
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			b.rss = max(b.rss, u.Maxrss<<10) // the largest child of the guest verb: QEMU
		}
	}
	if err != nil && time.Since(began) >= b.Timeout && time.Since(watch.last) < b.Timeout/2 {
		// It is slow, not stuck.
		return fmt.Errorf("%w: the guest was still printing when -timeout %v ended, %s before: %w",
			samples.ErrSlow, b.Timeout, seconds(time.Since(watch.last)), err)
	}
	return err
}

// firstResult records when the first benchmark's line begins and when the guest
// last printed something.
type firstResult struct {
	w    io.Writer
	seen func() // nil after the call
	last time.Time
	line []byte
}

func (f *firstResult) Write(p []byte) (int, error) {
	f.last = time.Now()
	if f.seen != nil {
		if f.line = append(f.line, p...); resultLine.Match(f.line) {
			f.seen()
			f.seen, f.line = nil, nil
		}
	}
	return f.w.Write(p)
}

// resultLine matches a benchmark's name with something after it.
var resultLine = regexp.MustCompile(`(?m)^Benchmark\S+[ \t]`)

// reduce returns a boot's results with one line for each benchmark. The value
// of a unit is the lowest of the measurements if its Unit line says so.
// Otherwise it is the median, or of an even number the lower of the middle two,
// so that it is a value that occurred.
func (b Boot) reduce(out []byte, path string) ([]byte, error) {
	f, err := results.Parse(bytes.NewReader(out), path)
	if err != nil {
		return nil, err
	}
	if len(f.Results) == 0 {
		return nil, fmt.Errorf("%s: %w: every benchmark was skipped", path, results.ErrNone)
	}
	if now := f.Results[0].GetConfig("kernel-image"); now != b.image {
		return nil, fmt.Errorf("%s was replaced during this run: it was %s and is now %s", b.Arg, b.image, now)
	}
	type key struct{ name, unit string }
	values := make(map[key][]float64)
	for _, r := range f.Results {
		for _, v := range r.Values {
			k := key{r.Name.String(), v.Unit}
			values[k] = append(values[k], v.Value)
		}
	}
	var buf bytes.Buffer
	done := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "Benchmark")
		if !ok {
			buf.WriteString(line)
			continue
		}
		fields := strings.Fields(name)
		if len(fields) < 2 || done[fields[0]] {
			continue
		}
		done[fields[0]] = true
		r := f.Results[slices.IndexFunc(f.Results, nameIs(fields[0]))]
		fmt.Fprintf(&buf, "Benchmark%s %d", r.Name, r.Iters)
		for _, v := range r.Values {
			all := slices.Sorted(slices.Values(values[key{r.Name.String(), v.Unit}]))
			at := (len(all) - 1) / 2
			if results.Lowest(f.Units, v.Unit) {
				at = 0
			}
			fmt.Fprintf(&buf, " %v %s", all[at], v.Unit)
		}
		buf.WriteByte('\n')
	}
	return buf.Bytes(), nil
}

func nameIs(name string) func(*benchfmt.Result) bool {
	return func(r *benchfmt.Result) bool { return r.Name.String() == name }
}
