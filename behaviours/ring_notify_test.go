//go:build linux

package behaviours

import (
	"fmt"
	"sync/atomic"
	"testing"
	"unsafe"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// How a ring tells those who do not wait in it: by a registered eventfd, and by
// its own descriptor.

// ringTellsSleeper (RNG-07): a registered eventfd is posted when a request that
// waited completes, once, although the thread that submitted it sleeps elsewhere,
// even in a read of that eventfd.
func ringTellsSleeper(t *testing.T) {
	r := newNotifier(t, 8, 0, 0)
	told := newEventfd(t, 0, 0)
	if err := r.RegisterEventfd(told); err != nil {
		t.Fatal(err)
	}
	reader, writer := fdtest.Pipe(t)
	self := unix.Gettid()
	for n := range uint64(20) {
		r.ask(sys.PollRequest(reader, false, n+1))
		other := child.Go(t, "writer", func() error {
			child.AwaitBlocked(t, unix.Getpid(), self, unix.SYS_READ)
			_, err := unix.Write(writer, []byte("x"))
			return err
		})
		mustTake(t, told, 1)
		other.Join()
		r.want("the poll of a pipe", answer{data: n + 1, res: unix.POLLIN})
		mustRead(t, reader, "x")
	}
}

// ringTellsEpoll (RNG-08): the same in epoll_wait: the wait ends, with the
// eventfd or (since work of the ring interrupts it) with EINTR first, though no
// handler runs.
func ringTellsEpoll(t *testing.T) {
	r := newNotifier(t, 8, 0, 0)
	told := newEventfd(t, 0, 0)
	if err := r.RegisterEventfd(told); err != nil {
		t.Fatal(err)
	}
	epfd := fdtest.Epoll(t, told)
	reader, writer := fdtest.Pipe(t)
	self := unix.Gettid()
	for n := range uint64(20) {
		r.ask(sys.PollRequest(reader, false, n+1))
		other := child.Go(t, "writer", func() error {
			child.AwaitBlocked(t, unix.Getpid(), self, unix.SYS_EPOLL_PWAIT)
			_, err := unix.Write(writer, []byte("x"))
			return err
		})
		var events [2]unix.EpollEvent
		interrupted := 0
		for {
			got, err := epollPwait(epfd, events[:], -1)
			if err == unix.EINTR && interrupted == 0 {
				interrupted++
				continue
			}
			if got != 1 || err != nil || events[0].Events != unix.EPOLLIN {
				t.Fatalf("epoll_wait = %d, %v with %v after %d EINTR; want the eventfd", got, err, events[0], interrupted)
			}
			break
		}
		other.Join()
		mustTake(t, told, 1)
		r.want("the poll of a pipe", answer{data: n + 1, res: unix.POLLIN})
		mustRead(t, reader, "x")
	}
}

// ringEventfdOff (RNG-09): while IORING_CQ_EVENTFD_DISABLED is set in the
// completion queue's flags (since 5.8), completions do not post to the eventfd.
func ringEventfdOff(t *testing.T) {
	r := newRing(t)
	told := int32(newEventfd(t, 0, 0))
	wantErrno(t, "registering an eventfd", r.register(ioringRegisterEventfd, uintptr(unsafe.Pointer(&told)), 1), nil)
	const off = 1 << 0
	for range 3 {
		r.mustNop()
		wantCount(t, int(told), 1)
		atomic.StoreUint32(r.cqFlags, off)
		r.mustNop()
		r.mustNop()
		wantCount(t, int(told), 0)
		atomic.StoreUint32(r.cqFlags, 0)
	}
}

// ringEventfdAsync (RNG-10): an eventfd registered by REGISTER_EVENTFD_ASYNC
// (since 5.6) is posted for what completes later, not for what completes in the
// call that submits it.
func ringEventfdAsync(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	told := int32(newEventfd(t, 0, 0))
	const registerAsync = 7
	_, err := rawCall(unix.SYS_IO_URING_REGISTER, uintptr(r.FD), registerAsync, uintptr(unsafe.Pointer(&told)), 1)
	wantErrno(t, "registering an eventfd for what is asynchronous", err, nil)
	reader, writer := fdtest.Pipe(t)
	for range 3 {
		r.ask(sys.NopRequest(1), sys.NopRequest(2))
		r.want("two at once", answer{data: 1}, answer{data: 2})
		wantCount(t, int(told), 0)
	}
	r.ask(sys.NopRequest(1), sys.PollRequest(reader, false, 2))
	mustWrite(t, writer, "x")
	r.want("one later", answer{data: 1}, answer{data: 2, res: unix.POLLIN})
}

// ringIsPolled (RNG-11): a ring's descriptor is readable exactly while there is a
// completion to take, and writable while there is room for a request.
func ringIsPolled(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	polled := func(what string, want int16) {
		t.Helper()
		fds := []unix.PollFd{{Fd: int32(r.FD), Events: unix.POLLIN | unix.POLLOUT}}
		if _, err := unix.Ppoll(fds, new(unix.Timespec), nil); err != nil || fds[0].Revents != want {
			t.Errorf("%s: ppoll shows %#x, %v; want %#x", what, fds[0].Revents, err, want)
		}
	}
	for range 3 {
		polled("a ring with nothing", unix.POLLOUT)
		r.ask(sys.NopRequest(1))
		polled("a ring with a completion", unix.POLLIN|unix.POLLOUT)
		r.want("a nop", answer{data: 1})
	}
	polled("a ring with nothing left", unix.POLLOUT)
}

// ringInEpoll (RNG-12): in an epoll set a ring's descriptor is told of while there
// is a completion, and with EPOLLET once for each time that some come.
func ringInEpoll(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	level, edge := fdtest.Epoll(t, r.FD), fdtest.Epoll(t)
	fdtest.Add(t, edge, r.FD, unix.EPOLLIN|unix.EPOLLET)
	in := readiness{bits: unix.EPOLLIN, data: uint64(r.FD)}
	for n := range uint64(3) {
		wantReady(t, level)
		wantReady(t, edge)
		r.ask(sys.NopRequest(n + 1))
		wantReady(t, level, in)
		wantReady(t, level, in)
		wantReady(t, edge, in)
		wantReady(t, edge)
		r.want("a nop", answer{data: n + 1})
	}
	wantReady(t, level)
}

// ringWakesEpoll (RNG-13): a thread asleep in epoll_wait on a ring's descriptor
// is woken by a completion that another thread's request brings.
func ringWakesEpoll(t *testing.T) {
	r := newNotifier(t, 4, 0, 0)
	epfd := fdtest.Epoll(t, r.FD)
	reader, writer := fdtest.Pipe(t)
	for n := range uint64(20) {
		waiter := child.Go(t, "waiter", func() error {
			var events [2]unix.EpollEvent
			got, err := epollPwait(epfd, events[:], -1)
			if got != 1 || err != nil || events[0].Events&unix.EPOLLIN == 0 {
				return fmt.Errorf("epoll_wait = %d, %v with %v; want the ring", got, err, events[0])
			}
			return nil
		})
		r.ask(sys.PollRequest(reader, false, n+1))
		waiter.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
		mustWrite(t, writer, "x")
		r.want("the poll of a pipe", answer{data: n + 1, res: unix.POLLIN})
		// The waiter may come when its event is taken, and sleep again.
		r.ask(sys.NopRequest(100))
		waiter.Join()
		r.want("a nop", answer{data: 100})
		mustRead(t, reader, "x")
	}
}

var ringNotifyRows = map[string]func(*testing.T){
	"RNG-07": ringTellsSleeper,
	"RNG-08": ringTellsEpoll,
	"RNG-09": ringEventfdOff,
	"RNG-10": ringEventfdAsync,
	"RNG-11": ringIsPolled,
	"RNG-12": ringInEpoll,
	"RNG-13": ringWakesEpoll,
}
