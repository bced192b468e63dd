//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// The calls that wait for an event until a time is over.

// A timedWait is such a call, ready to be made once.
type timedWait struct {
	name string
	nr   uintptr
	args [6]uintptr
	// endsOverStop: a stop ends it with EINTR, though no handler ran.
	endsOverStop bool
	// timeStops: over a stop its time stops as well.
	timeStops bool
	// over is its result when the time is over, told when there was an
	// event. event makes that; nil if only time ends the call.
	over, told int
	event      func()
	// left is the time that it says was left, nil if it does not say.
	left func() time.Duration
	// until is the absolute time at which it ends, or 0.
	until time.Duration
}

// call is for a bare process, and wants this result.
func (w timedWait) call(want int) sys.Call {
	return sys.Call{Name: w.name + "()", Nr: w.nr, Args: w.args, Want: want}
}

// plainWaits are the system calls that only some architectures have.
type plainWaits struct{ poll, selects, epollWait uintptr }

// timedWaits returns one of each, with this timeout from about now.
func timedWaits(t testing.TB, a *sys.Arena, timeout time.Duration) []timedWait {
	t.Helper()
	const timedOut = -int(unix.ETIMEDOUT)
	pipe := func() (fd int, event func()) {
		r, w := fdtest.Pipe(t)
		if r >= unix.FD_SETSIZE {
			t.Fatalf("descriptor %d is beyond what select(2) can ask for", r)
		}
		return r, func() { unix.Write(w, []byte{1}) }
	}
	spec := func() *unix.Timespec { return sys.Place(a, unix.NsecToTimespec(int64(timeout))) }
	specLeft := func(s *unix.Timespec) func() time.Duration {
		return func() time.Duration { return time.Duration(s.Nano()) }
	}
	ms := uintptr(timeout / time.Millisecond)
	pollFd := func(fd int) uintptr { return ptrTo(sys.Place(a, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})) }
	fdSet := func(fd int) uintptr {
		set := sys.Place(a, unix.FdSet{})
		set.Set(fd)
		return ptrTo(set)
	}
	epoll := func() (epfd int, event func()) {
		r, w := fdtest.Pipe(t)
		return fdtest.Epoll(t, r), func() { unix.Write(w, []byte{1}) }
	}
	var all []timedWait
	add := func(w timedWait) { all = append(all, w) }

	fd, event := pipe()
	s := spec()
	add(timedWait{name: "ppoll", nr: unix.SYS_PPOLL, args: [6]uintptr{pollFd(fd), 1, ptrTo(s), 0, 8}, told: 1, event: event, left: specLeft(s), timeStops: true})
	fd, event = pipe()
	s = spec()
	add(timedWait{name: "pselect6", nr: unix.SYS_PSELECT6, args: [6]uintptr{uintptr(fd + 1), fdSet(fd), 0, 0, ptrTo(s), 0}, told: 1, event: event, left: specLeft(s), timeStops: true})
	fd, event = epoll()
	add(timedWait{name: "epoll_pwait", nr: unix.SYS_EPOLL_PWAIT, args: [6]uintptr{uintptr(fd), ptrTo(sys.Place(a, unix.EpollEvent{})), 1, ms, 0, 8},
		endsOverStop: true, told: 1, event: event})
	if hasPwait2() {
		fd, event = epoll()
		add(timedWait{name: "epoll_pwait2", nr: unix.SYS_EPOLL_PWAIT2, args: [6]uintptr{uintptr(fd), ptrTo(sys.Place(a, unix.EpollEvent{})), 1, ptrTo(spec()), 0, 8},
			endsOverStop: true, told: 1, event: event})
	}
	if plain.poll != 0 {
		fd, event = pipe()
		add(timedWait{name: "poll", nr: plain.poll, args: [6]uintptr{pollFd(fd), 1, ms}, told: 1, event: event})
		fd, event = pipe()
		val := sys.Place(a, unix.NsecToTimeval(int64(timeout)))
		add(timedWait{name: "select", nr: plain.selects, args: [6]uintptr{uintptr(fd + 1), fdSet(fd), 0, 0, ptrTo(val)}, told: 1, event: event,
			left: func() time.Duration { return time.Duration(val.Nano()) }, timeStops: true})
		fd, event = epoll()
		add(timedWait{name: "epoll_wait", nr: plain.epollWait, args: [6]uintptr{uintptr(fd), ptrTo(sys.Place(a, unix.EpollEvent{})), 1, ms},
			endsOverStop: true, told: 1, event: event})
	}
	word := a.Word32(0)
	add(timedWait{name: "futex", nr: unix.SYS_FUTEX, args: [6]uintptr{ptrTo(word), sys.FutexOpWait, 0, ptrTo(spec())}, over: timedOut,
		event: func() { rawsig.Do(unix.SYS_FUTEX, ptrTo(word), sys.FutexOpWake, 1) }})
	s = spec()
	add(timedWait{name: "nanosleep", nr: unix.SYS_NANOSLEEP, args: [6]uintptr{ptrTo(s), ptrTo(s)}, left: specLeft(s)})
	s = spec()
	add(timedWait{name: "clock_nanosleep", nr: unix.SYS_CLOCK_NANOSLEEP, args: [6]uintptr{unix.CLOCK_MONOTONIC, 0, ptrTo(s), ptrTo(s)}, left: specLeft(s)})
	until := clockTime(t, unix.CLOCK_MONOTONIC) + timeout
	add(timedWait{name: "clock_nanosleep until a time", nr: unix.SYS_CLOCK_NANOSLEEP, until: until,
		args: [6]uintptr{unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, ptrTo(sys.Place(a, unix.NsecToTimespec(int64(until))))}})
	add(timedWait{name: "rt_sigtimedwait", nr: unix.SYS_RT_SIGTIMEDWAIT, args: [6]uintptr{ptrTo(sys.Place(a, sys.Sigs(50))), 0, ptrTo(spec()), 8},
		endsOverStop: true, over: -int(unix.EAGAIN)})
	return all
}

// asleep waits until a bare process sleeps in one of these calls, or has ended,
// which it tells. A call that the kernel has restarted may show as
// restart_syscall(2).
func asleep(t testing.TB, b *bare, calls ...uintptr) bool {
	t.Helper()
	seen := 0
	for end := time.Now().Add(child.Patience / 2); ; time.Sleep(100 * time.Microsecond) {
		if b.Gone() {
			return false
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", b.TID))
		nr, _, _ := strings.Cut(string(text), " ")
		n, errNr := strconv.Atoi(nr)
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.TID))
		_, state, _ := strings.Cut(string(stat), ") ")
		switch {
		case !strings.HasPrefix(state, "S"):
			seen = 0
		case err != nil: // gVisor: that it sleeps is all that shows
			seen++
		case errNr == nil && (n == unix.SYS_RESTART_SYSCALL || slices.Contains(calls, uintptr(n))):
			return true
		}
		if seen > 20 {
			return true
		}
		if time.Now().After(end) {
			t.Fatalf("%v neither sleeps in system call %v nor has ended: %s in state %.1s", b, calls, text, state)
		}
	}
}

// stopAndGo stops a bare process that sleeps and continues it.
func stopAndGo(t testing.TB, b *bare) {
	t.Helper()
	wantErr(t, rawsig.Kill(b.TID, unix.SIGSTOP), nil, "kill(child, SIGSTOP)")
	wantWaited(t, b.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
	wantErr(t, rawsig.Kill(b.TID, unix.SIGCONT), nil, "kill(child, SIGCONT)")
}

// readClock is for a bare process.
func readClock(at *unix.Timespec) sys.Call {
	return sys.Call{Name: "clock_gettime()", Nr: unix.SYS_CLOCK_GETTIME, Args: [6]uintptr{unix.CLOCK_MONOTONIC, ptrTo(at)}}
}
