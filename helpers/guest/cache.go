package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Cache is a directory of what is dear to get: kernels, mostly. Several
// processes can use it at once. What is in it is whole, as everything gets its
// name only when it is complete; removing it is always safe.
type Cache struct {
	dir string
}

// UserCache is the cache in the user's cache directory, made when it is first
// written to.
func UserCache() (*Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache directory: %w: set XDG_CACHE_HOME or HOME", err)
	}
	return &Cache{dir: filepath.Join(dir, "eventbench", "guest")}, nil
}

func (c *Cache) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// lock keeps other processes from changing the cache until unlock is called.
// The lock ends with the process in any case. It waits for whoever has it,
// which onWait is told of.
func (c *Cache) lock(ctx context.Context, onWait func()) (unlock func(), err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, c.unwritable(err)
	}
	name := c.path("lock")
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, c.unwritable(&os.PathError{Op: "open", Path: name, Err: err})
	}
	for waited := false; ; waited = true {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { unix.Close(fd) }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			unix.Close(fd)
			return nil, &os.PathError{Op: "flock", Path: name, Err: err}
		}
		if !waited {
			onWait()
		}
		// A blocking flock could not be called off.
		select {
		case <-ctx.Done():
			unix.Close(fd)
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Cache) unwritable(err error) error {
	return fmt.Errorf("cache: %w: make it writable, or set XDG_CACHE_HOME to a directory that is", err)
}

// workDir makes a directory for things in the making. It is for whoever holds
// the lock: what another process left there when it was killed goes first.
func (c *Cache) workDir() (dir string, remove func(), err error) {
	dir = c.path("work")
	if err := os.RemoveAll(dir); err != nil {
		return "", nil, c.unwritable(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, c.unwritable(err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// writeFile replaces a file of the cache as a whole.
func (c *Cache) writeFile(name string, data []byte) error {
	to := c.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return c.unwritable(err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return c.unwritable(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}
