//go:build linux

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Kind says what the other side is.
type Kind string

// The kinds of peer, as sub-benchmarks name them.
const (
	Thread  Kind = "thread"  // a bare thread of this process
	Process Kind = "process" // a forked child
	sharer  Kind = "sharer"  // a child in this process's memory: no party, but its end is an event
)

// A Placement is what the other side is and on which CPUs the two run.
type Placement struct {
	Kind        Kind
	Here, There int // CPUs, or AnyCPU
}

// A Pair is two parties: this thread and its peer.
//
// Make the descriptors both use, then Start the peer, then give both their
// calls, which may name the peer's ids, then Open the gate.
type Pair struct {
	*Party
	Kind        Kind
	Here, There *sys.Loop
	PeerPID     int // the process the peer belongs to: this one for a thread
	PeerTID     int

	place   Placement
	peer    *sys.Task
	stopped *uint64     // runs of the handler that stops the peer
	atGate  *sys.Loop   // its wait for Open
	before  []*sys.Loop // that and what it does then, before There
	gate    *uint32     // what the next Open opens
	second  *uint32     // and the one after it, or nil
	leave   *uint32     // set when the peer may exit
	park    *sys.Loop   // what the peer does until then
}

// NewPair makes the calling thread one party of a pair; the peer does not exist
// yet.
func NewPair(tb testing.TB, place Placement) *Pair {
	tb.Helper()
	p := &Pair{Party: NewParty(tb, place.Here), Kind: place.Kind, place: place}
	p.gate, p.leave = p.Arena.Word32(0), p.Arena.Word32(0)
	p.Here = sys.NewLoop(p.Arena)
	p.There = sys.NewLoop(p.Arena)
	// The peer's exit is long, and not to be part of the last operation.
	p.park = sys.NewLoop(p.Arena, sys.FutexWaitWhile(p.leave, 0))
	p.park.Reset(1)
	p.There.Then(p.park)
	return p
}

// Start creates the peer. It waits at the gate until Open; from here on its
// ids are known. Descriptors opened later do not exist in a child.
func (p *Pair) Start() {
	p.TB.Helper()
	p.stopped = p.stops()
	p.There.InterruptBy(p.stopped)
	p.peer, p.atGate = p.hire(p.Arena, p.place.Kind, p.place.There, p.gate, p.There)
	p.before = []*sys.Loop{p.atGate}
	p.PeerTID, p.PeerPID = p.peer.TID, unix.Getpid()
	if p.Kind == Process {
		p.PeerPID = p.peer.TID
	}
}

// First has the peer, once it has been started, make calls once before its loop.
func (p *Pair) First(calls ...sys.Call) {
	first := sys.NewLoop(p.Arena, calls...)
	first.Reset(1)
	first.InterruptBy(p.stopped)
	p.before = append(p.before, first)
	p.atGate.Then(first)
	first.Then(p.There)
}

// Last has the peer make calls once, after its loop.
func (p *Pair) Last(calls ...sys.Call) {
	last := sys.NewLoop(p.Arena, calls...)
	last.Reset(1)
	p.There.Then(last)
	last.Then(p.park)
}

// Rehearse has the peer, once it has been started, make calls n times and last
// once before its loop, for which it then waits at a second gate. It returns
// the loop of those calls.
func (p *Pair) Rehearse(n int, calls, last []sys.Call) *sys.Loop {
	p.second = p.Arena.Word32(0)
	rehearsal := sys.NewLoop(p.Arena, calls...)
	rehearsal.Reset(n)
	wait := sys.NewLoop(p.Arena, append(slices.Clone(last), sys.FutexWaitWhile(p.second, 0))...)
	wait.Reset(1)
	for _, l := range []*sys.Loop{rehearsal, wait} {
		l.InterruptBy(p.stopped)
		p.before = append(p.before, l)
	}
	p.atGate.Then(rehearsal)
	rehearsal.Then(wait)
	wait.Then(p.There)
	return rehearsal
}

// Open lets the peer begin its rehearsal, if it has one, and when called again,
// or at once, its loop.
func (p *Pair) Open() {
	set(p.gate)
	if p.second != nil {
		p.gate, p.second = p.second, nil
	}
}

// Await waits until the peer has ended one of its loops.
func (p *Pair) Await(l *sys.Loop) error {
	for wait := p.Wait(); !l.Ended(); time.Sleep(20 * time.Microsecond) {
		if err := p.Check(); err != nil {
			return err
		}
		if wait.Over() {
			return fmt.Errorf("%v did not come to the end of its loop within %v: it was in %s", p.peer, wait, p.where())
		}
	}
	return nil
}

// Run runs this side's loop; see Party.Run. It fails when the peer has.
func (p *Pair) Run(n int, record func(stamps []uint64)) error {
	err := p.Party.Run(p.Here, n, record, p.Check)
	if _, own := err.(*sys.CallError); own { // as one that sends to a peer that is gone
		if cause := p.Check(); cause != nil {
			err = fmt.Errorf("%w; this side: %v", cause, err)
		}
	}
	if err != nil && !p.peer.Gone() && !p.loop().Failed() {
		return fmt.Errorf("%w; %v was in %s", err, p.peer, p.where())
	}
	return err
}

// Once has this side make calls once, beside its loop. It fails when the peer
// has.
func (p *Pair) Once(calls ...sys.Call) error {
	l := sys.NewLoop(p.Arena, calls...)
	l.Reset(0)
	return p.Party.Run(l, 1, nil, p.Check)
}

// loop is the first of the peer's that has not ended, or its last.
func (p *Pair) loop() *sys.Loop {
	for _, l := range p.before {
		if !l.Ended() {
			return l
		}
	}
	return p.There
}

func (p *Pair) where() string { return p.loop().Where() }

// Check reports a peer that will not answer any more.
func (p *Pair) Check() error {
	switch l := p.loop(); {
	case l.Ended():
		return nil
	case l.Failed():
		return fmt.Errorf("%v: %w", p.peer, l.Err())
	case p.peer.Gone():
		return fmt.Errorf("%v is gone: it was in %s", p.peer, p.where())
	}
	return nil
}

// Join waits for the peer's end and returns what went wrong on its side.
func (p *Pair) Join() error {
	set(p.leave)
	for wait := p.Wait(); !p.peer.Gone(); time.Sleep(20 * time.Microsecond) {
		if wait.Over() {
			return fmt.Errorf("%v did not end within %v of this side: it was in %s", p.peer, wait, p.where())
		}
	}
	if p.There.Ended() {
		return nil
	}
	if err := p.Check(); err != nil {
		return err
	}
	return fmt.Errorf("%v did not end its loop: it was in %s", p.peer, p.where())
}
