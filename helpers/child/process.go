//go:build linux

package child

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long a child or a thread may take by default: far longer than
// any step on a loaded machine, and shorter than go test's limit.
const Patience = 20 * time.Second

// Limited skips a test if a limit or a missing /proc leaves no room for another
// party. A package that counts skips by reason replaces it.
var Limited = func(tb testing.TB, format string, args ...any) {
	tb.Helper()
	tb.Skipf("limit: "+format, args...)
}

// Options are how to start a child. The zero value is a child that has three
// standard descriptors and nothing else.
type Options struct {
	Args  []string      // what the role finds in Proc.Args
	Env   []string      // "key=value", added to the parent's environment
	Files []int         // descriptors, numbered from FirstFile in the child; they stay the caller's
	Block []unix.Signal // signals blocked in every thread of the child, and no others, from its first instruction

	// Deadline is the time after which the child is killed; 0 is Patience.
	Deadline time.Duration

	// Attr is the start of the child's attributes (Credential, Setsid,
	// Cloneflags, ...). The child always leads a process group of its own.
	Attr *syscall.SysProcAttr
}

// A Process is a child as the test sees it. Its methods are for the test's
// own goroutine, because they end the test when something is wrong.
type Process struct {
	Pid    int
	Stdin  *os.File      // to the child's standard input
	Stdout *bufio.Reader // from the child's standard output

	tb     testing.TB
	name   string
	stdout *os.File
	stderr *os.File
	limit  time.Duration
	asked  bool // the test has looked at how the child ended

	drained chan struct{} // closed at the end of stderr
	ended   chan struct{} // closed when status is known
	status  unix.WaitStatus

	mu      sync.Mutex
	said    []byte // on stderr
	gone    bool   // reaped: the pid may be another's
	expired bool   // killed by the deadline
}

// Start starts the test binary in a role. The child is killed, with its
// process group, and reaped at the end of the test.
func Start(tb testing.TB, r *Role, o Options) *Process {
	tb.Helper()
	needFiles(tb)
	if _, err := os.Stat(self); err != nil {
		Limited(tb, "a child process needs /proc: %v", err)
	}
	p := &Process{tb: tb, name: r.name, limit: o.Deadline,
		drained: make(chan struct{}), ended: make(chan struct{})}
	if p.limit == 0 {
		p.limit = Patience
	}
	theirs, err := p.open()
	if err == nil {
		err = p.start(r, o, theirs)
	}
	for _, fd := range theirs {
		unix.Close(int(fd))
	}
	if err != nil {
		p.close()
		if errors.Is(err, unix.EMFILE) {
			Limited(tb, "starting a child in role %s: %v: raise RLIMIT_NOFILE (ulimit -n)", r.name, err)
		}
		tb.Fatalf("starting a child in role %s: %v", r.name, err)
	}
	timer := time.AfterFunc(p.limit, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.gone {
			p.expired = true
			unix.Kill(-p.Pid, unix.SIGKILL)
		}
	})
	go p.drain()
	go p.reap()
	tb.Cleanup(func() {
		tb.Helper()
		select {
		case <-p.ended:
			if !p.asked && (p.status != 0 || p.expired) {
				tb.Errorf("%v", p.why())
			}
		default:
			p.Signal(unix.SIGKILL)
			<-p.ended
		}
		timer.Stop()
		p.close()
	})
	return p
}

// needFiles skips a test that has no room for another party, which might start
// but not get far enough to be ended.
func needFiles(tb testing.TB) {
	tb.Helper()
	const enough = 32
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur < enough {
		Limited(tb, "%d descriptors are allowed: raise RLIMIT_NOFILE to %d at least (ulimit -n)", files.Cur, enough)
	}
}

// open makes the standard descriptors: the parent's ends go into p, the
// child's are returned.
func (p *Process) open() (theirs []uintptr, err error) {
	for i, f := range []**os.File{&p.Stdin, &p.stdout, &p.stderr} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return theirs, fmt.Errorf("pipe2: %w", err)
		}
		ours, other := ends[0], ends[1]
		if i == 0 {
			ours, other = other, ours
		}
		*f = pollable(ours, fmt.Sprintf("descriptor %d of %s", i, p.name))
		theirs = append(theirs, uintptr(other))
	}
	p.stdout.SetReadDeadline(time.Now().Add(p.limit + Patience))
	p.Stdout = bufio.NewReader(p.stdout)
	return theirs, nil
}

// pollable makes a file whose reads and writes obey deadlines. Only our side
// becomes non-blocking: each end of a pipe has an open file of its own.
func pollable(fd int, name string) *os.File {
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

func (p *Process) start(r *Role, o Options, files []uintptr) error {
	for _, fd := range o.Files {
		files = append(files, uintptr(fd))
	}
	var attr syscall.SysProcAttr
	if o.Attr != nil {
		attr = *o.Attr
	}
	attr.Pdeathsig = syscall.SIGKILL
	attr.Setpgid = !attr.Setsid // either makes it the leader of a group
	env := append(os.Environ(), o.Env...)
	// Under the race detector every exit would otherwise take a second.
	env = append(env, roleVar+"="+r.name, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	var err error
	onSpawner(func() {
		// Not the signals that the caller has blocked.
		set, old := sigset(o.Block), unix.Sigset_t{}
		if err = unix.PthreadSigmask(unix.SIG_SETMASK, &set, &old); err != nil {
			return
		}
		defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		p.Pid, _, err = syscall.StartProcess(self, append([]string{os.Args[0]}, o.Args...),
			&syscall.ProcAttr{Env: env, Files: files, Sys: &attr})
	})
	return err
}

// reap waits for the end of the child, takes its whole group down while its
// process id is still its own, and reaps it.
func (p *Process) reap() {
	defer func() {
		// Don't wait for processes that left the group and hold stderr
		// open.
		p.stderr.SetReadDeadline(time.Now().Add(time.Second))
		<-p.drained
		close(p.ended)
	}()
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Kill(-p.Pid, unix.SIGKILL)
	for {
		_, err := unix.Wait4(p.Pid, &p.status, unix.WALL, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.gone = true
}

// drain reads everything that the child writes to stderr, so that the child
// never blocks, and keeps the beginning.
func (p *Process) drain() {
	defer close(p.drained)
	var buf [4096]byte
	for {
		n, err := p.stderr.Read(buf[:])
		p.mu.Lock()
		if len(p.said) < 64<<10 {
			p.said = append(p.said, buf[:n]...)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *Process) close() {
	for _, f := range []*os.File{p.Stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// Say sends the child a line.
func (p *Process) Say(format string, args ...any) {
	p.tb.Helper()
	p.Stdin.SetWriteDeadline(time.Now().Add(p.limit))
	if _, err := fmt.Fprintf(p.Stdin, format+"\n", args...); err != nil {
		p.fatal("saying %q: %v", fmt.Sprintf(format, args...), err)
	}
}

// Line waits for a line from the child and returns it without its end.
func (p *Process) Line() string {
	p.tb.Helper()
	line, err := p.Stdout.ReadString('\n')
	if err != nil {
		p.fatal("waiting for a line: %v after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// Expect waits for a line from the child, which must be this one.
func (p *Process) Expect(want string) {
	p.tb.Helper()
	if got := p.Line(); got != want {
		p.fatal("it said %q, want %q", got, want)
	}
}

// fatal ends the test with everything that is known of the child.
func (p *Process) fatal(format string, args ...any) {
	p.tb.Helper()
	p.asked = true
	// A child whose output ended is about to end: wait to learn why.
	select {
	case <-p.ended:
	case <-time.After(200 * time.Millisecond):
	}
	p.tb.Fatalf("%v: %s", p.why(), fmt.Sprintf(format, args...))
}

// Signal sends the child a signal, kill(2); it does nothing if the child has
// ended.
func (p *Process) Signal(sig unix.Signal) {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	if err := unix.Kill(p.Pid, sig); err != nil {
		p.tb.Errorf("kill(%s child, %v): %v", p.name, sig, err)
	}
}

// Status waits for the end of the child and returns how it ended.
func (p *Process) Status() unix.WaitStatus {
	p.tb.Helper()
	<-p.ended // the deadline sees to it
	p.asked = true
	if p.expired {
		p.tb.Fatalf("%v", p.why())
	}
	return p.status
}

// Wait closes the child's standard input and waits for its end. It fails the
// test unless the child's role returned nil.
func (p *Process) Wait() {
	p.tb.Helper()
	p.Stdin.Close()
	if p.Status() != 0 {
		p.tb.Fatalf("%v", p.why())
	}
}

// why returns how the child ended, and what it wrote to stderr.
func (p *Process) why() error {
	how := "still runs"
	select {
	case <-p.ended:
		switch {
		case p.expired:
			how = fmt.Sprintf("killed at its deadline of %v", p.limit)
		case p.status.Exited():
			how = fmt.Sprintf("exit status %d", p.status.ExitStatus())
		default:
			how = fmt.Sprintf("killed by %s", unix.SignalName(p.status.Signal()))
		}
	default:
	}
	msg := fmt.Sprintf("child in role %s (pid %d): %s", p.name, p.Pid, how)
	if text := p.Stderr(); text != "" {
		msg += ": " + text
	}
	return errors.New(msg)
}

// Stderr returns what the child has written to its standard error so far (the
// first 64 KiB), without white space around it.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(string(p.said))
}

// The kernel sends a child its death signal when the *thread* that started
// it ends, PR_SET_PDEATHSIG(2const), and Go's threads end with goroutines
// locked to them. One thread that never ends therefore starts all children.
var spawner struct {
	once sync.Once
	work chan func()
}

// onSpawner runs f on the thread that starts children and waits for its end.
func onSpawner(f func()) {
	spawner.once.Do(func() {
		spawner.work = make(chan func())
		go spawn()
	})
	done := make(chan struct{})
	spawner.work <- func() { defer close(done); f() }
	<-done
}

func spawn() {
	runtime.LockOSThread()
	for f := range spawner.work {
		f()
	}
}

func sigset(sigs []unix.Signal) (set unix.Sigset_t) {
	for _, s := range sigs {
		set.Val[(s-1)/64] |= 1 << ((s - 1) % 64)
	}
	return set
}
