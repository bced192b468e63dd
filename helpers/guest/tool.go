package guest

import (
	"context"
	"crypto/sha256"
	"debug/elf"
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

const (
	initDir     = "init"
	initPackage = "eventbench/helpers/cmd/init"
	initLife    = 7 * 24 * time.Hour // since it was built
)

// FindInit returns the init for guests of an architecture. The go command
// builds it once, and it is kept in the cache: a program of its own, because it
// must be static and small, and this tool is neither.
func FindInit(ctx context.Context, c *cache.Dir, arch *Arch, say progress) ([]byte, error) {
	id, err := ownID()
	if err != nil {
		return nil, err
	}
	// Another build of this tool has another init.
	name := filepath.Join(initDir, fmt.Sprintf("%s-%x", arch.Name, id[:8]))
	read := func(file string) ([]byte, error) {
		image, err := bounded.ReadFile(file, bounded.Program)
		if err != nil {
			return nil, err
		}
		if of, err := checkProgram(image); err != nil || of != arch {
			return nil, fmt.Errorf("%s is no program for %s", file, arch) // and is built again
		}
		return image, nil
	}
	cached := func() ([]byte, error) { return read(c.Path(name)) }
	// A machine without Go has it where this tool was copied to.
	if exe, err := os.Executable(); err == nil {
		if image, err := read(filepath.Join(filepath.Dir(exe), filepath.Base(name))); err == nil {
			return image, nil
		}
	}
	if image, err := cached(); err == nil {
		return image, nil
	}
	lock, err := c.Fill(ctx, say)
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
	if err := buildInit(ctx, arch, built); err != nil {
		return nil, fmt.Errorf("the init of %s guests: %w\n\tor copy %s from the cache of a machine where this same program has run a guest, beside it", arch, err, filepath.Base(name))
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

// ownID tells this build of the tool from others: its build ID, or if it was
// linked without one, the hash of all of it.
func ownID() (sum [sha256.Size]byte, err error) {
	const self = "/proc/self/exe"
	f, err := elf.Open(self)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	if note := f.Section(".note.go.buildid"); note != nil {
		if id, err := note.Data(); err == nil {
			return sha256.Sum256(id), nil
		}
	}
	image, err := os.ReadFile(self)
	return sha256.Sum256(image), err
}

// buildInit builds the init of an architecture's guests. The source is where
// this tool's own was, or else in the module of the working directory.
func buildInit(ctx context.Context, arch *Arch, to string) error {
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
	cmd := exec.Command(goTool, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", to, initPackage)
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
