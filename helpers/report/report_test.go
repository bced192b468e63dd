package report

import (
	"fmt"
	"os"
	"testing"

	"eventbench/helpers/cli"
	"eventbench/helpers/results"
	"eventbench/helpers/tooltest"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/perf/benchfmt"
)

func TestMain(m *testing.M) {
	testscript.Main(m, tooltest.Commands(verbs()...))
}

func verbs() []*cli.Verb {
	return []*cli.Verb{
		{Manual: tooltest.Manual("summary"), New: NewSummary},
		{Manual: tooltest.Manual("headline"), New: NewHeadline},
		{Manual: tooltest.Manual("compare"), New: NewCompare},
		{Manual: tooltest.Manual("growth"), New: NewGrowth},
	}
}

func TestScript(t *testing.T) {
	module, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // do not sleep for a second at exit
			env.Setenv("MODULE", module)              // where go tool finds benchstat
			for _, key := range []string{"HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOFLAGS"} {
				env.Setenv(key, os.Getenv(key))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// status N command... runs the command and wants exit
			// status N.
			"status": tooltest.Status,
		},
	})
}

func TestParseName(t *testing.T) {
	check := func(name string, want subject, wantOK bool) {
		t.Helper()
		if got, ok := parseName(benchfmt.Name(name)); got != want || ok != wantOK {
			t.Errorf("parseName(%q) = %+v, %v, want %+v, %v", name, got, ok, want, wantOK)
		}
	}
	check("EventfdCreate-2", subject{"Eventfd", "", "Create", ""}, true)
	check("EventfdCreate", subject{"Eventfd", "", "Create", ""}, true)
	check("SignalRoundTrip/sig=rt/via=handler/peer=process/cpus=same-2", subject{"Signal", "rt handler", "RoundTrip", "process same"}, true)
	check("EventfdThroughput/mode=semaphore/peer=thread-16", subject{"Eventfd", "semaphore", "Throughput", "thread"}, true)
	check("PipeSelf/small", subject{"Pipe", "small", "Self", ""}, true)
	check("EpollCtl/op=mod-2", subject{"", "mod", "", ""}, false)
	check("Self-2", subject{}, false)
}

func TestLabels(t *testing.T) {
	in := func(arg string, kernels ...string) *input {
		in := &input{arg: arg}
		for _, k := range kernels {
			r := &benchfmt.Result{Name: benchfmt.Name("A")}
			if k != "" {
				r.Config = []benchfmt.Config{{Key: "kernel-release", Value: []byte(k), File: true}}
			}
			in.files = append(in.files, &results.File{Results: []*benchfmt.Result{r}})
		}
		return in
	}
	check := func(want string, inputs ...*input) {
		t.Helper()
		if got := fmt.Sprint(labels(inputs)); got != want {
			t.Errorf("labels = %s, want %s", got, want)
		}
	}
	check("[6.1 6.12]", in("a/x", "6.1", "6.1"), in("b/x", "6.12"))
	check("[old.txt new.txt]", in("old.txt", "6.1"), in("new.txt", "6.1"))
	check("[old.txt new.txt]", in("old.txt", ""), in("new.txt", "6.1"))
	check("[old new]", in("a/x", "6.1"), in("b/x", "6.1"))
	check("[a/x b/x b/y]", in("a/x", "6.1"), in("b/x", "6.1"), in("b/y", "6.1"))
	check("[a=1 b]", in("a=1", "6.1"), in("b", "6.1"))
	check("[6.1]", in("a", "6.1"))
}
