package symbols

import (
	"strings"
	"testing"
)

const kallsyms = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000100 T entry_SYSCALL_64
ffffffff81000100 t __entry_text_start
ffffffff81000110 T entry_SYSCALL_64_after_hwframe
ffffffff810001f0 T __pfx_memcpy
ffffffff81000200 t $x
ffffffff81000200 W memcpy
ffffffff81000200 T __memcpy
ffffffff81000200 T __pi_memcpy
ffffffff81000300 t vfs_write.isra.0
ffffffff81000400 t vfs_write.isra.0.cold
ffffffff810004f0 t __cfi_ep_poll
ffffffff81000500 t ep_poll.constprop.12
ffffffff81000600 D jiffies
ffffffffc0000000 t module_function	[module]
`

func TestKallsyms(t *testing.T) {
	table, err := ReadKallsyms(strings.NewReader(kallsyms))
	if err != nil {
		t.Fatal(err)
	}
	check := func(addr uint64, name string, entry bool) {
		t.Helper()
		f, ok := table.Lookup(addr)
		if got := ok && f.Entry && f.Addr == addr; f.Name != name || got != entry {
			t.Errorf("%#x: %q, entered there: %v; want %q, %v", addr, f.Name, got, name, entry)
		}
	}
	check(0xffffffff80ffffff, "", false)
	check(0xffffffff81000100, "entry_SYSCALL_64", true)
	check(0xffffffff81000110, "entry_SYSCALL_64", false)
	check(0xffffffff810001f8, "memcpy", false)
	check(0xffffffff81000200, "memcpy", true)
	check(0xffffffff81000201, "memcpy", false)
	check(0xffffffff81000300, "vfs_write", true)
	check(0xffffffff81000400, "vfs_write", false)
	check(0xffffffff810004f0, "ep_poll", false)
	check(0xffffffff81000500, "ep_poll", true)
	check(0xffffffff81000700, "ep_poll", false) // data is no function
	check(0xffffffffc0000010, "module_function", false)
	for name, want := range map[string]bool{"vfs_write": true, "vfs_write.isra.0": true, "jiffies": false, "ep_poll": true, "__memcpy": true} {
		if table.Has(name) != want {
			t.Errorf("has %s: %v, want %v", name, !want, want)
		}
	}
	if addr, _ := table.Addr("ep_poll"); addr != 0xffffffff81000500 {
		t.Errorf("ep_poll is at %#x", addr)
	}
}

func TestKallsymsRefuses(t *testing.T) {
	check := func(text, want string) {
		t.Helper()
		if _, err := ReadKallsyms(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	check("", "no functions")
	check("ffffffff81000000 T _text\nnonsense\n", "line 2")
	check("xyz T _text\n", "line 1")
	// What an ordinary user gets to see of /proc/kallsyms.
	check("0000000000000000 T _text\n", "no functions")
}
