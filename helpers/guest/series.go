package guest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"

	"golang.org/x/sys/unix"
)

// progress reports on what takes a while.
type progress func(format string, args ...any)

// once returns a progress that reports nothing twice.
func (p progress) once() progress {
	said := make(map[string]bool)
	return func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); !said[line] {
			said[line] = true
			p(format, args...)
		}
	}
}

// A cachedKernel is what the cache keeps beside an image.
type cachedKernel struct {
	Series  string
	Package string
	Version string // Debian's
	Suite   string
	SHA256  string // of the image
	dir     string
}

const (
	kernelsDir = "kernels"
	imageName  = "vmlinuz"
	configName = "config"
	factsName  = "kernel.json"
)

// cachedKernels returns the cache's kernels by version, newest first.
func cachedKernels(c *cache.Dir) ([]cachedKernel, error) {
	facts, err := filepath.Glob(c.Path(kernelsDir, "*", factsName))
	if err != nil {
		return nil, err
	}
	var all []cachedKernel
	for _, name := range facts {
		data, err := bounded.ReadFile(name, bounded.Text)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process has just replaced it
		}
		if err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
		k := cachedKernel{dir: filepath.Dir(name)}
		if err := json.Unmarshal(data, &k); err != nil {
			continue // as good as not cached
		}
		if k.check() != nil {
			continue
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b cachedKernel) int { return compareVersions(b.Version, a.Version) })
	return all, nil
}

// check checks the facts, because anyone who could write to the cache may have
// written them.
func (k cachedKernel) check() error {
	return aptPackage{Series: k.Series, Name: k.Package, Version: k.Version, Suite: k.Suite, SHA256: k.SHA256}.checkName()
}

// load reads the image and verifies that it has not changed since it was
// cached.
func (k cachedKernel) load() (*Kernel, error) {
	image, err := bounded.ReadFile(filepath.Join(k.dir, imageName), bounded.Image)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(image); hex.EncodeToString(sum[:]) != k.SHA256 {
		return nil, fmt.Errorf("%s has changed since it was put there", filepath.Join(k.dir, imageName))
	}
	kernel, err := parseKernel(image)
	if err != nil {
		return nil, err
	}
	kernel.Name = k.Package + " " + k.Version
	kernel.config, err = bounded.ReadFile(filepath.Join(k.dir, configName), bounded.Text)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return kernel, nil
}

// loadCached loads an architecture's newest cached kernel of a series, or of
// one version of it if want is set. It returns nil if none is intact.
func loadCached(c *cache.Dir, arch *Arch, series, want string, say progress) (*Kernel, error) {
	all, err := cachedKernels(c)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if imageArch(k.Package) != arch || k.Series != series || want != "" && k.Version != want {
			continue
		}
		kernel, err := k.load()
		if err == nil {
			return kernel, nil
		}
		say("cached kernel not used: %v", err)
	}
	return nil, nil
}

// findSeries returns a kernel of the series from the cache, fetching it first
// if needed.
func findSeries(ctx context.Context, c *cache.Dir, arch *Arch, series, mirror string, update bool, say progress) (*Kernel, error) {
	say = say.once() // the cache is looked through more than once
	if !update {
		if k, err := loadCached(c, arch, series, "", say); k != nil || err != nil {
			return k, err
		}
	}
	lock, err := c.Lock(ctx, func() { say("waiting for another process that fills the cache") })
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if !update { // that process may have got it
		if k, err := loadCached(c, arch, series, "", say); k != nil || err != nil {
			return k, err
		}
	}

	life := indexLife
	if update {
		life = 0
	}
	x, err := freshIndex(ctx, c, arch, mirror, life, say)
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", series, err)
	}
	found := x.of(series, false)
	if len(found) == 0 && time.Since(x.Made) > time.Minute {
		// It may be newer than the index.
		if x, err = freshIndex(ctx, c, arch, mirror, 0, say); err != nil {
			return nil, fmt.Errorf("kernel %s: %w", series, err)
		}
		found = x.of(series, false)
	}
	if len(found) == 0 {
		err := fmt.Errorf("no cloud kernel of series %s for %s in Debian, which has %s", series, arch, strings.Join(x.series(false), ", "))
		if len(x.Troubles) > 0 {
			err = fmt.Errorf("%w (not all lists could be read: %s)", err, strings.Join(x.Troubles, "; "))
		}
		return nil, err
	}
	k, err := fetched(ctx, c, found[0], mirror, say)
	if noSpace(err) {
		return nil, fmt.Errorf("kernel %s: %w: free space for %s, or set XDG_CACHE_HOME to a directory that has some", series, err, c.Path())
	}
	if err != nil && ctx.Err() == nil && time.Since(x.Made) > time.Minute {
		// The archive may have changed since the index was made.
		if x, e := freshIndex(ctx, c, arch, mirror, 0, say); e == nil {
			if again := x.of(series, false); len(again) > 0 {
				found = again
				k, err = fetched(ctx, c, found[0], mirror, say)
			}
		}
	}
	if notThere(err) {
		say("%s %s is listed, but the mirror lacks it: looking for the next version that is there", found[0].Name, found[0].Version)
	}
	for i := 1; i < len(found) && notThere(err); i++ {
		k, err = fetched(ctx, c, found[i], mirror, func(string, ...any) {})
	}
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", series, err)
	}
	return k, nil
}

// fetched returns the package's kernel from the cache, fetching it first if
// needed. The caller holds the lock.
func fetched(ctx context.Context, c *cache.Dir, p aptPackage, mirror string, say progress) (*Kernel, error) {
	if k, err := loadCached(c, p.arch(), p.Series, p.Version, say); k != nil || err != nil {
		return k, err
	}
	if err := fetch(ctx, c, p, mirror, say); err != nil {
		return nil, err
	}
	k, err := loadCached(c, p.arch(), p.Series, p.Version, say)
	if k == nil && err == nil {
		err = fmt.Errorf("it was put into the cache, %s, but is missing", c.Path())
	}
	return k, err
}

// notThere reports whether err means a file that the mirror lacks, in the words
// of apt's methods for http and for files.
func notThere(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "404  Not Found") || strings.Contains(err.Error(), "File not found"))
}

// noSpace reports whether err means a full disk, found here or reported by apt.
func noSpace(err error) bool {
	return err != nil && (errors.Is(err, unix.ENOSPC) || strings.Contains(err.Error(), "No space left on device"))
}

// fetch puts the package's kernel into the cache. The caller holds the lock.
func fetch(ctx context.Context, c *cache.Dir, p aptPackage, mirror string, say progress) error {
	work, remove, err := c.WorkDir()
	if err != nil {
		return err
	}
	defer remove()
	file, err := download(ctx, work, p, mirror, say)
	if err != nil {
		return err
	}
	image, config, err := imageInPackage(ctx, file)
	if err != nil {
		return fmt.Errorf("%s: %w", p.URI, err)
	}
	if k, err := parseKernel(image); err != nil {
		return fmt.Errorf("%s: %w", p.URI, err)
	} else if k.arch != p.arch() {
		return fmt.Errorf("%s: a kernel for %s, not for %s", p.URI, k.arch, p.arch())
	}
	sum := sha256.Sum256(image)
	facts, err := json.MarshalIndent(cachedKernel{
		Series: p.Series, Package: p.Name, Version: p.Version, Suite: p.Suite, SHA256: hex.EncodeToString(sum[:]),
	}, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Join(work, "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, imageName), image); err != nil {
		return err
	}
	if config != nil {
		if err := writeSynced(filepath.Join(dir, configName), config); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(dir, factsName), append(facts, '\n')); err != nil {
		return err
	}
	to := c.Path(kernelsDir, p.Name+"_"+p.Version)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return c.Unwritable(err)
	}
	if err := os.RemoveAll(to); err != nil { // one that could not be loaded
		return c.Unwritable(err)
	}
	return os.Rename(dir, to)
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// A Series is a release series of kernels, for listing.
type Series struct {
	Name    string // such as "6.12"
	Newest  string // Debian's version, empty if unknown
	Suite   string
	Cached  string // Debian's version, empty if none is
	Package string // of the newest, or else of the cached
}

// ListSeries lists an architecture's available and cached kernels, newest
// first. If it cannot find out what is available, it lists the cached ones and
// also returns the error.
func ListSeries(ctx context.Context, c *cache.Dir, arch *Arch, mirror string, update bool, say progress) ([]Series, error) {
	life := indexLife
	if update {
		life = 0
	}
	x, err := readIndex(c, arch)
	if err != nil || !x.fresh(life) {
		var lock *os.File
		if lock, err = c.Lock(ctx, func() { say("waiting for another process that fills the cache") }); err == nil {
			x, err = freshIndex(ctx, c, arch, mirror, life, say)
			lock.Close()
		}
	}
	if err != nil {
		x = &aptIndex{}
	}
	for _, trouble := range x.Troubles {
		say("not all lists could be read: %s", trouble)
	}
	kernels, e := cachedKernels(c)
	err = errors.Join(err, e)
	kernels = slices.DeleteFunc(kernels, func(k cachedKernel) bool { return imageArch(k.Package) != arch })

	var all []Series
	for _, name := range x.series(false) {
		p := x.of(name, false)[0]
		all = append(all, Series{Name: name, Newest: p.Version, Suite: p.Suite, Package: p.Name})
	}
	for _, k := range kernels {
		i := slices.IndexFunc(all, func(s Series) bool { return s.Name == k.Series })
		if i < 0 {
			all = append(all, Series{Name: k.Series, Package: k.Package})
			i = len(all) - 1
		}
		if all[i].Cached == "" {
			all[i].Cached = k.Version
		}
	}
	slices.SortStableFunc(all, func(a, b Series) int { return compareVersions(b.Name, a.Name) })
	return all, err
}
