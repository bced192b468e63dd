//go:build linux

// Package cache keeps what is expensive to fetch, such as kernels, in the
// user's cache directory.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Dir is a directory of the cache. Several processes can use it at once. Its
// files are whole, because each gets its name only when it is complete.
// Removing it is always safe.
type Dir struct {
	path string
}

// User returns the directory called name in the user's cache directory. It is
// made at the first write.
func User(name string) (*Dir, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache directory: %w: set XDG_CACHE_HOME or HOME", err)
	}
	return At(filepath.Join(dir, "eventbench", name)), nil
}

// At returns the directory at path, which need not exist yet.
func At(path string) *Dir { return &Dir{path} }

// Path returns the path of elem in the directory, or the directory's own.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Fill is Lock for filling a cache of kernels; it says that it waits.
func (d *Dir) Fill(ctx context.Context, say func(format string, args ...any)) (*os.File, error) {
	return d.Lock(ctx, func() { say("waiting for another process that fills the cache") })
}

// Lock keeps other processes from changing the directory until the file it
// returns is closed here and in all children that inherited it, or they have
// ended. If another process holds the lock, it calls onWait and waits.
func (d *Dir) Lock(ctx context.Context, onWait func()) (*os.File, error) {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, d.Unwritable(err)
	}
	name := d.Path("lock")
	// Not os.OpenFile: the runtime's poller would make the file
	// non-blocking for the children, too.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, d.Unwritable(&os.PathError{Op: "open", Path: name, Err: err})
	}
	f := os.NewFile(uintptr(fd), name)
	for waited := false; ; waited = true {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: name, Err: err}
		}
		if !waited {
			onWait()
		}
		// A blocking flock could not be cancelled.
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Unwritable adds what to do to an error of writing to the directory.
func (d *Dir) Unwritable(err error) error {
	return fmt.Errorf("cache: %w: make it writable, or set XDG_CACHE_HOME to a directory that is", err)
}

// WorkDir makes a directory for unfinished files. The caller must hold the
// lock. It first removes what a killed process left there.
func (d *Dir) WorkDir() (dir string, remove func(), err error) {
	dir = d.Path("work")
	if err := os.RemoveAll(dir); err != nil {
		return "", nil, d.Unwritable(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, d.Unwritable(err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// WriteFile replaces a file of the directory atomically.
func (d *Dir) WriteFile(name string, data []byte) error {
	to := d.Path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return d.Unwritable(err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return d.Unwritable(err)
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
