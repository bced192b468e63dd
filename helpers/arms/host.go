//go:build linux

package arms

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
	"slices"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/process"
	"eventbench/helpers/progress"
	"eventbench/helpers/results"
)

// host measures its arms on this kernel, with go tool eventbench bench.
type host struct {
	bench, skip, benchtime string
	limit                  time.Duration
	results                string

	old    string   // the command, as given
	oldSum string   // of what it is
	rounds string   // the path of go tool eventbench
	args   []string // of bench, but for the number of rounds and what is measured
	arms   []string
	binary []string // the test binary, if it is given for both
	stderr io.Writer
}

func (h *host) flags(fs *flag.FlagSet, o *options) {
	fs.StringVar(&h.bench, "bench", mechanisms.Gate, "run the benchmarks that match `regexp`, as in go test")
	fs.StringVar(&h.skip, "skip", "", "skip the benchmarks that match `regexp`")
	fs.StringVar(&h.benchtime, "benchtime", boots.HostBenchtime, "measure each for this `time`, or number of iterations (1000x)")
	fs.DurationVar(&h.limit, "limit", 0, "give up on a benchmark that prints nothing for this `time`\n(default as go tool eventbench bench)")
	fs.StringVar(&h.results, "results", "results", "keep results in `dir`")
	o.max = gate.MostRounds
	o.flags(fs)
}

func (h *host) open(ctx context.Context, operands []string, o options) error {
	binary := ""
	if len(operands) == 3 {
		binary, operands = operands[0], operands[1:]
	}
	if len(operands) != 2 {
		return cli.Usage("want two commands, OLD and NEW, or a test binary before them, have %q", operands)
	}
	var sums []string
	for i, label := range []string{"OLD", "NEW"} {
		argv := strings.Fields(operands[i])
		if binary != "" {
			argv = append(argv, binary)
		}
		if len(argv) == 0 {
			return cli.Usage("%s is empty: want a command that ends in a test binary, or a test binary before both", label)
		}
		if argv[0] == binary {
			argv[0], _ = filepath.Abs(binary) // so that PATH is not searched
		}
		sum, err := results.HashCommand(argv)
		if err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
		sums = append(sums, sum)
	}
	if sums[0] == sums[1] {
		return fmt.Errorf("OLD, %q, and NEW, %q, are the same command on the same files: there is nothing to compare", operands[0], operands[1])
	}
	// Rounds of OLD pair with rounds of the NEW that they were measured
	// with.
	pair := fmt.Sprintf("%x", sha256.Sum256([]byte(sums[0]+sums[1])))[:8]
	h.old, h.oldSum = operands[0], sums[0]
	h.args = []string{"-bench", h.bench, "-skip", h.skip, "-benchtime", h.benchtime, "-seed", strconv.Itoa(o.seed), "-results", h.results, "-limit", h.limit.String()}
	h.arms = []string{"-arm", "old-" + pair + "=" + operands[0], "-arm", "new-" + pair + "=" + operands[1]}
	if binary != "" {
		h.binary = []string{binary}
	}
	var err error
	h.rounds, err = results.Tool(ctx, "eventbench")
	return err
}

func (h *host) close() {}

func (h *host) measure(ctx context.Context, n int) (old, new side, err error) {
	sides, err := h.measureAll(ctx, n)
	if err != nil {
		return old, new, err
	}
	return sides[0], sides[1], nil
}

// measureAll returns the sides of all arms.
func (h *host) measureAll(ctx context.Context, n int) (sides []side, err error) {
	out, err := h.runRounds(ctx, n)
	if err != nil {
		return nil, err
	}
	for dir := range strings.Lines(out) {
		dir = strings.TrimSuffix(dir, "\n")
		var files []string
		for i := 1; i <= n; i++ {
			file := filepath.Join(dir, fmt.Sprintf("round-%02d%s", i, results.Ext))
			if _, err := os.Stat(file); err != nil {
				return nil, toolError{errors.New("go tool eventbench bench has lost a round"), err.Error()}
			}
			files = append(files, file)
		}
		sides = append(sides, sideIn(dir, files))
	}
	if want := len(h.arms) / 2; len(sides) != want {
		return nil, fmt.Errorf("go tool eventbench bench names %d directories, want %d:\n%s", len(sides), want, out)
	}
	return sides, nil
}

// A toolError is an error that another tool has already reported on stderr.
type toolError struct {
	error
	why string // what it reported, if known
}

func (e toolError) Error() string { return strings.TrimSuffix(e.error.Error()+": "+e.why, ": ") }
func (e toolError) Unwrap() error { return e.error }

// runRounds measures the rounds up to n that are missing, and returns what go
// tool eventbench bench printed.
func (h *host) runRounds(ctx context.Context, n int) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(h.rounds, slices.Concat([]string{"bench", "-rounds", strconv.Itoa(n)}, h.args, h.arms, h.binary)...)
	cmd.Stdout = &stdout
	cmd.Stderr = io.MultiWriter(h.stderr, &stderr)
	if f := progress.Terminal(h.stderr); f != nil {
		cmd.Stderr = f // shows its progress
	}
	err := process.Limits{Runner: true}.Run(ctx, cmd)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && stdout.Len() == 0: // with output, it has made what it could
		why := stderr.String()
		if i := strings.LastIndex(why, "eventbench bench: "); i >= 0 {
			why = why[i+len("eventbench bench: "):]
		}
		return "", toolError{fmt.Errorf("go tool eventbench bench: %w", err), strings.TrimSpace(why)}
	}
	return stdout.String(), nil
}
