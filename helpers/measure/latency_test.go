//go:build linux

package measure

import (
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/sys/unix"
)

// While the sender is stopped no event is posted, but each is as late as it is
// overdue: counted from its post, only the first would be late.
func TestPacedOmitsNothing(t *testing.T) {
	const stall = 500 * time.Millisecond
	benchtime := flag.Lookup("test.benchtime").Value
	old := benchtime.String()
	benchtime.Set(fmt.Sprintf("%dx", stall/pace/5)) // all due in the first fifth of the stall
	defer benchtime.Set(old)
	place := peer.Placement{Kind: peer.Process, Here: peer.AnyCPU, There: peer.AnyCPU}
	r := testing.Benchmark(func(b *testing.B) {
		oneWayPaced(b, place, func(p *peer.Pair, _ *uint32) Way {
			fd, err := unix.Eventfd(0, unix.EFD_SEMAPHORE|unix.EFD_CLOEXEC)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { unix.Close(fd) })
			p.Start()
			if b.N > 1 {
				if err := unix.Kill(p.PeerPID, unix.SIGSTOP); err != nil {
					b.Fatal(err)
				}
				goOn := exec.Command("sh", "-c", fmt.Sprintf("sleep %v; kill -CONT %d", stall.Seconds(), p.PeerPID))
				goOn.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				if err := goOn.Start(); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { goOn.Wait() })
			}
			one, got := p.Arena.Word(1), p.Arena.Word(0)
			return Way{
				Post:    []sys.Call{sys.EventfdWrite(fd, one)},
				Receive: Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
			}
		})
	})
	if r.N < 2 {
		t.Fatalf("no result: %v", r)
	}
	if got, want := time.Duration(r.Extra["p50-latency-ns"]), stall/10; got < want {
		t.Errorf("half of the events that were due while the sender was stopped for %v are said to be less than %v late, want %v or more", stall, got, want)
	}
}

// A sender that is killed ends the benchmark, with no result.
func TestOneWaySenderKilled(t *testing.T) {
	quickly(t)
	place := peer.Placement{Kind: peer.Process, Here: peer.AnyCPU, There: peer.AnyCPU}
	r := testing.Benchmark(func(b *testing.B) {
		oneWayAsleep(b, place, func(p *peer.Pair, _ *uint32) Way {
			fd := mustEventfd(p.TB)
			p.Start()
			one, got := p.Arena.Word(1), p.Arena.Word(0)
			if err := unix.Kill(p.PeerPID, unix.SIGKILL); err != nil {
				b.Fatal(err)
			}
			return Way{
				Post:    []sys.Call{sys.EventfdWrite(fd, one)},
				Receive: Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
			}
		})
	})
	if r.N > 0 {
		t.Errorf("got %v, want no result", r)
	}
}

// Expiries taken and missed add up to the periods that elapsed, or there is an
// error.
func TestGrid(t *testing.T) {
	const period = 1000_000 // ns, and so many ticks
	check := func(name, want string, wakes ...wake) grid {
		t.Helper()
		g := grid{first: period, period: period, slack: 1000}
		for i := range wakes {
			wakes[i].counted = wakes[i].end
		}
		err := g.add(wakes, reading{0, 0}, reading{100 * period, 100 * period})
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %q in it", name, got, want)
		}
		return g
	}
	at := func(late float64, taken ...uint64) (wakes []wake) {
		var all, begin uint64
		for _, n := range taken {
			end := uint64(period * (1 + float64(all) + late))
			wakes = append(wakes, wake{begin: begin, end: end, taken: n})
			all, begin = all+n, end
		}
		return wakes
	}
	g := check("all in time", "", at(0.25, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)...)
	if g.missed != 0 || g.taken != 10 || g.h.Max() != period/4 || g.h.Count() != 10 {
		t.Errorf("in time: %d missed of %d, %d records up to %d, want 0 of 10, 10 up to %d", g.missed, g.taken, g.h.Count(), g.h.Max(), period/4)
	}
	g = check("some came for three", "", at(2.5, 3, 3, 3, 3)...)
	if g.missed != 8 || g.taken != 12 || g.h.Max() != 2.5*period {
		t.Errorf("by threes: %d missed of %d, up to %d, want 8 of 12, up to %d", g.missed, g.taken, g.h.Max(), int(2.5*period))
	}
	check("a late wake-up took all", "", append(at(0.25, 1, 1), wake{begin: 5.5 * period, end: 5.6 * period, taken: 3})...)
	check("a late wake-up lost one", "5 to 5 periods of 1ms elapsed, but 4 expiries came, 1 of them missed",
		append(at(0.25, 1, 1), wake{begin: 5.5 * period, end: 5.6 * period, taken: 2})...)
	check("one is double", "0 to 1 periods of 1ms elapsed, but 2 expiries came, 1 of them missed", wake{end: 1.5 * period, taken: 2})
	check("before its time", "wait 1 of 1 returned 100µs before its time", wake{end: 0.9 * period, taken: 1})

	relative := grid{period: period, relative: true}
	if err := relative.add([]wake{{begin: 3e6, end: 4.1e6, taken: 1}}, reading{0, 0}, reading{1e8, 1e8}); err != nil || relative.h.Max() != 100_000 {
		t.Errorf("relative: %v, lateness %d, want 100000", err, relative.h.Max())
	}
}

// Every way to wait yields a result, whose account balances; under a load too.
func TestLateness(t *testing.T) {
	quickly(t)
	for _, load := range []string{idle, busy} {
		r := testing.Benchmark(func(b *testing.B) {
			lateness(b, time.Millisecond, load, func(p *peer.Party, period time.Duration) Timer {
				fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { unix.Close(fd) })
				got := p.Arena.Word(0)
				return Timer{
					Wait: []sys.Call{sys.TimerfdRead(fd, got)},
					Start: func(first unix.Timespec) error {
						spec := unix.ItimerSpec{Value: first, Interval: unix.NsecToTimespec(int64(period))}
						return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
					},
					Taken: func() uint64 { return *got },
				}
			})
		})
		if missed, ok := r.Extra["missed/op"]; r.N != 100 || !ok || missed < 0 || missed >= 1 {
			t.Errorf("load=%s: %d wake-ups, missed/op %v (there: %v), want 100 and a share", load, r.N, missed, ok)
		}
	}
}

// Counters that differ, or could differ by more than a latency may be wrong,
// are told from those that agree.
func TestAgree(t *testing.T) {
	check := func(there, back int64, want string) {
		t.Helper()
		got := "<nil>"
		if err := agree(there, back, 0.5); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("agree(%d, %d) = %s, want %q in it", there, back, got, want)
		}
	}
	check(100, 200, "<nil>")
	check(500, -20, "<nil>") // 10 ns
	check(9000, -3000, "differ by 3000 ticks or more")
	check(-2500, 2600, "differ by 2500 ticks or more")
	check(100, 4000, "could not be shown to agree within 1µs, only within 2µs")
}

// Stamps go from one CPU to another and back.
func TestExchange(t *testing.T) {
	cpus := here().CPUs()
	if cpus.Relation == "" {
		t.Skip("one CPU is allowed")
	}
	there, back, err := exchange(cpus.Cross[0], cpus.Cross[1])
	if err != nil {
		t.Skip(err) // 100 exchanges were not to be had on this machine
	}
	if max(there, back) == math.MaxInt64 {
		t.Errorf("least times %d and %d, want some", there, back)
	}
}

// The clocks tell one time: an instant read on one lies, on the other, between
// two read around it.
func TestClocks(t *testing.T) {
	from := readClocks()
	before := time.Now()
	time.Sleep(5 * time.Millisecond)
	elapsed := time.Since(before)
	ticks := sys.Ticks()
	to := readClocks()
	at := from.between(to, ticks)
	if at < from.ns+int64(elapsed)-int64(early) || at > to.ns {
		t.Errorf("at %d ns, want it between %d and %d", at, from.ns+int64(elapsed), to.ns)
	}
}

// BenchmarkKept is what TestHistograms runs.
func BenchmarkKept(b *testing.B) {
	place := peer.Placement{Kind: peer.Thread, Here: peer.AnyCPU, There: peer.AnyCPU}
	b.Run("pace=asleep", func(b *testing.B) {
		if trial(b) {
			return
		}
		value := uint64(1)
		if os.Getenv("EVENTBENCH_TEST_FAIL") == fmt.Sprint(b.N) {
			value = 2
		}
		oneWayAsleep(b, place, func(p *peer.Pair, _ *uint32) Way {
			fd := mustEventfd(p.TB)
			p.Start()
			v, got := p.Arena.Word(value), p.Arena.Word(0)
			return Way{
				Post:    []sys.Call{sys.EventfdWrite(fd, v)},
				Receive: Side{Calls: []sys.Call{sys.EventfdRead(fd, got)}, Sum: got},
			}
		})
	})
}

// With -histograms, each benchmark that has latencies leaves a file that
// HdrHistogram's reader reads: an interval for each -count, of as many values
// as there were operations, with the percentiles that were printed. One that
// fails leaves none.
func TestHistograms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	run := func(env string) (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=Kept", "-test.benchtime=150x", "-test.count=2", "-test.cpu=2", "-histograms="+dir)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(dir, "Kept_pace_asleep.hlog")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# benchmark: Kept/pace=asleep\n", "# unit: ns\n"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	results := benchfmt.NewReader(strings.NewReader(out), "stdout")
	log := hdrhistogram.NewHistogramLogReader(strings.NewReader(string(data)))
	n := 0
	for results.Scan() {
		r, ok := results.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		n++
		h, err := log.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("interval %d: %v, %v", n, h, err)
		}
		if h.TotalCount() != int64(r.Iters) || h.Tag() != "Kept/pace=asleep-2" {
			t.Errorf("interval %d: %d values of %s, want %d of Kept/pace=asleep-2", n, h.TotalCount(), h.Tag(), r.Iters)
		}
		for p, unit := range map[float64]string{50: "p50-latency-sec", 99: "p99-latency-sec", 100: "max-latency-sec"} {
			want, ok := r.Value(unit)
			if !ok {
				want, ok = r.Value(strings.Replace(unit, "sec", "ns", 1))
				want /= 1e9
			}
			if got := float64(h.ValueAtPercentile(p)) / 1e9; !ok || math.Abs(got-want) > want*0.01+2e-9 {
				t.Errorf("interval %d: percentile %v is %v s, printed was %v (%v)", n, p, got, want, ok)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d results, want 2:\n%s", n, out)
	}
	if out, err := run("EVENTBENCH_TEST_FAIL=150"); err == nil {
		t.Errorf("a benchmark that doubles events passed:\n%s", out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("after a failure there are %v (%v), want none", entries, err)
	}
}
