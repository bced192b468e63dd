//go:build unix

// Package bounded reads files that somebody names, or that lie in a cache,
// without believing that they are what they should be.
package bounded

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// Sizes that nothing reasonable has.
const (
	Text    = 16 << 20  // settings, rules, facts, a patch
	Program = 1 << 30   // a test binary with its debug information has 10 MB
	Package = 2 << 30   // a kernel's source has 150 MB
	Image   = 256 << 20 // a kernel that can be booted has 10 MB
)

// Open opens a regular file of at most max bytes. A pipe without a writer, a
// device or a directory is an error at once.
func Open(name string, max int64) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := check(f, max); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func check(f *os.File, max int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", f.Name())
	case info.Size() > max:
		return tooLong(f.Name(), max)
	}
	return nil
}

func tooLong(name string, max int64) error {
	return fmt.Errorf("%s has more than %d MiB, which is not what is wanted here", name, max>>20)
}

// ReadFile returns what is in a regular file of at most max bytes.
func ReadFile(name string, max int64) ([]byte, error) {
	f, err := Open(name, max)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1)) // it may grow, and /proc tells no size
	if err == nil && int64(len(data)) > max {
		err = tooLong(name, max)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
