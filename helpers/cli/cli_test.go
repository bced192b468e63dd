//go:build linux

package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/interrupt"
)

// testTool has a verb that prints its flags and operands, one that runs a
// program, and one that fails in the way its flags say.
func testTool(t *testing.T) *Tool {
	echo := func(fs *flag.FlagSet) Action {
		n := fs.Int("n", 1, "this `number` of times")
		long := fs.Bool("long", false, "in full")
		limit := fs.Duration("limit", time.Minute, "stop after this `time`")
		format := fs.String("format", "text", "as `text` or json")
		return func(_ context.Context, c *Call) error {
			_, err := fmt.Fprintf(c.Stdout, "n=%d long=%v limit=%v format=%s %q\n", *n, *long, *limit, *format, c.Operands)
			return err
		}
	}
	fail := func(err error) func(fs *flag.FlagSet) Action {
		return func(*flag.FlagSet) Action { return func(context.Context, *Call) error { return err } }
	}
	m := func(name, brief string) *Manual {
		return ParseManual("# " + name + ": " + brief + "\n\n    go tool t " + name + " [flags] [OPERAND ...]\n\nText.\n\n## More\n\nMore of it.\n")
	}
	context := func(...os.Signal) context.Context { return t.Context() }
	return &Tool{Name: "t", Command: "go tool t", Context: context, Manual: m("t", "test"), Verbs: []*Verb{
		{Manual: m("echo", "print arguments"), New: echo, Values: map[string][]string{"format": {"text", "json"}, "": {"one", "other"}}},
		{Manual: m("run", "run a program"), New: echo, Program: true, Failure: 125},
		{Manual: m("stopped", "be stopped"), New: fail(fmt.Errorf("boot 3: %w", interrupt.Error{Signal: syscall.SIGTERM})), Resumes: true},
		{Manual: m("judge", "exit with a verdict"), New: fail(Exit(3))},
		{Manual: m("absent", "not find a program"), New: fail(WithStatus(errors.New("prog: not found"), 127))},
		{Manual: m("broken", "fail"), New: fail(errors.New("one\n\tof it\ntwo"))},
	}}
}

func TestRun(t *testing.T) {
	check := func(wantStatus int, wantOut, wantErr string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		status := testTool(t).Run(args, &stdout, &stderr)
		if status != wantStatus || stdout.String() != wantOut || stderr.String() != wantErr {
			t.Errorf("t %q: status %d, standard output and error\n%s%s\nwant %d,\n%s%s", args, status, &stdout, &stderr, wantStatus, wantOut, wantErr)
		}
	}
	ok := func(want string, args ...string) {
		t.Helper()
		check(0, want+"\n", "", args...)
	}
	wrong := func(want string, args ...string) {
		t.Helper()
		check(2, "", want+"\n", args...)
	}

	// Flags have one dash or two and stand anywhere.
	ok(`n=3 long=true limit=1m0s format=json ["a" "b"]`, "echo", "-n", "3", "a", "--long", "b", "--format=json")
	ok(`n=-3 long=false limit=0s format= ["a"]`, "echo", "a", "-limit=0", "-format", "", "-n=-3")
	ok(`n=-3 long=false limit=1m0s format=-long []`, "echo", "-n", "-3", "-format", "-long")
	ok(`n=1 long=false limit=1m0s format=text ["a" "-n" "--" "x"]`, "echo", "a", "--", "-n", "--", "x")
	ok(`n=1 long=false limit=1m0s format=text ["" "-"]`, "echo", "", "-")
	ok(`n=1 long=false limit=1m0s format=text ["help" "run"]`, "echo", "help", "run")

	// Everything after a program belongs to the program.
	ok(`n=3 long=false limit=1m0s format=text ["prog" "-n" "4" "--" "-h" "-what" ""]`, "run", "-n", "3", "prog", "-n", "4", "--", "-h", "-what", "")
	ok(`n=3 long=false limit=1m0s format=text ["prog" "--" "-x"]`, "run", "-n", "3", "--", "prog", "--", "-x")
	ok(`n=3 long=false limit=1m0s format=text ["prog" "--" "-x"]`, "run", "-n", "3", "prog", "--", "-x")
	ok(`n=3 long=false limit=1m0s format=-- ["prog" "--"]`, "run", "-n=3", "-format", "--", "prog", "--")
	ok(`n=1 long=false limit=1m0s format=text ["-prog" "-x"]`, "run", "--", "-prog", "-x")

	wrong("t: want a verb, such as echo (go tool t help)")
	wrong("t: ehco: no such verb; did you mean echo? (go tool t help)", "ehco")
	wrong("t: -n: no such flag (go tool t help)", "-n", "echo")
	wrong("t echo: -formt: no such flag; did you mean -format? (go tool t help echo)", "echo", "-formt", "json", "a")
	wrong("t echo: -formt: no such flag; did you mean -format? (go tool t help echo)", "echo", "a", "--formt=json")
	wrong("t echo: -helm: no such flag (go tool t help echo)", "echo", "-helm")
	wrong(`t echo: -n "x": want a whole number (go tool t help echo)`, "echo", "-n", "x")
	wrong(`t echo: -n "99999999999999999999": want a whole number (go tool t help echo)`, "echo", "-n", "99999999999999999999")
	wrong(`t echo: -long "maybe": want true or false (go tool t help echo)`, "echo", "-long=maybe")
	wrong(`t echo: -limit "5": want a time such as 90s or 5m (go tool t help echo)`, "echo", "--limit", "5")
	wrong("t echo: -n: want a value after it (go tool t help echo)", "echo", "a", "-n")
	wrong(`t help: want one verb, have ["echo" "run"] (go tool t help help)`, "help", "echo", "run")
	wrong("t help: ehco: no such verb; did you mean echo? (go tool t help help)", "help", "ehco")
	wrong(`t completion: want one of bash, fish, zsh, have ["csh"] (go tool t help completion)`, "completion", "csh")

	check(128+15, "", "t stopped: boot 3: stopped by terminated; the same command continues from there\n", "stopped")
	check(3, "", "", "judge")
	check(127, "", "t absent: prog: not found\n", "absent")
	check(1, "", "t broken: one\n\tof it\nt broken: two\n", "broken")

	// The whole page, and shorter help.
	check(0, `NAME
    t echo - print arguments

SYNOPSIS
    go tool t echo [flags] [OPERAND ...]

DESCRIPTION
    Text.

FLAGS
    -format text
        as text or json (default "text")
    -limit time
        stop after this time (default 1m0s)
    -long
        in full
    -n number
        this number of times (default 1)

MORE
    More of it.
`, "", "help", "echo")
	short := `usage: go tool t judge [flags] [OPERAND ...]

Exit with a verdict.

The manual: go tool t help judge
`
	check(0, short, "", "judge", "-h")
	check(0, short, "", "judge", "a", "--help")
	check(0, short, "", "judge", "-help", "a")
}

// Failing to print help is a failure.
func TestFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"help"}, {"-h"}, {"help", "echo"}, {"echo", "-h"}, {"echo"}, {"completion", "bash"}, {"complete", "--", ""}} {
		var stderr bytes.Buffer
		if status := testTool(t).Run(args, full, &stderr); status != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("t %q > /dev/full: status %d, standard error %q", args, status, &stderr)
		}
	}
}

func TestComplete(t *testing.T) {
	check := func(want string, words ...string) {
		t.Helper()
		var stdout bytes.Buffer
		if status := testTool(t).Run(append([]string{"complete", "--"}, words...), &stdout, io.Discard); status != 0 {
			t.Errorf("complete %q: status %d", words, status)
		}
		var got []string
		for line := range strings.Lines(stdout.String()) {
			word, _, _ := strings.Cut(line, "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("complete %q: %q, want %q", words, got, want)
		}
	}
	check("help completion echo run stopped judge absent broken", "")
	check("echo", "e")
	check("", "x")
	check("bash fish zsh", "completion", "")
	check("completion", "help", "co")
	check("-format -limit -long -n -help", "echo", "-")
	check("--limit --long", "echo", "a", "--l")
	check("text json", "echo", "-format", "")
	check("json", "echo", "--format", "j")
	check("", "echo", "-n", "")
	check("one other", "echo", "-long", "")
	check("other", "echo", "-n", "3", "one", "ot")
	check("", "echo", "--", "-")
	check("-limit", "run", "-lim")
	check("", "run", "prog", "-lim")
}

// A manual's list keeps an item to itself, with its further lines below its
// text, however long they are.
func TestList(t *testing.T) {
	long := strings.Repeat("word ", 15) + "word"
	var b strings.Builder
	section(&b, "Refused", "What is refused:\n\n- one,\n  and more of it\n- "+long+"\n- the last\n\nText.\n\n  as it is\n", false)
	want := "REFUSED\n    What is refused:\n\n    - one, and more of it\n    - " + strings.Repeat("word ", 14) + "word\n      word\n    - the last\n\n    Text.\n\n      as it is\n\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}
