//go:build linux

package where

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"eventbench/helpers/guest"
	"eventbench/helpers/where/gdb"
	"eventbench/helpers/where/kallsyms"
	"eventbench/helpers/where/symbols"
)

// kernelSymbols returns the symbols of a kernel: those in file if given, else
// those that the kernel itself shows in a boot, which are cached, else those of
// the System.map where a build or a distribution puts it.
func (s *Settings) kernelSymbols(ctx context.Context, k *Kernel, file string, say func(string, ...any)) (*symbols.Table, error) {
	if file != "" {
		return symbolsOf(file)
	}
	t, err := s.bootedSymbols(ctx, k.image, say)
	if !errors.Is(err, errNoKallsyms) {
		return t, err
	}
	for _, name := range k.maps {
		if _, merr := os.Stat(name); merr == nil {
			say("%s: using the symbols in %s", k.image.Name, name)
			return symbolsOf(name)
		}
	}
	return nil, err
}

// mapsOf returns where the System.map of an image may be: in the kernel's tree
// if the image is where that is built, in /boot, and beside the image.
func (a *arch) mapsOf(image string) []string {
	dir, base := filepath.Split(image)
	maps := []string{strings.TrimSuffix(image, ".bzImage") + ".map"}
	if rest, ok := strings.CutSuffix(image, a.image); ok {
		maps = append(maps, rest+"System.map", rest+"vmlinux")
	}
	if release, ok := strings.CutPrefix(base, "vmlinuz-"); ok {
		maps = append(maps, dir+"System.map-"+release)
	}
	return append(maps, dir+"System.map")
}

// errNoKallsyms means that the kernel does not show its symbols.
var errNoKallsyms = fmt.Errorf("the kernel has no %s (CONFIG_KALLSYMS): give its System.map or vmlinux with -symbols", kallsyms.Path)

// bootedSymbols returns the symbols that the kernel itself shows.
func (s *Settings) bootedSymbols(ctx context.Context, k *guest.Kernel, say func(string, ...any)) (*symbols.Table, error) {
	cache, err := guest.UserCache()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("symbols/%x.gz", k.Sum())
	if packed, err := os.ReadFile(cache.Path(name)); err == nil {
		if t, err := unpackSymbols(packed); err == nil {
			return t, nil
		} // else as good as not there
	}
	say("%s: reading its symbols (once only)", k.Name)
	m := s.machine(k)
	m.Append = "nokaslr" // so that addresses are those it was linked for
	self, err := guest.NewProgram("show", s.init, []string{kallsyms.Argument})
	if err != nil {
		return nil, err
	}
	if self.Env, err = m.Env(nil); err != nil {
		return nil, err
	}
	shown, err := markerOf(s.init, kallsyms.Read)
	if err != nil {
		return nil, err
	}
	var text []byte
	_, err = debug(ctx, m, self, func(c *gdb.Client) error {
		if err := until(c, shown); err != nil {
			return err
		}
		regs, err := c.Registers()
		if err != nil {
			return err
		}
		const most = 256 << 20
		addr, n := regs.Args[0], regs.Args[1]
		if n > most {
			return fmt.Errorf("%s has %d bytes", kallsyms.Path, n)
		}
		text = make([]byte, n)
		return c.Read(addr, text)
	})
	if ended := (*endedError)(nil); errors.As(err, &ended) && ended.status == kallsyms.Absent {
		return nil, errNoKallsyms
	}
	if err != nil {
		return nil, err
	}
	t, err := symbols.ReadKallsyms(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s of the guest: %w", kallsyms.Path, err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return t, cache.WriteFile(name, packed.Bytes())
}

// markerOf returns the marker of a function of the guests' init, which has no
// symbols, but the Go runtime's table of functions.
func markerOf(init []byte, function string) (marker, error) {
	exe, err := elf.NewFile(bytes.NewReader(init))
	if err != nil {
		return marker{}, err
	}
	text, lines := exe.Section(".text"), exe.Section(".gopclntab")
	if text == nil || lines == nil || exe.Type != elf.ET_EXEC {
		return marker{}, errors.New("the guests' init is not as go build makes it: it must not be position-independent (GOFLAGS=-buildmode=pie)")
	}
	code, err := text.Data()
	if err != nil {
		return marker{}, err
	}
	data, err := lines.Data()
	if err != nil {
		return marker{}, err
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return marker{}, err
	}
	f := table.LookupFunc(function)
	if f == nil || f.Entry < text.Addr || f.Entry >= text.Addr+uint64(len(code)) {
		return marker{}, fmt.Errorf("the guests' init has no function %s", function)
	}
	from := code[f.Entry-text.Addr:]
	return marker{f.Entry, from[:min(64, len(from))]}, nil
}

func unpackSymbols(packed []byte) (*symbols.Table, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return symbols.ReadKallsyms(z)
}

// symbolsOf reads a System.map or a vmlinux.
func symbolsOf(file string) (*symbols.Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var t *symbols.Table
	if string(magic[:]) == "\x7fELF" {
		t, err = symbols.ReadELF(f)
	} else {
		t, err = symbols.ReadKallsyms(f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}
