//go:build linux

package bisect

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cli"
	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"
)

// The real tool bisects, for it runs the gate as a program.
var bin tooltest.Bin

func TestMain(m *testing.M) { bin.Main(m) }

var verb = cli.Verb{Manual: tooltest.Manual("bisect"), New: New}

// A flag that is wrong is named, and so is what it should be.
func TestUsage(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := tooltest.Verb(t.Context(), &verb, args, &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("bisect %q: exit status %d, %s; want 2 and %q", args, status, &stderr, want)
		}
	}
	check("-good: want a revision")
	check("-bench: want the benchmark", "-good", "a")
	check("want a static test binary", "-good", "a", "-bench", "A", "x", "y")
	check("-exec: is for trees that make test binaries", "-good", "a", "-bench", "A", "-exec", "e", "x")
	check("-config: is for kernels", "-good", "a", "-bench", "A", "-config", "c")
	check("-config and -build", "-good", "a", "-bench", "A", "-config", "c", "-build", "b", "x")
	check(`-bench "(": error parsing regexp`, "-good", "a", "-bench", "(")
	check("-image ../x: want a file in the tree", "-good", "a", "-bench", "A", "-image", "../x")
}

// A history is a git repository whose benchmark costs what a file says.
type history struct {
	t   *testing.T
	dir string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	need.Need(t, need.HasGit)
	h := &history{t, t.TempDir()}
	h.git("init", "--quiet", "--initial-branch=main")
	h.write("go.mod", "module history\n\ngo 1.26\n")
	h.write("cost_test.go", `package history

import (
	"fmt"
	"testing"
)

func TestMain(m *testing.M) {
	fmt.Println("Unit instrs/op better=lower assume=exact")
	m.Run()
}

func BenchmarkSelf(b *testing.B) {
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cost+more, "instrs/op")
}
`)
	h.write("cost.go", "package history\n\nconst cost = 1163\n")
	h.write("more.go", "package history\n\nconst more = 0\n")
	h.write(".gitignore", "*.test\n")
	h.commit("good")
	return h
}

func (h *history) git(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "git", append([]string{"-C", h.dir, "-c", "user.name=A", "-c", "user.email=a@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (h *history) write(name, text string) {
	h.t.Helper()
	tooltest.MustWrite(h.t, filepath.Join(h.dir, name), text)
}

// commit commits everything and returns the commit.
func (h *history) commit(subject string) string {
	h.t.Helper()
	h.git("add", ".")
	h.git("commit", "--quiet", "-m", subject)
	return h.git("rev-parse", "HEAD")
}

// harmless makes commits that change the program but no figure.
func (h *history) harmless(name string, n int) {
	for i := range n {
		h.write(name+".go", fmt.Sprintf("package history\n\nvar %s = %d\n\nfunc init() { println(%[1]s == -1) }\n", name, i))
		h.commit(fmt.Sprintf("%s: harmless %d", name, i))
	}
}

func (h *history) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), bin.Path("eventbench"), append([]string{"bisect", "-tree", h.dir, "-bench", "Self"}, args...)...)
	cmd.Dir = h.t.TempDir()
	return cmd
}

// run runs the tool and wants an exit status and a text in what it prints.
func (h *history) run(status int, want string, args ...string) (stdout, stderr string) {
	h.t.Helper()
	cmd := h.command(args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if got := tooltest.ExitStatus(h.t, cmd.Run()); got != status || !strings.Contains(out.String()+errs.String(), want) {
		h.t.Errorf("bisect %q: exit status %d, want %d; printed\n%s%s\nwant %q", args, got, status, &out, &errs, want)
	}
	return out.String(), errs.String()
}

// In a history with commits that do not build or run, a revert and a merge, the
// commit that adds three instructions is found. The user's tree stays as it is,
// and an interrupted search continues with the verdicts that it had.
func TestBisect(t *testing.T) {
	h := newHistory(t)
	h.harmless("early", 2)
	h.git("checkout", "--quiet", "-b", "side")
	h.harmless("side", 1)
	h.git("checkout", "--quiet", "main")
	h.write("more.go", "package history\n\nconst more = none\n")
	h.commit("does not build")
	h.git("revert", "--no-edit", "HEAD")
	h.git("merge", "--quiet", "--no-edit", "side")
	h.write("README.md", "text\n")
	h.commit("builds the same")
	h.write("cost.go", "package history\n\nconst cost = 1181\n")
	guilty := h.commit("costs more")
	h.write("crash.go", "package history\n\nfunc init() { panic(\"no\") }\n")
	h.commit("does not run")
	h.git("rm", "--quiet", "crash.go")
	h.commit("runs again")
	h.harmless("late", 1)
	before := h.git("status", "--porcelain", "--branch") + h.git("rev-parse", "HEAD")

	dir := t.TempDir()
	args := []string{"-good", ":/^good", "-strict", "-results", dir}
	stdout, stderr := h.run(0, "The first bad commit is\n\ncommit "+guilty, args...)
	for _, want := range []string{"1163", "1181", "costs more"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("what is found lacks %q:\n%s", want, stdout)
		}
	}
	if now := h.git("status", "--porcelain", "--branch") + h.git("rev-parse", "HEAD"); now != before {
		t.Errorf("the user's tree was\n%s\nand is\n%s", before, now)
	}
	if trees := h.git("worktree", "list"); strings.Count(trees, "\n") != 0 {
		t.Errorf("trees that are left: %s", trees)
	}
	// As after an interruption: what is known is not measured again.
	if again, said := h.run(0, "The first bad commit is\n\ncommit "+guilty, args...); again != stdout || strings.Contains(said, "building") || strings.Contains(said, "round 1/") {
		t.Errorf("the same command printed\n%s\nand said\n%s\nafter\n%s", again, said, stderr)
	}
	h.run(1, "is not worse than -good", "-good", ":/^good", "-bad", guilty+"^", "-results", dir)
}

// A search that could find nothing, or something wrong, does not begin.
func TestRefused(t *testing.T) {
	h := newHistory(t)
	good := h.git("rev-parse", "HEAD")
	h.git("checkout", "--quiet", "-b", "side")
	h.harmless("side", 1)
	h.git("checkout", "--quiet", "main")
	h.harmless("early", 1)
	h.run(2, "-good none: no such commit", "-good", "none")
	h.run(2, "are the same commit", "-good", "HEAD")
	h.run(1, "is no ancestor of -bad HEAD: name a commit that the bad one was made from, such as "+good, "-good", "side")
	h.run(1, "want a git tree", "-good", "HEAD", "-tree", t.TempDir())
	h.run(2, "would split the name at its blanks", "-good", good, "-results", "a b")
	h.run(1, "-build has made no image", "-good", good, "-build", "true")
	h.run(1, "-good "+good[:12]+": it does not build: no", "-good", good, "-build", "echo no; exit 1")
	clone := &history{t, filepath.Join(t.TempDir(), "clone")}
	h.git("clone", "--quiet", "--depth=1", "file://"+h.dir, clone.dir)
	clone.run(1, "git fetch --unshallow", "-good", "HEAD")
	if err := os.WriteFile(filepath.Join(h.dir, "cost.go"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	h.run(1, "has changes that no commit has, and so would not be measured, such as \"M cost.go\"", "-good", good)
}

// Where there are several such commits, because one was reverted, one of them is
// found, and none of those that made it good again.
func TestRevert(t *testing.T) {
	h := newHistory(t)
	var guilty []string
	for i := range 2 {
		h.write("more.go", "package history\n\nconst more = 18\n")
		guilty = append(guilty, h.commit("costs more"))
		h.harmless(fmt.Sprint("between", i), 1)
		h.write("more.go", "package history\n\nconst more = 0\n")
		h.commit("costs less")
	}
	h.git("revert", "--no-edit", "HEAD")
	guilty = append(guilty, h.git("rev-parse", "HEAD"))
	stdout, _ := h.run(0, "The first bad commit is", "-good", ":/^good", "-strict")
	if !slices.ContainsFunc(guilty, func(commit string) bool { return strings.Contains(stdout, "\ncommit "+commit) }) {
		t.Errorf("printed\n%s\nwant one of %s", stdout, guilty)
	}
}

// Interrupted while it builds or measures, it ends with the signal's status and
// leaves no process. The same command continues with what is known.
func TestInterrupt(t *testing.T) {
	h := newHistory(t)
	h.harmless("early", 1)
	h.write("cost.go", "package history\n\nconst cost = 1181\n")
	guilty := h.commit("costs more")
	h.harmless("late", 1)
	dir := t.TempDir()
	hold := filepath.Join(dir, "hold") // makes a build wait
	args := []string{"-good", ":/^good", "-strict", "-results", filepath.Join(dir, "results"),
		"-build", "if test -e " + hold + "; then echo $$ >" + dir + "/pid; sleep 1000; fi; CGO_ENABLED=0 go test -c -o bisect.test ."}
	interrupt := func(at string) string {
		t.Helper()
		cmd := h.command(args...)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd.Stderr = w
		tooltest.MustStart(t, cmd)
		w.Close()
		var said strings.Builder
		for lines := bufio.NewScanner(r); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if strings.Contains(lines.Text(), at) {
				cmd.Process.Signal(os.Interrupt)
				at = "\x00" // once
			}
		}
		if status := tooltest.ExitStatus(t, cmd.Wait()); status != 130 {
			t.Errorf("exit status %d, want 130; it said\n%s", status, &said)
		}
		return said.String()
	}
	interrupt(": round 3/")
	said := interrupt(": bad: ")
	if strings.Count(said, "building") != 0 {
		t.Errorf("what was built is built again:\n%s", said)
	}
	tooltest.MustWrite(t, hold, "")
	interrupt("building")
	if pid, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil {
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
			t.Errorf("the build, process %s, is still there", pid)
		}
	}
	os.Remove(hold)
	_, said = h.run(0, "The first bad commit is\n\ncommit "+guilty, args...)
	if !strings.Contains(said, ": bad, as before: ") {
		t.Errorf("the verdict on the bad commit is forgotten:\n%s", said)
	}
	if trees := h.git("worktree", "list"); strings.Count(trees, "\n") != 0 {
		t.Errorf("trees that are left: %s", trees)
	}
}

// If the commits that could tell do not build, those that are left are named.
func TestSkipped(t *testing.T) {
	h := newHistory(t)
	h.write("more.go", "package history\n\nconst more = none\n")
	one := h.commit("does not build")
	h.write("more.go", "package history\n\nconst more = 5\n")
	two := h.commit("costs more")
	stdout, _ := h.run(1, "the first bad commit is one of the 2 above", "-good", ":/^good", "-strict")
	if !strings.Contains(stdout, one+" it does not build") || !strings.Contains(stdout, two) {
		t.Errorf("printed\n%s\nwant %s and %s", stdout, one, two)
	}
}
