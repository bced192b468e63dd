//go:build linux

package sys

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A Wait decides when this side has waited for others long enough. It tells one
// that is stuck, which is to be reported soon, from one that would go on if it
// had a CPU, as on a machine that is shared: for that it waits longer, though
// not for ever.
//
// Whoever waits asks Over again and again. These do not count as waiting:
//
//   - the time in which this side itself was kept from asking: stopped, or
//     without a CPU;
//   - the time between two looks in which one of the others did not run, by its
//     CPU time, though it is runnable (state R of proc_pid_stat(5)).
//
// The others are the tasks awaited, and all threads of this process but the one
// that asks: what is awaited may be theirs to do. The run delay of
// /proc/PID/schedstat cannot tell this. The kernel brings it up to date when the
// thread gets a CPU, which is what it is waiting for, and not every kernel has
// it. Without /proc, all time counts in which this side asks.
type Wait struct {
	limit       time.Duration
	tasks       []*Task
	looked      time.Time
	asked, vain time.Duration
	used        map[string]time.Duration // CPU time at the last look, by directory in /proc
}

const (
	// waitLook is how long Over leaves between two looks at the others.
	waitLook = 100 * time.Millisecond
	// waitGap is more than this side ever leaves between two looks by itself.
	// Beyond that it was kept from looking.
	waitGap = 4 * waitLook
	// waitMost bounds, in limits, what is waited for those who have no CPU.
	waitMost = 10
)

// NewWait begins a wait that is over after limit in vain. The tasks are awaited,
// beside threads of this process.
func NewWait(limit time.Duration, tasks ...*Task) *Wait {
	return &Wait{limit: limit, tasks: tasks, looked: time.Now()}
}

// Again begins the wait anew: something came.
func (w *Wait) Again() {
	w.looked, w.asked, w.vain, w.used = time.Now(), 0, 0, nil
}

// Over reports whether the wait has been long enough.
func (w *Wait) Over() bool {
	if since := time.Since(w.looked); since >= waitLook {
		w.looked = w.looked.Add(since)
		asked := min(since, waitGap)
		if w.used == nil { // what the others did until now is not known
			asked = waitLook
		}
		w.asked += asked
		w.vain += max(0, asked-w.starved(since))
	}
	return w.vain >= w.limit || w.asked >= waitMost*w.limit
}

// String is how long the wait has been, as messages show it.
func (w *Wait) String() string {
	asked := w.asked.Round(time.Millisecond)
	if w.asked-w.vain < waitLook {
		return asked.String()
	}
	return fmt.Sprintf("%v (%v of it without a CPU)", asked, (w.asked - w.vain).Round(time.Millisecond))
}

// starved returns the longest time that one of the others, which is runnable, did
// not run, of the time since the last look.
func (w *Wait) starved(since time.Duration) (longest time.Duration) {
	before := w.used
	w.used = make(map[string]time.Duration)
	look := func(dir string) {
		used, runnable, ok := cpuTime(dir)
		if !ok {
			return
		}
		w.used[dir] = used
		if had, ok := before[dir]; ok && runnable {
			longest = max(longest, since-(used-had))
		}
	}
	self, _ := os.Readlink("/proc/thread-self") // this one runs
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, dir := range threads {
		if filepath.Base(dir) != filepath.Base(self) {
			look(dir)
		}
	}
	for _, t := range w.tasks {
		if t.child {
			look("/proc/" + strconv.Itoa(t.TID))
		}
	}
	return longest
}

// cpuTime returns the CPU time that a thread has used, and whether it is in state R,
// given its directory in /proc.
func cpuTime(dir string) (used time.Duration, runnable, ok bool) {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, false, false // it is gone
	}
	// The name is in parentheses and may hold anything, parentheses included.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state, utime, stime = 0, 11, 12 // of proc_pid_stat(5), less the first two and from 0
	if len(fields) <= stime {
		return 0, false, false
	}
	for _, i := range []int{utime, stime} {
		ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false, false
		}
		used += time.Duration(ticks) * (time.Second / 100) // USER_HZ, on all of Linux but alpha and ia64
	}
	return used, string(fields[state]) == "R", true
}
