//go:build linux

// Package cmd_test tests how the Makefile calls the commands.
package cmd_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile are values that make or the shell would do something with, if they
// got to see them as more than data. Whatever evaluates one makes the file X.
var hostile = []string{
	"$(shell touch X)", "$$(touch X)", "${shell touch X}", "$(eval Y := $(shell touch X))", "$(touch X)", "`touch X`",
	"; touch X;", "'; touch X; '", "\"; touch X; \"", "'\"; touch X; \"'", "a && touch X", "a | touch X", "a > X", "$X",
	"line\ntouch X\n", "\n\ttouch X", "a:b:c", "x: y", "a b  c ", " a", "*", "#x", "\\", "a\\", "%", "a=b", "@", "(", "!", "=", "-h", "--", "-n",
	"\x1b[31m\u009b\xff", "${IFS}", "eventbench.test;touch X", "",
}

// No variable is evaluated by make or the shell, whatever its name is and
// wherever it is set: every target gives the tools each as the user wrote it.
// SHELL is left out, which says what is to evaluate recipes.
func TestMakeVariables(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip(err)
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(makefile, -1) {
			all = append(all, string(m[1]))
		}
		return all
	}
	names := find(`(?m)^([A-Z]+) +\?=`)
	targets := find(`(?m)^([a-z-]+):.*## `)
	if len(names) < 15 || len(targets) < 15 {
		t.Fatalf("%d variables and %d targets found in the Makefile", len(names), len(targets))
	}
	others := []string{"LONG", "GIVEN", "MAKE_PID", "MAKE", "MAKEFILE_LIST", "CURDIR", "UNKNOWN", "v", "of", "dir", "X"}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			for _, as := range hostile {
				ways := []string{"command line"}
				if target == "bench" || target == "gate-arms" { // the others get them no other way
					ways = append(ways, "environment", "environment that wins")
				}
				for _, way := range ways {
					value := as
					if way == "command line" {
						value = strings.TrimLeft(as, " \t\n") // make takes them for its own
					}
					args, environ := []string{target}, []string{}
					for _, name := range slices.Concat(names, others) {
						if way == "command line" {
							args = append(args, name+"="+value)
						} else {
							environ = append(environ, name+"="+value)
						}
					}
					if way == "environment that wins" {
						args = append(args, "-e")
					}
					left, calls := makeIn(t, makefile, args, environ)
					if len(left) > 0 {
						t.Errorf("%s %q was evaluated: there are %q", way, value, left)
					}
					for _, call := range calls {
						for _, name := range names {
							if want := name + "=" + value; !slices.Contains(call, want) && !nested(call) {
								t.Errorf("%s %q: the tool found other than %q", way, value, want)
							}
						}
					}
				}
			}
		})
	}
}

// nested reports whether the environment is that of a make below make check,
// which sets variables itself.
func nested(environ []string) bool { return slices.Contains(environ, "MAKELEVEL=2") }

// makeIn runs make in a directory with nothing but the Makefile. It returns what
// is there then besides, and for each tool that was run its environment.
func makeIn(t *testing.T, makefile []byte, args, environ []string) (left []string, calls [][]string) {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	write := func(name string, text []byte) {
		if err := os.WriteFile(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "Makefile"), makefile)
	write(filepath.Join(bin, "go"), []byte("#!/bin/sh\n[ \"$1 $2\" != 'tool -n' ] || echo '"+bin+"/tool'\n"))
	write(filepath.Join(bin, "gofmt"), []byte("#!/bin/sh\n"))
	write(filepath.Join(bin, "shellcheck"), []byte("#!/bin/sh\n"))
	write(filepath.Join(bin, "tool"), []byte("#!/bin/sh\nenv -0 >$(mktemp '"+bin+"/call-XXXXXX')\n"))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "make", args...)
	cmd.Dir = dir
	cmd.Env = append(environ, "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+bin)
	if out, err := cmd.CombinedOutput(); ctx.Err() != nil {
		t.Errorf("make %q: %v\n%s", args, err, out) // else it may well be refused
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "Makefile" {
			left = append(left, e.Name())
		}
	}
	names, _ := filepath.Glob(filepath.Join(bin, "call-*"))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var call []string
		for v := range bytes.SplitSeq(data, []byte{0}) {
			call = append(call, string(v))
		}
		calls = append(calls, call)
	}
	return left, calls
}
