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
	"eventbench/helpers/debian"

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
	// Snapshot is set if it was fetched for a date alone, and so may not be
	// the newest of its series.
	Snapshot bool `json:",omitempty"`
	dir      string
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
	slices.SortFunc(all, func(a, b cachedKernel) int { return debian.CompareVersions(b.Version, a.Version) })
	return all, nil
}

// arch returns the name of the kernel's architecture.
func (k cachedKernel) arch() string { return debian.Package{Name: k.Package}.Arch() }

// check checks the facts, because anyone who could write to the cache may have
// written them.
func (k cachedKernel) check() error {
	return debian.Package{Series: k.Series, Name: k.Package, Version: k.Version, Suite: k.Suite, SHA256: k.SHA256}.Check()
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
// one version of it if want is set. It returns nil if none is intact. One that
// was fetched for a date is the newest of nothing.
func loadCached(c *cache.Dir, arch *Arch, series, want string, say progress) (*Kernel, error) {
	all, err := cachedKernels(c)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.arch() != arch.Name || k.Series != series || want != "" && k.Version != want || want == "" && k.Snapshot {
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

// A seriesAsked is a series of kernels as the user asks for it.
type seriesAsked struct {
	arch     *Arch
	series   string // such as "6.12"
	snapshot string // its date, or "" for the newest
	mirror   string // or "" for the usual one
	update   bool   // whatever the cache has
}

// find returns a kernel of the series from the cache, fetching it first if
// needed.
func (q seriesAsked) find(ctx context.Context, c *cache.Dir, say progress) (*Kernel, error) {
	say = say.once() // the cache is looked through more than once
	a, err := debian.Open(q.mirror, q.snapshot)
	if err != nil {
		return nil, err
	}
	if k, err := q.cached(c, a, say); k != nil || err != nil {
		return k, err
	}
	lock, err := c.Fill(ctx, say)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	// That process may have got it.
	if k, err := q.cached(c, a, say); k != nil || err != nil {
		return k, err
	}
	k, err := q.fetchNewest(ctx, c, a, say)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w: free space for %s, or set XDG_CACHE_HOME to a directory that has some", err, c.Path())
	}
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", q, err)
	}
	return k, nil
}

func (q seriesAsked) String() string {
	if q.snapshot != "" {
		return q.series + "@" + q.snapshot
	}
	return q.series
}

// cached returns the kernel if the cache has it. That of a date is the one in the
// index of that date.
func (q seriesAsked) cached(c *cache.Dir, a *debian.Archive, say progress) (*Kernel, error) {
	version := ""
	if q.snapshot != "" {
		x, err := a.ReadIndex(c, q.arch.Name)
		if err != nil || len(x.Of(q.series, false)) == 0 {
			return nil, nil // it is read again
		}
		version = x.Of(q.series, false)[0].Version
	}
	if q.update && q.snapshot == "" {
		return nil, nil
	}
	return loadCached(c, q.arch, q.series, version, say)
}

// fetchNewest fetches the newest kernel of the series. The caller holds the
// lock.
func (q seriesAsked) fetchNewest(ctx context.Context, c *cache.Dir, a *debian.Archive, say progress) (*Kernel, error) {
	life := debian.IndexLife
	if q.update {
		life = 0
	}
	x, err := a.Index(ctx, c, q.arch.Name, life, say)
	if err != nil {
		return nil, err
	}
	found := x.Of(q.series, false)
	// A snapshot's index never changes; another may be out of date.
	renewable := q.snapshot == "" && time.Since(x.Made) > time.Minute
	if len(found) == 0 && renewable {
		if x, err = a.Index(ctx, c, q.arch.Name, 0, say); err != nil {
			return nil, err
		}
		found, renewable = x.Of(q.series, false), false
	}
	if len(found) == 0 {
		err := fmt.Errorf("no cloud kernel of series %s for %s in Debian, which has %s", q.series, q.arch, strings.Join(x.Series(false), ", "))
		if len(x.Troubles) > 0 {
			err = fmt.Errorf("%w (not all lists could be read: %s)", err, strings.Join(x.Troubles, "; "))
		}
		return nil, err
	}
	k, err := q.fetched(ctx, c, a, found[0], say)
	if err != nil && !errors.Is(err, unix.ENOSPC) && ctx.Err() == nil && renewable {
		// The archive may have changed since the index was made.
		if x, e := a.Index(ctx, c, q.arch.Name, 0, say); e == nil {
			if again := x.Of(q.series, false); len(again) > 0 {
				found = again
				k, err = q.fetched(ctx, c, a, found[0], say)
			}
		}
	}
	if debian.NotThere(err) {
		say("%s %s is listed, but the mirror lacks it: looking for the next version that is there", found[0].Name, found[0].Version)
	}
	for i := 1; i < len(found) && debian.NotThere(err); i++ {
		k, err = q.fetched(ctx, c, a, found[i], func(string, ...any) {})
	}
	return k, err
}

// fetched returns the package's kernel from the cache, fetching it first if
// needed. The caller holds the lock.
func (q seriesAsked) fetched(ctx context.Context, c *cache.Dir, a *debian.Archive, p debian.Package, say progress) (*Kernel, error) {
	k, err := loadCached(c, q.arch, p.Series, p.Version, say)
	if err != nil {
		return nil, err
	}
	if k != nil {
		if q.snapshot == "" { // whatever it was fetched for
			var facts []byte
			if facts, err = json.MarshalIndent(factsOf(p, k, false), "", "\t"); err == nil {
				err = c.WriteFile(filepath.Join(kernelsDir, dirName(p), factsName), append(facts, '\n'))
			}
		}
		return k, err
	}
	if err := q.fetch(ctx, c, a, p, say); err != nil {
		return nil, err
	}
	k, err = loadCached(c, q.arch, p.Series, p.Version, say)
	if k == nil && err == nil {
		err = fmt.Errorf("it was put into the cache, %s, but is missing", c.Path())
	}
	return k, err
}

// dirName is the name of a kernel's directory in the cache.
func dirName(p debian.Package) string { return p.Name + "_" + p.Version }

// fetch puts the package's kernel into the cache. The caller holds the lock.
func (q seriesAsked) fetch(ctx context.Context, c *cache.Dir, a *debian.Archive, p debian.Package, say progress) error {
	work, remove, err := c.WorkDir()
	if err != nil {
		return err
	}
	defer remove()
	file := filepath.Join(work, "package.deb")
	if err := a.Download(ctx, p, file, say); err != nil {
		return err
	}
	image, config, err := imageInPackage(file)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	k, err := parseKernel(image)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	if k.arch != q.arch {
		return fmt.Errorf("%s: a kernel for %s, not for %s", p.Path, k.arch, q.arch)
	}
	facts, err := json.MarshalIndent(factsOf(p, k, q.snapshot != ""), "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Join(work, "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, imageName), k.image); err != nil {
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
	to := c.Path(kernelsDir, dirName(p))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return c.Unwritable(err)
	}
	if err := os.RemoveAll(to); err != nil { // one that could not be loaded
		return c.Unwritable(err)
	}
	return os.Rename(dir, to)
}

// factsOf returns what the cache keeps beside a kernel of a package.
func factsOf(p debian.Package, k *Kernel, snapshot bool) cachedKernel {
	return cachedKernel{Series: p.Series, Package: p.Name, Version: p.Version, Suite: p.Suite, SHA256: fmt.Sprintf("%x", k.Sum()), Snapshot: snapshot}
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
	life := debian.IndexLife
	if update {
		life = 0
	}
	a, err := debian.Open(mirror, "")
	if err != nil {
		return nil, err
	}
	x, err := a.ReadIndex(c, arch.Name)
	if err != nil || !a.Fresh(x, life) {
		var lock *os.File
		if lock, err = c.Fill(ctx, say); err == nil {
			x, err = a.Index(ctx, c, arch.Name, life, say)
			lock.Close()
		}
	}
	if err != nil {
		x = &debian.Index{}
	}
	for _, trouble := range x.Troubles {
		say("not all lists could be read: %s", trouble)
	}
	kernels, e := cachedKernels(c)
	err = errors.Join(err, e)
	kernels = slices.DeleteFunc(kernels, func(k cachedKernel) bool { return k.arch() != arch.Name || k.Snapshot })

	var all []Series
	for _, name := range x.Series(false) {
		p := x.Of(name, false)[0]
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
	slices.SortStableFunc(all, func(a, b Series) int { return debian.CompareVersions(b.Name, a.Name) })
	return all, err
}
