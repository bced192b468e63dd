//go:build linux

package sys

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stackSize is what a bare thread or child runs on. The executor needs eight
// bytes; a signal frame with AVX-512 and AMX state needs 12 KiB.
const stackSize = 64 << 10

// A Task is a bare thread or a child that runs a chain of loops and exits.
// Neither has a Go runtime: it executes nothing but the executor and, if its
// mask allows, this package's signal handler.
type Task struct {
	// TID is its thread id; for a child also its process id.
	TID   int
	child bool
	alive *int32 // a thread's id until the kernel clears it on exit
	wait  unix.WaitStatus
	gone  bool
}

// NewThread starts a thread of this process on l: clone(2) with everything
// shared. It inherits the caller's signal mask, which must block whatever
// the Go runtime handles: Go's handlers cannot run on it.
func NewThread(a *Arena, l *Loop) (*Task, error) {
	t := &Task{alive: alloc[int32](a, 1)}
	tid := spawn(unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_FILES|unix.CLONE_SIGHAND|unix.CLONE_THREAD|
		unix.CLONE_SYSVSEM|unix.CLONE_PARENT_SETTID|unix.CLONE_CHILD_CLEARTID,
		stack(a), t.alive, t.alive, l.account)
	if tid < 0 {
		return nil, fmt.Errorf("clone of a thread: %w", unix.Errno(-tid))
	}
	t.TID = tid
	return t, nil
}

// NewChild forks a child that runs l: clone(2) with SIGCHLD and nothing shared
// but the arena and the open files. The same rule holds for the mask. The
// child's first call must be prctl(PR_SET_PDEATHSIG).
func NewChild(a *Arena, l *Loop) (*Task, error) {
	pid := spawn(uintptr(unix.SIGCHLD), stack(a), nil, nil, l.account)
	if pid < 0 {
		return nil, fmt.Errorf("fork: %w", unix.Errno(-pid))
	}
	return &Task{TID: pid, child: true}, nil
}

// NewSharer starts a child that runs l as NewChild does, but in this process's
// memory, as a child of vfork(2) is: there is no copy of a Go program for its
// end to give back, which takes a CPU for most of a millisecond. The same rules
// hold.
func NewSharer(a *Arena, l *Loop) (*Task, error) {
	pid := spawn(unix.CLONE_VM|uintptr(unix.SIGCHLD), stack(a), nil, nil, l.account)
	if pid < 0 {
		return nil, fmt.Errorf("clone of a child: %w", unix.Errno(-pid))
	}
	return &Task{TID: pid, child: true}, nil
}

// stack returns the top of a new stack, aligned as the ABI wants it.
func stack(a *Arena) uintptr {
	s := a.Bytes(stackSize)
	return (uintptr(unsafe.Pointer(unsafe.SliceData(s))) + stackSize) &^ 15
}

// Gone reports whether the task has exited, and reaps it if it is a child.
func (t *Task) Gone() bool {
	if t.gone {
		return true
	}
	if !t.child {
		t.gone = atomic.LoadInt32(t.alive) == 0
		return t.gone
	}
	for {
		pid, err := unix.Wait4(t.TID, &t.wait, unix.WNOHANG|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		t.gone = pid == t.TID || err != nil
		return t.gone
	}
}

// Stop ends the task if it has not ended by itself, and waits for its end. A
// child is killed. A thread cannot be: it is interrupted by signal interrupt
// until its loop ends on EINTR, which takes a microsecond.
func (t *Task) Stop(interrupt unix.Signal) error {
	const patience = 10 * time.Second
	for wait := NewWait(patience, t); !t.Gone(); {
		if wait.Over() {
			return fmt.Errorf("%v did not end within %v", t, wait)
		}
		if t.child {
			unix.Kill(t.TID, unix.SIGKILL)
		} else {
			unix.Tgkill(unix.Getpid(), t.TID, interrupt)
		}
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

// WaitPidfd waits for the end of a child and reaps it, waitid(2) with P_PIDFD:
// since Linux 5.4.
func WaitPidfd(fd int) Call {
	return Call{Name: "waitid(P_PIDFD)", Nr: unix.SYS_WAITID,
		Args: [6]uintptr{unix.P_PIDFD, uintptr(fd), 0, unix.WEXITED | unix.WALL}}
}

// String names the task as messages do, with its end if it was a child's.
func (t *Task) String() string {
	switch {
	case !t.child:
		return fmt.Sprintf("peer thread %d", t.TID)
	case !t.gone:
		return fmt.Sprintf("peer process %d", t.TID)
	case t.wait.Signaled():
		return fmt.Sprintf("peer process %d (killed by %s)", t.TID, unix.SignalName(t.wait.Signal()))
	}
	return fmt.Sprintf("peer process %d (exit status %d)", t.TID, t.wait.ExitStatus())
}

// spawn is clone(2): the new task runs the loops from l on and exits.
//
//go:noescape
func spawn(flags, stack uintptr, ptid, ctid *int32, l *account) int
