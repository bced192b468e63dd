//go:build linux

package progress

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

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

// A log has every step, and occasional lines in between.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := New(&b, "eventbench test")
		p.Working("at once")
		p.Step("step %d", 1)
		p.Step("step 2")
		time.Sleep(29 * time.Second)
		p.Working("soon")
		time.Sleep(time.Second)
		p.Working("late")
		p.Working("at once")
		p.Clear()
		if want := "eventbench test: step 1\neventbench test: step 2\neventbench test: late\n"; b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	})
}
