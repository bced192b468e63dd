//go:build linux

package samples

import (
	"cmp"
	"slices"
	"strings"

	"eventbench/helpers/results"
)

// skipping adds names of benchmarks to a pattern of -test.skip.
//
// Testing takes the first alternative that the levels of a name match so far:
// A/x before A would make it run A to look for A/x. So those with fewer levels
// come first.
func skipping(pattern string, names []string) string {
	var all []string
	if pattern != "" {
		all = Alternatives(pattern)
	}
	for _, name := range names {
		all = append(all, results.Pattern(name))
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(Levels(a)), len(Levels(b))) })
	return strings.Join(all, "|")
}

// Alternatives returns the parts of a pattern of -test.bench between its |.
func Alternatives(pattern string) []string { return splitOutside(pattern, '|') }

// Levels returns the parts of an alternative between its /.
func Levels(alternative string) []string { return splitOutside(alternative, '/') }

// splitOutside splits at a separator outside brackets and parentheses, as
// package testing does.
func splitOutside(s string, separator byte) (parts []string) {
	from, brackets, parens := 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '[':
			brackets++
		case c == ']' && brackets > 0:
			brackets--
		case c == '(' && brackets == 0:
			parens++
		case c == ')' && brackets == 0:
			parens--
		case c == separator && brackets == 0 && parens == 0:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}
