//go:build linux

package bisect

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/files"
	"eventbench/helpers/kbuild"
	"eventbench/helpers/printable"
	"eventbench/helpers/process"
)

// A buildError is the reason why a commit does not build.
type buildError struct{ lines []string }

func (e *buildError) Error() string {
	return "it does not build: " + strings.Join(e.lines, "; ")
}

// imageOf is what a commit builds. Reports have columns named after the file, so
// its name is short.
func (b *bisection) imageOf(commit string) string {
	return filepath.Join(b.dir, "images", commit[:12])
}

// symbolsOf is a kernel's System.map.
func (b *bisection) symbolsOf(commit string) string { return b.imageOf(commit) + ".map" }

// make builds a commit, unless an earlier call has, and returns what it made.
func (b *bisection) make(ctx context.Context, commit string) (image string, err error) {
	image = b.imageOf(commit)
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	if err := b.git.checkout(ctx, commit); err != nil {
		return "", err
	}
	built := filepath.Join(b.git.dir, b.image)
	if err := os.RemoveAll(built); err != nil { // of another commit
		return "", err
	}
	b.Say("%.12s: building", commit)
	command, err := b.command()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-ec", command)
	cmd.Dir = b.git.dir
	// Two builds of the same source should be equal. Nobody answers a
	// question: there is no standard input.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "KBUILD_BUILD_TIMESTAMP="+kbuild.DefaultStamp, "KBUILD_BUILD_VERSION=1",
		"KBUILD_BUILD_USER=eventbench", "KBUILD_BUILD_HOST=eventbench", "LOCALVERSION=", "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -buildvcs=false"))
	var out process.Tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := (process.Limits{Runner: true}).Run(ctx, cmd); ctx.Err() != nil {
		return "", context.Cause(ctx)
	} else if err != nil {
		return "", &buildError{out.Lines(5)}
	}
	data, err := bounded.ReadFile(built, bounded.Program)
	if err != nil {
		return "", fmt.Errorf("-build has made no image: %w (-image names another file)", err)
	}
	if symbols, err := os.ReadFile(filepath.Join(b.git.dir, "System.map")); err == nil && b.binary != "" {
		if err := files.Write(b.symbolsOf(commit), symbols); err != nil {
			return "", err
		}
	}
	if err := files.Write(image, data); err != nil {
		return "", err
	}
	return image, os.Chmod(image, 0o755) // a test binary is run
}

// command is the shell command that builds the commit that is checked out.
func (b *bisection) command() (string, error) {
	switch {
	case b.build != "":
		return b.build, nil
	case b.binary == "":
		return "CGO_ENABLED=0 go test -c -o bisect.test .", nil
	}
	make := fmt.Sprintf("make -s -j%d ARCH=x86_64", runtime.NumCPU())
	if _, err := exec.LookPath("ccache"); err == nil {
		make += " CC='ccache gcc'"
	}
	if b.config == "" {
		config := filepath.Join(b.dir, "small.config")
		if err := files.Write(config, []byte(kbuild.Config)); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s KCONFIG_ALLCONFIG=%s allnoconfig && %[1]s bzImage", make, printable.ShellWord(config)), nil
	}
	config, err := filepath.Abs(b.config)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cp %s .config && %s olddefconfig && %[2]s bzImage", printable.ShellWord(config), make), nil
}
