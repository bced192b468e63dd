//go:build linux

// Package child gives a test its other parties: threads, and processes that run
// the test binary again in a role.
//
// A role is a function with a name, registered before main:
//
//	var pong = child.Register("pong", func(p *child.Proc) error {
//		// p.Args, p.Hear, p.Say; descriptors passed to it are 3, 4, ...
//		return nil
//	})
//
//	func TestMain(m *testing.M) {
//		child.Main() // does not return in a role
//		os.Exit(m.Run())
//	}
//
//	func TestPong(t *testing.T) {
//		p := child.Start(t, pong, child.Options{Files: []int{efd}})
//		p.Expect("ready")
//		p.Say("go")
//		p.Wait() // fails the test unless the role returned nil
//	}
//
// A child never outlives its test: it is killed when its deadline passes,
// when the test ends and, by the kernel, when the parent dies.
package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// roleVar is the environment variable that makes a test binary play a role.
const roleVar = "EVENTBENCH_ROLE"

// FirstFile is the number that the first of Options.Files has in the child;
// the others follow it.
const FirstFile = 3

// A Role is what a child process does in place of running tests.
type Role struct {
	name string
	run  func(*Proc) error
}

var roles = map[string]*Role{}

// Register declares a role. Use it for package-level variables: a role that is
// registered later does not exist in the child. It panics if the name is taken.
func Register(name string, run func(*Proc) error) *Role {
	if roles[name] != nil {
		panic("child: role " + name + " is registered twice")
	}
	r := &Role{name, run}
	roles[name] = r
	return r
}

func init() {
	// A role's signals and thread id are the process's only if it stays on
	// the thread that the kernel started. This locks main to that thread.
	if os.Getenv(roleVar) != "" {
		runtime.LockOSThread()
	}
}

// Main runs the role that the environment names, if any, and then exits: with
// status 0 if it returned nil, else with 1 and the error on stderr. TestMain
// calls it first, before flags are parsed or anything is printed. Without a
// role it makes sure that no signal is blocked.
func Main() {
	name := os.Getenv(roleVar)
	if name == "" {
		unblock()
		return
	}
	r := roles[name]
	if r == nil {
		fmt.Fprintf(os.Stderr, "%s=%s: this test binary has no such role; unset it to run tests\n", roleVar, name)
		os.Exit(2)
	}
	// A grandchild that execs something else must not be taken for a role.
	os.Unsetenv(roleVar)
	// Not the umask of the caller, which might deny the owner what a file
	// needs.
	unix.Umask(0o022)
	if err := r.run(&Proc{Args: os.Args[1:], in: bufio.NewReader(os.Stdin)}); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// unblock starts the test binary again with no signal blocked, if its caller
// had some blocked. The Go runtime gives that mask to each thread that it
// starts, and signals that end a wait at its deadline would not arrive.
func unblock() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var none, blocked unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, &blocked); err != nil || blocked == none {
		return
	}
	// Without /proc it goes on as it is.
	unix.Exec(self, os.Args, os.Environ())
}

// A Proc is a child process as its role sees it. The role runs on the
// process's first thread, so that its thread id is its process id.
type Proc struct {
	Args []string // as given by Options.Args
	in   *bufio.Reader
}

// Say sends the parent a line. Its error need not be checked: a parent that is
// gone takes the child with it.
func (p *Proc) Say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// Hear waits for a line from the parent and returns it without its end;
// io.EOF when the parent has closed its side.
func (p *Proc) Hear() (string, error) {
	line, err := p.in.ReadString('\n')
	if err == io.EOF && line != "" {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimSuffix(line, "\n"), err
}

// Exec replaces the role by another in the same process by execve(2).
// Descriptors that are not close-on-exec, the signal mask, and pending and
// ignored signals survive it. It returns only if it fails.
func (p *Proc) Exec(r *Role, args ...string) error {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, roleVar+"=") })
	env = append(env, roleVar+"="+r.name)
	err := unix.Exec(self, append([]string{os.Args[0]}, args...), env)
	return fmt.Errorf("execve %s as role %s: %w", self, r.name, err)
}

// self is the running binary, also after it was rebuilt or removed.
const self = "/proc/self/exe"
