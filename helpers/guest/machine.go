// Package guest boots a Linux kernel in QEMU, runs one program in it and
// returns the program's exit status. It finds the kernel (a file, a Debian
// package, or the newest of a series), chooses KVM or counted instructions, and
// builds the guest's init: package inside, as /init of an initramfs.
package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/guest/inside"
	"eventbench/helpers/process"
	"eventbench/helpers/seccomp"
)

// A Machine is a virtual machine that runs one program and then ends.
type Machine struct {
	QEMU   *QEMU
	Kernel *Kernel
	Accel  Accel
	Clock  Clock // InstrClock goes with TCG only
	CPUs   int
	Model  string // of the CPU, as QEMU's -cpu takes it; "" for the usual one
	Memory int    // MiB
	Seed   uint64
	Append string // for the end of the kernel's command line
	// Params are those of Append that the kernel must know, Sysctls are set
	// before the program starts, and Settings is what a user calls them all.
	// See Column.Set.
	Params, Sysctls []string
	Settings        string
	// Seccomp is the number of comparisons before each system call of the
	// program, by a seccomp filter; 0 for no filter.
	Seccomp int
	Init    []byte // what FindInit returned
	// Console, if not nil, gets the kernel's messages as they are printed.
	Console io.Writer
	// Debugger, if not nil, is one end of a socket pair on which QEMU
	// speaks the GDB remote serial protocol. The machine does not run until
	// the debugger tells it to. Run takes ownership of the file.
	Debugger *os.File
	// Files are opened by QEMU under the names that InheritedName returns,
	// for example when its monitor is told to log to one. Run takes
	// ownership of them.
	Files []*os.File
}

// InheritedName is the name under which QEMU finds Files[i].
func InheritedName(i int) string { return (firstInherited + inheritedFile(i)).path() }

// settleTime is how long a counted guest sleeps before the program starts, in
// the guest's time. Without it, kernel threads that finish the boot make single
// figures up to ten times larger. The guest's clock jumps while it sleeps, so
// this costs almost nothing.
const settleTime = 20 * time.Second

// A NoStatusError says why the program has no exit status.
type NoStatusError struct {
	Err     error
	Started bool     // the program had been started
	Console []string // the last lines
	Rest    int      // of console lines that are not in Console
}

func (e *NoStatusError) Error() string {
	when := "before it started the program"
	if e.Started {
		when = "while the program ran"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the guest ended %s: %v", when, e.Err)
	if len(e.Console) == 0 {
		b.WriteString("; the console was silent")
	} else {
		b.WriteString("; the console's last lines:")
		for _, line := range e.Console {
			b.WriteString("\n\t| " + line)
		}
	}
	return b.String()
}

func (e *NoStatusError) Unwrap() error { return e.Err }

// consoleLines is how many lines of the console an error shows.
const consoleLines = 25

// MinMemory is the least memory in MiB with which a distribution's kernel
// boots.
const MinMemory = 128

// ChooseCPUs sets the number of processors if it is 0: two, which many
// benchmarks need, if QEMU supports that.
func (m *Machine) ChooseCPUs(say progress) error {
	fair := m.Clock != InstrClock || m.QEMU.fairCounting()
	if m.CPUs > 1 && !fair {
		return fmt.Errorf("-cpus %d: QEMU %s starves the second processor when it counts instructions; QEMU 10 does not (Debian bookworm has it in bookworm-backports)", m.CPUs, m.QEMU.Version)
	}
	if m.CPUs == 0 {
		if m.CPUs = 2; !fair {
			m.CPUs = 1
			say("one processor, as QEMU %s cannot count instructions on two; QEMU 10 can (Debian bookworm has it in bookworm-backports)", m.QEMU.Version)
		}
	}
	return nil
}

// model returns the CPU's model.
func (m *Machine) model() string {
	switch {
	case m.Model != "":
		return m.Model
	case m.Accel == KVM:
		return hostModel
	default:
		return emulatedModel
	}
}

func (m *Machine) processor() option {
	p := processor{m.QEMU.Arch, m.model(), m.CPUs, m.Seed}
	switch {
	case m.Accel == KVM:
		return hostProcessor{p}
	case m.Clock == InstrClock:
		return countedProcessor{p}
	default:
		return emulatedProcessor{p}
	}
}

// options returns the machine's options, apart from the files it inherits.
func (m *Machine) options() []option {
	return []option{bareMachine{m.QEMU.Arch}, m.processor(), memory(m.Memory)}
}

// Config describes the machine in lines of the Go benchmark format, for results
// measured on it.
func (m *Machine) Config() ([]string, error) {
	cmdline, err := kernelCmdline(append(m.options(), serialPort{arch: m.QEMU.Arch, id: consoleID}, userArgs(m.Append)))
	if err != nil {
		return nil, err
	}
	config := []string{
		"accelerator: " + string(m.Accel),
		"qemu: " + m.QEMU.Version,
		"cpu-model: " + m.model(),
		"memory: " + strconv.Itoa(m.Memory) + "M",
		"seed: " + strconv.FormatUint(m.Seed, 10),
		"kernel-image: " + m.Kernel.Name,
		"cmdline: " + cmdline,
	}
	if m.Settings != "" {
		config = append(config, "settings: "+m.Settings)
	}
	if m.Seccomp > 0 {
		config = append(config, seccomp.Config(m.Seccomp))
	}
	return config, nil
}

// Run boots the machine and runs the program in it. It returns the program's
// exit status, which is 128 plus the signal's number if a signal killed it. If
// there is no status, or ctx ended first, the error is a NoStatusError. No
// process is left when Run returns.
func (m *Machine) Run(ctx context.Context, p *Program, stdout, stderr io.Writer) (status int, err error) {
	cmd := &qemuCommand{}
	defer func() {
		for _, f := range cmd.files {
			f.Close()
		}
	}()
	for _, f := range m.Files {
		cmd.inherit(f)
	}
	if m.Debugger != nil {
		cmd.add(debugger{cmd.inherit(m.Debugger)})
	}
	fsys, err := m.initramfs(p)
	if err != nil {
		return 0, err
	}
	if need := 2 * fsys.size() >> 20; int64(m.Memory) < need {
		return 0, fmt.Errorf("-memory %dM: the program and its testdata need %dM at least", m.Memory, need)
	}
	archive, err := memfd("initramfs", fsys)
	if err != nil {
		return 0, err
	}
	initrd := cmd.inherit(archive)
	image, err := memfd("kernel", bytes.NewReader(m.Kernel.image))
	if err != nil {
		return 0, err
	}
	kernel := cmd.inherit(image)
	cmd.add(m.options()...)

	console := &process.Tail{}
	consoleOut := io.Writer(console)
	if m.Console != nil {
		consoleOut = io.MultiWriter(console, m.Console)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out, err := newPorts(m.QEMU.Arch, cmd, stop, []sink{
		{consoleID, consoleOut}, {"stdout", stdout}, {"stderr", stderr},
	})
	if err != nil {
		return 0, err
	}
	defer out.close(ctx)
	report, err := newPort(m.QEMU.Arch, cmd, "report")
	if err != nil {
		return 0, err
	}
	defer report.Close()
	cmd.add(boot{kernel: kernel, initramfs: initrd}, userArgs(m.Append))

	args, err := cmd.args()
	if err != nil {
		return 0, err
	}
	qemuSays := &process.Tail{}
	qemu, err := process.Start(m.QEMU.command(args, cmd.files, qemuSays))
	if err != nil {
		return 0, fmt.Errorf("start QEMU: %w", err)
	}
	defer qemu.Kill()
	for _, f := range cmd.files { // now QEMU's alone, so that its end is theirs
		f.Close()
	}
	cmd.files = nil

	reported := make(chan *reporter, 1)
	go func() {
		r := &reporter{files: p.collect}
		r.read(report)
		reported <- r
	}()
	var r *reporter
	var why error
	select {
	case r = <-reported: // or QEMU has ended
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	if r == nil || !r.final {
		// Whatever the reason, wait a moment for the last messages:
		// QEMU may be exiting after a panic.
		select {
		case <-qemu.Done:
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
	qemu.Kill()
	if r == nil {
		r = <-reported
	}
	if err := out.close(ctx); err != nil {
		return 0, err
	}
	if r.err == nil && r.final {
		return r.status, nil
	}
	e := &NoStatusError{Started: r.started, Console: console.Lines(consoleLines), Err: r.err}
	switch {
	case why != nil:
		e.Err = why
	case r.err != nil:
	case len(qemuSays.Lines(1)) > 0:
		e.Err = fmt.Errorf("QEMU: %s", strings.Join(qemuSays.Lines(3), "; "))
	case qemu.Err != nil:
		e.Err = fmt.Errorf("QEMU: %w", qemu.Err)
	default:
		e.Err = errors.New("it restarted" + panicReason(console.Lines(process.TailSize)))
	}
	return 0, e
}

// panicReason finds the kernel's message when it panicked. The stack trace
// after it is longer than what an error shows.
func panicReason(console []string) string {
	for _, line := range console {
		if _, reason, ok := strings.Cut(line, "Kernel panic - not syncing: "); ok {
			return " after a kernel panic: " + reason
		}
	}
	return ""
}

// initramfs returns the guest's file system with the program in it.
func (m *Machine) initramfs(p *Program) (*initramfs, error) {
	fsys := &initramfs{}
	j, err := p.addTo(fsys)
	if err != nil {
		return nil, err
	}
	j.Seccomp, j.Params, j.Sysctls = m.Seccomp, m.Params, m.Sysctls
	if m.Clock == InstrClock {
		j.Settle = settleTime
	}
	data, err := j.Encode()
	if err != nil {
		return nil, err
	}
	fsys.file(inside.JobPath, 0o600, data)
	fsys.file(inside.InitPath, 0o755, m.Init)
	// Where distributions have it: it alone tells some preemption models.
	if m.Kernel.config != nil {
		fsys.file("/boot/config-"+m.Kernel.Release, 0o644, m.Kernel.config)
	}
	fsys.device("/dev/console", 0o600, 5, 1) // for init's descriptors 0 to 2
	return fsys, nil
}

type sink struct {
	id string
	w  io.Writer
}

// ports pass on the output of the guest's serial ports.
type ports struct {
	spools []*spool
	reads  []*os.File
	copied []chan error
}

// newPorts adds a serial port to the machine for each sink. It calls stop if
// more output piles up than there is room for.
func newPorts(arch *Arch, cmd *qemuCommand, stop context.CancelCauseFunc, sinks []sink) (*ports, error) {
	p := &ports{}
	for _, s := range sinks {
		r, err := newPort(arch, cmd, s.id)
		if err != nil {
			p.close(context.Background()) // of which nothing has come yet
			return nil, err
		}
		spool, copied := newSpool(s.w), make(chan error, 1)
		go func() {
			_, err := io.Copy(spool, r)
			if full := (*spoolFullError)(nil); errors.As(err, &full) {
				stop(err)
			}
			copied <- err
		}()
		p.spools = append(p.spools, spool)
		p.reads = append(p.reads, r)
		p.copied = append(p.copied, copied)
	}
	return p, nil
}

// close waits until everything has been passed on, which requires that QEMU has
// ended, or until ctx has ended and nobody reads the rest.
func (p *ports) close(ctx context.Context) error {
	var first error
	for i, s := range p.spools {
		if err := <-p.copied[i]; err != nil && first == nil {
			first = err
		}
		p.reads[i].Close()
		if err := s.close(ctx); err != nil && first == nil {
			first = err
		}
	}
	p.spools = nil
	return first
}

// newPort adds a serial port to the machine and returns the end to read from.
func newPort(arch *Arch, cmd *qemuCommand, id string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.add(serialPort{arch: arch, id: id, file: cmd.inherit(w)})
	return r, nil
}

// A reporter reads the reports of the guest's init.
type reporter struct {
	files   []output
	started bool
	final   bool
	status  int // as a shell gives it
	err     error
}

// read reads until init has nothing more to report.
func (r *reporter) read(port io.Reader) {
	in := bufio.NewReader(port)
	for !r.final && r.err == nil {
		line, err := in.ReadString('\n')
		if err != nil {
			return // the guest is gone
		}
		r.line(strings.TrimSuffix(line, "\n"), in)
	}
}

func (r *reporter) line(line string, in io.Reader) {
	var n, size int
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case inside.ReportStarted:
		r.started = true
	case inside.ReportFailed:
		text, err := strconv.Unquote(rest)
		if err != nil {
			text = rest
		}
		r.err = errors.New(text)
	case inside.ReportExited, inside.ReportKilled:
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			r.err = fmt.Errorf("its init reported %q", line)
			return
		}
		if r.final, r.status = true, n; word == inside.ReportKilled {
			r.status += 128
		}
	case inside.ReportFile:
		if _, err := fmt.Sscanf(rest, "%d %d", &n, &size); err != nil || n < 0 || n >= len(r.files) || size < 0 {
			r.err = fmt.Errorf("its init reported %q", line)
			return
		}
		r.err = receiveFile(r.files[n].host, io.LimitReader(in, int64(size)), int64(size))
	default:
		r.err = fmt.Errorf("its init reported %q", line)
	}
}

// receiveFile writes a whole file or none.
func receiveFile(name string, from io.Reader, size int64) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	n, err := io.Copy(f, from)
	if err == nil && n < size {
		err = fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
