//go:build linux

// Package process runs other programs, none of which outlives this one. It is
// the only place that decides how a program starts, how long it may run, which
// signal ends it, how long it then has, and how much of its output is kept.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"eventbench/helpers/interrupt"
	"eventbench/helpers/printable"

	"golang.org/x/sys/unix"
)

// Grace is how long a program has to end after it was asked to.
const Grace = 2 * time.Second

// RunnerGrace is the grace of a program that itself runs others with this
// package, and gives them their grace first.
const RunnerGrace = 5 * Grace

// A Process is a running child that cannot outlive this process.
type Process struct {
	Done <-chan struct{} // closed when the child has ended
	Err  error           // from [exec.Cmd.Wait], once Done is closed

	cmd   *exec.Cmd
	mu    sync.Mutex
	ended bool // the pid and the group's id may be reused
}

// Start starts cmd in its own process group: Ctrl-C in a terminal reaches this
// process, which then ends its children. When the child ends, the rest of its
// group is killed. The attributes in cmd's SysProcAttr are kept.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	// A process outside the group may keep the output open: do not wait for
	// it.
	cmd.WaitDelay = Grace
	done := make(chan struct{})
	p := &Process{cmd: cmd, Done: done}
	started := make(chan error)
	go func() {
		// The signal is sent when the thread that started the child
		// ends (see PR_SET_PDEATHSIG(2const)), so this thread must not
		// end earlier.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		waitExit(cmd.Process.Pid)
		// The leader is still a zombie, so the group's id cannot have
		// been reused.
		p.Signal(syscall.SIGKILL)
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.Err = cmd.Wait()
		close(done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// waitExit waits until the process has ended, without reaping it.
func waitExit(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

// Signal sends a signal to the child and the processes that it started, unless
// the child has ended.
func (p *Process) Signal(s syscall.Signal) { p.kill(-p.cmd.Process.Pid, s) }

// SignalChild sends a signal only to the child.
func (p *Process) SignalChild(s syscall.Signal) { p.kill(p.cmd.Process.Pid, s) }

func (p *Process) kill(pid int, s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		syscall.Kill(pid, s)
	}
}

// Kill kills the child and the processes that it started, and waits for it.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Done
}

// Await waits for a child that was told to end. After the grace it kills the
// child and the processes that it started.
func (p *Process) Await(grace time.Duration) {
	select {
	case <-p.Done:
	case <-time.After(grace):
		p.Kill()
	}
}

// Limits say when to end a program that does not end by itself. The zero value
// has no limits.
type Limits struct {
	Time    time.Duration // since its start; 0 means no limit
	Silence time.Duration // without output; 0 means no limit; writes to an *os.File are not seen
	Runner  bool          // it runs other programs, and has RunnerGrace to end them
}

// Prompt is for programs that answer a question, such as their version or the
// names of their tests.
var Prompt = Limits{Time: time.Minute}

// NoStatus is the exit status of a command that runs a program somewhere and
// has no exit status of the program to pass on, as in env(1).
const NoStatus = 125

// A LateError is the error of a program that was ended at a limit.
type LateError struct {
	Limit  time.Duration
	Silent bool // it was the limit of silence
}

func (e *LateError) Error() string {
	if e.Silent {
		return fmt.Sprintf("printed nothing for %v and was stopped", e.Limit)
	}
	return fmt.Sprintf("was not done after %v and was stopped", e.Limit)
}

// Run runs a system tool to its end: see [Limits.Run]. If cmd has no
// environment, it gets this process's, with messages in English.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return Limits{}.Run(ctx, cmd)
}

// Run runs cmd until it ends, ctx ends, or a limit is reached. The error is
// ctx's cause, a [*LateError], the error of [exec.Cmd.Run], or the error from
// writing the program's output: the program itself sees a full disk as a broken
// pipe.
//
// When ctx ends, the whole group gets the signal that ended it, or SIGTERM. At
// a limit the program gets SIGQUIT, which makes a Go program print its
// goroutines.
func (l Limits) Run(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var heard atomic.Int64 // time of the last output
	hear := func() { heard.Store(time.Now().UnixNano()) }
	hear()
	written := listen(cmd, hear)
	var tick <-chan time.Time
	if l.Silence > 0 {
		t := time.NewTicker(min(time.Second, max(l.Silence/2, time.Millisecond)))
		defer t.Stop()
		tick = t.C
	}
	var end <-chan time.Time
	if l.Time > 0 {
		t := time.NewTimer(l.Time)
		defer t.Stop()
		end = t.C
	}
	grace := Grace
	if l.Runner {
		grace = RunnerGrace
	}
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	late := func(limit time.Duration, silent bool) error {
		p.SignalChild(syscall.SIGQUIT) // only its own goroutines are of interest
		p.Await(grace)
		return &LateError{limit, silent}
	}
	for {
		select {
		case <-p.Done:
			if err := written(); err != nil {
				return err
			}
			return p.Err
		case <-ctx.Done():
			p.Signal(asked(ctx))
			p.Await(grace)
			return context.Cause(ctx)
		case <-end:
			return late(l.Time, false)
		case now := <-tick:
			if now.Sub(time.Unix(0, heard.Load())) >= l.Silence {
				return late(l.Silence, true)
			}
		}
	}
}

// Output runs cmd as [Limits.Run] does and returns its output.
func (l Limits) Output(ctx context.Context, cmd *exec.Cmd) (stdout, stderr string, err error) {
	var out, errs Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = l.Run(ctx, cmd)
	return out.String(), errs.String(), err
}

// ExitCode returns the exit status of the program that err is from, or -1 if it
// has none: it was killed or did not run.
func ExitCode(err error) int {
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// asked returns the signal to pass on to a child when ctx ends.
func asked(ctx context.Context) syscall.Signal {
	if stopped := (interrupt.Error{}); errors.As(context.Cause(ctx), &stopped) {
		return stopped.Signal
	}
	return syscall.SIGTERM
}

// listen makes cmd call hear whenever it prints something, except to files,
// which it writes directly. written returns the first error from passing output
// on.
func listen(cmd *exec.Cmd, hear func()) (written func() error) {
	var failed atomic.Pointer[error]
	of := func(w io.Writer) io.Writer {
		if _, file := w.(*os.File); w == nil || file {
			return w
		}
		return &listener{w, hear, &failed}
	}
	one := same(cmd.Stdout, cmd.Stderr)
	cmd.Stdout = of(cmd.Stdout)
	if one {
		cmd.Stderr = cmd.Stdout // one writer, so that exec writes from one goroutine
	} else {
		cmd.Stderr = of(cmd.Stderr)
	}
	return func() error {
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	}
}

type listener struct {
	w      io.Writer
	hear   func()
	failed *atomic.Pointer[error]
}

func (l *listener) Write(p []byte) (int, error) {
	l.hear()
	n, err := l.w.Write(p)
	if err != nil {
		l.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// same reports whether two writers are the same.
func same(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// A Buffer keeps a program's output, up to 64 MiB. A program that writes more
// gets a broken pipe.
type Buffer struct{ buf bytes.Buffer } // not embedded: its ReadFrom is not bounded

const maxOutput = 64 << 20

func (b *Buffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("the output is longer than %d MiB", maxOutput>>20)
	}
	return b.buf.Write(p)
}

func (b *Buffer) Bytes() []byte  { return b.buf.Bytes() }
func (b *Buffer) String() string { return b.buf.String() }

// A Tail keeps the end of its input.
type Tail struct {
	mu  sync.Mutex
	buf []byte
}

// TailSize is the number of bytes that a Tail keeps at least.
const TailSize = 64 << 10

func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*TailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-TailSize:]...)
	}
	return len(p), nil
}

// Lines returns the last n non-empty lines.
func (t *Tail) Lines(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.buf) {
		if s := printable.Line(string(line)); s != "" {
			lines = append(lines, s)
		}
	}
	return lines[max(0, len(lines)-n):]
}
