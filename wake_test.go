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

// One event and many waiters: how many does the kernel wake, and how many of
// them find nothing? See measure.Wake for what an operation is.

var crowds = []int{1, 2, 4, 8, 16, 64}

// BenchmarkEpollWake has waiters in epoll_wait for one eventfd, which each
// woken waiter tries to read. They share an instance (epolls=one) or have one
// each; exclusive=yes registers with EPOLLEXCLUSIVE. Per epoll_ctl(2) that flag
// is for an eventfd in several instances: "one or more" of them then get the
// event instead of all.
func BenchmarkEpollWake(b *testing.B) {
	measure.Grow(b, "waiters", crowds, func(b *testing.B, waiters int) {
		for _, exclusive := range measure.Shuffled(b, "no", "yes") {
			b.Run("exclusive="+exclusive, func(b *testing.B) {
				for _, epolls := range measure.Shuffled(b, "one", "each") {
					b.Run("epolls="+epolls, func(b *testing.B) {
						bits := uint32(unix.EPOLLIN)
						if exclusive == "yes" {
							bits |= unix.EPOLLEXCLUSIVE
						}
						measure.Wake(b, waiters, func(c *peer.Crew) measure.Herd {
							fd := fdtest.Eventfd(c.TB, unix.EFD_NONBLOCK)
							instance := func() int {
								epfd := fdtest.Epoll(c.TB)
								fdtest.Add(c.TB, epfd, fd, bits)
								return epfd
							}
							shared := -1
							if epolls == "one" {
								shared = instance()
							}
							epfds := make([]int, waiters)
							for i := range epfds {
								epfds[i] = shared
								if epolls == "each" {
									epfds[i] = instance()
								}
							}
							return measure.Herd{
								Post: []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(1))},
								Waiter: func(i int) []sys.Call {
									read := sys.EventfdRead(fd, c.Arena.Word(0))
									read.Refused = unix.EAGAIN
									return []sys.Call{sys.EpollWait(epfds[i], sys.EpollEvents(c.Arena, 1), -1, 1), read}
								},
							}
						})
					})
				}
			})
		}
	})
}

// BenchmarkRingWake is EpollWake with a ring for each waiter, which polls the
// eventfd once at a time: a POLL_ADD with EPOLLEXCLUSIVE or without.
func BenchmarkRingWake(b *testing.B) {
	measure.Grow(b, "waiters", crowds, func(b *testing.B, waiters int) {
		for _, exclusive := range measure.Shuffled(b, "no", "yes") {
			b.Run("exclusive="+exclusive, func(b *testing.B) {
				fdtest.NeedRing(b, 0, 0)
				measure.Wake(b, waiters, func(c *peer.Crew) measure.Herd {
					fd := fdtest.Eventfd(c.TB, unix.EFD_NONBLOCK)
					rings := make([]*sys.Ring, waiters)
					for i := range rings {
						rings[i] = fdtest.Ring(c.TB, 1, 0)
						request := sys.PollRequest(fd, false, ringReceipt)
						if exclusive == "yes" {
							request.OpFlags |= unix.EPOLLEXCLUSIVE
						}
						rings[i].Prepare(request)
					}
					return measure.Herd{
						Post: []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(1))},
						Waiter: func(i int) []sys.Call {
							read := sys.EventfdRead(fd, c.Arena.Word(0))
							read.Refused = unix.EAGAIN
							return append(rings[i].SubmitAndWait(1, sys.Answer{What: "POLL_ADD", Data: ringReceipt, Res: unix.POLLIN}), read)
						},
					}
				})
			})
		}
	})
}

// BenchmarkEventfdWake has waiters in a blocking read of one eventfd in
// semaphore mode. One returns; switches/op shows how many the kernel woke.
func BenchmarkEventfdWake(b *testing.B) {
	measure.Grow(b, "waiters", crowds, func(b *testing.B, waiters int) {
		measure.Wake(b, waiters, func(c *peer.Crew) measure.Herd {
			fd := fdtest.Eventfd(c.TB, unix.EFD_SEMAPHORE)
			return measure.Herd{
				Post:   []sys.Call{sys.EventfdWrite(fd, c.Arena.Word(1))},
				Waiter: func(int) []sys.Call { return []sys.Call{sys.EventfdRead(fd, c.Arena.Word(0))} },
			}
		})
	})
}

// BenchmarkPipeWake is EventfdWake with a pipe, whose readers wait exclusively
// since Linux 5.5.
func BenchmarkPipeWake(b *testing.B) {
	measure.Grow(b, "waiters", crowds, func(b *testing.B, waiters int) {
		measure.Wake(b, waiters, func(c *peer.Crew) measure.Herd {
			r, w := fdtest.Pipe(c.TB)
			return measure.Herd{
				Post:   []sys.Call{sys.PipeWrite(w, c.Arena.Word(1))},
				Waiter: func(int) []sys.Call { return []sys.Call{sys.PipeRead(r, c.Arena.Word(0))} },
			}
		})
	})
}

// BenchmarkFutexWake wakes one or all of those who sleep on a futex; FUTEX_WAKE
// returns how many it woke, and that must be the right number. A futex carries
// no event to find or miss, so no wake-up is spurious. It is private with
// peer=thread.
func BenchmarkFutexWake(b *testing.B) {
	measure.Grow(b, "waiters", crowds, func(b *testing.B, waiters int) {
		for _, wake := range measure.Shuffled(b, "one", "all") {
			b.Run("wake="+wake, func(b *testing.B) {
				measure.Wake(b, waiters, func(c *peer.Crew) measure.Herd {
					word := c.Arena.Word32(0)
					post := sys.FutexWakeOne(word)
					if wake == "all" {
						post = sys.FutexWakeAll(word, waiters)
					}
					return measure.Herd{
						Post:   among(c.Kind, post),
						Waiter: func(int) []sys.Call { return among(c.Kind, sys.FutexSleep(word, 0)) },
						Each:   wake == "all",
					}
				})
			})
		}
	})
}
