//go:build linux

package eventbench

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/aio"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"
)

// The six uses that the source names, each as a small program that does the
// real thing. They have in common that an eventfd tells how much there is to
// do, and something beside it tells what.

// Use 1: a web server hands requests to worker threads. Per eventfd(2) a
// semaphore's counter goes down by 1 with each read: each token wakes one
// worker for one request, a write of n wakes n, and a token without a request
// ends a worker.
func TestUseWorkerPool(t *testing.T) {
	const workers, requests = 4, 200
	tokens := fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	var work queue[func() error]
	var served [workers]int
	var pool []*child.Thread
	for i := range workers {
		pool = append(pool, child.Go(t, fmt.Sprintf("worker %d", i), func() error {
			for {
				if n, err := eventfdRead(tokens); err != nil || n != 1 {
					return fmt.Errorf("token %d, %v; want 1", n, err)
				}
				f, ok := work.pop()
				if !ok {
					return nil
				}
				if err := f(); err != nil {
					return err
				}
				served[i]++
			}
		}))
	}
	for _, w := range pool {
		w.AwaitBlocked(unix.SYS_READ)
	}

	// One write of 4 wakes all four: none of these requests ends before
	// each has found a worker.
	var together sync.WaitGroup
	together.Add(workers)
	met := make(chan struct{})
	go func() { together.Wait(); close(met) }()
	for range workers {
		work.push(func() error {
			together.Done()
			select {
			case <-met:
				return nil
			case <-time.After(child.Patience):
				return errors.New("other workers did not wake up")
			}
		})
	}
	mustWriteEventfd(t, tokens, workers)
	<-met

	// A stream of requests, some in bursts.
	var sums [requests]atomic.Uint32
	for i := range requests {
		work.push(func() error { sums[i].Add(crc32.ChecksumIEEE(request(i))); return nil })
		switch {
		case i%10 < 5:
			mustWriteEventfd(t, tokens, 1)
		case i%10 == 9:
			mustWriteEventfd(t, tokens, 5)
		}
	}
	// Tokens without requests. A worker may meet one before the last
	// requests are served, but they are all taken by then.
	mustWriteEventfd(t, tokens, workers)
	total := 0
	for i, w := range pool {
		w.Join()
		total += served[i]
	}
	if want := workers + requests; total != want {
		t.Errorf("workers served %v, %d requests; want %d", served, total, want)
	}
	for i := range sums {
		if got, want := sums[i].Load(), crc32.ChecksumIEEE(request(i)); got != want {
			t.Errorf("request %d: sum %#x, want %#x, served exactly once", i, got, want)
		}
	}
	wantEmpty(t, tokens)
}

func request(i int) []byte { return fmt.Appendf(nil, "GET /%d HTTP/1.1\r\n\r\n", i) }

// Use 2: a server's I/O thread announces changes of its connections' states to
// the thread that keeps the table of them. Per epoll_ctl(2) EPOLLRDHUP says
// that the peer has shut down its writing half, EPOLLHUP that both halves are
// shut down; per eventfd(2) the announcements add up while the other thread is
// busy.
func TestUseConnectionState(t *testing.T) {
	check := func(family string, domain int, addr unix.Sockaddr) {
		t.Run("family="+family, func(t *testing.T) {
			const clients = 3
			s := newServer(t, domain, addr)
			var conns [clients]int
			for i := range conns {
				conns[i] = mustSocket(t, domain)
				err := unix.Connect(conns[i], s.addr)
				if errors.Is(err, unix.ENETUNREACH) {
					t.Skipf("connect to 127.0.0.1: %v: the loopback interface is down", err)
				} else if err != nil {
					t.Fatalf("connect: %v", err)
				}
			}
			io := child.Go(t, "I/O thread", s.serve)
			seen := make(chan change, 4*clients)
			table := child.Go(t, "table thread", func() error { return s.keepTable(seen, 4*clients) })
			// want waits until each connection has gone through these states.
			want := func(states ...string) {
				t.Helper()
				got := map[change]int{}
				for range clients * len(states) {
					select {
					case c := <-seen:
						got[c]++
					case <-time.After(child.Patience / 2):
						t.Fatalf("waiting for %v of %d connections: only %v", states, clients, got)
					}
				}
				for conn := range clients {
					for _, state := range states {
						if c := (change{conn, state}); got[c] != 1 {
							t.Fatalf("connection %d became %s %d times, want once; all changes: %v", conn, state, got[c], got)
						}
					}
				}
			}

			want("connected")
			for i, fd := range conns {
				if n, err := unix.Write(fd, request(i)); err != nil || n != len(request(i)) {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			want("active")
			for _, fd := range conns {
				if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
					t.Fatalf("shutdown: %v", err)
				}
			}
			for i, fd := range conns {
				// The answer to the end of our half is its
				// size.
				var buf [16]byte
				n, err := unix.Read(fd, buf[:])
				if got, want := string(buf[:max(n, 0)]), strconv.Itoa(len(request(i))); err != nil || got != want {
					t.Errorf("answer %q, %v; want %q", got, err, want)
				}
			}
			want("half-closed", "closed")
			table.Join()
			mustWriteEventfd(t, s.stop, 1)
			io.Join()
			wantEmpty(t, s.changes)
		})
	}
	check("unix", unix.AF_UNIX, &unix.SockaddrUnix{}) // the kernel picks an abstract name
	check("inet", unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

type change struct {
	conn  int // in the order of arrival
	state string
}

type server struct {
	listener, epfd, stop int
	addr                 unix.Sockaddr

	changes int // eventfd: how many are in queue
	queue   queue[change]
}

func newServer(t *testing.T, domain int, addr unix.Sockaddr) *server {
	t.Helper()
	s := &server{listener: mustSocket(t, domain), stop: fdtest.Eventfd(t, 0), changes: fdtest.Eventfd(t, 0)}
	if err := unix.Bind(s.listener, addr); errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Skipf("bind to 127.0.0.1: %v: the loopback interface is down", err)
	} else if err != nil {
		t.Fatalf("bind: %v", err)
	}
	if err := unix.Listen(s.listener, 16); err != nil {
		t.Fatalf("listen: %v", err)
	}
	var err error
	if s.addr, err = unix.Getsockname(s.listener); err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	s.epfd = fdtest.Epoll(t, s.listener, s.stop)
	return s
}

// serve is the I/O thread.
func (s *server) serve() error {
	type conn struct{ id, bytes int }
	conns := map[int]*conn{}
	defer func() {
		for fd := range conns {
			unix.Close(fd)
		}
	}()
	accepted := 0
	announce := func(id int, state string) error {
		s.queue.push(change{id, state})
		return eventfdWrite(s.changes, 1)
	}
	control := func(op, fd int, events uint32) error {
		err := unix.EpollCtl(s.epfd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
		if err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
		return nil
	}
	for {
		fds, err := epollWait(s.epfd, child.Patience)
		if err != nil {
			return err
		}
		if len(fds) == 0 {
			return errors.New("nothing came, not even the stop")
		}
		for _, fd := range fds {
			c := conns[fd]
			switch {
			case fd == s.stop:
				return nil
			case fd == s.listener:
				nfd, _, err := unix.Accept4(s.listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				if err != nil {
					return fmt.Errorf("accept4: %w", err)
				}
				conns[nfd] = &conn{id: accepted}
				accepted++
				if err := control(unix.EPOLL_CTL_ADD, nfd, unix.EPOLLIN|unix.EPOLLRDHUP); err != nil {
					return err
				}
				if err := announce(conns[nfd].id, "connected"); err != nil {
					return err
				}
			default:
				// An event names the connection. Its state is
				// read again, because several changes may have
				// come as one event.
				ready, err := poll(fd, unix.POLLIN|unix.POLLRDHUP, 0)
				if err != nil {
					return err
				}
				var buf [256]byte
				n := 0
				if ready&unix.POLLIN != 0 {
					if n, err = unix.Read(fd, buf[:]); err != nil {
						return fmt.Errorf("read: %w", err)
					}
				}
				switch {
				case n > 0:
					if c.bytes += n; c.bytes == n {
						err = announce(c.id, "active")
					}
				case ready&unix.POLLHUP != 0:
					delete(conns, fd)
					unix.Close(fd)
					err = announce(c.id, "closed")
				case ready&unix.POLLRDHUP != 0:
					if err = announce(c.id, "half-closed"); err != nil {
						return err
					}
					// With both halves shut down EPOLLHUP
					// comes, without being asked for.
					_, err = unix.Write(fd, []byte(strconv.Itoa(c.bytes)))
					err = errors.Join(err, unix.Shutdown(fd, unix.SHUT_WR), control(unix.EPOLL_CTL_MOD, fd, 0))
				}
				if err != nil {
					return err
				}
			}
		}
	}
}

// keepTable is the other thread: it takes changes as they are announced, checks
// that each may follow what the connection was before, and passes them on.
func (s *server) keepTable(seen chan<- change, total int) error {
	before := map[string]string{"connected": "", "active": "connected", "half-closed": "active", "closed": "half-closed"}
	table := map[int]string{}
	for total > 0 {
		n, err := eventfdRead(s.changes)
		if err != nil {
			return err
		}
		for ; n > 0; n, total = n-1, total-1 {
			c, ok := s.queue.pop()
			if !ok {
				return fmt.Errorf("%d changes more announced than there are", n)
			}
			if table[c.conn] != before[c.state] {
				return fmt.Errorf("connection %d: %q after %q", c.conn, c.state, table[c.conn])
			}
			table[c.conn] = c.state
			seen <- c
		}
	}
	return nil
}

// Use 3: the kernel announces that asynchronous I/O has completed. Per
// io_submit(2) a request with IOCB_FLAG_RESFD adds 1 to its eventfd when it
// completes, and io_getevents(2) then has its result.
func TestUseAIOLinux(t *testing.T) {
	const n, size = 8, 4096
	ctx, err := aio.Setup(n)
	if errors.Is(err, unix.EAGAIN) {
		t.Skipf("%v: raise /proc/sys/fs/aio-max-nr", err)
	}
	fdtest.Must(t, "Linux AIO", err)
	t.Cleanup(func() {
		if err := ctx.Destroy(); err != nil {
			t.Error(err)
		}
	})
	done := fdtest.Eventfd(t, 0)
	// submit hands requests in and collects results, which a thread in a
	// blocking read of the eventfd waits for.
	submit := func(t *testing.T, requests []aio.Iocb, while func()) []aio.Event {
		t.Helper()
		var results []aio.Event
		waiter := child.Go(t, "waiter", func() error {
			for len(results) < len(requests) {
				n, err := eventfdRead(done)
				if err != nil {
					return err
				}
				// What was announced is there: don't wait.
				got, err := ctx.Events(make([]aio.Event, n), 0)
				if err != nil || len(got) != int(n) {
					return fmt.Errorf("%d completions announced, %d found, %v", n, len(got), err)
				}
				results = append(results, got...)
			}
			return nil
		})
		waiter.AwaitBlocked(unix.SYS_READ)
		for i := range requests {
			requests[i].Data, requests[i].Flags, requests[i].Resfd = uint64(i), aio.FlagResfd, int32(done)
			if err := ctx.Submit(&requests[i]); err != nil {
				t.Fatal(err)
			}
		}
		while()
		waiter.Join()
		wantEmpty(t, done)
		slices.SortFunc(results, func(a, b aio.Event) int { return int(a.Data) - int(b.Data) })
		return results
	}

	t.Run("file", func(t *testing.T) {
		f, memory := mustTemp(t), mustMemory(t, 2*n*size)
		for _, cmd := range []uint16{aio.CmdPwrite, aio.CmdPread} {
			var requests []aio.Iocb
			for i := range n {
				// Written from one half of the memory, read
				// into the other.
				buf := memory[i*size:][:size]
				if cmd == aio.CmdPwrite {
					copy(buf, bytes.Repeat([]byte{byte('A' + i)}, size))
				} else {
					buf = memory[(n+i)*size:][:size]
				}
				requests = append(requests, aio.Iocb{
					Cmd: cmd, Fd: int32(f), Buf: aio.Address(buf), Nbytes: size, Offset: int64(i * size),
				})
			}
			for i, r := range submit(t, requests, func() {}) {
				if r.Data != uint64(i) || r.Res != size {
					t.Errorf("command %d: completion %d is for request %d with result %d; want %d", cmd, i, r.Data, r.Res, size)
				}
			}
		}
		if !bytes.Equal(memory[:n*size], memory[n*size:]) {
			t.Error("what was read is not what was written")
		}
	})

	// A request that cannot complete yet: IOCB_CMD_POLL on a socket, which
	// nobody has written to.
	t.Run("poll", func(t *testing.T) {
		pair := fdtest.Socketpair(t)
		near, far := pair[0], pair[1]
		mustTimeouts(t, near)
		mustTimeouts(t, far)
		results := submit(t, []aio.Iocb{{Cmd: aio.CmdPoll, Fd: int32(near), Buf: unix.POLLIN}}, func() {
			wantEmpty(t, done)
			if _, err := unix.Write(far, []byte("x")); err != nil {
				t.Error(err)
			}
		})
		// The wake-up's other bits may come with the one that was asked
		// for.
		if res := results[0].Res; res < 0 || res&unix.POLLIN == 0 {
			t.Errorf("result %#x, want POLLIN", res)
		}
	})
}

// The same with io_uring(7): per io_uring_register(2) a registered eventfd is
// signalled when completions have been posted, but not once for each. After its
// read they are in the ring.
func TestUseAIOUring(t *testing.T) {
	const n, size = 8, 4096
	runtime.LockOSThread() // a request runs on behalf of its thread
	defer runtime.UnlockOSThread()
	ring := fdtest.Ring(t, n, 0)
	done := fdtest.Eventfd(t, 0)
	fdtest.Must(t, "io_uring", ring.RegisterEventfd(done))
	submit := func(t *testing.T, requests []sys.Request, while func()) []sys.Completion {
		t.Helper()
		var results []sys.Completion
		waiter := child.Go(t, "waiter", func() error {
			for len(results) < len(requests) {
				if _, err := eventfdRead(done); err != nil {
					return err
				}
				results = append(results, ring.Completions()...)
			}
			return nil
		})
		waiter.AwaitBlocked(unix.SYS_READ)
		for i := range requests {
			requests[i].Data = uint64(i)
			if err := ring.Do(requests[i]); err != nil {
				t.Fatal(err)
			}
		}
		while()
		waiter.Join()
		slices.SortFunc(results, func(a, b sys.Completion) int { return int(a.Data) - int(b.Data) })
		return results
	}
	// The announcement of a completion that was already taken may be left.
	drain := func() {
		if ready, _ := poll(done, unix.POLLIN, 0); ready != 0 {
			mustReadEventfd(t, done)
		}
	}

	t.Run("file", func(t *testing.T) {
		f, memory := mustTemp(t), mustMemory(t, 2*n*size)
		for _, op := range []uint8{sys.RingWrite, sys.RingRead} {
			var requests []sys.Request
			for i := range n {
				buf := memory[i*size:][:size]
				if op == sys.RingWrite {
					copy(buf, bytes.Repeat([]byte{byte('a' + i)}, size))
				} else {
					buf = memory[(n+i)*size:][:size]
				}
				requests = append(requests, sys.Request{
					Op: op, Fd: int32(f), Addr: aio.Address(buf), Len: size, Offset: uint64(i * size),
				})
			}
			drain()
			for i, r := range submit(t, requests, func() {}) {
				if r.Data != uint64(i) || r.Res != size {
					t.Errorf("operation %d: completion %d is for request %d with result %d; want %d", op, i, r.Data, r.Res, size)
				}
			}
		}
		if !bytes.Equal(memory[:n*size], memory[n*size:]) {
			t.Error("what was read is not what was written")
		}
	})

	t.Run("poll", func(t *testing.T) {
		pair := fdtest.Socketpair(t)
		near, far := pair[0], pair[1]
		mustTimeouts(t, near)
		mustTimeouts(t, far)
		drain()
		results := submit(t, []sys.Request{{Op: sys.RingPollAdd, Fd: int32(near), OpFlags: unix.POLLIN}}, func() {
			wantEmpty(t, done)
			if _, err := unix.Write(far, []byte("x")); err != nil {
				t.Error(err)
			}
		})
		if results[0].Res != unix.POLLIN {
			t.Errorf("result %#x, want POLLIN", results[0].Res)
		}
	})
	fdtest.Must(t, "io_uring", ring.UnregisterEventfd())
}

// Use 4: sensor data, collected at a period. Per timerfd_create(2) a read
// returns how often the timer has expired since the last: a sensor thread that
// was held up knows which samples it has missed, and none is taken before its
// time. The collector takes samples in batches of any size.
func TestUseSensor(t *testing.T) {
	t.Parallel()
	const period, wanted = second / 10, 50
	type sample struct {
		slot  uint64 // which period of the timer it belongs to
		at    time.Duration
		procs uint16 // the reading: how many processes there are, sysinfo(2)
	}
	var samples queue[sample]
	announced := fdtest.Eventfd(t, 0)
	start := time.Now()
	timer := mustArmedTimerfd(t, period, period)
	sensor := child.Go(t, "sensor", func() error {
		for slot := uint64(0); slot < wanted; {
			n, err := timerfdRead(timer)
			if err != nil {
				return err
			}
			slot += n
			var info unix.Sysinfo_t
			if err := unix.Sysinfo(&info); err != nil {
				return fmt.Errorf("sysinfo: %w", err)
			}
			samples.push(sample{slot, time.Since(start), info.Procs})
			if err := eventfdWrite(announced, 1); err != nil {
				return err
			}
		}
		return nil
	})
	var got []sample
	batches := 0
	collector := child.Go(t, "collector", func() error {
		for len(got) == 0 || got[len(got)-1].slot < wanted {
			n, err := eventfdRead(announced)
			if err != nil {
				return err
			}
			batches++
			for ; n > 0; n-- {
				s, ok := samples.pop()
				if !ok {
					return fmt.Errorf("%d samples more announced than there are", n)
				}
				got = append(got, s)
			}
		}
		return nil
	})
	sensor.Join()
	collector.Join()
	wantEmpty(t, announced)
	last := uint64(0)
	for i, s := range got {
		if due := period * time.Duration(s.slot); s.at < due {
			t.Errorf("sample %d for slot %d was taken at %v, before its time %v", i, s.slot, s.at, due)
		}
		if s.slot <= last {
			t.Errorf("sample %d is for slot %d, want one after %d", i, s.slot, last)
		}
		if s.procs == 0 {
			t.Errorf("sample %d: no processes", i)
		}
		last = s.slot
	}
	t.Logf("%d samples for %d periods of %v, in %d batches", len(got), last, period, batches)
}

// Use 5: an alarm when a threshold is passed, here by the bytes that lie unread
// in a pipe (FIONREAD in ioctl(2)). A monitor checks the level at each expiry
// of a timer, timerfd_create(2). It raises the alarm once each time the level
// passes the high mark; the level must fall to the low mark before the next
// alarm.
func TestUseThresholdAlarm(t *testing.T) {
	const low, high = 1000, 3000
	var pipe [2]int
	fdtest.Must(t, "pipe2", unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	t.Cleanup(func() { unix.Close(pipe[0]); unix.Close(pipe[1]) })
	alarm, stop := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	timer := mustArmedTimerfd(t, time.Millisecond, time.Millisecond)
	epfd := fdtest.Epoll(t, timer, stop)
	var looks atomic.Int64
	monitor := child.Go(t, "monitor", func() error {
		for raised := false; ; looks.Add(1) {
			fds, err := epollWait(epfd, child.Patience)
			if err != nil {
				return err
			}
			if slices.Contains(fds, stop) {
				return nil
			}
			if _, err := timerfdRead(timer); err != nil {
				return err
			}
			level, err := unix.IoctlGetInt(pipe[0], unix.TIOCINQ) // FIONREAD's other name
			if err != nil {
				return fmt.Errorf("ioctl FIONREAD: %w", err)
			}
			switch {
			case !raised && level >= high:
				raised = true
				if err := eventfdWrite(alarm, 1); err != nil {
					return err
				}
			case raised && level <= low:
				raised = false
			}
		}
	})
	alarms := make(chan uint64, 16)
	guard := child.Go(t, "guard", func() error {
		for {
			n, err := eventfdRead(alarm)
			if err != nil || n >= 1<<32 {
				return err
			}
			alarms <- n
		}
	})
	fill := func(n int) {
		t.Helper()
		if n, err := unix.Write(pipe[1], make([]byte, n)); err != nil {
			t.Fatalf("write to the pipe: %d, %v", n, err)
		}
	}
	drain := func(n int) {
		t.Helper()
		if got, err := unix.Read(pipe[0], make([]byte, n)); err != nil || got != n {
			t.Fatalf("read from the pipe: %d, %v; want %d", got, err, n)
		}
	}
	// want lets the monitor check a few times and then expects so many alarms.
	want := func(after string, n int) {
		t.Helper()
		for range n {
			select {
			case got := <-alarms:
				if got != 1 {
					t.Errorf("%s: %d alarms at once, want 1", after, got)
				}
			case <-time.After(child.Patience):
				t.Fatalf("%s: no alarm", after)
			}
		}
		seen := looks.Load()
		awaitTrue(t, "three looks of the monitor", func() bool { return looks.Load() >= seen+3 })
		guard.AwaitBlocked(unix.SYS_READ)
		if len(alarms) > 0 {
			t.Errorf("%s: more than %d alarms", after, n)
		}
	}
	fill(high - 1)
	want("just below the high mark", 0)
	fill(1)
	want("at the high mark", 1)
	fill(500)
	want("above the high mark", 0)
	drain(1000)
	want("between the marks", 0)
	fill(1000)
	want("at the high mark again, without having been low", 0)
	drain(high + 500 - low)
	want("at the low mark", 0)
	fill(high - low)
	want("at the high mark after the low one", 1)
	mustWriteEventfd(t, stop, 1)
	monitor.Join()
	mustWriteEventfd(t, alarm, 1<<32)
	guard.Join()
}

// Use 6: the state of the system. It waits for what can be waited for: per the
// kernel's Documentation/accounting/psi.rst a trigger written to
// /proc/pressure/cpu reports EPOLLPRI when tasks had to wait for a CPU for
// longer than the threshold within the window.
func TestUseSystemStatePressure(t *testing.T) {
	t.Parallel()
	const name = "/proc/pressure/cpu"
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		t.Skipf("open %s: %v: a kernel without CONFIG_PSI, or with it off (psi=1 on its command line)", name, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EROFS):
		t.Skipf("open %s for writing: %v: refused to a container", name, err)
	}
	fdtest.Must(t, "open "+name, err)
	t.Cleanup(func() { unix.Close(fd) })
	// 1 ms in half a second; or in 2 s, the shortest window that the kernel
	// (since 6.5) allows without CAP_SYS_RESOURCE. The kernel requires the
	// terminating zero.
	_, err = unix.Write(fd, []byte("some 1000 500000\x00"))
	if errors.Is(err, unix.EINVAL) {
		if testing.Short() {
			t.Skip("without CAP_SYS_RESOURCE this takes 2 s")
		}
		_, err = unix.Write(fd, []byte("some 1000 2000000\x00"))
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("write to %s: %v: pressure accounting is off (psi=1 on the kernel's command line)", name, err)
	}
	fdtest.Must(t, "write to "+name, err)
	stop := fdtest.Eventfd(t, 0)
	epfd := fdtest.Epoll(t, stop)
	fdtest.Add(t, epfd, fd, unix.EPOLLPRI)

	// Two processes compete for one CPU: for a while one of them always
	// waits.
	for range 2 {
		child.Start(t, spinRole, child.Options{})
	}
	fds, err := epollWait(epfd, child.Patience)
	if err != nil || !slices.Equal(fds, []int{fd}) {
		t.Errorf("epoll_wait: %v, %v; want %d, the pressure on the CPU", fds, err, fd)
	}
	// In the same loop, the eventfd that ends it.
	mustWriteEventfd(t, stop, 1)
	if fds, err = epollWait(epfd, child.Patience); err != nil || !slices.Contains(fds, stop) {
		t.Errorf("epoll_wait: %v, %v; want %d, the stop", fds, err, stop)
	}
}

// spinRole keeps the first allowed CPU busy for some seconds of the source's.
var spinRole = child.Register("spin", func(p *child.Proc) error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	cpu := 0
	for !allowed.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	for start := time.Now(); time.Since(start) < 10*second; {
	}
	p.Hear() // the parent's end of it
	return nil
})

// Per proc_pid_mounts(5) /proc/PID/mounts is pollable: a file system mounted
// or unmounted in the namespace is EPOLLPRI and EPOLLERR.
func TestUseSystemStateMounts(t *testing.T) {
	p := child.Start(t, mountsRole, child.Options{Args: []string{t.TempDir()}})
	if refused, ok := strings.CutPrefix(p.Line(), "skip "); ok {
		p.Wait()
		t.Skip(refused)
	}
	p.Expect("quiet")
	p.Expect("mount seen")
	p.Expect("unmount seen")
	p.Wait()
}

var mountsRole = child.Register("mounts", func(p *child.Proc) error {
	dir := p.Args[0]
	// A namespace of this thread's own, so that nothing is visible outside.
	if err := unix.Unshare(unix.CLONE_NEWNS); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		p.Say("skip unshare(CLONE_NEWNS): %v: needs CAP_SYS_ADMIN", err)
		return nil
	} else if err != nil {
		return fmt.Errorf("unshare(CLONE_NEWNS): %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		p.Say("skip mount(MS_PRIVATE): %v: refused by a policy", err)
		return nil
	} else if err != nil {
		return fmt.Errorf("mount(MS_PRIVATE): %w", err)
	}
	fd, err := unix.Open("/proc/thread-self/mounts", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc/thread-self/mounts: %w", err)
	}
	p.Say("watching")
	look := func(after string, timeout time.Duration, want int16) error {
		got, err := poll(fd, unix.POLLPRI, timeout)
		if err != nil || got != want {
			return fmt.Errorf("%s: poll got %#x, %v; want %#x", after, got, err, want)
		}
		return nil
	}
	if err := look("at first", 0, 0); err != nil {
		return err
	}
	p.Say("quiet")
	if err := unix.Mount("eventbench", dir, "tmpfs", 0, "size=4k"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := look("after mount", child.Patience, unix.POLLPRI|unix.POLLERR); err != nil {
		return err
	}
	p.Say("mount seen")
	if err := look("after that was seen", 0, 0); err != nil {
		return err
	}
	if err := unix.Unmount(dir, 0); err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	if err := look("after umount", child.Patience, unix.POLLPRI|unix.POLLERR); err != nil {
		return err
	}
	p.Say("unmount seen")
	return nil
})

// What cannot be waited for is polled, here the process table, proc(5): a
// monitor announces on an eventfd, eventfd(2), how many processes have started
// and ended since its last look.
func TestUseSystemStateProcesses(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	type change struct {
		pid  int
		came bool
	}
	var changes queue[change]
	announced, stop := fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	timer := mustArmedTimerfd(t, time.Millisecond, second/4)
	epfd := fdtest.Epoll(t, timer, stop)
	first := make(chan struct{}) // closed after the first look
	monitor := child.Go(t, "monitor", func() error {
		known := map[int]bool{}
		for look := 0; ; look++ {
			fds, err := epollWait(epfd, child.Patience)
			if err != nil {
				return err
			}
			if slices.Contains(fds, stop) {
				return nil
			}
			if _, err := timerfdRead(timer); err != nil {
				return err
			}
			names, err := filepath.Glob("/proc/[0-9]*")
			if err != nil {
				return err
			}
			now := map[int]bool{}
			n := uint64(0)
			for _, name := range names {
				pid, err := strconv.Atoi(filepath.Base(name))
				if err != nil {
					continue
				}
				now[pid] = true
				if !known[pid] {
					changes.push(change{pid, true})
					n++
				}
			}
			for pid := range known {
				if !now[pid] {
					changes.push(change{pid, false})
					n++
				}
			}
			known = now
			if n > 0 {
				if err := eventfdWrite(announced, n); err != nil {
					return err
				}
			}
			if look == 0 {
				close(first)
			}
		}
	})
	// await reads announcements until the wanted one comes; other processes
	// start and end too.
	await := func(want change) {
		t.Helper()
		for end := time.Now().Add(child.Patience); time.Now().Before(end); {
			for n := mustReadEventfd(t, announced); n > 0; n-- {
				c, ok := changes.pop()
				if !ok {
					t.Fatalf("%d changes more announced than there are", n)
				}
				if c == want {
					// What else this read announced stays
					// in the queue.
					if n > 1 {
						mustWriteEventfd(t, announced, n-1)
					}
					return
				}
			}
		}
		t.Fatalf("no %+v within %v", want, child.Patience)
	}
	await(change{unix.Getpid(), true})
	select {
	case <-first:
	case <-time.After(child.Patience):
		t.Fatal("the monitor does not look")
	}
	p := child.Start(t, idleRole, child.Options{})
	await(change{p.Pid, true})
	p.Wait()
	await(change{p.Pid, false})
	mustWriteEventfd(t, stop, 1)
	monitor.Join()
}

// idleRole waits until its standard input ends.
var idleRole = child.Register("idle", func(p *child.Proc) error {
	p.Hear()
	return nil
})

// mustSocket makes a blocking stream socket whose calls end after Patience.
func mustSocket(tb testing.TB, domain int) int {
	tb.Helper()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		tb.Skipf("socket: %v: not built into this kernel", err)
	}
	fdtest.Must(tb, "socket", err)
	tb.Cleanup(func() { unix.Close(fd) })
	mustTimeouts(tb, fd)
	return fd
}

func mustTimeouts(tb testing.TB, fd int) {
	tb.Helper()
	tv := unix.NsecToTimeval(child.Patience.Nanoseconds())
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &tv); err != nil {
			tb.Fatalf("setsockopt: %v", err)
		}
	}
}

// mustTemp opens an unlinked file.
func mustTemp(tb testing.TB) int {
	tb.Helper()
	f, err := os.CreateTemp("", "eventbench")
	fdtest.Must(tb, "open", err)
	tb.Cleanup(func() { f.Close() })
	if err := os.Remove(f.Name()); err != nil {
		tb.Error(err)
	}
	return int(f.Fd())
}

// mustMemory maps memory that the kernel may write to behind Go's back.
func mustMemory(tb testing.TB, n int) []byte {
	tb.Helper()
	m, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	fdtest.Must(tb, "mmap", err)
	tb.Cleanup(func() { unix.Munmap(m) })
	return m
}
