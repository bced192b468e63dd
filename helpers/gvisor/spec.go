//go:build linux

package gvisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eventbench/helpers/testflag"
)

// A spec is the part of the OCI runtime specification's config.json that these
// sandboxes need (github.com/opencontainers/runtime-spec, config.md).
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
// files. What the program writes stays in the sandbox, except below the
// directories in outputs. [prepare] fills in the root.
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

// capabilities are all of linux/capability.h: root in the sandbox has all its
// rights, which gives it none on the host.
var capabilities = strings.Fields(`
	CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID
	CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW
	CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT
	CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD
	CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG
	CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)

// outputDirs returns the directories in which a test binary in dir writes files
// for its caller, according to its flags (go help testflag) and GOCOVERDIR. It
// creates missing ones.
func outputDirs(args, env []string, dir string) ([]string, error) {
	o := testflag.Find(args)
	var dirs []string
	for _, d := range o.Dirs {
		dirs = append(dirs, testflag.In(dir, d))
	}
	for _, f := range o.Files {
		dirs = append(dirs, filepath.Dir(testflag.In(testflag.In(dir, o.Dir), f)))
	}
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "GOCOVERDIR="); ok && value != "" {
			dirs = append(dirs, testflag.In(dir, value))
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
