//go:build linux

package merge

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"
)

// GNU parallel makes the shards of kernels on three machines, which are three
// sshd here. One dies in the middle of a boot. What is merged is, byte for byte,
// what one machine makes.
func TestParallel(t *testing.T) {
	need.Need(t, need.HasSSHD)
	need.Asked(t, need.HasParallel, "a minute or two of boots")
	kernel := need.Kernel(t)
	script, err := filepath.Abs("../../docs/machines/parallel")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := func(to string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", append(args, "-o", filepath.Join(dir, to))...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	build("eventbench", "build", "-C", "../cmd/eventbench")
	build("tiny.static", "test", "-C", "../rounds/testdata/tiny", "-c")
	hosts := startHosts(t, dir)

	// What of the environment goes into a guest moves its stack, and machines
	// have an environment of their own.
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GO") || strings.HasPrefix(kv, "EVENTBENCH") })
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(slices.Clone(env), "EVENTBENCH_TINY=clock=instrs", "PARALLEL_SSH=ssh -F "+filepath.Join(dir, "ssh.conf"))
		return cmd
	}
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	kernels := []string{"kernels", "-bench", "PipeSelf", "-benchtime", "20x", "-boots", "3", "-timeout", "10m", "tiny.static", kernel}
	onMachines := append([]string{"hosts", "3"}, kernels...)

	// This one builds the init of the guests, and the others need it.
	run("./eventbench", append([]string{kernels[0], "-shard", "1/1", "-results", "one"}, kernels[1:]...)...)
	died := make(chan bool)
	go func() { died <- hosts[1].dieIn("qemu-system-x86") }()
	run(script, onMachines...)
	if !<-died {
		t.Error("the second machine booted nothing and did not die")
	}
	ended := tooltest.MustRead(t, filepath.Join(dir, "machines.log"))
	run(script, onMachines...)
	if now := tooltest.MustRead(t, filepath.Join(dir, "machines.log")); now != ended {
		t.Errorf("the same command made shards again: %s", strings.TrimPrefix(now, ended))
	}
	run("./eventbench", "merge", "-o", "merged", "results")
	one := filepath.Join(dir, "one", "shard-1-of-1")
	boots, err := filepath.Glob(filepath.Join(one, "kernels/*/*/*/seed-*.txt"))
	if err != nil || len(boots) != 3 {
		t.Fatalf("one machine made %q, %v, want three boots", boots, err)
	}
	for _, boot := range boots {
		name := strings.TrimPrefix(boot, one)
		if got, want := tooltest.MustRead(t, filepath.Join(dir, "merged", name)), tooltest.MustRead(t, boot); got != want {
			t.Errorf("%s: the merged boot is\n%s\nwant\n%s", name, got, want)
		}
	}
}

// A host is a machine: an sshd and what runs below it.
type host struct{ cmd *exec.Cmd }

// startHosts starts three machines. It writes hosts, for GNU parallel, and
// ssh.conf.
func startHosts(t *testing.T, dir string) (hosts []*host) {
	t.Helper()
	user, key := filepath.Join(dir, "user"), filepath.Join(dir, "key")
	for _, file := range []string{user, key} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // as its service does
			t.Fatal(err)
		}
	}
	var names, config strings.Builder
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		sshd := filepath.Join(dir, fmt.Sprintf("sshd%d.conf", i))
		tooltest.MustWrite(t, sshd, fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s.pub\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"+
			"SetEnv EVENTBENCH_TINY=clock=instrs\n", port, key, user))
		cmd := exec.Command(sshdPath(), "-D", "-e", "-f", sshd)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h := &host{cmd}
		t.Cleanup(func() { h.kill(); cmd.Wait() })
		hosts = append(hosts, h)
		fmt.Fprintf(&names, "1/machine%d\n", i)
		fmt.Fprintf(&config, "Host machine%d\n  HostName 127.0.0.1\n  Port %d\n  IdentityFile %s\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n", i, port, user)
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				c.Close()
				break
			}
			if time.Since(began) > tooltest.Patience {
				t.Fatalf("sshd does not listen: %v\n%s", err, &stderr)
			}
		}
	}
	tooltest.MustWrite(t, filepath.Join(dir, "hosts"), names.String())
	tooltest.MustWrite(t, filepath.Join(dir, "ssh.conf"), config.String())
	return hosts
}

func sshdPath() string {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path // it wants to be started by its whole path
	}
	return "/usr/sbin/sshd"
}

// below returns the processes below one, and their names.
func below(pid int) map[int]string {
	all := make(map[int]string)
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			var child int
			fmt.Sscan(field, &child)
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
			all[child] = strings.TrimSpace(string(name))
			for pid, name := range below(child) {
				all[pid] = name
			}
		}
	}
	return all
}

// kill ends a machine as if its power were cut.
func (h *host) kill() {
	all := below(h.cmd.Process.Pid)
	h.cmd.Process.Kill()
	for pid := range all {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// dieIn kills the machine as soon as it runs a program. It reports whether it
// did.
func (h *host) dieIn(program string) bool {
	for began := time.Now(); time.Since(began) < tooltest.Patience; time.Sleep(50 * time.Millisecond) {
		for _, name := range below(h.cmd.Process.Pid) {
			if strings.HasPrefix(program, name) && name != "" {
				h.kill()
				return true
			}
		}
	}
	return false
}

// The Job of docs is one that Kubernetes takes: it has as many completions as
// shards, and no field that the API does not know.
func TestJob(t *testing.T) {
	text := tooltest.MustRead(t, "../../docs/machines/job.yaml")
	shards := regexp.MustCompile(`-shard "\$\(\(JOB_COMPLETION_INDEX \+ 1\)\)/(\d+)"`).FindStringSubmatch(text)
	if shards == nil || !strings.Contains(text, "\n  completions: "+shards[1]+" ") {
		t.Errorf("want as many completions as shards, %q:\n%s", shards, text)
	}
	need.Asked(t, need.HasParallel, "builds the API's types, half a minute")
	check := func(text string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "run", ".")
		cmd.Dir = "testdata/job"
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(text); err != nil || out != shards[1]+"\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check(strings.Replace(text, "backoffLimitPerIndex", "backoffLimitPerShard", 1)); err == nil || !strings.Contains(out, `unknown field "backoffLimitPerShard"`) {
		t.Errorf("a field that the API lacks: %v\n%s", err, out)
	}
}
