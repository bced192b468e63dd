package main

import (
	"embed"
	"io"

	"eventbench/helpers/cli"
)

//go:embed manual
var manuals embed.FS

// manual returns what is in manual/NAME.md.
func manual(name string) *cli.Manual {
	text, err := manuals.ReadFile("manual/" + name + ".md")
	if err != nil {
		panic(err)
	}
	return cli.ParseManual(string(text))
}

// tool returns the tool, its flags as they are before any is parsed.
func tool() *cli.Tool {
	return &cli.Tool{Name: "eventbench", Command: "go tool eventbench", Manual: manual("tool"), Verbs: verbs(), Context: stopContext}
}

// run runs a verb and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	return tool().Run(args, stdout, stderr)
}
