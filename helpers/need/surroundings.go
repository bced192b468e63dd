//go:build linux

package need

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"eventbench/helpers/cache"
)

// Surroundings describes what the results of tests depend on besides their
// code: the kernel, this process's permissions and limits, the things that
// tests may lack, and the programs that they run. It differs after a reboot,
// and whenever a test could now be skipped that ran before. It does not include
// the machine's load.
func Surroundings() string {
	var b strings.Builder
	var u unix.Utsname
	unix.Uname(&u)
	fmt.Fprintf(&b, "kernel: %s %s %s\n", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:]))
	for _, name := range []string{"/proc/sys/kernel/random/boot_id", "/proc/self/limits"} {
		text, err := os.ReadFile(name)
		fmt.Fprintf(&b, "%s: %s %v\n", name, text, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	fmt.Fprintf(&b, "status: %q %v\n", permissions.FindAll(status, -1), err)
	_, err = os.Stat("/sys/devices/system/cpu")
	fmt.Fprintf(&b, "sysfs: %v\n", err)
	for _, word := range slices.Sorted(maps.Keys(things)) {
		fmt.Fprintf(&b, "%s: %v\n", word, things[word].find())
	}
	for _, name := range []string{"go", "git", "make", "cc", "patch", "qemu-system-x86_64", "qemu-system-aarch64", "unshare", "sh", "bash", "fish", "zsh"} {
		path, err := exec.LookPath(name)
		fmt.Fprintf(&b, "%s: %s %v\n", name, described(path), err)
	}
	for _, name := range []string{"guest/kernels/*", "gvisor/runsc-*"} {
		dir, err := cache.User(filepath.Dir(name))
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", name, err)
			continue
		}
		paths, _ := filepath.Glob(dir.Path(filepath.Base(name)))
		for _, path := range paths {
			fmt.Fprintf(&b, "cached: %s\n", described(path))
		}
	}
	for _, e := range os.Environ() {
		// The go command's, and this module's.
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_") ||
			strings.HasPrefix(name, "EVENTBENCH_") || name == "HOME" || name == "PATH" || name == "XDG_CACHE_HOME" {
			fmt.Fprintf(&b, "%s\n", e)
		}
	}
	return b.String()
}

// permissions are the lines of /proc/self/status that do not change while a
// process's permissions stay the same.
var permissions = regexp.MustCompile(`(?m)^(Uid|Gid|Groups|SigIgn|Cap[A-Z][a-z]+|NoNewPrivs|Seccomp|Cpus_allowed_list|Mems_allowed_list):.*`)

// described identifies a version of a file.
func described(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Sprintf("%s (%v)", path, err)
	}
	return fmt.Sprintf("%s of %d bytes, %v", path, info.Size(), info.ModTime().UnixNano())
}
