//go:build linux

package samples

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
)

// Started returns the name, without the prefix, of the benchmark that a line of
// -test.v output announces.
func Started(line string) (name string, ok bool) {
	name, ok = strings.CutPrefix(line, "Benchmark")
	return name, ok && !strings.ContainsAny(line, " \t")
}

// An output is what a process printed with -test.v.
type output struct {
	lines    []line
	failures []*results.Failure
	ended    []string // benchmarks that ended, in order
	begun    []string // benchmarks that started
	count    map[string]int
	trailer  string // PASS or FAIL, if testing reached its end

	failure *results.Failure // the failure that the preceding lines belong to
	logged  []string         // by the running benchmark, because -test.v prints logs at once
}

// A line goes into the sample's file unchanged, unless its benchmark failed.
type line struct {
	text      string
	benchmark string // the benchmark whose result it is, or ""
	config    bool   // applies to all results that follow
}

var (
	verdictLine = regexp.MustCompile(`^(?:Benchmark\S*[ \t]+)?--- (FAIL|SKIP): Benchmark(\S*)$`)
	configLine  = regexp.MustCompile(`^([a-z][^ \t]*:|Unit )`)
)

// parse parses an output in which each benchmark should have count results.
func parse(text string, count int) *output {
	o := &output{count: make(map[string]int)}
	for text := range strings.Lines(text) {
		whole := strings.HasSuffix(text, "\n")
		text = strings.TrimRight(text, "\r\n")
		if message, ok := strings.CutPrefix(text, "    "); ok {
			if o.failure != nil {
				o.failure.Message = strings.TrimPrefix(o.failure.Message+"\n"+message, "\n")
			} else {
				o.logged = append(o.logged, message)
			}
			continue
		}
		o.failure = nil
		if name, ok := Started(text); ok {
			// A truncated line is not a name.
			if whole {
				o.keepLog()
				o.begun = append(o.begun, name)
			}
			continue
		}
		if m := verdictLine.FindStringSubmatch(text); m != nil {
			name := o.canonical(m[2])
			o.failure = &results.Failure{Name: name, Skipped: m[1] == "SKIP", Message: o.log()}
			o.logged = nil
			o.failures = append(o.failures, o.failure)
			o.end(name)
			continue
		}
		o.keepLog()
		switch {
		case strings.HasPrefix(text, "Benchmark"):
			o.result(text, whole, count)
		case text == "PASS" || text == "FAIL":
			o.trailer = text
		default:
			o.lines = append(o.lines, line{text: text, config: configLine.MatchString(text)})
		}
	}
	return o
}

// keepLog adds logged lines to the file, because they belong to no failure.
func (o *output) keepLog() {
	for _, message := range o.logged {
		o.lines = append(o.lines, line{text: "    " + message})
	}
	o.logged = nil
}

// log returns the end of the running benchmark's log.
func (o *output) log() string {
	const most = 20
	return strings.Join(o.logged[max(0, len(o.logged)-most):], "\n")
}

// result parses a line that begins with Benchmark and is more than a name.
func (o *output) result(text string, whole bool, count int) {
	field, _, _ := strings.Cut(strings.TrimPrefix(text, "Benchmark"), "\t")
	name := o.canonical(strings.TrimSpace(field))
	r := benchfmt.NewReader(strings.NewReader(text+"\n"), "")
	if !r.Scan() {
		return
	}
	if broken, ok := r.Result().(*benchfmt.SyntaxError); ok || o.count[name] >= count {
		if !whole {
			return // the process ended here
		}
		why := "that benchmark already has its results"
		if ok {
			why = broken.Msg
		}
		o.blame(fmt.Sprintf("printed a line that is not a result (%s): %s", why, text))
		return
	}
	o.lines = append(o.lines, line{text: text, benchmark: name})
	if o.count[name]++; o.count[name] == count {
		o.end(name)
	}
}

// blame makes the running benchmark fail.
func (o *output) blame(message string) {
	name, _ := o.at()
	o.failures = append(o.failures, &results.Failure{Name: name, Message: message})
}

// canonical returns a benchmark's name without the number of processors, which
// testing appends in some lines.
func (o *output) canonical(name string) string {
	if slices.Contains(o.begun, name) {
		return name
	}
	if i := strings.LastIndexByte(name, '-'); i > 0 && slices.Contains(o.begun, name[:i]) {
		return name[:i]
	}
	return name
}

func (o *output) hasEnded(name string) bool { return slices.Contains(o.ended, name) }

func (o *output) end(name string) {
	if !o.hasEnded(name) {
		o.ended = append(o.ended, name)
	}
}

// at returns the benchmark during which the output broke off: the last one that
// started, if it had not ended, otherwise its parent, otherwise the last one
// that ended, which must have left something running. ok is false if none had
// started.
func (o *output) at() (name string, ok bool) {
	if len(o.begun) == 0 {
		return "", false
	}
	last := o.begun[len(o.begun)-1]
	for name := last; name != ""; {
		if slices.Contains(o.begun, name) && !o.hasEnded(name) {
			return name, true
		}
		name = name[:max(strings.LastIndexByte(name, '/'), 0)]
	}
	return last, true
}

// done returns what another process need not run: top-level benchmarks that
// were followed by others, and the finished sub-benchmarks of the last one.
func (o *output) done() []string {
	top := func(name string) string { top, _, _ := strings.Cut(name, "/"); return top }
	if len(o.begun) == 0 {
		return nil
	}
	last := top(o.begun[len(o.begun)-1])
	var done []string
	for _, name := range o.begun {
		switch {
		case top(name) != last:
			done = append(done, top(name))
		case o.hasEnded(name):
			done = append(done, name)
		}
	}
	return slices.Compact(done)
}
