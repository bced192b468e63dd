//go:build linux

package behaviours

import (
	"os"
	"strings"
	"testing"

	"eventbench/helpers/fdtest"

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

var epollTriggerRows = map[string]func(*testing.T){
	"EPL-069": epollMerged,
	"EPL-071": epollLevelAndEdge,
	"EPL-072": epollPartialRead,
	"EPL-073": epollEdgeBeforeDrained,
	"EPL-074": epollPipeRoom,
}
