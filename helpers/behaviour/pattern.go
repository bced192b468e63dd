package behaviour

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// NamesRow reports whether a pattern for go test -run or -skip selects a row by
// its id, alone (EFD-19) or below its test.
func NamesRow(pattern string) bool { return rowInPattern.MatchString(pattern) }

var rowInPattern = regexp.MustCompile(`\b[A-Z]{3}-[0-9]`)

// Pattern translates a pattern of rows into one for package testing: EFD-19
// into ^TestEventfd$/^EFD-19$. A pattern that begins with a test or has no row
// stays as it is.
//
// A complete id selects only that row, so that SIG-10 does not select SIG-100.
// Anything else is a regular expression: EFD-1 followed by a dot selects EFD-10
// to EFD-19, and EFD- all of them. A Go name has no "-", so a "-" marks a
// pattern of rows.
func Pattern(pattern string) (string, error) {
	var all []string
	for _, alternative := range split(pattern, '|') {
		elements := split(alternative, '/')
		if !slices.Contains([]byte(brackets.ReplaceAllString(elements[0], "")), '-') {
			all = append(all, alternative)
			continue
		}
		row := elements[0]
		if rowID.MatchString(row) {
			row = "^" + row + "$"
		}
		tests, err := testsOf(row)
		if err != nil {
			return "", fmt.Errorf("%s: %w", elements[0], err)
		}
		elements[0] = "^(" + strings.Join(tests, "|") + ")$/" + row
		all = append(all, strings.Join(elements, "/"))
	}
	return strings.Join(all, "|"), nil
}

// brackets matches places where a "-" has another meaning.
var brackets = regexp.MustCompile(`\[[^]]*\]`)

// testsOf returns the tests whose rows have matching ids.
func testsOf(pattern string) (tests []string, err error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(Inventory, "*.txt")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		mechanism := strings.TrimSuffix(file, ".txt")
		rows, err := load(mechanism)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rows, func(r Row) bool { return re.MatchString(r.ID) }) {
			tests = append(tests, Test(mechanism))
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("no such row: testdata/behaviours lists all rows")
	}
	return tests, nil
}

// Test returns the name of the test that has a mechanism's rows as subtests.
func Test(mechanism string) string { return "Test" + strings.ToUpper(mechanism[:1]) + mechanism[1:] }

// split splits a pattern at separators outside brackets and parentheses, as
// package testing does.
func split(pattern string, separator byte) (parts []string) {
	start, class, group := 0, 0, 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '[':
			class++
		case ']':
			class = max(class-1, 0)
		case '(':
			if class == 0 {
				group++
			}
		case ')':
			if class == 0 {
				group--
			}
		case '\\':
			i++
		case separator:
			if class == 0 && group == 0 {
				parts = append(parts, pattern[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, pattern[start:])
}
