//go:build linux

package behaviours

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
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

func TestTimerfd(t *testing.T) {
	behaviour.Run(t, "timerfd", map[string]func(*testing.T){
		"TFD-01": timerfdClocks,
		"TFD-02": timerfdAlarmClocks,
		"TFD-03": timerfdAlarmSettime,
		"TFD-04": timerfdFlags,
		"TFD-05": timerfdStartsDisarmed,
		"TFD-06": timerfdOneShot,
		"TFD-07": timerfdPeriodic,
		"TFD-08": timerfdReadSleeps,
		"TFD-09": timerfdReadSizes,
		"TFD-10": timerfdReadToBadMemory,
		"TFD-11": timerfdSettimeDiscards,
		"TFD-12": timerfdBadTimes,
		"TFD-13": timerfdUnknownFlags,
		"TFD-14": timerfdErrorOrder,
		"TFD-16": timerfdOldValue,
		"TFD-18": timerfdGettimeIsRelative,
		"TFD-19": timerfdExpiredIsZero,
		"TFD-20": timerfdPastFires,
		"TFD-22": timerfdGrid,
		"TFD-23": timerfdPeriodicIsOneEdge,
		"TFD-24": timerfdGettimeRearms,
		"TFD-25": timerfdReadableOnly,
		"TFD-26": timerfdNoWriteNoOffset,
		"TFD-27": timerfdSeek,
		"TFD-28": timerfdVectors,
		"TFD-29": timerfdCancelled,
		"TFD-30": timerfdSettimeAfterStep,
		"TFD-31": timerfdCancelWithoutEffect,
		"TFD-32": timerfdSmallSteps,
		"TFD-33": timerfdCancelRace,
		"TFD-34": timerfdTimeNamespace,
		"TFD-35": timerfdSuspend,
		"TFD-36": timerfdShared,
		"TFD-37": timerfdAcrossExec,
		"TFD-38": timerfdSetTicks,
		"TFD-39": timerfdInfo,
		"TFD-40": timerfdLargestTime,
		"TFD-41": timerfdNoSlack,
		"TFD-42": timerfdSteppedClock,
		"TFD-43": timerfdInterrupted,
		"TFD-44": timerfdAtDescriptorLimit,
		"TFD-45": timerfdPartialFault,
		"TFD-46": timerfdIntervalAlone,
		"TFD-47": timerfdFailureChangesNothing,
		"TFD-48": timerfdOldToBadMemory,
		"TFD-49": timerfdTicksOverflow,
		"TFD-50": timerfdSetTicksOfExpired,
		"TFD-51": timerfdSettimeAndEdges,
		"TFD-52": timerfdReaderAndSettime,
		"TFD-53": timerfdOneReaderATick,
		"TFD-54": timerfdPeriodicFromPast,
		"TFD-55": timerfdSmallestInterval,
		"TFD-56": timerfdArgumentWidth,
		"TFD-57": timerfdOldInPlace,
		"TFD-58": timerfdName,
		"TFD-59": timerfdInode,
		"TFD-60": timerfdOwnership,
		"TFD-61": timerfdNoSplice,
		"TFD-62": timerfdRefusals,
		"TFD-63": timerfdNoSignals,
		"TFD-64": timerfdPassed,
		"TFD-65": timerfdClosedUnderReader,
		"TFD-66": timerfdKilledReader,
		"TFD-67": timerfdNonblockLater,
		"TFD-68": timerfdReadErrorOrder,
		"TFD-69": timerfdAIOPoll,
		"TFD-70": timerfdSettimeRace,
		"TFD-71": timerfdWakesAll,
		"TFD-72": timerfdFetched,
		"TFD-73": timerfdCancelledPeriodic,
		"TFD-74": timerfdStaleStep,
		"TFD-75": timerfdStepWakesAll,
		"TFD-76": timerfdCancelledSetTicks,
		"TFD-77": timerfdBecomesOneShot,
		"TFD-78": timerfdLooking,
		"TFD-79": timerfdAlarmDisarmed,
		"TFD-80": timerfdUnblockedByStep,
		"TFD-81": timerfdAtFileLimit,
		"TFD-82": timerfdAlarmCancelled,
	})
}

const (
	// soon is when timers that are to expire do so.
	soon = 2 * time.Millisecond
	// later is when timers that are to be left alone meanwhile, and then to expire, do so.
	later = 50 * soon
	// far is when timers that are not to expire would.
	far = 1000 * time.Second
)

var timerfdClockNames = map[int]string{
	unix.CLOCK_REALTIME: "REALTIME", unix.CLOCK_MONOTONIC: "MONOTONIC", unix.CLOCK_BOOTTIME: "BOOTTIME",
}

// timerfdClocks: CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME are clocks of timerfds, each going by its
// own time; alarm clocks need a privilege (TFD-02), and all other numbers are EINVAL, timerfd_create(2).
func timerfdClocks(t *testing.T) {
	for clock, name := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		at := clockTime(t, clock) + far
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
		wantRemaining(t, fd, clock, at)
		at = clockTime(t, clock) + soon
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
		mustAwait(t, fd)
		if now := clockTime(t, clock); now < at {
			t.Errorf("CLOCK_%s: expired at %v, %v early", name, now, at-now)
		}
		wantTicks(t, fd, 1)
	}
	for clock := -20; clock < 64; clock++ {
		if timerfdClockNames[clock] != "" || clock == unix.CLOCK_REALTIME_ALARM || clock == unix.CLOCK_BOOTTIME_ALARM {
			continue
		}
		wantNoTimerfd(t, clock, 0, unix.EINVAL)
	}
	for _, clock := range []int{math.MinInt32, math.MaxInt32, 0x100, 0x10001} {
		wantNoTimerfd(t, clock, 0, unix.EINVAL)
	}
}

// timerfdAlarmClocks: the alarm clocks take CAP_WAKE_ALARM, EPERM without, timerfd_create(2), and then are
// the clocks that they are named after; flags are looked at first.
func timerfdAlarmClocks(t *testing.T) {
	clocks := map[int]int{unix.CLOCK_REALTIME_ALARM: unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME_ALARM: unix.CLOCK_BOOTTIME}
	refused := func() (errs error) {
		for clock := range clocks {
			for flags, want := range map[int]error{0: unix.EPERM, unix.TFD_NONBLOCK | unix.TFD_CLOEXEC: unix.EPERM, 1: unix.EINVAL} {
				if fd, err := unix.TimerfdCreate(clock, flags); err != want {
					unix.Close(fd)
					errs = errors.Join(errs, fmt.Errorf("timerfd_create(%d, %#x) without CAP_WAKE_ALARM: %v, want %v", clock, flags, err, want))
				}
			}
		}
		return errs
	}
	if !hasCapability(t, unix.CAP_WAKE_ALARM) {
		if err := refused(); err != nil {
			t.Error(err)
		}
		return
	}
	for clock, base := range clocks {
		wantNoTimerfd(t, clock, 1, unix.EINVAL)
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
		wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
		at := clockTime(t, base) + far
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, time.Second)
		wantRemaining(t, fd, base, at)
		at = clockTime(t, base) + soon
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
		mustAwait(t, fd)
		if now := clockTime(t, base); now < at {
			t.Errorf("clock %d expired %v early", clock, at-now)
		}
		wantTicks(t, fd, 1)
		// Periodic, it is counted and set going again by a read as others are.
		first := newGrid(t, base, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
		for range 3 {
			first.take(fd)
		}
		mustSettime(t, fd, 0, 0, 0)
		time.Sleep(2 * soon)
		wantPolledOnly(t, fd, 0)
	}
	asNobody(t, refused)
}

// timerfdAlarmSettime: setting a timer of an alarm clock takes CAP_WAKE_ALARM again, EPERM for another who has
// the descriptor, and the timer is as before; looking at it and reading it take nothing.
func timerfdAlarmSettime(t *testing.T) {
	if !hasCapability(t, unix.CAP_WAKE_ALARM) {
		behaviour.Unprivileged(t, "no CAP_WAKE_ALARM")
	}
	fd := newTimerfd(t, unix.CLOCK_BOOTTIME_ALARM, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_BOOTTIME) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	armed := newTimerfd(t, unix.CLOCK_BOOTTIME_ALARM, unix.TFD_NONBLOCK)
	expires := clockTime(t, unix.CLOCK_BOOTTIME) + later
	mustSettime(t, armed, unix.TFD_TIMER_ABSTIME, expires, 0)
	asNobody(t, func() error {
		hour := timerSpec(time.Hour, 0)
		wanted := func(what string, err, want error) error {
			if err != want {
				return fmt.Errorf("%s by an ordinary user: %v, want %v", what, err, want)
			}
			return nil
		}
		return errors.Join(
			wanted("settime", settime(fd, 0, &hour, nil), unix.EPERM),
			wanted("disarming", settime(fd, 0, &unix.ItimerSpec{}, nil), unix.EPERM),
			wanted("settime of one that is to expire", settime(armed, 0, &hour, nil), unix.EPERM),
			wanted("disarming one that is to expire", settime(armed, 0, &unix.ItimerSpec{}, nil), unix.EPERM),
			wanted("settime with an unknown flag", settime(fd, 1<<5, &hour, nil), unix.EINVAL),
			wanted("gettime", unix.TimerfdGettime(fd, &hour), nil),
			wanted("read", secondOf(unix.Read(fd, make([]byte, 8))), unix.EAGAIN),
		)
	})
	wantRemaining(t, fd, unix.CLOCK_BOOTTIME, at)
	wantExpiry(t, armed, unix.CLOCK_BOOTTIME, expires)
}

// timerfdFlags: TFD_CLOEXEC and TFD_NONBLOCK set what they name on every clock, alone and together; all other flags
// are EINVAL, timerfd_create(2).
func timerfdFlags(t *testing.T) {
	const known = unix.TFD_CLOEXEC | unix.TFD_NONBLOCK
	for clock := range timerfdClockNames {
		wantFlags(t, newTimerfd(t, clock, 0), unix.O_RDWR, 0)
		wantFlags(t, newTimerfd(t, clock, unix.TFD_CLOEXEC), unix.O_RDWR, unix.FD_CLOEXEC)
		wantFlags(t, newTimerfd(t, clock, unix.TFD_NONBLOCK), unix.O_RDWR|unix.O_NONBLOCK, 0)
		wantFlags(t, newTimerfd(t, clock, known), unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
		for bit := range 32 {
			if flag := 1 << bit; flag&known == 0 {
				wantNoTimerfd(t, clock, flag, unix.EINVAL)
				wantNoTimerfd(t, clock, flag|known, unix.EINVAL)
			}
		}
	}
	// O_NONBLOCK is the file's, FD_CLOEXEC the descriptor's.
	dup, err := unix.Dup(newTimerfd(t, unix.CLOCK_MONOTONIC, known))
	closable(t, dup, err)
	wantFlags(t, dup, unix.O_RDWR|unix.O_NONBLOCK, 0)
}

// timerfdStartsDisarmed: a new timer is disarmed: nothing remains, nothing is to be read, and who reads sleeps until it
// is set and expires.
func timerfdStartsDisarmed(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		wantLeftOver(t, fd, 0, 0)
		wantPolledOnly(t, fd, 0)
		for range 2 {
			v, err := takeCount(fd)
			wantErrno(t, "read of a new timerfd", err, unix.EAGAIN)
			if v != untouched {
				t.Errorf("a read that failed stored %#x", v)
			}
		}
		fd = newTimerfd(t, clock, 0)
		r := startRead(t, fd)
		stillAsleep(t, r.sleeper)
		mustSettime(t, fd, 0, soon, 0)
		r.wantValue(1)
		wantPolledOnly(t, fd, 0)
	}
}

// timerfdOneShot: without an interval a timer expires once: one read returns 1, and nothing follows.
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

// timerfdPeriodic: a read returns how often a periodic timer has expired since the last, timerfd_create(2).
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

// timerfdReadSleeps: a read sleeps until the timer expires, and is never early by the timer's clock, be the time
// relative or absolute.
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

// timerfdReadSizes: a read of less than eight bytes is EINVAL, timerfd_create(2), whether there is anything to be had,
// and takes nothing; one of more returns eight.
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

// timerfdReadToBadMemory: a read that cannot store what it took is EFAULT, and what it took is gone; a
// periodic timer goes on (fs/timerfd.c timerfd_read_iter).
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

// timerfdSettimeDiscards: setting a timer, or disarming it, throws away the expiries that were not read: it is not readable
// any more, for nobody.
func timerfdSettimeDiscards(t *testing.T) {
	for _, interval := range []time.Duration{0, soon} {
		for what, value := range map[string]time.Duration{"setting": far, "disarming": 0} {
			fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
			epfd := fdtest.Epoll(t, fd)
			mustSettime(t, fd, 0, soon, interval)
			mustAwait(t, fd)
			wantReady(t, epfd, ready(fd, unix.EPOLLIN))
			mustSettime(t, fd, 0, value, 0)
			wantPolledOnly(t, fd, 0)
			wantReady(t, epfd)
			_, err := takeCount(fd)
			wantErrno(t, "read after "+what+" an expired timer", err, unix.EAGAIN)
			expire(t, fd)
			wantReady(t, epfd, ready(fd, unix.EPOLLIN))
			wantTicks(t, fd, 1)
		}
	}
}

// timerfdBadTimes: nanoseconds that are negative or a whole second, and negative seconds, are EINVAL in the value and
// in the interval, timerfd_create(2), also in a call that would disarm the timer; which goes on as it was.
func timerfdBadTimes(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 7*time.Second)
	armed := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	expires := clockTime(t, unix.CLOCK_MONOTONIC) + later
	mustSettime(t, armed, unix.TFD_TIMER_ABSTIME, expires, 0)
	bad := []unix.Timespec{
		{Nsec: -1}, {Nsec: 1_000_000_000}, {Nsec: math.MaxInt64}, {Nsec: math.MinInt64}, {Nsec: 1 << 32}, {Sec: 1, Nsec: -1},
		{Sec: 1, Nsec: 1_000_000_000}, {Sec: -1}, {Sec: -1, Nsec: 999_999_999}, {Sec: math.MinInt64}, {Sec: math.MaxInt64, Nsec: -1},
	}
	good := []unix.Timespec{{}, {Sec: 1}, {Sec: math.MaxInt64, Nsec: 999_999_999}}
	for _, b := range bad {
		for _, g := range append(good, bad[0]) {
			for _, spec := range []unix.ItimerSpec{{Value: b, Interval: g}, {Value: g, Interval: b}} {
				for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME, unix.TFD_TIMER_ABSTIME | unix.TFD_TIMER_CANCEL_ON_SET} {
					old := untouchedSpec
					wantErrno(t, fmt.Sprintf("settime to %+v", spec), settime(fd, flags, &spec, &old), unix.EINVAL)
					wantErrno(t, fmt.Sprintf("settime to %+v", spec), settime(armed, flags, &spec, &old), unix.EINVAL)
					if old != untouchedSpec {
						t.Errorf("a settime that failed stored %+v", old)
					}
				}
			}
		}
	}
	wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
	if _, interval := gettime(t, fd); interval != 7*time.Second {
		t.Errorf("the interval is %v, want 7s", interval)
	}
	wantExpiry(t, armed, unix.CLOCK_MONOTONIC, expires)
	// The largest nanoseconds are fine.
	last := unix.ItimerSpec{Value: unix.Timespec{Sec: 1000, Nsec: 999_999_999}, Interval: unix.Timespec{Nsec: 999_999_999}}
	wantErrno(t, "settime with 999999999 nanoseconds", settime(fd, 0, &last, nil), nil)
}

// timerfdUnknownFlags: timerfd_settime(2) knows two flags, and any other is EINVAL before the descriptor is looked at.
func timerfdUnknownFlags(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	spec := timerSpec(far, 0)
	for bit := 2; bit < 32; bit++ {
		for known := range 4 {
			flags := 1<<bit | known
			wantErrno(t, fmt.Sprintf("settime with flags %#x", flags), settime(fd, flags, &spec, nil), unix.EINVAL)
			wantErrno(t, fmt.Sprintf("settime of no descriptor with flags %#x", flags), settime(-1, flags, &spec, nil), unix.EINVAL)
		}
	}
	wantLeftOver(t, fd, 0, 0)
	for known := range 4 {
		abs := timerSpec(clockTime(t, unix.CLOCK_REALTIME)+far, 0)
		wantErrno(t, fmt.Sprintf("settime with flags %#x", known), settime(fd, known, &abs, nil), nil)
	}
}

// timerfdErrorOrder: of several errors of timerfd_settime(2) memory that cannot be read comes first, then flags and times, the
// descriptor, and what it is; of timerfd_gettime(2) the descriptor, what it is, and the memory.
func timerfdErrorOrder(t *testing.T) {
	timer := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, timer, unix.TFD_TIMER_ABSTIME, at, 0)
	armed := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	expires := clockTime(t, unix.CLOCK_MONOTONIC) + later
	mustSettime(t, armed, unix.TFD_TIMER_ABSTIME, expires, 0)
	good, bad := timerSpec(time.Second, 0), unix.ItimerSpec{Value: unix.Timespec{Nsec: -1}}
	others := []int{fdtest.Eventfd(t, 0), fdtest.Epoll(t), mustOpen(t, os.DevNull, unix.O_RDWR), mustOpen(t, os.DevNull, unix.O_WRONLY)}
	path := mustOpen(t, "/", unix.O_PATH)
	set := func(fd, flags int, new uintptr) error {
		return secondOf(rawCall(unix.SYS_TIMERFD_SETTIME, uintptr(fd), uintptr(flags), new, 0))
	}
	get := func(fd int, at uintptr) error { return secondOf(rawCall(unix.SYS_TIMERFD_GETTIME, uintptr(fd), at)) }
	const unknown = 1 << 7
	for what, p := range badPointers(t, unsafe.Sizeof(good)) {
		wantErrno(t, "settime from "+what+" with an unknown flag of no descriptor", set(-1, unknown, p), unix.EFAULT)
		wantErrno(t, "settime from "+what, set(timer, 0, p), unix.EFAULT)
		wantErrno(t, "settime from "+what+" of one that is to expire", set(armed, 0, p), unix.EFAULT)
		wantErrno(t, "gettime to "+what+" of no descriptor", get(-1, p), unix.EBADF)
		wantErrno(t, "gettime to "+what+" of an eventfd", get(others[0], p), unix.EINVAL)
		wantErrno(t, "gettime to "+what, get(timer, p), unix.EFAULT)
		wantErrno(t, "gettime to "+what+" of one that is to expire", get(armed, p), unix.EFAULT)
	}
	wantErrno(t, "settime with an unknown flag", settime(armed, unknown, &good, nil), unix.EINVAL)
	for _, closed := range append(badDescriptors(t), path) {
		wantErrno(t, "settime with an unknown flag of no descriptor", settime(closed, unknown, &good, nil), unix.EINVAL)
		wantErrno(t, "settime to a bad time of no descriptor", settime(closed, 0, &bad, nil), unix.EINVAL)
		wantErrno(t, "settime of no descriptor", settime(closed, 0, &good, nil), unix.EBADF)
		wantErrno(t, "gettime of no descriptor", unix.TimerfdGettime(closed, &good), unix.EBADF)
	}
	for _, other := range others {
		wantErrno(t, "settime of another file", settime(other, 0, &good, nil), unix.EINVAL)
		wantErrno(t, "gettime of another file", unix.TimerfdGettime(other, &good), unix.EINVAL)
	}
	wantRemaining(t, timer, unix.CLOCK_MONOTONIC, at)
	wantExpiry(t, armed, unix.CLOCK_MONOTONIC, expires)
}

// timerfdOldValue: timerfd_settime(2) returns what remained, relative, and the interval, as timerfd_gettime(2) would have.
func timerfdOldValue(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		var set time.Duration // when the timer was set, by CLOCK_MONOTONIC: no later than that
		// next sets the timer anew; left is what then remains of what it was set to, if no time had passed.
		next := func(what string, value, interval, left, oldInterval time.Duration) {
			t.Helper()
			now := clockTime(t, unix.CLOCK_MONOTONIC)
			spec, old := timerSpec(value, interval), untouchedSpec
			wantErrno(t, "settime", settime(fd, 0, &spec, &old), nil)
			passed := clockTime(t, unix.CLOCK_MONOTONIC) - set + rounding
			if got := specTime(old.Value); got < max(0, left-passed) || got > left || specTime(old.Interval) != oldInterval {
				t.Errorf("%s: old value %v, %v; want %v less at most %v, %v", what, got, specTime(old.Interval), left, passed, oldInterval)
			}
			set = now
		}
		next("never set", far, 5*time.Second, 0, 0)
		next("set", soon, 0, far, 5*time.Second)
		mustAwait(t, fd)
		next("expired", soon, far, 0, 0)
		mustAwait(t, fd)
		// What remains of the period, though nobody has read the timer.
		next("expired and periodic", 0, 0, soon+far, far)
		next("disarmed", 0, 0, 0, 0)
		// An absolute one is exactly what its clock says.
		at := clockTime(t, clock) + far
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, soon)
		spec, old := timerSpec(soon, 0), untouchedSpec
		before := clockTime(t, clock)
		wantErrno(t, "settime", settime(fd, 0, &spec, &old), nil)
		after := clockTime(t, clock)
		if got := specTime(old.Value); got < at-after-rounding || got > at-before+rounding || specTime(old.Interval) != soon {
			t.Errorf("absolute: old value %v, %v; want %v to %v, %v", got, specTime(old.Interval), at-after, at-before, soon)
		}
	}
}

// timerfdGettimeIsRelative: timerfd_gettime(2) returns the time that remains, also of a timer that was set to a time
// of day, and the interval as it was set.
func timerfdGettimeIsRelative(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		for _, interval := range []time.Duration{0, 1, 1500 * time.Millisecond, far} {
			at := clockTime(t, clock) + far
			mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, interval)
			wantRemaining(t, fd, clock, at)
			if _, got := gettime(t, fd); got != interval {
				t.Errorf("gettime has the interval %v, want %v", got, interval)
			}
			before := clockTime(t, unix.CLOCK_MONOTONIC)
			mustSettime(t, fd, 0, far, interval)
			after := clockTime(t, unix.CLOCK_MONOTONIC)
			value, got := gettime(t, fd)
			now := clockTime(t, unix.CLOCK_MONOTONIC)
			if value > far || value < far-(now-before)-rounding || got != interval {
				t.Errorf("gettime = %v, %v within %v of setting %v, %v", value, got, now-after, far, interval)
			}
		}
	}
}

// timerfdExpiredIsZero: an expired timer without an interval has nothing left, as one that is disarmed, while its
// expiry is still to be read.
func timerfdExpiredIsZero(t *testing.T) {
	for clock := range timerfdClockNames {
		for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME} {
			fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
			value := soon
			if flags != 0 {
				value += clockTime(t, clock)
			}
			mustSettime(t, fd, flags, value, 0)
			mustAwait(t, fd)
			for range 3 {
				wantLeftOver(t, fd, 0, 0)
				wantPolledOnly(t, fd, unix.POLLIN)
			}
			wantTicks(t, fd, 1)
			wantLeftOver(t, fd, 0, 0)
		}
	}
}

// timerfdPastFires: an absolute time that has passed expires at once, timerfd_create(2), and counts 1.
func timerfdPastFires(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		for _, past := range []time.Duration{1, time.Millisecond, clockTime(t, clock) / 2, clockTime(t, clock) - 1, clockTime(t, clock)} {
			mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, past, 0)
			mustAwait(t, fd)
			wantLeftOver(t, fd, 0, 0)
			wantTicks(t, fd, 1)
		}
		// So does the shortest time from now.
		mustSettime(t, fd, 0, 1, 0)
		mustAwait(t, fd)
		wantTicks(t, fd, 1)
		// But no time at all is none, absolute or not.
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, 0, 0)
		time.Sleep(soon)
		wantPolledOnly(t, fd, 0)
	}
}

// timerfdGrid: the k-th expiry is k intervals after the first, however late it is read: over any number of
// reads, what they return is in sum how many points of that grid have passed.
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

// timerfdPeriodicIsOneEdge: edge-triggered, a periodic timer is reported once until it is read: what sets it going again is
// a read or a look, not its expiry (fs/timerfd.c timerfd_tmrproc). What is read then has all periods in it.
func timerfdPeriodicIsOneEdge(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	for range 3 {
		mustAwait(t, epfd)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		for range 3 {
			time.Sleep(2 * soon)
			wantReady(t, epfd)
			wantPolledOnly(t, fd, unix.POLLIN)
		}
		if got := g.take(fd); got < g.periods(6*soon) {
			t.Errorf("read %d after %d periods", got, g.periods(6*soon))
		}
	}
}

// timerfdGettimeRearms: timerfd_gettime(2) of an expired periodic timer sets it going again, and keeps count: the next expiry
// is an event for EPOLLET, though nothing has been read.
func timerfdGettimeRearms(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	for range 5 {
		mustAwait(t, epfd)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		g.look(fd)
	}
	if got := g.take(fd); got < 5 {
		t.Errorf("read %d after five events", got)
	}
	g.take(fd)
}

// timerfdReadableOnly: POLLIN when it has expired, and never anything else, whoever closes what.
func timerfdReadableOnly(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	wantPolledOnly(t, fd, 0)
	mustSettime(t, fd, 0, far, soon)
	wantPolledOnly(t, fd, 0)
	_, closeDup := mustDup(t, fd)
	closeDup()
	p := child.Start(t, eventfdHolder, child.Options{Files: []int{fd}})
	p.Expect("holding")
	p.Signal(unix.SIGKILL)
	p.Status()
	wantPolledOnly(t, fd, 0)
	expire(t, fd)
	wantPolledOnly(t, fd, unix.POLLIN)
	mustTake(t, fd, 1)
	wantPolledOnly(t, fd, 0)
	// Who asks for nothing hears nothing.
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, 0)
	expire(t, fd)
	wantReady(t, epfd)
	mustMod(t, epfd, fd, unix.EPOLLIN)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
}

// timerfdNoWriteNoOffset: a timerfd cannot be written, EINVAL, though it is open for writing, and has no position.
func timerfdNoWriteNoOffset(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	for _, size := range []int{0, 1, 8, 4096} {
		_, err := rawCall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(make([]byte, 4096)))), uintptr(size))
		wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
	}
	_, err := unix.Writev(fd, [][]byte{make([]byte, 8)})
	wantErrno(t, "writev", err, unix.EINVAL)
	wantNoOffset(t, fd)
	wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
	at = clockTime(t, unix.CLOCK_MONOTONIC) + later
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	_, err = unix.Write(fd, make([]byte, 8))
	wantErrno(t, "write", err, unix.EINVAL)
	mustAwait(t, fd)
	wantNoOffset(t, fd)
	wantExpiry(t, fd, unix.CLOCK_MONOTONIC, at)
}

// timerfdSeek: lseek(2) gives 0 since 6.0, and was ESPIPE before.
func timerfdSeek(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantSeek(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdVectors: since 6.10, which gave it a read_iter operation, preadv2(2) with RWF_NOWAIT does not wait and readv(2) may take
// the eight bytes in pieces; before, the first was EOPNOTSUPP, and each piece a read of its own.
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
	// Where one piece is large enough there is nothing for the next, be it of the same read or another.
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	buf := bytes.Repeat([]byte{0xa5}, 16)
	n, err := unix.Readv(fd, [][]byte{buf[:8], buf[8:]})
	if n != 8 || err != nil || !bytes.Equal(buf[8:], bytes.Repeat([]byte{0xa5}, 8)) {
		t.Errorf("readv of twice 8 bytes = %d, %v with %x; want 8", n, err, buf)
	}
}

// timerfdCancelled: a timer set to a time of day with TFD_TIMER_CANCEL_ON_SET is readable when the clock is stepped, and the read
// fails with ECANCELED, once, timerfd_create(2). It stays armed, and expires when the clock says so.
func timerfdCancelled(t *testing.T) {
	clock := mustOwnClock(t)
	for _, by := range []time.Duration{time.Minute, -time.Minute} {
		fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
		other := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
		at := clockTime(t, unix.CLOCK_REALTIME) + far
		mustSettime(t, fd, absCancel, at, 0)
		mustSettime(t, other, unix.TFD_TIMER_ABSTIME, at, 0)
		wantPolledOnly(t, fd, 0)
		clock.step(by)
		wantPolledOnly(t, fd, unix.POLLIN)
		wantPolledOnly(t, other, 0)
		v, err := takeCount(fd)
		wantErrno(t, "read after the clock was stepped", err, unix.ECANCELED)
		if v != untouched {
			t.Errorf("the cancelled read stored %#x", v)
		}
		wantPolledOnly(t, fd, 0)
		_, err = takeCount(fd)
		wantErrno(t, "second read after the clock was stepped", err, unix.EAGAIN)
		wantRemaining(t, fd, unix.CLOCK_REALTIME, at)
		// A small one leaves it to expire when the clock says so, if that is soon.
		armed := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
		expires := clockTime(t, unix.CLOCK_REALTIME) + later
		mustSettime(t, armed, absCancel, expires, 0)
		clock.step(by / time.Minute * time.Millisecond)
		_, err = takeCount(armed)
		wantErrno(t, "read after a small step", err, unix.ECANCELED)
		wantExpiry(t, armed, unix.CLOCK_REALTIME, expires)
		_, err = takeCount(fd)
		wantErrno(t, "read of the first timer after a small step", err, unix.ECANCELED)
		// The next step is another, and so are two that nobody has noticed one of.
		clock.step(by)
		clock.step(by)
		_, err = takeCount(fd)
		wantErrno(t, "read after two more steps", err, unix.ECANCELED)
		_, err = takeCount(fd)
		wantErrno(t, "second read after two more steps", err, unix.EAGAIN)
		// An expiry that was not read is lost over a step.
		at = clockTime(t, unix.CLOCK_REALTIME) + soon
		mustSettime(t, fd, absCancel, at, 0)
		mustAwait(t, fd)
		clock.step(by)
		_, err = takeCount(fd)
		wantErrno(t, "read of an expired timer after a step", err, unix.ECANCELED)
		_, err = takeCount(fd)
		wantErrno(t, "second read of an expired timer after a step", err, unix.EAGAIN)
		clock.reset()
	}
	// A step beyond its time expires it as well; that tick is cancelled with it, or is there to be read after it.
	fd := newTimerfd(t, unix.CLOCK_REALTIME, 0)
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+far, 0)
	clock.step(2 * far)
	_, err := takeCount(fd)
	wantErrno(t, "read after a step beyond the timer's time", err, unix.ECANCELED)
	wantLeftOver(t, fd, 0, 0)
}

// timerfdSettimeAfterStep: timerfd_settime(2) of a timer that a step has cancelled is ECANCELED, and sets it all the same; the old
// value and what fdinfo has of flags are not brought up to date.
func timerfdSettimeAfterStep(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_REALTIME) + far
	mustSettime(t, fd, absCancel, at, 0)
	clock.step(time.Minute)
	at = clockTime(t, unix.CLOCK_REALTIME) + 2*far
	spec, old := timerSpec(at, 3*time.Second), untouchedSpec
	wantErrno(t, "settime after a step", settime(fd, absCancel, &spec, &old), unix.ECANCELED)
	if old != untouchedSpec {
		t.Errorf("the settime that failed stored the old value %+v", old)
	}
	wantPolledOnly(t, fd, 0)
	wantRemaining(t, fd, unix.CLOCK_REALTIME, at)
	if _, interval := gettime(t, fd); interval != 3*time.Second {
		t.Errorf("the interval is %v, want 3s", interval)
	}
	_, err := takeCount(fd)
	wantErrno(t, "read after that", err, unix.EAGAIN)
	// Told once, it is not told again, and expires.
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+soon, 0)
	mustAwait(t, fd)
	wantTicks(t, fd, 1)
	// So does one that was told by being set.
	mustSettime(t, fd, absCancel, at, 0)
	clock.step(time.Minute)
	expires := clockTime(t, unix.CLOCK_REALTIME) + soon
	spec = timerSpec(expires, 0)
	wantErrno(t, "settime to what is soon after a step", settime(fd, absCancel, &spec, nil), unix.ECANCELED)
	wantExpiry(t, fd, unix.CLOCK_REALTIME, expires)
	// Set otherwise, it is out of it.
	mustSettime(t, fd, absCancel, at, 0)
	clock.step(time.Minute)
	mustSettime(t, fd, 0, soon, 0)
	mustAwait(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdCancelWithoutEffect: TFD_TIMER_CANCEL_ON_SET is accepted for every clock, and where the time is relative or the clock is not
// that of the day (CLOCK_REALTIME, or CLOCK_REALTIME_ALARM), it does nothing.
func timerfdCancelWithoutEffect(t *testing.T) {
	const cancel = unix.TFD_TIMER_CANCEL_ON_SET
	var idle []int
	for clock := range timerfdClockNames {
		for _, flags := range []int{cancel, absCancel} {
			fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
			value := soon
			if flags == absCancel {
				value += clockTime(t, clock)
			}
			mustSettime(t, fd, flags, value, 0)
			mustAwait(t, fd)
			wantTicks(t, fd, 1)
			if clock == unix.CLOCK_REALTIME && flags == absCancel {
				continue
			}
			mustSettime(t, fd, flags, value+far, far)
			idle = append(idle, fd)
		}
	}
	if os.Getenv(guestVar) == "" {
		return // the clock is not ours to step
	}
	clock := mustOwnClock(t)
	clock.step(time.Minute)
	for _, fd := range idle {
		wantPolledOnly(t, fd, 0)
		_, err := takeCount(fd)
		wantErrno(t, "read after a step that does not matter", err, unix.EAGAIN)
		if value, interval := gettime(t, fd); value == 0 || interval != far {
			t.Errorf("after a step that does not matter, gettime = %v, %v; want it armed, %v", value, interval, far)
		}
	}
}

// timerfdAlarmCancelled: a step of the clock cancels absolute timers of CLOCK_REALTIME_ALARM as it does those of CLOCK_REALTIME,
// timerfd_create(2), and neither relative ones nor those of CLOCK_BOOTTIME_ALARM; which stay armed, all of them.
func timerfdAlarmCancelled(t *testing.T) {
	if !hasCapability(t, unix.CAP_WAKE_ALARM) {
		behaviour.Unprivileged(t, "no CAP_WAKE_ALARM")
	}
	clock := mustOwnClock(t)
	const step = time.Millisecond
	alarm := func(id, flags int, value time.Duration) int {
		t.Helper()
		fd := newTimerfd(t, id, unix.TFD_NONBLOCK)
		mustSettime(t, fd, flags, value, 0)
		return fd
	}
	day, boot := clockTime(t, unix.CLOCK_REALTIME), clockTime(t, unix.CLOCK_BOOTTIME)
	told := []int{alarm(unix.CLOCK_REALTIME_ALARM, absCancel, day+later), alarm(unix.CLOCK_REALTIME, absCancel, day+later)}
	idle := []int{alarm(unix.CLOCK_REALTIME_ALARM, unix.TFD_TIMER_CANCEL_ON_SET, later), alarm(unix.CLOCK_REALTIME_ALARM, unix.TFD_TIMER_ABSTIME, day+later),
		alarm(unix.CLOCK_BOOTTIME_ALARM, absCancel, boot+later), alarm(unix.CLOCK_BOOTTIME_ALARM, unix.TFD_TIMER_CANCEL_ON_SET, later)}
	clock.step(-step)
	for _, fd := range told {
		wantPolledOnly(t, fd, unix.POLLIN)
		_, err := takeCount(fd)
		wantErrno(t, "read after a step", err, unix.ECANCELED)
		_, err = takeCount(fd)
		wantErrno(t, "second read after a step", err, unix.EAGAIN)
	}
	for _, fd := range idle {
		wantPolledOnly(t, fd, 0)
		_, err := takeCount(fd)
		wantErrno(t, "read after a step that does not matter", err, unix.EAGAIN)
	}
	for i, fd := range append(told, idle...) {
		mustAwait(t, fd)
		if by := i < len(told) || i == len(told)+1; by && clockTime(t, unix.CLOCK_REALTIME) < day+later-rounding {
			t.Errorf("timer %d expired early by the clock that was stepped", i)
		} else if !by && clockTime(t, unix.CLOCK_BOOTTIME) < boot+later-rounding {
			t.Errorf("timer %d expired early", i)
		}
		wantTicks(t, fd, 1)
	}
}

// timerfdSmallSteps: setting the clock to what it says is a step, as is moving it by a nanosecond; moving it by nothing is
// none: what counts is that the difference to the monotonic clock has changed (fs/timerfd.c timerfd_clock_was_set).
func timerfdSmallSteps(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_REALTIME) + far
	mustSettime(t, fd, absCancel, at, 0)
	check := func(what string, want error) {
		t.Helper()
		wantPolledOnly(t, fd, map[error]uint32{unix.ECANCELED: unix.POLLIN, unix.EAGAIN: 0}[want])
		_, err := takeCount(fd)
		wantErrno(t, "read after "+what, err, want)
		wantPolledOnly(t, fd, 0)
	}
	clock.step(0)
	check("setting the clock to what it says", unix.ECANCELED)
	for by, want := range map[int64]error{0: unix.EAGAIN, 1: unix.ECANCELED} {
		// ADJ_SETOFFSET with nanoseconds, adjtimex(2).
		const setOffsetNano = unix.ADJ_SETOFFSET | unix.ADJ_NANO
		if _, err := unix.Adjtimex(&unix.Timex{Modes: setOffsetNano, Time: unix.Timeval{Usec: by}}); err != nil {
			t.Fatalf("adjtimex: %v", err)
		}
		check(fmt.Sprintf("moving the clock by %d ns", by), want)
	}
	// Nor do a bad time or one too early, which are refused, step it.
	wantErrno(t, "clock_settime to a bad time", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Nsec: -1}), unix.EINVAL)
	check("a clock_settime that failed", unix.EAGAIN)
	wantRemaining(t, fd, unix.CLOCK_REALTIME, at)
}

// timerfdCancelRace: threads that set one timer with and without TFD_TIMER_CANCEL_ON_SET at once, while others make and close
// such timers and, where it is theirs, step the clock, leave the list of timers to be cancelled whole (CVE-2017-10661).
func timerfdCancelRace(t *testing.T) {
	step := func() {}
	if os.Getenv(guestVar) != "" {
		clock := mustOwnClock(t)
		step = func() { clock.step(0) }
	}
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_REALTIME) + far
	var done atomic.Bool
	var threads []*child.Thread
	for _, flags := range []int{absCancel, unix.TFD_TIMER_ABSTIME, absCancel, 0} {
		threads = append(threads, child.Go(t, "thread that sets the timer", func() error {
			spec := timerSpec(at, 0)
			for !done.Load() {
				if err := settime(fd, flags, &spec, nil); err != nil && err != unix.ECANCELED {
					return fmt.Errorf("settime: %w", err)
				}
				other, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC)
				if err != nil {
					return fmt.Errorf("timerfd_create: %w", err)
				}
				err = settime(other, absCancel, &spec, nil)
				unix.Close(other)
				if err != nil && err != unix.ECANCELED {
					return fmt.Errorf("settime of another: %w", err)
				}
			}
			return nil
		}))
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		step()
	}
	done.Store(true)
	for _, thread := range threads {
		thread.Join()
	}
	step() // walks the list
	spec := timerSpec(at, 0)
	settime(fd, absCancel, &spec, nil) // may tell of an earlier step
	expire(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdTimeNamespace: an absolute time is by the clocks of the time namespace of who sets the timer, time_namespaces(7); CLOCK_REALTIME
// is the same in all.
var timerfdTimeNamespace = behaviour.AloneIn(0, func(t testing.TB) {
	const offset = 1_000_000 * time.Second
	err := unix.Unshare(unix.CLONE_NEWTIME)
	switch err {
	case nil:
	case unix.EPERM:
		behaviour.Unprivileged(t, "unshare(CLONE_NEWTIME): %v", err)
	case unix.EINVAL, unix.ENOSYS:
		behaviour.Absent(t, "unshare(CLONE_NEWTIME): %v", err)
	case unix.ENOSPC:
		behaviour.Limited(t, "unshare(CLONE_NEWTIME): %v", err)
	default:
		t.Fatalf("unshare(CLONE_NEWTIME): %v", err)
	}
	offsets := fmt.Sprintf("monotonic %d 0\nboottime %d 0\n", offset/time.Second, 2*offset/time.Second)
	err = os.WriteFile("/proc/self/timens_offsets", []byte(offsets), 0)
	if errors.Is(err, fs.ErrNotExist) {
		behaviour.Limited(t, "no time namespace to be set up: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := fdtest.Arena(t)
	for clock, ahead := range map[int]time.Duration{unix.CLOCK_MONOTONIC: offset, unix.CLOCK_BOOTTIME: 2 * offset, unix.CLOCK_REALTIME: 0} {
		fd := newTimerfd(t, clock, 0)
		at := clockTime(t, clock) + far
		inside := sys.Place(a, timerSpec(at+ahead, 0))
		startFork(t, a, sys.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, inside)).wait()
		// Outside, where we are, the clock has its own time.
		wantRemaining(t, fd, clock, at)
		at = clockTime(t, clock) + later
		startFork(t, a, sys.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, sys.Place(a, timerSpec(at+ahead, 0)))).wait()
		wantExpiry(t, fd, clock, at)
		// What is future here has passed there; and what is no time is not shifted.
		inside = sys.Place(a, timerSpec(clockTime(t, clock)+ahead-1, 0))
		startFork(t, a, sys.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, inside), sys.TimerfdRead(fd, a.Word(0))).wait()
		none := sys.Place(a, unix.ItimerSpec{})
		startFork(t, a, sys.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, none)).wait()
		wantLeftOver(t, fd, 0, 0)
		time.Sleep(soon)
		wantPolledOnly(t, fd, 0)
		// Relative times are the same everywhere.
		before := clockTime(t, clock)
		startFork(t, a, sys.TimerfdSettime(fd, 0, sys.Place(a, timerSpec(far, 0)))).wait()
		if value, _ := gettime(t, fd); value > far || value < far-(clockTime(t, clock)-before)-rounding {
			t.Errorf("%v remains of %v set in the namespace", value, far)
		}
	}
})

// timerfdSuspend: while the machine is suspended CLOCK_BOOTTIME goes on, and timers by it, and CLOCK_MONOTONIC stands still.
func timerfdSuspend(t *testing.T) {
	// Not in every guest: one that counts instructions stands still while it sleeps, and an emulated machine under
	// load may miss its alarm.
	if os.Getenv("EVENTBENCH_SUSPEND") == "" {
		behaviour.Unprivileged(t, "a machine may not wake up again: EVENTBENCH_SUSPEND=1 allows it (go tool guest -clock wall)")
	}
	const state, alarm = "/sys/power/state", "/sys/class/rtc/rtc0/wakealarm"
	states, err := os.ReadFile(state)
	if err != nil || !strings.Contains(string(states), "mem") {
		behaviour.Absent(t, "%s has %q, %v", state, states, err)
	}
	boot, mono := newTimerfd(t, unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	booting, absolute := newTimerfd(t, unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	difference := func() time.Duration {
		mono := clockTime(t, unix.CLOCK_MONOTONIC)
		return clockTime(t, unix.CLOCK_BOOTTIME) - mono
	}
	before, bootAt, monoAt := difference(), clockTime(t, unix.CLOCK_BOOTTIME)+far, clockTime(t, unix.CLOCK_MONOTONIC)+far
	mustSettime(t, boot, unix.TFD_TIMER_ABSTIME, bootAt, 0)
	mustSettime(t, mono, unix.TFD_TIMER_ABSTIME, monoAt, 0)
	mustSettime(t, booting, 0, far, 0)
	mustSettime(t, absolute, absCancel, clockTime(t, unix.CLOCK_REALTIME)+far, 0)
	if err := os.WriteFile(alarm, []byte("+5"), 0); err != nil {
		behaviour.Absent(t, "nothing to wake the machine: %v", err)
	}
	if err := os.WriteFile(state, []byte("mem"), 0); err != nil {
		os.WriteFile(alarm, []byte("0"), 0)
		behaviour.Absent(t, "no suspending to memory: %v", err)
	}
	slept := difference() - before
	if slept < time.Second/2 {
		t.Fatalf("CLOCK_BOOTTIME went on by %v over a suspension", slept)
	}
	wantRemaining(t, boot, unix.CLOCK_BOOTTIME, bootAt)
	wantRemaining(t, mono, unix.CLOCK_MONOTONIC, monoAt)
	if value, _ := gettime(t, booting); value > far-slept {
		t.Errorf("%v remains of %v by CLOCK_BOOTTIME after a sleep of %v", value, far, slept)
	}
	// For the clock of the day, waking up is a step.
	await(t, "the timer set to a time of day hears of the suspension", func() bool { return readable(t, absolute) })
	_, err = takeCount(absolute)
	wantErrno(t, "read after the suspension", err, unix.ECANCELED)
	for _, fd := range []int{boot, mono} {
		expire(t, fd)
		wantTicks(t, fd, 1)
	}
}

// timerfdShared: duplicates and forked children have one timer, timerfd_create(2); closing one of them does not disarm it, the
// last one does.
func timerfdShared(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	closeFirst := closable(t, fd, err)
	dup, closeDup := mustDup(t, fd)
	mustSettime(t, fd, 0, far, time.Minute)
	if value, interval := gettime(t, dup); value == 0 || value > far || interval != time.Minute {
		t.Errorf("gettime of a duplicate = %v, %v; want up to %v, 1m", value, interval, far)
	}
	mustSettime(t, dup, 0, soon, 0)
	mustAwait(t, fd)
	wantPolledOnly(t, dup, unix.POLLIN)
	wantTicks(t, dup, 1)
	wantPolledOnly(t, fd, 0)
	// A child sets it, and takes what expires.
	a := fdtest.Arena(t)
	startFork(t, a, sys.TimerfdSettime(fd, 0, sys.Place(a, timerSpec(soon, 0)))).wait()
	mustAwait(t, fd)
	wantTicks(t, fd, 1)
	expire(t, fd)
	got := a.Word(0)
	startFork(t, a, sys.TimerfdRead(fd, got)).wait()
	if *got != 1 {
		t.Errorf("the child read %d, want 1", *got)
	}
	wantPolledOnly(t, fd, 0)
	// A time that no other timer has, to find it by.
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far + time.Duration(unix.Getpid())
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	closeFirst()
	wantRemaining(t, dup, unix.CLOCK_MONOTONIC, at)
	timers, err := timerList(at)
	if err != nil {
		behaviour.Partly(t, "privilege", "a timer that has no descriptor any more: %v", err)
		return
	}
	if len(timers) != 1 {
		t.Errorf("%d timers at %v while one descriptor is open, want 1", len(timers), at)
	}
	closeDup()
	if timers, err := timerList(at); len(timers) != 0 || err != nil {
		t.Errorf("%d timers at %v after the last close, %v; want none", len(timers), at, err)
	}
}

// timerfdAcrossExec: an armed timer goes on over execve(2), with what has expired.
func timerfdAcrossExec(t *testing.T) {
	expired, armed, periodic := expiredTimerfd(t, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_MONOTONIC, 0), newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, armed, unix.TFD_TIMER_ABSTIME, at, 0)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, periodic, 0, soon, soon) })
	child.Start(t, timerfdExecs, child.Options{Files: []int{expired, armed, periodic}, Args: []string{strconv.FormatInt(int64(at), 10)}}).Wait()
	wantPolledOnly(t, expired, 0)
	wantRemaining(t, armed, unix.CLOCK_MONOTONIC, at)
	g.take(periodic)
}

var (
	timerfdExecs = child.Register("timerfd-execs", func(p *child.Proc) error {
		gone, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
		if err != nil {
			return err
		}
		return p.Exec(timerfdExecuted, p.Args[0], strconv.Itoa(gone))
	})
	timerfdExecuted = child.Register("timerfd-executed", func(p *child.Proc) error {
		const expired, armed, periodic = child.FirstFile, child.FirstFile + 1, child.FirstFile + 2
		at, err := strconv.ParseInt(p.Args[0], 10, 64)
		if err != nil {
			return err
		}
		gone, err := strconv.Atoi(p.Args[1])
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(gone), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec timerfd: %v, want EBADF", err)
		}
		if v, err := takeCount(expired); v != 1 || err != nil {
			return fmt.Errorf("read of the expired timer after execve: %d, %v; want 1", v, err)
		}
		var spec unix.ItimerSpec
		if err := unix.TimerfdGettime(armed, &spec); err != nil {
			return err
		}
		if left := specTime(spec.Value); left == 0 || left > far {
			return fmt.Errorf("%v remains of the armed timer after execve, of %v", left, far)
		}
		for _, fd := range []int{armed, periodic} {
			if err := unix.TimerfdGettime(fd, &spec); err != nil {
				return err
			}
		}
		if specTime(spec.Interval) != soon {
			return fmt.Errorf("the interval after execve is %v, want %v", specTime(spec.Interval), soon)
		}
		hour := timerSpec(time.Duration(at), 0)
		return settime(armed, unix.TFD_TIMER_ABSTIME, &hour, nil)
	})
)

// timerfdSetTicks: TFD_IOC_SET_TICKS sets what the next read returns, in place of what was there, and wakes who sleeps; 0 is
// EINVAL, other requests are ENOTTY.
func timerfdSetTicks(t *testing.T) {
	for _, value := range []time.Duration{0, far} { // a timer that is disarmed, and one that is armed
		fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
		mustSettime(t, fd, 0, value, 0)
		r := startRead(t, fd)
		mustSetTicks(t, fd, 5)
		r.wantValue(5)
		wantReady(t, epfd) // the reader was quicker than we
		for _, ticks := range []uint64{1, 7, 1 << 40, math.MaxUint64} {
			mustSetTicks(t, fd, 3)
			mustSetTicks(t, fd, ticks) // it does not add
			wantReady(t, epfd, ready(fd, unix.EPOLLIN))
			wantPolledOnly(t, fd, unix.POLLIN)
			mustTake(t, fd, ticks)
			wantPolledOnly(t, fd, 0)
		}
		mustSetTicks(t, fd, 9)
		wantErrno(t, "setting 0 ticks", setTicks(fd, 0), unix.EINVAL)
		for what, at := range badPointers(t, 8) {
			wantErrno(t, "setting ticks from "+what, secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), tfdIocSetTicks, at)), unix.EFAULT)
		}
		var n [16]byte
		for _, request := range []uintptr{0, tfdIocSetTicks + 1, tfdIocSetTicks &^ (1 << 30), tfdIocSetTicks ^ 12<<16, unix.TIOCINQ, unix.TCGETS, ^uintptr(0)} {
			wantErrno(t, fmt.Sprintf("ioctl %#x", request), secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&n[0])))), unix.ENOTTY)
		}
		wantTicks(t, fd, 9)
		if left, _ := gettime(t, fd); (left == 0) != (value == 0) || left > value {
			t.Errorf("%v remains of %v after ticks were set", left, value)
		}
	}
}

// timerfdInfo: fdinfo has the clock, the expiries, the flags of the last timerfd_settime(2) and, relative, what it was set to,
// proc_pid_fdinfo(5); looking there takes nothing and sets nothing going.
func timerfdInfo(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		want := func(key, value string) {
			t.Helper()
			if got, ok := fdinfoLines(t, fd)[key]; got != " "+value || !ok {
				t.Errorf("fdinfo has %s:%s, want %s: %s", key, got, key, value)
			}
		}
		info := func() (value time.Duration) {
			t.Helper()
			var sec, nsec int64
			text := fdinfoLines(t, fd)["it_value"]
			if n, err := fmt.Sscanf(text, " (%d, %d)", &sec, &nsec); n != 2 || nsec < 0 || nsec > 999_999_999 {
				t.Fatalf("fdinfo has it_value:%s, want two numbers; %v", text, err)
			}
			return time.Duration(sec)*time.Second + time.Duration(nsec)
		}
		want("clockid", strconv.Itoa(clock))
		want("ticks", "0")
		want("settime flags", "00")
		want("it_value", "(0, 0)")
		want("it_interval", "(0, 0)")
		for flags := range 4 {
			at := clockTime(t, clock) + far
			value := far
			if flags&unix.TFD_TIMER_ABSTIME != 0 {
				value = at
			}
			mustSettime(t, fd, flags, value, 2500*time.Millisecond)
			want("settime flags", fmt.Sprintf("0%o", flags))
			want("it_interval", "(2, 500000000)")
			if left := info(); left > far || left < far/2 {
				t.Errorf("fdinfo has %v left of %v", left, far)
			}
		}
		g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
		mustAwait(t, fd)
		for range 3 {
			time.Sleep(soon)
			want("ticks", "1") // it has not been set going
			want("it_value", "(0, 0)")
		}
		g.take(fd)
		if got, want := strings.TrimSpace(fdinfoLines(t, fd)["flags"]), "04002"; got != want {
			t.Errorf("fdinfo has flags %s, want %s", got, want)
		}
	}
}

// timerfdLargestTime: a time too large for the kernel's 64 bits of nanoseconds is the largest that there is, and no error; the
// timer does not expire.
func timerfdLargestTime(t *testing.T) {
	const largest = time.Duration(math.MaxInt64) // KTIME_MAX
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		for _, sec := range []int64{math.MaxInt64, math.MaxInt64 / 1_000_000_000, math.MaxInt64/1_000_000_000 + 1, 1 << 62, 1 << 34} {
			for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME} {
				most := unix.Timespec{Sec: sec, Nsec: 999_999_999}
				spec := unix.ItimerSpec{Value: most, Interval: most}
				wantErrno(t, fmt.Sprintf("settime to %d seconds", sec), settime(fd, flags, &spec, nil), nil)
				// Without TFD_TIMER_ABSTIME the sum is cut off, by the clock that relative times go by.
				by := clock
				if flags == 0 && clock == unix.CLOCK_REALTIME {
					by = unix.CLOCK_MONOTONIC
				}
				wantRemaining(t, fd, by, largest)
				if _, interval := gettime(t, fd); interval != largest {
					t.Errorf("an interval of %d seconds is %v, want %v", sec, interval, largest)
				}
				wantPolledOnly(t, fd, 0)
			}
		}
		// One second short of it is not cut off.
		short := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt64/1_000_000_000 - 1}}
		wantErrno(t, "settime", settime(fd, unix.TFD_TIMER_ABSTIME, &short, nil), nil)
		wantRemaining(t, fd, clock, specTime(short.Value))
		wantPolledOnly(t, fd, 0)
		expire(t, fd)
		wantTicks(t, fd, 1)
	}
}

// timerfdNoSlack: a timerfd is not widened by the thread's timer slack, as poll(2)'s timeout is.
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

// timerfdSteppedClock: setting the clock moves the expiry of timers set to a time of day, and of no others: not of relative ones by the same
// clock, nor of other clocks, clock_settime(2).
func timerfdSteppedClock(t *testing.T) {
	clock := mustOwnClock(t)
	absolute, relative := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	mono, boot := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_REALTIME) + 2*far
	monoAt, bootAt := clockTime(t, unix.CLOCK_MONOTONIC)+far, clockTime(t, unix.CLOCK_BOOTTIME)+far
	mustSettime(t, absolute, unix.TFD_TIMER_ABSTIME, at, 0)
	mustSettime(t, mono, unix.TFD_TIMER_ABSTIME, monoAt, 0)
	mustSettime(t, boot, unix.TFD_TIMER_ABSTIME, bootAt, 0)
	before := clockTime(t, unix.CLOCK_MONOTONIC)
	mustSettime(t, relative, 0, far, 0)
	for _, by := range []time.Duration{far, -far / 2, -far, far / 2} {
		clock.step(by)
		wantRemaining(t, absolute, unix.CLOCK_REALTIME, at)
		wantRemaining(t, mono, unix.CLOCK_MONOTONIC, monoAt)
		wantRemaining(t, boot, unix.CLOCK_BOOTTIME, bootAt)
		value, _ := gettime(t, relative)
		if passed := clockTime(t, unix.CLOCK_MONOTONIC) - before; value > far || value < far-passed-rounding {
			t.Errorf("%v remains of a relative %v after a step of the clock by %v", value, far, by)
		}
		for _, fd := range []int{absolute, relative, mono, boot} {
			wantPolledOnly(t, fd, 0)
		}
	}
	// Over its time, an absolute one expires at once; back, it does not do so twice, though time remains again.
	clock.step(3 * far)
	mustAwait(t, absolute)
	wantTicks(t, absolute, 1)
	wantPolledOnly(t, relative, 0)
	wantPolledOnly(t, mono, 0)
	clock.step(-2 * far)
	time.Sleep(soon)
	wantPolledOnly(t, absolute, 0)
	wantRemaining(t, absolute, unix.CLOCK_REALTIME, at)
	// A periodic one has all points that the clock has passed over.
	g := newGrid(t, unix.CLOCK_REALTIME, clockTime(t, unix.CLOCK_REALTIME), 0, time.Second, func() {
		mustSettime(t, absolute, unix.TFD_TIMER_ABSTIME, clockTime(t, unix.CLOCK_REALTIME), time.Second)
	})
	clock.step(far)
	mustAwait(t, absolute)
	if got := g.take(absolute); got < uint64(far/time.Second) {
		t.Errorf("read %d after a step over %v periods of a second", got, far/time.Second)
	}
}

// timerfdInterrupted: a read that sleeps goes on after a handler with SA_RESTART, and is EINTR after another, signal(7); the timer
// runs on meanwhile, and nothing is taken.
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
	// It expires as it was to, whoever was interrupted meanwhile. A reader that is late to be interrupted has slept enough.
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

// timerfdAtDescriptorLimit: EMFILE at RLIMIT_NOFILE, timerfd_create(2), after clock and flags were looked at, time and again.
var timerfdAtDescriptorLimit = behaviour.Alone(func(t testing.TB) {
	last := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(last) + 1, Max: old.Max}); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	for range 1000 {
		wantNoTimerfd(t, unix.CLOCK_MONOTONIC, 0, unix.EMFILE)
	}
	wantNoTimerfd(t, unix.CLOCK_MONOTONIC, 1, unix.EINVAL)
	wantNoTimerfd(t, 2, 0, unix.EINVAL)
	unix.Close(last)
	if fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, 0); fd != last || err != nil {
		t.Fatalf("timerfd_create after a close = %d, %v; want %d", fd, err, last)
	}
	expire(t, last)
	mustTake(t, last, 1)
	unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
})

// timerfdPartialFault: of eight bytes that straddle into memory that cannot be written, those that can be stored are, and
// the read returns their number, since 6.10; before it was EFAULT. What was taken is gone either way.
func timerfdPartialFault(t *testing.T) {
	at := badPointers(t, 8)[halfPointer]
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	n, err := rawCall(unix.SYS_READ, uintptr(fd), at, 8)
	if behaviour.Since(6, 10) {
		if n != 4 || err != nil {
			t.Errorf("read to %s = %d, %v; want 4", halfPointer, n, err)
		}
	} else {
		wantErrno(t, "read to "+halfPointer, err, unix.EFAULT)
	}
	wantPolledOnly(t, fd, 0)
	_, err = takeCount(fd)
	wantErrno(t, "read after that", err, unix.EAGAIN)
}

// timerfdIntervalAlone: without a value a timer is disarmed, whatever its interval, which is kept and returned.
func timerfdIntervalAlone(t *testing.T) {
	for clock := range timerfdClockNames {
		for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME, absCancel} {
			fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
			mustSettime(t, fd, flags, 0, soon)
			wantLeftOver(t, fd, 0, soon)
			time.Sleep(2 * soon)
			wantPolledOnly(t, fd, 0)
			_, err := takeCount(fd)
			wantErrno(t, "read of a timer with an interval alone", err, unix.EAGAIN)
			spec, old := unix.ItimerSpec{}, untouchedSpec
			wantErrno(t, "settime", settime(fd, 0, &spec, &old), nil)
			if want := timerSpec(0, soon); old != want {
				t.Errorf("old value %+v, want %+v", old, want)
			}
			wantLeftOver(t, fd, 0, 0)
		}
	}
}

// timerfdFailureChangesNothing: a timerfd_settime(2) that fails leaves time, interval and expiries as they are.
func timerfdFailureChangesNothing(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	mustAwait(t, fd)
	good, bad := timerSpec(far, far), unix.ItimerSpec{Value: unix.Timespec{Nsec: -1}}
	wantErrno(t, "settime with an unknown flag", settime(fd, 4, &good, nil), unix.EINVAL)
	wantErrno(t, "settime to a bad time", settime(fd, 0, &bad, nil), unix.EINVAL)
	wantErrno(t, "settime from a null pointer", settime(fd, 0, nil, nil), unix.EFAULT)
	wantPolledOnly(t, fd, unix.POLLIN)
	if got := fdinfoLines(t, fd)["ticks"]; got != " 1" && !machine.GVisor() {
		t.Errorf("fdinfo has ticks:%s, want ticks: 1", got)
	}
	g.take(fd)
	g.take(fd)
}

// timerfdOldToBadMemory: where the old value cannot be stored timerfd_settime(2) is EFAULT, and the timer is set: what
// fails comes after (fs/timerfd.c).
func timerfdOldToBadMemory(t *testing.T) {
	for what, p := range badPointers(t, unsafe.Sizeof(unix.ItimerSpec{})) {
		if p == 0 {
			continue // none is wanted
		}
		fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
		at := clockTime(t, unix.CLOCK_MONOTONIC) + far
		spec := timerSpec(at, soon)
		_, err := rawCall(unix.SYS_TIMERFD_SETTIME, uintptr(fd), unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), p)
		wantErrno(t, "settime with an old value to "+what, err, unix.EFAULT)
		wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
		if _, interval := gettime(t, fd); interval != soon {
			t.Errorf("the interval is %v, want %v", interval, soon)
		}
	}
}

// timerfdTicksOverflow: expiries are counted in 64 bits and wrap: the one after 2^64-1 leaves 0, which is nothing to be read.
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
	// A periodic timer does not go on by a read that finds nothing, but by a look.
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

// timerfdSetTicksOfExpired: ticks that are set take the place of the first expiry of a periodic timer; those that follow are added when it
// is read.
func timerfdSetTicksOfExpired(t *testing.T) {
	const ticks = 1_000_000
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	before := clockTime(t, unix.CLOCK_MONOTONIC)
	mustSettime(t, fd, 0, soon, soon)
	mustAwait(t, fd)
	time.Sleep(3 * soon)
	mustSetTicks(t, fd, ticks)
	v, err := takeCount(fd)
	period := max(soon, resolution(t, unix.CLOCK_MONOTONIC))
	passed := uint64((clockTime(t, unix.CLOCK_MONOTONIC)-before-soon)/period) + 1
	if err != nil || v < ticks+uint64(3*soon/period) || v > ticks+passed-1 {
		t.Errorf("read %d, %v; want %d and what expired after the first of at most %d", v, err, ticks, passed)
	}
	mustAwait(t, fd) // and it goes on
	// One that has not expired has just what was set, and its own expiries after.
	mustSettime(t, fd, 0, far, soon)
	mustSetTicks(t, fd, ticks)
	wantTicks(t, fd, ticks)
	// A one-shot that expires after that adds one.
	mustSettime(t, fd, 0, 10*soon, 0)
	mustSetTicks(t, fd, ticks)
	await(t, "it has expired", func() bool { return fdinfoLines(t, fd)["ticks"] == fmt.Sprintf(" %d", ticks+1) })
	wantTicks(t, fd, ticks+1)
}

// timerfdSettimeAndEdges: setting a timer is no event for EPOLLET, and takes one away that nobody was told of; the
// next expiry is an event, though the last was never read.
func timerfdSettimeAndEdges(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	expire(t, fd)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantReady(t, epfd)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	expire(t, fd)
	mustSettime(t, fd, 0, far, 0)
	wantReady(t, epfd)
	for range 3 {
		expire(t, fd)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	wantTicks(t, fd, 1)
	// A read is no event either.
	wantReady(t, epfd)
}

// timerfdReaderAndSettime: who sleeps in a read while the timer is set anew sleeps until the new time; disarmed, until it is armed.
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

// timerfdOneReaderATick: of several who sleep in a read one gets an expiry, and the others sleep on; together, readers get each
// expiry of a periodic timer once.
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

// timerfdPeriodicFromPast: a periodic timer that is set to a time in the past has all points from there to now, in one read.
func timerfdPeriodicFromPast(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		const interval = 20 * time.Millisecond
		start := clockTime(t, clock) - 50*interval - interval/2
		g := newGrid(t, clock, start, 0, interval, func() { mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, start, interval) })
		mustAwait(t, fd)
		if got := g.take(fd); got < 51 {
			t.Errorf("read %d expiries, want 51 at least", got)
		}
		if value, _ := gettime(t, fd); value > interval {
			t.Errorf("%v remains to the next point, of %v", value, interval)
		}
		mustAwait(t, fd)
		g.take(fd)
	}
	// From the beginning of time on, too.
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	g := newGrid(t, unix.CLOCK_REALTIME, 1, 0, time.Hour, func() { mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, 1, time.Hour) })
	mustAwait(t, fd)
	g.take(fd)
}

// timerfdSmallestInterval: an interval may be a nanosecond, which costs nothing while nobody reads, and every nanosecond counts,
// where the clock has that resolution, clock_getres(2).
func timerfdSmallestInterval(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	start := clockTime(t, unix.CLOCK_MONOTONIC) + soon
	g := newGrid(t, unix.CLOCK_MONOTONIC, start, 0, 1, func() { mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, start, 1) })
	mustAwait(t, fd)
	for range 3 {
		time.Sleep(soon)
		if got := g.take(fd); got < g.periods(soon) {
			t.Errorf("read %d expiries after %v", got, soon)
		}
		mustAwait(t, fd)
	}
	if _, interval := gettime(t, fd); interval != 1 {
		t.Errorf("the interval is %v, want 1ns", interval)
	}
}

// timerfdArgumentWidth: clocks, flags and descriptors are 32 bits wide: what is above them in a register is not looked at.
func timerfdArgumentWidth(t *testing.T) {
	const upper = 0xdead_beef << 32
	fd, err := rawCall(unix.SYS_TIMERFD_CREATE, upper|unix.CLOCK_BOOTTIME, upper|unix.TFD_NONBLOCK)
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	at := clockTime(t, unix.CLOCK_BOOTTIME) + far
	spec := timerSpec(at, 0)
	_, err = rawCall(unix.SYS_TIMERFD_SETTIME, upper|uintptr(fd), upper|unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), 0)
	wantErrno(t, "settime with upper halves", err, nil)
	_, err = rawCall(unix.SYS_TIMERFD_GETTIME, upper|uintptr(fd), uintptr(unsafe.Pointer(&spec)))
	wantErrno(t, "gettime with an upper half", err, nil)
	wantRemaining(t, fd, unix.CLOCK_BOOTTIME, at)
}

// timerfdOldInPlace: the old value may be stored where the new one was.
func timerfdOldInPlace(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	mustSettime(t, fd, 0, 0, 3*time.Second)
	spec := timerSpec(far, 5*time.Second)
	wantErrno(t, "settime", settime(fd, 0, &spec, &spec), nil)
	if want := timerSpec(0, 3*time.Second); spec != want {
		t.Errorf("old value %+v, want %+v", spec, want)
	}
	if value, interval := gettime(t, fd); value == 0 || value > far || interval != 5*time.Second {
		t.Errorf("gettime = %v, %v; want up to %v, 5s", value, interval, far)
	}
}

// timerfdName: /proc calls it anon_inode:[timerfd], and it cannot be opened by that link.
func timerfdName(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantName(t, fd, "anon_inode:[timerfd]")
	wantTicks(t, fd, 1)
}

// timerfdInode: fstat(2) shows the inode that all files without a name share.
func timerfdInode(t *testing.T) { wantSharedInode(t, expiredTimerfd(t, 0)) }

// timerfdOwnership: mode and owner of the shared inode cannot be changed.
func timerfdOwnership(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	wantOwnershipKept(t, fd)
	wantSharedInode(t, fd)
}

// timerfdNoSplice: no data moves through it by splice(2), tee(2), sendfile(2) or copy_file_range(2).
func timerfdNoSplice(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantNoSplice(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdRefusals: it is not a file that could be mapped, cut, synced or listed.
func timerfdRefusals(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantTicks(t, fd, 1)
}

// timerfdNoSignals: it sends no SIGIO, and cannot be asked to.
func timerfdNoSignals(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	wantNoSignals(t, fd)
	expire(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdPassed: a timerfd passed by SCM_RIGHTS is the same timer, and runs while it is on its way and has no descriptor.
func timerfdPassed(t *testing.T) {
	sockets := fdtest.Socketpair(t)
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	closeNow := closable(t, fd, err)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	mustSendFile(t, sockets[0], fd)
	mustSendFile(t, sockets[0], fd)
	closeNow()
	time.Sleep(3 * soon)
	first, err := receiveFile(sockets[1])
	closable(t, first, err)
	second, err := receiveFile(sockets[1])
	closable(t, second, err)
	wantFlags(t, first, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	mustAwait(t, first)
	if got := g.take(second); got < g.periods(3*soon) {
		t.Errorf("read %d after %d periods under way", got, g.periods(3*soon))
	}
	mustSettime(t, first, 0, 0, 0)
	wantPolledOnly(t, second, 0)
	wantLeftOver(t, second, 0, 0)
}

// timerfdClosedUnderReader: closing the descriptor leaves a reader asleep, and the timer runs for it.
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

// timerfdKilledReader: a reader that is killed in its sleep takes nothing.
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

// timerfdNonblockLater: O_NONBLOCK set or cleared later holds from the next read on, and does not end one that sleeps.
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

// timerfdReadErrorOrder: of several errors of a read the descriptor comes first, then the size, that nothing has expired, and the
// memory last.
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

// timerfdAIOPoll: IOCB_CMD_POLL of io_submit(2) waits for an expiry as poll(2) does, once.
func timerfdAIOPoll(t *testing.T) {
	a := newAIO(t)
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	resfd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)}
	a.mustSubmit(poll)
	a.wantEvents(0, 0)
	mustSettime(t, fd, 0, soon, 0)
	mustAwait(t, resfd)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	expire(t, fd) // nobody waits now
	a.wantEvents(0, 0)
	a.mustSubmit(poll) // ready already
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	wantTicks(t, fd, 1)
}

// timerfdSettimeRace: threads that set one timer to expire at once while others read it: no read returns more than one expiry, nor
// are there more of them than settings; and the timer is as good as before.
func timerfdSettimeRace(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	var settings, expiries atomic.Uint64
	var wg sync.WaitGroup
	end := time.Now().Add(20 * time.Millisecond)
	for i := range 2 {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				spec := timerSpec(time.Duration(1+(n+i)%3*20_000), 0)
				settings.Add(1)
				if err := settime(fd, 0, &spec, nil); err != nil {
					t.Errorf("settime: %v", err)
					return
				}
			}
		})
		wg.Go(func() {
			for time.Now().Before(end) {
				v, err := takeCount(fd)
				if err == nil && v != 1 || err != nil && err != unix.EAGAIN {
					t.Errorf("read %d, %v of a timer without interval; want 1 or EAGAIN", v, err)
					return
				}
				if err == nil {
					expiries.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if expiries.Load() > settings.Load() {
		t.Errorf("%d expiries of %d settings", expiries.Load(), settings.Load())
	}
	mustSettime(t, fd, 0, 0, 0)
	wantPolledOnly(t, fd, 0)
	expire(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdWakesAll: an expiry wakes all who poll the timer or wait for it on their own epoll instance; one read takes it, and nobody is
// told any more.
func timerfdWakesAll(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	polls := []*sleeper{startPoll(t, fd), startPoll(t, fd)}
	mustSettime(t, fd, 0, soon, 0)
	for _, p := range polls {
		p.wantPolled()
	}
	for _, w := range waiting {
		w.want(ready(fd, unix.EPOLLIN))
	}
	for _, epfd := range sets {
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	}
	wantTicks(t, fd, 1)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

// timerfdFetched: pidfd_getfd(2) gets the same timer from another process.
func timerfdFetched(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	got := fetchFromChild(t, fd)
	wantFlags(t, got, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	mustSettime(t, got, 0, soon, 0)
	mustAwait(t, fd)
	wantTicks(t, got, 1)
	wantPolledOnly(t, fd, 0)
}

// timerfdCancelledPeriodic: a read that is ECANCELED does not set an expired periodic timer going again (fs/timerfd.c
// timerfd_read_iter): it is stopped until it is set. One that had not expired goes on.
func timerfdCancelledPeriodic(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+soon, soon)
	mustAwait(t, fd)
	clock.step(time.Minute)
	_, err := takeCount(fd)
	wantErrno(t, "read after a step", err, unix.ECANCELED)
	for range 2 {
		time.Sleep(2 * soon)
		wantPolledOnly(t, fd, 0)
		wantLeftOver(t, fd, 0, soon)
	}
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+soon, soon)
	mustAwait(t, fd)
	if v, err := takeCount(fd); v == 0 || err != nil {
		t.Errorf("read of the timer set anew: %d, %v; want an expiry", v, err)
	}
	// A look sets it going again, and then the read does not stop it; back a minute, it has as much longer to go.
	mustAwait(t, fd)
	gettime(t, fd)
	clock.step(-time.Minute)
	_, err = takeCount(fd)
	wantErrno(t, "read after a step and a look", err, unix.ECANCELED)
	if value, _ := gettime(t, fd); value < time.Minute/2 {
		t.Errorf("%v remains to the next expiry, want a minute", value)
	}
	// Both expire when the clock says so: one that had not expired at the step, and one that a look had set going again.
	for _, first := range []time.Duration{later, soon} {
		expires := clockTime(t, unix.CLOCK_REALTIME) + first
		mustSettime(t, fd, absCancel, expires, later)
		if first == soon {
			mustAwait(t, fd)
			gettime(t, fd)
			expires += later
		}
		clock.step(-time.Millisecond)
		_, err = takeCount(fd)
		wantErrno(t, "read after a small step", err, unix.ECANCELED)
		wantExpiry(t, fd, unix.CLOCK_REALTIME, expires)
	}
}

// timerfdStaleStep: what has cancelled a timer is told by the next call that would tell it: disarming does not, nor does setting it so
// that it cannot be cancelled; it waits for a read or setting that can.
func timerfdStaleStep(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	far := func() time.Duration { return clockTime(t, unix.CLOCK_REALTIME) + far }
	// Disarmed with the same flags, it has nothing to be polled, and still a read to be cancelled.
	mustSettime(t, fd, absCancel, far(), 0)
	clock.step(time.Minute)
	mustSettime(t, fd, absCancel, 0, 0)
	wantPolledOnly(t, fd, 0)
	_, err := takeCount(fd)
	wantErrno(t, "read of a timer disarmed after a step", err, unix.ECANCELED)
	_, err = takeCount(fd)
	wantErrno(t, "second read of a timer disarmed after a step", err, unix.EAGAIN)
	// Disarmed, it can be cancelled as well.
	clock.step(time.Minute)
	wantPolledOnly(t, fd, unix.POLLIN)
	_, err = takeCount(fd)
	wantErrno(t, "read of a disarmed timer after a step", err, unix.ECANCELED)
	// Set otherwise in between, it has nothing to be cancelled, until it has.
	mustSettime(t, fd, absCancel, far(), 0)
	clock.step(time.Minute)
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, far(), 0)
	_, err = takeCount(fd)
	wantErrno(t, "read of a timer set otherwise after a step", err, unix.EAGAIN)
	clock.step(time.Minute)
	wantPolledOnly(t, fd, 0)
	spec := timerSpec(far(), 0)
	wantErrno(t, "settime that can be cancelled, after one that cannot", settime(fd, absCancel, &spec, nil), unix.ECANCELED)
	wantErrno(t, "the same again", settime(fd, absCancel, &spec, nil), nil)
	// A step before the timer was ever set so is none of its business.
	fd = newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	clock.step(time.Minute)
	mustSettime(t, fd, absCancel, far(), 0)
	_, err = takeCount(fd)
	wantErrno(t, "read of a timer set after a step", err, unix.EAGAIN)
}

// timerfdStepWakesAll: a step wakes who sleeps in a read, with ECANCELED, and who waits for the timer, as EPOLLIN; each timer tells of it
// once, and is told of on its own.
func timerfdStepWakesAll(t *testing.T) {
	clock := mustOwnClock(t)
	fd, other := newTimerfd(t, unix.CLOCK_REALTIME, 0), newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_REALTIME) + far
	mustSettime(t, fd, absCancel, at, 0)
	mustSettime(t, other, absCancel, at, far)
	edges := fdtest.Epoll(t)
	fdtest.Add(t, edges, other, unix.EPOLLIN|unix.EPOLLET)
	r, w := startRead(t, fd), startWait(t, fdtest.Epoll(t, other), 1, -1)
	stillAsleep(t, r.sleeper, w)
	clock.step(-time.Minute)
	r.wantErr(unix.ECANCELED)
	w.want(ready(other, unix.EPOLLIN))
	wantReady(t, edges, ready(other, unix.EPOLLIN))
	wantReady(t, edges)
	clock.step(time.Minute) // not yet read: another wake-up
	wantReady(t, edges, ready(other, unix.EPOLLIN))
	dup, _ := mustDup(t, other)
	_, err := takeCount(dup)
	wantErrno(t, "read through a duplicate", err, unix.ECANCELED)
	_, err = takeCount(other)
	wantErrno(t, "read after one through a duplicate", err, unix.EAGAIN)
	wantPolledOnly(t, fd, unix.POLLIN) // told of the second step
	_, err = takeCount(fd)
	wantErrno(t, "read after the second step", err, unix.ECANCELED)
}

// timerfdCancelledSetTicks: TFD_IOC_SET_TICKS of a timer that a step has cancelled is ECANCELED, and sets nothing; after that the
// timer is not cancelled any more, and the wake-up of the step is left to be read as an expiry.
func timerfdCancelledSetTicks(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+far, 0)
	mustSetTicks(t, fd, 4)
	clock.step(time.Minute)
	wantErrno(t, "setting ticks after a step", setTicks(fd, 20), unix.ECANCELED)
	wantTicks(t, fd, 5)
	mustSetTicks(t, fd, 20)
	wantTicks(t, fd, 20)
}

// timerfdBecomesOneShot: setting a periodic timer without an interval makes it a one-shot, and the other way round.
func timerfdBecomesOneShot(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	mustSettime(t, fd, 0, soon, soon)
	mustAwait(t, fd)
	mustSettime(t, fd, 0, soon, 0)
	mustAwait(t, fd)
	time.Sleep(3 * soon)
	wantTicks(t, fd, 1)
	wantLeftOver(t, fd, 0, 0)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	g.take(fd)
	time.Sleep(2 * soon)
	if got := g.take(fd); got < g.periods(2*soon) {
		t.Errorf("read %d after %d periods", got, g.periods(2*soon))
	}
}

// timerfdLooking: timerfd_gettime(2), fdinfo and poll(2) as often as one likes, by several threads at once, while a periodic
// timer runs: no expiry is counted twice or lost.
func timerfdLooking(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	const interval = 100 * time.Microsecond
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, interval, interval, func() { mustSettime(t, fd, 0, interval, interval) })
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				var spec unix.ItimerSpec
				if err := unix.TimerfdGettime(fd, &spec); err != nil || specTime(spec.Value) > g.interval {
					t.Errorf("gettime = %+v, %v; want at most %v", spec, err, g.interval)
					return
				}
				time.Sleep(interval / 3)
			}
		})
	}
	for range 10 {
		g.looked = true // by the others
		g.take(fd)
		time.Sleep(time.Millisecond)
	}
	done.Store(true)
	wg.Wait()
	g.looked = true
	g.take(fd)
	g.take(fd)
}

// timerfdAlarmDisarmed: timerfd_gettime(2) of a timer of an alarm clock that was disarmed goes on to say what remains to what
// it was set to (fs/timerfd.c timerfd_setup clears that of other clocks only), though it will not expire.
func timerfdAlarmDisarmed(t *testing.T) {
	if !hasCapability(t, unix.CAP_WAKE_ALARM) {
		behaviour.Unprivileged(t, "no CAP_WAKE_ALARM")
	}
	fd := newTimerfd(t, unix.CLOCK_BOOTTIME_ALARM, unix.TFD_NONBLOCK)
	wantLeftOver(t, fd, 0, 0)
	at := clockTime(t, unix.CLOCK_BOOTTIME) + 3*soon
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	mustSettime(t, fd, 0, 0, time.Minute)
	if value, interval := gettime(t, fd); value > 3*soon || interval != time.Minute {
		t.Errorf("gettime = %v, %v; want up to %v, 1m", value, interval, 3*soon)
	}
	time.Sleep(5 * soon)
	wantPolledOnly(t, fd, 0)
	wantLeftOver(t, fd, 0, time.Minute)
	at = clockTime(t, unix.CLOCK_BOOTTIME) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	mustSettime(t, fd, 0, 0, 0)
	wantRemaining(t, fd, unix.CLOCK_BOOTTIME, at)
	expire(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdUnblockedByStep: a read of a timer that has expired and then has its time before it again, by a step back of the clock,
// returns 0 bytes and no count if the timer is periodic and cannot be cancelled, timerfd_create(2); it then goes on to expire as
// the clock now says. One without an interval has expired all the same.
func timerfdUnblockedByStep(t *testing.T) {
	clock := mustOwnClock(t)
	clocks := []int{unix.CLOCK_REALTIME}
	if hasCapability(t, unix.CAP_WAKE_ALARM) {
		clocks = append(clocks, unix.CLOCK_REALTIME_ALARM)
	}
	for _, id := range clocks {
		fd := newTimerfd(t, id, 0)
		epfd := fdtest.Epoll(t, fd)
		at := clockTime(t, unix.CLOCK_REALTIME) + soon
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, far)
		mustAwait(t, fd)
		clock.step(-time.Minute)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		buf := bytes.Repeat([]byte{0xa5}, 8)
		promptly(t, "a read of a timer that has expired before a step back", func() {
			if n, err := unix.Read(fd, buf); n != 0 || err != nil || !bytes.Equal(buf, bytes.Repeat([]byte{0xa5}, 8)) {
				t.Errorf("clock %d: read after a step back of a periodic timer that had expired = %d, %v with %x; want 0", id, n, err, buf)
			}
		})
		wantPolledOnly(t, fd, 0)
		wantReady(t, epfd)
		// Its next expiry is what it was, by the clock.
		wantRemaining(t, fd, unix.CLOCK_REALTIME, at)
		clock.step(time.Minute)
		mustAwait(t, fd)
		wantTicks(t, fd, 1)
		wantRemaining(t, fd, unix.CLOCK_REALTIME, at+far)

		at = clockTime(t, unix.CLOCK_REALTIME) + soon
		mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
		mustAwait(t, fd)
		clock.step(-time.Minute)
		wantTicks(t, fd, 1)
		clock.reset()
		time.Sleep(2 * soon)
		wantPolledOnly(t, fd, 0)
	}
}

// timerfdAtFileLimit: ENFILE at fs.file-max, timerfd_create(2), for who has not CAP_SYS_ADMIN.
func timerfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC) })
}

// What the rows above are written in.

// absCancel is what makes timerfd_settime(2) tell of steps of the clock.
const absCancel = unix.TFD_TIMER_ABSTIME | unix.TFD_TIMER_CANCEL_ON_SET

// rounding is by how much clock_gettime(2) and the clocks that timers go by may differ, which both round to
// nanoseconds, each in its own way.
const rounding = 2 * time.Nanosecond

// untouchedSpec is a value that no timer has.
var untouchedSpec = unix.ItimerSpec{Value: unix.Timespec{Sec: -7, Nsec: -7}, Interval: unix.Timespec{Sec: -7, Nsec: -7}}

// newTimerfd makes a timerfd with just these flags.
func newTimerfd(tb testing.TB, clock, flags int) int {
	tb.Helper()
	fd, err := unix.TimerfdCreate(clock, flags)
	if err == unix.EMFILE {
		behaviour.Limited(tb, "timerfd_create: %v: raise RLIMIT_NOFILE", err)
	}
	if err != nil {
		tb.Fatalf("timerfd_create(%d, %#x): %v", clock, flags, err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

func wantNoTimerfd(tb testing.TB, clock, flags int, want error) {
	tb.Helper()
	if fd, err := unix.TimerfdCreate(clock, flags); err != want {
		tb.Errorf("timerfd_create(%d, %#x) = %d, %v; want %v", clock, flags, fd, err, want)
		unix.Close(fd)
	}
}

func timerSpec(value, interval time.Duration) unix.ItimerSpec {
	return unix.ItimerSpec{Value: unix.NsecToTimespec(int64(value)), Interval: unix.NsecToTimespec(int64(interval))}
}

func specTime(ts unix.Timespec) time.Duration { return time.Duration(ts.Nano()) }

// settime is timerfd_settime(2).
func settime(fd, flags int, spec, old *unix.ItimerSpec) error {
	return unix.TimerfdSettime(fd, flags, spec, old)
}

func mustSettime(tb testing.TB, fd, flags int, value, interval time.Duration) {
	tb.Helper()
	spec := timerSpec(value, interval)
	if err := settime(fd, flags, &spec, nil); err != nil {
		tb.Fatalf("timerfd_settime to %v, %v with flags %#x: %v", value, interval, flags, err)
	}
}

// gettime is timerfd_gettime(2), which must succeed, with a time that is one.
func gettime(tb testing.TB, fd int) (value, interval time.Duration) {
	tb.Helper()
	spec := untouchedSpec
	if err := unix.TimerfdGettime(fd, &spec); err != nil {
		tb.Fatalf("timerfd_gettime: %v", err)
	}
	for _, ts := range []unix.Timespec{spec.Value, spec.Interval} {
		if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec > 999_999_999 {
			tb.Errorf("timerfd_gettime has %+v, which is no time", spec)
		}
	}
	return specTime(spec.Value), specTime(spec.Interval)
}

// wantLeftOver checks what timerfd_gettime(2) says, exactly.
func wantLeftOver(tb testing.TB, fd int, value, interval time.Duration) {
	tb.Helper()
	if v, i := gettime(tb, fd); v != value || i != interval {
		tb.Errorf("timerfd_gettime = %v, %v; want %v, %v", v, i, value, interval)
	}
}

// wantRemaining checks that a timer will expire when this clock is at that time.
func wantRemaining(tb testing.TB, fd, clock int, at time.Duration) {
	tb.Helper()
	before := clockTime(tb, clock)
	got, _ := gettime(tb, fd)
	after := clockTime(tb, clock)
	if got < at-after-rounding || got > at-before+rounding {
		tb.Errorf("timerfd_gettime has %v left, want %v to %v", got, at-after, at-before)
	}
}

// resolution is the shortest interval of a clock's timers, clock_getres(2): a tick where the kernel has no high-resolution timers.
func resolution(tb testing.TB, clock int) time.Duration {
	tb.Helper()
	var ts unix.Timespec
	if err := unix.ClockGetres(int32(clock), &ts); err != nil {
		tb.Fatalf("clock_getres: %v", err)
	}
	return specTime(ts)
}

// clockTime is what a clock says, from its own beginning.
func clockTime(tb testing.TB, clock int) time.Duration {
	tb.Helper()
	now, err := clockNow(clock)
	if err != nil {
		tb.Fatal(err)
	}
	return now
}

func clockNow(clock int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(clock), &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return specTime(ts), nil
}

// expire has a timer expire, whatever it was set to.
func expire(tb testing.TB, fd int) {
	tb.Helper()
	mustSettime(tb, fd, 0, 1, 0)
	mustAwait(tb, fd)
}

// expiredTimerfd returns a timer with one expiry to be read.
func expiredTimerfd(tb testing.TB, flags int) int {
	tb.Helper()
	fd := newTimerfd(tb, unix.CLOCK_MONOTONIC, flags)
	expire(tb, fd)
	return fd
}

// wantTicks takes what has expired, which must be this, after which there is no more.
func wantTicks(tb testing.TB, fd int, want uint64) {
	tb.Helper()
	if !readable(tb, fd) {
		tb.Fatalf("nothing to read of a timer, want %d", want)
	}
	if got, err := takeCount(fd); got != want || err != nil || readable(tb, fd) {
		tb.Errorf("read %d of a timer, %v, readable after that: %t; want %d", got, err, readable(tb, fd), want)
	}
}

// wantExpiry waits for a timer that expires once when this clock is at that time, no earlier.
func wantExpiry(tb testing.TB, fd, clock int, at time.Duration) {
	tb.Helper()
	mustAwait(tb, fd)
	if now := clockTime(tb, clock); now < at-rounding {
		tb.Errorf("a timer that was left alone expired %v early", at-now)
	}
	wantTicks(tb, fd, 1)
}

// A grid is the points in time at which a periodic timer expires.
type grid struct {
	tb               testing.TB
	clock            int
	earliest, latest time.Duration // between which its first point lies
	interval         time.Duration // no less than the clock's resolution
	taken            uint64
	looked           bool // by timerfd_gettime(2), since it was read
}

// newGrid has set set a periodic timer: to the time start, or to after from now.
func newGrid(tb testing.TB, clock int, start, after, interval time.Duration, set func()) *grid {
	tb.Helper()
	g := &grid{tb: tb, clock: clock, earliest: start, latest: start, interval: max(interval, resolution(tb, clock))}
	if start == 0 {
		g.earliest = clockTime(tb, clock) + after - rounding
	}
	set()
	if start == 0 {
		g.latest = clockTime(tb, clock) + after + rounding
	}
	return g
}

// periods is how many points there are in that time at least.
func (g *grid) periods(in time.Duration) uint64 { return uint64(in / g.interval) }

// look is timerfd_gettime(2), which must find no more than an interval left.
func (g *grid) look(fd int) {
	g.tb.Helper()
	if value, interval := gettime(g.tb, fd); value > g.interval || interval > g.interval {
		g.tb.Errorf("timerfd_gettime = %v, %v; want no more than %v", value, interval, g.interval)
	}
	g.looked = true
}

// take waits for an expiry and reads: the points that have passed and were not read before, no more and no less. But after a
// look there is something to read, so that it does not wait for those whose interrupt is still to come.
func (g *grid) take(fd int) uint64 {
	g.tb.Helper()
	mustAwait(g.tb, fd)
	before := clockTime(g.tb, g.clock)
	got, err := takeCount(fd)
	after := clockTime(g.tb, g.clock)
	if err != nil {
		g.tb.Fatalf("read of a periodic timer: %v", err)
	}
	g.taken += got
	least, most := uint64(1), uint64((after-g.earliest)/g.interval)+1
	if g.looked {
		least, g.looked = g.taken, false
	} else if before > g.latest {
		least = uint64((before-g.latest)/g.interval) + 1
	}
	if g.taken < least || g.taken > most {
		g.tb.Errorf("read %d expiries, together %d by now; want together %d to %d", got, g.taken, least, most)
	}
	return got
}

// guestVar is the environment variable that says that the machine is there for the test alone: go tool guest sets it.
const guestVar = "EVENTBENCH_GUEST"

// An ownClock is the clock of a machine that is the test's own.
type ownClock struct {
	tb         testing.TB
	difference time.Duration // of CLOCK_REALTIME to CLOCK_MONOTONIC, at first
}

// mustOwnClock skips rows that set the machine's clock where others live by it. It is set right at the end
// of the row.
func mustOwnClock(tb testing.TB) *ownClock {
	tb.Helper()
	if os.Getenv(guestVar) == "" {
		behaviour.Unprivileged(tb, "the machine's clock is not this test's to set: run it in a guest (go tool guest)")
	}
	c := &ownClock{tb: tb}
	c.difference = clockTime(tb, unix.CLOCK_REALTIME) - clockTime(tb, unix.CLOCK_MONOTONIC)
	tb.Cleanup(c.reset)
	return c
}

// step sets the clock, by some time forward.
func (c *ownClock) step(by time.Duration) {
	c.tb.Helper()
	c.set(clockTime(c.tb, unix.CLOCK_REALTIME) + by)
}

// reset sets the clock to what it would be without steps.
func (c *ownClock) reset() {
	c.tb.Helper()
	c.set(clockTime(c.tb, unix.CLOCK_MONOTONIC) + c.difference)
}

func (c *ownClock) set(to time.Duration) {
	c.tb.Helper()
	ts := unix.NsecToTimespec(int64(to))
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		c.tb.Fatalf("clock_settime: %v", err)
	}
}

// tfdIocSetTicks is TFD_IOC_SET_TICKS of linux/timerfd.h: _IOW('T', 0, __u64).
const tfdIocSetTicks = 1<<30 | 8<<16 | 'T'<<8

func setTicks(fd int, ticks uint64) error {
	return secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), tfdIocSetTicks, uintptr(unsafe.Pointer(&ticks))))
}

// mustSetTicks skips the row where the kernel is built without CONFIG_CHECKPOINT_RESTORE.
func mustSetTicks(tb testing.TB, fd int, ticks uint64) {
	tb.Helper()
	err := setTicks(fd, ticks)
	if err == unix.ENOTTY {
		behaviour.Absent(tb, "TFD_IOC_SET_TICKS: %v: no CONFIG_CHECKPOINT_RESTORE", err)
	}
	if err != nil {
		tb.Fatalf("TFD_IOC_SET_TICKS to %d: %v", ticks, err)
	}
}

// timerList returns when, at the latest, the timers of CLOCK_MONOTONIC expire that may at the earliest do so at this time:
// /proc/timer_list, which only root may read. Whose they are it says by the name of a function, but not on every kernel
// (CONFIG_KALLSYMS): ask for a time that no other timer has.
//
// The kernel lets go of its lock between two timers of that list, and one that comes or goes meanwhile hides the next or shows it
// twice. So it is read until it says three times the same.
func timerList(at time.Duration) (latest []time.Duration, err error) {
	for same := 0; same < 3; {
		text, err := os.ReadFile("/proc/timer_list")
		if err != nil {
			return nil, err
		}
		var found []time.Duration
		for line := range strings.Lines(string(text)) {
			var from, to int64
			if n, _ := fmt.Sscanf(strings.TrimSpace(line), "# expires at %d-%d nsecs", &from, &to); n == 2 && time.Duration(from) == at {
				found = append(found, time.Duration(to))
			}
		}
		if !slices.Equal(found, latest) {
			same = 0
		}
		latest = found
		same++
	}
	return latest, nil
}
