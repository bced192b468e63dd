package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Benchstat runs this module's benchstat with args and stdin and copies what
// it prints to w. It works anywhere inside the module.
//
// benchstat exits 0 also when a file does not exist, a line is no benchmark
// format or a filter matches nothing. So whatever it says on its standard
// error, and a table that is empty, is an error here.
func Benchstat(ctx context.Context, w io.Writer, stdin io.Reader, args ...string) error {
	path, err := Tool(ctx, "benchstat")
	if err != nil {
		return err
	}
	const patience = 5 * time.Minute // it takes seconds, or for ever
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no table after %v", patience))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("benchstat: %w\n%s", err, stderr.Bytes())
	}
	if stderr.Len() > 0 {
		return fmt.Errorf("benchstat: %s", strings.TrimSpace(strings.TrimPrefix(stderr.String(), "benchstat: ")))
	}
	if stdout.Len() == 0 {
		return errors.New("benchstat: nothing to show: no benchmark matches")
	}
	_, err = w.Write(stdout.Bytes())
	return err
}

// Tool returns the path of one of this module's tools, built. Not simply to run
// "go tool NAME": on a machine where it is not built yet the go command tells
// on the tool's own standard error what it downloads, and it stands between the
// tool and signals.
func Tool(ctx context.Context, name string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", name)
	cmd.Stderr = io.MultiWriter(os.Stderr, &stderr)
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n %s: %w\n%s", name, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(path)), nil
}
