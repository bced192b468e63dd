//go:build linux

package child

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Default gives signals their default actions, see signal(7), which the Go
// runtime's handlers replace for nearly all. It is for roles: it changes the
// whole process without telling the runtime.
func Default(sigs ...unix.Signal) error { return dispose(0, sigs) }

// Ignore makes the process ignore signals, which execve(2) preserves. Like
// Default it is for roles.
func Ignore(sigs ...unix.Signal) error { return dispose(1, sigs) }

// dispose sets SIG_DFL (0) or SIG_IGN (1). os/signal cannot do it: it never
// restores the default, and ignores inside a handler while anyone listens.
func dispose(handler uintptr, sigs []unix.Signal) error {
	// The kernel's struct sigaction: handler, flags, restorer, 64-bit mask.
	act := [4]uint64{uint64(handler)}
	for _, s := range sigs {
		_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
		if e != 0 {
			return fmt.Errorf("rt_sigaction(%v): %w", s, e)
		}
	}
	return nil
}
