package guest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/tooltest"

	"golang.org/x/sys/unix"
)

func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "sub", "data"), "data")
	tooltest.MustWrite(t, filepath.Join(dir, "empty"), "")
	if err := os.Symlink("sub/data", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}

	fsys := &initramfs{}
	fsys.file("/init", 0o755, []byte("#!"))
	fsys.device("/dev/console", 0o600, 5, 1)
	if err := fsys.tree("/src/testdata", dir); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	n, err := fsys.WriteTo(&archive)
	if err != nil || n != int64(archive.Len()) || n%4 != 0 {
		t.Fatalf("WriteTo = %d, %v for %d bytes", n, err, archive.Len())
	}

	want := []string{
		"dev 40755", "dev/console 20600 5:1", `init 100755 "#!"`, "src 40755", "src/testdata 40755",
		`src/testdata/empty 100644 ""`, `src/testdata/link 120777 "sub/data"`,
		"src/testdata/sub 40755", `src/testdata/sub/data 100644 "data"`,
	}
	if got := mustParseNewc(t, archive.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := fsys.size(); got != int64(len("#!")+len("data")+len("sub/data")) {
		t.Errorf("size = %d", got)
	}

	// The same again, from files that are younger.
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "empty"), later, later); err != nil {
		t.Fatal(err)
	}
	again := &initramfs{}
	if err := again.tree("/src/testdata", dir); err != nil {
		t.Fatal(err)
	}
	again.device("/dev/console", 0o600, 5, 1)
	again.file("/init", 0o755, []byte("#!"))
	var other bytes.Buffer
	if _, err := again.WriteTo(&other); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archive.Bytes(), other.Bytes()) {
		t.Error("the archive depends on more than names, modes and contents")
	}
}

func TestInitramfsFailure(t *testing.T) {
	fsys := &initramfs{}
	fsys.file("/init", 0o755, make([]byte, 1<<20))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if _, err := fsys.WriteTo(full); err == nil {
		t.Error("no error from a full disk")
	}
	if err := fsys.tree("/x", filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("no error from a directory that is not there")
	}
}

// mustParseNewc reads an archive as the kernel does: init/initramfs.c.
func mustParseNewc(tb testing.TB, data []byte) []string {
	tb.Helper()
	var entries []string
	inodes := make(map[uint64]bool)
	align := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		if string(data[at:at+6]) != "070701" {
			tb.Fatalf("no magic at %d: %q", at, data[at:at+6])
		}
		field := func(i int) uint64 {
			v, err := strconv.ParseUint(string(data[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				tb.Fatal(err)
			}
			return v
		}
		ino, mode, mtime, size, nameSize := field(0), field(1), field(5), int(field(6)), int(field(11))
		name := string(data[at+110 : at+110+nameSize-1])
		body := align(at + 110 + nameSize)
		if name == "TRAILER!!!" {
			if body != len(data) {
				tb.Errorf("%d bytes after the trailer", len(data)-body)
			}
			return entries
		}
		if inodes[ino] || mtime != 0 {
			tb.Errorf("%s: inode %d, mtime %d", name, ino, mtime)
		}
		inodes[ino] = true
		switch content := data[body : body+size]; mode & unix.S_IFMT {
		case unix.S_IFCHR:
			entries = append(entries, fmt.Sprintf("%s %o %d:%d", name, mode, field(9), field(10)))
		case unix.S_IFDIR:
			entries = append(entries, fmt.Sprintf("%s %o", name, mode))
		default:
			entries = append(entries, fmt.Sprintf("%s %o %q", name, mode, content))
		}
		at = align(body + size)
	}
}
