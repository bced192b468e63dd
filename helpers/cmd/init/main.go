//go:build linux

// Init is the first process of a guest, and the program that shows a kernel's
// symbols to a debugger. The guest verb builds it, static, for each
// architecture: users never start it.
package main

import (
	"fmt"
	"os"

	"eventbench/helpers/guest/inside"
	"eventbench/helpers/where/kallsyms"
)

func main() {
	if kallsyms.Asked() {
		os.Exit(kallsyms.Show())
	}
	fmt.Fprintln(os.Stderr, "init:", inside.Run())
	os.Exit(2)
}
