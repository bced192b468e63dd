package guest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// command is QEMU. It inherits files, and output gets its own messages.
func (q *QEMU) command(args []string, files []*os.File, output io.Writer) *exec.Cmd {
	cmd := exec.Command(q.Path, args...)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = output, output
	return cmd
}

// memfd makes a file that exists only in memory and in the processes that have
// it open.
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

// A spool accepts data immediately and passes it on at the reader's pace. It
// stands between a guest's port and its reader: a full pipe would make QEMU
// wait, and then the host's time would affect the guest.
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

// maxSpool limits the data that waits for its reader. The output of all
// behaviours, or of all benchmarks of a boot, is a few MiB.
const maxSpool = 256 << 20

// A spoolFullError means that nobody reads the output.
type spoolFullError struct{}

func (*spoolFullError) Error() string {
	return fmt.Sprintf("%d MiB of its output wait for somebody who reads them", maxSpool>>20)
}

func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.buf)+len(p) > maxSpool {
		return 0, &spoolFullError{}
	}
	s.buf = append(s.buf, p...)
	s.changed.Signal()
	return len(p), nil
}

// spoolGrace is how long a reader has for the remaining output once the guest
// has been stopped.
const spoolGrace = time.Second

// close waits until everything has been passed on, and returns the error that
// ended this early, if any. Once ctx has ended it waits only briefly.
func (s *spool) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.changed.Signal()
	s.mu.Unlock()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(spoolGrace):
		return fmt.Errorf("%w, and nobody reads the guest's output", context.Cause(ctx))
	}
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
