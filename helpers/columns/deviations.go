//go:build linux

package columns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/gvisor"
)

// deviationsFile, beside the inventories, records where gVisor deviates.
const deviationsFile = "gvisor.deviations"

// deviations maps rows that gVisor is known to break to their complaints.
type deviations map[string]string

// sometimes is the prefix of a complaint that occurs only in some runs.
const sometimes = "sometimes: "

// readDeviations reads gvisor.deviations. A line has a row's id and its first
// complaint, with the prefix "sometimes: " if it occurs only in some runs.
// Lines that begin with # are comments. A missing file means no deviations.
func readDeviations(name string, inv inventory) (deviations, error) {
	d := deviations{}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows := map[string]bool{}
	for _, m := range inv {
		for _, r := range m.rows {
			rows[r.ID] = true
		}
	}
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, what, _ := strings.Cut(line, " ")
		switch {
		case !rows[id]:
			return nil, fmt.Errorf("%s:%d: %q is not a row of the inventories", name, n, id)
		case d[id] != "":
			return nil, fmt.Errorf("%s:%d: %s has a second line", name, n, id)
		case what == "" || what == strings.TrimSpace(sometimes):
			return nil, fmt.Errorf("%s:%d: %s does not say what gVisor does", name, n, id)
		}
		d[id] = what
	}
	return d, scanner.Err()
}

// judge reports the rows with the wrong outcome and marks known deviations. bad
// is true if there are any wrong ones.
func judge(columns []*column, wanted []string, recorded deviations, say func(string, ...any)) (bad bool) {
	for _, c := range columns {
		if c.broke != nil {
			say("%s: %v", c.name, c.broke)
			bad = true
		}
		for _, id := range wanted {
			o := c.end(id)
			fails := o.status == deviates || o.status == broke
			what, expected := recorded[id]
			switch {
			case c.gvisor() && fails && expected:
				c.ends[id] = outcome{status: known, said: o.said}
			case c.gvisor() && fails:
				say("%s: %s deviates, and %s does not record it: %s", c.name, id, deviationsFile, o.reason())
				bad = true
			case c.gvisor() && expected && (o.status == passes || o.status == partly) && !strings.HasPrefix(what, sometimes):
				say("%s: %s holds, but %s records: %s", c.name, id, deviationsFile, what)
				o.stale = what
				c.ends[id] = o
				bad = true
			case fails:
				say("%s: %s %s: %s", c.name, id, o.status, o.reason())
				bad = true
			case o.status == none:
				bad = true // broke has been reported
			}
		}
	}
	return bad
}

// printDeviations prints the new contents of gvisor.deviations: rows that
// gVisor breaks now or sometimes, and recorded rows that did not run.
func printDeviations(w io.Writer, columns []*column, inv inventory, wanted []string, recorded deviations) error {
	i := slices.IndexFunc(columns, (*column).gvisor)
	c := columns[i]
	if c.broke != nil {
		return fmt.Errorf("gvisor: %w", c.broke)
	}
	fmt.Fprintf(w, "# What gVisor does differently: rows that fail there, each with its first complaint.\n"+
		"# Printed by go tool eventbench behaviours -deviations. Seen with runsc %s (systrap).\n", gvisor.Release())
	for _, m := range inv {
		var lines []string
		for _, r := range m.rows {
			what, fails := recorded[r.ID]
			now, often := strings.CutPrefix(what, sometimes)
			if slices.Contains(wanted, r.ID) {
				o := c.end(r.ID)
				broken := o.status == known || o.status == deviates || o.status == broke
				if broken {
					now = oneLine(o.reason(), r)
				}
				what, fails = now, broken
				if often {
					what, fails = sometimes+now, true
				}
			}
			if fails {
				lines = append(lines, r.ID+" "+what)
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
		}
	}
	return nil
}

// aProcess matches how a complaint names a child, with a process ID that
// differs in every run.
var aProcess = regexp.MustCompile(`child in role (eventbench\.)?([^ ]*?)(#[0-9]+)? \(pid [0-9]+\): `)

// oneLine shortens a complaint to a line of the file.
func oneLine(text string, r behaviour.Row) string {
	text = aProcess.ReplaceAllString(strings.Join(strings.Fields(text), " "), "")
	if text == "" || strings.HasPrefix(text, r.ID+": ") {
		text = "fails without a message"
	}
	return cut(text, 160)
}
