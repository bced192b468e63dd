package results

import "slices"

// A Role is a configuration key's part in comparing results.
type Role int

const (
	// Unknown is the role of a key that is not in the table, such as a
	// user's own: it may have any value anywhere, and comparisons report
	// where it differs.
	Unknown Role = iota
	// MustAgree is the role of a key that figures depend on but that is not
	// compared: results that differ in it are neither compared nor
	// combined, unless the user allows it.
	MustAgree
	// MayDiffer is the role of what is compared. Old and new may differ in
	// it, but a second value within one side means that files were mixed
	// up.
	MayDiffer
	// Varies is the role of a property of the system that may change from
	// sample to sample. Comparisons report where it differs.
	Varies
	// Orders is the role of what identifies a sample: each has its own
	// value.
	Orders
	// Ignored is the role of what has no bearing on figures.
	Ignored
)

// A Key is a configuration key that this project writes, or that testing does.
type Key struct {
	Name string
	Role Role
	What string // what it says
}

// Clock is the key whose units have nothing in common. It is the one that must
// agree whatever a user allows.
const Clock = "clock"

// Keys is the table of what must agree and what may differ between results.
// Every comparison uses it. Differences are reported in its order.
var Keys = []Key{
	{Clock, MustAgree, "what figures are counted in"},
	// Where it was measured.
	{"accelerator", MustAgree, "how QEMU runs a guest: kvm, tcg"},
	{"qemu", MustAgree, "its version"},
	{"cpu-model", MustAgree, "the CPU that it emulates"},
	{"gomaxprocs", MustAgree, "GOMAXPROCS"},
	{"sandbox", MustAgree, "the sandbox it ran in"},
	{"goos", MustAgree, "operating system"},
	{"goarch", MustAgree, "architecture"},
	{"cpu", MustAgree, "the CPU's name"},
	{"cpus", MustAgree, "how many CPUs it may run on"},
	{"cpu-quota", MustAgree, "how much of them"},
	{"memory", MustAgree, "a guest's memory"},
	{"cross", MustAgree, "how far apart the CPUs of a crossing are"},
	{"smt", MustAgree, "whether cores have siblings"},
	{"governor", MustAgree, "how CPUs choose their frequency"},
	{"virt", MustAgree, "the hypervisor"},
	{"host-virt", MustAgree, "that of a sandbox's host"},
	// How it was measured.
	{"harness", MustAgree, "the code that measures"},
	{"benchtime", MustAgree, "operations in a loop, in a boot"},
	{"count", MustAgree, "loops of a benchmark, in a boot"},

	{"kernel", MayDiffer, "its series"},
	{"kernel-release", MayDiffer, "uname -r"},
	{"kernel-image", MayDiffer, "what was booted"},
	{"cmdline", MayDiffer, "what it was booted with"},
	{"preemption", MayDiffer, "its preemption model"},
	{"mitigations", MayDiffer, "of CPU vulnerabilities"},
	{"goversion", MayDiffer, "the Go version"},
	{"host-kernel-release", MayDiffer, "that of a sandbox's host"},
	{"host-mitigations", MayDiffer, "that of a sandbox's host"},

	{"mitigations-param", Varies, "the kernel's parameter of that name"},
	{"container", Varies, "the container it ran in"},
	{"clocksource", Varies, "what the kernel tells time by"},

	{"round", Orders, "of interleaved runs"},
	{"seed", Orders, "of a boot"},
	{"sample", Orders, "of a file that holds several"},

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

// Allowable returns the keys that must agree unless the user allows them to
// differ.
func Allowable() []string {
	return slices.DeleteFunc(KeysOf(MustAgree), func(key string) bool { return key == Clock })
}

// follow are the keys that differ whenever another does, and add nothing to it:
// a sandbox hides the machine.
var follow = map[string][]string{
	"sandbox": {"cross", "smt", "governor", "virt", "host-virt"},
}

// Allow returns the keys that may differ if the given ones may.
func Allow(keys []string) []string {
	all := slices.Clone(keys)
	for _, key := range keys {
		all = append(all, follow[key]...)
	}
	return all
}
