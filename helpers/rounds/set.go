//go:build linux

package rounds

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/files"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"

	"golang.org/x/sys/unix"
)

// A survey is what the test binary contains and does on this machine now.
// Rounds with different surveys belong to different sets.
type survey struct {
	settings string   // what the user asked for, as in settingsLine
	machine  string   // "" in rounds of an earlier version
	config   []string // configuration lines
	names    []string // that have a result or fail, sorted
	failed   []string // that fail, and may have sub-benchmarks
}

func surveyOf(f *results.File, settings string) survey {
	s := survey{settings: settings, names: samples.Known([]*results.File{f}), failed: failed(f)}
	for key, values := range f.Config() {
		switch key {
		case roundKey:
		case results.Machine:
			s.machine = strings.Join(values, " ")
		default:
			s.config = append(s.config, key+": "+strings.Join(values, " "))
		}
	}
	slices.Sort(s.config)
	return s
}

// failed returns the benchmarks that failed in the files.
func failed(files ...*results.File) (names []string) {
	for _, file := range files {
		for _, f := range file.Failures {
			if !f.Skipped {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// otherwise says how a round's settings or configuration differ, or returns ""
// if they do not.
func (s survey) otherwise(have survey) string {
	if s.machine != have.machine {
		return fmt.Sprintf("machine %s, there %q", s.machine, have.machine)
	}
	if s.settings != have.settings {
		return fmt.Sprintf("settings %s, there %s", s.settings, have.settings)
	}
	if here, there := without(s.config, have.config), without(have.config, s.config); len(here)+len(there) > 0 {
		return fmt.Sprintf("configuration %q, there %q", here, there)
	}
	return ""
}

// otherNames says how the rounds in files differ in their benchmarks. Nothing
// is known of the sub-benchmarks of one that failed.
func (s survey) otherNames(files []*results.File) string {
	have, unknown := samples.Known(files), slices.Concat(s.failed, failed(files...))
	certain := func(names []string) []string {
		return slices.DeleteFunc(names, func(name string) bool {
			return slices.ContainsFunc(unknown, func(f string) bool { return samples.Within(name, f) })
		})
	}
	if here, there := certain(without(s.names, have)), certain(without(have, s.names)); len(here)+len(there) > 0 {
		return fmt.Sprintf("%d benchmarks, there %d: only here %q, only there %q", len(s.names), len(have), here, there)
	}
	return ""
}

// without returns the elements of a that are not in b.
func without(a, b []string) []string {
	var only []string
	for _, v := range a {
		if !slices.Contains(b, v) {
			only = append(only, v)
		}
	}
	return only
}

// roundKey is the configuration key for the round in which a process was
// measured, if there are several arms.
const roundKey = "round"

// settingsPrefix begins the comment in a round's file that states its settings.
const settingsPrefix = "# settings: "

func settingsOf(f *results.File) string {
	for _, c := range f.Comments {
		if s, ok := strings.CutPrefix(c, settingsPrefix); ok {
			return s
		}
	}
	return ""
}

// settings returns everything that rounds must have in common and that is not
// in the configuration lines.
func (o options) settings(a arm) string {
	s := fmt.Sprintf("-bench=%q%s -benchtime=%s -count=%d -seed=%d sha256=%s", o.bench, o.narrowing(), o.benchtime, o.count, o.seed, a.build)
	if len(a.command) > 0 {
		s += fmt.Sprintf(" -arm=%q", a.command)
	}
	return s
}

// settingsDir returns a readable short form of settings for a directory's name.
func (o options) settingsDir(a arm) string {
	name := results.PatternName(o.bench) + "-" + o.benchtime
	if o.count != 1 {
		name += fmt.Sprintf("-count%d", o.count)
	}
	if o.seed != 1 {
		name += fmt.Sprintf("-seed%d", o.seed)
	}
	if o.skip != "" {
		name += "-skip" + results.PatternName(o.skip)
	}
	if o.long {
		name += "-long"
	}
	if a.name != "" {
		name += "-" + a.name
	}
	return name
}

// narrowing returns -skip and -long as messages and settings show them.
func (o options) narrowing() (s string) {
	if o.skip != "" {
		s = fmt.Sprintf(" -skip=%q", o.skip)
	}
	if o.long {
		s += " -long"
	}
	return s
}

// hostDir names the machine and its kernel.
func hostDir() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	name := unix.ByteSliceToString(u.Nodename[:]) + "-" + unix.ByteSliceToString(u.Release[:])
	return files.Name(name), nil
}

// machine names the machine that rounds are measured on. Machines may have one
// name, such as localhost, so it ends in digits of /etc/machine-id, which itself
// is secret (machine-id(5)). A container has a name of its own instead.
func machine() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	name := files.Name(unix.ByteSliceToString(u.Nodename[:]))
	id, err := os.ReadFile("/etc/machine-id")
	if id = bytes.TrimSpace(id); err != nil || len(id) == 0 {
		return name, nil
	}
	mac := hmac.New(sha256.New, id)
	mac.Write([]byte("eventbench"))
	return fmt.Sprintf("%s-%x", name, mac.Sum(nil)[:3]), nil
}

// A set holds the rounds of an arm.
type set struct {
	samples.Set
	arm    arm
	survey survey
	files  []*results.File // the existing rounds, in order
}

// openSet returns the first of the sets dir, dir.2, dir.3 … that rounds like s
// belong to. The last of these may not exist yet. It tells p why others do not
// match.
func openSet(a arm, dir string, s survey, p *follower) (*set, error) {
	for n := 1; ; n++ {
		name := dir
		if n > 1 {
			name = fmt.Sprintf("%s.%d", dir, n)
		}
		set := &set{Set: samples.Set{Dir: name, Kind: "round"}, arm: a, survey: s}
		var err error
		if set.files, err = set.Read(); err != nil {
			return nil, err
		}
		different := ""
		for i, f := range set.files {
			d := s.otherwise(surveyOf(f, settingsOf(f)))
			if i > 0 && d != different && (d == "" || different == "") {
				return nil, fmt.Errorf("%s: does not belong with %s beside it: remove one of them", f.Path, filepath.Base(set.files[0].Path))
			}
			different = d
		}
		if different == "" && len(set.files) > 0 {
			different = s.otherNames(set.files)
		}
		if different == "" {
			return set, nil
		}
		p.Say("%s is another set: here %s", name, different)
	}
}

// made returns the existing rounds of those that the user asked for.
func (s *set) made(opts options) []*results.File {
	paths := make(map[string]bool)
	for _, n := range opts.numbers() {
		paths[s.File(n)] = true
	}
	return slices.DeleteFunc(slices.Clone(s.files), func(f *results.File) bool { return !paths[f.Path] })
}

// known returns the benchmarks that a round should have results of.
func (s *set) known() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.survey.names, samples.Known(s.files)))))
}
