//go:build linux

package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"eventbench/helpers/cli"
	"eventbench/helpers/gate"
	"eventbench/helpers/tooltest"
)

var verb = cli.Verb{Manual: tooltest.Manual("page"), New: New}

const baselines = "../../testdata/baselines"

// build makes a page of the results and returns its path.
func build(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "page.html")
	var stdout, stderr bytes.Buffer
	if code := tooltest.Verb(t.Context(), &verb, append([]string{"-o", out}, args...), &stdout, &stderr); code != 0 {
		t.Fatalf("page %q: exit status %d, %s", args, code, &stderr)
	}
	return out
}

// mustLoad returns the page of the results with the gate's verdicts.
func mustLoad(t *testing.T, args ...string) *Page {
	t.Helper()
	p, err := load(args)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Settings {
		s.judge()
	}
	return p
}

// write writes a file of results for each kernel: six samples with the given
// values of a count.
func write(t *testing.T, head string, of map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for kernel, lines := range of {
		var b strings.Builder
		for seed := 1; seed <= 6; seed++ {
			fmt.Fprintf(&b, "sample: %d\nseed: %d\nkernel: %s\nkernel-release: %s\n%sUnit instrs/op better=lower assume=exact lines=lowest\n%sPASS\n",
				seed, seed, kernel, kernel, head, lines)
		}
		tooltest.MustWrite(t, filepath.Join(dir, kernel+".txt"), b.String())
	}
	return dir
}

const counted = "clock: instrs\nharness: a1\ngoarch: amd64\n"

// Wrong usage and results that cannot be used exit with status 2 and say what to
// do. A page that was there stays as it was.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "page.html")
	tooltest.MustWrite(t, out, "the page before")
	check := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("page %q: exit status %d, %q, on stdout %q; want 2 and %q", args, code, &stderr, &stdout, want)
		}
		if got := tooltest.MustRead(t, out); got != "the page before" {
			t.Errorf("page %q wrote %.100q", args, got)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(baselines, "6.12.txt")
	text := tooltest.MustRead(t, whole)
	cut := filepath.Join(dir, "cut.txt")
	tooltest.MustWrite(t, cut, text[:len(text)/2])
	again := filepath.Join(dir, "copy.txt")
	tooltest.MustWrite(t, again, text)
	check("want files or directories of results")
	check("the file's name is empty", "-o", "", whole)
	check("no such file", "-o", filepath.Join(dir, "none", "page.html"), whole)
	fifo := filepath.Join(dir, "fifo.txt")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	check("fifo.txt: is a device or a pipe, which cannot be read twice", "-o", out, whole, fifo)
	check("is a directory: name a file in it", "-o", dir, whole)
	check("is a device or a pipe: name a file", "-o", fifo, whole)
	check("copy.txt is one of the results: the page would replace it", "-o", again, dir+"/copy.txt")
	check("no such file", "-o", out, "none.txt")
	check("no results files (*.txt) in it", "-o", out, empty)
	check("cut.txt:", "-o", out, whole, cut)
	check("are the same file or copies of it", "-o", out, whole, again)
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if tooltest.MustRead(t, again) != text {
		t.Error("the page has replaced a file of results")
	}
}

// What is in the page is said in plain words, for one kernel as well.
func TestTell(t *testing.T) {
	p := mustLoad(t, filepath.Join(baselines, "6.12.txt"))
	var b bytes.Buffer
	if err := p.tell(&b, "page.html", 2048); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("page.html: 1 kernel, %d rows of figures, 2 KB\n", len(p.Settings[0].Rows)); b.String() != want {
		t.Errorf("got %q, want %q", &b, want)
	}
}

// The page of five kernels is small, and the same results make the same bytes.
func TestSize(t *testing.T) {
	first := tooltest.MustRead(t, five(t))
	once, again := tooltest.MustRead(t, build(t, two...)), tooltest.MustRead(t, build(t, two...))
	if once != again {
		t.Error("two pages of the same results differ")
	}
	if n := len(first); n > 1_000_000 {
		t.Errorf("%d bytes, want at most 1 MB", n)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="[^#][^"]*"|url\(|@import`).FindAllString(first, -1) {
		t.Errorf("the page loads something: %s", m)
	}
}

// Medians, intervals and verdicts are the gate's.
func TestAgreesWithTheGate(t *testing.T) {
	s := judged(t).Settings[0]
	r, err := gate.Compare(two[0], two[1], gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pairs) != 1 || len(s.Rows) != len(r.Comparisons) {
		t.Fatalf("%d pairs and %d rows, want 1 and the gate's %d comparisons", len(s.Pairs), len(s.Rows), len(r.Comparisons))
	}
	p := s.Pairs[0]
	if p.Outcome != string(r.Outcome) || p.Summary != r.Summary() || len(p.Changes) != len(r.Comparisons) {
		t.Errorf("%s, %s, %d changes; the gate says %s, %s, %d", p.Outcome, p.Summary, len(p.Changes), r.Outcome, r.Summary(), len(r.Comparisons))
	}
	bound := func(v *float64, otherwise float64) float64 {
		if v == nil {
			return otherwise
		}
		return *v
	}
	for i, c := range r.Comparisons {
		got := p.Changes[i]
		row := s.Rows[got.Row]
		if row.Name != c.Name || row.Unit != c.Unit || got.Verdict != string(c.Verdict) || row.Better != c.Better {
			t.Errorf("place %d: %s %s %s, the gate has %s %s %s", i, row.Name, row.Unit, got.Verdict, c.Name, c.Unit, c.Verdict)
		}
		for side, want := range map[int]gate.Summary{p.Old: c.Old, p.New: c.New} {
			f := row.Figures[side]
			if f.Median != want.Median || f.N != want.N || bound(f.Lo, math.Inf(-1)) != want.Lo || bound(f.Hi, math.Inf(1)) != want.Hi {
				t.Errorf("%s %s on %s: %+v, the gate has %+v", row.Name, row.Unit, s.Kernels[side].Label, f, want)
			}
		}
	}
}

// Kernels are in the order of their versions. What a kernel lacks is missing,
// and a zero is a zero.
func TestOrderAndMissing(t *testing.T) {
	dir := write(t, counted, map[string]string{
		"6.18.1":     "BenchmarkA 100 5 instrs/op\n",
		"6.6.3":      "BenchmarkA 100 7 instrs/op 0 delivered/op\nBenchmarkB 100 3 instrs/op\n",
		"6.18.0-rc2": "BenchmarkA 100 6 instrs/op\n",
	})
	s := mustLoad(t, dir).Settings[0]
	var labels []string
	for _, k := range s.Kernels {
		labels = append(labels, k.Label)
	}
	if got := strings.Join(labels, " "); got != "6.6.3 6.18.0-rc2 6.18.1" {
		t.Errorf("kernels in the order %s", got)
	}
	for _, r := range s.Rows {
		if r.Name == "B" && (r.Figures[0] == nil || r.Figures[1] != nil || r.Figures[2] != nil) {
			t.Errorf("B: %v", r.Figures)
		}
		if r.Unit == "delivered/op" && (r.Figures[0] == nil || r.Figures[0].Median != 0 || r.Figures[1] != nil) {
			t.Errorf("delivered/op: %v", r.Figures)
		}
	}
	html := tooltest.MustRead(t, build(t, dir))
	if !strings.Contains(html, `<td class="n">no figure</td>`) {
		t.Error("the table of all figures does not say where there is none")
	}
}

// Two clocks, two harnesses: apart, and the page and the verb say so.
func TestSettings(t *testing.T) {
	lines := map[string]string{"6.12": "BenchmarkA 100 5 instrs/op\n", "6.18": "BenchmarkA 100 6 instrs/op\n"}
	one, other := write(t, counted, lines), write(t, strings.Replace(counted, "a1", "b2", 1), lines)
	host := filepath.Join(t.TempDir(), "host.txt")
	tooltest.MustWrite(t, host, "goos: linux\nBenchmarkA 100 50 ns/op\nPASS\n")
	p := mustLoad(t, one, other, host)
	if len(p.Settings) != 3 || strings.Join(p.Apart(), " ") != "clock goos goarch harness" {
		t.Fatalf("%d settings, which differ in %q", len(p.Settings), p.Apart())
	}
	if want := "clock instrs, goos none, goarch amd64, harness b2"; p.Settings[1].Name != want {
		t.Errorf("the second setting is %s, want %s", p.Settings[1].Name, want)
	}
	var stdout, stderr bytes.Buffer
	out := filepath.Join(t.TempDir(), "page.html")
	if code := tooltest.Verb(t.Context(), &verb, []string{"-o", out, one, other, host}, &stdout, &stderr); code != 0 ||
		!strings.Contains(stdout.String(), "3 settings, which cannot be compared, are shown apart") {
		t.Errorf("exit status %d, %s%s", code, &stdout, &stderr)
	}
	if !strings.Contains(tooltest.MustRead(t, out), "These results are of 3 settings that cannot be compared") {
		t.Error("the page does not say that results are apart")
	}
}

// What the gate refuses to compare has no verdict, and the reason.
func TestNoVerdict(t *testing.T) {
	dir := t.TempDir()
	for i, kernel := range []string{"6.12", "6.18"} {
		text := fmt.Sprintf("kernel: %s\nkernel-release: %s\n%sseed: 1\nUnit instrs/op better=lower\nBenchmarkA 100 %d instrs/op\nPASS\n", kernel, kernel, counted, 5+i)
		tooltest.MustWrite(t, filepath.Join(dir, kernel, "a.txt"), text)
		tooltest.MustWrite(t, filepath.Join(dir, kernel, "b.txt"), "# another\n"+text)
	}
	p := mustLoad(t, dir).Settings[0].Pairs[0]
	if p.Outcome != string(gate.Unreadable) || !strings.Contains(p.Summary, "have the same seed") || p.Changes != nil {
		t.Errorf("%+v", p)
	}
}

// A count's ways are its values, with the number of samples of each.
func TestWays(t *testing.T) {
	got := ways([]float64{9406, 9340, 9406, 9500, 9340, 9406})
	if want := []Way{{9406, 3}, {9340, 2}, {9500, 1}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := ways([]float64{3, 3, 3}); got != nil {
		t.Errorf("%v of one value", got)
	}
}

// A benchmark that failed has no figure, and the page says why.
func TestFailures(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.txt")
	tooltest.MustWrite(t, file, counted+"BenchmarkA 100 5 instrs/op\n--- FAIL: BenchmarkB\n    5 sent, 4 <b>received</b>\nFAIL\n")
	if html := tooltest.MustRead(t, build(t, file)); !strings.Contains(html, "BenchmarkB failed: 5 sent, 4 &lt;b&gt;received&lt;/b&gt;") {
		t.Error("the page does not list the failure")
	}
}

// hostile are names of benchmarks that mean something to HTML, to scripts or to
// a terminal.
var hostile = []string{
	"X<script>bad()</script>", "X</script><script>bad()</script>", `X"onload="bad()`, "X'+bad()+'", "X<!--<script>", "X\u202ebad",
	"X&lt;", "X/k=<img_src=x_onerror=bad()>", "X${bad()}", "X{{.}}", "X]]>",
}

func hostilePage(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	for i, name := range hostile {
		fmt.Fprintf(&lines, "Benchmark%s 100 %d instrs/op\n", name, 10+i)
	}
	return build(t, write(t, counted+"cmdline: <script>bad()</script> \u2028bad()\n", map[string]string{
		"6.12": lines.String(), "6.18<img_onerror=bad()>": strings.ReplaceAll(lines.String(), " 100 1", " 100 2"),
	}))
}

// No name gets into the page as markup, and each is there.
func TestHostileNames(t *testing.T) {
	html := tooltest.MustRead(t, hostilePage(t))
	if n := strings.Count(html, "<script"); n != 3+strings.Count(uPlotJS, "<script") {
		t.Errorf("%d scripts begin", n)
	}
	if strings.Contains(html, "<img") || strings.Contains(html, "\u2028") || strings.Contains(html, "\u202e") {
		t.Error("a name is there as it was")
	}
	_, data, _ := strings.Cut(html, `id="data">`)
	data, _, _ = strings.Cut(data, "</script>")
	var p Page
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Settings[0].Rows); n != len(hostile) {
		t.Errorf("%d rows, want %d", n, len(hostile))
	}
}

// Figures have the digits that they are read by.
func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {12008, "12,008"}, {1234567.8, "1,234,568"}, {260.9, "260.9"}, {1276.4, "1,276.4"}, {0.99, "0.990"}, {3.14159, "3.14"},
		{27.5, "27.5"}, {0.0012345, "0.00123"}, {0.00000123, "1.23e-06"}, {-1276, "-1,276"}, {7, "7"},
	} {
		if got := number(c.v); got != c.want {
			t.Errorf("number(%v) = %s, want %s", c.v, got, c.want)
		}
	}
}

// Text stands out from its ground as WCAG asks for, 4.5 to 1, and what is drawn
// 3 to 1, in light and in dark.
func TestContrast(t *testing.T) {
	blocks := regexp.MustCompile(`(?s)--bg.*?\}`).FindAllString(cssText, 2)
	if len(blocks) != 2 {
		t.Fatalf("%d palettes in page.css, want light and dark", len(blocks))
	}
	for i, block := range blocks {
		colors := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--([a-z0-9]+): #([0-9a-f]+);`).FindAllStringSubmatch(block, -1) {
			colors[m[1]] = luminance(t, m[2])
		}
		check := func(least float64, fore, back string) {
			a, b := colors[fore], colors[back]
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < least {
				t.Errorf("palette %d: %s on %s is %.2f to 1, want %v", i, fore, back, got, least)
			}
		}
		for _, back := range []string{"bg", "panel"} {
			for _, fore := range []string{"fg", "soft", "link", "worse", "better"} {
				check(4.5, fore, back)
			}
		}
		for n := range 6 {
			check(3, fmt.Sprintf("c%d", n), "bg")
		}
	}
}

// luminance returns the relative luminance of WCAG.
func luminance(t *testing.T, hex string) (l float64) {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}
