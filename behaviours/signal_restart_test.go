//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// System calls that a handler interrupts, signal(7).

// restart (SIG-70): which calls a handler with SA_RESTART lets go on,
// signal(7). Without it all fail with EINTR.
func restart(t testing.TB) {
	var mu [2]int // two descriptions of one file, to lock it twice
	mu[0] = mustMemfd(t)
	var err error
	if mu[1], err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", mu[0]), unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	a := fdtest.Arena(t)
	futex := a.Word32(0)
	hour := sys.Place(a, unix.Timespec{Sec: 3600})
	buf := a.Bytes(16)
	none := func() {}
	pipeIn := func() (r, w int) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
		return p[0], p[1]
	}
	// Each returns the call that blocks and how to let it succeed.
	for _, c := range []struct {
		name     string
		nr       uintptr
		restarts bool
		prepare  func() (args []uintptr, release func())
	}{
		{"read of a pipe", unix.SYS_READ, true, func() ([]uintptr, func()) {
			r, w := pipeIn()
			return []uintptr{uintptr(r), ptrTo(&buf[0]), 1}, func() { unix.Write(w, []byte{1}) }
		}},
		{"write to a full pipe", unix.SYS_WRITE, true, func() ([]uintptr, func()) {
			r, w := pipeIn()
			size, err := unix.FcntlInt(uintptr(w), unix.F_SETPIPE_SZ, 4096)
			if err != nil {
				t.Fatal(err)
			}
			fill := make([]byte, size)
			unix.Write(w, fill)
			return []uintptr{uintptr(w), ptrTo(&buf[0]), 1}, func() { unix.Read(r, fill) }
		}},
		{"recvfrom", unix.SYS_RECVFROM, true, func() ([]uintptr, func()) {
			s := fdtest.Socketpair(t)
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, func() { unix.Write(s[1], []byte{1}) }
		}},
		{"recvfrom with SO_RCVTIMEO", unix.SYS_RECVFROM, false, func() ([]uintptr, func()) {
			s := fdtest.Socketpair(t)
			if err := unix.SetsockoptTimeval(s[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, none
		}},
		{"wait4", unix.SYS_WAIT4, true, func() ([]uintptr, func()) {
			b := startReceiver(t, a, 45)
			return []uintptr{uintptr(b.TID), 0, 0, 0}, func() { rawsig.Kill(b.TID, 45) }
		}},
		{"waitid", unix.SYS_WAITID, true, func() ([]uintptr, func()) {
			b := startReceiver(t, a, 45)
			return []uintptr{unix.P_PID, uintptr(b.TID), 0, unix.WEXITED, 0}, func() { rawsig.Kill(b.TID, 45) }
		}},
		{"flock", unix.SYS_FLOCK, true, func() ([]uintptr, func()) {
			unix.Flock(mu[1], unix.LOCK_UN)
			if err := unix.Flock(mu[0], unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(mu[1]), unix.LOCK_EX}, func() { unix.Flock(mu[0], unix.LOCK_UN) }
		}},
		{"futex without a timeout", unix.SYS_FUTEX, true, func() ([]uintptr, func()) {
			return []uintptr{ptrTo(futex), sys.FutexOpWait, 0, 0, 0, 0}, func() {
				rawsig.Do(unix.SYS_FUTEX, ptrTo(futex), sys.FutexOpWake, 1)
			}
		}},
		{"futex with a timeout", unix.SYS_FUTEX, false, func() ([]uintptr, func()) {
			return []uintptr{ptrTo(futex), sys.FutexOpWait, 0, ptrTo(hour), 0, 0}, none
		}},
		{"ppoll", unix.SYS_PPOLL, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 0, 0, 8}, none }},
		{"poll", plain.poll, false, func() ([]uintptr, func()) { return []uintptr{0, 0, minusOne}, none }},
		{"poll with a timeout", plain.poll, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 3600_000}, none }},
		{"select", plain.selects, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 0, 0, 0}, none }},
		{"select with a timeout", plain.selects, false, func() ([]uintptr, func()) {
			return []uintptr{0, 0, 0, 0, ptrTo(sys.Place(a, unix.Timeval{Sec: 3600}))}, none
		}},
		{"ppoll with a timeout", unix.SYS_PPOLL, false, func() ([]uintptr, func()) {
			return []uintptr{0, 0, ptrTo(sys.Place(a, unix.Timespec{Sec: 3600})), 0, 8}, none
		}},
		{"pselect6 with a timeout", unix.SYS_PSELECT6, false, func() ([]uintptr, func()) {
			return []uintptr{0, 0, 0, 0, ptrTo(sys.Place(a, unix.Timespec{Sec: 3600})), 0}, none
		}},
		{"pselect6", unix.SYS_PSELECT6, false, func() ([]uintptr, func()) { return []uintptr{0, 0, 0, 0, 0, 0}, none }},
		{"epoll_pwait", unix.SYS_EPOLL_PWAIT, false, func() ([]uintptr, func()) {
			epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(epfd) })
			return []uintptr{uintptr(epfd), ptrTo(&buf[0]), 1, minusOne, 0, 8}, none
		}},
		{"nanosleep", unix.SYS_NANOSLEEP, false, func() ([]uintptr, func()) { return []uintptr{ptrTo(hour), 0}, none }},
		{"clock_nanosleep", unix.SYS_CLOCK_NANOSLEEP, false, func() ([]uintptr, func()) {
			return []uintptr{unix.CLOCK_MONOTONIC, 0, ptrTo(hour), 0}, none
		}},
		{"clock_nanosleep until a time", unix.SYS_CLOCK_NANOSLEEP, false, func() ([]uintptr, func()) {
			var now unix.Timespec
			unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
			now.Sec += 3600
			return []uintptr{unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, ptrTo(sys.Place(a, now)), 0}, none
		}},
		{"accept4", unix.SYS_ACCEPT4, true, func() ([]uintptr, func()) {
			s, addr := mustListener(t, a)
			return []uintptr{uintptr(s), 0, 0, 0}, func() { connectTo(t, addr) }
		}},
		{"accept4 with SO_RCVTIMEO", unix.SYS_ACCEPT4, false, func() ([]uintptr, func()) {
			s, _ := mustListener(t, a)
			if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s), 0, 0, 0}, none
		}},
		{"connect", unix.SYS_CONNECT, true, func() ([]uintptr, func()) {
			s, addr := mustListener(t, a)
			connectTo(t, addr) // all there is room for
			c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			closable(t, c, err)
			return []uintptr{uintptr(c), ptrTo(&addr[0]), uintptr(len(addr))}, func() { unix.Accept4(s, unix.SOCK_CLOEXEC) }
		}},
		{"sendto", unix.SYS_SENDTO, true, func() ([]uintptr, func()) {
			s := mustFullSocket(t)
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, func() { emptySocket(s[1]) }
		}},
		{"sendto with SO_SNDTIMEO", unix.SYS_SENDTO, false, func() ([]uintptr, func()) {
			s := mustFullSocket(t)
			if err := unix.SetsockoptTimeval(s[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 3600}); err != nil {
				t.Fatal(err)
			}
			return []uintptr{uintptr(s[0]), ptrTo(&buf[0]), 1, 0, 0, 0}, none
		}},
		{"fcntl with F_SETLKW", unix.SYS_FCNTL, true, func() ([]uintptr, func()) {
			whole, ready := sys.Place(a, unix.Flock_t{Type: unix.F_WRLCK}), a.Word32(0)
			b := startBare(t, a, sys.Call{Name: "fcntl(F_SETLK)", Nr: unix.SYS_FCNTL, Args: [6]uintptr{uintptr(mu[0]), unix.F_SETLK, ptrTo(whole)}},
				sys.FutexSet(ready, 1),
				sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true, Args: [6]uintptr{ptrTo(sys.Place(a, sys.Sigs(45))), 0, 0, 8}})
			eventually(t, "another process has the lock", func() bool { return atomic.LoadUint32(ready) == 1 })
			end := func() {
				rawsig.Kill(b.TID, 45)
				b.awaitEnd(t)
			}
			t.Cleanup(func() { rawsig.Kill(b.TID, 45) })
			return []uintptr{uintptr(mu[0]), unix.F_SETLKW, ptrTo(whole)}, end
		}},
		{"openat of a FIFO", unix.SYS_OPENAT, true, func() ([]uintptr, func()) {
			dir, err := os.MkdirTemp("", "eventbench-fifo-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
				t.Fatal(err)
			}
			path := a.Bytes(len(dir) + len("/fifo") + 1)
			copy(path, dir+"/fifo")
			return []uintptr{minusOne, ptrTo(&path[0]), unix.O_WRONLY | unix.O_CLOEXEC, 0}, func() {
				mustOpen(t, dir+"/fifo", unix.O_RDONLY|unix.O_NONBLOCK)
			}
		}},
		{"msgrcv", unix.SYS_MSGRCV, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_MSGGET, unix.SYS_MSGCTL, 1, 0, 0o600)
			return []uintptr{uintptr(id), ptrTo(&buf[0]), 1, 0, 0}, none
		}},
		{"semop", unix.SYS_SEMOP, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_SEMGET, unix.SYS_SEMCTL, 2, 0, 1, 0o600)
			return []uintptr{uintptr(id), ptrTo(sys.Place(a, takeOne)), 1}, none
		}},
		{"semtimedop", unix.SYS_SEMTIMEDOP, false, func() ([]uintptr, func()) {
			id := mustSysV(t, unix.SYS_SEMGET, unix.SYS_SEMCTL, 2, 0, 1, 0o600)
			return []uintptr{uintptr(id), ptrTo(sys.Place(a, takeOne)), 1, ptrTo(hour)}, none
		}},
	} {
		if (c.nr == unix.SYS_MSGRCV || c.nr == unix.SYS_SEMOP || c.nr == unix.SYS_SEMTIMEDOP) && rawsig.Do(unix.SYS_SEMGET) == unix.ENOSYS {
			behaviour.Partly(t, "absent", "%s: no CONFIG_SYSVIPC", c.name)
			continue
		}
		if c.nr == 0 && plain.poll == 0 {
			continue // newer architectures leave it out
		}
		for _, flags := range []uint64{rawsig.SAOnstack, rawsig.SAOnstack | rawsig.SARestart} {
			args, release := c.prepare()
			args = append(args, make([]uintptr, 6-len(args))...)
			handle(t, 40, rawsig.Handler{Flags: flags})
			var errno unix.Errno
			called := make(chan struct{}) // before it, the Go runtime may make the same calls
			th := child.Go(t, c.name, func() error {
				setMask(t, rawsig.Blockable&^sys.Sigs(40))
				close(called)
				_, _, errno = unix.Syscall6(c.nr, args[0], args[1], args[2], args[3], args[4], args[5])
				return nil
			})
			<-called
			th.AwaitBlocked(c.nr)
			wantErr(t, rawsig.Tgkill(os.Getpid(), th.Tid, 40), nil, "tgkill(thread in %s)", c.name)
			eventually(t, "the handler ran", func() bool { return rawsig.Ran(40) == 1 })
			want := unix.EINTR
			if c.restarts && flags&rawsig.SARestart != 0 {
				want = 0
				stillBlocked(t, th, c.nr)
				release()
			}
			th.Join()
			if errno != want {
				t.Errorf("%s, flags %#x: %v after the handler, want %v (0 is success)", c.name, flags, errno, want)
			}
			if want != 0 {
				release() // what was made for it
			}
		}
	}
}

// takeOne is a struct sembuf that waits for a semaphore to be above 0.
var takeOne = struct {
	number uint16
	op     int16
	flags  int16
}{op: -1}

// mustSysV makes a message queue or a set of semaphores, sysvipc(7), that the
// row's end removes: control has args arguments before the command.
func mustSysV(t testing.TB, get, control, args uintptr, of ...uintptr) int {
	t.Helper()
	id, err := rawCall(get, of...)
	if err == unix.ENOSPC {
		behaviour.Limited(t, "System V IPC: %v", err)
	}
	if err != nil {
		t.Fatalf("system call %d: %v", get, err)
	}
	const remove = 0 // IPC_RMID
	t.Cleanup(func() { rawCall(control, []uintptr{uintptr(id), 0, remove}[:args]...) })
	return id
}

// mustListener returns a unix(7) socket that has room for one connection to be
// accepted, and its address.
func mustListener(t testing.TB, a *sys.Arena) (s int, addr []byte) {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	closable(t, s, err)
	addr = a.Bytes(unix.SizeofSockaddrUnix)
	*(*uint16)(unsafe.Pointer(&addr[0])) = unix.AF_UNIX
	// Without a name it gets one.
	if err := rawsig.Do(unix.SYS_BIND, uintptr(s), ptrTo(&addr[0]), 2); err != nil {
		t.Fatalf("bind: %v", err)
	}
	size := a.Word32(unix.SizeofSockaddrUnix)
	if err := rawsig.Do(unix.SYS_GETSOCKNAME, uintptr(s), ptrTo(&addr[0]), ptrTo(size)); err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	if err := unix.Listen(s, 0); err != nil {
		t.Fatalf("listen: %v", err)
	}
	return s, addr[:*size]
}

func connectTo(t testing.TB, addr []byte) {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	closable(t, s, err)
	if err := rawsig.Do(unix.SYS_CONNECT, uintptr(s), ptrTo(&addr[0]), uintptr(len(addr))); err != nil {
		t.Errorf("connect: %v", err)
	}
}

// mustFullSocket returns two connected sockets of which the first can send no
// more.
func mustFullSocket(t testing.TB) [2]int {
	t.Helper()
	s := fdtest.Socketpair(t)
	for {
		if err := unix.Sendto(s[0], make([]byte, 4096), unix.MSG_DONTWAIT, nil); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatalf("sendto: %v", err)
		}
	}
	for unix.Sendto(s[0], []byte{0}, unix.MSG_DONTWAIT, nil) == nil {
	}
	return s
}

func emptySocket(s int) {
	buf := make([]byte, 64<<10)
	for {
		if n, _, err := unix.Recvfrom(s, buf, unix.MSG_DONTWAIT); n <= 0 || err != nil {
			return
		}
	}
}

var signalRestartRows = map[string]func(*testing.T){
	"SIG-70": behaviour.Alone(restart, quiet...),
}
