//go:build linux

// Seccomp runs a program behind a seccomp filter of a given length, which
// allows everything and takes its time over it.
//
// Usage:
//
//	go tool seccomp [-length n] PROGRAM [ARGUMENT ...]
//
// Every system call of the program, and of its children, first passes n
// comparisons: a slowdown of known kind and tunable size, for whoever wants to
// see a regression found (make gate-selftest does), or wants to know what a
// sandbox's filter costs:
//
//	go tool rounds eventbench.test
//	go tool seccomp -length 200 ./eventbench.test -test.run '^$' -test.bench Self
//
// The filter looks at an argument of the call. One that looks at the number
// alone would cost nothing: since Linux 5.11 the kernel finds out beforehand
// which calls such a filter allows, and does not run it for them.
//
// It needs no privilege: the program gets no_new_privs, see prctl(2).
//
// # Exit status
//
// The program's own. 125 if the filter could not be installed, 126 if the
// program could not be run, 127 if it was not found, as env(1) has it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"eventbench/helpers/help"

	"golang.org/x/sys/unix"
)

func main() {
	// A filter belongs to a thread, and execve keeps that of the thread that
	// calls it.
	runtime.LockOSThread()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const (
	failed   = 125
	notRun   = 126
	notFound = 127
)

// maxLength is how many comparisons fit a filter beside the load and the
// return: BPF_MAXINSNS is 4096.
const maxLength = 4094

const usage = "Usage: go tool seccomp [-length n] PROGRAM [ARGUMENT ...]\n\n" +
	"Runs PROGRAM behind a seccomp filter that allows every system call after n comparisons.\n\n"

// run becomes the program; it returns only if that fails.
func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("seccomp", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	length := fs.Int("length", 100, "compare `n` times before a call is allowed")
	say := func(status int, format string, args ...any) int {
		fmt.Fprintf(stderr, "seccomp: "+format+"\n", args...)
		return status
	}
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help.Print(stdout, usage, fs)
	case err != nil:
		return say(failed, "%v (go tool seccomp -h tells more)", err)
	case *length < 0 || *length > maxLength:
		return say(failed, "-length=%d: want 0 to %d, what fits a filter", *length, maxLength)
	case fs.NArg() == 0:
		return say(failed, "want a program to run (go tool seccomp -h tells more)")
	}
	path, err := exec.LookPath(fs.Arg(0))
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return say(notFound, "%v", err)
		}
		return say(notRun, "%v", err)
	}
	if err := install(filter(*length)); err != nil {
		return say(failed, "%v", err)
	}
	return say(notRun, "%s: %v", path, syscall.Exec(path, fs.Args(), os.Environ()))
}

// filter compares the low half of a call's first argument n times and allows
// the call.
func filter(n int) []unix.SockFilter {
	const firstArgument = 16 // its offset in struct seccomp_data
	f := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArgument}}
	for i := range n {
		f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x80000000 + uint32(i)})
	}
	return append(f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

// install makes f the calling thread's filter: seccomp(2).
func install(f []unix.SockFilter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return os.NewSyscallError("seccomp(SECCOMP_SET_MODE_FILTER)", errno)
	}
	return nil
}
