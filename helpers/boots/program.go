//go:build linux

package boots

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/samples"
)

// checkProgram reports before the first boot what would fail in every boot: a
// file that guests cannot run, or a pattern that matches no benchmark. It
// returns the architecture of the guests.
func (s *Settings) checkProgram(ctx context.Context) (*guest.Arch, error) {
	path, err := filepath.Abs(s.Binary) // so that PATH is not searched
	if err != nil {
		return nil, err
	}
	p, err := guest.LoadProgram(path, nil, ".")
	if err != nil {
		return nil, err
	}
	names, err := guest.Tests(ctx, path, "Benchmark")
	if err != nil {
		return nil, fmt.Errorf("%w (make eventbench.static makes a test binary)", err)
	}
	some, err := anyMatches(s.Bench, names)
	if err != nil {
		return nil, fmt.Errorf("-bench=%s: %w", s.Bench, err)
	}
	if !some {
		return nil, cli.Usage("-bench=%s: no benchmark matches (names begin with Benchmark); there are:\n\t%s", s.Bench, strings.Join(names, "\n\t"))
	}
	return p.Arch(), nil
}

// anyMatches reports whether a pattern of -test.bench matches any name of a
// top-level benchmark. A pattern consists of alternatives separated by |, which
// have a part for each level, separated by /.
func anyMatches(pattern string, names []string) (some bool, err error) {
	for _, alternative := range samples.Alternatives(pattern) {
		for level, part := range samples.Levels(alternative) {
			re, err := regexp.Compile(part)
			if err != nil {
				return false, err
			}
			for _, name := range names {
				some = some || level == 0 && re.MatchString(name)
			}
		}
	}
	return some, nil
}
