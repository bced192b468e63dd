//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// POSIX timers: timer_create(2), timer_settime(2).

// timerSignals (SIG-78): a timer has one signal, which says how many expiries
// have passed since, goes to the process or to the thread of SIGEV_THREAD_ID,
// and carries the timer's value; without a sigevent it is SIGALRM with the
// timer's id.
func timerSignals(t testing.TB) {
	const sig = unix.Signal(41)
	interval := max(time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	blockAll(t)
	w := startWorker(t)
	info := func(timer rawsig.Timer, sig unix.Signal, overrun int32, value uint64) sys.Siginfo {
		return sys.Siginfo{Signo: int32(sig), Code: rawsig.SITimer, Pid: int32(timer), UID: overrun, Value: value}
	}
	once := func(timer rawsig.Timer, set sys.Sigset) (got sys.Siginfo) {
		t.Helper()
		mustSetTimer(t, timer, interval, 0)
		got, err := rawsig.Wait(set, child.Patience/2)
		wantErr(t, err, nil, "waiting for a timer's signal")
		return got
	}
	toProcess := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Value: 7, Signo: int32(sig), Notify: rawsig.NotifySignal})
	wantInfo(t, "SIGEV_SIGNAL", once(toProcess, sys.Sigs(sig)), info(toProcess, sig, 0, 7))
	plain := mustPosixTimer(t, unix.CLOCK_MONOTONIC, nil)
	wantInfo(t, "no sigevent", once(plain, sys.Sigs(unix.SIGALRM)), info(plain, unix.SIGALRM, 0, uint64(plain)))

	toThread := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Value: 8, Signo: int32(sig), Notify: rawsig.NotifyThreadID, TID: int32(w.Tid)})
	w.do(func() { wantInfo(t, "SIGEV_THREAD_ID", once(toThread, sys.Sigs(sig)), info(toThread, sig, 0, 8)) })
	mustSetTimer(t, toThread, interval, 0)
	w.do(func() { await(t, "the timer has expired", func() bool { return isPending(t, sig) }) })
	wantPending(t, 0) // it is the other thread's
	wantNone(t, sys.Sigs(sig))
	w.do(func() { mustTakeSignal(t, sys.Sigs(sig)) })

	none := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifyNone})
	mustSetTimer(t, none, interval, interval)
	start := time.Now()
	mustSetTimer(t, toProcess, interval, interval)
	time.Sleep(20 * interval)
	got := mustTakeSignal(t, sys.Sigs(sig))
	most := int32(time.Since(start) / interval)
	if n := got.UID; n < 10 || n > most {
		t.Errorf("%d expiries have passed after the first, want 10 to %d", n, most)
	}
	if n, err := toProcess.Overrun(); err != nil || int32(n) != got.UID {
		t.Errorf("timer_getoverrun = %d, %v; want %d as in the siginfo", n, err, got.UID)
	}
	wantInfo(t, "a periodic timer", got, info(toProcess, sig, got.UID, 7))
	mustSetTimer(t, toProcess, 0, 0)
	rawsig.Take(sys.Sigs(sig))
	wantPending(t, 0) // SIGEV_NONE has sent nothing
	spec, err := none.Get()
	if left := time.Duration(spec.Value.Nano()); err != nil || left <= 0 || left > interval {
		t.Errorf("timer_gettime of a timer that tells nobody = %v, %v; want up to %v", left, err, interval)
	}
}

// timerPrefersRunning (SIG-79): since 6.4 a timer's signal to the process goes
// to the thread that runs when the timer expires, if that belongs to the
// process and does not block it; before, to the first thread if that does not,
// as all signals. The timer of the process's own CPU time expires while a
// thread of it runs.
func timerPrefersRunning(t testing.TB) {
	const sig, runs = unix.Signal(41), 20
	// The busy thread blocks what would make it let go of its P: with one,
	// as on one CPU, nothing else would run.
	runtime.GOMAXPROCS(2)
	handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SARestart})
	timer := mustPosixTimer(t, unix.CLOCK_PROCESS_CPUTIME_ID, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifySignal})
	var stop atomic.Bool
	busy := child.Go(t, "busy thread", func() error {
		setMask(t, rawsig.Blockable&^sys.Sigs(sig))
		for !stop.Load() {
		}
		return nil
	})
	setMask(t, rawsig.Blockable&^sys.Sigs(sig))
	mustSetTimer(t, timer, 4*time.Millisecond, 4*time.Millisecond)
	for start := time.Now(); rawsig.Ran(sig) < runs && time.Since(start) < child.Patience/2; {
		// Asleep but for the handler's runs.
		unix.Ppoll(nil, &unix.Timespec{Nsec: int64(20 * time.Millisecond)}, nil)
	}
	mustSetTimer(t, timer, 0, 0)
	stop.Store(true)
	busy.Join()
	setMask(t, rawsig.Blockable)
	by := map[int64]int{}
	for _, r := range rawsig.Runs() {
		by[r.TID]++
	}
	want, who := os.Getpid(), "the first thread"
	if behaviour.Since(6, 4) {
		want, who = busy.Tid, "the busy thread"
	}
	if all := len(rawsig.Runs()); all < runs || by[int64(want)] < all*3/4 {
		t.Errorf("of %d runs of the handler (first thread %d, busy thread %d) %s had %d; want at least %d and most of them there",
			all, by[int64(os.Getpid())], by[int64(busy.Tid)], who, by[int64(want)], runs)
	}
}

// timerOfIgnored (SIG-80): a timer whose signal is ignored goes on: when the
// signal no longer is, expiries that passed are counted. Since 6.13 it comes as
// soon as that; before, with the next expiry. The signal of one without an
// interval is lost.
func timerOfIgnored(t testing.TB) {
	const sig = unix.Signal(41)
	interval := max(time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	// Ignored and not blocked by the first thread, which it is sent to.
	act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
	timer := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifySignal})
	start := time.Now()
	setMask(t, rawsig.Blockable&^sys.Sigs(sig))
	mustSetTimer(t, timer, interval, interval)
	time.Sleep(20 * interval)
	wantPending(t, 0)
	setMask(t, rawsig.Blockable)
	act(t, sig, rawsig.Action{})
	got, err := rawsig.Wait(sys.Sigs(sig), child.Patience/2)
	wantErr(t, err, nil, "waiting for a timer whose signal is no longer ignored")
	most := int32(time.Since(start) / interval)
	if got.Code != rawsig.SITimer || got.UID < 10 || got.UID > most {
		t.Errorf("the first signal after it was ignored has code %d and %d expiries that passed; want SI_TIMER and 10 to %d", got.Code, got.UID, most)
	}
	mustSetTimer(t, timer, 0, 0)
	drain(sys.Sigs(sig))

	// The next expiry is far away.
	act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
	setMask(t, rawsig.Blockable&^sys.Sigs(sig))
	mustSetTimer(t, timer, interval, time.Hour)
	time.Sleep(10 * interval)
	setMask(t, rawsig.Blockable)
	act(t, sig, rawsig.Action{})
	if behaviour.Since(6, 13) {
		got := mustTakeSignal(t, sys.Sigs(sig))
		wantInfo(t, "an expiry while it was ignored", got, sys.Siginfo{Signo: int32(sig), Code: rawsig.SITimer, Pid: int32(timer)})
	}
	wantNone(t, sys.Sigs(sig))
	// Once, ignored, is over.
	act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
	setMask(t, rawsig.Blockable&^sys.Sigs(sig))
	mustSetTimer(t, timer, interval, 0)
	time.Sleep(10 * interval)
	setMask(t, rawsig.Blockable)
	act(t, sig, rawsig.Action{})
	wantNone(t, sys.Sigs(sig))
}

// timerWithdraws (SIG-81): since 6.13 a signal that is pending when its timer
// is set anew, stopped or deleted does not come any more; before, it did.
func timerWithdraws(t testing.TB) {
	const sig, soon = unix.Signal(41), time.Millisecond
	blockAll(t)
	for what, c := range map[string]struct {
		change func(timer rawsig.Timer) error
	}{
		"set anew": {func(timer rawsig.Timer) error { _, err := timer.Set(time.Hour, 0); return err }},
		"stopped":  {func(timer rawsig.Timer) error { _, err := timer.Set(0, 0); return err }},
		"deleted":  {func(timer rawsig.Timer) error { return timer.Delete() }},
	} {
		timer := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Value: 9, Signo: int32(sig), Notify: rawsig.NotifySignal})
		mustSetTimer(t, timer, soon, 0)
		await(t, "the timer has expired", func() bool { return isPending(t, sig) })
		wantErr(t, c.change(timer), nil, "a timer that is %s", what)
		got, err := rawsig.Take(sys.Sigs(sig))
		if behaviour.Since(6, 13) {
			wantErr(t, err, unix.EAGAIN, "taking the signal of a timer that was %s", what)
		} else {
			wantErr(t, err, nil, "taking the signal of a timer that was %s", what)
			wantInfo(t, what, got, sys.Siginfo{Signo: int32(sig), Code: rawsig.SITimer, Pid: int32(timer), Value: 9})
		}
		wantNone(t, sys.Sigs(sig))
		wantPending(t, 0)
	}
}

// timersNotForked (SIG-113): a forked child has none of its parent's POSIX
// timers, under their ids or otherwise, and no interval timers,
// timer_create(2), getitimer(2); what the parent's send does not come to the
// child.
func timersNotForked(t testing.TB) {
	const sig = unix.Signal(41)
	interval := max(time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	blockAll(t)
	needQueue(t, 1)
	timer := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Value: 7, Signo: int32(sig), Notify: rawsig.NotifySignal})
	mustSetTimer(t, timer, time.Hour, 0)
	hour := unix.Itimerval{Value: unix.Timeval{Sec: 3600}, Interval: unix.Timeval{Sec: 7}}
	kinds := []unix.ItimerWhich{unix.ItimerReal, unix.ItimerVirtual, unix.ItimerProf}
	for _, which := range kinds {
		if _, err := unix.Setitimer(which, hour); err != nil {
			t.Fatalf("setitimer(%d): %v", which, err)
		}
		defer unix.Setitimer(which, unix.Itimerval{})
	}
	periodic := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig) + 1, Notify: rawsig.NotifySignal})
	mustSetTimer(t, periodic, interval, interval)

	a := fdtest.Arena(t)
	spec, pending := sys.Place(a, timerSpec(time.Hour, 0)), sys.Place(a, sys.Sigset(77))
	none := func(name string, nr uintptr, args ...uintptr) sys.Call {
		c := sys.Call{Name: name, Nr: nr, Want: -int(unix.EINVAL)}
		c.Args[0] = uintptr(timer)
		copy(c.Args[1:], args)
		return c
	}
	var left [3]*unix.Itimerval
	calls := []sys.Call{
		none("timer_gettime(parent's)", unix.SYS_TIMER_GETTIME, ptrTo(sys.Place(a, unix.ItimerSpec{}))),
		none("timer_settime(parent's)", unix.SYS_TIMER_SETTIME, 0, ptrTo(spec), 0),
		none("timer_getoverrun(parent's)", unix.SYS_TIMER_GETOVERRUN),
		none("timer_delete(parent's)", unix.SYS_TIMER_DELETE),
	}
	for i, which := range kinds {
		left[i] = sys.Place(a, hour)
		calls = append(calls, sys.Call{Name: "getitimer()", Nr: unix.SYS_GETITIMER, Args: [6]uintptr{uintptr(which), ptrTo(left[i])}})
	}
	// While the parent's timers send what they have.
	calls = append(calls, sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(a, unix.NsecToTimespec(int64(10*interval)))),
		sys.Call{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(pending), 8}})
	startBare(t, a, calls...).want(t)
	for i, which := range kinds {
		if *left[i] != (unix.Itimerval{}) {
			t.Errorf("the child's interval timer %d has %+v, want nothing", which, *left[i])
		}
	}
	if *pending != 0 {
		t.Errorf("the child has %#x pending, want nothing of the parent's timers", *pending)
	}
	// The parent's are as they were.
	mustTakeSignal(t, sys.Sigs(sig+1))
	old, err := timer.Set(interval, 0)
	if left := time.Duration(old.Value.Nano()); err != nil || left <= time.Hour/2 || left > time.Hour {
		t.Errorf("%v was left of the parent's timer, %v; want up to an hour", left, err)
	}
	got, err := rawsig.Wait(sys.Sigs(sig), child.Patience/2)
	wantErr(t, err, nil, "waiting for the parent's timer")
	wantInfo(t, "the parent's timer", got, sys.Siginfo{Signo: int32(sig), Code: rawsig.SITimer, Pid: int32(timer), Value: 7})
	for _, which := range kinds {
		if it, err := unix.Getitimer(which); err != nil || it.Value == (unix.Timeval{}) || it.Interval != hour.Interval {
			t.Errorf("the parent's interval timer %d has %+v, %v; want it as it was set", which, it, err)
		}
	}
}

// timersOverExec (SIG-114): execve deletes POSIX timers, and what they have
// sent and nobody has taken, and keeps interval timers, execve(2); other
// signals stay pending.
func timersOverExec(t *testing.T) {
	child.Start(t, timersBeforeExec, child.Options{Block: quiet}).Wait()
}

var (
	timersBeforeExec = child.Register("timers-before-exec", func(p *child.Proc) error {
		const sig = unix.Signal(41)
		expired, err := rawsig.NewTimer(unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifySignal})
		if err != nil {
			return fmt.Errorf("timer_create: %w", err)
		}
		armed, err := rawsig.NewTimer(unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig) + 1, Notify: rawsig.NotifySignal})
		if err != nil {
			return fmt.Errorf("timer_create: %w", err)
		}
		if _, err := expired.Set(time.Nanosecond, 0); err != nil {
			return err
		}
		for end := time.Now().Add(child.Patience / 2); ; time.Sleep(time.Millisecond) {
			if set, err := rawsig.Pending(); err != nil || set&sys.Sigs(sig) != 0 {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("a timer of 1ns has not expired")
			}
		}
		if err := rawsig.Kill(os.Getpid(), 43); err != nil {
			return err
		}
		for _, which := range []unix.ItimerWhich{unix.ItimerReal, unix.ItimerVirtual, unix.ItimerProf} {
			if _, err := unix.Setitimer(which, unix.Itimerval{Value: unix.Timeval{Sec: 3600}, Interval: unix.Timeval{Sec: 7}}); err != nil {
				return err
			}
		}
		if _, err := armed.Set(50*time.Millisecond, 0); err != nil {
			return err
		}
		return p.Exec(timersAfterExec, fmt.Sprint(int32(expired)), fmt.Sprint(int32(armed)))
	})
	timersAfterExec = child.Register("timers-after-exec", func(p *child.Proc) error {
		var errs []error
		fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
		for _, arg := range p.Args {
			n, err := strconv.Atoi(arg)
			if err != nil {
				return err
			}
			if _, err := rawsig.Timer(n).Get(); err != unix.EINVAL {
				fail("timer_gettime of timer %d after execve: %v, want EINVAL", n, err)
			}
			if err := rawsig.Timer(n).Delete(); err != unix.EINVAL {
				fail("timer_delete of timer %d after execve: %v, want EINVAL", n, err)
			}
		}
		for which := range unix.ItimerWhich(3) {
			it, err := unix.Getitimer(which)
			if err != nil || it.Value.Sec < 1800 || it.Value.Sec > 3600 || it.Interval != (unix.Timeval{Sec: 7}) {
				fail("interval timer %d after execve has %+v, %v; want up to an hour, and 7s", which, it, err)
			}
		}
		time.Sleep(100 * time.Millisecond) // one of the timers would have expired by now
		if set, err := rawsig.Pending(); err != nil || set&^stray != sys.Sigs(43) {
			fail("pending after execve are %#x, %v; want %#x, what was sent by kill", set, err, sys.Sigs(43))
		}
		return errors.Join(errs...)
	})
)

// timerAbsolute (SIG-115): with TIMER_ABSTIME timer_settime(2) takes a time of
// the timer's clock: a timer does not expire before it; one whose time has
// passed expires at once, and its signal has all the periods since; the old
// value is what was left.
func timerAbsolute(t testing.TB) {
	const sig, absolute = unix.Signal(41), 1 // TIMER_ABSTIME
	interval := max(10*time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	blockAll(t)
	needQueue(t, 1)
	for clock, name := range timerfdClockNames {
		timer := mustPosixTimer(t, clock, &rawsig.Event{Value: 7, Signo: int32(sig), Notify: rawsig.NotifySignal})
		set := func(value, interval time.Duration) (old unix.ItimerSpec) {
			t.Helper()
			spec := timerSpec(value, interval)
			err := rawsig.Do(unix.SYS_TIMER_SETTIME, uintptr(timer), absolute, uintptr(unsafe.Pointer(&spec)), uintptr(unsafe.Pointer(&old)))
			wantErr(t, err, nil, "CLOCK_%s: timer_settime to %v, %v", name, value, interval)
			return old
		}
		take := func(what string) sys.Siginfo {
			t.Helper()
			got, err := rawsig.Wait(sys.Sigs(sig), child.Patience/2)
			wantErr(t, err, nil, "CLOCK_%s: waiting for a timer %s", name, what)
			wantInfo(t, what, got, sys.Siginfo{Signo: int32(sig), Code: rawsig.SITimer, Pid: int32(timer), UID: got.UID, Value: 7})
			return got
		}
		for _, after := range []time.Duration{time.Microsecond, soon, 3*soon + 12345} {
			at := clockTime(t, clock) + after
			set(at, 0)
			got := take("of a time to come")
			if now := clockTime(t, clock); now < at-rounding || got.UID != 0 {
				t.Errorf("CLOCK_%s: a timer set to %v from then expired %v early with %d periods passed", name, after, at-now, got.UID)
			}
		}
		// The past, once and with periods.
		for _, past := range []time.Duration{1, clockTime(t, clock) / 2, clockTime(t, clock)} {
			set(past, 0)
			if got := take("of the past"); got.UID != 0 {
				t.Errorf("CLOCK_%s: %d periods have passed of a timer that has none", name, got.UID)
			}
			wantNone(t, sys.Sigs(sig))
		}
		const periods = 10
		at := clockTime(t, clock) - periods*interval - interval/2
		set(at, interval)
		got := take("of the past with a period")
		most := int32((clockTime(t, clock) - at) / interval)
		if got.UID < periods || got.UID > most {
			t.Errorf("CLOCK_%s: %d periods have passed after the first, want %d to %d", name, got.UID, periods, most)
		}
		if n, err := timer.Overrun(); err != nil || int32(n) != got.UID {
			t.Errorf("CLOCK_%s: timer_getoverrun = %d, %v; want %d as in the siginfo", name, n, err, got.UID)
		}
		// It goes on by its grid: its next points are at + n*interval.
		next := take("of the past after the first signal")
		if now := clockTime(t, clock); now < at+time.Duration(got.UID+1)*interval-rounding {
			t.Errorf("CLOCK_%s: point %d of a grid of %v came %v early, with %d passed", name, got.UID+1, interval, at+time.Duration(got.UID+1)*interval-now, next.UID)
		}
		// What was left is relative, and 0 disarms.
		at = clockTime(t, clock) + far
		set(at, time.Minute)
		drain(sys.Sigs(sig)) // of the periodic one, which before 6.13 may still be there
		before := clockTime(t, clock)
		old := set(0, 0)
		after := clockTime(t, clock)
		if left := time.Duration(old.Value.Nano()); left < at-after-rounding || left > at-before+rounding || old.Interval.Sec != 60 {
			t.Errorf("CLOCK_%s: the old value was %+v, want %v to %v and a minute", name, old, at-after, at-before)
		}
		if spec, err := timer.Get(); err != nil || spec.Value != (unix.Timespec{}) {
			t.Errorf("CLOCK_%s: a timer set to the absolute time 0 has %+v, %v; want it disarmed", name, spec, err)
		}
		time.Sleep(soon)
		wantNone(t, sys.Sigs(sig))
		wantErr(t, timer.Delete(), nil, "timer_delete")
	}
	wantPending(t, 0)
}

// timerErrors (SIG-111): what timers refuse: a sigevent or specification that
// cannot be read is EFAULT before all else; an unknown clock, way of
// notification, signal, thread or timer, and a time that is none, EINVAL; and
// nothing is changed by it.
func timerErrors(t testing.TB) {
	blockAll(t)
	needQueue(t, 1)
	other := zombie(t)
	a := fdtest.Arena(t)
	id := sys.Place(a, rawsig.Timer(77))
	create := func(clock int, event, id uintptr) error {
		return rawsig.Do(unix.SYS_TIMER_CREATE, uintptr(clock), event, id)
	}
	event := func(e rawsig.Event) uintptr { return ptrTo(sys.Place(a, e)) }
	good := event(rawsig.Event{Signo: 41})
	wantErr(t, create(99, badPointer, ptrTo(id)), unix.EFAULT, "timer_create with a bad sigevent and clock")
	wantErr(t, create(99, good, ptrTo(id)), unix.EINVAL, "timer_create of clock 99")
	wantErr(t, create(unix.CLOCK_MONOTONIC_COARSE, good, ptrTo(id)), unix.EOPNOTSUPP, "timer_create of a clock without timers")
	for what, e := range map[string]rawsig.Event{
		"an unknown notification": {Signo: 41, Notify: 99},
		"signal 0":                {Signo: 0, Notify: rawsig.NotifySignal},
		"signal 65":               {Signo: 65, Notify: rawsig.NotifySignal},
		"a negative signal":       {Signo: -1, Notify: rawsig.NotifySignal},
		"no thread":               {Signo: 41, Notify: rawsig.NotifyThreadID, TID: 0},
		"another process":         {Signo: 41, Notify: rawsig.NotifyThreadID, TID: int32(other)},
		"signal 0 to a thread":    {Signo: 0, Notify: rawsig.NotifyThreadID, TID: int32(unix.Gettid())},
	} {
		wantErr(t, create(unix.CLOCK_MONOTONIC, event(e), ptrTo(id)), unix.EINVAL, "timer_create with %s", what)
	}
	if *id != 77 {
		t.Errorf("a timer_create that failed stored the id %d", *id)
	}
	wantErr(t, create(unix.CLOCK_MONOTONIC, good, badPointer), unix.EFAULT, "timer_create with nowhere to put the id")

	timer := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: 41})
	mustSetTimer(t, timer, time.Hour, time.Minute)
	set := func(timer rawsig.Timer, spec uintptr) error {
		return rawsig.Do(unix.SYS_TIMER_SETTIME, uintptr(timer), 0, spec, 0)
	}
	const unknown = rawsig.Timer(1 << 30)
	wantErr(t, set(unknown, badPointer), unix.EFAULT, "timer_settime with a bad specification and timer")
	wantErr(t, set(timer, 0), unix.EINVAL, "timer_settime without a specification")
	for _, bad := range []unix.Timespec{{Nsec: -1}, {Nsec: 1e9}, {Sec: -1}} {
		wantErr(t, set(timer, ptrTo(sys.Place(a, unix.ItimerSpec{Value: bad}))), unix.EINVAL, "timer_settime with the value %+v", bad)
		wantErr(t, set(timer, ptrTo(sys.Place(a, unix.ItimerSpec{Interval: bad, Value: unix.Timespec{Sec: 1}}))), unix.EINVAL, "timer_settime with the interval %+v", bad)
	}
	spec, err := timer.Get()
	if left := time.Duration(spec.Value.Nano()); err != nil || left <= time.Hour/2 || left > time.Hour || spec.Interval.Sec != 60 {
		t.Errorf("timer_gettime = %+v, %v; want up to an hour and a minute, as set before the errors", spec, err)
	}
	wantErr(t, timer.Delete(), nil, "timer_delete")
	for _, gone := range []rawsig.Timer{timer, unknown, -1} {
		_, err := gone.Set(time.Hour, 0)
		wantErr(t, err, unix.EINVAL, "timer_settime of timer %d, which is not there", gone)
		_, err = gone.Get()
		wantErr(t, err, unix.EINVAL, "timer_gettime of timer %d, which is not there", gone)
		_, err = gone.Overrun()
		wantErr(t, err, unix.EINVAL, "timer_getoverrun of timer %d, which is not there", gone)
		wantErr(t, gone.Delete(), unix.EINVAL, "timer_delete of timer %d, which is not there", gone)
	}
	wantPending(t, 0)
}

// timerOfEndedThread (SIG-112): the signal of a timer whose thread has ended
// goes to nobody; the timer is there all the same.
func timerOfEndedThread(t testing.TB) {
	const sig, interval = unix.Signal(41), time.Millisecond
	blockAll(t)
	needQueue(t, 1)
	var timer rawsig.Timer
	th := child.Go(t, "ending thread", func() (err error) {
		timer, err = rawsig.NewTimer(unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifyThreadID, TID: int32(unix.Gettid())})
		return err
	})
	th.Join()
	if t.Failed() {
		return
	}
	eventually(t, "the ended thread is gone", func() bool { return rawsig.Tgkill(os.Getpid(), th.Tid, 0) != nil })
	mustSetTimer(t, timer, interval, interval)
	time.Sleep(10 * interval)
	wantPending(t, 0)
	wantNone(t, sys.Sigs(sig))
	mustSetTimer(t, timer, time.Hour, 0)
	spec, err := timer.Get()
	if left := time.Duration(spec.Value.Nano()); err != nil || left <= time.Hour/2 || left > time.Hour {
		t.Errorf("timer_gettime = %v, %v; want up to an hour", left, err)
	}
	wantErr(t, timer.Delete(), nil, "timer_delete")
	wantErr(t, timer.Delete(), unix.EINVAL, "timer_delete of a deleted timer")
}

// itimerOfZero (SIG-122): a value of 0 disarms each of the interval timers,
// setitimer(2), also those of the process's CPU time, whose expiries come with
// the ticks. An interval alone does not arm one.
func itimerOfZero(t testing.TB) {
	const period, idle = 10 * time.Millisecond, 40 * time.Millisecond
	blockAll(t)
	begun := time.Now()
	burn := func(d time.Duration, until func() bool) {
		t.Helper()
		for spent := 0 * d; spent < d && !until(); {
			before := clockTime(t, unix.CLOCK_PROCESS_CPUTIME_ID)
			for range 20_000 {
				atomic.AddUint64(&burnt, 1)
			}
			spent += clockTime(t, unix.CLOCK_PROCESS_CPUTIME_ID) - before
			if time.Since(begun) > child.Patience*3/4 {
				behaviour.Limited(t, "half a second of CPU time takes more than %v here: run it on a less busy machine", time.Since(begun).Round(time.Second))
			}
		}
	}
	for _, c := range []struct {
		which unix.ItimerWhich
		sig   unix.Signal
	}{{unix.ItimerReal, unix.SIGALRM}, {unix.ItimerVirtual, unix.SIGVTALRM}, {unix.ItimerProf, unix.SIGPROF}} {
		set := func(value, interval time.Duration) {
			t.Helper()
			if _, err := unix.Setitimer(c.which, unix.Itimerval{Value: unix.NsecToTimeval(int64(value)), Interval: unix.NsecToTimeval(int64(interval))}); err != nil {
				t.Fatalf("setitimer(%d): %v", c.which, err)
			}
		}
		// Handlers count, because the Go runtime insists on SIGPROF in
		// threads of its own.
		handle(t, c.sig, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SARestart})
		setMask(t, rawsig.Blockable&^sys.Sigs(c.sig))
		sent := func() bool { return rawsig.Ran(c.sig) > 0 }
		off := func(what string) {
			t.Helper()
			rawsig.Forget()
			if it, err := unix.Getitimer(c.which); err != nil || it.Value != (unix.Timeval{}) {
				t.Errorf("getitimer(%d) after %s: %+v, %v; want no time left", c.which, what, it, err)
			}
			burn(idle, func() bool { return false })
			if sent() {
				t.Errorf("interval timer %d after %s: it has sent signal %d within %v of CPU time", c.which, what, c.sig, idle)
			}
		}
		set(0, period)
		off("a value of 0 with an interval")
		set(period, period)
		start := time.Now()
		burn(10*idle, sent)
		if !sent() {
			t.Errorf("interval timer %d of %v has sent no signal %d within %v", c.which, period, c.sig, time.Since(start))
		}
		if it, err := unix.Getitimer(c.which); err != nil || it.Value == (unix.Timeval{}) {
			t.Errorf("getitimer(%d) of a periodic timer: %+v, %v; want some time left", c.which, it, err)
		}
		set(0, 0)
		off("a value of 0")
		set(period, 0)
		start = time.Now()
		burn(10*idle, sent)
		if !sent() {
			t.Errorf("interval timer %d of %v has sent no signal %d within %v", c.which, period, c.sig, time.Since(start))
		}
		off("its only expiry")
	}
}

// burnt is what time is spent on.
var burnt uint64

var signalTimerRows = map[string]func(*testing.T){
	"SIG-122": behaviour.Alone(itimerOfZero, quiet...),
	"SIG-78":  behaviour.Alone(timerSignals, quiet...),
	"SIG-79":  behaviour.Alone(timerPrefersRunning, quiet...),
	"SIG-80":  behaviour.Alone(timerOfIgnored, quiet...),
	"SIG-81":  behaviour.Alone(timerWithdraws, quiet...),
	"SIG-111": behaviour.Alone(timerErrors, quiet...),
	"SIG-112": behaviour.Alone(timerOfEndedThread, quiet...),
	"SIG-113": behaviour.Alone(timersNotForked, quiet...),
	"SIG-114": timersOverExec,
	"SIG-115": behaviour.Alone(timerAbsolute, quiet...),
}
