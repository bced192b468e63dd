package behaviour

import (
	"regexp"
	"slices"
	"strings"
)

// An Output is the output of a test binary with -test.v, by row.
type Output struct {
	Rows map[string]Outcome // rows that started
	Last string             // the row that started last
	In   string             // the row in which the output broke off, or ""
}

// An Outcome is what happened to a row.
type Outcome struct {
	// Verdict is PASS, FAIL or SKIP, or empty if the output lacks the row's
	// end.
	Verdict string
	// Failed may be set without a verdict: a row that fails says so at once
	// (see [Run]), and without -test.v=test2json its verdict comes only
	// after its whole test.
	Failed bool
	// Class says why the row, or a part of it, was skipped, as in [Skip].
	// It is empty if nothing was skipped or no class was given.
	Class string
	// Said is the row's log, without file and line. If there is a Class, it
	// is the line with the class.
	Said []string
}

// classes are the classes of [Skip].
var classes = []string{"absent", "privilege", "limit", "seccomp"}

var (
	startLine = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME|ATTR) +(\S*)`)
	endLine   = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
	logLine   = regexp.MustCompile(`^ {4,}[\w./-]+\.go:[0-9]+: (.*)$`)
)

// Started parses the line with which -test.v names the test that the next lines
// belong to. The word is RUN when the test starts.
func Started(line string) (word, test string, ok bool) { return submatch2(startLine, line) }

// Ended parses the line at the end of a test.
func Ended(line string) (verdict, test string, ok bool) { return submatch2(endLine, line) }

func submatch2(re *regexp.Regexp, line string) (one, two string, ok bool) {
	m := re.FindStringSubmatch(line)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// Logged parses the first line of a test's log.
func Logged(line string) (text string, ok bool) {
	m := logLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
	if m == nil {
		return "", false
	}
	return m[1], true
}

// RowOf returns the id of the row that a test checks, or "". Subtests of a
// row's test are not rows.
func RowOf(test string) string {
	_, id, _ := strings.Cut(test, "/")
	id, _, _ = strings.Cut(id, "#") // a repeated name gets a number
	if !rowID.MatchString(id) {
		return ""
	}
	return id
}

// rowAbove returns the id of the row that a test is a subtest of, or an empty
// string.
func rowAbove(test string) string {
	if parts := strings.SplitN(test, "/", 3); len(parts) == 3 {
		return RowOf(parts[0] + "/" + parts[1])
	}
	return ""
}

// ReadOutput parses the output of a test binary with -test.v or, for more
// detail where it breaks off, -test.v=test2json. If a row ran several times, a
// failed run counts, otherwise the last.
func ReadOutput(text string) *Output {
	o := &Output{Rows: map[string]Outcome{}}
	running := map[string]Outcome{}
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		// test2json's mark for the test binary's own lines may follow
		// something that a row printed without a newline.
		line = line[strings.LastIndexByte(line, '\x16')+1:]
		if word, test, ok := Started(line); ok {
			current = RowOf(test)
			if current == "" {
				current = rowAbove(test) // what a subtest says, its row says
			} else if word == "RUN" {
				running[current] = Outcome{}
				o.Last = current
			}
			continue
		}
		if verdict, test, ok := Ended(line); ok {
			if id := RowOf(test); id != "" {
				o.add(id, running[id].end(verdict))
				delete(running, id)
			}
			continue
		}
		row, ok := running[current]
		if !ok {
			continue
		}
		if text, ok := Logged(line); ok {
			row.Said = append(row.Said, text)
			row.Failed = row.Failed || strings.HasPrefix(text, current+": ") && strings.HasPrefix(line, "    behaviour.go:") // as printed by Run
		} else if text := strings.TrimSpace(line); text != "" && strings.HasPrefix(line, "    ") && len(row.Said) > 0 {
			row.Said = append(row.Said, text)
		}
		running[current] = row
	}
	// Parallel rows may be running beside the one that started last.
	for id, row := range running {
		o.add(id, row)
		o.In = max(o.In, id)
	}
	if _, ok := running[o.Last]; ok {
		o.In = o.Last
	}
	return o
}

func (o *Output) add(id string, row Outcome) {
	if !o.Rows[id].Failed {
		o.Rows[id] = row
	}
}

// end returns the outcome with its verdict.
func (row Outcome) end(verdict string) Outcome {
	row.Verdict, row.Failed = verdict, verdict == "FAIL"
	mark := ""
	switch verdict {
	case "PASS":
		mark = partMark
	case "FAIL":
		return row
	}
	for _, line := range slices.Backward(row.Said) {
		reason, ok := strings.CutPrefix(line, mark)
		if class, _, is := strings.Cut(reason, ": "); ok && is && slices.Contains(classes, class) {
			row.Class, row.Said = class, []string{line}
			break
		}
	}
	return row
}
