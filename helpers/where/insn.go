package where

// A flow is an instruction's effect on the order of execution.
type flow uint8

const (
	straight flow = iota
	jump          // conditional or not
	call
	ret
	enter // system call: to the kernel
	leave // back from it, or from an interrupt
)

// A class is a kind of instruction that is counted separately.
type class int

// The classes. An instruction can be in several.
const (
	loads class = iota
	stores
	branches
	atomics
	fences
	clocks
	msrs
	tables
	states
	entries
	halts
	slow
	interrupts
	switches
	nclasses
)

// An insn is what is known of the instruction at a place.
type insn struct {
	len     int // 0: not known
	flow    flow
	direct  bool // of a call or jump: its target is in the instruction
	classes [nclasses]uint8
}
