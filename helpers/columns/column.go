//go:build linux

package columns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/guest"
	"eventbench/helpers/gvisor"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/sys/unix"
)

// A column is a place where rows run, with their outcomes.
type column struct {
	arg  string   // as the user named it
	name string   // the heading
	argv []string // the command before the test binary and its arguments
	wall []string // the same for a guest on the wall clock; nil outside guests
	file string   // of the results, without its extension

	ends  map[string]outcome
	broke error // why rows have no outcome
	took  time.Duration
}

func (c *column) gvisor() bool { return c.name == "gvisor" }

// columnName returns the heading of a column.
func columnName(arg string) (string, error) {
	if arg == "gvisor" || arg == "host" {
		return arg, nil
	}
	c, err := guest.ParseColumn(arg)
	if c.Kernel == "gvisor" || c.Kernel == "host" {
		return "", fmt.Errorf("column %q: nothing can be set for %s, only for a kernel", arg, c.Kernel)
	}
	return c.Label(), err
}

// runColumns runs the rows in all columns that have no results yet.
func runColumns(ctx context.Context, o options, inv inventory, wanted []string, say func(string, ...any)) ([]*column, error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	build, err := results.Hash(binary)
	if err != nil {
		return nil, err
	}
	pattern := o.rows
	if pattern == "" {
		pattern = "."
	}
	o.results = o.shard.Results(o.results)
	dir := filepath.Join(o.results, "behaviours", build[:10], results.PatternName(pattern))
	if err := files.MakeDir(dir); err != nil {
		return nil, err
	}
	unlock, err := results.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var columns []*column
	for i, arg := range o.columns {
		if !o.shard.Has(i) {
			continue
		}
		c, err := findColumn(ctx, arg, binary, dir, o.timeout, say)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		columns = append(columns, c)
	}
	if o.shard.Given() {
		if err := writePlan(o, binary, build, pattern, columns); err != nil {
			return nil, err
		}
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		slots = make(chan struct{}, o.jobs)
		errs  []error
	)
	locked := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		say(format, args...)
	}
	for _, c := range columns {
		if c.load(wanted) {
			say("%s: results are in %s.txt", c.name, c.file)
			continue
		}
		wg.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				return
			}
			locked("%s: running %s", c.name, samples.Counted(len(wanted), "row"))
			err := c.run(ctx, inv, binary, wanted, o.timeout, locked)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", c.arg, err))
				mu.Unlock()
				return
			}
			locked("%s: %s after %s", c.name, c.counts(wanted), c.took.Round(time.Second))
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, c := range columns {
		// A table shows what became of its rows, but a shard has none.
		if _, err := os.Stat(c.file + ".txt"); err != nil && o.shard.Given() && len(errs) == 0 {
			errs = append(errs, fmt.Errorf("%s: a row ended the run, so there are no results to merge: see %s.log", c.name, c.file))
		}
	}
	return columns, errors.Join(errs...)
}

// writePlan leaves the plan of all columns.
func writePlan(o options, binary, build, pattern string, columns []*column) error {
	arch, err := guest.ProgramArch(binary)
	if err != nil {
		return err
	}
	plan := o.shard.New("behaviours", arch.Name+" "+pattern)
	plan.Inputs["test binary"] = build
	for _, arg := range o.columns {
		name, err := columnName(arg)
		if err != nil {
			return err
		}
		plan.Units = append(plan.Units, name)
	}
	for _, c := range columns {
		plan.Inputs["column "+c.name] = filepath.Base(c.file)
		if err := plan.Add(o.results, c.name, c.file+".txt"); err != nil {
			return err
		}
	}
	return plan.Write(o.results)
}

// findColumn returns the column for an argument, with the command that runs its
// rows and the path of its results.
func findColumn(ctx context.Context, arg, binary, dir string, timeout time.Duration, say func(string, ...any)) (*column, error) {
	name, err := columnName(arg)
	if err != nil {
		return nil, cli.Usage("%w", err)
	}
	c := &column{arg: arg, name: name}
	arch, err := guest.ProgramArch(binary)
	if err != nil {
		return nil, err
	}
	if (arg == "host" || arg == "gvisor") && !arch.Native() {
		return nil, cli.Usage("a program for %s runs in guests alone: name kernels, such as 6.12", arch)
	}
	var known string
	switch arg {
	case "host":
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return nil, err
		}
		known = files.Name(unix.ByteSliceToString(u.Release[:]))
	case "gvisor":
		tool, err := results.Tool(ctx, "eventbench")
		if err != nil {
			return nil, err
		}
		known = gvisor.Release()
		c.argv = []string{tool, "gvisor", "-timeout", timeout.String()}
	default:
		tool, err := results.Tool(ctx, "eventbench")
		if err != nil {
			return nil, err
		}
		cache, err := guest.UserCache()
		if err != nil {
			return nil, err
		}
		asked, err := guest.ParseColumn(arg)
		if err != nil {
			return nil, err
		}
		kernel, err := guest.FindKernel(ctx, cache, arch, asked.Kernel, "", false, say)
		if err != nil {
			return nil, err
		}
		sum := asked.Sum(kernel)
		known = fmt.Sprintf("%x", sum[:5])
		boot := []string{tool, "guest", "-kernel", arg, "-accel", "tcg", "-timeout", timeout.String()}
		c.argv = append(slices.Clone(boot), "-clock", "instrs")
		c.wall = append(slices.Clone(boot), "-clock", "wall")
	}
	c.file = filepath.Join(dir, files.Name(c.name)+"-"+known)
	return c, nil
}

// load reads the column's results, if there are any.
func (c *column) load(wanted []string) bool {
	text, err := os.ReadFile(c.file + ".txt")
	if err != nil {
		return false
	}
	ends, _ := readOutcomes(string(text))
	if slices.ContainsFunc(wanted, func(id string) bool { return ends[id].status == "" }) {
		return false
	}
	c.ends = ends
	return true
}

// run runs the rows until each has an outcome. It keeps the output if no row
// broke off.
func (c *column) run(ctx context.Context, inv inventory, binary string, wanted []string, timeout time.Duration, say func(string, ...any)) error {
	start := time.Now()
	defer func() { c.took = time.Since(start) }()
	c.ends = map[string]outcome{}
	var all, log bytes.Buffer
	whole := true
	for _, p := range c.parts(inv, wanted) {
		ok, err := c.runPart(ctx, p, inv, binary, start.Add(timeout), &all, &log, say)
		if err != nil {
			return err
		}
		whole = whole && ok
	}
	if err := files.Write(c.file+".log", log.Bytes()); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	return files.Write(c.file+".txt", all.Bytes())
}

// A part is a group of rows that run together.
type part struct {
	argv []string
	env  []string // added to the environment
	rows []string
}

// parts puts all rows that need no setting into one part. In guests, each
// setting has a part of its own: such a row suspends the machine, and must
// sleep on a clock that does not skip idle time.
func (c *column) parts(inv inventory, wanted []string) []part {
	parts := []part{{argv: c.argv}}
	for _, id := range wanted {
		to := 0
		if s := inv.setting(id); s != "" && c.wall != nil {
			if to = slices.IndexFunc(parts, func(p part) bool { return slices.Equal(p.env, []string{s}) }); to < 0 {
				to = len(parts)
				parts = append(parts, part{argv: c.wall, env: []string{s}})
			}
		}
		parts[to].rows = append(parts[to].rows, id)
	}
	return parts
}

// again is how often the remaining rows are run again after a row ended the
// run.
const again = 10

// runPart runs the part's rows until each has an outcome, leaving out those
// that ended the run. It reports whether all have one and none broke off.
func (c *column) runPart(ctx context.Context, p part, inv inventory, binary string, deadline time.Time, all, log *bytes.Buffer, say func(string, ...any)) (whole bool, err error) {
	left := p.rows
	whole = true
	for try := 0; len(left) > 0; try++ {
		stdout, stderr, err := c.start(ctx, append(slices.Clone(p.argv), binary, "-test.v=test2json", "-test.run="+inv.pattern(left), "-test.timeout="+time.Until(deadline).String()), p.env)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		all.WriteString(stdout)
		fmt.Fprintf(log, "%s%s%v\n", stdout, stderr, err)
		ends, in := readOutcomes(stdout)
		for id, o := range ends {
			c.ends[id] = o
		}
		// When a column runs out of time, the row that was running is
		// not to blame.
		late := !time.Now().Before(deadline)
		if in != "" && c.ends[in].status == "" && !late {
			why := lastLines(stderr, 3)
			c.ends[in] = outcome{status: broke, said: append([]string{fmt.Sprintf("the run ended in it: %v", err)}, why...)}
			whole = false
		}
		before := len(left)
		left = slices.DeleteFunc(slices.Clone(left), func(id string) bool { return c.ends[id].status != "" })
		if len(left) == 0 {
			return whole, nil
		}
		switch {
		case late:
			c.broke = fmt.Errorf("%d rows have no result: -timeout ended during %s", len(left), in)
			return false, nil
		case len(left) == before, try == again:
			c.broke = fmt.Errorf("%d rows have no result: %w", len(left), errors.Join(err, errors.New(strings.Join(lastLines(stdout+stderr, 12), "\n\t"))))
			return false, nil
		}
		say("%s: the run ended in %s; running the %d remaining rows again", c.name, in, len(left))
	}
	return whole, nil
}

// start runs a command until it ends or ctx does. Its exit status is the test
// binary's.
func (c *column) start(ctx context.Context, argv, env []string) (stdout, stderr string, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	return process.Limits{Runner: true}.Output(ctx, cmd)
}

// counts says how many rows had each outcome.
func (c *column) counts(wanted []string) string {
	n := map[status]int{}
	for _, id := range wanted {
		n[c.kind(id)]++
	}
	var parts []string
	for _, k := range kinds {
		if n[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[k], k))
		}
	}
	return strings.Join(parts, ", ")
}

// kinds are the outcomes that counts distinguishes.
var kinds = []status{passes, partly, known, deviates, broke, absent, "skipped", none}

func (c *column) end(id string) outcome {
	if o, ok := c.ends[id]; ok {
		return o
	}
	return outcome{status: none}
}

func (c *column) kind(id string) status {
	s := c.end(id).status
	if strings.HasPrefix(string(s), string(skip)) {
		return "skipped"
	}
	return s
}

func lastLines(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(strings.TrimPrefix(line, "\x16")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
