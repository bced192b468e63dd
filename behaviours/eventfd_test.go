//go:build linux

package behaviours

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/machine"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestEventfd(t *testing.T) {
	behaviour.Run(t, "eventfd", map[string]func(*testing.T){
		"EFD-01": eventfdIsReadWrite,
		"EFD-02": eventfdLargestInitval,
		"EFD-03": eventfdInitvalIsReadable,
		"EFD-04": eventfdCloexec,
		"EFD-05": eventfdNonblock,
		"EFD-06": eventfdUnknownFlags,
		"EFD-07": eventfdLegacy,
		"EFD-08": eventfdAtDescriptorLimit,
		"EFD-09": eventfdReadTakesAll,
		"EFD-10": eventfdReadEmpty,
		"EFD-11": eventfdReadSleeps,
		"EFD-12": eventfdShortRead,
		"EFD-13": eventfdLongRead,
		"EFD-14": eventfdEmptyBuffers,
		"EFD-15": eventfdSemaphoreTakesOne,
		"EFD-16": eventfdSemaphoreStaysReadable,
		"EFD-17": eventfdWritesAdd,
		"EFD-18": eventfdShortWrite,
		"EFD-19": eventfdLongWrite,
		"EFD-20": eventfdWriteAllOnes,
		"EFD-21": eventfdWriteTooMuch,
		"EFD-22": eventfdWriteSleeps,
		"EFD-23": eventfdMaximum,
		"EFD-25": eventfdOverflowRefusesZero,
		"EFD-26": eventfdReadableIff,
		"EFD-27": eventfdWritableIff,
		"EFD-28": eventfdOverflowPolled,
		"EFD-29": eventfdOverflowSelected,
		"EFD-30": eventfdOverflowRead,
		"EFD-31": eventfdNeverHangsUp,
		"EFD-33": eventfdWriteFromBadMemory,
		"EFD-34": eventfdSplitRead,
		"EFD-37": eventfdNowait,
		"EFD-38": eventfdNoOffset,
		"EFD-39": eventfdSeek,
		"EFD-40": eventfdNonblockLater,
		"EFD-41": eventfdForked,
		"EFD-42": eventfdAcrossExec,
		"EFD-43": eventfdPassed,
		"EFD-44": eventfdInfoCount,
		"EFD-45": eventfdInfoID,
		"EFD-46": eventfdInfoSemaphore,
		"EFD-47": eventfdName,
		"EFD-48": eventfdInode,
		"EFD-49": eventfdOwnership,
		"EFD-50": eventfdNoSplice,
		"EFD-51": eventfdRefusals,
		"EFD-52": eventfdInterrupted,
		"EFD-55": eventfdReadWakes,
		"EFD-56": eventfdClosedUnderReader,
		"EFD-57": eventfdEveryWriteIsAnEdge,
		"EFD-59": eventfdEdgesBothWays,
		"EFD-60": eventfdAIO,
		"EFD-61": eventfdAIOPoll,
		"EFD-62": eventfdIoUring,
		"EFD-63": eventfdNothingLost,
		"EFD-64": eventfdReadToBadMemory,
		"EFD-65": eventfdReadErrorOrder,
		"EFD-66": eventfdWriteErrorOrder,
		"EFD-67": eventfdInitvalUpperHalf,
		"EFD-68": eventfdAllFlags,
		"EFD-69": eventfdSemaphoreReleasesAsMany,
		"EFD-70": eventfdWriteReleasesOne,
		"EFD-71": eventfdWriteZero,
		"EFD-72": eventfdWriteZeroEdge,
		"EFD-73": eventfdTakenIsNoEdge,
		"EFD-74": eventfdWritev,
		"EFD-75": eventfdReadv,
		"EFD-76": eventfdNoReservation,
		"EFD-77": eventfdSemaphoreMakesRoomForOne,
		"EFD-78": eventfdKilledReader,
		"EFD-79": eventfdInFlight,
		"EFD-80": eventfdFetched,
		"EFD-81": eventfdNoSignals,
		"EFD-82": eventfdLocks,
		"EFD-83": eventfdOverflowSemaphore,
		"EFD-84": eventfdOverflowStays,
		"EFD-85": eventfdAIOPollOfItself,
		"EFD-86": eventfdNonblockWhileAsleep,
		"EFD-87": eventfdOneReadOfMany,
		"EFD-88": eventfdPartialFault,
		"EFD-89": eventfdAtFileLimit,
	})
}

// eventfdIsReadWrite: the descriptor is open for both, eventfd(2), and F_GETFL is O_RDWR exactly.
func eventfdIsReadWrite(t *testing.T) {
	for _, initval := range []uint64{0, 1} {
		fd := newEventfd(t, initval, 0)
		wantFlags(t, fd, unix.O_RDWR, 0)
		mustAddCount(t, fd, 2)
		wantCount(t, fd, initval+2)
	}
}

// eventfdLargestInitval: initval is an unsigned int, eventfd(2): its largest is no -1.
func eventfdLargestInitval(t *testing.T) {
	for _, initval := range []uint64{math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		fd := newEventfd(t, initval, 0)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantCount(t, fd, initval)
	}
}

// eventfdInitvalIsReadable: a counter that starts above 0 can be read at once, eventfd(2).
func eventfdInitvalIsReadable(t *testing.T) {
	for _, initval := range []uint64{1, 2, 7} {
		fd := newEventfd(t, initval, 0)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantCount(t, fd, initval)
		wantPolledOnly(t, fd, unix.POLLOUT)
		semaphore := newEventfd(t, initval, unix.EFD_SEMAPHORE)
		for range initval {
			wantPolledOnly(t, semaphore, unix.POLLIN|unix.POLLOUT)
			mustTake(t, semaphore, 1)
		}
		wantCount(t, semaphore, 0)
	}
}

// eventfdCloexec: EFD_CLOEXEC sets FD_CLOEXEC, and nothing else does, eventfd(2); what has it is
// gone in the program that execve(2) starts, what has not is the same object there (EFD-42).
func eventfdCloexec(t *testing.T) {
	wantFlags(t, newEventfd(t, 0, 0), unix.O_RDWR, 0)
	wantFlags(t, newEventfd(t, 0, unix.EFD_CLOEXEC), unix.O_RDWR, unix.FD_CLOEXEC)
	// It is the descriptor's alone: a duplicate is without.
	dup, err := unix.Dup(newEventfd(t, 0, unix.EFD_CLOEXEC))
	closable(t, dup, err)
	wantFlags(t, dup, unix.O_RDWR, 0)
	child.Start(t, eventfdBeforeExec, child.Options{}).Wait()
}

// eventfdAcrossExec: a descriptor that is not close-on-exec survives execve(2), and its counter
// and flags with it.
func eventfdAcrossExec(t *testing.T) {
	p := child.Start(t, eventfdBeforeExec, child.Options{})
	p.Wait()
	// Nor does a reader that executes take what its former program had not.
	fd := newEventfd(t, 3, unix.EFD_SEMAPHORE)
	child.Start(t, eventfdTakesOneAndExecs, child.Options{Files: []int{fd}}).Wait()
	wantCount(t, fd, 1)
}

var (
	eventfdBeforeExec = child.Register("eventfd-before-exec", func(p *child.Proc) error {
		var args []string
		for i, flags := range []int{unix.EFD_CLOEXEC, unix.EFD_NONBLOCK, unix.EFD_SEMAPHORE | unix.EFD_NONBLOCK} {
			fd, err := unix.Eventfd(uint(i), flags)
			if err != nil {
				return err
			}
			if err := addCount(fd, 40); err != nil {
				return err
			}
			args = append(args, strconv.Itoa(fd))
		}
		return p.Exec(eventfdAfterExec, args...)
	})
	eventfdAfterExec = child.Register("eventfd-after-exec", func(p *child.Proc) error {
		var fds [3]int
		for i := range fds {
			var err error
			if fds[i], err = strconv.Atoi(p.Args[i]); err != nil {
				return err
			}
		}
		if _, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec eventfd: %v, want EBADF", err)
		}
		for i, want := range []uint64{41, 1} {
			if got, err := takeCount(fds[i+1]); got != want || err != nil {
				return fmt.Errorf("read of eventfd %d after execve: %d, %v; want %d", i+1, got, err, want)
			}
		}
		if _, err := takeCount(fds[1]); err != unix.EAGAIN {
			return fmt.Errorf("second read after execve: %v, want EAGAIN", err)
		}
		return nil
	})
	eventfdTakesOneAndExecs = child.Register("eventfd-takes-one-and-execs", func(p *child.Proc) error {
		if _, err := takeCount(child.FirstFile); err != nil {
			return err
		}
		return p.Exec(eventfdTakesOne)
	})
	eventfdTakesOne = child.Register("eventfd-takes-one", func(p *child.Proc) error {
		got, err := takeCount(child.FirstFile)
		if err != nil || got != 1 {
			return fmt.Errorf("read of the inherited eventfd: %d, %v; want 1", got, err)
		}
		return nil
	})
)

// eventfdNonblock: EFD_NONBLOCK sets O_NONBLOCK on the open file, and nothing else does, eventfd(2).
func eventfdNonblock(t *testing.T) {
	wantFlags(t, newEventfd(t, 0, 0), unix.O_RDWR, 0)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	dup, _ := mustDup(t, fd)
	wantFlags(t, dup, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	_, err := takeCount(dup)
	wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
}

// eventfdUnknownFlags: EINVAL for every flag but three, eventfd(2), alone and beside known ones.
func eventfdUnknownFlags(t *testing.T) {
	const known = unix.EFD_SEMAPHORE | unix.EFD_NONBLOCK | unix.EFD_CLOEXEC
	for bit := range 32 {
		flag := uintptr(1) << bit
		if flag&known != 0 {
			continue
		}
		for _, flags := range []uintptr{flag, flag | known, flag | unix.EFD_SEMAPHORE} {
			if fd, err := rawCall(unix.SYS_EVENTFD2, 0, flags); err != unix.EINVAL {
				t.Errorf("eventfd2(0, %#x) = %d, %v; want EINVAL", flags, fd, err)
				unix.Close(fd)
			}
		}
	}
}

// eventfdLegacy: eventfd() is eventfd2() without flags, whatever is in the argument that it has not
// got, eventfd(2). Architectures younger than eventfd2, as arm64, do not have it.
func eventfdLegacy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		behaviour.Absent(t, "%s has no eventfd() without flags", runtime.GOARCH)
	}
	const sysEventfd = 284 // asm/unistd_64.h
	for _, flags := range []uintptr{0, unix.EFD_SEMAPHORE | unix.EFD_NONBLOCK | unix.EFD_CLOEXEC, ^uintptr(0)} {
		fd, err := rawCall(sysEventfd, 5, flags)
		closable(t, fd, err)
		wantFlags(t, fd, unix.O_RDWR, 0)
		mustTake(t, fd, 5) // all of it: no semaphore
		wantCount(t, fd, 0)
	}
}

// eventfdAtDescriptorLimit: EMFILE at RLIMIT_NOFILE, eventfd(2), and what was half made is given
// back: the file and the id that fdinfo shows.
var eventfdAtDescriptorLimit = behaviour.Alone(func(t testing.TB) {
	// More often than others can make eventfds meanwhile.
	const attempts = 5000
	id := func(fd int) int {
		n, err := strconv.Atoi(strings.TrimSpace(fdinfoLines(t, fd)["eventfd-id"]))
		if err != nil && !machine.GVisor() {
			t.Fatalf("fdinfo's eventfd-id: %v", err)
		}
		return n
	}
	files := func() (n int) {
		text, err := os.ReadFile("/proc/sys/fs/file-nr")
		if err == nil {
			fmt.Sscan(string(text), &n)
		}
		return n
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	limit := func(cur uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: cur, Max: old.Max}); err != nil {
			t.Fatalf("setrlimit: %v", err)
		}
	}
	first := newEventfd(t, 0, 0)
	idBefore, filesBefore := id(first), files()
	last := newEventfd(t, 0, 0)
	limit(uint64(last) + 1)
	for range attempts {
		if fd, err := unix.Eventfd(0, 0); err != unix.EMFILE {
			t.Fatalf("eventfd2 with all %d descriptors in use = %d, %v; want EMFILE", last+1, fd, err)
		}
	}
	// The flags are looked at before that.
	_, err := unix.Eventfd(0, 2)
	wantErrno(t, "eventfd2 with an unknown flag, with all descriptors in use", err, unix.EINVAL)
	unix.Close(last)
	if fd, err := unix.Eventfd(0, 0); fd != last || err != nil {
		t.Fatalf("eventfd2 after a close = %d, %v; want %d", fd, err, last)
	}
	limit(old.Cur)
	next := newEventfd(t, 0, 0)
	if got := id(next); got > idBefore+attempts/2 {
		t.Errorf("eventfd-id went from %d to %d over %d failures", idBefore, got, attempts)
	}
	if got := files(); got > filesBefore+attempts/2 {
		t.Errorf("open files went from %d to %d over %d failures", filesBefore, got, attempts)
	}
})

// eventfdReadTakesAll: without EFD_SEMAPHORE a read returns eight bytes with the counter in the
// host's byte order, and the counter is 0, eventfd(2).
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

// eventfdReadEmpty: reading a counter of 0 without waiting is EAGAIN, in both modes, and as often as one asks.
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

// eventfdReadSleeps: reading a counter of 0 sleeps until something is added, eventfd(2).
func eventfdReadSleeps(t *testing.T) {
	for mode, want := range map[int]uint64{0: 3, unix.EFD_SEMAPHORE: 1} {
		fd := newEventfd(t, 0, mode)
		r := startRead(t, fd)
		stillAsleep(t, r.sleeper)
		mustAddCount(t, fd, 3)
		r.wantValue(want)
		wantLeft(t, fd, mode, 3-want)
	}
}

// eventfdShortRead: EINVAL if there is no room for eight bytes, eventfd(2): at once, whether there is
// anything to be had, and it stays there to be had.
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

// eventfdLongRead: a read with more room returns eight bytes and leaves the rest alone.
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

// eventfdEmptyBuffers: there is no reading or writing of nothing: a size of 0 is too small as any below 8.
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

// eventfdSemaphoreTakesOne: with EFD_SEMAPHORE a read returns 1 and takes 1, eventfd(2).
func eventfdSemaphoreTakesOne(t *testing.T) {
	fd := newEventfd(t, 2, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	mustAddCount(t, fd, 3)
	for range 5 {
		mustTake(t, fd, 1)
	}
	_, err := takeCount(fd)
	wantErrno(t, "read number 6 of 5", err, unix.EAGAIN)
	// Large counters are no different.
	mustAddCount(t, fd, math.MaxUint64-1)
	mustTake(t, fd, 1)
	mustAddCount(t, fd, 1)
	wantErrno(t, "adding 1 to the largest counter", addCount(fd, 1), unix.EAGAIN)
}

// eventfdSemaphoreStaysReadable: with EFD_SEMAPHORE it is readable until the counter is 0.
func eventfdSemaphoreStaysReadable(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	epfd := fdtest.Epoll(t, fd)
	mustAddCount(t, fd, 3)
	for range 3 {
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		mustTake(t, fd, 1)
	}
	wantPolledOnly(t, fd, unix.POLLOUT)
	wantReady(t, epfd)
}

// eventfdWritesAdd: a write adds its value to the counter, eventfd(2).
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

// eventfdShortWrite: EINVAL for a write of less than eight bytes, eventfd(2), and nothing is added.
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

// eventfdLongWrite: a write of more than eight bytes is EINVAL since 6.9; before, the first eight
// were added and 8 returned (fs/eventfd.c eventfd_write).
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

// eventfdWriteAllOnes: EINVAL for the value 2^64-1, eventfd(2), whatever the counter is and
// whether or not one would wait.
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

// eventfdWriteTooMuch: a write that would take the counter beyond 2^64-2 is EAGAIN where it must not
// wait, eventfd(2), and adds nothing, not even the part that fits.
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

// eventfdWriteSleeps: a write that does not fit sleeps until a read has made room, eventfd(2), and then
// adds all of its value.
func eventfdWriteSleeps(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	mustAddCount(t, fd, math.MaxUint64-3)
	w := startWrite(t, fd, 7)
	stillAsleep(t, w)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT) // there is room for something
	mustAddCount(t, fd, 1)                          // which does not help the writer
	stillAsleep(t, w)
	mustTake(t, fd, math.MaxUint64-2)
	w.Join()
	wantWritten(t, w)
	wantCount(t, fd, 7)
}

// eventfdMaximum: the counter can be 2^64-2 exactly, eventfd(2).
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

// eventfdOverflowRefusesZero: when the kernel itself has taken the counter to 2^64-1, not even 0 can be
// added (2^64-1 minus the counter must be greater than the value, fs/eventfd.c eventfd_write).
func eventfdOverflowRefusesZero(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	wantErrno(t, "adding 0 to an overflown counter", addCount(fd, 0), unix.EAGAIN)
	wantErrno(t, "adding 1 to an overflown counter", addCount(fd, 1), unix.EAGAIN)
	wantErrno(t, "adding 2^64-1 to an overflown counter", addCount(fd, math.MaxUint64), unix.EINVAL)
	// Where one waits, 0 waits for the read as well.
	fd = overflown(t, 0)
	w := startWrite(t, fd, 0)
	stillAsleep(t, w)
	mustTake(t, fd, math.MaxUint64)
	w.Join()
	wantWritten(t, w)
	wantCount(t, fd, 0)
}

// eventfdReadableIff: POLLIN if and only if the counter is greater than 0, eventfd(2).
func eventfdReadableIff(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		for _, count := range []uint64{0, 1, 2, 1 << 32, 1 << 63, math.MaxUint64 - 2} {
			fd := newEventfd(t, 0, mode)
			mustAddCount(t, fd, count)
			want := uint32(unix.POLLOUT)
			if count > 0 {
				want |= unix.POLLIN
			}
			wantPolledOnly(t, fd, want)
		}
	}
}

// eventfdWritableIff: POLLOUT if and only if 1 can be added, that is below 2^64-2, eventfd(2).
func eventfdWritableIff(t *testing.T) {
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		fd := newEventfd(t, 0, mode|unix.EFD_NONBLOCK)
		wantPolledOnly(t, fd, unix.POLLOUT)
		mustAddCount(t, fd, math.MaxUint64-2)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		mustAddCount(t, fd, 1)
		wantPolledOnly(t, fd, unix.POLLIN)
		mustAddCount(t, fd, 0)
		wantPolledOnly(t, fd, unix.POLLIN)
		if _, err := takeCount(fd); err != nil {
			t.Fatal(err)
		}
		if mode == 0 {
			wantPolledOnly(t, fd, unix.POLLOUT)
		} else {
			wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		}
	}
}

// eventfdOverflowPolled: a counter of 2^64-1 is readable and in error, and not writable, eventfd(2);
// who watches for nothing hears of the error, too.
func eventfdOverflowPolled(t *testing.T) {
	fd := overflown(t, 0)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLERR)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, 0)
	wantReady(t, epfd, ready(fd, unix.EPOLLERR))
	mustTake(t, fd, math.MaxUint64)
	wantPolledOnly(t, fd, unix.POLLOUT)
	wantReady(t, epfd)
}

// eventfdOverflowSelected: select(2) reports a counter of 2^64-1 as readable and writable, eventfd(2),
// for an error is either.
func eventfdOverflowSelected(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	var r, w, e unix.FdSet
	for _, set := range []*unix.FdSet{&r, &w, &e} {
		set.Set(fd)
	}
	n, err := unix.Select(fd+1, &r, &w, &e, &unix.Timeval{})
	if n != 2 || err != nil || !r.IsSet(fd) || !w.IsSet(fd) || e.IsSet(fd) {
		t.Errorf("select = %d, %v: readable %t, writable %t, exceptional %t; want 2, true, true, false",
			n, err, r.IsSet(fd), w.IsSet(fd), e.IsSet(fd))
	}
	wantErrno(t, "the write that select promised", addCount(fd, 1), unix.EAGAIN)
}

// eventfdOverflowRead: a read after an overflow returns 2^64-1, eventfd(2), and the counter starts again.
func eventfdOverflowRead(t *testing.T) {
	fd := overflown(t, unix.EFD_NONBLOCK)
	mustTake(t, fd, math.MaxUint64)
	_, err := takeCount(fd)
	wantErrno(t, "a second read", err, unix.EAGAIN)
	mustAddCount(t, fd, 3)
	wantCount(t, fd, 3)
}

// eventfdNeverHangsUp: there is no other end: an eventfd is never hung up, exceptional or, below
// 2^64-1, in error, whoever closes what.
func eventfdNeverHangsUp(t *testing.T) {
	for _, flags := range []int{0, unix.EFD_SEMAPHORE, unix.EFD_NONBLOCK} {
		fd := newEventfd(t, 0, flags)
		_, closeDup := mustDup(t, fd)
		closeDup()
		p := child.Start(t, eventfdHolder, child.Options{Files: []int{fd}})
		p.Expect("holding")
		wantPolledOnly(t, fd, unix.POLLOUT)
		p.Signal(unix.SIGKILL)
		p.Status()
		wantPolledOnly(t, fd, unix.POLLOUT)
		mustAddCount(t, fd, math.MaxUint64-1)
		wantPolledOnly(t, fd, unix.POLLIN)
	}
}

var eventfdHolder = child.Register("eventfd-holder", func(p *child.Proc) error {
	p.Say("holding")
	_, err := p.Hear()
	return err
})

// eventfdWriteFromBadMemory: EFAULT for a value that cannot be read, and nothing is added.
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

// eventfdSplitRead: readv(2) may take the eight bytes apart since 5.8 (a read_iter operation); before,
// each piece was a read of its own and too small.
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

// eventfdNowait: preadv2(2) with RWF_NOWAIT does not wait, since 5.8; pwritev2(2) with it is refused, as
// eventfd has no write_iter operation.
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

// eventfdNoOffset: there is no position: ESPIPE, pread(2), and nothing is taken or added.
func eventfdNoOffset(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	wantNoOffset(t, fd)
	wantCount(t, fd, 4)
}

// eventfdSeek: lseek(2) is 0 since 6.0 and was ESPIPE before.
func eventfdSeek(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	wantSeek(t, fd)
	wantCount(t, fd, 4)
}

// eventfdNonblockLater: fcntl(2) and ioctl(2) change O_NONBLOCK of the open file, for all its
// descriptors, and the next read or write goes by it.
func eventfdNonblockLater(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	dup, _ := mustDup(t, fd)
	ioctl := func(on int32) {
		t.Helper()
		if _, err := rawCall(unix.SYS_IOCTL, uintptr(fd), fionbio, uintptr(unsafe.Pointer(&on))); err != nil {
			t.Fatalf("FIONBIO: %v", err)
		}
	}
	fcntl := func(on int32) {
		t.Helper()
		if err := unix.SetNonblock(fd, on != 0); err != nil {
			t.Fatalf("F_SETFL: %v", err)
		}
	}
	for _, set := range []func(int32){fcntl, ioctl} {
		set(1)
		wantFlags(t, dup, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
		_, err := takeCount(dup)
		wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
		mustAddCount(t, fd, math.MaxUint64-1)
		wantErrno(t, "write to a full eventfd", addCount(dup, 1), unix.EAGAIN)
		set(0)
		wantFlags(t, dup, unix.O_RDWR, unix.FD_CLOEXEC)
		w := startWrite(t, dup, 1)
		mustTake(t, fd, math.MaxUint64-1)
		w.Join()
		mustTake(t, fd, 1)
		r := startRead(t, dup)
		mustAddCount(t, fd, 2)
		r.wantValue(2)
	}
}

// eventfdForked: duplicates and children have the same counter, eventfd(2).
func eventfdForked(t *testing.T) {
	fd := newEventfd(t, 1, 0)
	dup, closeDup := mustDup(t, fd)
	mustAddCount(t, dup, 1)
	wantCount(t, fd, 2)
	closeDup()
	a := fdtest.Arena(t)
	got := a.Word(0)
	mustAddCount(t, fd, 10)
	// The child takes what is there and adds what the parent waits for.
	c := startFork(t, a, sys.EventfdRead(fd, got), sys.EventfdWrite(fd, a.Word(30)), sys.EventfdWrite(fd, a.Word(3)))
	c.wait()
	if *got != 10 {
		t.Errorf("the child read %d, want 10", *got)
	}
	wantCount(t, fd, 33)
	// A child that waits is woken by the parent.
	ready := newEventfd(t, 0, 0)
	c = startFork(t, a, sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(fd, got))
	mustTake(t, ready, 1)
	time.Sleep(grace)
	mustAddCount(t, fd, 5)
	c.wait()
	if *got != 5 {
		t.Errorf("the child read %d, want 5", *got)
	}
	wantCount(t, fd, 0)
}

// eventfdPassed: SCM_RIGHTS passes the object, unix(7): sender and receiver have one counter, and
// wake each other through it.
func eventfdPassed(t *testing.T) {
	fd := newEventfd(t, 5, 0)
	sockets := fdtest.Socketpair(t)
	p := child.Start(t, eventfdReceiver, child.Options{Files: []int{sockets[1]}})
	mustSendFile(t, sockets[0], fd)
	p.Expect("read 5")
	r := startRead(t, fd)
	p.Say("add 3")
	r.wantValue(3)
	p.Expect("added")
	mustAddCount(t, fd, 9)
	p.Expect("read 9")
	p.Wait()
	wantCount(t, fd, 0)
}

var eventfdReceiver = child.Register("eventfd-receiver", func(p *child.Proc) error {
	fd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	v, err := takeCount(fd)
	if err != nil {
		return err
	}
	p.Say("read %d", v)
	if _, err := p.Hear(); err != nil {
		return err
	}
	if err := addCount(fd, 3); err != nil {
		return err
	}
	// The parent's reader is to take it, not this process.
	for polled := int16(unix.POLLIN); polled&unix.POLLIN != 0; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 0); err != nil && err != unix.EINTR {
			return err
		}
		polled = fds[0].Revents
	}
	p.Say("added")
	if v, err = takeCount(fd); err != nil {
		return err
	}
	p.Say("read %d", v)
	return nil
})

// eventfdInfoCount: /proc/PID/fdinfo has the counter as 16 columns of lower-case hexadecimal digits,
// proc_pid_fdinfo(5), and looking at it changes nothing.
func eventfdInfoCount(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	for _, v := range []uint64{0, 1, 0xabc, 0x1234_5678_9abc_def0, math.MaxUint64 - 1} {
		mustAddCount(t, fd, v)
		if got, want := fdinfoLines(t, fd)["eventfd-count"], fmt.Sprintf(" %16x", v); got != want {
			t.Errorf("fdinfo has eventfd-count:%s for %#x, want eventfd-count:%s", got, v, want)
		}
		wantCount(t, fd, v)
	}
	if got, want := strings.TrimSpace(fdinfoLines(t, fd)["flags"]), "02"; got != want {
		t.Errorf("fdinfo has flags %s, want %s", got, want)
	}
}

// eventfdInfoID: fdinfo has a small number that no other eventfd has (since 5.2), to tell eventfds apart
// that all have the same inode; duplicates have the same.
func eventfdInfoID(t *testing.T) {
	seen := map[int]int{}
	for range 50 {
		fd := newEventfd(t, 0, 0)
		text := fdinfoLines(t, fd)["eventfd-id"]
		id, err := strconv.Atoi(strings.TrimPrefix(text, " "))
		if err != nil || id < 0 {
			t.Fatalf("fdinfo has eventfd-id:%s, want a number", text)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("descriptors %d and %d both have eventfd-id %d", fd, other, id)
		}
		seen[id] = fd
		dup, closeDup := mustDup(t, fd)
		if got := fdinfoLines(t, dup)["eventfd-id"]; got != text {
			t.Errorf("eventfd-id is%s, and%s of a duplicate", text, got)
		}
		closeDup()
	}
}

// eventfdInfoSemaphore: since 6.5 fdinfo tells EFD_SEMAPHORE (fs/eventfd.c eventfd_show_fdinfo).
func eventfdInfoSemaphore(t *testing.T) {
	for mode, want := range map[int]string{0: " 0", unix.EFD_SEMAPHORE: " 1"} {
		got, there := fdinfoLines(t, newEventfd(t, 3, mode))["eventfd-semaphore"]
		if !behaviour.Since(6, 5) {
			if there {
				t.Errorf("fdinfo has eventfd-semaphore:%s before 6.5", got)
			}
		} else if got != want {
			t.Errorf("fdinfo has eventfd-semaphore:%s, want eventfd-semaphore:%s", got, want)
		}
	}
}

// eventfdName: /proc calls it anon_inode:[eventfd], and it cannot be opened by that link.
func eventfdName(t *testing.T) {
	fd := newEventfd(t, 1, 0)
	wantName(t, fd, "anon_inode:[eventfd]")
	wantCount(t, fd, 1)
}

// eventfdInode: fstat(2) shows mode 0600 and no type or length, whatever the counter, and the inode
// that all files without a name share; fstatfs(2) its file system.
func eventfdInode(t *testing.T) {
	wantSharedInode(t, newEventfd(t, 7, 0))
}

// eventfdOwnership: mode and owner of the shared inode cannot be changed: EOPNOTSUPP where that was
// closed (6.16 and stable releases), EPERM for an ordinary user before.
func eventfdOwnership(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	wantOwnershipKept(t, fd)
	wantSharedInode(t, fd)
}

// eventfdNoSplice: no data moves through it by splice(2), tee(2), sendfile(2) or copy_file_range(2): EINVAL.
func eventfdNoSplice(t *testing.T) {
	fd := newEventfd(t, 8, 0)
	wantNoSplice(t, fd)
	wantCount(t, fd, 8)
}

// eventfdRefusals: it is not a file that could be mapped, cut, synced or listed.
func eventfdRefusals(t *testing.T) {
	fd := newEventfd(t, 8, 0)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR, 0)
	wantCount(t, fd, 8)
}

// eventfdInterrupted: a read or write that sleeps goes on after a handler with SA_RESTART and is EINTR
// after another, signal(7); nothing was taken or added by then.
func eventfdInterrupted(t *testing.T) {
	catchRestarting(t)
	empty, full := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	mustAddCount(t, full, math.MaxUint64-1)
	read := func() *sleeper {
		return startRestartable(t, unix.SYS_READ, func() (int, error) {
			v, err := takeCount(empty)
			return int(v), err
		})
	}
	write := func() *sleeper {
		return startRestartable(t, unix.SYS_WRITE, func() (int, error) { return 0, addCount(full, 2) })
	}
	r, w := read(), write()
	restartRead(t, r, 2)
	restartRead(t, w, 2)
	mustAddCount(t, empty, 4)
	r.Join()
	if r.n != 4 || r.err != nil {
		t.Errorf("the restarted read gave %d, %v; want 4", r.n, r.err)
	}
	mustTake(t, full, math.MaxUint64-1)
	w.Join()
	wantWritten(t, w)
	wantCount(t, full, 2)

	mustAddCount(t, full, math.MaxUint64-1)
	r, w = read(), write()
	r.rouse()
	w.rouse()
	r.wantErr(unix.EINTR)
	w.wantErr(unix.EINTR)
	mustAddCount(t, empty, 1)
	wantCount(t, empty, 1)
	wantCount(t, full, math.MaxUint64-1)
}

// eventfdReadWakes: a read that makes room wakes who waits to write, in write(2), poll(2) and epoll_wait(2).
func eventfdReadWakes(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	mustAddCount(t, fd, math.MaxUint64-1)
	poll := startSleep(t, "thread in ppoll", func(*sleeper) (int, error) {
		return unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, nil, nil)
	})
	poll.AwaitBlocked(unix.SYS_PPOLL)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLOUT)
	wait := startWait(t, epfd, 1, -1)
	write := startWrite(t, fd, 3)
	stillAsleep(t, poll, wait, write)
	mustTake(t, fd, math.MaxUint64-1)
	write.Join()
	wantWritten(t, write)
	poll.wantPolled()
	wait.want(ready(fd, unix.EPOLLOUT))
	wantCount(t, fd, 3)
}

// eventfdClosedUnderReader: closing the descriptor does not wake who sleeps in a read of it, close(2); the
// file is there until the read is over, and what is written to it through a duplicate ends the read.
func eventfdClosedUnderReader(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	dup, _ := mustDup(t, fd)
	r := startRead(t, fd)
	closeNow()
	stillAsleep(t, r.sleeper)
	mustAddCount(t, dup, 6)
	r.wantValue(6)
	// Without a duplicate the reader alone holds it; a signal gets it out.
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC)
	closeNow = closable(t, fd, err)
	r = startRead(t, fd)
	closeNow()
	stillAsleep(t, r.sleeper)
	r.rouse()
	r.wantErr(unix.EINTR)
}

// eventfdEveryWriteIsAnEdge: every write wakes, also while the counter is above 0: for EPOLLET
// each is an event, epoll(7).
func eventfdEveryWriteIsAnEdge(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd)
	for range 3 {
		mustAddCount(t, fd, 1)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	// Several writes before anybody looks are one event.
	mustAddCount(t, fd, 1)
	mustAddCount(t, fd, 1)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantReady(t, epfd)
	wantCount(t, fd, 5)
	wantReady(t, epfd)
	// A write that fails is none.
	wantErrno(t, "write of 2^64-1", addCount(fd, math.MaxUint64), unix.EINVAL)
	wantReady(t, epfd)
}

// eventfdEdgesBothWays: edge-triggered for both, a write is reported as readable and writable at once,
// a read as writable, since an event carries all that holds when it is collected.
func eventfdEdgesBothWays(t *testing.T) {
	const in, out = unix.EPOLLIN, unix.EPOLLOUT
	fd := newEventfd(t, 0, 0)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, in|out|unix.EPOLLET)
	step := func(what string, do func(), want ...readiness) {
		t.Helper()
		do()
		if err := checkReady(epfd, want...); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
		wantReady(t, epfd)
	}
	step("ADD", func() {}, ready(fd, out))
	step("a write", func() { mustAddCount(t, fd, 1) }, ready(fd, in|out))
	step("a read", func() { mustTake(t, fd, 1) }, ready(fd, out))
	step("a write and a read", func() { mustAddCount(t, fd, 1); mustTake(t, fd, 1) }, ready(fd, out))
	step("filling it", func() { mustAddCount(t, fd, math.MaxUint64-1) }, ready(fd, in))
	step("emptying it", func() { mustTake(t, fd, math.MaxUint64-1) }, ready(fd, out))
}

// eventfdAIO: a request of io_submit(2) with IOCB_FLAG_RESFD adds 1 when it is through; a descriptor
// that is none is EBADF, one of another file EINVAL, and then there is no request.
func eventfdAIO(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	file := aioFile(t)
	var buf [1]byte
	defer runtime.KeepAlive(&buf)
	read := iocb{opcode: iocbPread, fd: uint32(file), buf: uint64(uintptr(unsafe.Pointer(&buf))), nbytes: 1}
	with := func(b iocb, resfd int) *iocb {
		b.flags, b.resfd = iocbFlagResfd, uint32(resfd)
		return &b
	}
	for n := range 3 {
		for range n + 1 {
			a.mustSubmit(with(read, fd))
		}
		a.wantEvents(n+1, 1)
		wantCount(t, fd, uint64(n+1))
	}
	semaphore := newEventfd(t, 0, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	a.mustSubmit(with(read, semaphore))
	a.mustSubmit(with(read, semaphore))
	a.wantEvents(2, 1)
	mustTake(t, semaphore, 1)
	mustTake(t, semaphore, 1)

	for _, bad := range badDescriptors(t) {
		wantErrno(t, "io_submit with no descriptor as resfd", a.submit(with(read, bad)), unix.EBADF)
	}
	wantErrno(t, "io_submit with a file as resfd", a.submit(with(read, file)), unix.EINVAL)
	wantErrno(t, "io_submit with a timerfd as resfd", a.submit(with(read, fdtest.Timerfd(t))), unix.EINVAL)
	// Without the flag the descriptor is not looked at.
	plain := read
	plain.resfd = math.MaxUint32
	a.mustSubmit(&plain)
	a.wantEvents(1, 1)
	wantCount(t, fd, 0)
	a.wantEvents(0, 0)
}

// eventfdAIOPoll: IOCB_CMD_POLL of io_submit(2), since 4.18, waits for an eventfd as poll(2) does, once.
func eventfdAIOPoll(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN}
	a.mustSubmit(poll)
	a.wantEvents(0, 0)
	mustAddCount(t, fd, 1)
	a.wantEvents(1, unix.POLLIN)
	mustAddCount(t, fd, 1) // nobody waits now
	a.wantEvents(0, 0)
	a.mustSubmit(poll) // ready already
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, fd, 2)
	both := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN | unix.POLLOUT}
	a.mustSubmit(both)
	a.wantEvents(1, unix.POLLOUT)
}

// eventfdIoUring: io_uring_register(2) takes one eventfd: another is EBUSY, something else EINVAL or
// EBADF, and taking away what is not there ENXIO. Each completion then adds 1.
func eventfdIoUring(t *testing.T) {
	ring := newRing(t)
	fd := newEventfd(t, 0, 0)
	register := func(efd int32) error {
		return ring.register(ioringRegisterEventfd, uintptr(unsafe.Pointer(&efd)), 1)
	}
	unregister := func() error { return ring.register(ioringUnregisterEventfd, 0, 0) }
	wantErrno(t, "unregistering with none", unregister(), unix.ENXIO)
	wantErrno(t, "registering a bad descriptor", register(-1), unix.EBADF)
	wantErrno(t, "registering a timerfd", register(int32(fdtest.Timerfd(t))), unix.EINVAL)
	wantErrno(t, "registering two", ring.register(ioringRegisterEventfd, 0, 2), unix.EINVAL)
	wantErrno(t, "registering at a null pointer", ring.register(ioringRegisterEventfd, 0, 1), unix.EFAULT)
	wantErrno(t, "registering an eventfd", register(int32(fd)), nil)
	wantErrno(t, "registering another", register(int32(newEventfd(t, 0, 0))), unix.EBUSY)
	wantErrno(t, "registering it again", register(int32(fd)), unix.EBUSY)
	ring.mustNop()
	wantCount(t, fd, 1)
	ring.mustNop()
	ring.mustNop()
	wantCount(t, fd, 2)
	wantErrno(t, "unregistering", unregister(), nil)
	ring.mustNop()
	wantCount(t, fd, 0)
	wantErrno(t, "unregistering twice", unregister(), unix.ENXIO)
	wantErrno(t, "registering anew", register(int32(fd)), nil)
	ring.mustNop()
	wantCount(t, fd, 1)
}

// eventfdNothingLost: with several writers and readers, what is read is in sum what was written.
func eventfdNothingLost(t *testing.T) {
	const writers, readers, writes = 3, 3, 2000
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		fd := newEventfd(t, 0, mode|unix.EFD_NONBLOCK)
		var sum, all atomic.Uint64
		var writing, reading sync.WaitGroup
		done := make(chan struct{})
		for w := range uint64(writers) {
			writing.Go(func() {
				for i := range uint64(writes) {
					v := 1 + (i+w)%3
					if err := addCount(fd, v); err != nil {
						t.Errorf("write: %v", err)
						return
					}
					all.Add(v)
				}
			})
		}
		for range readers {
			reading.Go(func() {
				for {
					v, err := takeCount(fd)
					switch {
					case err == nil:
						sum.Add(v)
						if mode == unix.EFD_SEMAPHORE && v != 1 {
							t.Errorf("read %d of a semaphore", v)
						}
					case err != unix.EAGAIN:
						t.Errorf("read: %v", err)
						return
					default:
						select {
						case <-done: // before this read, so there was nothing left
							return
						default:
							runtime.Gosched()
						}
					}
				}
			})
		}
		writing.Wait()
		await(t, "everything is read", func() bool { return sum.Load() >= all.Load() })
		close(done)
		reading.Wait()
		if sum.Load() != all.Load() {
			t.Errorf("read %d in sum, want %d", sum.Load(), all.Load())
		}
		wantLeft(t, fd, mode, 0)
	}
}

// eventfdReadToBadMemory: a read that cannot store what it took is EFAULT, and what it took is gone: it
// is taken first (fs/eventfd.c eventfd_read).
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

// eventfdReadErrorOrder: of several errors of a read the descriptor comes first, then the size, an empty
// counter, and the memory last.
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

// eventfdWriteErrorOrder: of several errors of a write the descriptor comes first, then the size, the
// memory, the value that is none, and whether it fits last.
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

// eventfdInitvalUpperHalf: initval is 32 bits; what is above them in the register is not looked at.
func eventfdInitvalUpperHalf(t *testing.T) {
	initval, flags := uint64(0xdead_beef_0000_0005), uint64(0xffff_ffff_0000_0000)|unix.EFD_NONBLOCK
	fd, err := rawCall(unix.SYS_EVENTFD2, uintptr(initval), uintptr(flags))
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantCount(t, fd, 5)
}

// eventfdAllFlags: all combinations of the three flags are accepted, each flag doing its own.
func eventfdAllFlags(t *testing.T) {
	for combination := range 8 {
		flags, status, descriptor, reads := 0, unix.O_RDWR, 0, []uint64{3}
		if combination&1 != 0 {
			flags |= unix.EFD_SEMAPHORE
			reads = []uint64{1, 1, 1}
		}
		if combination&2 != 0 {
			flags |= unix.EFD_NONBLOCK
			status |= unix.O_NONBLOCK
		}
		if combination&4 != 0 {
			flags |= unix.EFD_CLOEXEC
			descriptor |= unix.FD_CLOEXEC
		}
		fd := newEventfd(t, 3, flags)
		wantFlags(t, fd, status, descriptor)
		for _, want := range reads {
			mustTake(t, fd, want)
		}
		wantLeft(t, fd, flags&unix.EFD_SEMAPHORE, 0)
	}
}

// eventfdSemaphoreReleasesAsMany: adding n to a semaphore lets n sleeping readers go, and no more.
func eventfdSemaphoreReleasesAsMany(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	var asleep []*sleeper
	for range 6 {
		asleep = append(asleep, startRead(t, fd).sleeper)
	}
	for _, n := range []int{1, 3, 2} {
		mustAddCount(t, fd, uint64(n))
		_, asleep = wantWoken(t, n, asleep...)
		wantPolledOnly(t, fd, unix.POLLOUT)
	}
}

// eventfdWriteReleasesOne: of several readers that sleep one takes all that a write has added; the others
// find nothing and sleep on.
func eventfdWriteReleasesOne(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	var readers []*valueReader
	var asleep []*sleeper
	for range 4 {
		r := startRead(t, fd)
		readers = append(readers, r)
		asleep = append(asleep, r.sleeper)
	}
	for i := range readers {
		mustAddCount(t, fd, uint64(10+i))
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		for _, r := range readers {
			if r.sleeper == woken[0] {
				r.wantValue(uint64(10 + i))
			}
		}
	}
	wantCount(t, fd, 0)
}

// eventfdWriteZero: 0 can be added, also to the largest counter, and changes nothing: it does
// not let a reader go.
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

// eventfdWriteZeroEdge: adding 0 wakes all the same: where the counter is above 0 it is an edge for
// EPOLLET, where it is 0 there is nothing to report.
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

// eventfdTakenIsNoEdge: a read of a semaphore that leaves something is no new edge for EPOLLIN.
func eventfdTakenIsNoEdge(t *testing.T) {
	fd := newEventfd(t, 3, unix.EFD_SEMAPHORE)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	for range 2 {
		mustTake(t, fd, 1)
		wantReady(t, epfd)
	}
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
	mustTake(t, fd, 1)
}

// eventfdWritev: each piece of a writev(2) is a write of its own, for there is no write_iter operation: its
// sum is added, and after one that fails the others are not made.
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

// eventfdReadv: a readv(2) with more room is one read: it takes once and fills eight bytes.
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
	// No bytes at all never get as far as the eventfd, where read(2) has EINVAL for them (EFD-14).
	for _, pieces := range [][][]byte{nil, {nil, nil}} {
		if n, err := unix.Readv(fd, pieces); n != 0 || err != nil {
			t.Errorf("readv of %d pieces of nothing = %d, %v; want 0", len(pieces), n, err)
		}
		if n, err := unix.Writev(fd, pieces); n != 0 || err != nil {
			t.Errorf("writev of %d pieces of nothing = %d, %v; want 0", len(pieces), n, err)
		}
	}
}

// eventfdNoReservation: a write that sleeps has reserved nothing: a smaller one that fits goes before it.
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

// eventfdSemaphoreMakesRoomForOne: a read of a full semaphore makes room for 1: of the writers that
// wait to add 1 one goes, and one that wants to add 2 does not.
func eventfdSemaphoreMakesRoomForOne(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_SEMAPHORE)
	mustAddCount(t, fd, math.MaxUint64-1)
	two, one, another := startWrite(t, fd, 2), startWrite(t, fd, 1), startWrite(t, fd, 1)
	mustTake(t, fd, 1)
	_, asleep := wantWoken(t, 1, one, another)
	stillAsleep(t, two)
	mustTake(t, fd, 1)
	wantWoken(t, 1, asleep...)
	stillAsleep(t, two)
	mustTake(t, fd, 1)
	mustTake(t, fd, 1)
	two.Join()
	wantWritten(t, two)
}

// eventfdKilledReader: a reader that is killed in its sleep takes nothing with it.
func eventfdKilledReader(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	p := child.Start(t, eventfdReader, child.Options{Files: []int{fd}})
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	mustAddCount(t, fd, 5)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); s.Signal() != unix.SIGKILL {
		t.Errorf("the reader ended with %#x, want SIGKILL", s)
	}
	wantCount(t, fd, 5)
}

var eventfdReader = child.Register("eventfd-reader", func(*child.Proc) error {
	_, err := takeCount(child.FirstFile)
	return err
})

// eventfdInFlight: an eventfd that is only in a message under way keeps its counter.
func eventfdInFlight(t *testing.T) {
	sockets := fdtest.Socketpair(t)
	fd, err := unix.Eventfd(4, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	closeNow := closable(t, fd, err)
	mustSendFile(t, sockets[0], fd)
	mustAddCount(t, fd, 1)
	closeNow()
	got, err := receiveFile(sockets[1])
	closable(t, got, err)
	wantLeft(t, got, unix.EFD_SEMAPHORE, 5)
}

// eventfdFetched: pidfd_getfd(2) gets the same object from another process.
func eventfdFetched(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	got := fetchFromChild(t, fd)
	wantFlags(t, got, unix.O_RDWR, unix.FD_CLOEXEC)
	mustTake(t, got, 4)
	mustAddCount(t, got, 2)
	wantCount(t, fd, 2)
}

// eventfdNoSignals: it sends no SIGIO: O_ASYNC is not accepted, by silence or by refusal.
func eventfdNoSignals(t *testing.T) { wantNoSignals(t, newEventfd(t, 0, 0)) }

// eventfdLocks: flock(2) is the inode's affair, and that is all eventfds' (and timerfds', ...)
// together: a lock on one excludes the others.
func eventfdLocks(t *testing.T) {
	a, b, timer := newEventfd(t, 0, 0), newEventfd(t, 0, 0), fdtest.Timerfd(t)
	dup, _ := mustDup(t, a)
	// Another run of this test may hold it just now.
	await(t, "flock of an eventfd", func() bool { return unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB) == nil })
	wantErrno(t, "flock of another eventfd", unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	wantErrno(t, "flock of a timerfd", unix.Flock(timer, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	wantErrno(t, "flock of a duplicate", unix.Flock(dup, unix.LOCK_SH|unix.LOCK_NB), nil)
	wantErrno(t, "unlocking", unix.Flock(a, unix.LOCK_UN), nil)
	// It does not stand in the way of reading and writing.
	mustAddCount(t, b, 1)
	wantCount(t, b, 1)
}

// eventfdOverflowSemaphore: a semaphore that the kernel took to 2^64-1 is no longer in error after one
// read, and full after another.
func eventfdOverflowSemaphore(t *testing.T) {
	fd := overflown(t, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLERR)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, unix.POLLIN)
	wantErrno(t, "adding 1 to a full semaphore", addCount(fd, 1), unix.EAGAIN)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
}

// eventfdOverflowStays: the kernel does not count beyond 2^64-1, nor around it: further completions
// leave it there, and are an edge all the same.
func eventfdOverflowStays(t *testing.T) {
	a := newAIO(t)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	mustAddCount(t, fd, math.MaxUint64-2)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	for _, want := range []uint32{unix.POLLIN, unix.POLLIN | unix.POLLERR, unix.POLLIN | unix.POLLERR} {
		a.complete(fd)
		wantPolledOnly(t, fd, want)
		wantReady(t, epfd, ready(fd, want))
		wantReady(t, epfd)
	}
	wantCount(t, fd, math.MaxUint64)
	a.complete(fd)
	wantCount(t, fd, 1)
}

// eventfdAIOPollOfItself: a poll request may tell of its completion on another eventfd and on the very
// one that it polls: the kernel neither deadlocks nor counts without end (fs/eventfd.c,
// eventfd_signal_allowed).
func eventfdAIOPollOfItself(t *testing.T) {
	a := newAIO(t)
	fd, other := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	poll := func(resfd int) {
		t.Helper()
		a.mustSubmit(&iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)})
	}
	poll(other)
	mustAddCount(t, fd, 1)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, fd, 1)
	wantCount(t, other, 1)
	// Until write(2) itself was guarded (9f0deaa12d83, 6.1 and some stable releases) the next one took
	// the lock that it held, for ever and with the processor: not something to do to a machine.
	if !behaviour.Since(6, 1) {
		behaviour.Partly(t, "absent", "no guard against a request that polls and tells one eventfd, before 6.1")
		return
	}
	poll(fd)
	poll(other)
	poll(fd)
	mustAddCount(t, fd, 1)
	a.wantEvents(3, unix.POLLIN)
	wantCount(t, fd, 3)
	wantCount(t, other, 1)
}

// eventfdNonblockWhileAsleep: O_NONBLOCK does not reach a read that sleeps already.
func eventfdNonblockWhileAsleep(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	r := startRead(t, fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, r.sleeper)
	_, err := takeCount(fd)
	wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
	mustAddCount(t, fd, 2)
	r.wantValue(2)
}

// eventfdOneReadOfMany: however many hear of a write through poll(2) and epoll_wait(2), one read takes
// it; who comes second finds it gone.
func eventfdOneReadOfMany(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	waiting = append(waiting, startPoll(t, fd), startPoll(t, fd))
	mustAddCount(t, fd, 4)
	wantWoken(t, len(waiting), waiting...)
	mustTake(t, fd, 4)
	_, err := takeCount(fd)
	wantErrno(t, "a second read", err, unix.EAGAIN)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

// eventfdPartialFault: a value that straddles into memory that cannot be read is not added in part; one
// that cannot be stored as a whole is taken, EFAULT either way.
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
	// Memory that may be written and not more than that will do, and the other way round.
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

// eventfdAtFileLimit: ENFILE at fs.file-max, eventfd(2), for who has not CAP_SYS_ADMIN.
func eventfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
}

// What the rows above are written in.

// newEventfd makes an eventfd with just these flags, and takes the counter to count.
func newEventfd(tb testing.TB, initval uint64, flags int) int {
	tb.Helper()
	fd, err := rawCall(unix.SYS_EVENTFD2, uintptr(initval), uintptr(flags))
	if err == unix.EMFILE {
		behaviour.Limited(tb, "eventfd2: %v: raise RLIMIT_NOFILE", err)
	}
	if err != nil {
		tb.Fatalf("eventfd2(%d, %#x): %v", initval, flags, err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

// addCount writes a value to an eventfd.
func addCount(fd int, v uint64) error {
	n, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, v))
	if err == nil && n != 8 {
		err = fmt.Errorf("write to eventfd returned %d, want 8", n)
	}
	return err
}

// untouched is what takeCount returns when nothing was stored.
const untouched = 0x5a5a_5a5a_5a5a_5a5a

// takeCount reads an eventfd or timerfd.
func takeCount(fd int) (uint64, error) {
	buf := binary.NativeEndian.AppendUint64(nil, untouched)
	n, err := unix.Read(fd, buf)
	if err == nil && n != 8 {
		err = fmt.Errorf("read returned %d, want 8", n)
	}
	return binary.NativeEndian.Uint64(buf), err
}

func mustAddCount(tb testing.TB, fd int, v uint64) {
	tb.Helper()
	if err := addCount(fd, v); err != nil {
		tb.Fatalf("write of %#x to eventfd: %v", v, err)
	}
}

// wantCount takes the whole counter, which must be this, of an eventfd that is no semaphore.
func wantCount(tb testing.TB, fd int, want uint64) { tb.Helper(); wantLeft(tb, fd, 0, want) }

// wantLeft takes all there is in an eventfd, which must be this; mode is 0 or EFD_SEMAPHORE.
func wantLeft(tb testing.TB, fd, mode int, want uint64) {
	tb.Helper()
	var got uint64
	for readable(tb, fd) {
		v, err := takeCount(fd)
		if err != nil {
			tb.Fatalf("read of a readable eventfd: %v", err)
		}
		got += v
		if mode == 0 || got > want {
			break
		}
	}
	if got != want || readable(tb, fd) {
		tb.Errorf("the counter was %#x, readable after that: %t; want %#x, false", got, readable(tb, fd), want)
	}
}

// readable asks poll(2) for POLLIN.
func readable(tb testing.TB, fd int) bool {
	tb.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(p, &unix.Timespec{}, nil); err != nil {
		tb.Fatalf("ppoll: %v", err)
	}
	return p[0].Revents&unix.POLLIN != 0
}

// A valueReader is a thread in a read of eight bytes.
type valueReader struct {
	*sleeper
	value uint64
}

// startRead has a thread sleep in a read of an eventfd or timerfd.
func startRead(tb testing.TB, fd int) *valueReader {
	tb.Helper()
	r := &valueReader{}
	r.sleeper = startSleep(tb, "thread in read", func(*sleeper) (n int, err error) {
		r.value, err = takeCount(fd)
		return 0, err
	})
	r.AwaitBlocked(unix.SYS_READ)
	return r
}

// wantValue waits for the read's end, which must be with this.
func (r *valueReader) wantValue(want uint64) {
	r.tb.Helper()
	r.Join()
	if r.err != nil || r.value != want {
		r.tb.Errorf("the waiting thread read %#x, %v; want %#x", r.value, r.err, want)
	}
}

// startWrite has a thread sleep in a write to an eventfd.
func startWrite(tb testing.TB, fd int, v uint64) *sleeper {
	tb.Helper()
	w := startSleep(tb, "thread in write", func(*sleeper) (int, error) { return 0, addCount(fd, v) })
	w.AwaitBlocked(unix.SYS_WRITE)
	return w
}

func wantWritten(tb testing.TB, w *sleeper) {
	tb.Helper()
	if w.err != nil {
		tb.Errorf("the write that slept: %v", w.err)
	}
}

// overflown returns an eventfd with a counter of 2^64-1, to which only the kernel can take it: it
// counts the completion of a request on a counter of 2^64-2.
func overflown(tb testing.TB, flags int) int {
	tb.Helper()
	a := newAIO(tb)
	fd := newEventfd(tb, 0, flags)
	mustAddCount(tb, fd, math.MaxUint64-1)
	a.complete(fd)
	return fd
}

// An aioContext is a context of io_setup(2).
type aioContext struct {
	tb  testing.TB
	ctx uintptr
}

// iocb is struct iocb of linux/aio_abi.h, for little-endian machines.
type iocb struct {
	_      [16]byte // data, key, flags of preadv2
	opcode uint16
	_      int16
	fd     uint32
	buf    uint64
	nbytes uint64
	_      [16]byte // offset, reserved
	flags  uint32
	resfd  uint32
}

const (
	iocbPread     = 0
	iocbPoll      = 5
	iocbFlagResfd = 1
)

// newAIO makes a context; it skips the row where the kernel was built without.
func newAIO(tb testing.TB) *aioContext {
	tb.Helper()
	ctx, class, why := setupAIO(tb)
	if class != "" {
		behaviour.Skip(tb, class, "%s", why)
	}
	return &aioContext{tb: tb, ctx: ctx}
}

// setupAIO makes a context that the row's end destroys, or says why there is none to be had, and of what class that is.
func setupAIO(tb testing.TB) (ctx uintptr, class, why string) {
	tb.Helper()
	_, err := rawCall(unix.SYS_IO_SETUP, 16, uintptr(unsafe.Pointer(&ctx)))
	switch err {
	case nil:
	case unix.ENOSYS:
		return 0, "absent", fmt.Sprintf("no AIO: io_setup: %v", err)
	case unix.EPERM:
		return 0, "seccomp", fmt.Sprintf("io_setup: %v", err)
	case unix.EAGAIN:
		return 0, "limit", fmt.Sprintf("io_setup: %v; raise fs.aio-max-nr", err)
	default:
		tb.Fatalf("io_setup: %v", err)
	}
	tb.Cleanup(func() { rawCall(unix.SYS_IO_DESTROY, ctx) })
	return ctx, "", ""
}

// aioFile is a file with something to read.
func aioFile(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.MemfdCreate("aio", unix.MFD_CLOEXEC)
	closable(tb, fd, err)
	mustWrite(tb, fd, "x")
	return fd
}

func (a *aioContext) submit(b *iocb) error {
	n, err := rawCall(unix.SYS_IO_SUBMIT, a.ctx, 1, uintptr(unsafe.Pointer(&b)))
	if err == nil && n != 1 {
		err = fmt.Errorf("io_submit returned %d, want 1", n)
	}
	return err
}

func (a *aioContext) mustSubmit(b *iocb) {
	a.tb.Helper()
	if err := a.submit(b); err != nil {
		a.tb.Fatalf("io_submit: %v", err)
	}
}

// wantEvents takes n completions, each with this result; there must be no more.
func (a *aioContext) wantEvents(n int, res int64) {
	a.tb.Helper()
	var events [16]struct {
		data, obj uint64
		res, res2 int64
	}
	limit := unix.NsecToTimespec(child.Patience.Nanoseconds())
	got, err := rawCall(unix.SYS_IO_GETEVENTS, a.ctx, uintptr(n), uintptr(len(events)),
		uintptr(unsafe.Pointer(&events)), uintptr(unsafe.Pointer(&limit)))
	if got != n || err != nil {
		a.tb.Fatalf("io_getevents = %d, %v; want %d", got, err, n)
	}
	for _, e := range events[:got] {
		if e.res != res || e.res2 != 0 {
			a.tb.Errorf("a request ended with %d, %d; want %d, 0", e.res, e.res2, res)
		}
	}
}

// complete has one request end that tells fd of it.
func (a *aioContext) complete(fd int) {
	a.tb.Helper()
	buf := new([1]byte)
	defer runtime.KeepAlive(buf)
	a.mustSubmit(&iocb{opcode: iocbPread, fd: uint32(aioFile(a.tb)), buf: uint64(uintptr(unsafe.Pointer(buf))), nbytes: 1,
		flags: iocbFlagResfd, resfd: uint32(fd)})
	a.wantEvents(1, 1)
}

// A ring is an io_uring(7) with room for little.
type ring struct {
	tb           testing.TB
	fd           int
	sq           []byte // the submission ring
	tail, mask   *uint32
	array        *uint32
	head, cqtail *uint32 // of the completion ring
	sqes         []byte
}

const (
	ioringRegisterEventfd   = 4
	ioringUnregisterEventfd = 5
	ioringEnterGetevents    = 1
	ioringFeatSingleMmap    = 1
	ioringOffSqes           = 0x10000000
)

// setupUring makes the descriptor of a ring, which the row's end closes, or says why there is none to be had, and of what
// class that is.
func setupUring(tb testing.TB, params unsafe.Pointer) (fd int, class, why string) {
	tb.Helper()
	fd, err := rawCall(unix.SYS_IO_URING_SETUP, 4, uintptr(params))
	switch err {
	case nil:
	case unix.ENOSYS:
		return -1, "absent", fmt.Sprintf("no io_uring: io_uring_setup: %v", err)
	case unix.EPERM:
		return -1, "seccomp", fmt.Sprintf("io_uring_setup: %v (kernel.io_uring_disabled, or seccomp)", err)
	case unix.ENOMEM:
		return -1, "limit", fmt.Sprintf("io_uring_setup: %v; raise RLIMIT_MEMLOCK", err)
	default:
		closable(tb, fd, err)
	}
	closable(tb, fd, nil)
	return fd, "", ""
}

// newRing makes a ring; it skips the row where there is none to be had.
func newRing(tb testing.TB) *ring {
	tb.Helper()
	// struct io_uring_params of linux/io_uring.h
	type offsets struct{ head, tail, mask, entries, flags, dropped, array, _, _, _ uint32 }
	var p struct {
		sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
		_                                                    [3]uint32
		sq, cq                                               offsets
	}
	fd, class, why := setupUring(tb, unsafe.Pointer(&p))
	if class != "" {
		behaviour.Skip(tb, class, "%s", why)
	}
	if p.features&ioringFeatSingleMmap == 0 {
		tb.Fatalf("io_uring_setup: features %#x, want IORING_FEAT_SINGLE_MMAP, since 5.4", p.features)
	}
	size := max(int(p.sq.array+4*p.sqEntries), int(p.cq.flags)+16*int(p.cqEntries))
	m := func(offset int64, size int) []byte {
		mem, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			tb.Fatalf("mmap of the ring: %v", err)
		}
		tb.Cleanup(func() { unix.Munmap(mem) })
		return mem
	}
	r := &ring{tb: tb, fd: fd, sq: m(0, size), sqes: m(ioringOffSqes, 64*int(p.sqEntries))}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.sq[offset])) }
	r.tail, r.mask, r.array = at(p.sq.tail), at(p.sq.mask), at(p.sq.array)
	r.head, r.cqtail = at(p.cq.head), at(p.cq.tail)
	return r
}

//go:uintptrescapes
func (r *ring) register(op, arg, n uintptr) error {
	return secondOf(rawCall(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), op, arg, n))
}

// mustNop has one request end that does nothing: an IORING_OP_NOP is all zeros.
func (r *ring) mustNop() {
	r.tb.Helper()
	clear(r.sqes)
	tail := atomic.LoadUint32(r.tail)
	unsafe.Slice(r.array, *r.mask+1)[tail&*r.mask] = 0
	atomic.StoreUint32(r.tail, tail+1)
	n, err := rawCall(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, ioringEnterGetevents, 0, 0)
	done := atomic.LoadUint32(r.cqtail) - atomic.LoadUint32(r.head)
	if n != 1 || err != nil || done != 1 {
		r.tb.Fatalf("io_uring_enter = %d, %v with %d completions; want 1 with 1", n, err, done)
	}
	atomic.AddUint32(r.head, done)
}
