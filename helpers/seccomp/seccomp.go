//go:build linux

// Package seccomp makes system calls slower by a known amount: it runs a
// program behind a filter that allows everything and takes its time over it.
package seccomp

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"eventbench/helpers/environ"

	"golang.org/x/sys/unix"
)

// MaxLength is how many comparisons fit a filter beside the load and the
// return: BPF_MAXINSNS is 4096.
const MaxLength = 4094

// Exec becomes the program that args name, behind a filter of n comparisons.
// It returns only if that fails: with an *[exec.Error] for no such program, and
// an *[fs.PathError] for one that cannot be run.
func Exec(args []string, n int) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	// A filter belongs to a thread, and execve keeps that of the thread
	// that calls it.
	runtime.LockOSThread()
	if err := Install(n); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, args, described(os.Environ(), n))}
}

// Config is the configuration line by which results name a filter of n
// comparisons.
func Config(n int) string { return "seccomp: " + strconv.Itoa(n) }

// described adds that line to those that a test binary writes into its results.
func described(env []string, n int) []string {
	callers, others := environ.Take(env)
	lines := []string{Config(n)}
	for _, line := range callers {
		if m, err := strconv.Atoi(strings.TrimPrefix(line, "seccomp: ")); err == nil {
			lines[0] = Config(m + n) // a filter before another
		} else {
			lines = append(lines, line)
		}
	}
	return append(others, environ.Variable(lines))
}

// Install makes a filter of n comparisons that of the calling thread, and of
// what it starts.
func Install(n int) error { return install(filter(n)) }

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
