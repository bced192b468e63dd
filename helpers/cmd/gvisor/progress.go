//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// progress tells the user of the build: in place on a terminal, and elsewhere
// with a plain line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	shown    bool      // a line is on the terminal that the next one replaces
	last     time.Time // the last plain line
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, last: time.Now()}
	if f, ok := w.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	return p
}

// Say prints a line that stays. It does not begin with "gvisor:", which in the
// output of go test would be a line of configuration to readers of the
// benchmark format.
func (p *progress) Say(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, "go tool gvisor: "+format+"\n", args...)
}

// Working says where the work is.
func (p *progress) Working(format string, args ...any) {
	switch text := fmt.Sprintf("go tool gvisor: "+format, args...); {
	case p.terminal:
		fmt.Fprintf(p.w, "\r%s\x1b[K", text)
		p.shown = true
	case time.Since(p.last) >= 30*time.Second:
		fmt.Fprintln(p.w, text)
		p.last = time.Now()
	}
}

// clear takes the line that is drawn in place away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
