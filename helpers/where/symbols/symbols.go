// Package symbols finds the function that an address belongs to: for a kernel
// from /proc/kallsyms, System.map or vmlinux, and for a program from its ELF
// file.
package symbols

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A Table holds the functions of one image by address.
type Table struct {
	funcs []Func
	names map[string]uint64 // where each begins
}

// A Func is a function, or a part of one that lies elsewhere.
type Func struct {
	Name string
	Addr uint64
	// Entry says whether a call of the function begins at Addr. It does not
	// for code placed before a function (__cfi_, __pfx_) or apart from it
	// (.cold).
	Entry bool
	end   uint64 // if it is known
}

// Lookup returns the function that contains the instruction at addr.
func (t *Table) Lookup(addr uint64) (Func, bool) {
	i, exact := slices.BinarySearchFunc(t.funcs, addr, func(f Func, addr uint64) int { return cmp.Compare(f.Addr, addr) })
	if !exact {
		i--
	}
	if i < 0 || t.funcs[i].end != 0 && addr >= t.funcs[i].end {
		return Func{}, false
	}
	return t.funcs[i], true
}

// Has reports whether a function of that name exists.
func (t *Table) Has(name string) bool {
	_, ok := t.names[name]
	return ok
}

// Addr returns where the function begins.
func (t *Table) Addr(name string) (uint64, bool) {
	addr, ok := t.names[name]
	return addr, ok
}

// A symbol is one as a file has it.
type symbol struct {
	name string
	addr uint64
	end  uint64
}

func newTable(all []symbol) (*Table, error) {
	// Assemblers for Arm mark where code and data begin ($x, $d).
	all = slices.DeleteFunc(all, func(s symbol) bool { return strings.HasPrefix(s.name, "$") })
	if len(all) == 0 {
		return nil, errors.New("no functions in it")
	}
	slices.SortStableFunc(all, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(rank(a.name), rank(b.name)), cmp.Compare(a.name, b.name))
	})
	t := &Table{names: make(map[string]uint64)}
	for i, s := range all {
		f := function(s)
		if _, ok := t.names[s.name]; !ok {
			t.names[s.name] = s.addr
		}
		if f.Name != s.name && f.Entry {
			if _, ok := t.names[f.Name]; !ok {
				t.names[f.Name] = s.addr
			}
		}
		if i > 0 && all[i-1].addr == s.addr {
			continue // the best name came first
		}
		t.funcs = append(t.funcs, f)
	}
	return t, nil
}

// rank orders the names of one address, best first. A function must get the
// same name on every kernel, even if one of them lacks an alias.
func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "__pi_"):
		return 8 // a copy of the name for code that runs early
	case strings.HasSuffix(name, "text_start"), strings.HasSuffix(name, "text_end"), strings.HasSuffix(name, "_begin"),
		name == "_text", name == "_stext", name == "_etext", name == "__end_entry_text":
		return 9 // a border of a section
	case strings.HasPrefix(name, "__pfx_"), strings.HasPrefix(name, "__cfi_"):
		return 7
	}
	return len(name) - len(strings.TrimLeft(name, "_")) // at most a few
}

// prefixes belong to code that the compiler puts before a function: room for a
// tracer, and the type check of an indirect call.
var prefixes = []string{"__pfx_", "__cfi_"}

// parts are labels within the code by which a system call enters.
var parts = map[string]string{
	"entry_SYSCALL_64_safe_stack":       "entry_SYSCALL_64",
	"entry_SYSCALL_64_after_hwframe":    "entry_SYSCALL_64",
	"entry_SYSRETQ_unsafe_stack":        "entry_SYSCALL_64",
	"entry_SYSRETQ_end":                 "entry_SYSCALL_64",
	"syscall_return_via_sysret":         "entry_SYSCALL_64",
	"__irqentry_text_start":             "irq_entries_start",
	"spurious_entries_start":            "irq_entries_start",
	"common_interrupt_return":           "swapgs_restore_regs_and_return_to_usermode",
	"restore_regs_and_return_to_kernel": "swapgs_restore_regs_and_return_to_usermode",
}

// function returns the name of the function that a symbol belongs to. Compilers
// make copies of a function (.isra.0, .constprop.0, .part.0) and move rarely
// executed code out of it (.cold).
func function(s symbol) Func {
	f := Func{Name: s.name, Addr: s.addr, Entry: true, end: s.end}
	for _, p := range prefixes {
		if name, ok := strings.CutPrefix(f.Name, p); ok {
			f.Name, f.Entry = name, false
		}
	}
	f.Name = strings.TrimPrefix(f.Name, "__pi_")
	if whole, ok := parts[f.Name]; ok {
		f.Name, f.Entry = whole, false
		return f
	}
	for {
		i := strings.LastIndexByte(f.Name, '.')
		if i <= 0 {
			return f
		}
		switch part := f.Name[i+1:]; {
		case part == "cold":
			f.Entry = false
		case part == "isra", part == "constprop", part == "part", part == "llvm":
		case part != "" && strings.Trim(part, "0123456789") == "":
		default:
			return f
		}
		f.Name = f.Name[:i]
	}
}

// ReadKallsyms reads the format of /proc/kallsyms and System.map: a line for
// each symbol with its address, type and name, and the module if it belongs to
// one.
func ReadKallsyms(r io.Reader) (*Table, error) {
	var all []symbol
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		fields := bytes.Fields(in.Bytes())
		if len(fields) < 3 || len(fields[1]) != 1 {
			return nil, fmt.Errorf("line %d: %.60q: want an address, a type and a name, as System.map has them", n, in.Text())
		}
		addr, err := strconv.ParseUint(string(fields[0]), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %.60q: want an address in hexadecimal first", n, in.Text())
		}
		switch fields[1][0] {
		case 't', 'T', 'w', 'W':
		default:
			continue
		}
		if addr>>63 == 0 { // user space, or all that an ordinary user gets to see
			continue
		}
		all = append(all, symbol{name: string(fields[2]), addr: addr})
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	return newTable(all)
}

// ReadELF reads the symbol table of an ELF file: a program, or a vmlinux.
func ReadELF(r io.ReaderAt) (*Table, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	syms, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil, errors.New("no symbol table: it was built with -ldflags=-s, or stripped")
	}
	if err != nil {
		return nil, err
	}
	var all []symbol
	for _, s := range syms {
		if s.Name == "" || int(s.Section) >= len(f.Sections) || s.Section == elf.SHN_UNDEF {
			continue
		}
		text := f.Sections[s.Section].Flags&elf.SHF_EXECINSTR != 0
		if kind := elf.ST_TYPE(s.Info); !text || kind != elf.STT_FUNC && kind != elf.STT_NOTYPE {
			continue
		}
		one := symbol{name: s.Name, addr: s.Value}
		if s.Size > 0 {
			one.end = s.Value + s.Size
		}
		all = append(all, one)
	}
	return newTable(all)
}
