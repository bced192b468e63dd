//go:build linux

package gvisor

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pseudo-version's time is the release, as in the names of gVisor's own.
func TestModuleRelease(t *testing.T) {
	check := func(version, want string) {
		t.Helper()
		if got := moduleRelease(version); got != want {
			t.Errorf("release of %s: %q, want %q", version, got, want)
		}
	}
	check("v0.0.0-20260905035102-160fafc42237", "20260905035102")
	check("v1.2.3", "v1.2.3")
	if got := Release(); len(got) != len("20260905035102") || strings.Trim(got, "0123456789") != "" {
		t.Errorf("the pinned release is %q, want a time", got)
	}
}

// A runsc's release is what it says, and of one that does not say the start of
// its content's hash, so that two builds are never taken for one.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	check := func(name, script, release, failure string) {
		t.Helper()
		path := filepath.Join(dir, name)
		mustWrite(t, path, "#!/bin/sh\n"+script+"\n", 0o755)
		r, err := Inspect(t.Context(), path)
		if failure != "" {
			if err == nil || !strings.Contains(err.Error(), failure) {
				t.Errorf("%s: %v, want %q", name, err, failure)
			}
			return
		}
		if err != nil || r.Path != path || !strings.HasPrefix(r.Release, release) {
			t.Errorf("%s: %+v, %v; want release %s", name, r, err, release)
		}
	}
	check("official", "echo runsc version release-20260901.0; echo spec: 1.2.1", "release-20260901.0", "")
	check("silent", "echo runsc version VERSION_MISSING", "build-", "")
	check("other", "echo crun version 1.2", "", `is not a runsc that runs here: runsc --version printed "crun version 1.2\n"`)
	check("failing", "exit 7", "", "exit status 7")
	one, err1 := Inspect(t.Context(), filepath.Join(dir, "silent"))
	mustWrite(t, filepath.Join(dir, "silent2"), "#!/bin/sh\necho runsc version VERSION_MISSING # another build\n", 0o755)
	two, err2 := Inspect(t.Context(), filepath.Join(dir, "silent2"))
	if err := errors.Join(err1, err2); err != nil || one.Release == two.Release {
		t.Errorf("two builds are both %q, %v", one.Release, err)
	}
}

// The program's files are the host's, its own writes are not, but for the
// directories that a test binary's flags name.
func TestSpec(t *testing.T) {
	s, err := newSpec([]string{"/bin/x", "-test.v"}, []string{"A=b"}, "/work", []string{"/out"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"ociVersion":"1.2.0"`, `"args":["/bin/x","-test.v"]`, `"env":["A=b"]`, `"cwd":"/work"`,
		`{"type":"bind","source":"/out","destination":"/out","options":["rw"]}`, `"namespaces":[{"type":"network"}]`,
		`"effective":["CAP_CHOWN",`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestOutputDirs(t *testing.T) {
	dir := t.TempDir()
	check := func(args, env []string, want ...string) {
		t.Helper()
		got, err := outputDirs(args, env, dir)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %q with %q: %q, %v; want %q", args, env, got, err, want)
		}
		for _, d := range got {
			if fi, err := os.Stat(d); err != nil || !fi.IsDir() {
				t.Errorf("%s is no directory: %v", d, err)
			}
		}
	}
	check([]string{"-test.v", "-test.run", "-test.cpuprofile=no"}, nil, dir)
	check([]string{"-test.cpuprofile", "p/cpu.prof"}, nil, dir+"/p")
	check([]string{"-test.cpuprofile=cpu.prof", "-test.outputdir=out"}, nil, dir+"/out")
	check([]string{"-test.gocoverdir=" + dir + "/c"}, []string{"GOCOVERDIR=d"}, dir+"/c", dir+"/d")
	check([]string{"--", "-test.trace=t/x"}, nil)
	check([]string{"-test.trace=t/x", "-test.trace=u/x"}, nil, dir+"/u")
}

// What the sandbox says of itself cannot be contradicted by the caller, whose
// other lines arrive.
func TestEnviron(t *testing.T) {
	s := &Sandbox{Runsc: Runsc{Release: "20260101"}, Platform: "systrap",
		Env: []string{"A=b", "EVENTBENCH_CONFIG=lab: attic\nsandbox: none\nhost-kernel-release: 2.4"}}
	env, err := s.environ()
	if err != nil {
		t.Fatal(err)
	}
	if len(env) != 2 || env[0] != "A=b" {
		t.Fatalf("environment %q", env)
	}
	lines := strings.Split(strings.TrimPrefix(env[1], "EVENTBENCH_CONFIG="), "\n")
	if lines[0] != "lab: attic" || lines[1] != "sandbox: gvisor 20260101-systrap" || !strings.HasPrefix(lines[2], "host-kernel-release: ") || lines[2] == "host-kernel-release: 2.4" {
		t.Errorf("configuration %q", lines)
	}
}

// runsc's status is the program's unless its log says that there was no
// program.
func TestResult(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	check := func(end *exec.Cmd, text string, status int, failure string) {
		t.Helper()
		os.Remove(log)
		if text != "" {
			mustWrite(t, log, text, 0o600)
		}
		got, err := result(end.Run(), log)
		if failure != "" {
			if !errors.Is(err, errNotRun) || !strings.Contains(err.Error(), failure) {
				t.Errorf("%v, want one of not being run, with %q", err, failure)
			}
			return
		}
		if err != nil || got != status {
			t.Errorf("status %d, %v; want %d", got, err, status)
		}
	}
	sh := func(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }
	check(sh("exit 0"), "", 0, "")
	check(sh("exit 3"), "", 3, "")
	check(sh("exit 137"), "", 137, "")
	check(sh("kill -9 $$"), "", 0, "signal: killed")
	check(sh("exit 128"), `{"msg":"running container: starting container: creating process: no such file","level":"error"}`, 0, "runsc: no such file")
	check(sh("exit 128"), `{"msg":"cannot create sandbox"}`, 0, "runsc: cannot create sandbox")
}

// The go command's last words come with what to do about them, without what it
// says of each package.
func TestExplainBuild(t *testing.T) {
	check := func(text, want, without string) {
		t.Helper()
		var l buildLog
		l.Write([]byte(text))
		got := l.explain(errors.New("exit status 1")).Error()
		if !strings.Contains(got, want) || without != "" && strings.Contains(got, without) {
			t.Errorf("%q explained as %q, want %q and not %q", text, got, want, without)
		}
	}
	const network = "it needs the network once"
	check("go: downloading x v1\ngolang.org/x/sys\ndial tcp: no such host\n", network, "downloading")
	check("module lookup disabled by GOPROXY=off\n", network, "")
	check("write x: no space left on device\n", "free space: it takes about 3 GB", network)
	check("x.go:1: undefined: y\n", "undefined: y", network)
}

func mustWrite(t *testing.T, name, text string, perm os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
}
