//go:build linux

package tests

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"eventbench/helpers/need"
	"eventbench/helpers/results"
)

// key is a digest of what results depend on but go test's cache does not know:
// the machine, and all of the module, because some tests build other packages
// than those that they import.
func key(ctx context.Context) (string, error) {
	h := sha256.New()
	io.WriteString(h, need.Surroundings())
	module, err := results.Module(ctx)
	if err != nil {
		return "", err
	}
	if err := source(h, module); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// source writes the names, sizes and times of the module's files.
func source(w io.Writer, module string) error {
	return filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(module, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			// What runs write, and a repository, are no source.
			if slices.Contains([]string{".git", "results"}, name) {
				return fs.SkipDir
			}
			return nil
		}
		if slices.Contains([]string{".test", ".static", ".got"}, filepath.Ext(name)) || name == ".git" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		return err
	})
}

// temporary makes a directory for temporary files, and returns what removes it.
// Its name is the same in each run, because tests read TMPDIR, and what they
// read is part of the cache's key. Concurrent runs have one each. The next run
// removes what a killed one left.
func temporary() (dir string, remove func(), err error) {
	for n := 0; n < 100; n++ {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("eventbench-tests-%d-%d", os.Getuid(), n))
		f, err := lockedDir(dir)
		if err != nil {
			return "", nil, err
		}
		if f == nil {
			continue
		}
		remove = func() {
			os.RemoveAll(dir)
			f.Close()
		}
		err = f.Chmod(0o755) // some become another user
		for _, old := range entries(f) {
			if err == nil {
				err = os.RemoveAll(filepath.Join(dir, old))
			}
		}
		if err != nil {
			remove()
			return "", nil, err
		}
		return dir, remove, nil
	}
	return "", nil, fmt.Errorf("%s: all names up to this one are taken", dir)
}

// lockedDir makes a directory and locks it. It returns nil if another process
// has it, or another user.
func lockedDir(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), dir)
	var opened, named unix.Stat_t
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil && unix.Fstat(fd, &opened) == nil && unix.Lstat(dir, &named) == nil &&
		opened.Ino == named.Ino && opened.Dev == named.Dev && opened.Uid == uint32(os.Getuid()) {
		return f, nil
	}
	return nil, f.Close()
}

func entries(f *os.File) []string {
	names, _ := f.Readdirnames(-1)
	return names
}
