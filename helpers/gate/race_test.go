//go:build race

package gate

// Simulations are arithmetic in one goroutine: the race detector makes them ten
// times slower and has nothing to find.
const fewer = 6
