package guest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A Column is a kernel and what is set for it, as commands take them for a
// column of their tables:
//
//	6.12
//	6.12 mitigations=off
//	./bzImage nohz=off sysctl:kernel.sched_autogroup_enabled=0 cpu=neoverse-n1
type Column struct {
	Arg     string // as the user wrote it
	Kernel  string // as FindKernel takes it
	Params  []string
	Sysctls []string // NAME=VALUE
	Model   string   // of the CPU, or ""
}

var (
	// A kernel parameter, see kernel-parameters.rst in the kernel's source.
	kernelParam = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*(=[!-~]*)?$`)
	sysctlForm  = regexp.MustCompile(`^[a-z0-9_-]+([./][A-Za-z0-9_.*-]+)+=[!-~]+$`)
)

// ParseColumn parses a column: a kernel, and after blanks what is set. A file
// whose name has blanks is a kernel as it is.
func ParseColumn(arg string) (Column, error) {
	c := Column{Arg: strings.Join(strings.Fields(arg), " ")}
	if _, err := os.Stat(arg); err == nil {
		c.Arg, c.Kernel = arg, arg
		return c, nil
	}
	words := strings.Fields(arg)
	if len(words) == 0 {
		return c, errors.New("no kernel given: want a series such as 6.12, or the path of an image")
	}
	c.Kernel = words[0]
	for _, word := range words[1:] {
		sysctl, isSysctl := strings.CutPrefix(word, "sysctl:")
		model, isModel := strings.CutPrefix(word, "cpu=")
		switch {
		case isSysctl && sysctlForm.MatchString(sysctl) && !strings.Contains(sysctl, ".."):
			c.Sysctls = append(c.Sysctls, sysctl)
		case isModel && cpuModel.MatchString(model) && c.Model == "":
			c.Model = model
		case !isSysctl && !isModel && kernelParam.MatchString(word):
			c.Params = append(c.Params, word)
		default:
			return c, fmt.Errorf("kernel %q: %q is no setting: want a kernel parameter such as mitigations=off, sysctl:NAME=VALUE, or cpu=MODEL", c.Arg, word)
		}
	}
	return c, nil
}

// Settings is what is set, as the user wrote it.
func (c Column) Settings() string {
	_, settings, _ := strings.Cut(c.Arg, c.Kernel)
	return strings.TrimSpace(settings)
}

// Label is the heading of the column: the kernel's short name and what is set.
func (c Column) Label() string {
	return strings.TrimSpace(strings.TrimSuffix(filepath.Base(c.Kernel), ".deb") + " " + c.Settings())
}

// Sum tells columns apart: it is that of the kernel where nothing is set.
func (c Column) Sum(k *Kernel) [sha256.Size]byte {
	sum := k.Sum()
	if settings := c.Settings(); settings != "" {
		sum = sha256.Sum256(bytes.Join([][]byte{sum[:], []byte(settings)}, nil))
	}
	return sum
}

// Set sets on a machine what the column says. What the machine has already is
// kept.
func (c Column) Set(m *Machine) error {
	if c.Model != "" {
		if m.Model != "" && m.Model != c.Model {
			return fmt.Errorf("two CPU models are asked for, %s and %s", c.Model, m.Model)
		}
		m.Model = c.Model
	}
	m.Append = strings.TrimSpace(strings.Join(c.Params, " ") + " " + m.Append)
	m.Params, m.Sysctls, m.Settings = c.Params, c.Sysctls, c.Settings()
	return nil
}
