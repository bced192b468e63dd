//go:build linux

package behaviours

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"

	"golang.org/x/sys/unix"
)

// Reading expiries.

// timerfdOneShot (TFD-06): without an interval a timer expires once: one read
// returns 1, and nothing follows.
func timerfdOneShot(t *testing.T) {
	for clock := range timerfdClockNames {
		for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME} {
			fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
			value := soon
			if flags != 0 {
				value += clockTime(t, clock)
			}
			mustSettime(t, fd, flags, value, 0)
			mustAwait(t, fd)
			wantTicks(t, fd, 1)
			wantLeftOver(t, fd, 0, 0)
			time.Sleep(2 * soon)
			wantPolledOnly(t, fd, 0)
			_, err := takeCount(fd)
			wantErrno(t, "read long after the only expiry was read", err, unix.EAGAIN)
		}
	}
}

// timerfdPeriodic (TFD-07): a read returns how often a periodic timer has
// expired since the last, timerfd_create(2).
func timerfdPeriodic(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, 0)
		g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon/2, func() { mustSettime(t, fd, 0, soon, soon/2) })
		for range 4 {
			g.take(fd)
		}
		time.Sleep(5 * soon)
		if got := g.take(fd); got < g.periods(5*soon) {
			t.Errorf("read %d after %d periods", got, g.periods(5*soon))
		}
		g.look(fd)
	}
}

// timerfdReadSleeps (TFD-08): a read sleeps until the timer expires, and is
// never early by the timer's clock, be the time relative or absolute.
func timerfdReadSleeps(t *testing.T) {
	for clock, name := range timerfdClockNames {
		fd := newTimerfd(t, clock, 0)
		for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME} {
			for _, value := range []time.Duration{1, 999, time.Microsecond, 50 * time.Microsecond, soon, 3*soon + 12345} {
				at, spec := clockTime(t, clock)+value, value
				if flags == unix.TFD_TIMER_ABSTIME {
					spec = at
				}
				mustSettime(t, fd, flags, spec, 0)
				mustTake(t, fd, 1)
				if now := clockTime(t, clock); now < at {
					t.Errorf("CLOCK_%s with flags %d: a read for %v returned %v early", name, flags, value, at-now)
				}
			}
		}
	}
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	r := startRead(t, fd)
	mustSettime(t, fd, 0, far, 0)
	stillAsleep(t, r.sleeper)
	mustSettime(t, fd, 0, soon, 0)
	r.wantValue(1)
}

// timerfdReadSizes (TFD-09): a read of less than eight bytes is EINVAL,
// timerfd_create(2), whether there is anything to be had, and takes nothing;
// one of more returns eight.
func timerfdReadSizes(t *testing.T) {
	for _, flags := range []int{0, unix.TFD_NONBLOCK} {
		armed, expired := newTimerfd(t, unix.CLOCK_MONOTONIC, flags), expiredTimerfd(t, flags)
		mustSettime(t, armed, 0, far, 0)
		for size := range 8 {
			buf := bytes.Repeat([]byte{0xa5}, 8)
			for _, fd := range []int{armed, expired} {
				_, err := rawCall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(size))
				wantErrno(t, fmt.Sprintf("read of %d bytes", size), err, unix.EINVAL)
			}
			if !bytes.Equal(buf, bytes.Repeat([]byte{0xa5}, 8)) {
				t.Errorf("a read that failed stored %x", buf)
			}
		}
		wantPolledOnly(t, armed, 0)
		wantPolledOnly(t, expired, unix.POLLIN)
		wantTicks(t, expired, 1)
		for _, size := range []int{9, 16, 4096, 1 << 20} {
			expire(t, expired)
			buf := bytes.Repeat([]byte{0xa5}, size)
			n, err := unix.Read(expired, buf)
			if n != 8 || err != nil || binary.NativeEndian.Uint64(buf) != 1 {
				t.Errorf("read of %d bytes = %d, %v with %x; want 8 with 1", size, n, err, buf[:8])
			}
			if !bytes.Equal(buf[8:], bytes.Repeat([]byte{0xa5}, size-8)) {
				t.Errorf("read of %d bytes stored more than 8", size)
			}
			wantPolledOnly(t, expired, 0)
		}
	}
}

// timerfdReadToBadMemory (TFD-10): a read that cannot store what it took is
// EFAULT, and what it took is gone; a periodic timer goes on (fs/timerfd.c
// timerfd_read_iter).
func timerfdReadToBadMemory(t *testing.T) {
	for what, at := range badPointers(t, 8) {
		if what == halfPointer {
			continue // TFD-45
		}
		fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
		_, err := rawCall(unix.SYS_READ, uintptr(fd), at, 8)
		wantErrno(t, "read to "+what, err, unix.EFAULT)
		if what == kernelPointer {
			wantTicks(t, fd, 1) // found out before anything was taken
			continue
		}
		wantPolledOnly(t, fd, 0)
		_, err = takeCount(fd)
		wantErrno(t, "read after one to "+what, err, unix.EAGAIN)
		mustSettime(t, fd, 0, soon, soon)
		mustAwait(t, fd)
		_, err = rawCall(unix.SYS_READ, uintptr(fd), at, 8)
		wantErrno(t, "read of a periodic timer to "+what, err, unix.EFAULT)
		mustAwait(t, fd)
	}
}

// timerfdGrid (TFD-22): the k-th expiry is k intervals after the first, however
// late it is read: over any number of reads, what they return is in sum how
// many points of that grid have passed.
func timerfdGrid(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, 0)
		const interval = 300*time.Microsecond + 7
		start := clockTime(t, clock) + soon
		g := newGrid(t, clock, start, 0, interval, func() { mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, start, interval) })
		for i := range 12 {
			g.take(fd)
			time.Sleep(time.Duration(i%4) * interval * 2 / 3)
		}
		// Nor does looking move it.
		g.look(fd)
		g.take(fd)
		g.take(fd)
	}
}

// timerfdVectors (TFD-28): since 6.10, which gave it a read_iter operation,
// preadv2(2) with RWF_NOWAIT does not wait and readv(2) may take the eight
// bytes in pieces; before, the first was EOPNOTSUPP, and each piece a read of
// its own.
func timerfdVectors(t *testing.T) {
	iter := behaviour.Since(6, 10)
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	mustSettime(t, fd, 0, far, 0)
	nowait := func() (uint64, error) {
		buf := binary.NativeEndian.AppendUint64(nil, untouched)
		one := unix.Iovec{Base: &buf[0], Len: 8}
		_, err := rawCall(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&one)), 1, ^uintptr(0), ^uintptr(0), unix.RWF_NOWAIT)
		return binary.NativeEndian.Uint64(buf), err
	}
	wantRefused := error(unix.EOPNOTSUPP)
	if iter {
		wantRefused = unix.EAGAIN
	}
	_, err := nowait()
	wantErrno(t, "preadv2 with RWF_NOWAIT of a timer that has not expired", err, wantRefused)
	expire(t, fd)
	v, err := nowait()
	if iter {
		if v != 1 || err != nil {
			t.Errorf("preadv2 with RWF_NOWAIT of an expired timer: %d, %v; want 1", v, err)
		}
		wantPolledOnly(t, fd, 0)
	} else {
		wantErrno(t, "preadv2 with RWF_NOWAIT of an expired timer", err, wantRefused)
		wantPolledOnly(t, fd, unix.POLLIN)
	}
	for split := 1; split < 8; split++ {
		expire(t, fd)
		var buf [8]byte
		n, err := unix.Readv(fd, [][]byte{buf[:split], buf[split:]})
		if !iter {
			wantErrno(t, "readv in two pieces", err, unix.EINVAL)
			wantPolledOnly(t, fd, unix.POLLIN)
			continue
		}
		if n != 8 || err != nil || binary.NativeEndian.Uint64(buf[:]) != 1 {
			t.Errorf("readv of %d and %d bytes = %d, %v with %x; want 8 with 1", split, 8-split, n, err, buf)
		}
		wantPolledOnly(t, fd, 0)
	}
	expire(t, fd)
	_, err = unix.Readv(fd, [][]byte{make([]byte, 3), make([]byte, 4)})
	wantErrno(t, "readv of 3 and 4 bytes", err, unix.EINVAL)
	wantPolledOnly(t, fd, unix.POLLIN)
	// Where one piece is large enough there is nothing for the next, be it
	// of the same read or another.
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	buf := bytes.Repeat([]byte{0xa5}, 16)
	n, err := unix.Readv(fd, [][]byte{buf[:8], buf[8:]})
	if n != 8 || err != nil || !bytes.Equal(buf[8:], bytes.Repeat([]byte{0xa5}, 8)) {
		t.Errorf("readv of twice 8 bytes = %d, %v with %x; want 8", n, err, buf)
	}
}

// timerfdNoSlack (TFD-41): a timerfd is not widened by the thread's timer
// slack, as poll(2)'s timeout is.
func timerfdNoSlack(t *testing.T) {
	// What the kernel itself has of the timer is as narrow as can be.
	var hidden error
	child.Go(t, "thread with a second of slack", func() error {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(time.Second), 0, 0, 0); err != nil {
			return err
		}
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		now, err := clockNow(unix.CLOCK_MONOTONIC)
		if err != nil {
			return err
		}
		at := now + far + time.Duration(unix.Getpid())
		spec := timerSpec(at, 0)
		if err := settime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
			return err
		}
		timers, err := timerList(at)
		if err != nil {
			hidden = err
			return nil
		}
		if len(timers) != 1 || timers[0] != at {
			return fmt.Errorf("the kernel has timers that expire from %v up to %v; want one, up to that", at, timers)
		}
		return nil
	}).Join()
	if hidden != nil {
		behaviour.Partly(t, "privilege", "what the kernel has of the timer: %v", hidden)
	}
	const timeout = time.Millisecond
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	poll := func() error {
		_, err := unix.Ppoll(nil, &unix.Timespec{Nsec: int64(timeout)}, nil)
		return err
	}
	read := func() error {
		spec := timerSpec(timeout, 0)
		if err := settime(fd, 0, &spec, nil); err != nil {
			return err
		}
		_, err := takeCount(fd)
		return err
	}
	wantLater(t, "ppoll", timeout, poll, "a timerfd", read)
}

// timerfdInterrupted (TFD-43): a read that sleeps goes on after a handler with
// SA_RESTART, and is EINTR after another, signal(7); the timer runs on
// meanwhile, and nothing is taken.
func timerfdInterrupted(t *testing.T) {
	catchRestarting(t)
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	read := func() *sleeper {
		return startRestartable(t, unix.SYS_READ, func() (int, error) {
			v, err := takeCount(fd)
			return int(v), err
		})
	}
	r := read()
	restartRead(t, r, 3)
	wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
	mustSettime(t, fd, 0, 1, 0)
	r.Join()
	if r.n != 1 || r.err != nil {
		t.Errorf("the restarted read gave %d, %v; want 1", r.n, r.err)
	}
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	r = read()
	r.rouse()
	r.wantErr(unix.EINTR)
	wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
	// It expires as it was to, whoever was interrupted meanwhile. A reader
	// that is late to be interrupted has slept enough.
	for range 20 {
		at = clockTime(t, unix.CLOCK_MONOTONIC) + later
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
		r = startSleep(t, "thread in read", func(*sleeper) (int, error) {
			v, err := takeCount(fd)
			return int(v), err
		})
		time.Sleep(later / 10)
		r.rouse()
		r.Join()
		if r.err == nil {
			continue
		}
		r.wantErr(unix.EINTR)
		wantExpiry(t, fd, unix.CLOCK_MONOTONIC, at)
		return
	}
	t.Errorf("20 reads were not interrupted within %v", later)
}

// timerfdPartialFault (TFD-45): of eight bytes that straddle into memory that
// cannot be written, those that can be stored are, and the read returns their
// number, since 6.10; before it was EFAULT. What was taken is gone either way.
// A CPU of arm64 that copies by instructions of its own (FEAT_MOPS) may tell of
// fewer than were stored.
func timerfdPartialFault(t *testing.T) {
	least := 4
	if runtime.GOARCH == "arm64" {
		least = 1
	}
	at := badPointers(t, 8)[halfPointer]
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	n, err := rawCall(unix.SYS_READ, uintptr(fd), at, 8)
	if behaviour.Since(6, 10) {
		if n < least || n > 4 || err != nil {
			t.Errorf("read to %s = %d, %v; want 4", halfPointer, n, err)
		}
	} else {
		wantErrno(t, "read to "+halfPointer, err, unix.EFAULT)
	}
	wantPolledOnly(t, fd, 0)
	_, err = takeCount(fd)
	wantErrno(t, "read after that", err, unix.EAGAIN)
}

// timerfdTicksOverflow (TFD-49): expiries are counted in 64 bits and wrap: the
// one after 2^64-1 leaves 0, which is nothing to be read.
func timerfdTicksOverflow(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	wrap := func(interval time.Duration) {
		t.Helper()
		mustSettime(t, fd, 0, 10*soon, interval)
		mustSetTicks(t, fd, math.MaxUint64)
		wantPolledOnly(t, fd, unix.POLLIN)
		await(t, "the counter has wrapped", func() bool { return !readable(t, fd) })
		_, err := takeCount(fd)
		wantErrno(t, "read of a counter that has wrapped", err, unix.EAGAIN)
	}
	wrap(0)
	wantLeftOver(t, fd, 0, 0)
	expire(t, fd)
	wantTicks(t, fd, 1)
	// A periodic timer does not go on by a read that finds nothing, but by
	// a look.
	wrap(soon)
	time.Sleep(3 * soon)
	wantPolledOnly(t, fd, 0)
	gettime(t, fd)
	mustAwait(t, fd)
	least := uint64(3 * soon / max(soon, resolution(t, unix.CLOCK_MONOTONIC)))
	if v, err := takeCount(fd); v < least || v > 1<<20 || err != nil {
		t.Errorf("read after a look: %d, %v; want the %d periods that passed meanwhile, or more", v, err, least)
	}
}

// timerfdReaderAndSettime (TFD-52): who sleeps in a read while the timer is set
// anew sleeps until the new time; disarmed, until it is armed.
func timerfdReaderAndSettime(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	mustSettime(t, fd, 0, 2*soon, 0)
	mustSettime(t, fd, 0, far, 0)
	r := startRead(t, fd)
	for _, value := range []time.Duration{2 * far, far, 0} {
		mustSettime(t, fd, 0, value, 0)
		stillAsleep(t, r.sleeper)
	}
	at := clockTime(t, unix.CLOCK_MONOTONIC) + soon
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	r.wantValue(1)
	if now := clockTime(t, unix.CLOCK_MONOTONIC); now < at {
		t.Errorf("the reader woke %v early", at-now)
	}
	p := startPoll(t, fd)
	mustSettime(t, fd, 0, far, 0)
	stillAsleep(t, p)
	mustSettime(t, fd, 0, soon, 0)
	p.wantPolled()
	wantTicks(t, fd, 1)
}

// timerfdOneReaderATick (TFD-53): of several who sleep in a read one gets an
// expiry, and the others sleep on; together, readers get each expiry of a
// periodic timer once.
func timerfdOneReaderATick(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	var asleep []*sleeper
	for range 3 {
		asleep = append(asleep, startRead(t, fd).sleeper)
	}
	for range 3 {
		mustSettime(t, fd, 0, soon, 0)
		_, asleep = wantWoken(t, 1, asleep...)
		wantPolledOnly(t, fd, 0)
	}
	fd = newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	interval := max(50*time.Microsecond, resolution(t, unix.CLOCK_MONOTONIC))
	start := clockTime(t, unix.CLOCK_MONOTONIC)
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, start, interval)
	var sum atomic.Uint64
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
				v, err := takeCount(fd)
				switch {
				case err == nil:
					sum.Add(v)
				case err != unix.EAGAIN:
					t.Errorf("read: %v", err)
					return
				}
			}
		})
	}
	reading.Wait()
	mustAwait(t, fd)
	before := clockTime(t, unix.CLOCK_MONOTONIC)
	v, err := takeCount(fd)
	after := clockTime(t, unix.CLOCK_MONOTONIC)
	sum.Add(v)
	least, most := uint64((before-start)/interval)+1, uint64((after-start)/interval)+1
	if got := sum.Load(); err != nil || got < least || got > most {
		t.Errorf("readers got %d expiries, %v; want %d to %d", got, err, least, most)
	}
}

// timerfdClosedUnderReader (TFD-65): closing the descriptor leaves a reader
// asleep, and the timer runs for it.
func timerfdClosedUnderReader(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	r := startRead(t, fd)
	mustSettime(t, fd, 0, grace+5*soon, 0)
	closeNow()
	r.wantValue(1)
	fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	closeNow = closable(t, fd, err)
	mustSettime(t, fd, 0, far, 0)
	r = startRead(t, fd)
	closeNow()
	stillAsleep(t, r.sleeper)
	r.rouse()
	r.wantErr(unix.EINTR)
}

// timerfdKilledReader (TFD-66): a reader that is killed in its sleep takes
// nothing.
func timerfdKilledReader(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	p := child.Start(t, eventfdReader, child.Options{Files: []int{fd}})
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	mustSettime(t, fd, 0, soon, 0)
	mustAwait(t, fd)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); s.Signal() != unix.SIGKILL {
		t.Errorf("the reader ended with %#x, want SIGKILL", s)
	}
	wantTicks(t, fd, 1)
}

// timerfdNonblockLater (TFD-67): O_NONBLOCK set or cleared later holds from the
// next read on, and does not end one that sleeps.
func timerfdNonblockLater(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	dup, _ := mustDup(t, fd)
	r := startRead(t, fd)
	if err := unix.SetNonblock(dup, true); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, r.sleeper)
	_, err := takeCount(fd)
	wantErrno(t, "read after F_SETFL O_NONBLOCK", err, unix.EAGAIN)
	mustSettime(t, fd, 0, 1, 0)
	r.wantValue(1)
	var off int32
	if _, err := rawCall(unix.SYS_IOCTL, uintptr(fd), fionbio, uintptr(unsafe.Pointer(&off))); err != nil {
		t.Fatalf("FIONBIO: %v", err)
	}
	r = startRead(t, dup)
	stillAsleep(t, r.sleeper)
	mustSettime(t, fd, 0, 1, 0)
	r.wantValue(1)
}

// timerfdReadErrorOrder (TFD-68): of several errors of a read the descriptor
// comes first, then the size, that nothing has expired, and the memory last.
func timerfdReadErrorOrder(t *testing.T) {
	armed, expired := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK), expiredTimerfd(t, unix.TFD_NONBLOCK)
	mustSettime(t, armed, 0, far, 0)
	bad := badPointers(t, 8)["a pointer to inaccessible memory"]
	read := func(fd int, at uintptr, size uintptr) error {
		return secondOf(rawCall(unix.SYS_READ, uintptr(fd), at, size))
	}
	wantErrno(t, "no descriptor, small, bad memory", read(badDescriptors(t)[0], bad, 4), unix.EBADF)
	wantErrno(t, "small, bad memory", read(expired, bad, 4), unix.EINVAL)
	wantErrno(t, "small, not expired", read(armed, bad, 4), unix.EINVAL)
	wantErrno(t, "not expired, bad memory", read(armed, bad, 8), unix.EAGAIN)
	wantTicks(t, expired, 1)
}

var timerfdReadRows = map[string]func(*testing.T){
	"TFD-06": timerfdOneShot,
	"TFD-07": timerfdPeriodic,
	"TFD-08": timerfdReadSleeps,
	"TFD-09": timerfdReadSizes,
	"TFD-10": timerfdReadToBadMemory,
	"TFD-22": timerfdGrid,
	"TFD-28": timerfdVectors,
	"TFD-41": timerfdNoSlack,
	"TFD-43": timerfdInterrupted,
	"TFD-45": timerfdPartialFault,
	"TFD-49": timerfdTicksOverflow,
	"TFD-52": timerfdReaderAndSettime,
	"TFD-53": timerfdOneReaderATick,
	"TFD-65": timerfdClosedUnderReader,
	"TFD-66": timerfdKilledReader,
	"TFD-67": timerfdNonblockLater,
	"TFD-68": timerfdReadErrorOrder,
}
