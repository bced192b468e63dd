// Package progress shows the user how far a tool's work has come.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"eventbench/helpers/printable"
)

// A Progress shows how far a tool's work has come: on one line of a terminal
// that it redraws, and elsewhere with an occasional plain line. It is safe for
// concurrent use.
//
// Progress-bar libraries are made for terminals. In a log they leave nothing,
// or every frame.
type Progress struct {
	w        io.Writer // for permanent lines
	tool     string
	terminal *os.File // nil if lines cannot be redrawn

	mu    sync.Mutex
	shown bool      // the terminal shows a line that the next one replaces
	last  time.Time // when the last plain line was printed
}

// New returns a Progress for a tool that writes to w.
func New(w io.Writer, name string) *Progress {
	return &Progress{w: printable.NewWriter(w), tool: name + ": ", terminal: Terminal(w), last: time.Now()}
}

// Terminal returns the terminal that w writes to, or nil if it is not one.
func Terminal(w io.Writer) *os.File {
	if f, ok := printable.Unwrap(w).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// Say prints a permanent line. It does not begin with "gvisor:" alone, which
// readers of the benchmark format would take for a configuration line in the
// output of go test.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, p.tool+format+"\n", args...)
}

// Working shows the state of the work. Where lines cannot be redrawn it prints
// at most two lines a minute.
func (p *Progress) Working(format string, args ...any) {
	p.show(30*time.Second, format, args...)
}

// Step shows a step of the work. A log has all steps.
func (p *Progress) Step(format string, args ...any) { p.show(0, format, args...) }

func (p *Progress) show(every time.Duration, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch text := fmt.Sprintf(format, args...); {
	case p.terminal != nil:
		p.draw(printable.Text(text))
	case time.Since(p.last) >= every:
		fmt.Fprintln(p.w, p.tool+text)
		p.last = time.Now()
	}
}

// draw draws as much of the text as fits, without the tool's name: whoever is
// at the terminal knows it.
func (p *Progress) draw(text string) {
	width := 80
	if columns, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && columns > 0 {
		width = columns
	}
	// Leave the last column free: some terminals wrap there.
	fmt.Fprintf(p.terminal, "\r%s\x1b[K", text[:min(len(text), width-1)])
	p.shown = true
}

// Clear removes the redrawn line.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.shown {
		fmt.Fprint(p.terminal, "\r\x1b[K")
		p.shown = false
	}
}
