//go:build linux

package page

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eventbench/helpers/gate"
	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var screenshots = flag.String("screenshots", "", "write pictures of the pages into `directory`")

// A browser is one Chromium for all tests.
var browser struct {
	once sync.Once
	ctx  context.Context
	stop func()
}

func TestMain(m *testing.M) {
	status := m.Run()
	if common.dir != "" {
		os.RemoveAll(common.dir)
	}
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(status)
}

// common is the page of the five recorded kernels, for all tests.
var common struct {
	once sync.Once
	dir  string
	load sync.Once
	page *Page
}

// two are recorded kernels, one pair: a verdict takes a while, above all under
// the race detector.
var two = []string{filepath.Join(baselines, "6.12.txt"), filepath.Join(baselines, "6.18.txt")}

// judged is the page of the two.
func judged(t *testing.T) *Page {
	t.Helper()
	common.load.Do(func() { common.page = mustLoad(t, two...) })
	return common.page
}

func five(t *testing.T) string {
	t.Helper()
	common.once.Do(func() {
		dir, err := os.MkdirTemp("", "page-")
		if err != nil {
			t.Fatal(err)
		}
		common.dir = dir
		html := tooltest.MustRead(t, build(t, baselines))
		tooltest.MustWrite(t, filepath.Join(dir, "page.html"), html)
	})
	return filepath.Join(common.dir, "page.html")
}

// A tab shows a page.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // errors on the console, and what it loads
}

// show opens the page at path in a new tab. Everything that goes to the console
// as an error, and everything that it loads but itself, fails the test.
func show(t *testing.T, path, hash string, actions ...step) *tab {
	t.Helper()
	need.Need(t, need.HasChromium)
	browser.once.Do(func() {
		alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(3*time.Minute))...)
		ctx, end := chromedp.NewContext(alloc)
		browser.ctx, browser.stop = ctx, func() { end(); stop() }
		if err := chromedp.Do(ctx); err != nil {
			t.Fatalf("chromium: %v", err)
		}
	})
	b := &tab{T: t}
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithListener(b.hear))
	// The tab lives as long as the context of its first use.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, late := context.WithTimeout(ctx, 10*time.Minute)
	b.ctx = ctx
	t.Cleanup(func() {
		late()
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("in the browser: %s", p)
		}
	})
	b.run(append([]step{
		call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), chromedp.EmulateViewport(1400, 1000)}, append(actions,
		chromedp.Navigate("file://"+path+hash), chromedp.WaitVisible(chromedp.CSS("#detail h3")))...)...)
	return b
}

// hear keeps what should not be.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
		if x := e.ExceptionDetails.Exception; x != nil {
			b.problems = append(b.problems, x.Description)
		}
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		b.problems = append(b.problems, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "file:///") || !strings.HasSuffix(strings.Split(e.Request.URL, "#")[0], ".html") {
			b.problems = append(b.problems, "it loads "+e.Request.URL)
		}
	}
}

// A step is an action without a result.
type step = chromedp.Action[chromedp.Void]

// call is a command of the protocol.
func call[P, R any](command cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (b *tab) run(actions ...step) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// eval returns what a script's expression is.
func eval[T any](b *tab, script string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.Fatalf("%s: %v", script, err)
	}
	return v
}

// pick chooses an option of a control as a user does.
func (b *tab) pick(control, value string) {
	b.Helper()
	if !eval[bool](b, fmt.Sprintf(`(() => { const s = document.getElementById(%q), o = [...s.options].find(o => o.text === %q); if (!o) return false;
		s.value = o.value; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`, control, value)) {
		b.Fatalf("%s offers no %q", control, value)
	}
}

const (
	namesScript = `[...document.querySelectorAll("#changes tbody button.name")].map(e => e.textContent)`
	titleScript = `document.getElementById("changes-heading").textContent`
	hashScript  = `location.hash`
	chartScript = `document.querySelector("#plot canvas").toDataURL()`
	tipScript   = `document.getElementById("tip").hidden ? "" : document.getElementById("tip").innerText`
)

// picture keeps a picture of what the window shows, if the tests are asked to.
func (b *tab) picture(name string) {
	b.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	tooltest.MustWrite(b, filepath.Join(*screenshots, name+".png"), string(png))
}

// dark makes the browser prefer a dark page.
func dark() step {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
}

// A user filters, picks two kernels, changes the scale, looks at a row; the
// address has it all, and another tab shows the same by it.
func TestChoices(t *testing.T) {
	path := five(t)
	b := show(t, path, "")
	b.picture("light")
	if got := eval[string](b, titleScript); got != "Changes from 6.18 to 7.3" {
		t.Errorf("begins with %q", got)
	}
	all := eval[[]string](b, namesScript)
	r, err := gate.Compare(filepath.Join(baselines, "6.18.txt"), filepath.Join(baselines, "7.3.txt"), gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gated := slices.DeleteFunc(r.Comparisons, func(c *gate.Comparison) bool { return !c.Gates })
	if len(all) != len(gated) {
		t.Errorf("%d rows, want the gate's %d", len(all), len(gated))
	}
	b.pick("f-mechanism", "Eventfd")
	names := eval[[]string](b, namesScript)
	if len(names) == 0 || len(names) >= len(all) {
		t.Errorf("%d rows of Eventfd", len(names))
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "Eventfd") {
			t.Errorf("Eventfd lists %s", name)
		}
	}
	b.pick("f-/peer", "process")
	b.pick("f-old", "6.12")
	b.pick("f-new", "5.10") // the wrong way round
	b.pick("f-unit", "instrs/op")
	if got := eval[string](b, titleScript); got != "Changes from 5.10 to 6.12" {
		t.Errorf("picked 5.10 and 6.12: %q", got)
	}
	before := eval[string](b, chartScript)
	b.pick("f-scale", "logarithmic")
	if eval[string](b, chartScript) == before {
		t.Error("the chart is the same on another scale")
	}
	b.run(chromedp.Click(chromedp.CSS(`#changes button.name`)))
	hash := eval[string](b, hashScript)
	q, err := url.ParseQuery(strings.TrimPrefix(hash, "#"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"mechanism": "Eventfd", "/peer": "process", "old": "5.10", "new": "6.12", "unit": "instrs/op", "scale": "log",
		"show": "EventfdRoundTrip/peer=process/cpus=same instrs/op"} {
		if q.Get(key) != want {
			t.Errorf("the address has %s=%q, want %q", key, q.Get(key), want)
		}
	}
	again := show(t, path, hash)
	state := `JSON.stringify([...document.querySelectorAll("select, input")].map(e => [e.id, e.value, e.checked])) + ` + titleScript + " + " + namesScript
	if got, want := eval[string](again, state), eval[string](b, state); got != want {
		t.Errorf("by the address:\n%s\nwant\n%s", got, want)
	}
	b.run(chromedp.Click(chromedp.CSS("#f-reset")))
	if got := eval[string](b, hashScript); got != "#old=6.18&new=7.3" {
		t.Errorf("after the reset: %s", got)
	}
	b.run(chromedp.SendKeys(chromedp.CSS("#f-name"), "timerfd"))
	if names := eval[[]string](b, namesScript); len(names) == 0 || !strings.HasPrefix(names[0], "Timerfd") {
		t.Errorf("names that contain timerfd: %q", names)
	}
	// An address of another page, or one that somebody broke, is not followed.
	eval[string](b, `location.hash = "#old=9.9&unit=%zz&mechanism=x&/peer=x&show=none&setting=other&scale=up"`)
	b.run(chromedp.WaitVisible(chromedp.CSS("#chart")))
	if names := eval[[]string](b, namesScript); len(names) != len(all) {
		t.Errorf("by an address that makes no sense: %d rows, want all %d", len(names), len(all))
	}
}

// Significant changes are listed in the gate's order, the others are folded.
func TestOrder(t *testing.T) {
	b := show(t, five(t), "#old=6.12&new=6.18")
	s := judged(t).Settings[0]
	var want []string
	for _, p := range s.Pairs {
		if s.Kernels[p.Old].Label == "6.12" && s.Kernels[p.New].Label == "6.18" {
			for _, c := range p.Changes {
				if c.Significant() && s.Rows[c.Row].Gates {
					want = append(want, s.Rows[c.Row].Name)
				}
			}
		}
	}
	got := eval[[]string](b, `[...document.querySelectorAll("#changes-body > .scroll tbody button.name")].map(e => e.textContent)`)
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(want) == 0 {
		t.Errorf("listed:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if eval[bool](b, `document.getElementById("rest").open`) {
		t.Error("what did not change is not folded")
	}
	// A second row comes on the chart beside the first, if it is of its unit.
	b.pick("f-unit", "instrs/op")
	b.run(chromedp.Click(chromedp.CSS(`#changes-body tr:nth-child(3) input`)))
	if n := eval[int](b, `document.querySelectorAll("#detail h3").length`); n != 2 {
		t.Errorf("%d rows are on the chart, want 2", n)
	}
	b.picture("two")
}

// Over a point there is what it rests on; arrow keys go from one to the next.
// Dragging zooms, and two clicks undo it.
func TestChart(t *testing.T) {
	b := show(t, five(t), "#show="+url.QueryEscape("EventfdRoundTrip/peer=process/cpus=same instrs/op"))
	before := eval[string](b, chartScript)
	type box struct{ X, Y, W, H float64 }
	over := eval[box](b, `(() => { const r = document.querySelector("#plot .u-over").getBoundingClientRect(); return {X: r.x, Y: r.y, W: r.width, H: r.height}; })()`)
	tip := ""
	for y := over.Y + 2; y < over.Y+over.H && !strings.Contains(tip, "seed"); y += 5 {
		b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, over.X+over.W*0.03, y))
		tip = eval[string](b, tipScript)
	}
	for _, want := range []string{"EventfdRoundTrip", "5.10", "seed", "n\n18", "95 % interval", "linux-image-5.10", "go1.", "harness", "command line", "go tool eventbench guest"} {
		if !strings.Contains(tip, want) {
			t.Errorf("the tip has no %q: %s", want, tip)
		}
	}
	b.picture("tip")
	b.run(chromedp.Focus(chromedp.CSS("#chart")), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	if tip := eval[string](b, tipScript); !strings.Contains(tip, "6.1") || !strings.Contains(eval[string](b, `document.getElementById("chart-said").textContent`), "median") {
		t.Errorf("after two arrow keys: %s", tip)
	}
	b.run(
		chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, over.X+over.W*0.3, over.Y+over.H*0.2, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, over.X+over.W*0.5, over.Y+over.H*0.5, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, over.X+over.W*0.7, over.Y+over.H*0.8, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, over.X+over.W*0.7, over.Y+over.H*0.8, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	if eval[string](b, chartScript) == before {
		t.Error("dragging does not zoom")
	}
	b.run(chromedp.Click(chromedp.CSS("#f-zoom")))
	if eval[string](b, chartScript) != before {
		t.Error("the zoom is not undone")
	}
}

// A button copies the command that makes a figure again; without a clipboard the
// command is there to be copied by hand.
func TestCopy(t *testing.T) {
	clipboard := func(body string) step {
		return call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `Object.defineProperty(navigator, "clipboard", {value: {writeText: async text => {` + body + `}}})`})
	}
	path := five(t)
	hash := "#show=" + url.QueryEscape("EventfdSelf instrs/op")
	const button = `#detail button[data-command]`
	b := show(t, path, hash, clipboard("window.copied = text"))
	b.run(chromedp.Click(chromedp.CSS(button)))
	got := eval[string](b, "window.copied")
	if !strings.HasPrefix(got, "go tool eventbench guest -kernel 5.10 -seed 1 ") || !strings.HasSuffix(got, " -test.bench='^BenchmarkEventfdSelf$'") {
		t.Errorf("copied %q", got)
	}
	b.run(chromedp.Click(chromedp.CSS(`#changes .tools button`)))
	if got := eval[string](b, "window.copied"); !strings.HasPrefix(got, "go tool eventbench gate ") || !strings.HasSuffix(got, "7.3.txt") {
		t.Errorf("copied %q", got)
	}
	b = show(t, path, hash, clipboard(`throw new Error("not allowed")`))
	b.run(chromedp.Click(chromedp.CSS(button)), chromedp.WaitVisible(chromedp.CSS("#detail textarea")))
	if got := eval[string](b, "getSelection().toString() || document.activeElement.value"); !strings.HasPrefix(got, "go tool eventbench guest ") {
		t.Errorf("selected to be copied: %q", got)
	}
}

// Every control has a name, nothing is wider than the window, and the page
// is there in dark, on a phone, on paper and without scripts.
func TestSurroundings(t *testing.T) {
	path := five(t)
	b := show(t, path, "")
	nameless := eval[[]string](b, `[...document.querySelectorAll("button, input, select, [tabindex='0']")].filter(e =>
		!(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()).map(e => e.outerHTML)`)
	if len(nameless) > 0 {
		t.Errorf("controls without a name: %q", nameless)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
	if err != nil || len(pdf) < 10_000 {
		t.Errorf("printed, it is of %d bytes, %v", len(pdf), err)
	}
	if *screenshots != "" {
		tooltest.MustWrite(t, filepath.Join(*screenshots, "print.pdf"), string(pdf))
	}
	b.run(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}), chromedp.EmulateViewport(720, 1000))
	if n := eval[int](b, `[...document.querySelectorAll("form, button.small, .tools")].filter(e => e.offsetHeight > 0).length`); n > 0 {
		t.Errorf("on paper there are %d things to click", n)
	}
	b.picture("print")
	if eval[bool](b, `"print" in document.documentElement.dataset`) {
		t.Error("after printing it still looks as on paper")
	}

	wide := `document.documentElement.scrollWidth - innerWidth`
	b = show(t, path, "", dark())
	if got := eval[string](b, `getComputedStyle(document.body).backgroundColor`); got != "rgb(20, 23, 27)" {
		t.Errorf("in the dark the ground is %s", got)
	}
	b.picture("dark")
	if n := eval[int](b, wide); n > 0 {
		t.Errorf("%d pixels wider than the window", n)
	}
	b = show(t, path, "", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	b.run(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	if n := eval[int](b, wide); n > 0 {
		t.Errorf("%d pixels wider than a phone", n)
	}
	b.picture("phone")
	eval[chromedp.Void](b, `document.getElementById("changes").scrollIntoView() || {}`)
	b.picture("phone-changes")

	ctx, cancel := chromedp.NewContext(browser.ctx)
	defer cancel()
	err = chromedp.Do(ctx, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}),
		chromedp.EmulateViewport(1400, 1000), chromedp.Navigate("file://"+path))
	if err != nil {
		t.Fatal(err)
	}
	text := eval[string](&tab{T: t, ctx: ctx}, `document.querySelector("main").innerText`)
	for _, want := range []string{"from 6.18 to 7.3: regression", "SignalfdEmpty", "All figures, as a table"} {
		if !strings.Contains(text, want) {
			t.Errorf("without scripts there is no %q", want)
		}
	}
	(&tab{T: t, ctx: ctx}).picture("noscript")
}

// One kernel: no verdicts, but its figures.
func TestOneKernel(t *testing.T) {
	path := filepath.Join(baselines, "6.12.txt")
	b := show(t, build(t, path), "")
	rows := len(mustLoad(t, path).Settings[0].Rows)
	if names := eval[[]string](b, namesScript); len(names) != rows {
		t.Errorf("%d rows, want %d", len(names), rows)
	}
	if text := eval[string](b, `document.getElementById("changes").innerText`); !strings.Contains(text, "nothing to compare") {
		t.Errorf("the page says %.200q", text)
	}
	b.picture("one")
}

// Hostile names are text: no script of theirs runs.
func TestHostileInBrowser(t *testing.T) {
	b := show(t, hostilePage(t), "#show="+url.QueryEscape("X<script>bad()</script> instrs/op"))
	if n := eval[int](b, `document.querySelectorAll("img, script:not([id]), [onload], [onerror]").length`); n != 2 {
		t.Errorf("%d scripts and the like, want the page's two", n)
	}
	names := eval[[]string](b, namesScript)
	if len(names) != len(hostile) {
		t.Errorf("%d names, want %d: %q", len(names), len(hostile), names)
	}
	for _, name := range []string{hostile[0], hostile[2], `X\u202ebad`} {
		found := false
		for _, n := range names {
			found = found || n == name
		}
		if !found {
			t.Errorf("%q is not among %q", name, names)
		}
	}
	if eval[string](b, `document.querySelector("#detail h3").textContent`) != hostile[0]+" instrs/op" {
		t.Error("the address with a hostile name is not followed")
	}
	b.picture("hostile")
}

// Settings: what is chosen of one is not carried to another.
func TestSettingsInBrowser(t *testing.T) {
	lines := map[string]string{"6.12": "BenchmarkA 100 5 instrs/op\n", "6.18": "BenchmarkA 100 6 instrs/op\n"}
	arm := write(t, strings.Replace(counted, "amd64", "arm64", 1), map[string]string{"7.3": "BenchmarkB 100 9 instrs/op\n"})
	path := build(t, write(t, counted, lines), write(t, strings.Replace(counted, "a1", "b2", 1), lines), arm)
	b := show(t, path, "")
	if !eval[bool](b, `document.getElementById("apart").offsetHeight > 0`) {
		t.Error("it does not say that results are apart")
	}
	b.picture("settings")
	b.pick("f-goarch", "arm64")
	if names := eval[[]string](b, namesScript); len(names) != 1 || names[0] != "B" {
		t.Errorf("of arm64: %q", names)
	}
	again := show(t, path, eval[string](b, hashScript))
	if names := eval[[]string](again, namesScript); len(names) != 1 || names[0] != "B" {
		t.Errorf("of arm64, by its address: %q", names)
	}
}

// Ten thousand benchmarks are a page that opens and can be filtered, and a
// kernel that lacks figures has none.
func TestMany(t *testing.T) {
	of := make(map[string]string)
	for i, kernel := range []string{"6.12", "6.18"} {
		var lines strings.Builder
		for n := range 10_000 {
			if i == 0 || n%2 == 0 {
				fmt.Fprintf(&lines, "BenchmarkMany/n=%d 100 %d instrs/op\n", n, 1000+n+i*(n%7))
			}
		}
		of[kernel] = lines.String()
	}
	dir := t.TempDir()
	for kernel, lines := range of {
		tooltest.MustWrite(t, filepath.Join(dir, kernel+".txt"), counted+"kernel: "+kernel+"\nUnit instrs/op better=lower assume=exact\n"+lines+"PASS\n")
	}
	b := show(t, build(t, dir), "")
	text := eval[string](b, `document.getElementById("changes").innerText`)
	if !strings.Contains(text, "In one of the two only: 5000") {
		t.Errorf("the page says %.300q", text)
	}
	b.run(chromedp.SetValue(chromedp.CSS("#f-name"), "n=9998"))
	eval[bool](b, `document.getElementById("f-name").dispatchEvent(new Event("input"))`)
	if names := eval[[]string](b, namesScript); len(names) != 1 || names[0] != "Many/n=9998" {
		t.Errorf("filtered: %q", names)
	}
}

// The script writes numbers as the tables do.
func TestNumberInBrowser(t *testing.T) {
	b := show(t, build(t, filepath.Join(baselines, "6.12.txt")), "#unit="+url.QueryEscape("(all)"))
	s := mustLoad(t, filepath.Join(baselines, "6.12.txt")).Settings[0]
	var want []string
	for _, r := range s.Rows {
		if f := r.Figures[0]; f != nil && !math.IsNaN(f.Median) {
			want = append(want, number(f.Median))
		}
	}
	got := eval[[]string](b, `[...document.querySelectorAll("#changes tbody td.n")].map(e => e.textContent)`)
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("the script shows\n%s\nthe tables\n%s", g, w)
	}
}
