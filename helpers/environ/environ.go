// Package environ passes on what results say of the place where they are made:
// configuration lines, in an environment variable that helpers/machine reads.
package environ

import (
	"slices"
	"strings"
)

// config is the variable. A line of it is "key: value".
const config = "EVENTBENCH_CONFIG"

// Take returns the configuration lines of an environment, and the other
// variables.
func Take(env []string) (lines, others []string) {
	for _, kv := range env {
		value, ok := strings.CutPrefix(kv, config+"=")
		if !ok {
			others = append(others, kv)
			continue
		}
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines, others
}

// Variable returns the variable with these lines.
func Variable(lines []string) string { return config + "=" + strings.Join(lines, "\n") }

// Describe returns the variable with the caller's lines and those that describe
// the place, which the caller cannot override.
func Describe(callers, place []string) string {
	others := slices.DeleteFunc(slices.Clone(callers), func(line string) bool {
		key, _, _ := strings.Cut(line, ":")
		return slices.ContainsFunc(place, func(p string) bool { return strings.HasPrefix(p, key+":") })
	})
	return Variable(append(others, place...))
}
