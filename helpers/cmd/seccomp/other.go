//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "go tool seccomp: seccomp(2) is of Linux: run it there")
	os.Exit(125)
}
