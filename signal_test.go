//go:build linux

package eventbench

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/machine"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// rtSignal is a real-time signal that neither the C library nor Go uses.
const rtSignal = unix.Signal(40)

// Per signal(7): "Standard signals do not queue. If multiple instances of a
// standard signal are generated while that signal is blocked, then only one
// instance of the signal is marked as pending"; instances of a real-time signal
// queue. The source counts 100,000 SIGUSR1 and waits for ever for those that
// merged. Here 1 to 10 signals are sent to a process between two calls of
// rt_sigtimedwait. All 55 are sent successfully: of the standard signals 10
// arrive, of the real-time signals all 55.
func TestSignalStandardMerge(t *testing.T) {
	check := func(sig unix.Signal, want func(sent int) int) {
		t.Run("sig="+fdtest.SignalName(sig), func(t *testing.T) {
			p := child.Start(t, sigCounterRole, child.Options{
				Args:  []string{strconv.Itoa(int(sig))},
				Block: []unix.Signal{sig},
			})
			p.Expect("ready")
			sent, delivered := 0, 0
			for burst := 1; burst <= 10; burst++ {
				for range burst {
					mustSigqueue(t, p.Pid, sig)
				}
				p.Say("count")
				n, err := strconv.Atoi(p.Line())
				if err != nil {
					t.Fatal(err)
				}
				if n != want(burst) {
					t.Errorf("%d sent while blocked: %d delivered, want %d", burst, n, want(burst))
				}
				sent += burst
				delivered += n
			}
			p.Wait()
			t.Logf("sent %d, delivered %d", sent, delivered)
		})
	}
	check(unix.SIGUSR1, func(int) int { return 1 })
	check(rtSignal, func(sent int) int { return sent })
}

// The same with a receiver that takes signals as fast as it can while they are
// sent, as in the source. Per signal(7) each SIGUSR1 that is sent while one is
// pending is lost, so scheduling decides how many arrive: at least the last,
// and never more than were sent.
func TestSignalStandardMergeRunning(t *testing.T) {
	const sent = 20_000
	p := child.Start(t, sigDrainRole, child.Options{Block: []unix.Signal{unix.SIGUSR1, unix.SIGUSR2}})
	p.Expect("ready")
	for range sent {
		p.Signal(unix.SIGUSR1)
	}
	// The lower number of two pending signals is taken first.
	p.Signal(unix.SIGUSR2)
	delivered, err := strconv.Atoi(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if delivered < 1 || delivered > sent {
		t.Errorf("%d of %d delivered, want 1 to %d", delivered, sent, sent)
	}
	t.Logf("sent %d, delivered %d (%.1f %%)", sent, delivered, 100*float64(delivered)/sent)
}

// sigCounterRole answers each line with the number of pending instances of
// the given signal, which it takes.
var sigCounterRole = child.Register("signal-counter", func(p *child.Proc) error {
	n, err := strconv.Atoi(p.Args[0])
	if err != nil {
		return err
	}
	sig := unix.Signal(n)
	p.Say("ready")
	for {
		if _, err := p.Hear(); err != nil {
			return nil
		}
		count := 0
		for {
			_, err := sigtimedwait(0, sig)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return err
			}
			count++
		}
		p.Say("%d", count)
	}
})

// sigDrainRole counts SIGUSR1 until SIGUSR2 ends the stream.
var sigDrainRole = child.Register("signal-drain", func(p *child.Proc) error {
	p.Say("ready")
	for count := 0; ; count++ {
		sig, err := sigtimedwait(child.Patience, unix.SIGUSR1, unix.SIGUSR2)
		if err != nil {
			return fmt.Errorf("after %d signals: %w", count, err)
		}
		if sig == unix.SIGUSR2 {
			p.Say("%d", count)
			return nil
		}
	}
})

// sigtimedwait takes a pending signal, rt_sigtimedwait(2): EAGAIN if none came
// in time.
func sigtimedwait(timeout time.Duration, sigs ...unix.Signal) (unix.Signal, error) {
	var set uint64 // the kernel's own signal set
	for _, s := range sigs {
		set |= 1 << (s - 1)
	}
	ts := unix.NsecToTimespec(int64(timeout))
	for {
		n, _, e := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0,
			uintptr(unsafe.Pointer(&ts)), unsafe.Sizeof(set), 0, 0)
		switch e {
		case 0:
			return unix.Signal(n), nil
		case unix.EINTR:
		default:
			return 0, fmt.Errorf("rt_sigtimedwait: %w", e)
		}
	}
}

// mustSigqueue sends a signal as sigqueue(3) does. Unlike kill it fails if a
// real-time signal finds no room.
func mustSigqueue(tb testing.TB, pid int, sig unix.Signal) {
	tb.Helper()
	const siQueue = -1
	var info struct { // siginfo_t as rt_sigqueueinfo(2) wants it
		signo, errno, code, _ int32
		pid, uid              int32
		value                 uint64
		_                     [96]byte
	}
	info.signo, info.code = int32(sig), siQueue
	info.pid, info.uid = int32(unix.Getpid()), int32(unix.Getuid())
	_, _, e := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), uintptr(unsafe.Pointer(&info)))
	switch e {
	case 0:
	case unix.EAGAIN:
		tb.Skipf("rt_sigqueueinfo(%s): %v: raise RLIMIT_SIGPENDING (ulimit -i)", fdtest.SignalName(sig), e)
	default:
		fdtest.Must(tb, "rt_sigqueueinfo("+fdtest.SignalName(sig)+")", e)
	}
}

// A class of signals, and which of its signals benchmarks send: to the peer and
// from the peer.
type class struct {
	name       string
	ping, pong unix.Signal
	queued     bool // sent with a value, one by one; else merged while pending
}

var classes = []class{
	{"std", unix.SIGUSR1, unix.SIGUSR2, false},
	{"rt", 40, 41, true},
}

// mark follows the last signal of a stream. No signal of its number is pending
// before. A standard signal needs no place in the queue: with the queue full
// the kernel still sets its bit, and delivers it without a siginfo_t
// (__send_signal_locked in kernel/signal.c). So it reaches the receiver even if
// RLIMIT_SIGPENDING is used up, unlike a real-time signal. It is taken after
// SIGUSR1, but before real-time signals: lower numbers first.
const mark = unix.SIGUSR2

// BenchmarkSignalSelf sends a signal to its own thread and receives it.
func BenchmarkSignalSelf(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.Self(b, func(p *peer.Party) measure.Side {
			post := c.post(p.Arena, unix.Getpid(), p.TID, c.ping)
			if via == "handler" {
				// An unblocked signal is handled on the way out
				// of the call that sends it.
				runs := fdtest.Handle(p.TB, c.ping)
				p.Unblock(c.ping)
				return measure.Side{Calls: []sys.Call{post}, Count: runs}
			}
			side := c.receive(p, via, c.ping)
			side.Calls = append([]sys.Call{post}, side.Calls...)
			return side
		})
	})
}

// BenchmarkSignalEmpty asks, with a timeout of 0, for a signal while none is
// pending.
func BenchmarkSignalEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		set, info := sys.Place(p.Arena, sys.Sigs(unix.SIGUSR1)), sys.Place(p.Arena, sys.Siginfo{})
		now := sys.Place(p.Arena, unix.Timespec{})
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.Sigpoll(set, info, now, unix.SIGUSR1))}}
	})
}

// BenchmarkSignalRoundTrip answers one signal with another. Both are sent to a
// thread (tgkill, rt_tgsigqueueinfo): sent to a process with more than one
// thread, a signal may go to any that does not block it.
func BenchmarkSignalRoundTrip(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		if via == "signalfd" && machine.GVisor() {
			b.Skip("a signalfd of gVisor's reads the signals of the thread that made it, not of its reader as signalfd(2) says")
		}
		measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
			here = c.receive(p.Party, via, c.pong)
			there = c.receive(p.Party, via, c.ping)
			p.Start()
			here.Calls = append([]sys.Call{c.post(p.Arena, p.PeerPID, p.PeerTID, c.ping)}, here.Calls...)
			there.Calls = append(there.Calls, c.post(p.Arena, unix.Getpid(), p.TID, c.pong))
			return here, there
		})
	})
}

// BenchmarkSignalOneWay sends a signal to a thread that waits for it. Only
// real-time signals are sent on a schedule: others merge, and a handler may run
// more than once for one wait.
func BenchmarkSignalOneWay(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way {
			w := measure.Way{Receive: c.receive(p.Party, via, c.ping), Refusable: c.queued}
			p.Start()
			w.Post = []sys.Call{c.post(p.Arena, unix.Getpid(), p.TID, c.ping)}
			return w
		}, c.queued && via != "handler")
	})
}

// BenchmarkSignalThroughput is the source's stream of signals, with an end that
// cannot be lost: see mark. Standard signals merge while pending: delivered/op
// says how many of those sent were seen. Real-time signals queue until
// RLIMIT_SIGPENDING, then the kernel refuses them: sent/op.
func BenchmarkSignalThroughput(b *testing.B) {
	eachSignal(b, func(b *testing.B, c class, via string) {
		measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
			s := c.stream(p, via)
			p.Start()
			post := c.post(p.Arena, unix.Getpid(), p.TID, c.ping)
			if c.queued {
				post.Refused = unix.EAGAIN
			}
			s.Send = []sys.Call{post}
			last := sys.Tgkill(unix.Getpid(), p.TID, mark)
			last.Set, last.SetTo = s.over, 1
			s.Last = []sys.Call{last}
			return s.Stream
		})
	})
}

// BenchmarkOSSignalSelf sends a signal to the process and receives it as Go
// programs do: from the channel of os/signal.Notify.
func BenchmarkOSSignalSelf(b *testing.B) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			received := mustNotify(b, c.ping)
			measure.Loop(b, func(n int) error {
				for i := range n {
					if err := unix.Kill(unix.Getpid(), c.ping); err != nil {
						return fmt.Errorf("kill: %w", err)
					}
					select {
					case <-received:
					case <-time.After(pace):
						if err := awaitSignal(received); err != nil {
							return fmt.Errorf("os/signal delivered %d of %d signals, then %w", i, i+1, err)
						}
					}
				}
				return nil
			})
		})
	}
}

// BenchmarkOSSignalThroughput is SignalThroughput received through os/signal.
// It keeps one bit for each signal number, so that real-time signals merge as
// well.
func BenchmarkOSSignalThroughput(b *testing.B) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				return c.osStream(p, func() {})
			})
		})
	}
}

// osStream takes signals from a channel of os/signal's until the end is told by
// a channel of its own. os/signal drops what does not fit a channel, and no
// mark would fit the stream's channel after a delay of the receiver. The other
// channel never holds more than the one mark of a stream: kill(2) is never
// refused for a full queue (SI_USER in __send_signal_locked of
// kernel/signal.c), and os/signal keeps a bit for each number until it has
// handed it over. The mark's number is the highest, so that the kernel delivers
// it after all others. stall is called before each receipt.
func (c class) osStream(p *peer.Pair, stall func()) *measure.Stream {
	mark := mark
	if c.queued {
		mark = 42
	}
	received, end := mustNotify(p.TB, c.ping), mustNotify(p.TB, mark)
	p.Start()
	post := sys.Kill(unix.Getpid(), c.ping)
	if c.queued {
		post.Refused = unix.EAGAIN // by gVisor, with 32 pending; Linux silently drops them
	}
	var told uint64
	// quiet counts events until none has come for some time.
	quiet := func(d time.Duration) {
		for {
			select {
			case <-received:
				told++
			case <-time.After(d):
				return
			}
		}
	}
	return &measure.Stream{
		Send: []sys.Call{post},
		Last: []sys.Call{sys.Kill(unix.Getpid(), mark)},
		Take: func(check func() error) error {
			for wait := p.Wait(); ; {
				stall()
				select {
				case <-received:
					told++
					wait.Again()
				case <-end:
					for range len(received) {
						<-received
						told++
					}
					return nil
				case <-time.After(pace):
					if err := check(); err != nil {
						return err
					}
					if wait.Over() {
						return fmt.Errorf("os/signal delivered %d signals, then none for %v", told, wait)
					}
				}
			}
		},
		Told: func() uint64 {
			// Other threads may have taken the last signals before
			// the mark and be about to deliver them. The very first
			// one is not lost, however long its thread has to wait
			// for a CPU.
			if told == 0 {
				if awaitSignal(received) == nil {
					told++
				}
			}
			quiet(time.Millisecond)
			return take(&told)
		},
		Lossy: true,
		Late:  true,
	}
}

// A receiver from os/signal that gets no CPU until the sender has posted its
// whole stream still sees the end, though its channel has long been full.
func TestOSSignalStalled(t *testing.T) {
	for _, c := range classes {
		t.Run("sig="+c.name, func(t *testing.T) {
			// Slowly enough for os/signal to deliver nearly every
			// one.
			const sent, room = 3000, 1024
			p := peer.NewPair(t, peer.Placement{Kind: peer.Process, Here: peer.AnyCPU, There: peer.AnyCPU})
			var once sync.Once
			var stalled error
			s := c.osStream(p, func() {
				once.Do(func() {
					stalled = p.Await(p.There)
					time.Sleep(50 * time.Millisecond)
				})
			})
			rest := sys.Place(p.Arena, unix.NsecToTimespec(int64(50*time.Microsecond)))
			p.There.SetCalls(p.Arena, append(s.Send, sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, rest))...)
			p.There.Reset(sent)
			p.Last(s.Last...)
			p.Open()
			if err := errors.Join(s.Take(p.Check), stalled); err != nil {
				t.Fatal(err)
			}
			if err := p.Join(); err != nil {
				t.Fatal(err)
			}
			told := s.Told()
			if told == 0 || told > sent {
				t.Errorf("told of %d signals of %d", told, sent)
			}
			if told != room {
				t.Logf("told of %d signals of %d: the channel has room for %d", told, sent, room)
			}
		})
	}
}

// eachSignal runs f for both classes of signals and each way to receive them.
func eachSignal(b *testing.B, f func(b *testing.B, c class, via string)) {
	for _, c := range measure.Shuffled(b, classes...) {
		b.Run("sig="+c.name, func(b *testing.B) {
			if c.queued {
				mustQueueRoom(b, 1)
			}
			for _, via := range measure.Shuffled(b, "sigtimedwait", "signalfd", "handler") {
				b.Run("via="+via, func(b *testing.B) { f(b, c, via) })
			}
		})
	}
}

// post sends sig to a thread: with a value of 1 where signals of the class are
// queued.
func (c class) post(a *sys.Arena, pid, tid int, sig unix.Signal) sys.Call {
	if !c.queued {
		return sys.Tgkill(pid, tid, sig)
	}
	info := sys.Place(a, sys.Siginfo{Signo: int32(sig), Code: sys.SIQueue, Pid: int32(unix.Getpid()), Value: 1})
	return sys.Tgsigqueue(pid, tid, sig, info)
}

// receive waits for sig, which is blocked, and takes it.
func (c class) receive(p *peer.Party, via string, sig unix.Signal) measure.Side {
	var s measure.Side
	switch via {
	case "sigtimedwait":
		info := sys.Place(p.Arena, sys.Siginfo{})
		s.Calls = []sys.Call{sys.Sigwait(sys.Place(p.Arena, sys.Sigs(sig)), info, sig)}
		s.Sum = &info.Value
	case "signalfd":
		info := sys.Place(p.Arena, unix.SignalfdSiginfo{})
		s.Calls = []sys.Call{sys.SignalfdRead(fdtest.Signalfd(p.TB, sig), info)}
		s.Sum = &info.Ptr
	case "handler":
		runs := fdtest.Handle(p.TB, sig)
		return measure.Side{
			Calls: []sys.Call{sys.SigsuspendUntilRun(sys.Place(p.Arena, peer.AllBut(sig)), runs)},
			Sum:   runs,
		}
	}
	if !c.queued {
		s.Sum = nil // no value comes with it: the call's result is the account
	}
	return s
}

// A signalStream is a stream of signals to a thread.
type signalStream struct {
	*measure.Stream
	over *uint32 // to be set before the mark is sent
}

// stream takes signals until the mark has come and none is left.
//
// Standard signals are taken before the mark, so the mark ends the stream.
// Queued signals may be left when the sender announces, by over, that it has
// sent the mark after all others: by then all of them and the mark are pending,
// and the sender's account says how many.
func (c class) stream(p *peer.Pair, via string) signalStream {
	over := p.Arena.Word(0)
	s := &measure.Stream{Lossy: !c.queued}
	// Each side counts what it received: the mark is no event.
	s.Told = func() uint64 { return uint64(p.Here.Done) - 1 }
	switch via {
	case "sigtimedwait":
		info := sys.Place(p.Arena, sys.Siginfo{})
		wait := sys.Sigwait(sys.Place(p.Arena, sys.Sigs(c.ping, mark)), info, c.ping)
		wait.AnyCount = true
		s.Receive = measure.Side{Calls: []sys.Call{wait}, Sum: &info.Value}
		s.Until, s.Limit = (*uint64)(unsafe.Pointer(info)), uint64(mark) // si_signo, and si_errno, which is 0
	case "signalfd":
		info := sys.Place(p.Arena, unix.SignalfdSiginfo{})
		s.Receive = measure.Side{
			Calls: []sys.Call{sys.SignalfdRead(fdtest.Signalfd(p.TB, c.ping, mark), info)},
			Sum:   &info.Ptr,
		}
		s.Until, s.Limit = (*uint64)(unsafe.Pointer(info)), uint64(mark) // ssi_signo, and ssi_errno, which is 0
	case "handler":
		runs := fdtest.Handle(p.TB, c.ping)
		s.Receive = measure.Side{Calls: []sys.Call{sys.Sigsuspend(sys.Place(p.Arena, peer.AllBut(c.ping, mark)))}}
		s.Until, s.Limit = fdtest.Handle(p.TB, mark), 1
		s.Told = func() uint64 { return take(runs) }
		s.Rest = func(accepted uint64) error {
			if *runs >= accepted {
				return nil
			}
			p.Here.Until, p.Here.Limit = runs, accepted
			return p.Run(1<<62, nil)
		}
	}
	switch {
	case !c.queued:
		s.Receive.Sum, s.Rest = nil, nil
	case via != "handler":
		s.Until, s.Limit = over, 1
		s.Rest = func(accepted uint64) error {
			p.Here.Until = nil
			return p.Run(int(accepted)+1-int(p.Here.Done), nil)
		}
	}
	return signalStream{s, (*uint32)(unsafe.Pointer(over))} // its low half: both architectures are little-endian
}

// take sets a count to 0 and returns its old value.
func take(count *uint64) (n uint64) {
	n, *count = *count, 0
	return n
}

// pace is how often whoever waits for os/signal looks whether it is long
// enough.
const pace = 200 * time.Millisecond

// awaitSignal waits for a signal that os/signal relays, for as long as a peer
// may take.
func awaitSignal(relayed <-chan os.Signal) error {
	for wait := sys.NewWait(peer.Deadline); ; {
		select {
		case <-relayed:
			return nil
		case <-time.After(pace):
		}
		if wait.Over() {
			return fmt.Errorf("none for %v", wait)
		}
	}
}

// mustNotify relays sigs to the channel until the benchmark ends.
func mustNotify(tb testing.TB, sigs ...os.Signal) <-chan os.Signal {
	tb.Helper()
	c := make(chan os.Signal, 1024)
	signal.Notify(c, sigs...)
	tb.Cleanup(func() { signal.Stop(c) })
	return c
}
