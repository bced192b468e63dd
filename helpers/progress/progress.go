// Package progress tells the user of a tool how far its work is.
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

// A Progress says where the work of a tool is: in place on a terminal, and
// elsewhere with a plain line now and then. Goroutines can share it.
//
// Libraries for progress bars are made for terminals. In a log they leave
// nothing, or every frame.
type Progress struct {
	w        io.Writer // of lines that stay
	tool     string
	terminal *os.File // nil where lines cannot be redrawn

	mu    sync.Mutex
	shown bool      // a line is on the terminal that the next one replaces
	last  time.Time // the last plain line
}

// New returns the progress of a tool, for w.
func New(w io.Writer, name string) *Progress {
	return &Progress{w: printable.NewWriter(w), tool: name + ": ", terminal: Terminal(w), last: time.Now()}
}

// Terminal returns the terminal that w writes to, or nil if it is none.
func Terminal(w io.Writer) *os.File {
	if f, ok := printable.Unwrap(w).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// Say prints a line that stays. It does not begin with "gvisor:" alone, which
// in the output of go test would be a line of configuration to readers of the
// benchmark format.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, p.tool+format+"\n", args...)
}

// Working says where the work is: where lines cannot be redrawn, twice a minute
// at most.
func (p *Progress) Working(format string, args ...any) {
	p.show(30*time.Second, format, args...)
}

// Step says where the work is at one of its steps, all of which a log has.
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

// draw draws as much of the text as has room. Whoever sits there knows which
// tool it is.
func (p *Progress) draw(text string) {
	width := 80
	if columns, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && columns > 0 {
		width = columns
	}
	// One column less than there are: some terminals wrap at the last.
	fmt.Fprintf(p.terminal, "\r%s\x1b[K", text[:min(len(text), width-1)])
	p.shown = true
}

// Clear takes the line that is drawn in place away.
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
