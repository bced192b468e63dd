//go:build linux

package machine

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// CPUs are the CPUs to measure on.
type CPUs struct {
	// Same is where both parties of cpus=same run: the highest-numbered CPU
	// allowed, because the lowest serve most interrupts.
	Same int
	// Cross are where the parties of cpus=cross run, Same first. They are
	// different cores of one package if possible.
	Cross [2]int
	// Relation is how the CPUs of Cross are related: "cores", "packages",
	// "smt-siblings", or "unknown" without /sys. It is "" if only one CPU
	// is allowed; Cross is then unusable.
	Relation string
}

// CPUs returns the CPUs to measure on, of those that are allowed.
//
// /sys/devices/system/cpu/cpuN/topology/thread_siblings_list and
// physical_package_id (Documentation/admin-guide/cputopology.rst).
func (s System) CPUs() CPUs {
	same := slices.Max(s.Allowed)
	c := CPUs{Same: same}
	siblings, known := parseCPUList(s.topology(same, "thread_siblings_list"))
	rank := []string{"unknown", "smt-siblings", "packages", "cores"}
	for _, cpu := range slices.Backward(s.Allowed) {
		if cpu == same {
			continue
		}
		relation := "cores"
		switch {
		case known != nil:
			relation = "unknown"
		case slices.Contains(siblings, cpu):
			relation = "smt-siblings"
		case s.topology(cpu, "physical_package_id") != s.topology(same, "physical_package_id"):
			relation = "packages"
		}
		if slices.Index(rank, relation) > slices.Index(rank, c.Relation) {
			c.Cross, c.Relation = [2]int{same, cpu}, relation
		}
	}
	return c
}

func (s System) topology(cpu int, file string) string {
	return s.read(fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/%s", cpu, file))
}

// parseCPUList returns the CPUs of a list such as "0-3,8,10-11" (the list
// format of cpuset(7)).
func parseCPUList(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 20)
		if err != nil {
			return nil, fmt.Errorf("CPU list %q: %w", list, err)
		}
		b, err := strconv.ParseUint(last, 10, 20)
		if err != nil {
			return nil, fmt.Errorf("CPU list %q: %w", list, err)
		}
		for cpu := a; cpu <= b; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}

// governor returns the frequency governor of the CPUs allowed:
// /sys/devices/system/cpu/cpuN/cpufreq/scaling_governor
// (Documentation/admin-guide/pm/cpufreq.rst). Several are joined by commas.
func (s System) governor() string {
	var all []string
	for _, cpu := range s.Allowed {
		if g := s.read(fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu)); g != "" {
			all = append(all, g)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// smt returns whether cores run more than one thread, from
// /sys/devices/system/cpu/smt/active, since 4.19
// (Documentation/ABI/testing/sysfs-devices-system-cpu).
func (s System) smt() string {
	switch s.read("sys/devices/system/cpu/smt/active") {
	case "0":
		return "off"
	case "1":
		return "on"
	}
	return ""
}

// cpuQuota returns how many CPUs' time the control groups grant. Threads that
// have used it up are throttled in mid-run. It returns "" without a quota.
//
// Version 2: cpu.max, Documentation/admin-guide/cgroup-v2.rst; version 1:
// cpu.cfs_quota_us, Documentation/scheduler/sched-bwc.rst. A group's quota also
// limits the groups below it, so the smallest on the way up counts.
func (s System) cpuQuota() string {
	quota := math.Inf(1)
	for _, g := range cpuGroups(s.read("proc/self/cgroup"), s.read("proc/self/mountinfo")) {
		for group := g.group; ; group = path.Dir(group) {
			dir := strings.TrimPrefix(g.mount+group, "/")
			fields := strings.Fields(s.read(path.Join(dir, "cpu.max")))
			if len(fields) == 0 {
				fields = []string{s.read(path.Join(dir, "cpu.cfs_quota_us")), s.read(path.Join(dir, "cpu.cfs_period_us"))}
			}
			if len(fields) == 2 {
				us, err1 := strconv.ParseFloat(fields[0], 64) // "max" and -1: no quota
				period, err2 := strconv.ParseFloat(fields[1], 64)
				if err1 == nil && err2 == nil && us > 0 && period > 0 {
					quota = min(quota, us/period)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	if math.IsInf(quota, 1) {
		return ""
	}
	return strconv.FormatFloat(quota, 'g', 4, 64)
}

// A cpuGroup is a control group: where its hierarchy is mounted, and its name
// there, absolute and clean, so that walking up from it ends at "/".
type cpuGroup struct{ mount, group string }

// cpuGroups returns the directories of the control groups that may have a CPU
// quota: that of version 2, and that of version 1's cpu controller. cgroup and
// mountinfo are the files of these names (cgroups(7), proc_pid_mountinfo(5)).
func cpuGroups(cgroup, mountinfo string) []cpuGroup {
	var groups []cpuGroup
	for line := range strings.Lines(cgroup) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		controllers, group := fields[1], fields[2]
		v1 := slices.Contains(strings.Split(controllers, ","), "cpu")
		if controllers != "" && !v1 {
			continue
		}
		for line := range strings.Lines(mountinfo) {
			before, after, _ := strings.Cut(line, " - ")
			f, g := strings.Fields(before), strings.Fields(after)
			if len(f) < 5 || len(g) < 3 {
				continue
			}
			if v1 && (g[0] != "cgroup" || !slices.Contains(strings.Split(g[2], ","), "cpu")) || !v1 && g[0] != "cgroup2" {
				continue
			}
			// The mount's root is "/", or in a container often the
			// container's group.
			below, ok := strings.CutPrefix(group, strings.TrimSuffix(f[3], "/"))
			if !ok || strings.HasPrefix(below, "/..") {
				below = ""
			}
			groups = append(groups, cpuGroup{strings.TrimSuffix(f[4], "/"), path.Clean("/" + below)})
		}
	}
	return groups
}
