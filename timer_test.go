//go:build linux

package eventbench

import (
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The means to be woken at a given time other than timerfd: sleeping, a POSIX
// timer's signal, and the timeouts of epoll.

// periods are those of every Lateness.
var periods = []time.Duration{50 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond}

// BenchmarkNanosleepExpire sleeps for a nanosecond. The kernel adds the
// thread's timer slack, 50 µs unless it was changed: PR_SET_TIMERSLACK in
// prctl(2).
func BenchmarkNanosleepExpire(b *testing.B) {
	measure.SkipCounted(b, measure.ClockJumps)
	measure.Self(b, func(p *peer.Party) measure.Side {
		soon := sys.Place(p.Arena, unix.Timespec{Nsec: 1})
		return measure.Side{Calls: []sys.Call{sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, soon)}}
	})
}

// BenchmarkNanosleepLateness sleeps until the next time on a grid, as
// cyclictest(8) does. It skips times that have passed when it wakes.
func BenchmarkNanosleepLateness(b *testing.B) {
	measure.Lateness(b, periods, func(p *peer.Party, period time.Duration) measure.Timer {
		next := sys.Place(p.Arena, unix.Timespec{})
		return measure.Timer{
			Wait: []sys.Call{sys.Nanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, next)},
			Start: func(first unix.Timespec) error {
				*next = first
				return nil
			},
			Taken: func() uint64 {
				var now unix.Timespec
				if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
					p.TB.Fatalf("clock_gettime: %v", err)
				}
				passed := 1 + max(0, (now.Nano()-next.Nano())/int64(period))
				*next = unix.NsecToTimespec(next.Nano() + passed*int64(period))
				return uint64(passed)
			},
		}
	})
}

// BenchmarkPosixTimerArm sets an armed timer to expire in an hour.
func BenchmarkPosixTimerArm(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		hour := sys.Place(p.Arena, unix.ItimerSpec{Value: unix.Timespec{Sec: 3600}})
		return measure.Side{Calls: []sys.Call{sys.TimerSettime(mustTimer(p), 0, hour)}}
	})
}

// BenchmarkPosixTimerExpire sets a timer to a nanosecond from now and takes its
// signal.
func BenchmarkPosixTimerExpire(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		soon := sys.Place(p.Arena, unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}})
		set, info := sys.Place(p.Arena, sys.Sigs(rtSignal)), sys.Place(p.Arena, sys.Siginfo{})
		return measure.Side{Calls: []sys.Call{sys.TimerSettime(mustTimer(p), 0, soon), sys.Sigwait(set, info, rtSignal)}}
	})
}

// BenchmarkPosixTimerLateness takes the signals of a periodic timer. Only one
// signal is queued for a timer at a time: the periods that pass until it is
// taken are its overrun.
func BenchmarkPosixTimerLateness(b *testing.B) {
	measure.Lateness(b, periods, func(p *peer.Party, period time.Duration) measure.Timer {
		id := mustTimer(p)
		set, info := sys.Place(p.Arena, sys.Sigs(rtSignal)), sys.Place(p.Arena, sys.Siginfo{})
		return measure.Timer{
			Wait: []sys.Call{sys.Sigwait(set, info, rtSignal)},
			Start: func(first unix.Timespec) error {
				spec := unix.ItimerSpec{Value: first, Interval: unix.NsecToTimespec(int64(period))}
				return sys.SetTimer(id, unix.TIMER_ABSTIME, spec)
			},
			Taken: func() uint64 { return 1 + uint64(info.Overrun()) },
		}
	})
}

// BenchmarkEpollTimeoutExpire waits for nothing, with a timeout of a
// nanosecond: epoll_pwait2(2). Timer slack is added, as to a sleep.
func BenchmarkEpollTimeoutExpire(b *testing.B) {
	measure.SkipCounted(b, measure.ClockJumps)
	mustHaveEpollPwait2(b)
	measure.Self(b, func(p *peer.Party) measure.Side {
		soon := sys.Place(p.Arena, unix.Timespec{Nsec: 1})
		return measure.Side{Calls: []sys.Call{sys.EpollWait2(fdtest.Epoll(p.TB), sys.EpollEvents(p.Arena, 1), soon, 0)}}
	})
}

// BenchmarkEpollTimeoutLateness waits for nothing, with timeouts in
// milliseconds (epoll_wait) and in nanoseconds (epoll_pwait2). A timeout counts
// from its call, so there is no grid and no period can be missed.
func BenchmarkEpollTimeoutLateness(b *testing.B) {
	b.Run("call=epoll_wait", func(b *testing.B) {
		measure.Lateness(b, periods[2:], func(p *peer.Party, period time.Duration) measure.Timer {
			return measure.Timer{Wait: []sys.Call{
				sys.EpollWait(fdtest.Epoll(p.TB), sys.EpollEvents(p.Arena, 1), int(period.Milliseconds()), 0),
			}}
		})
	})
	b.Run("call=epoll_pwait2", func(b *testing.B) {
		mustHaveEpollPwait2(b)
		measure.Lateness(b, periods, func(p *peer.Party, period time.Duration) measure.Timer {
			timeout := sys.Place(p.Arena, unix.NsecToTimespec(int64(period)))
			return measure.Timer{Wait: []sys.Call{
				sys.EpollWait2(fdtest.Epoll(p.TB), sys.EpollEvents(p.Arena, 1), timeout, 0),
			}}
		})
	})
}

// mustHaveEpollPwait2 skips if the kernel is older than 5.11.
func mustHaveEpollPwait2(b *testing.B) {
	b.Helper()
	var event unix.EpollEvent
	var zero unix.Timespec
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fdtest.Epoll(b)), uintptr(unsafe.Pointer(&event)), 1,
		uintptr(unsafe.Pointer(&zero)), 0, 0)
	if errno != 0 {
		fdtest.Must(b, "epoll_pwait2", errno)
	}
}

// mustTimer makes a monotonic POSIX timer that sends rtSignal to this thread,
// which has it blocked.
func mustTimer(p *peer.Party) int {
	p.TB.Helper()
	id, err := sys.NewTimer(unix.CLOCK_MONOTONIC, rtSignal, p.TID)
	fdtest.Must(p.TB, "timer_create", err)
	p.TB.Cleanup(func() { fdtest.Must(p.TB, "timer_delete", sys.DeleteTimer(id)) })
	return id
}
