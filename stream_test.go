//go:build linux

package eventbench_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/child"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// How streams end if the receiver is late, the queue is full or the sender is
// gone: with a correct account or a reason, and never by waiting for a lost
// mark.

// Streams end and their accounts balance even if this process or the sender is
// stopped repeatedly.
func TestStreamsStopped(t *testing.T) {
	check := func(name, bench, benchtime string, stopped func(pid int) (pids []int)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := fdtest.Self(t, nil, "-test.bench="+bench, "-test.benchtime="+benchtime, "-test.run=^$", "-test.v")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for stops := 0; ; {
				select {
				case err := <-ended:
					if err != nil || stops == 0 {
						t.Errorf("%v, after %d stops:\n%s", err, stops, failures(out.String()))
					}
					return
				case <-time.After(7 * time.Millisecond):
				}
				for _, pid := range stopped(cmd.Process.Pid) {
					if unix.Kill(pid, unix.SIGSTOP) != nil {
						continue // it has ended
					}
					time.Sleep(13 * time.Millisecond)
					unix.Kill(pid, unix.SIGCONT)
					stops++
				}
			}
		})
	}
	receiver := func(pid int) []int { return []int{pid} }
	check("receiver of a stream", "Throughput$", "3000x", receiver)
	check("sender of a stream", "Throughput$", "3000x", children)
	check("receiver on a schedule", "PipeOneWay$|SignalOneWay$//via=sigtimedwait|LoopShare$/load=paced", "100x", receiver)
	check("sender on a schedule", "PipeOneWay$|SignalOneWay$//via=sigtimedwait", "100x", children)
}

// With room for few queued signals, or none, a benchmark is skipped with the
// limit that it hit or has a correct account, however long its stream is.
func TestFewQueuedSignals(t *testing.T) {
	for _, limit := range []int{0, 1, 8, 9, 12} {
		t.Run(fmt.Sprintf("RLIMIT_SIGPENDING=%d", limit), func(t *testing.T) {
			t.Parallel()
			p := child.Start(t, fdtest.Surroundings, child.Options{
				Args: []string{"queue", fmt.Sprint(limit), "--", "-test.run=^$", "-test.v", "-test.benchtime=500x",
					"-test.bench=Signal(RoundTrip|Throughput|OneWay)$|LoopPost$//via=signalfd|EventfdThroughput$"},
				Deadline: time.Minute,
			})
			out, err := io.ReadAll(p.Stdout)
			if err != nil {
				t.Fatal(err)
			}
			text := string(out)
			// A user's other processes, the other limits' above all, may
			// take the room between two runs of a benchmark. Root's
			// have users of their own.
			said := failures(text)
			if strings.Contains(text, "--- FAIL") && (os.Geteuid() == 0 || strings.Contains(said, ".go:")) {
				t.Errorf("%s", said)
			}
			// The deadline's timer takes one place, for each
			// benchmark.
			for bench, needs := range map[string]int{
				"BenchmarkEventfdThroughput/mode=semaphore/peer=thread/cpus=same":             1,
				"BenchmarkSignalThroughput/sig=std/via=sigtimedwait/peer=process/cpus=same":   1,
				"BenchmarkOSSignalThroughput/sig=rt/peer=process/cpus=same":                   1,
				"BenchmarkSignalThroughput/sig=rt/via=sigtimedwait/peer=process/cpus=same":    9,
				"BenchmarkSignalThroughput/sig=rt/via=handler/peer=thread/cpus=same":          9,
				"BenchmarkSignalOneWay/sig=rt/via=signalfd/pace=100us/peer=process/cpus=same": 9,
			} {
				ran := regexp.MustCompile(`(?m)^` + bench + `(-\d+)?\s+\d`).MatchString(text)
				if want := limit >= needs; ran != want && os.Geteuid() == 0 {
					t.Errorf("%s: ran: %v, want %v\n%s", bench, ran, want, text)
				}
			}
			if limit == 0 && !strings.Contains(text, "raise RLIMIT_SIGPENDING") {
				t.Errorf("no benchmark names the limit:\n%s", text)
			}
			p.Status()
		})
	}
}

// children are the processes that a process has started.
func children(pid int) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the thread may be gone
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// failures returns the lines about failures in the output of benchmarks, or all
// of it.
func failures(out string) string {
	if !strings.Contains(out, "--- FAIL") {
		return out
	}
	var said strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, "--- FAIL") || strings.Contains(line, ".go:") && !strings.Contains(line, "limit reached") {
			said.WriteString(line)
		}
	}
	return said.String()
}
