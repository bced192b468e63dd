//go:build linux

package where

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/guest"
)

// Logs of the versions of QEMU that there are: of the first instructions, of
// some where a block was entered and not executed, and on arm64 of the kernel's
// first ones at its own addresses.
func TestReadLog(t *testing.T) {
	firmware := []uint64{0xfffffff0, 0xfe05b, 0xfe062}
	loader := []uint64{0x40000000, 0x40000004, 0x40000008}
	for _, log := range []struct {
		file   string
		arch   *guest.Arch
		first  []uint64
		kernel int // instructions of it
	}{
		{"qemu-5.log", guest.AMD64, firmware, 23},
		{"qemu-7.log", guest.AMD64, firmware, 23},
		{"qemu-10.log", guest.AMD64, firmware, 23},
		{"qemu-11.log", guest.AMD64, firmware, 23},
		// Before its MMU is on, an arm64 kernel is at low addresses.
		{"qemu-5-arm64.log", guest.ARM64, loader, 4},
		{"qemu-10-arm64.log", guest.ARM64, loader, 4},
		{"qemu-11-arm64.log", guest.ARM64, loader, 4},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", log.file))
		if err != nil {
			t.Fatal(err)
		}
		l := newLogReader(archOf(log.arch).user, func(place) bool { return true })
		if err := l.read(strings.NewReader(string(text) + endOfLog + "more")); err != nil {
			t.Errorf("%s: %v", log.file, err)
			continue
		}
		stopped := strings.Count(string(text), "Stopped")
		if want := strings.Count(string(text), "Trace"); l.traces != want || len(l.steps) != want-stopped || stopped != 1 {
			t.Errorf("%s: %d lines and %d instructions, want %d and 1 fewer", log.file, l.traces, len(l.steps), want)
		}
		for i, want := range log.first {
			if got := l.at[l.steps[i].place()]; got.pc != want {
				t.Errorf("%s: instruction %d is at %#x, want %#x", log.file, i, got.pc, want)
			}
		}
		kernel := 0
		for _, s := range l.steps {
			if !l.at[s.place()].user {
				kernel++
			}
		}
		if kernel != log.kernel {
			t.Errorf("%s: %d instructions of the kernel, want %d", log.file, kernel, log.kernel)
		}
	}
}

func TestParseTrace(t *testing.T) {
	check := func(line string, cpu int, pc, flags uint64, ok bool) {
		t.Helper()
		gotCPU, gotPC, gotFlags, gotOK := parseTrace([]byte(line))
		if gotOK != ok || ok && (gotCPU != cpu || gotPC != pc || gotFlags != flags) {
			t.Errorf("%q: processor %d, %#x, flags %#x, %v; want %d, %#x, %#x, %v", line, gotCPU, gotPC, gotFlags, gotOK, cpu, pc, flags, ok)
		}
	}
	check("1: 0x7f0b3c0001c0 [00000000/ffffffff81e00080/0040c0b0/ff000001] \n", 1, 0xffffffff81e00080, 0x40c0b0, true)
	check("0: 0x7f0b3c0001c0 [00000000/00000000004f3a20/0040c0b3/ff000001] \n", 0, 0x4f3a20, 0x40c0b3, true)
	check("12: 0x7f0b3c0001c0 [0000000000000000/00000000004f3a20/0x40c0b3] main\n", 12, 0x4f3a20, 0x40c0b3, true)
	check("0: 0x7f0b3c0001c0 [00000000/00000000004f3a20] \n", 0, 0, 0, false)
	check("0: 0x7f0b3c0001c0\n", 0, 0, 0, false)
	check("0x7f0b3c0001c0 [0/0/0/0]\n", 0, 0, 0, false)
	check("0: [0/x/0/0]\n", 0, 0, 0, false)
}

// What a line says of the mode is up to the architecture.
func TestUser(t *testing.T) {
	check := func(g *guest.Arch, pc, flags uint64, want bool) {
		t.Helper()
		if got := archOf(g).user(pc, flags); got != want {
			t.Errorf("%s, %#x, flags %#x: user mode %v, want %v", g, pc, flags, got, want)
		}
	}
	check(guest.AMD64, 0xffffffff81e00080, 0x40c0b0, false)
	check(guest.AMD64, 0x4f3a20, 0x40c0b3, true)
	check(guest.ARM64, 0xffff800080010400, 0x641, false)
	check(guest.ARM64, 0x10083aa0, 0x601, true)
}

// What is before the first stamp is not kept; another format is an error and
// not a short log.
func TestReadLogRefuses(t *testing.T) {
	line := func(pc, flags string) string { return "Trace 0: 0x7f [00000000/" + pc + "/" + flags + "/ff000001] \n" }
	stamp := func(p place) bool { return p.pc == 0x10 && p.user }
	l := newLogReader(archOf(guest.AMD64).user, stamp)
	if err := l.read(strings.NewReader(line("1", "0") + line("10", "0") + line("10", "3") + line("20", "3") + endOfLog)); err != nil {
		t.Fatal(err)
	}
	if l.traces != 4 || len(l.steps) != 2 {
		t.Errorf("%d lines, %d kept; want 4 and 2", l.traces, len(l.steps))
	}
	var format *formatError
	if err := newLogReader(archOf(guest.AMD64).user, stamp).read(strings.NewReader("Trace 0: 0x7f [10]\n")); !errors.As(err, &format) {
		t.Errorf("another format: error %v", err)
	}
	err := newLogReader(archOf(guest.AMD64).user, stamp).read(strings.NewReader(line("10", "3") + "Stopped execution of TB chain before 0x7f [0000000000000020] \n"))
	if err == nil || !strings.Contains(err.Error(), "0x20 was not executed, after one at 0x10") {
		t.Errorf("what was not executed is not what came last: error %v", err)
	}
}
