//go:build linux

package behaviours

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Reads and writes that sleep, and who wakes up.

// eventfdReadSleeps (EFD-11): reading a counter of 0 sleeps until something is
// added, eventfd(2).
func eventfdReadSleeps(t *testing.T) {
	for mode, want := range map[int]uint64{0: 3, unix.EFD_SEMAPHORE: 1} {
		fd := newEventfd(t, 0, mode)
		r := startRead(t, fd)
		stillAsleep(t, r.sleeper)
		mustAddCount(t, fd, 3)
		r.wantValue(want)
		wantLeft(t, fd, mode, 3-want)
	}
}

// eventfdWriteSleeps (EFD-22): a write that does not fit sleeps until a read
// has made room, eventfd(2), and then adds all of its value.
func eventfdWriteSleeps(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	mustAddCount(t, fd, math.MaxUint64-3)
	w := startWrite(t, fd, 7)
	stillAsleep(t, w)
	wantPolledOnly(t, fd, unix.POLLIN|unix.POLLOUT) // there is room for something
	mustAddCount(t, fd, 1)                          // which does not help the writer
	stillAsleep(t, w)
	mustTake(t, fd, math.MaxUint64-2)
	w.Join()
	wantWritten(t, w)
	wantCount(t, fd, 7)
}

// eventfdInterrupted (EFD-52): a read or write that sleeps goes on after a
// handler with SA_RESTART and is EINTR after another, signal(7); nothing was
// taken or added by then.
func eventfdInterrupted(t *testing.T) {
	catchRestarting(t)
	empty, full := newEventfd(t, 0, 0), newEventfd(t, 0, 0)
	mustAddCount(t, full, math.MaxUint64-1)
	read := func() *sleeper {
		return startRestartable(t, unix.SYS_READ, func() (int, error) {
			v, err := takeCount(empty)
			return int(v), err
		})
	}
	write := func() *sleeper {
		return startRestartable(t, unix.SYS_WRITE, func() (int, error) { return 0, addCount(full, 2) })
	}
	r, w := read(), write()
	restartRead(t, r, 2)
	restartRead(t, w, 2)
	mustAddCount(t, empty, 4)
	r.Join()
	if r.n != 4 || r.err != nil {
		t.Errorf("the restarted read gave %d, %v; want 4", r.n, r.err)
	}
	mustTake(t, full, math.MaxUint64-1)
	w.Join()
	wantWritten(t, w)
	wantCount(t, full, 2)

	mustAddCount(t, full, math.MaxUint64-1)
	r, w = read(), write()
	r.rouse()
	w.rouse()
	r.wantErr(unix.EINTR)
	w.wantErr(unix.EINTR)
	mustAddCount(t, empty, 1)
	wantCount(t, empty, 1)
	wantCount(t, full, math.MaxUint64-1)
}

// eventfdReadWakes (EFD-55): a read that makes room wakes who waits to write,
// in write(2), poll(2) and epoll_wait(2).
func eventfdReadWakes(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	mustAddCount(t, fd, math.MaxUint64-1)
	poll := startSleep(t, "thread in ppoll", func(*sleeper) (int, error) {
		return unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, nil, nil)
	})
	poll.AwaitBlocked(unix.SYS_PPOLL)
	epfd := fdtest.Epoll(t)
	fdtest.Add(t, epfd, fd, unix.EPOLLOUT)
	wait := startWait(t, epfd, 1, -1)
	write := startWrite(t, fd, 3)
	stillAsleep(t, poll, wait, write)
	mustTake(t, fd, math.MaxUint64-1)
	write.Join()
	wantWritten(t, write)
	poll.wantPolled()
	wait.want(ready(fd, unix.EPOLLOUT))
	wantCount(t, fd, 3)
}

// eventfdClosedUnderReader (EFD-56): closing the descriptor does not wake who
// sleeps in a read of it, close(2); the file is there until the read is over,
// and what is written to it through a duplicate ends the read.
func eventfdClosedUnderReader(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	dup, _ := mustDup(t, fd)
	r := startRead(t, fd)
	closeNow()
	stillAsleep(t, r.sleeper)
	mustAddCount(t, dup, 6)
	r.wantValue(6)
	// Without a duplicate the reader alone holds it; a signal gets it out.
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC)
	closeNow = closable(t, fd, err)
	r = startRead(t, fd)
	closeNow()
	stillAsleep(t, r.sleeper)
	r.rouse()
	r.wantErr(unix.EINTR)
}

// eventfdNothingLost (EFD-63): with several writers and readers, what is read
// is in sum what was written.
func eventfdNothingLost(t *testing.T) {
	const writers, readers, writes = 3, 3, 2000
	for _, mode := range []int{0, unix.EFD_SEMAPHORE} {
		fd := newEventfd(t, 0, mode|unix.EFD_NONBLOCK)
		var sum, all atomic.Uint64
		var writing, reading sync.WaitGroup
		done := make(chan struct{})
		for w := range uint64(writers) {
			writing.Go(func() {
				for i := range uint64(writes) {
					v := 1 + (i+w)%3
					if err := addCount(fd, v); err != nil {
						t.Errorf("write: %v", err)
						return
					}
					all.Add(v)
				}
			})
		}
		for range readers {
			reading.Go(func() {
				for {
					v, err := takeCount(fd)
					switch {
					case err == nil:
						sum.Add(v)
						if mode == unix.EFD_SEMAPHORE && v != 1 {
							t.Errorf("read %d of a semaphore", v)
						}
					case err != unix.EAGAIN:
						t.Errorf("read: %v", err)
						return
					default:
						select {
						case <-done: // before this read, so there was nothing left
							return
						default:
							runtime.Gosched()
						}
					}
				}
			})
		}
		writing.Wait()
		await(t, "everything is read", func() bool { return sum.Load() >= all.Load() })
		close(done)
		reading.Wait()
		if sum.Load() != all.Load() {
			t.Errorf("read %d in sum, want %d", sum.Load(), all.Load())
		}
		wantLeft(t, fd, mode, 0)
	}
}

// eventfdWriteReleasesOne (EFD-70): of several readers that sleep one takes all
// that a write has added; the others find nothing and sleep on.
func eventfdWriteReleasesOne(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	var readers []*valueReader
	var asleep []*sleeper
	for range 4 {
		r := startRead(t, fd)
		readers = append(readers, r)
		asleep = append(asleep, r.sleeper)
	}
	for i := range readers {
		mustAddCount(t, fd, uint64(10+i))
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		for _, r := range readers {
			if r.sleeper == woken[0] {
				r.wantValue(uint64(10 + i))
			}
		}
	}
	wantCount(t, fd, 0)
}

// eventfdKilledReader (EFD-78): a reader that is killed in its sleep takes
// nothing with it.
func eventfdKilledReader(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	p := child.Start(t, eventfdReader, child.Options{Files: []int{fd}})
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGSTOP)
	p.AwaitState("T")
	mustAddCount(t, fd, 5)
	p.Signal(unix.SIGKILL)
	if s := p.Status(); s.Signal() != unix.SIGKILL {
		t.Errorf("the reader ended with %#x, want SIGKILL", s)
	}
	wantCount(t, fd, 5)
}

// eventfdNonblockWhileAsleep (EFD-86): O_NONBLOCK does not reach a read that
// sleeps already.
func eventfdNonblockWhileAsleep(t *testing.T) {
	fd := newEventfd(t, 0, 0)
	r := startRead(t, fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, r.sleeper)
	_, err := takeCount(fd)
	wantErrno(t, "read of an empty eventfd", err, unix.EAGAIN)
	mustAddCount(t, fd, 2)
	r.wantValue(2)
}

// eventfdOneReadOfMany (EFD-87): however many hear of a write through poll(2)
// and epoll_wait(2), one read takes it; who comes second finds it gone.
func eventfdOneReadOfMany(t *testing.T) {
	fd := newEventfd(t, 0, unix.EFD_NONBLOCK)
	sets, waiting := mustWaiters(t, 3, fd, unix.EPOLLIN)
	waiting = append(waiting, startPoll(t, fd), startPoll(t, fd))
	mustAddCount(t, fd, 4)
	wantWoken(t, len(waiting), waiting...)
	mustTake(t, fd, 4)
	_, err := takeCount(fd)
	wantErrno(t, "a second read", err, unix.EAGAIN)
	for _, epfd := range sets {
		wantReady(t, epfd)
	}
}

var eventfdSleepRows = map[string]func(*testing.T){
	"EFD-11": eventfdReadSleeps,
	"EFD-22": eventfdWriteSleeps,
	"EFD-52": eventfdInterrupted,
	"EFD-55": eventfdReadWakes,
	"EFD-56": eventfdClosedUnderReader,
	"EFD-63": eventfdNothingLost,
	"EFD-70": eventfdWriteReleasesOne,
	"EFD-78": eventfdKilledReader,
	"EFD-86": eventfdNonblockWhileAsleep,
	"EFD-87": eventfdOneReadOfMany,
}
