//go:build linux

// Package kallsyms shows a kernel's symbols to a debugger of the guest.
package kallsyms

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Argument is what the guest's init is run with once more, as the guest's
// program, to show the symbols.
const Argument = "show-kernel-symbols"

// Path is where a kernel shows its symbols: see proc_kallsyms(5).
const Path = "/proc/kallsyms"

// Absent is the exit status if there are none.
const Absent = 3

// Read is the name of the function where a debugger stops to copy the symbols
// from the guest's memory: its arguments are in registers. There are megabytes of
// them, and each byte through a serial port would cost thousands of instructions.
const Read = "eventbench/helpers/where/kallsyms.read"

//go:noinline
func read(text []byte) {}

// Asked reports whether this process is to show the symbols.
func Asked() bool { return len(os.Args) == 2 && os.Args[1] == Argument }

// Show reads the symbols, shows them to the debugger and returns the exit
// status.
func Show() int {
	text, err := os.ReadFile(Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Absent
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	read(text)
	return 0
}
