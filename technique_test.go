//go:build linux

package eventbench

import (
	"fmt"
	"os"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Techniques that are said to make real-time event handling fast, each as a
// pair: the same work with technique=off and technique=on. The latencies show
// what a technique gains, cpu-ns/op what it costs:
//
//	benchstat -col /technique -filter '.name:/Technique$/' results/latest

// BenchmarkPinTechnique pins both parties of a round trip to one CPU, instead
// of leaving them to the scheduler.
func BenchmarkPinTechnique(b *testing.B) {
	place := func(on bool) measure.Placed {
		if on {
			return measure.Same
		}
		return measure.Free
	}
	measure.Technique(b, place, func(p *peer.Pair, _ bool) measure.Work { return pingPong(p, 0, nil) })
}

// BenchmarkFIFOTechnique makes a round trip beside a process that keeps the
// same CPU busy, at the same priority, and with both parties SCHED_FIFO, which
// do not wait for it (sched(7)), with one exception: the kernel keeps 50 ms of
// each second for others (sched_rt_runtime_us; since Linux 6.12 what it calls
// the fair server). Parties that keep a CPU busy for the other 950 ms then
// stand still for 50 ms: in runs beyond a second, as with -benchtime 3s, max is
// about 50 ms.
func BenchmarkFIFOTechnique(b *testing.B) {
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		w := pingPong(p, 0, nil)
		w.Busy, w.RealTime = true, on
		return w
	})
}

// BenchmarkMlockTechnique receives each event into a page that has just been
// mapped. With technique=off the kernel allocates its memory at the first
// touch, between the event and its handling; after mlockall(2) with MCL_FUTURE
// it did so when the page was mapped. The latency is that of the event.
func BenchmarkMlockTechnique(b *testing.B) {
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		fd := fdtest.Eventfd(p.TB, 0)
		page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		fdtest.Must(p.TB, "mmap", err)
		p.TB.Cleanup(func() { unix.Munmap(page) })
		if on {
			mustLock(p.TB)
			p.TB.Cleanup(func() {
				if err := unix.Munlockall(); err != nil {
					p.TB.Errorf("munlockall: %v", err)
				}
			})
		}
		from, to := p.Arena.Words(measure.StampRing), p.Arena.Words(measure.StampRing)
		got := (*uint64)(unsafe.Pointer(&page[0]))
		return measure.Work{
			Here: measure.Side{
				Calls: []sys.Call{
					sys.Remap(page), sys.Stamp(from), sys.EventfdWrite(fd, p.Arena.Word(1)), sys.EventfdRead(fd, got), sys.Stamp(to),
				},
				Sum: got,
			},
			From: from, To: to,
		}
	})
}

// BenchmarkSlackTechnique sleeps for 100 µs with the default timer slack of
// threads, 50 µs, and with the least possible (PR_SET_TIMERSLACK, prctl(2)).
func BenchmarkSlackTechnique(b *testing.B) {
	measure.SkipCounted(b, measure.ClockJumps)
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		pause := sys.Place(p.Arena, unix.NsecToTimespec(int64(100*time.Microsecond)))
		return measure.Work{
			Here:    measure.Side{Calls: []sys.Call{sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, pause)}},
			NoSlack: on, Sleeps: true,
		}
	})
}

// BenchmarkSpinTechnique makes a round trip across two CPUs with both parties
// polling a non-blocking eventfd, instead of sleeping in a read.
func BenchmarkSpinTechnique(b *testing.B) {
	measure.SkipCounted(b, measure.TurnsTaken)
	measure.Technique(b, always(measure.Cross), func(p *peer.Pair, on bool) measure.Work {
		if !on {
			return pingPong(p, 0, nil)
		}
		return pingPong(p, unix.EFD_NONBLOCK, func(read sys.Call, _ *uint32) []sys.Call {
			return []sys.Call{sys.Insist(p.Arena, read)}
		})
	})
}

// BenchmarkBoundedSpinTechnique makes a round trip across two CPUs in which a
// party spins on a word in memory, which the other sets, for 50 µs at most
// before it sleeps in a read. So a quick answer needs no wake-up, and a slow
// one costs at most that much CPU time, about as much as going to sleep and
// being woken.
func BenchmarkBoundedSpinTechnique(b *testing.B) {
	measure.SkipCounted(b, measure.TurnsTaken)
	measure.Technique(b, always(measure.Cross), func(p *peer.Pair, on bool) measure.Work {
		return pingPong(p, 0, func(read sys.Call, posted *uint32) []sys.Call {
			if !on {
				return []sys.Call{read}
			}
			return []sys.Call{sys.SpinWhile(posted, 0, measure.Ticks(50*time.Microsecond)), read}
		})
	})
}

// BenchmarkBusyPollTechnique makes a round trip across two CPUs with both
// parties calling epoll_wait with a timeout of 0 until there is an event,
// instead of sleeping in it.
func BenchmarkBusyPollTechnique(b *testing.B) {
	measure.SkipCounted(b, measure.TurnsTaken)
	measure.Technique(b, always(measure.Cross), func(p *peer.Pair, on bool) measure.Work {
		return pingPong(p, 0, func(read sys.Call, _ *uint32) []sys.Call {
			epfd, events := fdtest.Epoll(p.TB, int(read.Args[0])), sys.EpollEvents(p.Arena, 1)
			if on {
				return []sys.Call{sys.EpollSpin(p.Arena, epfd, events), read}
			}
			return []sys.Call{sys.EpollWait(epfd, events, -1, 1), read}
		})
	})
}

// burst is how many events come at once for a technique that takes them at
// once.
const burst = 16

// BenchmarkBatchTechnique takes 16 queued signals from a signalfd by a read of
// each, and by one read for all. An operation is 16 events.
func BenchmarkBatchTechnique(b *testing.B) {
	const sig = unix.Signal(50)
	mustQueueRoom(b, burst)
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		fd := fdtest.Signalfd(p.TB, sig)
		info := sys.Place(p.Arena, sys.Siginfo{Signo: int32(sig), Code: sys.SIQueue})
		var calls []sys.Call
		for range burst {
			calls = append(calls, sys.Tgsigqueue(unix.Getpid(), p.TID, sig, info))
		}
		all := sys.Place(p.Arena, [burst]unix.SignalfdSiginfo{})
		if on {
			calls = append(calls, sys.Read("signalfd", fd, all, burst*sys.SignalfdInfoSize))
		} else {
			for i := range all {
				calls = append(calls, sys.SignalfdRead(fd, &all[i]))
			}
		}
		return measure.Work{Here: measure.Side{Calls: calls}}
	})
}

// BenchmarkCounterTechnique takes 16 events from an eventfd by a read of each
// (EFD_SEMAPHORE), and as a counter by one read for all. An operation is 16
// events.
func BenchmarkCounterTechnique(b *testing.B) {
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		// A semaphore's reads take 1 each. The last one of an iteration
		// is summed; the others are accounted for by the counter's
		// being 0 after it.
		fd, reads, each := fdtest.Eventfd(p.TB, unix.EFD_SEMAPHORE), burst, 1
		if on {
			fd, reads, each = fdtest.Eventfd(p.TB, 0), 1, burst
		}
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		var calls []sys.Call
		for range burst {
			calls = append(calls, sys.EventfdWrite(fd, one))
		}
		for range reads {
			calls = append(calls, sys.EventfdRead(fd, got))
		}
		return measure.Work{Here: measure.Side{
			Calls: calls, Sum: got, Each: uint64(each), Check: func(int) error { return holds(fd, 0) },
		}}
	})
}

// BenchmarkEdgeTechnique waits for events of an eventfd by epoll,
// level-triggered, which requires a read, and with EPOLLET, which does not:
// what was written stays and adds up.
func BenchmarkEdgeTechnique(b *testing.B) {
	measure.Technique(b, always(measure.Same), func(p *peer.Pair, on bool) measure.Work {
		fd := fdtest.Eventfd(p.TB, 0)
		epfd, bits := fdtest.Epoll(p.TB), uint32(unix.EPOLLIN)
		if on {
			bits |= unix.EPOLLET
		}
		fdtest.Add(p.TB, epfd, fd, bits)
		got := p.Arena.Word(0)
		side := measure.Side{Calls: []sys.Call{
			sys.EventfdWrite(fd, p.Arena.Word(1)), sys.EpollWait(epfd, sys.EpollEvents(p.Arena, 1), -1, 1),
		}}
		if on {
			side.Check = func(n int) error {
				_, err := unix.Read(fd, unsafe.Slice((*byte)(unsafe.Pointer(got)), 8))
				if err != nil {
					return err
				}
				return wantWord(got, n)
			}
		} else {
			side.Calls, side.Sum = append(side.Calls, sys.EventfdRead(fd, got)), got
		}
		return measure.Work{Here: side}
	})
}

// always is the placement of both parties of a technique that is not about
// placement.
func always(where measure.Placed) func(bool) measure.Placed {
	return func(bool) measure.Placed { return where }
}

// pingPong is a round trip by two eventfds. receive, if set, returns how a side
// reads: posted is a word that the other side sets after it has written, and
// this side clears before it writes.
func pingPong(p *peer.Pair, flags int, receive func(read sys.Call, posted *uint32) []sys.Call) measure.Work {
	if receive == nil {
		receive = func(read sys.Call, _ *uint32) []sys.Call { return []sys.Call{read} }
	}
	ping, pong := fdtest.Eventfd(p.TB, flags), fdtest.Eventfd(p.TB, flags)
	pinged, ponged, one := p.Arena.Word32(0), p.Arena.Word32(0), p.Arena.Word(1)
	post := func(fd int, posted, awaited *uint32) []sys.Call {
		return []sys.Call{sys.Store(p.Arena, awaited, 0), sys.EventfdWrite(fd, one), sys.Store(p.Arena, posted, 1)}
	}
	got, gotThere := p.Arena.Word(0), p.Arena.Word(0)
	here := append(post(ping, pinged, ponged), receive(sys.EventfdRead(pong, got), ponged)...)
	there := append(receive(sys.EventfdRead(ping, gotThere), pinged), post(pong, ponged, pinged)...)
	p.Start()
	return measure.Work{Here: measure.Side{Calls: here, Sum: got}, There: measure.Side{Calls: there, Sum: gotThere}}
}

// wantWord checks a word that the kernel has written.
func wantWord(word *uint64, want int) error {
	if *word != uint64(want) {
		return fmt.Errorf("read %d, want %d", *word, want)
	}
	return nil
}

// mustLock locks all memory that is mapped from now on. It skips the test if
// that would leave none for the Go runtime, which may map some at any time.
func mustLock(tb testing.TB) {
	tb.Helper()
	fdtest.Must(tb, "munlockall", unix.Munlockall()) // or it could not be undone
	var limit unix.Rlimit
	fdtest.Must(tb, "getrlimit", unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit))
	if os.Geteuid() != 0 && limit.Cur < 1<<30 {
		tb.Skipf("%d bytes may be locked: raise RLIMIT_MEMLOCK to 1 GiB at least (ulimit -l)", limit.Cur)
	}
	fdtest.Must(tb, "mlockall", unix.Mlockall(unix.MCL_FUTURE))
}
