//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Waits beside epoll's: poll(2), select(2), their variants, futex(2), sleeps.

// loopNeverEarly (INT-23): no wait ends by its timeout before that is over, by
// CLOCK_MONOTONIC: not a short one, nor a long one, of which a small part is
// more than what wakes any wait late.
func loopNeverEarly(t *testing.T) {
	blockAll(t)
	type wait struct {
		*bare
		timedWait
		length        time.Duration
		before, after *unix.Timespec
	}
	var all []wait
	for _, length := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond} {
		a := fdtest.Arena(t)
		for _, w := range timedWaits(t, a, length) {
			x := wait{timedWait: w, length: length, before: sys.Place(a, unix.Timespec{}), after: sys.Place(a, unix.Timespec{})}
			x.bare = startBare(t, a, readClock(x.before), w.call(w.over), readClock(x.after))
			all = append(all, x)
		}
	}
	for _, x := range all {
		x.want(t)
		if !x.loop.Ended() {
			continue
		}
		start, end := time.Duration(x.before.Nano()), time.Duration(x.after.Nano())
		if x.until != 0 && end < x.until {
			t.Errorf("%s ended %v early", x.name, x.until-end)
		} else if x.until == 0 && end-start < x.length {
			t.Errorf("%s of %v took %v", x.name, x.length, end-start)
		}
	}
}

// loopMaskRestored (INT-24): the mask of ppoll(2), pselect6(2) and
// epoll_pwait(2) is in force for the wait alone: however it ends, with an
// event, when its time is over, by a signal or an error, the thread has its own
// again.
func loopMaskRestored(t testing.TB) {
	const sig = unix.Signal(40)
	blockAll(t)
	needQueue(t, 1)
	handle(t, sig, rawsig.Handler{Flags: rawsig.SAOnstack})
	a := fdtest.Arena(t)
	r, w := fdtest.Pipe(t)
	if r >= unix.FD_SETSIZE-1 {
		t.Fatalf("descriptor %d is beyond what select(2) can ask for", r)
	}
	epfd := fdtest.Epoll(t, r)
	own := rawsig.Blockable
	open := sys.Place(a, rawsig.Blockable&^sys.Sigs(sig))
	pair := a.Words(2) // pselect6's sixth argument
	pair[0], pair[1] = uint64(ptrTo(open)), 8
	zero, short := sys.Place(a, unix.Timespec{}), sys.Place(a, unix.Timespec{Nsec: 1_000_000})
	never := uintptr(0)
	badTime := sys.Place(a, unix.Timespec{Nsec: -1})
	calls := map[string]func(timeout uintptr, fds bool) (int, error){
		"ppoll": func(timeout uintptr, good bool) (int, error) {
			fds := sys.Place(a, unix.PollFd{Fd: int32(r), Events: unix.POLLIN})
			at := ptrTo(fds)
			if !good {
				at = badPointer
			}
			return rawCall(unix.SYS_PPOLL, at, 1, timeout, ptrTo(open), 8)
		},
		"pselect6": func(timeout uintptr, good bool) (int, error) {
			set := sys.Place(a, unix.FdSet{})
			set.Set(r)
			at := ptrTo(set)
			if !good {
				at = badPointer
			}
			return rawCall(unix.SYS_PSELECT6, uintptr(r+1), at, 0, 0, timeout, ptrTo(&pair[0]))
		},
		"epoll_pwait": func(timeout uintptr, good bool) (int, error) {
			ms := minusOne
			switch timeout {
			case ptrTo(zero):
				ms = 0
			case ptrTo(short):
				ms = 1
			case ptrTo(badTime):
				return -1, unix.EINVAL // it has no time that is none
			}
			fd := uintptr(epfd)
			if !good {
				fd = minusOne
			}
			return rawCall(unix.SYS_EPOLL_PWAIT, fd, ptrTo(sys.Place(a, unix.EpollEvent{})), 1, ms, ptrTo(open), 8)
		},
	}
	for name, call := range calls {
		try := func(how string, timeout uintptr, good bool, want int, wantErr error) {
			t.Helper()
			*zero, *short, *badTime = unix.Timespec{}, unix.Timespec{Nsec: 1_000_000}, unix.Timespec{Nsec: -1}
			if timeout == never && want == 0 && wantErr == nil {
				t.Fatalf("%s would wait for ever", name)
			}
			n, err := call(timeout, good)
			if n == -1 {
				n = 0
			}
			if n != want || err != wantErr {
				t.Errorf("%s %s = %d, %v; want %d, %v", name, how, n, errName(err), want, errName(wantErr))
			}
			wantMask(t, fmt.Sprintf("after %s %s", name, how), own)
		}
		fault := unix.EFAULT
		if name == "epoll_pwait" {
			fault = unix.EBADF
		}
		try("with no time", ptrTo(zero), true, 0, nil)
		try("whose time is over", ptrTo(short), true, 0, nil)
		try("with a bad argument", ptrTo(short), false, 0, fault)
		try("with a time that is none", ptrTo(badTime), true, 0, unix.EINVAL)
		mustWrite(t, w, "x")
		try("with an event", never, true, 1, nil)
		mustRead(t, r, "x")
		rawsig.Forget()
		wantErr(t, rawsig.Raise(sig), nil, "tgkill(self)")
		try("with a signal", never, true, 0, unix.EINTR)
		if ran := rawsig.Ran(sig); ran != 1 {
			t.Errorf("%s with a signal: the handler ran %d times, want once", name, ran)
		}
		if run := rawsig.Runs(); len(run) > 0 && run[0].Restore != own {
			t.Errorf("%s with a signal: the handler returns to the mask %#x, want %#x", name, run[0].Restore, own)
		}
	}
}

// loopExactBits (INT-25): poll(2), epoll(7) and select(2) report for each kind
// of file exactly the bits that its kind has, whatever is asked for: RDNORM and
// WRNORM beside IN and OUT where there is data, neither where there are only
// counts.
func loopExactBits(t *testing.T) {
	blockAll(t)
	const (
		in, out         = unix.POLLIN, unix.POLLOUT
		data, room      = unix.POLLIN | unix.EPOLLRDNORM, unix.POLLOUT | unix.EPOLLWRNORM
		band            = unix.EPOLLWRBAND
		hangup, failure = unix.POLLHUP, unix.POLLERR
	)
	check := func(what string, fd int, want uint32) {
		t.Helper()
		p := []unix.PollFd{{Fd: int32(fd), Events: 0x7fff &^ unix.POLLNVAL}}
		if _, err := answered(func() (int, error) { return unix.Ppoll(p, &unix.Timespec{}, nil) }); err != nil || uint32(p[0].Revents) != want {
			t.Errorf("%s: ppoll for everything reports %#x, %v; want %#x", what, p[0].Revents, err, want)
			return
		}
		wantPolledOnly(t, fd, want)
	}
	e := fdtest.Eventfd(t, 0)
	check("an eventfd of 0", e, out)
	epfd := fdtest.Epoll(t, e)
	check("an epoll instance with nothing", epfd, 0)
	fdtest.Post(t, e)
	check("an eventfd of 1", e, in|out)
	check("an epoll instance with an event", epfd, data)
	check("a timerfd that is not armed", fdtest.Timerfd(t), 0)
	check("a timerfd that has expired", expiredTimerfd(t, 0), in)
	sfd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	check("a signalfd with nothing", sfd, 0)
	mustRaise(t, unix.SIGUSR1)
	check("a signalfd with a signal", sfd, in)
	r, w, closeReader, _ := mustClosablePipe(t)
	check("an empty pipe's reader", r, 0)
	check("an empty pipe's writer", w, room)
	mustWrite(t, w, "x")
	check("a pipe's reader with data", r, data)
	mustFill(t, w)
	check("a full pipe's writer", w, 0)
	closeReader()
	check("a full pipe's writer without readers", w, failure)
	r, _, _, closeWriter := mustClosablePipe(t)
	closeWriter()
	check("an empty pipe's reader without writers", r, hangup)
	pair := fdtest.Socketpair(t)
	check("a unix stream socket", pair[0], room|band)
	mustWrite(t, pair[1], "x")
	check("a unix stream socket with data", pair[0], data|room|band)
	x, y := mustUDP(t)
	check("a UDP socket", x, room|band)
	mustWrite(t, y, "x")
	mustAwait(t, x)
	check("a UDP socket with data", x, data|room|band)
	x, y = mustTCP(t)
	check("a TCP socket", x, room)
	mustWrite(t, y, "x")
	mustAwait(t, x)
	check("a TCP socket with data", x, data|room)
	listener, _, listen := mustTCPAddress(t)
	listen()
	check("a listening socket", listener, 0)
	pidfd := mustPidfd(t, os.Getpid())
	check("a running process's pidfd", pidfd, 0)
	if q, ok := mustQueueFile(t); ok {
		check("an empty message queue", q.fd, room)
		q.send()
		check("a full message queue", q.fd, data)
	}
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	closable(t, watch, err)
	check("an inotify instance with nothing", watch, 0)
	if master, slave, err := openTerminal(); err == nil {
		closable(t, master, nil)
		closable(t, slave, nil)
		check("a terminal", slave, room)
	} else {
		behaviour.Partly(t, "absent", "a terminal: %v", err)
	}
	// What epoll refuses, poll always finds ready.
	p := []unix.PollFd{{Fd: int32(mustMemfd(t)), Events: 0x7fff &^ unix.POLLNVAL}}
	if _, err := answered(func() (int, error) { return unix.Ppoll(p, &unix.Timespec{}, nil) }); err != nil || uint32(p[0].Revents) != data|room {
		t.Errorf("a file in memory: ppoll for everything reports %#x, %v; want %#x", p[0].Revents, err, uint32(data|room))
	}
}

// loopPollArguments (INT-26): poll(2) passes over negative descriptors, marks
// with POLLNVAL those that are not open or have no file to ask (O_PATH), counts
// each entry of its own, and refuses more than RLIMIT_NOFILE of them; select(2)
// fails with EBADF for a bit that is no descriptor, leaves what lies beyond its
// number, and empties its sets when the time is over.
func loopPollArguments(t testing.TB) {
	r, w := fdtest.Pipe(t)
	mustWrite(t, w, "x")
	path := mustOpen(t, "/", unix.O_PATH)
	gone, closeGone := mustDup(t, r)
	closeGone()
	const untouched = 0x7777
	fds := []unix.PollFd{
		{Fd: -1, Events: unix.POLLIN, Revents: untouched},
		{Fd: int32(r), Events: unix.POLLIN, Revents: untouched},
		{Fd: ^int32(r), Events: unix.POLLIN, Revents: untouched},
		{Fd: int32(gone), Events: unix.POLLIN, Revents: untouched},
		{Fd: int32(r), Events: unix.POLLIN | unix.EPOLLRDNORM, Revents: untouched},
		{Fd: int32(r), Events: unix.POLLOUT, Revents: untouched},
		{Fd: int32(path), Revents: untouched},
	}
	want := []int16{0, unix.POLLIN, 0, unix.POLLNVAL, unix.POLLIN | unix.EPOLLRDNORM, 0, unix.POLLNVAL}
	calls := map[string]func(fds uintptr, n int) (int, error){
		"ppoll": func(fds uintptr, n int) (int, error) {
			return rawCall(unix.SYS_PPOLL, fds, uintptr(n), uintptr(unsafe.Pointer(&unix.Timespec{})), 0, 8)
		},
	}
	if plain.poll != 0 {
		calls["poll"] = func(fds uintptr, n int) (int, error) { return rawCall(plain.poll, fds, uintptr(n), 0) }
	}
	a := fdtest.Arena(t)
	for name, call := range calls {
		mem := sys.PollFds(a, len(fds))
		copy(mem, fds)
		if n, err := call(ptrTo(&mem[0]), len(mem)); n != 4 || err != nil {
			t.Errorf("%s of %d entries, two of them ready and two wrong = %d, %v; want 4", name, len(fds), n, err)
		}
		for i, fd := range mem {
			if fd.Revents != want[i] || fd.Fd != fds[i].Fd || fd.Events != fds[i].Events {
				t.Errorf("%s: entry %d is %+v afterwards, was %+v; want revents %#x", name, i, fd, fds[i], want[i])
			}
		}
		if n, err := call(badPointer, 1); err != unix.EFAULT {
			t.Errorf("%s of memory that is none = %d, %v; want EFAULT", name, n, err)
		}
		if n, err := call(badPointer, 0); n != 0 || err != nil {
			t.Errorf("%s of no entry = %d, %v; want 0", name, n, err)
		}
		var limit unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
			t.Fatal(err)
		}
		if limit.Cur < 1<<30 {
			if n, err := call(ptrTo(&mem[0]), int(limit.Cur)+1); err != unix.EINVAL {
				t.Errorf("%s of %d entries, one more than RLIMIT_NOFILE = %d, %v; want EINVAL", name, limit.Cur+1, n, err)
			}
		}
	}

	if r >= unix.FD_SETSIZE-64 || gone >= unix.FD_SETSIZE-64 {
		behaviour.Partly(t, "limit", "descriptors %d and %d are beyond what select(2) can ask for", r, gone)
		return
	}
	selects := func(n int, set *unix.FdSet) (int, error) {
		return rawCall(unix.SYS_PSELECT6, uintptr(n), uintptr(unsafe.Pointer(set)), 0, 0, uintptr(unsafe.Pointer(&unix.Timespec{})), 0)
	}
	set := &unix.FdSet{}
	set.Set(r)
	set.Set(gone)
	if n, err := selects(gone+1, set); err != unix.EBADF || !set.IsSet(r) || !set.IsSet(gone) {
		t.Errorf("pselect6 with a closed descriptor = %d, %v, sets left as they were: %t; want EBADF", n, err, set.IsSet(r) && set.IsSet(gone))
	}
	beyond := (r/64+1)*64 + 3 // in the next word
	set = &unix.FdSet{}
	set.Set(r)
	set.Set(beyond)
	if n, err := selects(r+1, set); n != 1 || err != nil || !set.IsSet(r) || !set.IsSet(beyond) {
		t.Errorf("pselect6 of the first %d = %d, %v; found: %t, bit %d is left: %t; want 1", r+1, n, err, set.IsSet(r), beyond, set.IsSet(beyond))
	}
	set = &unix.FdSet{}
	idle := fdtest.Eventfd(t, 0)
	if idle >= unix.FD_SETSIZE {
		t.Fatalf("descriptor %d is beyond what select(2) can ask for", idle)
	}
	set.Set(idle)
	if n, err := selects(idle+1, set); n != 0 || err != nil || *set != (unix.FdSet{}) {
		t.Errorf("pselect6 with nothing ready = %d, %v, the set is empty: %t; want 0, true", n, err, *set == (unix.FdSet{}))
	}
	if n, err := selects(-1, set); err != unix.EINVAL {
		t.Errorf("pselect6 of -1 descriptors = %d, %v; want EINVAL", n, err)
	}
}

var loopWaitRows = map[string]func(*testing.T){
	"INT-23": loopNeverEarly,
	"INT-24": behaviour.Alone(loopMaskRestored, quiet...),
	"INT-25": loopExactBits,
	"INT-26": behaviour.Alone(loopPollArguments),
}
