// Guest boots a Linux kernel in a virtual machine and runs a program in it.
//
//	go tool guest [flags] PROGRAM [ARGUMENT ...]
//	go test -exec 'go tool guest -kernel 6.12' [flags of go test]
//	go tool guest -list
//
// The program's standard output and standard error become the tool's own, and
// so does its exit status. It must be a statically linked x86-64 executable:
// a Go program or test that was built with CGO_ENABLED=0.
//
// # Kernels
//
// -kernel takes a vmlinuz or bzImage of any distribution or build, a Debian
// package that has one, or a release series such as 6.12, which means the
// newest cloud kernel of that series in Debian's suites, from bullseye (5.10)
// to sid. A series is looked up through apt, with a private state and without
// installing anything, on the mirror that the system's apt sources name;
// signatures are checked against debian-archive-keyring. The kernel is kept
// in the user's cache directory (XDG_CACHE_HOME) and taken from there ever
// after; -update looks whether there is a newer one. -list shows the series.
//
// # Clocks
//
// Where KVM works, a guest runs at the speed of the host and its clock is the
// host's. Elsewhere, and always with -clock instrs, QEMU's translator counts
// instructions: each takes a nanosecond of the guest's time, idle time is
// skipped, and nothing of the host's time enters the guest. What a program
// measures as nanoseconds are the instructions it took, kernel and user
// together (if it did not sleep: waiting jumps to the next timer). Two runs of
// one program with one -seed are identical to the last digit; another seed is
// another layout of the kernel's and the program's memory. Instructions are
// not time: caches, branch prediction and what interrupts cost on a real
// machine are not in them.
//
// Counting on two processors needs QEMU 10; an older one gets one processor.
//
// # What the program finds
//
// It runs as root in /src, where the testdata directory of the tool's own
// working directory is, and with /proc, /sys, /dev, /dev/pts, /dev/shm, /tmp,
// cgroup2 and a loopback network. Of the environment it gets GO* and
// EVENTBENCH*, without what is a path on the host. EVENTBENCH_CONFIG describes
// the machine in lines of the Go benchmark format, and EVENTBENCH_CLOCK=instrs
// says that times are counts. Standard input is empty. Files that the flags of
// a test binary name, such as -test.cpuprofile, are brought back when it ends.
//
// # Exit status
//
// The program's own; 128 and the signal's number if a signal killed it. 125 if
// there is none, because the guest did not come to run the program, or
// panicked or was stopped at -timeout while it did: git bisect run skips a
// commit then. The tool killed by a signal ends with 128 and its number.
// QEMU ends with the tool, however that ends, and leaves no file behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"eventbench/helpers/guest"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"
)

func main() {
	if guest.IsInit() {
		guest.RunInit()
	}
	// SIGQUIT is what go test sends at its -timeout.
	os.Exit(run(interrupt.Context(syscall.SIGQUIT), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// noStatus is the exit status that says there is none of the program's.
const noStatus = 125

// lastWords is how long the reader of standard error has for the reason why
// there is no status.
const lastWords = 2 * time.Second

const usage = `usage: go tool guest [flags] PROGRAM [ARGUMENT ...]
       go test -exec 'go tool guest -kernel 6.12' [flags of go test]
       go tool guest -list

Guest boots a Linux kernel in a virtual machine and runs a program in it.
The manual is go doc eventbench/helpers/cmd/guest. The flags are:

`

// settings are the flags.
type settings struct {
	kernel, mirror string
	list, update   bool
	qemu           string
	accel, clock   string
	cpus           int
	memory         string
	seed           uint64
	append         string
	timeout        time.Duration
	console        bool
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.kernel, "kernel", "", "the kernel: a `vmlinuz`, a .deb, or a series such as 6.12")
	flags.BoolVar(&s.list, "list", false, "list the series that -kernel knows, and which are cached")
	flags.BoolVar(&s.update, "update", false, "take the newest kernel of the series even if one is cached")
	flags.StringVar(&s.mirror, "mirror", "", "Debian mirror, a `URL` (default that of the system's apt sources)")
	flags.StringVar(&s.accel, "accel", "auto", "`what` runs instructions: kvm, tcg, or auto")
	flags.StringVar(&s.clock, "clock", "auto", "`what` makes time pass: wall, instrs, or auto")
	flags.IntVar(&s.cpus, "cpus", 0, "`number` of processors (default 2; 1 if QEMU is too old to count on 2)")
	flags.StringVar(&s.memory, "memory", "512M", "`size` of the memory, such as 512M or 2G")
	flags.Uint64Var(&s.seed, "seed", 1, "`number` that all the machine's randomness comes from")
	flags.StringVar(&s.append, "append", "", "`text` for the end of the kernel's command line")
	flags.DurationVar(&s.timeout, "timeout", 10*time.Minute, "`time` after which the guest is stopped; 0 for never")
	flags.StringVar(&s.qemu, "qemu", "", "QEMU's `program` (default qemu-system-x86_64)")
	flags.BoolVar(&s.console, "console", false, "show the kernel's console on standard error")

	say := func(format string, args ...any) {
		// Not "guest: ...", which in the output of go test would be a line of
		// configuration to the readers of the benchmark format.
		fmt.Fprintf(printable.NewWriter(stderr), "go tool guest: "+format+"\n", args...)
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, usage, flags)
	}
	if err != nil {
		say("%v (go tool guest -h lists the flags)", err)
		return noStatus
	}
	status := guest.Status{Code: noStatus}
	if s.list {
		if err = list(ctx, s, flags.Args(), stdout, say); err == nil {
			status.Code = 0
		}
	} else {
		status, err = boot(ctx, s, flags.Args(), environ, stdout, stderr, say)
	}
	if err == nil {
		return status.ExitCode()
	}
	said := make(chan bool)
	go func() {
		say("%v", err)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(lastWords): // nobody reads standard error
	}
	return interrupt.Status(err, noStatus)
}

func boot(ctx context.Context, s settings, args, environ []string, stdout, stderr io.Writer, say func(string, ...any)) (guest.Status, error) {
	m := &guest.Machine{Seed: s.seed, Append: s.append, CPUs: s.cpus}
	if s.console {
		m.Console = printable.NewWriter(stderr)
	}
	if runtime.GOARCH != "amd64" {
		return guest.Status{}, fmt.Errorf("guests are x86-64, and the tool that has to be their init is built for %s: it needs an x86-64 host", runtime.GOARCH)
	}
	if len(args) == 0 {
		return guest.Status{}, errors.New("no program given (go tool guest -h shows how)")
	}
	var err error
	if m.Memory, err = parseMemory(s.memory); err != nil {
		return guest.Status{}, err
	}
	if s.cpus < 0 || s.cpus > maxCPUs {
		return guest.Status{}, fmt.Errorf("-cpus %d: want 1 to %d", s.cpus, maxCPUs)
	}
	if s.timeout < 0 {
		return guest.Status{}, fmt.Errorf("-timeout %v: want a time, or 0 for none", s.timeout)
	}
	if err := guest.CheckAccel(s.accel, s.clock); err != nil {
		return guest.Status{}, err
	}
	if strings.ContainsAny(s.append, "\n\x00") {
		return guest.Status{}, fmt.Errorf("-append %q: a kernel's command line is one line", s.append)
	}
	dir, err := guest.UserCache()
	if err != nil {
		return guest.Status{}, err
	}
	// What is wrong with the program or the kernel should wait neither for QEMU
	// to be installed nor for a download.
	program, err := guest.LoadProgram(args[0], args[1:], ".")
	if err != nil {
		return guest.Status{}, err
	}
	if err := guest.CheckKernel(s.kernel); err != nil {
		return guest.Status{}, err
	}
	if m.QEMU, err = guest.FindQEMU(ctx, s.qemu); err != nil {
		return guest.Status{}, err
	}
	if m.Kernel, err = guest.FindKernel(ctx, dir, s.kernel, s.mirror, s.update, say); err != nil {
		return guest.Status{}, err
	}
	if m.Accel, m.Clock, err = guest.ChooseAccel(ctx, m.QEMU, dir, s.accel, s.clock, say); err != nil {
		return guest.Status{}, err
	}
	if err := m.ChooseCPUs(say); err != nil {
		return guest.Status{}, err
	}
	if program.Env, err = m.Env(environ); err != nil {
		return guest.Status{}, err
	}
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("stopped at -timeout %v", s.timeout))
		defer cancel()
	}
	return m.Run(ctx, program, stdout, stderr)
}

// maxCPUs is what QEMU's pc machine takes.
const maxCPUs = 255

var memorySize = regexp.MustCompile(`^([0-9]{1,6})([MG]?)$`)

// parseMemory returns MiB.
func parseMemory(s string) (int, error) {
	m := memorySize.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("-memory %q: want a size such as 512M or 2G", s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, fmt.Errorf("-memory %q: %w", s, err)
	}
	if m[2] == "G" {
		n <<= 10
	}
	if n < guest.MinMemory {
		return 0, fmt.Errorf("-memory %s: a kernel and its first programs need %dM", s, guest.MinMemory)
	}
	return n, nil
}

func list(ctx context.Context, s settings, args []string, stdout io.Writer, say func(string, ...any)) error {
	if len(args) > 0 {
		return fmt.Errorf("-list takes no arguments, got %q", args)
	}
	dir, err := guest.UserCache()
	if err != nil {
		return err
	}
	all, err := guest.ListSeries(ctx, dir, s.mirror, s.update, say)
	if err != nil && len(all) > 0 && ctx.Err() == nil {
		say("only what is cached: %v", err)
		err = nil
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERIES\tNEWEST\tSUITE\tCACHED")
	for _, one := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.Name, orDash(one.Newest), orDash(one.Suite), orDash(one.Cached))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
