//go:build linux

package where

import (
	"maps"
	"testing"
)

func TestDecodeX86(t *testing.T) {
	type classes map[class]uint8
	check := func(name string, code []byte, length int, f flow, want classes) {
		t.Helper()
		in := decodeX86(append(code, 0xcc, 0xcc))
		got := classes{}
		for c, n := range in.classes {
			if n > 0 {
				got[class(c)] = n
			}
		}
		if in.len != length || in.flow != f || !maps.Equal(got, want) {
			t.Errorf("%s: length %d, flow %d, classes %v; want %d, %d, %v", name, in.len, in.flow, got, length, f, want)
		}
	}
	check("endbr64", []byte{0xf3, 0x0f, 0x1e, 0xfa}, 4, straight, classes{})
	check("nopl (%rax)", []byte{0x0f, 0x1f, 0x00}, 3, straight, classes{})
	check("lea (%rax), %rbx", []byte{0x48, 0x8d, 0x18}, 3, straight, classes{})
	check("mov (%rax), %rbx", []byte{0x48, 0x8b, 0x18}, 3, straight, classes{loads: 1})
	check("mov %rbx, (%rax)", []byte{0x48, 0x89, 0x18}, 3, straight, classes{stores: 1})
	check("add %rbx, (%rax)", []byte{0x48, 0x01, 0x18}, 3, straight, classes{loads: 1, stores: 1})
	check("lock add %rbx, (%rax)", []byte{0xf0, 0x48, 0x01, 0x18}, 4, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("lock cmpxchg %ecx, (%rdx)", []byte{0xf0, 0x0f, 0xb1, 0x0a}, 4, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("xchg %rbx, (%rax)", []byte{0x48, 0x87, 0x18}, 3, straight, classes{loads: 1, stores: 1, atomics: 1})
	check("xchg %rbx, %rcx", []byte{0x48, 0x87, 0xd9}, 3, straight, classes{})
	check("cmp %rbx, (%rax)", []byte{0x48, 0x39, 0x18}, 3, straight, classes{loads: 1})
	check("cmp %gs:0x28, %rax", []byte{0x65, 0x48, 0x3b, 0x04, 0x25, 0x28, 0, 0, 0}, 9, straight, classes{loads: 1})
	check("push %rbx", []byte{0x53}, 1, straight, classes{stores: 1})
	check("pop %rbx", []byte{0x5b}, 1, straight, classes{loads: 1})
	check("call", []byte{0xe8, 1, 0, 0, 0}, 5, call, classes{stores: 1, branches: 1})
	check("call *(%rax)", []byte{0xff, 0x10}, 2, call, classes{loads: 1, stores: 1, branches: 1})
	check("jmp *%rax", []byte{0xff, 0xe0}, 2, jump, classes{branches: 1})
	check("je", []byte{0x74, 0x02}, 2, jump, classes{branches: 1})
	check("ret", []byte{0xc3}, 1, ret, classes{loads: 1, branches: 1})
	check("rep stosq", []byte{0xf3, 0x48, 0xab}, 3, straight, classes{stores: 1})
	check("rep movsb", []byte{0xf3, 0xa4}, 2, straight, classes{loads: 1, stores: 1})
	check("syscall", []byte{0x0f, 0x05}, 2, enter, classes{entries: 1})
	check("sysretq", []byte{0x48, 0x0f, 0x07}, 3, leave, classes{entries: 1})
	check("iretq", []byte{0x48, 0xcf}, 2, leave, classes{entries: 1})
	check("rdtsc", []byte{0x0f, 0x31}, 2, straight, classes{clocks: 1})
	check("rdtscp", []byte{0x0f, 0x01, 0xf9}, 3, straight, classes{clocks: 1})
	check("wrmsr", []byte{0x0f, 0x30}, 2, straight, classes{msrs: 1})
	check("lfence", []byte{0x0f, 0xae, 0xe8}, 3, straight, classes{fences: 1})
	check("cpuid", []byte{0x0f, 0xa2}, 2, straight, classes{fences: 1})
	check("mov %rax, %cr3", []byte{0x0f, 0x22, 0xd8}, 3, straight, classes{tables: 1})
	check("mov %cr3, %rax", []byte{0x0f, 0x20, 0xd8}, 3, straight, classes{tables: 1})
	check("invlpg (%rax)", []byte{0x0f, 0x01, 0x38}, 3, straight, classes{tables: 1})
	check("xsaves (%rdi)", []byte{0x0f, 0xc7, 0x2f}, 3, straight, classes{states: 1, stores: 1})
	check("xrstor (%rdi)", []byte{0x0f, 0xae, 0x2f}, 3, straight, classes{states: 1, loads: 1})
	check("stac", []byte{0x0f, 0x01, 0xcb}, 3, straight, classes{})
	check("clac", []byte{0x0f, 0x01, 0xca}, 3, straight, classes{})
	check("swapgs", []byte{0x0f, 0x01, 0xf8}, 3, straight, classes{})
	check("hlt", []byte{0xf4}, 1, straight, classes{halts: 1})
	check("verw", []byte{0x0f, 0x00, 0x2d, 0, 0, 0, 0}, 7, straight, classes{slow: 1, loads: 1})
	check("out %al, (%dx)", []byte{0xee}, 1, straight, classes{slow: 1})
	check("rdrand %rax", []byte{0x48, 0x0f, 0xc7, 0xf0}, 4, straight, classes{slow: 1})
	check("rdfsbase %rax", []byte{0xf3, 0x48, 0x0f, 0xae, 0xc0}, 5, straight, classes{})
	check("invpcid (%rax), %rbx", []byte{0x66, 0x0f, 0x38, 0x82, 0x18}, 5, straight, classes{tables: 1, loads: 1})
	check("vzeroupper", []byte{0xc5, 0xf8, 0x77}, 0, straight, classes{})
}
