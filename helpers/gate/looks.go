package gate

import (
	"fmt"
	"math"
)

// A Look is a verdict on the samples so far. More may be measured after it.
type Look struct {
	N     int     // samples a side
	Alpha float64 // the probability of a false alarm that this look may take
}

// How many samples a side there are at the first look, and at the last unless a
// user wants more.
const (
	// FirstBoots is the smallest number at which an exact count is accepted
	// as exact, and at which the first look's alpha can be significant.
	FirstBoots = 5
	MostBoots  = 18
	// FirstRounds is the smallest number that is compared pair by pair with
	// the first look's alpha.
	FirstRounds = 11
	// MostRounds is large because processes are short. On a shared machine
	// most disturbances last for seconds, so old and new must alternate
	// quickly.
	MostRounds = 89
)

const (
	// growth is the factor by which the samples grow between looks. Looking
	// at every sample would cost more alpha than it saves samples.
	growth = 1.5
	// share is the part that each look takes of the alpha left by those
	// before it.
	share = 0.6
)

// Looks returns the looks from first samples a side up to at most limit.
// Together they take no more than alpha.
//
// If nothing has changed, the probability that any look raises a false alarm is
// at most the sum of the looks' alphas, however the looks depend on each other
// (Bonferroni's inequality). The alphas of all possible looks add up to alpha.
// This holds for tests of any kind and size, while the usual boundaries of
// group-sequential trials assume normal distributions. Neither the sizes nor
// the alphas depend on the limit, so the limit can be raised after it was
// reached.
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
