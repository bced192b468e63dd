//go:build linux

package measure

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/latency"
	"eventbench/helpers/leak"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := OpenHistograms(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(leak.Check(m.Run))
}

// A benchmark whose account does not balance has no result.
func TestAccountMustBalance(t *testing.T) {
	check := func(name string, want bool, bench func(b *testing.B)) {
		t.Helper()
		quickly(t)
		if r := testing.Benchmark(bench); (r.N > 0) != want {
			t.Errorf("%s: %d operations were reported, want a result: %v", name, r.N, want)
		}
	}
	self := func(value uint64) func(*testing.B) {
		return func(b *testing.B) {
			Self(b, func(p *peer.Party) Side {
				fd := mustEventfd(p.TB)
				v, got := p.Arena.Word(value), p.Arena.Word(0)
				return Side{Calls: []sys.Call{sys.EventfdWrite(fd, v), sys.EventfdRead(fd, got)}, Sum: got}
			})
		}
	}
	check("each read takes 1", true, self(1))
	check("each read takes 2", false, self(2))
	check("a count that stands still", false, func(b *testing.B) {
		Self(b, func(p *peer.Party) Side {
			return Side{Calls: []sys.Call{sys.Getppid()}, Count: p.Arena.Word(0)}
		})
	})
	stream := func(value uint64) func(*testing.B) {
		return func(b *testing.B) {
			place := peer.Placement{Kind: peer.Process, Here: peer.AnyCPU, There: peer.AnyCPU}
			throughput(b, place, func(p *peer.Pair) *Stream {
				fd := mustEventfd(p.TB)
				p.Start()
				v, got := p.Arena.Word(value), p.Arena.Word(0)
				return &Stream{
					Send:    []sys.Call{sys.EventfdWrite(fd, v)},
					Receive: Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
					Merges:  true,
				}
			})
		}
	}
	way := func(bench func(*testing.B, peer.Placement, func(*peer.Pair, *uint32) Way), value uint64) func(*testing.B) {
		return func(b *testing.B) {
			place := peer.Placement{Kind: peer.Process, Here: peer.AnyCPU, There: peer.AnyCPU}
			bench(b, place, func(p *peer.Pair, _ *uint32) Way {
				fd := mustEventfd(p.TB)
				p.Start()
				v, got := p.Arena.Word(value), p.Arena.Word(0)
				return Way{
					Post:    []sys.Call{sys.EventfdWrite(fd, v)},
					Receive: Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
				}
			})
		}
	}
	check("an event that arrives", true, way(oneWayAsleep, 1))
	check("an event that doubles", false, way(oneWayAsleep, 2))
	check("a scheduled event that doubles", false, way(oneWayPaced, 2))
	check("a stream that arrives", true, stream(1))
	check("a stream that doubles", false, stream(2))
	left := func(err error) func(*testing.B) {
		return func(b *testing.B) {
			Self(b, func(*peer.Party) Side {
				return Side{Calls: []sys.Call{sys.Getppid()}, Check: func(int) error { return err }}
			})
		}
	}
	check("nothing left in the kernel", true, left(nil))
	check("something left in the kernel", false, left(errors.New("one too many")))
	crowd := func(value uint64) func(*testing.B) {
		return func(b *testing.B) {
			Crowd(b, 3, 2, func(c *peer.Crew) Flow {
				fd := mustSemaphore(c.TB)
				v := c.Arena.Word(value)
				return Flow{
					Send:    []sys.Call{sys.EventfdWrite(fd, v)},
					Receive: func() []sys.Call { return []sys.Call{sys.EventfdRead(fd, c.Arena.Word(0))} },
					Left: func() error {
						if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); n != 0 {
							return errors.New("the eventfd is not empty")
						}
						return nil
					},
				}
			})
		}
	}
	check("a crowd that takes all", true, crowd(1))
	check("a crowd that leaves half", false, crowd(2))
	flock := func(value uint64, each bool) func(*testing.B) {
		return func(b *testing.B) {
			herd(b, 3, peer.Thread, func(c *peer.Crew) Herd {
				fd := mustSemaphore(c.TB)
				return Herd{
					Post:   []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(value))},
					Waiter: func(int) []sys.Call { return []sys.Call{sys.EventfdRead(fd, c.Arena.Word(0))} },
					Each:   each,
				}
			})
		}
	}
	check("one waiter takes it", true, flock(1, false))
	check("all waiters take it", true, flock(3, true))
	check("two waiters take it", false, flock(2, false))
	check("nobody comes back", false, flock(0, false))
	// A loop waits for what is missing.
	deadline := peer.Deadline
	t.Cleanup(func() { peer.Deadline = deadline })
	peer.Deadline = 500 * time.Millisecond
	loop := func(load string, value uint64) func(*testing.B) {
		return func(b *testing.B) {
			EventLoop{Loops: 1, Batch: 4}.Run(b, load, func(c *peer.Crew, _ []*peer.Member) Source {
				fd := mustEventfd(c.TB)
				return Source{
					Name: "eventfd", Every: 50 * time.Microsecond, FDs: []int{fd},
					Post: []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(value))},
					Take: func(a *sys.Arena, _, _ int) Taking {
						got := a.Word(0)
						return Taking{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Value: got}
					},
				}
			})
		}
	}
	check("a loop that takes all", true, loop(Full, 1))
	check("a loop that takes all in time", true, loop(Paced, 1))
	check("a loop that takes each twice", false, loop(Full, 2))
	check("a loop that takes each twice in time", false, loop(Paced, 2))
	deed := func(want int) func(*testing.B) {
		return func(b *testing.B) {
			place := peer.Placement{Kind: peer.Thread, Here: peer.AnyCPU, There: peer.AnyCPU}
			p := peer.NewPair(b, place)
			fd, got := mustEventfd(p.TB), p.Arena.Word(0)
			read := sys.EventfdRead(fd, got)
			read.Want = want
			work(b, p, place, Work{Here: Side{Calls: []sys.Call{sys.EventfdWrite(fd, p.Arena.Word(1)), read}, Sum: got}})
		}
	}
	check("work that is done", true, deed(8))
	check("work that is half done", false, deed(4))
}

// What the kernel refuses is said, and is no operation; and who knows not which
// events came late says nothing of their latency. Where it accepts nothing
// there is no result.
func TestLoopRefused(t *testing.T) {
	quickly(t)
	loop := func(load string, room int) testing.BenchmarkResult {
		return testing.Benchmark(func(b *testing.B) {
			EventLoop{Loops: 1, Batch: 4}.Run(b, load, func(c *peer.Crew, _ []*peer.Member) Source {
				size := unix.Getpagesize()
				var ends [2]int
				if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { unix.Close(ends[0]); unix.Close(ends[1]) })
				if _, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, size); err != nil {
					b.Fatal(err)
				}
				for range 1 - room {
					if _, err := unix.Write(ends[1], make([]byte, size)); err != nil {
						b.Fatal(err)
					}
				}
				data := c.Arena.Bytes(size)
				post := sys.Write("pipe", ends[1], &data[0], size)
				post.Refused = unix.EAGAIN
				return Source{
					Name: "pipe", Every: 50 * time.Microsecond, FDs: ends[:room], Post: []sys.Call{post},
					Take: func(a *sys.Arena, _, _ int) Taking {
						got := a.Word(0)
						read := sys.Read("pipe", ends[0], &a.Bytes(size)[0], size)
						read.Save = (*int32)(unsafe.Pointer(got))
						slow := sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(a, unix.Timespec{Nsec: 1e6}))
						return Taking{Calls: []sys.Call{slow, read}, Value: got, Unit: uint64(size)}
					},
				}
			})
		})
	}
	for _, load := range []string{Paced, Full} {
		r := loop(load, 1)
		if sent := r.Extra["sent/op"]; r.N != 100 || sent <= 0 || sent >= 1 {
			t.Errorf("load=%s: %d operations, sent/op %v, want 100 and a part of them", load, r.N, sent)
		}
		if p50, ok := r.Extra["pipe-p50-latency-ns"]; ok {
			t.Errorf("load=%s: a latency of %v ns, want none", load, p50)
		}
		// Each event that came took a loop a millisecond.
		if ns := r.Extra["ns/op"]; load == Full && ns < 1e6 {
			t.Errorf("%v ns for each event that was accepted, want a millisecond and more", ns)
		}
		if r := loop(load, 0); r.N > 0 {
			t.Errorf("load=%s: got %v of events that were all refused, want no result", load, r)
		}
	}
}

// Where a sender falls behind its schedule, the lateness of its events is told
// to be its own.
func TestLoopPostLatency(t *testing.T) {
	quickly(t)
	const every, slow = 50 * time.Microsecond, 500 * time.Microsecond
	r := testing.Benchmark(func(b *testing.B) {
		EventLoop{Loops: 1, Batch: 4}.Run(b, Paced, func(c *peer.Crew, _ []*peer.Member) Source {
			fd := mustEventfd(c.TB)
			rest := sys.Nanosleep(unix.CLOCK_MONOTONIC, 0, sys.Place(c.Arena, unix.NsecToTimespec(int64(slow))))
			return Source{
				Name: "eventfd", Every: every, FDs: []int{fd},
				Post: []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(1)), rest},
				Take: func(a *sys.Arena, _, _ int) Taking {
					got := a.Word(0)
					return Taking{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Value: got}
				},
			}
		})
	})
	post, taken := time.Duration(r.Extra["eventfd-p50-post-latency-ns"]), time.Duration(r.Extra["eventfd-p50-latency-ns"])
	if least := 40 * (slow - every); post < least || taken < post {
		t.Errorf("half of 100 posts are said to be at most %v late, and half of the events %v, want %v and more", post, taken, least)
	}
}

// A percentile is reported where a latency lies beyond it, and not where it
// would be the largest.
func TestFewHaveNoPercentiles(t *testing.T) {
	check := func(n int, want ...string) {
		t.Helper()
		r := testing.Benchmark(func(b *testing.B) {
			var h latency.Histogram
			for i := range n {
				h.Record(uint64(i+1) << 20)
			}
			reportPercentiles(b, latencies, &h, 1, "%s-latency-ns")
		})
		var got []string
		for _, p := range latencies {
			v, ok := r.Extra[p.name+"-latency-ns"]
			if ok {
				got = append(got, p.name)
			}
			if last := float64(n) * (1 << 20); ok && p.name != "max" && v >= last {
				t.Errorf("%s of %d is %v, want less than the largest, %v", p.name, n, v, last)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d latencies %v are reported, want %v", n, got, want)
		}
	}
	quickly(t)
	check(0)
	check(1, "max")
	check(2, "p50", "max")
	check(99, "p50", "max")
	check(100, "p50", "p99", "max")
	check(999, "p50", "p99", "max")
	check(1000, "p50", "p99", "p99.9", "max")
}

// What is done in bulk is done as often as b.N takes, rounded up.
func TestBulk(t *testing.T) {
	quickly(t)
	var times []int
	r := testing.Benchmark(func(b *testing.B) {
		Bulk(b, 30, func(n int) error {
			times = append(times, n)
			return nil
		})
	})
	if want := []int{1, 4}; r.N != 100 || !slices.Equal(times, want) { // for 1 and 100 operations
		t.Errorf("%d operations by runs of %v times 30, want 100 by %v", r.N, times, want)
	}
}

// Every share of n is n/among, rounded up or down, and together they are n.
func TestShare(t *testing.T) {
	for _, n := range []int{0, 1, 5, 100} {
		for among := 1; among <= 16; among++ {
			sum := 0
			for i := range among {
				k := share(n, i, among)
				if k != n/among && k != n/among+1 {
					t.Errorf("share %d of %d among %d is %d", i, n, among, k)
				}
				sum += k
			}
			if sum != n {
				t.Errorf("%d among %d come to %d", n, among, sum)
			}
		}
	}
}

// Every unit line can be read by those that read benchmark results.
func TestUnitsAreReadable(t *testing.T) {
	text := strings.Join(Units(), "\n") + "\n"
	r := benchfmt.NewReader(strings.NewReader(text), "units")
	n := 0
	for r.Scan() {
		if _, ok := r.Result().(*benchfmt.UnitMetadata); !ok {
			t.Errorf("%v is no unit", r.Result())
		}
		n++
	}
	if n < len(Units()) {
		t.Errorf("%d units read of %d lines", n, len(Units()))
	}
}

// Without a seed cases run as written; with one, in an order that depends on
// it and on the benchmark, and loses none.
func TestShuffled(t *testing.T) {
	cases := []int{0, 1, 2, 3, 4, 5, 6, 7}
	order := func(seed string) (got []int) {
		shuffle := flag.Lookup("test.shuffle").Value
		old := shuffle.String()
		shuffle.Set(seed)
		defer shuffle.Set(old)
		got = Shuffled(&testing.B{}, cases...)
		return got
	}
	if got := order("off"); !slices.Equal(got, cases) {
		t.Errorf("without a seed: %v, want %v", got, cases)
	}
	one, two := order("1"), order("2")
	if slices.Equal(one, cases) || slices.Equal(one, two) {
		t.Errorf("seeds 1 and 2 give %v and %v, want two orders", one, two)
	}
	if again := order("1"); !slices.Equal(again, one) {
		t.Errorf("seed 1 gives %v, then %v", one, again)
	}
	slices.Sort(two)
	if !slices.Equal(two, cases) {
		t.Errorf("seed 2 gives %v, want each case once", two)
	}
}

// The mode is that of most operations, and the smallest of several
// that are about as common; rare ones do not matter, however small.
func TestCounterMode(t *testing.T) {
	check := func(count uint64, times int, stamps ...uint64) {
		t.Helper()
		var c counter
		c.record(stamps)
		if gotCount, gotTimes := c.mode(); gotCount != count || gotTimes != times {
			t.Errorf("of %v: mode %d, %d times, want %d, %d times", stamps, gotCount, gotTimes, count, times)
		}
	}
	check(7, 3, 0, 10, 20, 27, 37, 44, 51)
	check(7, 2, 0, 10, 20, 30, 37, 44)
	check(10, 3, 0, 10, 20, 30, 37)
}

// quickly makes testing.Benchmark content with few operations.
func quickly(t *testing.T) {
	t.Helper()
	iterations(t, "100x")
}

// iterations sets how many operations testing.Benchmark runs.
func iterations(t *testing.T, n string) {
	t.Helper()
	benchtime := flag.Lookup("test.benchtime").Value
	old := benchtime.String()
	benchtime.Set(n)
	t.Cleanup(func() { benchtime.Set(old) })
}

func mustEventfd(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

func mustSemaphore(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}
