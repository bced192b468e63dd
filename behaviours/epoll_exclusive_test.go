//go:build linux

package behaviours

import (
	"testing"

	"eventbench/helpers/fdtest"

	"golang.org/x/sys/unix"
)

// Exclusive registrations: EPOLLEXCLUSIVE wakes one instance, not all.

// epollExclusiveBits (EPL-046): EPOLLEXCLUSIVE goes with IN, OUT, ERR, HUP,
// WAKEUP and ET, and with nothing else, epoll_ctl(2) EINVAL; a refused ADD
// leaves nothing.
func epollExclusiveBits(t *testing.T) {
	const good = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLERR | unix.EPOLLHUP | unix.EPOLLWAKEUP | unix.EPOLLET
	epfd, source := fdtest.Epoll(t), fdtest.Eventfd(t, 0)
	fdtest.Post(t, source)
	for bit := range 32 {
		b := uint32(1) << bit
		if b == unix.EPOLLEXCLUSIVE {
			continue
		}
		for _, mask := range []uint32{b, b | unix.EPOLLIN} {
			err := epollCtl(epfd, unix.EPOLL_CTL_ADD, source, mask|unix.EPOLLEXCLUSIVE, uint64(source))
			if b&good == 0 {
				if err != unix.EINVAL {
					t.Errorf("epoll_ctl(ADD) with EPOLLEXCLUSIVE|%#x: %v, want EINVAL", mask, err)
				}
				wantReady(t, epfd)
				continue
			}
			if err != nil {
				t.Errorf("epoll_ctl(ADD) with EPOLLEXCLUSIVE|%#x: %v", mask, err)
			}
			if want := mask & (unix.EPOLLIN | unix.EPOLLOUT); want != 0 {
				wantReady(t, epfd, ready(source, want))
			}
			mustDel(t, epfd, source)
		}
	}
	fdtest.Add(t, epfd, source, unix.EPOLLEXCLUSIVE) // alone it is a mask like 0
	wantReady(t, epfd)
}

// epollExclusiveMod (EPL-047): EPOLLEXCLUSIVE is for ADD: MOD with it, and MOD
// of what was added with it, are refused, epoll_ctl(2) EINVAL, and change
// nothing. DEL and a new ADD remain.
func epollExclusiveMod(t *testing.T) {
	epfd, plain, exclusive := fdtest.Epoll(t), fdtest.Eventfd(t, 0), fdtest.Eventfd(t, 0)
	fdtest.Post(t, plain)
	fdtest.Post(t, exclusive)
	fdtest.Add(t, epfd, plain, unix.EPOLLIN)
	fdtest.Add(t, epfd, exclusive, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	check := func(fd int, bits uint32) {
		t.Helper()
		if err := epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, bits, 77); err != unix.EINVAL {
			t.Errorf("epoll_ctl(MOD) with events %#x: %v, want EINVAL", bits, err)
		}
		wantReady(t, epfd, ready(plain, unix.EPOLLIN), ready(exclusive, unix.EPOLLIN))
	}
	check(plain, unix.EPOLLOUT|unix.EPOLLEXCLUSIVE)
	check(exclusive, unix.EPOLLOUT|unix.EPOLLEXCLUSIVE)
	check(exclusive, unix.EPOLLOUT)
	check(exclusive, 0)
	mustDel(t, epfd, exclusive)
	fdtest.Add(t, epfd, exclusive, unix.EPOLLOUT)
	mustMod(t, epfd, exclusive, unix.EPOLLIN)
	wantReady(t, epfd, ready(plain, unix.EPOLLIN), ready(exclusive, unix.EPOLLIN))
	// In an event for DEL, which is not read, the bit does not matter.
	if err := epollCtl(epfd, unix.EPOLL_CTL_DEL, plain, unix.EPOLLEXCLUSIVE|unix.EPOLLPRI, 0); err != nil {
		t.Errorf("epoll_ctl(DEL) with EPOLLEXCLUSIVE in its event: %v", err)
	}
}

// epollExclusiveNested (EPL-048): an instance cannot be watched exclusively,
// epoll_ctl(2) EINVAL.
func epollExclusiveNested(t *testing.T) {
	outer, inner := fdtest.Epoll(t), fdtest.Epoll(t)
	if err := epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 0); err != unix.EINVAL {
		t.Errorf("epoll_ctl(ADD) of an epoll instance with EPOLLEXCLUSIVE: %v, want EINVAL", err)
	}
	fdtest.Add(t, outer, inner, unix.EPOLLIN)
}

// epollExclusiveWakesOne (EPL-049): of several idle instances that watch a
// target exclusively one wakes, where epoll_ctl(2) promises "one or more".
func epollExclusiveWakesOne(t *testing.T) {
	for _, mode := range []uint32{0, unix.EPOLLET} {
		source := fdtest.Eventfd(t, 0)
		_, waiting := mustWaiters(t, 4, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE|mode)
		fdtest.Post(t, source)
		woken, asleep := wantWoken(t, 1, waiting...)
		woken[0].want(ready(source, unix.EPOLLIN))
		// Each event wakes another while the first ones are busy with
		// theirs.
		for len(asleep) > 0 {
			fdtest.Post(t, source)
			woken, asleep = wantWoken(t, 1, asleep...)
			woken[0].want(ready(source, unix.EPOLLIN))
		}
	}
}

// epollExclusiveMixed (EPL-050): all instances that watch without
// EPOLLEXCLUSIVE get the event, and at least one of those with it,
// epoll_ctl(2); the kernel makes it one.
func epollExclusiveMixed(t *testing.T) {
	source := fdtest.Eventfd(t, 0)
	_, first := mustWaiters(t, 2, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	_, plain := mustWaiters(t, 2, source, unix.EPOLLIN)
	_, last := mustWaiters(t, 2, source, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	fdtest.Post(t, source)
	for _, s := range plain {
		s.want(ready(source, unix.EPOLLIN))
	}
	woken, _ := wantWoken(t, 1, append(first, last...)...)
	woken[0].want(ready(source, unix.EPOLLIN))
}

// epollExclusivePassedOver (EPL-111): exclusive instances are woken in the
// order in which they registered, up to the first one in which somebody waits.
// Those behind it are not told: asked, they have nothing to report, though the
// target is ready and level-triggered. A MOD, which would help, is not allowed.
func epollExclusivePassedOver(t *testing.T) {
	const bits = unix.EPOLLIN | unix.EPOLLEXCLUSIVE
	source := fdtest.Eventfd(t, 0)
	idle, behind := fdtest.Epoll(t), fdtest.Epoll(t)
	fdtest.Add(t, idle, source, bits)
	_, first := mustWaiters(t, 1, source, bits)
	fdtest.Add(t, behind, source, bits)
	_, last := mustWaiters(t, 1, source, bits)
	fdtest.Post(t, source)
	first[0].want(ready(source, unix.EPOLLIN))
	stillAsleep(t, last...)
	wantReady(t, idle, ready(source, unix.EPOLLIN))
	wantReady(t, behind)
	// The next event finds nobody waiting before it.
	fdtest.Post(t, source)
	last[0].want(ready(source, unix.EPOLLIN))
	wantReady(t, behind, ready(source, unix.EPOLLIN))
}

var epollExclusiveRows = map[string]func(*testing.T){
	"EPL-046": epollExclusiveBits,
	"EPL-047": epollExclusiveMod,
	"EPL-048": epollExclusiveNested,
	"EPL-049": epollExclusiveWakesOne,
	"EPL-050": epollExclusiveMixed,
	"EPL-111": epollExclusivePassedOver,
}
