//go:build linux

package eventbench_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sources decide a benchmark's figures: package eventbench with its tests, and
// every package of this module that it is built from. Code that only reads
// results, or checks the harness, is in files of package eventbench_test, such
// as this one, and is left out.
//
// TestHarnessIsWhatIsBuilt names a package that is missing here or not needed.
//
//go:embed *.go go.mod
//go:embed helpers/aio helpers/child helpers/fdtest helpers/files helpers/latency
//go:embed helpers/machine helpers/measure helpers/peer helpers/printable helpers/rawsig
//go:embed helpers/sys
var sources embed.FS

// modules are those of go.mod that it is built from as well.
var modules = []string{"github.com/HdrHistogram/hdrhistogram-go", "golang.org/x/sys"}

// harness identifies the measuring part of this program, so that results of
// another one are not taken for this one's. It is a hash of the code of
// sources, for every architecture, and of the modules' versions. Comments and
// tests of packages are left out. If it differs, a difference between results
// may be due to the harness and not the kernel.
func harness(sources fs.FS) (string, error) {
	files, err := measuring(sources)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range files {
		text, err := fs.ReadFile(sources, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q\n", name)
		for _, word := range code(name, text) {
			fmt.Fprintln(h, word)
		}
	}
	mod, err := fs.ReadFile(sources, "go.mod")
	if err != nil {
		return "", err
	}
	for _, module := range modules {
		// A replacement has its line, too.
		lines := regexp.MustCompile(`(?m)^.*\b`+regexp.QuoteMeta(module)+` .*$`).FindAll(mod, -1)
		if lines == nil {
			return "", fmt.Errorf("go.mod does not require %s, which benchmarks are built from", module)
		}
		for _, line := range lines {
			version, _, _ := bytes.Cut(line, []byte("//")) // indirect or not
			fmt.Fprintf(h, "%q\n", bytes.Fields(version))
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// measuring returns the files that the packages in sources are built from.
func measuring(sources fs.FS) (files []string, err error) {
	err = fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		ext, inTest := path.Ext(name), strings.HasSuffix(name, "_test.go")
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir(), inTest && path.Dir(name) != ".", ext == ".md", name == "go.mod":
			return nil
		case inTest:
			text, err := fs.ReadFile(sources, name)
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			if strings.HasSuffix(f.Name.Name, "_test") {
				return nil
			}
		}
		files = append(files, name)
		return nil
	})
	return files, err
}

// code returns the part of a file that the compiler or the assembler reads. Of
// comments that is directives, such as go:build and go:noescape.
func code(name string, text []byte) (words []string) {
	if path.Ext(name) != ".go" {
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "//go:") {
				line, _, _ = strings.Cut(line, "//")
			}
			if line = strings.TrimSpace(line); line != "" {
				words = append(words, line)
			}
		}
		return words
	}
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile(name, -1, len(text)), text, nil, scanner.ScanComments)
	for {
		_, tok, literal := s.Scan()
		switch {
		case tok == token.EOF:
			return words
		case tok != token.COMMENT, strings.HasPrefix(literal, "//go:"):
			words = append(words, fmt.Sprintf("%s %q", tok, literal))
		}
	}
}

// only returns one file of sources, as it is or edited, and go.mod.
func only(t *testing.T, name string, edit func(text string) string) fs.FS {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, name := range []string{"go.mod", name} {
		text, err := fs.ReadFile(sources, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		fsys[name] = &fstest.MapFile{Data: text}
	}
	if edit != nil {
		fsys[name] = &fstest.MapFile{Data: []byte(edit(string(fsys[name].Data)))}
	}
	return fsys
}

func mustHarness(t *testing.T, sources fs.FS) string {
	t.Helper()
	id, err := harness(sources)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A line of code in any file that is built changes the harness, and so does
// another version of a module. A comment, a test or a document does not.
func TestHarness(t *testing.T) {
	same := func(name string, edit func(string) string) {
		t.Helper()
		if mustHarness(t, only(t, name, edit)) != mustHarness(t, only(t, name, nil)) {
			t.Errorf("%s: another harness after a change that does not matter", name)
		}
	}
	other := func(name string, edit func(string) string) {
		t.Helper()
		if mustHarness(t, only(t, name, edit)) == mustHarness(t, only(t, name, nil)) {
			t.Errorf("%s: the same harness after a change of its code", name)
		}
	}
	add := func(more string) func(string) string { return func(text string) string { return text + more } }
	replace := func(old, new string) func(string) string {
		return func(text string) string {
			if !strings.Contains(text, old) {
				t.Fatalf("no %q", old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	files, err := measuring(sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		line := "\nvar added = 1\n"
		if path.Ext(name) == ".s" {
			line = "\n\tNOP\n"
		}
		other(name, add(line))
		same(name, add("\n// Added.\n"))
	}
	other("eventfd_test.go", replace("package eventbench\n", "package eventbench_test\n")) // it is out
	other("helpers/sys/loop_amd64.s", replace("//go:build", "//go:build !"))
	other("helpers/machine/virt.go", replace("//go:build linux", "//go:build darwin"))
	for _, module := range modules {
		other("go.mod", replace(module+" v", module+" v9"))
		other("go.mod", add("\nreplace "+module+" => ../copy\n"))
	}
	same("go.mod", replace("golang.org/x/perf v", "golang.org/x/perf v9"))
	same("main_test.go", add("\nvar added = 1\n"))
	same("helpers/sys/loop_test.go", add("\nvar added = 1\n"))
	same("eventfd_test.go", func(text string) string {
		return strings.Replace(text, "package eventbench\n", "package  eventbench // as before\n", 1)
	})
}

// The build decides which packages and files belong to the harness, on every
// architecture.
func TestHarnessIsWhatIsBuilt(t *testing.T) {
	if _, err := os.Stat("go.mod"); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the source stayed where this was built: %v", err)
	}
	files, modulesUsed := map[string]bool{}, map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, line := range golist(t, arch, `{{range .TestImports}}{{.}} {{end}}{{range .GoFiles}}{{.}} {{end}}{{range .TestGoFiles}}{{.}} {{end}}`, ".") {
			for _, word := range strings.Fields(line) {
				if path.Ext(word) == ".go" {
					files[word] = true
				}
			}
			imports := strings.Fields(line)
			imports = slices.DeleteFunc(imports, func(w string) bool { return path.Ext(w) == ".go" })
			const format = `{{$dir := .Dir}}{{with .Module}}{{.Path}} {{.Main}} {{$dir}}{{end}}` +
				`{{range .GoFiles}} {{.}}{{end}}{{range .SFiles}} {{.}}{{end}}{{range .HFiles}} {{.}}{{end}}{{range .CgoFiles}} {{.}}{{end}}{{range .CFiles}} {{.}}{{end}}{{range .EmbedFiles}} {{.}}{{end}}`
			for _, line := range golist(t, arch, format, append([]string{"-deps"}, imports...)...) {
				f := strings.Fields(line)
				switch {
				case len(f) < 3 || strings.HasSuffix(f[0], ".go"): // the standard library, which goversion tells of
				case f[1] == "false":
					modulesUsed[f[0]] = true
				default:
					dir, err := filepath.Rel(mustWorkDir(t), f[2])
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range f[3:] {
						files[path.Join(filepath.ToSlash(dir), name)] = true
					}
				}
			}
		}
	}
	have, err := measuring(sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range have {
		if !files[name] {
			t.Errorf("%s is hashed, and no benchmark is built from it: go:embed in this file", name)
		}
		delete(files, name)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Errorf("%s is not hashed, and benchmarks are built from it: go:embed in this file", name)
	}
	if used := slices.Sorted(maps.Keys(modulesUsed)); !slices.Equal(used, modules) {
		t.Errorf("benchmarks are built from the modules %q, and modules has %q", used, modules)
	}
}

// golist runs go list for Linux on an architecture.
func golist(t *testing.T, arch, format string, args ...string) (lines []string) {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("this was built elsewhere: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), goTool, append([]string{"list", "-f", format}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

func mustWorkDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
