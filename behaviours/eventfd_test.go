//go:build linux

package behaviours

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"

	"golang.org/x/sys/unix"
)

func TestEventfd(t *testing.T) {
	behaviour.Run(t, "eventfd",
		eventfdCreateRows,
		eventfdReadRows,
		eventfdSemaphoreRows,
		eventfdWriteRows,
		eventfdOverflowRows,
		eventfdSleepRows,
		eventfdPollRows,
		eventfdAioRows,
		eventfdFileRows)
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

var eventfdReader = child.Register("eventfd-reader", func(*child.Proc) error {
	_, err := takeCount(child.FirstFile)
	return err
})

// What rows are written in.

// newEventfd makes an eventfd with just these flags, and takes the counter to
// count.
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

// wantCount takes the whole counter, which must be this, of an eventfd that is
// no semaphore.
func wantCount(tb testing.TB, fd int, want uint64) { tb.Helper(); wantLeft(tb, fd, 0, want) }

// wantLeft takes all there is in an eventfd, which must be this; mode is 0 or
// EFD_SEMAPHORE.
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
