package rawsig

import "debug/elf"

const machine = elf.EM_X86_64

// Offsets in the ucontext_t of a handler (arch/x86/include/uapi/asm/sigcontext.h),
// for Poke.
const (
	UcontextMask = 296 // uc_sigmask
	UcontextFPU  = 224 // uc_mcontext.fpstate, a pointer
)

// returnable names the code by which the handler returns to the kernel: on
// this architecture the program must bring it (SA_RESTORER).
func (act *Action) returnable() {
	const saRestorer = 0x04000000
	act.Flags |= saRestorer
	act.Restorer = restorerPC()
}

func restorerPC() uintptr
