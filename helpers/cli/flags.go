package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cli "github.com/urfave/cli/v3"
)

// verb returns the library's command for a verb, the verb's action and flags.
func (t *Tool) verb(v *Verb) (*cli.Command, Action, *flag.FlagSet) {
	fs := v.flagSet()
	action := v.New(fs)
	c := t.command(v.Manual, v.usage(t, fs))
	c.SkipFlagParsing = v.Raw
	fs.VisitAll(func(f *flag.Flag) { c.Flags = append(c.Flags, &goFlag{Flag: f, fs: fs}) })
	return c, action, fs
}

func (v *Verb) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet(v.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// goFlag adapts a flag of package flag to the library.
type goFlag struct {
	*flag.Flag
	fs  *flag.FlagSet
	set bool
	bad string // an invalid value
	err error  // why it is invalid
}

var _ cli.Flag = (*goFlag)(nil)

func (f *goFlag) Names() []string  { return []string{f.Name} }
func (f *goFlag) String() string   { return f.Name }
func (f *goFlag) Get() any         { return f.Value.String() }
func (f *goFlag) IsSet() bool      { return f.set }
func (f *goFlag) PreParse() error  { return nil }
func (f *goFlag) PostParse() error { return nil }

func (f *goFlag) Set(_, value string) error {
	f.set = true
	if err := f.fs.Set(f.Name, value); err != nil {
		f.bad, f.err = value, err
		return err
	}
	return nil
}

func (f *goFlag) IsBoolFlag() bool { return isBool(f.Flag) }

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// flagError rephrases the library's error in the tool's words.
func flagError(c *cli.Command, err error) error {
	for _, f := range c.Flags {
		if f, ok := f.(*goFlag); ok && f.err != nil {
			return Usage("-%s %q: %w", f.Name, f.bad, f.why())
		}
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		hint := ""
		if like := strings.TrimLeft(cli.SuggestFlag(c.Flags, name, true), "-"); !slices.Contains([]string{"", "h", "help"}, like) {
			hint = "; did you mean -" + like + "?"
		}
		return Usage("-%s: no such flag%s", name, hint)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: "); ok {
		return Usage("-%s: want a value after it", strings.TrimLeft(name, "-"))
	}
	return Usage("%w", err)
}

// why says what values a flag takes. For its own types, package flag only says
// "parse error".
func (f *goFlag) why() error {
	if f.err.Error() != "parse error" && f.err.Error() != "value out of range" {
		return f.err
	}
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return f.err
	}
	switch getter.Get().(type) {
	case bool:
		return errors.New("want true or false")
	case int, int64:
		return errors.New("want a whole number")
	case uint, uint64:
		return errors.New("want a whole number, 0 or more")
	case float64:
		return errors.New("want a number")
	case time.Duration:
		return errors.New("want a time such as 90s or 5m")
	}
	return f.err
}

// operand returns the index of the first operand in args, or len(args) if there
// is none, and whether -- ended the flags before it. pending is the flag that
// lacks a value at the end of args.
func operand(fs *flag.FlagSet, args []string) (i int, ended bool, pending string) {
	for i, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "-")
		switch {
		case pending != "":
			pending = ""
		case name == "-" && isFlag:
			return i + 1, true, ""
		case !isFlag || name == "":
			return i, false, ""
		default:
			if f := fs.Lookup(strings.TrimPrefix(name, "-")); f != nil && !isBool(f) {
				pending = f.Name
			}
		}
	}
	return len(args), false, pending
}

// describe lists the flags, each with its description below.
func describe(fs *flag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		b.WriteString("-" + f.Name)
		if value != "" {
			b.WriteString(" " + value)
		}
		// Strings show no default here: they describe it themselves or
		// have none.
		if getter, ok := f.Value.(flag.Getter); ok && !isZero(getter, f.DefValue) {
			if _, isString := getter.Get().(string); isString {
				usage += fmt.Sprintf(" (default %s)", shorten(f.DefValue))
			} else {
				usage += fmt.Sprintf(" (default %s)", f.DefValue)
			}
		}
		b.WriteString("\n" + Fill(strings.ReplaceAll(usage, "\n", " "), "    ") + "\n")
	})
	return b.String()
}

// shorten quotes a default, or only the beginning of a long one, such as a list
// of all benchmarks.
func shorten(value string) string {
	const most = 40
	if r := []rune(value); len(r) > most {
		return strconv.Quote(string(r[:most])) + "..."
	}
	return strconv.Quote(value)
}

func isZero(g flag.Getter, value string) bool {
	switch g.Get().(type) {
	case bool:
		return value == "false"
	case string:
		return value == ""
	}
	return value == "0" || value == "0s"
}

// width is the width of help pages.
const width = 80

// Fill wraps a text at 80 columns and indents each line.
func Fill(text, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
