package guest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"eventbench/helpers/guest/inside"
	"eventbench/helpers/process"
)

// QEMU is an emulator of machines of one architecture.
type QEMU struct {
	Arch    *Arch
	Path    string
	Version string // such as "10.0.2"
	major   int
}

var qemuVersion = regexp.MustCompile(`version (([0-9]+)\.[0-9]+[0-9.]*)`)

// FindQEMU looks up the QEMU for an architecture, under its usual name if path
// is empty, and asks for its version.
func FindQEMU(ctx context.Context, arch *Arch, path string) (*QEMU, error) {
	name := path
	if name == "" {
		name = arch.qemu
	}
	found, err := exec.LookPath(name)
	if err != nil {
		hint := fmt.Sprintf(": install it (%s), or name it with -qemu", arch.qemuPackage)
		if path != "" {
			hint = ""
		}
		return nil, fmt.Errorf("no QEMU: %w%s", err, hint)
	}
	out, stderr, err := process.Prompt.Output(ctx, exec.Command(found, "--version"))
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w: %.200s", found, err, out+stderr)
	}
	m := qemuVersion.FindStringSubmatch(out)
	if !strings.Contains(out, "QEMU") || m == nil {
		return nil, fmt.Errorf("%s is not QEMU: --version says %.200q", found, out)
	}
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", found, err)
	}
	return &QEMU{Arch: arch, Path: found, Version: m[1], major: major}, nil
}

// fairCounting reports whether a machine that counts can have more than one
// processor. Before version 10, QEMU runs the first processor up to the next
// timer's deadline without yielding. Kernels before 6.5 then wait for the
// second processor for ever, and so does any loop that spins until another
// processor has done something.
func (q *QEMU) fairCounting() bool { return q.major >= 10 }

// An option is one property of the machine, as arguments for QEMU and for the
// kernel.
type option interface {
	Cmdline() []string
	KernelArgs() []string
}

// bareMachine is a machine without the devices that QEMU adds by default.
type bareMachine struct{ arch *Arch }

func (m bareMachine) Cmdline() []string {
	args := []string{"-no-user-config", "-nodefaults", "-display", "none"}
	args = append(args, m.arch.board...)
	return append(args, "-no-reboot") // a guest that restarts has failed
}

func (m bareMachine) KernelArgs() []string {
	args := []string{"panic=-1"} // restart at once, which is the end of QEMU
	args = append(args, m.arch.kernelArgs...)
	return append(args, "cryptomgr.notests") // self-tests of ciphers nothing here uses
}

// A processor is what the kinds of processors have in common.
type processor struct {
	arch  *Arch
	model string // of -cpu
	cpus  int
	seed  uint64
}

// The models that are used unless another is asked for. The first has all that
// QEMU knows to emulate: a kernel then runs what it runs on new machines.
const (
	emulatedModel = "max"
	hostModel     = "host"
)

var cpuModel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._,=+-]*$`)

// CheckCPUModel checks the value of the -cpu-model flag.
func CheckCPUModel(model string) error {
	if model != "" && !cpuModel.MatchString(model) {
		return fmt.Errorf("-cpu-model %q: want a model and its properties as QEMU's -cpu takes them, such as neoverse-n1 or max,sve=off", model)
	}
	return nil
}

// countedProcessor executes guest instructions one by one, each taking a
// nanosecond of guest time, and an idle guest jumps to its next timer. Nothing
// in the machine depends on the host's time. Its randomness (RDRAND, the
// kernel's seed) comes from seed.
//
// Two fifths of a boot of x86-64 are spent calibrating the local APIC's timer: the kernel
// loops over RDTSC and PAUSE for 100 ms of guest time, and at each PAUSE QEMU
// leaves the translated code. The kernel skips this (calibrate_APIC_clock in
// arch/x86/kernel/apic/apic.c) if there is a TSC-deadline timer, or if it
// learns the frequency from CPUID leaf 15H of an Intel processor or from a
// hypervisor. QEMU 10's translator offers none of these: its leaves end at 0DH,
// the vendor is AMD, and its VMware port knows the frequency only under KVM.
// Without the timer (nolapic_timer), timers would take other paths. A larger
// shift would shorten the loop, but would make ticks that much denser in what
// is measured.
type countedProcessor struct{ processor }

func (p countedProcessor) Cmdline() []string {
	return []string{
		"-accel", "tcg",
		"-icount", "shift=0,sleep=off",
		"-rtc", "base=2020-01-01,clock=vm",
		"-seed", strconv.FormatUint(p.seed, 10),
		"-cpu", strings.TrimSuffix(p.model+","+p.arch.counter, ","), "-smp", strconv.Itoa(p.cpus),
	}
}

func (p countedProcessor) KernelArgs() []string { return p.arch.countedArgs }

// emulatedProcessor runs as fast as the host allows, on the host's clock.
type emulatedProcessor struct{ processor }

func (p emulatedProcessor) Cmdline() []string {
	return []string{
		"-accel", "tcg,thread=multi", "-seed", strconv.FormatUint(p.seed, 10),
		"-cpu", p.model, "-smp", strconv.Itoa(p.cpus),
	}
}

func (emulatedProcessor) KernelArgs() []string { return nil }

// hostProcessor is the host's own processor, through KVM.
type hostProcessor struct{ processor }

func (p hostProcessor) Cmdline() []string {
	return []string{
		"-accel", "kvm", "-seed", strconv.FormatUint(p.seed, 10),
		"-cpu", p.model, "-smp", strconv.Itoa(p.cpus),
	}
}

func (hostProcessor) KernelArgs() []string { return nil }

// memory is the machine's memory in MiB.
type memory int

func (m memory) Cmdline() []string  { return []string{"-m", strconv.Itoa(int(m)) + "M"} }
func (memory) KernelArgs() []string { return nil }

// serialPort sends the guest's output on it to a file of this process.
type serialPort struct {
	arch *Arch
	id   string
	file inheritedFile
}

// consoleID is the id of the port that the kernel's messages come from.
const consoleID = "console"

func (p serialPort) Cmdline() []string {
	args := []string{"-chardev", fmt.Sprintf("file,id=%s,path=%s", p.id, p.file.path())}
	if p.id == consoleID || p.arch.port == "" {
		return append(args, "-serial", "chardev:"+p.id)
	}
	return append(args, "-device", p.arch.port+",chardev="+p.id)
}

func (p serialPort) KernelArgs() []string {
	if p.id != consoleID {
		return nil
	}
	return []string{
		"console=" + p.arch.console, "quiet",
		fmt.Sprintf("8250.nr_uarts=%d", inside.SerialPorts), // some kernels look for fewer
	}
}

// debugger is the far end of a socket on which QEMU serves a debugger. The
// machine waits for the debugger (-S), because QEMU stops a machine when one
// connects, and a running machine would stop at an arbitrary place.
type debugger struct{ socket inheritedFile }

func (d debugger) Cmdline() []string {
	return []string{"-chardev", fmt.Sprintf("socket,id=debugger,fd=%d", int(d.socket)), "-gdb", "chardev:debugger", "-S"}
}

func (debugger) KernelArgs() []string { return nil }

// boot is the kernel and its first file system.
type boot struct {
	kernel, initramfs inheritedFile
}

func (b boot) Cmdline() []string {
	return []string{"-kernel", b.kernel.path(), "-initrd", b.initramfs.path()}
}

func (boot) KernelArgs() []string { return nil }

// userArgs come last on the kernel's command line, so that they win.
type userArgs string

func (userArgs) Cmdline() []string      { return nil }
func (a userArgs) KernelArgs() []string { return strings.Fields(string(a)) }

// maxCmdline is COMMAND_LINE_SIZE of arch/x86 and arch/arm64, the final NUL
// included.
const maxCmdline = 2048

// kernelCmdline is the kernel's command line for a machine with these options.
func kernelCmdline(opts []option) (string, error) {
	var args []string
	for _, o := range opts {
		args = append(args, o.KernelArgs()...)
	}
	s := strings.Join(args, " ")
	if len(s) >= maxCmdline {
		return "", fmt.Errorf("the kernel's command line is %d bytes long, of at most %d: shorten -append", len(s), maxCmdline-1)
	}
	return s, nil
}

// inheritedFile is a file that QEMU inherits and opens by number. So the
// machine needs no temporary file that could be left behind, and gets exactly
// the file that was checked here.
type inheritedFile int

func (f inheritedFile) path() string { return fmt.Sprintf("/proc/self/fd/%d", int(f)) }

const firstInherited inheritedFile = 3 // where exec.Cmd's ExtraFiles begin

// qemuCommand collects QEMU's arguments and the files it inherits, as exec.Cmd
// does.
type qemuCommand struct {
	files []*os.File
	opts  []option
}

func (c *qemuCommand) inherit(f *os.File) inheritedFile {
	c.files = append(c.files, f)
	return firstInherited + inheritedFile(len(c.files)-1)
}

func (c *qemuCommand) add(o ...option) { c.opts = append(c.opts, o...) }

func (c *qemuCommand) args() ([]string, error) {
	var args []string
	for _, o := range c.opts {
		args = append(args, o.Cmdline()...)
	}
	cmdline, err := kernelCmdline(c.opts)
	if err != nil {
		return nil, err
	}
	if cmdline == "" {
		return args, nil
	}
	return append(args, "-append", cmdline), nil
}
