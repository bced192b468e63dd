//go:build linux

package bisect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"eventbench/helpers/process"
)

// show prints the commit, the figures before and after it, and for kernels the
// functions that make the difference.
func (b *bisection) show(ctx context.Context, found string) error {
	about, err := b.git.run(ctx, "show", "--no-patch", "--format=medium", found)
	if err != nil {
		return err
	}
	before, err := b.git.run(ctx, "rev-parse", found+"^")
	if err != nil {
		return err
	}
	old, err := b.make(ctx, before)
	if errors.As(err, new(*buildError)) {
		before = b.first
		old, err = b.imageOf(before), nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(b.Stdout, "The first bad commit is\n\n%s\n\nFrom %.12s to %.12s:\n\n", about, before, found)
	images := []string{old, b.imageOf(found)}
	for i, commit := range []string{before, found} {
		twin, err := b.twin(commit)
		if err != nil {
			return err
		}
		if twin != commit {
			fmt.Fprintf(b.Stdout, "%.12s builds what %.12s builds, which was measured.\n", commit, twin)
			images[i] = b.imageOf(twin)
		}
	}
	report, stderr, code, err := b.gate(ctx, images[0], images[1])
	if err != nil {
		return err
	}
	if code > 3 {
		return fmt.Errorf("the commit is found, but the gate cannot show it: %s", stderr)
	}
	if _, err := io.WriteString(b.Stdout, report); err != nil || b.binary == "" {
		return err
	}
	args := []string{"where", "-bench", b.bench, "-o", filepath.Join(b.dir, "where"), "-timeout", b.timeout.String()}
	var symbols []string
	for _, commit := range []string{before, found} {
		if _, err := os.Stat(b.symbolsOf(commit)); err == nil {
			symbols = append(symbols, "-symbols", b.symbolsOf(commit))
		}
	}
	if len(symbols) == 4 { // of both; where finds others itself, if it can
		args = append(args, symbols...)
	}
	cmd := exec.Command(b.tool, append(args, "--", b.binary, images[0], images[1])...)
	cmd.Stdout, cmd.Stderr = b.Stdout, b.Stderr
	if err := (process.Limits{Runner: true}).Run(ctx, cmd); ctx.Err() != nil {
		return context.Cause(ctx)
	} else if err != nil {
		b.Say("the functions that make the difference are not known: go tool eventbench where: %v", err)
	}
	return nil
}
