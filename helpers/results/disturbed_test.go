//go:build linux

package results

import (
	"testing"

	"eventbench/helpers/machine"
)

// Each kind of disturbance is counted separately, with its worst value. Usual
// values and missing ones do not count.
func TestDisturbances(t *testing.T) {
	const quiet = "# disturbed: nice=0 load=2.31 steal=0.3% preempted=1281353 stopped=0"
	for _, c := range []struct {
		comments []string
		want     string
	}{
		{nil, ""},
		{[]string{"# seed: 1", quiet}, ""},
		{[]string{"# disturbed:", "# disturbed: nice=x load", "# disturbed: steal=%"}, ""},
		{[]string{quiet, "# disturbed: nice=19 load=4.31 steal=2.1% preempted=812 stopped=1"},
			"disturbed from outside: 1 of 2 processes: a load of up to 4.3 on 2 CPUs (1), niceness 19 (1), stopped and continued (1)"},
		{[]string{"# disturbed: load=12.00 steal=9.5%", quiet, "# disturbed: load=4.00 steal=5.0%"},
			"disturbed from outside: 2 of 3 processes: a load of up to 12.0 on 2 CPUs (2), up to 9.5% of the CPUs' time stolen by the hypervisor (2)"},
		{[]string{"# disturbed: nice=-5 preempted=3 stopped=0"}, ""}, // raised by a user to avoid disturbance
	} {
		var d Disturbances
		d.Add(c.comments, "2")
		if got := d.String(); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.comments, got, c.want)
		}
	}
	var d Disturbances
	d.Add([]string{"# disturbed: load=12.00"}, "")
	if got := d.String(); got != "" {
		t.Errorf("a load on an unknown number of CPUs: %s", got)
	}
}

// Disturbances reads what machine.Watch writes: they agree on the prefix.
func TestDisturbancesAreRead(t *testing.T) {
	var d Disturbances
	if d.Add([]string{machine.NewWatch().Stop()}, "2"); d.processes != 1 {
		t.Errorf("%d processes are read of one", d.processes)
	}
}
