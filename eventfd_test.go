//go:build linux

package eventbench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// second is the length of a second of the source's programs. They run for 10
// seconds, and show nothing more in that time than in a fiftieth of it.
const second = 20 * time.Millisecond

// Per eventfd(2): with EFD_SEMAPHORE each read returns 1 and takes 1 from the
// counter, and blocks while it is 0. So a producer that writes 1 to 10, one
// value a second, hands over 55 tokens, whenever the consumer reads.
func TestEventfdProducerConsumerSemaphore(t *testing.T) {
	t.Parallel()
	fd := fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	tokens := 0
	consumer := child.Go(t, "consumer", func() error {
		for ; tokens < 55; tokens++ {
			if n, err := eventfdRead(fd); err != nil || n != 1 {
				return fmt.Errorf("read %d after %d tokens: got %d, %v; want 1", tokens+1, tokens, n, err)
			}
		}
		return nil
	})
	producer := child.Go(t, "producer", func() error { return produce(fd, pause) })
	producer.Join()
	consumer.Join()
	if tokens != 55 {
		t.Errorf("consumer got %d tokens, want 55", tokens)
	}
	wantEmpty(t, fd)
}

// Per eventfd(2): without EFD_SEMAPHORE a read returns the whole counter and
// sets it to 0. Values written between two reads arrive as their sum. So the
// consumer counts 55 units, in any number of reads.
func TestEventfdProducerConsumerCounter(t *testing.T) {
	t.Parallel()
	check := func(name string, between func(fd int, consumer *child.Thread), late bool, want ...uint64) {
		t.Run("pace="+name, func(t *testing.T) {
			fd := fdtest.Eventfd(t, 0)
			var got []uint64
			consume := func() error {
				for sum := uint64(0); sum < 55; {
					n, err := eventfdRead(fd)
					if err != nil {
						return err
					}
					sum += n
					got = append(got, n)
				}
				return nil
			}
			var consumer *child.Thread
			if !late {
				consumer = child.Go(t, "consumer", consume)
			}
			if err := produce(fd, func() { between(fd, consumer) }); err != nil {
				t.Error(err)
			}
			if late {
				consumer = child.Go(t, "consumer", consume)
			}
			consumer.Join()
			var sum uint64
			for _, n := range got {
				sum += n
			}
			if sum != 55 || len(got) > 10 {
				t.Errorf("consumer read %v: sum %d in %d reads; want 55 in at most 10", got, sum, len(got))
			}
			if want != nil && !slices.Equal(got, want) {
				t.Errorf("consumer read %v, want %v", got, want)
			}
			wantEmpty(t, fd)
		})
	}
	check("second", func(int, *child.Thread) { pause() }, false)
	// A consumer that is back in read(2) before each write sees each value.
	check("lockstep", func(fd int, consumer *child.Thread) {
		consumer.AwaitBlocked(unix.SYS_READ)
	}, false, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	// One that comes after the last write sees one.
	check("burst", func(int, *child.Thread) {}, true, 55)
}

// The consumer of the source reads from a semaphore eventfd until it sees a
// value of at least 10. Per eventfd(2) every read returns 1: it gets 55 ones,
// and then sleeps for ever in a read.
func TestEventfdSemaphoreNeverReadsTen(t *testing.T) {
	fd := fdtest.Eventfd(t, unix.EFD_SEMAPHORE)
	var reads, largest atomic.Uint64
	var over atomic.Bool
	consumer := child.Go(t, "consumer", func() error {
		for !over.Load() {
			n, err := eventfdRead(fd)
			if err != nil {
				return err
			}
			if over.Load() {
				return nil
			}
			reads.Add(1)
			largest.Store(max(largest.Load(), n))
			if n >= 10 {
				return nil // where the source's consumer ends
			}
		}
		return nil
	})
	if err := produce(fd, func() {}); err != nil {
		t.Error(err)
	}
	awaitTrue(t, "55 reads", func() bool { return reads.Load() >= 55 })
	consumer.AwaitBlocked(unix.SYS_READ)
	if reads.Load() != 55 || largest.Load() != 1 {
		t.Errorf("consumer made %d reads and saw at most %d; want 55 and 1", reads.Load(), largest.Load())
	}
	wantEmpty(t, fd)
	// Only a writer that knows of its mistake can end it.
	over.Store(true)
	mustWriteEventfd(t, fd, 1)
	consumer.Join()
}

// The event loop of the source classifies each value that it reads: multiples
// of 3 are important, of the others some are even and some odd. Per eventfd(2)
// writes add up: 1 and 2 become one important 3, and fewer events are handled
// than were produced.
func TestEventfdValuesMerge(t *testing.T) {
	fd := fdtest.Eventfd(t, unix.EFD_NONBLOCK)
	var produced, handled tally
	for v := uint64(1); v <= 30; {
		for range 2 { // the loop is late for every second value
			mustWriteEventfd(t, fd, v)
			produced.add(int(v))
			v++
		}
		handled.add(int(mustReadEventfd(t, fd)))
		wantEmpty(t, fd)
	}
	// The pairs are 3, 7, 11, ...: 4k-1, all odd.
	if want := (tally{important: 10, even: 10, odd: 10}); produced != want {
		t.Errorf("produced %+v, want %+v", produced, want)
	}
	if want := (tally{important: 5, odd: 10}); handled != want {
		t.Errorf("handled %+v, want %+v: the sums of pairs", handled, want)
	}
}

// Per eventfd(2): EFD_SEMAPHORE, EFD_NONBLOCK and EFD_CLOEXEC may be ORed in
// any combination, and each has only its own effect. F_GETFL shows the second,
// F_GETFD the third (fcntl(2)), and only a read shows the first.
func TestEventfdFlags(t *testing.T) {
	for flags := range 8 {
		semaphore, nonblock, cloexec := flags&1 != 0, flags&2 != 0, flags&4 != 0
		name := fmt.Sprintf("semaphore=%t/nonblock=%t/cloexec=%t", semaphore, nonblock, cloexec)
		t.Run(name, func(t *testing.T) {
			fl, getfl, getfd := 0, unix.O_RDWR, 0
			if semaphore {
				fl |= unix.EFD_SEMAPHORE
			}
			if nonblock {
				fl |= unix.EFD_NONBLOCK
				getfl |= unix.O_NONBLOCK
			}
			if cloexec {
				fl |= unix.EFD_CLOEXEC
				getfd = unix.FD_CLOEXEC
			}
			fd, err := unix.Eventfd(42, fl)
			fdtest.Must(t, "eventfd2", err)
			t.Cleanup(func() { unix.Close(fd) })
			if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || got != getfl {
				t.Errorf("F_GETFL: %#x, %v; want %#x", got, err, getfl)
			}
			if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || got != getfd {
				t.Errorf("F_GETFD: %#x, %v; want %#x", got, err, getfd)
			}

			// Its state after execve. A child reads the counter, if
			// it can.
			p := child.Start(t, heirRole, child.Options{Args: []string{strconv.Itoa(fd)}})
			got := p.Line()
			p.Wait()
			left, want := uint64(42), "42"
			switch {
			case cloexec:
				want = "nothing"
			case semaphore:
				left, want = 41, "1"
			default:
				left = 0
			}
			if got != want {
				t.Errorf("after execve a child read %s, want %s", got, want)
			}

			if semaphore {
				if n := mustReadEventfd(t, fd); n != 1 {
					t.Errorf("read %d, want 1", n)
				}
				for left--; left > 0; left-- {
					mustReadEventfd(t, fd)
				}
			} else if left > 0 {
				if n := mustReadEventfd(t, fd); n != left {
					t.Errorf("read %d, want %d", n, left)
				}
			}
			wantEmpty(t, fd)

			if nonblock {
				if n, err := eventfdRead(fd); !errors.Is(err, unix.EAGAIN) {
					t.Errorf("read of 0: %d, %v; want EAGAIN", n, err)
				}
				return
			}
			reader := child.Go(t, "reader", func() error {
				n, err := eventfdRead(fd)
				if err == nil && n != 1 {
					err = fmt.Errorf("read %d, want 1", n)
				}
				return err
			})
			reader.AwaitBlocked(unix.SYS_READ)
			mustWriteEventfd(t, fd, 1)
			reader.Join()
		})
	}
}

// heirRole reads from the eventfd with the given number if it was inherited.
// Nothing else that may have this number is ready to be read.
var heirRole = child.Register("eventfd-heir", func(p *child.Proc) error {
	fd, err := strconv.Atoi(p.Args[0])
	if err != nil {
		return err
	}
	if ready, err := poll(fd, unix.POLLIN, 0); err != nil || ready != unix.POLLIN {
		p.Say("nothing") // POLLNVAL, or another descriptor
		return nil
	}
	n, err := eventfdRead(fd)
	if err != nil {
		return err
	}
	p.Say("%d", n)
	return nil
})

// produce writes 1 to 10 and calls before ahead of each.
func produce(fd int, before func()) error {
	for v := uint64(1); v <= 10; v++ {
		before()
		if err := eventfdWrite(fd, v); err != nil {
			return err
		}
	}
	return nil
}

func pause() { time.Sleep(second) }

// eventfdRead is a blocking read of an eventfd, for threads. Tests use
// mustRead, which has a deadline.
func eventfdRead(fd int) (uint64, error) {
	var buf [8]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("read of an eventfd: %w", err)
		case n != 8:
			return 0, fmt.Errorf("read of an eventfd: %d bytes, want 8", n)
		default:
			return binary.NativeEndian.Uint64(buf[:]), nil
		}
	}
}

func eventfdWrite(fd int, v uint64) error {
	var buf [8]byte
	binary.NativeEndian.PutUint64(buf[:], v)
	for {
		n, err := unix.Write(fd, buf[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("write of %d to an eventfd: %w", v, err)
		case n != 8:
			return fmt.Errorf("write of %d to an eventfd: %d bytes, want 8", v, n)
		default:
			return nil
		}
	}
}

// poll waits for events on one descriptor, poll(2), and returns them, or 0 if
// none came in time.
func poll(fd int, events int16, timeout time.Duration) (int16, error) {
	end := time.Now().Add(timeout)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, millis(time.Until(end)))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("poll: %w", err)
		case n > 0 || !time.Now().Before(end):
			return fds[0].Revents, nil
		}
	}
}

// millis rounds up: a wait for half a millisecond must not become a busy one.
func millis(d time.Duration) int {
	return int(max(0, (d+time.Millisecond-1)/time.Millisecond))
}

// mustReadEventfd reads an eventfd, blocking or not, for which it waits.
func mustReadEventfd(tb testing.TB, fd int) uint64 {
	tb.Helper()
	if ready, err := poll(fd, unix.POLLIN, child.Patience); err != nil || ready != unix.POLLIN {
		tb.Fatalf("waiting for an eventfd: poll got %#x, %v; want POLLIN in %v", ready, err, child.Patience)
	}
	n, err := eventfdRead(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func mustWriteEventfd(tb testing.TB, fd int, v uint64) {
	tb.Helper()
	if ready, err := poll(fd, unix.POLLOUT, child.Patience); err != nil || ready != unix.POLLOUT {
		tb.Fatalf("waiting for room in an eventfd: poll got %#x, %v; want POLLOUT in %v", ready, err, child.Patience)
	}
	if err := eventfdWrite(fd, v); err != nil {
		tb.Fatal(err)
	}
}

// wantEmpty fails the test unless the eventfd's counter is 0.
func wantEmpty(tb testing.TB, fd int) {
	tb.Helper()
	if ready, err := poll(fd, unix.POLLIN|unix.POLLOUT, 0); err != nil || ready != unix.POLLOUT {
		tb.Errorf("eventfd: poll got %#x, %v; want POLLOUT alone, for a counter of 0", ready, err)
	}
}

func awaitTrue(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(child.Patience); !ok(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			tb.Fatalf("no %s within %v", what, child.Patience)
		}
	}
}

// BenchmarkEventfdCreate makes an eventfd and closes it.
func BenchmarkEventfdCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		return measure.Side{Calls: []sys.Call{sys.EventfdCreate(unix.EFD_CLOEXEC, fd), sys.Close(fd)}}
	})
}

// BenchmarkEventfdSelf writes 1 and reads it back.
func BenchmarkEventfdSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.Eventfd(p.TB, 0)
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{sys.EventfdWrite(fd, one), sys.EventfdRead(fd, got)},
			Sum:   got,
		}
	})
}

// BenchmarkEventfdEmpty reads a non-blocking eventfd whose counter is 0: what it
// costs to learn that nothing has happened.
func BenchmarkEventfdEmpty(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.NonBlocking(p.TB, fdtest.Eventfd(p.TB, 0))
		return measure.Side{Calls: []sys.Call{sys.Empty(sys.EventfdRead(fd, p.Arena.Word(0)))}}
	})
}

// BenchmarkEventfdRoundTrip answers each write to one eventfd with a write to
// another. It also runs with both sides left to the scheduler: one figure of
// two modes.
func BenchmarkEventfdRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		ping, pong := fdtest.Eventfd(p.TB, 0), fdtest.Eventfd(p.TB, 0)
		p.Start()
		one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
		return measure.Side{
				Calls: []sys.Call{sys.EventfdWrite(ping, one), sys.EventfdRead(pong, got)},
				Sum:   got,
			}, measure.Side{
				Calls: []sys.Call{sys.EventfdRead(ping, gotThere), sys.EventfdWrite(pong, one)},
				Sum:   gotThere,
			}
	}, measure.Free)
}

// BenchmarkEventfdThroughput is the source's one-way stream: the peer writes 1
// repeatedly. In semaphore mode each read takes one; in counter mode a read
// takes all pending events, and delivered/op is the number of reads per write.
func BenchmarkEventfdThroughput(b *testing.B) {
	for _, mode := range measure.Shuffled(b, "semaphore", "counter") {
		b.Run("mode="+mode, func(b *testing.B) {
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				fd := fdtest.Eventfd(p.TB, eventfdModes[mode])
				p.Start()
				one, got := p.Arena.Word(1), p.Arena.Word(0)
				return &measure.Stream{
					Send:    []sys.Call{sys.EventfdWrite(fd, one)},
					Receive: measure.Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
					Merges:  mode == "counter",
				}
			})
		})
	}
}

// BenchmarkEventfdOneWay writes to an eventfd that the receiver waits for.
func BenchmarkEventfdOneWay(b *testing.B) {
	measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way {
		fd := fdtest.Eventfd(p.TB, unix.EFD_SEMAPHORE)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Way{
			Post:    []sys.Call{sys.EventfdWrite(fd, one)},
			Receive: measure.Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
		}
	}, true)
}

// eventfdModes are the flags that decide what a read takes.
var eventfdModes = map[string]int{"semaphore": unix.EFD_SEMAPHORE, "counter": 0}
