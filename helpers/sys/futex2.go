//go:build linux

package sys

import (
	"math"

	"golang.org/x/sys/unix"
)

// The calls of futex2, one for each operation: futex_wait(2) and futex_wake(2)
// since Linux 6.7, futex_waitv(2) since 5.16. Unlike those of futex(2) these are
// for a futex of a given size, here 32 bits.

const (
	futex2Size32  = 2              // FUTEX2_SIZE_U32
	futex2Private = futexPrivate   // FUTEX2_PRIVATE
	futex2Any     = math.MaxUint32 // FUTEX_BITSET_MATCH_ANY
)

func futex2Flags(private bool) uintptr {
	if private {
		return futex2Size32 | futex2Private
	}
	return futex2Size32
}

// Futex2Set stores v to *word and wakes one waiter, or none if none waits.
func Futex2Set(word *uint32, v uint32, private bool) Call {
	c := Futex2Wake(word, private)
	c.Set, c.SetTo = word, v
	return c
}

// Futex2Wake wakes one waiter, or none if none waits.
func Futex2Wake(word *uint32, private bool) Call {
	return Call{Name: "futex_wake()", Nr: unix.SYS_FUTEX_WAKE, AnyCount: true, Want: noResult,
		Args: [6]uintptr{ptr(word), futex2Any, 1, futex2Flags(private)}}
}

// Futex2WaitWhile sleeps until *word is no longer v.
func Futex2WaitWhile(word *uint32, v uint32, private bool) Call {
	return Call{Name: "futex_wait()", Nr: unix.SYS_FUTEX_WAIT, While: word, WhileIs: v,
		Args: [6]uintptr{ptr(word), uintptr(v), futex2Any, futex2Flags(private), 0, unix.CLOCK_MONOTONIC}}
}

// futexWaiter is struct futex_waitv.
type futexWaiter struct {
	val, addr uint64
	flags, _  uint32
}

// FutexWaitvWhile sleeps until *word is no longer v, in a wait for several
// futexes of which it is the only one. It can be woken by both kinds of call.
func FutexWaitvWhile(a *Arena, word *uint32, v uint32, private bool) Call {
	waiter := Place(a, futexWaiter{val: uint64(v), addr: uint64(ptr(word)), flags: uint32(futex2Flags(private))})
	return Call{Name: "futex_waitv()", Nr: unix.SYS_FUTEX_WAITV, While: word, WhileIs: v,
		Args: [6]uintptr{ptr(waiter), 1, 0, 0, unix.CLOCK_MONOTONIC}}
}
