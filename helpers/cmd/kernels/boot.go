//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
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

	"eventbench/helpers/results"
)

// A boot is one sample: a kernel and a seed.
type boot struct {
	kernel string // as the user named it
	seed   int
	file   string // where its results belong
}

// measure makes the boots that are not there yet and returns each kernel's directory,
// in the order of the kernels.
func measure(ctx context.Context, o options, stderr io.Writer) ([]string, error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	build, err := results.Hash(binary)
	if err != nil {
		return nil, err
	}
	set := filepath.Join(o.results, "kernels", build[:10],
		fmt.Sprintf("%s-%s-count%d", patternName(o.bench), o.benchtime, o.count))
	if o.guest != "" {
		set += "-" + results.FileName(o.guest)
	}
	if err := results.MakeDir(set); err != nil {
		return nil, err
	}
	unlock, err := results.Lock(set)
	if err != nil {
		return nil, err
	}
	defer unlock()

	var dirs []string
	var todo []boot
	for _, k := range o.kernels {
		dir := filepath.Join(set, label(k))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	// Seed by seed, so that an early stop leaves as many boots of each kernel.
	for seed := 1; seed <= o.boots; seed++ {
		for i, k := range o.kernels {
			b := boot{k, seed, filepath.Join(dirs[i], fmt.Sprintf("seed-%02d%s", seed, results.Ext))}
			if _, err := os.Stat(b.file); errors.Is(err, os.ErrNotExist) {
				todo = append(todo, b)
			} else if err != nil {
				return nil, err
			}
		}
	}
	if len(todo) == 0 {
		fmt.Fprintf(stderr, "kernels: all %d boots are in %s\n", o.boots*len(o.kernels), set)
		return dirs, nil
	}
	guest, err := tool(ctx, "guest")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "kernels: %d of %d boots to go, %d at a time, into %s\n", len(todo), o.boots*len(o.kernels), o.jobs, set)
	if err := all(ctx, o, guest, binary, todo, stderr); err != nil {
		return nil, err
	}
	return dirs, nil
}

func patternName(bench string) string {
	if bench == usual {
		return "usual"
	}
	return results.PatternName(bench)
}

// all makes the boots, o.jobs at a time, and reports each as it ends.
func all(ctx context.Context, o options, guest, binary string, todo []boot, stderr io.Writer) error {
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		failed []error
		done   int
		start  = time.Now()
		queue  = make(chan boot)
	)
	for range min(o.jobs, len(todo)) {
		wg.Go(func() {
			// The guest is to die when this thread does: see runGuest.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b := range queue {
				began := time.Now()
				first, rss, err := make1(ctx, o, guest, binary, b)
				mu.Lock()
				done++
				switch {
				case ctx.Err() != nil:
				case err != nil:
					failed = append(failed, fmt.Errorf("%s, seed %d: %w", b.kernel, b.seed, err))
					fmt.Fprintf(stderr, "kernels: %d/%d: %s, seed %d: failed after %s\n", done, len(todo), b.kernel, b.seed, seconds(time.Since(began)))
				default:
					left := time.Since(start) / time.Duration(done) * time.Duration(len(todo)-done)
					fmt.Fprintf(stderr, "kernels: %d/%d: %s, seed %d: %s, first result after %s, %d MiB; about %s left\n",
						done, len(todo), b.kernel, b.seed, seconds(time.Since(began)), seconds(first), rss>>20, seconds(left))
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, b := range todo {
		select {
		case queue <- b:
		case <-ctx.Done():
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

// make1 makes one boot's file. It returns after what time the guest printed its
// first result and how much memory it took at most, in bytes.
func make1(ctx context.Context, o options, guest, binary string, b boot) (first time.Duration, rss int64, err error) {
	args := []string{"-kernel", b.kernel, "-seed", strconv.Itoa(b.seed), "-accel", "tcg", "-clock", "instrs", "-timeout", o.timeout.String()}
	args = append(args, strings.Fields(o.guest)...)
	args = append(args, binary, "-test.run=^$", "-test.bench="+o.bench, "-test.benchtime="+o.benchtime,
		"-test.count="+strconv.Itoa(o.count), "-test.shuffle="+strconv.Itoa(b.seed))
	out, first, rss, err := runGuest(ctx, guest, args)
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	log := strings.TrimSuffix(b.file, results.Ext) + ".log"
	if werr := results.Write(log, out); werr != nil {
		return 0, 0, werr
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%w\n%s\tall it printed: %s", err, tail(out), log)
	}
	text, err := reduce(out, log)
	if err != nil {
		return 0, 0, err
	}
	return first, rss, results.Write(b.file, text)
}

// runGuest runs go tool guest and returns all that it printed: the
// program's standard output, or with an error its standard error as well. The guest's process group
// dies with ctx, and by the kernel with this process.
func runGuest(ctx context.Context, guest string, args []string) (out []byte, first time.Duration, rss int64, err error) {
	var stdout, stderr bytes.Buffer
	began := time.Now()
	watch := &firstResult{w: &stdout, seen: func() { first = time.Since(began) }}
	cmd := exec.CommandContext(ctx, guest, args...)
	// One processor for the Go runtime: what it does beside the benchmark costs
	// host time, most of all when its threads spin on the other CPU.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = watch, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if cmd.ProcessState != nil {
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			rss = u.Maxrss << 10 // the largest of the guest's own children: QEMU
		}
	}
	if err != nil {
		return append(stdout.Bytes(), stderr.Bytes()...), first, rss, fmt.Errorf("guest: %w", err)
	}
	return stdout.Bytes(), first, rss, nil
}

// firstResult notes when the first benchmark's line begins.
type firstResult struct {
	w    *bytes.Buffer
	seen func()
}

func (f *firstResult) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if f.seen != nil && resultLine.Match(f.w.Bytes()) {
		f.seen()
		f.seen = nil
	}
	return n, err
}

var resultLine = regexp.MustCompile(`(?m)^Benchmark`)

// tail returns the last lines of out, indented.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	lines = lines[max(0, len(lines)-12):]
	var s strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&s, "\t%s\n", l)
	}
	return s.String()
}

// tool returns the path of one of this module's commands, built.
func tool(ctx context.Context, name string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n %s: %w\n%s", name, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// reduce returns a boot's results with one line for each benchmark: of each
// unit the median of its measurements, the lower one of an even number, so that it is one that
// occurred.
func reduce(out []byte, path string) ([]byte, error) {
	f, err := results.Parse(bytes.NewReader(out), path)
	if err != nil {
		return nil, err
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
			fmt.Fprintf(&buf, " %v %s", all[(len(all)-1)/2], v.Unit)
		}
		buf.WriteByte('\n')
	}
	return buf.Bytes(), nil
}
