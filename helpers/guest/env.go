package guest

import (
	"slices"
	"strings"
)

// Env makes the program's environment out of the caller's: GO* and
// EVENTBENCH*, but none whose value has a slash, which is a path or an address
// of the caller's machine (GOROOT, GOCACHE, GOPROXY). So GOMAXPROCS, GODEBUG,
// GOGC and the like arrive, and the program's memory does not depend on where
// the caller's files are. PATH, HOME and PWD are the guest's.
//
// In it the machine describes itself for results: EVENTBENCH_CONFIG has its
// Config after the caller's lines, and EVENTBENCH_CLOCK is "instrs" where it
// counts. EVENTBENCH_GUEST=1 tells tests that the machine is theirs alone: they
// may set its clock and suspend it.
func (m *Machine) Env(caller []string) ([]string, error) {
	config, err := m.Config()
	if err != nil {
		return nil, err
	}
	const configVar, clockVar, guestVar = "EVENTBENCH_CONFIG", "EVENTBENCH_CLOCK", "EVENTBENCH_GUEST"
	env := []string{"HOME=/", "PATH=" + binDir, "PWD=" + homeDir, guestVar + "=1"}
	for _, kv := range caller {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == clockVar, name == guestVar:
		case name == configVar:
			config = append(otherLines(value, config), config...)
		case strings.HasPrefix(name, "EVENTBENCH"), strings.HasPrefix(name, "GO") && !strings.Contains(value, "/"):
			env = append(env, kv)
		}
	}
	if m.Clock == InstrClock {
		env = append(env, clockVar+"="+string(InstrClock))
	}
	env = append(env, configVar+"="+strings.Join(config, "\n"))
	// The caller's order is its shell's.
	slices.Sort(env)
	return slices.Compact(env), nil
}

// otherLines are the lines whose key is not one of config's.
func otherLines(lines string, config []string) []string {
	var others []string
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		key, _, _ := strings.Cut(line, ":")
		if line != "" && !slices.ContainsFunc(config, func(c string) bool { return strings.HasPrefix(c, key+":") }) {
			others = append(others, line)
		}
	}
	return others
}
