//go:build linux

package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/bounded"
	"eventbench/helpers/files"
	"eventbench/helpers/guest"
	"eventbench/helpers/kbuild"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
)

// The outcomes of a mutant.
const (
	killed    = "killed"
	survived  = "survived"
	unbuilt   = "does not build"
	undecided = "undecided" // its row did not run
)

// An outcome is the result of a mutant or of the unmutated kernel. Each is kept
// in a file.
type outcome struct {
	Name    string
	Sum     string // of the kernel
	Binary  string // of the tests
	Outcome string // empty for the base kernel
	How     string // set if something other than the row's test failed
	Broken  []string
	Skipped []string
	Held    int
}

// A run is one call of the command.
type run struct {
	options
	mutants []mutant
	tree    *kbuild.Tree
	binary  string // hash
	qemu    *guest.QEMU
	init    []byte // of the guests
	p       *progress.Progress

	bases map[string]outcome // outcomes of the unmutated kernel by source file
	done  []outcome          // in the order of mutants
	start time.Time
}

func (r *run) file(name string) string {
	return filepath.Join(r.results, "mutants", strings.ReplaceAll(name, "/", "-")+".json")
}

func (r *run) image(sum string) string {
	return filepath.Join(r.results, "mutants", sum+".bzImage")
}

// kept returns the outcome that an earlier call had for the same kernel and
// tests.
func (r *run) kept(name, sum string) (o outcome, ok bool) {
	data, err := bounded.ReadFile(r.file(name), bounded.Text)
	if err != nil || json.Unmarshal(data, &o) != nil {
		return o, false
	}
	return o, o.Sum == sum && (o.Binary == r.binary || r.keep && o.Outcome == killed)
}

func (r *run) write(o outcome) error {
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	return files.Write(r.file(o.Name), append(data, '\n'))
}

// makeShard tests a shard's mutants and leaves the plan of all. The unmutated
// kernel is tested in each shard that needs it.
func (r *run) makeShard(ctx context.Context) error {
	r.results = r.shard.Results(r.results)
	if err := files.MakeDir(r.results); err != nil {
		return err
	}
	plan := r.shard.New("mutants", r.options.run)
	plan.Inputs["test binary"], plan.Inputs["linux source"] = r.binary, r.tree.Version
	var own []mutant
	for i, m := range r.mutants {
		plan.Units = append(plan.Units, m.Name)
		if !r.shard.Has(i) {
			continue
		}
		own = append(own, m)
		if plan.Files[m.base()] == nil {
			if err := plan.Add(r.results, m.base(), r.file(m.base())); err != nil {
				return err
			}
		}
		if err := plan.Add(r.results, m.Name, r.file(m.Name)); err != nil {
			return err
		}
	}
	if err := plan.Write(r.results); err != nil {
		return err
	}
	r.mutants = own
	return r.all(ctx)
}

// all tests every mutant that has no outcome yet.
func (r *run) all(ctx context.Context) error {
	if err := files.MakeDir(filepath.Join(r.results, "mutants")); err != nil {
		return err
	}
	unlock, err := results.Lock(filepath.Join(r.results, "mutants"))
	if err != nil {
		return err
	}
	defer unlock()
	r.bases = make(map[string]outcome)
	if err := r.testBases(ctx); err != nil {
		return err
	}
	r.done = make([]outcome, len(r.mutants))
	var todo []int
	for i, m := range r.mutants {
		if base := r.bases[m.Edit.File]; slices.Contains(base.Skipped, m.Row) || slices.Contains(base.Broken, m.Row) {
			return fmt.Errorf("%s: %s is broken or skipped on the unmutated kernel: break another row", m.at, m.Row)
		}
		var ok bool
		if r.done[i], ok = r.kept(m.Name, sum(r.tree.Version, m.variant())); !ok {
			todo = append(todo, i)
		}
	}
	r.p.Say("%d of %d mutants left to test; results are in %s", len(todo), len(r.mutants), filepath.Dir(r.file("")))
	return r.some(ctx, todo)
}

// testBases finds the rows that break on the unmutated kernel, for each group
// of tests that mutants use. Such a row is no evidence of a mutation.
func (r *run) testBases(ctx context.Context) error {
	var base *mutant
	id := sum(r.tree.Version, base.variant())
	for _, m := range r.mutants {
		if _, ok := r.bases[m.Edit.File]; ok {
			continue
		}
		name := m.base()
		o, ok := r.kept(name, id)
		if !ok {
			r.p.Say("%s: testing the unmutated kernel first", m.Edit.File)
			o = outcome{Name: name, Sum: id, Binary: r.binary}
			if err := r.buildImage(ctx, id, base.variant()); err != nil {
				return err
			}
			rows, err := r.boot(ctx, r.image(id), m.pattern())
			if err != nil {
				return err
			}
			if rows.end != nil {
				return fmt.Errorf("%s unmutated: %w", m.Edit.File, rows.end)
			}
			o.Broken, o.Skipped, o.Held = rows.broken, rows.skipped, len(rows.passed)
			if err := r.write(o); err != nil {
				return err
			}
		}
		r.p.Say("%s unmutated: %d rows hold, %d are skipped %v", m.Edit.File, o.Held, len(o.Skipped), o.Skipped)
		if len(o.Broken) > 0 {
			r.p.Say("%s break on the unmutated kernel and are no evidence of a mutation", strings.Join(o.Broken, ", "))
		}
		r.bases[m.Edit.File] = o
	}
	return nil
}

// some builds and tests mutants. It builds the next kernel while guests run.
func (r *run) some(ctx context.Context, todo []int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type built struct {
		i   int
		err error
	}
	queue := make(chan built, r.jobs)
	go func() {
		defer close(queue)
		for _, i := range todo {
			v := r.mutants[i].variant()
			err := r.buildImage(ctx, sum(r.tree.Version, v), v)
			select {
			case queue <- built{i, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	r.start = time.Now()
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		ended int
	)
	for range r.jobs {
		wg.Go(func() {
			for b := range queue {
				o, err := r.test(ctx, &r.mutants[b.i], b.err)
				if err == nil && ctx.Err() == nil {
					err = r.write(o)
				}
				if err != nil {
					stop(err)
					return
				}
				mu.Lock()
				r.done[b.i] = o
				ended++
				left := time.Since(r.start) / time.Duration(ended) * time.Duration(len(todo)-ended)
				r.p.Say("%d/%d: %s %s: %s%s; about %s left", ended, len(todo), o.Name, r.mutants[b.i].Row, o.Outcome, o.also(r.mutants[b.i].Row), left.Round(time.Second))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// also lists the other rows that broke.
func (o outcome) also(row string) string {
	others := slices.DeleteFunc(slices.Clone(o.Broken), func(b string) bool { return b == row })
	text := ""
	if o.How != "" {
		text = " (" + o.How + ")"
	}
	if len(others) > 0 {
		text += ", and " + strings.Join(others, " ")
	}
	return text
}

// buildImage builds a kernel, unless an earlier call left its image.
func (r *run) buildImage(ctx context.Context, id string, v kbuild.Variant) error {
	if _, err := os.Stat(r.image(id)); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.tree.Build(ctx, v, r.image(id))
}

// test tests a mutant. err is the error from building its kernel.
func (r *run) test(ctx context.Context, m *mutant, err error) (outcome, error) {
	id := sum(r.tree.Version, m.variant())
	o := outcome{Name: m.Name, Sum: id, Binary: r.binary}
	if broken := (*kbuild.CompileError)(nil); errors.As(err, &broken) {
		o.Outcome, o.How = unbuilt, strings.Join(broken.Lines, "; ")
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("%s: %w", m.at, err)
	}
	rows, err := r.boot(ctx, r.image(id), m.pattern())
	if err != nil {
		return o, err
	}
	o.Broken, o.Skipped, o.Held = rows.broken, rows.skipped, len(rows.passed)
	o.Broken = slices.DeleteFunc(o.Broken, func(row string) bool { return slices.Contains(r.bases[m.Edit.File].Broken, row) })
	o.Outcome, o.How = judge(m.Row, rows)
	if o.Outcome == undecided && rows.end != nil {
		// Another row ended the run: test this one alone.
		alone, err := r.boot(ctx, r.image(id), m.pattern()+"/^"+m.Row+"$")
		if err != nil {
			return o, err
		}
		before := rows.last
		o.Outcome, o.How = judge(m.Row, alone)
		o.How = strings.TrimPrefix(o.How+", alone: with the others, "+before+" is the last", ", ")
	}
	os.Remove(r.image(id))
	return o, nil
}

// judge returns the outcome for a mutant of row, given the rows of a run.
func judge(row string, rows rows) (outcome, how string) {
	switch {
	case slices.Contains(rows.broken, row):
		return killed, ""
	case rows.end != nil && rows.last == row:
		return killed, "it hangs, and " + rows.end.Error()
	case slices.Contains(rows.passed, row):
		return survived, ""
	}
	return undecided, ""
}

// rows is how the rows of one boot ended.
type rows struct {
	broken  []string
	skipped []string
	passed  []string
	last    string // the last row that started
	end     error  // why the tests did not finish
}

// parseRows reads a test binary's output. A row that failed counts as broken
// even if the output broke off before the end of its test.
func parseRows(text string) rows {
	out := behaviour.ReadOutput(text)
	r := rows{last: out.Last}
	for _, id := range slices.SortedFunc(maps.Keys(out.Rows), behaviour.Compare) {
		switch row := out.Rows[id]; {
		case row.Failed:
			r.broken = append(r.broken, id)
		case row.Verdict == "PASS":
			r.passed = append(r.passed, id)
		case row.Verdict == "SKIP":
			r.skipped = append(r.skipped, id)
		}
	}
	return r
}

// boot runs tests on a kernel. The error is the machine's: the kernel's faults
// are in rows.
func (r *run) boot(ctx context.Context, image, pattern string) (rows, error) {
	kernel, err := guest.FindKernel(ctx, nil, guest.AMD64, image, "", false, nil)
	if err != nil {
		return rows{}, err
	}
	// A kernel without ACPI spins for 200 ms to calibrate the local APIC's
	// timer. QEMU leaves its translated code at each PAUSE, so this would
	// take nine tenths of the boot. The PIT is accurate enough for one
	// processor.
	m := &guest.Machine{QEMU: r.qemu, Init: r.init, Kernel: kernel, Accel: guest.TCG, Clock: guest.InstrClock, CPUs: 1, Memory: 512, Seed: 1, Append: "nolapic_timer"}
	program, err := guest.LoadProgram(r.program, []string{"-test.v", "-test.run=" + pattern}, r.dir)
	if err != nil {
		return rows{}, err
	}
	if program.Env, err = m.Env(os.Environ()); err != nil {
		return rows{}, err
	}
	late := fmt.Errorf("it was stopped after %v", r.timeout)
	inTime, cancel := context.WithTimeoutCause(ctx, r.timeout, late)
	defer cancel()
	var out bytes.Buffer
	status, err := m.Run(inTime, program, &out, &out)
	if ctx.Err() != nil {
		return rows{}, context.Cause(ctx)
	}
	got := parseRows(out.String())
	noStatus := (*guest.NoStatusError)(nil)
	switch {
	case errors.As(err, &noStatus) && errors.Is(err, late):
		got.end = late
	case errors.As(err, &noStatus) && noStatus.Started:
		got.end = fmt.Errorf("the kernel stopped: %w", noStatus.Err)
	case err != nil:
		return got, err
	case status > 1:
		got.end = fmt.Errorf("the tests end with status %d", status)
	}
	return got, nil
}
