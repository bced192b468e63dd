//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/interrupt"

	"golang.org/x/sys/unix"
)

func TestTail(t *testing.T) {
	var tl Tail
	for range 100 {
		tl.Write(bytes.Repeat([]byte("x"), 10_000))
	}
	tl.Write([]byte("\n\x1b[31mred\u009b0m\r\n\n\tlast\n"))
	if got, want := tl.Lines(2), []string{`\x1b[31mred\u009b0m`, "last"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
	if len(tl.buf) > 2*TailSize {
		t.Errorf("keeps %d bytes", len(tl.buf))
	}
	if got := (&Tail{}).Lines(5); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestRunStopped(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	start := time.Now()
	// A grandchild holds the output open.
	cmd := exec.Command("sh", "-c", "sleep 100 & wait")
	cmd.Stdout = &bytes.Buffer{}
	err := Run(ctx, cmd)
	if !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// Processes that a program leaves behind in its group are ended too. A process
// that has left the group does not delay the call.
func TestRunLeftovers(t *testing.T) {
	var out Buffer
	cmd := exec.Command("sh", "-c", "sleep 100 & echo $!; exit 3")
	cmd.Stdout = &out
	err := Limits{}.Run(t.Context(), cmd)
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got %v, want exit status 3", err)
	}
	wantGone(t, out.String())
	out = Buffer{}
	cmd = exec.Command("sh", "-c", `setsid sleep 100 & while read -r _ _ _ _ group _ </proc/$!/stat && [ $group = $$ ]; do :; done; echo $!`)
	cmd.Stdout = &out
	start := time.Now()
	if err := (Limits{}).Run(t.Context(), cmd); !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("with its output still open: %v, want %v", err, exec.ErrWaitDelay)
	}
	if took := time.Since(start); took > 10*Grace {
		t.Errorf("took %v", took)
	}
	var pid int
	if _, err := fmt.Sscan(out.String(), &pid); err != nil {
		t.Fatal(err)
	}
	unix.Kill(pid, unix.SIGKILL)
}

func TestLimits(t *testing.T) {
	check := func(l Limits, script string, want LateError) {
		t.Helper()
		var out Buffer
		cmd := exec.Command("sh", "-c", script)
		cmd.Stdout = &out
		err := l.Run(t.Context(), cmd)
		if late := new(LateError); !errors.As(err, &late) || *late != want {
			t.Errorf("%+v: got %v, want %v", l, err, &want)
		}
		wantGone(t, out.String())
	}
	const short = 100 * time.Millisecond
	check(Limits{Time: short}, "sleep 100 & echo $!; wait", LateError{short, false})
	check(Limits{Silence: short}, "sleep 100 & echo $!; wait", LateError{short, true})
	// It ignores the signal that asks it to end.
	check(Limits{Time: short}, "trap '' QUIT; sleep 100 & echo $!; while :; do wait; done", LateError{short, false})
	// Output restarts the limit of silence.
	check(Limits{Time: 5 * short, Silence: 4 * short}, "sleep 100 & echo $!; while :; do echo; sleep 0.05; done", LateError{5 * short, false})
	if err := (Limits{Time: time.Minute, Silence: time.Minute}).Run(t.Context(), exec.Command("true")); err != nil {
		t.Error(err)
	}
}

func TestBuffer(t *testing.T) {
	var out Buffer
	cmd := exec.Command("head", "-c", "1G", "/dev/zero")
	cmd.Stdout = &out
	if err := (Limits{}).Run(t.Context(), cmd); err == nil {
		t.Error("no error for an output of 1 GiB")
	}
	if n := len(out.Bytes()); n > maxOutput {
		t.Errorf("kept %d bytes, want at most %d", n, maxOutput)
	}
}

// The child gets the signal that stopped this program.
func TestRunSignal(t *testing.T) {
	// nohup ignores SIGHUP, and a child would inherit that.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	ctx, cancel := context.WithCancelCause(t.Context())
	var out Buffer
	cmd := exec.Command("sh", "-c", "trap 'echo hangup; exit' HUP; echo; while :; do sleep 0.01; done")
	cmd.Stdout = &out
	listen(cmd, func() { // it is listening now
		cancel(interrupt.Error{Signal: unix.SIGHUP})
	})
	err := Limits{}.Run(ctx, cmd)
	if stopped := (interrupt.Error{}); !errors.As(err, &stopped) || out.String() != "\nhangup\n" {
		t.Errorf("got %v with output %q, want that it was stopped and told", err, out.String())
	}
}

// wantGone checks that the process whose pid was printed is gone or an unreaped
// zombie.
func wantGone(t *testing.T, pid string) {
	t.Helper()
	pid, _, _ = strings.Cut(pid, "\n")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs: %s", pid, stat)
		}
	}
}

// A fullWriter fails all writes.
type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, unix.ENOSPC }

// If a program's output cannot be passed on, the error says so: the program
// itself only gets a broken pipe.
func TestRunFull(t *testing.T) {
	for _, cmd := range []*exec.Cmd{
		{Stdout: fullWriter{}}, {Stderr: fullWriter{}}, {Stdout: fullWriter{}, Stderr: fullWriter{}},
	} {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "while echo x && echo x >&2; do :; done"}
		if err := (Limits{Time: 2 * time.Minute}).Run(t.Context(), cmd); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v, want %v", err, unix.ENOSPC)
		}
	}
}
