package behaviour

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Truncated output of gVisor is parsed correctly: passes, failures with their
// reasons, and the row in which the output ends.
func TestReadGvisorOutput(t *testing.T) {
	text, err := os.ReadFile("testdata/gvisor.out")
	if err != nil {
		t.Fatal(err)
	}
	out := ReadOutput(string(text))
	check := func(id, want, said string) {
		t.Helper()
		if o := out.Rows[id]; o.Verdict != want || !strings.HasPrefix(strings.Join(o.Said, "\n"), said) {
			t.Errorf("%s: %q, %q; want %q, %q", id, o.Verdict, o.Said, want, said)
		}
	}
	check("EPL-001", "PASS", "")
	check("EPL-006", "FAIL", "lseek(0, 0) = 0, <nil>; want 0, illegal seek")
	check("TFD-27", "FAIL", "lseek")
	check("TFD-28", "", "")
	check("TFD-29", "", "")
	if out.In != "TFD-28" {
		t.Errorf("the output ends in %q, want TFD-28", out.In)
	}
}

// With only -test.v a row's verdict comes when its test has ended, but its
// failure is known at once.
func TestReadOutput(t *testing.T) {
	const rows = "=== RUN   TestEventfd\n=== RUN   TestEventfd/EFD-01\n=== RUN   TestEventfd/EFD-02\n    eventfd_test.go:7: counter 3,\n        want 5\n" +
		"    behaviour.go:87: EFD-02: statement\n=== RUN   TestEventfd/EFD-03\n    eventfd_test.go:9: looked\n    alone.go:1: absent: no AIO\n" +
		"=== RUN   TestEventfd/EFD-04\n=== RUN   TestEventfd/EFD-04/below\nprinted=== NAME  TestEventfd/EFD-04\n    behaviour.go:226: in part, limit: one CPU\n"
	const ends = "--- FAIL: TestEventfd (0.10s)\n    --- PASS: TestEventfd/EFD-01 (0.00s)\n    --- FAIL: TestEventfd/EFD-02 (0.00s)\n    --- SKIP: TestEventfd/EFD-03 (0.00s)\n" +
		"    --- PASS: TestEventfd/EFD-04 (0.00s)\n        --- PASS: TestEventfd/EFD-04/below (0.00s)\nFAIL\n"
	check := func(text, in string, want map[string]Outcome) {
		t.Helper()
		out := ReadOutput(text)
		if out.Last != "EFD-04" || out.In != in || len(out.Rows) != len(want) {
			t.Errorf("last %q, in %q, %d rows; want EFD-04, %q, %d", out.Last, out.In, len(out.Rows), in, len(want))
		}
		for id, w := range want {
			if o := out.Rows[id]; o.Verdict != w.Verdict || o.Failed != w.Failed || o.Class != w.Class || !slices.Equal(o.Said, w.Said) {
				t.Errorf("%s: %+v, want %+v", id, o, w)
			}
		}
	}
	// The mark is test2json's.
	text := strings.ReplaceAll(rows, "printed===", "printed\x16===")
	broken := []string{"counter 3,", "want 5", "EFD-02: statement"}
	partly := []string{"in part, limit: one CPU"}
	check(text, "EFD-04", map[string]Outcome{
		"EFD-01": {}, "EFD-02": {Failed: true, Said: broken}, "EFD-03": {Said: []string{"looked", "absent: no AIO"}}, "EFD-04": {Said: partly},
	})
	whole := map[string]Outcome{
		"EFD-01": {Verdict: "PASS"}, "EFD-02": {Verdict: "FAIL", Failed: true, Said: broken},
		"EFD-03": {Verdict: "SKIP", Class: "absent", Said: []string{"absent: no AIO"}}, "EFD-04": {Verdict: "PASS", Class: "limit", Said: partly},
	}
	check(text+ends, "", whole)
	// If a row ran several times, a failed run counts.
	check(text+ends+"=== RUN   TestEventfd/EFD-02\n=== RUN   TestEventfd/EFD-04\n--- PASS: TestEventfd/EFD-02 (0.00s)\n--- PASS: TestEventfd/EFD-04 (0.00s)\n", "",
		map[string]Outcome{"EFD-01": whole["EFD-01"], "EFD-02": whole["EFD-02"], "EFD-03": whole["EFD-03"], "EFD-04": {Verdict: "PASS"}})

	// What a subtest complains of, its row complains of.
	below := ReadOutput("=== RUN   TestEpoll/EPL-045\n=== RUN   TestEpoll/EPL-045/inner=level\n    epoll_test.go:7: got 1, want 2\n" +
		"=== NAME  TestEpoll/EPL-045\n    behaviour.go:87: EPL-045: statement\n").Rows["EPL-045"]
	if want := []string{"got 1, want 2", "EPL-045: statement"}; !slices.Equal(below.Said, want) || !below.Failed {
		t.Errorf("a row with subtests: %+v, want it failed with %q", below, want)
	}
}
