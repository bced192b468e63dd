//go:build linux

package behaviours

import "eventbench/helpers/behaviour"

// A traced process sees other signals than one that is not: it stops for each,
// also for those that it ignores and the kernel would otherwise drop; its stops
// are the tracer's, whose state is not that of SIGSTOP; and its waits end and
// are restarted. strace -f shows that with these rows.
func init() {
	behaviour.Disturb(
		"EFD-78", "EPL-088", "EPL-109", "EPL-125", "INT-22",
		"SFD-30", "SFD-49", "SFD-55",
		"SIG-19", "SIG-54", "SIG-56", "SIG-64", "SIG-66", "SIG-80", "SIG-89", "SIG-107", "SIG-120",
		"TFD-09", "TFD-66",
	)
}
