//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"unsafe"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Alternate stacks and the room that a frame takes.

// alternateStack (SIG-73): handlers with SA_ONSTACK run on the alternate stack,
// nested ones further down, and cannot change it: EPERM; sigaltstack(2) refuses
// flags it does not know, EINVAL, and stacks too small, ENOMEM.
func alternateStack(t testing.TB) {
	// A handler without SA_ONSTACK needs room below the goroutine: grow its
	// stack, and keep the collector from shrinking it.
	debug.SetGCPercent(-1)
	growStack()
	setMask(t, rawsig.Blockable&^sys.Sigs(40, 41)) // Go's handlers are at home on their own stack only
	a := fdtest.Arena(t)
	const size = 64 << 10
	base := ptrTo(&a.Bytes(size)[0])
	mine := rawsig.Stack{SP: base, Size: size}
	first, err := rawsig.Altstack(nil)
	wantErr(t, err, nil, "sigaltstack(NULL)")
	old, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack")
	if old != first {
		t.Errorf("the old stack is %+v, it was %+v", old, first)
	}
	defer rawsig.Altstack(&first)
	same := func(what string, want rawsig.Stack) {
		t.Helper()
		if got, err := rawsig.Altstack(nil); err != nil || got != want {
			t.Errorf("%s: the stack is %+v (%v), want %+v", what, got, err, want)
		}
	}
	same("just set", mine)

	for _, flags := range []int32{4, 3, rawsig.SSAutodisarm | 4, -1 &^ rawsig.SSAutodisarm} {
		_, err := rawsig.Altstack(&rawsig.Stack{SP: base, Flags: flags, Size: size})
		wantErr(t, err, unix.EINVAL, "sigaltstack with flags %#x", uint32(flags))
	}
	for _, n := range []uintptr{0, 1, minSigStackSize - 1} {
		_, err := rawsig.Altstack(&rawsig.Stack{SP: base, Size: n})
		wantErr(t, err, unix.ENOMEM, "sigaltstack with %d bytes", n)
	}
	wantErr(t, rawsig.Do(unix.SYS_SIGALTSTACK, badPointer, 0), unix.EFAULT, "sigaltstack(bad pointer)")
	same("after the errors", mine)
	onstack := mine
	onstack.Flags = rawsig.SSOnstack // accepted, means nothing
	_, err = rawsig.Altstack(&onstack)
	wantErr(t, err, nil, "sigaltstack with SS_ONSTACK")

	within, other := sys.Place(a, rawsig.Stack{}), sys.Place(a, mine)
	handle(t, 41, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(within)}},
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{ptrTo(other), 0}},
		{Nr: unix.SYS_TGKILL, Args: [6]uintptr{uintptr(os.Getpid()), uintptr(unix.Gettid()), 41}},
	}})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40, 41)
	r, nested := rawsig.Runs()[0], rawsig.Runs()[1]
	if r.SP < base || r.SP >= base+size {
		t.Errorf("the handler ran at %#x, outside the alternate stack from %#x of %d bytes", r.SP, base, size)
	}
	if nested.SP < base || nested.SP >= r.SP {
		t.Errorf("the nested handler ran at %#x, want further down than %#x on the same stack", nested.SP, r.SP)
	}
	if r.Stack.SP != base || r.Stack.Size != size {
		t.Errorf("uc_stack is %+v, want the alternate stack", r.Stack)
	}
	if within.SP != base || within.Flags != rawsig.SSOnstack {
		t.Errorf("in the handler the stack is %+v, want SS_ONSTACK", *within)
	}
	if r.Results[1] != -int64(unix.EPERM) {
		t.Errorf("changing the stack from the handler on it: %d, want EPERM", r.Results[1])
	}
	same("after the handler", onstackAfter(mine))

	// Not asked for, or disabled, the handler stays where the program was.
	handle(t, 40, rawsig.Handler{})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp >= base && sp < base+size {
		t.Error("a handler without SA_ONSTACK ran on the alternate stack")
	}
	disabled := rawsig.Stack{SP: 1, Flags: rawsig.SSDisable, Size: 1} // its place and size do not matter
	_, err = rawsig.Altstack(&disabled)
	wantErr(t, err, nil, "sigaltstack with SS_DISABLE")
	same("disabled", rawsig.Stack{Flags: rawsig.SSDisable})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp >= base && sp < base+size {
		t.Error("a handler ran on the disabled alternate stack")
	}
}

// onstackAfter is how a stack set with SS_ONSTACK reads back outside handlers.
func onstackAfter(s rawsig.Stack) rawsig.Stack {
	s.Flags = 0
	return s
}

// autodisarm (SIG-74): SS_AUTODISARM makes the thread have no alternate stack
// during the handler, so that it may set another one, and have it again after
// it.
func autodisarm(t testing.TB) {
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	a := fdtest.Arena(t)
	const size = 64 << 10
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Flags: rawsig.SSAutodisarm, Size: size}
	first, err := rawsig.Altstack(&mine)
	if err == unix.EINVAL && !behaviour.Since(4, 7) {
		behaviour.Absent(t, "SS_AUTODISARM came with Linux 4.7")
	}
	wantErr(t, err, nil, "sigaltstack with SS_AUTODISARM")
	defer rawsig.Altstack(&first)
	within := sys.Place(a, rawsig.Stack{})
	other := sys.Place(a, rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Size: size})
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack, Calls: []rawsig.Call{
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(within)}},
		{Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{ptrTo(other), 0}},
	}})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	r := rawsig.Runs()[0]
	if r.SP < mine.SP || r.SP >= mine.SP+size {
		t.Errorf("the handler ran at %#x, outside the alternate stack from %#x", r.SP, mine.SP)
	}
	if r.Stack != mine {
		t.Errorf("uc_stack is %+v, want %+v", r.Stack, mine)
	}
	if want := (rawsig.Stack{Flags: rawsig.SSDisable}); *within != want {
		t.Errorf("in the handler the stack is %+v, want %+v", *within, want)
	}
	if r.Results[1] != 0 {
		t.Errorf("setting another stack in the handler: %d, want success", r.Results[1])
	}
	if got, err := rawsig.Altstack(nil); err != nil || got != mine {
		t.Errorf("after the handler the stack is %+v (%v), want %+v", got, err, mine)
	}
}

// minimalStack (SIG-75): AT_MINSIGSTKSZ tells how large a frame can be on this
// CPU, and frames keep to it.
func minimalStack(t testing.TB) {
	const atMinsigstksz = 51
	text, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		behaviour.Limited(t, "%v", err)
	}
	var least uint64
	for ; len(text) >= 16; text = text[16:] {
		if *(*uint64)(unsafe.Pointer(&text[0])) == atMinsigstksz {
			least = *(*uint64)(unsafe.Pointer(&text[8]))
		}
	}
	if least == 0 {
		if behaviour.Since(minsigstkszSince[0], minsigstkszSince[1]) {
			t.Fatal("the auxiliary vector has no AT_MINSIGSTKSZ")
		}
		return
	}
	if least < minSigFrame {
		t.Errorf("AT_MINSIGSTKSZ is %d, less than the smallest frame of %d", least, minSigFrame)
	}
	setMask(t, rawsig.Blockable&^sys.Sigs(40))
	a := fdtest.Arena(t)
	size := uintptr(max(least, minSigStackSize))
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(int(size))[0]), Size: size}
	first, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack of %d bytes", size)
	defer rawsig.Altstack(&first)
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	wantRuns(t, 40)
	if sp := rawsig.Runs()[0].SP; sp < mine.SP || sp >= mine.SP+size {
		t.Errorf("the handler ran at %#x, outside the stack of %d bytes from %#x", sp, size, mine.SP)
	}
}

// alternateStackOfChildren (SIG-95): a forked child has its parent's alternate
// stack, a new thread has none.
func alternateStackOfChildren(t testing.TB) {
	blockAll(t)
	a := fdtest.Arena(t)
	const size = 64 << 10
	mine := rawsig.Stack{SP: ptrTo(&a.Bytes(size)[0]), Size: size}
	first, err := rawsig.Altstack(&mine)
	wantErr(t, err, nil, "sigaltstack")
	defer rawsig.Altstack(&first)
	query := func() (*rawsig.Stack, sys.Call) {
		s := sys.Place(a, rawsig.Stack{SP: 77})
		return s, sys.Call{Name: "sigaltstack()", Nr: unix.SYS_SIGALTSTACK, Args: [6]uintptr{0, ptrTo(s)}}
	}
	forked, call := query()
	startBare(t, a, call).want(t)
	if *forked != mine {
		t.Errorf("a forked child has the alternate stack %+v, want its parent's %+v", *forked, mine)
	}
	threads, call := query()
	l := sys.NewLoop(a, call)
	l.Reset(1)
	th, err := sys.NewThread(a, l)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the thread has ended", th.Gone)
	if want := (rawsig.Stack{Flags: rawsig.SSDisable}); *threads != want {
		t.Errorf("a new thread has the alternate stack %+v, want %+v", *threads, want)
	}
}

// frameThatDoesNotFit (SIG-96): a handler whose frame cannot be written is
// SIGSEGV in its place; if that has no place to run either, the process is
// killed.
func frameThatDoesNotFit(t *testing.T) {
	segvForFrame(t)
	p := child.Start(t, noRoomForFrame, child.Options{Block: quiet})
	if s := p.Status(); !s.Signaled() || s.Signal() != unix.SIGSEGV {
		t.Errorf("status %#x, want killed by SIGSEGV: %s", s, p.Stderr())
	}
}

var segvForFrame = behaviour.Alone(func(t testing.TB) {
	// SIGSEGV's handler runs below the goroutine: see alternateStack.
	debug.SetGCPercent(-1)
	growStack()
	const size = 64 << 10
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	first, err := rawsig.Altstack(&rawsig.Stack{SP: ptrTo(&page[0]), Size: size})
	wantErr(t, err, nil, "sigaltstack")
	defer rawsig.Altstack(&first)
	handle(t, 40, rawsig.Handler{Flags: rawsig.SAOnstack})
	handle(t, unix.SIGSEGV, rawsig.Handler{})
	setMask(t, rawsig.Blockable&^sys.Sigs(40, unix.SIGSEGV))
	wantErr(t, rawsig.Raise(40), nil, "tgkill(self, 40)")
	setMask(t, rawsig.Blockable)
	wantRuns(t, unix.SIGSEGV)
	if runs := rawsig.Runs(); len(runs) > 0 {
		wantInfo(t, "for the frame that does not fit", runs[0].Info, sys.Siginfo{Signo: int32(unix.SIGSEGV), Code: rawsig.SIKernel})
	}
	wantPending(t, 0) // 40 is lost
}, quiet...)

var noRoomForFrame = child.Register("no-room-for-frame", func(p *child.Proc) error {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	const size = 64 << 10
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if _, err := rawsig.Altstack(&rawsig.Stack{SP: ptrTo(&page[0]), Size: size}); err != nil {
		return err
	}
	for _, sig := range []unix.Signal{40, unix.SIGSEGV} {
		if _, err := rawsig.Handle(sig, rawsig.Handler{Flags: rawsig.SAOnstack}); err != nil {
			return err
		}
	}
	mask := rawsig.Blockable &^ sys.Sigs(40)
	if _, err := rawsig.Mask(unix.SIG_SETMASK, &mask); err != nil {
		return err
	}
	if err := rawsig.Raise(40); err != nil {
		return err
	}
	return fmt.Errorf("survived a signal without room for its frame; %d handlers ran", len(rawsig.Runs()))
})

// growStack makes the goroutine's stack larger than any signal's frame.
//
//go:noinline
func growStack() {
	var room [256 << 10]byte
	sink = room[len(os.Args)]
}

var sink byte

var signalStackRows = map[string]func(*testing.T){
	"SIG-73": behaviour.Alone(alternateStack, quiet...),
	"SIG-74": behaviour.Alone(autodisarm, quiet...),
	"SIG-75": behaviour.Alone(minimalStack, quiet...),
	"SIG-95": behaviour.Alone(alternateStackOfChildren, quiet...),
	"SIG-96": frameThatDoesNotFit,
}
