//go:build linux

package arms

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
	"eventbench/helpers/guest"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
)

// kernels boots its arms.
type kernels struct {
	boots.Settings
	seed     int
	old      string // the kernel, as given
	recorded side   // or recorded results in its place
	set      *boots.Set
	unlock   func()
	where    bool // name the functions that changed
	say      func(string, ...any)
}

// An oldError is caused by OLD, not NEW.
type oldError struct{ error }

func (e oldError) Unwrap() error { return e.error }

func (k *kernels) flags(fs *flag.FlagSet, o *options) {
	k.Bench, k.Benchtime, k.Count = mechanisms.Gate, boots.GateBenchtime, boots.GateCount
	k.Flags(fs)
	o.max = gate.MostBoots
	o.flags(fs)
	fs.BoolVar(&k.where, "where", true, "show the functions that make up most of each regression and improvement")
}

// names checks the operands and returns the kernels to boot.
func (k *kernels) names(ctx context.Context, operands []string, o options) ([]string, error) {
	if err := k.Check(); err != nil {
		return nil, cli.Usage("%w", err)
	}
	if len(operands) != 3 {
		return nil, cli.Usage("want a static test binary (make eventbench.static) and two kernels, OLD and NEW, have %q", operands)
	}
	k.Binary = operands[0]
	names := operands[1:]
	for i, name := range names {
		if name == "" {
			return nil, cli.Usage("%s is empty: want a kernel, a series such as 6.12 or the path of an image (make gate-kernels OLD=6.12 NEW=bzImage)", []string{"OLD", "NEW"}[i])
		}
	}
	switch {
	case isRecorded(names[1]):
		return nil, cli.Usage("NEW, %s, is a file of results, not a kernel: go tool eventbench gate compares results", names[1])
	case isRecorded(names[0]):
		files, err := results.Find(names[0])
		if err != nil {
			return nil, err
		}
		k.recorded, names = side{name: names[0], files: files}, names[1:]
	}
	for _, name := range names {
		column, err := guest.ParseColumn(name)
		if err != nil {
			return nil, cli.Usage("%w", err)
		}
		if _, err := os.Stat(column.Kernel); err != nil && strings.Contains(column.Kernel, "/") {
			return nil, fmt.Errorf("kernel: %w", err)
		}
	}
	if len(names) == 2 {
		k.old = names[0]
	} else if err := k.checkRecorded(ctx, o.gate.Allow); err != nil {
		return nil, err
	}
	return names, nil
}

func (k *kernels) open(ctx context.Context, operands []string, o options, say func(string, ...any)) error {
	k.seed, k.say = o.seed, say
	names, err := k.names(ctx, operands, o)
	if err != nil {
		return err
	}
	if k.set, k.unlock, err = boots.Open(ctx, k.Settings, names, say); err != nil {
		return k.blame(err)
	}
	if both := k.set.Kernels; len(both) == 2 && both[0].Same(both[1]) {
		k.unlock()
		return fmt.Errorf("OLD, %s, and NEW, %s, are the same kernel (their images and settings are equal): there is nothing to compare", both[0].Arg, both[1].Arg)
	}
	return nil
}

// makeShard makes a shard's part of all boots that the last look needs: whether
// fewer would do, no machine that has only a part can tell.
func (k *kernels) makeShard(ctx context.Context, operands []string, o options, say func(string, ...any)) error {
	if err := o.check(); err != nil {
		return cli.Usage("%w", err)
	}
	looks, err := gate.Looks(gate.FirstBoots, o.max, gate.DefaultAlpha)
	if err != nil {
		return cli.Usage("-max %d: %w", o.max, err)
	}
	if o.bisect || o.canary || o.out.Given() {
		return cli.Usage("-shard: a shard judges nothing: -bisect, -canary and -format are for the same command without, once merge has put the shards together")
	}
	names, err := k.names(ctx, operands, o)
	if err != nil {
		return err
	}
	return boots.MakeShard(ctx, "gate-kernels", k.Settings, names, o.seed, o.seed+looks[len(looks)-1].N-1, say)
}

// checkRecorded refuses recorded results that the gate would refuse after
// booting: those of another QEMU, if its version is known, of another harness,
// or with other settings.
func (k *kernels) checkRecorded(ctx context.Context, allow []string) error {
	program, err := guest.LoadProgram(k.Binary, nil, ".")
	if err != nil {
		return err
	}
	qemu := ""
	if !strings.Contains(k.Guest, "-qemu") {
		q, err := guest.FindQEMU(ctx, program.Arch(), "")
		if err != nil {
			return err
		}
		qemu = q.Version
	}
	harness := ""
	if program.Arch().Native() {
		if harness, err = k.harness(ctx); err != nil {
			return err
		}
	}
	here := []struct{ key, value string }{
		{"goarch", program.Arch().Name}, {"qemu", qemu}, {"harness", harness}, {"benchtime", k.Benchtime}, {"count", strconv.Itoa(k.Count)},
	}
	for _, path := range k.recorded.files {
		f, err := results.Read(path)
		if err != nil {
			return err
		}
		config := f.Config()
		for _, h := range here {
			if there := strings.Join(config[h.key], ", "); h.value != "" && there != h.value && !slices.Contains(allow, h.key) {
				return fmt.Errorf("results differ in %s: %q in %s, %q here: record it again (make baselines), or name the kernel as OLD; if that is intended: -allow %[1]s", h.key, there, path, h.value)
			}
		}
	}
	return nil
}

// harness asks a test binary, which must run on this machine too, for the
// harness that its results will name. Other programs' results name none.
func (k *kernels) harness(ctx context.Context) (string, error) {
	path, err := filepath.Abs(k.Binary)
	if err != nil {
		return "", err
	}
	out, stderr, err := process.Prompt.Output(ctx, exec.Command(path, "-test.run=^$", "-test.bench=^$"))
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", k.Binary, err, stderr)
	}
	for line := range strings.Lines(out) {
		if id, ok := strings.CutPrefix(line, "harness: "); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", nil
}

// isRecorded reports whether the argument names recorded results rather than a
// kernel.
func isRecorded(arg string) bool {
	fi, err := os.Stat(arg)
	return err == nil && (fi.IsDir() || filepath.Ext(arg) == results.Ext)
}

// blame marks an error as OLD's.
func (k *kernels) blame(err error) error {
	var kernel *boots.KernelError
	if errors.As(err, &kernel) && kernel.Kernel == k.old {
		return oldError{err}
	}
	return err
}

func (k *kernels) close() { k.unlock() }

func (k *kernels) measure(ctx context.Context, n int) (old, new side, err error) {
	last := k.seed + n - 1
	todo, err := k.set.Missing(k.seed, last)
	if err != nil {
		return old, new, err
	}
	if len(todo) > 0 {
		k.say("%d boots to go until the gate looks at %d of each kernel, %d at a time, into %s", len(todo), n, k.Jobs, k.set.Dir)
	}
	if err := k.set.Make(ctx, todo, false, k.say); err != nil {
		return old, new, k.blame(err)
	}
	sides := []side{k.recorded}
	if k.recorded.files == nil {
		sides = nil
	}
	for _, kernel := range k.set.Kernels {
		sides = append(sides, bootsSide(kernel, k.seed, last))
	}
	sides[1].asked = boots.Models(k.set.Kernels)
	return sides[0], sides[1], nil
}

// bootsSide is the boots of a kernel with seeds from first to last.
func bootsSide(kernel *boots.Kernel, first, last int) side {
	var files []string
	for seed := first; seed <= last; seed++ {
		files = append(files, boots.Boot{Kernel: kernel, Seed: seed}.File())
	}
	return sideIn(kernel.Dir, files)
}
