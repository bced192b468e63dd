//go:build linux

package behaviours

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"

	"golang.org/x/sys/unix"
)

// Reading the counter.

// eventfdReadTakesAll (EFD-09): without EFD_SEMAPHORE a read returns eight
// bytes with the counter in the host's byte order, and the counter is 0,
// eventfd(2).
func eventfdReadTakesAll(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	for _, v := range []uint64{1, 2, 255, 1 << 31, 1<<32 + 1, 0x0102_0304_0506_0708, math.MaxUint64 - 1} {
		mustAddCount(t, fd, v)
		mustTake(t, fd, v)
		_, err := takeCount(fd)
		wantErrno(t, "a second read", err, unix.EAGAIN)
		wantPolledOnly(t, fd, unix.POLLOUT)
	}
}

// eventfdReadEmpty (EFD-10): reading a counter of 0 without waiting is EAGAIN,
// in both modes, and as often as one asks.
func eventfdReadEmpty(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		fd := newEventfd(t, 0, mode|unix.EFD_NONBLOCK)
		for range 3 {
			v, err := takeCount(fd)
			wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
			if v != untouched {
				t.Errorf("a read that failed stored %#x", v)
			}
		}
		mustAddCount(t, fd, 1)
		mustTake(t, fd, 1)
	}
}

// eventfdShortRead (EFD-12): EINVAL if there is no room for eight bytes,
// eventfd(2): at once, whether there is anything to be had, and it stays there
// to be had.
func eventfdShortRead(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		for _, flags := range []int{0, unix.EFD_NONBLOCK} {
			empty, full := newEventfd(t, 0, mode|flags), newEventfd(t, 5, mode|flags)
			for size := 1; size < 8; size++ {
				buf := bytes.Repeat([]byte{0xa5}, size)
				for _, fd := range []int{empty, full} {
					_, err := unix.Read(fd, buf)
					wantErrno(t, fmt.Sprintf("read of %d bytes", size), err, unix.EINVAL)
				}
				if !bytes.Equal(buf, bytes.Repeat([]byte{0xa5}, size)) {
					t.Errorf("a read that failed stored %x", buf)
				}
			}
			wantLeft(t, empty, mode, 0)
			wantLeft(t, full, mode, 5)
		}
	}
}

// eventfdLongRead (EFD-13): a read with more room returns eight bytes and
// leaves the rest alone.
func eventfdLongRead(t *testing.T) {
	for mode, want := range map[int]uint64{0: 2, unix.EFD_SEMAPHORE: 1} {
		fd := newEventfd(t, 0, mode)
		for _, size := range []int{9, 12, 16, 4096, 1 << 20} {
			mustAddCount(t, fd, 2)
			buf := bytes.Repeat([]byte{0xa5}, size)
			n, err := unix.Read(fd, buf)
			if n != 8 || err != nil || binary.NativeEndian.Uint64(buf) != want {
				t.Errorf("read of %d bytes = %d, %v with %d; want 8 with %d", size, n, err, binary.NativeEndian.Uint64(buf), want)
			}
			if !bytes.Equal(buf[8:], bytes.Repeat([]byte{0xa5}, size-8)) {
				t.Errorf("read of %d bytes stored more than 8", size)
			}
			wantLeft(t, fd, mode, 2-want)
		}
	}
}

// eventfdEmptyBuffers (EFD-14): there is no reading or writing of nothing: a
// size of 0 is too small as any below 8.
func eventfdEmptyBuffers(t *testing.T) {
	for _, count := range []uint64{0, 4} {
		fd := newEventfd(t, count, 0)
		var buf [8]byte
		for _, at := range []uintptr{0, uintptr(unsafe.Pointer(&buf))} {
			_, err := rawCall(unix.SYS_READ, uintptr(fd), at, 0)
			wantErrno(t, "read of 0 bytes", err, unix.EINVAL)
			_, err = rawCall(unix.SYS_WRITE, uintptr(fd), at, 0)
			wantErrno(t, "write of 0 bytes", err, unix.EINVAL)
		}
		wantCount(t, fd, count)
	}
}

// eventfdSplitRead (EFD-34): readv(2) may take the eight bytes apart since 5.8
// (a read_iter operation); before, each piece was a read of its own and too
// small.
func eventfdSplitRead(t *testing.T) {
	for _, split := range []int{1, 4, 7} {
		fd := newEventfd(t, 0x0102_0304_0506_0708, 0)
		mustAddCount(t, fd, 1)
		var buf [8]byte
		n, err := unix.Readv(fd, [][]byte{buf[:split], buf[split:]})
		if !behaviour.Since(5, 8) {
			wantErrno(t, "readv in two pieces", err, unix.EINVAL)
			continue
		}
		if want := uint64(0x0506_0708 + 1); n != 8 || err != nil || binary.NativeEndian.Uint64(buf[:]) != want {
			t.Errorf("readv of %d and %d bytes = %d, %v with %#x; want 8 with %#x",
				split, 8-split, n, err, binary.NativeEndian.Uint64(buf[:]), want)
		}
		wantCount(t, fd, 0)
	}
	// All pieces together must hold it.
	fd := newEventfd(t, 5, 0)
	var buf [7]byte
	_, err := unix.Readv(fd, [][]byte{buf[:4], buf[4:]})
	wantErrno(t, "readv of 4 and 3 bytes", err, unix.EINVAL)
	wantCount(t, fd, 5)
}

// eventfdNowait (EFD-37): preadv2(2) with RWF_NOWAIT does not wait, since 5.8;
// pwritev2(2) with it is refused, as eventfd has no write_iter operation.
func eventfdNowait(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	var buf [8]byte
	_, err := unix.Preadv2(fd, [][]byte{buf[:]}, -1, unix.RWF_NOWAIT)
	if !behaviour.Since(5, 8) {
		wantErrno(t, "preadv2 with RWF_NOWAIT", err, unix.EOPNOTSUPP)
		return
	}
	wantErrno(t, "preadv2 with RWF_NOWAIT of an empty eventfd", err, unix.EAGAIN)
	mustAddCount(t, fd, 6)
	n, err := unix.Preadv2(fd, [][]byte{buf[:]}, -1, unix.RWF_NOWAIT)
	if n != 8 || err != nil || binary.NativeEndian.Uint64(buf[:]) != 6 {
		t.Errorf("preadv2 with RWF_NOWAIT = %d, %v with %d; want 8 with 6", n, err, binary.NativeEndian.Uint64(buf[:]))
	}
	_, err = unix.Pwritev2(fd, [][]byte{buf[:]}, -1, unix.RWF_NOWAIT)
	wantErrno(t, "pwritev2 with RWF_NOWAIT", err, unix.EOPNOTSUPP)
	wantCount(t, fd, 0)
	// Without a flag they are read and write.
	if n, err := unix.Pwritev2(fd, [][]byte{buf[:]}, -1, 0); n != 8 || err != nil {
		t.Errorf("pwritev2 = %d, %v; want 8", n, err)
	}
	if n, err := unix.Preadv2(fd, [][]byte{buf[:]}, -1, 0); n != 8 || err != nil || binary.NativeEndian.Uint64(buf[:]) != 6 {
		t.Errorf("preadv2 = %d, %v with %d; want 8 with 6", n, err, binary.NativeEndian.Uint64(buf[:]))
	}
}

// eventfdNoOffset (EFD-38): there is no position: ESPIPE, pread(2), and nothing
// is taken or added.
func eventfdNoOffset(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	wantNoOffset(t, fd)
	wantCount(t, fd, 4)
}

// eventfdReadToBadMemory (EFD-64): a read that cannot store what it took is
// EFAULT, and what it took is gone: it is taken first (fs/eventfd.c
// eventfd_read).
func eventfdReadToBadMemory(t *testing.T) {
	for mode, left := range map[int]uint64{0: 0, unix.EFD_SEMAPHORE: 4} {
		for what, at := range badPointers(t, 8) {
			fd := newEventfd(t, 5, mode)
			_, err := rawCall(unix.SYS_READ, uintptr(fd), at, 8)
			wantErrno(t, "read to "+what, err, unix.EFAULT)
			want := left
			if what == kernelPointer {
				want = 5 // found out before anything was taken
			}
			wantLeft(t, fd, mode, want)
		}
	}
}

// eventfdReadErrorOrder (EFD-65): of several errors of a read the descriptor
// comes first, then the size, an empty counter, and the memory last.
func eventfdReadErrorOrder(t *testing.T) {
	empty := newEventfd(t, 0, unix.EFD_NONBLOCK)
	full := newEventfd(t, 1, unix.EFD_NONBLOCK)
	closed := badDescriptors(t)[0]
	bad := badPointers(t, 8)["a pointer to inaccessible memory"]
	read := func(fd int, at uintptr, size uintptr) error {
		return secondOf(rawCall(unix.SYS_READ, uintptr(fd), at, size))
	}
	wantErrno(t, "no descriptor, small, bad memory", read(closed, bad, 4), unix.EBADF)
	wantErrno(t, "small, bad memory", read(full, bad, 4), unix.EINVAL)
	wantErrno(t, "small, empty", read(empty, bad, 4), unix.EINVAL)
	wantErrno(t, "empty, bad memory", read(empty, bad, 8), unix.EAGAIN)
	wantCount(t, full, 1)
}

// eventfdReadv (EFD-75): a readv(2) with more room is one read: it takes once
// and fills eight bytes.
func eventfdReadv(t *testing.T) {
	fd := newEventfd(t, 3, unix.EFD_SEMAPHORE)
	a, b := [8]byte{}, [8]byte{1, 2, 3}
	if n, err := unix.Readv(fd, [][]byte{a[:], b[:]}); n != 8 || err != nil || binary.NativeEndian.Uint64(a[:]) != 1 || b != [8]byte{1, 2, 3} {
		t.Errorf("readv of 8 and 8 bytes = %d, %v with %x and %x; want 8 with 1", n, err, a, b)
	}
	wantLeft(t, fd, unix.EFD_SEMAPHORE, 2)
	// Nothing is no piece too many.
	fd = newEventfd(t, 7, 0)
	if n, err := unix.Readv(fd, [][]byte{nil, a[:], nil}); n != 8 || err != nil || binary.NativeEndian.Uint64(a[:]) != 7 {
		t.Errorf("readv of 0, 8 and 0 bytes = %d, %v with %x; want 8 with 7", n, err, a)
	}
	// No bytes at all never get as far as the eventfd, where read(2) has
	// EINVAL for them (EFD-14).
	for _, pieces := range [][][]byte{nil, {nil, nil}} {
		if n, err := unix.Readv(fd, pieces); n != 0 || err != nil {
			t.Errorf("readv of %d pieces of nothing = %d, %v; want 0", len(pieces), n, err)
		}
		if n, err := unix.Writev(fd, pieces); n != 0 || err != nil {
			t.Errorf("writev of %d pieces of nothing = %d, %v; want 0", len(pieces), n, err)
		}
	}
}

var eventfdReadRows = map[string]func(*testing.T){
	"EFD-09": eventfdReadTakesAll,
	"EFD-10": eventfdReadEmpty,
	"EFD-12": eventfdShortRead,
	"EFD-13": eventfdLongRead,
	"EFD-14": eventfdEmptyBuffers,
	"EFD-34": eventfdSplitRead,
	"EFD-37": eventfdNowait,
	"EFD-38": eventfdNoOffset,
	"EFD-64": eventfdReadToBadMemory,
	"EFD-65": eventfdReadErrorOrder,
	"EFD-75": eventfdReadv,
}
