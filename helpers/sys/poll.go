//go:build linux

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poll asks which of fds are ready, without waiting, and wants n of them:
// ppoll(2) with a timeout of 0 and no mask, since arm64 has no poll.
func Poll(a *Arena, fds []unix.PollFd, n int) Call {
	return Call{Name: "ppoll()", Nr: unix.SYS_PPOLL,
		Args: [6]uintptr{ptr(&fds[0]), uintptr(len(fds)), ptr(Place(a, unix.Timespec{}))}, Want: n}
}

// PollFds returns room for n descriptors.
func PollFds(a *Arena, n int) []unix.PollFd { return sliceOf[unix.PollFd](a, n) }

// Select asks which of fds are readable, without waiting, and wants n of them:
// pselect6(2) with a timeout of 0 and no mask. The kernel overwrites the set,
// so it is laid out anew each time, as every caller of select must: a [Store]
// for each 32 descriptors up to the highest. Descriptors must be below
// FD_SETSIZE, 1024.
func Select(a *Arena, fds []int, n int) []Call {
	var all unix.FdSet
	highest := 0
	for _, fd := range fds {
		all.Set(fd)
		highest = max(highest, fd)
	}
	set := Place(a, all)
	words := (*[unix.FD_SETSIZE / 32]uint32)(unsafe.Pointer(set))
	var calls []Call
	for i := range highest/32 + 1 {
		calls = append(calls, Store(a, &words[i], words[i]))
	}
	return append(calls, Call{Name: "pselect6()", Nr: unix.SYS_PSELECT6,
		Args: [6]uintptr{uintptr(highest + 1), ptr(set), 0, 0, ptr(Place(a, unix.Timespec{}))}, Want: n})
}

// Store is no system call: it puts v into *word.
func Store(a *Arena, word *uint32, v uint32) Call {
	return Call{Name: "store", Set: word, SetTo: v, While: a.Word32(0), WhileIs: 1}
}
