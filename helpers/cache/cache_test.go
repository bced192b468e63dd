//go:build linux

package cache

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A lock keeps others waiting until it is closed.
func TestLock(t *testing.T) {
	c := At(filepath.Join(t.TempDir(), "a", "b"))
	lock, err := c.Lock(t.Context(), func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	wantLocked(t, c)
	time.AfterFunc(50*time.Millisecond, func() { lock.Close() })
	again, err := c.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// A child that inherited the lock holds it for as long as it lives.
func TestLockInherited(t *testing.T) {
	c := At(t.TempDir())
	lock, err := c.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	child.Stdin, child.ExtraFiles = stdin, []*os.File{lock}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	lock.Close()
	wantLocked(t, c)
	hold.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	again, err := c.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func wantLocked(t *testing.T, c *Dir) {
	t.Helper()
	waits := 0
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := c.Lock(ctx, func() { waits++ }); !errors.Is(err, context.DeadlineExceeded) || waits != 1 {
		t.Errorf("second lock: %v, said %d times", err, waits)
	}
}
