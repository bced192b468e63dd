package results

import (
	"fmt"
	"strconv"
	"strings"
)

// Disturbances summarizes what disturbed the measurements of processes from
// outside, according to the comments that machine.Watch wrote. Nothing is known
// of processes without comments.
type Disturbances struct {
	processes, disturbed int

	niced, stopped, busy, stolen int // numbers of processes
	nice                         int // the highest
	load, cpus, steal            float64
}

// mark begins the comments of machine.Watch.
const mark = "# disturbed:"

// A benchmark keeps up to two CPUs busy, and often a daemon keeps a third. A
// process counts as disturbed if the load exceeds the number of CPUs by two. A
// hypervisor's own work steals a few percent.
const (
	loadAbove  = 2
	stealAbove = 5 // percent
)

// Add adds the comments of a file. cpus is its configuration key of that name:
// the number of CPUs that the processes could use.
func (d *Disturbances) Add(comments []string, cpus string) {
	n, _ := strconv.ParseFloat(cpus, 64)
	for _, c := range comments {
		said, ok := strings.CutPrefix(c, mark)
		if !ok {
			continue
		}
		of := make(map[string]float64)
		for field := range strings.FieldsSeq(said) {
			if key, text, ok := strings.Cut(field, "="); ok {
				of[key], _ = strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
			}
		}
		d.processes++
		disturbed := false
		if nice := int(of["nice"]); nice > 0 {
			disturbed = true
			d.niced++
			d.nice = max(d.nice, nice)
		}
		if of["stopped"] > 0 {
			disturbed = true
			d.stopped++
		}
		if load := of["load"]; n > 0 && load >= n+loadAbove {
			disturbed = true
			d.busy++
			if load > d.load {
				d.load, d.cpus = load, n
			}
		}
		if steal := of["steal"]; steal >= stealAbove {
			disturbed = true
			d.stolen++
			d.steal = max(d.steal, steal)
		}
		if disturbed {
			d.disturbed++
		}
	}
}

// String says how many processes were disturbed and how, or returns "" if none
// were.
func (d *Disturbances) String() string {
	if d.disturbed == 0 {
		return ""
	}
	var how []string
	for _, h := range []struct {
		n    int
		what string
	}{
		{d.busy, fmt.Sprintf("a load of up to %.1f on %.0f CPUs", d.load, d.cpus)},
		{d.stolen, fmt.Sprintf("up to %.1f%% of the CPUs' time stolen by the hypervisor", d.steal)},
		{d.niced, fmt.Sprintf("niceness %d", d.nice)},
		{d.stopped, "stopped and continued"},
	} {
		if h.n > 0 {
			how = append(how, fmt.Sprintf("%s (%d)", h.what, h.n))
		}
	}
	return fmt.Sprintf("disturbed from outside: %d of %d processes: %s", d.disturbed, d.processes, strings.Join(how, ", "))
}
