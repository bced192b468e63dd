//go:build linux

package behaviours

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Reading records.

// signalfdManyRecords (SFD-09): a read returns as many records as are pending
// and have room, signalfd(2); what has none stays pending.
func signalfdManyRecords(t *testing.T) {
	blockAll(t)
	needQueue(t, 6)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, 40), unix.SFD_NONBLOCK)
	for _, rooms := range [][]int{{5}, {1, 1, 1, 1, 1}, {2, 2, 1}, {1, 3, 1}, {4, 9}} {
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGUSR1)
		for v := range uint64(3) {
			mustQueue(t, 40, v)
		}
		all := []record{byTgkill(unix.SIGUSR1), byTgkill(unix.SIGUSR2), byQueue(40, 0), byQueue(40, 1), byQueue(40, 2)}
		for _, room := range rooms {
			got, err := readRecords(fd, room)
			want := all[:min(room, len(all))]
			all = all[len(want):]
			sameRecords(t, fmt.Sprintf("a read with room for %d of %v", room, rooms), got, err, want)
		}
		wantNoRecord(t, "after all were read", fd)
	}
}

// signalfdReadSizes (SFD-10): less room than for one record is EINVAL, at once
// and without taking anything, signalfd(2); what is left over after whole
// records is not used.
func signalfdReadSizes(t *testing.T) {
	blockAll(t)
	for _, flags := range []int{0, unix.SFD_NONBLOCK} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), flags)
		read := func(size int) (n int, err error) {
			t.Helper()
			buf := bytes.Repeat([]byte{unread}, size)
			promptly(t, fmt.Sprintf("read of %d bytes", size), func() { n, err = unix.Read(fd, buf) })
			if rest := buf[max(n, 0):]; !bytes.Equal(rest, bytes.Repeat([]byte{unread}, len(rest))) {
				t.Errorf("read of %d bytes = %d, %v and stored more", size, n, err)
			}
			return n, err
		}
		for range 2 { // with nothing there, and with a signal
			for _, size := range []int{1, 8, 48, 127} {
				n, err := read(size)
				wantErrno(t, fmt.Sprintf("read of %d bytes = %d", size, n), err, unix.EINVAL)
			}
			mustRaise(t, unix.SIGUSR1)
		}
		mustRaise(t, unix.SIGUSR2)
		for _, size := range []int{200, 255} {
			if n, err := read(size); n != sys.SignalfdInfoSize || err != nil {
				t.Errorf("read of %d bytes with records there = %d, %v; want %d", size, n, err, sys.SignalfdInfoSize)
			}
		}
		wantNoRecord(t, "after two reads", fd)
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		if n, err := read(3*sys.SignalfdInfoSize - 1); n != 2*sys.SignalfdInfoSize || err != nil {
			t.Errorf("read with room for nearly three records = %d, %v; want two", n, err)
		}
		wantNoRecord(t, "after a read of two", fd)
	}
}

// signalfdReadEmpty (SFD-11): without a pending signal of the mask a read is
// EAGAIN where O_NONBLOCK is set, and sleeps until there is one where it is
// not, signalfd(2).
func signalfdReadEmpty(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	mustRaise(t, unix.SIGUSR2) // not of the mask
	for range 3 {
		wantNoRecord(t, "without a signal of the mask", fd)
	}
	wantPending(t, sys.Sigs(unix.SIGUSR2))
	// The flag is the open file's, and can be changed.
	dup, _ := mustDup(t, fd)
	if err := unix.SetNonblock(dup, false); err != nil {
		t.Fatal(err)
	}
	r := startRecords(t, fd, 1)
	stillAsleep(t, r.sleeper)
	// It does not reach a read that sleeps.
	if err := unix.SetNonblock(dup, true); err != nil {
		t.Fatal(err)
	}
	stillAsleep(t, r.sleeper)
	wantNoRecord(t, "beside a read that sleeps", fd)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("the read that slept", unix.SIGUSR1)
}

// signalfdWaitsForOne (SFD-12): a read with room for many waits for the first
// only.
func signalfdWaitsForOne(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2), 0)
	r := startRecords(t, fd, 8)
	stillAsleep(t, r.sleeper)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("a read with room for eight", unix.SIGUSR1)
	// With two there before it, it takes both and waits for no third.
	blockAll(t)
	mustRaise(t, unix.SIGUSR1)
	mustRaise(t, unix.SIGUSR2)
	wantSigs(t, "with two pending", fd, unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdReadConsumes (SFD-13): a signal that was read is no longer pending,
// runs no handler, and is not there for sigtimedwait, signalfd(2); one that was
// not read is.
func signalfdReadConsumes(t testing.TB) {
	blockAll(t)
	needQueue(t, 2)
	handle(t, unix.SIGUSR1, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, 40), unix.SFD_NONBLOCK)
	wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
	wantPending(t, sys.Sigs(unix.SIGUSR1))
	wantSigs(t, "a signal to the process", fd, unix.SIGUSR1)
	wantPending(t, 0)
	wantNone(t, rawsig.Blockable&^stray)
	setMask(t, rawsig.Blockable&^sys.Sigs(unix.SIGUSR1, 40))
	wantRuns(t)
	setMask(t, rawsig.Blockable)
	mustQueue(t, 40, 1)
	mustQueue(t, 40, 2)
	got, err := readRecords(fd, 1)
	sameRecords(t, "one of two", got, err, []record{byQueue(40, 1)})
	wantPending(t, sys.Sigs(40))
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	wantRuns(t, 40)
	if v := rawsig.Runs()[0].Info.Value; v != 2 {
		t.Errorf("the handler got value %d, want 2, the one that was not read", v)
	}
	wantNoRecord(t, "after the handler", fd)
}

// signalfdReadIter (SFD-35): since 6.10 a record may be stored in pieces by
// readv(2), and preadv2(2) takes RWF_NOWAIT; before, each piece was a read of
// its own, and RWF_NOWAIT EOPNOTSUPP.
func signalfdReadIter(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	mustRaise(t, unix.SIGUSR1)
	for _, split := range []int{64, 1, 127} {
		buf := bytes.Repeat([]byte{unread}, 128)
		var n int
		var err error
		promptly(t, "readv", func() { n, err = unix.Readv(fd, [][]byte{buf[:split], buf[split:]}) })
		if !behaviour.Since(6, 10) {
			wantErrno(t, fmt.Sprintf("readv in pieces of %d and %d bytes = %d", split, 128-split, n), err, unix.EINVAL)
			continue
		}
		if n != 128 || err != nil {
			t.Errorf("readv in pieces of %d and %d bytes = %d, %v; want 128", split, 128-split, n, err)
			continue
		}
		sameSigs(t, "readv in pieces", recordsOf(buf), nil, unix.SIGUSR1)
		wantPolledOnly(t, fd, 0)
		mustRaise(t, unix.SIGUSR1)
	}
	_, err := unix.Readv(fd, [][]byte{make([]byte, 64), make([]byte, 63)})
	wantErrno(t, "readv of 64 and 63 bytes", err, unix.EINVAL)
	wantPolledOnly(t, fd, unix.POLLIN)
	buf := make([]byte, 128)
	nowait := func() (n int, err error) {
		t.Helper()
		promptly(t, "preadv2 with RWF_NOWAIT", func() { n, err = unix.Preadv2(fd, [][]byte{buf}, -1, unix.RWF_NOWAIT) })
		return n, err
	}
	n, err := nowait()
	if !behaviour.Since(6, 10) {
		wantErrno(t, "preadv2 with RWF_NOWAIT", err, unix.EOPNOTSUPP)
		wantSigs(t, "after that", fd, unix.SIGUSR1)
	} else {
		if n != 128 || err != nil {
			t.Errorf("preadv2 with RWF_NOWAIT = %d, %v; want 128", n, err)
		}
		sameSigs(t, "preadv2 with RWF_NOWAIT", recordsOf(buf), nil, unix.SIGUSR1)
		_, err = nowait()
		wantErrno(t, "preadv2 with RWF_NOWAIT, nothing pending", err, unix.EAGAIN)
	}
	wantPolledOnly(t, fd, 0)
}

// signalfdOrder (SFD-46): one read takes the thread's signals before the
// process's, of each the synchronous ones first, then the lowest numbers, and
// those of one number as they came.
func signalfdOrder(t testing.TB) {
	blockAll(t)
	needQueue(t, 12)
	sigs := []unix.Signal{41, unix.SIGWINCH, unix.SIGSYS, 40, unix.SIGUSR2, unix.SIGSEGV, unix.SIGHUP, 40}
	sorted := []unix.Signal{unix.SIGSEGV, unix.SIGSYS, unix.SIGHUP, unix.SIGUSR2, unix.SIGWINCH, 40, 40, 41}
	fd := newSignalfd(t, sys.Sigs(sigs...), unix.SFD_NONBLOCK)
	for v, sig := range sigs {
		wantErrno(t, "rt_sigqueueinfo", rawsig.Tgqueue(os.Getpid(), os.Getpid(), sig, rawsig.Value(uint64(v))), nil)
	}
	// To the process only what no other thread takes.
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), 40, rawsig.Value(100)), nil)
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), unix.SIGUSR2, rawsig.Value(101)), nil)
	wantErrno(t, "rt_sigqueueinfo", rawsig.Queue(os.Getpid(), 40, rawsig.Value(102)), nil)
	got, err := readRecords(fd, 20)
	sameSigs(t, "a read of all", got, err, append(sorted, unix.SIGUSR2, 40, 40)...)
	var values []uint64
	for _, r := range got {
		values = append(values, r.Ptr)
	}
	if want := []uint64{5, 2, 6, 4, 1, 3, 7, 0, 101, 100, 102}; fmt.Sprint(values) != fmt.Sprint(want) {
		t.Errorf("they have the values %v, want %v", values, want)
	}
	wantNoRecord(t, "after the read", fd)
}

// signalfdPartialFault (SFD-47): a record that cannot be stored is lost, for
// its signal was taken. If it was the first the read is EFAULT, else it returns
// those before it. A pointer that no program has is found out before.
func signalfdPartialFault(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR), unix.SFD_NONBLOCK)
	for what, at := range badPointers(t, 128) {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		_, err := rawCall(unix.SYS_READ, uintptr(fd), at, 256)
		wantErrno(t, "read to "+what, err, unix.EFAULT)
		if what == kernelPointer {
			wantSigs(t, "after a read to "+what, fd, unix.SIGUSR1, unix.SIGUSR2)
		} else {
			wantSigs(t, "after a read to "+what, fd, unix.SIGUSR2)
		}
	}
	page := os.Getpagesize()
	mem := mustMap(t, 2)
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	for _, room := range []int{128, 129, 192, 255} {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGPWR)
		n, err := rawCall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&mem[page-room])), 3*128)
		if n != 128 || err != nil {
			t.Errorf("read where %d of %d bytes can be stored = %d, %v; want 128", room, 3*128, n, err)
			continue
		}
		sameSigs(t, "what could be stored", recordsOf(mem[page-room:page-room+128]), nil, unix.SIGUSR1)
		wantSigs(t, "after it", fd, unix.SIGPWR)
	}
	wantNone(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR))
}

// signalfdReadErrorOrder (SFD-48): of several errors of a read the descriptor
// comes first, then the size, that nothing is pending, and the memory last.
func signalfdReadErrorOrder(t *testing.T) {
	blockAll(t)
	empty := newSignalfd(t, 0, unix.SFD_NONBLOCK)
	full := newSignalfd(t, sys.Sigs(unix.SIGUSR1), unix.SFD_NONBLOCK)
	closed := noDescriptor
	bad := badPointers(t, 128)["a pointer to inaccessible memory"]
	mustRaise(t, unix.SIGUSR1)
	read := func(fd int, at uintptr, size uintptr) error {
		return secondOf(rawCall(unix.SYS_READ, uintptr(fd), at, size))
	}
	wantErrno(t, "no descriptor, small, bad memory", read(closed, bad, 4), unix.EBADF)
	wantErrno(t, "small, bad memory", read(full, bad, 4), unix.EINVAL)
	wantErrno(t, "small, empty", read(empty, bad, 127), unix.EINVAL)
	wantErrno(t, "empty, bad memory", read(empty, bad, 128), unix.EAGAIN)
	wantSigs(t, "after that", full, unix.SIGUSR1)
}

// signalfdReadvRecords (SFD-58): since 6.10 readv(2) into several records' room
// is one read, which waits for the first only; before, each piece was a read of
// its own, and one that does not wait came back with what there was.
func signalfdReadvRecords(t *testing.T) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR), unix.SFD_NONBLOCK)
	readv := func(sizes ...int) ([]record, error) {
		var pieces [][]byte
		for _, size := range sizes {
			pieces = append(pieces, bytes.Repeat([]byte{unread}, size))
		}
		n, err := unix.Readv(fd, pieces)
		return recordsOf(bytes.Join(pieces, nil)[:max(n, 0)]), err
	}
	raise := func() {
		mustRaise(t, unix.SIGUSR1)
		mustRaise(t, unix.SIGUSR2)
		mustRaise(t, unix.SIGPWR)
	}
	raise()
	got, err := readv(128, 128)
	sameSigs(t, "readv of two records", got, err, unix.SIGUSR1, unix.SIGUSR2)
	wantSigs(t, "then", fd, unix.SIGPWR)
	// Pieces that hold no whole number of records.
	raise()
	got, err = readv(200, 184)
	if behaviour.Since(6, 10) {
		sameSigs(t, "readv of three records in odd pieces", got, err, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR)
		raise()
	} else {
		sameSigs(t, "readv of odd pieces, the first of which was not filled", got, err, unix.SIGUSR1)
		wantSigs(t, "then", fd, unix.SIGUSR2, unix.SIGPWR)
		raise()
	}
	got, err = readv(128, 128, 128, 128)
	sameSigs(t, "readv of four records with three there", got, err, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR)

	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	r := &recordReader{}
	r.sleeper = startSleep(t, "thread in readv", func(*sleeper) (n int, err error) {
		r.records, err = readv(128, 128)
		return len(r.records), err
	})
	r.AwaitBlocked(unix.SYS_READV)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	if behaviour.Since(6, 10) {
		r.wantSigs("readv that slept", unix.SIGUSR1)
		return
	}
	stillAsleep(t, r.sleeper) // in the second piece
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR2), nil)
	r.wantSigs("readv that slept twice", unix.SIGUSR1, unix.SIGUSR2)
}

// signalfdEmptyReads (SFD-59): a read of 0 bytes is too small, EINVAL; readv(2)
// without any room is not asked of the signalfd, and 0.
func signalfdEmptyReads(t *testing.T) {
	blockAll(t)
	for _, flags := range []int{0, unix.SFD_NONBLOCK} {
		fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), flags)
		for range 2 { // with nothing there, and with a signal
			for _, at := range []uintptr{0, uintptr(unsafe.Pointer(&[1]byte{}))} {
				var err error
				promptly(t, "read of 0 bytes", func() { _, err = rawCall(unix.SYS_READ, uintptr(fd), at, 0) })
				wantErrno(t, "read of 0 bytes", err, unix.EINVAL)
			}
			for _, n := range []uintptr{0, 1, 3} {
				var none [3]unix.Iovec
				promptly(t, "readv of nothing", func() {
					if n, err := rawCall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&none)), n); n != 0 || err != nil {
						t.Errorf("readv of nothing = %d, %v; want 0", n, err)
					}
				})
			}
			mustRaise(t, unix.SIGUSR1)
		}
		wantSigs(t, "after that", fd, unix.SIGUSR1)
	}
}

// mustQueue sends the row's thread a signal with a value; what is left of it at
// the end is taken.
func mustQueue(tb testing.TB, sig unix.Signal, value uint64) {
	tb.Helper()
	if err := rawsig.Tgqueue(os.Getpid(), unix.Gettid(), sig, rawsig.Value(value)); err != nil {
		tb.Fatalf("rt_tgsigqueueinfo(self, %d): %v", sig, err)
	}
	tb.Cleanup(func() { rawsig.Take(sys.Sigs(sig)) })
}

var signalfdReadRows = map[string]func(*testing.T){
	"SFD-09": signalfdManyRecords,
	"SFD-10": signalfdReadSizes,
	"SFD-11": signalfdReadEmpty,
	"SFD-12": signalfdWaitsForOne,
	"SFD-13": behaviour.Alone(signalfdReadConsumes, quiet...),
	"SFD-35": signalfdReadIter,
	"SFD-46": behaviour.Alone(signalfdOrder, quiet...),
	"SFD-47": signalfdPartialFault,
	"SFD-48": signalfdReadErrorOrder,
	"SFD-58": signalfdReadvRecords,
	"SFD-59": signalfdEmptyReads,
}
