//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestTail(t *testing.T) {
	var tl Tail
	for range 100 {
		tl.Write(bytes.Repeat([]byte("x"), 10_000))
	}
	tl.Write([]byte("\n\x1b[31mred\x1b[0m\r\n\n\tlast\n"))
	if got, want := tl.Lines(2), []string{"[31mred[0m", "last"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
	if len(tl.buf) > 2*TailSize {
		t.Errorf("keeps %d bytes", len(tl.buf))
	}
	if got := (&Tail{}).Lines(5); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestRunStopped(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	start := time.Now()
	// A grandchild holds the output open.
	cmd := exec.Command("sh", "-c", "sleep 100 & wait")
	cmd.Stdout = &bytes.Buffer{}
	err := Run(ctx, cmd)
	if !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
