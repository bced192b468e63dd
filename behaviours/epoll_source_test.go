//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// What sources report: pipes, sockets, mounts.

// epollPeerShutdown (EPL-096): EPOLLRDHUP tells that the peer shut down its
// writing half, epoll_ctl(2), together with the EPOLLIN of an end of file;
// EPOLLHUP comes when both halves are down. It is reported where it was asked
// for only.
func epollPeerShutdown(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLRDHUP
	check := func(kind string, a, b int) {
		t.Helper()
		plain, epfd, edge := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, plain, a, unix.EPOLLIN)
		fdtest.Add(t, epfd, a, asked)
		fdtest.Add(t, edge, a, asked|unix.EPOLLET)
		both := fdtest.Epoll(t)
		fdtest.Add(t, both, b, asked|unix.EPOLLOUT)
		wantReady(t, both, ready(b, unix.EPOLLOUT))
		if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
			t.Fatalf("shutdown: %v", err)
		}
		wantSoon(t, epfd, ready(a, asked))
		wantReady(t, epfd, ready(a, asked))
		wantReady(t, plain, ready(a, unix.EPOLLIN))
		wantReady(t, edge, ready(a, asked))
		wantReady(t, edge)
		mustRead(t, a, "")
		// The other direction still works.
		mustWrite(t, a, "x")
		wantSoon(t, both, ready(b, asked&^unix.EPOLLRDHUP|unix.EPOLLOUT))
		mustRead(t, b, "x")
		if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
			t.Fatalf("shutdown: %v", err)
		}
		wantSoon(t, epfd, ready(a, asked|unix.EPOLLHUP))
		wantSoon(t, plain, ready(a, unix.EPOLLIN|unix.EPOLLHUP))
		wantReady(t, both, ready(b, asked|unix.EPOLLOUT|unix.EPOLLHUP))
		if t.Failed() {
			t.Fatalf("with %s sockets", kind)
		}
	}
	sockets := fdtest.Socketpair(t)
	check("unix", sockets[0], sockets[1])

	// A close shuts down both halves at once.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(t, pair[0], err)
	closeOther := closable(t, pair[1], err)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, pair[0], asked)
	closeOther()
	wantReady(t, epfd, ready(pair[0], asked|unix.EPOLLHUP))

	a, b := mustTCP(t)
	check("TCP", a, b)
}

// epollPipeEnds (EPL-097): with its writers closed a pipe's reader reports HUP,
// and IN while there is data; with its readers closed the writer reports ERR,
// and OUT while there is room, poll(2): a level each time, an edge once.
func epollPipeEnds(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, c := range []struct {
		what        string
		fill        int // bytes, or -1: all there is room for
		closeReader bool
		want        uint32
	}{
		{"reader of an empty pipe", 0, false, unix.EPOLLHUP},
		{"reader of a pipe with data", 1, false, unix.EPOLLIN | unix.EPOLLHUP},
		{"writer of an empty pipe", 0, true, unix.EPOLLOUT | unix.EPOLLERR},
		{"writer of a pipe with room", 1, true, unix.EPOLLOUT | unix.EPOLLERR},
		{"writer of a full pipe", -1, true, unix.EPOLLERR},
	} {
		r, w, closeReader, closeWriter := mustClosablePipe(t)
		if c.fill > 0 {
			mustWrite(t, w, strings.Repeat("x", c.fill))
		} else if c.fill < 0 {
			mustFill(t, w)
		}
		level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
		end, closeOther := r, closeWriter
		if c.closeReader {
			end, closeOther = w, closeReader
		}
		fdtest.Add(t, level, end, asked)
		fdtest.Add(t, edge, end, asked|unix.EPOLLET)
		checkReady(edge) // what is ready before
		closeOther()
		for range 2 {
			wantReady(t, level, ready(end, c.want))
		}
		wantReady(t, edge, ready(end, c.want))
		wantReady(t, edge)
		if t.Failed() {
			t.Fatalf("%s after the other end was closed", c.what)
		}
	}
}

// epollUnconnected (EPL-098): a stream socket that was never connected is hung
// up and can be written to (to learn that it is not connected); one that
// listens is neither.
func epollUnconnected(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, family := range []int{unix.AF_UNIX, unix.AF_INET} {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == unix.EAFNOSUPPORT {
			behaviour.Absent(t, "socket(%d): %v", family, err)
		}
		closable(t, fd, err)
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, fd, asked)
		wantReady(t, epfd, ready(fd, unix.EPOLLOUT|unix.EPOLLHUP))
		if family == unix.AF_INET {
			// An autobind: no address is in anybody's way.
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatalf("listen: %v", err)
			}
			wantReady(t, epfd)
		}
	}
}

// epollMounts (EPL-099): /proc/self/mounts reports EPOLLERR and EPOLLPRI once
// for each change of the mounts that this thread sees, proc_pid_mounts(5).
func epollMounts(t *testing.T) { watchMounts(t, "/proc/self/mounts") }

// epollMountinfo (EPL-138): so does /proc/self/mountinfo,
// proc_pid_mountinfo(5).
func epollMountinfo(t *testing.T) { watchMounts(t, "/proc/self/mountinfo") }

func watchMounts(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	p := child.Start(t, epollMountsRole, child.Options{Attr: behaviour.Namespaces(t, unix.CLONE_NEWNS), Args: []string{dir, name}})
	if class, why, refused := strings.Cut(p.Line(), ": "); refused {
		behaviour.Skip(t, class, "%s", why)
	}
	p.Wait()
}

var epollMountsRole = child.Register("epoll-mounts", func(p *child.Proc) error {
	dir := p.Args[0]
	for _, first := range []struct {
		what string
		err  error
	}{
		{"make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")},
		{"mount a tmpfs", unix.Mount("none", dir, "tmpfs", 0, "")},
	} {
		switch first.err {
		case nil:
			continue
		case unix.EPERM, unix.EACCES:
			p.Say("privilege: %s: %v", first.what, first.err)
		case unix.EINVAL:
			// In a chroot that is no mount, mounts could be seen by
			// others.
			p.Say("limit: %s: %v: the root directory is no mount", first.what, first.err)
		case unix.ENODEV:
			p.Say("absent: %s: %v", first.what, first.err)
		default:
			return fmt.Errorf("%s: %w", first.what, first.err)
		}
		return nil
	}
	mounts, err := unix.Open(p.Args[1], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, mounts, unix.EPOLLPRI, 7); err != nil {
		return err
	}
	if err := checkReady(epfd); err != nil {
		return fmt.Errorf("before a change: %w", err)
	}
	changed := readiness{unix.EPOLLPRI | unix.EPOLLERR, 7}
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"umount", func() error { return unix.Unmount(dir, 0) }},
		{"mount", func() error { return unix.Mount("none", dir, "tmpfs", 0, "") }},
	} {
		if err := change.do(); err != nil {
			return fmt.Errorf("%s: %w", change.what, err)
		}
		if err := errors.Join(checkReady(epfd, changed), checkReady(epfd)); err != nil {
			return fmt.Errorf("after a %s: %w", change.what, err)
		}
	}
	p.Say("done")
	return nil
})

// epollHostname (EPL-139): /proc/sys/kernel/hostname and domainname report
// EPOLLERR and EPOLLPRI when the name is changed, by its system call or by a
// write to the file, until they are read again.
func epollHostname(t *testing.T) {
	p := child.Start(t, epollHostnameRole, child.Options{Attr: behaviour.Namespaces(t, unix.CLONE_NEWUTS)})
	if class, why, refused := strings.Cut(p.Line(), ": "); refused {
		behaviour.Skip(t, class, "%s", why)
	}
	p.Wait()
}

var epollHostnameRole = child.Register("epoll-hostname", func(p *child.Proc) error {
	for _, c := range []struct {
		file string
		set  func([]byte) error
	}{
		{"/proc/sys/kernel/hostname", unix.Sethostname},
		{"/proc/sys/kernel/domainname", unix.Setdomainname},
	} {
		name, err := unix.Open(c.file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			p.Say("absent: %s: %v: no CONFIG_PROC_SYSCTL", c.file, err)
			return nil
		}
		if err != nil {
			return err
		}
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		if err := epollCtl(epfd, unix.EPOLL_CTL_ADD, name, unix.EPOLLPRI|unix.EPOLLET, 7); err != nil {
			return fmt.Errorf("epoll_ctl(ADD) of %s: %w", c.file, err)
		}
		changed := readiness{unix.EPOLLPRI | unix.EPOLLERR, 7}
		for i, change := range []func(text string) error{
			func(text string) error { return c.set([]byte(text)) },
			func(text string) error { return os.WriteFile(c.file, []byte(text+"\n"), 0) },
		} {
			// The names of all namespaces have one count of changes:
			// what is not wanted now may be another's.
			checkReady(epfd)
			text := fmt.Sprintf("row%d", i)
			err := change(text)
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) {
				if i == 0 {
					p.Say("privilege: a new name: %v", err)
					return nil
				}
				continue // /proc/sys may be read-only
			}
			if err != nil {
				return fmt.Errorf("a new name: %w", err)
			}
			if err := checkReady(epfd, changed); err != nil {
				return fmt.Errorf("after change %d of %s: %w", i+1, c.file, err)
			}
			buf := make([]byte, 64)
			if n, err := unix.Pread(name, buf, 0); err != nil || string(buf[:max(n, 0)]) != text+"\n" {
				return fmt.Errorf("%s is %q, %v; want %q", c.file, buf[:max(n, 0)], err, text)
			}
		}
	}
	p.Say("done")
	return nil
})

// epollUrgent (EPL-131): an urgent byte of TCP is EPOLLPRI until it is read,
// beside what there is of other data, tcp(7); in line with the others
// (SO_OOBINLINE) it is EPOLLIN as well.
func epollUrgent(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLPRI
	for _, inline := range []int{0, 1} {
		a, b := mustTCP(t)
		if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_OOBINLINE, inline); err != nil {
			t.Fatal(err)
		}
		level, edge, plain := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, level, a, asked)
		fdtest.Add(t, edge, a, asked|unix.EPOLLET)
		fdtest.Add(t, plain, a, 0)
		wantReady(t, level)
		if err := unix.Sendto(b, []byte("!"), unix.MSG_OOB, nil); err != nil {
			t.Fatalf("send with MSG_OOB: %v", err)
		}
		want := uint32(unix.EPOLLPRI)
		if inline != 0 {
			want |= unix.EPOLLIN
		}
		wantSoon(t, level, ready(a, want))
		wantReady(t, level, ready(a, want))
		wantSoon(t, edge, ready(a, want))
		wantReady(t, plain)
		if inline != 0 {
			mustRead(t, a, "!")
			wantReady(t, level)
			continue
		}
		// Other data is in no way of it.
		mustWrite(t, b, "x")
		wantSoon(t, level, ready(a, want|unix.EPOLLIN))
		buf := make([]byte, 4)
		if n, _, err := unix.Recvfrom(a, buf, unix.MSG_OOB); n != 1 || buf[0] != '!' || err != nil {
			t.Errorf("recv with MSG_OOB = %d, %v with %q; want 1 with !", n, err, buf[:max(n, 0)])
		}
		wantReady(t, level, ready(a, unix.EPOLLIN))
		mustRead(t, a, "x")
		wantReady(t, level)
	}
}

// epollConnecting (EPL-132): a socket that connects without waiting becomes
// EPOLLOUT when it is connected, and when it is refused all that is asked for
// with EPOLLERR and EPOLLHUP, connect(2); SO_ERROR says why, once.
func epollConnecting(t *testing.T) {
	const asked = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	for _, refused := range []bool{false, true} {
		listener, addr, listen := mustTCPAddress(t)
		if !refused {
			listen()
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		closable(t, fd, err)
		level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
		fdtest.Add(t, level, fd, asked)
		fdtest.Add(t, edge, fd, asked|unix.EPOLLET)
		wantReady(t, edge, ready(fd, unix.EPOLLOUT|unix.EPOLLHUP)) // not connected: EPL-098
		if err := unix.Connect(fd, addr); err == unix.ENETUNREACH {
			behaviour.Limited(t, "connect to 127.0.0.1: %v: the loopback interface is down", err)
		} else if err != unix.EINPROGRESS {
			t.Fatalf("connect without waiting: %v, want EINPROGRESS", err)
		}
		want, why := uint32(unix.EPOLLOUT), unix.Errno(0)
		if refused {
			want, why = asked|unix.EPOLLERR|unix.EPOLLHUP, unix.ECONNREFUSED
		}
		wantSoon(t, level, ready(fd, want))
		wantReady(t, level, ready(fd, want))
		wantSoon(t, edge, ready(fd, want))
		wantReady(t, edge)
		for _, want := range []unix.Errno{why, 0} {
			if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); unix.Errno(got) != want || err != nil {
				t.Errorf("SO_ERROR = %v, %v; want %v", unix.Errno(got), err, want)
			}
		}
		wantReady(t, level, ready(fd, want&^unix.EPOLLERR))
		if !refused {
			peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			closable(t, peer, err)
			mustWrite(t, peer, "x")
			wantSoon(t, level, ready(fd, unix.EPOLLIN|unix.EPOLLOUT))
			mustRead(t, fd, "x")
		}
		if t.Failed() {
			t.Fatalf("refused: %t", refused)
		}
	}
}

// epollListener (EPL-133): a listening socket is EPOLLIN while there are
// connections to be accepted, accept(2), and each that comes is an edge.
func epollListener(t *testing.T) {
	listener, addr, listen := mustTCPAddress(t)
	listen()
	level, edge := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, level, listener, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
	fdtest.Add(t, edge, listener, unix.EPOLLIN|unix.EPOLLET)
	wantReady(t, level)
	s := startWait(t, level, 4, -1)
	stillAsleep(t, s)
	const connections = 2
	for i := range connections {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		closable(t, fd, err)
		if err := unix.Connect(fd, addr); err == unix.ENETUNREACH {
			s.rouse()
			s.Join()
			behaviour.Limited(t, "connect to 127.0.0.1: %v: the loopback interface is down", err)
		} else if err != nil {
			t.Fatalf("connect: %v", err)
		}
		if i == 0 {
			s.want(ready(listener, unix.EPOLLIN))
		}
		wantSoon(t, edge, ready(listener, unix.EPOLLIN))
		wantReady(t, edge)
	}
	for range connections {
		wantReady(t, level, ready(listener, unix.EPOLLIN))
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		closable(t, fd, err)
	}
	wantReady(t, level)
	wantReady(t, edge)
}

// wantSoon waits until this is ready: for what the network stack brings about
// in its own time.
func wantSoon(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	var err error
	for deadline := time.Now().Add(child.Patience / 4); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		if err = checkReady(epfd, want...); err == nil {
			return
		}
	}
	tb.Error(err)
}

// mustTCPAddress returns a TCP socket with an address at which nobody listens
// until listen is called.
func mustTCPAddress(tb testing.TB) (listener int, addr unix.Sockaddr, listen func()) {
	tb.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT {
		behaviour.Absent(tb, "TCP: %v", err)
	}
	closable(tb, listener, err)
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(listener, loopback); err == unix.EADDRNOTAVAIL {
		behaviour.Limited(tb, "bind to 127.0.0.1: %v: there is no loopback interface", err)
	} else if err != nil {
		tb.Fatalf("bind: %v", err)
	}
	addr, err = unix.Getsockname(listener)
	if err != nil {
		tb.Fatal(err)
	}
	return listener, addr, func() {
		tb.Helper()
		if err := unix.Listen(listener, 4); err != nil {
			tb.Fatalf("listen: %v", err)
		}
	}
}

// mustTCP returns two connected TCP sockets.
func mustTCP(tb testing.TB) (a, b int) {
	tb.Helper()
	listener, addr, listen := mustTCPAddress(tb)
	listen()
	a, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(tb, a, err)
	if err := unix.Connect(a, addr); err == unix.ENETUNREACH {
		behaviour.Limited(tb, "connect to 127.0.0.1: %v: the loopback interface is down", err)
	} else if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	b, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	closable(tb, b, err)
	return a, b
}

var epollSourceRows = map[string]func(*testing.T){
	"EPL-096": epollPeerShutdown,
	"EPL-097": epollPipeEnds,
	"EPL-098": epollUnconnected,
	"EPL-099": epollMounts,
	"EPL-138": epollMountinfo,
	"EPL-139": epollHostname,
	"EPL-131": epollUrgent,
	"EPL-132": epollConnecting,
	"EPL-133": epollListener,
}
