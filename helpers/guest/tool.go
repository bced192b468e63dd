package guest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/process"
)

// ownInit returns this tool, to be the init of a guest of its own architecture.
func ownInit() ([]byte, error) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	if _, err := checkProgram(self); err != nil {
		return nil, fmt.Errorf("this tool, which is also the guest's init, is %w", err)
	}
	return self, nil
}

const (
	initDir  = "init"
	initLife = 7 * 24 * time.Hour // since it was built
)

// FindInit returns the init for guests of an architecture: this tool. For
// another architecture than its own, it builds itself from its source with the
// go command, once, and keeps that in the cache.
func FindInit(ctx context.Context, c *cache.Dir, arch *Arch, say progress) ([]byte, error) {
	if arch == here() {
		return ownInit()
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	// Another build of this tool is another init.
	name := filepath.Join(initDir, fmt.Sprintf("%s-%x", arch.Name, sha256.Sum256(self)))
	cached := func() ([]byte, error) {
		image, err := bounded.ReadFile(c.Path(name), bounded.Program)
		if err != nil {
			return nil, err
		}
		if of, err := checkProgram(image); err != nil || of != arch {
			return nil, fmt.Errorf("%s is no program for %s", c.Path(name), arch) // and is built again
		}
		return image, nil
	}
	if image, err := cached(); err == nil {
		return image, nil
	}
	lock, err := c.Lock(ctx, func() { say("waiting for another process that fills the cache") })
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if image, err := cached(); err == nil { // that process built it
		return image, nil
	}
	say("building the init of %s guests", arch)
	work, remove, err := c.WorkDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	built := filepath.Join(work, "init")
	if err := buildTool(ctx, arch, built); err != nil {
		return nil, fmt.Errorf("the init of %s guests is this tool, built for them: %w", arch, err)
	}
	image, err := bounded.ReadFile(built, bounded.Program)
	if err != nil {
		return nil, err
	}
	removeOldInits(c)
	if err := c.WriteFile(name, image); err != nil {
		return nil, err
	}
	return cached()
}

// buildTool builds this tool for an architecture. The source is where this
// tool's own was, or else in the module of the working directory.
func buildTool(ctx context.Context, arch *Arch, to string) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%w: install Go (https://go.dev/dl/)", err)
	}
	dir := "" // where this process is
	if _, file, _, ok := runtime.Caller(0); ok {
		root := filepath.Join(filepath.Dir(file), "..", "..")
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			dir = root
		}
	}
	// As go tool builds tools, so that what it has compiled serves.
	cmd := exec.Command(goTool, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", to, "eventbench/helpers/cmd/eventbench")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch.Name, "CGO_ENABLED=0")
	_, stderr, err := process.Limits{}.Output(ctx, cmd)
	if err != nil && dir == "" && ctx.Err() == nil {
		err = errors.Join(err, errors.New("run it inside eventbench's source tree"))
	}
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, stderr)
	}
	return nil
}

// removeOldInits removes what earlier builds of this tool left. The caller
// holds the lock.
func removeOldInits(c *cache.Dir) {
	all, _ := filepath.Glob(c.Path(initDir, "*"))
	for _, name := range all {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > initLife {
			os.Remove(name)
		}
	}
}
