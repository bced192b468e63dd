//go:build linux

package peer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Crew is this thread and any number of peers, each with a loop of its own.
//
// Make the descriptors that all use, then Start the crew, then give each member
// its calls and its number of iterations, then Open the gate. Members leave
// when their loop ends and Dismiss is called, or with the test or benchmark.
type Crew struct {
	*Party
	Kind    Kind
	Members []*Member

	cpus  []int
	arena *sys.Arena // the members' stacks and stamps
	gate  *uint32
	leave *uint32
}

// A Member is one peer of a [Crew].
type Member struct {
	*sys.Loop
	name   string // "waiter 3 of 8"
	task   *sys.Task
	atGate *sys.Loop
	stamps []uint64
	proc   string   // its directory in /proc
	stat   *os.File // open, for it is read again and again
}

// rewindable is how many iterations of a member can be stamped between two
// Rewinds.
const rewindable = 511

// memberSize is what a member takes of an arena: its stack, loops and stamps.
const memberSize = 80 << 10

// NewCrew makes the calling thread the head of a crew, on CPU here. The members
// do not exist yet. There is one for each name, which messages call it by; they
// are dealt out to cpus in turn (none: the scheduler places them).
func NewCrew(tb testing.TB, kind Kind, here int, cpus []int, names ...string) *Crew {
	tb.Helper()
	c := &Crew{Party: NewParty(tb, here), Kind: kind, cpus: cpus}
	arena, err := sys.NewArena(len(names) * memberSize)
	SkipOrFatal(tb, err)
	tb.Cleanup(func() {
		if err := arena.Close(); err != nil {
			tb.Error(err)
		}
	})
	c.arena = arena
	c.gate, c.leave = c.Arena.Word32(0), c.Arena.Word32(0)
	for _, name := range names {
		m := &Member{Loop: sys.NewLoop(arena), name: name, stamps: arena.Words(rewindable + 1)}
		// As with a pair, the exit is not to be part of the last
		// operation.
		park := sys.NewLoop(arena, sys.FutexWaitWhile(c.leave, 0))
		park.Reset(1)
		m.Then(park)
		c.Members = append(c.Members, m)
	}
	c.progress = c.Done
	return c
}

// Last has member m make calls once, when its loop has ended.
func (c *Crew) Last(m *Member, calls ...sys.Call) {
	last, park := sys.NewLoop(c.Arena, calls...), sys.NewLoop(c.Arena, sys.FutexWaitWhile(c.leave, 0))
	last.Reset(1)
	park.Reset(1)
	m.Then(last)
	last.Then(park)
}

// Start creates the members. They wait at the gate until Open. Descriptors
// opened later do not exist in children.
func (c *Crew) Start() {
	c.TB.Helper()
	stops := c.stops()
	for i, m := range c.Members {
		cpu := AnyCPU
		if len(c.cpus) > 0 {
			cpu = c.cpus[i%len(c.cpus)]
		}
		m.InterruptBy(stops)
		m.task, m.atGate = c.hire(c.arena, c.Kind, cpu, c.gate, m.Loop)
		m.proc = fmt.Sprintf("/proc/%d/task/%d/", unix.Getpid(), m.task.TID)
		if c.Kind == Process {
			m.proc = fmt.Sprintf("/proc/%d/task/%[1]d/", m.task.TID)
		}
	}
}

// Open lets all members begin their loops.
func (c *Crew) Open() { set(c.gate) }

// Done is how many iterations all members together have completed.
func (c *Crew) Done() uintptr {
	var n uintptr
	for _, m := range c.Members {
		n += atomic.LoadUintptr(&m.Loop.Done)
	}
	return n
}

// Check reports a member that will not go on: one whose call failed, or that is
// gone.
func (c *Crew) Check() error {
	for _, m := range c.Members {
		switch {
		case m.Ended():
		case m.atGate.Failed():
			return fmt.Errorf("%s: %v: %w", m.name, m.task, m.atGate.Err())
		case m.Failed():
			return fmt.Errorf("%s: %v: %w", m.name, m.task, m.Err())
		case m.task.Gone():
			return fmt.Errorf("%s: %v is gone: it was in %s", m.name, m.task, m.where())
		}
	}
	return nil
}

// TID is the member's thread id. It has one from Start on.
func (m *Member) TID() int { return m.task.TID }

// CPUTime is the CPU time that the member has used: clock_gettime(2) of the
// clock that pthread_getcpuclockid(3) names.
func (m *Member) CPUTime() (time.Duration, error) {
	const perThread, sched = 4, 2 // CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED of linux/posix-timers.h
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^m.task.TID<<3|perThread|sched), &used); err != nil {
		return 0, fmt.Errorf("clock_gettime of the CPU time of %s: %w", m.name, err)
	}
	return time.Duration(used.Nano()), nil
}

// ChildSize is what [Crew.Child] takes of an arena.
const ChildSize = 68 << 10

// Child starts a process that makes calls after Open and ends, quickly: see
// [sys.NewSharer]. It returns the process id. The process's stack is in a.
// Whoever waits for it has to do so before the test or benchmark ends.
func (c *Crew) Child(a *sys.Arena, calls ...sys.Call) (pid int) {
	c.TB.Helper()
	l := sys.NewLoop(a, calls...)
	l.Reset(1)
	t, _ := c.hire(a, sharer, AnyCPU, c.gate, l)
	return t.TID
}

func (m *Member) where() string {
	if !m.atGate.Ended() {
		return "its wait at the gate"
	}
	return m.Where()
}

// Rewind makes the members, who must all be asleep in their loops, stamp the
// ends of their next iterations, at most 511 each: a member that comes to do
// more ends its loop there. See [Member.Stamps].
func (c *Crew) Rewind() {
	for _, m := range c.Members {
		m.StampFrom(m.stamps)
		m.N = m.Loop.Done + rewindable
	}
}

// Stamps returns the ticks at which the member ended each of the n iterations
// since Rewind.
func (m *Member) Stamps(n int) []uint64 { return m.stamps[1 : n+1] }

// AwaitAsleep waits until every member sleeps in its loop, so that nothing is
// going on that an earlier event caused.
//
// A member that has been woken is not in state S of proc_pid_stat(5), whether
// it runs yet or not: the kernel changes the state in the call that wakes. So
// all are asleep if each is found in state S, one after the other, unless one
// that was found awake later woke one that was found asleep earlier, and then
// went to sleep itself. It has then ended an iteration between the first look
// and the last, which Done tells. What that does not see is a member that wakes
// another and sleeps on without coming back from its call; no mechanism here
// does that for long.
func (c *Crew) AwaitAsleep() error {
	for wait := c.Wait(); ; time.Sleep(20 * time.Microsecond) {
		done := c.Done()
		awake, err := c.firstAwake()
		if err != nil {
			return err
		}
		if awake == nil && c.Done() == done {
			return nil
		}
		if err := c.Check(); err != nil {
			return err
		}
		if awake != nil && wait.Over() {
			return fmt.Errorf("%s: %v does not go to sleep within %v: it was in %s",
				awake.name, awake.task, wait, awake.where())
		}
	}
}

// firstAwake returns the first member that does not sleep in its loop, or nil.
func (c *Crew) firstAwake() (*Member, error) {
	var buf [512]byte
	for _, m := range c.Members {
		if m.Ended() {
			return nil, fmt.Errorf("%s: %v left its loop after %d rounds", m.name, m.task, m.Loop.Done)
		}
		if !m.atGate.Ended() {
			return m, nil
		}
		if m.stat == nil {
			f, err := os.Open(m.proc + "stat")
			if err != nil {
				return nil, err
			}
			m.stat = f
			c.TB.Cleanup(func() { f.Close() })
		}
		n, err := unix.Pread(int(m.stat.Fd()), buf[:], 0)
		if err != nil {
			return m, nil // it is gone, as Check will tell
		}
		// The name is in parentheses and may hold anything, parentheses
		// included.
		i := bytes.LastIndexByte(buf[:n], ')')
		if i < 0 || i+2 >= n || buf[i+2] != 'S' {
			return m, nil
		}
	}
	return nil, nil
}

// Switches returns how many context switches the members have been through,
// voluntary and not: what getrusage(2) calls ru_nvcsw and ru_nivcsw, from
// proc_pid_status(5), which tells of others than the caller as well. It is 0
// where the kernel does not tell.
func (c *Crew) Switches() (n uint64) {
	for _, m := range c.Members {
		text, err := os.ReadFile(m.proc + "status")
		if err != nil {
			return 0
		}
		for line := range strings.Lines(string(text)) {
			if _, count, ok := strings.Cut(line, "voluntary_ctxt_switches:"); ok { // and nonvoluntary_
				k, err := strconv.ParseUint(strings.TrimSpace(count), 10, 64)
				if err != nil {
					return 0
				}
				n += k
			}
		}
	}
	return n
}

// Join waits until all members' loops have ended, and returns what went wrong.
func (c *Crew) Join() error {
	for wait := c.Wait(); ; time.Sleep(20 * time.Microsecond) {
		running := (*Member)(nil)
		for _, m := range c.Members {
			if !m.Ended() {
				running = m
				break
			}
		}
		if running == nil {
			break
		}
		if err := c.Check(); err != nil {
			return err
		}
		if wait.Over() {
			return fmt.Errorf("%s: %v did not end within %v of this side: it was in %s",
				running.name, running.task, wait, running.where())
		}
	}
	set(c.leave)
	return nil
}
