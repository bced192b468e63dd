//go:build linux

package machine

import (
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCPUTimes(t *testing.T) {
	check := func(stat string, wantStolen, wantAll uint64) {
		t.Helper()
		if stolen, all := cpuTimes(stat); stolen != wantStolen || all != wantAll {
			t.Errorf("%q: stolen %d of %d, want %d of %d", stat, stolen, all, wantStolen, wantAll)
		}
	}
	check("cpu  100 1 20 1000 5 0 4 70 9 0\ncpu0 100 1 20 1000 5 0 4 70 9 0\n", 70, 1200)
	check("cpu  1 2 3 4 5 6 7 8", 8, 36)
	check("cpu  1 2 3 4", 0, 0) // before 2.6.11
	check("cpu  1 2 3 4 5 6 7 x", 0, 0)
	check("intr 1 2 3 4 5 6 7 8", 0, 0)
	check("", 0, 0)
}

// A process that is stopped and continued says so in its line, which no reader
// of the benchmark format takes for configuration.
func TestWatch(t *testing.T) {
	w := NewWatch()
	if err := unix.Kill(unix.Getpid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); w.stopped.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("no SIGCONT was counted")
		}
	}
	line := w.Stop()
	if want := `^# disturbed: nice=-?\d+ load=[\d.]+ (steal=[\d.]+% )?preempted=\d+ stopped=1$`; !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("%q, want %s", line, want)
	}
}
