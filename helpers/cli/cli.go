// Package cli is shared by the verbs of a tool: parsing of arguments, messages
// for wrong ones, exit statuses, help and completion.
//
// A [Verb] has a manual, which says what it does, a [flag.FlagSet] with its
// flags, and an [Action], which takes the operands. It does nothing else
// itself. A [Tool] consists of verbs:
//
//	func main() {
//		os.Exit(tool.Run(os.Args[1:], os.Stdout, os.Stderr))
//	}
//
// # Flags
//
// Flags are Go's: -kernel 6.12, -kernel=6.12 and --kernel 6.12 are the same.
// They may stand before, between and after operands; -- ends them. If the first
// operand is a program to run ([Verb.Program]), everything after it belongs to
// the program.
//
// # Exit status
//
// An Action returns nil for 0, [Exit] or [WithStatus] for a status of its
// choice, a [Usage] error for 2, and a [Stopped] error for 128 plus the number
// of the signal that stopped it. Any other error means [Verb.Failure], which is
// 1 unless the verb sets it.
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

// WrongUsage is the exit status for a wrong command line.
const WrongUsage = 2

// A Tool is a command whose first argument is a verb.
type Tool struct {
	Name    string // as messages show it: eventbench
	Command string // as users call it: go tool eventbench
	Manual  *Manual
	Verbs   []*Verb

	// Context returns the context for an action. It ends on the usual
	// signals that stop a program, and on those in more.
	Context func(more ...os.Signal) context.Context
}

// Stopped is the error of an action that a signal stopped.
type Stopped interface {
	error
	Status() int // 128 plus the signal's number
}

// A Verb is a subcommand of a tool.
type Verb struct {
	*Manual
	Program bool        // the first operand is a program, followed by its arguments
	Resumes bool        // the same command continues after a signal stopped it
	Raw     bool        // all arguments are operands, such as the flags of another program
	Failure int         // the exit status for an error; 0 means 1
	Signals []os.Signal // stop it, in addition to the usual ones

	// New defines the flags and returns the action to run once they are
	// parsed.
	New func(fs *flag.FlagSet) Action

	// Values holds the values that completion offers for each flag, and for
	// operands under "". Otherwise it offers files.
	Values map[string][]string
}

// An Action does a verb's work.
type Action func(ctx context.Context, c *Call) error

// A Call is one call of a verb.
type Call struct {
	Operands []string
	Stdout   io.Writer // filtered to be printable, except what another program prints
	Stderr   io.Writer
	name     string
}

// Say prints a line to standard error. The line begins with two words, because
// readers of the benchmark format, who find it in the output of go test, would
// take "gate: ..." for a configuration line.
func (c *Call) Say(format string, args ...any) {
	fmt.Fprintf(printable.NewWriter(c.Stderr), c.name+": "+format+"\n", args...)
}

// Progress returns a progress line for the call.
func (c *Call) Progress() *progress.Progress { return progress.New(c.Stderr, c.name) }

// usageError is an error in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usage returns an error in the command line. If a flag is wrong, its text
// begins with the flag.
func Usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// IsUsage reports whether err is or wraps a [Usage] error.
func IsUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u)
}

// statusError is an exit status and its reason.
type statusError struct {
	err    error // nil if there is nothing more to say
	status int
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// Exit returns an error that makes the tool exit with a status, silently.
func Exit(status int) error {
	if status == 0 {
		return nil
	}
	return &statusError{status: status}
}

// WithStatus returns err, so that the tool prints it and exits with status.
func WithStatus(err error, status int) error { return &statusError{err, status} }

// Run runs the verb named by the first argument and returns the exit status.
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

// lastWords is how long the tool waits for standard error to take the reason
// why a verb failed.
const lastWords = 2 * time.Second

// status prints err and returns the exit status.
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
		// The lines after the first list what exists.
		first, list, _ := strings.Cut(err.Error()+"\n", "\n")
		fmt.Fprintf(stderr, "%s: %s (%s)\n%s", name, first, help, list)
		return WrongUsage
	case errors.As(err, &stopped):
		failure = stopped.Status()
		if v != nil && v.Resumes {
			err = fmt.Errorf("%w; the same command continues from there", err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		// An indented line belongs to the line above.
		if !strings.HasPrefix(line, "\t") {
			line = name + ": " + line
		}
		fmt.Fprintln(stderr, strings.TrimSuffix(line, "\n"))
	}
	return failure
}

// run parses the arguments and runs the verb. It returns the verb that the
// error is about.
func (t *Tool) run(args []string, stdout, stderr io.Writer) (*Verb, error) {
	var verb *Verb
	// The library ignores errors when it writes help.
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

// endFlags inserts -- before a verb's first operand. args begins with the
// verb's name.
func endFlags(fs *flag.FlagSet, args []string) []string {
	i, ended, _ := operand(fs, args[1:])
	if ended || 1+i == len(args) {
		return args
	}
	return slices.Insert(slices.Clone(args), 1+i, "--")
}

// command returns the library's command for a manual. page is its help.
func (t *Tool) command(m *Manual, page string) *cli.Command {
	return &cli.Command{
		Name:                          m.Name,
		Description:                   page,
		HideHelpCommand:               true,
		CustomHelpTemplate:            "{{.Description}}",
		CustomRootCommandHelpTemplate: "{{.Description}}",
		ExitErrHandler:                func(context.Context, *cli.Command, error) {},
		// With -h, the library looks up an operand as a command.
		CommandNotFound: func(_ context.Context, c *cli.Command, _ string) { io.WriteString(c.Root().Writer, page) },
		OnUsageError: func(_ context.Context, c *cli.Command, err error, _ bool) error {
			return flagError(c, err)
		},
	}
}
