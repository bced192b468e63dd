//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

func TestRing(t *testing.T) {
	behaviour.Run(t, "ring",
		ringSetupRows,
		ringNotifyRows,
		ringPollRows,
		ringReadRows,
		ringMsgRows)
}

// A notifier is an io_uring as a row uses it: requests are handed in one by one,
// and completions taken when they come.
type notifier struct {
	*sys.Ring
	tb testing.TB
}

const (
	deferred    = sys.RingSingleIssuer | sys.RingDeferTaskrun
	ringCancel  = 14 // IORING_OP_ASYNC_CANCEL
	pollRemove  = 7  // IORING_OP_POLL_REMOVE
	timeoutStop = 12 // IORING_OP_TIMEOUT_REMOVE
)

// newNotifier makes a ring for n requests. It skips the row where there is no
// ring with such flags, features and operations to be had.
func newNotifier(tb testing.TB, n int, flags, features uint32, operations ...uint8) *notifier {
	tb.Helper()
	r, err := sys.NewRing(n, flags)
	switch {
	case errors.Is(err, unix.ENOSYS):
		behaviour.Absent(tb, "no io_uring: %v", err)
	case errors.Is(err, unix.EPERM):
		behaviour.Refused(tb, "%v (kernel.io_uring_disabled, or seccomp)", err)
	case errors.Is(err, unix.ENOMEM):
		behaviour.Limited(tb, "%v; raise RLIMIT_MEMLOCK", err)
	case errors.Is(err, unix.EMFILE):
		behaviour.Limited(tb, "%v: raise RLIMIT_NOFILE", err)
	case errors.Is(err, unix.EINVAL) && flags&sys.RingDeferTaskrun != 0 && !behaviour.Since(6, 1):
		behaviour.Absent(tb, "no IORING_SETUP_DEFER_TASKRUN before 6.1: %v", err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if r != nil {
			r.Close()
		}
	})
	lacks := func(what string, since [2]int) {
		tb.Helper()
		if behaviour.Since(since[0], since[1]) {
			tb.Fatalf("io_uring has no %s, which Linux %d.%d has", what, since[0], since[1])
		}
		behaviour.Absent(tb, "io_uring has no %s before %d.%d", what, since[0], since[1])
	}
	if r.Features&features != features {
		lacks(fmt.Sprintf("feature %#x", features), ringFeatures[features])
	}
	for _, op := range operations {
		ok, err := r.Supports(op)
		if err != nil {
			behaviour.Refused(tb, "%v", err)
		}
		if !ok {
			lacks(fmt.Sprintf("operation %d", op), ringOperations[op])
		}
	}
	return &notifier{Ring: r, tb: tb}
}

// ringNoDrop is IORING_FEAT_NODROP.
const ringNoDrop = 1 << 1

// Since when there are features and operations.
var (
	ringFeatures   = map[uint32][2]int{ringNoDrop: {5, 5}, sys.RingMultishotPoll: {5, 13}, sys.RingSkipSuccess: {5, 17}}
	ringOperations = map[uint8][2]int{
		ringCancel: {5, 5}, sys.RingRead: {5, 6}, sys.RingMsg: {5, 18}, sys.RingFutexWait: {6, 7}, sys.RingEpollWait: {6, 15},
	}
)

func (r *notifier) ask(requests ...sys.Request) {
	r.tb.Helper()
	for _, q := range requests {
		if err := r.Do(q); err != nil {
			r.tb.Fatal(err)
		}
	}
}

// enter is io_uring_enter(2) for completions that are there, n at least.
func (r *notifier) enter(n int) error {
	const getEvents = 1
	_, err := rawCall(unix.SYS_IO_URING_ENTER, uintptr(r.FD), 0, uintptr(n), getEvents, 0, 0)
	return err
}

// take waits for n completions and takes all.
func (r *notifier) take(n int) (all []sys.Completion) {
	r.tb.Helper()
	end := time.Now().Add(child.Patience / 2)
	for all = r.Completions(); len(all) < n; all = append(all, r.Completions()...) {
		if err := r.enter(1); err != nil && (err != unix.EINTR || time.Now().After(end)) {
			r.tb.Fatalf("io_uring_enter for completion %d of %d: %v", len(all)+1, n, err)
		}
	}
	return all
}

// answer is a completion that is wanted: the request's data, its result, and
// whether more follow.
type answer struct {
	data uint64
	res  int32
	more bool
}

func failing(data uint64, errno unix.Errno) answer { return answer{data: data, res: -int32(errno)} }

// want takes completions, which must be these, in any order.
func (r *notifier) want(what string, want ...answer) {
	r.tb.Helper()
	var got []answer
	for _, c := range r.take(len(want)) {
		got = append(got, answer{c.Data, c.Res, c.Flags&2 != 0})
	}
	text := func(answers []answer) string {
		var s []string
		for _, a := range answers {
			more := ""
			if a.more {
				more = ", and more"
			}
			res := fmt.Sprint(a.res)
			if a.res < 0 {
				res = errName(unix.Errno(-a.res))
			}
			s = append(s, fmt.Sprintf("%d: %s%s", a.data, res, more))
		}
		slices.Sort(s)
		return fmt.Sprint(s)
	}
	if text(got) != text(want) {
		r.tb.Errorf("%s: completions %s, want %s", what, text(got), text(want))
	}
}

// wantNone lets the kernel do what it has deferred; no completion may be there.
func (r *notifier) wantNone(what string) {
	r.tb.Helper()
	time.Sleep(soon)
	if err := r.enter(0); err != nil {
		r.tb.Fatalf("%s: io_uring_enter: %v", what, err)
	}
	r.want(what)
}

// eachSetup runs a row with a ring without flags, and with one that works for
// one thread when that asks.
func eachSetup(t *testing.T, features uint32, operations []uint8, row func(t testing.TB, r *notifier)) {
	t.Helper()
	t.Log("a ring without flags")
	row(t, newNotifier(t, 8, 0, features, operations...))
	if !behaviour.Since(6, 1) {
		behaviour.Partly(t, "absent", "no IORING_SETUP_DEFER_TASKRUN before 6.1")
		return
	}
	t.Log("a ring that defers its work")
	row(t, newNotifier(t, 8, deferred, features, operations...))
}
