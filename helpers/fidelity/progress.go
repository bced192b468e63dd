//go:build linux

package fidelity

import (
	"fmt"
	"io"
	"os"
	"time"

	"eventbench/helpers/printable"
	toolprogress "eventbench/helpers/progress"
)

// progress tells how far the measurement is: in place on a terminal, and
// elsewhere with a line for each pair.
type progress struct {
	w        io.Writer
	terminal *os.File // nil where lines cannot be redrawn
	pair     int      // the last that a line was printed for
}

func newProgress(w io.Writer) *progress {
	return &progress{w: printable.NewWriter(w), terminal: toolprogress.Terminal(w)}
}

// show says what is being done.
func (p *progress) show(what string) {
	if p.terminal != nil {
		fmt.Fprintf(p.terminal, "\r%.79s\x1b[K", printable.Text(what))
		return
	}
	fmt.Fprintln(p.w, what)
}

// step says which row is being measured and how long the rest will take.
func (p *progress) step(pair, pairs, done, total int, elapsed time.Duration, name string) {
	if p.terminal == nil && pair == p.pair {
		return
	}
	p.pair = pair
	text := fmt.Sprintf("pair %d/%d", pair, pairs)
	if done > 0 {
		left := elapsed * time.Duration(total-done) / time.Duration(done)
		text += fmt.Sprintf(", about %v left", left.Round(time.Second))
	}
	if p.terminal != nil {
		text += ": " + name
	}
	p.show(text)
}

// clear takes away the line that is drawn in place.
func (p *progress) clear() {
	if p.terminal != nil {
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}
