package cli

import (
	"embed"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// The library has completion too. It is not used because its scripts complete
// a command that is a single word, which "go tool eventbench" is not, and offer
// no values of flags.
//
//go:embed completion.bash completion.zsh completion.fish
var scripts embed.FS

var shells = []string{"bash", "fish", "zsh"}

const completionManual = `# completion: print a script that makes a shell complete verbs, flags and their values

    source <(TOOL completion bash)
    source <(TOOL completion zsh)
    TOOL completion fish | source

To complete in every new shell, put the line into the shell's start-up file. It
must run in this module's directory, or read the script from a file. It completes
TOOL, and also NAME if there is a command of that name: a shell function, or the
program built by

    go build -o ~/bin/ ./helpers/cmd/NAME

Other completions of go stay as they are.
`

func (t *Tool) completion(c *Call) error {
	if len(c.Operands) != 1 || !slices.Contains(shells, c.Operands[0]) {
		return Usage("want one of %s, have %q", strings.Join(shells, ", "), c.Operands)
	}
	script, err := scripts.ReadFile("completion." + c.Operands[0])
	if err != nil {
		return err
	}
	_, err = strings.NewReplacer("NAME", t.Name).WriteString(c.Stdout, string(script))
	return err
}

const completeName = "complete"

const completeManual = `# complete: print the completions of a command line's last word

    TOOL complete -- [WORD ...] PART

The scripts of TOOL completion call it. Each line has a word, a tab and a
description. No lines mean a file name.
`

func (t *Tool) complete(c *Call) error {
	if len(c.Operands) == 0 {
		return Usage("want the words after %s; the last of them is completed", t.Name)
	}
	for _, o := range t.offers(c.Operands) {
		if _, err := fmt.Fprintf(c.Stdout, "%s\t%s\n", o.word, o.what); err != nil {
			return err
		}
	}
	return nil
}

type offer struct{ word, what string }

// offers returns the possible completions of the last word.
func (t *Tool) offers(words []string) []offer {
	before, part := words[:len(words)-1], words[len(words)-1]
	verbs := append(t.builtin(nil), t.Verbs...)
	var all []offer
	if len(before) == 0 {
		for _, v := range verbs {
			if !v.hidden() {
				all = append(all, offer{v.Name, v.Brief})
			}
		}
		return beginning(all, part)
	}
	i := slices.IndexFunc(verbs, func(v *Verb) bool { return v.Name == before[0] })
	if i < 0 {
		return nil
	}
	v := verbs[i]
	fs := v.flagSet()
	v.New(fs)

	operands, ended, pending := 0, false, ""
	for rest := before[1:]; ; {
		var i int
		i, ended, pending = operand(fs, rest)
		if i == len(rest) {
			break
		}
		operands++
		if ended || v.Program {
			ended = true
			break
		}
		rest = rest[i+1:]
	}
	switch {
	case pending != "":
		all = values(v.Values[pending])
	case strings.HasPrefix(part, "-") && !ended:
		dashes := "-"
		if strings.HasPrefix(part, "--") {
			dashes = "--"
		}
		fs.VisitAll(func(f *flag.Flag) {
			_, usage := flag.UnquoteUsage(f)
			all = append(all, offer{dashes + f.Name, strings.Join(strings.Fields(usage), " ")})
		})
		all = append(all, offer{dashes + "help", "show how " + v.Name + " is called, and its flags"})
	case operands == 0 || !v.Program:
		all = values(v.Values[""])
	}
	return beginning(all, part)
}

func values(words []string) []offer {
	var all []offer
	for _, w := range words {
		all = append(all, offer{word: w})
	}
	return all
}

func beginning(all []offer, part string) []offer {
	return slices.DeleteFunc(all, func(o offer) bool { return !strings.HasPrefix(o.word, part) })
}
