//go:build linux

package behaviour

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
	"eventbench/helpers/sys"
)

// Alone makes a row of f that runs in a process of its own: on its first
// thread, with the signals in block blocked in every thread from the first
// instruction on, and with handlers, limits and credentials of its own. In f, t
// works as in a test, except for subtests and temporary directories.
//
// Alone registers a role, [child.Register]: call it when initialising a
// package-level variable.
func Alone(f func(t testing.TB), block ...unix.Signal) func(*testing.T) {
	run := start(f)
	return func(t *testing.T) {
		t.Helper()
		run(t, child.Options{Block: block})
	}
}

// AloneIn is Alone in new namespaces, see [Namespaces].
func AloneIn(namespaces uintptr, f func(t testing.TB), block ...unix.Signal) func(*testing.T) {
	run := start(f)
	return func(t *testing.T) {
		t.Helper()
		run(t, child.Options{Block: block, Attr: Namespaces(t, namespaces)})
	}
}

// Namespaces returns the attributes of a child in new namespaces: flags of
// clone(2) such as unix.CLONE_NEWPID. An ordinary user also gets a user
// namespace, as its root. The test is skipped if that is not allowed.
func Namespaces(tb testing.TB, flags uintptr) *syscall.SysProcAttr {
	tb.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := tryUnshare(attr.Cloneflags)
	switch {
	case errors.Is(err, unix.EPERM):
		Unprivileged(tb, "new namespaces: %v", err)
	case errors.Is(err, unix.ENOSPC):
		Limited(tb, "new namespaces: %v", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		Absent(tb, "new namespaces: %v", err)
	case err != nil:
		tb.Fatal(err)
	}
	return attr
}

// tryUnshare reports whether a process may have new namespaces. It calls
// unshare(2) in a child, because a process with threads cannot have a user
// namespace.
func tryUnshare(flags uintptr) error {
	all := ^sys.Sigset(0)
	old, err := sys.Mask(all)
	if err != nil {
		return err
	}
	defer sys.Mask(old)
	a, err := sys.NewArena(256 << 10)
	if err != nil {
		return err
	}
	defer a.Close()
	l := sys.NewLoop(a, sys.Call{Name: "unshare()", Nr: unix.SYS_UNSHARE, Args: [6]uintptr{flags}})
	l.Reset(1)
	task, err := sys.NewChild(a, l)
	if err != nil {
		return err
	}
	for !task.Gone() {
		time.Sleep(50 * time.Microsecond)
	}
	if !l.Ended() {
		return l.Err()
	}
	return nil
}

// start registers the role that runs f and returns a function that starts it
// and waits for its end.
func start(f func(t testing.TB)) func(*testing.T, child.Options) {
	alone++
	name := fmt.Sprintf("%s#%d", runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), alone)
	role := child.Register(name, func(*child.Proc) error { return runAlone(f) })
	return func(t *testing.T, o child.Options) {
		t.Helper()
		// Waits within the process give up first and say what they
		// waited for.
		o.Deadline = child.Patience + 5*time.Second
		// A row would count the signals by which the Go runtime
		// preempts goroutines.
		o.Env = append(o.Env, "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",asyncpreemptoff=1", ","))
		p := child.Start(t, role, o)
		var class, reason string
		for {
			line, err := p.Stdout.ReadString('\n')
			if err != nil {
				break // the process's end says more
			}
			line = strings.TrimSuffix(line, "\n")
			if rest, ok := strings.CutPrefix(line, skipMark); ok {
				class, reason, _ = strings.Cut(rest, ": ")
			} else if rest, ok := strings.CutPrefix(line, partMark); ok {
				class, reason, _ := strings.Cut(rest, ": ")
				Partly(t, class, "%s", reason)
			} else {
				t.Log(line)
			}
		}
		p.Wait()
		if class != "" {
			skip(t, class, "%s", []any{reason})
		}
	}
}

// alone counts the rows with processes of their own, because functions made by
// one function share its name.
var alone int

// skipMark begins the line with which a process reports that its row is
// skipped.
const skipMark = "--- skip "

// A part is a test in a process of its own. Methods that it lacks are those of
// a nil testing.TB, and calling one panics.
type part struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// over ends a part early: Fatal and Skip panic with it.
var over = new(int)

func runAlone(f func(testing.TB)) error {
	p := &part{}
	p.do(func() { f(p) })
	for len(p.cleanups) > 0 { // no other thread uses it now
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		p.do(last)
	}
	if p.Failed() {
		return errors.New("the row is broken")
	}
	return nil
}

func (p *part) do(f func()) {
	defer func() {
		// Goexit would end the first thread, whose id is the process's.
		// A panic unwinds just as well.
		if r := recover(); r != nil && r != any(over) {
			panic(r)
		}
	}()
	f()
}

func (p *part) Helper()      {}
func (p *part) Name() string { return "" }

func (p *part) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *part) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *part) Log(args ...any)            { fmt.Println(args...) }
func (p *part) Logf(f string, args ...any) { fmt.Printf(f+"\n", args...) }

// Error prints at once, because the process may be killed before the row ends.
func (p *part) Error(args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
	fmt.Fprintln(os.Stderr, args...)
}

func (p *part) Errorf(f string, args ...any) { p.Error(fmt.Sprintf(f, args...)) }

func (p *part) Fatal(args ...any) {
	p.Error(args...)
	panic(over)
}

func (p *part) Fatalf(f string, args ...any) {
	p.Errorf(f, args...)
	panic(over)
}

func (p *part) Skipf(f string, args ...any) {
	fmt.Printf(skipMark+f+"\n", args...)
	panic(over)
}
