//go:build linux

package sys

import "golang.org/x/sys/unix"

// FutexSet stores v to *word and wakes one waiter: futex(2) FUTEX_WAKE. The
// futex is a shared one, which threads and processes can both use.
func FutexSet(word *uint32, v uint32) Call {
	c := FutexWake(word)
	c.Set, c.SetTo = word, v
	return c
}

// FutexWake wakes one waiter, or none if none waits.
func FutexWake(word *uint32) Call {
	return Call{Name: "futex(WAKE)", Nr: unix.SYS_FUTEX,
		Args: [6]uintptr{ptr(word), FutexOpWake, 1}, AnyCount: true, Want: -1}
}

// FutexWaitWhile sleeps until *word is no longer v: FUTEX_WAIT as often as it takes.
func FutexWaitWhile(word *uint32, v uint32) Call {
	return Call{Name: "futex(WAIT)", Nr: unix.SYS_FUTEX,
		Args: [6]uintptr{ptr(word), FutexOpWait, uintptr(v)}, While: word, WhileIs: v}
}

// The futex operations of linux/futex.h, without FUTEX_PRIVATE_FLAG: a futex
// in shared memory is found by its page, not by its address.
const (
	FutexOpWait = 0
	FutexOpWake = 1
)
