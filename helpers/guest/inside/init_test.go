package inside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/tooltest"
)

// A parameter that the kernel passes on is one that it does not know.
func TestCheckParams(t *testing.T) {
	args, environ := []string{"nozmt"}, []string{"HOME=/", "TERM=linux", "nozh=off"}
	if err := checkParams([]string{"nohz=off", "nosmt"}, args, environ); err != nil {
		t.Error(err)
	}
	for _, p := range []string{"nozh=off", "nozmt"} {
		if err := checkParams([]string{"nohz=off", p}, args, environ); err == nil || !strings.Contains(err.Error(), "no parameter "+p) {
			t.Errorf("%s: got error %v", p, err)
		}
	}
}

// A sysctl is written to its file, whose path has slashes where its name has dots.
func TestSetSysctls(t *testing.T) {
	root := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(root, "kernel/x"), "")
	tooltest.MustWrite(t, filepath.Join(root, "net/eth0.1/y"), "")
	if err := setSysctls(root, []string{"kernel.x=1", "net/eth0.1/y=a=b"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"kernel/x": "1", "net/eth0.1/y": "a=b"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if err := setSysctls(root, []string{"kernel.z=1"}); err == nil || !strings.Contains(err.Error(), "sysctl kernel.z=1: ") {
		t.Errorf("one that is not there: %v", err)
	}
}
