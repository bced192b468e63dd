//go:build linux

package child

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Thread is an operating system thread of the test's own process that runs
// one function and then ends, with whatever mask or affinity it was given.
type Thread struct {
	Tid int

	tb     testing.TB
	what   string
	joined bool
	done   chan struct{}
	err    error
}

// Go runs f on a thread of its own; what names it in messages. The test must
// let f return and Join it: a blocked thread cannot be ended.
func Go(tb testing.TB, what string, f func() error) *Thread {
	tb.Helper()
	needFiles(tb)
	t := &Thread{tb: tb, what: what, done: make(chan struct{})}
	tid := make(chan int)
	go func() {
		defer close(t.done)
		runtime.LockOSThread() // and never unlock: the thread ends with f
		tid <- unix.Gettid()
		t.err = f()
	}()
	t.Tid = <-tid
	tb.Cleanup(func() {
		tb.Helper()
		if !t.joined {
			t.Join()
		}
	})
	return t
}

// Join waits for the thread's function to return; its error fails the test.
func (t *Thread) Join() {
	t.tb.Helper()
	t.joined = true
	limit := Patience
	if t.tb.Failed() {
		limit = time.Second // it does not end because of the earlier failure
	}
	select {
	case <-t.done:
		if t.err != nil {
			t.tb.Errorf("%s: %v", t.what, t.err)
		}
	case <-time.After(limit):
		t.tb.Fatalf("%s: still running after %v, %v", t.what, limit, threadState(unix.Getpid(), t.Tid))
	}
}

// Done is closed when the thread's function has returned.
func (t *Thread) Done() <-chan struct{} { return t.done }

// AwaitBlocked waits until the thread sleeps in one of these system calls
// (unix.SYS_READ, ...).
func (t *Thread) AwaitBlocked(calls ...uintptr) {
	t.tb.Helper()
	awaitBlocked(t.tb, t.what, unix.Getpid(), t.Tid, t.done, calls)
}

// AwaitBlocked waits until the child's first thread, on which its role runs,
// sleeps in one of these system calls.
func (p *Process) AwaitBlocked(calls ...uintptr) {
	p.tb.Helper()
	awaitBlocked(p.tb, "child in role "+p.name, p.Pid, p.Pid, p.ended, calls)
}

// AwaitState waits until the child's first thread is in one of these states
// of proc_pid_stat(5): "T" is stopped, "Z" a zombie, "S" asleep.
func (p *Process) AwaitState(states string) {
	p.tb.Helper()
	awaitState(p.tb, "child in role "+p.name, p.Pid, p.Pid, p.ended, states)
}

// AwaitBlocked is Thread.AwaitBlocked for any thread: tid of process pid.
func AwaitBlocked(tb testing.TB, pid, tid int, calls ...uintptr) {
	tb.Helper()
	awaitBlocked(tb, fmt.Sprintf("thread %d of process %d", tid, pid), pid, tid, nil, calls)
}

// AwaitState is Process.AwaitState for any thread: tid of process pid.
func AwaitState(tb testing.TB, pid, tid int, states string) {
	tb.Helper()
	awaitState(tb, fmt.Sprintf("thread %d of process %d", tid, pid), pid, tid, nil, states)
}

func awaitBlocked(tb testing.TB, what string, pid, tid int, ended <-chan struct{}, calls []uintptr) {
	tb.Helper()
	asleep := 0
	await(tb, what, pid, tid, ended, "sleep in "+callNames(calls), func(s state) bool {
		if s.call >= 0 {
			return s.state == 'S' && slices.Contains(calls, uintptr(s.call))
		}
		// Without /proc/PID/syscall (gVisor, some containers) all that
		// can be seen is that it sleeps, and still does some time
		// later.
		if s.known || s.state != 'S' {
			asleep = 0
			return false
		}
		asleep++
		return asleep > 20
	})
}

func awaitState(tb testing.TB, what string, pid, tid int, ended <-chan struct{}, states string) {
	tb.Helper()
	await(tb, what, pid, tid, ended, "state "+states, func(s state) bool {
		return strings.IndexByte(states, s.state) >= 0
	})
}

func await(tb testing.TB, what string, pid, tid int, ended <-chan struct{}, want string, ok func(state) bool) {
	tb.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		// Nothing can be seen; going to sleep takes a moment.
		time.Sleep(50 * time.Millisecond)
		return
	}
	deadline := time.Now().Add(Patience)
	for {
		s := threadState(pid, tid)
		if ok(s) {
			return
		}
		select {
		case <-ended:
			tb.Fatalf("%s: ended, want %s", what, want)
		case <-time.After(200 * time.Microsecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: %v after %v, want %s", what, s, Patience, want)
		}
	}
}

// state is what /proc shows of a thread.
type state struct {
	state byte // as in proc_pid_stat(5); 0 if that is not known
	call  int  // the system call it sleeps in; -1 for none or not known
	known bool // whether call would be known
	err   error
}

func (s state) String() string {
	if s.err != nil {
		return fmt.Sprintf("in a state not known (%v)", s.err)
	}
	if s.call < 0 {
		return fmt.Sprintf("in state %c", s.state)
	}
	return fmt.Sprintf("in state %c in system call %d", s.state, s.call)
}

func threadState(pid, tid int) state {
	s := state{call: -1}
	dir := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
	// Read the call first: a sleeping thread's call that is followed by
	// state S was entered.
	if text, err := os.ReadFile(dir + "syscall"); err == nil {
		s.known = true
		nr, _, _ := bytes.Cut(text, []byte(" "))
		if n, err := strconv.Atoi(string(nr)); err == nil {
			s.call = n
		}
	}
	text, err := os.ReadFile(dir + "stat")
	if err != nil {
		s.err = err // most likely it is gone
		return s
	}
	// The name is in parentheses and may contain anything, even
	// parentheses.
	if i := bytes.LastIndexByte(text, ')'); i >= 0 && i+2 < len(text) {
		s.state = text[i+2]
	}
	return s
}

func callNames(calls []uintptr) string {
	var names []string
	for _, c := range calls {
		names = append(names, fmt.Sprintf("system call %d", c))
	}
	return strings.Join(names, " or ")
}
