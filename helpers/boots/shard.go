//go:build linux

package boots

import (
	"context"
	"fmt"
	"slices"

	"eventbench/helpers/guest"
)

// A unit is a boot that a shard makes or another one does.
type unit struct {
	kernel int // index in the command's kernels
	seed   int
}

// MakeShard makes the boots of s.Shard, of those of the kernels with seeds from
// first to last. It looks only for the kernels that it boots. verb is the
// command whose plan it leaves. A boot that fails does not end the others.
func MakeShard(ctx context.Context, verb string, s Settings, kernels []string, first, last int, say func(format string, args ...any)) error {
	var units []string
	var own []unit
	var names []string // of the shard's own kernels
	for seed := first; seed <= last; seed++ {
		for i, kernel := range kernels {
			if s.Shard.Has(len(units)) {
				own = append(own, unit{i, seed})
				if !slices.Contains(names, kernel) {
					names = append(names, kernel)
				}
			}
			units = append(units, unitName(kernels, i, seed))
		}
	}
	s.Results = s.Shard.Results(s.Results)
	set, done, err := Open(ctx, s, names, say)
	if err != nil {
		return err
	}
	defer done()
	plan := s.Shard.New(verb, set.Arch.Name+" "+s.name())
	plan.Samples, plan.Units, plan.Inputs["test binary"] = true, units, set.build
	mine := make(map[Boot]bool)
	for _, u := range own {
		boot := Boot{set.Kernels[slices.Index(names, kernels[u.kernel])], u.seed}
		mine[boot] = true
		plan.Inputs[kernelName(kernels, u.kernel)] = fmt.Sprintf("%x", boot.sum)
		if err := plan.Add(s.Results, unitName(kernels, u.kernel, u.seed), boot.File()); err != nil {
			return err
		}
	}
	if err := plan.Write(s.Results); err != nil {
		return err
	}
	todo, err := set.Missing(first, last)
	if err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(b Boot) bool { return !mine[b] })
	say("%d of the %d boots of shard %s to go, %d at a time, into %s", len(todo), len(own), s.Shard, s.Jobs, set.Dir)
	return set.Make(ctx, todo, true, say)
}

// kernelName returns a kernel's name in plans. Two of a command's may have one
// label, old/bzImage and new/bzImage. Open refuses one that is no column.
func kernelName(kernels []string, i int) string {
	label := func(arg string) string { c, _ := guest.ParseColumn(arg); return c.Label() }
	name := label(kernels[i])
	for _, before := range kernels[:i] {
		if label(before) == name {
			return fmt.Sprintf("kernel %s.%d", name, i+1)
		}
	}
	return "kernel " + name
}

func unitName(kernels []string, i, seed int) string {
	return fmt.Sprintf("%s seed %d", kernelName(kernels, i), seed)
}
