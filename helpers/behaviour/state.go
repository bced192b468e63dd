//go:build linux

package behaviour

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A state is what belongs to the process and a row must leave as it was.
type state struct {
	actions [65][4]uint64   // the kernel's struct sigaction of each signal
	limits  [16]unix.Rlimit // RLIM_NLIMITS
	pending uint64          // of the process and the calling thread
}

func here() *state {
	s := &state{}
	for sig := range s.actions {
		// Signal 0 has none: its EINVAL leaves the entry empty.
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&s.actions[sig])), 8, 0, 0)
	}
	for resource := range s.limits {
		unix.Getrlimit(resource, &s.limits[resource])
	}
	unix.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&s.pending)), 8, 0)
	// The Go runtime sends itself SIGURG at any time, and children end when they end.
	s.pending &^= 1<<(unix.SIGURG-1) | 1<<(unix.SIGCHLD-1)
	return s
}

// since returns what differs from old, each with a name for messages.
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
	return diffs
}
