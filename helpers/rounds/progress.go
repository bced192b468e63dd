//go:build linux

package rounds

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/progress"
	"eventbench/helpers/samples"
)

// A follower follows a child through its benchmarks and shows the user its
// progress.
type follower struct {
	*progress.Progress

	mu       sync.Mutex
	begun    time.Time       // when the run began
	finished []time.Duration // durations of this run's rounds

	// The running child.
	label string    // such as "round 3/10"
	after int       // rounds to go after this one
	total int       // results that it will print; 0 if unknown
	start time.Time // when it started
	done  int       // results it has printed
	name  string    // the running benchmark
	line  []byte    // its unfinished line
}

func follow(p *progress.Progress) *follower { return &follower{Progress: p, begun: time.Now()} }

// begin records that a child starts now and will print total results.
func (p *follower) begin(label string, total, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.label, p.total, p.after = label, total, after
	p.start = now
	p.done, p.name, p.line = 0, "", nil
	p.draw(now)
}

// end records that the round succeeded.
func (p *follower) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = append(p.finished, time.Since(p.start))
	p.Step("%s: %s elapsed, about %s left", p.label, clock(time.Since(p.begun)), clock(p.mean()*time.Duration(p.after)))
}

// mean returns the mean duration of this run's rounds.
func (p *follower) mean() time.Duration {
	var sum time.Duration
	for _, d := range p.finished {
		sum += d
	}
	return sum / time.Duration(len(p.finished))
}

// Write watches the child's output. With -test.v a benchmark's name is printed
// on its own line when it starts, and again with the result when it ends.
func (p *follower) Write(out []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(out)
	for {
		piece, rest, complete := bytes.Cut(out, []byte("\n"))
		if len(p.line) < 4096 { // longer than any name
			p.line = append(p.line, piece...)
		}
		if !complete {
			return n, nil
		}
		if name, ok := samples.Started(string(p.line)); ok {
			p.name = name
			p.draw(time.Now())
		} else if bytes.HasPrefix(p.line, []byte("Benchmark")) {
			p.done++
		}
		p.line = p.line[:0]
		out = rest
	}
}

// keepTime redraws the clock until the returned function is called.
func (p *follower) keepTime() (stop func()) {
	tick := time.NewTicker(time.Second)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				p.tick()
			case <-done:
				return
			}
		}
	}()
	return func() { tick.Stop(); close(done) }
}

// tick redraws the progress line.
func (p *follower) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(time.Now())
}

func (p *follower) draw(now time.Time) { p.Working("%s", p.text(now)) }

func (p *follower) text(now time.Time) string {
	var s strings.Builder
	s.WriteString(p.label)
	if p.total > 0 {
		fmt.Fprintf(&s, ", benchmark %d/%d", min(p.done+1, p.total), p.total)
	}
	fmt.Fprintf(&s, ", %s elapsed", clock(now.Sub(p.begun)))
	if left, ok := p.left(now); ok {
		fmt.Fprintf(&s, ", about %s left", clock(left))
	}
	if p.name != "" {
		s.WriteString(": " + p.name)
	}
	return s.String()
}

// left estimates the time until all rounds are done, from the rounds of this
// run, or from the progress within the first one.
func (p *follower) left(now time.Time) (time.Duration, bool) {
	here := now.Sub(p.start)
	var round time.Duration
	switch {
	case len(p.finished) > 0:
		round = p.mean()
	case p.done > 0 && p.total > 0:
		round = here * time.Duration(p.total) / time.Duration(p.done)
	default:
		return 0, false
	}
	return max(round-here, 0) + round*time.Duration(p.after), true
}

// clock formats d as minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
