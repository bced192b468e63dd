package guest

import (
	"context"
	"fmt"
	"strings"

	"eventbench/helpers/cache"
)

// FetchSource downloads Debian's newest linux-source package of a series such
// as "6.12" into dir, and returns the file and Debian's version. It uses the
// same mirrors, signatures and hashes as FindKernel. c keeps the list of
// packages. Anything else left in dir is apt's and of no use.
func FetchSource(ctx context.Context, c *cache.Dir, series, mirror, dir string, say progress) (file, version string, err error) {
	lock, err := c.Lock(ctx, func() { say("waiting for another process that fills the cache") })
	if err != nil {
		return "", "", err
	}
	x, err := freshIndex(ctx, c, AMD64, mirror, indexLife, say)
	lock.Close()
	if err != nil {
		return "", "", fmt.Errorf("source of %s: %w", series, err)
	}
	found := x.of(series, true)
	if len(found) == 0 {
		return "", "", fmt.Errorf("no linux-source package of series %s in Debian, which has %s", series, strings.Join(x.series(true), ", "))
	}
	file, err = download(ctx, dir, found[0], mirror, say)
	return file, found[0].Version, err
}
