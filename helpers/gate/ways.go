package gate

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
)

// This file judges counted instructions: by value.
//
// A boot repeats to the last digit. A count that differs between the boots of
// one kernel took another way: another hash bucket, another alignment of the
// stack, a task that was still queued. An operation has a few ways, often far
// apart, and chance decides which of them a boot takes. Medians and ranks see
// how often each was taken, in which any two handfuls of boots differ. Whether
// the kernel changed shows in which ways there are.
//
// Two values are of one way if they are within the threshold of each other. A
// comparison is a regression if too many boots changed their way for chance
// (together tests that for the whole family) and the change is beyond
// the threshold. It passes if nothing makes it doubtful that the ways are the
// same: see doubt.

// A layout is the values of both sides in order, in groups. The values of a
// group are within the limit of the same others.
type layout struct {
	n1, n2   int // samples of old and of new
	groups   []group
	old, new []int // how many samples of each group are called old, and new
}

type group struct {
	members subset
	size    int
	below   int // the number of groups that are beyond the limit below
	above   int // the first group that is beyond the limit above
}

// same reports whether two values are of one way: whether the larger is at most
// limit times the smaller.
func same(a, b, limit float64) bool {
	return math.Abs(a-b) <= (limit-1)*math.Min(math.Abs(a), math.Abs(b))*(1+1e-12)
}

// newLayout returns the layout with old's values called old and new's new.
func newLayout(old, new []float64, limit float64) *layout {
	values := slices.Concat(old, new)
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	y := &layout{n1: len(old), n2: len(new)}
	at := make([]int, len(order)+1) // the group of each position in order
	below, above := 0, 0            // of that position
	for p, s := range order {
		b, a := below, max(above, p)
		for !same(values[order[b]], values[s], limit) {
			b++
		}
		for a < len(order) && same(values[s], values[order[a]], limit) {
			a++
		}
		if p == 0 || b != below || a != above {
			y.groups = append(y.groups, group{members: newSubset(len(values)), below: b, above: a})
		}
		below, above = b, a
		at[p] = len(y.groups) - 1
		y.groups[at[p]].members.add(s)
		y.groups[at[p]].size++
	}
	at[len(order)] = len(y.groups)
	for g := range y.groups {
		y.groups[g].below, y.groups[g].above = at[y.groups[g].below], at[y.groups[g].above]
	}
	y.old, y.new = make([]int, len(y.groups)), make([]int, len(y.groups))
	y.call(lastOf(y.n1, y.n2))
	return y
}

// call sets which samples are called new.
func (y *layout) call(new subset) {
	for g, of := range y.groups {
		n := 0
		for w, members := range of.members {
			n += bits.OnesCount64(members & new[w])
		}
		y.old[g], y.new[g] = of.size-n, n
	}
}

// unmatched pairs samples of one way, one old with one new, as far as there are
// any, and returns how many are left over. Each sample counts as often as the
// other side has samples, so that sides of unequal size have equally many.
//
// On a line, pairing from the low end leaves the fewest over. Their share is
// the smallest share of samples that any coupling of the two sides moves beyond
// the limit (Strassen, "The existence of probability measures with given
// marginals", 1965). With a limit of 1 it is the total variation distance.
func (y *layout) unmatched() int {
	left := 0
	g, spare := 0, 0 // of the new samples in group g, not yet paired
	if len(y.groups) > 0 {
		spare = y.new[0] * y.n1
	}
	for o, of := range y.groups {
		want := y.old[o] * y.n2
		for want > 0 && g < of.above {
			if g >= of.below {
				n := min(want, spare)
				want, spare = want-n, spare-n
			}
			if want == 0 {
				break
			}
			if g+1 == len(y.groups) {
				spare = 0
				break
			}
			g++
			spare = y.new[g] * y.n1
		}
		left += want
	}
	return left
}

// direction pairs all samples in their order, the lowest old with the lowest
// new, counted as by unmatched. It returns in how many pairs new is beyond the
// limit above old, less those in which it is below.
func (y *layout) direction() int {
	up := 0
	g, spare := -1, 0
	for o, of := range y.groups {
		for want := y.old[o] * y.n2; want > 0; {
			for spare == 0 {
				g++
				spare = y.new[g] * y.n1
			}
			n := min(want, spare)
			want, spare = want-n, spare-n
			switch {
			case g >= of.above:
				up += n
			case g < of.below:
				up -= n
			}
		}
	}
	return up
}

// apart returns in how many of all pairs of an old and a new sample new is
// beyond the limit above old, less those in which it is below. It is the U
// statistic with a dead band.
func (y *layout) apart() int {
	sum := 0
	below, above := 0, 0         // groups seen
	oldBelow, oldToAbove := 0, 0 // old samples in them
	for g, of := range y.groups {
		for ; below < of.below; below++ {
			oldBelow += y.old[below]
		}
		for ; above < of.above; above++ {
			oldToAbove += y.old[above]
		}
		sum += y.new[g] * (oldBelow - (y.n1 - oldToAbove))
	}
	return sum
}

// alone returns the share of values that are of no way of the others, once the
// shift is added to them. Both are sorted.
func alone(values, others []float64, shift, limit float64) float64 {
	n, near := 0, 0
	for _, v := range values {
		v += shift
		for near < len(others) && others[near] < v && !same(v, others[near], limit) {
			near++
		}
		if near == len(others) || !same(v, others[near], limit) {
			n++
		}
	}
	return float64(n) / float64(len(values))
}

// misfit returns how badly new's ways are old's moved by a shift: the shares of
// both sides that are then alone. Both are sorted.
func misfit(old, new []float64, shift, limit float64) float64 {
	return alone(old, new, shift, limit) + alone(new, old, -shift, limit)
}

// missable is the probability up to which a way of one side is believed to be
// one of the other's, too, that all of the other's samples missed.
const missable = 0.01

// moved returns the shift by which the ways have moved, if no way of one side is
// one of the other, and at that distance each way has its counterpart, within
// the tolerance, but for those that the other side may have missed. Both sides
// are sorted.
func moved(old, new []float64, limit, tolerance float64) (shift float64, ok bool) {
	if misfit(old, new, 0, limit) < 2 {
		return 0, false
	}
	least := math.Inf(1)
	for i, o := range old {
		for j, n := range new {
			if i > 0 && old[i-1] == o || j > 0 && new[j-1] == n {
				continue
			}
			a, b := alone(old, new, n-o, tolerance), alone(new, old, o-n, tolerance)
			missed := math.Min(math.Pow(1-a, float64(len(new))), math.Pow(1-b, float64(len(old))))
			if missed < missable || math.Max(a, b) > 0.5 {
				continue
			}
			if a+b < least || a+b == least && math.Abs(n-o) < math.Abs(shift) {
				shift, least, ok = n-o, a+b, true
			}
		}
	}
	return shift, ok
}

// mostAlone is the share of new's samples that take a way that old did not show
// from which on a comparison does not pass. If all ways had moved, all would.
// By chance one in n boots does, for a way that is as rare.
const mostAlone = 0.5

// suspicious is the p, in the family, up to which a change beyond the threshold
// does not pass, though it may be too large for a regression. A kernel that has
// not changed loses at most one pass in 20 by it, at each look.
const suspicious = 0.05

// sorted returns the values of each side in order.
func (c *Comparison) sorted() (old, new []float64) {
	return slices.Sorted(slices.Values(c.oldValues)), slices.Sorted(slices.Values(c.newValues))
}

// compareWays finds by how much the samples differ.
func (c *Comparison) compareWays() {
	c.Method, c.Lo, c.Hi, c.Level = "by value", 0, math.Inf(1), 1
	c.Ratio = ratio(mean(c.newValues)-mean(c.oldValues), mean(c.oldValues))
	// The interval of a rank test, for what is a smear.
	c.interval = ratioInterval(c.oldValues, c.newValues, 1-confidence)
	if !c.positive() {
		c.interval = interval{est: c.Ratio, lo: 0, hi: math.Inf(1)}
	}
	old, new := c.sorted()
	limit := 1 + c.Threshold
	if !c.exact {
		// An average would see the shares of the ways, too.
		if shift, ok := moved(old, new, limit, halfOf(limit)); ok {
			c.Ratio, c.allMoved = ratio(shift, c.Old.Median), true
		}
		return
	}
	shift, ok := moved(old, new, 1, 1)
	if ok || math.Max(c.Old.Max, c.New.Max) == math.Min(c.Old.Min, c.New.Min) {
		c.Method, c.Ratio, c.moved, c.allMoved = "exact", ratio(shift, c.Old.Median), shift, ok
		c.Lo, c.Hi = c.Ratio, c.Ratio
	}
}

// halfOf returns half the limit, which tells a way from the next.
func halfOf(limit float64) float64 { return 1 + (limit-1)/2 }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// byValue judges the ways.
func (c *Comparison) byValue(alpha float64) judgement {
	limit := (1 + c.Threshold) * (1 + 1e-12)
	beyond, below := c.Ratio > limit, c.Ratio < 1/limit
	j := judgement{
		enough: min(c.Old.N, c.New.N) >= exactSamples,
		worse:  c.chance.ways <= alpha && beyond || c.chance.rank <= alpha && c.interval.lo > limit,
		better: c.chance.ways <= alpha && below || c.chance.rank <= alpha && c.interval.hi < 1/limit,
	}
	old, new := c.sorted()
	up, down := c.doubtful(old, new, false), c.doubtful(old, new, true)
	if c.Adjusted <= suspicious {
		unlikely := doubt(fmt.Sprintf("it is unlikely that chance alone shares the ways out like this: p %s among %d comparisons", probability(c.Adjusted), c.Family))
		if beyond {
			up = unlikely
		}
		if below {
			down = unlikely
		}
	}
	if c.Better == "higher" {
		j.worse, j.better = j.better, j.worse
		up, down = down, up
	}
	j.notWorse, j.notBetter = up == "", down == ""
	// The average can improve by chance although all ways became worse.
	j.better = j.better && (c.allMoved || j.notWorse)
	j.significant = j.enough && (j.worse || j.better)
	c.doubt = cmp.Or(up, down)
	return j
}

// needByValue estimates how many samples a side would tell.
//
// If the sides' ways are the same, each sample to come is one of those that
// there are: needByValue draws from them, and returns the first look's number of
// samples at which nothing is doubtful 8 times in 10. If the ways may be shared
// out differently, p falls geometrically with the number of samples.
func (c *Comparison) needByValue(alpha float64) {
	have := max(c.Old.N, c.New.N)
	switch {
	case min(c.Old.N, c.New.N) < exactSamples:
		c.Need = exactSamples
		return
	case c.Adjusted <= suspicious:
		c.Need = int(math.Ceil(float64(have) * math.Max(growth, math.Log(alpha)/math.Log(math.Min(c.Adjusted, suspicious)))))
		return
	}
	pool := slices.Concat(c.oldValues, c.newValues)
	r := rand.New(rand.NewPCG(uint64(c.Old.N), uint64(c.New.N)))
	const trials = 50
	for n := int(math.Ceil(growth * float64(have))); n <= mostDrawn; n = int(math.Ceil(growth * float64(n))) {
		told := 0
		old, new := make([]float64, n), make([]float64, n)
		for range trials {
			for i := range n {
				old[i], new[i] = pool[r.IntN(len(pool))], pool[r.IntN(len(pool))]
			}
			slices.Sort(old)
			slices.Sort(new)
			if c.doubtful(old, new, false) == "" && c.doubtful(old, new, true) == "" {
				told++
			}
		}
		if float64(told) >= power*trials {
			c.Need = n
			return
		}
	}
}

// mostDrawn is the largest number of samples that needByValue tries.
const mostDrawn = 50

// A doubt is why it is not sure that new is no worse than old, or no better; or
// "".
type doubt string

// doubtful returns why new's ways may be above old's, or below if that is asked
// for. Both are sorted.
func (c *Comparison) doubtful(old, new []float64, below bool) doubt {
	limit := 1 + c.Threshold
	// What lies on the other side of all of old is no concern.
	from := new[sortedIndex(new, old[0]):]
	if below {
		n, _ := slices.BinarySearch(new, old[len(old)-1])
		from = new[:n]
	}
	if n := alone(from, old, 0, limit) * float64(len(from)); len(from) > 0 && n >= mostAlone*float64(len(new)) {
		return doubt(fmt.Sprintf("%.0f of new's %d samples take ways that old did not show", n, len(new)))
	}
	// Where ways cannot be told apart, what counts is where most of them
	// are.
	for o, n := range smears(old, new, limit) {
		if 2*len(o) <= len(old) || 2*len(n) <= len(new) {
			continue
		}
		if iv := ratioInterval(o, n, 1-confidence); iv.est > limit && !below || iv.est < 1/limit && below {
			return doubt(fmt.Sprintf("values without a gap spread wider than the threshold, and new's are %s", change(iv.est)))
		}
	}
	// If all ways moved by the distance of two, most still have a
	// counterpart. Then new's ways are old's moved by it, far better than
	// they are old's.
	half := halfOf(limit)
	if still := misfit(old, new, 0, half); still > 0 {
		left := newLayout(old, new, half).unmatched()
		for i, o := range old {
			for j, n := range new {
				seen := i > 0 && old[i-1] == o || j > 0 && new[j-1] == n
				if seen || n < o != below || same(o, n, limit) || 2*misfit(old, new, n-o, half) > still {
					continue
				}
				if 2*newLayout(shifted(old, n-o), new, half).unmatched() <= left {
					return doubt(fmt.Sprintf("the ways may be the same, in other shares, or all have moved by %s %s", sign(number(n-o)), clean(c.Unit)))
				}
			}
		}
	}
	return ""
}

// sortedIndex returns how many of the sorted values are at most v.
func sortedIndex(sorted []float64, v float64) int {
	i, _ := slices.BinarySearchFunc(sorted, v, func(a, b float64) int {
		if a <= b {
			return -1
		}
		return 1
	})
	return i
}

func shifted(values []float64, by float64) []float64 {
	s := slices.Clone(values)
	for i := range s {
		s[i] += by
	}
	return s
}

// smears yields the runs of values without a gap beyond the limit that are
// wider than it: old's and new's part of each. Both sides are sorted.
func smears(old, new []float64, limit float64) func(yield func(old, new []float64) bool) {
	return func(yield func(old, new []float64) bool) {
		for _, w := range waysOf(old, new, limit) {
			if !same(w.Low, w.High, limit) && w.Old > 0 && w.New > 0 {
				from, to := sortedIndex(old, w.High), sortedIndex(new, w.High)
				if !yield(old[from-w.Old:from], new[to-w.New:to]) {
					return
				}
			}
		}
	}
}

// A Way is a value of a count, or a run of values without a gap beyond the
// threshold, and the number of samples of each side that have it.
type Way struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Old  int     `json:"old"`
	New  int     `json:"new"`
}

// waysOf returns the ways of both sides, in order. Both are sorted.
func waysOf(old, new []float64, limit float64) []Way {
	var ways []Way
	for i, j := 0, 0; i < len(old) || j < len(new); {
		isOld := j == len(new) || i < len(old) && old[i] <= new[j]
		v := 0.0
		if isOld {
			v, i = old[i], i+1
		} else {
			v, j = new[j], j+1
		}
		if n := len(ways); n == 0 || !same(ways[n-1].High, v, limit) {
			ways = append(ways, Way{Low: v})
		}
		w := &ways[len(ways)-1]
		w.High = v
		if isOld {
			w.Old++
		} else {
			w.New++
		}
	}
	return ways
}

// Ways returns the ways of a comparison that is judged by value.
func (c *Comparison) Ways() []Way {
	if !c.counted {
		return nil
	}
	limit := 1 + c.Threshold
	if c.moved != 0 {
		limit = 1
	}
	old, new := c.sorted()
	return waysOf(old, new, limit)
}

// valueOf shows the value of a way, or its lowest and highest.
func (c *Comparison) valueOf(w Way) string {
	if w.High > w.Low {
		return c.value(w.Low) + " to " + c.value(w.High)
	}
	return c.value(w.Low)
}

// mostWays is how many ways a sentence lists: the most frequent.
const mostWays = 4

// ways lists the ways and how many samples of each side take them, such as
// "10477 in 1 of 8 old samples and 2 of 8 new, 12008 in 7 and 6".
func (c *Comparison) ways() string {
	all := c.Ways()
	left := 0
	if len(all) > mostWays {
		left = len(all) - mostWays
		slices.SortStableFunc(all, func(a, b Way) int { return cmp.Compare(b.Old+b.New, a.Old+a.New) })
		all = all[:mostWays]
		slices.SortFunc(all, func(a, b Way) int { return cmp.Compare(a.Low, b.Low) })
	}
	var parts []string
	for i, w := range all {
		in := "%s in %d and %d"
		if i == 0 {
			in = fmt.Sprintf("%%s in %%d of %d old samples and %%d of %d new", c.Old.N, c.New.N)
		}
		parts = append(parts, fmt.Sprintf(in, c.valueOf(w), w.Old, w.New))
	}
	s := strings.Join(parts, ", ")
	switch {
	case left == 1:
		s += ", and 1 more way"
	case left > 1:
		s += fmt.Sprintf(", and %d more ways", left)
	}
	return s
}
