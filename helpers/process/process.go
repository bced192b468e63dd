//go:build linux

// Package process runs other programs, none of which outlives this one.
package process

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a running child that cannot outlive this process.
type Process struct {
	Done <-chan struct{} // closed when it has ended
	Err  error           // of [exec.Cmd.Wait], once Done is closed

	cmd *exec.Cmd
}

// Start starts cmd, in a process group of its own: Ctrl-C on the terminal is
// for this process, which then ends its children.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // for output that a grandchild keeps open
	done := make(chan struct{})
	p := &Process{cmd: cmd, Done: done}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the child ends (see
		// PR_SET_PDEATHSIG(2const)), so this one must not end before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.Err = cmd.Wait()
			close(done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Kill ends the child and those it has started, and waits for it.
func (p *Process) Kill() {
	select {
	case <-p.Done: // its number may be another's by now
	default:
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.Done
}

// Run runs cmd to its end, or until ctx ends, whose cause it returns then.
// Without an environment of its own, cmd gets this process's, and speaks
// English.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done:
		return p.Err
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
}

// A Tail keeps the end of what is written to it.
type Tail struct {
	mu  sync.Mutex
	buf []byte
}

// TailSize is what a Tail keeps at least, in bytes.
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

// Lines returns the last n lines that are not empty.
func (t *Tail) Lines(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.buf) {
		if s := printable(line); s != "" {
			lines = append(lines, s)
		}
	}
	return lines[max(0, len(lines)-n):]
}

// printable makes of a console's line what a terminal can show without
// obeying it.
func printable(line []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, string(line)))
}
