//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/gate"
	"eventbench/helpers/guest"
	"eventbench/helpers/results"
)

// kernels are arms that are booted.
type kernels struct {
	boots.Settings
	seed     int
	old      string // as given, or
	recorded side   // results in its place
	set      *boots.Set
	unlock   func()
	say      func(string, ...any)
}

// An oldError is about OLD and not NEW.
type oldError struct{ error }

func (e oldError) Unwrap() error { return e.error }

func (k *kernels) newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("arms kernels", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	k.Bench, k.Benchtime, k.Count = boots.Gate, boots.GateBenchtime, boots.GateCount
	k.Flags(fs)
	o.max = gate.MostBoots
	o.flags(fs)
	return fs
}

func (k *kernels) open(ctx context.Context, operands []string, o options, say func(string, ...any)) error {
	if err := k.Check(); err != nil {
		return usageError{err}
	}
	if len(operands) != 3 {
		return usageError{fmt.Errorf("want a static test binary (make eventbench.static) and two kernels, OLD and NEW, have %q", operands)}
	}
	k.seed, k.say = o.seed, say
	k.Binary = operands[0]
	names := operands[1:]
	switch {
	case isRecorded(names[1]):
		return usageError{fmt.Errorf("NEW, %s, is not a kernel but results: go tool gate compares results", names[1])}
	case isRecorded(names[0]):
		files, err := results.Find(names[0])
		if err != nil {
			return err
		}
		k.recorded, names = side{names[0], files}, names[1:]
	}
	// What is missing here is no fault of a kernel's.
	if !strings.Contains(k.Guest, "-qemu") {
		if _, err := guest.FindQEMU(ctx, ""); err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil && strings.Contains(name, "/") {
			return fmt.Errorf("kernel: %w", err)
		}
	}
	if len(names) == 2 {
		k.old = names[0]
	}
	var err error
	if k.set, k.unlock, err = boots.Open(ctx, k.Settings, names, say); err != nil {
		return k.blame(err)
	}
	if both := k.set.Kernels; len(both) == 2 && both[0].Same(both[1]) {
		k.unlock()
		return fmt.Errorf("OLD, %s, and NEW, %s, are the same kernel (their images are equal): there is nothing to compare", both[0].Arg, both[1].Arg)
	}
	return nil
}

// isRecorded reports whether the argument means results and not a kernel.
func isRecorded(arg string) bool {
	fi, err := os.Stat(arg)
	return err == nil && (fi.IsDir() || filepath.Ext(arg) == results.Ext)
}

// blame marks an error that is OLD's.
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
		s := side{name: kernel.Dir}
		for seed := k.seed; seed <= last; seed++ {
			s.files = append(s.files, boots.Boot{Kernel: kernel, Seed: seed}.File())
		}
		if all, err := results.Find(kernel.Dir); err != nil || !slices.Equal(all, s.files) {
			s.name = strings.Join(s.files, ",")
		}
		sides = append(sides, s)
	}
	return sides[0], sides[1], nil
}
