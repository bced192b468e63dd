package guest

import (
	"encoding/json"
	"fmt"
	"path"
	"time"
)

// Where things are in the guest's file system.
const (
	initPath = "/init" // where the kernel looks
	jobPath  = "/job.json"
	binDir   = "/bin"
	homeDir  = "/src" // where the program runs, with testdata beside it
)

// serialPorts is the number of serial ports: the console, and those of an Arch.
const serialPorts = 4

// A job tells the guest's init what to do. It is part of the initramfs.
type job struct {
	Program string   // in the guest
	Args    []string // the first is the program's name for itself
	Env     []string
	Dir     string
	Settle  time.Duration // of the guest's own time, to let pass before the program starts
	Seccomp int           // comparisons before each of its system calls
	MakeDir []string      // directories the arguments name
	Collect []string      // files to send back when the program has ended
}

// The guest's init reports on a port of its own, one line each:
//
//	started          the program runs
//	failed TEXT      it could not be started; nothing follows
//	file N SIZE      the file Collect[N]; its bytes follow the line
//	exited STATUS    the program has ended; nothing follows
//	killed SIGNAL    likewise, by a signal
const (
	reportStarted = "started"
	reportFailed  = "failed"
	reportFile    = "file"
	reportExited  = "exited"
	reportKilled  = "killed"
)

func (j *job) encode() ([]byte, error) {
	for _, p := range append([]string{j.Program, j.Dir}, append(j.MakeDir, j.Collect...)...) {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("the guest's path %q is not absolute", p)
		}
	}
	return json.Marshal(j)
}
