//go:build linux

package where

import (
	"encoding/binary"
	"maps"
	"testing"

	"eventbench/helpers/where/symbols"
)

// Words are those that llvm-mc makes of the names.
func TestDecodeA64(t *testing.T) {
	type classes map[class]uint8
	check := func(name string, word uint32, f flow, want classes) {
		t.Helper()
		in := decodeA64(binary.LittleEndian.AppendUint32(nil, word))
		got := classes{}
		for c, n := range in.classes {
			if n > 0 {
				got[class(c)] = n
			}
		}
		direct := f == call && word>>26 == 0x25 || f == jump && word>>25 != 0x6b
		if in.len != 4 || in.flow != f || !maps.Equal(got, want) || in.direct != direct {
			t.Errorf("%s: length %d, flow %d, direct %v, classes %v; want 4, %d, %v, %v", name, in.len, in.flow, in.direct, got, f, direct, want)
		}
	}
	check("nop", 0xd503201f, straight, classes{})
	check("pacibsp", 0xd503237f, straight, classes{})
	check("bti c", 0xd503245f, straight, classes{})
	check("yield", 0xd503203f, straight, classes{})
	check("sub sp, sp, #16", 0xd10043ff, straight, classes{})
	check("ldr x0, [x1, #8]", 0xf9400420, straight, classes{loads: 1})
	check("str w0, [x1]", 0xb9000020, straight, classes{stores: 1})
	check("ldp x29, x30, [sp], #16", 0xa8c17bfd, straight, classes{loads: 1})
	check("stp x29, x30, [sp, #-16]!", 0xa9bf7bfd, straight, classes{stores: 1})
	check("ldtr x0, [x1]", 0xf8400820, straight, classes{loads: 1})
	check("sttr x0, [x1]", 0xf8000820, straight, classes{stores: 1})
	check("ldr x0, #8", 0x58000040, straight, classes{loads: 1})
	check("ldr q0, [x1]", 0x3dc00020, straight, classes{loads: 1})
	check("st1 { v0.16b }, [x0]", 0x4c007000, straight, classes{stores: 1})
	check("ldar w0, [x1]", 0x88dffc20, straight, classes{loads: 1})
	check("stlr w0, [x1]", 0x889ffc20, straight, classes{stores: 1})
	check("ldapr w0, [x1]", 0xb8bfc020, straight, classes{loads: 1})
	check("ldapur w0, [x1, #4]", 0x99404020, straight, classes{loads: 1})
	check("stlur w0, [x1, #4]", 0x99004020, straight, classes{stores: 1})
	check("ldxr x0, [x1]", 0xc85f7c20, straight, classes{loads: 1, atomics: 1})
	check("ldaxr w0, [x1]", 0x885ffc20, straight, classes{loads: 1, atomics: 1})
	check("stxr w2, x0, [x1]", 0xc8027c20, straight, classes{stores: 1, atomics: 1})
	check("stlxr w2, w0, [x1]", 0x8802fc20, straight, classes{stores: 1, atomics: 1})
	check("cas x0, x1, [x2]", 0xc8a07c41, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("casal w0, w1, [x2]", 0x88e0fc41, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("caspal x0, x1, x2, x3, [x4]", 0x4860fc82, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("ldadd w0, w1, [x2]", 0xb8200041, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("ldsetal x0, x1, [x2]", 0xf8e03041, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("stclr w0, [x2]", 0xb820105f, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("swpa x0, x1, [x2]", 0xf8a08041, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("prfm pstl1strm, [x0]", 0xf9800011, straight, classes{})
	check("ldraa x0, [x1, #8]", 0xf8201420, straight, classes{loads: 1})
	check("cpyp [x0]!, [x1]!, x2!", 0x1d010440, straight, classes{loads: 1, stores: 1})
	check("setm [x0]!, x1!, x2", 0x19c24420, straight, classes{stores: 1})
	check("bl #16", 0x94000004, call, classes{branches: 1})
	check("blr x1", 0xd63f0020, call, classes{branches: 1})
	check("blraaz x1", 0xd63f083f, call, classes{branches: 1})
	check("b #16", 0x14000004, jump, classes{branches: 1})
	check("b.ne #16", 0x54000081, jump, classes{branches: 1})
	check("cbz x0, #16", 0xb4000080, jump, classes{branches: 1})
	check("tbnz w0, #3, #16", 0x37180080, jump, classes{branches: 1})
	check("br x1", 0xd61f0020, jump, classes{branches: 1})
	check("braa x1, x2", 0xd71f0822, jump, classes{branches: 1})
	check("ret", 0xd65f03c0, ret, classes{branches: 1})
	check("retaa", 0xd65f0bff, ret, classes{branches: 1})
	check("svc #0", 0xd4000001, enter, classes{entries: 1})
	check("hvc #0", 0xd4000002, straight, classes{slow: 1})
	check("smc #0", 0xd4000003, straight, classes{slow: 1})
	check("eret", 0xd69f03e0, leave, classes{entries: 1})
	check("eretaa", 0xd69f0bff, leave, classes{entries: 1})
	check("brk #0x800", 0xd4210000, straight, classes{})
	check("dmb ish", 0xd5033bbf, straight, classes{fences: 1})
	check("dsb ishst", 0xd5033a9f, straight, classes{fences: 1})
	check("dsb ishnxs", 0xd5033a3f, straight, classes{fences: 1})
	check("isb", 0xd5033fdf, straight, classes{fences: 1})
	check("sb", 0xd50330ff, straight, classes{fences: 1})
	check("clrex", 0xd5033f5f, straight, classes{})
	check("wfi", 0xd503207f, straight, classes{halts: 1})
	check("wfe", 0xd503205f, straight, classes{halts: 1})
	check("wfit x0", 0xd5031020, straight, classes{halts: 1})
	check("sev", 0xd503209f, straight, classes{})
	check("mrs x10, CNTVCT_EL0", 0xd53be04a, straight, classes{clocks: 1})
	check("mrs x0, CNTPCT_EL0", 0xd53be020, straight, classes{clocks: 1})
	check("mrs x0, CNTVCTSS_EL0", 0xd53be0c0, straight, classes{clocks: 1})
	check("mrs x0, CNTPCTSS_EL0", 0xd53be0a0, straight, classes{clocks: 1})
	check("mrs x0, SP_EL0", 0xd5384100, straight, classes{})
	check("msr SP_EL0, x0", 0xd5184100, straight, classes{})
	check("mrs x0, TPIDR_EL1", 0xd538d080, straight, classes{})
	check("mrs x0, TPIDR_EL0", 0xd53bd040, straight, classes{msrs: 1})
	check("mrs x0, ESR_EL1", 0xd5385200, straight, classes{msrs: 1})
	check("msr ELR_EL1, x0", 0xd5184020, straight, classes{msrs: 1})
	check("msr DAIFSet, #2", 0xd50342df, straight, classes{})
	check("msr PAN, #1", 0xd500419f, straight, classes{})
	check("msr TTBR0_EL1, x0", 0xd5182000, straight, classes{tables: 1})
	check("msr TTBR1_EL1, x0", 0xd5182020, straight, classes{tables: 1})
	check("mrs x0, TTBR0_EL1", 0xd5382000, straight, classes{msrs: 1})
	check("tlbi vmalle1is", 0xd508831f, straight, classes{tables: 1})
	check("tlbi vale1is, x0", 0xd50883a0, straight, classes{tables: 1})
	check("dc zva, x0", 0xd50b7420, straight, classes{stores: 1})
	check("dc cvau, x0", 0xd50b7b20, straight, classes{slow: 1})
	check("ic iallu", 0xd508751f, straight, classes{slow: 1})
	check("at s1e1r, x0", 0xd5087800, straight, classes{slow: 1})
	check("mrs x0, RNDR", 0xd53b2400, straight, classes{slow: 1})
	check("ptrue p0.b", 0x2518e3e0, straight, classes{})
	if in := decodeA64([]byte{0x1f, 0x20}); in.len != 0 {
		t.Errorf("half an instruction: length %d", in.len)
	}
}

// The vector table's entries lead into the kernel; other code does not.
func TestEventA64(t *testing.T) {
	check := func(name string, offset uint64, want event) {
		t.Helper()
		if got := a64Event(symbols.Func{Name: name, Addr: 0x1000}, 0x1000+offset); got != want {
			t.Errorf("%s+%#x: event %d, want %d", name, offset, got, want)
		}
	}
	check("vectors", 0x200, fault)
	check("vectors", 0x280, interrupt)
	check("vectors", 0x400, fault)
	check("vectors", 0x480, interrupt)
	check("vectors", 0x404, noEvent)
	check("vectors", 0, noEvent)
	check("el0t_64_sync", 0x200, noEvent)
}
