//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"

	"golang.org/x/sys/unix"
)

func TestTimerfd(t *testing.T) {
	behaviour.Run(t, "timerfd",
		timerfdCreateRows,
		timerfdSettimeRows,
		timerfdGettimeRows,
		timerfdReadRows,
		timerfdPollRows,
		timerfdClockRows,
		timerfdFileRows)
}

const (
	// soon is when timers that are to expire do so.
	soon = 2 * time.Millisecond
	// later is when timers that are to be left alone meanwhile, and then to
	// expire, do so.
	later = 50 * soon
	// far is when timers that are not to expire would.
	far = 1000 * time.Second
)

var timerfdClockNames = map[int]string{
	unix.CLOCK_REALTIME: "REALTIME", unix.CLOCK_MONOTONIC: "MONOTONIC", unix.CLOCK_BOOTTIME: "BOOTTIME",
}

// What rows are written in.

// absCancel is what makes timerfd_settime(2) tell of steps of the clock.
const absCancel = unix.TFD_TIMER_ABSTIME | unix.TFD_TIMER_CANCEL_ON_SET

// rounding is by how much clock_gettime(2) and the clocks that timers go by may
// differ, which both round to nanoseconds, each in its own way.
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

// wantRemaining checks that a timer will expire when this clock is at that
// time.
func wantRemaining(tb testing.TB, fd, clock int, at time.Duration) {
	tb.Helper()
	before := clockTime(tb, clock)
	got, _ := gettime(tb, fd)
	after := clockTime(tb, clock)
	if got < at-after-rounding || got > at-before+rounding {
		tb.Errorf("timerfd_gettime has %v left, want %v to %v", got, at-after, at-before)
	}
}

// resolution is the shortest interval of a clock's timers, clock_getres(2): a
// tick where the kernel has no high-resolution timers.
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

// wantTicks takes what has expired, which must be this, after which there is no
// more.
func wantTicks(tb testing.TB, fd int, want uint64) {
	tb.Helper()
	if !readable(tb, fd) {
		tb.Fatalf("nothing to read of a timer, want %d", want)
	}
	if got, err := takeCount(fd); got != want || err != nil || readable(tb, fd) {
		tb.Errorf("read %d of a timer, %v, readable after that: %t; want %d", got, err, readable(tb, fd), want)
	}
}

// wantExpiry waits for a timer that expires once when this clock is at that
// time, no earlier.
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

// newGrid has set set a periodic timer: to the time start, or to after from
// now.
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

// take waits for an expiry and reads: the points that have passed and were not
// read before, no more and no less. But after a look there is something to
// read, so that it does not wait for those whose interrupt is still to come.
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

// tfdIocSetTicks is TFD_IOC_SET_TICKS of linux/timerfd.h: _IOW('T', 0, __u64).
const tfdIocSetTicks = 1<<30 | 8<<16 | 'T'<<8

func setTicks(fd int, ticks uint64) error {
	return secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), tfdIocSetTicks, uintptr(unsafe.Pointer(&ticks))))
}

// mustSetTicks skips the row where the kernel is built without
// CONFIG_CHECKPOINT_RESTORE.
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

// timerList returns when, at the latest, the timers of CLOCK_MONOTONIC expire
// that may at the earliest do so at this time: /proc/timer_list, which only
// root may read. Whose they are it says by the name of a function, but not on
// every kernel (CONFIG_KALLSYMS): ask for a time that no other timer has.
//
// The kernel lets go of its lock between two timers of that list, and one that
// comes or goes meanwhile hides the next or shows it twice. So it is read until
// it says three times the same.
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
