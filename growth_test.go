//go:build linux

package eventbench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// How a mechanism's cost grows with its load: more registered descriptors, more
// ready ones, more pending signals, more senders and receivers. go tool
// eventbench growth says how each grows. A size that a limit forbids is
// skipped, naming the limit; the smaller ones run.

var (
	// descriptors is how many descriptors an epoll instance, or a call of
	// poll, has.
	descriptors = []int{1, 10, 100, 1000, 10000, 100000}
	readies     = []int{1, 4, 16, 64, 256, 1024, 4096}
)

// BenchmarkEpollWaitGrowth polls, with timeout 0, an instance with many
// registered eventfds, of which some, spread evenly, are ready.
func BenchmarkEpollWaitGrowth(b *testing.B) {
	pool := newEventfds(b)
	measure.Grow(b, "registered", descriptors, func(b *testing.B, registered int) {
		fds := pool.first(b, registered)
		epfd := fdtest.Epoll(b, fds...)
		measure.Grow(b, "ready", upTo(registered, readies), func(b *testing.B, ready int) {
			measure.Self(b, func(p *peer.Party) measure.Side {
				mustReady(p.TB, fds, ready)
				return measure.Side{Calls: []sys.Call{sys.EpollWait(epfd, sys.EpollEvents(p.Arena, ready), 0, ready)}}
			})
		})
	})
}

// BenchmarkRingWaitGrowth is RingSelf/op=pollmulti with many eventfds that the
// ring polls for good: one is written, the ring tells of it, and it is read.
func BenchmarkRingWaitGrowth(b *testing.B) {
	pool := newEventfds(b)
	measure.Grow(b, "registered", upTo(10000, descriptors), func(b *testing.B, registered int) {
		flags := ringSetups["defer"]
		fdtest.NeedRing(b, flags, sys.RingMultishotPoll)
		fds := pool.first(b, registered)
		measure.Self(b, func(p *peer.Party) measure.Side {
			r := fdtest.Ring(p.TB, ringSize, flags)
			chosen := spread(fds, 1)[0]
			for _, fd := range fds {
				request := sys.PollRequest(fd, true, ringPost)
				if fd == chosen {
					request.Data = ringReceipt
				}
				if err := r.Do(request); err != nil {
					p.TB.Fatal(err)
				}
			}
			one, got := p.Arena.Word(1), p.Arena.Word(0)
			answer := sys.Answer{What: "pollmulti", Data: ringReceipt, Res: unix.POLLIN, More: true}
			return checked(measure.Side{
				Calls: calls([]sys.Call{sys.EventfdWrite(chosen, one)}, r.Await(answer), []sys.Call{sys.EventfdRead(chosen, got)}),
				Sum:   got,
			}, r)
		})
	})
}

// BenchmarkPollGrowth is EpollWaitGrowth with ppoll(2), one of the descriptors
// being ready.
func BenchmarkPollGrowth(b *testing.B) {
	pool := newEventfds(b)
	measure.Grow(b, "registered", descriptors, func(b *testing.B, registered int) {
		fds := pool.first(b, registered)
		measure.Self(b, func(p *peer.Party) measure.Side {
			arena := fdtest.Arena(p.TB)
			polled := sys.PollFds(arena, registered)
			for i, fd := range fds {
				polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			}
			mustReady(p.TB, fds, 1)
			return measure.Side{Calls: []sys.Call{sys.Poll(arena, polled, 1)}}
		})
	})
}

// BenchmarkSelectGrowth is PollGrowth with pselect6(2). It checks every
// descriptor up to the highest, and supports none from 1024 on (FD_SETSIZE).
func BenchmarkSelectGrowth(b *testing.B) {
	pool := newEventfds(b)
	measure.Grow(b, "registered", upTo(1000, descriptors), func(b *testing.B, registered int) {
		fds := pool.first(b, registered)
		if highest := fds[len(fds)-1]; highest >= unix.FD_SETSIZE {
			b.Skipf("limit reached: descriptor %d: select knows those below FD_SETSIZE, %d", highest, unix.FD_SETSIZE)
		}
		measure.Self(b, func(p *peer.Party) measure.Side {
			mustReady(p.TB, fds, 1)
			return measure.Side{Calls: sys.Select(p.Arena, fds, 1)}
		})
	})
}

// BenchmarkEpollCtlGrowth is EpollCtl with many descriptors registered: it
// changes the same registration (op=mod), or makes and removes one more
// (op=adddel), so that the path to it stays in the caches.
func BenchmarkEpollCtlGrowth(b *testing.B) {
	pool := newEventfds(b)
	measure.Grow(b, "registered", descriptors, func(b *testing.B, registered int) {
		fds := pool.first(b, registered)
		epfd := fdtest.Epoll(b, fds...)
		for _, op := range measure.Shuffled(b, "mod", "adddel") {
			b.Run("op="+op, func(b *testing.B) {
				measure.Self(b, func(p *peer.Party) measure.Side {
					if op == "mod" {
						return ctl(p, op, epfd, spread(fds, 1)[0])
					}
					return ctl(p, op, epfd, fdtest.Eventfd(p.TB, 0))
				})
			})
		}
	})
}

// BenchmarkEpollTriggerGrowth posts to each of some eventfds, gets them all
// from one epoll_wait, and does what the trigger requires: level reads each;
// edge does nothing, because the next post is another edge; oneshot reads each
// and rearms it.
func BenchmarkEpollTriggerGrowth(b *testing.B) {
	triggers := map[string]uint32{"level": 0, "edge": unix.EPOLLET, "oneshot": unix.EPOLLONESHOT}
	pool := newEventfds(b)
	for _, trigger := range measure.Shuffled(b, "level", "edge", "oneshot") {
		b.Run("trigger="+trigger, func(b *testing.B) {
			measure.Grow(b, "ready", []int{1, 8, 64, 512}, func(b *testing.B, ready int) {
				fds := pool.first(b, ready)
				measure.Self(b, func(p *peer.Party) measure.Side {
					epfd := fdtest.Epoll(p.TB)
					for _, fd := range fds {
						fdtest.Add(p.TB, epfd, fd, unix.EPOLLIN|triggers[trigger])
					}
					one, got := p.Arena.Word(1), p.Arena.Word(0)
					var post, after []sys.Call
					for _, fd := range fds {
						post = append(post, sys.EventfdWrite(fd, one))
						if trigger != "edge" {
							after = append(after, sys.EventfdRead(fd, got))
						}
						if trigger == "oneshot" {
							again := sys.Place(p.Arena, unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
							after = append(after, sys.EpollCtl(epfd, unix.EPOLL_CTL_MOD, fd, again))
						}
					}
					wait := sys.EpollWait(epfd, sys.EpollEvents(p.Arena, ready), -1, ready)
					return measure.Side{
						Calls: append(append(post, wait), after...),
						Check: func(n int) error {
							if trigger != "edge" {
								n = 0
							}
							for _, fd := range fds {
								if err := holds(fd, uint64(n)); err != nil {
									return err
								}
							}
							return nil
						},
					}
				})
			})
		})
	}
}

// BenchmarkEpollNestGrowth is EpollSelf (op=self) and EpollCtl (op=adddel)
// through nested instances, up to the five that epoll_ctl(2) allows: the
// eventfd is in the innermost, the outermost is waited for.
func BenchmarkEpollNestGrowth(b *testing.B) {
	measure.Grow(b, "depth", []int{1, 2, 3, 4, 5}, func(b *testing.B, depth int) {
		fd := fdtest.Eventfd(b, 0)
		innermost := fdtest.Epoll(b, fd)
		outermost := innermost
		for range depth - 1 {
			outermost = fdtest.Epoll(b, outermost)
		}
		b.Run("op=self", func(b *testing.B) {
			measure.Self(b, func(p *peer.Party) measure.Side {
				one, got := p.Arena.Word(1), p.Arena.Word(0)
				return measure.Side{
					Calls: []sys.Call{
						sys.EventfdWrite(fd, one),
						sys.EpollWait(outermost, sys.EpollEvents(p.Arena, 4), -1, 1),
						sys.EventfdRead(fd, got),
					},
					Sum: got,
				}
			})
		})
		b.Run("op=adddel", func(b *testing.B) {
			measure.Self(b, func(p *peer.Party) measure.Side { return ctl(p, "adddel", innermost, fdtest.Eventfd(p.TB, 0)) })
		})
	})
}

// BenchmarkEpollRegisterGrowth makes an instance, registers many eventfds and
// closes it: an operation is one registration and its removal. bytes/watch and
// bytes/eventfd are the growth of the kernel's slabs for each, from
// slabinfo(5), which only root may read. They include registrations and open
// files with everything that belongs to them, except the descriptor table (8
// bytes and 2 bits for each, doubled when full).
func BenchmarkEpollRegisterGrowth(b *testing.B) {
	type sizes struct{ watch, eventfd float64 }
	measured := make(map[int]sizes)
	measure.Grow(b, "registered", descriptors, func(b *testing.B, registered int) {
		fds := newEventfds(b)
		size, again := measured[registered]
		if !again && registered >= 10000 { // fewer are lost in the noise of other kernel activity
			settleSlabs()
			before := readSlabs()
			fds.first(b, registered)
			made := readSlabs()
			fdtest.Epoll(b, fds.fds...)
			size = sizes{made.growth(readSlabs(), registered), before.growth(made, registered)}
			measured[registered] = size
		}
		all := fds.first(b, registered)
		measure.Bulk(b, registered, func(times int) error {
			for range times {
				if err := register(all); err != nil {
					return err
				}
			}
			return nil
		})
		if size.watch > 0 {
			b.ReportMetric(size.watch, "bytes/watch")
			b.ReportMetric(size.eventfd, "bytes/eventfd")
		}
	})
}

// register makes an epoll instance with fds and closes it.
func register(fds []int) error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer unix.Close(epfd)
	for _, fd := range fds {
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	return nil
}

// BenchmarkEventfdThroughputGrowth is EventfdThroughput in semaphore mode with
// an increasing number of threads that write, read, or both.
func BenchmarkEventfdThroughputGrowth(b *testing.B) {
	parties := []int{1, 2, 4, 8, 16}
	measure.Grow(b, "senders", parties, func(b *testing.B, senders int) {
		measure.Grow(b, "receivers", parties, func(b *testing.B, receivers int) {
			measure.Crowd(b, senders, receivers, func(c *peer.Crew) measure.Flow {
				fd := fdtest.Eventfd(c.TB, unix.EFD_SEMAPHORE)
				one := c.Arena.Word(1)
				return measure.Flow{
					Send:    []sys.Call{sys.EventfdWrite(fd, one)},
					Receive: func() []sys.Call { return []sys.Call{sys.EventfdRead(fd, c.Arena.Word(0))} },
					Left:    func() error { return holds(fd, 0) },
				}
			})
		})
	})
}

// BenchmarkSignalQueueGrowth queues a real-time signal to its own thread and
// takes it while others are pending: with the same number (numbers=one), where
// the oldest is taken, or with twenty higher numbers (numbers=many), where the
// kernel has to search the queue for it. RLIMIT_SIGPENDING limits the pending
// signals of all the user's processes together.
func BenchmarkSignalQueueGrowth(b *testing.B) {
	for _, numbers := range measure.Shuffled(b, "one", "many") {
		b.Run("numbers="+numbers, func(b *testing.B) {
			measure.Grow(b, "depth", []int{1, 10, 100, 1000, 10000, 20000, 50000, 100000}, func(b *testing.B, depth int) {
				mustQueueRoom(b, depth)
				measure.Self(b, func(p *peer.Party) measure.Side {
					pending := []unix.Signal{rtSignal}
					if numbers == "many" {
						pending = nil
						for i := range 20 {
							pending = append(pending, rtSignal+1+unix.Signal(i))
						}
					}
					mustPend(p.TB, p.TID, depth, pending)
					info := sys.Place(p.Arena, sys.Siginfo{})
					rt := class{queued: true}
					return measure.Side{
						Calls: []sys.Call{
							rt.post(p.Arena, unix.Getpid(), p.TID, rtSignal),
							sys.Sigwait(sys.Place(p.Arena, sys.Sigs(rtSignal)), info, rtSignal),
						},
						Sum: &info.Value,
					}
				})
			})
		})
	}
}

// mustPend queues depth of the signals sigs to this thread, which blocks them.
// When the benchmark is over it takes them and checks their number. All signals
// of a number are queued together: the kernel searches for the next of a number
// from the start of the queue (collect_signal in kernel/signal.c), and taking
// 50,000 interleaved ones took 10 s.
func mustPend(tb testing.TB, tid, depth int, sigs []unix.Signal) {
	tb.Helper()
	if _, err := rawsig.Take(sys.Sigs(sigs...)); err != unix.EAGAIN { // or they could not be taken back
		fdtest.Must(tb, "rt_sigtimedwait with none pending", err)
	}
	queued := 0
	tb.Cleanup(func() {
		for taken := 0; taken < queued; taken++ {
			if _, err := rawsig.Take(sys.Sigs(sigs...)); err != nil {
				tb.Errorf("%d signals were left pending, %d are: rt_sigtimedwait: %v", queued, taken, err)
				return
			}
		}
		if _, err := rawsig.Take(sys.Sigs(sigs...)); err != unix.EAGAIN {
			tb.Errorf("more than %d signals are pending (rt_sigtimedwait: %v)", queued, err)
		}
	})
	info := rawsig.Value(1)
	for ; queued < depth; queued++ {
		err := rawsig.Tgqueue(unix.Getpid(), tid, sigs[queued*len(sigs)/depth], info)
		if err == unix.EAGAIN {
			tb.Fatalf("limit reached: %d signals pending, and there was room for %d before: do other processes of this user queue signals?", queued, depth)
		}
		fdtest.Must(tb, "rt_tgsigqueueinfo", err)
	}
}

// eventfds is a growing set of eventfds that a family of benchmarks shares.
type eventfds struct{ fds []int }

// newEventfds returns an empty set. Its eventfds are closed at the end of b,
// which should be the family.
func newEventfds(b *testing.B) *eventfds {
	e := &eventfds{}
	b.Cleanup(func() {
		for _, fd := range e.fds {
			unix.Close(fd)
		}
	})
	return e
}

// first returns the first n eventfds, the same ones each time. It skips tb if
// RLIMIT_NOFILE does not allow so many and some to spare.
func (e *eventfds) first(tb testing.TB, n int) []int {
	tb.Helper()
	const spare = 64
	fdtest.Allow(tb, unix.RLIMIT_NOFILE, "RLIMIT_NOFILE (ulimit -n)", max(n, len(e.fds))+spare)
	for len(e.fds) < n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		fdtest.Must(tb, "eventfd2", err)
		e.fds = append(e.fds, fd)
	}
	return e.fds[:n]
}

// mustQueueRoom skips tb unless n signals can be queued, and some to spare: the
// deadline's timer takes a place in the queue, and so does each SIGURG that the
// Go runtime sends to a thread that blocks it. All processes of a user share
// the queue; SigQ in proc_pid_status(5) shows how much of it they use.
func mustQueueRoom(tb testing.TB, n int) {
	tb.Helper()
	const spare = 8
	fdtest.Allow(tb, unix.RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING (ulimit -i)", n+spare)
	status, err := os.ReadFile("/proc/self/status")
	fdtest.Must(tb, "open", err)
	_, line, ok := strings.Cut(string(status), "\nSigQ:")
	var used, limit int
	if _, err := fmt.Sscanf(line, "%d/%d", &used, &limit); ok && err == nil && limit-used < n+spare { // gVisor does not tell
		tb.Skipf("limit reached: room for %d signals is needed, %d of %d are queued: raise RLIMIT_SIGPENDING (ulimit -i)", n+spare, used, limit)
	}
}

// mustReady makes n of fds, spread evenly, readable until tb is over.
func mustReady(tb testing.TB, fds []int, n int) {
	tb.Helper()
	for _, fd := range spread(fds, n) {
		fdtest.Post(tb, fd)
		tb.Cleanup(func() { mustReadEventfd(tb, fd) })
	}
}

// spread returns n of fds, evenly spread.
func spread(fds []int, n int) []int {
	some := make([]int, n)
	for i := range some {
		some[i] = fds[(2*i+1)*len(fds)/(2*n)]
	}
	return some
}

// upTo returns those of sizes that are not above limit.
func upTo(limit int, sizes []int) []int {
	return slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n > limit })
}

// holds reads an eventfd, whose counter must be want.
func holds(fd int, want uint64) error {
	ready, err := poll(fd, unix.POLLIN, 0)
	got := uint64(0)
	if err == nil && ready != 0 {
		got, err = eventfdRead(fd)
	}
	if err == nil && got != want {
		err = fmt.Errorf("eventfd %d holds %d events, want %d", fd, got, want)
	}
	return err
}

// slabs are the kernel's slab caches by name, or empty if /proc/slabinfo may
// not be read.
type slabs map[string]slab

type slab struct{ objects, bytes int }

// readSlabs reads /proc/slabinfo, slabinfo(5). Caches of like objects are
// merged under one name.
func readSlabs() slabs {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return nil
	}
	s := make(slabs)
	for line := range strings.Lines(string(text)) {
		// name active_objs num_objs objsize objperslab pagesperslab :
		// tunables limit batchcount sharedfactor : slabdata
		// active_slabs num_slabs sharedavail
		f := strings.Fields(line)
		if len(f) < 16 || f[0] == "#" {
			continue
		}
		objects, err1 := strconv.Atoi(f[2])
		pages, err2 := strconv.Atoi(f[5])
		number, err3 := strconv.Atoi(f[14])
		if err1 == nil && err2 == nil && err3 == nil {
			s[f[0]] = slab{objects, number * pages * os.Getpagesize()}
		}
	}
	return s
}

// growth returns by how many bytes for each of n objects the slabs have grown
// until after. A cache with less than half an object more for each has grown
// for other reasons.
func (s slabs) growth(after slabs, n int) float64 {
	bytes := 0
	for name, now := range after {
		if before := s[name]; now.objects-before.objects >= n/2 {
			bytes += now.bytes - before.bytes
		}
	}
	return float64(bytes) / float64(n)
}

// settleSlabs waits until the kernel has freed what was released before, which
// it delays (RCU).
func settleSlabs() {
	total := func() (bytes int) {
		for _, s := range readSlabs() {
			bytes += s.bytes
		}
		return bytes
	}
	for last, end := -1, time.Now().Add(3*time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now := total()
		if last >= 0 && now >= last-now/1000 {
			return
		}
		last = now
	}
}
