//go:build linux

package sys

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Both kinds of wait of futex2 end by the wake that belongs to them, private and
// shared.
func TestFutex2(t *testing.T) {
	check := func(name string, start func(*Arena, *Loop) (*Task, error), private bool, pass func(a *Arena, word *uint32, v uint32) (set, wait Call)) {
		t.Run(name, func(t *testing.T) {
			a := mustArena(t)
			const ours, theirs, rounds = 0, 1, 100
			word := a.Word32(ours)
			set, _ := pass(a, word, theirs)
			_, wait := pass(a, word, theirs)
			here := NewLoop(a, set, wait)
			set, _ = pass(a, word, ours)
			_, wait = pass(a, word, ours)
			there := NewLoop(a, wait, set)
			here.Reset(rounds)
			there.Reset(rounds)
			task := mustStart(t, a, there, start)
			if !here.Run() {
				err := here.Err()
				task.Stop(45)
				if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			mustEnd(t, task)
			if here.Done != rounds || there.Done != rounds {
				t.Errorf("%d and %d rounds (%v), want %d", here.Done, there.Done, there.Err(), rounds)
			}
		})
	}
	for _, private := range []bool{false, true} {
		wait := func(a *Arena, word *uint32, v uint32) (Call, Call) {
			return Futex2Set(word, v, private), Futex2WaitWhile(word, v, private)
		}
		waitv := func(a *Arena, word *uint32, v uint32) (Call, Call) {
			set := FutexSet(word, v)
			if private {
				set = Private(set)
			}
			return set, FutexWaitvWhile(a, word, v, private)
		}
		scope := map[bool]string{false: "shared", true: "private"}[private]
		check("wait/thread/"+scope, NewThread, private, wait)
		check("waitv/thread/"+scope, NewThread, private, waitv)
		if !private {
			check("wait/child", NewChild, private, wait)
			check("waitv/child", NewChild, private, waitv)
		}
	}
}
