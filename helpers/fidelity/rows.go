//go:build linux

package fidelity

import "eventbench/helpers/mechanisms"

// rows are the benchmarks with a namesake in C.
var rows = mechanisms.References()

// most returns the highest acceptable ratio when sides are compared in unit.
//
// The executor reads its calls from a table, which takes some thirty instructions
// more than C does. Next to what entering the kernel costs a processor they hardly
// count.
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
