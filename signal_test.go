//go:build linux

package eventbench

import (
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A class of signals, and which of it benchmarks send: to the peer, from the
// peer, and as the mark at the end of a stream. The mark has the highest number, so
// that the kernel delivers it after all others.
type class struct {
	name             string
	ping, pong, mark unix.Signal
	queued           bool // sent with a value, one by one; else merged while pending
}

var classes = []class{
	{"std", unix.SIGUSR1, unix.SIGUSR2, unix.SIGUSR2, false},
	{"rt", 40, 41, 42, true},
}

// BenchmarkSignalSelf sends a signal to its own thread and receives it.
func BenchmarkSignalSelf(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.Self(b, func(p *peer.Party) measure.Side {
			post := c.post(p.Arena, unix.Getpid(), p.TID, c.ping)
			if via == "handler" {
				// Not blocked, the signal is handled on the way out of the call that sends it.
				runs := mustHandle(p.TB, c.ping)
				p.Unblock(c.ping)
				return measure.Side{Calls: []sys.Call{post}, Count: runs}
			}
			side := c.receive(p, via, c.ping)
			side.Calls = append([]sys.Call{post}, side.Calls...)
			return side
		})
	})
}

// BenchmarkSignalRoundTrip answers one signal with another. Both are sent to
// a thread (tgkill, rt_tgsigqueueinfo): sent to a process with more than
// one thread, a signal may go to any that does not block it.
func BenchmarkSignalRoundTrip(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
			here = c.receive(p.Party, via, c.pong)
			there = c.receive(p.Party, via, c.ping)
			p.Start()
			here.Calls = append([]sys.Call{c.post(p.Arena, p.PeerPID, p.PeerTID, c.ping)}, here.Calls...)
			there.Calls = append(there.Calls, c.post(p.Arena, unix.Getpid(), p.TID, c.pong))
			return here, there
		})
	})
}

// BenchmarkSignalThroughput is the source's stream of signals, with an end that
// is reached: a mark follows the last one. Standard signals merge while pending:
// delivered/op says how many of those sent were seen. Real-time signals queue until
// RLIMIT_SIGPENDING, then the sender is refused: sent/op.
func BenchmarkSignalThroughput(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
			s := c.stream(p.Party, via)
			p.Start()
			post := c.post(p.Arena, unix.Getpid(), p.TID, c.ping)
			if c.queued {
				post.Refused = unix.EAGAIN
			}
			s.Send = []sys.Call{post}
			s.Last = []sys.Call{sys.Insist(p.Arena, sys.Tgkill(unix.Getpid(), p.TID, c.mark))}
			// Each side counts what it received: the mark is no event.
			if via != "handler" {
				s.Told = func() uint64 { return uint64(p.Here.Done) - 1 }
			}
			return s
		})
	})
}

// BenchmarkOSSignalSelf sends a signal to the process and receives it as Go programs
// do: from the channel of os/signal.Notify.
func BenchmarkOSSignalSelf(b *testing.B) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			received := mustNotify(b, c.ping)
			measure.Loop(b, func(n int) error {
				for i := range n {
					if err := unix.Kill(unix.Getpid(), c.ping); err != nil {
						return fmt.Errorf("kill: %w", err)
					}
					select {
					case <-received:
					case <-time.After(peer.Deadline):
						return fmt.Errorf("os/signal delivered %d of %d signals, then none for %v", i, i+1, peer.Deadline)
					}
				}
				return nil
			})
		})
	}
}

// BenchmarkOSSignalThroughput is SignalThroughput received through os/signal. It keeps
// one bit for each signal number, so that real-time signals merge as well.
func BenchmarkOSSignalThroughput(b *testing.B) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				received := mustNotify(p.TB, c.ping, c.mark)
				var told uint64
				p.Start()
				return &measure.Stream{
					Send: []sys.Call{sys.Kill(unix.Getpid(), c.ping)},
					Last: []sys.Call{sys.Kill(unix.Getpid(), c.mark)},
					Take: func() error {
						for {
							select {
							case sig := <-received:
								if sig == c.mark {
									return nil
								}
								told++
							case <-time.After(peer.Deadline):
								return fmt.Errorf("os/signal delivered %d signals, then none for %v", told, peer.Deadline)
							}
						}
					},
					Told: func() uint64 {
						// Another thread may have taken the last ones before the mark
						// and be about to hand them over.
						for {
							select {
							case <-received:
								told++
							case <-time.After(time.Millisecond):
								return told
							}
						}
					},
					Lossy: true,
				}
			})
		})
	}
}

// eachSignal runs f for both classes of signals and each way to receive them.
func eachSignal(b *testing.B, f func(b *testing.B, c class, via string)) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			for _, via := range measure.Shuffled(b, "sigtimedwait", "signalfd", "handler") {
				b.Run("via="+via, func(b *testing.B) { f(b, c, via) })
			}
		})
	}
}

// post sends sig to a thread: with a value of 1 where signals of the class are queued.
func (c class) post(a *sys.Arena, pid, tid int, sig unix.Signal) sys.Call {
	if !c.queued {
		return sys.Tgkill(pid, tid, sig)
	}
	info := sys.Place(a, sys.Siginfo{Signo: int32(sig), Code: sys.SIQueue, Pid: int32(unix.Getpid()), Value: 1})
	return sys.Tgsigqueue(pid, tid, sig, info)
}

// receive waits for sig, which is blocked, and takes it.
func (c class) receive(p *peer.Party, via string, sig unix.Signal) measure.Side {
	var s measure.Side
	switch via {
	case "sigtimedwait":
		info := sys.Place(p.Arena, sys.Siginfo{})
		s.Calls = []sys.Call{sys.Sigwait(sys.Place(p.Arena, sys.Sigs(sig)), info, sig)}
		s.Sum = &info.Value
	case "signalfd":
		info := sys.Place(p.Arena, unix.SignalfdSiginfo{})
		s.Calls = []sys.Call{sys.SignalfdRead(mustSignalfd(p.TB, sig), info)}
		s.Sum = &info.Ptr
	case "handler":
		runs := mustHandle(p.TB, sig)
		return measure.Side{
			Calls: []sys.Call{sys.SigsuspendUntilRun(sys.Place(p.Arena, peer.AllBut(sig)), runs)},
			Sum:   runs,
		}
	}
	if !c.queued {
		s.Sum = nil // no value comes with it: the call's result is the account
	}
	return s
}

// stream takes signals until the mark comes.
func (c class) stream(p *peer.Party, via string) *measure.Stream {
	s := &measure.Stream{Lossy: !c.queued, Limit: uint64(c.mark)}
	switch via {
	case "sigtimedwait":
		info := sys.Place(p.Arena, sys.Siginfo{})
		wait := sys.Sigwait(sys.Place(p.Arena, sys.Sigs(c.ping, c.mark)), info, c.ping)
		wait.AnyCount = true
		s.Receive = measure.Side{Calls: []sys.Call{wait}, Sum: &info.Value}
		s.Until = (*uint64)(unsafe.Pointer(info)) // si_signo, and si_errno, which is 0
	case "signalfd":
		info := sys.Place(p.Arena, unix.SignalfdSiginfo{})
		s.Receive = measure.Side{
			Calls: []sys.Call{sys.SignalfdRead(mustSignalfd(p.TB, c.ping, c.mark), info)},
			Sum:   &info.Ptr,
		}
		s.Until = (*uint64)(unsafe.Pointer(info)) // ssi_signo, and ssi_errno, which is 0
	case "handler":
		runs := mustHandle(p.TB, c.ping)
		s.Receive = measure.Side{Calls: []sys.Call{sys.Sigsuspend(sys.Place(p.Arena, peer.AllBut(c.ping, c.mark)))}}
		s.Until, s.Limit = mustHandle(p.TB, c.mark), 1
		s.Told = func() uint64 { return *runs }
	}
	if !c.queued {
		s.Receive.Sum = nil
	}
	return s
}

// mustHandle installs the counting handler for sig until the benchmark ends.
func mustHandle(tb testing.TB, sig unix.Signal) (runs *uint64) {
	tb.Helper()
	runs, restore, err := sys.Handle(sig)
	peer.SkipOrFatal(tb, err)
	tb.Cleanup(func() {
		if err := restore(); err != nil {
			tb.Error(err)
		}
	})
	return runs
}

// mustNotify relays sigs to the channel until the benchmark ends.
func mustNotify(tb testing.TB, sigs ...os.Signal) <-chan os.Signal {
	tb.Helper()
	c := make(chan os.Signal, 1024)
	signal.Notify(c, sigs...)
	tb.Cleanup(func() { signal.Stop(c) })
	return c
}
