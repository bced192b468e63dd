//go:build linux

package arms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
)

const (
	// plantedLength is how many comparisons of a seccomp filter each system
	// call takes in the arm with a planted cost. The gate's self-test plants
	// as many.
	plantedLength = 200
	// canaryLooks is how many looks the canary takes. A gate that cannot
	// find such a cost in the second finds little.
	canaryLooks = 2
	// otherSeeds is added to the seed for boots of OLD that are OLD again.
	otherSeeds = 1000
)

// A canaryError says which of the verdicts that are known the gate got wrong.
type canaryError struct{ error }

func (e *canaryError) Unwrap() error { return e.error }

// Testable arms have a canary.
type testable interface {
	arms
	canary(ctx context.Context) (*canary, error)
}

// A canary is two pairs of arms whose verdicts are known.
type canary struct {
	of      string // OLD, or NEW where OLD is recorded results
	planted arms   // it, and it with a known cost
	again   arms   // it, and it again
}

// believe has the gate judge the canary. It returns a note for the report, or a
// *canaryError if the planted cost is no regression or the same again is one.
func believe(ctx context.Context, o options, say func(string, ...any), first int, a testable) (note string, err error) {
	bird, err := a.canary(ctx)
	if err != nil {
		return "", err
	}
	defer bird.planted.close()
	defer bird.again.close()
	o.gate.AllowCannotTell = false // a planted cost must be found
	looks, err := gate.Looks(first, o.max, cmp.Or(o.gate.Alpha, gate.DefaultAlpha))
	if err != nil {
		return "", cli.Usage("-max %d: %w", o.max, err)
	}
	o.max = looks[min(canaryLooks, len(looks))-1].N
	judge := func(what string, pair arms) (*gate.Report, error) {
		say("canary: %s", what)
		r, err := look(ctx, o, say, first, pair)
		switch {
		case err == nil:
			say("canary: %s: %s", what, r.Summary())
		case errors.As(err, new(*canaryError)), ctx.Err() == nil && !errors.As(err, new(*boots.KernelError)):
			err = &canaryError{fmt.Errorf("%s: %w", what, err)}
		}
		return r, err
	}
	plant := fmt.Sprintf("%s with a seccomp filter of %d comparisons before each system call", bird.of, plantedLength)
	found, err := judge(plant, bird.planted)
	if err != nil {
		return "", err
	}
	if found.Outcome != gate.Fail {
		return "", &canaryError{fmt.Errorf("%s is no regression: %s", plant, found.Summary())}
	}
	same := bird.of + " against itself"
	alarm, err := judge(same, bird.again)
	if err != nil {
		return "", err
	}
	if alarm.Outcome == gate.Fail {
		return "", &canaryError{fmt.Errorf("%s is a regression: %s: %s", same, alarm.Summary(), worst(alarm))}
	}
	return fmt.Sprintf("canary: %s: %s. %s: %s", plant, found.Summary(), same, alarm.Summary()), nil
}

// worst names the first thing that fails a report.
func worst(r *gate.Report) string {
	f := r.Run().Suites[0].Findings[0]
	return strings.TrimSpace(f.Name+" "+f.Unit) + ": " + f.Reason
}

// A bootCanary is a pair of kernels' arms of which the new side is the old.
type bootCanary struct {
	old, new *boots.Set
	seed     int // of the old side
	other    int // of the new
	say      func(string, ...any)
	blame    func(error) error // for what OLD does
	done     func()
}

// canary keeps its boots apart from the others: no one should take them for
// those of the kernel.
func (k *kernels) canary(ctx context.Context) (*canary, error) {
	kernel := k.set.Kernels[0]
	of := "OLD"
	if k.recorded.files != nil {
		of = "NEW"
	}
	old := *k.set
	old.Kernels = old.Kernels[:1]
	open := func(guest string) (*boots.Set, func(), error) {
		s := k.Settings
		s.Results = filepath.Join(s.Results, "canary")
		s.Guest = strings.TrimSpace(s.Guest + guest)
		return boots.Open(ctx, s, []string{kernel.Arg}, k.say)
	}
	slow, done, err := open(" -seccomp " + strconv.Itoa(plantedLength))
	if err != nil {
		return nil, err
	}
	same, done2, err := open("")
	if err != nil {
		done()
		return nil, err
	}
	return &canary{of, &bootCanary{&old, slow, k.seed, k.seed, k.say, k.blame, done}, &bootCanary{&old, same, k.seed, k.seed + otherSeeds, k.say, k.blame, done2}}, nil
}

func (b *bootCanary) close() { b.done() }

func (b *bootCanary) measure(ctx context.Context, n int) (old, new side, err error) {
	if old, err = b.boot(ctx, b.old, b.seed, n); err != nil {
		return old, new, b.blame(err)
	}
	if new, err = b.boot(ctx, b.new, b.other, n); err != nil && ctx.Err() == nil {
		err = &canaryError{err}
	}
	return old, new, err
}

// boot makes the boots with n seeds from first that are missing.
func (b *bootCanary) boot(ctx context.Context, set *boots.Set, first, n int) (side, error) {
	last := first + n - 1
	todo, err := set.Missing(first, last)
	if err != nil {
		return side{}, err
	}
	if err := set.Make(ctx, todo, false, b.say); err != nil {
		return side{}, err
	}
	return bootsSide(set.Kernels[0], first, last), nil
}

// A roundCanary is a pair of the three arms that are measured in turn: OLD, OLD
// with the planted cost, and OLD again.
type roundCanary struct {
	*host
	new int // which of them is the new side
}

func (h *host) canary(context.Context) (*canary, error) {
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(h.oldSum)))[:8]
	three := *h
	three.arms = nil
	for _, arm := range []struct{ name, before string }{{"old", ""}, {"planted", fmt.Sprintf("%s seccomp -length %d ", h.rounds, plantedLength)}, {"again", ""}} {
		three.arms = append(three.arms, "-arm", "canary-"+arm.name+"-"+id+"="+strings.TrimSpace(arm.before+h.old))
	}
	return &canary{"OLD", &roundCanary{&three, 1}, &roundCanary{&three, 2}}, nil
}

func (r *roundCanary) measure(ctx context.Context, n int) (old, new side, err error) {
	sides, err := r.measureAll(ctx, n)
	if err != nil {
		return old, new, err
	}
	return sides[0], sides[r.new], nil
}
