//go:build linux

package peer

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// hire creates a peer on cpu, with its stack in a, that waits until gate is set
// and then runs l and what follows it; atGate is the loop of that wait. The
// peer is gone when the test or benchmark has ended: the signal stop must be
// handled until then.
func (p *Party) hire(a *sys.Arena, kind Kind, cpu int, gate *uint32, l *sys.Loop) (t *sys.Task, atGate *sys.Loop) {
	p.TB.Helper()
	calls := []sys.Call{sys.SetName(a, "eventbench-peer")}
	if kind != Thread {
		calls = append(calls, sys.DieWithParent(), sys.ParentIs(unix.Getpid()))
	}
	atGate = sys.NewLoop(a, append(calls, sys.FutexWaitWhile(gate, 0))...)
	atGate.Reset(1)
	atGate.Then(l)
	create := map[Kind]func(*sys.Arena, *sys.Loop) (*sys.Task, error){
		Thread: sys.NewThread, Process: sys.NewChild, sharer: sys.NewSharer,
	}
	t, err := create[kind](a, atGate)
	SkipOrFatal(p.TB, limited(err))
	p.hired = append(p.hired, t)
	p.TB.Cleanup(func() {
		if err := t.Stop(stop); err != nil {
			p.TB.Error(err)
		}
	})
	if _, err := pin(t.TID, cpu); err != nil {
		p.TB.Fatal(err)
	}
	return t, atGate
}

// stops has the signal by which peer threads are stopped handled until the test
// or benchmark ends, and returns the count of its handler.
func (p *Party) stops() *uint64 {
	p.TB.Helper()
	runs, restore, err := sys.Handle(stop)
	if err != nil {
		p.TB.Fatal(err)
	}
	p.TB.Cleanup(func() {
		if err := restore(); err != nil {
			p.TB.Error(err)
		}
	})
	return runs
}

// set opens a gate for all who wait at it.
func set(gate *uint32) {
	atomic.StoreUint32(gate, 1)
	unix.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(gate)), sys.FutexOpWake, math.MaxInt32)
}

// limited names the limit that a clone(2) met, if that is what err says.
func limited(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("%w: %w: raise RLIMIT_NPROC (ulimit -u) or pids.max", err, errLimit)
	}
	return err
}
