//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"
)

// Every verb has a manual, every manual is a verb's, and -h and help work.
func TestManuals(t *testing.T) {
	all := tool()
	names := map[string]bool{"tool": true}
	for _, v := range all.Verbs {
		names[v.Name] = true
		for _, args := range [][]string{{"help", v.Name}, {v.Name, "-h"}} {
			var out strings.Builder
			if status := all.Run(args, &out, io.Discard); status != 0 || !strings.Contains(out.String(), "go tool eventbench "+v.Name) {
				t.Errorf("%q: exit status %d, printed\n%s", args, status, &out)
			}
			for line := range strings.Lines(out.String()) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 && !strings.HasPrefix(line, "        ") && !strings.Contains(line, "go tool eventbench") {
					t.Errorf("%q: a line of %d characters: %s", args, n, line)
				}
			}
		}
	}
	files, err := fs.Glob(manuals, "manual/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); !names[name] {
			t.Errorf("%s is the manual of no verb", f)
		}
	}
}

// callRE finds a call of the tool in a text, up to what ends a command there.
var callRE = regexp.MustCompile("(?:go tool eventbench|go tool -n eventbench\\)\") ([a-z-]+)((?: [^'\"`|;()\\n]*)?)")

// What documentation and recipes call the tool with exists: its verbs, and the
// flags of each.
func TestCallsInDocumentation(t *testing.T) {
	flags := map[string]map[string]bool{}
	for _, v := range tool().Verbs {
		var out strings.Builder
		tool().Run([]string{"complete", "--", v.Name, "-"}, &out, io.Discard)
		flags[v.Name] = map[string]bool{}
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(line, "\t")
			flags[v.Name][word] = true
		}
	}
	for _, v := range []string{"help", "completion"} {
		flags[v] = map[string]bool{}
	}
	calls := 0
	for _, pattern := range []string{"manual/*.md", "../../../README.md", "../../../Makefile", "../../../docs/*.md", "../../../.ci/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				for _, m := range callRE.FindAllStringSubmatch(line, -1) {
					if strings.HasPrefix(m[1], "-") {
						continue
					}
					calls++
					known, ok := flags[m[1]]
					if !ok {
						t.Errorf("%s:%d: %s is no verb", path, n+1, m[1])
						continue
					}
					if m[1] == "test" || m[1] == "guest" || m[1] == "gvisor" || m[1] == "seccomp" {
						continue // flags of other programs may follow
					}
					for _, word := range strings.Fields(m[2]) {
						word, _, _ = strings.Cut(word, "=")
						if regexp.MustCompile(`^-[a-z-]+$`).MatchString(word) && word != "--" && !known[word] {
							t.Errorf("%s:%d: %s has no flag %s", path, n+1, m[1], word)
						}
					}
				}
			}
		}
	}
	if calls < 40 {
		t.Errorf("%d calls found: does this test still see them?", calls)
	}
}

// Completion offers the series that make kernels boots.
func TestCompletedSeries(t *testing.T) {
	if want := tooltest.Kernels(t, "../../../Makefile"); !slices.Equal(series, want) {
		t.Errorf("completion offers %q, want KERNELS of the Makefile, %q", series, want)
	}
}

// Shells complete verbs, flags and values by the scripts that the tool prints.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	goScript := fmt.Sprintf("#!/bin/sh\nshift 2\nexec '%s' \"$@\"\n", bin.Path("eventbench"))
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(goScript), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+dir+":"+string(bin)+":"+os.Getenv("PATH"))
	check := func(t *testing.T, shell, script, want string, args ...string) {
		t.Helper()
		cmd := exec.Command(shell, append(args, "-c", script)...)
		cmd.Env = env
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var words []string
		for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
			word, _, _ := strings.Cut(s.Text(), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); err != nil || got != want || stderr.Len() > 0 {
			t.Errorf("%s: %s\ngot %q, %v, want %q\n%s", shell, script, got, err, want, &stderr)
		}
	}
	t.Run("bash", func(t *testing.T) {
		need.Need(t, need.HasBash)
		ask := func(want string, words ...string) {
			t.Helper()
			check(t, "bash", fmt.Sprintf("source <(eventbench completion bash)\nCOMP_WORDS=(%s) COMP_CWORD=%d\n_eventbench\nprintf '%%s\\n' \"${COMPREPLY[@]}\"",
				strings.Join(words, " "), len(words)-1), want, "--norc")
		}
		ask("guest", "eventbench", "gu")
		ask("gate gate-kernels gate-arms", "go", "tool", "eventbench", "ga")
		ask("-format", "eventbench", "gate", "-fo")
		ask("--format", "eventbench", "gate", "a", "--fo")
		ask("instrs", "go", "tool", "eventbench", "guest", "-clock", "in")
		ask("", "go", "build", "./x")
	})
	t.Run("fish", func(t *testing.T) {
		need.Need(t, need.HasFish)
		ask := func(want, line string) {
			t.Helper()
			check(t, "fish", "eventbench completion fish | source\ncomplete -C '"+line+"'", want, "--no-config")
		}
		ask("guest", "eventbench gu")
		ask("gate gate-arms gate-kernels", "go tool eventbench ga")
		ask("instrs", "go tool eventbench guest -clock in")
	})
	t.Run("zsh", func(t *testing.T) {
		need.Need(t, need.HasZsh)
		// Its completion needs a terminal; that the script is one, and what it
		// asks the tool for, does not.
		check(t, "zsh", `source <(eventbench completion zsh)
_describe() { print -l ${(@)${(P)3}%%:*} }
_files() { print files }
words=(go tool eventbench guest -clock in) CURRENT=6
_eventbench
words=(eventbench gu) CURRENT=2
_eventbench
words=(eventbench gate x) CURRENT=3
_eventbench`, "instrs guest files", "-f")
	})
}
