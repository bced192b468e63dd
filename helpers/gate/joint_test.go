package gate

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestJointByHand compares the test of a family with what trying every
// relabeling gives.
func TestJointByHand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	check := func(n1, n2, m int, paired bool, value func() float64) {
		t.Helper()
		var family []*Comparison
		for range m {
			c := &Comparison{Threshold: 0.01 * float64(r.IntN(3)), paired: paired}
			for range n1 {
				c.oldValues = append(c.oldValues, value())
			}
			for range n2 {
				c.newValues = append(c.newValues, value()*(1+0.03*float64(r.IntN(2))))
			}
			c.Old, c.New = summarize(c.oldValues), summarize(c.newValues)
			family = append(family, c)
		}
		j := newJoint(family, 0.05)
		if j == nil || j.paired != paired {
			t.Fatalf("%d+%d samples, paired %v: got the test %+v", n1, n2, paired, j)
		}
		for _, c := range family {
			c.measure(j, m, 0.05)
			c.P = c.test.p
		}
		j.adjust(family)
		for i, want := range allRelabelings(family, paired) {
			c := family[i]
			if !(c.standout > 0) {
				want = 1
			}
			if want = math.Max(want, c.P); math.Abs(c.Adjusted-want) > 1e-9 {
				t.Errorf("%d+%d samples, paired %v: comparison %d of old %v, new %v: got adjusted p %v, want %v",
					n1, n2, paired, i, c.oldValues, c.newValues, c.Adjusted, want)
			}
		}
	}
	for range max(1, 8/fewer) {
		continuous := func() float64 { return 100 * math.Exp(0.01*r.NormFloat64()) }
		tied := func() float64 { return 100 + float64(r.IntN(4)) }
		zeros := func() float64 { return float64(r.IntN(3)) }
		for _, value := range []func() float64{continuous, tied, zeros} {
			check(4, 4, 6, false, value)
			check(5, 5, 4, false, value)
			check(4, 6, 5, false, value)
		}
		check(9, 9, 3, true, continuous)
		check(9, 9, 3, true, tied)
	}
}

// allRelabelings returns the share of all relabelings in which any comparison
// of the family stands out as much as each does.
func allRelabelings(family []*Comparison, paired bool) []float64 {
	n1, n2 := len(family[0].oldValues), len(family[0].newValues)
	var most []float64
	each := n1 + n2
	if paired {
		each = n1
	}
	for label := range uint(1) << each {
		if !paired && bits.OnesCount(label) != n2 {
			continue
		}
		far := math.Inf(-1)
		for _, c := range family {
			var old, new []float64
			if paired {
				for i := range n1 {
					a, b := c.oldValues[i], c.newValues[i]
					if label>>i&1 == 1 {
						a, b = b, a
					}
					old, new = append(old, a), append(new, b)
				}
			} else {
				for i, v := range slices.Concat(c.oldValues, c.newValues) {
					if label>>i&1 == 1 {
						new = append(new, v)
					} else {
						old = append(old, v)
					}
				}
			}
			var iv interval
			switch {
			case paired:
				iv = pairedInterval(old, new, 0.05)
			case c.shift:
				iv = shiftInterval(old, new, 0.05)
			default:
				iv = ratioInterval(old, new, 0.05)
			}
			far = math.Max(far, c.distance(iv.lo, iv.hi))
		}
		most = append(most, far)
	}
	shares := make([]float64, len(family))
	for i, c := range family {
		n := 0
		for _, far := range most {
			if far >= c.standout-1e-9 {
				n++
			}
		}
		shares[i] = float64(n) / float64(len(most))
	}
	return shares
}

// TestJointError simulates families of a hundred in which nothing changed,
// measured in few samples, some metrics far noisier than their threshold, and
// counts those with any significant comparison; and it plants a change that
// must be found among them.
func TestJointError(t *testing.T) {
	t.Parallel()
	const trials, m = 150 / fewer, 100
	r := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{4, 5, 6} {
		alarms, found := 0, 0
		for range trials {
			var family []*Comparison
			for i := range m {
				// A few have two states, between which each
				// sample's layout decides.
				spread, step := []float64{0.0005, 0.002, 0.05}[i%3], 0.0
				if i%25 == 0 {
					step = 0.06
				}
				c := &Comparison{Threshold: 0.003}
				for _, side := range []*[]float64{&c.oldValues, &c.newValues} {
					for range n {
						*side = append(*side, 1000*math.Exp(spread*r.NormFloat64()+step*float64(r.IntN(2))))
					}
				}
				family = append(family, c)
			}
			planted := family[1] // spread 0.002
			test := func() bool {
				for _, c := range family {
					c.Old, c.New = summarize(c.oldValues), summarize(c.newValues)
				}
				j := newJoint(family, 0.05)
				for _, c := range family {
					c.measure(j, m, 0.05)
					c.P = c.test.p
				}
				j.adjust(family)
				return slices.ContainsFunc(family, func(c *Comparison) bool { return c.Adjusted <= 0.05 })
			}
			if test() {
				alarms++
			}
			for i := range planted.newValues {
				planted.newValues[i] *= 2
			}
			if test(); planted.Adjusted <= 0.05 {
				found++
			}
		}
		got := fmt.Sprintf("%d+%d samples: a significant comparison in %.3f of all equal families, a doubled cost found in %.3f",
			n, n, float64(alarms)/trials, float64(found)/trials)
		if float64(alarms)/trials > 0.05+3*math.Sqrt(0.05*0.95/trials) || float64(found)/trials < 1 {
			t.Errorf("%s; want at most 0.05, and 1", got)
		} else {
			t.Log(got)
		}
	}
}

// One benchmark that is allowed to be missing from a sample leaves the others
// their test as a whole: five samples a side can tell, of which no test one by
// one could.
func TestMissingLeavesJoint(t *testing.T) {
	side := func(from int) (files []string) {
		for i := range 5 {
			text := ""
			for b := range 12 {
				text += fmt.Sprintf("BenchmarkX%d 1 %d ns/op\n", b, from+i)
			}
			files = append(files, text+fmt.Sprintf("BenchmarkY 1 %d ns/op\n", 100+i))
		}
		return files
	}
	old, new := side(100), side(150)
	o := Options{AllowMissing: regexp.MustCompile("^Y"), Alpha: 0.05}
	for _, missing := range []bool{false, true} {
		if missing {
			new[3], _, _ = strings.Cut(new[3], "BenchmarkY")
		}
		r, err := judgeTexts(o, old, new)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.count((*Comparison).fails); n != 12 {
			t.Errorf("Y missing: %v: %d regressions, want all 12:\n%s", missing, n, r.Comparisons[0].Reason)
		}
		want := map[bool]int{false: 13, true: 12}[missing]
		if c := r.Comparisons[0]; c.Family != want || math.Abs(c.Adjusted-float64(14-want)*2/252) > 1e-9 {
			t.Errorf("Y missing: %v: adjusted p %v in a family of %d, want %d of 252 relabelings in one of %d", missing, c.Adjusted, c.Family, (14-want)*2, want)
		}
	}
}
