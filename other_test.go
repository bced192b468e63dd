//go:build !linux

package eventbench_test

// eventbench measures Linux, so there is nothing to build elsewhere. That the
// compiler says so, and not that it misses a hundred names, is this file's use.
var _ = eventbench_measures_Linux_run_it_there
