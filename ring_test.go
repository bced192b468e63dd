//go:build linux

package eventbench

import (
	"fmt"
	"testing"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// An io_uring as what a thread waits with. Its requests are written once, and
// each iteration submits them again; submission and wait are one call, as those
// who care for calls have it, and a completion that is there already is taken
// without one. Each completion is accounted for: its request, its result, and
// that none is left or lost. See sys.Ring.

// ringSetups are how a ring is set up: with no flags, or for one thread that
// runs the ring's work when it asks for completions, which is what the kernel's
// authors advise.
var ringSetups = map[string]uint32{"plain": 0, "defer": sys.RingSingleIssuer | sys.RingDeferTaskrun}

// The data of requests: any number will do, and they differ.
const (
	ringPost = 1001 + iota
	ringReceipt
)

// ringSize is the room for requests of a ring.
const ringSize = 8

// A ringUse is a way to use a ring, and what of io_uring it needs.
type ringUse struct {
	name       string
	features   uint32
	operations []uint8
}

// eachRing runs f as a sub-benchmark for each way to use a ring and each setup,
// where they are there.
func eachRing(b *testing.B, key string, uses []ringUse, f func(b *testing.B, use string, flags uint32)) {
	b.Helper()
	for _, use := range measure.Shuffled(b, uses...) {
		b.Run(key+"="+use.name, func(b *testing.B) {
			for _, setup := range measure.Shuffled(b, "plain", "defer") {
				b.Run("setup="+setup, func(b *testing.B) {
					flags := ringSetups[setup]
					fdtest.NeedRing(b, flags, use.features, use.operations...)
					if use.name == "syncmsg" && !sys.HasSyncMsg() {
						b.Skip("io_uring has no IORING_REGISTER_SEND_MSG_RING here: Linux 6.13 has it")
					}
					f(b, use.name, flags)
				})
			}
		})
	}
}

// checked says of a side that its ring must have nothing left in the end.
func checked(s measure.Side, rings ...*sys.Ring) measure.Side {
	s.Check = func(int) error {
		for _, r := range rings {
			if err := r.Check(); err != nil {
				return err
			}
		}
		return nil
	}
	return s
}

// calls is what an iteration is made of.
func calls(parts ...[]sys.Call) (all []sys.Call) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// BenchmarkRingCreate makes a ring and closes it. Its memory is not mapped. The
// kernel frees the ring later.
func BenchmarkRingCreate(b *testing.B) {
	for _, setup := range measure.Shuffled(b, "plain", "defer") {
		b.Run("setup="+setup, func(b *testing.B) {
			fdtest.NeedRing(b, ringSetups[setup], 0)
			measure.Self(b, func(p *peer.Party) measure.Side {
				fd := sys.Place(p.Arena, int32(-1))
				return measure.Side{Calls: []sys.Call{sys.RingCreate(p.Arena, ringSize, ringSetups[setup], fd), sys.Close(fd)}}
			})
		})
	}
}

// BenchmarkRingSelf asks a ring for something and takes the completion:
//
//   - op=nop: nothing;
//   - op=read: to read an eventfd that was written before;
//   - op=poll: to be told once that it is readable, before it is read;
//   - op=pollmulti: nothing new; the ring tells each time that it is readable;
//   - op=msg: to put a completion into itself;
//   - op=timeout: to be told of a time that has passed, by the timer's interrupt;
//   - op=futex: to wake a private futex nobody waits for;
//   - op=epoll: for the events of an epoll instance that has one, before it is read;
//   - op=syncmsg: nothing; a call that needs no ring puts a completion into it;
//   - op=eventfd: nothing, and a registered eventfd tells epoll of it.
func BenchmarkRingSelf(b *testing.B) {
	uses := []ringUse{
		{"nop", 0, nil},
		{"read", 0, []uint8{sys.RingRead}},
		{"poll", 0, nil},
		{"pollmulti", sys.RingMultishotPoll, nil},
		{"msg", sys.RingSkipSuccess, []uint8{sys.RingMsg}},
		{"timeout", 0, nil},
		{"futex", 0, []uint8{sys.RingFutexWake}},
		{"epoll", 0, []uint8{sys.RingEpollWait}},
		{"syncmsg", 0, nil},
		{"eventfd", 0, nil},
	}
	eachRing(b, "op", uses, func(b *testing.B, op string, flags uint32) {
		measure.Self(b, func(p *peer.Party) measure.Side { return ringSelf(p, op, flags) })
	})
}

func ringSelf(p *peer.Party, op string, flags uint32) measure.Side {
	r := fdtest.Ring(p.TB, ringSize, flags)
	one, got := p.Arena.Word(1), p.Arena.Word(0)
	answer := sys.Answer{What: op, Data: ringReceipt}
	var side measure.Side
	switch op {
	case "nop":
		r.Prepare(sys.NopRequest(ringReceipt))
		side.Calls = r.SubmitAndWait(1, answer)
	case "read":
		fd := fdtest.Eventfd(p.TB, 0)
		r.Prepare(sys.ReadRequest(fd, got, ringReceipt))
		answer.Res = 8
		side = measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(fd, one)}, r.SubmitAndWait(1, answer)), Sum: got}
	case "poll":
		fd := fdtest.Eventfd(p.TB, 0)
		r.Prepare(sys.PollRequest(fd, false, ringReceipt))
		answer.Res = unix.POLLIN
		side = measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(fd, one)}, r.SubmitAndWait(1, answer),
			[]sys.Call{sys.EventfdRead(fd, got)}), Sum: got}
	case "pollmulti":
		fd := fdtest.Eventfd(p.TB, 0)
		if err := r.Do(sys.PollRequest(fd, true, ringReceipt)); err != nil {
			p.TB.Fatal(err)
		}
		answer.Res, answer.More = unix.POLLIN, true
		side = measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(fd, one)}, r.Await(answer),
			[]sys.Call{sys.EventfdRead(fd, got)}), Sum: got}
	case "msg":
		r.Prepare(sys.MsgRequest(r, ringReceipt, 1))
		answer.Res = 1
		side.Calls = r.SubmitAndWait(1, answer)
	case "timeout":
		r.Prepare(sys.TimeoutRequest(sys.Place(p.Arena, unix.Timespec{Nsec: 1}), ringReceipt))
		answer.Res = -int(unix.ETIME)
		side.Calls = r.SubmitAndWait(1, answer)
	case "futex":
		r.Prepare(sys.FutexWakeRequest(p.Arena.Word32(0), true, false, ringReceipt))
		side.Calls = r.SubmitAndWait(1, answer)
	case "epoll":
		fd := fdtest.Eventfd(p.TB, 0)
		r.Prepare(sys.EpollWaitRequest(fdtest.Epoll(p.TB, fd), sys.EpollEvents(p.Arena, 4), ringReceipt))
		answer.Res = 1
		side = measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(fd, one)}, r.SubmitAndWait(1, answer),
			[]sys.Call{sys.EventfdRead(fd, got)}), Sum: got}
	case "syncmsg":
		answer.Res = 1
		side.Calls = append([]sys.Call{sys.SyncMsg(p.Arena, r, ringReceipt, 1)}, r.Await(answer)...)
	case "eventfd":
		fd := fdtest.Eventfd(p.TB, 0)
		epfd := fdtest.Epoll(p.TB, fd)
		fdtest.Must(p.TB, "io_uring", r.RegisterEventfd(fd))
		r.Prepare(sys.NopRequest(ringReceipt))
		side = measure.Side{Calls: calls(
			[]sys.Call{r.Queue(1), r.Submit(1), sys.EpollWait(epfd, sys.EpollEvents(p.Arena, 4), -1, 1), sys.EventfdRead(fd, got)},
			r.Await(answer)), Sum: got}
	default:
		panic(fmt.Sprintf("no use of a ring is called %s", op))
	}
	return checked(side, r)
}

// BenchmarkRingEmpty asks the kernel for completions of a ring that has none.
func BenchmarkRingEmpty(b *testing.B) {
	for _, setup := range measure.Shuffled(b, "plain", "defer") {
		b.Run("setup="+setup, func(b *testing.B) {
			fdtest.NeedRing(b, ringSetups[setup], 0)
			measure.Self(b, func(p *peer.Party) measure.Side {
				r := fdtest.Ring(p.TB, ringSize, ringSetups[setup])
				return checked(measure.Side{Calls: []sys.Call{r.Enter(0, 0)}}, r)
			})
		})
	}
}

// BenchmarkRingRoundTrip has each side wait in a ring of its own: for a READ of
// an eventfd that the other writes (via=read), or for a MSG_RING from the other's
// ring (via=msg). What a side submits and what it waits for are one call, where
// both go through the ring or the wait has to be asked for.
func BenchmarkRingRoundTrip(b *testing.B) {
	ringTrips(b, "read", "msg")
}

// BenchmarkRingWaker is RingRoundTrip by every way to wait in a ring:
//
//   - via=read: for a READ of an eventfd that the other writes;
//   - via=poll: for a POLL_ADD of it, asked for anew each time, and then reads it;
//   - via=pollmulti: for one that goes on telling;
//   - via=epoll: for an EPOLL_WAIT of an eventfd, which it then reads;
//   - via=msg: for a MSG_RING from the other's ring;
//   - via=syncmsg: for a message that the other sends by a call, without its ring;
//   - via=futex: for a FUTEX_WAIT, which the other's ring ends by a FUTEX_WAKE;
//     private with peer=thread;
//   - via=eventfd: for a MSG_RING, of which a registered eventfd tells its epoll.
func BenchmarkRingWaker(b *testing.B) {
	ringTrips(b, "read", "poll", "pollmulti", "epoll", "msg", "syncmsg", "futex", "eventfd")
}

func ringTrips(b *testing.B, vias ...string) {
	b.Helper()
	var uses []ringUse
	for _, via := range vias {
		use := ringUse{name: via}
		switch via {
		case "read":
			use.operations = []uint8{sys.RingRead}
		case "pollmulti":
			use.features = sys.RingMultishotPoll
		case "epoll":
			use.operations = []uint8{sys.RingEpollWait}
		case "msg", "eventfd":
			use.features, use.operations = sys.RingSkipSuccess, []uint8{sys.RingMsg}
		case "futex":
			use.features, use.operations = sys.RingSkipSuccess, []uint8{sys.RingFutexWait, sys.RingFutexWake}
		}
		uses = append(uses, use)
	}
	eachRing(b, "via", uses, func(b *testing.B, via string, flags uint32) {
		measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) { return ringTrip(p, via, flags) })
	})
}

// A ringSide is one side of a round trip.
type ringSide struct {
	ring *sys.Ring
	fd   int // an eventfd that it waits for
	epfd int
	got  *uint64
}

func ringTrip(p *peer.Pair, via string, flags uint32) (here, there measure.Side) {
	// A ring for one thread alone is enabled by that thread.
	a := ringSide{ring: fdtest.Ring(p.TB, ringSize, flags), got: p.Arena.Word(0)}
	z := ringSide{ring: fdtest.Ring(p.TB, ringSize, flags|sys.RingDisabled), got: p.Arena.Word(0)}
	for _, s := range []*ringSide{&a, &z} {
		if via != "msg" && via != "futex" && via != "syncmsg" {
			s.fd = fdtest.Eventfd(p.TB, 0)
		}
		if via == "epoll" || via == "eventfd" {
			s.epfd = fdtest.Epoll(p.TB, s.fd)
		}
		if via == "eventfd" {
			fdtest.Must(p.TB, "io_uring", s.ring.RegisterEventfd(s.fd))
		}
	}
	one := p.Arena.Word(1)
	const ours, theirs = 0, 1
	turn := p.Arena.Word32(ours)
	private := p.Kind == peer.Thread
	p.Start()

	answer := sys.Answer{What: via, Data: ringReceipt}
	// Nothing can be sent to a ring that is not enabled yet.
	ready := p.Arena.Word32(0)
	enable := []sys.Call{z.ring.Enable(), sys.FutexSet(ready, 1)}
	switch via {
	case "read":
		answer.Res = 8
		side := func(s, other ringSide) measure.Side {
			s.ring.Prepare(sys.ReadRequest(s.fd, s.got, ringReceipt))
			return measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(other.fd, one)}, s.ring.SubmitAndWait(1, answer)), Sum: s.got}
		}
		here, there = side(a, z), side(z, a)
		there.First = calls(enable, z.ring.SubmitAndWait(1, answer))
		here.Last = []sys.Call{sys.EventfdWrite(z.fd, one)}
	case "poll", "epoll":
		answer.Res = unix.POLLIN
		if via == "epoll" {
			answer.Res = 1 // event
		}
		wait := func(s ringSide) []sys.Call {
			return calls(s.ring.SubmitAndWait(1, answer), []sys.Call{sys.EventfdRead(s.fd, s.got)})
		}
		side := func(s, other ringSide) measure.Side {
			if via == "epoll" {
				s.ring.Prepare(sys.EpollWaitRequest(s.epfd, sys.EpollEvents(p.Arena, 4), ringReceipt))
			} else {
				s.ring.Prepare(sys.PollRequest(s.fd, false, ringReceipt))
			}
			return measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(other.fd, one)}, wait(s)), Sum: s.got}
		}
		here, there = side(a, z), side(z, a)
		there.First = calls(enable, wait(z))
		here.Last = []sys.Call{sys.EventfdWrite(z.fd, one)}
	case "pollmulti":
		answer.Res, answer.More = unix.POLLIN, true
		wait := func(s ringSide) []sys.Call {
			return calls(s.ring.Await(answer), []sys.Call{sys.EventfdRead(s.fd, s.got)})
		}
		side := func(s, other ringSide) measure.Side {
			return measure.Side{Calls: calls([]sys.Call{sys.EventfdWrite(other.fd, one)}, wait(s)), Sum: s.got}
		}
		here, there = side(a, z), side(z, a)
		if err := a.ring.Do(sys.PollRequest(a.fd, true, ringReceipt)); err != nil {
			p.TB.Fatal(err)
		}
		z.ring.Prepare(sys.PollRequest(z.fd, true, ringReceipt))
		there.First = calls(enable, []sys.Call{z.ring.Queue(1), z.ring.Submit(1)}, wait(z))
		here.Last = []sys.Call{sys.EventfdWrite(z.fd, one)}
	case "msg":
		answer.Res = 1
		side := func(s, other ringSide) measure.Side {
			s.ring.Prepare(sys.MsgRequest(other.ring, ringReceipt, 1))
			return measure.Side{Calls: s.ring.SubmitAndWait(1, answer)}
		}
		here, there = side(a, z), side(z, a)
		there.First = calls(enable, z.ring.Await(answer))
		here.Last = []sys.Call{a.ring.Queue(1), a.ring.Submit(1)}
	case "syncmsg":
		answer.Res = 1
		side := func(s, other ringSide) measure.Side {
			return measure.Side{Calls: append([]sys.Call{sys.SyncMsg(p.Arena, other.ring, ringReceipt, 1)}, s.ring.Await(answer)...)}
		}
		here, there = side(a, z), side(z, a)
		there.First = calls(enable, z.ring.Await(answer))
		here.Last = here.Calls[:1]
	case "futex":
		answer.Refused = unix.EAGAIN // the turn had come already
		wake := sys.FutexWakeRequest(turn, private, true, ringPost)
		await := func(v uint32) sys.Request { return sys.FutexWaitRequest(turn, v, private, ringReceipt) }
		pass := func(c []sys.Call, to uint32) []sys.Call {
			c[1].Set, c[1].SetTo = turn, to
			return c
		}
		a.ring.Prepare(wake, await(theirs))
		z.ring.Prepare(await(ours), wake)
		here.Calls = pass(a.ring.SubmitAndWait(2, answer), theirs)
		there.Calls = pass(z.ring.SubmitAndWait(2, answer), ours)
		there.First = calls(enable, z.ring.SubmitAndWait(1, answer))
		here.Last = pass([]sys.Call{a.ring.Queue(1), a.ring.Submit(1)}, theirs)
	case "eventfd":
		answer.Res = 1
		// The eventfd tells that there may be completions, not of each.
		wait := func(s ringSide) []sys.Call {
			return s.ring.AwaitBy([]sys.Call{
				sys.EpollWait(s.epfd, sys.EpollEvents(p.Arena, 4), -1, 1), sys.EventfdRead(s.fd, s.got),
			}, answer)
		}
		side := func(s, other ringSide) measure.Side {
			s.ring.Prepare(sys.MsgRequest(other.ring, ringReceipt, 1))
			return measure.Side{Calls: calls([]sys.Call{s.ring.Queue(1), s.ring.Submit(1)}, wait(s))}
		}
		here, there = side(a, z), side(z, a)
		there.First = calls(enable, wait(z))
		here.Last = []sys.Call{a.ring.Queue(1), a.ring.Submit(1)}
	default:
		panic(fmt.Sprintf("no use of a ring is called %s", via))
	}
	here.First = []sys.Call{sys.FutexWaitWhile(ready, 0)}
	return checked(here, a.ring, z.ring), there
}

// BenchmarkRingThroughput is EventfdThroughput with a receiver that waits in a
// ring without flags, for a READ. In counter mode it takes all pending events.
func BenchmarkRingThroughput(b *testing.B) {
	for _, mode := range measure.Shuffled(b, "semaphore", "counter") {
		b.Run("mode="+mode, func(b *testing.B) {
			fdtest.NeedRing(b, 0, 0, sys.RingRead)
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				fd := fdtest.Eventfd(p.TB, eventfdModes[mode])
				r := fdtest.Ring(p.TB, ringSize, 0)
				p.Start()
				one, got := p.Arena.Word(1), p.Arena.Word(0)
				r.Prepare(sys.ReadRequest(fd, got, ringReceipt))
				answer := sys.Answer{What: "READ(eventfd)", Data: ringReceipt, Res: 8}
				return &measure.Stream{
					Send:    []sys.Call{sys.EventfdWrite(fd, one)},
					Receive: checked(measure.Side{Calls: r.SubmitAndWait(1, answer), Sum: got}, r),
					Merges:  mode == "counter",
				}
			})
		})
	}
}

// BenchmarkRingOneWay posts to a receiver that waits in its ring: for a READ of
// an eventfd (via=read), for a multishot poll of it, which it then reads
// (via=pollmulti), for a MSG_RING (via=msg), or for a message from a thread
// without a ring (via=syncmsg). Such a poll tells of what comes, not of what is
// there: two events before a read are told of once, so that they do not queue.
func BenchmarkRingOneWay(b *testing.B) {
	uses := []ringUse{
		{"read", 0, []uint8{sys.RingRead}},
		{"pollmulti", sys.RingMultishotPoll, nil},
		{"msg", sys.RingSkipSuccess, []uint8{sys.RingMsg}},
		{"syncmsg", 0, nil},
	}
	eachRing(b, "via", uses, func(b *testing.B, via string, flags uint32) {
		measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way { return ringWay(p, via, flags) }, via != "pollmulti")
	})
}

func ringWay(p *peer.Pair, via string, flags uint32) measure.Way {
	r := fdtest.Ring(p.TB, ringSize, flags)
	answer := sys.Answer{What: via, Data: ringReceipt}
	if via == "syncmsg" {
		p.Start()
		answer.Res = 1
		return measure.Way{
			Post:    []sys.Call{sys.SyncMsg(p.Arena, r, ringReceipt, 1)},
			Receive: checked(measure.Side{Calls: r.Await(answer)}, r),
		}
	}
	if via == "msg" {
		sender := fdtest.Ring(p.TB, ringSize, 0)
		sender.Prepare(sys.MsgRequest(r, ringReceipt, 1))
		p.Start()
		answer.Res = 1
		// Each message is queued when the one before it was sent.
		if err := p.Once(sender.Queue(1)); err != nil {
			p.TB.Fatal(err)
		}
		return measure.Way{
			Post:    []sys.Call{sender.Submit(1), sender.Queue(1)},
			Receive: checked(measure.Side{Calls: r.Await(answer)}, r, sender),
		}
	}
	fd := fdtest.Eventfd(p.TB, unix.EFD_SEMAPHORE)
	p.Start()
	one, got := p.Arena.Word(1), p.Arena.Word(0)
	way := measure.Way{Post: []sys.Call{sys.EventfdWrite(fd, one)}, Receive: measure.Side{Sum: got}}
	if via == "read" {
		r.Prepare(sys.ReadRequest(fd, got, ringReceipt))
		answer.Res = 8
		way.Receive.Calls = r.SubmitAndWait(1, answer)
	} else {
		if err := r.Do(sys.PollRequest(fd, true, ringReceipt)); err != nil {
			p.TB.Fatal(err)
		}
		answer.Res, answer.More = unix.POLLIN, true
		way.Receive.Calls = calls(r.Await(answer), []sys.Call{sys.EventfdRead(fd, got)})
	}
	way.Receive = checked(way.Receive, r)
	return way
}
