package results

import "slices"

// A Role says what part a configuration key has in comparing results.
type Role int

const (
	// Unknown is the role of a key that is not in the table, such as a
	// user's own. It may have any values, and comparisons report where it
	// differs.
	Unknown Role = iota
	// MustAgree is the role of a key that affects figures but is not what
	// is compared. Results that differ in it are neither compared nor
	// combined unless the user allows it.
	MustAgree
	// MayDiffer is the role of what is compared. It may differ between old
	// and new, but two values on one side mean that files were mixed up.
	MayDiffer
	// Varies is the role of a property of the system that may change from
	// sample to sample. Comparisons report where it differs.
	Varies
	// Orders is the role of what identifies a sample: each has its own
	// value.
	Orders
	// Ignored is the role of a key that does not affect figures.
	Ignored
)

// A Key is a configuration key that this project or package testing writes.
type Key struct {
	Name string
	Role Role
	What string // meaning
}

// Clock is the key that must agree whatever the user allows: units of different
// clocks have nothing in common.
const Clock = "clock"

// Machine is the key of the machine that rounds were measured on. Counted
// instructions are no machine's, so guests do not write it.
const Machine = "machine"

// Keys says which keys must agree and which may differ between results. Every
// comparison uses this table, and reports differences in its order.
var Keys = []Key{
	{Clock, MustAgree, "the clock that figures are measured by"},
	// Where the measurement ran.
	{"accelerator", MustAgree, "how QEMU runs a guest: kvm, tcg"},
	{"qemu", MustAgree, "QEMU's version"},
	{"cpu-model", MustAgree, "the CPU that QEMU emulates"},
	{"gomaxprocs", MustAgree, "GOMAXPROCS"},
	{"sandbox", MustAgree, "the sandbox"},
	{"goos", MustAgree, "the operating system"},
	{"goarch", MustAgree, "architecture"},
	{"cpu", MustAgree, "the CPU's name"},
	{"cpus", MustAgree, "the number of CPUs it may use"},
	{"cpu-quota", MustAgree, "the share of them that it may use"},
	{"memory", MustAgree, "a guest's memory"},
	{"cross", MustAgree, "how far apart the CPUs of cpus=cross are"},
	{"smt", MustAgree, "whether cores have several threads"},
	{"governor", MustAgree, "how CPUs choose their frequency"},
	{"virt", MustAgree, "the hypervisor"},
	{"host-virt", MustAgree, "the hypervisor of a sandbox's host"},
	// How the measurement was made.
	{"harness", MustAgree, "the code that measures"},
	{"benchtime", MustAgree, "operations in a loop of a boot"},
	{"count", MustAgree, "loops of a benchmark in a boot"},

	{Machine, MayDiffer, "the machine that rounds were measured on"},
	{"kernel", MayDiffer, "its series"},
	{"kernel-release", MayDiffer, "uname -r"},
	{"kernel-image", MayDiffer, "the image that was booted"},
	{"settings", MayDiffer, "what was set for the kernel"},
	{"cmdline", MayDiffer, "the kernel's command line"},
	{"preemption", MayDiffer, "the kernel's preemption model"},
	{"mitigations", MayDiffer, "mitigations of CPU vulnerabilities"},
	{"goversion", MayDiffer, "the Go version"},
	{"seccomp", MayDiffer, "comparisons of a filter before each system call"},
	{"host-kernel-release", MayDiffer, "uname -r of a sandbox's host"},
	{"host-mitigations", MayDiffer, "mitigations of a sandbox's host"},

	{"mitigations-param", Varies, "the kernel parameter mitigations="},
	{"container", Varies, "the container"},
	{"clocksource", Varies, "the kernel's clock source"},

	{"round", Orders, "the round, if arms are interleaved"},
	{"seed", Orders, "of a boot"},
	{"sample", Orders, "the sample, if a file holds several"},

	{"pkg", Ignored, "part of a benchmark's name"},
}

// RoleOf returns the role of a key.
func RoleOf(key string) Role {
	for _, k := range Keys {
		if k.Name == key {
			return k.Role
		}
	}
	return Unknown
}

// KeysOf returns the keys of a role, in the order of the table.
func KeysOf(role Role) []string {
	var names []string
	for _, k := range Keys {
		if k.Role == role {
			names = append(names, k.Name)
		}
	}
	return names
}

// Allowable returns the keys that must agree unless the user allows a
// difference.
func Allowable() []string {
	return slices.DeleteFunc(KeysOf(MustAgree), func(key string) bool { return key == Clock })
}

// follow lists the keys that differ whenever another one does and add nothing
// to it: a sandbox hides the machine.
var follow = map[string][]string{
	"sandbox": {"cross", "smt", "governor", "virt", "host-virt"},
}

// Allow returns the given keys and the keys that follow them.
func Allow(keys []string) []string {
	all := slices.Clone(keys)
	for _, key := range keys {
		all = append(all, follow[key]...)
	}
	return all
}
