//go:build linux

// Package page makes one HTML file of benchmark results: a page to look at and
// to share. It needs no network and no server.
//
// Everything that is a judgement is made here, by the gate: which changes are
// significant, the intervals, the order. The script in the page filters and
// draws.
package page

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/samples"
)

// New defines the flags of the verb page.
func New(fs *flag.FlagSet) cli.Action {
	out := fs.String("o", "page.html", "write the page to `file`")
	return func(_ context.Context, c *cli.Call) error {
		if len(c.Operands) == 0 {
			return cli.Usage("want files or directories of results: testdata/baselines/*.txt, or what make kernels and make bench leave in results")
		}
		if *out == "" {
			return cli.Usage("-o: the file's name is empty")
		}
		if err := files.Writable(*out); err != nil {
			return cli.Usage("-o: %w", err)
		}
		p, err := load(c.Operands)
		if err != nil {
			return cli.WithStatus(err, cli.WrongUsage)
		}
		if before, err := os.Stat(*out); err == nil && p.rests(before) {
			return cli.Usage("-o: %s is one of the results: the page would replace it", *out)
		}
		for _, s := range p.Settings {
			s.judge()
		}
		html, err := p.render()
		if err != nil {
			return err
		}
		if err := files.Write(*out, html); err != nil {
			return err
		}
		return p.tell(c.Stdout, *out, len(html))
	}
}

// rests reports whether the file is one of those that the page is made of.
func (p *Page) rests(file os.FileInfo) bool {
	for _, s := range p.Settings {
		for _, k := range s.Kernels {
			for _, path := range k.paths {
				if of, err := os.Stat(path); err == nil && os.SameFile(of, file) {
					return true
				}
			}
		}
	}
	return false
}

// tell says what is in the page.
func (p *Page) tell(w io.Writer, path string, size int) error {
	kernels, rows := 0, 0
	for _, s := range p.Settings {
		kernels += len(s.Kernels)
		rows += len(s.Rows)
	}
	if _, err := fmt.Fprintf(w, "%s: %s, %d rows of figures, %d KB\n", path, samples.Counted(kernels, "kernel"), rows, (size+1023)/1024); err != nil {
		return err
	}
	if len(p.Settings) > 1 {
		_, err := fmt.Fprintf(w, "%d settings, which cannot be compared, are shown apart. They differ in:\n", len(p.Settings))
		for _, s := range p.Settings {
			if err == nil {
				_, err = fmt.Fprintf(w, "\t%s: %s\n", s.Name, samples.Counted(len(s.Kernels), "kernel"))
			}
		}
		return err
	}
	return nil
}
