package results_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"eventbench/helpers/gvisor"
	"eventbench/helpers/results"
)

// writers matches the sources that may write configuration lines: all except
// this package and its tests. They are not listed by name, because they move.
var writers = []string{"../*/*.go", "../cmd/*/*.go", "../../main_test.go"}

// configLine matches a configuration line in a program's string: a key, a verb
// for its value, and the end of the line.
var configLine = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*): %[a-z]\n`)

// prefix matches a key to which a value is appended. Messages begin like that
// too, so it counts only in sources that are known to write lines this way.
var prefix = regexp.MustCompile(`^([a-z][a-z0-9-]*): $`)

func writesPrefixes(path string) bool {
	return filepath.Base(path) == "main_test.go" || filepath.Base(filepath.Dir(path)) == "guest" && filepath.Base(path) == "machine.go"
}

// notKeys begin messages but look like keys.
var notKeys = []string{"cached", "sysfs", "failed", "note", "rounds"}

// Every key that this project writes is in the table.
func TestKeysAreKnown(t *testing.T) {
	seen := make(map[string]string)
	for _, pattern := range writers {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got %v and error %v, want sources", pattern, paths, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") && path != "../../main_test.go" {
				continue
			}
			keysIn(t, path, seen)
		}
	}
	// The sandbox takes the keys for its host from machine.
	lines, err := (&gvisor.Sandbox{}).Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		seen[key] = "gvisor: " + line
	}
	for _, key := range []string{"host-virt", "kernel-release", "governor", "cpu-model", "kernel-image", "benchtime", "count", "round", "sample", "harness"} {
		if seen[key] == "" {
			t.Errorf("no source writes %s: does this test still find what is written?", key)
		}
	}
	// The recorded results contain keys from all writers.
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
			t.Errorf("%s writes %q, which is not in the table of keys: must results agree in it? (If it begins a message: notKeys.)", where, key)
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
	errors := make(map[ast.Node]bool) // used in errors and messages
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
			to := ""
			switch w := call.Args[0].(type) {
			case *ast.Ident:
				to = w.Name
			case *ast.SelectorExpr:
				to = w.Sel.Name
			}
			if strings.Contains(strings.ToLower(to), "err") {
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
			keys := configLine.FindAllStringSubmatch(text, -1)
			if writesPrefixes(path) {
				keys = append(keys, prefix.FindAllStringSubmatch(text, -1)...)
			}
			for _, m := range keys {
				if !slices.Contains(notKeys, m[1]) {
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

// The table has each key once, with a meaning.
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
