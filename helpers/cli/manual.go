package cli

import (
	"flag"
	"fmt"
	"strings"

	cli "github.com/urfave/cli/v3"
)

// A Manual is the only description of a verb. It is written in Markdown:
//
//	# gate: compares two sets of benchmark results and exits with a verdict
//
//	    go tool eventbench gate [flags] OLD NEW
//
//	OLD and NEW hold results in the Go benchmark format ...
//
//	## Exit status
//	...
//
// The heading has the verb's name and a summary. The first block shows how to
// call it. Flags are not in the manual: they carry their own descriptions.
type Manual struct {
	Name     string
	Brief    string
	Synopsis []string
	Body     []Section
}

// A Section is a part of a manual. The first one has no heading.
type Section struct {
	Heading string
	Text    string
}

// ParseManual parses a manual. It panics if the manual is malformed, because
// manuals are part of the program.
func ParseManual(text string) *Manual {
	head, body, ok := strings.Cut(text, "\n")
	title, isTitle := strings.CutPrefix(head, "# ")
	name, brief, hasBrief := strings.Cut(title, ": ")
	if !ok || !isTitle || !hasBrief {
		panic(fmt.Sprintf("a manual begins with %q, want # NAME: WHAT IT DOES", head))
	}
	m := &Manual{Name: name, Brief: brief}
	lines := strings.Split(strings.Trim(body, "\n"), "\n")
	for len(lines) > 0 && strings.HasPrefix(lines[0], indent) {
		m.Synopsis = append(m.Synopsis, strings.TrimPrefix(lines[0], indent))
		lines = lines[1:]
	}
	if m.Synopsis == nil {
		panic(fmt.Sprintf("the manual of %s does not begin with how to call it", name))
	}
	section := Section{}
	var part []string
	end := func() {
		section.Text = strings.Trim(strings.Join(part, "\n"), "\n")
		if section.Text != "" {
			m.Body = append(m.Body, section)
		}
		part = nil
	}
	for _, line := range lines {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			end()
			section = Section{Heading: heading}
			continue
		}
		part = append(part, line)
	}
	end()
	return m
}

const indent = "    "

// page returns the whole manual in the layout of man(1).
func (v *Verb) page(t *Tool) string {
	fs := v.flagSet()
	v.New(fs)
	var b strings.Builder
	section(&b, "Name", t.Name+" "+v.Name+" - "+v.Brief, false)
	section(&b, "Synopsis", strings.Join(v.Synopsis, "\n"), true)
	for i, s := range v.Body {
		if s.Heading == "" {
			s.Heading = "Description"
		}
		section(&b, s.Heading, s.Text, false)
		if i == 0 {
			section(&b, "Flags", describe(fs), true)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// section writes a section of the page. It fills paragraphs and the items of
// lists unless the text is verbatim, and leaves other indented lines alone.
func section(b *strings.Builder, heading, text string, verbatim bool) {
	if text == "" {
		return
	}
	b.WriteString(strings.ToUpper(heading) + "\n")
	var paragraph []string
	item := false
	end := func() {
		text := strings.Join(paragraph, " ")
		switch {
		case item:
			b.WriteString(indent + "- " + strings.TrimPrefix(Fill(text, indent+"  "), indent+"  ") + "\n")
		case paragraph != nil:
			b.WriteString(Fill(text, indent) + "\n")
		}
		paragraph, item = nil, false
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case line == "":
			end()
			b.WriteString("\n")
		case !verbatim && strings.HasPrefix(line, "- "):
			end()
			paragraph, item = []string{line[2:]}, true
		case item && strings.HasPrefix(line, "  "):
			paragraph = append(paragraph, line[2:])
		case verbatim || strings.HasPrefix(line, " "):
			end()
			b.WriteString(indent + line + "\n")
		default:
			paragraph = append(paragraph, line)
		}
	}
	end()
	b.WriteString("\n")
}

// usage returns what -h prints: how to call the verb, and its flags.
func (v *Verb) usage(t *Tool, fs *flag.FlagSet) string {
	var b strings.Builder
	for i, line := range v.Synopsis {
		b.WriteString([]string{"usage: ", "       "}[min(i, 1)] + line + "\n")
	}
	b.WriteString("\n" + Fill(upper(v.Brief)+".", "") + "\n")
	if flags := describe(fs); flags != "" {
		b.WriteString("\n" + flags)
	}
	fmt.Fprintf(&b, "\nThe manual: %s help %s\n", t.Command, v.Name)
	return b.String()
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// help returns the tool's own help, with a list of the verbs.
func (t *Tool) help() string {
	var b strings.Builder
	for i, line := range t.Manual.Synopsis {
		b.WriteString([]string{"usage: ", "       "}[min(i, 1)] + line + "\n")
	}
	b.WriteString("\n" + Fill(upper(t.Manual.Brief)+".", "") + "\n\nVerbs:\n")
	for _, v := range append(t.Verbs, t.builtin(nil)...) {
		if !v.hidden() {
			fmt.Fprintf(&b, "    %-13s %s\n", v.Name, v.Brief)
		}
	}
	for _, s := range t.Manual.Body {
		if s.Heading != "" {
			b.WriteString("\n" + s.Heading + ":")
		}
		b.WriteString("\n" + s.Text + "\n")
	}
	return b.String()
}

// unknown returns the error for an unknown verb.
func (t *Tool) unknown(root *cli.Command, name string) error {
	hint := ""
	if like := cli.SuggestCommand(root.Commands, name); like != "" && like != "h" {
		hint = fmt.Sprintf("; did you mean %s?", like)
	}
	return Usage("%s: no such verb%s", name, hint)
}
