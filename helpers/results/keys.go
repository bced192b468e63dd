package results

import "slices"

// A Role says what a configuration key has to do with comparing results.
type Role int

const (
	// Unknown is the role of a key that is not in the table, such as a
	// user's own: it may have any value anywhere, and whoever compares says
	// where it differs.
	Unknown Role = iota
	// MustAgree is that of a key on which figures depend though they are
	// not what is compared: results that differ in it are neither compared
	// nor taken together, unless the user says so.
	MustAgree
	// MayDiffer is that of what is compared. Old and new may differ in it,
	// but within one side a second value means that files were mixed up.
	MayDiffer
	// Varies is that of what describes the system and may change from
	// sample to sample. Whoever compares says where it differs.
	Varies
	// Orders is that of what tells samples apart: each has its own.
	Orders
	// Ignored is that of what says nothing about figures.
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

// Keys is the table of what must agree and what may differ between results: all
// that compares asks it. The first that differs is reported first.
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

// Allowable returns the keys that must agree unless the user says that they may
// differ.
func Allowable() []string {
	return slices.DeleteFunc(KeysOf(MustAgree), func(key string) bool { return key == Clock })
}

// follow are the keys that differ wherever another does, and say no more than
// it: a sandbox hides the machine.
var follow = map[string][]string{
	"sandbox": {"cross", "smt", "governor", "virt", "host-virt"},
}

// Allow returns the keys that may differ where those given may.
func Allow(keys []string) []string {
	all := slices.Clone(keys)
	for _, key := range keys {
		all = append(all, follow[key]...)
	}
	return all
}
