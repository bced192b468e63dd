//go:build linux

package kbuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/process"
)

// An Edit replaces text in a file of the source.
type Edit struct {
	File string // relative to the source, such as "fs/eventfd.c"
	Old  string // occurs once
	New  string
}

// Apply returns the file's text after the edit.
func (e Edit) Apply(text string) (string, error) {
	switch n := strings.Count(text, e.Old); {
	case e.Old == "":
		return "", fmt.Errorf("%s: no text to replace", e.File)
	case e.Old == e.New:
		return "", fmt.Errorf("%s: the text and its replacement are the same: %s", e.File, excerpt(e.Old))
	case n == 0:
		return "", fmt.Errorf("%s has no %s", e.File, excerpt(e.Old))
	case n > 1:
		first := strings.Index(text, e.Old)
		second := first + 1 + strings.Index(text[first+1:], e.Old)
		return "", fmt.Errorf("%s has %d times %s, first in lines %d and %d: give more context",
			e.File, n, excerpt(e.Old), lineAt(text, first), lineAt(text, second))
	}
	return strings.Replace(text, e.Old, e.New, 1), nil
}

func lineAt(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }

// excerpt quotes the beginning of a text.
func excerpt(text string) string {
	const enough = 70
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return strconv.Quote(text)
}

// A saved file is one of the pristine source.
type saved struct {
	File string
	As   string // its name in the undo directory, empty if there was no such file
	Mode fs.FileMode
}

const undoList = "files.json"

// change applies the variant's changes to the source. On an error, some may
// have been applied; restore undoes them.
func (t *Tree) change(ctx context.Context, v Variant) error {
	var files []string
	for _, e := range v.Edits {
		files = append(files, e.File)
	}
	patched, err := patchedFiles(v.Patch)
	if err != nil {
		return err
	}
	files = append(files, patched...)
	if len(files) == 0 {
		return nil
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if err := t.save(files); err != nil {
		return err
	}
	for _, e := range v.Edits {
		name := t.path(sourceDir, e.File)
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("linux %s: %w", t.Version, err)
		}
		changed, err := e.Apply(string(text))
		if err != nil {
			return fmt.Errorf("linux %s: %w", t.Version, err)
		}
		if err := os.WriteFile(name, []byte(changed), 0o644); err != nil {
			return t.cache.Unwritable(err)
		}
	}
	if v.Patch == nil {
		return nil
	}
	var out process.Tail
	cmd := exec.Command("patch", "-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", "-d", t.path(sourceDir))
	cmd.Stdin = strings.NewReader(string(v.Patch))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := process.Run(ctx, cmd); err != nil {
		return fmt.Errorf("the patch does not fit linux %s: patch: %w:\n\t%s", t.Version, err, strings.Join(out.Lines(8), "\n\t"))
	}
	return nil
}

// A patched file is named in lines "--- a/fs/eventfd.c" and "+++
// b/fs/eventfd.c".
var patchedFile = regexp.MustCompile(`(?m)^(?:---|\+\+\+) ([^\t\n]+)`)

// patchedFiles returns the files that a patch changes.
func patchedFiles(patch []byte) ([]string, error) {
	var files []string
	for _, m := range patchedFile.FindAllSubmatch(patch, -1) {
		if string(m[1]) == os.DevNull {
			continue // the file is new, or goes
		}
		if _, name, ok := strings.Cut(string(m[1]), "/"); ok {
			files = append(files, name)
		}
	}
	if patch != nil && files == nil {
		return nil, errors.New("the patch names no files: want a unified diff with lines such as +++ b/fs/eventfd.c")
	}
	return files, nil
}

// save copies files before they are changed. The copy is complete once the undo
// directory has its name.
func (t *Tree) save(files []string) error {
	trial := undoDir + ".trial"
	if err := os.RemoveAll(t.path(trial)); err != nil {
		return t.cache.Unwritable(err)
	}
	var list []saved
	for i, file := range files {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("%s is not in the source: want a path such as fs/eventfd.c", file)
		}
		info, err := os.Stat(t.path(sourceDir, file))
		if errors.Is(err, fs.ErrNotExist) { // a patch may make it
			list = append(list, saved{File: file})
			continue
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(t.path(sourceDir, file))
		if err != nil {
			return err
		}
		list = append(list, saved{file, strconv.Itoa(i), info.Mode().Perm()})
		if err := t.cache.WriteFile(filepath.Join(t.dir, trial, strconv.Itoa(i)), text); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		return err
	}
	if err := t.cache.WriteFile(filepath.Join(t.dir, trial, undoList), data); err != nil {
		return err
	}
	return os.Rename(t.path(trial), t.path(undoDir))
}

// restore restores the pristine source if a build has changed it. The restored
// files are newer than what was compiled from the changed ones.
func (t *Tree) restore() error {
	data, err := bounded.ReadFile(t.path(undoDir, undoList), bounded.Text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var list []saved
	err = json.Unmarshal(data, &list)
	for _, s := range list {
		if !filepath.IsLocal(s.File) || s.As != "" && !filepath.IsLocal(s.As) {
			err = errors.Join(err, fmt.Errorf("%q was not a file of the source", s.File))
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w: remove %s, and the source will be unpacked again", t.path(undoDir, undoList), err, t.path())
	}
	for _, s := range list {
		if s.As == "" {
			if err := os.Remove(t.path(sourceDir, s.File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return t.cache.Unwritable(err)
			}
			continue
		}
		text, err := bounded.ReadFile(t.path(undoDir, s.As), bounded.Text)
		if err != nil {
			return err
		}
		if err := t.cache.WriteFile(filepath.Join(t.dir, sourceDir, s.File), text); err != nil {
			return err
		}
		if err := os.Chmod(t.path(sourceDir, s.File), s.Mode); err != nil {
			return t.cache.Unwritable(err)
		}
	}
	// Rename it first: half a directory would be taken for a whole one.
	gone := t.path(undoDir + ".gone")
	if err := os.RemoveAll(gone); err != nil {
		return t.cache.Unwritable(err)
	}
	if err := os.Rename(t.path(undoDir), gone); err != nil {
		return t.cache.Unwritable(err)
	}
	return os.RemoveAll(gone)
}
