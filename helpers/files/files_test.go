//go:build linux

package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/files"

	"golang.org/x/sys/unix"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "round-01.txt")
	for _, want := range []string{"first", "second"} {
		if err := files.Write(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("wrote %q, read %q, %v", want, got, err)
		}
	}
	if err := files.Write(filepath.Join(dir, "no", "x.txt"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write where there is no directory: error %v, want %v", err, os.ErrNotExist)
	}
	// Only a file gives way: as root, a rename would replace a device.
	taken, fifo := filepath.Join(dir, "taken.txt"), filepath.Join(t.TempDir(), "fifo.txt")
	if err := errors.Join(os.Mkdir(taken, 0o777), unix.Mkfifo(fifo, 0o666)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{taken: "is a directory: name a file in it", fifo: "is a device or a pipe: name a file"} {
		for what, err := range map[string]error{"Write": files.Write(path, nil), "Writable": files.Writable(path)} {
			if err == nil || !strings.Contains(err.Error(), path+" "+want) {
				t.Errorf("%s(%q): %v, want an error that says %q", what, path, err, want)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the directory holds %v, want round-01.txt and taken.txt only", entries)
	}
}

// The error for a dangling link names it and says what to do.
func TestMakeDirLinks(t *testing.T) {
	dir := t.TempDir()
	link := func(target, name string) string {
		name = filepath.Join(dir, name)
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	check := func(name string, want ...string) {
		t.Helper()
		err := files.MakeDir(name)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: got %v, want %q in it", name, err, w)
			}
		}
		if want == nil && err != nil {
			t.Error(err)
		}
	}
	dangling := link("none", "dangling")
	check(dangling, dangling+" is a link to none", "no such file", "remove the link")
	check(filepath.Join(dangling, "below"), dangling+" is a link to none")
	loop := link("loop", "loop")
	check(loop, loop+" is a link to loop", "too many levels")
	check(link(dir, "good"))
	check(filepath.Join(dir, "a\x1b[31mb"), `a\x1b[31mb has characters that cannot be printed`)
	check(filepath.Join(dir, "with blanks, é and 'quotes'"))
}
