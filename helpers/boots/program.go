//go:build linux

package boots

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
	"eventbench/helpers/process"
	"eventbench/helpers/samples"
)

// checkProgram reports before the first boot what would fail in every boot: a
// file that guests cannot run, or a pattern that matches no benchmark.
func checkProgram(ctx context.Context, path, bench string) error {
	if _, err := guest.LoadProgram(path, nil, "."); err != nil {
		return err
	}
	if runtime.GOARCH != "amd64" {
		return nil
	}
	out, stderr, err := process.Prompt.Output(ctx, exec.Command(path, "-test.list=^Benchmark"))
	if err != nil {
		return fmt.Errorf("%s -test.list=^Benchmark: %w: want a test binary (make eventbench.static)\n%s", path, err, stderr)
	}
	names := strings.Fields(out)
	some, err := anyMatches(bench, names)
	if err != nil {
		return fmt.Errorf("-bench=%s: %w", bench, err)
	}
	if !some {
		return cli.Usage("-bench=%s: no benchmark matches (names begin with Benchmark); there are:\n\t%s", bench, strings.Join(names, "\n\t"))
	}
	return nil
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
