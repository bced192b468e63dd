//go:build linux

package machine

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Watch counts disturbances of a measurement from outside: other programs
// that use the CPUs, a hypervisor that takes them, and stops of the process.
type Watch struct {
	read        func(name string) string // a file of /proc, or ""
	preempted   int64
	stolen, all uint64
	stopped     atomic.Int64
	signals     chan os.Signal
}

// NewWatch begins to watch this process.
func NewWatch() *Watch {
	w := &Watch{read: func(name string) string {
		text, _ := os.ReadFile("/proc/" + name)
		return string(text)
	}}
	w.preempted = preemptions()
	w.stolen, w.all = cpuTimes(w.read("stat"))
	// A process is not told that it was stopped, only that it continues.
	w.signals = make(chan os.Signal, 16)
	signal.Notify(w.signals, unix.SIGCONT)
	go func() {
		for range w.signals {
			w.stopped.Add(1)
		}
	}()
	return w
}

// Stop ends watching and returns the disturbances since NewWatch, in a line
// that readers of the benchmark format skip: as configuration it would make
// each process look like another system.
//
//	# disturbed: nice=19 load=4.31 steal=2.1% preempted=812 stopped=1
//
// nice is the process's niceness; load the average of the last minute,
// proc_loadavg(5); steal the share of the CPUs' time that the hypervisor gave
// to others, proc_stat(5); preempted how often a thread or child of the process
// was preempted (ru_nivcsw of getrusage(2)); stopped how often the process was
// stopped and continued. What the kernel does not count is left out.
func (w *Watch) Stop() string {
	signal.Stop(w.signals)
	close(w.signals)
	line := "# disturbed:"
	// The system call returns 20 less the niceness: getpriority(2).
	if kernel, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		line += fmt.Sprintf(" nice=%d", 20-kernel)
	}
	if load, _, ok := strings.Cut(w.read("loadavg"), " "); ok {
		line += " load=" + load
	}
	if stolen, all := cpuTimes(w.read("stat")); all > w.all {
		line += fmt.Sprintf(" steal=%.1f%%", 100*float64(stolen-w.stolen)/float64(all-w.all))
	}
	return line + fmt.Sprintf(" preempted=%d stopped=%d", preemptions()-w.preempted, w.stopped.Load())
}

// preemptions returns how often threads of this process, and children that were
// waited for, were preempted.
func preemptions() (n int64) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err == nil {
			n += u.Nivcsw
		}
	}
	return n
}

// cpuTimes returns the stolen time and all time of the CPUs in the text of
// /proc/stat, in ticks, or 0.
func cpuTimes(stat string) (stolen, all uint64) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0
	}
	for i, field := range fields[1:9] { // guest times, which follow, are already in user and nice
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, 0
		}
		all += n
		if i == 7 {
			stolen = n
		}
	}
	return stolen, all
}
