//go:build linux

package samples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"eventbench/helpers/process"
	"eventbench/helpers/results"

	"golang.org/x/sys/unix"
)

// A Sample is a sample to make.
type Sample struct {
	// Run runs the test binary with -test.v where the sample is made. It
	// skips the benchmarks that skip, a -test.skip pattern, matches.
	Run func(ctx context.Context, skip string, stdout, stderr io.Writer) error

	Skip     string                 // a -test.skip pattern for all processes
	Count    int                    // results of each benchmark
	Known    []string               // benchmarks that are known to exist
	Hopeless map[string]string      // benchmarks that are not tried, with the reason
	Going    func(name, why string) // if not nil, called when a process died and the sample continues
}

// ErrSlow is wrapped by Run's error if the time limit ended although no
// benchmark was stuck. None is to blame.
var ErrSlow = errors.New("out of time")

// A Made is a finished sample.
type Made struct {
	Text     []byte // in the benchmark format, complete
	Failures []*results.Failure
	Log      []byte // the output of all processes
	Died     bool   // some processes did not finish
	Stderr   []byte // from processes that finished
}

// An Error is the reason why there is no sample although its surroundings are
// fine. The next sample may succeed.
type Error struct {
	Why   string
	Ended error  // of the last process
	Log   []byte // the output of all processes
}

func (e *Error) Error() string { return e.Why }
func (e *Error) Unwrap() error { return e.Ended }

// most is the number of processes in a row that may die without a result. No
// family has that many benchmarks, so they cannot all be broken independently.
const most = 25

// Make makes the sample. If a benchmark ends its process, the others run in
// another one. The error is the cause of ctx, or an [*Error] if the program
// does not reach its first benchmark, breaks at its end, or has no result.
func (s *Sample) Make(ctx context.Context) (*Made, error) {
	var (
		m     = new(merge)
		left  = slices.Sorted(maps.Keys(s.Hopeless)) // out
		all   bytes.Buffer
		made  = new(Made)
		empty int // consecutive processes
	)
	for {
		var stdout, stderr process.Buffer
		skip := skipping(s.Skip, left)
		err := s.Run(ctx, skip, &stdout, &stderr)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		log := slices.Concat(fmt.Appendf(nil, "# -test.skip=%s\n", skip), stdout.Bytes(), []byte("\n# standard error:\n"), stderr.Bytes(), fmt.Appendf(nil, "\n# end: %v\n", err))
		all.Write(log)
		o := parse(stdout.String(), s.Count)
		m.add(o)
		if o.trailer != "" {
			if why := checkEnd(o, err, stderr.String()); why != "" {
				return nil, &Error{why, err, all.Bytes()}
			}
			made.Stderr = append(made.Stderr, stderr.Bytes()...)
			break
		}
		made.Died = true
		if errors.Is(err, ErrSlow) {
			return nil, &Error{err.Error(), err, all.Bytes()}
		}
		name, ok := o.at()
		if !ok {
			return nil, &Error{"the test binary ended before its first benchmark: " + reason(err, stdout.String(), stderr.String()), err, all.Bytes()}
		}
		why := reason(err, "", stderr.String())
		if o.hasEnded(name) {
			why = "right after it: " + why
		}
		message := strings.TrimPrefix(o.log()+"\n"+why, "\n")
		m.fail(&results.Failure{Name: name, Message: message})
		left = append(append(left, o.done()...), name)
		slices.Sort(left)
		left = slices.Compact(left)
		if empty++; len(o.count) > 0 {
			empty = 0
		}
		if empty == most {
			return nil, &Error{fmt.Sprintf("%d processes in a row ended without a result, the last in Benchmark%s: %s", most, name, why), err, all.Bytes()}
		}
		if s.Going != nil {
			first, _, _ := strings.Cut(why, "\n")
			s.Going(name, first)
		}
	}
	made.Log = all.Bytes()
	for _, name := range slices.Sorted(maps.Keys(s.Hopeless)) {
		m.fail(&results.Failure{Name: name, Skipped: true, Message: s.Hopeless[name]})
	}
	for _, name := range m.unaccounted(s.Known, s.Count) {
		m.fail(&results.Failure{Name: name, Message: "gave no result and no reason, although it has run before"})
	}
	made.Text, made.Failures = m.text()
	failed := slices.ContainsFunc(made.Failures, func(f *results.Failure) bool { return !f.Skipped })
	if failed && len(m.results()) == 0 {
		return made, &Error{"no benchmark has a result", nil, all.Bytes()}
	}
	return made, nil
}

// checkEnd returns what is wrong with a process that ran all its benchmarks, or
// "".
func checkEnd(o *output, err error, stderr string) string {
	failed := slices.ContainsFunc(o.failures, func(f *results.Failure) bool { return !f.Skipped })
	switch {
	case o.trailer == "FAIL" && !failed:
		return "the test binary says FAIL, but not for which benchmark: " + reason(err, "", stderr)
	case o.trailer == "FAIL" && process.ExitCode(err) == 1:
		return ""
	case err != nil:
		return "after its last benchmark: " + reason(err, "", stderr)
	}
	return ""
}

// reason says how a process ended: the panic if there was one, otherwise the
// error and the end of its output.
func reason(err error, stdout, stderr string) string {
	const lines = 6
	late := new(process.LateError)
	if errors.As(err, &late) {
		return err.Error() // goroutines follow
	}
	text := strings.Split(strings.TrimSpace(stderr), "\n")
	for i, line := range text {
		for _, begins := range []string{"panic: ", "fatal error: ", "unexpected fault address "} {
			if strings.HasPrefix(line, begins) {
				message := text[i:min(i+lines, len(text))]
				if end := slices.Index(message, ""); end > 0 {
					message = message[:end]
				}
				return strings.Join(message, "\n")
			}
		}
	}
	why := "the process ended with exit status 0"
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		why = fmt.Sprintf("the process ended with exit status %d", exit.ExitCode())
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			why = fmt.Sprintf("the process was killed by %s", unix.SignalName(status.Signal()))
		}
	} else if err != nil {
		why = err.Error()
	}
	if strings.TrimSpace(stderr) == "" {
		text = strings.Split(strings.TrimSpace(stdout), "\n")
	}
	if said := strings.Join(text[max(0, len(text)-lines):], "\n"); said != "" {
		why += "\n" + said
	}
	return why
}

// A merge joins the outputs of a sample's processes.
type merge struct {
	lines    []line
	config   map[string]bool
	failures []*results.Failure
	counts   map[string]int
}

// add appends the next process's output. Configuration is kept once.
func (m *merge) add(o *output) {
	if m.config == nil {
		m.config, m.counts = make(map[string]bool), make(map[string]int)
	}
	further := len(m.config) > 0
	for _, l := range o.lines {
		if further && l.benchmark == "" && (m.config[l.text] || strings.HasPrefix(l.text, "-test.shuffle ")) {
			continue
		}
		if l.config {
			m.config[l.text] = true
		}
		m.lines = append(m.lines, l)
	}
	for name, n := range o.count {
		m.counts[name] += n
	}
	for _, f := range o.failures {
		m.fail(f)
	}
}

// fail records a failure. The first one of a benchmark counts.
func (m *merge) fail(f *results.Failure) {
	if !slices.ContainsFunc(m.failures, func(o *results.Failure) bool { return o.Name == f.Name }) {
		m.failures = append(m.failures, f)
	}
}

// failed reports whether the benchmark itself failed.
func (m *merge) failed(name string) bool {
	return slices.ContainsFunc(m.failures, func(f *results.Failure) bool { return !f.Skipped && f.Name == name })
}

// results returns the lines of valid results.
func (m *merge) results() []line {
	return slices.DeleteFunc(slices.Clone(m.lines), func(l line) bool { return l.benchmark == "" || m.failed(l.benchmark) })
}

// unaccounted returns the benchmarks that have neither results nor a failure,
// their own or a parent's.
func (m *merge) unaccounted(known []string, count int) []string {
	var names []string
	for _, name := range known {
		said := slices.ContainsFunc(m.failures, func(f *results.Failure) bool { return Within(name, f.Name) })
		// A benchmark that failed earlier may have sub-benchmarks with
		// results.
		parts := slices.ContainsFunc(m.lines, func(l line) bool { return strings.HasPrefix(l.benchmark, name+"/") }) ||
			slices.ContainsFunc(m.failures, func(f *results.Failure) bool { return strings.HasPrefix(f.Name, name+"/") })
		if !said && !parts && m.counts[name] != count {
			names = append(names, name)
		}
	}
	return names
}

// text returns everything as the output of one process, with failures removed
// and recorded at the end.
func (m *merge) text() ([]byte, []*results.Failure) {
	var b bytes.Buffer
	for _, l := range m.lines {
		if l.benchmark == "" || !m.failed(l.benchmark) {
			b.WriteString(l.text + "\n")
		}
	}
	trailer := "PASS"
	var failures []*results.Failure
	for _, f := range m.failures {
		part := func(o *results.Failure) bool { return !o.Skipped && o.Name != f.Name && Within(o.Name, f.Name) }
		if !f.Skipped && f.Message == "" && slices.ContainsFunc(m.failures, part) {
			continue // a benchmark fails if a sub-benchmark does
		}
		failures = append(failures, f)
		b.WriteString(f.Record())
		if !f.Skipped {
			trailer = "FAIL"
		}
	}
	b.WriteString(trailer + "\n")
	return b.Bytes(), failures
}
