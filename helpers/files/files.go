//go:build linux

// Package files writes files whole or not at all, and makes file names of any
// text.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"eventbench/helpers/printable"
)

// odd matches what a file name may not contain, such as =, which ends a label
// for benchstat.
var odd = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// Name returns s with everything replaced that a file name may not contain.
func Name(s string) string { return odd.ReplaceAllString(s, "_") }

// MakeDir makes the directory and checks that files can be written there,
// before a round has been measured for nothing.
func MakeDir(dir string) error {
	if shown := printable.Text(dir); shown != dir {
		return fmt.Errorf("no place for results: %s has characters that cannot be printed: name another", shown)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		if link := brokenLink(dir); link != nil {
			err = link
		}
		return fmt.Errorf("no place for results: %w", err)
	}
	trial := filepath.Join(dir, "trial")
	// The size of a round of a thousand benchmarks.
	if err := Write(trial, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("no place for results: %w", err)
	}
	return os.Remove(trial)
}

// brokenLink finds the dangling symbolic link in path, for which mkdir only
// says that the file exists.
func brokenLink(path string) error {
	if parent := filepath.Dir(path); parent != path {
		if err := brokenLink(parent); err != nil {
			return err
		}
	}
	target, err := os.Readlink(path)
	if err != nil {
		return nil // no link
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s is a link to %s, which cannot be used: %w: make that directory, or remove the link", path, printable.Text(target), errors.Unwrap(err))
	}
	return nil
}

// Write writes data to the file at path, whole or not at all, even if the
// machine stops half-way. It replaces an existing file, but nothing else. The
// caller makes sure that nobody else writes path at the same time. The temporary
// name is always the same, so that the next writer replaces what a killed one
// left.
func Write(path string, data []byte) error {
	if err := replaceable(path); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	err := writeSynced(temp, data)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return about(path, err)
	}
	return nil
}

// replaceable returns why a file at path may not take the place of what is
// there. Root may rename a file onto a device: /dev/null would then be that file
// for all programs.
func replaceable(path string) error {
	switch at, err := os.Stat(path); {
	case err != nil:
		return nil // nothing is there, or creating the file says why not
	case at.IsDir():
		return fmt.Errorf("%s is a directory: name a file in it", path)
	case !at.Mode().IsRegular():
		return fmt.Errorf("%s is a device or a pipe: name a file", path)
	}
	return nil
}

// about makes err, which is about the temporary file, one about path.
func about(path string, err error) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return &fs.PathError{Op: file.Op, Path: path, Err: file.Err}
	case errors.As(err, &link):
		return &fs.PathError{Op: link.Op, Path: path, Err: link.Err}
	}
	return err
}

// Writable returns why [Write] cannot write a file at path, before hours are
// spent on its contents.
func Writable(path string) error {
	if err := replaceable(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err == nil {
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
	return about(path, err)
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
