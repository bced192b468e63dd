//go:build linux

package behaviours

import (
	"os"
	"testing"

	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

const (
	minSigStackSize = 2048 // MINSIGSTKSZ
	minSigFrame     = 900  // what the frame had before vector registers
)

// plain are the calls that newer architectures leave out.
var plain = plainWaits{poll: unix.SYS_POLL, selects: unix.SYS_SELECT, epollWait: unix.SYS_EPOLL_WAIT}

// minsigstkszSince is the first kernel with AT_MINSIGSTKSZ on this
// architecture.
var minsigstkszSince = [2]int{5, 14}

// kernelFaultFirst (SIG-33): a fault's signal is delivered before one of a
// lower number that became deliverable at the same moment. That moment is the
// return from a handler with a context that cannot be restored: the kernel sets
// the mask from it first.
func kernelFaultFirst(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGBUS, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: rawsig.All})
	handle(t, unix.SIGSEGV, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: rawsig.All})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: rawsig.All, Pokes: []rawsig.Poke{
		{Offset: rawsig.UcontextMask, Value: uint64(rawsig.Blockable &^ sys.Sigs(unix.SIGBUS, unix.SIGSEGV))},
		{Offset: rawsig.UcontextFPU, Value: 1 << 63}, // no address
	}})
	wantErr(t, rawsig.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGBUS), nil, "tgkill(self, SIGBUS)")
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40, unix.SIGSEGV, unix.SIGBUS)
	if code := rawsig.Runs()[1].Info.Code; code != rawsig.SIKernel {
		t.Errorf("SIGSEGV came with code %#x, want SI_KERNEL", code)
	}
}
