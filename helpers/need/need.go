//go:build linux

// Package need finds which things that tests need this machine has: programs
// that a bare machine lacks, kernels and sandboxes that are fetched or built
// first, and permissions that containers do not give.
//
// A test that needs one of them says so in its first line. It is skipped if
// that is missing, for a reason that says what to install:
//
//	func TestLoops(t *testing.T) {
//		need.CC(t)
//
// If only a part of a test needs something, the test asks before that part, and
// the other parts still run:
//
//	if need.Has(t, need.HasPatch) {
//
// Scripts use a condition: [need:cc].
//
// Each kind has an environment variable that turns its skips into failures, for
// CI, which has all of them: EVENTBENCH_REQUIRE_GUEST and the others that
// [Variables] lists. go tool eventbench test counts skips by these messages,
// see [Parse].
package need

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"eventbench/helpers/cache"
	"eventbench/helpers/gvisor"
	"eventbench/helpers/process"
)

// A Thing is something that a test may need and a machine may lack.
type Thing struct {
	word    string // in scripts: need:word
	what    string // what is not tested without it
	lack    string // what is missing
	get     string // what to do about it
	require string // its variable's last word
	find    func() error
}

// The things. Each is looked for once.
var (
	HasQEMU    = thing(Thing{"qemu", "guests", "no QEMU 10", "apt install qemu-system-x86", "GUEST", program("qemu-system-x86_64")})
	HasQEMUArm = thing(Thing{"qemu-arm", "arm64 guests", "no QEMU 10 for arm64", "apt install qemu-system-arm", "GUEST", program("qemu-system-aarch64")})
	// If kernels are required, the test that needs one fetches it.
	HasKernel     = thing(Thing{"kernel", "guests", "no kernel is cached", "make kernels, or go tool eventbench guest -kernel 6.1 PROGRAM", "GUEST", cachedKernel("amd64")})
	HasKernelArm  = thing(Thing{"kernel-arm", "arm64 guests", "no arm64 kernel is cached", "make kernels ARCH=arm64", "GUEST", cachedKernel("arm64")})
	HasRunsc      = thing(Thing{"runsc", "sandboxes", "runsc is not built", "go tool eventbench gvisor -build", "GVISOR", builtRunsc})
	HasSandbox    = thing(Thing{"sandbox", "sandboxes", "no right to start one", "run as root, or sysctl user.max_user_namespaces; not in a chroot", "GVISOR", sandbox})
	HasCC         = thing(Thing{"cc", "C references", "no C compiler", "apt install gcc libc6-dev", "CC", compiles})
	HasPatch      = thing(Thing{"patch", "kernel builds", "no patch", "apt install patch", "PATCH", program("patch")})
	HasGit        = thing(Thing{"git", "bisections", "no git", "apt install git", "GIT", program("git")})
	HasBash       = thing(Thing{"bash", "completion", "no bash", "apt install bash", "SHELLS", program("bash")})
	HasFish       = thing(Thing{"fish", "completion", "no fish", "apt install fish", "SHELLS", program("fish")})
	HasZsh        = thing(Thing{"zsh", "completion", "no zsh", "apt install zsh", "SHELLS", program("zsh")})
	HasChromium   = thing(Thing{"chromium", "the page in a browser", "no chromium", "apt install chromium", "BROWSER", program("chromium")})
	HasXMLLint    = thing(Thing{"xmllint", "JUnit's schema", "no xmllint", "apt install libxml2-utils", "READERS", program("xmllint")})
	HasJUnit      = thing(Thing{"junitparser", "a reader of JUnit's XML", "no junitparser", "apt install python3-junitparser", "READERS", module("junitparser")})
	HasJSONSchema = thing(Thing{"jsonschema", "JSON schemas", "no jsonschema", "apt install python3-jsonschema", "READERS", module("jsonschema")})
	HasKUnit      = thing(Thing{"kunit", "the kernel's reader of KTAP", "no kunit_parser.py", "unpack a linux-source package in /usr/src", "KUNIT", kunitParser})
	HasParallel   = thing(Thing{"parallel", "many machines", "no GNU parallel, rsync or ssh", "apt install parallel rsync openssh-client", "MACHINES", parallelBySSH})
	HasSSHD       = thing(Thing{"sshd", "many machines", "no sshd", "apt install openssh-server", "MACHINES", sshd})
	HasRoot       = thing(Thing{"root", "what root may", "not root", "run as root", "ROOT", root})
	HasMounts     = thing(Thing{"mounts", "full disks", "no right to mount", "run as root of a machine, or of a container with CAP_SYS_ADMIN", "MOUNTS", mounts})
	HasNamespaces = thing(Thing{"namespaces", "user namespaces", "no user namespaces",
		"allow them: sysctl user.max_user_namespaces; there are none in a chroot", "NAMESPACES", userMounts})
)

// things are all of them, by their words.
var things = map[string]*Thing{}

func thing(t Thing) *Thing {
	t.find = sync.OnceValue(t.find)
	things[t.word] = &t
	return &t
}

const variable = "EVENTBENCH_REQUIRE_"

// Variables returns the names of the environment variables that turn a missing
// thing into a failure.
func Variables() []string {
	var names []string
	for _, t := range things {
		names = append(names, variable+t.require)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Unknown returns the variables in an environment that look like one of
// [Variables] but are none.
func Unknown(environ []string) []string {
	var unknown []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, variable) && !slices.Contains(Variables(), name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// required reports whether its absence is a failure.
func (t *Thing) required() bool { return os.Getenv(variable+t.require) != "" }

// reason returns the message of a test that lacks it. [Parse] reads it.
func (t *Thing) reason(err error) string {
	return fmt.Sprintf("%s%s: %s (%s): %v", mark, t.what, t.lack, t.get, err)
}

// mark begins the message about what is not tested.
const mark = "not tried here: "

var said = regexp.MustCompile(`^(?:.*: )?` + mark + `([^:]+): ([^()]+) \((.+?)\)(?:: |$)`)

// A Lack is what a test reported as not tested.
type Lack struct{ What, Lack, Get string }

// Parse reads a line of a test's output. It reports false for lines that do not
// come from this package.
func Parse(line string) (Lack, bool) {
	m := said.FindStringSubmatch(strings.TrimSpace(line))
	if m == nil {
		return Lack{}, false
	}
	return Lack{m[1], m[2], m[3]}, true
}

// Here reports whether a thing exists, for setup before a test.
func (t *Thing) Here() bool { return t.find() == nil }

// Has reports whether a thing exists. If not, it notes in tb's log that a part
// of the test is not run, or fails the test if the thing is required.
func Has(tb testing.TB, t *Thing) bool {
	tb.Helper()
	err := t.find()
	switch {
	case err == nil:
		return true
	case t.required():
		tb.Fatalf("%s%s is set, but %s: %v", variable, t.require, t.lack, err)
	}
	tb.Log(t.reason(err))
	return false
}

// Need skips a test if a thing is missing, or fails it if the thing is
// required.
func Need(tb testing.TB, t *Thing) {
	tb.Helper()
	if err := t.find(); err != nil {
		if t.required() {
			tb.Fatalf("%s%s is set, but %s: %v", variable, t.require, t.lack, err)
		}
		tb.Skip(t.reason(err))
	}
}

// Condition is the condition of the scripts of a test: [need:cc] and its like.
func Condition(tb testing.TB) func(string) (bool, error) {
	return func(cond string) (bool, error) {
		word, ok := strings.CutPrefix(cond, "need:")
		if !ok || things[word] == nil {
			return false, fmt.Errorf("unknown condition %q", cond)
		}
		return Has(tb, things[word]), nil
	}
}

// Asked skips a slow test unless a thing's variable is set.
func Asked(tb testing.TB, t *Thing, how string) {
	tb.Helper()
	Need(tb, t)
	if !t.required() {
		tb.Skipf("%s%s: %s (%s%s=1)", mark, t.what, how, variable, t.require)
	}
}

// Unasked skips something that is not a test and runs only on request.
func Unasked(tb testing.TB, how string) {
	tb.Helper()
	tb.Skip(unasked + how)
}

const unasked = "nothing was asked for: "

// IsUnasked reports whether a line of a test's output is from [Unasked].
func IsUnasked(line string) bool { return strings.Contains(line, ": "+unasked) }

// Kernel returns the kernel to boot, as the -kernel flag takes it. It skips the
// test if there is none, or no QEMU. If guests are required, the boot fetches
// the kernel.
func Kernel(tb testing.TB) string {
	tb.Helper()
	return kernel(tb, HasQEMU, HasKernel, "amd64")
}

// KernelArm is Kernel for arm64 guests.
func KernelArm(tb testing.TB) string {
	tb.Helper()
	return kernel(tb, HasQEMUArm, HasKernelArm, "arm64")
}

func kernel(tb testing.TB, qemu, cachedOne *Thing, arch string) string {
	tb.Helper()
	Need(tb, qemu)
	const quickest = "6.1"
	if cachedOne.required() {
		return quickest
	}
	Need(tb, cachedOne)
	cached := cachedSeries(arch)
	if slices.Contains(cached, quickest) {
		return quickest
	}
	return cached[0]
}

// cachedSeries returns the series of an architecture's cached kernels, which
// need no network.
func cachedSeries(arch string) (series []string) {
	dir, err := cache.User("guest")
	if err != nil {
		return nil
	}
	images, _ := filepath.Glob(dir.Path("kernels", "*", "vmlinuz"))
	for _, image := range images {
		// linux-image-6.12.9-cloud-amd64_6.12.9-1, linux-binary-7.3...
		if m := packageSeries.FindStringSubmatch(filepath.Base(filepath.Dir(image))); m != nil && m[2] == arch {
			series = append(series, m[1])
		}
	}
	return series
}

var packageSeries = regexp.MustCompile(`^linux-[a-z]+-([0-9]+\.[0-9]+)[.+~-][^_]*-([a-z0-9]+)_`)

func cachedKernel(arch string) func() error {
	return func() error {
		if len(cachedSeries(arch)) == 0 {
			return fmt.Errorf("the cache has none for %s", arch)
		}
		return nil
	}
}

func builtRunsc() error {
	c, err := gvisor.UserCache()
	if err != nil {
		return err
	}
	if r, ok := c.Find(); !ok {
		return fmt.Errorf("no %s", r.Path)
	}
	return nil
}

func program(name string) func() error {
	return func() error {
		_, err := exec.LookPath(name)
		return err
	}
}

// Python is Debian's, which has Debian's modules.
const Python = "/usr/bin/python3"

func module(name string) func() error {
	return func() error {
		_, stderr, err := process.Prompt.Output(context.Background(), exec.Command(Python, "-c", "import "+name))
		if err != nil && len(stderr) > 0 {
			err = fmt.Errorf("%w: %.200s", err, stderr)
		}
		return err
	}
}

// KUnit returns the directory of the kernel's kunit_parser.py, or "".
func KUnit() string {
	for _, source := range []string{"/usr/src/linux-source-*", "/usr/src/linux"} {
		if found, _ := filepath.Glob(source + "/tools/testing/kunit/kunit_parser.py"); found != nil {
			return filepath.Dir(found[len(found)-1])
		}
	}
	return ""
}

func kunitParser() error {
	if KUnit() == "" {
		return errors.New("no kernel source in /usr/src")
	}
	return program(Python)()
}

// compiles also checks for the headers: a compiler may be installed without
// them.
func compiles() error {
	cmd := exec.Command("cc", "-E", "-x", "c", "-")
	cmd.Stdin = strings.NewReader("#include <stdio.h>\n#include <linux/types.h>\n")
	_, stderr, err := process.Prompt.Output(context.Background(), cmd)
	if process.ExitCode(err) > 0 {
		return fmt.Errorf("cc without the C library's headers: %.200s", stderr)
	}
	return err
}

// sshd is rarely in the PATH of an ordinary user.
func sshd() error {
	if program("sshd")() == nil {
		return nil
	}
	_, err := os.Stat("/usr/sbin/sshd")
	return err
}

// parallelBySSH checks for GNU parallel and what it copies with.
func parallelBySSH() error {
	for _, name := range []string{"parallel", "rsync", "ssh"} {
		if err := program(name)(); err != nil {
			return err
		}
	}
	return nil
}

func root() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("user id %d", os.Geteuid())
	}
	return nil
}

// sandbox checks what runsc starts with: root's namespaces, or a user's, and
// mounts there that nobody else sees.
func sandbox() error {
	if root() != nil {
		return inUserNamespace("true")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil && !mountOfRoot.Match(mounts) {
		return errors.New("the root directory is no mount")
	}
	return err
}

// mountOfRoot is a line of proc_pid_mountinfo(5) for /.
var mountOfRoot = regexp.MustCompile(`(?m)^\d+ \d+ \S+ \S+ / `)

// mounts checks the right to mount without mounting, which other processes
// might see.
func mounts() error {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("fsopen", err)
	}
	return unix.Close(fd)
}

// userMounts does what a test does that mounts in a user namespace from the
// shell.
func userMounts() error {
	if _, err := exec.LookPath("unshare"); err != nil {
		return err
	}
	return inUserNamespace("mount", "-t", "tmpfs", "none", "/mnt")
}

// inUserNamespace runs a program in new namespaces, as root of them.
func inUserNamespace(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	_, stderr, err := process.Prompt.Output(context.Background(), cmd)
	if process.ExitCode(err) > 0 {
		return fmt.Errorf("%s: %w: %.200s", name, err, strings.TrimSpace(stderr))
	}
	return err
}
