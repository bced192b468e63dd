//go:build linux

package samples

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/results"
)

// skipping adds names of benchmarks to a -test.skip pattern.
//
// Package testing takes the first alternative that matches the levels of a name
// so far: with A/x before A it would run A to look for A/x. So alternatives
// with fewer levels come first.
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

// Alternatives splits a -test.bench pattern at |.
func Alternatives(pattern string) []string { return splitOutside(pattern, '|') }

// Levels splits an alternative at /.
func Levels(alternative string) []string { return splitOutside(alternative, '/') }

// CheckPattern returns what is wrong with a -test.bench or -test.skip pattern.
func CheckPattern(pattern string) error {
	for _, alternative := range Alternatives(pattern) {
		for _, part := range Levels(alternative) {
			if _, err := regexp.Compile(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitOutside splits at separators outside brackets and parentheses, as
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
