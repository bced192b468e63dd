//go:build linux

// Gvisor runs a program under gVisor, a kernel in user space.
//
//	go tool gvisor [flags] PROGRAM [ARGUMENT ...]
//	CGO_ENABLED=0 go test -exec 'go tool gvisor' [flags of go test]
//	go tool gvisor -build
//
// The program's standard output and standard error become the tool's own, and
// so does its exit status. Its standard input is empty.
//
// # runsc
//
// gVisor's program is runsc. The first call builds it, at the version that
// this tool is made for, with the go command: that takes minutes and the network.
// It is kept in the user's cache directory (XDG_CACHE_HOME); -build does
// no more than that and prints its path. Another runsc is named by -runsc.
//
// As root, or whoever has root's capabilities, the sandbox is what it is in
// production. For others it is made in a user namespace (runsc --rootless).
//
// # What the program finds
//
// It runs as root, with all capabilities of the sandbox, on a kernel that says
// it is Linux 4.19.0-gvisor, without a network but its own loopback. It sees the host's files, and
// starts in the tool's own working directory. What it writes is gone when it
// ends, except where the flags of a test binary (-test.cpuprofile,
// -test.coverprofile, …) or GOCOVERDIR ask for files: those directories are the host's.
// Its environment is the tool's. In EVENTBENCH_CONFIG, as lines of the Go benchmark
// format, it is told what it runs in, which it cannot find out by itself:
//
//	sandbox              gvisor 20260905035102-systrap: the release and the platform
//	host-kernel-release  of the kernel below
//	host-mitigations
//	host-virt
//
// gVisor takes note of the CPUs that a thread is to run on
// (sched_setaffinity(2)) and runs it where it likes.
//
// # Exit status
//
// The program's own; 128 and the signal's number if a signal killed it. 125 if
// there is none, because the program did not come to run, its sandbox broke or -timeout stopped
// it (with SIGQUIT first, of which a Go program prints its goroutines). The tool killed by a
// signal ends with 128 and its number. The sandbox ends with the tool, however that ends,
// and leaves no file behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/gvisor"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/progress"

	"golang.org/x/sys/unix"
)

func main() {
	if gvisor.IsInside() {
		gvisor.RunInside()
	}
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// noStatus is the exit status that says there is none of the program's.
const noStatus = 125

const usage = `usage: go tool gvisor [flags] PROGRAM [ARGUMENT ...]
       CGO_ENABLED=0 go test -exec 'go tool gvisor' [flags of go test]
       go tool gvisor -build

Gvisor runs a program under gVisor, a kernel in user space.
The manual is go doc eventbench/helpers/cmd/gvisor. The flags are:

`

// settings are the flags.
type settings struct {
	build    bool
	runsc    string
	platform string
	timeout  time.Duration // 0: none; below: as the program's own arguments say
	args     []string
}

// asProgram stands for the time-out that the program's arguments ask for.
const asProgram = -1

func newFlags(s *settings) *flag.FlagSet {
	*s = settings{timeout: asProgram}
	flags := flag.NewFlagSet("gvisor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&s.build, "build", false, "have runsc built and print its path, no more")
	flags.StringVar(&s.runsc, "runsc", "", "use this `program` instead of the runsc of "+gvisor.Release())
	flags.StringVar(&s.platform, "platform", "systrap", "`how` runsc takes system calls over: systrap, kvm or ptrace")
	flags.Func("timeout", "`time` after which the program is stopped; 0 for never\n(default 10m, or a minute more than -test.timeout of a test binary)", func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return errors.New("want a time such as 90s, or 0 for none")
		}
		s.timeout = d
		return nil
	})
	return flags
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	p := progress.New(stderr, "go tool gvisor")
	var s settings
	flags := newFlags(&s)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, usage, flags)
	}
	if err != nil {
		p.Say("%v (go tool gvisor -h lists the flags)", err)
		return noStatus
	}
	s.args = flags.Args()
	status, err := do(ctx, s, environ, stdout, stderr, p)
	if err == nil {
		return status
	}
	p.Say("%v", err)
	return interrupt.Status(err, noStatus)
}

func do(ctx context.Context, s settings, environ []string, stdout, stderr io.Writer, p *progress.Progress) (int, error) {
	switch {
	case s.build && len(s.args) > 0:
		return 0, fmt.Errorf("-build takes no arguments, got %q", s.args)
	case s.build && s.runsc != "":
		return 0, errors.New("-build and -runsc: one of them says where runsc comes from")
	case !s.build && len(s.args) == 0:
		return 0, errors.New("no program given (go tool gvisor -h shows how)")
	case !slices.Contains([]string{"systrap", "kvm", "ptrace"}, s.platform):
		return 0, fmt.Errorf("-platform %q: want systrap, kvm or ptrace", s.platform)
	}
	cache, err := gvisor.UserCache()
	if err != nil {
		return 0, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	box := &gvisor.Sandbox{Cache: cache, Platform: s.platform, Args: s.args, Env: environ, Dir: dir, Stdout: stdout, Stderr: stderr}
	// What is wrong with the program should not wait for a build.
	if !s.build {
		if box.Args[0], err = lookUp(s.args[0]); err != nil {
			return 0, err
		}
	}
	if s.runsc != "" {
		box.Runsc, err = gvisor.Inspect(ctx, s.runsc)
	} else {
		box.Runsc, err = cache.Build(ctx, p)
	}
	p.Clear()
	if err != nil {
		return 0, err
	}
	if s.build {
		fmt.Fprintln(stdout, box.Runsc.Path)
		return 0, nil
	}
	limit := s.timeout
	if limit == asProgram {
		limit = programTimeout(s.args[1:])
	}
	return runWithin(ctx, limit, box)
}

// grace is what a program has to print its goroutines at the time limit.
const grace = 3 * time.Second

// runWithin runs the program, passes SIGQUIT on to it, and stops it when limit, unless 0,
// has passed.
func runWithin(ctx context.Context, limit time.Duration, box *gvisor.Sandbox) (int, error) {
	quit := make(chan struct{}, 1)
	ask := func() {
		select {
		case quit <- struct{}{}:
		default: // it has been asked to
		}
	}
	box.Quit = quit
	if !signal.Ignored(unix.SIGQUIT) {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGQUIT)
		defer signal.Stop(signals)
		go func() {
			for range signals {
				ask()
			}
		}()
	}
	if limit == 0 {
		return box.Run(ctx)
	}
	late := fmt.Errorf("%s: stopped at -timeout %v", box.Args[0], limit)
	end := time.Now().Add(limit)
	defer time.AfterFunc(limit, ask).Stop()
	ctx, cancel := context.WithDeadlineCause(ctx, end.Add(grace), late)
	defer cancel()
	status, err := box.Run(ctx)
	if err == nil && status != 0 && time.Now().After(end) {
		err = late // its end is that of the signal
	}
	return status, err
}

// lookUp returns the absolute path of a program: a path, with or without a
// slash as for go tool eventbench guest, else a name in PATH.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if !strings.Contains(name, "/") {
		if here, err := exec.LookPath("./" + name); err == nil {
			path = here
		}
	}
	if path == "" {
		return "", err
	}
	return filepath.Abs(path)
}

// programTimeout is the time limit that a program's arguments suggest: a little more than
// that of a test binary, which knows best what to say at its end.
func programTimeout(args []string) time.Duration {
	for _, arg := range slices.Backward(args) {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-test.timeout="); ok {
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				return d + time.Minute
			}
			return 0
		}
	}
	return 10 * time.Minute
}
