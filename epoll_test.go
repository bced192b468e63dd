//go:build linux

package eventbench

import (
	"testing"

	"eventbench/helpers/fdtest"
	"eventbench/helpers/measure"
	"eventbench/helpers/peer"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// BenchmarkEpollCreate makes an epoll instance and closes it.
func BenchmarkEpollCreate(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := sys.Place(p.Arena, int32(-1))
		return measure.Side{Calls: []sys.Call{sys.EpollCreate(unix.EPOLL_CLOEXEC, fd), sys.Close(fd)}}
	})
}

// BenchmarkEpollCtl changes a registration (op=mod), or makes and removes one
// (op=adddel).
func BenchmarkEpollCtl(b *testing.B) {
	for _, op := range measure.Shuffled(b, "mod", "adddel") {
		b.Run("op="+op, func(b *testing.B) {
			measure.Self(b, func(p *peer.Party) measure.Side {
				fd := fdtest.Eventfd(p.TB, 0)
				if op == "mod" {
					return ctl(p, op, fdtest.Epoll(p.TB, fd), fd)
				}
				return ctl(p, op, fdtest.Epoll(p.TB), fd)
			})
		})
	}
}

// ctl changes the registration of fd in epfd (op=mod), or makes and removes one
// (op=adddel).
func ctl(p *peer.Party, op string, epfd, fd int) measure.Side {
	event := sys.Place(p.Arena, unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if op == "mod" {
		return measure.Side{Calls: []sys.Call{sys.EpollCtl(epfd, unix.EPOLL_CTL_MOD, fd, event)}}
	}
	return measure.Side{Calls: []sys.Call{
		sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, event),
		sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, event),
	}}
}

// BenchmarkEpollWait polls, with timeout 0, an instance with one registered
// eventfd that is ready (ready=1) or not (ready=0).
func BenchmarkEpollWait(b *testing.B) {
	for _, ready := range measure.Shuffled(b, 0, 1) {
		b.Run([]string{"ready=0", "ready=1"}[ready], func(b *testing.B) {
			measure.Self(b, func(p *peer.Party) measure.Side {
				fd := fdtest.Eventfd(p.TB, 0)
				if ready == 1 {
					fdtest.Post(p.TB, fd)
				}
				return measure.Side{Calls: []sys.Call{
					sys.EpollWait(fdtest.Epoll(p.TB, fd), sys.EpollEvents(p.Arena, 4), 0, ready),
				}}
			})
		})
	}
}

// BenchmarkEpollSelf writes to an eventfd, is told of it by epoll, and reads
// it.
func BenchmarkEpollSelf(b *testing.B) {
	measure.Self(b, func(p *peer.Party) measure.Side {
		fd := fdtest.Eventfd(p.TB, 0)
		epfd := fdtest.Epoll(p.TB, fd)
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Side{
			Calls: []sys.Call{
				sys.EventfdWrite(fd, one),
				sys.EpollWait(epfd, sys.EpollEvents(p.Arena, 4), -1, 1),
				sys.EventfdRead(fd, got),
			},
			Sum: got,
		}
	})
}

// BenchmarkEpollRoundTrip is EventfdRoundTrip with both sides waiting in epoll.
func BenchmarkEpollRoundTrip(b *testing.B) {
	measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
		ping, pong := fdtest.Eventfd(p.TB, 0), fdtest.Eventfd(p.TB, 0)
		epHere, epThere := fdtest.Epoll(p.TB, pong), fdtest.Epoll(p.TB, ping)
		p.Start()
		one, got, gotThere := p.Arena.Word(1), p.Arena.Word(0), p.Arena.Word(0)
		return measure.Side{
				Calls: []sys.Call{
					sys.EventfdWrite(ping, one),
					sys.EpollWait(epHere, sys.EpollEvents(p.Arena, 4), -1, 1),
					sys.EventfdRead(pong, got),
				},
				Sum: got,
			}, measure.Side{
				Calls: []sys.Call{
					sys.EpollWait(epThere, sys.EpollEvents(p.Arena, 4), -1, 1),
					sys.EventfdRead(ping, gotThere),
					sys.EventfdWrite(pong, one),
				},
				Sum: gotThere,
			}
	})
}

// BenchmarkEpollThroughput is EventfdThroughput with the receiver waiting in
// epoll. In counter mode a read takes all pending events.
func BenchmarkEpollThroughput(b *testing.B) {
	for _, mode := range measure.Shuffled(b, "semaphore", "counter") {
		b.Run("mode="+mode, func(b *testing.B) {
			measure.Throughput(b, func(p *peer.Pair) *measure.Stream {
				fd := fdtest.Eventfd(p.TB, eventfdModes[mode])
				epfd := fdtest.Epoll(p.TB, fd)
				p.Start()
				one, got := p.Arena.Word(1), p.Arena.Word(0)
				return &measure.Stream{
					Send: []sys.Call{sys.EventfdWrite(fd, one)},
					Receive: measure.Side{
						Calls: []sys.Call{
							sys.EpollWait(epfd, sys.EpollEvents(p.Arena, 4), -1, 1),
							sys.EventfdRead(fd, got),
						},
						Sum: got,
					},
					Merges: mode == "counter",
				}
			})
		})
	}
}

// BenchmarkEpollOneWay is EventfdOneWay with the receiver waiting in epoll.
func BenchmarkEpollOneWay(b *testing.B) {
	measure.OneWay(b, func(p *peer.Pair, _ *uint32) measure.Way {
		fd := fdtest.Eventfd(p.TB, unix.EFD_SEMAPHORE)
		epfd := fdtest.Epoll(p.TB, fd)
		p.Start()
		one, got := p.Arena.Word(1), p.Arena.Word(0)
		return measure.Way{
			Post: []sys.Call{sys.EventfdWrite(fd, one)},
			Receive: measure.Side{
				Calls: []sys.Call{sys.EpollWait(epfd, sys.EpollEvents(p.Arena, 4), -1, 1), sys.EventfdRead(fd, got)},
				Sum:   got,
			},
		}
	}, true)
}
