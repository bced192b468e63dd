//go:build linux

package behaviours

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
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

// Rows with signals to one thread run in the test's process; those with signals to the process, and those
// that any signal disturbs, in processes of their own.

func TestSignalfd(t *testing.T) { behaviour.Run(t, "signalfd", signalfdRows) }

var signalfdRows = map[string]func(*testing.T){
	"SFD-01": signalfdIsReadWrite,
	"SFD-02": signalfdUnknownFlags,
	"SFD-03": signalfdBadMask,
	"SFD-04": signalfdBadDescriptor,
	"SFD-05": signalfdNewMask,
	"SFD-07": signalfdNewMaskWakes,
	"SFD-08": signalfdKillAndStop,
	"SFD-09": signalfdManyRecords,
	"SFD-10": signalfdReadSizes,
	"SFD-11": signalfdReadEmpty,
	"SFD-12": signalfdWaitsForOne,
	"SFD-13": behaviour.Alone(signalfdReadConsumes, quiet...),
	"SFD-15": behaviour.Alone(signalfdSenders, quiet...),
	"SFD-16": behaviour.Alone(signalfdChildren),
	"SFD-17": signalfdTimer,
	"SFD-18": signalfdAsyncIO,
	"SFD-19": signalfdUnusedBytes,
	"SFD-21": behaviour.Alone(signalfdReadableIff, quiet...),
	"SFD-22": behaviour.Alone(signalfdUnblocked, quiet...),
	"SFD-23": behaviour.Alone(signalfdPerThread, quiet...),
	"SFD-24": behaviour.Alone(signalfdPolledPerThread, quiet...),
	"SFD-26": behaviour.Alone(signalfdForked, quiet...),
	"SFD-27": behaviour.Alone(signalfdForkedEpoll, quiet...),
	"SFD-28": signalfdPassed,
	"SFD-29": signalfdAcrossExec,
	"SFD-30": behaviour.Alone(signalfdDefaultIgnored, quiet...),
	"SFD-31": behaviour.Alone(signalfdIgnored, quiet...),
	"SFD-32": behaviour.Alone(signalfdReleasesOne, quiet...),
	"SFD-33": signalfdFaults,
	"SFD-34": signalfdNoWriteNoOffset,
	"SFD-35": signalfdReadIter,
	"SFD-36": signalfdInfo,
	"SFD-37": signalfdName,
	"SFD-38": signalfdInterrupted,
	"SFD-39": signalfdWakes,
	"SFD-40": signalfdErrorOrder,
	"SFD-41": signalfdLegacy,
	"SFD-42": signalfdFlagsOfExisting,
	"SFD-43": behaviour.Alone(signalfdAtDescriptorLimit, quiet...),
	"SFD-44": signalfdSharedMask,
	"SFD-45": behaviour.Alone(signalfdMaskFromAfar, quiet...),
	"SFD-46": behaviour.Alone(signalfdOrder, quiet...),
	"SFD-47": signalfdPartialFault,
	"SFD-48": signalfdReadErrorOrder,
	"SFD-49": behaviour.Alone(signalfdEdges, quiet...),
	"SFD-50": behaviour.Alone(signalfdTakenElsewhere, quiet...),
	"SFD-51": signalfdTwo,
	"SFD-52": signalfdEmptyMask,
	"SFD-53": signalfdLayouts,
	"SFD-54": behaviour.Alone(signalfdExitSignal, quiet...),
	"SFD-55": behaviour.Alone(signalfdIntervalTimer, quiet...),
	"SFD-56": signalfdClosedUnderReader,
	"SFD-57": behaviour.Alone(signalfdStopSignals, quiet...),
	"SFD-58": signalfdReadvRecords,
	"SFD-59": signalfdEmptyReads,
	"SFD-60": signalfdUpperHalves,
	"SFD-61": behaviour.Alone(signalfdInfoLost, quiet...),
	"SFD-62": behaviour.Alone(signalfdOrSigtimedwait, quiet...),
	"SFD-63": signalfdInode,
	"SFD-64": signalfdOwnership,
	"SFD-65": signalfdNoSplice,
	"SFD-66": signalfdRefusals,
	"SFD-67": signalfdNoSignals,
	"SFD-68": behaviour.Alone(signalfdClosedUnread, quiet...),
	"SFD-69": signalfdEndOfThread,
	"SFD-70": behaviour.Alone(signalfdWakesAll, quiet...),
	"SFD-71": signalfdOverStop,
	"SFD-72": signalfdAIOPoll,
	"SFD-73": signalfdFetched,
	"SFD-74": signalfdAtFileLimit,
}

// signalfdIsReadWrite: it is open for reading and writing, and the two flags set the two flags, signalfd(2).
func signalfdIsReadWrite(t *testing.T) {
	blockAll(t)
	for _, c := range []struct{ flags, status, descriptor int }{
		{0, unix.O_RDWR, 0},
		{unix.SFD_NONBLOCK, unix.O_RDWR | unix.O_NONBLOCK, 0},
		{unix.SFD_CLOEXEC, unix.O_RDWR, unix.FD_CLOEXEC},
		{unix.SFD_NONBLOCK | unix.SFD_CLOEXEC, unix.O_RDWR | unix.O_NONBLOCK, unix.FD_CLOEXEC},
	} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), c.flags)
		wantFlags(t, fd, c.status, c.descriptor)
		dup, err := unix.Dup(fd)
		closable(t, dup, err)
		wantFlags(t, dup, c.status, 0)
		mustRaise(t, unix.SIGUSR1)
		wantSigs(t, "a new signalfd", fd, unix.SIGUSR1)
		wantNoRecord(t, "after the read", fd)
	}
}

// signalfdUnknownFlags: any other flag is EINVAL, signalfd(2), alone and beside known ones, and whatever
// the descriptor is.
func signalfdUnknownFlags(t *testing.T) {
	blockAll(t)
	const known = unix.SFD_NONBLOCK | unix.SFD_CLOEXEC
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	others := []int{-1, fd, noDescriptor, fdtest.Eventfd(t, 0)}
	for bit := range 32 {
		flag := 1 << bit
		if flag&known != 0 {
			continue
		}
		for _, of := range others {
			for _, flags := range []int{flag, flag | known} {
				if got, err := signalfd4(of, sys.Sigs(unix.SIGUSR2), flags); err != unix.EINVAL {
					t.Errorf("signalfd4(%d, mask, 8, %#x) = %d, %v; want EINVAL", of, flags, got, err)
					if of == -1 {
						unix.Close(got)
					}
				}
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdBadMask: a mask of another size than the kernel's is EINVAL, one that cannot be read EFAULT
// since 5.9 and in stable releases before it, EINVAL until then; an existing mask stays.
func signalfdBadMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mask := sys.Sigs(unix.SIGUSR2)
	for _, of := range []int{-1, fd} {
		for _, size := range []uintptr{0, 1, 4, 7, 9, 12, 16, 128, 1 << 32, 1<<32 | 8, ^uintptr(0)} {
			got, err := rawCall(unix.SYS_SIGNALFD4, uintptr(of), uintptr(unsafe.Pointer(&mask)), size, 0)
			if err != unix.EINVAL {
				t.Errorf("signalfd4(%d) with a mask of %#x bytes = %d, %v; want EINVAL", of, size, got, err)
			}
		}
		for what, at := range badPointers(t, 8) {
			got, err := rawCall(unix.SYS_SIGNALFD4, uintptr(of), at, 8, 0)
			if err != unix.EFAULT && (behaviour.Since(5, 9) || err != unix.EINVAL) {
				t.Errorf("signalfd4(%d) with %s = %d, %v; want EFAULT", of, what, got, err)
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdBadDescriptor: -1 alone asks for a new one; what is not open is EBADF, what is no signalfd EINVAL,
// signalfd(2), and is left alone.
func signalfdBadDescriptor(t *testing.T) {
	mask := sys.Sigs(unix.SIGUSR1)
	for _, fd := range append(badDescriptors(t)[1:], -2, -100) {
		got, err := signalfd4(fd, mask, 0)
		wantErrno(t, fmt.Sprintf("signalfd4(%d) = %d", fd, got), err, unix.EBADF)
	}
	path := mustOpen(t, "/", unix.O_PATH)
	_, err := signalfd4(path, mask, 0)
	wantErrno(t, "signalfd4 of a path", err, unix.EBADF)
	r, w, _, _ := mustClosablePipe(t)
	event := newEventfd(t, 5, 0)
	for what, fd := range map[string]int{"an eventfd": event, "a pipe": r, "a pipe's other end": w, "a timerfd": fdtest.Timerfd(t),
		"an epoll instance": fdtest.Epoll(t), "a socket": fdtest.Socketpair(t)[0], "a memory file": mustMemfd(t)} {
		for _, flags := range []int{0, unix.SFD_NONBLOCK | unix.SFD_CLOEXEC} {
			_, err := signalfd4(fd, mask, flags)
			wantErrno(t, "signalfd4 of "+what, err, unix.EINVAL)
		}
	}
	wantFlags(t, event, unix.O_RDWR, 0)
	wantCount(t, event, 5)
}

// signalfdNewMask: a call with a signalfd's descriptor replaces its mask and returns the descriptor, signalfd(2).
func signalfdNewMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	if got, err := signalfd4(fd, sys.Sigs(unix.SIGUSR2), 0); got != fd || err != nil {
		t.Errorf("signalfd4(%d) with a new mask = %d, %v; want the same descriptor", fd, got, err)
	}
	wantNoRecord(t, "with a pending signal of the old mask", fd)
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "with pending signals of both masks", fd, unix.SIGUSR2)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
	wantSigs(t, "with the signal that was left", fd, unix.SIGUSR1)
	wantNoRecord(t, "at the end", fd)
	wantNone(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
}

// signalfdNewMaskWakes: who sleeps in a read, in poll(2) or in epoll_wait(2) with a pending signal that was not
// in the mask is woken when it comes into the mask, and by nothing less.
func signalfdNewMaskWakes(t *testing.T) {
	fd := newSignalfd(t, 0, 0)
	epfd := fdtest.Epoll(t, fd)
	for what, start := range map[string]func() *sleeper{
		"read":       func() *sleeper { return startRecords(t, fd, 1).sleeper },
		"ppoll":      func() *sleeper { return startPoll(t, fd) },
		"epoll_wait": func() *sleeper { return startWait(t, epfd, 1, -1) },
	} {
		mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1))
		s := start()
		wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), s.Tid, unix.SIGUSR2), nil)
		stillAsleep(t, s)
		mustSetMask(t, fd, sys.Sigs(unix.SIGPWR))
		stillAsleep(t, s)
		mustSetMask(t, fd, sys.Sigs(unix.SIGPWR, unix.SIGUSR2))
		s.Join()
		if s.err != nil || s.n != 1 {
			t.Errorf("%s after the mask has changed = %d, %v; want 1", what, s.n, s.err)
		}
	}
	blockAll(t)
	wantPolledOnly(t, fd, 0) // a thread's signal went with it
}

// signalfdKillAndStop: SIGKILL and SIGSTOP are left out of the mask without an error, signalfd(2); they kill and
// stop whoever reads for them.
func signalfdKillAndStop(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGKILL, unix.SIGSTOP, unix.SIGUSR1), 0)
	p := child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	stopReader(t, p)
	p.Signal(unix.SIGCONT)
	p.Signal(unix.SIGUSR1)
	p.Expect(fmt.Sprintf("%d code %d from %d", unix.SIGUSR1, rawsig.SIUser, os.Getpid()))
	p.Wait()

	mustSetMask(t, fd, sys.Sigs(unix.SIGKILL, unix.SIGSTOP))
	p = child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGKILL {
		t.Errorf("the reader ended with %#x, want killed by SIGKILL", s)
	}
}

// signalfdReader reads one record and says what it is.
var signalfdReader = child.Register("signalfd-reader", func(p *child.Proc) error {
	got, err := readRecords(child.FirstFile, 1)
	if err != nil {
		return err
	}
	p.Say("%d code %d from %d", got[0].Signo, got[0].Code, got[0].Pid)
	return nil
})

// signalfdManyRecords: a read returns as many records as are pending and have room, signalfd(2); what has none
// stays pending.
func signalfdManyRecords(t *testing.T) {
	blockAll(t)
	needQueue(t, 6)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, 40), unix.SFD_NONBLOCK)
	for _, rooms := range [][]int{{5}, {1, 1, 1, 1, 1}, {2, 2, 1}, {1, 3, 1}, {4, 9}} {
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGUSR1)
		for v := range uint64(3) {
			mustQueue(t, 40, v)
		}
		all := []record{byTgkill(unix.SIGUSR1), byTgkill(unix.SIGUSR2), byQueue(40, 0), byQueue(40, 1), byQueue(40, 2)}
		for _, room := range rooms {
			got, err := readRecords(fd, room)
			want := all[:min(room, len(all))]
			all = all[len(want):]
			sameRecords(t, fmt.Sprintf("a read with room for %d of %v", room, rooms), got, err, want)
		}
		wantNoRecord(t, "after all were read", fd)
	}
}

// signalfdReadSizes: less room than for one record is EINVAL, at once and without taking anything, signalfd(2); what
// is left over after whole records is not used.
func signalfdReadSizes(t *testing.T) {
	blockAll(t)
	for _, flags := range []int{0, unix.SFD_NONBLOCK} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), flags)
		read := func(size int) (n int, err error) {
			t.Helper()
			buf := bytes.Repeat([]byte{unread}, size)
			promptly(t, fmt.Sprintf("read of %d bytes", size), func() { n, err = unix.Read(fd, buf) })
			if rest := buf[max(n, 0):]; !bytes.Equal(rest, bytes.Repeat([]byte{unread}, len(rest))) {
				t.Errorf("read of %d bytes = %d, %v and stored more", size, n, err)
			}
			return n, err
		}
		for range 2 { // with nothing there, and with a signal
			for _, size := range []int{1, 8, 48, 127} {
				n, err := read(size)
				wantErrno(t, fmt.Sprintf("read of %d bytes = %d", size, n), err, unix.EINVAL)
			}
			mustRaise(t, unix.SIGUSR1)
		}
		mustRaise(t, unix.SIGUSR2)
		for _, size := range []int{200, 255} {
			if n, err := read(size); n != sys.SignalfdInfoSize || err != nil {
				t.Errorf("read of %d bytes with records there = %d, %v; want %d", size, n, err, sys.SignalfdInfoSize)
			}
		}
		wantNoRecord(t, "after two reads", fd)
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		if n, err := read(3*sys.SignalfdInfoSize - 1); n != 2*sys.SignalfdInfoSize || err != nil {
			t.Errorf("read with room for nearly three records = %d, %v; want two", n, err)
		}
		wantNoRecord(t, "after a read of two", fd)
	}
}

// signalfdReadEmpty: without a pending signal of the mask a read is EAGAIN where O_NONBLOCK is set, and sleeps
// until there is one where it is not, signalfd(2).
func signalfdReadEmpty(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR2) // not of the mask
	for range 3 {
		wantNoRecord(t, "without a signal of the mask", fd)
	}
	wantPending(t, sys.Sigs(unix.SIGUSR2))
	// The flag is the open file's, and can be changed.
	dup, _ := mustDup(t, fd)
	if err := unix.SetNonblock(dup, false); err != nil {
		t.Fatal(err)
	}
	r := startRecords(t, fd, 1)
	stillAsleep(t, r.sleeper)
	// It does not reach a read that sleeps.
	if err := unix.SetNonblock(dup, true); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, r.sleeper)
	wantNoRecord(t, "beside a read that sleeps", fd)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("the read that slept", unix.SIGUSR1)
}

// signalfdWaitsForOne: a read with room for many waits for the first only.
func signalfdWaitsForOne(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), 0)
	r := startRecords(t, fd, 8)
	stillAsleep(t, r.sleeper)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("a read with room for eight", unix.SIGUSR1)
	// With two there before it, it takes both and waits for no third.
	blockAll(t)
	mustRaise(t, unix.SIGUSR1)
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "with two pending", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdReadConsumes: a signal that was read is no longer pending, runs no handler, and is not there for
// sigtimedwait, signalfd(2); one that was not read is.
func signalfdReadConsumes(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantPending(t, sys.Sigs(unix.SIGUSR1))
	wantSigs(t, "a signal to the process", fd, unix.SIGUSR1)
	wantPending(t, 0)
	wantNone(t, rawsig.Blockable&^stray)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1, 40))
	wantRuns(t)
	setMask(t, rawsig.Blockable)
	mustQueue(t, 40, 1)
	mustQueue(t, 40, 2)
	got, err := readRecords(fd, 1)
	sameRecords(t, "one of two", got, err, []record{byQueue(40, 1)})
	wantPending(t, sys.Sigs(40))
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	wantRuns(t, 40)
	if v := rawsig.Runs()[0].Info.Value; v != 2 {
		t.Errorf("the handler got value %d, want 2, the one that was not read", v)
	}
	wantNoRecord(t, "after the handler", fd)
}

// signalfdSenders: a record has the signal and its code, and the sender's process and real user id; the value
// of sigqueue is there as an int and in full.
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

// signalfdChildren: SIGCHLD says what became of which child, with its user, its status and the CPU time that it
// used, in clock ticks.
func signalfdChildren(t testing.TB) { takeChildSignals(t, childRecords) }

func childRecords(t testing.TB) error {
	const tick = 10 * time.Millisecond // USER_HZ, on all architectures here
	fd := newSignalfd(t, sys.Sigs(unix.SIGCHLD), unix.SFD_NONBLOCK)
	rawsig.Take(sys.Sigs(unix.SIGCHLD)) // of a try before
	// next waits for a change of a child and reads its record, whose times it returns.
	next := func(what string, pid, options int, code int32, status unix.Signal) (cpu uint64, err error) {
		if err := unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil); err != nil {
			return 0, fmt.Errorf("waitid of a child that %s: %w", what, err)
		}
		// A child tells of its continuing itself, when it runs: that may be after waitid.
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

// signalfdTimer: the record of a POSIX timer has SI_TIMER, the timer's id, how many expiries were missed and the
// timer's value; reading it starts a periodic timer anew.
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

// signalfdAsyncIO: the record of O_ASYNC has descriptor and events if a signal was chosen by F_SETSIG, fcntl(2);
// with SI_SIGIO where the signal's own codes would be mistaken for it.
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

// signalfdUnusedBytes: what a signal of its kind does not have is 0 in the record, whatever the sender put into
// the siginfo and whatever was in the reader's memory.
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

// signalfdReadableIff: POLLIN if and only if a signal of the mask is pending for the thread that asks or for its
// process, signalfd(2); nothing else is ever reported.
func signalfdReadableIff(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	send := map[string]func(sig unix.Signal) error{
		"the thread":  rawsig.Raise,
		"the process": func(sig unix.Signal) error { return rawsig.Kill(os.Getpid(), sig) },
	}
	for what, send := range send {
		wantPolledOnly(t, fd, 0)
		wantErrno(t, "a signal to "+what, send(unix.SIGPWR), nil) // not of the mask
		wantPolledOnly(t, fd, 0)
		wantErrno(t, "a signal to "+what, send(unix.SIGUSR1), nil)
		wantPolledOnly(t, fd, unix.POLLIN)
		wantErrno(t, "a signal to "+what, send(unix.SIGUSR2), nil)
		wantPolledOnly(t, fd, unix.POLLIN)
		for range 2 {
			wantPolledOnly(t, fd, unix.POLLIN)
			if got, err := readRecords(fd, 1); len(got) != 1 || err != nil {
				t.Errorf("read after a signal to %s: %d records, %v; want 1", what, len(got), err)
			}
		}
		wantPolledOnly(t, fd, 0)
		mustTakeSignal(t, sys.Sigs(unix.SIGPWR))
	}
	wantNoRecord(t, "at the end", fd)
}

// signalfdUnblocked: a signal need not be blocked to be read: one that comes while its thread sleeps in a read is
// read, and no handler runs; at any other time the handler gets it, though poll(2) may have told of it.
func signalfdUnblocked(t testing.TB) {
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack | rawsig.SARestart})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	open := func(call func(*sleeper) (int, error)) *sleeper {
		return startSleep(t, "thread that does not block the signal", func(s *sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, unix.SIGUSR1)); err != nil {
				return 0, err
			}
			return call(s)
		})
	}
	for what, send := range map[string]func(tid int) error{
		"tgkill": func(tid int) error { return rawsig.Tgkill(os.Getpid(), tid, unix.SIGUSR1) },
		"kill":   func(int) error { return rawsig.Kill(os.Getpid(), unix.SIGUSR1) },
	} {
		setMask(t, rawsig.Blockable)
		var got []record
		r := open(func(*sleeper) (n int, err error) {
			got, err = readRecords(fd, 1)
			return len(got), err
		})
		r.AwaitBlocked(unix.SYS_READ)
		wantErrno(t, what, send(r.Tid), nil)
		r.Join()
		if r.err != nil || r.n != 1 || got[0].Signo != uint32(unix.SIGUSR1) {
			t.Errorf("a read by a thread that does not block the signal, after %s: %+v, %v; want SIGUSR1", what, got, r.err)
		}
		wantRuns(t)
	}
	var after int
	p := open(func(*sleeper) (int, error) {
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, nil, nil)
		after = rawsig.Ran(unix.SIGUSR1)
		return n, err
	})
	p.AwaitBlocked(unix.SYS_PPOLL)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), p.Tid, unix.SIGUSR1), nil)
	p.wantPolled()
	if after != 1 {
		t.Errorf("the handler had run %d times when ppoll returned, want once", after)
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1))
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR1), nil)
	wantRuns(t, unix.SIGUSR1, unix.SIGUSR1)
	wantNoRecord(t, "after the handler", fd)
}

// signalfdPerThread: a thread reads its own signals and its process's, and never those of another thread, signalfd(2).
func signalfdPerThread(t testing.TB) {
	blockAll(t)
	one, two := startWorker(t), startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), one.Tid, unix.SIGUSR1), nil)
	wantNoRecord(t, "with a signal to another thread", fd)
	two.do(func() { wantNoRecord(t, "with a signal to another thread", fd) })
	one.do(func() {
		wantSigs(t, "by the thread it was sent to", fd, unix.SIGUSR1)
		wantNoRecord(t, "after the read", fd)
	})
	// One to each, of one number, and one to the process: each gets its own first.
	for _, tid := range []int{unix.Gettid(), one.Tid, two.Tid} {
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), tid, unix.SIGUSR2), nil)
	}
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	two.do(func() {
		got, err := readRecords(fd, 1)
		if len(got) != 1 || err != nil || got[0].Signo != uint32(unix.SIGUSR2) {
			t.Errorf("a thread with a signal of its own read %+v, %v; want that", got, err)
		}
		wantSigs(t, "then the process's", fd, unix.SIGUSR1)
	})
	wantSigs(t, "by the first thread", fd, unix.SIGUSR2)
	one.do(func() { wantSigs(t, "by the other thread", fd, unix.SIGUSR2) })
	wantNoRecord(t, "at the end", fd)
}

// signalfdPolledPerThread: poll(2) and epoll_wait(2) answer for the signals of the thread that asks, signalfd(2): those
// of another thread neither end its wait nor are reported. Asked by the wrong thread an epoll instance loses the event,
// until the next signal or a MOD.
func signalfdPolledPerThread(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	asleep := []*sleeper{startPoll(t, fd), startWait(t, fdtest.Epoll(t, fd), 1, -1)}
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), w.Tid, unix.SIGUSR1), nil)
	stillAsleep(t, asleep...)
	wantPolledOnly(t, fd, 0)
	w.do(func() {
		wantPolledOnly(t, fd, unix.POLLIN)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	})
	wantReady(t, epfd)
	w.do(func() {
		wantPolledOnly(t, fd, unix.POLLIN)
		wantReady(t, epfd) // the wait before found nothing, for its own thread
		mustMod(t, epfd, fd, unix.EPOLLIN)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	})
	wantReady(t, epfd)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGPWR), nil)
	w.do(func() {
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantSigs(t, "by the thread it was sent to", fd, unix.SIGUSR1)
		wantReady(t, epfd)
	})
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantWoken(t, len(asleep), asleep...) // the process's is everybody's
	wantSigs(t, "a signal to the process", fd, unix.SIGUSR1)
}

// signalfdForked: a child that has inherited it reads and polls its own signals; the parent's are the parent's.
func signalfdForked(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	turn := newEventfd(t, 0, 0)
	mustRaise(t, unix.SIGUSR1)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	a := fdtest.Arena(t)
	info := sys.Place(a, record{})
	c := mustForkIn(t, a, pollCall(a, fd, 0, 0), sys.EventfdWrite(turn, a.Word(1)),
		pollCall(a, fd, -1, 1), sys.SignalfdRead(fd, info), pollCall(a, fd, 0, 0))
	mustTake(t, turn, 1)
	c.awaitBlocked(t, unix.SYS_PPOLL)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	c.want(t)
	sameSigs(t, "the child's read", []record{*info}, nil, unix.SIGUSR1)
	wantSigs(t, "the parent's read", fd, unix.SIGUSR1, unix.SIGUSR1)
	wantPolledOnly(t, fd, 0)
}

// signalfdForkedEpoll: an epoll instance hears of the signals of the process that registered the signalfd, not of
// those of a child that has inherited both, until the child registers it itself.
func signalfdForkedEpoll(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	ready, turn := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	a := fdtest.Arena(t)
	event := sys.Place(a, unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	wait := func(n int) sys.Call { return sys.EpollWait(epfd, sys.EpollEvents(a, 4), 0, n) }
	info := sys.Place(a, record{})
	c := mustForkIn(t, a, sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(turn, a.Word(0)),
		pollCall(a, fd, 0, 1), wait(0),
		sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, event), sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, event), wait(1),
		sys.SignalfdRead(fd, info), wait(0),
		sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(turn, a.Word(0)), wait(1), sys.SignalfdRead(fd, info))
	mustTake(t, ready, 1)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	mustAddCount(t, turn, 1)
	mustTake(t, ready, 1)
	// It is the child's now, and no longer this process's.
	mustRaise(t, unix.SIGUSR1)
	wantReady(t, epfd)
	wantErrno(t, "kill of the child", rawsig.Kill(c.TID, unix.SIGUSR1), nil)
	mustAddCount(t, turn, 1)
	c.want(t)
	wantSigs(t, "the parent's read", fd, unix.SIGUSR1)
}

// signalfdPassed: who receives it in a message, unix(7), reads his own signals from it.
func signalfdPassed(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	sockets := fdtest.Socketpair(t)
	mustRaise(t, unix.SIGUSR1)
	p := child.Start(t, signalfdReceiver, child.Options{Files: []int{sockets[1]}, Block: quiet})
	mustSendFile(t, sockets[0], fd)
	p.Expect("[] " + unix.EAGAIN.Error())
	p.Signal(unix.SIGUSR1)
	p.Say("read")
	p.Expect(fmt.Sprintf("[%d from %d] <nil>", unix.SIGUSR1, os.Getpid()))
	p.Wait()
	wantSigs(t, "the sender's read", fd, unix.SIGUSR1)
}

var signalfdReceiver = child.Register("signalfd-receiver", func(p *child.Proc) error {
	fd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	say := func() {
		got, err := readRecords(fd, 2)
		var text []string
		for _, r := range got {
			text = append(text, fmt.Sprintf("%d from %d", r.Signo, r.Pid))
		}
		p.Say("%v %v", text, err)
	}
	say()
	if _, err := p.Hear(); err != nil {
		return err
	}
	say()
	return nil
})

// signalfdAcrossExec: it survives execve(2) with its mask, and what was pending can be read after it; with
// SFD_CLOEXEC it is closed.
func signalfdAcrossExec(t *testing.T) {
	child.Start(t, signalfdBeforeExec, child.Options{Block: quiet}).Wait()
}

var (
	signalfdBeforeExec = child.Register("signalfd-before-exec", func(p *child.Proc) error {
		kept, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
		if err != nil {
			return err
		}
		closed, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_CLOEXEC)
		if err != nil {
			return err
		}
		if err := rawsig.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
			return err
		}
		if err := rawsig.Raise(unix.SIGUSR2); err != nil {
			return err
		}
		return p.Exec(signalfdAfterExec, strconv.Itoa(kept), strconv.Itoa(closed))
	})
	signalfdAfterExec = child.Register("signalfd-after-exec", func(p *child.Proc) error {
		kept, err1 := strconv.Atoi(p.Args[0])
		closed, err2 := strconv.Atoi(p.Args[1])
		if err1 != nil || err2 != nil {
			return fmt.Errorf("descriptors %q", p.Args)
		}
		if _, err := unix.FcntlInt(uintptr(closed), unix.F_GETFD, 0); err != unix.EBADF {
			return fmt.Errorf("F_GETFD of a close-on-exec signalfd: %v, want EBADF", err)
		}
		got, err := readRecords(kept, 3)
		if err != nil || len(got) != 2 || got[0].Signo != uint32(unix.SIGUSR2) || got[1].Signo != uint32(unix.SIGUSR1) || got[1].Pid != uint32(os.Getpid()) {
			return fmt.Errorf("read after execve: %+v, %v; want SIGUSR2 to the thread and SIGUSR1 to the process", got, err)
		}
		if got, err := readRecords(kept, 1); err != unix.EAGAIN {
			return fmt.Errorf("second read after execve: %+v, %v; want EAGAIN", got, err)
		}
		return nil
	})
)

// signalfdDefaultIgnored: a signal that is ignored by default is dropped when it is sent, unless the thread that it
// is sent to blocks it; for the process that is the thread whose id kill was given. Sleeping in a read does not count.
func signalfdDefaultIgnored(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGWINCH, unix.SIGCHLD, unix.SIGCONT} {
		act(t, sig, rawsig.Action{})
		fd := newSignalfd(t, sys.Sigs(sig), 0)
		open := startSleep(t, "thread that does not block the signal", func(*sleeper) (int, error) {
			if _, err := sys.Mask(^sys.Sigs(rouse, sig)); err != nil {
				return 0, err
			}
			got, err := readRecords(fd, 1)
			return len(got), err
		})
		open.AwaitBlocked(unix.SYS_READ)
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), open.Tid, sig), nil)
		stillAsleep(t, open)
		open.rouse()
		open.Join()
		setMask(t, rawsig.Blockable&^sys.Sigs(sig))
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		setMask(t, rawsig.Blockable)
		wantNoRecord(t, fmt.Sprintf("signal %d, sent while it was not blocked", sig), fd)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantSigs(t, fmt.Sprintf("signal %d, sent while it was blocked", sig), fd, sig)
	}
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGWINCH), unix.SFD_NONBLOCK)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGWINCH))
	w.do(func() {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGWINCH), nil)
		wantNoRecord(t, "a signal that the first thread does not block", fd)
	})
	setMask(t, rawsig.Blockable)
	w.do(func() {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGWINCH), nil)
		wantSigs(t, "a signal that all threads block", fd, unix.SIGWINCH)
	})
	wantPending(t, 0)
}

// signalfdIgnored: setting SIG_IGN discards what is pending before it could be read; what is sent afterwards, blocked, is
// there to be read.
func signalfdIgnored(t testing.TB) {
	blockAll(t)
	needQueue(t, 4)
	w := startWorker(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 40} {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), w.Tid, sig), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		act(t, sig, rawsig.Action{Handler: rawsig.Ignore})
		wantNoRecord(t, "after SIG_IGN", fd)
		wantReady(t, epfd)
		w.do(func() { wantNoRecord(t, "after SIG_IGN", fd) })
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
		wantErrno(t, "tgkill", rawsig.Raise(sig), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		wantSigs(t, "ignored and blocked", fd, sig, sig)
		wantReady(t, epfd)
	}
}

// signalfdReleasesOne: of threads that sleep in reads one gets a signal to the process, the others sleep on.
func signalfdReleasesOne(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	readers := map[*sleeper]*recordReader{}
	var asleep []*sleeper
	for range 4 {
		r := startRecords(t, fd, 2)
		readers[r.sleeper] = r
		asleep = append(asleep, r.sleeper)
	}
	for len(asleep) > 0 {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		readers[woken[0]].wantSigs("the thread that woke", unix.SIGUSR1)
		wantPending(t, 0)
	}
}

// signalfdFaults: a signal that the kernel raises for what a thread just did cannot be had from a signalfd: blocked,
// it kills the process, with a thread asleep in a read for it or not. Sent by kill it can.
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

// signalfdNoWriteNoOffset: writing is EINVAL, whatever is written; there is no position: ESPIPE, but for lseek(2), which
// is 0 since 6.0. Nothing is taken by it.
func signalfdNoWriteNoOffset(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	for _, size := range []int{0, 1, 8, 127, 128, 256} {
		_, err := unix.Write(fd, make([]byte, size))
		wantErrno(t, fmt.Sprintf("write of %d bytes", size), err, unix.EINVAL)
	}
	_, err := rawCall(unix.SYS_WRITE, uintptr(fd), badPointer, 128)
	wantErrno(t, "write from bad memory", err, unix.EINVAL)
	_, err = unix.Writev(fd, [][]byte{make([]byte, 128)})
	wantErrno(t, "writev", err, unix.EINVAL)
	wantNoOffset(t, fd)
	wantSeek(t, fd)
	wantSigs(t, "after all that", fd, unix.SIGUSR1)
}

// signalfdReadIter: since 6.10 a record may be stored in pieces by readv(2), and preadv2(2) takes RWF_NOWAIT; before, each
// piece was a read of its own, and RWF_NOWAIT EOPNOTSUPP.
func signalfdReadIter(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	mustRaise(t, unix.SIGUSR1)
	for _, split := range []int{64, 1, 127} {
		buf := bytes.Repeat([]byte{unread}, 128)
		var n int
		var err error
		promptly(t, "readv", func() { n, err = unix.Readv(fd, [][]byte{buf[:split], buf[split:]}) })
		if !behaviour.Since(6, 10) {
			wantErrno(t, fmt.Sprintf("readv in pieces of %d and %d bytes = %d", split, 128-split, n), err, unix.EINVAL)
			continue
		}
		if n != 128 || err != nil {
			t.Errorf("readv in pieces of %d and %d bytes = %d, %v; want 128", split, 128-split, n, err)
			continue
		}
		sameSigs(t, "readv in pieces", recordsOf(buf), nil, unix.SIGUSR1)
		wantPolledOnly(t, fd, 0)
		mustRaise(t, unix.SIGUSR1)
	}
	_, err := unix.Readv(fd, [][]byte{make([]byte, 64), make([]byte, 63)})
	wantErrno(t, "readv of 64 and 63 bytes", err, unix.EINVAL)
	wantPolledOnly(t, fd, unix.POLLIN)
	buf := make([]byte, 128)
	nowait := func() (n int, err error) {
		t.Helper()
		promptly(t, "preadv2 with RWF_NOWAIT", func() { n, err = unix.Preadv2(fd, [][]byte{buf}, -1, unix.RWF_NOWAIT) })
		return n, err
	}
	n, err := nowait()
	if !behaviour.Since(6, 10) {
		wantErrno(t, "preadv2 with RWF_NOWAIT", err, unix.EOPNOTSUPP)
		wantSigs(t, "after that", fd, unix.SIGUSR1)
	} else {
		if n != 128 || err != nil {
			t.Errorf("preadv2 with RWF_NOWAIT = %d, %v; want 128", n, err)
		}
		sameSigs(t, "preadv2 with RWF_NOWAIT", recordsOf(buf), nil, unix.SIGUSR1)
		_, err = nowait()
		wantErrno(t, "preadv2 with RWF_NOWAIT, nothing pending", err, unix.EAGAIN)
	}
	wantPolledOnly(t, fd, 0)
}

// signalfdInfo: fdinfo has the mask as 16 hexadecimal digits, as the kernel took it: without SIGKILL and SIGSTOP,
// proc_pid_fdinfo(5).
func signalfdInfo(t *testing.T) {
	fd := newSignalfd(t, 0, unix.SFD_NONBLOCK)
	dup, _ := mustDup(t, fd)
	for _, mask := range []sys.Sigset{0, 1, sys.Sigs(unix.SIGUSR1), sys.Sigs(64), sys.Sigs(1, 31, 32, 33, 64),
		sys.Sigs(unix.SIGKILL, unix.SIGSTOP), sys.Sigs(unix.SIGKILL, unix.SIGUSR2), rawsig.All} {
		mustSetMask(t, fd, mask)
		for _, of := range []int{fd, dup, newSignalfd(t, mask, 0)} {
			if got, want := fdinfoLines(t, of)["sigmask"], fmt.Sprintf("\t%016x", uint64(mask&rawsig.Blockable)); got != want {
				t.Errorf("fdinfo has sigmask:%q for the mask %#x, want %q", got, uint64(mask), want)
			}
		}
	}
	if got, want := fdinfoLines(t, fd)["flags"], "\t04002"; got != want {
		t.Errorf("fdinfo has flags:%q, want %q", got, want)
	}
}

// signalfdName: /proc calls it anon_inode:[signalfd], and it cannot be opened by that link: ENXIO.
func signalfdName(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	wantName(t, fd, "anon_inode:[signalfd]")
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdInterrupted: a handler of a signal outside the mask ends a read that sleeps, with EINTR, unless it has SA_RESTART,
// signal(7); the read that goes on is as good as new.
func signalfdInterrupted(t *testing.T) {
	blockAll(t)
	catchRestarting(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	var got []record
	read := func() *sleeper {
		return startRestartable(t, unix.SYS_READ, func() (n int, err error) {
			got, err = readRecords(fd, 2)
			return len(got), err
		})
	}
	r := read()
	restartRead(t, r, 3)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.Join()
	sameSigs(t, "the restarted read", got, r.err, unix.SIGUSR1)
	r = read()
	r.rouse()
	r.wantErr(unix.EINTR)
	wantPolledOnly(t, fd, 0)
}

// signalfdWakes: a signal to a thread that sleeps in a read, in poll(2) or in epoll_wait(2) ends that, and nobody else's.
func signalfdWakes(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	epfd := fdtest.Epoll(t, fd)
	one, two := startRecords(t, fd, 1), startRecords(t, fd, 1)
	poll, wait := startPoll(t, fd), startWait(t, epfd, 1, -1)
	other := []*sleeper{startPoll(t, fd), startWait(t, fdtest.Epoll(t, fd), 1, -1)}
	send := func(s *sleeper) {
		t.Helper()
		wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), s.Tid, unix.SIGUSR1), nil)
	}
	send(two.sleeper)
	two.wantSigs("the thread it was sent to", unix.SIGUSR1)
	stillAsleep(t, append(other, one.sleeper, poll, wait)...)
	send(poll)
	poll.wantPolled()
	send(wait)
	wait.want(ready(fd, unix.EPOLLIN))
	stillAsleep(t, append(other, one.sleeper)...)
	send(one.sleeper)
	one.wantSigs("the thread it was sent to", unix.SIGUSR1)
	stillAsleep(t, other...)
}

// signalfdErrorOrder: of several errors that of the mask's size comes first, then its memory, the flags, the descriptor
// that is not open, and the one that is no signalfd.
func signalfdErrorOrder(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mask := sys.Sigs(unix.SIGUSR2)
	good, bad := uintptr(unsafe.Pointer(&mask)), badPointers(t, 8)["a pointer to inaccessible memory"]
	closed, other := uintptr(noDescriptor), uintptr(newEventfd(t, 0, 0))
	for _, of := range []uintptr{minusOne, uintptr(fd), closed, other} {
		for _, flags := range []uintptr{0, 1, unix.SFD_NONBLOCK, unix.SFD_NONBLOCK | 4} {
			for _, at := range []uintptr{good, bad} {
				for _, size := range []uintptr{8, 4, 16} {
					var want error
					switch {
					case size != 8:
						want = unix.EINVAL
					case at == bad && behaviour.Since(5, 9):
						want = unix.EFAULT
					case at == bad:
						continue // EINVAL or EFAULT, signalfdBadMask
					case flags&^unix.SFD_NONBLOCK != 0:
						want = unix.EINVAL
					case of == closed:
						want = unix.EBADF
					case of == other:
						want = unix.EINVAL
					default:
						continue // no error
					}
					got, err := rawCall(unix.SYS_SIGNALFD4, of, at, size, flags)
					if err != want {
						t.Errorf("signalfd4(%d, readable %t, %d, %#x) = %d, %v; want %v", int(of), at == good, size, flags, got, err, want)
					}
				}
			}
		}
	}
	wantMaskOf(t, "after calls that failed", fd, unix.SIGUSR1, unix.SIGUSR2)
	runtime.KeepAlive(&mask)
}

// signalfdLegacy: signalfd() is signalfd4() without flags, whatever is in the argument that it has not got,
// signalfd(2). Architectures younger than signalfd4, as arm64, do not have it.
func signalfdLegacy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		behaviour.Absent(t, "%s has no signalfd() without flags", runtime.GOARCH)
	}
	blockAll(t)
	const sysSignalfd = 282 // asm/unistd_64.h
	legacy := func(fd int, mask sys.Sigset, size, flags uintptr) (int, error) {
		return rawCall(sysSignalfd, uintptr(fd), uintptr(unsafe.Pointer(&mask)), size, flags)
	}
	for _, flags := range []uintptr{0, unix.SFD_NONBLOCK | unix.SFD_CLOEXEC, 1, ^uintptr(0)} {
		fd, err := legacy(-1, sys.Sigs(unix.SIGUSR1), 8, flags)
		closable(t, fd, err)
		wantFlags(t, fd, unix.O_RDWR, 0)
		if got, err := legacy(fd, sys.Sigs(unix.SIGUSR2), 8, flags); got != fd || err != nil {
			t.Errorf("signalfd(%d) = %d, %v; want the same descriptor", fd, got, err)
		}
		mustRaise(t, unix.SIGUSR2)
		wantSigs(t, "the new mask's signal", fd, unix.SIGUSR2)
	}
	for _, size := range []uintptr{0, 4, 16} {
		_, err := legacy(-1, 0, size, 0)
		wantErrno(t, fmt.Sprintf("signalfd with a mask of %d bytes", size), err, unix.EINVAL)
	}
	_, err := legacy(noDescriptor, 0, 8, 0)
	wantErrno(t, "signalfd of a closed descriptor", err, unix.EBADF)
	_, err = legacy(newEventfd(t, 0, 0), 0, 8, 0)
	wantErrno(t, "signalfd of an eventfd", err, unix.EINVAL)
}

// signalfdFlagsOfExisting: where the mask of an existing signalfd is replaced, the flags are checked and otherwise have no
// effect: they neither set nor clear anything.
func signalfdFlagsOfExisting(t *testing.T) {
	const all = unix.SFD_NONBLOCK | unix.SFD_CLOEXEC
	for _, of := range []struct{ made, status, descriptor int }{
		{0, unix.O_RDWR, 0}, {all, unix.O_RDWR | unix.O_NONBLOCK, unix.FD_CLOEXEC},
	} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), of.made)
		for _, flags := range []int{0, unix.SFD_NONBLOCK, unix.SFD_CLOEXEC, all} {
			if got, err := signalfd4(fd, sys.Sigs(unix.SIGUSR2), flags); got != fd || err != nil {
				t.Errorf("signalfd4(%d, mask, 8, %#x) = %d, %v; want the same descriptor", fd, flags, got, err)
			}
			wantFlags(t, fd, of.status, of.descriptor)
		}
	}
}

// signalfdAtDescriptorLimit: EMFILE at RLIMIT_NOFILE, after all other errors, and nothing is left of it; the mask of an
// existing one can still be replaced.
func signalfdAtDescriptorLimit(t testing.TB) {
	blockAll(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	other := newEventfd(t, 0, 0)
	last := newSignalfd(t, 0, 0)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(last) + 1, Max: old.Max}); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	for range 1000 {
		if got, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), 0); err != unix.EMFILE {
			t.Fatalf("signalfd4 with all %d descriptors in use = %d, %v; want EMFILE", last+1, got, err)
		}
	}
	_, err := signalfd4(-1, 0, 1)
	wantErrno(t, "an unknown flag, with all descriptors in use", err, unix.EINVAL)
	_, err = rawCall(unix.SYS_SIGNALFD4, minusOne, badPointer, 8, 0)
	wantErrno(t, "a bad mask, with all descriptors in use", err, unix.EFAULT)
	_, err = signalfd4(other, 0, 0)
	wantErrno(t, "an eventfd, with all descriptors in use", err, unix.EINVAL)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR2))
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "the new mask's signal", fd, unix.SIGUSR2)
	unix.Close(last)
	if got, err := signalfd4(-1, 0, 0); got != last || err != nil {
		t.Errorf("signalfd4 after a close = %d, %v; want %d", got, err, last)
	}
}

// signalfdSharedMask: duplicates and children have the same mask, and O_NONBLOCK: a change by one is one for all;
// closing one leaves the others.
func signalfdSharedMask(t *testing.T) {
	blockAll(t)
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	dup, _ := mustDup(t, fd)
	epfd := fdtest.Epoll(t, fd)
	mustRaise(t, unix.SIGUSR2)
	mustSetMask(t, dup, sys.Sigs(unix.SIGUSR2))
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantPolledOnly(t, fd, unix.POLLIN)
	wantSigs(t, "by the duplicate", dup, unix.SIGUSR2)
	wantNoRecord(t, "by the original", fd)
	a := fdtest.Arena(t)
	mask := sys.Place(a, sys.Sigs(unix.SIGPWR))
	startFork(t, a, sys.Call{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4, Args: [6]uintptr{uintptr(dup), ptrTo(mask), 8}, Want: dup}).wait()
	mustRaise(t, unix.SIGUSR2)
	mustRaise(t, unix.SIGPWR)
	closeNow()
	wantSigs(t, "by the duplicate, after a child has replaced the mask", dup, unix.SIGPWR)
	wantReady(t, epfd)
}

// signalfdMaskFromAfar: replacing the mask wakes those who sleep in the process that does it. In another process who
// sleeps there sleeps on, though a poll there finds the signal; the next signal to it, of any number, wakes him.
func signalfdMaskFromAfar(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	r := startRecords(t, fd, 1)
	wantErrno(t, "tgkill", rawsig.Tgkill(os.Getpid(), r.Tid, unix.SIGUSR2), nil)
	mustRaise(t, unix.SIGUSR2)
	stillAsleep(t, r.sleeper)
	a := fdtest.Arena(t)
	mask := sys.Place(a, sys.Sigs(unix.SIGUSR2))
	done, end := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	c := startBare(t, a, sys.Call{Name: "signalfd4()", Nr: unix.SYS_SIGNALFD4, Args: [6]uintptr{uintptr(fd), ptrTo(mask), 8}, Want: fd},
		sys.EventfdWrite(done, a.Word(1)), sys.EventfdRead(end, a.Word(0))) // SIGCHLD would be some signal
	mustTake(t, done, 1)
	stillAsleep(t, r.sleeper)
	wantSigs(t, "by a thread that looks", fd, unix.SIGUSR2)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGPWR), nil)
	r.wantSigs("after some signal", unix.SIGUSR2)
	mustAddCount(t, end, 1)
	c.want(t)
}

// signalfdOrder: one read takes the thread's signals before the process's, of each the synchronous ones first, then the
// lowest numbers, and those of one number as they came.
func signalfdOrder(t testing.TB) {
	blockAll(t)
	needQueue(t, 12)
	sigs := []unix.Signal{41, unix.SIGWINCH, unix.SIGSYS, 40, unix.SIGUSR2, unix.SIGSEGV, unix.SIGHUP, 40}
	sorted := []unix.Signal{unix.SIGSEGV, unix.SIGSYS, unix.SIGHUP, unix.SIGUSR2, unix.SIGWINCH, 40, 40, 41}
	fd := newSignalfd(t, sys.Sigs(sigs...), unix.SFD_NONBLOCK)
	for v, sig := range sigs {
		wantErrno(t, "rt_sigqueueinfo", rawsig.Tgqueue(os.Getpid(), os.Getpid(), sig, rawsig.Value(uint64(v))), nil)
	}
	// To the process only what no other thread takes.
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), 40, rawsig.Value(100)), nil)
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), unix.SIGUSR2, rawsig.Value(101)), nil)
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), 40, rawsig.Value(102)), nil)
	got, err := readRecords(fd, 20)
	sameSigs(t, "a read of all", got, err, append(sorted, unix.SIGUSR2, 40, 40)...)
	var values []uint64
	for _, r := range got {
		values = append(values, r.Ptr)
	}
	if want := []uint64{5, 2, 6, 4, 1, 3, 7, 0, 101, 100, 102}; fmt.Sprint(values) != fmt.Sprint(want) {
		t.Errorf("they have the values %v, want %v", values, want)
	}
	wantNoRecord(t, "after the read", fd)
}

// signalfdPartialFault: a record that cannot be stored is lost, for its signal was taken. If it was the first the read is
// EFAULT, else it returns those before it. A pointer that no program has is found out before.
func signalfdPartialFault(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR), unix.SFD_NONBLOCK)
	for what, at := range badPointers(t, 128) {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		_, err := rawCall(unix.SYS_READ, uintptr(fd), at, 256)
		wantErrno(t, "read to "+what, err, unix.EFAULT)
		if what == kernelPointer {
			wantSigs(t, "after a read to "+what, fd, unix.SIGUSR1, unix.SIGUSR2)
		} else {
			wantSigs(t, "after a read to "+what, fd, unix.SIGUSR2)
		}
	}
	page := os.Getpagesize()
	mem := mustMap(t, 2)
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	for _, room := range []int{128, 129, 192, 255} {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGPWR)
		n, err := rawCall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&mem[page-room])), 3*128)
		if n != 128 || err != nil {
			t.Errorf("read where %d of %d bytes can be stored = %d, %v; want 128", room, 3*128, n, err)
			continue
		}
		sameSigs(t, "what could be stored", recordsOf(mem[page-room:page-room+128]), nil, unix.SIGUSR1)
		wantSigs(t, "after it", fd, unix.SIGPWR)
	}
	wantNone(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR))
}

// signalfdReadErrorOrder: of several errors of a read the descriptor comes first, then the size, that nothing is pending,
// and the memory last.
func signalfdReadErrorOrder(t *testing.T) {
	blockAll(t)
	empty := newSignalfd(t, 0, unix.SFD_NONBLOCK)
	full := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	closed := noDescriptor
	bad := badPointers(t, 128)["a pointer to inaccessible memory"]
	mustRaise(t, unix.SIGUSR1)
	read := func(fd int, at uintptr, size uintptr) error {
		return secondOf(rawCall(unix.SYS_READ, uintptr(fd), at, size))
	}
	wantErrno(t, "no descriptor, small, bad memory", read(closed, bad, 4), unix.EBADF)
	wantErrno(t, "small, bad memory", read(full, bad, 4), unix.EINVAL)
	wantErrno(t, "small, empty", read(empty, bad, 127), unix.EINVAL)
	wantErrno(t, "empty, bad memory", read(empty, bad, 128), unix.EAGAIN)
	wantSigs(t, "after that", full, unix.SIGUSR1)
}

// signalfdEdges: every signal that becomes pending in the process wakes who watches a signalfd, whatever its number and
// thread: with EPOLLET one that is pending is then reported anew. One that merges, or is dropped, does not.
func signalfdEdges(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	w := startWorker(t)
	act(t, unix.SIGWINCH, rawsig.Action{})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	level, edge := fdtest.Epoll(t, fd), fdtest.Epoll(t)
	fdtest.Add(t, edge, fd, unix.EPOLLIN|unix.EPOLLET)
	there := ready(fd, unix.EPOLLIN)
	check := func(what string, err error, isEdge bool) {
		t.Helper()
		wantErrno(t, what, err, nil)
		var want []readiness
		if isEdge {
			want = []readiness{there}
		}
		if err := checkReady(edge, want...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		wantReady(t, edge)
		wantReady(t, level, there)
	}
	wantReady(t, edge)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR2), nil)
	wantReady(t, edge) // woken, but for nothing
	self := os.Getpid()
	check("a signal of the mask", rawsig.Raise(unix.SIGUSR1), true)
	check("the same, which merges", rawsig.Raise(unix.SIGUSR1), false)
	check("another of the mask", rawsig.Raise(40), true)
	check("one more of that, which queues", rawsig.Raise(40), true)
	check("one that is not of the mask", rawsig.Raise(unix.SIGPWR), true)
	check("one to another thread", rawsig.Tgkill(self, w.Tid, unix.SIGPWR), true)
	check("one to the process", rawsig.Kill(self, unix.SIGPWR), true)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGWINCH))
	check("one that is dropped", rawsig.Raise(unix.SIGWINCH), false)
	mustSetMask(t, fd, sys.Sigs(unix.SIGUSR1, 40))
	check("the same mask", nil, true)
	got, err := readRecords(fd, 1)
	sameSigs(t, "one of three", got, err, unix.SIGUSR1)
	check("a read that leaves some", nil, false)
	wantSigs(t, "the rest", fd, 40, 40)
	wantReady(t, edge)
	wantReady(t, level)
}

// signalfdTakenElsewhere: what a handler or sigtimedwait has taken, or a handler's thread is about to, is no longer
// there to be read, and no longer reported.
func signalfdTakenElsewhere(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for what, take := range map[string]func(){
		"sigtimedwait": func() { mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)) },
		"the handler": func() {
			setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1))
			wantRuns(t, unix.SIGUSR1)
			setMask(t, rawsig.Blockable)
		},
		"another signalfd": func() { wantSigs(t, "another signalfd", newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0), unix.SIGUSR1) },
	} {
		rawsig.Forget()
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		wantReady(t, epfd, ready(fd, unix.EPOLLIN))
		take()
		wantNoRecord(t, "after "+what+" took it", fd)
		wantReady(t, epfd)
	}
	// A thread that does not block the signal gets it at once.
	w := startWorker(t)
	rawsig.Forget()
	w.do(func() { setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1)) })
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	await(t, "the handler has run", func() bool { return rawsig.Ran(unix.SIGUSR1) == 1 })
	wantNoRecord(t, "with another thread that does not block it", fd)
}

// signalfdTwo: a signal in the masks of two is there to be read from both, and is read once.
func signalfdTwo(t *testing.T) {
	blockAll(t)
	one := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_NONBLOCK)
	two := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGPWR), unix.SFD_NONBLOCK)
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR} {
		mustRaise(t, sig)
	}
	wantPolledOnly(t, one, unix.POLLIN)
	wantPolledOnly(t, two, unix.POLLIN)
	wantSigs(t, "from one", one, unix.SIGUSR1, unix.SIGUSR2)
	wantSigs(t, "from the other", two, unix.SIGPWR)
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "from the other, first", two, unix.SIGUSR1)
	wantNoRecord(t, "then from the one", one)
}

// signalfdEmptyMask: with an empty mask nothing is ever there, whatever is pending.
func signalfdEmptyMask(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, 0, 0)
	mustRaise(t, unix.SIGUSR1)
	wantPolledOnly(t, fd, 0)
	r := startRecords(t, fd, 1)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	stillAsleep(t, r.sleeper)
	r.rouse()
	r.wantErr(unix.EINTR)
	wantPending(t, sys.Sigs(unix.SIGUSR1))
}

// signalfdLayouts: which fields of a record are filled goes by the signal's number and code, as which members of a siginfo
// mean something does, sigaction(2), wherever the siginfo comes from; the errno is passed on.
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
		// struct kernel_siginfo is 48 bytes; what is after them must be 0 for codes the kernel does not know.
		info := [16]uint64{2: words[0], 3: words[1], 4: words[2], 5: words[3]}
		info[0], info[1] = 77<<32, uint64(uint32(c.code))
		err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), c.sig, (*sys.Siginfo)(unsafe.Pointer(&info)))
		wantErrno(t, fmt.Sprintf("signal %d with code %d", c.sig, c.code), err, nil)
		c.want.Signo, c.want.Errno, c.want.Code = uint32(c.sig), 77, c.code
		wantRecords(t, fmt.Sprintf("signal %d with code %d", c.sig, c.code), fd, c.want)
		unix.Close(fd)
	}
}

// signalfdExitSignal: a child whose exit signal is not SIGCHLD tells of its end with codes that for other signals mean
// polling: status and process are found in the record's descriptor and band.
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

// signalfdIntervalTimer: setitimer(2) of ITIMER_REAL sends SIGALRM from the kernel, to the process; an interval begins anew
// when the signal of the one before is taken, also by a signalfd.
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
		wantRecords(t, "an interval timer", fd, record{Signo: uint32(unix.SIGALRM), Code: rawsig.SIKernel})
	}
	if _, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{}); err != nil {
		t.Fatalf("setitimer: %v", err)
	}
	rawsig.Take(sys.Sigs(unix.SIGALRM))
	time.Sleep(2 * interval)
	wantNoRecord(t, "after the timer was stopped", fd)
}

// signalfdClosedUnderReader: closing the descriptor does not end a read that sleeps, close(2); the signal that it waits
// for does.
func signalfdClosedUnderReader(t *testing.T) {
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	r := startRecords(t, fd, 1)
	closeNow()
	stillAsleep(t, r.sleeper)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("a read whose descriptor was closed", unix.SIGUSR1)
}

// signalfdStopSignals: stop signals that are blocked are there to be read and stop nobody; a SIGCONT sent later takes
// them away unread, and a stop signal an unread SIGCONT.
func signalfdStopSignals(t testing.TB) {
	blockAll(t)
	stops := []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}
	for _, sig := range append(stops, unix.SIGCONT) {
		act(t, sig, rawsig.Action{}) // the default
	}
	fd := newSignalfd(t, sys.Sigs(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT), unix.SFD_NONBLOCK)
	epfd := fdtest.Epoll(t, fd)
	for _, sig := range stops {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
	}
	wantSigs(t, "stop signals", fd, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	for _, sig := range stops {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), sig), nil)
	}
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGCONT), nil)
	wantSigs(t, "SIGCONT after stop signals", fd, unix.SIGCONT)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGCONT), nil)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGTTIN), nil)
	wantSigs(t, "SIGTTIN after SIGCONT", fd, unix.SIGTTIN)
	wantReady(t, epfd)
}

// signalfdReadvRecords: since 6.10 readv(2) into several records' room is one read, which waits for the first only; before,
// each piece was a read of its own, and one that does not wait came back with what there was.
func signalfdReadvRecords(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR), unix.SFD_NONBLOCK)
	readv := func(sizes ...int) ([]record, error) {
		var pieces [][]byte
		for _, size := range sizes {
			pieces = append(pieces, bytes.Repeat([]byte{unread}, size))
		}
		n, err := unix.Readv(fd, pieces)
		return recordsOf(bytes.Join(pieces, nil)[:max(n, 0)]), err
	}
	raise := func() {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGPWR)
	}
	raise()
	got, err := readv(128, 128)
	sameSigs(t, "readv of two records", got, err, unix.SIGUSR1, unix.SIGUSR2)
	wantSigs(t, "then", fd, unix.SIGPWR)
	// Pieces that hold no whole number of records.
	raise()
	got, err = readv(200, 184)
	if behaviour.Since(6, 10) {
		sameSigs(t, "readv of three records in odd pieces", got, err, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR)
		raise()
	} else {
		sameSigs(t, "readv of odd pieces, the first of which was not filled", got, err, unix.SIGUSR1)
		wantSigs(t, "then", fd, unix.SIGUSR2, unix.SIGPWR)
		raise()
	}
	got, err = readv(128, 128, 128, 128)
	sameSigs(t, "readv of four records with three there", got, err, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR)

	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	r := &recordReader{}
	r.sleeper = startSleep(t, "thread in readv", func(*sleeper) (n int, err error) {
		r.records, err = readv(128, 128)
		return len(r.records), err
	})
	r.AwaitBlocked(unix.SYS_READV)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	if behaviour.Since(6, 10) {
		r.wantSigs("readv that slept", unix.SIGUSR1)
		return
	}
	stillAsleep(t, r.sleeper) // in the second piece
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR2), nil)
	r.wantSigs("readv that slept twice", unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdEmptyReads: a read of 0 bytes is too small, EINVAL; readv(2) without any room is not asked of the signalfd, and 0.
func signalfdEmptyReads(t *testing.T) {
	blockAll(t)
	for _, flags := range []int{0, unix.SFD_NONBLOCK} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), flags)
		for range 2 { // with nothing there, and with a signal
			for _, at := range []uintptr{0, uintptr(unsafe.Pointer(&[1]byte{}))} {
				var err error
				promptly(t, "read of 0 bytes", func() { _, err = rawCall(unix.SYS_READ, uintptr(fd), at, 0) })
				wantErrno(t, "read of 0 bytes", err, unix.EINVAL)
			}
			for _, n := range []uintptr{0, 1, 3} {
				var none [3]unix.Iovec
				promptly(t, "readv of nothing", func() {
					if n, err := rawCall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&none)), n); n != 0 || err != nil {
						t.Errorf("readv of nothing = %d, %v; want 0", n, err)
					}
				})
			}
			mustRaise(t, unix.SIGUSR1)
		}
		wantSigs(t, "after that", fd, unix.SIGUSR1)
	}
}

// signalfdUpperHalves: descriptor and flags are 32 bits: what is above them in the registers is not looked at. The mask's
// size is not, see signalfdBadMask.
func signalfdUpperHalves(t *testing.T) {
	blockAll(t)
	const above = 0xdead_beef << 32
	mask := sys.Sigs(unix.SIGUSR1)
	call := func(fd, flags uint64) (int, error) {
		return rawCall(unix.SYS_SIGNALFD4, uintptr(fd), uintptr(unsafe.Pointer(&mask)), 8, uintptr(flags))
	}
	fd, err := call(above|math.MaxUint32, above|unix.SFD_NONBLOCK)
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	mask = sys.Sigs(unix.SIGUSR2)
	if got, err := call(above|uint64(fd), above); got != fd || err != nil {
		t.Errorf("signalfd4 with bits above the descriptor's = %d, %v; want %d", got, err, fd)
	}
	wantMaskOf(t, "after that", fd, unix.SIGUSR2, unix.SIGUSR1)
}

// signalfdInfoLost: at RLIMIT_SIGPENDING a signal may come without its siginfo: the record is that of a kill by nobody.
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

// signalfdOrSigtimedwait: of a thread in a read and one in sigtimedwait one gets a signal to the process, whichever it is.
func signalfdOrSigtimedwait(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	for range 20 {
		r := startRecords(t, fd, 1)
		w := startSleep(t, "thread in rt_sigtimedwait", func(s *sleeper) (int, error) {
			for {
				info, err := rawsig.Wait(sys.Sigs(unix.SIGUSR1), -1)
				if err == unix.EINTR && !s.roused.Load() {
					continue // woken for a signal that the read took
				}
				return int(info.Signo), err
			}
		})
		w.AwaitBlocked(unix.SYS_RT_SIGTIMEDWAIT)
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		woken, asleep := wantWoken(t, 1, r.sleeper, w)
		if s := woken[0]; s == r.sleeper {
			r.wantSigs("the thread in a read", unix.SIGUSR1)
		} else if s.err != nil || s.n != int(unix.SIGUSR1) {
			t.Errorf("rt_sigtimedwait = %d, %v; want SIGUSR1", s.n, s.err)
		}
		wantPending(t, 0)
		asleep[0].rouse()
		asleep[0].Join()
	}
}

// signalfdInode: fstat(2) and fstatfs(2) show the inode that all files without a name share.
func signalfdInode(t *testing.T) { wantSharedInode(t, newSignalfd(t, 0, 0)) }

// signalfdOwnership: mode and owner of that inode cannot be changed.
func signalfdOwnership(t *testing.T) { wantOwnershipKept(t, newSignalfd(t, 0, 0)) }

// signalfdNoSplice: no records move through it by splice(2) and its like, and none are lost by trying.
func signalfdNoSplice(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	wantNoSplice(t, fd)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdRefusals: it is not a file that could be mapped, cut, synced or listed.
func signalfdRefusals(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR1)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantSigs(t, "after that", fd, unix.SIGUSR1)
}

// signalfdNoSignals: it sends no SIGIO: O_ASYNC is not accepted, by silence or by refusal.
func signalfdNoSignals(t *testing.T) { wantNoSignals(t, newSignalfd(t, 0, 0)) }

// signalfdClosedUnread: signals are pending in the process, not in the signalfd: with it closed they stay, for another
// signalfd or for the handler.
func signalfdClosedUnread(t testing.TB) {
	blockAll(t)
	handle(t, unix.SIGUSR2, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	epfd := fdtest.Epoll(t, fd)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantErrno(t, "tgkill", rawsig.Raise(unix.SIGUSR2), nil)
	wantReady(t, epfd, ready(fd, unix.EPOLLIN))
	closeNow()
	wantReady(t, epfd)
	wantPending(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2))
	wantSigs(t, "from a new one", newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK), unix.SIGUSR1)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR2))
	wantRuns(t, unix.SIGUSR2)
}

// signalfdEndOfThread: what was sent to a thread ends with it, unread.
func signalfdEndOfThread(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	// More than the few that the Go runtime may have sent this thread, which blocks them.
	const queuedByThread, few = 7, 3
	becomeLonely() // or others of the user, who queue and take signals as they like, are counted as well
	needQueue(t, queuedByThread+1)
	before, counted := trySigQ()
	th := child.Go(t, "ending thread", func() error {
		becomeLonely()
		setMask(t, rawsig.Blockable)
		if err := rawsig.Raise(unix.SIGUSR1); err != nil {
			return err
		}
		for v := range uint64(queuedByThread) {
			if err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), 40, rawsig.Value(v)); err != nil {
				return err
			}
		}
		wantPolledOnly(t, fd, unix.POLLIN)
		return nil
	})
	th.Join()
	wantNoRecord(t, "after its thread has ended", fd)
	wantPending(t, 0)
	// What was queued is not only out of sight: it does not count as queued any more.
	if !counted {
		behaviour.Partly(t, "limit", "no SigQ in /proc, to see how many signals are queued")
	} else {
		await(t, "what the thread had queued is not counted any more", func() bool {
			now, _ := trySigQ()
			return now <= before+few
		})
	}
	mustRaise(t, unix.SIGUSR1)
	wantSigs(t, "one of the thread that reads", fd, unix.SIGUSR1)
}

// signalfdWakesAll: a signal to the process wakes all who wait in poll(2) and epoll_wait(2), and one of them can read it.
func signalfdWakesAll(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	waiting = append(waiting, startPoll(t, fd), startPoll(t, fd))
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantWoken(t, len(waiting), waiting...)
	wantSigs(t, "the first read", fd, unix.SIGUSR1)
	wantNoRecord(t, "another read", fd)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

// signalfdOverStop: a read that sleeps goes on after a stop of its process, and finds what came meanwhile.
func signalfdOverStop(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	p := child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	for range 2 {
		stopReader(t, p)
		p.Signal(unix.SIGCONT)
		wantWaited(t, p.Pid, unix.WCONTINUED, rawsig.CldContinued, unix.SIGCONT)
	}
	stopReader(t, p)
	p.Signal(unix.SIGUSR1)
	p.Signal(unix.SIGCONT)
	p.Expect(fmt.Sprintf("%d code %d from %d", unix.SIGUSR1, rawsig.SIUser, os.Getpid()))
	p.Wait()
}

// trySigQ returns how many signals are queued for the calling thread's user, if /proc tells.
func trySigQ() (n int, ok bool) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var limit int
		if found, _ := fmt.Sscanf(line, "SigQ:\t%d/%d", &n, &limit); found == 2 {
			return n, true
		}
	}
	return 0, false
}

// stopReader stops a process that sleeps in a read.
func stopReader(t *testing.T, p *child.Process) {
	t.Helper()
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGSTOP)
	wantWaited(t, p.Pid, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
}

// signalfdAIOPoll: an AIO poll request of a signalfd is complete at once if a signal is pending for who makes it. One that comes
// later does not complete it: the kernel then asks in the name of a thread of its own, which has no signals.
func signalfdAIOPoll(t *testing.T) {
	blockAll(t)
	a := newAIO(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	resfd := newEventfd(t, 0, 0)
	poll := &iocb{opcode: iocbPoll, fd: uint32(fd), buf: unix.POLLIN, flags: iocbFlagResfd, resfd: uint32(resfd)}
	mustRaise(t, unix.SIGUSR1)
	a.mustSubmit(poll)
	a.wantEvents(1, unix.POLLIN)
	wantCount(t, resfd, 1)
	wantSigs(t, "after a request that found it", fd, unix.SIGUSR1)
	a.mustSubmit(poll)
	mustRaise(t, unix.SIGUSR1)
	time.Sleep(grace)
	wantPolledOnly(t, resfd, unix.POLLOUT)
	a.wantEvents(0, 0)
	// The signal is there for a read, and the request for who destroys it.
	wantSigs(t, "after a request that waits for it", fd, unix.SIGUSR1)
}

// signalfdFetched: a signalfd that pidfd_getfd(2) got from another process has that one's mask, and reads the signals of the process
// that reads.
func signalfdFetched(t *testing.T) {
	blockAll(t)
	p := child.Start(t, signalfdMaker, child.Options{Block: quiet})
	var number int
	if _, err := fmt.Sscan(p.Line(), &number); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(p.Pid, 0)
	closable(t, pidfd, err)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err == unix.EPERM {
		behaviour.Unprivileged(t, "pidfd_getfd of a child: %v", err)
	}
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	wantNoRecord(t, "with a signal pending in the process that made it", fd)
	mustRaise(t, unix.SIGUSR1) // not of the mask
	wantNoRecord(t, "with a signal pending that it does not ask for", fd)
	mustRaise(t, unix.SIGUSR2)
	wantRecords(t, "the fetcher's own", fd, byTgkill(unix.SIGUSR2))
	p.Say("read")
	p.Expect(fmt.Sprintf("%d from %d", unix.SIGUSR2, p.Pid))
	p.Wait()
}

var signalfdMaker = child.Register("signalfd-maker", func(p *child.Proc) error {
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR2), unix.SFD_NONBLOCK)
	if err != nil {
		return err
	}
	if err := rawsig.Kill(os.Getpid(), unix.SIGUSR2); err != nil {
		return err
	}
	p.Say("%d", fd)
	if _, err := p.Hear(); err != nil {
		return err
	}
	got, err := readRecords(fd, 1)
	if err != nil {
		return err
	}
	p.Say("%d from %d", got[0].Signo, got[0].Pid)
	return nil
})

// signalfdAtFileLimit: ENFILE at fs.file-max, signalfd(2), for who has not CAP_SYS_ADMIN.
func signalfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return signalfd4(-1, 0, unix.SFD_CLOEXEC) })
}

// What the rows above are written in.

// A record is what a read returns for each signal.
type record = unix.SignalfdSiginfo

// siSigio is the code of O_ASYNC for signals that have codes of their own (SI_SIGIO, asm-generic/siginfo.h).
const siSigio = -5

// signalfd4 is signalfd4(2) with a mask of the right size.
func signalfd4(fd int, mask sys.Sigset, flags int) (int, error) {
	return rawCall(unix.SYS_SIGNALFD4, uintptr(fd), uintptr(unsafe.Pointer(&mask)), unsafe.Sizeof(mask), uintptr(flags))
}

// newSignalfd makes a signalfd with just these flags.
func newSignalfd(tb testing.TB, mask sys.Sigset, flags int) int {
	tb.Helper()
	fd, err := signalfd4(-1, mask, flags)
	closable(tb, fd, err)
	return fd
}

// mustSetMask replaces a signalfd's mask.
func mustSetMask(tb testing.TB, fd int, mask sys.Sigset) {
	tb.Helper()
	if _, err := signalfd4(fd, mask, 0); err != nil {
		tb.Fatalf("signalfd4(%d) with a new mask: %v", fd, err)
	}
}

// noDescriptor is a number that no descriptor has.
const noDescriptor = math.MaxInt32

// unread is what a reader's memory is full of before a read.
const unread = 0xa5

// readRecords reads with room for so many records, and returns those that came.
func readRecords(fd, room int) ([]record, error) {
	buf := bytes.Repeat([]byte{unread}, room*sys.SignalfdInfoSize)
	n, err := unix.Read(fd, buf)
	n = max(n, 0)
	if rest := buf[n:]; n%sys.SignalfdInfoSize != 0 || !bytes.Equal(rest, bytes.Repeat([]byte{unread}, len(rest))) {
		return nil, fmt.Errorf("read of %d bytes returned %d (%v) and stored %x", len(buf), n, err, buf)
	}
	return recordsOf(buf[:n]), err
}

// promptly makes a call that must not sleep, though it could. If it does it is interrupted, and the row ends.
func promptly(tb testing.TB, what string, call func()) {
	tb.Helper()
	runs := fdtest.Handle(tb, rouse)
	old, err := rawsig.Mask(unix.SIG_BLOCK, nil)
	if err != nil {
		tb.Fatal(err)
	}
	setMask(tb, old&^sys.Sigs(rouse))
	done, over, tid := make(chan struct{}), make(chan struct{}), unix.Gettid()
	go func() {
		defer close(over)
		for wait := time.Second; ; wait = time.Millisecond {
			select {
			case <-done:
				return
			case <-time.After(wait):
				unix.Tgkill(unix.Getpid(), tid, rouse)
			}
		}
	}()
	call()
	close(done)
	<-over
	setMask(tb, old)
	if atomic.LoadUint64(runs) > 0 {
		tb.Fatalf("%s sleeps, want it back at once", what)
	}
}

func recordsOf(buf []byte) []record {
	records := make([]record, len(buf)/sys.SignalfdInfoSize)
	copy(bytesOf(records), buf)
	return records
}

// bytesOf is all of the records, with those bytes that the struct has no names for.
func bytesOf(records []record) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(records))), len(records)*sys.SignalfdInfoSize)
}

// sameRecords compares what a read returned, to the last byte.
func sameRecords(tb testing.TB, what string, got []record, err error, want []record) {
	tb.Helper()
	if err != nil || !bytes.Equal(bytesOf(got), bytesOf(want)) {
		tb.Errorf("%s: read %+v, %v; want %+v", what, got, err, want)
	}
}

// sameSigs compares the numbers only.
func sameSigs(tb testing.TB, what string, got []record, err error, want ...unix.Signal) {
	tb.Helper()
	var sigs []unix.Signal
	for _, r := range got {
		sigs = append(sigs, unix.Signal(r.Signo))
	}
	if err != nil || fmt.Sprint(numbers(sigs)) != fmt.Sprint(numbers(want)) {
		tb.Errorf("%s: read signals %v, %v; want %v", what, numbers(sigs), err, numbers(want))
	}
}

// takeRecords reads all there is to be read now, one by one, and a little more than n at most.
func takeRecords(tb testing.TB, fd, n int) (all []record, err error) {
	tb.Helper()
	for len(all) < n+2 && readable(tb, fd) {
		got, err := readRecords(fd, 1)
		if err != nil {
			return all, err
		}
		all = append(all, got...)
	}
	return all, nil
}

// wantRecords reads all there is to be read, which must be this.
func wantRecords(tb testing.TB, what string, fd int, want ...record) {
	tb.Helper()
	got, err := takeRecords(tb, fd, len(want))
	sameRecords(tb, what, got, err, want)
}

// wantSigs reads all there is to be read, which must be signals of these numbers.
func wantSigs(tb testing.TB, what string, fd int, want ...unix.Signal) {
	tb.Helper()
	got, err := takeRecords(tb, fd, len(want))
	sameSigs(tb, what, got, err, want...)
}

// wantNoRecord checks that there is nothing to be read, now.
func wantNoRecord(tb testing.TB, what string, fd int) {
	tb.Helper()
	if readable(tb, fd) {
		tb.Errorf("%s: poll finds something to read, want nothing", what)
	}
	if status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || status&unix.O_NONBLOCK == 0 {
		return // a read might wait
	}
	if got, err := readRecords(fd, 2); err != unix.EAGAIN {
		tb.Errorf("%s: read %+v, %v; want EAGAIN", what, got, err)
	}
}

// wantMaskOf checks that of two signals one is in a signalfd's mask and the other is not. The thread must block both.
func wantMaskOf(tb testing.TB, what string, fd int, in, out unix.Signal) {
	tb.Helper()
	mustRaise(tb, out)
	wantNoRecord(tb, what, fd)
	mustRaise(tb, in)
	wantSigs(tb, what, fd, in)
	mustTakeSignal(tb, sys.Sigs(out))
}

// byKill is the record of a signal that this process sent itself by kill(2).
func byKill(sig unix.Signal) record {
	return record{Signo: uint32(sig), Code: rawsig.SIUser, Pid: uint32(os.Getpid()), Uid: uint32(os.Getuid())}
}

// byTgkill is the record of one that it sent by tgkill(2).
func byTgkill(sig unix.Signal) record {
	r := byKill(sig)
	r.Code = rawsig.SITkill
	return r
}

// byQueue is the record of one that it sent by mustQueue.
func byQueue(sig unix.Signal, value uint64) record {
	r := byKill(sig)
	r.Code, r.Ptr, r.Int = rawsig.SIQueue, value, int32(value)
	return r
}

// mustQueue sends the row's thread a signal with a value; what is left of it at the end is taken.
func mustQueue(tb testing.TB, sig unix.Signal, value uint64) {
	tb.Helper()
	if err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), sig, rawsig.Value(value)); err != nil {
		tb.Fatalf("rt_tgsigqueueinfo(self, %d): %v", sig, err)
	}
	tb.Cleanup(func() { rawsig.Take(sys.Sigs(sig)) })
}

// needQueue skips a row that needs n signals queued, or told in full, where RLIMIT_SIGPENDING leaves no room for
// them. The thread must block all signals.
func needQueue(tb testing.TB, n int) {
	tb.Helper()
	const probe = unix.Signal(64)
	var err error
	sent := 0
	for ; sent < n && err == nil; sent++ {
		err = rawsig.Tgqueue(os.Getpid(), unix.Gettid(), probe, rawsig.Value(0))
	}
	drain(sys.Sigs(probe))
	if err == unix.EAGAIN {
		behaviour.Limited(tb, "no room for %d queued signals: raise RLIMIT_SIGPENDING (ulimit -i)", n)
	}
	if err != nil {
		tb.Fatalf("rt_tgsigqueueinfo(self, %d): %v", probe, err)
	}
}

// A recordReader is a thread in a read of a signalfd.
type recordReader struct {
	*sleeper
	records []record
}

// startRecords has a thread sleep in a read with room for so many records.
func startRecords(tb testing.TB, fd, room int) *recordReader {
	tb.Helper()
	r := &recordReader{}
	r.sleeper = startSleep(tb, "thread in read", func(*sleeper) (n int, err error) {
		r.records, err = readRecords(fd, room)
		return len(r.records), err
	})
	r.AwaitBlocked(unix.SYS_READ)
	return r
}

// wantSigs waits for the read's end, which must be with signals of these numbers.
func (r *recordReader) wantSigs(what string, want ...unix.Signal) {
	r.tb.Helper()
	r.Join()
	sameSigs(r.tb, what, r.records, r.err, want...)
}

// pollCall is ppoll(2) for reading one descriptor, for a forked child; a negative timeout is none.
func pollCall(a *sys.Arena, fd int, timeout time.Duration, want int) sys.Call {
	var limit uintptr
	if timeout >= 0 {
		limit = ptrTo(sys.Place(a, unix.NsecToTimespec(int64(timeout))))
	}
	return sys.Call{Name: "ppoll()", Nr: unix.SYS_PPOLL, Want: want,
		Args: [6]uintptr{ptrTo(sys.Place(a, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})), 1, limit}}
}
