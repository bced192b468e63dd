//go:build linux

package eventbench

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
)

// An eventLoop is a correct form of the source's loop over a non-blocking
// eventfd. An eventfd adds up what is written to it, so it cannot carry the
// values themselves: they go through a queue and the eventfd counts how many
// are in it. A read may take any number of writes: as many values are there to
// be classified, and none is lost or seen twice.
type eventLoop struct {
	values queue[int]
	ready  int // eventfd, non-blocking: values that are in the queue
	stop   int // eventfd: written once, never read, so that all who wait see it
	timer  int // timerfd: the deadline
	epfd   int

	onQuiet func() error // called after each second without an event

	handled tally
	reads   int // how many reads of ready found something
	quiet   int // how many seconds had no event
	why     string
}

// tally counts values as the source does: a multiple of 3 is important; of
// the others some are even and some odd.
type tally struct{ important, even, odd int }

func (c *tally) add(v int) {
	switch {
	case v%3 == 0:
		c.important++
	case v%2 == 0:
		c.even++
	default:
		c.odd++
	}
}

func newEventLoop(tb testing.TB, deadline time.Duration) *eventLoop {
	tb.Helper()
	l := &eventLoop{
		ready: fdtest.Eventfd(tb, unix.EFD_NONBLOCK),
		stop:  fdtest.Eventfd(tb, 0),
		timer: mustArmedTimerfd(tb, deadline, 0),
	}
	l.epfd = fdtest.Epoll(tb, l.ready, l.stop, l.timer)
	return l
}

// produce hands over 1, 2, 3, ... with a pause after each until the loop is
// stopped, and returns the last.
func (l *eventLoop) produce(pause func(v int) time.Duration) (last int, err error) {
	for v := 1; ; v++ {
		// The value first: there must never be a count without a value.
		l.values.push(v)
		if err := eventfdWrite(l.ready, 1); err != nil {
			return v, err
		}
		if stopped, err := poll(l.stop, unix.POLLIN, pause(v)); err != nil || stopped != 0 {
			return v, err
		}
	}
}

// run is the loop. It ends at the deadline, when it stops the others too, or
// when another thread stops it.
func (l *eventLoop) run() error {
	last := time.Now() // time of the last event
	for {
		fds, err := epollWait(l.epfd, time.Until(last.Add(second)))
		if err != nil {
			return err
		}
		if len(fds) == 0 {
			l.quiet++
			if l.onQuiet != nil {
				if err := l.onQuiet(); err != nil {
					return err
				}
			}
			last = time.Now()
		}
		for _, fd := range fds {
			switch fd {
			case l.ready:
				if err := l.handle(); err != nil {
					return err
				}
				last = time.Now()
			case l.timer:
				l.why = "deadline"
				return eventfdWrite(l.stop, 1)
			case l.stop:
				l.why = "stop"
				return nil
			}
		}
	}
}

// handle takes what the eventfd has counted. It is called once more after the
// producer has ended, for what came between the stop and that end.
func (l *eventLoop) handle() error {
	n, err := eventfdRead(l.ready)
	if err != nil {
		return err
	}
	l.reads++
	for ; n > 0; n-- {
		v, ok := l.values.pop()
		if !ok {
			return fmt.Errorf("the eventfd counted %d more values than there are", n)
		}
		l.handled.add(v)
	}
	return nil
}

// finish accounts for everything once producer and loop have ended.
func (l *eventLoop) finish(tb testing.TB, produced int) {
	tb.Helper()
	if ready, err := poll(l.ready, unix.POLLIN, 0); err != nil {
		tb.Fatal(err)
	} else if ready != 0 {
		if err := l.handle(); err != nil {
			tb.Fatal(err)
		}
	}
	wantEmpty(tb, l.ready)
	if v, ok := l.values.pop(); ok {
		tb.Errorf("%d is left in the queue", v)
	}
	var want tally
	for v := range produced {
		want.add(v + 1)
	}
	if l.handled != want {
		tb.Errorf("of %d values %+v were handled, want %+v", produced, l.handled, want)
	}
	if l.reads > produced {
		tb.Errorf("%d reads found something, want at most %d, the number of writes", l.reads, produced)
	}
}

// Per timerfd_create(2) a timerfd becomes readable when its time has come, not
// before; per epoll_wait(2) a wait reports all that is ready by then. The
// source's program: the producer pauses for 0.5 to 1.5 s, the loop ends after
// 10 s, stops the producer, joins it, and every value is accounted for.
func TestLoopDeadline(t *testing.T) {
	t.Parallel()
	start := time.Now()
	l := newEventLoop(t, 10*second)
	produced := 0
	producer := child.Go(t, "producer", func() (err error) {
		produced, err = l.produce(func(v int) time.Duration { return second/2 + second*time.Duration(v*7%11)/10 })
		return err
	})
	loop := child.Go(t, "loop", l.run)
	loop.Join()
	if took := time.Since(start); l.why != "deadline" || took < 10*second {
		t.Errorf("loop ended by %s after %v; want by its deadline of %v, not before", l.why, took, 10*second)
	}
	producer.Join()
	// A second that ended after the deadline would not have been reported.
	if l.quiet > 10 {
		t.Errorf("%d reports of a quiet second in 10 s", l.quiet)
	}
	l.finish(t, produced)
}

// Per epoll_wait(2) it sleeps until a descriptor is ready: a second eventfd at
// once ends a loop that would otherwise sleep for ever. (The source sets a
// flag, which a sleeping loop does not see.)
func TestLoopStop(t *testing.T) {
	l := newEventLoop(t, 0)
	loop := child.Go(t, "loop", l.run)
	loop.AwaitBlocked(unix.SYS_EPOLL_PWAIT)
	mustWriteEventfd(t, l.stop, 1)
	loop.Join()
	if l.why != "stop" {
		t.Errorf("loop ended by %q, want by the stop", l.why)
	}
	l.finish(t, 0)

	// The same for a busy loop, with a producer that the same write stops.
	l = newEventLoop(t, 0)
	produced := 0
	producer := child.Go(t, "producer", func() (err error) {
		produced, err = l.produce(func(int) time.Duration { return time.Millisecond })
		return err
	})
	loop = child.Go(t, "loop", l.run)
	pause()
	mustWriteEventfd(t, l.stop, 1)
	loop.Join()
	producer.Join()
	l.finish(t, produced)
}

// Per eventfd(2) a read takes all writes before it: 30 values that were
// written before the loop began are one event to epoll and one read, and still
// 30 values to classify.
func TestLoopMergedWrites(t *testing.T) {
	l := newEventLoop(t, 0)
	for v := 1; v <= 30; v++ {
		l.values.push(v)
		mustWriteEventfd(t, l.ready, 1)
	}
	loop := child.Go(t, "loop", l.run)
	awaitTrue(t, "read", func() bool { ready, err := poll(l.ready, unix.POLLIN, 0); return err == nil && ready == 0 })
	mustWriteEventfd(t, l.stop, 1)
	loop.Join()
	if want := (tally{10, 10, 10}); l.handled != want || l.reads != 1 {
		t.Errorf("%+v were handled in %d reads, want %+v in 1", l.handled, l.reads, want)
	}
	l.finish(t, 30)
}

// Per epoll_wait(2) a wait that times out returns 0, not before its time. The
// loop reports each second in which nothing came.
func TestLoopQuiet(t *testing.T) {
	l := newEventLoop(t, 0)
	l.onQuiet = func() error {
		if l.quiet < 3 {
			return nil
		}
		return eventfdWrite(l.stop, 1)
	}
	start := time.Now()
	child.Go(t, "loop", l.run).Join()
	if took := time.Since(start); l.quiet != 3 || took < 3*second {
		t.Errorf("%d reports of a quiet second in %v, want 3 in at least %v", l.quiet, took, 3*second)
	}
	l.finish(t, 0)
}

// A queue carries the values: an eventfd only counts them.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
}

func (q *queue[T]) push(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return v, false
	}
	v, q.items = q.items[0], q.items[1:]
	return v, true
}

// epollWait waits for events, epoll_wait(2), and returns the ready descriptors,
// or none if none was ready in time. It is epoll_pwait on every architecture,
// because arm64 has nothing else and AwaitBlocked must know which call it is.
func epollWait(epfd int, timeout time.Duration) (fds []int, err error) {
	end := time.Now().Add(timeout)
	var events [16]unix.EpollEvent
	for {
		n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events)),
			uintptr(len(events)), uintptr(millis(time.Until(end))), 0, 0)
		switch {
		case e == unix.EINTR:
		case e != 0:
			return nil, fmt.Errorf("epoll_pwait: %w", e)
		case n > 0 || !time.Now().Before(end):
			for _, ev := range events[:n] {
				fds = append(fds, int(ev.Fd))
			}
			return fds, nil
		}
	}
}

// timerfdRead returns how many times the timer has expired since the last read.
func timerfdRead(fd int) (uint64, error) {
	var buf [8]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("read of a timerfd: %w", err)
		case n != 8:
			return 0, fmt.Errorf("read of a timerfd: %d bytes, want 8", n)
		default:
			return binary.NativeEndian.Uint64(buf[:]), nil
		}
	}
}
