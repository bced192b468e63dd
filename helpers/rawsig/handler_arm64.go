//go:build linux

package rawsig

import (
	"debug/elf"

	"golang.org/x/sys/unix"
)

const machine = elf.EM_AARCH64

// PauseNr is the system call that unix.Pause makes.
const PauseNr = unix.SYS_PPOLL

// UcontextMask is the offset of uc_sigmask in the ucontext_t of a handler
// (arch/arm64/include/uapi/asm/ucontext.h), for Poke.
const UcontextMask = 40

// returnable does nothing: on this architecture handlers return by the vDSO.
func (act *Action) returnable() {}
