//go:build linux

// Kbuild builds a small kernel for go tool guest, as Debian's source has it or
// changed.
//
//	go tool kbuild [flags] -o bzImage
//	go tool kbuild -edit 'fs/eventfd.c:ctx->count += ucnt;=>ctx->count += ucnt + 1;' -o bzImage
//	go tool kbuild -patch change.diff -o bzImage
//	go tool guest -kernel ./bzImage PROGRAM [ARGUMENT ...]
//
// The source is Debian's newest linux-source package of the series, fetched
// once with apt (with a private state and without installing anything;
// signatures are checked) and kept unpacked in the user's cache directory
// (XDG_CACHE_HOME), with what has been compiled of it: about 1 GB. The
// configuration is a small one, helpers/kbuild/small.config: what the guest
// and the tests of this module need. The first build takes minutes; later
// ones what it takes to compile what was changed, and to link.
//
// # Changes
//
// -edit FILE:OLD=>NEW replaces a text that occurs once in a file of the
// source. Blanks and newlines in it count. -patch takes a unified diff as for
// patch -p1, which has to fit without fuzz. Both can be given several times;
// patches come after edits. -stamp changes the date of the build that uname -v
// shows, and nothing else: such a kernel is no different to measure.
//
// No change stays in the source, however a build ends. Two builds of one
// variant give the same file to the byte.
//
// # Exit status
//
// 0 with the file -o written; 1 without; 2 for wrong usage; 128 and the signal's
// number if one stopped it. git bisect run and the like want 125 for what does
// not compile: || exit 125.
package main

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

	"eventbench/helpers/files"
	"eventbench/helpers/help"
	"eventbench/helpers/interrupt"
	"eventbench/helpers/kbuild"
	"eventbench/helpers/printable"
	"eventbench/helpers/progress"
)

func main() {
	os.Exit(run(interrupt.Context(), os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: go tool kbuild [flags] -o bzImage

Kbuild builds a small kernel for go tool guest, as Debian's source has it or
changed. The manual is go doc eventbench/helpers/cmd/kbuild. The flags are:

`

// settings are the flags.
type settings struct {
	source  kbuild.Source
	variant kbuild.Variant
	out     string
}

func newFlags(s *settings) *flag.FlagSet {
	flags := flag.NewFlagSet("kbuild", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.out, "o", "", "write the kernel to `file`")
	flags.StringVar(&s.source.Series, "series", kbuild.DefaultSeries, "build the newest kernel of this `series` of Debian's")
	flags.StringVar(&s.source.Mirror, "mirror", "", "Debian mirror, a `URL` (default that of the system's apt sources)")
	flags.Func("edit", "replace a text of the source: `FILE:OLD=>NEW`", func(v string) error {
		file, rest, _ := strings.Cut(v, ":")
		from, to, ok := strings.Cut(rest, "=>")
		if !ok || file == "" || from == "" {
			return errors.New("want FILE:OLD=>NEW, such as 'fs/eventfd.c:count > 0=>count > 1'")
		}
		s.variant.Edits = append(s.variant.Edits, kbuild.Edit{File: file, Old: from, New: to})
		return nil
	})
	flags.Func("patch", "change the source by a unified diff, the `file`", func(v string) error {
		data, err := os.ReadFile(v)
		s.variant.Patch = slices.Concat(s.variant.Patch, data, []byte("\n"))
		return err
	})
	flags.StringVar(&s.variant.Stamp, "stamp", "", "the `date` of the build in uname -v (default "+kbuild.DefaultStamp+")")
	return flags
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
	p := progress.New(stderr, "kbuild")
	var s settings
	flags := newFlags(&s)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return help.Print(stdout, usage, flags)
	}
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.out == "":
		err = errors.New("no -o: want the file to write the kernel to")
	default: // not after minutes
		if err = files.Writable(s.out); err != nil {
			err = fmt.Errorf("-o: %w", err)
		}
	}
	if err != nil {
		p.Say("%v (go tool kbuild -h lists the flags)", err)
		return 2
	}
	start := time.Now()
	tree, err := kbuild.Open(ctx, s.source, p)
	if err == nil {
		err = tree.Build(ctx, s.variant, s.out)
	}
	p.Clear()
	if err != nil {
		p.Say("%v", err)
		return interrupt.Status(err, 1)
	}
	p.Say("%s: linux %s, %s", s.out, tree.Version, time.Since(start).Round(100*time.Millisecond))
	return 0
}
