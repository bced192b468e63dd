//go:build linux

package behaviours

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// An eventfd as a file: inode, fdinfo, descriptors passed and inherited, what
// is refused.

// eventfdAcrossExec (EFD-42): a descriptor that is not close-on-exec survives
// execve(2), and its counter and flags with it.
func eventfdAcrossExec(t *testing.T) {
	p := child.Start(t, eventfdBeforeExec, child.Options{})
	p.Wait()
	// Nor does a reader that executes take what its former program had not.
	fd := newEventfd(t, 3, unix.EFD_SEMAPHORE)
	child.Start(t, eventfdTakesOneAndExecs, child.Options{Files: []int{fd}}).Wait()
	wantCount(t, fd, 1)
}

// eventfdSeek (EFD-39): lseek(2) is 0 since 6.0 and was ESPIPE before.
func eventfdSeek(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	wantSeek(t, fd)
	wantCount(t, fd, 4)
}

// eventfdNonblockLater (EFD-40): fcntl(2) and ioctl(2) change O_NONBLOCK of the
// open file, for all its descriptors, and the next read or write goes by it.
func eventfdNonblockLater(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	dup, _ := mustDup(t, fd)
	ioctl := func(on int32) {
		t.Helper()
		if _, err := rawCall(unix.SYS_IOCTL, uintptr(fd), fionbio, uintptr(unsafe.Pointer(&on))); err != nil {
			t.Fatalf("FIONBIO: %v", err)
		}
	}
	fcntl := func(on int32) {
		t.Helper()
		if err := unix.SetNonblock(fd, on != 0); err != nil {
			t.Fatalf("F_SETFL: %v", err)
		}
	}
	for _, set := range []func(int32){fcntl, ioctl} {
		set(1)
		wantFlags(t, dup, unix.O_RDWR|unix.O_NONBLOCK, unix.FD_CLOEXEC)
		_, err := takeCount(dup)
		wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
		mustAddCount(t, fd, math.MaxUint64-1)
		wantErrno(t, "write to a full eventfd", addCount(dup, 1), unix.EAGAIN)
		set(0)
		wantFlags(t, dup, unix.O_RDWR, unix.FD_CLOEXEC)
		w := startWrite(t, dup, 1)
		mustTake(t, fd, math.MaxUint64-1)
		w.Join()
		mustTake(t, fd, 1)
		r := startRead(t, dup)
		mustAddCount(t, fd, 2)
		r.wantValue(2)
	}
}

// eventfdForked (EFD-41): duplicates and children have the same counter,
// eventfd(2).
func eventfdForked(t *testing.T) {
	fd := newEventfd(t, 1, 0)
	dup, closeDup := mustDup(t, fd)
	mustAddCount(t, dup, 1)
	wantCount(t, fd, 2)
	closeDup()
	a := fdtest.Arena(t)
	got := a.Word(0)
	mustAddCount(t, fd, 10)
	// The child takes what is there and adds what the parent waits for.
	c := startFork(t, a, sys.EventfdRead(fd, got), sys.EventfdWrite(fd, a.Word(30)), sys.EventfdWrite(fd, a.Word(3)))
	c.wait()
	if *got != 10 {
		t.Errorf("the child read %d, want 10", *got)
	}
	wantCount(t, fd, 33)
	// A child that waits is woken by the parent.
	ready := newEventfd(t, 0, 0)
	c = startFork(t, a, sys.EventfdWrite(ready, a.Word(1)), sys.EventfdRead(fd, got))
	mustTake(t, ready, 1)
	time.Sleep(grace)
	mustAddCount(t, fd, 5)
	c.wait()
	if *got != 5 {
		t.Errorf("the child read %d, want 5", *got)
	}
	wantCount(t, fd, 0)
}

// eventfdPassed (EFD-43): SCM_RIGHTS passes the object, unix(7): sender and
// receiver have one counter, and wake each other through it.
func eventfdPassed(t *testing.T) {
	fd := newEventfd(t, 5, 0)
	sockets := fdtest.Socketpair(t)
	p := child.Start(t, eventfdReceiver, child.Options{Files: []int{sockets[1]}})
	mustSendFile(t, sockets[0], fd)
	p.Expect("read 5")
	r := startRead(t, fd)
	p.Say("add 3")
	r.wantValue(3)
	p.Expect("added")
	mustAddCount(t, fd, 9)
	p.Expect("read 9")
	p.Wait()
	wantCount(t, fd, 0)
}

var eventfdReceiver = child.Register("eventfd-receiver", func(p *child.Proc) error {
	fd, err := receiveFile(child.FirstFile)
	if err != nil {
		return err
	}
	v, err := takeCount(fd)
	if err != nil {
		return err
	}
	p.Say("read %d", v)
	if _, err := p.Hear(); err != nil {
		return err
	}
	if err := addCount(fd, 3); err != nil {
		return err
	}
	// The parent's reader is to take it, not this process.
	for polled := int16(unix.POLLIN); polled&unix.POLLIN != 0; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 0); err != nil && err != unix.EINTR {
			return err
		}
		polled = fds[0].Revents
	}
	p.Say("added")
	if v, err = takeCount(fd); err != nil {
		return err
	}
	p.Say("read %d", v)
	return nil
})

// eventfdInfoCount (EFD-44): /proc/PID/fdinfo has the counter as 16 columns of
// lower-case hexadecimal digits, proc_pid_fdinfo(5), and looking at it changes
// nothing.
func eventfdInfoCount(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	for _, v := range []uint64{0, 1, 0xabc, 0x1234_5678_9abc_def0, math.MaxUint64 - 1} {
		mustAddCount(t, fd, v)
		if got, want := fdinfoLines(t, fd)["eventfd-count"], fmt.Sprintf(" %16x", v); got != want {
			t.Errorf("fdinfo has eventfd-count:%s for %#x, want eventfd-count:%s", got, v, want)
		}
		wantCount(t, fd, v)
	}
	if got, want := strings.TrimSpace(fdinfoLines(t, fd)["flags"]), "02"; got != want {
		t.Errorf("fdinfo has flags %s, want %s", got, want)
	}
}

// eventfdInfoID (EFD-45): fdinfo has a small number that no other eventfd has
// (since 5.2), to tell eventfds apart that all have the same inode; duplicates
// have the same.
func eventfdInfoID(t *testing.T) {
	seen := map[int]int{}
	for range 50 {
		fd := newEventfd(t, 0, 0)
		text := fdinfoLines(t, fd)["eventfd-id"]
		id, err := strconv.Atoi(strings.TrimPrefix(text, " "))
		if err != nil || id < 0 {
			t.Fatalf("fdinfo has eventfd-id:%s, want a number", text)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("descriptors %d and %d both have eventfd-id %d", fd, other, id)
		}
		seen[id] = fd
		dup, closeDup := mustDup(t, fd)
		if got := fdinfoLines(t, dup)["eventfd-id"]; got != text {
			t.Errorf("eventfd-id is%s, and%s of a duplicate", text, got)
		}
		closeDup()
	}
}

// eventfdInfoSemaphore (EFD-46): since 6.5 fdinfo tells EFD_SEMAPHORE
// (fs/eventfd.c eventfd_show_fdinfo).
func eventfdInfoSemaphore(t *testing.T) {
	for mode, want := range map[int]string{0: " 0", unix.EFD_SEMAPHORE: " 1"} {
		got, there := fdinfoLines(t, newEventfd(t, 3, mode))["eventfd-semaphore"]
		if !behaviour.Since(6, 5) {
			if there {
				t.Errorf("fdinfo has eventfd-semaphore:%s before 6.5", got)
			}
		} else if got != want {
			t.Errorf("fdinfo has eventfd-semaphore:%s, want eventfd-semaphore:%s", got, want)
		}
	}
}

// eventfdName (EFD-47): /proc calls it anon_inode:[eventfd], and it cannot be
// opened by that link.
func eventfdName(t *testing.T) {
	fd := newEventfd(t, 1, 0)
	wantName(t, fd, "anon_inode:[eventfd]")
	wantCount(t, fd, 1)
}

// eventfdInode (EFD-48): fstat(2) shows mode 0600 and no type or length,
// whatever the counter, and the inode that all files without a name share;
// fstatfs(2) its file system.
func eventfdInode(t *testing.T) {
	wantSharedInode(t, newEventfd(t, 7, 0))
}

// eventfdOwnership (EFD-49): mode and owner of the shared inode cannot be
// changed: EOPNOTSUPP where that was closed (6.16 and stable releases), EPERM
// for an ordinary user before.
func eventfdOwnership(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	wantOwnershipKept(t, fd)
	wantSharedInode(t, fd)
}

// eventfdNoSplice (EFD-50): no data moves through it by splice(2), tee(2),
// sendfile(2) or copy_file_range(2): EINVAL.
func eventfdNoSplice(t *testing.T) {
	fd := newEventfd(t, 8, 0)
	wantNoSplice(t, fd)
	wantCount(t, fd, 8)
}

// eventfdRefusals (EFD-51): it is not a file that could be mapped, cut, synced
// or listed.
func eventfdRefusals(t *testing.T) {
	fd := newEventfd(t, 8, 0)
	wantRefusals(t, fd)
	wantFlags(t, fd, unix.O_RDWR, 0)
	wantCount(t, fd, 8)
}

// eventfdInFlight (EFD-79): an eventfd that is only in a message under way
// keeps its counter.
func eventfdInFlight(t *testing.T) {
	sockets := fdtest.Socketpair(t)
	fd, err := unix.Eventfd(4, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	closeNow := closable(t, fd, err)
	mustSendFile(t, sockets[0], fd)
	mustAddCount(t, fd, 1)
	closeNow()
	got, err := receiveFile(sockets[1])
	closable(t, got, err)
	wantLeft(t, got, unix.EFD_SEMAPHORE, 5)
}

// eventfdFetched (EFD-80): pidfd_getfd(2) gets the same object from another
// process.
func eventfdFetched(t *testing.T) {
	fd := newEventfd(t, 4, 0)
	got := fetchFromChild(t, fd)
	wantFlags(t, got, unix.O_RDWR, unix.FD_CLOEXEC)
	mustTake(t, got, 4)
	mustAddCount(t, got, 2)
	wantCount(t, fd, 2)
}

// eventfdNoSignals (EFD-81): it sends no SIGIO: O_ASYNC is not accepted, by
// silence or by refusal.
func eventfdNoSignals(t *testing.T) { wantNoSignals(t, newEventfd(t, 0, 0)) }

// eventfdLocks (EFD-82): flock(2) is the inode's affair, and that is all
// eventfds' (and timerfds', ...) together: a lock on one excludes the others.
func eventfdLocks(t *testing.T) {
	a, b, timer := newEventfd(t, 0, 0), newEventfd(t, 0, 0), fdtest.Timerfd(t)
	dup, _ := mustDup(t, a)
	// Another run of this test may hold it just now.
	await(t, "flock of an eventfd", func() bool { return unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB) == nil })
	wantErrno(t, "flock of another eventfd", unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	wantErrno(t, "flock of a timerfd", unix.Flock(timer, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	wantErrno(t, "flock of a duplicate", unix.Flock(dup, unix.LOCK_SH|unix.LOCK_NB), nil)
	wantErrno(t, "unlocking", unix.Flock(a, unix.LOCK_UN), nil)
	// It does not stand in the way of reading and writing.
	mustAddCount(t, b, 1)
	wantCount(t, b, 1)
}

var eventfdFileRows = map[string]func(*testing.T){
	"EFD-39": eventfdSeek,
	"EFD-40": eventfdNonblockLater,
	"EFD-41": eventfdForked,
	"EFD-42": eventfdAcrossExec,
	"EFD-43": eventfdPassed,
	"EFD-44": eventfdInfoCount,
	"EFD-45": eventfdInfoID,
	"EFD-46": eventfdInfoSemaphore,
	"EFD-47": eventfdName,
	"EFD-48": eventfdInode,
	"EFD-49": eventfdOwnership,
	"EFD-50": eventfdNoSplice,
	"EFD-51": eventfdRefusals,
	"EFD-79": eventfdInFlight,
	"EFD-80": eventfdFetched,
	"EFD-81": eventfdNoSignals,
	"EFD-82": eventfdLocks,
}
