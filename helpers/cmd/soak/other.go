//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "go tool soak: eventbench measures Linux: run it there")
	os.Exit(1)
}
