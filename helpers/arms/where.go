//go:build linux

package arms

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/gate"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
	"eventbench/helpers/where"
)

// An explainer adds explanations to the changes in a report, without touching
// its verdicts. It returns a note for the reader if it could not explain
// something.
type explainer interface {
	explain(ctx context.Context, r *gate.Report) (note string, err error)
}

const (
	// explained is the number of benchmarks whose changes are explained,
	// worst first.
	explained = 4
	// most is the number of functions named for each.
	most = 3
)

// explain names the functions that make up most of each regression and
// improvement. It keeps the profiles beside the boots' results.
func (k *kernels) explain(ctx context.Context, r *gate.Report) (note string, err error) {
	if !k.where {
		return "", nil
	}
	var changed []*gate.Comparison
	var names []string
	for _, v := range []gate.Verdict{gate.Regression, gate.Improvement} {
		for _, c := range r.Comparisons {
			if c.Verdict != v || !strings.HasSuffix(c.Unit, "instrs/op") {
				continue
			}
			if !slices.Contains(names, c.Name) && len(names) < explained {
				names = append(names, c.Name)
			}
			if slices.Contains(names, c.Name) {
				changed = append(changed, c)
			}
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	if k.recorded.files != nil {
		return "OLD is recorded results. If OLD is the kernel itself, the report names the functions that make up most of each change", nil
	}
	k.say("looking for the functions that make up most of the change in %s (-where=false skips this)", strings.Join(names, ", "))
	// From here on every failure is a note: the verdict stands.
	const unknown = "the functions that make up most of the change are not known for all benchmarks: %s"
	tool, err := results.Tool(ctx, "eventbench")
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return fmt.Sprintf(unknown, strings.Join(strings.Fields(err.Error()), " ")), nil
	}
	dir := filepath.Join(k.set.Dir, fmt.Sprintf("where-%s-%s", filepath.Base(k.set.Kernels[0].Dir), filepath.Base(k.set.Kernels[1].Dir)))
	cmd := exec.Command(tool, "where", "-format", "json", "-bench", where.Pattern(names...), "-seed", strconv.Itoa(k.seed),
		"-jobs", strconv.Itoa(k.Jobs), "-timeout", k.Timeout.String(), "-o", dir, "--", k.Binary, k.set.Kernels[0].Arg, k.set.Kernels[1].Arg)
	var out process.Buffer
	says := &process.Tail{}
	cmd.Stdout, cmd.Stderr = &out, says
	err = process.Limits{Runner: true}.Run(ctx, cmd)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var reports []*where.Report
	if jerr := json.Unmarshal(out.Bytes(), &reports); jerr != nil && err == nil {
		err = jerr
	}
	for _, c := range changed {
		for _, w := range reports {
			if w.Benchmark == c.Name && w.New != nil {
				c.Where = explanation(w)
			}
		}
	}
	if err != nil {
		said := says.Lines(3)
		if len(said) == 0 {
			said = []string{err.Error()}
		}
		return fmt.Sprintf(unknown, strings.Join(said, "; ")), nil
	}
	return "", nil
}

// explanation shortens a report.
func explanation(w *where.Report) *gate.Where {
	e := &gate.Where{Old: w.Old.Count, New: w.New.Count, Profiles: [2]string{w.Old.Profile, w.New.Profile}}
	for _, row := range w.Most(most) {
		e.Functions = append(e.Functions, gate.Function{Name: row.Label(), Old: row.Old, New: row.New})
	}
	e.OldWays, e.NewWays = ways(w.Old.Ways), ways(w.New.Ways)
	if w.Shift != nil {
		e.Shift = &gate.Shift{Longer: w.Shift.Longer, Oftener: w.Shift.Oftener}
	}
	return e
}

// rare is the share of operations below which a way is left out: a timer's tick
// makes a way of its own.
const rare = 0.02

// ways returns the ways that are not rare, if there are several.
func ways(all []where.Way) (named []gate.NamedWay) {
	for _, w := range all {
		if w.Share < rare {
			continue
		}
		way := gate.NamedWay{Count: w.Count, Share: w.Share}
		for _, m := range w.Marks {
			way.Marks = append(way.Marks, gate.Mark{Function: m.Function, More: m.Diff})
		}
		named = append(named, way)
	}
	if len(named) < 2 {
		return nil
	}
	return named
}
