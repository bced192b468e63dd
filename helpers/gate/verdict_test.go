package gate

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"eventbench/helpers/results"
)

// TestVerdicts gives the gate samples for which the right verdict can be seen.
func TestVerdicts(t *testing.T) {
	const meta = "Unit count better=lower assume=exact\nUnit speed better=higher\nUnit cost better=lower\n"
	texts := func(unit string, values []float64) []string {
		var files []string
		for _, v := range values {
			files = append(files, fmt.Sprintf("%sBenchmarkX 1 %v %s\nBenchmarkGated 1 1 count\n", meta, v, unit))
		}
		return files
	}
	rules := mustThresholds(t, "free 0% gate\n* 5% gate\n")
	// check judges X in the unit, with a threshold of 5 %.
	check := func(unit string, old, new []float64, want Verdict, safe bool, need int, reason string) {
		t.Helper()
		r := mustJudge(t, Options{Thresholds: rules}, texts(unit, old), texts(unit, new))
		for _, c := range r.Comparisons {
			if c.Name != "X" {
				continue
			}
			if c.Verdict != want || c.Safe != safe || c.Need != need || !regexp.MustCompile(reason).MatchString(c.Reason) {
				t.Errorf("%s, old %v, new %v: got\n\t%s, safe %v, need %d: %s\nwant\n\t%s, safe %v, need %d: %s",
					unit, old, new, c.Verdict, c.Safe, c.Need, c.Reason, want, safe, need, reason)
			}
			checkReport(t, r)
		}
	}
	repeat := func(v float64, n int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = v
		}
		return values
	}
	spread := func(center, step float64, n int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = center + step*(float64(i)-float64(n-1)/2)
		}
		return values
	}

	// Exact: numbers.
	check("count", repeat(1163, 8), repeat(1163, 8), NoChange, false, 0, `^identical in all 8\+8 samples$`)
	check("count", repeat(1163, 8), repeat(1164, 8), NoChange, false, 0, `^\+1 count \(\+0.09%\); exact, in 8\+8 samples, and within the threshold of 5%$`)
	check("count", repeat(100, 6), repeat(105, 6), NoChange, false, 0, `^\+5 count \(\+5.00%\); exact`)
	check("count", repeat(100, 6), repeat(106, 6), Regression, false, 0, `^\+6 count \(\+6.00%\), beyond the threshold of 5%; exact, in 6\+6 samples$`)
	check("count", repeat(106, 6), repeat(100, 6), Improvement, false, 0, `^-6 count \(-5.66%\), beyond`)
	check("count", repeat(0, 6), repeat(1, 6), Regression, false, 0, `^\+1 count \(\+∞%\), beyond`)
	check("count", repeat(23.5, 6), repeat(47, 6), Regression, false, 0, `^\+23.5 count \(\+100.00%\)`)
	check("count", repeat(1e12, 6), repeat(1e12+1, 6), NoChange, false, 0, `^\+1 count \(\+0.00%\); exact`)
	check("count", repeat(100, 4), repeat(106, 5), CannotTell, false, 5, `^\+6 count \(\+6.00%\) in 4\+5 samples that agree, too few .*; 5 samples a side would tell$`)
	check("count", repeat(100, 1), repeat(100, 1), CannotTell, false, 5, `too few`)
	// Exact in name only.
	check("count", repeat(1163, 8), append(repeat(1163, 7), 1187), NoChange, false, 0, `^declared exact, but new ranges from 1163 to 1187; judged as a distribution: \+0.00% \[\+0.00%, \+0.00%\], within`)
	check("count", append(repeat(100, 7), 130), repeat(110, 8), Regression, false, 0, `^declared exact, but old ranges from 100 to 130; judged as a distribution: \+10.00% \[\+10.00%, \+10.00%\], beyond the threshold of 5%; p 0.0014, 8\+8 samples$`)

	// Distributions.
	check("cost", spread(100, 1, 8), spread(100.2, 1, 8), NoChange, false, 0, `^\+0.20% \[-2.73%, \+3.22%\], within the threshold of 5%; 8\+8 samples$`)
	check("cost", spread(100, 1, 8), spread(115, 1, 8), Regression, false, 0, `^\+15.0\d% \[\+11.\d\d%, \+18.\d\d%\], beyond the threshold of 5%; p 0.00016, 8\+8 samples$`)
	check("cost", spread(115, 1, 8), spread(100, 1, 8), Improvement, false, 0, `^-13.0\d% \[.*\], beyond the threshold of 5%; p 0.00016, 8\+8 samples$`)
	check("cost", spread(100, 1, 8), spread(105, 1, 8), CannotTell, false, 0, `^\+5.0\d% \[.*\] may be within the threshold of 5% or beyond; 8\+8 samples; more than 1000 samples a side would be needed, so wide is the spread`)
	check("cost", spread(100, 1, 8), spread(108, 1, 8), CannotTell, false, 17, `^\+8.0\d% \[.*\] may be within .*; 17 samples a side would tell$`)
	check("cost", spread(100, 1, 8), spread(93, 1, 8), CannotTell, true, 27, `^-7.00% \[.*\]: no regression beyond 5%, but an improvement or no change; 8\+8 samples; 27 samples a side would tell$`)
	check("cost", spread(100, 1, 3), spread(130, 1, 3), CannotTell, false, 5, `^\+30.\d\d%: 3\+3 samples are too few for an interval; 5 samples a side would tell$`)
	check("cost", []float64{100}, []float64{130}, CannotTell, false, 5, `^\+30.00%: 1\+1 samples are too few for an interval; at least 5 samples a side are needed$`)
	check("speed", spread(100, 1, 8), spread(115, 1, 8), Improvement, false, 0, `^\+15.0\d% `)
	check("speed", spread(115, 1, 8), spread(100, 1, 8), Regression, false, 0, `^-13.0\d% `)
	check("speed", spread(100, 1, 8), spread(107, 1, 8), CannotTell, true, 37, `no regression beyond 5%`)
	check("other", spread(100, 1, 8), spread(100.2, 1, 8), NoChange, false, 0, `within`)
	check("other", spread(100, 1, 8), spread(130, 1, 8), Changed, false, 0, `beyond`)
	check("other", spread(100, 1, 8), spread(70, 1, 8), Changed, false, 0, `beyond`)

	// Ties, and values that have no ratio.
	check("cost", repeat(100, 8), repeat(110, 8), Regression, false, 0, `^\+10.00% \[\+10.00%, \+10.00%\], beyond .*; p 0.00016`)
	check("cost", repeat(0, 8), repeat(0, 8), NoChange, false, 0, `^0 \[0, 0\] cost, within`)
	check("cost", repeat(0, 8), append(repeat(0, 7), 1), NoChange, false, 0, `^0 \[0, 0\] cost, within`)
	check("cost", repeat(0, 8), repeat(2, 8), Regression, false, 0, `^\+2 \[\+2, \+2\] cost, beyond the threshold of 5%; p 0.00016`)
	check("cost", repeat(2, 8), repeat(0, 8), Improvement, false, 0, `^-100.00% \[-100.00%, -100.00%\], beyond`)
	check("cost", repeat(0, 2), repeat(2, 2), CannotTell, false, 5, `^\+2 cost: 2\+2 samples are too few for an interval; at least 5`)
	check("cost", []float64{0, 0, 0, 0, 1, 1, 1, 1}, []float64{0, 0, 0, 1, 1, 1, 1, 1}, CannotTell, false, 0, `^\+0.00% \[\+0.00%, \+200.00%\] may be .*; more than 1000 samples`)
	check("cost", spread(-10, 1, 8), spread(10, 1, 8), Regression, false, 0, `^\+20 \[.*\] cost, beyond`)
	check("cost", []float64{0, 100, 101, 102, 103, 104, 105, 106}, spread(150, 1, 8), Regression, false, 0, `^\+4\d.\d\d% \[.*\], beyond`)

	// A threshold of nothing.
	check("free", repeat(3, 8), repeat(3, 8), NoChange, false, 0, `within the threshold of 0%`)
}

// TestOutcome checks what decides over the whole.
func TestOutcome(t *testing.T) {
	check := func(o Options, new string, want Outcome, code int) {
		t.Helper()
		old := vary(8, "Unit cost better=lower\nUnit lag better=lower\n", "BenchmarkX 1 1$ cost 1$ lag 5 rank")
		r := mustJudge(t, o, old, vary(8, "", new))
		if r.Outcome != want || r.Outcome.ExitCode() != code {
			t.Errorf("new %q: got %s, exit %d, want %s, exit %d", new, r.Outcome, r.Outcome.ExitCode(), want, code)
		}
	}
	o := Options{Thresholds: mustThresholds(t, "lag 5% inform\n")}
	check(o, "BenchmarkX 1 1$ cost 1$ lag 5 rank", Pass, 0)
	check(o, "BenchmarkX 1 1$ cost 9$ lag 9 rank", Pass, 0)
	check(o, "BenchmarkX 1 1$ cost 1$ lag 6 rank", Pass, 0)
	check(o, "BenchmarkX 1 2$ cost 1$ lag 5 rank", Fail, 1)
	check(o, "BenchmarkX 1 12$ cost 1$ lag 5 rank", Fail, 1)
	check(Options{}, "BenchmarkX 1 1$ cost 12$ lag 5 rank", Fail, 1)
	check(Options{Thresholds: mustThresholds(t, "* 0.1% gate\n")}, "BenchmarkX 1 1$ cost 1$ lag 5 rank", Undecided, 3)
	check(Options{Thresholds: mustThresholds(t, "* 0.1% gate\n"), AllowCannotTell: true}, "BenchmarkX 1 1$ cost 1$ lag 5 rank", Pass, 0)
	// A regression counts for more than what cannot be told.
	check(Options{Thresholds: mustThresholds(t, "* 0.1% gate\n")}, "BenchmarkX 1 2$ cost 1$ lag 5 rank", Fail, 1)
}

// percentage is a rule's threshold.
var percentage = regexp.MustCompile(` [0-9.]+%`)

func TestThresholds(t *testing.T) {
	// check parses a file of rules and wants a problem, or none.
	check := func(text, want string) {
		t.Helper()
		var ps results.Problems
		parseThresholds("rules", text, &ps)
		if got := strings.Join(ps.List, "\n"); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%q: got problems %q, want %q", text, got, want)
		}
	}
	check("# comment\n\n  ns/op\t5% gate\r\n", "")
	check(`ns/op 5% gate /cpus:(cross OR free)  note:"two  blanks"`, "")
	check("ns/op 5%\n", `rules:1: want UNIT THRESHOLD ACTION \[FILTER\], have "ns/op 5%"`)
	check("\nns/op 5 gate", `rules:2: threshold "5": want a percentage such as 0.5%`)
	check("ns/op -5% gate", `rules:1: threshold "-5%": .*`)
	check("ns/op NaN% gate", `rules:1: threshold "NaN%": .*`)
	check("ns/op 5% fail", `rules:1: action "fail": want gate, alone or inform`)
	check("ns/op 5% gate (a:b", `rules:1: filter "\(a:b": (?s:.*)`)
	check("ns/op 5% fail\nns/op gate 5%", `rules:1: action.*\nrules:2: threshold.*`)

	// judgedBy returns the rule that judges X's line.
	judgedBy := func(rules, header, line string) (rule string) {
		t.Helper()
		r := mustJudge(t, Options{Thresholds: mustThresholds(t, rules)}, vary(3, header+"BenchmarkGated 1 $ B/op\n", line), vary(3, header+"BenchmarkGated 1 $ B/op\n", line))
		for _, c := range r.Comparisons {
			if c.Name != "Gated" && c.Name != "Gated-2" {
				rule = c.Rule
			}
		}
		return rule
	}
	rule := func(rules, header, line, want string) {
		t.Helper()
		if got := judgedBy(rules, header, line); got != want {
			t.Errorf("rules %q, %q: got rule %q, want %q", rules, header+line, got, want)
		}
	}
	rule("B/op 3% gate", "", "BenchmarkX 1 $ ns/op", "ns/op 5% gate")
	rule("ns/op 3% gate", "", "BenchmarkX 1 $ ns/op", "ns/op 3% gate")
	rule("sec/op 3% gate", "", "BenchmarkX 1 $ ns/op", "sec/op 3% gate")
	rule("ns/op 3% gate clock:instrs\nns/op 4% gate kernel:6.12", "kernel: 6.12\n", "BenchmarkX 1 $ ns/op", "ns/op 4% gate kernel:6.12")
	rule("B/op 9% gate\np*-ns 3% gate", "", "BenchmarkX 1 $ p99-latency-ns", "p*-ns 3% gate")
	// The built-in ones, whatever their thresholds.
	DefaultThresholds = shippedThresholds
	defer func() { DefaultThresholds = testThresholds }()
	builtin := func(header, line, want string) {
		t.Helper()
		got := percentage.ReplaceAllString(judgedBy("B/op 1% gate", header, line), "")
		if got != want {
			t.Errorf("%q: got rule %q, want %q", header+line, got, want)
		}
	}
	builtin("", "BenchmarkEventfdRoundTrip/peer=process/cpus=cross-2 1 $ ns/op", "ns/op inform /cpus:(cross OR free) -virt:none")
	builtin("virt: kvm\n", "BenchmarkEventfdRoundTrip/peer=process/cpus=free-2 1 $ ns/op", "ns/op inform /cpus:(cross OR free) -virt:none")
	builtin("virt: none\n", "BenchmarkEventfdRoundTrip/peer=process/cpus=cross-2 1 $ ns/op", "ns/op alone")
	builtin("virt: kvm\n", "BenchmarkEventfdRoundTrip/peer=process/cpus=same-2 1 $ ns/op", "ns/op alone")
	builtin("virt: kvm\n", "BenchmarkEventfdRoundTrip/peer=process/cpus=same-2 1 $ floor-ns/op", "floor-ns/op gate /peer:/./")
	builtin("virt: kvm\n", "BenchmarkEventfdSelf-2 1 $ floor-ns/op", "floor-ns/op gate")
	builtin("virt: kvm\n", "BenchmarkEventfdRoundTrip/peer=process/cpus=cross-2 1 $ floor-ns/op", "floor-ns/op inform /cpus:(cross OR free) -virt:none")
	builtin("", "BenchmarkEventfdSelf 1 $ instrs/op", "instrs/op gate")
	builtin("", "BenchmarkEventfdSelf 1 $ mean-instrs/op", "mean-instrs/op gate")
	builtin("", "BenchmarkEventfdRoundTrip/peer=thread/cpus=same 1 $ instrs/op", "instrs/op gate")
	builtin("", "BenchmarkEventfdRoundTrip/peer=thread/cpus=cross 1 $ mean-instrs/op", "mean-instrs/op gate /cpus:(cross OR free)")
	builtin("", "BenchmarkX 1 $ p50-latency-instrs", "*-latency-instrs inform")
	builtin("", "BenchmarkX 1 $ p99.9-latency-ns", "*-latency-* inform")
	builtin("", "BenchmarkX 1 $ MB/s", "*/s alone")
	builtin("", "BenchmarkX 1 $ delivered/op", "delivered/op inform")
	builtin("", "BenchmarkX 1 $ sent/op", "* gate")
}
