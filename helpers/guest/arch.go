package guest

import (
	"debug/elf"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// An Arch is an architecture that guests can have: what differs between them is
// in its entry in Archs. The program's ELF header decides which one a guest
// has, and the rest follows.
type Arch struct {
	// Name is what Go (GOARCH) and Debian call it.
	Name string

	title   string // what its vendors call it
	machine elf.Machine

	qemu        string // the program
	qemuPackage string // what to install for it

	// What QEMU is started with.
	board   []string // the machine, without the devices that QEMU adds by default
	port    string   // the device of a serial port beside the console; "" if the board has four
	counter string   // the CPU's property that makes a tick of the counter a nanosecond

	// What the kernel is started with. None of these changes the code that
	// a benchmark runs.
	kernelArgs  []string // they shorten the boot on an emulated processor
	countedArgs []string // in a guest that counts

	// What the kernel calls the serial ports. The console is separate from
	// the ports for the program's output, so a kernel message can never
	// land in the middle of a result.
	console                string
	stdout, stderr, report string

	isKernel    func(image []byte) bool
	parseKernel func(image []byte) (release string, err error)
	kernelFile  string // what its kernels are called, and how they are recognized

	// probe is a kernel of a few instructions that shows whether KVM works,
	// and the options for it. Without one, guests of this architecture do
	// not use KVM.
	probe func() (image []byte, options []string)
}

// AMD64 is x86-64.
var AMD64 = &Arch{
	Name:        "amd64",
	title:       "x86-64",
	machine:     elf.EM_X86_64,
	qemu:        "qemu-system-x86_64",
	qemuPackage: "Debian and Ubuntu: qemu-system-x86; Fedora: qemu-system-x86-core",
	board:       []string{"-machine", "pc,hpet=off,usb=off,vmport=off,graphics=off"},
	kernelArgs: []string{
		"edd=off",           // BIOS calls for disks
		"no_timer_check",    // loops over ten ticks to see that they come
		"cpu_init_udelay=0", // 10 ms of looping that old processors need
	},
	// The counter cannot be wrong, so no timer has to watch it.
	countedArgs: []string{"tsc=reliable"},
	console:     "ttyS0",
	stdout:      "/dev/ttyS1", stderr: "/dev/ttyS2", report: "/dev/ttyS3",
	isKernel: isBzImage, parseKernel: parseBzImage,
	kernelFile: "a vmlinuz or bzImage for x86-64 has HdrS at 0x202",
	probe:      multibootProbe,
}

// ARM64 is AArch64. Its counter (CNTVCT_EL0) has 62.5 MHz on most of QEMU's
// CPUs, unless told otherwise.
var ARM64 = &Arch{
	Name:        "arm64",
	title:       "arm64",
	machine:     elf.EM_AARCH64,
	qemu:        "qemu-system-aarch64",
	qemuPackage: "Debian and Ubuntu: qemu-system-arm; Fedora: qemu-system-aarch64-core",
	// GICv3 is what servers have. The ITS is for devices that there are
	// none of.
	board:   []string{"-machine", "virt,gic-version=3,its=off"},
	port:    "pci-serial",
	counter: "cntfrq=1000000000",
	console: "ttyAMA0",
	stdout:  "/dev/ttyS0", stderr: "/dev/ttyS1", report: "/dev/ttyS2",
	isKernel: isArmImage, parseKernel: parseArmImage,
	kernelFile: `an Image for arm64 has ARM\x64 at 56`,
}

// Archs are the architectures that guests can have.
var Archs = []*Arch{AMD64, ARM64}

func (a *Arch) String() string { return a.title }

// Native reports whether programs for the architecture run on this machine as
// well.
func (a *Arch) Native() bool { return a == here() }

// here is the architecture of this process, which KVM's guests have as well. It
// is nil if guests cannot have it.
func here() *Arch { return ArchNamed(runtime.GOARCH) }

// ArchNamed returns the architecture that Go calls name, or nil.
func ArchNamed(name string) *Arch {
	i := slices.IndexFunc(Archs, func(a *Arch) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return Archs[i]
}

// ProgramArch returns the architecture of the executable in a file. Unlike
// LoadProgram, it does not ask whether a guest could run it.
func ProgramArch(file string) (*Arch, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	arch, err := archOf(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return arch, nil
}

// archNames lists something of each architecture.
func archNames(of func(a *Arch) string) string {
	var names []string
	for _, a := range Archs {
		names = append(names, of(a))
	}
	return strings.Join(names, " or ")
}

// archOf returns the architecture of an executable.
func archOf(f *elf.File) (*Arch, error) {
	for _, a := range Archs {
		if f.Machine == a.machine && f.Class == elf.ELFCLASS64 {
			return a, nil
		}
	}
	return nil, fmt.Errorf("a program for %v, but guests are %s: build it with GOARCH=%s",
		f.Machine, archNames((*Arch).String), archNames(func(a *Arch) string { return a.Name }))
}
