//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Waiting: the arguments, results and time-outs of epoll_wait(2).

// epollWaitErrors (EPL-054): EBADF for a descriptor that is not open, EINVAL
// for one that is no epoll instance or for room for no event, epoll_wait(2).
func epollWaitErrors(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	events := make([]unix.EpollEvent, 4)
	check := func(fd, max int, want error) {
		t.Helper()
		n, err := epollPwaitAt(fd, uintptr(unsafe.Pointer(&events[0])), max, 0, 0, 0)
		if err != want {
			t.Errorf("epoll_pwait(%d, ..., %d) = %d, %v; want %v", fd, max, n, err, want)
		}
	}
	for _, bad := range badDescriptors(t) {
		check(bad, 4, unix.EBADF)
	}
	r, _ := fdtest.Pipe(t)
	for _, fd := range []int{source, r, mustOpen(t, "/", unix.O_RDONLY)} {
		check(fd, 4, unix.EINVAL)
	}
	check(mustOpen(t, "/", unix.O_PATH), 4, unix.EBADF)
	for _, max := range []int{0, -1, math.MinInt32} {
		check(epfd, max, unix.EINVAL)
	}
	if slices.ContainsFunc(events, func(e unix.EpollEvent) bool { return e != unix.EpollEvent{} }) {
		t.Errorf("a wait that failed wrote %v", readinessOf(events))
	}
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollMostEvents (EPL-055): room for as many events as fit into INT_MAX bytes
// may be given, not for one more. The size of an event is 12 bytes on x86-64
// (packed) and 16 elsewhere.
func epollMostEvents(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	var event unix.EpollEvent
	most := math.MaxInt32 / int(unsafe.Sizeof(event))
	if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&event)), most, 0, 0, 0); n != 1 || err != nil {
		t.Errorf("epoll_pwait with room for %d events = %d, %v; want 1", most, n, err)
	}
	for _, max := range []int{most + 1, math.MaxInt32} {
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&event)), max, 0, 0, 0); err != unix.EINVAL {
			t.Errorf("epoll_pwait with room for %d events = %d, %v; want EINVAL", max, n, err)
		}
	}
}

// epollWaitOrder (EPL-056): which of two errors is reported: the number of
// events was checked before the descriptor up to 6.14, and after it since.
func epollWaitOrder(t *testing.T) {
	want := unix.EINVAL
	if behaviour.Since(6, 15) {
		want = unix.EBADF
	}
	var event unix.EpollEvent
	for _, max := range []int{0, -1, math.MaxInt32} {
		if n, err := epollPwaitAt(-1, uintptr(unsafe.Pointer(&event)), max, 0, 0, 0); err != want {
			t.Errorf("epoll_pwait(-1, ..., %d) = %d, %v; want %v", max, n, err, want)
		}
	}
	// The buffer comes before the kind of the descriptor on all, and after
	// the number.
	kernel := -uintptr(os.Getpagesize())
	notEpoll := fdtest.Eventfd(t, 0)
	if _, err := epollPwaitAt(notEpoll, kernel, 1, 0, 0, 0); err != unix.EFAULT {
		t.Errorf("epoll_pwait of an eventfd into the kernel: %v, want EFAULT", err)
	}
	if _, err := epollPwaitAt(notEpoll, kernel, 0, 0, 0, 0); err != unix.EINVAL {
		t.Errorf("epoll_pwait of no event into the kernel: %v, want EINVAL", err)
	}
}

// epollUnusedBuffer (EPL-057): a buffer that cannot be written is not noticed
// while there is nothing to write, unless it is not the program's at all.
func epollUnusedBuffer(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	for what, p := range badPointers(t, unsafe.Sizeof(unix.EpollEvent{})) {
		var want error
		if what == kernelPointer {
			want = unix.EFAULT
		}
		if n, err := epollPwaitAt(epfd, p, 1, 0, 0, 0); n != 0 || err != want {
			t.Errorf("epoll_pwait with nothing ready into %s = %d, %v; want 0, %v", what, n, err, want)
		}
	}
}

// epollHalfBuffer (EPL-059): a fault after some events were stored is no error:
// they are returned, epoll_wait(2) being what read(2) is, and the others are
// not lost.
func epollHalfBuffer(t *testing.T) {
	const size = unsafe.Sizeof(unix.EpollEvent{})
	mem := mustMap(t, 2)
	page := uintptr(os.Getpagesize())
	if err := unix.Mprotect(mem[page:], unix.PROT_READ); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	for fit := range 4 {
		epfd := fdtest.Epoll(t)
		var want []readiness
		for i := range 4 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Post(t, fd)
			mode := uint32(unix.EPOLLET)
			if i%2 == 1 {
				mode = unix.EPOLLONESHOT
			}
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			want = append(want, ready(fd, unix.EPOLLIN))
		}
		start := page - uintptr(fit)*size
		n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&mem[start])), 4, 0, 0, 0)
		if fit == 0 {
			if err != unix.EFAULT {
				t.Errorf("epoll_pwait into a read-only page = %d, %v; want EFAULT", n, err)
			}
		} else if n != fit || err != nil {
			t.Errorf("epoll_pwait with room for %d of 4 events = %d, %v; want %d", fit, n, err, fit)
		} else {
			got := readinessOf(unsafe.Slice((*unix.EpollEvent)(unsafe.Pointer(&mem[start])), fit))
			if !slices.Equal(got, want[:fit]) {
				t.Errorf("epoll_pwait with room for %d of 4 events reports %v, want %v", fit, got, want[:fit])
			}
		}
		wantReady(t, epfd, want[fit:]...)
		wantReady(t, epfd)
	}
}

// epollTimeoutZero (EPL-060): a timeout of 0 makes the call a question,
// epoll_wait(2).
func epollTimeoutZero(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	wantReady(t, epfd)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	start := time.Now()
	for range 100 {
		wantReady(t, epfd)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("100 waits with timeout 0 took %v", took)
	}
	fdtest.Post(t, source)
	wantReady(t, epfd, ready(source, unix.EPOLLIN))
}

// epollNegativeTimeouts (EPL-061): epoll_wait(2) says that -1 is for ever; so
// are all others below 0.
func epollNegativeTimeouts(t *testing.T) {
	var sleepers []*sleeper
	source := fdtest.Eventfd(t, 0)
	for _, timeout := range []int{-1, -2, -1000, math.MinInt32} {
		sleepers = append(sleepers, startWait(t, fdtest.Epoll(t, source), 4, timeout))
	}
	stillAsleep(t, sleepers...)
	fdtest.Post(t, source)
	for _, s := range sleepers {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollNeverEarly (EPL-062): a wait ends by its timeout no earlier than that,
// by CLOCK_MONOTONIC, epoll_wait(2): a short one, and a long one, of which a
// small part is more than what wakes any wait late.
func epollNeverEarly(t *testing.T) {
	epfd := fdtest.Epoll(t, fdtest.Eventfd(t, 0))
	var long []*sleeper
	lengths := []time.Duration{50 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond}
	for _, length := range lengths {
		long = append(long, startSleep(t, "thread in a long epoll_pwait", func(s *sleeper) (int, error) {
			return epollPwait(epfd, s.events[:], int(length/time.Millisecond))
		}))
	}
	for range 3 {
		for _, ms := range []int{1, 2, 3, 5, 8} {
			s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) {
				return epollPwait(epfd, s.events[:], ms)
			})
			s.want()
			if want := time.Duration(ms) * time.Millisecond; s.took < want {
				t.Errorf("epoll_pwait with a timeout of %v took %v", want, s.took)
			}
		}
	}
	for i, s := range long {
		s.want()
		if s.took < lengths[i] {
			t.Errorf("epoll_pwait with a timeout of %v took %v", lengths[i], s.took)
		}
	}
}

// epollTimerSlack (EPL-063): a timeout is widened by the thread's timer slack,
// prctl(2) PR_SET_TIMERSLACK: the kernel may end the wait that much later, with
// other timers. A timerfd is not widened.
func epollTimerSlack(t *testing.T) {
	const timeout = time.Millisecond
	epfd, timer := fdtest.Epoll(t), fdtest.Timerfd(t)
	wait := func() error {
		var event [1]unix.EpollEvent
		_, err := epollPwait(epfd, event[:], int(timeout/time.Millisecond))
		return err
	}
	read := func() error {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timeout))}
		if err := unix.TimerfdSettime(timer, 0, &spec, nil); err != nil {
			return err
		}
		_, err := unix.Read(timer, make([]byte, 8))
		return err
	}
	wantLater(t, "epoll_pwait", timeout, wait, "a timerfd", read)
}

// epollHugeTimeouts (EPL-064): a timeout beyond what the kernel's clock can
// hold is a long one, and one that is over when the wait begins ends it: it did
// neither on some kernels (endless loop of 6.14's release candidates,
// d9ec73301099).
func epollHugeTimeouts(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	waits := []*sleeper{startWait(t, fdtest.Epoll(t, source), 4, math.MaxInt32)}
	if hasPwait2() {
		for _, timeout := range []unix.Timespec{
			{Sec: math.MaxInt64, Nsec: 999_999_999}, {Sec: math.MaxInt64 / 2}, {Sec: 9_223_372_036, Nsec: 854_775_807}, {Sec: 1 << 32},
		} {
			epfd := fdtest.Epoll(t, source)
			s := startSleep(t, "thread in epoll_pwait2", func(s *sleeper) (int, error) {
				return epollPwait2(epfd, s.events[:], &timeout)
			})
			s.AwaitBlocked(unix.SYS_EPOLL_PWAIT2)
			waits = append(waits, s)
		}
		epfd := fdtest.Epoll(t)
		for _, ns := range []int64{1, 10, 100, 1000} {
			s := startSleep(t, fmt.Sprintf("thread in epoll_pwait2 for %d ns", ns), func(s *sleeper) (n int, err error) {
				for range 20 {
					n, err = epollPwait2(epfd, s.events[:], &unix.Timespec{Nsec: ns})
					if n != 0 || err != nil {
						break
					}
				}
				return n, err
			})
			s.want()
		}
	}
	stillAsleep(t, waits...)
	fdtest.Post(t, source)
	for _, s := range waits {
		s.want(ready(source, unix.EPOLLIN))
	}
}

// epollEmptySet (EPL-065): an instance that watches nothing can be waited for;
// what is added meanwhile ends the wait once it is ready, epoll_wait(2) NOTES.
func epollEmptySet(t *testing.T) {
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	s := startSleep(t, "thread in epoll_pwait for 5 ms", func(s *sleeper) (int, error) {
		return epollPwait(epfd, s.events[:], 5)
	})
	s.want()
	if s.took < 5*time.Millisecond {
		t.Errorf("epoll_pwait of an empty set for 5ms took %v", s.took)
	}
	s = startWait(t, epfd, 4, -1)
	fdtest.Add(t, epfd, source, unix.EPOLLIN)
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
}

// epollAtMost (EPL-066): no more events than there is room for, epoll_wait(2),
// and nothing written behind them; the others come with the next calls, each
// once where they are edge-triggered.
func epollAtMost(t *testing.T) {
	for _, mode := range []uint32{unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		var fds []int
		for range 7 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			fdtest.Post(t, fd)
			fds = append(fds, fd)
		}
		var got []int
		for _, room := range []int{1, 3, 2, 4, 4} {
			var events [8]unix.EpollEvent
			for i := range events {
				events[i] = unix.EpollEvent{Events: 77, Fd: -77}
			}
			n, err := epollPwait(epfd, events[:room], 0)
			if want := min(room, len(fds)-len(got)); n != want || err != nil {
				t.Fatalf("epoll_pwait with room for %d events after %d of %d = %d, %v; want %d", room, len(got), len(fds), n, err, want)
			}
			for _, e := range events[:n] {
				got = append(got, int(e.Fd))
			}
			for i, e := range events[n:] {
				if e.Events != 77 || e.Fd != -77 {
					t.Errorf("event %d was overwritten by a wait that returned %d", n+i, n)
				}
			}
		}
		if !slices.Equal(got, fds) {
			t.Errorf("targets reported one by one: %v, want %v", got, fds)
		}
	}
}

// epollRoundRobin (EPL-067): successive waits with little room go round what is
// ready, epoll_wait(2) NOTES.
func epollRoundRobin(t *testing.T) {
	epfd := fdtest.Epoll(t)
	for i := range 5 {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][]readiness{
		{{unix.EPOLLIN, 0}, {unix.EPOLLIN, 1}}, {{unix.EPOLLIN, 2}, {unix.EPOLLIN, 3}}, {{unix.EPOLLIN, 4}, {unix.EPOLLIN, 0}},
		{{unix.EPOLLIN, 1}, {unix.EPOLLIN, 2}}, {{unix.EPOLLIN, 3}, {unix.EPOLLIN, 4}}, {{unix.EPOLLIN, 0}, {unix.EPOLLIN, 1}},
	} {
		var events [2]unix.EpollEvent
		n, err := epollPwait(epfd, events[:], 0)
		if got := readinessOf(events[:n]); err != nil || !slices.Equal(got, want) {
			t.Errorf("epoll_pwait with room for 2 reports %v, %v; want %v", got, err, want)
		}
	}
}

// epollFirstInFirstOut (EPL-068): targets are reported in the order in which
// they became ready, not that in which they were added; a second event does not
// move one, becoming ready anew does.
func epollFirstInFirstOut(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		var fds []int
		for range 4 {
			fd := fdtest.Eventfd(t, 0)
			fdtest.Add(t, epfd, fd, unix.EPOLLIN|mode)
			fds = append(fds, fd)
		}
		for _, i := range []int{2, 0, 3, 2, 1, 0} {
			fdtest.Post(t, fds[i])
		}
		in := func(i int) readiness { return ready(fds[i], unix.EPOLLIN) }
		wantReady(t, epfd, in(2), in(0), in(3), in(1))
	}
	// What is no longer ready has not kept its place.
	epfd, a, b := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, a, unix.EPOLLIN)
	fdtest.Add(t, epfd, b, unix.EPOLLIN)
	fdtest.Post(t, a)
	mustTake(t, a, 1)
	wantReady(t, epfd)
	fdtest.Post(t, b)
	fdtest.Post(t, a)
	wantReady(t, epfd, ready(b, unix.EPOLLIN), ready(a, unix.EPOLLIN))
}

// epollMisaligned (EPL-119): the events may be stored at any address.
func epollMisaligned(t *testing.T) {
	const size = unsafe.Sizeof(unix.EpollEvent{})
	epfd, other := fdtest.Epoll(t), fdtest.Epoll(t)
	var want []readiness
	for i := range 3 {
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		data := uint64(0x1111_1111_1111_1111) * uint64(i+1)
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, data); err != nil {
			t.Fatal(err)
		}
		want = append(want, readiness{unix.EPOLLIN, data})
	}
	for shift := range uintptr(8) {
		var buf [8 + 3*size]byte
		if n, err := epollPwaitAt(epfd, uintptr(unsafe.Pointer(&buf[shift])), 3, 0, 0, 0); n != 3 || err != nil {
			t.Errorf("epoll_pwait to an address shifted by %d = %d, %v; want 3", shift, n, err)
		}
		var events [3]unix.EpollEvent
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&events)), 3*size), buf[shift:])
		if got := readinessOf(events[:]); !slices.Equal(got, want) {
			t.Errorf("epoll_pwait to an address shifted by %d reports %v, want %v", shift, got, want)
		}
		// And read from any.
		fd := fdtest.Eventfd(t, 0)
		fdtest.Post(t, fd)
		for op, e := range map[int]unix.EpollEvent{
			unix.EPOLL_CTL_ADD: {Events: unix.EPOLLIN, Fd: 0x11223344, Pad: 0x55667788},
			unix.EPOLL_CTL_MOD: {Events: unix.EPOLLOUT | unix.EPOLLET, Fd: -2, Pad: 0x12345678},
		} {
			if op == unix.EPOLL_CTL_MOD {
				fdtest.Add(t, other, fd, 0)
			}
			copy(buf[shift:], unsafe.Slice((*byte)(unsafe.Pointer(&e)), size))
			if err := epollCtlAt(other, op, fd, uintptr(unsafe.Pointer(&buf[shift]))); err != nil {
				t.Errorf("epoll_ctl(%s) with an event shifted by %d: %v", opName(op), shift, err)
			}
			wantReady(t, other, readiness{e.Events &^ unix.EPOLLET, uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
			mustDel(t, other, fd)
		}
	}
}

// epollWaitIsPwait (EPL-128): epoll_wait(2), where it exists, is epoll_pwait
// without a mask: the thread's own stays in force. (x/sys uses the one that the
// architecture has.)
func epollWaitIsPwait(t *testing.T) {
	const sig = unix.SIGUSR1
	source := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, source)
	runs := fdtest.Handle(t, sig)
	var ran uint64
	s := startSleep(t, "thread in epoll_wait", func(s *sleeper) (int, error) {
		n, err := unix.EpollWait(epfd, s.events[:], -1)
		ran = atomic.LoadUint64(runs)
		rawsig.Take(sys.Sigs(sig)) // before the thread's mask ends
		return n, err
	})
	time.Sleep(grace)
	if err := rawsig.Tgkill(unix.Getpid(), s.Tid, sig); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, s)
	fdtest.Post(t, source)
	s.want(ready(source, unix.EPOLLIN))
	if ran != 0 {
		t.Errorf("the handler of a blocked signal ran %d times", ran)
	}
	var events [2]unix.EpollEvent
	for _, c := range []struct {
		fd, room int
		want     error
	}{{epfd, 0, unix.EINVAL}, {source, 2, unix.EINVAL}, {-1, 2, unix.EBADF}} {
		if n, err := unix.EpollWait(c.fd, events[:c.room], 0); err != c.want {
			t.Errorf("epoll_wait of %d with room for %d = %d, %v; want %v", c.fd, c.room, n, err, c.want)
		}
	}
}

var epollWaitRows = map[string]func(*testing.T){
	"EPL-054": epollWaitErrors,
	"EPL-055": epollMostEvents,
	"EPL-056": epollWaitOrder,
	"EPL-057": epollUnusedBuffer,
	"EPL-059": epollHalfBuffer,
	"EPL-060": epollTimeoutZero,
	"EPL-061": epollNegativeTimeouts,
	"EPL-062": epollNeverEarly,
	"EPL-063": epollTimerSlack,
	"EPL-064": epollHugeTimeouts,
	"EPL-065": epollEmptySet,
	"EPL-066": epollAtMost,
	"EPL-067": epollRoundRobin,
	"EPL-068": epollFirstInFirstOut,
	"EPL-119": epollMisaligned,
	"EPL-128": epollWaitIsPwait,
}
