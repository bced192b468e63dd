//go:build linux

package behaviours

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
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

// Sources of all kinds in one loop, asked in all ways.

// loopAllKinds (INT-02): all kinds of descriptors that stay ready are served in
// turn, each once in a cycle, however little room there is; none starves.
func loopAllKinds(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	const sig = unix.SIGUSR1
	event, timer, signals := fdtest.Eventfd(t, 0), fdtest.Timerfd(t), fdtest.Signalfd(t, sig)
	sockets := fdtest.Socketpair(t)
	r, w := fdtest.Pipe(t)
	over := mustFork(t)
	pidfd, err := unix.PidfdOpen(over.TID, 0)
	switch err {
	case unix.ENOSYS:
		behaviour.Absent(t, "pidfd_open came with 5.3: %v", err)
	case unix.EPERM:
		behaviour.Refused(t, "pidfd_open: %v", err)
	}
	closable(t, pidfd, err)

	fdtest.Post(t, event)
	mustWrite(t, w, "x")
	mustWrite(t, sockets[1], "x")
	mustRaise(t, sig)
	if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	kinds := []int{event, timer, signals, pidfd, sockets[0], r}
	epfd := fdtest.Epoll(t)
	for _, fd := range kinds {
		mustAwait(t, fd)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN)
	}
	for _, room := range []int{1, 2, 4} {
		var got, want []int
		for len(want) < 4*len(kinds) {
			var events [8]unix.EpollEvent
			n, err := epollPwait(epfd, events[:room], 0)
			if n != room || err != nil {
				t.Fatalf("epoll_pwait with room for %d of %d = %d, %v", room, len(kinds), n, err)
			}
			for _, e := range events[:n] {
				got = append(got, int(e.Fd))
				want = append(want, kinds[len(want)%len(kinds)])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with room for %d: %v, want %v", room, got, want)
		}
	}
}

// loopTimerAndEvent (INT-07): a timer and an event that are there before the
// wait are reported in one, in the order in which they came.
func loopTimerAndEvent(t *testing.T) {
	for _, timerFirst := range []bool{false, true} {
		event, timer := fdtest.Eventfd(t, 0), fdtest.Timerfd(t)
		epfd := fdtest.Epoll(t, event, timer)
		expire := func() {
			if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
				t.Fatal(err)
			}
			mustAwait(t, timer)
		}
		if timerFirst {
			expire()
			fdtest.Post(t, event)
			wantReady(t, epfd, ready(timer, unix.EPOLLIN), ready(event, unix.EPOLLIN))
		} else {
			fdtest.Post(t, event)
			expire()
			wantReady(t, epfd, ready(event, unix.EPOLLIN), ready(timer, unix.EPOLLIN))
		}
	}
}

// loopTimerfdAsTimeout (INT-08): a timerfd in the set is another timeout of the
// loop: not early either, and not widened by the thread's timer slack, as the
// wait's own is.
func loopTimerfdAsTimeout(t *testing.T) {
	const timeout = 2 * time.Millisecond
	timer := fdtest.Timerfd(t)
	epfd := fdtest.Epoll(t, timer)
	empty := fdtest.Epoll(t)
	byTimerfd := func() error {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timeout))}
		if err := unix.TimerfdSettime(timer, 0, &spec, nil); err != nil {
			return err
		}
		var events [4]unix.EpollEvent
		n, err := epollPwait(epfd, events[:], int(child.Patience/time.Millisecond))
		if n == 0 && err == nil {
			return errors.New("the timerfd did not end epoll_pwait")
		}
		return err
	}
	byTimeout := func() error {
		var events [4]unix.EpollEvent
		_, err := epollPwait(empty, events[:], int(timeout/time.Millisecond))
		return err
	}
	wantLater(t, "a wait's timeout", timeout, byTimeout, "a timerfd", byTimerfd)
}

// loopPpollPselect (INT-09): ppoll(2) and pselect(2) exchange the mask for the
// wait in one step, as epoll_pwait(2) does; they write back how much of their
// time is left, which their C library wrappers hide.
func loopPpollPselect(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	runs := fdtest.Handle(t, sig)
	shut, open := rawsig.Blockable, rawsig.Blockable&^sys.Sigs(sig)
	mustBlock(t, shut)
	type wait func(timeout *unix.Timespec, mask *sys.Sigset) (int, error)
	for name, wait := range map[string]wait{
		"ppoll": func(timeout *unix.Timespec, mask *sys.Sigset) (int, error) {
			p := unix.PollFd{Fd: int32(source), Events: unix.POLLIN}
			n, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1,
				uintptr(unsafe.Pointer(timeout)), uintptr(unsafe.Pointer(mask)), 8, 0)
			return int(n), errno
		},
		"pselect6": func(timeout *unix.Timespec, mask *sys.Sigset) (int, error) {
			var r unix.FdSet
			r.Set(source)
			arg := struct {
				mask *sys.Sigset
				size uintptr
			}{mask, 8}
			n, _, errno := unix.Syscall6(unix.SYS_PSELECT6, uintptr(source+1), uintptr(unsafe.Pointer(&r)), 0, 0,
				uintptr(unsafe.Pointer(timeout)), uintptr(unsafe.Pointer(&arg)))
			return int(n), errno
		},
	} {
		atomic.StoreUint64(runs, 0)
		check := func(what string, n int, err error, wantN int, wantErr unix.Errno) {
			t.Helper()
			if wantErr != 0 && err != wantErr || wantErr == 0 && (err != unix.Errno(0) || n != wantN) {
				t.Errorf("%s %s = %d, %v; want %d, %v", name, what, n, err, wantN, wantErr)
			}
			if now, err := rawsig.Mask(unix.SIG_BLOCK, nil); now != shut || err != nil {
				t.Errorf("after %s %s the mask is %#x, want %#x; %v", name, what, now, shut, err)
			}
		}
		minute := unix.Timespec{Sec: 60}
		// left must be less than there was, and not much.
		left := func(what string, ts unix.Timespec) {
			t.Helper()
			if ts.Sec != 59 || ts.Nsec < 0 || ts.Nsec > 999_999_999 {
				t.Errorf("%s %s leaves %+v of 60 seconds", name, what, ts)
			}
		}
		mustRaise(t, sig)
		ts := minute
		n, err := wait(&ts, &open)
		check("that lets a pending signal through", n, err, 0, unix.EINTR)
		if got := atomic.LoadUint64(runs); got != 1 {
			t.Errorf("the handler ran %d times in %s, want once", got, name)
		}
		left("that was interrupted", ts)

		mustRaise(t, sig)
		ts = unix.Timespec{Nsec: 2_000_000}
		n, err = wait(&ts, &shut)
		check("that does not let it through", n, err, 0, 0)
		if ts != (unix.Timespec{}) {
			t.Errorf("%s leaves %+v of time that is over", name, ts)
		}

		fdtest.Post(t, source)
		ts = minute
		n, err = wait(&ts, &shut)
		check("with an event", n, err, 1, 0)
		left("with an event", ts)
		// An event comes before a signal: that stays pending.
		n, err = wait(&ts, &open)
		check("with an event and a signal", n, err, 1, 0)
		if got := atomic.LoadUint64(runs); got != 1 || !isPending(t, sig) {
			t.Errorf("after %s with an event and a signal the handler ran %d times, the signal is pending: %t", name, got, isPending(t, sig))
		}
		if _, err := rawsig.Take(sys.Sigs(sig)); err != nil {
			t.Errorf("taking the signal: %v", err)
		}
		mustTake(t, source, 1)
	}
}

// loopSameAnswers (INT-10): poll(2), select(2) and epoll give the same answer
// about the same descriptor.
func loopSameAnswers(t *testing.T) {
	mustBlock(t, ^sys.Sigset(0))
	const sig = unix.SIGUSR1
	posted, full, empty := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Post(t, posted)
	if _, err := unix.Write(full, binary.NativeEndian.AppendUint64(nil, 1<<64-2)); err != nil {
		t.Fatal(err)
	}
	armed, expired := fdtest.Timerfd(t), fdtest.Timerfd(t)
	if err := unix.TimerfdSettime(armed, 0, &unix.ItimerSpec{Value: unix.Timespec{Sec: 3600}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.TimerfdSettime(expired, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	mustAwait(t, expired)
	pending, quiet := fdtest.Signalfd(t, sig), fdtest.Signalfd(t, unix.SIGUSR2)
	mustRaise(t, sig)
	r, w := fdtest.Pipe(t)
	fullReader, fullWriter, _, _ := mustClosablePipe(t)
	mustFill(t, fullWriter)
	hungReader, _, _, closeWriter := mustClosablePipe(t)
	closeWriter()
	_, brokenWriter, closeReader, _ := mustClosablePipe(t)
	closeReader()
	sockets, half := fdtest.Socketpair(t), fdtest.Socketpair(t)
	if err := unix.Shutdown(half[1], unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	ended, alive := mustFork(t), mustFork(t, sys.Read("eventfd", fdtest.Eventfd(t, 0), &forkWord, 8))
	const in, out, hup, err, rdhup = unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLHUP, unix.EPOLLERR, unix.EPOLLRDHUP
	cases := []struct {
		what string
		fd   int
		want uint32
	}{
		{"an eventfd with a count", posted, in | out},
		{"an eventfd at its limit", full, in},
		{"an eventfd at 0", empty, out},
		{"an armed timerfd", armed, 0},
		{"an expired timerfd", expired, in},
		{"a signalfd with a signal", pending, in},
		{"a signalfd without", quiet, 0},
		{"an epoll instance with an event", fdtest.Epoll(t, posted), in},
		{"an epoll instance without", fdtest.Epoll(t, empty), 0},
		{"an epoll instance of one with an event", fdtest.Epoll(t, fdtest.Epoll(t, posted)), in},
		{"the reader of an empty pipe", r, 0},
		{"its writer", w, out},
		{"the reader of a full pipe", fullReader, in},
		{"its writer", fullWriter, 0},
		{"the reader of a pipe without a writer", hungReader, hup},
		{"the writer of a pipe without a reader", brokenWriter, out | err},
		{"a socket", sockets[0], out},
		{"a socket whose peer has shut down", half[0], in | out | rdhup},
	}
	for _, p := range []struct {
		what string
		pid  int
		want uint32
	}{{"a pidfd of a process that has ended", ended.TID, in}, {"a pidfd of a process", alive.TID, 0}} {
		if fd, err := unix.PidfdOpen(p.pid, 0); err == nil {
			closable(t, fd, nil)
			if p.want != 0 {
				mustAwait(t, fd)
			}
			cases = append(cases, struct {
				what string
				fd   int
				want uint32
			}{p.what, fd, p.want})
		} else if err != unix.ENOSYS && err != unix.EPERM {
			t.Errorf("pidfd_open: %v", err)
		}
	}
	for _, c := range cases {
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, c.fd, in|out|rdhup|unix.EPOLLPRI)
		var want []readiness
		if c.want != 0 {
			want = append(want, ready(c.fd, c.want))
		}
		wantReady(t, epfd, want...)
		// poll(2)'s bits have the same values.
		p := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI | unix.POLLRDHUP}}
		if n, err := answered(func() (int, error) { return unix.Poll(p, 0) }); err != nil || p[0].Revents != int16(c.want) || (n == 1) != (c.want != 0) {
			t.Errorf("poll = %d, %v with revents %#x, want %#x", n, err, p[0].Revents, c.want)
		}
		var r, w, e unix.FdSet
		for _, set := range []*unix.FdSet{&r, &w, &e} {
			set.Set(c.fd)
		}
		// select(2) NOTES say which of them make a descriptor readable,
		// writable, exceptional.
		readable, writable := c.want&(in|hup|unix.EPOLLERR) != 0, c.want&(out|unix.EPOLLERR) != 0
		if _, err := answered(func() (int, error) { return unix.Select(c.fd+1, &r, &w, &e, &unix.Timeval{}) }); err != nil ||
			r.IsSet(c.fd) != readable || w.IsSet(c.fd) != writable || e.IsSet(c.fd) {
			t.Errorf("select: %v, readable %t, writable %t, exceptional %t; want %t, %t, false", err,
				r.IsSet(c.fd), w.IsSet(c.fd), e.IsSet(c.fd), readable, writable)
		}
		if t.Failed() {
			t.Fatalf("with %s", c.what)
		}
	}
}

// forkWord is where children read to: a copy of their own.
var forkWord uint64

// loopCompletions (INT-11): the eventfd that asynchronous input tells of its
// completion wakes a loop: of io_submit(2) (IOCB_FLAG_RESFD) and of io_uring(7)
// (IORING_REGISTER_EVENTFD).
func loopCompletions(t *testing.T) {
	file := mustOpen(t, filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT)
	mustWrite(t, file, "content")
	buf := mustMap(t, 1)
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	ctx, noAIO, whyNoAIO := setupAIO(t)
	if noAIO == "" {
		aio := &kernelAIO{ctx}
		s := startWait(t, epfd, 4, -1)
		for range 2 {
			if err := aio.read(file, buf, source); err != nil {
				t.Fatalf("io_submit: %v", err)
			}
		}
		s.want(ready(source, unix.EPOLLIN))
		for range 2 {
			if res, err := aio.wait(); res != 7 || err != nil {
				t.Errorf("the read is complete with %d, %v; want 7", res, err)
			}
		}
		if string(buf[:7]) != "content" {
			t.Errorf("read %q", buf[:7])
		}
		mustTake(t, source, 2)
		wantReady(t, epfd)
	}

	ring, noRing, whyNoRing := newUring(t)
	if ring != nil {
		const registerEventfd = 4
		fd := int32(source)
		if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring.fd), registerEventfd, uintptr(unsafe.Pointer(&fd)), 1, 0, 0); errno != 0 {
			t.Fatalf("io_uring_register of an eventfd: %v", errno)
		}
		const opNop, opPollAdd = 0, 6
		if res := ring.do(t, uringEntry{opcode: opNop}); res != 0 {
			t.Errorf("a request to do nothing = %d", res)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		mustTake(t, source, 1)
		// One that is complete later, from where the event happens.
		r, w := fdtest.Pipe(t)
		ring.submit(t, uringEntry{opcode: opPollAdd, fd: int32(r), opFlags: unix.POLLIN})
		s := startWait(t, epfd, 4, -1)
		mustWrite(t, w, "x")
		if res := ring.wait(t); res&unix.POLLIN == 0 {
			t.Errorf("a request to poll = %d, want POLLIN", res)
		}
		s.want(ready(source, unix.EPOLLIN))
	}
	switch {
	case noAIO != "" && noRing != "":
		behaviour.Skip(t, noAIO, "%s; %s", whyNoAIO, whyNoRing)
	case noAIO != "":
		behaviour.Partly(t, noAIO, "%s", whyNoAIO)
	case noRing != "":
		behaviour.Partly(t, noRing, "%s", whyNoRing)
	}
}

var loopSourceRows = map[string]func(*testing.T){
	"INT-02": loopAllKinds,
	"INT-07": loopTimerAndEvent,
	"INT-08": loopTimerfdAsTimeout,
	"INT-09": loopPpollPselect,
	"INT-10": loopSameAnswers,
	"INT-11": loopCompletions,
}
