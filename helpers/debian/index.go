//go:build linux

package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
)

// An Index lists the kernels that the suites had when it was made.
//
// The signatures were checked then, but they are not kept. A package is
// authentic if its SHA-256 is the one in the index, so whoever can write to the
// cached index chooses the kernel.
type Index struct {
	Made     time.Time
	Mirror   string // that it was read from
	Lists    []list
	Troubles []string // suites that could not be read
}

// A list has the kernels of a suite.
type list struct {
	Suite    string
	SHA256   string // of the suite's list of packages
	Packages []Package
}

// IndexLife is how long an index serves, unless a newer one is asked for.
const IndexLife = 24 * time.Hour

// indexFile is the cache's file with the index of an architecture.
func indexFile(arch, snapshot string) string {
	if snapshot != "" {
		snapshot = "-" + snapshot
	}
	return "debian-" + arch + snapshot + ".json"
}

// Packages returns the images, or sources, by version, the newest first.
func (x *Index) packages(source bool) []Package {
	var all []Package
	for _, l := range x.Lists {
		for _, p := range l.Packages {
			if p.Source == source {
				all = append(all, p)
			}
		}
	}
	slices.SortStableFunc(all, func(p, q Package) int { return CompareVersions(q.Version, p.Version) })
	return all
}

// Of returns the images of a series, or its sources, newest first.
func (x *Index) Of(series string, source bool) []Package {
	return slices.DeleteFunc(x.packages(source), func(p Package) bool { return p.Series != series })
}

// Series returns the series with images, or sources, newest first.
func (x *Index) Series(source bool) []string {
	var all []string
	for _, p := range x.packages(source) {
		if !slices.Contains(all, p.Series) {
			all = append(all, p.Series)
		}
	}
	return all
}

// Fresh reports whether an index is younger than life, and of this mirror: whoever
// names another one does not want what the usual one had. An index that lacks
// suites is trusted only for a short time. A snapshot is the same everywhere.
func (a *Archive) Fresh(x *Index, life time.Duration) bool {
	if x.Mirror != a.main && a.snapshot == "" {
		return false
	}
	if len(x.Troubles) > 0 {
		life = min(life, 5*time.Minute)
	}
	return time.Since(x.Made) < life
}

// ReadIndex returns the cached index, however old.
func (a *Archive) ReadIndex(c *cache.Dir, arch string) (*Index, error) {
	name := indexFile(arch, a.snapshot)
	data, err := bounded.ReadFile(c.Path(name), bounded.Text)
	if err != nil {
		return nil, err
	}
	x := &Index{}
	err = json.Unmarshal(data, x)
	for _, l := range x.Lists {
		for _, p := range l.Packages {
			if err = errors.Join(err, p.checkAll()); err == nil && !p.Source && p.Arch() != arch {
				err = fmt.Errorf("package %s is not for %s", p.Name, arch)
			}
		}
	}
	if err == nil && time.Until(x.Made) > time.Minute {
		err = fmt.Errorf("made in the future, %v", x.Made)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path(name), err)
	}
	return x, nil
}

// Index returns an index no older than life, from the cache if possible. That
// of a snapshot stays as it is. The caller holds the cache's lock.
func (a *Archive) Index(ctx context.Context, c *cache.Dir, arch string, life time.Duration, say func(format string, args ...any)) (*Index, error) {
	if a.snapshot != "" {
		life = 100 * 365 * 24 * time.Hour
	}
	old, err := a.ReadIndex(c, arch)
	switch {
	case err == nil && a.Fresh(old, life):
		return old, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		say("cached package lists not used: %v", err)
	}
	if old == nil {
		old = &Index{}
	}
	at := ""
	if a.snapshot != "" {
		at = " of " + a.snapshot
	}
	say("reading Debian's package lists for %s%s", arch, at)
	dates, err := readReleaseDates(c)
	if err != nil {
		return nil, err
	}
	x, err := a.newIndex(ctx, arch, dates, old)
	if err != nil {
		return nil, err
	}
	if err := dates.write(c); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(x, "", "\t")
	if err != nil {
		return nil, err
	}
	return x, c.WriteFile(indexFile(arch, a.snapshot), append(data, '\n'))
}

// newIndex reads the lists of all suites and picks the kernels. A list that is
// as it was in the old index is not read again. A suite older than recorded in
// dates is left out. Newer ones are recorded there.
func (a *Archive) newIndex(ctx context.Context, arch string, dates *releaseDates, old *Index) (*Index, error) {
	if a.keys == nil {
		var err error
		if a.keys, err = readKeys(keyrings); err != nil {
			return nil, err
		}
	}
	type read struct {
		list list
		date time.Time
		err  error
	}
	const atATime = 3 // of the largest lists, each has 15 MB
	var (
		reads = make([]read, len(suites))
		slots = make(chan struct{}, atATime)
		wg    sync.WaitGroup
	)
	for i, s := range suites {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := &reads[i]
			r.list, r.date, r.err = a.readSuite(ctx, s, arch, old)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	x := &Index{Made: time.Now(), Mirror: a.main}
	found := false
	for i, r := range reads {
		err := r.err
		if err == nil && a.snapshot == "" {
			err = dates.check(a.url(suites[i].security, ""), suites[i].name, r.date)
		}
		if a.snapshot != "" && NotThere(err) {
			continue // there was none at that time
		}
		if err != nil {
			x.Troubles = append(x.Troubles, err.Error())
			continue
		}
		found = found || len(r.list.Packages) > 0
		x.Lists = append(x.Lists, r.list)
	}
	if !found {
		return nil, fmt.Errorf("no kernels could be looked up: %s", strings.Join(append(x.Troubles[:min(3, len(x.Troubles))], "is there a network, and is this the mirror? (-mirror)"), "; "))
	}
	return x, nil
}

// readSuite reads a suite's list of packages.
func (a *Archive) readSuite(ctx context.Context, s suite, arch string, old *Index) (l list, date time.Time, err error) {
	r, err := a.release(ctx, s)
	if err != nil {
		return l, date, err
	}
	base := "main/binary-" + arch + "/Packages"
	// Gzip takes a fifth of the time of xz, of a list with a third more
	// bytes. Small suites have xz alone.
	for _, extension := range []string{".gz", ".xz"} {
		have, ok := r.lists[base+extension]
		if !ok {
			continue
		}
		if i := slices.IndexFunc(old.Lists, func(l list) bool { return l.Suite == s.name && l.SHA256 == have.sha256 }); i >= 0 {
			return old.Lists[i], r.date, nil
		}
		l = list{Suite: s.name, SHA256: have.sha256}
		l.Packages, err = a.readList(ctx, s, arch, base+extension, have)
		return l, r.date, err
	}
	return l, date, fmt.Errorf("%s: the suite has no packages for %s", s.name, arch)
}

// maxList limits a compressed list of packages.
const maxList = 256 << 20

func (a *Archive) readList(ctx context.Context, s suite, arch, name string, have listed) ([]Package, error) {
	if have.size > maxList {
		return nil, fmt.Errorf("%s: %s has %d bytes", s.name, name, have.size)
	}
	dir := "dists/" + s.name + "/"
	// By its digest, because the mirror may be changing the file of that
	// name right now.
	i := strings.LastIndexByte(name, '/')
	url := a.url(s.security, dir+name[:i]+"/by-hash/SHA256/"+have.sha256)
	data, err := a.getExact(ctx, url, have.size, have.sha256)
	if NotThere(err) {
		url = a.url(s.security, dir+name)
		data, err = a.getExact(ctx, url, have.size, have.sha256)
	}
	if err != nil {
		return nil, err
	}
	r, err := decompress(bytes.NewReader(data), name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	defer r.Close()
	found, err := parsePackages(r, arch, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return found, nil
}

// parsePackages reads a Packages file, see deb822(5), for an architecture's
// kernel images, and for sources.
func parsePackages(r io.Reader, arch string, s suite) ([]Package, error) {
	var found []Package
	fields := []string{"package", "version", "architecture", "filename", "sha256", "size"}
	err := eachParagraph(r, fields, func(f paragraph) error {
		p := Package{Name: f["package"], Version: f["version"], Suite: s.name, Security: s.security, Path: f["filename"], SHA256: f["sha256"]}
		source := sourcePackage.FindStringSubmatch(p.Name)
		version := kernelVersion.FindStringSubmatch(p.Version)
		switch {
		case source != nil && f["architecture"] == "all":
			p.Source, p.Series = true, source[1]
		case version != nil && f["architecture"] == arch && p.Arch() == arch:
			p.Series = version[1]
		default:
			return nil
		}
		var err error
		if p.Size, err = strconv.ParseInt(f["size"], 10, 64); err != nil {
			return fmt.Errorf("package %s: Size: %w", p.Name, err)
		}
		// An odd one must not hide the others.
		if (p.Source || p.Size >= minImageSize) && p.checkAll() == nil {
			found = append(found, p)
		}
		return nil
	})
	return found, err
}
