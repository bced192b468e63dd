//go:build linux

package debian

import "strings"

// Until when Debian maintains the kernels of a suite, with its LTS team: see
// https://wiki.debian.org/LTS.
var suiteEnds = map[string]string{
	"bullseye": "2026-08",
	"bookworm": "2028-06",
	"trixie":   "2030-06",
}

// SuiteEnd returns the month in which Debian's maintenance of a suite's kernels
// ends, or "" if there is no such promise, as for backports and sid.
func SuiteEnd(suite string) string { return suiteEnds[strings.TrimSuffix(suite, "-security")] }

// Until when kernel.org maintains its long-term series, as projected in November
// 2026: see https://www.kernel.org/category/releases.html.
var seriesEnds = map[string]string{
	"5.10": "2026-12",
	"5.15": "2026-12",
	"6.1":  "2027-12",
	"6.6":  "2027-12",
	"6.12": "2028-12",
	"6.18": "2028-12",
}

// SeriesEnd returns the month in which kernel.org's maintenance of a long-term
// series ends, or "" for any other series.
func SeriesEnd(series string) string { return seriesEnds[series] }
