//go:build linux

package measure

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Herd is what a number of waiters wait for.
type Herd struct {
	// Post posts one event.
	Post []sys.Call
	// Waiter returns what waiter i does each time: it waits, and looks for
	// the event. A look that may find nothing has a Refused result, and is
	// counted as spurious.
	Waiter func(i int) []sys.Call
	// Each says that an event is for all the waiters, not for one of them.
	Each bool
}

// Wake benchmarks one event for many waiters, once for each kind of peer. The
// waiters are dealt out to the CPUs allowed; this thread posts. setup makes the
// descriptors.
//
// An operation begins before the post and ends when the last of those that came
// back from their wait for it has looked for the event and is about to wait
// again. Between operations this thread waits until all are asleep, which is
// not timed; see [peer.Crew.AwaitAsleep]. Each waiter counts by itself, in
// shared memory, how often it came back (wakeups/event) and found nothing
// (spurious/event). What is posted must be taken, each event before the next.
// The waiters' context switches are switches/op: one for each that comes back,
// and more where the kernel wakes waiters and has them sleep on without coming
// back.
func Wake(b *testing.B, waiters int, setup func(c *peer.Crew) Herd) {
	b.Helper()
	for _, kind := range Shuffled(b, peer.Thread, peer.Process) {
		b.Run("peer="+string(kind), func(b *testing.B) {
			skipUnsynchronised(b, append([]int{here().CPUs().Same}, dealt(waiters)...)...)
			if trial(b, readable) {
				return
			}
			if _, err := os.Stat("/proc/self/stat"); err != nil {
				b.Skipf("whether waiters are asleep is told by /proc: %v", err)
			}
			herd(b, waiters, kind, setup)
		})
	}
}

func herd(b *testing.B, waiters int, kind peer.Kind, setup func(c *peer.Crew) Herd) {
	b.Helper()
	names := make([]string, waiters)
	for i := range names {
		names[i] = fmt.Sprintf("waiter %d of %d", i+1, waiters)
	}
	c := peer.NewCrew(b, kind, here().CPUs().Same, here().Allowed, names...)
	h := &herding{Herd: setup(c), crew: c}
	h.post = sys.NewLoop(c.Arena, h.Post...)
	h.post.Reset(0)
	c.Start()
	for i, m := range c.Members {
		m.SetCalls(c.Arena, h.Waiter(i)...)
		m.Reset(1)
	}
	settle()
	c.Open()
	check := func(err error) {
		b.Helper()
		peer.SkipOrFatal(b, err)
	}
	check(c.AwaitAsleep())
	for range warmup {
		_, err := h.event()
		check(err)
	}

	woken, spurious := h.woken, h.spurious
	switches := c.Switches()
	var ops counter
	began, start := time.Now(), readClocks()
	b.ResetTimer()
	for range b.N {
		d, err := h.event()
		check(err)
		ops.add(d)
	}
	b.StopTimer()
	if Counted() {
		ops.report(b)
		reportLatencies(b, began, &ops.h, 1, "instrs")
	} else {
		perTick := start.perTick(readClocks())
		b.ReportMetric(ops.h.Mean()*perTick, "ns/op")
		reportLatencies(b, began, &ops.h, perTick, "ns")
	}
	b.ReportMetric(float64(h.woken-woken)/float64(b.N), "wakeups/event")
	b.ReportMetric(float64(h.spurious-spurious)/float64(b.N), "spurious/event")
	reportSwitches(b, c, switches)
}

// dealt are the CPUs that so many members of a crew are dealt out to.
func dealt(members int) []int { return here().Allowed[:min(members, len(here().Allowed))] }

// reportSwitches reports the context switches of c's members since there were
// before many, where the kernel tells: gVisor shows none at all.
func reportSwitches(b *testing.B, c *peer.Crew, before uint64) {
	b.Helper()
	if after := c.Switches(); after > 0 {
		b.ReportMetric(float64(after-before)/float64(b.N), "switches/op")
	}
}

// herding is a Herd at work, and its account so far.
type herding struct {
	Herd
	crew            *peer.Crew
	post            *sys.Loop
	woken, spurious uint64
}

// event posts an event to waiters that are all asleep, waits until they are
// again, and returns the ticks from the post until the last of those that were
// woken was done.
func (h *herding) event() (ticks uint64, err error) {
	c := h.crew
	c.Rewind()
	woken := make([]uintptr, len(c.Members))
	for i, m := range c.Members {
		woken[i] = m.Loop.Done
	}
	var posted, last uint64
	err = c.Run(h.post, 1, func(stamps []uint64) { posted = stamps[0] }, c.Check)
	if err != nil {
		return 0, err
	}
	// The waiters have the CPUs for themselves for about as long as they
	// take.
	pause := unix.NsecToTimespec(int64(20*time.Microsecond) * int64(2+len(c.Members)))
	unix.Nanosleep(&pause, nil) // until then or until the deadline's timer interrupts it
	if err := c.AwaitAsleep(); err != nil {
		return 0, err
	}
	h.woken, h.spurious = 0, 0
	for i, m := range c.Members {
		h.woken += uint64(m.Loop.Done)
		h.spurious += m.Refused
		for _, t := range m.Stamps(int(m.Loop.Done - woken[i])) {
			last = max(last, t)
		}
	}
	want := uint64(h.post.Done)
	if h.Each {
		want *= uint64(len(c.Members))
	}
	if taken := h.woken - h.spurious; taken != want {
		return 0, fmt.Errorf("%d events posted to %d waiters, %d taken, want %d: %d came back from their wait, %d of them for nothing, and all are asleep",
			h.post.Done, len(c.Members), taken, want, h.woken, h.spurious)
	}
	return max(last, posted) - posted, nil // clocks of two CPUs may differ by a little
}

// A Flow is what many senders post and many receivers take.
type Flow struct {
	Send    []sys.Call        // posts one event
	Receive func() []sys.Call // returns the calls by which one of the receivers takes one
	Left    func() error      // says whether nothing is left when all is taken
}

// Crowd benchmarks streams from senders to receivers, threads that are dealt
// out to the CPUs allowed: an operation is one event posted and taken. All
// send, and all receive, equal shares of b.N, and the time ends when the last
// is done. Each tells of its end by an eventfd, which adds up what it has not
// been asked for yet: none is lost.
func Crowd(b *testing.B, senders, receivers int, setup func(c *peer.Crew) Flow) {
	b.Helper()
	if trial(b) {
		return
	}
	var names []string
	for i := range senders {
		names = append(names, fmt.Sprintf("sender %d of %d", i+1, senders))
	}
	for i := range receivers {
		names = append(names, fmt.Sprintf("receiver %d of %d", i+1, receivers))
	}
	c := peer.NewCrew(b, peer.Thread, here().CPUs().Same, here().Allowed, names...)
	f := setup(c)
	done, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	peer.SkipOrFatal(b, os.NewSyscallError("eventfd2", err))
	b.Cleanup(func() { unix.Close(done) })
	one, got := c.Arena.Word(1), c.Arena.Word(0)
	c.Start()
	for i, m := range c.Members {
		if i < senders {
			m.SetCalls(c.Arena, f.Send...)
			m.Reset(share(b.N, i, senders))
		} else {
			m.SetCalls(c.Arena, f.Receive()...)
			m.Reset(share(b.N, i-senders, receivers))
		}
		c.Last(m, sys.EventfdWrite(done, one))
	}
	end := sys.NewLoop(c.Arena, sys.EventfdRead(done, got))
	end.Sum, end.Until, end.Limit = got, &end.Total, uint64(len(c.Members))
	end.Reset(0)
	settle()
	switches := c.Switches()
	once(b, func(int, func([]uint64)) error {
		c.Open()
		return c.Run(end, len(c.Members), nil, c.Check)
	})
	reportSwitches(b, c, switches)
	peer.SkipOrFatal(b, c.Join())
	var sent, taken uintptr
	for i, m := range c.Members {
		if i < senders {
			sent += m.Loop.Done
		} else {
			taken += m.Loop.Done
		}
	}
	if sent != uintptr(b.N) || taken != uintptr(b.N) {
		b.Errorf("%d events posted and %d taken, want %d of each", sent, taken, b.N)
	}
	if err := f.Left(); err != nil {
		b.Errorf("%d events posted and %d taken: %v", sent, taken, err)
	}
}

// share is party i's of n events among so many.
func share(n, i, among int) int { return n*(i+1)/among - n*i/among }

// Grow runs f as a sub-benchmark for each size of key: registered=1,
// registered=10. The sizes are plain numbers, so that a chart can have them as
// its axis.
func Grow(b *testing.B, key string, sizes []int, f func(b *testing.B, size int)) {
	b.Helper()
	for _, size := range Shuffled(b, slices.Clone(sizes)...) {
		b.Run(key+"="+strconv.Itoa(size), func(b *testing.B) { f(b, size) })
	}
}
