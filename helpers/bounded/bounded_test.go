//go:build unix

package bounded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"empty": "", "text": "12345678"} {
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(path("sparse"))
	if err == nil {
		err = sparse.Truncate(1 << 40)
	}
	if err != nil {
		t.Log(err) // of a file system that cannot
		sparse.Truncate(9)
	}
	sparse.Close()
	if err := syscall.Mkfifo(path("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("loop"), path("loop")); err != nil {
		t.Fatal(err)
	}
	check := func(name, want, wantErr string) {
		t.Helper()
		start := time.Now()
		got, err := ReadFile(name, 8)
		if string(got) != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: got %q, %v, want %q, %q", name, got, err, want, wantErr)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	check(path("empty"), "", "")
	check(path("text"), "12345678", "")
	check(path("sparse"), "", "sparse has more than 0 MiB")
	check(path("pipe"), "", "pipe is not a file")
	check(dir, "", "is not a file")
	check("/dev/zero", "", "is not a file")
	check("/proc/self/status", "", "has more than") // which says that it is empty
	check(path("loop"), "", "too many levels")
	if _, err := ReadFile(path("none"), 8); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}
