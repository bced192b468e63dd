//go:build linux

// Package leak finds what a run of tests leaked in its process.
package leak

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// settle is how long threads and signals may linger: they end and are taken a
// little after the test that caused them.
const settle = 2 * time.Second

// Check calls run, which is a testing.M's Run, and returns its exit code; or 1
// if run succeeded but leaked a descriptor, a child process, a goroutine, a
// thread's signal mask, an ignored or a pending signal. Each is named on
// stderr.
func Check(run func() int) int {
	// The runtime makes its epoll instance and eventfd at the first
	// pollable descriptor, and os/signal its thread with a mask of its own
	// at the first Notify. Have both made now, so that they are no leak.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGWINCH)
	signal.Stop(c)
	before := take()
	code := run()
	var left []string
	for end := time.Now().Add(settle); ; time.Sleep(5 * time.Millisecond) {
		left = take().since(before)
		if len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, l := range left {
		fmt.Fprintf(os.Stderr, "leak: the run left behind %s\n", l)
	}
	if code == 0 && len(left) > 0 {
		code = 1
	}
	return code
}

// A snapshot maps what exists to how a message names it.
type snapshot map[string]string

func (s snapshot) since(old snapshot) []string {
	var left []string
	for _, k := range slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}) {
		if _, ok := old[k]; !ok {
			left = append(left, s[k])
		}
	}
	return left
}

func take() snapshot {
	s := snapshot{}
	s.descriptors()
	s.children()
	s.goroutines()
	s.signals()
	return s
}

// descriptors reads /proc/self/fd, proc_pid_fd(5).
func (s snapshot) descriptors() {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no /proc: nothing to go by
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // the descriptor that read the directory
		}
		s["descriptor "+e.Name()+" "+target] = fmt.Sprintf("descriptor %s: %s", e.Name(), target)
	}
}

// children looks through /proc for processes that have this one as parent;
// without /proc it can only tell that there are some.
func (s snapshot) children() {
	adopts := reapOrphans()
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	if err == unix.ECHILD {
		return
	}
	named := false
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (name) state ppid ...; the name may hold parentheses.
		i := bytes.LastIndexByte(text, ')')
		f := bytes.Fields(text[i+1:])
		if i < 0 || len(f) < 2 || string(f[1]) != strconv.Itoa(os.Getpid()) {
			continue
		}
		named = true
		if adopts && string(f[0]) == "Z" {
			continue // ended since; the next look reaps it
		}
		what := string(text[:i+1])
		s["child "+what] = fmt.Sprintf("child process %s in state %s", what, f[0])
	}
	if !named {
		s["child"] = "a child process"
	}
}

// reapOrphans reaps ended orphans in a process that adopts those of its
// descendants, and reports whether it does: the first process of a container
// without an init, or a subreaper. They are no leak. There an ended child of a
// test's own cannot be distinguished from them.
func reapOrphans() (adopts bool) {
	var subreaper int32
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0); err != nil || subreaper == 0 {
			return false
		}
	}
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); pid <= 0 && err != unix.EINTR {
			return true
		}
	}
}

// Goroutines that outlive tests by design: this one, the one that starts
// children, and what os/signal keeps.
var resident = regexp.MustCompile(`helpers/leak\.Check|helpers/child\.spawn|os/signal\.(loop|signal_recv)|runtime\.ensureSigM`)

func (s snapshot) goroutines() {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if resident.MatchString(stack) {
			continue
		}
		// goroutine 12 [syscall, locked to thread]:
		head, _, _ := strings.Cut(stack, " [")
		s[head] = stack
	}
}

// signals reads from /proc/self the masks of all threads, what is ignored or
// caught, and what is pending. A thread whose mask differs from the process's
// first one is either a raw thread that was not ended, or one of the runtime's
// whose mask a test did not restore.
func (s snapshot) signals() {
	tasks, _ := filepath.Glob("/proc/self/task/[0-9]*/status")
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		tid := filepath.Base(filepath.Dir(name))
		f := fields(text)
		if f["SigBlk"] != "" {
			s["mask "+f["SigBlk"]] = fmt.Sprintf("thread %s (%s) with blocked signals %s", tid, f["Name"], f["SigBlk"])
		}
		if mask := pending(f["SigPnd"]); mask != "" {
			s["pending "+tid+" "+mask] = fmt.Sprintf("signals %s pending on thread %s (%s)", mask, tid, f["Name"])
		}
		if tid == strconv.Itoa(os.Getpid()) {
			if mask := pending(f["ShdPnd"]); mask != "" {
				s["pending "+mask] = fmt.Sprintf("signals %s pending on the process", mask)
			}
			s.bits("ignored", f["SigIgn"])
			s.bits("caught", f["SigCgt"])
		}
	}
}

// pending returns a mask of pending signals, in hexadecimal, without SIGURG,
// which the Go runtime sends its threads at any time; it is empty if there are
// no others.
func pending(mask string) string {
	m, err := strconv.ParseUint(mask, 16, 64)
	if m &^= 1 << (unix.SIGURG - 1); err != nil || m == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", m)
}

// bits notes each signal of a hexadecimal mask separately: a signal that was
// set before the run is no leak.
func (s snapshot) bits(what, mask string) {
	m, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if m&(1<<(sig-1)) != 0 {
			is := fmt.Sprintf("%s signal %d %s", what, sig, unix.SignalName(sig))
			s[is] = is
		}
	}
}

// fields parses "Name:\tvalue" lines, proc_pid_status(5).
func fields(text []byte) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m
}
