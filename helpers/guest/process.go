package guest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a running child that cannot outlive this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of cmd.Wait, once done is closed
}

// start starts cmd, in a process group of its own: Ctrl-C on the terminal is
// for this process, which then ends its children.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // for output that a grandchild keeps open
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the child ends (see
		// PR_SET_PDEATHSIG(2const)), so this one must not end before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the child and those it has started, and waits for it.
func (p *process) kill() {
	select {
	case <-p.done: // its number may be another's by now
	default:
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.done
}

// startQEMU starts QEMU. It inherits files; output gets what it says itself.
func startQEMU(q *QEMU, args []string, files []*os.File, output io.Writer) (*process, error) {
	cmd := exec.Command(q.Path, args...)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = output, output
	p, err := start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return p, nil
}

// runTool runs a command to its end, or until ctx ends.
func runTool(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	p, err := start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
}

// memfd makes a file that is nowhere but in memory and in the processes that
// have it open.
func memfd(name string, content io.WriterTo) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := content.WriteTo(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// A spool takes whatever it is given at once and passes it on in its own time.
// It stands between a guest's port and the one who reads it: a full pipe would
// make QEMU wait, and with the wait the host's time would enter the guest.
type spool struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	closed  bool
	done    chan error
}

func newSpool(w io.Writer) *spool {
	s := &spool{done: make(chan error, 1)}
	s.changed.L = &s.mu
	go func() { s.done <- s.pass(w) }()
	return s
}

func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, p...)
	s.changed.Signal()
	return len(p), nil
}

// Close waits until everything has been passed on and returns the error that
// ended this early, if one did.
func (s *spool) Close() error {
	s.mu.Lock()
	s.closed = true
	s.changed.Signal()
	s.mu.Unlock()
	return <-s.done
}

func (s *spool) pass(w io.Writer) error {
	for {
		s.mu.Lock()
		for len(s.buf) == 0 && !s.closed {
			s.changed.Wait()
		}
		buf := s.buf
		s.buf = nil
		s.mu.Unlock()
		if len(buf) == 0 {
			return nil
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

// lines returns the last n lines that are not empty.
func (t *tail) lines(n int) []string {
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
