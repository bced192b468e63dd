//go:build linux

package main

import (
	"fmt"
	"math"
)

// A look is a verdict on the samples there are, after which more may be
// measured or not.
type look struct {
	n     int     // samples a side
	alpha float64 // the probability of a false alarm that this look may take
}

const (
	// growth is by how much more there is to look at than at the look before:
	// half as much again. Looking at every sample would cost more in alpha than
	// it saves in samples.
	growth = 1.5
	// share is what each look takes of the alpha that those before it have left.
	share = 0.6
)

// schedule returns the looks at first samples a side and more, up to at most
// limit, that together take no more than alpha.
//
// When nothing has changed, the probability that any look gives a false alarm
// is at most the sum of the looks' alphas, whatever the looks have in common
// (Bonferroni's inequality), and the alphas of all looks there could ever be
// add up to alpha. That holds for tests of any kind and size, where the usual
// boundaries of group-sequential trials suppose normal distributions. Neither
// the sizes nor the alphas depend on the limit, so that it may be raised after
// it was reached.
func schedule(first, limit int, alpha float64) ([]look, error) {
	var looks []look
	left := alpha
	for n := first; n <= limit; n = int(math.Ceil(growth * float64(n))) {
		looks = append(looks, look{n, share * left})
		left -= share * left
	}
	if looks == nil {
		return nil, fmt.Errorf("-max %d: want at least %d a side, the number at which the gate looks first", limit, first)
	}
	return looks, nil
}
