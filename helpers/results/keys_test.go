package results_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"eventbench/helpers/results"
)

// writers are the sources that write configuration lines.
var writers = []string{
	"../machine/*.go", "../guest/*.go", "../boots/*.go", "../samples/*.go", "../gvisor/*.go", "../cmd/rounds/*.go",
	"../cmd/arms/*.go", "../selftest/*.go", "../cmd/eventbench/*.go", "../../main_test.go",
}

// configLine is a line of the benchmark format in a string of a program: a key,
// and as its value a verb, or nothing where the value is added.
var configLine = regexp.MustCompile(`^([a-z][a-z0-9-]*): (?:%[a-z]|$)`)

// notKeys begin strings that look like it and are messages.
var notKeys = regexp.MustCompile(`^(rounds|failed)$`)

// Every key that this project writes is in the table, and says there whether it
// must agree.
func TestKeysAreKnown(t *testing.T) {
	seen := make(map[string]string)
	for _, pattern := range writers {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got %v and error %v, want sources", pattern, paths, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") && filepath.Base(path) != "main_test.go" {
				continue
			}
			keysIn(t, path, seen)
		}
	}
	for _, key := range []string{"kernel-release", "governor", "cpu-model", "kernel-image", "benchtime", "count", "round", "sample", "harness"} {
		if seen[key] == "" {
			t.Errorf("no source writes %s: does this test still find what is written?", key)
		}
	}
	// And every key in what was recorded, which all of them had a hand in.
	for _, pattern := range []string{"../../testdata/baselines/*.txt", "../selftest/testdata/*/*.txt"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got %v and error %v, want results", pattern, paths, err)
		}
		for _, path := range paths {
			f, err := results.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			for key := range f.Config() {
				seen[key] = path
			}
		}
	}
	for key, where := range seen {
		if results.RoleOf(key) == results.Unknown {
			t.Errorf("%s writes %q, which is not in the table of keys: must results agree in it?", where, key)
		}
	}
}

// keysIn collects the keys that a source writes.
func keysIn(t *testing.T, path string, seen map[string]string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	errors := make(map[ast.Node]bool) // what goes into errors and messages
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		switch name {
		case "Errorf", "New", "say", "Say", "said", "logf", "Logf", "Fatalf", "CutPrefix", "HasPrefix", "bad":
			for _, arg := range call.Args {
				errors[arg] = true
			}
		case "add": // of machine.Config
			if key, ok := literal(call.Args[0]); ok && len(call.Args) == 2 && filepath.Base(path) == "machine.go" {
				seen[key] = fset.Position(call.Pos()).String()
			}
		case "Fprintf":
			if id, ok := call.Args[0].(*ast.Ident); ok && strings.Contains(id.Name, "err") {
				for _, arg := range call.Args {
					errors[arg] = true
				}
			}
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		if errors[n] {
			return false
		}
		switch n := n.(type) {
		case *ast.BasicLit:
			text, ok := literal(n)
			if !ok {
				break
			}
			lines := bufio.NewScanner(strings.NewReader(text))
			for lines.Scan() {
				if m := configLine.FindStringSubmatch(lines.Text()); m != nil && !notKeys.MatchString(m[1]) {
					seen[m[1]] = fset.Position(n.Pos()).String()
				}
			}
		case *ast.ValueSpec:
			// const roundKey = "round"
			for i, name := range n.Names {
				if strings.HasSuffix(name.Name, "Key") && i < len(n.Values) {
					if key, ok := literal(n.Values[i]); ok {
						seen[key] = fset.Position(n.Pos()).String()
					}
				}
			}
		}
		return true
	})
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// The table has each key once, with what it says.
func TestKeys(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range results.Keys {
		if seen[k.Name] || k.What == "" || k.Role == results.Unknown {
			t.Errorf("%+v: want each key once, with a role and what it says", k)
		}
		seen[k.Name] = true
	}
	if results.Keys[0].Name != results.Clock {
		t.Errorf("%s comes first, want %s, which no flag lifts", results.Keys[0].Name, results.Clock)
	}
}
