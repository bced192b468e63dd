//go:build linux

package behaviour

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A state is the part of the process's state that a row must restore.
type state struct {
	actions [65][4]uint64   // the kernel's struct sigaction of each signal
	limits  [16]unix.Rlimit // by RLIMIT number, up to RLIM_NLIMITS
	pending uint64          // of the process and the calling thread
	armed   [3]bool         // ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF, getitimer(2)
	timers  int             // number of timer_create(2) timers, proc_pid_timers(5); 0 if unknown
	ahead   time.Duration   // CLOCK_REALTIME minus CLOCK_BOOTTIME; 0 where rows may not set it
}

// guestVar is set in a machine that only runs rows. There they may set the
// clock.
const guestVar = "EVENTBENCH_GUEST"

func here() *state {
	s := &state{}
	for sig := range s.actions {
		// Signal 0 has no action: its EINVAL leaves the entry empty.
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&s.actions[sig])), 8, 0, 0)
	}
	for resource := range s.limits {
		unix.Getrlimit(resource, &s.limits[resource])
	}
	unix.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&s.pending)), 8, 0)
	// The Go runtime sends itself SIGURG at any time, and children may end
	// at any time.
	s.pending &^= 1<<(unix.SIGURG-1) | 1<<(unix.SIGCHLD-1)
	for which := range s.armed {
		it, err := unix.Getitimer(unix.ItimerWhich(which))
		s.armed[which] = err == nil && it.Value != (unix.Timeval{})
	}
	if text, err := os.ReadFile("/proc/self/timers"); err == nil {
		s.timers = strings.Count("\n"+string(text), "\nID: ")
	}
	if os.Getenv(guestVar) != "" {
		var real, boot unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil && unix.ClockGettime(unix.CLOCK_REALTIME, &real) == nil {
			s.ahead = time.Duration(real.Nano() - boot.Nano())
		}
	}
	return s
}

// since returns what differs from old, named for messages.
func (s *state) since(old *state) []string {
	var diffs []string
	for sig := range s.actions {
		if s.actions[sig] != old.actions[sig] {
			diffs = append(diffs, fmt.Sprintf("signal %d with the action %#x, was %#x", sig, s.actions[sig], old.actions[sig]))
		}
	}
	for resource := range s.limits {
		if s.limits[resource] != old.limits[resource] {
			diffs = append(diffs, fmt.Sprintf("resource limit %d at %d, was %d", resource, s.limits[resource], old.limits[resource]))
		}
	}
	if s.pending != old.pending {
		diffs = append(diffs, fmt.Sprintf("pending signals %#x, were %#x", s.pending, old.pending))
	}
	for which := range s.armed {
		if s.armed[which] && !old.armed[which] {
			diffs = append(diffs, fmt.Sprintf("interval timer %d armed", which))
		}
	}
	// A CPU profile has timers that come and go with threads.
	if old.timers == 0 && s.timers > 0 {
		diffs = append(diffs, fmt.Sprintf("%d POSIX timers", s.timers))
	}
	// A busy machine may take that long to read both clocks.
	if moved := s.ahead - old.ahead; moved.Abs() > time.Second {
		diffs = append(diffs, fmt.Sprintf("the clock of the day moved by %v", moved))
	}
	return diffs
}
