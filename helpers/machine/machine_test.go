//go:build linux

package machine

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/tools/txtar"
)

// TestRecorded reads recorded systems: testdata/*.txtar have the relevant files
// of /proc and /sys, uname, the CPUs allowed, and the lines wanted.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.txtar: got %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := mustRecorded(t, file)
			lines, err := s.Config()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range lines {
				got = append(got, l.String())
			}
			want := strings.Split(s.read("want"), "\n")
			want = append(want, "gomaxprocs: 4", "goversion: go1.26.0", "clock: wall")
			// The order is the same for all systems and is not
			// recorded.
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
}

// TestHere reads the running system, and reads the lines back as a user's tools
// do.
func TestHere(t *testing.T) {
	s, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	s.Getenv = noEnv
	lines, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	want := make(map[string]string)
	for _, l := range lines {
		fmt.Fprintln(&text, l)
		want[l.Key] = l.Value
	}
	for _, key := range []string{"kernel-release", "kernel", "cpus", "gomaxprocs", "goversion", "clock"} {
		if want[key] == "" {
			t.Errorf("no line %q on the running system, which has all of these", key)
		}
	}
	fmt.Fprintln(&text, "BenchmarkX 1 1 ns/op")
	r := benchfmt.NewReader(&text, "here")
	for r.Scan() {
		res, ok := r.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("read back %T: %v", r.Result(), r.Result())
		}
		for _, c := range res.Config {
			if c.File && want[c.Key] != string(c.Value) {
				t.Errorf("read back %s: got %q, want %q", c.Key, c.Value, want[c.Key])
			}
			delete(want, c.Key)
		}
	}
	if len(want) != 0 {
		t.Errorf("a reader of benchmark format does not see %v", want)
	}
	if c := s.CPUs(); !slices.Contains(s.Allowed, c.Same) {
		t.Errorf("CPUs().Same: got %d, want one of %v", c.Same, s.Allowed)
	}
}

func TestAllowedAscends(t *testing.T) {
	cpus, err := Allowed()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) == 0 || !slices.IsSorted(cpus) {
		t.Errorf("Allowed() = %v, want at least one CPU, in ascending order", cpus)
	}
	if n := runtime.NumCPU(); len(cpus) != n {
		t.Errorf("Allowed() has %d CPUs, runtime.NumCPU() %d", len(cpus), n)
	}
}

func TestCPUs(t *testing.T) {
	check := func(t *testing.T, file string, want CPUs) {
		t.Helper()
		if got := mustRecorded(t, file).CPUs(); got != want {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
	check(t, "testdata/firecracker.txtar", CPUs{Same: 1, Cross: [2]int{1, 0}, Relation: "cores"})
	// 6 and 2 share a core, 5 is in the other package: 4 is the highest
	// that is neither.
	check(t, "testdata/server.txtar", CPUs{Same: 6, Cross: [2]int{6, 4}, Relation: "cores"})
	check(t, "testdata/smt.txtar", CPUs{Same: 3, Cross: [2]int{3, 2}, Relation: "smt-siblings"})
	check(t, "testdata/gvisor.txtar", CPUs{Same: 1, Cross: [2]int{1, 0}, Relation: "unknown"})
	check(t, "testdata/bare.txtar", CPUs{Same: 3})
}

func TestCPUQuota(t *testing.T) {
	check := func(t *testing.T, want string, files map[string]string) {
		t.Helper()
		var a txtar.Archive
		for name, text := range files {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
		}
		if got := (System{FS: mustFS(t, &a)}).cpuQuota(); got != want {
			t.Errorf("got %q, want %q, of %v", got, want, files)
		}
	}
	v2 := "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	// The smallest quota on the way up counts.
	check(t, "1.5", map[string]string{
		"proc/self/cgroup":                  "0::/a/b\n",
		"proc/self/mountinfo":               v2,
		"sys/fs/cgroup/a/cpu.max":           "150000 100000\n",
		"sys/fs/cgroup/a/b/cpu.max":         "400000 100000\n",
		"sys/fs/cgroup/a/b/c/d/cpu.max":     "1000 100000\n",
		"sys/fs/cgroup/unrelated/b/cpu.max": "1000 100000\n",
	})
	// A container in version 1 sees its own group as the mount's root.
	check(t, "0.25", map[string]string{
		"proc/self/cgroup":                            "4:cpu,cpuacct:/docker/ab\n0::/docker/ab\n",
		"proc/self/mountinfo":                         "9 8 0:30 /docker/ab /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "25000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
	})
	check(t, "", map[string]string{
		"proc/self/cgroup":      "0::/../other\n",
		"proc/self/mountinfo":   v2,
		"sys/fs/cgroup/cpu.max": "max 100000\n",
	})
	check(t, "", map[string]string{
		"proc/self/cgroup":    "rubbish\n0::/a\n",
		"proc/self/mountinfo": "rubbish\n1 1 0:1 / / rw - cgroup2 none rw\n",
	})
}

func TestClock(t *testing.T) {
	check := func(t *testing.T, env, want, wantErr string) {
		t.Helper()
		got, err := System{Getenv: func(string) string { return env }}.Clock()
		if got != want || errorText(err) != wantErr {
			t.Errorf("EVENTBENCH_CLOCK=%q: got %q, error %q; want %q, error %q", env, got, errorText(err), want, wantErr)
		}
	}
	check(t, "", "wall", "")
	check(t, "wall", "wall", "")
	check(t, "instrs", "instrs", "")
	check(t, "cycles", "", `EVENTBENCH_CLOCK="cycles": want instrs, wall, or nothing`)
}

// Instructions are refused if virt says that the counter counts time.
func TestCountedClock(t *testing.T) {
	for file, wantErr := range map[string]string{
		"firecracker": "virt: kvm", "gvisor": "virt: gvisor",
	} {
		s := mustRecorded(t, "testdata/"+file+".txtar")
		s.Getenv = func(key string) string { return map[string]string{"EVENTBENCH_CLOCK": "instrs"}[key] }
		if _, err := s.Config(); err == nil || !strings.Contains(err.Error(), wantErr) || !strings.Contains(err.Error(), "EVENTBENCH_CLOCK=instrs") {
			t.Errorf("%s: %v, want an error that says %q", file, err, wantErr)
		}
	}
	for what, files := range map[string]fstest.MapFS{
		"QEMU":                      {"sys/class/dmi/id/sys_vendor": {Data: []byte("QEMU\n")}},
		"a virtual machine, no DMI": {"proc/cpuinfo": {Data: []byte("flags\t\t: fpu vme hypervisor\n")}},
	} {
		s := System{Allowed: []int{0}, Getenv: func(key string) string { return map[string]string{"EVENTBENCH_CLOCK": "instrs"}[key] }, FS: files}
		if _, err := s.Config(); err != nil {
			t.Errorf("in %s: %v", what, err)
		}
	}
}

func TestEnvironmentConfig(t *testing.T) {
	s := mustRecorded(t, "testdata/bare.txtar")
	check := func(t *testing.T, config string, want []string, wantErr string) {
		t.Helper()
		s.Getenv = func(key string) string {
			if key == "EVENTBENCH_CONFIG" {
				return config
			}
			return ""
		}
		lines, err := s.Config()
		if !strings.Contains(errorText(err), wantErr) || (err == nil) != (wantErr == "") {
			t.Errorf("%q: got error %q, want %q", config, errorText(err), wantErr)
		}
		if err != nil {
			return
		}
		var got []string
		for _, l := range lines[len(lines)-len(want):] {
			got = append(got, l.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got last lines %q, want %q", config, got, want)
		}
	}
	check(t, "accelerator: tcg\nqemu:\t10.0.2\n\ncmdline: a=b: c\n", []string{"accelerator: tcg", "qemu: 10.0.2", "cmdline: a=b: c"}, "")
	// The configuration may repeat what was found here, but not contradict
	// it.
	check(t, "clock: wall\nseed: 7", []string{"seed: 7"}, "")
	check(t, "clock: instrs", nil, `"clock: instrs" contradicts "clock: wall"`)
	check(t, "accelerator: tcg\nnonsense", nil, `line 2: "nonsense": no colon`)
	check(t, "Accelerator: tcg", nil, "must start with a lower-case letter")
	check(t, ": tcg", nil, "must start with a lower-case letter")
	check(t, "the accelerator: tcg", nil, "no spaces and no upper case")
	check(t, "cpuModel: max", nil, "no spaces and no upper case")
	check(t, "seed:", nil, "no value")
	check(t, "seed:7", nil, "no space after the colon")
	check(t, "seed: 7\nseed: 8", nil, "the key occurs twice")
	check(t, "seed: 7\x00", nil, "control character")
}

func TestVersionPreemption(t *testing.T) {
	check := func(t *testing.T, version, want string) {
		t.Helper()
		if got := versionPreemption(version); got != want {
			t.Errorf("%q: got %q, want %q", version, got, want)
		}
	}
	check(t, "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)", "dynamic")
	check(t, "#1 SMP PREEMPT_RT Debian 6.1.128-1", "rt")
	check(t, "#1 SMP PREEMPT RT Fri Jan 1 00:00:00 UTC 2016", "rt")
	check(t, "#1 SMP PREEMPT Thu Aug 8 11:22:33 UTC 2024", "full")
	check(t, "#1 SMP Debian 5.10.209-2 (2024-01-31)", "")
}

// Since 6.13, PREEMPT in the version means lazy or full, and only the
// configuration tells which: without it, nothing is said.
func TestLazyPreemption(t *testing.T) {
	const lazy, full = "# arm64\nCONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_LAZY=y\n", "CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT=y\n"
	check := func(release, word, config, want string) {
		t.Helper()
		s := System{Release: release, Version: "#1 SMP " + word + " Debian 1 (2026-01-01)", FS: fstest.MapFS{
			"boot/config-" + release: {Data: []byte(config)},
		}}
		if got := s.preemption(); got != want {
			t.Errorf("%s %s, configured %q: got %q, want %q", release, word, config, got, want)
		}
	}
	check("6.18.5+deb14-cloud-arm64", "PREEMPT", lazy, "lazy")
	check("6.18.5+deb14-cloud-arm64", "PREEMPT", full, "full")
	check("6.18.5+deb14-cloud-arm64", "PREEMPT", "", "")
	check("7.3.0", "PREEMPT", "", "")
	check("6.13.0", "PREEMPT", "", "")
	check("6.12.48", "PREEMPT", "", "full")
	check("5.10.0-28", "PREEMPT", "", "full")
	check("next", "PREEMPT", "", "")
	check("6.18.5", "PREEMPT_RT", lazy, "rt")
	check("6.18.5", "PREEMPT_DYNAMIC", lazy, "dynamic lazy")
	check("6.12.48", "", "CONFIG_PREEMPT_VOLUNTARY=y\n", "voluntary")
}

func TestKernelSeries(t *testing.T) {
	for release, want := range map[string]string{
		"6.18.44-fc": "6.18", "5.10.0-28-amd64": "5.10", "7.3-rc1": "7.3", "7.3": "7.3", "next": "", "6": "", "6.x": "",
	} {
		if got := kernelSeries(release); got != want {
			t.Errorf("kernelSeries(%q) = %q, want %q", release, got, want)
		}
	}
}

// mustRecorded returns the system that a file of testdata holds.
func mustRecorded(tb testing.TB, file string) System {
	tb.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	s := System{FS: mustFS(tb, a), GOMAXPROCS: 4, GoVersion: "go1.26.0", Getenv: noEnv}
	s.Release, s.Version, _ = strings.Cut(s.read("uname"), "\n")
	s.KernelLog = s.read("log")
	if s.Allowed, err = parseCPUList(s.read("allowed")); err != nil {
		tb.Fatalf("%s: allowed: %v", file, err)
	}
	return s
}

func mustFS(tb testing.TB, a *txtar.Archive) fs.FS {
	tb.Helper()
	fsys, err := txtar.FS(a)
	if err != nil {
		tb.Fatal(err)
	}
	return fsys
}

func noEnv(string) string { return "" }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
