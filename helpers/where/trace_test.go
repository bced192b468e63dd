//go:build linux

package where

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Logs of the versions of QEMU that there are: of the firmware's first
// instructions, and of some where a block was entered and not executed.
func TestReadLog(t *testing.T) {
	for _, file := range []string{"testdata/qemu-7.log", "testdata/qemu-10.log"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l := newLogReader(func(place) bool { return true })
		if err := l.read(strings.NewReader(string(text) + endOfLog + "more")); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		stopped := strings.Count(string(text), "Stopped")
		if want := strings.Count(string(text), "Trace"); l.traces != want || len(l.steps) != want-stopped || stopped != 1 {
			t.Errorf("%s: %d lines and %d instructions, want %d and 1 fewer", file, l.traces, len(l.steps), want)
		}
		for i, want := range []uint64{0xfffffff0, 0xfe05b, 0xfe062} {
			if got := l.at[l.steps[i].place()]; got.pc != want || got.user {
				t.Errorf("%s: instruction %d is %+v, want one of the kernel at %#x", file, i, got, want)
			}
		}
	}
}

func TestParseTrace(t *testing.T) {
	check := func(line string, cpu int, want place, ok bool) {
		t.Helper()
		gotCPU, got, gotOK := parseTrace([]byte(line))
		if gotOK != ok || ok && (gotCPU != cpu || got != want) {
			t.Errorf("%q: processor %d, %+v, %v; want %d, %+v, %v", line, gotCPU, got, gotOK, cpu, want, ok)
		}
	}
	check("1: 0x7f0b3c0001c0 [00000000/ffffffff81e00080/0040c0b0/ff000001] \n", 1, place{0xffffffff81e00080, false}, true)
	check("0: 0x7f0b3c0001c0 [00000000/00000000004f3a20/0040c0b3/ff000001] \n", 0, place{0x4f3a20, true}, true)
	check("12: 0x7f0b3c0001c0 [0000000000000000/00000000004f3a20/0x40c0b3] main\n", 12, place{0x4f3a20, true}, true)
	check("0: 0x7f0b3c0001c0 [00000000/00000000004f3a20] \n", 0, place{}, false)
	check("0: 0x7f0b3c0001c0\n", 0, place{}, false)
	check("0x7f0b3c0001c0 [0/0/0/0]\n", 0, place{}, false)
	check("0: [0/x/0/0]\n", 0, place{}, false)
}

// What is before the first stamp is not kept; another format is an error and
// not a short log.
func TestReadLogRefuses(t *testing.T) {
	line := func(pc, flags string) string { return "Trace 0: 0x7f [00000000/" + pc + "/" + flags + "/ff000001] \n" }
	stamp := func(p place) bool { return p.pc == 0x10 && p.user }
	l := newLogReader(stamp)
	if err := l.read(strings.NewReader(line("1", "0") + line("10", "0") + line("10", "3") + line("20", "3") + endOfLog)); err != nil {
		t.Fatal(err)
	}
	if l.traces != 4 || len(l.steps) != 2 {
		t.Errorf("%d lines, %d kept; want 4 and 2", l.traces, len(l.steps))
	}
	var format *formatError
	if err := newLogReader(stamp).read(strings.NewReader("Trace 0: 0x7f [10]\n")); !errors.As(err, &format) {
		t.Errorf("another format: error %v", err)
	}
	err := newLogReader(stamp).read(strings.NewReader(line("10", "3") + "Stopped execution of TB chain before 0x7f [0000000000000020] \n"))
	if err == nil || !strings.Contains(err.Error(), "0x20 was not executed, after one at 0x10") {
		t.Errorf("what was not executed is not what came last: error %v", err)
	}
}
