package where

import (
	"bytes"
	"strings"

	"eventbench/helpers/where/symbols"

	"golang.org/x/arch/x86/x86asm"
)

// decodeX86 decodes the instruction at the start of code. Those that
// golang.org/x/arch does not know are recognised by opcode, as far as they are
// counted.
func decodeX86(code []byte) insn {
	var in insn
	if op, ok := unknownToX86asm(code); ok {
		return op
	}
	x, err := x86asm.Decode(code, 64)
	if err != nil {
		return in
	}
	in.len = x.Len
	count := func(c class) { in.classes[c]++ }
	switch x.Op {
	case x86asm.CALL, x86asm.LCALL:
		in.flow = call
	case x86asm.RET, x86asm.LRET:
		in.flow = ret
	case x86asm.SYSCALL, x86asm.SYSENTER:
		in.flow = enter
		count(entries)
	case x86asm.SYSRET, x86asm.SYSEXIT, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ:
		in.flow = leave
		count(entries)
	case x86asm.JMP, x86asm.LJMP, x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JCXZ, x86asm.JE, x86asm.JECXZ,
		x86asm.JG, x86asm.JGE, x86asm.JL, x86asm.JLE, x86asm.JNE, x86asm.JNO, x86asm.JNP, x86asm.JNS, x86asm.JO,
		x86asm.JP, x86asm.JRCXZ, x86asm.JS, x86asm.LOOP, x86asm.LOOPE, x86asm.LOOPNE:
		in.flow = jump
	case x86asm.LFENCE, x86asm.MFENCE, x86asm.CPUID:
		count(fences)
	case x86asm.RDTSC, x86asm.RDTSCP:
		count(clocks)
	case x86asm.WRMSR, x86asm.RDMSR:
		count(msrs)
	case x86asm.INVLPG, x86asm.INVPCID:
		count(tables)
	case x86asm.HLT, x86asm.MWAIT:
		count(halts)
	case x86asm.FXSAVE, x86asm.FXSAVE64, x86asm.FXRSTOR, x86asm.FXRSTOR64, x86asm.XSAVE, x86asm.XSAVE64,
		x86asm.XSAVEOPT, x86asm.XSAVEOPT64, x86asm.XSAVEC, x86asm.XSAVEC64, x86asm.XSAVES, x86asm.XSAVES64,
		x86asm.XRSTOR, x86asm.XRSTOR64, x86asm.XRSTORS, x86asm.XRSTORS64, x86asm.FNSAVE, x86asm.FRSTOR:
		count(states)
	case x86asm.RDRAND, x86asm.VERW, x86asm.IN, x86asm.OUT, x86asm.WBINVD, x86asm.PAUSE:
		count(slow)
	case x86asm.MOV:
		for _, a := range x.Args[:2] {
			if a == x86asm.CR3 {
				count(tables)
			}
		}
	}
	if in.flow == call || in.flow == ret || in.flow == jump {
		count(branches)
		_, in.direct = x.Args[0].(x86asm.Rel)
	}
	for _, p := range x.Prefix {
		if p&0xff == x86asm.PrefixLOCK&0xff && p&x86asm.PrefixImplicit == 0 && p != 0 {
			count(atomics)
		}
	}
	accesses(&in, x)
	return in
}

// accesses counts the instruction's loads and stores.
func accesses(in *insn, x x86asm.Inst) {
	load := func() { in.classes[loads]++ }
	store := func() { in.classes[stores]++ }
	isMem := func(i int) bool {
		_, ok := x.Args[i].(x86asm.Mem)
		return ok
	}
	switch x.Op {
	case x86asm.LEA, x86asm.NOP, x86asm.PREFETCHNTA, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2,
		x86asm.PREFETCHW, x86asm.INVLPG, x86asm.CLFLUSH:
		return
	case x86asm.PUSH, x86asm.PUSHF, x86asm.PUSHFQ:
		store()
		if isMem(0) {
			load()
		}
		return
	case x86asm.POP, x86asm.POPF, x86asm.POPFQ:
		load()
		if isMem(0) {
			store()
		}
		return
	case x86asm.LEAVE, x86asm.RET:
		load()
		return
	case x86asm.CALL:
		store()
		if isMem(0) {
			load()
		}
		return
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ:
		if isMem(0) && isMem(1) {
			load()
			store()
			return
		}
	case x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ:
		store()
		return
	case x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ, x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ:
		load()
		return
	case x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ:
		load()
		load()
		return
	case x86asm.XCHG:
		if isMem(0) || isMem(1) {
			load()
			store()
			in.classes[atomics] = 1 // locked with the prefix and without
		}
		return
	}
	if isMem(1) || x.Args[2] != nil && isMem(2) {
		load()
	}
	if !isMem(0) {
		return
	}
	switch x.Op {
	case x86asm.MOV, x86asm.MOVNTI, x86asm.MOVAPS, x86asm.MOVAPD, x86asm.MOVUPS, x86asm.MOVUPD, x86asm.MOVDQA, x86asm.MOVDQU,
		x86asm.MOVD, x86asm.MOVQ, x86asm.MOVNTDQ, x86asm.MOVNTPS, x86asm.FSTP, x86asm.FNSTCW, x86asm.STMXCSR,
		x86asm.SETA, x86asm.SETAE, x86asm.SETB, x86asm.SETBE, x86asm.SETE, x86asm.SETG, x86asm.SETGE, x86asm.SETL,
		x86asm.SETLE, x86asm.SETNE, x86asm.SETNO, x86asm.SETNP, x86asm.SETNS, x86asm.SETO, x86asm.SETP, x86asm.SETS,
		x86asm.FXSAVE, x86asm.FXSAVE64, x86asm.XSAVE, x86asm.XSAVE64, x86asm.XSAVEOPT, x86asm.XSAVEOPT64,
		x86asm.XSAVEC, x86asm.XSAVEC64, x86asm.XSAVES, x86asm.XSAVES64, x86asm.SGDT, x86asm.SIDT:
		store()
	case x86asm.CMP, x86asm.TEST, x86asm.BT, x86asm.JMP, x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.VERW,
		x86asm.FXRSTOR, x86asm.FXRSTOR64, x86asm.XRSTOR, x86asm.XRSTOR64, x86asm.XRSTORS, x86asm.XRSTORS64,
		x86asm.LGDT, x86asm.LIDT, x86asm.LLDT, x86asm.LTR, x86asm.LDMXCSR, x86asm.FLDCW, x86asm.FLD:
		load()
	default: // read, modified and written
		load()
		store()
	}
}

// unknownToX86asm decodes instructions that golang.org/x/arch does not know or
// mistakes for others.
func unknownToX86asm(code []byte) (in insn, ok bool) {
	if len(code) > 0 && (code[0] == 0xc4 || code[0] == 0xc5 || code[0] == 0x62) {
		return in, true // AVX, which it takes for what these bytes were in 32-bit code
	}
	for _, k := range []struct {
		bytes []byte
		class class // nclasses: none
	}{
		{[]byte{0xf3, 0x0f, 0x1e, 0xfa}, nclasses}, // ENDBR64
		{[]byte{0x0f, 0x01, 0xca}, nclasses},       // CLAC
		{[]byte{0x0f, 0x01, 0xcb}, nclasses},       // STAC
		{[]byte{0x0f, 0x01, 0xe8}, fences},         // SERIALIZE
		{[]byte{0x0f, 0x01, 0xee}, nclasses},       // RDPKRU
		{[]byte{0x0f, 0x01, 0xef}, nclasses},       // WRPKRU
		{[]byte{0x0f, 0x01, 0xd0}, nclasses},       // XGETBV
		{[]byte{0x0f, 0x01, 0xd1}, nclasses},       // XSETBV
	} {
		if bytes.HasPrefix(code, k.bytes) {
			in.len = len(k.bytes)
			if k.class < nclasses {
				in.classes[k.class]++
			}
			return in, true
		}
	}
	return in, false
}

// x86Faults are the exceptions that undo the instruction that caused them.
var x86Faults = map[string]bool{
	"asm_exc_page_fault": true, "asm_exc_general_protection": true, "asm_exc_invalid_op": true,
	"asm_exc_device_not_available": true, "asm_exc_divide_error": true, "asm_exc_bounds": true,
	"asm_exc_segment_not_present": true, "asm_exc_stack_segment": true, "asm_exc_alignment_check": true,
	"asm_exc_invalid_tss": true, "asm_exc_coprocessor_error": true, "asm_exc_simd_coprocessor_error": true,
}

// x86Event returns the event that leads to an entry of the interrupt table, by
// the entry's name.
func x86Event(f symbols.Func, pc uint64) event {
	atStart := f.Entry && f.Addr == pc
	switch {
	case f.Name == "irq_entries_start":
		return interrupt
	case !atStart:
		return noEvent
	case x86Faults[f.Name]:
		return fault
	case strings.HasPrefix(f.Name, "asm_exc_"), strings.HasPrefix(f.Name, "asm_sysvec_"), f.Name == "spurious_entries_start":
		return interrupt
	}
	return noEvent
}
