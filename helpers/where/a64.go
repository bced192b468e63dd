package where

import (
	"encoding/binary"
	"strings"

	"eventbench/helpers/where/symbols"

	"golang.org/x/arch/arm64/arm64asm"
)

// decodeA64 decodes the instruction at the start of code, for AArch64. All have
// four bytes. What golang.org/x/arch does not know or does not tell apart is
// recognised by its bits.
func decodeA64(code []byte) insn {
	if len(code) < 4 {
		return insn{}
	}
	in := insn{len: 4}
	word := binary.LittleEndian.Uint32(code)
	for _, known := range a64Words {
		if word&known.mask == known.value {
			in.flow = known.flow
			for _, c := range known.classes {
				in.classes[c]++
			}
			return in
		}
	}
	x, err := arm64asm.Decode(code)
	if err != nil {
		return in // of a vector extension
	}
	switch x.Op {
	case arm64asm.BL, arm64asm.BLR:
		in.flow, in.direct = call, x.Op == arm64asm.BL
	case arm64asm.RET:
		in.flow = ret
	case arm64asm.B, arm64asm.BR, arm64asm.CBZ, arm64asm.CBNZ, arm64asm.TBZ, arm64asm.TBNZ:
		in.flow, in.direct = jump, x.Op != arm64asm.BR
	}
	if in.flow != straight {
		in.classes[branches]++
		return in
	}
	// A pair or a structure is one access.
	name := x.Op.String()
	kind, isLoad := strings.CutPrefix(name, "LD")
	if !isLoad {
		var isStore bool
		if kind, isStore = strings.CutPrefix(name, "ST"); !isStore {
			return in
		}
		in.classes[stores]++
	} else {
		in.classes[loads]++
	}
	for _, exclusive := range []string{"X", "AX", "LX"} {
		if strings.HasPrefix(kind, exclusive) {
			in.classes[atomics]++
		}
	}
	return in
}

// a64Words are instructions by their bits, in the order in which they are looked
// for: see "A64 instruction set encoding" in the Arm Architecture Reference
// Manual.
var a64Words = []struct {
	mask, value uint32
	flow        flow
	classes     []class
}{
	{0xffe0001f, 0xd4000001, enter, []class{entries}},          // SVC
	{0xffe0001e, 0xd4000002, straight, []class{slow}},          // HVC, SMC
	{0xffffffff, 0xd69f03e0, leave, []class{entries}},          // ERET
	{0xfffffbff, 0xd69f0bff, leave, []class{entries}},          // ERETAA, ERETAB
	{0xfffffbff, 0xd65f0bff, ret, []class{branches}},           // RETAA, RETAB
	{0xfefff800, 0xd63f0800, call, []class{branches}},          // BLRAA and its like
	{0xfefff800, 0xd61f0800, jump, []class{branches}},          // BRAA and its like
	{0xfffff09f, 0xd503309f, straight, []class{fences}},        // DSB, DMB, ISB, SB
	{0xfffff3ff, 0xd503323f, straight, []class{fences}},        // DSB of another domain (nXS)
	{0xffffffdf, 0xd503205f, straight, []class{halts}},         // WFE, WFI
	{0xffffffc0, 0xd5031000, straight, []class{halts}},         // WFET, WFIT
	{0xffffffe0, 0xd53be020, straight, []class{clocks}},        // MRS CNTPCT_EL0
	{0xffffffe0, 0xd53be040, straight, []class{clocks}},        // MRS CNTVCT_EL0
	{0xffffffe0, 0xd53be0a0, straight, []class{clocks}},        // MRS CNTPCTSS_EL0
	{0xffffffe0, 0xd53be0c0, straight, []class{clocks}},        // MRS CNTVCTSS_EL0
	{0xffffffc0, 0xd5182000, straight, []class{tables}},        // MSR TTBR0_EL1, TTBR1_EL1
	{0xfff8e000, 0xd5088000, straight, []class{tables}},        // TLBI
	{0xffffffe0, 0xd50b7420, straight, []class{stores}},        // DC ZVA
	{0xfff8f000, 0xd5087000, straight, []class{slow}},          // DC, IC, AT
	{0xffffffc0, 0xd53b2400, straight, []class{slow}},          // MRS RNDR, RNDRRS
	{0xffdfffe0, 0xd5184100, straight, nil},                    // SP_EL0: the kernel keeps current there
	{0xffdfffe0, 0xd518d080, straight, nil},                    // TPIDR_EL1: and where its per-CPU data is
	{0xffd00000, 0xd5100000, straight, []class{msrs}},          // MRS, MSR
	{0x3ffffc00, 0x38bfc000, straight, []class{loads}},         // LDAPR
	{0x3f200c00, 0x38200000, straight, atomicAccess},           // LDADD, SWP and their like
	{0x3fa07c00, 0x08a07c00, straight, atomicAccess},           // CAS
	{0xbfa07c00, 0x08207c00, straight, atomicAccess},           // CASP
	{0xff200400, 0xf8200400, straight, []class{loads}},         // LDRAA, LDRAB
	{0x3fe00c00, 0x19000000, straight, []class{stores}},        // STLUR
	{0x3f200c00, 0x19000000, straight, []class{loads}},         // LDAPUR
	{0x3fe00c00, 0x19c00400, straight, []class{stores}},        // SETP, SETM, SETE
	{0x3b200c00, 0x19000400, straight, []class{loads, stores}}, // CPYP, CPYM, CPYE and their like
}

var atomicAccess = []class{loads, stores, atomics}

// Offsets of the entries of the kernel's vector table that matter: see "Exception
// entry" in the manual. The kernel runs on the stack pointer of its own level,
// programs are 64-bit ones.
const (
	a64SyncKernel = 0x200 // an exception in the kernel; 0x80 on: interrupts
	a64SyncUser   = 0x400 // a system call, or an exception in a program
	a64Vector     = 0x80  // from an entry to the next
)

// a64Event returns the event that leads to an entry of the vector table. That a
// system call leads to the same one as a fault, step knows.
func a64Event(f symbols.Func, pc uint64) event {
	if f.Name != "vectors" {
		return noEvent
	}
	switch offset := pc - f.Addr; offset {
	case a64SyncKernel, a64SyncUser:
		return fault
	case a64SyncKernel + a64Vector, a64SyncKernel + 2*a64Vector, a64SyncKernel + 3*a64Vector,
		a64SyncUser + a64Vector, a64SyncUser + 2*a64Vector, a64SyncUser + 3*a64Vector:
		return interrupt
	}
	return noEvent
}
