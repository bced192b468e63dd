//go:build linux

package docs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/cli"
)

// source returns the paragraph below a console block: when and where the samples
// that its commands read were recorded. It is empty if they read none.
func source(t *testing.T, body string) string {
	t.Helper()
	var files []string
	for command := range commands(body) {
		for _, word := range strings.Fields(command) {
			if strings.Contains(word, "testdata/") {
				files = append(files, filepath.Join("..", word))
			}
		}
	}
	where := make(map[string][]string) // by date
	for _, path := range files {
		date, place := recorded(t, path)
		if place != "" && !slices.Contains(where[date], place) {
			where[date] = append(where[date], place)
		} else if where[date] == nil {
			where[date] = []string{}
		}
	}
	var parts []string
	for _, date := range slices.Sorted(maps.Keys(where)) {
		part := date
		if len(where[date]) > 0 {
			part += ": " + strings.Join(where[date], "; ")
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return ""
	}
	return "\n\n" + cli.Fill("Recorded on "+strings.Join(parts, "; on ")+".", "")
}

var (
	onDate   = regexp.MustCompile(`\bon ([0-9]{1,2} [A-Z][a-z]+ [0-9]{4})\b`)
	configIn = regexp.MustCompile(`^([a-z][a-z-]*): (.*)$`)
)

// recorded returns the date in a file's first line, and the machine that its
// configuration describes, or "" if it has none.
func recorded(t *testing.T, path string) (date, machine string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	m := onDate.FindStringSubmatch(first)
	if m == nil {
		t.Fatalf("%s: the first line does not say on which date it was recorded: %q", path, first)
	}
	config := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Benchmark") {
			break
		}
		if c := configIn.FindStringSubmatch(strings.TrimSpace(line)); c != nil {
			config[c[1]] = c[2]
		}
	}
	switch config["clock"] {
	case "":
		return m[1], ""
	case "wall":
		machine = fmt.Sprintf("%s (%s), %s CPUs, Linux %s", config["cpu"], config["virt"], config["cpus"], config["kernel-release"])
	default:
		machine = fmt.Sprintf("QEMU %s (%s), CPU model %s, %s CPUs", config["qemu"], config["accelerator"], config["cpu-model"], config["cpus"])
	}
	return m[1], fmt.Sprintf("%s, %s, harness %s", machine, config["goversion"], config["harness"])
}

// The figures on these pages say where they come from: blocks of recorded
// samples below, and tables that somebody measured above.
func TestTablesHaveSources(t *testing.T) {
	for _, page := range []string{"results.md", "where.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range unsourced(string(text)) {
			t.Errorf("%s:%s", page, problem)
		}
	}
}

func TestUnsourced(t *testing.T) {
	check := func(text string, want int) {
		t.Helper()
		if got := unsourced(text); len(got) != want {
			t.Errorf("%q: %d problems, want %d: %q", text, len(got), want, got)
		}
	}
	const measured = "Measured on 25 November 2026 by `make bench`: Linux 6.18.\n\n"
	check(measured+"| a |\n|---|\n| 1 |\n", 0)
	check(measured+"```\n| 1\n```\n", 0)
	check("| a |\n|---|\n", 1)
	check("```\na\n```\n", 1)
	check(measured+"| a |\n|---|\n\n| b |\n|---|\n", 1)
	check(measured+"## Next\n\n| a |\n|---|\n", 1)
	check(strings.Replace(measured, "25 November", "31 November", 1)+"| a |\n", 1)
	check(strings.Replace(measured, "`make bench`", "hand", 1)+"| a |\n", 1)
	check(strings.Replace(measured, "Linux 6.18", "a machine", 1)+"| a |\n", 1)
	check("```console\n$ head testdata/a.txt\n| a |\n```\n\nRecorded on 25 November 2026.\n", 0)
}

var measured = regexp.MustCompile(`\bMeasured on ([0-9]{1,2} [A-Z][a-z]+ [0-9]{4}) by\b`)

// unsourced returns the tables, with their lines, that have no paragraph above
// that says "Measured on DATE by" and names a command and a machine. It leaves
// out console blocks, whose source TestExamples writes and checks.
func unsourced(text string) (problems []string) {
	above, fence, table := "", "", false
	check := func(line int) {
		var paragraph string
		var m []string
		for part := range strings.SplitSeq(above, "\n\n") {
			part = strings.Join(strings.Fields(part), " ")
			if found := measured.FindStringSubmatch(part); found != nil {
				paragraph, m = part, found
			}
		}
		if m == nil {
			problems = append(problems, fmt.Sprintf("%d: no \"Measured on DATE by\" above this table", line))
			return
		}
		if _, err := time.Parse("2 January 2006", m[1]); err != nil {
			problems = append(problems, fmt.Sprintf("%d: %v", line, err))
		}
		if !regexp.MustCompile("`(make|go tool eventbench|go test) ").MatchString(paragraph) {
			problems = append(problems, fmt.Sprintf("%d: no command in %q", line, paragraph))
		}
		if !regexp.MustCompile(`\b(Linux|QEMU) [0-9]`).MatchString(paragraph) {
			problems = append(problems, fmt.Sprintf("%d: no machine (Linux or QEMU and its version) in %q", line, paragraph))
		}
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		switch {
		case fence != "":
			if line == "```\n" {
				fence, above = "", ""
			}
		case strings.HasPrefix(line, "```"):
			fence = line
			if line == "```\n" {
				check(n)
			}
		case strings.HasPrefix(line, "|"):
			if !table {
				check(n)
			}
			table = true
			continue
		case strings.HasPrefix(line, "#") || table:
			above = ""
		default:
			above += line
		}
		table = false
	}
	return problems
}
