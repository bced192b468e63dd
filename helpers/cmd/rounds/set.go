//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/files"
	"eventbench/helpers/results"

	"golang.org/x/sys/unix"
)

// A survey is what the test binary is and does on this machine now; rounds
// with different surveys are not of one set.
type survey struct {
	settings string   // what was asked for, as in settingsLine
	config   []string // configuration lines
	names    []string // benchmarks that give a result, sorted
}

func surveyOf(f *results.File, settings string) survey {
	s := survey{settings: settings}
	for key, values := range f.Config() {
		if key != roundKey {
			s.config = append(s.config, key+": "+strings.Join(values, " "))
		}
	}
	slices.Sort(s.config)
	s.names = slices.Compact(slices.Sorted(slices.Values(f.Names())))
	return s
}

// difference says in what respect the rounds of have cannot be joined by those
// of s; it is empty when they can.
func (s survey) difference(have survey) string {
	if s.settings != have.settings {
		return fmt.Sprintf("settings %s, there %s", s.settings, have.settings)
	}
	if here, there := without(s.config, have.config), without(have.config, s.config); len(here)+len(there) > 0 {
		return fmt.Sprintf("configuration %q, there %q", here, there)
	}
	if here, there := without(s.names, have.names), without(have.names, s.names); len(here)+len(there) > 0 {
		return fmt.Sprintf("%d benchmarks, there %d: only here %q, only there %q", len(s.names), len(have.names), here, there)
	}
	return ""
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	var only []string
	for _, v := range a {
		if !slices.Contains(b, v) {
			only = append(only, v)
		}
	}
	return only
}

// roundKey is the configuration key that says in which round of several arms a
// process was measured.
const roundKey = "round"

// settingsPrefix begins the comment in a round's file that says what it was
// made with.
const settingsPrefix = "# settings: "

func settingsOf(f *results.File) string {
	for _, c := range f.Comments {
		if s, ok := strings.CutPrefix(c, settingsPrefix); ok {
			return s
		}
	}
	return ""
}

// settings states all that makes rounds comparable and is not in the
// configuration lines.
func (o options) settings(a arm) string {
	s := fmt.Sprintf("-bench=%q%s -benchtime=%s -count=%d -seed=%d sha256=%s", o.bench, o.narrowing(), o.benchtime, o.count, o.seed, a.build)
	if len(a.command) > 0 {
		s += fmt.Sprintf(" -arm=%q", a.command)
	}
	return s
}

// settingsDir is the short form of settings, for people: a directory's name.
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

// narrowing is -skip and -long as messages and settings show them.
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

// A set is a directory of rounds that are alike.
type set struct {
	arm      arm
	dir      string
	survey   survey
	finished []int // rounds that are there, in order
}

// openSet returns the first set among dir, dir.2, dir.3 … that rounds like s
// belong to; the last of them may be new and not exist yet. It tells p why it
// passed over others.
func openSet(a arm, dir string, s survey, p *progress) (*set, error) {
	for n := 1; ; n++ {
		name := dir
		if n > 1 {
			name = fmt.Sprintf("%s.%d", dir, n)
		}
		finished, err := roundsIn(name)
		if err != nil {
			return nil, err
		}
		different := ""
		for i, round := range finished {
			path := filepath.Join(name, roundFile(round))
			f, err := results.Read(path)
			if err != nil {
				return nil, fmt.Errorf("%w\n\tremove the file and its round will be measured again", err)
			}
			d := s.difference(surveyOf(f, settingsOf(f)))
			if i > 0 && d != different && (d == "" || different == "") {
				return nil, fmt.Errorf("%s: not like %s beside it: remove one of them", path, roundFile(finished[0]))
			}
			different = d
		}
		if different == "" {
			return &set{a, name, s, finished}, nil
		}
		p.say("rounds: %s is another set: here %s", name, different)
	}
}

var roundName = regexp.MustCompile(`^round-(\d{2,})` + regexp.QuoteMeta(results.Ext) + `$`)

func roundFile(n int) string { return fmt.Sprintf("round-%02d%s", n, results.Ext) }

// roundsIn returns the numbers of the rounds in dir, sorted, none when there
// is no such directory.
func roundsIn(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var rounds []int
	for _, e := range entries {
		if m := roundName.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil || roundFile(n) != e.Name() {
				return nil, fmt.Errorf("%s: not a round's name", filepath.Join(dir, e.Name()))
			}
			rounds = append(rounds, n)
		}
	}
	slices.Sort(rounds)
	return rounds, nil
}
