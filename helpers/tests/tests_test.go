//go:build linux

package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/cli"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/tooltest"
)

// mustModule makes a module of packages whose tests are given, and goes there.
func mustModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "go.mod"), "module example\n\ngo 1.26\n")
	for name, text := range files {
		tooltest.MustWrite(t, filepath.Join(dir, name), text)
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
}

const head = "package p\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n\t\"time\"\n)\n\nvar (\n\t_ = fmt.Sprint\n\t_ = os.Exit\n\t_ time.Time\n)\n\n"

// A buffer may be written to by several: go test's own words and what is made
// of its events come by different ways.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// elapsed and pointers differ from run to run.
var varying = regexp.MustCompile(`[0-9.]+s\b|0x[0-9a-f]+|\+0x[0-9a-f]+|goroutine [0-9]+`)

// What is printed is what go test prints, and so is the status.
func TestSameAsGoTest(t *testing.T) {
	check := func(wantStatus int, packages map[string]string) {
		t.Helper()
		files := map[string]string{"none/none.go": "package none\n"}
		for name, body := range packages {
			files[name+"/p_test.go"] = head + body
		}
		mustModule(t, files)
		// One package after the other, for an order that stays.
		want, err := exec.Command("go", "test", "-p=1", "-count=1", "./...").Output()
		if status := tooltest.ExitStatus(t, err); status != wantStatus {
			t.Fatalf("go test: exit status %d, want %d", status, wantStatus)
		}
		var stdout, stderr buffer
		if got := tooltest.Verb(t.Context(), &verb, []string{"-p=1"}, &stdout, &stderr); got != wantStatus {
			t.Errorf("exit status %d, go test's is %d", got, wantStatus)
		}
		got := block.ReplaceAllString(stdout.String(), "")
		if got == stdout.String() {
			t.Error("nothing is said of what was not tried")
		}
		if got, want := varying.ReplaceAllString(got, "#"), varying.ReplaceAllString(string(want), "#"); got != want {
			t.Errorf("printed\n%s\ngo test prints\n%s\n%s", got, want, &stderr)
		}
	}
	check(0, map[string]string{"passing": `func TestA(t *testing.T) { t.Log("a"); fmt.Println("said") }`})
	check(1, map[string]string{
		"failing": `func TestA(t *testing.T) { t.Log("fine") }
func TestB(t *testing.T) { t.Log("first"); t.Error("wrong\nin two lines") }
func TestC(t *testing.T) { t.Skip("not today") }`,
		"subtests": `func TestA(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Error("wrong"); t.Run("deeper", func(t *testing.T) { t.Fatal("too") }) })
	t.Error("after them")
}`,
		"main": `func TestMain(m *testing.M) { m.Run(); fmt.Fprintln(os.Stderr, "leak: something"); os.Exit(3) }
func TestA(t *testing.T) {}`,
		"passing": `func TestA(t *testing.T) {}`,
		"nobuild": `func TestA(t *testing.T) { nonesuch() }`,
		"vet":     `func TestA(t *testing.T) { fmt.Printf("%d\n", "x") }`,
	})
}

var verb = cli.Verb{Manual: tooltest.Manual("test"), Raw: true, New: New}

// block is what follows go test's own words.
var block = regexp.MustCompile(`(?m)^(nothing was left out|not tried here)[^\n]*\n(  .*\n)*\z`)

// A test that ends its process has said why.
func TestPanic(t *testing.T) {
	check := func(body string, want ...string) {
		t.Helper()
		mustModule(t, map[string]string{"p_test.go": head + body})
		var stdout, stderr buffer
		if got := tooltest.Verb(t.Context(), &verb, nil, &stdout, &stderr); got != 1 {
			t.Errorf("exit status %d", got)
		}
		for _, w := range append(want, "FAIL\texample\t") {
			if !strings.Contains(stdout.String(), w) {
				t.Errorf("no %q in\n%s\n%s", w, &stdout, &stderr)
			}
		}
	}
	check(`func TestA(t *testing.T) { t.Log("before"); panic("at the disco") }`, "panic: at the disco", "before", "p_test.go:16")
	check(`func TestA(t *testing.T) { fmt.Println("before"); os.Exit(7) }`, "before")
}

// Each skip is counted once: those that say what is missing by that, rows and
// others by their reasons.
func TestBlock(t *testing.T) {
	check := func(body, want string) {
		t.Helper()
		mustModule(t, map[string]string{"p_test.go": head + body})
		var stdout, stderr buffer
		if got := tooltest.Verb(t.Context(), &verb, nil, &stdout, &stderr); got != 0 {
			t.Errorf("exit status %d", got)
		}
		if _, got, _ := strings.Cut(stdout.String(), "\n"); got != want {
			t.Errorf("printed\n%swant\n%s%s", got, want, &stderr)
		}
	}
	check(`
const gone = "not tried here: guests: no QEMU 10 (apt install qemu-system-x86): exec: not found in $PATH"

func TestA(t *testing.T) { t.Skip(gone) }
func TestB(t *testing.T) { t.Run("one", func(t *testing.T) { t.Skip(gone) }); t.Run("two", func(t *testing.T) { t.Log(gone); t.Log(gone) }) }
func TestC(t *testing.T) { t.Skip("nothing was asked for: go test -run TestC -old x") }
func TestD(t *testing.T) { t.Skip("not today") }
func TestScripts(t *testing.T) { t.Run("one", func(s *testing.T) { t.Log(gone); s.Skip("WORK=$WORK") }) }
func TestRows(t *testing.T) {
	t.Run("EFD-01", func(t *testing.T) { t.Skip("privilege: new namespaces") })
	t.Run("EFD-02", func(t *testing.T) { t.Skip("privilege: new namespaces") })
	t.Run("EFD-03", func(t *testing.T) {})
}
func TestMain(m *testing.M) { code := m.Run(); fmt.Println("behaviours: 3 rows: 1 held, 0 broken, 2 skipped (privilege 2)"); os.Exit(code) }
`, `not tried here, of 6 tests, 3 rows: 1 held, 0 broken, 2 skipped (privilege 2):
  guests: 4 tests, no QEMU 10 (apt install qemu-system-x86)
  rows: 2 rows, privilege: new namespaces
  others: 1 test, not today
`)
	check(`
func TestA(t *testing.T) { t.Skip("not tried here: guests: a minute of boots (EVENTBENCH_REQUIRE_GUEST=1)") }
func TestB(t *testing.T) {
	t.Run("EFD-01", func(t *testing.T) { t.Skip("privilege: the clock is not this test's: run it in a guest (go tool eventbench guest)") })
}
`, "not tried here: guests: 1 test, a minute of boots (EVENTBENCH_REQUIRE_GUEST=1); rows: 1 row, they change the machine (make behaviours has guests for that)\n")
	check("func TestA(t *testing.T) {}", "nothing was left out: 1 test\n")
}

// A result stands while its surroundings do, with what was said of skipped
// tests.
func TestCached(t *testing.T) {
	mustModule(t, map[string]string{
		"p_test.go":      head + `func TestA(t *testing.T) { os.WriteFile(t.TempDir()+"/file", nil, 0o666); t.Skip("not today") }`,
		"other/other.go": "package other\n",
	})
	t.Setenv("EVENTBENCH_REQUIRE_CC", "") // as CI does not have it
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	check := func(name string, want bool, args ...string) {
		t.Helper()
		var stdout, stderr buffer
		if got := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); got != 0 {
			t.Errorf("%s: exit status %d: %s", name, got, &stderr)
		}
		if got := strings.Contains(stdout.String(), "\t(cached)"); got != want {
			t.Errorf("%s: cached: %v, want %v:\n%s%s", name, got, want, &stdout, &stderr)
		}
		if !strings.Contains(stdout.String(), "not tried here: others: 1 test, not today") {
			t.Errorf("%s: the skip is not counted:\n%s", name, &stdout)
		}
	}
	check("first", false)
	check("again", true)
	check("asked to run", false, "-count=1")
	tooltest.MustWrite(t, filepath.Join(bin, "cc"), "#!/bin/sh\nexit 1\n")
	if err := os.Chmod(filepath.Join(bin, "cc"), 0o755); err != nil {
		t.Fatal(err)
	}
	check("with a compiler that does not compile", false)
	check("again", true)
	tooltest.MustWrite(t, "other/other.go", "package other // changed\n")
	check("another package changed", false)
	t.Setenv("EVENTBENCH_REQUIRE_CC", "1")
	check("a compiler is required", false)
}

// Runs at the same time have a directory each; what a killed run left is
// removed.
func TestTemporary(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	one, remove, err := temporary()
	if err != nil {
		t.Fatal(err)
	}
	tooltest.MustWrite(t, filepath.Join(one, "a", "file"), "left")
	two, removeTwo, err := temporary()
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Errorf("both have %s", one)
	}
	removeTwo()
	remove()
	tooltest.MustBeEmpty(t, os.Getenv("TMPDIR"))
	tooltest.MustWrite(t, filepath.Join(one, "a", "file"), "left")
	again, remove, err := temporary()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if again != one {
		t.Errorf("%s is not used again: got %s", one, again)
	}
	tooltest.MustBeEmpty(t, one)
}

// A variable that is misspelt would require nothing.
func TestUnknownVariable(t *testing.T) {
	t.Setenv("EVENTBENCH_REQUIRE_GUESTS", "1")
	var stdout, stderr buffer
	if got := tooltest.Verb(t.Context(), &verb, nil, &stdout, &stderr); got != 2 || !strings.Contains(stderr.String(), "EVENTBENCH_REQUIRE_GUESTS") ||
		!strings.Contains(stderr.String(), "EVENTBENCH_REQUIRE_GUEST,") {
		t.Errorf("exit status %d, %q, %q", got, &stdout, &stderr)
	}
}

// Stopped, it leaves neither a process nor a file.
func TestStopped(t *testing.T) {
	mustModule(t, map[string]string{"p_test.go": head + `func TestA(t *testing.T) {
	os.WriteFile(t.TempDir()+"/file", nil, 0o666)
	os.WriteFile(os.Getenv("STARTED"), []byte(fmt.Sprint(os.Getpid())), 0o666)
	time.Sleep(time.Minute)
}`})
	tmp := t.TempDir()
	started := filepath.Join(t.TempDir(), "started")
	t.Setenv("TMPDIR", tmp)
	t.Setenv("STARTED", started)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan int)
	var stdout, stderr buffer
	go func() { done <- tooltest.Verb(ctx, &verb, nil, &stdout, &stderr) }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if text, _ := os.ReadFile(started); len(text) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the test has not started: %s%s", &stdout, &stderr)
		}
	}
	cancel(interrupt.Error{Signal: syscall.SIGTERM})
	if got := <-done; got != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d: %s%s", got, &stdout, &stderr)
	}
	tooltest.MustBeEmpty(t, tmp)
}
