//go:build linux

package eventbench

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// POSIX timers: further rows of TestSignal.

var signalTimerRows = map[string]func(*testing.T){
	"SIG-78":  behaviour.Alone(timerSignals, quiet...),
	"SIG-79":  behaviour.Alone(timerPrefersRunning, quiet...),
	"SIG-80":  behaviour.Alone(timerOfIgnored, quiet...),
	"SIG-81":  behaviour.Alone(timerWithdraws, quiet...),
	"SIG-111": behaviour.Alone(timerErrors, quiet...),
	"SIG-112": behaviour.Alone(timerOfEndedThread, quiet...),
}

// timerSignals: a timer has one signal, which says how many expiries have passed since, goes to the process or to the
// thread of SIGEV_THREAD_ID, and carries the timer's value; without a sigevent it is SIGALRM with the timer's id.
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

// timerPrefersRunning: since 6.4 a timer's signal to the process goes to the thread that runs when the timer expires, if that
// belongs to the process and does not block it; before, to the first thread if that does not, as all signals. The timer of
// the process's own CPU time expires while a thread of it runs.
func timerPrefersRunning(t testing.TB) {
	const sig, runs = unix.Signal(41), 20
	// The busy thread blocks what would make it let go of its P: with one, as on one CPU, nothing else would run.
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

// timerOfIgnored: a timer whose signal is ignored goes on: when the signal no longer is, expiries that passed are counted. Since
// 6.13 it comes as soon as that; before, with the next expiry. The signal of one without an interval is lost.
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

// timerWithdraws: since 6.13 a signal that is pending when its timer is set anew, stopped or deleted does not come any more;
// before, it did.
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

// timerErrors: what timers refuse: a sigevent or specification that cannot be read is EFAULT before all else; an unknown
// clock, way of notification, signal, thread or timer, and a time that is none, EINVAL; and nothing is changed by it.
func timerErrors(t testing.TB) {
	blockAll(t)
	needQueue(t, 1)
	other := zombie(t)
	a := mustArena(t)
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

// timerOfEndedThread: the signal of a timer whose thread has ended goes to nobody; the timer is there all the same.
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

// mustPosixTimer makes a POSIX timer and deletes it at the end of the test.
func mustPosixTimer(tb testing.TB, clock int, event *rawsig.Event) rawsig.Timer {
	tb.Helper()
	timer, err := rawsig.NewTimer(clock, event)
	if err == unix.EAGAIN {
		behaviour.Limited(tb, "timer_create: %v: raise RLIMIT_SIGPENDING (ulimit -i)", err)
	}
	if err != nil {
		tb.Fatalf("timer_create: %v", err)
	}
	tb.Cleanup(func() { timer.Delete() })
	return timer
}

// mustSetTimer arms a POSIX timer; a value of 0 stops it.
func mustSetTimer(tb testing.TB, timer rawsig.Timer, value, interval time.Duration) {
	tb.Helper()
	if _, err := timer.Set(value, interval); err != nil {
		tb.Fatalf("timer_settime: %v", err)
	}
}
