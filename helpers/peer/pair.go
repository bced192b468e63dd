//go:build linux

package peer

import (
	"fmt"
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
// Make the descriptors both use, then Start the peer, then give both
// their calls, which may name the peer's ids, then Open the gate.
type Pair struct {
	*Party
	Kind        Kind
	Here, There *sys.Loop
	PeerPID     int // the process the peer belongs to: this one for a thread
	PeerTID     int

	place Placement
	peer  *sys.Task
	gate  *uint32
	leave *uint32   // set when the peer may exit
	park  *sys.Loop // what the peer does until then
}

// NewPair makes the calling thread one party of a pair; the peer does not exist yet.
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
	p.There.InterruptBy(p.stops())
	p.peer, _ = p.hire(p.Arena, p.place.Kind, p.place.There, p.gate, p.There)
	p.PeerTID, p.PeerPID = p.peer.TID, unix.Getpid()
	if p.Kind == Process {
		p.PeerPID = p.peer.TID
	}
}

// Last has the peer make calls once, after its loop.
func (p *Pair) Last(calls ...sys.Call) {
	last := sys.NewLoop(p.Arena, calls...)
	last.Reset(1)
	p.There.Then(last)
	last.Then(p.park)
}

// Open lets the peer begin its loop.
func (p *Pair) Open() { set(p.gate) }

// Run runs this side's loop; see Party.Run. It fails when the peer has.
func (p *Pair) Run(n int, record func(stamps []uint64)) error {
	err := p.Party.Run(p.Here, n, record, p.check)
	if err != nil && !p.peer.Gone() && !p.There.Failed() {
		return fmt.Errorf("%w; %v was in %s", err, p.peer, p.There.Where())
	}
	return err
}

// check reports a peer that will not answer any more.
func (p *Pair) check() error {
	switch {
	case p.There.Ended():
		return nil
	case p.There.Failed():
		return fmt.Errorf("%v: %w", p.peer, p.There.Err())
	case p.peer.Gone():
		return fmt.Errorf("%v is gone: it was in %s", p.peer, p.There.Where())
	}
	return nil
}

// Join waits for the peer's end and returns what went wrong on its side.
func (p *Pair) Join() error {
	set(p.leave)
	for start := time.Now(); !p.peer.Gone(); time.Sleep(20 * time.Microsecond) {
		if waited := time.Since(start); waited > Deadline {
			return fmt.Errorf("%v did not end within %v of this side: it was in %s", p.peer, waited.Round(time.Millisecond), p.There.Where())
		}
	}
	if p.There.Ended() {
		return nil
	}
	if err := p.check(); err != nil {
		return err
	}
	return fmt.Errorf("%v did not end its loop: it was in %s", p.peer, p.There.Where())
}
