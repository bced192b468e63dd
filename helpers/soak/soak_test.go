//go:build linux

package soak

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/tooltest"
)

// The output of a test binary is counted by its innermost benchmarks.
func TestReader(t *testing.T) {
	const out = `goos: linux
Unit instrs/op better=lower
BenchmarkNull
BenchmarkNull-2   	  433675	       380.6 ns/op
BenchmarkWay
BenchmarkWay/peer=thread
    oneway.go:82: one CPU is allowed
--- SKIP: BenchmarkWay/peer=thread
BenchmarkWay/peer=process
    oneway.go:82: nothing came for 10s
        and more
--- FAIL: BenchmarkWay/peer=process-2
BenchmarkWay/peer=other
BenchmarkWay/peer=other-2         	     500	     23434 ns/op	   1278548 max-latency-ns
--- FAIL: BenchmarkWay
FAIL
`
	for _, piece := range []int{1, 7, len(out)} {
		var r reader
		for rest := out; rest != ""; {
			n := min(piece, len(rest))
			if _, err := r.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		failures := r.failures()
		if r.runs != 2 || r.skipped != 1 || len(failures) != 1 || r.longest == 0 {
			t.Fatalf("%d runs, %d skipped, longest %v, failures %q, want 2, 1, more than 0 and one", r.runs, r.skipped, r.longest, failures)
		}
		want := failure{"BenchmarkWay/peer=process", "    oneway.go:82: nothing came for 10s\n        and more\n"}
		if failures[0] != want {
			t.Errorf("failure %q, want %q", failures[0], want)
		}
	}
}

// binary writes a stand-in for a test binary, which prints what it is told to.
func binary(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "eventbench.test")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return tooltest.Verb(ctx, &cli.Verb{Manual: tooltest.Manual("soak"), New: New}, args, stdout, stderr)
}

func TestCommand(t *testing.T) {
	check := func(name string, want int, script string, says ...string) {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			got := command(t.Context(), []string{"-time=1ns", "-seed=7", "-limit=2s", binary(t, script)}, &stdout, &stderr)
			text := stdout.String() + stderr.String()
			if got != want {
				t.Errorf("exit status %d, want %d:\n%s", got, want, text)
			}
			for _, s := range says {
				if !strings.Contains(text, s) {
					t.Errorf("it does not say %q:\n%s", s, text)
				}
			}
		})
	}
	check("clean", 0, "echo BenchmarkA; echo BenchmarkA-2  1  2 ns/op; echo PASS",
		"benchmark runs: 1 in 1 rounds", "failed:         0", "longest:", "BenchmarkA")
	check("a failure", 1, "echo BenchmarkA; echo '    a.go:1: why'; echo '--- FAIL: BenchmarkA'; exit 1",
		"BenchmarkA failed alone:\n    a.go:1: why\n", "-test.shuffle=7", "benchmark runs: 1 in 1 rounds", "failed:         1")
	check("a death", 1, "echo BenchmarkA; echo boom >&2; kill -9 $$", "BenchmarkA failed alone:\n    signal: killed\n    boom\n")
	check("a hang", 1, "echo BenchmarkA; exec sleep 60", "BenchmarkA failed alone:\n    printed nothing for 2s and was stopped\n")
	check("nothing", 2, "echo PASS", "-bench .: no benchmark of ")
	var stdout, stderr strings.Builder
	for args, want := range map[string]string{
		"":              "want one argument",
		"-time=0s x":    "-time=0s",
		"-busy=-1 x":    "-busy=-1",
		"-limit=-1s x":  "-limit=-1s",
		"-bench=( x":    `-bench "(": error parsing regexp`,
		"-nosuch x":     "nosuch",
		"-benchtime= x": "no such file",
	} {
		stderr.Reset()
		if got := command(t.Context(), strings.Fields(args), &stdout, &stderr); got == 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("soak %s: exit status %d and %q, want %q", args, got, stderr.String(), want)
		}
	}
}

// Ctrl-C ends the round and its busy processes, and prints the counts so far.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	name := binary(t, "echo BenchmarkA; echo BenchmarkA-2  1  2 ns/op; echo BenchmarkB; exec sleep 60")
	time.AfterFunc(500*time.Millisecond, func() { cancel(interrupt.Error{Signal: syscall.SIGINT}) })
	var stdout, stderr strings.Builder
	start := time.Now()
	got := command(ctx, []string{"-seed=7", name}, &stdout, &stderr)
	if want := 128 + int(syscall.SIGINT); got != want || !strings.Contains(stdout.String(), "benchmark runs: 1 in 1 rounds") {
		t.Errorf("exit status %d, want %d, and the counts:\n%s%s", got, want, stdout.String(), stderr.String())
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if out, err := exec.Command("pgrep", "-P", fmt.Sprint(os.Getpid())).Output(); err == nil {
		t.Errorf("children are left: %s", out)
	}
}
