//go:build linux

package behaviours

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Steps of the clock, suspends and time namespaces.

// timerfdCancelled (TFD-29): a timer set to a time of day with
// TFD_TIMER_CANCEL_ON_SET is readable when the clock is stepped, and the read
// fails with ECANCELED, once, timerfd_create(2). It stays armed, and expires
// when the clock says so.
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
		// A small one leaves it to expire when the clock says so, if
		// that is soon.
		armed := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
		expires := clockTime(t, unix.CLOCK_REALTIME) + later
		mustSettime(t, armed, absCancel, expires, 0)
		clock.step(by / time.Minute * time.Millisecond)
		_, err = takeCount(armed)
		wantErrno(t, "read after a small step", err, unix.ECANCELED)
		wantExpiry(t, armed, unix.CLOCK_REALTIME, expires)
		_, err = takeCount(fd)
		wantErrno(t, "read of the first timer after a small step", err, unix.ECANCELED)
		// The next step is another, and so are two that nobody has
		// noticed one of.
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
	// A step beyond its time expires it as well; that tick is cancelled
	// with it, or is there to be read after it.
	fd := newTimerfd(t, unix.CLOCK_REALTIME, 0)
	mustSettime(t, fd, absCancel, clockTime(t, unix.CLOCK_REALTIME)+far, 0)
	clock.step(2 * far)
	_, err := takeCount(fd)
	wantErrno(t, "read after a step beyond the timer's time", err, unix.ECANCELED)
	wantLeftOver(t, fd, 0, 0)
}

// timerfdSettimeAfterStep (TFD-30): timerfd_settime(2) of a timer that a step
// has cancelled is ECANCELED, and sets it all the same; the old value and what
// fdinfo has of flags are not brought up to date.
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

// timerfdCancelWithoutEffect (TFD-31): TFD_TIMER_CANCEL_ON_SET is accepted for
// every clock, and where the time is relative or the clock is not that of the
// day (CLOCK_REALTIME, or CLOCK_REALTIME_ALARM), it does nothing.
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

// timerfdAlarmCancelled (TFD-82): a step of the clock cancels absolute timers
// of CLOCK_REALTIME_ALARM as it does those of CLOCK_REALTIME,
// timerfd_create(2), and neither relative ones nor those of
// CLOCK_BOOTTIME_ALARM; which stay armed, all of them.
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

// timerfdSmallSteps (TFD-32): setting the clock to what it says is a step, as
// is moving it by a nanosecond; moving it by nothing is none: what counts is
// that the difference to the monotonic clock has changed (fs/timerfd.c
// timerfd_clock_was_set).
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

// timerfdCancelRace (TFD-33): threads that set one timer with and without
// TFD_TIMER_CANCEL_ON_SET at once, while others make and close such timers and,
// where it is theirs, step the clock, leave the list of timers to be cancelled
// whole (CVE-2017-10661).
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

// timerfdTimeNamespace (TFD-34): an absolute time is by the clocks of the time
// namespace of who sets the timer, time_namespaces(7); CLOCK_REALTIME is the
// same in all.
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
		// What is future here has passed there; and what is no time is
		// not shifted.
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

// timerfdSuspend (TFD-35): while the machine is suspended CLOCK_BOOTTIME goes
// on, and timers by it, and CLOCK_MONOTONIC stands still.
func timerfdSuspend(t *testing.T) {
	// Not in every guest: one that counts instructions stands still while
	// it sleeps, and an emulated machine under load may miss its alarm.
	if os.Getenv("EVENTBENCH_SUSPEND") == "" {
		behaviour.Unprivileged(t, "a machine may not wake up again: EVENTBENCH_SUSPEND=1 allows it (go tool eventbench guest -clock wall)")
	}
	const state, how, alarm = "/sys/power/state", "/sys/power/mem_sleep", "/sys/class/rtc/rtc0/wakealarm"
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
		// Suspended to idle, a machine stops its clocks only if its
		// processors have an idle state for that: cpuidle_enter_s2idle.
		if means, _ := os.ReadFile(how); strings.Contains(string(means), "[s2idle]") {
			behaviour.Absent(t, "%s is %q, and no clock stops: nothing is suspended but programs", how, means)
		}
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

// timerfdSteppedClock (TFD-42): setting the clock moves the expiry of timers
// set to a time of day, and of no others: not of relative ones by the same
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
	// Over its time, an absolute one expires at once; back, it does not do
	// so twice, though time remains again.
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

// timerfdCancelledPeriodic (TFD-73): a read that is ECANCELED does not set an
// expired periodic timer going again (fs/timerfd.c timerfd_read_iter): it is
// stopped until it is set. One that had not expired goes on.
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
	// A look sets it going again, and then the read does not stop it; back
	// a minute, it has as much longer to go.
	mustAwait(t, fd)
	gettime(t, fd)
	clock.step(-time.Minute)
	_, err = takeCount(fd)
	wantErrno(t, "read after a step and a look", err, unix.ECANCELED)
	if value, _ := gettime(t, fd); value < time.Minute/2 {
		t.Errorf("%v remains to the next expiry, want a minute", value)
	}
	// Both expire when the clock says so: one that had not expired at the
	// step, and one that a look had set going again.
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

// timerfdStaleStep (TFD-74): what has cancelled a timer is told by the next
// call that would tell it: disarming does not, nor does setting it so that it
// cannot be cancelled; it waits for a read or setting that can.
func timerfdStaleStep(t *testing.T) {
	clock := mustOwnClock(t)
	fd := newTimerfd(t, unix.CLOCK_REALTIME, unix.TFD_NONBLOCK)
	far := func() time.Duration { return clockTime(t, unix.CLOCK_REALTIME) + far }
	// Disarmed with the same flags, it has nothing to be polled, and still
	// a read to be cancelled.
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
	// Set otherwise in between, it has nothing to be cancelled, until it
	// has.
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

// timerfdStepWakesAll (TFD-75): a step wakes who sleeps in a read, with
// ECANCELED, and who waits for the timer, as EPOLLIN; each timer tells of it
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

// timerfdCancelledSetTicks (TFD-76): TFD_IOC_SET_TICKS of a timer that a step
// has cancelled is ECANCELED, and sets nothing; after that the timer is not
// cancelled any more, and the wake-up of the step is left to be read as an
// expiry.
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

// timerfdUnblockedByStep (TFD-80): a read of a timer that has expired and then
// has its time before it again, by a step back of the clock, returns 0 bytes
// and no count if the timer is periodic and cannot be cancelled,
// timerfd_create(2); it then goes on to expire as the clock now says. One
// without an interval has expired all the same.
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

// An ownClock is the clock of a machine that is the test's own.
type ownClock struct {
	tb         testing.TB
	difference time.Duration // of CLOCK_REALTIME to CLOCK_MONOTONIC, at first
}

// mustOwnClock skips rows that set the machine's clock where others live by it.
// It is set right at the end of the row.
func mustOwnClock(tb testing.TB) *ownClock {
	tb.Helper()
	if os.Getenv(guestVar) == "" {
		behaviour.Unprivileged(tb, "the machine's clock is not this test's to set: run it in a guest (go tool eventbench guest)")
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

var timerfdClockRows = map[string]func(*testing.T){
	"TFD-29": timerfdCancelled,
	"TFD-30": timerfdSettimeAfterStep,
	"TFD-31": timerfdCancelWithoutEffect,
	"TFD-32": timerfdSmallSteps,
	"TFD-33": timerfdCancelRace,
	"TFD-34": timerfdTimeNamespace,
	"TFD-35": timerfdSuspend,
	"TFD-42": timerfdSteppedClock,
	"TFD-73": timerfdCancelledPeriodic,
	"TFD-74": timerfdStaleStep,
	"TFD-75": timerfdStepWakesAll,
	"TFD-76": timerfdCancelledSetTicks,
	"TFD-80": timerfdUnblockedByStep,
	"TFD-82": timerfdAlarmCancelled,
}
