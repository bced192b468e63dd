//go:build linux

package sys

import (
	"math"

	"golang.org/x/sys/unix"
)

// FutexSet stores v to *word and wakes one waiter: futex(2) FUTEX_WAKE. This
// futex and those below are shared ones, which threads and processes can both
// use, unless made [Private].
func FutexSet(word *uint32, v uint32) Call {
	c := FutexWake(word)
	c.Set, c.SetTo = word, v
	return c
}

// FutexWake wakes one waiter, or none if none waits.
func FutexWake(word *uint32) Call {
	c := futexWake(word, 1)
	c.AnyCount, c.Want = true, noResult
	return c
}

// FutexWaitWhile sleeps until *word is no longer v: FUTEX_WAIT as often as it
// takes.
func FutexWaitWhile(word *uint32, v uint32) Call {
	return Call{Name: "futex(WAIT)", Nr: unix.SYS_FUTEX,
		Args: [6]uintptr{ptr(word), FutexOpWait, uintptr(v)}, While: word, WhileIs: v}
}

// FutexWakeAll wakes everyone who sleeps on word, and wants them to be n.
func FutexWakeAll(word *uint32, n int) Call {
	c := futexWake(word, math.MaxInt32)
	c.Want = n
	return c
}

// FutexWakeOne wakes one of those who sleep on word, of which there must be
// one.
func FutexWakeOne(word *uint32) Call {
	c := futexWake(word, 1)
	c.Want = 1
	return c
}

func futexWake(word *uint32, n int) Call {
	return Call{Name: "futex(WAKE)", Nr: unix.SYS_FUTEX, Args: [6]uintptr{ptr(word), FutexOpWake, uintptr(n)}}
}

// FutexSleep sleeps on word, which must hold v, until it is woken: FUTEX_WAIT
// once. Unlike [FutexWaitWhile] it ends by the wake-up, not by what the word
// holds then.
func FutexSleep(word *uint32, v uint32) Call {
	return Call{Name: "futex(WAIT)", Nr: unix.SYS_FUTEX, Args: [6]uintptr{ptr(word), FutexOpWait, uintptr(v)}}
}

// Private makes a futex's call one with FUTEX_PRIVATE_FLAG, as C libraries make
// theirs: all who use the futex are threads of one process. It is found by its
// address alone, a shared one by the page of the file or of the shared memory
// that it is in, which the kernel has to look up. Those who wait and those who
// wake must agree.
func Private(c Call) Call {
	c.Args[1] |= futexPrivate
	return c
}

// The futex operations of linux/futex.h, and their flag.
const (
	FutexOpWait  = 0
	FutexOpWake  = 1
	futexPrivate = 128
)
