//go:build linux

package behaviours

import (
	"math"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Queueing: rt_sigqueueinfo(2), merging, RLIMIT_SIGPENDING.

// queueMayNotForge (SIG-20): what looks as if the kernel, kill or tgkill had
// sent it goes to the sender itself only. That is checked before the target is
// looked for.
func queueMayNotForge(t testing.TB) {
	blockAll(t)
	other := startReceiver(t, fdtest.Arena(t), unix.SIGUSR1, unix.SIGUSR2)
	gone := zombie(t)
	reap(t, gone)
	for _, code := range []int32{rawsig.SIUser, 1, rawsig.SIKernel, math.MaxInt32, rawsig.SITkill} {
		info := &sys.Siginfo{Code: code, Pid: 1, Value: 5}
		wantErr(t, rawsig.Queue(other.TID, unix.SIGUSR1, info), unix.EPERM, "rt_sigqueueinfo(child, code %d)", code)
		wantErr(t, rawsig.Tgqueue(other.TID, other.TID, unix.SIGUSR1, info), unix.EPERM, "rt_tgsigqueueinfo(child, code %d)", code)
		wantErr(t, rawsig.Queue(gone, unix.SIGUSR1, info), unix.EPERM, "rt_sigqueueinfo(gone, code %d)", code)
		wantErr(t, rawsig.Queue(other.TID, 200, info), unix.EPERM, "rt_sigqueueinfo(child, signal 200, code %d)", code)

		wantErr(t, rawsig.Queue(os.Getpid(), 40, info), nil, "rt_sigqueueinfo(self, code %d)", code)
		if got := mustTakeSignal(t, sys.Sigs(40)); got.Code != code {
			t.Errorf("queued with code %d, taken with %d", code, got.Code)
		}
		wantErr(t, rawsig.Tgqueue(os.Getpid(), os.Getpid(), 40, info), nil, "rt_tgsigqueueinfo(self, code %d)", code)
		mustTakeSignal(t, sys.Sigs(40))
	}
	for _, code := range []int32{rawsig.SIQueue, rawsig.SITimer, -3, -60, math.MinInt32} {
		wantErr(t, rawsig.Queue(other.TID, 0, &sys.Siginfo{Code: code}), nil, "rt_sigqueueinfo(child, code %d)", code)
	}
	wantErr(t, rawsig.Queue(other.TID, unix.SIGUSR2, rawsig.Value(0)), nil, "rt_sigqueueinfo(child, SIGUSR2)")
	other.want(t, unix.SIGUSR2) // no SIGUSR1 before
}

// queueOfSignalZero (SIG-21): signal 0 is checks only, here too.
func queueOfSignalZero(t testing.TB) {
	blockAll(t)
	gone := zombie(t)
	reap(t, gone)
	self := os.Getpid()
	wantErr(t, rawsig.Queue(self, 0, rawsig.Value(1)), nil, "rt_sigqueueinfo(self, 0)")
	wantErr(t, rawsig.Tgqueue(self, self, 0, rawsig.Value(1)), nil, "rt_tgsigqueueinfo(self, 0)")
	wantErr(t, rawsig.Queue(gone, 0, rawsig.Value(1)), unix.ESRCH, "rt_sigqueueinfo(gone, 0)")
	wantErr(t, rawsig.Tgqueue(self, gone, 0, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(self, gone, 0)")
	wantPending(t, 0)
}

// queueBadTarget (SIG-22): the siginfo is read before anything else; groups are
// no targets.
func queueBadTarget(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	for _, sig := range []unix.Signal{0, unix.SIGUSR1, 200} {
		for _, pid := range []int{self, 0, -1} {
			for _, pointer := range []uintptr{0, badPointer} {
				wantErr(t, rawsig.Do(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), pointer), unix.EFAULT,
					"rt_sigqueueinfo(%d, %d, %d)", pid, sig, pointer)
				wantErr(t, rawsig.Do(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(pid), uintptr(self), uintptr(sig), pointer), unix.EFAULT,
					"rt_tgsigqueueinfo(%d, self, %d, %d)", pid, sig, pointer)
			}
		}
	}
	for _, pid := range []int{0, -1, -unix.Getpgrp(), math.MinInt32} {
		wantErr(t, rawsig.Queue(pid, unix.SIGUSR1, rawsig.Value(1)), unix.ESRCH, "rt_sigqueueinfo(%d, SIGUSR1)", pid)
	}
	wantPending(t, 0)
}

// queueKeepsFields (SIG-23): of a siginfo only the signal number is the
// kernel's; sender and user are what the sender wrote.
func queueKeepsFields(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	info := sys.Siginfo{Signo: 9, Errno: 77, Code: -42, Pid: 0x11223344, UID: 0x55667788, Value: 0x99aabbccddeeff00}
	want := info
	want.Signo = 41
	wantErr(t, rawsig.Queue(self, 41, &info), nil, "rt_sigqueueinfo(self, 41)")
	wantInfo(t, "rt_sigqueueinfo", mustTakeSignal(t, sys.Sigs(41)), want)
	wantErr(t, rawsig.Tgqueue(self, self, 41, &info), nil, "rt_tgsigqueueinfo(self, self, 41)")
	wantInfo(t, "rt_tgsigqueueinfo", mustTakeSignal(t, sys.Sigs(41)), want)
	if info.Signo != 9 {
		t.Errorf("the sender's siginfo has signal %d now, had 9", info.Signo)
	}
}

// tgqueueToThread (SIG-24): rt_tgsigqueueinfo brings the value to one thread.
func tgqueueToThread(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	w := startWorker(t)
	for _, id := range []int{0, -1} {
		wantErr(t, rawsig.Tgqueue(id, w.Tid, 40, rawsig.Value(1)), unix.EINVAL, "rt_tgsigqueueinfo(%d, worker)", id)
		wantErr(t, rawsig.Tgqueue(self, id, 40, rawsig.Value(1)), unix.EINVAL, "rt_tgsigqueueinfo(self, %d)", id)
	}
	other := zombie(t)
	wantErr(t, rawsig.Tgqueue(self, other, 40, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(self, a child)")
	wantErr(t, rawsig.Tgqueue(other, w.Tid, 40, rawsig.Value(1)), unix.ESRCH, "rt_tgsigqueueinfo(a child, worker)")
	wantErr(t, rawsig.Tgqueue(self, w.Tid, 40, rawsig.Value(17)), nil, "rt_tgsigqueueinfo(self, worker)")
	wantPending(t, 0)
	w.do(func() {
		if info := mustTakeSignal(t, sys.Sigs(40)); info.Code != rawsig.SIQueue || info.Value != 17 {
			t.Errorf("code %d, value %d; want SI_QUEUE, 17", info.Code, info.Value)
		}
	})
}

// queueValue (SIG-25): sigqueue's value arrives, all 64 bits of it, for
// standard and real-time signals, between processes too.
func queueValue(t testing.TB) {
	blockAll(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, 35, 40, 64} {
		for _, value := range []uint64{0, 1, math.MaxInt32, math.MaxUint32, math.MaxUint64, 0x7fffaabbccddeeff} {
			wantErr(t, rawsig.Queue(os.Getpid(), sig, rawsig.Value(value)), nil, "rt_sigqueueinfo(self, %d)", sig)
			info := mustTakeSignal(t, sys.Sigs(sig))
			if info.Code != rawsig.SIQueue || info.Value != value || info.Pid != int32(os.Getpid()) || info.UID != int32(os.Getuid()) {
				t.Errorf("signal %d: %+v; want SI_QUEUE, value %#x, process %d, user %d", sig, info, value, os.Getpid(), os.Getuid())
			}
		}
	}
	a := fdtest.Arena(t)
	sender := startBare(t, a, sys.Sigqueue(os.Getpid(), 40, sys.Place(a, sys.Siginfo{Code: rawsig.SIQueue, Pid: 1, Value: 99})))
	sender.want(t)
	if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != 99 || info.Code != rawsig.SIQueue {
		t.Errorf("from a child: %+v; want SI_QUEUE, value 99", info)
	}
}

// realTimeQueues (SIG-26): n sends of a real-time signal are n deliveries, in
// order.
func realTimeQueues(t testing.TB) {
	blockAll(t)
	const n = 20
	behaviour.NeedPending(t, n)
	for _, c := range []struct {
		name string
		send func(v uint64) error
	}{
		{"to the process", func(v uint64) error { return rawsig.Queue(os.Getpid(), 40, rawsig.Value(v)) }},
		{"to the thread", func(v uint64) error { return rawsig.Tgqueue(os.Getpid(), os.Getpid(), 40, rawsig.Value(v)) }},
	} {
		for v := range uint64(n) {
			wantErr(t, c.send(v), nil, "queueing %s", c.name)
		}
		for v := range uint64(n) {
			wantPending(t, sys.Sigs(40))
			if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != v {
				t.Errorf("%s: value %d came in place %d", c.name, info.Value, v)
			}
		}
		wantPending(t, 0)
		wantNone(t, sys.Sigs(40))
	}
}

// standardMerges (SIG-27): a standard signal is pending once; what is sent
// meanwhile succeeds and is dropped, and the first siginfo stays.
func standardMerges(t testing.TB) {
	blockAll(t)
	self := os.Getpid()
	for v := range uint64(3) {
		wantErr(t, rawsig.Queue(self, unix.SIGUSR1, rawsig.Value(v+1)), nil, "rt_sigqueueinfo(self, SIGUSR1)")
	}
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	if info := mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)); info.Code != rawsig.SIQueue || info.Value != 1 {
		t.Errorf("code %d, value %d; want those of the first, SI_QUEUE and 1", info.Code, info.Value)
	}
	wantNone(t, sys.Sigs(unix.SIGUSR1))
	// The process and the thread keep one each.
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill(self, SIGUSR1)")
	wantErr(t, rawsig.Raise(unix.SIGUSR1), nil, "tgkill(self, SIGUSR1)")
	mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	mustTakeSignal(t, sys.Sigs(unix.SIGUSR1))
	wantNone(t, sys.Sigs(unix.SIGUSR1))
}

// queueLimit (SIG-36): at RLIMIT_SIGPENDING senders of real-time signals are
// told so, nothing that was accepted is lost, and what is taken makes room.
func queueLimit(t testing.TB) {
	const room = 5
	accepted := limitQueue(t, room)
	self := os.Getpid()
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"rt_sigqueueinfo", func() error { return rawsig.Queue(self, 41, rawsig.Value(9)) }},
		{"rt_tgsigqueueinfo", func() error { return rawsig.Tgqueue(self, self, 41, rawsig.Value(9)) }},
		{"tgkill", func() error { return rawsig.Tgkill(self, self, 41) }},
		{"tkill", func() error { return rawsig.Tkill(self, 41) }},
	} {
		wantErr(t, c.send(), unix.EAGAIN, "%s of a real-time signal at the limit", c.name)
	}
	for v := range accepted {
		if info := mustTakeSignal(t, sys.Sigs(40)); info.Value != v {
			t.Errorf("value %d came in place %d", info.Value, v)
		}
		if v == 0 {
			wantErr(t, rawsig.Queue(self, 41, rawsig.Value(9)), nil, "rt_sigqueueinfo when one was taken")
			wantErr(t, rawsig.Queue(self, 41, rawsig.Value(9)), unix.EAGAIN, "rt_sigqueueinfo at the limit again")
		}
	}
	mustTakeSignal(t, sys.Sigs(41))
	wantPending(t, 0)
}

// queueLimitIsPerUser (SIG-39): what is queued counts for the receiver's real
// user, over all its processes: SigQ of proc_pid_status(5).
func queueLimitIsPerUser(t testing.TB) {
	becomeAnybody(t)
	blockAll(t)
	a := fdtest.Arena(t)
	const user, other, n = 54010, 54011, 7
	one := startAs(t, a, user, user, user)
	two := startAs(t, a, user, other, other)
	three := startAs(t, a, other, user, user)
	want := func(what string, ofUser, ofOther int) {
		t.Helper()
		for _, c := range []struct {
			name      string
			pid, want int
		}{{"receiver", one.TID, ofUser}, {"another process of its real user", two.TID, ofUser}, {"another user's, with its effective id", three.TID, ofOther}} {
			if got := queued(t, c.pid); got != c.want {
				t.Errorf("%s: %d queued for %s, want %d", what, got, c.name, c.want)
			}
		}
	}
	want("at first", 0, 0)
	for v := range uint64(n) {
		wantErr(t, rawsig.Queue(one.TID, 40, rawsig.Value(v)), nil, "rt_sigqueueinfo(receiver, 40)")
	}
	want("after the sends", n, 0)
	wantErr(t, rawsig.Queue(three.TID, 40, rawsig.Value(0)), nil, "rt_sigqueueinfo(another user's, 40)")
	want("after one more to another user", n, 1)
	wantErr(t, rawsig.Kill(one.TID, unix.SIGKILL), nil, "kill(receiver, SIGKILL)")
	one.awaitEnd(t)
	reap(t, one.TID)
	if got := queued(t, two.TID); got != 0 {
		t.Errorf("%d queued for the user of a receiver that was killed and reaped, want 0", got)
	}
}

// timersCountAsQueued (SIG-40): a timer holds room for its signal from its
// creation on.
func timersCountAsQueued(t testing.TB) {
	room := limitQueue(t, 5)
	var timers []rawsig.Timer
	event := &rawsig.Event{Notify: rawsig.NotifySignal, Signo: 41}
	create := func(want error, when string) {
		t.Helper()
		timer, err := rawsig.NewTimer(unix.CLOCK_MONOTONIC, event)
		wantErr(t, err, want, "timer_create %s", when)
		if err == nil {
			timers = append(timers, timer)
		}
	}
	create(unix.EAGAIN, "with all room taken by signals")
	for range room {
		mustTakeSignal(t, sys.Sigs(40))
	}
	for range room {
		create(nil, "with room")
	}
	create(unix.EAGAIN, "with all room taken by timers")
	wantErr(t, rawsig.Queue(os.Getpid(), 40, rawsig.Value(1)), unix.EAGAIN, "rt_sigqueueinfo with all room taken by timers")
	wantErr(t, timers[0].Delete(), nil, "timer_delete")
	wantErr(t, rawsig.Queue(os.Getpid(), 40, rawsig.Value(1)), nil, "rt_sigqueueinfo after a timer was deleted")
	create(unix.EAGAIN, "with that room taken by a signal")
	mustTakeSignal(t, sys.Sigs(40))
}

// queueLimitOfOthers (SIG-102): at RLIMIT_SIGPENDING signals that need not be
// queued are sent all the same. kill's real-time signals are pending once, with
// no more than their number; standard signals keep their siginfo if kill sent
// them and lose it if not.
func queueLimitOfOthers(t testing.TB) {
	limitQueue(t, 3)
	self := os.Getpid()
	for range 2 {
		wantErr(t, rawsig.Kill(self, 41), nil, "kill of a real-time signal at the limit")
	}
	wantInfo(t, "a real-time signal by kill at the limit", mustTakeSignal(t, sys.Sigs(41)), sys.Siginfo{Signo: 41, Code: rawsig.SIUser})
	wantNone(t, sys.Sigs(41))
	wantErr(t, rawsig.Kill(self, unix.SIGUSR1), nil, "kill of a standard signal at the limit")
	wantInfo(t, "a standard signal by kill at the limit", mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
		Signo: int32(unix.SIGUSR1), Code: rawsig.SIUser, Pid: int32(self), UID: int32(os.Getuid())})
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"tgkill", func() error { return rawsig.Raise(unix.SIGUSR1) }},
		{"rt_sigqueueinfo", func() error { return rawsig.Queue(self, unix.SIGUSR1, rawsig.Value(5)) }},
	} {
		wantErr(t, c.send(), nil, "%s of a standard signal at the limit", c.name)
		wantInfo(t, "a standard signal by "+c.name+" at the limit", mustTakeSignal(t, sys.Sigs(unix.SIGUSR1)), sys.Siginfo{
			Signo: int32(unix.SIGUSR1), Code: rawsig.SIUser})
	}
}

// queueLimitPerNamespace (SIG-103): a user is another one in another user
// namespace, as far as queued signals are counted, from 5.14 on.
func queueLimitPerNamespace(t testing.TB) {
	becomeAnybody(t)
	behaviour.Namespaces(t, unix.CLONE_NEWUSER)
	blockAll(t)
	a := fdtest.Arena(t)
	const user, n = 54030, 6
	receiver := startAs(t, a, user, user, user)
	inside := startAs(t, a, user, user, user, sys.Call{Name: "unshare(CLONE_NEWUSER)", Nr: unix.SYS_UNSHARE, Args: [6]uintptr{unix.CLONE_NEWUSER}})
	for v := range uint64(n) {
		wantErr(t, rawsig.Queue(receiver.TID, 40, rawsig.Value(v)), nil, "rt_sigqueueinfo(receiver, 40)")
	}
	want := n
	if behaviour.Since(5, 14) {
		want = 0
	}
	if got := queued(t, inside.TID); got != want {
		t.Errorf("%d queued for the user in a namespace of its own, want %d of the %d outside", got, want, n)
	}
	// What is queued inside counts outside too: a namespace is no way
	// around the limit.
	wantErr(t, rawsig.Queue(inside.TID, 40, rawsig.Value(0)), nil, "rt_sigqueueinfo(process in a user namespace, 40)")
	if got := queued(t, receiver.TID); got != n+1 {
		t.Errorf("%d queued for the user after one more to its process in a namespace, want %d", got, n+1)
	}
}

// queueByThread (SIG-106): only the first thread may send its process what
// looks like the kernel's, for rt_sigqueueinfo compares thread ids;
// rt_tgsigqueueinfo does not.
func queueByThread(t testing.TB) {
	blockAll(t)
	w := startWorker(t)
	self := os.Getpid()
	info := &sys.Siginfo{Code: rawsig.SIUser}
	w.do(func() {
		wantErr(t, rawsig.Queue(self, 40, info), unix.EPERM, "rt_sigqueueinfo(own process, SI_USER) by another thread")
		wantErr(t, rawsig.Queue(w.Tid, 40, info), nil, "rt_sigqueueinfo(own thread, SI_USER) by another thread")
	})
	mustTakeSignal(t, sys.Sigs(40)) // as kill, it goes to the process
	w.do(func() {
		wantErr(t, rawsig.Tgqueue(self, self, 40, info), unix.EPERM, "rt_tgsigqueueinfo(first thread, SI_USER) by another thread")
		wantErr(t, rawsig.Tgqueue(self, w.Tid, 40, info), nil, "rt_tgsigqueueinfo(own thread, SI_USER)")
		mustTakeSignal(t, sys.Sigs(40))
	})
	wantPending(t, 0)
}

var signalQueueRows = map[string]func(*testing.T){
	"SIG-20":  behaviour.Alone(queueMayNotForge, quiet...),
	"SIG-21":  behaviour.Alone(queueOfSignalZero, quiet...),
	"SIG-22":  behaviour.Alone(queueBadTarget, quiet...),
	"SIG-23":  behaviour.Alone(queueKeepsFields, quiet...),
	"SIG-24":  behaviour.Alone(tgqueueToThread, quiet...),
	"SIG-25":  behaviour.Alone(queueValue, quiet...),
	"SIG-26":  behaviour.Alone(realTimeQueues, quiet...),
	"SIG-27":  behaviour.Alone(standardMerges, quiet...),
	"SIG-36":  behaviour.Alone(queueLimit, quiet...),
	"SIG-39":  behaviour.Alone(queueLimitIsPerUser, quiet...),
	"SIG-40":  behaviour.Alone(timersCountAsQueued, quiet...),
	"SIG-102": behaviour.Alone(queueLimitOfOthers, quiet...),
	"SIG-103": behaviour.Alone(queueLimitPerNamespace, quiet...),
	"SIG-106": behaviour.Alone(queueByThread, quiet...),
}
