//go:build linux

package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"eventbench/helpers/results"
	"eventbench/helpers/samples"
)

//go:embed page.html.tmpl
var htmlText string

//go:embed page.css
var cssText string

//go:embed page.js
var jsText string

// uPlot draws the charts. uplot/README.md says which version it is.
var (
	//go:embed uplot/uPlot.iife.min.js
	uPlotJS string
	//go:embed uplot/uPlot.min.css
	uPlotCSS string
	//go:embed uplot/LICENSE
	uPlotLicense string
)

var document = template.Must(template.New("page").Funcs(template.FuncMap{"join": strings.Join}).Parse(htmlText))

// render returns the HTML document. The same page makes the same bytes.
func (p *Page) render() ([]byte, error) {
	var b bytes.Buffer
	err := document.Execute(&b, map[string]any{
		"Page":   p,
		"Title":  p.Title(),
		"Policy": policy([]string{uPlotJS, jsText}, []string{uPlotCSS, cssText}),
		"JS":     template.JS(jsText),
		"CSS":    template.CSS(cssText),
		"Library": map[string]any{
			"JS": template.JS(uPlotJS), "CSS": template.CSS(uPlotCSS), "License": uPlotLicense,
		},
	})
	return b.Bytes(), err
}

// policy is a content security policy that allows these scripts and styles, and
// nothing from anywhere. Should a name from a results file ever get into the
// page as markup, it still cannot run.
func policy(scripts, styles []string) string {
	hashes := func(of []string) string {
		var s strings.Builder
		for _, text := range of {
			sum := sha256.Sum256([]byte(text))
			fmt.Fprintf(&s, " 'sha256-%s'", base64.StdEncoding.EncodeToString(sum[:]))
		}
		return s.String()
	}
	return "default-src 'none'; script-src" + hashes(scripts) + "; style-src" + hashes(styles) + "; base-uri 'none'; form-action 'none'"
}

// Title says what the page is about.
func (p *Page) Title() string {
	const most = 6
	var labels []string
	for _, s := range p.Settings {
		for _, k := range s.Kernels {
			labels = append(labels, k.Label)
		}
	}
	if n := len(labels); n > most {
		return fmt.Sprintf("%s and %d more kernels", strings.Join(labels[:most-1], ", "), n-most+1)
	}
	return "Linux " + strings.Join(labels, ", ")
}

// About says what the setting's figures are: how many samples, by which clock,
// on which CPU.
func (s *Setting) About() string {
	least, most := math.MaxInt, 0
	for _, k := range s.Kernels {
		least, most = min(least, len(k.Samples)), max(most, len(k.Samples))
	}
	about := []string{samples.Counted(len(s.Kernels), "kernel")}
	if least == most {
		about = append(about, samples.Counted(most, "sample")+" of each")
	} else {
		about = append(about, fmt.Sprintf("%d to %d samples of each", least, most))
	}
	if s.value(results.Clock) == "instrs" {
		about = append(about, "counted instructions")
	} else {
		about = append(about, "wall time")
	}
	for _, key := range []string{"cpu", "goarch", "sandbox", "harness"} {
		if v := s.value(key); v != "" {
			about = append(about, key+" "+v)
		}
	}
	return strings.Join(about, ", ")
}

// Failed reports whether a benchmark failed or was skipped in any sample.
func (p *Page) Failed() bool {
	for _, s := range p.Settings {
		for _, k := range s.Kernels {
			if len(k.Failures) > 0 {
				return true
			}
		}
	}
	return false
}

// Usual returns the pair that is shown first: the two newest kernels. It is nil
// if there is one kernel only.
func (s *Setting) Usual() *Pair {
	for _, p := range s.Pairs {
		if p.Old == len(s.Kernels)-2 && p.New == len(s.Kernels)-1 {
			return p
		}
	}
	return nil
}

// Text is the figure in a table: the median, its interval, and n if it is not
// of all samples.
func (f *Figure) Text(samples int) string {
	s := number(f.Median)
	if f.Lo != nil && f.Hi != nil && *f.Lo < *f.Hi {
		s += fmt.Sprintf(" [%s, %s]", number(*f.Lo), number(*f.Hi))
	}
	if f.N < samples {
		s += fmt.Sprintf(" n=%d", f.N)
	}
	return s
}

// number formats a value with the digits that it is read by. page.js does the
// same.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 10_000 || v == math.Trunc(v) && a < 1e15:
		return grouped(strconv.FormatFloat(math.Round(v), 'f', 0, 64))
	case a >= 1000:
		return grouped(strconv.FormatFloat(v, 'f', 1, 64))
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.001:
		return strconv.FormatFloat(v, 'f', min(5, 2-int(math.Floor(math.Log10(a)))), 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// grouped inserts a comma after each third digit before the point.
func grouped(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, rest, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + rest
	}
	return sign + whole
}

// A Spark is a small chart of a row's figures.
type Spark struct {
	Lines []string // runs of kernels that have a figure
	Dots  []Dot
}

// A Dot is a figure in it.
type Dot struct{ X, Y, Lo, Hi string }

// Spark returns the row's small chart.
func (r *Row) Spark() *Spark {
	least, most := math.Inf(1), math.Inf(-1)
	for _, f := range r.Figures {
		if f == nil {
			continue
		}
		for _, v := range []*float64{&f.Median, f.Lo, f.Hi} {
			if v != nil {
				least, most = min(least, *v), max(most, *v)
			}
		}
	}
	at := func(v float64) string {
		if most == least {
			return "12"
		}
		return strconv.FormatFloat(21-18*(v-least)/(most-least), 'f', 1, 64)
	}
	s := new(Spark)
	var run []string
	end := func() {
		if len(run) > 1 {
			s.Lines = append(s.Lines, strings.Join(run, " "))
		}
		run = nil
	}
	for i, f := range r.Figures {
		if f == nil {
			end()
			continue
		}
		x := 48.0
		if n := len(r.Figures); n > 1 {
			x = 4 + 88*float64(i)/float64(n-1)
		}
		d := Dot{X: strconv.FormatFloat(x, 'f', 0, 64), Y: at(f.Median)}
		if f.Lo != nil && f.Hi != nil {
			d.Lo, d.Hi = at(*f.Lo), at(*f.Hi)
		}
		s.Dots = append(s.Dots, d)
		run = append(run, d.X+","+d.Y)
	}
	end()
	return s
}
