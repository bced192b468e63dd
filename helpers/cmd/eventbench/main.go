// Eventbench measures what it costs Linux to tell a program that something
// happened, on this kernel, on others and under gVisor, and judges what changed.
//
//	go tool eventbench help
//
// lists its verbs, and go tool eventbench help VERB prints the manual of one.
// The manuals are in the directory manual.
package main

import (
	"os"
)

func main() {
	start()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
