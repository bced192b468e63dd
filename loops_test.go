//go:build linux

package eventbench

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Whole event loops: one epoll over several kinds of source at once. See
// measure.EventLoop for what an operation is and how its events are accounted
// for.

// BenchmarkLoopMixed is one loop over all kinds of source, in the usual shapes:
// level- or edge-triggered, and with room for one event or for many in an
// epoll_wait.
func BenchmarkLoopMixed(b *testing.B) {
	eachLoad(b, func(b *testing.B, load string) {
		for _, trigger := range measure.Shuffled(b, "level", "edge") {
			b.Run("trigger="+trigger, func(b *testing.B) {
				for _, batch := range measure.Shuffled(b, 1, 64) {
					b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
						loop := measure.EventLoop{Loops: 1, Trigger: triggers[trigger], Batch: batch}
						loop.Run(b, load, eventfdSource(200*time.Microsecond, 1), signalfdSource(400*time.Microsecond),
							socketSource(200*time.Microsecond), pipeSource(400*time.Microsecond),
							timerfdSource(time.Millisecond), pidfdSource(16))
					})
				}
			})
		}
	})
}

var triggers = map[string]uint32{"level": 0, "edge": unix.EPOLLET}

// BenchmarkLoopShare shares sources between one loop (loops=one) and one for
// each CPU, each with an epoll instance of its own over the same descriptors:
// all are woken for an event (percpu), or with EPOLLEXCLUSIVE one or a few
// (exclusive). The senders are where they are for one loop, on other CPUs than
// the first. Loops on those CPUs share them, as in a program that has no CPU to
// spare.
func BenchmarkLoopShare(b *testing.B) {
	eachLoad(b, func(b *testing.B, load string) {
		for _, loops := range measure.Shuffled(b, "one", "percpu", "exclusive") {
			b.Run("loops="+loops, func(b *testing.B) {
				loop := measure.EventLoop{Loops: 1, Batch: 64}
				if loops != "one" {
					loop.Loops = measure.CPUs()
				}
				if loops == "exclusive" {
					loop.Trigger = unix.EPOLLEXCLUSIVE
				}
				loop.Run(b, load, eventfdSource(200*time.Microsecond, 1), socketSource(200*time.Microsecond), pipeSource(200*time.Microsecond))
			})
		}
	})
}

// BenchmarkLoopPost is a loop that waits for one source only, to compare the
// sources' costs.
func BenchmarkLoopPost(b *testing.B) {
	const every = 100 * time.Microsecond
	ways := map[string]measure.Maker{
		"eventfd": eventfdSource(every, 1), "signalfd": signalfdSource(every),
		"pipe": pipeSource(every), "socket": socketSource(every),
	}
	eachLoad(b, func(b *testing.B, load string) {
		for _, via := range measure.Shuffled(b, "eventfd", "signalfd", "pipe", "socket") {
			b.Run("via="+via, func(b *testing.B) {
				measure.EventLoop{Loops: 1, Batch: 64}.Run(b, load, ways[via])
			})
		}
	})
}

// BenchmarkLoopUse is a loop under the load of each use of eventfd that
// uses_test.go shows as a program.
func BenchmarkLoopUse(b *testing.B) {
	one := measure.EventLoop{Loops: 1, Batch: 64}
	perCPU := measure.EventLoop{Loops: measure.CPUs(), Batch: 64, Trigger: unix.EPOLLEXCLUSIVE}
	uses := []struct {
		name    string
		loop    measure.EventLoop
		sources []measure.Maker
	}{
		// A thread that accepts hands work to one loop for each CPU.
		{"workers", perCPU, []measure.Maker{eventfdSource(50*time.Microsecond, 1)}},
		// Messages of connections, and the announcements of their
		// changes, one for eight messages.
		{"connections", one, []measure.Maker{socketSource(50 * time.Microsecond), eventfdSource(400*time.Microsecond, 1)}},
		// Completions come eight at a time.
		{"aio", one, []measure.Maker{eventfdSource(400*time.Microsecond, 8)}},
		// Data through a pipe, sampled by the clock.
		{"sensors", one, []measure.Maker{pipeSource(time.Millisecond), timerfdSource(500 * time.Microsecond)}},
		// A rare and urgent event among many that are not.
		{"alarm", one, []measure.Maker{eventfdSource(5*time.Millisecond, 1), socketSource(200 * time.Microsecond), pipeSource(200 * time.Microsecond)}},
		// The state of a system: processes that end, requests by
		// signal, a clock.
		{"state", one, []measure.Maker{signalfdSource(500 * time.Microsecond), pidfdSource(16), timerfdSource(time.Millisecond)}},
	}
	for _, use := range measure.Shuffled(b, uses...) {
		b.Run("use="+use.name, func(b *testing.B) { use.loop.Run(b, measure.Paced, use.sources...) })
	}
}

func eachLoad(b *testing.B, f func(b *testing.B, load string)) {
	for _, load := range measure.Shuffled(b, measure.Paced, measure.Full) {
		b.Run("load="+load, func(b *testing.B) { f(b, load) })
	}
}

// eventfdSource is an eventfd in counter mode to which value is added at once.
func eventfdSource(every time.Duration, value int) measure.Maker {
	return func(c *peer.Crew, _ []*peer.Member) measure.Source {
		fd := fdtest.Eventfd(c.TB, unix.EFD_NONBLOCK)
		return measure.Source{
			Name: "eventfd", Every: every, FDs: []int{fd}, Burst: value,
			Post: []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(uint64(value)))},
			Take: func(a *sys.Arena, _, _ int) measure.Taking {
				got := a.Word(0)
				return measure.Taking{Calls: []sys.Call{unlessEmpty(sys.EventfdRead(fd, got))}, Value: got}
			},
		}
	}
}

// signalfdSource is a real-time signal that is queued to the first loop's
// thread. The queue may be full, RLIMIT_SIGPENDING: then the signal is refused.
func signalfdSource(every time.Duration) measure.Maker {
	const sig, most = unix.Signal(50), 16
	return func(c *peer.Crew, loops []*peer.Member) measure.Source {
		mustQueueRoom(c.TB, 1)
		fd := fdtest.Signalfd(c.TB, sig)
		fdtest.Must(c.TB, "fcntl", unix.SetNonblock(fd, true))
		info := sys.Place(c.Arena, sys.Siginfo{Signo: int32(sig), Code: sys.SIQueue})
		post := sys.Tgsigqueue(unix.Getpid(), loops[0].TID(), sig, info)
		post.Refused = unix.EAGAIN
		return measure.Source{
			Name: "signalfd", Every: every, FDs: []int{fd}, Post: []sys.Call{post},
			Take: func(a *sys.Arena, _, _ int) measure.Taking {
				return takeBytes(a, "signalfd", fd, sys.SignalfdInfoSize, most)
			},
		}
	}
}

// socketSource is a pair of connected stream sockets, and messages of 8 bytes.
func socketSource(every time.Duration) measure.Maker {
	return func(c *peer.Crew, _ []*peer.Member) measure.Source {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		fdtest.Must(c.TB, "socketpair", err)
		return bytesSource(c, "socket", every, ends)
	}
}

// pipeSource is a pipe, and messages of 8 bytes.
func pipeSource(every time.Duration) measure.Maker {
	return func(c *peer.Crew, _ []*peer.Member) measure.Source {
		var ends [2]int
		fdtest.Must(c.TB, "pipe2", unix.Pipe2(ends[:], unix.O_CLOEXEC))
		return bytesSource(c, "pipe", every, ends)
	}
}

// bytesSource is messages of 8 bytes from ends[1] to ends[0]. A sender that
// finds no room waits.
func bytesSource(c *peer.Crew, name string, every time.Duration, ends [2]int) measure.Source {
	c.TB.Helper()
	c.TB.Cleanup(func() { unix.Close(ends[0]); unix.Close(ends[1]) })
	fdtest.Must(c.TB, "fcntl", unix.SetNonblock(ends[0], true))
	return measure.Source{
		Name: name, Every: every, FDs: ends[:1],
		Post: []sys.Call{sys.Write(name, ends[1], c.Arena.Word(1), 8)},
		Take: func(a *sys.Arena, _, _ int) measure.Taking { return takeBytes(a, name, ends[0], 8, 512) },
	}
}

// takeBytes takes up to most messages of size bytes at once. If it got as many,
// there may be more: an edge-triggered loop has to read again.
func takeBytes(a *sys.Arena, what string, fd, size, most int) measure.Taking {
	got := a.Word(0)
	read := unlessEmpty(sys.Read(what, fd, &a.Bytes(size * most)[0], size*most))
	read.AnyCount, read.Save = true, (*int32)(unsafe.Pointer(got)) // its low half: both architectures are little-endian
	return measure.Taking{Calls: []sys.Call{read}, Value: got, Unit: uint64(size), Full: uint64(size * most)}
}

// unlessEmpty is a read of a non-blocking descriptor that may find nothing: an
// earlier read may have taken the edge's event as well, or another loop may
// have been faster.
func unlessEmpty(read sys.Call) sys.Call {
	read.Refused = unix.EAGAIN
	return read
}

// timerfdSource is a timer that expires periodically, whatever the load.
func timerfdSource(every time.Duration) measure.Maker {
	return func(c *peer.Crew, _ []*peer.Member) measure.Source {
		fd := fdtest.Timerfd(c.TB)
		fdtest.Must(c.TB, "fcntl", unix.SetNonblock(fd, true))
		return measure.Source{
			Name: "timerfd", Every: every, FDs: []int{fd}, Timer: true,
			Take: func(a *sys.Arena, _, _ int) measure.Taking {
				got := a.Word(0)
				return measure.Taking{Calls: []sys.Call{unlessEmpty(sys.TimerfdRead(fd, got))}, Value: got}
			},
		}
	}
}

// pidfdSource is processes that end one after the other. The loop that a pidfd
// wakes waits for the process and removes the pidfd, which stays ready.
func pidfdSource(processes int) measure.Maker {
	return func(c *peer.Crew, _ []*peer.Member) measure.Source {
		s := measure.Source{Name: "pidfd"}
		arena, err := sys.NewArena(processes * peer.ChildSize)
		fdtest.Must(c.TB, "mmap", err)
		c.TB.Cleanup(func() { fdtest.Must(c.TB, "munmap", arena.Close()) })
		for range processes {
			due := sys.Place(arena, unix.Timespec{})
			pid := c.Child(arena, sys.Nanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, due))
			fd, err := unix.PidfdOpen(pid, 0)
			fdtest.Must(c.TB, "pidfd_open", err)
			c.TB.Cleanup(func() { unix.Close(fd) })
			s.FDs, s.Due = append(s.FDs, fd), append(s.Due, due)
		}
		s.Take = func(a *sys.Arena, epfd, i int) measure.Taking {
			return measure.Taking{Calls: []sys.Call{sys.WaitPidfd(s.FDs[i]), sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, s.FDs[i], nil)}, Value: a.Word(1)}
		}
		return s
	}
}
