//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Processes by their descriptors: pidfd_open(2), pidfd_send_signal(2).

// pidfdSend (SIG-82): pidfd_send_signal is kill or rt_sigqueueinfo to a process
// that cannot be mistaken.
func pidfdSend(t testing.TB) {
	blockAll(t)
	self := mustPidfd(t, os.Getpid())
	wantErr(t, rawsig.PidfdSend(self, 40, nil, 0), nil, "pidfd_send_signal(self, 40)")
	wantInfo(t, "without a siginfo", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
		Signo: 40, Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	info := rawsig.Value(99)
	for _, signo := range []int32{41, 0, -1} {
		info.Signo = signo
		wantErr(t, rawsig.PidfdSend(self, 40, info, 0), unix.EINVAL, "pidfd_send_signal(self, 40, siginfo of %d)", signo)
	}
	info.Signo = 40
	wantErr(t, rawsig.PidfdSend(self, 40, info, 0), nil, "pidfd_send_signal(self, 40, siginfo)")
	wantInfo(t, "with a siginfo", mustTakeSignal(t, sys.Sigs(40)), *info)
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(self), 40, badPointer, 0), unix.EFAULT, "pidfd_send_signal(self, 40, bad pointer)")
	wantErr(t, rawsig.PidfdSend(self, 0, nil, 0), nil, "pidfd_send_signal(self, 0)")

	other := startReceiver(t, fdtest.Arena(t), unix.SIGUSR1, unix.SIGUSR2)
	pidfd := mustPidfd(t, other.TID)
	for _, code := range []int32{rawsig.SIUser, rawsig.SIKernel, rawsig.SITkill} {
		forged := sys.Siginfo{Signo: int32(unix.SIGUSR1), Code: code}
		wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR1, &forged, 0), unix.EPERM, "pidfd_send_signal(child, siginfo with code %d)", code)
		wantErr(t, rawsig.PidfdSend(self, unix.SIGUSR1, &forged, 0), nil, "pidfd_send_signal(self, siginfo with code %d)", code)
		mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	}
	for _, flags := range []uint{8, 16, 1 << 31} {
		wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR1, nil, flags), unix.EINVAL, "pidfd_send_signal(child, flags %#x)", flags)
	}
	wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR2, nil, 0), nil, "pidfd_send_signal(child, SIGUSR2)")
	other.awaitEnd(t)
	wantErr(t, rawsig.PidfdSend(pidfd, unix.SIGUSR2, nil, 0), nil, "pidfd_send_signal(zombie, SIGUSR2)")
	other.want(t, unix.SIGUSR2) // and reaps it
	wantErr(t, rawsig.PidfdSend(pidfd, 0, nil, 0), unix.ESRCH, "pidfd_send_signal(reaped, 0)")
	wantErr(t, rawsig.PidfdSend(mustMemfd(t), 0, nil, 0), unix.EBADF, "pidfd_send_signal(memfd)")
	wantErr(t, rawsig.PidfdSend(-1, 0, nil, 0), unix.EBADF, "pidfd_send_signal(-1)")
	wantPending(t, 0)
}

// pidfdScopes (SIG-83): from 6.9 on a flag says whether thread, process or
// group is meant; before, flags are refused.
func pidfdScopes(t testing.TB) {
	const thread, process, group = 1, 2, 4
	blockAll(t)
	self := mustPidfd(t, os.Getpid())
	w := startWorker(t)
	if !behaviour.Since(6, 9) {
		for _, flags := range []uint{thread, process, group} {
			wantErr(t, rawsig.PidfdSend(self, 40, nil, flags), unix.EINVAL, "pidfd_send_signal(self, flags %#x)", flags)
		}
		wantPending(t, 0)
		return
	}
	for flags := range uint(8) {
		if flags&(flags-1) != 0 { // more than one
			wantErr(t, rawsig.PidfdSend(self, 40, nil, flags), unix.EINVAL, "pidfd_send_signal(self, flags %#x)", flags)
		}
	}
	wantPending(t, 0)
	wantErr(t, rawsig.PidfdSend(self, 40, nil, thread), nil, "pidfd_send_signal(self, thread)")
	w.do(func() { wantNone(t, sys.Sigs(40)) })
	wantInfo(t, "to the thread", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
		Signo: 40, Code: rawsig.SITkill, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	wantErr(t, rawsig.PidfdSend(self, 40, nil, process), nil, "pidfd_send_signal(self, process)")
	w.do(func() {
		wantInfo(t, "to the process", mustTakeSignal(t, sys.Sigs(40)), sys.Siginfo{
			Signo: 40, Code: rawsig.SIUser, Pid: int32(os.Getpid()), UID: int32(os.Getuid())})
	})

	// A pidfd of a thread means that thread, unless the flag says
	// otherwise.
	threadFD, err := unix.PidfdOpen(w.Tid, unix.O_EXCL) // PIDFD_THREAD
	if err != nil {
		t.Fatalf("pidfd_open(worker, PIDFD_THREAD): %v", err)
	}
	defer unix.Close(threadFD)
	wantErr(t, rawsig.PidfdSend(threadFD, 40, nil, 0), nil, "pidfd_send_signal(worker)")
	wantPending(t, 0)
	w.do(func() { mustTakeSignal(t, sys.Sigs(40)) })
	wantErr(t, rawsig.PidfdSend(threadFD, 40, nil, process), nil, "pidfd_send_signal(worker, process)")
	mustTakeSignal(t, sys.Sigs(40))

	a := fdtest.Arena(t)
	leader, member := startReceiver(t, a, unix.SIGUSR1), startReceiver(t, a, unix.SIGUSR1)
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, leader.TID), 0, nil, group), unix.ESRCH, "pidfd_send_signal(child that leads no group, group)")
	wantErr(t, unix.Setpgid(leader.TID, leader.TID), nil, "setpgid(leader, leader)")
	wantErr(t, unix.Setpgid(member.TID, leader.TID), nil, "setpgid(member, leader)")
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, leader.TID), unix.SIGUSR1, nil, group), nil, "pidfd_send_signal(leader, group)")
	leader.want(t, unix.SIGUSR1)
	member.want(t, unix.SIGUSR1)
	wantPending(t, 0)
}

// pidfdSelf (SIG-84): from 6.15 on there are numbers for the caller's own
// thread and process; that of the process changed in 6.17.
func pidfdSelf(t testing.TB) {
	const thread = -10000
	process := -10001
	if !behaviour.Since(6, 17) {
		process = -20000
	}
	blockAll(t)
	w := startWorker(t)
	for _, fd := range []int{-1, -9999, -10000, -10001, -10002, -20000, -20001} {
		if behaviour.Since(6, 15) && (fd == thread || fd == process) {
			continue
		}
		wantErr(t, rawsig.PidfdSend(fd, 40, nil, 0), unix.EBADF, "pidfd_send_signal(%d)", fd)
	}
	if !behaviour.Since(6, 15) {
		return
	}
	w.do(func() { wantErr(t, rawsig.PidfdSend(thread, 40, nil, 0), nil, "pidfd_send_signal(%d)", thread) })
	wantPending(t, 0)
	w.do(func() { mustTakeSignal(t, sys.Sigs(40)) })
	w.do(func() { wantErr(t, rawsig.PidfdSend(process, 40, nil, 0), nil, "pidfd_send_signal(%d)", process) })
	mustTakeSignal(t, sys.Sigs(40))
	wantPending(t, 0)
}

// pidfdPoll (SIG-85): a pidfd is readable when the process has ended, and from
// 6.10 on hung up when it is reaped.
func pidfdPoll(t *testing.T) {
	blockAll(t)
	b := startReceiver(t, fdtest.Arena(t), 40)
	pidfd := mustPidfd(t, b.TID)
	poll := func(when string, timeout int, want int16) {
		t.Helper()
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI}}
		n, err := unix.Poll(fds, timeout)
		if err != nil || fds[0].Revents != want || n != min(1, int(want)) {
			t.Errorf("%s: poll returned %d, %v with events %#x, want %#x", when, n, err, fds[0].Revents, want)
		}
	}
	poll("running", 0, 0)
	wantErr(t, rawsig.Kill(b.TID, 40), nil, "kill(child, 40)")
	poll("ended", int(child.Patience.Milliseconds()/2), unix.POLLIN)
	b.want(t, 40)
	want := int16(unix.POLLIN)
	if behaviour.Since(6, 10) {
		want |= unix.POLLHUP
	}
	poll("reaped", 0, want)
}

// pidfdOfProc (SIG-108): the directory of a process in /proc serves as its
// pidfd.
func pidfdOfProc(t testing.TB) {
	blockAll(t)
	open := func(path string, flags int) int {
		t.Helper()
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	self := fmt.Sprintf("/proc/%d", os.Getpid())
	wantErr(t, rawsig.PidfdSend(open(self, unix.O_RDONLY|unix.O_DIRECTORY), 40, nil, 0), nil, "pidfd_send_signal(/proc/PID)")
	mustTakeSignal(t, sys.Sigs(40))
	wantErr(t, rawsig.PidfdSend(open(self, unix.O_PATH), 40, nil, 0), unix.EBADF, "pidfd_send_signal(/proc/PID opened with O_PATH)")
	for _, path := range []string{self + "/task/" + fmt.Sprint(os.Getpid()), self + "/fd", self + "/status", "/proc"} {
		wantErr(t, rawsig.PidfdSend(open(path, unix.O_RDONLY), 40, nil, 0), unix.EBADF, "pidfd_send_signal(%s)", path)
	}
	wantPending(t, 0)
}

// orderOfPidfdErrors (SIG-109): of several errors flags come first, then the
// descriptor, the siginfo, its number, its code, the process, and the signal.
func orderOfPidfdErrors(t testing.TB) {
	blockAll(t)
	gone := zombie(t)
	ended := mustPidfd(t, gone)
	reap(t, gone)
	wrong := sys.Siginfo{Signo: 41, Code: rawsig.SIUser}
	forged := sys.Siginfo{Signo: 40, Code: rawsig.SIUser}
	good := sys.Siginfo{Signo: 40, Code: rawsig.SIQueue}
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, minusOne, 200, badPointer, 8), unix.EINVAL, "flags, descriptor, siginfo and signal wrong")
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, minusOne, 200, badPointer, 0), unix.EBADF, "descriptor, siginfo and signal wrong")
	wantErr(t, rawsig.Do(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(ended), 200, badPointer, 0), unix.EFAULT, "siginfo, process and signal wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &wrong, 0), unix.EINVAL, "siginfo's number and code and process wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &forged, 0), unix.EPERM, "siginfo's code and process wrong")
	wantErr(t, rawsig.PidfdSend(ended, 40, &good, 0), unix.ESRCH, "process gone")
	wantErr(t, rawsig.PidfdSend(ended, 200, nil, 0), unix.ESRCH, "process gone and signal wrong")
	wantErr(t, rawsig.PidfdSend(mustPidfd(t, os.Getpid()), 200, nil, 0), unix.EINVAL, "signal wrong")
	wantPending(t, 0)
}

// Flags of pidfd_open(2).
const (
	pidfdNonblockFlag = unix.O_NONBLOCK // PIDFD_NONBLOCK, since 5.10
	pidfdThreadFlag   = unix.O_EXCL     // PIDFD_THREAD, since 6.9
)

// pidfdOpenArguments (SIG-116): pidfd_open(2) gives a close-on-exec descriptor
// of a process that is there, a zombie too; process ids below 1 and unknown
// flags are EINVAL, a process that is gone is ESRCH, and the id of a thread
// that does not lead is EINVAL, since 6.16 ENOENT, unless PIDFD_THREAD asks for
// a thread.
func pidfdOpenArguments(t testing.TB) {
	known := uint32(pidfdNonblockFlag)
	if behaviour.Since(6, 9) {
		known |= pidfdThreadFlag
	}
	gone := zombie(t)
	open := func(pid int, flags uint32) (int, error) {
		return rawCall(unix.SYS_PIDFD_OPEN, uintptr(pid), uintptr(flags))
	}
	refused := func(pid int, flags uint32, want error) {
		t.Helper()
		if fd, err := open(pid, flags); err != want {
			t.Errorf("pidfd_open(%d, %#x) = %d, %v; want %v", pid, flags, fd, err, want)
			unix.Close(fd)
		}
	}
	for _, pid := range []int{os.Getpid(), gone} {
		for flags, status := range map[uint32]int{0: unix.O_RDWR, pidfdNonblockFlag: unix.O_RDWR | unix.O_NONBLOCK} {
			fd, err := open(pid, flags)
			closable(t, fd, err)
			wantFlags(t, fd, status, unix.FD_CLOEXEC)
			wantErr(t, rawsig.PidfdSend(fd, 0, nil, 0), nil, "pidfd_send_signal(0) by what pidfd_open(%d, %#x) gave", pid, flags)
		}
		for bit := range 32 {
			if flag := uint32(1) << bit; flag&known == 0 {
				refused(pid, flag, unix.EINVAL)
				refused(pid, flag|known, unix.EINVAL)
			}
		}
	}
	for _, pid := range []int{0, -1, -os.Getpid(), math.MinInt32} {
		refused(pid, 0, unix.EINVAL)
		refused(pid, pidfdNonblockFlag, unix.EINVAL)
	}
	refused(math.MaxInt32, 0, unix.ESRCH) // no process has it, pid_max is below
	refused(gone, 1<<5, unix.EINVAL)
	reap(t, gone)
	refused(gone, 0, unix.ESRCH)
	refused(gone, 1<<5, unix.EINVAL) // flags first

	w := startWorker(t)
	var want error = unix.EINVAL
	if behaviour.Since(6, 16) {
		want = unix.ENOENT
	}
	refused(w.Tid, 0, want)
	if known&pidfdThreadFlag != 0 {
		fd, err := open(w.Tid, pidfdThreadFlag)
		closable(t, fd, err)
		wantFlags(t, fd, unix.O_RDWR|pidfdThreadFlag, unix.FD_CLOEXEC)
	}
}

// pidfdNonblock (SIG-117): waitid(2) by a descriptor with PIDFD_NONBLOCK is
// EAGAIN while the process runs, where one without it would wait or, with
// WNOHANG, find nothing; when the process has ended both find it, and when it
// is reaped both are ECHILD.
func pidfdNonblock(t testing.TB) {
	blockAll(t)
	const pPidfd = unix.P_PIDFD
	b := startReceiver(t, fdtest.Arena(t), 40)
	blocking := mustPidfd(t, b.TID)
	nonblocking, err := unix.PidfdOpen(b.TID, pidfdNonblockFlag)
	closable(t, nonblocking, err)
	wait := func(fd, options int) (info sys.Siginfo, err error) {
		_, err = rawCall(unix.SYS_WAITID, pPidfd, uintptr(fd), uintptr(unsafe.Pointer(&info)), uintptr(options), 0)
		return info, err
	}
	for range 2 {
		_, err := wait(nonblocking, unix.WEXITED)
		wantErr(t, err, unix.EAGAIN, "waitid by a non-blocking pidfd of a process that runs")
		info, err := wait(blocking, unix.WEXITED|unix.WNOHANG)
		if err != nil || info.Signo != 0 || info.Pid != 0 {
			t.Errorf("waitid with WNOHANG by a pidfd of a process that runs: %v, signal %d of process %d; want nothing", err, info.Signo, info.Pid)
		}
	}
	wantErr(t, rawsig.Kill(b.TID, 40), nil, "kill(child, 40)")
	b.awaitEnd(t)
	for _, fd := range []int{nonblocking, blocking} {
		info, err := wait(fd, unix.WEXITED|unix.WNOWAIT)
		if err != nil || info.Signo != int32(unix.SIGCHLD) || info.Code != rawsig.CldExited || info.Pid != int32(b.TID) || int32(info.Value) != 0 {
			t.Errorf("waitid by a pidfd of a process that has ended: %v, %+v; want SIGCHLD, CLD_EXITED of %d", err, info, b.TID)
		}
	}
	b.want(t, 40) // and reaps it
	for _, fd := range []int{nonblocking, blocking} {
		_, err := wait(fd, unix.WEXITED)
		wantErr(t, err, unix.ECHILD, "waitid by a pidfd of a process that was reaped")
	}
}

// pidfdWakesAll (SIG-118): the end of a process wakes all who wait for its
// descriptors in poll(2) and epoll_wait(2), level-triggered or not; the end of
// its first thread alone does not, pidfd_open(2).
func pidfdWakesAll(t *testing.T) {
	blockAll(t)
	p := child.Start(t, leaderless, child.Options{Block: quiet})
	pidfd, err := unix.PidfdOpen(p.Pid, 0)
	closable(t, pidfd, err)
	other, err := unix.PidfdOpen(p.Pid, 0)
	closable(t, other, err)
	var sleepers []*sleeper
	for _, fd := range []int{pidfd, other} {
		sleepers = append(sleepers, startPoll(t, fd))
		for _, mode := range []uint32{0, unix.EPOLLET} {
			_, waiting := mustWaiters(t, 1, fd, unix.EPOLLIN|mode)
			sleepers = append(sleepers, waiting...)
		}
	}
	p.Expect("the first thread ends")
	p.AwaitState("Z")
	stillAsleep(t, sleepers...)
	wantPolledOnly(t, pidfd, 0)
	p.Signal(unix.SIGUSR2)
	p.Expect(fmt.Sprintf("signal %d", unix.SIGUSR2))
	wantWoken(t, len(sleepers), sleepers...)
	for i, s := range sleepers {
		if s.n != 1 || s.err != nil {
			t.Errorf("sleeper %d got %d, %v; want 1", i, s.n, s.err)
		} else if events := s.events[0].Events; i%3 != 0 && events&unix.EPOLLIN == 0 { // the first of three is in poll
			t.Errorf("sleeper %d was told of %#x, want EPOLLIN", i, events)
		}
	}
	p.Wait()
	for _, fd := range []int{pidfd, other} {
		if !readable(t, fd) {
			t.Error("a pidfd is not readable any more when its process is reaped")
		}
	}
}

var signalPidfdRows = map[string]func(*testing.T){
	"SIG-82":  behaviour.Alone(pidfdSend, quiet...),
	"SIG-83":  behaviour.Alone(pidfdScopes, quiet...),
	"SIG-84":  behaviour.Alone(pidfdSelf, quiet...),
	"SIG-85":  pidfdPoll,
	"SIG-108": behaviour.Alone(pidfdOfProc, quiet...),
	"SIG-109": behaviour.Alone(orderOfPidfdErrors, quiet...),
	"SIG-116": behaviour.Alone(pidfdOpenArguments, quiet...),
	"SIG-117": behaviour.Alone(pidfdNonblock, quiet...),
	"SIG-118": pidfdWakesAll,
}
