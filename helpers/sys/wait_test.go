//go:build linux

package sys

import (
	"testing"
	"time"
)

// Who sleeps is waited for up to the limit.
func TestWaitForStuck(t *testing.T) {
	const limit = 500 * time.Millisecond
	a := mustArena(t)
	l := NewLoop(a, FutexWaitWhile(a.Word32(0), 0))
	l.Reset(1)
	task := mustStart(t, a, l, NewChild)
	w := NewWait(limit, task)
	for !w.Over() {
		time.Sleep(time.Millisecond)
	}
	if w.vain < limit {
		t.Errorf("the wait is over after %v, of which %v count: want %v", w, w.vain, limit)
	}
	if err := task.Stop(0); err != nil {
		t.Error(err)
	}
}

// Time in which this side did not get to ask does not count.
func TestWaitAbsent(t *testing.T) {
	w := NewWait(time.Second)
	for range 2 {
		time.Sleep(1200 * time.Millisecond)
		if w.Over() {
			t.Fatalf("over after %v", w)
		}
	}
	w.Again()
	if w.asked != 0 {
		t.Errorf("begins anew with %v", w)
	}
}
