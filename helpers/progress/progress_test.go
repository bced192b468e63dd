//go:build linux

package progress

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"eventbench/helpers/printable"
)

func TestTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	check := func(w io.Writer, want *os.File) {
		t.Helper()
		if got := Terminal(w); got != want {
			t.Errorf("Terminal(%T) = %v, want %v", w, got, want)
		}
	}
	check(terminal, terminal)
	check(printable.NewWriter(terminal), terminal) // as a verb gets it
	check(file, nil)
	check(&bytes.Buffer{}, nil)
}
