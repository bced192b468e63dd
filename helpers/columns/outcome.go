//go:build linux

package columns

import "eventbench/helpers/behaviour"

// A status says how a row ended.
type status string

const (
	passes   status = "pass"
	partly   status = "pass in part"
	deviates status = "DEVIATES"
	known    status = "known"
	absent   status = "absent"
	broke    status = "BROKE" // the run ended in it
	none     status = "-"
	skip     status = "skip " // followed by the class
)

// An outcome is what happened to a row in a column.
type outcome struct {
	status status
	said   []string // the row's log, without file and line
	stale  string   // it holds, and this deviation is recorded
}

// reason returns the first line that the row logged.
func (o outcome) reason() string {
	if len(o.said) == 0 {
		return ""
	}
	return o.said[0]
}

// readOutcomes reads a test binary's output. It returns the outcomes of the
// rows that finished, and the row during which the output broke off, if any.
func readOutcomes(text string) (ends map[string]outcome, in string) {
	ends = map[string]outcome{}
	out := behaviour.ReadOutput(text)
	for id, row := range out.Rows {
		o := outcome{said: row.Said}
		switch row.Verdict {
		case "PASS":
			o.status = passes
			if row.Class != "" {
				o.status = partly
			}
		case "FAIL":
			o.status = deviates
		case "SKIP":
			switch row.Class {
			case "absent":
				o.status = absent
			case "":
				o.status = skip + "other"
			default:
				o.status = skip + status(row.Class)
			}
		default:
			continue
		}
		ends[id] = o
	}
	return ends, out.In
}
