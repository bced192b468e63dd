package guest

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"eventbench/helpers/process"
)

// Tests lists what a test binary has: its top-level functions that begin with
// kind, which is Test or Benchmark. A binary for this machine is asked. Another
// one cannot be, but its symbol table has the functions.
func Tests(ctx context.Context, file, kind string) ([]string, error) {
	arch, err := ProgramArch(file)
	if err != nil {
		return nil, err
	}
	if arch.Native() {
		out, stderr, err := process.Prompt.Output(ctx, exec.Command(file, "-test.list=^"+kind))
		if err != nil {
			return nil, fmt.Errorf("%s -test.list=^%s: %w: want a test binary\n%.200s", file, kind, err, out+stderr)
		}
		return strings.Fields(out), nil
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("%s: no symbol table, which tells what a test binary for another machine has: build it with go test -c, without -ldflags=-s", file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var names []string
	for _, s := range symbols {
		// PACKAGE.FUNCTION, where the package is not main and the
		// function no method.
		i := strings.LastIndexByte(s.Name, '.')
		name, ok := strings.CutPrefix(s.Name[i+1:], kind)
		first, _ := utf8.DecodeRuneInString(name)
		if i < 0 || !ok || unicode.IsLower(first) || strings.ContainsAny(s.Name, "(:-[") || strings.Contains(s.Name[strings.LastIndexByte(s.Name, '/')+1:i], ".") {
			continue
		}
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && !slices.Contains(names, kind+name) {
			names = append(names, kind+name)
		}
	}
	slices.Sort(names)
	return names, nil
}
