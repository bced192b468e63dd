// Package help answers the -h of commands.
package help

import (
	"flag"
	"fmt"
	"io"
)

// Print prints the usage and the flags, and returns the exit status.
func Print(stdout io.Writer, usage string, flags *flag.FlagSet) int {
	fmt.Fprint(stdout, usage)
	flags.SetOutput(stdout)
	flags.PrintDefaults()
	return 0
}
