//go:build linux

package selftest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/files"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
)

// A recording measures the arms of groups again.
type recording struct {
	dir     string // where the arms' files go
	results string // for the samples that they are made from, so that an interrupted run can continue
	boots   int    // of each arm; twice as many of the first, which is compared with itself
	rounds  int
	jobs    int
	stderr  io.Writer
	say     func(format string, args ...any)
}

// record measures a group's arms and writes each arm's file once it is
// complete.
func (r *recording) record(ctx context.Context, g *group) error {
	if err := os.MkdirAll(filepath.Join(r.dir, g.name), 0o777); err != nil {
		return err
	}
	if g.host {
		return r.processes(ctx, g)
	}
	binary, err := r.binary(ctx, "eventbench.static")
	if err != nil {
		return err
	}
	for i, a := range g.arms {
		n := r.boots
		if i == 0 {
			n *= 2
		}
		files, err := r.boot(ctx, g, a, binary, n)
		if err != nil {
			return fmt.Errorf("%s: %w", g.file(a.name), err)
		}
		if err := r.write(g, a, files); err != nil {
			return err
		}
	}
	return nil
}

// boot boots an arm n times, with seeds 1 to n, and returns the files.
func (r *recording) boot(ctx context.Context, g *group, a arm, binary string, n int) (files []string, err error) {
	kernel := a.kernel
	if a.build != nil {
		kernel = filepath.Join(r.results, a.name+".bzImage")
		if _, err := os.Stat(kernel); errors.Is(err, os.ErrNotExist) {
			r.say("building %s", kernel)
			if err := r.tool(ctx, nil, append([]string{"eventbench", "kbuild", "-o", kernel}, a.build...)...); err != nil {
				return nil, err
			}
		}
	}
	set, done, err := boots.Open(ctx, boots.Settings{
		Binary: binary, Bench: g.set.bench, Benchtime: g.set.benchtime, Count: g.set.count,
		Guest: a.guest, Timeout: 15 * time.Minute, Jobs: r.jobs, Results: r.results,
	}, []string{kernel}, r.say)
	if err != nil {
		return nil, err
	}
	defer done()
	todo, err := set.Missing(1, n)
	if err != nil {
		return nil, err
	}
	r.say("%s: %d of %d boots to go", g.file(a.name), len(todo), n)
	if err := set.Make(ctx, todo, false, r.say); err != nil {
		return nil, err
	}
	for seed := 1; seed <= n; seed++ {
		files = append(files, boots.Boot{Kernel: set.Kernels[0], Seed: seed}.File())
	}
	return files, nil
}

// processes runs rounds with a process of each arm.
func (r *recording) processes(ctx context.Context, g *group) error {
	binary, err := r.binary(ctx, "eventbench.test")
	if err != nil {
		return err
	}
	args := []string{"eventbench", "bench", "-bench", g.set.bench, "-benchtime", g.set.benchtime, "-count", strconv.Itoa(g.set.count), "-rounds", strconv.Itoa(r.rounds), "-results", r.results}
	for _, a := range g.arms {
		args = append(args, "-arm", a.name+"="+a.command)
	}
	var out bytes.Buffer
	if err := r.tool(ctx, &out, append(args, binary)...); err != nil {
		return err
	}
	dirs := strings.Fields(out.String())
	if len(dirs) != len(g.arms) {
		return fmt.Errorf("go tool eventbench bench printed %q, want a directory for each of %d arms", out.String(), len(g.arms))
	}
	for i, a := range g.arms {
		files, err := results.Find(dirs[i])
		if err != nil {
			return err
		}
		if err := r.write(g, a, files[:r.rounds]); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) write(g *group, a arm, list []string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Recorded on %s by go tool eventbench selftest -record.\n", time.Now().Format("2 January 2006"))
	if err := compact(&text, list); err != nil {
		return err
	}
	path := filepath.Join(r.dir, filepath.FromSlash(g.file(a.name)))
	r.say("%s: %d samples", path, len(list))
	return files.Write(path, []byte(text.String()))
}

// binary builds one of the test binaries with make.
func (r *recording) binary(ctx context.Context, name string) (string, error) {
	return name, r.run(ctx, nil, exec.Command("make", "-s", name))
}

// tool runs one of this module's commands.
func (r *recording) tool(ctx context.Context, stdout io.Writer, args ...string) error {
	path, err := results.Tool(ctx, args[0])
	if err != nil {
		return err
	}
	return r.run(ctx, stdout, exec.Command(path, args[1:]...))
}

func (r *recording) run(ctx context.Context, stdout io.Writer, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = stdout, r.stderr
	if err := (process.Limits{Runner: true}).Run(ctx, cmd); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}
