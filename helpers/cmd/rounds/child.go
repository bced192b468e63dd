//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/interrupt"

	"golang.org/x/sys/unix"
)

const (
	// grace is how long a child may take to end after it was asked to.
	grace = 2 * time.Second
	// maxOutput bounds what is kept of a child's output. A round of 100
	// benchmarks prints 30 kB.
	maxOutput = 64 << 20
)

// stuck is the error for a benchmark that went on for longer than limit.
type stuck struct {
	benchmark string
	limit     time.Duration
}

func (s stuck) Error() string {
	return fmt.Sprintf("%s printed nothing for %v and was stopped (-limit sets another time)", s.benchmark, s.limit)
}

// An output is what a child printed.
type output struct {
	stdout, stderr bytes.Buffer
}

// runChild runs argv in a process group of its own until
// it ends, ctx does, or it has been at one benchmark for longer than limit. It
// tells p of every line. The output is what there was, also with an error.
//
// No process of the group outlives the call.
func runChild(ctx context.Context, argv []string, limit time.Duration, p *progress) (*output, error) {
	// The kernel sends the child PR_SET_PDEATHSIG's signal when the thread that
	// started it ends, and the Go runtime ends threads at will, unless a
	// goroutine is locked to them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var out output
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout = io.MultiWriter(p, limitedWriter{&out.stdout})
	cmd.Stderr = limitedWriter{&out.stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// A grandchild outside the group may hold the pipes open: do not wait for it.
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return &out, err
	}
	pid := cmd.Process.Pid

	ended := make(chan error, 1)
	go func() {
		// Kill what is left of the group while its leader is a zombie: once it is
		// reaped the group's number may belong to strangers.
		waitExit(pid)
		unix.Kill(-pid, unix.SIGKILL)
		ended <- cmd.Wait()
	}()

	tick := time.NewTicker(min(time.Second, limit/2))
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return &out, err
		case <-ctx.Done():
			stop := syscall.SIGTERM
			var i interrupt.Error
			if errors.As(context.Cause(ctx), &i) {
				stop = i.Signal
			}
			unix.Kill(-pid, stop)
			await(ended, pid)
			return &out, context.Cause(ctx)
		case <-tick.C:
			p.tick()
			name, since := p.at()
			if since < limit {
				continue
			}
			unix.Kill(pid, unix.SIGQUIT) // the leader's goroutines, not its peers', tell the story
			await(ended, pid)
			return &out, stuck{name, limit}
		}
	}
}

// await waits for a child that was told to end, for as long as grace.
func await(ended <-chan error, pid int) {
	select {
	case <-ended:
	case <-time.After(grace):
		unix.Kill(-pid, unix.SIGKILL)
		<-ended
	}
}

// waitExit waits until the process has ended, and leaves it to be waited for.
func waitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// limitedWriter keeps what is written, up to maxOutput.
type limitedWriter struct{ buf *bytes.Buffer }

func (w limitedWriter) Write(p []byte) (int, error) {
	if w.buf.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("the output is longer than %d MiB", maxOutput>>20)
	}
	return w.buf.Write(p)
}

// excerpt is the part of what the child printed that goes into an error
// message: the benchmarks that failed with what they logged, else the beginning
// of its standard error, such as a panic, else the end of all.
func (o *output) excerpt() string {
	const most = 20
	var failures, logged []string
	for line := range strings.Lines(o.stdout.String()) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, " "):
			logged = append(logged, line)
		case strings.HasPrefix(line, "--- FAIL: ") && len(logged) > 0:
			failures = append(append(failures, line), logged...)
			logged = nil
		default:
			logged = nil
		}
	}
	lines := failures
	if lines == nil && o.stderr.Len() > 0 {
		lines = strings.Split(strings.TrimSpace(o.stderr.String()), "\n")
	}
	if lines == nil {
		lines = strings.Split(strings.TrimSpace(o.stdout.String()), "\n")
		lines = lines[max(0, len(lines)-most):]
	}
	lines = lines[:min(len(lines), most)]
	return "\t" + strings.Join(lines, "\n\t")
}
