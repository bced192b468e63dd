//go:build linux

package behaviours

import (
	"fmt"
	"strings"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Instances that watch instances.

// epollCycleOfTwo (EPL-038): two instances cannot watch each other,
// epoll_ctl(2) ELOOP, whichever of the duplicates is used; what was there
// before goes on working.
func epollCycleOfTwo(t *testing.T) {
	a, b, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	dup, _ := mustDup(t, a)
	fdtest.Add(t, b, source, unix.EPOLLIN)
	fdtest.Add(t, a, b, unix.EPOLLIN)
	wantCtl(t, b, unix.EPOLL_CTL_ADD, a, unix.ELOOP)
	wantCtl(t, b, unix.EPOLL_CTL_ADD, dup, unix.ELOOP)
	wantCtl(t, b, unix.EPOLL_CTL_DEL, a, unix.ENOENT)
	fdtest.Post(t, source)
	wantReady(t, a, ready(b, unix.EPOLLIN))
	wantReady(t, b, ready(source, unix.EPOLLIN))
	// Without the first link the other direction is free.
	mustDel(t, a, b)
	fdtest.Add(t, b, a, unix.EPOLLIN)
	wantCtl(t, a, unix.EPOLL_CTL_ADD, b, unix.ELOOP)
}

// epollLongCycles (EPL-039): nor can longer rings be closed, wherever the last
// link is.
func epollLongCycles(t *testing.T) {
	for _, length := range []int{3, 4, 5} {
		for last := range length {
			ring := make([]int, length)
			for i := range ring {
				ring[i] = fdtest.Epoll(t)
			}
			for i := range ring {
				if i != last {
					fdtest.Add(t, ring[i], ring[(i+1)%length], unix.EPOLLIN)
				}
			}
			wantCtl(t, ring[last], unix.EPOLL_CTL_ADD, ring[(last+1)%length], unix.ELOOP)
		}
	}
	// Two ways to one target are no ring.
	top, left, right, bottom := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Epoll(t)
	for _, side := range []int{left, right} {
		fdtest.Add(t, side, bottom, unix.EPOLLIN)
		fdtest.Add(t, top, side, unix.EPOLLIN)
	}
	source := fdtest.Eventfd(t, 0)
	fdtest.Add(t, bottom, source, unix.EPOLLIN)
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, top, ready(left, unix.EPOLLIN), ready(right, unix.EPOLLIN))
}

// epollDepth (EPL-040): five instances may stand on top of each other over a
// source; epoll_ctl(2) has ELOOP where a sixth is put on top. Kernels that do
// not look upwards notice only when they count the ways from the source:
// EINVAL. The event goes up through all five.
func epollDepth(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	chain := []int{fdtest.Epoll(t, source)}
	for range 4 {
		chain = append(chain, fdtest.Epoll(t, chain[len(chain)-1]))
	}
	sixth := fdtest.Epoll(t)
	want := unix.EINVAL
	if looks, known := epollLooksUpwards(); looks || !known && len(epollChainFromAbove(t, 6)) == 5 {
		want = unix.ELOOP
	}
	wantCtl(t, sixth, unix.EPOLL_CTL_ADD, chain[4], want)
	fdtest.Add(t, sixth, chain[3], unix.EPOLLIN) // beside the fifth there is room
	w := startWait(t, chain[4], 1, -1)
	fdtest.Post(t, source)
	w.want(ready(chain[3], unix.EPOLLIN))
	wantReady(t, sixth, ready(chain[3], unix.EPOLLIN))
	for i := 4; i > 0; i-- {
		wantReady(t, chain[i], ready(chain[i-1], unix.EPOLLIN))
	}
	wantReady(t, chain[0], ready(source, unix.EPOLLIN))
}

// epollDepthFromAbove (EPL-041): the limit also holds for instances that are
// put below, where no source is yet, on kernels that look upwards as well. On
// others such a chain can have any length, and no source from the sixth on.
func epollDepthFromAbove(t *testing.T) {
	const longest = 12
	chain := epollChainFromAbove(t, longest)
	looks, known := epollLooksUpwards()
	switch n := len(chain); {
	case looks && n != 5, known && !looks && n != longest, n != 5 && n != longest:
		t.Errorf("%d instances could be put below each other; want 5 on a kernel that looks upwards, any number on others; this one does: %t (known: %t)",
			n, looks, known)
	}
	source := fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for i, epfd := range chain {
		if i < 5 {
			fdtest.Add(t, epfd, source, unix.EPOLLIN)
		} else {
			wantCtl(t, epfd, unix.EPOLL_CTL_ADD, source, unix.EINVAL)
		}
	}
}

// epollChainFromAbove puts up to n instances below each other, until one is
// refused.
func epollChainFromAbove(t *testing.T, n int) (chain []int) {
	t.Helper()
	chain = append(chain, fdtest.Epoll(t))
	for len(chain) < n {
		next := fdtest.Epoll(t)
		err := epollCtl(chain[len(chain)-1], unix.EPOLL_CTL_ADD, next, unix.EPOLLIN, 0)
		if err == unix.ELOOP {
			break
		}
		if err != nil {
			t.Fatalf("epoll_ctl(ADD) below %d instances: %v, want success or ELOOP", len(chain), err)
		}
		chain = append(chain, next)
	}
	return chain
}

// epollLooksUpwards reports whether this kernel has f2e467a48287, "eventpoll:
// Fix semi-unbounded recursion" (CVE-2025-38614), where that can be known from
// its release: it is in 6.17, and in these stable ones of before; 5.10 never
// got it. Distributions that hide which stable release theirs has may have it
// or not.
func epollLooksUpwards() (looks, known bool) {
	if behaviour.Since(6, 17) {
		return true, true
	}
	if !behaviour.Since(5, 15) {
		return false, true
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, false
	}
	text := unix.ByteSliceToString(u.Release[:])
	// Debian has it in the version: "#1 SMP PREEMPT_DYNAMIC Debian
	// 6.1.192-2 (2026-09-01)".
	if _, rest, ok := strings.Cut(unix.ByteSliceToString(u.Version[:]), " Debian "); ok {
		text = rest
	}
	var major, minor, patch int
	if n, _ := fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch); n != 3 || patch == 0 {
		return false, false
	}
	first, fixed := map[[2]int]int{{5, 15}: 190, {6, 1}: 149, {6, 6}: 103, {6, 12}: 43, {6, 15}: 11, {6, 16}: 1}[[2]int{major, minor}]
	return fixed && patch >= first, true
}

// epollNested (EPL-043): an instance is ready when it has something to report,
// epoll(7) Q&A: the outer one reports it with the data it was added with, then
// it can be asked itself.
func epollNested(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT} {
		outer, inner, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		fdtest.Add(t, inner, source, unix.EPOLLIN)
		if err := epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLOUT|mode, 77); err != nil {
			t.Fatal(err)
		}
		wantReady(t, outer)
		w := startWait(t, outer, 4, -1)
		fdtest.Post(t, source)
		w.want(readiness{unix.EPOLLIN, 77})
		wantReady(t, inner, ready(source, unix.EPOLLIN))
		mustTake(t, source, 1)
		wantReady(t, inner)
		wantReady(t, outer)
	}
}

// epollPolled (EPL-044): an instance that has something to report is readable
// for poll(2), select(2) and ppoll alike, epoll(7) Q&A. They take nothing away;
// what the instance itself gives out, it no longer has if the target is
// edge-triggered.
func epollPolled(t *testing.T) {
	for _, edge := range []bool{false, true} {
		epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
		mode := uint32(0)
		if edge {
			mode = unix.EPOLLET
		}
		fdtest.Add(t, epfd, source, unix.EPOLLIN|mode)
		wantPolled(t, epfd, 0)
		fdtest.Post(t, source)
		for range 3 {
			wantPolled(t, epfd, unix.POLLIN)
		}
		wantReady(t, epfd, ready(source, unix.EPOLLIN))
		if edge {
			wantPolled(t, epfd, 0)
			fdtest.Post(t, source)
			wantPolled(t, epfd, unix.POLLIN)
			mustTake(t, source, 2)
		} else {
			wantPolled(t, epfd, unix.POLLIN)
			mustTake(t, source, 1)
		}
		// An entry of the ready list whose target is not ready does not
		// count.
		wantPolled(t, epfd, 0)
		wantReady(t, epfd)
		s := startPoll(t, epfd)
		stillAsleep(t, s)
		fdtest.Post(t, source)
		s.wantPolled()
	}
}

// epollNestedTriggers (EPL-045): what the outer of two instances reports, for
// both triggers of both: an edge-triggered outer one once per edge, a
// level-triggered one for as long as the inner one has something to report.
// poll(2) of the outer one asks and takes nothing.
func epollNestedTriggers(t *testing.T) {
	for _, c := range []struct{ inner, outer uint32 }{
		{0, 0}, {0, unix.EPOLLET}, {unix.EPOLLET, 0}, {unix.EPOLLET, unix.EPOLLET},
	} {
		t.Run(fmt.Sprintf("inner=%s/outer=%s", trigger(c.inner), trigger(c.outer)), func(t *testing.T) {
			make := func() (outer, inner, source int, fromInner, fromSource readiness) {
				outer, inner, source = fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
				fdtest.Add(t, inner, source, unix.EPOLLIN|c.inner)
				fdtest.Add(t, outer, inner, unix.EPOLLIN|c.outer)
				return outer, inner, source, ready(inner, unix.EPOLLIN), ready(source, unix.EPOLLIN)
			}
			// again is what the outer one has to say when nothing
			// new has come.
			again := func(outer int, r readiness) {
				t.Helper()
				if c.outer == 0 {
					wantReady(t, outer, r)
				} else {
					wantReady(t, outer)
				}
			}

			outer, inner, source, fromInner, fromSource := make()
			fdtest.Post(t, source)
			wantPolled(t, outer, unix.POLLIN)
			wantPolled(t, outer, unix.POLLIN)
			wantReady(t, outer, fromInner)
			again(outer, fromInner)
			again(outer, fromInner)
			if c.outer == 0 {
				wantPolled(t, outer, unix.POLLIN)
			} else {
				wantPolled(t, outer, 0)
			}
			fdtest.Post(t, source) // a new edge, though the inner one has not been asked
			wantReady(t, outer, fromInner)
			wantReady(t, inner, fromSource)
			if c.inner == 0 {
				again(outer, fromInner)
				wantReady(t, inner, fromSource)
			} else {
				wantReady(t, outer)
				wantReady(t, inner)
			}
			mustTake(t, source, 2)
			wantReady(t, outer)
			wantReady(t, inner)

			// The inner one is asked first: an edge-triggered one
			// then has nothing left.
			fdtest.Post(t, source)
			wantReady(t, inner, fromSource)
			if c.inner == 0 {
				wantReady(t, outer, fromInner)
			} else {
				wantReady(t, outer)
			}

			// Threads: of two in the outer one an edge wakes one, a
			// level both.
			outer, inner, source, fromInner, fromSource = make()
			a, b := startWait(t, outer, 4, -1), startWait(t, outer, 4, -1)
			fdtest.Post(t, source)
			if c.outer == 0 {
				a.want(fromInner)
				b.want(fromInner)
			} else {
				first, rest := wantWoken(t, 1, a, b)
				first[0].want(fromInner)
				fdtest.Post(t, source)
				rest[0].want(fromInner)
			}
			wantReady(t, inner, fromSource)

			// One polls the outer one.
			outer, _, source, fromInner, _ = make()
			polling := startPoll(t, outer)
			fdtest.Post(t, source)
			polling.wantPolled()
			wantReady(t, outer, fromInner)

			// One waits in the inner one.
			outer, inner, source, fromInner, fromSource = make()
			in := startWait(t, inner, 4, -1)
			fdtest.Post(t, source)
			in.want(fromSource)
			if c.inner == 0 {
				wantPolled(t, outer, unix.POLLIN)
				wantReady(t, outer, fromInner)
			} else {
				wantPolled(t, outer, 0)
			}
		})
	}
}

func trigger(mode uint32) string {
	if mode&unix.EPOLLET != 0 {
		return "edge"
	}
	return "level"
}

// epollPathLimits (EPL-108): the ways from one source up through instances are
// limited by their length (1000 were meant, any number is taken of the
// shortest), lest an event wake a storm: EINVAL, and the refused registration
// leaves nothing.
func epollPathLimits(t *testing.T) {
	for _, c := range []struct{ length, most int }{{5, 10}, {4, 50}, {3, 100}, {2, 500}, {1, 1100}} {
		source := fdtest.Eventfd(t, 0)
		top := source
		for range c.length - 1 {
			top = fdtest.Epoll(t, top)
		}
		var last int
		for n := 0; ; n++ {
			epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			if err == unix.EMFILE {
				behaviour.Limited(t, "%d instances: %v: raise RLIMIT_NOFILE", n, err)
			}
			closable(t, epfd, err)
			err = epollCtl(epfd, unix.EPOLL_CTL_ADD, top, unix.EPOLLIN, uint64(top))
			if n < c.most {
				if err != nil {
					t.Fatalf("way %d of length %d: %v", n+1, c.length, err)
				}
				last = epfd
				continue
			}
			if c.length == 1 {
				break
			}
			if err != unix.EINVAL {
				t.Errorf("way %d of length %d: %v, want EINVAL", n+1, c.length, err)
			}
			wantCtl(t, epfd, unix.EPOLL_CTL_DEL, top, unix.ENOENT)
			// Where one goes there is room for one.
			mustDel(t, last, top)
			fdtest.Add(t, epfd, top, unix.EPOLLIN)
			wantCtl(t, last, unix.EPOLL_CTL_ADD, top, unix.EINVAL)
			last = epfd
			break
		}
		fdtest.Post(t, source)
		wantReady(t, last, ready(top, unix.EPOLLIN))
	}
}

// epollInnerClosed (EPL-115): an instance that is closed goes from those that
// watch it, like any target: nothing is reported, nobody wakes, and its number
// is free.
func epollInnerClosed(t *testing.T) {
	outer, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	next := fdtest.Epoll(t, source)
	for _, mode := range []uint32{0, unix.EPOLLET} {
		inner, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		closeInner := closable(t, inner, err)
		fdtest.Add(t, inner, source, unix.EPOLLIN)
		fdtest.Add(t, outer, inner, unix.EPOLLIN|mode)
		polling, waiting := startPoll(t, outer), startWait(t, outer, 4, -1)
		closeInner()
		stillAsleep(t, polling, waiting)
		fdtest.Post(t, source)
		stillAsleep(t, polling, waiting)
		mustPut(t, next, inner)
		closable(t, inner, nil)
		wantCtl(t, outer, unix.EPOLL_CTL_DEL, inner, unix.ENOENT)
		fdtest.Add(t, outer, inner, unix.EPOLLIN)
		waiting.want(ready(inner, unix.EPOLLIN))
		polling.wantPolled()
		mustDel(t, outer, inner)
		mustTake(t, source, 1)
	}
}

// epollOuterClosed (EPL-116): closing an instance takes its registrations
// along, and nothing else: what it watched can be watched by others as before.
func epollOuterClosed(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	inner := fdtest.Epoll(t, source)
	outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	closeOuter := closable(t, outer, err)
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
	fdtest.Add(t, outer, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	wantReadyAnyOrder(t, outer, ready(inner, unix.EPOLLIN), ready(source, unix.EPOLLIN))
	closeOuter()
	wantReady(t, inner, ready(source, unix.EPOLLIN))
	// No loop any more, and no place taken up.
	other := fdtest.Epoll(t)
	fdtest.Add(t, inner, other, unix.EPOLLIN)
	wantCtl(t, other, unix.EPOLL_CTL_ADD, inner, unix.ELOOP)
	mustDel(t, inner, other)
	mustTake(t, source, 1)
	_, waiting := mustWaiters(t, 1, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	waiting[0].want(ready(source, unix.EPOLLIN))
}

// epollNestedChanges (EPL-118): what ADD, MOD and DEL change in an inner
// instance is an event, or the end of one, for the outer one and those who wait
// in it.
func epollNestedChanges(t *testing.T) {
	outer, inner, source := fdtest.Epoll(t), fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
	fdtest.Post(t, source)
	w := startWait(t, outer, 4, -1)
	fdtest.Add(t, inner, source, unix.EPOLLOUT|unix.EPOLLONESHOT)
	w.want(ready(inner, unix.EPOLLIN))
	wantReady(t, inner, ready(source, unix.EPOLLOUT))
	wantReady(t, outer)
	w = startWait(t, outer, 4, -1)
	mustMod(t, inner, source, unix.EPOLLPRI)
	stillAsleep(t, w)
	mustMod(t, inner, source, unix.EPOLLIN)
	w.want(ready(inner, unix.EPOLLIN))
	mustMod(t, inner, source, unix.EPOLLPRI)
	wantReady(t, outer)
	mustMod(t, inner, source, unix.EPOLLIN)
	wantReady(t, outer, ready(inner, unix.EPOLLIN))
	mustDel(t, inner, source)
	wantReady(t, outer)
	wantPolled(t, outer, 0)
}

var epollNestedRows = map[string]func(*testing.T){
	"EPL-038": epollCycleOfTwo,
	"EPL-039": epollLongCycles,
	"EPL-040": epollDepth,
	"EPL-041": epollDepthFromAbove,
	"EPL-043": epollNested,
	"EPL-044": epollPolled,
	"EPL-045": epollNestedTriggers,
	"EPL-108": epollPathLimits,
	"EPL-115": epollInnerClosed,
	"EPL-116": epollOuterClosed,
	"EPL-118": epollNestedChanges,
}
