package gate

import (
	"math"
	"slices"
	"sync"
)

// This file holds the statistics of one comparison: two rank tests and the
// intervals that invert them. It knows nothing of what is measured.
//
// benchmath.AssumeNothing.Compare does not fit. With ties and samples of
// unequal size its p is wrong: old 2 3 3 3 against new 0 2 gives p = 0, which
// means "exact", but of the 15 equally likely divisions 2 are as extreme, p =
// .133. Also, correcting for a family of discrete tests needs the values that p
// could have taken. TestAgainstBenchmath checks that the two agree wherever
// benchmath is right.

// maxWork limits the cost of one exact null distribution, in additions: about
// 20 ms. Beyond it (47 samples a side, 39 with ties) the normal approximation
// is good to two digits.
const maxWork = 1e7

// A rankTest is the outcome of a two-sided rank test.
type rankTest struct {
	name string  // of the test
	stat float64 // U of the new side, or the sum of the positive signed ranks
	max  float64 // the largest value stat could take
	p    float64

	// attainable holds the values that p could take given the sample sizes
	// and the ties, in ascending order. It is nil if p comes from the
	// normal approximation and could be anything.
	attainable []float64
}

// size returns the probability of a p of at most x if nothing has changed: x
// itself for a continuous test, the next attainable value below for a discrete
// one.
func (t *rankTest) size(x float64) float64 {
	if t.attainable == nil {
		return x
	}
	// Equal probabilities summed in a different order differ in their last
	// digits.
	i, _ := slices.BinarySearch(t.attainable, x*(1+1e-9))
	if i == 0 {
		return 0
	}
	return t.attainable[i-1]
}

// leastP returns the smallest p the test could have had.
func (t *rankTest) leastP() float64 {
	if t.attainable == nil {
		return 0
	}
	return t.attainable[0]
}

// certain is the list of values that p can take if nothing varies. All such
// tests share it, so that adjust counts them together.
var certain = []float64{1}

// mannWhitney tests whether the values of one side tend to be larger than those
// of the other, over all ways to divide the values between the sides. Ties
// count half.
func mannWhitney(old, new []float64) rankTest {
	t := rankTest{name: "Mann-Whitney U", max: float64(len(old) * len(new))}
	type labelled struct {
		v   float64
		new int
	}
	all := make([]labelled, 0, len(old)+len(new))
	for _, v := range old {
		all = append(all, labelled{v, 0})
	}
	for _, v := range new {
		all = append(all, labelled{v, 1})
	}
	slices.SortFunc(all, func(a, b labelled) int {
		if a.v < b.v {
			return -1
		} else if a.v > b.v {
			return 1
		}
		return 0
	})
	var ties []int
	twoU, oldBelow := 0, 0
	for i := 0; i < len(all); {
		j, news := i, 0
		for ; j < len(all) && all[j].v == all[i].v; j++ {
			news += all[j].new
		}
		twoU += news * (2*oldBelow + (j - i - news))
		oldBelow += j - i - news
		ties = append(ties, j-i)
		i = j
	}
	t.stat = float64(twoU) / 2

	if len(ties) == 1 {
		// All values are equal.
		t.p, t.attainable = 1, certain
		return t
	}
	n := float64(len(all))
	tied := len(ties) < len(all)
	if null := uDistribution(len(old), len(new), ties); null != nil {
		at := twoU
		if !tied {
			at = twoU / 2
		}
		t.p, t.attainable = null.p(at), null.attainable
		return t
	}
	correction := 0.0
	for _, k := range ties {
		k := float64(k)
		correction += k*k*k - k
	}
	variance := t.max / 12 * (n + 1 - correction/(n*(n-1)))
	t.p = normalP(math.Abs(t.stat-t.max/2), variance)
	return t
}

// signedRank tests whether the differences of pairs, one a round, tend to one
// sign, over all ways to swap old and new within rounds. diffs are the
// logarithms of the ratios. Rounds without a difference keep their rank and
// count for neither sign.
func signedRank(diffs []float64) rankTest {
	n := len(diffs)
	t := rankTest{name: "Wilcoxon signed-rank", max: float64(n*(n+1)) / 2}
	abs := make([]float64, n)
	for i, d := range diffs {
		abs[i] = math.Abs(d)
	}
	slices.Sort(abs)
	var ranks []int // twice the mid-ranks of the differences that are not zero
	rank := make(map[float64]int)
	for i := 0; i < n; {
		j := i
		for j < n && abs[j] == abs[i] {
			j++
		}
		rank[abs[i]] = i + j + 1
		if abs[i] != 0 {
			for range j - i {
				ranks = append(ranks, i+j+1)
			}
		}
		i = j
	}
	sum, twoW, squares := 0, 0, 0.0
	for _, r := range ranks {
		sum += r
		squares += float64(r * r)
	}
	for _, d := range diffs {
		if d > 0 {
			twoW += rank[d]
		}
	}
	t.stat = float64(twoW) / 2
	if float64(n)*float64(sum) > maxWork || n > 1000 {
		t.p = normalP(math.Abs(t.stat-float64(sum)/4), squares/16)
		return t
	}
	null := wDistribution(ranks)
	t.p, t.attainable = null.p(twoW), null.attainable
	return t
}

// A null is the distribution of a statistic if nothing has changed.
type null struct {
	mass       []float64 // mass[i] is the probability of the value i
	attainable []float64 // the two-sided p it can give, ascending
}

func newNull(mass []float64) *null {
	n := &null{mass: mass}
	tail := 0.0
	for lo, hi := 0, len(mass)-1; lo <= hi; lo, hi = lo+1, hi-1 {
		both := mass[lo]
		if lo != hi {
			both += mass[hi]
		}
		if both > 0 {
			tail += both
			n.attainable = append(n.attainable, math.Min(tail, 1))
		}
	}
	n.attainable[len(n.attainable)-1] = 1 // but for rounding, it is
	return n
}

// p returns the probability of a value at least as far from the middle as at.
func (n *null) p(at int) float64 {
	lo := min(at, len(n.mass)-1-at)
	if lo >= (len(n.mass)-1)/2 {
		return 1
	}
	tail := 0.0
	for i := 0; i <= lo; i++ {
		tail += n.mass[i] + n.mass[len(n.mass)-1-i]
	}
	return math.Min(tail, 1)
}

// normalP returns the two-sided p of a distance from the mean, with the
// correction for continuity.
func normalP(distance, variance float64) float64 {
	if variance <= 0 {
		return 1
	}
	z := math.Max(0, distance-0.5) / math.Sqrt(variance)
	return math.Erfc(z / math.Sqrt2)
}

// uNulls caches the distributions without ties by their sample sizes.
var uNulls sync.Map // of [2]int to *null

// uDistribution returns the probabilities of the U of the second sample for
// sizes n1 and n2 if the sorted values form groups of ties: of U itself without
// ties, of 2U with them. It returns nil if that would take too long.
func uDistribution(n1, n2 int, ties []int) *null {
	tied := len(ties) < n1+n2
	scale := 1
	if tied {
		scale = 2
	}
	width := scale*n1*n2 + 1
	if float64(n1+n2)*float64(n2)*float64(width) > maxWork {
		return nil
	}
	key := [2]int{n1, n2}
	if !tied {
		if d, ok := uNulls.Load(key); ok {
			return d.(*null)
		}
	}
	// ways[k][u] counts the ways to give k of the values seen so far to the
	// second sample such that they exceed, ties counting half, u values of
	// the first. Values are taken group by group, from the smallest up.
	ways, next := make([][]float64, n2+1), make([][]float64, n2+1)
	for k := range ways {
		ways[k], next[k] = make([]float64, width), make([]float64, width)
	}
	ways[0][0] = 1
	seen := 0
	for _, t := range ties {
		for k := range next {
			clear(next[k])
		}
		for k := max(0, seen-n1); k <= min(seen, n2); k++ {
			top := scale * k * (seen - k)
			for r := max(0, seen+t-n1-k); r <= min(t, n2-k); r++ {
				shift := scale*r*(seen-k) + scale*r*(t-r)/2
				c := choose(t, r)
				from, to := ways[k][:top+1], next[k+r][shift:]
				for u, w := range from {
					to[u] += w * c
				}
			}
		}
		ways, next = next, ways
		seen += t
	}
	d := ways[n2]
	total := choose(n1+n2, n2)
	for u := range d {
		d[u] /= total
	}
	null := newNull(d)
	if !tied {
		uNulls.Store(key, null)
	}
	return null
}

// wDistribution returns the distribution of the sum of the ranks with a
// positive sign.
func wDistribution(ranks []int) *null {
	sum := 0
	for _, r := range ranks {
		sum += r
	}
	mass := make([]float64, sum+1)
	mass[0] = 1
	top := 0
	for _, r := range ranks {
		top += r
		for w := top; w >= 0; w-- {
			mass[w] /= 2
			if w >= r {
				mass[w] += mass[w-r] / 2
			}
		}
	}
	return newNull(mass)
}

// choose returns n over k.
func choose(n, k int) float64 {
	c := 1.0
	for i := 1; i <= min(k, n-k); i++ {
		c = c * float64(n-i+1) / float64(i)
	}
	return math.Round(c)
}

// An interval is an estimate and its confidence interval. With too few samples
// for a bound, lo and hi are the ends of the possible range and level is 1.
type interval struct {
	est, lo, hi float64
	level       float64 // the confidence reached, at least that asked for
	rank        int     // lo is the rank-th smallest of count values, hi the rank-th largest; 0: no bounds
	count       int
}

// ratioInterval returns the Hodges-Lehmann estimate of new/old, the median of
// all ratios of a new to an old value, and the exact interval of the U test:
// the ratios that the test would not reject. All values must be positive. Ties
// can make the interval wider than necessary, never narrower.
func ratioInterval(old, new []float64, alpha float64) interval {
	all := make([]float64, 0, len(old)*len(new))
	for _, n := range new {
		for _, o := range old {
			all = append(all, n/o)
		}
	}
	rank, level := uRank(len(old), len(new), alpha)
	return orderInterval(all, rank, level, geometric, 0)
}

// shiftInterval is ratioInterval for new minus old, where values need not be
// positive.
func shiftInterval(old, new []float64, alpha float64) interval {
	all := make([]float64, 0, len(old)*len(new))
	for _, n := range new {
		for _, o := range old {
			all = append(all, n-o)
		}
	}
	rank, level := uRank(len(old), len(new), alpha)
	return orderInterval(all, rank, level, arithmetic, math.Inf(-1))
}

// pairedInterval returns the estimate and interval of the signed-rank test: the
// median of the means of all pairs of rounds' ratios.
func pairedInterval(old, new []float64, alpha float64) interval {
	var all []float64
	for i := range old {
		for j := i; j < len(old); j++ {
			all = append(all, geometric(new[i]/old[i], new[j]/old[j]))
		}
	}
	rank, level := wRank(len(old), alpha)
	return orderInterval(all, rank, level, geometric, 0)
}

func geometric(a, b float64) float64 {
	if a == b {
		return a
	}
	return math.Sqrt(a) * math.Sqrt(b)
}

func arithmetic(a, b float64) float64 { return a + (b-a)/2 }

// orderInterval takes the interval from the order statistics of values. least
// is the smallest possible value.
func orderInterval(values []float64, rank int, level float64, middle func(a, b float64) float64, least float64) interval {
	slices.Sort(values)
	n := len(values)
	iv := interval{est: middle(values[(n-1)/2], values[n/2]), lo: least, hi: math.Inf(1), level: 1, count: n}
	if rank > 0 {
		iv.lo, iv.hi, iv.level, iv.rank = values[rank-1], values[n-rank], level, rank
	}
	return iv
}

// uRank returns which order statistic of the n1*n2 ratios bounds the interval
// of confidence 1-alpha, and the confidence reached; rank 0 when none does.
func uRank(n1, n2 int, alpha float64) (rank int, level float64) {
	ones := make([]int, n1+n2)
	for i := range ones {
		ones[i] = 1
	}
	null := uDistribution(n1, n2, ones)
	if null == nil {
		mean, variance := uMoments(n1, n2)
		return normalRank(mean, math.Sqrt(variance), alpha)
	}
	return tailRank(null.mass, alpha)
}

// uMoments returns the mean and variance of U without ties.
func uMoments(n1, n2 int) (mean, variance float64) {
	product := float64(n1) * float64(n2)
	return product / 2, product * float64(n1+n2+1) / 12
}

// wRank is uRank for the n(n+1)/2 means of pairs of n rounds.
func wRank(n int, alpha float64) (rank int, level float64) {
	if n > 1000 {
		x := float64(n)
		return normalRank(x*(x+1)/4, math.Sqrt(x*(x+1)*(2*x+1)/24), alpha)
	}
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	return tailRank(wDistribution(ranks).mass, alpha)
}

func tailRank(mass []float64, alpha float64) (rank int, level float64) {
	below := 0.0
	for rank < len(mass)/2 && below+mass[rank] <= alpha/2 {
		below += mass[rank]
		rank++
	}
	return rank, 1 - 2*below
}

func normalRank(mean, sd, alpha float64) (rank int, level float64) {
	return max(0, int(mean-normalQuantile(1-alpha/2)*sd)), 1 - alpha
}

// normalQuantile returns the z below which a standard normal variable lies
// with probability p.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// leastSamples returns how many samples a side the U test needs for its
// smallest p to reach alpha in a family of m.
func leastSamples(m int, alpha float64) int {
	n := 1
	for 2/choose(2*n, n)*float64(max(m, 1)) > alpha {
		n++
	}
	return n
}
