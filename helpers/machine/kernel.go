//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// kernelSeries returns the series of a release: "6.12" for
// "6.12.48+deb13-cloud-amd64", and "" for a release that does not start with
// two numbers.
func kernelSeries(release string) string {
	digits := func(s string) string {
		return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	}
	major := digits(release)
	rest, dot := strings.CutPrefix(release[len(major):], ".")
	minor := digits(rest)
	if !dot || major == "" || minor == "" {
		return ""
	}
	return major + "." + minor
}

// before reports whether the kernel is known to be of an earlier series than
// major.minor.
func (s System) before(major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(kernelSeries(s.Release), "%d.%d", &a, &b); err != nil {
		return false
	}
	return a < major || a == major && b < minor
}

// preemption returns the kernel's preemption model: where the kernel may be
// preempted decides how a wake-up on the same CPU proceeds.
//
// PREEMPT_DYNAMIC kernels choose among the models at boot
// (Documentation/admin-guide/kernel-parameters.txt, preempt=) or later in
// /sys/kernel/debug/sched/preempt, which only root can read. Otherwise the
// command line decides, and without it the build.
func (s System) preemption() string {
	inUse := bracketed(s.read("sys/kernel/debug/sched/preempt"))
	build := buildPreemption(s.read("proc/config.gz"), s.read("boot/config-"+s.Release))
	version := versionPreemption(s.Version)
	if s.read("sys/kernel/realtime") == "1" {
		version = "rt"
	}
	switch version {
	case "dynamic":
	case "rt", "lazy":
		return version
	case "full":
		// Since 6.13 a kernel of the lazy model has the same word in its
		// version, unless it is dynamic (PREEMPT_BUILD in
		// kernel/Kconfig.preempt).
		if build == "" && !s.before(6, 13) {
			return ""
		}
		if build == "lazy" {
			return build
		}
		return version
	default: // only the configuration distinguishes the others
		return build
	}
	for _, model := range []string{inUse, bootParameter(s.read("proc/cmdline"), "preempt"), build} {
		if model != "" {
			return "dynamic " + model
		}
	}
	return "dynamic"
}

// versionPreemption returns the model that the kernel's build put into its
// version (init/Makefile and scripts/mkcompile_h): "full" for PREEMPT, which
// kernels of the lazy model may have as well; "rt" for PREEMPT_RT and the
// "PREEMPT RT" of the out-of-tree patches; "dynamic"; or "lazy". It returns ""
// if the version names none, as for "none" and "voluntary" kernels.
func versionPreemption(version string) string {
	words := strings.Fields(version)
	for i, w := range words {
		switch w {
		case "PREEMPT_RT":
			return "rt"
		case "PREEMPT_DYNAMIC":
			return "dynamic"
		case "PREEMPT_LAZY":
			return "lazy"
		case "PREEMPT":
			if i+1 < len(words) && words[i+1] == "RT" {
				return "rt"
			}
			return "full"
		}
	}
	return ""
}

// buildPreemption returns the model of the first kernel configuration given
// that names one (kernel/Kconfig.preempt). A configuration is text, or that
// text compressed as in /proc/config.gz.
func buildPreemption(configs ...string) string {
	models := map[string]string{
		"CONFIG_PREEMPT_RT=y":        "rt",
		"CONFIG_PREEMPT=y":           "full",
		"CONFIG_PREEMPT_VOLUNTARY=y": "voluntary",
		"CONFIG_PREEMPT_LAZY=y":      "lazy",
		"CONFIG_PREEMPT_NONE=y":      "none",
	}
	for _, config := range configs {
		text := bufio.NewScanner(strings.NewReader(config))
		if z, err := gzip.NewReader(bytes.NewReader([]byte(config))); err == nil {
			text = bufio.NewScanner(z)
		}
		found := ""
		for text.Scan() {
			// PREEMPT_RT sets PREEMPT as well, in no particular
			// order.
			if m := models[text.Text()]; m != "" && found != "rt" {
				found = m
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// bracketed returns the text in parentheses: "full" of "none voluntary
// (full)".
func bracketed(s string) string {
	_, s, _ = strings.Cut(s, "(")
	s, _, found := strings.Cut(s, ")")
	if !found {
		return ""
	}
	return s
}

// bootParameter returns the value that takes effect for a parameter of
// /proc/cmdline, which is the last one
// (Documentation/admin-guide/kernel-parameters.rst). Words after "--" are for
// init.
func bootParameter(cmdline, name string) string {
	value := ""
	for _, w := range strings.Fields(cmdline) {
		if w == "--" {
			break
		}
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			value = v
		}
	}
	return value
}

const vulnerabilities = "sys/devices/system/cpu/vulnerabilities"

// mitigations returns the CPU vulnerabilities that this CPU has and what the
// kernel does about each: the largest part of the cost of entering the kernel.
//
// /sys/devices/system/cpu/vulnerabilities/* (Documentation/admin-guide/hw-vuln,
// Documentation/ABI/testing/sysfs-devices-system-cpu), since 4.15.
func (s System) mitigations() string {
	entries, err := fs.ReadDir(s.FS, vulnerabilities)
	if err != nil {
		return ""
	}
	texts := make(map[string]string)
	for _, e := range entries {
		texts[e.Name()] = s.read(vulnerabilities + "/" + e.Name())
	}
	return parseVulnerabilities(texts)
}

// parseVulnerabilities turns the texts of the vulnerability files into one
// short line, the same for systems that do the same:
//
//	meltdown=pti spectre_v2=retpolines,ibpb:conditional,rsb-filling
//
// Entries that are not affected or disabled are left out, and so is whether SMT
// is on, which has a line of its own.
func parseVulnerabilities(texts map[string]string) string {
	var out []string
	for name, text := range texts {
		if text == "" || text == "Not affected" {
			continue
		}
		text = strings.TrimPrefix(text, "KVM: ")
		text = strings.TrimPrefix(text, "Mitigation: ")
		// Before 6.9 the parts of spectre_v2 were separated by commas.
		parts := strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' })
		var keep []string
		for _, p := range parts {
			p = strings.ToLower(strings.TrimSpace(p))
			if strings.HasPrefix(p, "smt ") || strings.HasSuffix(p, ": not affected") || strings.HasSuffix(p, ": disabled") {
				continue
			}
			if short := shorter[p]; short != "" {
				p = short
			}
			p = strings.ReplaceAll(p, ": ", ":")
			keep = append(keep, strings.ReplaceAll(p, " ", "-"))
		}
		out = append(out, name+"="+strings.Join(keep, ","))
	}
	if len(out) == 0 {
		return "not affected"
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// shorter abbreviates the kernel's longest sentences.
var shorter = map[string]string{
	"usercopy/swapgs barriers and __user pointer sanitization":           "barriers",
	"vulnerable: __user pointer sanitization and usercopy barriers only": "vulnerable:barriers",
	"__user pointer sanitization":                                        "barriers",
	"speculative store bypass disabled via prctl":                        "prctl",
	"speculative store bypass disabled via prctl and seccomp":            "prctl+seccomp",
	"vulnerable: eibrs with unprivileged ebpf":                           "vulnerable:eibrs+ebpf",
	"enhanced / automatic ibrs":                                          "enhanced-ibrs",
	"vulnerable: clear cpu buffers attempted":                            "vulnerable:clear-cpu-buffers",
}
