//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"

	"golang.org/x/sys/unix"
)

// Making a timer: clocks, flags and limits.

// timerfdClocks (TFD-01): CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME
// are clocks of timerfds, each going by its own time; alarm clocks need a
// privilege (TFD-02), and all other numbers are EINVAL, timerfd_create(2).
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

// timerfdAlarmClocks (TFD-02): the alarm clocks take CAP_WAKE_ALARM, EPERM
// without, timerfd_create(2), and then are the clocks that they are named
// after; flags are looked at first.
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
		// Periodic, it is counted and set going again by a read as
		// others are.
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

// timerfdAlarmSettime (TFD-03): setting a timer of an alarm clock takes
// CAP_WAKE_ALARM again, EPERM for another who has the descriptor, and the timer
// is as before; looking at it and reading it take nothing.
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

// timerfdFlags (TFD-04): TFD_CLOEXEC and TFD_NONBLOCK set what they name on
// every clock, alone and together; all other flags are EINVAL,
// timerfd_create(2).
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

// timerfdStartsDisarmed (TFD-05): a new timer is disarmed: nothing remains,
// nothing is to be read, and who reads sleeps until it is set and expires.
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

// timerfdAtDescriptorLimit (TFD-44): EMFILE at RLIMIT_NOFILE,
// timerfd_create(2), after clock and flags were looked at, time and again.
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

// timerfdArgumentWidth (TFD-56): clocks, flags and descriptors are 32 bits
// wide: what is above them in a register is not looked at.
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

// timerfdAtFileLimit (TFD-81): ENFILE at fs.file-max, timerfd_create(2), for
// who has not CAP_SYS_ADMIN.
func timerfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC) })
}

func wantNoTimerfd(tb testing.TB, clock, flags int, want error) {
	tb.Helper()
	if fd, err := unix.TimerfdCreate(clock, flags); err != want {
		tb.Errorf("timerfd_create(%d, %#x) = %d, %v; want %v", clock, flags, fd, err, want)
		unix.Close(fd)
	}
}

var timerfdCreateRows = map[string]func(*testing.T){
	"TFD-01": timerfdClocks,
	"TFD-02": timerfdAlarmClocks,
	"TFD-03": timerfdAlarmSettime,
	"TFD-04": timerfdFlags,
	"TFD-05": timerfdStartsDisarmed,
	"TFD-44": timerfdAtDescriptorLimit,
	"TFD-56": timerfdArgumentWidth,
	"TFD-81": timerfdAtFileLimit,
}
