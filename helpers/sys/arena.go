//go:build linux

package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Arena is memory that both parties of a measurement see at the same
// address, threads and forked children alike: one shared anonymous mapping,
// handed out piece by piece and returned as a whole. The garbage collector
// knows nothing of it, so it must hold no pointers to Go objects.
type Arena struct {
	mem  []byte
	used uintptr
}

// cacheLine separates the pieces, so that two parties on two CPUs never
// write to the same line unless they mean to.
const cacheLine = 64

// NewArena maps size bytes, zeroed, and touches every page, so that no page
// fault falls into a measurement (a child still takes its own first faults).
func NewArena(size int) (*Arena, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d shared bytes: %w", size, err)
	}
	return &Arena{mem: mem}, nil
}

// Close unmaps the arena. Nothing that lives in it may be used any more.
func (a *Arena) Close() error { return unix.Munmap(a.mem) }

// alloc hands out room for n values of T, zeroed, on cache lines of their
// own. It panics when the arena is full: its size is the caller's constant.
func alloc[T any](a *Arena, n int) *T {
	var zero T
	size := max(unsafe.Sizeof(zero)*uintptr(n), 1)
	if a.used+size > uintptr(len(a.mem)) {
		panic(fmt.Sprintf("arena of %d bytes is full: %d used, %d wanted", len(a.mem), a.used, size))
	}
	p := unsafe.Pointer(&a.mem[a.used])
	a.used = min((a.used+size+cacheLine-1)&^(cacheLine-1), uintptr(len(a.mem)))
	return (*T)(p)
}

// Remap maps anonymous memory anew where mem is, mmap(2) with MAP_FIXED: what
// was there is gone, and the kernel finds a page for it when it is touched.
func Remap(mem []byte) Call {
	at := ptr(&mem[0])
	return Call{Name: "mmap(MAP_FIXED)", Nr: unix.SYS_MMAP, Want: int(at), Args: [6]uintptr{
		at, uintptr(len(mem)), unix.PROT_READ | unix.PROT_WRITE,
		unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED, ^uintptr(0),
	}}
}

// Word returns a 64-bit word that holds v.
func (a *Arena) Word(v uint64) *uint64 {
	w := alloc[uint64](a, 1)
	*w = v
	return w
}

// Word32 returns a 32-bit word that holds v: a futex, or a descriptor.
func (a *Arena) Word32(v uint32) *uint32 {
	w := alloc[uint32](a, 1)
	*w = v
	return w
}

// Words returns n words.
func (a *Arena) Words(n int) []uint64 { return sliceOf[uint64](a, n) }

// Bytes returns n bytes.
func (a *Arena) Bytes(n int) []byte { return sliceOf[byte](a, n) }

// Place copies v into the arena: an epoll_event, a siginfo, a timespec.
func Place[T any](a *Arena, v T) *T {
	p := alloc[T](a, 1)
	*p = v
	return p
}

// ptr is an arena address as a system call's argument.
func ptr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func sliceOf[T any](a *Arena, n int) []T { return unsafe.Slice(alloc[T](a, n), n) }
