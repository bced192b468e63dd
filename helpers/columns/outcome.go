//go:build linux

package columns

import "eventbench/helpers/behaviour"

// A status is how a row ended.
type status string

const (
	passes   status = "pass"
	partly   status = "pass in part"
	deviates status = "DEVIATES"
	known    status = "known"
	absent   status = "absent"
	broke    status = "BROKE" // the run ended in it
	none     status = "-"
	skip     status = "skip " // and the class
)

// An outcome is what came of a row in a column.
type outcome struct {
	status status
	said   []string // what the row logged, without the file and line
}

// reason is the first thing that the row said, in a line.
func (o outcome) reason() string {
	if len(o.said) == 0 {
		return ""
	}
	return o.said[0]
}

// readOutcomes reads what a test binary printed. It returns what came of the rows that came to their end, and the one
// in which the output broke off, if it did.
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
