//go:build linux

package mutants

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/kbuild"
)

// A mutant is a kernel with a mutation in one source file.
type mutant struct {
	Name string // file and name: eventfd/longer-write-taken
	Row  string // whose test must fail: EFD-19
	What string // the mutation in words
	Edit kbuild.Edit

	tests []string // that are run: Eventfd, Loop
	at    string   // file and line of its definition
}

var (
	mutantLine = regexp.MustCompile(`^([a-z0-9-]+) ([A-Z]+-[0-9]+) (\S.*)$`)
	testName   = regexp.MustCompile(`^[A-Z][a-z]+$`)
)

// readMutants reads all mutants in a directory, which has a file for each
// source file.
func readMutants(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	rows := make(map[string]string)
	for _, file := range files {
		if filepath.Base(file) == resultsFile {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		some, err := parseMutants(file, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			if rows[m.Row] != "" {
				return nil, fmt.Errorf("%s: %s is already broken by %s: break another row", m.at, m.Row, rows[m.Row])
			}
			rows[m.Row] = m.Name
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no mutants in %s: want files such as eventfd.txt", dir)
	}
	return all, nil
}

// parseMutants reads a file of mutants: the lines "file" and "tests", followed
// by blocks as testdata/mutants/README.md describes them. name is for errors.
func parseMutants(name string, r io.Reader) ([]mutant, error) {
	var (
		all    []mutant
		m      *mutant // the block that the next lines belong to
		source string
		tests  []string
		n      int
	)
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", name, n, fmt.Sprintf(format, args...))
	}
	end := func() error {
		if m == nil {
			return nil
		}
		if m.Edit.Old == m.Edit.New {
			return fmt.Errorf("%s: %s changes nothing: want lines that begin with - or +", m.at, m.Name)
		}
		if m.Edit.Old == "" {
			return fmt.Errorf("%s: %s does not say where: want lines that begin with - or a blank", m.at, m.Name)
		}
		m = nil
		return nil
	}
	base := strings.TrimSuffix(filepath.Base(name), ".txt")
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		n++
		line := scanner.Text()
		key, value, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			if err := end(); err != nil {
				return nil, err
			}
		case m != nil:
			text := line[1:] + "\n"
			switch line[0] {
			case ' ':
				m.Edit.Old += text
				m.Edit.New += text
			case '-':
				m.Edit.Old += text
			case '+':
				m.Edit.New += text
			default:
				return nil, fail("%q in %s: want a line that begins with -, + or a blank, or an empty one", line, m.Name)
			}
		case key == "file" && all == nil:
			source = value
		case key == "tests" && all == nil:
			tests = strings.Fields(value)
			for _, t := range tests {
				if !testName.MatchString(t) {
					return nil, fail("%q is not a test such as Eventfd", t)
				}
			}
		default:
			parts := mutantLine.FindStringSubmatch(line)
			if parts == nil {
				return nil, fail("%q: want a name, the row that breaks, and the mutation: longer-write EFD-19 a longer write is taken", line)
			}
			if source == "" || tests == nil {
				return nil, fail("a mutant before the lines that begin with file and tests")
			}
			id := base + "/" + parts[1]
			if slices.ContainsFunc(all, func(o mutant) bool { return o.Name == id }) {
				return nil, fail("a second %s", parts[1])
			}
			all = append(all, mutant{
				Name: id, Row: parts[2], What: parts[3], Edit: kbuild.Edit{File: source},
				tests: tests, at: fmt.Sprintf("%s:%d", name, n),
			})
			m = &all[len(all)-1]
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no mutants", name)
	}
	return all, nil
}

// pattern returns the -test.run pattern of its tests.
func (m *mutant) pattern() string { return "^Test(" + strings.Join(m.tests, "|") + ")$" }

// base is the name of the outcome of its tests on the unmutated kernel.
func (m *mutant) base() string { return "base/" + strings.Join(m.tests, "-") }

// variant returns the mutant's kernel, or the unmutated one if m is nil.
func (m *mutant) variant() kbuild.Variant {
	v := kbuild.Variant{Edits: []kbuild.Edit{quicker}}
	if m != nil {
		v.Edits = append(v.Edits, m.Edit)
	}
	return v
}

// quicker makes the kernel calibrate the timer of its local APIC for 8 ms
// instead of 100, twice: most of the time that an emulated machine takes to
// boot.
var quicker = kbuild.Edit{
	File: "arch/x86/kernel/apic/apic.c",
	Old:  "#define LAPIC_CAL_LOOPS\t\t(HZ/10)\n",
	New:  "#define LAPIC_CAL_LOOPS\t\t(HZ/100)\n",
}

// sum identifies a kernel: a variant of a version.
func sum(version string, v kbuild.Variant) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a struct of strings
	}
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", version, kbuild.Config, data)))[:12]
}
