package guest

import (
	"context"
	"fmt"
	"strings"

	"eventbench/helpers/cache"
)

// FetchSource downloads the newest of Debian's linux-source packages of a
// series such as "6.12" into dir, and returns its file and Debian's version.
// Mirrors, signatures and hashes are those of FindKernel; c is where the list
// of packages is kept. What else is in dir afterwards is apt's and of no use.
func FetchSource(ctx context.Context, c *cache.Dir, series, mirror, dir string, say progress) (file, version string, err error) {
	lock, err := c.Lock(ctx, func() { say("waiting for another process that fills the cache") })
	if err != nil {
		return "", "", err
	}
	x, err := freshIndex(ctx, c, mirror, indexLife, say)
	lock.Close()
	if err != nil {
		return "", "", fmt.Errorf("source of %s: %w", series, err)
	}
	p, ok := x.newest(series, true)
	if !ok {
		return "", "", fmt.Errorf("no linux-source package of Debian's is of series %s; there are %s", series, strings.Join(x.series(true), ", "))
	}
	file, err = download(ctx, dir, p, mirror, say)
	return file, p.Version, err
}
