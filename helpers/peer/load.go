//go:build linux

package peer

import (
	"fmt"
	"math"
	"time"

	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Load starts a competitor for the CPU, at the priority of this thread: a child
// that makes the cheapest of system calls, getppid(2), again and again until
// the measurement ends. It returns when the child is at work. working says
// afterwards whether it still was.
func (p *Party) Load(cpu int) (working func() error) {
	p.TB.Helper()
	SkipOrFatal(p.TB, endable())
	begin := sys.NewLoop(p.Arena, sys.SetName(p.Arena, "eventbench-load"), sys.DieWithParent(), sys.ParentIs(unix.Getpid()))
	begin.Reset(1)
	busy := sys.NewLoop(p.Arena, sys.Getppid())
	busy.Reset(math.MaxInt)
	begin.Then(busy)
	task, err := sys.NewChild(p.Arena, begin)
	SkipOrFatal(p.TB, limited(err))
	p.TB.Cleanup(func() {
		if err := task.Stop(stop); err != nil {
			p.TB.Error(err)
		}
	})
	if _, err := pin(task.TID, cpu); err != nil {
		p.TB.Fatal(err)
	}
	working = func() error {
		if task.Gone() || begin.Failed() || busy.Failed() {
			return fmt.Errorf("the load, %v, ended before the measurement did", task)
		}
		return nil
	}
	for wait := sys.NewWait(Deadline, task); busy.Done == 0; time.Sleep(100 * time.Microsecond) {
		if err := working(); err != nil {
			p.TB.Fatal(err)
		}
		if wait.Over() {
			p.TB.Fatalf("the load, %v, did not begin within %v", task, wait)
		}
	}
	return working
}
