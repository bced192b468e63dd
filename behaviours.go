// Package eventbench measures what it costs Linux to tell a program that
// something happened. Its benchmarks, and the programs that they come from, are
// its tests; package behaviours has what kernels promise.
package eventbench

import "embed"

// Behaviours has testdata/behaviours. Those who need it where there is no
// source, in a guest, bring it with them.
//
//go:embed testdata/behaviours
var Behaviours embed.FS
