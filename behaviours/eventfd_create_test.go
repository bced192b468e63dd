//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/machine"

	"golang.org/x/sys/unix"
)

// Making an eventfd: its arguments, flags and limits.

// eventfdIsReadWrite (EFD-01): the descriptor is open for both, eventfd(2), and
// F_GETFL is O_RDWR exactly.
func eventfdIsReadWrite(t *testing.T) {
	for _, initval := range []uint64{0, 1} {
		fd := newEventfd(t, initval, 0)
		wantFlags(t, fd, unix.O_RDWR, 0)
		mustAddCount(t, fd, 2)
		wantCount(t, fd, initval+2)
	}
}

// eventfdLargestInitval (EFD-02): initval is an unsigned int, eventfd(2): its
// largest is no -1.
func eventfdLargestInitval(t *testing.T) {
	for _, initval := range []uint64{math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		fd := newEventfd(t, initval, 0)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantCount(t, fd, initval)
	}
}

// eventfdInitvalIsReadable (EFD-03): a counter that starts above 0 can be read
// at once, eventfd(2).
func eventfdInitvalIsReadable(t *testing.T) {
	for _, initval := range []uint64{1, 2, 7} {
		fd := newEventfd(t, initval, 0)
		wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT)
		wantCount(t, fd, initval)
		wantPolledOnly(t, fd, unix.POLLOUT)
		semaphore := newEventfd(t, initval, unix.EFD_SEMAPHORE)
		for range initval {
			wantPolledOnly(t, semaphore, unix.POLLIN|unix.POLLOUT)
			mustTake(t, semaphore, 1)
		}
		wantCount(t, semaphore, 0)
	}
}

// eventfdCloexec (EFD-04): EFD_CLOEXEC sets FD_CLOEXEC, and nothing else does,
// eventfd(2); what has it is gone in the program that execve(2) starts, what
// has not is the same object there (EFD-42).
func eventfdCloexec(t *testing.T) {
	wantFlags(t, newEventfd(t, 0, 0), unix.O_RDWR, 0)
	wantFlags(t, newEventfd(t, 0, unix.EFD_CLOEXEC), unix.O_RDWR, unix.FD_CLOEXEC)
	// It is the descriptor's alone: a duplicate is without.
	dup, err := unix.Dup(newEventfd(t, 0, unix.EFD_CLOEXEC))
	closable(t, dup, err)
	wantFlags(t, dup, unix.O_RDWR, 0)
	child.Start(t, eventfdBeforeExec, child.Options{}).Wait()
}

// eventfdNonblock (EFD-05): EFD_NONBLOCK sets O_NONBLOCK on the open file, and
// nothing else does, eventfd(2).
func eventfdNonblock(t *testing.T) {
	wantFlags(t, newEventfd(t, 0, 0), unix.O_RDWR, 0)
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	dup, _ := mustDup(t, fd)
	wantFlags(t, dup, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
	_, err := takeCount(dup)
	wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
}

// eventfdUnknownFlags (EFD-06): EINVAL for every flag but three, eventfd(2),
// alone and beside known ones.
func eventfdUnknownFlags(t *testing.T) {
	const known = unix.EFD_SEMAPHORE | unix.EFD_NONBLOCK | unix.EFD_CLOEXEC
	for bit := range 32 {
		flag := uintptr(1) << bit
		if flag&known != 0 {
			continue
		}
		for _, flags := range []uintptr{flag, flag | known, flag | unix.EFD_SEMAPHORE} {
			if fd, err := rawCall(unix.SYS_EVENTFD2, 0, flags); err != unix.EINVAL {
				t.Errorf("eventfd2(0, %#x) = %d, %v; want EINVAL", flags, fd, err)
				unix.Close(fd)
			}
		}
	}
}

// eventfdLegacy (EFD-07): eventfd() is eventfd2() without flags, whatever is in
// the argument that it has not got, eventfd(2). Architectures younger than
// eventfd2, as arm64, do not have it.
func eventfdLegacy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		behaviour.Absent(t, "%s has no eventfd() without flags", runtime.GOARCH)
	}
	const sysEventfd = 284 // asm/unistd_64.h
	for _, flags := range []uintptr{0, unix.EFD_SEMAPHORE | unix.EFD_NONBLOCK | unix.EFD_CLOEXEC, ^uintptr(0)} {
		fd, err := rawCall(sysEventfd, 5, flags)
		closable(t, fd, err)
		wantFlags(t, fd, unix.O_RDWR, 0)
		mustTake(t, fd, 5) // all of it: no semaphore
		wantCount(t, fd, 0)
	}
}

// eventfdAtDescriptorLimit (EFD-08): EMFILE at RLIMIT_NOFILE, eventfd(2), and
// what was half made is given back: the file and the id that fdinfo shows.
var eventfdAtDescriptorLimit = behaviour.Alone(func(t testing.TB) {
	const attempts = 5000
	id := func(fd int) int {
		n, err := strconv.Atoi(strings.TrimSpace(fdinfoLines(t, fd)["eventfd-id"]))
		if err != nil && !machine.GVisor() {
			t.Fatalf("fdinfo's eventfd-id: %v", err)
		}
		return n
	}
	files := func() (n int) {
		text, err := os.ReadFile("/proc/sys/fs/file-nr")
		if err == nil {
			fmt.Sscan(string(text), &n)
		}
		return n
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatalf("getrlimit: %v", err)
	}
	limit := func(cur uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: cur, Max: old.Max}); err != nil {
			t.Fatalf("setrlimit: %v", err)
		}
	}
	fail := func() (ids, opened int) {
		first := newEventfd(t, 0, 0)
		idBefore, filesBefore := id(first), files()
		last := newEventfd(t, 0, 0)
		limit(uint64(last) + 1)
		for range attempts {
			if fd, err := unix.Eventfd(0, 0); err != unix.EMFILE {
				t.Fatalf("eventfd2 with all %d descriptors in use = %d, %v; want EMFILE", last+1, fd, err)
			}
		}
		// The flags are looked at before that.
		_, err := unix.Eventfd(0, 2)
		wantErrno(t, "eventfd2 with an unknown flag, with all descriptors in use", err, unix.EINVAL)
		unix.Close(last)
		if fd, err := unix.Eventfd(0, 0); fd != last || err != nil {
			t.Fatalf("eventfd2 after a close = %d, %v; want %d", fd, err, last)
		}
		limit(old.Cur)
		return id(newEventfd(t, 0, 0)) - idBefore, files() - filesBefore
	}
	// Ids and files are the whole machine's: other processes may make thousands
	// meanwhile, but not each time, as what leaks would.
	const tries = 5
	var ids, opened int
	for range tries {
		if ids, opened = fail(); ids <= attempts/2 && opened <= attempts/2 {
			return
		}
	}
	t.Errorf("over %d failures eventfd-id went up by %d, and open files by %d, and so each of %d times", attempts, ids, opened, tries)
})

// eventfdInitvalUpperHalf (EFD-67): initval is 32 bits; what is above them in
// the register is not looked at.
func eventfdInitvalUpperHalf(t *testing.T) {
	initval, flags := uint64(0xdead_beef_0000_0005), uint64(0xffff_ffff_0000_0000)|unix.EFD_NONBLOCK
	fd, err := rawCall(unix.SYS_EVENTFD2, uintptr(initval), uintptr(flags))
	closable(t, fd, err)
	wantFlags(t, fd, unix.O_RDWR|unix.O_NONBLOCK, 0)
	wantCount(t, fd, 5)
}

// eventfdAllFlags (EFD-68): all combinations of the three flags are accepted,
// each flag doing its own.
func eventfdAllFlags(t *testing.T) {
	for combination := range 8 {
		flags, status, descriptor, reads := 0, unix.O_RDWR, 0, []uint64{3}
		if combination&1 != 0 {
			flags |= unix.EFD_SEMAPHORE
			reads = []uint64{1, 1, 1}
		}
		if combination&2 != 0 {
			flags |= unix.EFD_NONBLOCK
			status |= unix.O_NONBLOCK
		}
		if combination&4 != 0 {
			flags |= unix.EFD_CLOEXEC
			descriptor |= unix.FD_CLOEXEC
		}
		fd := newEventfd(t, 3, flags)
		wantFlags(t, fd, status, descriptor)
		for _, want := range reads {
			mustTake(t, fd, want)
		}
		wantLeft(t, fd, flags&unix.EFD_SEMAPHORE, 0)
	}
}

// eventfdAtFileLimit (EFD-89): ENFILE at fs.file-max, eventfd(2), for who has
// not CAP_SYS_ADMIN.
func eventfdAtFileLimit(t *testing.T) {
	wantENFILE(t, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
}

var eventfdCreateRows = map[string]func(*testing.T){
	"EFD-01": eventfdIsReadWrite,
	"EFD-02": eventfdLargestInitval,
	"EFD-03": eventfdInitvalIsReadable,
	"EFD-04": eventfdCloexec,
	"EFD-05": eventfdNonblock,
	"EFD-06": eventfdUnknownFlags,
	"EFD-07": eventfdLegacy,
	"EFD-08": eventfdAtDescriptorLimit,
	"EFD-67": eventfdInitvalUpperHalf,
	"EFD-68": eventfdAllFlags,
	"EFD-89": eventfdAtFileLimit,
}
