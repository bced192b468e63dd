//go:build !race

package gate

// fewer divides the number of trials.
const fewer = 1
