//go:build linux

package eventbench

import (
	"os"
	"testing"

	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// BenchmarkEventfdCreate makes an eventfd and closes it.
func BenchmarkEventfdCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		return measure.Side{Calls: []sys.Call{sys.EventfdCreate(unix.EFD_CLOEXEC, fd), sys.Close(fd)}}
	})
}

// BenchmarkEventfdSelf writes 1 and reads it back.
func BenchmarkEventfdSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := mustEventfd(p.TB, 0)
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{sys.EventfdWrite(fd, one), sys.EventfdRead(fd, got)},
			Sum:   got,
		}
	})
}

// BenchmarkEventfdRoundTrip answers each write to one eventfd with a write to another.
func BenchmarkEventfdRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		ping, pong := mustEventfd(p.TB, 0), mustEventfd(p.TB, 0)
		p.Start()
		one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
		return measure.Side{
				Calls: []sys.Call{sys.EventfdWrite(ping, one), sys.EventfdRead(pong, got)},
				Sum:   got,
			}, measure.Side{
				Calls: []sys.Call{sys.EventfdRead(ping, gotThere), sys.EventfdWrite(pong, one)},
				Sum:   gotThere,
			}
	})
}

// BenchmarkEventfdThroughput is the source's one-way stream: the peer writes 1, again
// and again. In semaphore mode each read takes one; in counter mode a read takes
// all that has come, and delivered/op is reads for each write.
func BenchmarkEventfdThroughput(b *testing.B) {
	for _, mode := range measure.Shuffled(b, "semaphore", "counter") {
		b.Run("mode="+mode, func(b *testing.B) {
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				fd := mustEventfd(p.TB, eventfdModes[mode])
				p.Start()
				one, got := p.Arena.Word(1), p.Arena.Word(0)
				return &measure.Stream{
					Send:    []sys.Call{sys.EventfdWrite(fd, one)},
					Receive: measure.Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
					Merges:  mode == "counter",
				}
			})
		})
	}
}

// eventfdModes are the flags that decide what a read takes.
var eventfdModes = map[string]int{"semaphore": unix.EFD_SEMAPHORE, "counter": 0}

// mustEventfd returns an eventfd with counter 0.
func mustEventfd(tb testing.TB, flags int) int {
	tb.Helper()
	fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
	peer.SkipOrFatal(tb, os.NewSyscallError("eventfd2", err))
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

// mustPost adds 1 to an eventfd.
func mustPost(tb testing.TB, fd int) {
	tb.Helper()
	if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		tb.Fatalf("write to eventfd: %v", err)
	}
}
