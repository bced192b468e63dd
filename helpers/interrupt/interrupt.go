//go:build linux

// Package interrupt ends long runs cleanly: when a signal asks for it, and when
// nobody is waiting for them any more.
//
// # Orphans
//
// A run is often several processes: make, a shell, go, a tool. A signal that
// reaches only one of them must end them all, or the rest keeps measuring in
// the background. The others cannot be changed, so the tool finds out by
// itself:
//
//   - The process that started it has ended: its parent has changed.
//   - The make that started it has ended, or is about to. A make that alone
//     receives a SIGINT or SIGHUP removes its handler and waits silently for
//     its recipes to end. The Makefile tells the tool which process make is
//     (see [MakeVariable]).
//
// In both cases the tool behaves as if it had received a hangup, or the signal
// that make received.
//
// A run that is meant to outlive its parent does: one started with nohup, or
// one that leads a session, as after setsid. Its parent then does not matter,
// unless it is the go command, which waits for the tool: the nohup was meant
// for both. A tool that is an orphan from the start, as in a container or below
// a process that adopts orphans, is left alone: only a change counts. With
// "make bench &", the shell may end, and its terminal may close if nohup
// allows: make is still there.
package interrupt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An Error is the signal that ended a run, or an equivalent.
type Error struct {
	Signal syscall.Signal
	Reason string // in place of the signal's name, if there was no signal
}

func (e Error) Error() string {
	if e.Reason != "" {
		return "stopped: " + e.Reason
	}
	return "stopped by " + e.Signal.String()
}

// Status is the exit status by which shells report a program ended by a signal.
func (e Error) Status() int { return 128 + int(e.Signal) }

// Context returns a context that ends at the first SIGINT, SIGTERM, SIGHUP or
// signal of more, or when the process has become an orphan. Its cause is an
// Error. Later signals change nothing: in a terminal, Ctrl-C arrives twice,
// once from the terminal and once passed on by the go command. A process that
// is still there [Patience] later, because nobody reads its last output or a
// disk does not respond, is ended.
func Context(more ...os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, s := range append([]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}, more...) {
		// A signal ignored by nohup, or by a shell's & without job
		// control, must stay ignored.
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	look := time.NewTicker(500 * time.Millisecond)
	all := launchers()
	go func() {
		defer look.Stop()
		for {
			var stopped Error
			select {
			case s := <-signals:
				stopped.Signal = s.(syscall.Signal)
			case <-look.C:
				stopped = gone(all)
			}
			if stopped != (Error{}) {
				cancel(stopped)
				time.Sleep(Patience)
				os.Exit(stopped.Status())
			}
		}
	}()
	return ctx
}

// Patience is how long a process may take to end cleanly.
const Patience = 30 * time.Second

func gone(all []launcher) Error {
	for _, l := range all {
		if stopped := l.gone(); stopped != (Error{}) {
			return stopped
		}
	}
	return Error{}
}

// MakeVariable is the environment variable in which the Makefile passes make's
// process id. Children do not inherit it: it would be one more difference
// between runs in what is measured.
const MakeVariable = "MAKE_PID"

// A launcher is a process without which a run has no purpose.
type launcher interface {
	// gone returns what ended the run, or a zero Error.
	gone() Error
}

func launchers() []launcher {
	var all []launcher
	ppid := os.Getppid()
	session, err := unix.Getsid(0)
	outlives := signal.Ignored(syscall.SIGHUP) || err == nil && session == os.Getpid()
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", ppid))
	if name := strings.TrimSpace(string(comm)); name == "go" || !outlives {
		all = append(all, parent{ppid, name})
	}
	if pid, err := strconv.Atoi(os.Getenv(MakeVariable)); err == nil && pid > 0 {
		all = append(all, newMaker(pid))
	}
	os.Unsetenv(MakeVariable)
	return all
}

// A parent is the process that started this one.
type parent struct {
	pid  int
	name string
}

func (p parent) gone() Error {
	if os.Getppid() == p.pid {
		return Error{}
	}
	return Error{syscall.SIGHUP, fmt.Sprintf("%s (process %d), which started it, has ended; to keep a run going without it, start it with nohup or setsid", p.name, p.pid)}
}

// A maker is a make, at least two generations up.
type maker struct {
	pid   int
	pidfd int    // -1 where there is none
	catch uint64 // signals that it has handlers for
}

func newMaker(pid int) *maker {
	m := &maker{pid: pid, pidfd: -1}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		m.pidfd = fd
	}
	m.catch = caught(pid)
	return m
}

func (m *maker) gone() Error {
	if m.ended() {
		return Error{syscall.SIGHUP, fmt.Sprintf("make (process %d), which started it, has ended", m.pid)}
	}
	now := caught(m.pid)
	if now == 0 {
		return Error{} // not known
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if bit := uint64(1) << (s - 1); m.catch&bit != 0 && now&bit == 0 {
			return Error{s, fmt.Sprintf("make (process %d), which started it, was stopped by %v", m.pid, s)}
		}
	}
	return Error{}
}

func (m *maker) ended() bool {
	if m.pidfd < 0 {
		return errors.Is(unix.Kill(m.pid, 0), unix.ESRCH)
	}
	fds := []unix.PollFd{{Fd: int32(m.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// caught returns the signals that a process has handlers for, see
// proc_pid_status(5), or 0 if unknown.
func caught(pid int) uint64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nSigCgt:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return 0
	}
	return set
}
