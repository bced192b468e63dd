//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"strings"
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

// Level- and edge-triggered registrations, epoll(7).

// epollMerged (EPL-069): events between two waits are combined, epoll(7) Q&A:
// one entry, with all that is true when it is fetched.
func epollMerged(t *testing.T) {
	for _, mode := range []uint32{unix.EPOLLET, unix.EPOLLONESHOT} {
		epfd := fdtest.Epoll(t)
		pair := fdtest.Socketpair(t)
		fdtest.Add(t, epfd, pair[0], unix.EPOLLIN|unix.EPOLLRDHUP|mode)
		mustWrite(t, pair[1], "x")
		mustWrite(t, pair[1], "y")
		if err := unix.Shutdown(pair[1], unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		wantReady(t, epfd, ready(pair[0], unix.EPOLLIN|unix.EPOLLRDHUP))
		wantReady(t, epfd)
	}
	// What has passed by then is not in it.
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, epfd, source, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
	for range 3 {
		fdtest.Post(t, source)
	}
	mustTake(t, source, 3)
	wantReady(t, epfd, ready(source, unix.EPOLLOUT))
	wantReady(t, epfd)
}

// epollLevelAndEdge (EPL-071): a level is reported for as long as it lasts, an
// edge once, epoll(7).
func epollLevelAndEdge(t *testing.T) {
	r, w := fdtest.Pipe(t)
	level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, level, r, unix.EPOLLIN)
	fdtest.Add(t, edge, r, unix.EPOLLIN|unix.EPOLLET)
	for range 3 {
		wantReady(t, level)
		wantReady(t, edge)
		mustWrite(t, w, "x")
		wantReady(t, edge, ready(r, unix.EPOLLIN))
		for range 3 {
			wantReady(t, level, ready(r, unix.EPOLLIN))
			wantReady(t, edge)
		}
		mustRead(t, r, "x")
	}
}

// epollPartialRead (EPL-072): taking a part of what is there is no edge,
// epoll(7): the pipe of its example, a socket, and an eventfd that counts.
func epollPartialRead(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w := fdtest.Pipe(t)
	pair := fdtest.Socketpair(t)
	counter := fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	for _, fd := range []int{r, pair[0], counter} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	mustWrite(t, w, strings.Repeat("x", 2048))
	mustWrite(t, pair[1], "xyz")
	fdtest.Post(t, counter)
	fdtest.Post(t, counter)
	wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN), ready(counter, unix.EPOLLIN))
	mustRead(t, r, strings.Repeat("x", 1024))
	mustRead(t, pair[0], "x")
	mustTake(t, counter, 1)
	wantReady(t, epfd)
	s := startSleep(t, "thread in epoll_pwait", func(s *sleeper) (int, error) { return epollPwait(epfd, s.events[:], 5) })
	s.want()
}

// epollEdgeBeforeDrained (EPL-073): what arrives while there still is something
// to read is an edge, epoll(7): "multiple events can be generated upon receipt
// of multiple chunks of data".
func epollEdgeBeforeDrained(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w := fdtest.Pipe(t)
	pair := fdtest.Socketpair(t)
	counter := fdtest.Eventfd(t, 0)
	for _, fd := range []int{r, pair[0], counter} {
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	for range 3 {
		mustWrite(t, w, "xy")
		mustWrite(t, pair[1], "xy")
		fdtest.Post(t, counter)
		wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN), ready(counter, unix.EPOLLIN))
		wantReady(t, epfd)
	}
	mustRead(t, r, "x")
	mustRead(t, pair[0], "x")
	mustWrite(t, w, "z")
	mustWrite(t, pair[1], "z")
	wantReady(t, epfd, ready(r, unix.EPOLLIN), ready(pair[0], unix.EPOLLIN))
}

// epollPipeRoom (EPL-074): the edge of a full pipe that can be written again
// comes when a whole page of it is read, pipe(7): its room is counted in pages,
// and writers are not woken for less.
func epollPipeRoom(t *testing.T) {
	epfd := fdtest.Epoll(t)
	r, w, _, _ := mustClosablePipe(t)
	fdtest.Add(t, epfd, w, unix.EPOLLOUT|unix.EPOLLET)
	wantReady(t, epfd, ready(w, unix.EPOLLOUT))
	page := make([]byte, os.Getpagesize())
	mustFill(t, w)
	wantReady(t, epfd)
	for _, part := range []int{1, len(page)/2 - 1, len(page)/2 - 1} {
		if n, err := unix.Read(r, page[:part]); n != part || err != nil {
			t.Fatalf("read of %d = %d, %v", part, n, err)
		}
		wantReady(t, epfd)
	}
	if _, err := unix.Read(r, page[:1]); err != nil {
		t.Fatal(err)
	}
	wantReady(t, epfd, ready(w, unix.EPOLLOUT))
	if n, err := unix.Write(w, page); n != len(page) || err != nil {
		t.Errorf("write of a page into the room for one = %d, %v", n, err)
	}
}

// An edgeSource is a target that can be emptied and filled.
type edgeSource struct {
	name string
	fd   int
	give func() // make it ready
	take func() // take all that makes it so
	soon bool   // the network stack takes its time
}

// epollEdgeWithoutWait (EPL-136): a target that is reported, emptied and has
// something to read again is reported again, though nobody has waited while it
// was empty: the edge is in the arrival, not in what two waits see. For each
// kind of target.
func epollEdgeWithoutWait(t *testing.T) {
	blockAll(t)
	for _, s := range edgeReaders(t) {
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, s.fd, unix.EPOLLIN|unix.EPOLLET)
		s.wantEdges(t, epfd, unix.EPOLLIN)
	}
}

// epollRoomWithoutWait (EPL-137): a target that is reported writable, filled
// and has room again is reported again, though nobody has waited while it was
// full.
func epollRoomWithoutWait(t *testing.T) {
	for _, s := range edgeWriters(t) {
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, s.fd, unix.EPOLLOUT|unix.EPOLLET)
		s.wantEdges(t, epfd, unix.EPOLLOUT)
	}
}

// wantEdges checks that each time that a target becomes ready is an edge.
func (s edgeSource) wantEdges(t *testing.T, epfd int, bits uint32) {
	t.Helper()
	want := ready(s.fd, bits)
	for round := range 4 {
		if round > 0 || bits == unix.EPOLLIN {
			s.give()
		}
		err := checkReady(epfd, want)
		for end := time.Now().Add(child.Patience / 4); err != nil && s.soon && time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
			err = checkReady(epfd, want)
		}
		if err != nil {
			t.Errorf("%s, time %d that it became ready: %v", s.name, round+1, err)
			return
		}
		if err := checkReady(epfd); err != nil {
			t.Errorf("%s, asked again: %v", s.name, err)
		}
		s.take()
	}
}

// edgeReaders are targets without anything to read.
func edgeReaders(t *testing.T) (all []edgeSource) {
	t.Helper()
	add := func(s edgeSource) { all = append(all, s) }
	bytes := func(name string, r, w int, soon bool) {
		add(edgeSource{name: name, fd: r, soon: soon, give: func() { mustWrite(t, w, "x") }, take: func() { mustRead(t, r, "x") }})
	}
	r, w := fdtest.Pipe(t)
	bytes("pipe", r, w, false)
	for kind, name := range map[int]string{unix.SOCK_STREAM: "unix stream", unix.SOCK_DGRAM: "unix datagram", unix.SOCK_SEQPACKET: "unix packet"} {
		pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		closable(t, pair[0], err)
		closable(t, pair[1], err)
		bytes(name+" socket", pair[0], pair[1], false)
	}
	x, y := mustTCP(t)
	bytes("TCP socket", x, y, true)
	x, y = mustUDP(t)
	bytes("UDP socket", x, y, true)
	for _, flags := range []int{0, unix.EFD_SEMAPHORE} {
		fd := fdtest.Eventfd(t, flags)
		add(edgeSource{name: "eventfd", fd: fd, give: func() { fdtest.Post(t, fd) }, take: func() { mustTake(t, fd, 1) }})
	}
	timer := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	add(edgeSource{name: "timerfd", fd: timer, give: func() { expire(t, timer) }, take: func() { mustTake(t, timer, 1) }})
	sfd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	add(edgeSource{name: "signalfd", fd: sfd, give: func() { wantErr(t, rawsig.Raise(unix.SIGUSR1), nil, "tgkill(self)") },
		take: func() { wantSigs(t, "signalfd", sfd, unix.SIGUSR1) }})
	source := fdtest.Eventfd(t, 0)
	inner := fdtest.Epoll(t, source)
	add(edgeSource{name: "epoll", fd: inner, give: func() { fdtest.Post(t, source) }, take: func() {
		mustTake(t, source, 1)
		wantReady(t, inner)
	}})
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	closable(t, watch, err)
	dir := t.TempDir()
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_CREATE); err == unix.ENOSPC {
		behaviour.Partly(t, "limit", "inotify: %v: raise fs.inotify.max_user_watches", err)
	} else if err != nil {
		t.Fatalf("inotify_add_watch: %v", err)
	} else {
		files := 0
		add(edgeSource{name: "inotify", fd: watch, give: func() {
			files++
			mustOpen(t, fmt.Sprintf("%s/%d", dir, files), unix.O_CREAT|unix.O_WRONLY)
		}, take: func() {
			if n, err := unix.Read(watch, make([]byte, 1024)); n <= 0 || err != nil {
				t.Errorf("read of inotify = %d, %v", n, err)
			}
		}})
	}
	if q, ok := mustQueueFile(t); ok {
		add(edgeSource{name: "message queue", fd: q.fd, give: func() { q.send() }, take: func() { q.receive() }})
	}
	return all
}

// edgeWriters are targets with room.
func edgeWriters(t *testing.T) (all []edgeSource) {
	t.Helper()
	add := func(s edgeSource) { all = append(all, s) }
	r, w, _, _ := mustClosablePipe(t)
	page := make([]byte, os.Getpagesize())
	empty := func(fd int) func() {
		return func() {
			buf := make([]byte, 1<<20)
			for {
				if n, err := unix.Read(fd, buf); n <= 0 || err != nil {
					return
				}
			}
		}
	}
	add(edgeSource{name: "pipe, a page of it read", fd: w, take: func() { mustFill(t, w) }, give: func() {
		if n, err := unix.Read(r, page); n != len(page) || err != nil {
			t.Errorf("read of a page = %d, %v", n, err)
		}
	}})
	r2, w2, _, _ := mustClosablePipe(t)
	add(edgeSource{name: "pipe, all of it read", fd: w2, take: func() { mustFill(t, w2) }, give: empty(r2)})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	closable(t, pair[0], err)
	closable(t, pair[1], err)
	add(edgeSource{name: "unix stream socket", fd: pair[0], take: func() { mustFill(t, pair[0]) }, give: empty(pair[1])})
	x, y := mustTCP(t)
	for _, fd := range []int{x, y} {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []struct{ fd, option int }{{x, unix.SO_SNDBUF}, {y, unix.SO_RCVBUF}} {
		if err := unix.SetsockoptInt(size.fd, unix.SOL_SOCKET, size.option, 32<<10); err != nil {
			t.Fatal(err)
		}
	}
	// Both buffers fill and empty, in their own time.
	until := func(move func() int) func() {
		return func() {
			for quiet := 0; quiet < 4; quiet++ {
				if move() > 0 {
					quiet = 0
				} else {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}
	buf := make([]byte, 1<<20)
	add(edgeSource{name: "TCP socket", fd: x, soon: true,
		take: until(func() int { n, _ := unix.Write(x, page); return n }),
		give: until(func() int { n, _ := unix.Read(y, buf); return n })})
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	add(edgeSource{name: "eventfd", fd: fd, take: func() { mustAddCount(t, fd, math.MaxUint64-1) }, give: func() { mustTake(t, fd, math.MaxUint64-1) }})
	if q, ok := mustQueueFile(t); ok {
		add(edgeSource{name: "message queue", fd: q.fd, take: func() { q.send() }, give: func() { q.receive() }})
	}
	return all
}

// A queueFile is a POSIX message queue with room for one message, mq_overview(7).
type queueFile struct {
	t  *testing.T
	fd int
}

// mustQueueFile makes one without a name. The row is held in part without.
func mustQueueFile(t *testing.T) (q queueFile, ok bool) {
	t.Helper()
	name := append([]byte(fmt.Sprintf("eventbench-%d", os.Getpid())), 0)
	attr := struct{ flags, most, size, now, _, _, _, _ int }{most: 1, size: 8}
	fd, err := rawCall(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NONBLOCK|unix.O_CLOEXEC,
		0o600, uintptr(unsafe.Pointer(&attr)))
	if err != nil {
		behaviour.Partly(t, "absent", "a message queue: mq_open: %v", err)
		return q, false
	}
	closable(t, fd, nil)
	if _, err := rawCall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(&name[0]))); err != nil {
		t.Errorf("mq_unlink: %v", err)
	}
	word := [8]byte{}
	if _, err := rawCall(unix.SYS_MQ_TIMEDRECEIVE, uintptr(fd), uintptr(unsafe.Pointer(&word[0])), 8, 0, 0); err == unix.ENOSYS {
		behaviour.Partly(t, "absent", "a message queue: mq_timedreceive: %v", err)
		return q, false
	}
	return queueFile{t, fd}, true
}

func (q queueFile) send() {
	q.t.Helper()
	word := [8]byte{}
	if _, err := rawCall(unix.SYS_MQ_TIMEDSEND, uintptr(q.fd), uintptr(unsafe.Pointer(&word[0])), 8, 0, 0); err != nil {
		q.t.Errorf("mq_timedsend: %v", err)
	}
}

func (q queueFile) receive() {
	q.t.Helper()
	word := [8]byte{}
	if _, err := rawCall(unix.SYS_MQ_TIMEDRECEIVE, uintptr(q.fd), uintptr(unsafe.Pointer(&word[0])), 8, 0, 0); err != nil {
		q.t.Errorf("mq_timedreceive: %v", err)
	}
}

// mustUDP returns two UDP sockets that are each other's peers.
func mustUDP(tb testing.TB) (a, b int) {
	tb.Helper()
	var fds [2]int
	var addrs [2]unix.Sockaddr
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == unix.EAFNOSUPPORT {
			behaviour.Absent(tb, "UDP: %v", err)
		}
		closable(tb, fd, err)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == unix.EADDRNOTAVAIL {
			behaviour.Limited(tb, "bind to 127.0.0.1: %v: there is no loopback interface", err)
		} else if err != nil {
			tb.Fatalf("bind: %v", err)
		}
		if addrs[i], err = unix.Getsockname(fd); err != nil {
			tb.Fatal(err)
		}
		fds[i] = fd
	}
	for i, fd := range fds {
		if err := unix.Connect(fd, addrs[1-i]); err == unix.ENETUNREACH {
			behaviour.Limited(tb, "connect to 127.0.0.1: %v: the loopback interface is down", err)
		} else if err != nil {
			tb.Fatalf("connect: %v", err)
		}
	}
	return fds[0], fds[1]
}

var epollTriggerRows = map[string]func(*testing.T){
	"EPL-136": epollEdgeWithoutWait,
	"EPL-137": epollRoomWithoutWait,
	"EPL-069": epollMerged,
	"EPL-071": epollLevelAndEdge,
	"EPL-072": epollPartialRead,
	"EPL-073": epollEdgeBeforeDrained,
	"EPL-074": epollPipeRoom,
}
