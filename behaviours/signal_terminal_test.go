//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Signals of a terminal.

// terminalSignals (SIG-121): what a terminal does to the process groups of its
// session, termios(3), tty_ioctl(4): ^C is SIGINT to the foreground group
// alone, and a new window size SIGWINCH, the same again nothing; reading it
// from the background is SIGTTIN, which stops, and EIO for who blocks or
// ignores that, and in an orphaned group.
func terminalSignals(t *testing.T) {
	wantSession(t, terminalLeader)
}

// wantSession runs a process that leads a session, and fails for each line that
// it says but that there are no terminals.
func wantSession(t *testing.T, leader *child.Role) {
	t.Helper()
	p := child.Start(t, leader, child.Options{Block: quiet, Attr: &syscall.SysProcAttr{Setsid: true}})
	for {
		line, err := p.Stdout.ReadString('\n')
		if err != nil {
			break
		}
		line = strings.TrimSuffix(line, "\n")
		if why, ok := strings.CutPrefix(line, "absent: "); ok {
			p.Wait()
			behaviour.Absent(t, "%s", why)
		}
		t.Error(line)
	}
	p.Wait()
}

// ownTerminal opens a terminal and makes it that of the session that p leads. If
// there are no terminals, it says so for wantSession, and slave is -1.
func ownTerminal(p *child.Proc) (master, slave int, err error) {
	master, slave, err = openTerminal()
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EACCES) {
		p.Say("absent: no terminals: %v", err)
		return -1, -1, nil
	}
	if err != nil {
		return -1, -1, err
	}
	if err := ioctlAt(slave, unix.TIOCSCTTY, 0); err != nil {
		return -1, -1, fmt.Errorf("TIOCSCTTY: %w", err)
	}
	return master, slave, nil
}

// terminalLeader leads a session with a terminal of its own, from the
// background.
var terminalLeader = child.Register("terminal-leader", func(p *child.Proc) (err error) {
	fail := func(format string, args ...any) { p.Say(format, args...) }
	master, slave, err := ownTerminal(p)
	if slave < 0 || err != nil {
		return err
	}
	// This process handles and blocks as it likes; its children act by
	// default.
	mask := rawsig.Blockable &^ sys.Sigs(unix.SIGTTIN)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := child.Default(unix.SIGTTIN, unix.SIGTTOU, unix.SIGINT, unix.SIGWINCH, unix.SIGHUP, unix.SIGCONT); err != nil {
		return err
	}
	a, err := sys.NewArena(1 << 20)
	if err != nil {
		return err
	}
	// start forks a process that makes calls with this mask in a group of
	// its own (0), of another (its id) or of this process (-1).
	start := func(group int, mask sys.Sigset, calls ...sys.Call) (*sys.Task, *sys.Loop, error) {
		ready := a.Word32(0)
		before := []sys.Call{sys.DieWithParent(),
			{Name: "rt_sigprocmask()", Nr: unix.SYS_RT_SIGPROCMASK, Args: [6]uintptr{unix.SIG_SETMASK, ptrTo(sys.Place(a, mask)), 0, 8}}}
		if group >= 0 {
			before = append(before, sys.Call{Name: "setpgid()", Nr: unix.SYS_SETPGID, Args: [6]uintptr{0, uintptr(group)}})
		}
		l := sys.NewLoop(a, append(append(before, sys.FutexSet(ready, 1)), calls...)...)
		l.Reset(1)
		old, err := rawsig.Mask(unix.SIG_SETMASK, sys.Place(a, rawsig.Blockable))
		if err != nil {
			return nil, nil, err
		}
		defer rawsig.Mask(unix.SIG_SETMASK, &old)
		task, err := sys.NewChild(a, l)
		if err != nil {
			return nil, nil, err
		}
		for end := time.Now().Add(child.Patience / 2); *ready == 0; time.Sleep(100 * time.Microsecond) {
			if l.Failed() || time.Now().After(end) {
				return nil, nil, fmt.Errorf("a process of the session: %w", l.Err())
			}
		}
		return task, l, nil
	}
	ends := func(what string, task *sys.Task, l *sys.Loop) {
		for end := time.Now().Add(child.Patience / 2); !task.Gone(); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(end) {
				fail("%s: still in %s", what, l.Where())
				task.Stop(unix.SIGKILL)
				return
			}
		}
		if !l.Ended() {
			fail("%s: %v", what, l.Err())
		}
	}
	pending := func(set sys.Sigset) bool {
		got, err := rawsig.Pending()
		return err != nil || got&set != 0
	}

	// Two of the foreground group, which is told; and this process, which
	// is not, is no longer in it.
	taken := sys.Sigs(unix.SIGINT, unix.SIGWINCH, unix.SIGUSR2)
	var infos [2][2]*sys.Siginfo
	var tasks [2]*sys.Task
	var loops [2]*sys.Loop
	for i := range tasks {
		var calls []sys.Call
		for j := range infos[i] {
			infos[i][j] = sys.Place(a, sys.Siginfo{})
			calls = append(calls, sys.Call{Name: "rt_sigtimedwait()", Nr: unix.SYS_RT_SIGTIMEDWAIT, AnyCount: true,
				Args: [6]uintptr{ptrTo(sys.Place(a, taken)), ptrTo(infos[i][j]), 0, 8}})
		}
		group := 0
		if i > 0 {
			group = tasks[0].TID
		}
		if tasks[i], loops[i], err = start(group, rawsig.Blockable, calls...); err != nil {
			return err
		}
	}
	front := int32(tasks[0].TID)
	if err := ioctlAt(slave, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&front))); err != nil {
		return fmt.Errorf("TIOCSPGRP: %w", err)
	}
	if _, err := unix.Write(master, []byte{3}); err != nil {
		return err
	}
	got := func(n int) {
		for i := range infos {
			for end := time.Now().Add(child.Patience / 4); infos[i][n].Signo == 0 && time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
			}
		}
	}
	got(0)
	size := unix.Winsize{Row: 33, Col: 99}
	for range 2 { // the second time it is no news
		if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &size); err != nil {
			return err
		}
		got(1)
	}
	for i, task := range tasks {
		ends(fmt.Sprintf("member %d of the foreground group", i), task, loops[i])
		for j, sig := range []unix.Signal{unix.SIGINT, unix.SIGWINCH} {
			if info := infos[i][j]; info.Signo != int32(sig) || info.Code != rawsig.SIKernel {
				fail("member %d of the foreground group took signal %d with code %d, want %d, SI_KERNEL", i, info.Signo, info.Code, sig)
			}
		}
	}
	if pending(sys.Sigs(unix.SIGINT, unix.SIGWINCH)) {
		fail("a process of another group than the foreground's was told, too")
	}
	if now, err := unix.IoctlGetWinsize(slave, unix.TIOCGWINSZ); err != nil || *now != size {
		fail("the window's size is %+v, %v; want %+v", now, err, size)
	}

	// A foreground group that is told of nothing but a change.
	nothing := sys.Place(a, sys.Sigset(77))
	quietOne, quietLoop, err := start(0, rawsig.Blockable, sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(a, unix.NsecToTimespec(int64(grace)))),
		sys.Call{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(nothing), 8}})
	if err != nil {
		return err
	}
	front = int32(quietOne.TID)
	ttou := rawsig.Blockable // from the background, TIOCSPGRP is for who blocks SIGTTOU
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &ttou); err != nil {
		return err
	}
	if err := ioctlAt(slave, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&front))); err != nil {
		return fmt.Errorf("TIOCSPGRP from the background: %w", err)
	}
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &size); err != nil {
		return err
	}
	ends("a foreground group whose window stays as it is", quietOne, quietLoop)
	if *nothing != 0 {
		fail("a foreground group whose window stays as it is has %#x pending", *nothing)
	}

	// Reading from the background. There is a line to be had.
	if _, err := unix.Write(master, []byte("x\n")); err != nil {
		return err
	}
	read := func(want int) []sys.Call {
		return []sys.Call{{Name: "read(terminal)", Nr: unix.SYS_READ, Args: [6]uintptr{uintptr(slave), ptrTo(&a.Bytes(8)[0]), 8}, Want: want},
			{Name: "rt_sigpending()", Nr: unix.SYS_RT_SIGPENDING, Args: [6]uintptr{ptrTo(nothing), 8}}}
	}
	eio := -int(unix.EIO)
	for _, c := range []struct {
		what  string
		group int
		mask  sys.Sigset
	}{
		{"a read from the background with SIGTTIN blocked", 0, rawsig.Blockable},
		{"a read from a background group that is orphaned", -1, rawsig.Blockable &^ sys.Sigs(unix.SIGTTIN)},
	} {
		*nothing = 77
		task, l, err := start(c.group, c.mask, read(eio)...)
		if err != nil {
			return err
		}
		ends(c.what, task, l)
		if *nothing != 0 {
			fail("%s: %#x is pending after it", c.what, *nothing)
		}
	}
	stopped, l, err := start(0, rawsig.Blockable&^sys.Sigs(unix.SIGTTIN), read(len("x\n"))...)
	if err != nil {
		return err
	}
	var info sys.Siginfo
	for end := time.Now().Add(child.Patience / 2); info.Signo == 0; time.Sleep(100 * time.Microsecond) {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(stopped.TID), uintptr(unsafe.Pointer(&info)), unix.WSTOPPED|unix.WNOHANG, 0, 0)
		if errno != 0 || time.Now().After(end) {
			fail("a read from the background: waitid: %v, nothing stopped in %s", errno, l.Where())
			break
		}
	}
	if info.Signo != 0 && (info.Code != rawsig.CldStopped || int32(info.Value) != int32(unix.SIGTTIN)) {
		fail("a read from the background: code %d, status %d; want CLD_STOPPED by SIGTTIN", info.Code, int32(info.Value))
	}
	// In the foreground, and continued, the read is made again and has the
	// line.
	front = int32(stopped.TID)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &ttou); err != nil {
		return err
	}
	if err := ioctlAt(slave, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&front))); err != nil {
		return fmt.Errorf("TIOCSPGRP: %w", err)
	}
	if err := rawsig.Kill(stopped.TID, unix.SIGCONT); err != nil {
		return err
	}
	ends("the read that was stopped, in the foreground", stopped, l)
	return nil
})

// openTerminal makes a pair of a pseudo-terminal's descriptors, pty(7).
func openTerminal() (master, slave int, err error) {
	master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, -1, fmt.Errorf("TIOCSPTLCK: %w", err)
	}
	slave, err = rawCall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return -1, -1, fmt.Errorf("TIOCGPTPEER: %w", err)
	}
	return master, slave, nil
}

var signalTerminalRows = map[string]func(*testing.T){
	"SIG-121": terminalSignals,
}
