//go:build linux

package results

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"eventbench/helpers/process"
)

// Benchstat runs this module's benchstat with args and stdin and copies its
// output to w. It works anywhere inside the module.
//
// benchstat exits with status 0 even if a file does not exist, a line is
// malformed or a filter matches nothing. So anything on its standard error, and
// an empty table, is an error here.
func Benchstat(ctx context.Context, w io.Writer, stdin io.Reader, args ...string) error {
	path, err := Tool(ctx, "benchstat")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = stdin
	// It takes seconds, or hangs.
	stdout, stderr, err := process.Limits{Time: 5 * time.Minute}.Output(ctx, cmd)
	switch {
	case err != nil:
		return fmt.Errorf("benchstat: %w\n%s", err, stderr)
	case stderr != "":
		return fmt.Errorf("benchstat: %s", strings.TrimSpace(strings.TrimPrefix(stderr, "benchstat: ")))
	case stdout == "":
		return errors.New("benchstat: nothing to show: no benchmark matches")
	}
	_, err = io.WriteString(w, stdout)
	return err
}

// Tool returns the path of one of this module's tools, after building it.
// Running "go tool NAME" instead would mix the go command's download messages
// with the tool's own standard error, and put a process between the tool and
// signals. It would also build the tool for GOARCH, which under go test -exec is
// the architecture of the programs that the tool runs.
//
// The tool that asks for itself needs neither Go nor the source: it is copied to
// machines that have nothing else.
func Tool(ctx context.Context, name string) (string, error) {
	if build, ok := debug.ReadBuildInfo(); ok && name == "eventbench" && build.Path == "eventbench/helpers/cmd/eventbench" {
		return os.Executable()
	}
	var path, stderr process.Buffer
	cmd := exec.Command("go", "tool", "-n", name)
	cmd.Env = append(os.Environ(), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Stdout, cmd.Stderr = &path, io.MultiWriter(os.Stderr, &stderr)
	if err := (process.Limits{}).Run(ctx, cmd); err != nil {
		return "", fmt.Errorf("go tool -n %s: %w\n%s", name, err, stderr.Bytes())
	}
	return strings.TrimSpace(path.String()), nil
}

// Module returns the directory of the module that this process runs in.
func Module(ctx context.Context) (string, error) {
	out, stderr, err := process.Prompt.Output(ctx, exec.Command("go", "env", "GOMOD"))
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w\n%s", err, stderr)
	}
	mod := strings.TrimSpace(out)
	if mod == "" || mod == os.DevNull {
		return "", errors.New("not in eventbench's source tree: run it there")
	}
	return filepath.Dir(mod), nil
}
