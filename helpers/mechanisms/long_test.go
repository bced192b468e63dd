package mechanisms

import (
	"regexp"
	"strings"
	"testing"
)

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
