//go:build linux

package behaviours

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Looking at a timer: timerfd_gettime(2).

// timerfdGettimeIsRelative (TFD-18): timerfd_gettime(2) returns the time that
// remains, also of a timer that was set to a time of day, and the interval as
// it was set.
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

// timerfdExpiredIsZero (TFD-19): an expired timer without an interval has
// nothing left, as one that is disarmed, while its expiry is still to be read.
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

// timerfdGettimeRearms (TFD-24): timerfd_gettime(2) of an expired periodic
// timer sets it going again, and keeps count: the next expiry is an event for
// EPOLLET, though nothing has been read.
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

// timerfdLooking (TFD-78): timerfd_gettime(2), fdinfo and poll(2) as often as
// one likes, by several threads at once, while a periodic timer runs: no expiry
// is counted twice or lost.
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

// timerfdAlarmDisarmed (TFD-79): timerfd_gettime(2) of a timer of an alarm
// clock that was disarmed goes on to say what remains to what it was set to
// (fs/timerfd.c timerfd_setup clears that of other clocks only), though it will
// not expire.
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

var timerfdGettimeRows = map[string]func(*testing.T){
	"TFD-18": timerfdGettimeIsRelative,
	"TFD-19": timerfdExpiredIsZero,
	"TFD-24": timerfdGettimeRearms,
	"TFD-78": timerfdLooking,
	"TFD-79": timerfdAlarmDisarmed,
}
