package ci

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// lava writes the signals by which a test in a LAVA job reports its results
// (lava_dispatcher/actions/test/shell.py): in their parameters there is neither
// a blank nor > nor a second =.
func lava(w io.Writer, r *Run) error {
	var b strings.Builder
	if r.Problems != nil {
		fmt.Fprintf(&b, "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=%s RESULT=unknown>\n", tool)
	}
	for _, s := range r.Suites {
		fmt.Fprintf(&b, "<LAVA_SIGNAL_TESTSET START %s>\n", path(s.Name))
		for _, f := range s.Findings {
			result := "pass"
			switch f.Status {
			case Failed:
				result = "fail"
			case Unknown:
				result = "unknown"
			case Informs, Skipped:
				result = "skip"
			}
			fmt.Fprintf(&b, "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=%s RESULT=%s", f.path(), result)
			if f.New != nil {
				fmt.Fprintf(&b, " UNITS=%s MEASUREMENT=%s", lavaUnit.Replace(f.Unit), strconv.FormatFloat(f.New.Value, 'f', -1, 64))
			}
			b.WriteString(">\n")
		}
		b.WriteString("<LAVA_SIGNAL_TESTSET STOP>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var lavaUnit = strings.NewReplacer(" ", "_", ">", "_", "=", "_")
