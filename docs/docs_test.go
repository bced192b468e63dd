//go:build linux

// Package docs has no code. Its tests keep the documentation true: what a page
// shows a command print is what the command prints, and the targets, verbs,
// flags and links that it names exist.
package docs

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/tooltest"
)

var update = flag.Bool("update", false, "write what the commands print into the pages")

// pages are README and the files of docs.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"../README.md"}, files...)
}

// A console block shows commands, each after "$ ", and what they print. A
// block that has [...] in place of lines shows an excerpt. The paragraph below
// the block says when and where the samples that it names were recorded.
var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$(?:\n\nRecorded on [^\n]+(?:\n[^\n]+)*)?")

// The commands of a page print what the page shows. go test ./docs -update
// writes what they print now.
func TestExamples(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			now := consoleBlock.ReplaceAllFunc(text, func(block []byte) []byte {
				body := string(consoleBlock.FindSubmatch(block)[1])
				return []byte("```console\n" + run(t, body) + "```" + source(t, body))
			})
			if bytes.Equal(now, text) {
				return
			}
			if *update {
				if err := os.WriteFile(page, now, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s shows what its commands do not print (go test ./docs -update):\n%s", page, difference(string(text), string(now)))
		})
	}
}

// run returns the block's body as it should be: its commands with what they
// print.
func run(t *testing.T, body string) string {
	t.Helper()
	var out strings.Builder
	for command, want := range commands(body) {
		fmt.Fprintf(&out, "$ %s\n", command)
		got := output(t, command)
		if excerpt, ok := excerptOf(got, want); ok {
			got = excerpt
		}
		out.WriteString(got)
	}
	return out.String()
}

// commands returns the commands of a block, each with the text below it.
func commands(body string) func(yield func(command, text string) bool) {
	return func(yield func(command, text string) bool) {
		for part := range strings.SplitSeq("\n"+body, "\n$ ") {
			if command, text, ok := strings.Cut(part, "\n"); ok && command != "" {
				if text != "" && !strings.HasSuffix(text, "\n") {
					text += "\n"
				}
				if !yield(command, text) {
					return
				}
			}
		}
	}
}

// elision stands in a page for lines that it leaves out.
const elision = "[...]\n"

// excerptOf returns want if it is got with runs of lines left out.
func excerptOf(got, want string) (string, bool) {
	if !strings.Contains(want, elision) {
		return "", false
	}
	rest := got
	for i, part := range strings.Split(want, elision) {
		at := strings.Index(rest, part)
		if at < 0 || i == 0 && at > 0 {
			return "", false
		}
		rest = rest[at+len(part):]
	}
	return want, strings.HasSuffix(want, elision) || rest == ""
}

// bin has the tool built once, for go tool would build it for each command.
var bin tooltest.Bin

func TestMain(m *testing.M) { bin.Main(m) }

// output runs a command as a reader would, at the top of the repository.
func output(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(command, "go tool eventbench", bin.Path("eventbench")))
	cmd.Dir = ".."
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A verdict is an exit status, and no failure of the example.
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) || stdout.Len() == 0 {
		t.Fatalf("%s: %v\n%s", command, err, &stderr)
	}
	return stdout.String()
}

// difference shows the lines that differ.
func difference(old, now string) string {
	a, b := strings.SplitAfter(old, "\n"), strings.SplitAfter(now, "\n")
	var s strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			fmt.Fprintf(&s, "- %s", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			fmt.Fprintf(&s, "+ %s", line)
		}
	}
	return s.String()
}

// The targets, variables, verbs and flags that the pages name exist.
func TestCommandsExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	defines := func(pattern, name string) bool {
		return regexp.MustCompile(fmt.Sprintf(pattern, regexp.QuoteMeta(name))).Match(makefile)
	}
	helps := make(map[string]string)
	help := func(verb string) string {
		if helps[verb] == "" {
			out, err := exec.Command(bin.Path("eventbench"), "help", verb).CombinedOutput()
			if err != nil {
				out = nil
			}
			helps[verb] = string(out)
		}
		return helps[verb]
	}
	makeCommand := regexp.MustCompile(`(?m)(?:^(?:    |\$ )|\x60)make ((?:[a-z][a-z-]*)(?: [A-Z]+=(?:"[^"]*"|'[^']*'|\S+))*)`)
	toolCommand := regexp.MustCompile(`go tool (?:-n )?eventbench\)?"? ([a-z][a-z-]*)((?: -[a-z][a-z-]*)*)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range makeCommand.FindAllSubmatch(text, -1) {
			words := strings.Fields(regexp.MustCompile(`=("[^"]*"|'[^']*'|\S+)`).ReplaceAllString(string(m[1]), ""))
			if !defines(`(?m)^[a-z. -]*\b%s\b[a-z. -]*:`, words[0]) {
				t.Errorf("%s: make %s: the Makefile has no such target", page, words[0])
			}
			for _, variable := range words[1:] {
				if !defines(`(?m)^%s\s*\?=`, variable) {
					t.Errorf("%s: %s: the Makefile has no such variable", page, m[0])
				}
			}
		}
		for _, m := range toolCommand.FindAllSubmatch(text, -1) {
			verb := string(m[1])
			if verb == "help" {
				continue
			}
			if help(verb) == "" {
				t.Errorf("%s: %s: the tool has no such verb", page, m[0])
				continue
			}
			for _, f := range strings.Fields(string(m[2])) {
				if !regexp.MustCompile(`(?m)^\s+-{1,2}` + regexp.QuoteMeta(strings.TrimLeft(f, "-")) + `\b`).MatchString(help(verb)) {
					t.Errorf("%s: %s: the verb has no flag %s", page, m[0], f)
				}
			}
		}
	}
}

// Links between pages lead to a file and a heading that are there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(string(m[1]), "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			to, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%s: %v", page, err)
			} else if anchor != "" && !slices.Contains(anchors(string(to)), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
}

// anchors returns the names that a page's headings have in links.
func anchors(text string) (names []string) {
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && line[0] == '#' {
			name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			names = append(names, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}

// A README is read when it is short.
func TestREADMEIsShort(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > 110 {
		t.Errorf("README.md has %d lines, want 110 at most", n)
	}
}
