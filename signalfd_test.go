//go:build linux

package eventbench

import (
	"testing"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// BenchmarkSignalfdCreate makes a signalfd and closes it. The cost of receiving
// a signal through one is BenchmarkSignal*/via=signalfd, beside the other ways.
func BenchmarkSignalfdCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		mask := sys.Place(p.Arena, sys.Sigs(unix.SIGUSR1))
		return measure.Side{Calls: []sys.Call{sys.SignalfdCreate(mask, unix.SFD_CLOEXEC, fd), sys.Close(fd)}}
	})
}

// BenchmarkSignalfdEmpty reads a non-blocking signalfd while no signal is
// pending.
func BenchmarkSignalfdEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.NonBlocking(p.TB, fdtest.Signalfd(p.TB, unix.SIGUSR1))
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.SignalfdRead(fd, sys.Place(p.Arena, unix.SignalfdSiginfo{})))}}
	})
}
