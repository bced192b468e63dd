//go:build linux

package eventbench

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// sources are what decides a benchmark's figures: the benchmarks, the packages that run
// and read their system calls, the one that makes percentiles of what they read, and the one that says
// which CPUs they run on and what is counted.
//
//go:embed *_test.go helpers/fdtest helpers/latency helpers/machine helpers/measure helpers/peer helpers/sys
var sources embed.FS

// harness identifies the measuring part of this program, so that results
// recorded by another are not taken for this one's. It is a hash of what
// sources say, comments and tests left out: where it differs, a difference
// between results may be the harness's and not the kernel's.
func harness(sources fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !measures(path) {
			return err
		}
		text, err := fs.ReadFile(sources, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q\n", path)
		if filepath.Ext(path) == ".s" {
			for line := range strings.Lines(string(text)) {
				code, _, _ := strings.Cut(line, "//")
				fmt.Fprintln(h, strings.TrimSpace(code))
			}
			return nil
		}
		var s scanner.Scanner
		file := token.NewFileSet().AddFile(path, -1, len(text))
		s.Init(file, text, nil, 0)
		for {
			_, tok, literal := s.Scan()
			if tok == token.EOF {
				return nil
			}
			fmt.Fprintf(h, "%s %q\n", tok, literal)
		}
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), err
}

// measures reports whether the file is one of those that benchmarks execute.
func measures(path string) bool {
	dir, name := filepath.Split(path)
	if dir != "" {
		return !strings.HasSuffix(name, "_test.go") && (filepath.Ext(name) == ".go" || filepath.Ext(name) == ".s")
	}
	switch name {
	case "harness_test.go", "main_test.go", "gate_test.go", "surroundings_test.go":
		return false
	}
	return !strings.Contains(name, "behaviour")
}

// A comment or a test changes nothing that is measured; a constant does.
func TestHarness(t *testing.T) {
	id := func(files ...string) string {
		t.Helper()
		fsys := fstest.MapFS{}
		for i := 0; i < len(files); i += 2 {
			fsys[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
		}
		got, err := harness(fsys)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	const loop, asm = "helpers/sys/loop.go", "helpers/sys/loop_amd64.s"
	base := id(loop, "package sys\n\nconst n = 1\n", asm, "MOVQ $1, AX // one\n")
	for _, same := range []string{
		id(loop, "// Package sys\npackage sys\n\n// n is one.\nconst n = 1\n", asm, "\tMOVQ $1, AX\n"),
		id(loop, "package sys\n\nconst n = 1\n", asm, "MOVQ $1, AX\n", "helpers/sys/loop_test.go", "package sys\n"),
		id(loop, "package sys\n\nconst n = 1\n", asm, "MOVQ $1, AX\n", "eventfd_behaviour_test.go", "package eventbench\n"),
	} {
		if same != base {
			t.Errorf("without a change to what is measured: %s, want %s as before", same, base)
		}
	}
	for _, other := range []string{
		id(loop, "package sys\n\nconst n = 2\n", asm, "MOVQ $1, AX\n"),
		id(loop, "package sys\n\nconst n = 1\n", asm, "MOVQ $2, AX\n"),
		id(loop, "package sys\n\nconst n = 1\n", asm, "MOVQ $1, AX\n", "eventfd_test.go", "package eventbench\n"),
	} {
		if other == base {
			t.Errorf("after a change to what is measured: still %s", other)
		}
	}
}
