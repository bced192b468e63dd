package where

import (
	"fmt"

	"eventbench/helpers/guest"
	"eventbench/helpers/where/gdb"
	"eventbench/helpers/where/symbols"
)

// An arch is what differs between the architectures of guests: what QEMU's log
// and debugger say, how the program reads the counter, and how the kernel is
// entered and left.
type arch struct {
	guest  *guest.Arch
	layout *gdb.Layout

	// stamp is the code by which the executor of helpers/sys stores the
	// counter between operations. The first instruction reads it.
	stamp   []byte
	counter string // its name

	// user reports whether a line of the log is of user mode.
	user func(pc, flags uint64) bool

	decode  func(code []byte) insn
	maxInsn uint64 // bytes of the longest instruction

	// A system call leads to an offset from one of the kernel's symbols.
	// KASLR moves the kernel by multiples of align.
	entry       string
	entryOffset uint64
	align       uint64

	// event returns the event that leads to a place in the kernel.
	event func(f symbols.Func, pc uint64) event
	// undone reports whether an instruction that caused a fault was undone.
	// QEMU logs it, but counts it only when it is executed again.
	undone func(insn) bool

	// switchTo is the function at whose start a processor belongs to
	// another task.
	switchTo string
	// thunk is what functions are called whose return instruction is a
	// jump.
	thunk string

	image      string // where a kernel's tree has what boots
	classNames [nclasses]string
}

// archs are the architectures that are known.
var archs = []*arch{
	{
		guest:   guest.AMD64,
		layout:  gdb.AMD64,
		counter: "time-stamp counter",
		// RDTSC; SHLQ $32, DX; ORQ DX, AX; MOVQ AX, (DI)(R15*8).
		stamp: []byte{0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x4a, 0x89, 0x04, 0xff},
		// The lowest bits are the privilege level.
		user:   func(_, flags uint64) bool { return flags&3 == 3 },
		decode: decodeX86, maxInsn: 15,
		entry: "entry_SYSCALL_64", align: 2 << 20,
		event: x86Event, undone: func(insn) bool { return true },
		switchTo: "__switch_to", thunk: "__x86_indirect",
		image: "arch/x86/boot/bzImage",
		classNames: [nclasses]string{
			loads:      "memory loads",
			stores:     "memory stores",
			branches:   "branches, calls and returns",
			atomics:    "atomic (LOCK, XCHG)",
			fences:     "serialising (LFENCE, MFENCE, CPUID)",
			clocks:     "clock readings (RDTSC)",
			msrs:       "MSR reads and writes (RDMSR, WRMSR)",
			tables:     "address space (CR3, INVLPG, INVPCID)",
			states:     "saved registers (XSAVE, FXSAVE and their restores)",
			entries:    "entries and exits (SYSCALL, SYSRET, IRET)",
			halts:      "halts (HLT, MWAIT)",
			slow:       "other slow ones (RDRAND, VERW, port I/O)",
			interrupts: "interrupts and exceptions",
			switches:   "context switches",
		},
	},
	{
		guest:   guest.ARM64,
		layout:  gdb.ARM64,
		counter: "virtual counter (CNTVCT_EL0)",
		// MRS CNTVCT_EL0, R10; MOVD R10, (R9)(R22<<3).
		stamp: []byte{0x4a, 0xe0, 0x3b, 0xd5, 0x2a, 0x79, 0x36, 0xf8},
		// The flags have the exception level too, but its bits and values
		// are QEMU's own and vary between versions. The upper half of the
		// addresses is the kernel's, which user mode cannot execute, nor
		// the kernel the lower half.
		user:   func(pc, _ uint64) bool { return pc>>63 == 0 },
		decode: decodeA64, maxInsn: 4,
		entry: "vectors", entryOffset: a64SyncUser, align: 64 << 10,
		event: a64Event,
		// A load or a store that faulted. What is trapped by its kind,
		// such as BRK or the first vector instruction, is counted.
		undone:   func(in insn) bool { return in.classes[loads]+in.classes[stores] > 0 },
		switchTo: "cpu_switch_to",
		image:    "arch/arm64/boot/Image",
		classNames: [nclasses]string{
			loads:      "memory loads",
			stores:     "memory stores",
			branches:   "branches, calls and returns",
			atomics:    "atomic (LDXR, STXR, CAS, LDADD, SWP)",
			fences:     "barriers (DMB, DSB, ISB, SB)",
			clocks:     "clock readings (CNTVCT, CNTPCT)",
			msrs:       "system registers (MRS, MSR)",
			tables:     "address space (TTBR0, TTBR1, TLBI)",
			entries:    "entries and exits (SVC, ERET)",
			halts:      "halts (WFI, WFE)",
			slow:       "other slow ones (DC, IC, HVC, SMC, RNDR)",
			interrupts: "interrupts and exceptions",
			switches:   "context switches",
		},
	},
}

// archOf returns the entry for an architecture that guests can have.
func archOf(g *guest.Arch) *arch {
	for _, a := range archs {
		if a.guest == g {
			return a
		}
	}
	panic(fmt.Sprintf("where does not know %s", g)) // a test says that it does
}
