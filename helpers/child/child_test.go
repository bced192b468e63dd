//go:build linux

package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/leak"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(leak.Check(m.Run))
}

var (
	echo = Register("echo", func(p *Proc) error {
		p.Say("args %q pid-is-tid %t", p.Args, unix.Getpid() == unix.Gettid())
		for {
			line, err := p.Hear()
			if err != nil {
				return nil
			}
			p.Say("heard %s", line)
		}
	})
	failing = Register("failing", func(p *Proc) error {
		p.Say("about to fail")
		return errors.New("counter is 3, want 5")
	})
	sleeper = Register("sleeper", func(p *Proc) error {
		p.Say("asleep")
		for {
			unix.Nanosleep(&unix.Timespec{Sec: 100}, nil)
		}
	})
	adder = Register("adder", func(p *Proc) error {
		_, err := unix.Write(FirstFile, []byte{5, 0, 0, 0, 0, 0, 0, 0})
		return err
	})
	execAdder = Register("exec-adder", func(p *Proc) error {
		return p.Exec(adder)
	})
	die = Register("die", func(p *Proc) error {
		if err := Default(unix.SIGTERM); err != nil {
			return err
		}
		if err := Ignore(unix.SIGUSR1); err != nil {
			return err
		}
		unix.Kill(unix.Getpid(), unix.SIGUSR1)
		unix.Kill(unix.Getpid(), unix.SIGTERM)
		return errors.New("survived SIGTERM")
	})
	mask = Register("mask", func(p *Proc) error {
		var set unix.Sigset_t
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set); err != nil {
			return err
		}
		p.Say("%#x", set.Val[0])
		return nil
	})
	umask = Register("umask", func(p *Proc) error {
		p.Say("%03o", unix.Umask(0))
		return nil
	})
	forker = Register("forker", func(p *Proc) error {
		tb := &recorder{}
		g := Start(tb, sleeper, Options{})
		g.Expect("asleep")
		p.Say("%d", g.Pid)
		for {
			unix.Nanosleep(&unix.Timespec{Sec: 100}, nil)
		}
	})
)

func TestTalk(t *testing.T) {
	p := Start(t, echo, Options{Args: []string{"-test.v", "a b"}})
	p.Expect(`args ["-test.v" "a b"] pid-is-tid true`)
	p.Say("one %d", 2)
	p.Expect("heard one 2")
	p.Wait()
}

func TestFiles(t *testing.T) {
	for _, r := range []*Role{adder, execAdder} {
		efd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(efd)
		Start(t, r, Options{Files: []int{efd}}).Wait()
		var buf [8]byte
		if _, err := unix.Read(efd, buf[:]); err != nil || buf[0] != 5 {
			t.Errorf("after role %s: read %v, %v; want 5", r.name, buf, err)
		}
	}
}

// Every failure of a child has a message with the role, how it ended and what
// it wrote to stderr.
func TestMessages(t *testing.T) {
	check := func(r *Role, o Options, use func(*Process), want ...string) {
		t.Helper()
		got := record(func(tb testing.TB) { use(Start(tb, r, o)) })
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("role %s: message %q lacks %q", r.name, got, w)
			}
		}
	}
	check(failing, Options{}, (*Process).Wait, "role failing", "exit status 1", "counter is 3, want 5")
	check(failing, Options{}, func(p *Process) { p.Expect("fine") }, `said "about to fail", want "fine"`, "counter is 3")
	check(failing, Options{}, func(p *Process) { p.Line(); p.Line() }, "EOF", "counter is 3")
	check(failing, Options{}, func(p *Process) { <-p.ended }, "exit status 1", "counter is 3")
	check(sleeper, Options{Deadline: 100 * time.Millisecond}, (*Process).Wait, "killed at its deadline of 100ms")
	check(sleeper, Options{Deadline: 100 * time.Millisecond}, func(p *Process) { p.Line(); p.Line() }, "deadline of 100ms", "EOF")
	check(sleeper, Options{}, func(p *Process) { p.Signal(unix.SIGKILL); p.Wait() }, "killed by SIGKILL")
	check(sleeper, Options{}, func(p *Process) { p.Expect("asleep"); p.fatal("enough") }, "still runs: enough")
	check(&Role{name: "nobody"}, Options{}, (*Process).Wait, "exit status 2", "EVENTBENCH_ROLE=nobody")
}

func TestStatus(t *testing.T) {
	p := Start(t, die, Options{})
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGTERM {
		t.Errorf("%v; want killed by SIGTERM", p.why())
	}
}

func TestBlock(t *testing.T) {
	p := Start(t, mask, Options{Block: []unix.Signal{unix.SIGUSR1, 40}})
	p.Expect(fmt.Sprintf("%#x", 1<<(unix.SIGUSR1-1)|1<<(40-1)))
	p.Wait()
	p = Start(t, mask, Options{})
	p.Expect("0x0")
	p.Wait()
}

// Whatever signals the caller has blocked, the tests have none blocked, and
// their children only those that the options name.
func TestInheritedMask(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Getenv("EVENTBENCH_INHERITED") != "" {
		var set unix.Sigset_t
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set); err != nil || set != (unix.Sigset_t{}) {
			t.Errorf("blocked: %#x, %v", set.Val[0], err)
		}
		return
	}
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	p := Start(t, mask, Options{})
	p.Expect("0x0")
	p.Wait()
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestInheritedMask$")
	cmd.Env = append(os.Environ(), "EVENTBENCH_INHERITED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInheritedUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o777))
	p := Start(t, umask, Options{})
	p.Expect("022")
	p.Wait()
}

func TestStopContinue(t *testing.T) {
	p := Start(t, sleeper, Options{})
	p.Expect("asleep")
	p.AwaitBlocked(unix.SYS_NANOSLEEP)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	p.Signal(unix.SIGCONT)
	p.AwaitState("S")
}

// A child outlives the thread that started it, but not the process.
func TestOutlives(t *testing.T) {
	var p *Process
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		p = Start(t, forker, Options{})
	}()
	<-done
	grandchild, err := strconv.Atoi(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(grandchild, 0)
	if err != nil {
		t.Skipf("pidfd_open: %v", err)
	}
	defer unix.Close(pidfd)
	p.Signal(unix.SIGKILL)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(Patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("poll on the grandchild: %d, %v; it outlived its parent", n, err)
		}
		break
	}
	if s := p.Status(); s.Signal() != unix.SIGKILL {
		t.Error(p.why())
	}
}

func TestThread(t *testing.T) {
	efd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(efd)
	r := Go(t, "reader", func() error {
		var buf [8]byte
		_, err := unix.Read(efd, buf[:])
		return err
	})
	r.AwaitBlocked(unix.SYS_READ)
	select {
	case <-r.Done():
		t.Error("the reader returned before anything was written")
	default:
	}
	if _, err := unix.Write(efd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Error(err)
	}
	r.Join()

	got := record(func(tb testing.TB) {
		Go(tb, "worker", func() error { return errors.New("no luck") })
	})
	if want := "worker: no luck"; !strings.Contains(got, want) {
		t.Errorf("message %q lacks %q", got, want)
	}
}

// record runs f as a test does and returns what it reported.
func record(f func(testing.TB)) string {
	r := &recorder{}
	run := func(f func()) {
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		<-done
	}
	run(func() { f(r) })
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		run(r.cleanups[i])
	}
	return strings.Join(r.msgs, "\n")
}

// A recorder is a test whose failure another test expects.
type recorder struct {
	testing.TB
	msgs     []string
	cleanups []func()
}

func (r *recorder) Failed() bool              { return len(r.msgs) > 0 }
func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.msgs = append(r.msgs, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
