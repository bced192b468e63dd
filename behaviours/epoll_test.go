//go:build linux

package behaviours

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/machine"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestEpoll(t *testing.T) {
	behaviour.Run(t, "epoll",
		epollFileRows,
		epollCtlRows,
		epollLifetimeRows,
		epollNestedRows,
		epollExclusiveRows,
		epollOneshotRows,
		epollTriggerRows,
		epollWaitRows,
		epollWaitersRows,
		epollSignalRows,
		epollSourceRows)
}

var epollHolder = child.Register("epoll-holder", func(p *child.Proc) error {
	p.Say("holding")
	for {
		if _, err := p.Hear(); err != nil {
			return nil
		}
		var buf [1]byte
		if _, err := unix.Read(child.FirstFile, buf[:]); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		p.Say("%s", buf[:])
	}
})

// What rows are written in.

// readiness is an event as epoll_wait(2) reports it.
type readiness struct {
	bits uint32
	data uint64
}

// ready is what is reported of a target whose data is its descriptor, as
// mustAdd has it.
func ready(fd int, bits uint32) readiness { return readiness{bits, uint64(fd)} }

func (r readiness) String() string {
	var names []string
	rest := r.bits
	for _, b := range []struct {
		bit  uint32
		name string
	}{
		{unix.EPOLLIN, "IN"}, {unix.EPOLLPRI, "PRI"}, {unix.EPOLLOUT, "OUT"}, {unix.EPOLLERR, "ERR"},
		{unix.EPOLLHUP, "HUP"}, {unix.EPOLLRDHUP, "RDHUP"},
	} {
		if rest&b.bit != 0 {
			names = append(names, b.name)
			rest &^= b.bit
		}
	}
	if rest != 0 || r.bits == 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return fmt.Sprintf("%s of %#x", strings.Join(names, "|"), r.data)
}

func readinessOf(events []unix.EpollEvent) []readiness {
	var rs []readiness
	for _, e := range events {
		rs = append(rs, readiness{e.Events, uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
	}
	return rs
}

// checkReady asks once, without waiting, what is ready: exactly this, in this
// order.
func checkReady(epfd int, want ...readiness) error {
	var events [64]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], 0)
	if err != nil {
		return fmt.Errorf("epoll_pwait: %w", err)
	}
	if got := readinessOf(events[:n]); !slices.Equal(got, want) {
		return fmt.Errorf("epoll_pwait reports %v, want %v", got, want)
	}
	return nil
}

func wantReady(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	if err := checkReady(epfd, want...); err != nil {
		tb.Error(err)
	}
}

func wantReadyAnyOrder(tb testing.TB, epfd int, want ...readiness) {
	tb.Helper()
	var events [64]unix.EpollEvent
	n, err := epollPwait(epfd, events[:], 0)
	got := readinessOf(events[:n])
	order := func(a, b readiness) int { return cmp.Or(cmp.Compare(a.data, b.data), cmp.Compare(a.bits, b.bits)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if err != nil || !slices.Equal(got, want) {
		tb.Errorf("epoll_pwait reports %v, %v; want %v in any order", got, err, want)
	}
}

// epollCtl is epoll_ctl(2) with an errno or nil.
func epollCtl(epfd, op, fd int, bits uint32, data uint64) error {
	return epollCtlAt(epfd, op, fd, uintptr(unsafe.Pointer(
		&unix.EpollEvent{Events: bits, Fd: int32(data), Pad: int32(data >> 32)})))
}

// epollCtlAt is epoll_ctl(2) with its event anywhere.
//
//go:uintptrescapes
func epollCtlAt(epfd, op, fd int, event uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), event, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// epollPwait is epoll_wait(2) by the call that all architectures have.
func epollPwait(epfd int, events []unix.EpollEvent, timeout int) (int, error) {
	return epollPwaitAt(epfd, uintptr(unsafe.Pointer(unsafe.SliceData(events))), len(events), timeout, 0, 0)
}

// epollPwaitAt is epoll_pwait(2) with its buffer and its mask anywhere.
//
//go:uintptrescapes
func epollPwaitAt(epfd int, events uintptr, max, timeout int, mask, masksize uintptr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), events, uintptr(max), uintptr(timeout), mask, masksize)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollPwait2 is epoll_pwait2(2) without a mask; a nil timeout is for ever.
func epollPwait2(epfd int, events []unix.EpollEvent, timeout *unix.Timespec) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// hasPwait2 reports whether this kernel must have epoll_pwait2(2).
func hasPwait2() bool { return behaviour.Since(5, 11) || machine.GVisor() }

func opName(op int) string {
	switch op {
	case unix.EPOLL_CTL_ADD:
		return "ADD"
	case unix.EPOLL_CTL_MOD:
		return "MOD"
	case unix.EPOLL_CTL_DEL:
		return "DEL"
	}
	return strconv.Itoa(op)
}

// wantCtl makes a change that must end in this error.
func wantCtl(tb testing.TB, epfd, op, fd int, want error) {
	tb.Helper()
	if err := epollCtl(epfd, op, fd, unix.EPOLLIN, uint64(uint32(fd))); err != want {
		tb.Errorf("epoll_ctl(%d, %s, %d): %v, want %v", epfd, opName(op), fd, err, want)
	}
}

func mustMod(tb testing.TB, epfd, fd int, bits uint32) {
	tb.Helper()
	if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, bits, uint64(fd)); err != nil {
		tb.Fatalf("epoll_ctl(MOD) with events %#x: %v", bits, err)
	}
}

func mustDel(tb testing.TB, epfd, fd int) {
	tb.Helper()
	if err := epollCtlAt(epfd, unix.EPOLL_CTL_DEL, fd, 0); err != nil {
		tb.Fatalf("epoll_ctl(DEL): %v", err)
	}
}

// wantPolled asks poll(2), ppoll(2) and select(2) about a descriptor, for
// reading.
func wantPolled(tb testing.TB, fd int, want int16) {
	tb.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI}}
	n, err := answered(func() (int, error) { return unix.Poll(p, 0) })
	if err != nil || p[0].Revents != want || n == 0 != (want == 0) {
		tb.Errorf("poll = %d, %v with revents %#x; want %#x", n, err, p[0].Revents, want)
	}
	var r, w, e unix.FdSet
	for _, set := range []*unix.FdSet{&r, &w, &e} {
		set.Set(fd)
	}
	n, err = answered(func() (int, error) { return unix.Select(fd+1, &r, &w, &e, &unix.Timeval{}) })
	if err != nil || r.IsSet(fd) != (want&unix.POLLIN != 0) || w.IsSet(fd) != (want&unix.POLLOUT != 0) || e.IsSet(fd) != (want&unix.POLLPRI != 0) {
		tb.Errorf("select = %d, %v: readable %t, writable %t, exceptional %t; want poll's %#x",
			n, err, r.IsSet(fd), w.IsSet(fd), e.IsSet(fd), want)
	}
}

// mustBlock sets the mask of the row's thread until the row ends.
func mustBlock(tb testing.TB, mask sys.Sigset) {
	tb.Helper()
	old, err := sys.Mask(mask)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := sys.Mask(old); err != nil {
			tb.Error(err)
		}
	})
}

// mustRaise sends the row's thread a signal, which it blocks; what is left of
// it at the end is taken.
func mustRaise(tb testing.TB, sig unix.Signal) {
	tb.Helper()
	if err := rawsig.Raise(sig); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { rawsig.Take(sys.Sigs(sig)) })
}

// isPending reports whether a signal is pending for the calling thread.
func isPending(tb testing.TB, sig unix.Signal) bool {
	tb.Helper()
	set, err := rawsig.Pending()
	if err != nil {
		tb.Fatal(err)
	}
	return set&sys.Sigs(sig) != 0
}

// An fdinfoEntry is a line that proc_pid_fdinfo(5) has for a registration.
type fdinfoEntry struct {
	tfd    int
	events uint32
	data   uint64
	line   string
}

func fdinfo(epfd int) ([]fdinfoEntry, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", epfd))
	if err != nil {
		return nil, err
	}
	var entries []fdinfoEntry
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "tfd:") {
			continue
		}
		e := fdinfoEntry{line: line}
		if _, err := fmt.Sscanf(line, "tfd: %d events: %x data: %x", &e.tfd, &e.events, &e.data); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func mustFdinfo(tb testing.TB, epfd int) []fdinfoEntry {
	tb.Helper()
	entries, err := fdinfo(epfd)
	if errors.Is(err, os.ErrNotExist) {
		behaviour.Limited(tb, "no /proc: %v", err)
	}
	if err != nil || len(entries) == 0 {
		tb.Fatalf("fdinfo: %d entries, %v", len(entries), err)
	}
	return entries
}
