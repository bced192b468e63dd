//go:build linux

package gvisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A spec is the part of the OCI runtime specification's config.json that a
// sandbox here needs (github.com/opencontainers/runtime-spec, config.md).
type spec struct {
	OCIVersion string      `json:"ociVersion"`
	Root       root        `json:"root"`
	Hostname   string      `json:"hostname"`
	Process    specProcess `json:"process"`
	Mounts     []mount     `json:"mounts"`
	Linux      linux       `json:"linux"`
}

type root struct {
	Path string `json:"path"`
}

type specProcess struct {
	Cwd          string              `json:"cwd"`
	Args         []string            `json:"args"`
	Env          []string            `json:"env"`
	Capabilities map[string][]string `json:"capabilities"`
}

type mount struct {
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Options     []string `json:"options"`
}

type linux struct {
	Namespaces []namespace `json:"namespaces"`
}

type namespace struct {
	Type string `json:"type"`
}

// newSpec describes a sandbox in which args run in dir. It shows the host's
// files; what the program writes stays in the sandbox, except below the
// directories in outputs. Its root is for [prepare] to fill in.
func newSpec(args, env []string, dir string, outputs []string) (*spec, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	s := &spec{
		OCIVersion: "1.2.0",
		Hostname:   hostname,
		Process:    specProcess{Cwd: dir, Args: args, Env: env, Capabilities: make(map[string][]string)},
		Linux:      linux{[]namespace{{"network"}}},
	}
	for _, set := range []string{"bounding", "effective", "inheritable", "permitted", "ambient"} {
		s.Process.Capabilities[set] = capabilities
	}
	for _, dir := range outputs {
		s.Mounts = append(s.Mounts, mount{"bind", dir, dir, []string{"rw"}})
	}
	return s, nil
}

// capabilities are all that there are, linux/capability.h: root in the sandbox
// is root, which has no bearing on the host.
var capabilities = strings.Fields(`
	CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID
	CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW
	CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT
	CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD
	CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG
	CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)

// outputDirs returns the directories where a test binary in dir writes files
// for its caller, by its flags (go help testflag) and by GOCOVERDIR. They are
// made if they do not exist.
func outputDirs(args, env []string, dir string) ([]string, error) {
	in := func(dir, name string) string {
		if filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
		return filepath.Join(dir, name)
	}
	flags := testFlags(args)
	profiles := dir
	var dirs []string
	for _, name := range []string{"outputdir", "gocoverdir", "fuzzcachedir"} {
		if value := flags[name]; value != "" {
			dirs = append(dirs, in(dir, value))
		}
	}
	if value := flags["outputdir"]; value != "" {
		profiles = in(dir, value)
	}
	for _, name := range []string{"blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "testlogfile", "trace"} {
		if value := flags[name]; value != "" {
			dirs = append(dirs, filepath.Dir(in(profiles, value)))
		}
	}
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "GOCOVERDIR="); ok && value != "" {
			dirs = append(dirs, in(dir, value))
		}
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// testFlags are a test binary's own flags: -test.name=value or -test.name
// value, the last of a name counting.
func testFlags(args []string) map[string]string {
	flags := make(map[string]string)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "test.")
		if !ok || arg[0] != '-' {
			continue
		}
		name, value, ok := strings.Cut(name, "=")
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		flags[name] = value
	}
	return flags
}
