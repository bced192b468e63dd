//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestLoop(t *testing.T) {
	behaviour.Run(t, "loop",
		loopSignalRows,
		loopSourceRows,
		loopProcessRows,
		loopWaitRows)
}

// one is what a handler writes to an eventfd.
var one uint64 = 1

// takeChildSignals has try take SIGCHLD with all of the process's threads
// blocking it, and tries again when that was not so: the Go runtime unblocks it
// in each thread that it starts, which then takes it.
func takeChildSignals(t testing.TB, try func(testing.TB) error) {
	t.Helper()
	debug.SetGCPercent(-1) // and no new threads for it
	mustBlock(t, ^sys.Sigset(0))
	for n := 1; ; n++ {
		blockInAllThreads(t, unix.SIGCHLD)
		err := try(t)
		if err == nil {
			return
		}
		if n == 10 || allThreadsBlock(t, unix.SIGCHLD) {
			t.Fatal(err)
		}
	}
}

// blockInAllThreads has all threads of the process block a signal that the Go
// runtime unblocks in each of its own: a handler that runs on each changes what
// it returns to.
func blockInAllThreads(t testing.TB, sig unix.Signal) {
	t.Helper()
	const change = unix.SIGUSR2
	restore, err := rawsig.Handle(change, rawsig.Handler{
		Flags: rawsig.SAOnstack | rawsig.SARestart,
		Pokes: []rawsig.Poke{{Offset: rawsig.UcontextMask, Value: uint64(sys.Sigs(sig))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	for end := time.Now().Add(child.Patience / 2); !allThreadsBlock(t, sig); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("some threads do not block %v", sig)
		}
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if tid, err := strconv.Atoi(task.Name()); err == nil && tid != unix.Gettid() {
				rawsig.Tgkill(unix.Getpid(), tid, change)
			}
		}
	}
}

func allThreadsBlock(t testing.TB, sig unix.Signal) bool {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads in /proc/self/task, %v", err)
	}
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		} else if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nSigBlk:")
		field, _, _ := strings.Cut(rest, "\n")
		mask, err := strconv.ParseUint(strings.TrimSpace(field), 16, 64)
		if err != nil {
			t.Fatalf("%s: SigBlk: %v", name, err)
		}
		if sys.Sigset(mask)&sys.Sigs(sig) == 0 {
			return false
		}
	}
	return true
}

// mustFork makes a child that makes these calls and exits. The caller must have
// blocked all signals.
func mustFork(tb testing.TB, calls ...sys.Call) *forked {
	tb.Helper()
	return mustForkIn(tb, fdtest.Arena(tb), calls...)
}

// A kernelAIO is a context of io_setup(2).
type kernelAIO struct{ context uintptr }

// read submits a read of a file's start into buf, which must not move, with an
// eventfd to be told.
func (a *kernelAIO) read(fd int, buf []byte, resfd int) error {
	iocb := struct { // linux/aio_abi.h
		data             uint64
		key, rwFlags     uint32
		opcode, priority uint16
		fd               uint32
		buf, bytes       uint64
		offset, _        uint64
		flags, resfd     uint32
	}{fd: uint32(fd), buf: uint64(uintptr(unsafe.Pointer(&buf[0]))), bytes: uint64(len(buf)), flags: 1, resfd: uint32(resfd)}
	p := &iocb
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, a.context, 1, uintptr(unsafe.Pointer(&p)))
	if errno != 0 {
		return errno
	}
	if n != 1 {
		return fmt.Errorf("io_submit took %d requests of 1", n)
	}
	return nil
}

// wait takes a result.
func (a *kernelAIO) wait() (int64, error) {
	var event struct {
		data, obj  uint64
		res, extra int64
	}
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, a.context, 1, 1, uintptr(unsafe.Pointer(&event)),
		uintptr(unsafe.Pointer(&unix.Timespec{Sec: 10})), 0)
	if n != 1 || errno != 0 {
		return 0, fmt.Errorf("io_getevents = %d, %w", n, errno)
	}
	return event.res, nil
}
