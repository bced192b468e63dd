// Package inside is a guest's first process: it mounts what a program expects,
// runs the program, and reports its end on a serial line. It depends on little,
// so that the file system of a guest stays small.
package inside

import (
	"encoding/json"
	"fmt"
	"path"
	"time"
)

// Where things are in the guest's file system.
const (
	InitPath = "/init" // where the kernel looks
	JobPath  = "/job.json"
	BinDir   = "/bin"
	HomeDir  = "/src" // where the program runs, with testdata beside it
)

// SerialPorts is the number of serial ports: the console, and those of a Job.
const SerialPorts = 4

// A Job tells the guest's init what to do. It is part of the initramfs.
type Job struct {
	// What the kernel calls the serial ports for the program's output, and
	// for the init's reports.
	Stdout, Stderr, Report string

	Program string   // in the guest
	Args    []string // the first is the program's name for itself
	Env     []string
	Dir     string
	Settle  time.Duration // of the guest's own time, to let pass before the program starts
	Params  []string      // kernel parameters that the kernel must have taken
	Sysctls []string      // NAME=VALUE, to set
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
	ReportStarted = "started"
	ReportFailed  = "failed"
	ReportFile    = "file"
	ReportExited  = "exited"
	ReportKilled  = "killed"
)

// Encode returns what init reads at JobPath.
func (j *Job) Encode() ([]byte, error) {
	for _, p := range append([]string{j.Program, j.Dir}, append(j.MakeDir, j.Collect...)...) {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("the guest's path %q is not absolute", p)
		}
	}
	return json.Marshal(j)
}
