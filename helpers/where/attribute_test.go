//go:build linux

package where

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/guest"
	"eventbench/helpers/where/symbols"
)

// A machine makes traces of a small kernel and program, an instruction each
// symbol.
type testMachine struct {
	t    *testing.T
	arch *arch
	// Symbols of the kernel, and instructions by what they are.
	symbols string
	insns   map[string][]byte
	code    memory
	log     trace
	cpu     int
	now     uint64 // instructions executed
}

const testSlide = 0x1e00000 // of KASLR

// Functions of the test's kernel, 4 KiB apart.
const testSymbols = `ffffffff81000000 T entry_SYSCALL_64
ffffffff81000010 T entry_SYSCALL_64_after_hwframe
ffffffff81001000 T do_syscall_64
ffffffff81002000 t ksys_write
ffffffff81003000 T asm_exc_page_fault
ffffffff81004000 T asm_sysvec_apic_timer_interrupt
ffffffff81005000 T schedule
ffffffff81006000 t __switch_to_asm
ffffffff81007000 T __switch_to
ffffffff81008000 T __x86_indirect_thunk_rax
ffffffff81009000 t vfs_write.isra.0
ffffffff8100a000 t __cfi_eventfd_write
ffffffff8100a010 t eventfd_write
ffffffff8100b000 t do_idle
ffffffff8100c000 D some_data
`

// Instructions by what they are.
var testCode = map[string][]byte{
	"nop": {0x90}, "call": {0xe8, 0, 0, 0, 0}, "ret": {0xc3}, "jmp": {0xeb, 0}, "syscall": {0x0f, 0x05},
	"sysret": {0x48, 0x0f, 0x07}, "iret": {0x48, 0xcf}, "stamp": {0x0f, 0x31}, "load": {0x48, 0x8b, 0x18}, "hlt": {0xf4},
}

const (
	testLoop    = 0x400000 // of the program
	testHandler = 0x401000
)

func newTestMachine(t *testing.T) *testMachine {
	return &testMachine{t: t, arch: archOf(guest.AMD64), symbols: testSymbols, insns: testCode, code: memory{pages: make(map[uint64][]byte)}}
}

// do executes instructions, each as "KIND ADDRESS": addresses of the kernel are
// those of its symbols, without the slide.
func (m *testMachine) do(lines string) {
	m.t.Helper()
	for line := range strings.Lines(lines) {
		var kind string
		var addr uint64
		if strings.TrimSpace(line) == "" {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %x", &kind, &addr); err != nil {
			m.t.Fatalf("%q: %v", line, err)
		}
		p := place{pc: addr, user: addr < 1<<47}
		if !p.user {
			p.pc += testSlide
		}
		page := p.pc &^ (pageSize - 1)
		if m.code.pages[page] == nil {
			m.code.pages[page] = slices.Repeat([]byte{0x90}, pageSize)
		}
		copy(m.code.pages[page][p.pc-page:], m.insns[kind])
		i := slices.Index(m.log.at, p)
		if i < 0 {
			i = len(m.log.at)
			m.log.at = append(m.log.at, p)
		}
		m.log.steps = append(m.log.steps, step(m.cpu)<<cpuShift|step(i))
		m.now++
	}
}

// attribute returns the operations and their stacks, as WriteFolded has them.
func (m *testMachine) attribute(stamps ...uint64) ([]operation, [][]string) {
	m.t.Helper()
	kernel, err := symbols.ReadKallsyms(strings.NewReader(m.symbols))
	if err != nil {
		m.t.Fatal(err)
	}
	program, err := symbols.ReadKallsyms(strings.NewReader("ffffffff00000000 T none\n"))
	if err != nil {
		m.t.Fatal(err)
	}
	isStamp := func(p place) bool { return p.pc == testLoop }
	tree, ops, err := attribute(m.arch, &m.log, &m.code, kernel, program, stamps, isStamp)
	if err != nil {
		m.t.Fatal(err)
	}
	var stacks [][]string
	for i := range ops {
		var b strings.Builder
		p := &Profile{tree: tree, one: &ops[i]}
		p.WriteFolded(&b)
		stacks = append(stacks, slices.Sorted(strings.Lines(b.String())))
	}
	return ops, stacks
}

func checkStacks(t *testing.T, got []string, want string) {
	t.Helper()
	wanted := slices.Sorted(strings.Lines(strings.ReplaceAll(strings.TrimLeft(want, "\n"), "\t", "")))
	if !slices.Equal(got, wanted) {
		t.Errorf("stacks:\n%swant:\n%s", strings.Join(got, ""), strings.Join(wanted, ""))
	}
}

// A system call with a call, a tail call through a retpoline and the preamble
// of an indirect call's target.
func TestCalls(t *testing.T) {
	m := newTestMachine(t)
	m.do("stamp 400000")
	m.do(`nop 400002
		syscall 400003
		nop ffffffff81000000
		call ffffffff81000010
		call ffffffff81001000
		jmp ffffffff81002000
		nop ffffffff81009000
		call ffffffff81009001
		ret ffffffff81008000
		nop ffffffff8100a010
		ret ffffffff8100a011
		ret ffffffff81009006
		nop ffffffff81001005
		ret ffffffff81001006
		sysret ffffffff81000015
		nop 400005
		stamp 400000`)
	ops, stacks := m.attribute(0, 17)
	checkStacks(t, stacks[0], `
user: [unknown] 4
user: [unknown];entry_SYSCALL_64 3
user: [unknown];entry_SYSCALL_64;do_syscall_64 3
user: [unknown];entry_SYSCALL_64;do_syscall_64;ksys_write 1
user: [unknown];entry_SYSCALL_64;do_syscall_64;vfs_write 3
user: [unknown];entry_SYSCALL_64;do_syscall_64;vfs_write;__x86_indirect_thunk_rax 1
user: [unknown];entry_SYSCALL_64;do_syscall_64;vfs_write;eventfd_write 2
`)
	if !ops[0].exact() {
		t.Errorf("%d instructions logged, %d counted", ops[0].logged, ops[0].stamped)
	}
}

// An instruction that faults is logged twice and counted once.
func TestFault(t *testing.T) {
	m := newTestMachine(t)
	m.do("stamp 400000")
	m.do(`syscall 400003
		call ffffffff81000000
		nop ffffffff81002000
		load ffffffff81002001
		nop ffffffff81003000
		iret ffffffff81003001
		load ffffffff81002001
		ret ffffffff81002004
		sysret ffffffff81000005
		stamp 400000`)
	ops, stacks := m.attribute(0, 9)
	checkStacks(t, stacks[0], `
user: [unknown] 2
user: [unknown];entry_SYSCALL_64 2
user: [unknown];entry_SYSCALL_64;ksys_write 3
user: [unknown];entry_SYSCALL_64;ksys_write;asm_exc_page_fault 2
`)
	if o := ops[0]; !o.exact() || o.classes[interrupts] != 1 || o.classes[loads] != 2 {
		t.Errorf("%d instructions logged of %d counted, %d exceptions and %d loads; want 9, 9, 1 and 2", o.logged, o.stamped, o.classes[interrupts], o.classes[loads])
	}
}

// An interrupt comes after an instruction, and its stack is on top of what it
// interrupts, in the kernel and in the program.
func TestInterrupt(t *testing.T) {
	m := newTestMachine(t)
	m.do("stamp 400000")
	m.do(`nop 400002
		nop ffffffff81004000
		iret ffffffff81004001
		syscall 400003
		call ffffffff81000000
		nop ffffffff81002000
		nop ffffffff81004000
		iret ffffffff81004001
		ret ffffffff81002001
		sysret ffffffff81000005
		stamp 400000`)
	ops, stacks := m.attribute(0, 11)
	checkStacks(t, stacks[0], `
user: [unknown] 3
user: [unknown];asm_sysvec_apic_timer_interrupt 2
user: [unknown];entry_SYSCALL_64 2
user: [unknown];entry_SYSCALL_64;ksys_write 2
user: [unknown];entry_SYSCALL_64;ksys_write;asm_sysvec_apic_timer_interrupt 2
`)
	if o := ops[0]; !o.exact() || o.classes[interrupts] != 2 {
		t.Errorf("%d instructions logged of %d counted, %d interrupts; want 2", o.logged, o.stamped, o.classes[interrupts])
	}
}

// A task that was switched to has the stack that it will return through. One
// that gives way before it has returned has that of when it gave way before.
func TestSwitch(t *testing.T) {
	m := newTestMachine(t)
	away := `syscall 400003
		call ffffffff81000000
		call ffffffff81001000
		call ffffffff81005000
		jmp ffffffff81006000
		`
	back := `ret ffffffff81007000
		ret ffffffff81005005
		ret ffffffff81001005
		sysret ffffffff81000005
		`
	m.do("stamp 400000")
	// To another process, which comes from the same place in schedule.
	m.do(away + back + "nop 401000\n")
	// From it to the idle task, which was never seen, and returns nowhere.
	m.do("syscall 401003\n" + strings.Join(strings.SplitAfter(away, "\n")[1:], "") +
		"ret ffffffff81007000\nret ffffffff81005005\nhlt ffffffff8100b000\n")
	// Idle gives way to the first one.
	m.do("call ffffffff8100b001\ncall ffffffff81005000\njmp ffffffff81006000\n" + back + "stamp 400000\n")
	ops, stacks := m.attribute(0, 27)
	checkStacks(t, stacks[0], `
user: [unknown] 4
user: [unknown];entry_SYSCALL_64 4
user: [unknown];entry_SYSCALL_64;do_syscall_64 4
user: [unknown];entry_SYSCALL_64;do_syscall_64;schedule 4
user: [unknown];entry_SYSCALL_64;do_syscall_64;schedule;__switch_to 2
user: [unknown];entry_SYSCALL_64;do_syscall_64;schedule;__switch_to_asm 2
[idle: the clock jumps to the next timer] 1
do_idle 2
do_idle;schedule 2
do_idle;schedule;__switch_to 1
do_idle;schedule;__switch_to_asm 1
`)
	if o := ops[0]; o.logged != 26 || o.idle != 1 || !o.exact() || o.classes[switches] != 3 {
		t.Errorf("%d instructions logged, %d idle, of %d; %d switches; want 26, 1, 27 and 3", o.logged, o.idle, o.stamped, o.classes[switches])
	}
}

// A log that is longer than what was counted is not exact, nor is a shorter one
// unless the machine was idle.
func TestInexact(t *testing.T) {
	for _, counted := range []uint64{4, 6} {
		m := newTestMachine(t)
		m.do("stamp 400000\nsyscall 400003\nnop ffffffff81000000\nnop ffffffff81000001\nsysret ffffffff81000002\nstamp 400000")
		if ops, _ := m.attribute(0, counted); ops[0].exact() {
			t.Errorf("%d instructions logged, %d counted: exact", ops[0].logged, ops[0].stamped)
		}
	}
}

// Functions of an arm64 kernel, whose entries are at offsets of one vector table.
const testSymbolsA64 = `ffff800080010000 T vectors
ffff800080011000 t el0t_64_sync
ffff800080012000 t el0t_64_sync_handler
ffff800080013000 t __arm64_sys_write
ffff800080014000 t el1h_64_sync
ffff800080015000 t el1h_64_irq
ffff800080016000 t schedule
ffff800080017000 T __switch_to
ffff800080018000 T cpu_switch_to
`

var testCodeA64 = map[string][]byte{
	"nop": {0x1f, 0x20, 0x03, 0xd5}, "call": {0x04, 0, 0, 0x94}, "ret": {0xc0, 0x03, 0x5f, 0xd6}, "jmp": {0x04, 0, 0, 0x14},
	"svc": {0x01, 0, 0, 0xd4}, "eret": {0xe0, 0x03, 0x9f, 0xd6}, "stamp": {0x4a, 0xe0, 0x3b, 0xd5}, "load": {0x20, 0x04, 0x40, 0xf9},
	"brk": {0, 0, 0x21, 0xd4},
}

func newTestMachineA64(t *testing.T) *testMachine {
	return &testMachine{t: t, arch: archOf(guest.ARM64), symbols: testSymbolsA64, insns: testCodeA64, code: memory{pages: make(map[uint64][]byte)}}
}

// On arm64 system calls, faults and interrupts all enter by the vector table. A
// load that faults is executed again, a trap is not.
func TestEntriesA64(t *testing.T) {
	m := newTestMachineA64(t)
	m.do("stamp 400000")
	m.do(`svc 400004
		jmp ffff800080010400
		call ffff800080011000
		jmp ffff800080012000
		load ffff800080013000
		jmp ffff800080010200
		eret ffff800080014000
		load ffff800080013000
		brk ffff800080013004
		jmp ffff800080010200
		eret ffff800080014000
		nop ffff800080013008
		jmp ffff800080010280
		eret ffff800080015000
		ret ffff80008001300c
		eret ffff800080011004
		stamp 400000`)
	ops, stacks := m.attribute(0, 16)
	checkStacks(t, stacks[0], `
user: [unknown] 2
user: [unknown];vectors 1
user: [unknown];el0t_64_sync 2
user: [unknown];el0t_64_sync;el0t_64_sync_handler 1
user: [unknown];el0t_64_sync;__arm64_sys_write 4
user: [unknown];el0t_64_sync;__arm64_sys_write;vectors 3
user: [unknown];el0t_64_sync;__arm64_sys_write;el1h_64_sync 2
user: [unknown];el0t_64_sync;__arm64_sys_write;el1h_64_irq 1
`)
	if o := ops[0]; !o.exact() || o.classes[interrupts] != 3 || o.classes[entries] != 5 {
		t.Errorf("%d instructions logged of %d counted, %d interrupts, %d entries and exits; want 16, 16, 3 and 5", o.logged, o.stamped, o.classes[interrupts], o.classes[entries])
	}
}

// A task is switched to where cpu_switch_to begins: what that returns to is
// another task's.
func TestSwitchA64(t *testing.T) {
	m := newTestMachineA64(t)
	m.do("stamp 400000")
	m.do(`svc 400004
		jmp ffff800080010400
		call ffff800080011000
		call ffff800080016000
		call ffff800080017000
		ret ffff800080018000
		ret ffff800080017004
		ret ffff800080016004
		eret ffff800080011004
		stamp 400000`)
	ops, stacks := m.attribute(0, 10)
	checkStacks(t, stacks[0], `
user: [unknown] 2
user: [unknown];vectors 1
user: [unknown];el0t_64_sync 2
user: [unknown];el0t_64_sync;schedule 2
user: [unknown];el0t_64_sync;schedule;__switch_to 2
user: [unknown];el0t_64_sync;schedule;__switch_to;cpu_switch_to 1
`)
	if o := ops[0]; !o.exact() || o.classes[switches] != 1 {
		t.Errorf("%d instructions logged of %d counted, %d switches; want 10, 10 and 1", o.logged, o.stamped, o.classes[switches])
	}
}

// The rows of two kernels add up, with functions that one of them inlines and
// without.
func TestRows(t *testing.T) {
	profile := func(symbolText string, self map[string]int) *Profile {
		kernel, err := symbols.ReadKallsyms(strings.NewReader(symbolText))
		if err != nil {
			t.Fatal(err)
		}
		p := &Profile{tree: newTree(), kernel: kernel, classNames: &archs[0].classNames}
		o := &operation{self: make(map[int]int), calls: make(map[int]int)}
		for _, stack := range slices.Sorted(maps.Keys(self)) {
			at := 0
			for _, name := range strings.Split(stack, ";") {
				at = p.tree.child(at, p.tree.function(function{name, name == "loop"}))
			}
			o.self[at] = self[stack]
			o.stamped += self[stack]
			o.logged += self[stack]
		}
		p.one, p.Count = o, o.stamped
		return p
	}
	syms := func(names ...string) (text string) {
		for i, n := range names {
			text += fmt.Sprintf("ffffffff8100%d000 T %s\n", i, n)
		}
		return text
	}
	a := profile(syms("entry", "outer", "inner"), map[string]int{"loop": 10, "loop;entry": 5, "loop;entry;outer": 20, "loop;entry;outer;inner": 30})
	b := profile(syms("entry", "outer", "added"), map[string]int{"loop": 10, "loop;entry": 5, "loop;entry;outer": 52, "loop;entry;added": 7})
	check := func(raw bool, want ...string) {
		t.Helper()
		var got []string
		old, new := 0, 0
		for _, r := range rows(a, a.one, b, b.one, raw) {
			row := fmt.Sprintf("%s %d %d", r.Label(), r.Old, r.New)
			for _, p := range r.With {
				row += fmt.Sprintf(" %s %d %d", p.Function, p.Old, p.New)
			}
			got = append(got, row)
			old, new = old+r.Old, new+r.New
		}
		if old != a.Count || new != b.Count {
			t.Errorf("rows add up to %d and %d, want %d and %d", old, new, a.Count, b.Count)
		}
		if !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
	}
	check(false, "entry 5 12 added 0 7", "outer 50 52 inner 30 0", "user: loop 10 10")
	check(true, "outer 20 52", "inner 30 0", "added 0 7", "user: loop 10 10", "entry 5 5")
}
