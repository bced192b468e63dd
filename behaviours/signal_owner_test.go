//go:build linux

package behaviours

import (
	"fmt"
	"os"
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

// Signals that files send to their owners, and terminals to those who would
// take them.

// urgentSignal (SIG-124): urgent data on a socket with an owner, fcntl(2)
// F_SETOWN, is SIGURG for it, from the kernel, with or without O_ASYNC and
// whatever F_SETSIG says; without an owner it is nothing.
func urgentSignal(t testing.TB) {
	a := fdtest.Arena(t)
	blockAll(t)
	try := func(name string, reader, writer int) {
		t.Helper()
		urgent := func() {
			t.Helper()
			if err := unix.Sendto(writer, []byte("!"), unix.MSG_OOB, nil); err != nil {
				t.Fatalf("%s: send with MSG_OOB: %v", name, err)
			}
		}
		fcntl := func(cmd, arg int) {
			t.Helper()
			if _, err := unix.FcntlInt(uintptr(reader), cmd, arg); err != nil {
				t.Fatalf("%s: fcntl(%d, %d): %v", name, cmd, arg, err)
			}
		}
		for _, async := range []bool{false, true} {
			r := startReceiver(t, a, unix.SIGURG)
			if async {
				// What O_ASYNC sends is another signal.
				fcntl(unix.F_SETSIG, 41)
				fcntl(unix.F_SETFL, unix.O_ASYNC)
			}
			fcntl(unix.F_SETOWN, 0)
			urgent()
			if !asleep(t, r.bare, unix.SYS_RT_SIGTIMEDWAIT) {
				t.Errorf("%s, O_ASYNC %t: with nobody as owner it was told of urgent data", name, async)
			}
			fcntl(unix.F_SETOWN, r.TID)
			urgent()
			r.want(t, unix.SIGURG)
			if r.info.Code != rawsig.SIKernel || r.info.Pid != 0 {
				t.Errorf("%s, O_ASYNC %t: SIGURG came with code %#x, process %d; want SI_KERNEL, 0", name, async, r.info.Code, r.info.Pid)
			}
		}
	}
	x, y := mustTCP(t)
	try("TCP", x, y)
	x, y = mustTCP(t)
	try("the accepted end of TCP", y, x)
	pair := fdtest.Socketpair(t)
	if err := unix.Sendto(pair[0], []byte("!"), unix.MSG_OOB, nil); err == unix.EOPNOTSUPP {
		behaviour.Partly(t, "absent", "a unix socket: %v: it came with 5.15 (CONFIG_AF_UNIX_OOB)", err)
	} else {
		try("a unix socket", pair[0], pair[1])
	}
}

// terminalFromBackground (SIG-133): taking the foreground of a terminal from
// the background, tcsetpgrp(3), is SIGTTOU, which stops and leaves the
// foreground as it is; who blocks it, among whatever else, or ignores it
// succeeds, and has none pending.
func terminalFromBackground(t *testing.T) {
	wantSession(t, backgroundLeader)
}

var backgroundLeader = child.Register("background-leader", func(p *child.Proc) error {
	_, slave, err := ownTerminal(p)
	if slave < 0 || err != nil {
		return err
	}
	all := rawsig.Blockable
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &all); err != nil {
		return err
	}
	if err := child.Default(unix.SIGTTOU, unix.SIGHUP, unix.SIGCONT); err != nil {
		return err
	}
	front := func() int32 {
		var group int32
		ioctlAt(slave, unix.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
		return group
	}
	// This process's group is in the foreground, its children's are not.
	ours := int32(os.Getpid())
	if got := front(); got != ours {
		return fmt.Errorf("the foreground is group %d, want the session's leader, %d", got, ours)
	}
	a, err := sys.NewArena(1 << 20)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what  string
		mask  sys.Sigset
		act   uintptr
		stops bool
	}{
		{"by default", rawsig.Blockable &^ sys.Sigs(unix.SIGTTOU), rawsig.Default, true},
		{"blocked alone", sys.Sigs(unix.SIGTTOU), rawsig.Default, false},
		{"blocked with others", rawsig.Blockable, rawsig.Default, false},
		{"ignored", rawsig.Blockable &^ sys.Sigs(unix.SIGTTOU), rawsig.Ignore, false},
	} {
		group, pending := a.Word32(0), sys.Place(a, sys.Sigset(77))
		l := sys.NewLoop(a, sys.DieWithParent(),
			sys.Call{Name: "rt_sigaction()", Nr: unix.SYS_RT_SIGACTION, Args: [6]uintptr{uintptr(unix.SIGTTOU), ptrTo(sys.Place(a, rawsig.Action{Handler: c.act})), 0, 8}},
			sys.Call{Name: "rt_sigprocmask()", Nr: unix.SYS_RT_SIGPROCMASK, Args: [6]uintptr{unix.SIG_SETMASK, ptrTo(sys.Place(a, c.mask)), 0, 8}},
			sys.Call{Name: "setpgid()", Nr: unix.SYS_SETPGID},
			sys.FutexWaitWhile(group, 0),
			sys.Call{Name: "ioctl(TIOCSPGRP)", Nr: unix.SYS_IOCTL, Args: [6]uintptr{uintptr(slave), unix.TIOCSPGRP, ptrTo(group)}},
			sys.Call{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(pending), 8}})
		l.Reset(1)
		task, err := sys.NewChild(a, l)
		if err != nil {
			return err
		}
		*group = uint32(task.TID)
		rawsig.Do(unix.SYS_FUTEX, ptrTo(group), sys.FutexOpWake, 1)
		stopped := false
		for end := time.Now().Add(child.Patience / 2); !stopped && !task.Gone(); time.Sleep(100 * time.Microsecond) {
			var info sys.Siginfo
			unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(task.TID), uintptr(unsafe.Pointer(&info)), unix.WSTOPPED|unix.WNOHANG, 0, 0)
			stopped = info.Signo != 0
			if time.Now().After(end) {
				p.Say("SIGTTOU %s: TIOCSPGRP from the background neither stops nor ends: %s", c.what, l.Where())
				break
			}
		}
		got, want := front(), ours
		if !c.stops {
			want = int32(task.TID)
		}
		switch {
		case stopped != c.stops:
			p.Say("SIGTTOU %s: TIOCSPGRP from the background stops: %t, want %t", c.what, stopped, c.stops)
		case !stopped && !l.Ended():
			p.Say("SIGTTOU %s: TIOCSPGRP from the background: %v", c.what, l.Err())
		case !stopped && *pending != 0:
			p.Say("SIGTTOU %s: TIOCSPGRP from the background leaves %#x pending", c.what, *pending)
		case got != want:
			p.Say("SIGTTOU %s: TIOCSPGRP from the background: the foreground is group %d, want %d", c.what, got, want)
		}
		if err := task.Stop(unix.SIGKILL); err != nil {
			return err
		}
		// Back, for the next: this process blocks SIGTTOU.
		if err := ioctlAt(slave, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&ours))); err != nil {
			return fmt.Errorf("TIOCSPGRP: %w", err)
		}
	}
	return nil
})

var signalOwnerRows = map[string]func(*testing.T){
	"SIG-124": behaviour.Alone(urgentSignal, quiet...),
	"SIG-133": terminalFromBackground,
}
