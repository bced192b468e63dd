// Package mechanisms knows the benchmarks by their names.
package mechanisms

import (
	"regexp"
	"strings"
)

// A family of benchmarks is told by their names, and in a pattern by its word.
type family struct {
	word string
	name *regexp.Regexp
}

// long are the families that take long.
var long = []family{
	{"Growth", regexp.MustCompile(`Growth$`)},
	{"OneWay", regexp.MustCompile(`OneWay$`)},
	{"Lateness", regexp.MustCompile(`Lateness$`)},
	{"Wake", regexp.MustCompile(`Wake$`)},
	{"Technique", regexp.MustCompile(`Technique$`)},
	{"Loop", regexp.MustCompile(`^BenchmarkLoop`)},
}

// LeftOut returns those of the benchmarks that a run leaves out unless it is
// asked for all. bench is its pattern, as of go test -bench, and matched are the
// benchmarks that the pattern matches. Left out are members of long families
// that the pattern does not name, if it matches others: "." leaves out all of
// them, "Eventfd" leaves out EventfdOneWay, and "Growth|Pipe" PipeOneWay, but
// "OneWay" and "^BenchmarkPin" none.
func LeftOut(bench string, matched []string) []string {
	var left []string
	for _, name := range matched {
		for _, f := range long {
			if f.name.MatchString(name) && !strings.Contains(bench, f.word) {
				left = append(left, name)
			}
		}
	}
	if len(left) == len(matched) {
		return nil
	}
	return left
}
