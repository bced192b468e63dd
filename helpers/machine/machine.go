//go:build linux

// Package machine describes the machine that a result was measured on, as
// configuration lines of the Go benchmark format, and chooses the CPUs to
// measure on.
//
// The lines, in the order they are printed:
//
//	kernel-release    6.12.48+deb13-cloud-amd64
//	kernel            6.12
//	preemption        full, voluntary, none, lazy, rt; "dynamic" before it when chosen at boot
//	mitigations       retbleed=untrained-return-thunk spectre_v1=barriers spectre_v2=retpolines
//	mitigations-param auto,nosmt
//	virt              none, kvm, qemu, xen, vmware, microsoft, ..., gvisor; vm when it hides its name
//	container         docker, podman, lxc, kubernetes, ...
//	cpus              8
//	cpu-quota         1.5
//	cross             cores, packages, smt-siblings
//	clocksource       tsc
//	governor          performance
//	smt               on, off
//	gomaxprocs        8
//	goversion         go1.26.0
//	clock             wall, instrs
//
// A line is left out if the system does not tell. An absent line makes no
// claim, while a guess would be taken for a fact when results are compared.
package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// A Line is one configuration line of the Go benchmark format.
type Line struct {
	Key   string // starts with a lower-case letter; no spaces, no upper case
	Value string // not empty; no newline, no space at either end
}

// String returns the line in the format, without a newline.
func (l Line) String() string { return l.Key + ": " + l.Value }

// A System is the source of the facts: the running system, or a recorded one.
type System struct {
	FS         fs.FS               // root of a file system that holds proc and sys
	Release    string              // release of uname(2)
	Version    string              // version of uname(2)
	KernelLog  string              // syslog(2), for gVisor; empty when it may not be read
	Allowed    []int               // CPUs of sched_getaffinity(2), ascending
	GOMAXPROCS int                 // runtime.GOMAXPROCS(0)
	GoVersion  string              // runtime.Version()
	Getenv     func(string) string // EVENTBENCH_CLOCK and EVENTBENCH_CONFIG are asked for
}

// Here returns the running system. Allowed is that of the calling thread: call
// it before a thread is pinned.
func Here() (System, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return System{}, fmt.Errorf("uname: %w", err)
	}
	allowed, err := Allowed()
	if err != nil {
		return System{}, err
	}
	return System{
		FS:         os.DirFS("/"),
		Release:    unix.ByteSliceToString(u.Release[:]),
		Version:    unix.ByteSliceToString(u.Version[:]),
		KernelLog:  kernelLog(),
		Allowed:    allowed,
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		GoVersion:  runtime.Version(),
		Getenv:     os.Getenv,
	}, nil
}

// Allowed returns the CPUs that the calling thread may run on, in ascending
// order. A mask shorter than the kernel's fails with EINVAL
// (sched_getaffinity(2)), hence the growing size.
func Allowed() ([]int, error) {
	for max := 1024; ; max *= 4 {
		set := unix.NewCPUSet(max)
		err := unix.SchedGetaffinityDynamic(0, set)
		if errors.Is(err, unix.EINVAL) && max < 1<<20 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sched_getaffinity: %w", err)
		}
		var cpus []int
		for cpu := range max {
			if set.IsSet(cpu) {
				cpus = append(cpus, cpu)
			}
		}
		return cpus, nil
	}
}

// kernelLog returns the start of the kernel's log. With kernel.dmesg_restrict
// ordinary users cannot read it.
func kernelLog() string {
	buf := make([]byte, 1<<16)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// Config returns the lines that describe the system, followed by the lines of
// EVENTBENCH_CONFIG. It fails only on an EVENTBENCH_CLOCK or EVENTBENCH_CONFIG
// that it cannot use. Only QEMU without KVM counts instructions: on any other
// machine that says what it is the counter counts time.
func (s System) Config() ([]Line, error) {
	clock, err := s.Clock()
	if err != nil {
		return nil, err
	}
	// A kernel without DMI (CONFIG_DMIID) cannot say that it runs in QEMU.
	if v := s.virt(); clock == "instrs" && v != "qemu" && v != "vm" && v != "" {
		return nil, fmt.Errorf("EVENTBENCH_CLOCK=instrs: here (virt: %s) the time-stamp counter counts time: "+
			"only a guest that go tool eventbench guest starts with -clock instrs counts instructions, and sets this by itself", v)
	}
	cpus := s.CPUs()
	var lines []Line
	add := func(key, value string) {
		// The kernel's texts are one line each. A newline within one
		// would start another line in the results.
		if value = strings.Join(strings.Fields(value), " "); value != "" {
			lines = append(lines, Line{key, value})
		}
	}
	add("kernel-release", s.Release)
	add("kernel", kernelSeries(s.Release))
	add("preemption", s.preemption())
	add("mitigations", s.mitigations())
	add("mitigations-param", bootParameter(s.read("proc/cmdline"), "mitigations"))
	add("virt", s.virt())
	add("container", s.container())
	add("cpus", fmt.Sprint(len(s.Allowed)))
	add("cpu-quota", s.cpuQuota())
	add("cross", cpus.Relation)
	add("clocksource", s.read("sys/devices/system/clocksource/clocksource0/current_clocksource"))
	add("governor", s.governor())
	add("smt", s.smt())
	add("gomaxprocs", fmt.Sprint(s.GOMAXPROCS))
	add("goversion", s.GoVersion)
	add("clock", clock)

	extra, err := parseConfig(s.Getenv("EVENTBENCH_CONFIG"))
	if err != nil {
		return nil, err
	}
	for _, x := range extra {
		known := false
		for _, l := range lines {
			if l.Key == x.Key && l.Value != x.Value {
				return nil, fmt.Errorf("EVENTBENCH_CONFIG: %q contradicts %q, which was found here: give it another key", x, l)
			}
			known = known || l.Key == x.Key
		}
		if !known {
			lines = append(lines, x)
		}
	}
	return lines, nil
}

// Clock returns what figures are counted in: "wall", or "instrs" in a guest
// whose time-stamp counter counts instructions. EVENTBENCH_CLOCK selects it.
func (s System) Clock() (string, error) {
	switch clock := s.Getenv("EVENTBENCH_CLOCK"); clock {
	case "", "wall":
		return "wall", nil
	case "instrs":
		return "instrs", nil
	default:
		return "", fmt.Errorf("EVENTBENCH_CLOCK=%q: want instrs, wall, or nothing", clock)
	}
}

// parseConfig returns the lines of EVENTBENCH_CONFIG. It refuses a malformed
// line, because readers of the format would take it for text and silently drop
// it.
func parseConfig(text string) ([]Line, error) {
	var lines []Line
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		bad := func(why string) error {
			return fmt.Errorf("EVENTBENCH_CONFIG, line %d: %q: %s; want \"key: value\"", i+1, line, why)
		}
		key, value, found := strings.Cut(line, ":")
		switch {
		case !found:
			return nil, bad("no colon")
		case key == "" || !unicode.IsLower([]rune(key)[0]):
			return nil, bad("the key must start with a lower-case letter")
		case strings.ContainsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsUpper(r) }):
			return nil, bad("the key must have no spaces and no upper case")
		case strings.TrimSpace(value) == "":
			return nil, bad("no value")
		case value[0] != ' ' && value[0] != '\t':
			return nil, bad("no space after the colon")
		case strings.ContainsFunc(strings.TrimSpace(value), unicode.IsControl):
			return nil, bad("a control character in the value")
		}
		for _, l := range lines {
			if l.Key == key {
				return nil, bad("the key occurs twice")
			}
		}
		lines = append(lines, Line{key, strings.TrimSpace(value)})
	}
	return lines, nil
}

// read returns a file's text without leading and trailing white space, or "" if
// the file does not exist or may not be read.
func (s System) read(name string) string {
	data, err := fs.ReadFile(s.FS, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimRight(string(data), "\x00"))
}

// exists reports whether a file exists.
func (s System) exists(name string) bool {
	_, err := fs.Stat(s.FS, name)
	return err == nil
}
