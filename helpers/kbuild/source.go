//go:build linux

package kbuild

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/debian"
	"eventbench/helpers/guest"
	"eventbench/helpers/process"
	"eventbench/helpers/progress"
)

// DefaultSeries builds without warnings with gcc 12 and later. This module's
// mutants are made for it.
const DefaultSeries = "6.12"

// A Source says which kernel to build.
type Source struct {
	Series string // of Debian's linux-source packages, such as "6.12"
	Mirror string // Debian's, see debian.Open
}

var seriesPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// Open returns the tree of a source in the user's cache. The first time, it
// fetches the newest package of the series.
func Open(ctx context.Context, s Source, p *progress.Progress) (*Tree, error) {
	if !seriesPattern.MatchString(s.Series) {
		return nil, fmt.Errorf("kernel series %q: want one such as %s", s.Series, DefaultSeries)
	}
	if err := checkTools(ctx, false); err != nil {
		return nil, err
	}
	dir, err := cache.User("kbuild")
	if err != nil {
		return nil, err
	}
	t := &Tree{cache: dir, dir: "linux-" + s.Series, p: p}
	if t.load() == nil {
		return t, nil
	}
	lock, err := dir.Lock(ctx, func() { p.Say("waiting for another process that builds a kernel") })
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if t.load() == nil {
		return t, nil
	}
	if err := t.fetch(ctx, s); err != nil {
		return nil, err
	}
	return t, t.load()
}

// load reads the tree's description. That file is written only once the whole
// source is there.
func (t *Tree) load() error {
	data, err := bounded.ReadFile(t.path(factsName), bounded.Text)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, t)
}

// Left out when the source is unpacked: most of its files. No kernel of
// [Config] is made from them. All of Kconfig and the Makefiles must be there.
var unneeded = []string{
	"*/Documentation/*.rst", "*.yaml", "*.dts", "*.dtsi", "*.dtso",
	"*/arch/[!x]*/*.[chS]", "*/drivers/gpu/*.[ch]", "*/drivers/media/*.[ch]", "*/drivers/net/*/*.[ch]",
	"*/drivers/infiniband/*.[ch]", "*/sound/*.[ch]", "*/tools/testing/*", "*/tools/perf/*",
}

// fetch puts the source into the cache. The caller holds the lock.
func (t *Tree) fetch(ctx context.Context, s Source) error {
	packages, err := guest.UserCache()
	if err != nil {
		return err
	}
	work, remove, err := t.cache.WorkDir()
	if err != nil {
		return err
	}
	defer remove()
	archive, version, err := debian.FetchSource(ctx, packages, s.Series, s.Mirror, work, t.p.Say)
	if err != nil {
		return err
	}
	t.p.Say("unpacking linux-source-%s %s", s.Series, version)
	tree := filepath.Join(work, "tree")
	source := filepath.Join(tree, sourceDir)
	if err := os.MkdirAll(source, 0o755); err != nil {
		return t.cache.Unwritable(err)
	}
	args := []string{"-xf", archive, "-C", source, "--strip-components=1", "--no-same-owner", "--touch"}
	for _, pattern := range unneeded {
		args = append(args, "--exclude="+pattern)
	}
	if err := run(ctx, "tar", args...); err != nil {
		return err
	}
	facts, err := json.MarshalIndent(Tree{Series: s.Series, Version: version}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, factsName), append(facts, '\n'), 0o644); err != nil {
		return t.cache.Unwritable(err)
	}
	if err := os.RemoveAll(t.path()); err != nil { // one that could not be loaded
		return t.cache.Unwritable(err)
	}
	return os.Rename(tree, t.path())
}

func run(ctx context.Context, name string, args ...string) error {
	var out process.Tail
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := process.Run(ctx, cmd); err != nil {
		if lines := out.Lines(3); ctx.Err() == nil && len(lines) > 0 {
			return fmt.Errorf("%s: %w: %s", name, err, strings.Join(lines, "; "))
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Programs and headers that a build needs, with the Debian packages that
// contain them. The kernel's documentation lists more, for other configurations
// than Config.
var (
	programs = []struct{ name, pkg string }{
		{"gcc", "gcc"}, {"ld", "binutils"}, {"make", "make"}, {"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"},
		{"tar", "tar"}, {"xz", "xz-utils"}, {"gzip", "gzip"},
	}
	headers = []struct{ name, pkg string }{
		{"stdio.h", "libc6-dev"}, {"gelf.h", "libelf-dev"},
	}
)

// checkTools returns an error that names everything missing.
func checkTools(ctx context.Context, patch bool) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("kernels for guests are x86-64, and this is %s: build them on an x86-64 host", runtime.GOARCH)
	}
	var names, packages []string
	missing := func(name, pkg string) {
		names = append(names, name)
		packages = append(packages, pkg)
	}
	needed := programs
	if patch {
		needed = append(slices.Clone(needed), struct{ name, pkg string }{"patch", "patch"})
	}
	for _, n := range needed {
		if _, err := exec.LookPath(n.name); err != nil {
			missing(n.name, n.pkg)
		}
	}
	if !slices.Contains(names, "gcc") {
		for _, h := range headers {
			if err := run(ctx, "gcc", "-fsyntax-only", "-include", h.name, "-x", "c", os.DevNull); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				missing(h.name, h.pkg)
			}
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("a kernel cannot be built without %s: install %s (the names of Debian's packages)",
		strings.Join(names, ", "), strings.Join(packages, " "))
}
