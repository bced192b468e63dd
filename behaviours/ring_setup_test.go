//go:build linux

package behaviours

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"eventbench/helpers/child"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Making, entering and leaving a ring.

// ringSizes (RNG-01): a ring has room for 1 to 32768 requests, rounded up to a
// power of two, and for twice as many completions; other sizes, and flags that
// nobody knows, are EINVAL.
func ringSizes(t *testing.T) {
	newNotifier(t, 1, 0, 0)
	var params [30]uint32
	setup := func(n int, flags uint32) (fd int, err error) {
		clear(params[:])
		params[2] = flags
		return rawCall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&params)))
	}
	for n, want := range map[int]uint32{1: 1, 2: 2, 3: 4, 5: 8, 100: 128} {
		fd, err := setup(n, 0)
		closable(t, fd, err)
		if params[0] != want || params[1] != 2*want {
			t.Errorf("a ring for %d: room for %d requests and %d completions, want %d and %d", n, params[0], params[1], want, 2*want)
		}
	}
	for _, n := range []int{0, 32769, math.MaxUint32} {
		_, err := setup(n, 0)
		wantErrno(t, "io_uring_setup", err, unix.EINVAL)
	}
	_, err := setup(1, 1<<31)
	wantErrno(t, "io_uring_setup with an unknown flag", err, unix.EINVAL)
}

// ringWrongDescriptor (RNG-02): io_uring_enter of no descriptor is EBADF, of
// another file EOPNOTSUPP, with unknown flags EINVAL.
func ringWrongDescriptor(t *testing.T) {
	r := newNotifier(t, 1, 0, 0)
	enter := func(fd int, flags uintptr) error {
		_, err := rawCall(unix.SYS_IO_URING_ENTER, uintptr(fd), 0, 0, flags, 0, 0)
		return err
	}
	wantErrno(t, "entering a ring", enter(r.FD, 0), nil)
	for _, bad := range badDescriptors(t) {
		wantErrno(t, "entering no descriptor", enter(bad, 0), unix.EBADF)
	}
	wantErrno(t, "entering an eventfd", enter(newEventfd(t, 0, 0), 0), unix.EOPNOTSUPP)
	wantErrno(t, "entering with unknown flags", enter(r.FD, 1<<31), unix.EINVAL)
}

// ringDisabled (RNG-03): a ring made with IORING_SETUP_R_DISABLED takes nothing
// until it is enabled, EBADFD; enabling it again is EBADFD.
func ringDisabled(t *testing.T) {
	r := newNotifier(t, 1, sys.RingDisabled, 0)
	const enable = 12
	register := func() error {
		_, err := rawCall(unix.SYS_IO_URING_REGISTER, uintptr(r.FD), enable, 0, 0)
		return err
	}
	wantErrno(t, "entering a disabled ring", r.enter(0), unix.EBADFD)
	wantErrno(t, "enabling it", register(), nil)
	wantErrno(t, "enabling it again", register(), unix.EBADFD)
	r.ask(sys.NopRequest(1))
	r.want("once enabled", answer{data: 1})
}

// ringOneIssuer (RNG-04): with IORING_SETUP_SINGLE_ISSUER, only the thread that
// made the ring may submit; another gets EEXIST, and no request of its is taken.
func ringOneIssuer(t *testing.T) {
	r := newNotifier(t, 2, deferred, 0)
	r.ask(sys.NopRequest(1))
	r.want("the thread's own", answer{data: 1})
	other := child.Go(t, "other", func() error {
		if err := r.Do(sys.NopRequest(2)); !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("another thread's request: %v, want EEXIST", err)
		}
		return nil
	})
	other.Join()
}

// ringOrder (RNG-05): requests that need not wait complete in the order in which
// they were submitted.
func ringOrder(t *testing.T) {
	eachSetup(t, 0, nil, func(t testing.TB, r *notifier) {
		for n := uint64(1); n <= 100; n++ {
			r.ask(sys.NopRequest(n))
			if n%8 != 0 {
				continue
			}
			for i, c := range r.take(8) {
				if want := n - 7 + uint64(i); c.Data != want || c.Res != 0 {
					t.Errorf("completion %d is of %d with %d, want %d with 0", i, c.Data, c.Res, want)
				}
			}
		}
	})
}

// ringOverflow (RNG-06): completions that find no room are kept (since 5.5,
// IORING_FEAT_NODROP): they come, all and in order, when the thread asks for them.
func ringOverflow(t *testing.T) {
	eachSetup(t, ringNoDrop, nil, func(t testing.TB, r *notifier) {
		const n = 100 // of 16 that there is room for
		for i := range uint64(n) {
			if err := r.Do(sys.NopRequest(i + 1)); err != nil {
				t.Fatal(err)
			}
		}
		if r.Check() == nil {
			t.Errorf("%d completions in a ring for 16 leave no trace", n)
		}
		for i, c := range r.take(n) {
			if c.Data != uint64(i+1) || c.Res != 0 {
				t.Fatalf("completion %d is of %d with %d, want %d with 0", i+1, c.Data, c.Res, i+1)
			}
		}
		if err := r.Check(); err != nil {
			t.Errorf("after all were taken: %v", err)
		}
	})
}

var ringSetupRows = map[string]func(*testing.T){
	"RNG-01": ringSizes,
	"RNG-02": ringWrongDescriptor,
	"RNG-03": ringDisabled,
	"RNG-04": ringOneIssuer,
	"RNG-05": ringOrder,
	"RNG-06": ringOverflow,
}
