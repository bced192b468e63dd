package main

import (
	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/mutants"
	"eventbench/helpers/selftest"
	"eventbench/helpers/soak"
)

// start begins the program: it does not return where the tool is a guest's
// init. Nothing of a verb's is set up by then.
func start() {
	if guest.IsInit() {
		guest.RunInit()
	}
}

var stopContext = interrupt.Context

func verbs() []*cli.Verb {
	return []*cli.Verb{
		gateVerb(),
		{Manual: manual("selftest"), Resumes: true, New: selftest.New},
		{Manual: manual("soak"), New: soak.New},
		{Manual: manual("mutants"), Resumes: true, New: mutants.New},
		guestVerb(),
		kbuildVerb(),
		seccompVerb(),
	}
}
