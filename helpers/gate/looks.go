package gate

import (
	"fmt"
	"math"
)

// A Look is a verdict on the samples there are, after which more may be
// measured or not.
type Look struct {
	N     int     // samples a side
	Alpha float64 // the probability of a false alarm that this look may take
}

// How many samples a side there are at the first look, and at the last unless a
// user wants more.
const (
	// FirstBoots are the fewest of which an exact count is taken at its
	// word, and that can be significant with the first look's alpha.
	FirstBoots = 5
	MostBoots  = 18
	// FirstRounds are the fewest that are compared pair by pair with the
	// first look's alpha.
	FirstRounds = 11
	// MostRounds are many, for processes are short: on a shared machine
	// most of what moves a figure lasts for seconds, so that old and new
	// must follow each other sooner.
	MostRounds = 89
)

const (
	// growth is by how much more there is to look at than at the look
	// before: half as much again. Looking at every sample would cost more
	// in alpha than it saves in samples.
	growth = 1.5
	// share is what each look takes of the alpha that those before it have
	// left.
	share = 0.6
)

// Looks returns the looks at first samples a side and more, up to at most
// limit, that together take no more than alpha.
//
// When nothing has changed, the probability that any look gives a false alarm
// is at most the sum of the looks' alphas, whatever the looks have in common
// (Bonferroni's inequality), and the alphas of all looks there could ever be
// add up to alpha. That holds for tests of any kind and size, where the usual
// boundaries of group-sequential trials suppose normal distributions. Neither
// the sizes nor the alphas depend on the limit, so that it may be raised after
// it was reached.
func Looks(first, limit int, alpha float64) ([]Look, error) {
	var looks []Look
	left := alpha
	for n := first; n <= limit; n = int(math.Ceil(growth * float64(n))) {
		looks = append(looks, Look{n, share * left})
		left -= share * left
	}
	if looks == nil {
		return nil, fmt.Errorf("want at least %d a side, the number at which the gate looks first", first)
	}
	return looks, nil
}
