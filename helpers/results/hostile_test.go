//go:build linux

package results_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/results"

	"golang.org/x/sys/unix"
)

// Reading does not wait for a writer of a pipe.
func TestReadPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe.txt")
	if err := unix.Mkfifo(name, 0o644); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := results.Read(name)
		read <- err
	}()
	select {
	case err := <-read:
		if err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("got %v, want that it is empty", err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("still reading after 2 minutes")
	}
}

// Anything in the place of the link to the newest results is named, and left
// alone.
func TestLinkInTheWay(t *testing.T) {
	root := t.TempDir()
	latest := filepath.Join(root, "latest")
	if err := os.Mkdir(latest, 0o755); err != nil {
		t.Fatal(err)
	}
	err := results.Link(root, filepath.Join(root, "a"))
	if err == nil || !strings.Contains(err.Error(), latest) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v, want one that names %s", err, latest)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
