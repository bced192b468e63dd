//go:build !linux

package eventbench_test

// eventbench measures Linux, so there is nothing to build elsewhere. With this
// file the compiler says so, instead of a hundred missing names.
var _ = eventbench_measures_Linux_run_it_there
