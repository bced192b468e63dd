//go:build linux

package behaviours

import (
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The order in which signals are delivered.

// lowestRealTimeFirst (SIG-29): among real-time signals the lowest number comes
// first, and those of one number in the order they were sent.
func lowestRealTimeFirst(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{45, 41, 64, 41, 35, 45} {
		wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(uint64(sig))), nil, "rt_sigqueueinfo(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, 35, 41, 41, 45, 45, 64)
}

// standardBeforeRealTime (SIG-30): standard signals have lower numbers, and
// Linux takes the lowest first.
func standardBeforeRealTime(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{40, 35, unix.SIGIO, unix.SIGUSR1} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, unix.SIGUSR1, unix.SIGIO, 35, 40)
}

// synchronousFirst (SIG-32): the signals by which a CPU reports faults come
// before all others, even when someone merely sent them (SYNCHRONOUS_MASK in
// kernel/signal.c).
func synchronousFirst(t *testing.T) {
	blockAll(t)
	behaviour.NeedPending(t, 64)
	want := []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS}
	synchronous := sys.Sigs(want...)
	// Not SIGCONT and the stop signals, which remove each other.
	not := synchronous | sys.Sigs(unix.SIGKILL, unix.SIGSTOP, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU) | stray
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if not&sys.Sigs(sig) == 0 {
			want = append(want, sig)
		}
	}
	for i := len(want) - 1; i >= 0; i-- {
		wantErr(t, rawsig.Raise(want[i]), nil, "tgkill(self, %d)", want[i])
	}
	wantOrder(t, rawsig.Blockable&^stray, want...)
}

// handlersInOrder (SIG-35): with all signals blocked during handlers they run
// one after the other, in the order in which the signals are taken.
func handlersInOrder(t testing.TB) {
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, 40, 41} {
		handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack, Mask: rawsig.All})
	}
	blockAll(t)
	for _, sig := range []unix.Signal{41, 40, 41, unix.SIGUSR2, unix.SIGUSR1} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	rawsig.Forget()
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, 40, 41))
	wantRuns(t, unix.SIGUSR1, unix.SIGUSR2, 40, 41, 41)
	var sp uintptr
	for _, r := range rawsig.Runs() {
		if r.Blocked != rawsig.Blockable {
			t.Errorf("during the handler of %d the mask was %#x, want all", r.Sig, r.Blocked)
		}
		if sp != 0 && r.SP != sp {
			t.Errorf("the handler of %d ran at %#x, the one before at %#x: they were nested", r.Sig, r.SP, sp)
		}
		sp = r.SP
	}
}

// threadQueueFirst (SIG-93): what waits for the thread comes before all that
// waits for the process, whatever the numbers.
func threadQueueFirst(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		wantErr(t, rawsig.Kill(os.Getpid(), sig), nil, "kill(self, %d)", sig)
	}
	for _, sig := range []unix.Signal{64, unix.SIGUSR2} {
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self, %d)", sig)
	}
	wantOrder(t, rawsig.Blockable&^stray, unix.SIGUSR2, 64, unix.SIGUSR1, 40)
}

var signalOrderRows = map[string]func(*testing.T){
	"SIG-29": behaviour.Alone(lowestRealTimeFirst, quiet...),
	"SIG-30": behaviour.Alone(standardBeforeRealTime, quiet...),
	"SIG-32": synchronousFirst,
	"SIG-33": behaviour.Alone(kernelFaultFirst, quiet...),
	"SIG-35": behaviour.Alone(handlersInOrder, quiet...),
	"SIG-93": behaviour.Alone(threadQueueFirst, quiet...),
}
