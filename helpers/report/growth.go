package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"eventbench/helpers/mechanisms"
	"eventbench/helpers/results"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"
)

// An aspect is a kind of figure. A benchmark's figure is in the first of the
// units that it reports.
type aspect struct {
	name  string
	units []string
	near  float64 // the largest relative error at which a law still fits
}

// aspects are listed in the table's order. With many waiters the time is the
// median, because a few disturbed operations make the mean. Instructions are
// the mode if there is one.
var aspects = []aspect{
	{"time", []string{"p50-latency-sec", floor, mean}, 0.25},
	{"instructions", []string{"p50-latency-instrs", "instrs/op", "mean-instrs/op"}, 0.1},
	{"wake-ups", []string{"wakeups/event"}, 0.25},
	{"spurious", []string{"spurious/event"}, 0.25},
	{"switches", []string{"switches/op"}, 0.25},
	{"bytes/watch", []string{"bytes/watch"}, 0.1},
	{"bytes/eventfd", []string{"bytes/eventfd"}, 0.1},
}

// of returns the result's figure, if the benchmark reports one.
func (a aspect) of(r *benchfmt.Result) (y float64, ok bool) {
	for _, unit := range a.units {
		if y, ok = r.Value(unit); ok {
			return y, true
		}
	}
	return 0, false
}

// crossings are pairs of families. The table ends with the size from which the
// first costs more than the second.
var crossings = [][2]string{{"Poll", "EpollWait"}, {"Select", "EpollWait"}}

// A curve is one aspect of a family by one of the numbers in its names.
type curve struct {
	family string // such as EpollWait
	by     string // the key that varies, such as registered
	rest   string // the other parts of the name, such as ready=1
	aspect int    // in aspects
}

func (c curve) compare(d curve) int {
	return cmp.Or(
		cmp.Compare(c.family, d.family), cmp.Compare(c.by, d.by), cmp.Compare(c.aspect, d.aspect),
		cmp.Compare(padded(c.rest), padded(d.rest)))
}

var number = regexp.MustCompile("[0-9]+")

// padded returns s with its numbers zero-padded, so that they sort by value.
func padded(s string) string {
	return number.ReplaceAllStringFunc(s, func(n string) string { return fmt.Sprintf("%012s", n) })
}

// A point is the median of the files' figures at one size.
type point struct{ n, y float64 }

func (p point) some() bool { return p.y != 0 }

// growth prints how the figures of each family grow with each number in its
// names, with a column for each input.
func growth(inputs []*input, stdout io.Writer) error {
	if err := distinct(inputs); err != nil {
		return err
	}
	for _, in := range inputs {
		if _, _, err := reconcile([]*input{in}, nil); err != nil {
			return err
		}
	}
	var all []map[curve][]point
	seen := make(map[curve]bool)
	for _, in := range inputs {
		curves, err := curvesOf(in.files)
		if err != nil {
			return err
		}
		all = append(all, curves)
		for c := range curves {
			seen[c] = true
		}
	}
	if len(seen) == 0 {
		return errors.New("no benchmark was measured at three or more sizes, as those called …Growth and …Wake are")
	}
	rows := [][]string{append([]string{"", "by", "with", "of"}, labels(inputs)...)}
	last := curve{}
	for _, c := range slices.SortedFunc(maps.Keys(seen), curve.compare) {
		if !slices.ContainsFunc(all, func(curves map[curve][]point) bool { return slices.ContainsFunc(curves[c], point.some) }) {
			continue // such as the spurious wake-ups of a family without any
		}
		row := []string{c.family, c.by, c.rest, aspects[c.aspect].name}
		if c.family == last.family {
			row[0] = ""
			if c.by == last.by {
				row[1] = ""
			}
		}
		last = c
		for _, curves := range all {
			row = append(row, aspects[c.aspect].law(curves[c]))
		}
		rows = append(rows, row)
	}
	var out bytes.Buffer
	align(&out, rows)
	crossed(&out, inputs, all)
	_, err := out.WriteTo(stdout)
	return err
}

// curvesOf returns all curves with at least three points. A benchmark with
// several numbers in its name is on one curve for each.
func curvesOf(files []*results.File) (map[curve][]point, error) {
	figures := make(map[curve]map[float64][]float64)
	for _, f := range files {
		for _, r := range f.Results {
			base, parts := r.Name.Parts()
			if !mechanisms.IsSized(string(base)) {
				continue
			}
			family := strings.TrimSuffix(string(base), "Growth")
			for i, part := range parts {
				key, value, _ := strings.Cut(strings.TrimPrefix(string(part), "/"), "=")
				n, err := strconv.ParseFloat(value, 64)
				if part[0] == '-' || err != nil {
					continue
				}
				c := curve{family: family, by: key, rest: others(parts, i)}
				for a, aspect := range aspects {
					y, ok := aspect.of(r)
					if !ok {
						continue
					}
					c.aspect = a
					if figures[c] == nil {
						figures[c] = make(map[float64][]float64)
					}
					figures[c][n] = append(figures[c][n], y)
				}
			}
		}
	}
	curves := make(map[curve][]point)
	for c, at := range figures {
		if len(at) < 3 {
			continue
		}
		for _, n := range slices.Sorted(maps.Keys(at)) {
			ys := slices.Sorted(slices.Values(at[n]))
			curves[c] = append(curves[c], point{n, (ys[len(ys)/2] + ys[(len(ys)-1)/2]) / 2})
		}
	}
	return curves, nil
}

// others joins the parts of a benchmark's name, except part but and GOMAXPROCS.
func others(parts [][]byte, but int) string {
	var s []string
	for i, part := range parts {
		if i != but && part[0] == '/' {
			s = append(s, string(part[1:]))
		}
	}
	return strings.Join(s, " ")
}

// law describes how figures grow:
//
//	312 ns                   not at all
//	300 ns + 24.5 ns · n     with each n
//	300 ns + 11 ns · log₂ n  with each doubling
//	300 ns … 5.1 µs          by none of these laws: first and last
//	300 ns to 5.1 µs         by none of these laws: least and most
//
// A law is fitted by least squares of relative errors, because noise is
// proportional to the figure. The first law that all points are near is shown.
func (a aspect) law(points []point) string {
	if len(points) == 0 {
		return ""
	}
	laws := []struct {
		of   func(n float64) float64
		text string
	}{
		{func(float64) float64 { return 0 }, ""},
		{math.Log2, " · log₂ n"},
		{func(n float64) float64 { return n }, " · n"},
	}
	for _, l := range laws {
		base, each := fit(points, l.of)
		if worst(points, func(n float64) float64 { return base + each*l.of(n) }) > a.near {
			continue
		}
		switch {
		case each == 0:
			return a.show(base)
		case each < 0:
			return a.show(base) + " − " + a.show(-each) + l.text
		case math.Abs(base) < a.near*each*l.of(points[0].n):
			return a.show(each) + l.text
		}
		return a.show(base) + " + " + a.show(each) + l.text
	}
	first, last := points[0].y, points[len(points)-1].y
	least, most := first, first
	for _, p := range points {
		least, most = min(least, p.y), max(most, p.y)
	}
	if least < min(first, last)*(1-a.near) || most > max(first, last)*(1+a.near) {
		return a.show(least) + " to " + a.show(most)
	}
	return a.show(first) + " … " + a.show(last)
}

// fit returns the a and b that minimize the squared relative errors of a +
// b·of(n).
func fit(points []point, of func(n float64) float64) (a, b float64) {
	var w, x, y, xx, xy float64 // weighted sums
	for _, p := range points {
		weight := 1.0
		if p.y != 0 {
			weight = 1 / (p.y * p.y)
		}
		n := of(p.n)
		w, x, y, xx, xy = w+weight, x+weight*n, y+weight*p.y, xx+weight*n*n, xy+weight*n*p.y
	}
	if det := w*xx - x*x; det > 1e-12*w*xx {
		b = (w*xy - x*y) / det
	}
	return (y - b*x) / w, b
}

// worst returns the largest relative error of f.
func worst(points []point, f func(n float64) float64) (e float64) {
	for _, p := range points {
		if y := f(p.n); y != p.y {
			e = max(e, math.Abs(y-p.y)/math.Abs(p.y))
		}
	}
	return e
}

// show formats y for the table.
func (a aspect) show(y float64) string {
	if a.name != "time" {
		return strconv.FormatFloat(y, 'g', max(3, len(strconv.Itoa(int(y)))), 64)
	}
	scaled := benchunit.Scale(y, benchunit.Decimal)
	digits := strings.TrimRight(scaled, "nµm")
	return digits + " " + scaled[len(digits):] + "s"
}

// crossed prints the size from which one family costs more than another.
// Between two measured sizes, both figures are taken to follow a power of the
// size.
func crossed(out io.Writer, inputs []*input, all []map[curve][]point) {
	names := labels(inputs)
	for _, pair := range crossings {
		for i, curves := range all {
			for aspect := range aspects[:2] {
				costlier := curves[curve{pair[0], "registered", "", aspect}]
				flat := curves[curve{pair[1], "registered", "ready=1", aspect}]
				if len(costlier) == 0 || len(flat) == 0 {
					continue
				}
				fmt.Fprintf(out, "\n%s: %s costs %s", names[i], strings.ToLower(pair[0]), crossing(costlier, flat))
			}
		}
	}
	fmt.Fprintln(out)
}

func crossing(costly, flat []point) string {
	at := make(map[float64]float64)
	for _, p := range flat {
		at[p.n] = p.y
	}
	var before point // y is the ratio of the two
	for _, p := range costly {
		other, ok := at[p.n]
		if !ok {
			continue
		}
		ratio := p.y / other
		if ratio > 1 {
			if before.n == 0 {
				return fmt.Sprintf("more than epoll_wait at %g descriptors already", p.n)
			}
			t := math.Log(1/before.y) / math.Log(ratio/before.y)
			return fmt.Sprintf("more than epoll_wait from about %.0f descriptors on", before.n*math.Pow(p.n/before.n, t))
		}
		before = point{p.n, ratio}
	}
	return fmt.Sprintf("no more than epoll_wait up to %g descriptors", before.n)
}

// align prints rows in columns, with a rule below the first row.
func align(out io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for r, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", width[i]-len([]rune(cell))+2))
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
		if r == 0 {
			total := 0
			for _, w := range width {
				total += w + 2
			}
			fmt.Fprintln(out, strings.Repeat("─", total-2))
		}
	}
}
