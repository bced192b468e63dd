//go:build linux

package peer

import (
	"errors"
	"fmt"
	"math"
	"sync"
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
	if kind == Thread {
		SkipOrFatal(p.TB, stoppable())
	} else {
		SkipOrFatal(p.TB, endable())
	}
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
		if atGate.Failed() { // and is gone
			err = fmt.Errorf("%v: %w", t, atGate.Err())
		}
		SkipOrFatal(p.TB, err)
	}
	return t, atGate
}

// stoppable tells whether threads can be stopped. One that cannot would run on
// in memory that is unmapped, and crash the process.
var stoppable = sync.OnceValue(func() error {
	if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), 0); err != nil {
		return fmt.Errorf("tgkill(), by which peer threads are stopped: %w", err)
	}
	return nil
})

// endable tells whether children can be ended and waited for. Otherwise they run
// on, or stay zombies.
var endable = sync.OnceValue(func() error {
	if err := unix.Kill(unix.Getpid(), 0); err != nil {
		return fmt.Errorf("kill(), by which peer processes are ended: %w", err)
	}
	if _, err := unix.Wait4(unix.Getpid(), nil, unix.WNOHANG, nil); err != unix.ECHILD { // nobody is a child of its own
		return fmt.Errorf("wait4(), by which peer processes are reaped: %w", err)
	}
	return nil
})

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
