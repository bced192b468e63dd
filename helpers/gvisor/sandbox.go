//go:build linux

// Package gvisor runs programs under gVisor, a kernel in user space. It handles
// a program's system calls itself and makes few of its own to the host's
// kernel.
package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/environ"
	"eventbench/helpers/machine"
	"eventbench/helpers/process"

	"golang.org/x/sys/unix"
)

// A Sandbox is a program to run under gVisor.
type Sandbox struct {
	Runsc    Runsc
	Cache    *Cache
	Platform string   // how runsc takes system calls over: "systrap", "kvm", "ptrace"
	Args     []string // the program's absolute path, and its arguments
	Env      []string // the program's environment, less what the sandbox says of itself: see Config
	Dir      string   // the program's working directory, absolute
	Stdout   io.Writer
	Stderr   io.Writer
	Limit    time.Duration // see [process.Limits]; 0 for none
}

// errNotRun means that the program has no exit status.
var errNotRun = errors.New("not run to its end")

// Config describes the sandbox in lines of the Go benchmark format: what it is,
// and what it runs on.
func (s *Sandbox) Config() ([]string, error) {
	lines := []string{fmt.Sprintf("sandbox: gvisor %s-%s", s.Runsc.Release, s.Platform)}
	host, err := machine.Here()
	if err != nil {
		return nil, err
	}
	host.Getenv = func(string) string { return "" } // what the caller says is no fact of the host
	config, err := host.Config()
	if err != nil {
		return nil, err
	}
	for _, l := range config {
		// Entering the host's kernel and switching are most of gVisor's
		// cost.
		if slices.Contains([]string{"kernel-release", "mitigations", "virt"}, l.Key) {
			l.Key = "host-" + l.Key
			lines = append(lines, l.String())
		}
	}
	return lines, nil
}

// environ returns the program's environment: the caller's, with the sandbox's
// description in EVENTBENCH_CONFIG. The caller cannot override the description.
func (s *Sandbox) environ() ([]string, error) {
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	callers, env := environ.Take(s.Env)
	return append(env, environ.Describe(callers, config)), nil
}

// Run runs the program to its end and returns its exit status, which is 128
// plus the signal's number if a signal killed it. When ctx ends, the program
// and the whole sandbox end too, and the error is ctx's cause. At the limit, or
// if that is what ended ctx, the program gets SIGQUIT first. If there is no
// exit status, the error says why.
//
// The sandbox's processes do not outlive the calling process, however that
// ends, and leave no file behind: the files that they need are in their own
// mount namespace.
func (s *Sandbox) Run(ctx context.Context) (status int, err error) {
	plan, err := s.plan()
	if err != nil {
		return 0, err
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return 0, err
	}
	planFile, err := memfd("eventbench-plan", data)
	if err != nil {
		return 0, err
	}
	defer planFile.Close()
	report, reportEnd, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer report.Close()
	defer reportEnd.Close()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args[:1] // a test binary's name tells it what to be
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{planFile, reportEnd} // planFD, reportFD
	// Pipes, not the caller's files: gVisor keeps a regular file's offset
	// to itself, so other writers to the file would overwrite its output.
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{s.Stdout}, struct{ io.Writer }{s.Stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if plan.Rootless {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}

	err = process.Limits{Time: s.Limit, Runner: true}.Run(ctx, cmd)
	reportEnd.Close()
	switch {
	case cmd.Process == nil && plan.Rootless && !errors.Is(err, unix.ENOENT) && ctx.Err() == nil:
		return 0, fmt.Errorf("no user namespace for a sandbox without root: %w\n\t%s", err, userNamespaces)
	case cmd.Process == nil || ctx.Err() != nil || errors.As(err, new(*process.LateError)):
		return 0, err
	}
	return outcome(err, report, plan.Rootless)
}

// userNamespaces is the advice if user namespaces are not allowed.
const userNamespaces = "run it as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"

// outcome returns the result of a run that ended with err. If there is no
// status, report says why.
func outcome(err error, report io.Reader, rootless bool) (int, error) {
	said, readErr := io.ReadAll(io.LimitReader(report, 64<<10))
	why, complete := strings.CutSuffix(string(said), reportEnd)
	switch {
	case readErr != nil:
		return 0, readErr
	case !complete:
		return 0, fmt.Errorf("%w: its sandbox ended unexpectedly: %v", errNotRun, err)
	case why != "" && rootless && strings.Contains(why, "operation not permitted"):
		return 0, fmt.Errorf("%s\n\t%s", why, userNamespaces)
	case why != "":
		return 0, errors.New(why)
	case process.ExitCode(err) < 0: // its output could not be passed on
		return 0, err
	}
	return process.ExitCode(err), nil
}

// A plan tells the process inside the namespaces what to do.
type plan struct {
	MountPoint string
	Runsc      string
	Flags      []string // of runsc
	Rootless   bool
	Spec       *spec
}

func (s *Sandbox) plan() (*plan, error) {
	env, err := s.environ()
	if err != nil {
		return nil, err
	}
	outputs, err := outputDirs(s.Args[1:], env, s.Dir)
	if err != nil {
		return nil, err
	}
	spec, err := newSpec(s.Args, env, s.Dir, outputs)
	if err != nil {
		return nil, err
	}
	p := &plan{Runsc: s.Runsc.Path, Spec: spec, Rootless: !privileged()}
	if p.MountPoint, err = s.Cache.mountPoint(); err != nil {
		return nil, err
	}
	p.Flags = []string{"--platform=" + s.Platform, "--network=none", "--ignore-cgroups", "--overlay2=root:memory"}
	if p.Rootless {
		p.Flags = append(p.Flags, "--rootless")
	}
	return p, nil
}

// privileged reports whether runsc can make a sandbox without a user namespace.
// It checks the capabilities that runsc itself looks for.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return data[0].Effective&needed == needed
}

// memfd makes a file that exists only in memory.
func memfd(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
