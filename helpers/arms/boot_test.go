//go:build linux

package arms

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"
)

// A real kernel is booted, recorded, and judged against its own recording. A
// recording made by another program is refused.
func TestBoot(t *testing.T) {
	need.Asked(t, need.HasQEMU, "a minute of boots")
	dir := t.TempDir()
	static := filepath.Join(dir, "eventbench.static")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-buildvcs=false", "-o", static, module)
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	run := func(args ...string) (status int, stdout, stderr string) {
		cmd := exec.CommandContext(t.Context(), "eventbench", args...)
		cmd.Dir = module // where go tool finds the guest verb
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), errs.String()
	}
	status, stdout, stderr := run("baselines", "-boots", "1", "-bench", "NullGetppid|EventfdSelf", "-count", "1", "-results", dir, "-out", dir, static, "6.12")
	if status != 0 {
		t.Fatalf("record: exit status %d\n%s%s", status, stdout, stderr)
	}
	recorded := filepath.Join(dir, "6.12.txt")
	text := tooltest.MustRead(t, recorded)
	for _, want := range []string{"\nsample: 1\n", "\nbenchtime: 100x\n", "\ncount: 1\n", "\nharness: ", "\nBenchmarkEventfdSelf"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", recorded, want, text)
		}
	}

	// One recorded sample is too few to tell, and the report says how many
	// are needed.
	gate := []string{"gate-kernels", "-max", "5", "-bench", "NullGetppid|EventfdSelf", "-count", "1", "-results", dir, static}
	status, stdout, stderr = run(append(gate, recorded, "6.12")...)
	if status != 3 || !strings.Contains(stdout, "look 1 of at most 1, at 5 samples a side") || !strings.Contains(stderr, "4 boots to go") {
		t.Errorf("against one recorded boot: exit status %d, want 3 after 4 more boots\n%s%s", status, stdout, stderr)
	}
	for key, other := range map[string]string{
		"harness": strings.ReplaceAll(text, "\nharness: ", "\nharness: f"),
		"goarch":  strings.ReplaceAll(text, "\ngoarch: amd64\n", "\ngoarch: arm64\n"),
	} {
		status, _, stderr = run(append(gate, "-seed", "50", mustWrite(t, other), "6.12")...)
		if status != 2 || !strings.Contains(stderr, "results differ in "+key) || strings.Contains(stderr, "boots to go") {
			t.Errorf("against what has another %s: exit status %d, want 2 without a boot\n%s", key, status, stderr)
		}
	}
}

func mustWrite(tb testing.TB, text string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "boots.txt")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		tb.Fatal(err)
	}
	return path
}
