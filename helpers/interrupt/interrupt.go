//go:build linux

// Package interrupt ends long runs in good order when a signal asks for it.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Error is the signal that ended a run.
type Error struct{ Signal syscall.Signal }

func (e Error) Error() string { return "stopped by " + e.Signal.String() }

// Status is the exit status by which shells know that a signal ended a program.
func (e Error) Status() int { return 128 + int(e.Signal) }

// Status is the exit status of a command that err ended: that of the signal, if
// it was one, or else otherwise.
func Status(err error, otherwise int) int {
	if stopped := (Error{}); errors.As(err, &stopped) {
		return stopped.Status()
	}
	return otherwise
}

// WhenOrphaned has the kernel send a hangup when the process that started this
// one ends. go tool does that: when it is killed, nobody waits for the work any
// more. A hangup, as that is what nohup protects from.
func WhenOrphaned() {
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGHUP), 0, 0, 0)
}

// Context returns a context that ends, with an Error as its cause, at
// the first signal asking to stop. Those after it change nothing: in a terminal
// Ctrl-C arrives twice, from the terminal and passed on by the go command.
func Context() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		// nohup and a shell's & without job control mean ignored to stay ignored.
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		s := <-signals
		cancel(Error{s.(syscall.Signal)})
	}()
	return ctx
}
