//go:build linux

package where

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"eventbench/helpers/guest"
	"eventbench/helpers/where/gdb"
	"eventbench/helpers/where/symbols"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/sys/unix"
)

// A Program is a static test binary, with what a debugger must know about it.
type Program struct {
	Path   string
	arch   *arch
	table  *symbols.Table
	begins marker // measure.loopBegins
	ends   marker // measure.loopEnds
	stamps map[uint64]bool
}

// A marker is where a debugger stops the program. Its code tells it from other
// programs, such as the guest's init, that have something else at that address.
type marker struct {
	addr uint64
	code []byte
}

// The functions that helpers/measure calls at the start and the end of a
// benchmark's loop.
const (
	loopBegins = "eventbench/helpers/measure.loopBegins"
	loopEnds   = "eventbench/helpers/measure.loopEnds"
)

// LoadProgram reads a test binary.
func LoadProgram(path string) (*Program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	g, err := guest.LoadProgram(path, nil, ".")
	if err != nil { // no guest could run it
		return nil, err
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Program{Path: path, arch: archOf(g.Arch()), stamps: make(map[uint64]bool)}
	r := bytes.NewReader(image)
	if p.table, err = symbols.ReadELF(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text := f.Section(".text")
	if text == nil {
		return nil, fmt.Errorf("%s has no section .text", path)
	}
	code, err := text.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, wanted := range []struct {
		name string
		m    *marker
	}{{loopBegins, &p.begins}, {loopEnds, &p.ends}} {
		name := wanted.name
		addr, ok := p.table.Addr(name)
		if !ok || addr < text.Addr || addr >= text.Addr+uint64(len(code)) {
			return nil, fmt.Errorf("%s has no function %s: want a test binary of this module, as make eventbench.static builds it", path, name)
		}
		from := code[addr-text.Addr:]
		*wanted.m = marker{addr, from[:min(64, len(from))]}
	}
	for at := 0; ; at++ {
		i := bytes.Index(code[at:], p.arch.stamp)
		if i < 0 {
			break
		}
		at += i
		p.stamps[text.Addr+uint64(at)] = true
	}
	if len(p.stamps) == 0 {
		return nil, fmt.Errorf("%s never stores the %s the way this version of helpers/sys does: rebuild it (make eventbench.static)", path, p.arch.counter)
	}
	return p, nil
}

func (p *Program) isStamp(at place) bool { return at.user && p.stamps[at.pc] }

// A loop is the result of a boot for one benchmark.
type loop struct {
	benchmark string
	count     int     // its own instrs/op
	mean      float64 // and mean-instrs/op
	stamps    []uint64
	trace     *trace // where it was logged
	code      *memory
	bytes     int // of the log
}

// counts returns the operations' counts.
func (l *loop) counts() []int {
	counts := make([]int, 0, len(l.stamps))
	for i := 1; i < len(l.stamps); i++ {
		counts = append(counts, int(l.stamps[i]-l.stamps[i-1]))
	}
	return counts
}

// errNoLoop says why a benchmark has no stamps.
var errNoLoop error = &InexactError{"no loop of single operations was measured: this is for benchmarks of what one thread does and of round trips (Self, Create, Ctl, Wait, Arm, RoundTrip)"}

// A mode is what a debugger does in a boot.
type mode int

const (
	unlogged mode = iota // it stops where logged does, and reads the stamps
	logged               // it has what is executed in each loop logged
)

// boot runs the program once, in a guest, and returns the loops of its
// benchmarks by name.
func boot(ctx context.Context, m guest.Machine, p *guest.Program, of *Program, how mode) (map[string]*loop, error) {
	var loops []*loop
	var output []byte
	var err error
	switch how {
	case unlogged:
		output, err = debug(ctx, m, p, func(c *gdb.Client) error {
			for {
				if err := until(c, of.begins); err != nil {
					return err // at last that the machine is gone
				}
				if err := until(c, of.ends); err != nil {
					return err
				}
				stamps, err := readStamps(c)
				if err != nil {
					return err
				}
				loops = append(loops, &loop{stamps: stamps})
			}
		})
	case logged:
		var g *logging
		if g, err = newLogging(&m, of); err != nil {
			return nil, err
		}
		defer g.close()
		// If the log cannot be read, end the guest: it would wait for
		// ever for somebody to empty the pipe.
		lctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		output, err = debug(lctx, m, p, func(c *gdb.Client) error {
			for {
				l, err := g.loop(c, cancel)
				if err != nil {
					return err
				}
				loops = append(loops, l)
			}
		})
	}
	if err != nil {
		return nil, err
	}
	return named(loops, output)
}

// named assigns loops to benchmarks: results are printed in the order of the
// loops.
func named(loops []*loop, output []byte) (map[string]*loop, error) {
	all := make(map[string]*loop)
	in := benchfmt.NewReader(bytes.NewReader(output), "the program's output")
	for in.Scan() {
		r, ok := in.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		count, ok := r.Value("instrs/op")
		if !ok {
			continue // it has a mean only
		}
		if len(loops) == 0 {
			return nil, fmt.Errorf("%s has a result, but the debugger did not see its loop", r.Name)
		}
		l := loops[0]
		loops = loops[1:]
		l.benchmark, l.count = r.Name.String(), int(count)
		l.mean, _ = r.Value("mean-instrs/op")
		all[l.benchmark] = l
	}
	if len(loops) > 0 {
		return nil, fmt.Errorf("%d loops have no result:\n%s", len(loops), tail(string(output)))
	}
	return all, nil
}

// debug runs the program in a guest that f debugs from the first instruction.
// When f returns, the guest continues. debug returns what the program printed.
func debug(ctx context.Context, m guest.Machine, p *guest.Program, f func(c *gdb.Client) error) (output []byte, err error) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, far, err := socketpair()
	if err != nil {
		return nil, err
	}
	m.Debugger = far
	debugged := make(chan error, 1)
	go func() {
		err := func() error {
			c, err := gdb.NewClient(conn, archOf(m.QEMU.Arch).layout)
			if err != nil {
				return err
			}
			if err := f(c); err != nil {
				return err
			}
			return c.Detach()
		}()
		if errors.Is(err, gdb.ErrEnded) {
			err = nil // the guest's end has a reason of its own
		}
		if err != nil {
			cancel(err)
		}
		debugged <- err
	}()
	defer func() {
		conn.Close() // where f still waits for an answer
		if derr := <-debugged; derr != nil {
			err = derr
		}
	}()
	status, err := m.Run(ctx, p, &stdout, &stderr)
	if err == nil && status != 0 {
		err = &endedError{status, tail(stdout.String()) + tail(stderr.String())}
	}
	return stdout.Bytes(), err
}

// An endedError means that the program failed.
type endedError struct {
	status int
	output string
}

func (e *endedError) Error() string {
	return fmt.Sprintf("the program ended with status %d:\n%s", e.status, e.output)
}

// socketpair returns the two ends of a connection, one for [gdb.NewClient] and
// one for QEMU.
func socketpair() (near, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	err = os.NewSyscallError("fcntl", unix.SetNonblock(fds[0], true)) // for deadlines
	near, far = os.NewFile(uintptr(fds[0]), "debugger"), os.NewFile(uintptr(fds[1]), "debugger")
	if err != nil {
		near.Close()
		far.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// tail returns the last lines of an output, indented.
func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-8):] {
		if l != "" {
			fmt.Fprintf(&b, "\t%s\n", l)
		}
	}
	return b.String()
}

// A logging makes the logs of a guest.
type logging struct {
	of *Program
	// QEMU writes the log to a pipe. This process also keeps the writing
	// end, to mark the end of each log.
	pipe, pipeEnd *os.File
}

// newLogging gives the machine a pipe to log to.
func newLogging(m *guest.Machine, of *Program) (*logging, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	g := &logging{of: of, pipe: r, pipeEnd: w}
	// QEMU waits when the pipe is full. The guest does not notice; a larger
	// pipe only saves time.
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	far, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		g.close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	m.Files = []*os.File{os.NewFile(uintptr(far), "log")}
	return g, nil
}

func (g *logging) close() {
	g.pipe.Close()
	g.pipeEnd.Close()
}

// loop logs the next loop. It calls abort once it can no longer succeed.
func (g *logging) loop(c *gdb.Client, abort func(error)) (*loop, error) {
	if err := until(c, g.of.begins); err != nil {
		return nil, err
	}
	if err := g.begin(c); err != nil {
		return nil, err
	}
	log := newLogReader(g.of.arch.user, g.of.isStamp)
	read := make(chan error, 1)
	go func() {
		err := log.read(g.pipe)
		if err != nil {
			abort(err)
		}
		read <- err
	}()
	err := until(c, g.of.ends)
	if err == nil {
		_, err = c.Monitor("log none")
	}
	if err == nil {
		_, err = io.WriteString(g.pipeEnd, endOfLog)
	}
	if err != nil {
		g.pipe.Close() // ends the reader
		<-read
		return nil, err
	}
	if err := <-read; err != nil {
		return nil, err
	}
	if log.traces == 0 {
		return nil, errors.New("QEMU logged no instruction (log exec,nochain)")
	}
	l := &loop{trace: &log.trace, bytes: log.bytes}
	if l.stamps, err = readStamps(c); err != nil {
		return nil, err
	}
	err = c.AsKernel(func() error {
		l.code, err = readCode(c, log.at, g.of.arch.maxInsn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, translate(c, false)
}

// until runs the machine until the program reaches a marker: the next one if it
// is at one now.
func until(c *gdb.Client, m marker) error {
	for {
		regs, err := c.Registers()
		if err != nil {
			return err
		}
		// A breakpoint at the current address would stop it at once,
		// for ever.
		if regs.PC == m.addr {
			if err := c.Step(); err != nil {
				return err
			}
		}
		if err := c.Break(m.addr); err != nil {
			return err
		}
		if err := c.Continue(); err != nil {
			return err
		}
		if err := c.Unbreak(m.addr); err != nil {
			return err
		}
		if regs, err = c.Registers(); err != nil {
			return err
		}
		code := make([]byte, len(m.code))
		err = c.Read(m.addr, code)
		if errors.Is(err, gdb.ErrEnded) {
			return err
		}
		// Something else may be at that address: the firmware, the
		// kernel while it unpacks itself, or another program.
		if err == nil && regs.PC == m.addr && regs.User && bytes.Equal(code, m.code) {
			return nil
		}
	}
}

// begin logs each instruction from here on.
func (g *logging) begin(c *gdb.Client) error {
	if err := translate(c, true); err != nil {
		return err
	}
	for _, command := range []string{"logfile " + guest.InheritedName(0), "log exec,nochain"} {
		if says, err := c.Monitor(command); err != nil {
			return err
		} else if says != "" {
			return fmt.Errorf("QEMU's monitor refused %q: %s", command, says)
		}
	}
	return nil
}

// translate makes QEMU translate blocks of one instruction, or of many again.
// Versions before 8.1 call this singlestep.
func translate(c *gdb.Client, single bool) error {
	state := map[bool]string{true: "on", false: "off"}[single]
	var reasons []string
	for _, command := range []string{"one-insn-per-tb ", "singlestep "} {
		says, err := c.Monitor(command + state)
		if err != nil {
			return err
		}
		if says == "" {
			return nil
		}
		reasons = append(reasons, says)
	}
	return fmt.Errorf("this QEMU cannot log instructions one by one (one-insn-per-tb): %s: want QEMU 5 or newer", strings.Join(reasons, "; "))
}

// readStamps reads the argument of loopEnds, a slice in registers: see Go's
// ABIInternal.
func readStamps(c *gdb.Client) ([]uint64, error) {
	regs, err := c.Registers()
	if err != nil {
		return nil, err
	}
	addr, n := regs.Args[0], regs.Args[1]
	if n < 2 || n > 1<<16 {
		return nil, fmt.Errorf("%s was called with %d stamps: the test binary is from another version: rebuild it (make eventbench.static)", loopEnds, n)
	}
	data := make([]byte, 8*n)
	if err := c.Read(addr, data); err != nil {
		return nil, fmt.Errorf("stamps: %w", err)
	}
	stamps := make([]uint64, n)
	for i := range stamps {
		stamps[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return stamps, nil
}

// readCode reads the pages with executed instructions as they are now,
// including everything that the kernel has patched in its code.
func readCode(c *gdb.Client, at []place, maxInsn uint64) (*memory, error) {
	m := &memory{pages: make(map[uint64][]byte)}
	for _, p := range at {
		for _, addr := range []uint64{p.pc, p.pc + maxInsn - 1} {
			page := addr &^ (pageSize - 1)
			if _, ok := m.pages[page]; ok {
				continue
			}
			data := make([]byte, pageSize)
			err := c.Read(page, data)
			if errors.Is(err, gdb.ErrEnded) {
				return nil, err
			}
			if err != nil {
				data = nil // not mapped here: another process's, or the next page is none
			}
			m.pages[page] = data
		}
	}
	return m, nil
}
