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

// Descriptors of processes and what they tell of an end: further rows of TestSignal.

var signalPidfdRows = map[string]func(*testing.T){
	"SIG-116": behaviour.Alone(pidfdOpenArguments, quiet...),
	"SIG-117": behaviour.Alone(pidfdNonblock, quiet...),
	"SIG-118": pidfdWakesAll,
}

// Flags of pidfd_open(2).
const (
	pidfdNonblockFlag = unix.O_NONBLOCK // PIDFD_NONBLOCK, since 5.10
	pidfdThreadFlag   = unix.O_EXCL     // PIDFD_THREAD, since 6.9
)

// pidfdOpenArguments: pidfd_open(2) gives a close-on-exec descriptor of a process that is there, a zombie too; process ids below 1
// and unknown flags are EINVAL, a process that is gone is ESRCH, and the id of a thread that does not lead is EINVAL, since 6.16
// ENOENT, unless PIDFD_THREAD asks for a thread.
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

// pidfdNonblock: waitid(2) by a descriptor with PIDFD_NONBLOCK is EAGAIN while the process runs, where one without it would wait or,
// with WNOHANG, find nothing; when the process has ended both find it, and when it is reaped both are ECHILD.
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

// pidfdWakesAll: the end of a process wakes all who wait for its descriptors in poll(2) and epoll_wait(2), level-triggered or not;
// the end of its first thread alone does not, pidfd_open(2).
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
