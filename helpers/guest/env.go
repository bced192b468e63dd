package guest

import (
	"slices"
	"strings"

	"eventbench/helpers/environ"
	"eventbench/helpers/guest/inside"
)

// Env returns the program's environment, made from the caller's. It keeps GO*
// and EVENTBENCH*, except values with a slash, which are paths or addresses on
// the caller's machine (GOROOT, GOCACHE, GOPROXY). So GOMAXPROCS, GODEBUG, GOGC
// and the like are passed on, and the program's memory layout does not depend
// on where the caller's files are. PATH, HOME and PWD are the guest's.
//
// The environment also describes the machine, for results. EVENTBENCH_CONFIG
// has the machine's Config after the caller's lines. EVENTBENCH_CLOCK is
// "instrs" if the machine counts. EVENTBENCH_GUEST=1 tells tests that they have
// the machine to themselves and may set its clock and suspend it.
func (m *Machine) Env(caller []string) ([]string, error) {
	config, err := m.Config()
	if err != nil {
		return nil, err
	}
	const clockVar, guestVar = "EVENTBENCH_CLOCK", "EVENTBENCH_GUEST"
	callers, others := environ.Take(caller)
	env := []string{"HOME=/", "PATH=" + inside.BinDir, "PWD=" + inside.HomeDir, guestVar + "=1"}
	for _, kv := range others {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == clockVar, name == guestVar:
		case strings.HasPrefix(name, "EVENTBENCH"), strings.HasPrefix(name, "GO") && !strings.Contains(value, "/"):
			env = append(env, kv)
		}
	}
	if m.Clock == InstrClock {
		env = append(env, clockVar+"="+string(InstrClock))
	}
	env = append(env, environ.Describe(callers, config))
	// The order of the caller's variables depends on its shell.
	slices.Sort(env)
	return slices.Compact(env), nil
}
