//go:build linux

package peer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A crew's members share what is posted, and each goes back to sleep before
// AwaitAsleep returns; none is left when the test is over.
func TestCrewSleeps(t *testing.T) {
	for _, kind := range []Kind{Thread, Process} {
		t.Run(string(kind), func(t *testing.T) {
			const members, rounds = 5, 50
			c, fd := readers(t, kind, members)
			for round := range rounds {
				if err := c.AwaitAsleep(); err != nil {
					t.Fatal(err)
				}
				if got := c.Done(); got != uintptr(round*members) {
					t.Fatalf("asleep after %d reads, want %d", got, round*members)
				}
				c.Rewind()
				mustWrite(t, fd, members)
			}
			if err := c.AwaitAsleep(); err != nil {
				t.Fatal(err)
			}
			if n := c.Switches(); n < members*2 {
				t.Errorf("%d context switches in %d rounds of sleep, want %d at least", n, rounds, members*2)
			}
		})
	}
}

// Stamps tell when a member ended an iteration: after the post, before now.
func TestCrewStamps(t *testing.T) {
	c, fd := readers(t, Thread, 1)
	if err := c.AwaitAsleep(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.Rewind()
		before := sys.Ticks()
		mustWrite(t, fd, 1)
		if err := c.AwaitAsleep(); err != nil {
			t.Fatal(err)
		}
		if s, after := c.Members[0].Stamps(1)[0], sys.Ticks(); s < before || s > after {
			t.Errorf("stamp %d is not between %d and %d", s, before, after)
		}
	}
}

// Errors of a crew say which member it was: one that is killed, one that is
// stopped, one whose call fails, and one that comes to the end of its loop.
func TestCrewSaysWho(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	start := func(t *testing.T) (*Crew, int) {
		c, fd := readers(t, Process, 3)
		if err := c.AwaitAsleep(); err != nil {
			t.Fatal(err)
		}
		return c, fd
	}
	t.Run("killed", func(t *testing.T) {
		c, _ := start(t)
		mustKill(t, c.Members[1].task.TID, unix.SIGKILL)
		checkError(t, c.AwaitAsleep(), "member 2 of 3", "killed by SIGKILL", "read(eventfd)")
	})
	t.Run("stopped", func(t *testing.T) {
		c, _ := start(t)
		mustKill(t, c.Members[2].task.TID, unix.SIGSTOP)
		child.AwaitState(t, c.Members[2].task.TID, c.Members[2].task.TID, "T")
		checkError(t, c.AwaitAsleep(), "member 3 of 3", "does not go to sleep", "read(eventfd)")
	})
	t.Run("failing", func(t *testing.T) {
		c := NewCrew(t, Process, AnyCPU, nil, "the only one")
		c.Start()
		c.Members[0].SetCalls(c.Arena, sys.Close(sys.Place(c.Arena, int32(-1))))
		c.Members[0].Reset(1)
		c.Open()
		checkError(t, c.AwaitAsleep(), "the only one", "close(): ", "(EBADF)")
	})
	t.Run("at its end", func(t *testing.T) {
		c, fd := start(t)
		for _, m := range c.Members {
			m.N = 1
		}
		mustWrite(t, fd, 1)
		checkError(t, c.AwaitAsleep(), "of 3", "left its loop after 1 rounds")
	})
	t.Run("never done", func(t *testing.T) {
		c, _ := start(t)
		checkError(t, c.Join(), "member 1 of 3", "did not end within", "read(eventfd), 0 of 1000000")
	})
}

// While any member gets on, this side's wait is not given up; when all stand
// still, it is.
func TestCrewProgress(t *testing.T) {
	shorten(t, 500*time.Millisecond)
	c, fd := readers(t, Thread, 1)
	never := mustEventfd(t)
	l := sys.NewLoop(c.Arena, sys.EventfdRead(never, c.Arena.Word(0)))
	l.Reset(0)
	const alive = 1500 * time.Millisecond
	start := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for time.Since(start) < alive {
			unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			time.Sleep(20 * time.Millisecond)
		}
	}()
	err := c.Run(l, 1, nil, c.Check)
	<-stopped
	checkError(t, err, "nothing came for")
	if took := time.Since(start); took < alive {
		t.Errorf("given up after %v, while the member was reading for %v", took, alive)
	}
}

var orphans = child.Register("orphans", func(p *child.Proc) error {
	c := NewCrew(&testing.B{}, Process, AnyCPU, nil, "one", "two", "three") // the role ends by a signal: nothing is cleaned up
	c.Start()
	var pids []string
	for _, m := range c.Members {
		pids = append(pids, strconv.Itoa(m.task.TID))
	}
	p.Say("%s", strings.Join(pids, " "))
	_, err := p.Hear()
	return err
})

// All members that are processes die with the one that started them.
func TestCrewDiesWithParent(t *testing.T) {
	p := child.Start(t, orphans, child.Options{})
	pids := strings.Fields(p.Line())
	if len(pids) != 3 {
		t.Fatalf("pids %q, want three", pids)
	}
	p.Signal(unix.SIGKILL)
	p.Status()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		var left []string
		for _, pid := range pids {
			// The name tells a member from a stranger that got its
			// number.
			if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && string(comm) == "eventbench-peer\n" && !zombie(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("members %q live on without their parent", left)
		}
	}
}

// zombie reports whether a process has ended and only waits to be reaped, by
// whoever that is now.
func zombie(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ")
}

// readers returns an open crew whose members read 1 from a semaphore, again and
// again.
func readers(t *testing.T, kind Kind, n int) (c *Crew, fd int) {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("member %d of %d", i+1, n))
	}
	c = NewCrew(t, kind, AnyCPU, nil, names...)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	c.Start()
	for _, m := range c.Members {
		m.SetCalls(c.Arena, sys.EventfdRead(fd, c.Arena.Word(0)))
		m.Reset(1_000_000)
	}
	c.Open()
	return c, fd
}

func mustWrite(t *testing.T, fd int, v byte) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{v, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
}

func mustKill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}
