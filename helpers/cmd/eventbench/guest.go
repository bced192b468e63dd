//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/debian"
	"eventbench/helpers/guest"
	"eventbench/helpers/printable"
	"eventbench/helpers/process"
	"eventbench/helpers/seccomp"
)

// guestFlags are the flags of guest.
type guestFlags struct {
	kernel, mirror string
	list, update   bool
	arch           string // of the kernels to list
	qemu, model    string
	accel, clock   string
	cpus           int
	memory         string
	seed           uint64
	append         string
	seccomp        int
	timeout        time.Duration
	console        bool
}

func guestVerb() *cli.Verb {
	return &cli.Verb{
		Manual:  manual("guest"),
		Program: true,
		Failure: process.NoStatus,
		Signals: []os.Signal{syscall.SIGQUIT}, // of go test at its -timeout
		Values:  map[string][]string{"kernel": series, "accel": {"auto", "kvm", "tcg"}, "clock": {"auto", "wall", "instrs"}, "arch": {"amd64", "arm64"}},
		New: func(flags *flag.FlagSet) cli.Action {
			var s guestFlags
			flags.StringVar(&s.kernel, "kernel", "", "the kernel: a `vmlinuz`, a .deb, or a series such as 6.12; and after blanks what is set for it")
			flags.BoolVar(&s.list, "list", false, "list the series that -kernel knows, and which are cached")
			flags.StringVar(&s.arch, "arch", runtime.GOARCH, "with -list, the `architecture`: amd64 or arm64; a guest has its program's")
			flags.BoolVar(&s.update, "update", false, "take the newest kernel of the series even if one is cached")
			flags.StringVar(&s.mirror, "mirror", "", "Debian mirror, a `URL` (default EVENTBENCH_MIRROR, the system's apt sources, or deb.debian.org)")
			flags.StringVar(&s.accel, "accel", "auto", "`accelerator`: kvm, tcg, or auto")
			flags.StringVar(&s.clock, "clock", "auto", "`clock` of the guest: wall, instrs, or auto")
			flags.Func("cpus", "`number` of processors (default 2; 1 if QEMU is too old to count on 2)", func(number string) (err error) {
				if s.cpus, err = strconv.Atoi(number); err != nil || s.cpus < 1 || s.cpus > maxCPUs {
					return fmt.Errorf("want 1 to %d", maxCPUs)
				}
				return nil
			})
			flags.StringVar(&s.model, "cpu-model", "", "`model` of the CPU, as QEMU's -cpu takes it, such as neoverse-n1 (default max, under KVM host)")
			flags.StringVar(&s.memory, "memory", "512M", "`size` of the memory, such as 512M or 2G")
			flags.Uint64Var(&s.seed, "seed", 1, "`number` that decides all of the machine's randomness")
			flags.StringVar(&s.append, "append", "", "`text` for the end of the kernel's command line")
			flags.IntVar(&s.seccomp, "seccomp", 0, "make `n` comparisons before each system call of the program, as go tool eventbench seccomp does")
			flags.DurationVar(&s.timeout, "timeout", 10*time.Minute, "`time` after which the guest is stopped; 0 for never")
			flags.StringVar(&s.qemu, "qemu", "", "QEMU's `program` (default qemu-system-x86_64 or qemu-system-aarch64)")
			flags.BoolVar(&s.console, "console", false, "show the kernel's console on standard error")
			return func(ctx context.Context, c *cli.Call) error {
				if s.list {
					return s.listSeries(ctx, c)
				}
				// It would say nothing: a guest has its program's.
				given := false
				flags.Visit(func(f *flag.Flag) { given = given || f.Name == "arch" })
				if given {
					return cli.Usage("-arch: goes with -list; a guest has the architecture of its program")
				}
				status, err := s.boot(ctx, c, os.Environ())
				if err != nil {
					return err
				}
				return cli.Exit(status)
			}
		},
	}
}

func (s *guestFlags) boot(ctx context.Context, c *cli.Call, environ []string) (int, error) {
	column, err := guest.ParseColumn(s.kernel)
	if s.kernel != "" && err != nil {
		return 0, cli.Usage("-kernel: %w", err)
	}
	m := &guest.Machine{Seed: s.seed, Append: s.append, CPUs: s.cpus, Model: s.model, Seccomp: s.seccomp}
	if s.console {
		m.Console = printable.NewWriter(c.Stderr)
	}
	if len(c.Operands) == 0 {
		return 0, cli.Usage("want a program to run")
	}
	if s.kernel == "" {
		return 0, cli.Usage("-kernel: want a vmlinuz, a .deb, or a series such as 6.12")
	}
	if err := column.Set(m); err != nil {
		return 0, cli.Usage("-kernel %s, -cpu-model: %w", column.Arg, err)
	}
	if m.Memory, err = parseMemory(s.memory); err != nil {
		return 0, cli.Usage("%w", err)
	}
	if s.seccomp < 0 || s.seccomp > seccomp.MaxLength {
		return 0, cli.Usage("-seccomp %d: want 0 to %d, the most that a filter holds", s.seccomp, seccomp.MaxLength)
	}
	if s.timeout < 0 {
		return 0, cli.Usage("-timeout %v: want a time, or 0 for none", s.timeout)
	}
	if err := s.checkMirror(); err != nil {
		return 0, err
	}
	if err := guest.CheckAccel(s.accel, s.clock); err != nil {
		return 0, cli.Usage("%w", err)
	}
	if err := guest.CheckCPUModel(s.model); err != nil {
		return 0, cli.Usage("%w", err)
	}
	if strings.ContainsAny(s.append, "\n\x00") {
		return 0, cli.Usage("-append %q: a kernel's command line is one line", s.append)
	}
	dir, err := guest.UserCache()
	if err != nil {
		return 0, err
	}
	// What is wrong with the program or the kernel should wait neither for QEMU
	// to be installed nor for a download.
	program, err := guest.LoadProgram(c.Operands[0], c.Operands[1:], ".")
	if err != nil {
		return 0, err
	}
	if err := guest.CheckKernel(column.Kernel); err != nil {
		return 0, err
	}
	if m.QEMU, err = guest.FindQEMU(ctx, program.Arch(), s.qemu); err != nil {
		return 0, err
	}
	if m.Kernel, err = guest.FindKernel(ctx, dir, program.Arch(), column.Kernel, s.mirror, s.update, c.Say); err != nil {
		return 0, err
	}
	if m.Accel, m.Clock, err = guest.ChooseAccel(ctx, m.QEMU, dir, s.accel, s.clock, c.Say); err != nil {
		return 0, err
	}
	if m.Init, err = guest.FindInit(ctx, dir, program.Arch(), c.Say); err != nil {
		return 0, err
	}
	if err := m.ChooseCPUs(c.Say); err != nil {
		return 0, err
	}
	if program.Env, err = m.Env(environ); err != nil {
		return 0, err
	}
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("stopped at -timeout %v", s.timeout))
		defer cancel()
	}
	return m.Run(ctx, program, c.Stdout, c.Stderr)
}

// maxCPUs is what QEMU's pc machine takes; its virt machine takes more.
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

func (s *guestFlags) checkMirror() error {
	if s.mirror == "" {
		return nil
	}
	if _, err := debian.Open(s.mirror, ""); err != nil {
		return cli.Usage("%w", err)
	}
	return nil
}

func (s *guestFlags) listSeries(ctx context.Context, c *cli.Call) error {
	if len(c.Operands) > 0 {
		return cli.Usage("-list: takes no operands, have %q", c.Operands)
	}
	arch := guest.ArchNamed(s.arch)
	if arch == nil {
		return cli.Usage("-arch %q: want amd64 or arm64", s.arch)
	}
	if err := s.checkMirror(); err != nil {
		return err
	}
	dir, err := guest.UserCache()
	if err != nil {
		return err
	}
	all, err := guest.ListSeries(ctx, dir, arch, s.mirror, s.update, c.Say)
	if err != nil && len(all) > 0 && ctx.Err() == nil {
		c.Say("showing only cached kernels: %v", err)
		err = nil
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERIES\tNEWEST\tSUITE\tDEBIAN UNTIL\tKERNEL.ORG UNTIL\tCACHED")
	for _, one := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", one.Name, orDash(one.Newest), orDash(one.Suite),
			orDash(debian.SuiteEnd(one.Suite)), orDash(debian.SeriesEnd(one.Name)), orDash(one.Cached))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// series are what completion offers for a kernel.
var series = []string{"5.10", "6.1", "6.12", "6.18", "7.3"}
