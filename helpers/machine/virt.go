//go:build linux

package machine

import (
	"strings"
	"sync"
)

// GVisor reports whether the kernel that runs this program is gVisor's.
var GVisor = sync.OnceValue(func() bool {
	system, err := Here()
	return err == nil && system.GVisor()
})

// GVisor reports whether the kernel is gVisor's, which imitates Linux: its
// release says so, in older versions only its log.
func (s System) GVisor() bool {
	return strings.Contains(s.Release, "gvisor") || strings.Contains(s.KernelLog, "Starting gVisor")
}

// virt returns the virtual machine that the kernel runs in, by the names of
// systemd-detect-virt(1), "vm" for one that hides its name, and "none" on bare
// hardware. It returns "" when /proc and /sys say nothing.
//
// An interrupt to another CPU and an idle CPU's wake-up leave most virtual
// machines, so a figure from one says little about bare hardware.
func (s System) virt() string {
	if s.GVisor() {
		return "gvisor"
	}
	// The clocks that a hypervisor offers name it, even if DMI names only
	// the machine's vendor (Documentation/virt/kvm/x86/cpuid.rst). They
	// also distinguish QEMU with KVM from QEMU without, whose DMI data are
	// the same.
	clocks := s.read("sys/devices/system/clocksource/clocksource0/available_clocksource")
	for _, w := range strings.Fields(clocks) {
		switch {
		case w == "kvm-clock":
			return "kvm"
		case w == "xen":
			return "xen"
		case strings.HasPrefix(w, "hyperv_clocksource"):
			return "microsoft"
		}
	}
	// /sys/class/dmi/id: Documentation/ABI/testing/sysfs-class-dmi.
	var dmi []string
	for _, f := range []string{"product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"} {
		dmi = append(dmi, s.read("sys/class/dmi/id/"+f))
	}
	if v := virtOfDMI(dmi); v != "" {
		return v
	}
	// Documentation/ABI/stable/sysfs-hypervisor-xen.
	if v := s.read("sys/hypervisor/type"); v != "" {
		return v
	}
	// Device trees: Documentation/devicetree/bindings/arm/xen.txt.
	if _, v, ok := strings.Cut(s.read("proc/device-tree/hypervisor/compatible"), ","); ok {
		return strings.TrimRight(strings.SplitN(v, "\x00", 2)[0], "\x00")
	}
	if strings.Contains(s.read("proc/device-tree/compatible"), "linux,dummy-virt") {
		return "qemu" // QEMU's "virt" board, with or without KVM
	}
	cpuinfo := s.read("proc/cpuinfo")
	for line := range strings.Lines(cpuinfo) {
		if flags, ok := strings.CutPrefix(line, "flags"); ok {
			// CPUID leaf 1, ECX bit 31, "hypervisor"
			// (arch/x86/include/asm/cpufeatures.h).
			if strings.Contains(flags+" ", " hypervisor ") || strings.HasSuffix(strings.TrimSpace(flags), " hypervisor") {
				return "vm"
			}
			return "none"
		}
	}
	if strings.Join(dmi, "") != "" {
		return "none" // a board that no hypervisor is known to emulate
	}
	return ""
}

// virtOfDMI returns the virtual machine whose firmware has these texts.
func virtOfDMI(texts []string) string {
	// A metal instance has its vendor's DMI data without a hypervisor.
	if strings.HasSuffix(texts[0], ".metal") {
		return ""
	}
	vendors := []struct{ text, name string }{
		{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Google Compute Engine", "kvm"},
		{"Amazon EC2", "amazon"},
		{"QEMU", "qemu"}, {"Bochs", "qemu"},
		{"VMware", "vmware"}, {"VMW", "vmware"},
		{"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"},
		{"Xen", "xen"},
		{"Parallels", "parallels"},
		{"BHYVE", "bhyve"},
		{"Hyper-V", "microsoft"},
		{"Apple Virtualization", "apple"},
	}
	for _, text := range texts {
		for _, v := range vendors {
			if strings.HasPrefix(text, v.text) {
				return v.name
			}
		}
	}
	return ""
}

// container returns the container that the process runs in, if it can be seen:
// from the files that container managers leave in the root, otherwise from the
// names of the control groups (proc(5), /proc/PID/cgroup). A container runs on
// the host's kernel, but under its seccomp filter, which costs each call.
func (s System) container() string {
	switch {
	case strings.Contains(s.Version+s.Release, "Microsoft") || strings.Contains(s.Release, "microsoft"):
		return "wsl"
	case s.exists("run/.containerenv"):
		return "podman"
	case s.exists("var/run/secrets/kubernetes.io"):
		return "kubernetes"
	case s.exists(".dockerenv"):
		return "docker"
	}
	// https://systemd.io/CONTAINER_INTERFACE: what PID 1 was told.
	if v := s.read("run/systemd/container"); v != "" {
		return v
	}
	groups := s.read("proc/self/cgroup")
	for _, c := range []struct{ text, name string }{
		{"kubepods", "kubernetes"}, {"docker", "docker"}, {"libpod", "podman"}, {"containerd", "containerd"}, {"/lxc", "lxc"},
	} {
		if strings.Contains(groups, c.text) {
			return c.name
		}
	}
	return ""
}
