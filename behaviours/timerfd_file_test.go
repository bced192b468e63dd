//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A timerfd as a file: inode, fdinfo, ioctl, descriptors passed and inherited,
// what is refused.

// timerfdNoWriteNoOffset (TFD-26): a timerfd cannot be written, EINVAL, though
// it is open for writing, and has no position.
func timerfdNoWriteNoOffset(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	for _, size := range []int{0, 1, 8, 4096} {
		_, err := rawCall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(make([]byte, 4096)))), uintptr(size))
		wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
	}
	_, err := unix.Writev(fd, [][]byte{make([]byte, 8)})
	wantErrno(t, "writev", err, unix.EINVAL)
	wantNoOffset(t, fd)
	wantRemaining(t, fd, unix.CLOCK_MONOTONIC, at)
	at = clockTime(t, unix.CLOCK_MONOTONIC) + later
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	_, err = unix.Write(fd, make([]byte, 8))
	wantErrno(t, "write", err, unix.EINVAL)
	mustAwait(t, fd)
	wantNoOffset(t, fd)
	wantExpiry(t, fd, unix.CLOCK_MONOTONIC, at)
}

// timerfdSeek (TFD-27): lseek(2) gives 0 since 6.0, and was ESPIPE before.
func timerfdSeek(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantSeek(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdShared (TFD-36): duplicates and forked children have one timer,
// timerfd_create(2); closing one of them does not disarm it, the last one does.
func timerfdShared(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	closeFirst := closable(t, fd, err)
	dup, closeDup := mustDup(t, fd)
	mustSettime(t, fd, 0, far, time.Minute)
	if value, interval := gettime(t, dup); value == 0 || value > far || interval != time.Minute {
		t.Errorf("gettime of a duplicate = %v, %v; want up to %v, 1m", value, interval, far)
	}
	mustSettime(t, dup, 0, soon, 0)
	mustAwait(t, fd)
	wantPolledOnly(t, dup, unix.POLLIN)
	wantTicks(t, dup, 1)
	wantPolledOnly(t, fd, 0)
	// A child sets it, and takes what expires.
	a := fdtest.Arena(t)
	startFork(t, a, sys.TimerfdSettime(fd, 0, sys.Place(a, timerSpec(soon, 0)))).wait()
	mustAwait(t, fd)
	wantTicks(t, fd, 1)
	expire(t, fd)
	got := a.Word(0)
	startFork(t, a, sys.TimerfdRead(fd, got)).wait()
	if *got != 1 {
		t.Errorf("the child read %d, want 1", *got)
	}
	wantPolledOnly(t, fd, 0)
	// A time that no other timer has, to find it by.
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far + time.Duration(unix.Getpid())
	mustSettime(t, fd, unix.TFD_TIMER_ABSTIME, at, 0)
	closeFirst()
	wantRemaining(t, dup, unix.CLOCK_MONOTONIC, at)
	timers, err := timerList(at)
	if err != nil {
		behaviour.Partly(t, "privilege", "a timer that has no descriptor any more: %v", err)
		return
	}
	if len(timers) != 1 {
		t.Errorf("%d timers at %v while one descriptor is open, want 1", len(timers), at)
	}
	closeDup()
	if timers, err := timerList(at); len(timers) != 0 || err != nil {
		t.Errorf("%d timers at %v after the last close, %v; want none", len(timers), at, err)
	}
}

// timerfdAcrossExec (TFD-37): an armed timer goes on over execve(2), with what
// has expired.
func timerfdAcrossExec(t *testing.T) {
	expired, armed, periodic := expiredTimerfd(t, unix.TFD_NONBLOCK), newTimerfd(t, unix.CLOCK_MONOTONIC, 0), newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	at := clockTime(t, unix.CLOCK_MONOTONIC) + far
	mustSettime(t, armed, unix.TFD_TIMER_ABSTIME, at, 0)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, periodic, 0, soon, soon) })
	child.Start(t, timerfdExecs, child.Options{Files: []int{expired, armed, periodic}, Args: []string{strconv.FormatInt(int64(at), 10)}}).Wait()
	wantPolledOnly(t, expired, 0)
	wantRemaining(t, armed, unix.CLOCK_MONOTONIC, at)
	g.take(periodic)
}

var (
	timerfdExecs = child.Register("timerfd-execs", func(p *child.Proc) error {
		gone, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
		if err != nil {
			return err
		}
		return p.Exec(timerfdExecuted, p.Args[0], strconv.Itoa(gone))
	})
	timerfdExecuted = child.Register("timerfd-executed", func(p *child.Proc) error {
		const expired, armed, periodic = child.FirstFile, child.FirstFile + 1, child.FirstFile + 2
		at, err := strconv.ParseInt(p.Args[0], 10, 64)
		if err != nil {
			return err
		}
		gone, err := strconv.Atoi(p.Args[1])
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(gone), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec timerfd: %v, want EBADF", err)
		}
		if v, err := takeCount(expired); v != 1 || err != nil {
			return fmt.Errorf("read of the expired timer after execve: %d, %v; want 1", v, err)
		}
		var spec unix.ItimerSpec
		if err := unix.TimerfdGettime(armed, &spec); err != nil {
			return err
		}
		if left := specTime(spec.Value); left == 0 || left > far {
			return fmt.Errorf("%v remains of the armed timer after execve, of %v", left, far)
		}
		for _, fd := range []int{armed, periodic} {
			if err := unix.TimerfdGettime(fd, &spec); err != nil {
				return err
			}
		}
		if specTime(spec.Interval) != soon {
			return fmt.Errorf("the interval after execve is %v, want %v", specTime(spec.Interval), soon)
		}
		hour := timerSpec(time.Duration(at), 0)
		return settime(armed, unix.TFD_TIMER_ABSTIME, &hour, nil)
	})
)

// timerfdSetTicks (TFD-38): TFD_IOC_SET_TICKS sets what the next read returns,
// in place of what was there, and wakes who sleeps; 0 is EINVAL, other requests
// are ENOTTY.
func timerfdSetTicks(t *testing.T) {
	for _, value := range []time.Duration{0, far} { // a timer that is disarmed, and one that is armed
		fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
		epfd := fdtest.Epoll(t)
		fdtest.Add(t, epfd, fd, unix.EPOLLIN|unix.EPOLLET)
		mustSettime(t, fd, 0, value, 0)
		r := startRead(t, fd)
		mustSetTicks(t, fd, 5)
		r.wantValue(5)
		wantReady(t, epfd) // the reader was quicker than we
		for _, ticks := range []uint64{1, 7, 1 << 40, math.MaxUint64} {
			mustSetTicks(t, fd, 3)
			mustSetTicks(t, fd, ticks) // it does not add
			wantReady(t, epfd, ready(fd, unix.EPOLLIN))
			wantPolledOnly(t, fd, unix.POLLIN)
			mustTake(t, fd, ticks)
			wantPolledOnly(t, fd, 0)
		}
		mustSetTicks(t, fd, 9)
		wantErrno(t, "setting 0 ticks", setTicks(fd, 0), unix.EINVAL)
		for what, at := range badPointers(t, 8) {
			wantErrno(t, "setting ticks from "+what, secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), tfdIocSetTicks, at)), unix.EFAULT)
		}
		var n [16]byte
		for _, request := range []uintptr{0, tfdIocSetTicks + 1, tfdIocSetTicks &^ (1 << 30), tfdIocSetTicks ^ 12<<16, unix.TIOCINQ, unix.TCGETS, ^uintptr(0)} {
			wantErrno(t, fmt.Sprintf("ioctl %#x", request), secondOf(rawCall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&n[0])))), unix.ENOTTY)
		}
		wantTicks(t, fd, 9)
		if left, _ := gettime(t, fd); (left == 0) != (value == 0) || left > value {
			t.Errorf("%v remains of %v after ticks were set", left, value)
		}
	}
}

// timerfdInfo (TFD-39): fdinfo has the clock, the expiries, the flags of the
// last timerfd_settime(2) and, relative, what it was set to,
// proc_pid_fdinfo(5); looking there takes nothing and sets nothing going.
func timerfdInfo(t *testing.T) {
	for clock := range timerfdClockNames {
		fd := newTimerfd(t, clock, unix.TFD_NONBLOCK)
		want := func(key, value string) {
			t.Helper()
			if got, ok := fdinfoLines(t, fd)[key]; got != " "+value || !ok {
				t.Errorf("fdinfo has %s:%s, want %s: %s", key, got, key, value)
			}
		}
		info := func() (value time.Duration) {
			t.Helper()
			var sec, nsec int64
			text := fdinfoLines(t, fd)["it_value"]
			if n, err := fmt.Sscanf(text, " (%d, %d)", &sec, &nsec); n != 2 || nsec < 0 || nsec > 999_999_999 {
				t.Fatalf("fdinfo has it_value:%s, want two numbers; %v", text, err)
			}
			return time.Duration(sec)*time.Second + time.Duration(nsec)
		}
		want("clockid", strconv.Itoa(clock))
		want("ticks", "0")
		want("settime flags", "00")
		want("it_value", "(0, 0)")
		want("it_interval", "(0, 0)")
		for flags := range 4 {
			at := clockTime(t, clock) + far
			value := far
			if flags&unix.TFD_TIMER_ABSTIME != 0 {
				value = at
			}
			mustSettime(t, fd, flags, value, 2500*time.Millisecond)
			want("settime flags", fmt.Sprintf("0%o", flags))
			want("it_interval", "(2, 500000000)")
			if left := info(); left > far || left < far/2 {
				t.Errorf("fdinfo has %v left of %v", left, far)
			}
		}
		g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
		mustAwait(t, fd)
		for range 3 {
			time.Sleep(soon)
			want("ticks", "1") // it has not been set going
			want("it_value", "(0, 0)")
		}
		g.take(fd)
		if got, want := strings.TrimSpace(fdinfoLines(t, fd)["flags"]), "04002"; got != want {
			t.Errorf("fdinfo has flags %s, want %s", got, want)
		}
	}
}

// timerfdName (TFD-58): /proc calls it anon_inode:[timerfd], and it cannot be
// opened by that link.
func timerfdName(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantName(t, fd, "anon_inode:[timerfd]")
	wantTicks(t, fd, 1)
}

// timerfdInode (TFD-59): fstat(2) shows the inode that all files without a name
// share.
func timerfdInode(t *testing.T) { wantSharedInode(t, expiredTimerfd(t, 0)) }

// timerfdOwnership (TFD-60): mode and owner of the shared inode cannot be
// changed.
func timerfdOwnership(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, 0)
	wantOwnershipKept(t, fd)
	wantSharedInode(t, fd)
}

// timerfdNoSplice (TFD-61): no data moves through it by splice(2), tee(2),
// sendfile(2) or copy_file_range(2).
func timerfdNoSplice(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantNoSplice(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdRefusals (TFD-62): it is not a file that could be mapped, cut, synced
// or listed.
func timerfdRefusals(t *testing.T) {
	fd := expiredTimerfd(t, unix.TFD_NONBLOCK)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantTicks(t, fd, 1)
}

// timerfdNoSignals (TFD-63): it sends no SIGIO, and cannot be asked to.
func timerfdNoSignals(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	wantNoSignals(t, fd)
	expire(t, fd)
	wantTicks(t, fd, 1)
}

// timerfdPassed (TFD-64): a timerfd passed by SCM_RIGHTS is the same timer, and
// runs while it is on its way and has no descriptor.
func timerfdPassed(t *testing.T) {
	sockets := fdtest.Socketpair(t)
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	closeNow := closable(t, fd, err)
	g := newGrid(t, unix.CLOCK_MONOTONIC, 0, soon, soon, func() { mustSettime(t, fd, 0, soon, soon) })
	mustSendFile(t, sockets[0], fd)
	mustSendFile(t, sockets[0], fd)
	closeNow()
	time.Sleep(3 * soon)
	first, err := receiveFile(sockets[1])
	closable(t, first, err)
	second, err := receiveFile(sockets[1])
	closable(t, second, err)
	wantFlags(t, first, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	mustAwait(t, first)
	if got := g.take(second); got < g.periods(3*soon) {
		t.Errorf("read %d after %d periods under way", got, g.periods(3*soon))
	}
	mustSettime(t, first, 0, 0, 0)
	wantPolledOnly(t, second, 0)
	wantLeftOver(t, second, 0, 0)
}

// timerfdFetched (TFD-72): pidfd_getfd(2) gets the same timer from another
// process.
func timerfdFetched(t *testing.T) {
	fd := newTimerfd(t, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	got := fetchFromChild(t, fd)
	wantFlags(t, got, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	mustSettime(t, got, 0, soon, 0)
	mustAwait(t, fd)
	wantTicks(t, got, 1)
	wantPolledOnly(t, fd, 0)
}

var timerfdFileRows = map[string]func(*testing.T){
	"TFD-26": timerfdNoWriteNoOffset,
	"TFD-27": timerfdSeek,
	"TFD-36": timerfdShared,
	"TFD-37": timerfdAcrossExec,
	"TFD-38": timerfdSetTicks,
	"TFD-39": timerfdInfo,
	"TFD-58": timerfdName,
	"TFD-59": timerfdInode,
	"TFD-60": timerfdOwnership,
	"TFD-61": timerfdNoSplice,
	"TFD-62": timerfdRefusals,
	"TFD-63": timerfdNoSignals,
	"TFD-64": timerfdPassed,
	"TFD-72": timerfdFetched,
}
