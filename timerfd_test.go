//go:build linux

package eventbench

import (
	"testing"
	"time"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// BenchmarkTimerfdCreate makes a timerfd and closes it.
func BenchmarkTimerfdCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		return measure.Side{Calls: []sys.Call{
			sys.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC, fd), sys.Close(fd),
		}}
	})
}

// BenchmarkTimerfdArm sets an armed timer to expire in an hour.
func BenchmarkTimerfdArm(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.Timerfd(p.TB)
		hour := sys.Place(p.Arena, unix.ItimerSpec{Value: unix.Timespec{Sec: 3600}})
		return measure.Side{Calls: []sys.Call{sys.TimerfdSettime(fd, 0, hour)}}
	})
}

// BenchmarkTimerfdSelf sets a timer to a time that has passed and reads the
// expiry. The timer's interrupt is part of the operation.
func BenchmarkTimerfdSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.Timerfd(p.TB)
		past := sys.Place(p.Arena, unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}})
		got := p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{sys.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, past), sys.TimerfdRead(fd, got)},
			Sum:   got,
		}
	})
}

// BenchmarkTimerfdEmpty reads a non-blocking timerfd that has not expired.
func BenchmarkTimerfdEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.NonBlocking(p.TB, fdtest.Timerfd(p.TB))
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.TimerfdRead(fd, p.Arena.Word(0)))}}
	})
}

// BenchmarkTimerfdExpire sets a timer to a nanosecond from now and waits for
// it.
func BenchmarkTimerfdExpire(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.Timerfd(p.TB)
		soon := sys.Place(p.Arena, unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}})
		got := p.Arena.Word(0)
		return measure.Side{Calls: []sys.Call{sys.TimerfdSettime(fd, 0, soon), sys.TimerfdRead(fd, got)}, Sum: got}
	})
}

// BenchmarkTimerfdLateness reads a periodic timer, which returns how many
// periods have passed since the last read.
func BenchmarkTimerfdLateness(b *testing.B) {
	measure.Lateness(b, periods, func(p *peer.Party, period time.Duration) measure.Timer {
		fd := fdtest.Timerfd(p.TB)
		got := p.Arena.Word(0)
		return measure.Timer{
			Wait: []sys.Call{sys.TimerfdRead(fd, got)},
			Start: func(first unix.Timespec) error {
				spec := unix.ItimerSpec{Value: first, Interval: unix.NsecToTimespec(int64(period))}
				return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
			},
			Taken: func() uint64 { return *got },
		}
	})
}

// mustArmedTimerfd makes a timer that expires after first, and then in each
// period unless that is 0; it never expires if first is 0.
func mustArmedTimerfd(tb testing.TB, first, period time.Duration) int {
	tb.Helper()
	fd := fdtest.Timerfd(tb)
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{
		Value:    unix.NsecToTimespec(int64(first)),
		Interval: unix.NsecToTimespec(int64(period)),
	}, nil); err != nil {
		tb.Fatalf("timerfd_settime: %v", err)
	}
	return fd
}
