//go:build linux

package eventbench

import (
	"testing"

	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// BenchmarkSignalfdCreate makes a signalfd and closes it. What it costs to receive a
// signal through one is BenchmarkSignal*/via=signalfd, beside the other ways.
func BenchmarkSignalfdCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		mask := sys.Place(p.Arena, sys.Sigs(unix.SIGUSR1))
		return measure.Side{Calls: []sys.Call{sys.SignalfdCreate(mask, unix.SFD_CLOEXEC, fd), sys.Close(fd)}}
	})
}

// mustSignalfd returns a signalfd for sigs, which the reader must have blocked.
func mustSignalfd(tb testing.TB, sigs ...unix.Signal) int {
	tb.Helper()
	var set unix.Sigset_t
	set.Val[0] = uint64(sys.Sigs(sigs...))
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
	must(tb, "signalfd4", err)
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}
