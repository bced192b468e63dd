package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"eventbench/helpers/tooltest"
)

// No text in results or in file names reaches the terminal as a control
// sequence.
func TestHostileText(t *testing.T) {
	const evil = "\x1b[31m\u009b2J\x9b1m\u202e\x07\b"
	dir := filepath.Join(t.TempDir(), "dir"+evil)
	file := func(side string, ns int) string {
		name := filepath.Join(dir, side+evil, "round-01.txt")
		tooltest.MustWrite(t, name, fmt.Sprintf("goos: linux%s\nkernel-release: %s%s\ncpu: c%[1]s\npkg: p%[1]s\n"+
			"BenchmarkEventfdSelf%[1]s 10 %[4]d ns/op 7 u%[1]s\nBenchmarkOnly%[2]s%[1]s 1 3 ns/op\nPASS\n", evil, side, evil, ns))
		return filepath.Dir(name)
	}
	old, new := file("old", 10), file("new", 20)
	for _, args := range [][]string{
		{"summary", old}, {"headline", old}, {"growth", old}, {"compare", old, new}, {"compare", "-across", evil, old, new},
		{"compare", old, old}, {"summary", dir + "/none"}, {evil}, {"summary", "-" + evil}, {"headline", "-filter", evil, old},
	} {
		var stdout, stderr bytes.Buffer
		tooltest.Run(t.Context(), verbs(), args, &stdout, &stderr)
		out := stdout.String() + stderr.String()
		if at := strings.IndexFunc(out, func(r rune) bool {
			return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t'
		}); at >= 0 {
			t.Errorf("report %q prints %q: ... %q", args, out[at:at+1], out[max(0, at-40):min(len(out), at+20)])
		}
		if args[0] == "summary" && !strings.Contains(out, `\x1b[31m`) {
			t.Errorf("report %q shows no escapes:\n%s", args, out)
		}
	}
}
