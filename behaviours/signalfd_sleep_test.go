//go:build linux

package behaviours

import (
	"fmt"
	"os"
	"testing"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/child"
	"eventbench/helpers/rawsig"
	"eventbench/helpers/sys"

	"golang.org/x/sys/unix"
)

// Reads that sleep, and who wakes up.

// signalfdReleasesOne (SFD-32): of threads that sleep in reads one gets a
// signal to the process, the others sleep on.
func signalfdReleasesOne(t testing.TB) {
	blockAll(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	readers := map[*sleeper]*recordReader{}
	var asleep []*sleeper
	for range 4 {
		r := startRecords(t, fd, 2)
		readers[r.sleeper] = r
		asleep = append(asleep, r.sleeper)
	}
	for len(asleep) > 0 {
		wantErrno(t, "kill", rawsig.Kill(os.Getpid(), unix.SIGUSR1), nil)
		var woken []*sleeper
		woken, asleep = wantWoken(t, 1, asleep...)
		readers[woken[0]].wantSigs("the thread that woke", unix.SIGUSR1)
		wantPending(t, 0)
	}
}

// signalfdInterrupted (SFD-38): a handler of a signal outside the mask ends a
// read that sleeps, with EINTR, unless it has SA_RESTART, signal(7); the read
// that goes on is as good as new.
func signalfdInterrupted(t *testing.T) {
	blockAll(t)
	catchRestarting(t)
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	var got []record
	read := func() *sleeper {
		return startRestartable(t, unix.SYS_READ, func() (n int, err error) {
			got, err = readRecords(fd, 2)
			return len(got), err
		})
	}
	r := read()
	restartRead(t, r, 3)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.Join()
	sameSigs(t, "the restarted read", got, r.err, unix.SIGUSR1)
	r = read()
	r.rouse()
	r.wantErr(unix.EINTR)
	wantPolledOnly(t, fd, 0)
}

// signalfdClosedUnderReader (SFD-56): closing the descriptor does not end a
// read that sleeps, close(2); the signal that it waits for does.
func signalfdClosedUnderReader(t *testing.T) {
	fd, err := signalfd4(-1, sys.Sigs(unix.SIGUSR1), unix.SFD_CLOEXEC)
	closeNow := closable(t, fd, err)
	r := startRecords(t, fd, 1)
	closeNow()
	stillAsleep(t, r.sleeper)
	wantErrno(t, "tgkill", rawsig.Tgkill(unix.Getpid(), r.Tid, unix.SIGUSR1), nil)
	r.wantSigs("a read whose descriptor was closed", unix.SIGUSR1)
}

// signalfdOverStop (SFD-71): a read that sleeps goes on after a stop of its
// process, and finds what came meanwhile.
func signalfdOverStop(t *testing.T) {
	fd := newSignalfd(t, sys.Sigs(unix.SIGUSR1), 0)
	p := child.Start(t, signalfdReader, child.Options{Files: []int{fd}, Block: quiet})
	for range 2 {
		stopReader(t, p)
		p.Signal(unix.SIGCONT)
		wantWaited(t, p.Pid, unix.WCONTINUED, rawsig.CldContinued, unix.SIGCONT)
	}
	stopReader(t, p)
	p.Signal(unix.SIGUSR1)
	p.Signal(unix.SIGCONT)
	p.Expect(fmt.Sprintf("%d code %d from %d", unix.SIGUSR1, rawsig.SIUser, os.Getpid()))
	p.Wait()
}

var signalfdSleepRows = map[string]func(*testing.T){
	"SFD-32": behaviour.Alone(signalfdReleasesOne, quiet...),
	"SFD-38": signalfdInterrupted,
	"SFD-56": signalfdClosedUnderReader,
	"SFD-71": signalfdOverStop,
}
