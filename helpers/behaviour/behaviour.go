//go:build linux

// Package behaviour tests the promises of a mechanism, with a test for each row
// of an inventory.
//
// An inventory, such as testdata/behaviours/eventfd.txt, lists what must hold.
// The tests are a table in a test file:
//
//	func TestEventfd(t *testing.T) {
//		behaviour.Run(t, "eventfd", map[string]func(*testing.T){
//			"EFD-01": eventfdIsReadWrite,
//		})
//	}
//
// To run one of them: go test ./behaviours -run EFD-01 (see [Pattern]).
//
// A row that cannot be checked where it runs is skipped with [Absent],
// [Unprivileged], [Limited] or [Refused]; Report counts the reasons. If only a
// part of it cannot be checked, it says so with [Partly]. A kernel that lacks
// what it must have is no reason to skip.
package behaviour

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
	"eventbench/helpers/machine"
	"eventbench/helpers/sys"
)

// Inventory holds the inventories as MECHANISM.txt. They are embedded in the
// test binary, because it also runs where there is no testdata.
var Inventory fs.FS

func init() {
	child.Limited = Limited
	// A row's thread ends with it. It must not be the first thread, which
	// cannot end and is the first choice for signals to the process.
	runtime.LockOSThread()
}

// Run runs the rows of a mechanism, from one or more tables, as subtests in the
// order of their ids. It fails if a row of the inventory has no test or two, or
// if a test has no row.
//
// A row is locked to a thread that ends with it, so it need not restore the
// thread's mask, affinity or credentials. It must restore what belongs to the
// process: handlers, limits, pending signals. A row that hangs is interrupted.
func Run(t *testing.T, mechanism string, tables ...map[string]func(*testing.T)) {
	t.Helper()
	rows := map[string]func(*testing.T){}
	for _, table := range tables {
		for id, row := range table {
			if rows[id] != nil {
				t.Errorf("%s has two tests", id)
			}
			rows[id] = row
		}
	}
	inventory, err := load(mechanism)
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string]string{}
	for _, row := range inventory {
		statements[row.ID] = row.Statement
		if rows[row.ID] == nil {
			t.Errorf("%s (%s) has no test", row.ID, row.Statement)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(rows), Compare) {
		if statements[id] == "" {
			t.Errorf("%s has a test but no row in testdata/behaviours/%s.txt", id, mechanism)
		}
		t.Run(id, func(t *testing.T) {
			runtime.LockOSThread()
			watch := newWatchdog(t)
			before := here()
			// Registered first, so that it runs after all of the
			// row's cleanups.
			t.Cleanup(func() {
				watch.stop()
				for _, left := range here().since(before) {
					t.Errorf("%s left %s", id, left)
				}
				if t.Failed() {
					t.Logf("%s: %s", id, statements[id])
				}
				tally.add(t, id)
			})
			if strings.HasPrefix(mechanism, "signal") {
				// With fewer, queued signals are refused and
				// others arrive without their values.
				NeedPending(t, 8)
			}
			if by := tracer(); by != 0 && slices.Contains(disturbed, id) {
				Limited(t, "process %d traces this one, and its stops disturb the row: run it without a tracer", by)
			}
			rows[id](t)
		})
	}
}

// disturbed names the rows that a tracer disturbs.
var disturbed []string

// Disturb declares rows that a tracer disturbs. They are skipped in a traced
// process.
func Disturb(rows ...string) { disturbed = append(disturbed, rows...) }

// tracer returns the process that traces this one, or 0: TracerPid in
// proc_pid_status(5).
func tracer() (pid int) {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "\nTracerPid:")
	fmt.Sscan(rest, &pid)
	return pid
}

// NeedPending skips a row that has n of this user's signals pending at once if
// RLIMIT_SIGPENDING allows fewer. Only rows with more than 8 signals need it.
func NeedPending(tb testing.TB, n int) {
	tb.Helper()
	if machine.GVisor() {
		return // gVisor reports 0 and does not enforce it
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_SIGPENDING, &limit); err != nil {
		tb.Fatal(err)
	}
	if limit.Cur < uint64(n) {
		Limited(tb, "only %d signals may be pending, and %d are needed: raise RLIMIT_SIGPENDING", limit.Cur, n)
	}
}

func load(mechanism string) ([]Row, error) {
	name := mechanism + ".txt"
	if Inventory == nil {
		return nil, fmt.Errorf("behaviour.Inventory is not set: nothing to read %s from", name)
	}
	f, err := Inventory.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the inventory of %s: %w", mechanism, err)
	}
	defer f.Close()
	return Parse("testdata/behaviours/"+name, f)
}

// Since reports whether the running kernel is at least this release. gVisor
// counts as the release that it claims to be.
func Since(major, minor int) bool {
	v := release()
	return v[0] > major || v[0] == major && v[1] >= minor
}

var release = sync.OnceValue(func() (v [2]int) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(fmt.Sprintf("uname: %v", err))
	}
	text := unix.ByteSliceToString(u.Release[:])
	if n, _ := fmt.Sscanf(text, "%d.%d", &v[0], &v[1]); n != 2 {
		panic(fmt.Sprintf("uname: release %q does not start with two numbers", text))
	}
	return v
})

// Absent skips a row whose subject does not exist here: this kernel is too old
// or was configured without it.
func Absent(tb testing.TB, format string, args ...any) {
	tb.Helper()
	skip(tb, "absent", format, args)
}

// Unprivileged skips a row that needs a privilege the process lacks.
func Unprivileged(tb testing.TB, format string, args ...any) {
	tb.Helper()
	skip(tb, "privilege", format, args)
}

// Limited skips a row that a resource limit, a single CPU or a missing /proc
// rules out.
func Limited(tb testing.TB, format string, args ...any) {
	tb.Helper()
	skip(tb, "limit", format, args)
}

// Refused skips a row whose system call a seccomp filter refuses.
func Refused(tb testing.TB, format string, args ...any) {
	tb.Helper()
	skip(tb, "seccomp", format, args)
}

// Skip skips a row for a reason whose class was determined elsewhere: "absent",
// "privilege", "limit" or "seccomp".
func Skip(tb testing.TB, class, format string, args ...any) {
	tb.Helper()
	skip(tb, class, format, args)
}

// Partly records that a part of a row cannot be checked here, for a reason with
// a class as in [Skip]. The row continues and counts as held in part if
// everything else holds.
func Partly(tb testing.TB, class, format string, args ...any) {
	tb.Helper()
	if p, ok := tb.(*part); ok {
		p.Logf(partMark+class+": "+format, args...)
		return
	}
	tally.inPart(tb.Name())
	tb.Logf(partMark+class+": "+format, args...)
}

// partMark begins a row's message about an unchecked part.
const partMark = "in part, "

func skip(tb testing.TB, class, format string, args []any) {
	tb.Helper()
	tally.because(tb.Name(), class)
	tb.Skipf(class+": "+format, args...)
}

// Report writes one line with the numbers of rows that held, broke and were
// skipped, by reason, in all calls of Run so far. It writes nothing if no row
// ran. If none ran although run, the pattern of the tests to run, names one, it
// says so and returns false.
func Report(w io.Writer, run string) bool {
	switch s := tally.String(); {
	case s != "":
		fmt.Fprintln(w, "behaviours:", s)
	case NamesRow(run):
		fmt.Fprintf(w, "behaviours: no row matches -run %s; testdata/behaviours lists all rows\n", run)
		return false
	}
	return true
}

// A tallySheet counts rows by outcome.
type tallySheet struct {
	mu      sync.Mutex
	reasons map[string]string // class of the skip, by test name
	ends    map[string]string // held, broke or the class of the skip, by row
	parts   map[string]bool   // a part was not checked, by test name
	partly  map[string]bool   // the same by row, in any run
}

var tally = tallySheet{reasons: map[string]string{}, ends: map[string]string{}, parts: map[string]bool{}, partly: map[string]bool{}}

func (s *tallySheet) inPart(test string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[test] = true
}

func (s *tallySheet) because(test, class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reasons[test] = class
}

// add records the end of a row. If a row runs several times, the worst outcome
// counts.
func (s *tallySheet) add(t *testing.T, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.Failed():
		s.ends[id] = "broken"
	case s.ends[id] == "broken":
	case t.Skipped():
		class := s.reasons[t.Name()]
		if class == "" {
			class = "other"
		}
		s.ends[id] = class
	default:
		s.ends[id] = "held"
	}
	s.partly[id] = s.partly[id] || s.parts[t.Name()]
}

func (s *tallySheet) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) == 0 {
		return ""
	}
	counts := map[string]int{}
	for _, end := range s.ends {
		counts[end]++
	}
	parts := 0
	for id, end := range s.ends {
		if end == "held" && s.partly[id] {
			parts++
		}
	}
	text := fmt.Sprintf("%d rows: %d held", len(s.ends), counts["held"])
	if parts > 0 {
		text += fmt.Sprintf(" (%d of them in part)", parts)
	}
	text += fmt.Sprintf(", %d broken", counts["broken"])
	skipped := len(s.ends) - counts["held"] - counts["broken"]
	delete(counts, "held")
	delete(counts, "broken")
	text += fmt.Sprintf(", %d skipped", skipped)
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		classes = append(classes, class+" "+strconv.Itoa(counts[class]))
	}
	if len(classes) > 0 {
		text += " (" + strings.Join(classes, ", ") + ")"
	}
	return text
}

// limit is how long a row may take. Each wait in a row has its own limit,
// usually child.Patience.
var limit = child.Patience + 10*time.Second

// interrupting is the signal whose handler only ends a system call with EINTR.
// Rows use it only when they use all signals.
const interrupting = unix.Signal(62)

// A watchdog ends a row that hangs.
type watchdog struct {
	t     *testing.T
	tid   int
	start time.Time
	done  chan struct{} // closed at the row's end
	ended chan struct{} // closed when the watchdog no longer needs the row
}

// progress records when a row last started or ended, and which one started
// last.
var progress struct {
	sync.Mutex
	at     time.Time
	latest *watchdog
}

// newWatchdog watches the calling goroutine's thread.
func newWatchdog(t *testing.T) *watchdog {
	w := &watchdog{t: t, tid: unix.Gettid(), start: time.Now(), done: make(chan struct{}), ended: make(chan struct{})}
	progress.Lock()
	progress.at, progress.latest = w.start, w
	progress.Unlock()
	go w.run()
	return w
}

func (w *watchdog) stop() {
	close(w.done)
	<-w.ended
	progress.Lock()
	progress.at = time.Now()
	progress.Unlock()
}

// left returns the row's remaining time. A parallel row waits for its turn in
// the middle of its run, so time counts only while no other row starts or ends.
// The row that started last is blamed first.
func (w *watchdog) left() time.Duration {
	progress.Lock()
	defer progress.Unlock()
	end := progress.at.Add(limit)
	if progress.latest != w {
		end = end.Add(5 * time.Second)
	}
	return time.Until(end)
}

func (w *watchdog) run() {
	defer close(w.ended)
	for {
		left := w.left()
		if left <= 0 {
			break
		}
		select {
		case <-w.done:
			return
		case <-time.After(left):
		}
	}
	w.t.Errorf("still running after %v, without any other row's progress; interrupting it", time.Since(w.start).Round(time.Second))
	_, restore, err := sys.Handle(interrupting)
	if err == nil {
		defer restore()
		for range 200 {
			unix.Tgkill(unix.Getpid(), w.tid, interrupting)
			select {
			case <-w.done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	// The stacks of all goroutines show what it waits for.
	debug.SetTraceback("all")
	panic(fmt.Sprintf("%s hangs and cannot be interrupted", w.t.Name()))
}
