//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Signals that the kernel raises for a fault.

// faultCannotBeBlocked (SIG-60): a signal that the kernel raises for a fault
// kills the process if it is blocked or ignored; the same signal sent does not.
func faultCannotBeBlocked(t *testing.T) {
	for _, how := range []string{"block", "ignore", "ignore and block"} {
		p := child.Start(t, faulting, child.Options{Args: []string{how}})
		p.Expect("survived SIGSEGV sent to itself")
		if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGSEGV {
			t.Errorf("%s: status %#x, want killed by SIGSEGV", how, s)
		}
	}
}

var faulting = child.Register("faulting", func(p *child.Proc) error {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	how := p.Args[0]
	mask := sys.Sigset(0)
	if how != "block" {
		if err := child.Ignore(unix.SIGSEGV); err != nil {
			return err
		}
	}
	if how != "ignore" {
		mask = sys.Sigs(unix.SIGSEGV)
	}
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := rawsig.Raise(unix.SIGSEGV); err != nil {
		return err
	}
	if how == "block" {
		rawsig.Take(mask) // else it would be delivered in the fault's place
	}
	p.Say("survived SIGSEGV sent to itself")
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return fmt.Errorf("read %d from a page without access", page[0])
})

// faultIsRepaired (SIG-119): a fault's siginfo has the address that was
// accessed, to the byte, and why it could not be: SEGV_ACCERR where there is
// memory that may not be accessed so, SEGV_MAPERR where there is none,
// BUS_ADRERR where a file has ended. When the handler has put that right, the
// instruction is made again and does what it was to do: the handler runs once.
func faultIsRepaired(t testing.TB) {
	page := uintptr(os.Getpagesize())
	file := mustMemfd(t)
	const busAdrerr, value = 2, 0x5a
	const private = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	call := func(nr uintptr, args ...uintptr) (c rawsig.Call) {
		c.Nr = nr
		copy(c.Args[:], args)
		return c
	}
	type access struct {
		what  string
		sig   unix.Signal
		code  int32
		prot  int  // of the memory
		file  bool // beyond the end of a file
		none  bool // there is no memory
		write bool
	}
	for _, c := range []access{
		{"read of memory without access", unix.SIGSEGV, rawsig.SegvAccerr, unix.PROT_NONE, false, false, false},
		{"write to memory without access", unix.SIGSEGV, rawsig.SegvAccerr, unix.PROT_NONE, false, false, true},
		{"write to memory that can be read", unix.SIGSEGV, rawsig.SegvAccerr, unix.PROT_READ, false, false, true},
		{"read where there is no memory", unix.SIGSEGV, rawsig.SegvMaperr, 0, false, true, false},
		{"write where there is no memory", unix.SIGSEGV, rawsig.SegvMaperr, 0, false, true, true},
		{"read beyond the end of a file", unix.SIGBUS, busAdrerr, unix.PROT_READ | unix.PROT_WRITE, true, false, false},
		{"write beyond the end of a file", unix.SIGBUS, busAdrerr, unix.PROT_READ | unix.PROT_WRITE, true, false, true},
	} {
		for _, offset := range []uintptr{0, 1, 123, page - 1} {
			// Of three pages the one in the middle, so that nothing
			// else comes to be there.
			at := mustMapAt(t, 3*page, unix.PROT_NONE, private, -1) + page
			if err := unix.Ftruncate(file, 0); err != nil {
				t.Fatal(err)
			}
			repair := call(unix.SYS_MPROTECT, at, page, unix.PROT_READ|unix.PROT_WRITE)
			var err error
			switch {
			case c.file:
				_, err = rawCall(unix.SYS_MMAP, at, page, uintptr(c.prot), unix.MAP_SHARED|unix.MAP_FIXED, uintptr(file), 0)
				repair = call(unix.SYS_FTRUNCATE, uintptr(file), page)
			case c.none:
				_, err = rawCall(unix.SYS_MUNMAP, at, page)
				repair = call(unix.SYS_MMAP, at, page, unix.PROT_READ|unix.PROT_WRITE, private|unix.MAP_FIXED, minusOne, 0)
			default:
				_, err = rawCall(unix.SYS_MPROTECT, at, page, uintptr(c.prot))
			}
			if err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			handle(t, c.sig, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{repair}})
			setMask(t, rawsig.Blockable&^sys.Sigs(c.sig))
			got := byte(0)
			if c.write {
				storeByte(at+offset, value)
				got = value
			} else {
				got = loadByte(at + offset)
			}
			setMask(t, rawsig.Blockable)
			what := fmt.Sprintf("%s, at byte %d of a page", c.what, offset)
			runs := rawsig.Runs()
			if len(runs) != 1 || runs[0].Sig != int64(c.sig) {
				t.Fatalf("%s: handlers ran for %v, want one run for %v", what, rawsig.Order(), c.sig)
			}
			r := runs[0]
			info := sys.Siginfo{Signo: int32(c.sig), Code: c.code}
			*(*uintptr)(unsafe.Pointer(&info.Pid)) = at + offset // si_addr
			r.Info.Value = 0                                     // not a fault's
			wantInfo(t, what, r.Info, info)
			if r.TID != int64(unix.Gettid()) || r.Results[0] < 0 && r.Results[0] > -4096 {
				t.Errorf("%s: the handler ran on thread %d, and to repair it returned %d; want %d and success", what, r.TID, r.Results[0], unix.Gettid())
			}
			if want := loadByte(at + offset); got != want || !c.write && got != 0 {
				t.Errorf("%s: the access that was made again gave %#x, and the memory has %#x", what, got, want)
			}
		}
	}
	wantPending(t, 0)
}

// mustMapAt maps memory and returns where.
func mustMapAt(t testing.TB, size uintptr, prot, flags, fd int) uintptr {
	t.Helper()
	at, err := rawCall(unix.SYS_MMAP, 0, size, uintptr(prot), uintptr(flags), uintptr(fd), 0)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() { rawCall(unix.SYS_MUNMAP, uintptr(at), size) })
	return uintptr(at)
}

// loadByte and storeByte access memory that Go does not know.
//
//go:noinline
//go:norace
//go:nocheckptr
func loadByte(at uintptr) byte { return **(**byte)(unsafe.Pointer(&at)) }

//go:noinline
//go:norace
//go:nocheckptr
func storeByte(at uintptr, v byte) { **(**byte)(unsafe.Pointer(&at)) = v }

var signalFaultRows = map[string]func(*testing.T){
	"SIG-60":  faultCannotBeBlocked,
	"SIG-119": behaviour.Alone(faultIsRepaired, quiet...),
}
