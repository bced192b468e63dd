// Package cli is what the verbs of a tool share: how arguments are read, what
// wrong ones are answered with, exit statuses, help and completion.
//
// A [Verb] says what it does in a manual, which flags it has in a
// [flag.FlagSet], and what it does with the operands in an [Action]; nothing
// else is the verb's business. A [Tool] is the verbs:
//
//	func main() {
//		os.Exit(tool.Run(os.Args[1:], os.Stdout, os.Stderr))
//	}
//
// # Flags
//
// Flags are Go's: -kernel 6.12, -kernel=6.12 and --kernel 6.12 are the same.
// They may stand before, between and after operands; -- ends them. Where the
// first operand is a program to run ([Verb.Program]), all that follows it is
// the program's own.
//
// # Exit status
//
// An Action returns nil for 0, [Exit] or [WithStatus] for
// a status of its own, a [Usage] error
// for 2, what a signal stopped ([Stopped]) for 128 and the signal's number, and any
// other error for [Verb.Failure], which is 1 unless the verb says otherwise.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/printable"
	"eventbench/helpers/progress"

	cli "github.com/urfave/cli/v3"
)

// WrongUsage is the exit status for a command line that cannot be meant.
const WrongUsage = 2

// A Tool is a command whose first argument is a verb.
type Tool struct {
	Name    string // in messages: eventbench
	Command string // as users call it: go tool eventbench
	Manual  *Manual
	Verbs   []*Verb

	// Context returns the context that an action is given. It ends at the usual
	// signals that stop a program, or one of more.
	Context func(more ...os.Signal) context.Context
}

// Stopped is the error of what a signal has stopped.
type Stopped interface {
	error
	Status() int // 128 and the signal's number
}

// A Verb is one of the things that a tool does.
type Verb struct {
	*Manual
	Program bool        // the first operand is a program, and what follows it the program's
	Resumes bool        // what a signal stops goes on with the same command
	Raw     bool        // all arguments are operands: the flags are those of another program
	Failure int         // the exit status of an error, if not 1
	Signals []os.Signal // that stop it, beside the usual ones

	// New defines the flags and returns what runs once they are parsed.
	New func(fs *flag.FlagSet) Action

	// Values are the values that completion offers for flags, and for operands
	// under "". Files are offered for what is not in it.
	Values map[string][]string
}

// An Action does a verb's work.
type Action func(ctx context.Context, c *Call) error

// A Call is one call of a verb.
type Call struct {
	Operands []string
	Stdout   io.Writer // printable, but for what another program prints
	Stderr   io.Writer
	name     string
}

// Say prints a line on standard error. It begins with two words: "gate: ..."
// would be a line of configuration to readers of the benchmark format, who find
// it in the output of go test.
func (c *Call) Say(format string, args ...any) {
	fmt.Fprintf(printable.NewWriter(c.Stderr), c.name+": "+format+"\n", args...)
}

// Progress returns what tells how far the call's work is.
func (c *Call) Progress() *progress.Progress { return progress.New(c.Stderr, c.name) }

// usageError is the error of a command line that cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usage returns the error of a command line that cannot be meant. Its text
// begins with the flag that is wrong, if it is one.
func Usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// IsUsage reports whether err is, or wraps, one of [Usage].
func IsUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u)
}

// statusError is an exit status, and why it is that.
type statusError struct {
	err    error // nil if nothing more is to be said
	status int
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// Exit returns the error that makes the tool exit with a status, in silence.
func Exit(status int) error {
	if status == 0 {
		return nil
	}
	return &statusError{status: status}
}

// WithStatus returns err for the tool to exit with status once it is told.
func WithStatus(err error, status int) error { return &statusError{err, status} }

// Run runs the verb that the first of args names, and returns the exit status.
func (t *Tool) Run(args []string, stdout, stderr io.Writer) int {
	v, err := t.run(args, stdout, stderr)
	var text strings.Builder
	status := t.status(v, err, &text)
	said := make(chan bool)
	go func() {
		io.WriteString(printable.NewWriter(stderr), text.String())
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(lastWords): // nobody reads standard error
	}
	return status
}

// lastWords is how long the reader of standard error has for the reason why a
// verb failed.
const lastWords = 2 * time.Second

// status says what err is about, and returns the exit status.
func (t *Tool) status(v *Verb, err error, stderr io.Writer) int {
	name, failure, help := t.Name, 1, t.Command+" help"
	if v != nil {
		name += " " + v.Name
		help += " " + v.Name
		if v.Failure != 0 {
			failure = v.Failure
		}
	}
	var (
		status  *statusError
		stopped Stopped
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status) && status.err == nil:
		return status.status
	case errors.As(err, &status):
		failure = status.status
	case IsUsage(err):
		// What follows the first line is a list of what there is.
		first, list, _ := strings.Cut(err.Error()+"\n", "\n")
		fmt.Fprintf(stderr, "%s: %s (%s)\n%s", name, first, help, list)
		return WrongUsage
	case errors.As(err, &stopped):
		failure = stopped.Status()
		if v != nil && v.Resumes {
			err = fmt.Errorf("%w; the same command goes on from there", err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		// An indented line belongs to the one before it.
		if !strings.HasPrefix(line, "\t") {
			line = name + ": " + line
		}
		fmt.Fprintln(stderr, strings.TrimSuffix(line, "\n"))
	}
	return failure
}

// run parses and runs. The verb that it returns is the one that the error is
// about.
func (t *Tool) run(args []string, stdout, stderr io.Writer) (*Verb, error) {
	var verb *Verb
	// The library does not tell what becomes of the help that it writes.
	help := &writer{w: printable.NewWriter(stdout)}
	root := t.command(t.Manual, t.help())
	root.Writer = help
	root.Action = func(ctx context.Context, c *cli.Command) error {
		if !c.Args().Present() {
			return Usage("want a verb, such as %s", t.Verbs[0].Name)
		}
		return t.unknown(root, c.Args().First())
	}
	verbs := append(t.builtin(root), t.Verbs...)
	for _, v := range verbs {
		c, action, fs := t.verb(v)
		if v.Program && len(args) > 0 && args[0] == v.Name {
			args = endFlags(fs, args)
		}
		c.Before = func(ctx context.Context, _ *cli.Command) (context.Context, error) {
			verb = v
			return ctx, nil
		}
		c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error {
			verb = v
			return flagError(c, err)
		}
		c.Action = func(_ context.Context, c *cli.Command) error {
			if first := c.Args().First(); v.Raw && (first == "-h" || first == "-help" || first == "--help") {
				_, err := io.WriteString(help, v.usage(t, fs))
				return err
			}
			call := &Call{Operands: c.Args().Slice(), Stdout: stdout, Stderr: stderr, name: t.Name + " " + v.Name}
			if !v.Program && !v.Raw {
				call.Stdout, call.Stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
			}
			return action(t.Context(v.Signals...), call)
		}
		root.Commands = append(root.Commands, c)
	}
	err := root.Run(context.Background(), append([]string{t.Name}, args...))
	if err == nil {
		err = help.err
	}
	return verb, err
}

// endFlags puts -- before the first operand of a verb, its name being the first
// of args.
func endFlags(fs *flag.FlagSet, args []string) []string {
	i, ended, _ := operand(fs, args[1:])
	if ended || 1+i == len(args) {
		return args
	}
	return slices.Insert(slices.Clone(args), 1+i, "--")
}

// command returns the library's command for a manual, with a page as its help.
func (t *Tool) command(m *Manual, page string) *cli.Command {
	return &cli.Command{
		Name:                          m.Name,
		Description:                   page,
		HideHelpCommand:               true,
		CustomHelpTemplate:            "{{.Description}}",
		CustomRootCommandHelpTemplate: "{{.Description}}",
		ExitErrHandler:                func(context.Context, *cli.Command, error) {},
		// The library takes an operand beside -h for a command to tell of.
		CommandNotFound: func(_ context.Context, c *cli.Command, _ string) { io.WriteString(c.Root().Writer, page) },
		OnUsageError: func(_ context.Context, c *cli.Command, err error, _ bool) error {
			return flagError(c, err)
		},
	}
}
