//go:build linux

package rawsig

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"eventbench/helpers/sys"
)

// A Handler is what a signal's handler does besides recording that it ran
// ([Runs]). It is assembly: it may run on any thread, in any state of the Go
// runtime. It clobbers the vector registers on purpose.
//
// Go's threads have small stacks and an alternate one for signals. Without
// SAOnstack the signal's frame goes to the goroutine's stack and overwrites
// what lies below it.
type Handler struct {
	Flags uint64     // of sigaction(2); SASiginfo and what the return needs are added
	Mask  sys.Sigset // blocked while it runs
	Calls []Call     // what it calls, in this order; at most 4
	Pokes []Poke     // what it changes in the context that it returns to; at most 2
}

// A Call is a system call of a handler. Its pointers must stay where they are
// while the handler is installed: they are package variables or in an
// [sys.Arena].
type Call struct {
	Nr   uintptr
	Args [6]uintptr
}

// A Poke is a 64-bit word that a handler stores into its ucontext_t.
type Poke struct {
	Offset uintptr // UcontextMask, ...
	Value  uint64
}

// A Run is one run of a handler, in the memory that the assembly writes.
type Run struct {
	seq uint64 // 1 and up; set when all else is
	// Sig is the argument of the handler, Info what it points at.
	Sig     int64
	TID     int64
	SP      uintptr    // stack pointer at the handler's first instruction
	Blocked sys.Sigset // while the handler ran
	Restore sys.Sigset // uc_sigmask: what will be blocked after it
	Stack   Stack      // uc_stack
	Info    sys.Siginfo
	Results [maxCalls]int64 // of Handler.Calls: negative for an errno
}

const (
	maxCalls = 4
	maxPokes = 2
	maxRuns  = 1024
)

// What the assembly reads and writes: go vet checks the names, TestLayout the
// offsets.
var (
	runs    [maxRuns]Run
	nextRun uint64 // runs so far, whether there was room to record them or not
	scripts [65]script
)

// script is a Handler as the assembly reads it.
type script struct {
	ncalls, npokes uint64
	calls          [maxCalls]Call
	pokes          [maxPokes]Poke
}

// Handle installs a handler for sig. The function it returns restores the
// former action.
func Handle(sig unix.Signal, h Handler) (restore func() error, err error) {
	s := &scripts[sig]
	if len(h.Calls) > maxCalls || len(h.Pokes) > maxPokes {
		return nil, fmt.Errorf("a handler with %d calls and %d pokes: at most %d and %d", len(h.Calls), len(h.Pokes), maxCalls, maxPokes)
	}
	// The kernel may run the old handler until the new one is there.
	s.ncalls, s.npokes = 0, 0
	copy(s.calls[:], h.Calls)
	copy(s.pokes[:], h.Pokes)
	s.ncalls, s.npokes = uint64(len(h.Calls)), uint64(len(h.Pokes))
	act := Action{Handler: HandlerPC(), Flags: h.Flags | SASiginfo, Mask: h.Mask}
	act.returnable()
	old, err := SetAction(sig, &act)
	if err != nil {
		return nil, fmt.Errorf("rt_sigaction(%d): %w", sig, err)
	}
	return func() error {
		_, err := SetAction(sig, &old)
		return err
	}, nil
}

// Forget discards all runs. No handler may be about to run.
func Forget() {
	clear(runs[:])
	atomic.StoreUint64(&nextRun, 0)
}

// Runs returns the handlers' runs since Forget, in the order in which they
// began. A handler that is still running is not among them.
func Runs() []Run {
	var done []Run
	for i := range min(atomic.LoadUint64(&nextRun), maxRuns) {
		if atomic.LoadUint64(&runs[i].seq) != 0 {
			done = append(done, runs[i])
		}
	}
	return done
}

// Ran returns how many runs of sig Runs has.
func Ran(sig unix.Signal) int {
	n := 0
	for i := range min(atomic.LoadUint64(&nextRun), maxRuns) {
		if atomic.LoadUint64(&runs[i].seq) != 0 && runs[i].Sig == int64(sig) {
			n++
		}
	}
	return n
}

// Order returns the signals of Runs.
func Order() []unix.Signal {
	var sigs []unix.Signal
	for _, r := range Runs() {
		sigs = append(sigs, unix.Signal(r.Sig))
	}
	return sigs
}

// HandlerPC is the address of the handler, to install it by SetAction.
func HandlerPC() uintptr

// VectorsSurvive fills the vector registers, makes a system call, and returns
// the number of registers that the kernel or a handler of a pending signal
// changed.
func VectorsSurvive(c Call) int {
	changed, _ := vectorsSurvive(&c, false)
	return changed
}

// VectorsSurviveFork is VectorsSurvive for a call that forks. The child ends at
// once with the number of registers that changed in it as its exit status; pid
// is its id, or a negative errno.
func VectorsSurviveFork(c Call) (changed, pid int) { return vectorsSurvive(&c, true) }

//go:noescape
func vectorsSurvive(c *Call, forks bool) (changed, result int)

// A Left is what a program finds at its start: signal state that execve(2)
// kept.
type Left struct {
	Mask    sys.Sigset
	Pending sys.Sigset
	Stack   Stack
	Actions [65]Action // by signal
}

// ParseLeft reads what a Probe wrote.
func ParseLeft(text []byte) (*Left, error) {
	left := new(Left)
	if n := copy(unsafe.Slice((*byte)(unsafe.Pointer(left)), unsafe.Sizeof(*left)), text); n != int(unsafe.Sizeof(*left)) || n != len(text) {
		return nil, fmt.Errorf("a probe wrote %d bytes, want %d", len(text), unsafe.Sizeof(*left))
	}
	return left, nil
}

// Probe returns a program, an ELF file, that writes a Left of itself to its
// standard output and exits. It has no library and no runtime that could have
// changed anything before.
func Probe() ([]byte, error) {
	// The code is position-independent, so it can be copied out of this
	// program.
	code := unsafe.Slice((*byte)(probePC()), 1024)
	end := bytes.Index(code, []byte(probeEnd))
	if end < 0 {
		return nil, errors.New("the probe's code has no end")
	}
	return program(code[:end]), nil
}

// probeEnd follows the probe's code.
const probeEnd = "end of probe"

func probePC() unsafe.Pointer

// program wraps code in an ELF file with one segment, elf(5).
func program(code []byte) []byte {
	const base, head = 0x400000, 64 + 56
	size := uint64(head + len(code))
	file, _ := binary.Append(nil, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + head, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	file, _ = binary.Append(file, binary.LittleEndian, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	})
	return append(file, code...)
}
