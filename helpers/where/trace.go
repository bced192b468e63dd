package where

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A trace is the sequence of executed instructions. It is read from QEMU's log
// (-d exec,nochain with one instruction in a block):
//
//	Trace 0: 0x7f0b3c0001c0 [00000000/ffffffff81e00080/0040c0b0/ff000001]
//
// has the processor, the block's address in QEMU, and four values of the guest:
// the base of the code segment (on arm64 more flags), the program counter, flags,
// and flags of the translation, which older versions lack. What means user mode
// depends on the architecture.
type trace struct {
	steps []step
	at    []place // that steps refer to
}

// A place is an instruction's address in user or kernel mode.
type place struct {
	pc   uint64
	user bool
}

// A step is one execution of an instruction: the index of its place and, in the
// four highest bits, the processor. A log has millions of them.
type step uint32

const (
	cpuShift = 28
	maxCPUs  = 1 << (32 - cpuShift)
)

func (s step) place() int { return int(s & (1<<cpuShift - 1)) }
func (s step) cpu() int   { return int(s >> cpuShift) }

// endOfLog is written to the log's pipe once QEMU writes nothing more.
const endOfLog = "end of log\n"

// maxSteps limits the memory that a trace takes to 256 MB.
const maxSteps = 64 << 20

// A logReader makes a trace from QEMU's log.
type logReader struct {
	trace
	index map[place]uint32
	// user reports whether a line is of user mode, by its program counter and
	// flags.
	user func(pc, flags uint64) bool
	// first reports whether a place is that of a stamp. What comes before
	// the first stamp belongs to no operation and is not kept.
	first func(place) bool

	traces int // lines
	kept   bool
	bytes  int
}

func newLogReader(user func(pc, flags uint64) bool, first func(place) bool) *logReader {
	return &logReader{index: make(map[place]uint32), user: user, first: first}
}

// errTooLong is the reason for giving up on a log.
var errTooLong = fmt.Errorf("more than %d million instructions were executed", maxSteps>>20)

var (
	tracePrefix   = []byte("Trace ")
	stoppedPrefix = []byte("Stopped execution of TB chain before ")
)

// read reads up to endOfLog or the end.
func (l *logReader) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) || string(line) == endOfLog {
			return nil
		}
		if err == nil {
			err = l.line(line)
		}
		if err != nil {
			l.steps, l.index = nil, nil
			return err
		}
	}
}

// A formatError is a line that no known version of QEMU writes.
type formatError struct{ line string }

func (e *formatError) Error() string {
	return fmt.Sprintf("QEMU's log has another format than that of QEMU 5 to 11: %.120q", e.line)
}

func (l *logReader) line(line []byte) error {
	l.bytes += len(line)
	if rest, ok := bytes.CutPrefix(line, tracePrefix); ok {
		cpu, pc, flags, ok := parseTrace(rest)
		if !ok {
			return &formatError{string(line)}
		}
		if cpu >= maxCPUs {
			return fmt.Errorf("QEMU's log has processor %d: want at most %d", cpu, maxCPUs)
		}
		p := place{pc, l.user(pc, flags)}
		l.traces++
		l.kept = l.kept || l.first(p)
		if !l.kept {
			return nil
		}
		if len(l.steps) == maxSteps {
			return errTooLong
		}
		i, known := l.index[p]
		if !known {
			i = uint32(len(l.at))
			l.index[p] = i
			l.at = append(l.at, p)
		}
		l.steps = append(l.steps, step(cpu)<<cpuShift|step(i))
		return nil
	}
	if bytes.HasPrefix(line, stoppedPrefix) && len(l.steps) > 0 {
		// The block entered last gave way to an interrupt, or to
		// another processor, before its instruction.
		_, pc, ok := bytes.Cut(line, []byte{'['})
		addr, n := parseHex(pc)
		if !ok || n == 0 {
			return &formatError{string(line)}
		}
		last := len(l.steps) - 1
		if p := l.at[l.steps[last].place()]; p.pc != addr {
			return fmt.Errorf("QEMU's log says that the instruction at %#x was not executed, after one at %#x", addr, p.pc)
		}
		l.steps = l.steps[:last]
	}
	return nil
}

// parseTrace parses what follows "Trace ".
func parseTrace(s []byte) (cpu int, pc, flags uint64, ok bool) {
	i := 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		cpu = cpu*10 + int(s[i]-'0')
	}
	if i == 0 || i > 4 || i == len(s) || s[i] != ':' {
		return 0, 0, 0, false
	}
	open := bytes.IndexByte(s, '[')
	if open < 0 {
		return 0, 0, 0, false
	}
	s = s[open+1:]
	var field [3]uint64 // code segment's base, program counter, flags
	for f := range field {
		v, n := parseHex(s)
		if n == 0 || n == len(s) || s[n] != '/' && (s[n] != ']' || f < 2) {
			return 0, 0, 0, false
		}
		field[f] = v
		s = s[n+1:]
	}
	return cpu, field[1], field[2], true
}

// parseHex parses a number and returns how many bytes it used.
func parseHex(s []byte) (v uint64, n int) {
	if len(s) > 2 && s[0] == '0' && s[1] == 'x' {
		v, n = parseHex(s[2:])
		if n > 0 {
			n += 2
		}
		return v, n
	}
	for ; n < len(s); n++ {
		switch c := s[n]; {
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return v, n
		}
	}
	return v, n
}
