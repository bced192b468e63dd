//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/kbuild"
)

func kbuildVerb() *cli.Verb {
	return &cli.Verb{
		Manual: manual("kbuild"),
		Values: map[string][]string{"series": series},
		New: func(flags *flag.FlagSet) cli.Action {
			var (
				out     string
				source  kbuild.Source
				variant kbuild.Variant
			)
			flags.StringVar(&out, "o", "", "write the kernel to `file`")
			flags.StringVar(&source.Series, "series", kbuild.DefaultSeries, "build Debian's newest kernel of this `series`")
			flags.StringVar(&source.Mirror, "mirror", "", "Debian mirror, a `URL` (default EVENTBENCH_MIRROR, the system's apt sources, or deb.debian.org)")
			flags.Func("edit", "replace text in the source: `FILE:OLD=>NEW`", func(v string) error {
				file, rest, _ := strings.Cut(v, ":")
				from, to, ok := strings.Cut(rest, "=>")
				if !ok || file == "" || from == "" {
					return errors.New("want FILE:OLD=>NEW, such as 'fs/eventfd.c:count > 0=>count > 1'")
				}
				variant.Edits = append(variant.Edits, kbuild.Edit{File: file, Old: from, New: to})
				return nil
			})
			flags.Func("patch", "apply the unified diff in `file` to the source", func(v string) error {
				data, err := bounded.ReadFile(v, bounded.Text)
				variant.Patch = slices.Concat(variant.Patch, data, []byte("\n"))
				return err
			})
			flags.StringVar(&variant.Symbols, "symbols", "", "write the kernel's System.map to `file`, for go tool eventbench where -symbols")
			flags.StringVar(&variant.Stamp, "stamp", "", "the `date` of the build in uname -v (default "+kbuild.DefaultStamp+")")
			return func(ctx context.Context, c *cli.Call) error {
				switch {
				case len(c.Operands) > 0:
					return cli.Usage("want no operands, have %q", c.Operands)
				case out == "":
					return cli.Usage("-o: want the file to write the kernel to")
				}
				if err := files.Writable(out); err != nil { // not after minutes
					return cli.Usage("-o: %w", err)
				}
				if variant.Symbols != "" {
					if err := files.Writable(variant.Symbols); err != nil {
						return cli.Usage("-symbols: %w", err)
					}
				}
				p := c.Progress()
				defer p.Clear()
				start := time.Now()
				tree, err := kbuild.Open(ctx, source, p)
				if err != nil {
					return err
				}
				if err := tree.Build(ctx, variant, out); err != nil {
					return err
				}
				p.Say("%s: linux %s, %s", out, tree.Version, time.Since(start).Round(100*time.Millisecond))
				return nil
			}
		},
	}
}
