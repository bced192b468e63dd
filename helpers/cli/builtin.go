package cli

import (
	"context"
	"flag"
	"io"
	"strings"

	cli "github.com/urfave/cli/v3"
)

// builtin returns the verbs that every tool has. root is the command above
// them.
func (t *Tool) builtin(root *cli.Command) []*Verb {
	fill := strings.NewReplacer("TOOL", t.Command, "NAME", t.Name).Replace
	return []*Verb{
		{
			Manual: ParseManual(fill(helpManual)),
			Values: map[string][]string{"": t.names()},
			New: func(*flag.FlagSet) Action {
				return func(_ context.Context, c *Call) error { return t.helpOn(root, c) }
			},
		},
		{
			Manual: ParseManual(fill(completionManual)),
			Values: map[string][]string{"": shells},
			New: func(*flag.FlagSet) Action {
				return func(_ context.Context, c *Call) error { return t.completion(c) }
			},
		},
		{
			Manual:  ParseManual(fill(completeManual)),
			Program: true, // no argument is a flag of completion's own
			New: func(*flag.FlagSet) Action {
				return func(_ context.Context, c *Call) error { return t.complete(c) }
			},
		},
	}
}

// hidden reports whether only scripts use the verb.
func (v *Verb) hidden() bool { return v.Name == completeName }

// names returns the names of the verbs that users see.
func (t *Tool) names() []string {
	names := []string{"help", "completion"}
	for _, v := range t.Verbs {
		names = append(names, v.Name)
	}
	return names
}

const helpManual = `# help: print the manual of a verb

    TOOL help [VERB]

Without a verb it lists the verbs. VERB -h is shorter than help VERB: it shows
only how to call the verb, and its flags.
`

func (t *Tool) helpOn(root *cli.Command, c *Call) error {
	switch len(c.Operands) {
	case 0:
		_, err := io.WriteString(c.Stdout, t.help())
		return err
	case 1:
		for _, v := range append(t.builtin(root), t.Verbs...) {
			if v.Name == c.Operands[0] {
				_, err := io.WriteString(c.Stdout, v.page(t))
				return err
			}
		}
		return t.unknown(root, c.Operands[0])
	}
	return Usage("want one verb, have %q", c.Operands)
}

// A writer remembers the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}
