//go:build linux

package behaviours

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Adding to the counter.

// eventfdWritesAdd (EFD-17): a write adds its value to the counter, eventfd(2).
func eventfdWritesAdd(t *testing.T) {
	fd := newEventfd(t, 1, 0)
	sum := uint64(1)
	for _, v := range []uint64{1, 1, 1, 1000, 0, math.MaxUint32, 1 << 40} {
		mustAddCount(t, fd, v)
		sum += v
	}
	wantCount(t, fd, sum)
	for range 1000 {
		mustAddCount(t, fd, 1)
	}
	wantCount(t, fd, 1000)
}

// eventfdShortWrite (EFD-18): EINVAL for a write of less than eight bytes,
// eventfd(2), and nothing is added.
func eventfdShortWrite(t *testing.T) {
	for _, flags := range []int{0, unix.EFD_NONBLOCK} {
		fd := newEventfd(t, 0, flags)
		for size := 1; size < 8; size++ {
			_, err := unix.Write(fd, bytes.Repeat([]byte{1}, size))
			wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
		}
		wantCount(t, fd, 0)
	}
}

// eventfdLongWrite (EFD-19): a write of more than eight bytes is EINVAL since
// 6.9; before, the first eight were added and 8 returned (fs/eventfd.c
// eventfd_write).
func eventfdLongWrite(t *testing.T) {
	fd := newEventfd(t, 1, unix.EFD_NONBLOCK)
	sum := uint64(1)
	for _, size := range []int{9, 12, 16, 4096} {
		buf := bytes.Repeat([]byte{0xff}, size)
		binary.NativeEndian.PutUint64(buf, 5)
		n, err := unix.Write(fd, buf)
		if behaviour.Since(6, 9) {
			wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
			continue
		}
		if n != 8 || err != nil {
			t.Errorf("write of %d bytes = %d, %v; want 8", size, n, err)
		}
		sum += 5
	}
	wantCount(t, fd, sum)
}

// eventfdWriteAllOnes (EFD-20): EINVAL for the value 2^64-1, eventfd(2),
// whatever the counter is and whether or not one would wait.
func eventfdWriteAllOnes(t *testing.T) {
	for _, flags := range []int{0, unix.EFD_NONBLOCK, unix.EFD_SEMAPHORE} {
		for _, count := range []uint64{0, 1, math.MaxUint64 - 1} {
			fd := newEventfd(t, 0, flags)
			mustAddCount(t, fd, count)
			wantErrno(t, "write of 2^64-1", addCount(fd, math.MaxUint64), unix.EINVAL)
			if flags&unix.EFD_SEMAPHORE == 0 {
				wantCount(t, fd, count)
			}
		}
	}
}

// eventfdWriteTooMuch (EFD-21): a write that would take the counter beyond
// 2^64-2 is EAGAIN where it must not wait, eventfd(2), and adds nothing, not
// even the part that fits.
func eventfdWriteTooMuch(t *testing.T) {
	const most = math.MaxUint64 - 1
	for _, c := range []struct{ count, value uint64 }{
		{1, most}, {2, most - 1}, {most, 1}, {most, most}, {most - 1, 2}, {1 << 63, 1 << 63}, {1 << 63, most},
	} {
		fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
		mustAddCount(t, fd, c.count)
		wantErrno(t, fmt.Sprintf("adding %#x to %#x", c.value, c.count), addCount(fd, c.value), unix.EAGAIN)
		mustTake(t, fd, c.count)
		mustAddCount(t, fd, c.value) // now it fits
		wantCount(t, fd, c.value)
	}
}

// eventfdMaximum (EFD-23): the counter can be 2^64-2 exactly, eventfd(2).
func eventfdMaximum(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	mustAddCount(t, fd, math.MaxUint64-2)
	wantErrno(t, "adding 2 where there is room for 1", addCount(fd, 2), unix.EAGAIN)
	mustAddCount(t, fd, 1)
	wantErrno(t, "adding 1 to the largest counter", addCount(fd, 1), unix.EAGAIN)
	wantCount(t, fd, math.MaxUint64-1)
	mustAddCount(t, fd, math.MaxUint64-1) // in one go
	wantCount(t, fd, math.MaxUint64-1)
}

// eventfdWriteFromBadMemory (EFD-33): EFAULT for a value that cannot be read,
// and nothing is added.
func eventfdWriteFromBadMemory(t *testing.T) {
	for _, count := range []uint64{0, 3, math.MaxUint64 - 1} {
		fd := newEventfd(t, 0, 0)
		mustAddCount(t, fd, count)
		for what, at := range badPointers(t, 8) {
			_, err := rawCall(unix.SYS_WRITE, uintptr(fd), at, 8)
			wantErrno(t, "write from "+what, err, unix.EFAULT)
		}
		wantCount(t, fd, count)
	}
}

// eventfdWriteErrorOrder (EFD-66): of several errors of a write the descriptor
// comes first, then the size, the memory, the value that is none, and whether
// it fits last.
func eventfdWriteErrorOrder(t *testing.T) {
	full := newEventfd(t, 0, unix.EFD_NONBLOCK)
	mustAddCount(t, full, math.MaxUint64-1)
	closed := badDescriptors(t)[0]
	bad := badPointers(t, 8)["a pointer to inaccessible memory"]
	write := func(fd int, at uintptr, size uintptr) error {
		return secondOf(rawCall(unix.SYS_WRITE, uintptr(fd), at, size))
	}
	wantErrno(t, "no descriptor, small, bad memory", write(closed, bad, 4), unix.EBADF)
	wantErrno(t, "small, bad memory", write(full, bad, 4), unix.EINVAL)
	wantErrno(t, "bad memory, full", write(full, bad, 8), unix.EFAULT)
	wantErrno(t, "2^64-1, full", addCount(full, math.MaxUint64), unix.EINVAL)
	wantErrno(t, "full", addCount(full, 1), unix.EAGAIN)
	wantCount(t, full, math.MaxUint64-1)
}

// eventfdWriteZero (EFD-71): 0 can be added, also to the largest counter, and
// changes nothing: it does not let a reader go.
func eventfdWriteZero(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	mustAddCount(t, fd, 0)
	wantPolledOnly(t, fd, unix.POLLOUT)
	_, err := takeCount(fd)
	wantErrno(t, "read after adding 0", err, unix.EAGAIN)
	mustAddCount(t, fd, math.MaxUint64-1)
	mustAddCount(t, fd, 0)
	wantCount(t, fd, math.MaxUint64-1)
	fd = newEventfd(t, 0, 0)
	r, p := startRead(t, fd), startPoll(t, fd)
	mustAddCount(t, fd, 0)
	stillAsleep(t, r.sleeper, p)
	mustAddCount(t, fd, 1)
	r.wantValue(1)
	p.rouse() // it may have come too late to find the counter above 0
	p.Join()
}

// eventfdWriteZeroEdge (EFD-72): adding 0 wakes all the same: where the counter
// is above 0 it is an edge for EPOLLET, where it is 0 there is nothing to
// report.
func eventfdWriteZeroEdge(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	mustAddCount(t, fd, 0)
	wantReady(t, epfd)
	mustAddCount(t, fd, 1)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	mustAddCount(t, fd, 0)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantReady(t, epfd)
}

// eventfdWritev (EFD-74): each piece of a writev(2) is a write of its own, for
// there is no write_iter operation: its sum is added, and after one that fails
// the others are not made.
func eventfdWritev(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	value := func(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }
	check := func(pieces [][]byte, wantN int, wantErr error, wantSum uint64) {
		t.Helper()
		n, err := unix.Writev(fd, pieces)
		if err != wantErr || err == nil && n != wantN {
			t.Errorf("writev of %x = %d, %v; want %d, %v", pieces, n, err, wantN, wantErr)
		}
		wantCount(t, fd, wantSum)
	}
	check([][]byte{value(3), value(4)}, 16, nil, 7)
	check([][]byte{value(3), value(4)[:4]}, 8, nil, 3)
	check([][]byte{value(3)[:4], value(3)[4:]}, -1, unix.EINVAL, 0)
	check([][]byte{value(math.MaxUint64), value(4)}, -1, unix.EINVAL, 0)
	check([][]byte{value(3), value(math.MaxUint64), value(4)}, 8, nil, 3)
	check([][]byte{value(math.MaxUint64 - 1), value(1)}, 8, nil, math.MaxUint64-1)
}

// eventfdNoReservation (EFD-76): a write that sleeps has reserved nothing: a
// smaller one that fits goes before it.
func eventfdNoReservation(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	mustAddCount(t, fd, math.MaxUint64-11) // room for 10
	large := startWrite(t, fd, 20)
	mustAddCount(t, fd, 4)
	stillAsleep(t, large)
	mustAddCount(t, fd, 6)
	stillAsleep(t, large)
	small := startWrite(t, fd, 1)
	mustTake(t, fd, math.MaxUint64-1)
	large.Join()
	small.Join()
	wantWritten(t, large)
	wantWritten(t, small)
	wantCount(t, fd, 21)
}

// eventfdPartialFault (EFD-88): a value that straddles into memory that cannot
// be read is not added in part; one that cannot be stored as a whole is taken,
// EFAULT either way.
func eventfdPartialFault(t *testing.T) {
	page := os.Getpagesize()
	mem := mustMap(t, 2)
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	fd := newEventfd(t, 9, 0)
	for _, inside := range []int{1, 4, 7} {
		at := uintptr(unsafe.Pointer(&mem[page-inside]))
		_, err := rawCall(unix.SYS_WRITE, uintptr(fd), at, 8)
		wantErrno(t, "write from memory that ends", err, unix.EFAULT)
	}
	wantCount(t, fd, 9)
	mustAddCount(t, fd, 9)
	_, err := rawCall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&mem[page-4])), 8)
	wantErrno(t, "read to memory that ends", err, unix.EFAULT)
	wantCount(t, fd, 0)
	// Memory that may be written and not more than that will do, and the
	// other way round.
	if err := unix.Mprotect(mem[page:], unix.PROT_READ); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	if n, err := rawCall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&mem[page])), 8); n != 8 || err != nil {
		t.Errorf("write from read-only memory = %d, %v; want 8", n, err)
	}
	mustAddCount(t, fd, 1)
	_, err = rawCall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&mem[page])), 8)
	wantErrno(t, "read to read-only memory", err, unix.EFAULT)
}

var eventfdWriteRows = map[string]func(*testing.T){
	"EFD-17": eventfdWritesAdd,
	"EFD-18": eventfdShortWrite,
	"EFD-19": eventfdLongWrite,
	"EFD-20": eventfdWriteAllOnes,
	"EFD-21": eventfdWriteTooMuch,
	"EFD-23": eventfdMaximum,
	"EFD-33": eventfdWriteFromBadMemory,
	"EFD-66": eventfdWriteErrorOrder,
	"EFD-71": eventfdWriteZero,
	"EFD-72": eventfdWriteZeroEdge,
	"EFD-74": eventfdWritev,
	"EFD-76": eventfdNoReservation,
	"EFD-88": eventfdPartialFault,
}
