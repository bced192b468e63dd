//go:build linux

package behaviours

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
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

// What a record says of its signal.

// signalfdSenders (SFD-15): a record has the signal and its code, and the
// sender's process and real user id; the value of sigqueue is there as an int
// and in full.
func signalfdSenders(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	uid, _ := mixUserIDs(t)
	self := os.Getpid()
	from := func(pid int, sig unix.Signal, code int32) record {
		return record{Signo: uint32(sig), Code: code, Pid: uint32(pid), Uid: uint32(uid)}
	}
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		wantErrno(t, "kill", rawsig.Kill(self, sig), nil)
		wantRecords(t, "kill by oneself", fd, from(self, sig, rawsig.SIUser))
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantRecords(t, "tgkill by oneself", fd, from(self, sig, rawsig.SITkill))
		wantErrno(t, "tkill", rawsig.Tkill(self, sig), nil)
		wantRecords(t, "tkill by oneself", fd, from(self, sig, rawsig.SITkill))
		wantErrno(t, "pidfd_send_signal", rawsig.PidfdSend(mustPidfd(t, self), sig, nil, 0), nil)
		wantRecords(t, "pidfd_send_signal by oneself", fd, from(self, sig, rawsig.SIUser))
		a := fdtest.Arena(t)
		for what, c := range map[string]struct {
			call sys.Call
			code int32
		}{
			"kill":   {sys.Kill(self, sig), rawsig.SIUser},
			"tgkill": {sys.Tgkill(self, self, sig), rawsig.SITkill},
		} {
			sender := startBare(t, a, c.call)
			sender.want(t)
			wantRecords(t, what+" by a child", fd, from(sender.TID, sig, c.code))
		}
		for _, v := range []uint64{0, 1, math.MaxUint32, 1 << 32, 0x1122_3344_8556_6778, math.MaxUint64} {
			want := from(self, sig, rawsig.SIQueue)
			want.Uid, want.Ptr, want.Int = uint32(os.Getuid()), v, int32(v)
			wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(self, sig, rawsig.Value(v)), nil)
			wantRecords(t, "rt_sigqueueinfo", fd, want)
			wantErrno(t, "rt_tgsigqueueinfo", rawsig.Tgqueue(self, self, sig, rawsig.Value(v)), nil)
			wantRecords(t, "rt_tgsigqueueinfo", fd, want)
			wantErrno(t, "pidfd_send_signal", rawsig.PidfdSend(mustPidfd(t, self), sig,
				&sys.Siginfo{Signo: int32(sig), Code: rawsig.SIQueue, Pid: int32(self), UID: int32(os.Getuid()), Value: v}, 0), nil)
			wantRecords(t, "pidfd_send_signal with a value", fd, want)
		}
	}
	wantNoRecord(t, "at the end", fd)
}

// signalfdChildren (SFD-16): SIGCHLD says what became of which child, with its
// user, its status and the CPU time that it used, in clock ticks.
func signalfdChildren(t testing.TB) { takeChildSignals(t, childRecords) }

func childRecords(t testing.TB) error {
	const tick = 10 * time.Millisecond // USER_HZ, on all architectures here
	fd := newSignalfd(t, sys.Sigs(unix.SIGCHLD), unix.SFD_NONBLOCK)
	rawsig.Take(sys.Sigs(unix.SIGCHLD)) // of a try before
	// next waits for a change of a child and reads its record, whose times
	// it returns.
	next := func(what string, pid, options int, code int32, status unix.Signal) (cpu uint64, err error) {
		if err := unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil); err != nil {
			return 0, fmt.Errorf("waitid of a child that %s: %w", what, err)
		}
		// A child tells of its continuing itself, when it runs: that
		// may be after waitid.
		unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &unix.Timespec{Sec: 1}, nil)
		got, err := readRecords(fd, 2)
		if err != nil || len(got) != 1 {
			return 0, fmt.Errorf("read after a child %s: %d records, %v; want 1", what, len(got), err)
		}
		want := record{Signo: uint32(unix.SIGCHLD), Code: code, Pid: uint32(pid), Uid: uint32(os.Getuid()), Status: int32(status)}
		want.Utime, want.Stime = got[0].Utime, got[0].Stime
		if !bytes.Equal(bytesOf(got[:1]), bytesOf([]record{want})) {
			return 0, fmt.Errorf("a child %s: %+v, want %+v", what, got[0], want)
		}
		return want.Utime + want.Stime, nil
	}
	a := fdtest.Arena(t)
	ended := mustForkIn(t, a, sys.Call{Name: "exit_group(7)", Nr: unix.SYS_EXIT_GROUP, Args: [6]uintptr{7}})
	cpu, err := next("exited", ended.TID, unix.WEXITED, rawsig.CldExited, 7)
	if err != nil {
		return err
	}
	if cpu > 1 {
		t.Errorf("a child that ended at once has used %d ticks", cpu)
	}
	start := time.Now()
	busy := mustForkLoop(t, a, math.MaxInt, sys.Call{Name: "getppid()", Nr: unix.SYS_GETPPID, Want: os.Getpid()})
	clock := int32(^busy.TID<<3 | 2) // the process's CPU time, clock_getcpuclockid(3)
	for used := time.Duration(0); used < 6*tick; time.Sleep(tick / 4) {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return fmt.Errorf("clock_gettime of the child's CPU time: %w", err)
		}
		if used = time.Duration(ts.Nano()); time.Since(start) > child.Patience/2 {
			return fmt.Errorf("a busy child used %v in %v", used, time.Since(start))
		}
	}
	if err := rawsig.Kill(busy.TID, unix.SIGSTOP); err != nil {
		return err
	}
	if _, err := next("stopped", busy.TID, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP); err != nil {
		return err
	}
	if err := rawsig.Kill(busy.TID, unix.SIGCONT); err != nil {
		return err
	}
	if _, err := next("continued", busy.TID, unix.WCONTINUED, rawsig.CldContinued, unix.SIGCONT); err != nil {
		return err
	}
	if err := rawsig.Kill(busy.TID, unix.SIGKILL); err != nil {
		return err
	}
	if cpu, err = next("killed", busy.TID, unix.WEXITED, rawsig.CldKilled, unix.SIGKILL); err != nil {
		return err
	}
	if most := uint64(time.Since(start)/tick) + 2; cpu < 1 || cpu > most {
		t.Errorf("a child that was busy for %v, at least, has used %d ticks; want 1 to %d", 6*tick, cpu, most)
	}
	if got, err := readRecords(fd, 1); err != unix.EAGAIN {
		return fmt.Errorf("another read: %d records, %v; want EAGAIN", len(got), err)
	}
	return nil
}

// signalfdTimer (SFD-17): the record of a POSIX timer has SI_TIMER, the timer's
// id, how many expiries were missed and the timer's value; reading it starts a
// periodic timer anew.
func signalfdTimer(t *testing.T) {
	blockAll(t)
	const sig = unix.Signal(41)
	interval := max(time.Millisecond, resolution(t, unix.CLOCK_MONOTONIC))
	value := uint64(0x1122_3344_8556_6778)
	fd := newSignalfd(t, sys.Sigs(sig), unix.SFD_NONBLOCK)
	other := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Signo: int32(sig), Notify: rawsig.NotifyNone}) // another id
	timer := mustPosixTimer(t, unix.CLOCK_MONOTONIC, &rawsig.Event{Value: value, Signo: int32(sig), Notify: rawsig.NotifyThreadID, TID: int32(unix.Gettid())})
	want := record{Signo: uint32(sig), Code: rawsig.SITimer, Tid: uint32(timer), Ptr: value, Int: int32(value)}
	if timer == other {
		t.Fatalf("two timers have the id %d", timer)
	}
	for range 2 {
		start := time.Now()
		mustSetTimer(t, timer, interval, 0)
		await(t, "a timer has expired", func() bool { return readable(t, fd) })
		if d := time.Since(start); d < interval {
			t.Errorf("a timer of %v expired after %v", interval, d)
		}
		wantRecords(t, "a timer that expires once", fd, want)
	}
	start := time.Now()
	mustSetTimer(t, timer, interval, interval)
	for range 3 {
		time.Sleep(10 * interval)
		got, err := readRecords(fd, 1) // who is kept from running meanwhile finds the next one, too
		if err != nil || len(got) != 1 {
			t.Fatalf("read of a periodic timer's signal: %d records, %v; want 1", len(got), err)
		}
		n, most := got[0].Overrun, uint32(time.Since(start)/interval)
		if n < 5 || n > most {
			t.Errorf("%d expiries were missed, want 5 to %d", n, most)
		}
		if o, err := timer.Overrun(); err != nil || uint32(o) != n {
			t.Errorf("timer_getoverrun = %d, %v; want the record's %d", o, err, n)
		}
		want.Overrun = n
		sameRecords(t, "a periodic timer", got, nil, []record{want})
	}
	mustSetTimer(t, timer, 0, 0)
	rawsig.Take(sys.Sigs(sig))
	wantNoRecord(t, "after the timer was stopped", fd)
}

// signalfdAsyncIO (SFD-18): the record of O_ASYNC has descriptor and events if
// a signal was chosen by F_SETSIG, fcntl(2); with SI_SIGIO where the signal's
// own codes would be mistaken for it.
func signalfdAsyncIO(t *testing.T) {
	blockAll(t)
	needQueue(t, 1)
	s := fdtest.Socketpair(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGIO, unix.SIGCHLD, unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	const setSig, setOwnEx, ownerTid = 10, 15, 0
	owner := [2]int32{ownerTid, int32(unix.Gettid())}
	_, err := rawCall(unix.SYS_FCNTL, uintptr(s[0]), setOwnEx, uintptr(unsafe.Pointer(&owner)))
	wantErrno(t, "F_SETOWN_EX", err, nil)
	for _, c := range []struct {
		sig  unix.Signal
		want record
	}{
		{0, record{Signo: uint32(unix.SIGIO), Code: rawsig.SIKernel}},
		{40, record{Signo: 40, Code: rawsig.PollIn, Fd: int32(s[0]), Band: unix.EPOLLIN | unix.EPOLLRDNORM}},
		{unix.SIGUSR1, record{Signo: uint32(unix.SIGUSR1), Code: rawsig.PollIn, Fd: int32(s[0]), Band: unix.EPOLLIN | unix.EPOLLRDNORM}},
		{unix.SIGIO, record{Signo: uint32(unix.SIGIO), Code: rawsig.PollIn, Fd: int32(s[0]), Band: unix.EPOLLIN | unix.EPOLLRDNORM}},
		{unix.SIGCHLD, record{Signo: uint32(unix.SIGCHLD), Code: siSigio, Fd: int32(s[0]), Band: unix.EPOLLIN | unix.EPOLLRDNORM}},
	} {
		if _, err := unix.FcntlInt(uintptr(s[0]), setSig, int(c.sig)); err != nil {
			t.Fatalf("F_SETSIG %d: %v", c.sig, err)
		}
		if _, err := unix.FcntlInt(uintptr(s[0]), unix.F_SETFL, unix.O_ASYNC); err != nil {
			t.Fatalf("F_SETFL O_ASYNC: %v", err)
		}
		mustWrite(t, s[1], "x")
		wantRecords(t, fmt.Sprintf("with F_SETSIG %d", c.sig), fd, c.want)
		mustRead(t, s[0], "x")
	}
	if _, err := unix.FcntlInt(uintptr(s[0]), unix.F_SETFL, 0); err != nil {
		t.Fatalf("F_SETFL: %v", err)
	}
	mustWrite(t, s[1], "x")
	wantNoRecord(t, "without O_ASYNC", fd)
}

// signalfdUnusedBytes (SFD-19): what a signal of its kind does not have is 0 in
// the record, whatever the sender put into the siginfo and whatever was in the
// reader's memory.
func signalfdUnusedBytes(t *testing.T) {
	blockAll(t)
	needQueue(t, 1)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	ones := bytes.Repeat([]byte{0xff}, int(unsafe.Sizeof(sys.Siginfo{})))
	info := (*sys.Siginfo)(unsafe.Pointer(&ones[0]))
	info.Code = rawsig.SIQueue
	wantErrno(t, "rt_tgsigqueueinfo", rawsig.Tgqueue(os.Getpid(), unix.Gettid(), unix.SIGUSR1, info), nil)
	got, err := readRecords(fd, 1)
	want := record{Signo: uint32(unix.SIGUSR1), Errno: -1, Code: rawsig.SIQueue, Pid: math.MaxUint32, Uid: math.MaxUint32, Int: -1, Ptr: math.MaxUint64}
	sameRecords(t, "a siginfo of all ones", got, err, []record{want})
	used := 0
	for _, b := range bytesOf(got) {
		if b != 0 {
			used++
		}
	}
	// Number, errno, code, process, user, value as an int and in full.
	if want := 1 + 4 + 4 + 4 + 4 + 4 + 8; used != want {
		t.Errorf("%d bytes of the record are not 0, want %d", used, want)
	}
	mustRaise(t, unix.SIGUSR1)
	wantRecords(t, "tgkill", fd, byTgkill(unix.SIGUSR1))
}

// signalfdFaults (SFD-33): a signal that the kernel raises for what a thread
// just did cannot be had from a signalfd: blocked, it kills the process, with a
// thread asleep in a read for it or not. Sent by kill it can.
func signalfdFaults(t *testing.T) {
	for _, c := range []struct {
		how string
		sig unix.Signal
	}{{"read", unix.SIGSEGV}, {"trap", unix.SIGSYS}} {
		p := child.Start(t, signalfdFaulting, child.Options{Args: []string{c.how}})
		line := p.Line()
		if line == "no seccomp" {
			p.Wait()
			behaviour.Partly(t, "absent", "%s was not checked: %s", fdtest.SignalName(c.sig), line)
			continue
		}
		if want := fmt.Sprintf("read %d", c.sig); line != want {
			t.Errorf("sent by tgkill: %q, want %q", line, want)
		}
		if s := p.Status(); !s.Signaled() || s.Signal() != c.sig {
			t.Errorf("%s that the kernel raised: status %#x, want killed by it", fdtest.SignalName(c.sig), s)
		}
	}
}

var signalfdFaulting = child.Register("signalfd-faulting", func(p *child.Proc) error {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	sig := unix.SIGSEGV
	if p.Args[0] == "trap" {
		sig = unix.SIGSYS
	}
	if _, err := sys.Mask(sys.Sigs(sig)); err != nil {
		return err
	}
	fd, err := signalfd4(-1, sys.Sigs(sig), 0)
	if err != nil {
		return err
	}
	if err := rawsig.Raise(sig); err != nil {
		return err
	}
	got, err := readRecords(fd, 1)
	if err != nil {
		return err
	}
	tid := make(chan int)
	go func() { // another reader for it
		runtime.LockOSThread()
		sys.Mask(sys.Sigs(sig))
		tid <- unix.Gettid()
		readRecords(fd, 1)
	}()
	if p.Args[0] == "trap" {
		<-tid
		// All that follows is forbidden but for what a message takes.
		if err := fdtest.Refuse(unix.SYS_GETPPID, unix.SECCOMP_RET_TRAP); err != nil {
			p.Say("no seccomp")
			return nil
		}
		p.Say("read %d", got[0].Signo)
		return fmt.Errorf("survived a trap in getppid = %d", unix.Getppid())
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	<-tid
	p.Say("read %d", got[0].Signo)
	return fmt.Errorf("read %d from a page without access", page[0])
})

// signalfdLayouts (SFD-53): which fields of a record are filled goes by the
// signal's number and code, as which members of a siginfo mean something does,
// sigaction(2), wherever the siginfo comes from; the errno is passed on.
func signalfdLayouts(t *testing.T) {
	blockAll(t)
	needQueue(t, 1)
	// The words of a siginfo after signal, errno and code.
	words := [4]uint64{0x1111_1111_9222_2222, 0x3333_3333_9444_4444, 0x5555_5555_6666_6666, 0x7777_7777_8888_8888}
	low := func(w int) uint32 { return uint32(words[w]) }
	high := func(w int) uint32 { return uint32(words[w] >> 32) }
	kill := record{Pid: low(0), Uid: high(0)}
	queued := record{Pid: low(0), Uid: high(0), Ptr: words[1], Int: int32(low(1))}
	timer := record{Tid: low(0), Overrun: high(0), Ptr: words[1], Int: int32(low(1))}
	poll := record{Band: low(0), Fd: int32(low(1))}
	fault := record{Addr: words[0]}
	memory := record{Addr: words[0], Addr_lsb: uint16(low(1))}
	chld := record{Pid: low(0), Uid: high(0), Status: int32(low(1)), Utime: words[2], Stime: words[3]}
	call := record{Call_addr: words[0], Syscall: int32(low(1)), Arch: high(1)}
	const siMesgq, siAsyncio, trapBrkpt = -3, -4, 1
	for _, c := range []struct {
		sig  unix.Signal
		code int32
		want record
	}{
		{unix.SIGUSR1, rawsig.SIUser, kill}, {unix.SIGUSR1, rawsig.SIKernel, kill}, {unix.SIGCHLD, rawsig.SIUser, kill},
		{unix.SIGSEGV, rawsig.SIUser, kill}, {40, rawsig.SIKernel, kill},
		{unix.SIGUSR1, rawsig.SIQueue, queued}, {unix.SIGSEGV, rawsig.SIQueue, queued}, {unix.SIGCHLD, rawsig.SIQueue, queued},
		{40, siMesgq, queued}, {40, siAsyncio, queued}, {40, rawsig.SITkill, queued}, {unix.SIGUSR2, -100, queued},
		{unix.SIGUSR1, rawsig.SITimer, timer}, {unix.SIGCHLD, rawsig.SITimer, timer},
		{unix.SIGIO, rawsig.PollIn, poll}, {unix.SIGIO, 6, poll}, {unix.SIGUSR1, rawsig.PollIn, poll}, {40, 6, poll}, {unix.SIGSEGV, siSigio, poll},
		{unix.SIGSEGV, rawsig.SegvMaperr, fault}, {unix.SIGSEGV, rawsig.SegvAccerr, fault}, {unix.SIGSEGV, 3, fault}, {unix.SIGSEGV, 4, fault},
		{unix.SIGFPE, 1, fault}, {unix.SIGILL, 1, fault}, {unix.SIGTRAP, trapBrkpt, fault}, {unix.SIGBUS, 1, fault},
		{unix.SIGBUS, 4, memory}, {unix.SIGBUS, 5, memory},
		{unix.SIGCHLD, rawsig.CldExited, chld}, {unix.SIGCHLD, rawsig.CldContinued, chld},
		{unix.SIGSYS, 1, call},
	} {
		fd := newSignalfd(t, sys.Sigs(c.sig), unix.SFD_NONBLOCK)
		// struct kernel_siginfo is 48 bytes; what is after them must be
		// 0 for codes the kernel does not know.
		info := [16]uint64{2: words[0], 3: words[1], 4: words[2], 5: words[3]}
		info[0], info[1] = 77<<32, uint64(uint32(c.code))
		err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), c.sig, (*sys.Siginfo)(unsafe.Pointer(&info)))
		wantErrno(t, fmt.Sprintf("signal %d with code %d", c.sig, c.code), err, nil)
		c.want.Signo, c.want.Errno, c.want.Code = uint32(c.sig), 77, c.code
		wantRecords(t, fmt.Sprintf("signal %d with code %d", c.sig, c.code), fd, c.want)
		unix.Close(fd)
	}
}

// signalfdExitSignal (SFD-54): a child whose exit signal is not SIGCHLD tells
// of its end with codes that for other signals mean polling: status and process
// are found in the record's descriptor and band.
func signalfdExitSignal(t testing.TB) {
	blockAll(t)
	needQueue(t, 1)
	fd := newSignalfd(t, sys.Sigs(40), 0)
	_, pid := rawsig.VectorsSurviveFork(rawsig.Call{Nr: unix.SYS_CLONE, Args: [6]uintptr{40}})
	if pid < 0 {
		t.Fatalf("clone with exit signal 40: %v", unix.Errno(-pid))
	}
	await(t, "the child has ended", func() bool { return readable(t, fd) })
	var status unix.WaitStatus
	if got, err := unix.Wait4(pid, &status, unix.WALL, nil); got != pid || err != nil {
		t.Fatalf("wait4(%d) = %d, %v", pid, got, err)
	}
	wantRecords(t, "the child's end", fd, record{Signo: 40, Code: rawsig.CldExited, Band: uint32(pid), Fd: int32(status.ExitStatus())})
}

// signalfdIntervalTimer (SFD-55): setitimer(2) of ITIMER_REAL sends SIGALRM
// from the kernel, to the process; an interval begins anew when the signal of
// the one before is taken, also by a signalfd.
func signalfdIntervalTimer(t testing.TB) {
	blockAll(t)
	const interval = 2 * time.Millisecond
	fd := newSignalfd(t, sys.Sigs(unix.SIGALRM), unix.SFD_NONBLOCK)
	every := unix.NsecToTimeval(int64(interval))
	if _, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{Interval: every, Value: every}); err != nil {
		t.Fatalf("setitimer: %v", err)
	}
	t.Cleanup(func() { unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{}) })
	for range 3 {
		await(t, "SIGALRM is there", func() bool { return readable(t, fd) })
		time.Sleep(2 * interval)
		if it, err := unix.Getitimer(unix.ITIMER_REAL); err != nil || it.Value != (unix.Timeval{}) || it.Interval != every {
			t.Errorf("getitimer with SIGALRM pending = %+v, %v; want no time left of %v", it, err, interval)
		}
		// Only one: as soon as it is taken the next interval begins, and may end
		// before a longer read does.
		got, err := readRecords(fd, 1)
		sameRecords(t, "an interval timer", got, err, []record{{Signo: uint32(unix.SIGALRM), Code: rawsig.SIKernel}})
	}
	if _, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{}); err != nil {
		t.Fatalf("setitimer: %v", err)
	}
	rawsig.Take(sys.Sigs(unix.SIGALRM))
	time.Sleep(2 * interval)
	wantNoRecord(t, "after the timer was stopped", fd)
}

// signalfdInfoLost (SFD-61): at RLIMIT_SIGPENDING a signal may come without its
// siginfo: the record is that of a kill by nobody.
func signalfdInfoLost(t testing.TB) {
	accepted := limitQueue(t, 2)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40, 41), unix.SFD_NONBLOCK)
	wantErrno(t, "rt_sigqueueinfo of a full queue", rawsig.Queue(os.Getpid(), 41, rawsig.Value(1)), unix.EAGAIN)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), 41), nil)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR1), nil)
	got, err := readRecords(fd, 1)
	sameRecords(t, "tgkill of a standard signal", got, err, []record{{Signo: uint32(unix.SIGUSR1), Code: rawsig.SIUser}})
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	got, err = readRecords(fd, 1)
	sameRecords(t, "kill of a standard signal, for which there is always room", got, err, []record{byKill(unix.SIGUSR1)})
	var want []record
	for v := range accepted {
		want = append(want, byQueue(40, v))
	}
	wantRecords(t, "what was queued, and kill of a real-time signal", fd, append(want, record{Signo: 41, Code: rawsig.SIUser})...)
}

// siSigio is the code of O_ASYNC for signals that have codes of their own
// (SI_SIGIO, asm-generic/siginfo.h).
const siSigio = -5

var signalfdRecordRows = map[string]func(*testing.T){
	"SFD-15": behaviour.Alone(signalfdSenders, quiet...),
	"SFD-16": behaviour.Alone(signalfdChildren),
	"SFD-17": signalfdTimer,
	"SFD-18": signalfdAsyncIO,
	"SFD-19": signalfdUnusedBytes,
	"SFD-33": signalfdFaults,
	"SFD-53": signalfdLayouts,
	"SFD-54": behaviour.Alone(signalfdExitSignal, quiet...),
	"SFD-55": behaviour.Alone(signalfdIntervalTimer, quiet...),
	"SFD-61": behaviour.Alone(signalfdInfoLost, quiet...),
}
