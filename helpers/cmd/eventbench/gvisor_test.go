//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/gvisor"
	"eventbench/helpers/need"
	"eventbench/helpers/process"
	"eventbench/helpers/tooltest"
)

// The tests in this file run programs under gVisor.

// What the program prints and its status are the tool's; it is on another
// kernel, as root, where the caller is; and what it writes is gone.
func TestSandboxRun(t *testing.T) {
	needRunsc(t)
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "data"), "from the host\n")
	stdout, stderr := bin.Run(t, "eventbench", dir, []string{"EVENTBENCH_CONFIG=lab: attic\nsandbox: none"}, 3,
		"gvisor", bin.Path("prog"), "kernel", "out=hello", "err=oops", "cat=data", "write=new:text", "cat=new", "getenv=EVENTBENCH_CONFIG", "exit=3")
	if stderr != "oops\n" {
		t.Errorf("standard error %q", stderr)
	}
	for _, want := range []string{
		"release 4.19.0-gvisor, uid 0, dir " + dir + "\n", "hello\n", "from the host\n", "text\n",
		`"lab: attic\nsandbox: gvisor ` + gvisor.Release() + `-systrap\nhost-kernel-release: `,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in standard output:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "sandbox: none") {
		t.Errorf("the caller's word on the sandbox arrived: %s", stdout)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the program wrote came to the host: %v", err)
	}
}

// A signal's end is 128 and its number, and a time limit is no status at all.
func TestSandboxEnds(t *testing.T) {
	needRunsc(t)
	t.Parallel() // one of them waits for its deadline
	prog := bin.Path("prog")
	bin.Run(t, "eventbench", t.TempDir(), nil, 128+9, "gvisor", prog, "kill=9")
	stdout, stderr := bin.Run(t, "eventbench", t.TempDir(), nil, process.NoStatus, "gvisor", "-timeout", "20s", prog, "out=ready", "hang")
	if stdout != "ready\n" || !strings.Contains(stderr, "SIGQUIT") || !strings.Contains(stderr, prog+": stopped at -timeout 20s") {
		t.Errorf("printed %q, standard error:\n%s", stdout, stderr)
	}
	tooltest.MustWrite(t, bin.Path("script"), "#!/no/such/interpreter\n")
	if err := os.Chmod(bin.Path("script"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, stderr = bin.Run(t, "eventbench", t.TempDir(), nil, process.NoStatus, "gvisor", bin.Path("script"))
	if !strings.Contains(stderr, "not run to its end: runsc: ") {
		t.Errorf("standard error:\n%s", stderr)
	}
}

// However the tool ends, no process of the sandbox stays, and no file.
func TestSandboxStopped(t *testing.T) {
	needRunsc(t)
	check := func(name string, stop func(cmd *exec.Cmd) error, want int) {
		t.Run(name, func(t *testing.T) {
			cmd, tmp := bin.Command(t, "eventbench", t.TempDir(), nil, "gvisor", bin.Path("prog"), "out=ready", "hang")
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			tooltest.MustStart(t, cmd)
			if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
				t.Fatalf("standard output %q, %v", line, err)
			}
			if err := stop(cmd); err != nil {
				t.Fatal(err)
			}
			if got := tooltest.ExitStatus(t, cmd.Wait()); got != want {
				t.Errorf("exit status %d, want %d", got, want)
			}
			mustBeGone(t, "TMPDIR="+tmp)
			tooltest.MustBeEmpty(t, tmp)
		})
	}
	check("interrupt", func(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGINT) }, 128+int(syscall.SIGINT))
	check("killed", func(cmd *exec.Cmd) error { return cmd.Process.Kill() }, -1)
}

// An ordinary user's sandbox is in a user namespace; where there are none, the error says
// what to do.
func TestSandboxOrdinaryUser(t *testing.T) {
	needRunsc(t)
	need.Need(t, need.HasRoot) // to become somebody else
	cache, err := gvisor.UserCache()
	if err != nil {
		t.Fatal(err)
	}
	r, _ := cache.Find()
	image, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	// Where root's own cache is, others do not get at it.
	runsc := bin.Path("runsc")
	if err := os.WriteFile(runsc, image, 0o755); err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "gvisor-test-home")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	const nobody = 65534
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin.Path("eventbench"), "gvisor", "-runsc", runsc, bin.Path("prog"), "kernel", "exit=4")
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=", "TMPDIR="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	switch status := tooltest.ExitStatus(t, cmd.Run()); status {
	case 4:
		if !strings.Contains(stdout.String(), "-gvisor, uid 0, ") {
			t.Errorf("standard output %q", &stdout)
		}
	case process.NoStatus:
		if !strings.Contains(stderr.String(), "allow user namespaces: sysctl ") {
			t.Errorf("standard error:\n%s", &stderr)
		}
		t.Logf("no user namespaces here: %s", &stderr)
	default:
		t.Errorf("exit status %d, standard error:\n%s", status, &stderr)
	}
}

// The way most will use the tool: tests and benchmarks of a package, with its
// files, and profiles brought out.
func TestSandboxGoTestExec(t *testing.T) {
	needRunsc(t)
	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "go.mod"), "module example\n\ngo 1.26\n")
	tooltest.MustWrite(t, filepath.Join(dir, "testdata", "data"), "data")
	tooltest.MustWrite(t, filepath.Join(dir, "x_test.go"), `package example

import (
	"os"
	"testing"
)

func TestData(t *testing.T) {
	data, err := os.ReadFile("testdata/data")
	if string(data) != "data" || err != nil {
		t.Errorf("testdata: %q, %v", data, err)
	}
}

func BenchmarkGetppid(b *testing.B) {
	for b.Loop() {
		os.Getppid()
	}
}
`)
	cmd := exec.Command("go", "test", "-v", "-bench", ".", "-benchtime", "100x", "-memprofile", "mem.prof",
		"-exec", bin.Path("eventbench")+" gvisor", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("go test: %v", err)
	}
	for _, want := range []string{"--- PASS: TestData", "\nBenchmarkGetppid", " 100\t", "\nok  \texample"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in the output", want)
		}
	}
	if profile, err := os.ReadFile(filepath.Join(dir, "mem.prof")); !bytes.HasPrefix(profile, []byte("\x1f\x8b")) {
		t.Errorf("mem.prof: %d bytes, %v", len(profile), err)
	}
	if t.Failed() {
		t.Logf("output:\n%s", out)
	}
}

// needRunsc skips a test that has no sandbox to start.
func needRunsc(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts sandboxes")
	}
	need.Need(t, need.HasRunsc)
	need.Need(t, need.HasSandbox)
}

// mustBeGone waits until no process has the variable in its environment, as all have that
// the tool starts.
func mustBeGone(t *testing.T, variable string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(tooltest.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		names, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			t.Fatal(err)
		}
		left = left[:0]
		for _, name := range names {
			environ, _ := os.ReadFile(name) // of others, or of one that has just ended: nothing
			if bytes.Contains(environ, []byte(variable+"\x00")) {
				cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
				left = append(left, strings.ReplaceAll(string(cmdline), "\x00", " "))
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("still there: %q", left)
}
