//go:build linux

package eventbench

import (
	"runtime"
	"testing"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Baselines for the mechanisms: a system call that does next to nothing, and
// the older means of signalling an event.

// BenchmarkNullGetppid makes the cheapest call that does something.
func BenchmarkNullGetppid(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		return measure.Side{Calls: []sys.Call{sys.Getppid()}}
	})
}

// BenchmarkNullNoSuchCall enters the kernel and leaves it.
func BenchmarkNullNoSuchCall(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		return measure.Side{Calls: []sys.Call{sys.NoSuchCall()}}
	})
}

// BenchmarkPipeCreate makes a pipe and closes both ends.
func BenchmarkPipeCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fds := sys.Place(p.Arena, [2]int32{-1, -1})
		return measure.Side{Calls: []sys.Call{
			sys.PipeCreate(unix.O_CLOEXEC, fds), sys.Close(&fds[0]), sys.Close(&fds[1]),
		}}
	})
}

// BenchmarkPipeSelf writes 8 bytes and reads them back.
func BenchmarkPipeSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		r, w := fdtest.Pipe(p.TB)
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{sys.PipeWrite(w, one), sys.PipeRead(r, got)},
			Sum:   got,
		}
	})
}

// BenchmarkPipeEmpty reads a non-blocking pipe that has no bytes.
func BenchmarkPipeEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		r, _ := fdtest.Pipe(p.TB)
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.PipeRead(fdtest.NonBlocking(p.TB, r), p.Arena.Word(0)))}}
	})
}

// BenchmarkPipeRoundTrip answers 8 bytes through one pipe with 8 through
// another.
func BenchmarkPipeRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		pingR, pingW := fdtest.Pipe(p.TB)
		pongR, pongW := fdtest.Pipe(p.TB)
		p.Start()
		one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
		return measure.Side{
				Calls: []sys.Call{sys.PipeWrite(pingW, one), sys.PipeRead(pongR, got)},
				Sum:   got,
			}, measure.Side{
				Calls: []sys.Call{sys.PipeRead(pingR, gotThere), sys.PipeWrite(pongW, one)},
				Sum:   gotThere,
			}
	})
}

// BenchmarkPipeThroughput streams 8 bytes for each event; a full pipe blocks
// the sender.
func BenchmarkPipeThroughput(b *testing.B) {
	measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
		r, w := fdtest.Pipe(p.TB)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return &measure.Stream{
			Send:    []sys.Call{sys.PipeWrite(w, one)},
			Receive: measure.Side{Calls: []sys.Call{sys.PipeRead(r, got)}, Sum: got},
		}
	})
}

// BenchmarkPipeOneWay writes 8 bytes to a pipe that the receiver reads.
func BenchmarkPipeOneWay(b *testing.B) {
	measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way {
		r, w := fdtest.Pipe(p.TB)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Way{
			Post:    []sys.Call{sys.PipeWrite(w, one)},
			Receive: measure.Side{Calls: []sys.Call{sys.PipeRead(r, got)}, Sum: got},
		}
	}, true)
}

// BenchmarkSocketpairCreate makes a pair of unix sockets and closes both.
func BenchmarkSocketpairCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fds := sys.Place(p.Arena, [2]int32{-1, -1})
		return measure.Side{Calls: []sys.Call{
			sys.SocketpairCreate(fds), sys.Close(&fds[0]), sys.Close(&fds[1]),
		}}
	})
}

// BenchmarkSocketpairSelf writes 8 bytes to one socket and reads them from the
// other.
func BenchmarkSocketpairSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		s := fdtest.Socketpair(p.TB)
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{sys.SocketWrite(s[0], one), sys.SocketRead(s[1], got)},
			Sum:   got,
		}
	})
}

// BenchmarkSocketpairEmpty reads a non-blocking socket that has no bytes.
func BenchmarkSocketpairEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.NonBlocking(p.TB, fdtest.Socketpair(p.TB)[1])
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.SocketRead(fd, p.Arena.Word(0)))}}
	})
}

// BenchmarkSocketpairRoundTrip answers 8 bytes with 8 over one pair of sockets.
func BenchmarkSocketpairRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		s := fdtest.Socketpair(p.TB)
		p.Start()
		one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
		return measure.Side{
				Calls: []sys.Call{sys.SocketWrite(s[0], one), sys.SocketRead(s[0], got)},
				Sum:   got,
			}, measure.Side{
				Calls: []sys.Call{sys.SocketRead(s[1], gotThere), sys.SocketWrite(s[1], one)},
				Sum:   gotThere,
			}
	})
}

// BenchmarkSocketpairThroughput streams 8 bytes for each event; full buffers
// block the sender.
func BenchmarkSocketpairThroughput(b *testing.B) {
	measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
		s := fdtest.Socketpair(p.TB)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return &measure.Stream{
			Send:    []sys.Call{sys.SocketWrite(s[0], one)},
			Receive: measure.Side{Calls: []sys.Call{sys.SocketRead(s[1], got)}, Sum: got},
		}
	})
}

// BenchmarkSocketpairOneWay writes 8 bytes to a socket whose other end the
// receiver reads.
func BenchmarkSocketpairOneWay(b *testing.B) {
	measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way {
		s := fdtest.Socketpair(p.TB)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Way{
			Post:    []sys.Call{sys.SocketWrite(s[0], one)},
			Receive: measure.Side{Calls: []sys.Call{sys.SocketRead(s[1], got)}, Sum: got},
		}
	}, true)
}

// Futexes are private (FUTEX_PRIVATE_FLAG), as a C library's are, if only
// threads of one process use them. With peer=process they are shared, which
// costs more: see sys.Private.

// BenchmarkFutexSelf wakes a private futex nobody waits for.
func BenchmarkFutexSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		return measure.Side{Calls: []sys.Call{sys.Private(sys.FutexWake(p.Arena.Word32(0)))}}
	})
}

// BenchmarkFutexRoundTrip passes a turn to the peer and back: a word in shared
// memory, and a wake-up for the side that sleeps on it. The futex is private
// with peer=thread. A futex carries no count, so there is no Throughput.
func BenchmarkFutexRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		const ours, theirs = 0, 1
		turn := p.Arena.Word32(ours)
		p.Start()
		return measure.Side{
				Calls: among(p.Kind, sys.FutexSet(turn, theirs), sys.FutexWaitWhile(turn, theirs)),
			}, measure.Side{
				Calls: among(p.Kind, sys.FutexWaitWhile(turn, ours), sys.FutexSet(turn, ours)),
			}
	})
}

// BenchmarkFutexOneWay passes the turn to a receiver that sleeps until it
// comes. The futex is private with peer=thread.
func BenchmarkFutexOneWay(b *testing.B) {
	measure.OneWay(b, func(p *peer.Pair, turn *uint32) measure.Way {
		p.Start()
		return measure.Way{
			Post:    among(p.Kind, sys.FutexSet(turn, measure.TurnSender)),
			Receive: measure.Side{Calls: among(p.Kind, sys.FutexWaitWhile(turn, measure.TurnReceiver))},
		}
	}, false)
}

// among makes a futex's calls private if this thread and its peers are in one
// process.
func among(kind peer.Kind, futexes ...sys.Call) []sys.Call {
	if kind == peer.Thread {
		for i, c := range futexes {
			futexes[i] = sys.Private(c)
		}
	}
	return futexes
}

// BenchmarkHarness measures what the harness itself adds to an eventfd's write
// and read: account=on sums the values received, record=on reads the time-stamp
// counter after each and keeps a histogram. EventfdSelf is
// account=on/record=off, a RoundTrip has both on.
func BenchmarkHarness(b *testing.B) {
	for _, account := range measure.Shuffled(b, "off", "on") {
		b.Run("account="+account, func(b *testing.B) {
			for _, record := range measure.Shuffled(b, "off", "on") {
				b.Run("record="+record, func(b *testing.B) {
					measure.Overhead(b, record == "on", func(p *peer.Party) measure.Side {
						fd := fdtest.Eventfd(p.TB, 0)
						one, got := p.Arena.Word(1), p.Arena.Word(0)
						side := measure.Side{Calls: []sys.Call{sys.EventfdWrite(fd, one), sys.EventfdRead(fd, got)}}
						if account == "on" {
							side.Sum = got
						}
						return side
					})
				})
			}
		})
	}
}

// BenchmarkHarnessStamp measures the cost of the stamp before each event of a
// OneWay.
func BenchmarkHarnessStamp(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		return measure.Side{Calls: []sys.Call{sys.Stamp(p.Arena.Words(1024))}}
	})
}

func init() {
	// A benchmark's thread ends with it. It must not be the first thread,
	// because signals to the process go to that before all others.
	runtime.LockOSThread()
}
