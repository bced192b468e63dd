//go:build linux

package columns

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"strings"
)

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

var (
	// endLine is how a test binary reports the end of a test.
	endLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
	// startLine says which test the lines that follow are of.
	startLine = regexp.MustCompile(`^=== (RUN|NAME|CONT|PAUSE) +(\S*)`)
	// logLine is a line that a test logged.
	logLine = regexp.MustCompile(`^ {4,}[\w./-]+\.go:\d+: (.*)$`)
	// classes are those of behaviour's skips.
	classes = []string{"absent", "privilege", "limit", "seccomp"}
)

// readOutcomes reads what a test binary printed with -test.v=test2json, with which it tells of each
// row when that ends: \x16 marks the lines that are the test binary's own.
// It returns what came of the rows, and the one in which the output broke off, if it did.
func readOutcomes(r io.Reader) (ends map[string]outcome, in string, err error) {
	ends = map[string]outcome{}
	said := map[string][]string{}
	running := map[string]bool{}
	current := ""
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		// The mark may come after something that a row has printed without a newline.
		line := scanner.Text()
		if i := strings.LastIndexByte(line, '\x16'); i >= 0 {
			line = line[i+1:]
		}
		if m := startLine.FindStringSubmatch(line); m != nil {
			current = row(m[2])
			if m[1] == "RUN" && current != "" {
				running[current] = true
				in = current
			}
			continue
		}
		if m := endLine.FindStringSubmatch(line); m != nil {
			id := row(m[2])
			if id == "" {
				continue
			}
			o := outcome{said: said[id]}
			switch m[1] {
			case "PASS":
				o = passed(o.said)
			case "FAIL":
				o.status = deviates
			case "SKIP":
				o = skipped(o.said)
			}
			// Of several runs the worst counts.
			if before, ok := ends[id]; !ok || before.status != deviates {
				ends[id] = o
			}
			delete(running, id)
			delete(said, id)
			continue
		}
		if current == "" {
			continue
		}
		if m := logLine.FindStringSubmatch(line); m != nil {
			said[current] = append(said[current], m[1])
		} else if text := strings.TrimSpace(line); text != "" && strings.HasPrefix(line, "    ") && len(said[current]) > 0 {
			said[current] = append(said[current], text)
		}
	}
	if !running[in] {
		in = ""
	}
	// Parallel rows may be on their way beside the one that started last.
	if in == "" {
		for id := range running {
			in = max(in, id)
		}
	}
	return ends, in, scanner.Err()
}

// row is the id of the row whose test this is, or empty.
func row(test string) string {
	_, rest, ok := strings.Cut(test, "/")
	if !ok {
		return ""
	}
	// Repeated names get a number, and rows may have subtests of their own.
	id, _, sub := strings.Cut(rest, "/")
	id, _, _ = strings.Cut(id, "#")
	if sub {
		return ""
	}
	return id
}

// passed is what came of a row that holds, or of which a part holds and another could not be checked.
func passed(said []string) outcome {
	for _, line := range said {
		if strings.HasPrefix(line, "in part, ") {
			return outcome{partly, []string{line}}
		}
	}
	return outcome{passes, said}
}

// skipped is what came of a row that was skipped, by a reason of a class or another.
func skipped(said []string) outcome {
	for _, line := range slices.Backward(said) {
		class, _, ok := strings.Cut(line, ": ")
		switch {
		case ok && class == "absent":
			return outcome{absent, []string{line}}
		case ok && slices.Contains(classes, class):
			return outcome{skip + status(class), []string{line}}
		}
	}
	return outcome{skip + "other", said}
}
