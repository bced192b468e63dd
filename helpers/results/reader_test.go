package results_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/results"
)

// The forms of go test's output all say the same. They were recorded from a
// real run with benchmarks that failed early, late and in sub-benchmarks, or
// skipped.
func TestGoTest(t *testing.T) {
	for file, skip := range map[string]string{"failing.txt": "", "failing-v.txt": "Skip: x_test.go:7: not here", "failing.json": "Skip: x_test.go:7: not here"} {
		f, err := results.Read(filepath.Join("testdata/gotest", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got, want := f.Names(), []string{"A-2", "Parent/sub=b-2", "NoMatch/q-2", "Tail-2"}; !slices.Equal(got, want) {
			t.Errorf("%s: results of %q, want %q", file, got, want)
		}
		var got []string
		for _, m := range f.Failures {
			got = append(got, m.Name+": "+m.Message)
		}
		want := []string{"FailEarly: x_test.go:4: early: 3 of 5\n    second line", "FailLate: x_test.go:5: late", "Parent/sub=a: x_test.go:6: sub a"}
		if skip != "" {
			want = append(want, skip)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: failures %q, want %q", file, got, want)
		}
	}
	// With -v, a benchmark none of whose sub-benchmarks were selected is
	// only a name.
	f, err := results.Read("testdata/gotest/chosen-v.txt")
	if err != nil || !slices.Equal(f.Names(), []string{"Tail-2"}) {
		t.Errorf("chosen-v.txt: got %+v and error %v, want the results of Tail-2", f, err)
	}
}

// A run that broke off is reported once, with the line where it did.
func TestBrokenOff(t *testing.T) {
	check := func(name, text, want string) {
		t.Helper()
		f, err := results.Parse(strings.NewReader(text), name)
		if err == nil {
			t.Errorf("%s: got results of %q, want error %q", name, f.Names(), want)
		} else if got := err.Error(); !strings.HasPrefix(got, name+":"+want) || strings.Contains(got, "\n") {
			t.Errorf("%s: error\n\t%s\nwant one, which begins\n\t%s:%s", name, got, name, want)
		}
	}
	recorded := func(file, want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata/gotest", file))
		if err != nil {
			t.Fatal(err)
		}
		check(file, string(text), want)
	}
	recorded("panic.txt", `6: this run failed: "panic: lost 3", in BenchmarkZDie-2`)
	recorded("panic-v.txt", `8: this run failed: "panic: lost 3", in BenchmarkZDie`)
	recorded("panic.json", `13: this run failed: "panic: lost 3", in BenchmarkZDie`)
	recorded("exit.txt", `7: this run failed: "exit status 7"`)
	recorded("exit-v.txt", `9: this run failed: "exit status 7", in BenchmarkZDie`)
	recorded("exit.json", `15: this run failed: "exit status 7", in BenchmarkZDie`)
	recorded("kill.txt", `7: this run failed: "signal: killed"`)
	recorded("kill-v.txt", `9: this run failed: "signal: killed", in BenchmarkZDie`)
	recorded("kill.json", `14: this run failed: "signal: killed", in BenchmarkZDie`)
	recorded("cut.txt", `9: BenchmarkZDie-2 has no result: the run was cut off there, and the rest of the line is not its result: "goos: linux"`)
	recorded("cut-between.txt", `6: the output of a process ends before this line and has no PASS`)
	recorded("cut-at-end.txt", `9: BenchmarkZDie-2 has neither a result nor`)

	const a, c = "BenchmarkA-2 1 2 ns/op\n", "BenchmarkC-2 1 2 ns/op\n"
	check("a name alone", a+"BenchmarkB-2\n"+c+"PASS\n", `2: BenchmarkB-2 has neither a result nor a reason for its failure`)
	check("a name and a tab", a+"BenchmarkB-2   \t\n"+c+"PASS\n", `2: BenchmarkB-2 has neither`)
	check("a name before the end", a+"BenchmarkB-2   \t\nPASS\n", `2: BenchmarkB-2 has neither`)
	check("a name at the end", a+"BenchmarkB-2   \t\n", `2: BenchmarkB-2 has neither`)
	check("a name before a process", a+"BenchmarkB\ngoos: linux\n"+a+"PASS\n", `2: BenchmarkB has neither`)
	check("a name below it failed elsewhere", a+"BenchmarkB-2  \t\n--- FAIL: BenchmarkC/x=1\nFAIL\n", `2: BenchmarkB-2 has neither`)
	check("no name", a+"     100\t        27.0 ns/op\n"+c, `2: a result without its benchmark's name`)
	check("something printed between", a+"BenchmarkB-2   \t\nhello\n     100\t        27.0 ns/op\n", `4: a result without its benchmark's name, possibly BenchmarkB-2 on line 2`)
	check("something printed after the name", a+"BenchmarkB-2   \thello\n     100\t        27.0 ns/op\nPASS\n", `2: parsing iteration count`)
	check("FAIL after one that was named", a+"--- FAIL: BenchmarkB\nFAIL\ngoos: linux\n"+a+"FAIL\n", `6: this run failed: "FAIL", and nothing says which`)
	check("a panic after one that was named", a+"--- FAIL: BenchmarkB\npanic: no\n", `3: this run failed: "panic: no"`)
	check("no trailer after a failure", "clock: wall\n"+a+"--- FAIL: BenchmarkB\n    no\n", `4: truncated: neither PASS nor FAIL`)
	check("one of several processes", "goos: linux\n"+a+"PASS\ngoos: linux\n"+a, `5: truncated: neither PASS nor FAIL`)
	check("JSON cut within a line", `{"Action":"output","Package":"p","Output":"BenchmarkA 1 2 ns/op\n"}`+"\n"+`{"Action":"output","Package":"p","Out`, `2: the last line has no end`)
	check("JSON cut within the output", `{"Action":"output","Package":"p","Output":"BenchmarkA 1 2 ns/op\nBenchmarkB"}`+"\n", `1: the last line of the Output has no end`)
	check("JSON broken", `{"Action":"output","Package":"p","Output":"BenchmarkA 1 2 ns/op\n"}`+"\n"+`{"Action":"output",}`+"\n", `2: go test -json: invalid character`)
	check("JSON of packages at once", `{"Action":"output","Package":"p","Output":"BenchmarkA 1 2 ns/op\n"}`+"\n"+`{"Action":"output","Package":"q","Output":"BenchmarkA 1 2 ns/op\n"}`+"\n",
		`2: go test -json: the output of "q" begins before that of "p" has ended`)
}

// A sample in which a process died consists of the output of several processes
// and has the configuration once.
func TestSeveralProcesses(t *testing.T) {
	f := mustParse(t, "clock: wall\nBenchmarkA-2 1 2 ns/op\n--- FAIL: BenchmarkB\n    panic: lost 3\n    goroutine 7 [running]:\n"+
		"BenchmarkC-2 1 2 ns/op\n--- SKIP: BenchmarkD\n    failed in two rounds\nFAIL\n")
	if len(f.Results) != 2 || len(f.Failures) != 2 || f.Failures[0].Message != "panic: lost 3\ngoroutine 7 [running]:" || !f.Failures[1].Skipped {
		t.Errorf("got results of %q and failures %q", f.Names(), f.Failures)
	}
}

// Another format is named, and the advice on how to convert it works.
func TestOtherFormats(t *testing.T) {
	check := func(text, want string) string {
		t.Helper()
		_, err := results.Parse(strings.NewReader(text), "other.json")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %v, want %q", err, want)
		}
		return err.Error()
	}
	const hyperfine = `{
  "results": [
    {
      "command": "sleep 0.01",
      "mean": 0.012,
      "times": [
        0.0125,
        0.0115
      ]
    }
  ]
}`
	check(hyperfine, "this is hyperfine's JSON")
	check(`{"results":[{"command":"a","times":[1]}]}`, "this is hyperfine's JSON")
	check("command,mean,stddev,median,user,system,min,max\nls,1,2,3,4,5,6,7\n", "this is hyperfine's CSV")
	check(`{"context": {"date": "x"}, "benchmarks": []}`+"\n", "Google's benchmark library")
	check("[1, 2]\n", "this looks like JSON")
	check(`{"Action":"start","Package":"p"}`+"\n", "output of go test -json without a benchmark")

	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Skip("no jq to convert hyperfine's JSON with")
	}
	message := check(hyperfine+"\n", "jq -r '")
	file := filepath.Join(t.TempDir(), "h.json")
	if err := os.WriteFile(file, []byte(hyperfine), 0o666); err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(message, "jq -r '")
	program, _, _ = strings.Cut(program, "' FILE")
	out, err := exec.Command(jq, "-r", program, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f := mustParse(t, string(out))
	if got := fmt.Sprint(f.Names(), f.Config()["sample"]); got != "[sleep_0_01 sleep_0_01] [0 1]" {
		t.Errorf("jq makes %s of it", got)
	}
}

// Messages show values as written in the file.
func TestValuesAsWritten(t *testing.T) {
	check := func(line, want string) {
		t.Helper()
		if _, err := results.Parse(strings.NewReader(line+"\n"), "x"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", line, err, want)
		}
	}
	check("BenchmarkX 1 -5 ns/op", "x:1: X: -5 ns/op: no operation costs nothing, or less")
	check("BenchmarkX 1 0.0 ns/op", "x:1: X: 0.0 ns/op: no operation")
	check("BenchmarkX 1 1 ns/op -2.50 p99-latency-us", "x:1: X: -2.50 p99-latency-us: nothing takes less than nothing")
	check("BenchmarkX 1 1 ns/op -1e0 B/op", "x:1: X: -1e0 B/op: nothing takes less")
	check("BenchmarkX 1 1 ns/op +Inf MB/s", "x:1: X: the value of MB/s is +Inf")
}

// The error for files that differ in keys that must agree names all such keys.
func TestAgree(t *testing.T) {
	file := func(config string) *results.File { return mustParse(t, config+"BenchmarkX-2 1 2 ns/op\nPASS\n") }
	plain := file("")
	// A sandbox hides the machine, so the keys of the machine differ with
	// it.
	sandboxed := file("sandbox: gvisor\nvirt: gvisor\nhost-virt: kvm\ncross: unknown\n")
	if err := results.Agree([]*results.File{plain, sandboxed}, []string{"sandbox"}); err != nil {
		t.Errorf("the sandbox may differ: error %v", err)
	}
	if err := results.Agree([]*results.File{plain, sandboxed}, nil); err == nil || strings.Contains(err.Error(), "virt") {
		t.Errorf("the sandbox differs: error %v, want one that names it alone", err)
	}
	for _, key := range results.KeysOf(results.MustAgree) {
		other := file(key + ": another\n")
		if err := results.Agree([]*results.File{plain, other}, nil); err == nil || !strings.HasPrefix(err.Error(), "not comparable: "+key+" is ") {
			t.Errorf("%s differs: error %v", key, err)
		}
		if err := results.Agree([]*results.File{plain, other}, []string{key}); err != nil {
			t.Errorf("%s may differ: error %v", key, err)
		}
	}
	for _, role := range []results.Role{results.MayDiffer, results.Varies, results.Orders, results.Ignored} {
		for _, key := range results.KeysOf(role) {
			if err := results.Agree([]*results.File{plain, file(key + ": another\n")}, nil); err != nil {
				t.Errorf("%s differs: error %v", key, err)
			}
		}
	}
	if err := results.Agree([]*results.File{plain, file("gomaxprocs: 2\nclock: wall\n")}, nil); err != nil {
		t.Errorf("what plain go test says of gomaxprocs and clock: %v", err)
	}
	err := results.Agree([]*results.File{plain, file("cpu: b\nvirt: kvm\n")}, nil)
	if want := "not comparable: cpu is (not said) in in.txt and b in in.txt\n\tvirt is (not said) in in.txt and kvm in in.txt"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
