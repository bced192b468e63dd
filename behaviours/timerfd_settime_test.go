//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/machine"

	"golang.org/x/sys/unix"
)

// Setting a timer: timerfd_settime(2).

// timerfdSettimeDiscards (TFD-11): setting a timer, or disarming it, throws
// away the expiries that were not read: it is not readable any more, for
// nobody.
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

// timerfdBadTimes (TFD-12): nanoseconds that are negative or a whole second,
// and negative seconds, are EINVAL in the value and in the interval,
// timerfd_create(2), also in a call that would disarm the timer; which goes on
// as it was.
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

// timerfdUnknownFlags (TFD-13): timerfd_settime(2) knows two flags, and any
// other is EINVAL before the descriptor is looked at.
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

// timerfdErrorOrder (TFD-14): of several errors of timerfd_settime(2) memory
// that cannot be read comes first, then flags and times, the descriptor, and
// what it is; of timerfd_gettime(2) the descriptor, what it is, and the memory.
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

// timerfdOldValue (TFD-16): timerfd_settime(2) returns what remained, relative,
// and the interval, as timerfd_gettime(2) would have.
func timerfdOldValue(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		var set time.Duration // when the timer was set, by CLOCK_MONOTONIC: no later than that
		// next sets the timer anew; left is what then remains of what
		// it was set to, if no time had passed.
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

// timerfdPastFires (TFD-20): an absolute time that has passed expires at once,
// timerfd_create(2), and counts 1.
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

// timerfdLargestTime (TFD-40): a time too large for the kernel's 64 bits of
// nanoseconds is the largest that there is, and no error; the timer does not
// expire.
func timerfdLargestTime(t *testing.T) {
	const largest = time.Duration(math.MaxInt64) // KTIME_MAX
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		for _, sec := range []int64{math.MaxInt64, math.MaxInt64 / 1_000_000_000, math.MaxInt64/1_000_000_000 + 1, 1 << 62, 1 << 34} {
			for _, flags := range []int{0, unix.TFD_TIMER_ABSTIME} {
				most := unix.Timespec{Sec: sec, Nsec: 999_999_999}
				spec := unix.ItimerSpec{Value: most, Interval: most}
				wantErrno(t, fmt.Sprintf("settime to %d seconds", sec), settime(fd, flags, &spec, nil), nil)
				// Without TFD_TIMER_ABSTIME the sum is cut off,
				// by the clock that relative times go by.
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

// timerfdIntervalAlone (TFD-46): without a value a timer is disarmed, whatever
// its interval, which is kept and returned.
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

// timerfdFailureChangesNothing (TFD-47): a timerfd_settime(2) that fails leaves
// time, interval and expiries as they are.
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

// timerfdOldToBadMemory (TFD-48): where the old value cannot be stored
// timerfd_settime(2) is EFAULT, and the timer is set: what fails comes after
// (fs/timerfd.c).
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

// timerfdSetTicksOfExpired (TFD-50): ticks that are set take the place of the
// first expiry of a periodic timer; those that follow are added when it is
// read.
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
	// One that has not expired has just what was set, and its own expiries
	// after.
	mustSettime(t, fd, 0, far, soon)
	mustSetTicks(t, fd, ticks)
	wantTicks(t, fd, ticks)
	// A one-shot that expires after that adds one.
	mustSettime(t, fd, 0, 10*soon, 0)
	mustSetTicks(t, fd, ticks)
	await(t, "it has expired", func() bool { return fdinfoLines(t, fd)["ticks"] == fmt.Sprintf(" %d", ticks+1) })
	wantTicks(t, fd, ticks+1)
}

// timerfdPeriodicFromPast (TFD-54): a periodic timer that is set to a time in
// the past has all points from there to now, in one read.
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

// timerfdSmallestInterval (TFD-55): an interval may be a nanosecond, which
// costs nothing while nobody reads, and every nanosecond counts, where the
// clock has that resolution, clock_getres(2).
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

// timerfdOldInPlace (TFD-57): the old value may be stored where the new one
// was.
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

// timerfdSettimeRace (TFD-70): threads that set one timer to expire at once
// while others read it: no read returns more than one expiry, nor are there
// more of them than settings; and the timer is as good as before.
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

// timerfdBecomesOneShot (TFD-77): setting a periodic timer without an interval
// makes it a one-shot, and the other way round.
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

var timerfdSettimeRows = map[string]func(*testing.T){
	"TFD-11": timerfdSettimeDiscards,
	"TFD-12": timerfdBadTimes,
	"TFD-13": timerfdUnknownFlags,
	"TFD-14": timerfdErrorOrder,
	"TFD-16": timerfdOldValue,
	"TFD-20": timerfdPastFires,
	"TFD-40": timerfdLargestTime,
	"TFD-46": timerfdIntervalAlone,
	"TFD-47": timerfdFailureChangesNothing,
	"TFD-48": timerfdOldToBadMemory,
	"TFD-50": timerfdSetTicksOfExpired,
	"TFD-54": timerfdPeriodicFromPast,
	"TFD-55": timerfdSmallestInterval,
	"TFD-57": timerfdOldInPlace,
	"TFD-70": timerfdSettimeRace,
	"TFD-77": timerfdBecomesOneShot,
}
