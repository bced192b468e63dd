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
	"time"

	"eventbench/helpers/guest"
	"eventbench/helpers/where/gdb"
	"eventbench/helpers/where/symbols"

	"golang.org/x/sys/unix"
)

// A Program is a static test binary, and what of it a debugger has to know.
type Program struct {
	Path   string
	table  *symbols.Table
	begins uint64 // measure.loopBegins
	ends   uint64 // measure.loopEnds
	stamps map[uint64]bool
}

// Where a benchmark's loop begins and ends: functions that helpers/measure
// calls for this.
const (
	loopBegins = "eventbench/helpers/measure.loopBegins"
	loopEnds   = "eventbench/helpers/measure.loopEnds"
)

// stampCode is how the executor of helpers/sys reads the time-stamp counter
// between operations: RDTSC; SHLQ $32, DX; ORQ DX, AX; MOVQ AX, (DI)(R15*8).
var stampCode = []byte{0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x4a, 0x89, 0x04, 0xff}

// LoadProgram reads a test binary.
func LoadProgram(path string) (*Program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := guest.LoadProgram(path, nil, "."); err != nil { // that a guest could not run
		return nil, err
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Program{Path: path, stamps: make(map[uint64]bool)}
	r := bytes.NewReader(image)
	if p.table, err = symbols.ReadELF(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, at := range map[string]*uint64{loopBegins: &p.begins, loopEnds: &p.ends} {
		addr, ok := p.table.Addr(name)
		if !ok {
			return nil, fmt.Errorf("%s has no function %s: want a test binary of this module, as make eventbench.static builds it", path, name)
		}
		*at = addr
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
	for at := 0; ; at++ {
		i := bytes.Index(code[at:], stampCode)
		if i < 0 {
			break
		}
		at += i
		p.stamps[text.Addr+uint64(at)] = true
	}
	if len(p.stamps) == 0 {
		return nil, fmt.Errorf("%s never stores the time-stamp counter as helpers/sys of this version does: build it anew (make eventbench.static)", path)
	}
	return p, nil
}

func (p *Program) isStamp(at place) bool { return at.user && p.stamps[at.pc] }

// A bootResult is what one boot of one benchmark gave.
type bootResult struct {
	output []byte // of the program
	stamps []uint64
	trace  *trace
	code   *memory
	took   time.Duration
	bytes  int // of the log
}

// counts are the operations'.
func (r *bootResult) counts() []int {
	counts := make([]int, 0, len(r.stamps))
	for i := 1; i < len(r.stamps); i++ {
		counts = append(counts, int(r.stamps[i]-r.stamps[i-1]))
	}
	return counts
}

// errNotStopped is the reason why there are no stamps of a benchmark.
var errNotStopped = errors.New("no loop of single operations was measured: this is for benchmarks of what one thread does and of round trips (Self, Create, Ctl, Wait, Arm, RoundTrip)")

// A mode says what a debugger does in a boot.
type mode int

const (
	unlogged mode = iota // it reads the stamps after the loop
	logged               // it has what is executed in the loop logged
)

// boot runs the program once, in a guest.
func boot(ctx context.Context, m guest.Machine, p *guest.Program, of *Program, how mode) (r *bootResult, err error) {
	began := time.Now()
	r = &bootResult{}
	switch how {
	case unlogged:
		r.output, err = debug(ctx, m, p, func(c *gdb.Client) error {
			if err := until(c, of.ends); err != nil {
				return err
			}
			r.stamps, err = readStamps(c)
			return err
		})
	case logged:
		var l *logging
		if l, err = newLogging(&m, of); err != nil {
			return nil, err
		}
		defer l.close()
		// What the log cannot be read for ends the guest: it would wait for ever
		// for somebody to empty the pipe.
		lctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		r.output, err = debug(lctx, m, p, func(c *gdb.Client) error { return l.run(c, r, cancel) })
		r.bytes = l.log.bytes
	}
	r.took = time.Since(began)
	if err == nil && r.stamps == nil {
		err = fmt.Errorf("%w\n%s", errNotStopped, tail(r.output))
	}
	return r, err
}

// debug runs the program in a guest that f debugs, from its first instruction
// on. When f returns the guest goes on. It returns what the program printed.
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
			c, err := gdb.NewClient(conn)
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
	if err == nil && status.ExitCode() != 0 {
		err = fmt.Errorf("the program ended with status %d:\n%s%s", status.ExitCode(), tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return stdout.Bytes(), err
}

// socketpair returns two ends of a connection: one for [gdb.NewClient], the
// other for QEMU.
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
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-8):] {
		if l != "" {
			fmt.Fprintf(&b, "\t%s\n", l)
		}
	}
	return b.String()
}

// A logging is a guest's log in the making.
type logging struct {
	of  *Program
	log *logReader
	// QEMU writes the log to a pipe. This process keeps its writing end too, to
	// mark the log's end there.
	pipe, pipeEnd *os.File
}

// newLogging gives the machine a pipe to log to.
func newLogging(m *guest.Machine, of *Program) (*logging, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l := &logging{of: of, log: newLogReader(of.isStamp), pipe: r, pipeEnd: w}
	// What does not fit makes QEMU wait, which the guest does not notice: a
	// larger pipe only saves time.
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	far, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		l.close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	m.Files = []*os.File{os.NewFile(uintptr(far), "log")}
	return l, nil
}

func (l *logging) close() {
	l.pipe.Close()
	l.pipeEnd.Close()
}

// run has the loop logged. It calls abort where that cannot succeed any more.
func (l *logging) run(c *gdb.Client, r *bootResult, abort func(error)) error {
	if err := until(c, l.of.begins); err != nil {
		return err
	}
	if err := l.begin(c); err != nil {
		return err
	}
	read := make(chan error, 1)
	go func() {
		err := l.log.read(l.pipe)
		if err != nil {
			abort(err)
		}
		read <- err
	}()
	err := until(c, l.of.ends)
	if err == nil {
		_, err = c.Monitor("log none")
	}
	if err == nil {
		_, err = io.WriteString(l.pipeEnd, endOfLog)
	}
	if err != nil {
		l.pipe.Close() // ends the reader
		<-read
		return err
	}
	if err := <-read; err != nil {
		return err
	}
	if l.log.traces == 0 {
		return errors.New("QEMU logged no instruction (log exec,nochain)")
	}
	if r.stamps, err = readStamps(c); err != nil {
		return err
	}
	r.trace = &l.log.trace
	if r.code, err = readCode(c, l.log.at); err != nil {
		return err
	}
	return translate(c, false)
}

// until lets the machine go on until the program comes to addr.
func until(c *gdb.Client, addr uint64) error {
	if err := c.Break(addr); err != nil {
		return err
	}
	for {
		if err := c.Continue(); err != nil {
			return err
		}
		regs, err := c.Registers()
		if err != nil {
			return err
		}
		if err := c.Unbreak(addr); err != nil {
			return err
		}
		if regs.RIP == addr && regs.User() {
			return nil
		}
		// Something else has code at that address: the firmware, or the kernel
		// while it unpacks itself.
		if regs.RIP == addr {
			if err := c.Step(); err != nil {
				return err
			}
		}
		if err := c.Break(addr); err != nil {
			return err
		}
	}
}

// begin has each instruction logged from here on.
func (l *logging) begin(c *gdb.Client) error {
	if err := translate(c, true); err != nil {
		return err
	}
	for _, command := range []string{"logfile " + guest.InheritedName(0), "log exec,nochain"} {
		if says, err := c.Monitor(command); err != nil {
			return err
		} else if says != "" {
			return fmt.Errorf("QEMU's monitor does not do %q: %s", command, says)
		}
	}
	return nil
}

// translate has QEMU translate blocks of one instruction, or of many again. Its
// versions before 8.1 call it singlestep.
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
	return fmt.Errorf("this QEMU cannot log instructions one by one (one-insn-per-tb): %s: want QEMU 7 or newer", strings.Join(reasons, "; "))
}

// readStamps reads the argument of loopEnds, a slice in registers: see
// the section "amd64 architecture" of Go's ABIInternal.
func readStamps(c *gdb.Client) ([]uint64, error) {
	regs, err := c.Registers()
	if err != nil {
		return nil, err
	}
	if n := regs.RBX; n < 2 || n > 1<<16 {
		return nil, fmt.Errorf("%s was called with %d stamps: the test binary is another version's: build it anew (make eventbench.static)", loopEnds, n)
	}
	data := make([]byte, 8*regs.RBX)
	if err := c.Read(regs.RAX, data); err != nil {
		return nil, fmt.Errorf("stamps: %w", err)
	}
	stamps := make([]uint64, regs.RBX)
	for i := range stamps {
		stamps[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return stamps, nil
}

// readCode reads the pages that instructions were executed in, as they are now:
// with everything that the kernel patches into its code.
func readCode(c *gdb.Client, at []place) (*memory, error) {
	m := &memory{pages: make(map[uint64][]byte)}
	for _, p := range at {
		for _, addr := range []uint64{p.pc, p.pc + maxInsn} {
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
