//go:build linux

package measure

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"eventbench/helpers/latency"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// A Source is one kind of event that an event loop waits for.
type Source struct {
	Name string // one of Sources: its figures are eventfd-p99-latency-ns and so on
	// Every is the time from one event to the next: of a timer, and of
	// posts where the load is paced.
	Every time.Duration
	FDs   []int // what loops register for reading
	// Post posts one event, or Burst of them. A source without is one that
	// nobody posts to: a timer, or processes that end.
	Post  []sys.Call
	Burst int
	// Take returns what a loop does when FDs[i] is ready, which it has
	// registered with epfd.
	Take func(a *sys.Arena, epfd, i int) Taking
	// Timer says that FDs[0] is a timerfd of CLOCK_MONOTONIC, which expires
	// once every Every.
	Timer bool
	// Due, if set, are the times until which processes sleep that then end,
	// and each of FDs is of the one whose time is at the same index. Where
	// the load is paced they end spread over the time that the others post.
	Due []*unix.Timespec
}

// Sources are the names that a source may have.
var Sources = []string{"eventfd", "timerfd", "signalfd", "pidfd", "socket", "pipe"}

// A Taking is how a loop takes what has come, and how it is counted.
type Taking struct {
	Calls []sys.Call // a result that finds nothing is Refused
	Value *uint64    // what they found, in units
	Unit  uint64     // of Value for each event; 0 is 1
	Full  uint64     // Value that may have left something, or 0
}

// An EventLoop says how a loop is built.
type EventLoop struct {
	Loops   int    // how many there are, each on a CPU of its own as far as there are CPUs
	Trigger uint32 // bits beside EPOLLIN: unix.EPOLLET, unix.EPOLLEXCLUSIVE
	Batch   int    // events that one epoll_wait takes at most
}

// The load of an event loop.
const (
	Paced = "paced" // each source posts on its schedule
	Full  = "full"  // each sender posts as quickly as it can
)

// Run benchmarks event loops, threads that wait in epoll_wait(2) and take what
// has come, under the load of sources: paced, or full. A source that is posted
// to has a sender, a thread. However many loops there are, senders are spread
// over all CPUs but the first, if there are others: one loop then has its CPU
// to itself, and of several the first. The benchmark's operation is one event
// that a sender posts and the kernel accepts.
//
// Every event is accounted for: posted, refused by the kernel (EAGAIN of a full
// queue of signals), or taken by a loop, where several that merged are taken as
// one. For each event taken, delivered/op is how often a loop took something,
// wakeups/event how often it waited, spurious/event how often it found nothing,
// and cpu-ns/op the loops' own CPU time (CLOCK_THREAD_CPUTIME_ID). No end can
// be lost: a sender tells of its by an eventfd of which this thread reads each
// count, and all loops of theirs by one that stays readable. Where the kernel
// may refuse, sent/op is the share that it accepted of all that senders tried
// to post.
//
// Where the load is paced, each source has its latencies, counted from the time
// at which an event was due, not from its post: what a sender could not post in
// time because it was held up is late as well, and no event is left out because
// the one before it was slow (coordinated omission). Events that merged have a
// due time each. How much of that was the sender's doing is told by
// eventfd-p99-post-latency-ns and so on: from the time at which a post was due
// until just before it was made. Nobody posts a timer's expiry or a process's
// end, so they have none.
//
// A source some of whose events were refused has no latencies but those of its
// posts: which were refused is not known, so neither is when the others were
// due; and what never comes is later than any that does. ns/op would be the
// schedule's, so it is left out.
func (e EventLoop) Run(b *testing.B, load string, sources ...Maker) {
	b.Helper()
	if load == Paced {
		SkipCounted(b, ClockJumps)
		skipUnsynchronised(b, e.cpus(len(sources))...)
	}
	if trial(b, readable) {
		return
	}
	w := &workload{EventLoop: e, b: b, paced: load == Paced}
	w.hire(sources)
	w.program()
	settle()
	peer.SkipOrFatal(b, w.run())
	w.account()
	peer.SkipOrFatal(b, w.shut())
	w.report()
}

// A Maker makes a source for loops, threads of the crew that have been started
// and wait.
type Maker func(c *peer.Crew, loops []*peer.Member) Source

// A workload is an event loop at work.
type workload struct {
	EventLoop
	b     *testing.B
	paced bool

	crew    *peer.Crew
	arena   *sys.Arena // for the loops' tables and logs
	loops   []*peer.Member
	origins []*origin
	senders int       // sources that are posted to
	stop    int       // eventfd by which the loops end
	end     *sys.Loop // by which this thread waits until all senders are done
	last    reading   // when the notes were last read
	taken   uint64    // events, of all sources
	cpu     time.Duration
}

// An origin is a source and what came of its events.
type origin struct {
	Source
	sender *peer.Member   // idle where nobody posts
	first  int64          // when its first event is due, in ns of CLOCK_MONOTONIC
	next   *unix.Timespec // when the sender is to post next
	unit   uint64
	posted uint64     // to be posted, unless refused
	logs   []*sys.Log // one for each loop and descriptor
	notes  []note
	posts  *sys.Log // by the sender, just before each post; nil unless there is a schedule
	sent   []int64  // when those were, on CLOCK_MONOTONIC
}

// A note is one time that a loop came to take something.
type note struct {
	ns     int64 // CLOCK_MONOTONIC
	amount uint64
}

// cpus are where the loops and then the senders run.
func (e EventLoop) cpus(senders int) (cpus []int) {
	allowed := here().Allowed
	for i := range e.Loops {
		cpus = append(cpus, allowed[i%len(allowed)])
	}
	others := allowed[min(1, len(allowed)-1):]
	for i := range senders {
		cpus = append(cpus, others[i%len(others)])
	}
	return cpus
}

// hire starts the threads and makes the sources.
func (w *workload) hire(makers []Maker) {
	w.b.Helper()
	var names []string
	for i := range w.Loops {
		names = append(names, fmt.Sprintf("loop %d of %d", i+1, w.Loops))
	}
	for i := range makers {
		names = append(names, fmt.Sprintf("sender %d of %d", i+1, len(makers)))
	}
	cpus := w.cpus(len(makers))
	restore := withoutSlack()
	defer restore()
	// Before the crew, so that it is there until all threads are gone.
	arena, err := sys.NewArena(w.room(len(makers)))
	peer.SkipOrFatal(w.b, err)
	w.b.Cleanup(func() {
		if err := arena.Close(); err != nil {
			w.b.Error(err)
		}
	})
	w.arena = arena
	w.crew = peer.NewCrew(w.b, peer.Thread, cpus[len(cpus)-1], cpus, names...)
	w.crew.Start()
	w.loops = w.crew.Members[:w.Loops]
	for i, m := range makers {
		w.origins = append(w.origins, &origin{Source: m(w.crew, w.loops), sender: w.crew.Members[w.Loops+i]})
	}
	w.stop = w.eventfd(0)
}

// room is what the loops' tables and all logs take at most.
func (w *workload) room(sources int) int {
	const tables, mostFDs = 64 << 10, 64
	logs := sources * (16*w.logRoom() + 64)
	return logs + w.Loops*(tables+logs+mostFDs*(16*4+64))
}

// logRoom is how many notes a log has room for: twice as many as there are
// events, so that a thread that comes late to read them finds them all, and for
// a timer, which goes on for as long as it is not stopped, 30,000 at least. Of
// more than half a million this thread may come late by as many. Nobody reads
// those of a full load.
func (w *workload) logRoom() int {
	if !w.paced {
		return 1
	}
	room := 1 << 15
	for room < 2*w.b.N && room < 1<<20 {
		room *= 2
	}
	return room
}

func (w *workload) eventfd(flags int) int {
	fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
	peer.SkipOrFatal(w.b, os.NewSyscallError("eventfd2", err))
	w.b.Cleanup(func() { unix.Close(fd) })
	return fd
}

// program gives every thread its calls.
func (w *workload) program() {
	w.b.Helper()
	c, a := w.crew, w.arena
	done := w.eventfd(unix.EFD_SEMAPHORE)
	senders := 0
	for i, o := range w.origins {
		if o.Post == nil {
			o.sender.Reset(0)
			o.posted = uint64(len(o.FDs))
			continue
		}
		senders++
		n := max(1, w.share(i)/max(1, o.Burst))
		o.posted = uint64(n * max(1, o.Burst))
		calls := o.Post
		if w.paced {
			o.next = sys.Place(c.Arena, unix.Timespec{})
			o.posts = sys.NewLog(a, w.logRoom())
			one := c.Arena.Word(0)
			sleep := sys.Nanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, o.next)
			sleep.Set, sleep.SetTo = (*uint32)(unsafe.Pointer(one)), 1 // its low half: both architectures are little-endian
			calls = slices.Concat([]sys.Call{sleep, sys.Note(o.posts, one, 0, 0)}, calls, []sys.Call{sys.Advance(o.next, o.Every)})
		}
		o.sender.SetCalls(c.Arena, calls...)
		o.sender.Reset(n)
		c.Last(o.sender, sys.EventfdWrite(done, c.Arena.Word(1)))
	}
	for _, m := range w.loops {
		w.programLoop(m, a)
	}
	w.end = sys.NewLoop(c.Arena, sys.EventfdRead(done, c.Arena.Word(0)))
	w.end.Reset(0)
	w.senders = senders
}

// share is how many of b.N events source i posts: all post for as long.
func (w *workload) share(i int) int {
	return int(float64(w.b.N) * w.rate(w.origins[i]) / w.rates())
}

// rate is how often the source is posted to: events in a nanosecond where the
// load is paced, and as often as any other at full load.
func (w *workload) rate(o *origin) float64 {
	if o.Post == nil {
		return 0
	}
	if !w.paced {
		return 1
	}
	return float64(max(1, o.Burst)) / float64(o.Every)
}

func (w *workload) rates() (sum float64) {
	for _, o := range w.origins {
		sum += w.rate(o)
	}
	return sum
}

// programLoop makes m a loop over all sources, with an epoll instance of its
// own.
func (w *workload) programLoop(m *peer.Member, a *sys.Arena) {
	w.b.Helper()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	peer.SkipOrFatal(w.b, os.NewSyscallError("epoll_create1", err))
	w.b.Cleanup(func() { unix.Close(epfd) })

	type watch struct {
		fd   int
		bits uint32
	}
	// The stop is never read, so that every loop sees it; its log ends the
	// loop.
	stopped := sys.NewLog(a, 1)
	handlers := [][]sys.Call{{sys.Note(stopped, a.Word(1), 0, 0)}}
	watches := []watch{{w.stop, unix.EPOLLIN}}
	for _, o := range w.origins {
		for i, fd := range o.FDs {
			t := o.Take(a, epfd, i)
			o.unit = max(1, t.Unit)
			room := w.logRoom()
			if o.Due != nil {
				room = 1
			}
			log := sys.NewLog(a, room)
			o.logs = append(o.logs, log)
			handlers = append(handlers, append(t.Calls, sys.Note(log, t.Value, t.Full, len(t.Calls))))
			watches = append(watches, watch{fd, unix.EPOLLIN | w.Trigger})
		}
	}
	n, events := a.Word(0), sys.EpollEvents(a, w.Batch)
	count := (*int32)(unsafe.Pointer(n))
	calls, names := sys.Dispatch(events, count, handlers...)
	for i, v := range watches {
		e := unix.EpollEvent{Events: v.bits, Fd: int32(names[i]), Pad: int32(names[i] >> 32)}
		peer.SkipOrFatal(w.b, os.NewSyscallError("epoll_ctl", unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, v.fd, &e)))
	}
	m.SetCalls(a, append([]sys.Call{sys.EpollWaitSome(epfd, events, -1, count)}, calls...)...)
	m.Reset(math.MaxInt)
	m.Until, m.Limit = stopped.Count(), 1
}

// schedule sets the times at which events are due. Where the load is paced the
// sources take turns, or the senders, which may have to share a CPU, would be
// in each other's way at every one.
func (w *workload) schedule() error {
	w.last = readClocks()
	turn := int64(math.MaxInt64)
	for _, o := range w.origins {
		if o.Due != nil && w.paced {
			o.Every = time.Duration(float64(w.b.N) / w.rates() / float64(len(o.Due)))
		} else {
			turn = min(turn, int64(o.Every)/int64(len(w.origins)))
		}
	}
	for i, o := range w.origins {
		o.first = w.last.ns + int64(2*time.Millisecond) + int64(i)*turn
		if o.next != nil {
			*o.next = unix.NsecToTimespec(o.first)
		}
		for i, due := range o.Due {
			*due = unix.NsecToTimespec(o.due(uint64(i)))
		}
		if !o.Timer {
			continue
		}
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(o.first), Interval: unix.NsecToTimespec(int64(o.Every))}
		if err := unix.TimerfdSettime(o.FDs[0], unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
			return os.NewSyscallError("timerfd_settime", err)
		}
	}
	return nil
}

// due is when the source's event i is due, in ns of CLOCK_MONOTONIC.
func (o *origin) due(i uint64) int64 { return o.first + int64(i)*int64(o.Every) }

// run lets all begin, waits until what was posted is taken, and ends the loops.
func (w *workload) run() error {
	b, c := w.b, w.crew
	if err := w.schedule(); err != nil {
		return err
	}
	used, err := w.cpuTime()
	if err != nil {
		return err
	}
	work := func() error {
		c.Open()
		err := c.Run(w.end, w.senders, nil, w.check)
		if err == nil {
			err = w.drain()
		}
		return err
	}
	took, ticks, err := clocked(b, work)
	if err != nil {
		return err
	}
	if w.paced {
		b.ReportMetric(0, "ns/op")
	} else if posted, refused := w.posted(); posted > refused {
		reportEach(b, took, ticks, posted-refused)
	}
	all, err := w.cpuTime()
	if err != nil {
		return err
	}
	w.cpu = all - used
	if _, err := unix.Write(w.stop, []byte{0: 1, 7: 0}); err != nil {
		return os.NewSyscallError("write", err)
	}
	err = c.Join()
	if err == nil {
		err = w.read()
	}
	return err
}

// check is called while this thread waits: it reads the notes before their logs
// run over.
func (w *workload) check() error {
	if err := w.read(); err != nil {
		return err
	}
	return w.crew.Check()
}

// read takes what the loops have noted since the last time.
func (w *workload) read() error {
	if !w.paced {
		return nil
	}
	now := readClocks()
	for _, o := range w.origins {
		for i, log := range o.logs {
			if !log.Read(func(ticks, amount uint64) {
				n := note{w.last.between(now, ticks), amount / o.unit}
				if o.Due != nil {
					n.amount = uint64(i) % uint64(len(o.FDs)) // whose event it was
				}
				o.notes = append(o.notes, n)
			}) {
				return w.lost(o)
			}
		}
		if o.posts != nil && !o.posts.Read(func(ticks, _ uint64) { o.sent = append(o.sent, w.last.between(now, ticks)) }) {
			return w.lost(o)
		}
	}
	w.last = now
	return nil
}

func (w *workload) lost(o *origin) error {
	return fmt.Errorf("%s: this thread came too late to read the notes of %d events: is the machine overloaded?", o.Name, w.logRoom())
}

// drain waits until the loops have taken all that was posted.
func (w *workload) drain() error {
	for wait := w.crew.Wait(); ; time.Sleep(20 * time.Microsecond) {
		left := w.left()
		if left == "" {
			return nil
		}
		if err := w.check(); err != nil {
			return err
		}
		if wait.Over() {
			return fmt.Errorf("all is posted, but %v later %s", wait, left)
		}
	}
}

// left says which source's events are not all taken, with the counts; "" if all
// are.
func (w *workload) left() string {
	for _, o := range w.origins {
		if taken, refused := o.taken(), o.sender.Refused; !o.Timer && taken != o.posted-refused {
			return fmt.Sprintf("%s: %d events posted, %d refused, %d taken", o.Name, o.posted, refused, taken)
		}
	}
	return ""
}

// taken is how many of the source's events the loops have taken.
func (o *origin) taken() (n uint64) {
	for _, log := range o.logs {
		n += atomic.LoadUint64(log.Total()) / o.unit
	}
	return n
}

// times is how often a loop came to take events of the source.
func (o *origin) times() (n uint64) {
	for _, log := range o.logs {
		n += atomic.LoadUint64(log.Count())
	}
	return n
}

// cpuTime is what the loops have used.
func (w *workload) cpuTime() (sum time.Duration, err error) {
	for _, m := range w.loops {
		used, err := m.CPUTime()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// posted is how often senders tried to post an event, and how many of those the
// kernel refused.
func (w *workload) posted() (all, refused uint64) {
	for _, o := range w.origins {
		if o.Post != nil {
			all += o.posted
			refused += o.sender.Refused
		}
	}
	return all, refused
}

// shut is the error of a source that the kernel accepted nothing from.
func (w *workload) shut() error {
	for _, o := range w.origins {
		if err := refusedAll(o.Post, o.sender.Loop, o.posted); err != nil {
			return err
		}
	}
	return nil
}

// account fails the benchmark unless every event was taken, and once.
func (w *workload) account() {
	w.b.Helper()
	if left := w.left(); left != "" {
		w.b.Error(left)
	}
	for _, o := range w.origins {
		taken := o.taken()
		w.taken += taken
		if !o.Timer {
			continue
		}
		left, err := w.unread(o, w.expired(o), taken)
		if err != nil {
			w.b.Error(err)
		} else if most := w.expired(o); taken+left > most {
			w.b.Errorf("%s: %d expiries were due at most, %d taken and %d left", o.Name, most, taken, left)
		}
	}
}

// unread takes the expiries that loops have left of a timer since they ended.
// Those that were due are waited for: a timer is never early, but as late as
// its interrupt, which a hypervisor can hold back for longer than a period.
func (w *workload) unread(o *origin, due, taken uint64) (left uint64, err error) {
	for wait := w.crew.Wait(); ; time.Sleep(20 * time.Microsecond) {
		n, err := expiries(o.FDs[0])
		if left += n; err != nil || taken+left >= due {
			return left, err
		}
		if wait.Over() {
			return left, fmt.Errorf("%s: %d expiries were due, but %v later %d are taken and %d left", o.Name, due, wait, taken, left)
		}
	}
}

// expired is how often a timer has expired by now.
func (w *workload) expired(o *origin) uint64 {
	if since := readClocks().ns - o.first; since >= 0 {
		return uint64(since/int64(o.Every)) + 1
	}
	return 0
}

// expiries takes what is left of a non-blocking timerfd.
func expiries(fd int) (uint64, error) {
	var buf [8]byte
	switch _, err := unix.Read(fd, buf[:]); err {
	case nil:
		return binary.NativeEndian.Uint64(buf[:]), nil
	case unix.EAGAIN:
		return 0, nil
	default:
		return 0, os.NewSyscallError("read", err)
	}
}

func (w *workload) report() {
	b := w.b
	b.Helper()
	var times, waits, spurious uint64
	for _, o := range w.origins {
		times += o.times()
	}
	for _, m := range w.loops {
		waits += uint64(m.Loop.Done)
		spurious += m.Refused
	}
	per := func(n uint64) float64 { return float64(n) / float64(w.taken) }
	b.ReportMetric(per(times), "delivered/op")
	b.ReportMetric(per(waits), "wakeups/event")
	b.ReportMetric(per(spurious), "spurious/event")
	if slices.ContainsFunc(w.origins, func(o *origin) bool { return refusable(o.Post) != nil }) {
		posted, refused := w.posted()
		b.ReportMetric(float64(posted-refused)/float64(posted), "sent/op")
	}
	if !Counted() {
		reportTime(b, per(uint64(w.cpu)), "cpu-ns/op")
	}
	if !w.paced {
		return
	}
	for _, name := range Sources {
		var taken, posted latency.Histogram
		for _, o := range w.origins {
			if o.Name != name {
				continue
			}
			if o.sender.Refused == 0 {
				o.record(&taken)
			}
			for i, ns := range o.sent {
				posted.Record(since(o.due(uint64(i)), ns))
			}
		}
		reportPercentiles(b, latencies, &taken, 1, name+"-%s-latency-ns")
		reportPercentiles(b, postLatencies, &posted, 1, name+"-%s-post-latency-ns")
	}
}

// record counts the latency of each of the source's events from the time it was
// due. Loops that share a source note what they took each for itself: the
// events are taken to be in order.
func (o *origin) record(h *latency.Histogram) {
	slices.SortFunc(o.notes, func(a, b note) int { return cmp.Compare(a.ns, b.ns) })
	burst := uint64(max(1, o.Burst))
	var i uint64
	for _, n := range o.notes {
		from, to := i, i+n.amount
		if o.Due != nil {
			from, to = n.amount, n.amount+1
		}
		for ; from < to; from++ {
			h.Record(since(o.due(from/burst), n.ns))
		}
		i = to
	}
}

// since is the time from due to ns, which are of clocks that are read apart by
// less than any latency: never below 0.
func since(due, ns int64) uint64 { return uint64(max(0, ns-due)) }
