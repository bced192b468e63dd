// Package gdb is a client for the GDB remote serial protocol. It can stop a
// guest of QEMU at an address, read its registers and memory there, and give
// commands to QEMU's monitor.
//
// The protocol is in the GDB manual, appendix "GDB Remote Serial Protocol".
package gdb

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// answerTimeout limits the wait for every answer except Continue's. QEMU
// answers from its main loop, within milliseconds.
const answerTimeout = 30 * time.Second

// A Client is a connection to one QEMU.
type Client struct {
	conn   *os.File
	in     *bufio.Reader
	layout *Layout
}

// NewClient starts a conversation on a socket whose other end QEMU has, with a
// guest whose registers have that layout. The file must support deadlines.
func NewClient(conn *os.File, layout *Layout) (*Client, error) {
	c := &Client{conn: conn, in: bufio.NewReader(conn), layout: layout}
	if _, err := c.ask("qSupported"); err != nil {
		return nil, err
	}
	// Ask for the reason for the stop. From here on QEMU considers the
	// client attached.
	_, err := c.ask("?")
	return c, err
}

// A Layout says where the answer to the protocol's g packet has the registers
// that are used here.
type Layout struct {
	arch string
	pc   int    // the program counter
	args [2]int // the first two arguments of Go's calling convention (ABIInternal)
	mode int    // four bytes that tell the mode
	user func(mode uint32) bool
	// In user mode QEMU may not show the kernel's memory. It does if the
	// register with the mode, which has a number, says that it is the
	// kernel's. nil: it always does.
	kernel     func(mode uint32) uint32
	modeNumber int
}

// Layouts of the architectures.
var (
	// rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15, rip: 8 bytes each.
	// eflags, cs: 4. The privilege level is in the two lowest bits of cs.
	AMD64 = &Layout{arch: "x86-64", args: [2]int{0, 8}, pc: 16 * 8, mode: 17*8 + 4,
		user: func(cs uint32) bool { return cs&3 == 3 }}
	// x0 to x30, sp, pc: 8 bytes each. cpsr: 4, with the exception level in
	// bits 2 and 3, and the choice of the stack pointer in bit 0.
	ARM64 = &Layout{arch: "arm64", args: [2]int{0, 8}, pc: 32 * 8, mode: 33 * 8, modeNumber: 33,
		user:   func(cpsr uint32) bool { return cpsr&0xc == 0 },
		kernel: func(cpsr uint32) uint32 { return cpsr&^0xf | 0x5 }}
)

// Registers are the registers that are used here.
type Registers struct {
	PC   uint64
	Args [2]uint64 // a function's first two arguments, where it begins
	User bool      // the processor was in user mode
}

// Registers returns the registers of the processor that stopped.
func (c *Client) Registers() (r Registers, err error) {
	data, err := c.registers()
	if err != nil {
		return r, err
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(data[at:]) }
	return Registers{
		PC: word(c.layout.pc), Args: [2]uint64{word(c.layout.args[0]), word(c.layout.args[1])},
		User: c.layout.user(c.mode(data)),
	}, nil
}

func (c *Client) registers() ([]byte, error) {
	answer, err := c.ask("g")
	if err != nil {
		return nil, err
	}
	data, err := hex.DecodeString(answer)
	if err != nil || len(data) < c.layout.mode+4 {
		return nil, fmt.Errorf("QEMU's registers are not those of %s: %.80q", c.layout.arch, answer)
	}
	return data, nil
}

func (c *Client) mode(registers []byte) uint32 {
	return binary.LittleEndian.Uint32(registers[c.layout.mode:])
}

// AsKernel calls f, which reads memory as the kernel sees it. The machine must
// not run meanwhile.
func (c *Client) AsKernel(f func() error) error {
	if c.layout.kernel == nil {
		return f()
	}
	data, err := c.registers()
	if err != nil {
		return err
	}
	set := func(mode uint32) error {
		digits := hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, mode))
		return c.askOK(fmt.Sprintf("P%x=%s", c.layout.modeNumber, digits))
	}
	// QEMU 5 lets only those write registers who have asked which there are.
	if _, err := c.ask("qXfer:features:read:target.xml:0,1"); err != nil {
		return err
	}
	mode := c.mode(data)
	if err := set(c.layout.kernel(mode)); err != nil {
		return err
	}
	return errors.Join(f(), set(mode))
}

// Read reads guest memory at a virtual address, as the processor that stopped
// sees it.
func (c *Client) Read(addr uint64, buf []byte) error {
	const most = 2032 // two digits a byte, in a packet of at most 4096
	for len(buf) > 0 {
		n := min(len(buf), most)
		answer, err := c.ask(fmt.Sprintf("m%x,%x", addr, n))
		if err != nil {
			return fmt.Errorf("read %d bytes at %#x: %w", n, addr, err)
		}
		if got, err := hex.Decode(buf[:n], []byte(answer)); err != nil || got != n {
			return fmt.Errorf("read %d bytes at %#x: QEMU answered %.40q", n, addr, answer)
		}
		buf, addr = buf[n:], addr+uint64(n)
	}
	return nil
}

// Break and Unbreak set and remove a breakpoint at a virtual address. It
// applies to every address space and changes nothing in memory.
func (c *Client) Break(addr uint64) error   { return c.askOK(fmt.Sprintf("Z0,%x,1", addr)) }
func (c *Client) Unbreak(addr uint64) error { return c.askOK(fmt.Sprintf("z0,%x,1", addr)) }

// Continue runs the machine until it stops, however long that takes.
func (c *Client) Continue() error { return c.resume("c") }

// Step executes one instruction.
func (c *Client) Step() error { return c.resume("s") }

// ErrEnded is returned by Continue once the machine is gone.
var ErrEnded = errors.New("the machine is gone")

func (c *Client) resume(how string) error {
	if err := c.send(how); err != nil {
		return err
	}
	for {
		answer, err := c.receive(0)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ErrEnded
		case err != nil:
			return err
		case strings.HasPrefix(answer, "W"), strings.HasPrefix(answer, "X"):
			return ErrEnded
		case strings.HasPrefix(answer, "T"), strings.HasPrefix(answer, "S"):
			return nil
		case strings.HasPrefix(answer, "O"): // the console's output
		default:
			return fmt.Errorf("the machine was to go on, and QEMU answered %.40q", answer)
		}
	}
}

// Detach lets the machine continue and ends the conversation.
func (c *Client) Detach() error { return c.askOK("D") }

// Monitor runs a command in QEMU's monitor and returns its output, which is
// empty on success.
func (c *Client) Monitor(command string) (string, error) {
	if err := c.send("qRcmd," + hex.EncodeToString([]byte(command))); err != nil {
		return "", err
	}
	var says strings.Builder
	for {
		answer, err := c.receive(answerTimeout)
		text, output := strings.CutPrefix(answer, "O")
		switch {
		case err != nil:
			return "", fmt.Errorf("monitor command %q: %w", command, err)
		case answer == "OK":
			return strings.TrimSpace(says.String()), nil
		case output:
			data, err := hex.DecodeString(text)
			if err != nil {
				return "", fmt.Errorf("monitor command %q: QEMU answered %.40q", command, answer)
			}
			says.Write(data)
		case answer == "":
			return "", errors.New("this QEMU's debugger has no monitor (qRcmd)")
		default:
			return "", fmt.Errorf("monitor command %q: QEMU answered %.40q", command, answer)
		}
	}
}

func (c *Client) ask(packet string) (string, error) {
	if err := c.send(packet); err != nil {
		return "", err
	}
	answer, err := c.receive(answerTimeout)
	if err == nil && len(answer) == 3 && answer[0] == 'E' {
		err = fmt.Errorf("QEMU answered error %s", answer[1:])
	}
	return answer, err
}

func (c *Client) askOK(packet string) error {
	answer, err := c.ask(packet)
	if err == nil && answer != "OK" {
		err = fmt.Errorf("QEMU answered %.40q", answer)
	}
	if err != nil {
		err = fmt.Errorf("debugger's packet %.20q: %w", packet, err)
	}
	return err
}

// send sends $packet#sum and waits for the acknowledgement, a plus sign.
func (c *Client) send(packet string) error {
	var sum byte
	for i := range len(packet) {
		sum += packet[i]
	}
	c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := fmt.Fprintf(c.conn, "$%s#%02x", packet, sum); err != nil {
		return ended(err)
	}
	ack, err := c.in.ReadByte()
	if err != nil {
		return ended(err)
	}
	if ack != '+' {
		return fmt.Errorf("debugger's packet %.20q: QEMU acknowledged it with %q", packet, ack)
	}
	return nil
}

// receive returns the next packet's content and acknowledges it. Without a
// timeout it waits until somebody ends the machine.
func (c *Client) receive(timeout time.Duration) (string, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	c.conn.SetDeadline(deadline)
	b, err := c.in.ReadByte()
	if err != nil {
		return "", ended(err)
	}
	if b != '$' {
		return "", fmt.Errorf("a packet of QEMU's debugger begins with %q", b)
	}
	packet, err := c.in.ReadString('#')
	if err != nil {
		return "", ended(err)
	}
	packet = packet[:len(packet)-1]
	var digits [2]byte
	if _, err := io.ReadFull(c.in, digits[:]); err != nil {
		return "", ended(err)
	}
	var sum byte
	for i := range len(packet) {
		sum += packet[i]
	}
	if want, err := strconv.ParseUint(string(digits[:]), 16, 8); err != nil || byte(want) != sum {
		return "", fmt.Errorf("a packet of QEMU's debugger has the checksum %q, want %02x", digits, sum)
	}
	if _, err := c.conn.Write([]byte{'+'}); err != nil {
		return "", ended(err)
	}
	return unescape(packet)
}

// unescape undoes escapes (} and the byte xor 0x20) and run lengths (* and the
// number of repetitions plus 29).
func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "}*") {
		return s, nil
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '}' && i+1 < len(s):
			i++
			b = append(b, s[i]^0x20)
		case s[i] == '*' && i+1 < len(s) && s[i+1] >= 29 && len(b) > 0:
			i++
			for range s[i] - 29 {
				b = append(b, b[len(b)-1])
			}
		case s[i] == '}', s[i] == '*':
			return "", fmt.Errorf("a packet of QEMU's debugger is cut short: %.40q", s)
		default:
			b = append(b, s[i])
		}
	}
	return string(b), nil
}

// ended turns the various errors of a socket whose other end is gone into one.
func ended(err error) error {
	for _, end := range []error{io.EOF, os.ErrClosed, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w: %w", ErrEnded, io.EOF)
		}
	}
	return err
}
