//go:build linux

package gvisor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"eventbench/helpers/cache"
	"eventbench/helpers/process"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// The version of gVisor whose runsc [Build] builds. It is not in go.mod, where
// it would add hundreds of modules for a program that only some targets need.
const (
	modulePath    = "gvisor.dev/gvisor"
	moduleVersion = "v0.0.0-20260905035102-160fafc42237"
)

// Release is the release of gVisor that [Cache.Build] builds, as it appears in
// results.
func Release() string { return moduleRelease(moduleVersion) }

// A Runsc is gVisor's runtime: an executable.
type Runsc struct {
	Path    string
	Release string // as results name it: 20260905035102 of a Go module, else what runsc --version says
}

// A Cache is the directory for built copies of runsc. Several processes can use
// it at once. A file gets its name only when it is complete, and removing one
// is always safe.
type Cache struct{ dir *cache.Dir }

// UserCache is the cache in the user's cache directory. It is created when it
// is first written to.
func UserCache() (*Cache, error) {
	dir, err := cache.User("gvisor")
	if err != nil {
		return nil, err
	}
	return &Cache{dir}, nil
}

// Find returns the runsc of the pinned version, and false if it is not built
// yet.
func (c *Cache) Find() (Runsc, bool) {
	name := strings.TrimPrefix(moduleVersion, "v0.0.0-")
	r := Runsc{c.dir.Path("runsc-" + name + "-" + runtime.GOARCH), Release()}
	fi, err := os.Stat(r.Path)
	return r, err == nil && fi.Mode().IsRegular()
}

// Inspect returns the runsc at path, which may be any build.
func Inspect(ctx context.Context, path string) (Runsc, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Runsc{}, err
	}
	out, _, err := process.Prompt.Output(ctx, exec.Command(abs, "--version"))
	//	runsc version release-20260901.0
	//	spec: 1.2.1
	first, _, _ := strings.Cut(out, "\n")
	version, isRunsc := strings.CutPrefix(strings.TrimSpace(first), "runsc version ")
	if err != nil || !isRunsc {
		if err == nil {
			err = fmt.Errorf("runsc --version printed %.100q", out)
		}
		return Runsc{}, fmt.Errorf("%s is not a runsc that runs here: %w", path, err)
	}
	r := Runsc{abs, version}
	if version != "VERSION_MISSING" { // what go install leaves it at
		return r, nil
	}
	if info, err := buildinfo.ReadFile(abs); err == nil && info.Main.Path == modulePath && info.Main.Version != "(devel)" {
		r.Release = moduleRelease(info.Main.Version)
		return r, nil
	}
	image, err := os.ReadFile(abs)
	if err != nil {
		return Runsc{}, err
	}
	sum := sha256.Sum256(image)
	r.Release = "build-" + hex.EncodeToString(sum[:5])
	return r, nil
}

// moduleRelease returns the time of a pseudo-version, which is also how gVisor
// numbers its releases. Other versions are returned unchanged.
func moduleRelease(version string) string {
	if rest, ok := strings.CutPrefix(version, "v0.0.0-"); ok {
		version, _, _ = strings.Cut(rest, "-")
	}
	return version
}

// A Progress tells the user about steps that take time.
type Progress interface {
	Say(format string, args ...any)     // a line that stays
	Working(format string, args ...any) // where the work is, now and then
}

// Build returns the runsc of the pinned version. If the cache has none, it
// builds it with the go command. That happens once: it compiles about 175
// packages, which took 95 s on two idle cores (160 s of CPU time).
func (c *Cache) Build(ctx context.Context, p Progress) (Runsc, error) {
	r, ok := c.Find()
	if ok {
		return r, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return r, fmt.Errorf("runsc must be built: %w: install Go, or name a runsc with -runsc", err)
	}
	lock, err := c.dir.Lock(ctx, func() { p.Say("waiting for another process, which is building runsc") })
	if err != nil {
		return r, err
	}
	defer lock.Close()
	if r, ok = c.Find(); ok {
		return r, nil
	}
	work, remove, err := c.dir.WorkDir()
	if err != nil {
		return r, err
	}
	defer remove()
	p.Say("building runsc %s, once: about 100 s on two idle cores; it is kept in %s", r.Release, c.dir.Path())
	if err := install(ctx, work, p); err != nil {
		return r, fmt.Errorf("building runsc: %w", err)
	}
	return r, os.Rename(filepath.Join(work, "runsc"), r.Path)
}

// install makes the go command put runsc into dir.
func install(ctx context.Context, dir string, p Progress) error {
	cmd := exec.Command("go", "install", "-v", modulePath+"/runsc@"+moduleVersion)
	// Not in the caller's module, whose vendor directory or go.work would
	// interfere.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "GOBIN="+dir, "GO111MODULE=on", "GOWORK=off",
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	var log buildLog
	cmd.Stdout, cmd.Stderr = &log, &log
	ended := make(chan error, 1)
	go func() { ended <- process.Run(ctx, cmd) }()
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return log.explain(err)
			}
			return nil
		case <-tick.C:
			p.Working("building runsc: %s, %d packages", time.Since(start).Round(time.Second), log.packages.Load())
		}
	}
}

// A buildLog keeps the go command's output, and counts the packages that -v
// names.
type buildLog struct {
	text     bytes.Buffer
	packages atomic.Int64
}

func (l *buildLog) Write(p []byte) (int, error) {
	l.packages.Add(int64(bytes.Count(p, []byte("\n"))))
	return l.text.Write(p)
}

// explain returns the last of the go command's output, and what to do about it.
func (l *buildLog) explain(err error) error {
	text := l.text.String()
	hint := ""
	switch {
	case contains(text, "no space left on device", "disk quota exceeded"):
		hint = "\n\tfree space: it takes about 3 GB, most of it in go env GOCACHE and GOMODCACHE"
	case contains(text, "dial tcp", "no such host", "proxyconnect", "i/o timeout", "module lookup disabled", "TLS handshake"):
		hint = "\n\tit needs the network once, through go env GOPROXY; elsewhere built, a runsc can be named with -runsc"
	}
	var lines []string
	for line := range strings.Lines(text) {
		// All else are packages and downloads.
		if strings.Contains(line, " ") && !strings.HasPrefix(line, "go: downloading") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	lines = lines[max(0, len(lines)-8):]
	return fmt.Errorf("go install: %w\n\t%s%s", err, strings.Join(lines, "\n\t"), hint)
}

func contains(text string, any ...string) bool {
	for _, s := range any {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// mountPoint returns an existing directory over which sandboxes mount in their
// own mount namespaces.
func (c *Cache) mountPoint() (string, error) {
	dir := c.dir.Path("run")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", c.dir.Unwritable(err)
	}
	return dir, nil
}
