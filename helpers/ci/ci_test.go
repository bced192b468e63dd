//go:build linux

package ci

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"eventbench/helpers/need"
)

// sample has a finding of each status, with names that each format must escape.
func sample() *Run {
	figure := func(v float64) *Figure { return &Figure{Value: v, Low: v - 1, High: v + 2, N: 5} }
	unbounded := func(v float64) *Figure { return &Figure{Value: v, Low: math.Inf(-1), High: math.Inf(1), N: 5} }
	return &Run{
		Status: Failed, Outcome: "regression", Summary: "regression: of 5 gated comparisons 1 regression",
		Suites: []*Suite{{
			Name: "gate", Tested: "bzImage", Settings: map[string]string{"qemu": "10.0.2", "cpu": `a "<CPU>"`},
			Findings: []*Finding{
				{Name: "EventfdRoundTrip/peer=process/cpus=same", Unit: "instrs/op", Better: "lower", Old: figure(1596), New: figure(1674), Ratio: figure(1.05),
					Change: "+78 instrs/op (+4.89%)", Threshold: 0.01, Gates: true, Status: Failed, Verdict: "regression", Worth: true,
					Reason: "+78 instrs/op (+4.89%), beyond the threshold of 1%: exact", More: []string{"where: most in vfs_write +60"},
					Reproduce: "go tool eventbench gate -explain 'X' a b\n"},
				{Name: "Broken", Gates: true, Status: Failed, Verdict: "fails", Worth: true, Reason: "in 5 of 5 samples of new: 5 sent, 4 received <&> ::error::100% #1"},
				{Name: "FutexSelf", Unit: "instrs/op", Better: "lower", Old: unbounded(437), New: unbounded(460), Ratio: unbounded(1.05), Gates: true, Status: Unknown,
					Verdict: "cannot tell", Worth: true, Reason: "too few to know", Reproduce: "go tool eventbench gate -explain FutexSelf a b\n"},
				{Name: "TimerfdSelf", Unit: "instrs/op", Better: "lower", Old: figure(5661), New: figure(5697), Ratio: figure(1.006), Gates: true, Status: Passed,
					Verdict: "within threshold", Worth: true, Reason: "+36 instrs/op (+0.64%); exact, and within the threshold of 1%"},
				{Name: "NullSelf", Unit: "ns/op", Better: "lower", Old: figure(192), New: figure(192), Ratio: figure(1), Gates: true, Status: Passed, Verdict: "no change", Reason: "identical"},
				{Name: "PipeThroughput", Unit: "delivered/op", Better: "higher", Old: figure(9), New: figure(9.25), Ratio: figure(1), Status: Informs, Verdict: "no change", Reason: "the same"},
				{Name: "EFD-001", Status: Skipped, Verdict: "skip privilege", Reason: "wants root"},
			},
		}},
	}
}

func write(t *testing.T, r *Run, format string) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b, format); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

// noVerdict is what is written where there is no report.
func noVerdict() *Run { return NoVerdict("bad input", "old.txt:3: <cut> off", "100% of it") }

// GitHub's runner reads each line as a command, and decodes its title and text.
func TestGitHub(t *testing.T) {
	decode := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	line := regexp.MustCompile(`^::(error|warning|notice) title=([^:,]*)::(.*)$`)
	check := func(r *Run, want ...[3]string) {
		t.Helper()
		var got [][3]string
		for l := range strings.Lines(write(t, r, "github")) {
			m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
			if m == nil {
				t.Fatalf("no command: %q", l)
			}
			got = append(got, [3]string{m[1], decode.Replace(m[2]), decode.Replace(m[3])})
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	}
	r := sample()
	f := r.Suites[0].Findings
	check(r,
		[3]string{"error", "regression: EventfdRoundTrip/peer=process/cpus=same", f[0].says()},
		[3]string{"error", "fails: Broken", f[1].says()},
		[3]string{"warning", "cannot tell: FutexSelf", f[2].says()},
		[3]string{"notice", "within threshold: TimerfdSelf", f[3].says()})
	check(noVerdict(), [3]string{"error", "eventbench: bad input", "old.txt:3: <cut> off\n100% of it"})

	// GitHub shows ten of a kind: the last says how many more there are.
	r.Suites[0].Findings = slices.Repeat(f[:1], 25)
	if text := write(t, r, "github"); strings.Count(text, "\n") != 10 || !strings.HasSuffix(text, "::error title=16 more::16 more like these: see the report\n") {
		t.Errorf("25 regressions: got\n%s", text)
	}
}

// JUnit's XML fits its schema, and a parser of others' finds each result.
func TestJUnit(t *testing.T) {
	for _, r := range []*Run{sample(), noVerdict()} {
		if err := xml.Unmarshal([]byte(write(t, r, "junit")), new(struct{})); err != nil {
			t.Fatal(err)
		}
	}
	if need.Has(t, need.HasXMLLint) {
		for _, r := range []*Run{sample(), noVerdict()} {
			path := save(t, write(t, r, "junit"))
			if out, err := exec.CommandContext(t.Context(), "xmllint", "--noout", "--schema", "testdata/junit.xsd", path).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
	}
	need.Need(t, need.HasJUnit)
	check := func(r *Run, want string) {
		t.Helper()
		got := python(t, `
import sys, junitparser
for suite in junitparser.JUnitXml.fromfile(sys.argv[1]):
    print(suite.name, suite.tests, suite.failures, suite.errors, suite.skipped)
    for case in suite:
        print(case.name, [(type(r).__name__, r.message) for r in case.result])
`, save(t, write(t, r, "junit")))
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	check(sample(), `gate 7 2 1 2
EventfdRoundTrip/peer=process/cpus=same instrs/op [('Failure', '+78 instrs/op (+4.89%), beyond the threshold of 1%: exact')]
Broken [('Failure', 'in 5 of 5 samples of new: 5 sent, 4 received <&> ::error::100% #1')]
FutexSelf instrs/op [('Error', 'too few to know')]
TimerfdSelf instrs/op []
NullSelf ns/op []
PipeThroughput delivered/op [('Skipped', 'no change: the same')]
EFD-001 [('Skipped', 'skip privilege: wants root')]
`)
	check(noVerdict(), "eventbench 1 0 1 0\nverdict [('Error', 'old.txt:3: <cut> off')]\n")
}

// The kernel's own parser reads KTAP.
func TestKTAP(t *testing.T) {
	need.Need(t, need.HasKUnit)
	check := func(r *Run, want string) {
		t.Helper()
		got := python(t, `
import sys
sys.path.insert(0, sys.argv[2])
import kunit_parser
from kunit_printer import stdout
stdout._output = open('/dev/null', 'w')
def show(test, indent=''):
    for error in getattr(test, 'errors', []):
        print(indent + 'ERROR ' + error)
    for sub in test.subtests:
        print(indent + sub.name, sub.status.name, *(line.strip() for line in sub.log))
        show(sub, indent + '  ')
show(kunit_parser.parse_run_tests(open(sys.argv[1])))
`, save(t, write(t, r, "ktap")), need.KUnit())
		if got != want {
			t.Errorf("got\n%s\nwant\n%s\nof\n%s", got, want, write(t, r, "ktap"))
		}
	}
	check(sample(), `gate FAILURE
  EventfdRoundTrip/peer=process/cpus=same instrs/op FAILURE # regression: EventfdRoundTrip/peer=process/cpus=same instrs/op: +78 instrs/op (+4.89%), beyond the threshold of 1%: exact # where: most in vfs_write +60 # To reproduce: # go tool eventbench gate -explain 'X' a b
  Broken FAILURE # fails: Broken: in 5 of 5 samples of new: 5 sent, 4 received <&> ::error::100% #1
  FutexSelf instrs/op FAILURE # cannot tell: FutexSelf instrs/op: too few to know # To look closer: # go tool eventbench gate -explain FutexSelf a b
  TimerfdSelf instrs/op SUCCESS # within threshold: TimerfdSelf instrs/op: +36 instrs/op (+0.64%); exact, and within the threshold of 1%
  NullSelf ns/op SUCCESS
  PipeThroughput delivered/op SKIPPED
  EFD-001 SKIPPED
`)
	check(noVerdict(), "eventbench FAILURE # old.txt:3: <cut> off # 100% of it\n")
}

// KCIDB takes the tests: their paths, numbers and statuses.
func TestKCIDB(t *testing.T) {
	type test struct {
		Path, Status string
		Number       *struct{ Value float64 }
		ID           string
		Build        string `json:"build_id"`
		Origin       string
	}
	check := func(r *Run, build string, want ...string) {
		t.Helper()
		r.build = build
		text := write(t, r, "kcidb")
		checkSchema(t, "kcidb", text)
		var doc struct{ Tests []test }
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		var got []string
		ids := make(map[string]bool)
		for _, test := range doc.Tests {
			number := "-"
			if test.Number != nil {
				number = fmt.Sprint(test.Number.Value)
			}
			got = append(got, fmt.Sprintln(test.Path, test.Status, number))
			if origin, _, _ := strings.Cut(test.Build, ":"); origin != test.Origin || !strings.HasPrefix(test.ID, origin+":") || ids[test.ID] || build != "" && test.Build != build {
				t.Errorf("build %s, origin %s, id %s", test.Build, test.Origin, test.ID)
			}
			ids[test.ID] = true
		}
		if g, w := strings.Join(got, ""), strings.Join(want, "\n")+"\n"; g != w {
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
	}
	want := []string{
		"eventbench FAIL -",
		"eventbench.EventfdRoundTrip.peer-process.cpus-same.instrs-op FAIL 1674",
		"eventbench.Broken FAIL -",
		"eventbench.FutexSelf.instrs-op ERROR 460",
		"eventbench.TimerfdSelf.instrs-op PASS 5697",
		"eventbench.NullSelf.ns-op PASS 192",
		"eventbench.PipeThroughput.delivered-op DONE 9.25",
		"eventbench.EFD-001 SKIP -",
	}
	check(sample(), "", want...)
	check(sample(), "maestro:68b0", want...)
	check(noVerdict(), "maestro:68b0", "eventbench MISS -")
}

// A LAVA dispatcher reads each signal: it splits parameters at blanks, and wants
// one = in each, a result that it knows and a decimal measurement.
func TestLAVA(t *testing.T) {
	signal := regexp.MustCompile(`^<LAVA_SIGNAL_(\S+) ([^>]+)>$`)
	check := func(r *Run, want string) {
		t.Helper()
		var got strings.Builder
		for l := range strings.Lines(write(t, r, "lava")) {
			m := signal.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
			if m == nil {
				t.Fatalf("no signal: %q", l)
			}
			if m[1] == "TESTSET" {
				fmt.Fprintln(&got, m[2])
				continue
			}
			values := make(map[string]string)
			for _, param := range strings.Split(m[2], " ") {
				parts := strings.Split(param, "=")
				if len(parts) != 2 {
					t.Fatalf("%q: malformed parameter %q", l, param)
				}
				values[strings.ToLower(parts[0])] = parts[1]
			}
			if v, ok := values["measurement"]; ok {
				if _, err := strconv.ParseFloat(v, 64); err != nil {
					t.Error(err)
				}
			}
			fmt.Fprintln(&got, m[1], values["test_case_id"], values["result"], values["measurement"], values["units"])
		}
		if got.String() != want {
			t.Errorf("got\n%s\nwant\n%s", got.String(), want)
		}
	}
	check(sample(), `START gate
TESTCASE EventfdRoundTrip.peer-process.cpus-same.instrs-op fail 1674 instrs/op
TESTCASE Broken fail  
TESTCASE FutexSelf.instrs-op unknown 460 instrs/op
TESTCASE TimerfdSelf.instrs-op pass 5697 instrs/op
TESTCASE NullSelf.ns-op pass 192 ns/op
TESTCASE PipeThroughput.delivered-op skip 9.25 delivered/op
TESTCASE EFD-001 skip  
STOP
`)
	check(noVerdict(), "TESTCASE eventbench unknown  \n")
}

// Bencher and github-action-benchmark take the new figures, and nothing where
// there are none.
func TestFigures(t *testing.T) {
	bound := func(v float64) bencherMetric {
		low, high := v-1, v+2
		return bencherMetric{v, &low, &high}
	}
	check := func(format string, r *Run, got, want any) {
		t.Helper()
		text := write(t, r, format)
		checkSchema(t, format, text)
		if err := json.Unmarshal([]byte(text), got); err != nil {
			t.Fatal(err)
		}
		if got := reflect.ValueOf(got).Elem().Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", format, got, want)
		}
	}
	check("bencher", sample(), new(map[string]map[string]bencherMetric), map[string]map[string]bencherMetric{
		"EventfdRoundTrip/peer=process/cpus=same": {"instrs/op": bound(1674)},
		"FutexSelf":      {"instrs/op": {Value: 460}},
		"TimerfdSelf":    {"instrs/op": bound(5697)},
		"NullSelf":       {"latency": bound(192)},
		"PipeThroughput": {"delivered/op": bound(9.25)},
	})
	check("bencher", noVerdict(), new(map[string]map[string]bencherMetric), map[string]map[string]bencherMetric{})
	check("github-action-benchmark", sample(), new([]actionResult), []actionResult{
		{"EventfdRoundTrip/peer=process/cpus=same instrs/op", "instrs/op", 1674, "± 2", "regression: +78 instrs/op (+4.89%), beyond the threshold of 1%: exact"},
		{"FutexSelf instrs/op", "instrs/op", 460, "", "cannot tell: too few to know"},
		{"TimerfdSelf instrs/op", "instrs/op", 5697, "± 2", "within threshold: +36 instrs/op (+0.64%); exact, and within the threshold of 1%"},
		{"NullSelf ns/op", "ns/op", 192, "± 2", "no change: identical"},
	})
	check("github-action-benchmark", noVerdict(), new([]actionResult), []actionResult{})
}

// CSV has a line for each finding and as many cells in each.
func TestCSV(t *testing.T) {
	check := func(r *Run, want ...string) {
		t.Helper()
		rows, err := csv.NewReader(strings.NewReader(write(t, r, "csv"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		at := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
		var got []string
		for _, row := range rows[1:] {
			got = append(got, fmt.Sprint(at(row, "name"), ",", at(row, "status"), ",", at(row, "new"), ",", at(row, "new_high"), ",", at(row, "ratio"), ",", at(row, "gates")))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	}
	check(sample(), "EventfdRoundTrip/peer=process/cpus=same,fail,1674,1676,1.05,true", "Broken,fail,,,,", "FutexSelf,unknown,460,,1.05,true",
		"TimerfdSelf,pass,5697,5699,1.006,true", "NullSelf,pass,192,194,1,true", "PipeThroughput,informs,9.25,11.25,1,false", "EFD-001,skip,,,,")
	check(noVerdict(), ",no verdict,,,,", ",no verdict,,,,")
}

// A schema refuses what its reader would: without that, the tests above would
// pass whatever is written.
func TestSchemasRefuse(t *testing.T) {
	need.Need(t, need.HasJSONSchema)
	check := func(format, from, to, want string) {
		t.Helper()
		text := write(t, sample(), format)
		changed := strings.Replace(text, from, to, 1)
		if changed == text {
			t.Fatalf("%s: no %q in\n%s", format, from, text)
		}
		if got := refused(t, format, changed); !strings.HasPrefix(got, want) {
			t.Errorf("%s with %s: got %q, want %q", format, to, got, want)
		}
	}
	check("kcidb", `"major": 5`, `"major": 6`, "5 was expected")
	check("kcidb", `"FAIL"`, `"REGRESSION"`, "'REGRESSION' is not one of")
	check("kcidb", "eventbench.Broken", "eventbench/Broken", "'eventbench/Broken' does not match")
	check("kcidb", `"value": 1674`, `"value": "1674"`, "'1674' is not of type 'number'")
	check("kcidb", `"build_id"`, `"build"`, "Additional properties are not allowed ('build' was unexpected)")
	check("bencher", `"value"`, `"values"`, "Additional properties are not allowed ('values' was unexpected)")
	check("github-action-benchmark", `"unit": "instrs/op"`, `"unit": 1`, "1 is not of type 'string'")
}

// checkSchema checks a document against testdata/FORMAT.schema.json.
func checkSchema(t *testing.T, format, text string) {
	t.Helper()
	if need.Has(t, need.HasJSONSchema) {
		if why := refused(t, format, text); why != "" {
			t.Errorf("%s: %s\n%s", format, why, text)
		}
	}
}

// refused returns why a document does not fit its schema, or "".
func refused(t *testing.T, format, text string) string {
	t.Helper()
	return python(t, `
import json, sys, jsonschema
schema = json.load(open(sys.argv[2]))
jsonschema.Draft7Validator.check_schema(schema)
for error in jsonschema.Draft7Validator(schema).iter_errors(json.load(open(sys.argv[1]))):
    print(error.message)
`, save(t, text), filepath.Join("testdata", format+".schema.json"))
}

// python returns what a script prints.
func python(t *testing.T, script string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.Python, append([]string{"-c", script}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return string(out)
}

func save(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
