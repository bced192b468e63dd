//go:build linux

package fdtest

import (
	"context"
	"eventbench/helpers/child"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Allow raises a soft limit below n to the hard one until tb is over, and skips
// tb if that is not enough. Only the benchmark that needs it gets the higher
// limit, because users of select rely on a low RLIMIT_NOFILE.
func Allow(tb testing.TB, resource int, name string, n int) {
	tb.Helper()
	var limit unix.Rlimit
	Must(tb, "getrlimit", unix.Getrlimit(resource, &limit))
	if limit.Cur >= uint64(n) {
		return
	}
	if limit.Max < uint64(n) {
		tb.Skipf("limit reached: %d are needed, %d allowed: raise %s", n, limit.Max, name)
	}
	Must(tb, "setrlimit", unix.Setrlimit(resource, &unix.Rlimit{Cur: limit.Max, Max: limit.Max}))
	tb.Cleanup(func() { unix.Setrlimit(resource, &limit) })
}

// Surroundings is a role that worsens its own surroundings as its first
// arguments say, then executes the test binary with the arguments after "--".
var Surroundings = child.Register("surroundings", func(p *child.Proc) error {
	split := slices.Index(p.Args, "--")
	what, rest := p.Args[:split], p.Args[split+1:]
	number := func(i int) (n uint32) {
		fmt.Sscan(what[i], &n)
		return n
	}
	// Descriptors that the caller left open would count.
	unix.CloseRange(child.FirstFile, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	var err error
	switch what[0] {
	case "refuse":
		err = Refuse(number(1), unix.SECCOMP_RET_ERRNO|number(2))
	case "queue":
		// A user with nothing else queued, so that other processes
		// neither fill the queue nor free it.
		if os.Geteuid() == 0 {
			uid := 60000 + os.Getpid()%5000
			if err := unix.Setresuid(uid, uid, uid); err != nil {
				return os.NewSyscallError("setresuid", err)
			}
		}
		limit := unix.Rlimit{Cur: uint64(number(1)), Max: uint64(number(1))}
		err = unix.Prlimit(0, unix.RLIMIT_SIGPENDING, &limit, nil)
	case "limit":
		limit := unix.Rlimit{Cur: uint64(number(2)), Max: uint64(number(2))}
		err = unix.Prlimit(0, int(number(1)), &limit, nil)
	case "one-cpu":
		var all, one unix.CPUSet
		if err = unix.SchedGetaffinity(0, &all); err == nil {
			for cpu := range 1024 {
				if all.IsSet(cpu) {
					one.Set(cpu)
					break
				}
			}
			err = unix.SchedSetaffinity(0, &one)
		}
	}
	if err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", append([]string{os.Args[0]}, rest...), os.Environ())
})

// Refuse makes the kernel answer a system call of the calling thread
// differently from now on, for example by unix.SECCOMP_RET_ERRNO with an errno:
// a seccomp(2) filter, as container runtimes install them.
func Refuse(nr, answer uint32) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: answer},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(NO_NEW_PRIVS)", err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, failed := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)))
	if failed != 0 {
		return os.NewSyscallError("prctl(SECCOMP)", failed)
	}
	return nil
}

// Self returns a command of the test binary with additional environment and
// other arguments. It is killed with the test.
func Self(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
