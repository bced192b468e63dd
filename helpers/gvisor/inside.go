//go:build linux

package gvisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/process"

	"golang.org/x/sys/unix"
)

// insideVar is the environment variable that marks the process that
// [Sandbox.Run] puts between itself and runsc.
const insideVar = "EVENTBENCH_GVISOR_INSIDE"

// The descriptors that this process inherits.
const (
	planFD   = 3
	reportFD = 4
)

// reportEnd marks the end of a report, so that a truncated one is recognised.
const reportEnd = "\n.\n"

// IsInside reports whether this process was started by [Sandbox.Run]. If so,
// main must call [RunInside] instead of doing its own work.
func IsInside() bool { return os.Getenv(insideVar) != "" }

// RunInside makes the sandbox in its own namespaces, waits for the program to
// end, and exits with its status.
func RunInside() {
	status, err := inside()
	report := reportEnd
	if err != nil {
		report = err.Error() + report
		status = 1
	}
	os.NewFile(reportFD, "report").WriteString(report)
	os.Exit(status)
}

func inside() (status int, err error) {
	unix.CloseOnExec(reportFD)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	p, dir, err := prepare()
	if err != nil {
		return 0, err
	}
	// Processes that runsc leaves behind when it is killed become children
	// of this process, which waits for them to be gone.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", err)
	}
	defer reap(10 * time.Second)

	const id = "program"
	log := filepath.Join(dir, "log")
	runsc := func(args ...string) *exec.Cmd {
		return exec.Command(p.Runsc, slices.Concat([]string{"--root=" + dir}, p.Flags, args)...)
	}
	cmd := runsc("--log="+log, "run", "--bundle="+dir, id)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	child, err := process.Start(cmd)
	if err != nil {
		return 0, err
	}
	select {
	case <-child.Done:
		return result(child.Err, log)
	case s := <-signals:
		if s == unix.SIGQUIT {
			// This prints the program's goroutines. The program
			// need not end, or be able to.
			process.Limits{Time: process.Grace}.Run(context.Background(), runsc("kill", id, "QUIT"))
			child.Await(process.Grace)
		}
		child.Kill() // and, as each is to die with its parent, all the others
		return 0, errNotRun
	}
}

// prepare makes a directory for runsc that nobody else sees and that vanishes
// with the last process in this mount namespace. It holds the plan's
// config.json and the host's files.
func prepare() (p *plan, dir string, err error) {
	f := os.NewFile(planFD, "plan")
	defer f.Close()
	p = new(plan)
	if err := json.NewDecoder(f).Decode(p); err != nil {
		return nil, "", fmt.Errorf("the plan of the sandbox: %w", err)
	}
	dir = p.MountPoint
	do := func(call string, f func() error) {
		if err == nil {
			if err = f(); err != nil {
				err = fmt.Errorf("a place for the sandbox: %w", os.NewSyscallError(call, err))
			}
		}
	}
	do("mount --make-rprivate /", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") })
	if errors.Is(err, unix.EINVAL) {
		return nil, "", fmt.Errorf("%w: the root directory is not a mount, as in a chroot: mount --bind it on itself before chroot", err)
	}
	do("mount -t tmpfs "+dir, func() error { return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700") })
	// Not "/" itself: runsc cannot mount anything in a root that is its
	// own.
	p.Spec.Root.Path = filepath.Join(dir, "root")
	do("mkdir "+p.Spec.Root.Path, func() error { return unix.Mkdir(p.Spec.Root.Path, 0o700) })
	do("mount --rbind / "+p.Spec.Root.Path, func() error { return unix.Mount("/", p.Spec.Root.Path, "", unix.MS_BIND|unix.MS_REC, "") })
	if err != nil {
		return nil, "", err
	}
	config, err := json.Marshal(p.Spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600)
	}
	return p, dir, err
}

// result returns runsc's exit status, which is the program's, or the reason
// from its log why there is none.
func result(err error, log string) (int, error) {
	text, readErr := os.ReadFile(log)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return 0, readErr
	}
	// Only fatal errors are logged, as JSON.
	var fatal struct{ Msg string }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&fatal); err == nil {
		why := fatal.Msg
		// All of "running container: starting container: starting root
		// container: ..."
		if _, after, ok := strings.Cut(why, "creating process: "); ok {
			why = after
		}
		return 0, fmt.Errorf("%w: runsc: %s", errNotRun, why)
	}
	if code := process.ExitCode(err); code >= 0 {
		return code, nil
	}
	return 0, fmt.Errorf("%w: runsc: %v", errNotRun, err)
}

// reap waits until no process of the sandbox is left.
func reap(patience time.Duration) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.ECHILD:
			return
		case pid == 0:
			time.Sleep(time.Millisecond)
		}
	}
}
