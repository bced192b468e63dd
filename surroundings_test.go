//go:build linux

package eventbench_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/sys/unix"
)

// The suite's output, and what it does in bad surroundings. Each test runs the
// test binary again, as a user would.

// Everything on stdout is benchmark format: each benchmark line is preceded
// by the configuration it was measured under, each unit is declared, and no
// other line can be taken for configuration.
func TestOutputIsBenchmarkFormat(t *testing.T) {
	fdtest.Allow(t, unix.RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING (ulimit -i)", 8) // each deadline is a timer that takes a place
	// The larger sizes differ from the small ones only in time.
	const manyOf = `Growth/=\d{3}|Growth//=\d{3}|ThroughputGrowth/=(2|4|8|16)$|ThroughputGrowth//=(4|8|16)$|Wake/=(2|4|8|16|64)$`
	benches := map[string]string{"wall": "."}
	if measure.Counted() { // in a guest
		// Counting takes thousands of operations of each: a few
		// benchmarks are enough.
		benches["instrs"] = "Self|Create|EpollWait$|EventfdRoundTrip$|EventfdThroughput$"
	}
	for clock, bench := range benches {
		t.Run("clock="+clock, func(t *testing.T) {
			out := runSelf(t, []string{"EVENTBENCH_CLOCK=" + clock, "EVENTBENCH_CONFIG=seed: 7"},
				"-test.bench="+bench, "-test.skip="+manyOf, "-test.benchtime=1x", "-test.run=^$", "-long")
			units := map[string]bool{"sec/op": clock == "wall"} // declared by benchfmt, which reads ns as sec
			keys := []string{"goos", "goarch", "pkg", "cpu", "seed", "kernel", "kernel-release", "preemption", "mitigations",
				"mitigations-param", "virt", "container", "cpus", "cpu-quota", "cross", "clocksource", "governor", "smt",
				"gomaxprocs", "goversion", "harness", "clock"}
			results := 0
			reader := benchfmt.NewReader(bytes.NewReader(out), "stdout")
			for reader.Scan() {
				switch rec := reader.Result().(type) {
				case *benchfmt.SyntaxError:
					t.Errorf("not benchmark format: %v", rec)
				case *benchfmt.UnitMetadata:
					units[rec.Unit] = true
				case *benchfmt.Result:
					results++
					for _, c := range rec.Config {
						if !slices.Contains(keys, c.Key) {
							t.Fatalf("%s has configuration %q: %q, which nobody meant as such", rec.Name, c.Key, c.Value)
						}
					}
					for _, key := range []string{"kernel", "kernel-release", "cpus", "gomaxprocs", "goversion", "seed"} {
						if rec.GetConfig(key) == "" {
							t.Fatalf("%s has no configuration %q", rec.Name, key)
						}
					}
					if got := rec.GetConfig("clock"); got != clock {
						t.Fatalf("%s has clock %q, want %q", rec.Name, got, clock)
					}
					for _, v := range rec.Values {
						if !units[v.Unit] {
							t.Errorf("%s is in %s, which is not declared", rec.Name, v.Unit)
						}
						if strings.Contains(v.Unit, "sec") && clock != "wall" {
							t.Errorf("%s is in %s where instructions are counted", rec.Name, v.Unit)
						}
					}
				}
			}
			if err := reader.Err(); err != nil {
				t.Fatal(err)
			}
			if results < 20 {
				t.Errorf("%d results, want every benchmark's", results)
			}
		})
	}
}

// A user who gives only -bench gets short benchmarks, and a note about the
// others.
func TestPreset(t *testing.T) {
	check := func(args, runs, leavesOut, says string) {
		t.Helper()
		cmd := fdtest.Self(t, nil, append(strings.Fields(args), "-test.run=^$")...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, stderr.String())
		}
		out := stdout.String()
		if !strings.Contains(out, "\n"+runs) || leavesOut != "" && strings.Contains(out, leavesOut) {
			t.Errorf("%s: want %s and not %q:\n%s", args, runs, leavesOut, out)
		}
		if said := stderr.String(); said != says {
			t.Errorf("%s: stderr is %q, want %q", args, said, says)
		}
	}
	const some = "eventbench: left out 1 long benchmark, such as NanosleepLateness: name them in -bench, or run all with -long\n"
	check("-test.bench=NanosleepLateness|NullGetppid -test.benchtime=1x", "BenchmarkNanosleepLateness/", "", "")
	check("-test.bench=Nanosleep -test.benchtime=1x", "BenchmarkNanosleepExpire", "Lateness/", some)
	check("-test.bench=Nanosleep -test.benchtime=1x -test.skip=Null", "BenchmarkNanosleepExpire", "Lateness/", some)
	check("-test.bench=Nanosleep -test.benchtime=1x -test.skip=Expire/Null|Wake$", "BenchmarkNanosleepExpire", "Lateness/", some)
	check("-test.bench=Nanosleep -test.benchtime=1x -long", "BenchmarkNanosleepLateness/", "", "")
	check("-test.bench=^BenchmarkSlack -test.benchtime=1x", "BenchmarkSlackTechnique/", "", "")
}

// An unknown clock, or one that does not count here, is an error, and does not
// fall back to the wall clock.
func TestBadClock(t *testing.T) {
	clocks := []string{"sundial"}
	if !measure.Counted() {
		clocks = append(clocks, "instrs")
	}
	for _, clock := range clocks {
		cmd := fdtest.Self(t, []string{"EVENTBENCH_CLOCK=" + clock}, "-test.bench=NullGetppid", "-test.run=^$")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "EVENTBENCH_CLOCK=") || !strings.Contains(string(out), clock) || strings.Contains(string(out), "ns/op") {
			t.Errorf("ran with %v:\n%s\nwant an error that names EVENTBENCH_CLOCK and %s", err, out, clock)
		}
	}
}

// In bad surroundings the benchmarks that cannot run are skipped, with the call
// and errno or the limit. All others run. None hangs or shows a figure that it
// did not measure.
func TestBadSurroundings(t *testing.T) {
	fdtest.Allow(t, unix.RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING (ulimit -i)", 8)
	run := func(bench, name string, do []string, skipped, reason, runs string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if do[0] == "limit" {
				var resource int
				var limit uint64
				var have unix.Rlimit
				fmt.Sscan(strings.Join(do[1:], " "), &resource, &limit)
				fdtest.Must(t, "getrlimit", unix.Getrlimit(resource, &have))
				if have.Max < limit {
					t.Skipf("limit reached: %d to try with, %d allowed", limit, have.Max)
				}
			}
			p := child.Start(t, fdtest.Surroundings, child.Options{
				Args:     append(do, "--", "-test.bench="+bench, "-test.benchtime=1x", "-test.run=^$", "-test.v"),
				Deadline: time.Minute,
			})
			var out strings.Builder
			for {
				line, err := p.Stdout.ReadString('\n')
				out.WriteString(line)
				if err != nil {
					break
				}
			}
			p.Wait()
			text := out.String()
			if !strings.Contains(text, "--- SKIP: "+skipped+"\n") {
				t.Errorf("%s is not skipped:\n%s", skipped, text)
			}
			if !strings.Contains(text, reason) {
				t.Errorf("no reason %q:\n%s", reason, text)
			}
			if !strings.Contains(text, "\n"+runs) || strings.Contains(text, "SKIP: "+runs) {
				t.Errorf("%s does not run:\n%s", runs, text)
			}
			if strings.Contains(text, "--- FAIL") {
				t.Errorf("failures:\n%s", failures(text))
			}
			if strings.Contains(text, "NaN") {
				t.Errorf("a figure that was not measured:\n%s", text)
			}
		})
	}
	check := func(name string, do []string, skipped, reason, runs string) {
		run("Create|Self|NullGetppid|PipeRoundTrip", name, do, skipped, reason, runs)
	}
	// Not eventfd2: the Go runtime itself needs it.
	check("no timerfd", []string{"refuse", fmt.Sprint(unix.SYS_TIMERFD_CREATE), fmt.Sprint(int(unix.ENOSYS))},
		"BenchmarkTimerfdSelf", "timerfd_create: function not implemented", "BenchmarkPipeSelf")
	check("socketpair forbidden", []string{"refuse", fmt.Sprint(unix.SYS_SOCKETPAIR), fmt.Sprint(int(unix.EPERM))},
		"BenchmarkSocketpairCreate", "socketpair(): operation not permitted (EPERM)", "BenchmarkTimerfdCreate")
	run("PipeRoundTrip|PipeSelf", "getppid forbidden", []string{"refuse", fmt.Sprint(unix.SYS_GETPPID), fmt.Sprint(int(unix.EPERM))},
		"BenchmarkPipeRoundTrip/peer=process/cpus=same", "getppid(): operation not permitted (EPERM)", "BenchmarkPipeSelf")
	forbidden := func(nr int) []string { return []string{"refuse", fmt.Sprint(nr), fmt.Sprint(int(unix.EPERM))} }
	// Calls that end a peer or a timer are tried before there is one.
	run("PipeRoundTrip|SignalRoundTrip|OSSignal", "tgkill forbidden", forbidden(unix.SYS_TGKILL),
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same", "tgkill(), by which peer threads are stopped: operation not permitted",
		"BenchmarkPipeRoundTrip/peer=process/cpus=same")
	run("PipeRoundTrip|NullGetppid", "wait4 forbidden", forbidden(unix.SYS_WAIT4),
		"BenchmarkPipeRoundTrip/peer=process/cpus=same", "wait4(), by which peer processes are reaped: operation not permitted",
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same")
	run("PipeRoundTrip|OSSignalSelf", "timer_delete forbidden", forbidden(unix.SYS_TIMER_DELETE),
		"BenchmarkPipeRoundTrip/peer=process/cpus=same", "timer_delete: operation not permitted", "BenchmarkOSSignalSelf/sig=std")
	// A peer whose call fails may be gone before its CPU is set or a signal
	// is sent to it.
	run("PipeRoundTrip|PipeSelf", "prctl forbidden", forbidden(unix.SYS_PRCTL),
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same", "prctl(NAME): operation not permitted (EPERM)", "BenchmarkPipeSelf")
	run("SignalRoundTrip", "rt_sigtimedwait forbidden", forbidden(unix.SYS_RT_SIGTIMEDWAIT),
		"BenchmarkSignalRoundTrip/sig=rt/via=sigtimedwait/peer=thread/cpus=same", "rt_sigtimedwait(): operation not permitted (EPERM)",
		"BenchmarkSignalRoundTrip/sig=rt/via=signalfd/peer=thread/cpus=same")
	run("PipeRoundTrip|NullGetppid", "kill forbidden", forbidden(unix.SYS_KILL),
		"BenchmarkPipeRoundTrip/peer=process/cpus=same", "kill(), by which peer processes are ended: operation not permitted",
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same")
	run("MlockTechnique|NullGetppid", "munlockall forbidden", forbidden(unix.SYS_MUNLOCKALL),
		"BenchmarkMlockTechnique/technique=on", "munlockall: operation not permitted", "BenchmarkMlockTechnique/technique=off")
	run("PipeOneWay|PipeRoundTrip", "getrusage forbidden", forbidden(unix.SYS_GETRUSAGE),
		"BenchmarkPipeOneWay/pace=asleep/peer=thread/cpus=same", "getrusage: operation not permitted",
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same")
	run("PipeOneWay|PipeRoundTrip|PipeSelf|EventfdWake|NanosleepLateness", "clock_gettime forbidden", forbidden(unix.SYS_CLOCK_GETTIME),
		"BenchmarkPipeOneWay/pace=asleep/peer=thread/cpus=same", "clock_gettime: operation not permitted", "BenchmarkPipeSelf")
	run("SignalQueueGrowth/numbers=one|NullGetppid", "rt_sigtimedwait forbidden where signals are left", forbidden(unix.SYS_RT_SIGTIMEDWAIT),
		"BenchmarkSignalQueueGrowth/numbers=one/depth=10", "rt_sigtimedwait with none pending: operation not permitted", "BenchmarkNullGetppid")
	// Only EPERM is -1.
	for call, nr := range map[string]int{"signalfd4": unix.SYS_SIGNALFD4, "timerfd_create": unix.SYS_TIMERFD_CREATE, "pipe2": unix.SYS_PIPE2} {
		bench := map[string]string{"signalfd4": "BenchmarkSignalfdCreate", "timerfd_create": "BenchmarkTimerfdCreate", "pipe2": "BenchmarkPipeCreate"}[call]
		check(call+" forbidden", []string{"refuse", fmt.Sprint(nr), fmt.Sprint(int(unix.EPERM))},
			bench, call+"(): operation not permitted (EPERM)", "BenchmarkSocketpairCreate")
	}
	check("no signalfd", []string{"refuse", fmt.Sprint(unix.SYS_SIGNALFD4), fmt.Sprint(int(unix.ENOSYS))},
		"BenchmarkSignalfdCreate", "signalfd4(): function not implemented (ENOSYS)", "BenchmarkSignalSelf/sig=rt/via=sigtimedwait")
	for errno, reason := range map[unix.Errno]string{
		unix.ENOSYS: "a kernel without CONFIG_IO_URING, or a sandbox", unix.EPERM: "refused by a filter, or by kernel.io_uring_disabled",
		unix.ENOMEM: "raise RLIMIT_MEMLOCK",
	} {
		run("RingSelf|RingEmpty|PipeSelf", "io_uring_setup: "+unix.ErrnoName(errno), []string{"refuse", fmt.Sprint(unix.SYS_IO_URING_SETUP), fmt.Sprint(int(errno))},
			"BenchmarkRingSelf/op=read/setup=defer", reason, "BenchmarkPipeSelf")
	}
	run("RingSelf|PipeSelf", "io_uring_register forbidden", forbidden(unix.SYS_IO_URING_REGISTER),
		"BenchmarkRingSelf/op=read/setup=plain", "io_uring_register(PROBE): operation not permitted", "BenchmarkRingSelf/op=nop/setup=plain")
	run("RingEmpty|PipeSelf", "io_uring_enter forbidden", forbidden(unix.SYS_IO_URING_ENTER),
		"BenchmarkRingEmpty/setup=plain", "io_uring_enter(): operation not permitted (EPERM)", "BenchmarkPipeSelf")
	run("Futex2|PipeSelf", "no futex2", []string{"refuse", fmt.Sprint(unix.SYS_FUTEX_WAKE), fmt.Sprint(int(unix.ENOSYS))},
		"BenchmarkFutex2Self/scope=private", "futex_wake: function not implemented", "BenchmarkPipeSelf")
	check("few descriptors", []string{"limit", fmt.Sprint(unix.RLIMIT_NOFILE), "8"},
		"BenchmarkPipeRoundTrip/peer=thread/cpus=same", "raise RLIMIT_NOFILE", "BenchmarkEventfdSelf")
	check("no queued signals", []string{"queue", "0"},
		"BenchmarkNullGetppid", "raise RLIMIT_SIGPENDING", "BenchmarkOSSignalSelf/sig=std")
	check("one CPU", []string{"one-cpu"},
		"BenchmarkPipeRoundTrip/peer=process/cpus=cross", "one CPU is allowed", "BenchmarkPipeRoundTrip/peer=process/cpus=same")
	// The sizes of a family that a limit allows still run.
	run("PollGrowth", "descriptors for some", []string{"limit", fmt.Sprint(unix.RLIMIT_NOFILE), "300"},
		"BenchmarkPollGrowth/registered=1000", "1064 are needed, 300 allowed: raise RLIMIT_NOFILE", "BenchmarkPollGrowth/registered=100\n")
	run("SignalQueueGrowth/numbers=one", "signals for some", []string{"queue", "5000"},
		"BenchmarkSignalQueueGrowth/numbers=one/depth=10000", "10008 are needed, 5000 allowed: raise RLIMIT_SIGPENDING",
		"BenchmarkSignalQueueGrowth/numbers=one/depth=1000\n")
}

// runSelf returns what the test binary prints to stdout; it must succeed.
func runSelf(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := fdtest.Self(t, env, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, out, stderr.Bytes())
	}
	return out
}
