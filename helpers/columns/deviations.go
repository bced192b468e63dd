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

// deviationsFile is the file, beside the inventories, that has what gVisor does otherwise.
const deviationsFile = "gvisor.deviations"

// deviations are the rows that gVisor is known to break, with what they complained of.
type deviations map[string]string

// sometimes is what a complaint begins with where gVisor breaks the row in some runs and holds it in others.
const sometimes = "sometimes: "

// readDeviations reads gvisor.deviations: a line for each row, its id and the first thing that it complains of, after "sometimes: "
// where it does so in some runs only. Lines that start with # are for people. No file is no deviations.
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
			return nil, fmt.Errorf("%s:%d: %q is no row of the inventories", name, n, id)
		case d[id] != "":
			return nil, fmt.Errorf("%s:%d: a second line for %s", name, n, id)
		case what == "" || what == strings.TrimSpace(sometimes):
			return nil, fmt.Errorf("%s:%d: %s does not say what gVisor does", name, n, id)
		}
		d[id] = what
	}
	return d, scanner.Err()
}

// judge tells of the rows that did not come out as they must, and marks known deviations. It reports whether there are any.
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
				c.ends[id] = outcome{known, o.said}
			case c.gvisor() && fails:
				say("%s: %s deviates, which %s does not have: %s", c.name, id, deviationsFile, o.reason())
				bad = true
			case c.gvisor() && expected && (o.status == passes || o.status == partly) && !strings.HasPrefix(what, sometimes):
				say("%s: %s holds, though %s has: %s", c.name, id, deviationsFile, what)
				bad = true
			case fails:
				say("%s: %s %s: %s", c.name, id, o.status, o.reason())
				bad = true
			case o.status == none:
				bad = true // broke says so
			}
		}
	}
	return bad
}

// printDeviations prints what gvisor.deviations would be: the rows that gVisor breaks now, those that it breaks sometimes, and those
// recorded that were not run.
func printDeviations(w io.Writer, columns []*column, inv inventory, wanted []string, recorded deviations) error {
	i := slices.IndexFunc(columns, (*column).gvisor)
	c := columns[i]
	if c.broke != nil {
		return fmt.Errorf("gvisor: %w", c.broke)
	}
	fmt.Fprintf(w, "# What gVisor does otherwise: rows that fail there, and the first thing that they complain of.\n"+
		"# go tool eventbench behaviours -deviations prints these lines. Seen with runsc %s (systrap).\n", gvisor.Release())
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

// aProcess is what a complaint says of a child: its number is another one in every run.
var aProcess = regexp.MustCompile(`child in role (eventbench\.)?([^ ]*?)(#[0-9]+)? \(pid [0-9]+\): `)

// oneLine makes a complaint a line of the file.
func oneLine(text string, r behaviour.Row) string {
	text = aProcess.ReplaceAllString(strings.Join(strings.Fields(text), " "), "")
	if text == "" || strings.HasPrefix(text, r.ID+": ") {
		text = "fails without a word"
	}
	return cut(text, 160)
}
