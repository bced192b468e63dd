package main

import (
	"eventbench/helpers/arms"
	"eventbench/helpers/bisect"
	"eventbench/helpers/ci"
	"eventbench/helpers/cli"
	"eventbench/helpers/columns"
	"eventbench/helpers/fidelity"
	"eventbench/helpers/gate"
	"eventbench/helpers/gvisor"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/kernels"
	"eventbench/helpers/merge"
	"eventbench/helpers/mutants"
	"eventbench/helpers/page"
	"eventbench/helpers/report"
	"eventbench/helpers/rounds"
	"eventbench/helpers/selftest"
	"eventbench/helpers/soak"
	"eventbench/helpers/tests"
)

// start begins the program: it does not return where the tool is what makes a
// sandbox. Nothing of a verb's is set up by then.
func start() {
	if gvisor.IsInside() {
		gvisor.RunInside()
	}
}

var stopContext = interrupt.Context

func verbs() []*cli.Verb {
	return []*cli.Verb{
		{Manual: manual("bench"), New: rounds.New},
		{Manual: manual("summary"), New: report.NewSummary},
		{Manual: manual("headline"), New: report.NewHeadline},
		{Manual: manual("growth"), New: report.NewGrowth},
		{Manual: manual("compare"), New: report.NewCompare},
		{Manual: manual("page"), New: page.New},
		{Manual: manual("kernels"), Resumes: true, New: kernels.New},
		whereVerb(),
		gateVerb(),
		{Manual: manual("gate-kernels"), Resumes: true, Failure: gate.Unreadable.ExitCode(), Values: gateValues, New: arms.NewKernels},
		{Manual: manual("gate-arms"), Resumes: true, Failure: gate.Unreadable.ExitCode(), Values: gateValues, New: arms.NewHost},
		{Manual: manual("baselines"), Resumes: true, Failure: gate.Unreadable.ExitCode(), New: arms.NewBaselines},
		{Manual: manual("selftest"), Resumes: true, New: selftest.New},
		{Manual: manual("behaviours"), Resumes: true, Values: map[string][]string{"format": ci.Names(columns.Formats, false)}, New: columns.New},
		{Manual: manual("mutants"), Resumes: true, New: mutants.New},
		{Manual: manual("bisect"), Resumes: true, New: bisect.New},
		{Manual: manual("merge"), Resumes: true, New: merge.New},
		{Manual: manual("fidelity"), Values: map[string][]string{"kernel": series}, New: fidelity.New},
		{Manual: manual("test"), Raw: true, New: tests.New},
		{Manual: manual("soak"), New: soak.New},
		guestVerb(),
		gvisorVerb(),
		kbuildVerb(),
		seccompVerb(),
	}
}

var gateValues = map[string][]string{"format": formats}
