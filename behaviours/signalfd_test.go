//go:build linux

package behaviours

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"sync/atomic"
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

// Rows with signals to one thread run in the test's process. Those with signals
// to the process, and those that any signal disturbs, have processes of their
// own.

func TestSignalfd(t *testing.T) {
	behaviour.Run(t, "signalfd",
		signalfdCreateRows,
		signalfdMaskRows,
		signalfdReadRows,
		signalfdRecordRows,
		signalfdPollRows,
		signalfdPendingRows,
		signalfdSleepRows,
		signalfdShareRows,
		signalfdFileRows)
}

// signalfdReader reads one record and says what it is.
var signalfdReader = child.Register("signalfd-reader", func(p *child.Proc) error {
	got, err := readRecords(child.FirstFile, 1)
	if err != nil {
		return err
	}
	p.Say("%d code %d from %d", got[0].Signo, got[0].Code, got[0].Pid)
	return nil
})

// stopReader stops a process that sleeps in a read.
func stopReader(t *testing.T, p *child.Process) {
	t.Helper()
	p.AwaitBlocked(unix.SYS_READ)
	p.Signal(unix.SIGSTOP)
	wantWaited(t, p.Pid, unix.WSTOPPED, rawsig.CldStopped, unix.SIGSTOP)
}

// What rows are written in.

// A record is what a read returns for each signal.
type record = unix.SignalfdSiginfo

// signalfd4 is signalfd4(2) with a mask of the right size.
func signalfd4(fd int, mask sys.Sigset, flags int) (int, error) {
	return rawCall(unix.SYS_SIGNALFD4, uintptr(fd), uintptr(unsafe.Pointer(&mask)), unsafe.Sizeof(mask), uintptr(flags))
}

// newSignalfd makes a signalfd with just these flags.
func newSignalfd(tb testing.TB, mask sys.Sigset, flags int) int {
	tb.Helper()
	fd, err := signalfd4(-1, mask, flags)
	closable(tb, fd, err)
	return fd
}

// mustSetMask replaces a signalfd's mask.
func mustSetMask(tb testing.TB, fd int, mask sys.Sigset) {
	tb.Helper()
	if _, err := signalfd4(fd, mask, 0); err != nil {
		tb.Fatalf("signalfd4(%d) with a new mask: %v", fd, err)
	}
}

// noDescriptor is a number that no descriptor has.
const noDescriptor = math.MaxInt32

// unread is what a reader's memory is full of before a read.
const unread = 0xa5

// readRecords reads with room for so many records, and returns those that came.
func readRecords(fd, room int) ([]record, error) {
	buf := bytes.Repeat([]byte{unread}, room*sys.SignalfdInfoSize)
	n, err := unix.Read(fd, buf)
	n = max(n, 0)
	if rest := buf[n:]; n%sys.SignalfdInfoSize != 0 || !bytes.Equal(rest, bytes.Repeat([]byte{unread}, len(rest))) {
		return nil, fmt.Errorf("read of %d bytes returned %d (%v) and stored %x", len(buf), n, err, buf)
	}
	return recordsOf(buf[:n]), err
}

// promptly makes a call that must not sleep, though it could. If it does it is
// interrupted, and the row ends.
func promptly(tb testing.TB, what string, call func()) {
	tb.Helper()
	runs := fdtest.Handle(tb, rouse)
	old, err := rawsig.Mask(unix.SIG_BLOCK, nil)
	if err != nil {
		tb.Fatal(err)
	}
	setMask(tb, old&^sys.Sigs(rouse))
	done, over, tid := make(chan struct{}), make(chan struct{}), unix.Gettid()
	go func() {
		defer close(over)
		for wait := time.Second; ; wait = time.Millisecond {
			select {
			case <-done:
				return
			case <-time.After(wait):
				unix.Tgkill(unix.Getpid(), tid, rouse)
			}
		}
	}()
	call()
	close(done)
	<-over
	setMask(tb, old)
	if atomic.LoadUint64(runs) > 0 {
		tb.Fatalf("%s sleeps, want it back at once", what)
	}
}

func recordsOf(buf []byte) []record {
	records := make([]record, len(buf)/sys.SignalfdInfoSize)
	copy(bytesOf(records), buf)
	return records
}

// bytesOf is all of the records, with those bytes that the struct has no names
// for.
func bytesOf(records []record) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(records))), len(records)*sys.SignalfdInfoSize)
}

// sameRecords compares what a read returned, to the last byte.
func sameRecords(tb testing.TB, what string, got []record, err error, want []record) {
	tb.Helper()
	if err != nil || !bytes.Equal(bytesOf(got), bytesOf(want)) {
		tb.Errorf("%s: read %+v, %v; want %+v", what, got, err, want)
	}
}

// sameSigs compares the numbers only.
func sameSigs(tb testing.TB, what string, got []record, err error, want ...unix.Signal) {
	tb.Helper()
	var sigs []unix.Signal
	for _, r := range got {
		sigs = append(sigs, unix.Signal(r.Signo))
	}
	if err != nil || fmt.Sprint(numbers(sigs)) != fmt.Sprint(numbers(want)) {
		tb.Errorf("%s: read signals %v, %v; want %v", what, numbers(sigs), err, numbers(want))
	}
}

// takeRecords reads all there is to be read now, one by one, and a little more
// than n at most.
func takeRecords(tb testing.TB, fd, n int) (all []record, err error) {
	tb.Helper()
	for len(all) < n+2 && readable(tb, fd) {
		got, err := readRecords(fd, 1)
		if err != nil {
			return all, err
		}
		all = append(all, got...)
	}
	return all, nil
}

// wantRecords reads all there is to be read, which must be this.
func wantRecords(tb testing.TB, what string, fd int, want ...record) {
	tb.Helper()
	got, err := takeRecords(tb, fd, len(want))
	sameRecords(tb, what, got, err, want)
}

// wantSigs reads all there is to be read, which must be signals of these
// numbers.
func wantSigs(tb testing.TB, what string, fd int, want ...unix.Signal) {
	tb.Helper()
	got, err := takeRecords(tb, fd, len(want))
	sameSigs(tb, what, got, err, want...)
}

// wantNoRecord checks that there is nothing to be read, now.
func wantNoRecord(tb testing.TB, what string, fd int) {
	tb.Helper()
	if readable(tb, fd) {
		tb.Errorf("%s: poll finds something to read, want nothing", what)
	}
	if status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || status&unix.O_NONBLOCK == 0 {
		return // a read might wait
	}
	if got, err := readRecords(fd, 2); err != unix.EAGAIN {
		tb.Errorf("%s: read %+v, %v; want EAGAIN", what, got, err)
	}
}

// byKill is the record of a signal that this process sent itself by kill(2).
func byKill(sig unix.Signal) record {
	return record{Signo: uint32(sig), Code: rawsig.SIUser, Pid: uint32(os.Getpid()), Uid: uint32(os.Getuid())}
}

// byTgkill is the record of one that it sent by tgkill(2).
func byTgkill(sig unix.Signal) record {
	r := byKill(sig)
	r.Code = rawsig.SITkill
	return r
}

// byQueue is the record of one that it sent by mustQueue.
func byQueue(sig unix.Signal, value uint64) record {
	r := byKill(sig)
	r.Code, r.Ptr, r.Int = rawsig.SIQueue, value, int32(value)
	return r
}

// needQueue skips a row that needs n signals queued, or told in full, where
// RLIMIT_SIGPENDING leaves no room for them. The thread must block all signals.
func needQueue(tb testing.TB, n int) {
	tb.Helper()
	const probe = unix.Signal(64)
	var err error
	sent := 0
	for ; sent < n && err == nil; sent++ {
		err = rawsig.Tgqueue(os.Getpid(), unix.Gettid(), probe, rawsig.Value(0))
	}
	drain(sys.Sigs(probe))
	if err == unix.EAGAIN {
		behaviour.Limited(tb, "no room for %d queued signals: raise RLIMIT_SIGPENDING (ulimit -i)", n)
	}
	if err != nil {
		tb.Fatalf("rt_tgsigqueueinfo(self, %d): %v", probe, err)
	}
}

// A recordReader is a thread in a read of a signalfd.
type recordReader struct {
	*sleeper
	records []record
}

// startRecords has a thread sleep in a read with room for so many records.
func startRecords(tb testing.TB, fd, room int) *recordReader {
	tb.Helper()
	r := &recordReader{}
	r.sleeper = startSleep(tb, "thread in read", func(*sleeper) (n int, err error) {
		r.records, err = readRecords(fd, room)
		return len(r.records), err
	})
	r.AwaitBlocked(unix.SYS_READ)
	return r
}

// wantSigs waits for the read's end, which must be with signals of these
// numbers.
func (r *recordReader) wantSigs(what string, want ...unix.Signal) {
	r.tb.Helper()
	r.Join()
	sameSigs(r.tb, what, r.records, r.err, want...)
}
