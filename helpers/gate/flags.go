package gate

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"eventbench/helpers/printable"
	"eventbench/helpers/results"
)

// Flags defines the options as flags of fs, their names starting with prefix.
func (o *Options) Flags(fs *flag.FlagSet, prefix string) {
	fs.StringVar(&o.Thresholds, prefix+"thresholds", "", "read rules from `file`, before the built-in ones")
	fs.StringVar(&o.Filter, prefix+"filter", "*", "compare only what `expr` matches, such as '.name:/Eventfd/ .unit:ns/op' (benchstat's language)")
	fs.StringVar(&o.SampleKey, prefix+"sample", "sample", "configuration `key` that separates the samples in a file")
	fs.Func(prefix+"alpha", "`probability` of a false alarm in the whole family of comparisons (default 0.02)", func(s string) (err error) {
		if o.Alpha, err = strconv.ParseFloat(s, 64); err != nil {
			return errors.New("want a number")
		}
		return checkAlpha(o.Alpha)
	})
	fs.Func(prefix+"allow", "configuration `keys` in which results may differ, separated by commas: "+strings.Join(results.Allowable(), " "), func(s string) error {
		for _, key := range strings.Split(s, ",") {
			if err := checkAllowed(key); err != nil {
				return err
			}
			o.Allow = append(o.Allow, key)
		}
		return nil
	})
	pattern := func(p **regexp.Regexp) func(string) error {
		return func(s string) (err error) {
			*p, err = regexp.Compile(s)
			return err
		}
	}
	fs.Func(prefix+"allow-missing", "`regexp` for 'Name unit' of results that may be missing from new or from some samples", pattern(&o.AllowMissing))
	fs.Func(prefix+"allow-equal", "`regexp` for 'Name unit' of times that may be equal in all samples", pattern(&o.AllowEqual))
	fs.BoolVar(&o.Strict, prefix+"strict", false, "fail on one instruction more: the threshold of whatever is exact is 0")
	fs.BoolVar(&o.DistrustCollapse, prefix+"distrust-collapse", false, "treat a cost that fell to a tenth or less as broken, not improved: cannot tell")
	fs.BoolVar(&o.AllowCannotTell, prefix+"allow-cannot-tell", false, "exit 0 if the gate cannot tell")
}

// args returns the options as arguments for a shell, each after a blank.
func (o *Options) args() string {
	var b strings.Builder
	add := func(name, value, unset string) {
		if value != unset {
			fmt.Fprintf(&b, " -%s=%s", name, printable.ShellWord(value))
		}
	}
	pattern := func(name string, p *regexp.Regexp) {
		if p != nil {
			add(name, p.String(), "")
		}
	}
	add("thresholds", o.Thresholds, "")
	add("filter", o.Filter, "*")
	add("sample", o.SampleKey, "sample")
	add("alpha", fmt.Sprintf("%.3g", o.Alpha), fmt.Sprintf("%.3g", DefaultAlpha))
	add("allow", strings.Join(o.Allow, ","), "")
	pattern("allow-missing", o.AllowMissing)
	pattern("allow-equal", o.AllowEqual)
	add("strict", fmt.Sprint(o.Strict), "false")
	add("distrust-collapse", fmt.Sprint(o.DistrustCollapse), "false")
	add("allow-cannot-tell", fmt.Sprint(o.AllowCannotTell), "false")
	return b.String()
}
