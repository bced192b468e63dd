//go:build linux

package fidelity

import "eventbench/helpers/mechanisms"

// rows are the benchmarks with a namesake in C.
var rows = mechanisms.References()

// most returns the highest acceptable ratio when sides are compared in unit.
//
// Entering the kernel takes no more time from Go than from C. It does take some
// thirty instructions more, because the executor reads its calls from a table.
// Next to what the entry costs a processor they hardly count.
func most(r mechanisms.Row, unit string) float64 {
	if unit == "instrs/op" && r.AtMost == mechanisms.EntryAlone {
		return 1.15
	}
	return r.AtMost
}

func names(rows []mechanisms.Row) []string {
	var s []string
	for _, r := range rows {
		s = append(s, r.Name)
	}
	return s
}
