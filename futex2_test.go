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

// Futex2 are the calls that do what operations of futex(2) do, one each. Whether
// a futex is private is said as for those: see BenchmarkFutexSelf.

// BenchmarkFutex2Self wakes a futex nobody waits for, by futex_wake(2).
func BenchmarkFutex2Self(b *testing.B) {
	for _, scope := range measure.Shuffled(b, "private", "shared") {
		b.Run("scope="+scope, func(b *testing.B) {
			fdtest.NeedCall(b, "futex_wake", unix.SYS_FUTEX_WAKE)
			measure.Self(b, func(p *peer.Party) measure.Side {
				return measure.Side{Calls: []sys.Call{sys.Futex2Wake(p.Arena.Word32(0), scope == "private")}}
			})
		})
	}
}

// BenchmarkFutex2RoundTrip is FutexRoundTrip by futex_wait(2) and futex_wake(2)
// (via=wait), or by futex_waitv(2), which is older, and FUTEX_WAKE (via=waitv).
func BenchmarkFutex2RoundTrip(b *testing.B) {
	for _, via := range measure.Shuffled(b, "wait", "waitv") {
		b.Run("via="+via, func(b *testing.B) {
			if via == "wait" {
				fdtest.NeedCall(b, "futex_wait", unix.SYS_FUTEX_WAIT)
			} else {
				fdtest.NeedCall(b, "futex_waitv", unix.SYS_FUTEX_WAITV)
			}
			measure.RoundTrip(b, func(p *peer.Pair) (here, there measure.Side) {
				const ours, theirs = 0, 1
				turn := p.Arena.Word32(ours)
				p.Start()
				private := p.Kind == peer.Thread
				set := func(v uint32) sys.Call {
					if via == "wait" {
						return sys.Futex2Set(turn, v, private)
					}
					return among(p.Kind, sys.FutexSet(turn, v))[0]
				}
				wait := func(v uint32) sys.Call {
					if via == "wait" {
						return sys.Futex2WaitWhile(turn, v, private)
					}
					return sys.FutexWaitvWhile(p.Arena, turn, v, private)
				}
				return measure.Side{Calls: []sys.Call{set(theirs), wait(theirs)}},
					measure.Side{Calls: []sys.Call{wait(ours), set(ours)}}
			})
		})
	}
}
