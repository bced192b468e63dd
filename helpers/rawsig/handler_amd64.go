//go:build linux

package rawsig

import (
	"debug/elf"

	"golang.org/x/sys/unix"
)

const machine = elf.EM_X86_64

// PauseNr is the system call that unix.Pause makes.
const PauseNr = unix.SYS_PAUSE

// Offsets in the ucontext_t of a handler
// (arch/x86/include/uapi/asm/sigcontext.h), for Poke.
const (
	UcontextMask = 296 // uc_sigmask
	UcontextFPU  = 224 // uc_mcontext.fpstate, a pointer
)

// returnable names the code by which the handler returns to the kernel: on this
// architecture the program must provide it (SA_RESTORER).
func (act *Action) returnable() {
	const saRestorer = 0x04000000
	act.Flags |= saRestorer
	act.Restorer = restorerPC()
}

func restorerPC() uintptr
