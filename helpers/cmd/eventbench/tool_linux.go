package main

import (
	"eventbench/helpers/cli"
	"eventbench/helpers/fidelity"
	"eventbench/helpers/guest"
	"eventbench/helpers/gvisor"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/mutants"
	"eventbench/helpers/selftest"
	"eventbench/helpers/soak"
	"eventbench/helpers/tests"
	"eventbench/helpers/where"
)

// start begins the program: it does not return where the tool is a guest's
// init, or what makes a sandbox. Nothing of a verb's is set up by then.
func start() {
	if guest.IsInit() {
		guest.RunInit()
	}
	if gvisor.IsInside() {
		gvisor.RunInside()
	}
	if where.IsGuestProgram() {
		where.RunGuestProgram()
	}
}

var stopContext = interrupt.Context

func verbs() []*cli.Verb {
	return []*cli.Verb{
		gateVerb(),
		{Manual: manual("fidelity"), New: fidelity.New},
		{Manual: manual("selftest"), Resumes: true, New: selftest.New},
		{Manual: manual("test"), Raw: true, New: tests.New},
		{Manual: manual("soak"), New: soak.New},
		{Manual: manual("mutants"), Resumes: true, New: mutants.New},
		guestVerb(),
		gvisorVerb(),
		kbuildVerb(),
		seccompVerb(),
		whereVerb(),
	}
}
