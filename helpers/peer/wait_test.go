//go:build linux

package peer

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/machine"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A peer that others keep from its CPU for longer than the deadline is waited for,
// whatever this side waits for.
func TestStarved(t *testing.T) {
	// On a busy machine it takes others a while to leave the CPU, too.
	shorten(t, 1500*time.Millisecond)
	const starved = 2500 * time.Millisecond
	t.Run("run", func(t *testing.T) {
		cpu := lastCPU(t)
		p := NewPair(t, Placement{Kind: Process, Here: AnyCPU, There: cpu})
		fd := mustEventfd(t)
		p.Start()
		// It is runnable all the time, and ends when it has a CPU again.
		over := p.Arena.Word(0)
		spin(p.There, p.Arena, over)
		p.Last(sys.EventfdWrite(fd, p.Arena.Word(1)))
		p.Here.SetCalls(p.Arena, sys.EventfdRead(fd, p.Arena.Word(0)))
		p.Here.Reset(0)
		free := occupy(t, cpu)
		time.AfterFunc(starved, func() {
			atomic.StoreUint64(over, 1) // first, for what it spins with a CPU counts
			free()
		})
		p.Open()
		if err := p.Run(1, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("asleep", func(t *testing.T) {
		cpu := lastCPU(t)
		c := NewCrew(t, Thread, AnyCPU, []int{cpu}, "the only one")
		c.Start()
		// It does not sleep while the word is not what its call expects.
		word := c.Arena.Word32(1)
		sleep := sys.FutexSleep(word, 0)
		sleep.Refused = unix.EAGAIN
		c.Members[0].SetCalls(c.Arena, sleep)
		c.Members[0].Reset(math.MaxInt)
		free := occupy(t, cpu)
		time.AfterFunc(starved, func() {
			atomic.StoreUint32(word, 0)
			free()
		})
		c.Open()
		if err := c.AwaitAsleep(); err != nil {
			t.Error(err)
		}
	})
}

// One that never gets a CPU is not waited for for ever, and what is said tells
// of the CPU.
func TestStarvedForEver(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	cpu := lastCPU(t)
	p := NewPair(t, Placement{Kind: Process, Here: AnyCPU, There: cpu})
	p.Start()
	over := p.Arena.Word(0)
	spin(p.There, p.Arena, over)
	free := occupy(t, cpu)
	p.Open()
	start := time.Now()
	checkError(t, p.Await(p.There), "did not come to the end of its loop", "without a CPU")
	if took := time.Since(start); took < 2*Deadline {
		t.Errorf("given up after %v, want more than %v", took, 2*Deadline)
	}
	free()
	atomic.StoreUint64(over, 1)
}

// spin makes l one that ends when *over is 1.
func spin(l *sys.Loop, a *sys.Arena, over *uint64) {
	l.SetCalls(a, sys.Getppid())
	l.Reset(math.MaxInt)
	l.Until, l.Limit = over, 1
}

// occupy keeps a CPU busy by so many children that little of it is left for
// others, until free is called.
func occupy(t *testing.T, cpu int) (free func()) {
	t.Helper()
	const many = 8
	a, err := sys.NewArena(many * memberSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	over := a.Word(0)
	for range many {
		begin, busy := sys.NewLoop(a, sys.DieWithParent(), sys.ParentIs(unix.Getpid())), sys.NewLoop(a)
		begin.Reset(1)
		begin.Then(busy)
		spin(busy, a, over)
		task, err := sys.NewChild(a, begin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := task.Stop(0); err != nil {
				t.Error(err)
			}
		})
		if _, err := pin(task.TID, cpu); err != nil {
			t.Fatal(err)
		}
	}
	return func() { atomic.StoreUint64(over, 1) }
}

// lastCPU is the last CPU that this thread may use.
func lastCPU(t *testing.T) (cpu int) {
	t.Helper()
	allowed, err := machine.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	return allowed[len(allowed)-1]
}
