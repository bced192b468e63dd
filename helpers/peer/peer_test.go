//go:build linux

package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/leak"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	child.Main()
	os.Exit(leak.Check(m.Run))
}

// Both kinds of peer answer every ping, through interruptions of either side.
func TestPingPong(t *testing.T) {
	for _, kind := range []Kind{Thread, Process} {
		t.Run(string(kind), func(t *testing.T) {
			const rounds = 2000
			p := pingPong(t, kind)
			p.Here.Reset(0)
			p.There.Reset(rounds)
			p.Open()
			stamps := 0
			if err := p.Run(rounds, func(s []uint64) { stamps += len(s) - 1 }); err != nil {
				t.Fatal(err)
			}
			if err := p.Join(); err != nil {
				t.Fatal(err)
			}
			if p.Here.Total != rounds || p.There.Total != rounds || stamps != rounds {
				t.Errorf("received here %d, there %d, recorded %d, want %d of each", p.Here.Total, p.There.Total, stamps, rounds)
			}
		})
	}
}

// An interrupt that comes together with the signal that a side waits for takes
// nothing from it: the deadline's timer is one among the events.
func TestInterruptsLoseNothing(t *testing.T) {
	const ping, pong = unix.Signal(45), unix.Signal(46)
	handle := func(sig unix.Signal) *uint64 {
		runs, restore, err := sys.Handle(sig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { restore() })
		return runs
	}
	p := NewPair(t, Placement{Kind: Process, Here: 0, There: 0})
	pinged, ponged := handle(ping), handle(pong)
	p.Start()
	p.Here.SetCalls(p.Arena, sys.Tgkill(p.PeerPID, p.PeerTID, ping), sys.SigsuspendUntilRun(sys.Place(p.Arena, AllBut(pong)), ponged))
	p.Here.Sum = ponged
	p.There.SetCalls(p.Arena, sys.SigsuspendUntilRun(sys.Place(p.Arena, AllBut(ping)), pinged), sys.Tgkill(unix.Getpid(), p.TID, pong))
	const rounds = 30_000
	p.Here.Reset(0)
	p.There.Reset(rounds)
	p.Open()
	// Far more interrupts than the timer's five a second.
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
				unix.Tgkill(unix.Getpid(), p.TID, interrupt)
			}
		}
	}()
	err := p.Run(rounds, nil)
	close(done)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Join(); err != nil {
		t.Fatal(err)
	}
	if p.Here.Total != rounds {
		t.Errorf("%d of %d signals counted", p.Here.Total, rounds)
	}
}

// What is recorded of a sleep is all but the iterations in which it was
// interrupted, and they are few.
func TestUninterrupted(t *testing.T) {
	p := NewParty(t, AnyCPU)
	l := sys.NewLoop(p.Arena, sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(p.Arena, unix.Timespec{Nsec: 1e6})))
	l.Reset(0)
	const sleeps = chunk + 100 // most of a second
	interrupts := p.Interrupts()
	var all, kept []uint64 // the ends of iterations
	keep := p.Uninterrupted(func(stamps []uint64) { kept = append(kept, stamps[1:]...) })
	if err := p.Run(l, sleeps, func(stamps []uint64) {
		all = append(all, stamps[1:]...)
		keep(stamps)
	}, nil); err != nil {
		t.Fatal(err)
	}
	missing := 0
	for _, end := range all {
		if !slices.Contains(kept, end) {
			missing++
		}
	}
	interrupts = p.Interrupts() - interrupts
	if len(all) != sleeps || len(kept)+missing != sleeps || missing == 0 || uint64(missing) > interrupts {
		t.Errorf("%d iterations recorded, %d of them and %d not as uninterrupted, with %d interrupts; want %d, one left out for each", len(all), len(kept), missing, interrupts, sleeps)
	}
}

// A rehearsal is all that the first Open lets a peer do; the second lets it
// into its loop. One that fails is reported as a loop is.
func TestRehearse(t *testing.T) {
	for _, kind := range []Kind{Thread, Process} {
		t.Run(string(kind), func(t *testing.T) {
			p := NewPair(t, Placement{Kind: kind, Here: AnyCPU, There: AnyCPU})
			fd := mustEventfd(t)
			p.Start()
			got := p.Arena.Word(0)
			post := func(v uint64) []sys.Call { return []sys.Call{sys.EventfdWrite(fd, p.Arena.Word(v))} }
			rehearsal := p.Rehearse(5, post(1), post(100))
			p.There.SetCalls(p.Arena, post(1000)...)
			p.There.Reset(7)
			p.Here.SetCalls(p.Arena, sys.EventfdRead(fd, got))
			p.Here.Sum, p.Here.Until = got, &p.Here.Total
			for _, want := range []uint64{105, 7000} {
				p.Here.Reset(0)
				p.Here.Limit = want
				p.Open()
				if err := p.Run(1000, nil); err != nil {
					t.Fatal(err)
				}
				if p.Here.Total != want {
					t.Errorf("received %d, want %d", p.Here.Total, want)
				}
			}
			if err := p.Join(); err != nil {
				t.Fatal(err)
			}
			if rehearsal.Done != 5 || p.There.Done != 7 {
				t.Errorf("%d rounds after %d rehearsed, want 7 after 5", p.There.Done, rehearsal.Done)
			}
		})
	}
	p := NewPair(t, Placement{Kind: Process, Here: AnyCPU, There: AnyCPU})
	p.Start()
	rehearsal := p.Rehearse(1, []sys.Call{sys.Close(sys.Place(p.Arena, int32(-1)))}, nil)
	p.There.Reset(1)
	p.Open()
	checkError(t, p.Await(rehearsal), "close(): ", "(EBADF)")
}

// What the peer does first it does once, before its loop, and what this side
// does once is not counted as iterations of its own.
func TestFirstAndOnce(t *testing.T) {
	for _, kind := range []Kind{Thread, Process} {
		t.Run(string(kind), func(t *testing.T) {
			const rounds = 100
			p := NewPair(t, Placement{Kind: kind, Here: AnyCPU, There: AnyCPU})
			fd, back := mustEventfd(t), mustEventfd(t)
			p.Start()
			one, ten, got := p.Arena.Word(1), p.Arena.Word(10), p.Arena.Word(0)
			p.First(sys.EventfdRead(fd, got), sys.EventfdWrite(back, ten))
			p.Here.SetCalls(p.Arena, sys.EventfdRead(back, got))
			p.Here.Sum = got
			p.There.SetCalls(p.Arena, sys.EventfdWrite(back, one))
			p.Here.Until, p.Here.Limit = &p.Here.Total, rounds+10
			p.Here.Reset(0)
			p.There.Reset(rounds)
			p.Open()
			if err := p.Once(sys.EventfdWrite(fd, one)); err != nil {
				t.Fatal(err)
			}
			if err := p.Run(rounds+1, nil); err != nil {
				t.Fatal(err)
			}
			if err := p.Join(); err != nil {
				t.Fatal(err)
			}
			if p.Here.Total != rounds+10 || p.There.Done != rounds {
				t.Errorf("received %d, peer's rounds %d, want %d and %d", p.Here.Total, p.There.Done, rounds+10, rounds)
			}
		})
	}
	// What fails there is what went wrong.
	p := NewPair(t, Placement{Kind: Process, Here: AnyCPU, There: AnyCPU})
	never := mustEventfd(t)
	p.Start()
	p.First(sys.Close(sys.Place(p.Arena, int32(-1))))
	p.Here.SetCalls(p.Arena, sys.EventfdRead(never, p.Arena.Word(0)))
	p.Here.Reset(0)
	p.There.Reset(1)
	p.Open()
	checkError(t, p.Run(1, nil), "close(): ", "(EBADF)")
}

// A peer that is killed ends the run at once, with how it ended.
func TestPeerKilled(t *testing.T) {
	p := pingPong(t, Process)
	p.Here.Reset(0)
	p.There.Reset(10)
	p.Open()
	if err := p.Run(4, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(p.PeerPID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	checkError(t, p.Run(6, nil), "killed by SIGKILL", "waited in read(eventfd), 4 of 10")
}

// A peer that is stopped ends the run at the deadline, with where both sides
// were.
func TestPeerStopped(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	p := pingPong(t, Process)
	p.Here.Reset(0)
	p.There.Reset(10)
	p.Open()
	if err := p.Run(4, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(p.PeerPID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	checkError(t, p.Run(6, nil), "nothing came for", "this side waited in read(eventfd)", "peer process "+strconv.Itoa(p.PeerPID)+" was in")
}

// A load is at work when Load returns, and it is noticed if it did not last.
func TestLoad(t *testing.T) {
	p := NewParty(t, AnyCPU)
	working := p.Load(0)
	if err := working(); err != nil {
		t.Error(err)
	}
	pid := childNamed(t, "eventbench-load")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var err error
	for start := time.Now(); err == nil && time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		err = working()
	}
	checkError(t, err, "the load, peer process "+strconv.Itoa(pid)+" (killed by SIGKILL), ended before")
}

// A peer that waits for what never comes is ended with the test, thread or
// process.
func TestPeerStuck(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	for _, kind := range []Kind{Thread, Process} {
		t.Run(string(kind), func(t *testing.T) {
			p := NewPair(t, Placement{Kind: kind, Here: AnyCPU, There: AnyCPU})
			fd := mustEventfd(t)
			p.Start()
			p.There.SetCalls(p.Arena, sys.EventfdRead(fd, p.Arena.Word(0)))
			p.There.Reset(1)
			p.Open()
			checkError(t, p.Join(), "did not end within", "read(eventfd), 0 of 1")
		})
	}
}

// A peer waiting for a handler, where EINTR is what its call wants, is ended
// too.
func TestPeerStuckInSigsuspend(t *testing.T) {
	shorten(t, 200*time.Millisecond)
	runs, restore, err := sys.Handle(45)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	p := NewPair(t, Placement{Kind: Thread, Here: AnyCPU, There: AnyCPU})
	p.Start()
	p.There.SetCalls(p.Arena, sys.SigsuspendUntilRun(sys.Place(p.Arena, AllBut(45)), runs))
	p.There.Reset(1)
	p.Open()
	checkError(t, p.Join(), "rt_sigsuspend()")
}

// A peer's failing call is this side's error, with call and errno.
func TestPeerFails(t *testing.T) {
	p := NewPair(t, Placement{Kind: Process, Here: AnyCPU, There: AnyCPU})
	fd := mustEventfd(t)
	p.Start()
	p.There.SetCalls(p.Arena, sys.Close(sys.Place(p.Arena, int32(-1))))
	p.There.Reset(1)
	p.Here.SetCalls(p.Arena, sys.EventfdRead(fd, p.Arena.Word(0)))
	p.Here.Reset(0)
	p.Open()
	err := p.Run(1, nil)
	checkError(t, err, "close(): ", "(EBADF)", "this side waited in read(eventfd)")
	if !errors.Is(err, unix.EBADF) {
		t.Errorf("%v is not EBADF", err)
	}
}

// This side alone gives up at the deadline as well.
func TestAloneStuck(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	p := NewParty(t, AnyCPU)
	l := sys.NewLoop(p.Arena, sys.EventfdRead(mustEventfd(t), p.Arena.Word(0)))
	l.Reset(0)
	checkError(t, p.Run(l, 1, nil, nil), "nothing came for", "read(eventfd), 0 of 1")
}

var orphan = child.Register("orphan", func(c *child.Proc) error {
	tb := &testing.B{} // the role ends by a signal: nothing is cleaned up
	p := NewPair(tb, Placement{Kind: Process, Here: AnyCPU, There: AnyCPU})
	p.Start()
	c.Say("%d", p.PeerPID)
	_, err := c.Hear()
	return err
})

// A peer process dies with the process that started it, however that dies.
func TestPeerDiesWithParent(t *testing.T) {
	p := child.Start(t, orphan, child.Options{})
	pid, err := strconv.Atoi(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("pidfd_open of the peer: %v", err)
	}
	defer unix.Close(pidfd)
	p.Signal(unix.SIGKILL)
	p.Status()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 5000); n != 1 {
		unix.Kill(pid, unix.SIGKILL)
		t.Errorf("peer %d lives on without its parent (poll: %d, %v)", pid, n, err)
	}
}

// After a measurement the thread's mask and CPUs are what they were.
func TestPartyRestores(t *testing.T) {
	state := func() (s [2]string) {
		for line := range strings.Lines(mustRead(t, "/proc/thread-self/status")) {
			switch {
			case strings.HasPrefix(line, "SigBlk:"):
				s[0] = line
			case strings.HasPrefix(line, "Cpus_allowed:"):
				s[1] = line
			}
		}
		return s
	}
	var before, during, after [2]string
	t.Run("party", func(t *testing.T) {
		t.Cleanup(func() { after = state() })
		before = state()
		NewParty(t, 0)
		during = state()
	})
	if before[0] == during[0] {
		t.Errorf("the measuring thread blocks what it did before: %s", during[0])
	}
	if before != after {
		t.Errorf("after the measurement %q, before it %q", after, before)
	}
}

// pingPong returns a started pair that exchanges values through two eventfds.
func pingPong(t *testing.T, kind Kind) *Pair {
	t.Helper()
	p := NewPair(t, Placement{Kind: kind, Here: AnyCPU, There: AnyCPU})
	ping, pong := mustEventfd(t), mustEventfd(t)
	p.Start()
	one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
	p.Here.SetCalls(p.Arena, sys.EventfdWrite(ping, one), sys.EventfdRead(pong, got))
	p.Here.Sum = got
	p.There.SetCalls(p.Arena, sys.EventfdRead(ping, gotThere), sys.EventfdWrite(pong, one))
	p.There.Sum = gotThere
	return p
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// childNamed returns the process id of this process's child of that name.
func childNamed(t *testing.T, name string) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		var pid, ppid int
		var state string
		stat, _ := os.ReadFile(path) // the process may be gone
		before, after, _ := strings.Cut(string(stat), " ("+name+") ")
		if fmt.Sscan(before, &pid); pid != 0 {
			if fmt.Sscan(after, &state, &ppid); ppid == os.Getpid() {
				return pid
			}
		}
	}
	t.Fatalf("no child is called %s", name)
	return 0
}

func shorten(t *testing.T, d time.Duration) {
	t.Helper()
	old := Deadline
	Deadline = d
	t.Cleanup(func() { Deadline = old })
}

func mustEventfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
