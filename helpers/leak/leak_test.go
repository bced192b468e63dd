//go:build linux

package leak

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
)

func TestMain(m *testing.M) {
	child.Main()
	os.Exit(Check(m.Run))
}

// What a role can leak, and what the message must say about it.
var leaks = map[string]struct {
	leave func()
	want  string // a part of stderr; empty: nothing is left
}{
	"nothing": {func() {
		r, w, _ := os.Pipe()
		done := make(chan struct{})
		go func() { r.Read(make([]byte, 1)); close(done) }()
		w.Close()
		<-done
		r.Close()
	}, ""},
	"on its way out": {func() { go time.Sleep(100 * time.Millisecond) }, ""},
	"descriptor":     {func() { unix.Eventfd(0, 0) }, "anon_inode:[eventfd]"},
	"reused number": {func() {
		unix.Close(0)
		unix.Eventfd(0, 0)
	}, "descriptor 0: anon_inode:[eventfd]"},
	"child":  {func() { start("sleep", "100") }, "(sleep)"},
	"zombie": {func() { start("true") }, "(true) in state Z"},
	// A process without an init, such as a container's first one, inherits
	// others' orphans.
	"orphan": {func() {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
		if err := exec.Command("sh", "-c", "sleep 0.1 &").Run(); err != nil {
			panic(err)
		}
	}, ""},
	"goroutine": {func() {
		ready := make(chan struct{})
		go leftReading(ready)
		<-ready
	}, "leftReading"},
	"mask": {func() {
		set := unix.Sigset_t{}
		set.Val[0] = 1 << (unix.SIGUSR1 - 1)
		unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
	}, "blocked signals 0000000000000200"},
	"pending": {func() {
		set := unix.Sigset_t{}
		set.Val[0] = 1 << (unix.SIGUSR2 - 1)
		unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
		unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGUSR2)
	}, "0000000000000800 pending on thread"},
	"ignored": {func() { signal.Ignore(unix.SIGUSR1) }, "ignored signal 10 SIGUSR1"},
}

func start(name string, args ...string) {
	path, err := exec.LookPath(name)
	if err == nil {
		_, _, err = syscall.StartProcess(path, append([]string{name}, args...), &syscall.ProcAttr{
			Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		})
	}
	if err != nil {
		panic(err)
	}
}

func leftReading(ready chan struct{}) {
	close(ready)
	select {}
}

var leaver = child.Register("leaver", func(p *child.Proc) error {
	code := Check(func() int { leaks[p.Args[0]].leave(); return 0 })
	p.Say("%d", code)
	return nil
})

var failed = child.Register("failed", func(p *child.Proc) error {
	p.Say("%d", Check(func() int { return 3 }))
	return nil
})

func TestCheck(t *testing.T) {
	// Something is a leak only after it had time to go: wait for all at
	// once.
	started := map[string]*child.Process{}
	for name := range leaks {
		started[name] = child.Start(t, leaver, child.Options{Args: []string{name}})
	}
	for name, p := range started {
		t.Run(name, func(t *testing.T) {
			code, want := p.Line(), "0"
			p.Wait()
			if leaks[name].want != "" {
				want = "1"
			}
			got := p.Stderr()
			if code != want || !strings.Contains(got, leaks[name].want) {
				t.Errorf("exit code %s, want %s; stderr %q, want %q in it", code, want, got, leaks[name].want)
			}
			// A pending signal cannot be leaked without a mask that
			// blocks it.
			if n := strings.Count(got, "leak:"); fmt.Sprint(n) != want && name != "pending" {
				t.Errorf("%d leaks reported, want %s:\n%s", n, want, got)
			}
		})
	}
}

func TestCheckKeepsCode(t *testing.T) {
	p := child.Start(t, failed, child.Options{})
	p.Expect("3")
	p.Wait()
}
