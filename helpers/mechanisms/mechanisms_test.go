package mechanisms

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A mechanism with the common operations is in the sets of these operations.
func TestSets(t *testing.T) {
	old := All
	t.Cleanup(func() { All = old })
	All = []Mechanism{
		{Name: "Uring", Operations: []Operation{create, self.notGated(), trip, throughput, growth("Depth")}},
		{Name: "Signal", Ways: ways[:2], Operations: []Operation{self, trip}},
		{Name: "Alarm", Aside: true, Operations: []Operation{self, expire}},
	}
	check := func(what string, got any, want string) {
		t.Helper()
		text, ok := got.(string)
		if !ok {
			text = strings.Join(got.([]string), " ")
		}
		if text != want {
			t.Errorf("%s: %s\nwant %s", what, text, want)
		}
	}
	check("usual", pattern(func(o Operation) string { return o.Usual }),
		"^Benchmark(UringCreate|UringSelf|SignalSelf|AlarmSelf)$|^Benchmark(UringRoundTrip)$/peer=process|^Benchmark(SignalRoundTrip)$///peer=process")
	check("gate", pattern(func(o Operation) string { return o.Gate }),
		"^Benchmark(UringCreate|SignalSelf|AlarmSelf)$|^Benchmark(UringRoundTrip)$/peer=process/cpus=same|^Benchmark(SignalRoundTrip)$///peer=process/cpus=same")
	check("benchmarks", Benchmarks(), "BenchmarkUringCreate BenchmarkUringSelf BenchmarkUringRoundTrip BenchmarkUringThroughput "+
		"BenchmarkUringDepthGrowth BenchmarkSignalSelf BenchmarkSignalRoundTrip BenchmarkAlarmSelf BenchmarkAlarmExpire")
	check("headline", Headline(), "Create Self RoundTrip Throughput")
	check("asides", Asides(), "Alarm")
	check("families", Families(), "Growth")
	var names []string
	for _, r := range References() {
		names = append(names, r.Name)
	}
	check("references", names, "UringCreate UringSelf SignalSelf/sig=std/via=sigtimedwait SignalSelf/sig=std/via=signalfd AlarmSelf "+
		"UringRoundTrip/peer=thread/cpus=same UringRoundTrip/peer=process/cpus=same "+
		"SignalRoundTrip/sig=std/via=sigtimedwait/peer=thread/cpus=same SignalRoundTrip/sig=std/via=sigtimedwait/peer=process/cpus=same "+
		"SignalRoundTrip/sig=std/via=signalfd/peer=thread/cpus=same SignalRoundTrip/sig=std/via=signalfd/peer=process/cpus=same")
}

// What is gated is in the usual set, and nothing slow is.
func TestGateIsUsual(t *testing.T) {
	for _, m := range All {
		for _, o := range m.Operations {
			if o.Gate != None && o.Usual == None || o.Family != "" && o.Usual != None {
				t.Errorf("%s%s: in the usual set %q, in the gated one %q, family %q", m.Name, o.Name, o.Usual, o.Gate, o.Family)
			}
		}
	}
	for _, set := range []string{Usual, Gate} {
		if _, err := regexp.Compile(set); err != nil {
			t.Error(err)
		}
	}
	if !IsSized("PollGrowth") || IsSized("PollGrow") || IsSized("EventfdSelf") {
		t.Error("IsSized does not tell sizes")
	}
	if Order("Eventfd") != 0 || Order("Nobody") != len(All) || !slices.Contains(Families(), "Loop") {
		t.Errorf("order %d and %d, families %q", Order("Eventfd"), Order("Nobody"), Families())
	}
}

// Signalfd is not Signal and an operation fd….
func TestSplit(t *testing.T) {
	for name, want := range map[string]string{"SignalfdEmpty": "Signalfd Empty", "SignalSelf": "Signal Self", "Harness": "Harness ", "Mine": " Mine"} {
		if m, o := Split(name); m+" "+o != want {
			t.Errorf("%s is %q and %q", name, m, o)
		}
	}
}

func TestLeftOut(t *testing.T) {
	names := strings.Fields(`BenchmarkEventfdSelf BenchmarkEventfdOneWay BenchmarkEventfdThroughputGrowth BenchmarkEventfdWake
		BenchmarkPipeSelf BenchmarkPipeOneWay BenchmarkTimerfdLateness BenchmarkLoopMixed BenchmarkPinTechnique`)
	check := func(bench, want string) {
		t.Helper()
		var matched []string
		for _, name := range names {
			if regexp.MustCompile(bench).MatchString(name) {
				matched = append(matched, name)
			}
		}
		if got := strings.Join(LeftOut(bench, matched), " "); got != strings.Join(strings.Fields(want), " ") {
			t.Errorf("-bench=%s leaves out %q, want %q", bench, got, want)
		}
	}
	check(".", `BenchmarkEventfdOneWay BenchmarkEventfdThroughputGrowth BenchmarkEventfdWake
		BenchmarkPipeOneWay BenchmarkTimerfdLateness BenchmarkLoopMixed BenchmarkPinTechnique`)
	check("Eventfd", "BenchmarkEventfdOneWay BenchmarkEventfdThroughputGrowth BenchmarkEventfdWake")
	check("Growth|Pipe", "BenchmarkPipeOneWay")
	check("OneWay", "")
	check("Loop", "")
	check("^BenchmarkPin", "")
	check("PipeSelf", "")
	check("NoSuch", "")
}
