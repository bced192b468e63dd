//go:build linux

package debian

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"eventbench/helpers/cache"
)

// FetchSource fetches the newest linux-source package of a series such as
// "6.12" and unpacks the archive with the source in it into dir. It returns the
// archive and Debian's version. c keeps the index.
func FetchSource(ctx context.Context, c *cache.Dir, series, mirror, dir string, say func(format string, args ...any)) (archive, version string, err error) {
	a, err := Open(mirror, "")
	if err != nil {
		return "", "", err
	}
	lock, err := c.Fill(ctx, say)
	if err != nil {
		return "", "", err
	}
	x, err := a.Index(ctx, c, "amd64", IndexLife, say)
	lock.Close()
	if err != nil {
		return "", "", fmt.Errorf("source of %s: %w", series, err)
	}
	found := x.Of(series, true)
	if len(found) == 0 {
		return "", "", fmt.Errorf("no linux-source package of series %s in Debian, which has %s", series, strings.Join(x.Series(true), ", "))
	}
	p := found[0]
	deb := filepath.Join(dir, "package.deb")
	if err := a.Download(ctx, p, deb, say); err != nil {
		return "", "", err
	}
	defer os.Remove(deb)
	inside := regexp.MustCompile(`^usr/src/` + regexp.QuoteMeta(p.Name) + `(\.tar\.(xz|gz|zst|bz2))$`)
	err = Walk(deb, func(name string, _ int64, r io.Reader) error {
		m := inside.FindStringSubmatch(name)
		if m == nil {
			return nil
		}
		archive = filepath.Join(dir, "source"+m[1])
		f, err := os.Create(archive)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		return fs.SkipAll
	})
	if err == nil && archive == "" {
		err = fmt.Errorf("no source in usr/src")
	}
	if err != nil {
		return "", "", fmt.Errorf("%s %s: %w", p.Name, p.Version, err)
	}
	return archive, p.Version, nil
}
