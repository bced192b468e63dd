//go:build linux

package files_test

import (
	"errors"
	"eventbench/helpers/files"
	"os"
	"path/filepath"
	"testing"
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
	if err := os.Mkdir(filepath.Join(dir, "taken.txt"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := files.Write(filepath.Join(dir, "taken.txt"), nil); err == nil {
		t.Error("Write to a directory's name: no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the directory holds %v, want round-01.txt and taken.txt only", entries)
	}
}
